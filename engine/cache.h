/* SPDX-License-Identifier: Apache-2.0
 *
 * cache: decrypted, unpacked blocks of all tables of a store, in private memory, charged by what they take.
 *
 * Sixteen shards, each with its own lock and its own list from most to least recently used. A block in use
 * outlives its place in the cache: whoever holds a count keeps it.
 */
#ifndef NC_CACHE_H
#define NC_CACHE_H

#include "block.h"
#include "env.h"
#include "pin.h"

typedef struct nc_cache nc_cache;

/* One block: header and bytes in one piece of private memory. */
typedef struct nc_cached_block {
  nc_pin pin; /* first: values are lent by it */
  nc_heap *heap;
  size_t charge;            /* bytes of this allocation */
  uint64_t file_id, offset; /* who it is; file ids are never reused in a store */
  struct nc_cached_block *hash_next, *newer, *older;
  nc_block block;
  uint8_t bytes[];
} nc_cached_block;

NC_MUST_CHECK nacre_status nc_cached_block_create(nc_env *env, nacre_table *table, size_t bytes,
                                                  nc_cached_block **ret_block, nacre_error *err);

NC_MUST_CHECK nacre_status nc_cache_create(uint64_t bytes_max, nc_cache **ret_cache, nacre_error *err);
void nc_cache_destroy(nc_cache *cache);
/* The block, with a count for the caller; NULL on a miss. */
nc_cached_block *nc_cache_get(nc_cache *cache, uint64_t file_id, uint64_t offset);
/* Takes a count of its own. A block that is there already, or larger than a shard, is left out. */
void nc_cache_put(nc_cache *cache, nc_cached_block *block);
/* Forgets the blocks of a table. */
void nc_cache_forget(nc_cache *cache, const nacre_table *table);

typedef struct nc_cache_stats {
  uint64_t hits, misses, bytes;
} nc_cache_stats;
nc_cache_stats nc_cache_read_stats(nc_cache *cache);

#endif
