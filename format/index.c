/* SPDX-License-Identifier: Apache-2.0
 *
 * index: block addresses as index values (format/README.md, "Index").
 */
#include "index.h"

#include <assert.h>

#include "frame.h"
#include "header.h"

_Static_assert(NC_FRAMES_OFFSET % NC_FRAME_ALIGN == 0, "addresses are counted in steps of 16 bytes");

/* A frame of no plaintext. */
static const uint32_t frame_bytes_min = NC_FRAME_HEADER_BYTES + NC_FRAME_TAG_BYTES;

size_t nc_handle_encode(nc_handle handle, uint8_t out[NC_HANDLE_VARINT_BYTES_MAX]) {
  assert(handle.offset % NC_FRAME_ALIGN == 0 && handle.size % NC_FRAME_ALIGN == 0);
  size_t n = nc_put_varint(out, handle.offset / NC_FRAME_ALIGN);
  return n + nc_put_varint(out + n, handle.size / NC_FRAME_ALIGN);
}

nacre_status nc_handle_decode(nacre_slice bytes, nc_handle *ret_handle, nacre_error *err) {
  const uint8_t *p = bytes.data, *end = p + bytes.size;
  uint64_t offset, size;
  size_t first = nc_get_varint(p, end, &offset),
         second = first == 0 ? 0 : nc_get_varint(p + first, end, &size);
  if (second == 0 || first + second != bytes.size || offset > NC_FILE_BYTES_MAX / NC_FRAME_ALIGN || /* [I1] */
      size > NC_FRAME_BYTES_MAX / NC_FRAME_ALIGN)
    return nc_fail(err, NC_E_INDEX_HANDLE, NULL);
  *ret_handle = (nc_handle){offset * NC_FRAME_ALIGN, (uint32_t)size * NC_FRAME_ALIGN};
  return NACRE_OK;
}

nacre_status nc_handle_check(nc_handle handle, uint64_t file_size, nacre_error *err) {
  bool aligned = handle.offset % NC_FRAME_ALIGN == 0 && handle.size % NC_FRAME_ALIGN == 0;
  bool possible = handle.size >= frame_bytes_min && handle.size <= NC_FRAME_BYTES_MAX;
  bool inside = handle.offset >= NC_FRAMES_OFFSET && handle.offset <= file_size &&
                handle.size <= file_size - handle.offset;
  if (aligned && possible && inside) return NACRE_OK; /* [I2] */
  return nc_fail(err, NC_E_HANDLE_RANGE, "%u bytes at %llu of %llu", handle.size,
                 (unsigned long long)handle.offset, (unsigned long long)file_size);
}
