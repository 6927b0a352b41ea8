/* SPDX-License-Identifier: Apache-2.0
 *
 * local: the provider of root keys that lie in a keyring file, outside of every store (format/README.md,
 * "Keyring").
 *
 * Nothing is wrapped by a new keyring before its name is on stable storage: a store must not outlive its key.
 * The provider's `arg` is the nc_env. The keyring is read afresh with each call, so that a change of it is seen;
 * only what its passphrase became is kept (passphrase.h). No state, no lock.
 */
#include "aead.h"
#include "derive.h"
#include "kms.h"
#include "kms/keyring_file.h"
#include "last_error.h"
#include "random.h"
#include "secret.h"

enum { WRAP_KEY_BYTES = NC_AEAD_KEY_BYTES + NC_AEAD_NONCE_BYTES };

nacre_status nacre_keyring_path(const char *uri, char *path, size_t capacity) {
  nacre_error *err = nc_thread_error();
  if (path == NULL) return nc_fail(err, NC_E_SEAL_ARGUMENT, "path is NULL");
  return nc_keyring_path(uri != NULL ? uri : "local:", path, capacity, err);
}

static nacre_status load_keyring(nc_env *env, const nacre_kms_call *call, bool may_create, nc_keyring_work *work,
                                 nacre_error *err) {
  char path[NC_PRIVATE_PATH_BYTES];
  NC_TRY(nc_keyring_path(call->key.uri, path, sizeof path, err));
  nacre_status status = nc_keyring_load(env, path, work, err);
  if (!may_create) return status;
  if (status != NACRE_OK && (err == NULL || err->id != NC_E_KEYRING_MISSING)) return status;
  if (status != NACRE_OK) NC_TRY(nc_keyring_create(env, path, work, err));
  /* Also for a keyring that was found: the process that made it may have died before this. */
  return nc_private_file_sync_parent(path, err);
}

/* ---- wrapping ------------------------------------------------------------------------------------------ */

static nacre_status root_aead(nc_env *env, const nc_root_key *root, const nc_local_wrap *wrap, bool sealing,
                              nc_secret *derived, nc_aead **ret_aead, nacre_error *err) {
  nacre_slice salt = {wrap->salt, sizeof wrap->salt};
  NC_TRY(nc_derive(env, root->key, NC_LABEL_WRAP, salt, derived->bytes, WRAP_KEY_BYTES, err));
  return nc_aead_create(env, derived->bytes, sealing, ret_aead, err);
}

static nacre_status wrap_under(nc_env *env, const nc_root_key *root, nacre_slice context, const uint8_t *key,
                               nc_local_wrap *wrap, nacre_error *err) {
  nc_aead *aead;
  NC_SECRET(derived);
  wrap->key_id = root->id;
  NC_TRY(nc_random(wrap->salt, sizeof wrap->salt, err));
  NC_TRY(root_aead(env, root, wrap, true, &derived, &aead, err));
  nacre_slice plaintext = {key, NACRE_KMS_KEY_BYTES};
  nacre_status status = nc_aead_seal(aead, derived.bytes + NC_AEAD_KEY_BYTES, context, plaintext,
                                     wrap->ciphertext, wrap->tag, err);
  nc_aead_destroy(aead);
  return status;
}

static nacre_status unwrap_under(nc_env *env, const nc_root_key *root, nacre_slice context,
                                 const nc_local_wrap *wrap, uint8_t *ret_key, nacre_error *err) {
  nc_aead *aead;
  NC_SECRET(derived);
  NC_TRY(root_aead(env, root, wrap, false, &derived, &aead, err));
  nacre_slice ciphertext = {wrap->ciphertext, sizeof wrap->ciphertext};
  nacre_status status =
      nc_aead_open(aead, derived.bytes + NC_AEAD_KEY_BYTES, context, ciphertext, wrap->tag, ret_key, err);
  nc_aead_destroy(aead);
  return status == NACRE_TAMPERED ? nc_fail(err, NC_E_KEYRING_WRAP, NULL) : status; /* [R3] */
}

static nacre_status local_wrap(void *arg, const nacre_kms_call *call, const uint8_t key[32], uint8_t *wrapped,
                               size_t capacity, size_t *ret_size, nacre_error *err) {
  nc_env *env = arg;
  nc_local_wrap wrap;
  if (capacity < NC_LOCAL_WRAP_BYTES) return nc_fail(err, NC_E_FRAME_BUFFER, "%zu bytes", capacity);
  nc_keyring_work *work = nc_heap_alloc(env->heap, sizeof *work);
  if (work == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  nacre_status status = load_keyring(env, call, call->may_create, work, err);
  if (status == NACRE_OK) {
    const nc_root_key *root = &work->ring.keys[work->ring.key_count - 1];
    status = wrap_under(env, root, call->context, key, &wrap, err);
  }
  nc_heap_free(env->heap, work, sizeof *work);
  if (status != NACRE_OK) return status;
  nc_local_wrap_encode(&wrap, wrapped);
  *ret_size = NC_LOCAL_WRAP_BYTES;
  return NACRE_OK;
}

static const nc_root_key *find_root(const nc_keyring *ring, const nc_uuid *id) {
  for (uint32_t i = 0; i < ring->key_count; i++) {
    if (nc_uuid_equal(&ring->keys[i].id, id)) return &ring->keys[i];
  }
  return NULL;
}

static nacre_status local_unwrap(void *arg, const nacre_kms_call *call, nacre_slice wrapped,
                                 uint8_t ret_key[32], nacre_error *err) {
  nc_env *env = arg;
  nc_local_wrap wrap;
  if (!nc_local_wrap_decode(wrapped, &wrap)) {
    return nc_fail(err, NC_E_KMS_KEY_MISSING, "the wrapped key was not made by a keyring");
  }
  nc_keyring_work *work = nc_heap_alloc(env->heap, sizeof *work);
  if (work == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  nacre_status status = load_keyring(env, call, false, work, err);
  if (status == NACRE_OK) {
    const nc_root_key *root = find_root(&work->ring, &wrap.key_id); /* [R2] */
    char id[NC_UUID_TEXT_BYTES];
    nc_uuid_format(&wrap.key_id, id);
    status = root == NULL ? nc_fail(err, NC_E_KEYRING_NO_KEY, "%s holds no key %s", call->key.uri, id)
                          : unwrap_under(env, root, call->context, &wrap, ret_key, err);
  }
  nc_heap_free(env->heap, work, sizeof *work);
  return status;
}

const nacre_kms_provider *nc_kms_local(void) {
  static const nacre_kms_provider local = {.scheme = NC_LOCAL_SCHEME, .wrap = local_wrap, .unwrap = local_unwrap};
  return &local;
}
