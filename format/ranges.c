/* SPDX-License-Identifier: Apache-2.0
 *
 * ranges: a segment's range deletes as bytes (format/README.md, "Range deletes").
 */
#include "ranges.h"

void nc_ranges_write(nc_writer *w, nacre_slice from, nacre_slice to, const uint64_t *sequences,
                     size_t count) {
  nc_write_string(w, from);
  nc_write_string(w, to);
  nc_write_varint(w, count);
  for (size_t i = 0; i < count; i++) nc_write_varint(w, sequences[i]);
}

size_t nc_ranges_bound(nacre_slice from, nacre_slice to, size_t count) {
  return from.size + to.size + (3 + count) * NC_VARINT_BYTES_MAX;
}

void nc_ranges_read_begin(nc_ranges_reader *r, nacre_slice bytes) {
  *r = (nc_ranges_reader){.reader = nc_reader_over(bytes)};
}

/* `count` sequences, falling, each that of a write; false when they are not. [E1, P6] */
static bool read_sequences(nc_reader *r, uint64_t count, nacre_slice *ret_bytes) {
  size_t from = r->at;
  uint64_t last = NC_SEQUENCE_MAX + 1;
  if (count == 0 || count > nc_reader_left(r)) return false;
  for (uint64_t i = 0; i < count; i++) {
    uint64_t sequence = nc_read_varint(r);
    if (r->failed || sequence == 0 || sequence >= last) return false;
    last = sequence;
  }
  *ret_bytes = nc_slice(r->data + from, r->at - from);
  return true;
}

/* [E1, P5] */
static bool read_fragment(nc_ranges_reader *r, nc_ranges_fragment *f) {
  f->from = nc_read_string(&r->reader);
  f->to = nc_read_string(&r->reader);
  f->count = nc_read_varint(&r->reader);
  if (r->reader.failed || f->from.size > NACRE_KEY_BYTES_MAX || f->to.size > NACRE_KEY_BYTES_MAX)
    return false;
  if (nc_slice_compare(f->from, f->to) >= 0) return false;
  if (r->begun && nc_slice_compare(r->last_to, f->from) > 0) return false;
  return read_sequences(&r->reader, f->count, &f->sequences);
}

nacre_status nc_ranges_read(nc_ranges_reader *r, nc_ranges_fragment *ret_fragment, bool *ret_more,
                            nacre_error *err) {
  *ret_more = false;
  if (nc_reader_done(&r->reader)) return NACRE_OK;
  size_t at = r->reader.at;
  nc_ranges_fragment fragment = {0};
  if (!read_fragment(r, &fragment)) return nc_fail_at(err, NC_E_RANGES_SHAPE, at, NULL);
  r->last_to = fragment.to;
  r->begun = true;
  *ret_fragment = fragment;
  *ret_more = true;
  return NACRE_OK;
}

uint64_t nc_ranges_sequence(const nc_ranges_fragment *fragment, size_t *at) {
  const uint8_t *p = fragment->sequences.data;
  uint64_t sequence = 0;
  *at += nc_get_varint(p + *at, p + fragment->sequences.size, &sequence);
  return sequence;
}

nacre_status nc_ranges_check(nacre_slice bytes, uint64_t *ret_fragments, uint64_t *ret_sequences,
                             nacre_error *err) {
  nc_ranges_reader r;
  nc_ranges_fragment fragment;
  bool more = true;
  uint64_t fragments = 0, sequences = 0;
  nc_ranges_read_begin(&r, bytes);
  for (;;) {
    NC_TRY(nc_ranges_read(&r, &fragment, &more, err));
    if (!more) break;
    fragments++;
    sequences += fragment.count;
  }
  if (fragments == 0) return nc_fail_at(err, NC_E_RANGES_SHAPE, 0, "none"); /* [E1] */
  *ret_fragments = fragments;
  *ret_sequences = sequences;
  return NACRE_OK;
}
