/* SPDX-License-Identifier: Apache-2.0
 *
 * load_place: where in a tree the segments of a bulk load stand. Pure but for a look at which are being merged.
 *
 * A load is newer than all that there is, so it may stand above everything, with the young runs; but what overlaps
 * nothing may stand lower, where no merge writes it again before something comes that does overlap it.
 */
#ifndef NC_LOAD_PLACE_H
#define NC_LOAD_PLACE_H

#include "levels.h"

/* Whether any of the segments, or `key` (NULL data: none), lies within a segment of the version. */
bool nc_load_overlaps(const nc_version *v, nc_segment *const *segments, size_t count, nacre_slice key);

/* The lowest place such that no run there or above it has anything within one of these segments, range deletes
 * included: for every key, what is in a newer run stays newer. What is being merged counts as young, from end to
 * end: its result may lie across gaps in it. `new_run` is for a run that is newer than all. Until the place is taken,
 * no merge may be chosen. */
nc_place nc_load_place(const nc_version *v, const nc_policy *policy, nc_segment *const *segments,
                       size_t count, uint64_t new_run);

#endif
