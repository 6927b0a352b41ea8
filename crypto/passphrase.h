/* SPDX-License-Identifier: Apache-2.0
 *
 * passphrase: where the passphrase of a keyring comes from, and what it became.
 *
 * scrypt is meant to be slow, and every KMS call reads the keyring afresh. So the key that a passphrase
 * became is kept in private memory for as long as the env lives, bound to the salt and the cost that made it:
 * opening a store with many tables asks once and derives once, and a keyring that is written anew, which
 * takes a fresh salt, is asked for again. Passphrases themselves are not kept.
 */
#ifndef NC_PASSPHRASE_H
#define NC_PASSPHRASE_H

#include <nacre/nacre_kms.h>

#include "env.h"
#include "keyring.h"
#include "slice.h"

enum { NC_PASSPHRASE_BYTES_MAX = (int)NACRE_PASSPHRASE_BYTES_MAX };

/* In private memory (nc_heap_alloc), given back to it by its holder. */
typedef struct nc_passphrase {
  size_t size;
  char bytes[NC_PASSPHRASE_BYTES_MAX + 2]; /* one byte more than allowed, and a newline */
} nc_passphrase;

/* What the env keeps. Made and destroyed with it; the heap outlives it. */
NC_MUST_CHECK nacre_status nc_passphrases_create(nc_heap *heap, nc_passphrases **ret_passphrases,
                                                 nacre_error *err);
void nc_passphrases_destroy(nc_passphrases *passphrases);

/* Who is asked; NULL: the environment's NACRE_PASSPHRASE_FILE. Before the first use of the env. */
void nc_passphrases_source(nc_env *env, nacre_passphrase_ask ask, void *arg);
/* What new keyrings cost to guess at: NC_SCRYPT_COST unless a test, which makes many, says otherwise. */
#define NC_SCRYPT_COST ((nc_scrypt_cost){.log2_n = 17, .r = 8, .p = 1}) /* 128 MiB */
void nc_passphrases_cost(nc_env *env, nc_scrypt_cost cost);
nc_scrypt_cost nc_passphrases_new_cost(const nc_env *env);

/* Asks for the passphrase of the keyring at `path`. With `confirm`, for one that is about to be made:
 * then, and only then, size 0 is an answer, and means that it is to have none. NC_E_PASSPHRASE_MISSING
 * when nobody answers. */
NC_MUST_CHECK nacre_status nc_passphrase_obtain(nc_env *env, const char *path, bool confirm,
                                                nc_passphrase *ret_passphrase, nacre_error *err);
/* The first line of a file, which no one but its owner may read or write. */
NC_MUST_CHECK nacre_status nc_passphrase_read(const char *path, nc_passphrase *ret_passphrase,
                                              nacre_error *err);
NC_MUST_CHECK nacre_status nc_passphrase_check(nacre_slice passphrase, nacre_error *err); /* its size */

/* The key that opens a protected keyring. `given` NULL: it is remembered, or made of what is asked for. It
 * is compared with the commitment: NC_E_PASSPHRASE_WRONG. One at a time: a second caller waits, and finds
 * what the first one made. */
NC_MUST_CHECK nacre_status nc_passphrase_key(nc_env *env, const char *path, const nc_keyring_parts *parts,
                                             const nc_passphrase *given, uint8_t ret_key[NC_ROOT_KEY_BYTES],
                                             nacre_error *err);
/* Remembers the key of a keyring that was sealed here, so that reading it back derives nothing. */
void nc_passphrase_remember(nc_env *env, nc_scrypt_cost cost, const uint8_t salt[NC_KEYRING_SALT_BYTES],
                            const uint8_t key[NC_ROOT_KEY_BYTES]);

#endif
