/* SPDX-License-Identifier: Apache-2.0
 *
 * derive: HKDF-Expand, HMAC and scrypt through OpenSSL's EVP; contexts are made and wiped with each call.
 */
#include "derive.h"

#include "coding.h"
#include "secret.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

enum {
  LABEL_BYTES_MAX = 16,
  CONTEXT_BYTES_MAX = 128,
  INFO_BYTES_MAX = 1 + LABEL_BYTES_MAX + 2 + CONTEXT_BYTES_MAX
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

static bool expand(nc_env *env, const uint8_t *key, nacre_slice info, uint8_t *out, size_t size) {
  int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
  char digest[] = "SHA256";
  void *info_data = (void *)(uintptr_t)info.data; /* OSSL_PARAM takes no const */
  NC_SECRET(k);
  memcpy(k.bytes, key, NC_DERIVE_KEY_BYTES);
  OSSL_PARAM params[] = {
      OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, k.bytes, NC_DERIVE_KEY_BYTES),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info_data, info.size),
      OSSL_PARAM_construct_end(),
  };
  EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(env->kdf);
  bool good = ctx != NULL && EVP_KDF_derive(ctx, out, size, params) == 1;
  EVP_KDF_CTX_free(ctx);
  return good;
}

nacre_status nc_hkdf_expand(nc_env *env, const uint8_t key[NC_DERIVE_KEY_BYTES], nacre_slice info,
                            uint8_t *out, size_t size, nacre_error *err) {
  ERR_set_mark();
  bool good = expand(env, key, info, out, size);
  ERR_pop_to_mark();
  if (good) return NACRE_OK;
  nc_wipe(out, size);
  return nc_fail(err, NC_E_OPENSSL, "HKDF-Expand to %zu bytes", size);
}

nacre_status nc_derive(nc_env *env, const uint8_t key[NC_DERIVE_KEY_BYTES], nc_label label,
                       nacre_slice context, uint8_t *out, size_t size, nacre_error *err) {
  uint8_t info[INFO_BYTES_MAX];
  size_t info_size = encode_info(label, context, info);
  if (info_size == 0)
    return nc_fail(err, NC_E_SEAL_ARGUMENT, "a derivation's context of %zu bytes", context.size);
  if (nc_hkdf_expand(env, key, nc_slice(info, info_size), out, size, err) == NACRE_OK) return NACRE_OK;
  return nc_fail(err, NC_E_OPENSSL, "deriving \"%s\"", nc_label_text(label));
}

static bool authenticate(nc_env *env, const uint8_t *key, nacre_slice data, uint8_t *out) {
  char digest[] = "SHA256";
  const OSSL_PARAM params[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_end(),
  };
  size_t size = 0;
  EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(env->mac);
  bool good = ctx != NULL && EVP_MAC_init(ctx, key, 32, params) == 1 &&
              (data.size == 0 || EVP_MAC_update(ctx, data.data, data.size) == 1) &&
              EVP_MAC_final(ctx, out, &size, 32) == 1 && size == 32;
  EVP_MAC_CTX_free(ctx);
  return good;
}

nacre_status nc_hmac(nc_env *env, const uint8_t key[32], nacre_slice data, uint8_t out[32],
                     nacre_error *err) {
  ERR_set_mark();
  bool good = authenticate(env, key, data, out);
  ERR_pop_to_mark();
  return good ? NACRE_OK : nc_fail(err, NC_E_OPENSSL, "computing an HMAC");
}

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
