/* SPDX-License-Identifier: Apache-2.0
 *
 * version: runs and their order, what may lie in one run, which segment may hold a key, and a cursor along
 * a run.
 */
#include "version.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "segments.h"

static floor_fixture f;
static nacre_error err;

static void setup(void) { floor_open(&f); }
static void teardown(void) { floor_close(&f); }
TestSuite(version, .init = setup, .fini = teardown);

enum { SEGMENTS_MAX = 64 };
static nc_place place_by_number[SEGMENTS_MAX];

/* A segment that is only named: its file is never opened. Its level is its number. */
static nc_segment *named(uint64_t number, uint64_t run, const char *smallest, const char *largest) {
  nc_segment_record record = {.number = number,
                              .size = 100 * number,
                              .entries = 1,
                              .smallest = text(smallest),
                              .largest = text(largest)};
  place_by_number[number] = (nc_place){run, (uint32_t)number};
  return segment_of(&f, &record);
}

static void release(nc_segment **list, size_t count) {
  for (size_t i = 0; i < count; i++) nc_segment_unref(list[i]);
}

static uint64_t number_of(const nc_segment *s) { return s == NULL ? 0 : nc_segment_describe(s)->number; }

/* A version of segments where they were said to stand. */
static nacre_status version_of(nc_segment *const *list, size_t count, nc_version **ret_version) {
  nc_place places[SEGMENTS_MAX] = {{0}};
  for (size_t i = 0; i < count; i++) places[i] = place_by_number[number_of(list[i])];
  return nc_version_create(list, places, count, ret_version, &err);
}

Test(version, of_nothing_has_no_runs) {
  nc_version *v;
  must(version_of(NULL, 0, &v));
  cr_expect_eq(v->run_count, 0);
  cr_expect_eq(v->segment_count, 0);
  nc_version_unref(v);
}

Test(version, newer_runs_come_first_and_segments_by_key) {
  nc_segment *s[] = {named(1, 5, "m", "p"), named(2, 9, "a", "z"), named(3, 5, "a", "c"),
                     named(4, 7, "b", "b"), named(5, 5, "d", "k")};
  nc_version *v;
  must(version_of(s, 5, &v));
  release(s, 5);
  cr_assert_eq(v->run_count, 3);
  cr_expect(v->runs[0].id == 9 && v->runs[1].id == 7 && v->runs[2].id == 5);
  cr_assert_eq(v->runs[2].count, 3);
  cr_expect_eq(number_of(v->runs[2].segments[0]), 3);
  cr_expect_eq(number_of(v->runs[2].segments[1]), 5);
  cr_expect_eq(number_of(v->runs[2].segments[2]), 1);
  cr_expect_eq(v->runs[2].bytes, 900);
  cr_expect_eq(v->runs[2].level, 5, "the highest of its segments");
  nc_version_unref(v);
}

Test(version, a_run_does_not_overlap_itself) { /* [M7] */
  static const char *const bad[][4] = {
      {"a", "c", "c", "d"}, {"a", "c", "b", "b"}, {"a", "z", "b", "c"}, {"", "", "", "a"}};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    nc_segment *s[] = {named(1, 5, bad[i][0], bad[i][1]), named(2, 5, bad[i][2], bad[i][3])};
    nc_version *v;
    must_fail(version_of(s, 2, &v), NC_E_SEGMENT_OVERLAP);
    release(s, 2);
    nc_segment *apart[] = {named(1, 5, bad[i][0], bad[i][1]), named(2, 6, bad[i][2], bad[i][3])};
    must(version_of(apart, 2, &v));
    release(apart, 2);
    nc_version_unref(v);
  }
}

Test(version, a_prefix_ends_before_what_it_begins) {
  nc_segment *s[] = {named(1, 5, "a", "b"), named(2, 5, "b\x01", "c")};
  nc_version *v;
  must(version_of(s, 2, &v));
  release(s, 2);
  nc_version_unref(v);
}

Test(version, follows_from_another_without_what_is_removed) {
  nc_segment *s[] = {named(1, 5, "a", "b"), named(2, 6, "a", "b"), named(3, 7, "a", "b")};
  nc_version *first, *second;
  must(version_of(s, 3, &first));
  nc_segment *merged = named(4, 6, "a", "b");
  must(nc_version_follow(first, &merged, 1, (nc_place){6, 1}, s, 2, &second, &err));
  nc_segment_unref(merged);
  release(s, 3);
  cr_assert_eq(second->run_count, 2);
  cr_expect_eq(number_of(second->segments[0]), 3);
  cr_expect_eq(number_of(second->segments[1]), 4);
  cr_expect_eq(first->segment_count, 3, "a version never changes");
  nc_version_unref(first);
  nc_version_unref(second);
}

/* The version's runs as text: "9/2:4,1 5/1:3" is run 9 on level 2 with segments 4 and 1, then run 5. */
static const char *shape(const nc_version *v) {
  static char out[400];
  size_t at = 0;
  out[0] = '\0';
  for (size_t r = 0; r < v->run_count; r++) {
    at += (size_t)snprintf(out + at, sizeof out - at, "%s%llu/%u:", r == 0 ? "" : " ",
                           (unsigned long long)v->runs[r].id, v->runs[r].level);
    for (size_t i = 0; i < v->runs[r].count; i++) {
      at += (size_t)snprintf(out + at, sizeof out - at, "%s%llu", i == 0 ? "" : ",",
                             (unsigned long long)number_of(v->runs[r].segments[i]));
    }
  }
  return out;
}

Test(version, a_segment_moves_to_another_run) {
  nc_segment *s[] = {named(1, 9, "a", "b"), named(2, 9, "f", "g"), named(3, 5, "c", "d")};
  nc_version *v;
  must(version_of(s, 3, &v));
  static const struct {
    size_t moved;
    nc_place to;
    const char *shape;
  } steps[] = {{0, {5, 3}, "9/2:2 5/3:1,3"},
               {1, {7, 2}, "7/2:2 5/3:1,3"}, /* the run that it leaves is gone */
               {1, {5, 3}, "5/3:1,3,2"},
               {2, {4, 4}, "5/3:1,2 4/4:3"}, /* behind all others */
               {2, {6, 4}, "6/4:3 5/3:1,2"}};
  for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
    nc_version *next;
    nc_segment *moved = s[steps[i].moved];
    must(nc_version_follow(v, &moved, 1, steps[i].to, &moved, 1, &next, &err));
    cr_expect_str_eq(shape(next), steps[i].shape);
    cr_expect_eq(next->segment_count, 3);
    nc_version_unref(v);
    v = next;
  }
  nc_segment *both[] = {s[1], s[0]}; /* in any order, within their own run */
  nc_version *next;
  must(nc_version_follow(v, both, 2, (nc_place){5, 1}, both, 2, &next, &err));
  cr_expect_str_eq(shape(next), "6/4:3 5/1:1,2");
  release(s, 3);
  nc_version_unref(v);
  nc_version_unref(next);
}

Test(version, a_segment_does_not_move_onto_another) { /* [M7] */
  nc_segment *s[] = {named(1, 9, "a", "c"), named(2, 5, "c", "d"), named(3, 5, "f", "g")};
  nc_version *v, *next;
  must(version_of(s, 3, &v));
  must_fail(nc_version_follow(v, &s[0], 1, (nc_place){5, 1}, &s[0], 1, &next, &err), NC_E_SEGMENT_OVERLAP);
  release(s, 3);
  nc_version_unref(v);
}

Test(version, finds_the_one_segment_that_may_hold_a_key) {
  nc_segment *s[] = {named(1, 5, "b", "d"), named(2, 5, "f", "f"), named(3, 5, "h", "k")};
  nc_version *v;
  must(version_of(s, 3, &v));
  release(s, 3);
  static const struct {
    const char *key;
    uint64_t number;
  } cases[] = {{"", 0},   {"a", 0}, {"b", 1}, {"c", 1},  {"d", 1}, {"d\x01", 0}, {"e", 0},   {"f", 2},
               {"fa", 0}, {"g", 0}, {"h", 3}, {"ha", 3}, {"k", 3}, {"ka", 0},    {"\x7f", 0}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    cr_expect_eq(number_of(nc_run_find(&v->runs[0], text(cases[i].key))), cases[i].number, "%s",
                 cases[i].key);
  }
  nc_version_unref(v);
}

Test(version, finds_the_empty_key) {
  nc_segment *s = named(1, 5, "", "");
  nc_version *v;
  must(version_of(&s, 1, &v));
  nc_segment_unref(s);
  cr_expect_eq(number_of(nc_run_find(&v->runs[0], text(""))), 1);
  cr_expect_eq(number_of(nc_run_find(&v->runs[0], text("a"))), 0);
  nc_version_unref(v);
}

/* ---- a cursor along a run ------------------------------------------------------------------------------ */

enum { PIECES = 4 };

/* One list cut into the segments of one run, between keys. */
static nc_version *cut(const entry_list *list) {
  nc_segment *pieces[PIECES];
  for (size_t i = 0, from = 0; i < PIECES; i++) {
    size_t to = i + 1 == PIECES ? list->count : list->count * (i + 1) / PIECES;
    while (to < list->count && nc_slice_equal(list->entries[to].key, list->entries[to - 1].key)) to++;
    entry_list part = {.entries = list->entries + from, .count = to - from};
    nc_segment_params params = segment_params(&f);
    params.number = i + 1;
    nc_segment_record record;
    segment_write(&f, &params, &part, &record);
    place_by_number[i + 1] = (nc_place){3, 1};
    pieces[i] = segment_of(&f, &record);
    from = to;
  }
  nc_version *v;
  must(version_of(pieces, PIECES, &v));
  release(pieces, PIECES);
  return v;
}

static size_t place_of(const entry_list *list, nacre_slice key, uint64_t sequence) {
  size_t at = 0;
  while (at < list->count &&
         nc_entry_compare(list->entries[at].key, list->entries[at].sequence, key, sequence) < 0) {
    at++;
  }
  return at;
}

static bool stands_at(const nc_cursor *c, const entry_list *list, size_t i) {
  if (i >= list->count) return !c->valid;
  return c->valid && c->entry.sequence == list->entries[i].sequence &&
         nc_slice_equal(c->entry.key, list->entries[i].key);
}

Test(version, a_run_cursor_passes_the_borders_of_segments) {
  test_random random = {test_seed("version", 61)};
  entry_list list = {0};
  list_random(&list, &random, 600, 300, 20);
  nc_version *v = cut(&list);
  nc_cursor *c;
  must(nc_run_cursor(&v->runs[0], &(nc_travel){0}, &c, &err));
  must(nc_cursor_first(c, &err));
  for (size_t i = 0; i <= list.count; i++) {
    cr_assert(stands_at(c, &list, i));
    if (c->valid) must(nc_cursor_next(c, &err));
  }
  must(nc_cursor_last(c, &err));
  for (size_t i = list.count; i-- > 0;) {
    cr_assert(stands_at(c, &list, i));
    must(nc_cursor_prev(c, &err));
  }
  cr_expect_not(c->valid);
  for (size_t i = 0; i < list.count; i++) {
    /* Behind every version of a key: over the border where the key is the last of a segment. */
    size_t at = place_of(&list, list.entries[i].key, 0);
    must(nc_cursor_seek(c, list.entries[i].key, 0, &err));
    cr_assert(stands_at(c, &list, at));
    must(nc_cursor_seek_before(c, list.entries[i].key, list.entries[i].sequence, &err));
    cr_assert(stands_at(c, &list, i == 0 ? list.count : i - 1));
    if (!c->valid) continue;
    must(nc_cursor_next(c, &err));
    cr_assert(stands_at(c, &list, i));
  }
  must(nc_cursor_seek(c, text("zzz"), NC_SEQUENCE_MAX, &err));
  cr_expect_not(c->valid);
  must(nc_cursor_seek_before(c, text("zzz"), NC_SEQUENCE_MAX, &err));
  cr_expect(stands_at(c, &list, list.count - 1));
  nc_cursor_close(c);
  nc_version_unref(v);
  list_free(&list);
}

/* The part of a run within bounds holds all entries within them, and opens no segment outside. */
Test(version, a_part_of_a_run_leaves_out_what_lies_outside) {
  test_random random = {test_seed("version", 62)};
  entry_list list = {0};
  list_random(&list, &random, 600, 300, 20);
  nc_version *v = cut(&list);
  const nc_run *run = &v->runs[0];
  cr_assert_gt(run->count, 3);
  for (int i = 0; i < 200; i++) {
    nacre_slice lower = list.entries[test_random_below(&random, list.count)].key;
    nacre_slice upper = list.entries[test_random_below(&random, list.count)].key;
    if (test_random_chance(&random, 5)) lower.data = NULL;
    if (test_random_chance(&random, 5)) upper.data = NULL;
    nc_run part = nc_run_within(run, lower, upper);
    size_t needed = 0;
    for (size_t s = 0; s < run->count; s++) {
      const nc_segment_record *record = nc_segment_describe(run->segments[s]);
      bool outside = (lower.data != NULL && nc_slice_compare(record->largest, lower) < 0) ||
                     (upper.data != NULL && nc_slice_compare(record->smallest, upper) >= 0);
      if (outside) continue;
      cr_assert(run->segments[s] == part.segments[needed], "segment %zu", s);
      needed++;
    }
    cr_assert_eq(part.count, needed);
    if (part.count == 0) continue;
    nc_open_segments_close_idle(&f.shared.open_segments);
    nc_cursor *c;
    must(nc_run_cursor(&part, &(nc_travel){0}, &c, &err));
    size_t seen = 0, wanted = 0;
    for (must(nc_cursor_first(c, &err)); c->valid; seen++) must(nc_cursor_next(c, &err));
    for (size_t s = 0; s < part.count; s++) wanted += nc_segment_describe(part.segments[s])->entries;
    cr_assert_eq(seen, wanted);
    cr_assert(nc_open_segments_count(&f.shared.open_segments) <= part.count);
    nc_cursor_close(c);
  }
  nc_version_unref(v);
  list_free(&list);
}
