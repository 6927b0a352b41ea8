/* SPDX-License-Identifier: Apache-2.0
 *
 * support: what the tests of format/ share: a seeded generator, checks of refusals, and bytes damaged in every way.
 *
 * The seed is fixed unless NACRE_TEST_SEED sets another; a failing test prints it.
 */
#ifndef TESTS_FORMAT_SUPPORT_H
#define TESTS_FORMAT_SUPPORT_H

#include <criterion/criterion.h>

#include "coding.h"
#include "status.h"

#define ARRAY_LENGTH(array) (sizeof(array) / sizeof(array)[0])

uint64_t test_seed(void);

typedef struct random_source {
  uint64_t state;
} random_source;
random_source random_begin(void); /* from test_seed() */
uint64_t random_next(random_source *random);
uint64_t random_below(random_source *random, uint64_t bound);
void random_fill(random_source *random, void *to, size_t size);

static inline nacre_slice text(const char *s) { return nc_slice(s, strlen(s)); }
nc_uuid uuid_of(uint8_t fill);

/* A heap copy of exactly these bytes, so that a sanitizer sees a read past their end. The caller frees. */
void *exact_copy(nacre_slice bytes);

/* Decodes bytes and says whether they were accepted. */
typedef bool decode_function(nacre_slice bytes);
/* Every proper prefix, and one byte more, is refused. [P3] */
void refuses_every_other_length(nacre_slice bytes, decode_function *accepts);
/* Every single-bit flip is decoded; with `must_refuse`, refused. */
void flips_every_bit(nacre_slice bytes, decode_function *accepts, bool must_refuse);

#define assert_ok(call) cr_assert_eq((call), NACRE_OK)
/* The call, which must use `&err`, fails with this id and its status. */
#define assert_refused(call, expected_id)                                                        \
  do {                                                                                           \
    nacre_status refused_status = (call);                                                        \
    const nc_error_info *refused_info = nc_error_info_of(expected_id);                           \
    cr_assert_eq(refused_status, refused_info->status, "%s", nacre_status_name(refused_status)); \
    cr_assert_eq(err.id, (uint32_t)(expected_id), "%u: %s", err.id, err.text);                   \
    cr_assert_eq(err.status, refused_status);                                                    \
  } while (0)

#endif
