/* SPDX-License-Identifier: Apache-2.0
 *
 * Target: large values in files of their own (format/README.md, "Value files").
 *
 * Input: u8 which structure · u64 length of the file (an end), or number of the part (a part) · bytes. A part is
 * decoded for a value of 10,000 bytes in parts of 4,096.
 */
#include "value_file.h"

#include "compress.h"
#include "fuzz.h"

static void decode_reference(nacre_slice bytes) {
  nacre_error err;
  nc_error_clear(&err);
  nc_value_reference reference;
  fuzz_blank(&reference, sizeof reference);
  nacre_status status = nc_value_reference_decode(bytes, &reference, &err);
  if (!fuzz_accepted(status, &err, bytes.size, &reference, sizeof reference)) return;
  uint8_t again[NC_VALUE_REFERENCE_BYTES_MAX];
  fuzz_require_same(again, nc_value_reference_encode(&reference, again), bytes.data, bytes.size);
  FUZZ_REQUIRE(reference.name.number != 0 && reference.name.size % 16 == 0 &&
               reference.name.size >= 8192 + 144);
  FUZZ_REQUIRE(reference.name.value_size >= 1 && reference.name.value_size <= (uint64_t)1 << 30);
}

static void decode_end(nacre_slice bytes, uint64_t file_size) {
  nacre_error err;
  nc_error_clear(&err);
  nc_value_end end;
  fuzz_blank(&end, sizeof end);
  nacre_status status = nc_value_end_decode(bytes, file_size, &end, &err);
  if (!fuzz_accepted(status, &err, bytes.size, &end, sizeof end)) return;
  uint8_t again[NC_VALUE_END_BYTES];
  nc_value_end_encode(&end, again);
  fuzz_require_same(again, sizeof again, bytes.data, bytes.size);
  FUZZ_REQUIRE(end.file_size == file_size && end.frame_count == nc_value_parts(&end) + 1);
  uint64_t sum =
      (nc_value_parts(&end) - 1) * end.part_bytes + nc_value_part_size(&end, nc_value_parts(&end) - 1);
  FUZZ_REQUIRE(sum == end.value_size);
}

static void decode_part(nacre_slice bytes, uint64_t part) {
  static const nc_value_end end = {.value_size = 10000, .part_bytes = 4096};
  nacre_error err;
  nc_error_clear(&err);
  nacre_slice packed;
  fuzz_blank(&packed, sizeof packed);
  nacre_status status = nc_value_part_decode(bytes, &end, part, &packed, &err);
  if (!fuzz_accepted(status, &err, bytes.size, &packed, sizeof packed)) return;
  size_t raw_size = 0;
  FUZZ_REQUIRE(part < 3 && nc_get_u32(bytes.data) == part && packed.size + 4 == bytes.size);
  FUZZ_REQUIRE(nc_unpack_size(packed, &raw_size, NULL, NULL) == NACRE_OK);
  FUZZ_REQUIRE(raw_size == (part == 2 ? 10000 - 2 * 4096 : 4096));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  nc_reader r = nc_reader_over(nc_slice(data, size));
  uint8_t which = nc_read_u8(&r);
  uint64_t number = nc_read_u64(&r);
  nacre_slice bytes = nc_read_bytes(&r, nc_reader_left(&r));
  if (which % 3 == 0) decode_reference(bytes);
  if (which % 3 == 1) {
    decode_end(bytes, number);
    if (bytes.size >= 8) decode_end(bytes, nc_get_u64(bytes.data));
  }
  if (which % 3 == 2) decode_part(bytes, number);
  return 0;
}
