/* SPDX-License-Identifier: Apache-2.0
 *
 * table_info: what the catalogue and an open table say of themselves: list, recovery report.
 */
#include <stdlib.h>

#include "last_error.h"
#include "store.h"

/* ---- the list of tables -------------------------------------------------------------------------------- */

struct nacre_table_infos {
  size_t count;
  nacre_table_info *list;
  nc_heap *names; /* names are user data; the list may outlive the store, so it has a heap of its own */
};

static nacre_status fill_info(nc_heap *names, const nc_catalogue_item *item, nacre_table_info *info,
                              nacre_error *err) {
  const nc_catalogue_record *record = &item->record;
  char *name = nc_heap_alloc(names, record->name.size + 1); /* zero: terminated */
  if (name == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  memcpy(name, record->name.data, record->name.size);
  info->name = name;
  nc_uuid_format(&item->table, info->uuid);
  nc_uuid_format(&record->current.pin.id, info->kek_id);
  info->kek_version = record->current.pin.version;
  info->compression = (nacre_compression)record->compression;
  info->block_bytes = record->block_bytes;
  info->filter_bits_per_key = record->filter_bits_per_key;
  nc_table_settings settings = nc_table_settings_of(record);
  info->large_value_bytes = settings.large_value_bytes;
  info->segment_bytes = settings.segment_bytes;
  info->level_ratio = settings.level_ratio;
  info->created_ms = record->created_ms;
  nacre_key_spec *specs;
  NC_TRY(nc_key_specs_join(record, NULL, 0, &specs, &info->key_count, err));
  info->keys = specs;
  return NACRE_OK;
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const nacre_table_info *)a)->name, ((const nacre_table_info *)b)->name);
}

static nacre_status fill_infos(const nc_catalogue_item *items, nacre_table_infos *infos, nacre_error *err) {
  size_t count = 0;
  for (const nc_catalogue_item *i = items; i != NULL; i = i->next) count += i->record.life == NC_TABLE_LIVE;
  NC_TRY(nc_heap_create(&infos->names, err));
  infos->list = calloc(count + 1, sizeof *infos->list);
  if (infos->list == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  for (const nc_catalogue_item *i = items; i != NULL; i = i->next) {
    if (i->record.life != NC_TABLE_LIVE) continue;
    infos->count++;
    NC_TRY(fill_info(infos->names, i, &infos->list[infos->count - 1], err));
  }
  qsort(infos->list, infos->count, sizeof *infos->list, by_name);
  return NACRE_OK;
}

nacre_status nacre_table_list(nacre_store *store, nacre_table_infos **ret_infos) {
  nacre_error *err = nc_thread_error();
  NC_TRY(nc_store_check(store, err));
  if (ret_infos == NULL) return nc_fail(err, NC_E_ARGUMENT, "ret_infos is NULL");
  nacre_table_infos *infos = calloc(1, sizeof *infos);
  if (infos == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  nc_catalogue_item *items = NULL;
  nacre_status status = nc_catalogue_list(store->catalogue, &items, err);
  if (status == NACRE_OK) status = fill_infos(items, infos, err);
  nc_catalogue_free(items);
  if (status == NACRE_OK) {
    *ret_infos = infos;
  } else {
    nacre_table_infos_free(infos);
  }
  return status;
}

size_t nacre_table_infos_count(const nacre_table_infos *infos) { return infos == NULL ? 0 : infos->count; }

const nacre_table_info *nacre_table_infos_at(const nacre_table_infos *infos, size_t index) {
  return infos == NULL || index >= infos->count ? NULL : &infos->list[index];
}

void nacre_table_infos_free(nacre_table_infos *infos) {
  if (infos == NULL || (infos->names != NULL && nc_heap_forked(infos->names)))
    return; /* the names are gone in a child */
  for (size_t i = 0; infos->list != NULL && i < infos->count; i++) {
    char *name = (char *)(uintptr_t)infos->list[i].name;
    if (name != NULL) nc_heap_free(infos->names, name, strlen(name) + 1);
    nc_key_specs_free((nacre_key_spec *)(uintptr_t)infos->list[i].keys, infos->list[i].key_count);
  }
  free(infos->list);
  nc_heap_destroy(infos->names);
  free(infos);
}

/* ---- one table ----------------------------------------------------------------------------------------- */

nacre_status nacre_table_recovery(nacre_table *table, nacre_recovery_report *ret_report) {
  nacre_error *err = nc_thread_error();
  NC_TRY(nc_table_check(table, err));
  if (ret_report != NULL) *ret_report = table->recovery;
  return NACRE_OK;
}
