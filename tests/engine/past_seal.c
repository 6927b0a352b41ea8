/* SPDX-License-Identifier: Apache-2.0
 *
 * Past the seal: logs and manifests that authenticate and are wrong, as only a defect of a writer, or someone
 * with the table's key, could make them. Each is told by an explicit error with file and offset; none is
 * believed in silence. Segments that lie are in verify_segment.c; here they take part in the random damage.
 *
 * NACRE_SEAL_ROUNDS: how many random images of a log, and of a segment; of a manifest a quarter (3,000).
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

static const char *log_name(size_t log) {
  static char name[NC_FILE_NAME_BYTES];
  nc_log_name_file(log + 1, name);
  return name;
}

/* Two logs: start, group of 2, group of 3, mark; start, group of 1, mark, group of 2. */
static void two_logs(void) {
  history_log(&h);
  history_start(&h, FIRST, SIZE_MAX);
  history_group(&h, FIRST, 2);
  history_group(&h, FIRST, 3);
  history_mark(&h, FIRST);
  history_log(&h);
  history_start(&h, SECOND, FIRST);
  history_group(&h, SECOND, 1);
  history_mark(&h, SECOND);
  history_group(&h, SECOND, 2);
}

static plain_file file; /* the log under change */
static void open_up(size_t log) { plain_load(&h.floor, log_name(log), &file); }

static void close_again(size_t log) {
  sealed_again again = plain_seal(&h.floor, log_name(log), &file);
  memcpy(h.names[log].dek_commitment, again.header.dek_commitment, NC_COMMITMENT_BYTES);
  plain_free(&file);
}

typedef void change(nc_log_record *record);

/* Decodes what a frame holds, lets it be changed, and encodes it again. */
static void change_record(size_t log, size_t frame, change *what) {
  nacre_error err;
  uint8_t bytes[8192];
  nc_log_record record;
  two_logs();
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
  cr_expect_not_null(strstr(h.err.file, log_name(log)), "%s", h.err.file);
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
  cr_expect_not_null(strstr(h.report.file, log_name(log)));
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
  two_logs();
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
  cr_expect_not_null(strstr(h.err.file, log_name(SECOND)));
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
  two_logs();
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
  two_logs();
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
  two_logs();
  open_up(FIRST);
  uint8_t longer[256] = {0};
  memcpy(longer, file.frames[3].bytes, file.frames[3].size);
  plain_set(&file.frames[3], longer, file.frames[3].size + 1);
  close_again(FIRST);
  refused(NC_E_LOG_RECORD_SHAPE, FIRST, 3, 5);
}

/* ---- manifests ----------------------------------------------------------------------------------------- */

/* A table of one segment and one log, cleanly closed; its manifest, opened up. */
typedef struct table_site {
  site s;
  nacre_store *store;
  nacre_table *t;
  floor_fixture view; /* the table's directory and keys, for reseal */
  char directory[PATH_BYTES], manifest[NC_FILE_NAME_BYTES], name[PATH_BYTES];
} table_site;
static table_site ts;

static void table_make(void) {
  site_make(&ts.s);
  site_fill(&ts.s);
  site_table_path(&ts.s, "table", ts.directory);
  only_file(ts.directory, ".man", ts.name);
  snprintf(ts.manifest, sizeof ts.manifest, "%s", strrchr(ts.name, '/') + 1);
  ts.t = site_table(&ts.s, &ts.store, "table"); /* for its keys; not written to */
  ts.view.shared.env = ts.t->shared->env;
  ts.view.keys = ts.t->keys.keys; /* nothing replaces them here */
  ts.view.dir = ts.t->dir;
  snprintf(ts.view.path, sizeof ts.view.path, "%s", ts.directory);
  plain_load(&ts.view, ts.manifest, &file);
}

/* Seals the manifest again, and a CURRENT that names it. */
static void table_seal(void) {
  nacre_error err;
  char path[PATH_BYTES];
  size_t size;
  sealed_again again = plain_seal(&ts.view, ts.manifest, &file);
  plain_free(&file);
  join(path, ts.directory, NC_CURRENT_NAME);
  uint8_t *bytes = file_load(path, &size);
  nc_current current;
  must(nc_current_decode(nc_slice(bytes, size), &current, &err));
  memcpy(current.manifest_commitment, again.header.dek_commitment, NC_COMMITMENT_BYTES);
  nc_current_encode(&current, bytes);
  must(nc_table_keys_current_mac(ts.view.keys, nc_table_keys_active(ts.view.keys),
                                 nc_slice(bytes, NC_CURRENT_MAC_OFFSET), bytes + NC_CURRENT_MAC_OFFSET,
                                 &err));
  file_store(path, bytes, size);
  free(bytes);
  ok(nacre_table_close(ts.t));
  ts.t = NULL;
}

static void table_done(void) {
  if (ts.t != NULL) ok(nacre_table_close(ts.t));
  ok(nacre_close(ts.store));
  site_remove(&ts.s);
  ts = (table_site){0};
}

/* Writes all edits anew, each record changed on the way. */
typedef void change_edit(nc_edit_record *record);
static void change_edits(change_edit *what) {
  nacre_error err;
  static uint8_t bytes[1 << 16];
  for (size_t i = 0; i < file.count; i++) {
    nc_edit_reader reader;
    nc_edit_record record;
    bool more;
    must(nc_edit_read_begin(&reader, nc_slice(file.frames[i].bytes, file.frames[i].size), &err));
    nc_writer w = nc_writer_over(bytes, sizeof bytes);
    nc_edit_begin(&w, reader.commit_sequence, reader.flags);
    for (;;) {
      must(nc_edit_read(&reader, &record, &more, &err));
      if (!more) break;
      what(&record);
      if (record.tag == NC_EDIT_STATE && record.state.next_file_number != UINT64_MAX)
        nc_edit_add_state(&w, &record.state);
      if (record.tag == NC_EDIT_SEGMENT_ADD) nc_edit_add_segment(&w, &record.segment);
      if (record.tag == NC_EDIT_SEGMENT_REMOVE) nc_edit_remove_segment(&w, record.number);
      if (record.tag == NC_EDIT_LOG_ADD) nc_edit_add_log(&w, &record.log);
      if (record.tag == NC_EDIT_LOG_DROP) nc_edit_drop_log(&w, record.number);
    }
    require(!w.failed);
    plain_set(&file.frames[i], bytes, w.size);
  }
}

static bool is_segment(const nc_edit_record *r) { return r->tag == NC_EDIT_SEGMENT_ADD; }
static bool is_log(const nc_edit_record *r) { return r->tag == NC_EDIT_LOG_ADD; }
static void changes_nothing(nc_edit_record *r) { (void)r; }
static void state_left_out(nc_edit_record *r) {
  if (r->tag == NC_EDIT_STATE) r->state.next_file_number = UINT64_MAX;
}
static void next_number_low(nc_edit_record *r) {
  if (r->tag == NC_EDIT_STATE) r->state.next_file_number = 2;
}
static void last_sequence_low(nc_edit_record *r) {
  if (is_segment(r)) r->segment.sequence_max = 4000;
}
static void last_sequence_high(nc_edit_record *r) {
  if (r->tag == NC_EDIT_STATE) r->state.last_sequence = NC_SEQUENCE_MAX + 1;
}
static void generation_high(nc_edit_record *r) {
  if (r->tag == NC_EDIT_STATE) r->state.key_file_generation += 1;
}
static void segment_absent(nc_edit_record *r) {
  if (is_segment(r)) r->segment.number += 100000;
  if (r->tag == NC_EDIT_STATE) r->state.next_file_number += 200000;
}
static void segment_number_0(nc_edit_record *r) {
  if (is_segment(r)) r->segment.number = 0;
}
static void segment_uuid(nc_edit_record *r) {
  if (is_segment(r)) r->segment.file.bytes[0] ^= 1;
}
static void segment_table(nc_edit_record *r) {
  if (is_segment(r)) r->segment.origin_table.bytes[0] ^= 1;
}
static void segment_size(nc_edit_record *r) {
  if (is_segment(r)) r->segment.size += 16;
}
static void segment_size_odd(nc_edit_record *r) {
  if (is_segment(r)) r->segment.size += 1;
}
static void segment_tag(nc_edit_record *r) {
  if (is_segment(r)) r->segment.last_tag[5] ^= 1;
}
static void segment_key(nc_edit_record *r) {
  if (is_segment(r)) r->segment.dek_commitment[5] ^= 1;
}
static void segment_range(nc_edit_record *r) {
  if (is_segment(r)) r->segment.smallest = text("zz");
}
static void segment_empty(nc_edit_record *r) {
  if (is_segment(r)) r->segment.entries = 0;
}
static void segment_entries(nc_edit_record *r) {
  if (is_segment(r)) r->segment.entries += 1;
}
static void segment_sequences(nc_edit_record *r) {
  if (is_segment(r)) r->segment.sequence_min = r->segment.sequence_max + 1;
}
static void segment_loaded(nc_edit_record *r) {
  if (!is_segment(r)) return;
  r->segment.flags = NC_SEGMENT_ONE_SEQUENCE;
  r->segment.sequence_min = r->segment.sequence_max;
}
static void log_absent(nc_edit_record *r) {
  if (is_log(r)) r->log.number += 100000;
  if (r->tag == NC_EDIT_LOG_DROP) r->number += 100000;
  if (r->tag == NC_EDIT_STATE) r->state.next_file_number += 200000;
}
static void log_uuid(nc_edit_record *r) {
  if (is_log(r)) r->log.file.bytes[0] ^= 1;
}
static void log_key(nc_edit_record *r) {
  if (is_log(r)) r->log.dek_commitment[0] ^= 1;
}

static void answers(nacre_status status, nc_error_id id, const char *call) {
  nacre_error err = {0};
  if (status != NACRE_OK) nacre_last_error(&err);
  cr_expect_eq(err.id, id, "%s: %u instead of %d: %s", call, err.id, (int)id, err.text);
}

/* Which error answers: at the open, or for what the segment holds at the first read or by verify. */
static void answered(change_edit *what, nc_error_id at_open, nc_error_id at_read) {
  table_make();
  change_edits(what);
  table_seal();
  nacre_table_open_options options = {.read_only = true};
  nacre_status status = nacre_table_open(ts.store, "table", &options, &ts.t);
  if (status != NACRE_OK) ts.t = NULL;
  answers(status, at_open, "open");
  if (status == NACRE_OK) answers(nacre_verify(ts.t, NULL, NULL), at_read, "verify");
  table_done();
}
Test(past_seal, a_manifest_sealed_again_as_it_was) { answered(changes_nothing, 0, 0); }
Test(past_seal, a_manifest_without_a_state) { answered(state_left_out, NC_E_MANIFEST_EDIT, 0); }
Test(past_seal, a_next_file_number_that_is_taken) { answered(next_number_low, NC_E_MANIFEST_EDIT, 0); }
Test(past_seal, a_segment_of_sequences_past_the_tables_last) {
  answered(last_sequence_low, NC_E_MANIFEST_EDIT, 0);
}
Test(past_seal, a_last_sequence_past_them_all) { answered(last_sequence_high, NC_E_EDIT_SHAPE, 0); }
Test(past_seal, a_key_file_generation_to_come) { answered(generation_high, NC_E_KEY_FILE_ROLLED_BACK, 0); }
Test(past_seal, a_segment_that_is_not_there) { answered(segment_absent, 0, NC_E_SEGMENT_MISSING); }
Test(past_seal, a_segment_of_number_0) { answered(segment_number_0, NC_E_EDIT_SHAPE, 0); }
Test(past_seal, a_segment_of_another_uuid) { answered(segment_uuid, 0, NC_E_FILE_IDENTITY); }
Test(past_seal, a_segment_of_another_table) { answered(segment_table, 0, NC_E_FILE_IDENTITY); }
Test(past_seal, a_segment_of_another_length) { answered(segment_size, 0, NC_E_FOOTER_LENGTH); }
Test(past_seal, a_segment_of_an_odd_length) { answered(segment_size_odd, NC_E_EDIT_SHAPE, 0); }
Test(past_seal, a_segment_of_another_tag) { answered(segment_tag, 0, NC_E_SEGMENT_REPLACED); }
Test(past_seal, a_segment_of_another_data_key) { answered(segment_key, 0, NC_E_FILE_IDENTITY); }
Test(past_seal, a_segment_whose_keys_end_before_they_begin) { answered(segment_range, NC_E_EDIT_SHAPE, 0); }
Test(past_seal, a_segment_without_entries) { answered(segment_empty, NC_E_EDIT_SHAPE, 0); }
Test(past_seal, a_segment_of_more_entries_than_it_holds) {
  answered(segment_entries, 0, NC_E_SEGMENT_PROPERTIES);
}
Test(past_seal, a_segment_whose_sequences_end_before_they_begin) {
  answered(segment_sequences, NC_E_EDIT_SHAPE, 0);
}
Test(past_seal, a_segment_that_is_called_loaded_and_bears_sequences) { /* [S6] */
  answered(segment_loaded, 0, NC_E_SEGMENT_PROPERTIES);
}
Test(past_seal, a_log_that_is_not_there) { answered(log_absent, NC_E_LOG_MISSING, 0); }
Test(past_seal, a_log_of_another_uuid) { answered(log_uuid, NC_E_FILE_IDENTITY, 0); }
Test(past_seal, a_log_of_another_data_key) { answered(log_key, NC_E_FILE_IDENTITY, 0); }

/* ---- at random ----------------------------------------------------------------------------------------- */

static void mutate_bytes(test_random *random, plain_frame *f, bool same_size) {
  static const uint8_t telling[] = {0, 1, 0x7F, 0x80, 0xFF};
  uint8_t bytes[20000];
  size_t size = f->size;
  require(size > 0 && size < sizeof bytes - 8);
  memcpy(bytes, f->bytes, size);
  size_t at = (size_t)test_random_below(random, size < 64 || test_random_chance(random, 2) ? size : 64);
  switch (test_random_below(random, same_size ? 3 : 6)) {
    case 0:
      bytes[at] ^= (uint8_t)(1U << test_random_below(random, 8));
      break;
    case 1:
      bytes[at] = telling[test_random_below(random, sizeof telling)];
      break;
    case 2:
      for (size_t i = at; i < size && i < at + 9; i++) bytes[i] = i == at + 8 ? 1 : 0xFF;
      break;
    case 3: /* one byte more */
      memmove(bytes + at + 1, bytes + at, size++ - at);
      break;
    case 4: /* one less */
      memmove(bytes + at, bytes + at + 1, --size - at);
      break;
    default:
      size = at;
      break;
  }
  plain_set(f, bytes, size);
}

static void mutate(test_random *random, plain_file *p, bool same_size) {
  for (uint64_t n = 1 + test_random_below(random, 2); n > 0; n--) {
    size_t i = (size_t)test_random_below(random, p->count), k = (size_t)test_random_below(random, p->count);
    plain_frame *f = &p->frames[i], kept = *f;
    uint64_t kind = test_random_below(random, 12);
    if (kind == 0) {
      p->frames[i] = p->frames[k];
      p->frames[k] = kept;
    } else if (kind == 1 && !same_size) {
      plain_set(f, p->frames[k].bytes, p->frames[k].size);
    } else if (kind == 2) {
      f->type = p->frames[k].type;
    } else if (kind == 3 && !same_size && p->count > 1) {
      free(kept.bytes);
      p->frames[i] = p->frames[--p->count];
    } else if (f->size > 0) {
      mutate_bytes(random, f, same_size);
    }
  }
}

static struct random_tally { uint64_t accepted, refused; } seen;

static void note(nacre_status status, const nacre_error *err) {
  bool told = status == NACRE_CORRUPT || status == NACRE_TAMPERED || status == NACRE_ROLLED_BACK;
  cr_assert(status == NACRE_OK || told, "%d: %s", (int)status, err->text);
  cr_assert(status == NACRE_OK || err->id != 0);
  seen.accepted += status == NACRE_OK;
  seen.refused += told;
}

static void say(const char *what) {
  fprintf(stderr, "past_seal: %s: %llu images, %llu refused, %llu accepted\n", what,
          (unsigned long long)(seen.refused + seen.accepted), (unsigned long long)seen.refused,
          (unsigned long long)seen.accepted);
}

static uint64_t rounds(void) { return test_env_number("NACRE_SEAL_ROUNDS", 3000); }

Test(past_seal, logs_at_random) {
  test_random random = {test_seed("past_seal logs", 0x5EA1)};
  plain_file pristine[2];
  two_logs();
  h.foreign = true;
  for (size_t log = 0; log < 2; log++) plain_load(&h.floor, log_name(log), &pristine[log]);
  for (uint64_t round = 0; round < rounds(); round++) {
    size_t log = (size_t)test_random_below(&random, 2);
    plain_copy(&pristine[log], &file);
    mutate(&random, &file, false);
    close_again(log);
    note(history_recover(&h, NACRE_RECOVERY_STRICT), &h.err);
    cr_assert(h.entries <= 8 || h.report.entries == h.entries);
    nacre_status to_damage = history_recover(&h, NACRE_RECOVERY_TO_DAMAGE);
    cr_assert(to_damage == NACRE_OK || to_damage == NACRE_ROLLED_BACK);
    plain_copy(&pristine[log], &file);
    close_again(log);
  }
  plain_free(&pristine[0]);
  plain_free(&pristine[1]);
  say("logs");
}

static void open_and_use(void) {
  nacre_table_open_options options = {.read_only = true};
  nacre_status status = nacre_table_open(ts.store, "table", &options, &ts.t);
  nacre_error err;
  nacre_last_error(&err);
  if (status == NACRE_OK) {
    status = nacre_verify(ts.t, NULL, NULL);
    nacre_last_error(&err);
    ok(nacre_table_close(ts.t));
  }
  ts.t = NULL;
  note(status, &err);
}

Test(past_seal, manifests_at_random) {
  test_random random = {test_seed("past_seal manifests", 0x5EA2)};
  plain_file pristine;
  char kept[PATH_BYTES], manifest[PATH_BYTES], current[PATH_BYTES], kept_current[PATH_BYTES];
  table_make();
  plain_copy(&file, &pristine);
  plain_free(&file);
  join(manifest, ts.directory, ts.manifest);
  join(current, ts.directory, NC_CURRENT_NAME);
  join(kept, ts.s.path, "kept");
  join(kept_current, ts.s.path, "kept.current");
  file_copy(manifest, kept);
  file_copy(current, kept_current);
  for (uint64_t round = 0; round < rounds() / 4; round++) {
    plain_copy(&pristine, &file);
    mutate(&random, &file, false);
    table_seal();
    open_and_use();
    file_copy(kept, manifest);
    file_copy(kept_current, current);
    ok(nacre_table_open(ts.store, "table", NULL, &ts.t));
    ts.view.keys = ts.t->keys.keys; /* nothing replaces them here */
    ts.view.dir = ts.t->dir;
  }
  plain_free(&pristine);
  table_done();
  say("manifests");
}

/* Reads all of a segment by every way there is. */
static void read_segment(nc_segment *s, nacre_error *err, nacre_status *ret_status) {
  static nacre_table table;
  table.shared = &h.floor.shared;
  nc_cursor *c = NULL;
  nacre_status status = nc_segment_cursor(s, true, &c, err);
  if (status == NACRE_OK) status = nc_cursor_first(c, err);
  for (uint64_t n = 0; status == NACRE_OK && c->valid; n++) {
    cr_assert_lt(n, 100000, "a cursor goes round and round");
    status = nc_cursor_next(c, err);
  }
  if (c != NULL) nc_cursor_close(c);
  nc_verifier v = {.table = &table};
  nacre_error found;
  nacre_status verified = nc_verify_segment(&v, s, &found);
  if (verified == NACRE_OK && v.report.fault_count > 0) {
    found = v.first;
    verified = found.status;
  }
  nacre_faults_free(v.report.faults);
  cr_assert(status == NACRE_OK || verified != NACRE_OK, "verify finds what a reader meets: %s", err->text);
  if (verified != NACRE_OK) *err = found;
  *ret_status = verified;
}

Test(past_seal, segments_at_random) {
  test_random random = {test_seed("past_seal segments", 0x5EA3)};
  nacre_error err;
  entry_list list = {0};
  nc_segment_record record;
  plain_file pristine;
  char name[NC_FILE_NAME_BYTES];
  list_random(&list, &random, 120, 80, 60);
  nc_segment_params params = segment_params(&h.floor);
  segment_write(&h.floor, &params, &list, &record);
  nc_segment_name(record.number, name);
  plain_load(&h.floor, name, &pristine);
  for (uint64_t round = 0; round < rounds(); round++) {
    plain_copy(&pristine, &file);
    mutate(&random, &file, !test_random_chance(&random, 4));
    sealed_again again = plain_seal(&h.floor, name, &file);
    plain_free(&file);
    nc_segment_record named = record;
    named.size = again.size;
    memcpy(named.last_tag, again.last_tag, NC_TAG_BYTES);
    memcpy(named.dek_commitment, again.header.dek_commitment, NC_COMMITMENT_BYTES);
    nc_segment *s = segment_of(&h.floor, &named);
    nacre_status status;
    read_segment(s, &err, &status);
    note(status, &err);
    nc_segment_unref(s);
  }
  plain_free(&pristine);
  list_free(&list);
  say("segments");
}
