/* SPDX-License-Identifier: Apache-2.0
 *
 * manifest_edit: one commit of a table's manifest, as bytes (format/README.md, "Manifest").
 */
#include "manifest_edit.h"

#include "entry.h"
#include "frame.h"

enum { FLAGS_KNOWN = NC_EDIT_SNAPSHOT | NC_EDIT_SNAPSHOT_END };

/* ---- encoding ------------------------------------------------------------------------------------------ */

void nc_edit_begin(nc_writer *w, uint64_t commit_sequence, uint8_t flags) {
  nc_write_varint(w, commit_sequence);
  nc_write_u8(w, flags);
}

/* Returns where the record's fields begin; end_record then puts their size before them. */
static size_t begin_record(nc_writer *w, nc_edit_tag tag) {
  nc_write_u8(w, (uint8_t)tag);
  return w->size;
}

static void end_record(nc_writer *w, size_t fields) {
  size_t size = w->size - fields, size_bytes = nc_varint_size(size);
  nc_write_zeros(w, size_bytes); /* room */
  if (w->failed) return;
  memmove(w->data + fields + size_bytes, w->data + fields, size);
  (void)nc_put_varint(w->data + fields, size);
}

void nc_edit_add_state(nc_writer *w, const nc_table_state *state) {
  size_t fields = begin_record(w, NC_EDIT_STATE);
  nc_write_varint(w, state->next_file_number);
  nc_write_varint(w, state->last_sequence);
  nc_write_varint(w, state->key_file_generation);
  end_record(w, fields);
}

void nc_edit_add_segment(nc_writer *w, const nc_segment_record *segment) {
  size_t fields = begin_record(w, NC_EDIT_SEGMENT_ADD);
  nc_write_varint(w, segment->number);
  nc_write_bytes(w, segment->file.bytes, NC_UUID_BYTES);
  nc_write_bytes(w, segment->origin_table.bytes, NC_UUID_BYTES);
  nc_write_varint(w, segment->size);
  nc_write_bytes(w, segment->last_tag, NC_TAG_BYTES);
  nc_write_bytes(w, segment->dek_commitment, NC_COMMITMENT_BYTES);
  nc_write_varint(w, segment->run);
  nc_write_varint(w, segment->level);
  nc_write_varint(w, segment->sequence_min);
  nc_write_varint(w, segment->sequence_max);
  nc_write_varint(w, segment->entries);
  nc_write_string(w, segment->smallest);
  nc_write_string(w, segment->largest);
  if (segment->flags != 0) nc_write_varint(w, segment->flags);
  if ((segment->flags & NC_SEGMENT_EXPIRES) != 0) {
    nc_write_varint(w, segment->half_expired_ms);
    nc_write_varint(w, segment->all_expired_ms);
  }
  end_record(w, fields);
}

static void write_number_record(nc_writer *w, nc_edit_tag tag, uint64_t number) {
  size_t fields = begin_record(w, tag);
  nc_write_varint(w, number);
  end_record(w, fields);
}

void nc_edit_remove_segment(nc_writer *w, uint64_t number) {
  write_number_record(w, NC_EDIT_SEGMENT_REMOVE, number);
}

void nc_edit_add_log(nc_writer *w, const nc_log_name *log) {
  size_t fields = begin_record(w, NC_EDIT_LOG_ADD);
  nc_write_varint(w, log->number);
  nc_write_bytes(w, log->file.bytes, NC_UUID_BYTES);
  nc_write_bytes(w, log->dek_commitment, NC_COMMITMENT_BYTES);
  end_record(w, fields);
}

void nc_edit_drop_log(nc_writer *w, uint64_t number) { write_number_record(w, NC_EDIT_LOG_DROP, number); }

void nc_edit_add_value(nc_writer *w, const nc_value_name *value) {
  size_t fields = begin_record(w, NC_EDIT_VALUE_ADD);
  nc_write_value_name(w, value);
  end_record(w, fields);
}

void nc_edit_remove_value(nc_writer *w, uint64_t number) {
  write_number_record(w, NC_EDIT_VALUE_REMOVE, number);
}

/* ---- decoding ------------------------------------------------------------------------------------------ */

nacre_status nc_edit_read_begin(nc_edit_reader *r, nacre_slice bytes, nacre_error *err) {
  nc_edit_reader begun = {.reader = nc_reader_over(bytes)};
  begun.commit_sequence = nc_read_varint(&begun.reader);
  begun.flags = nc_read_u8(&begun.reader);
  bool flags_sound = (begun.flags & ~FLAGS_KNOWN) == 0 && begun.flags != NC_EDIT_SNAPSHOT_END;
  if (begun.reader.failed || begun.commit_sequence == 0 || !flags_sound) /* [M1] */
    return nc_fail_at(err, NC_E_EDIT_SHAPE, 0, NULL);
  *r = begun;
  return NACRE_OK;
}

static bool read_state(nc_reader *r, nc_table_state *state) {
  state->next_file_number = nc_read_varint(r);
  state->last_sequence = nc_read_varint(r);
  state->key_file_generation = nc_read_varint(r);
  return state->last_sequence <= NC_SEQUENCE_MAX;
}

static bool segment_sound(const nc_segment_record *s) {
  bool file = s->number != 0 && s->size > NC_FRAMES_OFFSET && s->size <= NC_FILE_BYTES_MAX &&
              s->size % NC_FRAME_ALIGN == 0;
  bool sequences =
      s->sequence_min >= 1 && s->sequence_min <= s->sequence_max && s->sequence_max <= NC_SEQUENCE_MAX;
  bool keys = s->smallest.size <= NACRE_KEY_BYTES_MAX && s->largest.size <= NACRE_KEY_BYTES_MAX &&
              nc_slice_compare(s->smallest, s->largest) <= 0;
  bool excluded = (s->flags & NC_SEGMENT_LARGEST_EXCLUDED) != 0;
  bool ranges =
      !excluded || ((s->flags & NC_SEGMENT_HOLDS_RANGES) != 0 && !nc_slice_equal(s->smallest, s->largest));
  bool one = (s->flags & NC_SEGMENT_ONE_SEQUENCE) == 0 ||
             (s->sequence_min == s->sequence_max && (s->flags & NC_SEGMENT_HOLDS_RANGES) == 0);
  return file && sequences && keys && ranges && one && s->entries != 0;
}

/* Half of the entries expire before all puts have. */
static bool read_moments(nc_reader *r, nc_segment_record *s) {
  if ((s->flags & NC_SEGMENT_EXPIRES) == 0) return true;
  s->half_expired_ms = nc_read_varint(r);
  s->all_expired_ms = nc_read_varint(r);
  return s->all_expired_ms == 0 ? s->half_expired_ms != 0 : s->half_expired_ms <= s->all_expired_ms;
}

/* Left out when no flag is set. */
static bool read_flags(nc_reader *r, nc_segment_record *s) {
  if (nc_reader_done(r)) return true;
  uint64_t flags = nc_read_varint(r);
  s->flags = (uint32_t)flags;
  bool many = (flags & NC_SEGMENT_MANY_DELETES) != 0, some = (flags & NC_SEGMENT_HOLDS_DELETES) != 0;
  return flags != 0 && (some || !many) && (flags & ~(uint64_t)NC_SEGMENT_FLAGS_KNOWN) == 0;
}

static bool read_segment(nc_reader *r, nc_segment_record *s) {
  s->number = nc_read_varint(r);
  nc_read_copy(r, s->file.bytes, NC_UUID_BYTES);
  nc_read_copy(r, s->origin_table.bytes, NC_UUID_BYTES);
  s->size = nc_read_varint(r);
  nc_read_copy(r, s->last_tag, NC_TAG_BYTES);
  nc_read_copy(r, s->dek_commitment, NC_COMMITMENT_BYTES);
  s->run = nc_read_varint(r);
  uint64_t level = nc_read_varint(r);
  s->level = (uint32_t)level;
  s->sequence_min = nc_read_varint(r);
  s->sequence_max = nc_read_varint(r);
  s->entries = nc_read_varint(r);
  s->smallest = nc_read_string(r);
  s->largest = nc_read_string(r);
  return read_flags(r, s) && read_moments(r, s) && level <= UINT32_MAX && segment_sound(s);
}

static bool read_log(nc_reader *r, nc_log_name *log) {
  log->number = nc_read_varint(r);
  nc_read_copy(r, log->file.bytes, NC_UUID_BYTES);
  nc_read_copy(r, log->dek_commitment, NC_COMMITMENT_BYTES);
  return log->number != 0;
}

static bool read_number(nc_reader *r, uint64_t *number) {
  *number = nc_read_varint(r);
  return *number != 0;
}

/* False when the fields are out of range; a shortage of bytes shows in the reader. */
static bool read_fields(nc_reader *r, nc_edit_record *record) {
  switch (record->tag) {
    case NC_EDIT_STATE:
      return read_state(r, &record->state);
    case NC_EDIT_SEGMENT_ADD:
      return read_segment(r, &record->segment);
    case NC_EDIT_LOG_ADD:
      return read_log(r, &record->log);
    case NC_EDIT_VALUE_ADD:
      return nc_read_value_name(r, &record->value);
    case NC_EDIT_SEGMENT_REMOVE:
    case NC_EDIT_LOG_DROP:
    case NC_EDIT_VALUE_REMOVE:
      return read_number(r, &record->number);
  }
  return false;
}

nacre_status nc_edit_read(nc_edit_reader *r, nc_edit_record *ret_record, bool *ret_more, nacre_error *err) {
  *ret_more = false;
  if (nc_reader_done(&r->reader)) return NACRE_OK;
  size_t at = r->reader.at;
  uint8_t tag = nc_read_u8(&r->reader);
  nacre_slice bytes = nc_read_string(&r->reader);
  if (r->reader.failed) return nc_fail_at(err, NC_E_EDIT_SHAPE, at, NULL);
  /* [M2] */
  if (tag < NC_EDIT_STATE || tag > NC_EDIT_VALUE_REMOVE) return nc_fail_at(err, NC_E_EDIT_TAG, at, "tag %u", tag);
  nc_edit_record record = {.tag = (nc_edit_tag)tag};
  nc_reader fields = nc_reader_over(bytes);
  if (!read_fields(&fields, &record) || !nc_reader_done(&fields)) /* [M1, P3] */
    return nc_fail_at(err, NC_E_EDIT_SHAPE, at, "tag %u", tag);
  *ret_record = record;
  *ret_more = true;
  return NACRE_OK;
}
