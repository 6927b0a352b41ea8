/* SPDX-License-Identifier: Apache-2.0
 *
 * filter: a Bloom filter in lines of 64 bytes, so that one lookup touches one cache line (format/README.md,
 * "Filter"; after F. Putze, P. Sanders, J. Singler, "Cache-, Hash- and Space-Efficient Bloom Filters", 2007).
 *
 * A segment's filter is an array of lines, cut into frames of NC_FILTER_FRAME_LINES lines. The hash is seeded
 * for each segment, so that nobody can choose keys that collide in a filter that they have not seen.
 */
#ifndef NC_FILTER_H
#define NC_FILTER_H

#include "slice.h"
#include "status.h"

enum { NC_FILTER_LINE_BYTES = 64, NC_FILTER_BITS_PER_KEY_MAX = 32 };
#define NC_FILTER_FRAME_LINES ((uint64_t)65536) /* 4 MiB of lines a frame */

/* A 64-bit hash of a key, the same on every machine; format/README.md gives it step by step. */
uint64_t nc_filter_hash(uint64_t seed, nacre_slice key);
/* How many lines and probes serve so many keys. At least one line; probes 1 to 16. */
void nc_filter_shape(uint64_t keys, uint32_t bits_per_key, uint64_t *ret_lines, uint32_t *ret_probes);
/* Refuses a filter whose probes, or whose number of frames, do not fit its lines. No filter: all three 0. */
NC_MUST_CHECK nacre_status nc_filter_check(uint64_t line_count, uint32_t probes, uint32_t frames,
                                           nacre_error *err);
/* How many lines the filter's frame number `frame`, from 0, holds; 0 past the last. */
uint64_t nc_filter_frame_lines(uint64_t line_count, uint32_t frame);
void nc_filter_add(uint8_t *lines, uint64_t line_count, uint32_t probes, uint64_t hash);
/* Which line answers for a hash: lines may be held in separate pieces. */
uint64_t nc_filter_line(uint64_t hash, uint64_t line_count);
/* False: no key with this hash was added. `line` is the one that nc_filter_line names. */
bool nc_filter_line_matches(const uint8_t line[NC_FILTER_LINE_BYTES], uint32_t probes, uint64_t hash);

#endif
