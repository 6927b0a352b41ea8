/* SPDX-License-Identifier: Apache-2.0
 *
 * Remembers every (key, nonce) that the program ever sealed with, and what was sealed: no pair may serve two
 * contents.
 *
 * Works by link-time wrapping of nc_aead_create, nc_aead_seal and nc_aead_destroy (nonce_link_args in
 * meson.build), so it sees the real keys and nonces of every store in the program: files, wraps and key
 * files, over all crash images. Keys are kept as digests only. Any thread.
 */
#ifndef NACRE_TESTS_SIM_NONCE_REGISTRY_H
#define NACRE_TESTS_SIM_NONCE_REGISTRY_H

#include <stdint.h>

uint64_t nonce_registry_seen(void);   /* distinct pairs */
uint64_t nonce_registry_reused(void); /* pairs that met a second, different content */
void nonce_registry_free(void);       /* forgets everything */

#endif
