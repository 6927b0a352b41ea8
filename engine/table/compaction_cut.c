/* SPDX-License-Identifier: Apache-2.0
 *
 * compaction_cut: see compaction_cut.h.
 *
 * A segment's index tells where its bytes lie: each entry has about as many behind it as the next. So entries of all
 * indexes, some of each, are put in order, and the cuts are where the bytes before an entry reach a piece's share. Where
 * there are many segments the roots of indexes do, which are in memory while these are open.
 */
#include "compaction_cut.h"

#include <stdlib.h>

#include "index_walk.h"
#include "private_memory.h"

enum { MARKS_MAX = 64, /* of a segment */ MANY_SEGMENTS = 16 };

/* A key of a segment, and how many bytes of it lie between the mark before and this one. */
typedef struct mark {
  nacre_slice key; /* once all are there: `bytes` moves as it grows */
  size_t at;       /* in `bytes` */
  uint64_t weight;
} mark;

typedef struct marks {
  nc_heap *heap;
  uint8_t *bytes; /* keys, behind one another */
  size_t size, capacity;
  mark *list;
  size_t count, room;
} marks;

static void deinit(marks *m) {
  nc_heap_free(m->heap, m->bytes, m->capacity);
  free(m->list);
}

static nacre_status push(marks *m, nacre_slice key, uint64_t weight, nacre_error *err) {
  if (m->count == m->room) {
    size_t room = m->room == 0 ? MARKS_MAX : 2 * m->room;
    mark *grown = realloc(m->list, room * sizeof *grown);
    if (grown == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
    m->list = grown;
    m->room = room;
  }
  if (m->capacity - m->size < key.size) {
    size_t capacity = 2 * m->capacity + key.size;
    uint8_t *grown = nc_heap_grow(m->heap, m->bytes, m->capacity, capacity);
    if (grown == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
    m->bytes = grown;
    m->capacity = capacity;
  }
  if (key.size > 0) memcpy(m->bytes + m->size, key.data, key.size);
  m->list[m->count++] = (mark){.key.size = key.size, .at = m->size, .weight = weight};
  m->size += key.size;
  return NACRE_OK;
}

/* A walk along the entries of a segment's index, or of its root. */
typedef struct walk {
  nc_index_walk index;
  bool root_only;
} walk;

static const nc_block_cursor *at(walk *w) {
  return w->root_only ? &w->index.root.cursor : &nc_index_at(&w->index)->cursor;
}

static nacre_status move(walk *w, nc_move m, nacre_error *err) {
  if (!w->root_only) return nc_index_move(&w->index, m, err);
  return nc_index_named(&w->index, &w->index.root, nc_stand_move(&w->index.root, m, err), err);
}

static nacre_status count_entries(walk *w, size_t *ret_count, nacre_error *err) {
  *ret_count = 0;
  NC_TRY(move(w, NC_MOVE_FIRST, err));
  while (at(w)->valid) {
    ++*ret_count;
    NC_TRY(move(w, NC_MOVE_NEXT, err));
  }
  return NACRE_OK;
}

/* Up to MARKS_MAX entries, at equal distances. */
static nacre_status mark_entries(marks *m, walk *w, uint64_t bytes, nacre_error *err) {
  size_t count, marked = 0;
  NC_TRY(count_entries(w, &count, err));
  size_t wanted = count < MARKS_MAX ? count : MARKS_MAX;
  NC_TRY(move(w, NC_MOVE_FIRST, err));
  for (size_t i = 0; at(w)->valid; i++) {
    if ((i + 1) * wanted / count > marked) {
      NC_TRY(push(m, at(w)->entry.key, bytes / wanted, err));
      marked++;
    }
    NC_TRY(move(w, NC_MOVE_NEXT, err));
  }
  return NACRE_OK;
}

/* The walk holds keys, so it lies in private memory. */
static nacre_status mark_segment(marks *m, nc_segment *s, bool root_only, nacre_error *err) {
  walk *w = nc_heap_alloc(m->heap, sizeof *w); /* zeros */
  if (w == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  w->root_only = root_only;
  nacre_status status = nc_index_begin(&w->index, s, true, err);
  if (status == NACRE_OK) status = mark_entries(m, w, nc_segment_describe(s)->size, err);
  nc_index_end(&w->index);
  nc_heap_free(m->heap, w, sizeof *w);
  return status;
}

static int by_key(const void *a, const void *b) {
  return nc_slice_compare(((const mark *)a)->key, ((const mark *)b)->key);
}

static void sort(marks *m) {
  for (size_t i = 0; i < m->count; i++) m->list[i].key = nc_slice(m->bytes + m->list[i].at, m->list[i].key.size);
  if (m->count > 0) qsort(m->list, m->count, sizeof *m->list, by_key);
}

/* A mark ends its stretch: the piece behind it begins there. */
static void cut(const marks *m, uint64_t bytes, size_t pieces, nc_cuts *cuts) {
  uint64_t passed = 0;
  for (size_t i = 0; i < m->count && cuts->count + 1 < pieces; i++) {
    nacre_slice key = m->list[i].key;
    passed += m->list[i].weight;
    bool later = cuts->count == 0 ? key.size > 0 : nc_slice_compare(key, cuts->keys[cuts->count - 1]) > 0;
    if (later && passed >= bytes / pieces * (cuts->count + 1)) cuts->keys[cuts->count++] = key;
  }
}

nacre_status nc_cuts_find(nc_heap *heap, const nc_compaction *c, size_t pieces, nc_cuts *ret_cuts,
                          nacre_error *err) {
  marks m = {.heap = heap};
  nacre_status status = NACRE_OK;
  bool root_only = c->segment_count >= MANY_SEGMENTS;
  for (size_t i = 0; i < c->segment_count && status == NACRE_OK; i++)
    status = mark_segment(&m, c->segments[i], root_only, err);
  *ret_cuts = (nc_cuts){.heap = heap};
  if (status == NACRE_OK) {
    sort(&m);
    cut(&m, c->bytes, pieces, ret_cuts);
    ret_cuts->memory = m.bytes;
    ret_cuts->memory_size = m.capacity;
    m.bytes = NULL;
    m.capacity = 0;
  }
  deinit(&m);
  return status;
}

void nc_cuts_deinit(nc_cuts *cuts) {
  nc_heap_free(cuts->heap, cuts->memory, cuts->memory_size);
  *cuts = (nc_cuts){0};
}
