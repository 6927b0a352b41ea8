/* SPDX-License-Identifier: Apache-2.0
 *
 * keyring_seal: see keyring_seal.h.
 *
 *   K = scrypt(passphrase, salt, N, r, p, 32)
 *   SK ‖ nonce = derive(K, "keyring", context, 44)
 *   commitment = derive(K, "keyring-commit", context, 32)
 *
 * K is fresh with every salt, so one (SK, nonce) never seals twice. The commitment tells a wrong passphrase
 * from keys that were tampered with, and keeps one file from opening under two passphrases, which GCM alone
 * does not.
 */
#include "kms/keyring_seal.h"

#include "aead.h"
#include "derive.h"
#include "random.h"
#include "secret.h"

enum { SEAL_KEY_BYTES = NC_AEAD_KEY_BYTES + NC_AEAD_NONCE_BYTES };

static nacre_status keyring_aead(nc_env *env, const nc_secret *key, nacre_slice context, bool sealing,
                                 nc_secret *derived, nc_aead **ret_aead, nacre_error *err) {
  NC_TRY(nc_derive(env, key->bytes, NC_LABEL_KEYRING, context, derived->bytes, SEAL_KEY_BYTES, err));
  return nc_aead_create(env, derived->bytes, sealing, ret_aead, err);
}

/* ---- opening ------------------------------------------------------------------------------------------- */

static nacre_status open_keys(nc_env *env, const char *path, const nc_keyring_parts *parts,
                              const nc_secret *key, uint8_t *plaintext, nacre_error *err) {
  nc_aead *aead;
  NC_SECRET(derived);
  NC_TRY(keyring_aead(env, key, parts->context, false, &derived, &aead, err));
  nacre_status status = nc_aead_open(aead, derived.bytes + NC_AEAD_KEY_BYTES, parts->aad, parts->keys,
                                     parts->tag, plaintext, err);
  nc_aead_destroy(aead);
  return status == NACRE_TAMPERED ? nc_fail(err, NC_E_KEYRING_TAG, "%.200s", path) : status; /* [R7] */
}

nacre_status nc_keyring_open(nc_env *env, const char *path, nc_keyring_work *work, bool ask,
                             nacre_error *err) {
  nc_keyring_parts parts;
  NC_SECRET(key);
  nacre_status status = nc_keyring_parse(nc_slice(work->bytes, work->size), &parts, err);
  if (status != NACRE_OK) return nc_fail_in(err, status, path, 0);
  work->protected = parts.protection == NC_KEYRING_SCRYPT;
  uint8_t *keys = work->bytes + ((const uint8_t *)parts.keys.data - work->bytes);
  if (work->protected) {
    NC_TRY(nc_passphrase_key(env, path, &parts, ask ? NULL : &work->passphrase, key.bytes, err));
    NC_TRY(open_keys(env, path, &parts, &key, keys, err)); /* in place */
  }
  nc_keyring_decode_keys(keys, parts.key_count, &work->ring);
  return NACRE_OK;
}

/* ---- sealing ------------------------------------------------------------------------------------------- */

static nacre_status seal_keys(nc_env *env, nc_keyring_work *work, const nc_secret *key, nacre_error *err) {
  nc_aead *aead;
  NC_SECRET(derived);
  uint8_t *bytes = work->bytes, *keys = bytes + NC_KEYRING_AAD_BYTES;
  nacre_slice context = {bytes, NC_KEYRING_CONTEXT_BYTES}, aad = {bytes, NC_KEYRING_AAD_BYTES};
  nacre_slice plaintext = {keys, (size_t)work->ring.key_count * NC_ROOT_KEY_RECORD_BYTES};
  NC_TRY(nc_derive(env, key->bytes, NC_LABEL_KEYRING_COMMIT, context, bytes + NC_KEYRING_CONTEXT_BYTES,
                   NC_COMMITMENT_BYTES, err));
  NC_TRY(keyring_aead(env, key, context, true, &derived, &aead, err));
  nacre_status status =
      nc_aead_seal(aead, derived.bytes + NC_AEAD_KEY_BYTES, aad, plaintext, keys, keys + plaintext.size, err);
  nc_aead_destroy(aead);
  return status;
}

nacre_status nc_keyring_seal(nc_env *env, nc_keyring_work *work, nacre_error *err) {
  uint8_t salt[NC_KEYRING_SALT_BYTES];
  NC_SECRET(key);
  nc_scrypt_cost cost = nc_passphrases_new_cost(env);
  nacre_slice passphrase = {work->passphrase.bytes, work->passphrase.size};
  work->protected = passphrase.size > 0;
  if (!work->protected) {
    work->size = nc_keyring_encode(&work->ring, work->bytes);
    return NACRE_OK;
  }
  NC_TRY(nc_random(salt, sizeof salt, err));
  NC_TRY(nc_scrypt(passphrase, nc_slice(salt, sizeof salt), (uint64_t)1 << cost.log2_n, cost.r, cost.p,
                   key.bytes, NC_ROOT_KEY_BYTES, err));
  (void)nc_keyring_lay_out(&work->ring, cost, salt, work->bytes);
  NC_TRY(seal_keys(env, work, &key, err));
  work->size = nc_keyring_finish(work->ring.key_count, work->bytes);
  nc_passphrase_remember(env, cost, salt, key.bytes);
  return NACRE_OK;
}
