/* SPDX-License-Identifier: Apache-2.0
 *
 * Scans over long stretches that a range delete hides: they jump, miss nothing, and end.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "one_table.h"
#include "iterator.h"
#include "table.h"

TestSuite(jumps, .init = one_table_make, .fini = one_table_remove);

enum { LONG = 12000, LONG_FROM = 1000, LONG_TO = 11000 };

static const char *long_key(int i, char buffer[16]) {
  snprintf(buffer, 16, "m%05d", i);
  return buffer;
}

static uint64_t lookups(void) {
  nacre_stats stats;
  ok(nacre_table_stats(t, &stats));
  return stats.cache_hits + stats.cache_misses;
}

/* All of a snapshot, both ways, within some bounds; returns how many blocks were asked for. `extra`: keys within the
 * stretch that are there, one in so many; 0: none. */
static uint64_t scan(const nacre_snapshot *snapshot, bool deleted, int extra, int lower, int upper) {
  char key[16], low[16], high[16];
  nacre_iter *it;
  uint64_t before = lookups();
  nacre_read_options options = {.snapshot = snapshot, .lower = text(long_key(lower, low))};
  options.upper_excluded = text(long_key(upper, high));
  ok(nacre_iter_open(t, &options, &it));
  for (int backward = 0; backward < 2; backward++) {
    backward ? nacre_iter_last(it) : nacre_iter_first(it);
    for (int n = lower; n < upper; n++) {
      int i = backward ? upper - 1 - (n - lower) : n;
      if (deleted && i >= LONG_FROM && i < LONG_TO && (extra == 0 || i % extra != 0)) continue;
      cr_assert(nacre_iter_valid(it) && slice_is(nacre_iter_key(it), long_key(i, key)), "key %d", i);
      backward ? nacre_iter_prev(it) : nacre_iter_next(it);
    }
    cr_assert(!nacre_iter_valid(it));
    ok(nacre_iter_status(it));
  }
  nacre_iter_close(it);
  return lookups() - before;
}

/* A scan is not to walk through what one small write has hidden: blocks are counted that it asks for. [E2] */
/* A cursor over n00 to n39 whose jumps lead back to where it began, as blocks of malice can make them. */
typedef struct liar {
  nc_cursor base;
  int at;
  char key[4];
} liar;

static nacre_status liar_at(nc_cursor *base, int at) {
  liar *l = (liar *)base;
  l->at = at;
  snprintf(l->key, sizeof l->key, "n%02d", at < 0 || at > 99 ? 99 : at);
  base->entry = (nc_entry){.key = text(l->key), .sequence = 1, .kind = NC_KIND_PUT, .value = text("")};
  base->valid = at >= 0 && at < 40;
  return NACRE_OK;
}
static nacre_status liar_first(nc_cursor *base, nacre_error *err) {
  (void)err;
  return liar_at(base, 0);
}
static nacre_status liar_last(nc_cursor *base, nacre_error *err) {
  (void)err;
  return liar_at(base, 39);
}
static nacre_status liar_next(nc_cursor *base, nacre_error *err) {
  (void)err;
  return liar_at(base, ((liar *)base)->at + 1);
}
static nacre_status liar_prev(nc_cursor *base, nacre_error *err) {
  (void)err;
  return liar_at(base, ((liar *)base)->at - 1);
}
static nacre_status liar_pass(nc_cursor *base, const nc_range_span *deleted, bool backward, nacre_error *err) {
  (void)deleted;
  return backward ? liar_last(base, err) : liar_first(base, err);
}
static const nc_cursor_ops liar_ops = {
    .first = liar_first, .last = liar_last, .next = liar_next, .prev = liar_prev, .pass = liar_pass};

Test(jumps, a_scan_that_jumps_back_ends, .timeout = 20) {
  put_text(t, "a", "1", false);
  put_text(t, "b", "1", false);
  ok(nacre_delete_range(t, text("m"), text("z"), NULL));
  nacre_iter *it;
  ok(nacre_iter_open(t, NULL, &it));
  liar l = {.base = {.ops = &liar_ops}};
  nc_cursor *merge = it->merge;
  it->merge = &l.base;
  nacre_iter_first(it);
  cr_expect_eq(nacre_iter_status(it), NACRE_CORRUPT);
  nacre_iter_last(it);
  cr_expect_eq(nacre_iter_status(it), NACRE_CORRUPT);
  it->merge = merge;
  nacre_iter_first(it);
  cr_expect(nacre_iter_valid(it) && slice_is(nacre_iter_key(it), "a"));
  nacre_iter_close(it);
}

Test(jumps, scans_jump_over_what_they_hide) {
  char key[16], to[16], value[100];
  nacre_snapshot *before, *deleted;
  memset(value, 'v', sizeof value);
  value[sizeof value - 1] = 0;
  for (int i = 0; i < LONG; i++) put_text(t, long_key(i, key), value, false);
  ok(nacre_flush(t));
  ok(nacre_snapshot_take(t, &before));
  uint64_t all = scan(NULL, false, 0, 0, LONG), few = all / 4, none = all / 16;
  cr_assert_gt(all, 200);
  ok(nacre_delete_range(t, text(long_key(LONG_FROM, key)), text(long_key(LONG_TO, to)), NULL));
  cr_expect_lt(scan(NULL, true, 0, 0, LONG), few, "from a memtable");
  cr_expect_lt(scan(NULL, true, 0, LONG_FROM + 2, LONG), few);
  cr_expect_lt(scan(NULL, true, 0, 0, LONG_TO - 2), few);
  cr_expect_lt(scan(NULL, true, 0, LONG_FROM + 2, LONG_TO - 2), none);
  ok(nacre_flush(t));
  cr_expect_lt(scan(NULL, true, 0, 0, LONG), few, "from a segment");
  ok(nacre_snapshot_take(t, &deleted));
  for (int i = 0; i < LONG; i += 1000) put_text(t, long_key(i, key), value, false);
  cr_expect_lt(scan(NULL, true, 1000, 0, LONG), few + none, "with newer entries in a memtable");
  ok(nacre_flush(t));
  cr_expect_lt(scan(NULL, true, 1000, 0, LONG), few + none, "with newer entries in a segment");
  cr_expect_lt(scan(deleted, true, 0, 0, LONG), few);
  cr_expect_geq(scan(before, false, 0, 0, LONG), all);
  nacre_snapshot_release(before);
  nacre_snapshot_release(deleted);
}
