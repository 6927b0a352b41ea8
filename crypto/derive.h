/* SPDX-License-Identifier: Apache-2.0
 *
 * derive: every derived key and commitment, every label, in one place (format/README.md, "Derivation").
 *
 *   derive(K, label, context, n) = HKDF-Expand-SHA256(K, u8 len ‖ label ‖ u16 len ‖ context, n)
 *
 * HKDF: RFC 5869, section 2.3. K is uniform, so Expand alone suffices. A KEK, a DEK, a root key or the key
 * that scrypt makes of a passphrase is never itself a GCM or HMAC key.
 */
#ifndef NC_DERIVE_H
#define NC_DERIVE_H

#include "env.h"
#include "slice.h"

typedef enum nc_label {
  NC_LABEL_WRAP,          /* KEK or root key: wrapping key and nonce */
  NC_LABEL_KEK_COMMIT,    /* KEK */
  NC_LABEL_KEYFILE_MAC,   /* KEK */
  NC_LABEL_CURRENT_MAC,   /* KEK */
  NC_LABEL_DATA,          /* DEK: the key that seals frames */
  NC_LABEL_DEK_COMMIT,    /* DEK */
  NC_LABEL_KEYRING,       /* passphrase key: key and nonce that seal a keyring */
  NC_LABEL_KEYRING_COMMIT /* passphrase key */
} nc_label;
const char *nc_label_text(nc_label label);

enum { NC_DERIVE_KEY_BYTES = 32 };

NC_MUST_CHECK nacre_status nc_derive(nc_env *env, const uint8_t key[NC_DERIVE_KEY_BYTES], nc_label label,
                                     nacre_slice context, uint8_t *out, size_t size, nacre_error *err);
/* HKDF-Expand-SHA256 alone, with the info as given: what nc_derive stands on, apart so that published vectors
 * reach it. Derive keys with nc_derive. More than 255 * 32 bytes are NC_E_SEAL_ARGUMENT; on failure `out` is
 * wiped. */
NC_MUST_CHECK nacre_status nc_hkdf_expand(nc_env *env, const uint8_t key[NC_DERIVE_KEY_BYTES],
                                          nacre_slice info, uint8_t *out, size_t size, nacre_error *err);
/* HMAC-SHA256 (RFC 2104). */
NC_MUST_CHECK nacre_status nc_hmac(nc_env *env, const uint8_t key[32], nacre_slice data, uint8_t out[32],
                                   nacre_error *err);
/* scrypt (RFC 7914), from a passphrase to `size` uniform bytes. Any parameters that the RFC allows, and
 * any that take memory: a cost that was read from a file passes nc_scrypt_cost_check first. On failure
 * `out` is wiped. */
NC_MUST_CHECK nacre_status nc_scrypt(nacre_slice passphrase, nacre_slice salt, uint64_t n, uint32_t r,
                                     uint32_t p, uint8_t *out, size_t size, nacre_error *err);

#endif
