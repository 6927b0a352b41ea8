/* SPDX-License-Identifier: Apache-2.0
 *
 * inspect_head: headers as text and as JSON; see inspect_head.h.
 *
 * Everything here comes from bytes that only a checksum vouches for. For sealed files a reader with the keys
 * authenticates them; of CURRENT and key files it is said that nobody has.
 */
#include "inspect_head.h"

#include <string.h>

#include "bytes.h"
#include "render_json.h"
#include "render_text.h"
#include "text_key.h"

static const char *hex(char *text, const uint8_t *data, size_t size) {
  for (size_t i = 0; i < size; i++) (void)snprintf(text + 2 * i, 3, "%02x", data[i]);
  return text;
}

static const char *key_state_name(nc_key_state state) {
  switch (state) {
    case NC_KEY_ACTIVE:
      return "active";
    case NC_KEY_RETIRING:
      return "retiring";
  }
  return "unknown";
}

/* ---- text ---- */

static void sealed_text(const walk *w) {
  char uuid[NC_UUID_TEXT_BYTES], commitment[2 * NC_COMMITMENT_BYTES + 1];
  if (w->pick < 0) {
    tool_text_field("header slots", "both bad; the kind is taken from the file's name");
    return;
  }
  const nc_header_slot *slot = &w->slots[w->pick];
  tool_text_field("cipher", "AES-256-GCM, HKDF-SHA256 (suite %d), format version %d", NC_SUITE_AES_256_GCM,
                  NC_FORMAT_VERSION);
  nc_uuid_format(&slot->identity.origin_table, uuid);
  tool_text_field("made for table", "%s", uuid);
  nc_uuid_format(&slot->identity.file, uuid);
  tool_text_field("file", "%s, number %llu, epoch %llu", uuid, (unsigned long long)slot->identity.number,
                  (unsigned long long)slot->identity.epoch);
  nc_uuid_format(&slot->kek_id, uuid);
  tool_text_field("table key (KEK)", "%s, version %u", uuid, slot->kek_version);
  tool_text_field("DEK commitment", "%s", hex(commitment, slot->dek_commitment, NC_COMMITMENT_BYTES));
  if (w->slot_good[0] && w->slot_good[1]) {
    tool_text_field("header slots", "both good, %s, sequence %llu", w->slots_equal ? "equal" : "NOT EQUAL",
                    (unsigned long long)slot->sequence);
  } else {
    tool_text_field("header slots", "slot %d good, sequence %llu; slot %d BAD", w->pick,
                    (unsigned long long)slot->sequence, 1 - w->pick);
  }
}

static void current_text(const nc_current *c) {
  char uuid[NC_UUID_TEXT_BYTES];
  tool_text_field("note", "unauthenticated: only a checksum vouches for what follows");
  nc_uuid_format(&c->table, uuid);
  tool_text_field("table", "%s", uuid);
  nc_uuid_format(&c->manifest, uuid);
  tool_text_field("manifest", "%s, number %llu, epoch %llu", uuid, (unsigned long long)c->manifest_number,
                  (unsigned long long)c->epoch);
  nc_uuid_format(&c->kek_id, uuid);
  tool_text_field("table key (KEK)", "%s, none below version %u", uuid, c->kek_version_min);
}

static const char *escaped(bytes *to, nacre_slice from) {
  tool_bytes_clear(to);
  tool_text_escape(to, from);
  return tool_bytes_text(to);
}

static void key_file_text(const nc_key_file *f) {
  char uuid[NC_UUID_TEXT_BYTES], time[TOOL_UNIT_TEXT_BYTES];
  bytes text = {0};
  tool_text_field("note", "unauthenticated: only a checksum vouches for what follows");
  nc_uuid_format(&f->table, uuid);
  tool_text_field("table", "%s, generation %llu", uuid, (unsigned long long)f->generation);
  for (uint32_t i = 0; i < f->version_count; i++) {
    const nc_key_version *v = &f->versions[i];
    nc_uuid_format(&v->id, uuid);
    tool_text_field("table key (KEK)", "%s, version %u, %s, made %s", uuid, v->version,
                    key_state_name(v->state), tool_text_time(time, v->created_ms));
    for (uint32_t j = 0; j < f->wrap_count; j++) {
      if (f->wraps[j].version_index != i) continue;
      tool_text_field("  wrapped by", "%s", escaped(&text, f->wraps[j].uri));
      if (f->wraps[j].region.size > 0)
        tool_text_field("    region", "%s", escaped(&text, f->wraps[j].region));
      if (f->wraps[j].principal.size > 0)
        tool_text_field("    principal", "%s", escaped(&text, f->wraps[j].principal));
      if (f->wraps[j].key_version.size > 0)
        tool_text_field("    key version", "%s", escaped(&text, f->wraps[j].key_version));
    }
  }
  tool_bytes_free(&text);
}

static void kind_text(const walk *w) {
  if (w->kind == WALK_SEALED) {
    tool_text_field("kind", "%s, sealed",
                    w->file_type == 0 ? "segment, log, manifest or value" : nc_file_type_name(w->file_type));
  } else if (w->kind == WALK_KEYRING) {
    tool_text_field("kind",
                    "keyring: it holds root keys, so nothing more is shown. Keep it secret and keep a copy");
  } else if (w->kind == WALK_LEFTOVER) {
    tool_text_field("kind", "leftover of an update that was cut short; it counts for nothing");
  } else {
    tool_text_field("kind", "%s", tool_walk_kind_name(w->kind));
  }
}

void tool_inspect_head_text(const walk *w, const char *path) {
  char size[TOOL_UNIT_TEXT_BYTES];
  bytes text = {0};
  tool_text_styled(stdout, STYLE_HEAD, escaped(&text, tool_slice(path, strlen(path))));
  tool_bytes_free(&text);
  putchar('\n');
  kind_text(w);
  tool_text_field("size", "%s", tool_text_size(size, w->size, true));
  if (w->kind == WALK_SEALED) sealed_text(w);
  if (w->kind == WALK_CURRENT && w->decoded) current_text(&w->current);
  if (w->kind == WALK_KEY_FILE && w->decoded) key_file_text(w->key_file);
}

/* ---- JSON ---- */

static void set_uuid(json_t *object, const char *name, const nc_uuid *uuid) {
  char text[NC_UUID_TEXT_BYTES];
  nc_uuid_format(uuid, text);
  tool_json_set_text(object, name, text);
}

static void set_hex(json_t *object, const char *name, const uint8_t *data, size_t size) {
  bytes text = {0};
  tool_hex_encode(&text, tool_slice(data, size));
  tool_json_set_text(object, name, tool_bytes_text(&text));
  tool_bytes_free(&text);
}

static json_t *slot_json(const walk *w, int i) {
  json_t *object = json_object();
  const nc_header_slot *slot = &w->slots[i];
  json_object_set_new(object, "good", json_boolean(w->slot_good[i]));
  if (!w->slot_good[i]) {
    json_object_set_new(object, "error", tool_json_error(&w->slot_errors[i]));
    return object;
  }
  tool_json_set_number(object, "slot_sequence", slot->sequence);
  set_uuid(object, "origin_table", &slot->identity.origin_table);
  set_uuid(object, "file_uuid", &slot->identity.file);
  tool_json_set_number(object, "file_number", slot->identity.number);
  tool_json_set_number(object, "epoch", slot->identity.epoch);
  set_uuid(object, "kek_id", &slot->kek_id);
  tool_json_set_number(object, "kek_version", slot->kek_version);
  set_hex(object, "dek_commitment", slot->dek_commitment, NC_COMMITMENT_BYTES);
  return object;
}

static void sealed_json(json_t *object, const walk *w) {
  json_t *slots = json_array();
  tool_json_set_text(object, "type", nc_file_type_name(w->file_type));
  tool_json_set_text(object, "cipher", "AES-256-GCM");
  tool_json_set_number(object, "format_version", NC_FORMAT_VERSION);
  for (int i = 0; i < NC_SLOT_COUNT; i++) json_array_append_new(slots, slot_json(w, i));
  json_object_set_new(object, "header_slots", slots);
  json_object_set_new(object, "header_slots_equal", json_boolean(w->slots_equal));
}

static void current_json(json_t *object, const nc_current *c) {
  json_object_set_new(object, "authenticated", json_false());
  set_uuid(object, "table", &c->table);
  set_uuid(object, "manifest_uuid", &c->manifest);
  tool_json_set_number(object, "manifest_number", c->manifest_number);
  tool_json_set_number(object, "epoch", c->epoch);
  set_uuid(object, "kek_id", &c->kek_id);
  tool_json_set_number(object, "kek_version_min", c->kek_version_min);
}

/* null where nothing is said, as in `nacre table info` */
static void set_said(json_t *object, const char *name, nacre_slice text) {
  if (text.size == 0) {
    json_object_set_new(object, name, json_null());
  } else {
    tool_json_set_bytes(object, name, text, BYTES_TEXT);
  }
}

static void key_file_json(json_t *object, const nc_key_file *f) {
  json_t *versions = json_array();
  json_object_set_new(object, "authenticated", json_false());
  set_uuid(object, "table", &f->table);
  tool_json_set_number(object, "generation", f->generation);
  for (uint32_t i = 0; i < f->version_count; i++) {
    json_t *version = json_object(), *wraps = json_array();
    set_uuid(version, "kek_id", &f->versions[i].id);
    tool_json_set_number(version, "kek_version", f->versions[i].version);
    tool_json_set_text(version, "state", key_state_name(f->versions[i].state));
    tool_json_set_number(version, "created_unix_ms", f->versions[i].created_ms);
    for (uint32_t j = 0; j < f->wrap_count; j++) {
      if (f->wraps[j].version_index != i) continue;
      json_t *wrap = json_object();
      tool_json_set_bytes(wrap, "uri", f->wraps[j].uri, BYTES_TEXT);
      set_said(wrap, "region", f->wraps[j].region);
      set_said(wrap, "principal", f->wraps[j].principal);
      set_said(wrap, "key_version", f->wraps[j].key_version);
      json_array_append_new(wraps, wrap);
    }
    json_object_set_new(version, "wraps", wraps);
    json_array_append_new(versions, version);
  }
  json_object_set_new(object, "versions", versions);
}

json_t *tool_inspect_head_json(const walk *w, const char *path) {
  json_t *object = json_object();
  tool_json_set_text(object, "file", path);
  tool_json_set_text(object, "kind", tool_walk_kind_name(w->kind));
  tool_json_set_number(object, "file_bytes", w->size);
  if (w->kind == WALK_SEALED) sealed_json(object, w);
  if (w->kind == WALK_CURRENT && w->decoded) current_json(object, &w->current);
  if (w->kind == WALK_KEY_FILE && w->decoded) key_file_json(object, w->key_file);
  return object;
}
