/* SPDX-License-Identifier: Apache-2.0
 *
 * table: making, opening and closing one table.
 *
 * Opening reads CURRENT, the manifest and the live logs, and writes nothing; segments are opened when they
 * are first read. [N3]
 */
#include <stdio.h>
#include <stdlib.h>

#include "key_specs.h"
#include "orphans.h"
#include "segment_writer.h"
#include "table.h"

nacre_status nc_table_make(const nc_dir *dir, const nc_table_keys *keys, nacre_error *err) {
  NC_TRY(nc_table_keys_write(keys, dir, err));
  nc_version *empty;
  NC_TRY(nc_version_create(NULL, NULL, 0, &empty, err));
  nc_manifest_base base = {
      .state = {.next_file_number = 2, .key_file_generation = nc_table_keys_generation(keys)},
      .version = empty,
      .number = 1,
      .epoch = 1,
      .sequence = 1,
  };
  nc_manifest manifest;
  bool unnamed;
  nacre_status status = nc_manifest_create(dir, keys, &base, &manifest, &unnamed, err);
  nc_version_unref(empty);
  if (status == NACRE_OK) nc_manifest_close(&manifest);
  return status;
}

/* ---- opening ------------------------------------------------------------------------------------------- */

#define LOCKS_OF(t)                                                                                       \
  &(t)->change_lock, &(t)->sync_lock, &(t)->write_lock, &(t)->flush_lock, &(t)->merge_lock,               \
      &(t)->loads.lock, &(t)->commit_lock, &(t)->header_lock, &(t)->state_lock

static void init_locks(nacre_table *t) {
  pthread_mutex_t *locks[] = {LOCKS_OF(t)};
  for (size_t i = 0; i < sizeof locks / sizeof *locks; i++) pthread_mutex_init(locks[i], NULL);
  pthread_cond_init(&t->changed, NULL);
}

static void free_table(nacre_table *t) {
  nc_heap *heap = t->shared->env->heap;
  if (t->shared->cache != NULL) nc_cache_forget(t->shared->cache, t);
  nc_manifest_close(&t->manifest);
  nc_log_unref(t->log);
  for (size_t i = 0; i < t->log_count; i++) nc_log_unref(t->logs[i]);
  free(t->logs);
  for (size_t i = 0; i < t->immutable_count; i++) {
    for (size_t j = 0; j < t->immutables[i].built_count; j++) nc_segment_unref(t->immutables[i].built[j]);
    free(t->immutables[i].built);
    nc_value_changes_deinit(&t->immutables[i].built_values);
    nc_pin_unref(nc_memtable_pin(t->immutables[i].memtable));
  }
  for (size_t i = 0; i < t->doubtful_count; i++) nc_segment_unref(t->doubtful[i]);
  free(t->doubtful);
  nc_views_recall(t);
  nc_iters_deinit(t);
  nc_view_unref(t->view);
  nc_heap_free(heap, t->encode, t->encode_capacity);
  nc_rewrap_deinit(t);
  nc_meters_deinit(t);
  nc_key_holder_deinit(&t->keys);
  nc_key_specs_free(t->caller_keys, t->caller_key_count);
  nc_value_set_deinit(&t->values);
  nc_dir_close(&t->dir);
  pthread_mutex_t *locks[] = {LOCKS_OF(t)};
  for (size_t i = 0; i < sizeof locks / sizeof *locks; i++) pthread_mutex_destroy(locks[i]);
  pthread_cond_destroy(&t->changed);
  nc_heap_free(heap, t, sizeof *t);
}

static nacre_status load_version(nacre_table *t, const nc_manifest_content *content, nc_version **ret_version,
                                 nacre_error *err) {
  nc_segment **segments = calloc(content->segment_count + 1, sizeof(nc_segment *));
  nc_place *places = calloc(content->segment_count + 1, sizeof *places);
  size_t count = 0;
  nacre_status status = segments == NULL || places == NULL ? nc_fail(err, NC_E_NO_MEMORY, NULL) : NACRE_OK;
  for (; count < content->segment_count && status == NACRE_OK; count += status == NACRE_OK) {
    const nc_segment_record *record = &content->segments[count];
    places[count] = (nc_place){record->run, record->level};
    status = nc_segment_create(&t->home, record, content->epoch, &segments[count], err);
  }
  if (status == NACRE_OK) status = nc_version_create(segments, places, count, ret_version, err);
  for (size_t i = 0; i < count; i++) nc_segment_unref(segments[i]); /* the version keeps them */
  free(segments);
  free(places);
  return status;
}

/* A last commit that was not whole was never acknowledged; but something was being done when the writer
 * died. */
static void report_torn_manifest(nacre_table *t, bool damaged, nacre_recovery_report *report) {
  if (t->found_torn_bytes == 0) return;
  report->clean = false;
  report->damaged = report->damaged || damaged;
  report->dropped_bytes += t->found_torn_bytes;
  if (report->reason[0] != '\0') return;
  char name[NC_FILE_NAME_BYTES];
  nc_manifest_name(t->found_manifest_number, name);
  nc_dir_label(&t->dir, name, report->file);
  report->dropped_offset = t->found_torn_offset;
  snprintf(report->reason, sizeof report->reason, "%s",
           damaged ? "the manifest is damaged before its last commit" : "the manifest's last commit is torn");
}

/* Logs that never began hold nothing: this open's manifest leaves them out, and their files go as orphans. */
static void forget_empty_logs(nacre_table *t) {
  size_t kept = 0;
  for (size_t i = 0; i < t->log_count; i++) {
    if (t->logs[i]->started) {
      t->logs[kept++] = t->logs[i];
    } else {
      nc_log_unref(t->logs[i]);
    }
  }
  t->log_count = kept;
}

static nacre_status recover(nacre_table *t, const nc_manifest_content *content, nacre_recovery_mode mode,
                            nc_memtable *memtable, nacre_error *err) {
  t->logs = calloc(content->log_count + 1, sizeof(nc_log *));
  if (t->logs == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  NC_TAKEN_KEYS(keys, &t->keys);
  nc_recovery r = {.dir = &t->dir,
                   .keys = keys,
                   .manifest = content,
                   .mode = mode,
                   .memtable = memtable,
                   .values = &t->values,
                   .logs = t->logs};
  nacre_status status = nc_recover_logs(&r, err);
  while (t->log_count < content->log_count && t->logs[t->log_count] != NULL) t->log_count++;
  NC_TRY(status);
  report_torn_manifest(t, content->damaged, &r.report);
  t->recovery = r.report;
  if (r.report.clean) forget_empty_logs(t);
  atomic_init(&t->visible, r.last_sequence);
  /* What was never cleanly ended may stand in the page cache only; and many logs would make every open
   * slow. */
  t->must_flush = !r.report.clean || t->log_count > NC_LOGS_KEPT_MAX;
  return NACRE_OK;
}

static void take_content(nacre_table *t, const nc_manifest_content *content) {
  t->found_torn_bytes = content->torn_bytes;
  t->found_torn_offset = content->torn_offset;
  t->found_manifest_number = content->number;
  t->epoch = content->epoch;
  t->kek_version_min = content->kek_version_min;
  t->commit_sequence = content->sequence;
  t->state = content->state;
}

static nacre_status check_key_generation(nacre_table *t, const nc_manifest_content *content,
                                         nacre_error *err) {
  NC_TAKEN_KEYS(keys, &t->keys);
  uint64_t generation = nc_table_keys_generation(keys);
  if (generation >= content->state.key_file_generation) return NACRE_OK; /* [M6] */
  return nc_fail_in(
      err,
      nc_fail(err, NC_E_KEY_FILE_ROLLED_BACK, "generation %llu, the manifest knows %llu",
              (unsigned long long)generation, (unsigned long long)content->state.key_file_generation),
      t->dir.label, 0);
}

/* Also for those who only read: a file that the manifest has forgotten may hold what they ask for. */
static nacre_status check_orphans(nacre_table *t, nacre_recovery_mode mode, nacre_error *err) {
  nc_orphans orphans;
  nacre_error why;
  nacre_status status = nc_orphans_find(t, &orphans, &why);
  nc_orphans_free(&orphans);
  bool damage = status == NACRE_CORRUPT; /* an older state is not damage: no mode reads it */
  if (status == NACRE_OK || !damage || mode != NACRE_RECOVERY_TO_DAMAGE) {
    return status == NACRE_OK ? NACRE_OK : nc_fail_with(err, &why);
  }
  t->recovery.damaged = true;
  t->recovery.clean = false;
  snprintf(t->recovery.reason, sizeof t->recovery.reason, "%.*s", (int)sizeof t->recovery.reason - 1,
           why.text);
  snprintf(t->recovery.file, sizeof t->recovery.file, "%s", why.file);
  return NACRE_OK;
}

static nacre_status load_content(nacre_table *t, const nc_manifest_content *content, nacre_recovery_mode mode,
                                 nacre_error *err) {
  NC_TRY(check_key_generation(t, content, err));
  take_content(t, content);
  for (size_t i = 0; i < content->value_count; i++)
    NC_TRY(nc_value_set_add(&t->values, &content->values[i], true, err));
  nc_version *version;
  NC_TRY(nc_fail_in(err, load_version(t, content, &version, err), t->dir.label, 0));
  nc_memtable *memtable = NULL;
  nc_view *view = NULL;
  nacre_status status = nc_table_new_memtable(t, &memtable, err);
  if (status == NACRE_OK) status = recover(t, content, mode, memtable, err);
  if (status == NACRE_OK) status = nc_view_create(memtable, NULL, 0, version, &view, err);
  atomic_init(&t->view, view);
  if (memtable != NULL) nc_pin_unref(nc_memtable_pin(memtable)); /* the view keeps it */
  nc_version_unref(version);
  t->active = memtable;
  return status == NACRE_OK ? check_orphans(t, mode, err) : status;
}

nacre_status nc_table_load(nc_shared *shared, nc_dir *dir, nc_table_keys *keys,
                           const nc_table_settings *settings, bool read_only, nacre_recovery_mode mode,
                           nacre_table **ret_table, nacre_error *err) {
  nacre_table *t = nc_heap_alloc(shared->env->heap, sizeof *t); /* it holds its name: user data */
  if (t == NULL) {
    nc_table_keys_unref(keys);
    nc_dir_close(dir);
    return nc_fail(err, NC_E_NO_MEMORY, NULL);
  }
  init_locks(t);
  t->shared = shared;
  t->dir = *dir;
  *dir = (nc_dir){0};
  t->uuid = *nc_table_keys_table(keys);
  nc_key_holder_init(&t->keys, keys);
  t->settings = *settings;
  t->policy = (nc_policy){.young_runs = NC_YOUNG_RUNS,
                          .young_bytes = NC_YOUNG_RUNS * shared->memtable_bytes,
                          .ratio = settings->level_ratio,
                          .segment_bytes = settings->segment_bytes};
  t->read_only = read_only;
  t->mode = mode;
  t->home = (nc_segment_home){shared, t, &t->dir, &t->keys};
  t->flush_job = (nc_job){.run = nc_table_run_flush, .arg = t};
  t->merge_job = (nc_job){.run = nc_table_run_merge, .arg = t};
  t->relief_job = (nc_job){.run = nc_table_run_relief, .arg = t};
  t->later.job = (nc_job){.run = nc_later_run, .arg = t};
  t->rewrapper.job = (nc_job){.run = nc_rewrap_run, .arg = t};
  nc_manifest_content content;
  nacre_status status = nc_manifest_read(&t->dir, keys, mode == NACRE_RECOVERY_TO_DAMAGE, &content, err);
  if (status == NACRE_OK) status = load_content(t, &content, mode, err);
  nc_manifest_content_deinit(&content);
  if (status != NACRE_OK) {
    free_table(t);
    return status;
  }
  pthread_mutex_lock(&shared->tables_lock);
  t->next_shared = shared->tables;
  shared->tables = t;
  pthread_mutex_unlock(&shared->tables_lock);
  *ret_table = t;
  return NACRE_OK;
}

/* ---- closing ------------------------------------------------------------------------------------------- */

static nacre_status end_cleanly(nacre_table *t, nacre_error *err) {
  atomic_store(&t->closing, true);
  nc_later_stop(t);
  nc_rewrap_stop(t);
  nc_table_wait_jobs(t);
  if (!t->writing) return NACRE_OK;
  nacre_status status = nc_table_end_log(t, err);
  nc_table_wait_jobs(t); /* ending a failed log flushes, and a flush may call for a merge */
  return status;
}

/* Nobody can ask it for anything any more. */
static void leave_shared(nacre_table *t) {
  pthread_mutex_lock(&t->shared->tables_lock);
  nacre_table **link = &t->shared->tables;
  while (*link != t) link = &(*link)->next_shared;
  *link = t->next_shared;
  pthread_mutex_unlock(&t->shared->tables_lock);
}

nacre_status nc_table_unload(nacre_table *t, nacre_error *err) {
  leave_shared(t);
  nacre_status status = end_cleanly(t, err);
  free_table(t);
  return status;
}

/* ---- checks -------------------------------------------------------------------------------------------- */

nacre_status nc_check_reserved(const uint64_t reserved[8], nacre_error *err) {
  uint64_t any = 0;
  for (int i = 0; i < 8; i++) any |= reserved[i];
  return any == 0 ? NACRE_OK : nc_fail(err, NC_E_OPTION_RESERVED, NULL);
}

nacre_status nc_table_check(nacre_table *t, nacre_error *err) {
  if (t == NULL) return nc_fail(err, NC_E_ARGUMENT, "the table is NULL");
  return nc_table_forked(t) ? nc_fail(err, NC_E_FORKED, NULL) : NACRE_OK;
}

nacre_status nc_table_check_writable(nacre_table *t, nacre_error *err) {
  NC_TRY(nc_table_check(t, err));
  return t->read_only ? nc_fail(err, NC_E_READ_ONLY, NULL) : NACRE_OK;
}
