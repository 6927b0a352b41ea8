/* SPDX-License-Identifier: Apache-2.0
 *
 * memory: what a store holds, counted in one place, and how it is kept within memory_bytes_max.
 *
 * Counted: all private memory (memtables, blocks in the cache and those that somebody holds alone, what stays of
 * open segments, iterators, buffers of writers, flushes and merges), the cache's own tables, and a flat charge
 * for the descriptor and the cipher context of each open segment. When other things than cache and memtables
 * grow beyond what the work always needs, the cache gives way first, down to a quarter of its bound, then
 * memtables are flushed early; when that is not enough, the cache goes down to a sixteenth and idle segments
 * are closed.
 */
#ifndef NC_MEMORY_H
#define NC_MEMORY_H

#include "shared.h"

/* Buffers that the work itself takes may come on top of the budget. */
#define NC_WORKING_BYTES ((uint64_t)4 << 20)

/* Everything, now. */
uint64_t nc_memory_held(nc_shared *shared);
/* What may still be taken for such buffers. */
uint64_t nc_memory_spare(nc_shared *shared);
/* Whether memtables must be flushed early. */
bool nc_memory_is_short(nc_shared *shared);
/* Sets the cache's bound by what there is beside it, and closes idle segments if that is not enough. To be called
 * by whoever is about to take memory for long. */
void nc_memory_settle(nc_shared *shared);

#endif
