/* SPDX-License-Identifier: Apache-2.0
 *
 * segment: life, opening and blocks of a segment (format/README.md, "Segment").
 *
 * Locks: `open_lock` only while the file is opened for the first time; nothing is taken under it but the
 * cache's.
 */
#include <stdio.h>
#include <stdlib.h>

#include "filter.h"
#include "private_memory.h"
#include "segment_file.h"
#include "segment_writer.h"

nacre_status nc_segment_create(const nc_segment_home *home, const nc_segment_record *record,
                               uint64_t epoch_max, nc_segment **ret_segment, nacre_error *err) {
  nc_segment *s = calloc(1, sizeof *s);
  if (s == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  s->keys_size = record->smallest.size + record->largest.size;
  s->keys = nc_heap_alloc(home->shared->env->heap, s->keys_size);
  if (s->keys == NULL) {
    free(s);
    return nc_fail(err, NC_E_NO_MEMORY, NULL);
  }
  atomic_init(&s->refs, 1);
  s->home = home;
  s->record = *record;
  s->record.run = 0;
  s->record.level = 0;
  if (record->smallest.size > 0) memcpy(s->keys, record->smallest.data, record->smallest.size);
  if (record->largest.size > 0)
    memcpy(s->keys + record->smallest.size, record->largest.data, record->largest.size);
  s->record.smallest.data = s->keys;
  s->record.largest.data = s->keys + record->smallest.size;
  s->epoch_max = epoch_max;
  s->cache_id = atomic_fetch_add(&home->shared->next_file_id, 1);
  pthread_mutex_init(&s->open_lock, NULL);
  *ret_segment = s;
  return NACRE_OK;
}

static void file_close(nc_heap *heap, nc_segment_file *f) {
  if (f == NULL) return;
  nc_sealed_reader_close(f->reader);
  nc_heap_free(heap, f->properties_bytes, f->properties_size);
  nc_heap_free(heap, f->filter, f->filter_size);
  if (f->root != NULL) nc_pin_unref(&f->root->pin);
  free(f);
}

void nc_segment_ref(nc_segment *s) { atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed); }

void nc_segment_unref(nc_segment *s) {
  if (s == NULL || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1) return;
  nc_heap *heap = s->home->shared->env->heap;
  file_close(heap, atomic_load(&s->file));
  if (atomic_load(&s->obsolete)) {
    if (s->home->shared->cache != NULL) nc_cache_forget_file(s->home->shared->cache, s->cache_id);
    char name[NC_FILE_NAME_BYTES];
    nc_segment_name(s->record.number, name);
    /* Left behind when this fails: an orphan, which the next writing open removes. */
    nc_ignore(nc_dir_remove(s->home->dir, name, NULL));
  }
  nc_heap_free(heap, s->keys, s->keys_size);
  pthread_mutex_destroy(&s->open_lock);
  free(s);
}

const nc_segment_record *nc_segment_describe(const nc_segment *s) { return &s->record; }

void nc_segment_set_sequence(nc_segment *s, uint64_t sequence) {
  s->record.sequence_min = s->record.sequence_max = sequence;
}

void nc_segment_set_obsolete(nc_segment *s) { atomic_store(&s->obsolete, true); }
void nc_segment_clear_obsolete(nc_segment *s) { atomic_store(&s->obsolete, false); }

/* ---- opening ------------------------------------------------------------------------------------------- */

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
  if (status == NACRE_OK && bears_none != (nc_segment_one_sequence(&s->record) != 0)) /* [S6] */
    status = nc_fail(err, NC_E_SEGMENT_PROPERTIES, "whether its entries bear sequences");
  return nc_fail_in(err, status, nc_sealed_reader_label(f->reader), handle.offset);
}

static nacre_status filter_misfit(nc_segment_file *f, nacre_error *err) {
  return nc_fail_in(err, nc_fail_at(err, NC_E_SEGMENT_FILTER, f->footer.filter_offset, NULL),
                    nc_sealed_reader_label(f->reader), 0);
}

/* Each frame is opened into a buffer of its own and copied to its place among the lines. */
static nacre_status load_filter_frames(nc_segment_file *f, uint8_t *frame, nacre_error *err) {
  uint64_t offset = f->footer.filter_offset;
  uint8_t *to = f->filter;
  for (uint32_t i = 0; i < f->footer.filter_frames; i++) {
    size_t piece = (size_t)nc_filter_frame_lines(f->properties.filter_lines, i) * NC_FILTER_LINE_BYTES;
    nc_handle handle = {offset, (uint32_t)nc_frame_size(piece)};
    nacre_slice plaintext;
    NC_TRY(nc_handle_check(handle, nc_sealed_reader_size(f->reader), err));
    NC_TRY(nc_sealed_reader_frame(f->reader, handle, NC_FRAME_FILTER, frame, &plaintext, NULL, err));
    if (plaintext.size != piece) return filter_misfit(f, err);
    memcpy(to, plaintext.data, piece);
    to += piece;
    offset += handle.size;
  }
  return NACRE_OK;
}

static nacre_status load_filter(nc_segment *s, nc_segment_file *f, nacre_error *err) {
  const char *label = nc_sealed_reader_label(f->reader);
  uint64_t lines = f->properties.filter_lines;
  nacre_status status = nc_filter_check(lines, f->properties.filter_probes, f->footer.filter_frames, err);
  if (status != NACRE_OK) return nc_fail_in(err, status, label, f->footer.filter_offset);
  if (lines == 0) return NACRE_OK;
  /* A filter that would not fit the file must not make us ask for memory. */
  if (lines > nc_sealed_reader_size(f->reader) / NC_FILTER_LINE_BYTES) return filter_misfit(f, err);
  nc_heap *heap = s->home->shared->env->heap;
  f->filter_size = (size_t)lines * NC_FILTER_LINE_BYTES;
  f->filter = nc_heap_alloc(heap, f->filter_size);
  size_t frame_size = nc_frame_size((size_t)nc_filter_frame_lines(lines, 0) * NC_FILTER_LINE_BYTES);
  uint8_t *frame = nc_heap_alloc(heap, frame_size);
  status = f->filter == NULL || frame == NULL ? nc_fail(err, NC_E_NO_MEMORY, "the filter")
                                              : load_filter_frames(f, frame, err);
  nc_heap_free(heap, frame, frame_size);
  return status;
}

static nacre_status read_block(nc_segment *s, nc_segment_file *f, nc_handle handle, uint8_t type,
                               nc_cached_block **ret_block, nacre_error *err);

static nacre_status load_file(nc_segment *s, nc_segment_file *f, nacre_error *err) {
  NC_TRY(nc_segment_open_file(s, &f->reader, err));
  NC_TRY(load_footer(s, f, err));
  NC_TRY(load_properties(s, f, err));
  NC_TRY(load_filter(s, f, err));
  return read_block(s, f, f->footer.index_root, NC_FRAME_INDEX, &f->root, err);
}

nacre_status nc_segment_load(nc_segment *s, nc_segment_file **ret_file, nacre_error *err) {
  nc_segment_file *f = atomic_load_explicit(&s->file, memory_order_acquire);
  if (f != NULL) {
    *ret_file = f;
    return NACRE_OK;
  }
  nacre_status status = NACRE_OK;
  pthread_mutex_lock(&s->open_lock);
  f = atomic_load_explicit(&s->file, memory_order_acquire);
  if (f == NULL) {
    f = calloc(1, sizeof *f);
    status = f == NULL ? nc_fail(err, NC_E_NO_MEMORY, NULL) : load_file(s, f, err);
    if (status == NACRE_OK) {
      atomic_store_explicit(&s->file, f, memory_order_release);
    } else {
      file_close(s->home->shared->env->heap, f);
    }
  }
  pthread_mutex_unlock(&s->open_lock);
  if (status == NACRE_OK) *ret_file = f;
  return status;
}

nacre_status nc_segment_open(nc_segment *s, nacre_error *err) {
  nc_segment_file *f;
  return nc_segment_load(s, &f, err);
}

nc_sealed_reader *nc_segment_reader(nc_segment *s) { return atomic_load(&s->file)->reader; }
const nc_footer *nc_segment_footer(nc_segment *s) { return &atomic_load(&s->file)->footer; }
const nc_properties *nc_segment_properties(nc_segment *s) { return &atomic_load(&s->file)->properties; }

/* ---- blocks -------------------------------------------------------------------------------------------- */

static nacre_status unpack_into(nc_segment *s, nacre_slice packed, nc_cached_block *block, size_t size,
                                nacre_error *err) {
  nc_unpacker *unpacker = nc_unpacker_take(s->home->shared);
  if (unpacker == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  nacre_status status = nc_unpack(&unpacker->workspace, packed, block->bytes, size, err);
  nc_unpacker_give(s->home->shared, unpacker);
  return status == NACRE_OK ? nc_block_open(nc_slice(block->bytes, size), &block->block, err) : status;
}

static nacre_status unpack_block(nc_segment *s, nacre_slice packed, nc_cached_block **ret_block,
                                 nacre_error *err) {
  size_t size;
  NC_TRY(nc_unpack_size(packed, &size, NULL, err));
  nc_cached_block *block;
  NC_TRY(nc_cached_block_create(s->home->shared->env, s->home->shared->cache, s->home->table, size, &block,
                                err));
  nacre_status status = unpack_into(s, packed, block, size, err);
  if (status == NACRE_OK) {
    *ret_block = block;
  } else {
    nc_pin_unref(&block->pin);
  }
  return status;
}

static nacre_status read_block(nc_segment *s, nc_segment_file *f, nc_handle handle, uint8_t type,
                               nc_cached_block **ret_block, nacre_error *err) {
  nc_heap *heap = s->home->shared->env->heap;
  const char *label = nc_sealed_reader_label(f->reader);
  nacre_status status = nc_handle_check(handle, nc_sealed_reader_size(f->reader), err);
  if (status != NACRE_OK) return nc_fail_in(err, status, label, 0);
  uint8_t *frame = nc_heap_alloc(heap, handle.size);
  if (frame == NULL) return nc_fail(err, NC_E_NO_MEMORY, "%u bytes for a block", handle.size);
  nacre_slice packed;
  status = nc_sealed_reader_frame(f->reader, handle, type, frame, &packed, NULL, err);
  if (status == NACRE_OK)
    status = nc_fail_in(err, unpack_block(s, packed, ret_block, err), label, handle.offset);
  nc_heap_free(heap, frame, handle.size);
  if (status == NACRE_OK) (*ret_block)->frame_offset = handle.offset;
  return status;
}

nacre_status nc_segment_read_block(nc_segment *s, nc_handle handle, uint8_t type, nc_cached_block **ret_block,
                                   nacre_error *err) {
  nc_segment_file *f;
  NC_TRY(nc_segment_load(s, &f, err));
  return read_block(s, f, handle, type, ret_block, err);
}

nacre_status nc_segment_block(nc_segment *s, nc_handle handle, uint8_t type, bool no_cache_fill,
                              nc_cached_block **ret_block, nacre_error *err) {
  nc_cache *cache = s->home->shared->cache;
  if (cache != NULL) {
    nc_cached_block *block = nc_cache_get(cache, s->cache_id, handle.offset);
    if (block != NULL) {
      *ret_block = block;
      return NACRE_OK;
    }
  }
  NC_TRY(nc_segment_read_block(s, handle, type, ret_block, err));
  if (cache != NULL && !no_cache_fill) nc_cache_put(cache, *ret_block, s->cache_id, handle.offset);
  return NACRE_OK;
}

bool nc_segment_filter_admits(nc_segment *s, nacre_slice key) {
  const nc_segment_file *f = atomic_load(&s->file);
  if (f->filter == NULL) return true;
  uint64_t hash = nc_filter_hash(f->properties.filter_seed, key);
  const uint8_t *line = f->filter + nc_filter_line(hash, f->properties.filter_lines) * NC_FILTER_LINE_BYTES;
  return nc_filter_line_matches(line, f->properties.filter_probes, hash);
}
