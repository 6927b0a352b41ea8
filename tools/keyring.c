/* SPDX-License-Identifier: Apache-2.0
 *
 * keyring: `nacre keyring …`: the root keys of the user's own keyring, and its passphrase.
 */
#include <stdlib.h>
#include <string.h>

#include "exit_status.h"
#include "failure.h"
#include "passphrase.h"
#include "render_json.h"
#include "render_text.h"

enum { PATH_BYTES = 4096 };

/* What each of these commands begins with. */
typedef struct target {
  char uri[PATH_BYTES + 8], path[PATH_BYTES];
  bool is_protected;
  nacre_passphrase_ask ask;
  void *ask_arg;
} target;

static int find(const options *o, target *t) {
  int size = snprintf(t->uri, sizeof t->uri, "local:%s", o->keyring == NULL ? "" : o->keyring);
  if (size < 0 || (size_t)size >= sizeof t->uri || (o->keyring != NULL && o->keyring[0] == 0))
    return tool_fail_usage(o, "--keyring takes the path of a keyring");
  if (nacre_keyring_path(t->uri, t->path, sizeof t->path) != NACRE_OK ||
      nacre_keyring_is_protected(t->uri, &t->is_protected) != NACRE_OK) {
    return tool_fail_last(o);
  }
  tool_passphrase_source(o, &t->ask, &t->ask_arg);
  return TOOL_DONE;
}

/* ---- list ---------------------------------------------------------------------------------------------- */

static void show_json(const target *t, const nacre_keyring_key *keys, size_t count) {
  json_t *object = json_object(), *list = json_array();
  tool_json_set_text(object, "keyring", t->path);
  json_object_set_new(object, "passphrase", json_boolean(t->is_protected));
  for (size_t i = 0; i < count; i++) {
    json_array_append_new(list, json_pack("{s:s,s:I,s:b}", "id", keys[i].id, "created_ms",
                                          (json_int_t)keys[i].created_ms, "wraps", keys[i].wraps));
  }
  json_object_set_new(object, "keys", list);
  tool_json_line(object, stdout);
}

static void show_text(const target *t, const nacre_keyring_key *keys, size_t count) {
  static const bool right[] = {false, false, false};
  text_table table = {.columns = 3, .right = right};
  char created[TOOL_UNIT_TEXT_BYTES];
  fputs("The keyring ", stdout);
  tool_text_safe(stdout, t->path);
  puts(t->is_protected ? " lies under a passphrase." : " has no passphrase.");
  tool_text_table_cell(&table, "ROOT KEY");
  tool_text_table_cell(&table, "CREATED");
  tool_text_table_cell(&table, "USE");
  for (size_t i = 0; i < count; i++) {
    tool_text_table_cell(&table, "%s", keys[i].id);
    tool_text_table_cell(&table, "%s", tool_text_time(created, keys[i].created_ms));
    tool_text_table_cell(&table, "%s", keys[i].wraps ? "wraps new table keys" : "opens what it wrapped");
  }
  tool_text_table_print(&table);
}

int tool_keyring_list_run(const options *o) {
  target t;
  nacre_keyring_key keys[NACRE_KEYRING_KEYS_MAX];
  size_t count = 0;
  int status = find(o, &t);
  if (status != TOOL_DONE) return status;
  if (nacre_keyring_list(t.uri, t.ask, t.ask_arg, keys, NACRE_KEYRING_KEYS_MAX, &count) != NACRE_OK)
    return tool_fail_last(o);
  if (o->json) {
    show_json(&t, keys, count);
  } else {
    show_text(&t, keys, count);
  }
  return TOOL_DONE;
}

/* ---- add, remove --------------------------------------------------------------------------------------- */

static int tell_key(const options *o, const target *t, const char *id, const char *sentence) {
  if (o->json) {
    json_t *object = json_object();
    tool_json_set_text(object, "keyring", t->path);
    tool_json_set_text(object, "id", id);
    tool_json_line(object, stdout);
  } else if (!o->quiet) {
    printf(sentence[0] == '+' ? "Added the root key %s.\n%s\n" : "Removed the root key %s.\n%s\n", id,
           sentence + 1);
  }
  return TOOL_DONE;
}

int tool_keyring_add_run(const options *o) {
  target t;
  char id[40];
  int status = find(o, &t);
  if (status != TOOL_DONE) return status;
  if (nacre_keyring_add_key(t.uri, t.ask, t.ask_arg, id) != NACRE_OK) return tool_fail_last(o);
  return tell_key(
      o, &t, id,
      "+It wraps new table keys; older ones stay under the root key that wrapped them until they are "
      "changed.\nCopies of the keyring that were made before do not hold it: make a new one.");
}

int tool_keyring_remove_run(const options *o) {
  target t;
  int status = find(o, &t);
  if (status != TOOL_DONE) return status;
  if (nacre_keyring_remove_key(t.uri, t.ask, t.ask_arg, o->arguments[0]) != NACRE_OK)
    return tool_fail_last(o);
  return tell_key(
      o, &t, o->arguments[0],
      "-What it alone wrapped can be opened only with a copy of the keyring that still holds it.");
}

/* ---- passphrase ---------------------------------------------------------------------------------------- */

static void tell_passphrase(const options *o, const target *t) {
  if (o->json) {
    json_t *object = json_object();
    tool_json_set_text(object, "keyring", t->path);
    json_object_set_new(object, "passphrase", json_boolean(!o->remove));
    tool_json_line(object, stdout);
  } else if (!o->quiet) {
    fputs("The keyring ", stdout);
    tool_text_safe(stdout, t->path);
    puts(o->remove ? " has no passphrase any more."
                   : " lies under the new passphrase. Without it, or without the file, its stores are lost.");
    puts("Copies that were made before, and perhaps blocks of the disk, are as the keyring was then.");
  }
}

int tool_keyring_passphrase_run(const options *o) {
  target t;
  if (o->remove && o->new_passphrase_file != NULL)
    return tool_fail_usage(o, "--remove and --new-passphrase-file exclude each other");
  int status = find(o, &t);
  if (status != TOOL_DONE) return status;
  if (o->remove && !t.is_protected)
    return tool_fail(o, NACRE_NOT_FOUND, t.path, "the keyring has no passphrase");
  status = tool_passphrase_change(o, t.is_protected, &t.ask, &t.ask_arg);
  if (status != TOOL_DONE) return status;
  nacre_status changed = o->remove ? nacre_keyring_unprotect(t.uri, t.ask, t.ask_arg)
                                   : nacre_keyring_protect(t.uri, t.ask, t.ask_arg);
  if (changed != NACRE_OK) return tool_fail_last(o);
  tell_passphrase(o, &t);
  return TOOL_DONE;
}
