/* SPDX-License-Identifier: Apache-2.0
 *
 * table_key: making table keys, writing the key file, and what an open set of keys answers. table_key_open.c
 * reads them back.
 *
 * KEKs lie in private memory, the key file's bytes, which hold them only wrapped, in ordinary memory. The
 * count of references is the only thing that changes after creation.
 */
#include "table_key.h"

#include <stdlib.h>

#include "derive.h"
#include "random.h"
#include "secret.h"
#include "table_key_set.h"

/* ---- the set ------------------------------------------------------------------------------------------- */

nacre_status nc_key_set_create(nc_env *env, uint32_t kek_count, size_t image_size, nc_table_keys **ret_keys,
                               nacre_error *err) {
  nc_table_keys *keys = calloc(1, sizeof *keys);
  if (keys == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  atomic_init(&keys->references, 1);
  keys->env = env;
  keys->kek_count = kek_count;
  keys->image_size = image_size;
  keys->keks = nc_heap_alloc(env->heap, kek_count * sizeof *keys->keks);
  keys->image = malloc(image_size);
  if (keys->keks == NULL || keys->image == NULL) {
    nc_table_keys_unref(keys);
    return nc_fail(err, NC_E_NO_MEMORY, NULL);
  }
  *ret_keys = keys;
  return NACRE_OK;
}

nc_table_keys *nc_table_keys_ref(nc_table_keys *keys) {
  atomic_fetch_add_explicit(&keys->references, 1, memory_order_relaxed);
  return keys;
}

void nc_table_keys_unref(nc_table_keys *keys) {
  if (keys == NULL || atomic_fetch_sub_explicit(&keys->references, 1, memory_order_acq_rel) > 1) return;
  nc_heap_free(keys->env->heap, keys->keks, keys->kek_count * sizeof *keys->keks);
  free(keys->image);
  free(keys);
}

const nc_uuid *nc_table_keys_table(const nc_table_keys *keys) { return &keys->table; }
uint64_t nc_table_keys_generation(const nc_table_keys *keys) { return keys->generation; }
const nc_kek *nc_table_keys_active(const nc_table_keys *keys) { return &keys->keks[keys->active]; }
const nc_kek_pin *nc_kek_describe(const nc_kek *kek) { return &kek->pin; }
const uint8_t *nc_kek_bytes(const nc_kek *kek) { return kek->key; }

const nc_kek *nc_table_keys_find(const nc_table_keys *keys, const nc_uuid *kek_id) {
  for (uint32_t i = 0; i < keys->kek_count; i++) {
    if (nc_uuid_equal(&keys->keks[i].pin.id, kek_id)) return &keys->keks[i];
  }
  return NULL;
}

/* ---- commitments and MACs ------------------------------------------------------------------------------ */

nacre_status nc_kek_commitment(nc_env *env, const uint8_t *key, const nc_uuid *table, const nc_kek_pin *pin,
                               uint8_t out[NC_COMMITMENT_BYTES], nacre_error *err) {
  uint8_t context[2 * NC_UUID_BYTES + 4];
  memcpy(context, table->bytes, NC_UUID_BYTES);
  memcpy(context + NC_UUID_BYTES, pin->id.bytes, NC_UUID_BYTES);
  nc_put_u32(context + 2 * NC_UUID_BYTES, pin->version);
  return nc_derive(env, key, NC_LABEL_KEK_COMMIT, (nacre_slice){context, sizeof context}, out,
                   NC_COMMITMENT_BYTES, err);
}

nacre_status nc_kek_mac(nc_env *env, const nc_kek *kek, nc_label label, const nc_uuid *table,
                        nacre_slice data, uint8_t mac[NC_MAC_BYTES], nacre_error *err) {
  NC_SECRET(key);
  nacre_slice context = {table->bytes, NC_UUID_BYTES};
  NC_TRY(nc_derive(env, kek->key, label, context, key.bytes, NC_DERIVE_KEY_BYTES, err));
  return nc_hmac(env, key.bytes, data, mac, err);
}

nacre_status nc_table_keys_current_mac(const nc_table_keys *keys, const nc_kek *kek, nacre_slice data,
                                       uint8_t mac[NC_MAC_BYTES], nacre_error *err) {
  return nc_kek_mac(keys->env, kek, NC_LABEL_CURRENT_MAC, &keys->table, data, mac, err);
}

/* ---- creation ------------------------------------------------------------------------------------------ */

/* What a new key file is made of, while it is being made. */
typedef struct draft {
  const nc_kms *kms;
  nc_uuid table;
  nc_kek *kek; /* private memory */
  nc_key_file file;
  uint8_t wrapped[NACRE_KEY_SPECS_MAX][NACRE_KMS_WRAPPED_BYTES_MAX];
  char schemes[NACRE_KEY_SPECS_MAX][32];
  uint8_t image[NACRE_KEY_SPECS_MAX * (NACRE_KMS_WRAPPED_BYTES_MAX + 4 * NACRE_KEY_URI_BYTES_MAX)];
  size_t image_size;
} draft;

static nacre_slice text_slice(const char *text) {
  return (nacre_slice){text, text == NULL ? 0 : strlen(text)};
}

/* Whoever wraps must also unwrap to the same key, before anything rests on it: a key service that may only
 * encrypt, or lies, is found out here. */
static nacre_status wrap_and_probe(draft *d, const nacre_key_spec *spec, bool may_create, uint8_t *wrapped,
                                   size_t *ret_size, nacre_error *err) {
  NC_SECRET(back);
  nc_kms_purpose purpose = {d->table, d->kek->pin.id, d->kek->pin.version};
  NC_TRY(nc_kms_wrap(d->kms, spec, &purpose, may_create, d->kek->key, wrapped, NACRE_KMS_WRAPPED_BYTES_MAX,
                     ret_size, err));
  NC_TRY(nc_kms_unwrap(d->kms, spec, &purpose, (nacre_slice){wrapped, *ret_size}, back.bytes, err));
  if (nc_equal_secret(back.bytes, d->kek->key, NC_KEK_BYTES)) return NACRE_OK;
  return nc_fail(err, NC_E_KMS_ROUND_TRIP, "%.200s", spec->uri);
}

static nacre_status add_wrap(draft *d, const nacre_key_spec *spec, bool may_create, nacre_error *err) {
  uint32_t i = d->file.wrap_count;
  nacre_slice region = text_slice(spec->region), principal = text_slice(spec->principal);
  size_t size = 0;
  if (region.size > NACRE_KEY_URI_BYTES_MAX || principal.size > NACRE_KEY_URI_BYTES_MAX) {
    return nc_fail(err, NC_E_SEAL_ARGUMENT, "a key's region or principal is too long");
  }
  NC_TRY(wrap_and_probe(d, spec, may_create, d->wrapped[i], &size, err));
  if (!nc_kms_scheme(spec->uri, d->schemes[i], sizeof d->schemes[i])) return nc_fail(err, NC_E_KMS_URI, NULL);
  d->file.wraps[i] = (nc_key_wrap){
      .version_index = 0,
      .provider = text_slice(d->schemes[i]),
      .uri = text_slice(spec->uri),
      .region = region,
      .principal = principal,
      .ciphertext = {d->wrapped[i], size},
  };
  d->file.wrap_count++;
  return NACRE_OK;
}

static nacre_status generate_kek(draft *d, nacre_error *err) {
  nc_env *env = d->kms->env;
  nc_kek_pin *pin = &d->kek->pin;
  pin->version = 1;
  NC_TRY(nc_random_uuid(&pin->id, err));
  NC_TRY(nc_random(d->kek->key, NC_KEK_BYTES, err));
  NC_TRY(nc_kek_commitment(env, d->kek->key, &d->table, pin, pin->commitment, err));
  nc_key_version *version = &d->file.versions[0];
  *version = (nc_key_version){
      .id = pin->id, .version = pin->version, .state = NC_KEY_ACTIVE, .created_ms = nc_wall_ms(env)};
  memcpy(version->commitment, pin->commitment, sizeof version->commitment);
  d->file.generation = 1;
  d->file.table = d->table;
  d->file.version_count = 1;
  d->file.mac_count = 1;
  d->file.macs[0].kek_id = pin->id;
  return NACRE_OK;
}

static nacre_status encode(draft *d, nacre_error *err) {
  size_t body = nc_key_file_encode_body(&d->file, d->image, sizeof d->image);
  if (body == 0) return nc_fail(err, NC_E_KEY_FILE_LIMIT, NULL);
  NC_TRY(nc_kek_mac(d->kms->env, d->kek, NC_LABEL_KEYFILE_MAC, &d->table, (nacre_slice){d->image, body},
                    d->file.macs[0].mac, err));
  d->image_size = nc_key_file_encode_end(&d->file, d->image, body, sizeof d->image);
  return d->image_size > 0 ? NACRE_OK : nc_fail(err, NC_E_KEY_FILE_LIMIT, NULL);
}

static nacre_status compose(draft *d, const nacre_key_spec *specs, size_t spec_count, bool may_create,
                            nc_table_keys **ret_keys, nacre_error *err) {
  NC_TRY(generate_kek(d, err));
  for (size_t i = 0; i < spec_count; i++) NC_TRY(add_wrap(d, &specs[i], may_create, err));
  NC_TRY(encode(d, err));
  NC_TRY(nc_key_set_create(d->kms->env, 1, d->image_size, ret_keys, err));
  (*ret_keys)->table = d->table;
  (*ret_keys)->generation = d->file.generation;
  (*ret_keys)->keks[0] = *d->kek;
  memcpy((*ret_keys)->image, d->image, d->image_size);
  return NACRE_OK;
}

nacre_status nc_table_keys_create(const nc_kms *kms, const nc_uuid *table, const nacre_key_spec *specs,
                                  size_t spec_count, bool may_create, nc_table_keys **ret_keys,
                                  nacre_error *err) {
  if (spec_count == 0 || spec_count > NACRE_KEY_SPECS_MAX) {
    return nc_fail(err, NC_E_SEAL_ARGUMENT, "%zu keys, of 1 to %zu", spec_count, NACRE_KEY_SPECS_MAX);
  }
  draft *d = calloc(1, sizeof *d);
  if (d == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  d->kms = kms;
  d->table = *table;
  d->kek = nc_heap_alloc(kms->env->heap, sizeof *d->kek);
  nacre_status status = d->kek == NULL ? nc_fail(err, NC_E_NO_MEMORY, NULL)
                                       : compose(d, specs, spec_count, may_create, ret_keys, err);
  nc_heap_free(kms->env->heap, d->kek, sizeof *d->kek);
  free(d);
  return status;
}

/* ---- the two copies ------------------------------------------------------------------------------------ */

nacre_status nc_table_keys_write(const nc_table_keys *keys, const nc_dir *dir, nacre_error *err) {
  nacre_slice image = {keys->image, keys->image_size};
  /* A crash in here leaves copy A old or new and whole, and copy B old and whole: the higher generation
   * counts. */
  NC_TRY(nc_dir_replace_file(dir, NC_KEY_FILE_A ".tmp", NC_KEY_FILE_A, image, err));
  return nc_dir_replace_file(dir, NC_KEY_FILE_B ".tmp", NC_KEY_FILE_B, image, err);
}

static nacre_status differs(const nc_dir *dir, const char *name, const char *how, nacre_error *err) {
  char label[NC_FILE_LABEL_BYTES];
  nc_dir_label(dir, name, label);
  return nc_fail_in(err, nc_fail(err, NC_E_KEY_COPIES_DIFFER, "%s", how), label, 0);
}

static nacre_status check_copy(const nc_table_keys *keys, const nc_dir *dir, const char *name,
                               nacre_error *err) {
  uint8_t *bytes;
  size_t size;
  nacre_status status = nc_dir_load_file(dir, name, NC_KEY_FILE_BYTES_MAX, &bytes, &size, err);
  if (status == NACRE_NOT_FOUND) return differs(dir, name, "one is missing", err);
  if (status != NACRE_OK) return status;
  bool equal = size == keys->image_size && memcmp(bytes, keys->image, size) == 0;
  free(bytes);
  return equal ? NACRE_OK : differs(dir, name, "this one is not what was opened", err);
}

nacre_status nc_table_keys_check_copies(const nc_table_keys *keys, const nc_dir *dir, nacre_error *err) {
  NC_TRY(check_copy(keys, dir, NC_KEY_FILE_A, err));
  return check_copy(keys, dir, NC_KEY_FILE_B, err);
}
