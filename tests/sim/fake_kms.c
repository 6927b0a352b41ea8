/* SPDX-License-Identifier: Apache-2.0
 *
 * A wrap is the table key under a keystream from (root key, context), and a digest of the three.
 */
#include "fake_kms.h"

#include <openssl/evp.h>
#include <string.h>

#include "support.h"

enum { DIGEST_BYTES = 32, WRAPPED_BYTES = NACRE_KMS_KEY_BYTES + DIGEST_BYTES };

static const char *const uris[FAKE_KMS_KEYS] = {"fake:zero", "fake:one", "fake:two", "fake:three"};

const char *fake_kms_uri(unsigned key) { return uris[key]; }

unsigned fake_kms_key_of(const char *uri) {
  unsigned key = 0;
  while (key < FAKE_KMS_KEYS && strcmp(uris[key], uri) != 0) key++;
  return key;
}

static void digest_of(unsigned root, nacre_slice context, const uint8_t *key, uint8_t digest[DIGEST_BYTES]) {
  EVP_MD_CTX *c = EVP_MD_CTX_new();
  if (c == NULL || EVP_DigestInit_ex(c, EVP_sha256(), NULL) != 1 ||
      EVP_DigestUpdate(c, &root, sizeof root) != 1 || EVP_DigestUpdate(c, context.data, context.size) != 1 ||
      (key != NULL && EVP_DigestUpdate(c, key, NACRE_KMS_KEY_BYTES) != 1) ||
      EVP_DigestFinal_ex(c, digest, NULL) != 1)
    test_die("SHA-256 failed");
  EVP_MD_CTX_free(c);
}

/* ---- faults -------------------------------------------------------------------------------------------- */

static bool has(atomic_uint *mask, unsigned key) { return (atomic_load(mask) >> key & 1) != 0; }

static nacre_status answer(fake_kms *kms, const nacre_kms_call *call, unsigned *ret_root,
                           fake_fault *ret_fault, nacre_error *err) {
  unsigned root = *ret_root = fake_kms_key_of(call->key.uri);
  uint64_t call_number = atomic_fetch_add(&kms->calls, 1);
  bool strikes = kms->for_good ? call_number >= kms->fault_at : call_number == kms->fault_at;
  fake_fault fault = *ret_fault = strikes ? kms->fault : FAKE_NO_FAULT;
  if (root == FAKE_KMS_KEYS) return nacre_kms_fail(err, NACRE_INVALID, "no such URI");
  if (fault == FAKE_ODD_STATUS) return NACRE_BUSY;
  if (fault == FAKE_UNREACHABLE || has(&kms->unreachable, root))
    return nacre_kms_fail(err, NACRE_KEY_UNREACHABLE, "no answer");
  if (fault == FAKE_DENIED || has(&kms->denied, root)) return nacre_kms_fail(err, NACRE_KEY_DENIED, "denied");
  if (fault == FAKE_MISSING || !has(&kms->keys, root))
    return nacre_kms_fail(err, NACRE_KEY_MISSING, "there is no such key");
  return NACRE_OK;
}

/* ---- the provider -------------------------------------------------------------------------------------- */

static nacre_status fake_wrap(void *arg, const nacre_kms_call *call, const uint8_t key[32], uint8_t *wrapped,
                              size_t capacity, size_t *ret_size, nacre_error *err) {
  unsigned root;
  fake_fault fault;
  uint8_t plain[NACRE_KMS_KEY_BYTES], stream[DIGEST_BYTES];
  nacre_status status = answer(arg, call, &root, &fault, err);
  if (status != NACRE_OK) return status;
  memcpy(plain, key, sizeof plain);
  if (fault == FAKE_OTHER_KEY) plain[7] ^= 1;
  digest_of(root, call->context, NULL, stream);
  for (size_t i = 0; i < sizeof plain; i++) wrapped[i] = plain[i] ^ stream[i];
  digest_of(root, call->context, plain, wrapped + sizeof plain);
  *ret_size = fault == FAKE_SIZE_NONE ? 0 : fault == FAKE_SIZE_HUGE ? capacity + 1 : WRAPPED_BYTES;
  return NACRE_OK;
}

static nacre_status fake_unwrap(void *arg, const nacre_kms_call *call, nacre_slice wrapped,
                                uint8_t ret_key[32], nacre_error *err) {
  fake_kms *kms = arg;
  unsigned root;
  fake_fault fault;
  uint8_t plain[NACRE_KMS_KEY_BYTES], stream[DIGEST_BYTES], digest[DIGEST_BYTES];
  nacre_status status = answer(kms, call, &root, &fault, err);
  if (status != NACRE_OK) return status;
  if (has(&kms->no_unwrap, root)) return nacre_kms_fail(err, NACRE_KEY_DENIED, "it may only encrypt");
  if (wrapped.size != WRAPPED_BYTES)
    return nacre_kms_fail(err, NACRE_KEY_MISSING, "not a wrap of this service");
  digest_of(root, call->context, NULL, stream);
  for (size_t i = 0; i < sizeof plain; i++) plain[i] = ((const uint8_t *)wrapped.data)[i] ^ stream[i];
  digest_of(root, call->context, plain, digest);
  if (memcmp(digest, (const uint8_t *)wrapped.data + sizeof plain, sizeof digest) != 0)
    return nacre_kms_fail(err, NACRE_KEY_MISSING, "not a wrap of this key");
  if (fault == FAKE_OTHER_KEY) plain[7] ^= 1;
  memcpy(ret_key, plain, sizeof plain);
  return NACRE_OK;
}

void fake_kms_init(fake_kms *kms, unsigned keys) {
  *kms = (fake_kms){.provider = {.scheme = "fake", .arg = kms, .wrap = fake_wrap, .unwrap = fake_unwrap},
                    .fault_at = NACRE_NONE};
  kms->list[0] = &kms->provider;
  atomic_init(&kms->keys, keys);
  atomic_init(&kms->denied, 0);
  atomic_init(&kms->no_unwrap, 0);
  atomic_init(&kms->unreachable, 0);
  atomic_init(&kms->calls, 0);
}
