/* SPDX-License-Identifier: Apache-2.0
 *
 * Target: CURRENT (format/README.md, "CURRENT").
 *
 * The input is decoded as it stands, and once more with a good CRC. The MAC is the caller's: encoding leaves
 * it zero.
 */
#include "current.h"

#include <stdlib.h>

#include "crc32c.h"
#include "fuzz.h"

enum { AT_CRC = 124 };

static void decode(nacre_slice bytes) {
  nacre_error err;
  nc_error_clear(&err);
  nc_current current;
  fuzz_blank(&current, sizeof current);
  nacre_status status = nc_current_decode(bytes, &current, &err);
  if (!fuzz_accepted(status, &err, bytes.size, &current, sizeof current)) return;
  uint8_t again[NC_CURRENT_BYTES];
  nc_current_encode(&current, again);
  memcpy(again + NC_CURRENT_MAC_OFFSET, current.mac, NC_MAC_BYTES);
  fuzz_require_same(again, sizeof again, bytes.data, bytes.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  decode(nc_slice(data, size));
  if (size < AT_CRC + 4) return 0;
  uint8_t *copy = fuzz_copy(data, size);
  nc_put_u32(copy + AT_CRC, nc_crc32c(0, copy, AT_CRC));
  decode(nc_slice(copy, size));
  free(copy);
  return 0;
}
