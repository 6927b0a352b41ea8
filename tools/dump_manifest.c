/* SPDX-License-Identifier: Apache-2.0
 *
 * dump_manifest: what the commits of a manifest say.
 */
#include "dump.h"
#include "manifest_edit.h"

static void show_segment(emit *e, const nc_segment_record *s) {
  tool_emit_text(e, "edit", "add segment");
  tool_emit_number(e, "number", s->number);
  tool_emit_uuid(e, "file", &s->file);
  tool_emit_uuid(e, "origin_table", &s->origin_table);
  tool_emit_number(e, "file_bytes", s->size);
  tool_emit_number(e, "run", s->run);
  tool_emit_number(e, "level", s->level);
  tool_emit_number(e, "sequence_min", s->sequence_min);
  tool_emit_number(e, "sequence_max", s->sequence_max);
  tool_emit_number(e, "entry_count", s->entries);
  tool_emit_bytes(e, "smallest_key", s->smallest);
  tool_emit_bytes(e, "largest_key", s->largest);
  if (s->half_expired_ms != 0) tool_emit_number(e, "half_expired_ms", s->half_expired_ms);
  if (s->all_expired_ms != 0) tool_emit_number(e, "all_expired_ms", s->all_expired_ms);
  if ((s->flags & NC_SEGMENT_ONE_SEQUENCE) != 0) tool_emit_text(e, "entries", "all of this sequence");
}

static void show_record(emit *e, const nc_edit_record *record) {
  tool_emit_begin(e, "edits");
  switch (record->tag) {
    case NC_EDIT_STATE:
      tool_emit_text(e, "edit", "state");
      tool_emit_number(e, "next_file_number", record->state.next_file_number);
      tool_emit_number(e, "last_sequence", record->state.last_sequence);
      tool_emit_number(e, "key_file_generation", record->state.key_file_generation);
      break;
    case NC_EDIT_SEGMENT_ADD:
      show_segment(e, &record->segment);
      break;
    case NC_EDIT_SEGMENT_REMOVE:
      tool_emit_text(e, "edit", "remove segment");
      tool_emit_number(e, "number", record->number);
      break;
    case NC_EDIT_LOG_ADD:
      tool_emit_text(e, "edit", "add log");
      tool_emit_number(e, "number", record->log.number);
      tool_emit_uuid(e, "file", &record->log.file);
      break;
    case NC_EDIT_LOG_DROP:
      tool_emit_text(e, "edit", "drop log");
      tool_emit_number(e, "number", record->number);
      break;
    case NC_EDIT_VALUE_ADD:
      tool_emit_text(e, "edit", "add value");
      tool_emit_value_name(e, &record->value);
      break;
    case NC_EDIT_VALUE_REMOVE:
      tool_emit_text(e, "edit", "remove value");
      tool_emit_number(e, "number", record->number);
      break;
  }
  tool_emit_end(e);
}

nacre_status tool_dump_manifest(dump *d, nacre_slice plaintext, nacre_error *err) {
  nc_edit_reader r;
  nc_edit_record record;
  bool more = true;
  NC_TRY(nc_edit_read_begin(&r, plaintext, err));
  tool_emit_number(&d->emit, "commit_sequence", r.commit_sequence);
  bool snapshot = (r.flags & NC_EDIT_SNAPSHOT) != 0, end = (r.flags & NC_EDIT_SNAPSHOT_END) != 0;
  if (snapshot) tool_emit_text(&d->emit, "snapshot", end ? "last part" : "part");
  for (;;) {
    NC_TRY(nc_edit_read(&r, &record, &more, err));
    if (!more) return NACRE_OK;
    show_record(&d->emit, &record);
  }
}
