/* SPDX-License-Identifier: Apache-2.0
 *
 * header: one of the two equal slots that begin every sealed file (format/README.md, "File header").
 *
 *   offset size
 *        0    8  magic 89 4E 41 43 52 45 0D 0A                                          ┐
 *        8    2  format version (1)                                                    │
 *       10    2  suite (1: AES-256-GCM, HKDF-SHA256)                                   │ identity:
 *       12    1  file type                                                             │ 64 bytes
 *       13    3  zero                                                                  │
 *       16   16  origin table UUID                                                     │
 *       32   16  file UUID                                                             │
 *       48    8  file number                                                           │
 *       56    8  epoch                                                                 ┘
 *       64   32  DEK commitment = derive(DEK, "dek-commit", identity, 32)
 *       96    8  slot sequence
 *      104    1  slot index (0 or 1; zero in the AAD)
 *      105    7  of the first segment of a bulk load, once that is committed: its sequence; else zero
 *      112   16  KEK id
 *      128    4  KEK version
 *      132    4  zero
 *      136   24  wrap salt           <- the wrap's AAD is bytes 0 to 135, slot index zeroed
 *      160   32  wrapped DEK
 *      192   16  wrap tag
 *      208 3884  zero
 *     4092    4  CRC32C of bytes 0 to 4091
 */
#ifndef NC_HEADER_H
#define NC_HEADER_H

#include "coding.h"
#include "status.h"

enum {
  NC_SLOT_BYTES = 4096,
  NC_SLOT_COUNT = 2,
  NC_FRAMES_OFFSET = 8192, /* where the first frame stands */
  NC_IDENTITY_BYTES = 64,
  NC_COMMITMENT_BYTES = 32,
  NC_WRAP_SALT_BYTES = 24,
  NC_WRAP_AAD_BYTES = 136,
  NC_DEK_BYTES = 32,
  NC_TAG_BYTES = 16,
  NC_FORMAT_VERSION = 1,
  NC_SUITE_AES_256_GCM = 1
};

typedef enum nc_file_type {
  NC_FILE_SEGMENT = 1,
  NC_FILE_LOG = 2,
  NC_FILE_MANIFEST = 3,
  NC_FILE_VALUE = 4
} nc_file_type;
const char *nc_file_type_name(uint8_t type); /* "segment", "log", "manifest", "value"; "unknown" */

typedef struct nc_identity {
  nc_file_type type;
  nc_uuid origin_table, file;
  uint64_t number, epoch;
} nc_identity;

typedef struct nc_header_slot {
  nc_identity identity;
  uint8_t dek_commitment[NC_COMMITMENT_BYTES];
  uint64_t sequence; /* of the slot: raised by every rewrap */
  uint8_t index;
  uint64_t load_sequence; /* of the first segment of a bulk load; 0: none. Less than 2^56 */
  nc_uuid kek_id;
  uint32_t kek_version;
  uint8_t wrap_salt[NC_WRAP_SALT_BYTES];
  uint8_t wrapped_dek[NC_DEK_BYTES];
  uint8_t wrap_tag[NC_TAG_BYTES];
} nc_header_slot;

/* The identity as it is derived from: the first 64 header bytes. */
void nc_identity_encode(const nc_identity *identity, uint8_t out[NC_IDENTITY_BYTES]);
/* What the wrap authenticates: slot bytes before the salt, slot index zeroed. Uses no wrap field of the
 * slot. */
void nc_header_wrap_aad(const nc_header_slot *slot, uint8_t out[NC_WRAP_AAD_BYTES]);
void nc_header_encode(const nc_header_slot *slot, uint8_t out[NC_SLOT_BYTES]);
/* Decodes one slot; `index` is the place it was read from. Checks in the order in which they tell most: not
 * ours (magic), torn (CRC, whose place no version changes), too new (version, suite), then the fields. */
NC_MUST_CHECK nacre_status nc_header_decode(nacre_slice bytes, uint8_t index, nc_header_slot *ret_slot,
                                            nacre_error *err);
/* Decodes both slots of a file's first 8192 bytes (fewer when the file is shorter) and picks the one to use
 * first: good by CRC, then higher sequence, then slot 0. `ret_good[i]` tells which decoded; the error is that
 * of slot 0 when neither did. */
NC_MUST_CHECK nacre_status nc_header_pick(nacre_slice bytes, nc_header_slot ret_slots[NC_SLOT_COUNT],
                                          bool ret_good[NC_SLOT_COUNT], int *ret_pick, nacre_error *err);

#endif
