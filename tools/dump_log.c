/* SPDX-License-Identifier: Apache-2.0
 *
 * dump_log: what the frames of a commit log say.
 */
#include "batch.h"
#include "dump.h"
#include "log_record.h"

static nacre_status show_operations(dump *d, const nc_log_record *record, nacre_error *err) {
  nc_batch_reader r;
  nc_entry entry;
  bool more = true;
  NC_TRY(nc_batch_check(record->operations, record->count, err));
  nc_batch_read_begin(&r, record->operations);
  for (uint64_t sequence = record->first_sequence;; sequence++) {
    NC_TRY(nc_batch_read(&r, &entry, &more, err));
    if (!more) return NACRE_OK;
    entry.sequence = sequence;
    tool_dump_entry(d, &entry);
  }
}

nacre_status tool_dump_log(dump *d, uint8_t type, nacre_slice plaintext, nacre_error *err) {
  nc_log_record record;
  NC_TRY(nc_log_record_decode(plaintext, type, &record, err));
  if (type == NC_FRAME_LOG_GROUP) {
    tool_emit_number(&d->emit, "first_sequence", record.first_sequence);
    tool_emit_number(&d->emit, "operation_count", record.count);
  } else {
    tool_emit_number(&d->emit, "next_sequence", record.first_sequence);
  }
  tool_emit_number(&d->emit, "synced_log", record.synced.number);
  tool_emit_number(&d->emit, "synced_offset", record.synced.offset);
  if (type != NC_FRAME_LOG_GROUP) {
    tool_emit_uuid(&d->emit, "manifest", &record.manifest);
    tool_emit_number(&d->emit, "manifest_sequence", record.manifest_sequence);
  }
  if (type == NC_FRAME_LOG_START && record.predecessor.present) {
    tool_emit_uuid(&d->emit, "predecessor", &record.predecessor.file);
    tool_emit_number(&d->emit, "predecessor_number", record.predecessor.number);
    tool_emit_number(&d->emit, "predecessor_end", record.predecessor.end);
    tool_emit_number(&d->emit, "predecessor_last_sequence", record.predecessor.last_sequence);
  }
  return type == NC_FRAME_LOG_GROUP && d->o->entries ? show_operations(d, &record, err) : NACRE_OK;
}
