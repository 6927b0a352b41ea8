/* SPDX-License-Identifier: Apache-2.0
 *
 * keyring_file: the keyring on its disk: where it lies, how it comes into being, how it is changed.
 *
 * Invariants
 *   1. A keyring that anyone but its owner may read or write is not used.
 *   2. A keyring comes into being whole: written aside, synced, and linked to its name, which fails when
 *      another process was first; whoever loses reads the winner's.
 *   3. A keyring is changed by a whole new file that takes the old one's place in one step: at any crash
 *      point its name leads to the old or to the new one. Who changes it holds the old one's lock.
 */
#ifndef NC_KEYRING_FILE_H
#define NC_KEYRING_FILE_H

#include "kms/keyring_seal.h"
#include "kms/private_file.h"

#define NC_LOCAL_SCHEME "local"

/* Where the keyring of a `local:` URI lies. */
NC_MUST_CHECK nacre_status nc_keyring_path(const char *uri, char *path, size_t capacity, nacre_error *err);

NC_MUST_CHECK nacre_status nc_keyring_load(nc_env *env, const char *path, nc_keyring_work *work,
                                           nacre_error *err);
/* Makes a keyring with one key, under a passphrase if whoever is asked gives one; then reads the one that is
 * there, which may be another process's. */
NC_MUST_CHECK nacre_status nc_keyring_create(nc_env *env, const char *path, nc_keyring_work *work,
                                             nacre_error *err);
/* A new key, last in the ring. */
NC_MUST_CHECK nacre_status nc_keyring_add_fresh(nc_env *env, nc_keyring *ring, nacre_error *err);

/* Reads the keyring, lets `edit` change the ring or the passphrase in `work`, and puts the result in its
 * place. When it lies under a passphrase, `work->passphrase` holds it then, obtained as for a KMS call. */
typedef nacre_status (*nc_keyring_edit)(nc_env *env, nc_keyring_work *work, void *arg, nacre_error *err);
NC_MUST_CHECK nacre_status nc_keyring_change(nc_env *env, const char *path, nc_keyring_edit edit, void *arg,
                                             nacre_error *err);

#endif
