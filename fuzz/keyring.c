/* SPDX-License-Identifier: Apache-2.0
 *
 * Target: the root keys of the `local:` provider, and its wraps (format/README.md, "Keyring").
 *
 * The input is decoded as it stands, as a keyring and as a wrap, and again as a keyring with a good CRC, at
 * last with the number of keys that its size makes possible.
 */
#include "keyring.h"

#include <stdlib.h>

#include "crc32c.h"
#include "fuzz.h"

enum { AT_COUNT = 12, HEAD_BYTES = 16, KEY_BYTES = 56, CRC_BYTES = 4 };

static void decode(nacre_slice bytes) {
  nc_keyring ring;
  nacre_error err;
  nc_error_clear(&err);
  if (!fuzz_accepted_in_place(nc_keyring_decode(bytes, &ring, &err), &err, bytes.size)) return;
  FUZZ_REQUIRE(ring.key_count >= 1 && ring.key_count <= NC_KEYRING_KEYS_MAX);
  uint8_t again[NC_KEYRING_BYTES_MAX];
  fuzz_require_same(again, nc_keyring_encode(&ring, again), bytes.data, bytes.size);
  nc_root_key key = ring.keys[0];
  bool full = ring.key_count == NC_KEYRING_KEYS_MAX;
  FUZZ_REQUIRE((nc_keyring_add(&ring, &key, NULL) == NACRE_OK) == !full);
}

static void decode_wrap(nacre_slice bytes) {
  nc_local_wrap wrap;
  uint8_t again[NC_LOCAL_WRAP_BYTES];
  if (!nc_local_wrap_decode(bytes, &wrap)) return;
  nc_local_wrap_encode(&wrap, again);
  fuzz_require_same(again, sizeof again, bytes.data, bytes.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  decode(nc_slice(data, size));
  decode_wrap(nc_slice(data, size));
  if (size < CRC_BYTES) return 0;
  uint8_t *copy = fuzz_copy(data, size);
  nc_put_u32(copy + size - CRC_BYTES, nc_crc32c(0, copy, size - CRC_BYTES));
  decode(nc_slice(copy, size));
  if (size >= HEAD_BYTES + CRC_BYTES) {
    nc_put_u32(copy + AT_COUNT, (uint32_t)((size - HEAD_BYTES - CRC_BYTES) / KEY_BYTES));
    nc_put_u32(copy + size - CRC_BYTES, nc_crc32c(0, copy, size - CRC_BYTES));
    decode(nc_slice(copy, size));
  }
  free(copy);
  return 0;
}
