/* SPDX-License-Identifier: Apache-2.0
 *
 * segment_build: from a sorted sequence of entries to the segments of one run; what a flush and a merge have
 * in common.
 */
#ifndef NC_SEGMENT_BUILD_H
#define NC_SEGMENT_BUILD_H

#include "table.h"

typedef struct nc_build {
  bool bottom; /* nothing older lies beneath */
  nc_pack_method method;
} nc_build;

/* Reads `from` from its first entry and writes what stays. On success the segments are finished, synced and
 * their names durable; nothing names them yet. On failure their files are removed. */
NC_MUST_CHECK nacre_status nc_build_segments(nacre_table *t, nc_cursor *from, const nc_build *build,
                                             nc_segment ***ret_segments, size_t *ret_count, nacre_error *err);
/* How a table packs its segments. */
nc_pack_method nc_build_method(const nacre_table *t, bool bottom);
/* Gives back a list; `remove`: their files go too. */
void nc_build_release(nc_segment **segments, size_t count, bool remove);

#endif
