/* SPDX-License-Identifier: Apache-2.0
 *
 * range_set: range deletes as fragments that ascend without overlapping, each with the sequences of those that
 * cover it, falling. (format/README.md, "Range deletes".)
 *
 * A set never changes. It holds no keys: they lie in what it was made from, which must outlive it. A NULL set
 * is an empty one.
 */
#ifndef NC_RANGE_SET_H
#define NC_RANGE_SET_H

#include "entry.h"
#include "private_memory.h"
#include "status.h"

typedef struct nc_range_fragment {
  nacre_slice from, to; /* `to` is excluded */
  const uint64_t *sequences;
  size_t count; /* of sequences, at least one */
} nc_range_fragment;

typedef struct nc_range_set {
  nc_heap *heap;
  size_t bytes;     /* of private memory that it takes */
  size_t count;     /* of fragments */
  size_t sequences; /* of all fragments together */
  nc_range_fragment fragments[];
} nc_range_set;

/* An empty one with room for that much; its sequences begin behind the room for fragments. NULL: no memory. */
nc_range_set *nc_range_set_create(nc_heap *heap, size_t fragments, size_t sequences, nacre_error *err);
void nc_range_set_free(nc_range_set *set); /* NULL is harmless */

/* One range delete. */
NC_MUST_CHECK nacre_status nc_range_set_single(nc_heap *heap, nacre_slice from, nacre_slice to,
                                               uint64_t sequence, nc_range_set **ret_set, nacre_error *err);
/* From a ranges frame; the keys stay in `bytes`. */
NC_MUST_CHECK nacre_status nc_range_set_decode(nc_heap *heap, nacre_slice bytes, nc_range_set **ret_set,
                                               nacre_error *err);
/* What several sets (NULLs among them) hold; `newest`: of each fragment only the highest sequence. The sets
 * stay as they are. NULL when that is nothing. */
NC_MUST_CHECK nacre_status nc_range_set_merge(nc_heap *heap, const nc_range_set *const *sets, size_t count,
                                              bool newest, nc_range_set **ret_set, nacre_error *err);

/* Stretches of time: snapshots, ascending, cut it. Which one a sequence lies in. */
size_t nc_stretch_of(const uint64_t *snapshots, size_t count, uint64_t sequence);

/* The highest sequence at or below `sequence` of a range delete that covers `key`; 0: there is none. */
uint64_t nc_range_set_cover(const nc_range_set *set, nacre_slice key, uint64_t sequence);

/* A stretch of keys in which one sequence covers all. NULL data: unbounded. The keys are the sets'. */
typedef struct nc_range_span {
  nacre_slice lower, upper_excluded;
  uint64_t hidden; /* entries of lower sequences are deleted; 0: none */
} nc_range_span;

/* Narrows `span`, which holds `key`, to where the set's answer is the same as at `key`, and takes it in. */
void nc_range_set_span(const nc_range_set *set, nacre_slice key, uint64_t sequence, nc_range_span *span);
/* Cuts off what lies below `lower` and from `upper_excluded` on; NULL data: nothing. */
void nc_range_span_narrow(nc_range_span *span, nacre_slice lower, nacre_slice upper_excluded);
static inline bool nc_range_span_holds(const nc_range_span *span, nacre_slice key) {
  return (span->lower.data == NULL || nc_slice_compare(span->lower, key) <= 0) &&
         (span->upper_excluded.data == NULL || nc_slice_compare(key, span->upper_excluded) < 0);
}

#endif
