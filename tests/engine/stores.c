/* SPDX-License-Identifier: Apache-2.0
 *
 * nacre.h, stores: options, creating, opening, locks, what is written when and what is never written.
 * Tables are in tables.c.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"

static site s;

static void setup(void) { site_make(&s); }
static void teardown(void) { site_remove(&s); }
TestSuite(stores, .init = setup, .fini = teardown);

static void refused(const nacre_store_options *options, nc_error_id id) {
  nacre_store *store = NULL;
  fails(nacre_open(s.store, options, &store), id);
  cr_expect_null(store);
  cr_expect_not(file_is_there(s.store), "a refused open makes nothing");
}

/* ---- options of a store -------------------------------------------------------------------------------- */

Test(stores, open_refuses_null_arguments) {
  nacre_store *store;
  fails(nacre_open(NULL, &s.options, &store), NC_E_ARGUMENT);
  fails(nacre_open(s.store, &s.options, NULL), NC_E_ARGUMENT);
  cr_expect_not(file_is_there(s.store));
}

#define REFUSES(name, field, value, id)      \
  Test(stores, name) {                       \
    nacre_store_options options = s.options; \
    options.field = value;                   \
    refused(&options, id);                   \
  }
REFUSES(refuses_reserved_fields, reserved[3], 1, NC_E_OPTION_RESERVED)
REFUSES(refuses_open_files_max_too_small, open_files_max, 15, NC_E_ARGUMENT)
REFUSES(refuses_key_check_ms, key_check_ms, 100, NC_E_OPTION_UNSUPPORTED)
REFUSES(refuses_key_stale_max_ms, key_stale_max_ms, 100, NC_E_OPTION_UNSUPPORTED)
REFUSES(refuses_an_anchor, anchor, text("anchor"), NC_E_OPTION_UNSUPPORTED)
REFUSES(refuses_create_with_read_only, read_only, true, NC_E_ARGUMENT)
REFUSES(refuses_trusted_keys_without_a_list, trusted_key_count, 1, NC_E_ARGUMENT)
REFUSES(refuses_a_memtable_below_its_least, memtable_bytes, 65535, NC_E_ARGUMENT)
REFUSES(refuses_a_memory_limit_below_the_cache, memory_bytes_max, 1 << 20, NC_E_ARGUMENT)
REFUSES(refuses_too_many_workers, workers, 65, NC_E_ARGUMENT)

Test(stores, refuses_a_key_of_an_unknown_scheme) {
  nacre_store *store;
  s.options.default_key.uri = "nowhere:x";
  fails(nacre_open(s.store, &s.options, &store), NC_E_KMS_SCHEME);
  cr_expect(!file_is_there(s.store) || count_files(s.store, "") == 0);
}

Test(stores, takes_the_least_and_the_most_of_each_option) {
  nacre_store *store;
  nacre_store_options options = s.options;
  options.memtable_bytes = 65536;
  options.cache_bytes = NACRE_NONE;
  options.memory_bytes_max = 131072;
  options.workers = 64;
  ok(nacre_open(s.store, &options, &store));
  ok(nacre_close(store));
}

/* ---- opening and creating ------------------------------------------------------------------------------ */

Test(stores, a_missing_store_is_not_found_and_not_made) {
  nacre_store *store;
  s.options.create = false;
  refused(&s.options, NC_E_STORE_MISSING);
  s.options.read_only = true;
  refused(&s.options, NC_E_STORE_MISSING);
  cr_assert_eq(mkdir(s.store, 0700), 0);
  fails(nacre_open(s.store, &s.options, &store), NC_E_STORE_MISSING);
  s.options.read_only = false;
  fails(nacre_open(s.store, &s.options, &store), NC_E_STORE_MISSING);
  cr_expect_eq(count_files(s.store, ""), 0);
}

Test(stores, create_opens_an_existing_store_unless_it_must_not_exist) {
  nacre_store *store;
  ok(nacre_close(site_open(&s)));
  ok(nacre_close(site_open(&s)));
  s.options.must_not_exist = true;
  uint64_t before = tree_digest(s.store, NULL);
  fails(nacre_open(s.store, &s.options, &store), NC_E_STORE_EXISTS);
  cr_expect_eq(tree_digest(s.store, NULL), before);
}

Test(stores, a_directory_with_other_files_does_not_become_a_store) {
  char path[PATH_BYTES];
  nacre_store *store;
  cr_assert_eq(mkdir(s.store, 0700), 0);
  join(path, s.store, "somebody's file");
  file_store(path, "x", 1);
  fails(nacre_open(s.store, &s.options, &store), NC_E_STORE_NOT_EMPTY);
  cr_expect_eq(count_files(s.store, ""), 1, "nothing was added");
}

Test(stores, two_opens_in_one_process_are_locked_out) {
  nacre_store *first = site_open(&s), *second = NULL;
  fails(nacre_open(s.store, &s.options, &second), NC_E_LOCKED);
  nacre_store_options reading = {.read_only = true, .default_key.uri = s.uri, .io = &s.quick};
  fails(nacre_open(s.store, &reading, &second), NC_E_LOCKED);
  cr_expect_null(second);
  ok(nacre_close(first));
  nacre_store *third;
  ok(nacre_open(s.store, &reading, &second));
  ok(nacre_open(s.store, &reading, &third));
  fails(nacre_open(s.store, &s.options, &first), NC_E_LOCKED);
  ok(nacre_close(second));
  ok(nacre_close(third));
}

Test(stores, another_key_does_not_open_it) {
  char other[PATH_BYTES];
  nacre_store *store;
  nacre_table *t = site_table(&s, &store, "table");
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  snprintf(other, sizeof other, "local:%.400s/other-keyring", s.path);
  nacre_store_options options = {.default_key.uri = other, .io = &s.quick};
  nacre_status status = nacre_open(s.store, &options, &store);
  cr_expect_eq(status, NACRE_KEY_MISSING, "%s", nacre_status_name(status));
}

/* Whatever fails first while a store is made, no file of it is left, and the next try succeeds. */
Test(stores, a_failing_create_leaves_no_file) {
  ok(nacre_close(site_open(&s))); /* makes the keyring */
  test_scratch_remove(s.store);
  failing_io io;
  for (uint64_t n = 1;; n++) {
    failing_init(&io);
    io.fail_at = n;
    s.options.io = &io.io;
    nacre_store *store;
    nacre_status status = nacre_open(s.store, &s.options, &store);
    if (status == NACRE_OK) {
      ok(nacre_close(store));
      cr_expect_gt(n, 10);
      break;
    }
    cr_assert_eq(status, NACRE_IO, "operation %llu: %s", (unsigned long long)n, nacre_status_name(status));
    cr_assert(!file_is_there(s.store) || count_files(s.store, "") == 0, "operation %llu left files",
              (unsigned long long)n);
  }
}

/* ---- a clean store is not written to ------------------------------------------------------------------- */

Test(stores, opening_and_reading_a_clean_store_writes_nothing) {
  site_fill(&s);
  uint64_t before = tree_digest(s.store, "LOCK");
  for (int round = 0; round < 2; round++) {
    nacre_store *store;
    nacre_iter *it;
    nacre_recovery_report report;
    nacre_table *t = site_table(&s, &store, "table");
    ok(nacre_table_recovery(t, &report));
    cr_expect(report.clean && report.dropped_bytes == 0 && report.dropped_offset == NACRE_NONE);
    cr_expect(holds(t, NULL, "a", "3") && holds(t, NULL, "b", "2"));
    ok(nacre_iter_open(t, NULL, &it));
    nacre_iter_first(it);
    nacre_iter_close(it);
    ok(nacre_verify(t, NULL, NULL));
    ok(nacre_table_close(t));
    ok(nacre_close(store));
    cr_expect_eq(tree_digest(s.store, "LOCK"), before);
    s.options.create = false;
  }
}

/* Leaves the store as a killed process does: what was written is there, nothing was ended. */
static void abandon(void) {
  char copy[PATH_BYTES];
  nacre_store *store;
  nacre_table *t = site_table(&s, &store, "table");
  put_text(t, "c", "killed", false);
  put_text(t, "b", "synced", true);
  join(copy, s.path, "copy");
  tree_copy(s.store, copy);
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  test_scratch_remove(s.store);
  cr_assert_eq(rename(copy, s.store), 0);
}

Test(stores, a_read_only_open_replays_and_changes_nothing) { /* [N3] */
  site_fill(&s);
  abandon();
  uint64_t before = tree_digest(s.store, NULL);
  nacre_store_options options = {.read_only = true, .default_key.uri = s.uri, .io = &s.quick};
  for (int round = 0; round < 2; round++) {
    nacre_store *store;
    nacre_table *t;
    nacre_recovery_report report;
    ok(nacre_open(s.store, &options, &store));
    ok(nacre_table_open(store, "table", NULL, &t));
    cr_expect(holds(t, NULL, "a", "3") && holds(t, NULL, "b", "synced") && holds(t, NULL, "c", "killed"));
    ok(nacre_table_recovery(t, &report));
    cr_expect(!report.clean && report.dropped_bytes == 0);
    ok(nacre_table_close(t));
    ok(nacre_close(store));
    cr_expect_eq(tree_digest(s.store, NULL), before);
  }
}

Test(stores, what_is_replayed_is_flushed_before_the_first_write) {
  site_fill(&s);
  abandon();
  nacre_store *store;
  nacre_stats stats;
  nacre_table *t = site_table(&s, &store, "table");
  ok(nacre_table_stats(t, &stats));
  uint64_t segments = stats.segments;
  put_text(t, "d", "4", false);
  ok(nacre_table_stats(t, &stats));
  cr_expect_eq(stats.segments, segments + 1);
  cr_expect_eq(stats.memtable_entries, 1);
  cr_expect(holds(t, NULL, "c", "killed") && holds(t, NULL, "d", "4"));
  ok(nacre_verify(t, NULL, NULL));
  ok(nacre_table_close(t));
  ok(nacre_close(store));
}

/* After an unclean end, what was only in the page cache must not be left to it: a sync makes it durable
 * (by flushing it). */
Test(stores, syncing_after_an_unclean_end_makes_what_was_replayed_durable) {
  site_fill(&s);
  abandon();
  nacre_store *store;
  nacre_stats stats;
  nacre_table *t = site_table(&s, &store, "table");
  ok(nacre_sync(t));
  ok(nacre_table_stats(t, &stats));
  cr_expect_eq(stats.memtable_entries, 0, "it is in a segment");
  ok(nacre_table_close(t));
  ok(nacre_close(store));
}

Test(stores, a_store_that_may_not_be_written_says_so) {
  site_fill(&s);
  nacre_store *store;
  nacre_table *t;
  nacre_batch *b;
  const nacre_slice none = {NULL, 0};
  s.options.create = false;
  s.options.read_only = true;
  ok(nacre_open(s.store, &s.options, &store));
  ok(nacre_table_open(store, "table", NULL, &t));
  ok(nacre_batch_create(&b));
  ok(nacre_batch_put(b, text("k"), text("v")));
  fails(nacre_put(t, text("k"), text("v"), NULL), NC_E_READ_ONLY);
  fails(nacre_delete(t, text("k"), NULL), NC_E_READ_ONLY);
  fails(nacre_write(t, b, NULL), NC_E_READ_ONLY);
  fails(nacre_sync(t), NC_E_READ_ONLY);
  fails(nacre_flush(t), NC_E_READ_ONLY);
  fails(nacre_compact(t, none, none), NC_E_READ_ONLY);
  fails(nacre_table_create(store, "new", NULL, NULL), NC_E_READ_ONLY);
  fails(nacre_table_drop(store, "table"), NC_E_READ_ONLY);
  fails(nacre_table_rename(store, "table", "new"), NC_E_READ_ONLY);
  ok(nacre_wait_idle(t));
  nacre_batch_destroy(b);
  ok(nacre_table_close(t));
  ok(nacre_close(store));
}

Test(stores, a_table_may_be_opened_read_only_in_a_writable_store) {
  site_fill(&s);
  nacre_store *store = site_open(&s);
  nacre_table *t;
  nacre_table_open_options options = {.read_only = true};
  ok(nacre_table_open(store, "table", &options, &t));
  fails(nacre_put(t, text("k"), text("v"), NULL), NC_E_READ_ONLY);
  cr_expect(holds(t, NULL, "b", "2"));
  ok(nacre_table_close(t));
  ok(nacre_close(store));
}

Test(stores, a_read_only_open_needs_no_lock_file_and_no_right_to_write) {
  site_fill(&s);
  char lock[PATH_BYTES];
  nacre_store *store;
  nacre_table *t;
  join(lock, s.store, "LOCK");
  cr_assert_eq(remove(lock), 0);
  s.options.create = false;
  s.options.read_only = true;
  ok(nacre_open(s.store, &s.options, &store));
  ok(nacre_table_open(store, "table", NULL, &t));
  cr_expect(holds(t, NULL, "a", "3"));
  cr_expect_not(file_is_there(lock));
  ok(nacre_table_close(t));
  ok(nacre_close(store));
}
