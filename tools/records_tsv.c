/* SPDX-License-Identifier: Apache-2.0
 *
 * records_tsv: key TAB value, one record a line. In both, \t \n \r \\ stand for tab, line feed, carriage
 * return and backslash, \xNN for any byte (text_key.h). Lines end in LF or CR LF. A record that expires has a third
 * field, expires_unix_ms=N; any other further tab in a line is refused, for it would be lost on the way out.
 */
#include <string.h>

#include "records.h"
#include "text_key.h"

static const char expiry_mark[] = RECORD_EXPIRY_FIELD "=";

/* The end of the value; what follows it says when the record expires. NULL: it is bad. */
static const uint8_t *pass_value(record_reader *r, const uint8_t *value, const uint8_t *end) {
  const uint8_t *tab = memchr(value, '\t', (size_t)(end - value));
  r->expire_at_ms = 0;
  if (tab == NULL) return end;
  size_t mark = sizeof expiry_mark - 1, left = (size_t)(end - tab) - 1;
  if (left < mark || memcmp(tab + 1, expiry_mark, mark) != 0) {
    (void)tool_record_bad(r, "it has more than one tab (write a tab in a value as \\t)");
    return NULL;
  }
  return tool_record_expiry(r, tool_slice(tab + 1 + mark, left - mark)) == RECORD_GOOD ? tab : NULL;
}

static record_result tsv_next(record_reader *r) {
  line_result line = tool_record_line(r);
  if (line == LINE_END) return RECORD_END;
  if (line == LINE_FAILED) return RECORD_FAILED;
  if (line == LINE_TOO_LONG) return RECORD_BAD;
  nacre_slice text = tool_bytes_slice(&r->text);
  const uint8_t *begin = text.data, *tab = memchr(begin, '\t', text.size);
  if (tab == NULL) return tool_record_bad(r, "it has no tab between key and value");
  const uint8_t *end = pass_value(r, tab + 1, begin + text.size);
  if (end == NULL) return RECORD_BAD;
  size_t key_size = (size_t)(tab - begin), value_size = (size_t)(end - tab) - 1;
  tool_bytes_clear(&r->key);
  tool_bytes_clear(&r->value);
  const char *wrong = tool_text_unescape(&r->key, tool_slice(begin, key_size));
  if (wrong == NULL) wrong = tool_text_unescape(&r->value, tool_slice(tab + 1, value_size));
  return wrong == NULL ? RECORD_GOOD : tool_record_bad(r, "%s", wrong);
}

static void tsv_write(bytes *scratch, nacre_slice key, nacre_slice value, uint64_t expire_at_ms, FILE *to) {
  tool_bytes_clear(scratch);
  tool_text_escape(scratch, key);
  tool_bytes_add_byte(scratch, '\t');
  tool_text_escape(scratch, value);
  if (expire_at_ms != 0) {
    char field[64];
    (void)snprintf(field, sizeof field, "\t%s%llu", expiry_mark, (unsigned long long)expire_at_ms);
    tool_bytes_add_text(scratch, field);
  }
  tool_bytes_add_byte(scratch, '\n');
  (void)fwrite(scratch->data, 1, scratch->size, to);
}

const record_kind tool_records_tsv = {tsv_next, NULL, tsv_write};
