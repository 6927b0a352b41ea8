/* SPDX-License-Identifier: Apache-2.0
 *
 * store_tables: creating, opening, closing, renaming and dropping the tables of a store.
 *
 * A table is *creating* in the catalogue before its directory exists and *dropped* before its files go, so
 * that a crash at any point leaves either nothing or something that the next writing open finishes. A
 * directory that the catalogue does not know is never touched.
 */
#include <stdlib.h>

#include "last_error.h"
#include "random.h"
#include "store.h"

static nacre_status check_store_writable(nacre_store *store, nacre_error *err) {
  NC_TRY(nc_store_check(store, err));
  return store->read_only ? nc_fail(err, NC_E_READ_ONLY, NULL) : NACRE_OK;
}

static nacre_status check_name(const char *name, nacre_error *err) {
  if (name == NULL) return nc_fail(err, NC_E_ARGUMENT, "the name is NULL");
  size_t size = strlen(name);
  bool bad = size == 0 || size > NACRE_TABLE_NAME_BYTES_MAX ||
             strncmp(name, NC_UUID_PREFIX, strlen(NC_UUID_PREFIX)) == 0;
  return bad ? nc_fail(err, NC_E_TABLE_NAME, "\"%.100s\"", name) : NACRE_OK;
}

static nacre_table *find_open(nacre_store *store, const nc_uuid *uuid) {
  nacre_table *t = store->tables;
  while (t != NULL && !nc_uuid_equal(&t->uuid, uuid)) t = t->next;
  return t;
}

/* ---- opening ------------------------------------------------------------------------------------------- */

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

static nacre_status load_item_with(nacre_store *store, const nc_catalogue_item *item,
                                   const nacre_table_open_options *o, const nacre_key_spec *caller_keys,
                                   size_t caller_key_count, nacre_table **ret_table, nacre_error *err) {
  nc_dir dir;
  nc_table_keys *keys;
  NC_TRY(nc_open_table_keys(&store->shared.kms, &store->dir, item, caller_keys, caller_key_count,
                            store->region, &dir, &keys, err));
  nc_table_settings settings = {(nacre_compression)item->record.compression, item->record.block_bytes,
                                item->record.filter_bits_per_key};
  nacre_table *t;
  NC_TRY(nc_table_load(store, &store->shared, &dir, keys, &settings, store->read_only || o->read_only,
                       o->recovery, &t, err));
  pthread_mutex_lock(&t->state_lock);
  memcpy(t->name, item->record.name.data, item->record.name.size);
  pthread_mutex_unlock(&t->state_lock);
  t->generation_recorded = item->record.key_file_generation;
  t->change_recorded = item->record.has_pending;
  /* A table that somebody has opened has come to life, whatever its creation answered. */
  if (store->undo_pending && nc_uuid_equal(&store->undo, &item->table)) store->undo_pending = false;
  t->open_count = 1;
  t->next = store->tables;
  store->tables = t;
  if (!t->recovery.clean) nc_table_emit(t, NACRE_EVENT_RECOVERED, t->recovery.dropped_bytes, NULL);
  *ret_table = t;
  return NACRE_OK;
}

static nacre_status load_item(nacre_store *store, const nc_catalogue_item *item,
                              const nacre_table_open_options *o, nacre_table **ret_table, nacre_error *err) {
  nacre_key_spec *keys;
  size_t count;
  /* The store's own keys too: they may be where a keyring has been moved. */
  NC_TRY(nc_key_specs_append(o->keys, o->key_count, store->keys, store->key_count, &keys, &count, err));
  nacre_status status = load_item_with(store, item, o, keys, count, ret_table, err);
  if (status != NACRE_OK) {
    nc_key_specs_free(keys, count);
    return status;
  }
  (*ret_table)->caller_keys = keys;
  (*ret_table)->caller_key_count = count;
  if (!(*ret_table)->read_only && nc_rewrap_due(*ret_table)) nc_rewrap_schedule(*ret_table);
  return NACRE_OK;
}

static nacre_status open_locked(nacre_store *store, const char *name, const nacre_table_open_options *o,
                                nacre_table **ret_table, nacre_error *err) {
  nc_catalogue_item *item;
  NC_TRY(nc_catalogue_find(store->catalogue, name, &item, err));
  nacre_status status = NACRE_OK;
  nacre_table *open = find_open(store, &item->table);
  bool read_only = store->read_only || o->read_only;
  if (open != NULL && (open->read_only != read_only || open->mode != o->recovery)) {
    status = nc_fail(err, NC_E_TABLE_OPEN_OTHERWISE, "\"%.100s\"", name);
  } else if (open != NULL) {
    open->open_count++;
    *ret_table = open;
  } else {
    status = load_item(store, item, o, ret_table, err);
  }
  nc_catalogue_free(item);
  return status;
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
  pthread_mutex_lock(&store->tables_lock);
  nacre_status status = open_locked(store, name, options, ret_table, err);
  pthread_mutex_unlock(&store->tables_lock);
  return status;
}

static nacre_status close_locked(nacre_table *t, nacre_error *err) {
  if (t->open_count > 1) {
    t->open_count--;
    return NACRE_OK;
  }
  if (atomic_load(&t->lent) > 0) return nc_fail(err, NC_E_TABLE_BUSY, NULL);
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

/* ---- creating ------------------------------------------------------------------------------------------ */

enum {
  BLOCK_BYTES_DEFAULT = 4096,
  BLOCK_BYTES_MIN = 1024,
  BLOCK_BYTES_MAX = 1 << 20,
  FILTER_BITS_DEFAULT = 10
};

static nacre_status check_table_options(const nacre_table_options *o, nacre_error *err) {
  NC_TRY(nc_check_reserved(o->reserved, err));
  if (o->key_count > NACRE_KEY_SPECS_MAX || (o->key_count > 0 && o->keys == NULL)) {
    return nc_fail(err, NC_E_ARGUMENT, "keys is NULL, or there are too many");
  }
  if ((unsigned)o->compression > NACRE_COMPRESSION_ZSTD) return nc_fail(err, NC_E_ARGUMENT, "compression");
  if (o->block_bytes != 0 && (o->block_bytes < BLOCK_BYTES_MIN || o->block_bytes > BLOCK_BYTES_MAX)) {
    return nc_fail(err, NC_E_ARGUMENT, "block_bytes is not between 1,024 and 1,048,576");
  }
  if (o->filter_bits_per_key > 32 && o->filter_bits_per_key != UINT32_MAX) {
    return nc_fail(err, NC_E_ARGUMENT, "filter_bits_per_key is above 32");
  }
  return NACRE_OK;
}

static void fill_record(nc_catalogue_record *record, const char *name, const nacre_table_options *o,
                        const nacre_key_spec *specs, size_t spec_count, const nc_table_keys *keys,
                        uint64_t now_ms) {
  *record = (nc_catalogue_record){
      .life = NC_TABLE_CREATING,
      .name = nc_slice(name, strlen(name)),
      .created_ms = now_ms,
      .compression = (uint8_t)o->compression,
      .block_bytes = o->block_bytes == 0 ? BLOCK_BYTES_DEFAULT : o->block_bytes,
      .filter_bits_per_key = o->filter_bits_per_key == 0 ? FILTER_BITS_DEFAULT : o->filter_bits_per_key,
      .key_file_generation = nc_table_keys_generation(keys)};
  nc_key_record_fill(&record->current, nc_kek_describe(nc_table_keys_active(keys)), specs, spec_count);
}

static nacre_status make_directory(nacre_store *store, const char *directory, const nc_table_keys *keys,
                                   nacre_error *err) {
  nc_dir dir;
  NC_TRY(nc_dir_create_at(&store->dir, directory, err));
  NC_TRY(nc_dir_open_at(&store->dir, directory, &dir, err));
  nacre_status status = nc_table_make(&dir, keys, err);
  nc_dir_close(&dir);
  return status == NACRE_OK ? nc_dir_sync(&store->dir, err) : status;
}

static nacre_status finish_removal(nacre_store *store, const nc_uuid *uuid, nacre_error *err) {
  char directory[NC_UUID_TEXT_BYTES];
  nc_uuid_format(uuid, directory);
  NC_TRY(nc_remove_directory(&store->dir, directory, err));
  return nc_catalogue_remove(store->catalogue, uuid, err);
}

/* Undoes a creation that failed. Whether the catalogue says *live* is not known after a failed put, so the
 * tombstone comes before anything goes. When that fails too (a full disk), the next creation tries again, or
 * the next writing open. */
static void undo_creation(nacre_store *store, const nc_uuid *uuid, nc_catalogue_record *record) {
  record->life = NC_TABLE_DROPPED;
  nacre_status status = nc_catalogue_put(store->catalogue, uuid, record, NULL);
  if (status == NACRE_OK) status = finish_removal(store, uuid, NULL);
  store->undo_pending = status != NACRE_OK;
  if (store->undo_pending) store->undo = *uuid;
}

static void retry_undo(nacre_store *store) {
  nc_catalogue_item *item;
  if (!store->undo_pending) return;
  store->undo_pending = false;
  if (nc_catalogue_find_uuid(store->catalogue, &store->undo, &item, NULL) != NACRE_OK) return;
  undo_creation(store, &store->undo, &item->record);
  nc_catalogue_free(item);
}

static nacre_status create_with_keys(nacre_store *store, const nc_uuid *uuid, const char *name,
                                     const nacre_table_options *o, const nacre_key_spec *specs,
                                     size_t spec_count, const nc_table_keys *keys, nacre_error *err) {
  nc_catalogue_record record;
  char directory[NC_UUID_TEXT_BYTES];
  nc_uuid_format(uuid, directory);
  fill_record(&record, name, o, specs, spec_count, keys, nc_wall_ms(store->shared.env));
  NC_TRY(nc_catalogue_put(store->catalogue, uuid, &record, err));
  nacre_status status = make_directory(store, directory, keys, err);
  if (status == NACRE_OK) {
    record.life = NC_TABLE_LIVE;
    status = nc_catalogue_put(store->catalogue, uuid, &record, err);
  }
  if (status != NACRE_OK) undo_creation(store, uuid, &record);
  return status;
}

static nacre_status check_name_free(nacre_store *store, const char *name, nacre_error *err) {
  nc_catalogue_item *item;
  nacre_error ignored;
  nacre_status status = nc_catalogue_find(store->catalogue, name, &item, &ignored);
  if (status == NACRE_NOT_FOUND) return NACRE_OK;
  if (status != NACRE_OK) {
    *err = ignored;
    return status;
  }
  nc_catalogue_free(item);
  return nc_fail(err, NC_E_TABLE_EXISTS, "\"%.100s\"", name);
}

static nacre_status create_locked(nacre_store *store, const char *name, const nacre_table_options *o,
                                  nacre_error *err) {
  retry_undo(store);
  NC_TRY(check_name_free(store, name, err));
  bool own = o->key_count > 0;
  nacre_key_spec *specs;
  size_t count;
  NC_TRY(nc_key_specs_join(NULL, own ? o->keys : store->keys, own ? o->key_count : 1, &specs, &count, err));
  nc_uuid uuid;
  nc_table_keys *keys = NULL;
  nacre_status status = nc_random_uuid(&uuid, err);
  if (status == NACRE_OK)
    status = nc_table_keys_create(&store->shared.kms, &uuid, specs, count, true, &keys, err);
  if (status == NACRE_OK) status = create_with_keys(store, &uuid, name, o, specs, count, keys, err);
  nc_table_keys_unref(keys);
  nc_key_specs_free(specs, count);
  return status;
}

nacre_status nacre_table_create(nacre_store *store, const char *name, const nacre_table_options *options,
                                nacre_table **ret_table) {
  nacre_error *err = nc_thread_error();
  static const nacre_table_options defaults = {0};
  static const nacre_table_open_options open_defaults = {0};
  if (options == NULL) options = &defaults;
  NC_TRY(check_store_writable(store, err));
  NC_TRY(check_name(name, err));
  NC_TRY(check_table_options(options, err));
  pthread_mutex_lock(&store->tables_lock);
  nacre_status status = create_locked(store, name, options, err);
  if (status == NACRE_OK && ret_table != NULL)
    status = open_locked(store, name, &open_defaults, ret_table, err);
  pthread_mutex_unlock(&store->tables_lock);
  return status;
}

/* ---- dropping and renaming ----------------------------------------------------------------------------- */

static nacre_status drop_locked(nacre_store *store, const char *name, nacre_error *err) {
  nc_catalogue_item *item;
  NC_TRY(nc_catalogue_find(store->catalogue, name, &item, err));
  nacre_status status = NACRE_OK;
  if (find_open(store, &item->table) != NULL) {
    status = nc_fail(err, NC_E_TABLE_OPEN, "\"%.100s\"", name);
  } else {
    item->record.life = NC_TABLE_DROPPED;
    status = nc_catalogue_put(store->catalogue, &item->table, &item->record, err);
    if (status == NACRE_OK) status = finish_removal(store, &item->table, err);
  }
  nc_catalogue_free(item);
  return status;
}

nacre_status nacre_table_drop(nacre_store *store, const char *name) {
  nacre_error *err = nc_thread_error();
  NC_TRY(check_store_writable(store, err));
  if (name == NULL) return nc_fail(err, NC_E_ARGUMENT, "the name is NULL");
  pthread_mutex_lock(&store->tables_lock);
  nacre_status status = drop_locked(store, name, err);
  pthread_mutex_unlock(&store->tables_lock);
  return status;
}

static nacre_status rename_locked(nacre_store *store, const char *name, const char *to, nacre_error *err) {
  nc_catalogue_item *item;
  NC_TRY(check_name_free(store, to, err));
  NC_TRY(nc_catalogue_find(store->catalogue, name, &item, err));
  item->record.name = nc_slice(to, strlen(to));
  nacre_status status = nc_catalogue_put(store->catalogue, &item->table, &item->record, err);
  nacre_table *open = find_open(store, &item->table);
  if (store->undo_pending && nc_uuid_equal(&store->undo, &item->table)) store->undo_pending = false;
  if (status == NACRE_OK && open != NULL) {
    pthread_mutex_lock(&open->state_lock);
    memcpy(open->name, to, strlen(to) + 1);
    pthread_mutex_unlock(&open->state_lock);
  }
  nc_catalogue_free(item);
  return status;
}

nacre_status nacre_table_rename(nacre_store *store, const char *name, const char *to) {
  nacre_error *err = nc_thread_error();
  NC_TRY(check_store_writable(store, err));
  if (name == NULL) return nc_fail(err, NC_E_ARGUMENT, "the name is NULL");
  NC_TRY(check_name(to, err));
  pthread_mutex_lock(&store->tables_lock);
  pthread_mutex_lock(&store->catalogue_lock);
  nacre_status status = rename_locked(store, name, to, err);
  pthread_mutex_unlock(&store->catalogue_lock);
  pthread_mutex_unlock(&store->tables_lock);
  return status;
}

/* Whether a table that the catalogue calls unfinished has been written to. Nobody can write before its
 * creation has returned, so the record that said so has been lost, to rot: what it named must not go with
 * it. */
static nacre_status has_lived(nacre_store *store, const char *directory, bool *ret_lived, nacre_error *err) {
  uint8_t bytes[NC_CURRENT_BYTES + 1];
  size_t size = 0;
  nc_dir dir;
  nc_current current;
  *ret_lived = false;
  nacre_status status = nc_dir_open_at(&store->dir, directory, &dir, err);
  if (status == NACRE_NOT_FOUND) return NACRE_OK;
  NC_TRY(status);
  status = nc_dir_read_file(&dir, NC_CURRENT_NAME, bytes, sizeof bytes, &size, err);
  nc_dir_close(&dir);
  if (status == NACRE_NOT_FOUND) return NACRE_OK;
  NC_TRY(status);
  NC_TRY(nc_current_decode(nc_slice(bytes, size), &current, err));
  *ret_lived = current.epoch > 1; /* a creation writes epoch 1, the first write epoch 2 */
  return NACRE_OK;
}

static nacre_status settle_table(nacre_store *store, nc_catalogue_item *item, nacre_error *err) {
  char directory[NC_UUID_TEXT_BYTES];
  bool lived = false;
  nc_uuid_format(&item->table, directory);
  if (item->record.life == NC_TABLE_CREATING) NC_TRY(has_lived(store, directory, &lived, err));
  if (!lived) return finish_removal(store, &item->table, err);
  item->record.life = NC_TABLE_LIVE;
  return nc_catalogue_put(store->catalogue, &item->table, &item->record, err);
}

nacre_status nc_store_resume(nacre_store *store, nacre_error *err) {
  nc_catalogue_item *items;
  NC_TRY(nc_catalogue_list(store->catalogue, &items, err));
  for (nc_catalogue_item *i = items; i != NULL; i = i->next) {
    if (i->record.life == NC_TABLE_LIVE) continue;
    nacre_error why;
    /* What cannot be finished now (a full disk, say) must not keep the store shut: the next open tries
     * again. */
    if (settle_table(store, i, &why) != NACRE_OK) {
      nc_table_emit(store->catalogue, NACRE_EVENT_BACKGROUND_ERROR, 0, &why);
    }
  }
  nc_catalogue_free(items);
  return NACRE_OK;
}
