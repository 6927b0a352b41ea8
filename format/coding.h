/* SPDX-License-Identifier: Apache-2.0
 *
 * coding: integers and strings as bytes (format/README.md, "Primitives").
 *
 * Little-endian fixed integers, LEB128 varints of at most 10 bytes, byte strings led by a varint length. A
 * writer or reader that runs over its end sets `failed` and stays failed, so that a sequence is checked once,
 * at its end; a failed reader yields zeros and empty slices, never bytes outside its buffer.
 */
#ifndef NC_CODING_H
#define NC_CODING_H

#include "slice.h"

/* Copied whole and turned where the processor is big-endian: compilers do not reliably make one load or store of bytes
 * that are put together one by one. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define NC_LITTLE(bits, v) (v)
#else
#define NC_LITTLE(bits, v) __builtin_bswap##bits(v)
#endif
static inline void nc_put_u16(uint8_t *p, uint16_t v) {
  v = NC_LITTLE(16, v);
  memcpy(p, &v, sizeof v);
}
static inline void nc_put_u32(uint8_t *p, uint32_t v) {
  v = NC_LITTLE(32, v);
  memcpy(p, &v, sizeof v);
}
static inline void nc_put_u64(uint8_t *p, uint64_t v) {
  v = NC_LITTLE(64, v);
  memcpy(p, &v, sizeof v);
}
static inline uint16_t nc_get_u16(const uint8_t *p) {
  uint16_t v;
  memcpy(&v, p, sizeof v);
  return NC_LITTLE(16, v);
}
static inline uint32_t nc_get_u32(const uint8_t *p) {
  uint32_t v;
  memcpy(&v, p, sizeof v);
  return NC_LITTLE(32, v);
}
static inline uint64_t nc_get_u64(const uint8_t *p) {
  uint64_t v;
  memcpy(&v, p, sizeof v);
  return NC_LITTLE(64, v);
}

#define NC_VARINT_BYTES_MAX 10
size_t nc_varint_size(uint64_t v);
/* Writes 1 to 10 bytes; returns how many. */
size_t nc_put_varint(uint8_t *p, uint64_t v);
/* Reads one varint of [p, end); returns its length, 0 when it is cut off or longer than its value needs (one
 * value has one encoding) or over 64 bits. */
size_t nc_get_varint(const uint8_t *p, const uint8_t *end, uint64_t *ret_value);

typedef struct nc_writer {
  uint8_t *data;
  size_t capacity, size;
  bool failed;
} nc_writer;

static inline nc_writer nc_writer_over(void *data, size_t capacity) {
  return (nc_writer){data, capacity, 0, false};
}
void nc_write_u8(nc_writer *w, uint8_t v);
void nc_write_u16(nc_writer *w, uint16_t v);
void nc_write_u32(nc_writer *w, uint32_t v);
void nc_write_u64(nc_writer *w, uint64_t v);
void nc_write_varint(nc_writer *w, uint64_t v);
void nc_write_bytes(nc_writer *w, const void *data, size_t size); /* no length before them */
void nc_write_zeros(nc_writer *w, size_t size);
void nc_write_string(nc_writer *w, nacre_slice s); /* varint length, bytes */

typedef struct nc_reader {
  const uint8_t *data;
  size_t size, at;
  bool failed;
} nc_reader;

static inline nc_reader nc_reader_over(nacre_slice s) { return (nc_reader){s.data, s.size, 0, false}; }
uint8_t nc_read_u8(nc_reader *r);
uint16_t nc_read_u16(nc_reader *r);
uint32_t nc_read_u32(nc_reader *r);
uint64_t nc_read_u64(nc_reader *r);
uint64_t nc_read_varint(nc_reader *r);
nacre_slice nc_read_bytes(nc_reader *r, size_t size);   /* points into the reader's buffer */
void nc_read_copy(nc_reader *r, void *to, size_t size); /* zeros when failed */
bool nc_read_zeros(nc_reader *r, size_t size);          /* false when any byte is not zero */
nacre_slice nc_read_string(nc_reader *r);
static inline size_t nc_reader_left(const nc_reader *r) { return r->failed ? 0 : r->size - r->at; }
static inline bool nc_reader_done(const nc_reader *r) { return !r->failed && r->at == r->size; }

/* ---- UUIDs: 16 random bytes, shown as 8-4-4-4-12 hex digits -------------------------------------------- */
#define NC_UUID_BYTES 16
#define NC_UUID_TEXT_BYTES 37 /* terminator included */
typedef struct nc_uuid {
  uint8_t bytes[NC_UUID_BYTES];
} nc_uuid;
static inline bool nc_uuid_equal(const nc_uuid *a, const nc_uuid *b) { return memcmp(a, b, sizeof *a) == 0; }
void nc_uuid_format(const nc_uuid *uuid, char text[NC_UUID_TEXT_BYTES]);
/* Reads exactly the form that nc_uuid_format writes (either case); false for anything else. */
bool nc_uuid_parse(const char *text, nc_uuid *ret_uuid);

#endif
