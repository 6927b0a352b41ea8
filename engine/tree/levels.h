/* SPDX-License-Identifier: Apache-2.0
 *
 * levels: how a version's runs make a tree: the young runs, which flushes made, then sorted levels of one run
 * each, the larger the older. Pure.
 *
 * Sizes are reckoned from the bottom. The last level is as large as its table; each level above it should be a
 * `ratio`th of the one below; and levels end where one would be smaller than what young runs bring at a time.
 * Reckoned from the top, as it is often done, the last level may be any part of its due size, and all that
 * stands above it, as much as the last level itself in the worst case, are copies of the same keys: space
 * doubles. From the bottom, what stands above is at most 1/(ratio - 1) of the table, whatever its size; a small
 * table has one level and is merged twice as rarely; and a growing one gets a new level at the top, between the
 * young runs and the rest, where it is small, and not at the bottom, where it is not.
 */
#ifndef NC_LEVELS_H
#define NC_LEVELS_H

#include "version.h"

enum { NC_LEVEL_BOTTOM = 6, NC_LEVEL_COUNT = NC_LEVEL_BOTTOM + 1 };

/* What a table wants of its tree. */
typedef struct nc_policy {
  uint32_t young_runs;    /* as many are merged into a level */
  uint64_t young_bytes;   /* or as much; also the size that no level but the last should be below a third of */
  uint32_t ratio;         /* of the sizes of two levels */
  uint64_t segment_bytes; /* a segment of a level ends when it has grown past this */
} nc_policy;

typedef struct nc_levels {
  const nc_version *version;
  size_t young_count;                 /* the version's first runs */
  uint64_t young_bytes;
  const nc_run *runs[NC_LEVEL_COUNT]; /* from 1 on; NULL: the level is empty */
  uint64_t targets[NC_LEVEL_COUNT];   /* 0: the table is too small for the level */
  uint32_t base;                      /* the first level that has a target */
} nc_levels;

/* Any version has one: runs that are no levels in their order, as other ways of merging leave them, are young
 * ones, whatever their size. */
void nc_levels_of(const nc_version *v, const nc_policy *policy, nc_levels *ret_levels);
/* The level below `level` (0: the young runs) that its segments go to. */
uint32_t nc_levels_below(const nc_levels *l, uint32_t level);
uint64_t nc_levels_bytes(const nc_levels *l, uint32_t level);
/* How many bytes will have to be written until no level is over its target: what writers run into debt. */
uint64_t nc_levels_debt(const nc_levels *l, const nc_policy *policy);

/* Whether two segments may have a key in common. */
static inline bool nc_segments_overlap(const nc_segment *a, const nc_segment *b) {
  const nc_segment_record *x = nc_segment_describe(a), *y = nc_segment_describe(b);
  return !nc_segment_ends_before(x, y->smallest) && !nc_segment_ends_before(y, x->smallest);
}

#endif
