/* SPDX-License-Identifier: Apache-2.0
 *
 * verify: looking at every byte of a table. Each finding is noted and the work goes on; only what keeps it
 * from going on (no memory) ends it.
 */
#ifndef NC_VERIFY_H
#define NC_VERIFY_H

#include "frame_scan.h"
#include "named_files.h"

typedef struct nc_verifier {
  nacre_table *table;
  const nacre_verify_options *options;
  nacre_verify_report report;
  uint64_t bytes_total;
  const nc_named_files *named; /* what the table is, at the call */
  bool *referenced;            /* of its value files: a segment refers to it */
  nacre_error first;
} nc_verifier;

/* Notes a failed check; NACRE_OK to go on. */
NC_MUST_CHECK nacre_status nc_verify_note(nc_verifier *v, nacre_status status, const nacre_error *err);
void nc_verify_progress(nc_verifier *v, uint64_t bytes);
/* Both header slots good and equal, whatever the rewrapper is doing. */
NC_MUST_CHECK nacre_status nc_verify_header(nc_verifier *v, nc_sealed_reader *reader, nacre_error *err);
/* Walks the frames of a file up to `end`: checksum, padding, tag; `visit` (may be NULL) looks at each
 * plaintext. */
typedef nacre_status nc_verify_visit(nc_verifier *v, const nc_scan_frame *frame, nacre_slice plaintext,
                                     nacre_error *err);
NC_MUST_CHECK nacre_status nc_verify_frames(nc_verifier *v, nc_sealed_reader *reader, uint64_t end,
                                            nc_verify_visit *visit, uint64_t *ret_frames, nacre_error *err);
/* Large puts: each refers to a file of the table, as it says. */
NC_MUST_CHECK nacre_status nc_verify_reference(nc_verifier *v, const nc_entry *entry, bool in_segment,
                                               nacre_error *err);
/* After all segments; `segments_whole`: all their references have been met. */
NC_MUST_CHECK nacre_status nc_verify_values(nc_verifier *v, uint64_t sequence, bool segments_whole,
                                            nacre_error *err);
NC_MUST_CHECK nacre_status nc_verify_segment(nc_verifier *v, nc_segment *segment, nacre_error *err);

#endif
