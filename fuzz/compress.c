/* SPDX-License-Identifier: Apache-2.0
 *
 * Target: packed blocks (format/README.md, "Packing").
 *
 * The input is taken for a packed block, and for bytes to be packed by each method; what was packed must
 * unpack to itself, in the workspace that may just have refused a hostile block. Packing has many answers,
 * so bytes are compared unpacked.
 */
#include "compress.h"

#include <stdlib.h>

#include "fuzz.h"

enum { ALIGNMENT = 64, LOOKED_AT_BYTES_MAX = 64 * 1024 };

/* Made once: making contexts anew would take longer than everything else here. */
static nc_compress_workspace *workspace(bool for_reading) {
  static nc_compress_workspace made[2];
  nc_compress_workspace *ws = &made[for_reading];
  if (ws->memory != NULL) return ws;
  size_t size = (nc_compress_workspace_size(for_reading) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  void *memory = aligned_alloc(ALIGNMENT, size);
  FUZZ_REQUIRE(memory != NULL && nc_compress_init(ws, memory, size, for_reading, NULL) == NACRE_OK);
  return ws;
}

/* Every byte of the result is written: unpacked over other bytes, it is the same. */
static void require_all_written(nacre_slice packed, const uint8_t *raw, size_t raw_size) {
  if (raw_size > LOOKED_AT_BYTES_MAX) return; /* for speed */
  uint8_t *again = fuzz_alloc(raw_size);
  for (size_t i = 0; i < raw_size; i++) again[i] = (uint8_t)~raw[i];
  FUZZ_REQUIRE(nc_unpack(workspace(true), packed, again, raw_size, NULL) == NACRE_OK);
  fuzz_require_same(again, raw_size, raw, raw_size);
  free(again);
}

/* NULL when the bytes are refused; else what they unpack to, to be freed. */
static uint8_t *unpack(nacre_slice packed, size_t *ret_size) {
  nacre_error err;
  nc_error_clear(&err);
  const uint8_t *in_place;
  fuzz_blank(ret_size, sizeof *ret_size);
  nacre_status status = nc_unpack_size(packed, ret_size, &in_place, &err);
  if (!fuzz_accepted(status, &err, packed.size, ret_size, sizeof *ret_size)) return NULL;
  FUZZ_REQUIRE(*ret_size <= NC_UNPACKED_BYTES_MAX);
  uint8_t *raw = fuzz_alloc(*ret_size);
  status = nc_unpack(workspace(true), packed, raw, *ret_size, &err);
  if (!fuzz_accepted_in_place(status, &err, packed.size)) {
    FUZZ_REQUIRE(in_place == NULL); /* what needs no unpacking cannot fail to */
    free(raw);
    return NULL;
  }
  if (in_place != NULL) fuzz_require_same(raw, *ret_size, in_place, *ret_size);
  FUZZ_REQUIRE(nc_unpack(workspace(true), packed, raw, *ret_size + 1, NULL) != NACRE_OK);
  require_all_written(packed, raw, *ret_size);
  return raw;
}

static void pack_and_unpack(nc_pack_method method, nacre_slice raw) {
  size_t capacity = nc_pack_bound(raw.size), packed_size = 0, again_size = 0;
  uint8_t *packed = fuzz_alloc(capacity);
  nacre_status status = nc_pack(workspace(false), method, raw, packed, capacity, &packed_size, NULL);
  FUZZ_REQUIRE(status == NACRE_OK && packed_size <= capacity);
  FUZZ_REQUIRE(packed[0] == NC_PACK_NONE || packed[0] == (uint8_t)method);
  FUZZ_REQUIRE(packed[0] != NC_PACK_NONE || packed_size == capacity);
  uint8_t *exact = fuzz_copy(packed, packed_size);
  uint8_t *again = unpack(nc_slice(exact, packed_size), &again_size);
  FUZZ_REQUIRE(again != NULL);
  fuzz_require_same(again, again_size, raw.data, raw.size);
  free(again);
  free(exact);
  free(packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  size_t raw_size = 0;
  uint8_t *raw = unpack(nc_slice(data, size), &raw_size);
  if (raw != NULL) pack_and_unpack((nc_pack_method)data[0], nc_slice(raw, raw_size));
  free(raw);
  pack_and_unpack(NC_PACK_NONE, nc_slice(data, size));
  pack_and_unpack(NC_PACK_LZ4, nc_slice(data, size));
  pack_and_unpack(NC_PACK_ZSTD, nc_slice(data, size));
  return 0;
}
