/* SPDX-License-Identifier: Apache-2.0
 *
 * stripe: what many threads change at once lies in several lines of the processor's cache, and each thread changes
 * its own: a line that two processors write to in turn costs either of them as much as a miss, each time.
 */
#ifndef NC_STRIPE_H
#define NC_STRIPE_H

#include "last_error.h"

enum { NC_STRIPE_BYTES = 64, NC_STRIPE_BITS_MAX = 8 };

/* Which of 2^bits stripes the calling thread uses; most of the time no other one does. */
static inline unsigned nc_thread_stripe(unsigned bits) {
  uint64_t thread = (uintptr_t)nc_thread_error(); /* every thread has its own */
  return (unsigned)(thread * UINT64_C(0x9E3779B97F4A7C15) >> 56) >> (NC_STRIPE_BITS_MAX - bits);
}

#endif
