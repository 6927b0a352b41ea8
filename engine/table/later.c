/* SPDX-License-Identifier: Apache-2.0
 *
 * later: see later.h.
 */
#include "table.h"

enum { RETRY_DOUBLINGS_MAX = 6, MS_NS = 1000000 };
#define RETRY_NS ((uint64_t)1000000000)

uint64_t nc_later_retry_ns(uint64_t failures) {
  uint64_t doublings = failures == 0 ? 0 : failures - 1;
  return RETRY_NS << (doublings < RETRY_DOUBLINGS_MAX ? doublings : RETRY_DOUBLINGS_MAX);
}

/* The earliest moment; 0: there is none. */
static uint64_t first_due(const nc_later *l) {
  uint64_t first = 0;
  for (int i = 0; i < NC_LATER_COUNT; i++) {
    if (l->due_ns[i] != 0 && (first == 0 || l->due_ns[i] < first)) first = l->due_ns[i];
  }
  return first;
}

/* Hands the job to the pool for the earliest moment, if it is not there for an earlier one. */
static void wait_locked(nacre_table *t) {
  nc_later *l = &t->later;
  nc_worker_pool *workers = t->shared->workers;
  uint64_t due = first_due(l);
  if (due == 0 || atomic_load(&t->closing) || nc_worker_pool_inline(workers)) return;
  if (l->waiting && (l->job.due_ns <= due || !nc_worker_withdraw(workers, &l->job))) return;
  l->waiting = true;
  nc_worker_submit_at(workers, &l->job, due);
}

void nc_later_set_locked(nacre_table *t, nc_later_kind kind, uint64_t delay_ns) {
  nc_later *l = &t->later;
  uint64_t due = nc_now_ns(t->shared->env) + delay_ns;
  if (l->due_ns[kind] != 0 && l->due_ns[kind] <= due) return;
  l->due_ns[kind] = due;
  if (kind == NC_LATER_REST) l->written = atomic_load(&t->visible);
  wait_locked(t);
}

void nc_later_clear_locked(nacre_table *t, nc_later_kind kind) { t->later.due_ns[kind] = 0; }

uint64_t nc_later_wall_ms_locked(const nacre_table *t, nc_later_kind kind) {
  uint64_t due = t->later.due_ns[kind], now = nc_now_ns(t->shared->env);
  if (due == 0 || nc_worker_pool_inline(t->shared->workers)) return 0;
  return nc_wall_ms(t->shared->env) + (due > now ? (due - now) / MS_NS : 0);
}

/* Whether the moment of this kind has come; it is to be done once. */
static bool take_due_locked(nacre_table *t, nc_later_kind kind, uint64_t now) {
  uint64_t *due = &t->later.due_ns[kind];
  if (*due == 0 || now < *due) return false;
  *due = 0;
  return true;
}

/* Who has written since puts it off by another while. */
static bool rests_locked(nacre_table *t) {
  if (atomic_load(&t->visible) == t->later.written) return true;
  nc_later_set_locked(t, NC_LATER_REST, NC_LATER_REST_NS);
  return false;
}

void nc_later_run(void *table) {
  nacre_table *t = table;
  pthread_mutex_lock(&t->state_lock);
  t->later.waiting = false;
  t->jobs_running++;
  uint64_t now = nc_now_ns(t->shared->env);
  bool may = !atomic_load(&t->closing);
  bool flush = take_due_locked(t, NC_LATER_FLUSH, now) && may;
  bool merge = take_due_locked(t, NC_LATER_MERGE, now) && may;
  bool rewrap = take_due_locked(t, NC_LATER_REWRAP, now) && may;
  bool rest = take_due_locked(t, NC_LATER_REST, now) && may && rests_locked(t);
  bool expiry = take_due_locked(t, NC_LATER_EXPIRY, now) && may;
  if (expiry) nc_table_expect_locked(t, t->view->version);
  wait_locked(t);
  pthread_mutex_unlock(&t->state_lock);
  if (flush) nc_table_retry_flush(t);
  if (merge) nc_table_put_back(t);
  if (rewrap) nc_rewrap_retry(t);
  if (rest) {
    nc_table_rest(t);
  } else if (merge || expiry) {
    nc_table_schedule_merge(t);
  }
  nc_table_end_job(t);
}

void nc_later_stop(nacre_table *t) {
  pthread_mutex_lock(&t->state_lock);
  if (t->later.waiting && nc_worker_withdraw(t->shared->workers, &t->later.job)) t->later.waiting = false;
  while (t->later.waiting) pthread_cond_wait(&t->changed, &t->state_lock);
  pthread_mutex_unlock(&t->state_lock);
}
