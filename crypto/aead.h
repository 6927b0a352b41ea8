/* SPDX-License-Identifier: Apache-2.0
 *
 * aead: AES-256-GCM (NIST SP 800-38D) with 96-bit nonces and 128-bit tags, one key schedule kept and re-used
 * with new nonces.
 *
 * An nc_aead serves one thread at a time. The key schedule lives in OpenSSL's own memory, which OpenSSL wipes
 * when freed. Input and output may be the same buffer.
 */
#ifndef NC_AEAD_H
#define NC_AEAD_H

#include "env.h"
#include "frame.h"

enum { NC_AEAD_KEY_BYTES = 32, NC_AEAD_NONCE_BYTES = 12, NC_AEAD_TAG_BYTES = 16 };

typedef struct nc_aead nc_aead;

NC_MUST_CHECK nacre_status nc_aead_create(nc_env *env, const uint8_t key[NC_AEAD_KEY_BYTES], bool sealing,
                                          nc_aead **ret_aead, nacre_error *err);
void nc_aead_destroy(nc_aead *aead);
NC_MUST_CHECK nacre_status nc_aead_seal(nc_aead *aead, const uint8_t nonce[NC_AEAD_NONCE_BYTES],
                                        nacre_slice aad, nacre_slice plaintext, uint8_t *ciphertext,
                                        uint8_t tag[NC_AEAD_TAG_BYTES], nacre_error *err);
/* NC_E_AEAD_TAG (NACRE_TAMPERED) when it does not authenticate; the output is wiped then. */
NC_MUST_CHECK nacre_status nc_aead_open(nc_aead *aead, const uint8_t nonce[NC_AEAD_NONCE_BYTES],
                                        nacre_slice aad, nacre_slice ciphertext,
                                        const uint8_t tag[NC_AEAD_TAG_BYTES], uint8_t *plaintext,
                                        nacre_error *err);

#endif
