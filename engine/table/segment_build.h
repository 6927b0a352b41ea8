/* SPDX-License-Identifier: Apache-2.0
 *
 * segment_build: from a sorted sequence of entries to the segments of one run; what a flush, a merge and a bulk
 * load have in common.
 */
#ifndef NC_SEGMENT_BUILD_H
#define NC_SEGMENT_BUILD_H

#include "beneath.h"
#include "table.h"

/* Zeroed: everything that `from` has, into segments of the usual size, with nothing beneath. */
typedef struct nc_build {
  nc_pack_method method;
  uint64_t segment_bytes;            /* a segment ends when it has grown past this; 0: NC_SEGMENT_BYTES_TARGET */
  bool one_sequence;                 /* a bulk load: entries come with sequence 0 */
  nacre_slice lower, upper_excluded; /* keys of it only, and range deletes cut off there; NULL data: unbounded */
  const nc_range_set *ranges;        /* of what `from` reads; borrowed, NULL: none */
  nc_value_changes *values;          /* takes what is kept and dropped of large puts */
  nc_beneath beneath;                /* what deletes may still hide */
  const nc_run *below;               /* the run that the segments will be merged into one day; NULL: none. One */
  uint64_t below_bytes_max;          /* ends also when it lies over so much of that */
  bool yields;                       /* what is more urgent on the workers is let through; needs no lock */
  const atomic_bool *stopping;       /* set: NACRE_CANCELLED, about which nobody is told; NULL: never */
} nc_build;

/* Segments on their way. Zeroed but for the first two. */
typedef struct nc_builder {
  nacre_table *table;
  const nc_build *build;
  struct nc_segment_writer *writer; /* NULL: between segments */
  nc_making making;                 /* of it, while there is one */
  nc_uuid kek_id;                   /* the table key that it writes under */
  uint64_t epoch;
  nc_segment **segments; /* finished and synced; the list changes under commit_lock */
  size_t count, capacity;
  const nc_range_set *ranges; /* to be written among the entries; NULL: none */
  size_t next_range;
  bool range_begun;       /* the next one begins at or before the key at hand, */
  nacre_slice range_from; /* and from here on it is not in a segment yet */
  uint8_t *cut_key;       /* where it was cut, private */
  size_t cut_capacity;
  size_t below_at;        /* the first segment of build->below that does not end before the key */
  uint64_t below_bytes;   /* that the segment at hand lies over */
  uint32_t entries;
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
/* A file that is being written, on the table's list: the rewrapper waits for those under an older key.
 * Returns the keys to make it under, which are m's. */
const nc_table_keys *nc_making_begin(nacre_table *t, nc_making *m);
/* Once for each that was begun; after it was finished, or its file removed. */
void nc_making_end(nacre_table *t, nc_making *m);
/* How a table packs its segments. */
nc_pack_method nc_build_method(const nacre_table *t, bool bottom);
/* Gives back a list; `remove`: their files go too. */
void nc_build_release(nc_segment **segments, size_t count, bool remove);

#endif
