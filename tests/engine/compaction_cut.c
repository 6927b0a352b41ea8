/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a compaction is cut: into pieces of about equal size, in the middle of segments as well, however many there
 * are and however their keys lie.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "compaction_cut.h"
#include "one_table.h"
#include "segment_build.h"

enum { KEYS = 4000, KEY_BYTES = 60, PIECES = 4 };

static nacre_error err;
static nc_view *view;
static nc_compaction all;
static nc_cuts cuts;

static void setup(void) {
  site_make(&s);
  one_table_open();
}
static void teardown(void) {
  nc_cuts_deinit(&cuts);
  nc_compaction_let_go(&all);
  nc_compaction_end(&all);
  nc_view_unref(view);
  one_table_remove();
}
TestSuite(compaction_cut, .init = setup, .fini = teardown);

static nacre_slice key_of(unsigned i, char buffer[KEY_BYTES + 1]) {
  return nc_slice(buffer, (size_t)snprintf(buffer, KEY_BYTES + 1, "%08u/%051u", i, i));
}

/* A run of the keys from `first` on, `step` apart. */
static void run_of(unsigned first, unsigned step, unsigned count) {
  char key[KEY_BYTES + 1], value[100];
  test_random random = {first};
  for (unsigned i = 0; i < count; i++) {
    for (size_t j = 0; j < sizeof value; j++) value[j] = (char)test_random_next(&random);
    ok(nacre_put(t, key_of(first + i * step, key), nc_slice(value, sizeof value), NULL));
  }
  ok(nacre_flush(t));
}

static void find(size_t pieces) {
  uint64_t sequence;
  view = nc_table_view(t, &sequence);
  cr_assert_eq(nc_compaction_pick_range(view->version, (nacre_slice){0}, (nacre_slice){0}, &all, &err), NACRE_OK);
  cr_assert_eq(nc_cuts_find(t->shared->env->heap, &all, pieces, &cuts, &err), NACRE_OK);
}

/* How many of the keys of a run lie before a cut. */
static unsigned before(size_t cut, unsigned first, unsigned step, unsigned count) {
  char key[KEY_BYTES + 1];
  unsigned n = 0;
  while (n < count && nc_slice_compare(key_of(first + n * step, key), cuts.keys[cut]) < 0) n++;
  return n;
}

Test(compaction_cut, one_segment_is_cut_inside) {
  run_of(0, 1, KEYS);
  find(PIECES);
  cr_assert_eq(cuts.count, PIECES - 1);
  for (size_t i = 0; i < cuts.count; i++) {
    unsigned share = KEYS / PIECES * (unsigned)(i + 1), n = before(i, 0, 1, KEYS);
    cr_expect(n > share - KEYS / 10 && n < share + KEYS / 10, "%u keys before cut %zu", n, i);
  }
}

Test(compaction_cut, all_segments_count) {
  run_of(0, 1, KEYS / 4); /* a quarter lies at the beginning, the rest all over and at the end */
  run_of(0, 10, KEYS / 4);
  run_of(20000, 1, KEYS / 2);
  find(2);
  cr_assert_eq(cuts.count, 1);
  unsigned n = before(0, 0, 1, KEYS / 4) + before(0, 0, 10, KEYS / 4) + before(0, 20000, 1, KEYS / 2);
  cr_expect(n > KEYS * 4 / 10 && n < KEYS * 6 / 10, "%u keys of %u before the cut", n, KEYS);
}

Test(compaction_cut, what_has_too_few_blocks_is_cut_where_it_can_be) {
  run_of(0, 1, 1);
  find(PIECES);
  cr_expect_leq(cuts.count, 1);
}

Test(compaction_cut, many_segments_are_cut_by_their_roots) {
  for (unsigned i = 0; i < 20; i++) run_of(i * 100, 1, 100);
  find(2);
  cr_assert_eq(cuts.count, 1);
  unsigned n = before(0, 0, 1, 2000);
  cr_expect(n > 800 && n < 1200, "%u keys of 2000 before the cut", n);
}

Test(compaction_cut, cuts_ascend) {
  for (unsigned i = 0; i < 5; i++) run_of(i, 7, KEYS / 8);
  find(NC_PIECES_MAX);
  cr_assert_eq(cuts.count, NC_PIECES_MAX - 1);
  for (size_t i = 1; i < cuts.count; i++) cr_expect_gt(nc_slice_compare(cuts.keys[i], cuts.keys[i - 1]), 0);
}

/* ---- what pieces drop ----------------------------------------------------------------------------------- */

/* What lies behind a piece's end is another piece's to drop: a file that both dropped would be removed twice by the commit,
 * and a manifest that does so does not open. */

enum { LARGE = 300, LARGE_FIRST_DROPPED = 10, LARGE_KEY_BYTES = 156 };

static nacre_slice large_key(unsigned i, char buffer[LARGE_KEY_BYTES + 1]) {
  return nc_slice(buffer, (size_t)snprintf(buffer, LARGE_KEY_BYTES + 1, "%06u%0150d", i, 0));
}

static void large_open(nacre_table **ret_large) {
  const nacre_table_options options = {.large_value_bytes = 4096, .segment_bytes = 16384};
  nacre_status status = nacre_table_open(store, "large", NULL, ret_large);
  if (status == NACRE_NOT_FOUND) status = nacre_table_create(store, "large", &options, ret_large);
  ok(status);
}

static void settle(nacre_table *large) {
  ok(nacre_flush(large));
  ok(nacre_wait_idle(large));
}

/* Large values, of which all but the first few go, by whatever `drop` does; then all is merged, in pieces. */
static void merge_large(void (*drop)(nacre_table *large)) {
  static char value[5000];
  nacre_table *large;
  nacre_iter *it;
  unsigned found = 0;
  char key[LARGE_KEY_BYTES + 1];
  s.options.workers = 2;
  one_table_reopen();
  large_open(&large);
  for (unsigned i = 0; i < LARGE; i++) {
    ok(nacre_put(large, large_key(i, key), nc_slice(value, sizeof value), NULL));
  }
  settle(large);
  drop(large);
  settle(large);
  ok(nacre_compact(large, (nacre_slice){0}, (nacre_slice){0}));
  ok(nacre_table_close(large));
  one_table_reopen();
  large_open(&large);
  ok(nacre_iter_open(large, NULL, &it));
  for (nacre_iter_first(it); nacre_iter_valid(it); nacre_iter_next(it)) found++;
  ok(nacre_iter_status(it));
  nacre_iter_close(it);
  cr_expect_eq(found, LARGE_FIRST_DROPPED);
  ok(nacre_verify(large, NULL, NULL));
  ok(nacre_table_close(large));
}

static void drop_range(nacre_table *large) { ok(nacre_delete_range(large, text("000010"), text("9"), NULL)); }
static void drop_each(nacre_table *large) {
  char key[LARGE_KEY_BYTES + 1];
  for (unsigned i = LARGE_FIRST_DROPPED; i < LARGE; i++) ok(nacre_delete(large, large_key(i, key), NULL));
}

Test(compaction_cut, no_file_is_dropped_twice_by_a_range_delete) { merge_large(drop_range); }
Test(compaction_cut, no_file_is_dropped_twice_by_deletes) { merge_large(drop_each); }

/* A range delete begins at the first key, and that key lies behind so much of the run below that a segment should end
 * before it: then nothing is in the segment that was begun for the range delete. */
Test(compaction_cut, of_nothing_no_segment_is_made) {
  uint64_t sequence;
  nc_segment **made;
  size_t count;
  nc_cursor *from;
  nc_range_set *ranges;
  run_of(0, 1, 50);
  run_of(60, 1, 10);
  char key[KEY_BYTES + 1], end[KEY_BYTES + 1];
  nacre_slice first = key_of(60, key), last = key_of(70, end);
  ok(nacre_put(t, first, text("new"), NULL));
  view = nc_table_view(t, &sequence);
  const nc_run *runs = view->version->runs;
  const nc_run *below = nc_run_find(&runs[0], first) == NULL ? &runs[0] : &runs[1];
  must(nc_range_set_single(t->shared->env->heap, first, last, sequence - 1, &ranges, &err));
  must(nc_memtable_cursor(view->memtables[0], &from, &err));
  const nc_build build = {.method = NC_PACK_NONE,
                          .ranges = ranges,
                          .beneath = {runs, view->version->run_count},
                          .below = below};
  must(nc_build_segments(t, from, &build, &made, &count, &err));
  cr_assert_eq(count, 1);
  cr_expect_eq(nc_segment_describe(made[0])->entries, 2); /* the put and the range delete */
  nc_build_release(made, count, true);
  nc_cursor_close(from);
  nc_range_set_free(ranges);
}
