/* SPDX-License-Identifier: Apache-2.0
 *
 * dump_segment: what the frames of a segment say: data and index blocks, filter, range deletes, properties,
 * footer.
 */
#include "block.h"
#include "dump.h"
#include "footer.h"
#include "index.h"
#include "ranges.h"

static void emit_handle(emit *e, const char *offset_name, const char *size_name, nc_handle handle) {
  tool_emit_number(e, offset_name, handle.offset);
  tool_emit_number(e, size_name, handle.size);
}

static nacre_status show_footer(dump *d, const walk *w, nacre_slice plaintext, nacre_error *err) {
  nc_footer f;
  NC_TRY(nc_footer_decode(plaintext, w->size, &f, err));
  tool_emit_number(&d->emit, "file_bytes", f.file_size);
  tool_emit_number(&d->emit, "frame_count", f.frame_count);
  emit_handle(&d->emit, "properties_offset", "properties_frame_bytes", f.properties);
  emit_handle(&d->emit, "index_root_offset", "index_root_frame_bytes", f.index_root);
  tool_emit_number(&d->emit, "index_levels", f.index_levels);
  tool_emit_number(&d->emit, "filter_frames", f.filter_frames);
  if (f.filter_frames > 0) tool_emit_number(&d->emit, "filter_offset", f.filter_offset);
  tool_emit_uuid(&d->emit, "manifest", &f.manifest);
  tool_emit_number(&d->emit, "manifest_sequence", f.manifest_sequence);
  return NACRE_OK;
}

static nacre_status show_properties(dump *d, nacre_slice plaintext, nacre_error *err) {
  nc_properties p;
  NC_TRY(nc_properties_decode(plaintext, &p, err));
  tool_emit_bytes(&d->emit, "smallest_key", p.smallest);
  tool_emit_bytes(&d->emit, "largest_key", p.largest);
  tool_emit_number(&d->emit, "sequence_min", p.sequence_min);
  tool_emit_number(&d->emit, "sequence_max", p.sequence_max);
  tool_emit_number(&d->emit, "entry_count", p.entries);
  tool_emit_number(&d->emit, "delete_count", p.deletes);
  tool_emit_number(&d->emit, "key_bytes", p.key_bytes);
  tool_emit_number(&d->emit, "value_bytes", p.value_bytes);
  tool_emit_number(&d->emit, "data_block_count", p.data_blocks);
  tool_emit_number(&d->emit, "filter_lines", p.filter_lines);
  tool_emit_number(&d->emit, "filter_probes", p.filter_probes);
  tool_emit_number(&d->emit, "created_unix_ms", p.created_ms);
  if (p.range_deletes == 0) return NACRE_OK;
  tool_emit_number(&d->emit, "range_delete_count", p.range_deletes);
  emit_handle(&d->emit, "ranges_offset", "ranges_frame_bytes", p.ranges);
  return NACRE_OK;
}

/* A fragment is shown once for each of its sequences, as the range deletes that it is part of. */
static nacre_status show_ranges(dump *d, nacre_slice plaintext, nacre_error *err) {
  uint64_t fragments, sequences;
  nc_ranges_reader r;
  nc_ranges_fragment f;
  bool more;
  NC_TRY(nc_ranges_check(plaintext, &fragments, &sequences, err));
  tool_emit_number(&d->emit, "fragment_count", fragments);
  tool_emit_number(&d->emit, "range_delete_count", sequences);
  if (!d->o->entries) return NACRE_OK;
  nc_ranges_read_begin(&r, plaintext);
  for (;;) {
    NC_TRY(nc_ranges_read(&r, &f, &more, err));
    if (!more) return NACRE_OK;
    nc_entry entry = {.key = f.from, .kind = NC_KIND_RANGE_DELETE, .value = f.to};
    size_t at = 0;
    for (uint64_t i = 0; i < f.count; i++) {
      entry.sequence = nc_ranges_sequence(&f, &at);
      tool_dump_entry(d, &entry);
    }
  }
}

static const char *method_name(nacre_slice packed) {
  switch (packed.size == 0 ? 255 : *(const uint8_t *)packed.data) {
    case NC_PACK_NONE:
      return "none";
    case NC_PACK_LZ4:
      return "lz4";
    case NC_PACK_ZSTD:
      return "zstd";
    default:
      return "unknown";
  }
}

static nacre_status unpack(dump *d, nacre_slice packed, nacre_slice *ret_raw, nacre_error *err) {
  size_t size = 0;
  NC_TRY(nc_unpack_size(packed, &size, NULL, err));
  tool_bytes_clear(&d->unpacked);
  tool_bytes_reserve(&d->unpacked, size);
  NC_TRY(nc_unpack(&d->workspace, packed, d->unpacked.data, size, err));
  d->unpacked.size = size;
  *ret_raw = tool_bytes_slice(&d->unpacked);
  return NACRE_OK;
}

static nacre_status show_index_entry(dump *d, const nc_entry *entry, nacre_error *err) {
  nc_handle handle;
  NC_TRY(nc_handle_decode(entry->value, &handle, err));
  tool_emit_begin(&d->emit, "handles");
  tool_emit_bytes(&d->emit, "last_key", entry->key);
  emit_handle(&d->emit, "offset", "frame_bytes", handle);
  tool_emit_end(&d->emit);
  return NACRE_OK;
}

/* Walks all of a block twice: what it holds goes before its entries. */
static nacre_status show_block(dump *d, uint8_t type, nacre_slice packed, nacre_error *err) {
  nacre_slice raw;
  nc_block block;
  nc_block_cursor c;
  uint64_t entries = 0;
  NC_TRY(unpack(d, packed, &raw, err));
  NC_TRY(nc_block_open(raw, &block, err));
  tool_bytes_clear(&d->key);
  tool_bytes_reserve(&d->key, (size_t)block.longest_key + 1);
  nc_block_cursor_init(&c, &block, d->key.data);
  NC_TRY(nc_block_first(&c, err));
  tool_emit_text(&d->emit, "packed", method_name(packed));
  tool_emit_number(&d->emit, "raw_bytes", raw.size);
  tool_emit_number(&d->emit, "restarts", block.restarts);
  if (c.valid) tool_emit_bytes(&d->emit, "first_key", c.entry.key);
  for (; c.valid; entries++) NC_TRY(nc_block_next(&c, err));
  tool_emit_number(&d->emit, type == NC_FRAME_INDEX ? "handle_count" : "entry_count", entries);
  NC_TRY(nc_block_last(&c, err));
  if (c.valid) tool_emit_bytes(&d->emit, "last_key", c.entry.key);
  if (type == NC_FRAME_DATA && !d->o->entries) return NACRE_OK;
  NC_TRY(nc_block_first(&c, err));
  while (c.valid) {
    if (type == NC_FRAME_INDEX) {
      NC_TRY(show_index_entry(d, &c.entry, err));
    } else {
      tool_dump_entry(d, &c.entry);
    }
    NC_TRY(nc_block_next(&c, err));
  }
  return NACRE_OK;
}

nacre_status tool_dump_segment(dump *d, const walk *w, uint8_t type, nacre_slice plaintext,
                               nacre_error *err) {
  if (type == NC_FRAME_FOOTER) return show_footer(d, w, plaintext, err);
  if (type == NC_FRAME_PROPERTIES) return show_properties(d, plaintext, err);
  if (type == NC_FRAME_DATA || type == NC_FRAME_INDEX) return show_block(d, type, plaintext, err);
  if (type == NC_FRAME_RANGES) return show_ranges(d, plaintext, err);
  if (type == NC_FRAME_FILTER) tool_emit_number(&d->emit, "lines", plaintext.size / 64);
  return NACRE_OK;
}
