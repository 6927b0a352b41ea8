/* SPDX-License-Identifier: Apache-2.0
 *
 * store: a directory, its lock, its catalogue, and the tables that are open.
 *
 * `tables_lock` guards the list of open tables, their names, and every change of the catalogue. It comes
 * before all locks of a table.
 */
#ifndef NC_STORE_H
#define NC_STORE_H

#include "catalogue.h"

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
  pthread_mutex_t tables_lock;
  nacre_table *tables; /* open ones */
  bool undo_pending;   /* a creation failed and could not be undone yet: */
  nc_uuid undo;        /* this table's */
};

NC_MUST_CHECK nacre_status nc_store_check_options(const nacre_store_options *options, nacre_error *err);
NC_MUST_CHECK nacre_status nc_store_check(nacre_store *store, nacre_error *err);
/* Copies the specs of a catalogue record (NULL: none), then `more`; freed by nc_key_specs_free. */
NC_MUST_CHECK nacre_status nc_key_specs_join(const nc_catalogue_record *record, const nacre_key_spec *more,
                                             size_t more_count, nacre_key_spec **ret_specs, size_t *ret_count,
                                             nacre_error *err);
nc_key_spec_record nc_key_spec_record_of(const nacre_key_spec *spec); /* points into the spec's strings */
void nc_key_specs_free(nacre_key_spec *specs, size_t count);
/* The key that serves where none is named, then the trusted ones. */
NC_MUST_CHECK nacre_status nc_store_keys(const nacre_store_options *options, nacre_key_spec **ret_specs,
                                         size_t *ret_count, nacre_error *err);
/* Opens the catalogue's keys, and the catalogue. */
NC_MUST_CHECK nacre_status nc_catalogue_open(nc_shared *shared, const nc_dir *store_dir,
                                             const nacre_key_spec *keys, size_t key_count, const char *region,
                                             bool read_only, nacre_table **ret_catalogue, nacre_error *err);
/* Opens a table's directory and keys as its catalogue record says. */
NC_MUST_CHECK nacre_status nc_open_table_keys(const nc_kms *kms, const nc_dir *store_dir,
                                              const nc_catalogue_item *item, const nacre_key_spec *more,
                                              size_t more_count, const char *region, nc_dir *ret_dir,
                                              nc_table_keys **ret_keys, nacre_error *err);
/* Whether a directory holds a store. */
NC_MUST_CHECK nacre_status nc_store_is_there(const nc_dir *dir, bool *ret_is, nacre_error *err);
/* Finishes creations and drops that were interrupted. */
NC_MUST_CHECK nacre_status nc_store_resume(nacre_store *store, nacre_error *err);

#endif
