/* SPDX-License-Identifier: Apache-2.0
 *
 * current: the file CURRENT, which names a table's manifest (format/README.md, "CURRENT").
 *
 *   offset size
 *        0    8  magic 89 4E 41 43 43 55 0D 0A
 *        8    2  format version (1)
 *       10    6  zero
 *       16   16  table UUID
 *       32   16  manifest file UUID
 *       48    8  manifest file number
 *       56    8  epoch
 *       64   32  manifest DEK commitment
 *       96   16  KEK id
 *      112    4  minimum KEK version: no file under a lower one is accepted
 *      116    8  zero
 *      124    4  CRC32C of bytes 0 to 123
 *      128   32  HMAC-SHA256 of bytes 0 to 127 under derive(KEK, "current-mac", table UUID, 32)
 */
#ifndef NC_CURRENT_H
#define NC_CURRENT_H

#include "coding.h"
#include "header.h"
#include "status.h"

enum { NC_CURRENT_BYTES = 160, NC_CURRENT_MAC_OFFSET = 128, NC_MAC_BYTES = 32 };

typedef struct nc_current {
  nc_uuid table, manifest;
  uint64_t manifest_number, epoch;
  uint8_t manifest_commitment[NC_COMMITMENT_BYTES];
  nc_uuid kek_id;
  uint32_t kek_version_min;
  uint8_t mac[NC_MAC_BYTES];
} nc_current;

/* Encodes all but the MAC (left zero at NC_CURRENT_MAC_OFFSET, for the caller to fill). */
void nc_current_encode(const nc_current *current, uint8_t out[NC_CURRENT_BYTES]);
/* Decodes; the MAC is the caller's to check, over bytes 0 to 127. */
NC_MUST_CHECK nacre_status nc_current_decode(nacre_slice bytes, nc_current *ret_current, nacre_error *err);

#endif
