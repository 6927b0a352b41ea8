/* SPDX-License-Identifier: Apache-2.0
 *
 * Defects of stores with several tables, found once, that must not come back: failed creates, the shared
 * memory budget, and what calls hand out.
 */
#include <criterion/criterion.h>
#include <stdatomic.h>
#include <unistd.h>

#include "fixture.h"
#include "store.h"

static site s;
static nacre_store *store;

static void setup(void) { site_make(&s); }
static void teardown(void) { site_remove(&s); }
TestSuite(regressions_stores, .init = setup, .fini = teardown);

/* ---- creates that fail --------------------------------------------------------------------------------- */

/* Opens a store and creates "a" there on a disk that stops working at the n-th operation and then
 * works again. */
static nacre_status create_failing_at(failing_io *io, uint64_t n) {
  failing_init(io);
  s.options.io = &io->io;
  store = site_open(&s);
  io->fail_at = atomic_load(&io->count) + n;
  io->fail_from = true;
  nacre_status status = nacre_table_create(store, "a", NULL, NULL);
  io->fail_at = 0;
  io->fail_from = false;
  return status;
}

static void close_and_check(nacre_table *t, const char *name) {
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  store = site_open(&s);
  ok(nacre_table_open(store, name, NULL, &t));
  cr_assert(holds(t, NULL, "k", "v"));
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  test_scratch_remove(s.store);
}

/* The undoing failed as well: the name stayed taken by a table without a directory. */
Test(regressions_stores, a_create_that_failed_altogether_can_be_repeated, .timeout = 60) {
  failing_io io;
  for (uint64_t n = 1;; n++) {
    nacre_status status = create_failing_at(&io, n);
    nacre_table *t;
    if (status == NACRE_OK) {
      cr_expect_gt(n, 10);
      ok(nacre_table_open(store, "a", NULL, &t));
    } else {
      nacre_status again = nacre_table_create(store, "a", NULL, &t);
      cr_assert_eq(again, NACRE_OK, "operation %llu: %s", (unsigned long long)n, nacre_status_name(again));
    }
    put_text(t, "k", "v", true);
    close_and_check(t, "a");
    if (status == NACRE_OK) break;
  }
}

/* A failed create may have made a table. Once it was opened and written to, the next create undid it
 * all the same. */
Test(regressions_stores, a_table_opened_after_its_create_failed_outlives_the_next_create, .timeout = 60) {
  failing_io io;
  int opened = 0;
  for (uint64_t n = 1;; n++) {
    nacre_status status = create_failing_at(&io, n);
    nacre_table *t;
    if (nacre_table_open(store, "a", NULL, &t) == NACRE_OK) {
      opened += status != NACRE_OK;
      put_text(t, "k", "v", true);
      ok(nacre_table_close(t));
      ok(nacre_table_create(store, "b", NULL, NULL));
      nacre_status again = nacre_table_open(store, "a", NULL, &t);
      cr_assert_eq(again, NACRE_OK, "operation %llu: %s", (unsigned long long)n, nacre_status_name(again));
      close_and_check(t, "a");
    } else {
      ok(nacre_close(store));
      test_scratch_remove(s.store);
    }
    if (status == NACRE_OK) break;
  }
  cr_expect_gt(opened, 0, "some failed create left a table that opens");
}

/* The particulars were somebody's old stack. */
Test(regressions_stores, a_create_over_a_damaged_catalogue_says_what_is_wrong) {
  char directory[PATH_BYTES], path[PATH_BYTES];
  nacre_error err;
  s.options.cache_bytes = NACRE_NONE;
  store = site_open(&s);
  ok(nacre_table_create(store, "a", NULL, NULL));
  ok(nacre_flush(store->catalogue));
  site_table_path(&s, NULL, directory);
  only_file(directory, ".seg", path);
  file_flip(path, 8192 + 60);
  fails(nacre_table_create(store, "b", NULL, NULL), NC_E_FRAME_CRC);
  nacre_last_error(&err);
  cr_expect(memchr(err.text, 0, sizeof err.text) != NULL && memchr(err.file, 0, sizeof err.file) != NULL);
  cr_expect_not_null(strstr(err.file, ".seg"));
  ok(nacre_close(store));
}

/* ---- the memory budget --------------------------------------------------------------------------------- */

enum { IDLE = 4 };
static nacre_table *idle[IDLE], *busy;
static char big[200000];

static void put_big(nacre_table *t, const char *key, size_t size) {
  ok(nacre_put(t, text(key), nc_slice(big, size), NULL));
}

/* Tables that nobody writes to any more hold more than there is for all. */
static void fill_idle(uint32_t workers) {
  s.options.workers = workers;
  s.options.cache_bytes = NACRE_NONE;
  s.options.memtable_bytes = 1 << 20;
  s.options.memory_bytes_max = 512 << 10;
  store = site_open(&s);
  for (int i = 0; i < IDLE; i++) {
    char name[2] = {(char)('a' + i), 0};
    ok(nacre_table_create(store, name, NULL, &idle[i]));
    put_big(idle[i], "k", sizeof big);
  }
  ok(nacre_table_create(store, "busy", NULL, &busy));
}

static uint64_t idle_flushes(void) {
  uint64_t flushes = 0;
  for (int i = 0; i < IDLE; i++) {
    nacre_stats stats;
    ok(nacre_wait_idle(idle[i]));
    ok(nacre_table_stats(idle[i], &stats));
    flushes += stats.flushes;
  }
  return flushes;
}

static void close_idle(void) {
  for (int i = 0; i < IDLE; i++) ok(nacre_table_close(idle[i]));
  ok(nacre_table_close(busy));
  ok(nacre_close(store));
}

/* Each tiny put to the busy table flushed that one, for ever, and the idle ones kept what they held. */
static void small_puts_beside_idle_tables(uint32_t workers) {
  fill_idle(workers);
  for (int i = 0; i < 100; i++) put_text(busy, "k", "v", false);
  uint64_t flushes = idle_flushes();
  cr_expect(flushes >= 1 && flushes <= IDLE, "%llu flushes of idle tables", (unsigned long long)flushes);
  nacre_stats stats;
  ok(nacre_table_stats(busy, &stats));
  cr_expect_eq(stats.flushes, 0, "a tiny memtable is not worth a flush");
  close_idle();
}
Test(regressions_stores, idle_tables_give_their_memory_to_a_busy_one, .timeout = 60) {
  small_puts_beside_idle_tables(1);
}

/* Without workers the flush ran inside the search for the largest table, under the search's lock. */
Test(regressions_stores, so_they_do_without_workers, .timeout = 60) {
  small_puts_beside_idle_tables(UINT32_MAX);
}

static atomic_bool held, let_go;
static void hold_worker(void *arg, const nacre_event *event) {
  (void)arg;
  if (event->type != NACRE_EVENT_FLUSHED || strcmp(event->table, "first") != 0) return;
  atomic_store(&held, true);
  while (!atomic_load(&let_go)) usleep(1000);
}

/* The only worker, asked to make room in a table whose memtables are all waiting for a flush, waited
 * for that flush, which stood in the queue behind it. */
Test(regressions_stores, the_only_worker_does_not_wait_for_itself, .timeout = 60) {
  nacre_table *first, *second, *third;
  s.options.workers = 1;
  s.options.cache_bytes = NACRE_NONE;
  s.options.memtable_bytes = 64 << 10;
  s.options.memory_bytes_max = 256 << 10;
  s.options.on_event = hold_worker;
  store = site_open(&s);
  ok(nacre_table_create(store, "first", NULL, &first));
  ok(nacre_table_create(store, "second", NULL, &second));
  ok(nacre_table_create(store, "third", NULL, &third));
  put_big(third, "k0", 200000);
  put_big(first, "k0", 70000);
  put_big(first, "k1", 10); /* flushes k0, and the worker is held behind that */
  while (!atomic_load(&held)) usleep(1000);
  put_big(second, "k0", 60000);
  put_big(second, "k1", 100); /* over the budget: the third is asked */
  put_big(third, "k1", 70000);
  put_big(third, "k2", 70000); /* and its own writer has filled both places meanwhile */
  atomic_store(&let_go, true);
  usleep(100000);
  put_big(third, "k3", 10);
  ok(nacre_wait_idle(third));
  ok(nacre_table_close(first));
  ok(nacre_table_close(second));
  ok(nacre_table_close(third));
  ok(nacre_close(store));
}

/* ---- what calls take and hand out ---------------------------------------------------------------------- */

/* Sums of such sizes wrapped round, and every put flushed. */
Test(regressions_stores, absurd_sizes_are_refused) {
  static const uint64_t sizes[] = {UINT64_MAX - 1, UINT64_MAX - (64 << 10), UINT64_MAX / 2 + 5};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    nacre_store_options cache = s.options, memtable = s.options, memory = s.options;
    cache.cache_bytes = sizes[i];
    memtable.memtable_bytes = sizes[i];
    memory.memory_bytes_max = sizes[i];
    fails(nacre_open(s.store, &cache, &store), NC_E_ARGUMENT);
    fails(nacre_open(s.store, &memtable, &store), NC_E_ARGUMENT);
    fails(nacre_open(s.store, &memory, &store), NC_E_ARGUMENT);
  }
}

Test(regressions_stores, a_count_of_providers_without_a_list_is_refused) {
  s.options.kms_provider_count = 3;
  fails(nacre_open(s.store, &s.options, &store), NC_E_ARGUMENT);
}

/* Whoever released them all after a failure released what the stack held. */
Test(regressions_stores, a_multi_get_that_fails_early_zeroes_its_values) {
  nacre_value values[2];
  nacre_status statuses[2];
  const nacre_slice keys[2] = {text("a"), text("b")};
  memset(values, 0x5a, sizeof values);
  fails(nacre_multi_get(NULL, 2, keys, NULL, values, statuses), NC_E_ARGUMENT);
  for (int i = 0; i < 2; i++)
    cr_expect(values[i].data == NULL && values[i].size == 0 && values[i].pin == NULL);
}

static struct {
  nacre_table *table;
  int outer, inner;
  nacre_status inner_status, flush_status;
} nested;

static void flush_within(void *arg, uint64_t done, uint64_t total) {
  (void)arg, (void)done, (void)total;
  if (++nested.inner == 2) nested.flush_status = nacre_flush(nested.table);
}

static void verify_within(void *arg, uint64_t done, uint64_t total) {
  nacre_verify_options options = {.on_progress = flush_within};
  (void)arg, (void)done, (void)total;
  if (++nested.outer == 2) nested.inner_status = nacre_verify(nested.table, &options, NULL);
}

/* Two verifies at a time hold the logs; a flush between drops them, and that they were gone was called
 * a fault. */
Test(regressions_stores, logs_dropped_while_two_verifies_run_are_no_fault) {
  nacre_verify_options options = {.on_progress = verify_within};
  nacre_table *t = site_table(&s, &store, "table");
  put_text(t, "a", "1", false);
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  t = nested.table = site_table(&s, &store, "table");
  put_text(t, "b", "2", false); /* two logs */
  ok(nacre_verify(t, &options, NULL));
  cr_expect(nested.outer >= 2 && nested.inner >= 2);
  cr_expect_eq(nested.flush_status, NACRE_OK);
  cr_expect_eq(nested.inner_status, NACRE_OK, "%s", nacre_status_name(nested.inner_status));
  ok(nacre_table_close(t));
  ok(nacre_close(store));
}
