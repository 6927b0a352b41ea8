/* SPDX-License-Identifier: Apache-2.0
 *
 * verify_segment: every frame of a segment, and then everything that they say of each other.
 *
 * First all frames in the order in which they stand, authenticated. Then the entries in the order in which
 * the index leads to them: the data frames must be exactly those that it names, one behind the other from the
 * first frame on; entries ascend; index keys, filter, properties and the manifest's record agree with what is
 * there.
 */
#include "expiry.h"
#include "open_segments.h"
#include "segment_file.h"
#include "verify.h"

typedef struct survey {
  nc_verifier *v;
  nc_segment *segment;
  nc_segment_file *file; /* one of its own, with the whole filter */
  uint64_t next_offset;  /* where the next data frame must stand */
  nc_properties seen;
  uint8_t *last_key;
  size_t last_key_size;
  uint64_t last_sequence;
  bool first_is_smallest; /* the first entry's key is the segment's smallest */
  uint64_t large_puts, last_expiry_ms;
  bool lasting; /* a put never expires */
} survey;

static nacre_status visit_frame(nc_verifier *v, const nc_scan_frame *frame, nacre_slice plaintext,
                                nacre_error *err) {
  (void)v;
  (void)plaintext;
  return nc_frame_type_belongs(frame->type, NC_FILE_SEGMENT) ? NACRE_OK : nc_fail(err, NC_E_FRAME_TYPE, NULL);
}

/* ---- entries ------------------------------------------------------------------------------------------- */

static void note_expiry(survey *s, const nc_entry *entry) {
  uint64_t moment_ms = nc_entry_expires_ms(entry);
  if (moment_ms > s->last_expiry_ms) s->last_expiry_ms = moment_ms;
  s->lasting = s->lasting || (entry->kind != NC_KIND_DELETE && moment_ms == 0);
}

static nacre_status check_entry(survey *s, const nc_entry *entry, nacre_error *err) {
  nacre_slice last = nc_slice(s->last_key, s->last_key_size);
  bool first = s->seen.entries == 0;
  if (!first && nc_entry_compare(last, s->last_sequence, entry->key, entry->sequence) >= 0) {
    return nc_fail(err, NC_E_SEGMENT_ORDER, NULL); /* [B6] */
  }
  bool admits;
  NC_TRY(nc_segment_filter_admits(s->segment, s->file, entry->key, &admits, err));
  if (!admits) return nc_fail(err, NC_E_SEGMENT_FILTER, "a key is missing in it"); /* [Q2] */
  NC_TRY(nc_verify_reference(s->v, entry, true, err));
  s->seen.entries++;
  s->seen.deletes += entry->kind == NC_KIND_DELETE;
  s->large_puts += entry->kind == NC_KIND_LARGE;
  note_expiry(s, entry);
  s->seen.key_bytes += entry->key.size;
  s->seen.value_bytes += entry->value.size;
  if (first || entry->sequence < s->seen.sequence_min) s->seen.sequence_min = entry->sequence;
  if (entry->sequence > s->seen.sequence_max) s->seen.sequence_max = entry->sequence;
  if (first) {
    int order = nc_slice_compare(entry->key, s->file->properties.smallest);
    if (order < 0) return nc_fail(err, NC_E_SEGMENT_PROPERTIES, "the smallest key");
    s->first_is_smallest = order == 0;
  }
  if (entry->key.size > 0) memcpy(s->last_key, entry->key.data, entry->key.size);
  s->last_key_size = entry->key.size;
  s->last_sequence = entry->sequence;
  return NACRE_OK;
}

static nacre_status check_entries(survey *s, nc_block_cursor *c, nacre_error *err) {
  NC_TRY(nc_block_first(c, err));
  while (c->valid) {
    NC_TRY(check_entry(s, &c->entry, err));
    NC_TRY(nc_block_next(c, err));
  }
  return NACRE_OK;
}

/* Walks a block with a key buffer of its own. */
typedef nacre_status block_check(survey *s, nc_block_cursor *c, nacre_error *err);

static nacre_status with_cursor(survey *s, const nc_cached_block *block, block_check *check,
                                nacre_error *err) {
  nc_heap *heap = s->v->table->shared->env->heap;
  size_t size = block->block.longest_key + 1;
  uint8_t *key = nc_heap_alloc(heap, size);
  if (key == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  nc_block_cursor c;
  nc_block_cursor_init(&c, &block->block, key);
  nacre_status status = check(s, &c, err);
  nc_heap_free(heap, key, size);
  return status;
}

static nacre_status with_block(survey *s, nc_handle handle, uint8_t type, block_check *check,
                               nacre_error *err) {
  nc_cached_block *block;
  NC_TRY(nc_segment_file_block(s->segment, s->file, handle, type, false, &block, err));
  nacre_status status = with_cursor(s, block, check, err);
  nc_pin_unref(&block->pin);
  return nc_fail_in(err, status, nc_sealed_reader_label(s->file->reader), handle.offset);
}

/* ---- index --------------------------------------------------------------------------------------------- */

static nacre_status check_data_blocks(survey *s, nc_block_cursor *c, nacre_error *err) {
  NC_TRY(nc_block_first(c, err));
  while (c->valid) {
    nc_handle handle;
    NC_TRY(nc_handle_decode(c->entry.value, &handle, err));
    if (handle.offset != s->next_offset) /* [I3] */
      return nc_fail(err, NC_E_SEGMENT_FRAMES, "a data frame is skipped or named twice");
    NC_TRY(with_block(s, handle, NC_FRAME_DATA, check_entries, err));
    if (!nc_slice_equal(c->entry.key, nc_slice(s->last_key, s->last_key_size))) {
      return nc_fail(err, NC_E_SEGMENT_INDEX, "its last key is another"); /* [I4] */
    }
    s->seen.data_blocks++;
    s->next_offset += handle.size;
    NC_TRY(nc_block_next(c, err));
  }
  return NACRE_OK;
}

static nacre_status check_leaves(survey *s, nc_block_cursor *c, nacre_error *err) {
  NC_TRY(nc_block_first(c, err));
  while (c->valid) {
    nc_handle handle;
    NC_TRY(nc_handle_decode(c->entry.value, &handle, err));
    NC_TRY(with_block(s, handle, NC_FRAME_INDEX, check_data_blocks, err));
    if (!nc_slice_equal(c->entry.key, nc_slice(s->last_key, s->last_key_size))) {
      return nc_fail(err, NC_E_SEGMENT_INDEX, "its last key is another");
    }
    NC_TRY(nc_block_next(c, err));
  }
  return NACRE_OK;
}

/* ---- range deletes ------------------------------------------------------------------------------------- */

/* That they are in order, as many as said, and within the segment's keys is looked at where they are read. */
static nacre_status count_ranges(survey *s, const nc_range_set **ret_set, nacre_error *err) {
  const nc_range_set *set;
  NC_TRY(nc_segment_ranges(s->segment, &set, err));
  for (size_t i = 0; set != NULL && i < set->count; i++) {
    const nc_range_fragment *f = &set->fragments[i];
    uint64_t newest = f->sequences[0], oldest = f->sequences[f->count - 1];
    if (s->seen.sequence_min == 0 || oldest < s->seen.sequence_min) s->seen.sequence_min = oldest;
    if (newest > s->seen.sequence_max) s->seen.sequence_max = newest;
    s->seen.range_deletes += f->count;
  }
  *ret_set = set;
  return NACRE_OK;
}

/* The ends of the segment's key range are those of an entry or of a range delete. */
static bool ends_met(const survey *s, const nc_range_set *set) {
  const nc_segment_record *record = nc_segment_describe(s->segment);
  nacre_slice last = nc_slice(s->last_key, s->last_key_size);
  bool has_entries = s->seen.entries > 0;
  bool entry_ends = has_entries && nc_slice_equal(record->largest, last);
  bool range_ends = set != NULL && nc_slice_equal(record->largest, set->fragments[set->count - 1].to);
  bool excluded = (record->flags & NC_SEGMENT_LARGEST_EXCLUDED) != 0;
  bool begun = (has_entries && s->first_is_smallest) ||
               (set != NULL && nc_slice_equal(record->smallest, set->fragments[0].from));
  if (has_entries && nc_slice_compare(last, record->largest) > 0) return false;
  return begun && (entry_ends ? !excluded : range_ends && excluded);
}

/* ---- what the segment says of itself ------------------------------------------------------------------- */

/* What a record tells of expiry and large values, as far as it does: when half has expired is a guess. */
static bool tells_what_it_holds(const survey *s, const nc_segment_record *record) {
  if ((record->flags & NC_SEGMENT_NO_LARGE) != 0 && s->large_puts > 0) return false;
  if ((record->flags & NC_SEGMENT_EXPIRES) == 0) return true;
  uint64_t all = s->lasting ? 0 : s->last_expiry_ms;
  return record->all_expired_ms == all && record->half_expired_ms <= s->last_expiry_ms;
}

static nacre_status check_properties(survey *s, nacre_error *err) { /* [S5] */
  const nc_range_set *set;
  NC_TRY(count_ranges(s, &set, err));
  const nc_properties *said = &s->file->properties;
  const nc_segment_record *record = nc_segment_describe(s->segment);
  const nc_properties *seen = &s->seen;
  bool loaded = nc_segment_one_sequence(record) != 0; /* its properties tell what was the newest before it */
  uint64_t newest = loaded ? said->sequence_max : seen->sequence_max;
  bool same = said->entries == seen->entries && said->deletes == seen->deletes &&
              said->key_bytes == seen->key_bytes && said->value_bytes == seen->value_bytes &&
              said->data_blocks == seen->data_blocks && said->sequence_min == seen->sequence_min &&
              said->sequence_max == newest && said->range_deletes == seen->range_deletes;
  if (!same) return nc_fail(err, NC_E_SEGMENT_PROPERTIES, NULL);
  bool sequences = loaded ? seen->sequence_max == 0 && said->sequence_max < record->sequence_max
                          : record->sequence_min == seen->sequence_min && record->sequence_max == newest;
  bool named = record->entries == seen->entries + seen->range_deletes && sequences &&
               nc_slice_equal(record->smallest, said->smallest) &&
               nc_slice_equal(record->largest, said->largest) && ends_met(s, set) &&
               ((record->flags & NC_SEGMENT_HOLDS_DELETES) == 0 || seen->deletes > 0) &&
               tells_what_it_holds(s, record) &&
               ((record->flags & NC_SEGMENT_MANY_DELETES) == 0 || 4 * seen->deletes >= seen->entries);
  return named ? NACRE_OK
               : nc_fail(err, NC_E_SEGMENT_PROPERTIES, "the manifest's record of it says otherwise");
}

static nacre_status check_logic(survey *s, nacre_error *err) {
  const nc_footer *footer = &s->file->footer;
  block_check *top = footer->index_levels == 2 ? check_leaves : check_data_blocks;
  NC_TRY(with_block(s, footer->index_root, NC_FRAME_INDEX, top, err));
  return nc_fail_in(err, check_properties(s, err), nc_sealed_reader_label(s->file->reader), 0);
}

static nacre_status check_frames(nc_verifier *v, const nc_segment_file *file, nc_sealed_reader *reader,
                                 nacre_error *err) {
  uint64_t frames;
  NC_TRY(nc_verify_frames(v, reader, NACRE_NONE, visit_frame, &frames, err));
  if (frames == file->footer.frame_count) return NACRE_OK;
  return nc_fail_in(err, nc_fail(err, NC_E_SEGMENT_FRAMES, "another number of them"), /* [S4] */
                    nc_sealed_reader_label(reader), 0);
}

/* Header and frames, read again one behind the other. */
static nacre_status check_file(nc_verifier *v, nc_segment *segment, const nc_segment_file *file,
                               nacre_error *err) {
  nc_sealed_reader *reader;
  NC_TRY(nc_segment_open_file(segment, &reader, err));
  nacre_status status = nc_verify_note(v, nc_verify_header(v, reader, err), err);
  if (status == NACRE_OK) status = check_frames(v, file, reader, err);
  nc_sealed_reader_close(reader);
  return status;
}

static nacre_status check_opened(nc_verifier *v, nc_segment *segment, nc_segment_file *file,
                                 nacre_error *err) {
  uint64_t faults = v->report.fault_count;
  NC_TRY(check_file(v, segment, file, err));
  if (v->report.fault_count > faults) return NACRE_OK; /* frames are missing: their logic was named already */
  NC_TRY(nc_segment_filter_load(file, err));
  nc_heap *heap = v->table->shared->env->heap;
  survey s = {.v = v, .segment = segment, .file = file, .next_offset = NC_FRAMES_OFFSET};
  s.last_key = nc_heap_alloc(heap, NACRE_KEY_BYTES_MAX);
  if (s.last_key == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  nacre_status status = check_logic(&s, err);
  nc_heap_free(heap, s.last_key, NACRE_KEY_BYTES_MAX);
  v->report.entries += s.seen.entries;
  return status;
}

/* Looks at what stands in the directory now, not at what was opened once. */
nacre_status nc_verify_segment(nc_verifier *v, nc_segment *segment, nacre_error *err) {
  nc_open_segments *all = &v->table->shared->open_segments;
  nc_segment_file *file;
  nc_open_segments_reserve(all);
  nacre_status status = nc_segment_file_open(segment, &file, err);
  if (status == NACRE_OK) {
    v->report.files++;
    status = check_opened(v, segment, file, err);
    nc_segment_file_close(file);
  }
  nc_open_segments_give_up(all);
  return status;
}
