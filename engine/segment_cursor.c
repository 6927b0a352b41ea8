/* SPDX-License-Identifier: Apache-2.0
 *
 * segment_cursor: moving in a segment: down the index (one level or two) to a block, and along the entries of
 * blocks.
 *
 * A walk holds a count on each block it stands in. A key is rebuilt in a small buffer inside the walk, or in
 * private memory when the block has longer ones.
 */
#include <stdlib.h>

#include "private_memory.h"
#include "segment_file.h"

enum {
  KEY_INLINE_BYTES = 128,
  WINDOW_MIN = 4,
  WINDOW_MAX = 64,
  WINDOW_KEYS_BYTES = 2048,
  LEAD_KEY_BYTES_MAX = 1024
};

/* A block, a cursor in it, and room for a key of it. */
typedef struct stand {
  nc_cached_block *block;
  nc_block_cursor cursor;
  uint8_t *key; /* NULL: `inside` serves */
  size_t key_capacity;
  uint8_t inside[KEY_INLINE_BYTES + NC_BLOCK_READ_SLACK];
} stand;

static void stand_leave(stand *s) {
  if (s->block != NULL) nc_pin_unref(&s->block->pin);
  s->block = NULL;
  s->cursor.valid = false;
}

static void stand_release(nc_heap *heap, stand *s) {
  stand_leave(s);
  nc_heap_free(heap, s->key, s->key_capacity);
  nc_wipe(s->inside, sizeof s->inside);
}

/* Takes over the count on `block`. */
static nacre_status stand_enter(nc_heap *heap, stand *s, nc_cached_block *block, nacre_error *err) {
  stand_leave(s);
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

/* A walk along a segment: root, leaf (with two levels), data. */
typedef struct walk {
  nc_segment *segment;
  nc_segment_file *file;
  bool no_cache_fill;
  stand root, leaf, data;
} walk;

typedef enum move { MOVE_FIRST, MOVE_LAST, MOVE_NEXT, MOVE_PREV } move;

static nacre_status block_move(nc_block_cursor *c, move m, nacre_error *err) {
  switch (m) {
    case MOVE_FIRST:
      return nc_block_first(c, err);
    case MOVE_LAST:
      return nc_block_last(c, err);
    case MOVE_NEXT:
      return nc_block_next(c, err);
    case MOVE_PREV:
      return nc_block_prev(c, err);
  }
  return NACRE_OK;
}

static nc_heap *heap_of(const walk *w) { return w->segment->home->shared->env->heap; }

static nacre_status named(const walk *w, const stand *s, nacre_status status, nacre_error *err) {
  return nc_fail_in(err, status, nc_sealed_reader_label(w->file->reader),
                    s->block == NULL ? 0 : s->block->frame_offset);
}

/* Before anything else, of memory that may hold anything. */
static void stand_clear(stand *s) {
  s->block = NULL;
  s->cursor.valid = false;
  s->key = NULL;
  s->key_capacity = 0;
}
static void walk_clear(walk *w) {
  w->segment = NULL;
  stand_clear(&w->root);
  stand_clear(&w->leaf);
  stand_clear(&w->data);
}

static nacre_status walk_begin(walk *w, nc_segment *segment, bool no_cache_fill, nacre_error *err) {
  w->no_cache_fill = no_cache_fill;
  NC_TRY(nc_segment_hold(segment, &w->file, err));
  w->segment = segment;
  nc_pin_ref(&w->file->root->pin);
  return stand_enter(heap_of(w), &w->root, w->file->root, err);
}

static void walk_end(walk *w) {
  if (w->segment == NULL) return;
  nc_heap *heap = heap_of(w);
  stand_release(heap, &w->root);
  stand_release(heap, &w->leaf);
  stand_release(heap, &w->data);
  nc_segment_let(w->segment);
  walk_clear(w);
}

static bool two_levels(const walk *w) { return w->file->footer.index_levels == 2; }
static stand *index_stand(walk *w) { return two_levels(w) ? &w->leaf : &w->root; }

/* Enters the block that an index entry names. */
static nacre_status enter(walk *w, stand *from, stand *to, uint8_t type, nacre_error *err) {
  nc_cached_block *block;
  NC_TRY(nc_segment_named_block(w->segment, w->file, from->block, from->cursor.entry.value, type,
                                w->no_cache_fill, &block, err));
  return stand_enter(heap_of(w), to, block, err);
}

/* Moves the index to its first, last, next or previous entry, over the leaves' borders. */
static nacre_status index_move(walk *w, move m, nacre_error *err) {
  stand *at = index_stand(w);
  if (!two_levels(w) || m == MOVE_NEXT || m == MOVE_PREV) {
    NC_TRY(named(w, at, block_move(&at->cursor, m, err), err));
    if (!two_levels(w) || at->cursor.valid) return NACRE_OK;
  }
  NC_TRY(named(w, &w->root, block_move(&w->root.cursor, m, err), err));
  if (!w->root.cursor.valid) {
    stand_leave(&w->leaf);
    return NACRE_OK;
  }
  NC_TRY(enter(w, &w->root, &w->leaf, NC_FRAME_INDEX, err));
  move inside = m == MOVE_NEXT ? MOVE_FIRST : m == MOVE_PREV ? MOVE_LAST : m;
  return named(w, &w->leaf, block_move(&w->leaf.cursor, inside, err), err);
}

static nacre_status index_seek(walk *w, nacre_slice key, uint64_t sequence, nacre_error *err) {
  NC_TRY(named(w, &w->root, nc_block_seek(&w->root.cursor, key, sequence, err), err));
  if (!two_levels(w)) return NACRE_OK;
  if (!w->root.cursor.valid) {
    stand_leave(&w->leaf);
    return NACRE_OK;
  }
  NC_TRY(enter(w, &w->root, &w->leaf, NC_FRAME_INDEX, err));
  return named(w, &w->leaf, nc_block_seek(&w->leaf.cursor, key, sequence, err), err);
}

/* Enters the data block that the index stands at and moves to its first or last entry; no block, no entry. */
static nacre_status enter_data(walk *w, move m, nacre_error *err) {
  stand *at = index_stand(w);
  if (!at->cursor.valid) {
    stand_leave(&w->data);
    return NACRE_OK;
  }
  NC_TRY(enter(w, at, &w->data, NC_FRAME_DATA, err));
  NC_TRY(named(w, &w->data, block_move(&w->data.cursor, m, err), err));
  /* No writer makes an empty block, so one that is empty is a lie about where entries are. */
  if (w->data.cursor.valid) return NACRE_OK;
  return named(w, &w->data, nc_fail(err, NC_E_SEGMENT_INDEX, NULL), err);
}

static nacre_status walk_edge(walk *w, move m, nacre_error *err) {
  NC_TRY(index_move(w, m, err));
  return enter_data(w, m, err);
}

static nacre_status walk_step(walk *w, move m, nacre_error *err) {
  NC_TRY(named(w, &w->data, block_move(&w->data.cursor, m, err), err));
  if (w->data.cursor.valid) return NACRE_OK;
  NC_TRY(index_move(w, m, err));
  return enter_data(w, m == MOVE_NEXT ? MOVE_FIRST : MOVE_LAST, err);
}

/* A key of many versions may end one block and fill the next ones, so the seek goes on until a block holds
 * what it looks for. */
static nacre_status walk_seek(walk *w, nacre_slice key, uint64_t sequence, nacre_error *err) {
  NC_TRY(index_seek(w, key, sequence, err));
  for (stand *at = index_stand(w); at->cursor.valid;) {
    NC_TRY(enter(w, at, &w->data, NC_FRAME_DATA, err));
    NC_TRY(named(w, &w->data, nc_block_seek(&w->data.cursor, key, sequence, err), err));
    if (w->data.cursor.valid) return NACRE_OK;
    NC_TRY(index_move(w, MOVE_NEXT, err));
  }
  stand_leave(&w->data);
  return NACRE_OK;
}

/* ---- cursor -------------------------------------------------------------------------------------------- */

/* Forward, entries are read a window at a time, few at first, for many seeks are followed by few moves. The block
 * cursor stands at the last of them then, and `offsets` tell where the others are. */
typedef struct segment_cursor {
  nc_cursor base;
  nc_segment *segment;
  walk walk; /* nowhere when it rests */
  bool no_cache_fill;
  size_t keys_used;   /* bytes of `keys` that have been written to */
  size_t window_next; /* how many entries to read next */
  bool backward;      /* the window was read backward, and the block cursor stands at its first entry */
  size_t before;      /* backward: how many entries of the window come before the one that is shown */
  nc_entry window[WINDOW_MAX];
  uint32_t offsets[WINDOW_MAX];
  uint8_t keys[WINDOW_KEYS_BYTES];
} segment_cursor;

static nacre_status publish(segment_cursor *c, nacre_status status) {
  nc_cursor_show_nothing(&c->base);
  c->backward = false;
  c->base.valid = status == NACRE_OK && c->walk.data.block != NULL && c->walk.data.cursor.valid;
  if (c->base.valid) {
    c->base.entry = c->walk.data.cursor.entry;
    nc_segment_give_sequence(c->walk.segment, &c->base.entry);
    c->base.pin = &c->walk.data.block->pin;
  }
  return status;
}

static nacre_status wake(segment_cursor *c, nacre_error *err) {
  if (c->walk.segment != NULL) return NACRE_OK;
  nacre_status status = walk_begin(&c->walk, c->segment, c->no_cache_fill, err);
  if (status != NACRE_OK) walk_end(&c->walk);
  return status;
}

static nacre_status publish_anew(segment_cursor *c, nacre_status status) {
  c->window_next = WINDOW_MIN;
  return publish(c, status);
}

static nacre_status cursor_first(nc_cursor *base, nacre_error *err) {
  segment_cursor *c = (segment_cursor *)base;
  NC_TRY(wake(c, err));
  return publish_anew(c, walk_edge(&c->walk, MOVE_FIRST, err));
}
static nacre_status cursor_last(nc_cursor *base, nacre_error *err) {
  segment_cursor *c = (segment_cursor *)base;
  NC_TRY(wake(c, err));
  return publish_anew(c, walk_edge(&c->walk, MOVE_LAST, err));
}
static nacre_status cursor_seek(nc_cursor *base, nacre_slice key, uint64_t sequence, nacre_error *err) {
  segment_cursor *c = (segment_cursor *)base;
  NC_TRY(wake(c, err));
  nacre_status status = publish_anew(c, walk_seek(&c->walk, key, sequence, err));
  bool pass = status == NACRE_OK && base->valid && nc_segment_all_newer(c->walk.segment, sequence) &&
              nc_slice_equal(base->entry.key, key);
  return pass ? publish_anew(c, walk_step(&c->walk, MOVE_NEXT, err)) : status;
}
/* The entry that the block cursor stands at becomes the first of the window; returns how many it holds then: 0 when
 * the key is long. */
static size_t lead_window(segment_cursor *c) {
  const nc_block_cursor *at = &c->walk.data.cursor;
  if (at->entry.key.size > LEAD_KEY_BYTES_MAX) return 0;
  c->window[0] = at->entry;
  c->window[0].key.data = c->keys;
  if (at->entry.key.size > 0) memcpy(c->keys, at->entry.key.data, at->entry.key.size);
  c->offsets[0] = (uint32_t)at->at;
  return 1;
}

static void note_keys_used(segment_cursor *c, nacre_slice last) {
  size_t used = (size_t)((const uint8_t *)last.data - c->keys) + last.size + NC_BLOCK_READ_SLACK;
  if (used > c->keys_used) c->keys_used = used;
}

/* Reads on behind the `lead` entries that the window holds; returns how many it holds then. */
static size_t fill_window(segment_cursor *c, size_t lead) {
  size_t used = lead == 0 ? 0 : c->window[0].key.size;
  size_t count = lead + nc_block_read(&c->walk.data.cursor, c->window_next - lead, c->window + lead,
                                      c->offsets + lead, c->keys + used, sizeof c->keys - used);
  if (count == 0) return 0;
  note_keys_used(c, c->window[count - 1].key);
  return count;
}

/* The block cursor stands where the window begins, without its key: it is sought again to where it is shown. */
static nacre_status turn_forward(segment_cursor *c, nacre_error *err) {
  const nc_entry shown = c->base.entry; /* a seek leaves `keys` alone */
  return publish_anew(c, walk_seek(&c->walk, shown.key, shown.sequence, err));
}

static nacre_status cursor_next(nc_cursor *base, nacre_error *err) {
  segment_cursor *c = (segment_cursor *)base;
  if (c->backward) NC_TRY(turn_forward(c, err));
  size_t count = c->walk.data.block == NULL ? 0 : fill_window(c, 0);
  if (count == 0) { /* the block's end, or a long key, or damage */
    NC_TRY(publish(c, walk_step(&c->walk, MOVE_NEXT, err)));
    count = base->valid ? lead_window(c) : 0;
    if (count == 0) return NACRE_OK;
    count = fill_window(c, count);
  }
  for (size_t i = 0; i < count; i++) nc_segment_give_sequence(c->walk.segment, &c->window[i]);
  base->window = c->window;
  base->ahead = count - 1;
  base->entry = c->window[0];
  if (c->window_next < WINDOW_MAX) c->window_next *= 2;
  return NACRE_OK;
}
/* Backward, the window holds the entries from a restart point of the block on, and is shown from its end. */
static void show_before(segment_cursor *c) {
  c->base.entry = c->window[--c->before];
  nc_segment_give_sequence(c->walk.segment, &c->base.entry);
}

static nacre_status cursor_prev(nc_cursor *base, nacre_error *err) {
  segment_cursor *c = (segment_cursor *)base;
  nc_block_cursor *at = &c->walk.data.cursor;
  if (!c->backward || c->before == 0) {
    if (base->window != NULL) nc_block_stand_at(at, c->offsets[base->window - c->window]);
    c->before = nc_block_read_back(at, WINDOW_MAX, c->window, c->offsets, c->keys, sizeof c->keys);
    if (c->before == 0) {
      c->keys_used = sizeof c->keys; /* what was rebuilt before it was given up */
      return publish_anew(c, walk_step(&c->walk, MOVE_PREV, err));
    }
    note_keys_used(c, c->window[c->before - 1].key);
    nc_cursor_show_nothing(base);
    base->valid = c->backward = true;
  }
  show_before(c);
  return NACRE_OK;
}

/* ---- reuse --------------------------------------------------------------------------------------------- */

/* Many iterators live for one seek. A few cursors are kept between them, linked by their first bytes, without
 * what they held. */
enum { IDLE_CURSORS_MAX = 32 };

static segment_cursor *take_cursor(nc_shared *shared) {
  pthread_mutex_lock(&shared->cursors_lock);
  void **idle = shared->idle_cursors;
  if (idle != NULL) {
    shared->idle_cursors = *idle;
    shared->idle_cursor_count--;
  }
  pthread_mutex_unlock(&shared->cursors_lock);
  return idle != NULL ? (segment_cursor *)(void *)idle
                      : nc_heap_alloc(shared->env->heap, sizeof(segment_cursor));
}

static void give_cursor(nc_shared *shared, segment_cursor *c) {
  pthread_mutex_lock(&shared->cursors_lock);
  bool kept = shared->idle_cursor_count < IDLE_CURSORS_MAX;
  if (kept) {
    *(void **)(void *)c = shared->idle_cursors;
    shared->idle_cursors = c;
    shared->idle_cursor_count++;
  }
  pthread_mutex_unlock(&shared->cursors_lock);
  if (!kept) nc_heap_free(shared->env->heap, c, sizeof *c);
}

void nc_segment_cursors_drop(nc_shared *shared) {
  for (void **idle = shared->idle_cursors, **next; idle != NULL; idle = next) {
    next = *idle;
    nc_heap_free(shared->env->heap, idle, sizeof(segment_cursor));
  }
  shared->idle_cursors = NULL;
  shared->idle_cursor_count = 0;
}

static void cursor_rest(nc_cursor *base) {
  segment_cursor *c = (segment_cursor *)base;
  walk_end(&c->walk);
  nc_wipe(c->keys, c->keys_used);
  c->keys_used = 0;
}

static void cursor_close(nc_cursor *base) {
  segment_cursor *c = (segment_cursor *)base;
  nc_segment *segment = c->segment;
  cursor_rest(base);
  give_cursor(segment->home->shared, c);
  nc_segment_unref(segment);
}

static const nc_cursor_ops segment_cursor_ops = {cursor_first,          cursor_last, cursor_seek,
                                                 cursor_next,           cursor_prev, cursor_close,
                                                 NULL /* runs do it */, cursor_rest};

nacre_status nc_segment_cursor(nc_segment *s, bool no_cache_fill, nc_cursor **ret_cursor, nacre_error *err) {
  nc_shared *shared = s->home->shared;
  segment_cursor *c = take_cursor(shared);
  if (c == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  c->base = (nc_cursor){.ops = &segment_cursor_ops};
  c->segment = s;
  c->no_cache_fill = no_cache_fill;
  c->keys_used = 0;
  walk_clear(&c->walk);
  nacre_status status = wake(c, err);
  if (status != NACRE_OK) {
    give_cursor(shared, c);
    return status;
  }
  nc_segment_ref(s);
  *ret_cursor = &c->base;
  return NACRE_OK;
}

void nc_segment_cursor_change(nc_cursor *cursor, nc_segment *s) {
  segment_cursor *c = (segment_cursor *)cursor;
  nc_cursor_rest(cursor);
  nc_segment_ref(s);
  nc_segment_unref(c->segment);
  c->segment = s;
}
