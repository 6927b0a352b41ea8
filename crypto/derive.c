/* SPDX-License-Identifier: Apache-2.0
 *
 * derive: OpenSSL's HMAC, HKDF-Expand over it, and its scrypt; contexts are made and wiped with each call.
 */
#include "derive.h"

#include "coding.h"
#include "secret.h"

#include <openssl/err.h>
#include <openssl/evp.h>

enum {
  LABEL_BYTES_MAX = 16,
  CONTEXT_BYTES_MAX = 128,
  INFO_BYTES_MAX = 1 + LABEL_BYTES_MAX + 2 + CONTEXT_BYTES_MAX,
  HASH_BYTES = 32,
  EXPAND_BYTES_MAX = 255 * HASH_BYTES
};

const char *nc_label_text(nc_label label) {
  switch (label) {
    case NC_LABEL_WRAP:
      return "wrap";
    case NC_LABEL_KEK_COMMIT:
      return "kek-commit";
    case NC_LABEL_KEYFILE_MAC:
      return "keyfile-mac";
    case NC_LABEL_CURRENT_MAC:
      return "current-mac";
    case NC_LABEL_DATA:
      return "data";
    case NC_LABEL_DEK_COMMIT:
      return "dek-commit";
    case NC_LABEL_KEYRING:
      return "keyring";
    case NC_LABEL_KEYRING_COMMIT:
      return "keyring-commit";
  }
  return "";
}

/* u8 len ‖ label ‖ u16 len ‖ context: the lengths keep one label's input from being another's. 0 when it is
 * too long. */
static size_t encode_info(nc_label label, nacre_slice context, uint8_t info[INFO_BYTES_MAX]) {
  const char *text = nc_label_text(label);
  size_t size = strlen(text);
  nc_writer w = nc_writer_over(info, INFO_BYTES_MAX);
  if (size == 0 || size > LABEL_BYTES_MAX || context.size > CONTEXT_BYTES_MAX) return 0;
  nc_write_u8(&w, (uint8_t)size);
  nc_write_bytes(&w, text, size);
  nc_write_u16(&w, (uint16_t)context.size);
  nc_write_bytes(&w, context.data, context.size);
  return w.failed ? 0 : w.size;
}

/* ---- HMAC-SHA256 --------------------------------------------------------------------------------------- */

/* A context of the env's own, which has its digest already: looking that up by name with every call would cost more
 * than the hashing. */
static EVP_MAC_CTX *new_hmac(nc_env *env) { return EVP_MAC_CTX_dup(env->hmac); }

/* The text comes in parts. A context serves one call after the other. */
static bool hmac(EVP_MAC_CTX *ctx, const uint8_t *key, const nacre_slice *parts, size_t count, uint8_t *out) {
  bool good = ctx != NULL && EVP_MAC_init(ctx, key, NC_DERIVE_KEY_BYTES, NULL) == 1;
  for (size_t i = 0; i < count && good; i++)
    good = parts[i].size == 0 || EVP_MAC_update(ctx, parts[i].data, parts[i].size) == 1;
  size_t size = 0;
  return good && EVP_MAC_final(ctx, out, &size, HASH_BYTES) == 1 && size == HASH_BYTES;
}

nacre_status nc_hmac(nc_env *env, const uint8_t key[32], nacre_slice data, uint8_t out[32],
                     nacre_error *err) {
  ERR_set_mark();
  EVP_MAC_CTX *ctx = new_hmac(env);
  bool good = hmac(ctx, key, &data, 1, out);
  EVP_MAC_CTX_free(ctx); /* wipes */
  ERR_pop_to_mark();
  return good ? NACRE_OK : nc_fail(err, NC_E_OPENSSL, "computing an HMAC");
}

/* ---- derivation ---------------------------------------------------------------------------------------- */

/* T(n) = HMAC(K, T(n - 1) ‖ info ‖ n); the output is T(1) ‖ T(2) ‖ ... */
static bool expand(EVP_MAC_CTX *ctx, const uint8_t *key, nacre_slice info, uint8_t *out, size_t size) {
  NC_SECRET(t);
  size_t before = 0;
  bool good = true;
  for (uint8_t n = 1; size > 0 && good; n++) {
    const nacre_slice parts[] = {{t.bytes, before}, info, {&n, 1}};
    good = hmac(ctx, key, parts, 3, t.bytes);
    before = size < HASH_BYTES ? size : HASH_BYTES;
    memcpy(out, t.bytes, before);
    out += before;
    size -= before;
  }
  return good;
}

nacre_status nc_hkdf_expand(nc_env *env, const uint8_t key[NC_DERIVE_KEY_BYTES], nacre_slice info,
                            uint8_t *out, size_t size, nacre_error *err) {
  bool good = false;
  if (size <= EXPAND_BYTES_MAX) {
    ERR_set_mark();
    EVP_MAC_CTX *ctx = new_hmac(env);
    good = expand(ctx, key, info, out, size);
    EVP_MAC_CTX_free(ctx);
    ERR_pop_to_mark();
  }
  if (good) return NACRE_OK;
  nc_wipe(out, size);
  return nc_fail(err, size > EXPAND_BYTES_MAX ? NC_E_SEAL_ARGUMENT : NC_E_OPENSSL, "HKDF-Expand to %zu bytes", size);
}

nacre_status nc_derive(nc_env *env, const uint8_t key[NC_DERIVE_KEY_BYTES], nc_label label,
                       nacre_slice context, uint8_t *out, size_t size, nacre_error *err) {
  uint8_t info[INFO_BYTES_MAX];
  size_t info_size = encode_info(label, context, info);
  if (info_size == 0)
    return nc_fail(err, NC_E_SEAL_ARGUMENT, "a derivation's context of %zu bytes", context.size);
  return nc_hkdf_expand(env, key, nc_slice(info, info_size), out, size, err);
}

/* ---- scrypt -------------------------------------------------------------------------------------------- */

/* OpenSSL refuses to work above a limit of its own (32 MiB) unless it is told another. Its sum is 128 r (N
 * + p) and some blocks. */
static uint64_t scrypt_memory(uint64_t n, uint32_t r, uint32_t p) { return 128 * (uint64_t)r * (n + p + 8); }

nacre_status nc_scrypt(nacre_slice passphrase, nacre_slice salt, uint64_t n, uint32_t r, uint32_t p,
                       uint8_t *out, size_t size, nacre_error *err) {
  const char *text = passphrase.size > 0 ? passphrase.data : "";
  ERR_set_mark();
  bool good = n <= UINT32_MAX && EVP_PBE_scrypt(text, passphrase.size, salt.data, salt.size, n, r, p,
                                                scrypt_memory(n, r, p), out, size) == 1;
  bool memory = !good && ERR_GET_REASON(ERR_peek_last_error()) == ERR_R_MALLOC_FAILURE;
  ERR_pop_to_mark();
  if (good) return NACRE_OK;
  nc_wipe(out, size);
  unsigned long long shown = n;
  if (memory) return nc_fail(err, NC_E_NO_MEMORY, "scrypt with N %llu, r %u", shown, r);
  return nc_fail(err, NC_E_OPENSSL, "scrypt with N %llu, r %u, p %u", shown, r, p);
}
