/* SPDX-License-Identifier: Apache-2.0
 *
 * worker: the background threads of a store. Jobs that somebody may be waiting for come before those that can
 * wait, which long ones must: those let urgent ones through while they run (nc_worker_yield). Within each kind,
 * first come, first served. A pool of no threads runs each job at once, in the thread that submits it, which
 * makes everything deterministic. A job may also wait for a moment, of the store's own clock; the workers that have
 * nothing else to do wait for the first such moment together, so that any number of jobs costs one wake-up at its
 * own. Workers block all signals.
 *
 * The pool's lock is taken under any other, and nothing is taken under it.
 */
#ifndef NC_WORKER_H
#define NC_WORKER_H

#include "io.h"

typedef struct nc_worker_pool nc_worker_pool;

/* A job is the submitter's own memory; it may be submitted again once it has begun to run. */
typedef struct nc_job {
  void (*run)(void *arg);
  void *arg;
  struct nc_job *next;
  uint64_t due_ns; /* of one that waits for its moment */
} nc_job;

/* `env` tells the time, and outlives the pool. */
NC_MUST_CHECK nacre_status nc_worker_pool_create(const nc_env *env, uint32_t threads, nc_worker_pool **ret_pool,
                                                 nacre_error *err);
/* Finishes what has been submitted but for what waits for its moment, and joins. */
void nc_worker_pool_destroy(nc_worker_pool *pool);
void nc_worker_submit(nc_worker_pool *pool, nc_job *job);
/* Behind all that are urgent. */
void nc_worker_submit_behind(nc_worker_pool *pool, nc_job *job);
/* Only if a thread has nothing else to do, nor will have by then; false: it is not going to run. Without threads,
 * never. */
NC_MUST_CHECK bool nc_worker_submit_free(nc_worker_pool *pool, nc_job *job);
/* Not before the monotonic clock shows `due_ns`; then before all others. Without threads, never. */
void nc_worker_submit_at(nc_worker_pool *pool, nc_job *job, uint64_t due_ns);
/* True: the job, submitted behind others, to a free thread or for its moment, had not begun, and is not going to run. */
bool nc_worker_withdraw(nc_worker_pool *pool, nc_job *job);
/* Runs urgent jobs that wait, if any, in the calling thread, which must hold no lock. */
void nc_worker_yield(nc_worker_pool *pool);
/* Whether there are any, for a job that can be left off instead. */
bool nc_worker_is_wanted(nc_worker_pool *pool);
bool nc_worker_pool_inline(const nc_worker_pool *pool);
uint32_t nc_worker_pool_threads(const nc_worker_pool *pool); /* 0: inline */

#endif
