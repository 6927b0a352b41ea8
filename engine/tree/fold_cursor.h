/* SPDX-License-Identifier: Apache-2.0
 *
 * fold_cursor: of a sorted sequence of entries, those that anybody can still see.
 *
 * Snapshots cut time into stretches; of each key, the newest version in each stretch stays. What has expired
 * becomes a delete, and a delete in the oldest stretch that nothing lies beneath has nothing left to hide and goes
 * too. What a range delete of the same stretch covers goes as well.
 */
#ifndef NC_FOLD_CURSOR_H
#define NC_FOLD_CURSOR_H

#include "beneath.h"
#include "cursor.h"
#include "private_memory.h"
#include "range_set.h"
#include "value_set.h"

typedef struct nc_fold {
  nc_cursor *from;           /* forward only; borrowed */
  const uint64_t *snapshots; /* ascending */
  size_t snapshot_count;
  const nc_beneath *beneath;
  const nc_range_set *ranges; /* to be set once it has begun; borrowed, NULL: none */
  nc_value_changes *values;   /* takes what is dropped of large puts; NULL: not wanted */
  bool again;                 /* the entry stands in two places: one of them is dropped for it */
  uint64_t expiry_moment_ms;  /* to be set; what expires by then is a delete. 0: nothing expires */
  nacre_slice upper_excluded; /* to be set; folds nothing from there on. Borrowed, NULL data: unbounded */
  nc_heap *heap;
  uint8_t *key; /* the key last looked at */
  size_t key_size, key_capacity;
  bool has_key, kept; /* a version of it was kept */
  uint64_t sequence;  /* and its sequence */
  size_t stretch;     /* of the last version of it that was kept or deleted */
} nc_fold;

/* `beneath` NULL: something may lie beneath everything. */
NC_MUST_CHECK nacre_status nc_fold_begin(nc_fold *f, nc_cursor *from, const uint64_t *snapshots,
                                         size_t snapshot_count, const nc_beneath *beneath, nc_heap *heap,
                                         nacre_error *err);
/* Moves `from` to the next entry to keep, from where it stands, and makes a delete of what it presents when that has
 * expired; nc_fold_ended afterwards when there is none. `*ret_new_key`: it is the first version kept of its key. Afterwards the caller moves `from` on by one. */
NC_MUST_CHECK nacre_status nc_fold_settle(nc_fold *f, bool *ret_new_key, nacre_error *err);
/* `from` stands nowhere, or behind what is folded. */
bool nc_fold_ended(const nc_fold *f);
void nc_fold_end(nc_fold *f);

#endif
