/* SPDX-License-Identifier: Apache-2.0
 *
 * write_room: a sound log to append to, and room in the memtable, before a group is written.
 *
 * A log that failed is abandoned: what it holds goes to a segment before a newer log acknowledges anything, so
 * that a write that returned an error is there or not, and never leaves a gap before a later one.
 */
#include "memory.h"
#include "write_room.h"

enum { CHUNK_BYTES_MIN = 16 << 10, CHUNK_BYTES_MAX = 1 << 20 };
enum { PAUSES_MAX = 150, PAUSE_NS = 10000000 }; /* a second and a half */

/* ---- logs ---------------------------------------------------------------------------------------------- */

/* A new log: file and header synced, name durable, commit synced, all before its first frame. */
static nacre_status create_log(nacre_table *t, nc_log **ret_log, nacre_error *err) {
  NC_TRY(nc_table_settle_manifest(t, err)); /* else each try would leave a file that cannot be named */
  uint64_t epoch, sequence;
  nc_uuid manifest;
  nc_table_moment(t, &epoch, &manifest, &sequence);
  nc_log *log;
  NC_TAKEN_KEYS(keys, &t->keys);
  NC_TRY(
      nc_log_create(&t->dir, &t->uuid, nc_table_keys_active(keys), nc_table_new_number(t), epoch, &log, err));
  nacre_status status = nc_dir_sync(&t->dir, err);
  nc_change change = {.add_log = log};
  if (status == NACRE_OK) status = nc_table_commit(t, &change, err);
  if (status != NACRE_OK) {
    nc_log_unref(log); /* its file stays: a failed commit may name it */
    return status;
  }
  *ret_log = log;
  return NACRE_OK;
}

nc_log_position nc_table_synced(nacre_table *t) {
  pthread_mutex_lock(&t->state_lock);
  nc_log_position synced = t->synced;
  pthread_mutex_unlock(&t->state_lock);
  return synced;
}

/* The newest log before this one that has begun and is still live; counted. */
static nc_log *predecessor_of(nacre_table *t, const nc_log *log) {
  nc_log *found = NULL;
  pthread_mutex_lock(&t->commit_lock);
  for (size_t i = 0; i < t->log_count; i++) {
    if (t->logs[i]->started && t->logs[i]->name.number < log->name.number) found = t->logs[i];
  }
  if (found != NULL) nc_log_ref(found);
  pthread_mutex_unlock(&t->commit_lock);
  return found;
}

nc_log_moment nc_table_log_moment(nacre_table *t) {
  uint64_t epoch;
  nc_log_moment moment = {.next_sequence = atomic_load(&t->visible) + 1, .synced = nc_table_synced(t)};
  nc_table_moment(t, &epoch, &moment.manifest, &moment.manifest_sequence);
  return moment;
}

nacre_status nc_table_start_log_locked(nacre_table *t, nacre_error *err) {
  if (t->log->started) return NACRE_OK;
  nc_log *predecessor = predecessor_of(t, t->log);
  nc_log_moment moment = nc_table_log_moment(t);
  nacre_status status = nc_log_start(t->log, predecessor, &moment, err);
  nc_log_unref(predecessor);
  return status;
}

/* ---- making ready -------------------------------------------------------------------------------------- */

/* Small memtables take memory in small pieces, so that an early flush has something to give back. */
static size_t chunk_bytes(const nc_shared *shared) {
  uint64_t chunk = shared->memtable_bytes / 16;
  return (size_t)(chunk < CHUNK_BYTES_MIN   ? CHUNK_BYTES_MIN
                  : chunk > CHUNK_BYTES_MAX ? CHUNK_BYTES_MAX
                                            : chunk);
}

nacre_status nc_table_new_memtable(nacre_table *t, nc_memtable **ret_memtable, nacre_error *err) {
  return nc_memtable_create(t->shared->env, t, chunk_bytes(t->shared), &t->shared->memtables_bytes,
                            ret_memtable, err);
}

/* Swaps in an empty memtable; the old one waits to be flushed together with all logs up to `logs_to`. */
static nacre_status replace_memtable(nacre_table *t, uint64_t logs_to, nacre_error *err) {
  nc_memtable *fresh;
  nc_memory_settle(t->shared);
  NC_TRY(nc_table_new_memtable(t, &fresh, err));
  pthread_mutex_lock(&t->commit_lock);
  nc_immutable *full = &t->immutables[t->immutable_count];
  *full =
      (nc_immutable){.memtable = t->active, .logs_to = logs_to, .last_sequence = atomic_load(&t->visible)};
  nc_view *view, *old = t->view;
  nacre_status status =
      nc_view_create(fresh, t->immutables, t->immutable_count + 1, old->version, &view, err);
  if (status == NACRE_OK) {
    nc_pin_ref(nc_memtable_pin(full->memtable));
    pthread_mutex_lock(&t->state_lock);
    t->immutable_count++;
    t->idle = false;
    nc_table_show_locked(t, view);
    t->active = fresh;
  }
  pthread_mutex_unlock(&t->commit_lock);
  nc_pin_unref(nc_memtable_pin(fresh)); /* the view keeps it */
  return status;
}

/* Waits for a place among the immutables. Without workers, after a flush that failed, and when no worker has come
 * to it yet, does the work here: the workers may all be waiting for the lock that is held here. */
static nacre_status await_place(nacre_table *t, nacre_error *err) {
  uint64_t began = 0;
  for (;;) {
    pthread_mutex_lock(&t->state_lock);
    bool full = t->immutable_count >= NC_IMMUTABLES_MAX;
    bool alone = t->flush_error.status != NACRE_OK || t->flush_queued || t->jobs_running == 0;
    if (full && began == 0) began = nc_meter_begin(t, NC_METER_STALL);
    if (full && !alone) pthread_cond_wait(&t->changed, &t->state_lock);
    pthread_mutex_unlock(&t->state_lock);
    if (!full) break;
    if (alone) NC_TRY(nc_table_flush_immutables(t, err));
  }
  nc_meter_end(t, NC_METER_STALL, began);
  return NACRE_OK;
}

nacre_status nc_table_rotate_locked(nacre_table *t, nacre_error *err) {
  NC_TRY(await_place(t, err));
  nc_log *fresh;
  NC_TRY(create_log(t, &fresh, err));
  nacre_status status = replace_memtable(t, t->log->name.number, err);
  if (status != NACRE_OK) {
    nc_log_unref(fresh); /* live and empty: the next log follows it */
    return status;
  }
  nc_log_end_window(t->log);
  nc_log_unref(t->log);
  t->log = fresh;
  nc_table_schedule_flush(t);
  return NACRE_OK;
}

nacre_status nc_table_renew_log_locked(nacre_table *t, nacre_error *err) {
  pthread_mutex_lock(&t->commit_lock);
  bool many = t->log_count >= NC_LOGS_KEPT_MAX;
  pthread_mutex_unlock(&t->commit_lock);
  if (many && nc_memtable_entries(t->active) > 0) return nc_table_rotate_locked(t, err);
  nc_log *fresh;
  NC_TRY(create_log(t, &fresh, err));
  nc_log_end_window(t->log);
  nc_log_unref(t->log);
  t->log = fresh;
  return NACRE_OK;
}

/* The newest live log; 0: there is none. */
static uint64_t newest_log(nacre_table *t) {
  pthread_mutex_lock(&t->commit_lock);
  uint64_t number = t->log_count == 0 ? 0 : t->logs[t->log_count - 1]->name.number;
  pthread_mutex_unlock(&t->commit_lock);
  return number;
}

/* Puts everything that only logs hold into segments, and drops those logs. */
static nacre_status flush_all(nacre_table *t, nacre_error *err) {
  uint64_t logs_to = newest_log(t);
  NC_TRY(nc_table_flush_immutables(t, err));
  if (nc_memtable_entries(t->active) > 0) NC_TRY(replace_memtable(t, logs_to, err));
  NC_TRY(nc_table_flush_immutables(t, err));
  if (newest_log(t) == 0) return NACRE_OK;
  nc_change change = {.drop_logs_to = logs_to, .last_sequence = atomic_load(&t->visible)};
  return nc_table_commit(t, &change, err);
}

nacre_status nc_table_drain_logs_locked(nacre_table *t, nacre_error *err) {
  t->must_flush = true; /* from here on the log takes nothing more, also when this fails half-way */
  NC_TRY(flush_all(t, err));
  nc_log_unref(t->log);
  t->log = NULL;
  t->must_flush = false;
  return NACRE_OK;
}

/* A sound log to append to: the one there is, or a new one, after what must be flushed has been. */
static nacre_status ensure_log(nacre_table *t, nacre_error *err) {
  bool failed = t->log != NULL && nc_log_failed(t->log);
  if (failed || atomic_load(&t->log_failed)) { /* looked at before it is changed, which each write would pay for */
    atomic_store(&t->log_failed, false);
    t->must_flush = true;
  }
  if (t->must_flush) NC_TRY(nc_table_drain_logs_locked(t, err));
  return t->log != NULL ? NACRE_OK : create_log(t, &t->log, err);
}

static bool merges_are_far_behind(nacre_table *t) {
  pthread_mutex_lock(&t->state_lock);
  bool behind = t->view->version->run_count >= NC_RUNS_STALL && (t->merge_queued || t->jobs_running > 0) &&
                t->merge_error.status == NACRE_OK && !nc_worker_pool_inline(t->shared->workers);
  pthread_mutex_unlock(&t->state_lock);
  return behind;
}

/* Merges that do not keep up although writers were slowed down (throttle.h) stop them, rather than the readers
 * forever; but not for long at a time: the lock that is held here may be what stands between a merge and its
 * worker. */
static void await_merges(nacre_table *t) {
  if (!merges_are_far_behind(t)) return;
  uint64_t began = nc_meter_begin(t, NC_METER_STALL);
  for (int i = 0; i < PAUSES_MAX && merges_are_far_behind(t); i++) nc_pause(PAUSE_NS);
  nc_meter_end(t, NC_METER_STALL, began);
}

static nacre_status make_room(nacre_table *t, nacre_error *err) {
  const nc_memtable *active = t->active;
  bool full = nc_memtable_bytes(active) >= t->shared->memtable_bytes;
  if (nc_memtable_entries(active) == 0 || (!full && !nc_memory_is_short(t->shared))) return NACRE_OK;
  if (!full && nc_table_relieve_other(t)) return NACRE_OK;
  /* What is still pinned by readers cannot be flushed away: a memtable of one chunk is not what is too
   * much. */
  if (!full && nc_memtable_bytes(active) < 2 * chunk_bytes(t->shared)) return NACRE_OK;
  await_merges(t);
  return nc_table_rotate_locked(t, err);
}

nacre_status nc_table_ready_locked(nacre_table *t, nacre_error *err) {
  if (!t->writing) NC_TRY(nc_table_begin_writing_locked(t, err));
  return ensure_log(t, err);
}

nacre_status nc_table_prepare_locked(nacre_table *t, nacre_error *err) {
  NC_TRY(nc_table_ready_locked(t, err));
  return make_room(t, err);
}
