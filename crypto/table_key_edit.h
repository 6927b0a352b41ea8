/* SPDX-License-Identifier: Apache-2.0
 *
 * table_key_edit: a key file while it is composed, in memory: a new one, or the next generation of another.
 * For table_key_change.c only.
 */
#ifndef NC_TABLE_KEY_EDIT_H
#define NC_TABLE_KEY_EDIT_H

#include "table_key_set.h"

typedef struct nc_key_edit {
  nc_env *env;
  nc_key_file file;    /* wraps in any order until it is finished */
  nc_kek *keks;        /* private memory; one for each version of the file, zero where it is not held */
  uint8_t *wrapped[NC_KEY_WRAPS_MAX]; /* ciphertexts that are new */
  uint32_t wrapped_count;
} nc_key_edit;

/* Begins with no version (`from` NULL), or with what `from` has; `from` must outlive the edit. */
NC_MUST_CHECK nacre_status nc_key_edit_create(nc_env *env, const nc_uuid *table, const nc_table_keys *from,
                                              nc_key_edit **ret_edit, nacre_error *err);
void nc_key_edit_destroy(nc_key_edit *e); /* wipes */

/* Adds a version with a new random key, of the highest number, and makes it the active one. */
NC_MUST_CHECK nacre_status nc_key_edit_add_version(nc_key_edit *e, nacre_error *err);
/* Wraps one version under one key, and probes it: whoever wraps must also unwrap to the same key. */
NC_MUST_CHECK nacre_status nc_key_edit_add_wrap(nc_key_edit *e, const nc_kms *kms, uint32_t version,
                                                const nacre_key_spec *spec, bool may_create, nacre_error *err);
void nc_key_edit_drop_version(nc_key_edit *e, uint32_t version);
/* Of the wraps of each version keeps the newest under each URI: the others were made by earlier changes. */
void nc_key_edit_keep_newest(nc_key_edit *e);
/* Of the wraps of a version keeps the newest under each of these URIs; all, when none is under any. */
void nc_key_edit_keep_wraps(nc_key_edit *e, uint32_t version, const nacre_slice *uris, size_t uri_count);
/* The whole file with its MACs, as a set of keys. */
NC_MUST_CHECK nacre_status nc_key_edit_finish(nc_key_edit *e, nc_table_keys **ret_keys, nacre_error *err);

#endif
