/* SPDX-License-Identifier: Apache-2.0
 *
 * key_file: the wrapped table keys of one table, kept in two equal copies (format/README.md, "Key file").
 *
 *   magic 89 4E 41 43 4B 45 0D 0A · u16 version · u16 0 · u32 total size · u64 generation · table UUID
 *   varint versions:  KEK id · u32 version · u8 state · u64 created ms · commitment[32]
 *                     · varint wraps: string provider, uri, region, key version, principal, ciphertext
 *   varint MACs:      KEK id · mac[32]      one for each version, in their order: HMAC-SHA256 of all bytes
 *                                           before "varint MACs" under
 *                                           derive(KEK, "keyfile-mac", table UUID, 32)
 *   u32 CRC32C of everything before it
 */
#ifndef NC_KEY_FILE_H
#define NC_KEY_FILE_H

#include "coding.h"
#include "current.h"
#include "header.h"
#include "status.h"

enum {
  NC_KEY_VERSIONS_MAX = 64,
  NC_KEY_WRAPS_MAX = 256, /* over all versions */
  NC_KEK_BYTES = 32
};
#define NC_KEY_FILE_BYTES_MAX ((size_t)1024 * 1024)

typedef enum nc_key_state {
  NC_KEY_ACTIVE = 1,  /* new files are wrapped by it; exactly one version is */
  NC_KEY_RETIRING = 2 /* older files may still be wrapped by it */
} nc_key_state;

typedef struct nc_key_wrap {
  uint32_t version_index;                                                /* into versions[] */
  nacre_slice provider, uri, region, key_version, principal, ciphertext; /* point into the decoded bytes */
} nc_key_wrap;

typedef struct nc_key_version {
  nc_uuid id;
  uint32_t version;
  nc_key_state state;
  uint64_t created_ms;
  uint8_t
      commitment[NC_COMMITMENT_BYTES]; /* derive(KEK, "kek-commit", table UUID ‖ KEK id ‖ u32 version, 32) */
} nc_key_version;

typedef struct nc_key_mac {
  nc_uuid kek_id;
  uint8_t mac[NC_MAC_BYTES];
} nc_key_mac;

typedef struct nc_key_file {
  uint64_t generation;
  nc_uuid table;
  uint32_t version_count, wrap_count, mac_count;
  nc_key_version versions[NC_KEY_VERSIONS_MAX]; /* ascending in number */
  nc_key_wrap wraps[NC_KEY_WRAPS_MAX]; /* grouped by version_index, ascending */
  nc_key_mac macs[NC_KEY_VERSIONS_MAX];
} nc_key_file;

/* Encodes the part that the MACs cover; 0 when it does not fit. The total size in it counts `mac_count` MACs
 * and the CRC. */
size_t nc_key_file_encode_body(const nc_key_file *file, void *out, size_t capacity);
/* Appends MACs and CRC to a body of `body_size` bytes in the same buffer; returns the file's size, 0 when it
 * does not fit. */
size_t nc_key_file_encode_end(const nc_key_file *file, void *out, size_t body_size, size_t capacity);
/* Decodes a whole file. `ret_body_size` is what the MACs cover. The MACs are the caller's to check. */
NC_MUST_CHECK nacre_status nc_key_file_decode(nacre_slice bytes, nc_key_file *ret_file, size_t *ret_body_size,
                                              nacre_error *err);

#endif
