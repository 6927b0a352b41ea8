/* SPDX-License-Identifier: Apache-2.0
 *
 * background: when flushes and merges run, and what becomes of their results.
 */
#include "table.h"

enum { EXPIRY_LOOK_MS = 600000 };

void nc_table_tell(nacre_table *t, nacre_event *event) {
  if (t->shared->on_event == NULL) return;
  char name[sizeof t->name];
  pthread_mutex_lock(&t->state_lock); /* a rename may be under way */
  memcpy(name, t->name, sizeof name);
  pthread_mutex_unlock(&t->state_lock);
  event->table = name[0] == '\0' ? NULL : name;
  t->shared->on_event(t->shared->event_arg, event);
  nc_wipe(name, sizeof name); /* user data, and this is a stack */
}

void nc_table_emit(nacre_table *t, nacre_event_type type, uint64_t bytes, const nacre_error *error) {
  nacre_event event = {.type = type, .bytes = bytes, .error = error};
  nc_table_tell(t, &event);
}

static void begin_job(nacre_table *t, bool *queued) {
  pthread_mutex_lock(&t->state_lock);
  *queued = false;
  t->jobs_running++;
  pthread_mutex_unlock(&t->state_lock);
}

void nc_table_end_job(nacre_table *t) {
  pthread_mutex_lock(&t->state_lock);
  t->jobs_running--;
  pthread_cond_broadcast(&t->changed);
  pthread_mutex_unlock(&t->state_lock);
}

/* False when it is queued already. From here on the table waits for the job before it goes. */
static bool claim(nacre_table *t, bool *queued) {
  pthread_mutex_lock(&t->state_lock);
  bool claimed = !*queued;
  *queued = true;
  pthread_mutex_unlock(&t->state_lock);
  return claimed;
}

static void schedule(nacre_table *t, bool *queued, nc_job *job) {
  if (claim(t, queued)) nc_worker_submit(t->shared->workers, job);
}

void nc_table_schedule_flush(nacre_table *t) { schedule(t, &t->flush_queued, &t->flush_job); }

void nc_table_retry_flush(nacre_table *t) {
  pthread_mutex_lock(&t->state_lock);
  bool failed = t->flush_error.status != NACRE_OK;
  pthread_mutex_unlock(&t->state_lock);
  if (failed) nc_table_schedule_flush(t);
}

void nc_table_schedule_merge(nacre_table *t) {
  if (claim(t, &t->merge_queued)) nc_worker_submit_behind(t->shared->workers, &t->merge_job);
}

/* The next moment at which half of a segment, or all of it, will have expired; UINT64_MAX: there is none. */
static uint64_t next_expiry(const nc_version *v, uint64_t now_ms) {
  uint64_t next = UINT64_MAX;
  for (size_t i = 0; i < v->segment_count; i++) {
    const nc_segment_record *s = nc_segment_describe(v->segments[i]);
    if (s->half_expired_ms > now_ms && s->half_expired_ms < next) next = s->half_expired_ms;
    if (s->all_expired_ms > now_ms && s->all_expired_ms < next) next = s->all_expired_ms;
  }
  return next;
}

/* The clock on the wall may be set: it is looked at now and then, however far the moment is. */
static void expect_expiry_locked(nacre_table *t, const nc_version *v) {
  nc_later_clear_locked(t, NC_LATER_EXPIRY);
  if (v->expiring_segments == 0) return; /* spared the walk under state_lock */
  uint64_t now_ms = nc_wall_ms(t->shared->env), next = next_expiry(v, now_ms);
  if (next == UINT64_MAX) return;
  uint64_t wait_ms = next - now_ms < EXPIRY_LOOK_MS ? next - now_ms : EXPIRY_LOOK_MS;
  nc_later_set_locked(t, NC_LATER_EXPIRY, wait_ms * 1000000);
}

void nc_table_expect_locked(nacre_table *t, const nc_version *v) {
  nc_levels levels;
  nc_levels_of(v, &t->policy, &levels);
  if (levels.young_count > 0 && !t->idle) nc_later_set_locked(t, NC_LATER_REST, NC_LATER_REST_NS);
  expect_expiry_locked(t, v);
}

static bool any_expired(const nc_version *v, uint64_t now_ms) {
  for (size_t i = 0; i < v->segment_count; i++) {
    const nc_segment_record *s = nc_segment_describe(v->segments[i]);
    if (s->half_expired_ms != 0 && s->half_expired_ms <= now_ms) return true;
    if (s->all_expired_ms != 0 && s->all_expired_ms <= now_ms) return true;
  }
  return false;
}

/* A table that is idle has been looked through, whatever that found: nothing is tried again and again. */
void nc_table_expect_left_locked(nacre_table *t) {
  const nc_version *v = t->view->version;
  nc_table_expect_locked(t, v);
  if (t->idle || v->expiring_segments == 0 || !any_expired(v, nc_wall_ms(t->shared->env))) return;
  nc_later_set_locked(t, NC_LATER_REST, NC_LATER_REST_NS);
}

void nc_table_rest(nacre_table *t) {
  pthread_mutex_lock(&t->state_lock);
  t->idle = true;
  pthread_mutex_unlock(&t->state_lock);
  nc_table_schedule_merge(t);
}

void nc_table_run_flush(void *table) {
  nacre_table *t = table;
  nacre_error err;
  begin_job(t, &t->flush_queued);
  /* A failure is noted in the table and met by the next write, which tries again. */
  nc_ignore(nc_table_flush_immutables(t, &err));
  nc_table_end_job(t);
}

/* One at a time: the job queues itself anew, so that other tables have their turn, and before it runs, so that
 * another worker may merge other segments. Without workers it goes on. */
void nc_table_run_merge(void *table) {
  nacre_table *t = table;
  nacre_error err;
  bool any;
  nacre_status status;
  begin_job(t, &t->merge_queued);
  /* A failure is noted in the table; the next flush tries again. */
  do {
    status = nc_table_compact_once(t, &any, &err);
  } while (status == NACRE_OK && any && nc_worker_pool_inline(t->shared->workers));
  if (status == NACRE_OK && any) nc_table_schedule_merge(t);
  nc_table_end_job(t);
}

/* ---- the memory budget --------------------------------------------------------------------------------- */

/* Rotating would not wait: the flush that it would wait for may need the very worker that asks. */
static bool has_place(nacre_table *t) {
  pthread_mutex_lock(&t->state_lock);
  bool place = t->immutable_count < NC_IMMUTABLES_MAX;
  pthread_mutex_unlock(&t->state_lock);
  return place;
}

/* A table at work is passed over: its own writers see to its memtable, and a worker that waited for them
 * could keep from them the flush that they wait for. */
void nc_table_run_relief(void *table) {
  nacre_table *t = table;
  begin_job(t, &t->relief_queued);
  if (pthread_mutex_trylock(&t->write_lock) == 0) {
    nacre_status status = atomic_load(&t->writing) ? nc_table_ready_locked(t, NULL) : NACRE_READ_ONLY;
    bool worthwhile = nc_memtable_entries(t->active) > 0 && has_place(t);
    if (status == NACRE_OK && worthwhile) nc_ignore(nc_table_rotate_locked(t, NULL));
    pthread_mutex_unlock(&t->write_lock);
  }
  nc_table_end_job(t);
}

static size_t active_bytes(nacre_table *t) {
  pthread_mutex_lock(&t->state_lock);
  size_t bytes =
      !atomic_load(&t->writing) ? 0 : /* a table that nobody has written to is not written to for others */
          nc_memtable_bytes(t->view->memtables[0]);
  pthread_mutex_unlock(&t->state_lock);
  return bytes;
}

bool nc_table_relieve_other(nacre_table *t) {
  nacre_table *largest = t;
  pthread_mutex_lock(&t->shared->tables_lock);
  size_t most = active_bytes(t);
  for (nacre_table *other = t->shared->tables; other != NULL; other = other->next_shared) {
    size_t bytes = other == t ? 0 : active_bytes(other);
    if (bytes <= most) continue;
    most = bytes;
    largest = other;
  }
  bool claimed = largest != t && claim(largest, &largest->relief_queued); /* it cannot leave any more */
  pthread_mutex_unlock(&t->shared->tables_lock);
  if (claimed) nc_worker_submit(t->shared->workers, &largest->relief_job);
  return largest != t;
}

void nc_table_wait_jobs(nacre_table *t) {
  pthread_mutex_lock(&t->state_lock);
  while (t->flush_queued || t->merge_queued || t->relief_queued || t->jobs_running > 0)
    pthread_cond_wait(&t->changed, &t->state_lock);
  pthread_mutex_unlock(&t->state_lock);
}
