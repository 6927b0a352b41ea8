/* SPDX-License-Identifier: Apache-2.0
 *
 * cache: see cache.h.
 *
 * Invariants
 *   1. A head's count is 0 exactly while it is idle in the pool. A block with a place has a count of the
 *      cache's; taking the place away is either 1 -> 0 by compare-and-swap, when nobody else holds it, or, when
 *      its file is forgotten, giving that count back like any other holder.
 *   2. `file` and `offset` of a head change only while nobody but their writer may rely on them: they are set
 *      before the head is reachable, and `file` is 0 before the cache's count goes. Whoever holds a count and
 *      reads the wanted `file` afterwards therefore holds the wanted block, with all its bytes.
 *   3. A reader that walks a chain while it changes may stray into another, and miss; it never reads freed
 *      memory. Such a miss costs one read of a block that is there, and nc_cache_put leaves it out.
 * Locks: a shard's, then nothing; the pool's, then nothing. Memory is freed, and wiped, outside of both.
 */
#include "cache.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "stripe.h"

enum { SHARDS_MAX = 64, FILE_LISTS = 64, HEADS_A_SLAB = 64, USES_MAX = 3, CHAIN_MAX = 256, LINE_BYTES = 64 };
enum { COUNT_BITS = 4 };
#define SHARD_BYTES_MIN ((uint64_t)2 << 20)
#define BLOCK_BYTES_USUAL ((uint64_t)4096)
#define BLOCK_BYTES_MOST ((size_t)1 << 30)
_Static_assert(sizeof(nc_cached_block) % LINE_BYTES == 0, "each head begins a line, and a hit reads two");
#define BUCKETS_MIN ((size_t)16)
#define BUCKETS_MAX ((size_t)1 << 18)

typedef struct queue {
  nc_cached_block *newest, *oldest;
  uint64_t bytes;
} queue;

typedef struct shard {
  _Alignas(LINE_BYTES) pthread_mutex_t lock;
  queue young, main;
  size_t count;
  nc_cached_block *file_lists[FILE_LISTS]; /* blocks of files whose ids end alike */
  _Atomic(nc_cached_block *) *buckets;
  uint32_t *ghosts; /* by place: who left the young queue unused last */
  size_t bucket_mask;
} shard;

/* Lookups by some threads. */
typedef struct lookups {
  _Alignas(NC_STRIPE_BYTES) atomic_uint_fast64_t hits, misses;
} lookups;

typedef struct slab {
  nc_cached_block heads[HEADS_A_SLAB]; /* first: what a hit reads of one then lies in two lines */
  struct slab *next;
} slab;

struct nc_cache {
  lookups lookups[1 << COUNT_BITS];
  shard *shards;
  size_t shard_count; /* a power of two, as are the buckets of a shard */
  atomic_uint_fast64_t bytes, bytes_max, own_bytes;
  atomic_uint hand; /* the shard that gives way next */
  pthread_mutex_t pool_lock;
  nc_cached_block *idle; /* by `older` */
  slab *slabs;
};

/* ---- heads --------------------------------------------------------------------------------------------- */

static nc_cached_block *take_head(nc_cache *cache) {
  pthread_mutex_lock(&cache->pool_lock);
  if (cache->idle == NULL) {
    slab *added = aligned_alloc(LINE_BYTES, (sizeof *added + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES);
    if (added != NULL) {
      memset(added, 0, sizeof *added);
      added->next = cache->slabs;
      cache->slabs = added;
      atomic_fetch_add_explicit(&cache->own_bytes, sizeof *added, memory_order_relaxed);
      for (size_t i = 0; i < HEADS_A_SLAB; i++) {
        added->heads[i].older = cache->idle;
        cache->idle = &added->heads[i];
      }
    }
  }
  nc_cached_block *b = cache->idle;
  if (b != NULL) cache->idle = b->older;
  pthread_mutex_unlock(&cache->pool_lock);
  return b;
}

static void give_heads(nc_cache *cache, nc_cached_block *first, nc_cached_block *last) {
  pthread_mutex_lock(&cache->pool_lock);
  last->older = cache->idle;
  cache->idle = first;
  pthread_mutex_unlock(&cache->pool_lock);
}

static void drop_bytes(nc_cached_block *b) {
  nc_heap_free(b->heap, b->bytes, b->capacity);
  b->bytes = NULL;
}

static void block_destroy(nc_pin *pin) {
  nc_cached_block *b = (nc_cached_block *)pin;
  drop_bytes(b);
  if (b->cache != NULL) {
    give_heads(b->cache, b, b);
  } else {
    free(b);
  }
}

nacre_status nc_cached_block_create(nc_env *env, nc_cache *cache, nacre_table *table, size_t bytes,
                                    nc_cached_block **ret_block, nacre_error *err) {
  assert(bytes <= BLOCK_BYTES_MOST);
  uint8_t *memory = nc_heap_alloc(env->heap, bytes);
  if (memory == NULL) return nc_fail(err, NC_E_NO_MEMORY, "%zu bytes for a block", bytes);
  nc_cached_block *b = cache != NULL ? take_head(cache) : calloc(1, sizeof *b);
  if (b == NULL) {
    nc_heap_free(env->heap, memory, bytes);
    return nc_fail(err, NC_E_NO_MEMORY, NULL);
  }
  b->heap = env->heap;
  b->cache = cache;
  b->bytes = memory;
  b->hints = NULL;
  b->capacity = (uint32_t)bytes;
  b->charge = (uint32_t)(sizeof *b + nc_heap_block_bytes(bytes));
  b->pin.table = table;
  b->pin.destroy = block_destroy;
  /* Whoever still looks at this head for the block that it was counts itself in after this, not before. */
  atomic_store_explicit(&b->pin.count, 1, memory_order_release);
  *ret_block = b;
  return NACRE_OK;
}

/* ---- places -------------------------------------------------------------------------------------------- */

static uint64_t place(uint64_t file, uint64_t offset) {
  uint64_t h = (file * 0x9E3779B97F4A7C15u) ^ (offset >> 4) * 0xD6E8FEB86659FD93u;
  h ^= h >> 32;
  h *= 0xD6E8FEB86659FD93u;
  return h ^ h >> 29;
}
static shard *shard_of(nc_cache *cache, uint64_t h) { return &cache->shards[h & (cache->shard_count - 1)]; }
static size_t bucket_of(const shard *s, uint64_t h) { return (size_t)(h / SHARDS_MAX) & s->bucket_mask; }
static uint32_t ghost_of(uint64_t h) { return (uint32_t)(h >> 32) | 1; /* never 0, which is nobody */ }

static uint64_t place_of(const nc_cached_block *b) {
  return place(atomic_load_explicit(&b->file, memory_order_relaxed),
               atomic_load_explicit(&b->offset, memory_order_relaxed));
}

static bool is(const nc_cached_block *b, uint64_t file, uint64_t offset, memory_order order) {
  return atomic_load_explicit(&b->file, order) == file &&
         atomic_load_explicit(&b->offset, memory_order_relaxed) == offset;
}

static size_t power_of_two(uint64_t at_least, size_t least, size_t most) {
  size_t n = least;
  while (n < most && n < at_least) n *= 2;
  return n;
}

static bool shard_init(shard *s, size_t buckets) {
  pthread_mutex_init(&s->lock, NULL);
  s->bucket_mask = buckets - 1;
  s->buckets = calloc(buckets, sizeof *s->buckets);
  s->ghosts = calloc(buckets, sizeof *s->ghosts);
  return s->buckets != NULL && s->ghosts != NULL;
}

nacre_status nc_cache_create(uint64_t bytes_max, nc_cache **ret_cache, nacre_error *err) {
  nc_cache *cache = aligned_alloc(LINE_BYTES, sizeof *cache);
  if (cache == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  memset(cache, 0, sizeof *cache);
  pthread_mutex_init(&cache->pool_lock, NULL);
  size_t shards = 1;
  while (shards < SHARDS_MAX && bytes_max / (2 * shards) >= SHARD_BYTES_MIN) shards *= 2;
  size_t buckets = power_of_two(bytes_max / shards / BLOCK_BYTES_USUAL, BUCKETS_MIN, BUCKETS_MAX);
  cache->shards = aligned_alloc(LINE_BYTES, shards * sizeof *cache->shards);
  bool good = cache->shards != NULL;
  if (good) memset(cache->shards, 0, shards * sizeof *cache->shards);
  for (size_t i = 0; good && i < shards; i++) {
    cache->shard_count++;
    good = shard_init(&cache->shards[i], buckets);
  }
  if (!good) {
    nc_cache_destroy(cache);
    return nc_fail(err, NC_E_NO_MEMORY, NULL);
  }
  size_t a_bucket = sizeof(_Atomic(nc_cached_block *)) + sizeof(uint32_t);
  atomic_init(&cache->bytes, sizeof *cache + shards * (sizeof(shard) + buckets * a_bucket));
  atomic_init(&cache->own_bytes, atomic_load(&cache->bytes));
  atomic_init(&cache->bytes_max, bytes_max);
  *ret_cache = cache;
  return NACRE_OK;
}

void nc_cache_destroy(nc_cache *cache) {
  if (cache == NULL) return;
  nc_cache_forget(cache, NULL);
  for (size_t i = 0; i < cache->shard_count; i++) {
    free(cache->shards[i].buckets);
    free(cache->shards[i].ghosts);
    pthread_mutex_destroy(&cache->shards[i].lock);
  }
  free(cache->shards);
  for (slab *s = cache->slabs, *next; s != NULL; s = next) {
    next = s->next;
    free(s);
  }
  pthread_mutex_destroy(&cache->pool_lock);
  free(cache);
}

/* ---- hits ---------------------------------------------------------------------------------------------- */

/* Counts the caller in, unless the count is 0. */
static bool hold(nc_cached_block *b) {
  unsigned count = atomic_load_explicit(&b->pin.count, memory_order_relaxed);
  while (count != 0) {
    if (atomic_compare_exchange_weak_explicit(&b->pin.count, &count, count + 1, memory_order_acquire,
                                              memory_order_relaxed))
      return true;
  }
  return false;
}

static void note_use(nc_cached_block *b) {
  unsigned char uses = atomic_load_explicit(&b->uses, memory_order_relaxed);
  if (uses < USES_MAX) atomic_store_explicit(&b->uses, (unsigned char)(uses + 1), memory_order_relaxed);
}

/* Counts the caller in if it is the block. It may become another meanwhile. */
static bool hold_wanted(nc_cached_block *b, uint64_t file, uint64_t offset) {
  if (!is(b, file, offset, memory_order_relaxed) || !hold(b)) return false;
  if (is(b, file, offset, memory_order_acquire)) {
    note_use(b);
    return true;
  }
  nc_pin_unref(&b->pin);
  return false;
}

static nc_cached_block *look_up(nc_cache *cache, uint64_t file, uint64_t offset) {
  uint64_t h = place(file, offset);
  const shard *s = shard_of(cache, h);
  nc_cached_block *b = atomic_load_explicit(&s->buckets[bucket_of(s, h)], memory_order_acquire);
  for (int steps = 0; b != NULL && steps < CHAIN_MAX; steps++) {
    if (hold_wanted(b, file, offset)) return b;
    b = atomic_load_explicit(&b->hash_next, memory_order_acquire);
  }
  return NULL;
}

static nc_cached_block *count_lookup(nc_cache *cache, nc_cached_block *found) {
  lookups *own = &cache->lookups[nc_thread_stripe(COUNT_BITS)];
  atomic_uint_fast64_t *count = found != NULL ? &own->hits : &own->misses;
  atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
  return found;
}

nc_cached_block *nc_cache_get(nc_cache *cache, uint64_t file, uint64_t offset) {
  return count_lookup(cache, look_up(cache, file, offset));
}

nc_cached_block *nc_cache_get_hinted(nc_cache *cache, nc_cache_hint *hint, uint64_t file, uint64_t offset) {
  nc_cached_block *b = atomic_load_explicit(hint, memory_order_acquire);
  if (b != NULL) __builtin_prefetch(&b->block); /* in the head's other line */
  if (b != NULL && hold_wanted(b, file, offset)) return count_lookup(cache, b);
  b = look_up(cache, file, offset);
  if (b != NULL) atomic_store_explicit(hint, b, memory_order_release);
  return count_lookup(cache, b);
}

/* ---- queues and chains, under the shard's lock --------------------------------------------------------- */

static void enqueue_locked(shard *s, nc_cached_block *b, bool in_main) {
  queue *q = in_main ? &s->main : &s->young;
  b->in_main = in_main;
  b->newer = NULL;
  b->older = q->newest;
  if (q->newest != NULL) q->newest->newer = b;
  q->newest = b;
  if (q->oldest == NULL) q->oldest = b;
  q->bytes += b->charge;
}

static void dequeue_locked(shard *s, nc_cached_block *b) {
  queue *q = b->in_main ? &s->main : &s->young;
  if (b->newer != NULL) b->newer->older = b->older;
  if (b->older != NULL) b->older->newer = b->newer;
  if (q->newest == b) q->newest = b->older;
  if (q->oldest == b) q->oldest = b->newer;
  q->bytes -= b->charge;
}

static nc_cached_block **file_list_of(shard *s, const nc_cached_block *b) {
  return &s->file_lists[atomic_load_explicit(&b->file, memory_order_relaxed) % FILE_LISTS];
}

static void link_locked(shard *s, nc_cached_block *b, uint64_t h) {
  _Atomic(nc_cached_block *) *bucket = &s->buckets[bucket_of(s, h)];
  nc_cached_block **list = file_list_of(s, b);
  b->file_previous = NULL;
  b->file_next = *list;
  if (*list != NULL) (*list)->file_previous = b;
  *list = b;
  atomic_store_explicit(&b->hash_next, atomic_load_explicit(bucket, memory_order_relaxed),
                        memory_order_relaxed);
  atomic_store_explicit(bucket, b, memory_order_release);
  s->count++;
}

/* Takes a block out of its queue, chain and list; its head's `hash_next` stays for readers on their way. */
static void unlink_locked(shard *s, nc_cached_block *b) {
  _Atomic(nc_cached_block *) *link = &s->buckets[bucket_of(s, place_of(b))];
  for (nc_cached_block *at; (at = atomic_load_explicit(link, memory_order_relaxed)) != b;)
    link = &at->hash_next;
  atomic_store_explicit(link, atomic_load_explicit(&b->hash_next, memory_order_relaxed),
                        memory_order_release);
  if (b->file_next != NULL) b->file_next->file_previous = b->file_previous;
  if (b->file_previous != NULL) {
    b->file_previous->file_next = b->file_next;
  } else {
    *file_list_of(s, b) = b->file_next;
  }
  dequeue_locked(s, b);
  atomic_store_explicit(&b->file, 0, memory_order_relaxed);
  s->count--;
}

static bool is_there_locked(shard *s, uint64_t h, uint64_t file, uint64_t offset) {
  nc_cached_block *b = atomic_load_explicit(&s->buckets[bucket_of(s, h)], memory_order_relaxed);
  while (b != NULL && !is(b, file, offset, memory_order_relaxed))
    b = atomic_load_explicit(&b->hash_next, memory_order_relaxed);
  return b != NULL;
}

/* ---- making room --------------------------------------------------------------------------------------- */

/* Takes a block that nobody else holds; it is the caller's then, its count 0. */
static bool seize(nc_cached_block *b) {
  unsigned one = 1;
  return atomic_compare_exchange_strong_explicit(&b->pin.count, &one, 0, memory_order_acq_rel,
                                                 memory_order_relaxed);
}

/* Looks at the block whose turn it is: moves it on when it was used or is in use, else takes it out. */
static nc_cached_block *take_turn_locked(shard *s) {
  bool young = s->main.oldest == NULL || (s->young.oldest != NULL && s->young.bytes >= s->main.bytes / 9);
  nc_cached_block *b = young ? s->young.oldest : s->main.oldest;
  unsigned char uses = atomic_load_explicit(&b->uses, memory_order_relaxed);
  if (uses == 0 && seize(b)) {
    uint64_t h = place_of(b);
    if (young) s->ghosts[bucket_of(s, h)] = ghost_of(h);
    unlink_locked(s, b);
    return b;
  }
  dequeue_locked(s, b);
  atomic_store_explicit(&b->uses, (unsigned char)(young || uses == 0 ? 0 : uses - 1), memory_order_relaxed);
  enqueue_locked(s, b, true);
  return NULL;
}

/* Frees at least `wanted` bytes of a shard if it can; returns how many. */
static uint64_t evict(nc_cache *cache, shard *s, uint64_t wanted) {
  nc_cached_block *first = NULL, *last = NULL;
  uint64_t freed = 0;
  pthread_mutex_lock(&s->lock);
  for (size_t turns = (USES_MAX + 1) * s->count; turns > 0 && s->count > 0 && freed < wanted; turns--) {
    nc_cached_block *b = take_turn_locked(s);
    if (b == NULL) continue;
    freed += b->charge;
    b->older = first;
    first = b;
    if (last == NULL) last = b;
  }
  pthread_mutex_unlock(&s->lock);
  if (first == NULL) return 0;
  for (nc_cached_block *b = first; b != NULL; b = b == last ? NULL : b->older) drop_bytes(b);
  give_heads(cache, first, last);
  atomic_fetch_sub(&cache->bytes, freed);
  return freed;
}

/* Brings what is held to `bytes_max` less `room`, a shard at a time; false when blocks in use prevent it. */
static bool make_room(nc_cache *cache, uint64_t room) {
  for (size_t in_vain = 0; in_vain < cache->shard_count;) {
    uint64_t held = atomic_load(&cache->bytes) + room, bound = atomic_load(&cache->bytes_max);
    if (held <= bound) return true;
    uint64_t wanted = (held - bound + cache->shard_count - 1) / cache->shard_count;
    shard *s = &cache->shards[atomic_fetch_add(&cache->hand, 1) & (cache->shard_count - 1)];
    in_vain = evict(cache, s, wanted) == 0 ? in_vain + 1 : 0;
  }
  return false;
}

/* Charges `charge` bytes if they fit, whoever else charges at the same time. */
static bool reserve(nc_cache *cache, uint64_t charge) {
  for (;;) {
    uint64_t held = atomic_load(&cache->bytes);
    while (held + charge <= atomic_load(&cache->bytes_max)) {
      if (atomic_compare_exchange_weak(&cache->bytes, &held, held + charge)) return true;
    }
    if (!make_room(cache, charge)) return false;
  }
}

void nc_cache_set_bound(nc_cache *cache, uint64_t bytes_max) {
  if (atomic_load_explicit(&cache->bytes_max, memory_order_relaxed) != bytes_max)
    atomic_store(&cache->bytes_max, bytes_max);
  (void)make_room(cache, 0);
}

uint64_t nc_cache_bytes(nc_cache *cache) { return atomic_load_explicit(&cache->bytes, memory_order_relaxed); }
uint64_t nc_cache_own_bytes(nc_cache *cache) {
  return atomic_load_explicit(&cache->own_bytes, memory_order_relaxed);
}

void nc_cache_put(nc_cache *cache, nc_cached_block *block, uint64_t file, uint64_t offset) {
  uint64_t h = place(file, offset);
  shard *s = shard_of(cache, h);
  if (block->charge > atomic_load(&cache->bytes_max) / 4 || !reserve(cache, block->charge)) return;
  pthread_mutex_lock(&s->lock);
  bool there = is_there_locked(s, h, file, offset);
  if (!there) {
    uint32_t *ghost = &s->ghosts[bucket_of(s, h)];
    bool back_soon = *ghost == ghost_of(h);
    if (back_soon) *ghost = 0;
    atomic_store_explicit(&block->uses, 0, memory_order_relaxed);
    atomic_store_explicit(&block->offset, offset, memory_order_relaxed);
    atomic_store_explicit(&block->file, file, memory_order_release);
    atomic_fetch_add_explicit(&block->pin.count, 1, memory_order_release);
    enqueue_locked(s, block, back_soon);
    link_locked(s, block, h);
  }
  pthread_mutex_unlock(&s->lock);
  if (there) atomic_fetch_sub(&cache->bytes, block->charge);
}

/* ---- forgetting ---------------------------------------------------------------------------------------- */

/* Takes the place of a block away, whoever holds it. The cache's count goes after the lock. */
static void put_away_locked(shard *s, nc_cached_block *b, nc_cached_block **removed, uint64_t *bytes) {
  unlink_locked(s, b);
  *bytes += b->charge;
  b->older = *removed;
  *removed = b;
}

static void release_all(nc_cache *cache, nc_cached_block *removed, uint64_t bytes) {
  for (nc_cached_block *next; removed != NULL; removed = next) {
    next = removed->older;
    nc_pin_unref(&removed->pin);
  }
  atomic_fetch_sub(&cache->bytes, bytes);
}

void nc_cache_forget(nc_cache *cache, const nacre_table *table) {
  for (size_t i = 0; i < cache->shard_count; i++) {
    shard *s = &cache->shards[i];
    nc_cached_block *removed = NULL;
    uint64_t bytes = 0;
    pthread_mutex_lock(&s->lock);
    for (size_t l = 0; l < FILE_LISTS; l++) {
      for (nc_cached_block *b = s->file_lists[l], *next; b != NULL; b = next) {
        next = b->file_next;
        if (table == NULL || b->pin.table == table) put_away_locked(s, b, &removed, &bytes);
      }
    }
    pthread_mutex_unlock(&s->lock);
    release_all(cache, removed, bytes);
  }
}

void nc_cache_forget_file(nc_cache *cache, uint64_t file) {
  for (size_t i = 0; i < cache->shard_count; i++) {
    shard *s = &cache->shards[i];
    nc_cached_block *removed = NULL;
    uint64_t bytes = 0;
    pthread_mutex_lock(&s->lock);
    for (nc_cached_block *b = s->file_lists[file % FILE_LISTS], *next; b != NULL; b = next) {
      next = b->file_next;
      if (atomic_load_explicit(&b->file, memory_order_relaxed) == file)
        put_away_locked(s, b, &removed, &bytes);
    }
    pthread_mutex_unlock(&s->lock);
    release_all(cache, removed, bytes);
  }
}

nc_cache_stats nc_cache_read_stats(nc_cache *cache) {
  nc_cache_stats stats = {.bytes = atomic_load(&cache->bytes)};
  for (size_t i = 0; i < sizeof cache->lookups / sizeof cache->lookups[0]; i++) {
    stats.hits += atomic_load_explicit(&cache->lookups[i].hits, memory_order_relaxed);
    stats.misses += atomic_load_explicit(&cache->lookups[i].misses, memory_order_relaxed);
  }
  for (size_t i = 0; i < cache->shard_count; i++) {
    shard *s = &cache->shards[i];
    pthread_mutex_lock(&s->lock);
    stats.blocks += s->count;
    pthread_mutex_unlock(&s->lock);
  }
  return stats;
}
