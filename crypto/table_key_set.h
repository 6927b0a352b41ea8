/* SPDX-License-Identifier: Apache-2.0
 *
 * table_key_set: the inside of a set of table keys, shared by the files whose names begin with table_key.
 * Nobody else includes it.
 */
#ifndef NC_TABLE_KEY_SET_H
#define NC_TABLE_KEY_SET_H

#include <stdatomic.h>

#include "derive.h"
#include "table_key.h"

struct nc_kek {
  nc_kek_pin pin;
  uint8_t key[NC_KEK_BYTES];
};

struct nc_table_keys {
  atomic_uint_least32_t references;
  nc_env *env;
  nc_uuid table;
  uint64_t generation;
  uint32_t kek_capacity, kek_count, active;
  nc_kek *keks;   /* private memory; as they stand in the file, but for a pending one that is not held */
  uint8_t *image; /* the key file, byte for byte */
  size_t image_size;
  bool copies_differ; /* as they were read, the key file's two copies were not equal */
  bool has_pending; /* the file calls a version active that is not committed yet: */
  nc_kek_pin pending;
  nacre_error pending_error; /* why it is not held; status NACRE_OK: it is */
};

/* A set of one reference with room for so many keys and such an image, for the caller to fill. */
NC_MUST_CHECK nacre_status nc_key_set_create(nc_env *env, uint32_t kek_count, size_t image_size,
                                             nc_table_keys **ret_keys, nacre_error *err);
NC_MUST_CHECK nacre_status nc_kek_commitment(nc_env *env, const uint8_t *key, const nc_uuid *table,
                                             const nc_kek_pin *pin, uint8_t out[NC_COMMITMENT_BYTES],
                                             nacre_error *err);
/* HMAC of `data` under derive(KEK, label, table UUID, 32). */
NC_MUST_CHECK nacre_status nc_kek_mac(nc_env *env, const nc_kek *kek, nc_label label, const nc_uuid *table,
                                      nacre_slice data, uint8_t mac[NC_MAC_BYTES], nacre_error *err);

#endif
