/* SPDX-License-Identifier: Apache-2.0
 *
 * report: see report.h.
 */
#include "report.h"

#include <stdlib.h>
#include <string.h>

enum { NAME_WIDTH = 22, CELL_WIDTH = 20, RUNS_MAX = 1000 };

typedef double figure(const bench_row *row);
typedef void print_cell(const bench_report *report, unsigned engine, const char *workload, char *text,
                        size_t capacity);

void bench_report_add(bench_report *report, unsigned engine, unsigned run, const bench_row *row) {
  if (report->count == report->capacity) {
    report->capacity = report->capacity * 2 + 64;
    report->results = realloc(report->results, report->capacity * sizeof *report->results);
    if (report->results == NULL) bench_die("no memory");
  }
  report->results[report->count++] = (bench_result){engine, run, *row};
}

void bench_report_deinit(bench_report *report) { free(report->results); }

/* ---- figures of a row ---------------------------------------------------------------------------------- */

static double per_second(const bench_row *r) { return r->wall_s > 0 ? (double)r->ops / r->wall_s : 0; }
static double cpu_us(const bench_row *r) { return r->ops > 0 ? r->cpu_s * 1e6 / (double)r->ops : 0; }
static double amplification(const bench_row *r) {
  return r->user_bytes > 0 ? (double)r->written_bytes / (double)r->user_bytes : 0;
}
static double p50_us(const bench_row *r) { return (double)r->p50_ns * 1e-3; }
static double p99_us(const bench_row *r) { return (double)r->p99_ns * 1e-3; }
static double p999_us(const bench_row *r) { return (double)r->p999_ns * 1e-3; }
static double disk_mb(const bench_row *r) { return (double)r->disk_bytes * 1e-6; }
static double memory_mb(const bench_row *r) { return (double)r->memory_bytes * 1e-6; }

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Over the runs; negative when the engine has no such row. */
static double median(const bench_report *report, unsigned engine, const char *workload, figure *of) {
  double values[RUNS_MAX];
  size_t count = 0;
  for (size_t i = 0; i < report->count && count < RUNS_MAX; i++) {
    const bench_result *r = &report->results[i];
    if (r->engine == engine && strcmp(r->row.workload, workload) == 0) values[count++] = of(&r->row);
  }
  if (count == 0) return -1;
  qsort(values, count, sizeof *values, ascending);
  return count % 2 == 1 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

/* ---- tables -------------------------------------------------------------------------------------------- */

static void speed_cell(const bench_report *report, unsigned engine, const char *workload, char *text,
                       size_t capacity) {
  double speed = median(report, engine, workload, per_second) * 1e-3;
  snprintf(text, capacity, "%.*f (%.2f)", speed < 20 ? 1 : 0, speed,
           median(report, engine, workload, cpu_us));
}

static void amplification_cell(const bench_report *report, unsigned engine, const char *workload, char *text,
                               size_t capacity) {
  snprintf(text, capacity, "%.2f", median(report, engine, workload, amplification));
}

static void latency_cell(const bench_report *report, unsigned engine, const char *workload, char *text,
                         size_t capacity) {
  snprintf(text, capacity, "%.1f/%.1f/%.0f", median(report, engine, workload, p50_us),
           median(report, engine, workload, p99_us), median(report, engine, workload, p999_us));
}

static void space_cell(const bench_report *report, unsigned engine, const char *workload, char *text,
                       size_t capacity) {
  snprintf(text, capacity, "%.0f (%.0f)", median(report, engine, workload, disk_mb),
           median(report, engine, workload, memory_mb));
}

static bool is_timed(const bench_row *row) { return row->ops > 0; }
static bool is_write(const bench_row *row) { return row->ops > 0 && row->user_bytes > 0; }
static bool has_latency(const bench_row *row) { return row->p50_ns > 0; }
static bool is_space(const bench_row *row) { return row->disk_bytes > 0; }

static bool seen_before(const bench_report *report, size_t index) {
  for (size_t i = 0; i < index; i++)
    if (strcmp(report->results[i].row.workload, report->results[index].row.workload) == 0) return true;
  return false;
}

/* Nacre's speed as a multiple of the fastest other engine's; nothing where there is none to compare. */
static void print_ratio(const bench_report *report, const char *workload, FILE *out) {
  double own = -1, best = -1;
  for (unsigned e = 0; e < report->engine_count; e++) {
    double speed = median(report, e, workload, per_second);
    double *to = report->engines[e] == &bench_nacre ? &own : &best;
    if (speed > *to) *to = speed;
  }
  if (own > 0 && best > 0) fprintf(out, " %10.2f", own / best);
}

static void print_table(const bench_report *report, const char *title, bool (*belongs)(const bench_row *row),
                        print_cell *cell, bool with_ratio, FILE *out) {
  fprintf(out, "\n%s\n%-*s", title, NAME_WIDTH, "");
  for (unsigned e = 0; e < report->engine_count; e++)
    fprintf(out, " %*s", CELL_WIDTH, report->engines[e]->name);
  fprintf(out, with_ratio && report->engine_count > 1 ? " nacre/best\n" : "\n");
  for (size_t i = 0; i < report->count; i++) {
    const bench_row *row = &report->results[i].row;
    if (!belongs(row) || seen_before(report, i)) continue;
    fprintf(out, "%-*s", NAME_WIDTH, row->workload);
    for (unsigned e = 0; e < report->engine_count; e++) {
      char text[64] = "-";
      if (median(report, e, row->workload, per_second) >= 0)
        cell(report, e, row->workload, text, sizeof text);
      fprintf(out, " %*s", CELL_WIDTH, text);
    }
    if (with_ratio) print_ratio(report, row->workload, out);
    fputc('\n', out);
  }
}

void bench_report_print(const bench_report *report, FILE *out) {
  print_table(report, "thousand operations a second (CPU us an operation, all threads)", is_timed, speed_cell,
              true, out);
  print_table(report, "bytes written to storage for each byte put", is_write, amplification_cell, false, out);
  print_table(report, "latency of a call, us: p50/p99/p99.9", has_latency, latency_cell, false, out);
  print_table(report, "MB on disk (peak memory of the process, MB)", is_space, space_cell, false, out);
}

void bench_report_csv(const bench_report *report, FILE *out) {
  fputs(
      "engine,run,workload,operations,wall_s,cpu_s,operations_per_s,cpu_us_per_operation,user_bytes,written_"
      "bytes,"
      "p50_us,p99_us,p999_us,disk_bytes,peak_memory_bytes\n",
      out);
  for (size_t i = 0; i < report->count; i++) {
    const bench_result *r = &report->results[i];
    const bench_row *row = &r->row;
    fprintf(out, "%s,%u,%s,%llu,%.6f,%.6f,%.1f,%.4f,%llu,%llu,%.3f,%.3f,%.3f,%llu,%llu\n",
            report->engines[r->engine]->name, r->run + 1, row->workload, (unsigned long long)row->ops,
            row->wall_s, row->cpu_s, per_second(row), cpu_us(row), (unsigned long long)row->user_bytes,
            (unsigned long long)row->written_bytes, p50_us(row), p99_us(row), p999_us(row),
            (unsigned long long)row->disk_bytes, (unsigned long long)row->memory_bytes);
  }
}
