/* SPDX-License-Identifier: Apache-2.0
 *
 * catalogue_names: from a table's name to its UUID without reading the whole catalogue.
 *
 * Made anew, by one pass, when the catalogue has been written to since. Names are user data and are not kept: their
 * hashes are, under a random seed, and whoever finds a UUID by one compares the record's name.
 */
#ifndef NC_CATALOGUE_NAMES_H
#define NC_CATALOGUE_NAMES_H

#include <pthread.h>

#include "catalogue.h"

typedef struct nc_name_place {
  uint64_t hash;
  nc_uuid table;
} nc_name_place;

typedef struct nc_catalogue_names {
  pthread_mutex_t lock;
  bool made;
  uint64_t seed, sequence; /* of the catalogue's newest write when it was made */
  nc_name_place *list;     /* by hash */
  size_t count;
} nc_catalogue_names;

void nc_catalogue_names_init(nc_catalogue_names *names);
void nc_catalogue_names_deinit(nc_catalogue_names *names);
/* The `turn`-th live table, from 0, whose name may be this; false: there is none. */
NC_MUST_CHECK nacre_status nc_catalogue_names_find(nc_catalogue_names *names, nacre_table *catalogue,
                                                   nacre_slice name, size_t turn, nc_uuid *ret_table,
                                                   bool *ret_found, nacre_error *err);

#endif
