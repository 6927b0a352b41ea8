/* SPDX-License-Identifier: Apache-2.0
 *
 * cache: decrypted, unpacked pieces of segments (blocks, lines of filters) of all tables of a store, in private
 * memory, charged by all that they take.
 *
 * Budget     What the cache holds, with its own tables, never exceeds its bound. A block that somebody holds
 *            stays charged while it has its place, and is passed over when others must go; when nothing but
 *            such blocks is left, a new one is not taken in: whoever read it holds it alone. A block that lost
 *            its place (its file is gone) while it was held is no longer the cache's, but its holder's.
 * Order      S3-FIFO (J. Yang and others, "FIFO queues are all you need for cache eviction", SOSP 2023). A new
 *            block stands in a short queue, a tenth of the cache; only one that is used again there comes into
 *            the main queue, and one that comes back soon after it went. So a single pass over any number of
 *            blocks displaces the short queue, not what is used.
 * Threads    A hit takes no lock and writes to nothing but the block itself and a counter of its thread: the
 *            heads of blocks live in memory that stays heads of blocks until the cache ends, so that a reader
 *            may look at one that is just going, count itself in unless the count is 0, and then look again
 *            whether it is still the one it wanted. All else takes the lock of one shard, shortly.
 */
#ifndef NC_CACHE_H
#define NC_CACHE_H

#include "block.h"
#include "env.h"
#include "pin.h"

typedef struct nc_cache nc_cache;
/* The head that a block had when it was last found. NULL at first. */
typedef _Atomic(struct nc_cached_block *) nc_cache_hint;

/* The head of one block; its bytes are private memory of their own. */
typedef struct nc_cached_block {
  nc_pin pin;                        /* first: values are lent by it */
  atomic_uint_fast64_t file, offset; /* who it is, while it has a place in the cache; 0: it has none */
  _Atomic(struct nc_cached_block *) hash_next;
  atomic_uchar uses; /* lately, to three */
  bool in_main;
  uint8_t type;   /* of the frame that it was */
  nc_block block; /* what `bytes` hold, if they are one */
  nc_cache_hint *hints; /* of an index block: where the blocks that it names were found; behind its bytes */
  uint8_t *bytes;
  uint64_t frame_offset;     /* where it was read from */
  uint32_t capacity, charge; /* of `bytes`; all that it takes */
  nc_heap *heap;
  nc_cache *cache; /* whose head this is; NULL: it stands alone */
  struct nc_cached_block *newer, *older, *file_next, *file_previous;
} nc_cached_block;

/* A block of so many bytes, counted once, known to nobody else. `cache` NULL: there is none. */
NC_MUST_CHECK nacre_status nc_cached_block_create(nc_env *env, nc_cache *cache, nacre_table *table,
                                                  size_t bytes, nc_cached_block **ret_block,
                                                  nacre_error *err);

NC_MUST_CHECK nacre_status nc_cache_create(uint64_t bytes_max, nc_cache **ret_cache, nacre_error *err);
/* Every count but its own must have been given back. */
void nc_cache_destroy(nc_cache *cache);
/* The block, with a count for the caller; NULL on a miss. File ids begin at 1 and are never reused in a store. */
nc_cached_block *nc_cache_get(nc_cache *cache, uint64_t file, uint64_t offset);
/* The same, which looks where the block was when it was found with this hint before, and notes where it is. */
nc_cached_block *nc_cache_get_hinted(nc_cache *cache, nc_cache_hint *hint, uint64_t file, uint64_t offset);
/* Has what such a look will read brought from memory, without waiting for it. */
static inline void nc_cache_ask_for_head(nc_cache_hint *hint) {
  const nc_cached_block *b = atomic_load_explicit(hint, memory_order_relaxed);
  if (b == NULL) return;
  __builtin_prefetch(b);
  __builtin_prefetch(&b->block.words);
}
/* Gives a block that was created with this cache its place, with a count of its own, unless one is there
 * already, or it is larger than a quarter of the cache, or there is no room. */
void nc_cache_put(nc_cache *cache, nc_cached_block *block, uint64_t file, uint64_t offset);
/* Forgets the blocks of a table; NULL: of all. */
void nc_cache_forget(nc_cache *cache, const nacre_table *table);
/* Forgets the blocks of a file. */
void nc_cache_forget_file(nc_cache *cache, uint64_t file);
/* Sets another bound, and makes it so, but for blocks in use. Costs little when it is so already. */
void nc_cache_set_bound(nc_cache *cache, uint64_t bytes_max);

/* All that is charged to it. */
uint64_t nc_cache_bytes(nc_cache *cache);
/* What of it is not private memory: its tables and the heads of blocks, used or not. */
uint64_t nc_cache_own_bytes(nc_cache *cache);

typedef struct nc_cache_stats {
  uint64_t hits, misses, bytes, blocks;
} nc_cache_stats;
nc_cache_stats nc_cache_read_stats(nc_cache *cache);

#endif
