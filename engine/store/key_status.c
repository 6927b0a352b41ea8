/* SPDX-License-Identifier: Apache-2.0
 *
 * key_status: under which keys a table's files lie, as the disk says, and what each KMS key answers.
 */
#include <stdio.h>
#include <stdlib.h>

#include "key_change.h"
#include "last_error.h"
#include "named_files.h"
#include "store.h"

struct nacre_key_versions {
  size_t count;
  nacre_key_version list[];
};

struct nacre_kms_keys {
  size_t count;
  nacre_kms_key list[]; /* their strings belong to the list */
};

size_t nacre_key_versions_count(const nacre_key_versions *v) { return v == NULL ? 0 : v->count; }
const nacre_key_version *nacre_key_versions_at(const nacre_key_versions *v, size_t index) {
  return v == NULL || index >= v->count ? NULL : &v->list[index];
}
void nacre_key_versions_free(nacre_key_versions *v) { free(v); }

size_t nacre_kms_keys_count(const nacre_kms_keys *k) { return k == NULL ? 0 : k->count; }
const nacre_kms_key *nacre_kms_keys_at(const nacre_kms_keys *k, size_t index) {
  return k == NULL || index >= k->count ? NULL : &k->list[index];
}
void nacre_kms_keys_free(nacre_kms_keys *k) {
  for (size_t i = 0; k != NULL && i < k->count; i++) {
    free((void *)(uintptr_t)k->list[i].uri);
    free((void *)(uintptr_t)k->list[i].region);
    free((void *)(uintptr_t)k->list[i].principal);
  }
  free(k);
}

/* ---- versions and their files -------------------------------------------------------------------------- */

static void describe_version(nacre_key_version *v, const nc_key_version *from, bool active) {
  static const char digits[] = "0123456789abcdef";
  v->version = from->version;
  v->active = active;
  v->created_ms = from->created_ms;
  nc_uuid_format(&from->id, v->kek_id);
  for (size_t i = 0; i < NC_COMMITMENT_BYTES; i++) {
    v->commitment[2 * i] = digits[from->commitment[i] >> 4];
    v->commitment[2 * i + 1] = digits[from->commitment[i] & 15];
  }
}

/* A file that is gone again, or has no readable header, is under no version. */
static void count_file(nacre_table *t, const nc_present_file *file, const nc_key_file *keys,
                       nacre_key_status *s) {
  char name[NC_FILE_NAME_BYTES];
  nc_header_slot slot;
  nc_file_name_format(file->number, file->type, name);
  if (nc_sealed_header_peek(&t->dir, name, &slot, NULL) != NACRE_OK) return;
  s->files++;
  for (uint32_t i = 0; i < keys->version_count; i++) {
    if (!nc_uuid_equal(&keys->versions[i].id, &slot.kek_id)) continue;
    s->versions->list[i].files++;
    s->files_left += s->versions->list[i].active ? 0 : 1;
  }
}

static nacre_status count_versions(nacre_table *t, const nc_table_keys *held, const nc_key_file *file,
                                   nacre_key_status *s, nacre_error *err) {
  nc_present_files present;
  uint32_t active = nc_kek_describe(nc_table_keys_active(held))->version;
  s->versions = calloc(1, sizeof *s->versions + file->version_count * sizeof s->versions->list[0]);
  if (s->versions == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  s->versions->count = file->version_count;
  for (uint32_t i = 0; i < file->version_count; i++)
    describe_version(&s->versions->list[i], &file->versions[i], file->versions[i].version == active);
  NC_TRY(nc_present_files_list(&t->dir, &present, err));
  for (size_t i = 0; i < present.count; i++) count_file(t, &present.list[i], file, s);
  nc_present_files_free(&present);
  return NACRE_OK;
}

/* ---- KMS keys ------------------------------------------------------------------------------------------ */

static nacre_slice text_slice(const char *s) { return nc_slice(s, s == NULL ? 0 : strlen(s)); }

/* Whom to ask under this URI: only who the catalogue or the caller named. */
static const nacre_key_spec *find_spec(const nacre_key_spec *specs, size_t count, nacre_slice uri) {
  for (size_t i = 0; i < count; i++) {
    if (nc_slice_equal(text_slice(specs[i].uri), uri)) return &specs[i];
  }
  return NULL;
}

static bool copy_text(nacre_slice from, const char **to) {
  if (from.size == 0) return true;
  *to = strndup(from.data, from.size);
  return *to != NULL;
}

static void ask(nacre_table *t, const nc_table_keys *held, const nacre_key_spec *spec, nacre_kms_key *key) {
  nacre_error why = {0};
  key->checked_ms = nc_wall_ms(t->shared->env);
  key->status = nc_table_keys_probe(&t->shared->kms, held, spec, &why);
  if (key->status != NACRE_OK) snprintf(key->reason, sizeof key->reason, "%s", why.text);
}

static bool listed(const nacre_kms_keys *list, nacre_slice uri) {
  for (size_t i = 0; i < list->count; i++) {
    if (nc_slice_equal(text_slice(list->list[i].uri), uri)) return true;
  }
  return false;
}

static uint32_t versions_under(const nc_key_file *file, nacre_slice uri) {
  uint32_t count = 0;
  for (uint32_t v = 0; v < file->version_count; v++) {
    bool under = false;
    for (uint32_t i = 0; i < file->wrap_count; i++)
      under = under || (file->wraps[i].version_index == v && nc_slice_equal(file->wraps[i].uri, uri));
    count += under;
  }
  return count;
}

typedef struct asked {
  nacre_key_spec *now, *all; /* those that wrap new versions; those that may be asked */
  size_t now_count, all_count;
} asked;

static nacre_status list_keys(nacre_table *t, const nc_table_keys *held, const nc_key_file *file,
                              const asked *a, nacre_kms_keys **ret_keys, nacre_error *err) {
  nacre_kms_keys *list = calloc(1, sizeof *list + file->wrap_count * sizeof list->list[0]);
  if (list == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  *ret_keys = list;
  for (uint32_t i = 0; i < file->wrap_count; i++) {
    const nc_key_wrap *wrap = &file->wraps[i];
    if (listed(list, wrap->uri)) continue;
    nacre_kms_key *key = &list->list[list->count++];
    if (!copy_text(wrap->uri, &key->uri) || !copy_text(wrap->region, &key->region) ||
        !copy_text(wrap->principal, &key->principal))
      return nc_fail(err, NC_E_NO_MEMORY, NULL);
    key->current = find_spec(a->now, a->now_count, wrap->uri) != NULL;
    key->versions = versions_under(file, wrap->uri);
    const nacre_key_spec *spec = find_spec(a->all, a->all_count, wrap->uri);
    key->status = NACRE_KEY_MISSING;
    if (spec != NULL) ask(t, held, spec, key);
  }
  return NACRE_OK;
}

static nacre_status ask_keys(nacre_table *t, const nc_table_keys *held, const nc_key_file *file,
                             nacre_key_status *s, nacre_error *err) {
  asked a = {0};
  pthread_mutex_lock(&t->change_lock); /* whom the caller named may change with the key */
  bool catalogue = t->store->catalogue == t;
  nacre_status status = nc_key_specs_now(t, &a.now, &a.now_count, err);
  if (status == NACRE_OK)
    status = nc_key_specs_append(a.now, a.now_count, catalogue ? t->store->keys : t->caller_keys,
                                 catalogue ? t->store->key_count : t->caller_key_count, &a.all, &a.all_count,
                                 err);
  s->changing = nc_table_keys_pending(held, NULL) != NULL || t->change_recorded || t->keys_doubtful;
  pthread_mutex_unlock(&t->change_lock);
  if (status == NACRE_OK) status = list_keys(t, held, file, &a, &s->kms_keys, err);
  nc_key_specs_free(a.now, a.now_count);
  nc_key_specs_free(a.all, a.all_count);
  return status;
}

/* ---- public -------------------------------------------------------------------------------------------- */

static nacre_status fill(nacre_table *t, nacre_key_status *s, nacre_error *err) {
  size_t body;
  NC_TAKEN_KEYS(held, &t->keys);
  nc_key_file *file = malloc(sizeof *file);
  if (file == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  nc_uuid_format(&t->uuid, s->table_uuid);
  s->generation = nc_table_keys_generation(held);
  nacre_status status = nc_key_file_decode(nc_table_keys_image(held), file, &body, err);
  if (status == NACRE_OK) status = count_versions(t, held, file, s, err);
  if (status == NACRE_OK) status = ask_keys(t, held, file, s, err);
  s->rewrapping = s->files_left > 0 || nc_table_keys_count(held) > 1;
  free(file);
  return status;
}

static nacre_status key_status(nacre_table *t, nacre_key_status *ret_status, nacre_error *err) {
  nacre_key_status s = {0};
  if (ret_status == NULL) return nc_fail(err, NC_E_ARGUMENT, "ret_status is NULL");
  nacre_status status = fill(t, &s, err);
  if (status == NACRE_OK) {
    *ret_status = s;
  } else {
    nacre_key_versions_free(s.versions);
    nacre_kms_keys_free(s.kms_keys);
  }
  return status;
}

nacre_status nacre_table_key_status(nacre_table *table, nacre_key_status *ret_status) {
  nacre_error *err = nc_thread_error();
  NC_TRY(nc_table_check(table, err));
  return key_status(table, ret_status, err);
}

nacre_status nacre_store_key_status(nacre_store *store, nacre_key_status *ret_status) {
  nacre_error *err = nc_thread_error();
  NC_TRY(nc_store_check(store, err));
  return key_status(store->catalogue, ret_status, err);
}
