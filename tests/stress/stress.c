/* SPDX-License-Identifier: Apache-2.0
 *
 * Everything that may happen at once: writers (synced and not), batches, expectations, readers, iterators both ways,
 * snapshots, flush, compact, verify, stats, changes of keys, and other tables that are made, opened, renamed, closed
 * and dropped; and at the end a close, while a rewrap and flushes are under way. A plain program, so that it also
 * runs under ThreadSanitizer. What readers check stands in stress.h.
 *
 * Environment: NACRE_TEST_SEED; NACRE_STRESS_MS, how long (4,000); a soak is 600,000.
 */
#include "stress.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PATIENCE_SECONDS = 30 };

/* ---- keys and values ----------------------------------------------------------------------------------- */

static nacre_slice named(name *n, const char *format, unsigned a, unsigned b) {
  memset(n, 0, sizeof *n);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
  int size = snprintf(n->bytes, sizeof n->bytes, format, a, b);
#pragma GCC diagnostic pop
  return nc_slice(n->bytes, (size_t)size);
}

nacre_slice number_key(name *n, unsigned writer, unsigned i) { return named(n, "w%u/%03u", writer, i); }
nacre_slice group_key(name *n, unsigned i) { return named(n, "group/%u", i, 0); }
nacre_slice account_key(name *n, unsigned i) { return named(n, "account/%02u", i, 0); }
nacre_slice load_key(name *n, unsigned i) { return named(n, "load/%u", i, 0); }
nacre_slice counter_key(void) { return text("counter"); }

uint64_t owner_of(nacre_slice key) {
  const char *bytes = key.data;
  if (key.size == 0) return UINT64_MAX;
  return bytes[0] == 'g'   ? OWNER_GROUP
         : bytes[0] == 'a' ? OWNER_ACCOUNT
         : bytes[0] == 'c' ? OWNER_COUNTER
         : bytes[0] == 'l' ? OWNER_LOAD
                           : (uint64_t)(bytes[1] - '0');
}

nacre_slice cell_make(cell *c, uint64_t owner, uint64_t number) {
  c->owner = owner;
  c->number = number;
  test_value_make(c->filling, sizeof c->filling, owner, 0, number);
  return nc_slice(c, sizeof *c);
}

uint64_t cell_read(nacre_slice value, uint64_t owner) {
  cell found, wanted;
  if (!CHECK(value.size == sizeof found, "a value of %zu bytes", value.size)) return 0;
  memcpy(&found, value.data, sizeof found);
  (void)cell_make(&wanted, owner, found.number);
  CHECK(memcmp(&found, &wanted, sizeof found) == 0, "a value that nobody wrote");
  return found.number;
}

bool went_well(nacre_status status, const char *what) {
  nacre_error err;
  if (status == NACRE_OK) return CHECK(true, "%s", what);
  nacre_last_error(&err);
  return CHECK(false, "%s: %s: %s [%s]", what, nacre_status_name(status), err.text, err.file);
}

uint64_t number_at(world *w, nacre_slice key, uint64_t owner, const nacre_snapshot *snapshot) {
  nacre_value v;
  nacre_read_options options = {.snapshot = snapshot};
  nacre_status status = nacre_get(w->t, key, &options, &v);
  if (status == NACRE_NOT_FOUND || !went_well(status, "get")) return 0;
  uint64_t number = cell_read(nc_slice(v.data, v.size), owner);
  nacre_value_release(&v);
  return number;
}

/* ---- the threads --------------------------------------------------------------------------------------- */

typedef struct worker {
  world *w;
  job *job;
  uint64_t seed;
  pthread_t thread;
} worker;

static void *work(void *arg) {
  worker *me = arg;
  test_random random = {me->seed};
  for (uint64_t n = 1; !atomic_load(&me->w->stop) && test_failures() == 0; n++) {
    me->job->turn(me->w, &random, n);
    atomic_fetch_add(&me->job->turns, 1);
  }
  return NULL;
}

static bool all_have_begun(const job *jobs, size_t job_count) {
  for (size_t i = 0; i < job_count; i++) {
    if (atomic_load(&jobs[i].turns) == 0) return false;
  }
  return true;
}

/* Until the time is over; on a busy machine until everyone has had a turn, but not forever. */
static void run_jobs(world *w, job *jobs, size_t job_count, double seconds) {
  worker *workers = test_alloc(job_count * sizeof *workers);
  double end = test_seconds() + seconds;
  for (size_t i = 0; i < job_count; i++) {
    workers[i] = (worker){.w = w, .job = &jobs[i], .seed = test_mix(w->seed, i)};
    if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) test_die("no threads");
  }
  while (test_failures() == 0) {
    double now = test_seconds();
    if (now >= end && (all_have_begun(jobs, job_count) || now >= end + PATIENCE_SECONDS)) break;
    usleep(10000);
  }
  atomic_store(&w->stop, true);
  for (size_t i = 0; i < job_count; i++) pthread_join(workers[i].thread, NULL);
  free(workers);
}

/* ---- the end ------------------------------------------------------------------------------------------- */

static void check_final(world *w) {
  name key;
  uint64_t sum = 0, group = atomic_load(&w->group_acknowledged);
  for (unsigned writer = 0; writer < WRITERS; writer++) {
    for (unsigned i = 0; i < KEYS; i++)
      CHECK(
          number_at(w, number_key(&key, writer, i), writer, NULL) == atomic_load(&w->acknowledged[writer][i]),
          "the last number is there");
  }
  for (unsigned i = 0; i < ACCOUNTS; i++) sum += number_at(w, account_key(&key, i), OWNER_ACCOUNT, NULL);
  CHECK(sum == (uint64_t)ACCOUNTS * BALANCE, "no money is lost");
  CHECK(number_at(w, counter_key(), OWNER_COUNTER, NULL) == atomic_load(&w->counted), "no count is lost");
  CHECK(number_at(w, group_key(&key, 0), OWNER_GROUP, NULL) == (group % 7 == 0 ? 0 : group),
        "the last group is there");
}

static void *release_later(void *arg) {
  nacre_snapshot *snapshot = arg;
  usleep(2000);
  nacre_snapshot_release(snapshot);
  return NULL;
}

/* A close is refused until the last snapshot is given back; then it ends what is under way. */
static void close_busy(world *w) {
  nacre_snapshot *snapshot;
  pthread_t thread;
  ok(nacre_table_rotate(w->t));
  ok(nacre_snapshot_take(w->t, &snapshot));
  if (pthread_create(&thread, NULL, release_later, snapshot) != 0) test_die("no threads");
  nacre_status status = NACRE_BUSY;
  for (uint64_t n = 0; status == NACRE_BUSY; n++) {
    put_text(w->t, "zz", "written until the end", false);
    status = nacre_table_close(w->t);
  }
  went_well(status, "close");
  pthread_join(thread, NULL);
  went_well(nacre_close(w->store), "close of the store");
}

static void on_event(void *arg, const nacre_event *event) {
  world *w = arg;
  if (event->type == NACRE_EVENT_FLUSHED) atomic_fetch_add(&w->flushed, 1);
  if (event->type == NACRE_EVENT_MERGED) atomic_fetch_add(&w->merged, 1);
  CHECK(event->type != NACRE_EVENT_BACKGROUND_ERROR, "%s", event->error == NULL ? "" : event->error->text);
}

static void world_open(world *w, uint64_t seed, uint32_t workers) {
  *w = (world){.seed = seed};
  site_make(&w->s);
  w->s.options.io = NULL; /* syncs that take their time */
  w->s.options.workers = workers;
  w->s.options.memtable_bytes = 256 << 10;
  w->s.options.cache_bytes = 1 << 20;
  w->s.options.open_files_max = 16; /* segments are closed and opened again all the time */
  w->s.options.on_event = on_event;
  w->s.options.event_arg = w;
  for (unsigned i = 0; i < KEYRINGS; i++) {
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%.400s/ring %u", w->s.path, i);
    test_key_uri(w->keyrings[i], sizeof w->keyrings[i], path);
  }
  w->t = site_table(&w->s, &w->store, "table");
  accounts_open(w);
}

static void run(uint64_t seed, uint32_t workers, double seconds) {
  static world w;
  job jobs[] = {
      {"numbers 0", write_numbers_0, 0},
      {"numbers 1", write_numbers_1, 0},
      {"numbers 2", write_numbers_2, 0},
      {"groups", write_groups, 0},
      {"transfer", transfer, 0},
      {"transfer", transfer, 0},
      {"count", count, 0},
      {"count", count, 0},
      {"loads", load_all, 0},
      {"read loads", read_loads, 0},
      {"read numbers", read_numbers, 0},
      {"read groups", read_groups, 0},
      {"accounts", read_accounts, 0},
      {"scan", scan_both_ways, 0},
      {"seek", seek_about, 0},
      {"snapshots", hold_snapshots, 0},
      {"care", care, 0},
      {"care", care, 0},
      {"keys", change_keys, 0},
      {"tables", other_tables, 0},
      {"tables", other_tables, 0},
  };
  enum { JOBS = sizeof jobs / sizeof jobs[0] };
  world_open(&w, seed, workers);
  run_jobs(&w, jobs, JOBS, seconds);
  check_final(&w);
  close_busy(&w);
  w.t = site_table(&w.s, &w.store, "table");
  check_final(&w);
  went_well(nacre_verify(w.t, NULL, NULL), "verify after a reopen");
  went_well(nacre_table_rewrap_wait(w.t, NULL), "the rewrap ends");
  ok(nacre_table_close(w.t));
  ok(nacre_close(w.store));
  site_remove(&w.s);
  printf("%u workers:", workers == UINT32_MAX ? 0 : workers);
  for (size_t i = 0; i < JOBS; i++) {
    uint64_t turns = atomic_load(&jobs[i].turns);
    CHECK(turns > 0, "%s did nothing", jobs[i].name);
    printf(" %s %llu,", jobs[i].name, (unsigned long long)turns);
  }
  printf(" %llu conflicts, %llu flushes, %llu merges\n", (unsigned long long)atomic_load(&w.conflicts),
         (unsigned long long)atomic_load(&w.flushed), (unsigned long long)atomic_load(&w.merged));
}

int main(void) {
  uint64_t seed = test_seed("stress", 20260120);
  double seconds = (double)test_env_number("NACRE_STRESS_MS", 4000) / 1000;
  run(seed, 2, seconds * 2 / 3);
  run(test_mix(seed, 1), UINT32_MAX, seconds / 3);
  return test_finish();
}
