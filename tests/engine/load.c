/* SPDX-License-Identifier: Apache-2.0
 *
 * Bulk loads: all at once, newer than what was before, invisible to who looked before; beside writers, changes
 * of keys and crashes.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "key_site.h"
#include "one_table.h"
#include "manifest.h"
#include "store.h"

static const nacre_slice none = {NULL, 0};

TestSuite(load, .init = one_table_make, .fini = one_table_remove);

static nacre_load *begin(void) {
  nacre_load *load;
  ok(nacre_load_begin(t, NULL, &load));
  return load;
}

static void load_text(nacre_load *load, const char *key, const char *value) {
  ok(nacre_load_put(load, text(key), text(value)));
}

static void check_sound(void) {
  nacre_verify_report report;
  ok(nacre_verify(t, NULL, &report));
  cr_assert_eq(report.fault_count, 0);
}

/* In the directory of the open store's only table. */
static size_t segment_files(const char *store_path) {
  char path[PATH_BYTES];
  nacre_table_infos *infos;
  ok(nacre_table_list(store, &infos));
  join(path, store_path, nacre_table_infos_at(infos, 0)->uuid);
  nacre_table_infos_free(infos);
  return count_files(path, ".seg");
}

enum { BOTTOM = 6 }; /* the lowest level */

static uint64_t segments_on(int level) { return stats_now().levels[level].segments; }

/* ---- what a commit shows ------------------------------------------------------------------------------- */

Test(load, shows_all_of_it_at_the_commit) {
  put_text(t, "b", "old", false);
  put_text(t, "d", "old", false);
  nacre_load *load = begin();
  load_text(load, "a", "1");
  load_text(load, "b", "2");
  cr_assert(holds(t, NULL, "a", NULL) && holds(t, NULL, "b", "old"));
  put_text(t, "a", "meanwhile", false); /* older than the load, which is one write at its commit */
  load_text(load, "c", "3");
  ok(nacre_load_commit(load));
  cr_assert(holds(t, NULL, "a", "1") && holds(t, NULL, "b", "2") && holds(t, NULL, "c", "3"));
  cr_assert(holds(t, NULL, "d", "old"));
  put_text(t, "b", "new", false);
  ok(nacre_delete(t, text("c"), NULL));
  cr_assert(holds(t, NULL, "b", "new") && holds(t, NULL, "c", NULL));
  check_sound();
  one_table_reopen(); /* [S6] */
  cr_assert(holds(t, NULL, "a", "1") && holds(t, NULL, "b", "new") && holds(t, NULL, "c", NULL));
  ok(nacre_compact(t, none, none));
  cr_assert(holds(t, NULL, "a", "1") && holds(t, NULL, "b", "new") && holds(t, NULL, "c", NULL));
  check_sound();
}

Test(load, counts_as_one_write) {
  put_text(t, "a", "1", false);
  uint64_t before = stats_now().last_sequence;
  nacre_load *load = begin();
  for (int i = 0; i < 100; i++) {
    char key[8];
    snprintf(key, sizeof key, "k%03d", i);
    load_text(load, key, "v");
  }
  ok(nacre_load_commit(load));
  nacre_stats now = stats_now();
  cr_assert_eq(now.last_sequence, before + 1);
  cr_assert_eq(now.loads, 1);
  cr_assert_gt(now.bytes_loaded, 8192);
  cr_assert_eq(now.logs, 0, "the next log begins behind it");
  one_table_reopen();
  cr_assert_eq(stats_now().last_sequence, before + 1);
  put_text(t, "b", "2", true);
  cr_assert_eq(stats_now().last_sequence, before + 2);
}

Test(load, is_not_seen_by_who_looked_before) {
  put_text(t, "b", "old", false);
  nacre_snapshot *snapshot;
  nacre_iter *iter;
  ok(nacre_snapshot_take(t, &snapshot));
  ok(nacre_iter_open(t, NULL, &iter));
  nacre_load *load = begin();
  load_text(load, "a", "1");
  load_text(load, "b", "2");
  load_text(load, "c", "3");
  ok(nacre_load_commit(load));
  nacre_read_options at = {.snapshot = snapshot};
  for (int round = 0; round < 2; round++) {
    cr_assert(holds(t, snapshot, "a", NULL) && holds(t, snapshot, "b", "old") &&
              holds(t, snapshot, "c", NULL));
    nacre_iter *old;
    ok(nacre_iter_open(t, &at, &old));
    for (int way = 0; way < 4; way++) { /* every way to the only entry of the snapshot */
      way == 0   ? nacre_iter_first(old)
      : way == 1 ? nacre_iter_last(old)
      : way == 2 ? nacre_iter_seek(old, text("a"))
                 : nacre_iter_seek_back(old, text("c"));
      cr_assert(slice_is(nacre_iter_key(old), "b") && slice_is(nacre_iter_value(old), "old"));
      way % 2 == 0 ? nacre_iter_next(old) : nacre_iter_prev(old);
      cr_assert(!nacre_iter_valid(old));
      ok(nacre_iter_status(old));
    }
    nacre_iter_close(old);
    ok(nacre_compact(t, none, none)); /* real sequences are written, and the old value kept */
  }
  nacre_iter_first(iter);
  cr_assert(slice_is(nacre_iter_key(iter), "b") && slice_is(nacre_iter_value(iter), "old"));
  nacre_iter_close(iter);
  nacre_snapshot_release(snapshot);
  cr_assert(holds(t, NULL, "b", "2"));
}

Test(load, several_at_once_order_by_their_commits) {
  nacre_load *first = begin(), *second = begin();
  load_text(first, "a", "first");
  load_text(second, "a", "second");
  load_text(second, "b", "second");
  ok(nacre_load_commit(second));
  ok(nacre_load_commit(first));
  cr_assert(holds(t, NULL, "a", "first") && holds(t, NULL, "b", "second"));
  ok(nacre_compact(t, none, none));
  cr_assert(holds(t, NULL, "a", "first") && holds(t, NULL, "b", "second"));
}

/* ---- what is refused ----------------------------------------------------------------------------------- */

Test(load, refuses_keys_that_do_not_ascend_and_goes_on) {
  nacre_load *load = begin();
  load_text(load, "", "empty");
  fails(nacre_load_put(load, text(""), text("x")), NC_E_LOAD_ORDER);
  load_text(load, "b", "2");
  fails(nacre_load_put(load, text("b"), text("x")), NC_E_LOAD_ORDER);
  fails(nacre_load_put(load, text("a"), text("x")), NC_E_LOAD_ORDER);
  fails(nacre_load_put(load, none, text("x")), NC_E_ARGUMENT);
  fails(nacre_load_put(load, text("c"), (nacre_slice){NULL, 1}), NC_E_ARGUMENT);
  char *large = calloc(1, NACRE_KEY_BYTES_MAX + 1);
  memset(large, 'x', NACRE_KEY_BYTES_MAX + 1);
  cr_assert_eq(nacre_load_put(load, nc_slice(large, NACRE_KEY_BYTES_MAX + 1), text("")), NACRE_TOO_LARGE);
  load_text(load, "c", "");
  ok(nacre_load_commit(load));
  cr_assert(holds(t, NULL, "", "empty") && holds(t, NULL, "b", "2") && holds(t, NULL, "c", ""));
  fails(nacre_load_put(NULL, text("a"), text("")), NC_E_ARGUMENT);
  fails(nacre_load_commit(NULL), NC_E_ARGUMENT);
  nacre_load_options strange = {.reserved = {1}};
  fails(nacre_load_begin(t, &strange, &load), NC_E_OPTION_RESERVED);
  free(large);
}

Test(load, keeps_its_table_open) {
  nacre_load *load = begin();
  load_text(load, "a", "1");
  fails(nacre_table_close(t), NC_E_TABLE_BUSY);
  nacre_load_abort(load);
  nacre_load_abort(NULL);
}

Test(load, an_empty_one_changes_nothing) {
  put_text(t, "a", "1", false);
  uint64_t before = stats_now().manifest_sequence;
  ok(nacre_load_commit(begin()));
  cr_assert_eq(stats_now().manifest_sequence, before);
  cr_assert_eq(segment_files(s.store), 0);
}

Test(load, an_aborted_one_leaves_no_file) {
  nacre_load *load = begin();
  load_text(load, "a", "1");
  cr_assert_eq(segment_files(s.store), 1);
  nacre_load_abort(load);
  cr_assert_eq(segment_files(s.store), 0);
  cr_assert(holds(t, NULL, "a", NULL));
}

/* ---- larger than a segment, and of awkward keys -------------------------------------------------------- */

Test(load, takes_several_segments) {
  enum { ENTRIES = 1500, BYTES = 1000, SEGMENT_BYTES = 400 * 1000 };
  nacre_table_options options = {.segment_bytes = SEGMENT_BYTES};
  nacre_table *own = t;
  ok(nacre_table_create(store, "of small segments", &options, &t));
  uint8_t *value = malloc(BYTES);
  test_random random = {1};
  nacre_load *load = begin();
  char key[16];
  for (int i = 0; i < ENTRIES; i++) {
    snprintf(key, sizeof key, "%05d", i);
    test_random_fill(&random, value, BYTES);
    memcpy(value, key, 6);
    ok(nacre_load_put(load, text(key), nc_slice(value, BYTES)));
  }
  ok(nacre_load_commit(load));
  cr_assert(stats_now().segments >= 3 && stats_now().segments <= ENTRIES * BYTES / SEGMENT_BYTES + 1);
  cr_assert_eq(segments_on(BOTTOM), stats_now().segments);
  nacre_iter *iter;
  ok(nacre_iter_open(t, NULL, &iter));
  int i = 0;
  for (nacre_iter_first(iter); nacre_iter_valid(iter); nacre_iter_next(iter), i++) {
    snprintf(key, sizeof key, "%05d", i);
    cr_assert(slice_is(nacre_iter_key(iter), key));
    cr_assert(memcmp(nacre_iter_value(iter).data, key, 6) == 0 && nacre_iter_value(iter).size == BYTES);
  }
  cr_assert_eq(i, ENTRIES);
  nacre_iter_close(iter);
  ok(nacre_table_close(t));
  t = own;
  free(value);
}

/* ---- where it stands ----------------------------------------------------------------------------------- */

/* Keys `from` to `to`, each with a value that packs well; returns the bytes of its segments. */
static uint64_t load_numbers(int from, int to, const char *value) {
  uint64_t before = stats_now().bytes_loaded;
  nacre_load *load = begin();
  for (int i = from; i <= to; i++) {
    char key[16];
    snprintf(key, sizeof key, "%06d", i);
    load_text(load, key, value);
  }
  ok(nacre_load_commit(load));
  return stats_now().bytes_loaded - before;
}

Test(load, stands_at_the_bottom_where_it_overlaps_nothing) {
  load_numbers(100, 199, "first");
  cr_assert_eq(segments_on(BOTTOM), 1);
  load_numbers(300, 399, "behind");
  load_numbers(200, 299, "between");
  cr_assert(segments_on(BOTTOM) == 3 && stats_now().runs == 1);
  put_text(t, "000050", "young", false);
  ok(nacre_flush(t));
  load_numbers(1, 49, "beneath a young run"); /* a neighbour of its key range, not in it */
  cr_assert(segments_on(BOTTOM) == 4 && stats_now().levels[0].runs == 1);
  put_text(t, "000250", "newer", false);
  ok(nacre_wait_idle(t));
  cr_assert(holds(t, NULL, "000001", "beneath a young run") && holds(t, NULL, "000050", "young"));
  cr_assert(holds(t, NULL, "000250", "newer") && holds(t, NULL, "000251", "between"));
  check_sound();
  one_table_reopen();
  cr_assert(holds(t, NULL, "000399", "behind") && holds(t, NULL, "000250", "newer"));
}

Test(load, stands_above_what_it_overlaps) {
  load_numbers(100, 199, "old");
  load_numbers(150, 160, "new");
  cr_assert(segments_on(BOTTOM) == 1 && segments_on(0) == 1);
  load_numbers(155, 156, "newest");
  cr_assert_eq(stats_now().runs, 3);
  cr_assert(holds(t, NULL, "000149", "old") && holds(t, NULL, "000154", "new") && holds(t, NULL, "000155", "newest"));
  ok(nacre_compact(t, none, none));
  cr_assert(holds(t, NULL, "000149", "old") && holds(t, NULL, "000154", "new") && holds(t, NULL, "000155", "newest"));
}

/* A range delete hides what lies beneath its segment, and nothing of a load that comes after it. */
Test(load, stands_above_range_deletes) {
  load_numbers(100, 109, "old");
  put_text(t, "000900", "far", false); /* so that the range delete has something to hide */
  ok(nacre_flush(t));
  ok(nacre_delete_range(t, text("000500"), text("000901"), NULL));
  ok(nacre_flush(t));
  uint64_t young = segments_on(0);
  load_numbers(600, 609, "new");
  cr_assert(segments_on(0) == young + 1 && segments_on(BOTTOM) == 1);
  load_numbers(400, 409, "clear of it");
  cr_assert_eq(segments_on(BOTTOM), 2);
  cr_assert(holds(t, NULL, "000605", "new") && holds(t, NULL, "000900", NULL));
  ok(nacre_compact(t, none, none));
  cr_assert(holds(t, NULL, "000605", "new") && holds(t, NULL, "000405", "clear of it") && holds(t, NULL, "000900", NULL));
  check_sound();
}

/* Packed for size where it stays, and for speed where it will be written again. */
Test(load, is_packed_as_its_level_is) {
  uint64_t bytes[2];
  for (int round = 0; round < 2; round++) {
    test_random random = {2}; /* the same again: it lies over the first */
    nacre_load *load = begin();
    for (int i = 0; i < 5000; i++) {
      char key[8], value[129] = "";
      snprintf(key, sizeof key, "%05d", i);
      for (size_t j = 0; j < sizeof value - 1; j++) value[j] = (char)('0' + test_random_below(&random, 10));
      load_text(load, key, value);
    }
    ok(nacre_load_commit(load));
    bytes[round] = stats_now().bytes_loaded;
  }
  cr_assert(segments_on(BOTTOM) == 1 && segments_on(0) == 1);
  cr_assert_lt(bytes[0], (bytes[1] - bytes[0]) * 3 / 4);
}

/* ---- changes of keys ----------------------------------------------------------------------------------- */

/* A load that rests holds nobody up, and what it has written comes under the new key before the old one goes. */
Test(load, lies_under_the_new_key_when_the_old_one_retires, .init = NULL, .fini = NULL) {
  key_site k;
  key_site_make(&k);
  nacre_load *load;
  ok(nacre_load_begin(k.t, NULL, &load));
  load_text(load, "m", "1");
  ok(nacre_table_rotate(k.t));
  nacre_rewrap_report report;
  ok(nacre_table_rewrap_wait(k.t, &report));
  cr_assert_eq(report.versions_retired, 1);
  nacre_retirements_free(report.retirements);
  load_text(load, "n", "2");
  ok(nacre_table_rotate(k.t));
  ok(nacre_table_rewrap_wait(k.t, NULL));
  ok(nacre_load_commit(load));
  cr_assert_eq(key_site_only_version(&k), 3);
  key_site_reopen(&k);
  cr_assert(holds(k.t, NULL, "m", "1") && holds(k.t, NULL, "n", "2"));
  key_site_check(&k);
  key_site_remove(&k);
}

/* A file of several names is copied when its header changes: one that is still written to would lose what follows. */
Test(load, is_ended_before_its_file_is_copied, .init = NULL, .fini = NULL) {
  key_site k;
  char path[PATH_BYTES], second[PATH_BYTES];
  nacre_load *load;
  key_site_make(&k);
  put_text(k.t, "first", "1", false); /* the load's segment is the newest file then */
  ok(nacre_load_begin(k.t, NULL, &load));
  load_text(load, "m", "1");
  for (size_t i = 0; i < 100; i++) { /* the highest number */
    char name[32];
    snprintf(name, sizeof name, "%020u.seg", (unsigned)(99 - i));
    join(path, k.table_path, name);
    if (file_is_there(path)) break;
  }
  join(second, k.s.path, "second-name");
  cr_assert_eq(link(path, second), 0);
  ok(nacre_table_rotate(k.t));
  nacre_rewrap_report report;
  ok(nacre_table_rewrap_wait(k.t, &report));
  cr_assert_geq(report.copied, 1);
  nacre_retirements_free(report.retirements);
  load_text(load, "n", "2");
  ok(nacre_load_commit(load));
  key_site_reopen(&k);
  cr_assert(holds(k.t, NULL, "m", "1") && holds(k.t, NULL, "n", "2"));
  ok(nacre_verify(k.t, NULL, NULL));
  key_site_remove(&k);
}

/* ---- crashes ------------------------------------------------------------------------------------------- */

Test(load, that_was_not_committed_is_gone_after_a_crash) {
  char copy[PATH_BYTES];
  put_text(t, "a", "old", false);
  nacre_load *load = begin();
  load_text(load, "a", "1");
  join(copy, s.path, "copy");
  tree_copy(s.store, copy);
  nacre_load_abort(load);
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  nacre_store_options options = s.options;
  ok(nacre_open(copy, &options, &store));
  ok(nacre_table_open(store, "table", NULL, &t));
  cr_assert(holds(t, NULL, "a", "old"));
  put_text(t, "b", "2", true); /* the first write removes what is left of it */
  cr_assert_eq(segment_files(copy), 1, "the flushed log alone");
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  t = site_table(&s, &store, "table");
}

Test(load, is_there_after_a_crash_once_it_is_committed) {
  char copy[PATH_BYTES];
  put_text(t, "a", "old", false);
  nacre_load *load = begin();
  load_text(load, "a", "1");
  ok(nacre_load_commit(load));
  put_text(t, "c", "3", false);
  join(copy, s.path, "copy");
  tree_copy(s.store, copy);
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  ok(nacre_open(copy, &s.options, &store));
  ok(nacre_table_open(store, "table", NULL, &t));
  cr_assert(holds(t, NULL, "a", "1") && holds(t, NULL, "c", "3"));
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  t = site_table(&s, &store, "table");
}

/* ---- a failing disk ------------------------------------------------------------------------------------ */

/* NULL: it is committed, or never began. */
static nacre_load *load_few(nacre_status *ret_status) {
  nacre_load *load;
  *ret_status = nacre_load_begin(t, NULL, &load);
  if (*ret_status != NACRE_OK) return NULL;
  *ret_status = nacre_load_put(load, text("a"), text("1"));
  if (*ret_status == NACRE_OK) *ret_status = nacre_load_put(load, text("b"), text("2"));
  if (*ret_status == NACRE_OK) *ret_status = nacre_load_commit(load);
  return *ret_status == NACRE_OK ? NULL : load;
}

/* Whichever operation fails: all or nothing; a second try of the commit, or another load, succeeds. */
Test(load, all_or_nothing_whichever_operation_fails) {
  bool went_well = false;
  for (uint64_t n = 1; n < 200 && !went_well; n++) {
    site place;
    site_make(&place);
    failing_io f;
    failing_init(&f);
    f.code = n % 2 == 0 ? EIO : ENOSPC;
    place.options.io = &f.io;
    nacre_store *there;
    nacre_table *kept = t;
    t = site_table(&place, &there, "table");
    put_text(t, "a", "old", false);
    f.fail_at = atomic_load(&f.count) + n;
    nacre_status status;
    nacre_load *load = load_few(&status);
    went_well = f.fail_at > atomic_load(&f.count);
    cr_assert(status == NACRE_OK || holds(t, NULL, "b", NULL));
    cr_assert(holds(t, NULL, "a", status == NACRE_OK ? "1" : "old"));
    f.fail_at = 0;
    bool again = status != NACRE_OK;
    if (load != NULL && nacre_load_commit(load) == NACRE_OK) again = false;
    if (again) {
      nacre_load_abort(load);
      cr_assert(holds(t, NULL, "a", "old") && holds(t, NULL, "b", NULL));
      ok(nacre_load_begin(t, NULL, &load));
      load_text(load, "a", "1");
      load_text(load, "b", "2");
      ok(nacre_load_commit(load));
    }
    cr_assert(holds(t, NULL, "a", "1") && holds(t, NULL, "b", "2"));
    put_text(t, "c", "3", true);
    check_sound();
    nacre_status closed = nacre_table_close(t);
    cr_assert_eq(closed, NACRE_OK);
    ok(nacre_close(there));
    t = site_table(&place, &there, "table");
    cr_assert(holds(t, NULL, "a", "1") && holds(t, NULL, "b", "2") && holds(t, NULL, "c", "3"));
    ok(nacre_table_close(t));
    ok(nacre_close(there));
    site_remove(&place);
    t = kept;
  }
  cr_assert(went_well, "there is an end of operations");
}
