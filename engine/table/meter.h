/* SPDX-License-Identifier: Apache-2.0
 *
 * meter: what a table counts and times while it works. Of reads and writes every NC_METER_INTERVALth of a stripe's is
 * timed, for asking the clock takes as long as a tenth of a read; syncs, flushes, merges and stalls all are.
 */
#ifndef NC_METER_H
#define NC_METER_H

#include "latency.h"

enum { NC_METER_INTERVAL = 64 };

typedef enum nc_metered {
  NC_METER_READ,
  NC_METER_WRITE,
  NC_METER_SYNCED_WRITE,
  NC_METER_SYNC,
  NC_METER_FLUSH,
  NC_METER_MERGE,
  NC_METER_STALL,
  NC_METER_COUNT
} nc_metered;

typedef struct nc_meters {
  nc_latency latencies[NC_METER_COUNT];
} nc_meters;

/* The moment at which something begins that is timed; 0: this one is not. */
uint64_t nc_meter_begin(nacre_table *t, nc_metered what);
/* Notes how long it took, unless `began` is 0. */
void nc_meter_end(nacre_table *t, nc_metered what, uint64_t began_ns);
/* Counts reads that are not timed. */
void nc_meter_count_reads(nacre_table *t, uint64_t count);
/* Fills in what there is, by nc_metered. */
void nc_meters_read(nacre_table *t, nacre_latency *const ret_latencies[NC_METER_COUNT], uint64_t *ret_reads);
void nc_meters_deinit(nacre_table *t);

#endif
