/* SPDX-License-Identifier: Apache-2.0
 *
 * render_text: output for people: units, aligned columns, colour on terminals only (and not where NO_COLOR is
 * set).
 */
#ifndef TOOL_RENDER_TEXT_H
#define TOOL_RENDER_TEXT_H

#include <nacre/nacre.h>
#include <stdio.h>

typedef enum text_style { STYLE_PLAIN, STYLE_HEAD, STYLE_GOOD, STYLE_BAD, STYLE_FAINT } text_style;

/* Writes text in a style when `to` is a terminal that may be coloured, else just the text. */
void tool_text_styled(FILE *to, text_style style, const char *text);

enum { TOOL_UNIT_TEXT_BYTES = 64 };
/* "1.2 MiB", "17 bytes"; with `exact`, also the number of bytes: "1.2 MiB (1,234,567 bytes)". Returns
 * `text`. */
const char *tool_text_size(char text[TOOL_UNIT_TEXT_BYTES], uint64_t size, bool exact);
const char *tool_text_count(char text[TOOL_UNIT_TEXT_BYTES], uint64_t count); /* "12,345" */
/* "1 entry", "12,345 entries" */
const char *tool_text_counted(char text[TOOL_UNIT_TEXT_BYTES], uint64_t count, const char *one,
                              const char *many);
const char *tool_text_time(char text[TOOL_UNIT_TEXT_BYTES], uint64_t unix_ms); /* "2024-05-01 12:34:56 UTC" */
const char *tool_text_seconds(char text[TOOL_UNIT_TEXT_BYTES], uint64_t ns);   /* "1.25 s" */
/* " from offset 17 on"; nothing where there is no offset (NACRE_NONE). */
const char *tool_text_from(char text[TOOL_UNIT_TEXT_BYTES], uint64_t offset);

/* A message, which may name tables and files: what is not printable in their names, and could move a
 * terminal's cursor, is escaped. Backslashes stay, for they are the message's own. */
void tool_text_safe(FILE *to, const char *text);
/* An error as a sentence, with the file and offset that it is about. */
void tool_text_error(const nacre_error *error, FILE *to);

/* "name  value" with the names in one column. */
void tool_text_field(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A table whose columns are as wide as their widest cell. Add cells row by row; the first row is the head. */
typedef struct text_table {
  size_t columns, cells, capacity;
  char **cell;
  const bool *right; /* which columns are numbers, to the right */
} text_table;
void tool_text_table_cell(text_table *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void tool_text_table_print(text_table *t); /* to standard output; frees the cells */

#endif
