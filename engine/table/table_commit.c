/* SPDX-License-Identifier: Apache-2.0
 *
 * table_commit: changing which files make up a table.
 *
 * A change is committed by an edit of the manifest or, when that cannot be (it would not fit, or the last
 * commit failed so that nobody knows whether it is on disk), by a whole new manifest. Only then is it
 * published to readers, and only then do files go: a crash at any point leaves either state, whole.
 */
#include <stdlib.h>

#include "table.h"
#include "value_plan.h"

uint64_t nc_table_new_number(nacre_table *t) {
  pthread_mutex_lock(&t->commit_lock);
  uint64_t number = t->state.next_file_number++;
  pthread_mutex_unlock(&t->commit_lock);
  return number;
}

void nc_table_moment(nacre_table *t, uint64_t *ret_epoch, nc_uuid *ret_manifest, uint64_t *ret_sequence) {
  pthread_mutex_lock(&t->commit_lock);
  *ret_epoch = t->epoch;
  *ret_manifest = t->manifest.file;
  *ret_sequence = t->commit_sequence;
  pthread_mutex_unlock(&t->commit_lock);
}

/* ---- a new manifest ------------------------------------------------------------------------------------ */

static void drop_doubtful_locked(nacre_table *t) {
  for (size_t i = 0; i < t->doubtful_count; i++) {
    nc_segment_set_obsolete(t->doubtful[i]);
    nc_segment_unref(t->doubtful[i]);
  }
  free(t->doubtful);
  t->doubtful = NULL;
  t->doubtful_count = 0;
}

void nc_table_set_doubtful(nacre_table *t, nc_segment **segments, size_t count) {
  if (count == 0) {
    free(segments);
    return;
  }
  pthread_mutex_lock(&t->commit_lock);
  bool bad = t->manifest_bad;
  nc_segment **grown = bad ? realloc(t->doubtful, (t->doubtful_count + count) * sizeof(nc_segment *)) : NULL;
  for (size_t i = 0; grown != NULL && i < count; i++) grown[t->doubtful_count++] = segments[i];
  if (grown != NULL) t->doubtful = grown;
  pthread_mutex_unlock(&t->commit_lock);
  for (size_t i = 0; grown == NULL && i < count; i++) {
    if (!bad) nc_segment_set_obsolete(segments[i]); /* else, without memory, orphans for the next open */
    nc_segment_unref(segments[i]);
  }
  free(segments);
}

static void remove_manifest(nacre_table *t, uint64_t number) {
  char name[NC_FILE_NAME_BYTES];
  nc_manifest_name(number, name);
  nc_ignore(nc_dir_remove(&t->dir, name, NULL)); /* an orphan if it stays */
}

/* A failed attempt keeps the epoch: whichever manifest CURRENT turns out to name, no file is of a later
 * one. */
static nacre_status new_manifest_locked(nacre_table *t, const nc_version *version, nc_log *const *logs,
                                        size_t log_count, const nc_value_plan *values,
                                        const nc_table_state *state, nacre_error *err) {
  nc_value_name *names;
  size_t name_count;
  NC_TRY(nc_value_plan_named(t, values, &names, &name_count, err));
  nc_manifest_base base = {.state = *state,
                           .version = version,
                           .logs = logs,
                           .log_count = log_count,
                           .values = names,
                           .value_count = name_count,
                           .number = t->state.next_file_number++,
                           .epoch = t->epoch + 1,
                           .sequence = t->commit_sequence + 1,
                           .kek_version_min = t->kek_version_min};
  base.state.next_file_number = t->state.next_file_number;
  nc_manifest manifest;
  bool unnamed = false;
  NC_TAKEN_KEYS(keys, &t->keys);
  nacre_status status = nc_manifest_create(&t->dir, keys, &base, &manifest, &unnamed, err);
  free(names);
  if (status != NACRE_OK) {
    t->manifest_bad = t->manifest_bad || !unnamed;
    return status;
  }
  bool first = t->manifest.writer == NULL;
  uint64_t old = first ? t->found_manifest_number : t->manifest.number;
  nc_manifest_close(&t->manifest);
  t->manifest = manifest;
  t->manifest_bad = false;
  t->epoch = base.epoch;
  t->commit_sequence = base.sequence;
  remove_manifest(t, old);
  drop_doubtful_locked(t);
  return NACRE_OK;
}

nacre_status nc_table_new_manifest(nacre_table *t, nacre_error *err) {
  uint64_t sequence;
  nc_view *view = nc_table_view(t, &sequence);
  pthread_mutex_lock(&t->commit_lock);
  nacre_status status = new_manifest_locked(t, view->version, t->logs, t->log_count, NULL, &t->state, err);
  pthread_mutex_unlock(&t->commit_lock);
  nc_view_unref(view);
  return status;
}

nacre_status nc_table_settle_manifest(nacre_table *t, nacre_error *err) {
  pthread_mutex_lock(&t->commit_lock);
  bool bad = t->manifest_bad;
  pthread_mutex_unlock(&t->commit_lock);
  return bad ? nc_table_new_manifest(t, err) : NACRE_OK;
}

/* ---- a change ------------------------------------------------------------------------------------------ */

/* The list of logs after a change: those that stay, then the new one. */
typedef struct log_plan {
  nc_log **after;
  size_t after_count;
  uint64_t *drop;
  size_t drop_count;
} log_plan;

static void plan_deinit(log_plan *plan) {
  free(plan->after);
  free(plan->drop);
}

static nacre_status plan_logs(const nacre_table *t, const nc_change *change, log_plan *plan,
                              nacre_error *err) {
  *plan = (log_plan){.after = calloc(t->log_count + 1, sizeof *plan->after),
                     .drop = calloc(t->log_count + 1, sizeof *plan->drop)};
  if (plan->after == NULL || plan->drop == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  for (size_t i = 0; i < t->log_count; i++) {
    if (t->logs[i]->name.number <= change->drop_logs_to) {
      plan->drop[plan->drop_count++] = t->logs[i]->name.number;
    } else {
      plan->after[plan->after_count++] = t->logs[i];
    }
  }
  if (change->add_log != NULL) plan->after[plan->after_count++] = change->add_log;
  return NACRE_OK;
}

static nacre_status make_durable_locked(nacre_table *t, const nc_change *change, const log_plan *plan,
                                        const nc_value_plan *values, const nc_version *version,
                                        const nc_table_state *state, nacre_error *err) {
  nc_edit edit = {.add = change->add,
                  .add_count = change->add_count,
                  .place = change->place,
                  .remove = change->remove,
                  .remove_count = change->remove_count,
                  .add_log = change->add_log == NULL ? NULL : &change->add_log->name,
                  .drop_logs = plan->drop,
                  .drop_log_count = plan->drop_count,
                  .add_values = values->add,
                  .add_value_count = values->add_count,
                  .remove_values = values->remove,
                  .remove_value_count = values->remove_count,
                  .state = *state};
  if (t->manifest_bad || !nc_manifest_fits(&t->manifest, &edit)) {
    return new_manifest_locked(t, version, plan->after, plan->after_count, values, state, err);
  }
  nacre_status status = nc_manifest_commit(&t->manifest, t->shared->env->heap, &edit, err);
  if (status == NACRE_OK) {
    t->commit_sequence = t->manifest.sequence;
  } else if (nc_sealed_writer_failed(t->manifest.writer)) {
    t->manifest_bad = true;
  }
  return status;
}

static void take_log_plan_locked(nacre_table *t, const nc_change *change, log_plan *plan) {
  if (change->add_log != NULL) nc_log_ref(change->add_log);
  for (size_t i = 0; i < plan->drop_count; i++) nc_log_unref(t->logs[i]); /* oldest first: a prefix */
  free(t->logs);
  t->logs = plan->after;
  t->log_count = plan->after_count;
  plan->after = NULL;
}

/* Shows readers the new state. What was in dropped logs is in segments now, and so durable. */
static void publish(nacre_table *t, const nc_change *change, nc_view *view, nc_memtable **ret_flushed) {
  pthread_mutex_lock(&t->state_lock);
  nc_table_expect_locked(t, view->version);
  if (change->shows != 0) atomic_store_explicit(&t->visible, change->shows, memory_order_release);
  *ret_flushed = NULL;
  if (change->flushes_oldest) {
    *ret_flushed = t->immutables[0].memtable;
    free(t->immutables[0].built);
    nc_value_changes_deinit(&t->immutables[0].built_values);
    t->immutable_count--;
    memmove(&t->immutables[0], &t->immutables[1], t->immutable_count * sizeof t->immutables[0]);
  }
  nc_log_position dropped = {change->drop_logs_to + 1, 0};
  if (change->drop_logs_to != 0 && nc_log_position_compare(dropped, t->synced) > 0) t->synced = dropped;
  pthread_cond_broadcast(&t->changed);
  nc_table_show_locked(t, view);
}

/* The view with which the change will be published. The active memtable and the immutables may be replaced by
 * a rotation only under commit_lock, so this stays true until then. */
static nacre_status next_view_locked(nacre_table *t, const nc_change *change, nc_version *version,
                                     nc_view **ret_view, nacre_error *err) {
  size_t skip = change->flushes_oldest ? 1 : 0;
  return nc_view_create(t->view->memtables[0], t->immutables + skip, t->immutable_count - skip, version,
                        ret_view, err);
}

/* The version stays when only logs change. */
static nacre_status follow_version(nc_version *base, const nc_change *change, nc_version **ret_version,
                                   nacre_error *err) {
  if (change->add_count > 0 || change->remove_count > 0) {
    return nc_version_follow(base, change->add, change->add_count, change->place, change->remove,
                             change->remove_count, ret_version, err);
  }
  nc_version_ref(base);
  *ret_version = base;
  return NACRE_OK;
}

static nacre_status commit_locked(nacre_table *t, const nc_change *change, log_plan *plan,
                                  nc_value_plan *values, nc_memtable **ret_flushed, nacre_error *err) {
  nc_version *version;
  nc_view *view = NULL;
  NC_TRY(plan_logs(t, change, plan, err));
  NC_TRY(nc_value_plan_make(t, change, values, err));
  NC_TRY(follow_version(t->view->version, change, &version, err));
  nacre_status status = next_view_locked(t, change, version, &view, err);
  nc_table_state state = t->state;
  if (change->last_sequence > state.last_sequence) state.last_sequence = change->last_sequence;
  if (status == NACRE_OK) status = make_durable_locked(t, change, plan, values, version, &state, err);
  if (status == NACRE_OK) {
    t->state.last_sequence = state.last_sequence;
    /* Both versions keep what moves: nothing goes between the two. */
    for (size_t i = 0; i < change->remove_count; i++) nc_segment_set_obsolete(change->remove[i]);
    for (size_t i = 0; i < change->add_count; i++) nc_segment_clear_obsolete(change->add[i]);
    nc_value_plan_carry_out(t, change, values);
    take_log_plan_locked(t, change, plan);
    atomic_store_explicit(&t->throttle.bytes_per_s, nc_throttle_rate(version, &t->policy), memory_order_relaxed);
    publish(t, change, view, ret_flushed);
  } else {
    nc_view_unref(view);
  }
  nc_version_unref(version);
  return status;
}

nacre_status nc_table_commit(nacre_table *t, const nc_change *change, nacre_error *err) {
  log_plan plan = {0};
  nc_value_plan values = {0};
  nc_memtable *flushed = NULL;
  pthread_mutex_lock(&t->commit_lock);
  nacre_status status = commit_locked(t, change, &plan, &values, &flushed, err);
  pthread_mutex_unlock(&t->commit_lock);
  for (size_t i = 0; status == NACRE_OK && i < plan.drop_count; i++) {
    char name[NC_FILE_NAME_BYTES];
    nc_log_name_file(plan.drop[i], name);
    nc_ignore(nc_dir_remove(&t->dir, name, NULL)); /* an orphan if it stays */
  }
  if (flushed != NULL) nc_pin_unref(nc_memtable_pin(flushed));
  plan_deinit(&plan);
  if (status == NACRE_OK) nc_value_plan_remove_failures(t, &values);
  nc_value_plan_deinit(&values);
  return status;
}
