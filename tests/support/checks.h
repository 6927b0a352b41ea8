/* SPDX-License-Identifier: Apache-2.0
 *
 * checks: what tests past the public headers share, of crypto/ and engine/ alike. A check that fails ends the test, or
 * the program.
 */
#ifndef NACRE_TESTS_CHECKS_H
#define NACRE_TESTS_CHECKS_H

#include "status.h"

void check_ok(nacre_status status, const nacre_error *err, const char *call, const char *file, int line);
void check_id(nacre_status status, const nacre_error *err, uint32_t id, const char *call, const char *file,
              int line);
void check_true(bool ok, const char *what, const char *file, int line);
#define require(condition) check_true((condition), #condition, __FILE__, __LINE__)

/* For internal calls, which fill `err`, a nacre_error that the function or the file declares. */
#define must(call) check_ok((call), &err, #call, __FILE__, __LINE__)
#define must_fail(call, id)                                            \
  do {                                                                 \
    nc_error_clear(&err);                                              \
    nacre_status must_fail_status = (call);                            \
    check_id(must_fail_status, &err, (id), #call, __FILE__, __LINE__); \
  } while (0)

/* A whole file; the caller frees it. */
uint8_t *file_load(const char *path, size_t *ret_size);

#endif
