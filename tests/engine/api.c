/* SPDX-License-Identifier: Apache-2.0
 *
 * nacre.h, writing and reading: arguments, limits, statuses, moments. Stores and tables themselves are in
 * stores.c.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "one_table.h"
#include "table.h"

static const nacre_slice none = {NULL, 0};

TestSuite(api, .init = one_table_make, .fini = one_table_remove);

/* ---- arguments ----------------------------------------------------------------------------------------- */

Test(api, writing_refuses_null_handles_and_slices) {
  const nacre_slice lying = {NULL, 3};
  fails(nacre_put(NULL, text("k"), text("v"), NULL), NC_E_ARGUMENT);
  fails(nacre_put(t, none, text("v"), NULL), NC_E_ARGUMENT);
  fails(nacre_put(t, text("k"), lying, NULL), NC_E_ARGUMENT);
  fails(nacre_delete(NULL, text("k"), NULL), NC_E_ARGUMENT);
  fails(nacre_delete(t, none, NULL), NC_E_ARGUMENT);
  fails(nacre_write(NULL, NULL, NULL), NC_E_ARGUMENT);
  fails(nacre_write(t, NULL, NULL), NC_E_ARGUMENT);
  fails(nacre_sync(NULL), NC_E_ARGUMENT);
  fails(nacre_flush(NULL), NC_E_ARGUMENT);
  fails(nacre_compact(NULL, none, none), NC_E_ARGUMENT);
  fails(nacre_wait_idle(NULL), NC_E_ARGUMENT);
  cr_expect(holds(t, NULL, "k", NULL));
}

Test(api, batches_refuse_null_handles_and_slices) {
  nacre_batch *b;
  const nacre_slice lying = {NULL, 3};
  fails(nacre_batch_create(NULL), NC_E_ARGUMENT);
  ok(nacre_batch_create(&b));
  fails(nacre_batch_put(NULL, text("k"), text("v")), NC_E_ARGUMENT);
  fails(nacre_batch_put(b, none, text("v")), NC_E_ARGUMENT);
  fails(nacre_batch_put(b, text("k"), lying), NC_E_ARGUMENT);
  fails(nacre_batch_delete(NULL, text("k")), NC_E_ARGUMENT);
  fails(nacre_batch_delete(b, none), NC_E_ARGUMENT);
  cr_expect_eq(nacre_batch_count(b), 0);
  cr_expect_eq(nacre_batch_count(NULL), 0);
  cr_expect_eq(nacre_batch_bytes(NULL), 0);
  nacre_batch_clear(NULL);
  nacre_batch_destroy(NULL);
  nacre_batch_destroy(b);
}

Test(api, reading_refuses_null_handles_and_slices) {
  nacre_value v = {"x", 1, NULL};
  nacre_status one;
  size_t size;
  nacre_iter *it;
  nacre_snapshot *snapshot;
  nacre_slice key = text("k");
  fails(nacre_get(NULL, key, NULL, &v), NC_E_ARGUMENT);
  cr_expect_null(v.data, "a value is zeroed on failure");
  fails(nacre_get(t, none, NULL, &v), NC_E_ARGUMENT);
  fails(nacre_get(t, key, NULL, NULL), NC_E_ARGUMENT);
  fails(nacre_get_into(NULL, key, NULL, &size, sizeof size, &size), NC_E_ARGUMENT);
  fails(nacre_get_into(t, key, NULL, NULL, 8, &size), NC_E_ARGUMENT);
  fails(nacre_get_into(t, key, NULL, &v, sizeof v, NULL), NC_E_ARGUMENT);
  fails(nacre_multi_get(NULL, 1, &key, NULL, &v, &one), NC_E_ARGUMENT);
  fails(nacre_multi_get(t, 1, NULL, NULL, &v, &one), NC_E_ARGUMENT);
  fails(nacre_multi_get(t, 1, &key, NULL, NULL, &one), NC_E_ARGUMENT);
  fails(nacre_multi_get(t, 1, &key, NULL, &v, NULL), NC_E_ARGUMENT);
  ok(nacre_multi_get(t, 0, NULL, NULL, NULL, NULL));
  fails(nacre_iter_open(NULL, NULL, &it), NC_E_ARGUMENT);
  fails(nacre_iter_open(t, NULL, NULL), NC_E_ARGUMENT);
  fails(nacre_snapshot_take(NULL, &snapshot), NC_E_ARGUMENT);
  fails(nacre_snapshot_take(t, NULL), NC_E_ARGUMENT);
  fails(nacre_verify(NULL, NULL, NULL), NC_E_ARGUMENT);
  fails(nacre_table_stats(NULL, NULL), NC_E_ARGUMENT);
  fails(nacre_table_recovery(NULL, NULL), NC_E_ARGUMENT);
}

Test(api, giving_back_nothing_is_harmless) {
  nacre_value v = {0};
  nacre_value_release(&v);
  nacre_value_release(NULL);
  nacre_iter_close(NULL);
  nacre_snapshot_release(NULL);
  nacre_faults_free(NULL);
  nacre_table_infos_free(NULL);
  ok(nacre_table_close(NULL));
  ok(nacre_close(NULL));
  cr_expect_not(nacre_iter_valid(NULL));
  cr_expect_eq(nacre_iter_key(NULL).size, 0);
  cr_expect_eq(nacre_iter_value(NULL).size, 0);
  nacre_iter_next(NULL);
  nacre_iter_prev(NULL);
  nacre_iter_first(NULL);
  nacre_iter_last(NULL);
  nacre_iter_seek(NULL, text("k"));
  nacre_iter_seek_back(NULL, text("k"));
  cr_expect_eq(nacre_faults_count(NULL), 0);
  cr_expect_null(nacre_faults_at(NULL, 0));
  cr_expect_eq(nacre_table_infos_count(NULL), 0);
  cr_expect_null(nacre_table_infos_at(NULL, 0));
}

Test(api, reserved_option_fields_must_be_zero) {
  nacre_write_options writing = {.reserved = {0, 0, 0, 0, 0, 0, 0, 1}};
  nacre_read_options reading = {.reserved = {1}};
  nacre_verify_options verifying = {.reserved = {0, 1}};
  nacre_value v;
  nacre_status one;
  nacre_iter *it;
  size_t size;
  nacre_batch *b;
  nacre_slice key = text("k");
  ok(nacre_batch_create(&b));
  ok(nacre_batch_put(b, key, key));
  fails(nacre_put(t, key, key, &writing), NC_E_OPTION_RESERVED);
  fails(nacre_delete(t, key, &writing), NC_E_OPTION_RESERVED);
  fails(nacre_write(t, b, &writing), NC_E_OPTION_RESERVED);
  fails(nacre_get(t, key, &reading, &v), NC_E_OPTION_RESERVED);
  fails(nacre_get_into(t, key, &reading, &size, 1, &size), NC_E_OPTION_RESERVED);
  fails(nacre_multi_get(t, 1, &key, &reading, &v, &one), NC_E_OPTION_RESERVED);
  fails(nacre_iter_open(t, &reading, &it), NC_E_OPTION_RESERVED);
  fails(nacre_verify(t, &verifying, NULL), NC_E_OPTION_RESERVED);
  nacre_batch_destroy(b);
}

Test(api, an_iterator_refuses_to_seek_to_nothing) {
  nacre_iter *it;
  put_text(t, "k", "v", false);
  ok(nacre_iter_open(t, NULL, &it));
  nacre_iter_seek(it, none);
  cr_expect_not(nacre_iter_valid(it));
  cr_expect_eq(nacre_iter_status(it), NACRE_INVALID);
  nacre_iter_seek(it, text("k"));
  cr_expect(nacre_iter_valid(it));
  nacre_iter_seek_back(it, none);
  cr_expect_eq(nacre_iter_status(it), NACRE_INVALID);
  nacre_iter_close(it);
}

Test(api, a_snapshot_of_another_table_is_refused) {
  nacre_table *other;
  nacre_snapshot *snapshot;
  nacre_value v;
  nacre_iter *it;
  ok(nacre_table_create(store, "other", NULL, &other));
  ok(nacre_snapshot_take(other, &snapshot));
  nacre_read_options options = {.snapshot = snapshot};
  fails(nacre_get(t, text("k"), &options, &v), NC_E_ARGUMENT);
  fails(nacre_iter_open(t, &options, &it), NC_E_ARGUMENT);
  nacre_snapshot_release(snapshot);
  ok(nacre_table_close(other));
}

/* A call that succeeds leaves the thread's last error as it is. */
Test(api, success_leaves_the_last_error_alone) {
  nacre_error before, after;
  nacre_iter *it;
  nacre_snapshot *snapshot;
  nacre_table *other;
  fails(nacre_put(t, none, none, NULL), NC_E_ARGUMENT);
  nacre_last_error(&before);
  put_text(t, "k", "v", true);
  cr_expect(holds(t, NULL, "k", "v"));
  ok(nacre_snapshot_take(t, &snapshot));
  ok(nacre_iter_open(t, NULL, &it));
  nacre_iter_first(it);
  nacre_iter_next(it);
  nacre_iter_close(it);
  nacre_snapshot_release(snapshot);
  ok(nacre_flush(t));
  ok(nacre_compact(t, none, none));
  ok(nacre_verify(t, NULL, NULL));
  ok(nacre_table_create(store, "other", NULL, &other));
  ok(nacre_table_close(other));
  ok(nacre_table_drop(store, "other"));
  one_table_reopen();
  nacre_last_error(&after);
  cr_expect(before.id == after.id && before.status == after.status && before.offset == after.offset);
  cr_expect_str_eq(after.text, before.text);
  cr_expect_str_eq(after.file, before.file);
  cr_expect_eq(after.os_errno, before.os_errno);
}

Test(api, an_error_names_no_key_and_no_value) {
  nacre_value v;
  nacre_error err;
  fails(nacre_get(t, text("topsecretkey"), NULL, &v), NC_E_KEY_NOT_FOUND);
  nacre_last_error(&err);
  cr_expect_null(strstr(err.text, "topsecret"));
}

/* ---- limits -------------------------------------------------------------------------------------------- */

Test(api, keys_up_to_the_limit_are_kept_and_one_byte_more_refused) {
  uint8_t *key = test_alloc(NACRE_KEY_BYTES_MAX + 1);
  nacre_value v;
  nacre_batch *b;
  memset(key, 'k', NACRE_KEY_BYTES_MAX + 1);
  nacre_slice longest = nc_slice(key, 65536), longer = nc_slice(key, 65537);
  ok(nacre_batch_create(&b));
  ok(nacre_put(t, longest, text("v"), NULL));
  fails(nacre_put(t, longer, text("v"), NULL), NC_E_KEY_TOO_LARGE);
  fails(nacre_delete(t, longer, NULL), NC_E_KEY_TOO_LARGE);
  fails(nacre_batch_put(b, longer, text("v")), NC_E_KEY_TOO_LARGE);
  fails(nacre_batch_delete(b, longer), NC_E_KEY_TOO_LARGE);
  cr_expect_eq(nacre_batch_count(b), 0);
  for (int round = 0; round < 2; round++) {
    ok(nacre_get(t, longest, NULL, &v));
    nacre_value_release(&v);
    fails(nacre_get(t, longer, NULL, &v), NC_E_KEY_NOT_FOUND);
    ok(nacre_flush(t));
    one_table_reopen();
  }
  ok(nacre_delete(t, longest, NULL));
  nacre_batch_destroy(b);
  free(key);
}

/* kind, size of a key of one byte, key, size of the value in three bytes: 6 bytes beside the value. */
enum { PUT_OVERHEAD = 6, PIECE = 1 << 20 };

/* Larger values are kept beside, and do not count (large_values.c). */
Test(api, a_batch_up_to_the_limit_is_written_and_one_byte_more_refused) {
  enum { COUNT = 15 };
  nacre_batch *b;
  uint8_t *value = test_alloc(PIECE);
  _Static_assert((size_t)COUNT * PIECE == NACRE_BATCH_BYTES_MAX, "whole pieces");
  test_value_make(value, PIECE, 1, 1, 1);
  ok(nacre_batch_create(&b));
  char key[2] = "a";
  for (int i = 0; i < COUNT - 1; i++, key[0]++)
    ok(nacre_batch_put(b, text(key), nc_slice(value, PIECE - PUT_OVERHEAD)));
  fails(nacre_batch_put(b, text(key), nc_slice(value, PIECE - PUT_OVERHEAD + 1)), NC_E_BATCH_TOO_LARGE);
  cr_expect_eq(nacre_batch_count(b), COUNT - 1, "what is refused is not added");
  ok(nacre_batch_put(b, text(key), nc_slice(value, PIECE - PUT_OVERHEAD)));
  cr_expect_eq(nacre_batch_bytes(b), NACRE_BATCH_BYTES_MAX);
  fails(nacre_batch_delete(b, text("")), NC_E_BATCH_TOO_LARGE);
  ok(nacre_write(t, b, NULL));
  nacre_batch_clear(b);
  cr_expect_eq(nacre_batch_bytes(b), 0);
  ok(nacre_batch_delete(b, text("")));
  nacre_batch_destroy(b);
  one_table_reopen();
  nacre_value v;
  ok(nacre_get(t, text(key), NULL, &v));
  cr_expect(nc_slice_equal(nc_slice(v.data, v.size), nc_slice(value, PIECE - PUT_OVERHEAD)));
  nacre_value_release(&v);
  free(value);
}

Test(api, the_empty_key_and_the_empty_value_are_ordinary) {
  nacre_value v;
  ok(nacre_put(t, text(""), none, NULL));
  for (int round = 0; round < 3; round++) {
    ok(nacre_get(t, text(""), NULL, &v));
    cr_expect_eq(v.size, 0);
    cr_expect_not_null(v.data, "never NULL after success");
    nacre_value_release(&v);
    cr_expect(v.data == NULL && v.pin == NULL, "released values are zeroed");
    ok(nacre_flush(t));
    one_table_reopen();
  }
  ok(nacre_delete(t, text(""), NULL));
  fails(nacre_get(t, text(""), NULL, &v), NC_E_KEY_NOT_FOUND);
}

/* ---- writing ------------------------------------------------------------------------------------------- */

Test(api, a_batch_applies_in_order_and_may_be_written_again) {
  nacre_batch *b;
  nacre_table *other;
  ok(nacre_table_create(store, "other", NULL, &other));
  ok(nacre_batch_create(&b));
  ok(nacre_write(t, b, NULL)); /* of nothing */
  ok(nacre_batch_put(b, text("a"), text("1")));
  ok(nacre_batch_delete(b, text("a")));
  ok(nacre_batch_put(b, text("b"), text("2")));
  ok(nacre_batch_put(b, text("b"), text("3")));
  ok(nacre_batch_delete(b, text("never there")));
  cr_expect_eq(nacre_batch_count(b), 5);
  ok(nacre_write(t, b, NULL));
  put_text(t, "a", "again", false);
  ok(nacre_write(t, b, NULL));
  ok(nacre_write(other, b, NULL));
  cr_expect(holds(t, NULL, "a", NULL) && holds(t, NULL, "b", "3"));
  cr_expect(holds(other, NULL, "a", NULL) && holds(other, NULL, "b", "3"));
  nacre_batch_destroy(b);
  ok(nacre_table_close(other));
}

Test(api, deleting_what_is_not_there_is_fine) {
  ok(nacre_delete(t, text("nothing"), NULL));
  cr_expect(holds(t, NULL, "nothing", NULL));
}

Test(api, get_into_copies_and_tells_what_it_needs) {
  char buffer[8];
  size_t size = 77;
  put_text(t, "k", "12345", false);
  ok(nacre_get_into(t, text("k"), NULL, buffer, 5, &size));
  cr_expect_eq(size, 5);
  cr_expect_eq(memcmp(buffer, "12345", 5), 0);
  memset(buffer, 'x', sizeof buffer);
  fails(nacre_get_into(t, text("k"), NULL, buffer, 4, &size), NC_E_BUFFER_SMALL);
  cr_expect_eq(size, 5, "the size it has");
  cr_expect_eq(buffer[0], 'x');
  fails(nacre_get_into(t, text("k"), NULL, NULL, 0, &size), NC_E_BUFFER_SMALL);
  size = 77;
  fails(nacre_get_into(t, text("no"), NULL, buffer, 4, &size), NC_E_KEY_NOT_FOUND);
  cr_expect_eq(size, 77, "untouched on failure");
  ok(nacre_put(t, text("empty"), none, NULL));
  ok(nacre_get_into(t, text("empty"), NULL, NULL, 0, &size));
  cr_expect_eq(size, 0);
}

Test(api, multi_get_answers_each_key) {
  put_text(t, "a", "1", false);
  ok(nacre_flush(t));
  put_text(t, "b", "2", false);
  nacre_slice keys[] = {text("b"), text("missing"), text("a"), text("b")};
  nacre_value v[4];
  nacre_status statuses[4];
  ok(nacre_multi_get(t, 4, keys, NULL, v, statuses));
  cr_expect(statuses[0] == NACRE_OK && statuses[1] == NACRE_NOT_FOUND && statuses[2] == NACRE_OK &&
            statuses[3] == NACRE_OK);
  cr_expect(slice_is(nc_slice(v[0].data, v[0].size), "2") && slice_is(nc_slice(v[2].data, v[2].size), "1"));
  cr_expect(v[1].data == NULL && v[1].pin == NULL);
  for (size_t i = 0; i < 4; i++) nacre_value_release(&v[i]);
  keys[1] = none;
  fails(nacre_multi_get(t, 4, keys, NULL, v, statuses), NC_E_ARGUMENT);
  cr_expect(statuses[1] == NACRE_INVALID && statuses[3] == NACRE_OK, "the others are answered");
  for (size_t i = 0; i < 4; i++) nacre_value_release(&v[i]);
}

Test(api, a_value_stays_while_its_key_is_overwritten_flushed_and_merged) {
  nacre_value v;
  put_text(t, "k", "first", false);
  ok(nacre_get(t, text("k"), NULL, &v));
  put_text(t, "k", "second", false);
  ok(nacre_compact(t, none, none));
  put_text(t, "k", "third", false);
  ok(nacre_compact(t, none, none));
  cr_expect(slice_is(nc_slice(v.data, v.size), "first"));
  nacre_value_release(&v);
}

/* Nobody waits for 2^56 writes: the table is told that they have been. */
Test(api, the_last_sequences_are_not_passed) {
  nacre_batch *b;
  atomic_store(&t->visible, NC_SEQUENCE_MAX - 4);
  ok(nacre_batch_create(&b));
  for (int i = 0; i < 4; i++) ok(nacre_batch_put(b, text("k"), text("v")));
  fails(nacre_write(t, b, NULL), NC_E_SEQUENCES_SPENT);
  cr_expect(holds(t, NULL, "k", NULL));
  ok(nacre_put(t, text("k"), text("1"), NULL));
  nacre_status status = NACRE_OK;
  int puts = 0;
  for (; status == NACRE_OK && puts < 5; puts++) status = nacre_put(t, text("k"), text("2"), NULL);
  cr_expect(status == NACRE_TOO_LARGE && puts <= 4);
  cr_expect(holds(t, NULL, "k", "2"));
  nacre_batch_destroy(b);
}

/* ---- what keeps a table open --------------------------------------------------------------------------- */

Test(api, live_things_keep_a_table_open) {
  nacre_iter *it;
  nacre_snapshot *snapshot;
  nacre_value v;
  put_text(t, "k", "v", false);
  ok(nacre_iter_open(t, NULL, &it));
  fails(nacre_table_close(t), NC_E_TABLE_BUSY);
  nacre_iter_close(it);
  ok(nacre_snapshot_take(t, &snapshot));
  fails(nacre_table_close(t), NC_E_TABLE_BUSY);
  nacre_snapshot_release(snapshot);
  ok(nacre_get(t, text("k"), NULL, &v));
  fails(nacre_table_close(t), NC_E_TABLE_BUSY);
  cr_expect(holds(t, NULL, "k", "v"), "nothing was changed");
  nacre_value_release(&v);
  fails(nacre_close(store), NC_E_STORE_BUSY);
  one_table_reopen();
  cr_expect(holds(t, NULL, "k", "v"));
}

/* ---- moments ------------------------------------------------------------------------------------------- */

Test(api, a_snapshot_sees_its_moment_across_flush_and_compact) {
  nacre_snapshot *before, *between;
  put_text(t, "a", "1", false);
  put_text(t, "b", "1", false);
  ok(nacre_snapshot_take(t, &before));
  put_text(t, "a", "2", false);
  ok(nacre_delete(t, text("b"), NULL));
  ok(nacre_snapshot_take(t, &between));
  put_text(t, "b", "3", false);
  put_text(t, "c", "3", false);
  for (int round = 0; round < 3; round++) {
    cr_expect(holds(t, before, "a", "1") && holds(t, before, "b", "1") && holds(t, before, "c", NULL));
    cr_expect(holds(t, between, "a", "2") && holds(t, between, "b", NULL) && holds(t, between, "c", NULL));
    cr_expect(holds(t, NULL, "a", "2") && holds(t, NULL, "b", "3") && holds(t, NULL, "c", "3"));
    if (round == 0) ok(nacre_flush(t));
    if (round == 1) ok(nacre_compact(t, none, none));
  }
  nacre_snapshot_release(before);
  nacre_snapshot_release(between);
  ok(nacre_compact(t, none, none));
  nacre_stats stats;
  ok(nacre_table_stats(t, &stats));
  cr_expect_eq(stats.segment_entries, 3, "old versions go with their snapshots");
  cr_expect_eq(stats.runs, 1);
}

Test(api, compacting_everything_leaves_nothing_of_what_was_deleted) {
  for (int i = 0; i < 100; i++) {
    char key[8];
    snprintf(key, sizeof key, "%d", i);
    put_text(t, key, "v", false);
    if (i % 10 == 0) ok(nacre_flush(t));
  }
  for (int i = 0; i < 100; i++) {
    char key[8];
    snprintf(key, sizeof key, "%d", i);
    ok(nacre_delete(t, text(key), NULL));
  }
  ok(nacre_compact(t, none, none));
  nacre_stats stats;
  ok(nacre_table_stats(t, &stats));
  cr_expect(stats.runs == 0 && stats.segments == 0 && stats.segment_entries == 0 &&
            stats.memtable_entries == 0);
  one_table_reopen();
  nacre_iter *it;
  ok(nacre_iter_open(t, NULL, &it));
  nacre_iter_first(it);
  cr_expect_not(nacre_iter_valid(it));
  cr_expect_eq(nacre_iter_status(it), NACRE_OK);
  nacre_iter_close(it);
}

Test(api, compacting_an_empty_range_or_nothing_is_fine) {
  ok(nacre_compact(t, none, none));
  ok(nacre_flush(t));
  put_text(t, "k", "v", false);
  ok(nacre_compact(t, text("z"), text("a")));
  ok(nacre_compact(t, text("a"), text("a")));
  ok(nacre_compact(t, text("l"), none));
  ok(nacre_compact(t, none, text("k")));
  ok(nacre_compact(t, text("k"), text("k\x01")));
  cr_expect(holds(t, NULL, "k", "v"));
}

Test(api, the_counters_tell_what_happened) {
  nacre_stats stats;
  ok(nacre_table_stats(t, &stats));
  cr_expect(stats.writes == 0 && stats.last_sequence == 0 && stats.segments == 0);
  put_text(t, "a", "1", false);
  put_text(t, "b", "2", true);
  ok(nacre_table_stats(t, &stats));
  cr_expect(stats.writes == 2 && stats.syncs == 1 && stats.last_sequence == 2 && stats.memtable_entries == 2);
  cr_expect(stats.logs == 1 && stats.log_bytes > 8192 && stats.write_bytes > 4);
  ok(nacre_flush(t));
  ok(nacre_table_stats(t, &stats));
  cr_expect(stats.flushes == 1 && stats.segments == 1 && stats.runs == 1 && stats.segment_entries == 2);
  cr_expect(stats.memtable_entries == 0 && stats.bytes_flushed == stats.segment_bytes);
  ok(nacre_compact(t, none, none));
  ok(nacre_table_stats(t, &stats));
  cr_expect_eq(stats.merges, 1);
  ok(nacre_table_stats(t, NULL));
}

/* ---- a sound table verifies ---------------------------------------------------------------------------- */

static uint64_t told_done, told_total;
static void progress(void *arg, uint64_t done, uint64_t total) {
  cr_expect_eq(arg, &told_done);
  cr_expect(done >= told_done, "it only grows");
  told_done = done;
  told_total = total;
}

Test(api, verify_finds_nothing_in_a_sound_table) {
  nacre_verify_report report;
  nacre_verify_options options = {.on_progress = progress, .progress_arg = &told_done};
  for (int i = 0; i < 500; i++) {
    char key[8];
    snprintf(key, sizeof key, "%d", i);
    put_text(t, key, "value", false);
    if (i == 200 || i == 400) ok(nacre_flush(t));
  }
  ok(nacre_verify(t, &options, &report));
  cr_expect(report.fault_count == 0 && report.faults == NULL);
  cr_expect_eq(report.entries, 500);
  cr_expect(report.files >= 4 && report.frames > 90);
  cr_expect_eq(told_done, report.bytes);
  cr_expect_gt(told_total, 0);
}
