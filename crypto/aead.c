/* SPDX-License-Identifier: Apache-2.0
 *
 * aead: AES-256-GCM through OpenSSL's EVP. The key is set once; each operation sets only a nonce, which
 * spares the key schedule.
 */
#include "aead.h"

#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdlib.h>

struct nc_aead {
  EVP_CIPHER_CTX *ctx;
};

_Static_assert((int)NC_AEAD_NONCE_BYTES == (int)NC_NONCE_BYTES, "frames and the AEAD agree on the nonce");
_Static_assert((int)NC_AEAD_TAG_BYTES == (int)NC_FRAME_TAG_BYTES, "frames and the AEAD agree on the tag");

/* OpenSSL queues errors for the host program to find; what Nacre caused it takes away again. */
static nacre_status openssl_fail(nacre_error *err, const char *doing) {
  ERR_pop_to_mark();
  return nc_fail(err, NC_E_OPENSSL, "%s", doing);
}

nacre_status nc_aead_create(nc_env *env, const uint8_t key[NC_AEAD_KEY_BYTES], bool sealing,
                            nc_aead **ret_aead, nacre_error *err) {
  nc_aead *aead = calloc(1, sizeof *aead);
  if (aead == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  ERR_set_mark();
  aead->ctx = EVP_CIPHER_CTX_new();
  if (aead->ctx == NULL ||
      EVP_CipherInit_ex2(aead->ctx, env->cipher, key, NULL, sealing ? 1 : 0, NULL) != 1) {
    nc_aead_destroy(aead);
    return openssl_fail(err, "setting a key");
  }
  ERR_pop_to_mark();
  *ret_aead = aead;
  return NACRE_OK;
}

void nc_aead_destroy(nc_aead *aead) {
  if (aead == NULL) return;
  EVP_CIPHER_CTX_free(aead->ctx);
  free(aead);
}

/* Nonce, additional data, then the text itself. EVP takes no update of zero bytes. */
static bool run(nc_aead *aead, const uint8_t *nonce, nacre_slice aad, nacre_slice in, uint8_t *out) {
  int done = 0;
  if (EVP_CipherInit_ex2(aead->ctx, NULL, NULL, nonce, -1, NULL) != 1) return false;
  if (aad.size > 0 && EVP_CipherUpdate(aead->ctx, NULL, &done, aad.data, (int)aad.size) != 1) return false;
  return in.size == 0 || EVP_CipherUpdate(aead->ctx, out, &done, in.data, (int)in.size) == 1;
}

static bool finish(nc_aead *aead) {
  uint8_t nothing[EVP_MAX_BLOCK_LENGTH]; /* GCM has no last block */
  int done = 0;
  return EVP_CipherFinal_ex(aead->ctx, nothing, &done) == 1;
}

/* The tag's own parameter: EVP_CIPHER_CTX_ctrl comes to the same by a longer way. */
static OSSL_PARAM tag_param(uint8_t *tag) {
  return OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag, NC_AEAD_TAG_BYTES);
}

static bool lengths_fit(nacre_slice aad, nacre_slice text) {
  return aad.size <= INT_MAX && text.size <= INT_MAX;
}

nacre_status nc_aead_seal(nc_aead *aead, const uint8_t nonce[NC_AEAD_NONCE_BYTES], nacre_slice aad,
                          nacre_slice plaintext, uint8_t *ciphertext, uint8_t tag[NC_AEAD_TAG_BYTES],
                          nacre_error *err) {
  if (!lengths_fit(aad, plaintext)) return nc_fail(err, NC_E_FRAME_TOO_LARGE, "%zu bytes", plaintext.size);
  OSSL_PARAM params[] = {tag_param(tag), OSSL_PARAM_construct_end()};
  ERR_set_mark();
  if (!run(aead, nonce, aad, plaintext, ciphertext) || !finish(aead) ||
      EVP_CIPHER_CTX_get_params(aead->ctx, params) != 1) {
    return openssl_fail(err, "sealing");
  }
  ERR_pop_to_mark();
  return NACRE_OK;
}

nacre_status nc_aead_open(nc_aead *aead, const uint8_t nonce[NC_AEAD_NONCE_BYTES], nacre_slice aad,
                          nacre_slice ciphertext, const uint8_t tag[NC_AEAD_TAG_BYTES], uint8_t *plaintext,
                          nacre_error *err) {
  if (!lengths_fit(aad, ciphertext)) return nc_fail(err, NC_E_FRAME_TOO_LARGE, "%zu bytes", ciphertext.size);
  uint8_t expected[NC_AEAD_TAG_BYTES]; /* a parameter is no const */
  memcpy(expected, tag, sizeof expected);
  const OSSL_PARAM params[] = {tag_param(expected), OSSL_PARAM_construct_end()};
  ERR_set_mark();
  if (!run(aead, nonce, aad, ciphertext, plaintext) || EVP_CIPHER_CTX_set_params(aead->ctx, params) != 1) {
    nc_wipe(plaintext, ciphertext.size);
    return openssl_fail(err, "opening");
  }
  bool authentic = finish(aead);
  ERR_pop_to_mark();
  if (authentic) return NACRE_OK;
  nc_wipe(plaintext, ciphertext.size);
  return nc_fail(err, NC_E_AEAD_TAG, NULL);
}
