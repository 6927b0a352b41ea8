/* SPDX-License-Identifier: Apache-2.0
 *
 * Frame headers, checks and addresses.
 */
#include "frame.h"

#include <stdlib.h>

#include "crc32c.h"
#include "header.h"
#include "support.h"

static const uint8_t salt[NC_FRAME_SALT_BYTES] = {0xA0, 0xA1, 0xA2, 0xA3};

/* A finished frame whose ciphertext and tag are all 0xEE. The caller frees. */
static uint8_t *make_frame(size_t plaintext_size, nc_frame_type type) {
  uint8_t *frame = malloc(nc_frame_size(plaintext_size));
  memset(frame, 0xEE, nc_frame_size(plaintext_size));
  nc_frame_begin(frame, plaintext_size, type, salt);
  nc_frame_finish(frame);
  return frame;
}

static nacre_status check(const uint8_t *frame, size_t size, nacre_error *err) {
  return nc_frame_check(nc_slice(frame, size), err);
}

/* Makes the header check of an edited header good again. */
static void recheck(uint8_t *frame) {
  uint32_t crc = nc_crc32c(0, frame, 6);
  nc_put_u16(frame + 6, (uint16_t)(crc >> 16 ^ (crc & 0xFFFF)));
}

Test(frame, sizes_are_multiples_of_sixteen) {
  cr_assert_eq(nc_frame_size(0), 32);
  cr_assert_eq(nc_frame_size(1), 48);
  cr_assert_eq(nc_frame_size(16), 48);
  cr_assert_eq(nc_frame_size(17), 64);
  cr_assert_eq(nc_frame_size(NC_FRAME_PLAINTEXT_BYTES_MAX), NC_FRAME_BYTES_MAX);
}

Test(frame, a_header_comes_back_for_every_size) {
  for (size_t size = 0; size < 100; size++) {
    uint8_t *frame = make_frame(size, NC_FRAME_DATA);
    nc_frame_header header;
    assert_ok(nc_frame_decode(frame, &header, NULL));
    cr_assert_eq(header.ciphertext_size, size);
    cr_assert_eq(header.type, NC_FRAME_DATA);
    cr_assert_arr_eq(header.salt, salt, sizeof salt);
    cr_assert(nc_frame_plausible(frame));
    assert_ok(check(frame, nc_frame_size(size), NULL));
    free(frame);
  }
}

Test(frame, its_bytes_are_those_of_the_specification) {
  uint8_t *frame = make_frame(3, NC_FRAME_LOG_GROUP);
  static const uint8_t start[8] = {3, 0, 0, 0, 2, 0};
  cr_assert_arr_eq(frame, start, 6);
  cr_assert_arr_eq(frame + 12, salt, 4);
  for (size_t i = 16; i < 35; i++) cr_assert_eq(frame[i], 0xEE);
  for (size_t i = 35; i < 48; i++) cr_assert_eq(frame[i], 0);
  free(frame);
}

static bool checks(nacre_slice bytes) { return nc_frame_check(bytes, NULL) == NACRE_OK; }

Test(frame, refuses_every_flipped_bit_and_every_cut) {
  uint8_t *frame = make_frame(21, NC_FRAME_EDIT);
  nacre_slice whole = nc_slice(frame, nc_frame_size(21));
  flips_every_bit(whole, checks, true);
  for (size_t size = 0; size < whole.size; size++) {
    uint8_t *cut = exact_copy(nc_slice(frame, size));
    cr_assert(!checks(nc_slice(cut, size)));
    free(cut);
  }
  free(frame);
}

Test(frame, zeros_are_no_frame) {
  static const uint8_t zeros[NC_FRAME_HEADER_BYTES];
  cr_assert(!nc_frame_plausible(zeros));
}

Test(frame, few_random_headers_are_plausible) {
  random_source random = random_begin();
  int plausible = 0;
  for (int i = 0; i < 100000; i++) {
    uint8_t bytes[NC_FRAME_HEADER_BYTES];
    random_fill(&random, bytes, sizeof bytes);
    bytes[3] = 0;
    plausible += nc_frame_plausible(bytes);
  }
  cr_assert_lt(plausible, 20, "%d of 100,000 (seed %llu)", plausible, (unsigned long long)test_seed());
}

Test(frame, names_each_refusal) {
  nacre_error err;
  uint8_t *frame = make_frame(5, NC_FRAME_DATA);
  size_t size = nc_frame_size(5);
  frame[5] = 1;
  recheck(frame);
  assert_refused(check(frame, size, &err), NC_E_FRAME_FLAGS);
  frame[4] = NC_FRAME_VALUE_PART; /* the one type that is continued in the next frame */
  recheck(frame);
  assert_refused(check(frame, size, &err), NC_E_FRAME_CRC);
  frame[5] = 0;
  recheck(frame);
  assert_refused(check(frame, size, &err), NC_E_FRAME_FLAGS);
  frame[4] = 15;
  recheck(frame);
  assert_refused(check(frame, size, &err), NC_E_FRAME_TYPE_UNKNOWN);
  frame[4] = NC_FRAME_DATA;
  recheck(frame);
  frame[20] ^= 1;
  assert_refused(check(frame, size, &err), NC_E_FRAME_CRC);
  frame[size - 1] = 1;
  nc_frame_finish(frame);
  assert_refused(check(frame, size, &err), NC_E_FRAME_PADDING);
  cr_assert_eq(err.offset, size - 1);
  assert_refused(check(frame, size - 1, &err), NC_E_FRAME_SHORT);
  assert_refused(check(frame, 8, &err), NC_E_FRAME_SHORT);
  nc_put_u32(frame, NC_FRAME_PLAINTEXT_BYTES_MAX + 1);
  assert_refused(check(frame, size, &err), NC_E_FRAME_CHECK);
  recheck(frame);
  cr_assert(!nc_frame_plausible(frame));
  assert_refused(check(frame, size, &err), NC_E_FRAME_SIZE);
  free(frame);
}

Test(frame, another_type_is_refused) {
  nacre_error err;
  nc_frame_header header = {.type = NC_FRAME_INDEX};
  assert_ok(nc_frame_expect(&header, NC_FRAME_INDEX, &err));
  assert_refused(nc_frame_expect(&header, NC_FRAME_DATA, &err), NC_E_FRAME_TYPE);
  cr_assert_not_null(strstr(err.text, "index where data belongs"));
}

Test(frame, the_address_is_the_nonce) {
  uint8_t nonce[NC_NONCE_BYTES];
  nc_frame_nonce(nonce, salt, 0x0102030405060708);
  cr_assert_arr_eq(nonce, "\xA0\xA1\xA2\xA3\x01\x02\x03\x04\x05\x06\x07\x08", sizeof nonce);
}

Test(frame, each_type_has_a_name_and_belongs_to_one_kind_of_file) {
  int known = 0;
  for (unsigned type = 0; type < 256; type++) {
    int belongs = 0;
    for (uint8_t file = 0; file < 8; file++) belongs += nc_frame_type_belongs((uint8_t)type, file);
    bool named = strcmp(nc_frame_type_name((uint8_t)type), "unknown") != 0;
    cr_assert_eq(belongs, named ? 1 : 0, "type %u", type);
    known += named;
  }
  cr_assert_eq(known, 13);
  cr_assert(nc_frame_type_belongs(NC_FRAME_LOG_MARK, NC_FILE_LOG));
  cr_assert(nc_frame_type_belongs(NC_FRAME_FOOTER, NC_FILE_SEGMENT));
  cr_assert(nc_frame_type_belongs(NC_FRAME_EDIT, NC_FILE_MANIFEST));
}
