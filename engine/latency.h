/* SPDX-License-Identifier: Apache-2.0
 *
 * latency: how long calls took, as counts in buckets: eight of equal width to every doubling, so that what is read
 * out is at most an eighth too high. Any threads add and read, without a lock.
 */
#ifndef NC_LATENCY_H
#define NC_LATENCY_H

#include <stdatomic.h>

#include <nacre/nacre.h>

enum {
  NC_LATENCY_DOUBLINGS = 38,
  NC_LATENCY_BUCKETS = 8 * (NC_LATENCY_DOUBLINGS + 1)
}; /* up to 18 minutes */

typedef struct nc_latency {
  atomic_uint_fast64_t sum_ns, max_ns;
  atomic_uint_fast64_t buckets[NC_LATENCY_BUCKETS];
} nc_latency;

void nc_latency_add(nc_latency *latency, uint64_t ns);
void nc_latency_read(const nc_latency *latency, nacre_latency *ret_latency);

#endif
