/* SPDX-License-Identifier: Apache-2.0
 *
 * Target: the root keys of the `local:` provider, and its wraps (format/README.md, "Keyring").
 *
 * The input is decoded as it stands, as a keyring and as a wrap, and again as a keyring with a good CRC, at
 * last with the number of keys that its size makes possible. A keyring under a passphrase is taken apart and
 * put together again; nothing is derived.
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

static void require_within(nacre_slice part, nacre_slice whole) {
  const uint8_t *p = part.data, *from = whole.data;
  FUZZ_REQUIRE(p >= from && part.size <= whole.size && (size_t)(p - from) <= whole.size - part.size);
}

static void build_again(nacre_slice bytes, const nc_keyring_parts *parts) {
  nc_keyring ring;
  uint8_t again[NC_KEYRING_BYTES_MAX];
  nc_keyring_decode_keys(parts->keys.data, parts->key_count, &ring);
  size_t size = nc_keyring_lay_out(&ring, parts->cost, parts->salt.data, again);
  memcpy(again + NC_KEYRING_CONTEXT_BYTES, parts->commitment, NC_COMMITMENT_BYTES);
  memcpy(again + NC_KEYRING_AAD_BYTES + parts->keys.size, parts->tag, NC_TAG_BYTES);
  FUZZ_REQUIRE(nc_keyring_finish(parts->key_count, again) == size);
  fuzz_require_same(again, size, bytes.data, bytes.size);
}

static void take_apart(nacre_slice bytes) {
  nc_keyring_parts parts;
  nacre_error err;
  nc_error_clear(&err);
  if (!fuzz_accepted_in_place(nc_keyring_parse(bytes, &parts, &err), &err, bytes.size)) return;
  require_within(parts.keys, bytes);
  FUZZ_REQUIRE(parts.keys.size == (size_t)parts.key_count * NC_ROOT_KEY_RECORD_BYTES);
  if (parts.protection != NC_KEYRING_SCRYPT) return;
  require_within(parts.salt, bytes);
  require_within(nc_slice(parts.tag, NC_TAG_BYTES), bytes);
  FUZZ_REQUIRE(nc_scrypt_cost_check(parts.cost, NULL) == NACRE_OK);
  build_again(bytes, &parts);
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
  take_apart(nc_slice(data, size));
  decode_wrap(nc_slice(data, size));
  if (size < CRC_BYTES) return 0;
  uint8_t *copy = fuzz_copy(data, size);
  nc_put_u32(copy + size - CRC_BYTES, nc_crc32c(0, copy, size - CRC_BYTES));
  decode(nc_slice(copy, size));
  take_apart(nc_slice(copy, size));
  if (size >= HEAD_BYTES + CRC_BYTES) {
    nc_put_u32(copy + AT_COUNT, (uint32_t)((size - HEAD_BYTES - CRC_BYTES) / KEY_BYTES));
    nc_put_u32(copy + size - CRC_BYTES, nc_crc32c(0, copy, size - CRC_BYTES));
    decode(nc_slice(copy, size));
    take_apart(nc_slice(copy, size));
  }
  free(copy);
  return 0;
}
