/* SPDX-License-Identifier: Apache-2.0
 *
 * env: made once a store, immutable from then on, so that any thread may read it without a lock.
 *
 * The fork word lies in a page of its own, which the kernel replaces by zeros in a child: reading it costs a
 * load, getpid a system call.
 */
#include "env.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "aead.h"
#include "passphrase.h"

enum { PAGE_BYTES = 4096, SECOND_NS = 1000000000 };

static nacre_status make_fork_word(nc_env *env, nacre_error *err) {
  uint32_t *page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  if (madvise(page, PAGE_BYTES, MADV_WIPEONFORK) != 0) {
    int code = errno;
    munmap(page, PAGE_BYTES);
    nacre_status status = nc_fail(err, NC_E_OS, "madvise(MADV_WIPEONFORK), which Linux has since 4.14");
    if (err != NULL) err->os_errno = code;
    return status;
  }
  *page = 1;
  env->parent = page;
  return NACRE_OK;
}

static nacre_status fetch_algorithms(nc_env *env, nacre_error *err) {
  ERR_set_mark(); /* the host program's OpenSSL errors are left as they were */
  env->cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
  EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
  char digest[] = "SHA256";
  const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                               OSSL_PARAM_construct_end()};
  EVP_MAC_CTX *hmac = mac == NULL ? NULL : EVP_MAC_CTX_new(mac);
  bool set = hmac != NULL && EVP_MAC_CTX_set_params(hmac, params) == 1;
  env->hmac = hmac;
  EVP_MAC_free(mac); /* the context keeps it */
  ERR_pop_to_mark();
  if (env->cipher == NULL) return nc_fail(err, NC_E_OPENSSL, "it has no AES-256-GCM");
  if (!set) return nc_fail(err, NC_E_OPENSSL, "it has no HMAC-SHA256");
  return NACRE_OK;
}

static nacre_status fill(nc_env *env, nacre_error *err) {
  NC_TRY(make_fork_word(env, err));
  NC_TRY(fetch_algorithms(env, err));
  NC_TRY(nc_aead_choose(secure_getenv("NACRE_AEAD"), &env->aead, err));
  NC_TRY(nc_heap_create(&env->heap, err));
  return nc_passphrases_create(env->heap, &env->passphrases, err);
}

nacre_status nc_env_create(const nacre_io *io, nc_env **ret_env, nacre_error *err) {
  nc_env *env = calloc(1, sizeof *env);
  if (env == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  env->io = io != NULL ? io : nacre_io_posix();
  nacre_status status = fill(env, err);
  if (status != NACRE_OK) {
    nc_env_destroy(env);
    return status;
  }
  *ret_env = env;
  return NACRE_OK;
}

void nc_env_destroy(nc_env *env) {
  if (env == NULL) return;
  nc_passphrases_destroy(env->passphrases);
  nc_heap_destroy(env->heap);
  EVP_MAC_CTX_free(env->hmac);
  EVP_CIPHER_free(env->cipher);
  if (env->parent != NULL) munmap((void *)(uintptr_t)env->parent, PAGE_BYTES);
  free(env);
}

void nc_pause(uint64_t ns) { nanosleep(&(struct timespec){.tv_nsec = (long)ns}, NULL); }

/* Not by the wall clock, which may be set while somebody waits. */
void nc_cond_init(pthread_cond_t *condition) {
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(condition, &attributes);
  pthread_condattr_destroy(&attributes);
}

void nc_cond_wait_for(pthread_cond_t *condition, pthread_mutex_t *lock, uint64_t ns) {
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  ns += (uint64_t)until.tv_nsec;
  until.tv_sec += (time_t)(ns / SECOND_NS);
  until.tv_nsec = (long)(ns % SECOND_NS);
  pthread_cond_timedwait(condition, lock, &until);
}
