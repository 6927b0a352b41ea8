/* SPDX-License-Identifier: Apache-2.0
 *
 * footer: how a segment ends (format/README.md, "Segment").
 *
 * The footer frame is the last of the file and of fixed size, so it is found from the end; it leads to the
 * properties, the index root and the filter. Both are sealed: only sizes leak.
 */
#ifndef NC_FOOTER_H
#define NC_FOOTER_H

#include "index.h"

enum { NC_FOOTER_BYTES = 96 };

typedef struct nc_footer {
  uint64_t file_size;   /* total, this frame included */
  uint64_t frame_count; /* total, this frame included */
  nc_handle properties;
  nc_handle index_root;
  uint32_t index_levels;  /* 1 or 2 */
  uint32_t filter_frames; /* 0: no filter; they stand one after the other from filter_offset */
  uint64_t filter_offset;
  nc_uuid manifest;           /* the manifest the segment was made under, */
  uint64_t manifest_sequence; /* and its newest commit then */
  uint64_t load;              /* of a loaded segment: the number of the load's first one; else 0 */
} nc_footer;

void nc_footer_encode(const nc_footer *footer, uint8_t out[NC_FOOTER_BYTES]);
/* Decodes and checks every address against `file_size`, the file's real length. */
NC_MUST_CHECK nacre_status nc_footer_decode(nacre_slice bytes, uint64_t file_size, nc_footer *ret_footer,
                                            nacre_error *err);

typedef struct nc_properties {
  nacre_slice smallest, largest; /* keys; point into the decoded bytes */
  /* Smallest 0: the entries bear no sequence, and all have that of the manifest's record; the largest is then
   * that of the table's newest write when the segment was begun. */
  uint64_t sequence_min, sequence_max;
  uint64_t entries, deletes;       /* deletes are counted in entries too, range deletes are not */
  uint64_t key_bytes, value_bytes; /* before prefix sharing and compression */
  uint64_t data_blocks;
  uint64_t filter_lines, filter_seed;
  uint32_t filter_probes;
  uint64_t created_ms;    /* since 1970-01-01 UTC */
  uint64_t range_deletes; /* each fragment counts once a sequence */
  nc_handle ranges;       /* the frame that holds them; zero: none */
} nc_properties;

#define NC_PROPERTIES_BYTES_MAX (2 * NACRE_KEY_BYTES_MAX + 256)
size_t nc_properties_encode(const nc_properties *properties, void *out,
                            size_t capacity); /* 0: does not fit */
NC_MUST_CHECK nacre_status nc_properties_decode(nacre_slice bytes, nc_properties *ret_properties,
                                                nacre_error *err);

#endif
