/* SPDX-License-Identifier: Apache-2.0
 *
 * worker: one queue, first come, first served.
 */
#include "worker.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct nc_worker_pool {
  pthread_mutex_t lock;
  pthread_cond_t wake;
  nc_job *first, *last;
  bool stopping;
  uint32_t thread_count;
  pthread_t threads[];
};

static void *work(void *arg) {
  nc_worker_pool *pool = arg;
  pthread_mutex_lock(&pool->lock);
  for (;;) {
    while (pool->first == NULL && !pool->stopping) pthread_cond_wait(&pool->wake, &pool->lock);
    nc_job *job = pool->first;
    if (job == NULL) break;
    pool->first = job->next;
    if (pool->first == NULL) pool->last = NULL;
    pthread_mutex_unlock(&pool->lock);
    job->run(job->arg);
    pthread_mutex_lock(&pool->lock);
  }
  pthread_mutex_unlock(&pool->lock);
  return NULL;
}

nacre_status nc_worker_pool_create(uint32_t threads, nc_worker_pool **ret_pool, nacre_error *err) {
  nc_worker_pool *pool = calloc(1, sizeof *pool + threads * sizeof(pthread_t));
  if (pool == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  pthread_mutex_init(&pool->lock, NULL);
  pthread_cond_init(&pool->wake, NULL);
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

void nc_worker_submit(nc_worker_pool *pool, nc_job *job) {
  if (pool->thread_count == 0) {
    job->run(job->arg);
    return;
  }
  job->next = NULL;
  pthread_mutex_lock(&pool->lock);
  if (pool->last != NULL) {
    pool->last->next = job;
  } else {
    pool->first = job;
  }
  pool->last = job;
  pthread_cond_signal(&pool->wake);
  pthread_mutex_unlock(&pool->lock);
}
