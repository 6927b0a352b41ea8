/* SPDX-License-Identifier: Apache-2.0
 *
 * Stores and fork: a child's handles are dead, the parent's are unharmed, and the lock holds across
 * processes. A plain program, because it forks.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "deny.h"
#include "fixture.h"

static site s;
static nacre_store *store;
static nacre_table *t;
static nacre_iter *it;
static nacre_snapshot *snapshot;
static nacre_value value;

/* What the child sees of its parent's handles; the number of the first check that fails, 0 when none does. */
static int in_child(void) {
  const nacre_slice none = {NULL, 0};
  nacre_slice key = text("a");
  nacre_value v;
  nacre_iter *other;
  nacre_snapshot *taken;
  nacre_batch *b;
  nacre_status one;
  size_t size;
  nacre_table_infos *infos;
  nacre_table *table;
  if (nacre_batch_create(&b) != NACRE_OK || nacre_batch_put(b, key, key) != NACRE_OK) return 1;
  const nacre_status statuses[] = {nacre_put(t, key, key, NULL),
                                   nacre_delete(t, key, NULL),
                                   nacre_write(t, b, NULL),
                                   nacre_get(t, key, NULL, &v),
                                   nacre_get_into(t, key, NULL, &v, sizeof v, &size),
                                   nacre_multi_get(t, 1, &key, NULL, &v, &one),
                                   nacre_iter_open(t, NULL, &other),
                                   nacre_snapshot_take(t, &taken),
                                   nacre_sync(t),
                                   nacre_flush(t),
                                   nacre_compact(t, none, none),
                                   nacre_wait_idle(t),
                                   nacre_verify(t, NULL, NULL),
                                   nacre_table_stats(t, NULL),
                                   nacre_table_recovery(t, NULL),
                                   nacre_table_close(t),
                                   nacre_close(store),
                                   nacre_table_create(store, "x", NULL, NULL),
                                   nacre_table_open(store, "table", NULL, &table),
                                   nacre_table_drop(store, "table"),
                                   nacre_table_rename(store, "table", "x"),
                                   nacre_table_list(store, &infos)};
  for (int i = 0; i < (int)(sizeof statuses / sizeof statuses[0]); i++) {
    if (statuses[i] != NACRE_FORKED) return 10 + i;
  }
  nacre_error err;
  nacre_last_error(&err);
  if (err.id != NC_E_FORKED) return 2;
  nacre_iter_next(it);
  if (nacre_iter_valid(it) || nacre_iter_status(it) != NACRE_FORKED) return 3;
  nacre_iter_first(it);
  if (nacre_iter_valid(it) || nacre_iter_status(it) != NACRE_FORKED) return 4;
  nacre_iter_close(it);
  nacre_snapshot_release(snapshot);
  nacre_value_release(&value);
  nacre_batch_destroy(b);
  nacre_store *again;
  if (nacre_open(s.store, &s.options, &again) != NACRE_LOCKED) return 5;
  return 0;
}

/* Runs `body` in a child; its exit status. */
static int fork_and(int (*body)(void)) {
  fflush(NULL);
  pid_t child = fork();
  if (child < 0) test_die("fork failed");
  if (child == 0) _exit(body());
  int status;
  if (waitpid(child, &status, 0) != child) test_die("waitpid failed");
  return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

static void handles_in_a_child(uint32_t workers) {
  site_make(&s);
  s.options.workers = workers;
  t = site_table(&s, &store, "table");
  put_text(t, "a", "1", true);
  put_text(t, "b", "2", false);
  ok(nacre_iter_open(t, NULL, &it));
  nacre_iter_first(it);
  ok(nacre_snapshot_take(t, &snapshot));
  ok(nacre_get(t, text("a"), NULL, &value));
  int code = fork_and(in_child);
  CHECK(code == 0, "in the child, check %d failed", code);
  nacre_iter_next(it);
  CHECK(nacre_iter_valid(it) && slice_is(nacre_iter_value(it), "2"), "the parent's iterator goes on");
  CHECK(slice_is(nc_slice(value.data, value.size), "1"), "the parent's value is unharmed");
  CHECK(holds(t, snapshot, "a", "1"), "so is its snapshot");
  nacre_iter_close(it);
  nacre_snapshot_release(snapshot);
  nacre_value_release(&value);
  put_text(t, "c", "3", true);
  ok(nacre_flush(t));
  CHECK(nacre_verify(t, NULL, NULL) == NACRE_OK, "the parent's table is sound");
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  t = site_table(&s, &store, "table");
  CHECK(holds(t, NULL, "c", "3") && holds(t, NULL, "b", "2"), "and so after a reopen");
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  site_remove(&s);
}

/* ---- locks --------------------------------------------------------------------------------------------- */

static int opens_locked(void) { return nacre_open(s.store, &s.options, &store) == NACRE_LOCKED ? 0 : 1; }

static int opens_reads_and_dies(void) {
  t = site_table(&s, &store, "table");
  put_text(t, "from", "child", false);
  kill(getpid(), SIGKILL);
  return 0;
}

static void locks_between_processes(void) {
  site_make(&s);
  t = site_table(&s, &store, "table");
  CHECK(fork_and(opens_locked) == 0, "a second process is locked out");
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  int code = fork_and(opens_reads_and_dies);
  CHECK(code == 100 + SIGKILL, "the child was killed: %d", code);
  t = site_table(&s, &store, "table"); /* the lock went with the process */
  CHECK(holds(t, NULL, "from", "child"), "what a killed process had written is there");
  nacre_recovery_report report;
  ok(nacre_table_recovery(t, &report));
  CHECK(!report.clean && report.dropped_bytes == 0 && report.entries == 1, "and reported as replayed");
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  site_remove(&s);
}

/* A store opened after the fork, in the child, is the child's own. */
static int uses_its_own(void) {
  if (nacre_put(t, text("x"), text("x"), NULL) != NACRE_FORKED) return 1;
  char other[PATH_BYTES];
  join(other, s.path, "childs");
  nacre_store_options options = s.options;
  nacre_store *own;
  nacre_table *table;
  if (nacre_open(other, &options, &own) != NACRE_OK) return 2;
  if (nacre_table_create(own, "own", NULL, &table) != NACRE_OK) return 3;
  if (nacre_put(table, text("x"), text("x"), NULL) != NACRE_OK || !holds(table, NULL, "x", "x")) return 4;
  if (nacre_table_close(table) != NACRE_OK || nacre_close(own) != NACRE_OK) return 5;
  return 0;
}

static void a_store_of_the_childs_own(void) {
  site_make(&s);
  s.options.workers = 2;
  t = site_table(&s, &store, "table");
  put_text(t, "a", "1", false);
  int code = fork_and(uses_its_own);
  CHECK(code == 0, "in the child, check %d failed", code);
  CHECK(holds(t, NULL, "a", "1"), "the parent is unharmed");
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  site_remove(&s);
}

/* ---- crashes while a log that nothing is in yet stands between others ---------------------------------- */

static int dies_behind(uint64_t operations) {
  static failing_io io;
  failing_init(&io);
  s.options.io = &io.io;
  t = site_table(&s, &store, "table");
  io.fail_at = atomic_load(&io.count) + operations;
  io.fail_from = true;
  nacre_write_options sync = {.sync = true};
  (void)nacre_put(t, text("second"), text("2"), &sync);
  _exit(0); /* as if killed at that operation: nothing more reaches the disk */
}

static uint64_t operations;
static int dies(void) { return dies_behind(operations); }
static int writes_and_dies(void) {
  s.options.io = &s.quick;
  t = site_table(&s, &store, "table");
  put_text(t, "third", "3", true);
  kill(getpid(), SIGKILL);
  return 0;
}

/* Two crashes in a row, the first at each operation of the first write after an open. */
static void two_crashes_in_a_row(void) {
  for (operations = 1; operations <= 40; operations++) {
    site_make(&s);
    t = site_table(&s, &store, "table");
    put_text(t, "first", "1", false);
    ok(nacre_table_close(t));
    ok(nacre_close(store));
    CHECK(fork_and(dies) == 0, "the first child");
    CHECK(fork_and(writes_and_dies) == 100 + SIGKILL, "the second child");
    s.options.io = &s.quick;
    t = site_table(&s, &store, "table");
    CHECK(holds(t, NULL, "first", "1") && holds(t, NULL, "third", "3"), "cut at operation %llu",
          (unsigned long long)operations);
    CHECK(nacre_verify(t, NULL, NULL) == NACRE_OK, "verify after a cut at operation %llu",
          (unsigned long long)operations);
    ok(nacre_table_close(t));
    ok(nacre_close(store));
    site_remove(&s);
  }
}

/* Workers are asked for, and the system has no thread left. */
static int opens_without_threads(void) {
  nacre_error err;
  nacre_store_options options = s.options;
  options.workers = 2;
  if (!deny_call(SYS_clone, EAGAIN) || !deny_call(SYS_clone3, EAGAIN)) return 99;
  nacre_status status = nacre_open(s.store, &options, &store);
  nacre_last_error(&err);
  if (status != NACRE_NO_MEMORY || err.id != NC_E_THREAD) return 1;
  options.workers = UINT32_MAX;
  return nacre_open(s.store, &options, &store) == NACRE_OK ? 0 : 2;
}

static void no_threads(void) {
  site_make(&s);
  site_fill(&s);
  int result = fork_and(opens_without_threads);
  if (result == 99) printf("not tried: this system has no seccomp\n");
  CHECK(result == 0 || result == 99, "an open without threads: %d", result);
  site_remove(&s);
}

int main(void) {
  handles_in_a_child(UINT32_MAX);
  handles_in_a_child(2);
  locks_between_processes();
  a_store_of_the_childs_own();
  two_crashes_in_a_row();
  no_threads();
  return test_finish();
}
