/* SPDX-License-Identifier: Apache-2.0
 *
 * compress: packing by LZ4 and Zstandard in the caller's memory (format/README.md, "Packing").
 *
 * Neither library allocates here: LZ4 works in a state of fixed size, Zstandard in static contexts. One
 * context serves inputs of any size, because a whole input is compressed in one call: what grows with the
 * input is the window, and that is the input itself.
 */
#define ZSTD_STATIC_LINKING_ONLY
#include "compress.h"

#include <assert.h>
#include <lz4.h>
#include <zstd.h>

#include "coding.h"

enum { AT_RAW_SIZE = 1, ZSTD_LEVEL = 1, LZ4_ACCELERATION = 1, ALIGNMENT = 64 };

static size_t aligned(size_t size) { return (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1); }

size_t nc_compress_workspace_size(bool for_reading) {
  size_t size = aligned(ZSTD_estimateDCtxSize());
  if (!for_reading) size += aligned((size_t)LZ4_sizeofState()) + aligned(ZSTD_estimateCCtxSize(ZSTD_LEVEL));
  return size;
}

nacre_status nc_compress_init(nc_compress_workspace *ws, void *memory, size_t size, bool for_reading,
                              nacre_error *err) {
  if (memory == NULL || size < nc_compress_workspace_size(for_reading))
    return nc_fail(err, NC_E_PACK_MEMORY, NULL);
  assert((uintptr_t)memory % ALIGNMENT == 0);
  nc_compress_workspace made = {.memory = memory, .size = size};
  uint8_t *next = memory;
  made.zstd_decompress = ZSTD_initStaticDCtx(next, ZSTD_estimateDCtxSize());
  assert(made.zstd_decompress != NULL);
  if (!for_reading) {
    next += aligned(ZSTD_estimateDCtxSize());
    made.lz4 = next;
    next += aligned((size_t)LZ4_sizeofState());
    made.zstd_compress = ZSTD_initStaticCCtx(next, ZSTD_estimateCCtxSize(ZSTD_LEVEL));
    assert(made.zstd_compress != NULL);
  }
  *ws = made;
  return NACRE_OK;
}

size_t nc_pack_bound(size_t raw_size) { return NC_PACK_HEADER_BYTES + raw_size; }

/* Compresses into `to`; 0 when the result would not fit `capacity`. */
static size_t squeeze(nc_compress_workspace *ws, nc_pack_method method, nacre_slice raw, uint8_t *to,
                      size_t capacity) {
  switch (method) {
    case NC_PACK_NONE:
      return 0;
    case NC_PACK_LZ4: {
      int size = LZ4_compress_fast_extState(ws->lz4, raw.data, (char *)to, (int)raw.size, (int)capacity,
                                            LZ4_ACCELERATION);
      return size > 0 ? (size_t)size : 0;
    }
    case NC_PACK_ZSTD: {
      size_t size = ZSTD_compressCCtx(ws->zstd_compress, to, capacity, raw.data, raw.size, ZSTD_LEVEL);
      return ZSTD_isError(size) ? 0 : size;
    }
  }
  return 0;
}

nacre_status nc_pack(nc_compress_workspace *ws, nc_pack_method method, nacre_slice raw, uint8_t *to,
                     size_t capacity, size_t *ret_size, nacre_error *err) {
  if (raw.size > NC_UNPACKED_BYTES_MAX) return nc_fail(err, NC_E_PACK_TOO_LARGE, "%zu bytes", raw.size);
  (void)capacity;
  assert(capacity >= nc_pack_bound(raw.size));
  assert(method == NC_PACK_NONE || ws->zstd_compress != NULL);
  uint8_t *payload = to + NC_PACK_HEADER_BYTES;
  size_t size = squeeze(ws, method, raw, payload, raw.size - raw.size / 8);
  if (size == 0) {
    method = NC_PACK_NONE;
    size = raw.size;
    if (size != 0) memcpy(payload, raw.data, size);
  }
  to[0] = (uint8_t)method;
  nc_put_u32(to + AT_RAW_SIZE, (uint32_t)raw.size);
  *ret_size = NC_PACK_HEADER_BYTES + size;
  return NACRE_OK;
}

nacre_status nc_unpack_size(nacre_slice packed, size_t *ret_raw_size, const uint8_t **ret_in_place,
                            nacre_error *err) {
  if (packed.size < NC_PACK_HEADER_BYTES) /* [Z3] */
    return nc_fail_at(err, NC_E_PACK_SHORT, 0, "%zu bytes", packed.size);
  const uint8_t *p = packed.data;
  size_t raw_size = nc_get_u32(p + AT_RAW_SIZE), payload_size = packed.size - NC_PACK_HEADER_BYTES;
  if (p[0] > NC_PACK_ZSTD) return nc_fail_at(err, NC_E_PACK_METHOD, 0, "method %u", p[0]); /* [Z1] */
  bool possible = p[0] == NC_PACK_NONE ? raw_size == payload_size : payload_size <= NC_UNPACKED_BYTES_MAX;
  if (raw_size > NC_UNPACKED_BYTES_MAX || !possible)
    return nc_fail_at(err, NC_E_PACK_SIZE, 0, "%zu bytes in %zu", raw_size, payload_size);
  *ret_raw_size = raw_size;
  if (ret_in_place != NULL) *ret_in_place = p[0] == NC_PACK_NONE ? p + NC_PACK_HEADER_BYTES : NULL;
  return NACRE_OK;
}

/* Whether the payload unpacks to exactly `raw_size` bytes at `to`. */
static bool expand(nc_compress_workspace *ws, uint8_t method, nacre_slice payload, uint8_t *to,
                   size_t raw_size) {
  if (method == NC_PACK_NONE) {
    if (raw_size != 0) memcpy(to, payload.data, raw_size);
    return true;
  }
  if (method == NC_PACK_LZ4) {
    int size = LZ4_decompress_safe(payload.data, (char *)to, (int)payload.size, (int)raw_size);
    return size >= 0 && (size_t)size == raw_size;
  }
  size_t size = ZSTD_decompressDCtx(ws->zstd_decompress, to, raw_size, payload.data, payload.size);
  return !ZSTD_isError(size) && size == raw_size;
}

nacre_status nc_unpack(nc_compress_workspace *ws, nacre_slice packed, uint8_t *to, size_t raw_size,
                       nacre_error *err) {
  size_t stated = 0;
  NC_TRY(nc_unpack_size(packed, &stated, NULL, err));
  const uint8_t *p = packed.data;
  nacre_slice payload = nc_slice(p + NC_PACK_HEADER_BYTES, packed.size - NC_PACK_HEADER_BYTES);
  if (stated != raw_size || !expand(ws, p[0], payload, to, raw_size)) /* [Z2] */
    return nc_fail_at(err, NC_E_PACK_SIZE, 0, "%zu bytes in %zu", stated, payload.size);
  return NACRE_OK;
}
