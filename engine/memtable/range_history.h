/* SPDX-License-Identifier: Apache-2.0
 *
 * range_history: the range deletes of a memtable, as they were after each write.
 *
 * Every group of writes that holds some makes a new state, and the states before it stay: who reads at an older
 * sequence finds the state of then. So a state needs only the newest sequence over each key. One thread adds
 * (the table's write lock); any number read meanwhile, without a lock.
 */
#ifndef NC_RANGE_HISTORY_H
#define NC_RANGE_HISTORY_H

#include <stdatomic.h>

#include "range_set.h"

/* A state: sets from old to new; what a newer one says of a key hides what an older one says. */
typedef struct nc_range_state {
  struct nc_range_state *older, *jump; /* a state further back, so that old ones are found in few steps */
  size_t depth;
  uint64_t last_sequence; /* of its newest range delete */
  nc_range_set *made;     /* the one set that is new in it */
  uint8_t *keys;          /* of the range deletes that are new in it */
  size_t keys_size, bytes;
  size_t count;
  const nc_range_set *sets[];
} nc_range_state;

typedef struct nc_range_history {
  nc_heap *heap;
  _Atomic(nc_range_state *) newest;
  _Atomic(nc_range_state *) prepared; /* made, and not shown yet */
  atomic_size_t bytes;                /* of private memory */
} nc_range_history;

void nc_range_history_init(nc_range_history *h, nc_heap *heap);
void nc_range_history_deinit(nc_range_history *h);

/* Makes the state that follows once the range deletes among `operations` (format/batch.h), the first of which
 * has `first_sequence`, are added. What was prepared and not published is dropped. */
NC_MUST_CHECK nacre_status nc_range_history_prepare(nc_range_history *h, nacre_slice operations,
                                                    uint64_t first_sequence, nacre_error *err);
/* Shows what was prepared, if anything was. Cannot fail. */
void nc_range_history_publish(nc_range_history *h);

size_t nc_range_history_bytes(const nc_range_history *h);

/* The state at a sequence; NULL: there was none yet. It stays while the history does. */
const nc_range_state *nc_range_history_at(const nc_range_history *h, uint64_t sequence);
uint64_t nc_range_state_cover(const nc_range_state *state, nacre_slice key); /* NULL: covers nothing */
void nc_range_state_span(const nc_range_state *state, nacre_slice key, nc_range_span *span);

/* All that is seen at one of the snapshots, or now, in one set, whose keys are the history's. */
NC_MUST_CHECK nacre_status nc_range_history_collect(const nc_range_history *h, const uint64_t *snapshots,
                                                    size_t snapshot_count, nc_range_set **ret_set,
                                                    nacre_error *err);

#endif
