/* SPDX-License-Identifier: Apache-2.0
 *
 * records_jsonl: JSON Lines: one object a line, UTF-8, empty lines passed over.
 *
 * Without --key-field: {"key":...,"value":...}, both strings; key_base64 and value_base64 in their place hold
 * any bytes. With it, any object: that field (a string or an integer) is the key and the line, as it stands,
 * the value. In both, expires_unix_ms, an integer, says when the record expires; what is over 2^63 - 1 is a string of
 * its digits, since JSON's readers know no such integers.
 */
#include <jansson.h>
#include <string.h>

#include "records.h"
#include "render_json.h"
#include "text_key.h"

/* The string in field `name`, or what base64 in field `name`_base64 stands for. */
static record_result member_bytes(record_reader *r, const json_t *object, const char *name, bytes *to) {
  char other[64];
  (void)snprintf(other, sizeof other, "%s_base64", name);
  const json_t *text = json_object_get(object, name), *encoded = json_object_get(object, other);
  tool_bytes_clear(to);
  if ((text == NULL) == (encoded == NULL)) {
    return tool_record_bad(
        r, "it must have either \"%s\" or \"%s\" (--key-field names another key and keeps whole lines)", name,
        other);
  }
  const json_t *member = text != NULL ? text : encoded;
  if (!json_is_string(member)) {
    return tool_record_bad(r, "its \"%s\" is not a string (--key-field keeps whole lines as values)",
                           text != NULL ? name : other);
  }
  nacre_slice string = tool_slice(json_string_value(member), json_string_length(member));
  if (text != NULL) {
    tool_bytes_add(to, string.data, string.size);
  } else if (!tool_base64_decode(to, string)) {
    return tool_record_bad(r, "its \"%s\" is not base64", other);
  }
  return RECORD_GOOD;
}

/* null is as if it were not there. */
static record_result expiry(record_reader *r, const json_t *object) {
  const json_t *moment = json_object_get(object, RECORD_EXPIRY_FIELD);
  char digits[32] = "";
  r->expire_at_ms = 0;
  if (moment == NULL || json_is_null(moment)) return RECORD_GOOD;
  if (json_is_integer(moment)) {
    (void)snprintf(digits, sizeof digits, "%lld", (long long)json_integer_value(moment));
  } else if (json_is_string(moment)) {
    return tool_record_expiry(r, tool_slice(json_string_value(moment), json_string_length(moment)));
  }
  return tool_record_expiry(r, tool_slice(digits, strlen(digits)));
}

static record_result plain_record(record_reader *r, const json_t *object) {
  record_result result = member_bytes(r, object, "key", &r->key);
  if (result == RECORD_GOOD) result = member_bytes(r, object, "value", &r->value);
  size_t fields = json_object_get(object, RECORD_EXPIRY_FIELD) == NULL ? 2 : 3;
  if (result == RECORD_GOOD && json_object_size(object) != fields) {
    return tool_record_bad(
        r, "it has further fields, which would be lost (--key-field keeps whole lines as values)");
  }
  return result;
}

static record_result field_record(record_reader *r, const json_t *object) {
  const json_t *key = json_object_get(object, r->key_field);
  tool_bytes_clear(&r->key);
  tool_bytes_clear(&r->value);
  if (json_is_string(key)) {
    tool_bytes_add(&r->key, json_string_value(key), json_string_length(key));
  } else if (json_is_integer(key)) {
    char digits[32];
    (void)snprintf(digits, sizeof digits, "%lld", (long long)json_integer_value(key));
    tool_bytes_add_text(&r->key, digits);
  } else {
    return tool_record_bad(
        r, key == NULL ? "it has no field \"%s\"" : "its field \"%s\" is neither a string nor an integer",
        r->key_field);
  }
  tool_bytes_add(&r->value, r->text.data, r->text.size);
  return RECORD_GOOD;
}

static bool blank(const bytes *text) {
  for (size_t i = 0; i < text->size; i++) {
    if (text->data[i] != ' ' && text->data[i] != '\t' && text->data[i] != '\r') return false;
  }
  return true;
}

/* Integers beyond 64 bits are fine where the line is kept as it stands: they are read as reals then. */
static json_t *load(const record_reader *r, json_error_t *error) {
  size_t flags = JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL;
  json_t *object = json_loadb((const char *)r->text.data, r->text.size, flags, error);
  if (object == NULL && r->key_field != NULL && json_error_code(error) == json_error_numeric_overflow) {
    object = json_loadb((const char *)r->text.data, r->text.size, flags | JSON_DECODE_INT_AS_REAL, error);
  }
  return object;
}

static record_result jsonl_next(record_reader *r) {
  line_result line = tool_record_line(r);
  if (line == LINE_END) return RECORD_END;
  if (line == LINE_FAILED) return RECORD_FAILED;
  if (line == LINE_TOO_LONG) return RECORD_BAD;
  if (blank(&r->text)) return RECORD_NONE;
  json_error_t error;
  json_t *object = load(r, &error);
  if (object == NULL) {
    /* jansson's text may quote the line, and lines are user data: the place is told, and not the words. */
    return tool_record_bad(r, "it is not valid JSON, at byte %d", error.position);
  }
  record_result result = RECORD_GOOD;
  if (!json_is_object(object)) {
    result = tool_record_bad(r, "it is not a JSON object");
  } else {
    result = r->key_field == NULL ? plain_record(r, object) : field_record(r, object);
    if (result == RECORD_GOOD) result = expiry(r, object);
  }
  json_decref(object);
  return result;
}

static void jsonl_write(bytes *scratch, nacre_slice key, nacre_slice value, uint64_t expire_at_ms, FILE *to) {
  (void)scratch;
  json_t *object = json_object();
  tool_json_set_bytes(object, "key", key, BYTES_TEXT);
  tool_json_set_bytes(object, "value", value, BYTES_TEXT);
  tool_json_set_expiry(object, expire_at_ms);
  tool_json_line(object, to);
}

const record_kind tool_records_jsonl = {jsonl_next, NULL, jsonl_write};
