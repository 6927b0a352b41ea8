/* SPDX-License-Identifier: Apache-2.0
 *
 * segment_build: see segment_build.h.
 */
#include "segment_build.h"

#include <stdlib.h>

#include "fold_cursor.h"
#include "range_fold.h"
#include "segment_writer.h"

enum { STOP_ENTRIES = 1024 };

nc_pack_method nc_build_method(const nacre_table *t, bool bottom) {
  switch (t->settings.compression) {
    case NACRE_COMPRESSION_AUTOMATIC:
      return bottom ? NC_PACK_ZSTD : NC_PACK_LZ4;
    case NACRE_COMPRESSION_NONE:
      return NC_PACK_NONE;
    case NACRE_COMPRESSION_LZ4:
      return NC_PACK_LZ4;
    case NACRE_COMPRESSION_ZSTD:
      return NC_PACK_ZSTD;
  }
  return NC_PACK_NONE;
}

void nc_build_release(nc_segment **segments, size_t count, bool remove) {
  for (size_t i = 0; i < count; i++) {
    if (remove) nc_segment_set_obsolete(segments[i]);
    nc_segment_unref(segments[i]);
  }
  free(segments);
}

const nc_table_keys *nc_making_begin(nacre_table *t, nc_making *m) {
  pthread_mutex_lock(&t->state_lock); /* no change of keys comes between the look and the list */
  m->keys = nc_key_holder_take(&t->keys);
  m->before = NULL;
  m->next = t->makings;
  if (m->next != NULL) m->next->before = m;
  t->makings = m;
  pthread_mutex_unlock(&t->state_lock);
  return m->keys;
}

void nc_making_end(nacre_table *t, nc_making *m) {
  pthread_mutex_lock(&t->state_lock);
  *(m->before == NULL ? &t->makings : &m->before->next) = m->next;
  if (m->next != NULL) m->next->before = m->before;
  bool parked = t->rewrapper.parked;
  pthread_cond_broadcast(&t->changed);
  pthread_mutex_unlock(&t->state_lock);
  nc_table_keys_unref(m->keys);
  if (parked) nc_rewrap_unpark(t);
}

static nacre_status begin_segment(nc_builder *b, nacre_error *err) {
  nacre_table *t = b->table;
  nc_segment_params params = {.table = t->uuid,
                              .number = nc_table_new_number(t),
                              .method = b->build->method,
                              .zstd_where_it_pays = t->settings.compression == NACRE_COMPRESSION_AUTOMATIC &&
                                                    b->build->method == NC_PACK_ZSTD,
                              .block_bytes = t->settings.block_bytes,
                              .filter_bits_per_key = t->settings.filter_bits_per_key,
                              .segment_bytes = b->build->segment_bytes,
                              .one_sequence = b->build->one_sequence,
                              .newest_sequence = atomic_load(&t->visible)};
  if (params.one_sequence)
    params.load = b->count == 0 ? params.number : nc_segment_describe(b->segments[0])->number;
  nc_table_moment(t, &params.epoch, &params.manifest, &params.manifest_sequence);
  b->epoch = params.epoch;
  b->below_bytes = 0;
  const nc_table_keys *keys = nc_making_begin(t, &b->making);
  b->kek_id = nc_kek_describe(nc_table_keys_active(keys))->id;
  nacre_status status =
      nc_segment_writer_create(&t->dir, &params, nc_table_keys_active(keys), &b->writer, err);
  if (status != NACRE_OK) nc_making_end(t, &b->making);
  return status;
}

static nacre_status make_room_locked(nc_builder *b, nacre_error *err) {
  if (b->count == b->capacity) {
    size_t capacity = b->capacity == 0 ? 8 : b->capacity * 2;
    nc_segment **grown = realloc(b->segments, capacity * sizeof(nc_segment *));
    if (grown == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
    b->segments = grown;
    b->capacity = capacity;
  }
  return NACRE_OK;
}

static nacre_status keep_segment(nc_builder *b, nc_segment_record *record, nacre_error *err) {
  nc_segment *segment;
  NC_TRY(nc_segment_create(&b->table->home, record, b->epoch, &segment, err));
  pthread_mutex_lock(&b->table->commit_lock);
  nacre_status status = make_room_locked(b, err);
  if (status == NACRE_OK) b->segments[b->count++] = segment;
  pthread_mutex_unlock(&b->table->commit_lock);
  if (status != NACRE_OK) {
    nc_segment_set_obsolete(segment);
    nc_segment_unref(segment);
  }
  return status;
}

/* A segment may be begun for a range delete, and end before the key where that begins: of nothing no segment is made. */
nacre_status nc_builder_end(nc_builder *b, nacre_error *err) {
  if (b->writer == NULL || nc_segment_writer_is_empty(b->writer)) {
    nc_builder_drop(b);
    return NACRE_OK;
  }
  nc_segment_record record;
  nacre_status status = nc_segment_writer_finish(b->writer, &record, err);
  if (status == NACRE_OK) status = keep_segment(b, &record, err);
  nc_builder_drop(b);
  return status;
}

void nc_builder_drop(nc_builder *b) {
  if (b->writer == NULL) return;
  nc_segment_writer_close(b->writer);
  b->writer = NULL;
  nc_making_end(b->table, &b->making);
}

/* Passes the segments below that end before `key`, and counts them. */
static bool lies_over_much(nc_builder *b, nacre_slice key) {
  const nc_run *below = b->build->below;
  if (below == NULL) return false;
  for (; b->below_at < below->count; b->below_at++) {
    const nc_segment_record *record = nc_segment_describe(below->segments[b->below_at]);
    if (!nc_segment_ends_before(record, key)) break;
    b->below_bytes += record->size;
  }
  return b->below_bytes > b->build->below_bytes_max;
}

/* ---- range deletes ------------------------------------------------------------------------------------- */

/* Adds what is left of the fragment at hand, as far as `to`. */
static nacre_status add_range(nc_builder *b, nacre_slice to, nacre_error *err) {
  nc_range_fragment f = b->ranges->fragments[b->next_range];
  f.from = b->range_from;
  f.to = to;
  b->range_from = to;
  return nc_segment_writer_add_range(b->writer, &f, err);
}

/* Where the rest begins outlives the entry at hand, whose key it is. */
static nacre_status keep_cut(nc_builder *b, nacre_slice key, nacre_error *err) {
  if (key.size > b->cut_capacity) {
    uint8_t *grown = nc_heap_grow(b->table->shared->env->heap, b->cut_key, b->cut_capacity, key.size);
    if (grown == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
    b->cut_key = grown;
    b->cut_capacity = key.size;
  }
  if (key.size > 0) memcpy(b->cut_key, key.data, key.size);
  b->range_from = nc_slice(b->cut_key, key.size);
  return NACRE_OK;
}

/* Ends the segment before `key`. A fragment that goes on there is cut: its rest belongs to the next one. */
static nacre_status cut(nc_builder *b, nacre_slice key, nacre_error *err) {
  if (b->range_begun && nc_slice_compare(b->range_from, key) < 0) {
    NC_TRY(add_range(b, key, err));
    NC_TRY(keep_cut(b, key, err));
  }
  return nc_builder_end(b, err);
}

static nacre_status begin_range(nc_builder *b, nacre_error *err) {
  const nc_range_fragment *f = &b->ranges->fragments[b->next_range];
  b->range_from = f->from;
  if (b->writer != NULL && nc_segment_writer_ranges_full(b->writer, f)) NC_TRY(nc_builder_end(b, err));
  if (b->writer == NULL) NC_TRY(begin_segment(b, err));
  b->range_begun = true;
  return NACRE_OK;
}

/* Begins the fragments that begin at or before `key`, and adds those that end there (NULL data: all). */
static nacre_status pass_ranges(nc_builder *b, nacre_slice key, nacre_error *err) {
  for (; b->ranges != NULL && b->next_range < b->ranges->count; b->next_range++) {
    const nc_range_fragment *f = &b->ranges->fragments[b->next_range];
    if (!b->range_begun) {
      if (key.data != NULL && nc_slice_compare(f->from, key) > 0) return NACRE_OK;
      NC_TRY(begin_range(b, err));
    }
    if (key.data != NULL && nc_slice_compare(f->to, key) > 0) return NACRE_OK;
    NC_TRY(add_range(b, f->to, err));
    b->range_begun = false;
  }
  return NACRE_OK;
}

/* ---- all ----------------------------------------------------------------------------------------------- */

/* A segment ends between keys only: the segments of a run do not overlap. */
nacre_status nc_builder_add(nc_builder *b, const nc_entry *entry, bool new_key, nacre_error *err) {
  NC_TRY(pass_ranges(b, entry->key, err));
  if (new_key) {
    bool much = lies_over_much(b, entry->key);
    if (b->writer != NULL && (much || nc_segment_writer_full(b->writer))) NC_TRY(cut(b, entry->key, err));
  }
  if (b->writer == NULL) NC_TRY(begin_segment(b, err));
  return nc_segment_writer_add(b->writer, entry, err);
}

/* Now and then makes way. True: it should end. */
static bool should_stop(nc_builder *b) {
  if (++b->entries % STOP_ENTRIES != 0) return false;
  if (b->build->yields) nc_worker_yield(b->table->shared->workers);
  return b->build->stopping != NULL && atomic_load(b->build->stopping);
}

static nacre_status build_all(nc_builder *b, nc_fold *fold, nacre_error *err) {
  NC_TRY(b->build->lower.data == NULL ? nc_cursor_first(fold->from, err)
                                     : nc_cursor_seek(fold->from, b->build->lower, NC_SEQUENCE_MAX, err));
  for (;;) {
    bool new_key = false;
    NC_TRY(nc_fold_settle(fold, &new_key, err));
    if (nc_fold_ended(fold)) break;
    if (should_stop(b)) return NACRE_CANCELLED;
    NC_TRY(nc_builder_add(b, &fold->from->entry, new_key, err));
    NC_TRY(nc_value_changes_keep(b->build->values, &fold->from->entry, err));
    NC_TRY(nc_cursor_next(fold->from, err));
  }
  NC_TRY(pass_ranges(b, (nacre_slice){NULL, 0}, err));
  return nc_builder_end(b, err);
}

static nacre_status fold_and_build(nc_builder *b, nc_cursor *from, const nc_range_fold *how,
                                   nacre_error *err) {
  nc_heap *heap = b->table->shared->env->heap;
  nc_range_set *ranges;
  nc_fold fold;
  NC_TRY(nc_range_set_fold(heap, b->build->ranges, how, &ranges, err));
  nacre_status status =
      nc_fold_begin(&fold, from, how->snapshots, how->snapshot_count, how->beneath, heap, err);
  fold.ranges = b->build->ranges;
  fold.values = b->build->values;
  fold.upper_excluded = b->build->upper_excluded;
  fold.expiry_moment_ms = nc_table_expiry_moment(b->table);
  b->ranges = ranges;
  if (status == NACRE_OK) status = build_all(b, &fold, err);
  nc_builder_drop(b);
  nc_heap_free(heap, b->cut_key, b->cut_capacity);
  nc_fold_end(&fold);
  nc_range_set_free(ranges);
  return status;
}

nacre_status nc_build_segments(nacre_table *t, nc_cursor *from, const nc_build *build,
                               nc_segment ***ret_segments, size_t *ret_count, nacre_error *err) {
  nc_builder b = {.table = t, .build = build};
  uint64_t *snapshots;
  size_t snapshot_count;
  NC_TRY(nc_table_snapshots(t, &snapshots, &snapshot_count, err));
  nc_range_fold how = {snapshots, snapshot_count, &build->beneath, build->lower, build->upper_excluded};
  nacre_status status = fold_and_build(&b, from, &how, err);
  free(snapshots);
  if (status == NACRE_OK && b.count > 0) status = nc_dir_sync(&t->dir, err);
  if (status != NACRE_OK) {
    nc_build_release(b.segments, b.count, true);
    return status;
  }
  *ret_segments = b.segments;
  *ret_count = b.count;
  return NACRE_OK;
}
