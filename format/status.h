/* SPDX-License-Identifier: Apache-2.0
 *
 * status: how every floor says no.
 *
 * A function that can fail takes a nacre_error as its last parameter, fills it through nc_fail and returns
 * its status. The sentences live in errors.def and nowhere else. Passing a NULL error is allowed: only the
 * status is wanted then. [G2]
 */
#ifndef NC_STATUS_H
#define NC_STATUS_H

#include <nacre/nacre_format.h>

#define NC_MUST_CHECK __attribute__((warn_unused_result))

typedef enum nc_error_id {
  NC_E_NONE = 0,
#define NC_ERROR(id, name, status, sentence, remedy) NC_E_##name = (id),
#include "errors.def"
#undef NC_ERROR
} nc_error_id;

typedef struct nc_error_info {
  nc_error_id id;
  const char *name;
  nacre_status status;
  const char *sentence, *remedy;
} nc_error_info;

/* The entry of errors.def; NULL for an id that is not there. */
const nc_error_info *nc_error_info_of(uint32_t id);
/* All entries, for tools and tests; NULL past the end. */
const nc_error_info *nc_error_info_at(size_t index);

/* Fills *err with the id's status and "sentence: particulars; remedy", offset NACRE_NONE, no file; returns
 * the status. `particulars` is a printf format, or NULL. */
nacre_status nc_fail(nacre_error *err, nc_error_id id, const char *particulars, ...)
    __attribute__((format(printf, 3, 4)));
/* The same, about a byte offset in whatever is being decoded. */
nacre_status nc_fail_at(nacre_error *err, nc_error_id id, uint64_t offset, const char *particulars, ...)
    __attribute__((format(printf, 4, 5)));
/* Names the file of an error that does not name one yet, and moves its offset (when it has one) by `base`.
 * Returns the error's status, so that it can end a function. */
nacre_status nc_fail_in(nacre_error *err, nacre_status status, const char *file, uint64_t base);
/* No error: all zero, offset NACRE_NONE. */
void nc_error_clear(nacre_error *err);

/* Leaves the function with the status of a failed call. */
#define NC_TRY(call)                                     \
  do {                                                   \
    nacre_status nc_try_status = (call);                 \
    if (nc_try_status != NACRE_OK) return nc_try_status; \
  } while (0)

#endif
