/* SPDX-License-Identifier: Apache-2.0
 *
 * records_csv: comma-separated values as RFC 4180 has them: quoted fields may hold commas, line breaks and
 * doubled quotes; lines end in CR LF (LF is accepted). The first record names the columns.
 *
 * A column expires_unix_ms says when the record expires; empty: it stays. With one column beside that and the key,
 * the value is that one's bytes as they are, which is how a table is exported. With any other number it is a JSON
 * object of them, in their order; those must be UTF-8.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "records.h"

static void add_field(record_reader *r) {
  if (r->field_count == r->field_capacity) {
    r->field_capacity = r->field_capacity == 0 ? 16 : 2 * r->field_capacity;
    r->field_ends = tool_realloc(r->field_ends, r->field_capacity * sizeof *r->field_ends);
  }
  r->field_ends[r->field_count++] = r->fields.size;
}

static nacre_slice field_at(const record_reader *r, size_t index) {
  size_t begin = index == 0 ? 0 : r->field_ends[index - 1];
  return tool_slice((const uint8_t *)tool_bytes_slice(&r->fields).data + begin, r->field_ends[index] - begin);
}

/* Appends further lines to the record while a quoted field is open. */
static record_result more_lines(record_reader *r) {
  size_t had = r->text.size;
  line_result line = tool_lines_next(&r->lines, &r->text);
  if (line == LINE_FAILED) return RECORD_FAILED;
  if (line == LINE_END) return tool_record_bad(r, "a quoted field is never closed");
  if (line == LINE_TOO_LONG || r->text.size > TOOL_LINE_BYTES_MAX) {
    r->text.size = had;
    return tool_record_bad(r, "it is longer than %zu bytes, so no record within the limits",
                           TOOL_LINE_BYTES_MAX);
  }
  return RECORD_GOOD;
}

/* A field in quotes that begins after text[*at - 1]; leaves `*at` after its closing quote. */
static record_result quoted(record_reader *r, size_t *at) {
  for (;;) {
    while (*at == r->text.size) {
      record_result more = more_lines(r);
      if (more != RECORD_GOOD) return more;
    }
    uint8_t c = r->text.data[(*at)++];
    if (c != '"') {
      tool_bytes_add_byte(&r->fields, c);
    } else if (*at < r->text.size && r->text.data[*at] == '"') {
      tool_bytes_add_byte(&r->fields, '"');
      (*at)++;
    } else {
      return RECORD_GOOD;
    }
  }
}

static bool at_line_end(const record_reader *r, size_t at) {
  size_t left = r->text.size - at;
  const uint8_t *p = r->text.data + at;
  return left == 0 || (left == 1 && p[0] == '\n') || (left == 2 && p[0] == '\r' && p[1] == '\n');
}

static record_result unquoted(record_reader *r, size_t *at) {
  while (!at_line_end(r, *at) && r->text.data[*at] != ',') {
    if (r->text.data[*at] == '"')
      return tool_record_bad(r, "a quote stands inside a field that does not begin with one");
    tool_bytes_add_byte(&r->fields, r->text.data[(*at)++]);
  }
  return RECORD_GOOD;
}

/* Splits one record into fields. After a bad one the next call goes on with the next line. */
static record_result split(record_reader *r) {
  tool_bytes_clear(&r->text);
  tool_bytes_clear(&r->fields);
  r->field_count = 0;
  line_result line = tool_lines_next(&r->lines, &r->text);
  r->line = r->lines.line;
  if (line == LINE_END) return RECORD_END;
  if (line == LINE_FAILED) return RECORD_FAILED;
  if (line == LINE_TOO_LONG) return tool_record_bad(r, "it is longer than %zu bytes", TOOL_LINE_BYTES_MAX);
  for (size_t at = 0;; at++) {
    bool quote = at < r->text.size && r->text.data[at] == '"';
    if (quote) at++;
    record_result field = quote ? quoted(r, &at) : unquoted(r, &at);
    if (field != RECORD_GOOD) return field;
    add_field(r);
    if (at_line_end(r, at)) return RECORD_GOOD;
    if (r->text.data[at] != ',') return tool_record_bad(r, "text follows the closing quote of a field");
  }
}

static bool same(nacre_slice a, const bytes *b) {
  return a.size == b->size && memcmp(a.data, tool_bytes_slice(b).data, a.size) == 0;
}

/* What each column is for, once the key's is known. */
static void find_columns(record_reader *r) {
  size_t values = 0;
  r->value_column = SIZE_MAX;
  for (size_t i = 0; i < r->column_count; i++) {
    if (i == r->key_column) continue;
    if (same(tool_slice(RECORD_EXPIRY_FIELD, strlen(RECORD_EXPIRY_FIELD)), &r->columns[i])) {
      r->expiry_column = i;
    } else {
      r->value_column = i;
      values++;
    }
  }
  if (values != 1) r->value_column = SIZE_MAX;
}

/* The names of the columns. Without them nothing of the file can be read, so a fault here is no bad record
 * but the end. */
static record_result header(record_reader *r) {
  record_result result = split(r);
  if (result == RECORD_BAD) return RECORD_FAILED;
  if (result != RECORD_GOOD) return result;
  r->columns = tool_alloc(r->field_count * sizeof *r->columns);
  memset(r->columns, 0, r->field_count * sizeof *r->columns);
  r->key_column = r->key_field == NULL ? 0 : SIZE_MAX;
  r->expiry_column = SIZE_MAX;
  for (size_t i = 0; i < r->field_count; i++) {
    nacre_slice name = field_at(r, i);
    if (i == 0 && name.size >= 3 &&
        memcmp(name.data, "\xef\xbb\xbf", 3) == 0) { /* a byte order mark is no part of it */
      name = tool_slice((const uint8_t *)name.data + 3, name.size - 3);
    }
    tool_bytes_add(&r->columns[i], name.data, name.size);
    r->column_count = i + 1;
    if (memchr(name.data, 0, name.size) != NULL) {
      (void)tool_record_bad(r, "the name of column %zu holds a NUL byte", i + 1);
      return RECORD_FAILED;
    }
    for (size_t j = 0; j < i; j++) {
      if (!same(tool_bytes_slice(&r->columns[i]), &r->columns[j])) continue;
      (void)tool_record_bad(r, "columns %zu and %zu have the same name", j + 1, i + 1);
      return RECORD_FAILED;
    }
    if (r->key_field != NULL && same(tool_slice(r->key_field, strlen(r->key_field)), &r->columns[i]))
      r->key_column = i;
  }
  find_columns(r);
  if (r->key_column != SIZE_MAX) return RECORD_NONE;
  (void)tool_record_bad(r, "no column is named \"%s\"", r->key_field);
  return RECORD_FAILED;
}

static record_result object_value(record_reader *r) {
  json_t *object = json_object();
  record_result result = RECORD_GOOD;
  for (size_t i = 0; result == RECORD_GOOD && i < r->column_count; i++) {
    if (i == r->key_column || i == r->expiry_column) continue;
    nacre_slice field = field_at(r, i);
    json_t *text = json_stringn(field.data, field.size);
    if (text == NULL || json_object_set_new(object, tool_bytes_text(&r->columns[i]), text) != 0) {
      result = tool_record_bad(r, "column %zu is not UTF-8, so it does not go into a JSON object", i + 1);
    }
  }
  char *text = result == RECORD_GOOD ? json_dumps(object, JSON_COMPACT) : NULL;
  if (text != NULL) tool_bytes_add_text(&r->value, text);
  free(text);
  json_decref(object);
  return result;
}

static record_result csv_next(record_reader *r) {
  if (r->column_count == 0) return header(r);
  record_result result = split(r);
  if (result != RECORD_GOOD) return result;
  bool empty_line = r->field_count == 1 && r->fields.size == 0 && r->text.data[0] != '"';
  if (empty_line && r->column_count > 1) return RECORD_NONE;
  if (r->field_count != r->column_count) {
    return tool_record_bad(r, "it has %zu fields, not %zu as the first line says", r->field_count,
                           r->column_count);
  }
  tool_bytes_clear(&r->key);
  tool_bytes_clear(&r->value);
  nacre_slice key = field_at(r, r->key_column);
  tool_bytes_add(&r->key, key.data, key.size);
  r->expire_at_ms = 0;
  nacre_slice moment = r->expiry_column == SIZE_MAX ? tool_slice("", 0) : field_at(r, r->expiry_column);
  if (moment.size > 0 && tool_record_expiry(r, moment) != RECORD_GOOD) return RECORD_BAD;
  if (r->value_column == SIZE_MAX) return object_value(r);
  nacre_slice value = field_at(r, r->value_column);
  tool_bytes_add(&r->value, value.data, value.size);
  return RECORD_GOOD;
}

static void add_csv_field(bytes *to, nacre_slice field) {
  const uint8_t *p = field.data;
  bool quote = field.size == 0;
  for (size_t i = 0; !quote && i < field.size; i++)
    quote = p[i] == '"' || p[i] == ',' || p[i] == '\r' || p[i] == '\n';
  if (!quote) {
    tool_bytes_add(to, p, field.size);
    return;
  }
  tool_bytes_add_byte(to, '"');
  for (size_t i = 0; i < field.size;) {
    const uint8_t *mark = memchr(p + i, '"', field.size - i);
    size_t size = mark == NULL ? field.size - i : (size_t)(mark - (p + i)) + 1;
    tool_bytes_add(to, p + i, size);
    if (mark != NULL) tool_bytes_add_byte(to, '"');
    i += size;
  }
  tool_bytes_add_byte(to, '"');
}

static void csv_head(FILE *to) { fputs("key,value\r\n", to); }
static void expiring_head(FILE *to) { fputs("key,value," RECORD_EXPIRY_FIELD "\r\n", to); }

static void add_record(bytes *scratch, nacre_slice key, nacre_slice value) {
  tool_bytes_clear(scratch);
  add_csv_field(scratch, key);
  tool_bytes_add_byte(scratch, ',');
  add_csv_field(scratch, value);
}

static void csv_write(bytes *scratch, nacre_slice key, nacre_slice value, uint64_t expire_at_ms, FILE *to) {
  (void)expire_at_ms;
  add_record(scratch, key, value);
  tool_bytes_add_text(scratch, "\r\n");
  (void)fwrite(scratch->data, 1, scratch->size, to);
}

static void expiring_write(bytes *scratch, nacre_slice key, nacre_slice value, uint64_t expire_at_ms,
                           FILE *to) {
  char field[32] = ",";
  if (expire_at_ms != 0) (void)snprintf(field, sizeof field, ",%llu", (unsigned long long)expire_at_ms);
  add_record(scratch, key, value);
  tool_bytes_add_text(scratch, field);
  tool_bytes_add_text(scratch, "\r\n");
  (void)fwrite(scratch->data, 1, scratch->size, to);
}

const record_kind tool_records_csv = {csv_next, csv_head, csv_write};
const record_kind tool_records_csv_expiring = {csv_next, expiring_head, expiring_write};
