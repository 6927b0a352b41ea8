/* SPDX-License-Identifier: Apache-2.0
 *
 * Target: the framing of sealed bytes (format/README.md, "Frames").
 *
 * The input is decoded as it stands, and once more with a good header check and, where it is long enough, a
 * good CRC.
 */
#include "frame.h"

#include <stdlib.h>

#include "crc32c.h"
#include "fuzz.h"
#include "header.h"

enum { AT_CHECK = 6, AT_CRC = 8, AT_SALT = 12, FILE_TYPES = 3 };

/* A type that decodes belongs in one kind of file, and where it belongs nothing else is expected. */
static void require_known_type(const nc_frame_header *header) {
  int kinds = 0;
  for (uint8_t file_type = 0; file_type <= FILE_TYPES + 1; file_type++)
    kinds += nc_frame_type_belongs(header->type, file_type);
  FUZZ_REQUIRE(kinds == 1 && strcmp(nc_frame_type_name(header->type), "unknown") != 0);
  for (unsigned type = 0; type < 256; type++) {
    nacre_status status = nc_frame_expect(header, (nc_frame_type)type, NULL);
    FUZZ_REQUIRE((status == NACRE_OK) == (type == header->type));
  }
}

static bool decode(const uint8_t *bytes, nc_frame_header *header) {
  nacre_error err;
  nc_error_clear(&err);
  fuzz_blank(header, sizeof *header);
  bool plausible = nc_frame_plausible(bytes);
  nacre_status status = nc_frame_decode(bytes, header, &err);
  if (!fuzz_accepted(status, &err, NC_FRAME_HEADER_BYTES, header, sizeof *header)) {
    FUZZ_REQUIRE(!plausible || err.id == NC_E_FRAME_FLAGS || err.id == NC_E_FRAME_TYPE_UNKNOWN);
    return false;
  }
  FUZZ_REQUIRE(plausible && nc_frame_size(header->ciphertext_size) <= NC_FRAME_BYTES_MAX);
  require_known_type(header);
  return true;
}

/* Builds the frame from what was decoded of it. */
static void rebuild(nacre_slice frame, const nc_frame_header *header) {
  size_t size = nc_frame_size(header->ciphertext_size);
  uint8_t *again = fuzz_alloc(size);
  nc_frame_begin(again, header->ciphertext_size, (nc_frame_type)header->type, header->salt);
  memcpy(again + NC_FRAME_HEADER_BYTES, (const uint8_t *)frame.data + NC_FRAME_HEADER_BYTES,
         header->ciphertext_size + NC_FRAME_TAG_BYTES);
  nc_frame_finish(again);
  fuzz_require_same(again, size, frame.data, size);
  free(again);
}

static void check(nacre_slice frame) {
  nacre_error err;
  nc_error_clear(&err);
  nc_frame_header header;
  bool decoded = frame.size >= NC_FRAME_HEADER_BYTES && decode(frame.data, &header);
  if (!fuzz_accepted_in_place(nc_frame_check(frame, &err), &err, frame.size)) return;
  FUZZ_REQUIRE(decoded && nc_frame_size(header.ciphertext_size) <= frame.size);
  rebuild(frame, &header);
}

static void repair(uint8_t *frame, size_t size) {
  if (size < NC_FRAME_HEADER_BYTES) return;
  uint32_t crc = nc_crc32c(0, frame, AT_CHECK);
  nc_put_u16(frame + AT_CHECK, (uint16_t)(crc >> 16 ^ (crc & 0xFFFF)));
  size_t whole = nc_frame_size(nc_get_u32(frame));
  if (whole > size) return;
  nc_put_u32(frame + AT_CRC, nc_crc32c(nc_crc32c(0, frame, AT_CRC), frame + AT_SALT, whole - AT_SALT));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  check(nc_slice(data, size));
  uint8_t *frame = fuzz_copy(data, size);
  repair(frame, size);
  check(nc_slice(frame, size));
  free(frame);
  return 0;
}
