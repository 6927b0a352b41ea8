/* SPDX-License-Identifier: Apache-2.0
 *
 * workloads: see workloads.h.
 *
 * Every store's whole contents are compared, byte by byte, after it was written to; while time is taken, only
 * that values bear the number of their key, that what must be found is found, and counts.
 */
#include "workloads.h"

#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data.h"
#include "meter.h"

enum {
  BATCH = 1000,
  SAMPLE_EVERY = 16, /* calls whose latency is taken: a clock costs what a fast read costs */
  NEXTS = 10,
  COLD_PART = 50, /* a cold row reads so few keys that most find their block for the first time */
  SEEK_PART = 4,
  SYNC_PART = 100,
  WARM_PASSES = 3,
  GROWING_READS = 100000,
  STEADY_ROUNDS = 2,
  MIXED_THREADS = 4,
  PATH = 4096
};

const char *const bench_workload_names[] = {
    "fillseq",    "fillbatch", "fillsync", "fillrandom",       "overwrite", "readrandom", "readmissing",
    "seekrandom", "readseq",   "space",    "readwhilewriting", "growing",   "steady", NULL};

typedef struct bench {
  const bench_engine *engine;
  const bench_plan *plan;
  char path[PATH];
  bench_data data;
  void *store;
  uint32_t version; /* of what is written next */
  uint64_t begin,
      end;          /* of growing: which of the shuffled keys are written, and which are read (all below) */
  atomic_bool stop; /* of readwhilewriting */
  void (*emit)(void *arg, const bench_row *row);
  void *arg;
} bench;

/* One thread of a workload: the calls from `first` on of those that all threads do together. */
typedef struct worker {
  bench *b;
  const bench_engine *engine;
  void *session;
  void (*body)(struct worker *w);
  unsigned index, count; /* which of how many threads; a thread overwrites only numbers that are its own */
  uint64_t first, ops, done;
  unsigned sample_every; /* calls; of one of so many the latency is taken */
  bench_random random;
  bench_latencies latencies;
} worker;

/* ---- what is done -------------------------------------------------------------------------------------- */

static uint64_t call_begin(const worker *w) { return w->done % w->sample_every == 0 ? bench_now_ns() : 0; }

static void call_end(worker *w, uint64_t begun) {
  if (begun != 0) bench_latencies_add(&w->latencies, bench_now_ns() - begun);
}

static void put_number(worker *w, uint64_t number, uint32_t version) {
  char key[BENCH_KEY_BYTES], value[BENCH_VALUE_BYTES];
  bench_slice k = bench_key_make(key, number, false), v = bench_value_make(value, number, version);
  uint64_t begun = call_begin(w);
  w->engine->put(w->session, k, v);
  call_end(w, begun);
  w->done++;
}

static void fill_in_order(worker *w) {
  for (uint64_t i = 0; i < w->ops; i++) put_number(w, w->first + i, w->b->version);
}

static void fill_shuffled(worker *w) {
  for (uint64_t i = 0; i < w->ops; i++) put_number(w, w->b->data.shuffled[w->first + i], w->b->version);
}

static void fill_batches(worker *w) {
  bench_pair pairs[BATCH];
  char *bytes = malloc((size_t)BATCH * BENCH_PAIR_BYTES);
  if (bytes == NULL) bench_die("no memory");
  for (uint64_t i = 0; i < w->ops;) {
    size_t count = w->ops - i < BATCH ? (size_t)(w->ops - i) : BATCH;
    for (size_t j = 0; j < count; j++, i++) {
      char *at = bytes + j * BENCH_PAIR_BYTES;
      uint64_t number = w->b->data.shuffled[w->first + i];
      pairs[j].key = bench_key_make(at, number, false);
      pairs[j].value = bench_value_make(at + BENCH_KEY_BYTES, number, w->b->version);
    }
    uint64_t begun = bench_now_ns();
    w->engine->write(w->session, pairs, count);
    call_end(w, begun);
    w->done += count;
  }
  free(bytes);
}

static uint64_t own_number(worker *w) {
  return bench_random_below(&w->random, w->b->data.keys / w->count) * w->count + w->index;
}

static void overwrite(worker *w) {
  for (uint64_t i = 0; i < w->ops; i++) put_number(w, own_number(w), w->b->version + (uint32_t)i);
}

static void get_number(worker *w, uint64_t number, bool missing) {
  char key[BENCH_KEY_BYTES];
  bench_slice k = bench_key_make(key, number, missing), value;
  uint64_t begun = call_begin(w);
  bool found = w->engine->get(w->session, k, &value);
  call_end(w, begun);
  if (found == missing || (found && bench_value_number(value) != number)) {
    bench_die("%s: wrong answer for key %.16s", w->engine->name, key);
  }
  w->done++;
}

static void read_random(worker *w) {
  for (uint64_t i = 0; i < w->ops; i++) get_number(w, bench_random_below(&w->random, w->b->data.keys), false);
}

static void read_missing(worker *w) {
  for (uint64_t i = 0; i < w->ops; i++) get_number(w, bench_random_below(&w->random, w->b->data.keys), true);
}

static void seek_random(worker *w) {
  for (uint64_t i = 0; i < w->ops; i++, w->done++) {
    char key[BENCH_KEY_BYTES];
    uint64_t number = bench_random_below(&w->random, w->b->data.keys), sum = 0, expected = 0;
    bench_slice k = bench_key_make(key, number, false);
    bench_pair pair;
    uint64_t begun = call_begin(w);
    bool more = w->engine->seek(w->session, k, &pair);
    for (int n = 0; more && n < NEXTS; n++) {
      sum += bench_value_number(pair.value);
      more = w->engine->next(w->session, &pair);
    }
    w->engine->leave(w->session);
    call_end(w, begun);
    for (uint64_t n = number; n < number + NEXTS && n < w->b->data.keys; n++) expected += n;
    if (sum != expected) bench_die("%s: wrong keys behind %.16s", w->engine->name, key);
  }
}

/* `ops` is a number of passes. */
static void read_in_order(worker *w) {
  uint64_t keys = w->b->data.keys;
  for (uint64_t pass = 0; pass < w->ops; pass++) {
    char first[BENCH_KEY_BYTES];
    bench_pair pair;
    uint64_t sum = 0, count = 0;
    bool more = w->engine->seek(w->session, bench_key_make(first, 0, false), &pair);
    for (; more; more = w->engine->next(w->session, &pair), count++) sum += bench_value_number(pair.value);
    w->engine->leave(w->session);
    if (count != keys || sum != keys * (keys - 1) / 2) bench_die("%s: wrong keys in a scan", w->engine->name);
    w->done += count;
  }
}

/* The same through what the engine has to read many pairs at once; one by one where it has nothing. */
static void read_many(worker *w) {
  enum { AT_ONCE = 64 };
  uint64_t keys = w->b->data.keys;
  if (w->engine->many == NULL) {
    read_in_order(w);
    return;
  }
  for (uint64_t pass = 0; pass < w->ops; pass++) {
    char first[BENCH_KEY_BYTES];
    bench_pair pairs[AT_ONCE];
    uint64_t sum = 0, count = 0;
    if (!w->engine->seek(w->session, bench_key_make(first, 0, false), &pairs[0]))
      bench_die("%s: nothing to scan", w->engine->name);
    for (size_t n; (n = w->engine->many(w->session, pairs, AT_ONCE)) > 0; count += n) {
      for (size_t i = 0; i < n; i++) sum += bench_value_number(pairs[i].value);
    }
    w->engine->leave(w->session);
    if (count != keys || sum != keys * (keys - 1) / 2) bench_die("%s: wrong keys in a scan", w->engine->name);
    w->done += count;
  }
}

static void grow(worker *w) {
  for (uint64_t i = 0; i < w->ops; i++)
    put_number(w, w->b->data.shuffled[w->b->begin + w->first + i], w->b->version);
}

static void read_grown(worker *w) {
  for (uint64_t i = 0; i < w->ops; i++)
    get_number(w, w->b->data.shuffled[bench_random_below(&w->random, w->b->end)], false);
}

/* Half of the threads write and half of them read, all as fast as they can, until they are told to stop. */
static bool is_writer(const worker *w) { return w->index < w->count / 2; }

static void mix(worker *w) {
  w->sample_every = 1; /* stalls are rare */
  while (!atomic_load_explicit(&w->b->stop, memory_order_relaxed)) {
    if (is_writer(w)) {
      put_number(w, own_number(w), w->b->version + (uint32_t)w->done);
    } else {
      get_number(w, bench_random_below(&w->random, w->b->data.keys), false);
    }
  }
}

/* ---- threads ------------------------------------------------------------------------------------------- */

static void *run_worker(void *arg) {
  worker *w = arg;
  w->session = w->engine->session_open(w->b->store);
  w->body(w);
  w->engine->session_close(w->session);
  return NULL;
}

static worker *make_workers(bench *b, void (*body)(worker *w), uint64_t ops, unsigned count, bool divide) {
  worker *workers = calloc(count, sizeof *workers);
  if (workers == NULL) bench_die("no memory");
  for (unsigned i = 0; i < count; i++) {
    uint64_t from = divide ? ops * i / count : 0, to = divide ? ops * (i + 1) / count : ops;
    workers[i] = (worker){.b = b,
                          .engine = b->engine,
                          .body = body,
                          .index = i,
                          .count = count,
                          .first = from,
                          .ops = to - from,
                          .sample_every = SAMPLE_EVERY,
                          .random = {b->plan->seed * 1000 + b->version + i}};
  }
  return workers;
}

static void join_workers(const pthread_t *threads, unsigned count) {
  for (unsigned i = 0; i < count; i++) pthread_join(threads[i], NULL);
}

static void start_workers(pthread_t *threads, worker *workers, unsigned count) {
  for (unsigned i = 0; i < count; i++)
    if (pthread_create(&threads[i], NULL, run_worker, &workers[i]) != 0) bench_die("no thread");
}

/* ---- rows ---------------------------------------------------------------------------------------------- */

static bool in_plan(const bench *b, const char *name) {
  const char *list = b->plan->workloads;
  size_t size = strlen(name);
  for (; list != NULL; list = strchr(list, ',') == NULL ? "" : strchr(list, ',') + 1) {
    if (*list == '\0') return false;
    if (strncmp(list, name, size) == 0 && (list[size] == ',' || list[size] == '\0')) return true;
  }
  return true;
}

static bench_row make_row(const char *name, const char *suffix, uint64_t ops, bench_meter begun) {
  bench_meter now = bench_meter_read();
  bench_row row = {.ops = ops,
                   .wall_s = now.wall_s - begun.wall_s,
                   .cpu_s = now.cpu_s - begun.cpu_s,
                   .written_bytes = now.written_bytes - begun.written_bytes};
  snprintf(row.workload, sizeof row.workload, "%.20s%.10s", name, suffix);
  return row;
}

static void add_latencies(bench_row *row, const worker *workers, unsigned count) {
  bench_latencies all = {0};
  for (unsigned i = 0; i < count; i++) bench_latencies_join(&all, &workers[i].latencies);
  row->p50_ns = bench_latencies_at(&all, 0.5);
  row->p99_ns = bench_latencies_at(&all, 0.99);
  row->p999_ns = bench_latencies_at(&all, 0.999);
}

/* What the store should hold after `overwrite` and `mix`: the same draws once more. */
static void note_versions(bench *b, worker *workers, unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    worker *w = &workers[i];
    w->random = (bench_random){b->plan->seed * 1000 + b->version + i};
    for (uint64_t n = 0; n < w->done; n++) b->data.versions[own_number(w)] = b->version + (uint32_t)n;
  }
}

/* Runs `ops` calls on the plan's threads and hands out a row, unless `name` is NULL. `settle`: another row
 * that also counts the background work. */
static void run_row(bench *b, void (*body)(worker *w), uint64_t ops, const char *name, const char *suffix,
                    bool settle) {
  unsigned count = b->plan->threads;
  pthread_t *threads = calloc(count, sizeof *threads);
  worker *workers = make_workers(b, body, ops, count, body != read_in_order);
  if (threads == NULL) bench_die("no memory");
  if (settle) sync(); /* a page that is dirty already is not counted as written again */
  bench_meter begun = bench_meter_read();
  start_workers(threads, workers, count);
  join_workers(threads, count);
  uint64_t done = 0;
  for (unsigned i = 0; i < count; i++) done += workers[i].done;
  bench_row row = make_row(name == NULL ? "" : name, suffix, done, begun);
  row.user_bytes = settle ? done * BENCH_PAIR_BYTES : 0;
  add_latencies(&row, workers, count);
  if (name != NULL) b->emit(b->arg, &row);
  if (settle) {
    double sure_s = b->engine->settle(b->store);
    row = make_row(name, "+settle", done, begun);
    row.wall_s -= sure_s;
    row.user_bytes = done * BENCH_PAIR_BYTES;
    b->emit(b->arg, &row);
  }
  if (body == overwrite) note_versions(b, workers, count);
  free(workers);
  free(threads);
}

/* ---- stores -------------------------------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *place) {
  (void)stat, (void)type, (void)place;
  return remove(path);
}

void bench_directory_remove(const char *directory) { nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS); }

static void store_create(bench *b, bool durable) {
  if (mkdir(b->path, 0700) != 0) bench_die("%s cannot be made", b->path);
  b->store = b->engine->open(b->path, true, durable);
}

static void store_reopen(bench *b) {
  b->store = b->engine->open(b->path, false, false);
  b->engine->settle(b->store);
}

static void store_close(bench *b) {
  b->engine->close(b->store);
  b->store = NULL;
}

/* Every byte of every pair must be what was written last. */
static void check_contents(bench *b) {
  char key[BENCH_KEY_BYTES], value[BENCH_VALUE_BYTES];
  const bench_engine *e = b->engine;
  bench_pair pair;
  uint64_t number = 0;
  void *session = e->session_open(b->store);
  bool more = e->seek(session, bench_key_make(key, 0, false), &pair);
  for (; number < b->data.keys; number++) {
    if (b->data.versions[number] == 0) continue;
    bench_key_make(key, number, false);
    bench_value_make(value, number, b->data.versions[number]);
    if (!more || pair.key.size != sizeof key || memcmp(pair.key.data, key, sizeof key) != 0 ||
        pair.value.size != sizeof value || memcmp(pair.value.data, value, sizeof value) != 0) {
      bench_die("%s: the store does not hold what was written: key %.16s", e->name, key);
    }
    more = e->next(session, &pair);
  }
  if (more) bench_die("%s: the store holds more than was written", e->name);
  e->leave(session);
  e->session_close(session);
}

/* ---- the sequence -------------------------------------------------------------------------------------- */

/* Into a store of its own. `shuffled`: which of the keys when not all are written. */
static void run_fill(bench *b, const char *name, void (*body)(worker *w), uint64_t ops) {
  if (!in_plan(b, name)) return;
  bool durable = strcmp(name, "fillsync") == 0;
  store_create(b, durable);
  run_row(b, body, ops, name, "", true);
  memset(b->data.versions, 0, b->data.keys * sizeof(uint32_t));
  for (uint64_t i = 0; i < ops; i++)
    b->data.versions[body == fill_in_order ? i : b->data.shuffled[i]] = b->version;
  check_contents(b);
  store_close(b);
  bench_directory_remove(b->path);
}

static void run_cold(bench *b, const char *name, void (*body)(worker *w), uint64_t ops) {
  if (!in_plan(b, name)) return;
  store_reopen(b);
  run_row(b, body, ops, name, " cold", false);
  store_close(b);
}

static void run_warm(bench *b, const char *name, void (*body)(worker *w), uint64_t ops) {
  if (in_plan(b, name)) run_row(b, body, ops, name, " warm", false);
}

static void run_reads(bench *b) {
  uint64_t ops = b->plan->ops, few = ops / COLD_PART < 1000 ? 1000 : ops / COLD_PART;
  run_cold(b, "readrandom", read_random, few);
  run_cold(b, "readmissing", read_missing, few);
  run_cold(b, "seekrandom", seek_random, few);
  run_cold(b, "readseq", read_in_order, 1);
  if (!in_plan(b, "readrandom") && !in_plan(b, "readmissing") && !in_plan(b, "seekrandom") &&
      !in_plan(b, "readseq"))
    return;
  store_reopen(b);
  run_row(b, read_in_order, 1, NULL, "", false);
  run_row(b, read_random, ops, NULL, "", false);
  run_warm(b, "readrandom", read_random, ops);
  run_warm(b, "readmissing", read_missing, ops);
  run_warm(b, "seekrandom", seek_random, ops / SEEK_PART);
  run_warm(b, "readseq", read_in_order, WARM_PASSES);
  if (in_plan(b, "readseq")) run_row(b, read_many, WARM_PASSES, "readseq", " many", false);
  store_close(b);
}

static void run_space(bench *b, const char *name) {
  bench_row row = {.user_bytes = b->data.keys * BENCH_PAIR_BYTES,
                   .disk_bytes = bench_disk_bytes(b->path),
                   .memory_bytes = bench_peak_memory_bytes()};
  snprintf(row.workload, sizeof row.workload, "%s", name);
  b->emit(b->arg, &row);
}

/* Two rows, one for each kind of thread; the CPU time and the bytes are those of all four. */
static void run_mixed(bench *b) {
  if (!in_plan(b, "readwhilewriting")) return;
  store_reopen(b);
  worker *workers = make_workers(b, mix, 0, MIXED_THREADS, false);
  pthread_t threads[MIXED_THREADS];
  atomic_store(&b->stop, false);
  sync();
  bench_meter begun = bench_meter_read();
  start_workers(threads, workers, MIXED_THREADS);
  usleep((useconds_t)(b->plan->mixed_s * 1e6));
  atomic_store(&b->stop, true);
  join_workers(threads, MIXED_THREADS);
  for (unsigned half = 0; half < 2; half++) {
    const worker *w = &workers[half * MIXED_THREADS / 2];
    bench_row row = make_row("mixed", half == 0 ? " writes" : " reads", w[0].done + w[1].done, begun);
    row.user_bytes = (workers[0].done + workers[1].done) * BENCH_PAIR_BYTES;
    add_latencies(&row, w, MIXED_THREADS / 2);
    b->emit(b->arg, &row);
  }
  b->engine->settle(b->store);
  note_versions(b, workers, MIXED_THREADS / 2);
  check_contents(b);
  store_close(b);
  free(workers);
}

/* The store that is filled at random, overwritten, read and weighed. Where the plan leaves a fill out, it is
 * done without a row. */
static void run_main(bench *b) {
  uint64_t ops = b->plan->ops;
  store_create(b, false);
  if (in_plan(b, "fillrandom")) {
    run_row(b, fill_shuffled, ops, "fillrandom", "", true);
  } else {
    run_row(b, fill_shuffled, ops, NULL, "", false);
  }
  for (uint64_t i = 0; i < ops; i++) b->data.versions[i] = b->version;
  b->version++;
  check_contents(b);
  if (in_plan(b, "overwrite")) {
    run_row(b, overwrite, ops, "overwrite", "", true);
    b->version += (uint32_t)ops;
    check_contents(b);
  }
  b->engine->settle(b->store);
  store_close(b);
  run_reads(b);
  if (in_plan(b, "space")) run_space(b, "space");
  run_mixed(b);
  bench_directory_remove(b->path);
}

/* All keys, shuffled, in stretches, with random reads behind each: what becomes of both as data grows. Takes
 * long at the sizes it is made for, so it runs when it is named only. */
static void run_growing(bench *b) {
  static const unsigned percents[] = {2, 4, 10, 20, 40, 100};
  if (b->plan->workloads == NULL || !in_plan(b, "growing")) return;
  store_create(b, false);
  b->begin = 0;
  for (size_t i = 0; i < sizeof percents / sizeof percents[0]; i++, b->begin = b->end) {
    char name[32];
    b->end = b->plan->ops * percents[i] / 100;
    snprintf(name, sizeof name, "growing to %u %%", percents[i]);
    run_row(b, grow, b->end - b->begin, name, "", true);
    run_row(b, read_grown, GROWING_READS, name, " reads", false);
  }
  for (uint64_t i = 0; i < b->plan->ops; i++) b->data.versions[i] = b->version;
  check_contents(b);
  store_close(b);
  run_space(b, "growing space");
  bench_directory_remove(b->path);
}

static void run_steady_row(bench *b, void (*body)(worker *w), uint64_t ops, const char *name) {
  char space[32];
  snprintf(space, sizeof space, "%.20s space", name);
  run_row(b, body, ops, name, "", true);
  run_space(b, space);
  if (b->engine->tell != NULL) b->engine->tell(b->store);
}

/* Filled at random, then overwritten as often again, and again: what each byte costs in writing, in space and for
 * readers once nothing of the tree is young any more. Runs when it is named only. */
static void run_steady(bench *b) {
  if (b->plan->workloads == NULL || !in_plan(b, "steady")) return;
  uint64_t ops = b->plan->ops;
  store_create(b, false);
  run_steady_row(b, fill_shuffled, ops, "steady fill");
  for (uint64_t i = 0; i < ops; i++) b->data.versions[i] = b->version;
  b->version++;
  for (unsigned round = 1; round <= STEADY_ROUNDS; round++) {
    char name[32];
    snprintf(name, sizeof name, "steady again %u", round);
    run_steady_row(b, overwrite, ops, name);
    b->version += (uint32_t)ops;
  }
  check_contents(b);
  store_close(b);
  store_reopen(b);
  run_row(b, read_random, ops / COLD_PART, "steady reads", "", false);
  store_close(b);
  bench_directory_remove(b->path);
}

static bool needs_main(const bench *b) {
  for (size_t i = 3; strcmp(bench_workload_names[i], "growing") != 0; i++)
    if (in_plan(b, bench_workload_names[i])) return true;
  return false;
}

void bench_run(const bench_engine *engine, const bench_plan *plan, const char *directory,
               void (*emit)(void *arg, const bench_row *row), void *arg) {
  bench b = {.engine = engine, .plan = plan, .version = 1, .emit = emit, .arg = arg};
  snprintf(b.path, sizeof b.path, "%s/store", directory);
  bench_data_init(&b.data, plan->ops, plan->seed);
  run_fill(&b, "fillseq", fill_in_order, plan->ops);
  run_fill(&b, "fillbatch", fill_batches, plan->ops);
  run_fill(&b, "fillsync", fill_shuffled, plan->ops / SYNC_PART < 100 ? 100 : plan->ops / SYNC_PART);
  if (needs_main(&b)) run_main(&b);
  run_growing(&b);
  run_steady(&b);
  bench_data_deinit(&b.data);
}
