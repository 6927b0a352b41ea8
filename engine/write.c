/* SPDX-License-Identifier: Apache-2.0
 *
 * write: from a put to the log and the memtable.
 *
 * The way of a write: room is reserved in the memtable, the group is encoded in private memory, sealed and
 * appended to the log as one frame, inserted, made visible, acknowledged. Nothing after the append can fail.
 * A failed append abandons the log: what it holds goes to a segment before a newer log acknowledges anything,
 * so that a write that returned an error is there or not, and never leaves a gap before a later one.
 */
#include <stdlib.h>

#include "batch.h"
#include "last_error.h"
#include "table.h"
#include "write_batch.h"

enum { CHUNK_BYTES_MIN = 16 << 10, CHUNK_BYTES_MAX = 1 << 20 };

/* ---- logs ---------------------------------------------------------------------------------------------- */

/* A new log: file and header synced, name durable, commit synced, all before its first frame. */
static nacre_status create_log(nacre_table *t, nc_log **ret_log, nacre_error *err) {
  NC_TRY(nc_table_settle_manifest(t, err)); /* else each try would leave a file that cannot be named */
  uint64_t epoch, sequence;
  nc_uuid manifest;
  nc_table_moment(t, &epoch, &manifest, &sequence);
  nc_log *log;
  NC_TAKEN_KEYS(keys, &t->keys);
  NC_TRY(nc_log_create(&t->dir, &t->uuid, nc_table_keys_active(keys), nc_table_new_number(t), epoch, &log,
                       err));
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

static nc_log_position synced_position(nacre_table *t) {
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

static nc_log_moment log_moment(nacre_table *t) {
  uint64_t epoch;
  nc_log_moment moment = {.next_sequence = atomic_load(&t->visible) + 1, .synced = synced_position(t)};
  nc_table_moment(t, &epoch, &moment.manifest, &moment.manifest_sequence);
  return moment;
}

static nacre_status start_log(nacre_table *t, nacre_error *err) {
  if (t->log->started) return NACRE_OK;
  nc_log *predecessor = predecessor_of(t, t->log);
  nc_log_moment moment = log_moment(t);
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
    t->view = view;
    pthread_mutex_unlock(&t->state_lock);
    t->active = fresh;
    nc_view_unref(old);
  }
  pthread_mutex_unlock(&t->commit_lock);
  nc_pin_unref(nc_memtable_pin(fresh)); /* the view keeps it */
  return status;
}

/* Waits for a place among the immutables. Without workers, after a flush that failed, and when no worker has come
 * to it yet, does the work here: the workers may all be waiting for the lock that is held here. */
static nacre_status await_place(nacre_table *t, nacre_error *err) {
  for (;;) {
    pthread_mutex_lock(&t->state_lock);
    bool full = t->immutable_count >= NC_IMMUTABLES_MAX;
    bool alone = t->flush_error.status != NACRE_OK || t->flush_queued || t->jobs_running == 0;
    if (full && !alone) pthread_cond_wait(&t->changed, &t->state_lock);
    pthread_mutex_unlock(&t->state_lock);
    if (!full) return NACRE_OK;
    if (alone) NC_TRY(nc_table_flush_immutables(t, err));
  }
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

/* Any live log that has failed, the one that takes new groups or an older one. */
static bool any_log_failed(nacre_table *t) {
  bool failed = false;
  pthread_mutex_lock(&t->commit_lock);
  for (size_t i = 0; i < t->log_count; i++) failed = failed || nc_log_failed(t->logs[i]);
  pthread_mutex_unlock(&t->commit_lock);
  return failed;
}

/* A sound log to append to: the one there is, or a new one, after what must be flushed has been. */
static nacre_status ensure_log(nacre_table *t, nacre_error *err) {
  if (atomic_exchange(&t->log_failed, false) || (t->log != NULL && nc_log_failed(t->log)))
    t->must_flush = true;
  if (t->must_flush) {
    NC_TRY(flush_all(t, err));
    nc_log_unref(t->log);
    t->log = NULL;
    t->must_flush = false;
  }
  return t->log != NULL ? NACRE_OK : create_log(t, &t->log, err);
}

static bool over_budget(const nacre_table *t) {
  uint64_t memtables = atomic_load_explicit(&t->shared->memtables_bytes, memory_order_relaxed);
  return memtables + t->shared->cache_bytes > t->shared->memory_bytes_max;
}

/* Merges that do not keep up slow the writers down, rather than the readers forever. Not while a
 * rewrap runs: it may keep the merge from its worker, and wait for the lock that is held here. */
static void await_merges(nacre_table *t) {
  pthread_mutex_lock(&t->state_lock);
  while (t->view->version->run_count >= NC_RUNS_STALL && (t->merge_queued || t->jobs_running > 0) &&
         !t->rewrapper.running && t->merge_error.status == NACRE_OK &&
         !nc_worker_pool_inline(t->shared->workers)) {
    pthread_cond_wait(&t->changed, &t->state_lock);
  }
  pthread_mutex_unlock(&t->state_lock);
}

static nacre_status make_room(nacre_table *t, nacre_error *err) {
  const nc_memtable *active = t->active;
  bool full = nc_memtable_bytes(active) >= t->shared->memtable_bytes;
  if (nc_memtable_entries(active) == 0 || (!full && !over_budget(t))) return NACRE_OK;
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

/* ---- one group ----------------------------------------------------------------------------------------- */

typedef struct group {
  const nc_entry *single; /* one operation, or */
  nacre_slice operations; /* encoded ones */
  uint64_t count;
  size_t bytes; /* encoded */
} group;

static nacre_status encode_group(nacre_table *t, const group *g, uint64_t first_sequence,
                                 nacre_slice *ret_record, nacre_error *err) {
  size_t need = NC_LOG_RECORD_FIXED_BYTES_MAX + g->bytes;
  if (need > t->encode_capacity) {
    uint8_t *grown = nc_heap_grow(t->shared->env->heap, t->encode, t->encode_capacity, need);
    if (grown == NULL) return nc_fail(err, NC_E_NO_MEMORY, "%zu bytes to encode a group", need);
    t->encode = grown;
    t->encode_capacity = need;
  }
  nc_log_record record = {.first_sequence = first_sequence, .count = g->count, .synced = synced_position(t)};
  size_t size = nc_log_record_encode(&record, NC_FRAME_LOG_GROUP, t->encode);
  if (g->single != NULL) {
    size += nc_operation_encode(g->single->kind, g->single->key, g->single->value, t->encode + size);
  } else {
    memcpy(t->encode + size, g->operations.data, g->operations.size);
    size += g->operations.size;
  }
  *ret_record = nc_slice(t->encode, size);
  return NACRE_OK;
}

/* The log holds the group: from here on nothing fails. Batches were checked as they were built. */
static void insert_group(nacre_table *t, const group *g, uint64_t first_sequence) {
  nc_memtable *active = t->active;
  nc_batch_reader reader;
  nc_entry entry;
  bool more = true;
  if (g->single != NULL) {
    entry = *g->single;
    entry.sequence = first_sequence;
    nc_memtable_add(active, &entry);
  } else {
    nc_batch_read_begin(&reader, g->operations);
    for (uint64_t i = 0; i < g->count && nc_batch_read(&reader, &entry, &more, NULL) == NACRE_OK && more;
         i++) {
      entry.sequence = first_sequence + i;
      nc_memtable_add(active, &entry);
    }
  }
  atomic_store_explicit(&t->visible, first_sequence + g->count - 1, memory_order_release);
}

static nacre_status append_group(nacre_table *t, const group *g, nc_log_position *ret_end, nacre_error *err) {
  uint64_t first_sequence = atomic_load(&t->visible) + 1;
  nacre_slice record;
  if (first_sequence > NC_SEQUENCE_MAX || g->count > NC_SEQUENCE_MAX - first_sequence)
    return nc_fail(err, NC_E_SEQUENCES_SPENT, NULL);
  NC_TRY(nc_table_prepare_locked(t, err));
  NC_TRY(start_log(t, err));
  NC_TRY(encode_group(t, g, first_sequence, &record, err));
  NC_TRY(nc_memtable_reserve(t->active, (size_t)g->count, g->bytes, err));
  NC_TRY(nc_log_append_group(t->log, record, first_sequence + g->count - 1, err));
  insert_group(t, g, first_sequence);
  *ret_end = nc_log_tail(t->log);
  pthread_mutex_lock(&t->state_lock);
  t->counters.writes++;
  t->counters.write_bytes += record.size;
  pthread_mutex_unlock(&t->state_lock);
  return NACRE_OK;
}

/* ---- syncing ------------------------------------------------------------------------------------------- */

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
    nc_log_moment moment = log_moment(t);
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
  nacre_status status = logs_to_sync_locked(t, synced_position(t), &logs, &count, err);
  pthread_mutex_unlock(&t->write_lock);
  NC_TRY(status);
  for (size_t i = 0; i < count; i++) {
    if (status == NACRE_OK) status = nc_sealed_writer_sync(logs[i]->writer, err);
    nc_log_unref(logs[i]);
  }
  free(logs);
  NC_TRY(status);
  pthread_mutex_lock(&t->state_lock);
  if (nc_log_position_compare(tail, t->synced) > 0) t->synced = tail;
  t->counters.syncs++;
  pthread_mutex_unlock(&t->state_lock);
  return NACRE_OK;
}

/* What was replayed after an unclean end, or stands in a failed log, is made durable by flushing it. */
static nacre_status settle_log_locked(nacre_table *t, nacre_error *err) {
  return any_log_failed(t) || t->must_flush ? nc_table_ready_locked(t, err) : NACRE_OK;
}

/* After a failed sync the kernel may have dropped what the log held, so a segment must hold it, at once; the
 * caller is told of the failure all the same. When this fails too, the next write tries again before it is
 * acknowledged. */
static void rescue_failed_log(nacre_table *t) {
  pthread_mutex_lock(&t->write_lock);
  nc_ignore(settle_log_locked(t, NULL));
  pthread_mutex_unlock(&t->write_lock);
}

static nacre_status sync_to(nacre_table *t, nc_log_position position, bool mark, nacre_error *err) {
  nacre_status status = NACRE_OK;
  pthread_mutex_lock(&t->sync_lock);
  if (nc_log_position_compare(synced_position(t), position) < 0) {
    status = sync_logs_locked(t, err);
    if (status != NACRE_OK) atomic_store(&t->log_failed, true);
    if (status == NACRE_OK && mark) append_mark(t);
  }
  pthread_mutex_unlock(&t->sync_lock);
  if (status != NACRE_OK) rescue_failed_log(t);
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

/* Sync, final frame, sync again: the final frame vouches for all that stands before it, so nothing, no mark
 * either, may come between the first sync and it. */
nacre_status nc_table_end_log(nacre_table *t, nacre_error *err) {
  NC_TRY(sync_table(t, false, err));
  if (t->log == NULL || !t->log->started) return NACRE_OK;
  nc_log_moment moment = log_moment(t);
  NC_TRY(nc_log_append_mark(t->log, NC_FRAME_LOG_FINAL, &moment, err));
  return nc_sealed_writer_sync(t->log->writer, err);
}

/* ---- writing ------------------------------------------------------------------------------------------- */

static nacre_status write_group(nacre_table *t, const group *g, bool sync, nacre_error *err) {
  nc_log_position end;
  pthread_mutex_lock(&t->write_lock);
  nacre_status status = append_group(t, g, &end, err);
  pthread_mutex_unlock(&t->write_lock);
  return status == NACRE_OK && sync ? sync_to(t, end, true, err) : status;
}

static nacre_status write_single(nacre_table *t, const nc_entry *entry, bool sync, nacre_error *err) {
  group g = {.single = entry, .count = 1};
  NC_TRY(nc_operation_size(entry->kind, entry->key, entry->value, &g.bytes, err));
  return write_group(t, &g, sync, err);
}

nacre_status nc_table_put(nacre_table *t, nacre_slice key, nacre_slice value, bool sync, nacre_error *err) {
  nc_entry entry = {.key = key, .kind = NC_KIND_PUT, .value = value};
  return write_single(t, &entry, sync, err);
}

nacre_status nc_table_delete(nacre_table *t, nacre_slice key, bool sync, nacre_error *err) {
  nc_entry entry = {.key = key, .kind = NC_KIND_DELETE};
  return write_single(t, &entry, sync, err);
}

static nacre_status check_write(nacre_table *t, const nacre_write_options *options, nacre_error *err) {
  NC_TRY(nc_table_check_writable(t, err));
  return options == NULL ? NACRE_OK : nc_check_reserved(options->reserved, err);
}

static nacre_status check_key(nacre_slice key, nacre_error *err) {
  return key.data == NULL ? nc_fail(err, NC_E_ARGUMENT, "the key is NULL") : NACRE_OK;
}

nacre_status nacre_put(nacre_table *table, nacre_slice key, nacre_slice value,
                       const nacre_write_options *options) {
  nacre_error *err = nc_thread_error();
  NC_TRY(check_write(table, options, err));
  NC_TRY(check_key(key, err));
  if (value.data == NULL && value.size != 0) return nc_fail(err, NC_E_ARGUMENT, "the value is NULL");
  return nc_table_put(table, key, value, options != NULL && options->sync, err);
}

nacre_status nacre_delete(nacre_table *table, nacre_slice key, const nacre_write_options *options) {
  nacre_error *err = nc_thread_error();
  NC_TRY(check_write(table, options, err));
  NC_TRY(check_key(key, err));
  return nc_table_delete(table, key, options != NULL && options->sync, err);
}

nacre_status nacre_write(nacre_table *table, const nacre_batch *batch, const nacre_write_options *options) {
  nacre_error *err = nc_thread_error();
  NC_TRY(check_write(table, options, err));
  if (batch == NULL) return nc_fail(err, NC_E_ARGUMENT, "the batch is NULL");
  if (nc_batch_forked(batch)) return nc_fail(err, NC_E_FORKED, "the batch");
  bool sync = options != NULL && options->sync;
  group g = {.operations = nc_batch_operations(batch), .count = nacre_batch_count(batch)};
  g.bytes = g.operations.size;
  if (g.count == 0) return sync ? nc_table_sync(table, err) : NACRE_OK;
  return write_group(table, &g, sync, err);
}

nacre_status nacre_sync(nacre_table *table) {
  nacre_error *err = nc_thread_error();
  NC_TRY(nc_table_check_writable(table, err));
  return nc_table_sync(table, err);
}
