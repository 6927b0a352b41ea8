/* SPDX-License-Identifier: Apache-2.0
 *
 * Past the seal: logs that authenticate and are wrong, as only a defect of a writer, or someone with the table's
 * key, could make them. Each is told by an explicit error with file and offset; none is believed in silence.
 * Manifests that lie are in past_seal_manifest.c, segments in verify_segment.c, value files in value_file.c; all of
 * them at random in past_seal_random.c.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "batch.h"
#include "histories.h"
#include "reseal.h"
#include "segments.h"
#include "verify.h"

static history h;

static void setup(void) { history_open(&h); }
static void teardown(void) { history_close(&h); }
TestSuite(past_seal, .init = setup, .fini = teardown, .timeout = 120);

/* ---- logs ---------------------------------------------------------------------------------------------- */

enum { FIRST = 0, SECOND = 1 };

static plain_file file; /* the log under change */
static void open_up(size_t log) { plain_load(&h.floor, history_log_name(log), &file); }

static void close_again(size_t log) { history_reseal(&h, log, &file); }

typedef void change(nc_log_record *record);

/* Decodes what a frame holds, lets it be changed, and encodes it again. */
static void change_record(size_t log, size_t frame, change *what) {
  nacre_error err;
  uint8_t bytes[8192];
  nc_log_record record;
  history_two_logs(&h);
  open_up(log);
  plain_frame *f = &file.frames[frame];
  must(nc_log_record_decode(nc_slice(f->bytes, f->size), (uint8_t)f->type, &record, &err));
  what(&record);
  size_t size = nc_log_record_encode(&record, (uint8_t)f->type, bytes);
  if (record.operations.size > 0) memcpy(bytes + size, record.operations.data, record.operations.size);
  plain_set(f, bytes, size + record.operations.size);
  close_again(log);
}

/* Refused, and it is said where; up to the lie everything can still be read. */
static void refused(nc_error_id id, size_t log, size_t frame, uint64_t kept) {
  history_refused(&h, id, kept);
  cr_expect_not_null(strstr(h.err.file, history_log_name(log)), "%s", h.err.file);
  for (size_t i = 0; i < h.frame_count; i++) {
    if (h.frames[i].log != log || frame-- != 0) continue;
    cr_expect_eq(h.err.offset, h.frames[i].offset, "%llu", (unsigned long long)h.err.offset);
    return;
  }
}

/* The sequence of the frame does not follow: the rest is dropped, and reported. */
static void ends_at(size_t log, size_t frame, uint64_t kept) {
  history_keeps(&h, kept);
  cr_expect(!h.report.clean && h.report.dropped_bytes > 0 && h.report.maybe_synced);
  cr_expect_not_null(strstr(h.report.file, history_log_name(log)));
  for (size_t i = 0; i < h.frame_count; i++) {
    if (h.frames[i].log == log && frame-- == 0) cr_expect_eq(h.report.dropped_offset, h.frames[i].offset);
  }
}

static void first_later(nc_log_record *r) { r->first_sequence += 1; }
static void first_earlier(nc_log_record *r) { r->first_sequence -= 1; }
static void first_none(nc_log_record *r) { r->first_sequence = 0; }
static void first_huge(nc_log_record *r) { r->first_sequence = NC_SEQUENCE_MAX + 1; }
static void count_more(nc_log_record *r) { r->count += 1; }
static void count_less(nc_log_record *r) { r->count -= 1; }
static void count_none(nc_log_record *r) { r->count = 0; }
static void count_huge(nc_log_record *r) { r->count = UINT64_MAX; }
static void count_some(nc_log_record *r) { r->count = 1; }

Test(past_seal, a_sequence_gap_within_a_log_drops_the_rest) {
  change_record(FIRST, 2, first_later);
  ends_at(FIRST, 2, 2);
}
Test(past_seal, a_sequence_given_twice_drops_the_rest) {
  change_record(FIRST, 2, first_earlier);
  ends_at(FIRST, 2, 2);
}
Test(past_seal, a_mark_of_another_sequence_drops_the_rest) {
  change_record(FIRST, 3, first_later);
  ends_at(FIRST, 3, 5);
}
Test(past_seal, a_gap_before_what_was_synced_is_damage) {
  history_two_logs(&h);
  history_synced(&h, SECOND);
  history_mark(&h, SECOND);
  open_up(FIRST);
  file.frames[2].bytes[0]++; /* first */
  close_again(FIRST);
  refused(NC_E_LOG_DAMAGED, FIRST, 2, 2);
}
Test(past_seal, a_group_of_sequence_0) {
  change_record(FIRST, 1, first_none);
  refused(NC_E_LOG_SEQUENCE, FIRST, 1, 0);
}
Test(past_seal, a_group_past_the_last_sequence) {
  change_record(FIRST, 1, first_huge);
  refused(NC_E_LOG_SEQUENCE, FIRST, 1, 0);
}
Test(past_seal, a_group_of_more_writes_than_it_holds) {
  change_record(FIRST, 2, count_more);
  refused(NC_E_BATCH_COUNT, FIRST, 2, 2);
}
Test(past_seal, a_group_of_fewer_writes_than_it_holds) {
  change_record(FIRST, 2, count_less);
  refused(NC_E_BATCH_COUNT, FIRST, 2, 2);
}
Test(past_seal, a_group_of_no_writes) {
  change_record(FIRST, 2, count_none);
  refused(NC_E_LOG_SEQUENCE, FIRST, 2, 2);
}
Test(past_seal, a_group_of_more_writes_than_there_are_sequences) {
  change_record(FIRST, 2, count_huge);
  refused(NC_E_LOG_SEQUENCE, FIRST, 2, 2);
}
Test(past_seal, a_mark_that_counts_writes) {
  change_record(FIRST, 3, count_some);
  refused(NC_E_LOG_SEQUENCE, FIRST, 3, 5);
}

/* ---- what is vouched for ------------------------------------------------------------------------------- */

static void synced_a_step_on(nc_log_record *r) {
  r->synced =
      (nc_log_position){2, h.frames[h.frame_count - 1].offset + h.frames[h.frame_count - 1].size + 16};
}
static void synced_elsewhere(nc_log_record *r) { r->synced = (nc_log_position){900, 16}; }
static void synced_between(nc_log_record *r) { r->synced.offset = NC_FRAMES_OFFSET + 8; }
static void synced_past_files(nc_log_record *r) { r->synced.offset = UINT64_MAX & ~(uint64_t)15; }

/* Every frame is whole; that something was durable behind the last is known all the same. */
static void refused_at_end(uint64_t kept) {
  history_refused(&h, NC_E_LOG_DAMAGED, kept);
  cr_expect_eq(h.err.offset, history_size(&h, SECOND));
  cr_expect_not_null(strstr(h.err.file, history_log_name(SECOND)));
}
Test(past_seal, a_synced_position_a_step_beyond_the_end) {
  change_record(SECOND, 2, synced_a_step_on);
  refused_at_end(8);
}
Test(past_seal, a_synced_position_in_a_log_that_never_was) {
  change_record(FIRST, 1, synced_elsewhere);
  refused_at_end(8);
}
Test(past_seal, a_synced_position_between_two_steps) {
  change_record(SECOND, 2, synced_between);
  refused(NC_E_LOG_RECORD_SHAPE, SECOND, 2, 6);
}
Test(past_seal, a_synced_position_past_what_a_file_can_hold) {
  change_record(SECOND, 2, synced_past_files);
  refused(NC_E_LOG_RECORD_SHAPE, SECOND, 2, 6);
}

/* ---- predecessors -------------------------------------------------------------------------------------- */

static void names_itself(nc_log_record *r) {
  r->predecessor.present = true;
  r->predecessor.number = 2;
  r->predecessor.file = h.names[SECOND].file;
}
static void first_names_second(nc_log_record *r) {
  names_itself(r);
  r->predecessor.end = NC_FRAMES_OFFSET + 64;
  r->predecessor.last_sequence = r->first_sequence - 1;
}
static void first_names_itself(nc_log_record *r) {
  first_names_second(r);
  r->predecessor.number = 1;
  r->predecessor.file = h.names[FIRST].file;
}
static void another_uuid(nc_log_record *r) { r->predecessor.file.bytes[3] ^= 1; }
static void another_number(nc_log_record *r) { r->predecessor.number = 77; }
static void another_last(nc_log_record *r) { r->predecessor.last_sequence -= 1; }
static void later_last(nc_log_record *r) { r->predecessor.last_sequence += 1; }
static void end_in_header(nc_log_record *r) { r->predecessor.end = 4096; }
static void end_earlier(nc_log_record *r) { r->predecessor.end -= 16; }
static void end_later(nc_log_record *r) { r->predecessor.end += 16; }
static void end_between(nc_log_record *r) { r->predecessor.end += 8; }
static void no_predecessor(nc_log_record *r) { r->predecessor.present = false; }

Test(past_seal, a_log_that_continues_itself) {
  change_record(SECOND, 0, names_itself);
  refused(NC_E_LOG_GAP, SECOND, 0, 5);
}
Test(past_seal, a_first_log_that_continues_itself) {
  change_record(FIRST, 0, first_names_itself);
  refused(NC_E_LOG_GAP, FIRST, 0, 0);
}
Test(past_seal, two_logs_that_continue_each_other) {
  change_record(FIRST, 0, first_names_second);
  refused(NC_E_LOG_GAP, FIRST, 0, 0);
}
Test(past_seal, a_predecessor_of_another_uuid) {
  change_record(SECOND, 0, another_uuid);
  refused(NC_E_LOG_GAP, SECOND, 0, 5);
}
Test(past_seal, a_predecessor_of_another_number) {
  change_record(SECOND, 0, another_number);
  refused(NC_E_LOG_GAP, SECOND, 0, 5);
}
Test(past_seal, a_predecessor_that_ended_at_another_sequence) {
  change_record(SECOND, 0, another_last);
  refused(NC_E_LOG_GAP, SECOND, 0, 5);
}
Test(past_seal, a_predecessor_that_ended_behind_what_continues_it) {
  change_record(SECOND, 0, later_last);
  refused(NC_E_LOG_SEQUENCE, SECOND, 0, 5);
}
Test(past_seal, a_predecessor_that_ended_in_its_header) {
  change_record(SECOND, 0, end_in_header);
  refused(NC_E_LOG_GAP, SECOND, 0, 5);
}
Test(past_seal, a_predecessor_that_ended_before_its_last_frame) {
  change_record(SECOND, 0, end_earlier);
  refused(NC_E_LOG_GAP, SECOND, 0, 5);
}
Test(past_seal, a_predecessor_that_ended_between_two_steps) {
  change_record(SECOND, 0, end_between);
  refused(NC_E_LOG_RECORD_SHAPE, SECOND, 0, 5);
}
Test(past_seal, a_predecessor_that_is_left_out) {
  change_record(SECOND, 0, no_predecessor);
  refused(NC_E_LOG_GAP, SECOND, 0, 5);
}
Test(past_seal, a_predecessor_that_ended_behind_its_last_frame_is_a_lost_tail) {
  change_record(SECOND, 0, end_later);
  history_keeps(&h, 5);
  cr_expect(h.report.maybe_synced && h.report.dropped_offset == history_size(&h, FIRST));
}

/* ---- the manifest that logs know of, and frames where they do not belong ------------------------------- */

static void later_commit(nc_log_record *r) { r->manifest_sequence = 11; }

Test(past_seal, a_commit_that_the_manifest_does_not_have) {
  change_record(FIRST, 3, later_commit);
  cr_expect_eq(history_recover(&h, NACRE_RECOVERY_STRICT), NACRE_ROLLED_BACK);
  cr_expect_eq(h.err.id, NC_E_MANIFEST_ROLLED_BACK);
}

static void changed_type(size_t frame, nc_frame_type type) {
  history_two_logs(&h);
  open_up(FIRST);
  file.frames[frame].type = type;
  close_again(FIRST);
}
Test(past_seal, a_mark_that_calls_itself_a_group) {
  changed_type(3, NC_FRAME_LOG_GROUP);
  refused(NC_E_LOG_SEQUENCE, FIRST, 3, 5);
}
Test(past_seal, a_mark_that_calls_itself_a_start) {
  changed_type(3, NC_FRAME_LOG_START);
  refused(NC_E_FRAME_TYPE, FIRST, 3, 5);
}
Test(past_seal, a_first_frame_that_calls_itself_a_mark) {
  changed_type(0, NC_FRAME_LOG_MARK);
  refused(NC_E_FRAME_TYPE, FIRST, 0, 0);
}
Test(past_seal, a_data_frame_in_a_log) {
  changed_type(2, NC_FRAME_DATA);
  refused(NC_E_LOG_RECORD_SHAPE, FIRST, 2, 2);
}
Test(past_seal, a_mark_that_calls_itself_final_loses_the_log_behind_it) {
  changed_type(3, NC_FRAME_LOG_FINAL); /* its end is not the one that the second log recorded */
  ends_at(FIRST, 3, 5);
}

static void operations(const char *bytes, size_t size, nc_error_id id) {
  history_two_logs(&h);
  open_up(FIRST);
  uint8_t record[NC_LOG_RECORD_FIXED_BYTES_MAX + 64];
  nc_log_record head = {.first_sequence = 3, .count = 3};
  size_t head_size = nc_log_record_encode(&head, NC_FRAME_LOG_GROUP, record);
  memcpy(record + head_size, bytes, size);
  plain_set(&file.frames[2], record, head_size + size);
  close_again(FIRST);
  refused(id, FIRST, 2, 2);
}
Test(past_seal, an_operation_of_an_unknown_kind) { operations("\x07\x01\x01kv", 5, NC_E_BATCH_KIND); }
Test(past_seal, an_operation_whose_key_runs_over) { operations("\x01\x7F\x01kv", 5, NC_E_BATCH_SHAPE); }
Test(past_seal, an_operation_whose_value_runs_over) { operations("\x01\x01\x7Fkv", 5, NC_E_BATCH_SHAPE); }
Test(past_seal, an_operation_of_a_huge_value) {
  operations("\x01\x01\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01kv", 14, NC_E_BATCH_SHAPE);
}
Test(past_seal, an_operation_whose_length_has_two_spellings) {
  operations("\x01\x81\x00\x01kv", 6, NC_E_BATCH_SHAPE);
}

Test(past_seal, bytes_behind_what_a_mark_says) {
  history_two_logs(&h);
  open_up(FIRST);
  uint8_t longer[256] = {0};
  memcpy(longer, file.frames[3].bytes, file.frames[3].size);
  plain_set(&file.frames[3], longer, file.frames[3].size + 1);
  close_again(FIRST);
  refused(NC_E_LOG_RECORD_SHAPE, FIRST, 3, 5);
}
