/* SPDX-License-Identifier: Apache-2.0
 *
 * nacre_iter: both directions, bounds, turns, moments; against a sorted array.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "one_table.h"
#include "iterator.h"

enum { KEYS = 60 };
static const nacre_slice none = {NULL, 0};
static int model[KEYS]; /* the value of each key; 0: not there */

TestSuite(iterators, .init = one_table_make, .fini = one_table_remove);

static const char *key_of(size_t i, char buffer[16]) {
  snprintf(buffer, 16, "%02u", (unsigned)i);
  return buffer;
}

static void set(size_t i, int value) {
  char key[16], bytes[16];
  model[i] = value;
  if (value == 0) {
    ok(nacre_delete(t, text(key_of(i, key)), NULL));
  } else {
    snprintf(bytes, sizeof bytes, "%d", value);
    put_text(t, key_of(i, key), bytes, false);
  }
}

static void delete_between(size_t from, size_t to) {
  char a[16], b[16];
  if (from >= to) return;
  ok(nacre_delete_range(t, text(key_of(from, a)), text(key_of(to, b)), NULL));
  memset(model + from, 0, (to - from) * sizeof *model);
}

/* Versions of many keys in the memtable, in several runs, and deletes over them. */
static void fill(test_random *random) {
  for (int i = 1; i < 400; i++) {
    set(test_random_below(random, KEYS), test_random_chance(random, 4) ? 0 : i);
    if (test_random_chance(random, 60))
      delete_between(test_random_below(random, KEYS / 2), test_random_below(random, KEYS));
    if (test_random_chance(random, 60)) ok(nacre_flush(t));
    if (test_random_chance(random, 200)) ok(nacre_compact(t, none, none));
  }
}

/* The next key of [lower, upper) that is there, from `i` on (itself included), in a direction; KEYS: none. */
static size_t next_there(const int *values, long i, int step, size_t lower, size_t upper) {
  for (; i >= (long)lower && i < (long)upper; i += step) {
    if (values[i] != 0) return (size_t)i;
  }
  return KEYS;
}

static void check_at(const nacre_iter *it, const int *values, size_t i) {
  char key[16], value[16];
  cr_assert_eq(nacre_iter_status(it), NACRE_OK);
  cr_assert_eq(nacre_iter_valid(it), i < KEYS);
  if (i == KEYS) {
    cr_assert(nacre_iter_key(it).size == 0 && nacre_iter_value(it).size == 0);
    return;
  }
  snprintf(value, sizeof value, "%d", values[i]);
  cr_assert(slice_is(nacre_iter_key(it), key_of(i, key)), "not at %s", key);
  cr_assert(slice_is(nacre_iter_value(it), value));
}

/* Reads some pairs on from `at`, or from behind it when it was handed out already; returns where it stands. */
static size_t check_read(test_random *random, nacre_iter *it, const int *values, size_t at, bool again,
                         size_t lower, size_t upper) {
  nacre_entry entries[8];
  char key[16], value[16];
  if (again && at < KEYS) at = next_there(values, (long)at + 1, 1, lower, upper);
  size_t count = nacre_iter_read(it, entries, 1 + test_random_below(random, 8));
  cr_assert_eq(count > 0, at < KEYS);
  for (size_t i = 0; i < count; i++) {
    if (i > 0) at = next_there(values, (long)at + 1, 1, lower, upper);
    cr_assert(at < KEYS);
    snprintf(value, sizeof value, "%d", values[at]);
    cr_assert(slice_is(entries[i].key, key_of(at, key)) && slice_is(entries[i].value, value), "not %s", key);
  }
  return at;
}

/* A random walk in [lower, upper). */
static void walk(test_random *random, nacre_iter *it, const int *values, size_t lower, size_t upper) {
  size_t at = next_there(values, (long)lower, 1, lower, upper);
  char key[16];
  bool was_read = false;
  nacre_iter_first(it); /* it may come from another walk */
  for (int i = 0; i < 300; i++) {
    size_t target = test_random_below(random, KEYS);
    if (test_random_chance(random, 4)) {
      at = check_read(random, it, values, at, was_read, lower, upper);
      check_at(it, values, at);
      was_read = at < KEYS;
      continue;
    }
    was_read = false;
    switch (test_random_below(random, at == KEYS ? 4 : 12)) {
      case 0:
        nacre_iter_first(it);
        at = next_there(values, (long)lower, 1, lower, upper);
        break;
      case 1:
        nacre_iter_last(it);
        at = next_there(values, (long)upper - 1, -1, lower, upper);
        break;
      case 2:
        nacre_iter_seek(it, text(key_of(target, key)));
        at = next_there(values, (long)(target < lower ? lower : target), 1, lower, upper);
        break;
      case 3:
        nacre_iter_seek_back(it, text(key_of(target, key)));
        at = next_there(values, (long)(target >= upper ? upper - 1 : target), -1, lower, upper);
        break;
      case 4:
      case 5:
      case 6:
      case 7:
        nacre_iter_next(it);
        at = next_there(values, (long)at + 1, 1, lower, upper);
        break;
      default:
        nacre_iter_prev(it);
        at = next_there(values, (long)at - 1, -1, lower, upper);
        break;
    }
    check_at(it, values, at);
  }
}

static nacre_iter *open_between(size_t lower, size_t upper, const nacre_snapshot *snapshot) {
  char low[16], high[16];
  nacre_iter *it;
  nacre_read_options options = {.snapshot = snapshot};
  if (lower > 0) options.lower = text(key_of(lower, low));
  if (upper < KEYS) options.upper_excluded = text(key_of(upper, high));
  ok(nacre_iter_open(t, &options, &it));
  memset(low, 'x', sizeof low); /* bounds are copied */
  memset(high, 'x', sizeof high);
  return it;
}

Test(iterators, walk_as_a_sorted_array_does) {
  test_random random = {test_seed("iterators", 81)};
  for (int round = 0; round < 8; round++) {
    fill(&random);
    nacre_iter *it = open_between(0, KEYS, NULL);
    walk(&random, it, model, 0, KEYS);
    nacre_iter_close(it);
  }
}

Test(iterators, see_nothing_outside_their_bounds) {
  test_random random = {test_seed("iterators", 82)};
  fill(&random);
  for (int round = 0; round < 40; round++) {
    size_t lower = test_random_below(&random, KEYS), upper = 1 + test_random_below(&random, KEYS);
    if (lower >= upper) continue;
    nacre_iter *it = open_between(lower, upper, NULL);
    walk(&random, it, model, lower, upper);
    nacre_iter_close(it);
  }
}

Test(iterators, with_crossed_or_equal_bounds_are_empty) {
  for (size_t i = 0; i < KEYS; i++) set(i, 1);
  static const size_t bounds[][2] = {{30, 30}, {30, 10}, {59, 1}};
  for (size_t i = 0; i < 3; i++) {
    nacre_iter *it = open_between(bounds[i][0], bounds[i][1], NULL);
    char key[16];
    nacre_iter_first(it);
    check_at(it, model, KEYS);
    nacre_iter_last(it);
    check_at(it, model, KEYS);
    for (size_t k = 0; k < KEYS; k++) {
      nacre_iter_seek(it, text(key_of(k, key)));
      check_at(it, model, KEYS);
      nacre_iter_seek_back(it, text(key_of(k, key)));
      check_at(it, model, KEYS);
    }
    nacre_iter_close(it);
  }
}

Test(iterators, read_all_in_a_few_calls) {
  char key[16];
  nacre_entry entries[100];
  for (int i = 0; i < 20000; i++) {
    snprintf(key, sizeof key, "%06d", i);
    put_text(t, key, i % 3 == 0 ? "" : "some value", false);
  }
  ok(nacre_delete(t, text("000777"), NULL));
  ok(nacre_compact(t, none, none));
  nacre_iter *it;
  ok(nacre_iter_open(t, NULL, &it));
  cr_expect_eq(nacre_iter_read(it, entries, 100), 0, "it stands nowhere");
  nacre_iter_first(it);
  cr_expect_eq(nacre_iter_read(it, entries, 0), 0);
  int next = 0, calls = 0;
  for (size_t n; (n = nacre_iter_read(it, entries, 100)) > 0; calls++) {
    for (size_t i = 0; i < n; i++, next++) {
      if (next == 777) next++;
      snprintf(key, sizeof key, "%06d", next);
      cr_assert(slice_is(entries[i].key, key) && entries[i].value.size == (next % 3 == 0 ? 0 : 10));
    }
  }
  cr_expect_eq(next, 20000);
  cr_expect(nacre_iter_status(it) == NACRE_OK && !nacre_iter_valid(it));
  cr_expect(calls < 20000 / 12, "%d calls", calls);
  nacre_iter_last(it);
  cr_expect_eq(nacre_iter_read(it, entries, 100), 1);
  cr_expect_eq(nacre_iter_read(it, entries, 100), 0);
  nacre_iter_first(it);
  cr_expect_eq(nacre_iter_read(it, NULL, 1), 0);
  cr_expect_eq(nacre_iter_status(it), NACRE_INVALID);
  nacre_iter_close(it);
}

/* The key that is shown, and parts of it, are keys to seek like any other. */
Test(iterators, seek_the_key_they_stand_at) {
  char key[16];
  for (int i = 0; i < 2000; i++) {
    snprintf(key, sizeof key, "%06d", i);
    put_text(t, key, key, false);
  }
  ok(nacre_compact(t, none, none));
  nacre_iter *it;
  ok(nacre_iter_open(t, NULL, &it));
  nacre_iter_first(it);
  for (int i = 0; i < 1000; i++) nacre_iter_next(it);
  nacre_iter_seek(it, nacre_iter_key(it));
  cr_expect(slice_is(nacre_iter_key(it), "001000"));
  nacre_iter_next(it);
  nacre_iter_seek_back(it, nacre_iter_key(it));
  cr_expect(slice_is(nacre_iter_key(it), "001001"));
  nacre_iter_seek(it, (nacre_slice){nacre_iter_key(it).data, 4});
  cr_expect(slice_is(nacre_iter_key(it), "001000"));
  nacre_iter_close(it);
}

Test(iterators, the_empty_key_is_a_bound_and_no_bound_is_none) {
  put_text(t, "", "empty", false);
  put_text(t, "a", "a", false);
  nacre_iter *it;
  nacre_read_options above = {.lower = text("")}, below = {.upper_excluded = text("")};
  ok(nacre_iter_open(t, &above, &it));
  nacre_iter_first(it);
  cr_expect(slice_is(nacre_iter_value(it), "empty"));
  nacre_iter_close(it);
  ok(nacre_iter_open(t, &below, &it));
  nacre_iter_first(it);
  cr_expect_not(nacre_iter_valid(it));
  nacre_iter_last(it);
  cr_expect_not(nacre_iter_valid(it));
  nacre_iter_close(it);
}

Test(iterators, find_the_very_first_write_from_both_sides) {
  char key[16];
  set(7, 1);
  nacre_iter *it = open_between(0, KEYS, NULL);
  nacre_iter_seek(it, text(key_of(7, key)));
  check_at(it, model, 7);
  nacre_iter_seek_back(it, text(key_of(7, key)));
  check_at(it, model, 7);
  nacre_iter_seek_back(it, text(key_of(6, key)));
  check_at(it, model, KEYS);
  nacre_iter_close(it);
}

Test(iterators, start_nowhere_and_stay_invalid_until_they_are_placed) {
  set(1, 1);
  nacre_iter *it = open_between(0, KEYS, NULL);
  check_at(it, model, KEYS);
  nacre_iter_next(it);
  check_at(it, model, KEYS);
  nacre_iter_prev(it);
  check_at(it, model, KEYS);
  nacre_iter_last(it);
  check_at(it, model, 1);
  nacre_iter_next(it);
  nacre_iter_prev(it);
  check_at(it, model, KEYS);
  nacre_iter_close(it);
}

/* An iterator sees the moment it was opened at, whatever is written, flushed and merged meanwhile. */
Test(iterators, are_pinned_to_the_moment_they_were_opened_at) {
  test_random random = {test_seed("iterators", 83)};
  nacre_iter *its[3];
  nacre_snapshot *snapshots[3];
  static int then[3][KEYS];
  for (size_t i = 0; i < 3; i++) {
    fill(&random);
    memcpy(then[i], model, sizeof model);
    its[i] = open_between(0, KEYS, NULL);
    ok(nacre_snapshot_take(t, &snapshots[i]));
  }
  for (int round = 0; round < 3; round++) {
    for (size_t i = 0; i < 3; i++) {
      walk(&random, its[i], then[i], 0, KEYS);
      nacre_iter *late = open_between(0, KEYS, snapshots[i]);
      walk(&random, late, then[i], 0, KEYS);
      nacre_iter_close(late);
    }
    fill(&random);
    ok(nacre_compact(t, none, none));
  }
  for (size_t i = 0; i < 3; i++) {
    nacre_iter_close(its[i]);
    nacre_snapshot_release(snapshots[i]);
  }
}

/* The closed iterators that the table keeps for the next ones; each must hold no view but the one that is shown, and
 * nothing of a key. */
static size_t resting(void) {
  size_t count = 0;
  for (size_t i = 0; i < NC_READER_STRIPES; i++) {
    const nacre_iter *it = atomic_load(&t->readers[i].resting);
    if (it == NULL) continue;
    count++;
    cr_assert_eq(it->view, atomic_load(&t->view));
    const nc_key_copy *copies[] = {&it->lower, &it->upper, &it->sought, &it->key};
    for (size_t k = 0; k < 4; k++) {
      for (size_t b = 0; b < copies[k]->capacity; b++) cr_assert_eq(copies[k]->data[b], 0);
    }
  }
  return count;
}

Test(iterators, a_closed_one_rests_until_the_next_is_opened) {
  test_random random = {test_seed("iterators", 84)};
  nacre_iter *its[2];
  for (int round = 0; round < 12; round++) {
    fill(&random);
    if (round % 3 == 0) ok(nacre_flush(t));
    for (int again = 0; again < 3; again++) {
      set(test_random_below(&random, KEYS), 1000 + round);
      its[0] = open_between(0, KEYS, NULL);
      cr_assert_eq(resting(), 0, "it is the one that rested");
      its[1] = open_between(0, KEYS, NULL);
      walk(&random, its[0], model, 0, KEYS);
      walk(&random, its[1], model, 0, KEYS);
      if (again == 1) ok(nacre_flush(t)); /* they are over a view of before */
      nacre_iter_close(its[0]);
      nacre_iter_close(its[1]);
      cr_assert_eq(resting(), again == 1 ? 0 : 1);
    }
    put_text(t, "99", "not to be seen", false);
    ok(nacre_delete(t, text("99"), NULL));
    ok(nacre_flush(t));
    cr_assert_eq(resting(), 0, "it kept a view that is shown no more");
  }
  its[0] = open_between(10, 20, NULL);
  walk(&random, its[0], model, 10, 20);
  nacre_iter_close(its[0]);
  cr_assert_eq(resting(), 0, "it is over a part");
}

Test(iterators, an_iterator_outlives_its_snapshot) {
  nacre_snapshot *snapshot;
  set(5, 1);
  ok(nacre_snapshot_take(t, &snapshot));
  set(5, 2);
  nacre_iter *it = open_between(0, KEYS, snapshot);
  nacre_snapshot_release(snapshot);
  ok(nacre_compact(t, none, none));
  model[5] = 1;
  nacre_iter_first(it);
  check_at(it, model, 5);
  nacre_iter_close(it);
}

/* Damage stops an iterator, which then says why; it does not look like the end of the data. */
Test(iterators, say_why_they_stopped_at_damage) {
  char directory[PATH_BYTES], path[PATH_BYTES];
  for (int i = 0; i < 3000; i++) {
    char key[16];
    snprintf(key, sizeof key, "%06d", i);
    put_text(t, key, "some value of the table", false);
  }
  ok(nacre_flush(t));
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  site_table_path(&s, "table", directory);
  only_file(directory, ".seg", path);
  file_flip(path, 8192 + 9000);
  t = site_table(&s, &store, "table");
  nacre_iter *it;
  ok(nacre_iter_open(t, NULL, &it));
  size_t forward = 0, backward = 0;
  for (nacre_iter_first(it); nacre_iter_valid(it); nacre_iter_next(it)) forward++;
  cr_expect_eq(nacre_iter_status(it), NACRE_CORRUPT);
  for (nacre_iter_last(it); nacre_iter_valid(it); nacre_iter_prev(it)) backward++;
  cr_expect_eq(nacre_iter_status(it), NACRE_CORRUPT);
  cr_expect(forward > 0 && backward > 0 && forward + backward < 3000 && forward + backward > 2500);
  nacre_iter_next(it);
  cr_expect_not(nacre_iter_valid(it));
  cr_expect_eq(nacre_iter_status(it), NACRE_CORRUPT, "a move of an invalid iterator changes nothing");
  nacre_iter_first(it);
  cr_expect(nacre_iter_valid(it) && nacre_iter_status(it) == NACRE_OK);
  nacre_iter_close(it);
}

/* Going back, keys are rebuilt from those before them; long ones do not fit, and it is given up half-way. */
Test(iterators, closing_leaves_no_key_in_what_is_kept_for_the_next) {
  enum { LONG_KEYS = 64, LONG_BYTES = 150, SEEN_BYTES = 5400 }; /* the last: fewer than a cursor has */
  static const char mark[] = "keys-that-are-secret-";
  char key[LONG_BYTES + 1];
  nacre_read_options options = {.lower = text("a")}; /* over less than all, it is not kept whole */
  nacre_iter *it;
  for (int i = 0; i < LONG_KEYS; i++) {
    snprintf(key, sizeof key, "%s%0*d", mark, (int)(LONG_BYTES - strlen(mark)), i);
    put_text(t, key, "v", false);
  }
  ok(nacre_flush(t));
  ok(nacre_iter_open(t, &options, &it));
  nacre_iter_last(it);
  nacre_iter_prev(it);
  cr_assert(nacre_iter_valid(it));
  nacre_iter_close(it);
  cr_assert_neq(t->shared->idle_cursors, NULL);
  cr_expect_eq(memmem(t->shared->idle_cursors, SEEN_BYTES, mark, strlen(mark)), NULL);
}
