/* SPDX-License-Identifier: Apache-2.0
 *
 * workloads: what is done to an engine, and what is measured of it. README.md says what each row means.
 */
#ifndef NACRE_BENCH_WORKLOADS_H
#define NACRE_BENCH_WORKLOADS_H

#include "engine.h"

typedef struct bench_plan {
  uint64_t ops;
  unsigned threads;      /* of every workload but readwhilewriting */
  double mixed_s;        /* how long readwhilewriting goes on */
  const char *workloads; /* names with commas between them; NULL: all */
  uint64_t seed;
} bench_plan;

typedef struct bench_row {
  char workload[32];
  uint64_t ops;
  double wall_s, cpu_s;
  uint64_t user_bytes, written_bytes; /* keys and values that were put; what the process wrote meanwhile */
  uint64_t p50_ns, p99_ns, p999_ns;   /* of a sample of the calls; 0: not measured */
  uint64_t disk_bytes, memory_bytes;  /* of the row "space" */
} bench_row;

/* The names in order, NULL behind the last. */
extern const char *const bench_workload_names[];

/* Runs the plan's workloads in an empty directory, which is left empty; hands out each row as it is measured.
 * Ends the process when the engine fails or answers wrongly. */
void bench_run(const bench_engine *engine, const bench_plan *plan, const char *directory,
               void (*emit)(void *arg, const bench_row *row), void *arg);

void bench_directory_remove(const char *directory);

#endif
