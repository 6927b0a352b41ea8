/* SPDX-License-Identifier: Apache-2.0
 *
 * throttle: what a version allows writers, that they keep to it, and that a stop ends. Only what must be waited
 * for is looked at, never how long it took.
 */
#include "throttle.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "fixture.h"
#include "segments.h"
#include "table.h"

static floor_fixture f;
static nacre_error err;
static const nc_policy policy = {.young_runs = 4, .young_bytes = 4000, .ratio = 10, .segment_bytes = 500};

/* A version of so many young runs of 10 bytes over `bytes` on a level. */
static uint64_t rate_of(size_t young, uint32_t level, uint64_t bytes) {
  nc_segment *segments[64];
  nc_place places[64];
  size_t count = 0;
  for (; count <= young; count++) {
    nc_segment_record record = {.number = count + 1,
                                .size = count == 0 ? bytes : 10,
                                .entries = 1,
                                .smallest = text("a"),
                                .largest = text("b")};
    segments[count] = segment_of(&f, &record);
    places[count] = (nc_place){count + 1, count == 0 ? level : 0};
  }
  nc_version *v;
  must(nc_version_create(segments, places, count, &v, &err));
  for (size_t i = 0; i < count; i++) nc_segment_unref(segments[i]);
  uint64_t rate = nc_throttle_rate(v, &policy);
  nc_version_unref(v);
  return rate;
}

static void setup(void) { floor_open(&f); }
static void teardown(void) { floor_close(&f); }
TestSuite(throttle, .init = setup, .fini = teardown);

Test(throttle, nobody_is_held_back_while_merges_keep_up) {
  for (size_t young = 0; young <= 2 * policy.young_runs; young++)
    cr_expect_eq(rate_of(young, NC_LEVEL_BOTTOM, 100000), 0, "%zu young runs", young);
}

Test(throttle, the_rate_falls_by_and_by_and_ends_above_nothing) {
  uint64_t before = UINT64_MAX;
  for (size_t young = 2 * policy.young_runs + 1; young < 40; young++) {
    uint64_t rate = rate_of(young, NC_LEVEL_BOTTOM, 100000);
    bool at_least = before == (uint64_t)1 << 20;
    cr_expect(at_least ? rate == before : rate < before, "%zu young runs", young);
    if (young < NC_RUNS_STALL - 1) cr_expect(before == UINT64_MAX || rate > before / 4, "no cliff at %zu", young);
    cr_expect_geq(rate, (uint64_t)1 << 20);
    before = rate;
  }
}

Test(throttle, much_to_be_merged_holds_back_too) {
  enum { ABOVE = NC_LEVEL_BOTTOM - 1 }; /* nothing is below it: nearly all of it has to go down */
  cr_expect_eq(rate_of(4, NC_LEVEL_BOTTOM, 1000 * policy.young_bytes), 0);
  cr_expect_eq(rate_of(4, ABOVE, 10 * policy.young_bytes), 0);
  uint64_t some = rate_of(4, ABOVE, 100 * policy.young_bytes), more = rate_of(4, ABOVE, 200 * policy.young_bytes);
  cr_expect(some > 0 && more > 0 && more < some);
}

/* The clock says that nothing was waited for before; what is written then costs a second a write. */
Test(throttle, writers_wait_for_what_they_owe_and_no_longer_than_is_said) {
  site s;
  nacre_stats stats;
  site_make(&s);
  nacre_store *store;
  s.options.workers = 0; /* some: without any, merges are done by who writes */
  nacre_table *t = site_table(&s, &store, "t");
  for (int i = 0; i < 5; i++) require(nacre_put(t, text("key"), text("value"), NULL) == NACRE_OK);
  require(nacre_table_stats(t, &stats) == NACRE_OK);
  cr_expect_eq(stats.stall.measured, 0);
  atomic_store(&t->throttle.bytes_per_s, 10);
  for (int i = 0; i < 5; i++) require(nacre_put(t, text("key"), text("value"), NULL) == NACRE_OK);
  require(nacre_table_stats(t, &stats) == NACRE_OK);
  cr_expect_eq(stats.stall.measured, 5);
  atomic_store(&t->throttle.bytes_per_s, 0);
  require(nacre_put(t, text("key"), text("value"), NULL) == NACRE_OK);
  require(nacre_table_stats(t, &stats) == NACRE_OK);
  cr_expect_eq(stats.stall.measured, 5);
  require(nacre_table_close(t) == NACRE_OK);
  require(nacre_close(store) == NACRE_OK);
  site_remove(&s);
}

/* ---- the stop ------------------------------------------------------------------------------------------ */

/* Keeps the only worker. */
typedef struct occupation {
  nc_job job;
  pthread_mutex_t lock;
} occupation;

static void occupy(void *arg) {
  occupation *o = arg;
  pthread_mutex_lock(&o->lock);
  pthread_mutex_unlock(&o->lock);
}

/* Whoever has the worker may wait for what the writer holds: the writer goes on, whether merges have caught up or not. */
Test(throttle, a_stop_of_writers_ends_though_no_merge_can_begin, .timeout = 60) {
  site s;
  nacre_store *store;
  occupation o = {.job = {.run = occupy, .arg = &o}};
  site_make(&s);
  s.options.workers = 1;
  s.options.memtable_bytes = 64 << 10;
  nacre_table *t = site_table(&s, &store, "t");
  pthread_mutex_init(&o.lock, NULL);
  pthread_mutex_lock(&o.lock);
  nc_worker_submit(t->shared->workers, &o.job);
  for (int i = 0; i < NC_RUNS_STALL; i++) {
    require(nacre_put(t, text("key"), text("value"), NULL) == NACRE_OK);
    require(nacre_flush(t) == NACRE_OK);
  }
  char value[1024] = {0};
  uint64_t flushes = 0;
  for (int i = 0; i < 200 && flushes == 0; i++) {
    char key[16];
    snprintf(key, sizeof key, "%08d", i);
    require(nacre_put(t, text(key), nc_slice(value, sizeof value), NULL) == NACRE_OK);
    pthread_mutex_lock(&t->state_lock);
    flushes = t->immutable_count;
    pthread_mutex_unlock(&t->state_lock);
  }
  cr_expect_neq(flushes, 0, "a memtable was full, and the writer went on");
  pthread_mutex_unlock(&o.lock);
  require(nacre_table_close(t) == NACRE_OK);
  require(nacre_close(store) == NACRE_OK);
  pthread_mutex_destroy(&o.lock);
  site_remove(&s);
}

Test(throttle, a_table_is_idle_until_its_next_memtable_is_full) {
  site s;
  nacre_store *store;
  site_make(&s);
  nacre_table *t = site_table(&s, &store, "t");
  require(nacre_put(t, text("key"), text("value"), NULL) == NACRE_OK);
  require(nacre_wait_idle(t) == NACRE_OK);
  cr_expect(t->idle);
  require(nacre_flush(t) == NACRE_OK);
  cr_expect(!t->idle);
  require(nacre_table_close(t) == NACRE_OK);
  require(nacre_close(store) == NACRE_OK);
  site_remove(&s);
}
