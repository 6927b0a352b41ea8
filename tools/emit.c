/* SPDX-License-Identifier: Apache-2.0
 *
 * emit: fields as text or as JSON; see emit.h.
 */
#include "emit.h"

#include <assert.h>
#include <stdio.h>

#include "render_json.h"
#include "render_text.h"
#include "text_key.h"

void tool_emit_begin(emit *e, const char *list) {
  assert(e->depth < EMIT_DEPTH_MAX);
  if (e->o->json) {
    e->objects[e->depth] = json_object();
    e->lists[e->depth] = list;
  } else {
    if (e->depth > 0) putchar('\n');
    printf("%*s", (int)(2 + 4 * e->depth), "");
  }
  e->depth++;
}

void tool_emit_end(emit *e) {
  assert(e->depth > 0);
  e->depth--;
  if (!e->o->json) {
    if (e->depth == 0) putchar('\n');
    return;
  }
  json_t *object = e->objects[e->depth];
  if (e->depth == 0) {
    tool_json_line(object, stdout);
    return;
  }
  json_t *around = e->objects[e->depth - 1], *list = json_object_get(around, e->lists[e->depth]);
  if (list == NULL) {
    list = json_array();
    json_object_set_new(around, e->lists[e->depth], list);
  }
  json_array_append_new(list, object);
}

static json_t *object_of(const emit *e) { return e->objects[e->depth - 1]; }

/* In text, units and words are parted by spaces: "frame_bytes" is for programs. */
static void name_text(const char *name) {
  for (; *name != 0; name++) putchar(*name == '_' ? ' ' : *name);
  putchar(' ');
}

void tool_emit_number(emit *e, const char *name, uint64_t value) {
  if (e->o->json) {
    tool_json_set_number(object_of(e), name, value);
  } else {
    name_text(name);
    printf("%llu  ", (unsigned long long)value);
  }
}

void tool_emit_text(emit *e, const char *name, const char *value) {
  if (e->o->json) {
    tool_json_set_text(object_of(e), name, value);
  } else {
    name_text(name);
    printf("%s  ", value);
  }
}

void tool_emit_uuid(emit *e, const char *name, const nc_uuid *uuid) {
  char text[NC_UUID_TEXT_BYTES];
  nc_uuid_format(uuid, text);
  tool_emit_text(e, name, text);
}

static void bytes_text(const char *name, nacre_slice value, bytes_form form) {
  bytes text = {0};
  tool_bytes_write(&text, value, form);
  name_text(name);
  printf("%s  ", tool_bytes_text(&text));
  tool_bytes_free(&text);
}

void tool_emit_bytes(emit *e, const char *name, nacre_slice value) {
  if (e->o->json) {
    tool_json_set_bytes(object_of(e), name, value, e->o->form);
  } else {
    bytes_text(name, value, e->o->form);
  }
}

void tool_emit_hex(emit *e, const char *name, nacre_slice value) {
  if (e->o->json) {
    tool_json_set_bytes(object_of(e), name, value, BYTES_HEX);
  } else {
    bytes_text(name, value, BYTES_HEX);
  }
}
