/* SPDX-License-Identifier: Apache-2.0
 *
 * compress: packed blocks (format/README.md, "Packing").
 *
 *   method u8 · raw size u32 · payload
 *
 * What is packed is then sealed; what is opened is then unpacked. The workspace lives in memory that the
 * caller owns (and keeps out of core dumps), because compressors keep plaintext there. A workspace is used by
 * one thread at a time.
 */
#ifndef NC_COMPRESS_H
#define NC_COMPRESS_H

#include "status.h"

typedef enum nc_pack_method { NC_PACK_NONE = 0, NC_PACK_LZ4 = 1, NC_PACK_ZSTD = 2 } nc_pack_method;

enum { NC_PACK_HEADER_BYTES = 5 };
/* The most that a packed block may unpack to. */
#define NC_UNPACKED_BYTES_MAX ((size_t)17 * 1024 * 1024)

typedef struct nc_compress_workspace {
  void *memory;
  size_t size;
  void *lz4, *zstd_compress, *zstd_decompress; /* inside `memory` */
} nc_compress_workspace;

/* Bytes of memory (aligned to 64) that nc_compress_init needs. With `for_reading`, only unpacking works. */
size_t nc_compress_workspace_size(bool for_reading);
NC_MUST_CHECK nacre_status nc_compress_init(nc_compress_workspace *ws, void *memory, size_t size,
                                            bool for_reading, nacre_error *err);

/* The most that `raw_size` bytes can take packed, header included. */
size_t nc_pack_bound(size_t raw_size);
/* Packs `raw` into `to` (of at least nc_pack_bound bytes). Falls back to NC_PACK_NONE when the method saves
 * less than one eighth. Returns the packed size. */
NC_MUST_CHECK nacre_status nc_pack(nc_compress_workspace *ws, nc_pack_method method, nacre_slice raw,
                                   uint8_t *to, size_t capacity, size_t *ret_size, nacre_error *err);
/* What a packed block unpacks to: its raw size, checked against NC_UNPACKED_BYTES_MAX. For NC_PACK_NONE,
 * `*ret_in_place` (may be NULL) is the payload itself and nothing need be unpacked; else it is NULL. */
NC_MUST_CHECK nacre_status nc_unpack_size(nacre_slice packed, size_t *ret_raw_size,
                                          const uint8_t **ret_in_place, nacre_error *err);
/* Unpacks into exactly `raw_size` bytes. */
NC_MUST_CHECK nacre_status nc_unpack(nc_compress_workspace *ws, nacre_slice packed, uint8_t *to,
                                     size_t raw_size, nacre_error *err);

#endif
