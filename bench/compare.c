/* SPDX-License-Identifier: Apache-2.0
 *
 * compare: the same work done by Nacre and by other engines, in one run.
 *
 * Each run of an engine is a process of its own, so that CPU time, bytes written and memory are its alone;
 * engines take turns, and each run begins with another one. Rows come back through a pipe. An engine that
 * fails, or answers wrongly, fails the whole command.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "report.h"
#include "workloads.h"

enum { ENGINES_MAX = 8, PATH = 4096, OPS_MIN = 1000, THREADS_MAX = 64, RUNS_MAX = 1000 };

static const bench_engine *const all_engines[] = {&bench_nacre,
#ifdef BENCH_ROCKSDB
                                                  &bench_rocksdb,
#endif
#ifdef BENCH_LEVELDB
                                                  &bench_leveldb,
#endif
#ifdef BENCH_LMDB
                                                  &bench_lmdb,
#endif
                                                  NULL};

typedef struct setup {
  bench_plan plan;
  unsigned runs;
  const char *csv, *directory;
  const bench_engine *engines[ENGINES_MAX];
  unsigned engine_count;
} setup;

/* ---- options ------------------------------------------------------------------------------------------- */

static _Noreturn void usage(void) {
  fputs(
      "usage: compare [OPTION]...\n"
      "  --ops N          keys, and operations of a workload (2000000)\n"
      "  --runs N         runs of each engine; medians are shown (3)\n"
      "  --threads N      threads that share a workload's operations (1)\n"
      "  --seconds S      how long readwhilewriting goes on (10)\n"
      "  --engines A,B    of those that were built in (all)\n"
      "  --workloads A,B  (all but growing and steady, which take long)\n"
      "  --csv FILE       every run's figures, too\n"
      "  --dir DIRECTORY  where stores are made, and removed again ($TMPDIR, or /tmp)\n"
      "  --seed N         of keys, values and their order (1)\n",
      stderr);
  fputs("engines:", stderr);
  for (size_t i = 0; all_engines[i] != NULL; i++) fprintf(stderr, " %s", all_engines[i]->name);
  fputs("\nworkloads:", stderr);
  for (size_t i = 0; bench_workload_names[i] != NULL; i++) fprintf(stderr, " %s", bench_workload_names[i]);
  fputc('\n', stderr);
  exit(2);
}

static uint64_t number_of(const char *text, uint64_t min, uint64_t max) {
  char *end;
  errno = 0;
  unsigned long long n = strtoull(text, &end, 10);
  if (errno != 0 || *end != '\0' || end == text || n < min || n > max) usage();
  return n;
}

static bool is_word(const char *name, const char *word, size_t size) {
  return strlen(name) == size && strncmp(name, word, size) == 0;
}

static bool is_workload(const char *word, size_t size) {
  for (size_t i = 0; bench_workload_names[i] != NULL; i++)
    if (is_word(bench_workload_names[i], word, size)) return true;
  return false;
}

static void check_workloads(const char *list) {
  for (size_t size; *list != '\0'; list += size + (list[size] == ',')) {
    size = strcspn(list, ",");
    if (!is_workload(list, size)) usage();
  }
}

/* In the order of the list. NULL: all. */
static void choose_engines(setup *s, const char *list) {
  s->engine_count = 0;
  for (size_t i = 0; list == NULL && all_engines[i] != NULL; i++)
    s->engines[s->engine_count++] = all_engines[i];
  for (size_t size; list != NULL && *list != '\0'; list += size + (list[size] == ',')) {
    size_t i = 0;
    size = strcspn(list, ",");
    while (all_engines[i] != NULL && !is_word(all_engines[i]->name, list, size)) i++;
    if (all_engines[i] == NULL || s->engine_count == ENGINES_MAX) usage();
    s->engines[s->engine_count++] = all_engines[i];
  }
}

static setup read_options(int argc, char **argv) {
  static const struct option options[] = {
      {"ops", 1, NULL, 'o'},     {"runs", 1, NULL, 'r'}, {"threads", 1, NULL, 't'},
      {"seconds", 1, NULL, 's'}, {"csv", 1, NULL, 'c'},  {"dir", 1, NULL, 'd'},
      {"engines", 1, NULL, 'e'}, {"seed", 1, NULL, 'x'}, {"workloads", 1, NULL, 'w'},
      {"help", 0, NULL, 'h'},    {NULL, 0, NULL, 0}};
  const char *tmp = getenv("TMPDIR"), *engines = NULL;
  setup s = {.plan = {.ops = 2000000, .threads = 1, .mixed_s = 10, .seed = 1},
             .runs = 3,
             .directory = tmp != NULL ? tmp : "/tmp"};
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    switch (option) {
      case 'o':
        s.plan.ops = number_of(optarg, OPS_MIN, 1000000000);
        break;
      case 'r':
        s.runs = (unsigned)number_of(optarg, 1, RUNS_MAX);
        break;
      case 't':
        s.plan.threads = (unsigned)number_of(optarg, 1, THREADS_MAX);
        break;
      case 's':
        s.plan.mixed_s = atof(optarg);
        break;
      case 'c':
        s.csv = optarg;
        break;
      case 'd':
        s.directory = optarg;
        break;
      case 'e':
        engines = optarg;
        break;
      case 'x':
        s.plan.seed = number_of(optarg, 0, 1000000000);
        break;
      case 'w':
        s.plan.workloads = optarg;
        break;
      default:
        usage();
    }
  }
  if (optind != argc) usage();
  if (s.plan.workloads != NULL) check_workloads(s.plan.workloads);
  choose_engines(&s, engines);
  return s;
}

/* ---- what it ran on ------------------------------------------------------------------------------------ */

static void print_processor(void) {
  char line[256], name[256] = "unknown";
  FILE *file = fopen("/proc/cpuinfo", "r");
  while (file != NULL && fgets(line, sizeof line, file) != NULL)
    if (sscanf(line, "model name : %255[^\n]", name) == 1) break;
  if (file != NULL) fclose(file);
  printf("processor    %ld x %s\n", sysconf(_SC_NPROCESSORS_ONLN), name);
}

static void print_setup(const setup *s) {
  struct utsname system;
  struct statfs fs = {0};
  if (uname(&system) == 0) printf("system       %s %s\n", system.sysname, system.release);
  print_processor();
  statfs(s->directory, &fs);
  printf("stores in    %s (file system type 0x%lx)\n", s->directory, (unsigned long)fs.f_type);
  printf("operations   %llu, %u thread%s, %u run%s, seed %llu\n", (unsigned long long)s->plan.ops,
         s->plan.threads, s->plan.threads == 1 ? "" : "s", s->runs, s->runs == 1 ? "" : "s",
         (unsigned long long)s->plan.seed);
  printf(
      "entries      16-byte keys, 100-byte half-compressible values\n"
      "all engines  64 MiB memtable, 256 MiB cache, 10 filter bits a key, no sync but in fillsync\n");
#ifndef NDEBUG
  printf("warning      Nacre was built with assertions; measure with -Dbuildtype=release -Db_ndebug=true\n");
#endif
  for (unsigned i = 0; i < s->engine_count; i++) {
    char version[64];
    s->engines[i]->version(version, sizeof version);
    printf("%-12s %s: %s\n", s->engines[i]->name, version, s->engines[i]->options);
  }
  fflush(stdout);
}

/* ---- runs ---------------------------------------------------------------------------------------------- */

/* Smaller than PIPE_BUF: arrives whole. */
static void send_row(void *arg, const bench_row *row) {
  if (write(*(const int *)arg, row, sizeof *row) != (ssize_t)sizeof *row) bench_die("the pipe broke");
}

static void receive_rows(const setup *s, int from, unsigned engine, unsigned run, bench_report *report) {
  bench_row row;
  while (read(from, &row, sizeof row) == (ssize_t)sizeof row) {
    bench_report_add(report, engine, run, &row);
    fprintf(stderr, "run %u/%u %-8s %-22s %9.3f s\n", run + 1, s->runs, s->engines[engine]->name,
            row.workload, row.wall_s);
  }
}

static bool run_engine(const setup *s, const char *directory, unsigned engine, unsigned run,
                       bench_report *report) {
  int pipes[2], state;
  if (pipe(pipes) != 0) bench_die("no pipe");
  pid_t child = fork();
  if (child < 0) bench_die("no process");
  if (child == 0) {
    close(pipes[0]);
    bench_run(s->engines[engine], &s->plan, directory, send_row, &pipes[1]);
    exit(0);
  }
  close(pipes[1]);
  receive_rows(s, pipes[0], engine, run, report);
  close(pipes[0]);
  return waitpid(child, &state, 0) == child && WIFEXITED(state) && WEXITSTATUS(state) == 0;
}

static bool run_all(const setup *s, bench_report *report) {
  char directory[PATH];
  bool good = true;
  snprintf(directory, sizeof directory, "%s/nacre-bench-XXXXXX", s->directory);
  if (mkdtemp(directory) == NULL) bench_die("no directory can be made in %s", s->directory);
  for (unsigned run = 0; good && run < s->runs; run++)
    for (unsigned i = 0; good && i < s->engine_count; i++)
      good = run_engine(s, directory, (run + i) % s->engine_count, run, report);
  bench_directory_remove(directory);
  return good;
}

static void write_csv(const bench_report *report, const char *path) {
  FILE *file = fopen(path, "w");
  if (file == NULL) bench_die("%s: %s", path, strerror(errno));
  bench_report_csv(report, file);
  if (fclose(file) != 0) bench_die("%s: %s", path, strerror(errno));
}

int main(int argc, char **argv) {
  setup s = read_options(argc, argv);
  bench_report report = {.engines = s.engines, .engine_count = s.engine_count};
  print_setup(&s);
  bool good = run_all(&s, &report);
  bench_report_print(&report, stdout);
  if (s.csv != NULL) write_csv(&report, s.csv);
  bench_report_deinit(&report);
  if (!good) bench_die("a run failed; the figures are those of the runs before it");
  return 0;
}
