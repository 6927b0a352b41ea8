/* SPDX-License-Identifier: Apache-2.0
 *
 * meter: what a process has used so far, all of its threads together; latencies; space on disk.
 */
#ifndef NACRE_BENCH_METER_H
#define NACRE_BENCH_METER_H

#include <stdint.h>

typedef struct bench_meter {
  double wall_s, cpu_s;
  uint64_t written_bytes; /* that the process caused to go to storage (write_bytes of /proc/self/io) */
} bench_meter;

bench_meter bench_meter_read(void);
uint64_t bench_now_ns(void);
uint64_t bench_peak_memory_bytes(void);
uint64_t bench_disk_bytes(const char *directory); /* allocated to the files in it */

/* Counts of latencies in 32 steps for each power of two: within 3 %. */
enum { BENCH_LATENCY_BUCKETS = 64 * 32 };
typedef struct bench_latencies {
  uint64_t total, counts[BENCH_LATENCY_BUCKETS];
} bench_latencies;

void bench_latencies_add(bench_latencies *latencies, uint64_t ns);
void bench_latencies_join(bench_latencies *latencies, const bench_latencies *others);
uint64_t bench_latencies_at(const bench_latencies *latencies, double part); /* ns; 0: there is none */

#endif
