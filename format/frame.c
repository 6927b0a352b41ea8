/* SPDX-License-Identifier: Apache-2.0
 *
 * frame: framing of sealed bytes (format/README.md, "Frames").
 *
 * Invariant: a run of zeros is never a plausible header, for the CRC of six zero bytes does not fold to zero.
 */
#include "frame.h"

#include <assert.h>

#include "crc32c.h"
#include "header.h"

enum { AT_TYPE = 4, AT_FLAGS = 5, AT_CHECK = 6, AT_CRC = 8, AT_SALT = 12, FLAG_CONTINUED = 1 };

_Static_assert((int)AT_CRC == NC_FRAME_AAD_BYTES, "the AAD is what stands before the CRC");
_Static_assert(AT_SALT + NC_FRAME_SALT_BYTES == NC_FRAME_HEADER_BYTES, "the salt ends the header");
_Static_assert(NC_FRAME_BYTES_MAX % NC_FRAME_ALIGN == 0, "the largest frame is a whole number of steps");

const char *nc_frame_type_name(uint8_t type) {
  switch (type) {
    case NC_FRAME_LOG_START:
      return "log start";
    case NC_FRAME_LOG_GROUP:
      return "log group";
    case NC_FRAME_LOG_MARK:
      return "log mark";
    case NC_FRAME_LOG_FINAL:
      return "log final";
    case NC_FRAME_DATA:
      return "data";
    case NC_FRAME_FILTER:
      return "filter";
    case NC_FRAME_INDEX:
      return "index";
    case NC_FRAME_PROPERTIES:
      return "properties";
    case NC_FRAME_FOOTER:
      return "footer";
    case NC_FRAME_RANGES:
      return "ranges";
    case NC_FRAME_EDIT:
      return "edit";
    case NC_FRAME_VALUE_PART:
      return "value part";
    case NC_FRAME_VALUE_END:
      return "value end";
    default:
      return "unknown";
  }
}

static bool type_known(uint8_t type) {
  return (type >= NC_FRAME_LOG_START && type <= NC_FRAME_LOG_FINAL) ||
         (type >= NC_FRAME_DATA && type <= NC_FRAME_RANGES) || type == NC_FRAME_EDIT ||
         type == NC_FRAME_VALUE_PART || type == NC_FRAME_VALUE_END;
}

bool nc_frame_type_belongs(uint8_t frame_type, uint8_t file_type) {
  if (!type_known(frame_type)) return false;
  if (frame_type <= NC_FRAME_LOG_FINAL) return file_type == NC_FILE_LOG;
  if (frame_type <= NC_FRAME_RANGES) return file_type == NC_FILE_SEGMENT;
  if (frame_type == NC_FRAME_EDIT) return file_type == NC_FILE_MANIFEST;
  return file_type == NC_FILE_VALUE;
}

/* Only the parts of a value are continued in the next frame, and every one of them is. */
static uint8_t flags_of(uint8_t type) { return type == NC_FRAME_VALUE_PART ? FLAG_CONTINUED : 0; }

static uint16_t header_check(const uint8_t *header) {
  uint32_t crc = nc_crc32c(0, header, AT_CHECK);
  return (uint16_t)(crc >> 16 ^ (crc & 0xFFFF));
}

/* Everything but the four CRC bytes. */
static uint32_t frame_crc(const uint8_t *frame, size_t size) {
  return nc_crc32c(nc_crc32c(0, frame, AT_CRC), frame + AT_SALT, size - AT_SALT);
}

void nc_frame_begin(uint8_t *frame, size_t plaintext_size, nc_frame_type type,
                    const uint8_t salt[NC_FRAME_SALT_BYTES]) {
  assert(plaintext_size <= NC_FRAME_PLAINTEXT_BYTES_MAX);
  nc_put_u32(frame, (uint32_t)plaintext_size);
  frame[AT_TYPE] = (uint8_t)type;
  frame[AT_FLAGS] = flags_of((uint8_t)type);
  nc_put_u16(frame + AT_CHECK, header_check(frame));
  nc_put_u32(frame + AT_CRC, 0);
  memcpy(frame + AT_SALT, salt, NC_FRAME_SALT_BYTES);
  size_t sealed = NC_FRAME_HEADER_BYTES + plaintext_size + NC_FRAME_TAG_BYTES;
  memset(frame + sealed, 0, nc_frame_size(plaintext_size) - sealed);
}

void nc_frame_finish(uint8_t *frame) {
  nc_put_u32(frame + AT_CRC, frame_crc(frame, nc_frame_size(nc_get_u32(frame))));
}

void nc_frame_nonce(uint8_t nonce[NC_NONCE_BYTES], const uint8_t salt[NC_FRAME_SALT_BYTES],
                    uint64_t file_offset) {
  memcpy(nonce, salt, NC_FRAME_SALT_BYTES);
  for (int i = 0; i < 8; i++) nonce[NC_FRAME_SALT_BYTES + i] = (uint8_t)(file_offset >> (56 - 8 * i));
}

bool nc_frame_plausible(const uint8_t header[NC_FRAME_HEADER_BYTES]) {
  return nc_get_u16(header + AT_CHECK) == header_check(header) &&
         nc_get_u32(header) <= NC_FRAME_PLAINTEXT_BYTES_MAX;
}

nacre_status nc_frame_decode(const uint8_t header[NC_FRAME_HEADER_BYTES], nc_frame_header *ret_header,
                             nacre_error *err) {
  if (nc_get_u16(header + AT_CHECK) != header_check(header))
    return nc_fail_at(err, NC_E_FRAME_CHECK, 0, NULL); /* [F2] */
  uint32_t size = nc_get_u32(header);
  /* [F3] */
  if (size > NC_FRAME_PLAINTEXT_BYTES_MAX) return nc_fail_at(err, NC_E_FRAME_SIZE, 0, "%u bytes", size);
  /* [F4] */
  if (header[AT_FLAGS] != flags_of(header[AT_TYPE]))
    return nc_fail_at(err, NC_E_FRAME_FLAGS, 0, "flags 0x%02x", header[AT_FLAGS]);
  if (!type_known(header[AT_TYPE])) /* [F5] */
    return nc_fail_at(err, NC_E_FRAME_TYPE_UNKNOWN, 0, "type %u", header[AT_TYPE]);
  nc_frame_header decoded = {.ciphertext_size = size,
                             .type = header[AT_TYPE],
                             .flags = header[AT_FLAGS],
                             .crc = nc_get_u32(header + AT_CRC)};
  memcpy(decoded.salt, header + AT_SALT, NC_FRAME_SALT_BYTES);
  *ret_header = decoded;
  return NACRE_OK;
}

nacre_status nc_frame_expect(const nc_frame_header *header, nc_frame_type expected, nacre_error *err) {
  if (header->type == (uint8_t)expected) return NACRE_OK; /* [F6] */
  return nc_fail_at(err, NC_E_FRAME_TYPE, 0, "%s where %s belongs", nc_frame_type_name(header->type),
                    nc_frame_type_name((uint8_t)expected));
}

nacre_status nc_frame_check(nacre_slice frame, nacre_error *err) {
  const uint8_t *p = frame.data;
  nc_frame_header header;
  if (frame.size < NC_FRAME_HEADER_BYTES) return nc_fail_at(err, NC_E_FRAME_SHORT, 0, NULL); /* [F1] */
  NC_TRY(nc_frame_decode(p, &header, err));
  size_t size = nc_frame_size(header.ciphertext_size);
  if (frame.size < size) return nc_fail_at(err, NC_E_FRAME_SHORT, 0, "%zu of %zu bytes", frame.size, size);
  if (frame_crc(p, size) != header.crc) return nc_fail_at(err, NC_E_FRAME_CRC, 0, NULL); /* [F7] */
  for (size_t i = NC_FRAME_HEADER_BYTES + header.ciphertext_size + NC_FRAME_TAG_BYTES; i < size; i++)
    if (p[i] != 0) return nc_fail_at(err, NC_E_FRAME_PADDING, i, NULL);
  return NACRE_OK;
}
