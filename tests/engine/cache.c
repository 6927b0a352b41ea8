/* SPDX-License-Identifier: Apache-2.0
 *
 * cache: the bound holds, the least recently used goes first, what is in use outlives its place.
 */
#include "cache.h"

#include <criterion/criterion.h>

#include "fixture.h"

enum { SHARDS = 16, BLOCK_BYTES = 1000 };

static nc_env *env;
static nc_cache *cache;
static nacre_error err;
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

static nc_cached_block *make(uint64_t file_id, uint64_t offset, size_t bytes, int owner) {
  nc_cached_block *b;
  must(nc_cached_block_create(env, table(owner), bytes, &b, &err));
  b->file_id = file_id;
  b->offset = offset;
  memset(b->bytes, (int)(offset >> 4), bytes);
  return b;
}

static void put(uint64_t file_id, uint64_t offset, int owner) {
  nc_cached_block *b = make(file_id, offset, BLOCK_BYTES, owner);
  nc_cache_put(cache, b);
  nc_pin_unref(&b->pin);
}

static bool has(uint64_t file_id, uint64_t offset) {
  nc_cached_block *b = nc_cache_get(cache, file_id, offset);
  if (b == NULL) return false;
  cr_expect(b->file_id == file_id && b->offset == offset &&
            b->bytes[BLOCK_BYTES - 1] == (uint8_t)(offset >> 4));
  nc_pin_unref(&b->pin);
  return true;
}

static uint64_t charge(void) { return sizeof(nc_cached_block) + BLOCK_BYTES; }

Test(cache, finds_what_was_put_and_counts) {
  must(nc_cache_create(1 << 20, &cache, &err));
  cr_expect_not(has(1, 8192));
  put(1, 8192, 0);
  cr_expect(has(1, 8192));
  cr_expect_not(has(2, 8192), "another file");
  cr_expect_not(has(1, 8208), "another offset");
  nc_cache_stats stats = nc_cache_read_stats(cache);
  cr_expect_eq(stats.hits, 1);
  cr_expect_eq(stats.misses, 3);
  cr_expect_eq(stats.bytes, charge());
}

Test(cache, never_holds_more_than_its_bound) {
  uint64_t bound = SHARDS * 10 * charge();
  must(nc_cache_create(bound, &cache, &err));
  for (uint64_t i = 0; i < 2000; i++) {
    put(i % 7, 8192 + i * 16, 0);
    cr_assert(nc_cache_read_stats(cache).bytes <= bound);
  }
  cr_expect(nc_cache_read_stats(cache).bytes > bound / 2);
}

/* Offsets whose blocks share a shard: with room for one block a shard, they drive each other out. */
static void find_neighbours(uint64_t *offsets, size_t count) {
  must(nc_cache_create(SHARDS * charge(), &cache, &err));
  offsets[0] = 8192;
  size_t found = 1;
  for (uint64_t offset = 8208; found < count; offset += 16) {
    put(1, 8192, 0);
    put(1, offset, 0);
    if (!has(1, 8192)) offsets[found++] = offset;
    nc_cache_forget(cache, table(0));
  }
  nc_cache_destroy(cache);
}

Test(cache, the_least_recently_used_block_goes_first) {
  uint64_t at[4];
  find_neighbours(at, 4);
  must(nc_cache_create(SHARDS * 2 * charge(), &cache, &err));
  put(1, at[0], 0);
  put(1, at[1], 0);
  cr_expect(has(1, at[0]));
  put(1, at[2], 0);
  cr_expect(has(1, at[0]), "it was looked at last");
  cr_expect_not(has(1, at[1]));
  cr_expect(has(1, at[2]));
  cr_expect(has(1, at[0]));
  put(1, at[3], 0);
  cr_expect_not(has(1, at[2]));
  cr_expect(has(1, at[0]) && has(1, at[3]));
}

Test(cache, putting_a_block_again_keeps_the_first) {
  must(nc_cache_create(1 << 20, &cache, &err));
  nc_cached_block *first = make(1, 8192, BLOCK_BYTES, 0), *second = make(1, 8192, BLOCK_BYTES, 0);
  nc_cache_put(cache, first);
  nc_cache_put(cache, second);
  nc_cached_block *found = nc_cache_get(cache, 1, 8192);
  cr_expect_eq(found, first);
  cr_expect_eq(nc_cache_read_stats(cache).bytes, charge());
  nc_pin_unref(&found->pin);
  nc_pin_unref(&first->pin);
  nc_pin_unref(&second->pin);
}

Test(cache, a_block_larger_than_a_shard_is_left_out) {
  must(nc_cache_create(SHARDS * 2 * charge(), &cache, &err));
  put(1, 8192, 0);
  nc_cached_block *large = make(2, 8192, 3 * BLOCK_BYTES + sizeof(nc_cached_block), 0);
  nc_cache_put(cache, large);
  nc_pin_unref(&large->pin);
  cr_expect_null(nc_cache_get(cache, 2, 8192));
  cr_expect(has(1, 8192), "nothing was displaced for it");
}

Test(cache, forgets_one_table_and_no_other) {
  must(nc_cache_create(1 << 20, &cache, &err));
  for (uint64_t i = 0; i < 200; i++) put(1 + i % 2, 8192 + i * 16, (int)(i % 2));
  nc_cache_forget(cache, table(0));
  for (uint64_t i = 0; i < 200; i++) cr_assert_eq(has(1 + i % 2, 8192 + i * 16), i % 2 == 1);
  cr_expect_eq(nc_cache_read_stats(cache).bytes, 100 * charge());
}

Test(cache, a_block_in_use_outlives_its_place) {
  must(nc_cache_create(SHARDS * charge(), &cache, &err));
  put(1, 8192, 0);
  nc_cached_block *held = nc_cache_get(cache, 1, 8192);
  cr_assert_not_null(held);
  for (uint64_t i = 1; i < 500; i++) put(1, 8192 + i * 16, 0);
  cr_expect_not(has(1, 8192), "it was displaced");
  for (size_t i = 0; i < BLOCK_BYTES; i++) cr_assert_eq(held->bytes[i], (uint8_t)(8192 >> 4));
  nc_cache_forget(cache, table(0));
  cr_expect_eq(held->bytes[BLOCK_BYTES - 1], (uint8_t)(8192 >> 4));
  nc_pin_unref(&held->pin);
}

Test(cache, stays_correct_with_far_more_blocks_than_it_began_with_buckets) {
  enum { COUNT = 4000 };
  must(nc_cache_create((uint64_t)1 << 30, &cache, &err));
  for (uint64_t i = 0; i < COUNT; i++) put(i, 8192 + i * 4096, 0);
  for (uint64_t i = 0; i < COUNT; i++) cr_assert(has(i, 8192 + i * 4096));
  cr_expect_eq(nc_cache_read_stats(cache).bytes, COUNT * charge());
}
