/* SPDX-License-Identifier: Apache-2.0
 *
 * open_segments: see open_segments.h.
 *
 * Locks: `lock`, then the open_lock of one segment, which is only tried: whoever opens it has it and waits for
 * `lock` with nothing else held. Files are closed with neither.
 */
#include "open_segments.h"

#include "segment_file.h"

void nc_open_segments_init(nc_open_segments *all, size_t max) {
  *all = (nc_open_segments){.max = max};
  pthread_mutex_init(&all->lock, NULL);
}

void nc_open_segments_deinit(nc_open_segments *all) { pthread_mutex_destroy(&all->lock); }

static void unlist_locked(nc_open_segments *all, nc_segment *s) {
  if (all->hand == s) all->hand = s->open_next == s ? NULL : s->open_next;
  s->open_next->open_previous = s->open_previous;
  s->open_previous->open_next = s->open_next;
  s->open_next = s->open_previous = NULL;
  all->listed--;
  all->open--;
}

/* NULL when somebody holds the file, or is about to. */
static nc_segment_file *take_file(nc_segment *s) {
  if (pthread_mutex_trylock(&s->open_lock) != 0) return NULL;
  nc_segment_file *file = nc_segment_take_file_locked(s);
  pthread_mutex_unlock(&s->open_lock);
  return file;
}

/* Takes files out of segments until `most` are open or `turns` were looked at; they are linked by `next`. */
static nc_segment_file *take_files_locked(nc_open_segments *all, size_t most, size_t turns, bool recent) {
  nc_segment_file *taken = NULL;
  while (all->open > most && turns-- > 0 && all->hand != NULL) {
    nc_segment *s = all->hand;
    all->hand = s->open_next;
    if (atomic_exchange_explicit(&s->used, false, memory_order_relaxed) && !recent) continue;
    nc_segment_file *file = take_file(s);
    if (file == NULL) continue;
    file->next = taken;
    taken = file;
    unlist_locked(all, s);
  }
  return taken;
}

static size_t close_files(nc_segment_file *taken) {
  size_t count = 0;
  for (nc_segment_file *next; taken != NULL; taken = next, count++) {
    next = taken->next;
    nc_segment_file_close(taken);
  }
  return count;
}

void nc_open_segments_reserve(nc_open_segments *all) {
  pthread_mutex_lock(&all->lock);
  all->open++;
  nc_segment_file *taken = take_files_locked(all, all->max, 2 * all->listed, false);
  pthread_mutex_unlock(&all->lock);
  close_files(taken);
}

void nc_open_segments_give_up(nc_open_segments *all) {
  pthread_mutex_lock(&all->lock);
  all->open--;
  pthread_mutex_unlock(&all->lock);
}

void nc_open_segments_add(nc_open_segments *all, nc_segment *s) {
  pthread_mutex_lock(&all->lock);
  if (all->hand == NULL) {
    all->hand = s->open_next = s->open_previous = s;
  } else { /* behind the hand: looked at last */
    s->open_next = all->hand;
    s->open_previous = all->hand->open_previous;
    s->open_previous->open_next = s;
    all->hand->open_previous = s;
  }
  all->listed++;
  pthread_mutex_unlock(&all->lock);
}

void nc_open_segments_remove(nc_open_segments *all, nc_segment *s) {
  pthread_mutex_lock(&all->lock);
  if (s->open_next != NULL) unlist_locked(all, s);
  pthread_mutex_unlock(&all->lock);
}

size_t nc_open_segments_close_idle(nc_open_segments *all) {
  pthread_mutex_lock(&all->lock);
  nc_segment_file *taken = take_files_locked(all, 0, all->listed, true);
  pthread_mutex_unlock(&all->lock);
  return close_files(taken);
}

size_t nc_open_segments_count(nc_open_segments *all) {
  return atomic_load_explicit(&all->open, memory_order_relaxed);
}
