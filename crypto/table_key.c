/* SPDX-License-Identifier: Apache-2.0
 *
 * table_key: what an open set of table keys answers, and the key file's two copies. table_key_change.c makes
 * sets, table_key_open.c reads them back.
 *
 * KEKs lie in private memory, the key file's bytes, which hold them only wrapped, in ordinary memory. The
 * count of references is the only thing that changes after creation.
 */
#include "table_key.h"

#include <stdlib.h>

#include "derive.h"
#include "secret.h"
#include "table_key_set.h"

/* ---- the set ------------------------------------------------------------------------------------------- */

nacre_status nc_key_set_create(nc_env *env, uint32_t kek_count, size_t image_size, nc_table_keys **ret_keys,
                               nacre_error *err) {
  nc_table_keys *keys = calloc(1, sizeof *keys);
  if (keys == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  atomic_init(&keys->references, 1);
  keys->env = env;
  keys->kek_count = keys->kek_capacity = kek_count;
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
  nc_heap_free(keys->env->heap, keys->keks, keys->kek_capacity * sizeof *keys->keks);
  free(keys->image);
  free(keys);
}

const nc_uuid *nc_table_keys_table(const nc_table_keys *keys) { return &keys->table; }
uint64_t nc_table_keys_generation(const nc_table_keys *keys) { return keys->generation; }
const nc_kek *nc_table_keys_active(const nc_table_keys *keys) { return &keys->keks[keys->active]; }
uint32_t nc_table_keys_count(const nc_table_keys *keys) { return keys->kek_count; }
const nc_kek *nc_table_keys_at(const nc_table_keys *keys, uint32_t index) { return &keys->keks[index]; }
const nc_kek_pin *nc_kek_describe(const nc_kek *kek) { return &kek->pin; }

nacre_slice nc_table_keys_image(const nc_table_keys *keys) {
  return (nacre_slice){keys->image, keys->image_size};
}

const nc_kek_pin *nc_table_keys_pending(const nc_table_keys *keys, const nacre_error **ret_why) {
  if (ret_why != NULL) *ret_why = &keys->pending_error;
  return keys->has_pending ? &keys->pending : NULL;
}

bool nc_table_keys_copies_differ(const nc_table_keys *keys) { return keys->copies_differ; }
uint32_t nc_table_keys_oldest(const nc_table_keys *keys) { return keys->keks[0].pin.version; }
const uint8_t *nc_kek_bytes(const nc_kek *kek) { return kek->key; }

const nc_kek *nc_table_keys_find(const nc_table_keys *keys, const nc_uuid *kek_id) {
  for (uint32_t i = 0; i < keys->kek_count; i++) {
    if (nc_uuid_equal(&keys->keks[i].pin.id, kek_id)) return &keys->keks[i];
  }
  return NULL;
}

/* ---- the holder ---------------------------------------------------------------------------------------- */

void nc_key_holder_init(nc_key_holder *holder, nc_table_keys *keys) {
  pthread_mutex_init(&holder->lock, NULL);
  holder->keys = keys;
}

void nc_key_holder_deinit(nc_key_holder *holder) {
  nc_table_keys_unref(holder->keys);
  pthread_mutex_destroy(&holder->lock);
}

nc_table_keys *nc_key_holder_take(nc_key_holder *holder) {
  pthread_mutex_lock(&holder->lock);
  nc_table_keys *keys = nc_table_keys_ref(holder->keys);
  pthread_mutex_unlock(&holder->lock);
  return keys;
}

void nc_key_holder_replace(nc_key_holder *holder, nc_table_keys *keys) {
  pthread_mutex_lock(&holder->lock);
  nc_table_keys *old = holder->keys;
  holder->keys = keys;
  pthread_mutex_unlock(&holder->lock);
  nc_table_keys_unref(old);
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
  return equal ? NACRE_OK : differs(dir, name, "this one is not what was opened", err); /* [K8] */
}

nacre_status nc_table_keys_check_copies(const nc_table_keys *keys, const nc_dir *dir, nacre_error *err) {
  NC_TRY(check_copy(keys, dir, NC_KEY_FILE_A, err));
  return check_copy(keys, dir, NC_KEY_FILE_B, err);
}
