/* SPDX-License-Identifier: Apache-2.0
 *
 * segment_open: the file of a segment: that it is the one that was named, and what of it stays in memory while it
 * is open: footer, properties, the root of the index, and the filter if it is small.
 */
#include <stdio.h>
#include <stdlib.h>

#include "filter.h"
#include "frame.h"
#include "private_memory.h"
#include "segment_file.h"
#include "segment_writer.h"

nacre_status nc_segment_open_file(nc_segment *s, nc_sealed_reader **ret_reader, nacre_error *err) {
  char name[NC_FILE_NAME_BYTES];
  nc_segment_name(s->record.number, name);
  nc_sealed_expect expect = {.type = NC_FILE_SEGMENT,
                             .origin_table = &s->record.origin_table,
                             .file = &s->record.file,
                             .number = s->record.number,
                             .epoch_max = s->epoch_max,
                             .dek_commitment = s->record.dek_commitment};
  nacre_status status =
      nc_sealed_reader_open_under(s->home->dir, name, s->home->keys, &expect, ret_reader, err);
  if (status == NACRE_NOT_FOUND) {
    char label[NC_DIR_LABEL_BYTES + NC_FILE_NAME_BYTES];
    snprintf(label, sizeof label, "%s/%s", s->home->dir->label, name);
    return nc_fail_in(err, nc_fail(err, NC_E_SEGMENT_MISSING, NULL), label, 0); /* [M8] */
  }
  return status;
}

static nacre_status load_footer(nc_segment *s, nc_segment_file *f, nacre_error *err) {
  const char *label = nc_sealed_reader_label(f->reader);
  uint64_t size = nc_sealed_reader_size(f->reader);
  if (size != s->record.size) { /* [S2] */
    nacre_status status = nc_fail(err, NC_E_FOOTER_LENGTH, "%llu bytes instead of %llu",
                                  (unsigned long long)size, (unsigned long long)s->record.size);
    return nc_fail_in(err, status, label, 0);
  }
  uint8_t frame[NC_FOOTER_BYTES + 64];
  nc_handle handle = {size - nc_frame_size(NC_FOOTER_BYTES), (uint32_t)nc_frame_size(NC_FOOTER_BYTES)};
  _Static_assert(NC_FOOTER_BYTES + 64 >= NC_FRAME_HEADER_BYTES + NC_FOOTER_BYTES + NC_FRAME_TAG_BYTES + 15,
                 "footer");
  uint8_t tag[NC_TAG_BYTES];
  nacre_slice plaintext;
  NC_TRY(nc_sealed_reader_frame(f->reader, handle, NC_FRAME_FOOTER, frame, &plaintext, tag, err));
  if (memcmp(tag, s->record.last_tag, sizeof tag) != 0) {
    return nc_fail_in(err, nc_fail(err, NC_E_SEGMENT_REPLACED, NULL), label, 0); /* [M8] */
  }
  return nc_fail_in(err, nc_footer_decode(plaintext, size, &f->footer, err), label, handle.offset);
}

static nacre_status load_properties(nc_segment *s, nc_segment_file *f, nacre_error *err) {
  nc_handle handle = f->footer.properties;
  f->properties_bytes = nc_heap_alloc(s->home->shared->env->heap, handle.size);
  if (f->properties_bytes == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  f->properties_size = handle.size;
  nacre_slice plaintext;
  NC_TRY(nc_sealed_reader_frame(f->reader, handle, NC_FRAME_PROPERTIES, f->properties_bytes, &plaintext, NULL,
                                err));
  nacre_status status = nc_properties_decode(plaintext, &f->properties, err);
  bool bears_none = status == NACRE_OK && f->properties.sequence_min == 0;
  uint64_t loaded = nc_segment_one_sequence(&s->record),
           told = nc_sealed_reader_header(f->reader)->load_sequence;
  if (status == NACRE_OK && bears_none != (loaded != 0)) /* [S6] */
    status = nc_fail(err, NC_E_SEGMENT_PROPERTIES, "whether its entries bear sequences");
  if (status == NACRE_OK &&
      ((told != 0 && told != loaded) || (f->footer.load != 0 && loaded == 0))) /* [S7] */
    status = nc_fail(err, NC_E_SEGMENT_PROPERTIES, "the sequence of its load");
  return nc_fail_in(err, status, nc_sealed_reader_label(f->reader), handle.offset);
}

/* ---- filter -------------------------------------------------------------------------------------------- */

static nacre_status filter_misfit(const nc_segment_file *f, nacre_error *err) {
  return nc_fail_in(err, nc_fail_at(err, NC_E_SEGMENT_FILTER, f->footer.filter_offset, NULL),
                    nc_sealed_reader_label(f->reader), 0);
}

/* All frames but the last are of one size. */
nc_handle nc_segment_filter_handle(const nc_segment_file *f, uint32_t i) {
  uint64_t lines = f->properties.filter_lines;
  uint64_t before = nc_frame_size((size_t)NC_FILTER_FRAME_LINES * NC_FILTER_LINE_BYTES);
  size_t piece = (size_t)nc_filter_frame_lines(lines, i) * NC_FILTER_LINE_BYTES;
  return (nc_handle){f->footer.filter_offset + i * before, (uint32_t)nc_frame_size(piece)};
}

static nacre_status open_filter_frame(nc_segment_file *f, uint32_t i, uint8_t *buffer, nacre_slice *ret_lines,
                                      nacre_error *err) {
  nc_handle handle = nc_segment_filter_handle(f, i);
  NC_TRY(nc_handle_check(handle, nc_sealed_reader_size(f->reader), err));
  NC_TRY(nc_sealed_reader_frame(f->reader, handle, NC_FRAME_FILTER, buffer, ret_lines, NULL, err));
  uint64_t lines = nc_filter_frame_lines(f->properties.filter_lines, i);
  return ret_lines->size == lines * NC_FILTER_LINE_BYTES ? NACRE_OK : filter_misfit(f, err);
}

nacre_status nc_segment_filter_frame(nc_segment *s, nc_segment_file *f, uint32_t i,
                                     nc_cached_block **ret_block, nacre_error *err) {
  const nc_shared *shared = s->home->shared;
  nc_handle handle = nc_segment_filter_handle(f, i);
  nc_cached_block *block;
  nacre_slice lines;
  NC_TRY(nc_cached_block_create(shared->env, shared->cache, s->home->table, handle.size, &block, err));
  nacre_status status = open_filter_frame(f, i, block->bytes, &lines, err);
  if (status == NACRE_OK) {
    block->frame_offset = handle.offset;
    block->type = NC_FRAME_FILTER;
    block->block = (nc_block){.data = lines.data, .entries_size = lines.size};
    *ret_block = block;
  } else {
    nc_pin_unref(&block->pin);
  }
  return status;
}

/* Each frame is opened into a buffer of its own and copied to its place among the lines. */
static nacre_status load_filter_frames(nc_segment_file *f, uint8_t *frame, nacre_error *err) {
  uint8_t *to = f->filter;
  for (uint32_t i = 0; i < f->footer.filter_frames; i++) {
    nacre_slice lines;
    NC_TRY(open_filter_frame(f, i, frame, &lines, err));
    memcpy(to, lines.data, lines.size);
    to += lines.size;
  }
  return NACRE_OK;
}

static nacre_status check_filter(nc_segment_file *f, nacre_error *err) {
  uint64_t lines = f->properties.filter_lines;
  nacre_status status = nc_filter_check(lines, f->properties.filter_probes, f->footer.filter_frames, err);
  if (status != NACRE_OK)
    return nc_fail_in(err, status, nc_sealed_reader_label(f->reader), f->footer.filter_offset);
  /* A filter that would not fit the file must not make us ask for memory. */
  return lines > nc_sealed_reader_size(f->reader) / NC_FILTER_LINE_BYTES ? filter_misfit(f, err) : NACRE_OK;
}

nacre_status nc_segment_filter_load(nc_segment_file *f, nacre_error *err) {
  uint64_t lines = f->properties.filter_lines;
  if (lines == 0 || f->filter != NULL) return NACRE_OK;
  f->filter_size = (size_t)lines * NC_FILTER_LINE_BYTES;
  f->filter = nc_heap_alloc(f->heap, f->filter_size);
  size_t frame_size = nc_segment_filter_handle(f, 0).size;
  uint8_t *frame = nc_heap_alloc(f->heap, frame_size);
  nacre_status status = f->filter == NULL || frame == NULL ? nc_fail(err, NC_E_NO_MEMORY, "the filter")
                                                           : load_filter_frames(f, frame, err);
  nc_heap_free(f->heap, frame, frame_size);
  return status;
}

/* Filters of several frames come through the cache, a frame at a time, where it has room for some. */
static bool comes_in_frames(const nc_segment *s, const nc_segment_file *f) {
  const nc_shared *shared = s->home->shared;
  uint64_t frame = NC_FILTER_FRAME_LINES * NC_FILTER_LINE_BYTES;
  return f->footer.filter_frames > 1 && shared->cache != NULL && shared->cache_bytes >= 8 * frame;
}

/* ---- the whole ----------------------------------------------------------------------------------------- */

static nacre_status load_file(nc_segment *s, nc_segment_file *f, nacre_error *err) {
  NC_TRY(nc_segment_open_file(s, &f->reader, err));
  NC_TRY(load_footer(s, f, err));
  NC_TRY(load_properties(s, f, err));
  NC_TRY(check_filter(f, err));
  if (!comes_in_frames(s, f)) NC_TRY(nc_segment_filter_load(f, err));
  return nc_segment_file_block(s, f, f->footer.index_root, NC_FRAME_INDEX, true, &f->root, err);
}

nacre_status nc_segment_file_open(nc_segment *s, nc_segment_file **ret_file, nacre_error *err) {
  nc_segment_file *f = calloc(1, sizeof *f);
  if (f == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  f->heap = s->home->shared->env->heap;
  nacre_status status = load_file(s, f, err);
  if (status == NACRE_OK) {
    *ret_file = f;
  } else {
    nc_segment_file_close(f);
  }
  return status;
}

void nc_segment_file_close(nc_segment_file *f) {
  if (f == NULL) return;
  nc_sealed_reader_close(f->reader);
  nc_heap_free(f->heap, f->properties_bytes, f->properties_size);
  nc_heap_free(f->heap, f->filter, f->filter_size);
  if (f->root != NULL) nc_pin_unref(&f->root->pin);
  free(f);
}
