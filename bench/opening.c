/* SPDX-License-Identifier: Apache-2.0
 *
 * opening: what it costs to open a store.
 *
 * usage: opening DIRECTORY tables N     a store of N tables: creating them, opening the store, then all of them,
 *                                       writing one record to each, closing; descriptors, threads and memory
 *        opening DIRECTORY size MIB     a table of that size: opening store and table and reading one record, after a
 *                                       clean close, and after a kill that left 1 MiB and 32 MiB in the log
 *        opening DIRECTORY segments N   a table of N small segments, filled at random: filling it, opening store and
 *                                       table, reading and writing at random, then the same opening once more
 *
 * DIRECTORY must not exist; it is left behind. Times are wall-clock milliseconds with warm caches of the operating
 * system.
 */
#include <dirent.h>
#include <nacre/nacre.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { VALUE_BYTES = 1000, PATH = 1024, SMALL_SEGMENT_BYTES = 32 << 10, RANDOM_OPS = 10000 };

static char store_path[PATH], key_uri[PATH];

static _Noreturn void die(const char *what) {
  nacre_error e;
  nacre_last_error(&e);
  fprintf(stderr, "opening: %s: %s [%s]\n", what, e.text, e.file);
  exit(1);
}
#define OK(call)                        \
  do {                                  \
    if ((call) != NACRE_OK) die(#call); \
  } while (0)

static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static size_t count_names(const char *path) {
  DIR *dir = opendir(path);
  size_t count = 0;
  if (dir == NULL) return 0;
  for (struct dirent *e; (e = readdir(dir)) != NULL;) count += e->d_name[0] != '.';
  closedir(dir);
  return count;
}

static unsigned long resident_kib(void) {
  FILE *f = fopen("/proc/self/statm", "r");
  unsigned long total = 0, resident = 0;
  if (f != NULL && fscanf(f, "%lu %lu", &total, &resident) != 2) resident = 0;
  if (f != NULL) fclose(f);
  return resident * 4;
}

static nacre_store *open_store(bool create) {
  nacre_store_options options = {.create = create, .default_key = {.uri = key_uri}};
  nacre_store *store;
  OK(nacre_open(store_path, &options, &store));
  return store;
}

static nacre_slice text(const char *s) { return (nacre_slice){s, strlen(s)}; }

/* ---- many tables --------------------------------------------------------------------------------------- */

typedef struct lap {
  double began, half; /* the second half tells whether each costs more the more there are */
} lap;

static void tell(const char *what, lap l, size_t count) {
  double end = now_ms();
  double first = (l.half - l.began) / (double)(count / 2),
         second = (end - l.half) / (double)(count - count / 2);
  printf("%-12s %9.1f ms, a table %.3f ms in the first half, %.3f ms in the second\n", what, end - l.began,
         first, second);
}

static void tell_process(const char *what) {
  printf("%-12s %zu descriptors, %zu threads, %lu KiB resident\n", what, count_names("/proc/self/fd"),
         count_names("/proc/self/task"), resident_kib());
}

static void name_of(char name[32], size_t i) { snprintf(name, 32, "table-%06zu", i); }

static void open_all(nacre_store *store, nacre_table **tables, size_t count) {
  char name[32];
  lap l = {.began = now_ms()};
  for (size_t i = 0; i < count; i++) {
    if (i == count / 2) l.half = now_ms();
    name_of(name, i);
    OK(nacre_table_open(store, name, NULL, &tables[i]));
  }
  tell("open", l, count);
}

static void write_all(nacre_table **tables, size_t count) {
  lap l = {.began = now_ms()};
  for (size_t i = 0; i < count; i++) {
    if (i == count / 2) l.half = now_ms();
    OK(nacre_put(tables[i], text("key"), text("value"), NULL));
  }
  tell("first write", l, count);
}

static void close_all(nacre_table **tables, size_t count) {
  lap l = {.began = now_ms()};
  for (size_t i = 0; i < count; i++) {
    if (i == count / 2) l.half = now_ms();
    OK(nacre_table_close(tables[i]));
  }
  tell("close", l, count);
}

static void many_tables(size_t count) {
  char name[32];
  nacre_table **tables = calloc(count, sizeof(nacre_table *));
  nacre_store *store = open_store(true);
  if (tables == NULL) exit(1);
  lap l = {.began = now_ms()};
  for (size_t i = 0; i < count; i++) {
    if (i == count / 2) l.half = now_ms();
    name_of(name, i);
    OK(nacre_table_create(store, name, NULL, NULL));
  }
  tell("create", l, count);
  OK(nacre_close(store));
  double began = now_ms();
  store = open_store(false);
  printf("%-12s %9.1f ms\n", "open store", now_ms() - began);
  tell_process("  ");
  open_all(store, tables, count);
  tell_process("  all open");
  write_all(tables, count);
  tell_process("  written");
  close_all(tables, count);
  OK(nacre_close(store));
  began = now_ms();
  store = open_store(false);
  printf("%-12s %9.1f ms\n", "open store", now_ms() - began);
  open_all(store, tables, count);
  close_all(tables, count);
  OK(nacre_close(store));
  free(tables);
}

/* ---- a large table ------------------------------------------------------------------------------------- */

static void fill_value(uint8_t value[VALUE_BYTES], uint64_t seed) {
  for (size_t i = 0; i < VALUE_BYTES; i += sizeof seed) {
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    memcpy(value + i, &seed, VALUE_BYTES - i < sizeof seed ? VALUE_BYTES - i : sizeof seed);
  }
}

static void put_record(nacre_table *t, uint64_t number, uint64_t seed) {
  uint8_t value[VALUE_BYTES];
  char key[32];
  fill_value(value, seed);
  snprintf(key, sizeof key, "%016llu", (unsigned long long)number);
  OK(nacre_put(t, text(key), (nacre_slice){value, sizeof value}, NULL));
}

static void load_records(nacre_table *t, uint64_t count) {
  uint8_t value[VALUE_BYTES];
  char key[32];
  nacre_load *load;
  OK(nacre_load_begin(t, NULL, &load));
  for (uint64_t i = 0; i < count; i++) {
    fill_value(value, i);
    snprintf(key, sizeof key, "%016llu", (unsigned long long)i);
    OK(nacre_load_put(load, text(key), (nacre_slice){value, sizeof value}));
  }
  OK(nacre_load_commit(load));
}

static void time_opening(const char *what) {
  double began = now_ms();
  nacre_store *store = open_store(false);
  double at_store = now_ms();
  nacre_table *t;
  OK(nacre_table_open(store, "table", NULL, &t));
  double at_table = now_ms();
  nacre_value value;
  OK(nacre_get(t, text("0000000000000000"), NULL, &value));
  double end = now_ms();
  nacre_value_release(&value);
  nacre_stats stats;
  OK(nacre_table_stats(t, &stats));
  printf(
      "%-24s store %7.2f ms, table %7.2f ms, first read %6.2f ms; %llu segments, %llu MiB, %llu MiB in "
      "logs\n",
      what, at_store - began, at_table - at_store, end - at_table, (unsigned long long)stats.segments,
      (unsigned long long)(stats.segment_bytes >> 20), (unsigned long long)(stats.log_bytes >> 20));
  OK(nacre_table_close(t));
  OK(nacre_close(store));
}

/* Another process writes and dies. */
static void write_and_die(uint64_t count) {
  pid_t child = fork();
  if (child == 0) {
    nacre_store *store = open_store(false);
    nacre_table *t;
    OK(nacre_table_open(store, "table", NULL, &t));
    for (uint64_t i = 0; i < count; i++) put_record(t, i, ~i);
    _exit(0);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child || status != 0) exit(1);
}

static void large_table(uint64_t mib) {
  nacre_store *store = open_store(true);
  nacre_table *t;
  OK(nacre_table_create(store, "table", NULL, &t));
  double began = now_ms();
  load_records(t, (mib << 20) / VALUE_BYTES + 1);
  double took = now_ms() - began;
  printf("loaded %llu MiB in %.1f s, %.0f MiB/s\n", (unsigned long long)mib, took * 1e-3,
         (double)mib / took * 1e3);
  OK(nacre_wait_idle(t));
  OK(nacre_table_close(t));
  OK(nacre_close(store));
  for (int i = 0; i < 3; i++) time_opening("after a clean close");
  write_and_die((1 << 20) / VALUE_BYTES);
  time_opening("after a kill, 1 MiB");
  write_and_die((32 << 20) / VALUE_BYTES);
  time_opening("after a kill, 32 MiB");
}

/* ---- a table of many segments -------------------------------------------------------------------------- */

static uint64_t random_below(uint64_t *state, uint64_t limit) {
  *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407u;
  return (*state >> 33) % limit;
}

static nacre_stats stats_of(nacre_table *t) {
  nacre_stats stats;
  OK(nacre_table_stats(t, &stats));
  return stats;
}

static void tell_rate(const char *what, uint64_t count, double took_ms) {
  printf("%-24s %.1f s, %.1f us each\n", what, took_ms * 1e-3, took_ms * 1e3 / (double)count);
}

/* Draws keys until there are as many segments as were asked for. */
static void fill_segments(nacre_table *t, uint64_t segments) {
  uint64_t keys = segments * SMALL_SEGMENT_BYTES / VALUE_BYTES, state = 1, written = 0;
  double began = now_ms();
  put_record(t, 0, 0); /* which time_opening reads */
  do {
    for (uint64_t i = 0; i < keys / 4; i++) put_record(t, random_below(&state, 2 * keys), written++);
    OK(nacre_flush(t)); /* a log would be read at every opening */
    OK(nacre_wait_idle(t));
  } while (stats_of(t).segments < segments);
  tell_rate("filled and settled", written, now_ms() - began);
}

static void use_segments(uint64_t segments) {
  nacre_store *store = open_store(false);
  nacre_table *t;
  OK(nacre_table_open(store, "table", NULL, &t));
  uint64_t keys = 2 * segments * SMALL_SEGMENT_BYTES / VALUE_BYTES, state = 2;
  for (int turn = 0; turn < 2; turn++) {
    double began = now_ms();
    for (int i = 0; i < RANDOM_OPS; i++) {
      char key[32];
      nacre_value value = {0};
      snprintf(key, sizeof key, "%016llu", (unsigned long long)random_below(&state, keys));
      if (nacre_get(t, text(key), NULL, &value) == NACRE_OK) nacre_value_release(&value);
    }
    tell_rate(turn == 0 ? "random reads, cold" : "random reads", RANDOM_OPS, now_ms() - began);
  }
  double began = now_ms();
  for (uint64_t i = 0; i < RANDOM_OPS; i++) put_record(t, random_below(&state, keys), i);
  OK(nacre_wait_idle(t));
  tell_rate("random writes, settled", RANDOM_OPS, now_ms() - began);
  OK(nacre_table_close(t));
  OK(nacre_close(store));
}

static void many_segments(uint64_t segments) {
  nacre_store *store = open_store(true);
  nacre_table *t;
  nacre_table_options options = {.segment_bytes = SMALL_SEGMENT_BYTES};
  OK(nacre_table_create(store, "table", &options, &t));
  fill_segments(t, segments);
  OK(nacre_table_close(t));
  OK(nacre_close(store));
  time_opening("after a clean close");
  use_segments(segments);
  for (int i = 0; i < 3; i++) time_opening("after a clean close");
}

/* ---- the command --------------------------------------------------------------------------------------- */

int main(int argc, char **argv) {
  static const char *const kinds[] = {"tables", "size", "segments"};
  uint64_t number = argc == 4 ? strtoull(argv[3], NULL, 10) : 0;
  int kind = 0;
  while (argc == 4 && kind < 3 && strcmp(argv[2], kinds[kind]) != 0) kind++;
  if (argc != 4 || kind == 3 || number < (kind == 0 ? 2 : 1)) {
    fprintf(stderr, "usage: opening DIRECTORY tables N | size MIB | segments N\n");
    return 2;
  }
  if (mkdir(argv[1], 0700) != 0) {
    perror(argv[1]);
    return 1;
  }
  snprintf(store_path, sizeof store_path, "%s/store", argv[1]);
  snprintf(key_uri, sizeof key_uri, "local:%s/keyring", argv[1]);
  if (kind == 0) many_tables((size_t)number);
  if (kind == 1) large_table(number);
  if (kind == 2) many_segments(number);
  return 0;
}
