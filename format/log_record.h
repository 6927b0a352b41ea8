/* SPDX-License-Identifier: Apache-2.0
 *
 * log_record: what the frames of a commit log hold (format/README.md, "Commit log").
 *
 * Every record begins with
 *   varint first sequence · varint count · varint synced log · varint synced offset
 * where count is the number of operations in it (last sequence = first + count - 1; 0 for all but groups,
 * whose first is then the next sequence to come), and (synced log, synced offset) is a position before which
 * everything, older logs included, was durable when the frame was made. Then, by frame type:
 *   start  manifest · u8 has predecessor · [UUID · varint number · varint end · varint last sequence]
 *   group  the operations (batch.h)
 *   mark, final  manifest
 * with manifest = UUID of the manifest · varint its newest durable commit. So every log that holds anything
 * proves that the commit that named it was durable: a manifest that was cut below it is found out.
 */
#ifndef NC_LOG_RECORD_H
#define NC_LOG_RECORD_H

#include "coding.h"
#include "status.h"

enum { NC_LOG_RECORD_HEAD_BYTES_MAX = 4 * NC_VARINT_BYTES_MAX, NC_LOG_RECORD_FIXED_BYTES_MAX = 128 };

/* A place in the history of a table: byte `offset` of log `number`. */
typedef struct nc_log_position {
  uint64_t number, offset;
} nc_log_position;

static inline int nc_log_position_compare(nc_log_position a, nc_log_position b) {
  if (a.number != b.number) return a.number < b.number ? -1 : 1;
  return (a.offset > b.offset) - (a.offset < b.offset);
}

typedef struct nc_log_record {
  uint64_t first_sequence, count;
  nc_log_position synced;
  struct {
    bool present;
    nc_uuid file;
    uint64_t number, end, last_sequence;
  } predecessor;              /* start */
  nc_uuid manifest;           /* start, mark, final */
  uint64_t manifest_sequence; /* start, mark, final */
  nacre_slice operations;     /* group: points into the decoded bytes */
} nc_log_record;

/* Encodes a start, mark or final record, or the head of a group (the operations follow it in the same
 * buffer). Returns the size; `out` holds at least NC_LOG_RECORD_FIXED_BYTES_MAX bytes. `type` is an
 * nc_frame_type. */
size_t nc_log_record_encode(const nc_log_record *record, uint8_t type, uint8_t *out);
NC_MUST_CHECK nacre_status nc_log_record_decode(nacre_slice bytes, uint8_t type, nc_log_record *ret_record,
                                                nacre_error *err);

#endif
