/* SPDX-License-Identifier: Apache-2.0
 *
 * coding: integers, strings and UUIDs as bytes (format/README.md, "Primitives").
 *
 * Invariants: a reader never points outside its buffer and a writer never writes past its capacity; once
 * `failed`, neither moves again.
 */
#include "coding.h"

size_t nc_varint_size(uint64_t v) {
  size_t n = 1;
  for (; v >= 0x80; v >>= 7) n++;
  return n;
}

size_t nc_put_varint(uint8_t *p, uint64_t v) {
  size_t n = 0;
  for (; v >= 0x80; v >>= 7) p[n++] = (uint8_t)(v | 0x80);
  p[n++] = (uint8_t)v;
  return n;
}

size_t nc_get_varint(const uint8_t *p, const uint8_t *end, uint64_t *ret_value) {
  uint64_t value = 0;
  size_t limit = (size_t)(end - p) < NC_VARINT_BYTES_MAX ? (size_t)(end - p) : NC_VARINT_BYTES_MAX;
  for (size_t n = 0; n < limit; n++) {
    uint8_t byte = p[n];
    value |= (uint64_t)(byte & 0x7F) << (7 * n);
    if (byte & 0x80) continue;
    if (byte == 0 && n > 0) return 0;                       /* a last byte that adds nothing [P1] */
    if (n == NC_VARINT_BYTES_MAX - 1 && byte > 1) return 0; /* bits 64 and up */
    *ret_value = value;
    return n + 1;
  }
  return 0;
}

/* Where the next `size` bytes go; NULL when they do not fit. */
static uint8_t *reserve(nc_writer *w, size_t size) {
  if (w->failed || size > w->capacity - w->size) {
    w->failed = true;
    return NULL;
  }
  uint8_t *p = w->data + w->size;
  w->size += size;
  return p;
}

void nc_write_u8(nc_writer *w, uint8_t v) {
  uint8_t *p = reserve(w, 1);
  if (p != NULL) *p = v;
}

void nc_write_u16(nc_writer *w, uint16_t v) {
  uint8_t *p = reserve(w, 2);
  if (p != NULL) nc_put_u16(p, v);
}

void nc_write_u32(nc_writer *w, uint32_t v) {
  uint8_t *p = reserve(w, 4);
  if (p != NULL) nc_put_u32(p, v);
}

void nc_write_u64(nc_writer *w, uint64_t v) {
  uint8_t *p = reserve(w, 8);
  if (p != NULL) nc_put_u64(p, v);
}

void nc_write_varint(nc_writer *w, uint64_t v) {
  uint8_t *p = reserve(w, nc_varint_size(v));
  if (p != NULL) (void)nc_put_varint(p, v);
}

void nc_write_bytes(nc_writer *w, const void *data, size_t size) {
  if (size == 0) return;
  uint8_t *p = reserve(w, size);
  if (p != NULL) memcpy(p, data, size);
}

void nc_write_zeros(nc_writer *w, size_t size) {
  if (size == 0) return;
  uint8_t *p = reserve(w, size);
  if (p != NULL) memset(p, 0, size);
}

void nc_write_string(nc_writer *w, nacre_slice s) {
  nc_write_varint(w, s.size);
  nc_write_bytes(w, s.data, s.size);
}

/* The next `size` bytes; NULL when there are not so many. [P2] */
static const uint8_t *take(nc_reader *r, size_t size) {
  if (r->failed || size > r->size - r->at) {
    r->failed = true;
    return NULL;
  }
  const uint8_t *p = r->data + r->at;
  r->at += size;
  return p;
}

uint8_t nc_read_u8(nc_reader *r) {
  const uint8_t *p = take(r, 1);
  return p == NULL ? 0 : *p;
}

uint16_t nc_read_u16(nc_reader *r) {
  const uint8_t *p = take(r, 2);
  return p == NULL ? 0 : nc_get_u16(p);
}

uint32_t nc_read_u32(nc_reader *r) {
  const uint8_t *p = take(r, 4);
  return p == NULL ? 0 : nc_get_u32(p);
}

uint64_t nc_read_u64(nc_reader *r) {
  const uint8_t *p = take(r, 8);
  return p == NULL ? 0 : nc_get_u64(p);
}

uint64_t nc_read_varint(nc_reader *r) {
  uint64_t value = 0;
  size_t left = nc_reader_left(r);
  size_t n = left == 0 ? 0 : nc_get_varint(r->data + r->at, r->data + r->size, &value);
  if (n == 0) r->failed = true;
  r->at += n;
  return value;
}

nacre_slice nc_read_bytes(nc_reader *r, size_t size) {
  /* Empty is a place too: NULL data would mean "unbounded" to whoever takes the slice for a key. */
  static const uint8_t nothing[1] = {0};
  const uint8_t *p = size == 0 ? nothing : take(r, size);
  return p == NULL ? nc_slice(nothing, 0) : nc_slice(p, size);
}

void nc_read_copy(nc_reader *r, void *to, size_t size) {
  if (size == 0) return;
  const uint8_t *p = take(r, size);
  if (p == NULL)
    memset(to, 0, size);
  else
    memcpy(to, p, size);
}

bool nc_read_zeros(nc_reader *r, size_t size) {
  nacre_slice bytes = nc_read_bytes(r, size);
  const uint8_t *p = bytes.data;
  if (r->failed || bytes.size == 0) return !r->failed;
  return p[0] == 0 && memcmp(p, p + 1, bytes.size - 1) == 0; /* each byte is as the one before it */
}

nacre_slice nc_read_string(nc_reader *r) {
  uint64_t size = nc_read_varint(r);
  if (size > nc_reader_left(r)) { /* before the cast, which could lose bits of it */
    r->failed = true;
    size = 0;
  }
  return nc_read_bytes(r, (size_t)size);
}

/* ---- UUIDs --------------------------------------------------------------------------------------------- */

/* Text positions 8, 13, 18 and 23 hold dashes. */
static bool is_dash(size_t at) { return at == 8 || at == 13 || at == 18 || at == 23; }

void nc_uuid_format(const nc_uuid *uuid, char text[NC_UUID_TEXT_BYTES]) {
  static const char digits[] = "0123456789abcdef";
  size_t at = 0;
  for (size_t i = 0; i < NC_UUID_BYTES; i++) {
    if (is_dash(at)) text[at++] = '-';
    text[at++] = digits[uuid->bytes[i] >> 4];
    text[at++] = digits[uuid->bytes[i] & 15];
  }
  text[at] = '\0';
}

/* -1 for anything but a hex digit, the terminator included. */
static int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool nc_uuid_parse(const char *text, nc_uuid *ret_uuid) {
  nc_uuid uuid;
  size_t at = 0;
  for (size_t i = 0; i < NC_UUID_BYTES; i++) {
    if (is_dash(at) && text[at++] != '-') return false;
    int high = hex_value(text[at]);
    int low = high < 0 ? -1 : hex_value(text[at + 1]);
    if (low < 0) return false;
    uuid.bytes[i] = (uint8_t)(high << 4 | low);
    at += 2;
  }
  if (text[at] != '\0') return false;
  *ret_uuid = uuid;
  return true;
}
