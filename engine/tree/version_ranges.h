/* SPDX-License-Identifier: Apache-2.0
 *
 * version_ranges: the range deletes of all segments of a version, in one set that is made when it is first asked
 * for and shared by all readers.
 *
 * A segment whose range deletes cannot be read for good does not keep the rest of the table from being read:
 * within its key range, questions are answered with its error.
 */
#ifndef NC_VERSION_RANGES_H
#define NC_VERSION_RANGES_H

#include "version.h"

/* The highest sequence at or below `sequence` that covers `key`. */
NC_MUST_CHECK nacre_status nc_version_cover(nc_version *v, nacre_slice key, uint64_t sequence,
                                            uint64_t *ret_cover, nacre_error *err);
/* Narrows and raises a span (range_set.h) by what the version says. */
NC_MUST_CHECK nacre_status nc_version_span(nc_version *v, nacre_slice key, uint64_t sequence,
                                           nc_range_span *span, nacre_error *err);
/* When the last count goes. */
void nc_version_ranges_free(nc_version_ranges *r);

#endif
