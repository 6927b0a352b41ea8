/* SPDX-License-Identifier: Apache-2.0
 *
 * latency: see latency.h. Bucket 0 to 7 are that many nanoseconds; behind them, 8 * d + s is the part number s of the
 * range from 8 << (d - 1) on, which is as wide as its beginning is large.
 */
#include "latency.h"

static unsigned bucket_of(uint64_t ns) {
  if (ns < 8) return (unsigned)ns;
  unsigned doubling = 61 - (unsigned)__builtin_clzll((unsigned long long)ns); /* 8 to 15: 1 */
  if (doubling > NC_LATENCY_DOUBLINGS) return NC_LATENCY_BUCKETS - 1;
  return 8 * doubling + (unsigned)(ns >> (doubling - 1) & 7);
}

/* The highest that falls into a bucket. */
static uint64_t highest_in(unsigned bucket) {
  if (bucket < 8) return bucket;
  unsigned doubling = bucket / 8;
  return ((uint64_t)(bucket % 8 + 9) << (doubling - 1)) - 1;
}

void nc_latency_add(nc_latency *l, uint64_t ns) {
  atomic_fetch_add_explicit(&l->buckets[bucket_of(ns)], 1, memory_order_relaxed);
  atomic_fetch_add_explicit(&l->sum_ns, ns, memory_order_relaxed);
  uint64_t max = atomic_load_explicit(&l->max_ns, memory_order_relaxed);
  while (max < ns && !atomic_compare_exchange_weak_explicit(&l->max_ns, &max, ns, memory_order_relaxed,
                                                            memory_order_relaxed)) {
  }
}

/* What `part` of a thousand took no longer than. */
static uint64_t quantile(const uint64_t *counts, uint64_t count, uint64_t part, uint64_t max_ns) {
  uint64_t rank = count / 1000 * part + (count % 1000 * part + 999) / 1000, seen = 0;
  for (unsigned i = 0; i < NC_LATENCY_BUCKETS - 1; i++) {
    seen += counts[i];
    if (seen >= rank) return highest_in(i) < max_ns ? highest_in(i) : max_ns;
  }
  return max_ns;
}

void nc_latency_read(const nc_latency *l, nacre_latency *ret_latency) {
  uint64_t counts[NC_LATENCY_BUCKETS], count = 0;
  for (unsigned i = 0; i < NC_LATENCY_BUCKETS; i++) {
    counts[i] = atomic_load_explicit(&l->buckets[i], memory_order_relaxed);
    count += counts[i];
  }
  *ret_latency = (nacre_latency){.measured = count};
  if (count == 0) return;
  ret_latency->max_ns = atomic_load_explicit(&l->max_ns, memory_order_relaxed);
  ret_latency->sum_ns = atomic_load_explicit(&l->sum_ns, memory_order_relaxed);
  ret_latency->p50_ns = quantile(counts, count, 500, ret_latency->max_ns);
  ret_latency->p99_ns = quantile(counts, count, 990, ret_latency->max_ns);
  ret_latency->p999_ns = quantile(counts, count, 999, ret_latency->max_ns);
}
