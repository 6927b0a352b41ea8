/* SPDX-License-Identifier: Apache-2.0
 *
 * Large values in files of their own: references, parts, the end frame.
 */
#include <stdlib.h>

#include "batch.h"
#include "compress.h"
#include "entry.h"
#include "support.h"
#include "value_file.h"

static nc_value_reference sample(void) {
  nc_value_reference r = {.expires_ms = 1700000000000,
                          .name = {.number = 300, .size = 12480, .value_size = 4100}};
  r.name.file = uuid_of(0x21);
  r.name.origin_table = uuid_of(0x22);
  memset(r.name.last_tag, 0x23, sizeof r.name.last_tag);
  memset(r.name.dek_commitment, 0x24, sizeof r.name.dek_commitment);
  return r;
}

static bool decodes_reference(nacre_slice bytes) {
  nc_value_reference r;
  return nc_value_reference_decode(bytes, &r, NULL) == NACRE_OK;
}

Test(value_file, references_come_back) {
  uint8_t bytes[NC_VALUE_REFERENCE_BYTES_MAX], again[NC_VALUE_REFERENCE_BYTES_MAX];
  nc_value_reference r = sample(), decoded;
  size_t size = nc_value_reference_encode(&r, bytes);
  assert_ok(nc_value_reference_decode(nc_slice(bytes, size), &decoded, NULL));
  cr_assert(decoded.expires_ms == r.expires_ms && decoded.name.number == 300 && decoded.name.size == 12480 &&
            decoded.name.value_size == 4100 &&
            nc_uuid_equal(&decoded.name.origin_table, &r.name.origin_table));
  cr_assert_eq(nc_value_reference_encode(&decoded, again), size);
  cr_assert_arr_eq(again, bytes, size);
  refuses_every_other_length(nc_slice(bytes, size), decodes_reference);
  flips_every_bit(nc_slice(bytes, size), decodes_reference, false);
  r.name.number = r.name.size = r.name.value_size = UINT64_MAX; /* the longest */
  cr_assert_eq(nc_value_reference_encode(&r, bytes), NC_VALUE_REFERENCE_BYTES_MAX);
}

static nacre_status reference_of(nc_value_reference r, nacre_error *err) {
  uint8_t bytes[NC_VALUE_REFERENCE_BYTES_MAX];
  nc_value_reference decoded;
  return nc_value_reference_decode(nc_slice(bytes, nc_value_reference_encode(&r, bytes)), &decoded, err);
}

Test(value_file, refuses_impossible_references) { /* [U1] */
  nacre_error err;
  nc_value_reference r = sample();
  r.name.number = 0;
  assert_refused(reference_of(r, &err), NC_E_VALUE_REFERENCE);
  static const uint64_t sizes[] = {0, 8192, 8320, 12481, NC_FILE_BYTES_MAX + 16};
  for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
    r = sample();
    r.name.size = sizes[i];
    assert_refused(reference_of(r, &err), NC_E_VALUE_REFERENCE);
  }
  r = sample();
  r.name.value_size = 0;
  assert_refused(reference_of(r, &err), NC_E_VALUE_REFERENCE);
  r.name.value_size = NACRE_VALUE_BYTES_MAX + 1;
  assert_refused(reference_of(r, &err), NC_E_VALUE_REFERENCE);
  r.name.value_size = NACRE_VALUE_BYTES_MAX;
  assert_ok(reference_of(r, &err));
}

Test(value_file, a_batch_carries_references_and_nothing_else_in_their_place) {
  nacre_error err;
  uint8_t bytes[256], reference[NC_VALUE_REFERENCE_BYTES_MAX];
  nc_value_reference r = sample();
  nacre_slice value = nc_slice(reference, nc_value_reference_encode(&r, reference));
  size_t size;
  assert_ok(nc_operation_size(NC_KIND_LARGE, text("key"), value, &size, &err));
  cr_assert_eq(nc_operation_encode(NC_KIND_LARGE, text("key"), value, bytes), size);
  assert_ok(nc_batch_check(nc_slice(bytes, size), 1, &err));
  size = nc_operation_encode(NC_KIND_LARGE, text("key"), text("no reference"), bytes);
  assert_refused(nc_batch_check(nc_slice(bytes, size), 1, &err), NC_E_VALUE_REFERENCE);
}

/* --- the end ----------------------------------------------------------------------------------------------- */

static nc_value_end sample_end(void) {
  nc_value_end end = {
      .file_size = 12480, .value_size = 4100, .frame_count = 3, .part_bytes = 4096, .manifest_sequence = 9};
  end.manifest = uuid_of(0x31);
  return end;
}

static nacre_status end_of(nc_value_end end, nacre_error *err) {
  uint8_t bytes[NC_VALUE_END_BYTES];
  nc_value_end decoded;
  nc_value_end_encode(&end, bytes);
  return nc_value_end_decode(nc_slice(bytes, sizeof bytes), end.file_size, &decoded, err);
}

static bool decodes_end(nacre_slice bytes) {
  nc_value_end end;
  return nc_value_end_decode(bytes, 12480, &end, NULL) == NACRE_OK;
}

Test(value_file, the_end_comes_back) {
  uint8_t bytes[NC_VALUE_END_BYTES], again[NC_VALUE_END_BYTES];
  nc_value_end end = sample_end(), decoded;
  nc_value_end_encode(&end, bytes);
  assert_ok(nc_value_end_decode(nc_slice(bytes, sizeof bytes), 12480, &decoded, NULL));
  nc_value_end_encode(&decoded, again);
  cr_assert_arr_eq(again, bytes, sizeof bytes);
  refuses_every_other_length(nc_slice(bytes, sizeof bytes), decodes_end);
  flips_every_bit(nc_slice(bytes, sizeof bytes), decodes_end, false);
  cr_assert_eq(nc_value_parts(&decoded), 2);
  cr_assert_eq(nc_value_part_size(&decoded, 0), 4096);
  cr_assert_eq(nc_value_part_size(&decoded, 1), 4);
}

Test(value_file, refuses_impossible_ends) { /* [U3] */
  nacre_error err;
  uint8_t bytes[NC_VALUE_END_BYTES];
  nc_value_end end = sample_end(), decoded;
  nc_value_end_encode(&end, bytes);
  assert_refused(nc_value_end_decode(nc_slice(bytes, sizeof bytes), 12496, &decoded, &err),
                 NC_E_VALUE_END_LENGTH);                   /* [U2] */
  for (size_t at = 28; at < 64; at += at == 31 ? 25 : 1) { /* [P4] */
    nc_value_end_encode(&end, bytes);
    bytes[at] = 1;
    assert_refused(nc_value_end_decode(nc_slice(bytes, sizeof bytes), 12480, &decoded, &err),
                   NC_E_VALUE_END_SHAPE);
  }
  end.frame_count = 4;
  assert_refused(end_of(end, &err), NC_E_VALUE_END_SHAPE);
  end = sample_end();
  end.value_size = 0;
  assert_refused(end_of(end, &err), NC_E_VALUE_END_SHAPE);
  end.value_size = NACRE_VALUE_BYTES_MAX + 1;
  assert_refused(end_of(end, &err), NC_E_VALUE_END_SHAPE);
  static const uint32_t parts[] = {0, 4095, (uint32_t)NC_VALUE_PART_BYTES_MAX + 1};
  for (size_t i = 0; i < ARRAY_LENGTH(parts); i++) {
    end = sample_end();
    end.part_bytes = parts[i];
    assert_refused(end_of(end, &err), NC_E_VALUE_END_SHAPE);
  }
}

/* --- parts ------------------------------------------------------------------------------------------------- */

static nacre_status part_of(const char *bytes, size_t size, uint64_t part, nacre_error *err) {
  nc_value_end end = sample_end();
  nacre_slice packed;
  return nc_value_part_decode(nc_slice(bytes, size), &end, part, &packed, err);
}
#define PART(literal, number) part_of(literal, sizeof(literal) - 1, number, &err)

Test(value_file, a_part_says_which_it_is_and_holds_what_belongs_to_it) { /* [U4] */
  nacre_error err;
  assert_ok(PART("\1\0\0\0\0\4\0\0\0pear", 1));
  assert_refused(PART("\1\0\0\0\0\4\0\0\0pear", 0), NC_E_VALUE_PART);
  assert_refused(PART("\2\0\0\0\0\4\0\0\0pear", 2), NC_E_VALUE_PART); /* there are two */
  assert_refused(PART("\1\0\0\0\0\3\0\0\0pea", 1), NC_E_VALUE_PART);  /* too little for the last */
  assert_refused(PART("\0\0\0\0\0\4\0\0\0pear", 0), NC_E_VALUE_PART); /* too little for another */
  assert_refused(PART("\1\0\0", 1), NC_E_VALUE_PART);
  assert_refused(PART("\1\0\0\0\0\4\0\0", 1), NC_E_PACK_SHORT);
}
