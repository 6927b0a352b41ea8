/* SPDX-License-Identifier: Apache-2.0
 *
 * range_set, range_history: whatever is merged, folded or added, the answers are those of the list of range
 * deletes that it was made from.
 */
#include "range_fold.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "batch.h"
#include "beneath.h"
#include "fixture.h"
#include "range_history.h"
#include "ranges.h"

enum { KEYS = 40, RANGES = 24, ROUNDS = 120, SNAPSHOTS_MAX = 4 };
static nacre_error err;
static nc_heap *heap;
static char names[KEYS + 1][4];

typedef struct plain_range {
  int from, to;
  uint64_t sequence;
} plain_range;

static nacre_slice key_of(int i) { return text(names[i]); }

static void setup(void) {
  must(nc_heap_create(&heap, &err));
  for (int i = 0; i <= KEYS; i++) snprintf(names[i], sizeof names[i], "%02d", i);
}
static void teardown(void) {
  cr_expect_eq(nc_heap_bytes(heap), 0);
  nc_heap_destroy(heap);
}
TestSuite(range_set, .init = setup, .fini = teardown);

static size_t draw_ranges(test_random *random, plain_range *list) {
  size_t count = 1 + (size_t)test_random_below(random, RANGES);
  for (size_t i = 0; i < count; i++) {
    int from = (int)test_random_below(random, KEYS);
    int most = test_random_chance(random, 3) ? KEYS - from : KEYS - from < 5 ? KEYS - from : 5;
    list[i] = (plain_range){from, from + 1 + (int)test_random_below(random, (uint64_t)most), 10 * (i + 1)};
  }
  return count;
}

static uint64_t cover_of(const plain_range *list, size_t count, int key, uint64_t sequence) {
  uint64_t cover = 0;
  for (size_t i = 0; i < count; i++) {
    if (list[i].from <= key && key < list[i].to && list[i].sequence <= sequence) cover = list[i].sequence;
  }
  return cover;
}

static nc_range_set *set_of(const plain_range *list, size_t count, bool newest) {
  nc_range_set *singles[RANGES] = {NULL}, *set;
  for (size_t i = 0; i < count; i++) {
    must(nc_range_set_single(heap, key_of(list[i].from), key_of(list[i].to), list[i].sequence, &singles[i],
                             &err));
  }
  must(nc_range_set_merge(heap, (const nc_range_set *const *)singles, count, newest, &set, &err));
  for (size_t i = 0; i < count; i++) nc_range_set_free(singles[i]);
  return set;
}

/* Fragments ascend without overlapping, sequences fall, and nothing that touches says the same. */
static void check_shape(const nc_range_set *set) {
  size_t sequences = 0;
  for (size_t i = 0; i < set->count; i++) {
    const nc_range_fragment *f = &set->fragments[i], *last = i > 0 ? f - 1 : NULL;
    cr_assert(nc_slice_compare(f->from, f->to) < 0 && f->count > 0);
    for (size_t k = 1; k < f->count; k++) cr_assert_lt(f->sequences[k], f->sequences[k - 1]);
    sequences += f->count;
    if (last == NULL) continue;
    cr_assert(nc_slice_compare(last->to, f->from) <= 0);
    bool same = last->count == f->count && memcmp(last->sequences, f->sequences, f->count * 8) == 0;
    cr_assert(!same || !nc_slice_equal(last->to, f->from), "two fragments that are one");
  }
  cr_assert_eq(sequences, set->sequences);
}

static void check_span(const nc_range_set *set, int key, uint64_t sequence, uint64_t cover) {
  nc_range_span span = {.hidden = 0};
  nc_range_set_span(set, key_of(key), sequence, &span);
  cr_assert(nc_range_span_holds(&span, key_of(key)));
  cr_assert_eq(span.hidden, cover);
  for (int other = 0; other < KEYS; other++) {
    if (nc_range_span_holds(&span, key_of(other)))
      cr_assert_eq(nc_range_set_cover(set, key_of(other), sequence), cover);
  }
}

Test(range_set, a_merge_says_what_its_parts_say) {
  test_random random = {test_seed("range_set", 1)};
  for (int round = 0; round < ROUNDS; round++) {
    plain_range list[RANGES];
    size_t count = draw_ranges(&random, list);
    nc_range_set *all = set_of(list, count, false), *newest = set_of(list, count, true);
    check_shape(all);
    check_shape(newest);
    for (int key = 0; key < KEYS; key++) {
      cr_assert_eq(nc_range_set_cover(newest, key_of(key), NC_SEQUENCE_MAX),
                   cover_of(list, count, key, NC_SEQUENCE_MAX));
      for (uint64_t at = 5; at < 10 * count + 10; at += 10) {
        cr_assert_eq(nc_range_set_cover(all, key_of(key), at), cover_of(list, count, key, at));
        check_span(all, key, at, cover_of(list, count, key, at));
      }
    }
    nc_range_set_free(all);
    nc_range_set_free(newest);
  }
}

Test(range_set, comes_back_from_its_bytes) {
  test_random random = {test_seed("range_set", 2)};
  plain_range list[RANGES];
  static uint8_t bytes[65536];
  size_t count = draw_ranges(&random, list);
  nc_range_set *set = set_of(list, count, false), *back;
  nc_writer w = nc_writer_over(bytes, sizeof bytes);
  for (size_t i = 0; i < set->count; i++) {
    const nc_range_fragment *f = &set->fragments[i];
    nc_ranges_write(&w, f->from, f->to, f->sequences, f->count);
  }
  must(nc_range_set_decode(heap, nc_slice(bytes, w.size), &back, &err));
  cr_assert(back->count == set->count && back->sequences == set->sequences);
  for (int key = 0; key < KEYS; key++)
    cr_assert_eq(nc_range_set_cover(back, key_of(key), 55), nc_range_set_cover(set, key_of(key), 55));
  must_fail(nc_range_set_decode(heap, nc_slice(bytes, w.size - 1), &back, &err), NC_E_RANGES_SHAPE);
  nc_range_set_free(set);
  nc_range_set_free(back);
}

/* At the snapshots, and now, nobody sees a difference; at the bottom those in the oldest stretch are gone. */
static void check_fold(const nc_range_set *set, const nc_range_set *folded, const nc_range_fold *fold,
                       int lower, int upper) {
  for (int key = 0; key < KEYS; key++) {
    for (size_t i = 0; i <= fold->snapshot_count; i++) {
      uint64_t at = i < fold->snapshot_count ? fold->snapshots[i] : NC_SEQUENCE_MAX;
      uint64_t expected = nc_range_set_cover(set, key_of(key), at);
      bool oldest = nc_stretch_of(fold->snapshots, fold->snapshot_count, expected) == 0;
      if (key < lower || key >= upper || (fold->beneath != NULL && oldest)) expected = 0;
      cr_assert_eq(nc_range_set_cover(folded, key_of(key), at), expected);
    }
  }
}

Test(range_set, a_fold_keeps_what_somebody_sees) {
  test_random random = {test_seed("range_set", 3)};
  for (int round = 0; round < ROUNDS; round++) {
    plain_range list[RANGES];
    uint64_t snapshots[SNAPSHOTS_MAX], last = 0;
    size_t count = draw_ranges(&random, list), taken = (size_t)test_random_below(&random, SNAPSHOTS_MAX + 1);
    for (size_t i = 0; i < taken; i++) snapshots[i] = last += 1 + test_random_below(&random, 80);
    int lower = (int)test_random_below(&random, KEYS), upper = lower + (int)test_random_below(&random, KEYS);
    if (upper > KEYS) upper = KEYS;
    bool clip = test_random_chance(&random, 2);
    static const nc_beneath nothing = {0};
    nc_range_fold fold = {snapshots, taken, test_random_chance(&random, 2) ? &nothing : NULL, {NULL, 0}, {NULL, 0}};
    if (clip) fold.lower = key_of(lower), fold.upper_excluded = key_of(upper);
    nc_range_set *set = set_of(list, count, false), *folded;
    must(nc_range_set_fold(heap, set, &fold, &folded, &err));
    if (folded != NULL) check_shape(folded);
    for (size_t i = 0; folded != NULL && i < folded->count; i++)
      cr_assert_leq(folded->fragments[i].count, taken + 1);
    check_fold(set, folded, &fold, clip ? lower : 0, clip ? upper : KEYS);
    nc_range_set_free(set);
    nc_range_set_free(folded);
  }
}

Test(range_set, nothing_merges_to_nothing) {
  nc_range_set *set = (nc_range_set *)&err;
  const nc_range_set *nothing[] = {NULL, NULL};
  must(nc_range_set_merge(heap, nothing, 2, false, &set, &err));
  cr_assert_null(set);
  cr_assert_eq(nc_range_set_cover(NULL, key_of(0), 9), 0);
}

/* ---- histories ----------------------------------------------------------------------------------------- */

static size_t encode_group(const plain_range *list, size_t count, uint8_t *to) {
  size_t size = 0;
  for (size_t i = 0; i < count; i++) {
    size += nc_operation_encode(NC_KIND_PUT, key_of(0), text("between"), to + size);
    size += nc_operation_encode(NC_KIND_RANGE_DELETE, key_of(list[i].from), key_of(list[i].to), to + size);
  }
  return size;
}

/* Adds the ranges in groups, each with a put before it; their sequences become what the groups give them. */
static void add_groups(nc_range_history *h, test_random *random, plain_range *list, size_t count) {
  uint8_t bytes[RANGES * 32];
  uint64_t sequence = 1;
  for (size_t at = 0, group; at < count; at += group) {
    group = 1 + (size_t)test_random_below(random, 3);
    if (group > count - at) group = count - at;
    size_t size = encode_group(&list[at], group, bytes);
    if (test_random_chance(random, 4)) /* a group that its log refused */
      must(nc_range_history_prepare(h, nc_slice(bytes, size), sequence, &err));
    must(nc_range_history_prepare(h, nc_slice(bytes, size), sequence, &err));
    nc_range_history_publish(h);
    nc_range_history_publish(h); /* nothing is left to show */
    for (size_t i = 0; i < group; i++, sequence += 2) list[at + i].sequence = sequence + 1;
  }
}

Test(range_set, a_history_answers_at_every_moment) {
  test_random random = {test_seed("range_history", 4)};
  for (int round = 0; round < ROUNDS; round++) {
    plain_range list[RANGES];
    size_t count = draw_ranges(&random, list);
    nc_range_history h = {0};
    nc_range_history_init(&h, heap);
    add_groups(&h, &random, list, count);
    for (const nc_range_state *s = atomic_load(&h.newest); s != NULL; s = s->older) {
      uint64_t at = s->last_sequence;
      cr_assert_eq(nc_range_history_at(&h, at), s);
      cr_assert_eq(nc_range_history_at(&h, at + 1), s, "a put behind it");
      for (int key = 0; key < KEYS; key++) {
        nc_range_span span = {.hidden = 0};
        cr_assert_eq(nc_range_state_cover(s, key_of(key)), cover_of(list, count, key, at));
        nc_range_state_span(s, key_of(key), &span);
        cr_assert_eq(span.hidden, cover_of(list, count, key, at));
      }
    }
    cr_assert_null(nc_range_history_at(&h, 1));
    nc_range_history_deinit(&h);
  }
}

Test(range_set, a_history_collects_what_snapshots_see) {
  test_random random = {test_seed("range_history", 5)};
  for (int round = 0; round < ROUNDS; round++) {
    plain_range list[RANGES];
    size_t count = draw_ranges(&random, list);
    nc_range_history h = {0};
    nc_range_set *set;
    nc_range_history_init(&h, heap);
    add_groups(&h, &random, list, count);
    const nc_range_state *newest = nc_range_history_at(&h, NC_SEQUENCE_MAX);
    const nc_range_state *older = newest->older == NULL ? newest : newest->older;
    uint64_t snapshots[] = {1, older->last_sequence};
    must(nc_range_history_collect(&h, snapshots, 2, &set, &err));
    for (int key = 0; key < KEYS; key++) {
      uint64_t at = older->last_sequence;
      cr_assert_eq(nc_range_set_cover(set, key_of(key), at), cover_of(list, count, key, at));
      cr_assert_eq(nc_range_set_cover(set, key_of(key), NC_SEQUENCE_MAX),
                   cover_of(list, count, key, NC_SEQUENCE_MAX));
    }
    nc_range_set_free(set);
    nc_range_history_deinit(&h);
  }
}

/* What adding costs in memory: a set for each would be some 80 MB. */
Test(range_set, many_range_deletes_stay_small) {
  enum { MANY = 2000 };
  nc_range_history h = {0};
  nc_range_history_init(&h, heap);
  for (int i = 0; i < MANY; i++) {
    char from[16], to[16];
    uint8_t bytes[64];
    snprintf(from, sizeof from, "%06d", (i * 7919) % MANY * 10);
    snprintf(to, sizeof to, "%06d", (i * 7919) % MANY * 10 + 5);
    size_t size = nc_operation_encode(NC_KIND_RANGE_DELETE, text(from), text(to), bytes);
    must(nc_range_history_prepare(&h, nc_slice(bytes, size), (uint64_t)i + 1, &err));
    nc_range_history_publish(&h);
  }
  cr_assert_leq(nc_range_history_at(&h, NC_SEQUENCE_MAX)->count, 12);
  cr_assert_lt(nc_range_history_bytes(&h), (size_t)MANY * 1000);
  nc_range_history_deinit(&h);
}
