/* SPDX-License-Identifier: Apache-2.0
 *
 * keyring_seal: a keyring between its bytes and its keys, under a passphrase or under none (format/README.md,
 * "Keyring").
 */
#ifndef NC_KEYRING_SEAL_H
#define NC_KEYRING_SEAL_H

#include "passphrase.h"

/* A keyring on its way from or to its file. In private memory, given back to it by its holder. */
typedef struct nc_keyring_work {
  nc_keyring ring;
  bool protected;           /* under a passphrase, as it was read or is to be written */
  nc_passphrase passphrase; /* size 0: none; to open with, as asked for, or to write under */
  size_t size;
  uint8_t bytes[NC_KEYRING_BYTES_MAX + 1]; /* one more, so that a longer file is seen to be one */
} nc_keyring_work;

/* bytes, size -> ring, protected. `ask` false: opens with the passphrase in `work`; true: with what is
 * remembered, or asked for. `path` is for errors, and for whoever is asked. */
NC_MUST_CHECK nacre_status nc_keyring_open(nc_env *env, const char *path, nc_keyring_work *work, bool ask,
                                           nacre_error *err);
/* ring, and passphrase when it has one -> bytes, size, protected. The salt is fresh. */
NC_MUST_CHECK nacre_status nc_keyring_seal(nc_env *env, nc_keyring_work *work, nacre_error *err);

#endif
