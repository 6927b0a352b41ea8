/* SPDX-License-Identifier: Apache-2.0
 *
 * version: which segments make up a table at one moment, and where each stands.
 *
 * Segments are grouped in runs, the newest first; within a run they do not overlap and stand in key order.
 * For any key, every version in a newer run is newer than every version in an older one. A segment's place
 * belongs to the version, not to the segment: it may move from one version to the next. A version never
 * changes and is counted.
 */
#ifndef NC_VERSION_H
#define NC_VERSION_H

#include "segment.h"

/* Where a segment stands: in which run, and on which level that is. */
typedef struct nc_place {
  uint64_t run;
  uint32_t level;
} nc_place;

typedef struct nc_run {
  uint64_t id;
  uint32_t level; /* the highest of its segments' */
  uint64_t bytes;
  size_t count;
  nc_segment **segments; /* into the version's list */
} nc_run;

typedef struct nc_version_ranges nc_version_ranges;

typedef struct nc_version {
  atomic_uint refs;
  size_t segment_count, run_count;
  nc_segment **segments; /* counted; sorted by run, then key */
  nc_run *runs;
  size_t ranges_segments;              /* how many hold range deletes */
  size_t expiring_segments;            /* how many tell when they will have expired */
  _Atomic(nc_version_ranges *) ranges; /* of all of them; NULL: not asked for yet (version_ranges.h) */
} nc_version;

/* Segments in any order, each with its place. Refuses segments of one run that overlap. */
NC_MUST_CHECK nacre_status nc_version_create(nc_segment *const *segments, const nc_place *places,
                                             size_t count, nc_version **ret_version, nacre_error *err);
/* What follows on `base`: without `remove`, and with `add` in one place. One that is in both moves. Takes time
 * that grows with the number of segments, and no more. Refuses as nc_version_create. */
NC_MUST_CHECK nacre_status nc_version_follow(const nc_version *base, nc_segment *const *add, size_t add_count,
                                             nc_place place, nc_segment *const *remove, size_t remove_count,
                                             nc_version **ret_version, nacre_error *err);
void nc_version_ref(nc_version *v);
void nc_version_unref(nc_version *v);

/* Index of the first segment that does not end before `key`; count when all do. */
size_t nc_run_reaching(const nc_run *run, nacre_slice key);
/* The segment of a run that may hold `key`; NULL when none does. */
nc_segment *nc_run_find(const nc_run *run, nacre_slice key);
/* The segments of a run that may hold a key of `s`: `*ret_count` of them, from `*ret_first` on. */
void nc_run_overlapped(const nc_run *run, const nc_segment *s, size_t *ret_first, size_t *ret_count);
/* The part of a run whose segments may hold keys of [lower, upper_excluded); NULL data: no bound. Its count may be
 * 0, its bytes are those of the whole. */
nc_run nc_run_within(const nc_run *run, nacre_slice lower, nacre_slice upper_excluded);
/* A cursor along a run, or a part of one that is not empty; borrows the version, which must outlive it. */
NC_MUST_CHECK nacre_status nc_run_cursor(const nc_run *run, const nc_travel *travel, nc_cursor **ret_cursor,
                                         nacre_error *err);

#endif
