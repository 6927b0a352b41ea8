/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz: what the fuzz targets share: the entry point, requirements that end the program, and the contract of
 * every decoder.
 *
 * A target is one file with one entry point. libFuzzer calls it, or replay.c does; it keeps nothing between
 * two calls but workspaces that carry no meaning.
 */
#ifndef NACRE_FUZZ_H
#define NACRE_FUZZ_H

#include "coding.h"
#include "status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold whatever the input. In every build, NDEBUG or not. */
#define FUZZ_REQUIRE(condition)                                  \
  do {                                                           \
    if (!(condition)) fuzz_stop(__FILE__, __LINE__, #condition); \
  } while (0)
__attribute__((noreturn)) void fuzz_stop(const char *file, int line, const char *condition);

/* Heap memory of exactly this size, so that a sanitizer sees the first byte beyond it. Never NULL; free()
 * ends it. */
void *fuzz_alloc(size_t size);
void *fuzz_copy(const void *data, size_t size);

/* Every decoder's contract. Before the call, fuzz_blank fills what it will return; after it, fuzz_accepted
 * tells whether the bytes were accepted, and requires of a refusal that its error is complete, that an
 * offset in it lies within the `size` bytes decoded, and that nothing was returned. */
void fuzz_blank(void *result, size_t result_size);
bool fuzz_accepted(nacre_status status, const nacre_error *err, size_t size, const void *result,
                   size_t result_size);
/* The half of it for decoders that say of themselves that a refusal leaves their result in part. */
bool fuzz_accepted_in_place(nacre_status status, const nacre_error *err, size_t size);

/* What decoded encodes again to the bytes that it came from. */
void fuzz_require_same(const void *encoded, size_t encoded_size, const void *decoded, size_t decoded_size);

/* Input that chooses: numbers from the front of `r`, 0 when it has run out. */
uint64_t fuzz_choose(nc_reader *r, uint64_t bound); /* below `bound`, from 1 to 65536 */

#endif
