/* SPDX-License-Identifier: Apache-2.0
 *
 * render_json: output for programs; see render_json.h.
 */
#include "render_json.h"

#include <string.h>

#include "bytes.h"
#include "text_key.h"

void tool_json_line(json_t *object, FILE *to) {
  (void)json_dumpf(object, to, JSON_COMPACT);
  fputc('\n', to);
  json_decref(object);
}

void tool_json_set_number(json_t *object, const char *name, uint64_t value) {
  json_t *number = NULL;
  if (value == NACRE_NONE) {
    number = json_null();
  } else if (value > INT64_MAX) { /* no JSON integer of jansson's holds it; only hostile files do */
    number = json_sprintf("%llu", (unsigned long long)value);
  } else {
    number = json_integer((json_int_t)value);
  }
  json_object_set_new(object, name, number);
}

void tool_json_set_expiry(json_t *object, uint64_t expire_at_ms) {
  if (expire_at_ms == 0) return;
  json_t *moment = expire_at_ms > INT64_MAX ? json_sprintf("%llu", (unsigned long long)expire_at_ms)
                                            : json_integer((json_int_t)expire_at_ms);
  json_object_set_new(object, "expires_unix_ms", moment);
}

void tool_json_set_text(json_t *object, const char *name, const char *text) {
  if (text == NULL) {
    json_object_set_new(object, name, json_null());
    return;
  }
  json_t *string = json_string(text);
  if (string == NULL) {
    bytes escaped = {0};
    tool_text_escape(&escaped, tool_slice(text, strlen(text)));
    string = json_string(tool_bytes_text(&escaped));
    tool_bytes_free(&escaped);
  }
  json_object_set_new(object, name, string);
}

void tool_json_set_bytes(json_t *object, const char *name, nacre_slice data, bytes_form form) {
  const char *text = data.data == NULL ? "" : data.data;
  json_t *string = form == BYTES_TEXT ? json_stringn(text, data.size) : NULL;
  if (string != NULL) {
    json_object_set_new(object, name, string);
    return;
  }
  bytes encoded = {0};
  char full_name[64];
  if (form == BYTES_HEX) {
    tool_hex_encode(&encoded, data);
  } else {
    tool_base64_encode(&encoded, data);
  }
  (void)snprintf(full_name, sizeof full_name, "%s_%s", name, form == BYTES_HEX ? "hex" : "base64");
  json_object_set_new(object, full_name, json_string(tool_bytes_text(&encoded)));
  tool_bytes_free(&encoded);
}

json_t *tool_json_error(const nacre_error *error) {
  json_t *object = json_object();
  tool_json_set_text(object, "status", nacre_status_name(error->status));
  tool_json_set_number(object, "id", error->id);
  tool_json_set_text(object, "message", error->text);
  tool_json_set_text(object, "file", error->file[0] != 0 ? error->file : NULL);
  tool_json_set_number(object, "offset", error->offset);
  if (error->os_errno != 0) tool_json_set_number(object, "errno", (uint64_t)error->os_errno);
  return object;
}
