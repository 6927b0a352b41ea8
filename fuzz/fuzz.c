/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz: requirements, exact memory and the decoders' contract, for all targets.
 */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>

enum { BLANK = 0xA5 };

void fuzz_stop(const char *file, int line, const char *condition) {
  (void)fprintf(stderr, "%s:%d: required: %s\n", file, line, condition);
  abort();
}

void *fuzz_alloc(size_t size) {
  void *memory = malloc(size); /* glibc's malloc(0) is a place too */
  FUZZ_REQUIRE(memory != NULL);
  return memory;
}

void *fuzz_copy(const void *data, size_t size) {
  void *copy = fuzz_alloc(size);
  if (size != 0) memcpy(copy, data, size);
  return copy;
}

void fuzz_blank(void *result, size_t result_size) { memset(result, BLANK, result_size); }

bool fuzz_accepted_in_place(nacre_status status, const nacre_error *err, size_t size) {
  if (status == NACRE_OK) return true;
  const nc_error_info *info = nc_error_info_of(err->id);
  FUZZ_REQUIRE(info != NULL && info->status == status && err->status == status);
  FUZZ_REQUIRE(err->text[0] != '\0' && memchr(err->text, 0, sizeof err->text) != NULL);
  FUZZ_REQUIRE(err->file[0] == '\0' && err->os_errno == 0); /* decoders know of no files */
  FUZZ_REQUIRE(err->offset == NACRE_NONE || err->offset <= size);
  return false;
}

bool fuzz_accepted(nacre_status status, const nacre_error *err, size_t size, const void *result,
                   size_t result_size) {
  if (fuzz_accepted_in_place(status, err, size)) return true;
  const uint8_t *p = result;
  for (size_t i = 0; i < result_size; i++) FUZZ_REQUIRE(p[i] == BLANK);
  return false;
}

void fuzz_require_same(const void *encoded, size_t encoded_size, const void *decoded, size_t decoded_size) {
  FUZZ_REQUIRE(nc_slice_equal(nc_slice(encoded, encoded_size), nc_slice(decoded, decoded_size)));
}

uint64_t fuzz_choose(nc_reader *r, uint64_t bound) {
  uint64_t number = bound <= 256 ? nc_read_u8(r) : nc_read_u16(r);
  return number % bound;
}
