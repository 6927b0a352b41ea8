/* SPDX-License-Identifier: Apache-2.0
 *
 * store_tables: creating, renaming and dropping the tables of a store.
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

/* ---- creating ------------------------------------------------------------------------------------------ */

enum {
  BLOCK_BYTES_DEFAULT = 4096,
  BLOCK_BYTES_MIN = 1024,
  BLOCK_BYTES_MAX = 1 << 20,
  FILTER_BITS_DEFAULT = 10,
  LARGE_VALUE_BYTES_MIN = 4096
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
  if (o->large_value_bytes != 0 && o->large_value_bytes < LARGE_VALUE_BYTES_MIN) {
    return nc_fail(err, NC_E_ARGUMENT, "large_value_bytes is below 4,096");
  }
  if (o->segment_bytes != 0 &&
      (o->segment_bytes < NACRE_SEGMENT_BYTES_MIN || o->segment_bytes > NACRE_SEGMENT_BYTES_MAX)) {
    return nc_fail(err, NC_E_ARGUMENT, "segment_bytes is not between 16,384 and 1,073,741,824");
  }
  if (o->level_ratio != 0 && (o->level_ratio < NACRE_LEVEL_RATIO_MIN || o->level_ratio > NACRE_LEVEL_RATIO_MAX)) {
    return nc_fail(err, NC_E_ARGUMENT, "level_ratio is not between 2 and 100");
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
      .large_value_bytes = o->large_value_bytes,
      .segment_bytes = o->segment_bytes,
      .level_ratio = o->level_ratio,
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
  if (status != NACRE_OK && status != NACRE_NOT_FOUND) *err = ignored;
  nc_wipe(&ignored, sizeof ignored); /* it tells the name, which is user data, and this is a stack */
  if (status == NACRE_NOT_FOUND) return NACRE_OK;
  if (status != NACRE_OK) return status;
  nc_catalogue_free(item);
  return nc_fail(err, NC_E_TABLE_EXISTS, "\"%.100s\"", name);
}

/* Fails early, before anybody is asked for a key, when the name is taken. */
static nacre_status prepare_creation(nacre_store *store, const char *name, const nacre_table_options *o,
                                     nacre_key_spec **ret_specs, size_t *ret_count, nacre_error *err) {
  bool own = o->key_count > 0;
  pthread_mutex_lock(&store->tables_lock);
  retry_undo(store);
  nacre_status status = check_name_free(store, name, err);
  if (status == NACRE_OK)
    status = nc_key_specs_join(NULL, own ? o->keys : store->keys, own ? o->key_count : 1, ret_specs,
                               ret_count, err);
  pthread_mutex_unlock(&store->tables_lock);
  return status;
}

static nacre_status create_under(nacre_store *store, const char *name, const nacre_table_options *o,
                                 const nacre_key_spec *specs, size_t count, const nc_uuid *uuid,
                                 nacre_error *err) {
  nc_table_keys *keys;
  /* Without a lock: a key service that hangs keeps nobody from other tables. */
  NC_TRY(nc_table_keys_create(&store->shared.kms, uuid, specs, count, true, &keys, err));
  pthread_mutex_lock(&store->tables_lock);
  nacre_status status = check_name_free(store, name, err);
  if (status == NACRE_OK) status = create_with_keys(store, uuid, name, o, specs, count, keys, err);
  pthread_mutex_unlock(&store->tables_lock);
  nc_table_keys_unref(keys);
  return status;
}

static nacre_status create(nacre_store *store, const char *name, const nacre_table_options *o,
                           nc_uuid *ret_uuid, nacre_error *err) {
  nacre_key_spec *specs;
  size_t count;
  NC_TRY(nc_random_uuid(ret_uuid, err));
  NC_TRY(prepare_creation(store, name, o, &specs, &count, err));
  nacre_status status = create_under(store, name, o, specs, count, ret_uuid, err);
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
  nc_uuid uuid;
  char by_uuid[sizeof NC_UUID_PREFIX + NC_UUID_TEXT_BYTES] = NC_UUID_PREFIX;
  NC_TRY(create(store, name, options, &uuid, err));
  nc_uuid_format(&uuid, by_uuid + strlen(NC_UUID_PREFIX)); /* it may have been renamed already */
  return ret_table == NULL ? NACRE_OK
                           : nc_store_open_table(store, by_uuid, &open_defaults, ret_table, err);
}

/* ---- dropping and renaming ----------------------------------------------------------------------------- */

static nacre_status drop_locked(nacre_store *store, const char *name, nacre_error *err) {
  nc_catalogue_item *item;
  NC_TRY(nc_catalogue_find(store->catalogue, name, &item, err));
  nacre_status status = NACRE_OK;
  if (nc_store_find_open(store, &item->table) != NULL) {
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
  nacre_table *open = nc_store_find_open(store, &item->table);
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
    nacre_status status = nc_catalogue_secure(store->catalogue, &why);
    if (status == NACRE_OK) status = settle_table(store, i, &why);
    if (status != NACRE_OK) {
      nc_table_emit(store->catalogue, NACRE_EVENT_BACKGROUND_ERROR, 0, &why);
    }
  }
  nc_catalogue_free(items);
  return NACRE_OK;
}
