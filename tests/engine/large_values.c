/* SPDX-License-Identifier: Apache-2.0
 *
 * Large values in a table: they come back by every way of reading, and their files stay as long as somebody can see
 * them, and no longer.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "fixture.h"
#include "header.h"
#include "table.h"

static site s;
static nacre_store *store;
static nacre_table *t;
static char directory[PATH_BYTES];

enum { THRESHOLD = 4096, SIZE = 300 * 1000 };

/* Of a table of the open store. */
static void directory_of(const char *name, char path[PATH_BYTES]) {
  nacre_table_infos *infos;
  ok(nacre_table_list(store, &infos));
  for (size_t i = 0; i < nacre_table_infos_count(infos); i++) {
    const nacre_table_info *info = nacre_table_infos_at(infos, i);
    if (strcmp(info->name, name) == 0) join(path, s.store, info->uuid);
  }
  nacre_table_infos_free(infos);
}

static void open_table(void) {
  ok(nacre_open(s.store, &s.options, &store));
  nacre_table_options options = {.large_value_bytes = THRESHOLD};
  if (nacre_table_open(store, "table", NULL, &t) != NACRE_OK)
    ok(nacre_table_create(store, "table", &options, &t));
  directory_of("table", directory);
}
static void close_table(void) {
  ok(nacre_table_close(t));
  ok(nacre_close(store));
}
static void reopen(void) {
  close_table();
  open_table();
}
static void setup(void) {
  site_make(&s);
  open_table();
}
static void teardown(void) {
  close_table();
  site_remove(&s);
}
TestSuite(large_values, .init = setup, .fini = teardown, .timeout = 120);

static uint8_t *value_of(uint64_t key, uint64_t version, size_t size) {
  uint8_t *bytes = test_alloc(size);
  test_value_make(bytes, size, 7, key, version);
  return bytes;
}

static nacre_slice key_of(uint64_t key, char bytes[24]) {
  return nc_slice(bytes, (size_t)snprintf(bytes, 24, "key %06u", (unsigned)key));
}

static void put(uint64_t key, uint64_t version, size_t size) {
  char bytes[24];
  uint8_t *value = value_of(key, version, size);
  ok(nacre_put(t, key_of(key, bytes), nc_slice(value, size), NULL));
  free(value);
}

static void erase(uint64_t key) {
  char bytes[24];
  ok(nacre_delete(t, key_of(key, bytes), NULL));
}

static bool has(uint64_t key, uint64_t version, size_t size, const nacre_snapshot *snapshot) {
  char bytes[24];
  nacre_read_options options = {.snapshot = snapshot};
  nacre_value value;
  uint8_t *expected = value_of(key, version, size);
  ok(nacre_get(t, key_of(key, bytes), &options, &value));
  bool same = value.size == size && memcmp(value.data, expected, size) == 0;
  nacre_value_release(&value);
  free(expected);
  return same;
}

static size_t files(void) { return count_files(directory, ".val"); }

static void compact(void) {
  nacre_slice all = {NULL, 0};
  ok(nacre_compact(t, all, all));
}

Test(large_values, come_back_from_log_segment_and_after_a_reopen) {
  put(1, 1, SIZE);
  put(2, 1, THRESHOLD); /* not above it */
  put(3, 1, THRESHOLD + 1);
  cr_assert_eq(files(), 2);
  for (int round = 0; round < 4; round++) {
    cr_assert(has(1, 1, SIZE, NULL) && has(2, 1, THRESHOLD, NULL) && has(3, 1, THRESHOLD + 1, NULL));
    ok(nacre_verify(t, NULL, NULL));
    if (round == 0) reopen(); /* from the log */
    if (round == 1) ok(nacre_flush(t));
    if (round == 2) reopen();
  }
  cr_assert_eq(files(), 2);
}

Test(large_values, are_read_into_buffers_and_in_parts) {
  put(1, 1, SIZE);
  put(2, 1, 100);
  uint8_t *expected = value_of(1, 1, SIZE), *buffer = test_alloc(SIZE);
  char bytes[24];
  size_t size = 0;
  uint64_t whole = 0;
  fails(nacre_get_into(t, key_of(1, bytes), NULL, buffer, SIZE - 1, &size), NC_E_BUFFER_SMALL);
  cr_assert_eq(size, SIZE);
  ok(nacre_get_into(t, key_of(1, bytes), NULL, buffer, SIZE, &size));
  cr_assert(size == SIZE && memcmp(buffer, expected, SIZE) == 0);
  for (uint64_t at = 0; at <= SIZE; at += size) { /* as a stream */
    ok(nacre_get_part(t, key_of(1, bytes), NULL, at, buffer, 70001, &size, &whole));
    cr_assert(whole == SIZE && size == (SIZE - at < 70001 ? SIZE - at : 70001));
    cr_assert(memcmp(buffer, expected + at, size) == 0);
    if (size == 0) break;
  }
  ok(nacre_get_part(t, key_of(2, bytes), NULL, 90, buffer, 50, &size, NULL));
  cr_assert_eq(size, 10);
  ok(nacre_get_part(t, key_of(2, bytes), NULL, UINT64_MAX, buffer, 50, &size, &whole));
  cr_assert(size == 0 && whole == 100);
  fails(nacre_get_part(t, key_of(9, bytes), NULL, 0, buffer, 50, &size, NULL), NC_E_KEY_NOT_FOUND);
  nacre_slice keys[3] = {text("key 000001"), text("key 000002"), text("key 000003")};
  nacre_value values[3];
  nacre_status statuses[3];
  ok(nacre_multi_get(t, 3, keys, NULL, values, statuses));
  cr_assert(values[0].size == SIZE && values[1].size == 100 && statuses[2] == NACRE_NOT_FOUND);
  for (int i = 0; i < 3; i++) nacre_value_release(&values[i]);
  free(expected);
  free(buffer);
}

/* Shadowed, deleted, in the memtable, in a segment: each file goes with what lets go of its entry. */
Test(large_values, files_go_when_nobody_sees_them_any_more) {
  put(1, 1, SIZE);
  put(1, 2, SIZE);
  put(2, 1, SIZE);
  erase(2);
  cr_assert_eq(files(), 3);
  ok(nacre_flush(t)); /* of the memtable's three, one is left */
  cr_assert_eq(files(), 1);
  cr_assert(has(1, 2, SIZE, NULL));
  put(1, 3, SIZE);
  ok(nacre_flush(t));
  cr_assert_eq(files(), 2);
  compact();
  cr_assert_eq(files(), 1);
  cr_assert(has(1, 3, SIZE, NULL));
  ok(nacre_verify(t, NULL, NULL));
  erase(1);
  compact();
  cr_assert_eq(files(), 0);
  reopen();
  put(5, 1, 10);
  cr_assert_eq(files(), 0);
  ok(nacre_verify(t, NULL, NULL));
}

Test(large_values, a_snapshot_keeps_what_it_sees) {
  nacre_snapshot *snapshot;
  put(1, 1, SIZE);
  ok(nacre_snapshot_take(t, &snapshot));
  put(1, 2, SIZE);
  ok(nacre_flush(t));
  compact();
  cr_assert_eq(files(), 2);
  cr_assert(has(1, 1, SIZE, snapshot) && has(1, 2, SIZE, NULL));
  nacre_snapshot_release(snapshot);
  put(2, 1, 10);
  compact();
  cr_assert_eq(files(), 1);
  cr_assert(has(1, 2, SIZE, NULL));
}

/* An iterator stands for a moment: what was dropped since stays until it is closed. */
Test(large_values, an_iterator_keeps_what_it_sees) {
  nacre_iter *it;
  for (uint64_t key = 0; key < 6; key++) put(key, 1, key % 2 == 0 ? SIZE : 20);
  ok(nacre_flush(t));
  put(6, 1, SIZE); /* in the memtable */
  ok(nacre_iter_open(t, NULL, &it));
  for (uint64_t key = 0; key < 7; key++) erase(key);
  compact();
  cr_assert_eq(files(), 4);
  for (int backward = 0; backward < 2; backward++) {
    backward ? nacre_iter_last(it) : nacre_iter_first(it);
    for (uint64_t i = 0; i < 7; i++) {
      uint64_t key = backward ? 6 - i : i;
      size_t size = key % 2 == 0 ? SIZE : 20;
      uint8_t *expected = value_of(key, 1, size);
      cr_assert(nacre_iter_valid(it));
      nacre_slice value = nacre_iter_value(it);
      cr_assert(value.size == size && memcmp(value.data, expected, size) == 0);
      free(expected);
      backward ? nacre_iter_prev(it) : nacre_iter_next(it);
    }
    cr_assert(!nacre_iter_valid(it) && nacre_iter_status(it) == NACRE_OK);
  }
  nacre_iter_close(it);
  cr_assert_eq(files(), 0);
}

/* It goes on seeing the entry where it was when it began, through flushes and merges that keep it and one that drops
 * it: the file must not go with the segments that it was dropped from. */
Test(large_values, an_iterator_keeps_what_moved_on_since) {
  nacre_iter *in_memtable, *in_segment;
  put(1, 1, SIZE);
  ok(nacre_iter_open(t, NULL, &in_memtable));
  ok(nacre_flush(t));
  put(2, 1, 10);
  ok(nacre_flush(t));
  ok(nacre_iter_open(t, NULL, &in_segment));
  compact(); /* keeps it */
  erase(1);
  compact(); /* drops it */
  for (int i = 0; i < 2; i++) {
    nacre_iter *it = i == 0 ? in_segment : in_memtable;
    uint8_t *expected = value_of(1, 1, SIZE);
    nacre_iter_first(it);
    cr_assert(nacre_iter_valid(it));
    cr_assert(nacre_iter_value(it).size == SIZE && memcmp(nacre_iter_value(it).data, expected, SIZE) == 0);
    cr_assert_eq(files(), 1);
    nacre_iter_close(it);
    free(expected);
  }
  cr_assert_eq(files(), 0);
}

Test(large_values, keys_only_reads_no_file) {
  nacre_iter *it;
  char path[PATH_BYTES];
  put(1, 1, SIZE);
  only_file(directory, ".val", path);
  size_t size;
  uint8_t *kept = file_load(path, &size);
  cr_assert_eq(remove(path), 0);
  nacre_read_options options = {.keys_only = true};
  ok(nacre_iter_open(t, &options, &it));
  nacre_iter_first(it);
  cr_assert(nacre_iter_valid(it) && nacre_iter_value(it).size == 0);
  nacre_iter_close(it);
  ok(nacre_iter_open(t, NULL, &it));
  nacre_iter_first(it);
  cr_assert(!nacre_iter_valid(it) && nacre_iter_status(it) == NACRE_CORRUPT);
  nacre_iter_close(it);
  nacre_value value;
  fails(nacre_get(t, text("key 000001"), NULL, &value), NC_E_VALUE_MISSING);
  file_store(path, kept, size);
  cr_assert(has(1, 1, SIZE, NULL));
  free(kept);
}

Test(large_values, a_borrowed_value_outlives_its_file) {
  nacre_value value;
  uint8_t *expected = value_of(1, 1, SIZE);
  put(1, 1, SIZE);
  ok(nacre_get(t, text("key 000001"), NULL, &value));
  erase(1);
  compact();
  cr_assert_eq(files(), 0);
  cr_assert(value.size == SIZE && memcmp(value.data, expected, SIZE) == 0);
  fails(nacre_table_close(t), NC_E_TABLE_BUSY);
  nacre_value_release(&value);
  free(expected);
}

/* ---- batches --------------------------------------------------------------------------------------------- */

Test(large_values, a_batch_keeps_its_order_whatever_the_sizes) {
  static const size_t sizes[] = {10, SIZE, 2 << 20, THRESHOLD, 1 << 20, (1 << 20) + 1, 0, 3 << 20};
  enum { COUNT = sizeof sizes / sizeof sizes[0] };
  nacre_batch *batch;
  ok(nacre_batch_create(&batch));
  for (uint64_t round = 1; round <= 2; round++) { /* the second writes over the first, within the batch */
    for (uint64_t i = 0; i < COUNT; i++) {
      char bytes[24];
      uint8_t *value = value_of(i, round, sizes[i]);
      ok(nacre_batch_put(batch, key_of(i, bytes), nc_slice(value, sizes[i])));
      if (i == 2) ok(nacre_batch_delete(batch, key_of(i, bytes)));
      free(value);
    }
  }
  cr_assert_eq(nacre_batch_count(batch), 2 * (COUNT + 1));
  for (int time = 0; time < 2; time++) { /* it may be written again, and to another table */
    ok(nacre_write(t, batch, NULL));
    for (uint64_t i = 0; i < COUNT; i++)
      if (i != 2) cr_assert(has(i, 2, sizes[i], NULL));
    nacre_value value;
    fails(nacre_get(t, text("key 000002"), NULL, &value), NC_E_KEY_NOT_FOUND);
  }
  nacre_table *other, *own = t;
  nacre_table_options options = {.large_value_bytes = NACRE_NONE};
  ok(nacre_table_create(store, "other", &options, &other));
  ok(nacre_write(other, batch, NULL));
  t = other;
  for (uint64_t i = 0; i < COUNT; i++)
    if (i != 2) cr_assert(has(i, 2, sizes[i], NULL));
  t = own;
  char elsewhere[PATH_BYTES];
  directory_of("other", elsewhere);
  cr_assert_eq(count_files(elsewhere, ".val"), 0); /* they fit */
  ok(nacre_table_close(other));
  ok(nacre_flush(t));
  cr_assert_eq(files(), 4);
  nacre_batch_destroy(batch);
  ok(nacre_verify(t, NULL, NULL));
}

Test(large_values, what_fits_no_log_frame_has_a_file_in_every_table) {
  nacre_table *own = t, *other;
  nacre_table_options options = {.large_value_bytes = NACRE_NONE};
  ok(nacre_table_create(store, "other", &options, &other));
  t = other;
  size_t most = NACRE_BATCH_BYTES_MAX - 16; /* kind, two sizes, a key of ten bytes */
  put(1, 1, most);
  put(2, 1, most + 1);
  put(3, 1, NACRE_BATCH_BYTES_MAX + 1);
  char elsewhere[PATH_BYTES];
  directory_of("other", elsewhere);
  cr_assert_eq(count_files(elsewhere, ".val"), 2);
  cr_assert(has(1, 1, most, NULL) && has(2, 1, most + 1, NULL) && has(3, 1, NACRE_BATCH_BYTES_MAX + 1, NULL));
  t = own;
  ok(nacre_table_close(other));
}

Test(large_values, limits_are_told_and_nothing_is_left_behind) {
  static uint8_t byte;
  nacre_batch *batch;
  nacre_slice huge = {&byte, NACRE_VALUE_BYTES_MAX + 1}, value = {&byte, 1};
  nacre_table_options options = {.large_value_bytes = THRESHOLD - 1};
  fails(nacre_put(t, text("k"), huge, NULL), NC_E_VALUE_TOO_LARGE);
  uint8_t *long_key = test_alloc(NACRE_KEY_BYTES_MAX + 1), *large = value_of(1, 1, SIZE);
  fails(nacre_put(t, nc_slice(long_key, NACRE_KEY_BYTES_MAX + 1), nc_slice(large, SIZE), NULL),
        NC_E_KEY_TOO_LARGE);
  ok(nacre_batch_create(&batch));
  fails(nacre_batch_put(batch, text("k"), huge), NC_E_VALUE_TOO_LARGE);
  ok(nacre_batch_put(batch, text("k"), value));
  nacre_batch_destroy(batch);
  fails(nacre_table_create(store, "other", &options, NULL), NC_E_ARGUMENT);
  cr_assert_eq(files(), 0);
  free(long_key);
  free(large);
}

/* ---- crashes --------------------------------------------------------------------------------------------- */

/* A file that no entry refers to, as a crash before the log leaves it. */
Test(large_values, what_a_crash_left_goes_at_the_next_write) {
  char path[PATH_BYTES], left[PATH_BYTES];
  put(1, 1, SIZE);
  only_file(directory, ".val", path);
  join(left, directory, "00000000000000000900.val");
  close_table();
  file_copy(path, left); /* under another number: it does not authenticate as that, and is spared */
  file_cut(left, 9000);
  open_table();
  cr_assert_eq(files(), 2);
  put(2, 1, 10);
  cr_assert(has(1, 1, SIZE, NULL));
  put(3, 1, SIZE); /* above the number of what was found */
  cr_assert(has(3, 1, SIZE, NULL));
}

/* A crash with the table open: the log's references keep their files, the next open's flush names them. */
Test(large_values, survive_a_crash_in_the_log) {
  char copy[PATH_BYTES];
  put(1, 1, SIZE);
  put(1, 2, SIZE);
  put(2, 1, SIZE);
  join(copy, s.path, "copy");
  tree_copy(s.store, copy);
  close_table();
  char kept[PATH_BYTES];
  memcpy(kept, s.store, sizeof kept);
  memcpy(s.store, copy, sizeof copy);
  open_table();
  cr_assert(has(1, 2, SIZE, NULL) && has(2, 1, SIZE, NULL));
  put(3, 1, 10); /* flushes what was replayed */
  cr_assert(has(1, 2, SIZE, NULL) && has(2, 1, SIZE, NULL));
  cr_assert_eq(files(), 2);
  ok(nacre_verify(t, NULL, NULL));
}

/* ---- what verify compares -------------------------------------------------------------------------------- */

/* A manifest that forgets a file, or names one too many, as a defect of a writer would make it. [U5] */
Test(large_values, verify_holds_references_against_the_manifest) {
  put(1, 1, SIZE);
  t->values.list[0].named = true; /* only a log refers to it */
  fails(nacre_verify(t, NULL, NULL), NC_E_VALUE_UNREFERENCED);
  t->values.list[0].named = false;
  ok(nacre_verify(t, NULL, NULL));
  ok(nacre_flush(t));
  ok(nacre_verify(t, NULL, NULL));
  t->values.list[0].named = false;
  fails(nacre_verify(t, NULL, NULL), NC_E_VALUE_UNNAMED);
  t->values.list[0].named = true;
  t->values.list[0].name.last_tag[0] ^= 1;
  fails(nacre_verify(t, NULL, NULL), NC_E_VALUE_UNNAMED);
  t->values.list[0].name.last_tag[0] ^= 1;
  ok(nacre_verify(t, NULL, NULL));
}

Test(large_values, verify_finds_damage_in_every_part_of_a_file) {
  test_random random = {test_seed("large_values", 3)};
  char path[PATH_BYTES];
  put(1, 1, SIZE);
  ok(nacre_flush(t));
  only_file(directory, ".val", path);
  size_t size;
  free(file_load(path, &size));
  for (int i = 0; i < 40; i++) {
    uint64_t at = test_random_below(&random, size);
    file_flip(path, at);
    cr_assert_neq(nacre_verify(t, NULL, NULL), NACRE_OK, "a bit of byte %llu", (unsigned long long)at);
    file_flip(path, at);
  }
  ok(nacre_verify(t, NULL, NULL));
  cr_assert_eq(remove(path), 0);
  fails(nacre_verify(t, NULL, NULL), NC_E_VALUE_MISSING);
}

/* ---- keys ------------------------------------------------------------------------------------------------ */

Test(large_values, come_under_a_new_table_key) {
  nacre_key_status status;
  put(1, 1, SIZE);
  ok(nacre_flush(t));
  put(2, 1, SIZE);
  ok(nacre_table_rotate(t));
  put(3, 1, SIZE);
  ok(nacre_table_rewrap_wait(t, NULL));
  ok(nacre_table_key_status(t, &status));
  cr_assert_eq(status.files_left, 0);
  nacre_key_versions_free(status.versions);
  nacre_kms_keys_free(status.kms_keys);
  for (uint64_t key = 1; key <= 3; key++) cr_assert(has(key, 1, SIZE, NULL));
  reopen();
  for (uint64_t key = 1; key <= 3; key++) cr_assert(has(key, 1, SIZE, NULL));
  ok(nacre_verify(t, NULL, NULL));
}

/* ---- salvage --------------------------------------------------------------------------------------------- */

Test(large_values, salvage_brings_out_those_that_are_whole) {
  char path[PATH_BYTES], to[PATH_BYTES];
  put(1, 1, SIZE);
  only_file(directory, ".val", path);
  put(2, 1, SIZE);
  ok(nacre_flush(t));
  put(3, 1, SIZE);
  put(4, 1, 10);
  close_table();
  file_flip(path, NC_FRAMES_OFFSET + 5000);
  join(to, s.path, "salvaged");
  nacre_salvage_options options = {.to = to, .source = &s.options};
  nacre_salvage_report report;
  ok(nacre_salvage(s.store, "table", &options, &report));
  cr_assert_eq(report.keys, 3);
  cr_assert_eq(report.fault_count, 1);
  nacre_faults_free(report.faults);
  char kept[PATH_BYTES];
  memcpy(kept, s.store, sizeof kept);
  memcpy(s.store, to, sizeof to);
  open_table();
  nacre_value value;
  fails(nacre_get(t, text("key 000001"), NULL, &value), NC_E_KEY_NOT_FOUND);
  cr_assert(has(2, 1, SIZE, NULL) && has(3, 1, SIZE, NULL) && has(4, 1, 10, NULL));
  cr_assert_eq(files(), 2);
  ok(nacre_verify(t, NULL, NULL));
}

/* They come one at a time, what lies between them together. */
Test(large_values, are_among_the_pairs_that_are_read_many_at_once) {
  enum { KEYS = 200 };
  for (uint64_t i = 0; i < KEYS; i++) put(i, 1, i % 20 == 7 ? 10000 + i : 50);
  ok(nacre_compact(t, (nacre_slice){NULL, 0}, (nacre_slice){NULL, 0}));
  for (int keys_only = 0; keys_only < 2; keys_only++) {
    nacre_iter *it;
    nacre_entry entries[64];
    nacre_read_options options = {.keys_only = keys_only != 0};
    uint64_t next = 0, calls = 0;
    ok(nacre_iter_open(t, &options, &it));
    nacre_iter_first(it);
    for (size_t n; (n = nacre_iter_read(it, entries, 64)) > 0; calls++) {
      for (size_t i = 0; i < n; i++, next++) {
        char bytes[24];
        size_t size = next % 20 == 7 ? 10000 + next : 50;
        uint8_t *value = value_of(next, 1, size);
        cr_assert(nc_slice_equal(entries[i].key, key_of(next, bytes)));
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

/* ---- writes that fail ------------------------------------------------------------------------------------ */

Test(large_values, a_refused_write_leaves_no_file) {
  nacre_batch *batch;
  uint8_t *value = value_of(1, 1, 2 << 20);
  put(1, 1, SIZE);
  ok(nacre_batch_create(&batch));
  ok(nacre_batch_expect(batch, text("key 000001"), NULL)); /* that it is not there */
  ok(nacre_batch_put(batch, text("a"), nc_slice(value, SIZE)));
  ok(nacre_batch_put(batch, text("b"), nc_slice(value, 2 << 20)));
  fails(nacre_write(t, batch, NULL), NC_E_EXPECT_CHANGED);
  nacre_batch_destroy(batch);
  cr_assert_eq(files(), 1);
  free(value);
}

/* Wherever the disk refuses: what was acknowledged is there, and once there is room again nothing is left over. */
Test(large_values, a_full_disk_leaves_nothing_behind) {
  static failing_io disk; /* the store is closed behind the test */
  close_table();
  failing_init(&disk);
  disk.code = ENOSPC;
  s.options.io = &disk.io;
  open_table();
  put(0, 1, SIZE);
  uint64_t kept = 1;
  for (uint64_t n = 1; n < 30; n++) {
    char bytes[24];
    uint8_t *value = value_of(n, 1, SIZE);
    disk.fail_at = disk.count + n;
    if (nacre_put(t, key_of(n, bytes), nc_slice(value, SIZE), NULL) == NACRE_OK) kept |= (uint64_t)1 << n;
    disk.fail_at = 0;
    free(value);
  }
  cr_assert(kept != ((uint64_t)1 << 30) - 1 && (kept >> 29 & 1) == 1);
  ok(nacre_flush(t));
  size_t live = 0;
  nacre_iter *it;
  ok(nacre_iter_open(t, NULL, &it));
  for (nacre_iter_first(it); nacre_iter_valid(it); nacre_iter_next(it)) live++;
  ok(nacre_iter_status(it));
  nacre_iter_close(it);
  for (uint64_t n = 0; n < 30; n++) cr_assert((kept >> n & 1) == 0 || has(n, 1, SIZE, NULL));
  cr_assert_eq(files(), live);
  ok(nacre_verify(t, NULL, NULL));
}

/* ---- copies ---------------------------------------------------------------------------------------------- */

Test(large_values, a_checkpoint_has_their_files) {
  char to[PATH_BYTES], kept[PATH_BYTES];
  put(1, 1, SIZE);
  put(2, 1, SIZE);
  ok(nacre_flush(t));
  put(2, 2, SIZE);
  put(3, 1, SIZE); /* in the log */
  join(to, s.path, "checkpoint");
  ok(nacre_checkpoint(store, to, NULL, NULL));
  erase(1);
  put(2, 3, SIZE);
  close_table();
  memcpy(kept, s.store, sizeof kept);
  memcpy(s.store, to, sizeof to);
  open_table();
  cr_assert(has(1, 1, SIZE, NULL) && has(2, 2, SIZE, NULL) && has(3, 1, SIZE, NULL));
  ok(nacre_flush(t));
  compact();
  cr_assert_eq(files(), 3);
  ok(nacre_verify(t, NULL, NULL));
}

Test(large_values, many_pairs_at_once_hold_one_of_them) {
  nacre_iter *it;
  nacre_entry entries[16];
  size_t count, seen = 0;
  for (uint64_t key = 0; key < 12; key++) put(key, 1, key % 4 == 1 ? SIZE : 20);
  ok(nacre_flush(t));
  ok(nacre_iter_open(t, NULL, &it));
  nacre_iter_first(it);
  while ((count = nacre_iter_read(it, entries, 16)) > 0) {
    size_t large = 0;
    for (size_t i = 0; i < count; i++, seen++) {
      size_t size = seen % 4 == 1 ? SIZE : 20;
      uint8_t *expected = value_of(seen, 1, size);
      cr_assert(entries[i].value.size == size && memcmp(entries[i].value.data, expected, size) == 0);
      large += size == SIZE;
      free(expected);
    }
    cr_assert(large <= 1);
  }
  ok(nacre_iter_status(it));
  cr_assert_eq(seen, 12);
  nacre_iter_close(it);
}
