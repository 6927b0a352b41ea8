/* SPDX-License-Identifier: Apache-2.0
 *
 * memory: what a store holds stays within memory_bytes_max, by its own count and by what the process takes,
 * whatever tables are written, read and iterated.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "fixture.h"

enum { TABLES = 3, VALUE_BYTES = 1000, MIB = 1 << 20, SLACK = 5 * MIB };

static site s;
static nacre_store *store;
static nacre_table *tables[TABLES];
static uint64_t most_held;

static void setup(void) { site_make(&s); }
static void teardown(void) { site_remove(&s); }
TestSuite(memory, .init = setup, .fini = teardown, .timeout = 120);

static void open_tables(uint64_t memory, uint64_t cache, uint64_t memtable) {
  s.options.memory_bytes_max = memory;
  s.options.cache_bytes = cache;
  s.options.memtable_bytes = memtable;
  store = site_open(&s);
  for (int i = 0; i < TABLES; i++) {
    char name[2] = {(char)('a' + i), 0};
    ok(nacre_table_create(store, name, NULL, &tables[i]));
  }
  most_held = 0;
}

static void close_tables(void) {
  for (int i = 0; i < TABLES; i++) ok(nacre_table_close(tables[i]));
  ok(nacre_close(store));
}

static nacre_stats stats_of(int table) {
  nacre_stats stats;
  ok(nacre_table_stats(tables[table], &stats));
  if (stats.memory_bytes > most_held) most_held = stats.memory_bytes;
  return stats;
}

static uint64_t resident_bytes(void) {
  unsigned long long pages = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  require(file != NULL && fscanf(file, "%*u %llu", &pages) == 1);
  fclose(file);
  return pages * 4096;
}

static void put_random(test_random *random, int count) {
  static char value[VALUE_BYTES];
  char key[24];
  for (int i = 0; i < count; i++) {
    for (size_t at = 0; at < sizeof value; at += 8) {
      uint64_t word = test_random_below(random, UINT64_MAX);
      memcpy(value + at, &word, 8);
    }
    snprintf(key, sizeof key, "%06llu", (unsigned long long)test_random_below(random, 20000));
    ok(nacre_put(tables[i % TABLES], text(key), nc_slice(value, sizeof value), NULL));
    if (i % 50 == 0) stats_of(i % TABLES);
  }
}

static void read_random(test_random *random, int count) {
  char key[24];
  for (int i = 0; i < count; i++) {
    snprintf(key, sizeof key, "%06llu", (unsigned long long)test_random_below(random, 20000));
    nacre_value value;
    nacre_status status = nacre_get(tables[i % TABLES], text(key), NULL, &value);
    cr_assert(status == NACRE_OK || status == NACRE_NOT_FOUND);
    nacre_value_release(&value);
    if (i % 50 == 0) stats_of(i % TABLES);
  }
}

static void iterate(int table) {
  nacre_iter *it;
  int i = 0;
  ok(nacre_iter_open(tables[table], NULL, &it));
  for (nacre_iter_first(it); nacre_iter_valid(it); nacre_iter_next(it)) {
    if (i++ % 200 == 0) stats_of(table);
  }
  cr_assert_eq(nacre_iter_status(it), NACRE_OK);
  nacre_iter_close(it);
}

static void stays_within(uint64_t memory, uint64_t cache, uint64_t memtable, const char *what) {
  test_random random = {test_seed("memory", 91)};
  uint64_t before = resident_bytes();
  open_tables(memory, cache, memtable);
  for (int round = 0; round < 3; round++) {
    put_random(&random, 12000);
    read_random(&random, 2000);
    for (int i = 0; i < TABLES; i++) iterate(i);
  }
  uint64_t taken = resident_bytes() - before;
  fprintf(stderr, "%s: %.1f MiB held at most, %.1f taken, of %.1f\n", what, (double)most_held / MIB,
          (double)taken / MIB, (double)memory / MIB);
  cr_expect(most_held <= memory + SLACK, "%llu bytes were held", (unsigned long long)most_held);
  cr_expect(most_held > memory / 3, "the budget is used");
#ifndef __SANITIZE_ADDRESS__
  cr_expect(taken <= memory + memory / 2 + SLACK, "%llu bytes were taken", (unsigned long long)taken);
#endif
  close_tables();
}

Test(memory, mostly_cache) { stays_within(24 * MIB, 16 * MIB, 4 * MIB, "mostly cache"); }
Test(memory, mostly_memtables) { stays_within(24 * MIB, 2 * MIB, 16 * MIB, "mostly memtables"); }

/* What iterators and values hold beside the cache makes the cache give way, and it grows again afterwards. */
Test(memory, the_cache_gives_way_to_what_is_held_beside_it) {
  enum { ITERATORS = 4000 };
  static nacre_iter *its[ITERATORS];
  test_random random = {test_seed("memory", 92)};
  open_tables(32 * MIB, 24 * MIB, 1 * MIB);
  put_random(&random, 40000);
  for (int i = 0; i < TABLES; i++) {
    ok(nacre_compact(tables[i], (nacre_slice){NULL, 0}, (nacre_slice){NULL, 0}));
    iterate(i);
    iterate(i);
  }
  uint64_t full = stats_of(0).cache_bytes;
  cr_expect(full > 22 * MIB, "%llu bytes in the cache", (unsigned long long)full);
  most_held = 0;
  for (int i = 0; i < ITERATORS; i++) {
    ok(nacre_iter_open(tables[i % TABLES], NULL, &its[i]));
    nacre_iter_first(its[i]);
    nacre_iter_next(its[i]);
  }
  iterate(0);
  iterate(1);
  uint64_t shrunk = stats_of(0).cache_bytes;
  fprintf(stderr, "beside %d iterators: %.1f MiB of %.1f in the cache, %.1f held at most\n", ITERATORS,
          (double)shrunk / MIB, (double)full / MIB, (double)most_held / MIB);
  cr_expect(shrunk < full - MIB, "the cache gave way");
  cr_expect(most_held <= 32 * MIB + SLACK);
  for (int i = 0; i < ITERATORS; i++) nacre_iter_close(its[i]);
  for (int i = 0; i < TABLES; i++) iterate(i);
  cr_expect(stats_of(0).cache_bytes > shrunk, "and grows again");
  close_tables();
}
