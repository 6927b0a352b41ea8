/* SPDX-License-Identifier: Apache-2.0
 *
 * Packed blocks: what is packed comes back, whatever its size, and nothing else is unpacked.
 */
#include "compress.h"

#include <stdlib.h>

#include "support.h"

static nc_compress_workspace workspace(bool for_reading) {
  nc_compress_workspace ws;
  size_t size = nc_compress_workspace_size(for_reading);
  void *memory = aligned_alloc(64, (size + 63) / 64 * 64);
  assert_ok(nc_compress_init(&ws, memory, size, for_reading, NULL));
  return ws;
}

/* Half compressible: random words from a small dictionary. */
static uint8_t *make_text(size_t size) {
  random_source random = random_begin();
  uint8_t *p = malloc(size + 8), words[64][8];
  random_fill(&random, words, sizeof words);
  for (size_t i = 0; i < size; i += 8) memcpy(p + i, words[random_below(&random, 64)], 8);
  return p;
}

/* Packs and unpacks; returns the method that was used. */
static uint8_t round_trip(nc_pack_method method, const uint8_t *raw, size_t raw_size) {
  nc_compress_workspace ws = workspace(false), reader = workspace(true);
  uint8_t *packed = malloc(nc_pack_bound(raw_size)), *back = malloc(raw_size + 1);
  size_t packed_size = 0, stated = 0;
  assert_ok(
      nc_pack(&ws, method, nc_slice(raw, raw_size), packed, nc_pack_bound(raw_size), &packed_size, NULL));
  cr_assert_leq(packed_size, nc_pack_bound(raw_size));
  uint8_t *exact = exact_copy(nc_slice(packed, packed_size));
  const uint8_t *in_place = NULL;
  assert_ok(nc_unpack_size(nc_slice(exact, packed_size), &stated, &in_place, NULL));
  cr_assert_eq(stated, raw_size);
  assert_ok(nc_unpack(&reader, nc_slice(exact, packed_size), back, raw_size, NULL));
  cr_assert(memcmp(back, raw, raw_size) == 0);
  uint8_t used = packed[0];
  cr_assert_eq(in_place, used == NC_PACK_NONE ? exact + NC_PACK_HEADER_BYTES : NULL);
  free(ws.memory), free(reader.memory), free(packed), free(back), free(exact);
  return used;
}

static const size_t sizes[] = {
    64, 1000, 4096, 65536, 300000, (size_t)1 << 20, (size_t)15 << 20, NC_UNPACKED_BYTES_MAX};

Test(compress, every_method_packs_every_size, .timeout = 60) {
  uint8_t *raw = make_text(NC_UNPACKED_BYTES_MAX);
  for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
    cr_assert_eq(round_trip(NC_PACK_NONE, raw, sizes[i]), NC_PACK_NONE);
    if (sizes[i] < 1000) continue;
    cr_assert_eq(round_trip(NC_PACK_LZ4, raw, sizes[i]), NC_PACK_LZ4, "%zu", sizes[i]);
    cr_assert_eq(round_trip(NC_PACK_ZSTD, raw, sizes[i]), NC_PACK_ZSTD, "%zu", sizes[i]);
  }
  free(raw);
}

Test(compress, bytes_that_do_not_shrink_stay_as_they_are) {
  random_source random = random_begin();
  uint8_t raw[4096];
  random_fill(&random, raw, sizeof raw);
  for (size_t size = 0; size <= sizeof raw; size = size * 2 + 1) {
    cr_assert_eq(round_trip(NC_PACK_LZ4, raw, size), NC_PACK_NONE);
    cr_assert_eq(round_trip(NC_PACK_ZSTD, raw, size), NC_PACK_NONE);
  }
}

Test(compress, a_saving_under_an_eighth_is_none) {
  random_source random = random_begin();
  uint8_t raw[4096] = {0};
  random_fill(&random, raw, 3700); /* the rest is zeros: 9 % to save */
  cr_assert_eq(round_trip(NC_PACK_LZ4, raw, sizeof raw), NC_PACK_NONE);
  cr_assert_eq(round_trip(NC_PACK_ZSTD, raw, sizeof raw), NC_PACK_NONE);
  memset(raw + 3300, 0, 400); /* 19 % */
  cr_assert_eq(round_trip(NC_PACK_LZ4, raw, sizeof raw), NC_PACK_LZ4);
  cr_assert_eq(round_trip(NC_PACK_ZSTD, raw, sizeof raw), NC_PACK_ZSTD);
}

Test(compress, one_workspace_serves_many_blocks) {
  nc_compress_workspace ws = workspace(false);
  random_source random = random_begin();
  uint8_t *raw = make_text(200000), *packed = malloc(nc_pack_bound(200000)), *back = malloc(200000);
  for (int i = 0; i < 100; i++) {
    size_t size = 1 + (size_t)random_below(&random, 200000), packed_size;
    nc_pack_method method = (nc_pack_method)random_below(&random, 3);
    assert_ok(nc_pack(&ws, method, nc_slice(raw, size), packed, nc_pack_bound(size), &packed_size, NULL));
    assert_ok(nc_unpack(&ws, nc_slice(packed, packed_size), back, size, NULL));
    cr_assert(memcmp(raw, back, size) == 0);
  }
  free(raw), free(packed), free(back), free(ws.memory);
}

static nc_compress_workspace reading;
static bool unpacks(nacre_slice packed) {
  size_t size;
  if (nc_unpack_size(packed, &size, NULL, NULL) != NACRE_OK) return false;
  uint8_t *to = malloc(size + 1);
  bool accepted = nc_unpack(&reading, packed, to, size, NULL) == NACRE_OK;
  free(to);
  return accepted;
}

Test(compress, damaged_packs_never_crash_nor_fit, .timeout = 60) {
  reading = workspace(false);
  uint8_t *raw = make_text(2000), packed[2100];
  for (int method = NC_PACK_NONE; method <= NC_PACK_ZSTD; method++) {
    size_t size;
    assert_ok(
        nc_pack(&reading, (nc_pack_method)method, nc_slice(raw, 2000), packed, sizeof packed, &size, NULL));
    refuses_every_other_length(nc_slice(packed, size), unpacks);
    flips_every_bit(nc_slice(packed, NC_PACK_HEADER_BYTES), unpacks, false);
    if (method != NC_PACK_NONE) flips_every_bit(nc_slice(packed, size), unpacks, false);
  }
  free(raw), free(reading.memory);
}

Test(compress, refuses_what_is_larger_than_a_block_may_be) {
  nc_compress_workspace ws = workspace(false);
  nacre_error err;
  size_t size;
  uint8_t packed[16] = {NC_PACK_LZ4};
  assert_refused(nc_pack(&ws, NC_PACK_LZ4, nc_slice(packed, NC_UNPACKED_BYTES_MAX + 1), packed, sizeof packed,
                         &size, &err),
                 NC_E_PACK_TOO_LARGE);
  nc_put_u32(packed + 1, NC_UNPACKED_BYTES_MAX + 1);
  assert_refused(nc_unpack_size(nc_slice(packed, sizeof packed), &size, NULL, &err), NC_E_PACK_SIZE);
  free(ws.memory);
}

Test(compress, refuses_to_unpack_to_another_size) {
  nc_compress_workspace ws = workspace(false);
  nacre_error err;
  uint8_t *raw = make_text(4096), packed[4200], back[4200];
  size_t size;
  for (int method = NC_PACK_LZ4; method <= NC_PACK_ZSTD; method++) {
    assert_ok(nc_pack(&ws, (nc_pack_method)method, nc_slice(raw, 4096), packed, sizeof packed, &size, NULL));
    assert_refused(nc_unpack(&ws, nc_slice(packed, size), back, 4095, &err), NC_E_PACK_SIZE);
    nc_put_u32(packed + 1, 4095);
    assert_refused(nc_unpack(&ws, nc_slice(packed, size), back, 4095, &err), NC_E_PACK_SIZE);
    nc_put_u32(packed + 1, 4097);
    assert_refused(nc_unpack(&ws, nc_slice(packed, size), back, 4097, &err), NC_E_PACK_SIZE);
  }
  free(raw), free(ws.memory);
}

Test(compress, needs_its_memory) {
  nc_compress_workspace ws;
  nacre_error err;
  assert_refused(nc_compress_init(&ws, NULL, 0, true, &err), NC_E_PACK_MEMORY);
  cr_assert_lt(nc_compress_workspace_size(true), nc_compress_workspace_size(false));
  cr_assert_lt(nc_compress_workspace_size(false), (size_t)4 << 20);
}
