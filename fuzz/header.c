/* SPDX-License-Identifier: Apache-2.0
 *
 * Target: the two slots that begin a sealed file (format/README.md, "File header").
 *
 * The input is decoded as it stands, and once more with good checksums, which a mutation cannot find. An
 * input of at most two times 208 bytes is then taken for the fields of two slots, so that seeds are small;
 * the zeros are filled in.
 */
#include "header.h"

#include <stdlib.h>

#include "crc32c.h"
#include "fuzz.h"

enum { FIELD_BYTES = 208, AT_CRC = NC_SLOT_BYTES - 4, HEADER_BYTES = NC_SLOT_COUNT * NC_SLOT_BYTES };

static bool decode(nacre_slice bytes, uint8_t index, nc_header_slot *slot) {
  nacre_error err;
  nc_error_clear(&err);
  fuzz_blank(slot, sizeof *slot);
  nacre_status status = nc_header_decode(bytes, index, slot, &err);
  if (!fuzz_accepted(status, &err, bytes.size, slot, sizeof *slot)) return false;
  uint8_t again[NC_SLOT_BYTES], aad[NC_WRAP_AAD_BYTES], identity[NC_IDENTITY_BYTES];
  FUZZ_REQUIRE(slot->index == index);
  nc_header_encode(slot, again);
  fuzz_require_same(again, sizeof again, bytes.data, NC_SLOT_BYTES);
  nc_identity_encode(&slot->identity, identity);
  fuzz_require_same(identity, sizeof identity, bytes.data, NC_IDENTITY_BYTES);
  nc_header_wrap_aad(slot, aad);
  again[104] = 0; /* the slot's index, which the wrap does not cover */
  fuzz_require_same(aad, sizeof aad, again, sizeof aad);
  return true;
}

static void pick(nacre_slice bytes) {
  nc_header_slot slots[NC_SLOT_COUNT], expected[NC_SLOT_COUNT];
  bool good[NC_SLOT_COUNT], sound[NC_SLOT_COUNT];
  int picked = -1;
  nacre_error err;
  nc_error_clear(&err);
  fuzz_blank(slots, sizeof slots);
  nacre_status status = nc_header_pick(bytes, slots, good, &picked, &err);
  for (uint8_t i = 0; i < NC_SLOT_COUNT; i++) {
    size_t from = (size_t)i * NC_SLOT_BYTES < bytes.size ? (size_t)i * NC_SLOT_BYTES : bytes.size;
    sound[i] = decode(nc_slice((const uint8_t *)bytes.data + from, bytes.size - from), i, &expected[i]);
    FUZZ_REQUIRE(good[i] == sound[i] && memcmp(&slots[i], &expected[i], sizeof slots[i]) == 0);
  }
  FUZZ_REQUIRE((status == NACRE_OK) == (sound[0] || sound[1]));
  if (!fuzz_accepted_in_place(status, &err, bytes.size)) return;
  FUZZ_REQUIRE((picked == 0 || picked == 1) && good[picked]);
  int other = 1 - picked;
  if (!good[other]) return;
  FUZZ_REQUIRE(slots[picked].sequence > slots[other].sequence ||
               (picked == 0 && slots[0].sequence == slots[1].sequence));
}

/* The input's slots with good checksums. */
static uint8_t *repaired(nacre_slice bytes) {
  uint8_t *header = fuzz_alloc(HEADER_BYTES);
  size_t stride = bytes.size <= (size_t)NC_SLOT_COUNT * FIELD_BYTES ? FIELD_BYTES : NC_SLOT_BYTES;
  nc_reader r = nc_reader_over(bytes);
  memset(header, 0, HEADER_BYTES);
  for (size_t i = 0; i < NC_SLOT_COUNT; i++) {
    uint8_t *slot = header + i * NC_SLOT_BYTES;
    nacre_slice part = nc_read_bytes(&r, nc_reader_left(&r) < stride ? nc_reader_left(&r) : stride);
    memcpy(slot, part.data, part.size);
    nc_put_u32(slot + AT_CRC, nc_crc32c(0, slot, AT_CRC));
  }
  return header;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  pick(nc_slice(data, size));
  uint8_t *header = repaired(nc_slice(data, size));
  pick(nc_slice(header, HEADER_BYTES));
  free(header);
  return 0;
}
