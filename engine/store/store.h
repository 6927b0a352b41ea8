/* SPDX-License-Identifier: Apache-2.0
 *
 * store: a directory, its lock, its catalogue, and the tables that are open.
 *
 * `tables_lock` guards the list of open tables, their names, and the creation and end of tables. It comes
 * before all locks of a table. `catalogue_lock` makes one of reading a record and putting it back changed; it
 * comes after tables_lock and after the change_lock of a table, and before the catalogue's other locks.
 */
#ifndef NC_STORE_H
#define NC_STORE_H

#include "catalogue.h"
#include "catalogue_names.h"
#include "key_specs.h"

#define NC_LOCK_NAME "LOCK"

struct nacre_store {
  nc_shared shared;
  nc_dir dir;
  nacre_io_lock *lock;
  bool read_only;
  nacre_key_spec *keys; /* the default key, then the trusted ones; the strings are the store's */
  size_t key_count;
  char *region;
  nacre_table *catalogue;
  const nc_table_owner *owner; /* what its tables ask of it */
  nc_catalogue_names names;
  pthread_mutex_t tables_lock;
  pthread_mutex_t catalogue_lock;
  nacre_table *tables; /* open ones */
  bool undo_pending;   /* a creation failed and could not be undone yet: */
  nc_uuid undo;        /* this table's */
};

NC_MUST_CHECK nacre_status nc_store_check_options(const nacre_store_options *options, nacre_error *err);
NC_MUST_CHECK static inline nacre_status nc_store_check(nacre_store *checked, nacre_error *err) {
  if (checked == NULL) return nc_fail(err, NC_E_ARGUMENT, "the store is NULL");
  return nc_env_forked(checked->shared.env) ? nc_fail(err, NC_E_FORKED, NULL) : NACRE_OK;
}
/* The table that was loaded belongs to the store from now on. */
static inline void nc_store_adopt(nacre_store *by, nacre_table *loaded) {
  loaded->store = by;
  loaded->owner = by->owner;
}
/* The key that serves where none is named, then the trusted ones. */
NC_MUST_CHECK nacre_status nc_store_keys(const nacre_store_options *options, nacre_key_spec **ret_specs,
                                         size_t *ret_count, nacre_error *err);
/* Whom to believe about the catalogue's keys: whoever opens it with the caller's keys, and, when a commitment
 * is pinned, that one, which is put into `pinned`. */
NC_MUST_CHECK nacre_status nc_catalogue_trust(const nacre_key_spec *keys, size_t key_count,
                                              const nacre_store_options *options,
                                              uint8_t pinned[NC_COMMITMENT_BYTES], nc_key_trust *ret_trust,
                                              nacre_error *err);
/* Opens the catalogue's keys, and the catalogue. */
NC_MUST_CHECK nacre_status nc_catalogue_open(nc_shared *shared, const nc_dir *store_dir,
                                             const nacre_key_spec *keys, size_t key_count,
                                             const nacre_store_options *options, bool read_only,
                                             nacre_table **ret_catalogue, nacre_error *err);
/* Opens a table's directory and keys as its catalogue record says. */
NC_MUST_CHECK nacre_status nc_open_table_keys(const nc_kms *kms, const nc_dir *store_dir,
                                              const nc_catalogue_item *item, const nacre_key_spec *more,
                                              size_t more_count, const char *region, nc_dir *ret_dir,
                                              nc_table_keys **ret_keys, nacre_error *err);
/* An open table; NULL. Needs tables_lock. */
nacre_table *nc_store_find_open(nacre_store *store, const nc_uuid *uuid);
/* nacre_table_open without the checks of its arguments. Takes tables_lock. */
NC_MUST_CHECK nacre_status nc_store_open_table(nacre_store *store, const char *name,
                                               const nacre_table_open_options *options,
                                               nacre_table **ret_table, nacre_error *err);
/* The same as nc_open_table_keys, in a directory that is open already. */
NC_MUST_CHECK nacre_status nc_read_table_keys(const nc_kms *kms, const nc_dir *dir,
                                              const nc_catalogue_item *item, const nacre_key_spec *more,
                                              size_t more_count, const char *region,
                                              nc_table_keys **ret_keys, nacre_error *err);
/* Whether a directory holds a store. */
NC_MUST_CHECK nacre_status nc_store_is_there(const nc_dir *dir, bool *ret_is, nacre_error *err);
/* Finishes creations and drops that were interrupted. */
NC_MUST_CHECK nacre_status nc_store_resume(nacre_store *store, nacre_error *err);

#endif
