/* SPDX-License-Identifier: Apache-2.0
 *
 * Log records and batches of operations.
 */
#include <stdlib.h>

#include "batch.h"
#include "frame.h"
#include "header.h"
#include "log_record.h"
#include "support.h"

static nc_log_record sample(uint8_t type) {
  nc_log_record record = {.first_sequence = 500, .synced = {7, 8192 + 160}};
  if (type != NC_FRAME_LOG_GROUP) {
    record.manifest = uuid_of(0x77);
    record.manifest_sequence = 31;
  }
  if (type == NC_FRAME_LOG_START) {
    record.predecessor.present = true;
    record.predecessor.number = 6;
    record.predecessor.end = 1 << 20;
    record.predecessor.last_sequence = 499;
    record.predecessor.file = uuid_of(0x66);
  } else if (type == NC_FRAME_LOG_GROUP) {
    record.count = 2;
  }
  return record;
}

/* The record's bytes; a group's are followed by its operations. */
static size_t encode(const nc_log_record *record, uint8_t type, uint8_t bytes[256]) {
  size_t size = nc_log_record_encode(record, type, bytes);
  if (type != NC_FRAME_LOG_GROUP) return size;
  size += nc_operation_encode(NC_KIND_PUT, text("key"), text("value"), bytes + size);
  return size + nc_operation_encode(NC_KIND_DELETE, text("gone"), text(""), bytes + size);
}

static nacre_status decode(const nc_log_record *record, uint8_t type, nacre_error *err) {
  uint8_t bytes[256];
  nc_log_record decoded;
  return nc_log_record_decode(nc_slice(bytes, encode(record, type, bytes)), type, &decoded, err);
}

static uint8_t type_under_test;
static bool decodes(nacre_slice bytes) {
  nc_log_record record;
  return nc_log_record_decode(bytes, type_under_test, &record, NULL) == NACRE_OK;
}

Test(log_record, every_type_comes_back) {
  for (uint8_t type = NC_FRAME_LOG_START; type <= NC_FRAME_LOG_FINAL; type++) {
    uint8_t bytes[256], again[256];
    nc_log_record record = sample(type), decoded;
    size_t size = encode(&record, type, bytes);
    assert_ok(nc_log_record_decode(nc_slice(bytes, size), type, &decoded, NULL));
    cr_assert_eq(decoded.first_sequence, 500);
    cr_assert_eq(nc_log_position_compare(decoded.synced, record.synced), 0);
    size_t head = nc_log_record_encode(&decoded, type, again);
    cr_assert_arr_eq(bytes, again, head);
    cr_assert_eq(head + decoded.operations.size, size);
    type_under_test = type;
    flips_every_bit(nc_slice(bytes, size), decodes, false);
    if (type != NC_FRAME_LOG_GROUP) refuses_every_other_length(nc_slice(bytes, size), decodes);
  }
}

Test(log_record, a_first_log_has_no_predecessor) {
  uint8_t bytes[NC_LOG_RECORD_FIXED_BYTES_MAX];
  nc_log_record record = {.first_sequence = 1}, decoded;
  size_t size = nc_log_record_encode(&record, NC_FRAME_LOG_START, bytes);
  assert_ok(nc_log_record_decode(nc_slice(bytes, size), NC_FRAME_LOG_START, &decoded, NULL));
  cr_assert(!decoded.predecessor.present);
  bytes[size - 1] = 2;
  type_under_test = NC_FRAME_LOG_START;
  cr_assert(!decodes(nc_slice(bytes, size)));
}

Test(log_record, refuses_impossible_sequences) { /* [P6] */
  nacre_error err;
  nc_log_record record = sample(NC_FRAME_LOG_GROUP);
  record.first_sequence = 0;
  assert_refused(decode(&record, NC_FRAME_LOG_GROUP, &err), NC_E_LOG_SEQUENCE);
  record.first_sequence = NC_SEQUENCE_MAX;
  assert_refused(decode(&record, NC_FRAME_LOG_GROUP, &err), NC_E_LOG_SEQUENCE);
  record.count = 1;
  assert_ok(decode(&record, NC_FRAME_LOG_GROUP, &err));
  record.count = 0;
  assert_refused(decode(&record, NC_FRAME_LOG_GROUP, &err), NC_E_LOG_SEQUENCE);
  record = sample(NC_FRAME_LOG_MARK);
  record.count = 1;
  assert_refused(decode(&record, NC_FRAME_LOG_MARK, &err), NC_E_LOG_SEQUENCE);
  record = sample(NC_FRAME_LOG_START);
  record.predecessor.last_sequence = 500;
  assert_refused(decode(&record, NC_FRAME_LOG_START, &err), NC_E_LOG_SEQUENCE);
}

Test(log_record, refuses_impossible_positions_and_types) {
  nacre_error err;
  nc_log_record record = sample(NC_FRAME_LOG_MARK);
  record.synced.offset = 8193;
  assert_refused(decode(&record, NC_FRAME_LOG_MARK, &err), NC_E_LOG_RECORD_SHAPE);
  record.synced.offset = NC_FILE_BYTES_MAX + 16;
  assert_refused(decode(&record, NC_FRAME_LOG_MARK, &err), NC_E_LOG_RECORD_SHAPE);
  record = sample(NC_FRAME_LOG_START);
  record.predecessor.end = 8;
  assert_refused(decode(&record, NC_FRAME_LOG_START, &err), NC_E_LOG_RECORD_SHAPE);
  uint8_t bytes[256];
  nc_log_record decoded;
  record = sample(NC_FRAME_LOG_MARK);
  size_t size = encode(&record, NC_FRAME_LOG_MARK, bytes);
  assert_refused(nc_log_record_decode(nc_slice(bytes, size), NC_FRAME_DATA, &decoded, &err),
                 NC_E_LOG_RECORD_SHAPE);
}

Test(log_record, positions_order_by_log_then_offset) {
  cr_assert_lt(nc_log_position_compare((nc_log_position){1, 900}, (nc_log_position){2, 0}), 0);
  cr_assert_gt(nc_log_position_compare((nc_log_position){2, 16}, (nc_log_position){2, 0}), 0);
}

/* --- batches -------------------------------------------------------------------------------------------------------- */

Test(batch, operations_come_back) {
  random_source random = random_begin();
  enum { COUNT = 500 };
  static uint8_t keys[COUNT][32], values[COUNT][300], bytes[COUNT * 350];
  size_t key_sizes[COUNT], value_sizes[COUNT], size = 0;
  nc_kind kinds[COUNT];
  for (size_t i = 0; i < COUNT; i++) {
    kinds[i] = random_below(&random, 3) == 0 ? NC_KIND_DELETE : NC_KIND_PUT;
    key_sizes[i] = random_below(&random, 33);
    value_sizes[i] = kinds[i] == NC_KIND_PUT ? random_below(&random, 301) : 0;
    random_fill(&random, keys[i], key_sizes[i]);
    random_fill(&random, values[i], value_sizes[i]);
    nacre_slice key = nc_slice(keys[i], key_sizes[i]), value = nc_slice(values[i], value_sizes[i]);
    size_t expected;
    assert_ok(nc_operation_size(kinds[i], key, value, &expected, NULL));
    cr_assert_eq(nc_operation_encode(kinds[i], key, value, bytes + size), expected);
    size += expected;
  }
  assert_ok(nc_batch_check(nc_slice(bytes, size), COUNT, NULL));
  nc_batch_reader r;
  nc_entry entry;
  bool more;
  nc_batch_read_begin(&r, nc_slice(bytes, size));
  for (size_t i = 0; i < COUNT; i++) {
    assert_ok(nc_batch_read(&r, &entry, &more, NULL));
    cr_assert(more && entry.kind == kinds[i] && nc_slice_equal(entry.key, nc_slice(keys[i], key_sizes[i])) &&
              nc_slice_equal(entry.value, nc_slice(values[i], value_sizes[i])));
  }
  assert_ok(nc_batch_read(&r, &entry, &more, NULL));
  cr_assert(!more);
}

static bool checks_three(nacre_slice bytes) { return nc_batch_check(bytes, 3, NULL) == NACRE_OK; }

Test(batch, damage_never_crashes_and_cuts_are_refused) {
  uint8_t bytes[64];
  size_t size = nc_operation_encode(NC_KIND_PUT, text("key"), text("value"), bytes);
  size += nc_operation_encode(NC_KIND_DELETE, text("gone"), text(""), bytes + size);
  size += nc_operation_encode(NC_KIND_PUT, text(""), text(""), bytes + size);
  cr_assert(checks_three(nc_slice(bytes, size)));
  refuses_every_other_length(nc_slice(bytes, size), checks_three);
  flips_every_bit(nc_slice(bytes, size), checks_three, false);
}

Test(batch, names_each_refusal) {
  nacre_error err;
  assert_refused(nc_batch_check(text("\x06\x01k"), 1, &err), NC_E_BATCH_KIND);
  assert_refused(nc_batch_check(text("\x02\x02k"), 1, &err), NC_E_BATCH_SHAPE);
  assert_refused(nc_batch_check(text("\x02\x80"), 1, &err), NC_E_BATCH_SHAPE);
  assert_refused(nc_batch_check(text("\x02\x01k"), 2, &err), NC_E_BATCH_COUNT);
  assert_refused(nc_batch_check(text("\x02\x81\x80\x04"), 1, &err),
                 NC_E_BATCH_SHAPE); /* a key over the limit */
}

static bool checks_one(nacre_slice bytes);

Test(batch, expiring_puts_come_back_and_have_a_moment) { /* [L3] */
  uint8_t bytes[64];
  nc_entry entry;
  bool more;
  nc_batch_reader r;
  size_t expected, size = nc_operation_encode_expiring(text("key"), text("value"), 1, bytes);
  assert_ok(nc_operation_size(NC_KIND_EXPIRING, text("key"), text("12345678value"), &expected, NULL));
  cr_assert_eq(size, expected);
  nc_batch_read_begin(&r, nc_slice(bytes, size));
  assert_ok(nc_batch_read(&r, &entry, &more, NULL));
  cr_assert(more && entry.kind == NC_KIND_EXPIRING &&
            nc_slice_equal(entry.value, nc_slice("\1\0\0\0\0\0\0\0value", 13)));
  refuses_every_other_length(nc_slice(bytes, size), checks_one);
  size = nc_operation_encode_expiring(text("key"), text("value"), 0, bytes);
  cr_assert(!checks_one(nc_slice(bytes, size)));
  size = nc_operation_encode(NC_KIND_EXPIRING, text("key"), text("1234567"), bytes);
  cr_assert(!checks_one(nc_slice(bytes, size)));
}

static bool checks_one(nacre_slice bytes) { return nc_batch_check(bytes, 1, NULL) == NACRE_OK; }

Test(batch, ranges_come_back_and_must_hold_something) { /* [L3] */
  uint8_t bytes[64];
  nc_entry entry;
  bool more;
  nc_batch_reader r;
  size_t size = nc_operation_encode(NC_KIND_RANGE_DELETE, text("a"), text("b"), bytes);
  nc_batch_read_begin(&r, nc_slice(bytes, size));
  assert_ok(nc_batch_read(&r, &entry, &more, NULL));
  cr_assert(more && entry.kind == NC_KIND_RANGE_DELETE);
  cr_assert(nc_slice_equal(entry.key, text("a")) && nc_slice_equal(entry.value, text("b")));
  refuses_every_other_length(nc_slice(bytes, size), checks_one);
  static const char *const ends[][2] = {{"b", "b"}, {"b", "a"}, {"", ""}};
  for (size_t i = 0; i < ARRAY_LENGTH(ends); i++) {
    size = nc_operation_encode(NC_KIND_RANGE_DELETE, text(ends[i][0]), text(ends[i][1]), bytes);
    cr_assert(!checks_one(nc_slice(bytes, size)));
  }
  char *large = calloc(1, NACRE_KEY_BYTES_MAX + 1);
  nacre_error err;
  assert_refused(nc_operation_size(NC_KIND_RANGE_DELETE, text(""), nc_slice(large, NACRE_KEY_BYTES_MAX + 1),
                                   &size, &err),
                 NC_E_KEY_TOO_LARGE);
  free(large);
}

Test(batch, refuses_a_key_beyond_the_limit_though_it_is_there) { /* [P5] */
  nacre_error err;
  for (size_t size = NACRE_KEY_BYTES_MAX; size <= NACRE_KEY_BYTES_MAX + 1; size++) {
    uint8_t *bytes = calloc(1, 4 + size);
    nc_writer w = nc_writer_over(bytes, 4 + size);
    nc_write_u8(&w, NC_KIND_DELETE);
    nc_write_varint(&w, size);
    nc_write_zeros(&w, size);
    cr_assert(!w.failed);
    if (size > NACRE_KEY_BYTES_MAX)
      assert_refused(nc_batch_check(nc_slice(bytes, w.size), 1, &err), NC_E_BATCH_SHAPE);
    else
      assert_ok(nc_batch_check(nc_slice(bytes, w.size), 1, &err));
    free(bytes);
  }
}

Test(batch, refuses_operations_beyond_the_limits) {
  nacre_error err;
  size_t size;
  char *large = malloc(NACRE_BATCH_BYTES_MAX + 1);
  assert_ok(nc_operation_size(NC_KIND_DELETE, nc_slice(large, NACRE_KEY_BYTES_MAX), text(""), &size, &err));
  assert_refused(
      nc_operation_size(NC_KIND_DELETE, nc_slice(large, NACRE_KEY_BYTES_MAX + 1), text(""), &size, &err),
      NC_E_KEY_TOO_LARGE);
  assert_ok(
      nc_operation_size(NC_KIND_PUT, text("k"), nc_slice(large, NACRE_BATCH_BYTES_MAX - 7), &size, &err));
  cr_assert_eq(size, NACRE_BATCH_BYTES_MAX);
  assert_refused(
      nc_operation_size(NC_KIND_PUT, text("k"), nc_slice(large, NACRE_BATCH_BYTES_MAX - 6), &size, &err),
      NC_E_BATCH_TOO_LARGE);
  assert_refused(nc_operation_size(NC_KIND_PUT, text("k"), nc_slice(large, SIZE_MAX), &size, &err),
                 NC_E_BATCH_TOO_LARGE);
  free(large);
}
