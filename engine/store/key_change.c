/* SPDX-License-Identifier: Apache-2.0
 *
 * key_change: a table's key is replaced by a new one (format/README.md, "A change of keys").
 *
 * The order of a change, each step on stable storage before the next:
 *   the catalogue calls the new key *pending* · key file, copy A · copy B · the catalogue calls it *current*,
 *   which is the commit · first use
 * A crash in between leaves a change that is committed or undone by whoever comes next. The catalogue's own
 * key has nobody above it to vouch for it: its commit is the key file.
 * The KMS is asked under change_lock only, which no reader or writer takes.
 */
#include "key_change.h"

#include <stdlib.h>

#include "last_error.h"
#include "store.h"

typedef struct nc_key_list {
  nacre_key_spec *specs;
  size_t count;
} nc_key_list;

static bool is_catalogue(const nacre_table *t) { return t->store->catalogue == t; }

/* ---- the catalogue's record ---------------------------------------------------------------------------- */

/* Key changes edit a record in place; its name may be changed beside it. */
typedef void edit_record(nc_catalogue_record *record, const void *arg);

static nacre_status update_record(nacre_table *t, edit_record *edit, const void *arg, nacre_error *err) {
  nc_catalogue_item *item;
  if (is_catalogue(t)) return NACRE_OK;
  pthread_mutex_lock(&t->store->catalogue_lock);
  nacre_status status = nc_catalogue_find_uuid(t->store->catalogue, &t->uuid, &item, err);
  if (status == NACRE_OK) {
    edit(&item->record, arg);
    status = nc_catalogue_put(t->store->catalogue, &t->uuid, &item->record, err);
    if (status == NACRE_OK) {
      t->generation_recorded = item->record.key_file_generation;
      t->change_recorded = item->record.has_pending;
    }
    nc_catalogue_free(item);
  }
  pthread_mutex_unlock(&t->store->catalogue_lock);
  return status;
}

static void call_pending(nc_catalogue_record *record, const void *arg) {
  record->has_pending = true;
  record->pending = *(const nc_key_record *)arg;
}

static void call_current(nc_catalogue_record *record, const void *arg) {
  record->current = record->pending;
  record->pending = (nc_key_record){0};
  record->has_pending = false;
  record->key_file_generation = *(const uint64_t *)arg;
}

static void call_off(nc_catalogue_record *record, const void *arg) {
  record->pending = (nc_key_record){0};
  record->has_pending = false;
  record->key_file_generation = *(const uint64_t *)arg;
}

/* ---- whose wraps count --------------------------------------------------------------------------------- */

/* The catalogue's own: the key that its active version was wrapped under first; whatever stands behind it is
 * there for the time of a change. */
static nacre_status catalogue_uri(const nc_table_keys *keys, nacre_slice *ret_uri, nacre_error *err) {
  size_t body;
  nacre_slice image = nc_table_keys_image(keys);
  nc_key_file *file = malloc(sizeof *file);
  if (file == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  nacre_status status = nc_key_file_decode(image, file, &body, err);
  uint32_t active = 0;
  while (status == NACRE_OK && file->versions[active].state != NC_KEY_ACTIVE) active++;
  for (uint32_t i = file->wrap_count; status == NACRE_OK && i > 0; i--) {
    if (file->wraps[i - 1].version_index == active) *ret_uri = file->wraps[i - 1].uri;
  }
  free(file);
  return status;
}

static nacre_status catalogue_specs(nacre_table *t, nacre_key_spec **ret_specs, size_t *ret_count,
                                    nacre_error *err) {
  nacre_slice uri = {0};
  NC_TAKEN_KEYS(keys, &t->keys);
  NC_TRY(catalogue_uri(keys, &uri, err));
  nacre_key_spec spec = t->store->keys[0]; /* a keyring that has been moved has another URI in the file */
  for (size_t i = 0; i < t->store->key_count; i++) {
    if (nc_slice_equal(nc_slice(t->store->keys[i].uri, strlen(t->store->keys[i].uri)), uri))
      spec = t->store->keys[i];
  }
  return nc_key_specs_join(NULL, &spec, 1, ret_specs, ret_count, err);
}

nacre_status nc_key_specs_now(nacre_table *t, nacre_key_spec **ret_specs, size_t *ret_count,
                              nacre_error *err) {
  nc_catalogue_item *item;
  if (is_catalogue(t)) return catalogue_specs(t, ret_specs, ret_count, err);
  NC_TRY(nc_catalogue_find_uuid(t->store->catalogue, &t->uuid, &item, err));
  item->record.has_pending = false;
  nacre_status status = nc_key_specs_join(&item->record, NULL, 0, ret_specs, ret_count, err);
  nc_catalogue_free(item);
  return status;
}

/* The present keys without what is not needed. */
static nacre_status trimmed(nacre_table *t, bool retire, nc_table_keys **ret_keys, nacre_error *err) {
  nacre_slice uris[NACRE_KEY_SPECS_MAX];
  nacre_key_spec *specs;
  size_t count;
  NC_TAKEN_KEYS(keys, &t->keys);
  if (is_catalogue(t)) { /* whichever of two keys it was opened with: the file says which one it was put under */
    NC_TRY(catalogue_uri(keys, &uris[0], err));
    return nc_table_keys_trim(keys, retire, uris, 1, ret_keys, err);
  }
  NC_TRY(nc_key_specs_now(t, &specs, &count, err));
  for (size_t i = 0; i < count; i++) uris[i] = nc_slice(specs[i].uri, strlen(specs[i].uri));
  nacre_status status = nc_table_keys_trim(keys, retire, uris, count, ret_keys, err);
  nc_key_specs_free(specs, count);
  return status;
}

/* ---- the key file -------------------------------------------------------------------------------------- */

/* After a failure nobody knows which copies are on disk. */
static nacre_status write_key_file(nacre_table *t, const nc_table_keys *keys, nacre_error *err) {
  nacre_status status = nc_table_keys_write(keys, &t->dir, err);
  if (status == NACRE_OK) status = nc_dir_sync(&t->dir, err);
  t->keys_doubtful = t->keys_doubtful || status != NACRE_OK;
  t->keys_secured = status == NACRE_OK;
  return status;
}

/* What was read may be what a process that died, or a failed try, had on the way: one copy of two, or both, but
 * with names that the next loss of power takes back; and so may the catalogue's commit be. Neither rests on the
 * other before it is durable. */
static nacre_status secure_key_file(nacre_table *t, nacre_error *err) {
  nacre_error why;
  if (!is_catalogue(t)) NC_TRY(nc_catalogue_secure(t->store->catalogue, err));
  NC_TAKEN_KEYS(keys, &t->keys);
  if (nc_table_keys_check_copies(keys, &t->dir, &why) != NACRE_OK) return write_key_file(t, keys, err);
  NC_TRY(nc_dir_sync(&t->dir, err));
  t->keys_secured = true;
  return NACRE_OK;
}

static nacre_status read_again(nacre_table *t, nacre_error *err) {
  nc_table_keys *keys;
  if (is_catalogue(t)) {
    nc_key_trust trust = {.table = t->uuid,
                          .specs = t->store->keys,
                          .spec_count = t->store->key_count,
                          .region = t->store->region};
    NC_TRY(nc_table_keys_open(&t->shared->kms, &t->dir, &trust, &keys, err));
  } else {
    nc_catalogue_item *item;
    NC_TRY(nc_catalogue_find_uuid(t->store->catalogue, &t->uuid, &item, err));
    nacre_status status = nc_read_table_keys(&t->shared->kms, &t->dir, item, t->caller_keys,
                                             t->caller_key_count, t->store->region, &keys, err);
    t->change_recorded = item->record.has_pending;
    t->generation_recorded = item->record.key_file_generation;
    nc_catalogue_free(item);
    NC_TRY(status);
  }
  nc_key_holder_replace(&t->keys, keys);
  t->keys_doubtful = t->keys_secured = false;
  return NACRE_OK;
}

/* ---- a change that was interrupted --------------------------------------------------------------------- */

static nacre_status commit_pending(nacre_table *t, nacre_error *err) {
  NC_TAKEN_KEYS(keys, &t->keys);
  uint64_t generation = nc_table_keys_generation(keys);
  t->keys_doubtful = true; /* until the set that has the new key active is read */
  NC_TRY(update_record(t, call_current, &generation, err));
  return read_again(t, err);
}

static nacre_status abandon_pending(nacre_table *t, const nacre_error *why, nacre_error *err) {
  nc_table_keys *keys;
  NC_TRY(trimmed(t, false, &keys, err));
  nacre_status status = write_key_file(t, keys, err);
  uint64_t generation = nc_table_keys_generation(keys);
  if (status == NACRE_OK) status = update_record(t, call_off, &generation, err);
  if (status != NACRE_OK) {
    nc_table_keys_unref(keys);
    return status;
  }
  nc_key_holder_replace(&t->keys, keys);
  nacre_event event = {.type = NACRE_EVENT_KEY_ABANDONED, .error = why};
  nc_table_tell(t, &event);
  return NACRE_OK;
}

static bool recorded_locked(nacre_table *t) {
  NC_TAKEN_KEYS(keys, &t->keys);
  return is_catalogue(t) || (!t->change_recorded && t->generation_recorded == nc_table_keys_generation(keys));
}

/* [W3] */
static nacre_status settle_locked(nacre_table *t, nacre_error *err) {
  const nacre_error *why;
  if (t->keys_doubtful) NC_TRY(read_again(t, err));
  if (!t->keys_secured) NC_TRY(secure_key_file(t, err));
  NC_TAKEN_KEYS(keys, &t->keys);
  uint64_t generation = nc_table_keys_generation(keys);
  if (nc_table_keys_pending(keys, &why) == NULL) {
    return recorded_locked(t) ? NACRE_OK : update_record(t, call_off, &generation, err);
  }
  if (why->status == NACRE_OK) return commit_pending(t, err);
  if (why->status == NACRE_KEY_DENIED || why->status == NACRE_KEY_MISSING)
    return abandon_pending(t, why, err);
  t->keys_doubtful = true; /* an outage: it may still come to be, and is asked for again */
  return nc_fail_with(err, why);
}

/* ---- the keys that the caller opened the store with ---------------------------------------------------- */

/* Adds a key to them: last, while a change to it is under way, for the default must not change before the change
 * is made; first, where the default is, after that. */
static nacre_status learn_key(nacre_store *store, const nacre_key_spec *spec, bool first, nacre_error *err) {
  nacre_key_spec *others, *all;
  size_t other_count = 0, count;
  pthread_mutex_lock(&store->tables_lock);
  others = calloc(store->key_count + 1, sizeof *others);
  nacre_status status = others == NULL ? nc_fail(err, NC_E_NO_MEMORY, NULL) : NACRE_OK;
  for (size_t i = 0; others != NULL && i < store->key_count; i++) {
    if (!first || strcmp(store->keys[i].uri, spec->uri) != 0) others[other_count++] = store->keys[i];
  }
  if (status == NACRE_OK) {
    status = first ? nc_key_specs_append(spec, 1, others, other_count, &all, &count, err)
                   : nc_key_specs_append(others, other_count, spec, 1, &all, &count, err);
  }
  if (status == NACRE_OK) {
    nc_key_specs_free(store->keys, store->key_count);
    store->keys = all;
    store->key_count = count;
  }
  free(others); /* the strings are the old list's */
  pthread_mutex_unlock(&store->tables_lock);
  return status;
}

/* ---- a change ------------------------------------------------------------------------------------------ */

/* [W2] */
static nacre_status make_real(nacre_table *t, const nc_table_keys *next, const nc_key_record *pending,
                              nacre_error *err) {
  uint64_t generation = nc_table_keys_generation(next);
  NC_TRY(update_record(t, call_pending, pending, err));
  NC_TRY(write_key_file(t, next, err));
  return update_record(t, call_current, &generation, err);
}

/* The next set of keys. Who opens the store next may come with the old key as well as with the new one, so
 * the catalogue's new version is under both until the old one retires. */
static nacre_status succeed(nacre_table *t, const nc_key_list *to, const nc_key_list *now,
                            nc_table_keys **ret_next, nacre_error *err) {
  /* A key that the table has must be there: a keyring in the place of one that was moved away is another one. */
  nc_key_succession succession = {.specs = to->specs, .spec_count = to->count, .may_create = to != now};
  if (is_catalogue(t) && strcmp(to->specs[0].uri, now->specs[0].uri) != 0) {
    succession.old_specs = now->specs;
    succession.old_spec_count = now->count;
  }
  NC_TAKEN_KEYS(keys, &t->keys);
  return nc_table_keys_succeed(&t->shared->kms, keys, &succession, ret_next, err);
}

static nacre_status change_to(nacre_table *t, const nc_key_list *to, const nc_key_list *now,
                              nacre_error *err) {
  nacre_error ignored;
  nc_table_keys *next;
  nc_key_record pending;
  NC_TRY(succeed(t, to, now, &next, err));
  nc_key_record_fill(&pending, nc_kek_describe(nc_table_keys_active(next)), to->specs, to->count);
  nacre_status status = make_real(t, next, &pending, err);
  if (status == NACRE_OK) {
    nc_key_holder_replace(&t->keys, next);
    return NACRE_OK;
  }
  nc_table_keys_unref(next);
  t->keys_doubtful = true;
  nc_ignore(settle_locked(t, &ignored)); /* else the next change or rewrap does */
  return status;
}

static nacre_status change_locked(nacre_table *t, const nc_key_list *wanted, nacre_error *err) {
  nc_key_list now;
  NC_TRY(settle_locked(t, err));
  NC_TRY(nc_key_specs_now(t, &now.specs, &now.count, err));
  bool new_key = is_catalogue(t) && wanted != NULL;
  nacre_status status = new_key ? learn_key(t->store, wanted->specs, false, err) : NACRE_OK;
  if (status == NACRE_OK) status = change_to(t, wanted == NULL ? &now : wanted, &now, err);
  if (status == NACRE_OK && new_key) status = learn_key(t->store, wanted->specs, true, err);
  nc_key_specs_free(now.specs, now.count);
  return status;
}

/* To other KMS keys; NULL: to a new table key under those that it has. */
static nacre_status change_key(nacre_table *t, const nc_key_list *wanted, nacre_error *err) {
  pthread_mutex_lock(&t->change_lock);
  nacre_status status = change_locked(t, wanted, err);
  NC_TAKEN_KEYS(keys, &t->keys);
  pthread_mutex_unlock(&t->change_lock);
  if (status == NACRE_OK) {
    nacre_event event = {.type = NACRE_EVENT_KEY_CHANGED,
                         .kek_version = nc_kek_describe(nc_table_keys_active(keys))->version};
    nc_table_tell(t, &event);
  }
  nc_rewrap_schedule(t);
  return status;
}

/* ---- retirement ---------------------------------------------------------------------------------------- */

static nacre_status retire_locked(nacre_table *t, nacre_error *err) {
  nc_table_keys *next;
  NC_TRY(trimmed(t, true, &next, err));
  nacre_status status = write_key_file(t, next, err);
  if (status != NACRE_OK) {
    nc_table_keys_unref(next);
    return status;
  }
  uint64_t generation = nc_table_keys_generation(next);
  nc_key_holder_replace(&t->keys, next);
  return update_record(t, call_off, &generation, err);
}

static nacre_status retire(nacre_table *t, const nc_table_keys *held, bool *ret_done, nacre_error *err) {
  nacre_status status = NACRE_OK;
  pthread_mutex_lock(&t->change_lock);
  NC_TAKEN_KEYS(keys, &t->keys);
  *ret_done = keys == held && !t->keys_doubtful;
  if (*ret_done) status = retire_locked(t, err);
  pthread_mutex_unlock(&t->change_lock);
  return status;
}

const nc_table_owner nc_store_owner = {recorded_locked, settle_locked, retire};

/* ---- public -------------------------------------------------------------------------------------------- */

static nacre_status check_specs(const nacre_key_spec *specs, size_t count, nacre_error *err) {
  if (specs == NULL || count == 0 || count > NACRE_KEY_SPECS_MAX)
    return nc_fail(err, NC_E_ARGUMENT, "%zu keys, of 1 to %zu", count, NACRE_KEY_SPECS_MAX);
  return NACRE_OK;
}

nacre_status nacre_table_set_key(nacre_table *table, const nacre_key_spec *specs, size_t count) {
  nacre_error *err = nc_thread_error();
  nc_key_list wanted;
  NC_TRY(nc_table_check_writable(table, err));
  NC_TRY(check_specs(specs, count, err));
  NC_TRY(nc_key_specs_join(NULL, specs, count, &wanted.specs, &wanted.count, err));
  nacre_status status = change_key(table, &wanted, err);
  nc_key_specs_free(wanted.specs, wanted.count);
  return status;
}

nacre_status nacre_table_rotate(nacre_table *table) {
  nacre_error *err = nc_thread_error();
  NC_TRY(nc_table_check_writable(table, err));
  return change_key(table, NULL, err);
}

static nacre_status check_store(nacre_store *store, nacre_error *err) {
  NC_TRY(nc_store_check(store, err));
  return store->read_only ? nc_fail(err, NC_E_READ_ONLY, NULL) : NACRE_OK;
}

nacre_status nacre_store_set_key(nacre_store *store, nacre_key_spec spec) {
  nacre_error *err = nc_thread_error();
  nc_key_list wanted;
  NC_TRY(check_store(store, err));
  NC_TRY(nc_key_specs_join(NULL, &spec, 1, &wanted.specs, &wanted.count, err));
  nacre_status status = change_key(store->catalogue, &wanted, err);
  nc_key_specs_free(wanted.specs, wanted.count);
  return status == NACRE_OK ? nc_rewrap_wait(store->catalogue, err) : status;
}

nacre_status nacre_store_rotate(nacre_store *store) {
  nacre_error *err = nc_thread_error();
  NC_TRY(check_store(store, err));
  NC_TRY(change_key(store->catalogue, NULL, err));
  return nc_rewrap_wait(store->catalogue, err);
}
