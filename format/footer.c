/* SPDX-License-Identifier: Apache-2.0
 *
 * footer: the footer of a segment and its properties (format/README.md, "Segment").
 *
 *   offset size
 *        0    8  file size
 *        8    8  frame count
 *       16    8  properties: offset
 *       24    4  properties: size
 *       28    4  index levels (1 or 2)
 *       32    8  index root: offset
 *       40    4  index root: size
 *       44    4  filter frames (0: no filter)
 *       48    8  filter: offset of its first frame (0: no filter)
 *       56   16  manifest UUID
 *       72    8  manifest sequence
 *       80   16  zero
 */
#include "footer.h"

#include <assert.h>

#include "entry.h"
#include "frame.h"
#include "header.h"

enum { FOOTER_ZEROS = 8, FILTER_PROBES_MAX = 16, FRAMES_MIN = 3 /* properties, index root, footer */ };

void nc_footer_encode(const nc_footer *footer, uint8_t out[NC_FOOTER_BYTES]) {
  nc_writer w = nc_writer_over(out, NC_FOOTER_BYTES);
  nc_write_u64(&w, footer->file_size);
  nc_write_u64(&w, footer->frame_count);
  nc_write_u64(&w, footer->properties.offset);
  nc_write_u32(&w, footer->properties.size);
  nc_write_u32(&w, footer->index_levels);
  nc_write_u64(&w, footer->index_root.offset);
  nc_write_u32(&w, footer->index_root.size);
  nc_write_u32(&w, footer->filter_frames);
  nc_write_u64(&w, footer->filter_offset);
  nc_write_bytes(&w, footer->manifest.bytes, NC_UUID_BYTES);
  nc_write_u64(&w, footer->manifest_sequence);
  nc_write_u64(&w, footer->load);
  nc_write_zeros(&w, FOOTER_ZEROS);
  assert(!w.failed && w.size == NC_FOOTER_BYTES);
}

static bool counts_sound(const nc_footer *f, uint64_t frames_end) {
  if (f->index_levels < 1 || f->index_levels > 2) return false;
  if (f->frame_count < FRAMES_MIN || f->frame_count - FRAMES_MIN < f->filter_frames) return false;
  if (f->frame_count > f->file_size / (NC_FRAME_HEADER_BYTES + NC_FRAME_TAG_BYTES)) return false;
  if (f->filter_frames == 0) return f->filter_offset == 0;
  return f->filter_offset % NC_FRAME_ALIGN == 0 && f->filter_offset >= NC_FRAMES_OFFSET &&
         f->filter_offset < frames_end;
}

nacre_status nc_footer_decode(nacre_slice bytes, uint64_t file_size, nc_footer *ret_footer,
                              nacre_error *err) {
  if (bytes.size != NC_FOOTER_BYTES) return nc_fail(err, NC_E_FOOTER_SHAPE, "%zu bytes", bytes.size);
  nc_reader r = nc_reader_over(bytes);
  nc_footer f = {0};
  f.file_size = nc_read_u64(&r);
  f.frame_count = nc_read_u64(&r);
  f.properties.offset = nc_read_u64(&r);
  f.properties.size = nc_read_u32(&r);
  f.index_levels = nc_read_u32(&r);
  f.index_root.offset = nc_read_u64(&r);
  f.index_root.size = nc_read_u32(&r);
  f.filter_frames = nc_read_u32(&r);
  f.filter_offset = nc_read_u64(&r);
  nc_read_copy(&r, f.manifest.bytes, NC_UUID_BYTES);
  f.manifest_sequence = nc_read_u64(&r);
  f.load = nc_read_u64(&r);
  bool zeros = nc_read_zeros(&r, FOOTER_ZEROS);

  uint64_t own_size = nc_frame_size(NC_FOOTER_BYTES);
  if (f.file_size != file_size) /* [S2] */
    return nc_fail(err, NC_E_FOOTER_LENGTH, "%llu bytes, not %llu", (unsigned long long)file_size,
                   (unsigned long long)f.file_size);
  if (!zeros || file_size < NC_FRAMES_OFFSET + own_size || !counts_sound(&f, file_size - own_size)) /* [S1] */
    return nc_fail(err, NC_E_FOOTER_SHAPE, NULL);
  NC_TRY(nc_handle_check(f.properties, file_size - own_size, err));
  NC_TRY(nc_handle_check(f.index_root, file_size - own_size, err));
  *ret_footer = f;
  return NACRE_OK;
}

size_t nc_properties_encode(const nc_properties *p, void *out, size_t capacity) {
  nc_writer w = nc_writer_over(out, capacity);
  nc_write_string(&w, p->smallest);
  nc_write_string(&w, p->largest);
  nc_write_varint(&w, p->sequence_min);
  nc_write_varint(&w, p->sequence_max);
  nc_write_varint(&w, p->entries);
  nc_write_varint(&w, p->deletes);
  nc_write_varint(&w, p->key_bytes);
  nc_write_varint(&w, p->value_bytes);
  nc_write_varint(&w, p->data_blocks);
  nc_write_varint(&w, p->filter_lines);
  nc_write_u64(&w, p->filter_seed);
  nc_write_u8(&w, (uint8_t)p->filter_probes);
  nc_write_u64(&w, p->created_ms);
  if (p->range_deletes != 0) {
    uint8_t handle[NC_HANDLE_VARINT_BYTES_MAX];
    nc_write_varint(&w, p->range_deletes);
    nc_write_bytes(&w, handle, nc_handle_encode(p->ranges, handle));
  }
  return w.failed ? 0 : w.size;
}

static bool properties_sound(const nc_properties *p) { /* [S3, P5, P6] */
  bool keys = p->smallest.size <= NACRE_KEY_BYTES_MAX && p->largest.size <= NACRE_KEY_BYTES_MAX &&
              nc_slice_compare(p->smallest, p->largest) <= 0;
  bool sequences = p->sequence_min <= p->sequence_max && p->sequence_max <= NC_SEQUENCE_MAX &&
                   (p->sequence_min >= 1 || (p->deletes == 0 && p->range_deletes == 0));
  bool counts = p->entries + p->range_deletes >= 1 && p->deletes <= p->entries &&
                (p->data_blocks == 0) == (p->entries == 0) && p->data_blocks <= p->entries;
  bool filter = p->filter_lines == 0 ? p->filter_probes == 0
                                     : p->filter_probes >= 1 && p->filter_probes <= FILTER_PROBES_MAX;
  return keys && sequences && counts && filter;
}

/* Left out when there are none. Whether the handle lies within the file is for whoever follows it to check. */
static bool read_ranges(nc_reader *r, nc_properties *p) {
  if (nc_reader_done(r)) return true;
  p->range_deletes = nc_read_varint(r);
  nacre_slice handle = nc_read_bytes(r, nc_reader_left(r));
  return !r->failed && p->range_deletes != 0 && p->range_deletes <= NC_FRAME_BYTES_MAX &&
         nc_handle_decode(handle, &p->ranges, NULL) == NACRE_OK;
}

nacre_status nc_properties_decode(nacre_slice bytes, nc_properties *ret_properties, nacre_error *err) {
  nc_reader r = nc_reader_over(bytes);
  nc_properties p = {0};
  p.smallest = nc_read_string(&r);
  p.largest = nc_read_string(&r);
  p.sequence_min = nc_read_varint(&r);
  p.sequence_max = nc_read_varint(&r);
  p.entries = nc_read_varint(&r);
  p.deletes = nc_read_varint(&r);
  p.key_bytes = nc_read_varint(&r);
  p.value_bytes = nc_read_varint(&r);
  p.data_blocks = nc_read_varint(&r);
  p.filter_lines = nc_read_varint(&r);
  p.filter_seed = nc_read_u64(&r);
  p.filter_probes = nc_read_u8(&r);
  p.created_ms = nc_read_u64(&r);
  if (!read_ranges(&r, &p) || !nc_reader_done(&r) || !properties_sound(&p))
    return nc_fail(err, NC_E_PROPERTIES_SHAPE, NULL);
  *ret_properties = p;
  return NACRE_OK;
}
