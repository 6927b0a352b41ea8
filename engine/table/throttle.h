/* SPDX-License-Identifier: Apache-2.0
 *
 * throttle: how fast a table may be written to while merges are behind.
 *
 * Writers that were let through until merges could not go on, and then stopped, would wait for seconds. They are
 * slowed down instead, the more the further merges are behind, and stop only when that has not helped
 * (write_room.c). What writers owe they pay before they join a queue, with no lock held, so that nobody who works
 * on the table waits with them.
 */
#ifndef NC_THROTTLE_H
#define NC_THROTTLE_H

#include <stdatomic.h>

#include "levels.h"

typedef struct nc_throttle {
  atomic_uint_fast64_t bytes_per_s;   /* of keys and values, all writers together; 0: as fast as they can */
  atomic_uint_fast64_t paid_until_ns; /* of the monotonic clock: what has been written is paid for by then */
} nc_throttle;

/* What a version allows: nothing is held back (0) until twice as many young runs lie there as are merged at a time,
 * or until sixty-four times as much waits to be merged; then the less, the more. Never under 1 MiB/s. */
uint64_t nc_throttle_rate(const nc_version *v, const nc_policy *policy);
/* Waits as long as `bytes` are to be waited for, at most 20 ms. Threads: any; no lock is held. */
void nc_throttle_pay(nacre_table *t, size_t bytes);

#endif
