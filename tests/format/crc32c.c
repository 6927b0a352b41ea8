/* SPDX-License-Identifier: Apache-2.0
 *
 * CRC32C by RFC 3720's vectors and by its definition, bit by bit.
 */
#include "crc32c.h"

#include <stdlib.h>

#include "support.h"

static uint32_t by_definition(const uint8_t *p, size_t size) {
  uint32_t state = UINT32_MAX;
  for (size_t i = 0; i < size; i++) {
    state ^= p[i];
    for (int bit = 0; bit < 8; bit++) state = state & 1 ? state >> 1 ^ 0x82F63B78 : state >> 1;
  }
  return ~state;
}

static void agrees(const void *data, size_t size, uint32_t crc) {
  cr_assert_eq(nc_crc32c(0, data, size), crc);
  cr_assert_eq(nc_crc32c_portable(0, data, size), crc);
}

Test(crc32c, gives_the_vectors_of_rfc_3720) {
  uint8_t bytes[32];
  memset(bytes, 0, sizeof bytes);
  agrees(bytes, sizeof bytes, 0x8A9136AA);
  memset(bytes, 0xFF, sizeof bytes);
  agrees(bytes, sizeof bytes, 0x62A8AB43);
  for (uint8_t i = 0; i < 32; i++) bytes[i] = i;
  agrees(bytes, sizeof bytes, 0x46DD794E);
  for (uint8_t i = 0; i < 32; i++) bytes[i] = (uint8_t)(31 - i);
  agrees(bytes, sizeof bytes, 0x113FDB5C);
  static const uint8_t command[48] = {0x01, 0xC0, 0,    0,    0,    0, 0, 0, 0,    0, 0, 0, 0,   0,
                                      0,    0,    0x14, 0,    0,    0, 0, 0, 0x04, 0, 0, 0, 0,   0x14,
                                      0,    0,    0,    0x18, 0x28, 0, 0, 0, 0,    0, 0, 0, 0x02};
  agrees(command, sizeof command, 0xD9963A56);
  agrees("123456789", 9, 0xE3069283);
  agrees("", 0, 0);
}

Test(crc32c, agrees_with_its_definition_at_every_length_and_alignment) {
  random_source random = random_begin();
  uint8_t *bytes = malloc(4200);
  random_fill(&random, bytes, 4200);
  for (size_t size = 0; size < 4100; size += size < 800 ? 1 : 61)
    for (size_t from = 0; from < 9; from += 2) agrees(bytes + from, size, by_definition(bytes + from, size));
  free(bytes);
}

Test(crc32c, continues) {
  random_source random = random_begin();
  uint8_t bytes[3000];
  random_fill(&random, bytes, sizeof bytes);
  uint32_t whole = by_definition(bytes, sizeof bytes);
  for (size_t cut = 0; cut < sizeof bytes; cut += 37) {
    cr_assert_eq(nc_crc32c(nc_crc32c(0, bytes, cut), bytes + cut, sizeof bytes - cut), whole);
    cr_assert_eq(nc_crc32c_portable(nc_crc32c_portable(0, bytes, cut), bytes + cut, sizeof bytes - cut),
                 whole);
  }
}
