/* SPDX-License-Identifier: Apache-2.0
 *
 * salvage_log: the groups of logs that do not open as a history; see salvage.h.
 *
 * Every group bears the numbers of its writes, and they tell whether anything is missing before it:
 *   - A group that goes on where what is known ends, or lies before that end, is history. What is older than
 *     a segment's version of its key loses against it in the merge.
 *   - One that begins later stands behind a *gap*: authentic, but what it rests on may be lost. It comes out
 *     only when that was asked for.
 *   - One whose numbers a later log has used again was dropped by a recovery: that log is the history.
 * A bad frame by itself is no gap: it may have been a mark, and the numbers tell if it was not.
 */
#include <inttypes.h>

#include "frame_scan.h"
#include "salvage.h"

/* Groups of one log that did not come out, or came out behind a gap. */
typedef struct aside {
  uint64_t groups, entries, offset, end;
} aside;

typedef struct replay {
  nc_salvage_table *t;
  uint64_t expected;          /* the next sequence of the history */
  uint64_t gap;               /* where the first gap begins; NACRE_NONE: there is none */
  uint64_t manifest_sequence; /* the greatest that any frame knows of */
  /* the log at hand */
  nc_scan scan;
  uint64_t limit;      /* a later log begins at this sequence */
  uint64_t next_group; /* the groups of a log ascend */
  aside beyond, superseded;
} replay;

static nacre_status note_in(replay *r, uint64_t offset, const nacre_error *why,
                            const nacre_fault_extent *extent, nacre_error *err) {
  nacre_error fault = *why;
  nc_fail_in(&fault, why->status, nc_sealed_reader_label(r->scan.reader), 0);
  if (fault.offset == NACRE_NONE) fault.offset = offset;
  return nc_salvage_note(r->t->s, &fault, extent, err);
}

/* ---- groups -------------------------------------------------------------------------------------------- */

static void put_aside(aside *a, const nc_scan_frame *frame, const nc_log_record *record) {
  if (a->groups == 0) a->offset = frame->offset;
  a->groups++;
  a->entries += record->count;
  a->end = frame->offset + frame->size;
}

static nacre_status take(replay *r, const nc_log_record *record, nacre_error *err) {
  NC_TRY(nc_replay_group(r->t->memtable, NULL, record, err));
  uint64_t end = record->first_sequence + record->count;
  if (end > r->expected) r->expected = end;
  r->t->s->report.entries += record->count;
  return NACRE_OK;
}

static nacre_status note_gap(replay *r, const nc_scan_frame *frame, const nc_log_record *record,
                             nacre_error *err) {
  nacre_error why;
  (void)nc_fail(&why, NC_E_SALVAGE_GAP, "numbers %" PRIu64 " to %" PRIu64, r->expected,
                record->first_sequence - 1);
  return note_in(r, frame->offset, &why, NULL, err);
}

static nacre_status take_beyond(replay *r, const nc_scan_frame *frame, const nc_log_record *record,
                                nacre_error *err) {
  bool jumps = record->first_sequence > r->expected; /* unless one before it did, and came out */
  if (jumps && (r->gap == NACRE_NONE || r->t->s->options->beyond_gaps))
    NC_TRY(note_gap(r, frame, record, err));
  if (r->gap == NACRE_NONE) r->gap = r->expected;
  put_aside(&r->beyond, frame, record);
  r->t->s->report.beyond_entries += record->count;
  return r->t->s->options->beyond_gaps ? take(r, record, err) : NACRE_OK;
}

static nacre_status take_group(replay *r, const nc_scan_frame *frame, const nc_log_record *record,
                               nacre_error *err) {
  if (record->first_sequence < r->next_group) return nc_fail(err, NC_E_LOG_SEQUENCE, NULL);
  r->next_group = record->first_sequence + record->count;
  if (r->next_group > r->limit) {
    put_aside(&r->superseded, frame, record);
    return NACRE_OK;
  }
  bool beyond = record->first_sequence > r->expected || record->first_sequence >= r->gap;
  return beyond ? take_beyond(r, frame, record, err) : take(r, record, err);
}

static nacre_status take_frame(replay *r, const nc_scan_frame *frame, nacre_slice plaintext,
                               nacre_error *err) {
  nc_log_record record;
  if (!nc_frame_type_belongs(frame->type, NC_FILE_LOG)) return nc_fail(err, NC_E_FRAME_TYPE, NULL);
  NC_TRY(nc_log_record_decode(plaintext, frame->type, &record, err));
  if (record.manifest_sequence > r->manifest_sequence) r->manifest_sequence = record.manifest_sequence;
  return frame->type == NC_FRAME_LOG_GROUP ? take_group(r, frame, &record, err) : NACRE_OK;
}

/* ---- frames -------------------------------------------------------------------------------------------- */

/* The frame at `*offset`, or behind damage the next authentic one. `*ret_more` false at the end. */
static nacre_status find_frame(replay *r, uint64_t offset, bool *ret_more, nc_scan_frame *ret_frame,
                               nacre_slice *ret_plaintext, nacre_error *err) {
  nc_scan_result result;
  nacre_error why;
  NC_TRY(nc_scan_at(&r->scan, offset, &result, ret_frame, &why, err));
  *ret_more = result == NC_SCAN_FRAME;
  if (result == NC_SCAN_END) return NACRE_OK;
  if (result == NC_SCAN_FRAME) {
    nacre_status status = nc_scan_open(&r->scan, ret_frame, ret_plaintext, &why);
    if (status == NACRE_OK) return NACRE_OK;
    if (status == NACRE_NO_MEMORY) return nc_fail_with(err, &why);
    r->scan.filled = 0; /* wiped there */
  }
  NC_TRY(nc_scan_search_open(&r->scan, offset + NC_FRAME_ALIGN, &result, ret_frame, ret_plaintext, err));
  *ret_more = result == NC_SCAN_FRAME;
  uint64_t end;
  NC_TRY(nc_scan_written(&r->scan, &end, err));
  if (*ret_more) end = ret_frame->offset;
  nacre_fault_extent extent = {.bytes = end - offset};
  return note_in(r, offset, &why, &extent, err);
}

/* A frame whose content does not decode is left out like one that does not open. */
static nacre_status walk(replay *r, nacre_error *err) {
  for (uint64_t offset = NC_FRAMES_OFFSET;;) {
    nc_scan_frame frame;
    nacre_slice plaintext;
    nacre_error why;
    bool more;
    NC_TRY(find_frame(r, offset, &more, &frame, &plaintext, err));
    if (!more) return NACRE_OK;
    r->t->s->report.frames++;
    r->t->s->report.bytes += frame.size;
    offset = frame.offset + frame.size;
    if (take_frame(r, &frame, plaintext, &why) != NACRE_OK) {
      nacre_fault_extent extent = {.bytes = frame.size};
      NC_TRY(note_in(r, frame.offset, &why, &extent, err));
    }
  }
}

/* ---- logs ---------------------------------------------------------------------------------------------- */

static nacre_status tell_aside(replay *r, const aside *a, nc_error_id id, nacre_error *err) {
  if (a->groups == 0) return NACRE_OK;
  nacre_error why;
  nacre_fault_extent extent = {.bytes = a->end - a->offset};
  (void)nc_fail_at(&why, id, a->offset, "%" PRIu64 " groups, %" PRIu64 " entries", a->groups, a->entries);
  nc_fail_in(&why, why.status, nc_sealed_reader_label(r->scan.reader), 0);
  nacre_error none;
  return nc_faults_add(&r->t->s->report.faults, &why, &extent, err == NULL ? &none : err);
}

/* What cannot be read to its end is noted; the groups before that have come out. */
static nacre_status walk_log(replay *r, nc_sealed_reader *reader, nacre_error *err) {
  nacre_error why;
  nc_scan_init(&r->scan, r->t->s->shared.env->heap, reader, NACRE_NONE);
  nacre_status status = walk(r, &why);
  if (status == NACRE_OK) {
    status = tell_aside(r, &r->superseded, NC_E_SALVAGE_SUPERSEDED, &why);
  }
  if (status == NACRE_OK && !r->t->s->options->beyond_gaps)
    status = tell_aside(r, &r->beyond, NC_E_SALVAGE_BEYOND, &why);
  if (status != NACRE_OK) status = note_in(r, NC_FRAMES_OFFSET, &why, NULL, err);
  r->t->s->report.fault_count = nacre_faults_count(r->t->s->report.faults);
  nc_scan_deinit(&r->scan);
  return status;
}

static nacre_status replay_log(replay *r, const nc_salvage_file *log, nacre_error *err) {
  nc_sealed_reader *reader;
  nacre_error why;
  r->next_group = 0;
  r->beyond = r->superseded = (aside){0};
  nacre_status status = nc_salvage_open_file(&r->t->dir, r->t->keys, log, NC_FILE_LOG, &reader, &why);
  if (status != NACRE_OK) return nc_salvage_note(r->t->s, &why, NULL, err);
  r->t->s->report.files++;
  status = walk_log(r, reader, err);
  nc_sealed_reader_close(reader);
  return status;
}

/* The sequence at which a log begins, by its first authentic frame; NACRE_NONE when it has none. */
static uint64_t beginning_of(const nc_salvage_table *t, const nc_salvage_file *log) {
  nc_sealed_reader *reader;
  uint64_t first = NACRE_NONE;
  if (nc_salvage_open_file(&t->dir, t->keys, log, NC_FILE_LOG, &reader, NULL) != NACRE_OK) return first;
  nc_scan scan;
  nc_scan_result result;
  nc_scan_frame frame;
  nacre_slice plaintext;
  nc_log_record record;
  nc_scan_init(&scan, t->s->shared.env->heap, reader, NACRE_NONE);
  nacre_status status = nc_scan_search_open(&scan, NC_FRAMES_OFFSET, &result, &frame, &plaintext, NULL);
  if (status == NACRE_OK && result == NC_SCAN_FRAME &&
      nc_log_record_decode(plaintext, frame.type, &record, NULL) == NACRE_OK)
    first = record.first_sequence;
  nc_scan_deinit(&scan);
  nc_sealed_reader_close(reader);
  return first;
}

nacre_status nc_salvage_logs(nc_salvage_table *t, nc_salvage_file *logs, size_t count, uint64_t last_sequence,
                             uint64_t *ret_manifest_sequence, nacre_error *err) {
  replay r = {.t = t, .expected = last_sequence + 1, .gap = NACRE_NONE};
  for (size_t i = 0; i < count; i++) logs[i].first_sequence = beginning_of(t, &logs[i]);
  for (size_t i = 0; i < count; i++) {
    r.limit = NACRE_NONE;
    for (size_t k = i + 1; k < count; k++) {
      if (logs[k].first_sequence < r.limit) r.limit = logs[k].first_sequence;
    }
    NC_TRY(replay_log(&r, &logs[i], err));
  }
  *ret_manifest_sequence = r.manifest_sequence;
  return NACRE_OK;
}
