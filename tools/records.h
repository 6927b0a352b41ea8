/* SPDX-License-Identifier: Apache-2.0
 *
 * records: keys and values in text files: the readers that `import` uses, the writers of `export`. What a
 * writer writes, its reader reads back exactly, whatever the bytes.
 */
#ifndef TOOL_RECORDS_H
#define TOOL_RECORDS_H

#include <stdio.h>

#include "bytes.h"
#include "line_reader.h"
#include "options.h"

typedef struct record_reader {
  line_reader lines;
  const char *key_field; /* NULL: none was named */
  bytes text;            /* the lines of the record */
  bytes key, value;
  uint64_t expire_at_ms; /* 0: it says nothing of that */
  uint64_t line;    /* where the record begins; it ends in lines.line */
  char reason[200]; /* why a record is bad, or the file is */
  /* csv: the columns, and the fields of one record one after the other in `fields` */
  bytes *columns;
  size_t column_count, key_column, expiry_column, value_column; /* SIZE_MAX: there is none */
  bytes fields;
  size_t *field_ends;
  size_t field_count, field_capacity;
} record_reader;

typedef enum record_result {
  RECORD_END,
  RECORD_GOOD,
  RECORD_NONE,  /* a line that holds no record and is no fault: a header, an empty line */
  RECORD_BAD,   /* `reason` says why; the next call goes on after it */
  RECORD_FAILED /* reading failed, or nothing of the file can be read: lines.os_errno or `reason` says why */
} record_result;

typedef struct record_kind {
  record_result (*next)(record_reader *r);
  void (*write_head)(FILE *to); /* may be NULL */
  /* `expire_at_ms` 0: it stays. */
  void (*write)(bytes *scratch, nacre_slice key, nacre_slice value, uint64_t expire_at_ms, FILE *to);
} record_kind;

/* The column or field that says when a record expires, in ms since 1970-01-01 UTC. */
#define RECORD_EXPIRY_FIELD "expires_unix_ms"

extern const record_kind tool_records_tsv, tool_records_csv, tool_records_jsonl;
/* As csv, and writes the column as well. */
extern const record_kind tool_records_csv_expiring;
const record_kind *tool_records_of(record_format format);
/* The format that a file's name says; RECORDS_UNSAID when it does not. */
record_format tool_records_guess(const char *file);

void tool_records_begin(record_reader *r, int fd, const char *key_field);
void tool_records_end(record_reader *r);

/* For the readers: begins a record with one line, without its LF or CR LF. LINE_TOO_LONG has its reason
 * set. */
line_result tool_record_line(record_reader *r);
/* Reads what stands in the field or column of that name. */
record_result tool_record_expiry(record_reader *r, nacre_slice digits);
record_result tool_record_bad(record_reader *r, const char *reason, ...)
    __attribute__((format(printf, 2, 3)));

#endif
