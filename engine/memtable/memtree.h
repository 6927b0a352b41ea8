/* SPDX-License-Identifier: Apache-2.0
 *
 * memtree: records in entry order, in memory: a B+tree that one thread adds to and any number read, without
 * locks and without ever waiting or starting over.
 */
#ifndef NC_MEMTREE_H
#define NC_MEMTREE_H

#include "arena.h"
#include "entry.h"
#include "stripe.h"

/* One entry as it lies in memory. Never changes. */
typedef struct nc_record {
  uint64_t tag; /* sequence << 3 | kind */
  uint32_t key_size, value_size;
  uint8_t bytes[]; /* the key, then the value */
} nc_record;

static inline nacre_slice nc_record_key(const nc_record *r) { return (nacre_slice){r->bytes, r->key_size}; }
static inline uint64_t nc_record_sequence(const nc_record *r) { return r->tag >> 3; }

typedef struct nc_memtree_inner nc_memtree_inner;
typedef struct nc_memtree_leaf nc_memtree_leaf;

typedef struct nc_memtree {
  _Alignas(NC_STRIPE_BYTES) _Atomic(nc_memtree_inner *) root; /* NULL: empty */
  /* The rest is the adding thread's. */
  _Alignas(NC_STRIPE_BYTES) nc_arena *nodes;
  nc_memtree_leaf *tail; /* the last leaf */
  size_t leaves, inners; /* live ones */
  size_t pending;        /* as many can be added now */
  unsigned breaks_left;  /* how often the bytes that all keys share may still become fewer by little */
} nc_memtree;

/* A place among the records, which stays good while others are added; what is added meanwhile may or may not
 * be met. */
typedef struct nc_memtree_place {
  const nc_memtree_leaf *leaf;
  uint64_t order; /* of the leaf, as it was when it was entered */
  unsigned at;
} nc_memtree_place;

void nc_memtree_init(nc_memtree *tree, nc_arena *nodes);
/* Sees to it that `count` records can be added without allocating. */
NC_MUST_CHECK nacre_status nc_memtree_reserve(nc_memtree *tree, size_t count, size_t *ret_grown,
                                              nacre_error *err);
/* Adds a reserved record, which must live as long as the tree, and be new to it. */
void nc_memtree_add(nc_memtree *tree, const nc_record *record);

/* Each returns false when there is no such record. */
bool nc_memtree_first(const nc_memtree *tree, nc_memtree_place *ret_place);
bool nc_memtree_last(const nc_memtree *tree, nc_memtree_place *ret_place);
/* The first record at or after (key, sequence) in entry order. */
bool nc_memtree_seek(const nc_memtree *tree, nacre_slice key, uint64_t sequence, nc_memtree_place *ret_place);
/* The same in two steps, between which records may be added. NULL: there is none yet. */
nc_memtree_inner *nc_memtree_root(const nc_memtree *tree);
bool nc_memtree_seek_below(nc_memtree_inner *root, nacre_slice key, uint64_t sequence,
                           nc_memtree_place *ret_place);
bool nc_memtree_next(nc_memtree_place *place);
bool nc_memtree_prev(nc_memtree_place *place);
/* Moves on by one or more, but no further than the leaf goes: as many records as `capacity` has room for. The place
 * is that of the last one afterwards. 0: there is none. */
unsigned nc_memtree_read(nc_memtree_place *place, const nc_record **records, unsigned capacity);
const nc_record *nc_memtree_at(const nc_memtree_place *place);

#endif
