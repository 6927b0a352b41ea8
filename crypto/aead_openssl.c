/* SPDX-License-Identifier: Apache-2.0
 *
 * aead_openssl: AES-256-GCM through OpenSSL's EVP. A context's key is set once; each operation sets only a nonce,
 * which spares the key schedule.
 *
 * A context serves one thread at a time. To seal there is one; to open, the key is kept in private memory, and
 * contexts are made of it as threads need them. The pool of those is an array of atomic pointers, taken by
 * exchange: no lock on the read path. Contexts live in OpenSSL's own memory, which it wipes when they are freed.
 */
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "aead.h"

enum { POOL_SIZE = 8 };

typedef struct openssl_aead {
  nc_aead base;
  nc_env *env;
  uint8_t *key; /* NULL to seal */
  _Atomic(EVP_CIPHER_CTX *)
      pool[POOL_SIZE]; /* NULL: taken, or never made. To seal: the first, always there */
} openssl_aead;

/* OpenSSL queues errors for the host program to find; what Nacre caused it takes away again. */
static nacre_status openssl_fail(nacre_error *err, const char *doing) {
  ERR_pop_to_mark();
  return nc_fail(err, NC_E_OPENSSL, "%s", doing);
}

static nacre_status make_context(nc_env *env, const uint8_t *key, bool sealing, EVP_CIPHER_CTX **ret_ctx,
                                 nacre_error *err) {
  ERR_set_mark();
  EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
  if (ctx == NULL || EVP_CipherInit_ex2(ctx, env->cipher, key, NULL, sealing ? 1 : 0, NULL) != 1) {
    EVP_CIPHER_CTX_free(ctx);
    return openssl_fail(err, "setting a key");
  }
  ERR_pop_to_mark();
  *ret_ctx = ctx;
  return NACRE_OK;
}

static void destroy(nc_aead *aead) {
  openssl_aead *a = (openssl_aead *)aead;
  for (size_t i = 0; i < POOL_SIZE; i++) EVP_CIPHER_CTX_free(atomic_load(&a->pool[i]));
  nc_heap_free(a->env->heap, a->key, NC_AEAD_KEY_BYTES);
  free(a);
}

static nacre_status keep_key(openssl_aead *a, const uint8_t *key, nacre_error *err) {
  a->key = nc_heap_alloc(a->env->heap, NC_AEAD_KEY_BYTES);
  if (a->key == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  memcpy(a->key, key, NC_AEAD_KEY_BYTES);
  return NACRE_OK;
}

static nacre_status create(nc_env *env, const uint8_t *key, bool sealing, nc_aead **ret_aead,
                           nacre_error *err) {
  openssl_aead *a = calloc(1, sizeof *a);
  EVP_CIPHER_CTX *ctx = NULL;
  if (a == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  a->env = env;
  nacre_status status = sealing ? make_context(env, key, true, &ctx, err) : keep_key(a, key, err);
  if (status != NACRE_OK) {
    destroy(&a->base);
    return status;
  }
  atomic_store(&a->pool[0], ctx);
  *ret_aead = &a->base;
  return NACRE_OK;
}

/* ---- contexts to open with ----------------------------------------------------------------------------- */

static nacre_status take(openssl_aead *a, EVP_CIPHER_CTX **ret_ctx, nacre_error *err) {
  for (size_t i = 0; i < POOL_SIZE; i++) {
    if (atomic_load_explicit(&a->pool[i], memory_order_relaxed) == NULL) continue;
    EVP_CIPHER_CTX *ctx = atomic_exchange_explicit(&a->pool[i], NULL, memory_order_acquire);
    if (ctx != NULL) {
      *ret_ctx = ctx;
      return NACRE_OK;
    }
  }
  return make_context(a->env, a->key, false, ret_ctx, err);
}

static void give_back(openssl_aead *a, EVP_CIPHER_CTX *ctx) {
  for (size_t i = 0; i < POOL_SIZE; i++) {
    EVP_CIPHER_CTX *none = NULL;
    if (atomic_compare_exchange_strong_explicit(&a->pool[i], &none, ctx, memory_order_release,
                                                memory_order_relaxed)) {
      return;
    }
  }
  EVP_CIPHER_CTX_free(ctx);
}

/* ---- sealing and opening ------------------------------------------------------------------------------- */

/* Nonce, additional data, then the text itself. EVP takes no update of zero bytes. */
static bool run(EVP_CIPHER_CTX *ctx, const uint8_t *nonce, nacre_slice aad, nacre_slice in, uint8_t *out) {
  int done = 0;
  if (EVP_CipherInit_ex2(ctx, NULL, NULL, nonce, -1, NULL) != 1) return false;
  if (aad.size > 0 && EVP_CipherUpdate(ctx, NULL, &done, aad.data, (int)aad.size) != 1) return false;
  return in.size == 0 || EVP_CipherUpdate(ctx, out, &done, in.data, (int)in.size) == 1;
}

static bool finish(EVP_CIPHER_CTX *ctx) {
  uint8_t nothing[EVP_MAX_BLOCK_LENGTH]; /* GCM has no last block */
  int done = 0;
  return EVP_CipherFinal_ex(ctx, nothing, &done) == 1;
}

/* The tag's own parameter: EVP_CIPHER_CTX_ctrl comes to the same by a longer way. */
static OSSL_PARAM tag_param(uint8_t *tag) {
  return OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag, NC_AEAD_TAG_BYTES);
}

static nacre_status seal(nc_aead *aead, const uint8_t *nonce, nacre_slice aad, nacre_slice plaintext,
                         uint8_t *ciphertext, uint8_t *tag, nacre_error *err) {
  EVP_CIPHER_CTX *ctx = atomic_load_explicit(&((openssl_aead *)aead)->pool[0], memory_order_relaxed);
  OSSL_PARAM params[] = {tag_param(tag), OSSL_PARAM_construct_end()};
  ERR_set_mark();
  if (!run(ctx, nonce, aad, plaintext, ciphertext) || !finish(ctx) ||
      EVP_CIPHER_CTX_get_params(ctx, params) != 1) {
    return openssl_fail(err, "sealing");
  }
  ERR_pop_to_mark();
  return NACRE_OK;
}

static nacre_status open_with(EVP_CIPHER_CTX *ctx, const uint8_t *nonce, nacre_slice aad,
                              nacre_slice ciphertext, const uint8_t *tag, uint8_t *plaintext,
                              nacre_error *err) {
  uint8_t expected[NC_AEAD_TAG_BYTES]; /* a parameter is no const */
  memcpy(expected, tag, sizeof expected);
  const OSSL_PARAM params[] = {tag_param(expected), OSSL_PARAM_construct_end()};
  ERR_set_mark();
  if (!run(ctx, nonce, aad, ciphertext, plaintext) || EVP_CIPHER_CTX_set_params(ctx, params) != 1)
    return openssl_fail(err, "opening");
  bool authentic = finish(ctx);
  ERR_pop_to_mark();
  return authentic ? NACRE_OK : nc_fail(err, NC_E_AEAD_TAG, NULL);
}

static nacre_status open(nc_aead *aead, const uint8_t *nonce, nacre_slice aad, nacre_slice ciphertext,
                         const uint8_t *tag, uint8_t *plaintext, nacre_error *err) {
  openssl_aead *a = (openssl_aead *)aead;
  EVP_CIPHER_CTX *ctx;
  NC_TRY(take(a, &ctx, err));
  nacre_status status = open_with(ctx, nonce, aad, ciphertext, tag, plaintext, err);
  give_back(a, ctx);
  return status;
}

const nc_aead_backend *nc_aead_openssl(void) {
  static const nc_aead_backend backend = {
      .name = "openssl", .create = create, .destroy = destroy, .seal = seal, .open = open};
  return &backend;
}
