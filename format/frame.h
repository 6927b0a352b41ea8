/* SPDX-License-Identifier: Apache-2.0
 *
 * frame: the framing of sealed bytes after a file's header (format/README.md, "Frames").
 *
 *   offset size
 *        0    4  ciphertext length                             ┐ 8 bytes of
 *        4    1  frame type                                    │ additional
 *        5    1  flags (bit 0: continued in the next frame)    │ authenticated
 *        6    2  header check: CRC32C of bytes 0 to 5, folded  ┘ data
 *        8    4  CRC32C of bytes 0 to 7, 12 to 15, and all that follows, padding included
 *       12    4  salt
 *       16    n  ciphertext
 *     16+n   16  tag
 *       ...      zeros to the next multiple of 16
 *
 * The nonce is salt ‖ BE64(file offset of the frame): a frame's address is part of what its tag covers.
 */
#ifndef NC_FRAME_H
#define NC_FRAME_H

#include "coding.h"
#include "status.h"

enum {
  NC_FRAME_HEADER_BYTES = 16,
  NC_FRAME_AAD_BYTES = 8,
  NC_FRAME_TAG_BYTES = 16,
  NC_FRAME_SALT_BYTES = 4,
  NC_FRAME_ALIGN = 16,
  NC_NONCE_BYTES = 12
};
#define NC_FRAME_BYTES_MAX ((size_t)16 * 1024 * 1024) /* header, tag and padding included */
#define NC_FRAME_PLAINTEXT_BYTES_MAX (NC_FRAME_BYTES_MAX - 32)
#define NC_FILE_BYTES_MAX ((uint64_t)1 << 40)

typedef enum nc_frame_type {
  NC_FRAME_LOG_START = 1,
  NC_FRAME_LOG_GROUP = 2,
  NC_FRAME_LOG_MARK = 3,
  NC_FRAME_LOG_FINAL = 4,
  NC_FRAME_DATA = 16,
  NC_FRAME_FILTER = 17,
  NC_FRAME_INDEX = 18,
  NC_FRAME_PROPERTIES = 19,
  NC_FRAME_FOOTER = 20,
  NC_FRAME_RANGES = 21,
  NC_FRAME_EDIT = 32,
  NC_FRAME_VALUE_PART = 48, /* continued in the next frame */
  NC_FRAME_VALUE_END = 49
} nc_frame_type;
const char *nc_frame_type_name(uint8_t type); /* "log group", "data", ...; "unknown" */
bool nc_frame_type_belongs(uint8_t frame_type, uint8_t file_type);

typedef struct nc_frame_header {
  uint32_t ciphertext_size;
  uint8_t type, flags;
  uint32_t crc;
  uint8_t salt[NC_FRAME_SALT_BYTES];
} nc_frame_header;

/* Bytes that a frame of so much plaintext takes in the file; always a multiple of 16. */
static inline size_t nc_frame_size(size_t plaintext_size) {
  return (NC_FRAME_HEADER_BYTES + plaintext_size + NC_FRAME_TAG_BYTES + (NC_FRAME_ALIGN - 1)) &
         ~(size_t)(NC_FRAME_ALIGN - 1);
}

/* Writes the 16 header bytes (CRC zero) and the zero padding of a frame of nc_frame_size(plaintext_size)
 * bytes at `frame`; the caller seals into frame + 16 and then calls nc_frame_finish. The AAD is
 * frame[0..8). */
void nc_frame_begin(uint8_t *frame, size_t plaintext_size, nc_frame_type type,
                    const uint8_t salt[NC_FRAME_SALT_BYTES]);
/* Stores the CRC of a whole frame. */
void nc_frame_finish(uint8_t *frame);
void nc_frame_nonce(uint8_t nonce[NC_NONCE_BYTES], const uint8_t salt[NC_FRAME_SALT_BYTES],
                    uint64_t file_offset);

/* True when 16 bytes look like a frame header: the header check holds and the length is within limits. Cheap,
 * for walking and for searching. */
bool nc_frame_plausible(const uint8_t header[NC_FRAME_HEADER_BYTES]);
/* Decodes a header; refuses a failed check, an over-long length, unknown flags and unknown types. */
NC_MUST_CHECK nacre_status nc_frame_decode(const uint8_t header[NC_FRAME_HEADER_BYTES],
                                           nc_frame_header *ret_header, nacre_error *err);
/* Refuses a frame of another type than the one that belongs at its address. */
NC_MUST_CHECK nacre_status nc_frame_expect(const nc_frame_header *header, nc_frame_type expected,
                                           nacre_error *err);
/* Decodes the header and checks the CRC and the padding of a whole frame; bytes after the frame are not
 * looked at. */
NC_MUST_CHECK nacre_status nc_frame_check(nacre_slice frame, nacre_error *err);

#endif
