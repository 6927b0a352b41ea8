/* SPDX-License-Identifier: Apache-2.0
 *
 * read_ahead: see read_ahead.h.
 *
 * Two windows take turns: the one that the scan is in, and the next one, which a worker may have. What changes of a
 * window once a worker has it changes under `lock`, but for its bytes and its blocks: these are for whoever reads the
 * window, and then, frame by frame, for whoever has claimed the block.
 *
 * How much comes out of a frame is known only once it is open. So what is open and waits for the scan is counted, and
 * whoever opens blocks ahead of it stops where that is all that the window was allowed; the scan opens the rest.
 */
#include "read_ahead.h"

#include "memory.h"
#include "private_memory.h"
#include "worker.h"

enum {
  MISSES_BEFORE = 2,
  BLOCKS_MAX = 128,
  BLOCKS_LARGE = 4, /* so many are read together even if that is more than the scan has earned */
  GIVEN_BYTES_MIN = 4 * NC_READ_AHEAD_BYTES_MIN,
  MEMORY_TIMES = 4 /* of the bytes that are read: frames, and what comes out of them */
};

typedef enum window_state {
  WINDOW_PLANNED,
  WINDOW_GIVEN,   /* to the workers */
  WINDOW_READING, /* by one of them */
  WINDOW_READ,
  WINDOW_FAILED
} window_state;

typedef enum part_state { PART_WAITING, PART_CLAIMED, PART_DONE } part_state;

typedef struct part {
  nc_handle handle;
  part_state state;
  nc_cached_block *block; /* when it is done; NULL: it failed, or was taken */
} part;

typedef struct window {
  nc_job job;
  struct nc_windows *of;
  window_state state;
  bool in_work;    /* a worker has it, or the queue */
  uint64_t offset; /* of its bytes in the file */
  size_t size, capacity;
  uint8_t *bytes;
  uint64_t allowed, held; /* bytes of blocks that wait, open, for the scan: so many may, so many do */
  size_t count, claimed,
      taken; /* parts; those that somebody opens or has opened; those that the scan has passed */
  part parts[BLOCKS_MAX];
} window;

typedef struct nc_windows {
  nc_read_ahead *ahead;
  nc_shared *shared;
  nc_index_walk index; /* stands at the first block beyond all windows */
  bool at_end;         /* nothing is to be read beyond them */
  window *current, *next;
  pthread_mutex_t lock;
  pthread_cond_t changed; /* for the scan, which alone waits */
  bool ending;
  window windows[2];
} nc_windows;

/* ---- planning ------------------------------------------------------------------------------------------ */

/* By the last key in it, whether the block may be of use to the scan. */
static bool within_bounds(const nc_read_ahead *a, nacre_slice last_key) {
  return a->move == NC_MOVE_NEXT || a->travel.lower.data == NULL ||
         nc_slice_compare(last_key, a->travel.lower) >= 0;
}

/* Whether no block behind it can be. */
static bool reaches_end(const nc_read_ahead *a, nacre_slice last_key) {
  return a->move == NC_MOVE_NEXT && a->travel.upper_excluded.data != NULL &&
         nc_slice_compare(last_key, a->travel.upper_excluded) >= 0;
}

/* Whether the frame goes on from those that the window has. */
static bool follows(const window *w, nc_move move, nc_handle handle) {
  if (w->count == 0) return true;
  return move == NC_MOVE_NEXT ? handle.offset == w->offset + w->size
                              : handle.offset + handle.size == w->offset;
}

static bool add_part(nc_windows *ws, window *w, size_t earned, size_t allowed) {
  const nc_read_ahead *a = ws->ahead;
  const nc_block_cursor *at = &nc_index_at(&ws->index)->cursor;
  uint64_t file_size = nc_sealed_reader_size(ws->index.file->reader);
  size_t most = w->count < BLOCKS_LARGE || earned > allowed ? allowed : earned;
  nc_handle handle;
  if (!at->valid || !within_bounds(a, at->entry.key) || w->count == BLOCKS_MAX) return false;
  if (nc_handle_decode(at->entry.value, &handle, NULL) != NACRE_OK) return false;
  if (nc_handle_check(handle, file_size, NULL) != NACRE_OK) return false;
  if (!follows(w, a->move, handle) || w->size > most || handle.size > most - w->size) return false;
  if (w->count == 0 || a->move == NC_MOVE_PREV) w->offset = handle.offset;
  w->size += handle.size;
  w->parts[w->count++] = (part){.handle = handle};
  ws->at_end = reaches_end(a, at->entry.key);
  return true;
}

static bool make_room(nc_windows *ws, window *w) {
  if (w->size <= w->capacity) return true;
  nc_heap *heap = ws->shared->env->heap;
  nc_heap_free(heap, w->bytes, w->capacity);
  w->bytes = nc_heap_alloc(heap, w->size);
  w->capacity = w->bytes == NULL ? 0 : w->size;
  return w->bytes != NULL;
}

/* The window that begins where the index stands; false: there is none. */
static bool plan(nc_windows *ws, window *w) {
  uint64_t spare = nc_memory_spare(ws->shared) / MEMORY_TIMES;
  size_t allowed = spare < NC_READ_AHEAD_BYTES_MAX ? (size_t)spare : NC_READ_AHEAD_BYTES_MAX;
  w->state = WINDOW_PLANNED;
  w->size = w->count = w->claimed = w->taken = 0;
  w->allowed = (uint64_t)MEMORY_TIMES * allowed;
  w->held = 0;
  while (!ws->at_end && add_part(ws, w, ws->ahead->bytes, allowed))
    ws->at_end |= nc_index_move(&ws->index, ws->ahead->move, NULL) != NACRE_OK;
  return w->count > 0 && make_room(ws, w);
}

/* ---- reading and opening, by the scan or a worker -------------------------------------------------------- */

static window_state read_window(nc_windows *ws, window *w) {
  nacre_status status = nc_sealed_reader_raw(ws->index.file->reader, w->offset, w->bytes, w->size, NULL);
  return status == NACRE_OK ? WINDOW_READ : WINDOW_FAILED;
}

/* From the cache, else from its frame; NULL: it could not be opened. */
static nc_cached_block *open_part(nc_windows *ws, const window *w, const part *p) {
  nc_index_walk *at = &ws->index;
  nc_cached_block *block;
  if (nc_segment_cached(at->segment, p->handle.offset, NC_FRAME_DATA, NULL, &block)) return block;
  uint8_t *frame = w->bytes + (p->handle.offset - w->offset);
  nacre_status status = nc_segment_open_block(at->segment, at->file, p->handle, frame, NC_FRAME_DATA,
                                              ws->ahead->travel.no_cache_fill, &block, NULL);
  return status == NACRE_OK ? block : NULL;
}

/* Claims the next block, opens it, and tells. */
static void open_next_locked(nc_windows *ws, window *w) {
  part *p = &w->parts[w->claimed++];
  p->state = PART_CLAIMED;
  pthread_mutex_unlock(&ws->lock);
  nc_cached_block *block = open_part(ws, w, p);
  pthread_mutex_lock(&ws->lock);
  p->block = block;
  p->state = PART_DONE;
  if (block != NULL) w->held += block->charge;
}

/* Whether the next block may be opened before the scan comes to it. */
static bool may_open_locked(const nc_windows *ws, const window *w) {
  if (w->claimed == w->count || w->held >= w->allowed) return false;
  return nc_memory_spare(ws->shared) / MEMORY_TIMES >= w->parts[w->claimed].handle.size;
}

/* The job. It is left off where somebody waits for other work: the scan, which may be waiting for this one to end, must
 * not wait for that. */
static void work(void *arg) {
  window *w = arg;
  nc_windows *ws = w->of;
  pthread_mutex_lock(&ws->lock);
  w->state = WINDOW_READING;
  pthread_mutex_unlock(&ws->lock);
  window_state state = read_window(ws, w);
  pthread_mutex_lock(&ws->lock);
  w->state = state;
  pthread_cond_signal(&ws->changed);
  while (w->state == WINDOW_READ && may_open_locked(ws, w) && !ws->ending &&
         !nc_worker_is_wanted(ws->shared->workers)) {
    open_next_locked(ws, w);
    pthread_cond_signal(&ws->changed);
  }
  w->in_work = false;
  pthread_cond_signal(&ws->changed);
  pthread_mutex_unlock(&ws->lock);
}

/* ---- windows, by the scan ------------------------------------------------------------------------------ */

/* Plans the window behind the current one, and gives it to a worker if there is one for it. */
static void give_next(nc_windows *ws) {
  const nc_read_ahead *a = ws->ahead;
  window *w = ws->current == &ws->windows[0] ? &ws->windows[1] : &ws->windows[0];
  if (!a->travel.helped || a->bytes < GIVEN_BYTES_MIN || ws->at_end || !plan(ws, w)) return;
  ws->next = w;
  w->state = WINDOW_GIVEN;
  w->in_work = true;
  if (nc_worker_submit_free(ws->shared->workers, &w->job)) return;
  w->state = WINDOW_PLANNED;
  w->in_work = false;
}

/* Whether it was with the workers, and none had begun. */
static bool take_back(nc_windows *ws, window *w) {
  pthread_mutex_lock(&ws->lock);
  bool given = w->state == WINDOW_GIVEN;
  pthread_mutex_unlock(&ws->lock);
  if (!given || !nc_worker_withdraw(ws->shared->workers, &w->job)) return false;
  w->state = WINDOW_PLANNED;
  w->in_work = false;
  return true;
}

/* Sees to it that the window is read, or has failed. */
static void have_read(nc_windows *ws, window *w) {
  if (!take_back(ws, w)) {
    pthread_mutex_lock(&ws->lock);
    while (w->state == WINDOW_GIVEN || w->state == WINDOW_READING) pthread_cond_wait(&ws->changed, &ws->lock);
    pthread_mutex_unlock(&ws->lock);
  }
  if (w->state == WINDOW_PLANNED) w->state = read_window(ws, w);
}

static void await_worker(nc_windows *ws, window *w) {
  pthread_mutex_lock(&ws->lock);
  while (w->in_work) pthread_cond_wait(&ws->changed, &ws->lock);
  pthread_mutex_unlock(&ws->lock);
}

/* Makes the next window the current one, whose blocks have all been taken. */
static bool enter_next(nc_windows *ws) {
  window *w = ws->next;
  if (ws->current != NULL) await_worker(ws, ws->current);
  if (w == NULL) {
    w = &ws->windows[0];
    if (ws->at_end || !plan(ws, w)) return false;
  }
  ws->current = w;
  ws->next = NULL;
  have_read(ws, w);
  if (ws->ahead->bytes < NC_READ_AHEAD_BYTES_MAX) ws->ahead->bytes *= 2;
  give_next(ws);
  return true;
}

/* A block that a worker is opening just now is not waited for while there are others that may be opened. */
static nc_cached_block *take(nc_windows *ws, nc_handle handle) {
  if (ws->current->taken == ws->current->count && !enter_next(ws)) return NULL;
  window *w = ws->current;
  part *p = &w->parts[w->taken];
  if (p->handle.offset != handle.offset || p->handle.size != handle.size) return NULL;
  pthread_mutex_lock(&ws->lock);
  while (w->state == WINDOW_READ && p->state != PART_DONE) {
    if (p->state == PART_WAITING || may_open_locked(ws, w)) {
      open_next_locked(ws, w);
    } else {
      pthread_cond_wait(&ws->changed, &ws->lock);
    }
  }
  nc_cached_block *block = p->block;
  p->block = NULL;
  if (block != NULL) w->held -= block->charge;
  w->taken++;
  pthread_mutex_unlock(&ws->lock);
  return block;
}

/* ---- beginning and ending ------------------------------------------------------------------------------ */

static void end_window(nc_windows *ws, window *w) {
  if (!take_back(ws, w)) await_worker(ws, w);
  for (size_t i = w->taken; i < w->count; i++)
    if (w->parts[i].block != NULL) nc_pin_unref(&w->parts[i].block->pin);
  nc_heap_free(ws->shared->env->heap, w->bytes, w->capacity);
}

static void windows_end(nc_windows *ws) {
  pthread_mutex_lock(&ws->lock);
  ws->ending = true;
  pthread_mutex_unlock(&ws->lock);
  for (size_t i = 0; i < 2; i++) end_window(ws, &ws->windows[i]);
  nc_index_end(&ws->index);
  pthread_cond_destroy(&ws->changed);
  pthread_mutex_destroy(&ws->lock);
  nc_heap_free(ws->shared->env->heap, ws, sizeof *ws);
}

/* The first window begins with the block that `at` stands at. */
static void begin(nc_read_ahead *a, const nc_index_walk *at, nc_move move) {
  nc_shared *shared = at->segment->home->shared;
  nc_windows *ws = nc_heap_alloc(shared->env->heap, sizeof *ws); /* zeros */
  if (ws == NULL) return;
  a->move = move;
  ws->ahead = a;
  ws->shared = shared;
  pthread_mutex_init(&ws->lock, NULL);
  pthread_cond_init(&ws->changed, NULL);
  for (size_t i = 0; i < 2; i++) {
    ws->windows[i].of = ws;
    ws->windows[i].job = (nc_job){.run = work, .arg = &ws->windows[i]};
  }
  if (nc_index_fork(&ws->index, at, NULL) == NACRE_OK && enter_next(ws)) {
    a->windows = ws;
  } else {
    windows_end(ws);
  }
}

void nc_read_ahead_init(nc_read_ahead *a, const nc_travel *travel) {
  *a = (nc_read_ahead){.travel = *travel, .bytes = NC_READ_AHEAD_BYTES_MIN};
}

void nc_read_ahead_drop(nc_read_ahead *a) {
  if (a->windows != NULL) windows_end(a->windows);
  a->windows = NULL;
}

void nc_read_ahead_reset(nc_read_ahead *a) {
  nc_read_ahead_drop(a);
  a->misses = 0;
  a->bytes = NC_READ_AHEAD_BYTES_MIN;
}

/* From the windows, which begin once it is worth it. */
static nc_cached_block *from_windows(nc_read_ahead *a, const nc_index_walk *at, nc_handle handle,
                                     nc_move move) {
  if (a->windows == NULL && ++a->misses > MISSES_BEFORE) begin(a, at, move);
  nc_cached_block *block = a->windows == NULL ? NULL : take(a->windows, handle);
  if (block == NULL && a->misses > MISSES_BEFORE) {
    nc_read_ahead_drop(a);
    a->misses = 0;
  }
  return block;
}

nacre_status nc_read_ahead_enter(nc_read_ahead *a, nc_index_walk *at, nc_move move, nc_stand *data,
                                 nacre_error *err) {
  const nc_stand *from = nc_index_at(at);
  nc_handle handle;
  nc_cache_hint *hint = NULL;
  nc_cached_block *block = NULL;
  NC_TRY(nc_segment_address(at->file, from->block, from->cursor.entry.value, &handle, &hint, err));
  if (a->windows != NULL && a->move != move) nc_read_ahead_reset(a);
  if (a->windows == NULL && nc_segment_cached(at->segment, handle.offset, NC_FRAME_DATA, hint, &block))
    a->misses = 0;
  if (block == NULL) block = from_windows(a, at, handle, move);
  if (block == NULL)
    NC_TRY(
        nc_segment_load(at->segment, at->file, handle, NC_FRAME_DATA, a->travel.no_cache_fill, &block, err));
  return nc_stand_enter(nc_index_heap(at), data, block, err);
}
