/* SPDX-License-Identifier: Apache-2.0
 *
 * A disk that fails: whichever operation it is, the call says so, what was acknowledged stays, reads go
 * on, and writes resume. tests/sim/ does the same at random, with power cuts; here each fails in turn.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "fixture.h"

enum { STEPS = 24 };
static site s;
static failing_io io;
static nacre_store *store;
static nacre_table *t;
static bool acknowledged[STEPS], tried[STEPS];

static void setup(void) {
  site_make(&s);
  failing_init(&io);
  s.options.io = &io.io;
}
static void teardown(void) { site_remove(&s); }
TestSuite(failures, .init = setup, .fini = teardown);

static const char *key_of(int i, char buffer[16]) {
  snprintf(buffer, 16, "%u", (unsigned)i);
  return buffer;
}

/* One step of a small life: a put, now and then synced, flushed, merged. */
static nacre_status step(int i) {
  char key[16];
  nacre_write_options options = {.sync = i % 4 == 3};
  nacre_status status = nacre_put(t, text(key_of(i, key)), text("value"), &options);
  tried[i] = true;
  acknowledged[i] = status == NACRE_OK;
  if (status == NACRE_OK && i % 8 == 5) status = nacre_flush(t);
  if (status == NACRE_OK && i % 16 == 14) status = nacre_compact(t, (nacre_slice){0}, (nacre_slice){0});
  return status;
}

/* Whatever was acknowledged is there; what failed may be; nothing else is. */
static void check_all(uint64_t n) {
  char key[16];
  for (int i = 0; i < STEPS; i++) {
    nacre_value v;
    nacre_status status = nacre_get(t, text(key_of(i, key)), NULL, &v);
    cr_assert(status == NACRE_OK || (status == NACRE_NOT_FOUND && !acknowledged[i]),
              "operation %llu, key %d: %s", (unsigned long long)n, i, nacre_status_name(status));
    cr_assert(status == NACRE_NOT_FOUND || tried[i]);
    if (status == NACRE_OK) nacre_value_release(&v);
  }
}

static void begin(void) {
  memset(acknowledged, 0, sizeof acknowledged);
  memset(tried, 0, sizeof tried);
  s.options.io = &io.io;
  io.fail_at = 0;
  t = site_table(&s, &store, "table");
}

static void check_reopened(uint64_t n) {
  s.options.io = &s.quick;
  t = site_table(&s, &store, "table");
  check_all(n);
  ok(nacre_verify(t, NULL, NULL));
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  test_scratch_remove(s.store);
}

/* Fails operation n of the life, once; true when the life is shorter than that. */
static bool fail_once(uint64_t n, int code, nacre_status expected) {
  begin();
  io.code = code;
  io.fail_at = atomic_load(&io.count) + n;
  int failed = 0;
  for (int i = 0; i < STEPS; i++) {
    nacre_status status = step(i);
    cr_assert(status == NACRE_OK || status == expected, "operation %llu, step %d: %s", (unsigned long long)n,
              i, nacre_status_name(status));
    failed += status != NACRE_OK;
    check_all(n);
  }
  cr_assert(failed <= 1,
            "one failure of the disk fails one call, and the next ones go on: %d at operation %llu", failed,
            (unsigned long long)n);
  bool spent = atomic_load(&io.count) < io.fail_at;
  io.fail_at = 0;
  ok(nacre_sync(t));
  ok(nacre_wait_idle(t));
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  check_reopened(n);
  return spent;
}

Test(failures, one_failed_operation_fails_one_call_and_loses_nothing, .timeout = 120) {
  uint64_t n = 1;
  while (!fail_once(n, EIO, NACRE_IO)) n++;
  cr_expect_gt(n, 50);
}

Test(failures, one_moment_without_room_fails_one_call_and_loses_nothing, .timeout = 120) {
  uint64_t n = 1;
  while (!fail_once(n, ENOSPC, NACRE_NO_SPACE)) n += 3;
  cr_expect_gt(n, 50);
}

/* From operation n on nothing works any more, until there is room again: writes resume by themselves. */
static bool full_for_a_while(uint64_t n) {
  begin();
  io.code = ENOSPC;
  io.fail_at = atomic_load(&io.count) + n;
  io.fail_from = true;
  for (int i = 0; i < STEPS - 4; i++) {
    nacre_status status = step(i);
    cr_assert(status == NACRE_OK || status == NACRE_NO_SPACE, "operation %llu: %s", (unsigned long long)n,
              nacre_status_name(status));
    check_all(n);
  }
  bool spent = atomic_load(&io.count) < io.fail_at;
  io.fail_at = 0;
  io.fail_from = false;
  for (int i = STEPS - 4; i < STEPS; i++) {
    nacre_status status = step(i);
    cr_assert_eq(status, NACRE_OK, "there is room again, operation %llu: %s", (unsigned long long)n,
                 nacre_status_name(status));
  }
  check_all(n);
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  check_reopened(n);
  return spent;
}

Test(failures, a_full_disk_heals_by_itself, .timeout = 120) {
  uint64_t n = 1;
  while (!full_for_a_while(n)) n += 3;
  cr_expect_gt(n, 30);
}

/* After a failed sync the file is not synced again: a kernel that has dropped the pages would call that
 * a success. */
static const nacre_io_file *synced_badly;
static uint64_t syncs, fail_sync;
static int sync_once(void *context, nacre_io_file *file) {
  (void)context;
  cr_assert(synced_badly != file, "a file whose sync failed is synced again");
  if (++syncs != fail_sync) return 0;
  synced_badly = file;
  return EIO;
}
static void forget_file(void *context, nacre_io_file *file) {
  if (synced_badly == file) synced_badly = NULL; /* its address may come again */
  nacre_io_posix()->file_close(context, file);
}

Test(failures, a_failed_sync_is_never_tried_again, .timeout = 120) {
  s.quick.file_sync = sync_once;
  s.quick.file_close = forget_file;
  for (fail_sync = 1;; fail_sync++) {
    begin();
    ok(nacre_table_close(t));
    ok(nacre_close(store));
    s.options.io = &s.quick;
    syncs = UINT64_MAX / 2;
    t = site_table(&s, &store, "table");
    syncs = 0;
    synced_badly = NULL;
    for (int i = 0; i < STEPS; i++) {
      nacre_status status = step(i);
      cr_assert(status == NACRE_OK || status == NACRE_IO);
      check_all(fail_sync);
    }
    (void)nacre_table_close(t); /* may be the one that fails */
    (void)nacre_close(store);
    bool spent = syncs < fail_sync;
    syncs = UINT64_MAX / 2;
    check_reopened(fail_sync);
    if (spent) break;
  }
  cr_expect_gt(fail_sync, 20);
}
