/* SPDX-License-Identifier: Apache-2.0
 *
 * What tables do by themselves after a while: they merge when nobody writes, and try again what failed. The clock is
 * the test's; a store has one worker, which goes by its moments before anything that is submitted to it. A plain
 * program, for it has threads.
 */
#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>

#include "fixture.h"
#include "table.h"

#define MS ((uint64_t)1000000)
#define SECOND (1000 * MS)

static site s;
static failing_io disk;
static nacre_store *store;
static nacre_table *t;
static atomic_uint_fast64_t now_ns;
static atomic_bool no_segments, no_headers;
static int (*open_any)(void *context, nacre_io_dir *dir, const char *name, bool writable,
                       nacre_io_file **ret_file);
static atomic_int refused;
enum { REFUSED_MAX = 100 };
static int (*create_any)(void *context, nacre_io_dir *dir, const char *name, nacre_io_file **ret_file);

static uint64_t test_clock(void *context) {
  (void)context;
  return atomic_load(&now_ns);
}

static uint64_t test_wall_clock(void *context) { return 1700000000000 + test_clock(context) / MS; }

static bool is_segment(const char *name) {
  size_t size = strlen(name);
  return size > 4 && strcmp(name + size - 4, ".seg") == 0;
}

static int create_but_segments(void *context, nacre_io_dir *dir, const char *name, nacre_io_file **ret_file) {
  if (!is_segment(name) || !atomic_load(&no_segments)) return create_any(context, dir, name, ret_file);
  if (atomic_fetch_add(&refused, 1) > REFUSED_MAX) atomic_store(&no_segments, false); /* who tries on and on shall end */
  return ENOSPC;
}

static int open_but_headers(void *context, nacre_io_dir *dir, const char *name, bool writable,
                            nacre_io_file **ret_file) {
  bool header = writable && is_segment(name);
  return header && atomic_load(&no_headers) ? EMFILE : open_any(context, dir, name, writable, ret_file);
}

static void begin(void) {
  site_make(&s);
  failing_init(&disk);
  create_any = disk.io.file_create;
  disk.io.file_create = create_but_segments;
  open_any = disk.io.file_open;
  disk.io.file_open = open_but_headers;
  disk.io.monotonic_ns = test_clock;
  disk.io.wall_ms = test_wall_clock;
  atomic_store(&no_segments, false);
  atomic_store(&no_headers, false);
  atomic_store(&refused, 0);
  atomic_store(&now_ns, 1000 * SECOND);
  s.options.io = &disk.io;
  s.options.workers = 1;
  s.options.memtable_bytes = 64 << 10;
  t = site_table(&s, &store, "table");
}

static void end(void) {
  ok(nacre_table_close(t)); /* at once: the clock stands still */
  ok(nacre_close(store));
  site_remove(&s);
}

static void post(void *arg) { sem_post(arg); }

/* Everything that is due by now is done when this returns. */
static void settle(nc_worker_pool *pool) {
  sem_t done;
  sem_init(&done, 0, 0);
  nc_job job = {.run = post, .arg = &done};
  nc_worker_submit(pool, &job);
  while (sem_wait(&done) != 0) {
  }
  sem_destroy(&done);
}

static void pass(uint64_t ns) {
  atomic_fetch_add(&now_ns, ns);
  settle(t->shared->workers);
  nc_table_wait_jobs(t);
}

static uint64_t runs(void) {
  nacre_stats stats;
  ok(nacre_table_stats(t, &stats));
  return stats.runs;
}

static bool waits(const nacre_table *table) {
  pthread_mutex_lock(&t->state_lock);
  bool waits = table->later.waiting;
  pthread_mutex_unlock(&t->state_lock);
  return waits;
}

static void flush_three(void) {
  for (int i = 0; i < 3; i++) {
    put_text(t, "key", "value", false);
    ok(nacre_flush(t));
  }
}

/* ---- the pool ------------------------------------------------------------------------------------------ */

typedef struct numbered {
  nc_job job;
  int number;
} numbered;
static int ran[8];
static size_t ran_count;

static void note(void *arg) { ran[ran_count++] = ((numbered *)arg)->number; }

static void jobs_run_at_their_moments(void) {
  begin();
  nc_worker_pool *pool = t->shared->workers;
  numbered list[5];
  const uint64_t at[5] = {30, 10, 20, 10, 40};
  uint64_t from = atomic_load(&now_ns);
  settle(pool);
  ran_count = 0;
  for (int i = 0; i < 5; i++) {
    list[i] = (numbered){.job = {.run = note, .arg = &list[i]}, .number = i};
    nc_worker_submit_at(pool, &list[i].job, from + at[i] * SECOND);
  }
  pass(10 * SECOND - 1);
  CHECK(ran_count == 0, "none is early");
  pass(1);
  CHECK(ran_count == 2 && ran[0] == 1 && ran[1] == 3, "those of one moment, in their order");
  CHECK(nc_worker_withdraw(pool, &list[0].job), "one that waits is withdrawn");
  CHECK(!nc_worker_withdraw(pool, &list[1].job), "one that ran is not");
  pass(25 * SECOND);
  CHECK(ran_count == 3 && ran[2] == 2, "%zu", ran_count);
  pass(25 * SECOND);
  CHECK(ran_count == 4 && ran[3] == 4, "%zu", ran_count);
  end();
}

/* ---- rest ---------------------------------------------------------------------------------------------- */

static void a_table_merges_when_nobody_writes(void) {
  begin();
  flush_three();
  pass(0);
  CHECK(runs() == 3, "%d runs are no reason yet", (int)runs());
  pass(SECOND / 2);
  CHECK(runs() == 3, "half a second is no rest");
  put_text(t, "another", "value", false);
  pass(SECOND / 2);
  CHECK(runs() == 3, "nor is a second with a write in it");
  pass(SECOND);
  CHECK(runs() == 1, "%d runs after a second's rest", (int)runs());
  CHECK(!waits(t), "nothing is left to wait for");
  CHECK(holds(t, NULL, "key", "value") && holds(t, NULL, "another", "value"), "all is there");
  end();
}

static void who_has_nothing_to_do_waits_for_nothing(void) {
  begin();
  CHECK(!waits(t), "an empty table");
  put_text(t, "key", "value", false);
  CHECK(!waits(t), "a memtable alone is nothing to merge");
  flush_three();
  CHECK(waits(t), "young runs are");
  ok(nacre_table_close(t));
  nacre_table_open_options read_only = {.read_only = true};
  ok(nacre_table_open(store, "table", &read_only, &t));
  CHECK(holds(t, NULL, "key", "value") && !waits(t), "who only reads merges nothing");
  end();
}

static void reopen(void) {
  ok(nacre_table_close(t));
  ok(nacre_table_open(store, "table", NULL, &t));
}

static uint64_t files(void) { return tree_digest(s.store, "LOCK"); }

static void what_an_earlier_open_left_is_merged(void) {
  begin();
  flush_three();
  reopen();
  uint64_t before = files();
  CHECK(holds(t, NULL, "key", "value") && waits(t), "there is something to merge");
  pass(SECOND - 1);
  CHECK(runs() == 3 && files() == before, "an open writes nothing, nor does it for a second");
  pass(1);
  CHECK(runs() == 1 && files() != before, "%d runs after a second's rest", (int)runs());
  CHECK(holds(t, NULL, "key", "value") && !waits(t), "all is there");
  before = files();
  reopen();
  CHECK(!waits(t), "one run is nothing to merge");
  pass(SECOND);
  CHECK(files() == before, "nor is it written to");
  for (int i = 0; i < 3; i++) put_text(t, "key", "newer", false);
  reopen();
  CHECK(holds(t, NULL, "key", "newer"), "the next one reads what came after");
  end();
}

/* A young run that lies over a hundred times as much: merging it would not be worth it. */
static void what_is_not_worth_it_is_left(void) {
  begin();
  char value[1000];
  nacre_load *load;
  test_random random = {1};
  ok(nacre_load_begin(t, NULL, &load));
  for (int i = 0; i < 200; i++) {
    char key[16];
    for (size_t j = 0; j < sizeof value; j++) value[j] = (char)test_random_next(&random);
    int size = snprintf(key, sizeof key, "%08d", i);
    ok(nacre_load_put(load, nc_slice(key, (size_t)size), nc_slice(value, sizeof value)));
  }
  ok(nacre_load_commit(load));
  ok(nacre_table_close(t));
  ok(nacre_table_open(store, "table", NULL, &t));
  put_text(t, "00000000", "new", false);
  put_text(t, "00000199", "new", false);
  ok(nacre_flush(t));
  CHECK(runs() == 2, "%d runs", (int)runs());
  reopen();
  uint64_t before = files();
  CHECK(waits(t), "it looks, when nobody writes,");
  pass(SECOND);
  CHECK(runs() == 2 && files() == before && !waits(t), "and finds nothing that is worth it");
  end();
}

static void a_merge_that_cannot_begin_is_tried_again(void) {
  begin();
  flush_three();
  reopen();
  atomic_store(&no_segments, true);
  pass(SECOND);
  nacre_health health;
  ok(nacre_table_health(t, &health));
  CHECK(runs() == 3 && health.works[NACRE_WORK_MERGE].failures == 1, "no room");
  atomic_store(&no_segments, false);
  pass(SECOND);
  CHECK(runs() == 1, "%d runs when there is room again", (int)runs());
  end();
}

static uint64_t entries_kept(void) {
  nacre_stats stats;
  ok(nacre_table_stats(t, &stats));
  return stats.segment_entries;
}

static void put_until(const char *key, uint64_t from_now_ms) {
  nacre_write_options options = {.expire_at_ms = test_wall_clock(NULL) + from_now_ms};
  ok(nacre_put(t, text(key), text("value"), &options));
}

static void what_has_expired_goes(void) {
  begin();
  put_until("a", 2000);
  put_until("b", 3000);
  put_until("c", 4000);
  put_text(t, "d", "value", false);
  ok(nacre_compact(t, (nacre_slice){0}, (nacre_slice){0}));
  pass(0);
  CHECK(waits(t), "for half of them");
  pass(3 * SECOND - 1);
  CHECK(entries_kept() == 4, "%d entries before half have expired", (int)entries_kept());
  pass(1);
  CHECK(entries_kept() == 2, "%d entries after", (int)entries_kept());
  pass(SECOND);
  CHECK(entries_kept() == 1 && !waits(t), "%d entries at last", (int)entries_kept());
  end();
}

static void make_expiring(void) {
  put_until("a", 2000);
  put_until("b", 3000);
  put_text(t, "c", "value", false);
  ok(nacre_compact(t, (nacre_slice){0}, (nacre_slice){0}));
  ok(nacre_table_close(t));
}

static void what_expired_while_it_was_closed_goes(void) {
  begin();
  make_expiring();
  atomic_fetch_add(&now_ns, 4 * SECOND);
  nacre_table_open_options read_only = {.read_only = true};
  ok(nacre_table_open(store, "table", &read_only, &t));
  CHECK(!waits(t), "who only reads merges nothing");
  ok(nacre_table_close(t));
  ok(nacre_table_open(store, "table", NULL, &t));
  uint64_t before = files();
  CHECK(waits(t), "two of three have expired");
  pass(SECOND - 1);
  CHECK(entries_kept() == 3 && files() == before, "an open writes nothing, nor does it for a second");
  pass(1);
  CHECK(entries_kept() == 1, "%d entries after a second's rest", (int)entries_kept());
  CHECK(holds(t, NULL, "c", "value") && !waits(t), "what stays is there");
  before = files();
  reopen();
  CHECK(!waits(t), "nothing is left to merge");
  pass(SECOND);
  CHECK(files() == before, "nor is it written to");
  end();
}

/* Somebody sees it still: a merge would give back nothing. */
static void what_expired_but_is_seen_is_looked_at_once(void) {
  begin();
  make_expiring();
  ok(nacre_table_open(store, "table", NULL, &t));
  nacre_snapshot *snapshot;
  ok(nacre_snapshot_take(t, &snapshot));
  pass(4 * SECOND);
  CHECK(entries_kept() == 3 && !waits(t), "nothing to do, nothing to wait for");
  put_text(t, "d", "value", false);
  CHECK(waits(t), "the first write looks at what was left,");
  pass(SECOND); /* the write came after the moment was set, and puts it off */
  pass(SECOND);
  CHECK(entries_kept() == 3 && !waits(t), "once,");
  put_text(t, "e", "value", false);
  CHECK(!waits(t), "and not again after each write");
  nacre_snapshot_release(snapshot);
  end();
}

/* ---- retries ------------------------------------------------------------------------------------------- */

static nacre_condition flushing(void) {
  nacre_health health;
  ok(nacre_table_health(t, &health));
  return health.works[NACRE_WORK_FLUSH];
}

static void fill_a_memtable(void) {
  static const char value[1000];
  for (int i = 0; i < 200; i++) {
    char key[16];
    int size = snprintf(key, sizeof key, "%08d", i);
    ok(nacre_put(t, nc_slice(key, (size_t)size), nc_slice(value, sizeof value), NULL));
    pthread_mutex_lock(&t->state_lock);
    bool full = t->immutable_count > 0;
    pthread_mutex_unlock(&t->state_lock);
    if (full) return;
  }
}

static void a_flush_that_failed_is_tried_again(void) {
  begin();
  put_text(t, "key", "value", false);
  atomic_store(&no_segments, true);
  fill_a_memtable();
  pass(0);
  nacre_condition c = flushing();
  CHECK(c.failures == 1 && c.remedy == NACRE_REMEDY_ROOM, "%d failures", (int)c.failures);
  CHECK(c.next_try_ms >= c.since_ms + 1000, "health tells when it is tried again");
  pass(SECOND);
  CHECK(flushing().failures == 2, "after a second");
  pass(SECOND);
  CHECK(flushing().failures == 2, "then it takes its time");
  pass(SECOND);
  CHECK(flushing().failures == 3, "twice as much");
  for (int i = 0; i < 20; i++) pass(64 * SECOND);
  CHECK(flushing().failures == 23, "at most about a minute: %d", (int)flushing().failures);
  atomic_store(&no_segments, false);
  pass(63 * SECOND);
  CHECK(flushing().severity == NACRE_SEVERITY_DELAYED, "nobody told it that there is room");
  pass(SECOND);
  c = flushing();
  CHECK(c.severity == NACRE_SEVERITY_NONE && c.failures == 0 && c.next_try_ms == 0, "healed by itself");
  CHECK(holds(t, NULL, "key", "value") && runs() > 0, "in a segment");
  end();
}

static nacre_condition rewrapping(void) {
  nacre_health health;
  pthread_mutex_lock(&t->state_lock);
  while (t->rewrapper.queued || t->rewrapper.running) pthread_cond_wait(&t->changed, &t->state_lock);
  pthread_mutex_unlock(&t->state_lock);
  ok(nacre_table_health(t, &health));
  return health.works[NACRE_WORK_REWRAP];
}

/* The tries before the header that is in the way go well each time: that is no reason to begin counting anew. */
static void a_rewrap_that_failed_is_tried_again(void) {
  begin();
  put_text(t, "key", "value", false);
  ok(nacre_flush(t));
  pass(2 * SECOND); /* nothing else is left to do by itself */
  atomic_store(&no_headers, true);
  ok(nacre_table_rotate(t));
  nacre_condition c = rewrapping();
  CHECK(c.failures == 1 && c.severity == NACRE_SEVERITY_DELAYED && c.remedy == NACRE_REMEDY_TIME,
        "%d failures", (int)c.failures);
  CHECK(c.next_try_ms >= c.since_ms + 1000, "health tells when it is tried again");
  pass(SECOND);
  CHECK(rewrapping().failures == 2, "after a second");
  pass(SECOND);
  CHECK(rewrapping().failures == 2, "then it takes its time");
  pass(SECOND);
  CHECK(rewrapping().failures == 3, "twice as much");
  atomic_store(&no_headers, false);
  pass(4 * SECOND);
  c = rewrapping();
  CHECK(c.severity == NACRE_SEVERITY_NONE && c.failures == 0 && c.next_try_ms == 0, "healed by itself");
  CHECK(!nc_rewrap_due(t) && !waits(t), "all is under the new key");
  CHECK(holds(t, NULL, "key", "value"), "all is there");
  end();
}

int main(void) {
  jobs_run_at_their_moments();
  a_table_merges_when_nobody_writes();
  who_has_nothing_to_do_waits_for_nothing();
  what_an_earlier_open_left_is_merged();
  what_is_not_worth_it_is_left();
  a_merge_that_cannot_begin_is_tried_again();
  what_has_expired_goes();
  what_expired_while_it_was_closed_goes();
  what_expired_but_is_seen_is_looked_at_once();
  a_flush_that_failed_is_tried_again();
  a_rewrap_that_failed_is_tried_again();
  return test_finish();
}
