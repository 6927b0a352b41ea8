/* SPDX-License-Identifier: Apache-2.0
 *
 * store: creating, opening and closing a store.
 *
 * A store comes into being whole: its catalogue is made under another name and renamed. What an interrupted
 * creation leaves is removed by the next one.
 */
#include "store.h"

#include <stdlib.h>

#include "key_change.h"
#include "last_error.h"
#include "random.h"


/* ---- options ------------------------------------------------------------------------------------------- */

nacre_status nc_store_check_options(const nacre_store_options *o, nacre_error *err) {
  NC_TRY(nc_check_reserved(o->reserved, err));
  if (o->key_check_ms != 0) return nc_fail(err, NC_E_OPTION_UNSUPPORTED, "key_check_ms");
  if (o->key_stale_max_ms != 0) return nc_fail(err, NC_E_OPTION_UNSUPPORTED, "key_stale_max_ms");
  if (o->anchor.data != NULL || o->anchor.size != 0) return nc_fail(err, NC_E_OPTION_UNSUPPORTED, "anchor");
  if (o->read_only && o->create)
    return nc_fail(err, NC_E_ARGUMENT, "read_only and create exclude each other");
  if (o->trusted_key_count > 0 && o->trusted_keys == NULL)
    return nc_fail(err, NC_E_ARGUMENT, "trusted_keys is NULL");
  if (o->kms_provider_count > 0 && o->kms_providers == NULL)
    return nc_fail(err, NC_E_ARGUMENT, "kms_providers is NULL");
  if (o->trusted_key_count > NACRE_KEY_SPECS_MAX) return nc_fail(err, NC_E_ARGUMENT, "too many trusted_keys");
  return NACRE_OK;
}

/* ---- creating ------------------------------------------------------------------------------------------ */

typedef struct content {
  bool catalogue, foreign;
} content;

static nacre_status look(void *arg, const char *name, nacre_io_kind kind, nacre_error *err) {
  content *c = arg;
  (void)err;
  if (strcmp(name, NC_CATALOGUE_DIRECTORY) == 0) {
    c->catalogue = true;
  } else if (strcmp(name, NC_LOCK_NAME) != 0 && strcmp(name, NC_CATALOGUE_UNFINISHED) != 0) {
    c->foreign = true;
  }
  (void)kind;
  return NACRE_OK;
}

nacre_status nc_store_is_there(const nc_dir *dir, bool *ret_is, nacre_error *err) {
  content c = {0};
  NC_TRY(nc_dir_list(dir, look, &c, err));
  *ret_is = c.catalogue;
  return NACRE_OK;
}

static nacre_status make_catalogue_in(nacre_store *s, nacre_error *err) {
  nc_uuid uuid;
  NC_TRY(nc_random_uuid(&uuid, err));
  nc_table_keys *keys;
  NC_TRY(nc_table_keys_create(&s->shared.kms, &uuid, &s->keys[0], 1, true, &keys, err));
  nc_dir dir = {0};
  nacre_status status = nc_dir_create_at(&s->dir, NC_CATALOGUE_UNFINISHED, err);
  if (status == NACRE_OK) status = nc_dir_open_at(&s->dir, NC_CATALOGUE_UNFINISHED, &dir, err);
  if (status == NACRE_OK) status = nc_table_make(&dir, keys, err);
  nc_dir_close(&dir);
  nc_table_keys_unref(keys);
  if (status == NACRE_OK)
    status = nc_dir_rename(&s->dir, NC_CATALOGUE_UNFINISHED, NC_CATALOGUE_DIRECTORY, err);
  return status == NACRE_OK ? nc_dir_sync(&s->dir, err) : status;
}

/* A failed create leaves no file behind, as far as the disk still lets us. The catalogue takes back its
 * unfinished name, durably, before a file of it goes: half a catalogue under the real name would be a store
 * that nobody can open. */
static void undo_catalogue(nacre_store *s) {
  nacre_error ignored;
  nacre_status status = nc_dir_rename(&s->dir, NC_CATALOGUE_DIRECTORY, NC_CATALOGUE_UNFINISHED, &ignored);
  if (status == NACRE_OK) status = nc_dir_sync(&s->dir, &ignored);
  if (status == NACRE_OK || status == NACRE_NOT_FOUND) {
    status = nc_remove_directory(&s->dir, NC_CATALOGUE_UNFINISHED, &ignored);
  }
  if (status == NACRE_OK) nc_ignore(nc_dir_remove(&s->dir, NC_LOCK_NAME, NULL));
}

static nacre_status make_catalogue(nacre_store *s, nacre_error *err) {
  NC_TRY(nc_remove_directory(&s->dir, NC_CATALOGUE_UNFINISHED, err));
  nacre_status status = make_catalogue_in(s, err);
  if (status != NACRE_OK) undo_catalogue(s);
  return status;
}

static nacre_status check_content(const content *c, const nacre_store_options *o, const char *path,
                                  nacre_error *err) {
  if (c->catalogue) return o->must_not_exist ? nc_fail(err, NC_E_STORE_EXISTS, "%.200s", path) : NACRE_OK;
  if (!o->create) return nc_fail(err, NC_E_STORE_MISSING, "%.200s", path);
  return c->foreign ? nc_fail(err, NC_E_STORE_NOT_EMPTY, "%.200s", path) : NACRE_OK;
}

/* ---- opening ------------------------------------------------------------------------------------------- */

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* 64 lower-case digits, as nacre_key_version has them. */
static bool parse_commitment(const char *text, uint8_t out[NC_COMMITMENT_BYTES]) {
  if (strlen(text) != 2 * NC_COMMITMENT_BYTES) return false;
  for (size_t i = 0; i < NC_COMMITMENT_BYTES; i++) {
    int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    out[i] = (uint8_t)(high * 16 + low);
  }
  return true;
}

nacre_status nc_catalogue_trust(const nacre_key_spec *keys, size_t key_count, const nacre_store_options *options,
                                uint8_t pinned[NC_COMMITMENT_BYTES], nc_key_trust *ret_trust,
                                nacre_error *err) {
  const char *pin = options->pinned_commitment;
  if (pin != NULL && !parse_commitment(pin, pinned)) return nc_fail(err, NC_E_ARGUMENT, "pinned_commitment");
  *ret_trust = (nc_key_trust){.any_table = true, /* [G1] */
                              .pinned = pin == NULL ? NULL : pinned,
                              .specs = keys,
                              .spec_count = key_count,
                              .region = options->region};
  return NACRE_OK;
}

nacre_status nc_catalogue_open(nc_shared *shared, const nc_dir *store_dir, const nacre_key_spec *keys,
                               size_t key_count, const nacre_store_options *options, bool read_only,
                               nacre_table **ret_catalogue, nacre_error *err) {
  uint8_t pinned[NC_COMMITMENT_BYTES];
  nc_key_trust trust;
  nc_dir dir;
  NC_TRY(nc_catalogue_trust(keys, key_count, options, pinned, &trust, err));
  NC_TRY(nc_dir_open_at(store_dir, NC_CATALOGUE_DIRECTORY, &dir, err));
  nc_table_keys *table_keys;
  nacre_status status = nc_table_keys_open(&shared->kms, &dir, &trust, &table_keys, err);
  if (status != NACRE_OK) {
    nc_dir_close(&dir);
    return status;
  }
  const nc_table_settings settings = nc_catalogue_settings();
  return nc_table_load(shared, &dir, table_keys, &settings, read_only, NACRE_RECOVERY_STRICT,
                       ret_catalogue, err);
}

nacre_status nc_store_keys(const nacre_store_options *o, nacre_key_spec **ret_specs, size_t *ret_count,
                           nacre_error *err) {
  nacre_key_spec all[1 + NACRE_KEY_SPECS_MAX];
  all[0] = o->default_key.uri != NULL ? o->default_key : (nacre_key_spec){.uri = "local:"};
  for (size_t i = 0; i < o->trusted_key_count; i++) all[1 + i] = o->trusted_keys[i];
  return nc_key_specs_join(NULL, all, 1 + o->trusted_key_count, ret_specs, ret_count, err);
}

/* A read-only open shares the lock with others; where there is no lock file to open, as on read-only media,
 * nobody writes. */
static nacre_status take_lock(nacre_store *s, nacre_error *err) {
  nacre_status status = nc_lock_take(&s->dir, NC_LOCK_NAME, !s->read_only, &s->lock, err);
  bool nobody_writes = s->read_only && (status == NACRE_NOT_FOUND || status == NACRE_READ_ONLY);
  return nobody_writes ? NACRE_OK : status;
}

static nacre_status open_directory(nacre_store *s, const char *path, const nacre_store_options *o,
                                   nacre_error *err) {
  nacre_status status = nc_dir_open(s->shared.env, path, o->create, &s->dir, err);
  if (status == NACRE_NOT_FOUND && !o->create) return nc_fail(err, NC_E_STORE_MISSING, "%.200s", path);
  NC_TRY(status);
  content c = {0};
  NC_TRY(nc_dir_list(&s->dir, look, &c, err));
  NC_TRY(check_content(&c, o, path,
                       err)); /* nothing is written in a directory that is no store and is not to be one */
  NC_TRY(take_lock(s, err));
  c = (content){0};
  NC_TRY(nc_dir_list(&s->dir, look, &c,
                     err)); /* again: before the lock, another process may have made the store */
  NC_TRY(check_content(&c, o, path, err));
  return c.catalogue ? NACRE_OK : make_catalogue(s, err);
}

static nacre_status open_store(nacre_store *s, const char *path, const nacre_store_options *o,
                               nacre_error *err) {
  NC_TRY(nc_store_keys(o, &s->keys, &s->key_count, err));
  if (o->region != NULL && (s->region = strdup(o->region)) == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  NC_TRY(nc_shared_init(&s->shared, o, err));
  NC_TRY(open_directory(s, path, o, err));
  NC_TRY(nc_catalogue_open(&s->shared, &s->dir, s->keys, s->key_count, o, s->read_only, &s->catalogue, err));
  nc_store_adopt(s, s->catalogue);
  if (!s->catalogue->recovery.clean)
    nc_table_emit(s->catalogue, NACRE_EVENT_RECOVERED, s->catalogue->recovery.dropped_bytes, NULL);
  if (s->read_only) return NACRE_OK;
  NC_TRY(nc_store_resume(s, err));
  if (nc_rewrap_due(s->catalogue)) nc_rewrap_schedule(s->catalogue);
  return NACRE_OK;
}

/* Frees what there is of a store; the catalogue's status is that of its clean end. */
static nacre_status free_store(nacre_store *s, nacre_error *err) {
  nacre_status status = s->catalogue == NULL ? NACRE_OK : nc_table_unload(s->catalogue, err);
  if (s->shared.env != NULL) {
    nc_lock_release(s->shared.env, s->lock);
    nc_dir_close(&s->dir);
  }
  nc_shared_deinit(&s->shared);
  nc_key_specs_free(s->keys, s->key_count);
  free(s->region);
  pthread_mutex_destroy(&s->tables_lock);
  pthread_mutex_destroy(&s->catalogue_lock);
  nc_catalogue_names_deinit(&s->names);
  free(s);
  return status;
}

nacre_status nacre_open(const char *path, const nacre_store_options *options, nacre_store **ret_store) {
  nacre_error *err = nc_thread_error();
  static const nacre_store_options defaults = {0};
  if (options == NULL) options = &defaults;
  if (path == NULL || ret_store == NULL) return nc_fail(err, NC_E_ARGUMENT, "path or ret_store is NULL");
  NC_TRY(nc_store_check_options(options, err));
  nacre_store *s = calloc(1, sizeof *s);
  if (s == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  pthread_mutex_init(&s->tables_lock, NULL);
  pthread_mutex_init(&s->catalogue_lock, NULL);
  nc_catalogue_names_init(&s->names);
  s->owner = &nc_store_owner;
  s->read_only = options->read_only;
  nacre_status status = open_store(s, path, options, err);
  if (status != NACRE_OK) {
    nacre_error first = *err; /* what follows must not hide it */
    nc_ignore(free_store(s, err));
    *err = first;
    return status;
  }
  *ret_store = s;
  return NACRE_OK;
}

nacre_status nacre_close(nacre_store *store) {
  nacre_error *err = nc_thread_error();
  if (store == NULL) return NACRE_OK;
  NC_TRY(nc_store_check(store, err));
  pthread_mutex_lock(&store->tables_lock);
  bool busy = store->tables != NULL;
  pthread_mutex_unlock(&store->tables_lock);
  return busy ? nc_fail(err, NC_E_STORE_BUSY, NULL) : free_store(store, err);
}
