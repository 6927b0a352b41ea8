/* SPDX-License-Identifier: Apache-2.0
 *
 * The worked examples of the specification, as far as they need no cipher: slots and frames are built from the values that
 * format/README.md gives, and come out as the bytes that it gives.
 */
#include <stdio.h>

#include "batch.h"
#include "crc32c.h"
#include "frame.h"
#include "header.h"
#include "log_record.h"
#include "support.h"

static void from_hex(const char *hex, uint8_t *to, size_t size) {
  for (size_t i = 0; i < size; i++) {
    unsigned byte;
    while (*hex == ' ') hex++;
    cr_assert_eq(sscanf(hex, "%2x", &byte), 1);
    to[i] = (uint8_t)byte;
    hex += 2;
  }
}

static void ascending(uint8_t first, uint8_t *to, size_t size) {
  for (size_t i = 0; i < size; i++) to[i] = (uint8_t)(first + i);
}

static nc_header_slot example_slot(void) {
  nc_header_slot slot = {
      .identity = {.type = NC_FILE_LOG, .number = 7, .epoch = 3}, .sequence = 1, .kek_version = 1};
  ascending(0x40, slot.identity.origin_table.bytes, NC_UUID_BYTES);
  ascending(0x50, slot.identity.file.bytes, NC_UUID_BYTES);
  ascending(0x60, slot.kek_id.bytes, NC_UUID_BYTES);
  ascending(0x70, slot.wrap_salt, NC_WRAP_SALT_BYTES);
  from_hex("b301b91f94d628f0e99fe510439ce0e6dbe2c1eb1a7a9a0dcdf9a1176264f6a6", slot.dek_commitment,
           NC_COMMITMENT_BYTES);
  from_hex("dc801ae4759132e1fe77fd01504ca8d794504f63adcb4c447b68ed619a4d67d8", slot.wrapped_dek,
           NC_DEK_BYTES);
  from_hex("0066dc0d5ce640f089e8fc3519312037", slot.wrap_tag, NC_TAG_BYTES);
  return slot;
}

Test(worked_examples, the_slots_have_the_checksums_given) {
  uint8_t bytes[NC_SLOT_BYTES], identity[NC_IDENTITY_BYTES];
  nc_header_slot slot = example_slot();
  from_hex(
      "894e414352450d0a 0100 0100 02 000000 404142434445464748494a4b4c4d4e4f 505152535455565758595a5b5c5d5e5f"
      "0700000000000000 0300000000000000",
      identity, sizeof identity);
  nc_header_encode(&slot, bytes);
  cr_assert_arr_eq(bytes, identity, sizeof identity);
  cr_assert_eq(nc_get_u32(bytes + 4092), 0xA166C577);
  slot.index = 1;
  nc_header_encode(&slot, bytes);
  cr_assert_eq(nc_get_u32(bytes + 4092), 0x1C03E45B);
}

Test(worked_examples, the_group_has_the_plaintext_given) {
  uint8_t expected[17], bytes[NC_LOG_RECORD_FIXED_BYTES_MAX];
  from_hex("01 01 00 00 01 05 05 70 65 61 72 6c 77 68 69 74 65", expected, sizeof expected);
  nc_log_record record = {.first_sequence = 1, .count = 1};
  size_t size = nc_log_record_encode(&record, NC_FRAME_LOG_GROUP, bytes);
  size += nc_operation_encode(NC_KIND_PUT, text("pearl"), text("white"), bytes + size);
  cr_assert_eq(size, sizeof expected);
  cr_assert_arr_eq(bytes, expected, sizeof expected);
}

Test(worked_examples, the_frame_has_the_bytes_given) {
  uint8_t expected[64], frame[64], salt[NC_FRAME_SALT_BYTES], nonce[NC_NONCE_BYTES],
      expected_nonce[NC_NONCE_BYTES];
  from_hex(
      "11000000 02 00 1048 6e86f5f3 a0a1a2a3 e5e9f36151c602b6de4f7ccb7098f590d9 "
      "823329e432dfeead47fec366ca880e77"
      "000000000000000000000000000000",
      expected, sizeof expected);
  ascending(0xA0, salt, sizeof salt);
  cr_assert_eq(nc_frame_size(17), sizeof frame);
  nc_frame_begin(frame, 17, NC_FRAME_LOG_GROUP, salt);
  memcpy(frame + 16, expected + 16, 17 + 16);
  nc_frame_finish(frame);
  cr_assert_arr_eq(frame, expected, sizeof frame);
  assert_ok(nc_frame_check(nc_slice(expected, sizeof expected), NULL));
  nc_frame_nonce(nonce, salt, NC_FRAMES_OFFSET);
  from_hex("a0a1a2a3 0000000000002000", expected_nonce, sizeof expected_nonce);
  cr_assert_arr_eq(nonce, expected_nonce, sizeof nonce);
}

Test(worked_examples, zeros_have_the_header_check_given) {
  static const uint8_t zeros[6];
  uint32_t crc = nc_crc32c(0, zeros, sizeof zeros);
  cr_assert_eq((crc >> 16 ^ (crc & 0xFFFF)), 0x2BA0);
}
