/* SPDX-License-Identifier: Apache-2.0
 *
 * value_file: a large value in a sealed file of its own (format/README.md, "Value files").
 *
 *   part*   u32 number of the part, from 0 · packed bytes of the value (compress.h)
 *   end     offset size
 *                0    8  length of the file
 *                8    8  length of the value
 *               16    8  number of frames, this one included
 *               24    4  part bytes: what every part but the last unpacks to
 *               28    4  zero
 *               32   16  UUID of the manifest that the file was made under,
 *               48    8  and its newest commit then
 *               56    8  zero
 *
 * A part bears "continued in the next frame", the end does not. The end frame is the last of the file and of
 * fixed size, so it is found from the file's end.
 */
#ifndef NC_VALUE_FILE_H
#define NC_VALUE_FILE_H

#include "coding.h"
#include "frame.h"
#include "header.h"
#include "status.h"

enum { NC_VALUE_END_BYTES = 64, NC_VALUE_PART_HEAD_BYTES = 4, NC_VALUE_PART_BYTES_MIN = 4096 };
#define NC_VALUE_PART_BYTES_MAX ((size_t)4 * 1024 * 1024)

/* Binds a finished value file to its name: anything else in its place is refused. */
typedef struct nc_value_name {
  uint64_t number;
  nc_uuid file, origin_table;
  uint64_t size;                  /* of the file */
  uint8_t last_tag[NC_TAG_BYTES]; /* of the end frame */
  uint8_t dek_commitment[NC_COMMITMENT_BYTES];
  uint64_t value_size;
} nc_value_name;

void nc_write_value_name(nc_writer *w, const nc_value_name *name);
/* False when a field is out of range; a shortage of bytes shows in the reader. */
bool nc_read_value_name(nc_reader *r, nc_value_name *name);

/* What the entry of a large put holds in place of the value. */
typedef struct nc_value_reference {
  uint64_t expires_ms; /* since 1970; 0: never */
  nc_value_name name;
} nc_value_reference;

enum {
  NC_VALUE_REFERENCE_BYTES_MAX =
      8 + 3 * NC_VARINT_BYTES_MAX + 2 * NC_UUID_BYTES + NC_TAG_BYTES + NC_COMMITMENT_BYTES
};

size_t nc_value_reference_encode(const nc_value_reference *reference,
                                 uint8_t out[NC_VALUE_REFERENCE_BYTES_MAX]);
NC_MUST_CHECK nacre_status nc_value_reference_decode(nacre_slice bytes, nc_value_reference *ret_reference,
                                                     nacre_error *err);

typedef struct nc_value_end {
  uint64_t file_size, value_size;
  uint64_t frame_count;
  uint32_t part_bytes;
  nc_uuid manifest;
  uint64_t manifest_sequence;
} nc_value_end;

void nc_value_end_encode(const nc_value_end *end, uint8_t out[NC_VALUE_END_BYTES]);
/* `file_size`: the file's real length. */
NC_MUST_CHECK nacre_status nc_value_end_decode(nacre_slice bytes, uint64_t file_size, nc_value_end *ret_end,
                                               nacre_error *err);

/* How many parts a value has, and how many bytes the part of a number holds. */
static inline uint64_t nc_value_parts(const nc_value_end *end) {
  return (end->value_size + end->part_bytes - 1) / end->part_bytes;
}
static inline size_t nc_value_part_size(const nc_value_end *end, uint64_t part) {
  uint64_t left = end->value_size - part * end->part_bytes;
  return (size_t)(left < end->part_bytes ? left : end->part_bytes);
}

/* Refuses a part that is not number `part` of the value; `*ret_packed` are its packed bytes, which unpack to
 * nc_value_part_size. */
NC_MUST_CHECK nacre_status nc_value_part_decode(nacre_slice bytes, const nc_value_end *end, uint64_t part,
                                                nacre_slice *ret_packed, nacre_error *err);

#endif
