/* SPDX-License-Identifier: Apache-2.0
 *
 * current: the file CURRENT as bytes (format/README.md, "CURRENT").
 */
#include "current.h"

#include <assert.h>

#include "crc32c.h"

enum { AT_VERSION = 8, AT_CRC = 124 };

static const uint8_t magic[8] = {0x89, 'N', 'A', 'C', 'C', 'U', 0x0D, 0x0A};

_Static_assert(AT_CRC + 4 == NC_CURRENT_MAC_OFFSET, "the MAC covers the CRC and all before it");
_Static_assert(NC_CURRENT_MAC_OFFSET + NC_MAC_BYTES == NC_CURRENT_BYTES, "the MAC ends the file");

void nc_current_encode(const nc_current *current, uint8_t out[NC_CURRENT_BYTES]) {
  nc_writer w = nc_writer_over(out, NC_CURRENT_BYTES);
  nc_write_bytes(&w, magic, sizeof magic);
  nc_write_u16(&w, NC_FORMAT_VERSION);
  nc_write_zeros(&w, 6);
  nc_write_bytes(&w, current->table.bytes, NC_UUID_BYTES);
  nc_write_bytes(&w, current->manifest.bytes, NC_UUID_BYTES);
  nc_write_u64(&w, current->manifest_number);
  nc_write_u64(&w, current->epoch);
  nc_write_bytes(&w, current->manifest_commitment, NC_COMMITMENT_BYTES);
  nc_write_bytes(&w, current->kek_id.bytes, NC_UUID_BYTES);
  nc_write_u32(&w, current->kek_version_min);
  nc_write_zeros(&w, 8);
  assert(w.size == AT_CRC);
  nc_write_u32(&w, nc_crc32c(0, out, AT_CRC));
  nc_write_zeros(&w, NC_MAC_BYTES);
  assert(!w.failed && w.size == NC_CURRENT_BYTES);
}

nacre_status nc_current_decode(nacre_slice bytes, nc_current *ret_current, nacre_error *err) {
  /* [C1] */
  if (bytes.size != NC_CURRENT_BYTES) return nc_fail(err, NC_E_CURRENT_SHAPE, "%zu bytes", bytes.size);
  const uint8_t *p = bytes.data;
  if (memcmp(p, magic, sizeof magic) != 0) return nc_fail_at(err, NC_E_CURRENT_MAGIC, 0, NULL);
  /* [V2] */
  if (nc_get_u32(p + AT_CRC) != nc_crc32c(0, p, AT_CRC)) return nc_fail_at(err, NC_E_CURRENT_CRC, 0, NULL);
  nc_reader r = nc_reader_over(bytes);
  nc_current current = {0};
  (void)nc_read_bytes(&r, AT_VERSION);
  uint16_t version = nc_read_u16(&r);
  if (version != NC_FORMAT_VERSION) /* [V1] */
    return nc_fail_at(err, NC_E_CURRENT_VERSION, AT_VERSION, "version %u", version);
  bool zeros = nc_read_zeros(&r, 6);
  nc_read_copy(&r, current.table.bytes, NC_UUID_BYTES);
  nc_read_copy(&r, current.manifest.bytes, NC_UUID_BYTES);
  current.manifest_number = nc_read_u64(&r);
  current.epoch = nc_read_u64(&r);
  nc_read_copy(&r, current.manifest_commitment, NC_COMMITMENT_BYTES);
  nc_read_copy(&r, current.kek_id.bytes, NC_UUID_BYTES);
  current.kek_version_min = nc_read_u32(&r);
  zeros &= nc_read_zeros(&r, 8);
  if (!zeros) return nc_fail_at(err, NC_E_CURRENT_RESERVED, 0, NULL); /* [P4] */
  memcpy(current.mac, p + NC_CURRENT_MAC_OFFSET, NC_MAC_BYTES);
  *ret_current = current;
  return NACRE_OK;
}
