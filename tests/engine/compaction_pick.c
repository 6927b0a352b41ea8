/* SPDX-License-Identifier: Apache-2.0
 *
 * compaction_pick, levels, beneath: trees of named segments, whose entries are only in this test's memory. Flushes
 * and bulk loads come at random, several compactions run at once and end in any order; at every step runs do not
 * overlap, every key's versions stand in the order of their age, and every key reads as it was last written.
 */
#include "compaction_pick.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "beneath.h"
#include "load_place.h"
#include "segments.h"

enum { KEYS = 400, SEGMENTS_MAX = 200000, RUNNING_MAX = 3, ENTRY_BYTES = 10 };

/* What a segment holds: versions of keys, by key. */
typedef struct entry {
  uint16_t key;
  bool deleted;
  uint32_t sequence;
} entry;
typedef struct content {
  entry *entries;
  size_t count;
} content;

static floor_fixture f;
static nacre_error err;
static test_random randoms;
static nc_version *now;
static content contents[SEGMENTS_MAX]; /* by file number */
static uint64_t next_number;
static uint32_t next_sequence;
static entry model[KEYS]; /* the newest version of each key */
static nc_policy policy;
static uint64_t bytes_written, bytes_flushed;

static void setup(void) {
  floor_open(&f);
  must(nc_version_create(NULL, NULL, 0, &now, &err));
  next_number = 1;
  next_sequence = 1;
  memset(model, 0, sizeof model);
  policy = (nc_policy){.young_runs = 4, .young_bytes = 4000, .ratio = 4, .segment_bytes = 500};
  bytes_written = bytes_flushed = 0;
}
static void teardown(void) {
  nc_version_unref(now);
  for (uint64_t i = 0; i < next_number; i++) free(contents[i].entries);
  memset(contents, 0, sizeof contents);
  floor_close(&f);
}
TestSuite(compaction_pick, .init = setup, .fini = teardown);

/* ---- segments ------------------------------------------------------------------------------------------ */

static nc_segment *segment_holding(const entry *entries, size_t count) {
  char smallest[8], largest[8];
  size_t deletes = 0;
  for (size_t i = 0; i < count; i++) deletes += entries[i].deleted;
  snprintf(smallest, sizeof smallest, "%05u", entries[0].key);
  snprintf(largest, sizeof largest, "%05u", entries[count - 1].key);
  nc_segment_record record = {.number = next_number,
                              .size = ENTRY_BYTES * count,
                              .entries = count,
                              .smallest = text(smallest),
                              .largest = text(largest),
                              .flags = deletes == 0          ? 0
                                       : deletes * 4 >= count ? NC_SEGMENT_HOLDS_DELETES | NC_SEGMENT_MANY_DELETES
                                                              : NC_SEGMENT_HOLDS_DELETES};
  cr_assert_lt(next_number + 1, SEGMENTS_MAX);
  contents[next_number].entries = test_alloc(count * sizeof *entries);
  contents[next_number].count = count;
  memcpy(contents[next_number++].entries, entries, count * sizeof *entries);
  return segment_of(&f, &record);
}

static const content *content_of(const nc_segment *s) { return &contents[nc_segment_describe(s)->number]; }

static void follow(nc_segment *const *add, size_t add_count, nc_place place, nc_segment *const *remove,
                   size_t remove_count) {
  nc_version *next;
  must(nc_version_follow(now, add, add_count, place, remove, remove_count, &next, &err));
  nc_version_unref(now);
  now = next;
}

enum { WAYS = 4 };

/* A flush of random keys: anywhere, in a narrow range, one after the other, or very few. */
static void flush(unsigned way) {
  static uint16_t serial;
  bool chosen[KEYS] = {false};
  size_t count = 1 + test_random_below(&randoms, 60), wide = way == 0 ? KEYS : 80;
  size_t from = way == 0 ? 0 : (size_t)test_random_below(&randoms, KEYS - wide);
  if (way == 2) {
    if (serial + count >= KEYS) serial = 0;
    for (size_t i = 0; i < count; i++) chosen[serial++] = true;
  } else if (way == 3) {
    for (size_t i = 0; i < 1 + count / 12; i++) chosen[from + i] = true;
  } else {
    for (size_t i = 0; i < count; i++) chosen[from + test_random_below(&randoms, wide)] = true;
  }
  entry entries[KEYS];
  size_t n = 0;
  bool deletes = test_random_chance(&randoms, 4);
  for (uint16_t k = 0; k < KEYS; k++) {
    if (!chosen[k]) continue;
    entries[n] = (entry){k, deletes && test_random_chance(&randoms, 2), next_sequence++};
    model[k] = entries[n++];
  }
  nc_segment *s = segment_holding(entries, n);
  bytes_flushed += ENTRY_BYTES * n;
  follow(&s, 1, (nc_place){next_number++, 0}, NULL, 0);
  nc_segment_unref(s);
}

/* A bulk load of up to three segments, with gaps between their keys, stands as low as it may. */
static nc_place load(void) {
  nc_segment *made[3];
  entry entries[KEYS];
  size_t count = 1 + (size_t)test_random_below(&randoms, 3), step = 1 + (size_t)test_random_below(&randoms, 4);
  size_t most = 1 + (size_t)test_random_below(&randoms, 8);
  uint16_t key = (uint16_t)test_random_below(&randoms, KEYS);
  size_t made_count = 0;
  for (; made_count < count && key < KEYS; made_count++) {
    size_t n = 0;
    for (; n < most && key < KEYS; key = (uint16_t)(key + step), n++)
      model[key] = entries[n] = (entry){key, false, next_sequence};
    made[made_count] = segment_holding(entries, n);
  }
  next_sequence++;
  nc_place place = nc_load_place(now, &policy, made, made_count, next_number++);
  follow(made, made_count, place, NULL, 0);
  for (size_t i = 0; i < made_count; i++) nc_segment_unref(made[i]);
  return place;
}

/* ---- what must hold ------------------------------------------------------------------------------------ */

static const entry *find_in(const nc_segment *s, uint16_t key) {
  const content *c = content_of(s);
  for (size_t i = 0; i < c->count; i++) {
    if (c->entries[i].key == key) return &c->entries[i];
  }
  return NULL;
}

static void check_version(void) {
  for (uint16_t k = 0; k < KEYS; k++) {
    char name[8];
    snprintf(name, sizeof name, "%05u", k);
    const entry *newest = NULL;
    uint32_t before = UINT32_MAX;
    for (size_t r = 0; r < now->run_count; r++) {
      const nc_segment *s = nc_run_find(&now->runs[r], text(name));
      const entry *e = s == NULL ? NULL : find_in(s, k);
      if (e == NULL) continue;
      cr_assert_lt(e->sequence, before, "key %u: run %llu holds a newer version than one above", k,
                   (unsigned long long)now->runs[r].id);
      before = e->sequence;
      if (newest == NULL) newest = e;
    }
    bool there = newest != NULL && !newest->deleted, wanted = model[k].sequence != 0 && !model[k].deleted;
    cr_assert_eq(there, wanted, "key %u", k);
    if (there) cr_assert_eq(newest->sequence, model[k].sequence);
  }
}

static bool overlap(const nc_compaction *a, const nc_compaction *b) {
  for (size_t i = 0; i < a->segment_count; i++) {
    for (size_t j = 0; j < b->segment_count; j++) {
      if (a->segments[i] == b->segments[j]) return true;
    }
  }
  return false;
}

/* ---- compactions --------------------------------------------------------------------------------------- */

static size_t merge_entries(const nc_compaction *c, entry *out) {
  size_t n = 0;
  uint64_t oldest = c->inputs[c->input_count - 1].id;
  nc_beneath beneath = nc_beneath_of(c->version, oldest < c->place.run ? oldest : c->place.run);
  for (uint16_t k = 0; k < KEYS; k++) {
    char name[8];
    snprintf(name, sizeof name, "%05u", k);
    const entry *newest = NULL;
    for (size_t r = 0; r < c->input_count && newest == NULL; r++) {
      const nc_segment *s = nc_run_find(&c->inputs[r], text(name));
      newest = s == NULL ? NULL : find_in(s, k);
    }
    if (newest == NULL || (newest->deleted && !nc_beneath_holds(&beneath, text(name)))) continue;
    out[n++] = *newest;
  }
  return n;
}

static void complete(nc_compaction *c) {
  nc_segment *made[KEYS];
  entry entries[KEYS];
  size_t made_count = 0, n = c->moves ? 0 : merge_entries(c, entries);
  for (size_t at = 0; at < n;) {
    size_t most = policy.segment_bytes / ENTRY_BYTES, count = n - at < most ? n - at : most;
    made[made_count++] = segment_holding(&entries[at], count);
    at += count;
  }
  bytes_written += ENTRY_BYTES * n;
  if (c->moves) {
    follow(c->segments, c->segment_count, c->place, c->segments, c->segment_count);
  } else {
    follow(made, made_count, c->place, c->segments, c->segment_count);
  }
  for (size_t i = 0; i < made_count; i++) nc_segment_unref(made[i]);
  nc_compaction_let_go(c);
  nc_compaction_end(c);
}

static bool pick(nc_urgency urgency, nc_compaction *ret_compaction) {
  must(nc_compaction_pick(now, &policy, urgency, 0, ret_compaction, &err));
  if (ret_compaction->segment_count > 0) return true;
  nc_compaction_end(ret_compaction);
  return false;
}

/* Some of them as a close would. */
static bool pick_any(nc_urgency urgency, nc_compaction *ret_compaction) {
  if (!test_random_chance(&randoms, 6)) return pick(urgency, ret_compaction);
  must(nc_compaction_pick_small(now, &policy, policy.young_bytes / 4, ret_compaction, &err));
  if (ret_compaction->segment_count > 0) return true;
  nc_compaction_end(ret_compaction);
  return false;
}

/* Until nothing is left to do; returns how many it took. */
static size_t settle(nc_urgency urgency) {
  nc_compaction c;
  size_t count = 0;
  for (; pick(urgency, &c); count++) {
    complete(&c);
    cr_assert_lt(count, 10000, "there is always something left to do");
  }
  return count;
}

/* Ends are compared by key and by whether it is one of theirs: two that end before one key reach equally far. */
Test(compaction_pick, segments_that_end_before_a_key_hang_together_all_the_same) {
  for (uint64_t i = 0; i < 3; i++) {
    nc_segment_record record = {.number = next_number++,
                                .size = 100,
                                .entries = 1,
                                .smallest = text(i == 2 ? "00300" : "00100"),
                                .largest = text(i == 2 ? "00400" : "00300"),
                                .flags = NC_SEGMENT_HOLDS_RANGES | (i == 2 ? 0 : NC_SEGMENT_LARGEST_EXCLUDED)};
    nc_segment *s = segment_of(&f, &record);
    follow(&s, 1, (nc_place){next_number++, 0}, NULL, 0);
    nc_segment_unref(s);
  }
  nc_compaction c;
  must(nc_compaction_pick_range(now, text("00250"), text("00260"), &c, &err));
  cr_expect_eq(c.segment_count, 2, "the third begins where these end");
  nc_compaction_let_go(&c);
  nc_compaction_end(&c);
}

/* ---- tests --------------------------------------------------------------------------------------------- */

Test(compaction_pick, random_trees_keep_every_key_in_order) {
  randoms = (test_random){test_seed("compaction_pick", 71)};
  size_t loads = 0, sunk = 0;
  for (int round = 0; round < 20; round++) {
    nc_compaction running[RUNNING_MAX];
    size_t count = 0;
    unsigned way = (unsigned)round % (WAYS + 1);
    policy.ratio = 2 + (uint32_t)test_random_below(&randoms, 6);
    policy.segment_bytes = 100 + test_random_below(&randoms, 900);
    policy.young_bytes = 800 + test_random_below(&randoms, 6000);
    for (int step = 0; step < 400; step++) {
      uint64_t dice = test_random_below(&randoms, 10);
      nc_urgency urgency = test_random_chance(&randoms, 4) ? NC_URGENCY_IDLE : NC_URGENCY_DUE;
      if (dice < 4) {
        flush(way == WAYS ? (unsigned)test_random_below(&randoms, WAYS) : way);
      } else if (dice == 4 && way != 0) {
        loads++;
        sunk += load().level > 0;
        check_version();
      } else if (dice < 7 && count < RUNNING_MAX && pick_any(urgency, &running[count])) {
        for (size_t i = 0; i < count; i++) cr_assert_not(overlap(&running[i], &running[count]));
        count++;
      } else if (count > 0) {
        size_t at = (size_t)test_random_below(&randoms, count);
        complete(&running[at]);
        running[at] = running[--count];
        check_version();
      }
    }
    while (count > 0) complete(&running[--count]);
    settle(NC_URGENCY_IDLE);
    check_version();
  }
  cr_assert(sunk > loads / 50 && sunk < loads, "%zu of %zu loads stand on a level", sunk, loads);
}

Test(compaction_pick, a_settled_tree_is_in_shape) {
  randoms = (test_random){test_seed("compaction_pick", 72)};
  policy.young_bytes = 1000;
  policy.segment_bytes = 200;
  for (int round = 0; round < 100; round++) {
    for (int i = 0; i < 9; i++) flush(0);
    settle(NC_URGENCY_DUE);
    nc_levels l;
    nc_levels_of(now, &policy, &l);
    cr_assert(l.young_count < policy.young_runs && l.young_bytes < policy.young_bytes);
    uint64_t above = l.young_bytes;
    for (uint32_t i = 1; i < NC_LEVEL_BOTTOM; i++) {
      cr_assert_leq(nc_levels_bytes(&l, i), l.targets[i] + l.targets[i] / 1000);
      cr_assert(i >= l.base || l.runs[i] == NULL);
      above += nc_levels_bytes(&l, i);
    }
    uint64_t bottom = nc_levels_bytes(&l, NC_LEVEL_BOTTOM);
    cr_assert_leq(above, policy.young_bytes + bottom / (policy.ratio - 1) + 1);
    cr_assert_eq(nc_levels_debt(&l, &policy), 0);
    check_version();
  }
}

/* Every key deleted: in the end not a segment is left, though no size asks for anything. */
Test(compaction_pick, deletes_reach_the_bottom_and_go) {
  randoms = (test_random){test_seed("compaction_pick", 73)};
  for (int round = 0; round < 20; round++) {
    for (int i = 0; i < 60; i++) {
      flush(i % 3 == 0 ? 0 : 1);
      settle(NC_URGENCY_DUE);
    }
    entry all[KEYS];
    for (uint16_t k = 0; k < KEYS; k++) model[k] = all[k] = (entry){k, true, next_sequence++};
    nc_segment *s = segment_holding(all, KEYS);
    follow(&s, 1, (nc_place){next_number++, 0}, NULL, 0);
    nc_segment_unref(s);
    settle(NC_URGENCY_IDLE);
    check_version();
    cr_assert_eq(now->segment_count, 0);
  }
}

static void flush_one(uint16_t key, bool deleted) {
  entry one = {key, deleted, next_sequence++};
  model[key] = one;
  nc_segment *s = segment_holding(&one, 1);
  bytes_flushed += ENTRY_BYTES;
  follow(&s, 1, (nc_place){next_number++, 0}, NULL, 0);
  nc_segment_unref(s);
}

Test(compaction_pick, a_delete_that_hides_nothing_does_not_move_but_goes) {
  flush_one(7, true);
  settle(NC_URGENCY_IDLE);
  cr_expect_eq(now->segment_count, 0);
}

/* What comes out of two neighbours lies across the gap between them: nothing may move into it meanwhile. */
Test(compaction_pick, nothing_moves_between_neighbours_that_are_being_joined) {
  nc_compaction first, second;
  flush_one(10, false);
  flush_one(50, false);
  cr_assert(pick(NC_URGENCY_IDLE, &first));
  cr_assert(!first.moves && first.segment_count == 2);
  flush_one(30, false);
  cr_expect_not(pick(NC_URGENCY_IDLE, &second));
  flush_one(60, false);
  bool may = pick(NC_URGENCY_IDLE, &second);
  if (may) cr_assert_not(overlap(&first, &second));
  complete(&first);
  if (may) complete(&second);
  check_version();
  settle(NC_URGENCY_IDLE);
  check_version();
  cr_expect_eq(now->run_count, 1);
}

Test(compaction_pick, no_load_goes_between_neighbours_that_are_being_joined) {
  nc_compaction c;
  flush_one(10, false);
  flush_one(50, false);
  cr_assert(pick(NC_URGENCY_IDLE, &c));
  entry loaded[] = {{30, false, next_sequence}, {70, false, next_sequence}};
  next_sequence++;
  for (int i = 0; i < 2; i++) {
    nc_segment *s = segment_holding(&loaded[i], 1);
    nc_place place = nc_load_place(now, &policy, &s, 1, next_number++);
    cr_expect_eq(place.level, i == 0 ? 0 : NC_LEVEL_BOTTOM);
    follow(&s, 1, place, NULL, 0);
    nc_segment_unref(s);
    model[loaded[i].key] = loaded[i];
  }
  complete(&c);
  check_version();
}

Test(compaction_pick, what_comes_in_order_only_moves) {
  randoms = (test_random){test_seed("compaction_pick", 74)};
  for (int i = 0; i < 6; i++) {
    entry entries[60];
    for (uint16_t k = 0; k < 60; k++) {
      entries[k] = (entry){(uint16_t)(60 * i + k), false, next_sequence++};
      model[60 * i + k] = entries[k];
    }
    nc_segment *s = segment_holding(entries, 60);
    follow(&s, 1, (nc_place){next_number++, 0}, NULL, 0);
    nc_segment_unref(s);
    settle(NC_URGENCY_DUE);
    check_version();
  }
  settle(NC_URGENCY_IDLE);
  cr_expect_eq(bytes_written, 0);
  cr_expect_eq(now->run_count, 1);
  check_version();
}

/* A flush of a few keys at a time must not write the whole table again each time, nor leave a file each. */
Test(compaction_pick, small_flushes_become_larger_segments_at_a_bounded_price) {
  randoms = (test_random){test_seed("compaction_pick", 75)};
  policy.young_bytes = 100000;
  policy.segment_bytes = 100000;
  for (uint16_t k = 0; k < KEYS; k++) {
    flush_one(k, false);
    settle(k % 50 == 0 ? NC_URGENCY_IDLE : NC_URGENCY_DUE);
  }
  check_version();
  cr_expect_leq(now->segment_count, 20);
  cr_expect_leq(bytes_written, bytes_flushed * 12, "%llu bytes written for %llu flushed",
                (unsigned long long)bytes_written, (unsigned long long)bytes_flushed);
}

static void place_runs(const nc_place *places, size_t count) {
  for (size_t i = 0; i < count; i++) {
    entry entries[KEYS];
    size_t n = 0;
    uint64_t from = test_random_below(&randoms, 200), to = from + 1 + test_random_below(&randoms, 200);
    for (uint64_t k = from; k < to; k++)
      model[k] = entries[n++] = (entry){(uint16_t)k, false, next_sequence++};
    nc_segment *s = segment_holding(entries, n);
    follow(&s, 1, places[i], NULL, 0);
    nc_segment_unref(s);
  }
}

/* Other ways of merging leave levels in any order, and runs without a number between them. */
Test(compaction_pick, any_tree_is_brought_into_shape) {
  randoms = (test_random){test_seed("compaction_pick", 76)};
  for (int round = 0; round < 200; round++) {
    nc_place places[9];
    size_t count = 1 + (size_t)test_random_below(&randoms, 9);
    uint64_t id = now->run_count == 0 ? 0 : now->runs[0].id;
    for (size_t i = 0; i < count; i++) {
      id += 1 + (test_random_chance(&randoms, 2) ? 0 : test_random_below(&randoms, 3));
      places[i] = (nc_place){id, (uint32_t)test_random_below(&randoms, 9)};
    }
    place_runs(places, count);
    check_version();
    settle(NC_URGENCY_DUE);
    check_version();
    nc_levels l;
    nc_levels_of(now, &policy, &l);
    cr_assert_lt(l.young_count, policy.young_runs);
    next_number = next_number > id ? next_number : id + 1;
  }
}

Test(compaction_pick, a_range_that_is_asked_for_takes_all_that_hangs_on_it) {
  randoms = (test_random){test_seed("compaction_pick", 77)};
  for (int round = 0; round < 100; round++) {
    for (int i = 0; i < 3; i++) flush((unsigned)test_random_below(&randoms, 2) + 1);
    char from[8], to[8];
    snprintf(from, sizeof from, "%05u", (unsigned)test_random_below(&randoms, KEYS));
    snprintf(to, sizeof to, "%05u", (unsigned)test_random_below(&randoms, KEYS + 1));
    bool open_from = test_random_chance(&randoms, 4), open_to = test_random_chance(&randoms, 4);
    nc_compaction c;
    must(nc_compaction_pick_range(now, open_from ? (nacre_slice){0} : text(from),
                                  open_to ? (nacre_slice){0} : text(to), &c, &err));
    if (c.segment_count == 0) {
      nc_compaction_end(&c);
      continue;
    }
    complete(&c);
    check_version();
    for (uint16_t k = 0; k < KEYS; k++) { /* of keys in the range, one version is left, and no delete */
      char name[8];
      snprintf(name, sizeof name, "%05u", k);
      if ((!open_from && strcmp(name, from) < 0) || (!open_to && strcmp(name, to) >= 0)) continue;
      size_t versions = 0;
      for (size_t r = 0; r < now->run_count; r++) {
        const nc_segment *s = nc_run_find(&now->runs[r], text(name));
        versions += s != NULL && find_in(s, k) != NULL;
      }
      cr_assert_eq(versions, model[k].sequence != 0 && !model[k].deleted);
    }
  }
}
