/* SPDX-License-Identifier: Apache-2.0
 *
 * Changes of table keys beside everything else: writers, readers, iterators, flushes, merges, verify, status,
 * waiting, the store's own key, and tables that are closed in the midst of a change. Nothing is lost, nobody
 * fails, every wait returns. A plain program, so that it also runs under ThreadSanitizer.
 *
 * Each writer owns its keys and counts them up, so that a reader can check what it sees: no number goes back.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fake_kms.h"
#include "fixture.h"

enum { WRITERS = 2, KEYS = 30, KMS_KEYS = 4, COMERS = 2 };

typedef enum turn {
  WRITE,
  READ,
  ITERATE,
  CARE,
  CHANGE,
  WAIT,
  STATUS,
  STORE_KEY,
  COME = STORE_KEY + 1,
  TURNS = COME + COMERS
} turn;

static site s;
static fake_kms kms;
static nacre_store *store;
static nacre_table *t;
static atomic_bool stop;
static atomic_uint_fast64_t acknowledged[WRITERS][KEYS], turns[TURNS], changed, retired;

static void took(turn which) { atomic_fetch_add(&turns[which], 1); }

static bool went_well(nacre_status status, const char *what) {
  nacre_error err;
  nacre_last_error(&err);
  return CHECK(status == NACRE_OK, "%s: %s: %s [%s]", what, nacre_status_name(status), err.text, err.file);
}

/* ---- values -------------------------------------------------------------------------------------------- */

typedef struct cell {
  uint64_t number;
  uint8_t filling[300];
} cell;

static nacre_slice key_of(char buffer[32], unsigned writer, unsigned i) {
  return nc_slice(buffer, (size_t)snprintf(buffer, 32, "w%u/%03u", writer, i));
}

static nacre_slice make_cell(cell *c, unsigned writer, uint64_t number) {
  c->number = number;
  test_value_make(c->filling, sizeof c->filling, writer, 0, number);
  return nc_slice(c, sizeof *c);
}

static uint64_t read_cell(nacre_slice value, unsigned writer) {
  cell found, wanted;
  if (!CHECK(value.size == sizeof found, "a value of %zu bytes", value.size)) return 0;
  memcpy(&found, value.data, sizeof found);
  (void)make_cell(&wanted, writer, found.number);
  CHECK(memcmp(found.filling, wanted.filling, sizeof found.filling) == 0, "a value that nobody wrote");
  return found.number;
}

static uint64_t get_number(nacre_table *table, unsigned writer, unsigned i) {
  char buffer[32];
  nacre_value v;
  nacre_status status = nacre_get(table, key_of(buffer, writer, i), NULL, &v);
  if (status == NACRE_NOT_FOUND || !went_well(status, "get")) return 0;
  uint64_t number = read_cell(nc_slice(v.data, v.size), writer);
  nacre_value_release(&v);
  return number;
}

/* ---- those who use the table --------------------------------------------------------------------------- */

static void *write_numbers(void *arg) {
  unsigned writer = (unsigned)(uintptr_t)arg;
  for (uint64_t n = 1; !atomic_load(&stop); n++) {
    char buffer[32];
    cell c;
    unsigned i = (unsigned)(n % KEYS);
    nacre_write_options options = {.sync = writer == 0 && n % 16 == 0};
    if (!went_well(nacre_put(t, key_of(buffer, writer, i), make_cell(&c, writer, n), &options), "put")) break;
    atomic_store(&acknowledged[writer][i], n);
    took(WRITE);
  }
  return NULL;
}

static void *read_numbers(void *arg) {
  test_random random = {(uintptr_t)arg};
  while (!atomic_load(&stop)) {
    unsigned writer = (unsigned)test_random_below(&random, WRITERS);
    unsigned i = (unsigned)test_random_below(&random, KEYS);
    uint64_t before = atomic_load(&acknowledged[writer][i]);
    CHECK(get_number(t, writer, i) >= before, "what was acknowledged is seen");
    took(READ);
  }
  return NULL;
}

static void *iterate(void *arg) {
  (void)arg;
  while (!atomic_load(&stop)) {
    nacre_iter *it;
    if (!went_well(nacre_iter_open(t, NULL, &it), "iter_open")) break;
    for (nacre_iter_first(it); nacre_iter_valid(it); nacre_iter_next(it))
      (void)read_cell(nacre_iter_value(it), ((const char *)nacre_iter_key(it).data)[1] == '0' ? 0 : 1);
    went_well(nacre_iter_status(it), "iterator");
    nacre_iter_close(it);
    took(ITERATE);
  }
  return NULL;
}

static void *care(void *arg) {
  test_random random = {(uintptr_t)arg};
  const nacre_slice none = {NULL, 0};
  while (!atomic_load(&stop)) {
    switch (test_random_below(&random, 5)) {
      case 0:
        went_well(nacre_flush(t), "flush");
        break;
      case 1:
        went_well(nacre_compact(t, none, none), "compact");
        break;
      case 2:
        went_well(nacre_sync(t), "sync");
        break;
      case 3:
        went_well(nacre_wait_idle(t), "wait_idle");
        break;
      default:
        went_well(nacre_verify(t, NULL, NULL), "verify");
        break;
    }
    took(CARE);
    usleep(500);
  }
  return NULL;
}

/* ---- those who change its keys ------------------------------------------------------------------------- */

static nacre_status try_change(nacre_table *table, test_random *random) {
  nacre_key_spec specs[KMS_KEYS];
  if (test_random_chance(random, 2)) return nacre_table_rotate(table);
  unsigned first = (unsigned)test_random_below(random, KMS_KEYS);
  size_t count = 1 + (size_t)test_random_below(random, KMS_KEYS);
  for (unsigned i = 0; i < count; i++) specs[i] = fake_spec((first + i) % KMS_KEYS);
  return nacre_table_set_key(table, specs, count);
}

/* So many changes may have come at once that there is no room for another before the older ones are at an
 * end. */
static void change_key(nacre_table *table, test_random *random) {
  nacre_status status = try_change(table, random);
  went_well(status == NACRE_TOO_LARGE ? nacre_table_rewrap_wait(table, NULL) : status, "a change");
}

static void *change_keys(void *arg) {
  test_random random = {(uintptr_t)arg};
  while (!atomic_load(&stop)) {
    change_key(t, &random);
    usleep((useconds_t)test_random_below(&random, 40000));
    took(CHANGE);
  }
  return NULL;
}

static void *wait_often(void *arg) {
  test_random random = {(uintptr_t)arg};
  while (!atomic_load(&stop)) {
    nacre_rewrap_report report;
    if (went_well(nacre_table_rewrap_wait(t, &report), "rewrap_wait"))
      nacre_retirements_free(report.retirements);
    usleep((useconds_t)test_random_below(&random, 3000));
    took(WAIT);
  }
  return NULL;
}

static void *ask_status(void *arg) {
  (void)arg;
  while (!atomic_load(&stop)) {
    nacre_key_status status;
    if (!went_well(nacre_table_key_status(t, &status), "key_status")) break;
    size_t active = 0;
    for (size_t i = 0; i < nacre_key_versions_count(status.versions); i++)
      active += nacre_key_versions_at(status.versions, i)->active;
    CHECK(active == 1 && status.files > 0, "%zu versions are active", active);
    for (size_t i = 0; i < nacre_kms_keys_count(status.kms_keys); i++) {
      const nacre_kms_key *key = nacre_kms_keys_at(status.kms_keys, i);
      CHECK(key->status == NACRE_OK || key->checked_ms == 0, "%s: %s", key->uri, key->reason);
    }
    nacre_key_versions_free(status.versions);
    nacre_kms_keys_free(status.kms_keys);
    took(STATUS);
    usleep(1000);
  }
  return NULL;
}

static void *change_stores_key(void *arg) {
  test_random random = {(uintptr_t)arg};
  while (!atomic_load(&stop)) {
    nacre_key_status status;
    unsigned key = (unsigned)test_random_below(&random, KMS_KEYS);
    went_well(test_random_chance(&random, 2) ? nacre_store_rotate(store)
                                             : nacre_store_set_key(store, fake_spec(key)),
              "the store's key");
    if (went_well(nacre_store_key_status(store, &status), "the store's status")) {
      nacre_key_versions_free(status.versions);
      nacre_kms_keys_free(status.kms_keys);
    }
    usleep(2000);
    took(STORE_KEY);
  }
  return NULL;
}

/* A table of its own, closed in the midst of a change and opened again; what it wrote is there. */
static void *come_and_go(void *arg) {
  uintptr_t number = (uintptr_t)arg;
  test_random random = {number + 77};
  char name[32], buffer[32];
  cell c;
  snprintf(name, sizeof name, "comer %u", (unsigned)number);
  ok(nacre_table_create(store, name, NULL, NULL));
  for (uint64_t n = 1; !atomic_load(&stop); n++) {
    nacre_table *own, *same;
    if (!went_well(nacre_table_open(store, name, NULL, &own), "open")) break;
    for (unsigned i = 0; i < KEYS; i++)
      CHECK(get_number(own, 0, i) == (n <= 1 ? 0 : n - 1), "table %u, round %u", (unsigned)number,
            (unsigned)n);
    for (unsigned i = 0; i < KEYS; i++) {
      if (i == 7) change_key(own, &random);
      if (i == 9 && n % 2 == 0) went_well(nacre_flush(own), "flush");
      if (i == 20 && n % 3 == 0) change_key(own, &random);
      went_well(nacre_put(own, key_of(buffer, 0, i), make_cell(&c, 0, n), NULL), "put");
    }
    usleep((useconds_t)test_random_below(&random, 3000));
    went_well(nacre_table_open(store, "table", NULL, &same), "open once more");
    went_well(nacre_table_close(same), "close one of several opens");
    went_well(nacre_table_close(own), "close");
    took((turn)(COME + number));
  }
  return NULL;
}

/* ---- the whole ----------------------------------------------------------------------------------------- */

static void on_event(void *arg, const nacre_event *event) {
  (void)arg;
  if (event->type == NACRE_EVENT_KEY_CHANGED) atomic_fetch_add(&changed, 1);
  if (event->type == NACRE_EVENT_KEY_RETIRED && event->key_uri == NULL) atomic_fetch_add(&retired, 1);
  CHECK(event->type != NACRE_EVENT_BACKGROUND_ERROR && event->type != NACRE_EVENT_KEY_ABANDONED, "%s",
        event->error == NULL ? "" : event->error->text);
}

static void check_final(void) {
  for (unsigned w = 0; w < WRITERS; w++) {
    for (unsigned i = 0; i < KEYS; i++)
      CHECK(get_number(t, w, i) == atomic_load(&acknowledged[w][i]), "the last number is there");
  }
}

/* Ends the program when somebody waits for ever: `ended` is set by who is watched. */
static void *watch(void *ended) {
  double end = test_seconds() + 60;
  while (!atomic_load((atomic_bool *)ended)) {
    if (test_seconds() > end) test_die("somebody does not come back");
    usleep(20000);
  }
  return NULL;
}

static void end_watched(pthread_t *threads, size_t count) {
  pthread_t watcher;
  atomic_bool ended = false;
  if (pthread_create(&watcher, NULL, watch, &ended) != 0) test_die("no threads");
  atomic_store(&stop, true);
  for (size_t i = 0; i < count; i++) pthread_join(threads[i], NULL);
  went_well(nacre_table_rewrap_wait(t, NULL), "the last wait");
  atomic_store(&ended, true);
  pthread_join(watcher, NULL);
}

static void only_one_version(void) {
  nacre_key_status status;
  ok(nacre_table_key_status(t, &status));
  CHECK(nacre_key_versions_count(status.versions) == 1 && status.files_left == 0, "%zu versions are left",
        nacre_key_versions_count(status.versions));
  nacre_key_versions_free(status.versions);
  nacre_kms_keys_free(status.kms_keys);
}

static void run(uint32_t workers, double seconds) {
  static const struct {
    void *(*body)(void *arg);
    uintptr_t arg;
  } jobs[] = {{write_numbers, 0}, {write_numbers, 1},     {read_numbers, 1},
              {read_numbers, 2},  {iterate, 0},           {care, 3},
              {care, 4},          {change_keys, 5},       {wait_often, 6},
              {ask_status, 7},    {change_stores_key, 8}, {come_and_go, 0},
              {come_and_go, 1}};
  enum { JOBS = sizeof jobs / sizeof jobs[0] };
  pthread_t threads[JOBS];
  memset(acknowledged, 0, sizeof acknowledged);
  memset(turns, 0, sizeof turns);
  atomic_store(&stop, false);
  nacre_key_spec trusted[KMS_KEYS];
  for (unsigned i = 0; i < KMS_KEYS; i++) trusted[i] = fake_spec(i);
  fake_kms_init(&kms);
  site_make(&s);
  s.options.io = NULL; /* syncs that take their time */
  s.options.workers = workers;
  s.options.memtable_bytes = 128 << 10;
  s.options.cache_bytes = 1 << 20;
  s.options.on_event = on_event;
  s.options.kms_providers = kms.list;
  s.options.kms_provider_count = 1;
  s.options.default_key = trusted[0];
  s.options.trusted_keys = &trusted[1]; /* whichever the store's key comes to be */
  s.options.trusted_key_count = KMS_KEYS - 1;
  t = site_table(&s, &store, "table");
  double end = test_seconds() + seconds;
  for (size_t i = 0; i < JOBS; i++) {
    if (pthread_create(&threads[i], NULL, jobs[i].body, (void *)jobs[i].arg) != 0) test_die("no threads");
  }
  while (test_seconds() < end) usleep(10000);
  end_watched(threads, JOBS);
  for (size_t i = 0; i < TURNS; i++) CHECK(atomic_load(&turns[i]) > 0, "turn %zu did not come", i);
  check_final();
  only_one_version();
  ok(nacre_table_rotate(t)); /* and closed at once */
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  t = site_table(&s, &store, "table");
  check_final();
  went_well(nacre_table_rewrap_wait(t, NULL), "after a reopen");
  only_one_version();
  CHECK(nacre_verify(t, NULL, NULL) == NACRE_OK, "verify after a reopen");
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  site_remove(&s);
  printf("%u workers:", workers == UINT32_MAX ? 0 : workers);
  for (size_t i = 0; i < TURNS; i++) printf(" %llu", (unsigned long long)atomic_load(&turns[i]));
  printf(" turns; %llu changes, %llu versions retired\n", (unsigned long long)atomic_load(&changed),
         (unsigned long long)atomic_load(&retired));
}

int main(void) {
  double seconds = (double)test_env_number("NACRE_THREADS_MS", 4000) / 1000;
  run(2, seconds);
  run(UINT32_MAX, seconds / 2);
  return test_finish();
}
