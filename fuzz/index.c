/* SPDX-License-Identifier: Apache-2.0
 *
 * Target: handles, the values of an index (format/README.md, "Index").
 *
 * Input: u64 length of a file · handle.
 */
#include "index.h"

#include "frame.h"
#include "fuzz.h"
#include "header.h"

/* The specification's sentence about handles. */
static bool lies_within(nc_handle handle, uint64_t file_size) {
  return handle.offset % 16 == 0 && handle.size % 16 == 0 && handle.offset >= 8192 && handle.size >= 32 &&
         handle.size <= 16777216 && handle.offset <= file_size && handle.size <= file_size - handle.offset;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  nc_reader r = nc_reader_over(nc_slice(data, size));
  uint64_t file_size = nc_read_u64(&r);
  nacre_slice bytes = nc_read_bytes(&r, nc_reader_left(&r));
  nacre_error err;
  nc_error_clear(&err);
  nc_handle handle;
  fuzz_blank(&handle, sizeof handle);
  nacre_status status = nc_handle_decode(bytes, &handle, &err);
  if (!fuzz_accepted(status, &err, bytes.size, &handle, sizeof handle)) return 0;
  FUZZ_REQUIRE(handle.offset <= NC_FILE_BYTES_MAX && handle.size <= NC_FRAME_BYTES_MAX);
  uint8_t again[NC_HANDLE_VARINT_BYTES_MAX];
  fuzz_require_same(again, nc_handle_encode(handle, again), bytes.data, bytes.size);
  status = nc_handle_check(handle, file_size, &err);
  FUZZ_REQUIRE(fuzz_accepted_in_place(status, &err, bytes.size) == lies_within(handle, file_size));
  /* Any two numbers, too: those of a footer are not varints. */
  nc_handle any = {handle.offset ^ file_size, handle.size ^ (uint32_t)(file_size >> 20)};
  status = nc_handle_check(any, file_size, &err);
  FUZZ_REQUIRE(fuzz_accepted_in_place(status, &err, bytes.size) == lies_within(any, file_size));
  return 0;
}
