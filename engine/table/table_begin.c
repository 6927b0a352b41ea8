/* SPDX-License-Identifier: Apache-2.0
 *
 * table_begin: the first write after an open (format/README.md, "Manifest"), or the first merge.
 *
 * Before any other file is created or removed, this open writes a manifest of its own and syncs it: what a
 * dead process left in the page cache is made durable before anything rests on it. Then orphans go, files
 * that a crash left behind and nothing names; but only when every file that the manifest names is present and
 * matches, and none knows of a later state.
 */
#include "orphans.h"

static nacre_status begin(nacre_table *t, nc_orphans *orphans, nacre_error *err) {
  NC_TRY(nc_orphans_find(t, orphans, err));
  pthread_mutex_lock(&t->commit_lock);
  if (orphans->highest >= t->state.next_file_number) t->state.next_file_number = orphans->highest + 1;
  pthread_mutex_unlock(&t->commit_lock);
  t->own_numbers_from = t->state.next_file_number;
  NC_TRY(nc_table_new_manifest(t, err));
  t->writing = true;
  nc_orphans_remove(t, orphans);
  nc_orphans_sweep_copies(t);
  return NACRE_OK;
}

nacre_status nc_table_begin_writing_locked(nacre_table *t, nacre_error *err) {
  nc_orphans orphans;
  nacre_status status = begin(t, &orphans, err);
  nc_orphans_free(&orphans);
  if (status != NACRE_OK) return status;
  nc_levels levels;
  pthread_mutex_lock(&t->state_lock);
  nc_table_expect_left_locked(t);
  nc_levels_of(t->view->version, &t->policy, &levels);
  pthread_mutex_unlock(&t->state_lock);
  if (levels.young_count >= t->policy.young_runs) nc_table_schedule_merge(t);
  return NACRE_OK;
}

nacre_status nc_table_begin_writing(nacre_table *t, nacre_error *err) {
  if (atomic_load(&t->writing)) return NACRE_OK;
  pthread_mutex_lock(&t->write_lock);
  nacre_status status = t->writing ? NACRE_OK : nc_table_begin_writing_locked(t, err);
  pthread_mutex_unlock(&t->write_lock);
  return status;
}
