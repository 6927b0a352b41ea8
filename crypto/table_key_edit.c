/* SPDX-License-Identifier: Apache-2.0
 *
 * table_key_edit: see table_key_edit.h; format/README.md, "Key file". KEKs lie in private memory; the file's
 * bytes, which hold them only wrapped, in ordinary memory.
 */
#include "table_key_edit.h"

#include <stdlib.h>

#include "random.h"
#include "secret.h"

#define KEKS_BYTES (NC_KEY_VERSIONS_MAX * sizeof(nc_kek))

void nc_key_edit_destroy(nc_key_edit *e) {
  if (e == NULL) return;
  nc_heap_free(e->env->heap, e->keks, KEKS_BYTES);
  for (uint32_t i = 0; i < e->wrapped_count; i++) free(e->wrapped[i]);
  free(e);
}

/* The keys that `from` holds, at the places of their versions in the file. */
static nacre_status take_over(nc_key_edit *e, const nc_table_keys *from, nacre_error *err) {
  size_t body;
  NC_TRY(nc_key_file_decode((nacre_slice){from->image, from->image_size}, &e->file, &body, err));
  for (uint32_t i = 0; i < e->file.version_count; i++) {
    const nc_kek *kek = nc_table_keys_find(from, &e->file.versions[i].id);
    if (kek != NULL) e->keks[i] = *kek;
    e->file.versions[i].state = kek == nc_table_keys_active(from) ? NC_KEY_ACTIVE : NC_KEY_RETIRING;
  }
  return NACRE_OK;
}

nacre_status nc_key_edit_create(nc_env *env, const nc_uuid *table, const nc_table_keys *from,
                                nc_key_edit **ret_edit, nacre_error *err) {
  nc_key_edit *e = calloc(1, sizeof *e);
  if (e == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  e->env = env;
  e->keks = nc_heap_alloc(env->heap, KEKS_BYTES);
  nacre_status status = e->keks == NULL ? nc_fail(err, NC_E_NO_MEMORY, NULL) : NACRE_OK;
  if (status == NACRE_OK && from != NULL) status = take_over(e, from, err);
  if (status != NACRE_OK) {
    nc_key_edit_destroy(e);
    return status;
  }
  e->file.table = *table;
  e->file.generation++;
  *ret_edit = e;
  return NACRE_OK;
}

/* ---- versions ------------------------------------------------------------------------------------------ */

nacre_status nc_key_edit_add_version(nc_key_edit *e, nacre_error *err) {
  uint32_t at = e->file.version_count;
  if (at == NC_KEY_VERSIONS_MAX) return nc_fail(err, NC_E_KEY_FILE_FULL, "%u versions", at);
  nc_kek *kek = &e->keks[at];
  kek->pin.version = at == 0 ? 1 : e->file.versions[at - 1].version + 1;
  NC_TRY(nc_random_uuid(&kek->pin.id, err));
  NC_TRY(nc_random(kek->key, NC_KEK_BYTES, err));
  NC_TRY(nc_kek_commitment(e->env, kek->key, &e->file.table, &kek->pin, kek->pin.commitment, err));
  for (uint32_t i = 0; i < at; i++) e->file.versions[i].state = NC_KEY_RETIRING;
  nc_key_version *version = &e->file.versions[at];
  *version = (nc_key_version){.id = kek->pin.id,
                              .version = kek->pin.version,
                              .state = NC_KEY_ACTIVE,
                              .created_ms = nc_wall_ms(e->env)};
  memcpy(version->commitment, kek->pin.commitment, sizeof version->commitment);
  e->file.version_count++;
  return NACRE_OK;
}

void nc_key_edit_drop_version(nc_key_edit *e, uint32_t version) {
  uint32_t kept = 0, behind = e->file.version_count - version - 1;
  for (uint32_t i = 0; i < e->file.wrap_count; i++) {
    nc_key_wrap wrap = e->file.wraps[i];
    if (wrap.version_index == version) continue;
    if (wrap.version_index > version) wrap.version_index--;
    e->file.wraps[kept++] = wrap;
  }
  e->file.wrap_count = kept;
  memmove(&e->file.versions[version], &e->file.versions[version + 1], behind * sizeof(nc_key_version));
  memmove(&e->keks[version], &e->keks[version + 1], behind * sizeof(nc_kek));
  e->file.version_count--;
  nc_wipe(&e->keks[e->file.version_count], sizeof(nc_kek));
}

/* ---- wraps --------------------------------------------------------------------------------------------- */

static nacre_slice text_slice(const char *text) {
  return (nacre_slice){text, text == NULL ? 0 : strlen(text)};
}

static nacre_status wrap_and_probe(const nc_kms *kms, const nc_uuid *table, const nc_kek *kek,
                                   const nacre_key_spec *spec, bool may_create, uint8_t *wrapped,
                                   size_t *ret_size, nacre_error *err) {
  NC_SECRET(back);
  nc_kms_purpose purpose = {*table, kek->pin.id, kek->pin.version};
  NC_TRY(nc_kms_wrap(kms, spec, &purpose, may_create, kek->key, wrapped, NACRE_KMS_WRAPPED_BYTES_MAX,
                     ret_size, err));
  NC_TRY(nc_kms_unwrap(kms, spec, &purpose, (nacre_slice){wrapped, *ret_size}, back.bytes, err));
  if (nc_equal_secret(back.bytes, kek->key, NC_KEK_BYTES)) return NACRE_OK; /* [W1] */
  return nc_fail(err, NC_E_KMS_ROUND_TRIP, "%.200s", spec->uri);
}

nacre_status nc_key_edit_add_wrap(nc_key_edit *e, const nc_kms *kms, uint32_t version,
                                  const nacre_key_spec *spec, bool may_create, nacre_error *err) {
  nacre_slice uri = text_slice(spec->uri), region = text_slice(spec->region);
  nacre_slice principal = text_slice(spec->principal);
  uint8_t wrapped[NACRE_KMS_WRAPPED_BYTES_MAX];
  char scheme[64];
  size_t size = 0;
  if (region.size > NACRE_KEY_URI_BYTES_MAX || principal.size > NACRE_KEY_URI_BYTES_MAX) {
    return nc_fail(err, NC_E_SEAL_ARGUMENT, "a key's region or principal is too long");
  }
  if (e->file.wrap_count == NC_KEY_WRAPS_MAX || e->wrapped_count == NC_KEY_WRAPS_MAX)
    return nc_fail(err, NC_E_KEY_FILE_FULL, "%u wraps", e->file.wrap_count);
  NC_TRY(wrap_and_probe(kms, &e->file.table, &e->keks[version], spec, may_create, wrapped, &size, err));
  if (!nc_kms_scheme(spec->uri, scheme, sizeof scheme)) return nc_fail(err, NC_E_KMS_URI, NULL);
  uint8_t *kept = malloc(size);
  if (kept == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  memcpy(kept, wrapped, size);
  e->wrapped[e->wrapped_count++] = kept;
  e->file.wraps[e->file.wrap_count++] = (nc_key_wrap){.version_index = version,
                                                      .provider = {spec->uri, strlen(scheme)},
                                                      .uri = uri,
                                                      .region = region,
                                                      .principal = principal,
                                                      .ciphertext = {kept, size}};
  return NACRE_OK;
}

static bool is_newest(const nc_key_edit *e, uint32_t wrap) {
  const nc_key_wrap *w = &e->file.wraps[wrap];
  for (uint32_t i = wrap + 1; i < e->file.wrap_count; i++) {
    const nc_key_wrap *later = &e->file.wraps[i];
    if (later->version_index == w->version_index && nc_slice_equal(later->uri, w->uri)) return false;
  }
  return true;
}

void nc_key_edit_keep_newest(nc_key_edit *e) {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < e->file.wrap_count; i++) {
    if (is_newest(e, i)) e->file.wraps[kept++] = e->file.wraps[i]; /* what follows `i` is as it was */
  }
  e->file.wrap_count = kept;
}

static bool is_newest_of(const nc_key_edit *e, uint32_t wrap, const nacre_slice *uris, size_t uri_count) {
  bool wanted = false;
  for (size_t i = 0; i < uri_count; i++) wanted = wanted || nc_slice_equal(e->file.wraps[wrap].uri, uris[i]);
  return wanted && is_newest(e, wrap);
}

void nc_key_edit_keep_wraps(nc_key_edit *e, uint32_t version, const nacre_slice *uris, size_t uri_count) {
  bool keep[NC_KEY_WRAPS_MAX], any = false;
  uint32_t kept = 0;
  for (uint32_t i = 0; i < e->file.wrap_count; i++) {
    bool here = e->file.wraps[i].version_index == version;
    keep[i] = !here || is_newest_of(e, i, uris, uri_count);
    any = any || (here && keep[i]);
  }
  for (uint32_t i = 0; any && i < e->file.wrap_count; i++) {
    if (keep[i]) e->file.wraps[kept++] = e->file.wraps[i];
  }
  if (any) e->file.wrap_count = kept;
}

/* ---- the end ------------------------------------------------------------------------------------------- */

/* Wraps stand by version in a key file; those of one version keep their order. */
static void sort_wraps(nc_key_edit *e) {
  for (uint32_t i = 1; i < e->file.wrap_count; i++) {
    nc_key_wrap wrap = e->file.wraps[i];
    uint32_t at = i;
    for (; at > 0 && e->file.wraps[at - 1].version_index > wrap.version_index; at--)
      e->file.wraps[at] = e->file.wraps[at - 1];
    e->file.wraps[at] = wrap;
  }
}

static size_t size_of(const nc_key_file *file) {
  size_t size = 256 + (size_t)file->version_count * 128;
  for (uint32_t i = 0; i < file->wrap_count; i++) {
    const nc_key_wrap *w = &file->wraps[i];
    size += 32 + w->provider.size + w->uri.size + w->region.size + w->key_version.size + w->principal.size +
            w->ciphertext.size;
  }
  return size;
}

static nacre_status encode(nc_key_edit *e, uint8_t *image, size_t capacity, size_t *ret_size,
                           nacre_error *err) {
  nc_key_file *file = &e->file;
  file->mac_count = file->version_count;
  size_t body = nc_key_file_encode_body(file, image, capacity);
  if (body == 0) return nc_fail(err, NC_E_KEY_FILE_FULL, "%zu bytes", capacity);
  for (uint32_t i = 0; i < file->version_count; i++) {
    file->macs[i].kek_id = file->versions[i].id;
    NC_TRY(nc_kek_mac(e->env, &e->keks[i], NC_LABEL_KEYFILE_MAC, &file->table, (nacre_slice){image, body},
                      file->macs[i].mac, err));
  }
  *ret_size = nc_key_file_encode_end(file, image, body, capacity);
  return *ret_size > 0 ? NACRE_OK : nc_fail(err, NC_E_KEY_FILE_FULL, "%zu bytes", capacity);
}

static void fill(const nc_key_edit *e, nc_table_keys *keys) {
  keys->table = e->file.table;
  keys->generation = e->file.generation;
  for (uint32_t i = 0; i < e->file.version_count; i++) {
    keys->keks[i] = e->keks[i];
    if (e->file.versions[i].state == NC_KEY_ACTIVE) keys->active = i;
  }
}

nacre_status nc_key_edit_finish(nc_key_edit *e, nc_table_keys **ret_keys, nacre_error *err) {
  size_t capacity = size_of(&e->file), size = 0;
  nc_table_keys *keys;
  sort_wraps(e);
  NC_TRY(nc_key_set_create(e->env, e->file.version_count, capacity, &keys, err));
  nacre_status status = encode(e, keys->image, capacity, &size, err);
  if (status != NACRE_OK) {
    nc_table_keys_unref(keys);
    return status;
  }
  keys->image_size = size;
  fill(e, keys);
  *ret_keys = keys;
  return NACRE_OK;
}
