/* SPDX-License-Identifier: Apache-2.0
 *
 * Target: integers, strings, slices and UUID text (format/README.md, "Primitives").
 *
 * Input: u8 number of operations · operations · bytes. The operations read the bytes, and write what they
 * read; two writers, one of them too small, must have what was read. The same bytes are then taken for
 * varints, for UUID text and for slices.
 */
#include <stdlib.h>
#include <strings.h>

#include "fuzz.h"

enum { OPERATIONS_MAX = 64, COPY_BYTES_MAX = 32 };
typedef enum operation { U8, U16, U32, U64, VARINT, BYTES, COPY, ZEROS, STRING, OPERATIONS } operation;

typedef struct writers {
  nc_writer full, tight;
} writers;

static void write_all(writers *w, nacre_slice bytes) {
  nc_write_bytes(&w->full, bytes.data, bytes.size);
  nc_write_bytes(&w->tight, bytes.data, bytes.size);
}

#define PASS_ON(kind)                                \
  do {                                               \
    uint64_t value = nc_read_##kind(r);              \
    FUZZ_REQUIRE(!r->failed || value == 0);          \
    if (r->failed) return;                           \
    nc_write_##kind(&w->full, (kind##_value)value);  \
    nc_write_##kind(&w->tight, (kind##_value)value); \
  } while (0)
typedef uint8_t u8_value;
typedef uint16_t u16_value;
typedef uint32_t u32_value;
typedef uint64_t u64_value, varint_value;

/* Reads one thing and writes it; writes nothing when there was none. */
static void pass_on(nc_reader *r, operation what, size_t size, writers *w) {
  switch (what) {
    case U8:
      PASS_ON(u8);
      return;
    case U16:
      PASS_ON(u16);
      return;
    case U32:
      PASS_ON(u32);
      return;
    case U64:
      PASS_ON(u64);
      return;
    case VARINT:
      PASS_ON(varint);
      return;
    case BYTES: {
      nacre_slice bytes = nc_read_bytes(r, size);
      FUZZ_REQUIRE(bytes.data != NULL && (bytes.size == size || (r->failed && bytes.size == 0)));
      if (!r->failed) write_all(w, bytes);
      return;
    }
    case COPY: {
      uint8_t copy[COPY_BYTES_MAX] = {0xA5};
      nc_read_copy(r, copy, size);
      for (size_t i = 0; r->failed && i < size; i++) FUZZ_REQUIRE(copy[i] == 0);
      if (!r->failed) write_all(w, nc_slice(copy, size));
      return;
    }
    case ZEROS: {
      const uint8_t *from = r->data + r->at;
      bool zeros = nc_read_zeros(r, size);
      if (r->failed) {
        FUZZ_REQUIRE(!zeros);
      } else if (zeros) {
        nc_write_zeros(&w->full, size);
        nc_write_zeros(&w->tight, size);
      } else {
        write_all(w, nc_slice(from, size));
      }
      return;
    }
    case STRING: {
      nacre_slice s = nc_read_string(r);
      if (r->failed) {
        FUZZ_REQUIRE(s.size == 0);
        return;
      }
      nc_write_string(&w->full, s);
      nc_write_string(&w->tight, s);
      return;
    }
    case OPERATIONS:
      return;
  }
}

static void read_and_write(nacre_slice operations, nacre_slice bytes) {
  nc_reader r = nc_reader_over(bytes);
  size_t tight = bytes.size / 2;
  writers w = {nc_writer_over(fuzz_alloc(bytes.size), bytes.size), nc_writer_over(fuzz_alloc(tight), tight)};
  for (size_t i = 0; i < operations.size; i++) {
    uint8_t choice = ((const uint8_t *)operations.data)[i];
    nc_reader before = r;
    writers written = w;
    pass_on(&r, (operation)(choice % OPERATIONS), choice / OPERATIONS, &w);
    FUZZ_REQUIRE(r.at >= before.at && r.at <= r.size);
    FUZZ_REQUIRE(!before.failed || (r.failed && r.at == before.at && w.full.size == written.full.size));
    FUZZ_REQUIRE(!written.tight.failed || (w.tight.failed && w.tight.size == written.tight.size));
    if (!r.failed) fuzz_require_same(w.full.data, w.full.size, r.data, r.at);
  }
  FUZZ_REQUIRE(!w.full.failed && w.tight.size <= w.tight.capacity);
  FUZZ_REQUIRE(w.tight.failed || w.tight.size == w.full.size);
  fuzz_require_same(w.tight.data, w.tight.size, w.full.data, w.tight.size);
  free(w.full.data);
  free(w.tight.data);
}

static void varints(const uint8_t *p, const uint8_t *end) {
  while (p < end) {
    uint64_t value = 0xA5;
    uint8_t again[NC_VARINT_BYTES_MAX];
    size_t n = nc_get_varint(p, end, &value);
    FUZZ_REQUIRE(n <= NC_VARINT_BYTES_MAX && n <= (size_t)(end - p) && (n != 0 || value == 0xA5));
    if (n != 0) FUZZ_REQUIRE(nc_varint_size(value) == n);
    if (n != 0) fuzz_require_same(again, nc_put_varint(again, value), p, n);
    p += n != 0 ? n : 1;
  }
}

/* Either case is read, lower case is written: the only exception to "encodes again to the same bytes"
 * here. */
static void uuid_text(nacre_slice bytes) {
  char *text = fuzz_alloc(bytes.size + 1), again[NC_UUID_TEXT_BYTES];
  if (bytes.size != 0) memcpy(text, bytes.data, bytes.size);
  text[bytes.size] = '\0';
  nc_uuid uuid, parsed;
  if (nc_uuid_parse(text, &uuid)) {
    nc_uuid_format(&uuid, again);
    FUZZ_REQUIRE(strcasecmp(text, again) == 0);
  }
  free(text);
  if (bytes.size < NC_UUID_BYTES) return;
  memcpy(uuid.bytes, bytes.data, NC_UUID_BYTES);
  nc_uuid_format(&uuid, again);
  FUZZ_REQUIRE(nc_uuid_parse(again, &parsed) && nc_uuid_equal(&uuid, &parsed));
}

static void slices(nacre_slice bytes) {
  size_t half = bytes.size / 2;
  uint8_t *p = fuzz_copy(bytes.data, half);
  nacre_slice a = nc_slice(p, half), b = nc_slice((const uint8_t *)bytes.data + half, bytes.size - half);
  size_t shared = nc_slice_shared_prefix(a, b), expected = 0;
  const uint8_t *q = b.data;
  while (expected < a.size && expected < b.size && p[expected] == q[expected]) expected++;
  FUZZ_REQUIRE(shared == expected);
  int order = nc_slice_compare(a, b), reverse = nc_slice_compare(b, a);
  FUZZ_REQUIRE((order < 0) == (reverse > 0) && (order == 0) == nc_slice_equal(a, b));
  if (shared < a.size && shared < b.size)
    FUZZ_REQUIRE((order < 0) == (p[shared] < q[shared]));
  else
    FUZZ_REQUIRE((order < 0) == (a.size < b.size));
  free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  nc_reader r = nc_reader_over(nc_slice(data, size));
  size_t count = (size_t)fuzz_choose(&r, OPERATIONS_MAX);
  nacre_slice operations = nc_read_bytes(&r, count);
  nacre_slice bytes = nc_read_bytes(&r, nc_reader_left(&r));
  read_and_write(operations, bytes);
  varints(bytes.data, (const uint8_t *)bytes.data + bytes.size);
  uuid_text(bytes);
  slices(bytes);
  return 0;
}
