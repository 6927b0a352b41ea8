/* SPDX-License-Identifier: Apache-2.0
 *
 * golden_test: opens every golden store by the library, as README.md has it.
 *
 *   golden_test DIRECTORY           DIRECTORY/<store>/{store/, keyring, expected.txt}
 *
 * Works on copies: opened to be read, a store must be what expected.txt says, to the letter; opened to be
 * written, it must take writes, keep them and the rest, and verify.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden.h"
#include "support.h"

enum { TABLES_MAX = 32 };

typedef struct place {
  const char *name; /* of the golden store */
  char golden[GOLDEN_PATH_BYTES], scratch[GOLDEN_PATH_BYTES], store[GOLDEN_PATH_BYTES];
} place;

static nacre_slice text(const char *s) { return (nacre_slice){s, strlen(s)}; }

/* Git keeps no mode: the keyring gets its own again. */
static void begin(place *p, const char *directory, const char *name) {
  char from[GOLDEN_PATH_BYTES], keyring[GOLDEN_PATH_BYTES];
  p->name = name;
  test_path(p->golden, sizeof p->golden, directory, name);
  test_scratch_make(p->scratch, sizeof p->scratch, "golden");
  test_path(p->store, sizeof p->store, p->scratch, "store");
  test_path(from, sizeof from, p->golden, "store");
  golden_copy_store(from, p->store);
  test_path(from, sizeof from, p->golden, "keyring");
  test_path(keyring, sizeof keyring, p->scratch, "keyring");
  golden_copy_file(from, keyring, 0600);
  if (setenv("NACRE_KEYRING", keyring, 1) != 0) test_die("no environment");
}

static nacre_store *open_store(const place *p, bool read_only) {
  nacre_store *store;
  nacre_store_options options = {.read_only = read_only};
  golden_ok(nacre_open(p->store, &options, &store), p->name);
  return store;
}

/* ---- reading ------------------------------------------------------------------------------------------- */

/* Iterators and gets agree on every record. */
static void read_records(void *arg, nacre_table *table, const char *name, golden_records *records) {
  const place *p = arg;
  (void)name; /* need not be text */
  golden_read(table, records);
  for (size_t i = 0; i < records->count; i++) {
    const golden_record *record = &records->list[i];
    nacre_value value;
    nacre_status status = nacre_get(table, (nacre_slice){record->key, record->key_size}, NULL, &value);
    bool same = status == NACRE_OK && value.size == record->value_size &&
                memcmp(value.data, record->value, value.size) == 0;
    CHECK(same, "%s: get and iterator differ at record %zu of a table with %zu", p->name, i, records->count);
    nacre_value_release(&value);
  }
}

static void check_text(const place *p, const char *found) {
  char path[GOLDEN_PATH_BYTES];
  size_t size, line = 1, from = 0, at = 0;
  test_path(path, sizeof path, p->golden, "expected.txt");
  char *expected = golden_read_file(path, &size);
  for (; expected[at] == found[at] && expected[at] != 0; at++) {
    if (expected[at] != '\n') continue;
    from = at + 1;
    line++;
  }
  CHECK(expected[at] == found[at], "%s, line %zu:\n  expected: %.*s\n  found:    %.*s", path, line,
        (int)strcspn(expected + from, "\n"), expected + from, (int)strcspn(found + from, "\n"), found + from);
  free(expected);
}

static void check_reading(place *p) {
  nacre_store *store = open_store(p, true);
  char *found = golden_text(store, read_records, p);
  check_text(p, found);
  free(found);
  golden_ok(nacre_close(store), "closing");
}

/* ---- writing ------------------------------------------------------------------------------------------- */

/* Each table of the store, with the records that it must hold. */
typedef struct tables {
  nacre_store *store;
  nacre_table_infos *infos;
  size_t count;
  nacre_table *open[TABLES_MAX];
  golden_records records[TABLES_MAX];
} tables;

static void open_tables(tables *t, const place *p) {
  t->store = open_store(p, false);
  golden_ok(nacre_table_list(t->store, &t->infos), "listing the tables");
  t->count = nacre_table_infos_count(t->infos);
  if (t->count > TABLES_MAX) test_die("%s has %zu tables", p->name, t->count);
  for (size_t i = 0; i < t->count; i++) {
    const nacre_table_info *info = nacre_table_infos_at(t->infos, i);
    golden_ok(nacre_table_open(t->store, info->name, NULL, &t->open[i]), info->uuid);
  }
}

static void close_tables(tables *t) {
  for (size_t i = 0; i < t->count; i++) golden_ok(nacre_table_close(t->open[i]), "closing a table");
  nacre_table_infos_free(t->infos);
  golden_ok(nacre_close(t->store), "closing");
}

static void write_table(nacre_table *table, golden_records *records) {
  nacre_write_options sync = {.sync = true};
  golden_read(table, records);
  if (records->count > 0) {
    const golden_record *first = &records->list[0];
    nacre_slice key = {first->key, first->key_size};
    golden_ok(nacre_delete(table, key, NULL), "deleting");
    golden_delete(records, key);
  }
  golden_ok(nacre_put(table, text("written later"), text("by another version"), &sync), "writing");
  golden_put(records, text("written later"), text("by another version"));
}

static void check_tables(const tables *t, const place *p, const char *when) {
  for (size_t i = 0; i < t->count; i++) {
    golden_records found = {0};
    nacre_verify_report report;
    const char *uuid = nacre_table_infos_at(t->infos, i)->uuid;
    golden_read(t->open[i], &found);
    CHECK(golden_equal(&found, &t->records[i]), "%s: %s is not what it should be %s", p->name, uuid, when);
    nacre_status status = nacre_verify(t->open[i], NULL, &report);
    CHECK(status == NACRE_OK, "%s: %s does not verify %s: %s", p->name, uuid, when,
          status == NACRE_OK ? "" : nacre_faults_at(report.faults, 0)->text);
    nacre_faults_free(report.faults);
    golden_free(&found);
  }
}

static void check_clean(const tables *t, const place *p) {
  for (size_t i = 0; i < t->count; i++) {
    nacre_recovery_report report;
    golden_ok(nacre_table_recovery(t->open[i], &report), "asking what recovery found");
    CHECK(report.clean, "%s: %s was closed and is not clean", p->name,
          nacre_table_infos_at(t->infos, i)->uuid);
  }
}

static void check_writing(const place *p) {
  const nacre_slice all = {NULL, 0};
  tables *t = test_alloc(sizeof *t);
  open_tables(t, p);
  for (size_t i = 0; i < t->count; i++) write_table(t->open[i], &t->records[i]);
  check_tables(t, p, "after writing");
  close_tables(t);
  open_tables(t, p);
  check_clean(t, p);
  check_tables(t, p, "after reopening");
  for (size_t i = 0; i < t->count; i++) golden_ok(nacre_compact(t->open[i], all, all), "compacting");
  check_tables(t, p, "after compacting");
  close_tables(t);
  for (size_t i = 0; i < t->count; i++) golden_free(&t->records[i]);
  free(t);
}

static bool is_store(const char *directory, const char *name) {
  char path[GOLDEN_PATH_BYTES];
  if (name[0] == '.') return false;
  test_path(path, sizeof path, directory, name);
  DIR *dir = opendir(path);
  if (dir != NULL) (void)closedir(dir);
  return dir != NULL;
}

int main(int argc, char **argv) {
  size_t stores = 0;
  DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
  if (dir == NULL) test_die("usage: %s DIRECTORY", argv[0]);
  for (struct dirent *e; (e = readdir(dir)) != NULL;) {
    place p;
    if (!is_store(argv[1], e->d_name)) continue;
    stores++;
    begin(&p, argv[1], e->d_name);
    check_reading(&p);
    check_writing(&p);
    test_scratch_remove(p.scratch);
  }
  (void)closedir(dir);
  CHECK(stores >= 6, "%zu golden stores in %s", stores, argv[1]);
  return test_finish();
}
