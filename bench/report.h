/* SPDX-License-Identifier: Apache-2.0
 *
 * report: the rows of all runs and engines, as medians in a table for people, and each by itself in a CSV
 * file.
 */
#ifndef NACRE_BENCH_REPORT_H
#define NACRE_BENCH_REPORT_H

#include <stdio.h>

#include "workloads.h"

typedef struct bench_result {
  unsigned engine, run; /* of the list of engines */
  bench_row row;
} bench_result;

typedef struct bench_report {
  const bench_engine *const *engines;
  unsigned engine_count;
  bench_result *results;
  size_t count, capacity;
} bench_report;

void bench_report_add(bench_report *report, unsigned engine, unsigned run, const bench_row *row);
void bench_report_deinit(bench_report *report);

/* Speed and CPU time, what reached the disk, latencies, space; medians over the runs. */
void bench_report_print(const bench_report *report, FILE *out);
void bench_report_csv(const bench_report *report, FILE *out);

#endif
