/* SPDX-License-Identifier: Apache-2.0
 *
 * Manifest edits and CURRENT.
 */
#include <stdlib.h>

#include "crc32c.h"
#include "current.h"
#include "entry.h"
#include "frame.h"
#include "manifest_edit.h"
#include "support.h"

static nc_segment_record sample_segment(void) {
  nc_segment_record s = {.number = 12,
                         .size = 65536,
                         .run = 4,
                         .level = 1,
                         .sequence_min = 10,
                         .sequence_max = 90,
                         .entries = 50,
                         .smallest = text("apple"),
                         .largest = text("pear")};
  s.file = uuid_of(0x21);
  s.origin_table = uuid_of(0x22);
  memset(s.last_tag, 0x23, sizeof s.last_tag);
  memset(s.dek_commitment, 0x24, sizeof s.dek_commitment);
  return s;
}

static nc_log_name sample_log(void) {
  nc_log_name log = {.number = 13};
  log.file = uuid_of(0x31);
  memset(log.dek_commitment, 0x32, sizeof log.dek_commitment);
  return log;
}

static nc_value_name sample_value(void) {
  nc_value_name value = {.number = 11, .size = 12480, .value_size = 4100};
  value.file = uuid_of(0x41);
  value.origin_table = uuid_of(0x42);
  memset(value.last_tag, 0x43, sizeof value.last_tag);
  memset(value.dek_commitment, 0x44, sizeof value.dek_commitment);
  return value;
}

/* An edit with one record of every tag. */
static size_t encode_all(uint8_t *bytes, size_t capacity) {
  nc_writer w = nc_writer_over(bytes, capacity);
  nc_table_state state = {.next_file_number = 14, .last_sequence = 90, .key_file_generation = 2};
  nc_segment_record segment = sample_segment();
  nc_log_name log = sample_log();
  nc_edit_begin(&w, 77, NC_EDIT_SNAPSHOT | NC_EDIT_SNAPSHOT_END);
  nc_edit_add_state(&w, &state);
  nc_edit_add_segment(&w, &segment);
  nc_edit_remove_segment(&w, 9);
  nc_edit_add_log(&w, &log);
  nc_edit_drop_log(&w, 8);
  nc_value_name value = sample_value();
  nc_edit_add_value(&w, &value);
  nc_edit_remove_value(&w, 7);
  return w.failed ? 0 : w.size;
}

static nacre_status read_all(nacre_slice bytes, size_t *ret_count, nacre_error *err) {
  nc_edit_reader r;
  nc_edit_record record;
  bool more = true;
  *ret_count = 0;
  NC_TRY(nc_edit_read_begin(&r, bytes, err));
  for (;; ++*ret_count) {
    NC_TRY(nc_edit_read(&r, &record, &more, err));
    if (!more) return NACRE_OK;
  }
}

static bool reads_seven(nacre_slice bytes) {
  size_t count;
  return read_all(bytes, &count, NULL) == NACRE_OK && count == 7;
}

Test(manifest_edit, every_record_comes_back) {
  uint8_t bytes[1024];
  size_t size = encode_all(bytes, sizeof bytes);
  nc_edit_reader r;
  nc_edit_record record;
  bool more;
  assert_ok(nc_edit_read_begin(&r, nc_slice(bytes, size), NULL));
  cr_assert(r.commit_sequence == 77 && r.flags == 3);
  assert_ok(nc_edit_read(&r, &record, &more, NULL));
  cr_assert(more && record.tag == NC_EDIT_STATE && record.state.next_file_number == 14);
  cr_assert(record.state.last_sequence == 90 && record.state.key_file_generation == 2);
  assert_ok(nc_edit_read(&r, &record, &more, NULL));
  nc_segment_record segment = sample_segment();
  cr_assert(more && record.tag == NC_EDIT_SEGMENT_ADD && record.segment.number == 12 &&
            record.segment.size == 65536);
  cr_assert(nc_uuid_equal(&record.segment.file, &segment.file) &&
            nc_slice_equal(record.segment.largest, text("pear")));
  cr_assert(record.segment.run == 4 && record.segment.level == 1 && record.segment.entries == 50);
  cr_assert_arr_eq(record.segment.dek_commitment, segment.dek_commitment, NC_COMMITMENT_BYTES);
  cr_assert_arr_eq(record.segment.last_tag, segment.last_tag, NC_TAG_BYTES);
  assert_ok(nc_edit_read(&r, &record, &more, NULL));
  cr_assert(more && record.tag == NC_EDIT_SEGMENT_REMOVE && record.number == 9);
  assert_ok(nc_edit_read(&r, &record, &more, NULL));
  nc_log_name log = sample_log();
  cr_assert(more && record.tag == NC_EDIT_LOG_ADD && record.log.number == 13 &&
            nc_uuid_equal(&record.log.file, &log.file));
  assert_ok(nc_edit_read(&r, &record, &more, NULL));
  cr_assert(more && record.tag == NC_EDIT_LOG_DROP && record.number == 8);
  assert_ok(nc_edit_read(&r, &record, &more, NULL));
  nc_value_name value = sample_value();
  cr_assert(more && record.tag == NC_EDIT_VALUE_ADD && record.value.number == 11 &&
            record.value.size == 12480 && record.value.value_size == 4100 &&
            nc_uuid_equal(&record.value.file, &value.file) &&
            nc_uuid_equal(&record.value.origin_table, &value.origin_table));
  cr_assert_arr_eq(record.value.last_tag, value.last_tag, NC_TAG_BYTES);
  assert_ok(nc_edit_read(&r, &record, &more, NULL));
  cr_assert(more && record.tag == NC_EDIT_VALUE_REMOVE && record.number == 7);
  assert_ok(nc_edit_read(&r, &record, &more, NULL));
  cr_assert(!more);
}

Test(manifest_edit, damage_never_crashes_and_cuts_are_refused) {
  uint8_t bytes[1024];
  size_t size = encode_all(bytes, sizeof bytes);
  refuses_every_other_length(nc_slice(bytes, size), reads_seven);
  flips_every_bit(nc_slice(bytes, size), reads_seven, false);
}

Test(manifest_edit, tells_when_its_buffer_is_too_small) {
  uint8_t bytes[1024];
  size_t size = encode_all(bytes, sizeof bytes);
  for (size_t capacity = 0; capacity < size; capacity++) {
    uint8_t *exact = malloc(capacity + 1);
    cr_assert_eq(encode_all(exact, capacity), 0);
    free(exact);
  }
  cr_assert_eq(encode_all(bytes, size), size);
}

Test(manifest_edit, its_bound_holds_the_largest_segment) {
  nc_segment_record s = sample_segment();
  uint8_t *key = calloc(1, NACRE_KEY_BYTES_MAX), *bytes = malloc(NC_EDIT_SEGMENT_BYTES_MAX + 16);
  s.smallest = s.largest = nc_slice(key, NACRE_KEY_BYTES_MAX);
  s.number = s.run = s.entries = UINT64_MAX;
  s.level = UINT32_MAX;
  s.size = NC_FILE_BYTES_MAX;
  s.sequence_min = s.sequence_max = NC_SEQUENCE_MAX;
  s.flags = NC_SEGMENT_HOLDS_DELETES | NC_SEGMENT_EXPIRES | NC_SEGMENT_NO_LARGE;
  s.half_expired_ms = s.all_expired_ms = UINT64_MAX;
  nc_writer w = nc_writer_over(bytes, NC_EDIT_SEGMENT_BYTES_MAX + 16);
  nc_edit_begin(&w, UINT64_MAX, 0);
  size_t begun = w.size, count;
  nc_edit_add_segment(&w, &s);
  cr_assert(!w.failed && w.size - begun <= NC_EDIT_SEGMENT_BYTES_MAX);
  assert_ok(read_all(nc_slice(bytes, w.size), &count, NULL));
  cr_assert_eq(count, 1);
  free(key), free(bytes);
}

static nacre_status read_segment(const nc_segment_record *segment, nacre_error *err) {
  uint8_t bytes[1024];
  size_t count;
  nc_writer w = nc_writer_over(bytes, sizeof bytes);
  nc_edit_begin(&w, 1, 0);
  nc_edit_add_segment(&w, segment);
  return read_all(nc_slice(bytes, w.size), &count, err);
}

Test(manifest_edit, refuses_impossible_segments) {
  nacre_error err;
  nc_segment_record s = sample_segment();
  assert_ok(read_segment(&s, &err));
  s.number = 0;
  assert_refused(read_segment(&s, &err), NC_E_EDIT_SHAPE);
  s = sample_segment(), s.size = 65537;
  assert_refused(read_segment(&s, &err), NC_E_EDIT_SHAPE);
  s = sample_segment(), s.size = NC_FRAMES_OFFSET;
  assert_refused(read_segment(&s, &err), NC_E_EDIT_SHAPE);
  s = sample_segment(), s.sequence_min = 0;
  assert_refused(read_segment(&s, &err), NC_E_EDIT_SHAPE);
  s = sample_segment(), s.flags = NC_SEGMENT_ONE_SEQUENCE;
  assert_refused(read_segment(&s, &err), NC_E_EDIT_SHAPE);
  s.sequence_min = s.sequence_max;
  assert_ok(read_segment(&s, &err));
  s.flags |= NC_SEGMENT_HOLDS_RANGES;
  assert_refused(read_segment(&s, &err), NC_E_EDIT_SHAPE);
  s = sample_segment(), s.flags = NC_SEGMENT_EXPIRES;
  assert_refused(read_segment(&s, &err), NC_E_EDIT_SHAPE);
  s.half_expired_ms = 8;
  assert_ok(read_segment(&s, &err));
  s.all_expired_ms = 7;
  assert_refused(read_segment(&s, &err), NC_E_EDIT_SHAPE);
  s.all_expired_ms = 8;
  assert_ok(read_segment(&s, &err));
  s.half_expired_ms = 0;
  assert_ok(read_segment(&s, &err));
  s.flags = NC_SEGMENT_FLAGS_KNOWN + 1;
  assert_refused(read_segment(&s, &err), NC_E_EDIT_SHAPE);
  s = sample_segment(), s.sequence_max = NC_SEQUENCE_MAX + 1;
  assert_refused(read_segment(&s, &err), NC_E_EDIT_SHAPE);
  s = sample_segment(), s.entries = 0;
  assert_refused(read_segment(&s, &err), NC_E_EDIT_SHAPE);
  s = sample_segment(), s.smallest = text("quince");
  assert_refused(read_segment(&s, &err), NC_E_EDIT_SHAPE);
}

Test(manifest_edit, refuses_numbers_out_of_range) {
  nacre_error err;
  uint8_t bytes[64];
  size_t count;
  nc_table_state state = {.next_file_number = 1, .last_sequence = NC_SEQUENCE_MAX};
  for (int over = 0; over < 2; over++, state.last_sequence++) {
    nc_writer w = nc_writer_over(bytes, sizeof bytes);
    nc_edit_begin(&w, 1, 0);
    nc_edit_add_state(&w, &state);
    nacre_status status = read_all(nc_slice(bytes, w.size), &count, &err);
    if (over == 0)
      assert_ok(status);
    else
      assert_refused(status, NC_E_EDIT_SHAPE);
  }
}

/* A level of 2^32 + 1, which would pass for 1. */
Test(manifest_edit, refuses_a_level_that_does_not_fit) {
  nacre_error err;
  uint8_t bytes[1024];
  size_t count;
  nc_segment_record s = sample_segment();
  nc_writer w = nc_writer_over(bytes, sizeof bytes);
  nc_edit_begin(&w, 1, 0);
  nc_edit_add_segment(&w, &s);
  const size_t level_at = 2 + 2 + 1 + 16 + 16 + 3 + 16 + 32 + 1; /* begun, tag and size, fields before it */
  cr_assert(bytes[2] == NC_EDIT_SEGMENT_ADD && bytes[level_at - 1] == 4 && bytes[level_at] == 1);
  memmove(bytes + level_at + 5, bytes + level_at + 1, w.size - level_at - 1);
  cr_assert_eq(nc_put_varint(bytes + level_at, ((uint64_t)1 << 32) + 1), 5);
  bytes[3] = (uint8_t)(bytes[3] + 4);
  assert_refused(read_all(nc_slice(bytes, w.size + 4), &count, &err), NC_E_EDIT_SHAPE);
  cr_assert_lt(bytes[3], 0x80);
  bytes[level_at + 4] = 0x0F; /* 2^32 - 1 with the bits that are set below */
  memset(bytes + level_at, 0xFF, 4);
  assert_ok(read_all(nc_slice(bytes, w.size + 4), &count, &err));
}

Test(manifest_edit, names_each_refusal) {
  nacre_error err;
  size_t count;
  assert_refused(read_all(nc_slice("\x00\x00", 2), &count, &err),
                 NC_E_EDIT_SHAPE); /* no commit is number 0 */
  assert_refused(read_all(nc_slice("\x01\x02", 2), &count, &err),
                 NC_E_EDIT_SHAPE); /* an end of no snapshot */
  assert_refused(read_all(nc_slice("\x01\x04", 2), &count, &err), NC_E_EDIT_SHAPE);
  assert_refused(read_all(nc_slice("\x01\x00\x08\x00", 4), &count, &err), NC_E_EDIT_TAG);
  assert_refused(read_all(nc_slice("\x01\x00\x00\x00", 4), &count, &err), NC_E_EDIT_TAG);
  assert_refused(read_all(nc_slice("\x01\x00\x03\x01\x00", 5), &count, &err),
                 NC_E_EDIT_SHAPE); /* segment 0 */
  assert_refused(read_all(nc_slice("\x01\x00\x03\x02\x01\x01", 6), &count, &err),
                 NC_E_EDIT_SHAPE); /* a byte too many */
}

/* --- CURRENT ---------------------------------------------------------------------------------------------------------- */

static void make_current(uint8_t bytes[NC_CURRENT_BYTES]) {
  nc_current current = {.manifest_number = 5, .epoch = 6, .kek_version_min = 7};
  current.table = uuid_of(0x51);
  current.manifest = uuid_of(0x52);
  current.kek_id = uuid_of(0x53);
  memset(current.manifest_commitment, 0x54, sizeof current.manifest_commitment);
  nc_current_encode(&current, bytes);
  memset(bytes + NC_CURRENT_MAC_OFFSET, 0x55, NC_MAC_BYTES);
}

static bool decodes_current(nacre_slice bytes) {
  nc_current current;
  return nc_current_decode(bytes, &current, NULL) == NACRE_OK;
}

Test(current, comes_back) {
  uint8_t bytes[NC_CURRENT_BYTES], again[NC_CURRENT_BYTES];
  nc_current current;
  make_current(bytes);
  assert_ok(nc_current_decode(nc_slice(bytes, sizeof bytes), &current, NULL));
  cr_assert(current.manifest_number == 5 && current.epoch == 6 && current.kek_version_min == 7 &&
            current.mac[31] == 0x55);
  nc_current_encode(&current, again);
  cr_assert_arr_eq(bytes, again, NC_CURRENT_MAC_OFFSET);
  cr_assert_eq(again[NC_CURRENT_MAC_OFFSET], 0);
}

Test(current, refuses_other_lengths_and_every_flipped_bit_before_the_mac) { /* [V2] */
  uint8_t bytes[NC_CURRENT_BYTES];
  make_current(bytes);
  refuses_every_other_length(nc_slice(bytes, sizeof bytes), decodes_current);
  for (size_t bit = 0; bit < 8 * NC_CURRENT_MAC_OFFSET; bit++) {
    bytes[bit / 8] = (uint8_t)(bytes[bit / 8] ^ 1u << bit % 8);
    cr_assert(!decodes_current(nc_slice(bytes, sizeof bytes)));
    bytes[bit / 8] = (uint8_t)(bytes[bit / 8] ^ 1u << bit % 8);
  }
}

Test(current, refuses_what_a_good_checksum_does_not_excuse) {
  nacre_error err;
  static const struct {
    size_t at;
    nc_error_id id;
  } cases[] = {{0, NC_E_CURRENT_MAGIC},
               {8, NC_E_CURRENT_VERSION},
               {10, NC_E_CURRENT_RESERVED},
               {116, NC_E_CURRENT_RESERVED}};
  for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
    uint8_t bytes[NC_CURRENT_BYTES];
    nc_current current;
    make_current(bytes);
    bytes[cases[i].at] = 0x7F;
    nc_put_u32(bytes + 124, nc_crc32c(0, bytes, 124));
    assert_refused(nc_current_decode(nc_slice(bytes, sizeof bytes), &current, &err), cases[i].id);
  }
}
