/* SPDX-License-Identifier: Apache-2.0
 *
 * Range deletes in a whole table: what they hide and from whom, in memory, in logs and in segments; and when
 * they go.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "one_table.h"
#include "frame.h"
#include "table.h"

enum { KEYS = 100 };

static const char *key_of(int i, char buffer[16]) {
  snprintf(buffer, 16, "k%03d", i);
  return buffer;
}

TestSuite(ranges, .init = one_table_make, .fini = one_table_remove);

static void put_keys(int from, int to, const char *value) {
  char key[16];
  for (int i = from; i < to; i++) put_text(t, key_of(i, key), value, false);
}

static void delete_keys(int from, int to) {
  char a[16], b[16];
  ok(nacre_delete_range(t, text(key_of(from, a)), text(key_of(to, b)), NULL));
}

/* The same by many at once. */
static void check_many(nacre_iter *it, int from, int to, const char *value) {
  nacre_entry entries[7];
  char key[16];
  int at = from == 0 ? to : 0;
  nacre_iter_first(it);
  for (size_t count; (count = nacre_iter_read(it, entries, 7)) > 0;) {
    for (size_t i = 0; i < count; i++) {
      cr_assert(slice_is(entries[i].key, key_of(at, key)) && slice_is(entries[i].value, value), "key %d", at);
      at = at + 1 == from ? to : at + 1;
    }
  }
  cr_assert_eq(at, KEYS);
}

/* Keys from `from` to before `to` are gone, the others have `value`: asked for, and walked both ways. [E2] */
static void check(const nacre_snapshot *snapshot, int from, int to, const char *value) {
  char key[16];
  nacre_iter *it;
  nacre_read_options options = {.snapshot = snapshot};
  for (int i = 0; i < KEYS; i++)
    cr_assert(holds(t, snapshot, key_of(i, key), i >= from && i < to ? NULL : value), "key %d", i);
  ok(nacre_iter_open(t, &options, &it));
  nacre_iter_first(it);
  for (int i = 0; i < KEYS; i++) {
    if (i >= from && i < to) continue;
    cr_assert(nacre_iter_valid(it) && slice_is(nacre_iter_key(it), key_of(i, key)), "forward, key %d", i);
    cr_assert(slice_is(nacre_iter_value(it), value));
    nacre_iter_next(it);
  }
  cr_assert(!nacre_iter_valid(it));
  nacre_iter_last(it);
  for (int i = KEYS - 1; i >= 0; i--) {
    if (i >= from && i < to) continue;
    cr_assert(nacre_iter_valid(it) && slice_is(nacre_iter_key(it), key_of(i, key)), "backward, key %d", i);
    nacre_iter_prev(it);
  }
  cr_assert(!nacre_iter_valid(it));
  check_many(it, from, to, value);
  ok(nacre_iter_status(it));
  nacre_iter_close(it);
}

static void verify(void) {
  nacre_verify_report report = {0};
  ok(nacre_verify(t, NULL, &report));
  cr_assert_eq(report.fault_count, 0);
  nacre_faults_free(report.faults);
}

static uint64_t range_segments(void) { return t->view->version->ranges_segments; }

Test(ranges, hide_what_lies_inside_and_nothing_else) {
  put_keys(0, KEYS, "v");
  delete_keys(20, 70);
  check(NULL, 20, 70, "v");
  ok(nacre_flush(t));
  check(NULL, 20, 70, "v");
  verify();
  one_table_reopen();
  check(NULL, 20, 70, "v");
  compact_all();
  check(NULL, 20, 70, "v");
  cr_assert_eq(range_segments(), 0, "at the bottom they have nothing to hide");
  verify();
}

Test(ranges, hide_what_lies_in_older_segments) {
  put_keys(0, KEYS, "v");
  ok(nacre_flush(t));
  delete_keys(20, 70);
  check(NULL, 20, 70, "v");
  ok(nacre_flush(t)); /* a segment of nothing else */
  cr_assert_eq(range_segments(), 1);
  cr_assert_eq(t->view->version->segment_count, 2);
  check(NULL, 20, 70, "v");
  verify();
  one_table_reopen();
  check(NULL, 20, 70, "v");
  put_keys(20, 70, "v");
  check(NULL, 0, 0, "v");
  ok(nacre_flush(t));
  one_table_reopen();
  check(NULL, 0, 0, "v");
  compact_all();
  check(NULL, 0, 0, "v");
  cr_assert_eq(range_segments(), 0);
}

Test(ranges, come_back_from_the_log) {
  char image[PATH_BYTES];
  put_keys(0, KEYS, "v");
  delete_keys(10, 30);
  delete_keys(25, 40);
  put_text(t, "k012", "v", false);
  ok(nacre_delete_range(t, text("k012"), text("k012\1"), NULL));
  join(image, s.path, "image");
  tree_copy(s.store, image);
  one_table_close();
  test_scratch_remove(s.store);
  require(rename(image, s.store) == 0);
  store = site_open(&s);
  ok(nacre_table_open(store, "table", NULL, &t));
  check(NULL, 10, 40, "v");
  put_keys(50, 51, "v");
  check(NULL, 10, 40, "v");
}

Test(ranges, snapshots_and_iterators_see_what_they_saw) {
  nacre_snapshot *before, *between;
  nacre_iter *it;
  put_keys(0, KEYS, "old");
  ok(nacre_snapshot_take(t, &before));
  ok(nacre_iter_open(t, NULL, &it));
  delete_keys(10, 90);
  ok(nacre_snapshot_take(t, &between));
  put_keys(0, KEYS, "new");
  delete_keys(40, 50);
  for (int pass = 0; pass < 4; pass++) {
    cr_assert(holds(t, before, "k050", "old") && holds(t, before, "k045", "old"));
    check(before, 0, 0, "old");
    check(between, 10, 90, "old");
    check(NULL, 40, 50, "new");
    if (pass == 0) ok(nacre_flush(t));
    if (pass > 0) compact_all();
    if (pass == 1) delete_keys(40, 50); /* again, over what is gone */
  }
  int seen = 0;
  for (nacre_iter_first(it); nacre_iter_valid(it); nacre_iter_next(it)) seen++;
  cr_assert_eq(seen, KEYS);
  nacre_iter_close(it);
  cr_assert_gt(range_segments(), 0, "a snapshot needs them");
  nacre_snapshot_release(before);
  nacre_snapshot_release(between);
  compact_all();
  compact_all();
  check(NULL, 40, 50, "new");
  cr_assert_eq(range_segments(), 0);
}

Test(ranges, a_batch_goes_in_order) {
  nacre_batch *batch;
  put_keys(0, KEYS, "v");
  ok(nacre_batch_create(&batch));
  ok(nacre_batch_put(batch, text("k015"), text("gone")));
  ok(nacre_batch_delete_range(batch, text("k010"), text("k020")));
  ok(nacre_batch_put(batch, text("k017"), text("v")));
  ok(nacre_batch_delete_range(batch, text("k020"), text("k010")));
  cr_assert_eq(nacre_batch_count(batch), 3, "a range of nothing is none");
  fails(nacre_batch_delete_range(batch, text("a"), (nacre_slice){NULL, 0}), NC_E_ARGUMENT);
  fails(nacre_batch_delete_range(NULL, text("a"), text("b")), NC_E_ARGUMENT);
  ok(nacre_write(t, batch, NULL));
  nacre_batch_destroy(batch);
  for (int pass = 0; pass < 3; pass++) {
    cr_assert(holds(t, NULL, "k015", NULL) && holds(t, NULL, "k017", "v") && holds(t, NULL, "k020", "v"));
    if (pass == 0) one_table_reopen();
    if (pass == 1) ok(nacre_flush(t));
  }
}

Test(ranges, change_what_a_batch_expects) {
  nacre_snapshot *snapshot;
  nacre_batch *batch;
  put_keys(0, KEYS, "v");
  ok(nacre_snapshot_take(t, &snapshot));
  delete_keys(10, 20);
  for (int pass = 0; pass < 3; pass++) {
    ok(nacre_batch_create(&batch));
    ok(nacre_batch_put(batch, text("result"), text("x")));
    ok(nacre_batch_expect(batch, text("k009"), snapshot));
    ok(nacre_write(t, batch, NULL));
    ok(nacre_batch_expect(batch, text("k010"), snapshot));
    fails(nacre_write(t, batch, NULL), NC_E_EXPECT_CHANGED);
    nacre_batch_clear(batch);
    ok(nacre_batch_expect(batch, text("k010"), NULL)); /* it is not there */
    ok(nacre_write(t, batch, NULL));
    nacre_batch_destroy(batch);
    if (pass == 0) ok(nacre_flush(t));
    if (pass == 1) compact_all();
  }
  nacre_snapshot_release(snapshot);
}

Test(ranges, arguments) {
  nacre_slice none = {NULL, 0};
  char *large = calloc(1, NACRE_KEY_BYTES_MAX + 1);
  nacre_slice too_large = {large, NACRE_KEY_BYTES_MAX + 1};
  put_keys(0, KEYS, "v");
  fails(nacre_delete_range(t, none, text("z"), NULL), NC_E_ARGUMENT);
  fails(nacre_delete_range(t, text("a"), none, NULL), NC_E_ARGUMENT);
  fails(nacre_delete_range(t, text(""), too_large, NULL), NC_E_KEY_TOO_LARGE);
  ok(nacre_delete_range(t, text("z"), text("a"), NULL));
  ok(nacre_delete_range(t, text("k050"), text("k050"), NULL));
  check(NULL, 0, 0, "v");
  ok(nacre_delete_range(t, text(""), text("k000\0"), NULL)); /* from the empty key */
  check(NULL, 0, 0, "v");
  ok(nacre_delete_range(t, text(""), text("\xff"), &(nacre_write_options){.sync = true}));
  check(NULL, 0, KEYS, "v");
  free(large);
}

/* ---- where segments end -------------------------------------------------------------------------------- */

/* Entries that a snapshot keeps fill more than a segment, and one range delete covers them all. */
Test(ranges, are_cut_where_a_segment_ends) {
  enum { VALUES = 70, VALUE_BYTES = 1 << 20 };
  one_table_close();
  s.options.memtable_bytes = (uint64_t)256 << 20;
  store = site_open(&s);
  nacre_table_options options = {.compression = NACRE_COMPRESSION_NONE};
  ok(nacre_table_create(store, "large", &options, &t));
  nacre_snapshot *snapshot;
  char key[16], *value = calloc(1, VALUE_BYTES);
  for (int i = 0; i < VALUES; i++) ok(nacre_put(t, text(key_of(i, key)), nc_slice(value, VALUE_BYTES), NULL));
  free(value);
  ok(nacre_snapshot_take(t, &snapshot));
  delete_keys(0, VALUES - 1);
  ok(nacre_flush(t));
  const nc_version *v = t->view->version;
  cr_assert(v->segment_count >= 2 && v->ranges_segments == v->segment_count);
  const nc_segment_record *first = nc_segment_describe(v->segments[0]);
  cr_assert(first->flags & NC_SEGMENT_LARGEST_EXCLUDED);
  cr_assert(nc_slice_equal(first->largest, nc_segment_describe(v->segments[1])->smallest));
  nacre_read_options at = {.snapshot = snapshot};
  for (int i = 0; i < VALUES; i++) {
    nacre_value old = {0};
    cr_assert(i == VALUES - 1 || holds(t, NULL, key_of(i, key), NULL), "key %d", i);
    ok(nacre_get(t, text(key_of(i, key)), &at, &old));
    nacre_value_release(&old);
  }
  verify();
  nacre_snapshot_release(snapshot);
  compact_all();
  cr_assert_eq(range_segments(), 0);
  cr_assert(holds(t, NULL, "k000", NULL));
  verify();
}

/* A merge cuts at keys of blocks that it has left behind when it writes the rest. */
Test(ranges, are_cut_by_merges_as_often_as_segments_end) {
  enum { VALUES = 300, VALUE_BYTES = 900 };
  nacre_table_options options = {.compression = NACRE_COMPRESSION_NONE, .segment_bytes = NACRE_SEGMENT_BYTES_MIN};
  static const char value[VALUE_BYTES];
  char key[16];
  ok(nacre_table_close(t));
  ok(nacre_table_create(store, "small", &options, &t));
  for (int i = 0; i < VALUES; i++) ok(nacre_put(t, text(key_of(i, key)), nc_slice(value, VALUE_BYTES), NULL));
  ok(nacre_flush(t));
  nacre_snapshot *snapshot;
  ok(nacre_snapshot_take(t, &snapshot));
  delete_keys(0, VALUES - 1);
  compact_all();
  const nc_version *v = t->view->version;
  cr_assert(v->run_count == 1 && v->ranges_segments >= 8, "%zu segments", v->ranges_segments);
  nacre_read_options at = {.snapshot = snapshot};
  for (int i = 0; i < VALUES; i++) {
    nacre_value old = {0};
    cr_assert((nacre_get(t, text(key_of(i, key)), NULL, &old) == NACRE_OK) == (i == VALUES - 1), "key %d", i);
    nacre_value_release(&old);
    ok(nacre_get(t, text(key_of(i, key)), &at, &old));
    nacre_value_release(&old);
  }
  verify();
  nacre_snapshot_release(snapshot);
}

static size_t segments_now(void) { return t->view->version->segment_count; }

static void flip_segment(size_t at) {
  char uuid[NC_UUID_TEXT_BYTES], directory[PATH_BYTES], path[PATH_BYTES], name[NC_FILE_NAME_BYTES];
  nc_uuid_format(&t->uuid, uuid);
  join(directory, s.store, uuid);
  nc_segment_name(nc_segment_describe(t->view->version->segments[at])->number, name);
  join(path, directory, name);
  file_flip(path, 8192 + 40);
}

/* A write of something that is not there, and a look at what is worth merging after it. */
static void stir(void) {
  ok(nacre_delete(t, text("z"), NULL));
  ok(nacre_flush(t));
}

/* Were it read, its damage would be met. */
Test(ranges, a_segment_that_they_hide_altogether_goes_unread) {
  put_keys(0, KEYS, "v");
  compact_all();
  flip_segment(0);
  delete_keys(1, KEYS - 1);
  stir();
  cr_assert_eq(segments_now(), 2, "the first and the last key are seen");
  delete_keys(0, 1);
  delete_keys(KEYS - 1, KEYS);
  nacre_snapshot *snapshot;
  ok(nacre_snapshot_take(t, &snapshot));
  stir();
  for (size_t i = 0; i < segments_now(); i++)
    cr_assert_lt(nc_segment_describe(t->view->version->segments[i])->entries, KEYS, "it is gone");
  check(NULL, 0, KEYS, "v");
  nacre_snapshot_release(snapshot);
  compact_all();
  verify();
}

Test(ranges, a_snapshot_keeps_the_segment_that_it_sees) {
  put_keys(0, KEYS, "v");
  compact_all();
  nacre_snapshot *snapshot;
  ok(nacre_snapshot_take(t, &snapshot));
  delete_keys(0, KEYS);
  stir();
  check(snapshot, 0, 0, "v");
  nacre_snapshot_release(snapshot);
  stir();
  for (size_t i = 0; i < segments_now(); i++)
    cr_assert_lt(nc_segment_describe(t->view->version->segments[i])->entries, KEYS, "it is gone");
  check(NULL, 0, KEYS, "v");
}

/* Which files go with a segment only its entries tell. */
Test(ranges, a_segment_with_large_values_is_read_before_it_goes) {
  nacre_table_options options = {.large_value_bytes = 4096};
  static const char large[5000];
  char uuid[NC_UUID_TEXT_BYTES], directory[PATH_BYTES], key[16];
  ok(nacre_table_close(t));
  ok(nacre_table_create(store, "large", &options, &t));
  nc_uuid_format(&t->uuid, uuid);
  join(directory, s.store, uuid);
  put_keys(0, KEYS, "v");
  ok(nacre_put(t, text(key_of(7, key)), nc_slice(large, sizeof large), NULL));
  compact_all();
  cr_assert_eq(count_files(directory, ".val"), 1);
  delete_keys(0, KEYS);
  stir();
  compact_all();
  cr_assert_eq(count_files(directory, ".val"), 0);
  verify();
}

/* Range deletes alone fill more than one frame may take. */
Test(ranges, are_shared_out_among_segments) {
  enum { MANY = 60, KEY_BYTES = 60000 };
  char *from = malloc(KEY_BYTES), *to = malloc(KEY_BYTES);
  memset(from, 'x', KEY_BYTES);
  memset(to, 'x', KEY_BYTES);
  put_text(t, " ", "1", false); /* or a flush would know that there is nothing to delete */
  put_text(t, "a", "1", false);
  put_text(t, "~", "1", false);
  ok(nacre_flush(t));
  for (int i = 0; i < MANY; i++) {
    from[0] = to[0] = (char)(' ' + i);
    from[KEY_BYTES - 1] = '1';
    to[KEY_BYTES - 1] = '2';
    ok(nacre_delete_range(t, nc_slice(from, KEY_BYTES), nc_slice(to, KEY_BYTES), NULL));
  }
  ok(nacre_flush(t));
  cr_assert_geq(range_segments(), 2);
  verify();
  one_table_reopen();
  verify();
  compact_all();
  cr_assert_eq(range_segments(), 0);
  cr_assert(holds(t, NULL, "a", "1"));
  free(from);
  free(to);
}

/* ---- damage -------------------------------------------------------------------------------------------- */

/* The segment with range deletes, and where their frame is. */
static uint64_t ranges_frame(uint64_t *ret_offset) {
  nacre_error err;
  const nc_version *v = t->view->version;
  for (size_t i = 0; i < v->segment_count; i++) {
    if ((nc_segment_describe(v->segments[i])->flags & NC_SEGMENT_HOLDS_RANGES) == 0) continue;
    must(nc_segment_hold(v->segments[i], NULL, &err));
    *ret_offset = nc_segment_properties(v->segments[i])->ranges.offset;
    nc_segment_let(v->segments[i]);
    return nc_segment_describe(v->segments[i])->number;
  }
  cr_assert_fail("no segment holds range deletes");
  return 0;
}

static uint64_t make_damage(void) {
  char directory[PATH_BYTES], path[PATH_BYTES], name[NC_FILE_NAME_BYTES];
  uint64_t offset;
  put_keys(0, KEYS, "v");
  ok(nacre_flush(t));
  delete_keys(20, 70);
  ok(nacre_flush(t));
  snprintf(name, sizeof name, "%020llu.seg", (unsigned long long)ranges_frame(&offset));
  one_table_close();
  site_table_path(&s, "table", directory);
  join(path, directory, name);
  file_flip(path, offset + NC_FRAME_HEADER_BYTES);
  store = site_open(&s);
  ok(nacre_table_open(store, "table", NULL, &t));
  return offset;
}

Test(ranges, damage_to_them_is_told_where_they_are) {
  char key[16];
  uint64_t offset = make_damage();
  for (int i = 0; i < KEYS; i++) {
    nacre_value v = {0};
    nacre_status status = nacre_get(t, text(key_of(i, key)), NULL, &v);
    cr_assert_eq(status, i >= 20 && i < 70 ? NACRE_CORRUPT : NACRE_OK, "key %d: %s", i,
                 nacre_status_name(status));
    nacre_value_release(&v);
  }
  nacre_iter *it;
  int seen = 0;
  ok(nacre_iter_open(t, NULL, &it));
  for (nacre_iter_first(it); nacre_iter_valid(it); nacre_iter_next(it)) seen++;
  cr_assert_eq(nacre_iter_status(it), NACRE_CORRUPT);
  cr_assert_eq(seen, 20);
  seen = 0;
  for (nacre_iter_last(it); nacre_iter_valid(it); nacre_iter_prev(it)) seen++;
  cr_assert_eq(nacre_iter_status(it), NACRE_CORRUPT);
  cr_assert_eq(seen, KEYS - 70);
  nacre_iter_close(it);
  nacre_verify_report report = {0};
  cr_assert_eq(nacre_verify(t, NULL, &report), NACRE_CORRUPT);
  cr_assert_geq(report.fault_count, 1);
  cr_assert_eq(nacre_faults_at(report.faults, 0)->offset, offset);
  nacre_faults_free(report.faults);
}

/* ---- salvage ------------------------------------------------------------------------------------------- */

static uint64_t salvage(const char *name) {
  char to[PATH_BYTES];
  nacre_store_options source = s.options;
  source.create = false;
  nacre_salvage_report report = {0};
  nacre_salvage_options options = {.to = to, .source = &source};
  join(to, s.path, name);
  one_table_close();
  ok(nacre_salvage(s.store, "table", &options, &report));
  uint64_t faults = report.fault_count;
  nacre_faults_free(report.faults);
  snprintf(s.store, sizeof s.store, "%s", to);
  store = site_open(&s);
  ok(nacre_table_open(store, "table", NULL, &t));
  return faults;
}

Test(ranges, salvage_does_not_bring_back_what_they_hide) {
  put_keys(0, KEYS, "v");
  ok(nacre_flush(t));
  delete_keys(20, 60);
  put_text(t, "zebra", "v", false);
  ok(nacre_flush(t));
  delete_keys(50, 70); /* in the log */
  cr_assert_eq(salvage("plain"), 0);
  for (int i = 0; i < KEYS; i++) {
    char key[16];
    cr_assert(holds(t, NULL, key_of(i, key), i >= 20 && i < 70 ? NULL : "v"));
  }
}

Test(ranges, salvage_tells_that_they_are_lost) {
  make_damage();
  cr_assert_geq(salvage("damaged"), 1);
  cr_assert(holds(t, NULL, "k050", "v"), "what they hid comes back");
}
