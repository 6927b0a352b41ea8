/* SPDX-License-Identifier: Apache-2.0
 *
 * compact: when segments are merged: as the sizes of levels ask for it, when a table is idle, when it has been flushed
 * to be closed, and when somebody asks.
 *
 * Several compactions of a table may run at once, of different segments. `merge_lock` is held while one is chosen
 * and while its segments are let go, never while it reads or writes. One that is asked for chooses among all
 * segments, so it waits until no other runs, and none begins meanwhile.
 */
#include <stdlib.h>

#include "compaction.h"
#include "last_error.h"
#include "segment_writer.h"
#include "version_ranges.h"

static nc_version *present_version(nacre_table *t) {
  uint64_t sequence;
  nc_view *view = nc_table_view(t, &sequence);
  nc_version *v = view->version;
  nc_version_ref(v);
  nc_view_unref(view);
  return v;
}

/* ---- what cannot be read -------------------------------------------------------------------------------- */

/* A segment that cannot be read is set aside, so that merges of others go on and it does not fail each of them anew.
 * As long as one is, the error of that merge stays. It is tried again when somebody waits for merges, with the next try
 * of a failure that may pass, and by the next open. */

/* Whether an error is of this segment's file. */
static bool is_of(const nacre_error *err, const nc_segment *s) {
  char name[NC_FILE_NAME_BYTES];
  nc_segment_name(nc_segment_describe(s)->number, name);
  size_t size = strlen(name), length = strnlen(err->file, sizeof err->file);
  return length >= size && memcmp(err->file + length - size, name, size) == 0;
}

static bool set_aside(const nc_compaction *c, const nacre_error *err) {
  bool any = false;
  for (size_t i = 0; i < c->segment_count; i++) {
    if (!is_of(err, c->segments[i])) continue;
    nc_segment_set_aside(c->segments[i], true);
    any = true;
  }
  return any;
}

static bool any_aside(const nc_version *v) {
  size_t i = 0;
  while (i < v->segment_count && !nc_segment_aside(v->segments[i])) i++;
  return i < v->segment_count;
}

void nc_table_put_back(nacre_table *t) {
  pthread_mutex_lock(&t->merge_lock);
  nc_version *v = present_version(t);
  for (size_t i = 0; i < v->segment_count; i++) nc_segment_set_aside(v->segments[i], false);
  pthread_mutex_unlock(&t->merge_lock);
  nc_version_unref(v);
}

/* Needs merge_lock. Nothing fails any more when all can be read. */
static void note_success(nacre_table *t) {
  nc_version *v = present_version(t);
  if (!any_aside(v)) nc_table_note_result(t, &t->merge_error, NACRE_OK, NULL);
  nc_version_unref(v);
}

/* ---- a choice ------------------------------------------------------------------------------------------- */

/* Lets go of what was chosen. `*ret_aside`: some of it could not be read, and is not chosen again. */
static void finish(nacre_table *t, nc_compaction *c, nacre_status status, const nacre_error *err,
                   bool *ret_aside) {
  pthread_mutex_lock(&t->merge_lock); /* results are noted in their order */
  nc_compaction_let_go(c);
  *ret_aside = status != NACRE_OK && status != NACRE_CANCELLED && set_aside(c, err);
  if (status == NACRE_OK) {
    note_success(t);
  } else if (status != NACRE_CANCELLED) {
    nc_table_note_result(t, &t->merge_error, status, err);
  }
  pthread_mutex_lock(&t->state_lock);
  t->compacting--;
  pthread_cond_broadcast(&t->changed);
  pthread_mutex_unlock(&t->state_lock);
  pthread_mutex_unlock(&t->merge_lock);
  nc_compaction_end(c); /* files may go with it: under no lock */
  nc_rewrap_unpark(t);
}

/* ---- by itself ----------------------------------------------------------------------------------------- */

static bool has_large_values(nacre_table *t) {
  pthread_mutex_lock(&t->commit_lock);
  bool has = t->values.count > 0;
  pthread_mutex_unlock(&t->commit_lock);
  return has;
}

/* Range deletes are asked for under merge_lock: what has to be read for that is read before, but for the frame of a
 * segment that a flush adds between the two. */
static void read_ranges(nacre_table *t) {
  nc_version *v = present_version(t);
  uint64_t cover;
  if (v->ranges_segments > 0) nc_ignore(nc_version_cover(v, nc_slice("", 0), 0, &cover, NULL));
  nc_version_unref(v);
}

/* What costs nothing comes first. */
static nacre_status choose_from(nacre_table *t, nc_version *v, nc_urgency urgency, nc_compaction *ret_choice,
                                nacre_error *err) {
  uint64_t *snapshots;
  nc_audience who = {.moment_ms = nc_table_expiry_moment(t), .large_values = has_large_values(t)};
  NC_TRY(nc_table_snapshots(t, &snapshots, &who.snapshot_count, err));
  who.snapshots = snapshots;
  nacre_status status = nc_compaction_pick_gone(v, &who, ret_choice, err);
  free(snapshots);
  if (status != NACRE_OK || ret_choice->segment_count > 0) return status;
  nc_compaction_end(ret_choice);
  return nc_compaction_pick(v, &t->policy, urgency, who.moment_ms, ret_choice, err);
}

/* Nothing is chosen while somebody waits to choose among all segments, nor once the table is being closed. */
static nacre_status choose(nacre_table *t, nc_compaction *ret_choice, nacre_error *err) {
  pthread_mutex_lock(&t->state_lock);
  bool may = t->compact_waiters == 0 && !atomic_load(&t->closing);
  nc_urgency urgency = t->idle ? NC_URGENCY_IDLE : NC_URGENCY_DUE;
  t->compacting += may;
  pthread_mutex_unlock(&t->state_lock);
  *ret_choice = (nc_compaction){0};
  if (!may) return NACRE_OK;
  read_ranges(t);
  pthread_mutex_lock(&t->merge_lock);
  nc_version *v = present_version(t);
  nacre_status status = choose_from(t, v, urgency, ret_choice, err);
  /* Nothing is left to do, whatever has failed: who waits until it is idle is not told of that for ever. */
  if (status == NACRE_OK && ret_choice->segment_count == 0 && urgency == NC_URGENCY_IDLE) note_success(t);
  pthread_mutex_unlock(&t->merge_lock);
  nc_version_unref(v);
  if (status == NACRE_OK && ret_choice->segment_count > 0) return NACRE_OK;
  nc_compaction_end(ret_choice);
  pthread_mutex_lock(&t->state_lock);
  t->compacting--;
  pthread_cond_broadcast(&t->changed);
  pthread_mutex_unlock(&t->state_lock);
  return status;
}

/* The job that was to merge something else beside a merge that has failed would only try the same again, at once: that
 * is done later. */
static void withdraw_job(nacre_table *t) {
  pthread_mutex_lock(&t->state_lock);
  if (t->merge_queued && nc_worker_withdraw(t->shared->workers, &t->merge_job)) {
    t->merge_queued = false;
    pthread_cond_broadcast(&t->changed);
  }
  pthread_mutex_unlock(&t->state_lock);
}

nacre_status nc_table_compact_once(nacre_table *t, bool *ret_any, nacre_error *err) {
  nc_compaction c;
  *ret_any = false;
  NC_TRY(choose(t, &c, err));
  if (c.segment_count == 0) return NACRE_OK;
  *ret_any = true;
  if (!nc_worker_pool_inline(t->shared->workers)) nc_table_schedule_merge(t); /* another, beside this one */
  bool aside;
  nacre_status status = nc_table_begin_writing(t, err); /* an earlier open may have left it, and nobody written since */
  if (status == NACRE_OK) status = nc_compaction_run(t, &c, &t->closing, err);
  finish(t, &c, status, err, &aside);
  if (aside) return NACRE_OK; /* it is noted, and the next choice is another */
  if (status != NACRE_OK) withdraw_job(t);
  return status;
}

/* ---- at the close -------------------------------------------------------------------------------------- */

nacre_status nc_table_merge_small(nacre_table *t, nacre_error *err) {
  nc_compaction c = {0};
  read_ranges(t);
  pthread_mutex_lock(&t->merge_lock);
  nc_version *v = present_version(t);
  nacre_status status = nc_compaction_pick_small(v, &t->policy, t->shared->memtable_bytes, &c, err);
  pthread_mutex_unlock(&t->merge_lock);
  nc_version_unref(v);
  pthread_mutex_lock(&t->state_lock);
  t->compacting++;
  pthread_mutex_unlock(&t->state_lock);
  bool aside;
  if (status == NACRE_OK && c.segment_count > 0) status = nc_compaction_run(t, &c, NULL, err);
  finish(t, &c, status, err, &aside);
  return status;
}

/* ---- asked for ----------------------------------------------------------------------------------------- */

static void bar_others(nacre_table *t) {
  pthread_mutex_lock(&t->state_lock);
  t->compact_waiters++;
  while (t->compacting > 0) pthread_cond_wait(&t->changed, &t->state_lock);
  t->compacting++;
  pthread_mutex_unlock(&t->state_lock);
}

static void admit_others(nacre_table *t) {
  pthread_mutex_lock(&t->state_lock);
  t->compact_waiters--;
  pthread_cond_broadcast(&t->changed);
  pthread_mutex_unlock(&t->state_lock);
  nc_table_schedule_merge(t);
}

nacre_status nc_table_merge_range(nacre_table *t, nacre_slice from, nacre_slice to, nacre_error *err) {
  nc_compaction c = {0};
  bar_others(t);
  pthread_mutex_lock(&t->merge_lock);
  nc_version *v = present_version(t);
  nacre_status status = nc_compaction_pick_range(v, from, to, &c, err);
  pthread_mutex_unlock(&t->merge_lock);
  nc_version_unref(v);
  bool aside;
  if (status == NACRE_OK && c.segment_count > 0) status = nc_compaction_run(t, &c, NULL, err);
  finish(t, &c, status, err, &aside);
  admit_others(t);
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
  nc_table_put_back(table);
  if (!table->read_only) nc_table_rest(table); /* one that failed, too, or was due before the open */
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
