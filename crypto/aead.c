/* SPDX-License-Identifier: Apache-2.0
 *
 * aead: which back end an env takes, and what holds for each of them.
 */
#include "aead.h"

#include <limits.h>

_Static_assert((int)NC_AEAD_NONCE_BYTES == (int)NC_NONCE_BYTES, "frames and the AEAD agree on the nonce");
_Static_assert((int)NC_AEAD_TAG_BYTES == (int)NC_FRAME_TAG_BYTES, "frames and the AEAD agree on the tag");

nacre_status nc_aead_choose(const char *name, const nc_aead_backend **ret_backend, nacre_error *err) {
  bool any = name == NULL || name[0] == '\0';
  const nc_aead_backend *fastest_first[] = {any || strcmp(name, "openssl") != 0 ? nc_aead_ipsec_mb() : NULL,
                                            nc_aead_openssl()};
  for (size_t i = 0; i < sizeof fastest_first / sizeof fastest_first[0]; i++) {
    const nc_aead_backend *backend = fastest_first[i];
    if (backend == NULL || (!any && strcmp(backend->name, name) != 0)) continue;
    *ret_backend = backend;
    return NACRE_OK;
  }
  return nc_fail(err, NC_E_AEAD_BACKEND, "\"%s\"", name);
}

nacre_status nc_aead_create(nc_env *env, const uint8_t key[NC_AEAD_KEY_BYTES], bool sealing,
                            nc_aead **ret_aead, nacre_error *err) {
  NC_TRY(env->aead->create(env, key, sealing, ret_aead, err));
  (*ret_aead)->backend = env->aead;
  (*ret_aead)->sealing = sealing;
  return NACRE_OK;
}

void nc_aead_destroy(nc_aead *aead) {
  if (aead != NULL) aead->backend->destroy(aead);
}

/* OpenSSL counts in ints. What a back end does with the wrong half of a key schedule is not asked. */
static nacre_status check(const nc_aead *aead, bool sealing, nacre_slice aad, nacre_slice text,
                          nacre_error *err) {
  if (aead->sealing != sealing) return nc_fail(err, NC_E_AEAD_DIRECTION, NULL);
  if (aad.size > INT_MAX || text.size > INT_MAX)
    return nc_fail(err, NC_E_FRAME_TOO_LARGE, "%zu bytes", text.size);
  return NACRE_OK;
}

nacre_status nc_aead_seal(nc_aead *aead, const uint8_t nonce[NC_AEAD_NONCE_BYTES], nacre_slice aad,
                          nacre_slice plaintext, uint8_t *ciphertext, uint8_t tag[NC_AEAD_TAG_BYTES],
                          nacre_error *err) {
  NC_TRY(check(aead, true, aad, plaintext, err));
  return aead->backend->seal(aead, nonce, aad, plaintext, ciphertext, tag, err);
}

nacre_status nc_aead_open(nc_aead *aead, const uint8_t nonce[NC_AEAD_NONCE_BYTES], nacre_slice aad,
                          nacre_slice ciphertext, const uint8_t tag[NC_AEAD_TAG_BYTES], uint8_t *plaintext,
                          nacre_error *err) {
  NC_TRY(check(aead, false, aad, ciphertext, err));
  nacre_status status = aead->backend->open(aead, nonce, aad, ciphertext, tag, plaintext, err);
  if (status != NACRE_OK) nc_wipe(plaintext, ciphertext.size);
  return status;
}
