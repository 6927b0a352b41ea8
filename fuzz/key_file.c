/* SPDX-License-Identifier: Apache-2.0
 *
 * Target: the wrapped keys of a table (format/README.md, "Key file").
 *
 * The input is decoded as it stands, and once more with its real length and a good CRC.
 */
#include "key_file.h"

#include <stdlib.h>

#include "crc32c.h"
#include "fuzz.h"

enum { AT_SIZE = 12, CRC_BYTES = 4 };

static void require_sound(const nc_key_file *file) {
  uint32_t active = 0;
  FUZZ_REQUIRE(file->version_count <= NC_KEY_VERSIONS_MAX && file->wrap_count <= NC_KEY_WRAPS_MAX);
  FUZZ_REQUIRE(file->mac_count == file->version_count);
  for (uint32_t i = 0; i < file->version_count; i++) {
    active += file->versions[i].state == NC_KEY_ACTIVE;
    for (uint32_t j = 0; j < i; j++)
      FUZZ_REQUIRE(file->versions[i].version != file->versions[j].version ||
                   !nc_uuid_equal(&file->versions[i].id, &file->versions[j].id));
  }
  FUZZ_REQUIRE(active == 1);
  for (uint32_t i = 0; i < file->wrap_count; i++) {
    const nc_key_wrap *wrap = &file->wraps[i];
    uint32_t before = i == 0 ? 0 : file->wraps[i - 1].version_index;
    FUZZ_REQUIRE(wrap->version_index < file->version_count && wrap->version_index >= before);
    FUZZ_REQUIRE(wrap->version_index - before <= 1); /* every version has a wrap */
    FUZZ_REQUIRE(wrap->uri.size != 0 && memchr(wrap->uri.data, 0, wrap->uri.size) == NULL);
    FUZZ_REQUIRE(wrap->ciphertext.size != 0);
  }
  FUZZ_REQUIRE(file->wraps[0].version_index == 0);
  FUZZ_REQUIRE(file->wraps[file->wrap_count - 1].version_index == file->version_count - 1);
}

static void decode(nacre_slice bytes) {
  static nc_key_file file; /* too large for a stack */
  nacre_error err;
  nc_error_clear(&err);
  size_t body_size = 0;
  if (!fuzz_accepted_in_place(nc_key_file_decode(bytes, &file, &body_size, &err), &err, bytes.size)) return;
  require_sound(&file);
  FUZZ_REQUIRE(body_size < bytes.size);
  uint8_t *again = fuzz_alloc(bytes.size);
  FUZZ_REQUIRE(nc_key_file_encode_body(&file, again, bytes.size) == body_size);
  size_t size = nc_key_file_encode_end(&file, again, body_size, bytes.size);
  fuzz_require_same(again, size, bytes.data, bytes.size);
  FUZZ_REQUIRE(nc_key_file_encode_end(&file, again, body_size, bytes.size - 1) == 0);
  free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  decode(nc_slice(data, size));
  if (size < AT_SIZE + 4 + CRC_BYTES) return 0;
  uint8_t *copy = fuzz_copy(data, size);
  nc_put_u32(copy + AT_SIZE, (uint32_t)size);
  nc_put_u32(copy + size - CRC_BYTES, nc_crc32c(0, copy, size - CRC_BYTES));
  decode(nc_slice(copy, size));
  free(copy);
  return 0;
}
