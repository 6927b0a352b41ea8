/* SPDX-License-Identifier: Apache-2.0
 *
 * keyring: the file of the `local:` provider, which holds root keys outside the store (format/README.md,
 * "Keyring").
 *
 *   magic 89 4E 41 43 4B 52 0D 0A · u16 version · u16 0 · u32 keys
 *   key*:  key id[16] · u64 created ms · key[32]        the last one wraps new table keys
 *   u32 CRC32C of everything before it
 */
#ifndef NC_KEYRING_H
#define NC_KEYRING_H

#include "coding.h"
#include "status.h"

enum {
  NC_KEYRING_KEYS_MAX = 64,
  NC_ROOT_KEY_BYTES = 32,
  NC_KEYRING_BYTES_MAX = 16 + NC_KEYRING_KEYS_MAX * (16 + 8 + NC_ROOT_KEY_BYTES) + 4
};

typedef struct nc_root_key {
  nc_uuid id;
  uint64_t created_ms;
  uint8_t key[NC_ROOT_KEY_BYTES];
} nc_root_key;

/* Holds secrets: the caller wipes it. */
typedef struct nc_keyring {
  uint32_t key_count;
  nc_root_key keys[NC_KEYRING_KEYS_MAX];
} nc_keyring;

/* Puts a key last, where it wraps new table keys; refuses the one key too many. */
NC_MUST_CHECK nacre_status nc_keyring_add(nc_keyring *ring, const nc_root_key *key, nacre_error *err);
size_t nc_keyring_encode(const nc_keyring *ring, uint8_t out[NC_KEYRING_BYTES_MAX]);
NC_MUST_CHECK nacre_status nc_keyring_decode(nacre_slice bytes, nc_keyring *ret_ring, nacre_error *err);

/* A root key's wrap of a table key, as the provider hands it out: u8 1 · root key id[16] · salt[24] ·
 * ciphertext[32] · tag[16], sealed as AES-256-GCM(WK, N) with WK ‖ N = derive(root key, "wrap", salt, 44) and
 * the encryption context as AAD. */
enum { NC_LOCAL_WRAP_BYTES = 1 + 16 + 24 + 32 + 16 };
typedef struct nc_local_wrap {
  nc_uuid key_id;
  uint8_t salt[24], ciphertext[32], tag[16];
} nc_local_wrap;
void nc_local_wrap_encode(const nc_local_wrap *wrap, uint8_t out[NC_LOCAL_WRAP_BYTES]);
bool nc_local_wrap_decode(nacre_slice bytes, nc_local_wrap *ret_wrap);

#endif
