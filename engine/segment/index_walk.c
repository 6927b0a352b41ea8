/* SPDX-License-Identifier: Apache-2.0
 *
 * index_walk: see index_walk.h.
 */
#include "index_walk.h"

#include "private_memory.h"

/* ---- a stand ------------------------------------------------------------------------------------------- */

void nc_stand_clear(nc_stand *s) {
  s->block = NULL;
  s->cursor.valid = false;
  s->key = NULL;
  s->key_capacity = 0;
}

void nc_stand_leave(nc_stand *s) {
  if (s->block != NULL) nc_pin_unref(&s->block->pin);
  s->block = NULL;
  s->cursor.valid = false;
}

void nc_stand_release(nc_heap *heap, nc_stand *s) {
  nc_stand_leave(s);
  nc_heap_free(heap, s->key, s->key_capacity);
  nc_wipe(s->inside, sizeof s->inside);
  nc_stand_clear(s);
}

nacre_status nc_stand_enter(nc_heap *heap, nc_stand *s, nc_cached_block *block, nacre_error *err) {
  nc_stand_leave(s);
  s->block = block;
  size_t need = block->block.longest_key + (size_t)NC_BLOCK_READ_SLACK;
  if (need > sizeof s->inside && need > s->key_capacity) {
    uint8_t *grown = nc_heap_alloc(heap, need);
    if (grown == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
    nc_heap_free(heap, s->key, s->key_capacity);
    s->key = grown;
    s->key_capacity = need;
  }
  nc_block_cursor_init(&s->cursor, &block->block, need > sizeof s->inside ? s->key : s->inside);
  return NACRE_OK;
}

nacre_status nc_stand_move(nc_stand *s, nc_move m, nacre_error *err) {
  switch (m) {
    case NC_MOVE_FIRST:
      return nc_block_first(&s->cursor, err);
    case NC_MOVE_LAST:
      return nc_block_last(&s->cursor, err);
    case NC_MOVE_NEXT:
      return nc_block_next(&s->cursor, err);
    case NC_MOVE_PREV:
      return nc_block_prev(&s->cursor, err);
  }
  return NACRE_OK;
}

/* To where another one stands, if it stands anywhere. */
static nacre_status stand_fork(nc_heap *heap, nc_stand *s, const nc_stand *from, nacre_error *err) {
  if (from->block == NULL) return NACRE_OK;
  nc_pin_ref(&from->block->pin);
  NC_TRY(nc_stand_enter(heap, s, from->block, err));
  uint8_t *key = s->cursor.key_buffer;
  s->cursor = from->cursor;
  s->cursor.key_buffer = key;
  if (!s->cursor.valid) return NACRE_OK;
  nacre_slice at = from->cursor.entry.key;
  if (at.size > 0) memcpy(key, at.data, at.size);
  s->cursor.entry.key.data = key;
  return NACRE_OK;
}

/* ---- the walk ------------------------------------------------------------------------------------------ */

void nc_index_clear(nc_index_walk *w) {
  w->segment = NULL;
  nc_stand_clear(&w->root);
  nc_stand_clear(&w->leaf);
}

nacre_status nc_index_begin(nc_index_walk *w, nc_segment *segment, bool no_cache_fill, nacre_error *err) {
  w->no_cache_fill = no_cache_fill;
  NC_TRY(nc_segment_hold(segment, &w->file, err));
  w->segment = segment;
  nc_pin_ref(&w->file->root->pin);
  return nc_stand_enter(nc_index_heap(w), &w->root, w->file->root, err);
}

nacre_status nc_index_fork(nc_index_walk *w, const nc_index_walk *from, nacre_error *err) {
  NC_TRY(nc_index_begin(w, from->segment, from->no_cache_fill, err));
  NC_TRY(stand_fork(nc_index_heap(w), &w->root, &from->root, err));
  return stand_fork(nc_index_heap(w), &w->leaf, &from->leaf, err);
}

void nc_index_end(nc_index_walk *w) {
  if (w->segment == NULL) return;
  nc_stand_release(nc_index_heap(w), &w->root);
  nc_stand_release(nc_index_heap(w), &w->leaf);
  nc_segment_let(w->segment);
  w->segment = NULL;
}

static bool two_levels(const nc_index_walk *w) { return w->file->footer.index_levels == 2; }

/* Enters the block that an index entry names. */
static nacre_status enter(nc_index_walk *w, const nc_stand *from, nc_stand *to, uint8_t type,
                          nacre_error *err) {
  nc_cached_block *block;
  NC_TRY(nc_segment_named_block(w->segment, w->file, from->block, from->cursor.entry.value, type,
                                w->no_cache_fill, &block, err));
  return nc_stand_enter(nc_index_heap(w), to, block, err);
}

nacre_status nc_index_enter(nc_index_walk *w, nc_stand *data, nacre_error *err) {
  return enter(w, nc_index_at(w), data, NC_FRAME_DATA, err);
}

/* Moved to an entry of the leaf that the root names. One that has none there is not as the root says: no writer makes
 * an empty leaf, and the root tells the last key of each. */
static nacre_status in_leaf(const nc_index_walk *w, nacre_status moved, nacre_error *err) {
  if (moved == NACRE_OK && !w->leaf.cursor.valid) moved = nc_fail(err, NC_E_SEGMENT_INDEX, NULL);
  return nc_index_named(w, &w->leaf, moved, err);
}

/* Over the leaves' borders. */
nacre_status nc_index_move(nc_index_walk *w, nc_move m, nacre_error *err) {
  nc_stand *at = nc_index_at(w);
  if (!two_levels(w) || m == NC_MOVE_NEXT || m == NC_MOVE_PREV) {
    NC_TRY(nc_index_named(w, at, nc_stand_move(at, m, err), err));
    if (!two_levels(w) || at->cursor.valid) return NACRE_OK;
  }
  NC_TRY(nc_index_named(w, &w->root, nc_stand_move(&w->root, m, err), err));
  if (!w->root.cursor.valid) {
    nc_stand_leave(&w->leaf);
    return NACRE_OK;
  }
  NC_TRY(enter(w, &w->root, &w->leaf, NC_FRAME_INDEX, err));
  nc_move inside = m == NC_MOVE_NEXT ? NC_MOVE_FIRST : m == NC_MOVE_PREV ? NC_MOVE_LAST : m;
  return in_leaf(w, nc_stand_move(&w->leaf, inside, err), err);
}

nacre_status nc_index_seek(nc_index_walk *w, nacre_slice key, uint64_t sequence, nacre_error *err) {
  NC_TRY(nc_index_named(w, &w->root, nc_block_seek(&w->root.cursor, key, sequence, err), err));
  if (!two_levels(w)) return NACRE_OK;
  if (!w->root.cursor.valid) {
    nc_stand_leave(&w->leaf);
    return NACRE_OK;
  }
  NC_TRY(enter(w, &w->root, &w->leaf, NC_FRAME_INDEX, err));
  return in_leaf(w, nc_block_seek(&w->leaf.cursor, key, sequence, err), err);
}
