/* SPDX-License-Identifier: Apache-2.0
 *
 * write_group: what several threads want to write becomes few log frames.
 *
 * A frame is one group: its operations become visible at once, and after a crash are there or not, all of
 * them. So each caller's operations stand in one frame, in their order.
 */
#ifndef NC_WRITE_GROUP_H
#define NC_WRITE_GROUP_H

#include "table.h"

/* What one caller writes; stays with the caller until it is finished. */
typedef struct nc_write {
  nc_waiter waiter;       /* first */
  const nc_entry *single; /* one operation, or */
  nacre_slice operations; /* encoded and checked ones (write_batch.h) */
  uint64_t count;
  size_t bytes;        /* encoded */
  bool ranges;         /* range deletes among them */
  nacre_slice expects; /* of a batch (nc_batch_expects), which is written only if they hold */
  nacre_status status; /* how it ended */
  bool logged;         /* a log and the memtable hold it, whatever became of a sync */
  uint64_t failed_log; /* not logged, but this log may hold it; 0: none does */
  nacre_error *err;    /* the caller's; NULL: not wanted */
} nc_write;

/* The waiter is its first member. */
static inline nc_write *nc_write_next(const nc_write *w) { return (nc_write *)(void *)w->waiter.next; }

/* Logs and inserts all of them, in their order, each with a status of its own. `*ret_end`: the end of what was
 * written; untouched when nothing was, `*ret_any` being false then. Needs write_lock. */
void nc_write_all_locked(nacre_table *t, nc_write *first, nc_log_position *ret_end, bool *ret_any);

#endif
