/* SPDX-License-Identifier: Apache-2.0
 *
 * emit: one description of what is shown, written either as text (a line of "name value" pairs, what is
 * inside it on further lines, indented) or as one JSON object a line. For output whose fields are many and
 * alike.
 */
#ifndef TOOL_EMIT_H
#define TOOL_EMIT_H

#include <jansson.h>

#include "bytes.h"
#include "coding.h"
#include "options.h"

enum { EMIT_DEPTH_MAX = 4 };

typedef struct emit {
  const options *o;
  size_t depth;
  json_t *objects[EMIT_DEPTH_MAX]; /* JSON: what is being made, the outermost first */
  const char *lists[EMIT_DEPTH_MAX];
} emit;

/* Begins an object: a line of its own at the outside, else an item of `list` in the object around it. */
void tool_emit_begin(emit *e, const char *list);
void tool_emit_end(emit *e);
void tool_emit_number(emit *e, const char *name, uint64_t value);
void tool_emit_text(emit *e, const char *name, const char *value);
void tool_emit_uuid(emit *e, const char *name, const nc_uuid *uuid);
/* Keys and values, in the form that the user asked for. */
void tool_emit_bytes(emit *e, const char *name, nacre_slice value);
void tool_emit_hex(emit *e, const char *name, nacre_slice value);

#endif
