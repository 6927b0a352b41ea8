/* SPDX-License-Identifier: Apache-2.0
 *
 * meter: see meter.h. The buckets take some 15 KB, so a table has them from its first timed call on; without memory
 * for them nothing is noted.
 */
#include "meter.h"

#include <stdlib.h>

#include "io.h"
#include "table.h"

static uint64_t now(const nacre_table *t) {
  uint64_t ns = nc_now_ns(t->shared->env);
  return ns == 0 ? 1 : ns;
}

/* The first of a stripe's calls is timed, so that a table that is hardly used has something to show. */
static bool due(nacre_table *t, nc_metered what) {
  if (what > NC_METER_SYNCED_WRITE) return true;
  nc_reader_stripe *stripe = nc_table_stripe(t);
  atomic_uint_fast64_t *calls = what == NC_METER_READ ? &stripe->reads : &stripe->writes;
  return atomic_fetch_add_explicit(calls, 1, memory_order_relaxed) % NC_METER_INTERVAL == 0;
}

uint64_t nc_meter_begin(nacre_table *t, nc_metered what) { return due(t, what) ? now(t) : 0; }

static nc_meters *meters_of(nacre_table *t) {
  nc_meters *m = atomic_load_explicit(&t->meters, memory_order_acquire);
  if (m != NULL) return m;
  nc_meters *made = calloc(1, sizeof *made);
  if (made == NULL) return NULL;
  if (atomic_compare_exchange_strong(&t->meters, &m, made)) return made;
  free(made);
  return m;
}

void nc_meter_end(nacre_table *t, nc_metered what, uint64_t began_ns) {
  if (began_ns == 0) return;
  uint64_t ended_ns = now(t);
  nc_meters *m = meters_of(t);
  if (m != NULL) nc_latency_add(&m->latencies[what], ended_ns > began_ns ? ended_ns - began_ns : 0);
}

void nc_meter_count_reads(nacre_table *t, uint64_t count) {
  atomic_fetch_add_explicit(&nc_table_stripe(t)->reads, count, memory_order_relaxed);
}

void nc_meters_read(nacre_table *t, nacre_latency *const ret_latencies[NC_METER_COUNT], uint64_t *ret_reads) {
  const nc_meters *m = atomic_load_explicit(&t->meters, memory_order_acquire);
  for (int i = 0; m != NULL && i < NC_METER_COUNT; i++) nc_latency_read(&m->latencies[i], ret_latencies[i]);
  *ret_reads = 0;
  for (int i = 0; i < NC_READER_STRIPES; i++)
    *ret_reads += atomic_load_explicit(&t->readers[i].reads, memory_order_relaxed);
}

void nc_meters_deinit(nacre_table *t) { free(atomic_load(&t->meters)); }
