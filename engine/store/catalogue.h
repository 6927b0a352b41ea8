/* SPDX-License-Identifier: Apache-2.0
 *
 * catalogue: the sealed list of a store's tables, itself a table (format/catalogue_record.h). Every change is
 * synced before it returns. The store's lock is held by whoever changes it.
 */
#ifndef NC_CATALOGUE_H
#define NC_CATALOGUE_H

#include "table.h"

#define NC_CATALOGUE_DIRECTORY "catalogue"
#define NC_CATALOGUE_UNFINISHED "catalogue.new"
#define NC_UUID_PREFIX "uuid:"

/* One record with the bytes that it points into. */
typedef struct nc_catalogue_item {
  struct nc_catalogue_item *next;
  nc_heap *heap; /* names are user data: the item lies in private memory */
  nc_uuid table;
  nc_catalogue_record record;
  size_t size;
  uint8_t bytes[];
} nc_catalogue_item;

/* One record, as it stands in the catalogue. */
NC_MUST_CHECK nacre_status nc_catalogue_decode(nc_heap *heap, nacre_slice key, nacre_slice value,
                                               nc_catalogue_item **ret_item, nacre_error *err);
/* All records, in the order of their UUIDs. */
NC_MUST_CHECK nacre_status nc_catalogue_list(nacre_table *catalogue, nc_catalogue_item **ret_items,
                                             nacre_error *err);
void nc_catalogue_free(nc_catalogue_item *items);
/* The live table of a name, or of "uuid:" and a UUID; NC_E_TABLE_MISSING. One item, to be freed. */
NC_MUST_CHECK nacre_status nc_catalogue_find(nacre_table *catalogue, const char *name,
                                             nc_catalogue_item **ret_item, nacre_error *err);
NC_MUST_CHECK nacre_status nc_catalogue_find_uuid(nacre_table *catalogue, const nc_uuid *table,
                                                  nc_catalogue_item **ret_item, nacre_error *err);
NC_MUST_CHECK nacre_status nc_catalogue_put(nacre_table *catalogue, const nc_uuid *table,
                                            const nc_catalogue_record *record, nacre_error *err);
NC_MUST_CHECK nacre_status nc_catalogue_remove(nacre_table *catalogue, const nc_uuid *table,
                                               nacre_error *err);

/* Removes the files of a directory, wrapped keys first, then the directory; what is missing already is no
 * failure. */
NC_MUST_CHECK nacre_status nc_remove_directory(const nc_dir *parent, const char *name, nacre_error *err);
/* Makes durable what the catalogue says. After an unclean end it may say what stands in the page cache only, and
 * nothing may be dropped, or done under a key, because of that. */
NC_MUST_CHECK nacre_status nc_catalogue_secure(nacre_table *catalogue, nacre_error *err);

#endif
