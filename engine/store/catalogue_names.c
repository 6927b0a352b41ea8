/* SPDX-License-Identifier: Apache-2.0
 *
 * catalogue_names: see catalogue_names.h.
 */
#include "catalogue_names.h"

#include <stdlib.h>

#include "filter.h"
#include "random.h"

void nc_catalogue_names_init(nc_catalogue_names *names) {
  *names = (nc_catalogue_names){0};
  pthread_mutex_init(&names->lock, NULL);
}

void nc_catalogue_names_deinit(nc_catalogue_names *names) {
  free(names->list);
  pthread_mutex_destroy(&names->lock);
}

static int by_hash(const void *a, const void *b) {
  uint64_t x = ((const nc_name_place *)a)->hash, y = ((const nc_name_place *)b)->hash;
  return (x > y) - (x < y);
}

static nacre_status fill(nc_catalogue_names *names, const nc_catalogue_item *items, nacre_error *err) {
  size_t count = 0;
  for (const nc_catalogue_item *i = items; i != NULL; i = i->next) count += i->record.life == NC_TABLE_LIVE;
  nc_name_place *list = calloc(count + 1, sizeof *list);
  if (list == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  free(names->list);
  names->list = list;
  names->count = 0;
  for (const nc_catalogue_item *i = items; i != NULL; i = i->next) {
    if (i->record.life == NC_TABLE_LIVE)
      list[names->count++] = (nc_name_place){nc_filter_hash(names->seed, i->record.name), i->table};
  }
  qsort(list, count, sizeof *list, by_hash);
  return NACRE_OK;
}

/* The sequence comes before the list: what is written in between is looked at again. */
static nacre_status refresh(nc_catalogue_names *names, nacre_table *catalogue, nacre_error *err) {
  uint64_t sequence = atomic_load(&catalogue->visible);
  if (names->made && names->sequence == sequence) return NACRE_OK;
  if (!names->made) NC_TRY(nc_random(&names->seed, sizeof names->seed, err));
  nc_catalogue_item *items;
  NC_TRY(nc_catalogue_list(catalogue, &items, err));
  nacre_status status = fill(names, items, err);
  nc_catalogue_free(items);
  if (status == NACRE_OK) names->sequence = sequence;
  names->made = names->made || status == NACRE_OK;
  return status;
}

static size_t first_of(const nc_catalogue_names *names, uint64_t hash) {
  size_t low = 0, high = names->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (names->list[middle].hash < hash) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

nacre_status nc_catalogue_names_find(nc_catalogue_names *names, nacre_table *catalogue, nacre_slice name,
                                     size_t turn, nc_uuid *ret_table, bool *ret_found, nacre_error *err) {
  *ret_found = false;
  pthread_mutex_lock(&names->lock);
  nacre_status status = refresh(names, catalogue, err);
  if (status == NACRE_OK) {
    uint64_t hash = nc_filter_hash(names->seed, name);
    size_t at = first_of(names, hash) + turn;
    *ret_found = at < names->count && names->list[at].hash == hash;
    if (*ret_found) *ret_table = names->list[at].table;
  }
  pthread_mutex_unlock(&names->lock);
  return status;
}
