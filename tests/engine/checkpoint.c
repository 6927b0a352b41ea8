/* SPDX-License-Identifier: Apache-2.0
 *
 * Checkpoints: a copy that is a store of its own, of what was there at the call; and what is refused.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "key_site.h"
#include "one_table.h"
#include "manifest.h"
#include "store.h"

static char copy_path[PATH_BYTES];
static const nacre_slice none = {NULL, 0};

static void setup(void) {
  one_table_make();
  join(copy_path, s.path, "copy");
}
TestSuite(checkpoint, .init = setup, .fini = one_table_remove);

static nacre_checkpoint_report checkpoint(void) {
  nacre_checkpoint_report report;
  ok(nacre_checkpoint(store, copy_path, NULL, &report));
  return report;
}

typedef struct opened {
  nacre_store *store;
  nacre_table *table;
} opened;

static opened open_at(const char *path, const char *name) {
  opened o;
  nacre_store_options options = s.options;
  options.create = false;
  ok(nacre_open(path, &options, &o.store));
  ok(nacre_table_open(o.store, name, NULL, &o.table));
  return o;
}

static void close_all(opened *o) {
  ok(nacre_table_close(o->table));
  ok(nacre_close(o->store));
}

static void check_sound(nacre_table *table) {
  nacre_verify_report report;
  ok(nacre_verify(table, NULL, &report));
  cr_assert_eq(report.fault_count, 0);
  nacre_faults_free(report.faults);
}

/* ---- what is in it ------------------------------------------------------------------------------------- */

Test(checkpoint, is_a_store_of_its_own) {
  put_text(t, "a", "1", false);
  ok(nacre_flush(t));
  put_text(t, "b", "2", false);
  put_text(t, "a", "3", false); /* in the log alone */
  nacre_checkpoint_report report = checkpoint();
  cr_assert_eq(report.tables, 1);
  cr_assert_geq(report.files, 9); /* key files, CURRENT, manifest of both; a segment and a log at least */
  cr_assert_gt(report.bytes, 8 * 8192 / 2);
  put_text(t, "c", "later", false);
  opened copy = open_at(copy_path, "table");
  check_sound(copy.table);
  cr_assert(holds(copy.table, NULL, "a", "3") && holds(copy.table, NULL, "b", "2"));
  cr_assert(holds(copy.table, NULL, "c", NULL));
  put_text(copy.table, "d", "there", true);
  ok(nacre_compact(copy.table, none, none));
  put_text(t, "d", "here", true);
  ok(nacre_compact(t, none, none));
  check_sound(copy.table);
  check_sound(t);
  close_all(&copy);
  copy = open_at(copy_path, "table");
  cr_assert(holds(copy.table, NULL, "d", "there") && holds(t, NULL, "d", "here"));
  cr_assert(holds(copy.table, NULL, "c", NULL) && holds(t, NULL, "c", "later"));
  close_all(&copy);
}

/* Twice as after a crash, and as after a clean end, of tables that nobody has opened or written to. */
Test(checkpoint, takes_tables_as_they_lie) {
  nacre_table *other;
  ok(nacre_table_create(store, "other", NULL, &other));
  put_text(other, "x", "1", false);
  ok(nacre_flush(other));
  put_text(other, "x", "2", false);
  put_text(t, "a", "1", false);
  ok(nacre_table_create(store, "empty", NULL, NULL));
  checkpoint();
  ok(nacre_table_close(other));
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  opened copy = open_at(copy_path, "table"); /* unclean: as it stood */
  char second[PATH_BYTES];
  join(second, s.path, "second");
  nacre_checkpoint_report report;
  ok(nacre_checkpoint(copy.store, second, NULL, &report));
  cr_assert_eq(report.tables, 3);
  cr_assert(holds(copy.table, NULL, "a", "1"));
  close_all(&copy);
  copy = open_at(second, "other");
  check_sound(copy.table);
  cr_assert(holds(copy.table, NULL, "x", "2"));
  put_text(copy.table, "x", "3", true);
  close_all(&copy);
  t = site_table(&s, &store, "table"); /* closed cleanly: open again, and not written to */
  join(copy_path, s.path, "third");
  checkpoint();
  copy = open_at(copy_path, "other");
  nacre_recovery_report recovery;
  ok(nacre_table_recovery(copy.table, &recovery));
  cr_assert(recovery.clean);
  cr_assert(holds(copy.table, NULL, "x", "2"));
  close_all(&copy);
}

Test(checkpoint, can_be_taken_read_only) {
  put_text(t, "a", "1", false);
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  nacre_store_options options = s.options;
  options.create = false;
  options.read_only = true;
  ok(nacre_open(s.store, &options, &store));
  uint64_t before = tree_digest(s.store, "LOCK");
  checkpoint();
  cr_assert_eq(tree_digest(s.store, "LOCK"), before);
  ok(nacre_close(store));
  opened copy = open_at(copy_path, "table");
  cr_assert(holds(copy.table, NULL, "a", "1"));
  put_text(copy.table, "b", "2", true);
  close_all(&copy);
  t = site_table(&s, &store, "table");
}

Test(checkpoint, leaves_out_what_is_not_committed) {
  nacre_load *load;
  put_text(t, "a", "1", false);
  ok(nacre_load_begin(t, NULL, &load));
  ok(nacre_load_put(load, text("a"), text("2")));
  checkpoint();
  ok(nacre_load_commit(load));
  opened copy = open_at(copy_path, "table");
  check_sound(copy.table);
  cr_assert(holds(copy.table, NULL, "a", "1") && holds(t, NULL, "a", "2"));
  close_all(&copy);
  join(copy_path, s.path, "second");
  checkpoint();
  copy = open_at(copy_path, "table");
  check_sound(copy.table);
  cr_assert(holds(copy.table, NULL, "a", "2"));
  put_text(copy.table, "b", "3", true);
  close_all(&copy);
}

/* Old and new key, and a change whose rewrap has not come to an end: each copy opens under what it was made of. */
Test(checkpoint, keeps_its_keys_when_the_store_changes_them, .init = NULL, .fini = NULL) {
  key_site k;
  char paths[3][PATH_BYTES];
  key_site_make(&k);
  for (int i = 0; i < 3; i++) {
    char name[16];
    snprintf(name, sizeof name, "copy-%d", i);
    join(paths[i], k.s.path, name);
    ok(nacre_checkpoint(k.store, paths[i], NULL, NULL));
    ok(nacre_table_rotate(k.t));
    if (i == 1) ok(nacre_table_rewrap_wait(k.t, NULL));
  }
  key_site_close(&k);
  nacre_store_options options = k.s.options;
  options.create = false;
  for (int i = 0; i < 3; i++) {
    opened copy;
    ok(nacre_open(paths[i], &options, &copy.store));
    ok(nacre_table_open(copy.store, "table", NULL, &copy.table));
    check_sound(copy.table);
    put_text(copy.table, "new", "1", true);
    ok(nacre_table_rotate(copy.table));
    ok(nacre_table_rewrap_wait(copy.table, NULL));
    check_sound(copy.table);
    close_all(&copy);
  }
  key_site_reopen(&k);
  key_site_check(&k);
  key_site_remove(&k);
}

/* The table is written to and flushed while each of its files is copied: the manifest grows, and logs go. */
static bool growing;
static unsigned grown;
static int grow_and_refuse(void *c, nacre_io_file *from, nacre_io_file *to, uint64_t offset, uint64_t size) {
  char key[16];
  (void)c, (void)from, (void)to, (void)offset, (void)size;
  if (growing) return EXDEV;
  growing = true;
  snprintf(key, sizeof key, "k%04u", grown++);
  put_text(t, key, "1", false);
  ok(nacre_flush(t));
  growing = false;
  return EXDEV;
}

Test(checkpoint, is_of_one_moment_though_the_table_goes_on) {
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  s.quick.file_copy = grow_and_refuse; /* what is copied is copied by hand then */
  t = site_table(&s, &store, "table");
  put_text(t, "a", "1", false);
  checkpoint();
  opened copy = open_at(copy_path, "table");
  check_sound(copy.table);
  cr_assert(holds(copy.table, NULL, "a", "1"));
  unsigned there = 0;
  for (unsigned i = 0; i < grown; i++) {
    char key[16];
    snprintf(key, sizeof key, "k%04u", i);
    bool holds_it = holds(copy.table, NULL, key, "1");
    cr_assert(!holds_it || there == i, "an older write is missing");
    there += holds_it;
  }
  cr_assert_lt(there, grown, "nothing was written behind the moment");
  put_text(copy.table, "b", "2", true);
  check_sound(copy.table);
  close_all(&copy);
  check_sound(t);
}

/* ---- what is refused ----------------------------------------------------------------------------------- */

Test(checkpoint, refuses_a_place_that_is_taken) {
  char path[PATH_BYTES];
  checkpoint();
  fails(nacre_checkpoint(store, copy_path, NULL, NULL), NC_E_STORE_EXISTS);
  fails(nacre_checkpoint(store, s.store, NULL, NULL), NC_E_STORE_EXISTS);
  fails(nacre_checkpoint(store, s.path, NULL, NULL), NC_E_STORE_NOT_EMPTY);
  join(path, s.store, "inside");
  fails(nacre_checkpoint(store, path, NULL, NULL), NC_E_CHECKPOINT_INSIDE);
  fails(nacre_checkpoint(store, NULL, NULL, NULL), NC_E_ARGUMENT);
  fails(nacre_checkpoint(NULL, copy_path, NULL, NULL), NC_E_ARGUMENT);
  nacre_checkpoint_options strange = {.reserved = {1}};
  fails(nacre_checkpoint(store, copy_path, &strange, NULL), NC_E_OPTION_RESERVED);
  join(path, s.path, "missing/copy");
  fails(nacre_checkpoint(store, path, NULL, NULL), NC_E_OS_NOT_FOUND);
}

Test(checkpoint, of_a_table_that_is_lost_fails) {
  char path[PATH_BYTES], away[PATH_BYTES];
  ok(nacre_table_close(t));
  nacre_table_infos *infos;
  ok(nacre_table_list(store, &infos));
  join(path, s.store, nacre_table_infos_at(infos, 0)->uuid);
  nacre_table_infos_free(infos);
  join(away, s.path, "away");
  cr_assert_eq(rename(path, away), 0);
  fails(nacre_checkpoint(store, copy_path, NULL, NULL), NC_E_TABLE_LOST);
  nacre_store *nothing;
  nacre_store_options options = s.options;
  options.create = false;
  fails(nacre_open(copy_path, &options, &nothing), NC_E_STORE_MISSING);
  cr_assert_eq(rename(away, path), 0);
  ok(nacre_table_open(store, "table", NULL, &t));
}

static void note_progress(void *arg, uint64_t done, uint64_t total) {
  uint64_t *seen = arg;
  cr_assert(done > seen[0] && done <= total);
  seen[0] = done;
  seen[1] = total;
}

Test(checkpoint, tells_how_far_it_is) {
  uint64_t seen[2] = {0};
  for (int i = 0; i < 3; i++) {
    put_text(t, "a", "1", false);
    ok(nacre_flush(t));
  }
  nacre_checkpoint_options options = {.on_progress = note_progress, .progress_arg = seen};
  ok(nacre_checkpoint(store, copy_path, &options, NULL));
  cr_assert(seen[0] == seen[1] && seen[1] > 0);
}
