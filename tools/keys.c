/* SPDX-License-Identifier: Apache-2.0
 *
 * keys: `nacre keys set`, `rotate` and `wait`: changes of table keys, and the end of them.
 */
#include <string.h>

#include "exit_status.h"
#include "failure.h"
#include "keys_watch.h"
#include "render_json.h"
#include "render_text.h"
#include "text_key.h"

typedef struct change {
  const options *o;
  session session;
  keys_watch watch;
  bool waited; /* for a table's rewrapper, which reported: */
  nacre_rewrap_report report;
} change;

/* ---- telling ------------------------------------------------------------------------------------------- */

static const nacre_key_version *active_of(const nacre_key_status *keys) {
  for (size_t i = 0; i < nacre_key_versions_count(keys->versions); i++) {
    if (nacre_key_versions_at(keys->versions, i)->active) return nacre_key_versions_at(keys->versions, i);
  }
  return NULL;
}

static void tell_json(const change *c, const char *table, const nacre_key_status *keys) {
  json_t *object = json_object(), *gone = json_array(), *needed = json_array();
  const nacre_key_version *active = active_of(keys);
  if (table == NULL) {
    json_object_set_new(object, "table", json_null()); /* the catalogue */
  } else {
    tool_json_set_bytes(object, "table", tool_slice(table, strlen(table)), BYTES_TEXT);
  }
  tool_json_set_number(object, "kek_version", active == NULL ? NACRE_NONE : active->version);
  tool_json_set_text(object, "kek_id", active == NULL ? NULL : active->kek_id);
  tool_json_set_number(object, "files", keys->files);
  tool_json_set_number(object, "files_left", keys->files_left);
  json_object_set_new(object, "done", json_boolean(!keys->changing && !keys->rewrapping));
  for (size_t i = 0; i < c->watch.retired_count; i++) {
    json_t *item = json_object();
    tool_json_set_number(item, "kek_version", c->watch.retired[i].version);
    tool_json_set_text(item, "key_uri", c->watch.retired[i].uri);
    json_array_append_new(gone, item);
  }
  for (size_t i = 0; i < nacre_kms_keys_count(keys->kms_keys); i++)
    json_array_append_new(needed, json_string(nacre_kms_keys_at(keys->kms_keys, i)->uri));
  if (c->waited) {
    tool_json_set_number(object, "files_rewrapped",
                         c->report.rewrapped + c->report.healed + c->report.copied);
    tool_json_set_number(object, "header_bytes_written", c->report.header_bytes);
    tool_json_set_number(object, "copied_bytes", c->report.copied_bytes);
  }
  json_object_set_new(object, "retired", gone);
  json_object_set_new(object, "key_uris_needed", needed);
  tool_json_line(object, stdout);
}

/* Whether a KMS key went with a version, so that its line tells of the version, too. */
static bool told_with_key(const keys_watch *w, uint32_t version) {
  for (size_t i = 0; i < w->retired_count; i++) {
    if (w->retired[i].uri != NULL && w->retired[i].version == version) return true;
  }
  return false;
}

static void tell_retired(const keys_watch *w) {
  const char *who = w->table == NULL ? "the catalogue" : "this table";
  for (size_t i = 0; i < w->retired_count; i++) {
    const retired *r = &w->retired[i];
    if (r->uri != NULL) {
      printf("no file is left under version %u: KMS key ", r->version);
      tool_text_safe(stdout, r->uri);
      printf(" is no longer needed by %s\n", who);
    } else if (!told_with_key(w, r->version)) {
      printf("no file is left under version %u\n", r->version);
    }
  }
}

static void tell_name(const char *table) {
  bytes name = {0};
  if (table != NULL) tool_text_escape(&name, tool_slice(table, strlen(table)));
  tool_text_styled(stdout, STYLE_HEAD, table == NULL ? "the catalogue" : tool_bytes_text(&name));
  tool_bytes_free(&name);
}

static void tell_report(const nacre_rewrap_report *r) {
  char files[TOOL_UNIT_TEXT_BYTES], size[TOOL_UNIT_TEXT_BYTES];
  uint64_t count = r->rewrapped + r->healed + r->copied;
  if (count == 0) return;
  printf("%s rewritten, %s written; the data stay as they are",
         tool_text_counted(files, count, "header", "headers"), tool_text_size(size, r->header_bytes, false));
  if (r->copied > 0) {
    printf(", but %s copied, %s", tool_text_counted(files, r->copied, "file was", "files were"),
           tool_text_size(size, r->copied_bytes, false));
  }
  putchar('\n');
}

static void tell_text(const change *c, const char *table, const nacre_key_status *keys) {
  char files[TOOL_UNIT_TEXT_BYTES], left[TOOL_UNIT_TEXT_BYTES];
  const nacre_key_version *active = active_of(keys);
  if (c->waited) tell_report(&c->report);
  tell_retired(&c->watch);
  tell_name(table);
  printf(": version %u of its key", active == NULL ? 0 : active->version);
  const char *between = ", wrapped by ";
  for (size_t i = 0; i < nacre_kms_keys_count(keys->kms_keys); i++) {
    const nacre_kms_key *key = nacre_kms_keys_at(keys->kms_keys, i);
    if (!key->current) continue;
    fputs(between, stdout);
    tool_text_safe(stdout, key->uri);
    between = " and ";
  }
  if (!keys->changing && !keys->rewrapping) {
    printf("; %s under it, none under another\n", tool_text_counted(files, keys->files, "file", "files"));
  } else {
    printf(
        "; %s of %s still under an older one: keep the older KMS keys until nacre keys wait says otherwise\n",
        tool_text_count(left, keys->files_left), tool_text_counted(files, keys->files, "file", "files"));
  }
}

static int tell(const change *c, const char *table) {
  nacre_key_status keys;
  nacre_status status = table == NULL ? nacre_store_key_status(c->session.store, &keys)
                                      : nacre_table_key_status(c->session.table, &keys);
  if (status != NACRE_OK) return table == NULL ? tool_fail_last(c->o) : tool_fail_table(c->o, table);
  if (c->o->json) {
    tell_json(c, table, &keys);
  } else if (!c->o->quiet) {
    tell_text(c, table, &keys);
  }
  nacre_key_versions_free(keys.versions);
  nacre_kms_keys_free(keys.kms_keys);
  return TOOL_DONE;
}

/* ---- beginning and ending ------------------------------------------------------------------------------ */

static int begin(change *c, const options *o) {
  c->o = o;
  tool_keys_watch_init(&c->watch, o);
  return tool_store_open_watched(o, ACCESS_WRITE, tool_keys_watch_event, &c->watch, &c->session);
}

static int end(change *c, int status) {
  status = tool_session_close(c->o, &c->session, status);
  tool_keys_watch_deinit(&c->watch);
  return status;
}

static int await_table(change *c, const char *table) {
  tool_keys_watch_draw(&c->watch, true);
  nacre_status status = nacre_table_rewrap_wait(c->session.table, &c->report);
  tool_keys_watch_draw(&c->watch, false);
  c->waited = status == NACRE_OK;
  nacre_retirements_free(c->report.retirements); /* the watch has them, the catalogue's, too */
  c->report.retirements = NULL;
  return c->waited ? TOOL_DONE : tool_fail_table(c->o, table);
}

/* ---- set, rotate --------------------------------------------------------------------------------------- */

static int change_table(change *c, bool set) {
  const options *o = c->o;
  const char *table = o->arguments[1];
  tool_keys_watch_turn(&c->watch, table);
  int status = tool_session_table(o, ACCESS_WRITE, table, &c->session);
  if (status != TOOL_DONE) return status;
  nacre_status changed = set ? nacre_table_set_key(c->session.table, o->table_keys, o->table_key_count)
                             : nacre_table_rotate(c->session.table);
  if (changed != NACRE_OK) return tool_fail_table(o, table);
  if (o->wait) status = await_table(c, table);
  return status == TOOL_DONE ? tell(c, table) : status;
}

static int change_catalogue(change *c, bool set) {
  const options *o = c->o;
  const nacre_key_spec *key = set ? &o->table_keys[0] : &c->session.opening.options.default_key;
  tool_keys_watch_draw(&c->watch, true);
  nacre_status changed =
      set ? nacre_store_set_key(c->session.store, *key) : nacre_store_rotate(c->session.store);
  tool_keys_watch_draw(&c->watch, false);
  if (changed != NACRE_OK) return tool_fail_last(o);
  int status = tell(c, NULL);
  int remembered = tool_opening_remember(o, c->session.store, key);
  return status == TOOL_DONE ? remembered : status;
}

static int run_change(const options *o, bool set) {
  change c = {0};
  int status = begin(&c, o);
  if (status == TOOL_DONE)
    status = o->argument_count == 1 ? change_catalogue(&c, set) : change_table(&c, set);
  return end(&c, status);
}

int tool_keys_set_run(const options *o) {
  if (o->table_key_count == 0) return tool_fail_usage(o, "keys set needs --key URI: the key to change to");
  if (o->argument_count == 1 && o->table_key_count > 1)
    return tool_fail_usage(o, "the catalogue is under one key; a table may be under several");
  for (size_t i = 0; i < o->table_key_count; i++) {
    int status = tool_key_check(o, o->table_keys[i].uri);
    if (status != TOOL_DONE) return status;
  }
  return run_change(o, true);
}

int tool_keys_rotate_run(const options *o) { return run_change(o, false); }

/* ---- wait ---------------------------------------------------------------------------------------------- */

/* Opening the table is what makes its rewrapper go on. */
static int wait_table(void *arg, const nacre_table_info *info) {
  change *c = arg;
  c->report = (nacre_rewrap_report){0};
  tool_keys_watch_turn(&c->watch, info->name);
  int status = tool_session_table(c->o, ACCESS_WRITE, info->name, &c->session);
  if (status != TOOL_DONE) return status;
  status = await_table(c, info->name);
  if (status == TOOL_DONE) status = tell(c, info->name);
  return tool_session_leave(c->o, &c->session, status);
}

static int wait_catalogue(change *c) {
  int status = tool_keys_watch_catalogue(&c->watch, c->session.store);
  return status == TOOL_DONE ? tell(c, NULL) : status;
}

int tool_keys_wait_run(const options *o) {
  change c = {0};
  int status = begin(&c, o);
  if (status != TOOL_DONE) return end(&c, status);
  if (o->argument_count == 1) status = wait_catalogue(&c);
  int tables = tool_session_each(o, &c.session, wait_table, &c);
  return end(&c, status == TOOL_DONE ? tables : status);
}
