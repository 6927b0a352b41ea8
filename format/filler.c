/* SPDX-License-Identifier: Apache-2.0
 *
 * filler: see filler.h.
 */
#include "filler.h"

enum { AT_FILE = 4, AT_OFFSET = 8 };

static void unit(uint8_t bytes[NC_FILLER_BYTES], const nc_uuid *file, uint64_t offset) {
  memset(bytes, 0xFF, AT_FILE);
  memcpy(bytes + AT_FILE, file->bytes, AT_OFFSET - AT_FILE);
  nc_put_u64(bytes + AT_OFFSET, offset);
}

void nc_filler_write(uint8_t *bytes, size_t size, const nc_uuid *file, uint64_t offset) {
  uint8_t first[NC_FILLER_BYTES];
  unit(first, file, offset);
  for (size_t at = 0; at + NC_FILLER_BYTES <= size; at += NC_FILLER_BYTES) {
    memcpy(bytes + at, first, AT_OFFSET);
    nc_put_u64(bytes + at + AT_OFFSET, offset + at);
  }
}

size_t nc_filler_at_end(const uint8_t *bytes, size_t size, const nc_uuid *file, uint64_t offset) {
  uint8_t expected[NC_FILLER_BYTES];
  size_t found = 0;
  for (; size - found >= NC_FILLER_BYTES; found += NC_FILLER_BYTES) {
    size_t at = size - found - NC_FILLER_BYTES;
    unit(expected, file, offset + at);
    if (memcmp(bytes + at, expected, sizeof expected) != 0) break;
  }
  return found;
}

bool nc_filler_begins(const uint8_t bytes[NC_FILLER_BYTES / 2], const nc_uuid *file) {
  uint8_t expected[NC_FILLER_BYTES];
  unit(expected, file, 0);
  return memcmp(bytes, expected, AT_OFFSET) == 0;
}
