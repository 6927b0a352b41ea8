/* SPDX-License-Identifier: Apache-2.0
 *
 * later: what a table does by itself once some time has passed, without anybody calling: it merges when nobody has
 * written for a while, and tries again what has failed.
 *
 * A table waits for the earliest moment of all kinds, as one job of the worker pool, and for none when there is
 * nothing to do. Without workers nothing is done by itself: the next call does it.
 */
#ifndef NC_LATER_H
#define NC_LATER_H

#include "shared.h"

typedef enum nc_later_kind {
  NC_LATER_REST,  /* what is worth merging while nobody writes */
  NC_LATER_FLUSH, /* a flush that failed */
  NC_LATER_MERGE, /* a merge that failed */
  NC_LATER_REWRAP, /* a rewrap that failed */
  NC_LATER_EXPIRY, /* what is worth merging, or gone, once it has expired */
  NC_LATER_COUNT
} nc_later_kind;

/* Under state_lock. Zeroed but for the job: nothing is to be done. */
typedef struct nc_later {
  nc_job job;
  bool waiting;                    /* the job is with the pool */
  uint64_t due_ns[NC_LATER_COUNT]; /* of the monotonic clock; 0: not to be done */
  uint64_t written;                /* the newest write when the table began to rest */
} nc_later;

/* Nobody has written for a while: REST_NS. */
#define NC_LATER_REST_NS ((uint64_t)1000000000)
/* After `failures` tries in a row: a second, then twice as long each time, at most about a minute. */
uint64_t nc_later_retry_ns(uint64_t failures);

/* All need state_lock. Does nothing when it is to be done sooner. */
void nc_later_set_locked(nacre_table *t, nc_later_kind kind, uint64_t delay_ns);
void nc_later_clear_locked(nacre_table *t, nc_later_kind kind);
/* When it will be done, in ms since 1970-01-01 UTC as the clock stands now; 0: it will not. */
uint64_t nc_later_wall_ms_locked(const nacre_table *t, nc_later_kind kind);

/* The job. */
void nc_later_run(void *table);
/* Once the table is closing: nothing more is done. Waits for a job that has begun. */
void nc_later_stop(nacre_table *t);

#endif
