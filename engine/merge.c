/* SPDX-License-Identifier: Apache-2.0
 *
 * merge: runs that lie next to one another in age become one, so that reads look in few places and what is
 * deleted goes.
 *
 * The policy: from the newest run on, take in the next older one as long as it is not larger than what has
 * been taken so far; two or more make a merge. Failing that, when there are too many runs, the newest ones.
 * And when the newer runs together have grown past the oldest, all of them, so that space is bounded.
 */
#include <stdlib.h>

#include "last_error.h"
#include "merge_cursor.h"
#include "segment_build.h"

enum { RUNS_MIN = 4, RUNS_MAX = 8, SPACE_FACTOR = 2 };

/* Runs [first, first + count) of a version. */
typedef struct choice {
  size_t first, count;
} choice;

static choice choose(const nc_version *v) {
  choice none = {0, 0};
  if (v->run_count < RUNS_MIN) return none;
  uint64_t newer = 0;
  for (size_t i = 0; i + 1 < v->run_count; i++) newer += v->runs[i].bytes;
  if (newer > v->runs[v->run_count - 1].bytes * SPACE_FACTOR) return (choice){0, v->run_count};
  for (size_t first = 0; first + 1 < v->run_count; first++) {
    uint64_t sum = v->runs[first].bytes;
    size_t end = first + 1;
    while (end < v->run_count && v->runs[end].bytes <= sum) sum += v->runs[end++].bytes;
    if (end - first >= 2) return (choice){first, end - first};
  }
  return v->run_count > RUNS_MAX ? (choice){0, v->run_count - RUNS_MAX + 1} : none;
}

static nc_version *present_version(nacre_table *t) {
  uint64_t sequence;
  nc_view *view = nc_table_view(t, &sequence);
  nc_version *v = view->version;
  nc_version_ref(v);
  nc_view_unref(view);
  return v;
}

bool nc_table_merge_due(nacre_table *t) {
  nc_version *v = present_version(t);
  bool due = choose(v).count > 0;
  nc_version_unref(v);
  return due;
}

static nacre_status open_inputs(const nc_version *v, choice c, nc_cursor **ret_cursor, nacre_error *err) {
  nc_cursor **children = calloc(c.count, sizeof(nc_cursor *));
  if (children == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  nacre_status status = NACRE_OK;
  size_t opened = 0;
  for (; opened < c.count && status == NACRE_OK; opened++) {
    status = nc_run_cursor(&v->runs[c.first + opened], true, &children[opened], err);
    if (status != NACRE_OK) break;
  }
  if (status == NACRE_OK) {
    status = nc_merge_cursor(children, c.count, ret_cursor, err);
  } else {
    for (size_t i = 0; i < opened; i++) nc_cursor_close(children[i]);
  }
  free(children);
  return status;
}

/* The merged run takes the newest one's place in the order of ages. */
static nc_place place_of(const nc_version *v, choice c) {
  nc_place place = {.run = v->runs[c.first].id};
  for (size_t i = 0; i < c.count; i++) {
    if (v->runs[c.first + i].level > place.level) place.level = v->runs[c.first + i].level;
  }
  place.level++;
  return place;
}

static void count_merge(nacre_table *t, nc_segment *const *segments, size_t count) {
  uint64_t bytes = 0;
  for (size_t i = 0; i < count; i++) bytes += nc_segment_describe(segments[i])->size;
  pthread_mutex_lock(&t->state_lock);
  t->counters.merges++;
  t->counters.bytes_merged += bytes;
  pthread_mutex_unlock(&t->state_lock);
  nc_table_emit(t, NACRE_EVENT_MERGED, bytes, NULL);
}

static nacre_status merge_runs(nacre_table *t, nc_version *v, choice c, nacre_error *err) {
  nc_value_changes values = {0};
  nc_build build = {.bottom = c.first + c.count == v->run_count, .values = &values};
  build.method = nc_build_method(t, build.bottom);
  uint64_t began = nc_meter_begin(t, NC_METER_MERGE);
  NC_TRY(nc_table_settle_manifest(t, err));
  nc_cursor *cursor;
  NC_TRY(open_inputs(v, c, &cursor, err));
  nc_segment **made = NULL;
  size_t made_count = 0, removed = 0;
  for (size_t i = 0; i < c.count; i++) removed += v->runs[c.first + i].count;
  nc_range_set *ranges = NULL;
  nacre_status status = nc_segments_ranges(v->runs[c.first].segments, removed, &ranges, err);
  build.ranges = ranges;
  if (status == NACRE_OK) status = nc_build_segments(t, cursor, &build, &made, &made_count, err);
  nc_range_set_free(ranges);
  nc_cursor_close(cursor);
  if (status != NACRE_OK) {
    nc_value_changes_deinit(&values);
    return status;
  }
  nc_change change = {.add = made,
                      .add_count = made_count,
                      .place = place_of(v, c),
                      .remove = v->runs[c.first].segments, /* runs lie one behind the other */
                      .remove_count = removed,
                      .values = &values};
  status = nc_table_commit(t, &change, err);
  nc_value_changes_deinit(&values);
  if (status != NACRE_OK) {
    nc_table_set_doubtful(t, made, made_count);
    return status;
  }
  nc_meter_end(t, NC_METER_MERGE, began);
  count_merge(t, made, made_count);
  nc_build_release(made, made_count, false); /* the version keeps them */
  return NACRE_OK;
}

static nacre_status merge_due(nacre_table *t, bool *ret_merged, nacre_error *err) {
  nc_version *v = present_version(t);
  choice c = choose(v);
  *ret_merged = c.count > 0;
  nacre_status status = c.count == 0 ? NACRE_OK : merge_runs(t, v, c, err);
  nc_version_unref(v);
  return status;
}

nacre_status nc_table_merge_all_due(nacre_table *t, nacre_error *err) {
  nacre_status status = NACRE_OK;
  bool merged = true;
  pthread_mutex_lock(&t->merge_lock);
  while (merged && status == NACRE_OK) status = merge_due(t, &merged, err);
  nc_table_note_result(t, &t->merge_error, status, err);
  pthread_mutex_unlock(&t->merge_lock);
  nc_rewrap_unpark(t);
  return status;
}

/* ---- asked for ----------------------------------------------------------------------------------------- */

static bool run_touches(const nc_run *run, nacre_slice from, nacre_slice to) {
  const nc_segment_record *first = nc_segment_describe(run->segments[0]);
  const nc_segment_record *last = nc_segment_describe(run->segments[run->count - 1]);
  if (from.data != NULL && nc_segment_ends_before(last, from)) return false;
  return to.data == NULL || nc_slice_compare(first->smallest, to) < 0;
}

nacre_status nc_table_merge_range(nacre_table *t, nacre_slice from, nacre_slice to, nacre_error *err) {
  pthread_mutex_lock(&t->merge_lock);
  nc_version *v = present_version(t);
  choice c = {0, 0};
  for (size_t i = 0; i < v->run_count; i++) {
    if (!run_touches(&v->runs[i], from, to)) continue;
    if (c.count == 0) c.first = i;
    c.count = i - c.first + 1;
  }
  nacre_status status = c.count == 0 ? NACRE_OK : merge_runs(t, v, c, err);
  nc_version_unref(v);
  if (c.count > 0) nc_table_note_result(t, &t->merge_error, status, err);
  pthread_mutex_unlock(&t->merge_lock);
  nc_rewrap_unpark(t);
  return status;
}

nacre_status nacre_compact(nacre_table *table, nacre_slice from, nacre_slice to_excluded) {
  nacre_error *err = nc_thread_error();
  NC_TRY(nacre_flush(table));
  if (from.data != NULL && to_excluded.data != NULL && nc_slice_compare(from, to_excluded) >= 0)
    return NACRE_OK;
  return nc_table_merge_range(table, from, to_excluded, err);
}

nacre_status nacre_wait_idle(nacre_table *table) {
  nacre_error *err = nc_thread_error();
  NC_TRY(nc_table_check(table, err));
  if (atomic_load(&table->writing))
    nc_table_schedule_merge(table); /* one that failed, or was due before the open */
  nc_table_retry_flush(table);
  nc_table_wait_jobs(table);
  if (!table->read_only) NC_TRY(nc_rewrap_wait(table, err));
  pthread_mutex_lock(&table->state_lock);
  const nacre_error *error =
      table->flush_error.status != NACRE_OK ? &table->flush_error : &table->merge_error;
  nacre_status status = error->status;
  if (status != NACRE_OK) *err = *error;
  pthread_mutex_unlock(&table->state_lock);
  return status;
}
