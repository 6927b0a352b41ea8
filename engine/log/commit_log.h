/* SPDX-License-Identifier: Apache-2.0
 *
 * commit_log: one log of a table (format/README.md, "Commit log").
 *
 * Invariants
 *   1. A log's header and name are durable, and a synced manifest commit names it, before its first frame.
 *   2. Its first frame says where its predecessor ends; from then on nothing is appended to the predecessor.
 *   3. A failed log takes nothing more; its content goes to a segment, and it is dropped, before a newer log
 *      acknowledges.
 * Locks: all but sync and the counts need the table's write lock.
 */
#ifndef NC_COMMIT_LOG_H
#define NC_COMMIT_LOG_H

#include <stdatomic.h>

#include "log_record.h"
#include "manifest_edit.h"
#include "sealed_writer.h"

typedef struct nc_log {
  atomic_uint refs;
  nc_log_name name;
  nc_sealed_writer *writer; /* NULL: found at recovery, ended cleanly */
  uint64_t end;             /* behind the last frame that counts (a final frame does not) */
  uint64_t last_sequence;   /* of the history up to `end` */
  bool started;             /* has its first frame */
} nc_log;

void nc_log_name_file(uint64_t number, char name[NC_FILE_NAME_BYTES]);
/* Makes the file and syncs its header; the caller makes the name durable and commits it. */
NC_MUST_CHECK nacre_status nc_log_create(const nc_dir *dir, const nc_uuid *table, const nc_kek *kek,
                                         uint64_t number, uint64_t epoch, nc_log **ret_log, nacre_error *err);
/* One that was found: of `end` and `last_sequence`, which takes no more. */
NC_MUST_CHECK nacre_status nc_log_found(const nc_log_name *name, uint64_t end, uint64_t last_sequence,
                                        bool started, nc_log **ret_log, nacre_error *err);
void nc_log_ref(nc_log *log);
void nc_log_unref(nc_log *log); /* the last one closes the file */

/* What the frames of a log say of the rest of the table. */
typedef struct nc_log_moment {
  uint64_t next_sequence;
  nc_log_position synced;
  nc_uuid manifest;
  uint64_t manifest_sequence; /* of its newest durable commit */
} nc_log_moment;

/* Appends the first frame. */
NC_MUST_CHECK nacre_status nc_log_start(nc_log *log, const nc_log *predecessor, const nc_log_moment *moment,
                                        nacre_error *err);
/* Appends a whole group record (nc_log_record_encode, then the operations). */
NC_MUST_CHECK nacre_status nc_log_append_group(nc_log *log, nacre_slice record, uint64_t last_sequence,
                                               nacre_error *err);
/* Nothing but a final frame is to come: gives back what the file was made longer ahead of its frames. */
void nc_log_end_window(nc_log *log);
/* Appends a mark, or the final frame. */
NC_MUST_CHECK nacre_status nc_log_append_mark(nc_log *log, nc_frame_type type, const nc_log_moment *moment,
                                              nacre_error *err);
static inline bool nc_log_failed(const nc_log *log) {
  return log->writer != NULL && nc_sealed_writer_failed(log->writer);
}
static inline nc_log_position nc_log_tail(const nc_log *log) {
  return (nc_log_position){log->name.number, log->end};
}

#endif
