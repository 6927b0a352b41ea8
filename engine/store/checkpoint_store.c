/* SPDX-License-Identifier: Apache-2.0
 *
 * checkpoint_store: nacre_checkpoint: every table and the catalogue; see checkpoint.c.
 */
#include <stdlib.h>

#include "checkpoint.h"
#include "last_error.h"
#include "outside.h"

/* The tables, each held open, and the catalogue. */
typedef struct all_tables {
  nacre_store *store;
  nc_table_copy catalogue;
  nc_table_copy *copies;
  size_t count, capacity;
} all_tables;

/* ---- the tables ---------------------------------------------------------------------------------------- */

static bool holds(const all_tables *all, const nc_uuid *uuid) {
  for (size_t i = 0; i < all->count; i++) {
    if (nc_uuid_equal(&all->copies[i].table->uuid, uuid)) return true;
  }
  return false;
}

static nacre_status make_room(all_tables *all, nacre_error *err) {
  if (all->count < all->capacity) return NACRE_OK;
  size_t capacity = all->capacity == 0 ? 16 : all->capacity * 2;
  nc_table_copy *grown = realloc(all->copies, capacity * sizeof *grown);
  if (grown == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  all->copies = grown;
  all->capacity = capacity;
  return NACRE_OK;
}

static void keep(all_tables *all, nacre_table *t) { all->copies[all->count++] = (nc_table_copy){.table = t}; }

/* However it is open, as long as it is all of it. */
static nacre_status keep_open_locked(all_tables *all, const nc_uuid *uuid, bool *ret_open, nacre_error *err) {
  nacre_table *open = nc_store_find_open(all->store, uuid);
  *ret_open = open != NULL;
  if (open == NULL) return NACRE_OK;
  if (open->mode != NACRE_RECOVERY_STRICT) return nc_fail(err, NC_E_TABLE_OPEN_OTHERWISE, NULL);
  open->open_count++;
  keep(all, open);
  return NACRE_OK;
}

static nacre_status keep_table(all_tables *all, const nc_uuid *uuid, nacre_error *err) {
  static const nacre_table_open_options defaults = {0};
  char name[sizeof NC_UUID_PREFIX + NC_UUID_TEXT_BYTES] = NC_UUID_PREFIX;
  bool open = false;
  NC_TRY(make_room(all, err));
  pthread_mutex_lock(&all->store->tables_lock);
  nacre_status status = keep_open_locked(all, uuid, &open, err);
  pthread_mutex_unlock(&all->store->tables_lock);
  if (status != NACRE_OK || open) return status;
  nacre_table *t;
  nc_uuid_format(uuid, name + strlen(name));
  status = nc_store_open_table(all->store, name, &defaults, &t, err);
  if (status == NACRE_OK) keep(all, t);
  return status;
}

/* Those that the catalogue names and that are not held yet; their number. */
static nacre_status keep_further(all_tables *all, size_t *ret_further, nacre_error *err) {
  nc_catalogue_item *items;
  nacre_status status = NACRE_OK;
  *ret_further = 0;
  NC_TRY(nc_catalogue_list(all->store->catalogue, &items, err));
  for (const nc_catalogue_item *i = items; i != NULL && status == NACRE_OK; i = i->next) {
    if (i->record.life != NC_TABLE_LIVE || holds(all, &i->table)) continue;
    status = keep_table(all, &i->table, err);
    if (status == NACRE_NOT_FOUND) status = NACRE_OK; /* it was dropped meanwhile: the next look tells */
    ++*ret_further;
  }
  nc_catalogue_free(items);
  return status;
}

/* What was acknowledged by now is durable, and no log is one that failed. */
static nacre_status sync_all(all_tables *all, nacre_error *err) {
  for (size_t i = 0; i < all->count; i++) {
    if (all->copies[i].table->writing) NC_TRY(nc_table_sync(all->copies[i].table, err));
  }
  return NACRE_OK;
}

/* A close that fails tells of the store, not of the copy: the next one of the table tells it again. */
static void release_all(all_tables *all) {
  nc_table_copy_end(&all->catalogue);
  for (size_t i = 0; i < all->count; i++) {
    nc_table_copy_end(&all->copies[i]);
    (void)nacre_table_close(all->copies[i].table);
  }
  free(all->copies);
}

/* ---- at one moment of the store ------------------------------------------------------------------------ */

/* Whether all tables are held still, now that none can come: one that was created since must be held, too. */
static nacre_status lock_all(all_tables *all, nacre_error *err) {
  for (size_t further = 1;;) {
    pthread_mutex_lock(&all->store->tables_lock);
    nc_catalogue_item *items;
    nacre_status status = nc_catalogue_list(all->store->catalogue, &items, err);
    further = 0;
    for (const nc_catalogue_item *i = status == NACRE_OK ? items : NULL; i != NULL; i = i->next)
      further += i->record.life == NC_TABLE_LIVE && !holds(all, &i->table);
    if (status == NACRE_OK) nc_catalogue_free(items);
    if (status == NACRE_OK && further == 0) break;
    pthread_mutex_unlock(&all->store->tables_lock);
    if (status == NACRE_OK) status = keep_further(all, &further, err);
    NC_TRY(status);
  }
  for (size_t i = 0; i < all->count; i++) pthread_mutex_lock(&all->copies[i].table->change_lock);
  pthread_mutex_lock(&all->store->catalogue->change_lock);
  pthread_mutex_lock(&all->store->catalogue_lock);
  return NACRE_OK;
}

static void unlock_all(all_tables *all) {
  pthread_mutex_unlock(&all->store->catalogue_lock);
  pthread_mutex_unlock(&all->store->catalogue->change_lock);
  for (size_t i = all->count; i > 0; i--) pthread_mutex_unlock(&all->copies[i - 1].table->change_lock);
  pthread_mutex_unlock(&all->store->tables_lock);
}

static nacre_status take_all_locked(nc_checkpoint *c, all_tables *all, nacre_error *err) {
  char directory[NC_UUID_TEXT_BYTES];
  for (size_t i = 0; i < all->count; i++) {
    nc_uuid_format(&all->copies[i].table->uuid, directory);
    NC_TRY(nc_checkpoint_take_locked(c, &all->copies[i], directory, err));
  }
  return nc_checkpoint_take_locked(c, &all->catalogue, NC_CATALOGUE_UNFINISHED, err);
}

static nacre_status take_all(nc_checkpoint *c, all_tables *all, nacre_error *err) {
  NC_TRY(lock_all(all, err));
  nacre_status status = take_all_locked(c, all, err);
  unlock_all(all);
  return status;
}

/* The rename makes it a store. A crash before leaves none. */
static nacre_status finish_all(nc_checkpoint *c, all_tables *all, nacre_error *err) {
  for (size_t i = 0; i < all->count; i++) NC_TRY(nc_checkpoint_finish(c, &all->copies[i], err));
  NC_TRY(nc_checkpoint_finish(c, &all->catalogue, err));
  NC_TRY(nc_dir_sync(&c->to, err));
  NC_TRY(nc_dir_rename(&c->to, NC_CATALOGUE_UNFINISHED, NC_CATALOGUE_DIRECTORY, err));
  return nc_dir_sync(&c->to, err);
}

/* ---- the call ------------------------------------------------------------------------------------------ */

static nacre_status look(void *arg, const char *name, nacre_io_kind kind, nacre_error *err) {
  bool *any = arg;
  (void)kind;
  *any = true;
  return strcmp(name, NC_CATALOGUE_DIRECTORY) == 0 ? nc_fail(err, NC_E_STORE_EXISTS, NULL) : NACRE_OK;
}

static nacre_status make_place(nacre_store *store, const char *to, nc_dir *ret_dir, nacre_error *err) {
  bool any = false;
  NC_TRY(nc_check_outside(store->shared.env, to, NC_CATALOGUE_DIRECTORY, NC_E_CHECKPOINT_INSIDE, err));
  NC_TRY(nc_dir_open(store->shared.env, to, true, ret_dir, err));
  nacre_status status = nc_dir_list(ret_dir, look, &any, err);
  if (status == NACRE_OK && any) status = nc_fail(err, NC_E_STORE_NOT_EMPTY, "%.200s", to);
  if (status != NACRE_OK) nc_dir_close(ret_dir);
  return status;
}

static nacre_status copy_store(nc_checkpoint *c, all_tables *all, nacre_error *err) {
  size_t further;
  NC_TRY(keep_further(all, &further, err));
  NC_TRY(sync_all(all, err));
  nacre_status status = take_all(c, all, err);
  return status == NACRE_OK ? finish_all(c, all, err) : status;
}

nacre_status nacre_checkpoint(nacre_store *store, const char *to, const nacre_checkpoint_options *options,
                              nacre_checkpoint_report *ret_report) {
  nacre_error *err = nc_thread_error(), why;
  NC_TRY(nc_store_check(store, err));
  if (to == NULL) return nc_fail(err, NC_E_ARGUMENT, "to is NULL");
  if (options != NULL) NC_TRY(nc_check_reserved(options->reserved, err));
  nc_checkpoint c = {.options = options};
  all_tables all = {.store = store, .catalogue = {.table = store->catalogue}};
  NC_TRY(make_place(store, to, &c.to, err));
  nacre_status status = copy_store(&c, &all, &why);
  c.report.tables = all.count;
  release_all(&all);
  nc_dir_close(&c.to);
  if (status != NACRE_OK) return nc_fail_with(err, &why);
  if (ret_report != NULL) *ret_report = c.report;
  return NACRE_OK;
}
