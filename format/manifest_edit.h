/* SPDX-License-Identifier: Apache-2.0
 *
 * manifest_edit: one commit of a table's manifest (format/README.md, "Manifest").
 *
 *   varint commit sequence · u8 flags · record*        record: u8 tag · varint size · fields
 *
 * A manifest begins with a snapshot: one or more edits that carry NC_EDIT_SNAPSHOT, all of the same commit
 * sequence, the last NC_EDIT_SNAPSHOT_END too. Every later edit is one commit, its sequence one more than the
 * one before.
 */
#ifndef NC_MANIFEST_EDIT_H
#define NC_MANIFEST_EDIT_H

#include "coding.h"
#include "header.h"
#include "status.h"
#include "value_file.h"

enum { NC_EDIT_SNAPSHOT = 1, NC_EDIT_SNAPSHOT_END = 2 };

typedef enum nc_edit_tag {
  NC_EDIT_STATE = 1,
  NC_EDIT_SEGMENT_ADD = 2,
  NC_EDIT_SEGMENT_REMOVE = 3,
  NC_EDIT_LOG_ADD = 4,
  NC_EDIT_LOG_DROP = 5,
  NC_EDIT_VALUE_ADD = 6,
  NC_EDIT_VALUE_REMOVE = 7
} nc_edit_tag;

/* What a reader must know of a segment before it looks into it. A bit that is not known is refused. */
enum {
  NC_SEGMENT_LARGEST_EXCLUDED =
      1,                       /* `largest` is where a range delete ends: no key of the segment is as large */
  NC_SEGMENT_HOLDS_RANGES = 2, /* it has range deletes */
  NC_SEGMENT_ONE_SEQUENCE = 4, /* loaded in bulk: its entries bear no sequence; all have the record's */
  NC_SEGMENT_HOLDS_DELETES = 8, /* some of its entries are deletes; absent: that is not known */
  NC_SEGMENT_MANY_DELETES = 16, /* at least a quarter of them: it is worth being merged soon */
  NC_SEGMENT_EXPIRES = 32,      /* some of its entries expire: the record tells two moments */
  NC_SEGMENT_NO_LARGE = 64,     /* none of its entries is a large put; absent: that is not known */
  NC_SEGMENT_FLAGS_KNOWN = 127
};

/* Binds a finished file to its name: anything else in its place is refused. */
typedef struct nc_segment_record {
  uint64_t number;
  nc_uuid file, origin_table;
  uint64_t size;
  uint8_t last_tag[NC_TAG_BYTES]; /* of the footer frame */
  uint8_t dek_commitment[NC_COMMITMENT_BYTES];
  uint64_t run;   /* runs order by age: a higher run is newer; the segments of one run do not overlap */
  uint32_t level; /* 0: as flushed; more: merged, the more the older */
  uint64_t sequence_min, sequence_max;
  uint64_t entries;              /* range deletes included */
  nacre_slice smallest, largest; /* keys, range deletes' included; point into the decoded bytes */
  uint32_t flags;
  /* In ms since 1970-01-01 UTC, 0: never, or not known. From then on half of its entries have expired, about, and all
   * puts among them. */
  uint64_t half_expired_ms, all_expired_ms;
} nc_segment_record;

/* Whether everything in a segment comes before `key`. */
static inline bool nc_segment_ends_before(const nc_segment_record *s, nacre_slice key) {
  int order = nc_slice_compare(s->largest, key);
  return order < 0 || (order == 0 && (s->flags & NC_SEGMENT_LARGEST_EXCLUDED) != 0);
}

typedef struct nc_log_name {
  uint64_t number;
  nc_uuid file;
  uint8_t dek_commitment[NC_COMMITMENT_BYTES];
} nc_log_name;

typedef struct nc_table_state {
  uint64_t next_file_number;
  uint64_t last_sequence; /* no write that is only in segments has a higher one */
  uint64_t key_file_generation;
} nc_table_state;

/* Encoding: begin, add records, and look at writer.failed (the buffer was too small). */
void nc_edit_begin(nc_writer *w, uint64_t commit_sequence, uint8_t flags);
void nc_edit_add_state(nc_writer *w, const nc_table_state *state);
void nc_edit_add_segment(nc_writer *w, const nc_segment_record *segment);
void nc_edit_remove_segment(nc_writer *w, uint64_t number);
void nc_edit_add_log(nc_writer *w, const nc_log_name *log);
void nc_edit_drop_log(nc_writer *w, uint64_t number);
void nc_edit_add_value(nc_writer *w, const nc_value_name *value);
void nc_edit_remove_value(nc_writer *w, uint64_t number);
#define NC_EDIT_SEGMENT_BYTES_MAX (2 * NACRE_KEY_BYTES_MAX + 256) /* the largest single record */

/* Decoding: one record a call. */
typedef struct nc_edit_record {
  nc_edit_tag tag;
  nc_table_state state;
  nc_segment_record segment;
  nc_log_name log;
  nc_value_name value;
  uint64_t number; /* segment remove, log drop, value remove */
} nc_edit_record;

typedef struct nc_edit_reader {
  nc_reader reader;
  uint64_t commit_sequence;
  uint8_t flags;
} nc_edit_reader;

NC_MUST_CHECK nacre_status nc_edit_read_begin(nc_edit_reader *r, nacre_slice bytes, nacre_error *err);
NC_MUST_CHECK nacre_status nc_edit_read(nc_edit_reader *r, nc_edit_record *ret_record, bool *ret_more,
                                        nacre_error *err);

#endif
