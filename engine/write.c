/* SPDX-License-Identifier: Apache-2.0
 *
 * write: from a put to the log and the memtable.
 *
 * The way of a write: room is reserved in the memtable, the group is encoded in private memory, sealed and
 * appended to the log as one frame, inserted, made visible, acknowledged. Nothing after the append can fail.
 * A failed append abandons the log: what it holds goes to a segment before a newer log acknowledges anything,
 * so that a write that returned an error is there or not, and never leaves a gap before a later one.
 */
#include "batch.h"
#include "last_error.h"
#include "write_batch.h"
#include "write_room.h"

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
  nc_log_record record = {.first_sequence = first_sequence, .count = g->count, .synced = nc_table_synced(t)};
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
  NC_TRY(nc_table_start_log_locked(t, err));
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

/* ---- writing ------------------------------------------------------------------------------------------- */

static nacre_status write_group(nacre_table *t, const group *g, bool sync, nacre_error *err) {
  nc_log_position end;
  pthread_mutex_lock(&t->write_lock);
  nacre_status status = append_group(t, g, &end, err);
  pthread_mutex_unlock(&t->write_lock);
  return status == NACRE_OK && sync ? nc_table_sync_to(t, end, true, err) : status;
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
