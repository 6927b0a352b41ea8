/* SPDX-License-Identifier: Apache-2.0
 *
 * compaction_cut: where a compaction is cut into pieces of about equal size, which are merged at the same time.
 */
#ifndef NC_COMPACTION_CUT_H
#define NC_COMPACTION_CUT_H

#include "compaction_pick.h"

enum { NC_PIECES_MAX = 8 };

/* Ascending keys, each of which begins a piece; they lie in `memory`, which is private. */
typedef struct nc_cuts {
  nc_heap *heap;
  nacre_slice keys[NC_PIECES_MAX - 1];
  size_t count;
  uint8_t *memory;
  size_t memory_size;
} nc_cuts;

/* Finds as many as make `pieces` pieces, or fewer where the segments have too few blocks. Their indexes are read. */
NC_MUST_CHECK nacre_status nc_cuts_find(nc_heap *heap, const nc_compaction *c, size_t pieces, nc_cuts *ret_cuts,
                                        nacre_error *err);
void nc_cuts_deinit(nc_cuts *cuts);

#endif
