/* SPDX-License-Identifier: Apache-2.0
 *
 * write: the calls that write. Whoever comes while nobody writes does so at once; who comes meanwhile is written
 * by the next leader, in a group (write_queue.h, write_group.h).
 */
#include "batch.h"
#include "large_write.h"
#include "last_error.h"
#include "write_batch.h"
#include "write_expect.h"
#include "write_group.h"
#include "write_room.h"

static void finish_others(nc_write *first, const nc_write *own) {
  for (nc_write *w = first, *next; w != NULL; w = next) {
    next = nc_write_next(w);
    if (w != own) nc_waiter_finish(&w->waiter);
  }
}

static nc_write *take(nc_write_queue *q) { return (nc_write *)(void *)nc_write_queue_take(q); }

/* Survives the process on return. Alone, nothing but the lock is between a caller and the log. */
static nacre_status write_unsynced(nacre_table *t, nc_write *w) {
  nc_log_position end;
  bool any;
  if (nc_write_queue_empty(&t->writers) && pthread_mutex_trylock(&t->write_lock) == 0) {
    nc_write_all_locked(t, w, &end, &any);
    pthread_mutex_unlock(&t->write_lock);
  } else if (nc_write_queue_join(&t->writers, &w->waiter)) {
    nc_lock_soon(&t->write_lock);
    nc_write *all = take(&t->writers);
    nc_write_all_locked(t, all, &end, &any);
    pthread_mutex_unlock(&t->write_lock);
    finish_others(all, w);
  } else {
    nc_waiter_await(&w->waiter, true);
  }
  return w->status;
}

/* What was written was not made durable: everyone is told. */
static void spread_failure(nc_write *first, nacre_status status, const nacre_error *why) {
  for (nc_write *w = first; w != NULL; w = nc_write_next(w)) {
    if (w->status != NACRE_OK) continue;
    w->status = status;
    if (w->err != NULL) *w->err = *why;
  }
}

/* On stable storage on return. The leader waits for the sync under way before it takes those who wait: they share
 * one group and one sync, while those who do not sync go on beside it. */
static nacre_status write_synced(nacre_table *t, nc_write *w) {
  if (!nc_write_queue_join(&t->syncing_writers, &w->waiter)) {
    nc_waiter_await(&w->waiter, false);
    return w->status;
  }
  nc_log_position end;
  bool any;
  nacre_error why;
  nacre_status status = NACRE_OK;
  pthread_mutex_lock(&t->sync_lock);
  nc_lock_soon(&t->write_lock);
  nc_write *all = take(&t->syncing_writers);
  nc_write_all_locked(t, all, &end, &any);
  pthread_mutex_unlock(&t->write_lock);
  if (any) status = nc_table_sync_to_locked(t, end, true, &why);
  pthread_mutex_unlock(&t->sync_lock);
  if (status != NACRE_OK) {
    nc_table_rescue_failed_log(t);
    spread_failure(all, status, &why);
  }
  finish_others(all, w);
  return w->status;
}

static nacre_status submit(nacre_table *t, nc_write *w, bool sync) {
  nc_metered what = sync ? NC_METER_SYNCED_WRITE : NC_METER_WRITE;
  uint64_t began = nc_meter_begin(t, what);
  nc_throttle_pay(t, w->bytes);
  nacre_status status = sync ? write_synced(t, w) : write_unsynced(t, w);
  nc_meter_end(t, what, began);
  return status;
}

static nacre_status write_single(nacre_table *t, const nc_entry *entry, bool sync, nacre_error *err) {
  nc_write w = {.single = entry, .count = 1, .err = err, .ranges = entry->kind == NC_KIND_RANGE_DELETE};
  NC_TRY(nc_operation_size(entry->kind, entry->key, entry->value, &w.bytes, err));
  return submit(t, &w, sync);
}

/* The value's file comes first, whole and durable; then its reference is written like any value. */
static nacre_status write_large(nacre_table *t, nacre_slice key, nacre_slice value, uint64_t expires_ms,
                                bool sync, nacre_error *err) {
  uint8_t reference[NC_VALUE_REFERENCE_BYTES_MAX];
  nc_entry entry = {.key = key, .kind = NC_KIND_LARGE, .value = {reference, sizeof reference}};
  nc_write w = {.single = &entry, .count = 1, .err = err};
  nc_large_write large;
  NC_TRY(
      nc_operation_size(entry.kind, key, entry.value, &w.bytes, err)); /* before a file is written for it */
  nc_large_write_init(&large, t);
  nacre_status status = nc_large_write_value(&large, value, expires_ms, reference, &entry.value.size, err);
  if (status == NACRE_OK) status = nc_large_write_settle(&large, err);
  if (status == NACRE_OK) status = nc_operation_size(entry.kind, key, entry.value, &w.bytes, err);
  if (status == NACRE_OK) status = submit(t, &w, sync);
  nc_large_write_end(&large, &w);
  return status;
}

/* A batch of which not all fits the log, or is to stand there: the same. */
static nacre_status write_large_batch(nacre_table *t, const nacre_batch *batch, nc_write *w, bool sync,
                                      nacre_error *err) {
  nc_large_write large;
  nc_heap *heap = t->shared->env->heap;
  size_t capacity = nc_batch_placed_bound(batch, t), size = 0;
  uint8_t *bytes = nc_heap_alloc(heap, capacity);
  if (bytes == NULL) return nc_fail(err, NC_E_NO_MEMORY, "%zu bytes for a batch", capacity);
  nc_large_write_init(&large, t);
  nacre_status status = nc_batch_place(batch, &large, bytes, &size, err);
  if (status == NACRE_OK) status = nc_large_write_settle(&large, err);
  w->operations = nc_slice(bytes, size);
  w->bytes = size;
  if (status == NACRE_OK) status = submit(t, w, sync);
  nc_large_write_end(&large, w);
  nc_heap_free(heap, bytes, capacity);
  return status;
}

nacre_status nc_table_put(nacre_table *t, nacre_slice key, nacre_slice value, bool sync, nacre_error *err) {
  if (nc_value_is_large(t, key.size, value.size)) return write_large(t, key, value, 0, sync, err);
  nc_entry entry = {.key = key, .kind = NC_KIND_PUT, .value = value};
  return write_single(t, &entry, sync, err);
}

nacre_status nc_table_delete(nacre_table *t, nacre_slice key, bool sync, nacre_error *err) {
  nc_entry entry = {.key = key, .kind = NC_KIND_DELETE};
  return write_single(t, &entry, sync, err);
}

/* As one operation of a batch. */
static nacre_status put_expiring(nacre_table *t, nacre_slice key, nacre_slice value,
                                 const nacre_write_options *options, nacre_error *err) {
  if (nc_value_is_large(t, key.size, value.size))
    return write_large(t, key, value, options->expire_at_ms, options->sync, err);
  nc_heap *heap = t->shared->env->heap;
  size_t size;
  NC_TRY(nc_operation_size(NC_KIND_EXPIRING, key, nc_slice(value.data, NC_EXPIRY_BYTES + value.size), &size,
                           err));
  uint8_t *operation = nc_heap_alloc(heap, size);
  if (operation == NULL) return nc_fail(err, NC_E_NO_MEMORY, "%zu bytes for a value that expires", size);
  nc_operation_encode_expiring(key, value, options->expire_at_ms, operation);
  nc_write w = {.operations = nc_slice(operation, size), .count = 1, .bytes = size, .err = err};
  nacre_status status = submit(t, &w, options->sync);
  nc_heap_free(heap, operation, size);
  return status;
}

static nacre_status check_write(nacre_table *t, const nacre_write_options *options, nacre_error *err) {
  NC_TRY(nc_table_check_writable(t, err));
  return options == NULL ? NACRE_OK : nc_check_reserved(options->reserved, err);
}

/* Of the calls that put nothing, or say in the batch what expires. */
static nacre_status check_other(nacre_table *t, const nacre_write_options *options, nacre_error *err) {
  NC_TRY(check_write(t, options, err));
  if (options == NULL || options->expire_at_ms == 0) return NACRE_OK;
  return nc_fail(err, NC_E_ARGUMENT, "expire_at_ms is for nacre_put alone");
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
  if (options != NULL && options->expire_at_ms != 0) return put_expiring(table, key, value, options, err);
  return nc_table_put(table, key, value, options != NULL && options->sync, err);
}

nacre_status nacre_delete(nacre_table *table, nacre_slice key, const nacre_write_options *options) {
  nacre_error *err = nc_thread_error();
  NC_TRY(check_other(table, options, err));
  NC_TRY(check_key(key, err));
  return nc_table_delete(table, key, options != NULL && options->sync, err);
}

nacre_status nacre_delete_range(nacre_table *table, nacre_slice from, nacre_slice to_excluded,
                                const nacre_write_options *options) {
  nacre_error *err = nc_thread_error();
  NC_TRY(check_other(table, options, err));
  NC_TRY(nc_check_range(from, to_excluded, err));
  bool sync = options != NULL && options->sync;
  if (nc_slice_compare(from, to_excluded) >= 0) return sync ? nc_table_sync(table, err) : NACRE_OK;
  nc_entry entry = {.key = from, .kind = NC_KIND_RANGE_DELETE, .value = to_excluded};
  return write_single(table, &entry, sync, err);
}

/* One that only checks is not a write: it needs no sync of its own, and begins no log. */
static nacre_status write_nothing(nacre_table *t, nc_write *w, bool sync, nacre_error *err) {
  if (w->expects.size > 0) NC_TRY(write_unsynced(t, w));
  return sync ? nc_table_sync(t, err) : NACRE_OK;
}

nacre_status nacre_write(nacre_table *table, const nacre_batch *batch, const nacre_write_options *options) {
  nacre_error *err = nc_thread_error();
  NC_TRY(check_other(table, options, err));
  if (batch == NULL) return nc_fail(err, NC_E_ARGUMENT, "the batch is NULL");
  if (nc_batch_forked(batch)) return nc_fail(err, NC_E_FORKED, "the batch");
  bool sync = options != NULL && options->sync;
  nc_write w = {.operations = nc_batch_operations(batch),
                .count = nacre_batch_count(batch),
                .expects = nc_batch_expects(batch),
                .err = err,
                .ranges = nc_batch_holds_ranges(batch)};
  w.bytes = w.operations.size;
  if (w.expects.size > 0) {
    NC_TRY(nc_expects_validate(table, w.expects, err));
    NC_TRY(nc_expects_check(table, w.expects, err));
  }
  if (w.count > 0 && nc_batch_needs_files(batch, table))
    return write_large_batch(table, batch, &w, sync, err);
  return w.count == 0 ? write_nothing(table, &w, sync, err) : submit(table, &w, sync);
}

nacre_status nacre_sync(nacre_table *table) {
  nacre_error *err = nc_thread_error();
  NC_TRY(nc_table_check_writable(table, err));
  return nc_table_sync(table, err);
}
