/* SPDX-License-Identifier: Apache-2.0
 *
 * Long scans: many keys with several versions each, deleted, deleted in ranges and expiring, in memtables and runs;
 * walked in strides, with turns, seeks and reads in the middle of what an iterator has at hand, against arrays of what
 * was there at each moment.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "one_table.h"

enum { KEYS = 700, MOMENTS = 4, KEY_BYTES = 80, VALUE_BYTES = 16, BEGIN_MS = 1000000 };
static const nacre_slice none = {NULL, 0};

/* What was there, and when somebody looked. */
typedef struct moment {
  int values[KEYS]; /* 0: nothing */
  uint64_t expires_ms[KEYS], looked_ms;
  nacre_snapshot *snapshot; /* NULL: now */
} moment;

static moment moments[MOMENTS], *const now = moments;
static uint64_t now_ms;

static uint64_t test_wall_ms(void *context) {
  (void)context;
  return now_ms;
}

static void setup(void) {
  now_ms = BEGIN_MS;
  site_make(&s);
  s.quick.wall_ms = test_wall_ms;
  one_table_open();
}

TestSuite(scans, .init = setup, .fini = one_table_remove, .timeout = 120);

/* Every second key begins with the one before it, and ends there, or some copying steps later. */
static nacre_slice key_of(size_t i, char buffer[KEY_BYTES]) {
  static const char *const tails[] = {"x", "and a tail that takes more than one step to be copied", "yy"};
  const char *tail = i % 2 == 0 ? "" : tails[i / 2 % 3];
  return nc_slice(buffer, (size_t)snprintf(buffer, KEY_BYTES, "%03u%s", (unsigned)(i / 2), tail));
}

static nacre_slice value_of(int value, char buffer[VALUE_BYTES]) {
  return nc_slice(buffer, (size_t)snprintf(buffer, VALUE_BYTES, "%d", value));
}

/* ---- filling ------------------------------------------------------------------------------------------------- */

static void put(size_t i, int value, uint64_t expire_at_ms) {
  char key[KEY_BYTES], bytes[VALUE_BYTES];
  nacre_write_options options = {.expire_at_ms = expire_at_ms};
  now->values[i] = value;
  now->expires_ms[i] = expire_at_ms;
  ok(nacre_put(t, key_of(i, key), value_of(value, bytes), &options));
}

static void remove_one(size_t i) {
  char key[KEY_BYTES];
  now->values[i] = 0;
  ok(nacre_delete(t, key_of(i, key), NULL));
}

static void remove_from_to(size_t from, size_t to) {
  char a[KEY_BYTES], b[KEY_BYTES];
  memset(now->values + from, 0, (to - from) * sizeof *now->values);
  ok(nacre_delete_range(t, key_of(from, a), key_of(to, b), NULL));
}

static void change(test_random *random, int value) {
  size_t i = test_random_below(random, KEYS), kind = test_random_below(random, 200);
  if (kind == 0) {
    size_t to = i + test_random_below(random, 60);
    if (to < KEYS && to > i) remove_from_to(i, to);
  } else if (kind < 15) {
    remove_one(i);
  } else {
    put(i, value, kind < 30 ? now_ms + 1 + test_random_below(random, 200) : 0);
  }
  now_ms++;
}

static void take_moment(moment *m) {
  *m = *now;
  m->looked_ms = now_ms;
  ok(nacre_snapshot_take(t, &m->snapshot));
}

/* In order first, so that there are long stretches without a second version; then here and there. */
static void fill(test_random *random) {
  for (size_t i = 0; i < KEYS; i++) put(i, (int)i + 1, 0);
  ok(nacre_compact(t, none, none));
  for (int i = 0; i < 900; i++) {
    change(random, KEYS + i);
    if (i % 300 == 100) take_moment(&moments[1 + i / 300]);
    if (test_random_chance(random, 250)) ok(nacre_flush(t));
  }
  now->looked_ms = now_ms;
}

/* ---- walking ------------------------------------------------------------------------------------------------- */

typedef struct scan {
  test_random *random;
  nacre_iter *it;
  const moment *of;
  long lower, upper, at; /* at == upper: invalid */
  bool was_read;
} scan;

static bool is_seen(const moment *m, long i) {
  return m->values[i] != 0 && (m->expires_ms[i] == 0 || m->expires_ms[i] > m->looked_ms);
}

/* The next key that is seen, from `i` on, in a direction. */
static long seen_from(const scan *c, long i, int step) {
  while (i >= c->lower && i < c->upper && !is_seen(c->of, i)) i += step;
  return i < c->lower || i > c->upper ? c->upper : i;
}

static void check_pair(const scan *c, nacre_slice key, nacre_slice value) {
  char expected_key[KEY_BYTES], expected[VALUE_BYTES];
  cr_assert(nc_slice_equal(key, key_of((size_t)c->at, expected_key)), "not at %ld", c->at);
  cr_assert(nc_slice_equal(value, value_of(c->of->values[c->at], expected)), "not the value of %ld", c->at);
}

static void check_shown(const scan *c) {
  cr_assert_eq(nacre_iter_status(c->it), NACRE_OK);
  cr_assert_eq(nacre_iter_valid(c->it), c->at < c->upper, "at %ld", c->at);
  if (c->at == c->upper) {
    cr_assert(nacre_iter_key(c->it).size == 0 && nacre_iter_value(c->it).size == 0);
    return;
  }
  check_pair(c, nacre_iter_key(c->it), nacre_iter_value(c->it));
  cr_assert_eq(nacre_iter_expire_at_ms(c->it), c->of->expires_ms[c->at]);
}

static void begin_anywhere(scan *c) {
  char key[KEY_BYTES];
  long target = (long)test_random_below(c->random, KEYS);
  switch (test_random_below(c->random, 4)) {
    case 0:
      nacre_iter_first(c->it);
      c->at = seen_from(c, c->lower, 1);
      break;
    case 1:
      nacre_iter_last(c->it);
      c->at = seen_from(c, c->upper - 1, -1);
      break;
    case 2:
      nacre_iter_seek(c->it, key_of((size_t)target, key));
      c->at = target >= c->upper ? c->upper : seen_from(c, target < c->lower ? c->lower : target, 1);
      break;
    default:
      nacre_iter_seek_back(c->it, key_of((size_t)target, key));
      c->at = target < c->lower ? c->upper : seen_from(c, target >= c->upper ? c->upper - 1 : target, -1);
      break;
  }
  c->was_read = false;
}

static void stride(scan *c, bool forward, size_t steps) {
  for (size_t i = 0; i < steps && c->at < c->upper; i++) {
    if (forward) {
      nacre_iter_next(c->it);
    } else {
      nacre_iter_prev(c->it);
    }
    c->at = seen_from(c, c->at + (forward ? 1 : -1), forward ? 1 : -1);
    check_shown(c);
  }
  if (steps > 0) c->was_read = false;
}

static void read_on(scan *c) {
  nacre_entry entries[70];
  size_t count = nacre_iter_read(c->it, entries, 1 + test_random_below(c->random, 70));
  for (size_t i = 0; i < count; i++) {
    if (i > 0 || c->was_read) c->at = seen_from(c, c->at + 1, 1);
    cr_assert_lt(c->at, c->upper);
    check_pair(c, entries[i].key, entries[i].value);
  }
  if (count == 0) c->at = c->upper;
  c->was_read = count > 0;
}

static void walk(test_random *random, const moment *of, size_t lower, size_t upper) {
  char low[KEY_BYTES], high[KEY_BYTES];
  scan c = {.random = random, .of = of, .lower = (long)lower, .upper = (long)upper};
  nacre_read_options options = {.snapshot = of->snapshot};
  if (lower > 0) options.lower = key_of(lower, low);
  if (upper < KEYS) options.upper_excluded = key_of(upper, high);
  ok(nacre_iter_open(t, &options, &c.it));
  for (int i = 0; i < 60; i++) {
    if (i == 0 || c.at == c.upper || test_random_chance(random, 6)) begin_anywhere(&c);
    check_shown(&c);
    if (c.at == c.upper) continue;
    stride(&c, true, test_random_below(random, test_random_chance(random, 2) ? 4 : 150));
    if (test_random_chance(random, 2) && c.at < c.upper) read_on(&c);
    if (test_random_chance(random, 3)) stride(&c, false, test_random_below(random, 20));
  }
  nacre_iter_close(c.it);
}

Test(scans, in_strides_show_what_was_there_at_each_moment) {
  test_random random = {test_seed("scans", 91)};
  fill(&random);
  for (int round = 0; round < 16; round++) {
    size_t lower = test_random_below(&random, KEYS), upper = lower + test_random_below(&random, KEYS - lower);
    const moment *m = &moments[round % MOMENTS];
    if (round % 3 == 0) {
      walk(&random, m, 0, KEYS);
    } else {
      walk(&random, m, lower, upper);
    }
    if (round == 8) ok(nacre_flush(t));
    if (round == 12) ok(nacre_compact(t, none, none)); /* snapshots keep versions apart */
  }
  for (int i = 1; i < MOMENTS; i++) nacre_snapshot_release(moments[i].snapshot);
}

/* What is written while an iterator is open is not for it, wherever it has looked ahead to. */
Test(scans, do_not_meet_what_is_written_beside_them) {
  test_random random = {test_seed("scans", 92)};
  fill(&random);
  moment before = *now;
  scan c = {.random = &random, .of = &before, .lower = 0, .upper = KEYS};
  ok(nacre_iter_open(t, NULL, &c.it));
  for (int round = 0; round < 40; round++) {
    begin_anywhere(&c);
    for (int i = 0; i < 12 && c.at < c.upper; i++) {
      check_shown(&c);
      stride(&c, true, test_random_below(&random, 12));
      change(&random, 5000 + round);
      if (c.at < c.upper && test_random_chance(&random, 4)) stride(&c, false, 3);
    }
  }
  nacre_iter_close(c.it);
  for (int i = 1; i < MOMENTS; i++) nacre_snapshot_release(moments[i].snapshot);
}

/* ---- runs that are interleaved ------------------------------------------------------------------------------- */

enum { WOVEN = 4000, RUNS = 3 };

/* Of each six, three differ in zeros at their ends alone, and three only behind the eight bytes that are compared first,
 * at one length. */
static nacre_slice woven_key(size_t i, char buffer[KEY_BYTES]) {
  int size = snprintf(buffer, KEY_BYTES, "%04u", (unsigned)(i / 6));
  if (i % 6 >= 3)
    size += snprintf(buffer + size, KEY_BYTES - (size_t)size, "and on for long %u", (unsigned)(i % 6));
  memset(buffer + size, 0, 3);
  return nc_slice(buffer, (size_t)size + (i % 6 < 3 ? i % 6 : 0));
}

/* Keys of several runs come one after the other, more of them at hand than one batch of the merge takes. */
Test(scans, of_interleaved_runs_are_in_order) {
  test_random random = {test_seed("scans", 93)};
  static uint8_t newest[WOVEN]; /* 1 to RUNS, which is also the value */
  char key[KEY_BYTES];
  for (size_t run = 1; run <= RUNS; run++) {
    for (size_t i = 0; i < WOVEN; i++) {
      if (run > 1 && !test_random_chance(&random, 2)) continue;
      newest[i] = (uint8_t)run;
      ok(nacre_put(t, woven_key(i, key), nc_slice(&newest[i], 1), NULL));
    }
    ok(nacre_flush(t));
  }
  nacre_iter *it;
  ok(nacre_iter_open(t, NULL, &it));
  nacre_iter_first(it);
  for (size_t i = 0; i < WOVEN; i++, nacre_iter_next(it)) {
    cr_assert(nacre_iter_valid(it) && nc_slice_equal(nacre_iter_key(it), woven_key(i, key)), "not %zu", i);
    cr_assert(nc_slice_equal(nacre_iter_value(it), nc_slice(&newest[i], 1)), "%zu", i);
  }
  cr_assert_not(nacre_iter_valid(it));
  ok(nacre_iter_status(it));
  nacre_iter_close(it);
}
