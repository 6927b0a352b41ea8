/* SPDX-License-Identifier: Apache-2.0
 *
 * env: what one open store shares with everything below the engine: the operations on the disk, OpenSSL's
 * algorithms (fetched once), private memory, and the word that tells a child that it is one. No two stores
 * share an env.
 */
#ifndef NC_ENV_H
#define NC_ENV_H

#include <pthread.h>
#include <stdatomic.h>

#include <nacre/nacre_io.h>

#include "private_memory.h"
#include "status.h"

typedef struct nc_passphrases nc_passphrases; /* passphrase.h */

struct nc_aead_backend; /* aead.h */

typedef struct nc_env {
  const nacre_io *io;
  nc_heap *heap;
  const struct nc_aead_backend *aead; /* what computes AES-256-GCM */
  nc_passphrases *passphrases;        /* keys that passphrases of keyrings became; has a lock of its own */
  void *cipher;                       /* EVP_CIPHER: AES-256-GCM, for aead_openssl */
  void *hmac;                         /* EVP_MAC_CTX: HMAC-SHA256 without a key; derive duplicates it */
  atomic_uint windows; /* how many are open (file_window.h) */
  atomic_uint_fast64_t kms_calls, kms_failures, kms_ns; /* kms.c counts them */
  const volatile uint32_t *parent; /* 1 in the process that made the env, 0 in its children (wiped on fork) */
} nc_env;

/* `io` NULL: the operating system. NC_E_AEAD_BACKEND when the environment names a back end that is not here. */
NC_MUST_CHECK nacre_status nc_env_create(const nacre_io *io, nc_env **ret_env, nacre_error *err);
void nc_env_destroy(nc_env *env);
/* True in a child of the process that made it: nothing of the env may be used there. */
static inline bool nc_env_forked(const nc_env *env) { return *env->parent == 0; }

/* Sleeps for less than a second; perhaps shorter, for a signal of the host's ends it. It asks no nacre_io: who waits for
 * other threads waits for real. */
void nc_pause(uint64_t ns);
/* Waits for a condition that nc_cond_init made, for at most `ns` of real time; as pthread_cond_wait, it may wake
 * sooner. */
void nc_cond_init(pthread_cond_t *condition);
void nc_cond_wait_for(pthread_cond_t *condition, pthread_mutex_t *lock, uint64_t ns);

#endif
