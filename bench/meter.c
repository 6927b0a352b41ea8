/* SPDX-License-Identifier: Apache-2.0
 *
 * meter: see meter.h.
 */
#include "meter.h"

#include <ftw.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

uint64_t bench_now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static double seconds_of(struct timeval t) { return (double)t.tv_sec + (double)t.tv_usec * 1e-6; }

/* Where the kernel does not tell, 0. */
static uint64_t written_bytes(void) {
  unsigned long long bytes = 0;
  char line[128];
  FILE *file = fopen("/proc/self/io", "r");
  if (file == NULL) return 0;
  while (fgets(line, sizeof line, file) != NULL && sscanf(line, "write_bytes: %llu", &bytes) != 1) continue;
  fclose(file);
  return bytes;
}

bench_meter bench_meter_read(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (bench_meter){.wall_s = (double)bench_now_ns() * 1e-9,
                       .cpu_s = seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime),
                       .written_bytes = written_bytes()};
}

uint64_t bench_peak_memory_bytes(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (uint64_t)usage.ru_maxrss * 1024;
}

/* nftw has no argument for its callback. */
static _Thread_local uint64_t walked_bytes;

static int add_file(const char *path, const struct stat *stat, int type, struct FTW *place) {
  (void)path, (void)place;
  if (type == FTW_F) walked_bytes += (uint64_t)stat->st_blocks * 512;
  return 0;
}

uint64_t bench_disk_bytes(const char *directory) {
  walked_bytes = 0;
  nftw(directory, add_file, 16, FTW_PHYS);
  return walked_bytes;
}

/* ---- latencies ----------------------------------------------------------------------------------------- */

enum { STEP_BITS = 5, STEPS = 1 << STEP_BITS };

static unsigned bucket_of(uint64_t ns) {
  if (ns < STEPS) return (unsigned)ns;
  unsigned shift = 63 - (unsigned)__builtin_clzll(ns) - STEP_BITS;
  return (shift + 1) * STEPS + (unsigned)(ns >> shift) % STEPS;
}

static uint64_t bucket_middle(unsigned bucket) {
  if (bucket < STEPS) return bucket;
  unsigned shift = bucket / STEPS - 1;
  return ((uint64_t)(STEPS + bucket % STEPS) << shift) + ((uint64_t)1 << shift) / 2;
}

void bench_latencies_add(bench_latencies *latencies, uint64_t ns) {
  latencies->counts[bucket_of(ns)]++;
  latencies->total++;
}

void bench_latencies_join(bench_latencies *latencies, const bench_latencies *others) {
  for (unsigned i = 0; i < BENCH_LATENCY_BUCKETS; i++) latencies->counts[i] += others->counts[i];
  latencies->total += others->total;
}

uint64_t bench_latencies_at(const bench_latencies *latencies, double part) {
  if (latencies->total == 0) return 0;
  uint64_t rank = (uint64_t)((double)(latencies->total - 1) * part), seen = 0;
  for (unsigned i = 0; i < BENCH_LATENCY_BUCKETS; i++) {
    seen += latencies->counts[i];
    if (seen > rank) return bucket_middle(i);
  }
  return 0;
}
