/* SPDX-License-Identifier: Apache-2.0
 *
 * write_group: see write_group.h.
 *
 * The way of a group: room is reserved in the memtable, the group is encoded in private memory, sealed and
 * appended to the log as one frame, inserted, made visible. Nothing after the append can fail. A failed append
 * abandons the log (write_room.h), so that a write that returned an error is there or not, and never leaves
 * a gap before a later one.
 */
#include "write_group.h"

#include "batch.h"
#include "write_expect.h"
#include "write_room.h"

/* One caller's operations may be more. A frame of this size has no overhead to speak of, and whoever waits for
 * it does not wait long. */
#define GROUP_BYTES_MAX ((size_t)256 << 10)

typedef struct group {
  nc_write *first, *end; /* `end` is the first that is not in it any more; NULL: all are */
  uint64_t count, first_sequence;
  size_t bytes; /* encoded */
  bool ranges;  /* range deletes among them */
  uint64_t failed_log; /* may hold it, though it was not appended; 0: none */
} group;

/* Whoever expects something comes first in a group: all that was written before is in the memtable then. */
static group gather(const nacre_table *t, nc_write *first) {
  uint64_t visible = atomic_load(&t->visible);
  group g = {.first = first, .first_sequence = visible + 1};
  nc_write *w = first;
  do {
    g.count += w->count;
    g.bytes += w->bytes;
    g.ranges |= w->ranges;
    w = nc_write_next(w);
  } while (w != NULL && w->expects.size == 0 && g.bytes < GROUP_BYTES_MAX &&
           w->bytes <= GROUP_BYTES_MAX - g.bytes && w->count < NC_SEQUENCE_MAX - visible - g.count);
  g.end = w;
  return g;
}

static nacre_status encode(nacre_table *t, const group *g, nacre_slice *ret_record, nacre_error *err) {
  size_t need = NC_LOG_RECORD_FIXED_BYTES_MAX + g->bytes;
  if (need > t->encode_capacity) {
    uint8_t *grown = nc_heap_grow(t->shared->env->heap, t->encode, t->encode_capacity, need);
    if (grown == NULL) return nc_fail(err, NC_E_NO_MEMORY, "%zu bytes to encode a group", need);
    t->encode = grown;
    t->encode_capacity = need;
  }
  nc_log_record record = {
      .first_sequence = g->first_sequence, .count = g->count, .synced = nc_table_synced(t)};
  size_t size = nc_log_record_encode(&record, NC_FRAME_LOG_GROUP, t->encode);
  for (const nc_write *w = g->first; w != g->end; w = nc_write_next(w)) {
    if (w->single != NULL) {
      size += nc_operation_encode(w->single->kind, w->single->key, w->single->value, t->encode + size);
    } else {
      memcpy(t->encode + size, w->operations.data, w->operations.size);
      size += w->operations.size;
    }
  }
  *ret_record = nc_slice(t->encode, size);
  return NACRE_OK;
}

static void insert_write(nc_memtable *active, const nc_write *w, uint64_t sequence) {
  nc_batch_reader reader;
  nc_entry entry;
  bool more = true;
  if (w->single != NULL) {
    entry = *w->single;
    entry.sequence = sequence;
    nc_memtable_add(active, &entry);
  } else {
    nc_batch_read_begin(&reader, w->operations);
    for (uint64_t i = 0; i < w->count && nc_batch_read(&reader, &entry, &more, NULL) == NACRE_OK && more;
         i++) {
      entry.sequence = sequence + i;
      nc_memtable_add(active, &entry);
    }
  }
}

/* The log holds the group: from here on nothing fails. Batches were checked as they were built. */
static void insert(nacre_table *t, const group *g) {
  uint64_t sequence = g->first_sequence;
  for (const nc_write *w = g->first; w != g->end; w = nc_write_next(w)) {
    insert_write(t->active, w, sequence);
    sequence += w->count;
  }
  atomic_store_explicit(&t->visible, sequence - 1, memory_order_release);
}

/* The operations are the end of the record. */
static nacre_status reserve_ranges(nacre_table *t, const group *g, nacre_slice record, nacre_error *err) {
  const uint8_t *end = (const uint8_t *)record.data + record.size;
  return nc_memtable_reserve_ranges(t->active, nc_slice(end - g->bytes, g->bytes), g->first_sequence, err);
}

static nacre_status append(nacre_table *t, group *g, nacre_error *err) {
  nacre_slice record;
  if (g->first_sequence > NC_SEQUENCE_MAX || g->count > NC_SEQUENCE_MAX - g->first_sequence)
    return nc_fail(err, NC_E_SEQUENCES_SPENT, NULL);
  NC_TRY(nc_table_prepare_locked(t, err));
  NC_TRY(nc_table_start_log_locked(t, err));
  NC_TRY(encode(t, g, &record, err));
  NC_TRY(nc_memtable_reserve(t->active, (size_t)g->count, g->bytes, err));
  if (g->ranges) NC_TRY(reserve_ranges(t, g, record, err));
  g->failed_log = t->log->name.number;
  NC_TRY(nc_log_append_group(t->log, record, g->first_sequence + g->count - 1, err));
  g->failed_log = 0;
  insert(t, g);
  t->groups_written++;
  t->group_bytes_written += record.size;
  return NACRE_OK;
}

/* All that were in the group share its end. */
static void settle(const group *g, nacre_status status, const nacre_error *why) {
  for (nc_write *w = g->first; w != g->end; w = nc_write_next(w)) {
    w->status = status;
    w->logged = status == NACRE_OK;
    w->failed_log = g->failed_log;
    if (status != NACRE_OK && w->err != NULL) *w->err = *why;
  }
}

void nc_write_all_locked(nacre_table *t, nc_write *first, nc_log_position *ret_end, bool *ret_any) {
  *ret_any = false;
  while (first != NULL) {
    nacre_error why;
    group g = {.first = first, .end = nc_write_next(first)};
    nacre_status status = first->expects.size == 0 ? NACRE_OK : nc_expects_check(t, first->expects, &why);
    bool writes = status == NACRE_OK && first->count > 0;
    if (writes) {
      g = gather(t, first);
      status = append(t, &g, &why);
      if (status != NACRE_OK || atomic_load_explicit(&t->write_failing, memory_order_relaxed))
        nc_table_note_result(t, &t->write_error, status, &why);
    }
    settle(&g, status, &why);
    if (writes && status == NACRE_OK) {
      *ret_end = nc_log_tail(t->log);
      *ret_any = true;
    }
    first = g.end;
  }
}
