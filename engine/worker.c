/* SPDX-License-Identifier: Apache-2.0
 *
 * worker: see worker.h.
 */
#include "worker.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

typedef struct queue {
  nc_job *first, *last;
} queue;

/* However far a moment is: a clock that is not the system's may come to it sooner. */
#define WAIT_NS_MAX ((uint64_t)3600 * 1000000000)

struct nc_worker_pool {
  const nc_env *env;
  pthread_mutex_t lock;
  pthread_cond_t wake;
  queue urgent, behind;
  nc_job *later;          /* by their moments */
  bool watched;           /* a worker wakes for the first of them */
  uint32_t waiting;       /* workers that have nothing to do, or have not seen yet that they have */
  atomic_bool any_urgent; /* so that who yields takes the lock only when it must */
  bool stopping;
  uint32_t thread_count;
  pthread_t threads[];
};

static void push(queue *q, nc_job *job) {
  job->next = NULL;
  if (q->last != NULL) {
    q->last->next = job;
  } else {
    q->first = job;
  }
  q->last = job;
}

static nc_job *pop(queue *q) {
  nc_job *job = q->first;
  if (job == NULL) return NULL;
  q->first = job->next;
  if (q->first == NULL) q->last = NULL;
  return job;
}

static nc_job *pop_urgent_locked(nc_worker_pool *pool) {
  nc_job *job = pop(&pool->urgent);
  atomic_store_explicit(&pool->any_urgent, pool->urgent.first != NULL, memory_order_relaxed);
  return job;
}

static nc_job *pop_due_locked(nc_worker_pool *pool) {
  nc_job *job = pool->later;
  if (job == NULL || nc_now_ns(pool->env) < job->due_ns) return NULL;
  pool->later = job->next;
  return job;
}

static nc_job *next_locked(nc_worker_pool *pool) {
  nc_job *job = pop_due_locked(pool);
  if (job == NULL) job = pop_urgent_locked(pool);
  return job != NULL ? job : pop(&pool->behind);
}

/* One of those who wait watches the clock; who stops doing so to work wakes another. */
static void wait_for_work_locked(nc_worker_pool *pool) {
  if (pool->later == NULL || pool->watched) {
    pthread_cond_wait(&pool->wake, &pool->lock);
    return;
  }
  uint64_t now = nc_now_ns(pool->env), due = pool->later->due_ns, wait = due > now ? due - now : 0;
  pool->watched = true;
  nc_cond_wait_for(&pool->wake, &pool->lock, wait < WAIT_NS_MAX ? wait : WAIT_NS_MAX);
  pool->watched = false;
  if (pool->later != NULL) pthread_cond_signal(&pool->wake);
}

static void *work(void *arg) {
  nc_worker_pool *pool = arg;
  pthread_mutex_lock(&pool->lock);
  for (;;) {
    nc_job *job = next_locked(pool);
    if (job == NULL && pool->stopping) break;
    if (job == NULL) {
      pool->waiting++;
      wait_for_work_locked(pool);
      pool->waiting--;
      continue;
    }
    pthread_mutex_unlock(&pool->lock);
    job->run(job->arg);
    pthread_mutex_lock(&pool->lock);
  }
  pthread_mutex_unlock(&pool->lock);
  return NULL;
}

nacre_status nc_worker_pool_create(const nc_env *env, uint32_t threads, nc_worker_pool **ret_pool,
                                   nacre_error *err) {
  nc_worker_pool *pool = calloc(1, sizeof *pool + threads * sizeof(pthread_t));
  if (pool == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  pool->env = env;
  pthread_mutex_init(&pool->lock, NULL);
  nc_cond_init(&pool->wake);
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all,
                  &before); /* inherited by the threads: the host's signals are the host's */
  for (uint32_t i = 0; i < threads; i++) {
    int e = pthread_create(&pool->threads[i], NULL, work, pool);
    if (e != 0) {
      pthread_sigmask(SIG_SETMASK, &before, NULL);
      nc_worker_pool_destroy(pool);
      return nc_fail(err, NC_E_THREAD, "error %d", e);
    }
    pool->thread_count++;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  *ret_pool = pool;
  return NACRE_OK;
}

void nc_worker_pool_destroy(nc_worker_pool *pool) {
  if (pool == NULL) return;
  pthread_mutex_lock(&pool->lock);
  pool->stopping = true;
  pthread_cond_broadcast(&pool->wake);
  pthread_mutex_unlock(&pool->lock);
  for (uint32_t i = 0; i < pool->thread_count; i++) pthread_join(pool->threads[i], NULL);
  pthread_cond_destroy(&pool->wake);
  pthread_mutex_destroy(&pool->lock);
  free(pool);
}

bool nc_worker_pool_inline(const nc_worker_pool *pool) { return pool->thread_count == 0; }
uint32_t nc_worker_pool_threads(const nc_worker_pool *pool) { return pool->thread_count; }

static void submit(nc_worker_pool *pool, queue *q, nc_job *job) {
  if (pool->thread_count == 0) {
    job->run(job->arg);
    return;
  }
  pthread_mutex_lock(&pool->lock);
  push(q, job);
  atomic_store_explicit(&pool->any_urgent, pool->urgent.first != NULL, memory_order_relaxed);
  pthread_cond_signal(&pool->wake);
  pthread_mutex_unlock(&pool->lock);
}

void nc_worker_submit(nc_worker_pool *pool, nc_job *job) { submit(pool, &pool->urgent, job); }
void nc_worker_submit_behind(nc_worker_pool *pool, nc_job *job) { submit(pool, &pool->behind, job); }

static size_t length(const queue *q) {
  size_t n = 0;
  for (const nc_job *job = q->first; job != NULL; job = job->next) n++;
  return n;
}

/* With the jobs that wait for a moment: those whose moment has come are few. */
bool nc_worker_submit_free(nc_worker_pool *pool, nc_job *job) {
  if (pool->thread_count == 0) return false;
  pthread_mutex_lock(&pool->lock);
  bool is_free = pool->waiting > length(&pool->urgent) + length(&pool->behind);
  if (is_free) {
    push(&pool->behind, job);
    pthread_cond_signal(&pool->wake);
  }
  pthread_mutex_unlock(&pool->lock);
  return is_free;
}

void nc_worker_submit_at(nc_worker_pool *pool, nc_job *job, uint64_t due_ns) {
  if (pool->thread_count == 0) return;
  job->due_ns = due_ns;
  pthread_mutex_lock(&pool->lock);
  nc_job **link = &pool->later;
  while (*link != NULL && (*link)->due_ns <= due_ns) link = &(*link)->next;
  job->next = *link;
  *link = job;
  if (pool->later == job) pthread_cond_broadcast(&pool->wake); /* who watches the clock does so for this one now */
  pthread_mutex_unlock(&pool->lock);
}

static bool withdraw_behind_locked(nc_worker_pool *pool, nc_job *job) {
  nc_job *before = NULL, *each = pool->behind.first;
  for (; each != NULL && each != job; each = each->next) before = each;
  if (each == NULL) return false;
  *(before == NULL ? &pool->behind.first : &before->next) = job->next;
  if (pool->behind.last == job) pool->behind.last = before;
  return true;
}

static bool withdraw_later_locked(nc_worker_pool *pool, nc_job *job) {
  nc_job **link = &pool->later;
  while (*link != NULL && *link != job) link = &(*link)->next;
  if (*link == NULL) return false;
  *link = job->next;
  return true;
}

bool nc_worker_withdraw(nc_worker_pool *pool, nc_job *job) {
  pthread_mutex_lock(&pool->lock);
  bool found = withdraw_behind_locked(pool, job) || withdraw_later_locked(pool, job);
  pthread_mutex_unlock(&pool->lock);
  return found;
}

bool nc_worker_is_wanted(nc_worker_pool *pool) {
  return atomic_load_explicit(&pool->any_urgent, memory_order_relaxed);
}

void nc_worker_yield(nc_worker_pool *pool) {
  while (nc_worker_is_wanted(pool)) {
    pthread_mutex_lock(&pool->lock);
    nc_job *job = pop_urgent_locked(pool);
    pthread_mutex_unlock(&pool->lock);
    if (job == NULL) return;
    job->run(job->arg);
  }
}
