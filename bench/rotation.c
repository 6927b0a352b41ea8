/* SPDX-License-Identifier: Apache-2.0
 *
 * rotation: what changing a table's key costs. Builds a table of many small segments, then measures
 *   - KMS calls and milliseconds to open it,
 *   - p50, p99 and p99.9 of single reads and writes by one reader and one writer, before and during rotations,
 *   - a rotation from the call to the retirement of the old key: seconds, bytes written, data bytes rewritten.
 *
 * usage: rotation DIRECTORY FILES [SECONDS]       DIRECTORY must not exist; it is left behind
 *
 * The segments are built through the engine's own rooms, in one commit: making 100,000 of them by flushes would
 * measure flushes.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "segment_writer.h"
#include "store.h"

enum { KEYS_PER_FILE = 8, READ_FILES_MAX = 500, SAMPLES_MAX = 4 << 20, PATH = 1024 };

static _Noreturn void die(const char *what) {
  nacre_error e;
  nacre_last_error(&e);
  fprintf(stderr, "rotation: %s: %s [%s]\n", what, e.text, e.file);
  exit(1);
}
#define OK(call)                       \
  do {                                 \
    if ((call) != NACRE_OK) die(#call); \
  } while (0)

static double now_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- a KMS that counts --------------------------------------------------------------------------------- */

static atomic_uint wraps, unwraps;

/* Not a KMS: a mask. What is measured is who asks it, and how often. */
static nacre_status bench_wrap(void *arg, const nacre_kms_call *call, const uint8_t key[32], uint8_t *wrapped,
                               size_t capacity, size_t *ret_size, nacre_error *err) {
  (void)arg, (void)call;
  if (capacity < 32) return nacre_kms_fail(err, NACRE_KEY_UNREACHABLE, "the buffer is small");
  for (int i = 0; i < 32; i++) wrapped[i] = key[i] ^ 0x5a;
  *ret_size = 32;
  atomic_fetch_add(&wraps, 1);
  return NACRE_OK;
}

static nacre_status bench_unwrap(void *arg, const nacre_kms_call *call, nacre_slice wrapped, uint8_t ret_key[32],
                                 nacre_error *err) {
  (void)arg, (void)call;
  if (wrapped.size != 32) return nacre_kms_fail(err, NACRE_KEY_MISSING, "not wrapped here");
  for (int i = 0; i < 32; i++) ret_key[i] = ((const uint8_t *)wrapped.data)[i] ^ 0x5a;
  atomic_fetch_add(&unwraps, 1);
  return NACRE_OK;
}

static const nacre_kms_provider bench_kms = {.scheme = "bench", .wrap = bench_wrap, .unwrap = bench_unwrap};
static const nacre_kms_provider *const providers[] = {&bench_kms};

static nacre_store *open_store(const char *path, bool create) {
  nacre_store_options options = {.create = create,
                                 .must_not_exist = create,
                                 .default_key = {.uri = "bench:key"},
                                 .kms_providers = providers,
                                 .kms_provider_count = 1};
  nacre_store *store;
  OK(nacre_open(path, &options, &store));
  return store;
}

/* ---- many segments ------------------------------------------------------------------------------------- */

static nacre_slice key_of(char text[24], size_t file, size_t i) {
  int size = snprintf(text, 24, "%08zu-%03zu", file, i);
  return nc_slice(text, (size_t)size);
}

static nc_segment *build_one(nacre_table *t, size_t file) {
  nacre_error err;
  nc_segment_params params = {.table = t->uuid,
                              .number = nc_table_new_number(t),
                              .method = NC_PACK_LZ4,
                              .block_bytes = 4096,
                              .filter_bits_per_key = 10};
  nc_table_moment(t, &params.epoch, &params.manifest, &params.manifest_sequence);
  nc_segment_writer *w;
  nc_segment_record record;
  nc_segment *segment;
  NC_TAKEN_KEYS(keys, &t->keys);
  nacre_status status = nc_segment_writer_create(&t->dir, &params, nc_table_keys_active(keys), &w, &err);
  for (size_t i = 0; status == NACRE_OK && i < KEYS_PER_FILE; i++) {
    char key[24];
    nc_entry entry = {.key = key_of(key, file, i), .sequence = 1, .kind = NC_KIND_PUT, .value = {"value", 5}};
    status = nc_segment_writer_add(w, &entry, &err);
  }
  if (status == NACRE_OK) status = nc_segment_writer_finish(w, &record, &err);
  if (status != NACRE_OK) {
    fprintf(stderr, "rotation: %s\n", err.text);
    exit(1);
  }
  if (nc_segment_create(&t->home, &record, params.epoch, &segment, &err) != NACRE_OK) die("segment");
  nc_segment_writer_close(w);
  return segment;
}

static void fill(nacre_table *t, size_t files) {
  nacre_error err;
  nc_segment **list = calloc(files, sizeof(nc_segment *));
  if (list == NULL) die("memory");
  OK(nacre_put(t, nc_slice("first", 5), nc_slice("write", 5), NULL)); /* the table is being written to */
  for (size_t i = 0; i < files; i++) list[i] = build_one(t, i);
  nc_change change = {.add = list, .add_count = files, .place = {.run = 1}, .last_sequence = 1};
  if (nc_dir_sync(&t->dir, &err) != NACRE_OK || nc_table_commit(t, &change, &err) != NACRE_OK) die(err.text);
  for (size_t i = 0; i < files; i++) nc_segment_unref(list[i]);
  free(list);
}

/* ---- foreground ---------------------------------------------------------------------------------------- */

typedef struct foreground {
  nacre_table *table;
  size_t files;
  bool writes;
  atomic_bool stop;
  uint32_t *samples; /* ns */
  size_t count;
} foreground;

static void one(foreground *f, uint64_t draw) {
  char key[24];
  size_t file = (size_t)(draw % (f->files < READ_FILES_MAX ? f->files : READ_FILES_MAX));
  nacre_slice k = key_of(key, file, (size_t)(draw >> 32) % KEYS_PER_FILE);
  if (f->writes) {
    OK(nacre_put(f->table, k, nc_slice("another", 7), NULL));
  } else {
    nacre_value value;
    OK(nacre_get(f->table, k, NULL, &value));
    nacre_value_release(&value);
  }
}

static void *run_foreground(void *arg) {
  foreground *f = arg;
  uint64_t state = f->writes ? 7 : 11;
  while (!atomic_load(&f->stop)) {
    struct timespec a, b, rest = {0, 100000};
    state = state * 6364136223846793005u + 1442695040888963407u;
    clock_gettime(CLOCK_MONOTONIC, &a);
    one(f, state >> 8);
    clock_gettime(CLOCK_MONOTONIC, &b);
    int64_t ns = (b.tv_sec - a.tv_sec) * 1000000000 + (b.tv_nsec - a.tv_nsec);
    if (f->count < SAMPLES_MAX) f->samples[f->count++] = (uint32_t)(ns > UINT32_MAX ? UINT32_MAX : ns);
    nanosleep(&rest, NULL); /* an open loop of some thousand a second: latency, not throughput */
  }
  return NULL;
}

static int by_value(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

static void print_latency(const char *when, foreground *f) {
  qsort(f->samples, f->count, sizeof *f->samples, by_value);
  size_t n = f->count;
  if (n == 0) return;
  printf("  %-6s %s: %8zu operations, p50 %6.1f us, p99 %6.1f us, p99.9 %7.1f us, longest %7.2f ms\n",
         f->writes ? "writes" : "reads", when, n, f->samples[n / 2] * 1e-3, f->samples[n * 99 / 100] * 1e-3,
         f->samples[n * 999 / 1000] * 1e-3, f->samples[n - 1] * 1e-6);
}

/* Runs a reader and a writer while `work` (NULL: for `seconds`) does its own. */
static void measure(nacre_table *t, size_t files, const char *when, double seconds, void (*work)(nacre_table *, double)) {
  foreground f[2] = {{.table = t, .files = files}, {.table = t, .files = files, .writes = true}};
  pthread_t threads[2];
  for (int i = 0; i < 2; i++) {
    f[i].samples = malloc(SAMPLES_MAX * sizeof(uint32_t));
    if (f[i].samples == NULL || pthread_create(&threads[i], NULL, run_foreground, &f[i]) != 0) die("thread");
  }
  work(t, seconds);
  for (int i = 0; i < 2; i++) {
    atomic_store(&f[i].stop, true);
    pthread_join(threads[i], NULL);
    print_latency(when, &f[i]);
    free(f[i].samples);
  }
}

static void idle(nacre_table *t, double seconds) {
  struct timespec rest = {(time_t)seconds, 0};
  (void)t;
  nanosleep(&rest, NULL);
}

static void rotate(nacre_table *t, double seconds) {
  double until = now_s() + seconds;
  int rounds = 0;
  do {
    OK(nacre_table_rotate(t));
    OK(nacre_table_rewrap_wait(t, NULL));
    rounds++;
  } while (now_s() < until);
  printf("  rotations while reading and writing: %d\n", rounds);
}

/* ---- the figures --------------------------------------------------------------------------------------- */

static void rotate_quietly(nacre_table *t, size_t files) {
  nacre_rewrap_report before, after;
  OK(nacre_table_rewrap_wait(t, &before));
  nacre_retirements_free(before.retirements);
  double begun = now_s();
  OK(nacre_table_rotate(t));
  double committed = now_s();
  OK(nacre_table_rewrap_wait(t, &after));
  double done = now_s();
  uint64_t rewrapped = after.rewrapped - before.rewrapped, header_bytes = after.header_bytes - before.header_bytes;
  printf("  rotation of %zu segments: committed after %.1f ms, all rewrapped and the old key retired after %.2f s\n",
         files, (committed - begun) * 1e3, done - begun);
  printf("  %llu headers rewrapped, %.0f bytes written a file; data bytes rewritten: %llu\n",
         (unsigned long long)rewrapped, rewrapped == 0 ? 0 : (double)header_bytes / (double)rewrapped,
         (unsigned long long)(after.copied_bytes - before.copied_bytes));
  nacre_retirements_free(after.retirements);
}

int main(int argc, char **argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: rotation DIRECTORY FILES [SECONDS]\n");
    return 2;
  }
  size_t files = strtoul(argv[2], NULL, 10);
  double seconds = argc > 3 ? atof(argv[3]) : 5;
  nacre_table *t;
  nacre_store *store = open_store(argv[1], true);
  OK(nacre_table_create(store, "table", NULL, &t));
  double begun = now_s();
  fill(t, files);
  printf("%zu files, made in %.1f s\n", files, now_s() - begun);
  OK(nacre_table_close(t));
  OK(nacre_close(store));

  atomic_store(&unwraps, 0);
  begun = now_s();
  store = open_store(argv[1], false);
  unsigned for_store = atomic_exchange(&unwraps, 0);
  OK(nacre_table_open(store, "table", NULL, &t));
  printf("  open: %.1f ms, KMS calls: %u for the store, %u for the table\n", (now_s() - begun) * 1e3, for_store,
         atomic_load(&unwraps));
  rotate_quietly(t, files);
  measure(t, files, "before", seconds, idle);
  measure(t, files, "during", seconds, rotate);
  OK(nacre_table_close(t));
  OK(nacre_close(store));
  return 0;
}
