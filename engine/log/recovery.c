/* SPDX-License-Identifier: Apache-2.0
 *
 * recovery: see recovery.h; format/README.md, "The tail rule".
 *
 * Names as in the rule: X (`broken_at`) is the first position where the history breaks, D (`vouched`) the
 * greatest position that any authenticated frame of any live log vouches for. D > X is damage; otherwise the
 * tail is torn, whatever follows it.
 */
#include "recovery.h"

#include <stdio.h>

#include "batch.h"
#include "frame_scan.h"

typedef struct history {
  nc_recovery *r;
  uint64_t expected; /* the next sequence; 0 before the first log has begun */
  nc_log_position vouched;
  uint64_t manifest_sequence; /* the greatest that marks know of */
  /* the log before the one being walked */
  const nc_log_name *previous; /* NULL: none has begun */
  uint64_t previous_end;
  bool previous_bad; /* it ended in a bad frame, which only its successor can excuse */
  bool previous_final;
  bool previous_closed; /* what is bad stands behind its final frame */
  nacre_error previous_why;
  /* the break */
  bool broken;
  size_t broken_log;
  nc_log_position broken_at;
  uint64_t groups_behind; /* whole groups that are dropped */
} history;

static void log_label(const history *h, size_t i, char *label, size_t size) {
  char name[NC_FILE_NAME_BYTES];
  nc_log_name_file(h->r->manifest->logs[i].number, name);
  snprintf(label, size, "%s/%s", h->r->dir->label, name);
}

static nacre_status open_log(const history *h, size_t i, nc_sealed_reader **ret_reader, nacre_error *err) {
  const nc_log_name *log = &h->r->manifest->logs[i];
  char name[NC_FILE_NAME_BYTES], label[128];
  nc_log_name_file(log->number, name);
  nc_sealed_expect expect = {.type = NC_FILE_LOG,
                             .origin_table = nc_table_keys_table(h->r->keys),
                             .file = &log->file,
                             .number = log->number,
                             .epoch_max = h->r->manifest->epoch,
                             .dek_commitment = log->dek_commitment};
  nacre_status status = nc_sealed_reader_open(h->r->dir, name, h->r->keys, &expect, ret_reader, err);
  log_label(h, i, label, sizeof label);
  /* [L10] */
  if (status == NACRE_NOT_FOUND) return nc_fail_in(err, nc_fail(err, NC_E_LOG_MISSING, NULL), label, 0);
  NC_TRY(status);
  if (nc_sealed_reader_size(*ret_reader) >= NC_FRAMES_OFFSET) return NACRE_OK;
  /* One slot reads, but both were durable before the log had a name: no power cut takes them apart. */
  nc_sealed_reader_close(*ret_reader);
  return nc_fail_in(err, nc_fail(err, NC_E_HEADER_SHORT, NULL), label, 0);
}

/* The cause alone: what to do about it is for whoever reports it to say. */
static const char *cause_of(const nacre_error *err) {
  const nc_error_info *info = nc_error_info_of(err->id);
  return info == NULL ? err->text : info->sentence;
}

static size_t index_of(const history *h, const nc_log_name *log) {
  return (size_t)(log - h->r->manifest->logs);
}

static void break_at(history *h, size_t log, uint64_t number, uint64_t offset, const char *why) {
  h->broken = true;
  h->broken_log = log;
  h->broken_at = (nc_log_position){number, offset};
  log_label(h, log, h->r->report.file, sizeof h->r->report.file);
  snprintf(h->r->report.reason, sizeof h->r->report.reason, "%.*s", (int)sizeof h->r->report.reason - 1, why);
  h->r->report.dropped_offset = offset;
}

/* ---- what frames say ----------------------------------------------------------------------------------- */

static void note_vouched(history *h, nc_log_position position) {
  if (nc_log_position_compare(position, h->vouched) > 0) h->vouched = position;
}

/* A fault of what a frame holds is told with the place of the frame. */
static nacre_status in_frame(nacre_error *err, nacre_status status, const char *label, uint64_t offset) {
  if (status != NACRE_OK && err->file[0] == '\0' && err->offset == NACRE_NONE) err->offset = 0;
  return nc_fail_in(err, status, label, offset);
}

static nacre_status open_record(history *h, nc_scan *scan, const nc_scan_frame *frame, nc_log_record *record,
                                nacre_error *err) {
  const char *label = nc_sealed_reader_label(scan->reader);
  nacre_slice plaintext;
  nacre_status status = nc_scan_open(scan, frame, &plaintext, err);
  if (status == NACRE_TAMPERED) {
    return nc_fail_in(err, nc_fail_at(err, NC_E_LOG_TAMPERED, frame->offset, NULL), label, 0); /* [L5] */
  }
  NC_TRY(status);
  if ((frame->type == NC_FRAME_LOG_START) != (frame->offset == NC_FRAMES_OFFSET)) {
    return in_frame(err, nc_fail(err, NC_E_FRAME_TYPE, "%s", nc_frame_type_name(frame->type)), label,
                    frame->offset);
  }
  NC_TRY(in_frame(err, nc_log_record_decode(plaintext, frame->type, record, err), label, frame->offset));
  uint64_t number = nc_sealed_reader_header(scan->reader)->identity.number;
  note_vouched(h, record->synced);
  if (frame->type == NC_FRAME_LOG_FINAL) note_vouched(h, (nc_log_position){number, frame->offset});
  if (record->manifest_sequence > h->manifest_sequence) h->manifest_sequence = record->manifest_sequence;
  return NACRE_OK;
}

static nacre_status note_value(nc_value_set *values, const nc_entry *entry, nacre_error *err) {
  nc_value_reference reference;
  if (values == NULL || entry->kind != NC_KIND_LARGE) return NACRE_OK;
  NC_TRY(nc_value_reference_decode(entry->value, &reference, err));
  return nc_value_set_add(values, &reference.name, false, err);
}

nacre_status nc_replay_group(nc_memtable *memtable, nc_value_set *values, const nc_log_record *record,
                             nacre_error *err) {
  NC_TRY(nc_batch_check(record->operations, record->count, err)); /* [L9] */
  NC_TRY(nc_memtable_reserve(memtable, (size_t)record->count, record->operations.size, err));
  NC_TRY(nc_memtable_reserve_ranges(memtable, record->operations, record->first_sequence, err));
  nc_batch_reader reader;
  nc_batch_read_begin(&reader, record->operations);
  for (uint64_t i = 0; i < record->count; i++) {
    nc_entry entry;
    bool more;
    NC_TRY(nc_batch_read(&reader, &entry, &more, err));
    NC_TRY(note_value(values, &entry, err));
    entry.sequence = record->first_sequence + i;
    nc_memtable_add(memtable, &entry);
  }
  return NACRE_OK;
}

static nacre_status replay_group(history *h, const nc_log_record *record, nacre_error *err) {
  NC_TRY(nc_replay_group(h->r->memtable, h->r->values, record, err));
  h->expected += record->count;
  h->r->report.groups++;
  h->r->report.entries += record->count;
  return NACRE_OK;
}

/* ---- one log ------------------------------------------------------------------------------------------- */

/* A log that never began may stand between others, for an open may end before it writes. If the predecessor
 * that a log names is such a one, its frames were there and are gone. */
static bool break_at_emptied(history *h, size_t i, const nc_log_record *record) {
  if (!record->predecessor.present) return false;
  for (size_t k = 0; k < i; k++) {
    const nc_log_name *log = &h->r->manifest->logs[k];
    bool began = h->previous != NULL && log->number <= h->previous->number;
    if (began || !nc_uuid_equal(&log->file, &record->predecessor.file)) continue;
    break_at(h, k, log->number, NC_FRAMES_OFFSET, "the log ends before the end that its successor recorded");
    return true;
  }
  return false;
}

static nacre_status search_log(history *h, size_t i, uint64_t from, uint64_t *ret_bytes, nacre_error *err);

/* Whether what the first frame of log i says of its predecessor can be, whatever the logs hold. */
static bool predecessor_sound(const nc_log_name *log, const nc_log_record *record) {
  return !record->predecessor.present ||
         (record->predecessor.number < log->number && record->predecessor.end > NC_FRAMES_OFFSET);
}

/* Log i goes on where the one before it ended. What stands behind that end counts for what it vouches for,
 * and for tampering, alone. */
static nacre_status check_seam(history *h, size_t i, const nc_log_record *record, nacre_error *err) {
  const nc_log_name *log = &h->r->manifest->logs[i];
  if (record->first_sequence != h->expected) {
    break_at(h, i, log->number, NC_FRAMES_OFFSET, "the log does not begin where the one before it ended");
    return NACRE_OK;
  }
  if (record->predecessor.last_sequence + 1 != record->first_sequence) {
    return nc_fail(err, NC_E_LOG_GAP, "log %llu begins at %llu, behind %llu", (unsigned long long)log->number,
                   (unsigned long long)record->first_sequence,
                   (unsigned long long)record->predecessor.last_sequence);
  }
  uint64_t rubble;
  if (h->previous_bad) NC_TRY(search_log(h, index_of(h, h->previous), h->previous_end, &rubble, err));
  return NACRE_OK;
}

/* Whether log i, whose first frame is `record`, continues the one before. [L7] */
static nacre_status check_link(history *h, size_t i, const nc_log_record *record, nacre_error *err) {
  const nc_log_name *log = &h->r->manifest->logs[i];
  if (!predecessor_sound(log, record)) {
    return nc_fail(err, NC_E_LOG_GAP, "log %llu continues log %llu from offset %llu",
                   (unsigned long long)log->number, (unsigned long long)record->predecessor.number,
                   (unsigned long long)record->predecessor.end);
  }
  if (break_at_emptied(h, i, record)) return NACRE_OK;
  if (h->previous == NULL) {
    if (record->first_sequence > h->r->manifest->state.last_sequence + 1) {
      return nc_fail(err, NC_E_LOG_GAP, "log %llu begins at %llu", (unsigned long long)log->number,
                     (unsigned long long)record->first_sequence);
    }
    h->expected = record->first_sequence;
    return NACRE_OK;
  }
  bool same = record->predecessor.present && record->predecessor.number == h->previous->number &&
              nc_uuid_equal(&record->predecessor.file, &h->previous->file);
  if (!same || record->predecessor.end < h->previous_end) {
    return nc_fail(err, NC_E_LOG_GAP, "log %llu does not continue log %llu", (unsigned long long)log->number,
                   (unsigned long long)h->previous->number);
  }
  if (record->predecessor.end > h->previous_end) {
    break_at(h, index_of(h, h->previous), h->previous->number, h->previous_end,
             h->previous_bad ? cause_of(&h->previous_why)
                             : "the log ends before the end that its successor recorded");
    return NACRE_OK;
  }
  return check_seam(h, i, record, err);
}

static void set_previous(history *h, const nc_log_name *log, uint64_t end) {
  h->previous = log;
  h->previous_end = end;
  h->previous_bad = h->previous_final = h->previous_closed = false;
}

/* The frames behind the first, until the log ends, one way or another. */
static nacre_status walk_frames(history *h, size_t i, nc_scan *scan, uint64_t offset, nacre_error *err) {
  const nc_log_name *log = &h->r->manifest->logs[i];
  set_previous(h, log, offset);
  for (;;) {
    nc_scan_result result;
    nc_scan_frame frame;
    NC_TRY(nc_scan_at(scan, offset, &result, &frame, &h->previous_why, err));
    if (result == NC_SCAN_END) return NACRE_OK;
    if (result == NC_SCAN_BAD || h->previous_final) {
      h->previous_bad = true;
      h->previous_closed = h->previous_final;
      if (result == NC_SCAN_FRAME)
        (void)nc_fail(&h->previous_why, NC_E_LOG_RECORD_SHAPE, "a frame behind the final one");
      h->previous_final = false;
      return NACRE_OK;
    }
    nc_log_record record;
    NC_TRY(open_record(h, scan, &frame, &record, err));
    if (record.first_sequence != h->expected) { /* [L8] */
      break_at(h, i, log->number, offset, "the sequence numbers do not continue");
      return NACRE_OK;
    }
    if (frame.type == NC_FRAME_LOG_GROUP) {
      NC_TRY(
          in_frame(err, replay_group(h, &record, err), nc_sealed_reader_label(scan->reader), frame.offset));
    }
    offset += frame.size;
    h->previous_final = frame.type == NC_FRAME_LOG_FINAL;
    if (!h->previous_final) h->previous_end = offset;
  }
}

/* A log without a first frame: nothing was ever in it, or its first frame is torn. */
static void walk_unstarted(history *h, size_t i, nc_scan_result result, const nacre_error *why) {
  if (result == NC_SCAN_END) return;
  if (h->previous_bad) {
    break_at(h, index_of(h, h->previous), h->previous->number, h->previous_end, cause_of(&h->previous_why));
  } else {
    break_at(h, i, h->r->manifest->logs[i].number, NC_FRAMES_OFFSET, cause_of(why));
  }
}

static nacre_status walk_log(history *h, size_t i, nc_scan *scan, bool *ret_started, nacre_error *err) {
  nc_scan_result result;
  nc_scan_frame frame;
  nacre_error why;
  NC_TRY(nc_scan_at(scan, NC_FRAMES_OFFSET, &result, &frame, &why, err));
  *ret_started = result == NC_SCAN_FRAME;
  if (result != NC_SCAN_FRAME) {
    walk_unstarted(h, i, result, &why);
    return NACRE_OK;
  }
  nc_log_record record;
  NC_TRY(open_record(h, scan, &frame, &record, err));
  NC_TRY(
      in_frame(err, check_link(h, i, &record, err), nc_sealed_reader_label(scan->reader), NC_FRAMES_OFFSET));
  return h->broken ? NACRE_OK : walk_frames(h, i, scan, NC_FRAMES_OFFSET + frame.size, err);
}

/* Where the frames of log i that count end. */
static uint64_t end_of(const history *h, size_t i, bool started) {
  if (!started || (h->broken && i > h->broken_log)) return NC_FRAMES_OFFSET;
  return h->broken && i == h->broken_log ? h->broken_at.offset : h->previous_end;
}

static nacre_status keep_log(history *h, size_t i, bool started, nacre_error *err) {
  const nc_log_name *name = &h->r->manifest->logs[i];
  uint64_t last = h->expected == 0 ? h->r->manifest->state.last_sequence : h->expected - 1;
  return nc_log_found(name, end_of(h, i, started), last, started, &h->r->logs[i], err);
}

/* ---- behind the break ---------------------------------------------------------------------------------- */

static nacre_status search_frames(history *h, nc_scan *scan, uint64_t offset, nacre_error *err) {
  for (;;) {
    nc_scan_result result;
    nc_scan_frame frame;
    nc_log_record record;
    NC_TRY(nc_scan_search(scan, offset, &result, &frame, err));
    if (result == NC_SCAN_END) return NACRE_OK;
    NC_TRY(open_record(h, scan, &frame, &record, err));
    if (frame.type == NC_FRAME_LOG_GROUP) h->groups_behind++;
    offset = frame.offset + frame.size;
  }
}

/* All of log i from an offset on, and how much that is. */
static nacre_status search_log(history *h, size_t i, uint64_t from, uint64_t *ret_bytes, nacre_error *err) {
  nc_sealed_reader *reader;
  NC_TRY(open_log(h, i, &reader, err));
  uint64_t end = 0;
  nc_scan scan;
  nc_scan_init(&scan, h->r->dir->env->heap, reader, NACRE_NONE);
  nacre_status status = nc_scan_written(&scan, &end, err);
  *ret_bytes = end > from ? end - from : 0;
  if (status == NACRE_OK) status = search_frames(h, &scan, from, err);
  nc_scan_deinit(&scan);
  nc_sealed_reader_close(reader);
  return status;
}

/* Looks at all that follows X for frames that vouch for something behind X, and counts what is dropped. [L6]
 * Nothing was acknowledged behind a final frame: rubble there, and no more, cannot have been synced. */
static nacre_status search_behind(history *h, nacre_error *err) {
  nacre_recovery_report *report = &h->r->report;
  h->groups_behind = 0;
  NC_TRY(search_log(h, h->broken_log, h->broken_at.offset, &report->dropped_bytes, err));
  bool rubble = h->previous_closed && index_of(h, h->previous) == h->broken_log && h->groups_behind == 0;
  report->maybe_synced = report->dropped_bytes > 0 && !rubble;
  for (size_t i = h->broken_log + 1; i < h->r->manifest->log_count; i++) {
    uint64_t bytes;
    NC_TRY(search_log(h, i, NC_FRAMES_OFFSET, &bytes, err));
    report->dropped_bytes += bytes;
    report->maybe_synced = report->maybe_synced || bytes > 0;
  }
  return NACRE_OK;
}

static nacre_status judge_break(history *h, nacre_error *err) {
  NC_TRY(search_behind(h, err));
  if (nc_log_position_compare(h->vouched, h->broken_at) <= 0) return NACRE_OK;
  /* [L4] */
  nacre_status status = nc_fail_at(err, NC_E_LOG_DAMAGED, h->broken_at.offset, "%s", h->r->report.reason);
  return nc_fail_in(err, status, h->r->report.file, 0);
}

/* ---- the whole history --------------------------------------------------------------------------------- */

static nacre_status walk_one(history *h, size_t i, nacre_error *err) {
  nc_sealed_reader *reader;
  NC_TRY(open_log(h, i, &reader, err));
  nc_scan scan;
  nc_scan_init(&scan, h->r->dir->env->heap, reader, NACRE_NONE);
  bool started = false;
  nacre_status status = walk_log(h, i, &scan, &started, err);
  nc_scan_deinit(&scan);
  nc_sealed_reader_close(reader);
  NC_TRY(status);
  h->r->report.logs++;
  return keep_log(h, i, started, err);
}

/* Every frame is whole, and yet something was durable behind the last of them. */
static bool ends_early(const history *h) {
  if (h->previous == NULL) return false;
  return nc_log_position_compare(h->vouched, (nc_log_position){h->previous->number, h->previous_end}) > 0;
}

static nacre_status walk_all(history *h, nacre_error *err) {
  size_t count = h->r->manifest->log_count;
  for (size_t i = 0; i < count && !h->broken; i++) NC_TRY(walk_one(h, i, err));
  if (!h->broken && h->previous_bad) {
    break_at(h, index_of(h, h->previous), h->previous->number, h->previous_end, cause_of(&h->previous_why));
  }
  if (!h->broken && ends_early(h)) {
    break_at(h, index_of(h, h->previous), h->previous->number, h->previous_end,
             "the log ends before what its frames vouch for");
  }
  return h->broken ? judge_break(h, err) : NACRE_OK;
}

static nacre_status check_manifest(const history *h, nacre_error *err) { /* [L12] */
  if (h->manifest_sequence <= h->r->manifest->sequence) return NACRE_OK;
  return nc_fail(err, h->r->manifest->torn_bytes > 0 ? NC_E_MANIFEST_DAMAGED : NC_E_MANIFEST_ROLLED_BACK,
                 "a log knows of commit %llu, the manifest ends at %llu",
                 (unsigned long long)h->manifest_sequence, (unsigned long long)h->r->manifest->sequence);
}

/* A write that only segments hold would be behind what readers see, and its sequence be given again. */
static nacre_status check_sequences(const nc_recovery *r, nacre_error *err) {
  for (size_t i = 0; i < r->manifest->segment_count; i++) {
    const nc_segment_record *segment = &r->manifest->segments[i];
    if (segment->sequence_max <= r->last_sequence) continue;
    return nc_fail(err, NC_E_MANIFEST_EDIT, "segment %llu holds sequence %llu, the table ends at %llu",
                   (unsigned long long)segment->number, (unsigned long long)segment->sequence_max,
                   (unsigned long long)r->last_sequence);
  }
  return NACRE_OK;
}

/* To read on in spite of damage is the caller's explicit choice, and only ever read-only. */
static bool may_stop_at_damage(const history *h, nacre_status status) {
  return h->r->mode == NACRE_RECOVERY_TO_DAMAGE && (status == NACRE_CORRUPT || status == NACRE_TAMPERED);
}

static nacre_status stop_at_damage(history *h, const nacre_error *damage, nacre_error *err) {
  nacre_recovery_report *report = &h->r->report;
  report->damaged = true;
  if (report->reason[0] == '\0') {
    snprintf(report->reason, sizeof report->reason, "%.*s", (int)sizeof report->reason - 1, cause_of(damage));
    snprintf(report->file, sizeof report->file, "%s", damage->file);
    report->dropped_offset = damage->offset;
  }
  for (size_t i = 0; i < h->r->manifest->log_count; i++) {
    if (h->r->logs[i] == NULL)
      NC_TRY(nc_log_found(&h->r->manifest->logs[i], 0, 0, false, &h->r->logs[i], err));
  }
  return NACRE_OK;
}

nacre_status nc_recover_logs(nc_recovery *r, nacre_error *err) {
  history h = {.r = r};
  nacre_error local;
  nacre_error *e = err == NULL ? &local : err;
  r->report = (nacre_recovery_report){.dropped_offset = NACRE_NONE};
  nacre_status status = walk_all(&h, e);
  if (status == NACRE_OK) status = check_manifest(&h, e);
  if (status != NACRE_OK && may_stop_at_damage(&h, status)) status = stop_at_damage(&h, e, e);
  NC_TRY(status);
  for (size_t i = 0; i < r->manifest->log_count; i++) {
    /* Logs behind the break were not walked: they are only names to be dropped. */
    if (r->logs[i] == NULL)
      NC_TRY(nc_log_found(&r->manifest->logs[i], NC_FRAMES_OFFSET, 0, false, &r->logs[i], err));
  }
  r->report.clean = !h.broken && !r->report.damaged && (h.previous == NULL || h.previous_final);
  uint64_t replayed = h.expected == 0 ? 0 : h.expected - 1;
  r->last_sequence =
      replayed > r->manifest->state.last_sequence ? replayed : r->manifest->state.last_sequence;
  return r->report.damaged ? NACRE_OK : check_sequences(r, e);
}
