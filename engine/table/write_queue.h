/* SPDX-License-Identifier: Apache-2.0
 *
 * write_queue: those who write at once, so that one of them does the work of all.
 *
 * Whoever joins an empty queue leads: takes the lock of the work, then everyone who waits by then, works,
 * gives back the lock, and finishes the others. All others wait until they are finished. So there is always
 * exactly one leader for those who wait, and nobody joins a group that has been taken.
 *
 * Threads: any. A waiter is the caller's own memory, on its stack as a rule: it may be gone as soon as it is
 * finished.
 */
#ifndef NC_WRITE_QUEUE_H
#define NC_WRITE_QUEUE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

typedef struct nc_waiter {
  struct nc_waiter *next;
  atomic_int state;
  pthread_mutex_t lock; /* made only by one that goes to sleep, as the condition is */
  pthread_cond_t finished;
} nc_waiter;

/* All zero: empty. */
typedef struct nc_write_queue {
  _Atomic(nc_waiter *) newest;
} nc_write_queue;

static inline bool nc_write_queue_empty(const nc_write_queue *q) {
  return atomic_load_explicit(&q->newest, memory_order_relaxed) == NULL;
}
/* True: the caller leads. */
bool nc_write_queue_join(nc_write_queue *q, nc_waiter *w);
/* Everyone who waits, the leader among them, linked by `next`, first come first. For the leader, once. */
nc_waiter *nc_write_queue_take(nc_write_queue *q);

/* What finishes a waiter happens before this returns. `soon`: it is worth looking a few times before sleeping. */
void nc_waiter_await(nc_waiter *w, bool soon);
/* The last that the leader does with it: read `next` before. */
void nc_waiter_finish(nc_waiter *w);
/* Locks a mutex that is never held for long as a rule: looks a few times before sleeping. */
void nc_lock_soon(pthread_mutex_t *lock);

#endif
