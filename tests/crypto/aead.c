/* SPDX-License-Identifier: Apache-2.0
 *
 * AES-256-GCM by every back end there is: against the vectors of its specification (McGrew and Viega, appendix B),
 * every bit flip refused, and one against the other.
 */
#include "aead.h"

#include <criterion/criterion.h>
#include <openssl/err.h>
#include <stdlib.h>

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

/* For every back end there is: an env that takes it. */
static const nc_aead_backend *backend_at(size_t i) {
  const nc_aead_backend *all[] = {nc_aead_openssl(), nc_aead_ipsec_mb()};
  return i < sizeof all / sizeof all[0] ? all[i] : NULL;
}
static nc_env *make_env(const nc_aead_backend *backend) {
  nc_env *env;
  must(nc_env_create(NULL, &env, &err));
  env->aead = backend;
  return env;
}
#define EACH_BACKEND(test) \
  for (size_t each = 0; backend_at(each) != NULL; each++) test(backend_at(each))

static void check_vectors(const nc_aead_backend *backend) {
  nc_env *env = make_env(backend);
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
Test(aead, agrees_with_the_specification) { EACH_BACKEND(check_vectors); }

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

static void check_flips(const nc_aead_backend *backend) {
  nc_env *env = make_env(backend);
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
Test(aead, refuses_every_flipped_bit) { EACH_BACKEND(check_flips); }

static void check_lengths(const nc_aead_backend *backend) {
  nc_env *env = make_env(backend);
  nc_aead *sealer = make(env, KEY, true), *opener = make(env, KEY, false);
  uint8_t nonce[12] = {0}, tag[16], byte = 0;
  nacre_slice huge = {&byte, (size_t)1 << 31}, empty = {NULL, 0};
  must_fail(nc_aead_seal(sealer, nonce, empty, huge, &byte, tag, &err), NC_E_FRAME_TOO_LARGE);
  must_fail(nc_aead_seal(sealer, nonce, huge, empty, &byte, tag, &err), NC_E_FRAME_TOO_LARGE);
  must_fail(nc_aead_open(opener, nonce, empty, huge, tag, &byte, &err), NC_E_FRAME_TOO_LARGE);
  nc_aead_destroy(sealer);
  nc_aead_destroy(opener);
  nc_env_destroy(env);
}
Test(aead, refuses_lengths_that_openssl_cannot_count) { EACH_BACKEND(check_lengths); }

static void check_directions(const nc_aead_backend *backend) {
  nc_env *env = make_env(backend);
  uint8_t nonce[12] = {0}, tag[16] = {0}, text[4] = {0};
  nc_aead *sealer = make(env, KEY, true), *opener = make(env, KEY, false);
  nacre_slice empty = {NULL, 0};
  must_fail(nc_aead_open(sealer, nonce, empty, nc_slice(text, 4), tag, text, &err), NC_E_AEAD_DIRECTION);
  must_fail(nc_aead_seal(opener, nonce, empty, nc_slice(text, 4), text, tag, &err), NC_E_AEAD_DIRECTION);
  nc_aead_destroy(sealer);
  nc_aead_destroy(opener);
  nc_env_destroy(env);
}
Test(aead, opens_with_nothing_that_was_made_to_seal) { EACH_BACKEND(check_directions); }

/* OpenSSL takes no expected tag where it was to seal. Its complaint is not left for the host to find. */
Test(aead, leaves_the_hosts_openssl_errors_as_they_were) {
  nc_env *env = make_env(nc_aead_openssl());
  uint8_t nonce[12] = {0}, tag[16] = {0}, text[4] = {0};
  nc_aead *sealer = make(env, KEY, true), *opener = make(env, KEY, false);
  nacre_slice empty = {NULL, 0};
  ERR_clear_error();
  ERR_raise(ERR_LIB_USER, 77);
  must_fail(nc_aead_openssl()->open(sealer, nonce, empty, nc_slice(text, 4), tag, text, &err), NC_E_OPENSSL);
  must_fail(nc_aead_open(opener, nonce, empty, nc_slice(text, 4), tag, text, &err), NC_E_AEAD_TAG);
  cr_assert_eq(ERR_GET_REASON(ERR_get_error()), 77);
  cr_assert_eq(ERR_get_error(), 0);
  nc_aead_destroy(sealer);
  nc_aead_destroy(opener);
  nc_env_destroy(env);
}

/* ---- one back end beside the other --------------------------------------------------------------------- */

enum { TEXT_MAX = 2100, TAILS = 32 };

/* Seals `size` bytes that begin `shift` bytes into their buffer, over themselves or beside; `sealed` has the tag
 * behind the text. Nothing around the output changes. */
static void seal_shifted(nc_aead *sealer, size_t size, size_t shift, bool in_place, uint8_t *sealed) {
  static const uint8_t nonce[12] = {7, 1, 2}, aad[8] = {1, 2, 3};
  uint8_t text[TEXT_MAX + 2 * TAILS], out[TEXT_MAX + 2 * TAILS];
  for (size_t i = 0; i < sizeof text; i++) text[i] = (uint8_t)(i * 31);
  memset(out, 0xA5, sizeof out);
  if (in_place) memcpy(out + shift, text, size);
  must(nc_aead_seal(sealer, nonce, nc_slice(aad, size % sizeof aad),
                    nc_slice(in_place ? out + shift : text, size), out + shift, sealed + size, &err));
  for (size_t i = 0; i < sizeof out; i++)
    cr_assert(out[i] == 0xA5 || (i >= shift && i < shift + size), "%zu bytes: byte %zu", size, i);
  memcpy(sealed, out + shift, size);
}

static void check_agreement(nc_aead *sealers[2], nc_aead *openers[2], size_t size) {
  static const uint8_t nonce[12] = {7, 1, 2}, aad[8] = {1, 2, 3};
  uint8_t sealed[2][TEXT_MAX + 16], text[TEXT_MAX];
  for (size_t i = 0; i < 2; i++)
    seal_shifted(sealers[i], size, (size + i) % TAILS, (size + i) % 2 == 0, sealed[i]);
  cr_assert_eq(memcmp(sealed[0], sealed[1], size + 16), 0, "%zu bytes", size);
  for (size_t i = 0; i < 2; i++) {
    must(nc_aead_open(openers[i], nonce, nc_slice(aad, size % sizeof aad), nc_slice(sealed[1 - i], size),
                      sealed[1 - i] + size, text, &err));
    for (size_t j = 0; j < size; j++)
      cr_assert_eq(text[j], (uint8_t)(j * 31), "%zu bytes: byte %zu", size, j);
  }
}

Test(aead, every_back_end_computes_the_same) {
  if (nc_aead_ipsec_mb() == NULL) return; /* there is but one here */
  nc_env *envs[2];
  nc_aead *sealers[2], *openers[2];
  for (size_t i = 0; i < 2; i++) {
    envs[i] = make_env(backend_at(i));
    sealers[i] = make(envs[i], KEY, true);
    openers[i] = make(envs[i], KEY, false);
  }
  for (size_t size = 0; size <= TEXT_MAX; size += size < 600 ? 1 : 37)
    check_agreement(sealers, openers, size);
  for (size_t i = 0; i < 2; i++) {
    nc_aead_destroy(sealers[i]);
    nc_aead_destroy(openers[i]);
    nc_env_destroy(envs[i]);
  }
}

Test(aead, a_key_schedule_of_ipsec_mb_lies_in_private_memory) {
  if (nc_aead_ipsec_mb() == NULL) return;
  nc_env *env = make_env(nc_aead_ipsec_mb());
  uint64_t before = nc_heap_bytes(env->heap);
  nc_aead *opener = make(env, KEY, false);
  cr_assert_geq(nc_heap_bytes(env->heap), before + 15 * 16);
  nc_aead_destroy(opener);
  cr_assert_eq(nc_heap_bytes(env->heap), before);
  nc_env_destroy(env);
}

Test(aead, the_environment_may_insist_on_a_back_end) {
  const nc_aead_backend *ipsec = nc_aead_ipsec_mb(), *fastest = ipsec != NULL ? ipsec : nc_aead_openssl();
  nc_env *env = NULL;
  static const char *const any[] = {NULL, ""};
  for (size_t i = 0; i < 2; i++) {
    const nc_aead_backend *chosen = NULL;
    must(nc_aead_choose(any[i], &chosen, &err));
    cr_assert_eq(chosen, fastest);
  }
  cr_assert_eq(setenv("NACRE_AEAD", "openssl", 1), 0);
  must(nc_env_create(NULL, &env, &err));
  cr_assert_eq(env->aead, nc_aead_openssl());
  nc_env_destroy(env);
  cr_assert_eq(setenv("NACRE_AEAD", "ipsec-mb", 1), 0);
  if (ipsec == NULL) {
    must_fail(nc_env_create(NULL, &env, &err), NC_E_AEAD_BACKEND);
  } else {
    must(nc_env_create(NULL, &env, &err));
    cr_assert_eq(env->aead, ipsec);
    nc_env_destroy(env);
  }
  cr_assert_eq(setenv("NACRE_AEAD", "OpenSSL", 1), 0);
  must_fail(nc_env_create(NULL, &env, &err), NC_E_AEAD_BACKEND);
}
