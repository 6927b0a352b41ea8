/* SPDX-License-Identifier: Apache-2.0
 *
 * merge_cursor: several sorted arrays as one, in both directions, against that one.
 */
#include "merge_cursor.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "fakes.h"
#include "fixture.h"

enum { CHILDREN = 5, ENTRIES = 300 };
static nacre_error err;
static fake_entry all[ENTRIES], parts[CHILDREN][ENTRIES];
static size_t part_count[CHILDREN];

/* Spreads random entries over the children; each sequence stands once. */
static void deal(test_random *random, size_t children, uint64_t keys) {
  memset(part_count, 0, sizeof part_count);
  for (size_t i = 0; i < ENTRIES; i++) {
    fake_entry *e = &all[i];
    snprintf(e->key, sizeof e->key, "%llu", (unsigned long long)test_random_below(random, keys));
    e->sequence = i + 1;
    e->kind = NC_KIND_PUT;
    size_t child = test_random_below(random, children);
    parts[child][part_count[child]++] = *e;
  }
  qsort(all, ENTRIES, sizeof all[0], fake_order);
  for (size_t c = 0; c < CHILDREN; c++) qsort(parts[c], part_count[c], sizeof all[0], fake_order);
}

static nc_cursor *merge(fake_limit *limits) {
  nc_cursor *children[CHILDREN], *merged;
  for (size_t c = 0; c < CHILDREN; c++) {
    children[c] = fake_cursor(parts[c], part_count[c], limits == NULL ? NULL : &limits[c]);
  }
  must(nc_merge_cursor(children, CHILDREN, &merged, &err));
  return merged;
}

static bool stands_at(const nc_cursor *c, size_t i) {
  if (i >= ENTRIES) return !c->valid;
  return c->valid && c->entry.sequence == all[i].sequence && slice_is(c->entry.key, all[i].key);
}

Test(merge_cursor, of_nothing_is_empty) {
  nc_cursor *c;
  must(nc_merge_cursor(NULL, 0, &c, &err));
  must(nc_cursor_first(c, &err));
  cr_expect_not(c->valid);
  must(nc_cursor_last(c, &err));
  cr_expect_not(c->valid);
  must(nc_cursor_seek(c, text("x"), 1, &err));
  cr_expect_not(c->valid);
  nc_cursor_close(c);
}

Test(merge_cursor, passes_over_empty_children) {
  test_random random = {1};
  deal(&random, 1, 50);
  nc_cursor *c = merge(NULL);
  must(nc_cursor_first(c, &err));
  for (size_t i = 0; i < ENTRIES; i++) {
    cr_assert(stands_at(c, i));
    must(nc_cursor_next(c, &err));
  }
  cr_expect_not(c->valid);
  nc_cursor_close(c);
}

/* A random walk with turns, checked at every step. */
static void walk(test_random *random, nc_cursor *c) {
  size_t at = ENTRIES; /* the end */
  for (int step = 0; step < 2000; step++) {
    uint64_t what = test_random_below(random, 20);
    if (at >= ENTRIES || what == 0) {
      fake_entry wanted = {.sequence = test_random_below(random, ENTRIES + 2)};
      snprintf(wanted.key, sizeof wanted.key, "%llu", (unsigned long long)test_random_below(random, 50));
      for (at = 0; at < ENTRIES && fake_order(&all[at], &wanted) < 0;) at++;
      if (what % 2 == 0) {
        must(nc_cursor_seek(c, text(wanted.key), wanted.sequence, &err));
      } else {
        must(nc_cursor_seek_before(c, text(wanted.key), wanted.sequence, &err));
        at = at == 0 ? ENTRIES : at - 1;
      }
    } else if (what == 1) {
      must(nc_cursor_first(c, &err));
      at = 0;
    } else if (what == 2) {
      must(nc_cursor_last(c, &err));
      at = ENTRIES - 1;
    } else if (what < 12) {
      must(nc_cursor_next(c, &err));
      at++;
    } else {
      must(nc_cursor_prev(c, &err));
      at = at == 0 ? ENTRIES : at - 1;
    }
    cr_assert(stands_at(c, at), "step %d, entry %zu", step, at);
  }
}

Test(merge_cursor, agrees_with_a_sorted_array_in_both_directions) {
  test_random random = {test_seed("merge_cursor", 21)};
  for (int round = 0; round < 20; round++) {
    deal(&random, 1 + test_random_below(&random, CHILDREN), 1 + test_random_below(&random, 60));
    nc_cursor *c = merge(NULL);
    walk(&random, c);
    nc_cursor_close(c);
  }
}

/* Entries that two children have: puts of the first, deletes of the last. Forward the put comes first, backward the
 * delete; so whoever takes the first, or lets the last one prevail, takes the put. */
Test(merge_cursor, meets_equal_entries_in_the_order_of_their_children) {
  test_random random = {test_seed("merge_cursor", 22)};
  for (int round = 0; round < 20; round++) {
    deal(&random, CHILDREN - 1, 1 + test_random_below(&random, 60));
    bool twice[ENTRIES + 1];
    size_t *last = &part_count[CHILDREN - 1];
    for (size_t i = 0; i < ENTRIES; i++) {
      twice[i] = test_random_chance(&random, 3);
      if (!twice[i]) continue;
      parts[CHILDREN - 1][*last] = all[i];
      parts[CHILDREN - 1][(*last)++].kind = NC_KIND_DELETE;
    }
    nc_cursor *c = merge(NULL);
    must(nc_cursor_first(c, &err));
    for (size_t i = 0; i < ENTRIES; i++) {
      for (int k = 0; k < 1 + twice[i]; k++) {
        cr_assert(stands_at(c, i) && c->entry.kind == (k == 0 ? NC_KIND_PUT : NC_KIND_DELETE), "entry %zu",
                  i);
        must(nc_cursor_next(c, &err));
      }
    }
    cr_assert_not(c->valid);
    must(nc_cursor_last(c, &err));
    for (size_t i = ENTRIES; i-- > 0;) {
      for (int k = twice[i]; k >= 0; k--) {
        cr_assert(stands_at(c, i) && c->entry.kind == (k == 0 ? NC_KIND_PUT : NC_KIND_DELETE),
                  "back, entry %zu", i);
        must(nc_cursor_prev(c, &err));
      }
    }
    cr_assert_not(c->valid);
    nc_cursor_close(c);
  }
}

Test(merge_cursor, a_childs_error_ends_the_move_and_leaves_it_invalid) {
  test_random random = {3};
  deal(&random, CHILDREN, 40);
  for (int moves = 0; moves < 60; moves++) {
    fake_limit limits[CHILDREN] = {{-1, 0}, {-1, 0}, {moves, 0}, {-1, 0}, {-1, 0}};
    nc_cursor *c = merge(limits);
    nc_error_clear(&err);
    nacre_status status = moves % 2 == 0 ? nc_cursor_first(c, &err) : nc_cursor_last(c, &err);
    size_t seen = 0;
    while (status == NACRE_OK && c->valid && seen <= ENTRIES) {
      seen++;
      status = moves % 2 == 0 ? nc_cursor_next(c, &err) : nc_cursor_prev(c, &err);
    }
    if ((size_t)moves <= part_count[2]) {
      cr_assert_eq(status, NACRE_CORRUPT, "after %d moves", moves);
      cr_expect_eq(err.id, NC_E_SEGMENT_INDEX);
    }
    cr_expect_not(c->valid);
    limits[2].moves = -1;
    must(nc_cursor_first(c, &err));
    cr_expect(stands_at(c, 0), "it can be moved to an edge again");
    nc_cursor_close(c);
    for (size_t i = 0; i < CHILDREN; i++) cr_expect_eq(limits[i].closed, 1);
  }
}

Test(merge_cursor, an_error_in_a_turn_leaves_it_invalid) {
  test_random random = {4};
  deal(&random, CHILDREN, 40);
  fake_limit limits[CHILDREN] = {{-1, 0}, {-1, 0}, {-1, 0}, {-1, 0}, {-1, 0}};
  nc_cursor *c = merge(limits);
  must(nc_cursor_seek(c, text("2"), 1000, &err));
  for (size_t i = 0; i < CHILDREN; i++) limits[i].moves = 0;
  must_fail(nc_cursor_prev(c, &err), NC_E_SEGMENT_INDEX);
  cr_expect_not(c->valid);
  nc_cursor_close(c);
}

/* A child that gets another entry right behind a seek, as a memtable does that is written to. */
typedef struct late_cursor {
  nc_cursor base;
  const char *keys[4];
  size_t count, at, late; /* the entry that comes late; `count`: it has come */
} late_cursor;

static nacre_status late_show(late_cursor *c, size_t at) {
  c->at = at;
  c->base.valid = at < c->count;
  if (c->base.valid) c->base.entry = (nc_entry){text(c->keys[at]), 100 + at, NC_KIND_PUT, text("")};
  return NACRE_OK;
}
static nacre_status late_seek(nc_cursor *base, nacre_slice key, uint64_t sequence, nacre_error *e) {
  late_cursor *c = (late_cursor *)base;
  size_t at = 0;
  (void)sequence, (void)e;
  while (at < c->count && (at == c->late || nc_slice_compare(text(c->keys[at]), key) < 0)) at++;
  c->late = c->count;
  return late_show(c, at);
}
static nacre_status late_prev(nc_cursor *base, nacre_error *e) {
  late_cursor *c = (late_cursor *)base;
  (void)e;
  return late_show(c, c->at == 0 ? c->count : c->at - 1);
}
static void late_close(nc_cursor *base) { (void)base; }

Test(merge_cursor, turns_back_though_a_child_gets_an_entry_meanwhile) {
  static const nc_cursor_ops ops = {.seek = late_seek, .prev = late_prev, .close = late_close};
  late_cursor steady = {.base = {.ops = &ops}, .keys = {"a", "c"}, .count = 2, .late = 2};
  late_cursor written = {.base = {.ops = &ops}, .keys = {"b", "d", "e"}, .count = 3, .late = 3};
  nc_cursor *children[] = {&steady.base, &written.base}, *c;
  must(nc_merge_cursor(children, 2, &c, &err));
  must(nc_cursor_seek(c, text("bb"), 0, &err));
  cr_assert(c->valid && slice_is(c->entry.key, "c"));
  written.late = 1; /* it comes between the seek and the step back with which this child turns */
  static const char *const wanted[] = {"d", "b", "a"};
  for (size_t i = 0; i < 3; i++) {
    must(nc_cursor_prev(c, &err));
    cr_assert(c->valid && slice_is(c->entry.key, wanted[i]), "step %zu stands at %.*s", i, (int)c->entry.key.size,
              (const char *)c->entry.key.data);
  }
  nc_cursor_close(c);
}
