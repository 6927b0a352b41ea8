/* SPDX-License-Identifier: Apache-2.0
 *
 * flush: the oldest full memtable becomes segments of a new run, and the logs that held it are dropped, in
 * one commit.
 *
 * Flushes commit in the order of their logs: a segment never holds a write whose predecessors are only in a
 * log.
 */
#include <stdlib.h>

#include "last_error.h"
#include "segment_build.h"

/* Those that anybody can see: a snapshot taken from now on sees the newest state. */
static nacre_status ranges_to_flush(nacre_table *t, const nc_memtable *m, nc_range_set **ret_ranges,
                                    nacre_error *err) {
  uint64_t *snapshots;
  size_t count;
  NC_TRY(nc_table_snapshots(t, &snapshots, &count, err));
  nacre_status status = nc_range_history_collect(nc_memtable_ranges(m), snapshots, count, ret_ranges, err);
  free(snapshots);
  return status;
}

/* Builds the oldest immutable's segments, unless an earlier try did. */
static nacre_status build_oldest(nacre_table *t, nacre_error *err) {
  nc_immutable *oldest = &t->immutables[0]; /* only a flush removes it, and flush_lock is held */
  if (oldest->built != NULL) return NACRE_OK;
  uint64_t sequence;
  nc_view *view = nc_table_view(t, &sequence);
  nc_value_changes values = {.noting_kept = true};
  nc_build build = {.method = nc_build_method(t, false),
                    .beneath = nc_beneath_of(view->version, UINT64_MAX),
                    .values = &values};
  nc_cursor *cursor;
  nc_range_set *ranges = NULL;
  nc_segment **segments = NULL;
  size_t count = 0;
  nacre_status status = ranges_to_flush(t, oldest->memtable, &ranges, err);
  build.ranges = ranges;
  if (status == NACRE_OK) status = nc_memtable_cursor(oldest->memtable, &cursor, err);
  if (status == NACRE_OK) {
    status = nc_build_segments(t, cursor, &build, &segments, &count, err);
    nc_cursor_close(cursor);
  }
  nc_view_unref(view); /* what lies beneath is its version */
  nc_range_set_free(ranges);
  if (status != NACRE_OK) {
    nc_value_changes_deinit(&values);
    return status;
  }
  oldest->built_values = values;
  oldest->built = segments;
  oldest->built_count = count;
  return NACRE_OK;
}

static void count_flush(nacre_table *t, nc_segment *const *segments, size_t count) {
  uint64_t bytes = 0;
  for (size_t i = 0; i < count; i++) bytes += nc_segment_describe(segments[i])->size;
  pthread_mutex_lock(&t->state_lock);
  t->counters.flushes++;
  t->counters.bytes_flushed += bytes;
  pthread_mutex_unlock(&t->state_lock);
  nc_table_emit(t, NACRE_EVENT_FLUSHED, bytes, NULL);
}

static nacre_status flush_oldest(nacre_table *t, nacre_error *err) {
  uint64_t began = nc_meter_begin(t, NC_METER_FLUSH);
  NC_TRY(build_oldest(t, err));
  const nc_immutable oldest = t->immutables[0];
  nc_segment **segments =
      calloc(oldest.built_count + 1, sizeof(nc_segment *)); /* the commit frees the immutable's list */
  if (segments == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  for (size_t i = 0; i < oldest.built_count; i++) segments[i] = oldest.built[i];
  nc_change change = {.add = segments,
                      .add_count = oldest.built_count,
                      .place = {.run = nc_table_new_number(t)},
                      .drop_logs_to = oldest.logs_to,
                      .last_sequence = oldest.last_sequence,
                      .flushes_oldest = true,
                      .values = &oldest.built_values};
  nacre_status status = nc_table_commit(t, &change, err);
  if (status == NACRE_OK) {
    nc_meter_end(t, NC_METER_FLUSH, began);
    count_flush(t, segments, change.add_count);
    for (size_t i = 0; i < change.add_count; i++) nc_segment_unref(segments[i]); /* the version keeps them */
  }
  free(segments);
  return status;
}

static size_t immutables_left(nacre_table *t) {
  pthread_mutex_lock(&t->state_lock);
  size_t count = t->immutable_count;
  pthread_mutex_unlock(&t->state_lock);
  return count;
}

nacre_status nc_table_flush_immutables(nacre_table *t, nacre_error *err) {
  nacre_status status = NACRE_OK;
  pthread_mutex_lock(&t->flush_lock);
  bool any = immutables_left(t) > 0;
  while (status == NACRE_OK && immutables_left(t) > 0) status = flush_oldest(t, err);
  if (any)
    nc_table_note_result(t, &t->flush_error, status,
                         err); /* under the lock: results are noted in their order */
  pthread_mutex_unlock(&t->flush_lock);
  nc_rewrap_unpark(t);
  if (status == NACRE_OK && any) nc_table_schedule_merge(t);
  return status;
}

static nacre_status flush_locked(nacre_table *t, nacre_error *err) {
  NC_TRY(nc_table_prepare_locked(t, err));
  return nc_memtable_entries(t->active) == 0 ? NACRE_OK : nc_table_rotate_locked(t, err);
}

nacre_status nacre_flush(nacre_table *table) {
  nacre_error *err = nc_thread_error();
  NC_TRY(nc_table_check_writable(table, err));
  pthread_mutex_lock(&table->write_lock);
  nacre_status status = flush_locked(table, err);
  pthread_mutex_unlock(&table->write_lock);
  return status == NACRE_OK ? nc_table_flush_immutables(table, err) : status;
}
