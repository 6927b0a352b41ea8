/* SPDX-License-Identifier: Apache-2.0
 *
 * keys_open: a table's keys for looking into its files, without the store's lock and without changing a byte.
 *
 * A writer may be at work meanwhile, so what is read may be gone a moment later: a try that meets such a
 * moment is repeated.
 */
#include "last_error.h"
#include "seal_domain.h"
#include "store.h"

enum { TRIES = 5 };

typedef struct request {
  const nacre_store_options *options;
  const char *path, *table;
  nacre_key_spec *specs;
  size_t spec_count;
} request;

static nacre_status keys_by_name(nc_shared *shared, const nc_dir *dir, nacre_table *catalogue,
                                 const request *q, nc_table_keys **ret_keys, nacre_error *err) {
  nc_catalogue_item *item;
  NC_TRY(nc_catalogue_find(catalogue, q->table, &item, err));
  nc_dir table_dir = {0};
  nacre_status status = nc_open_table_keys(&shared->kms, dir, item, q->specs, q->spec_count,
                                           q->options->region, &table_dir, ret_keys, err);
  nc_dir_close(&table_dir);
  nc_catalogue_free(item);
  return status;
}

/* NULL and the catalogue's own UUID name the catalogue. */
static bool names_catalogue(const nacre_table *catalogue, const char *table) {
  nc_uuid uuid;
  size_t prefix = strlen(NC_UUID_PREFIX);
  if (table == NULL) return true;
  return strncmp(table, NC_UUID_PREFIX, prefix) == 0 && nc_uuid_parse(table + prefix, &uuid) &&
         nc_uuid_equal(&uuid, &catalogue->uuid);
}

static nacre_status find_keys(nc_shared *shared, const nc_dir *dir, const request *q,
                              nc_table_keys **ret_keys, nacre_error *err) {
  nacre_table *catalogue;
  NC_TRY(nc_catalogue_open(shared, dir, q->specs, q->spec_count, q->options, true, &catalogue, err));
  nacre_status status = NACRE_OK;
  if (names_catalogue(catalogue, q->table)) {
    *ret_keys = nc_key_holder_take(&catalogue->keys);
  } else {
    status = keys_by_name(shared, dir, catalogue, q, ret_keys, err);
  }
  nc_ignore(nc_table_unload(catalogue, NULL)); /* read-only: there is nothing to end */
  return status;
}

static nacre_status find_keys_in(nc_shared *shared, const request *q, nc_table_keys **ret_keys,
                                 nacre_error *err) {
  nc_dir dir;
  nacre_status status = nc_dir_open(shared->env, q->path, false, &dir, err);
  if (status == NACRE_NOT_FOUND) return nc_fail(err, NC_E_STORE_MISSING, "%.200s", q->path);
  NC_TRY(status);
  bool is_store = false;
  status = nc_store_is_there(&dir, &is_store, err);
  if (status == NACRE_OK && !is_store) status = nc_fail(err, NC_E_STORE_MISSING, "%.200s", q->path);
  for (int i = 0; i < TRIES && is_store; i++) {
    status = find_keys(shared, &dir, q, ret_keys, err);
    if (status != NACRE_CORRUPT && status != NACRE_ROLLED_BACK) break;
  }
  nc_dir_close(&dir);
  return status;
}

static nacre_status open_domain(const request *q, nacre_seal_domain **ret_domain, nacre_error *err) {
  nacre_store_options options = {.workers = UINT32_MAX,
                                 .cache_bytes = NACRE_NONE,
                                 .io = q->options->io,
                                 .kms_deadline_ms = q->options->kms_deadline_ms,
                                 .kms_providers = q->options->kms_providers,
                                 .kms_provider_count = q->options->kms_provider_count,
                                 .passphrase = q->options->passphrase,
                                 .passphrase_arg = q->options->passphrase_arg};
  nc_shared shared;
  nc_table_keys *keys = NULL;
  nacre_status status = nc_shared_init(&shared, &options, err);
  if (status == NACRE_OK) status = find_keys_in(&shared, q, &keys, err);
  nc_env *env = nc_shared_give_env(&shared);
  if (status == NACRE_OK) status = nc_seal_domain_create(env, keys, ret_domain, err);
  if (status != NACRE_OK) {
    nc_table_keys_unref(keys);
    nc_env_destroy(env);
  }
  return status;
}

nacre_status nacre_table_keys_open(const char *store_path, const nacre_store_options *options,
                                   const char *table, nacre_seal_domain **ret_domain) {
  nacre_error *err = nc_thread_error();
  static const nacre_store_options defaults = {0};
  request q = {.options = options == NULL ? &defaults : options, .path = store_path, .table = table};
  if (store_path == NULL || ret_domain == NULL)
    return nc_fail(err, NC_E_ARGUMENT, "store_path or ret_domain is NULL");
  NC_TRY(nc_store_check_options(q.options, err));
  NC_TRY(nc_store_keys(q.options, &q.specs, &q.spec_count, err));
  nacre_status status = open_domain(&q, ret_domain, err);
  nc_key_specs_free(q.specs, q.spec_count);
  return status;
}
