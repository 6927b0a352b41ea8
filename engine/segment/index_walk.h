/* SPDX-License-Identifier: Apache-2.0
 *
 * index_walk: moving along the index of a segment, of one level or two: from the address of one data block to the
 * next. The segment is held open meanwhile, and each block that the walk stands in is counted.
 */
#ifndef NC_INDEX_WALK_H
#define NC_INDEX_WALK_H

#include "segment_file.h"

typedef enum nc_move { NC_MOVE_FIRST, NC_MOVE_LAST, NC_MOVE_NEXT, NC_MOVE_PREV } nc_move;

enum { NC_KEY_INLINE_BYTES = 128 };

/* A block, a cursor in it, and room for a key of it: a small buffer inside, or private memory when the block has
 * longer ones. Lies in private memory. */
typedef struct nc_stand {
  nc_cached_block *block;
  nc_block_cursor cursor;
  uint8_t *key; /* NULL: `inside` serves */
  size_t key_capacity;
  uint8_t inside[NC_KEY_INLINE_BYTES + NC_BLOCK_READ_SLACK];
} nc_stand;

void nc_stand_clear(nc_stand *s); /* before anything else, of memory that may hold anything */
/* Takes over the count on `block`; the cursor stands nowhere yet. */
NC_MUST_CHECK nacre_status nc_stand_enter(nc_heap *heap, nc_stand *s, nc_cached_block *block,
                                          nacre_error *err);
NC_MUST_CHECK nacre_status nc_stand_move(nc_stand *s, nc_move m, nacre_error *err);
void nc_stand_leave(nc_stand *s);
/* The same, and wipes. */
void nc_stand_release(nc_heap *heap, nc_stand *s);

typedef struct nc_index_walk {
  nc_segment *segment; /* NULL: it has not begun */
  nc_segment_file *file;
  bool no_cache_fill;
  nc_stand root, leaf; /* `leaf` with two levels only */
} nc_index_walk;

void nc_index_clear(nc_index_walk *w); /* as nc_stand_clear */
/* After a failure, too, to be ended. */
NC_MUST_CHECK nacre_status nc_index_begin(nc_index_walk *w, nc_segment *segment, bool no_cache_fill,
                                          nacre_error *err);
/* A walk of its own that stands where another one does. */
NC_MUST_CHECK nacre_status nc_index_fork(nc_index_walk *w, const nc_index_walk *from, nacre_error *err);
void nc_index_end(nc_index_walk *w);
/* Moves to the first, last, next or previous entry. */
NC_MUST_CHECK nacre_status nc_index_move(nc_index_walk *w, nc_move m, nacre_error *err);
/* To the entry of the first block that does not end before (key, sequence). */
NC_MUST_CHECK nacre_status nc_index_seek(nc_index_walk *w, nacre_slice key, uint64_t sequence,
                                         nacre_error *err);
/* Enters the data block that the walk stands at, through the cache. */
NC_MUST_CHECK nacre_status nc_index_enter(nc_index_walk *w, nc_stand *data, nacre_error *err);

static inline nc_heap *nc_index_heap(const nc_index_walk *w) { return w->segment->home->shared->env->heap; }
/* Where the addresses of data blocks stand. */
static inline nc_stand *nc_index_at(nc_index_walk *w) {
  return w->file->footer.index_levels == 2 ? &w->leaf : &w->root;
}
/* A failure in a block of the segment, told with its place. */
static inline nacre_status nc_index_named(const nc_index_walk *w, const nc_stand *s, nacre_status status,
                                          nacre_error *err) {
  return nc_fail_in(err, status, nc_sealed_reader_label(w->file->reader),
                    s->block == NULL ? 0 : s->block->frame_offset);
}

#endif
