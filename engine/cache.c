/* SPDX-License-Identifier: Apache-2.0
 *
 * cache: see cache.h. Counts are released outside the shard's lock, because the last one wipes.
 */
#include "cache.h"

#include <pthread.h>
#include <stdlib.h>

enum { SHARDS = 16, BUCKETS_MIN = 64 };

typedef struct shard {
  pthread_mutex_t lock;
  nc_cached_block **buckets;
  size_t bucket_count, count; /* bucket_count: a power of two */
  nc_cached_block *newest, *oldest;
  uint64_t bytes, bytes_max, hits, misses;
} shard;

struct nc_cache {
  shard shards[SHARDS];
};

static void block_destroy(nc_pin *pin) {
  nc_cached_block *block = (nc_cached_block *)pin;
  nc_heap_free(block->heap, block, block->charge);
}

nacre_status nc_cached_block_create(nc_env *env, nacre_table *table, size_t bytes,
                                    nc_cached_block **ret_block, nacre_error *err) {
  size_t charge = sizeof(nc_cached_block) + bytes;
  nc_cached_block *block = nc_heap_alloc(env->heap, charge);
  if (block == NULL) return nc_fail(err, NC_E_NO_MEMORY, "%zu bytes for a block", charge);
  nc_pin_init(&block->pin, table, block_destroy);
  block->heap = env->heap;
  block->charge = charge;
  *ret_block = block;
  return NACRE_OK;
}

static uint64_t place(uint64_t file_id, uint64_t offset) {
  uint64_t h = (file_id * 0x9E3779B97F4A7C15u) ^ (offset >> 4) * 0xD6E8FEB86659FD93u;
  return h ^ h >> 32;
}
static shard *shard_of(nc_cache *cache, uint64_t h) { return &cache->shards[h % SHARDS]; }
static nc_cached_block **bucket_of(shard *s, uint64_t h) {
  return &s->buckets[(h / SHARDS) & (s->bucket_count - 1)];
}

nacre_status nc_cache_create(uint64_t bytes_max, nc_cache **ret_cache, nacre_error *err) {
  nc_cache *cache = calloc(1, sizeof *cache);
  if (cache == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  for (int i = 0; i < SHARDS; i++) {
    shard *s = &cache->shards[i];
    pthread_mutex_init(&s->lock, NULL);
    s->bytes_max = bytes_max / SHARDS;
    s->bucket_count = BUCKETS_MIN;
    s->buckets = calloc(s->bucket_count, sizeof *s->buckets);
    if (s->buckets == NULL) {
      nc_cache_destroy(cache);
      return nc_fail(err, NC_E_NO_MEMORY, NULL);
    }
  }
  *ret_cache = cache;
  return NACRE_OK;
}

void nc_cache_destroy(nc_cache *cache) {
  if (cache == NULL) return;
  for (int i = 0; i < SHARDS; i++) {
    shard *s = &cache->shards[i];
    for (nc_cached_block *b = s->newest, *older; b != NULL; b = older) {
      older = b->older;
      nc_pin_unref(&b->pin);
    }
    free(s->buckets);
    pthread_mutex_destroy(&s->lock);
  }
  free(cache);
}

static void list_push(shard *s, nc_cached_block *b) {
  b->newer = NULL;
  b->older = s->newest;
  if (s->newest != NULL) s->newest->newer = b;
  s->newest = b;
  if (s->oldest == NULL) s->oldest = b;
}

static void list_remove(shard *s, nc_cached_block *b) {
  if (b->newer != NULL) b->newer->older = b->older;
  if (b->older != NULL) b->older->newer = b->newer;
  if (s->newest == b) s->newest = b->older;
  if (s->oldest == b) s->oldest = b->newer;
}

static nc_cached_block *find(shard *s, uint64_t h, uint64_t file_id, uint64_t offset) {
  nc_cached_block *b = *bucket_of(s, h);
  while (b != NULL && (b->file_id != file_id || b->offset != offset)) b = b->hash_next;
  return b;
}

nc_cached_block *nc_cache_get(nc_cache *cache, uint64_t file_id, uint64_t offset) {
  uint64_t h = place(file_id, offset);
  shard *s = shard_of(cache, h);
  pthread_mutex_lock(&s->lock);
  nc_cached_block *b = find(s, h, file_id, offset);
  if (b != NULL) {
    s->hits++;
    nc_pin_ref(&b->pin);
    if (s->newest != b) {
      list_remove(s, b);
      list_push(s, b);
    }
  } else {
    s->misses++;
  }
  pthread_mutex_unlock(&s->lock);
  return b;
}

/* Takes a block out of the shard and puts it on `removed` (by hash_next). */
static void take_out_locked(shard *s, nc_cached_block *b, nc_cached_block **removed) {
  nc_cached_block **link = bucket_of(s, place(b->file_id, b->offset));
  while (*link != b) link = &(*link)->hash_next;
  *link = b->hash_next;
  list_remove(s, b);
  s->bytes -= b->charge;
  s->count--;
  b->hash_next = *removed;
  *removed = b;
}

static void release_all(nc_cached_block *removed) {
  for (nc_cached_block *next; removed != NULL; removed = next) {
    next = removed->hash_next;
    nc_pin_unref(&removed->pin);
  }
}

/* More buckets when they are full; a shard that gets no memory for them keeps the ones it has. */
static void grow_locked(shard *s) {
  if (s->count < s->bucket_count) return;
  size_t count = s->bucket_count * 4;
  nc_cached_block **buckets = calloc(count, sizeof *buckets);
  if (buckets == NULL) return;
  free(s->buckets);
  s->buckets = buckets;
  s->bucket_count = count;
  for (nc_cached_block *b = s->newest; b != NULL; b = b->older) {
    nc_cached_block **link = bucket_of(s, place(b->file_id, b->offset));
    b->hash_next = *link;
    *link = b;
  }
}

void nc_cache_put(nc_cache *cache, nc_cached_block *block) {
  uint64_t h = place(block->file_id, block->offset);
  shard *s = shard_of(cache, h);
  if (block->charge > s->bytes_max) return;
  nc_cached_block *removed = NULL;
  pthread_mutex_lock(&s->lock);
  if (find(s, h, block->file_id, block->offset) == NULL) {
    grow_locked(s);
    nc_cached_block **link = bucket_of(s, h);
    block->hash_next = *link;
    *link = block;
    nc_pin_ref(&block->pin);
    list_push(s, block);
    s->bytes += block->charge;
    s->count++;
    while (s->bytes > s->bytes_max) take_out_locked(s, s->oldest, &removed);
  }
  pthread_mutex_unlock(&s->lock);
  release_all(removed);
}

void nc_cache_forget(nc_cache *cache, const nacre_table *table) {
  for (int i = 0; i < SHARDS; i++) {
    shard *s = &cache->shards[i];
    nc_cached_block *removed = NULL;
    pthread_mutex_lock(&s->lock);
    for (nc_cached_block *b = s->newest, *older; b != NULL; b = older) {
      older = b->older;
      if (b->pin.table == table) take_out_locked(s, b, &removed);
    }
    pthread_mutex_unlock(&s->lock);
    release_all(removed);
  }
}

nc_cache_stats nc_cache_read_stats(nc_cache *cache) {
  nc_cache_stats stats = {0};
  for (int i = 0; i < SHARDS; i++) {
    shard *s = &cache->shards[i];
    pthread_mutex_lock(&s->lock);
    stats.hits += s->hits;
    stats.misses += s->misses;
    stats.bytes += s->bytes;
    pthread_mutex_unlock(&s->lock);
  }
  return stats;
}
