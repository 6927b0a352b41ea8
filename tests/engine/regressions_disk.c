/* SPDX-License-Identifier: Apache-2.0
 *
 * Defects on a disk that fails, found once, that must not come back: what is really synced, what is
 * acknowledged after a failure, what is left behind.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "fixture.h"

static site s;
static nacre_store *store;
static nacre_table *t;
static const nacre_slice none = {NULL, 0};

/* What the disk refuses, and what was asked of it. */
static struct {
  bool no_room;            /* for writes to any file */
  bool no_manifest_room;   /* for writes to the newest manifest */
  const char *no_create;   /* names that contain this cannot be created */
  uint64_t slow_create_us; /* how long it takes to create a segment */
  uint64_t syncs;
  int fail_syncs; /* so many of the next syncs fail */
  nacre_io_file *manifest;
} disk;

static int disk_create(void *context, nacre_io_dir *dir, const char *name, nacre_io_file **ret_file) {
  if (disk.no_create != NULL && strstr(name, disk.no_create) != NULL) return ENOSPC;
  if (disk.slow_create_us > 0 && strstr(name, ".seg") != NULL) usleep((useconds_t)disk.slow_create_us);
  int code = nacre_io_posix()->file_create(context, dir, name, ret_file);
  if (code == 0 && strstr(name, ".man") != NULL) disk.manifest = *ret_file;
  return code;
}

static int disk_write(void *context, nacre_io_file *file, uint64_t offset, const void *buffer, size_t size) {
  if (disk.no_room || (disk.no_manifest_room && file == disk.manifest)) return ENOSPC;
  return nacre_io_posix()->file_write(context, file, offset, buffer, size);
}

static int disk_sync(void *context, nacre_io_file *file) {
  (void)context, (void)file;
  disk.syncs++;
  if (disk.fail_syncs == 0) return 0;
  disk.fail_syncs--;
  return EIO;
}

static void setup(void) {
  memset(&disk, 0, sizeof disk);
  site_make(&s);
  s.quick.file_create = disk_create;
  s.quick.file_write = disk_write;
  s.quick.file_map = NULL; /* log frames come by here, too */
  s.quick.file_sync = disk_sync;
}
static void teardown(void) { site_remove(&s); }
TestSuite(regressions_disk, .init = setup, .fini = teardown);

static void close_all(void) {
  ok(nacre_table_close(t));
  ok(nacre_close(store));
}

static size_t files_of_table(const char *suffix) {
  char directory[PATH_BYTES], uuid[64];
  nacre_table_infos *infos;
  ok(nacre_table_list(store, &infos));
  snprintf(uuid, sizeof uuid, "%s", nacre_table_infos_at(infos, 0)->uuid);
  nacre_table_infos_free(infos);
  join(directory, s.store, uuid);
  return count_files(directory, suffix);
}

/* ---- what is really synced ----------------------------------------------------------------------------- */

/* The flush had begun a new log, an empty one, and only that was looked at: the older log was never
 * synced. */
Test(regressions_disk, a_sync_after_a_failed_flush_syncs_the_older_log) {
  t = site_table(&s, &store, "table");
  put_text(t, "k", "v", false);
  disk.no_create = ".seg";
  cr_assert_eq(nacre_flush(t), NACRE_NO_SPACE);
  uint64_t before = disk.syncs;
  ok(nacre_sync(t));
  cr_expect_gt(disk.syncs, before);
  close_all();
}

Test(regressions_disk, a_close_after_a_failed_flush_syncs_the_older_log) {
  t = site_table(&s, &store, "table");
  put_text(t, "k", "v", false);
  disk.no_create = ".seg";
  cr_assert_eq(nacre_flush(t), NACRE_NO_SPACE);
  uint64_t before = disk.syncs;
  ok(nacre_table_close(t));
  cr_expect_gt(disk.syncs, before);
  ok(nacre_close(store));
  disk.no_create = NULL;
  t = site_table(&s, &store, "table");
  cr_expect(holds(t, NULL, "k", "v"));
  close_all();
}

/* Reopens the store as a killed process left it: one unsynced write. */
static void kill_and_reopen(void) {
  char copy[PATH_BYTES];
  t = site_table(&s, &store, "table");
  put_text(t, "k", "v", false);
  join(copy, s.path, "copy");
  tree_copy(s.store, copy);
  close_all();
  test_scratch_remove(s.store);
  require(rename(copy, s.store) == 0);
  t = site_table(&s, &store, "table");
}

/* What was replayed stood in the page cache only, and there was no log of this process to sync. */
Test(regressions_disk, a_sync_after_a_kill_syncs_what_was_replayed) {
  kill_and_reopen();
  uint64_t before = disk.syncs;
  ok(nacre_sync(t));
  cr_expect_gt(disk.syncs, before);
  cr_expect(holds(t, NULL, "k", "v"));
  close_all();
}

Test(regressions_disk, so_does_an_empty_batch_that_asks_for_it) {
  nacre_batch *b;
  nacre_write_options options = {.sync = true};
  kill_and_reopen();
  uint64_t before = disk.syncs;
  ok(nacre_batch_create(&b));
  ok(nacre_write(t, b, &options));
  nacre_batch_destroy(b);
  cr_expect_gt(disk.syncs, before);
  close_all();
}

/* ---- after a failure ----------------------------------------------------------------------------------- */

/* The newer log was sound, so writes went on, while the older one was neither durable nor in a segment. */
Test(regressions_disk, nothing_is_acknowledged_behind_an_older_log_whose_sync_failed) {
  nacre_write_options sync = {.sync = true};
  t = site_table(&s, &store, "table");
  put_text(t, "k0", "v", false);
  disk.no_create = ".seg";
  cr_assert_eq(nacre_flush(t), NACRE_NO_SPACE);
  put_text(t, "k1", "v", false);
  disk.fail_syncs = 1;
  cr_expect_eq(nacre_put(t, text("k2"), text("v"), &sync), NACRE_IO);
  cr_expect_eq(nacre_put(t, text("k3"), text("v"), NULL), NACRE_NO_SPACE);
  disk.no_create = NULL;
  put_text(t, "k3", "v", false);
  nacre_stats stats;
  ok(nacre_table_stats(t, &stats));
  cr_expect_eq(stats.memtable_entries, 1, "all but the last write is in segments");
  cr_expect_eq(stats.logs, 1, "the failed log is gone");
  cr_expect(holds(t, NULL, "k0", "v") && holds(t, NULL, "k1", "v") && holds(t, NULL, "k3", "v"));
  close_all();
}

/* A close had to flush, the flush called for a merge, and the table was freed beneath the worker. */
Test(regressions_disk, a_close_waits_for_the_merge_that_it_calls_for, .timeout = 60) {
  static char big[100000];
  nacre_slice value = nc_slice(big, sizeof big);
  nacre_write_options sync = {.sync = true};
  s.options.workers = 1;
  t = site_table(&s, &store, "table");
  for (int i = 0; i < 3; i++) {
    ok(nacre_put(t, text("k"), value, NULL));
    ok(nacre_flush(t));
  }
  ok(nacre_wait_idle(t));
  ok(nacre_put(t, text("k"), value, NULL));
  disk.fail_syncs = 1;
  disk.no_create = ".seg";
  cr_expect_eq(nacre_put(t, text("k"), value, &sync), NACRE_IO);
  disk.no_create = NULL;
  disk.slow_create_us = 50000;
  close_all();
  disk.slow_create_us = 0;
  t = site_table(&s, &store, "table");
  nacre_value found;
  ok(nacre_get(t, text("k"), NULL, &found));
  cr_expect_eq(found.size, sizeof big);
  nacre_value_release(&found);
  close_all();
}

/* Such a merge makes no file, and the empty list of its files was freed twice. */
Test(regressions_disk, a_merge_that_leaves_nothing_may_fail_again_and_again) {
  t = site_table(&s, &store, "table");
  put_text(t, "k", "v", false);
  ok(nacre_flush(t));
  ok(nacre_delete(t, text("k"), NULL));
  ok(nacre_flush(t));
  disk.no_room = true;
  for (int i = 0; i < 4; i++) cr_expect_eq(nacre_compact(t, none, none), NACRE_NO_SPACE);
  disk.no_room = false;
  ok(nacre_compact(t, none, none));
  nacre_stats stats;
  ok(nacre_table_stats(t, &stats));
  cr_expect_eq(stats.segments, 0);
  close_all();
}

/* ---- what is left behind ------------------------------------------------------------------------------- */

/* Each try made a log that no manifest could name, on a disk that was full already. */
Test(regressions_disk, retries_leave_no_logs_while_the_manifest_cannot_be_written) {
  t = site_table(&s, &store, "table");
  put_text(t, "k", "v", false);
  disk.no_manifest_room = true;
  cr_assert_eq(nacre_flush(t), NACRE_NO_SPACE);
  size_t logs = files_of_table(".log"), manifests = files_of_table(".man");
  for (int i = 0; i < 5; i++) cr_expect_eq(nacre_flush(t), NACRE_NO_SPACE);
  cr_expect_eq(files_of_table(".log"), logs);
  cr_expect_eq(files_of_table(".man"), manifests);
  disk.no_manifest_room = false;
  ok(nacre_flush(t));
  cr_expect_eq(files_of_table(".man"), 1);
  cr_expect(holds(t, NULL, "k", "v"));
  close_all();
}

/* Before the rename no CURRENT can name the new manifest: it need not stay. */
Test(regressions_disk, retries_leave_no_manifests_while_current_cannot_be_written) {
  t = site_table(&s, &store, "table");
  disk.no_create = "CURRENT";
  for (int i = 0; i < 5; i++) cr_expect_eq(nacre_put(t, text("k"), text("v"), NULL), NACRE_NO_SPACE);
  cr_expect_eq(files_of_table(".man"), 1);
  disk.no_create = NULL;
  put_text(t, "k", "v", true);
  cr_expect_eq(files_of_table(".man"), 1);
  close_all();
}
