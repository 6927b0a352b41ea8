/* SPDX-License-Identifier: Apache-2.0
 *
 * What the process under test has around the library: a disk that tells what it is given and fails when it is
 * told to, a key service, a passphrase, a page for the secrets that are the application's own.
 */
#ifndef NACRE_TESTS_SECRETS_SUBJECT_IO_H
#define NACRE_TESTS_SECRETS_SUBJECT_IO_H

#include <nacre/nacre.h>
#include <stdatomic.h>

#include "canary.h"

typedef struct surroundings {
  uint64_t seed;
  nacre_io io;
  canary_service service;
  nacre_kms_provider provider; /* canary_provider's, and tells what it wraps */
  nacre_kms_provider inner;
  const nacre_kms_provider *providers[1];
  canary *page; /* wiped by whoever has used it */
  int overheard;
  atomic_bool pause_at_rewrap, pause_at_question, pause_at_call, wrong_passphrase;
  atomic_int fail_syncs, fail_writes, fail_key_files; /* errno; 0: they do not fail */
  void (*pause)(void *arg);                           /* returns when it is to go on */
  void *pause_arg;
} surroundings;

void surroundings_init(surroundings *s, uint64_t seed);
nacre_status surroundings_ask(void *arg, const char *keyring, bool confirm, char *buffer, size_t capacity,
                              size_t *ret_size);

/* How many cipher contexts there are: counted at link time. */
uint64_t contexts_now(void);

#endif
