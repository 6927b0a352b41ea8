/* SPDX-License-Identifier: Apache-2.0
 *
 * secret: a few key bytes on the stack, wiped when their scope ends, whichever way it ends.
 */
#ifndef NC_SECRET_H
#define NC_SECRET_H

#include "private_memory.h"

/* Room for a key and a nonce. */
typedef struct nc_secret {
  uint8_t bytes[64];
} nc_secret;

static inline void nc_secret_wipe(nc_secret *secret) { nc_wipe(secret, sizeof *secret); }

#define NC_SECRET(name) __attribute__((cleanup(nc_secret_wipe))) nc_secret name = {{0}}

#endif
