/* SPDX-License-Identifier: Apache-2.0
 *
 * cache: all is charged and the bound holds, a single pass displaces nothing that is used, what is in use
 * outlives its place, and what a file that is gone left goes with it.
 */
#include "cache.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "fixture.h"

enum { BLOCK_BYTES = 4096 };

static nc_env *env;
static nc_cache *cache;
static nacre_error err;
static uint64_t own_bytes; /* of the cache's tables */
/* Tables are only compared, never looked into. */
static char tables[2];
static nacre_table *table(int i) { return (nacre_table *)(void *)&tables[i]; }

static void setup(void) { must(nc_env_create(NULL, &env, &err)); }
static void teardown(void) {
  nc_cache_destroy(cache);
  cr_expect_eq(nc_heap_bytes(env->heap), 0, "every block was given back");
  nc_env_destroy(env);
}
TestSuite(cache, .init = setup, .fini = teardown);

static void create(uint64_t bytes_max) {
  must(nc_cache_create(bytes_max, &cache, &err));
  own_bytes = nc_cache_read_stats(cache).bytes;
}

static uint64_t charge(void) { return sizeof(nc_cached_block) + nc_heap_block_bytes(BLOCK_BYTES); }
static uint64_t held(void) { return nc_cache_read_stats(cache).bytes - own_bytes; }
/* Room for so many blocks, in one shard, which makes the order plain. */
static void create_for(uint64_t blocks) {
  create(1 << 20);
  nc_cache_set_bound(cache, own_bytes + blocks * charge());
}

static nc_cached_block *make(uint64_t offset, size_t bytes, int owner) {
  nc_cached_block *b;
  must(nc_cached_block_create(env, cache, table(owner), bytes, &b, &err));
  memset(b->bytes, (int)(offset >> 4), bytes);
  return b;
}

static void put(uint64_t file, uint64_t offset, int owner) {
  nc_cached_block *b = make(offset, BLOCK_BYTES, owner);
  nc_cache_put(cache, b, file, offset);
  nc_pin_unref(&b->pin);
}

static bool has(uint64_t file, uint64_t offset) {
  nc_cached_block *b = nc_cache_get(cache, file, offset);
  if (b == NULL) return false;
  cr_expect(b->bytes[0] == (uint8_t)(offset >> 4) && b->bytes[BLOCK_BYTES - 1] == (uint8_t)(offset >> 4));
  nc_pin_unref(&b->pin);
  return true;
}

/* A hint leads to the block while it has its place, and misleads nobody when it has gone and its head is another's. */
Test(cache, a_hint_is_no_more_than_a_hint) {
  create_for(4);
  nc_cache_hint hint = NULL;
  cr_expect_null(nc_cache_get_hinted(cache, &hint, 1, 8192));
  cr_expect_null(atomic_load(&hint));
  put(1, 8192, 0);
  for (int i = 0; i < 2; i++) { /* by its name, then by the hint */
    nc_cached_block *b = nc_cache_get_hinted(cache, &hint, 1, 8192);
    cr_assert_not_null(b);
    cr_expect_eq(atomic_load(&hint), b);
    nc_pin_unref(&b->pin);
  }
  cr_expect_eq(nc_cache_read_stats(cache).hits, 2);
  cr_expect_null(nc_cache_get_hinted(cache, &hint, 1, 8208), "what is somewhere else is not there");
  nc_cache_forget_file(cache, 1);
  put(2, 16384, 0); /* in the head that was left */
  cr_expect_null(nc_cache_get_hinted(cache, &hint, 1, 8192));
  put(1, 8192, 0);
  nc_cached_block *found = nc_cache_get_hinted(cache, &hint, 1, 8192);
  cr_assert_not_null(found);
  cr_expect_eq(found->bytes[0], (uint8_t)(8192 >> 4));
  nc_pin_unref(&found->pin);
}

/* As a reader does: looks, and on a miss reads and puts. */
static bool fetch(uint64_t file, uint64_t number) {
  uint64_t offset = 8192 + number * 4096;
  if (has(file, offset)) return true;
  put(file, offset, 0);
  return false;
}

Test(cache, finds_what_was_put_and_counts) {
  create(1 << 20);
  cr_expect_not(has(1, 8192));
  put(1, 8192, 0);
  cr_expect(has(1, 8192));
  cr_expect_not(has(2, 8192), "another file");
  cr_expect_not(has(1, 8208), "another offset");
  nc_cache_stats stats = nc_cache_read_stats(cache);
  cr_expect_eq(stats.hits, 1);
  cr_expect_eq(stats.misses, 3);
  cr_expect_eq(stats.blocks, 1);
}

Test(cache, charges_what_the_heap_gave_and_its_own_tables) {
  create(4 << 20);
  cr_expect_gt(own_bytes, 1024 * sizeof(void *), "its tables are charged too");
  size_t sizes[] = {1, 64, 4097, 5120, 5121, 70000};
  uint64_t before = nc_heap_bytes(env->heap), heads = 0;
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    nc_cached_block *b = make(8192, sizes[i], 0);
    nc_cache_put(cache, b, 1, 8192 + i * 16);
    nc_pin_unref(&b->pin);
    heads += sizeof(nc_cached_block);
    cr_expect_eq(held(), nc_heap_bytes(env->heap) - before + heads, "after %zu bytes", sizes[i]);
  }
  nc_cache_forget(cache, NULL);
  cr_expect_eq(held(), 0);
  cr_expect_eq(nc_heap_bytes(env->heap), before);
}

Test(cache, never_holds_more_than_its_bound) {
  uint64_t bound = 16 << 20;
  create(bound);
  for (uint64_t i = 0; i < 10000; i++) {
    put(1 + i % 7, 8192 + i * 16, 0);
    cr_assert(nc_cache_read_stats(cache).bytes <= bound);
  }
  cr_expect(nc_cache_read_stats(cache).bytes > bound - bound / 100);
}

Test(cache, a_smaller_bound_holds_at_once_and_a_larger_one_is_used) {
  create(8 << 20);
  for (uint64_t i = 0; i < 4000; i++) fetch(1, i);
  nc_cache_set_bound(cache, 2 << 20);
  cr_expect(nc_cache_read_stats(cache).bytes <= 2 << 20);
  for (uint64_t i = 0; i < 4000; i++) fetch(2, i);
  cr_expect(nc_cache_read_stats(cache).bytes <= 2 << 20);
  nc_cache_set_bound(cache, 8 << 20);
  for (uint64_t i = 0; i < 4000; i++) fetch(3, i);
  cr_expect(nc_cache_read_stats(cache).bytes > 7 << 20);
}

Test(cache, the_oldest_unused_block_goes_first) {
  create_for(10);
  for (uint64_t i = 0; i < 10; i++) fetch(1, i);
  cr_expect(fetch(1, 0), "a use");
  fetch(1, 10);
  cr_expect(fetch(1, 0), "it was used");
  cr_expect_not(has(1, 8192 + 4096));
  for (uint64_t i = 2; i < 11; i++) cr_expect(has(1, 8192 + i * 4096), "%llu", (unsigned long long)i);
}

/* A working set of two thirds of the cache, read at random, and one pass over ten times the cache. */
Test(cache, a_single_pass_does_not_displace_what_is_used) {
  enum { WORKING = 2000, PASS = 30000 };
  create((uint64_t)3 * 1000 * charge());
  uint64_t state = 7, hits = 0, looks = 0, passed = 0;
  for (uint64_t i = 0; i < 6 * WORKING; i++) {
    state = state * 6364136223846793005u + 1;
    fetch(1, (state >> 33) % WORKING);
  }
  for (uint64_t i = 0; i < PASS; i++) {
    passed += fetch(2, i);
    if (i % 2 != 0) continue; /* two blocks of the pass for each that is used */
    state = state * 6364136223846793005u + 1;
    hits += fetch(1, (state >> 33) % WORKING);
    looks++;
  }
  fprintf(stderr, "hits of the working set during the pass: %.2f %%\n", 100.0 * (double)hits / (double)looks);
  cr_expect_eq(passed, 0, "nothing of the pass was there before");
  cr_expect(hits * 100 > looks * 97);
}

Test(cache, what_comes_back_soon_stays) {
  create_for(100);
  for (uint64_t round = 0; round < 20; round++) { /* each block once a round, with passes between */
    for (uint64_t i = 0; i < 20; i++) fetch(1, i);
    for (uint64_t i = 0; i < 80; i++) fetch(2, round * 80 + i);
  }
  for (uint64_t i = 0; i < 20; i++) cr_expect(fetch(1, i), "%llu", (unsigned long long)i);
}

Test(cache, putting_a_block_again_keeps_the_first) {
  create(1 << 20);
  nc_cached_block *first = make(8192, BLOCK_BYTES, 0), *second = make(8192, BLOCK_BYTES, 0);
  nc_cache_put(cache, first, 1, 8192);
  nc_cache_put(cache, second, 1, 8192);
  nc_cached_block *found = nc_cache_get(cache, 1, 8192);
  cr_expect_eq(found, first);
  cr_expect_eq(held(), charge());
  nc_pin_unref(&found->pin);
  nc_pin_unref(&first->pin);
  nc_pin_unref(&second->pin);
}

Test(cache, a_block_larger_than_a_quarter_is_left_out) {
  create_for(40);
  put(1, 8192, 0);
  nc_cached_block *large = make(8192, 300000, 0);
  nc_cache_put(cache, large, 2, 8192);
  nc_pin_unref(&large->pin);
  cr_expect_null(nc_cache_get(cache, 2, 8192));
  cr_expect(has(1, 8192), "nothing was displaced for it");
}

Test(cache, a_large_block_takes_room_from_all_shards) {
  create(64 << 20);
  for (uint64_t i = 0; i < 16000; i++) fetch(1, i);
  uint64_t before = nc_cache_read_stats(cache).blocks;
  nc_cached_block *large = make(8192, 4 << 20, 0);
  nc_cache_put(cache, large, 2, 8192);
  nc_pin_unref(&large->pin);
  nc_cached_block *found = nc_cache_get(cache, 2, 8192);
  cr_assert_not_null(found);
  nc_pin_unref(&found->pin);
  nc_cache_stats stats = nc_cache_read_stats(cache);
  cr_expect(stats.bytes <= 64 << 20);
  cr_expect(stats.blocks > before - 1200, "no more than it needs: %llu of %llu are left",
            (unsigned long long)stats.blocks, (unsigned long long)before);
}

Test(cache, forgets_one_table_and_no_other) {
  create(4 << 20);
  for (uint64_t i = 0; i < 200; i++) put(1 + i % 2, 8192 + i * 16, (int)(i % 2));
  nc_cache_forget(cache, table(0));
  for (uint64_t i = 0; i < 200; i++) cr_assert_eq(has(1 + i % 2, 8192 + i * 16), i % 2 == 1);
  cr_expect_eq(held(), 100 * charge());
}

Test(cache, forgets_one_file_and_no_other) {
  create(16 << 20);
  for (uint64_t i = 0; i < 1000; i++) put(1 + 64 * (i % 5), 8192 + i * 16, 0);
  nc_cache_forget_file(cache, 129);
  for (uint64_t i = 0; i < 1000; i++) cr_assert_eq(has(1 + 64 * (i % 5), 8192 + i * 16), i % 5 != 2);
  cr_expect_eq(held(), 800 * charge());
}

Test(cache, a_block_in_use_keeps_its_place_and_what_finds_none_is_left_out) {
  create_for(10);
  nc_cached_block *in_use[10];
  for (uint64_t i = 0; i < 10; i++) {
    in_use[i] = make(8192 + i * 16, BLOCK_BYTES, 0);
    nc_cache_put(cache, in_use[i], 1, 8192 + i * 16);
  }
  for (uint64_t i = 0; i < 500; i++) put(2, 8192 + i * 16, 0);
  cr_expect_eq(held(), 10 * charge());
  for (uint64_t i = 0; i < 10; i++) {
    cr_expect(has(1, 8192 + i * 16));
    nc_pin_unref(&in_use[i]->pin);
  }
  cr_expect_not(has(2, 8192 + 499 * 16));
  put(2, 8192, 0);
  cr_expect(has(2, 8192), "places are given up again");
}

Test(cache, a_block_in_use_outlives_its_place) {
  create_for(10);
  put(1, 8192, 0);
  nc_cached_block *b = nc_cache_get(cache, 1, 8192);
  cr_assert_not_null(b);
  nc_cache_forget_file(cache, 1);
  cr_expect_not(has(1, 8192));
  cr_expect_eq(held(), 0, "it is its holder's now");
  for (uint64_t i = 0; i < 500; i++) put(2, 8192 + i * 16, 0);
  for (size_t i = 0; i < BLOCK_BYTES; i++) cr_assert_eq(b->bytes[i], (uint8_t)(8192 >> 4));
  nc_pin_unref(&b->pin);
}

Test(cache, without_a_cache_a_block_stands_alone) {
  nc_cached_block *b = make(8192, 100, 0);
  cr_expect_eq(b->bytes[99], (uint8_t)(8192 >> 4));
  nc_pin_unref(&b->pin);
}
