/* SPDX-License-Identifier: Apache-2.0
 *
 * salvage: the call; see salvage.h.
 */
#include "expiry.h"
#include "salvage.h"

#include <stdio.h>

#include "last_error.h"

/* ---- copying ------------------------------------------------------------------------------------------- */

static nacre_status copy_all(nc_salvage *s, nc_salvage_table *t, const nc_salvage_found *found,
                             nacre_error *err) {
  nc_entry entry;
  bool more;
  NC_TRY(nc_salvage_table_next(t, &entry, &more, err));
  if (!more && s->report.entries == 0 && s->report.fault_count > 0)
    return nc_fail(err, NC_E_SALVAGE_NOTHING, NULL);
  nc_salvage_target target;
  NC_TRY(nc_salvage_target_open(s, found, &target, err));
  nacre_status status = NACRE_OK;
  nc_salvage_buffer buffer = {0};
  while (more && status == NACRE_OK) {
    bool whole = false;
    uint64_t expires_ms = nc_entry_expires_ms(&entry);
    status = nc_salvage_value(t, &entry, &buffer, &whole, err);
    if (status == NACRE_OK && whole) {
      status = nc_salvage_target_put(&target, &entry, expires_ms, err);
      s->report.keys++;
      s->report.value_bytes += entry.value.size;
    }
    if (status == NACRE_OK) status = nc_salvage_table_next(t, &entry, &more, err);
  }
  nc_heap_free(s->shared.env->heap, buffer.bytes, buffer.capacity);
  if (status == NACRE_OK) return nc_salvage_target_finish(&target, found->name, err);
  nacre_error first = *err; /* closing must not hide it */
  nc_salvage_target_abandon(&target);
  return nc_fail_with(err, &first);
}

static nacre_status salvage_table(nc_salvage *s, nc_salvage_found *found, nacre_error *err) {
  nc_salvage_table t;
  snprintf(s->report.table, sizeof s->report.table, "%s", found->name);
  NC_TRY(nc_salvage_table_open(s, &found->dir, found->keys, &found->settings, &t, err));
  nacre_status status = copy_all(s, &t, found, err);
  nc_salvage_table_close(&t);
  return status;
}

/* ---- the source ---------------------------------------------------------------------------------------- */

/* Nobody can begin to write under a shared lock. Where there is no lock file that could be opened, or what
 * stands in its place is no file, there is nothing to hold on to. */
static nacre_status take_lock(nc_salvage *s, nacre_io_lock **ret_lock, nacre_error *err) {
  nacre_error why;
  nacre_status status = nc_lock_take(&s->dir, NC_LOCK_NAME, false, ret_lock, &why);
  if (status == NACRE_NOT_FOUND || status == NACRE_READ_ONLY) return NACRE_OK;
  if (status == NACRE_TAMPERED) return nc_salvage_note(s, &why, NULL, err);
  return status == NACRE_OK ? NACRE_OK : nc_fail_with(err, &why);
}

static nacre_status in_directory(nc_salvage *s, const char *table, nacre_error *err) {
  nacre_io_lock *lock = NULL;
  NC_TRY(take_lock(s, &lock, err));
  nc_salvage_found found;
  nacre_status status = nc_salvage_find(s, table, &found, err);
  if (status == NACRE_OK) status = salvage_table(s, &found, err);
  nc_wipe(found.name, sizeof found.name); /* user data, and this is a stack */
  if (lock != NULL) nc_lock_release(s->shared.env, lock);
  return status;
}

static nacre_status in_store(nc_salvage *s, const char *path, const char *table, nacre_error *err) {
  nacre_error why;
  nacre_status status = nc_dir_open(s->shared.env, path, false, &s->dir, &why);
  if (status == NACRE_NOT_FOUND) return nc_fail(err, NC_E_STORE_MISSING, "%.200s", path);
  if (status != NACRE_OK) return nc_fail_with(err, &why);
  status = in_directory(s, table, err);
  nc_dir_close(&s->dir);
  return status;
}

static nacre_status check_options(const nacre_salvage_options *o, nacre_error *err) {
  NC_TRY(nc_check_reserved(o->reserved, err));
  if (o->to == NULL || o->to[0] == '\0') return nc_fail(err, NC_E_ARGUMENT, "options->to names no directory");
  return o->source == NULL ? NACRE_OK : nc_store_check_options(o->source, err);
}

static nacre_status run(nc_salvage *s, const char *path, const char *table, nacre_error *err) {
  nacre_store_options options = nc_salvage_store_options(s);
  NC_TRY(nc_store_keys(s->source, &s->specs, &s->spec_count, err));
  nacre_status status = nc_shared_init(&s->shared, &options, err);
  if (status == NACRE_OK) status = in_store(s, path, table, err);
  nc_shared_deinit(&s->shared);
  nc_key_specs_free(s->specs, s->spec_count);
  return status;
}

nacre_status nacre_salvage(const char *path, const char *table, const nacre_salvage_options *options,
                           nacre_salvage_report *ret_report) {
  nacre_error *err = nc_thread_error();
  static const nacre_store_options defaults = {0};
  if (path == NULL || options == NULL) return nc_fail(err, NC_E_ARGUMENT, "path or options is NULL");
  NC_TRY(check_options(options, err));
  nc_salvage s = {.options = options, .source = options->source == NULL ? &defaults : options->source};
  nacre_error kept = *err; /* faults are noted, not told: a call that succeeds leaves the last error alone */
  nacre_status status = run(&s, path, table, err);
  if (status == NACRE_OK) *err = kept;
  if (ret_report != NULL) {
    *ret_report = s.report;
  } else {
    nacre_faults_free(s.report.faults);
  }
  nc_wipe(s.report.table, sizeof s.report.table);
  return status;
}
