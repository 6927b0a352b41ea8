/* SPDX-License-Identifier: Apache-2.0
 *
 * Keyrings under a passphrase, as bytes: where their parts lie, and what is refused before any key is made.
 */
#include <stdlib.h>

#include "crc32c.h"
#include "keyring.h"
#include "support.h"

static const nc_scrypt_cost usual = {.log2_n = 17, .r = 8, .p = 1};
enum { AT_PROTECTION = 10, AT_COUNT = 12, AT_COST = 16, AT_ZERO = 19 };

typedef struct sample {
  uint8_t bytes[NC_KEYRING_BYTES_MAX];
  size_t size;
} sample;

static void seal_crc(sample *s) { nc_put_u32(s->bytes + s->size - 4, nc_crc32c(0, s->bytes, s->size - 4)); }

static sample sample_of(uint32_t keys, nc_scrypt_cost cost) {
  sample s = {0};
  nc_keyring ring = {0};
  uint8_t salt[NC_KEYRING_SALT_BYTES];
  for (uint32_t i = 0; i < keys; i++) {
    nc_root_key key = {.id = uuid_of((uint8_t)i), .created_ms = 100 + i};
    memset(key.key, (int)(i + 1), sizeof key.key);
    assert_ok(nc_keyring_add(&ring, &key, NULL));
  }
  memset(salt, 0x5A, sizeof salt);
  s.size = nc_keyring_lay_out(&ring, cost, salt, s.bytes);
  memset(s.bytes + NC_KEYRING_CONTEXT_BYTES, 0xC0, NC_COMMITMENT_BYTES);
  memset(s.bytes + s.size - 4 - NC_TAG_BYTES, 0x7A, NC_TAG_BYTES);
  cr_assert_eq(nc_keyring_finish(keys, s.bytes), s.size);
  return s;
}

static nacre_status parse(const sample *s, nc_keyring_parts *parts, nacre_error *err) {
  return nc_keyring_parse(nc_slice(s->bytes, s->size), parts, err);
}

static bool parses(nacre_slice bytes) {
  nc_keyring_parts parts;
  return nc_keyring_parse(bytes, &parts, NULL) == NACRE_OK;
}

Test(keyring_protected, parts_lie_where_the_specification_says) {
  for (uint32_t keys = 1; keys <= NC_KEYRING_KEYS_MAX; keys *= 4) {
    nacre_error err;
    nc_keyring_parts parts;
    nc_keyring ring;
    sample s = sample_of(keys, usual);
    cr_assert_eq(s.size, 84 + 56 * keys + 20);
    assert_ok(parse(&s, &parts, &err));
    cr_assert(parts.protection == NC_KEYRING_SCRYPT && parts.key_count == keys);
    cr_assert(parts.cost.log2_n == 17 && parts.cost.r == 8 && parts.cost.p == 1);
    cr_assert(parts.salt.data == s.bytes + 20 && parts.salt.size == 32);
    cr_assert(parts.context.data == s.bytes && parts.context.size == 52);
    cr_assert(parts.commitment == s.bytes + 52 && parts.commitment[0] == 0xC0);
    cr_assert(parts.aad.data == s.bytes && parts.aad.size == 84);
    cr_assert(parts.keys.data == s.bytes + 84 && parts.keys.size == 56 * keys);
    cr_assert(parts.tag == s.bytes + s.size - 20 && parts.tag[15] == 0x7A);
    nc_keyring_decode_keys(parts.keys.data, parts.key_count, &ring);
    cr_assert(ring.key_count == keys && ring.keys[keys - 1].key[31] == keys &&
              ring.keys[0].created_ms == 100);
  }
}

Test(keyring_protected, refuses_every_cut_and_every_flipped_bit) {
  sample s = sample_of(2, usual);
  refuses_every_other_length(nc_slice(s.bytes, s.size), parses);
  flips_every_bit(nc_slice(s.bytes, s.size), parses, true);
}

/* A forger's keyring, its checksum good: what does not fit is refused, and nothing outside of it is read. */
Test(keyring_protected, reads_no_byte_outside_whatever_a_forger_writes) {
  sample good = sample_of(2, usual);
  for (size_t bit = 0; bit < 8 * 20; bit++) {
    sample s = good;
    s.bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    seal_crc(&s);
    uint8_t *copy = exact_copy(nc_slice(s.bytes, s.size));
    bool cost = bit / 8 >= AT_COST && bit / 8 < AT_ZERO; /* some are other good costs */
    cr_assert(cost || !parses(nc_slice(copy, s.size)), "bit %zu", bit);
    if (cost) (void)parses(nc_slice(copy, s.size));
    free(copy);
  }
}

Test(keyring_protected, refuses_counts_and_sizes_that_do_not_fit) { /* [R1] */
  static const uint32_t counts[] = {0, 1, 3, NC_KEYRING_KEYS_MAX + 1, UINT32_MAX};
  nacre_error err;
  nc_keyring_parts parts;
  sample s = sample_of(2, usual);
  for (size_t i = 0; i < ARRAY_LENGTH(counts); i++) {
    nc_put_u32(s.bytes + AT_COUNT, counts[i]);
    seal_crc(&s);
    assert_refused(parse(&s, &parts, &err), NC_E_KEYRING_SHAPE);
  }
  s = sample_of(2, usual);
  for (size_t size = 20; size < s.size; size++) { /* a good checksum on every proper prefix */
    sample cut = s;
    cut.size = size;
    seal_crc(&cut);
    assert_refused(parse(&cut, &parts, &err), NC_E_KEYRING_SHAPE);
  }
  s.bytes[AT_ZERO] = 1;
  seal_crc(&s);
  assert_refused(parse(&s, &parts, &err), NC_E_KEYRING_SHAPE);
}

Test(keyring_protected, refuses_a_protection_that_it_does_not_know) { /* [R5] */
  nacre_error err;
  nc_keyring_parts parts;
  nc_keyring ring;
  sample s = sample_of(1, usual);
  assert_refused(nc_keyring_decode(nc_slice(s.bytes, s.size), &ring, &err), NC_E_KEYRING_PROTECTION);
  for (uint16_t protection = 2; protection != 0; protection = (uint16_t)(protection << 1)) {
    nc_put_u16(s.bytes + AT_PROTECTION, protection);
    seal_crc(&s);
    assert_refused(parse(&s, &parts, &err), NC_E_KEYRING_PROTECTION);
  }
}

Test(keyring_protected, refuses_a_cost_that_nobody_could_bear) { /* [R5] */
  static const struct {
    nc_scrypt_cost cost;
    bool good;
  } costs[] = {
      {{1, 1, 1}, true},    {{17, 8, 1}, true},    {{20, 8, 1}, true},    {{20, 8, 2}, true},
      {{22, 2, 1}, true},   {{15, 1, 16}, true},   {{18, 32, 2}, true},   {{0, 8, 1}, false},
      {{17, 0, 1}, false},  {{17, 8, 0}, false},   {{23, 1, 1}, false},   {{22, 3, 1}, false},
      {{21, 5, 1}, false},  {{20, 9, 1}, false},   {{20, 8, 3}, false},   {{10, 33, 1}, false},
      {{10, 8, 17}, false}, {{16, 1, 1}, false},   {{64, 8, 1}, false},   {{65, 8, 1}, false},
      {{255, 1, 1}, false}, {{17, 255, 1}, false}, {{17, 8, 255}, false},
  };
  for (size_t i = 0; i < ARRAY_LENGTH(costs); i++) {
    nacre_error err;
    nc_keyring_parts parts;
    sample s = sample_of(1, costs[i].cost);
    if (costs[i].good) {
      assert_ok(parse(&s, &parts, &err));
    } else {
      assert_refused(parse(&s, &parts, &err), NC_E_KEYRING_COST);
    }
  }
}
