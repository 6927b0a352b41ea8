/* SPDX-License-Identifier: Apache-2.0
 *
 * log_sync: making what has been appended durable, older logs first; what happens after a failed sync; the
 * clean end of the logs.
 */
#include <stdlib.h>

#include "write_room.h"

/* The logs that hold bytes behind `synced`, counted, oldest first. Needs write_lock: the newest log's end
 * belongs to writers. */
static nacre_status logs_to_sync_locked(nacre_table *t, nc_log_position synced, nc_log ***ret_logs,
                                        size_t *ret_count, nacre_error *err) {
  size_t count = 0;
  nacre_status status = NACRE_OK;
  pthread_mutex_lock(&t->commit_lock);
  nc_log **list = calloc(t->log_count + 1, sizeof(nc_log *));
  if (list == NULL) status = nc_fail(err, NC_E_NO_MEMORY, NULL);
  for (size_t i = 0; list != NULL && i < t->log_count; i++) {
    nc_log *log = t->logs[i];
    if (log->writer == NULL || !log->started || nc_log_position_compare(nc_log_tail(log), synced) <= 0)
      continue;
    nc_log_ref(log);
    list[count++] = log;
  }
  pthread_mutex_unlock(&t->commit_lock);
  *ret_logs = list;
  *ret_count = count;
  return status;
}

static nc_log_position log_tail(nacre_table *t) {
  return t->log == NULL ? (nc_log_position){0} : nc_log_tail(t->log);
}

/* A mark says in the log what a sync achieved; it need not be durable itself. That it could not be written is
 * not the failure of the sync: the log is failed then, and the next write sees to it. */
static void append_mark(nacre_table *t) {
  pthread_mutex_lock(&t->write_lock);
  if (t->log != NULL && t->log->started && !nc_log_failed(t->log)) {
    nc_log_moment moment = nc_table_log_moment(t);
    nc_ignore(nc_log_append_mark(t->log, NC_FRAME_LOG_MARK, &moment, NULL));
  }
  pthread_mutex_unlock(&t->write_lock);
}

/* Makes everything durable that has been appended by now, whoever did: older logs first, for no newer log may
 * vouch for what an older one has not made durable. Needs sync_lock. */
static nacre_status sync_logs_locked(nacre_table *t, nacre_error *err) {
  nc_log **logs;
  size_t count;
  pthread_mutex_lock(&t->write_lock);
  nc_log_position tail = log_tail(t);
  nacre_status status = logs_to_sync_locked(t, nc_table_synced(t), &logs, &count, err);
  pthread_mutex_unlock(&t->write_lock);
  NC_TRY(status);
  uint64_t began = nc_meter_begin(t, NC_METER_SYNC);
  for (size_t i = 0; i < count; i++) {
    if (status == NACRE_OK) status = nc_sealed_writer_sync(logs[i]->writer, err);
    nc_log_unref(logs[i]);
  }
  nc_meter_end(t, NC_METER_SYNC, began);
  free(logs);
  NC_TRY(status);
  pthread_mutex_lock(&t->state_lock);
  if (nc_log_position_compare(tail, t->synced) > 0) t->synced = tail;
  t->counters.syncs++;
  pthread_mutex_unlock(&t->state_lock);
  return NACRE_OK;
}

/* Any live log that has failed, the one that takes new groups or an older one. */
static bool any_log_failed(nacre_table *t) {
  bool failed = false;
  pthread_mutex_lock(&t->commit_lock);
  for (size_t i = 0; i < t->log_count; i++) failed = failed || nc_log_failed(t->logs[i]);
  pthread_mutex_unlock(&t->commit_lock);
  return failed;
}

/* What was replayed after an unclean end, or stands in a failed log, is made durable by flushing it. */
static nacre_status settle_log_locked(nacre_table *t, nacre_error *err) {
  return any_log_failed(t) || t->must_flush ? nc_table_ready_locked(t, err) : NACRE_OK;
}

/* After a failed sync the kernel may have dropped what the log held, so a segment must hold it, at once; the
 * caller is told of the failure all the same. When this fails too, the next write tries again before it is
 * acknowledged. */
void nc_table_rescue_failed_log(nacre_table *t) {
  pthread_mutex_lock(&t->write_lock);
  nacre_error why;
  nacre_status status = settle_log_locked(t, &why);
  nc_table_note_result(t, &t->write_error, status, &why);
  pthread_mutex_unlock(&t->write_lock);
}

nacre_status nc_table_sync_to_locked(nacre_table *t, nc_log_position position, bool mark, nacre_error *err) {
  if (nc_log_position_compare(nc_table_synced(t), position) >= 0) return NACRE_OK;
  nacre_status status = sync_logs_locked(t, err);
  if (status != NACRE_OK) {
    atomic_store(&t->log_failed, true);
    nc_table_note_result(t, &t->write_error, status, err);
  } else if (mark) {
    append_mark(t);
  }
  return status;
}

static nacre_status sync_to(nacre_table *t, nc_log_position position, bool mark, nacre_error *err) {
  pthread_mutex_lock(&t->sync_lock);
  nacre_status status = nc_table_sync_to_locked(t, position, mark, err);
  pthread_mutex_unlock(&t->sync_lock);
  if (status != NACRE_OK) nc_table_rescue_failed_log(t);
  return status;
}

static nacre_status sync_table(nacre_table *t, bool mark, nacre_error *err) {
  pthread_mutex_lock(&t->write_lock);
  nacre_status status = settle_log_locked(t, err);
  nc_log_position tail = log_tail(t);
  pthread_mutex_unlock(&t->write_lock);
  return status == NACRE_OK ? sync_to(t, tail, mark, err) : status;
}

nacre_status nc_table_sync(nacre_table *t, nacre_error *err) { return sync_table(t, true, err); }

/* ---- the clean end ------------------------------------------------------------------------------------- */

/* Logs of this many bytes are not left to be replayed by every open; or of a part of a full memtable, if that is less. */
enum { REPLAY_BYTES_MAX = 2 << 20, REPLAY_PART = 8 };

static bool worth_flushing(nacre_table *t) {
  uint64_t memtable = t->shared->memtable_bytes / REPLAY_PART, bytes = 0;
  pthread_mutex_lock(&t->commit_lock);
  for (size_t i = 0; i < t->log_count; i++) bytes += t->logs[i]->end - NC_FRAMES_OFFSET;
  pthread_mutex_unlock(&t->commit_lock);
  return bytes >= (memtable < REPLAY_BYTES_MAX ? memtable : REPLAY_BYTES_MAX);
}

/* What the logs hold goes to segments when replaying it would cost each open something. When that fails (a full disk)
 * the logs are as sound as before, and end as they would have without. The catalogue, which has no name, stays in its
 * log. */
static void flush_at_close(nacre_table *t) {
  pthread_mutex_lock(&t->write_lock);
  bool sound = !t->must_flush && !atomic_load(&t->log_failed) && !any_log_failed(t);
  nacre_status status = NACRE_CANCELLED;
  nacre_error why; /* noted where flushes and merges note theirs */
  if (sound && t->name[0] != '\0' && worth_flushing(t)) {
    status = nc_table_drain_logs_locked(t, &why);
    if (status != NACRE_OK) t->must_flush = false;
  }
  pthread_mutex_unlock(&t->write_lock);
  if (status == NACRE_OK) nc_ignore(nc_table_merge_small(t, &why));
}

/* A log that a change of keys began, and nobody has written to since, says nothing of those before it: it is started
 * for the final frame's sake, before the sync. */
static nacre_status start_last_log(nacre_table *t, nacre_error *err) {
  bool begun = false;
  nacre_status status = NACRE_OK;
  pthread_mutex_lock(&t->write_lock);
  pthread_mutex_lock(&t->commit_lock);
  for (size_t i = 0; i < t->log_count; i++) begun |= t->logs[i]->started;
  pthread_mutex_unlock(&t->commit_lock);
  if (t->log != NULL && begun) status = nc_table_start_log_locked(t, err);
  pthread_mutex_unlock(&t->write_lock);
  return status;
}

/* Sync, final frame, sync again: the final frame vouches for all that stands before it, so nothing, no mark
 * either, may come between the first sync and it. */
nacre_status nc_table_end_log(nacre_table *t, nacre_error *err) {
  flush_at_close(t);
  nc_ignore(start_last_log(t, NULL)); /* a log that failed is given up by the sync */
  NC_TRY(sync_table(t, false, err));
  if (t->log == NULL || !t->log->started) return NACRE_OK;
  nc_log_moment moment = nc_table_log_moment(t);
  NC_TRY(nc_log_append_mark(t->log, NC_FRAME_LOG_FINAL, &moment, err));
  return nc_sealed_writer_sync(t->log->writer, err);
}
