/* SPDX-License-Identifier: Apache-2.0
 *
 * ranges: the range deletes of a segment (format/README.md, "Range deletes").
 *
 *   ranges   = fragment*
 *   fragment = string from   string to   varint number of sequences   varint sequence*
 *
 * Range deletes that overlap are cut at one another's ends, so that fragments ascend without overlapping; a
 * fragment bears the sequence of every range delete that covers it, falling.
 */
#ifndef NC_RANGES_H
#define NC_RANGES_H

#include "coding.h"
#include "entry.h"
#include "status.h"

typedef struct nc_ranges_fragment {
  nacre_slice from, to;  /* point into the decoded bytes; `to` is excluded */
  uint64_t count;        /* of sequences, at least one */
  nacre_slice sequences; /* as they are encoded, and sound: nc_ranges_sequence takes them one by one */
} nc_ranges_fragment;

/* Appends a fragment; w->failed: it does not fit. The sequences fall. */
void nc_ranges_write(nc_writer *w, nacre_slice from, nacre_slice to, const uint64_t *sequences, size_t count);
/* At least what nc_ranges_write takes. */
size_t nc_ranges_bound(nacre_slice from, nacre_slice to, size_t count);

typedef struct nc_ranges_reader {
  nc_reader reader;
  nacre_slice last_to;
  bool begun;
} nc_ranges_reader;

void nc_ranges_read_begin(nc_ranges_reader *r, nacre_slice bytes);
NC_MUST_CHECK nacre_status nc_ranges_read(nc_ranges_reader *r, nc_ranges_fragment *ret_fragment,
                                          bool *ret_more, nacre_error *err);
/* The next sequence of a fragment; `*at` begins with 0. */
uint64_t nc_ranges_sequence(const nc_ranges_fragment *fragment, size_t *at);

/* Decodes all, of which there is at least one, and counts the fragments and their sequences. */
NC_MUST_CHECK nacre_status nc_ranges_check(nacre_slice bytes, uint64_t *ret_fragments,
                                           uint64_t *ret_sequences, nacre_error *err);

#endif
