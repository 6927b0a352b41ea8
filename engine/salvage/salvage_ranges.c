/* SPDX-License-Identifier: Apache-2.0
 *
 * salvage_ranges: the range deletes of a table's segments and logs, which must be known before its first entry
 * comes out; see salvage.h.
 *
 * A segment's properties lead to them. Where those are damaged, its frames are walked and searched: range
 * deletes authenticate like any frame. Those that are lost are noted, with the segment's keys: what they
 * deleted may come out again.
 */
#include "frame_scan.h"
#include "salvage.h"
#include "version.h"

void nc_salvage_ranges_free(nc_salvage_table *t) {
  nc_heap *heap = t->s->shared.env->heap;
  for (nc_salvage_ranges *r = t->ranges, *next; r != NULL; r = next) {
    next = r->next;
    nc_range_set_free(r->set);
    nc_heap_free(heap, r->bytes, r->capacity);
    nc_heap_free(heap, r, sizeof *r);
  }
  t->ranges = NULL;
  nc_range_set_free(t->all_ranges);
  t->all_ranges = NULL;
}

/* Keeps a copy of a ranges frame's plaintext, decoded. */
static nacre_status keep(nc_salvage_table *t, nacre_slice plaintext, nacre_error *err) {
  nc_heap *heap = t->s->shared.env->heap;
  nc_salvage_ranges *r = nc_heap_alloc(heap, sizeof *r);
  if (r == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  r->next = t->ranges;
  t->ranges = r;
  t->range_sets++;
  NC_TRY(nc_salvage_room(heap, &r->bytes, &r->capacity, plaintext.size + 1, err));
  if (plaintext.size > 0) memcpy(r->bytes, plaintext.data, plaintext.size);
  NC_TRY(nc_range_set_decode(heap, nc_slice(r->bytes, plaintext.size), &r->set, err));
  t->s->report.frames++;
  return NACRE_OK;
}

typedef struct buffer {
  uint8_t *data;
  size_t capacity;
} buffer;

/* By the properties; `*ret_known` false when they do not lead there. */
static nacre_status read_named(nc_salvage_table *t, nc_sealed_reader *reader, buffer *b, bool *ret_known,
                               nacre_error *err) {
  nc_heap *heap = t->s->shared.env->heap;
  nc_properties p;
  nacre_slice plaintext;
  nacre_status status = nc_salvage_properties(reader, heap, &b->data, &b->capacity, NULL, &p, err);
  *ret_known = status == NACRE_OK;
  if (status != NACRE_OK || p.range_deletes == 0) return status;
  NC_TRY(nc_handle_check(p.ranges, nc_sealed_reader_size(reader), err));
  NC_TRY(nc_salvage_room(heap, &b->data, &b->capacity, p.ranges.size, err));
  NC_TRY(nc_sealed_reader_frame(reader, p.ranges, NC_FRAME_RANGES, b->data, &plaintext, NULL, err));
  return keep(t, plaintext, err);
}

/* From the front, for an authentic ranges frame. */
static nacre_status search(nc_salvage_table *t, nc_sealed_reader *reader, bool *ret_found, nacre_error *err) {
  nc_scan scan;
  nc_scan_result result = NC_SCAN_FRAME;
  nc_scan_frame frame = {.offset = NC_FRAMES_OFFSET};
  nacre_slice plaintext;
  nacre_status status = NACRE_OK;
  *ret_found = false;
  nc_scan_init(&scan, t->s->shared.env->heap, reader, NACRE_NONE);
  while (status == NACRE_OK && result == NC_SCAN_FRAME && !*ret_found) {
    status = nc_scan_search_open(&scan, frame.offset + frame.size, &result, &frame, &plaintext, err);
    *ret_found = status == NACRE_OK && result == NC_SCAN_FRAME && frame.type == NC_FRAME_RANGES;
  }
  if (*ret_found) status = keep(t, plaintext, err);
  nc_scan_deinit(&scan);
  return status;
}

/* Damage that has taken range deletes is noted. Without a manifest nothing tells whether there were any: then
 * what the walk over the entries notes must do. */
static nacre_status read_file(nc_salvage_table *t, const nc_salvage_file *file, nacre_error *err) {
  nc_sealed_reader *reader;
  nacre_error why;
  buffer b = {NULL, 0};
  bool known = false, found = false;
  if (nc_salvage_open_file(&t->dir, t->keys, file, NC_FILE_SEGMENT, &reader, NULL) != NACRE_OK)
    return NACRE_OK;
  nacre_status status = read_named(t, reader, &b, &known, &why);
  if (status != NACRE_OK && status != NACRE_NO_MEMORY && !known) {
    nacre_error lost = why;
    status = search(t, reader, &found, &why);
    if (status == NACRE_OK && !found && file->pinned) status = nc_fail_with(&why, &lost);
  }
  nc_sealed_reader_close(reader);
  nc_heap_free(t->s->shared.env->heap, b.data, b.capacity);
  if (status == NACRE_OK) return NACRE_OK;
  if (status == NACRE_NO_MEMORY) return nc_fail_with(err, &why);
  nacre_fault_extent extent = {NACRE_NONE, file->smallest, file->largest};
  return nc_salvage_note(t->s, &why, &extent, err);
}

static nacre_status keep_memtable(nc_salvage_table *t, const nc_memtable *m, nacre_error *err) {
  nc_heap *heap = t->s->shared.env->heap;
  nc_range_set *set;
  NC_TRY(nc_range_history_collect(nc_memtable_ranges(m), NULL, 0, &set, err));
  if (set == NULL) return NACRE_OK;
  nc_salvage_ranges *r = nc_heap_alloc(heap, sizeof *r);
  if (r == NULL) {
    nc_range_set_free(set);
    return nc_fail(err, NC_E_NO_MEMORY, NULL);
  }
  r->set = set;
  r->next = t->ranges;
  t->ranges = r;
  t->range_sets++;
  return NACRE_OK;
}

static nacre_status merge(nc_salvage_table *t, nacre_error *err) {
  nc_heap *heap = t->s->shared.env->heap;
  const nc_range_set **sets = nc_heap_alloc(heap, t->range_sets * sizeof *sets);
  if (sets == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  size_t count = 0;
  for (const nc_salvage_ranges *r = t->ranges; r != NULL; r = r->next) sets[count++] = r->set;
  nacre_status status = nc_range_set_merge(heap, sets, count, true, &t->all_ranges, err);
  nc_heap_free(heap, sets, t->range_sets * sizeof *sets);
  return status;
}

nacre_status nc_salvage_ranges_read(nc_salvage_table *t, nacre_error *err) {
  for (size_t i = 0; i < t->listing.segment_count; i++) {
    if (!t->listing.segments[i].no_ranges) NC_TRY(read_file(t, &t->listing.segments[i], err));
  }
  if (t->memtable != NULL) NC_TRY(keep_memtable(t, t->memtable, err));
  for (size_t i = 0; t->memtable == NULL && i < t->view->memtable_count; i++)
    NC_TRY(keep_memtable(t, t->view->memtables[i], err));
  return merge(t, err);
}
