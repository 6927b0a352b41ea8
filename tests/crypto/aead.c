/* SPDX-License-Identifier: Apache-2.0
 *
 * AES-256-GCM against the vectors of its specification (McGrew and Viega, appendix B), and every bit flip
 * refused.
 */
#include "aead.h"

#include <criterion/criterion.h>
#include <openssl/err.h>

#include "support.h"

static nacre_error err;

typedef struct vector {
  const char *key, *nonce, *aad, *plaintext, *ciphertext, *tag;
} vector;

#define ZERO_KEY "0000000000000000000000000000000000000000000000000000000000000000"
#define KEY "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"
#define TEXT_60                                                      \
  "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72" \
  "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
#define SEALED_60                                                    \
  "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa" \
  "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"

static const vector vectors[] = {
    {ZERO_KEY, "000000000000000000000000", "", "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
    {ZERO_KEY, "000000000000000000000000", "", "00000000000000000000000000000000",
     "cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919"},
    {KEY, "cafebabefacedbaddecaf888", "", TEXT_60 "1aafd255", SEALED_60 "898015ad",
     "b094dac5d93471bdec1a502270e3cc6c"},
    {KEY, "cafebabefacedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2", TEXT_60, SEALED_60,
     "76fc6ece0f4e1768cddf8853bb2d551b"},
};

static nc_aead *make(nc_env *env, const char *key_hex, bool sealing) {
  uint8_t key[32];
  nc_aead *aead;
  from_hex(key_hex, key, sizeof key);
  must(nc_aead_create(env, key, sealing, &aead, &err));
  return aead;
}

static nc_env *make_env(void) {
  nc_env *env;
  must(nc_env_create(NULL, &env, &err));
  return env;
}

Test(aead, agrees_with_the_specification) {
  nc_env *env = make_env();
  for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
    const vector *v = &vectors[i];
    uint8_t nonce[12], aad[64], text[64], wanted[64], wanted_tag[16], out[64], tag[16];
    from_hex(v->nonce, nonce, sizeof nonce);
    nacre_slice with = {aad, from_hex(v->aad, aad, sizeof aad)};
    nacre_slice plain = {text, from_hex(v->plaintext, text, sizeof text)};
    from_hex(v->ciphertext, wanted, sizeof wanted);
    from_hex(v->tag, wanted_tag, sizeof wanted_tag);
    nc_aead *sealer = make(env, v->key, true), *opener = make(env, v->key, false);
    must(nc_aead_seal(sealer, nonce, with, plain, out, tag, &err));
    cr_assert_eq(memcmp(out, wanted, plain.size), 0, "vector %zu", i);
    cr_assert_eq(memcmp(tag, wanted_tag, 16), 0, "vector %zu", i);
    must(nc_aead_open(opener, nonce, with, nc_slice(out, plain.size), tag, out, &err)); /* in place */
    cr_assert_eq(memcmp(out, text, plain.size), 0, "vector %zu", i);
    nc_aead_destroy(sealer);
    nc_aead_destroy(opener);
  }
  nc_env_destroy(env);
}

/* Flips each bit of `bytes` in turn, and wants each to be refused. */
static void refuse_flips(nc_aead *opener, uint8_t *bytes, size_t size, const uint8_t *nonce, nacre_slice aad,
                         nacre_slice sealed, const uint8_t *tag) {
  uint8_t out[64], zero[64] = {0};
  for (size_t bit = 0; bit < size * 8; bit++) {
    bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    memset(out, 0xEE, sizeof out);
    must_fail(nc_aead_open(opener, nonce, aad, sealed, tag, out, &err), NC_E_AEAD_TAG);
    cr_assert_eq(memcmp(out, zero, sealed.size), 0, "unauthentic plaintext must be wiped");
    bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
  }
  must(nc_aead_open(opener, nonce, aad, sealed, tag, out, &err));
}

Test(aead, refuses_every_flipped_bit) {
  nc_env *env = make_env();
  uint8_t nonce[12], aad[20], text[60], sealed[60], tag[16];
  nc_aead *sealer = make(env, KEY, true), *opener = make(env, KEY, false);
  from_hex(vectors[3].nonce, nonce, sizeof nonce);
  from_hex(vectors[3].aad, aad, sizeof aad);
  from_hex(vectors[3].plaintext, text, sizeof text);
  nacre_slice with = {aad, sizeof aad}, out = {sealed, sizeof sealed};
  must(nc_aead_seal(sealer, nonce, with, nc_slice(text, sizeof text), sealed, tag, &err));
  refuse_flips(opener, tag, sizeof tag, nonce, with, out, tag);
  refuse_flips(opener, nonce, sizeof nonce, nonce, with, out, tag);
  refuse_flips(opener, aad, sizeof aad, nonce, with, out, tag);
  refuse_flips(opener, sealed, sizeof sealed, nonce, with, out, tag);
  nc_aead_destroy(sealer);
  nc_aead_destroy(opener);
  nc_env_destroy(env);
}

Test(aead, refuses_lengths_that_openssl_cannot_count) {
  nc_env *env = make_env();
  nc_aead *sealer = make(env, KEY, true);
  uint8_t nonce[12] = {0}, tag[16], byte = 0;
  nacre_slice huge = {&byte, (size_t)1 << 31}, empty = {NULL, 0};
  must_fail(nc_aead_seal(sealer, nonce, empty, huge, &byte, tag, &err), NC_E_FRAME_TOO_LARGE);
  must_fail(nc_aead_seal(sealer, nonce, huge, empty, &byte, tag, &err), NC_E_FRAME_TOO_LARGE);
  must_fail(nc_aead_open(sealer, nonce, empty, huge, tag, &byte, &err), NC_E_FRAME_TOO_LARGE);
  nc_aead_destroy(sealer);
  nc_env_destroy(env);
}

/* A context made to seal cannot open: OpenSSL takes no expected tag there. Its complaint is not left for the
 * host to find. */
Test(aead, leaves_the_hosts_openssl_errors_as_they_were) {
  nc_env *env = make_env();
  uint8_t nonce[12] = {0}, tag[16] = {0}, text[4] = {0};
  nc_aead *sealer = make(env, KEY, true), *opener = make(env, KEY, false);
  nacre_slice empty = {NULL, 0};
  ERR_clear_error();
  ERR_raise(ERR_LIB_USER, 77);
  must_fail(nc_aead_open(sealer, nonce, empty, nc_slice(text, 4), tag, text, &err), NC_E_OPENSSL);
  must_fail(nc_aead_seal(opener, nonce, empty, nc_slice(text, 4), text, tag, &err), NC_E_OPENSSL);
  must_fail(nc_aead_open(opener, nonce, empty, nc_slice(text, 4), tag, text, &err), NC_E_AEAD_TAG);
  cr_assert_eq(ERR_GET_REASON(ERR_get_error()), 77);
  cr_assert_eq(ERR_get_error(), 0);
  nc_aead_destroy(sealer);
  nc_aead_destroy(opener);
  nc_env_destroy(env);
}
