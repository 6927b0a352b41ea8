/* SPDX-License-Identifier: Apache-2.0
 *
 * Slices, integers, strings and UUIDs as bytes.
 */
#include "support.h"

Test(slice, orders_as_memcmp_a_prefix_first) {
  cr_assert_lt(nc_slice_compare(text("a"), text("ab")), 0);
  cr_assert_gt(nc_slice_compare(text("b"), text("ab")), 0);
  cr_assert_gt(nc_slice_compare(text("\xFF"), text("\x01")), 0);
  cr_assert_eq(nc_slice_compare(text(""), text("")), 0);
  cr_assert(nc_slice_equal(text("ab"), text("ab")) && !nc_slice_equal(text("ab"), text("a")));
}

Test(slice, shared_prefix_is_found_at_every_length) {
  char a[40], b[40];
  memset(a, 'x', sizeof a);
  for (size_t same = 0; same < sizeof a; same++) {
    memcpy(b, a, sizeof b);
    b[same] = 'y';
    cr_assert_eq(nc_slice_shared_prefix(nc_slice(a, sizeof a), nc_slice(b, sizeof b)), same);
    cr_assert_eq(nc_slice_shared_prefix(nc_slice(a, same), nc_slice(a, sizeof a)), same);
  }
}

static const uint64_t edges[] = {
    0, 1, 0x7F, 0x80, 0x3FFF, 0x4000, UINT32_MAX, (uint64_t)1 << 35, (uint64_t)1 << 63, UINT64_MAX};

Test(coding, varints_come_back) {
  uint8_t bytes[NC_VARINT_BYTES_MAX];
  for (size_t i = 0; i < ARRAY_LENGTH(edges); i++) {
    uint64_t value = ~edges[i];
    size_t size = nc_put_varint(bytes, edges[i]);
    cr_assert_eq(size, nc_varint_size(edges[i]));
    cr_assert_eq(nc_get_varint(bytes, bytes + size, &value), size);
    cr_assert_eq(value, edges[i]);
    for (size_t cut = 0; cut < size; cut++) cr_assert_eq(nc_get_varint(bytes, bytes + cut, &value), 0);
  }
  cr_assert_eq(nc_varint_size(UINT64_MAX), 10);
}

Test(coding, one_value_has_one_varint) { /* [P1] */
  uint64_t value;
  static const uint8_t padded[] = {0x80, 0x00}, padded_more[] = {0xFF, 0x80, 0x00};
  static const uint8_t too_large[] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02};
  static const uint8_t endless[] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01};
  cr_assert_eq(nc_get_varint(padded, padded + sizeof padded, &value), 0);
  cr_assert_eq(nc_get_varint(padded_more, padded_more + sizeof padded_more, &value), 0);
  cr_assert_eq(nc_get_varint(too_large, too_large + sizeof too_large, &value), 0);
  cr_assert_eq(nc_get_varint(endless, endless + sizeof endless, &value), 0);
}

Test(coding, what_is_written_is_read) {
  uint8_t bytes[128];
  nc_writer w = nc_writer_over(bytes, sizeof bytes);
  nc_write_u8(&w, 0xAB);
  nc_write_u16(&w, 0x1234);
  nc_write_u32(&w, 0x12345678);
  nc_write_u64(&w, 0x123456789ABCDEF0);
  nc_write_varint(&w, 300);
  nc_write_string(&w, text("nacre"));
  nc_write_string(&w, nc_slice(NULL, 0));
  nc_write_zeros(&w, 3);
  nc_write_bytes(&w, "xyz", 3);
  cr_assert(!w.failed);
  cr_assert_arr_eq(bytes + 1, "\x34\x12\x78\x56\x34\x12", 6);

  nc_reader r = nc_reader_over(nc_slice(bytes, w.size));
  cr_assert_eq(nc_read_u8(&r), 0xAB);
  cr_assert_eq(nc_read_u16(&r), 0x1234);
  cr_assert_eq(nc_read_u32(&r), 0x12345678);
  cr_assert_eq(nc_read_u64(&r), 0x123456789ABCDEF0);
  cr_assert_eq(nc_read_varint(&r), 300);
  cr_assert(nc_slice_equal(nc_read_string(&r), text("nacre")));
  nacre_slice empty = nc_read_string(&r);
  cr_assert(empty.size == 0 && empty.data != NULL);
  cr_assert(nc_read_zeros(&r, 3));
  char last[3];
  nc_read_copy(&r, last, 3);
  cr_assert_arr_eq(last, "xyz", 3);
  cr_assert(nc_reader_done(&r));
}

Test(coding, a_writer_past_its_end_stays_failed_and_inside) {
  uint8_t bytes[8] = {0};
  nc_writer w = nc_writer_over(bytes, 5);
  nc_write_u32(&w, UINT32_MAX);
  nc_write_u16(&w, UINT16_MAX);
  nc_write_u8(&w, 1);
  cr_assert(w.failed && w.size == 4);
  cr_assert_arr_eq(bytes + 4, "\0\0\0\0", 4);
}

Test(coding, a_reader_past_its_end_yields_nothing_and_stays_failed) { /* [P2] */
  static const uint8_t bytes[] = {1, 2, 3, 200};
  nc_reader r = nc_reader_over(nc_slice(bytes, sizeof bytes));
  cr_assert_eq(nc_read_u64(&r), 0);
  cr_assert(r.failed);
  cr_assert_eq(nc_read_u8(&r), 0);
  cr_assert_eq(nc_reader_left(&r), 0);
  uint8_t copy[2] = {9, 9};
  nc_read_copy(&r, copy, 2);
  cr_assert_arr_eq(copy, "\0\0", 2);
  cr_assert(!nc_read_zeros(&r, 1));

  r = nc_reader_over(nc_slice(bytes + 3, 1)); /* a string longer than what is left */
  cr_assert_eq(nc_read_string(&r).size, 0);
  cr_assert(r.failed);
  r = nc_reader_over(nc_slice(NULL, 0));
  cr_assert(nc_reader_done(&r));
  cr_assert_eq(nc_read_varint(&r), 0);
  cr_assert(r.failed);
}

Test(coding, uuids_come_back) {
  nc_uuid uuid, parsed;
  char shown[NC_UUID_TEXT_BYTES];
  for (uint8_t i = 0; i < NC_UUID_BYTES; i++) uuid.bytes[i] = (uint8_t)(i * 17);
  nc_uuid_format(&uuid, shown);
  cr_assert_str_eq(shown, "00112233-4455-6677-8899-aabbccddeeff");
  cr_assert(nc_uuid_parse(shown, &parsed) && nc_uuid_equal(&uuid, &parsed));
  cr_assert(nc_uuid_parse("00112233-4455-6677-8899-AABBCCDDEEFF", &parsed) && nc_uuid_equal(&uuid, &parsed));
}

Test(coding, nothing_else_is_a_uuid) {
  static const char good[] = "00112233-4455-6677-8899-aabbccddeeff";
  nc_uuid parsed;
  for (size_t cut = 0; cut < sizeof good - 1; cut++) {
    char bad[sizeof good + 1];
    memcpy(bad, good, sizeof good);
    bad[cut] = '\0';
    cr_assert(!nc_uuid_parse(bad, &parsed));
    memcpy(bad, good, sizeof good);
    bad[cut] = 'g';
    cr_assert(!nc_uuid_parse(bad, &parsed));
  }
  cr_assert(!nc_uuid_parse("00112233-4455-6677-8899-aabbccddeeff0", &parsed));
  cr_assert(!nc_uuid_parse("001122334-455-6677-8899-aabbccddeeff", &parsed));
}
