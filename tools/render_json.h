/* SPDX-License-Identifier: Apache-2.0
 *
 * render_json: output for programs, by jansson. Numbers carry their unit in the field's name; bytes are
 * strings where they are UTF-8, else they stand in a field whose name ends in "_base64".
 */
#ifndef TOOL_RENDER_JSON_H
#define TOOL_RENDER_JSON_H

#include <jansson.h>
#include <nacre/nacre.h>
#include <stdio.h>

#include "options.h"

/* Writes one object on one line, and gives it back. */
void tool_json_line(json_t *object, FILE *to);
json_t *tool_json_error(const nacre_error *error);
/* NACRE_NONE becomes null. */
void tool_json_set_number(json_t *object, const char *name, uint64_t value);
/* A string; what is not UTF-8 in it (a file's name may be anything) is escaped as text_key.h says. NULL
 * becomes null. */
void tool_json_set_text(json_t *object, const char *name, const char *text);
/* Sets `name`, or `name`_base64 or `name`_hex, as the bytes and the form ask. */
/* When a record expires, unless it stays (0): "expires_unix_ms", a string where JSON's integers end. */
void tool_json_set_expiry(json_t *object, uint64_t expire_at_ms);
void tool_json_set_bytes(json_t *object, const char *name, nacre_slice data, bytes_form form);

#endif
