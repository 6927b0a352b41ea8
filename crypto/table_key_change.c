/* SPDX-License-Identifier: Apache-2.0
 *
 * table_key_change: new table keys, and the generations of a key file that a change of keys goes through. All
 * of it happens in memory; nc_table_keys_write makes it real.
 */
#include <stdlib.h>

#include "table_key_edit.h"

static nacre_status check_specs(size_t count, nacre_error *err) {
  if (count > 0 && count <= NACRE_KEY_SPECS_MAX) return NACRE_OK;
  return nc_fail(err, NC_E_SEAL_ARGUMENT, "%zu keys, of 1 to %zu", count, NACRE_KEY_SPECS_MAX);
}

static nacre_status wrap_version(nc_key_edit *e, const nc_kms *kms, uint32_t version,
                                 const nacre_key_spec *specs, size_t spec_count, bool may_create,
                                 nacre_error *err) {
  for (size_t i = 0; i < spec_count; i++)
    NC_TRY(nc_key_edit_add_wrap(e, kms, version, &specs[i], may_create, err));
  return NACRE_OK;
}

/* ---- the first version --------------------------------------------------------------------------------- */

nacre_status nc_table_keys_create(const nc_kms *kms, const nc_uuid *table, const nacre_key_spec *specs,
                                  size_t spec_count, bool may_create, nc_table_keys **ret_keys,
                                  nacre_error *err) {
  nc_key_edit *e;
  NC_TRY(check_specs(spec_count, err));
  NC_TRY(nc_key_edit_create(kms->env, table, NULL, &e, err));
  nacre_status status = nc_key_edit_add_version(e, err);
  if (status == NACRE_OK) status = wrap_version(e, kms, 0, specs, spec_count, may_create, err);
  if (status == NACRE_OK) status = nc_key_edit_finish(e, ret_keys, err);
  nc_key_edit_destroy(e);
  return status;
}

/* ---- the next one -------------------------------------------------------------------------------------- */

/* What was being changed to and never came to be. */
static void drop_newer(nc_key_edit *e, const nc_table_keys *keys) {
  uint32_t active = nc_kek_describe(nc_table_keys_active(keys))->version;
  for (uint32_t i = e->file.version_count; i > 0; i--) {
    if (e->file.versions[i - 1].version > active) nc_key_edit_drop_version(e, i - 1);
  }
}

/* Every version is wrapped anew, the old ones beside the wraps that they have: as long as the change is not
 * committed, the old keys must open what they opened. */
static nacre_status succeed(nc_key_edit *e, const nc_kms *kms, const nc_key_succession *s, nacre_error *err) {
  uint32_t older = e->file.version_count;
  NC_TRY(nc_key_edit_add_version(e, err));
  NC_TRY(wrap_version(e, kms, older, s->specs, s->spec_count, s->may_create, err));
  for (uint32_t i = 0; i < older; i++) NC_TRY(wrap_version(e, kms, i, s->specs, s->spec_count, false, err));
  for (size_t i = 0; i < s->old_spec_count; i++) {
    /* A key that is being left may not be able to wrap any more: it is left sooner, then. */
    nc_ignore(nc_key_edit_add_wrap(e, kms, older, &s->old_specs[i], false, NULL));
  }
  return NACRE_OK;
}

nacre_status nc_table_keys_succeed(const nc_kms *kms, const nc_table_keys *keys,
                                   const nc_key_succession *succession, nc_table_keys **ret_keys,
                                   nacre_error *err) {
  nc_key_edit *e;
  NC_TRY(check_specs(succession->spec_count, err));
  NC_TRY(nc_key_edit_create(kms->env, nc_table_keys_table(keys), keys, &e, err));
  drop_newer(e, keys);
  nc_key_edit_keep_newest(e); /* else it is full long before there are as many versions as there may be */
  nacre_status status = succeed(e, kms, succession, err);
  if (status == NACRE_OK) status = nc_key_edit_finish(e, ret_keys, err);
  nc_key_edit_destroy(e);
  return status;
}

/* ---- without what is not needed ------------------------------------------------------------------------ */

static void drop_older(nc_key_edit *e) {
  while (e->file.versions[0].state != NC_KEY_ACTIVE) nc_key_edit_drop_version(e, 0);
}

nacre_status nc_table_keys_trim(const nc_table_keys *keys, bool retire, const nacre_slice *uris,
                                size_t uri_count, nc_table_keys **ret_keys, nacre_error *err) {
  nc_key_edit *e;
  NC_TRY(nc_key_edit_create(keys->env, nc_table_keys_table(keys), keys, &e, err));
  drop_newer(e, keys);
  if (retire) drop_older(e);
  for (uint32_t i = 0; i < e->file.version_count; i++) nc_key_edit_keep_wraps(e, i, uris, uri_count);
  nacre_status status = nc_key_edit_finish(e, ret_keys, err);
  nc_key_edit_destroy(e);
  return status;
}
