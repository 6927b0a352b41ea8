/* SPDX-License-Identifier: Apache-2.0
 *
 * table: `nacre table create`, `list`, `info`, `drop` and `rename`.
 */
#include <string.h>

#include "exit_status.h"
#include "failure.h"
#include "render_json.h"
#include "render_text.h"
#include "store_access.h"
#include "text_key.h"

static const char *compression_name(nacre_compression compression) {
  switch (compression) {
    case NACRE_COMPRESSION_AUTOMATIC:
      return "auto";
    case NACRE_COMPRESSION_NONE:
      return "none";
    case NACRE_COMPRESSION_LZ4:
      return "lz4";
    case NACRE_COMPRESSION_ZSTD:
      return "zstd";
  }
  return "unknown";
}

static int done(const options *o, const char *what, const char *name) {
  if (o->json) {
    json_t *object = json_object();
    tool_json_set_bytes(object, what, tool_slice(name, strlen(name)), BYTES_TEXT);
    tool_json_line(object, stdout);
  }
  return TOOL_DONE;
}

int tool_table_create_run(const options *o) {
  session a;
  int status = TOOL_DONE;
  for (size_t i = 0; i < o->table_key_count && status == TOOL_DONE; i++) {
    status = tool_key_check(o, o->table_keys[i].uri);
  }
  if (status == TOOL_DONE) status = tool_store_open(o, ACCESS_WRITE, &a);
  if (status != TOOL_DONE) return status;
  nacre_table_options table_options = {.keys = o->table_keys,
                                       .key_count = o->table_key_count,
                                       .compression = o->compression,
                                       .block_bytes = o->block_bytes,
                                       .filter_bits_per_key = o->filter_bits,
                                       .large_value_bytes = o->large_value_bytes,
                                       .segment_bytes = o->segment_bytes,
                                       .level_ratio = (uint32_t)o->level_ratio};
  if (o->table_key_count == 0) table_options.keys = NULL;
  if (nacre_table_create(a.store, o->arguments[1], &table_options, NULL) != NACRE_OK)
    status = tool_fail_last(o);
  status = tool_session_close(o, &a, status);
  return status == TOOL_DONE ? done(o, "created", o->arguments[1]) : status;
}

int tool_table_drop_run(const options *o) {
  session a;
  int status = tool_store_open(o, ACCESS_WRITE, &a);
  if (status != TOOL_DONE) return status;
  if (nacre_table_drop(a.store, o->arguments[1]) != NACRE_OK) status = tool_fail_last(o);
  status = tool_session_close(o, &a, status);
  return status == TOOL_DONE ? done(o, "dropped", o->arguments[1]) : status;
}

int tool_table_rename_run(const options *o) {
  session a;
  int status = tool_store_open(o, ACCESS_WRITE, &a);
  if (status != TOOL_DONE) return status;
  if (nacre_table_rename(a.store, o->arguments[1], o->arguments[2]) != NACRE_OK) status = tool_fail_last(o);
  status = tool_session_close(o, &a, status);
  return status == TOOL_DONE ? done(o, "renamed", o->arguments[2]) : status;
}

static const char *or_null(const char *text) { return text != NULL && text[0] != 0 ? text : NULL; }

static json_t *json_of(const nacre_table_info *info) {
  json_t *object = json_object(), *keys = json_array();
  tool_json_set_bytes(object, "name", tool_slice(info->name, strlen(info->name)), BYTES_TEXT);
  tool_json_set_text(object, "uuid", info->uuid);
  tool_json_set_number(object, "created_unix_ms", info->created_ms);
  tool_json_set_text(object, "kek_id", info->kek_id);
  tool_json_set_number(object, "kek_version", info->kek_version);
  tool_json_set_text(object, "compression", compression_name(info->compression));
  tool_json_set_number(object, "block_bytes", info->block_bytes);
  tool_json_set_number(object, "filter_bits_per_key",
                       info->filter_bits_per_key == UINT32_MAX ? 0 : info->filter_bits_per_key);
  if (info->large_value_bytes != NACRE_NONE)
    tool_json_set_number(object, "large_value_bytes", info->large_value_bytes);
  tool_json_set_number(object, "segment_bytes", info->segment_bytes);
  tool_json_set_number(object, "level_ratio", info->level_ratio);
  for (size_t i = 0; i < info->key_count; i++) {
    json_t *key = json_object();
    tool_json_set_text(key, "uri", info->keys[i].uri);
    tool_json_set_text(key, "region", or_null(info->keys[i].region));
    tool_json_set_text(key, "principal", or_null(info->keys[i].principal));
    json_array_append_new(keys, key);
  }
  json_object_set_new(object, "keys", keys);
  return object;
}

/* A table's name is any bytes: what is not printable is escaped, as keys are. */
static const char *name_text(const nacre_table_info *info, bytes *to) {
  tool_bytes_clear(to);
  tool_text_escape(to, tool_slice(info->name, strlen(info->name)));
  return tool_bytes_text(to);
}

static void list_text(const nacre_table_infos *infos) {
  text_table t = {.columns = 4};
  bytes name = {0};
  for (const char *const *head = (const char *const[]){"NAME", "UUID", "CREATED", "KEYS", NULL};
       *head != NULL; head++) {
    tool_text_table_cell(&t, "%s", *head);
  }
  for (size_t i = 0; i < nacre_table_infos_count(infos); i++) {
    const nacre_table_info *info = nacre_table_infos_at(infos, i);
    char time[TOOL_UNIT_TEXT_BYTES];
    tool_text_table_cell(&t, "%s", name_text(info, &name));
    tool_text_table_cell(&t, "%s", info->uuid);
    tool_text_table_cell(&t, "%s", tool_text_time(time, info->created_ms));
    if (info->key_count == 1) {
      tool_text_table_cell(&t, "%s", info->keys[0].uri);
    } else {
      tool_text_table_cell(&t, "%zu keys", info->key_count);
    }
  }
  tool_text_table_print(&t);
  tool_bytes_free(&name);
}

static void list_json(const nacre_table_infos *infos) {
  json_t *object = json_object(), *tables = json_array();
  for (size_t i = 0; i < nacre_table_infos_count(infos); i++) {
    json_array_append_new(tables, json_of(nacre_table_infos_at(infos, i)));
  }
  json_object_set_new(object, "tables", tables);
  tool_json_line(object, stdout);
}

int tool_table_list_run(const options *o) {
  session a;
  nacre_table_infos *infos = NULL;
  int status = tool_store_open(o, ACCESS_READ, &a);
  if (status != TOOL_DONE) return status;
  if (nacre_table_list(a.store, &infos) != NACRE_OK) {
    status = tool_fail_last(o);
  } else if (o->json) {
    list_json(infos);
  } else {
    list_text(infos);
  }
  nacre_table_infos_free(infos);
  return tool_session_close(o, &a, status);
}

static void info_text(const nacre_table_info *info) {
  char text[TOOL_UNIT_TEXT_BYTES];
  bytes name = {0};
  tool_text_styled(stdout, STYLE_HEAD, name_text(info, &name));
  putchar('\n');
  tool_bytes_free(&name);
  tool_text_field("UUID, directory", "%s", info->uuid);
  tool_text_field("created", "%s", tool_text_time(text, info->created_ms));
  tool_text_field("table key (KEK)", "%s, version %u", info->kek_id, info->kek_version);
  for (size_t i = 0; i < info->key_count; i++) {
    const nacre_key_spec *key = &info->keys[i];
    bool region = key->region != NULL && key->region[0] != 0,
         principal = key->principal != NULL && key->principal[0] != 0;
    tool_text_field(i == 0 ? "wrapped by" : "and by", "%s%s%s%s%s", key->uri, region ? ", region " : "",
                    region ? key->region : "", principal ? ", as " : "", principal ? key->principal : "");
  }
  tool_text_field("compression", "%s", compression_name(info->compression));
  tool_text_field("block size", "%s", tool_text_size(text, info->block_bytes, true));
  if (info->filter_bits_per_key == UINT32_MAX) {
    tool_text_field("filter", "none");
  } else {
    tool_text_field("filter", "%u bits a key", info->filter_bits_per_key);
  }
  if (info->large_value_bytes == NACRE_NONE) {
    tool_text_field("large values", "those that do not fit the log");
  } else {
    tool_text_field("large values", "over %s", tool_text_size(text, info->large_value_bytes, true));
  }
  tool_text_field("segments", "up to %s", tool_text_size(text, info->segment_bytes, true));
  tool_text_field("levels", "%u times the one above", info->level_ratio);
}

int tool_table_info_run(const options *o) {
  session a;
  nacre_table_infos *infos = NULL;
  int status = tool_store_open(o, ACCESS_READ, &a);
  if (status != TOOL_DONE) return status;
  const nacre_table_info *found = NULL;
  if (nacre_table_list(a.store, &infos) != NACRE_OK) {
    status = tool_fail_last(o);
  } else {
    for (size_t i = 0; found == NULL && i < nacre_table_infos_count(infos); i++) {
      const nacre_table_info *info = nacre_table_infos_at(infos, i);
      if (strcmp(info->name, o->arguments[1]) == 0) found = info;
    }
    if (found == NULL) {
      status =
          tool_fail(o, NACRE_NOT_FOUND, NULL, "the store %s has no table %s (nacre table list %s shows all)",
                    o->arguments[0], o->arguments[1], o->arguments[0]);
    } else if (o->json) {
      tool_json_line(json_of(found), stdout);
    } else {
      info_text(found);
    }
  }
  nacre_table_infos_free(infos);
  return tool_session_close(o, &a, status);
}
