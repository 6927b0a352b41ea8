/* SPDX-License-Identifier: Apache-2.0
 *
 * Bulk loads of large values and of values that expire: shown and dropped with the load, whole, whatever happens
 * to the store beside it.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "large_site.h"

static uint64_t now_ms = 1000000;
static uint64_t test_wall_ms(void *context) {
  (void)context;
  return now_ms;
}

static void setup(void) {
  site_make(&large.s);
  large.s.quick.wall_ms = test_wall_ms;
  large_open_table();
}
TestSuite(load_values, .init = setup, .fini = large_remove, .timeout = 120);

static nacre_load *begin(void) {
  nacre_load *load;
  ok(nacre_load_begin(large.t, NULL, &load));
  return load;
}

static void load_value(nacre_load *load, uint64_t key, uint64_t version, size_t size, uint64_t expire_at_ms) {
  char bytes[24];
  uint8_t *value = large_value(key, version, size);
  ok(nacre_load_put_expiring(load, large_key(key, bytes), nc_slice(value, size), expire_at_ms));
  free(value);
}

static bool absent(uint64_t key) {
  char bytes[24];
  nacre_value value;
  nacre_status status = nacre_get(large.t, large_key(key, bytes), NULL, &value);
  if (status == NACRE_OK) nacre_value_release(&value);
  return status == NACRE_NOT_FOUND;
}

static void check_sound(void) {
  nacre_verify_report report;
  ok(nacre_verify(large.t, NULL, &report));
  cr_assert_eq(report.fault_count, 0);
}

/* A store that a crash has left: the same files elsewhere, opened in the place of this one. */
static void crash(void) {
  char copy[PATH_BYTES];
  join(copy, large.s.path, "copy");
  tree_copy(large.s.store, copy);
  large_close_table();
  memcpy(large.s.store, copy, sizeof copy);
  large_open_table();
}

/* ---- what comes back ------------------------------------------------------------------------------------- */

Test(load_values, of_every_size_and_life_come_back) {
  nacre_load *load = begin();
  load_value(load, 1, 1, LARGE_SIZE, 0);
  load_value(load, 2, 1, LARGE_THRESHOLD, 0);
  load_value(load, 3, 1, 100, now_ms + 50);
  load_value(load, 4, 1, LARGE_SIZE, now_ms + 50);
  load_value(load, 5, 1, 100, now_ms + 100);
  load_value(load, 6, 1, 100, now_ms); /* is over */
  load_value(load, 7, 1, 0, now_ms + 100);
  cr_assert_eq(large_files(), 2, "they are written as they come");
  cr_assert(absent(1) && absent(3));
  ok(nacre_load_commit(load));
  nacre_stats stats;
  ok(nacre_table_stats(large.t, &stats));
  cr_assert_gt(stats.bytes_loaded, 3 * 8192, "files of values count, too");
  for (int round = 0; round < 3; round++) {
    cr_assert(large_has(1, 1, LARGE_SIZE, NULL) && large_has(2, 1, LARGE_THRESHOLD, NULL));
    cr_assert(large_has(3, 1, 100, NULL) && large_has(4, 1, LARGE_SIZE, NULL) && large_has(5, 1, 100, NULL));
    cr_assert(absent(6) && large_has(7, 1, 0, NULL));
    check_sound();
    if (round == 0) large_reopen(); /* the first write after it removes what nothing names */
    if (round == 1) large_put(9, 1, LARGE_SIZE);
  }
  cr_assert_eq(large_files(), 3);
  now_ms += 50;
  cr_assert(absent(3) && absent(4) && large_has(5, 1, 100, NULL));
  large_compact();
  cr_assert_eq(large_files(), 2, "what has expired goes with its file");
  large_put(1, 2, 10);
  large_compact();
  cr_assert_eq(large_files(), 1);
  check_sound();
}

Test(load_values, replace_and_are_replaced_like_any) {
  large_put(1, 1, LARGE_SIZE);
  large_put(2, 1, 10);
  nacre_snapshot *before;
  ok(nacre_snapshot_take(large.t, &before));
  nacre_load *load = begin();
  load_value(load, 1, 2, LARGE_SIZE, 0);
  load_value(load, 2, 2, LARGE_SIZE, now_ms + 10);
  ok(nacre_load_commit(load));
  cr_assert(large_has(1, 2, LARGE_SIZE, NULL) && large_has(2, 2, LARGE_SIZE, NULL));
  cr_assert(large_has(1, 1, LARGE_SIZE, before) && large_has(2, 1, 10, before));
  large_compact();
  cr_assert(large_has(1, 1, LARGE_SIZE, before) && large_has(2, 1, 10, before));
  nacre_snapshot_release(before);
  large_erase(1);
  now_ms += 10;
  large_compact();
  cr_assert(absent(1) && absent(2));
  cr_assert_eq(large_files(), 0);
}

Test(load_values, beyond_the_limits_are_refused_and_the_load_goes_on) {
  static uint8_t byte;
  nacre_slice huge = {&byte, NACRE_VALUE_BYTES_MAX + 1};
  nacre_load *load = begin();
  load_value(load, 1, 1, LARGE_SIZE, 0);
  fails(nacre_load_put(load, text("l"), huge), NC_E_VALUE_TOO_LARGE);
  uint8_t *long_key = test_alloc(NACRE_KEY_BYTES_MAX + 1), *value = large_value(2, 1, LARGE_SIZE);
  memset(long_key, 'x', NACRE_KEY_BYTES_MAX + 1);
  fails(nacre_load_put(load, nc_slice(long_key, NACRE_KEY_BYTES_MAX + 1), nc_slice(value, LARGE_SIZE)),
        NC_E_KEY_TOO_LARGE);
  fails(nacre_load_put(load, text("a"), nc_slice(value, LARGE_SIZE)), NC_E_LOAD_ORDER);
  cr_assert_eq(large_files(), 1, "what is refused writes nothing");
  load_value(load, 2, 1, LARGE_SIZE, 0);
  ok(nacre_load_commit(load));
  cr_assert(large_has(1, 1, LARGE_SIZE, NULL) && large_has(2, 1, LARGE_SIZE, NULL));
  free(long_key);
  free(value);
}

/* ---- what is left ---------------------------------------------------------------------------------------- */

Test(load_values, of_an_aborted_load_leave_no_file) {
  nacre_load *load = begin();
  load_value(load, 1, 1, LARGE_SIZE, 0);
  load_value(load, 2, 1, LARGE_SIZE, now_ms + 5);
  nacre_load_abort(load);
  cr_assert_eq(large_files(), 0);
  check_sound();
}

Test(load_values, of_a_load_under_way_go_after_a_crash) {
  nacre_load *load = begin();
  load_value(load, 1, 1, LARGE_SIZE, 0);
  char copy[PATH_BYTES];
  join(copy, large.s.path, "copy");
  tree_copy(large.s.store, copy);
  nacre_load_abort(load);
  large_close_table();
  memcpy(large.s.store, copy, sizeof copy);
  large_open_table();
  cr_assert_eq(large_files(), 1);
  large_put(2, 1, 10);
  cr_assert_eq(large_files(), 0, "the first write removes them");
  cr_assert(absent(1));
  check_sound();
}

Test(load_values, of_a_committed_load_are_there_after_a_crash) {
  nacre_load *load = begin();
  load_value(load, 1, 1, LARGE_SIZE, 0);
  ok(nacre_load_commit(load));
  crash();
  large_put(2, 1, 10);
  cr_assert(large_has(1, 1, LARGE_SIZE, NULL));
  cr_assert_eq(large_files(), 1);
  check_sound();
}

Test(load_values, of_a_load_under_way_are_not_in_a_checkpoint) {
  char to[PATH_BYTES];
  large_put(1, 1, LARGE_SIZE);
  nacre_load *load = begin();
  load_value(load, 2, 1, LARGE_SIZE, 0);
  join(to, large.s.path, "checkpoint");
  ok(nacre_checkpoint(large.store, to, NULL, NULL));
  check_sound();
  ok(nacre_load_commit(load));
  large_close_table();
  memcpy(large.s.store, to, sizeof to);
  large_open_table();
  cr_assert(large_has(1, 1, LARGE_SIZE, NULL) && absent(2));
  cr_assert_eq(large_files(), 1);
}

/* ---- salvage --------------------------------------------------------------------------------------------- */

/* With the manifest, and by the files alone: then it is the properties of its segment that tell a load. */
Test(load_values, come_out_by_salvage) {
  char to[PATH_BYTES], manifest[PATH_BYTES], kept[PATH_BYTES];
  large_put(1, 1, 10);
  nacre_load *load = begin();
  load_value(load, 1, 2, 100, now_ms + 100);
  load_value(load, 2, 1, LARGE_SIZE, 0);
  load_value(load, 3, 1, LARGE_SIZE, now_ms + 100);
  load_value(load, 4, 1, 100, now_ms);
  ok(nacre_load_commit(load));
  large_close_table();
  memcpy(kept, large.s.store, sizeof kept);
  only_file(large.directory, ".man", manifest);
  nacre_store_options source = large.s.options;
  source.create = false;
  for (int round = 0; round < 2; round++) {
    nacre_salvage_report report;
    join(to, large.s.path, round == 0 ? "with" : "without");
    nacre_salvage_options options = {.to = to, .source = &source};
    ok(nacre_salvage(kept, "table", &options, &report));
    cr_assert(report.without_manifest == (round == 1) && report.fault_count == (uint64_t)round);
    nacre_faults_free(report.faults);
    memcpy(large.s.store, to, sizeof to);
    large_open_table();
    cr_assert(large_has(1, 2, 100, NULL) && large_has(2, 1, LARGE_SIZE, NULL) &&
              large_has(3, 1, LARGE_SIZE, NULL));
    cr_assert(absent(4));
    check_sound();
    now_ms += 100;
    cr_assert(absent(1) && absent(3) && large_has(2, 1, LARGE_SIZE, NULL));
    now_ms -= 100;
    if (round == 1) break;
    large_close_table();
    memcpy(large.s.store, kept, sizeof kept);
    cr_assert_eq(unlink(manifest), 0);
  }
}

/* ---- changes of keys ------------------------------------------------------------------------------------- */

Test(load_values, come_under_a_new_key_while_their_load_rests) {
  nacre_load *load = begin();
  load_value(load, 1, 1, LARGE_SIZE, 0);
  ok(nacre_table_rotate(large.t));
  nacre_rewrap_report report;
  ok(nacre_table_rewrap_wait(large.t, &report));
  cr_assert_eq(report.versions_retired, 1);
  nacre_retirements_free(report.retirements);
  load_value(load, 2, 1, LARGE_SIZE, 0);
  ok(nacre_table_rotate(large.t));
  ok(nacre_table_rewrap_wait(large.t, NULL));
  ok(nacre_load_commit(load));
  large_reopen();
  cr_assert(large_has(1, 1, LARGE_SIZE, NULL) && large_has(2, 1, LARGE_SIZE, NULL));
  check_sound();
}

/* ---- a failing disk -------------------------------------------------------------------------------------- */

static nacre_status try_load(nacre_load **ret_load) {
  uint8_t *value = large_value(1, 1, LARGE_SIZE);
  nacre_status status = nacre_load_begin(large.t, NULL, ret_load);
  if (status == NACRE_OK) status = nacre_load_put(*ret_load, text("key 000001"), nc_slice(value, LARGE_SIZE));
  if (status == NACRE_OK)
    status = nacre_load_put_expiring(*ret_load, text("key 000002"), nc_slice(value, 100), now_ms + 100);
  if (status == NACRE_OK) status = nacre_load_commit(*ret_load);
  if (status == NACRE_OK) *ret_load = NULL;
  free(value);
  return status;
}

/* Whichever operation fails, from then on or once: all or nothing, and no file is left over. */
Test(load_values, all_or_nothing_whichever_operation_fails) {
  static failing_io disk; /* the store is closed behind the test */
  large_close_table();
  failing_init(&disk);
  large.s.options.io = &disk.io;
  large_open_table();
  bool went_well = false;
  for (uint64_t n = 1; n < 300 && !went_well; n++) {
    nacre_load *load = NULL;
    large_put(0, n, 10);
    disk.code = n % 2 == 0 ? EIO : ENOSPC;
    disk.fail_from = n % 3 == 0;
    disk.fail_at = atomic_load(&disk.count) + n;
    nacre_status status = try_load(&load);
    went_well = disk.fail_at > atomic_load(&disk.count);
    cr_assert(status == NACRE_OK || absent(1));
    if (n % 4 >= 2) disk.fail_at = 0; /* else the abort meets it, too */
    if (status != NACRE_OK) nacre_load_abort(load);
    disk.fail_at = 0;
    cr_assert(large_has(0, n, 10, NULL));
    cr_assert_eq(absent(1), status != NACRE_OK);
    check_sound();
    if (n % 5 == 0) large_reopen();
    large_put(9, n, 10); /* a manifest in doubt is replaced, orphans of the open before go */
    large_erase(1);
    large_erase(2);
    large_compact();
    check_sound();
  }
  cr_assert(went_well, "there is an end of operations");
  large_reopen();
  large_put(9, 1000, 10);
  cr_assert_eq(large_files(), 0);
}
