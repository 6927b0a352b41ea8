/* SPDX-License-Identifier: Apache-2.0
 *
 * frame_scan: walking the frames of a sealed file front to back, and searching for frames behind damage.
 *
 * For files whose frames nobody points to: logs and manifests; and for verify, which looks at all there is.
 * Reads through a window of private memory, because frames are opened in place.
 */
#ifndef NC_FRAME_SCAN_H
#define NC_FRAME_SCAN_H

#include "sealed_reader.h"

typedef struct nc_scan {
  nc_sealed_reader *reader;
  nc_heap *heap;
  uint8_t *window;
  size_t capacity, filled;
  uint64_t base;       /* file offset of the window */
  uint64_t end;        /* where the file ends, for this scan */
  uint64_t written;    /* where its filler begins, if it is a log and has any; NACRE_NONE: not looked for yet */
  uint64_t crc_budget; /* bytes that searching may still check */
} nc_scan;

typedef enum nc_scan_result {
  NC_SCAN_FRAME, /* a frame of good checksum stands there */
  NC_SCAN_END,   /* the file ends exactly there, or goes on with filler up to its end [L13] */
  NC_SCAN_BAD    /* neither: torn, damaged, or not a frame */
} nc_scan_result;

typedef struct nc_scan_frame {
  uint64_t offset;
  size_t size;
  uint8_t type;
  uint8_t *bytes; /* in the window, until the next call */
} nc_scan_frame;

/* `end`: NACRE_NONE for the file's own. */
void nc_scan_init(nc_scan *scan, nc_heap *heap, nc_sealed_reader *reader, uint64_t end);
void nc_scan_deinit(nc_scan *scan);

/* Where the file ends, the filler at its end not counted. */
NC_MUST_CHECK nacre_status nc_scan_written(nc_scan *scan, uint64_t *ret_end, nacre_error *err);
/* What stands at `offset`. For NC_SCAN_BAD, `ret_why` (may be NULL) tells the reason. The status is not
 * NACRE_OK only when the file could not be read. */
NC_MUST_CHECK nacre_status nc_scan_at(nc_scan *scan, uint64_t offset, nc_scan_result *ret_result,
                                      nc_scan_frame *ret_frame, nacre_error *ret_why, nacre_error *err);
/* The next frame of good checksum at or after `offset`, by steps of 16; NC_SCAN_END when there is none. The
 * checksum work over the life of the scan is bounded to 16 times the file: past that, NC_E_LOG_SEARCH. */
NC_MUST_CHECK nacre_status nc_scan_search(nc_scan *scan, uint64_t offset, nc_scan_result *ret_result,
                                          nc_scan_frame *ret_frame, nacre_error *err);
/* Authenticates a scanned frame in place. */
NC_MUST_CHECK nacre_status nc_scan_open(nc_scan *scan, const nc_scan_frame *frame, nacre_slice *ret_plaintext,
                                        nacre_error *err);
/* The next frame at or after `offset` that is authentic; those that only look like one are passed over. */
NC_MUST_CHECK nacre_status nc_scan_search_open(nc_scan *scan, uint64_t offset, nc_scan_result *ret_result,
                                               nc_scan_frame *ret_frame, nacre_slice *ret_plaintext,
                                               nacre_error *err);

#endif
