/* SPDX-License-Identifier: Apache-2.0
 *
 * write_queue: see write_queue.h.
 *
 * A stack that everyone pushes on and only a leader empties, all at once: no waiter is ever taken from its
 * middle, so that an address that comes again is harmless. Sleeping costs more than a short write does, so a waiter
 * looks a few times first; it is cheap to be finished before it sleeps, for then no system call is made on
 * either side.
 */
#include "write_queue.h"

#include <stddef.h>

enum { LOOKS = 100 }; /* some microseconds: about what a group takes that is not synced */

enum { WAITING, SLEEPING, FINISHED };

static void pause_briefly(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

bool nc_write_queue_join(nc_write_queue *q, nc_waiter *w) {
  atomic_init(&w->state, WAITING);
  nc_waiter *before = atomic_load_explicit(&q->newest, memory_order_relaxed);
  do {
    w->next = before;
  } while (!atomic_compare_exchange_weak_explicit(&q->newest, &before, w, memory_order_release,
                                                  memory_order_relaxed));
  return before == NULL;
}

nc_waiter *nc_write_queue_take(nc_write_queue *q) {
  nc_waiter *newest = atomic_exchange_explicit(&q->newest, NULL, memory_order_acquire), *oldest = NULL;
  while (newest != NULL) {
    nc_waiter *before = newest->next;
    newest->next = oldest;
    oldest = newest;
    newest = before;
  }
  return oldest;
}

static bool finished(const nc_waiter *w) {
  return atomic_load_explicit(&w->state, memory_order_acquire) == FINISHED;
}

static void sleep_until_finished(nc_waiter *w) {
  pthread_mutex_init(&w->lock, NULL);
  pthread_cond_init(&w->finished, NULL);
  int waiting = WAITING;
  if (atomic_compare_exchange_strong_explicit(&w->state, &waiting, SLEEPING, memory_order_acq_rel,
                                              memory_order_acquire)) {
    pthread_mutex_lock(&w->lock);
    while (!finished(w)) pthread_cond_wait(&w->finished, &w->lock);
    pthread_mutex_unlock(&w->lock);
  }
  pthread_cond_destroy(&w->finished);
  pthread_mutex_destroy(&w->lock);
}

void nc_waiter_await(nc_waiter *w, bool soon) {
  for (int i = 0; soon && i < LOOKS; i++) {
    if (finished(w)) return;
    pause_briefly();
  }
  if (!finished(w)) sleep_until_finished(w);
}

/* Of one that sleeps the state changes and the signal is given under its lock: it cannot be gone before the lock is
 * given back. */
void nc_waiter_finish(nc_waiter *w) {
  int waiting = WAITING;
  if (atomic_compare_exchange_strong_explicit(&w->state, &waiting, FINISHED, memory_order_release,
                                              memory_order_acquire))
    return;
  pthread_mutex_lock(&w->lock);
  atomic_store_explicit(&w->state, FINISHED, memory_order_release);
  pthread_cond_signal(&w->finished);
  pthread_mutex_unlock(&w->lock);
}

void nc_lock_soon(pthread_mutex_t *lock) {
  for (int i = 0; i < LOOKS; i++) {
    if (pthread_mutex_trylock(lock) == 0) return;
    pause_briefly();
  }
  pthread_mutex_lock(lock);
}
