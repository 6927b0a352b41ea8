/* SPDX-License-Identifier: Apache-2.0
 *
 * large_write: see large_write.h.
 */
#include "large_write.h"

#include <stdlib.h>

#include "batch.h"
#include "segment_build.h"
#include "value_writer.h"

bool nc_value_is_large(const nacre_table *t, size_t key_size, size_t value_size) {
  if (value_size > t->settings.large_value_bytes) return true;
  size_t head = 1 + nc_varint_size(key_size) + nc_varint_size(value_size);
  return value_size > NACRE_BATCH_BYTES_MAX || head + key_size > NACRE_BATCH_BYTES_MAX - value_size;
}

void nc_large_write_init(nc_large_write *w, nacre_table *t) { *w = (nc_large_write){.table = t}; }

/* ---- who writes now ------------------------------------------------------------------------------------ */

static void enter(nc_large_write *w) {
  (void)nc_making_begin(w->table, &w->making);
  w->begun = true;
}

static void leave(nc_large_write *w) {
  if (!w->begun) return;
  nc_making_end(w->table, &w->making);
  w->begun = false;
}

/* ---- files --------------------------------------------------------------------------------------------- */

/* An open makes no file before its own manifest. */
static nacre_status begin(nc_large_write *w, nacre_error *err) {
  nacre_table *t = w->table;
  if (w->begun) return NACRE_OK;
  if (!atomic_load(&t->writing)) {
    pthread_mutex_lock(&t->write_lock);
    nacre_status status = t->writing ? NACRE_OK : nc_table_begin_writing_locked(t, err);
    pthread_mutex_unlock(&t->write_lock);
    NC_TRY(status);
  }
  enter(w);
  return NACRE_OK;
}

static nacre_status write_file(nc_large_write *w, nacre_slice value, nc_value_name *ret_name,
                               nacre_error *err) {
  nacre_table *t = w->table;
  nc_value_params params = {
      .table = t->uuid, .number = nc_table_new_number(t), .method = nc_build_method(t, false)};
  nc_table_moment(t, &params.epoch, &params.manifest, &params.manifest_sequence);
  return nc_value_write(&t->dir, &params, nc_table_keys_active(w->making.keys), value, ret_name, err);
}

nacre_status nc_large_write_value(nc_large_write *w, nacre_slice value, uint64_t expires_ms,
                                  uint8_t ret_reference[NC_VALUE_REFERENCE_BYTES_MAX], size_t *ret_size,
                                  nacre_error *err) {
  if (value.size > NACRE_VALUE_BYTES_MAX) return nc_fail(err, NC_E_VALUE_TOO_LARGE, "%zu bytes", value.size);
  if (w->count == w->capacity) {
    size_t capacity = w->capacity == 0 ? 4 : w->capacity * 2;
    nc_value_name *grown = realloc(w->made, capacity * sizeof *grown);
    if (grown == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
    w->made = grown;
    w->capacity = capacity;
  }
  NC_TRY(begin(w, err));
  NC_TRY(write_file(w, value, &w->made[w->count], err));
  nc_value_reference reference = {.expires_ms = expires_ms, .name = w->made[w->count++]};
  *ret_size = nc_value_reference_encode(&reference, ret_reference);
  return NACRE_OK;
}

static nacre_status keep_loading(nc_large_write *w, nacre_error *err) {
  nacre_table *t = w->table;
  const nc_value_name *name = &w->made[w->count - 1];
  pthread_mutex_lock(&t->commit_lock);
  nacre_status status = nc_value_set_add(&t->values, name, false, err);
  if (status == NACRE_OK) nc_value_set_find(&t->values, name->number)->loading = true;
  pthread_mutex_unlock(&t->commit_lock);
  return status;
}

nacre_status nc_large_write_load(nc_large_write *w, nacre_slice value, uint64_t expires_ms,
                                 uint8_t ret_reference[NC_VALUE_REFERENCE_BYTES_MAX], size_t *ret_size,
                                 nacre_error *err) {
  nacre_status status = nc_large_write_value(w, value, expires_ms, ret_reference, ret_size, err);
  if (status == NACRE_OK) status = keep_loading(w, err);
  leave(w);
  return status;
}

nacre_status nc_large_write_settle(nc_large_write *w, nacre_error *err) {
  nacre_table *t = w->table;
  if (w->count == 0) return NACRE_OK;
  nacre_status status = nc_dir_sync(&t->dir, err);
  pthread_mutex_lock(&t->commit_lock);
  for (size_t i = 0; i < w->count && status == NACRE_OK; i++)
    status = nc_value_set_add(&t->values, &w->made[i], false, err);
  pthread_mutex_unlock(&t->commit_lock);
  leave(w);
  return status;
}

/* ---- the end ------------------------------------------------------------------------------------------- */

static void remove_files(nc_large_write *w) {
  nacre_table *t = w->table;
  pthread_mutex_lock(&t->commit_lock);
  for (size_t i = 0; i < w->count; i++) nc_value_set_remove(&t->values, w->made[i].number);
  pthread_mutex_unlock(&t->commit_lock);
  for (size_t i = 0; i < w->count; i++) {
    char name[NC_FILE_NAME_BYTES];
    nc_value_file_name(w->made[i].number, name);
    nc_ignore(nc_dir_remove(&t->dir, name, NULL)); /* an orphan if it stays */
  }
}

/* Should the log be dropped by now, the next drop of a log sees to them. */
static void leave_to_log(nc_large_write *w, uint64_t log) {
  nacre_table *t = w->table;
  pthread_mutex_lock(&t->commit_lock);
  for (size_t i = 0; i < w->count; i++) {
    nc_value_item *item = nc_value_set_find(&t->values, w->made[i].number);
    if (item == NULL || item->failed_log != 0) continue;
    item->failed_log = log;
    t->values.failed++;
  }
  pthread_mutex_unlock(&t->commit_lock);
}

void nc_large_write_leave_files(nc_large_write *w) {
  leave(w);
  free(w->made);
  *w = (nc_large_write){0};
}

void nc_large_write_end(nc_large_write *w, const nc_write *logged) {
  if (w->count > 0 && (logged == NULL || !logged->logged)) {
    if (logged != NULL && logged->failed_log != 0) {
      leave_to_log(w, logged->failed_log);
    } else {
      remove_files(w);
    }
  }
  nc_large_write_leave_files(w);
}
