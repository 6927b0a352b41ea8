/* SPDX-License-Identifier: Apache-2.0
 *
 * keyring_change: what a user does with a keyring: the public functions of nacre_kms.h.
 *
 * Each makes an env of its own for as long as it runs, for its private memory and algorithms.
 */
#include "kms/keyring_file.h"
#include "last_error.h"

/* ---- passphrase files ---------------------------------------------------------------------------------- */

nacre_status nacre_passphrase_file(const char *path, char *buffer, size_t capacity, size_t *ret_size) {
  nacre_error *err = nc_thread_error();
  if (path == NULL || buffer == NULL || ret_size == NULL)
    return nc_fail(err, NC_E_SEAL_ARGUMENT, "path, buffer or ret_size is NULL");
  nc_passphrase read = {0}; /* on the stack, for want of an env; wiped */
  nacre_status status = nc_passphrase_read(path, &read, err);
  if (status == NACRE_OK && read.size > capacity)
    status = nc_fail(err, NC_E_FRAME_BUFFER, "%zu bytes for %zu", capacity, read.size);
  if (status == NACRE_OK) {
    memcpy(buffer, read.bytes, read.size);
    *ret_size = read.size;
  }
  nc_wipe(&read, sizeof read);
  return status;
}

/* ---- one call ------------------------------------------------------------------------------------------ */

typedef struct request {
  const char *uri;
  nacre_passphrase_ask ask;
  void *ask_arg;
  char path[NC_PRIVATE_PATH_BYTES];
} request;

static nacre_status begin(request *q, nc_env **ret_env, nacre_error *err) {
  NC_TRY(nc_keyring_path(q->uri != NULL ? q->uri : "local:", q->path, sizeof q->path, err));
  NC_TRY(nc_env_create(NULL, ret_env, err));
  nc_passphrases_source(*ret_env, q->ask, q->ask_arg);
  return NACRE_OK;
}

static nacre_status change(request q, nc_keyring_edit edit, void *arg) {
  nacre_error *err = nc_thread_error();
  nc_env *env;
  NC_TRY(begin(&q, &env, err));
  nacre_status status = nc_keyring_change(env, q.path, edit, arg, err);
  nc_env_destroy(env);
  return status;
}

typedef nacre_status (*reader)(nc_env *env, const char *path, nc_keyring_work *work, void *arg,
                               nacre_error *err);

static nacre_status look(request q, reader read, void *arg) {
  nacre_error *err = nc_thread_error();
  nc_env *env;
  NC_TRY(begin(&q, &env, err));
  nc_keyring_work *work = nc_heap_alloc(env->heap, sizeof *work);
  nacre_status status = work == NULL ? nc_fail(err, NC_E_NO_MEMORY, NULL) : read(env, q.path, work, arg, err);
  nc_heap_free(env->heap, work, sizeof *work);
  nc_env_destroy(env);
  return status;
}

/* ---- looking ------------------------------------------------------------------------------------------- */

static nacre_status read_protection(nc_env *env, const char *path, nc_keyring_work *work, void *arg,
                                    nacre_error *err) {
  nc_keyring_parts parts;
  (void)env;
  NC_TRY(
      nc_private_file_read(&NC_KEYRING_FILE_WORDS, path, work->bytes, sizeof work->bytes, &work->size, err));
  nacre_status status = nc_keyring_parse(nc_slice(work->bytes, work->size), &parts, err);
  if (status != NACRE_OK) return nc_fail_in(err, status, path, 0);
  *(bool *)arg = parts.protection != NC_KEYRING_PLAIN;
  return NACRE_OK;
}

nacre_status nacre_keyring_is_protected(const char *uri, bool *ret_protected) {
  if (ret_protected == NULL) return nc_fail(nc_thread_error(), NC_E_SEAL_ARGUMENT, "ret_protected is NULL");
  return look((request){.uri = uri}, read_protection, ret_protected);
}

typedef struct listing {
  nacre_keyring_key *keys;
  size_t capacity, *ret_count;
} listing;

static nacre_status read_list(nc_env *env, const char *path, nc_keyring_work *work, void *arg,
                              nacre_error *err) {
  const listing *list = arg;
  NC_TRY(nc_keyring_load(env, path, work, err));
  const nc_keyring *ring = &work->ring;
  *list->ret_count = ring->key_count;
  if (ring->key_count > list->capacity) return nc_fail(err, NC_E_FRAME_BUFFER, "%u keys", ring->key_count);
  for (uint32_t i = 0; i < ring->key_count; i++) {
    list->keys[i] =
        (nacre_keyring_key){.created_ms = ring->keys[i].created_ms, .wraps = i + 1 == ring->key_count};
    nc_uuid_format(&ring->keys[i].id, list->keys[i].id);
  }
  return NACRE_OK;
}

nacre_status nacre_keyring_list(const char *uri, nacre_passphrase_ask ask, void *ask_arg,
                                nacre_keyring_key *ret_keys, size_t capacity, size_t *ret_count) {
  if ((ret_keys == NULL && capacity > 0) || ret_count == NULL)
    return nc_fail(nc_thread_error(), NC_E_SEAL_ARGUMENT, "ret_keys or ret_count is NULL");
  listing list = {ret_keys, capacity, ret_count};
  return look((request){.uri = uri, .ask = ask, .ask_arg = ask_arg}, read_list, &list);
}

/* ---- changing ------------------------------------------------------------------------------------------ */

static nacre_status add_key(nc_env *env, nc_keyring_work *work, void *arg, nacre_error *err) {
  NC_TRY(nc_keyring_add_fresh(env, &work->ring, err));
  nc_uuid_format(&work->ring.keys[work->ring.key_count - 1].id, arg);
  return NACRE_OK;
}

nacre_status nacre_keyring_add_key(const char *uri, nacre_passphrase_ask ask, void *ask_arg,
                                   char ret_id[40]) {
  char id[NC_UUID_TEXT_BYTES];
  NC_TRY(change((request){.uri = uri, .ask = ask, .ask_arg = ask_arg}, add_key, id));
  if (ret_id != NULL) memcpy(ret_id, id, sizeof id);
  return NACRE_OK;
}

static nacre_status remove_key(nc_env *env, nc_keyring_work *work, void *arg, nacre_error *err) {
  const nc_uuid *id = arg;
  nc_keyring *ring = &work->ring;
  uint32_t at = 0;
  (void)env;
  while (at < ring->key_count && !nc_uuid_equal(&ring->keys[at].id, id)) at++;
  if (at == ring->key_count) return nc_fail(err, NC_E_KEYRING_KEY_UNKNOWN, NULL);
  if (ring->key_count == 1) return nc_fail(err, NC_E_KEYRING_LAST_KEY, NULL);
  memmove(&ring->keys[at], &ring->keys[at + 1], (ring->key_count - at - 1) * sizeof ring->keys[0]);
  ring->key_count--;
  return NACRE_OK;
}

nacre_status nacre_keyring_remove_key(const char *uri, nacre_passphrase_ask ask, void *ask_arg,
                                      const char *id) {
  nc_uuid uuid;
  if (id == NULL || !nc_uuid_parse(id, &uuid))
    return nc_fail(nc_thread_error(), NC_E_SEAL_ARGUMENT, "the id is not a UUID");
  return change((request){.uri = uri, .ask = ask, .ask_arg = ask_arg}, remove_key, &uuid);
}

static nacre_status protect(nc_env *env, nc_keyring_work *work, void *arg, nacre_error *err) {
  NC_TRY(nc_passphrase_obtain(env, arg, true, &work->passphrase, err));
  return nc_passphrase_check(nc_slice(work->passphrase.bytes, work->passphrase.size), err);
}

nacre_status nacre_keyring_protect(const char *uri, nacre_passphrase_ask ask, void *ask_arg) {
  char path[NC_PRIVATE_PATH_BYTES]; /* for whoever is asked */
  NC_TRY(nc_keyring_path(uri != NULL ? uri : "local:", path, sizeof path, nc_thread_error()));
  return change((request){.uri = uri, .ask = ask, .ask_arg = ask_arg}, protect, path);
}

static nacre_status unprotect(nc_env *env, nc_keyring_work *work, void *arg, nacre_error *err) {
  (void)env, (void)arg, (void)err;
  nc_wipe(&work->passphrase, sizeof work->passphrase);
  return NACRE_OK;
}

nacre_status nacre_keyring_unprotect(const char *uri, nacre_passphrase_ask ask, void *ask_arg) {
  return change((request){.uri = uri, .ask = ask, .ask_arg = ask_arg}, unprotect, NULL);
}
