/* SPDX-License-Identifier: Apache-2.0
 *
 * Past the seal: manifests that authenticate and are wrong. Each is told by an explicit error, at the open or by verify;
 * none is believed in silence.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "manifest_edit.h"
#include "resealed_table.h"

static plain_file file; /* the manifest under change */

TestSuite(past_seal, .timeout = 120);

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
      if (record.tag == NC_EDIT_VALUE_ADD && record.value.number != 0) nc_edit_add_value(&w, &record.value);
    }
    require(!w.failed);
    plain_set(&file.frames[i], bytes, w.size);
  }
}

static bool is_value(const nc_edit_record *r) { return r->tag == NC_EDIT_VALUE_ADD; }
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

static void value_left_out(nc_edit_record *r) {
  if (is_value(r)) r->value.number = 0;
}
static void value_of_another_number(nc_edit_record *r) {
  if (is_value(r)) r->value.number += 100000;
  if (r->tag == NC_EDIT_STATE) r->state.next_file_number += 200000;
}
static void value_uuid(nc_edit_record *r) {
  if (is_value(r)) r->value.file.bytes[0] ^= 1;
}
static void value_table(nc_edit_record *r) {
  if (is_value(r)) r->value.origin_table.bytes[0] ^= 1;
}
static void value_file_size(nc_edit_record *r) {
  if (is_value(r)) r->value.size += 16;
}
static void value_file_size_odd(nc_edit_record *r) {
  if (is_value(r)) r->value.size += 1;
}
static void value_tag(nc_edit_record *r) {
  if (is_value(r)) r->value.last_tag[0] ^= 1;
}
static void value_key(nc_edit_record *r) {
  if (is_value(r)) r->value.dek_commitment[0] ^= 1;
}
static void value_size(nc_edit_record *r) {
  if (is_value(r)) r->value.value_size -= 1;
}
static void value_of_nothing(nc_edit_record *r) {
  if (is_value(r)) r->value.value_size = 0;
}
static void value_beyond_the_limit(nc_edit_record *r) {
  if (is_value(r)) r->value.value_size = NACRE_VALUE_BYTES_MAX + 1;
}

static void answers(nacre_status status, nc_error_id id, const char *call) {
  nacre_error err = {0};
  if (status != NACRE_OK) nacre_last_error(&err);
  cr_expect_eq(err.id, id, "%s: %u instead of %d: %s", call, err.id, (int)id, err.text);
}

/* Which error answers: at the open, or for what the segment holds at the first read or by verify. */
static void answered_by(change_edit *what, nc_error_id at_open, nc_error_id at_read) {
  change_edits(what);
  resealed_seal(&file);
  nacre_table_open_options options = {.read_only = true};
  nacre_status status = nacre_table_open(resealed.store, "table", &options, &resealed.t);
  if (status != NACRE_OK) resealed.t = NULL;
  answers(status, at_open, "open");
  if (status == NACRE_OK) answers(nacre_verify(resealed.t, NULL, NULL), at_read, "verify");
  resealed_done();
}
static void answered(change_edit *what, nc_error_id at_open, nc_error_id at_read) {
  resealed_make(&file);
  answered_by(what, at_open, at_read);
}
static void answered_of_value(change_edit *what, nc_error_id at_open, nc_error_id at_read) {
  resealed_make_with_value(&file);
  answered_by(what, at_open, at_read);
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
Test(past_seal, a_manifest_with_a_value_sealed_again) { answered_of_value(changes_nothing, 0, 0); }
Test(past_seal, a_value_that_is_not_named) { answered_of_value(value_left_out, 0, NC_E_VALUE_UNNAMED); }
Test(past_seal, a_value_of_another_number) {
  answered_of_value(value_of_another_number, 0, NC_E_VALUE_UNNAMED);
}
Test(past_seal, a_value_of_another_uuid) { answered_of_value(value_uuid, 0, NC_E_VALUE_UNNAMED); }
Test(past_seal, a_value_of_another_table) { answered_of_value(value_table, 0, NC_E_VALUE_UNNAMED); }
Test(past_seal, a_value_file_of_another_length) { answered_of_value(value_file_size, 0, NC_E_VALUE_UNNAMED); }
Test(past_seal, a_value_file_of_an_odd_length) { answered_of_value(value_file_size_odd, NC_E_EDIT_SHAPE, 0); }
Test(past_seal, a_value_of_another_tag) { answered_of_value(value_tag, 0, NC_E_VALUE_UNNAMED); }
Test(past_seal, a_value_of_another_data_key) { answered_of_value(value_key, 0, NC_E_VALUE_UNNAMED); }
Test(past_seal, a_value_of_another_size) { answered_of_value(value_size, 0, NC_E_VALUE_UNNAMED); }
Test(past_seal, a_value_of_nothing) { answered_of_value(value_of_nothing, NC_E_EDIT_SHAPE, 0); }
Test(past_seal, a_value_beyond_the_limit) { answered_of_value(value_beyond_the_limit, NC_E_EDIT_SHAPE, 0); }
