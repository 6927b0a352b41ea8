/* SPDX-License-Identifier: Apache-2.0
 *
 * statistics: latencies in buckets, what a table tells of its work and shape, what a store tells of its use.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

#include "../support/fake_kms.h"
#include "fixture.h"
#include "latency.h"

/* ---- buckets ------------------------------------------------------------------------------------------- */

static nacre_latency read_out(const nc_latency *l) {
  nacre_latency read;
  nc_latency_read(l, &read);
  return read;
}

Test(latency, none_is_all_zero) {
  static nc_latency l;
  nacre_latency read = read_out(&l);
  cr_expect(read.measured == 0 && read.sum_ns == 0 && read.p50_ns == 0 && read.p999_ns == 0 &&
            read.max_ns == 0);
}

/* Whatever one call took, every quantile says so, at most an eighth too high and never above the longest. */
Test(latency, a_quantile_is_at_most_an_eighth_too_high) {
  for (uint64_t ns = 0; ns < (uint64_t)1 << 40; ns = ns * 9 / 8 + 1) {
    nc_latency *l = test_alloc(sizeof *l);
    nc_latency_add(l, ns);
    nc_latency_add(l, ns * 16);
    nacre_latency read = read_out(l);
    cr_assert(read.p50_ns >= ns && read.p50_ns <= ns + ns / 8, "%llu as %llu", (unsigned long long)ns,
              (unsigned long long)read.p50_ns);
    cr_assert(read.p99_ns == ns * 16 && read.max_ns == ns * 16 && read.sum_ns == ns * 17);
    free(l);
  }
}

Test(latency, quantiles_stand_in_their_places) {
  static nc_latency l;
  for (uint64_t i = 1; i <= 100000; i++) nc_latency_add(&l, i);
  nacre_latency read = read_out(&l);
  cr_expect_eq(read.measured, 100000);
  cr_expect(read.p50_ns >= 50000 && read.p50_ns <= 56250);
  cr_expect(read.p99_ns >= 99000 && read.p99_ns <= 100000);
  cr_expect(read.p999_ns >= 99900 && read.p999_ns <= 100000);
  cr_expect_eq(read.max_ns, 100000);
  nc_latency_add(&l, UINT64_MAX);
  cr_expect_eq(read_out(&l).max_ns, UINT64_MAX, "beyond the last bucket");
}

/* ---- a table ------------------------------------------------------------------------------------------- */

static site s;
static nacre_store *store;
static nacre_table *t;
static nacre_stats stats;

static void begin(void) {
  site_make(&s);
  t = site_table(&s, &store, "table");
}

static void end(void) {
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  site_remove(&s);
}

static void look(void) { ok(nacre_table_stats(t, &stats)); }

Test(statistics, calls_are_counted_and_some_are_timed, .init = begin, .fini = end) {
  look();
  cr_expect(stats.reads == 0 && stats.read.measured == 0 && stats.write.measured == 0);
  for (int i = 0; i < 200; i++) put_text(t, "key", "value", false);
  put_text(t, "key", "value", true);
  for (int i = 0; i < 130; i++)
    cr_assert(holds(t, NULL, i % 2 == 0 ? "key" : "none", i % 2 == 0 ? "value" : NULL));
  char buffer[16];
  size_t size;
  ok(nacre_get_into(t, text("key"), NULL, buffer, sizeof buffer, &size));
  nacre_slice keys[] = {text("key"), text("none"), text("key")};
  nacre_value values[3];
  nacre_status statuses[3];
  ok(nacre_multi_get(t, 3, keys, NULL, values, statuses));
  for (int i = 0; i < 3; i++) nacre_value_release(&values[i]);
  look();
  cr_expect_eq(stats.reads, 134);
  cr_expect_eq(stats.read.measured, 3, "the first, and every 64th after it");
  cr_expect_eq(stats.write.measured, 4);
  cr_expect_leq(stats.synced_write.measured, 1);
  cr_expect(stats.read.max_ns > 0 && stats.read.max_ns >= stats.read.p50_ns && stats.read.sum_ns > 0);
  cr_expect(stats.sync.measured == stats.syncs && stats.syncs > 0);
}

Test(statistics, work_in_the_background_is_all_timed, .init = begin, .fini = end) {
  for (int i = 0; i < 3; i++) {
    put_text(t, "key", "value", false);
    ok(nacre_flush(t));
  }
  ok(nacre_compact(t, (nacre_slice){0}, (nacre_slice){0}));
  look();
  cr_expect(stats.flushes == 3 && stats.flush.measured == 3 && stats.flush.max_ns > 0);
  cr_expect(stats.merges >= 1 && stats.merge.measured == stats.merges);
}

Test(statistics, levels_add_up_to_the_whole, .init = begin, .fini = end) {
  look();
  cr_expect(stats.level_count == 0 && stats.space_amplification == 0 && stats.write_amplification == 0);
  cr_expect(stats.read_amplification == 1, "the memtable");
  char key[16];
  for (int i = 0; i < 300; i++) {
    (void)snprintf(key, sizeof key, "%d", i % 100);
    put_text(t, key, "value", false);
    if (i % 100 == 99) ok(nacre_flush(t));
    if (i == 199) ok(nacre_compact(t, (nacre_slice){0}, (nacre_slice){0}));
  }
  look();
  uint64_t runs = 0, segments = 0, bytes = 0, entries = 0;
  cr_assert(stats.level_count >= 2 && stats.level_count <= NACRE_STATS_LEVELS);
  for (uint64_t i = 0; i < stats.level_count; i++) {
    runs += stats.levels[i].runs;
    segments += stats.levels[i].segments;
    bytes += stats.levels[i].bytes;
    entries += stats.levels[i].entries;
  }
  cr_expect(runs == stats.runs && segments == stats.segments);
  cr_expect(bytes == stats.segment_bytes && entries == stats.segment_entries && entries == 200);
  cr_expect(stats.levels[0].entries == 100 && stats.levels[stats.level_count - 1].entries == 100);
  cr_expect(stats.read_amplification == 3, "two runs and the memtable");
  cr_expect(stats.space_amplification > 1.5 && stats.space_amplification < 2.5);
  cr_expect(stats.write_amplification > 1);
}

/* Flushes that take their time: the callback runs in them. */
static void dawdle(void *arg, const nacre_event *event) {
  (void)arg;
  if (event->type == NACRE_EVENT_FLUSHED) usleep(10000);
}

Test(statistics, a_writer_that_waits_for_flushes_is_a_stall) {
  site_make(&s);
  s.options.memtable_bytes = 64 << 10;
  s.options.workers = 1;
  s.options.on_event = dawdle;
  t = site_table(&s, &store, "table");
  static char value[4096];
  for (int i = 0; i < 200; i++) {
    char key[16];
    int size = snprintf(key, sizeof key, "%d", i);
    ok(nacre_put(t, nc_slice(key, (size_t)size), nc_slice(value, sizeof value), NULL));
  }
  look();
  cr_expect(stats.stall.measured > 0 && stats.stall.max_ns > 0);
  end();
}

/* ---- a store ------------------------------------------------------------------------------------------- */

Test(statistics, key_services_are_counted_with_their_failures) {
  fake_kms kms;
  nacre_usage usage;
  site_make(&s);
  fake_kms_init(&kms);
  s.options.kms_providers = kms.list;
  s.options.kms_provider_count = 1;
  s.options.default_key = fake_spec(0);
  t = site_table(&s, &store, "table");
  ok(nacre_store_usage(store, &usage));
  cr_expect(usage.tables_open == 1 && usage.kms_failures == 0);
  cr_expect_eq(usage.kms_calls, fake_calls(&kms));
  cr_expect_gt(usage.kms_calls, 0);
  cr_expect_gt(usage.memory_bytes, 0);
  kms.keys[0].wrap_status = NACRE_KEY_DENIED;
  cr_expect_eq(nacre_table_rotate(t), NACRE_KEY_DENIED);
  put_text(t, "key", "value", false);
  ok(nacre_store_usage(store, &usage));
  cr_expect_eq(usage.kms_failures, 1);
  cr_expect_eq(usage.kms_calls, fake_calls(&kms));
  cr_expect_gt(usage.memtable_bytes, 0);
  ok(nacre_store_usage(store, NULL));
  fails(nacre_store_usage(NULL, &usage), NC_E_ARGUMENT);
  kms.keys[0].wrap_status = NACRE_OK;
  end();
}
