/* SPDX-License-Identifier: Apache-2.0
 *
 * Target: the footer of a segment (format/README.md, "Segment").
 *
 * Input: u64 length of the file · footer. The footer is decoded against that length, and once more against
 * the one it states.
 */
#include "footer.h"

#include "frame.h"
#include "fuzz.h"

static void decode(nacre_slice bytes, uint64_t file_size) {
  nacre_error err;
  nc_error_clear(&err);
  nc_footer footer;
  fuzz_blank(&footer, sizeof footer);
  nacre_status status = nc_footer_decode(bytes, file_size, &footer, &err);
  if (!fuzz_accepted(status, &err, bytes.size, &footer, sizeof footer)) return;
  uint8_t again[NC_FOOTER_BYTES];
  nc_footer_encode(&footer, again);
  fuzz_require_same(again, sizeof again, bytes.data, bytes.size);
  uint64_t end = file_size - nc_frame_size(NC_FOOTER_BYTES);
  FUZZ_REQUIRE(footer.file_size == file_size);
  FUZZ_REQUIRE(nc_handle_check(footer.properties, end, NULL) == NACRE_OK);
  FUZZ_REQUIRE(nc_handle_check(footer.index_root, end, NULL) == NACRE_OK);
  FUZZ_REQUIRE((footer.filter_frames == 0) == (footer.filter_offset == 0) && footer.filter_offset < end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  nc_reader r = nc_reader_over(nc_slice(data, size));
  uint64_t file_size = nc_read_u64(&r);
  nacre_slice bytes = nc_read_bytes(&r, nc_reader_left(&r));
  decode(bytes, file_size);
  if (bytes.size >= 8) decode(bytes, nc_get_u64(bytes.data));
  return 0;
}
