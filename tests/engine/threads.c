/* SPDX-License-Identifier: Apache-2.0
 *
 * Everything that may happen at once: writers (synced and not), batches, readers, iterators, snapshots,
 * flush, compact, stats, verify, and other tables that are made, opened, renamed, closed and dropped. A
 * plain program, so that it also runs under ThreadSanitizer.
 *
 * Each writer owns its keys and counts them up: key (writer, i) holds a number that only grows, and a batch
 * writes one number to all keys of a group. So a reader can check what it sees: no number goes back, no
 * group is torn, no value is a stranger's.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fixture.h"

enum { WRITERS = 3, KEYS = 40, GROUP = 8, THREADS_MAX = 16 };

static site s;
static nacre_store *store;
static nacre_table *t;
static atomic_bool stop;
static atomic_uint_fast64_t acknowledged[WRITERS][KEYS]; /* the last number whose write returned */
static atomic_uint_fast64_t group_acknowledged;
static atomic_uint_fast64_t turns[THREADS_MAX];

static nacre_slice number_key(char buffer[32], unsigned writer, unsigned i) {
  int size = snprintf(buffer, 32, "w%u/%03u", writer, i);
  return nc_slice(buffer, (size_t)size);
}
static nacre_slice group_key(char buffer[32], unsigned i) {
  int size = snprintf(buffer, 32, "group/%u", i);
  return nc_slice(buffer, (size_t)size);
}

/* A value: who wrote it, the number, and filling that depends on both. */
typedef struct cell {
  uint64_t writer, number;
  uint8_t filling[200];
} cell;

static nacre_slice make_cell(cell *c, uint64_t writer, uint64_t number) {
  c->writer = writer;
  c->number = number;
  test_value_make(c->filling, sizeof c->filling, writer, 0, number);
  return nc_slice(c, sizeof *c);
}

/* The number in a value, which must be this writer's. */
static uint64_t read_cell(nacre_slice value, uint64_t writer) {
  cell found, wanted;
  if (!CHECK(value.size == sizeof found, "a value of %zu bytes", value.size)) return 0;
  memcpy(&found, value.data, sizeof found);
  (void)make_cell(&wanted, writer, found.number);
  CHECK(memcmp(&found, &wanted, sizeof found) == 0, "a value that nobody wrote");
  return found.number;
}

/* ---- writers ------------------------------------------------------------------------------------------- */

static void *write_numbers(void *arg) {
  unsigned writer = (unsigned)(uintptr_t)arg;
  for (uint64_t n = 1; !atomic_load(&stop); n++) {
    char buffer[32];
    cell c;
    unsigned i = (unsigned)(n % KEYS);
    nacre_write_options options = {.sync = writer == 0 && n % 8 == 0};
    nacre_status status = nacre_put(t, number_key(buffer, writer, i), make_cell(&c, writer, n), &options);
    if (!CHECK(status == NACRE_OK, "put: %s", nacre_status_name(status))) break;
    atomic_store(&acknowledged[writer][i], n);
    atomic_fetch_add(&turns[writer], 1);
  }
  return NULL;
}

/* Now and then the whole group is deleted, by one batch as well. */
static void *write_groups(void *arg) {
  nacre_batch *b;
  (void)arg;
  ok(nacre_batch_create(&b));
  for (uint64_t n = 1; !atomic_load(&stop); n++) {
    nacre_batch_clear(b);
    for (unsigned i = 0; i < GROUP; i++) {
      char buffer[32];
      cell c;
      if (n % 7 == 0) {
        ok(nacre_batch_delete(b, group_key(buffer, i)));
      } else {
        ok(nacre_batch_put(b, group_key(buffer, i), make_cell(&c, 99, n)));
      }
    }
    nacre_write_options options = {.sync = n % 16 == 0};
    nacre_status status = nacre_write(t, b, &options);
    CHECK(status == NACRE_OK, "write: %s", nacre_status_name(status));
    atomic_store(&group_acknowledged, n);
    atomic_fetch_add(&turns[WRITERS], 1);
  }
  nacre_batch_destroy(b);
  return NULL;
}

/* ---- readers ------------------------------------------------------------------------------------------- */

/* 0: not there. */
static uint64_t get_number(nacre_slice key, uint64_t writer, const nacre_snapshot *snapshot) {
  nacre_value v;
  nacre_read_options options = {.snapshot = snapshot};
  nacre_status status = nacre_get(t, key, &options, &v);
  if (status == NACRE_NOT_FOUND) return 0;
  if (!CHECK(status == NACRE_OK, "get: %s", nacre_status_name(status))) return 0;
  uint64_t number = read_cell(nc_slice(v.data, v.size), writer);
  nacre_value_release(&v);
  return number;
}

static void *read_numbers(void *arg) {
  test_random random = {(uintptr_t)arg};
  while (!atomic_load(&stop)) {
    char buffer[32];
    unsigned writer = (unsigned)test_random_below(&random, WRITERS),
             i = (unsigned)test_random_below(&random, KEYS);
    uint64_t before = atomic_load(&acknowledged[writer][i]);
    uint64_t number = get_number(number_key(buffer, writer, i), writer, NULL);
    CHECK(number >= before, "what was acknowledged is seen");
    atomic_fetch_add(&turns[4], 1);
  }
  return NULL;
}

static void *read_groups(void *arg) {
  (void)arg;
  while (!atomic_load(&stop)) {
    char buffers[GROUP][32];
    nacre_slice keys[GROUP];
    nacre_value values[GROUP];
    nacre_status statuses[GROUP];
    for (unsigned i = 0; i < GROUP; i++) keys[i] = group_key(buffers[i], i);
    CHECK(nacre_multi_get(t, GROUP, keys, NULL, values, statuses) == NACRE_OK, "multi_get");
    uint64_t first = statuses[0] == NACRE_OK ? read_cell(nc_slice(values[0].data, values[0].size), 99) : 0;
    for (unsigned i = 1; i < GROUP; i++) {
      uint64_t number = statuses[i] == NACRE_OK ? read_cell(nc_slice(values[i].data, values[i].size), 99) : 0;
      CHECK(number == first, "a torn group: %llu and %llu", (unsigned long long)first,
            (unsigned long long)number);
    }
    for (unsigned i = 0; i < GROUP; i++) nacre_value_release(&values[i]);
    atomic_fetch_add(&turns[5], 1);
  }
  return NULL;
}

/* All there is, in order, in one direction or the other: a whole moment. */
static size_t scan(nacre_iter *it, bool backward, uint64_t *ret_sum) {
  char last[32] = "";
  size_t count = 0;
  *ret_sum = 0;
  for (backward ? nacre_iter_last(it) : nacre_iter_first(it); nacre_iter_valid(it);
       backward ? nacre_iter_prev(it) : nacre_iter_next(it)) {
    nacre_slice key = nacre_iter_key(it);
    char text_key[32] = "";
    if (key.size < sizeof text_key) memcpy(text_key, key.data, key.size);
    if (count > 0)
      CHECK(backward ? strcmp(text_key, last) < 0 : strcmp(text_key, last) > 0, "%s and %s", last, text_key);
    memcpy(last, text_key, sizeof last);
    *ret_sum += read_cell(nacre_iter_value(it), text_key[0] == 'g' ? 99 : (uint64_t)(text_key[1] - '0'));
    count++;
  }
  CHECK(nacre_iter_status(it) == NACRE_OK, "iterator: %s", nacre_status_name(nacre_iter_status(it)));
  return count;
}

static void *iterate(void *arg) {
  (void)arg;
  while (!atomic_load(&stop)) {
    nacre_iter *it;
    uint64_t forward, backward;
    if (!CHECK(nacre_iter_open(t, NULL, &it) == NACRE_OK, "iter_open")) break;
    size_t count = scan(it, false, &forward);
    CHECK(scan(it, true, &backward) == count && forward == backward, "an iterator sees one moment");
    nacre_iter_close(it);
    atomic_fetch_add(&turns[6], 1);
  }
  return NULL;
}

/* What a snapshot shows stays the same, whatever is flushed and merged. */
static void *hold_snapshots(void *arg) {
  test_random random = {(uintptr_t)arg};
  while (!atomic_load(&stop)) {
    nacre_snapshot *snapshot;
    char buffer[32];
    if (!CHECK(nacre_snapshot_take(t, &snapshot) == NACRE_OK, "snapshot_take")) break;
    unsigned writer = (unsigned)test_random_below(&random, WRITERS),
             i = (unsigned)test_random_below(&random, KEYS);
    uint64_t first = get_number(number_key(buffer, writer, i), writer, snapshot);
    uint64_t group = get_number(group_key(buffer, 0), 99, snapshot);
    for (int again = 0; again < 4; again++) {
      usleep(1000);
      CHECK(get_number(number_key(buffer, writer, i), writer, snapshot) == first,
            "a snapshot's number moved");
      CHECK(get_number(group_key(buffer, GROUP - 1), 99, snapshot) == group, "a snapshot's group moved");
    }
    nacre_snapshot_release(snapshot);
    atomic_fetch_add(&turns[7], 1);
  }
  return NULL;
}

/* ---- care ---------------------------------------------------------------------------------------------- */

static void *care(void *arg) {
  test_random random = {(uintptr_t)arg};
  const nacre_slice none = {NULL, 0};
  while (!atomic_load(&stop)) {
    nacre_stats stats;
    nacre_status status = NACRE_OK;
    switch (test_random_below(&random, 7)) {
      case 0:
        status = nacre_flush(t);
        break;
      case 1:
        status = nacre_compact(t, none, none);
        break;
      case 2:
        status = nacre_compact(t, text("w1"), text("w2"));
        break;
      case 3:
        status = nacre_sync(t);
        break;
      case 4:
        status = nacre_verify(t, NULL, NULL);
        break;
      case 5:
        status = nacre_wait_idle(t);
        break;
      default:
        status = nacre_table_stats(t, &stats);
        break;
    }
    nacre_error err;
    nacre_last_error(&err);
    CHECK(status == NACRE_OK, "care: %s: %s [%s]", nacre_status_name(status), err.text, err.file);
    atomic_fetch_add(&turns[8 + ((uintptr_t)arg & 1)], 1);
    usleep(500);
  }
  return NULL;
}

/* Tables come and go beside; an open of the busy one is counted, never closed under its users. */
static void *other_tables(void *arg) {
  char name[32], renamed[32];
  snprintf(name, sizeof name, "other %u", (unsigned)(uintptr_t)arg);
  snprintf(renamed, sizeof renamed, "renamed %u", (unsigned)(uintptr_t)arg);
  while (!atomic_load(&stop)) {
    nacre_table *other, *same;
    nacre_table_infos *infos;
    ok(nacre_table_create(store, name, NULL, &other));
    put_text(other, "k", "v", false);
    CHECK(nacre_table_rename(store, name, renamed) == NACRE_OK, "rename");
    CHECK(nacre_table_open(store, "table", NULL, &same) == NACRE_OK && same == t, "the same handle");
    CHECK(nacre_table_close(same) == NACRE_OK, "close one of several opens");
    CHECK(nacre_flush(other) == NACRE_OK && holds(other, NULL, "k", "v"), "another table");
    CHECK(nacre_table_close(other) == NACRE_OK, "close");
    CHECK(nacre_table_list(store, &infos) == NACRE_OK && nacre_table_infos_count(infos) >= 2, "list");
    nacre_table_infos_free(infos);
    CHECK(nacre_table_drop(store, renamed) == NACRE_OK, "drop");
    atomic_fetch_add(&turns[10], 1);
  }
  return NULL;
}

static atomic_uint_fast64_t flushed, merged;
static void on_event(void *arg, const nacre_event *event) {
  (void)arg;
  if (event->type == NACRE_EVENT_FLUSHED) atomic_fetch_add(&flushed, 1);
  if (event->type == NACRE_EVENT_MERGED) atomic_fetch_add(&merged, 1);
  CHECK(event->type != NACRE_EVENT_BACKGROUND_ERROR, "%s", event->error == NULL ? "" : event->error->text);
}

/* ---- the whole ----------------------------------------------------------------------------------------- */

static void check_final(void) {
  char buffer[32];
  for (unsigned w = 0; w < WRITERS; w++) {
    for (unsigned i = 0; i < KEYS; i++) {
      CHECK(get_number(number_key(buffer, w, i), w, NULL) == atomic_load(&acknowledged[w][i]),
            "the last number is there");
    }
  }
  uint64_t group = atomic_load(&group_acknowledged);
  CHECK(get_number(group_key(buffer, 0), 99, NULL) == (group % 7 == 0 ? 0 : group),
        "the last group is there");
}

static void run(uint32_t workers, double seconds) {
  static const struct {
    void *(*body)(void *arg);
    uintptr_t arg;
  } jobs[] = {{write_numbers, 0}, {write_numbers, 1}, {write_numbers, 2}, {write_groups, 0},
              {read_numbers, 1},  {read_groups, 0},   {iterate, 0},       {hold_snapshots, 2},
              {care, 4},          {care, 5},          {other_tables, 1},  {other_tables, 2}};
  enum { JOBS = sizeof jobs / sizeof jobs[0] };
  pthread_t threads[JOBS];
  memset(acknowledged, 0, sizeof acknowledged);
  memset(turns, 0, sizeof turns);
  atomic_store(&group_acknowledged, 0);
  atomic_store(&stop, false);
  site_make(&s);
  s.options.io = NULL; /* syncs that take their time */
  s.options.workers = workers;
  s.options.memtable_bytes = 256 << 10;
  s.options.cache_bytes = 1 << 20;
  s.options.on_event = on_event;
  t = site_table(&s, &store, "table");
  double end = test_seconds() + seconds;
  for (size_t i = 0; i < JOBS; i++) {
    if (pthread_create(&threads[i], NULL, jobs[i].body, (void *)jobs[i].arg) != 0) test_die("no threads");
  }
  while (test_seconds() < end) usleep(10000);
  atomic_store(&stop, true);
  for (size_t i = 0; i < JOBS; i++) pthread_join(threads[i], NULL);
  for (size_t i = 0; i <= 10; i++) CHECK(atomic_load(&turns[i]) > 0, "job %zu did nothing", i);
  check_final();
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  t = site_table(&s, &store, "table");
  check_final();
  CHECK(nacre_verify(t, NULL, NULL) == NACRE_OK, "verify after a reopen");
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  site_remove(&s);
  printf("%u workers:", workers == UINT32_MAX ? 0 : workers);
  for (size_t i = 0; i <= 10; i++) printf(" %llu", (unsigned long long)atomic_load(&turns[i]));
  printf(" turns, %llu flushes, %llu merges\n", (unsigned long long)atomic_load(&flushed),
         (unsigned long long)atomic_load(&merged));
}

int main(void) {
  double seconds = (double)test_env_number("NACRE_THREADS_MS", 4000) / 1000;
  run(2, seconds);
  run(UINT32_MAX, seconds / 2);
  return test_finish();
}
