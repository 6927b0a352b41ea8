/* SPDX-License-Identifier: Apache-2.0
 *
 * verify: looking at every byte of a table. Each finding is noted and the work goes on; only what keeps it
 * from going on (no memory) ends it.
 */
#ifndef NC_VERIFY_H
#define NC_VERIFY_H

#include "frame_scan.h"
#include "table.h"

typedef struct nc_verifier {
  nacre_table *table;
  const nacre_verify_options *options;
  nacre_verify_report report;
  uint64_t bytes_total;
  nacre_error first;
} nc_verifier;

/* Notes a failed check; NACRE_OK to go on. */
NC_MUST_CHECK nacre_status nc_verify_note(nc_verifier *v, nacre_status status, const nacre_error *err);
/* Both header slots good and equal, whatever the rewrapper is doing. */
NC_MUST_CHECK nacre_status nc_verify_header(nc_verifier *v, nc_sealed_reader *reader, nacre_error *err);
/* Walks the frames of a file up to `end`: checksum, padding, tag; `visit` (may be NULL) looks at each
 * plaintext. */
typedef nacre_status nc_verify_visit(nc_verifier *v, const nc_scan_frame *frame, nacre_slice plaintext,
                                     nacre_error *err);
NC_MUST_CHECK nacre_status nc_verify_frames(nc_verifier *v, nc_sealed_reader *reader, uint64_t end,
                                            nc_verify_visit *visit, uint64_t *ret_frames, nacre_error *err);
NC_MUST_CHECK nacre_status nc_verify_segment(nc_verifier *v, nc_segment *segment, nacre_error *err);

#endif
