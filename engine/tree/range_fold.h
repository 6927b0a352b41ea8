/* SPDX-License-Identifier: Apache-2.0
 *
 * range_fold: what is left of range deletes when entries are merged: of each stretch of time between two snapshots
 * the newest, and in the oldest stretch only those that something lies beneath.
 */
#ifndef NC_RANGE_FOLD_H
#define NC_RANGE_FOLD_H

#include "beneath.h"
#include "range_set.h"

typedef struct nc_range_fold {
  const uint64_t *snapshots; /* ascending */
  size_t snapshot_count;
  const nc_beneath *beneath;         /* what they may hide; NULL: not known. In the oldest stretch, who hides */
                                     /* nothing goes */
  nacre_slice lower, upper_excluded; /* cut off what lies beyond; NULL data: unbounded */
} nc_range_fold;

/* What anybody can still see of a set: of each fragment the highest sequence in each stretch of time. */
NC_MUST_CHECK nacre_status nc_range_set_fold(nc_heap *heap, const nc_range_set *set,
                                             const nc_range_fold *fold, nc_range_set **ret_set,
                                             nacre_error *err);

#endif
