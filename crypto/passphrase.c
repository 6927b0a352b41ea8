/* SPDX-License-Identifier: Apache-2.0
 *
 * passphrase: asked of the application or read from a file, and made a key; see passphrase.h.
 *
 * `lock` is held while a passphrase is asked for and derived from, so that a store asks once; no other lock
 * is taken under it. What is kept is replaced in turn when a process sees more keyrings than there is room
 * for.
 */
#include "passphrase.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "derive.h"
#include "kms/private_file.h"
#include "secret.h"

enum { REMEMBERED_MAX = 8 };

typedef struct remembered {
  nc_scrypt_cost cost; /* log2_n 0: an empty place */
  uint8_t salt[NC_KEYRING_SALT_BYTES], key[NC_ROOT_KEY_BYTES];
} remembered;

struct nc_passphrases {
  nc_heap *heap;
  nacre_passphrase_ask ask;
  void *arg;
  nc_scrypt_cost new_cost;
  pthread_mutex_t lock;
  remembered *places; /* REMEMBERED_MAX of them, in private memory; NULL before the first */
  size_t next;
};

enum { PLACES_BYTES = REMEMBERED_MAX * sizeof(remembered) };

nacre_status nc_passphrases_create(nc_heap *heap, nc_passphrases **ret_passphrases, nacre_error *err) {
  nc_passphrases *made = calloc(1, sizeof *made);
  if (made == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  if (pthread_mutex_init(&made->lock, NULL) != 0) {
    free(made);
    return nc_fail(err, NC_E_NO_MEMORY, NULL);
  }
  made->heap = heap;
  made->new_cost = NC_SCRYPT_COST;
  *ret_passphrases = made;
  return NACRE_OK;
}

void nc_passphrases_destroy(nc_passphrases *passphrases) {
  if (passphrases == NULL) return;
  nc_heap_free(passphrases->heap, passphrases->places, PLACES_BYTES);
  pthread_mutex_destroy(&passphrases->lock);
  free(passphrases);
}

void nc_passphrases_source(nc_env *env, nacre_passphrase_ask ask, void *arg) {
  env->passphrases->ask = ask;
  env->passphrases->arg = arg;
}

void nc_passphrases_cost(nc_env *env, nc_scrypt_cost cost) { env->passphrases->new_cost = cost; }

nc_scrypt_cost nc_passphrases_new_cost(const nc_env *env) { return env->passphrases->new_cost; }

/* ---- where it comes from ------------------------------------------------------------------------------- */

nacre_status nc_passphrase_check(nacre_slice passphrase, nacre_error *err) {
  if (passphrase.size >= 1 && passphrase.size <= NC_PASSPHRASE_BYTES_MAX) return NACRE_OK;
  return nc_fail(err, NC_E_PASSPHRASE_SIZE, "%zu bytes", passphrase.size);
}

nacre_status nc_passphrase_read(const char *path, nc_passphrase *ret_passphrase, nacre_error *err) {
  nc_passphrase *p = ret_passphrase;
  NC_TRY(nc_private_file_read(&NC_PASSPHRASE_FILE_WORDS, path, p->bytes, sizeof p->bytes, &p->size, err));
  const char *end = memchr(p->bytes, '\n', p->size);
  if (end != NULL) p->size = (size_t)(end - p->bytes);
  return nc_fail_in(err, nc_passphrase_check(nc_slice(p->bytes, p->size), err), path, 0);
}

/* The environment names a file. One that is named and cannot be used is an error, also for a new keyring: who
 * named it counts on it. */
static nacre_status from_environment(const char *keyring, bool confirm, nc_passphrase *p, nacre_error *err) {
  const char *path = secure_getenv("NACRE_PASSPHRASE_FILE");
  if (path != NULL && path[0] != 0) return nc_passphrase_read(path, p, err);
  p->size = 0;
  return confirm ? NACRE_OK : nc_fail(err, NC_E_PASSPHRASE_MISSING, "%.200s", keyring);
}

nacre_status nc_passphrase_obtain(nc_env *env, const char *path, bool confirm, nc_passphrase *ret_passphrase,
                                  nacre_error *err) {
  const nc_passphrases *source = env->passphrases;
  nc_passphrase *p = ret_passphrase;
  if (source->ask == NULL) return from_environment(path, confirm, p, err);
  p->size = 0;
  nacre_status status = source->ask(source->arg, path, confirm, p->bytes, NC_PASSPHRASE_BYTES_MAX, &p->size);
  if (status != NACRE_OK) {
    return nc_fail(err, NC_E_PASSPHRASE_MISSING, "%.200s; asking for it ended in %s", path,
                   nacre_status_name(status));
  }
  if (p->size == 0 && confirm) return NACRE_OK;
  return nc_passphrase_check(nc_slice(p->bytes, p->size), err);
}

/* ---- what it became ------------------------------------------------------------------------------------ */

static bool same_cost(nc_scrypt_cost a, nc_scrypt_cost b) {
  return a.log2_n == b.log2_n && a.r == b.r && a.p == b.p;
}

static const remembered *recall_locked(const nc_passphrases *kept, nc_scrypt_cost cost, const uint8_t *salt) {
  for (size_t i = 0; kept->places != NULL && i < REMEMBERED_MAX; i++) {
    const remembered *place = &kept->places[i];
    if (same_cost(place->cost, cost) && memcmp(place->salt, salt, sizeof place->salt) == 0) return place;
  }
  return NULL;
}

/* Without memory nothing is kept, and the next caller asks again. */
static void remember_locked(nc_passphrases *kept, nc_scrypt_cost cost, const uint8_t *salt,
                            const uint8_t *key) {
  if (kept->places == NULL) kept->places = nc_heap_alloc(kept->heap, PLACES_BYTES);
  if (kept->places == NULL || recall_locked(kept, cost, salt) != NULL) return;
  remembered *place = &kept->places[kept->next];
  kept->next = (kept->next + 1) % REMEMBERED_MAX;
  place->cost = cost;
  memcpy(place->salt, salt, sizeof place->salt);
  memcpy(place->key, key, sizeof place->key);
}

void nc_passphrase_remember(nc_env *env, nc_scrypt_cost cost, const uint8_t salt[NC_KEYRING_SALT_BYTES],
                            const uint8_t key[NC_ROOT_KEY_BYTES]) {
  pthread_mutex_lock(&env->passphrases->lock);
  remember_locked(env->passphrases, cost, salt, key);
  pthread_mutex_unlock(&env->passphrases->lock);
}

static nacre_status make_key(nc_env *env, const char *path, const nc_keyring_parts *parts,
                             const nc_passphrase *given, uint8_t *ret_key, nacre_error *err) {
  NC_SECRET(key);
  NC_SECRET(commitment);
  nacre_slice passphrase = nc_slice(given->bytes, given->size);
  NC_TRY(nc_scrypt_cost_check(parts->cost, err));
  NC_TRY(nc_scrypt(passphrase, parts->salt, (uint64_t)1 << parts->cost.log2_n, parts->cost.r, parts->cost.p,
                   key.bytes, NC_ROOT_KEY_BYTES, err));
  NC_TRY(nc_derive(env, key.bytes, NC_LABEL_KEYRING_COMMIT, parts->context, commitment.bytes,
                   NC_COMMITMENT_BYTES, err));
  if (!nc_equal_secret(commitment.bytes, parts->commitment, NC_COMMITMENT_BYTES))
    return nc_fail(err, NC_E_PASSPHRASE_WRONG, "%.200s", path); /* [R6] */
  memcpy(ret_key, key.bytes, NC_ROOT_KEY_BYTES);
  return NACRE_OK;
}

static nacre_status ask_and_make_key(nc_env *env, const char *path, const nc_keyring_parts *parts,
                                     uint8_t *ret_key, nacre_error *err) {
  nc_passphrase *asked = nc_heap_alloc(env->heap, sizeof *asked);
  if (asked == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  nacre_status status = nc_passphrase_obtain(env, path, false, asked, err);
  if (status == NACRE_OK) status = make_key(env, path, parts, asked, ret_key, err);
  nc_heap_free(env->heap, asked, sizeof *asked);
  return status;
}

nacre_status nc_passphrase_key(nc_env *env, const char *path, const nc_keyring_parts *parts,
                               const nc_passphrase *given, uint8_t ret_key[NC_ROOT_KEY_BYTES],
                               nacre_error *err) {
  nc_passphrases *kept = env->passphrases;
  nacre_status status = NACRE_OK;
  pthread_mutex_lock(&kept->lock);
  const remembered *place = recall_locked(kept, parts->cost, parts->salt.data);
  if (given != NULL) {
    status = make_key(env, path, parts, given, ret_key, err);
  } else if (place != NULL) {
    memcpy(ret_key, place->key, sizeof place->key);
  } else {
    status = ask_and_make_key(env, path, parts, ret_key, err);
  }
  if (status == NACRE_OK) remember_locked(kept, parts->cost, parts->salt.data, ret_key);
  pthread_mutex_unlock(&kept->lock);
  return status;
}
