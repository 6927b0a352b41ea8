/* SPDX-License-Identifier: Apache-2.0
 *
 * aead: AES-256-GCM (NIST SP 800-38D) with 96-bit nonces and 128-bit tags, one key schedule kept and re-used
 * with new nonces.
 *
 * There are two back ends that compute the same: OpenSSL, always, and Intel IPsec MB, a multiple faster on short
 * texts, where Nacre was built with it and the processor has what it needs. An env takes the fastest there is,
 * unless the environment's NACRE_AEAD names one ("openssl", "ipsec-mb"): for who may only use a validated module.
 *
 * Threads: an nc_aead that opens serves any number at once, one that seals one at a time. Input and output may
 * be the same buffer; otherwise they do not overlap. Tags are compared in constant time.
 */
#ifndef NC_AEAD_H
#define NC_AEAD_H

#include "env.h"
#include "frame.h"

enum { NC_AEAD_KEY_BYTES = 32, NC_AEAD_NONCE_BYTES = 12, NC_AEAD_TAG_BYTES = 16 };

typedef struct nc_aead nc_aead;

/* What a back end does. Lengths are at most INT_MAX; `nc_aead` is what its `create` made, for the direction that
 * it is asked for. `create` leaves backend and sealing to its caller. */
typedef struct nc_aead_backend {
  const char *name;
  nacre_status (*create)(nc_env *env, const uint8_t *key, bool sealing, nc_aead **ret_aead, nacre_error *err);
  void (*destroy)(nc_aead *aead);
  nacre_status (*seal)(nc_aead *aead, const uint8_t *nonce, nacre_slice aad, nacre_slice plaintext,
                       uint8_t *ciphertext, uint8_t *tag, nacre_error *err);
  /* NC_E_AEAD_TAG for a bad tag; what stands in `plaintext` after a failure is wiped by the caller. */
  nacre_status (*open)(nc_aead *aead, const uint8_t *nonce, nacre_slice aad, nacre_slice ciphertext,
                       const uint8_t *tag, uint8_t *plaintext, nacre_error *err);
} nc_aead_backend;

/* How every back end's nc_aead begins. */
struct nc_aead {
  const nc_aead_backend *backend;
  bool sealing;
};

const nc_aead_backend *nc_aead_openssl(void);
const nc_aead_backend *nc_aead_ipsec_mb(void); /* NULL: not built in, or not for this processor */
/* The back end of that name; NULL or "": the fastest there is. NC_E_AEAD_BACKEND when it is not here. */
NC_MUST_CHECK nacre_status nc_aead_choose(const char *name, const nc_aead_backend **ret_backend,
                                          nacre_error *err);

/* By the env's back end. */
NC_MUST_CHECK nacre_status nc_aead_create(nc_env *env, const uint8_t key[NC_AEAD_KEY_BYTES], bool sealing,
                                          nc_aead **ret_aead, nacre_error *err);
void nc_aead_destroy(nc_aead *aead); /* wipes the key; NULL is harmless */
/* NC_E_AEAD_DIRECTION for one that was made to open. */
NC_MUST_CHECK nacre_status nc_aead_seal(nc_aead *aead, const uint8_t nonce[NC_AEAD_NONCE_BYTES],
                                        nacre_slice aad, nacre_slice plaintext, uint8_t *ciphertext,
                                        uint8_t tag[NC_AEAD_TAG_BYTES], nacre_error *err);
/* NC_E_AEAD_TAG (NACRE_TAMPERED) when it does not authenticate; the output is wiped then. */
NC_MUST_CHECK nacre_status nc_aead_open(nc_aead *aead, const uint8_t nonce[NC_AEAD_NONCE_BYTES],
                                        nacre_slice aad, nacre_slice ciphertext,
                                        const uint8_t tag[NC_AEAD_TAG_BYTES], uint8_t *plaintext,
                                        nacre_error *err);

#endif
