/* SPDX-License-Identifier: Apache-2.0
 *
 * support: see support.h.
 */
#include "support.h"

#include <stdlib.h>

uint64_t test_seed(void) {
  const char *set = getenv("NACRE_TEST_SEED");
  return set != NULL ? strtoull(set, NULL, 0) : 20260101;
}

random_source random_begin(void) { return (random_source){test_seed()}; }

uint64_t random_next(random_source *random) {
  random->state += 0x9E3779B97F4A7C15;
  uint64_t x = random->state;
  x = (x ^ x >> 31) * 0xD6E8FEB86659FD93;
  x = (x ^ x >> 29) * 0xD6E8FEB86659FD93;
  return x ^ x >> 32;
}

uint64_t random_below(random_source *random, uint64_t bound) { return random_next(random) % bound; }

void random_fill(random_source *random, void *to, size_t size) {
  uint8_t *p = to;
  for (size_t i = 0; i < size; i++) p[i] = (uint8_t)random_next(random);
}

nc_uuid uuid_of(uint8_t fill) {
  nc_uuid uuid;
  memset(uuid.bytes, fill, sizeof uuid.bytes);
  return uuid;
}

void *exact_copy(nacre_slice bytes) {
  void *copy = malloc(bytes.size == 0 ? 1 : bytes.size);
  cr_assert_not_null(copy);
  if (bytes.size != 0) memcpy(copy, bytes.data, bytes.size);
  return copy;
}

void refuses_every_other_length(nacre_slice bytes, decode_function *accepts) {
  for (size_t size = 0; size < bytes.size; size++) {
    void *cut = exact_copy(nc_slice(bytes.data, size));
    cr_assert(!accepts(nc_slice(cut, size)), "accepted when cut to %zu bytes", size);
    free(cut);
  }
  uint8_t *longer = malloc(bytes.size + 1);
  cr_assert_not_null(longer);
  memcpy(longer, bytes.data, bytes.size);
  longer[bytes.size] = 0;
  cr_assert(!accepts(nc_slice(longer, bytes.size + 1)), "accepted with a byte more");
  free(longer);
}

void flips_every_bit(nacre_slice bytes, decode_function *accepts, bool must_refuse) {
  uint8_t *copy = exact_copy(bytes);
  for (size_t i = 0; i < bytes.size * 8; i++) {
    copy[i / 8] = (uint8_t)(copy[i / 8] ^ 1u << i % 8);
    bool accepted = accepts(nc_slice(copy, bytes.size));
    cr_assert(!accepted || !must_refuse, "accepted with bit %zu of byte %zu flipped", i % 8, i / 8);
    copy[i / 8] = (uint8_t)(copy[i / 8] ^ 1u << i % 8);
  }
  free(copy);
}
