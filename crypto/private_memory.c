/* SPDX-License-Identifier: Apache-2.0
 *
 * private_memory: size classes carved from 4 MiB chunks, and mappings of their own for what is larger.
 *
 * Invariants
 *   1. Every page is MADV_DONTDUMP and MADV_WIPEONFORK before a byte of it is handed out.
 *   2. Memory on a free list is zero but for its first pointer, which is zeroed when it is handed out.
 *   3. A block stays in its class for good: chunks are unmapped with the heap only. Large mappings go at
 *      once.
 * All chunks but the first ask for huge pages: caches and memtables are read all over, and of small pages the
 * processor knows the places of 8 MiB at most. A store that needs one chunk only takes pages as it uses them.
 * The kernel zeroes a huge page while whoever first touches it waits, as long as for hundreds of writes; so a chunk
 * or two are kept ready, touched by whoever the heap's owner has do it.
 * Classes are multiples of 64 up to 256 and four to a doubling above, so at most a fifth of a block is not
 * used.
 * Locking: one mutex, held for a few pointer moves or one mmap; wiping and touching happen outside of it.
 */
#include "private_memory.h"

#include <assert.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#endif
#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(memory, size) __asan_poison_memory_region(memory, size)
#define UNPOISON(memory, size) __asan_unpoison_memory_region(memory, size)
#else
#define POISON(memory, size) ((void)(memory), (void)(size))
#define UNPOISON(memory, size) ((void)(memory), (void)(size))
#endif

enum { GRAIN = 64, SMALL_BYTES = 256, STEPS = 4, CLASS_COUNT = 52, MANY_CHUNKS = 16 };
#define CLASS_BYTES_MAX ((size_t)1 << 20)
#define CHUNK_BYTES ((size_t)4 << 20)
#define HUGE_PAGE_BYTES ((size_t)2 << 20)
#define PAGE_BYTES ((size_t)4096)

typedef struct free_block {
  struct free_block *next;
} free_block;

typedef struct chunk {
  struct chunk *next;
  void *base;
} chunk;

/* Leads a mapping of its own; what is handed out begins GRAIN bytes after it. */
typedef struct large {
  struct large *next, *previous;
  size_t mapped;
} large;
_Static_assert(sizeof(large) <= GRAIN, "a large mapping's lead fits before its memory");

struct nc_heap {
  pthread_mutex_t lock;
  free_block *free_lists[CLASS_COUNT];
  chunk *chunks;
  size_t chunk_count;
  chunk *ready;       /* touched, and not begun */
  size_t ready_count; /* with those that are being made */
  void (*on_taken)(void *arg);
  void *on_taken_arg;
  uint8_t *fresh; /* the rest of the newest chunk, never handed out */
  size_t fresh_left;
  large *larges;
  atomic_uint_least64_t bytes;
  const volatile uint32_t
      *parent; /* a word of the first chunk: 1, and 0 in a child, where chunks are wiped */
};

void nc_wipe(void *memory, size_t size) {
  if (size > 0) explicit_bzero(memory, size);
}

bool nc_equal_secret(const void *a, const void *b, size_t size) { return CRYPTO_memcmp(a, b, size) == 0; }

/* ---- size classes -------------------------------------------------------------------------------------- */

/* The smallest class that holds `size` (1 to CLASS_BYTES_MAX), and its block size. */
static size_t class_of(size_t size, size_t *ret_bytes) {
  if (size <= SMALL_BYTES) {
    size_t index = (size - 1) / GRAIN;
    *ret_bytes = (index + 1) * GRAIN;
    return index;
  }
  size_t doubling = 63 - (size_t)__builtin_clzll((unsigned long long)(size - 1)); /* 2^doubling < size */
  size_t step = (size_t)1 << (doubling - 2);
  size_t above = (size - 1 - ((size_t)1 << doubling)) / step; /* 0 to 3 */
  *ret_bytes = ((size_t)1 << doubling) + (above + 1) * step;
  return SMALL_BYTES / GRAIN + (doubling - 8) * STEPS + above;
}

/* The largest class that fits into `size` bytes, a multiple of GRAIN. */
static size_t class_within(size_t size, size_t *ret_bytes) {
  size_t probe = size < CLASS_BYTES_MAX ? size : CLASS_BYTES_MAX;
  size_t index = class_of(probe, ret_bytes);
  if (*ret_bytes <= probe) return index;
  size_t doubling = 63 - (size_t)__builtin_clzll((unsigned long long)probe);
  size_t step = (size_t)1 << (doubling - 2);
  return class_of(probe & ~(step - 1), ret_bytes);
}

/* ---- the kernel's side --------------------------------------------------------------------------------- */

static void *map_private(size_t size) {
  void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return NULL;
  if (madvise(memory, size, MADV_DONTDUMP) == 0 && madvise(memory, size, MADV_WIPEONFORK) == 0) return memory;
  munmap(memory, size);
  return NULL;
}

static void push_locked(nc_heap *heap, size_t index, void *memory, size_t bytes) {
  free_block *block = memory;
  block->next = heap->free_lists[index];
  heap->free_lists[index] = block;
  POISON(memory, bytes);
}

/* What is left of a chunk that cannot serve the present request serves smaller ones. */
static void shelve_fresh_locked(nc_heap *heap) {
  while (heap->fresh_left > 0) {
    size_t bytes;
    size_t index = class_within(heap->fresh_left, &bytes);
    uint8_t *memory = heap->fresh;
    UNPOISON(memory, bytes);
    heap->fresh += bytes;
    heap->fresh_left -= bytes;
    push_locked(heap, index, memory, bytes);
  }
}

/* Where huge pages can lie. Without them, or the address space to choose a place in, small ones serve. */
static void *map_huge(void) {
  uint8_t *memory = map_private(CHUNK_BYTES + HUGE_PAGE_BYTES);
  if (memory == NULL) return map_private(CHUNK_BYTES);
  size_t before = (HUGE_PAGE_BYTES - (uintptr_t)memory % HUGE_PAGE_BYTES) % HUGE_PAGE_BYTES;
  if (before > 0) munmap(memory, before);
  if (before < HUGE_PAGE_BYTES) munmap(memory + before + CHUNK_BYTES, HUGE_PAGE_BYTES - before);
  (void)madvise(memory + before, CHUNK_BYTES, MADV_HUGEPAGE);
  return memory + before;
}

static chunk *chunk_create(bool huge) {
  chunk *c = malloc(sizeof *c);
  void *base = c == NULL ? NULL : huge ? map_huge() : map_private(CHUNK_BYTES);
  if (base == NULL) {
    free(c);
    return NULL;
  }
  *c = (chunk){NULL, base};
  return c;
}

static chunk *take_ready_locked(nc_heap *heap) {
  chunk *c = heap->ready;
  if (c == NULL) return NULL;
  heap->ready = c->next;
  heap->ready_count--;
  return c;
}

static bool add_chunk_locked(nc_heap *heap) {
  chunk *added = take_ready_locked(heap);
  if (added == NULL) added = chunk_create(heap->chunks != NULL);
  if (added == NULL) return false;
  shelve_fresh_locked(heap);
  added->next = heap->chunks;
  heap->chunks = added;
  heap->chunk_count++;
  heap->fresh = added->base;
  heap->fresh_left = CHUNK_BYTES;
  POISON(added->base, CHUNK_BYTES);
  return true;
}

/* ---- chunks kept ready --------------------------------------------------------------------------------- */

void nc_heap_on_taken(nc_heap *heap, void (*on_taken)(void *arg), void *arg) {
  pthread_mutex_lock(&heap->lock);
  heap->on_taken = on_taken;
  heap->on_taken_arg = arg;
  pthread_mutex_unlock(&heap->lock);
}

/* Counts one that the caller is to make; false: there are enough. What one chunk has served needs none. */
static bool begin_ready(nc_heap *heap) {
  pthread_mutex_lock(&heap->lock);
  size_t wanted = heap->chunk_count < 2 ? 0 : heap->chunk_count < MANY_CHUNKS ? 1 : 2;
  bool begun = heap->ready_count < wanted;
  if (begun) heap->ready_count++;
  pthread_mutex_unlock(&heap->lock);
  return begun;
}

static void end_ready(nc_heap *heap, chunk *made) {
  pthread_mutex_lock(&heap->lock);
  if (made == NULL) {
    heap->ready_count--;
  } else {
    made->next = heap->ready;
    heap->ready = made;
  }
  pthread_mutex_unlock(&heap->lock);
}

void nc_heap_make_ready(nc_heap *heap) {
  while (begin_ready(heap)) {
    chunk *made = chunk_create(true);
    for (size_t at = 0; made != NULL && at < CHUNK_BYTES; at += PAGE_BYTES)
      ((volatile uint8_t *)made->base)[at] = 0;
    end_ready(heap, made);
    if (made == NULL) return;
  }
}

/* ---- handing out --------------------------------------------------------------------------------------- */

static void *take_locked(nc_heap *heap, size_t index, size_t bytes) {
  free_block *block = heap->free_lists[index];
  if (block != NULL) {
    UNPOISON(block, bytes);
    heap->free_lists[index] = block->next;
    return block;
  }
  if (heap->fresh_left < bytes && !add_chunk_locked(heap)) return NULL;
  void *memory = heap->fresh;
  heap->fresh += bytes;
  heap->fresh_left -= bytes;
  UNPOISON(memory, bytes);
  return memory;
}

/* ---- large mappings ------------------------------------------------------------------------------------ */

static size_t large_bytes(size_t size) { return (size + GRAIN + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1); }

static void *large_alloc(nc_heap *heap, size_t size) {
  if (size > SIZE_MAX / 2) return NULL;
  size_t mapped = large_bytes(size);
  large *lead = map_private(mapped);
  if (lead == NULL) return NULL;
  lead->mapped = mapped;
  pthread_mutex_lock(&heap->lock);
  lead->next = heap->larges;
  if (lead->next != NULL) lead->next->previous = lead;
  heap->larges = lead;
  pthread_mutex_unlock(&heap->lock);
  atomic_fetch_add_explicit(&heap->bytes, mapped, memory_order_relaxed);
  return (uint8_t *)lead + GRAIN;
}

static void large_free(nc_heap *heap, void *memory, size_t size) {
  large *lead = (large *)(void *)((uint8_t *)memory - GRAIN);
  size_t mapped = large_bytes(size);
  assert(lead->mapped == mapped);
  pthread_mutex_lock(&heap->lock);
  if (lead->next != NULL) lead->next->previous = lead->previous;
  if (lead->previous != NULL) {
    lead->previous->next = lead->next;
  } else {
    heap->larges = lead->next;
  }
  pthread_mutex_unlock(&heap->lock);
  nc_wipe(lead, mapped);
  munmap(lead, mapped);
  atomic_fetch_sub_explicit(&heap->bytes, mapped, memory_order_relaxed);
}

/* ---- the heap ------------------------------------------------------------------------------------------ */

nacre_status nc_heap_create(nc_heap **ret_heap, nacre_error *err) {
  nc_heap *heap = calloc(1, sizeof *heap);
  if (heap == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  if (pthread_mutex_init(&heap->lock, NULL) != 0) {
    free(heap);
    return nc_fail(err, NC_E_NO_MEMORY, NULL);
  }
  uint32_t *word = nc_heap_alloc(heap, sizeof *word);
  if (word == NULL) {
    nc_heap_destroy(heap);
    return nc_fail(err, NC_E_NO_MEMORY, NULL);
  }
  *word = 1;
  heap->parent = word;
  atomic_store(&heap->bytes, 0); /* the word is the heap's own */
  *ret_heap = heap;
  return NACRE_OK;
}

bool nc_heap_forked(const nc_heap *heap) { return *heap->parent == 0; }

/* A leak of secrets is a defect of the caller: told where it can be mended, made harmless where it cannot. */
static void check_empty(nc_heap *heap) {
#ifndef NDEBUG
  uint64_t left = nc_heap_bytes(heap);
  if (left == 0) return;
  fprintf(stderr, "nacre: %llu bytes of private memory were not given back\n", (unsigned long long)left);
  abort();
#else
  (void)heap;
#endif
}

void nc_heap_destroy(nc_heap *heap) {
  if (heap == NULL) return;
  check_empty(heap);
  while (heap->larges != NULL) {
    large *lead = heap->larges;
    size_t mapped = lead->mapped;
    heap->larges = lead->next;
    nc_wipe(lead, mapped);
    munmap(lead, mapped);
  }
  bool all_back = nc_heap_bytes(heap) == 0;
  for (chunk *c; (c = take_ready_locked(heap)) != NULL; free(c)) munmap(c->base, CHUNK_BYTES);
  while (heap->chunks != NULL) {
    chunk *gone = heap->chunks;
    heap->chunks = gone->next;
    UNPOISON(gone->base, CHUNK_BYTES);
    if (!all_back) nc_wipe(gone->base, CHUNK_BYTES);
    munmap(gone->base, CHUNK_BYTES);
    free(gone);
  }
  pthread_mutex_destroy(&heap->lock);
  free(heap);
}

void *nc_heap_alloc(nc_heap *heap, size_t size) {
  if (size == 0) size = 1;
  if (size > CLASS_BYTES_MAX) return large_alloc(heap, size);
  size_t bytes;
  size_t index = class_of(size, &bytes);
  pthread_mutex_lock(&heap->lock);
  size_t chunks = heap->chunk_count;
  void *memory = take_locked(heap, index, bytes);
  void (*on_taken)(void *) = heap->chunk_count != chunks ? heap->on_taken : NULL;
  void *arg = heap->on_taken_arg;
  pthread_mutex_unlock(&heap->lock);
  if (on_taken != NULL) on_taken(arg);
  if (memory == NULL) return NULL;
  memset(memory, 0, sizeof(free_block));
  POISON((uint8_t *)memory + size, bytes - size); /* ASan then sees an overrun within the block, too */
  atomic_fetch_add_explicit(&heap->bytes, bytes, memory_order_relaxed);
  return memory;
}

void nc_heap_free(nc_heap *heap, void *memory, size_t size) {
  if (memory == NULL) return;
  if (size == 0) size = 1;
  if (size > CLASS_BYTES_MAX) {
    large_free(heap, memory, size);
    return;
  }
  size_t bytes;
  size_t index = class_of(size, &bytes);
  assert(((uintptr_t)memory & (GRAIN - 1)) == 0);
  UNPOISON((uint8_t *)memory + size, bytes - size);
  nc_wipe(memory, bytes);
  pthread_mutex_lock(&heap->lock);
  push_locked(heap, index, memory, bytes);
  pthread_mutex_unlock(&heap->lock);
  atomic_fetch_sub_explicit(&heap->bytes, bytes, memory_order_relaxed);
}

size_t nc_heap_block_bytes(size_t size) {
  if (size == 0) size = 1;
  if (size > CLASS_BYTES_MAX) return size > SIZE_MAX / 2 ? SIZE_MAX : large_bytes(size);
  size_t bytes;
  (void)class_of(size, &bytes);
  return bytes;
}

void *nc_heap_grow(nc_heap *heap, void *memory, size_t old_size, size_t new_size) {
  if (memory != NULL && new_size <= old_size) return memory;
  if (memory != NULL && old_size > 0 && nc_heap_block_bytes(old_size) == nc_heap_block_bytes(new_size)) {
    UNPOISON(memory, new_size);
    return memory;
  }
  void *grown = nc_heap_alloc(heap, new_size);
  if (grown == NULL || memory == NULL) return grown;
  memcpy(grown, memory, old_size);
  nc_heap_free(heap, memory, old_size);
  return grown;
}

uint64_t nc_heap_bytes(const nc_heap *heap) {
  return atomic_load_explicit(&heap->bytes, memory_order_relaxed);
}
