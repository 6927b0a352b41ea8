/* SPDX-License-Identifier: Apache-2.0
 *
 * dump_value: the frames of a large value's file; see dump.h.
 */
#include "dump.h"
#include "value_file.h"

void tool_emit_value_name(emit *e, const nc_value_name *name) {
  tool_emit_number(e, "number", name->number);
  tool_emit_uuid(e, "file", &name->file);
  tool_emit_uuid(e, "origin_table", &name->origin_table);
  tool_emit_number(e, "file_bytes", name->size);
  tool_emit_number(e, "value_bytes", name->value_size);
}

static nacre_status show_part(dump *d, nacre_slice plaintext, nacre_error *err) {
  nc_reader r = nc_reader_over(plaintext);
  uint32_t number = nc_read_u32(&r);
  nacre_slice packed = nc_read_bytes(&r, nc_reader_left(&r));
  size_t size;
  if (r.failed) return nc_fail(err, NC_E_VALUE_PART, NULL);
  NC_TRY(nc_unpack_size(packed, &size, NULL, err));
  tool_emit_number(&d->emit, "part", number);
  tool_emit_number(&d->emit, "value_bytes", size);
  if (!d->o->entries) return NACRE_OK;
  tool_bytes_clear(&d->unpacked);
  tool_bytes_reserve(&d->unpacked, size);
  NC_TRY(nc_unpack(&d->workspace, packed, d->unpacked.data, size, err));
  d->unpacked.size = size;
  tool_emit_bytes(&d->emit, "value", tool_bytes_slice(&d->unpacked));
  return NACRE_OK;
}

static nacre_status show_end(dump *d, const walk *w, nacre_slice plaintext, nacre_error *err) {
  nc_value_end end;
  NC_TRY(nc_value_end_decode(plaintext, w->size, &end, err));
  tool_emit_number(&d->emit, "file_bytes", end.file_size);
  tool_emit_number(&d->emit, "value_bytes", end.value_size);
  tool_emit_number(&d->emit, "frame_count", end.frame_count);
  tool_emit_number(&d->emit, "part_bytes", end.part_bytes);
  tool_emit_uuid(&d->emit, "manifest", &end.manifest);
  tool_emit_number(&d->emit, "manifest_sequence", end.manifest_sequence);
  return NACRE_OK;
}

nacre_status tool_dump_value(dump *d, const walk *w, uint8_t type, nacre_slice plaintext, nacre_error *err) {
  return type == NC_FRAME_VALUE_PART ? show_part(d, plaintext, err) : show_end(d, w, plaintext, err);
}
