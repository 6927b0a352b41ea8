/* SPDX-License-Identifier: Apache-2.0
 *
 * records: what the readers of all formats share; see records.h.
 */
#include "records.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const record_kind *tool_records_of(record_format format) {
  if (format == RECORDS_TSV) return &tool_records_tsv;
  return format == RECORDS_CSV ? &tool_records_csv : &tool_records_jsonl;
}

record_format tool_records_guess(const char *file) {
  const char *dot = strrchr(file, '.');
  if (dot == NULL) return RECORDS_UNSAID;
  if (strcasecmp(dot, ".tsv") == 0) return RECORDS_TSV;
  if (strcasecmp(dot, ".csv") == 0) return RECORDS_CSV;
  if (strcasecmp(dot, ".jsonl") == 0 || strcasecmp(dot, ".ndjson") == 0) return RECORDS_JSONL;
  return RECORDS_UNSAID;
}

void tool_records_begin(record_reader *r, int fd, const char *key_field) {
  *r = (record_reader){.key_field = key_field};
  tool_lines_begin(&r->lines, fd);
}

void tool_records_end(record_reader *r) {
  tool_lines_end(&r->lines);
  tool_bytes_free(&r->text);
  tool_bytes_free(&r->key);
  tool_bytes_free(&r->value);
  tool_bytes_free(&r->fields);
  for (size_t i = 0; i < r->column_count; i++) tool_bytes_free(&r->columns[i]);
  free(r->columns);
  free(r->field_ends);
  *r = (record_reader){0};
}

line_result tool_record_line(record_reader *r) {
  tool_bytes_clear(&r->text);
  line_result result = tool_lines_next(&r->lines, &r->text);
  r->line = r->lines.line;
  if (result == LINE_TOO_LONG) {
    (void)tool_record_bad(r, "it is longer than %zu bytes, so no record within the limits",
                          TOOL_LINE_BYTES_MAX);
  }
  if (result != LINE_GOOD) return result;
  bytes *text = &r->text;
  if (text->size > 0 && text->data[text->size - 1] == '\n') {
    text->size--;
    if (text->size > 0 && text->data[text->size - 1] == '\r') text->size--;
  }
  return LINE_GOOD;
}

record_result tool_record_expiry(record_reader *r, nacre_slice digits) {
  char text[24] = "";
  if (digits.size < sizeof text && memchr(digits.data, 0, digits.size) == NULL)
    memcpy(text, digits.data, digits.size);
  if (!tool_number_parse(text, &r->expire_at_ms) || r->expire_at_ms == 0) {
    r->expire_at_ms = 0;
    return tool_record_bad(r, "its " RECORD_EXPIRY_FIELD
                              " is not a number of milliseconds since 1970 (leave it out "
                              "where a record stays)");
  }
  return RECORD_GOOD;
}

record_result tool_record_bad(record_reader *r, const char *reason, ...) {
  va_list arguments;
  va_start(arguments, reason);
  (void)vsnprintf(r->reason, sizeof r->reason, reason, arguments);
  va_end(arguments);
  return RECORD_BAD;
}
