/* SPDX-License-Identifier: Apache-2.0
 *
 * memtable: a skip list (W. Pugh, "Skip Lists: A Probabilistic Alternative to Balanced Trees", 1990) with a
 * branching of 4.
 *
 * Invariants
 *   1. A node never changes once linked, but for its forward pointers; nothing is unlinked.
 *   2. Forward pointers are stored with release and loaded with acquire, so that whoever sees a node sees all
 *      of it.
 *   3. `tail` is touched by the adding thread only: it makes adding in ascending order cheap.
 * The first eight key bytes are kept as an integer in the node, so that most comparisons touch no key bytes.
 */
#include "memtable.h"

#include <stdlib.h>

#include "coding.h"
#include "private_memory.h"

enum { HEIGHT_MAX = 12, NODE_ALIGN = 8, SPARE_LINKS_PER_NODE = 1 };

typedef struct node {
  uint64_t prefix; /* first eight key bytes, big-endian, zeros after the key's end */
  uint64_t tag;    /* sequence << 3 | kind */
  uint32_t key_size, value_size;
  _Atomic(struct node *) next[]; /* then the key, then the value */
} node;

typedef struct chunk {
  struct chunk *older;
  size_t size, used;
} chunk;

struct nc_memtable {
  nc_pin pin; /* first: values are lent by it */
  nc_env *env;
  size_t chunk_bytes;
  atomic_uint_fast64_t *budget;
  chunk *chunks;
  size_t spare_links; /* reserved links beyond one a node */
  uint64_t random;    /* of the adding thread; heights need no secrecy */
  atomic_size_t bytes;
  atomic_uint_fast64_t entries;
  atomic_int height;
  node *tail[HEIGHT_MAX];
  _Atomic(node *) head[HEIGHT_MAX];
};

static size_t node_links_offset(void) { return offsetof(node, next); }
static uint64_t node_sequence(const node *n) { return n->tag >> 3; }

/* The height is needed to find the key; it is kept in the low bits of what would be padding: key_size <
 * 2^17. */
enum { HEIGHT_SHIFT = 24 };
static int node_height(const node *n) { return (int)(n->key_size >> HEIGHT_SHIFT); }
static size_t node_key_size(const node *n) { return n->key_size & ((1u << HEIGHT_SHIFT) - 1); }
static const uint8_t *node_key_bytes(const node *n) {
  return (const uint8_t *)n + node_links_offset() + (size_t)node_height(n) * sizeof n->next[0];
}
static nacre_slice node_key(const node *n) { return nc_slice(node_key_bytes(n), node_key_size(n)); }

static uint64_t key_prefix(nacre_slice key) {
  uint64_t prefix = 0;
  const uint8_t *p = key.data;
  size_t size = key.size < 8 ? key.size : 8;
  for (size_t i = 0; i < size; i++) prefix |= (uint64_t)p[i] << (56 - 8 * i);
  return prefix;
}

/* Entry order of a node against (key, sequence). */
static int node_compare(const node *n, uint64_t prefix, nacre_slice key, uint64_t sequence) {
  if (n->prefix != prefix) return n->prefix < prefix ? -1 : 1;
  return nc_entry_compare(node_key(n), node_sequence(n), key, sequence);
}

static void node_entry(const node *n, nc_entry *entry) {
  entry->key = node_key(n);
  entry->sequence = node_sequence(n);
  entry->kind = (nc_kind)(n->tag & 7);
  entry->value = nc_slice(node_key_bytes(n) + node_key_size(n), n->value_size);
}

static void memtable_destroy(nc_pin *pin) {
  nc_memtable *m = (nc_memtable *)pin;
  nc_heap *heap = m->env->heap;
  atomic_fetch_sub_explicit(m->budget, nc_memtable_bytes(m), memory_order_relaxed);
  for (chunk *c = m->chunks; c != NULL;) {
    chunk *older = c->older;
    nc_heap_free(heap, c, c->size);
    c = older;
  }
  nc_heap_free(heap, m, sizeof *m);
}

nacre_status nc_memtable_create(nc_env *env, nacre_table *table, size_t chunk_bytes,
                                atomic_uint_fast64_t *budget, nc_memtable **ret_memtable, nacre_error *err) {
  nc_memtable *m = nc_heap_alloc(env->heap, sizeof *m);
  if (m == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  nc_pin_init(&m->pin, table, memtable_destroy);
  m->env = env;
  m->chunk_bytes = chunk_bytes;
  m->budget = budget;
  m->random = 0x9E3779B97F4A7C15u;
  atomic_init(&m->height, 1);
  *ret_memtable = m;
  return NACRE_OK;
}

nc_pin *nc_memtable_pin(nc_memtable *m) { return &m->pin; }
size_t nc_memtable_bytes(const nc_memtable *m) {
  return atomic_load_explicit(&m->bytes, memory_order_relaxed);
}
uint64_t nc_memtable_entries(const nc_memtable *m) {
  return atomic_load_explicit(&m->entries, memory_order_relaxed);
}

nacre_status nc_memtable_reserve(nc_memtable *m, size_t count, size_t bytes, nacre_error *err) {
  size_t per_node = sizeof(node) + (1 + SPARE_LINKS_PER_NODE) * sizeof(node *) + NODE_ALIGN;
  size_t need = bytes + count * per_node + HEIGHT_MAX * sizeof(node *);
  m->spare_links = count * SPARE_LINKS_PER_NODE + HEIGHT_MAX - 1;
  if (m->chunks != NULL && m->chunks->size - m->chunks->used >= need) return NACRE_OK;
  size_t size = sizeof(chunk) + need > m->chunk_bytes ? sizeof(chunk) + need : m->chunk_bytes;
  chunk *c = nc_heap_alloc(m->env->heap, size);
  if (c == NULL) return nc_fail(err, NC_E_NO_MEMORY, "%zu bytes for the memtable", size);
  *c = (chunk){.older = m->chunks, .size = size, .used = sizeof(chunk)};
  m->chunks = c;
  atomic_fetch_add_explicit(&m->bytes, size, memory_order_relaxed);
  atomic_fetch_add_explicit(m->budget, size, memory_order_relaxed);
  return NACRE_OK;
}

/* One in four nodes is a level higher, as far as the reserve goes. */
static int draw_height(nc_memtable *m) {
  m->random = m->random * 6364136223846793005u + 1442695040888963407u;
  uint64_t bits = m->random >> 33;
  int height = 1;
  while (height < HEIGHT_MAX && (bits & 3) == 0 && m->spare_links > 0) {
    height++;
    bits >>= 2;
    m->spare_links--;
  }
  return height;
}

static node *new_node(nc_memtable *m, const nc_entry *entry, int height) {
  chunk *c = m->chunks;
  size_t size = node_links_offset() + (size_t)height * sizeof(node *) + entry->key.size + entry->value.size;
  node *n = (node *)(void *)((uint8_t *)c + c->used);
  c->used += (size + NODE_ALIGN - 1) & ~(size_t)(NODE_ALIGN - 1);
  n->prefix = key_prefix(entry->key);
  n->tag = entry->sequence << 3 | (uint64_t)entry->kind;
  n->key_size = (uint32_t)entry->key.size | (uint32_t)height << HEIGHT_SHIFT;
  n->value_size = (uint32_t)entry->value.size;
  uint8_t *p = (uint8_t *)n + node_links_offset() + (size_t)height * sizeof(node *);
  if (entry->key.size > 0) memcpy(p, entry->key.data, entry->key.size);
  if (entry->value.size > 0) memcpy(p + entry->key.size, entry->value.data, entry->value.size);
  return n;
}

static node *load_next(const nc_memtable *m, const node *n, int level) {
  return n == NULL ? atomic_load_explicit(&m->head[level], memory_order_acquire)
                   : atomic_load_explicit(&n->next[level], memory_order_acquire);
}

/* The last node before (key, sequence), NULL for the head; `before[level]` likewise, where wanted. */
static node *find_before(const nc_memtable *m, uint64_t prefix, nacre_slice key, uint64_t sequence,
                         node **before) {
  node *n = NULL;
  for (int level = atomic_load_explicit(&m->height, memory_order_acquire) - 1; level >= 0; level--) {
    for (node *next = load_next(m, n, level); next != NULL && node_compare(next, prefix, key, sequence) < 0;
         next = load_next(m, n, level)) {
      n = next;
    }
    if (before != NULL) before[level] = n;
  }
  return n;
}

void nc_memtable_add(nc_memtable *m, const nc_entry *entry) {
  int height = draw_height(m);
  node *n = new_node(m, entry, height);
  node *found[HEIGHT_MAX] = {NULL};
  node **before = m->tail;
  if (m->tail[0] != NULL && node_compare(m->tail[0], n->prefix, entry->key, entry->sequence) >= 0) {
    before = found;
    (void)find_before(m, n->prefix, entry->key, entry->sequence, found);
  }
  for (int level = 0; level < height; level++) {
    node *next = load_next(m, before[level], level);
    atomic_init(&n->next[level], next);
    _Atomic(node *) *link = before[level] == NULL ? &m->head[level] : &before[level]->next[level];
    atomic_store_explicit(link, n, memory_order_release);
    if (next == NULL) m->tail[level] = n;
  }
  if (height > atomic_load_explicit(&m->height, memory_order_relaxed)) {
    atomic_store_explicit(&m->height, height, memory_order_release);
  }
  atomic_fetch_add_explicit(&m->entries, 1, memory_order_relaxed);
}

/* The link is loaded anew after the search, so a newer version of the key may have been put there in between:
 * it is passed. */
static node *find_at_or_after(const nc_memtable *m, nacre_slice key, uint64_t sequence) {
  uint64_t prefix = key_prefix(key);
  node *n = load_next(m, find_before(m, prefix, key, sequence, NULL), 0);
  while (n != NULL && node_compare(n, prefix, key, sequence) < 0) n = load_next(m, n, 0);
  return n;
}

bool nc_memtable_get(const nc_memtable *m, nacre_slice key, uint64_t sequence, nc_entry *ret_entry) {
  const node *n = find_at_or_after(m, key, sequence);
  if (n == NULL || !nc_slice_equal(node_key(n), key)) return false;
  node_entry(n, ret_entry);
  return true;
}

/* ---- cursor -------------------------------------------------------------------------------------------- */

typedef struct memtable_cursor {
  nc_cursor base;
  nc_memtable *memtable;
  node *at;
} memtable_cursor;

static nacre_status stand_at(memtable_cursor *c, node *n) {
  c->at = n;
  c->base.valid = n != NULL;
  if (n != NULL) node_entry(n, &c->base.entry);
  return NACRE_OK;
}

static nacre_status cursor_first(nc_cursor *base, nacre_error *err) {
  (void)err;
  memtable_cursor *c = (memtable_cursor *)base;
  return stand_at(c, load_next(c->memtable, NULL, 0));
}

static nacre_status cursor_last(nc_cursor *base, nacre_error *err) {
  (void)err;
  memtable_cursor *c = (memtable_cursor *)base;
  node *n = NULL;
  for (int level = atomic_load_explicit(&c->memtable->height, memory_order_acquire) - 1; level >= 0;
       level--) {
    for (node *next = load_next(c->memtable, n, level); next != NULL; next = load_next(c->memtable, n, level))
      n = next;
  }
  return stand_at(c, n);
}

static nacre_status cursor_seek(nc_cursor *base, nacre_slice key, uint64_t sequence, nacre_error *err) {
  (void)err;
  memtable_cursor *c = (memtable_cursor *)base;
  return stand_at(c, find_at_or_after(c->memtable, key, sequence));
}

static nacre_status cursor_next(nc_cursor *base, nacre_error *err) {
  (void)err;
  memtable_cursor *c = (memtable_cursor *)base;
  return stand_at(c, load_next(c->memtable, c->at, 0));
}

static nacre_status cursor_prev(nc_cursor *base, nacre_error *err) {
  (void)err;
  memtable_cursor *c = (memtable_cursor *)base;
  return stand_at(c, find_before(c->memtable, c->at->prefix, node_key(c->at), node_sequence(c->at), NULL));
}

static void cursor_close(nc_cursor *base) {
  nc_pin_unref(&((memtable_cursor *)base)->memtable->pin);
  free(base);
}

static const nc_cursor_ops memtable_cursor_ops = {cursor_first, cursor_last, cursor_seek,
                                                  cursor_next,  cursor_prev, cursor_close};

nacre_status nc_memtable_cursor(nc_memtable *m, nc_cursor **ret_cursor, nacre_error *err) {
  memtable_cursor *c = calloc(1, sizeof *c);
  if (c == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  nc_pin_ref(&m->pin);
  c->base.ops = &memtable_cursor_ops;
  c->base.pin = &m->pin;
  c->memtable = m;
  *ret_cursor = &c->base;
  return NACRE_OK;
}
