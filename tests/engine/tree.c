/* SPDX-License-Identifier: Apache-2.0
 *
 * tree: levels of a whole table, made small: what moves is not written again and survives, what is deleted gives its
 * space back, what is overwritten takes no more than the levels allow.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "one_table.h"
#include "table.h"

enum { KEYS = 600, VALUE_BYTES = 200 };

static void make_small(void) {
  t->policy = (nc_policy){.young_runs = 2, .young_bytes = 40000, .ratio = 3, .segment_bytes = 30000};
}

static void setup(void) {
  one_table_make();
  make_small();
}
static void reopen(void) {
  one_table_reopen();
  make_small();
}
TestSuite(tree, .init = setup, .fini = one_table_remove);

/* Values that do not pack, so that sizes are what they seem. */
static nacre_slice value_of(int key, int round) {
  static char value[VALUE_BYTES];
  test_random random = {(uint64_t)key * 1000 + (uint64_t)round + 1};
  for (size_t i = 0; i < sizeof value; i++) value[i] = (char)test_random_below(&random, 256);
  return nc_slice(value, sizeof value);
}

static nacre_slice key_of(int key) {
  static char text_of[16];
  snprintf(text_of, sizeof text_of, "k%05d", key);
  return text(text_of);
}

static void put_range(int from, int to, int round) {
  for (int k = from; k < to; k++) ok(nacre_put(t, key_of(k), value_of(k, round), NULL));
  ok(nacre_flush(t));
}

static void check_range(int from, int to, int round) {
  for (int k = from; k < to; k++) {
    nacre_value value;
    ok(nacre_get(t, key_of(k), NULL, &value));
    cr_assert(nc_slice_equal(nc_slice(value.data, value.size), value_of(k, round)), "key %d", k);
    nacre_value_release(&value);
  }
}

static void verify(void) {
  nacre_verify_report report = {0};
  ok(nacre_verify(t, NULL, &report));
  cr_assert_eq(report.fault_count, 0);
  nacre_faults_free(report.faults);
}

Test(tree, what_comes_in_order_moves_down_and_stays) {
  for (int at = 0; at < KEYS; at += 50) put_range(at, at + 50, 0);
  ok(nacre_wait_idle(t));
  nacre_stats stats = stats_now();
  cr_expect_eq(stats.merges, 0);
  cr_expect_eq(stats.segments, KEYS / 50);
  cr_expect_leq(stats.runs, 3);
  cr_expect_gt(t->view->version->runs[stats.runs - 1].level, 0);
  check_range(0, KEYS, 0);
  verify();
  reopen();
  check_range(0, KEYS, 0);
  verify();
}

Test(tree, what_is_deleted_gives_its_space_back) {
  for (int at = 0; at < KEYS; at += 100) put_range(at, at + 100, 0);
  for (int k = 0; k < KEYS; k++) ok(nacre_delete(t, key_of(k), NULL));
  ok(nacre_compact(t, (nacre_slice){0}, (nacre_slice){0}));
  cr_expect_eq(stats_now().segments, 0);
  for (int at = 0; at < KEYS; at += 100) put_range(at, at + 100, 1);
  for (int k = 0; k < KEYS; k++) ok(nacre_delete(t, key_of(k), NULL));
  ok(nacre_flush(t));
  ok(nacre_wait_idle(t));
  cr_expect_eq(stats_now().segments, 0, "nobody has to ask for it");
  verify();
}

/* At rest: the last level, what the levels above may hold, and young runs. */
Test(tree, what_is_overwritten_takes_a_bounded_space) {
  enum { ROUNDS = 8 };
  uint64_t plain = 0;
  for (int round = 0; round < ROUNDS; round++) {
    for (int at = 0; at < KEYS; at += 60) put_range(at, at + 60, round);
    ok(nacre_wait_idle(t));
    if (round == 0) plain = stats_now().segment_bytes;
    uint64_t most = plain + plain / (t->policy.ratio - 1) + t->policy.young_bytes + plain / 4;
    cr_expect_leq(stats_now().segment_bytes, most, "round %d: %llu of at most %llu", round,
                  (unsigned long long)stats_now().segment_bytes, (unsigned long long)most);
    check_range(0, KEYS, round);
  }
  cr_expect_gt(stats_now().merges, 0);
  verify();
  reopen();
  check_range(0, KEYS, ROUNDS - 1);
}
