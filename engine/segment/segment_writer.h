/* SPDX-License-Identifier: Apache-2.0
 *
 * segment_writer: sorted entries into one sealed segment: encode, pack, seal, append; then filter, index,
 * properties, footer.
 */
#ifndef NC_SEGMENT_WRITER_H
#define NC_SEGMENT_WRITER_H

#include "compress.h"
#include "entry.h"
#include "io.h"
#include "manifest_edit.h"
#include "range_set.h"
#include "table_key.h"

typedef struct nc_segment_writer nc_segment_writer;

typedef struct nc_segment_params {
  nc_uuid table;
  uint64_t number, epoch;
  nc_pack_method method;
  bool zstd_where_it_pays; /* with NC_PACK_ZSTD: LZ4 where that makes hardly more */
  uint32_t block_bytes, filter_bits_per_key; /* UINT32_MAX: no filter */
  uint64_t segment_bytes;                    /* 0: NC_SEGMENT_BYTES_TARGET */
  nc_uuid manifest;                          /* the state it is made under */
  uint64_t manifest_sequence;
  bool one_sequence;        /* loaded in bulk: entries come with sequence 0, and get one at the commit, */
  uint64_t newest_sequence; /* which is above this; */
  uint64_t load;            /* the first segment of the load has this number. 0: not loaded */
} nc_segment_params;

/* A segment ends when it has grown past this; a table is many segments, so that a merge can be cut. */
#define NC_SEGMENT_BYTES_TARGET ((uint64_t)64 << 20)
/* And before its range deletes take more than this. */
#define NC_SEGMENT_RANGES_BYTES_TARGET ((size_t)4 << 20)

void nc_segment_name(uint64_t number, char name[NC_FILE_NAME_BYTES]);

NC_MUST_CHECK nacre_status nc_segment_writer_create(const nc_dir *dir, const nc_segment_params *params,
                                                    const nc_kek *kek, nc_segment_writer **ret_writer,
                                                    nacre_error *err);
/* Entries come in entry order. */
NC_MUST_CHECK nacre_status nc_segment_writer_add(nc_segment_writer *w, const nc_entry *entry,
                                                 nacre_error *err);
/* Adds range deletes, in order, beside the entries: no key of either is beyond what the segment is to hold. */
NC_MUST_CHECK nacre_status nc_segment_writer_add_range(nc_segment_writer *w,
                                                       const nc_range_fragment *fragment, nacre_error *err);
/* True when there is nothing in it yet: such a one is not to be finished. */
bool nc_segment_writer_is_empty(const nc_segment_writer *w);
/* True when a fragment should go to the next segment, for they share one frame. */
bool nc_segment_writer_ranges_full(const nc_segment_writer *w, const nc_range_fragment *fragment);
/* True once the segment should be ended before the next new key. */
bool nc_segment_writer_full(const nc_segment_writer *w);
/* Writes the rest and syncs the file (not the directory). The record's keys point into the writer; run and
 * level are the caller's to fill. */
NC_MUST_CHECK nacre_status nc_segment_writer_finish(nc_segment_writer *w, nc_segment_record *ret_record,
                                                    nacre_error *err);
/* Removes the file unless it was finished. NULL is harmless. */
void nc_segment_writer_close(nc_segment_writer *w);

#endif
