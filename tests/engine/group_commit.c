/* SPDX-License-Identifier: Apache-2.0
 *
 * Group commit: writers that come while a sync is under way share one group and one sync, each with an end of its
 * own. A plain program: it has threads.
 *
 * The disk's syncs, or its writes, stop at a gate until everyone who is to be in the next group waits in
 * the queue, so that nothing here depends on who is faster.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "fixture.h"
#include "table.h"

enum { WRITERS_MAX = 12, VALUE_BYTES_MAX = 200 << 10 };

/* ---- a disk with a gate -------------------------------------------------------------------------------- */

typedef struct gate {
  nacre_io io;
  pthread_mutex_t lock;
  pthread_cond_t moved;
  bool syncs_stop, writes_stop; /* at the gate */
  unsigned waiting;             /* operations that stand at it */
  int sync_code, write_code;    /* what each answers when it is let through; 0: does its work */
} gate;

static void pass(gate *g, const bool *stopped) {
  pthread_mutex_lock(&g->lock);
  g->waiting++;
  pthread_cond_broadcast(&g->moved);
  while (*stopped) pthread_cond_wait(&g->moved, &g->lock);
  g->waiting--;
  pthread_mutex_unlock(&g->lock);
}

static int gate_sync(void *context, nacre_io_file *file) {
  gate *g = context;
  (void)file;
  pass(g, &g->syncs_stop);
  return g->sync_code;
}

static int gate_write(void *context, nacre_io_file *file, uint64_t offset, const void *buffer, size_t size) {
  gate *g = context;
  pass(g, &g->writes_stop);
  const nacre_io *posix = nacre_io_posix();
  return g->write_code != 0 ? g->write_code : posix->file_write(posix->context, file, offset, buffer, size);
}

static void gate_init(gate *g) {
  *g = (gate){.io = *nacre_io_posix()};
  g->io.file_map = NULL; /* every write comes by here */
  g->io.context = g;
  g->io.file_sync = gate_sync;
  g->io.file_write = gate_write;
  pthread_mutex_init(&g->lock, NULL);
  pthread_cond_init(&g->moved, NULL);
}

static void gate_await_one(gate *g) {
  pthread_mutex_lock(&g->lock);
  while (g->waiting == 0) pthread_cond_wait(&g->moved, &g->lock);
  pthread_mutex_unlock(&g->lock);
}

static void gate_set(gate *g, bool *stops, bool value) {
  pthread_mutex_lock(&g->lock);
  *stops = value;
  pthread_cond_broadcast(&g->moved);
  pthread_mutex_unlock(&g->lock);
}

/* ---- writers ------------------------------------------------------------------------------------------- */

typedef struct scene {
  site s;
  gate disk;
  nacre_store *store;
  nacre_table *t;
} scene;

typedef struct writer {
  scene *at;
  unsigned id;
  size_t value_bytes;
  bool sync;
  nacre_status status;
  nacre_error error;
  pthread_t thread;
} writer;

static nacre_slice key_of(unsigned id, char buffer[16]) {
  int size = snprintf(buffer, 16, "key %u", id);
  return nc_slice(buffer, (size_t)size);
}

static void *write_one(void *arg) {
  writer *w = arg;
  char buffer[16];
  uint8_t *value = test_alloc(w->value_bytes + 1);
  memset(value, (int)w->id, w->value_bytes);
  nacre_write_options options = {.sync = w->sync};
  w->status = nacre_put(w->at->t, key_of(w->id, buffer), nc_slice(value, w->value_bytes), &options);
  nacre_last_error(&w->error);
  free(value);
  return NULL;
}

static void start(scene *at, writer *w, unsigned id, size_t value_bytes, bool sync) {
  *w = (writer){.at = at, .id = id, .value_bytes = value_bytes, .sync = sync};
  if (pthread_create(&w->thread, NULL, write_one, w) != 0) test_die("no threads");
}

static void join_all(writer *writers, size_t count) {
  for (size_t i = 0; i < count; i++) pthread_join(writers[i].thread, NULL);
}

/* While its leader waits for the lock, a queue only grows. */
static void await_queue(nc_write_queue *q, size_t count) {
  for (size_t waiting = 0; waiting < count; sched_yield()) {
    waiting = 0;
    for (nc_waiter *w = atomic_load(&q->newest); w != NULL; w = w->next) waiting++;
  }
}

static nacre_stats stats_of(const scene *at) {
  nacre_stats stats;
  ok(nacre_table_stats(at->t, &stats));
  return stats;
}

static bool is_there(const scene *at, unsigned id, size_t value_bytes) {
  char buffer[16];
  nacre_value v;
  nacre_status status = nacre_get(at->t, key_of(id, buffer), NULL, &v);
  bool there = status == NACRE_OK && v.size == value_bytes;
  for (size_t i = 0; there && i < v.size; i++) there = ((const uint8_t *)v.data)[i] == id;
  nacre_value_release(&v);
  return there;
}

static void scene_open(scene *at) {
  site_make(&at->s);
  gate_init(&at->disk);
  at->s.options.io = &at->disk.io;
  at->t = site_table(&at->s, &at->store, "table");
  put_text(at->t, "first", "write", true); /* the log has begun */
}

static void scene_close(scene *at) {
  ok(nacre_table_close(at->t));
  ok(nacre_close(at->store));
  site_remove(&at->s);
  pthread_cond_destroy(&at->disk.moved);
  pthread_mutex_destroy(&at->disk.lock);
}

/* One synced writer stands in its sync; `count` more wait behind it. */
static void fill_sync_queue(scene *at, writer *writers, size_t count, const size_t *value_bytes) {
  gate_set(&at->disk, &at->disk.syncs_stop, true);
  start(at, &writers[0], 0, 10, true);
  gate_await_one(&at->disk);
  for (unsigned i = 1; i <= count; i++)
    start(at, &writers[i], i, value_bytes == NULL ? 10 : value_bytes[i - 1], true);
  await_queue(&at->t->syncing_writers, count);
}

/* ---- what is shown ------------------------------------------------------------------------------------- */

static void synced_writers_share_one_group_and_one_sync(void) {
  scene at;
  writer writers[WRITERS_MAX + 1];
  scene_open(&at);
  nacre_stats before = stats_of(&at);
  fill_sync_queue(&at, writers, WRITERS_MAX, NULL);
  gate_set(&at.disk, &at.disk.syncs_stop, false);
  join_all(writers, WRITERS_MAX + 1);
  nacre_stats after = stats_of(&at);
  CHECK(after.writes - before.writes == 2, "%llu groups", (unsigned long long)(after.writes - before.writes));
  CHECK(after.syncs - before.syncs == 2, "%llu syncs", (unsigned long long)(after.syncs - before.syncs));
  CHECK(after.last_sequence - before.last_sequence == WRITERS_MAX + 1, "a sequence for each");
  for (unsigned i = 0; i <= WRITERS_MAX; i++)
    CHECK(writers[i].status == NACRE_OK && is_there(&at, i, 10), "writer %u", i);
  scene_close(&at);
}

static void unsynced_writers_do_not_wait_for_a_sync(void) {
  scene at;
  writer synced[1], other;
  scene_open(&at);
  fill_sync_queue(&at, synced, 0, NULL);
  start(&at, &other, 5, 10, false);
  pthread_join(other.thread, NULL); /* else this program stands still */
  CHECK(other.status == NACRE_OK && is_there(&at, 5, 10), "written beside a sync");
  gate_set(&at.disk, &at.disk.syncs_stop, false);
  join_all(synced, 1);
  scene_close(&at);
}

static void unsynced_writers_share_a_group(void) {
  scene at;
  writer writers[WRITERS_MAX + 1];
  scene_open(&at);
  nacre_stats before = stats_of(&at);
  gate_set(&at.disk, &at.disk.writes_stop, true);
  start(&at, &writers[0], 0, 10, false);
  gate_await_one(&at.disk);
  for (unsigned i = 1; i <= WRITERS_MAX; i++) start(&at, &writers[i], i, 10 * i, false);
  await_queue(&at.t->writers, WRITERS_MAX);
  gate_set(&at.disk, &at.disk.writes_stop, false);
  join_all(writers, WRITERS_MAX + 1);
  nacre_stats after = stats_of(&at);
  CHECK(after.writes - before.writes == 2, "%llu groups", (unsigned long long)(after.writes - before.writes));
  for (unsigned i = 0; i <= WRITERS_MAX; i++)
    CHECK(writers[i].status == NACRE_OK && is_there(&at, i, i == 0 ? 10 : 10 * i), "writer %u", i);
  scene_close(&at);
}

static void large_writes_stand_in_groups_of_their_own(void) {
  scene at;
  writer writers[5];
  static const size_t sizes[] = {10, VALUE_BYTES_MAX, VALUE_BYTES_MAX, 10};
  scene_open(&at);
  nacre_stats before = stats_of(&at);
  fill_sync_queue(&at, writers, 4, sizes);
  gate_set(&at.disk, &at.disk.syncs_stop, false);
  join_all(writers, 5);
  nacre_stats after = stats_of(&at);
  CHECK(after.writes - before.writes >= 3, "%llu groups", (unsigned long long)(after.writes - before.writes));
  CHECK(after.syncs - before.syncs == 2, "one sync for several groups");
  for (unsigned i = 1; i < 5; i++)
    CHECK(writers[i].status == NACRE_OK && is_there(&at, i, sizes[i - 1]), "%u", i);
  scene_close(&at);
}

/* What was in the failed log is in a segment afterwards, so that nothing acknowledged later rests on it. */
static void a_failed_sync_is_told_to_everyone_in_the_group(void) {
  scene at;
  writer writers[WRITERS_MAX + 1];
  scene_open(&at);
  fill_sync_queue(&at, writers, WRITERS_MAX, NULL);
  at.disk.sync_code = EIO;
  gate_set(&at.disk, &at.disk.syncs_stop, false);
  join_all(writers, WRITERS_MAX + 1);
  for (unsigned i = 0; i <= WRITERS_MAX; i++) {
    CHECK(writers[i].status == NACRE_IO, "writer %u: %s", i, nacre_status_name(writers[i].status));
    CHECK(writers[i].error.status == NACRE_IO && writers[i].error.os_errno == EIO, "writer %u has the reason",
          i);
  }
  at.disk.sync_code = 0;
  put_text(at.t, "later", "write", true);
  CHECK(holds(at.t, NULL, "later", "write"), "writes go on");
  scene_close(&at);
}

static void a_full_disk_is_told_to_everyone_in_the_group(void) {
  scene at;
  writer writers[WRITERS_MAX + 1];
  scene_open(&at);
  fill_sync_queue(&at, writers, WRITERS_MAX, NULL);
  at.disk.write_code = ENOSPC;
  gate_set(&at.disk, &at.disk.syncs_stop, false);
  join_all(writers, WRITERS_MAX + 1);
  CHECK(writers[0].status == NACRE_OK, "it was synced already");
  for (unsigned i = 1; i <= WRITERS_MAX; i++) {
    CHECK(writers[i].status == NACRE_NO_SPACE, "writer %u: %s", i, nacre_status_name(writers[i].status));
    CHECK(writers[i].error.status == NACRE_NO_SPACE, "writer %u has the reason", i);
  }
  at.disk.write_code = 0;
  put_text(at.t, "later", "write", true);
  CHECK(is_there(&at, 0, 10) && holds(at.t, NULL, "later", "write"), "writes go on when there is room");
  scene_close(&at);
}

/* What is too large is refused before it joins a group, which does not learn of it. */
static void what_is_too_large_fails_alone(void) {
  scene at;
  writer writers[3];
  scene_open(&at);
  fill_sync_queue(&at, writers, 2, NULL);
  uint8_t *key = test_alloc(NACRE_KEY_BYTES_MAX + 1);
  const nacre_write_options synced = {.sync = true};
  nacre_status status = nacre_put(at.t, nc_slice(key, NACRE_KEY_BYTES_MAX + 1), text("v"), &synced);
  CHECK(status == NACRE_TOO_LARGE, "%s", nacre_status_name(status));
  free(key);
  gate_set(&at.disk, &at.disk.syncs_stop, false);
  join_all(writers, 3);
  for (unsigned i = 0; i < 3; i++)
    CHECK(writers[i].status == NACRE_OK && is_there(&at, i, 10), "writer %u", i);
  scene_close(&at);
}

/* ---- expectations across groups ------------------------------------------------------------------------ */

enum { COUNTERS = 4, ROUNDS = 400 };

static uint64_t read_counter(nacre_table *t, const nacre_snapshot *snapshot) {
  uint64_t count = 0;
  size_t size;
  nacre_read_options options = {.snapshot = snapshot};
  nacre_status status = nacre_get_into(t, text("counter"), &options, &count, sizeof count, &size);
  CHECK(status == NACRE_OK || status == NACRE_NOT_FOUND, "%s", nacre_status_name(status));
  return count;
}

/* Adds one if nobody else has meanwhile. */
static nacre_status try_to_count(nacre_table *t, nacre_batch *b, bool sync) {
  nacre_snapshot *snapshot;
  ok(nacre_snapshot_take(t, &snapshot));
  uint64_t count = read_counter(t, snapshot) + 1;
  nacre_batch_clear(b);
  ok(nacre_batch_expect(b, text("counter"), snapshot));
  ok(nacre_batch_put(b, text("counter"), nc_slice(&count, sizeof count)));
  nacre_write_options options = {.sync = sync};
  nacre_status status = nacre_write(t, b, &options);
  nacre_snapshot_release(snapshot);
  return status;
}

static void *count_up(void *arg) {
  writer *w = arg;
  nacre_batch *b;
  ok(nacre_batch_create(&b));
  for (int round = 0; round < ROUNDS; round++) {
    nacre_status status = NACRE_CONFLICT;
    while (status == NACRE_CONFLICT) status = try_to_count(w->at->t, b, w->sync && round % 8 == 0);
    CHECK(status == NACRE_OK, "%s", nacre_status_name(status));
    if (w->id == 0 && round % 100 == 50) CHECK(nacre_flush(w->at->t) == NACRE_OK, "flush");
    if (w->id == 1 && round % 100 == 75)
      CHECK(nacre_compact(w->at->t, (nacre_slice){NULL, 0}, (nacre_slice){NULL, 0}) == NACRE_OK, "compact");
  }
  nacre_batch_destroy(b);
  return NULL;
}

static void no_increment_is_lost(void) {
  scene at;
  writer writers[COUNTERS];
  scene_open(&at);
  for (unsigned i = 0; i < COUNTERS; i++) {
    writers[i] = (writer){.at = &at, .id = i, .sync = i % 2 == 0};
    if (pthread_create(&writers[i].thread, NULL, count_up, &writers[i]) != 0) test_die("no threads");
  }
  join_all(writers, COUNTERS);
  CHECK(read_counter(at.t, NULL) == COUNTERS * ROUNDS, "%llu of %d",
        (unsigned long long)read_counter(at.t, NULL), COUNTERS * ROUNDS);
  scene_close(&at);
}

/* All of one group expect the same key to be absent: the first of them makes it, the others must learn of it. */
static void *make_if_absent(void *arg) {
  writer *w = arg;
  nacre_batch *b;
  nacre_write_options options = {.sync = true};
  ok(nacre_batch_create(&b));
  ok(nacre_batch_expect(b, text("made once"), NULL));
  ok(nacre_batch_put(b, text("made once"), text("")));
  w->status = nacre_write(w->at->t, b, &options);
  nacre_batch_destroy(b);
  return NULL;
}

static void a_change_earlier_in_the_same_group_is_seen(void) {
  scene at;
  writer synced[1], writers[COUNTERS];
  scene_open(&at);
  fill_sync_queue(&at, synced, 0, NULL);
  for (unsigned i = 0; i < COUNTERS; i++) {
    writers[i] = (writer){.at = &at};
    if (pthread_create(&writers[i].thread, NULL, make_if_absent, &writers[i]) != 0) test_die("no threads");
  }
  await_queue(&at.t->syncing_writers, COUNTERS); /* all found it absent when they came */
  gate_set(&at.disk, &at.disk.syncs_stop, false);
  join_all(synced, 1);
  join_all(writers, COUNTERS);
  unsigned made = 0, conflicts = 0;
  for (unsigned i = 0; i < COUNTERS; i++) {
    made += writers[i].status == NACRE_OK;
    conflicts += writers[i].status == NACRE_CONFLICT;
  }
  CHECK(made == 1 && conflicts == COUNTERS - 1, "%u made it, %u were told", made, conflicts);
  scene_close(&at);
}

int main(void) {
  synced_writers_share_one_group_and_one_sync();
  unsynced_writers_do_not_wait_for_a_sync();
  unsynced_writers_share_a_group();
  large_writes_stand_in_groups_of_their_own();
  a_failed_sync_is_told_to_everyone_in_the_group();
  a_full_disk_is_told_to_everyone_in_the_group();
  what_is_too_large_fails_alone();
  no_increment_is_lost();
  a_change_earlier_in_the_same_group_is_seen();
  return test_finish();
}
