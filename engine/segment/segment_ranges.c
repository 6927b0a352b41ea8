/* SPDX-License-Identifier: Apache-2.0
 *
 * segment_ranges: the range deletes of segments (format/README.md, "Range deletes").
 *
 * They are decoded once, when they are first asked for, and kept with the segment, not with its open file: there
 * are few, and every read of the table asks for them.
 */
#include "frame.h"
#include "segment_file.h"

struct nc_segment_ranges_frame {
  uint8_t *bytes; /* that the set's keys point into */
  size_t bytes_size;
  nc_range_set *set;
};

static void frame_free(nc_heap *heap, nc_segment_ranges_frame *f) {
  if (f == NULL) return;
  nc_range_set_free(f->set);
  nc_heap_free(heap, f->bytes, f->bytes_size);
  nc_heap_free(heap, f, sizeof *f);
}

void nc_segment_ranges_drop(nc_segment *s) {
  frame_free(s->home->shared->env->heap, atomic_load(&s->ranges));
}

/* As many as the properties say, and within the keys by which the segment is found. [S5] */
static nacre_status check(const nc_segment *s, const nc_range_set *set, uint64_t said, nacre_error *err) {
  const nc_range_fragment *last = &set->fragments[set->count - 1];
  bool inside = nc_slice_compare(s->record.smallest, set->fragments[0].from) <= 0 &&
                nc_slice_compare(last->to, s->record.largest) <= 0;
  return inside && set->sequences == said ? NACRE_OK
                                          : nc_fail(err, NC_E_SEGMENT_PROPERTIES, "its range deletes");
}

static nacre_status fill(nc_segment *s, nc_segment_file *file, nc_segment_ranges_frame *f, nacre_error *err) {
  nc_heap *heap = s->home->shared->env->heap;
  const nc_properties *p = &file->properties;
  const char *label = nc_sealed_reader_label(file->reader);
  nacre_slice plaintext;
  if (p->range_deletes == 0)
    return nc_fail_in(err, nc_fail(err, NC_E_SEGMENT_PROPERTIES, "its range deletes"), label, 0);
  nacre_status status = nc_handle_check(p->ranges, nc_sealed_reader_size(file->reader), err);
  if (status != NACRE_OK) return nc_fail_in(err, status, label, 0);
  f->bytes = nc_heap_alloc(heap, p->ranges.size);
  if (f->bytes == NULL) return nc_fail(err, NC_E_NO_MEMORY, "%u bytes for range deletes", p->ranges.size);
  f->bytes_size = p->ranges.size;
  NC_TRY(nc_sealed_reader_frame(file->reader, p->ranges, NC_FRAME_RANGES, f->bytes, &plaintext, NULL, err));
  status = nc_range_set_decode(heap, plaintext, &f->set, err);
  if (status == NACRE_OK) status = check(s, f->set, p->range_deletes, err);
  return nc_fail_in(err, status, label, p->ranges.offset);
}

static nacre_status load_locked(nc_segment *s, nc_segment_file *file, nacre_error *err) {
  if (atomic_load_explicit(&s->ranges, memory_order_acquire) != NULL) return NACRE_OK;
  nc_heap *heap = s->home->shared->env->heap;
  nc_segment_ranges_frame *f = nc_heap_alloc(heap, sizeof *f);
  if (f == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  nacre_status status = fill(s, file, f, err);
  if (status == NACRE_OK) {
    atomic_store_explicit(&s->ranges, f, memory_order_release);
  } else {
    frame_free(heap, f);
  }
  return status;
}

nacre_status nc_segment_ranges(nc_segment *s, const nc_range_set **ret_set, nacre_error *err) {
  *ret_set = NULL;
  if ((s->record.flags & NC_SEGMENT_HOLDS_RANGES) == 0) return NACRE_OK;
  nc_segment_ranges_frame *f = atomic_load_explicit(&s->ranges, memory_order_acquire);
  if (f == NULL) {
    nc_segment_file *file;
    NC_TRY(nc_segment_hold(s, &file, err));
    pthread_mutex_lock(&s->open_lock);
    nacre_status status = load_locked(s, file, err);
    pthread_mutex_unlock(&s->open_lock);
    nc_segment_let(s);
    NC_TRY(status);
    f = atomic_load_explicit(&s->ranges, memory_order_acquire);
  }
  *ret_set = f->set;
  return NACRE_OK;
}

nacre_status nc_segments_ranges(nc_segment *const *segments, size_t count, nc_range_set **ret_set,
                                nacre_error *err) {
  size_t holding = 0;
  *ret_set = NULL;
  for (size_t i = 0; i < count; i++) holding += (segments[i]->record.flags & NC_SEGMENT_HOLDS_RANGES) != 0;
  if (holding == 0) return NACRE_OK;
  nc_heap *heap = segments[0]->home->shared->env->heap;
  const nc_range_set **sets = nc_heap_alloc(heap, count * sizeof *sets);
  if (sets == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  nacre_status status = NACRE_OK;
  for (size_t i = 0; i < count && status == NACRE_OK; i++)
    status = nc_segment_ranges(segments[i], &sets[i], err);
  if (status == NACRE_OK) status = nc_range_set_merge(heap, sets, count, false, ret_set, err);
  nc_heap_free(heap, sets, count * sizeof *sets);
  return status;
}
