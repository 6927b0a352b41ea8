/* SPDX-License-Identifier: Apache-2.0
 *
 * Derivation: HMAC against RFC 4231, a plain HKDF-Expand over it against RFC 5869, and nc_derive against
 * that; scrypt against RFC 7914.
 */
#include "derive.h"

#include <criterion/criterion.h>

#include "support.h"

static nacre_error err;

static nc_env *make_env(void) {
  nc_env *env;
  must(nc_env_create(NULL, &env, &err));
  return env;
}

/* RFC 5869, section 2.3, as it is written there. */
static void expand(nc_env *env, const uint8_t *prk, const uint8_t *info, size_t info_size, uint8_t *out,
                   size_t size) {
  uint8_t block[32 + 256 + 1], t[32];
  size_t t_size = 0;
  for (uint8_t n = 1; size > 0; n++) {
    memcpy(block, t, t_size);
    memcpy(block + t_size, info, info_size);
    block[t_size + info_size] = n;
    must(nc_hmac(env, prk, nc_slice(block, t_size + info_size + 1), t, &err));
    t_size = 32;
    size_t take = size < 32 ? size : 32;
    memcpy(out, t, take);
    out += take;
    size -= take;
  }
}

Test(derive, hmac_agrees_with_rfc_4231) {
  nc_env *env = make_env();
  uint8_t key[32] = {0}, mac[32], wanted[32];
  memset(key, 0x0b, 20); /* test case 1; HMAC pads keys with zeros, so 32 bytes are the same key */
  from_hex("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7", wanted, sizeof wanted);
  must(nc_hmac(env, key, nc_slice("Hi There", 8), mac, &err));
  cr_assert_eq(memcmp(mac, wanted, 32), 0);
  must(nc_hmac(env, key, nc_slice(NULL, 0), mac, &err));
  nc_env_destroy(env);
}

Test(derive, expand_agrees_with_rfc_5869) {
  nc_env *env = make_env();
  uint8_t prk[32], info[10], wanted[42], out[42];
  from_hex("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5", prk, sizeof prk); /* A.1 */
  from_hex("f0f1f2f3f4f5f6f7f8f9", info, sizeof info);
  from_hex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865", wanted,
           sizeof wanted);
  expand(env, prk, info, sizeof info, out, sizeof out);
  cr_assert_eq(memcmp(out, wanted, sizeof out), 0);
  nc_env_destroy(env);
}

Test(derive, is_expand_over_label_and_context) {
  nc_env *env = make_env();
  uint8_t key[32], context[64], out[44], wanted[44], info[256];
  for (size_t i = 0; i < 32; i++) key[i] = (uint8_t)(i * 7);
  memset(context, 0x3C, sizeof context);
  for (int label = NC_LABEL_WRAP; label <= NC_LABEL_KEYRING_COMMIT; label++) {
    const char *text = nc_label_text((nc_label)label);
    size_t length = strlen(text), size = 0;
    info[size++] = (uint8_t)length;
    memcpy(info + size, text, length);
    size += length;
    info[size++] = sizeof context;
    info[size++] = 0;
    memcpy(info + size, context, sizeof context);
    expand(env, key, info, size + sizeof context, wanted, sizeof wanted);
    must(nc_derive(env, key, (nc_label)label, nc_slice(context, sizeof context), out, sizeof out, &err));
    cr_assert_eq(memcmp(out, wanted, sizeof out), 0, "%s", text);
  }
  nc_env_destroy(env);
}

Test(derive, labels_differ) {
  nc_env *env = make_env();
  enum { LABELS = NC_LABEL_KEYRING_COMMIT + 1 };
  uint8_t key[32] = {1}, out[LABELS][32];
  for (int a = 0; a < LABELS; a++) {
    must(nc_derive(env, key, (nc_label)a, nc_slice(NULL, 0), out[a], 32, &err));
    for (int b = 0; b < a; b++) cr_assert_neq(memcmp(out[a], out[b], 32), 0);
  }
  nc_env_destroy(env);
}

Test(derive, refuses_a_context_that_is_too_long) {
  nc_env *env = make_env();
  uint8_t key[32] = {1}, context[200] = {0}, out[32], big[8200];
  must_fail(nc_derive(env, key, NC_LABEL_DATA, nc_slice(context, sizeof context), out, 32, &err),
            NC_E_SEAL_ARGUMENT);
  must_fail(nc_derive(env, key, NC_LABEL_DATA, nc_slice(context, 1), big, sizeof big, &err),
            NC_E_SEAL_ARGUMENT);
  nc_env_destroy(env);
}

/* Section 12, but for the last vector, which takes 1 GiB. */
Test(derive, scrypt_agrees_with_rfc_7914) {
  static const struct {
    const char *passphrase, *salt, *wanted;
    uint64_t n;
    uint32_t r, p;
  } vectors[] = {
      {"", "",
       "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442"
       "fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906",
       16, 1, 1},
      {"password", "NaCl",
       "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
       "2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640",
       1024, 8, 16},
      {"pleaseletmein", "SodiumChloride",
       "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
       "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887",
       16384, 8, 1},
  };
  for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
    uint8_t out[64], wanted[64];
    from_hex(vectors[i].wanted, wanted, sizeof wanted);
    must(nc_scrypt(nc_slice(vectors[i].passphrase, strlen(vectors[i].passphrase)),
                   nc_slice(vectors[i].salt, strlen(vectors[i].salt)), vectors[i].n, vectors[i].r,
                   vectors[i].p, out, sizeof out, &err));
    cr_assert_eq(memcmp(out, wanted, sizeof out), 0, "vector %zu", i);
  }
}

/* OpenSSL stops at 32 MiB unless it is told that more is meant. */
Test(derive, scrypt_may_use_the_memory_that_its_cost_asks_for) {
  uint8_t out[32];
  must(nc_scrypt(nc_slice("x", 1), nc_slice("salt", 4), (uint64_t)1 << 17, 8, 1, out, sizeof out, &err));
  must(nc_scrypt(nc_slice("x", 1), nc_slice("salt", 4), (uint64_t)1 << 10, 32, 16, out, sizeof out, &err));
}

Test(derive, scrypt_refuses_what_the_rfc_excludes) {
  uint8_t out[32], zero[32] = {0};
  static const struct {
    uint64_t n;
    uint32_t r, p;
  } bad[] = {
      {0, 8, 1}, {1, 8, 1}, {1000, 8, 1}, {16, 0, 1}, {16, 8, 0}, {65536, 1, 1}, {(uint64_t)1 << 33, 8, 1}};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    memset(out, 1, sizeof out);
    must_fail(nc_scrypt(nc_slice("x", 1), nc_slice("salt", 4), bad[i].n, bad[i].r, bad[i].p, out, 32, &err),
              NC_E_OPENSSL);
    cr_assert_eq(memcmp(out, zero, 32), 0);
  }
}
