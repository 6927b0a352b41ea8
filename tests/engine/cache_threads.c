/* SPDX-License-Identifier: Apache-2.0
 *
 * cache_threads: threads look for, put and forget blocks of one cache that is much too small, so that heads are
 * used again all the time. Whatever is found is what was looked for, whole, while it is held; in the end all
 * memory is back.
 */
#include <pthread.h>
#include <stdio.h>

#include "cache.h"
#include "fixture.h"
#include "support.h"

enum { THREADS = 4, FILES = 8, BLOCKS = 300, BLOCK_BYTES = 512 };

static nc_env *env;
static nc_cache *cache;
static atomic_uint_fast64_t found, put, wrong;

static uint8_t mark(uint64_t file, uint64_t number) { return (uint8_t)(file * 31 + number * 7 + 1); }

static bool is_whole(const nc_cached_block *b, uint8_t wanted) {
  for (size_t i = 0; i < BLOCK_BYTES; i++) {
    if (b->bytes[i] != wanted) return false;
  }
  return true;
}

static void fetch(uint64_t file, uint64_t number) {
  static nc_cache_hint hints[FILES + 1][BLOCKS / 2]; /* for two blocks each */
  nc_cached_block *b = number % 3 == 0
                           ? nc_cache_get(cache, file, number * 16)
                           : nc_cache_get_hinted(cache, &hints[file][number / 2], file, number * 16);
  if (b != NULL) {
    atomic_fetch_add(&found, 1);
  } else {
    nacre_error err;
    must(nc_cached_block_create(env, cache, NULL, BLOCK_BYTES, &b, &err));
    memset(b->bytes, mark(file, number), BLOCK_BYTES);
    nc_cache_put(cache, b, file, number * 16);
    atomic_fetch_add(&put, 1);
  }
  if (!is_whole(b, mark(file, number))) atomic_fetch_add(&wrong, 1);
  nc_pin_unref(&b->pin);
}

static void *work(void *arg) {
  uint64_t state = (uintptr_t)arg, rounds = test_env_number("NACRE_CACHE_ROUNDS", 60000);
  for (uint64_t i = 0; i < rounds; i++) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    uint64_t file = 1 + (state >> 33) % FILES, number = (state >> 40) % BLOCKS;
    if (i % 997 == 0) {
      nc_cache_forget_file(cache, file);
    } else if (i % 1999 == 0) {
      nc_cache_set_bound(cache, (uint64_t)(100 + (state >> 50) % 900) << 10);
    } else {
      fetch(file, number % (i % 3 == 0 ? BLOCKS : 20));
    }
  }
  return NULL;
}

int main(void) {
  nacre_error err;
  must(nc_env_create(NULL, &env, &err));
  must(nc_cache_create(1 << 20, &cache, &err));
  pthread_t threads[THREADS];
  for (uintptr_t i = 0; i < THREADS; i++) {
    if (pthread_create(&threads[i], NULL, work, (void *)(i + 1)) != 0) test_die("no threads");
  }
  for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  printf("%llu found, %llu put\n", (unsigned long long)found, (unsigned long long)put);
  CHECK(atomic_load(&wrong) == 0, "%llu blocks were not what was looked for", (unsigned long long)wrong);
  CHECK(atomic_load(&found) > 0 && atomic_load(&put) > 0, "both happened");
  nc_cache_forget(cache, NULL);
  nc_cache_stats stats = nc_cache_read_stats(cache);
  CHECK(stats.blocks == 0 && nc_heap_bytes(env->heap) == 0, "all is back");
  nc_cache_destroy(cache);
  nc_env_destroy(env);
  return test_finish();
}
