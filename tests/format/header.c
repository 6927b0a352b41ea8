/* SPDX-License-Identifier: Apache-2.0
 *
 * File header slots.
 */
#include "header.h"

#include <stdlib.h>

#include "crc32c.h"
#include "entry.h"
#include "support.h"

static nc_header_slot sample(uint8_t index, uint64_t sequence) {
  nc_header_slot slot = {.identity = {.type = NC_FILE_SEGMENT, .number = 7, .epoch = 0x0102030405060708},
                         .sequence = sequence,
                         .index = index,
                         .kek_version = 3};
  slot.identity.origin_table = uuid_of(0x11);
  slot.identity.file = uuid_of(0x22);
  slot.kek_id = uuid_of(0x33);
  memset(slot.dek_commitment, 0x44, sizeof slot.dek_commitment);
  memset(slot.wrap_salt, 0x55, sizeof slot.wrap_salt);
  memset(slot.wrapped_dek, 0x66, sizeof slot.wrapped_dek);
  memset(slot.wrap_tag, 0x77, sizeof slot.wrap_tag);
  return slot;
}

static void reseal(uint8_t slot[NC_SLOT_BYTES]) { nc_put_u32(slot + 4092, nc_crc32c(0, slot, 4092)); }

static nacre_status decode(const uint8_t *slot, uint8_t index, nacre_error *err) {
  nc_header_slot decoded;
  return nc_header_decode(nc_slice(slot, NC_SLOT_BYTES), index, &decoded, err);
}

Test(header, a_slot_comes_back) {
  uint8_t bytes[NC_SLOT_BYTES], again[NC_SLOT_BYTES];
  for (uint8_t index = 0; index < 2; index++) {
    nc_header_slot slot = sample(index, 9), decoded;
    nc_header_encode(&slot, bytes);
    assert_ok(nc_header_decode(nc_slice(bytes, sizeof bytes), index, &decoded, NULL));
    cr_assert_eq(decoded.identity.type, NC_FILE_SEGMENT);
    cr_assert_eq(decoded.identity.number, 7);
    cr_assert_eq(decoded.sequence, 9);
    cr_assert_eq(decoded.kek_version, 3);
    nc_header_encode(&decoded, again);
    cr_assert_arr_eq(bytes, again, sizeof bytes);
  }
}

Test(header, a_segment_may_tell_the_sequence_of_its_load_and_no_other_file) { /* [S7] */
  uint8_t bytes[NC_SLOT_BYTES], aad[NC_WRAP_AAD_BYTES], other[NC_WRAP_AAD_BYTES];
  nc_header_slot slot = sample(1, 9), decoded;
  nc_header_wrap_aad(&slot, other);
  slot.load_sequence = NC_SEQUENCE_MAX - 1;
  nc_header_wrap_aad(&slot, aad);
  cr_expect_neq(memcmp(aad, other, sizeof aad), 0, "the wrap authenticates it");
  nc_header_encode(&slot, bytes);
  cr_assert_arr_eq(bytes + 104, "\x01\xff\xff\xff\xff\xff\xff\xff", 8);
  assert_ok(nc_header_decode(nc_slice(bytes, sizeof bytes), 1, &decoded, NULL));
  cr_assert_eq(decoded.load_sequence, NC_SEQUENCE_MAX - 1);
  nacre_error err;
  for (int type = NC_FILE_LOG; type <= NC_FILE_VALUE; type++) {
    slot.identity.type = (nc_file_type)type;
    nc_header_encode(&slot, bytes);
    assert_refused(decode(bytes, 1, &err), NC_E_HEADER_RESERVED);
  }
}

Test(header, fields_stand_where_the_specification_says) {
  uint8_t bytes[NC_SLOT_BYTES];
  nc_header_slot slot = sample(1, 9);
  nc_header_encode(&slot, bytes);
  cr_assert_arr_eq(bytes, "\x89NACRE\r\n\x01\x00\x01\x00\x01\x00\x00\x00\x11", 17);
  cr_assert_eq(bytes[32], 0x22);
  cr_assert_eq(nc_get_u64(bytes + 48), 7);
  cr_assert_eq(nc_get_u64(bytes + 56), 0x0102030405060708);
  cr_assert_eq(bytes[64], 0x44);
  cr_assert_eq(nc_get_u64(bytes + 96), 9);
  cr_assert_eq(bytes[104], 1);
  cr_assert_eq(bytes[112], 0x33);
  cr_assert_eq(nc_get_u32(bytes + 128), 3);
  cr_assert_eq(bytes[136], 0x55);
  cr_assert_eq(bytes[160], 0x66);
  cr_assert_eq(bytes[192], 0x77);
  cr_assert_eq(bytes[207], 0x77);
  cr_assert_eq(bytes[208], 0);
}

Test(header, the_wrap_authenticates_all_before_the_salt_but_the_slot_index) {
  uint8_t bytes[NC_SLOT_BYTES], aad[2][NC_WRAP_AAD_BYTES], identity[NC_IDENTITY_BYTES];
  for (uint8_t index = 0; index < 2; index++) {
    nc_header_slot slot = sample(index, 9);
    nc_header_encode(&slot, bytes);
    nc_header_wrap_aad(&slot, aad[index]);
    nc_identity_encode(&slot.identity, identity);
    bytes[104] = 0;
    cr_assert_arr_eq(aad[index], bytes, NC_WRAP_AAD_BYTES);
    cr_assert_arr_eq(identity, bytes, NC_IDENTITY_BYTES);
  }
  cr_assert_arr_eq(aad[0], aad[1], NC_WRAP_AAD_BYTES);
}

static bool accepts_first(nacre_slice bytes) {
  nc_header_slot slot;
  return nc_header_decode(bytes, 0, &slot, NULL) == NACRE_OK;
}

Test(header, refuses_every_flipped_bit) {
  uint8_t bytes[NC_SLOT_BYTES];
  nc_header_slot slot = sample(0, 1);
  nc_header_encode(&slot, bytes);
  flips_every_bit(nc_slice(bytes, sizeof bytes), accepts_first, true);
}

Test(header, refuses_what_a_good_checksum_does_not_excuse) {
  uint8_t good[NC_SLOT_BYTES], bytes[NC_SLOT_BYTES];
  nacre_error err;
  nc_header_slot slot = sample(0, 1);
  nc_header_encode(&slot, good);
  static const struct {
    size_t at;
    nc_error_id id;
  } cases[] = {{0, NC_E_HEADER_MAGIC},      {8, NC_E_HEADER_VERSION},    {10, NC_E_HEADER_SUITE},
               {12, NC_E_HEADER_TYPE},      {13, NC_E_HEADER_RESERVED},  {15, NC_E_HEADER_RESERVED},
               {132, NC_E_HEADER_RESERVED}, {208, NC_E_HEADER_RESERVED}, {4091, NC_E_HEADER_RESERVED}};
  for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
    memcpy(bytes, good, sizeof bytes);
    bytes[cases[i].at] = 0x7F;
    reseal(bytes);
    assert_refused(decode(bytes, 0, &err), cases[i].id);
  }
  assert_refused(decode(good, 1, &err), NC_E_HEADER_SLOT_INDEX);
  good[60] ^= 1;
  assert_refused(decode(good, 0, &err), NC_E_HEADER_CRC);
}

/* Both slots, with sequences; 0 spoils the slot. */
static int picked(uint64_t first, uint64_t second, size_t size, nacre_error *err) {
  uint8_t bytes[NC_FRAMES_OFFSET];
  uint64_t sequences[2] = {first, second};
  for (uint8_t i = 0; i < 2; i++) {
    nc_header_slot slot = sample(i, sequences[i]);
    nc_header_encode(&slot, bytes + i * NC_SLOT_BYTES);
    if (sequences[i] == 0) bytes[i * NC_SLOT_BYTES + 100] ^= 1;
  }
  nc_header_slot slots[NC_SLOT_COUNT];
  bool good[NC_SLOT_COUNT];
  int pick = -1;
  uint8_t *exact = exact_copy(nc_slice(bytes, size));
  (void)!nc_header_pick(nc_slice(exact, size), slots, good, &pick, err);
  free(exact);
  cr_assert_eq(good[0], first != 0 && size >= NC_SLOT_BYTES);
  cr_assert_eq(good[1], second != 0 && size >= NC_FRAMES_OFFSET);
  return pick;
}

Test(header, picks_the_good_slot_with_the_higher_sequence) { /* [H3] */
  nacre_error err;
  cr_assert_eq(picked(5, 5, NC_FRAMES_OFFSET, &err), 0);
  cr_assert_eq(picked(5, 6, NC_FRAMES_OFFSET, &err), 1);
  cr_assert_eq(picked(6, 5, NC_FRAMES_OFFSET, &err), 0);
  cr_assert_eq(picked(0, 5, NC_FRAMES_OFFSET, &err), 1);
  cr_assert_eq(picked(5, 0, NC_FRAMES_OFFSET, &err), 0);
  cr_assert_eq(picked(5, 6, NC_FRAMES_OFFSET - 1, &err), 0);
  cr_assert_eq(picked(0, 0, NC_FRAMES_OFFSET, &err), -1);
  cr_assert_eq(err.id, (uint32_t)NC_E_HEADER_CRC);
  cr_assert_eq(picked(5, 6, 100, &err), -1);
  cr_assert_eq(err.id, (uint32_t)NC_E_HEADER_SHORT);
  cr_assert_eq(picked(5, 6, 0, &err), -1);
  cr_assert_eq(err.id, (uint32_t)NC_E_HEADER_SHORT);
}

Test(header, names_file_types) {
  cr_assert_str_eq(nc_file_type_name(NC_FILE_SEGMENT), "segment");
  cr_assert_str_eq(nc_file_type_name(NC_FILE_LOG), "log");
  cr_assert_str_eq(nc_file_type_name(NC_FILE_MANIFEST), "manifest");
  cr_assert_str_eq(nc_file_type_name(NC_FILE_VALUE), "value");
  cr_assert_str_eq(nc_file_type_name(0), "unknown");
}
