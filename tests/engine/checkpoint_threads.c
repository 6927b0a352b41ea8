/* SPDX-License-Identifier: Apache-2.0
 *
 * Checkpoints beside everything else: writers, flushes, merges, changes of keys, tables that come and go. Every
 * copy is sound, and holds of each table what had been written up to one moment, in order. And beside a large write
 * that fails after its file was listed. A plain program, so that it also runs under ThreadSanitizer.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fixture.h"
#include "meter.h"

enum { TABLES = 2, KEYS = 50, COPIES = 6 };

static site s;
static nacre_store *store;
static nacre_table *tables[TABLES];
static atomic_bool stop;
static atomic_uint_fast64_t acknowledged[TABLES];

static bool went_well(nacre_status status, const char *what) {
  nacre_error err;
  nacre_last_error(&err);
  return CHECK(status == NACRE_OK, "%s: %s: %s [%s]", what, nacre_status_name(status), err.text, err.file);
}

/* Write n goes to key n mod KEYS, and says n. */
static void *write_on(void *arg) {
  size_t which = (size_t)(uintptr_t)arg;
  uint8_t filling[400];
  test_random random = {which + 1};
  for (uint64_t n = 1; !atomic_load(&stop); n++) {
    char key[16];
    test_random_fill(&random, filling, sizeof filling);
    memcpy(filling, &n, sizeof n);
    snprintf(key, sizeof key, "%04u", (unsigned)(n % KEYS));
    if (!went_well(nacre_put(tables[which], text(key), nc_slice(filling, sizeof filling), NULL), "put"))
      break;
    atomic_store(&acknowledged[which], n);
  }
  return NULL;
}

static void *care(void *arg) {
  test_random random = {99};
  nacre_slice none = {NULL, 0};
  (void)arg;
  while (!atomic_load(&stop)) {
    nacre_table *t = tables[test_random_below(&random, TABLES)];
    nacre_table *third = NULL;
    switch (test_random_below(&random, 5)) {
      case 0:
        went_well(nacre_flush(t), "flush");
        break;
      case 1:
        went_well(nacre_compact(t, none, none), "compact");
        break;
      case 2:
        went_well(nacre_table_rotate(t), "rotate");
        break;
      case 3:
        went_well(nacre_table_create(store, "third", NULL, &third), "create");
        went_well(nacre_table_close(third), "close");
        while (nacre_table_drop(store, "third") == NACRE_BUSY) usleep(200); /* a checkpoint holds it */
        break;
      default:
        went_well(nacre_store_rotate(store), "rotate the store's key");
        break;
    }
    usleep((useconds_t)test_random_below(&random, 4000));
  }
  return NULL;
}

/* The state behind one write, which is not before `least`. */
static void check_content(nacre_table *t, uint64_t least, const char *path) {
  uint64_t seen[KEYS] = {0}, newest = 0;
  for (unsigned i = 0; i < KEYS; i++) {
    char key[16];
    nacre_value value;
    snprintf(key, sizeof key, "%04u", i);
    nacre_status status = nacre_get(t, text(key), NULL, &value);
    if (status == NACRE_NOT_FOUND) continue;
    if (!went_well(status, "get")) return;
    memcpy(&seen[i], value.data, sizeof seen[i]);
    nacre_value_release(&value);
    if (seen[i] > newest) newest = seen[i];
  }
  CHECK(newest >= least, "%s: ends at write %llu, before %llu", path, (unsigned long long)newest,
        (unsigned long long)least);
  for (unsigned i = 0; i < KEYS; i++) {
    uint64_t back = (newest + KEYS - i) % KEYS, wanted = back >= newest ? 0 : newest - back;
    CHECK(seen[i] == wanted, "%s: key %u is of write %llu, not %llu", path, i, (unsigned long long)seen[i],
          (unsigned long long)wanted);
  }
}

static void check_copy(const char *path, const uint64_t least[TABLES]) {
  nacre_store *copy;
  nacre_store_options options = s.options;
  options.create = false;
  options.workers = UINT32_MAX;
  if (!went_well(nacre_open(path, &options, &copy), "open the copy")) return;
  for (size_t i = 0; i < TABLES; i++) {
    nacre_table *t;
    if (!went_well(nacre_table_open(copy, i == 0 ? "table" : "other", NULL, &t), "open a table of the copy"))
      continue;
    check_content(t, least[i], path);
    went_well(nacre_verify(t, NULL, NULL), "verify");
    put_text(t, "own", "1", true);
    check_content(t, least[i], path);
    went_well(nacre_table_close(t), "close a table of the copy");
  }
  went_well(nacre_close(copy), "close the copy");
}

/* ---- a large write that fails meanwhile ---------------------------------------------------------------- */

typedef struct meeting {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  bool has_file,
      may_go_on; /* the writer: its file is part of the table; it has been listed and begun to be copied */
  pthread_t writer;
  nacre_status written;
} meeting;
static meeting m = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
static _Thread_local bool rests, named; /* the name of its file is durable */

static void await(bool *what) {
  pthread_mutex_lock(&m.lock);
  while (!*what) pthread_cond_wait(&m.changed, &m.lock);
  pthread_mutex_unlock(&m.lock);
}

static void tell(bool *what) {
  pthread_mutex_lock(&m.lock);
  *what = true;
  pthread_cond_broadcast(&m.changed);
  pthread_mutex_unlock(&m.lock);
}

static char table_name[64]; /* of its directory */
static char copy_path[PATH_BYTES];

static size_t value_files(const char *path) {
  char directory[PATH_BYTES];
  join(directory, path, table_name);
  return count_files(directory, ".val");
}

/* A write that is timed looks at the clock once its file is part of the table, and before it queues. */
static int note_sync(void *context, nacre_io_dir *dir) {
  (void)context, (void)dir;
  named = true;
  return 0;
}

static uint64_t look_at_the_clock(void *context) {
  if (rests && named) {
    rests = false;
    tell(&m.has_file);
    await(&m.may_go_on);
  }
  return nacre_io_posix()->monotonic_ns(context);
}

/* Expects a key to be missing that comes while it rests. */
static void *write_in_vain(void *arg) {
  enum { BYTES = 100000 };
  nacre_batch *batch;
  uint8_t *value = test_alloc(BYTES);
  (void)arg;
  ok(nacre_batch_create(&batch));
  ok(nacre_batch_expect(batch, text("comes"), NULL));
  ok(nacre_batch_put(batch, text("in vain"), nc_slice(value, BYTES)));
  rests = true;
  m.written = nacre_write(tables[0], batch, NULL);
  nacre_batch_destroy(batch);
  free(value);
  return NULL;
}

/* The writer fails between the copy of its file's header and that of its body. */
static void let_it_fail(void *arg, uint64_t bytes_done, uint64_t bytes_total) {
  bool *done = arg;
  (void)bytes_done;
  (void)bytes_total;
  if (*done) return;
  *done = true;
  CHECK(value_files(copy_path) == 1, "the file was not listed");
  put_text(tables[0], "comes", "1", false);
  tell(&m.may_go_on);
  pthread_join(m.writer, NULL);
}

static void check_copy_without(const char *path) {
  nacre_store *copy;
  nacre_table *t;
  nacre_store_options options = s.options;
  options.create = false;
  if (!went_well(nacre_open(path, &options, &copy), "open the copy")) return;
  if (went_well(nacre_table_open(copy, "table", NULL, &t), "open a table of the copy")) {
    CHECK(value_files(path) == 0, "something of the failed write's file is in the copy");
    CHECK(holds(t, NULL, "a", "1") && holds(t, NULL, "in vain", NULL), "the copy is not of its moment");
    went_well(nacre_verify(t, NULL, NULL), "verify");
    went_well(nacre_table_close(t), "close a table of the copy");
  }
  went_well(nacre_close(copy), "close the copy");
}

static void a_large_write_fails_meanwhile(void) {
  bool done = false;
  nacre_checkpoint_options options = {.on_progress = let_it_fail, .progress_arg = &done};
  nacre_table_options table_options = {.large_value_bytes = 4096};
  site_make(&s);
  s.quick.monotonic_ns = look_at_the_clock;
  s.quick.dir_sync = note_sync;
  ok(nacre_open(s.store, &s.options, &store));
  ok(nacre_table_create(store, "table", &table_options, &tables[0]));
  nacre_table_infos *infos;
  ok(nacre_table_list(store, &infos));
  snprintf(table_name, sizeof table_name, "%s", nacre_table_infos_at(infos, 0)->uuid);
  nacre_table_infos_free(infos);
  /* One of so many writes is timed, and the other thread may be counted with this one: either way its first is. */
  for (int i = 0; i < NC_METER_INTERVAL; i++) put_text(tables[0], "a", "1", false);
  ok(nacre_flush(tables[0])); /* its segment has a lower number than the value's file: it is copied first */
  pthread_create(&m.writer, NULL, write_in_vain, NULL);
  await(&m.has_file);
  CHECK(value_files(s.store) == 1, "the writer rests before its file is there");
  join(copy_path, s.path, "copy");
  went_well(nacre_checkpoint(store, copy_path, &options, NULL), "checkpoint");
  CHECK(done && m.written == NACRE_CONFLICT, "the write ended with %s", nacre_status_name(m.written));
  CHECK(value_files(s.store) == 0, "the failed write's file is still there");
  check_copy_without(copy_path);
  went_well(nacre_table_close(tables[0]), "close");
  went_well(nacre_close(store), "close the store");
  site_remove(&s);
}

/* ---- everything else ----------------------------------------------------------------------------------- */

static void everything_goes_on_meanwhile(void) {
  pthread_t threads[TABLES + 1];
  site_make(&s);
  s.options.workers = 2;
  s.options.memtable_bytes = 256 * 1024;
  tables[0] = site_table(&s, &store, "table");
  ok(nacre_table_create(store, "other", NULL, &tables[1]));
  for (size_t i = 0; i < TABLES; i++) pthread_create(&threads[i], NULL, write_on, (void *)(uintptr_t)i);
  pthread_create(&threads[TABLES], NULL, care, NULL);
  for (int i = 0; i < COPIES; i++) {
    char path[PATH_BYTES], name[16];
    uint64_t least[TABLES];
    usleep(60 * 1000);
    snprintf(name, sizeof name, "copy-%d", i);
    join(path, s.path, name);
    for (size_t k = 0; k < TABLES; k++) least[k] = atomic_load(&acknowledged[k]);
    if (went_well(nacre_checkpoint(store, path, NULL, NULL), "checkpoint")) check_copy(path, least);
  }
  atomic_store(&stop, true);
  for (size_t i = 0; i <= TABLES; i++) pthread_join(threads[i], NULL);
  printf("checkpoint_threads: %d copies beside %llu and %llu writes\n", COPIES,
         (unsigned long long)acknowledged[0], (unsigned long long)acknowledged[1]);
  for (size_t i = 0; i < TABLES; i++) went_well(nacre_table_close(tables[i]), "close");
  went_well(nacre_close(store), "close the store");
  site_remove(&s);
}

int main(void) {
  a_large_write_fails_meanwhile();
  everything_goes_on_meanwhile();
  return test_finish();
}
