/* SPDX-License-Identifier: Apache-2.0
 *
 * segment_build: from a sorted sequence of entries to the segments of one run; what a flush, a merge and a bulk
 * load have in common.
 */
#ifndef NC_SEGMENT_BUILD_H
#define NC_SEGMENT_BUILD_H

#include "table.h"

typedef struct nc_build {
  bool bottom;                       /* nothing older lies beneath */
  const nc_range_set *ranges;        /* of what `from` reads; borrowed, NULL: none */
  nacre_slice lower, upper_excluded; /* range deletes are cut off there; NULL data: unbounded */
  nc_pack_method method;
  bool one_sequence; /* a bulk load: entries come with sequence 0 */
  nc_value_changes *values; /* takes what is kept and dropped of large puts */
} nc_build;

/* Segments on their way. Zeroed but for the first two. */
typedef struct nc_builder {
  nacre_table *table;
  const nc_build *build;
  struct nc_segment_writer *writer; /* NULL: between segments */
  nc_uuid kek_id;                   /* the table key that it writes under */
  uint64_t epoch;
  nc_segment **segments; /* finished and synced; the list changes under commit_lock */
  size_t count, capacity;
  const nc_range_set *ranges; /* to be written among the entries; NULL: none */
  size_t next_range;
  bool range_begun;       /* the next one begins at or before the key at hand, */
  nacre_slice range_from; /* and from here on it is not in a segment yet */
} nc_builder;

/* Adds an entry, behind those before it. `new_key`: its key is another than that of the entry before. */
NC_MUST_CHECK nacre_status nc_builder_add(nc_builder *b, const nc_entry *entry, bool new_key,
                                          nacre_error *err);
/* Finishes and syncs the segment at hand, if there is one; its name is not durable yet. */
NC_MUST_CHECK nacre_status nc_builder_end(nc_builder *b, nacre_error *err);
/* Removes what is not finished. */
void nc_builder_drop(nc_builder *b);

/* Reads `from` from its first entry and writes what stays, entries and range deletes. On success the segments are finished, synced and
 * their names durable; nothing names them yet. On failure their files are removed. */
NC_MUST_CHECK nacre_status nc_build_segments(nacre_table *t, nc_cursor *from, const nc_build *build,
                                             nc_segment ***ret_segments, size_t *ret_count, nacre_error *err);
/* How a table packs its segments. */
nc_pack_method nc_build_method(const nacre_table *t, bool bottom);
/* Gives back a list; `remove`: their files go too. */
void nc_build_release(nc_segment **segments, size_t count, bool remove);

#endif
