/* SPDX-License-Identifier: Apache-2.0
 *
 * segment_cursor: moving in a segment: along its index to a block, and along the entries of blocks.
 */
#include <stdlib.h>

#include "private_memory.h"
#include "read_ahead.h"

enum { WINDOW_MIN = 4, WINDOW_MAX = 64, WINDOW_KEYS_BYTES = 2048, LEAD_KEY_BYTES_MAX = 1024 };

/* A walk along a segment: its index, and the data block that it names. */
typedef struct walk {
  nc_index_walk index; /* begun or not */
  nc_stand data;
  nc_read_ahead ahead;
} walk;

static nacre_status named(const walk *w, nacre_status status, nacre_error *err) {
  return nc_index_named(&w->index, &w->data, status, err);
}

/* Before anything else, of memory that may hold anything. */
static void walk_clear(walk *w, const nc_travel *travel) {
  nc_index_clear(&w->index);
  nc_stand_clear(&w->data);
  nc_read_ahead_init(&w->ahead, travel);
}

static void walk_end(walk *w) {
  if (w->index.segment == NULL) return;
  nc_read_ahead_drop(&w->ahead);
  nc_stand_release(nc_index_heap(&w->index), &w->data);
  nc_index_end(&w->index);
}

/* Moves to the first or last entry of the data block that was entered. */
static nacre_status move_to_edge(walk *w, nc_move edge, nacre_error *err) {
  NC_TRY(named(w, nc_stand_move(&w->data, edge, err), err));
  /* No writer makes an empty block, so one that is empty is a lie about where entries are. */
  if (w->data.cursor.valid) return NACRE_OK;
  return named(w, nc_fail(err, NC_E_SEGMENT_INDEX, NULL), err);
}

/* No block, no entry. */
static bool has_block(walk *w) {
  if (nc_index_at(&w->index)->cursor.valid) return true;
  nc_stand_leave(&w->data);
  return false;
}

static nacre_status walk_edge(walk *w, nc_move m, nacre_error *err) {
  NC_TRY(nc_index_move(&w->index, m, err));
  if (!has_block(w)) return NACRE_OK;
  NC_TRY(nc_index_enter(&w->index, &w->data, err));
  return move_to_edge(w, m, err);
}

static nacre_status walk_step(walk *w, nc_move m, nacre_error *err) {
  NC_TRY(named(w, nc_stand_move(&w->data, m, err), err));
  if (w->data.cursor.valid) return NACRE_OK;
  NC_TRY(nc_index_move(&w->index, m, err));
  if (!has_block(w)) return NACRE_OK;
  NC_TRY(nc_read_ahead_enter(&w->ahead, &w->index, m, &w->data, err));
  return move_to_edge(w, m == NC_MOVE_NEXT ? NC_MOVE_FIRST : NC_MOVE_LAST, err);
}

/* A key of many versions may end one block and fill the next ones, so the seek goes on until a block holds
 * what it looks for. */
static nacre_status walk_seek(walk *w, nacre_slice key, uint64_t sequence, nacre_error *err) {
  nc_read_ahead_reset(&w->ahead);
  NC_TRY(nc_index_seek(&w->index, key, sequence, err));
  while (nc_index_at(&w->index)->cursor.valid) {
    NC_TRY(nc_index_enter(&w->index, &w->data, err));
    NC_TRY(named(w, nc_block_seek(&w->data.cursor, key, sequence, err), err));
    if (w->data.cursor.valid) return NACRE_OK;
    NC_TRY(nc_index_move(&w->index, NC_MOVE_NEXT, err));
  }
  nc_stand_leave(&w->data);
  return NACRE_OK;
}

/* ---- cursor -------------------------------------------------------------------------------------------- */

/* Forward, entries are read a window at a time, few at first, for many seeks are followed by few moves. The block
 * cursor stands at the last of them then, and `offsets` tell where the others are. */
typedef struct segment_cursor {
  nc_cursor base;
  nc_segment *segment;
  walk walk; /* nowhere when it rests */
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
    nc_segment_give_sequence(c->walk.index.segment, &c->base.entry);
    c->base.pin = &c->walk.data.block->pin;
  }
  return status;
}

static nacre_status wake(segment_cursor *c, nacre_error *err) {
  if (c->walk.index.segment != NULL) return NACRE_OK;
  nacre_status status = nc_index_begin(&c->walk.index, c->segment, c->walk.ahead.travel.no_cache_fill, err);
  if (status != NACRE_OK) walk_end(&c->walk);
  return status;
}

/* One that comes from another segment goes on with its scan here. */
static nacre_status wake_at_edge(segment_cursor *c, nacre_error *err) {
  if (c->walk.index.segment != NULL) nc_read_ahead_reset(&c->walk.ahead);
  return wake(c, err);
}

static nacre_status publish_anew(segment_cursor *c, nacre_status status) {
  c->window_next = WINDOW_MIN;
  return publish(c, status);
}

static nacre_status cursor_first(nc_cursor *base, nacre_error *err) {
  segment_cursor *c = (segment_cursor *)base;
  NC_TRY(wake_at_edge(c, err));
  return publish_anew(c, walk_edge(&c->walk, NC_MOVE_FIRST, err));
}
static nacre_status cursor_last(nc_cursor *base, nacre_error *err) {
  segment_cursor *c = (segment_cursor *)base;
  NC_TRY(wake_at_edge(c, err));
  return publish_anew(c, walk_edge(&c->walk, NC_MOVE_LAST, err));
}
static nacre_status cursor_seek(nc_cursor *base, nacre_slice key, uint64_t sequence, nacre_error *err) {
  segment_cursor *c = (segment_cursor *)base;
  NC_TRY(wake(c, err));
  nacre_status status = publish_anew(c, walk_seek(&c->walk, key, sequence, err));
  bool pass = status == NACRE_OK && base->valid && nc_segment_all_newer(c->walk.index.segment, sequence) &&
              nc_slice_equal(base->entry.key, key);
  return pass ? publish_anew(c, walk_step(&c->walk, NC_MOVE_NEXT, err)) : status;
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
    NC_TRY(publish(c, walk_step(&c->walk, NC_MOVE_NEXT, err)));
    count = base->valid ? lead_window(c) : 0;
    if (count == 0) return NACRE_OK;
    count = fill_window(c, count);
  }
  if (nc_segment_one_sequence(&c->walk.index.segment->record) != 0) {
    for (size_t i = 0; i < count; i++) nc_segment_give_sequence(c->walk.index.segment, &c->window[i]);
  }
  base->window = c->window;
  base->ahead = count - 1;
  base->entry = c->window[0];
  if (c->window_next < WINDOW_MAX) c->window_next *= 2;
  return NACRE_OK;
}
/* Backward, the window holds the entries from a restart point of the block on, and is shown from its end. */
static void show_before(segment_cursor *c) {
  c->base.entry = c->window[--c->before];
  nc_segment_give_sequence(c->walk.index.segment, &c->base.entry);
}

static nacre_status cursor_prev(nc_cursor *base, nacre_error *err) {
  segment_cursor *c = (segment_cursor *)base;
  nc_block_cursor *at = &c->walk.data.cursor;
  if (!c->backward || c->before == 0) {
    if (base->window != NULL) nc_block_stand_at(at, c->offsets[base->window - c->window]);
    c->before = nc_block_read_back(at, WINDOW_MAX, c->window, c->offsets, c->keys, sizeof c->keys);
    if (c->before == 0) {
      c->keys_used = sizeof c->keys; /* what was rebuilt before it was given up */
      return publish_anew(c, walk_step(&c->walk, NC_MOVE_PREV, err));
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

static void let_go(segment_cursor *c) {
  walk_end(&c->walk);
  nc_wipe(c->keys, c->keys_used);
  c->keys_used = 0;
}

static void cursor_rest(nc_cursor *base) {
  segment_cursor *c = (segment_cursor *)base;
  let_go(c);
  nc_read_ahead_reset(&c->walk.ahead);
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

nacre_status nc_segment_cursor(nc_segment *s, const nc_travel *travel, nc_cursor **ret_cursor, nacre_error *err) {
  nc_shared *shared = s->home->shared;
  segment_cursor *c = take_cursor(shared);
  if (c == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  c->base = (nc_cursor){.ops = &segment_cursor_ops};
  c->segment = s;
  c->keys_used = 0;
  walk_clear(&c->walk, travel);
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
  let_go(c); /* and goes on, if it was moving, as it was */
  nc_cursor_show_nothing(cursor);
  nc_segment_ref(s);
  nc_segment_unref(c->segment);
  c->segment = s;
}
