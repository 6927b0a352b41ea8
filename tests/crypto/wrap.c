/* SPDX-License-Identifier: Apache-2.0
 *
 * DEKs in headers, and frames under them: nothing about either can be changed or moved.
 */
#include "wrap.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#include "aead.h"
#include "crc32c.h"
#include "derive.h"
#include "random.h"
#include "support.h"

static nacre_error err;
static fixture f;
static nc_header_slot slot;
static nc_seal_ctx *seal;

static void setup(void) {
  fixture_open(&f);
  fixture_keys(&f);
  slot =
      (nc_header_slot){.identity = {.type = NC_FILE_LOG, .origin_table = f.table, .number = 5, .epoch = 2}};
  must(nc_random_uuid(&slot.identity.file, &err));
  must(nc_dek_generate(f.env, nc_table_keys_active(f.keys), &slot, &seal, &err));
}
static void teardown(void) {
  nc_seal_ctx_destroy(seal);
  fixture_close(&f);
}
TestSuite(wrap, .init = setup, .fini = teardown);

static nc_open_ctx *unwrap(void) {
  nc_open_ctx *open;
  must(nc_dek_unwrap(f.env, nc_table_keys_active(f.keys), &slot, &open, &err));
  return open;
}

Test(wrap, a_frame_comes_back) {
  static const size_t sizes[] = {0, 1, 15, 16, 17, 4096, 100000};
  const uint8_t salt[4] = {1, 2, 3, 4};
  uint64_t offset = NC_FRAMES_OFFSET;
  nc_open_ctx *open = unwrap();
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    size_t size = nc_frame_size(sizes[i]);
    uint8_t *text = malloc(sizes[i] + 1), *frame = malloc(size);
    nacre_slice plaintext;
    memset(text, 'x', sizes[i]);
    must(nc_seal_frame(seal, NC_FRAME_LOG_GROUP, salt, offset, nc_slice(text, sizes[i]), frame, &err));
    must(nc_frame_check(nc_slice(frame, size), &err));
    must(nc_open_frame(open, frame, size, NC_FRAME_LOG_GROUP, offset, &plaintext, &err));
    cr_assert_eq(plaintext.size, sizes[i]);
    cr_assert_eq(plaintext.data, frame + NC_FRAME_HEADER_BYTES);
    cr_assert_eq(memcmp(plaintext.data, text, sizes[i]), 0);
    offset += size;
    free(text);
    free(frame);
  }
  nc_open_ctx_destroy(open);
}

Test(wrap, every_slot_names_its_key_and_commits_to_its_dek) {
  const nc_kek_pin *pin = nc_kek_describe(nc_table_keys_active(f.keys));
  cr_assert(nc_uuid_equal(&slot.kek_id, &pin->id));
  cr_assert_eq(slot.kek_version, 1);
  cr_assert_eq(slot.sequence, 1);
  nc_header_slot other = {.identity = slot.identity};
  nc_seal_ctx *ctx;
  must(nc_dek_generate(f.env, nc_table_keys_active(f.keys), &other, &ctx, &err));
  cr_assert_neq(memcmp(other.dek_commitment, slot.dek_commitment, NC_COMMITMENT_BYTES), 0,
                "a DEK was used twice");
  cr_assert_neq(memcmp(other.wrap_salt, slot.wrap_salt, NC_WRAP_SALT_BYTES), 0);
  nc_seal_ctx_destroy(ctx);
}

/* The checksum is mended after each flip, as an attacker would. */
Test(wrap, refuses_every_flipped_bit_of_a_slot) {
  uint8_t good[NC_SLOT_BYTES], bytes[NC_SLOT_BYTES];
  int authenticated = 0;
  nc_header_encode(&slot, good);
  for (size_t bit = 0; bit < 208 * 8; bit++) {
    nc_header_slot flipped;
    nc_open_ctx *open;
    memcpy(bytes, good, sizeof bytes);
    bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    nc_put_u32(bytes + NC_SLOT_BYTES - 4, nc_crc32c(0, bytes, NC_SLOT_BYTES - 4));
    if (nc_header_decode(nc_slice(bytes, sizeof bytes), 0, &flipped, &err) != NACRE_OK) continue;
    authenticated++;
    must_fail(nc_dek_unwrap(f.env, nc_table_keys_active(f.keys), &flipped, &open, &err), NC_E_WRAP_TAG);
  }
  cr_assert_gt(authenticated, 1000);
}

Test(wrap, refuses_a_dek_that_the_header_does_not_commit_to) { /* [D1] */
  uint8_t derived[44], dek[NC_DEK_BYTES] = {9}, aad[NC_WRAP_AAD_BYTES];
  const nc_kek *kek = nc_table_keys_active(f.keys);
  nc_aead *aead;
  nc_open_ctx *open;
  must(nc_derive(f.env, nc_kek_bytes(kek), NC_LABEL_WRAP, nc_slice(slot.wrap_salt, NC_WRAP_SALT_BYTES),
                 derived, 44, &err));
  must(nc_aead_create(f.env, derived, true, &aead, &err));
  nc_header_wrap_aad(&slot, aad);
  must(nc_aead_seal(aead, derived + 32, nc_slice(aad, sizeof aad), nc_slice(dek, sizeof dek),
                    slot.wrapped_dek, slot.wrap_tag, &err));
  nc_aead_destroy(aead);
  must_fail(nc_dek_unwrap(f.env, kek, &slot, &open, &err), NC_E_DEK_COMMITMENT);
}

Test(wrap, a_frame_opens_at_its_own_address_and_type_only) {
  const uint8_t salt[4] = {0};
  uint8_t frame[64], copy[64];
  nacre_slice plaintext;
  nc_open_ctx *open = unwrap();
  must(nc_seal_frame(seal, NC_FRAME_LOG_GROUP, salt, 8192, nc_slice("seventeen bytes!!", 17), frame, &err));
  memcpy(copy, frame, sizeof frame);
  must_fail(nc_open_frame(open, copy, 64, NC_FRAME_LOG_GROUP, 8208, &plaintext, &err), NC_E_FRAME_TAG);
  for (size_t i = 0; i < 17; i++)
    cr_assert_eq(copy[NC_FRAME_HEADER_BYTES + i], 0, "unauthentic plaintext must be wiped");
  memcpy(copy, frame, sizeof frame);
  must_fail(nc_open_frame(open, copy, 64, NC_FRAME_LOG_MARK, 8192, &plaintext, &err), NC_E_FRAME_TYPE);
  /* [F10] */
  must_fail(nc_open_frame(open, copy, 48, NC_FRAME_LOG_GROUP, 8192, &plaintext, &err), NC_E_FRAME_LENGTH);
  must_fail(nc_open_frame(open, copy, 8, NC_FRAME_LOG_GROUP, 8192, &plaintext, &err), NC_E_FRAME_SHORT);
  must(nc_open_frame(open, copy, 64, NC_FRAME_LOG_GROUP, 8192, &plaintext, &err));
  nc_open_ctx_destroy(open);
}

/* Also when its type is rewritten to the expected one, with a good header check. */
Test(wrap, a_relabelled_frame_does_not_authenticate) {
  const uint8_t salt[4] = {0};
  uint8_t frame[64], header[16];
  nacre_slice plaintext;
  nc_open_ctx *open = unwrap();
  must(nc_seal_frame(seal, NC_FRAME_LOG_GROUP, salt, 8192, nc_slice("seventeen bytes!!", 17), frame, &err));
  uint8_t other[64];
  nc_frame_begin(other, 17, NC_FRAME_LOG_MARK, salt);
  memcpy(header, other, sizeof header);
  memcpy(frame, header, NC_FRAME_AAD_BYTES);
  must_fail(nc_open_frame(open, frame, 64, NC_FRAME_LOG_MARK, 8192, &plaintext, &err), NC_E_FRAME_TAG);
  nc_open_ctx_destroy(open);
}

Test(wrap, refuses_every_flipped_bit_of_a_frame_but_for_checksum_and_padding) {
  const uint8_t salt[4] = {7, 7, 7, 7};
  uint8_t frame[48], copy[48];
  nacre_slice plaintext;
  nc_open_ctx *open = unwrap();
  must(nc_seal_frame(seal, NC_FRAME_EDIT, salt, 8192, nc_slice("ten bytes.", 10), frame, &err));
  for (size_t bit = 0; bit < sizeof frame * 8; bit++) {
    size_t at = bit / 8;
    memcpy(copy, frame, sizeof frame);
    copy[at] ^= (uint8_t)(1u << (bit % 8));
    nacre_status status = nc_open_frame(open, copy, sizeof copy, NC_FRAME_EDIT, 8192, &plaintext, &err);
    bool unsealed = (at >= 8 && at < 12) || at >= 16 + 10 + 16; /* what only the checksum covers */
    cr_assert_eq(status == NACRE_OK, unsealed, "bit %zu: %s", bit, err.text);
    memcpy(copy, frame, sizeof frame);
    copy[at] ^= (uint8_t)(1u << (bit % 8));
    cr_assert_neq(nc_frame_check(nc_slice(copy, sizeof copy), &err), NACRE_OK, "bit %zu", bit);
  }
  nc_open_ctx_destroy(open);
}

Test(wrap, never_seals_an_offset_twice) {
  const uint8_t salt[4] = {0};
  uint8_t frame[64];
  must(nc_seal_frame(seal, NC_FRAME_LOG_GROUP, salt, 8192, nc_slice("a", 1), frame, &err));
  must_fail(nc_seal_frame(seal, NC_FRAME_LOG_GROUP, salt, 8192, nc_slice("b", 1), frame, &err),
            NC_E_SEAL_OFFSET);
  must_fail(nc_seal_frame(seal, NC_FRAME_LOG_GROUP, salt, 8224, nc_slice("b", 1), frame, &err),
            NC_E_SEAL_OFFSET);
  must(nc_seal_frame(seal, NC_FRAME_LOG_GROUP, salt, 8240, nc_slice("b", 1), frame, &err));
  nacre_slice huge = {frame, NC_FRAME_PLAINTEXT_BYTES_MAX + 1};
  must_fail(nc_seal_frame(seal, NC_FRAME_LOG_GROUP, salt, 16384, huge, frame, &err), NC_E_FRAME_TOO_LARGE);
}
