/* SPDX-License-Identifier: Apache-2.0
 *
 * What a clean close leaves: segments instead of logs that are worth it, the logs else; and the logs, ended cleanly,
 * when flushing fails, whatever it is that fails.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>

#include "one_table.h"

enum { VALUE_BYTES = 1000, MUCH = 20, LITTLE = 2 }; /* values, of a memtable of 64 KiB: over an eighth of it, and less */

static failing_io disk;
static int keys; /* are there */

static void setup(void) {
  site_make(&s);
  s.options.memtable_bytes = 64 << 10;
  failing_init(&disk);
}
static void teardown(void) { site_remove(&s); }
TestSuite(closes, .init = setup, .fini = teardown, .timeout = 60);

static nacre_slice key_of(int i, char buffer[16]) {
  return nc_slice(buffer, (size_t)snprintf(buffer, 16, "%04d", i));
}

static void put_values(int count) {
  static const char value[VALUE_BYTES];
  char key[16];
  for (int i = 0; i < count; i++)
    ok(nacre_put(t, key_of(keys++, key), nc_slice(value, sizeof value), NULL));
}

static void check_values(void) {
  char key[16];
  for (int i = 0; i < keys; i++) {
    nacre_value v;
    ok(nacre_get(t, key_of(i, key), NULL, &v));
    cr_assert_eq(v.size, VALUE_BYTES);
    nacre_value_release(&v);
  }
}

static size_t files(const char *suffix) {
  char path[PATH_BYTES];
  site_table_path(&s, "table", path);
  return count_files(path, suffix);
}

static nacre_recovery_report recovered(void) {
  nacre_recovery_report report;
  ok(nacre_table_recovery(t, &report));
  return report;
}

Test(closes, much_becomes_a_segment) {
  one_table_open();
  put_values(MUCH);
  one_table_close();
  cr_expect_eq(files(".log"), 0, "what was logged is in segments");
  cr_expect_eq(files(".seg"), 1);
  one_table_open();
  cr_expect(recovered().clean);
  cr_expect_eq(recovered().logs, 0, "nothing is replayed");
  check_values();
  put_values(1);
  check_values();
  one_table_close();
}

Test(closes, little_stays_in_its_log) {
  one_table_open();
  put_values(LITTLE);
  one_table_close();
  cr_expect_eq(files(".log"), 1);
  cr_expect_eq(files(".seg"), 0);
  one_table_open();
  check_values();
  one_table_close();
}

/* A change of keys begins a log, to which nobody may write any more. */
Test(closes, a_log_that_nobody_wrote_to_ends_cleanly) {
  one_table_open();
  put_values(LITTLE);
  ok(nacre_table_rotate(t));
  ok(nacre_table_rewrap_wait(t, NULL));
  one_table_close();
  one_table_open();
  cr_expect(recovered().clean);
  check_values();
  one_table_close();
}

Test(closes, many_a_little_makes_much) {
  for (int opens = 0; opens < 4; opens++) {
    cr_expect_eq(opens == 0 ? 0 : files(".log"), (size_t)opens, "each open has left its log");
    one_table_open();
    put_values(LITTLE);
    one_table_close();
  }
  cr_expect_eq(files(".log"), 0, "all of them together are worth a segment");
  cr_expect_eq(files(".seg"), 1);
  one_table_open();
  check_values();
  one_table_close();
}

Test(closes, many_closes_leave_few_runs) {
  for (int closes = 1; closes <= 12; closes++) {
    one_table_open();
    put_values(MUCH);
    one_table_close();
    cr_expect_eq(files(".log"), 0);
    cr_expect(files(".seg") < 4 + 3, "%zu segments after %d closes", files(".seg"), closes);
    if (closes == 4) cr_expect_eq(files(".seg"), 1, "four runs of one size become one");
  }
  one_table_open();
  check_values();
  one_table_close();
}

/* Written where much is more, and read where it is less. */
Test(closes, who_only_reads_leaves_it_as_it_is) {
  s.options.memtable_bytes = 1 << 20;
  one_table_open();
  put_values(MUCH);
  one_table_close();
  cr_expect_eq(files(".log"), 1, "20 KB of 1 MiB");
  uint64_t digest = tree_digest(s.store, "LOCK");
  s.options.memtable_bytes = 64 << 10;
  one_table_open();
  check_values();
  one_table_close();
  s.options.create = false;
  s.options.read_only = true;
  store = site_open(&s);
  ok(nacre_table_open(store, "table", NULL, &t));
  check_values();
  one_table_close();
  cr_expect_eq(tree_digest(s.store, "LOCK"), digest);
}

Test(closes, the_catalogue_stays_in_its_log) {
  one_table_open();
  for (int i = 0; i < 20; i++) {
    char name[201], other[201];
    snprintf(name, sizeof name, "%0200d", i);
    snprintf(other, sizeof other, "%0200d", i + 1000);
    ok(nacre_table_create(store, name, NULL, NULL));
    ok(nacre_table_rename(store, name, other)); /* three records of some 400 bytes each */
  }
  one_table_close();
  char path[PATH_BYTES];
  site_table_path(&s, NULL, path);
  cr_expect_eq(count_files(path, ".seg"), 0);
}

/* ---- a close that cannot flush ------------------------------------------------------------------------- */

static void reopen_sound(uint64_t n) {
  s.options.io = &s.quick;
  one_table_open();
  check_values();
  ok(nacre_verify(t, NULL, NULL));
  put_values(1);
  ok(nacre_flush(t));
  one_table_reopen();
  cr_expect(recovered().clean, "operation %llu", (unsigned long long)n);
  check_values();
  one_table_close();
  test_scratch_remove(s.store);
  keys = 0;
}

/* Operation n of the close fails, and with `from` all that follow; true when it is shorter than that. */
static bool fail_at(uint64_t n, int code, bool from, nacre_status expected) {
  disk.fail_at = 0;
  disk.fail_from = from;
  disk.code = code;
  s.options.io = &disk.io;
  one_table_open();
  put_values(MUCH);
  disk.fail_at = atomic_load(&disk.count) + n;
  nacre_status status = nacre_table_close(t);
  bool spent = atomic_load(&disk.count) < disk.fail_at;
  cr_expect(status == NACRE_OK || (from && status == expected), "operation %llu: %s", (unsigned long long)n,
            nacre_status_name(status));
  disk.fail_at = 0;
  ok(nacre_close(store));
  reopen_sound(n);
  return spent;
}

Test(closes, one_failed_operation_fails_no_close) {
  uint64_t n = 1;
  while (!fail_at(n, EIO, false, NACRE_IO)) n++;
  cr_expect_gt(n, 5);
}

Test(closes, a_disk_that_fails_for_good_loses_nothing_that_was_acknowledged) {
  uint64_t n = 1;
  while (!fail_at(n, EIO, true, NACRE_IO)) n++;
  cr_expect_gt(n, 5);
}

static int no_segment(void *context, nacre_io_dir *dir, const char *name, nacre_io_file **ret_file) {
  size_t size = strlen(name);
  bool segment = size > 4 && strcmp(name + size - 4, ".seg") == 0;
  return segment ? ENOSPC : nacre_io_posix()->file_create(context, dir, name, ret_file);
}

static int syncs;
static int count_sync(void *context, nacre_io_file *file) {
  (void)context;
  (void)file;
  syncs++;
  return 0;
}

Test(closes, without_room_for_a_segment_the_log_ends_cleanly) {
  nacre_io full = *nacre_io_posix();
  full.file_sync = count_sync;
  s.options.io = &full;
  one_table_open();
  put_values(MUCH);
  full.file_create = no_segment;
  syncs = 0;
  ok(nacre_table_close(t));
  cr_expect_eq(syncs, 2, "the log, and its final frame");
  ok(nacre_close(store));
  cr_expect_eq(files(".log"), 1);
  cr_expect_eq(files(".seg"), 0, "nothing is left of the attempt");
  one_table_open();
  cr_expect(recovered().clean);
  check_values();
  put_values(1);
  check_values();
  full.file_create = nacre_io_posix()->file_create;
  one_table_close();
  cr_expect_eq(files(".log"), 0, "the next close finds room");
  one_table_open();
  check_values();
  one_table_close();
}
