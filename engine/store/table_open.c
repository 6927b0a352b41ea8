/* SPDX-License-Identifier: Apache-2.0
 *
 * table_open: from a table's name to an open table, and back.
 *
 * The KMS is asked without a lock: a table whose key service hangs keeps nobody from the others. What the
 * catalogue says may change meanwhile; then the open begins anew.
 */
#include <stdlib.h>

#include "last_error.h"
#include "store.h"

nacre_table *nc_store_find_open(nacre_store *store, const nc_uuid *uuid) {
  nacre_table *t = store->tables;
  while (t != NULL && !nc_uuid_equal(&t->uuid, uuid)) t = t->next;
  return t;
}

/* ---- keys ---------------------------------------------------------------------------------------------- */

nacre_status nc_read_table_keys(const nc_kms *kms, const nc_dir *dir, const nc_catalogue_item *item,
                                const nacre_key_spec *more, size_t more_count, const char *region,
                                nc_table_keys **ret_keys, nacre_error *err) {
  nacre_key_spec *specs;
  size_t count;
  NC_TRY(nc_key_specs_join(&item->record, more, more_count, &specs, &count, err));
  nc_key_trust trust = {.table = item->table,
                        .current = &item->record.current.pin,
                        .pending = item->record.has_pending ? &item->record.pending.pin : NULL,
                        .generation_min = item->record.key_file_generation,
                        .specs = specs,
                        .spec_count = count,
                        .region = region};
  nacre_status status = nc_table_keys_open(kms, dir, &trust, ret_keys, err);
  nc_key_specs_free(specs, count);
  return status;
}

nacre_status nc_open_table_keys(const nc_kms *kms, const nc_dir *store_dir, const nc_catalogue_item *item,
                                const nacre_key_spec *more, size_t more_count, const char *region,
                                nc_dir *ret_dir, nc_table_keys **ret_keys, nacre_error *err) {
  char directory[NC_UUID_TEXT_BYTES];
  nc_uuid_format(&item->table, directory);
  nacre_status status = nc_dir_open_at(store_dir, directory, ret_dir, err);
  /* The catalogue names it: it is lost, not unknown. [T4] */
  if (status == NACRE_NOT_FOUND) status = nc_fail_in(err, nc_fail(err, NC_E_TABLE_LOST, NULL), directory, 0);
  NC_TRY(status);
  status = nc_read_table_keys(kms, ret_dir, item, more, more_count, region, ret_keys, err);
  if (status != NACRE_OK) nc_dir_close(ret_dir);
  return status;
}

/* ---- opening ------------------------------------------------------------------------------------------- */

/* One open, on its way. */
typedef struct opening {
  nacre_store *store;
  const char *name;
  const nacre_table_open_options *options;
  nc_catalogue_item *item; /* what the catalogue said when the keys were asked for */
  nacre_key_spec *caller_keys;
  size_t caller_key_count;
  nc_dir dir;
  nc_table_keys *keys;
} opening;

static bool opens_read_only(const opening *q) { return q->store->read_only || q->options->read_only; }

/* One handle more of a table that is open already. */
static nacre_status share(const opening *q, nacre_table *open, nacre_table **ret_table, nacre_error *err) {
  if (open->read_only != opens_read_only(q) || open->mode != q->options->recovery)
    return nc_fail(err, NC_E_TABLE_OPEN_OTHERWISE, "\"%.100s\"", q->name);
  open->open_count++;
  *ret_table = open;
  return NACRE_OK;
}

/* `*ret_table` stays NULL when the table is not open yet. */
static nacre_status look_up_locked(opening *q, nacre_table **ret_table, nacre_error *err) {
  nacre_store *store = q->store;
  const nacre_table_open_options *o = q->options;
  NC_TRY(nc_catalogue_find(store->catalogue, q->name, &q->item, err));
  nacre_table *open = nc_store_find_open(store, &q->item->table);
  if (open != NULL) return share(q, open, ret_table, err);
  /* The store's own keys too: they may be where a keyring has been moved. */
  return nc_key_specs_append(o->keys, o->key_count, store->keys, store->key_count, &q->caller_keys,
                             &q->caller_key_count, err);
}

static nacre_status ask_for_keys(opening *q, nacre_error *err) {
  return nc_open_table_keys(&q->store->shared.kms, &q->store->dir, q->item, q->caller_keys,
                            q->caller_key_count, q->store->region, &q->dir, &q->keys, err);
}

/* Whether the catalogue still says what it said. A rename makes the open begin anew, too. */
static nacre_status still_so(const opening *q, bool *ret_same, nacre_error *err) {
  nc_catalogue_item *now;
  NC_TRY(nc_catalogue_find_uuid(q->store->catalogue, &q->item->table, &now, err));
  *ret_same = now->size == q->item->size && memcmp(now->bytes, q->item->bytes, now->size) == 0;
  nc_catalogue_free(now);
  return NACRE_OK;
}

static void enter(opening *q, nacre_table *t) {
  nacre_store *store = q->store;
  const nc_catalogue_record *record = &q->item->record;
  pthread_mutex_lock(&t->state_lock);
  memcpy(t->name, record->name.data, record->name.size);
  if (!t->read_only) nc_table_expect_left_locked(t);
  pthread_mutex_unlock(&t->state_lock);
  t->generation_recorded = record->key_file_generation;
  t->change_recorded = record->has_pending;
  t->caller_keys = q->caller_keys;
  t->caller_key_count = q->caller_key_count;
  q->caller_keys = NULL;
  q->caller_key_count = 0;
  /* A table that somebody has opened has come to life, whatever its creation answered. */
  if (store->undo_pending && nc_uuid_equal(&store->undo, &q->item->table)) store->undo_pending = false;
  t->open_count = 1;
  t->next = store->tables;
  store->tables = t;
  if (!t->recovery.clean) nc_table_emit(t, NACRE_EVENT_RECOVERED, t->recovery.dropped_bytes, NULL);
  if (t->read_only || !nc_rewrap_due(t)) return;
  nc_ignore(nc_catalogue_secure(store->catalogue, NULL)); /* before the first use; the rewrap insists on it */
  nc_rewrap_schedule(t);
}

/* `*ret_table` stays NULL when the catalogue says something else by now. */
static nacre_status load_locked(opening *q, nacre_table **ret_table, nacre_error *err) {
  const nc_catalogue_record *record = &q->item->record;
  bool same = false;
  nacre_table *t = nc_store_find_open(q->store, &q->item->table);
  if (t != NULL) return share(q, t, ret_table, err);
  NC_TRY(still_so(q, &same, err));
  if (!same) return NACRE_OK;
  nc_table_settings settings = nc_table_settings_of(record);
  nc_table_keys *keys = q->keys;
  q->keys = NULL; /* the table takes it over, on failure too, as it does the directory */
  NC_TRY(nc_table_load(&q->store->shared, &q->dir, keys, &settings, opens_read_only(q),
                       q->options->recovery, &t, err));
  nc_store_adopt(q->store, t);
  enter(q, t);
  *ret_table = t;
  return NACRE_OK;
}

static void end_try(opening *q) {
  nc_catalogue_free(q->item);
  nc_key_specs_free(q->caller_keys, q->caller_key_count);
  nc_table_keys_unref(q->keys);
  nc_dir_close(&q->dir);
}

static nacre_status try_open(opening *q, nacre_table **ret_table, nacre_error *err) {
  pthread_mutex_lock(&q->store->tables_lock);
  nacre_status status = look_up_locked(q, ret_table, err);
  pthread_mutex_unlock(&q->store->tables_lock);
  if (status != NACRE_OK || *ret_table != NULL) return status;
  nacre_error why;
  status = ask_for_keys(q, &why);
  pthread_mutex_lock(&q->store->tables_lock);
  if (status == NACRE_OK) {
    status = load_locked(q, ret_table, err);
  } else {
    /* A change of keys that was under way makes the key file newer than what was asked for, or another. */
    bool same = true;
    nacre_status known = still_so(q, &same, err);
    if (known != NACRE_OK || same) status = known != NACRE_OK ? known : nc_fail_with(err, &why);
    if (known == NACRE_OK && !same) status = NACRE_OK;
  }
  pthread_mutex_unlock(&q->store->tables_lock);
  return status;
}

nacre_status nc_store_open_table(nacre_store *store, const char *name, const nacre_table_open_options *options,
                                 nacre_table **ret_table, nacre_error *err) {
  nacre_table *t = NULL;
  while (t == NULL) {
    opening q = {.store = store, .name = name, .options = options};
    nacre_status status = try_open(&q, &t, err);
    end_try(&q);
    NC_TRY(status);
  }
  *ret_table = t;
  return NACRE_OK;
}

nacre_status nacre_table_open(nacre_store *store, const char *name, const nacre_table_open_options *options,
                              nacre_table **ret_table) {
  nacre_error *err = nc_thread_error();
  static const nacre_table_open_options defaults = {0};
  if (options == NULL) options = &defaults;
  NC_TRY(nc_store_check(store, err));
  if (name == NULL || ret_table == NULL) return nc_fail(err, NC_E_ARGUMENT, "name or ret_table is NULL");
  NC_TRY(nc_check_reserved(options->reserved, err));
  bool read_only = store->read_only || options->read_only;
  if ((unsigned)options->recovery > NACRE_RECOVERY_TO_DAMAGE ||
      (options->recovery != NACRE_RECOVERY_STRICT && !read_only)) {
    return nc_fail(err, NC_E_ARGUMENT, "this recovery mode needs a read-only open");
  }
  if (options->key_count > NACRE_KEY_SPECS_MAX || (options->key_count > 0 && options->keys == NULL)) {
    return nc_fail(err, NC_E_ARGUMENT, "keys is NULL, or there are too many");
  }
  return nc_store_open_table(store, name, options, ret_table, err);
}

/* ---- closing ------------------------------------------------------------------------------------------- */

static nacre_status close_locked(nacre_table *t, nacre_error *err) {
  if (t->open_count > 1) {
    t->open_count--;
    return NACRE_OK;
  }
  if (nc_table_lends(t)) return nc_fail(err, NC_E_TABLE_BUSY, NULL);
  nacre_table **link = &t->store->tables;
  while (*link != t) link = &(*link)->next;
  *link = t->next;
  return nc_table_unload(t, err);
}

nacre_status nacre_table_close(nacre_table *table) {
  nacre_error *err = nc_thread_error();
  if (table == NULL) return NACRE_OK;
  NC_TRY(nc_table_check(table, err));
  nacre_store *store = table->store;
  pthread_mutex_lock(&store->tables_lock);
  nacre_status status = close_locked(table, err);
  pthread_mutex_unlock(&store->tables_lock);
  return status;
}
