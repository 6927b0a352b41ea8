/* SPDX-License-Identifier: Apache-2.0
 *
 * keys_status: `nacre keys status`: under which keys the catalogue and the tables are, what the KMS keys
 * answer, and which are not needed.
 */
#include <stdlib.h>
#include <string.h>

#include "exit_status.h"
#include "failure.h"
#include "render_json.h"
#include "render_text.h"
#include "store_access.h"
#include "text_key.h"

/* A KMS key that something in the store needs, and what. */
typedef struct needed {
  bytes uri, by;
  json_t *tables; /* null in it: the catalogue */
} needed;

typedef struct key_report {
  const options *o;
  session session;
  json_t *tables;
  needed *needed;
  size_t needed_count;
  bool incomplete; /* something could not be opened */
} key_report;

/* ---- what is needed ------------------------------------------------------------------------------------ */

static needed *find_needed(key_report *r, const char *uri) {
  for (size_t i = 0; i < r->needed_count; i++) {
    if (strcmp(tool_bytes_text(&r->needed[i].uri), uri) == 0) return &r->needed[i];
  }
  r->needed = tool_realloc(r->needed, (r->needed_count + 1) * sizeof *r->needed);
  needed *n = &r->needed[r->needed_count++];
  *n = (needed){.tables = json_array()};
  tool_bytes_add_text(&n->uri, uri);
  return n;
}

static void note_needed(key_report *r, const char *uri, const char *table) {
  needed *n = find_needed(r, uri);
  if (n->by.size > 0) tool_bytes_add_text(&n->by, ", ");
  if (table == NULL) {
    tool_bytes_add_text(&n->by, "the catalogue");
    json_array_append_new(n->tables, json_null());
    return;
  }
  json_t *object = json_object();
  tool_json_set_bytes(object, "table", tool_slice(table, strlen(table)), BYTES_TEXT);
  json_t *name = json_object_get(object, "table");
  json_array_append(n->tables,
                    name != NULL ? name : object); /* a name that is not UTF-8 stays in its object */
  json_decref(object);
  tool_text_escape(&n->by, tool_slice(table, strlen(table)));
}

/* ---- states -------------------------------------------------------------------------------------------- */

static const char *state_of(const nacre_kms_key *key) {
  if (key->checked_ms == 0) return "not asked";
  if (key->status == NACRE_OK) return "usable";
  if (key->status == NACRE_KEY_DENIED) return "denied";
  if (key->status == NACRE_KEY_UNREACHABLE) return "unreachable";
  return key->status == NACRE_KEY_MISSING ? "missing" : nacre_status_name(key->status);
}

/* A version beyond the active one is of a change that the catalogue has not committed. */
static const char *version_state(const nacre_key_status *keys, size_t index) {
  const nacre_key_version *v = nacre_key_versions_at(keys->versions, index);
  for (size_t i = 0; i < index; i++) {
    if (nacre_key_versions_at(keys->versions, i)->active) return "pending";
  }
  return v->active ? "active" : "retiring";
}

static const char *use_of(const nacre_kms_key *key) {
  return key->current ? "in use" : "needed until the rewrap is done";
}

/* ---- JSON ---------------------------------------------------------------------------------------------- */

static json_t *version_json(const nacre_key_status *keys, size_t index) {
  const nacre_key_version *v = nacre_key_versions_at(keys->versions, index);
  json_t *object = json_object();
  tool_json_set_number(object, "kek_version", v->version);
  tool_json_set_text(object, "kek_id", v->kek_id);
  tool_json_set_text(object, "commitment", v->commitment);
  tool_json_set_text(object, "state", version_state(keys, index));
  tool_json_set_number(object, "created_unix_ms", v->created_ms);
  tool_json_set_number(object, "files", v->files);
  return object;
}

static json_t *kms_key_json(const nacre_kms_key *key) {
  json_t *object = json_object();
  tool_json_set_text(object, "uri", key->uri);
  tool_json_set_text(object, "region", key->region);
  tool_json_set_text(object, "principal", key->principal);
  tool_json_set_text(object, "state", state_of(key));
  tool_json_set_text(object, "reason", key->reason[0] == 0 ? NULL : key->reason);
  tool_json_set_number(object, "checked_unix_ms", key->checked_ms == 0 ? NACRE_NONE : key->checked_ms);
  tool_json_set_number(object, "versions", key->versions);
  json_object_set_new(object, "in_use", json_boolean(key->current));
  return object;
}

static json_t *begin_json(const char *table) {
  json_t *object = json_object();
  if (table == NULL) {
    json_object_set_new(object, "table", json_null());
  } else {
    tool_json_set_bytes(object, "table", tool_slice(table, strlen(table)), BYTES_TEXT);
  }
  return object;
}

static void keys_json(key_report *r, const char *table, const nacre_key_status *keys) {
  json_t *object = begin_json(table), *versions = json_array(), *kms_keys = json_array();
  tool_json_set_text(object, "uuid", keys->table_uuid);
  tool_json_set_number(object, "key_file_generation", keys->generation);
  json_object_set_new(object, "changing", json_boolean(keys->changing));
  json_object_set_new(object, "rewrapping", json_boolean(keys->rewrapping));
  tool_json_set_number(object, "files", keys->files);
  tool_json_set_number(object, "files_left", keys->files_left);
  for (size_t i = 0; i < nacre_key_versions_count(keys->versions); i++)
    json_array_append_new(versions, version_json(keys, i));
  for (size_t i = 0; i < nacre_kms_keys_count(keys->kms_keys); i++)
    json_array_append_new(kms_keys, kms_key_json(nacre_kms_keys_at(keys->kms_keys, i)));
  json_object_set_new(object, "versions", versions);
  json_object_set_new(object, "kms_keys", kms_keys);
  json_array_append_new(r->tables, object);
}

static void end_json(key_report *r) {
  json_t *object = json_object(), *list = json_array();
  for (size_t i = 0; i < r->needed_count; i++) {
    json_t *item = json_object();
    tool_json_set_text(item, "uri", tool_bytes_text(&r->needed[i].uri));
    json_object_set(item, "tables", r->needed[i].tables);
    json_array_append_new(list, item);
  }
  json_object_set(object, "tables", r->tables);
  json_object_set_new(object, "needed", list);
  json_object_set_new(object, "complete", json_boolean(!r->incomplete));
  tool_json_line(object, stdout);
}

/* ---- text ---------------------------------------------------------------------------------------------- */

static void head_text(const char *table) {
  bytes name = {0};
  if (table != NULL) tool_text_escape(&name, tool_slice(table, strlen(table)));
  tool_text_styled(stdout, STYLE_HEAD, table == NULL ? "the catalogue" : tool_bytes_text(&name));
  putchar('\n');
  tool_bytes_free(&name);
}

static void versions_text(const nacre_key_status *keys) {
  static const bool right[] = {true, false, false, false, true};
  text_table t = {.columns = 5, .right = right};
  char time[TOOL_UNIT_TEXT_BYTES], count[TOOL_UNIT_TEXT_BYTES];
  for (const char *const *head =
           (const char *const[]){"  VERSION", "TABLE KEY", "CREATED", "STATE", "FILES", NULL};
       *head != NULL; head++)
    tool_text_table_cell(&t, "%s", *head);
  for (size_t i = 0; i < nacre_key_versions_count(keys->versions); i++) {
    const nacre_key_version *v = nacre_key_versions_at(keys->versions, i);
    tool_text_table_cell(&t, "%u", v->version);
    tool_text_table_cell(&t, "%s", v->kek_id);
    tool_text_table_cell(&t, "%s", tool_text_time(time, v->created_ms));
    tool_text_table_cell(&t, "%s", version_state(keys, i));
    tool_text_table_cell(&t, "%s", tool_text_count(count, v->files));
  }
  tool_text_table_print(&t);
}

static void kms_keys_text(const nacre_key_status *keys) {
  static const bool right[] = {false, false, false, false, true, false};
  text_table t = {.columns = 6, .right = right};
  char time[TOOL_UNIT_TEXT_BYTES];
  for (const char *const *head =
           (const char *const[]){"  KMS KEY", "REGION", "STATE", "LAST CHECKED", "VERSIONS", "USE", NULL};
       *head != NULL; head++)
    tool_text_table_cell(&t, "%s", *head);
  for (size_t i = 0; i < nacre_kms_keys_count(keys->kms_keys); i++) {
    const nacre_kms_key *key = nacre_kms_keys_at(keys->kms_keys, i);
    tool_text_table_cell(&t, "  %s", key->uri);
    tool_text_table_cell(&t, "%s", key->region == NULL ? "-" : key->region);
    tool_text_table_cell(&t, "%s", state_of(key));
    tool_text_table_cell(&t, "%s", key->checked_ms == 0 ? "never" : tool_text_time(time, key->checked_ms));
    tool_text_table_cell(&t, "%u", key->versions);
    tool_text_table_cell(&t, "%s", use_of(key));
  }
  tool_text_table_print(&t);
  for (size_t i = 0; i < nacre_kms_keys_count(keys->kms_keys); i++) {
    const nacre_kms_key *key = nacre_kms_keys_at(keys->kms_keys, i);
    if (key->reason[0] == 0) continue;
    fputs("  ", stdout);
    tool_text_safe(stdout, key->reason);
    putchar('\n');
  }
}

static void keys_text(const char *table, const nacre_key_status *keys) {
  char left[TOOL_UNIT_TEXT_BYTES], files[TOOL_UNIT_TEXT_BYTES];
  head_text(table);
  versions_text(keys);
  kms_keys_text(keys);
  if (keys->changing || keys->rewrapping) {
    printf("  a change of keys is not done: %s of %s under older versions (nacre keys wait)\n",
           tool_text_count(left, keys->files_left), tool_text_counted(files, keys->files, "file", "files"));
  }
  putchar('\n');
}

static void end_text(key_report *r) {
  for (size_t i = 0; i < r->needed_count; i++) {
    fputs("needed: ", stdout);
    tool_text_safe(stdout, tool_bytes_text(&r->needed[i].uri));
    fputs(", by ", stdout);
    tool_text_safe(stdout, tool_bytes_text(&r->needed[i].by));
    putchar('\n');
  }
  if (r->incomplete) {
    puts("What could not be opened may need further KMS keys, too: disable none before it has been.");
  } else if (r->o->argument_count > 1) {
    puts("Any other KMS key may be disabled as far as this table goes, but for older copies of it.");
  } else {
    puts("Any other KMS key may be disabled as far as this store goes, but for older copies of it.");
  }
}

/* ---- the command --------------------------------------------------------------------------------------- */

static void show(key_report *r, const char *table, nacre_key_status *keys) {
  for (size_t i = 0; i < nacre_kms_keys_count(keys->kms_keys); i++)
    note_needed(r, nacre_kms_keys_at(keys->kms_keys, i)->uri, table);
  if (r->o->json) {
    keys_json(r, table, keys);
  } else {
    keys_text(table, keys);
  }
  nacre_key_versions_free(keys->versions);
  nacre_kms_keys_free(keys->kms_keys);
}

/* A table that does not open: by which KMS keys it is wrapped is known all the same, from the catalogue. */
static int show_failure(key_report *r, const nacre_table_info *info) {
  nacre_error error;
  nacre_last_error(&error);
  r->incomplete = true;
  for (size_t i = 0; info != NULL && i < info->key_count; i++) note_needed(r, info->keys[i].uri, info->name);
  if (r->o->json) {
    json_t *object = begin_json(info == NULL ? NULL : info->name);
    if (info != NULL) tool_json_set_text(object, "uuid", info->uuid);
    json_object_set_new(object, "error", tool_json_error(&error));
    json_array_append_new(r->tables, object);
  } else {
    head_text(info == NULL ? NULL : info->name);
    fputs("  ", stdout);
    tool_text_styled(stdout, STYLE_BAD, "cannot be opened");
    fputs(": ", stdout);
    tool_text_error(&error, stdout);
    fputs("\n\n", stdout);
  }
  if (info != NULL) tool_error_of_table(&error, info->name);
  return tool_fail_error(r->o, &error);
}

static int show_catalogue(key_report *r) {
  nacre_key_status keys;
  if (nacre_store_key_status(r->session.store, &keys) != NACRE_OK) return show_failure(r, NULL);
  show(r, NULL, &keys);
  return TOOL_DONE;
}

static int show_table(void *arg, const nacre_table_info *info) {
  key_report *r = arg;
  nacre_key_status keys;
  nacre_table_open_options table_options = {.read_only = true};
  nacre_status status = nacre_table_open(r->session.store, info->name, &table_options, &r->session.table);
  if (status == NACRE_OK) status = nacre_table_key_status(r->session.table, &keys);
  int told = TOOL_DONE;
  if (status != NACRE_OK) {
    told = show_failure(r, info);
  } else {
    show(r, info->name, &keys);
  }
  return tool_session_leave(r->o, &r->session, told);
}

static void free_report(key_report *r) {
  for (size_t i = 0; i < r->needed_count; i++) {
    tool_bytes_free(&r->needed[i].uri);
    tool_bytes_free(&r->needed[i].by);
    json_decref(r->needed[i].tables);
  }
  free(r->needed);
  json_decref(r->tables);
}

int tool_keys_status_run(const options *o) {
  key_report r = {.o = o};
  int status = tool_store_open(o, ACCESS_READ, &r.session);
  if (status != TOOL_DONE) return status;
  r.tables = json_array();
  if (o->argument_count == 1) status = show_catalogue(&r);
  int tables = tool_session_each(o, &r.session, show_table, &r);
  if (status == TOOL_DONE) status = tables;
  if (json_array_size(r.tables) == 0 && r.needed_count == 0) {
    /* there is no such table: told */
  } else if (o->json) {
    end_json(&r);
  } else {
    end_text(&r);
  }
  status = tool_session_close(o, &r.session, status);
  free_report(&r);
  return status;
}
