/* SPDX-License-Identifier: Apache-2.0
 *
 * Large values in a table: they come back by every way of reading, in batches and beside small ones.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "header.h"
#include "large_site.h"
#include "table.h"

TestSuite(large_values, .init = large_make, .fini = large_remove, .timeout = 120);

Test(large_values, come_back_from_log_segment_and_after_a_reopen) {
  large_put(1, 1, LARGE_SIZE);
  large_put(2, 1, LARGE_THRESHOLD); /* not above it */
  large_put(3, 1, LARGE_THRESHOLD + 1);
  cr_assert_eq(large_files(), 2);
  for (int round = 0; round < 4; round++) {
    cr_assert(large_has(1, 1, LARGE_SIZE, NULL) && large_has(2, 1, LARGE_THRESHOLD, NULL) &&
              large_has(3, 1, LARGE_THRESHOLD + 1, NULL));
    ok(nacre_verify(large.t, NULL, NULL));
    if (round == 0) large_reopen(); /* from the log */
    if (round == 1) ok(nacre_flush(large.t));
    if (round == 2) large_reopen();
  }
  cr_assert_eq(large_files(), 2);
}

Test(large_values, are_read_into_buffers_and_in_parts) {
  large_put(1, 1, LARGE_SIZE);
  large_put(2, 1, 100);
  uint8_t *expected = large_value(1, 1, LARGE_SIZE), *buffer = test_alloc(LARGE_SIZE);
  char bytes[24];
  size_t size = 0;
  uint64_t whole = 0;
  fails(nacre_get_into(large.t, large_key(1, bytes), NULL, buffer, LARGE_SIZE - 1, &size), NC_E_BUFFER_SMALL);
  cr_assert_eq(size, LARGE_SIZE);
  ok(nacre_get_into(large.t, large_key(1, bytes), NULL, buffer, LARGE_SIZE, &size));
  cr_assert(size == LARGE_SIZE && memcmp(buffer, expected, LARGE_SIZE) == 0);
  for (uint64_t at = 0; at <= LARGE_SIZE; at += size) { /* as a stream */
    ok(nacre_get_part(large.t, large_key(1, bytes), NULL, at, buffer, 70001, &size, &whole));
    cr_assert(whole == LARGE_SIZE && size == (LARGE_SIZE - at < 70001 ? LARGE_SIZE - at : 70001));
    cr_assert(memcmp(buffer, expected + at, size) == 0);
    if (size == 0) break;
  }
  ok(nacre_get_part(large.t, large_key(2, bytes), NULL, 90, buffer, 50, &size, NULL));
  cr_assert_eq(size, 10);
  ok(nacre_get_part(large.t, large_key(2, bytes), NULL, UINT64_MAX, buffer, 50, &size, &whole));
  cr_assert(size == 0 && whole == 100);
  fails(nacre_get_part(large.t, large_key(9, bytes), NULL, 0, buffer, 50, &size, NULL), NC_E_KEY_NOT_FOUND);
  nacre_slice keys[3] = {text("key 000001"), text("key 000002"), text("key 000003")};
  nacre_value values[3];
  nacre_status statuses[3];
  ok(nacre_multi_get(large.t, 3, keys, NULL, values, statuses));
  cr_assert(values[0].size == LARGE_SIZE && values[1].size == 100 && statuses[2] == NACRE_NOT_FOUND);
  for (int i = 0; i < 3; i++) nacre_value_release(&values[i]);
  free(expected);
  free(buffer);
}

Test(large_values, keys_only_reads_no_file) {
  nacre_iter *it;
  char path[PATH_BYTES];
  large_put(1, 1, LARGE_SIZE);
  only_file(large.directory, ".val", path);
  size_t size;
  uint8_t *kept = file_load(path, &size);
  cr_assert_eq(remove(path), 0);
  nacre_read_options options = {.keys_only = true};
  ok(nacre_iter_open(large.t, &options, &it));
  nacre_iter_first(it);
  cr_assert(nacre_iter_valid(it) && nacre_iter_value(it).size == 0);
  nacre_iter_close(it);
  ok(nacre_iter_open(large.t, NULL, &it));
  nacre_iter_first(it);
  cr_assert(!nacre_iter_valid(it) && nacre_iter_status(it) == NACRE_CORRUPT);
  nacre_iter_close(it);
  nacre_value value;
  fails(nacre_get(large.t, text("key 000001"), NULL, &value), NC_E_VALUE_MISSING);
  file_store(path, kept, size);
  cr_assert(large_has(1, 1, LARGE_SIZE, NULL));
  free(kept);
}

/* ---- batches --------------------------------------------------------------------------------------------- */

Test(large_values, a_batch_keeps_its_order_whatever_the_sizes) {
  static const size_t sizes[] = {10,      LARGE_SIZE,    2 << 20, LARGE_THRESHOLD,
                                 1 << 20, (1 << 20) + 1, 0,       3 << 20};
  enum { COUNT = sizeof sizes / sizeof sizes[0] };
  nacre_batch *batch;
  ok(nacre_batch_create(&batch));
  for (uint64_t round = 1; round <= 2; round++) { /* the second writes over the first, within the batch */
    for (uint64_t i = 0; i < COUNT; i++) {
      char bytes[24];
      uint8_t *value = large_value(i, round, sizes[i]);
      ok(nacre_batch_put(batch, large_key(i, bytes), nc_slice(value, sizes[i])));
      if (i == 2) ok(nacre_batch_delete(batch, large_key(i, bytes)));
      free(value);
    }
  }
  cr_assert_eq(nacre_batch_count(batch), 2 * (COUNT + 1));
  for (int time = 0; time < 2; time++) { /* it may be written again, and to another table */
    ok(nacre_write(large.t, batch, NULL));
    for (uint64_t i = 0; i < COUNT; i++)
      if (i != 2) cr_assert(large_has(i, 2, sizes[i], NULL));
    nacre_value value;
    fails(nacre_get(large.t, text("key 000002"), NULL, &value), NC_E_KEY_NOT_FOUND);
  }
  nacre_table *other, *own = large.t;
  nacre_table_options options = {.large_value_bytes = NACRE_NONE};
  ok(nacre_table_create(large.store, "other", &options, &other));
  ok(nacre_write(other, batch, NULL));
  large.t = other;
  for (uint64_t i = 0; i < COUNT; i++)
    if (i != 2) cr_assert(large_has(i, 2, sizes[i], NULL));
  large.t = own;
  char elsewhere[PATH_BYTES];
  large_directory("other", elsewhere);
  cr_assert_eq(count_files(elsewhere, ".val"), 0); /* they fit */
  ok(nacre_table_close(other));
  ok(nacre_flush(large.t));
  cr_assert_eq(large_files(), 4);
  nacre_batch_destroy(batch);
  ok(nacre_verify(large.t, NULL, NULL));
}

Test(large_values, what_fits_no_log_frame_has_a_file_in_every_table) {
  nacre_table *own = large.t, *other;
  nacre_table_options options = {.large_value_bytes = NACRE_NONE};
  ok(nacre_table_create(large.store, "other", &options, &other));
  large.t = other;
  size_t most = NACRE_BATCH_BYTES_MAX - 16; /* kind, two sizes, a key of ten bytes */
  large_put(1, 1, most);
  large_put(2, 1, most + 1);
  large_put(3, 1, NACRE_BATCH_BYTES_MAX + 1);
  char elsewhere[PATH_BYTES];
  large_directory("other", elsewhere);
  cr_assert_eq(count_files(elsewhere, ".val"), 2);
  cr_assert(large_has(1, 1, most, NULL) && large_has(2, 1, most + 1, NULL) &&
            large_has(3, 1, NACRE_BATCH_BYTES_MAX + 1, NULL));
  large.t = own;
  ok(nacre_table_close(other));
}

Test(large_values, limits_are_told_and_nothing_is_left_behind) {
  static uint8_t byte;
  nacre_batch *batch;
  nacre_slice huge = {&byte, NACRE_VALUE_BYTES_MAX + 1}, value = {&byte, 1};
  nacre_table_options options = {.large_value_bytes = LARGE_THRESHOLD - 1};
  fails(nacre_put(large.t, text("k"), huge, NULL), NC_E_VALUE_TOO_LARGE);
  uint8_t *long_key = test_alloc(NACRE_KEY_BYTES_MAX + 1), *value_bytes = large_value(1, 1, LARGE_SIZE);
  fails(nacre_put(large.t, nc_slice(long_key, NACRE_KEY_BYTES_MAX + 1), nc_slice(value_bytes, LARGE_SIZE),
                  NULL),
        NC_E_KEY_TOO_LARGE);
  ok(nacre_batch_create(&batch));
  fails(nacre_batch_put(batch, text("k"), huge), NC_E_VALUE_TOO_LARGE);
  ok(nacre_batch_put(batch, text("k"), value));
  nacre_batch_destroy(batch);
  fails(nacre_table_create(large.store, "other", &options, NULL), NC_E_ARGUMENT);
  cr_assert_eq(large_files(), 0);
  free(long_key);
  free(value_bytes);
}

/* ---- salvage --------------------------------------------------------------------------------------------- */

Test(large_values, salvage_brings_out_those_that_are_whole) {
  char path[PATH_BYTES], to[PATH_BYTES];
  large_put(1, 1, LARGE_SIZE);
  only_file(large.directory, ".val", path);
  large_put(2, 1, LARGE_SIZE);
  ok(nacre_flush(large.t));
  large_put(3, 1, LARGE_SIZE);
  large_put(4, 1, 10);
  large_close_table();
  file_flip(path, NC_FRAMES_OFFSET + 5000);
  join(to, large.s.path, "salvaged");
  nacre_salvage_options options = {.to = to, .source = &large.s.options};
  nacre_salvage_report report;
  ok(nacre_salvage(large.s.store, "table", &options, &report));
  cr_assert_eq(report.keys, 3);
  cr_assert_eq(report.fault_count, 1);
  nacre_faults_free(report.faults);
  char kept[PATH_BYTES];
  memcpy(kept, large.s.store, sizeof kept);
  memcpy(large.s.store, to, sizeof to);
  large_open_table();
  nacre_value value;
  fails(nacre_get(large.t, text("key 000001"), NULL, &value), NC_E_KEY_NOT_FOUND);
  cr_assert(large_has(2, 1, LARGE_SIZE, NULL) && large_has(3, 1, LARGE_SIZE, NULL) &&
            large_has(4, 1, 10, NULL));
  cr_assert_eq(large_files(), 2);
  ok(nacre_verify(large.t, NULL, NULL));
}

/* They come one at a time, what lies between them together. */
Test(large_values, are_among_the_pairs_that_are_read_many_at_once) {
  enum { KEYS = 200 };
  for (uint64_t i = 0; i < KEYS; i++) large_put(i, 1, i % 20 == 7 ? 10000 + i : 50);
  ok(nacre_compact(large.t, (nacre_slice){NULL, 0}, (nacre_slice){NULL, 0}));
  for (int keys_only = 0; keys_only < 2; keys_only++) {
    nacre_iter *it;
    nacre_entry entries[64];
    nacre_read_options options = {.keys_only = keys_only != 0};
    uint64_t next = 0, calls = 0;
    ok(nacre_iter_open(large.t, &options, &it));
    nacre_iter_first(it);
    for (size_t n; (n = nacre_iter_read(it, entries, 64)) > 0; calls++) {
      for (size_t i = 0; i < n; i++, next++) {
        char bytes[24];
        size_t size = next % 20 == 7 ? 10000 + next : 50;
        uint8_t *value = large_value(next, 1, size);
        cr_assert(nc_slice_equal(entries[i].key, large_key(next, bytes)));
        cr_assert(nc_slice_equal(entries[i].value, nc_slice(value, keys_only ? 0 : size)), "value %u",
                  (unsigned)next);
        free(value);
      }
    }
    cr_expect_eq(next, KEYS);
    cr_expect(calls < KEYS / 4, "%u calls", (unsigned)calls);
    cr_expect_eq(nacre_iter_status(it), NACRE_OK);
    nacre_iter_close(it);
  }
}

Test(large_values, many_pairs_at_once_hold_one_of_them) {
  nacre_iter *it;
  nacre_entry entries[16];
  size_t count, seen = 0;
  for (uint64_t key = 0; key < 12; key++) large_put(key, 1, key % 4 == 1 ? LARGE_SIZE : 20);
  ok(nacre_flush(large.t));
  ok(nacre_iter_open(large.t, NULL, &it));
  nacre_iter_first(it);
  while ((count = nacre_iter_read(it, entries, 16)) > 0) {
    size_t held = 0;
    for (size_t i = 0; i < count; i++, seen++) {
      size_t size = seen % 4 == 1 ? LARGE_SIZE : 20;
      uint8_t *expected = large_value(seen, 1, size);
      cr_assert(entries[i].value.size == size && memcmp(entries[i].value.data, expected, size) == 0);
      held += size == LARGE_SIZE;
      free(expected);
    }
    cr_assert(held <= 1);
  }
  ok(nacre_iter_status(it));
  cr_assert_eq(seen, 12);
  nacre_iter_close(it);
}
