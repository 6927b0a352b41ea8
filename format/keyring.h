/* SPDX-License-Identifier: Apache-2.0
 *
 * keyring: the file of the `local:` provider, which holds root keys outside the store (format/README.md,
 * "Keyring").
 *
 *   magic 89 4E 41 43 4B 52 0D 0A · u16 version · u16 protection · u32 keys
 *   [ protection 1:  u8 log2 N · u8 r · u8 p · u8 0 · salt[32] · commitment[32] ]
 *   key*:  key id[16] · u64 created ms · key[32]        the last one wraps new table keys
 *   [ protection 1:  the keys above are ciphertext, and their tag[16] follows ]
 *   u32 CRC32C of everything before it
 *
 * This room knows where the parts lie; crypto/kms/keyring_seal.h opens and seals them.
 */
#ifndef NC_KEYRING_H
#define NC_KEYRING_H

#include "coding.h"
#include "header.h"
#include "status.h"

enum {
  NC_KEYRING_KEYS_MAX = 64,
  NC_ROOT_KEY_BYTES = 32,
  NC_ROOT_KEY_RECORD_BYTES = NC_UUID_BYTES + 8 + NC_ROOT_KEY_BYTES,
  NC_KEYRING_SALT_BYTES = 32,
  NC_KEYRING_CONTEXT_BYTES = 16 + 4 + NC_KEYRING_SALT_BYTES,
  NC_KEYRING_AAD_BYTES = NC_KEYRING_CONTEXT_BYTES + NC_COMMITMENT_BYTES,
  NC_KEYRING_BYTES_MAX =
      NC_KEYRING_AAD_BYTES + NC_KEYRING_KEYS_MAX * NC_ROOT_KEY_RECORD_BYTES + NC_TAG_BYTES + 4
};

typedef enum nc_keyring_protection {
  NC_KEYRING_PLAIN = 0, /* the keys stand as they are: the file's mode and place guard them */
  NC_KEYRING_SCRYPT = 1 /* they are sealed under a passphrase */
} nc_keyring_protection;

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

/* What a guess at a passphrase costs (RFC 7914): 128 · N · r bytes of memory, and time in step with N · r
 * · p. */
typedef struct nc_scrypt_cost {
  uint8_t log2_n, r, p;
} nc_scrypt_cost;

/* Where the parts of a keyring lie in its bytes; nothing of it is authentic yet. */
typedef struct nc_keyring_parts {
  nc_keyring_protection protection;
  uint32_t key_count;
  nacre_slice keys; /* key records: plaintext, or under NC_KEYRING_SCRYPT ciphertext */
  /* NC_KEYRING_SCRYPT only: */
  nc_scrypt_cost cost; /* within what nc_scrypt_cost_check allows */
  nacre_slice salt;
  nacre_slice context; /* of the derivations: everything before the commitment */
  const uint8_t *commitment, *tag;
  nacre_slice aad; /* everything before the ciphertext */
} nc_keyring_parts;

/* Puts a key last, where it wraps new table keys; refuses the one key too many. */
NC_MUST_CHECK nacre_status nc_keyring_add(nc_keyring *ring, const nc_root_key *key, nacre_error *err);

/* Refuses a cost that is none, and one that nobody waits for: log2 N 1 to 22, r 1 to 32, p 1 to 16; N · r at
 * most 2^23, which is 1 GiB; N · r · p at most 2^24, some seconds; and N < 2^(16 r), as RFC 7914 has it. The
 * cost stands in the file before anything of it is authentic, so that whoever can put a file in a keyring's
 * place could otherwise have a program take all memory, or time without end. */
NC_MUST_CHECK nacre_status nc_scrypt_cost_check(nc_scrypt_cost cost, nacre_error *err);

/* Finds the parts: checks everything that needs no key. */
NC_MUST_CHECK nacre_status nc_keyring_parse(nacre_slice bytes, nc_keyring_parts *ret_parts, nacre_error *err);
/* The keys of `count` plaintext records, decoded in place: a copy would be one more to wipe. */
void nc_keyring_decode_keys(const uint8_t *records, uint32_t count, nc_keyring *ret_ring);

/* A whole keyring without protection. NC_E_KEYRING_PROTECTION when it has one. */
size_t nc_keyring_encode(const nc_keyring *ring, uint8_t out[NC_KEYRING_BYTES_MAX]);
NC_MUST_CHECK nacre_status nc_keyring_decode(nacre_slice bytes, nc_keyring *ret_ring, nacre_error *err);

/* A protected keyring, made in two steps. The first writes everything up to the keys, but for the
 * commitment, which is zero, and then the keys as plaintext; the caller puts commitment, ciphertext and
 * tag in their places and has the second write the checksum. Both return the size of the whole. */
size_t nc_keyring_lay_out(const nc_keyring *ring, nc_scrypt_cost cost,
                          const uint8_t salt[NC_KEYRING_SALT_BYTES], uint8_t out[NC_KEYRING_BYTES_MAX]);
size_t nc_keyring_finish(uint32_t key_count, uint8_t out[NC_KEYRING_BYTES_MAX]);

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
