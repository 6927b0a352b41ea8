/* SPDX-License-Identifier: Apache-2.0
 *
 * catalogue: see catalogue.h.
 */
#include "catalogue.h"

#include <stdlib.h>

#include "last_error.h"
#include "private_memory.h"
#include "store.h"

nacre_status nc_catalogue_decode(nc_heap *heap, nacre_slice key, nacre_slice value,
                                 nc_catalogue_item **ret_item, nacre_error *err) {
  nc_catalogue_item *item = nc_heap_alloc(heap, sizeof *item + value.size);
  if (item == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  item->heap = heap;
  memcpy(item->bytes, value.data, value.size);
  item->size = value.size;
  nacre_status status = nc_catalogue_key_decode(key, &item->table, err);
  if (status == NACRE_OK) {
    status = nc_catalogue_record_decode(nc_slice(item->bytes, item->size), &item->record, err);
  }
  if (status == NACRE_OK) {
    *ret_item = item;
  } else {
    nc_catalogue_free(item);
  }
  return status;
}

/* The public iterator tells its errors to the thread; they are passed on to where this floor wants them. */
static nacre_status told(nacre_status status, nacre_error *err) {
  if (status != NACRE_OK && err != NULL && err != nc_thread_error()) *err = *nc_thread_error();
  return status;
}

static nacre_status collect(nc_heap *heap, nacre_iter *it, nc_catalogue_item **ret_items, nacre_error *err) {
  nc_catalogue_item *items = NULL, **end = &items;
  nacre_status status = NACRE_OK;
  for (nacre_iter_first(it); nacre_iter_valid(it) && status == NACRE_OK; nacre_iter_next(it)) {
    status = nc_catalogue_decode(heap, nacre_iter_key(it), nacre_iter_value(it), end, err);
    if (status == NACRE_OK) end = &(*end)->next;
  }
  if (status == NACRE_OK) status = told(nacre_iter_status(it), err);
  if (status == NACRE_OK) {
    *ret_items = items;
  } else {
    nc_catalogue_free(items);
  }
  return status;
}

nacre_status nc_catalogue_list(nacre_table *catalogue, nc_catalogue_item **ret_items, nacre_error *err) {
  nacre_iter *it;
  NC_TRY(told(nacre_iter_open(catalogue, NULL, &it), err));
  nacre_status status = collect(catalogue->shared->env->heap, it, ret_items, err);
  nacre_iter_close(it);
  return status;
}

void nc_catalogue_free(nc_catalogue_item *items) {
  for (nc_catalogue_item *next; items != NULL; items = next) {
    next = items->next;
    nc_heap_free(items->heap, items, sizeof *items + items->size);
  }
}

static nacre_status absent(const char *name, nacre_error *err) {
  return nc_fail(err, NC_E_TABLE_MISSING, "\"%.100s\"", name);
}

/* A live one; NULL: there is none. */
static nacre_status get_live(nacre_table *catalogue, const nc_uuid *table, nc_catalogue_item **ret_item,
                             nacre_error *err) {
  uint8_t key[NC_CATALOGUE_KEY_BYTES];
  nacre_value value;
  *ret_item = NULL;
  nc_catalogue_key(table, key);
  nacre_error kept = *nc_thread_error(); /* that it is not there is no failure */
  nacre_status status = nacre_get(catalogue, nc_slice(key, sizeof key), NULL, &value);
  if (status == NACRE_NOT_FOUND) *nc_thread_error() = kept;
  nc_wipe(&kept, sizeof kept); /* it may tell a name, which is user data, and this is a stack */
  if (status == NACRE_NOT_FOUND) return NACRE_OK;
  NC_TRY(told(status, err));
  nc_catalogue_item *item;
  status = nc_catalogue_decode(catalogue->shared->env->heap, nc_slice(key, sizeof key),
                               nc_slice(value.data, value.size), &item, err);
  nacre_value_release(&value);
  NC_TRY(status);
  if (item->record.life == NC_TABLE_LIVE) {
    *ret_item = item;
  } else {
    nc_catalogue_free(item);
  }
  return NACRE_OK;
}

/* Where no store keeps names: a catalogue that is looked into once. */
static nacre_status scan_for(nacre_table *catalogue, const char *name, nc_catalogue_item **ret_item,
                             nacre_error *err) {
  nc_catalogue_item *items, *found = NULL;
  NC_TRY(nc_catalogue_list(catalogue, &items, err));
  for (nc_catalogue_item **link = &items; *link != NULL; link = &(*link)->next) {
    const nc_catalogue_record *record = &(*link)->record;
    if (record->life != NC_TABLE_LIVE || !nc_slice_equal(record->name, nc_slice(name, strlen(name))))
      continue;
    found = *link;
    *link = found->next;
    found->next = NULL;
    break;
  }
  nc_catalogue_free(items);
  *ret_item = found;
  return NACRE_OK;
}

static nacre_status look_up(nacre_table *catalogue, const char *name, nc_catalogue_item **ret_item,
                            nacre_error *err) {
  nacre_slice wanted = nc_slice(name, strlen(name));
  *ret_item = NULL;
  for (size_t turn = 0;; turn++) {
    nc_uuid uuid;
    bool found;
    nc_catalogue_item *item;
    NC_TRY(nc_catalogue_names_find(&catalogue->store->names, catalogue, wanted, turn, &uuid, &found, err));
    if (!found) return NACRE_OK;
    NC_TRY(get_live(catalogue, &uuid, &item, err));
    if (item != NULL && nc_slice_equal(item->record.name, wanted)) {
      *ret_item = item;
      return NACRE_OK;
    }
    nc_catalogue_free(item);
  }
}

nacre_status nc_catalogue_find(nacre_table *catalogue, const char *name, nc_catalogue_item **ret_item,
                               nacre_error *err) {
  nc_catalogue_item *found;
  nc_uuid uuid;
  bool by_uuid = strncmp(name, NC_UUID_PREFIX, strlen(NC_UUID_PREFIX)) == 0;
  if (by_uuid && !nc_uuid_parse(name + strlen(NC_UUID_PREFIX), &uuid)) return absent(name, err);
  if (by_uuid) {
    NC_TRY(get_live(catalogue, &uuid, &found, err));
  } else if (catalogue->store != NULL) {
    NC_TRY(look_up(catalogue, name, &found, err));
  } else {
    NC_TRY(scan_for(catalogue, name, &found, err));
  }
  if (found == NULL) return absent(name, err);
  *ret_item = found;
  return NACRE_OK;
}

nacre_status nc_catalogue_find_uuid(nacre_table *catalogue, const nc_uuid *table,
                                    nc_catalogue_item **ret_item, nacre_error *err) {
  NC_TRY(get_live(catalogue, table, ret_item, err));
  if (*ret_item != NULL) return NACRE_OK;
  char name[NC_UUID_TEXT_BYTES];
  nc_uuid_format(table, name);
  return absent(name, err);
}

nacre_status nc_catalogue_put(nacre_table *catalogue, const nc_uuid *table, const nc_catalogue_record *record,
                              nacre_error *err) {
  nc_heap *heap = catalogue->shared->env->heap;
  uint8_t key[NC_CATALOGUE_KEY_BYTES];
  nc_catalogue_key(table, key);
  uint8_t *bytes = nc_heap_alloc(heap, NC_CATALOGUE_RECORD_BYTES_MAX);
  if (bytes == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  size_t size = nc_catalogue_record_encode(record, bytes, NC_CATALOGUE_RECORD_BYTES_MAX);
  nacre_status status =
      size == 0 ? nc_fail(err, NC_E_CATALOGUE_FULL, NULL)
                : nc_table_put(catalogue, nc_slice(key, sizeof key), nc_slice(bytes, size), true, err);
  nc_heap_free(heap, bytes, NC_CATALOGUE_RECORD_BYTES_MAX);
  return status;
}

nacre_status nc_catalogue_remove(nacre_table *catalogue, const nc_uuid *table, nacre_error *err) {
  uint8_t key[NC_CATALOGUE_KEY_BYTES];
  nc_catalogue_key(table, key);
  return nc_table_delete(catalogue, nc_slice(key, sizeof key), true, err);
}

/* ---- removing a table's directory ---------------------------------------------------------------------- */

static nacre_status remove_if_there(const nc_dir *dir, const char *name, nacre_error *err) {
  nacre_status status = nc_dir_remove(dir, name, err);
  return status == NACRE_NOT_FOUND ? NACRE_OK : status;
}

typedef struct names {
  size_t count, capacity;
  char (*list)[NC_FILE_NAME_BYTES * 4];
} names;

static nacre_status collect_name(void *arg, const char *name, nacre_io_kind kind, nacre_error *err) {
  names *n = arg;
  if (kind == NACRE_IO_DIRECTORY || strlen(name) >= sizeof n->list[0]) return NACRE_OK;
  if (n->count == n->capacity) {
    size_t capacity = n->capacity == 0 ? 16 : n->capacity * 2;
    void *grown = realloc(n->list, capacity * sizeof n->list[0]);
    if (grown == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
    n->list = grown;
    n->capacity = capacity;
  }
  memcpy(n->list[n->count++], name, strlen(name) + 1);
  return NACRE_OK;
}

static nacre_status remove_files(const nc_dir *dir, nacre_error *err) {
  names n = {0};
  NC_TRY(remove_if_there(dir, NC_KEY_FILE_A, err));
  NC_TRY(remove_if_there(dir, NC_KEY_FILE_B, err));
  NC_TRY(nc_dir_sync(dir, err)); /* without its keys the rest is noise, whatever becomes of it */
  nacre_status status = nc_dir_list(dir, collect_name, &n, err);
  for (size_t i = 0; i < n.count && status == NACRE_OK; i++) status = remove_if_there(dir, n.list[i], err);
  free(n.list);
  return status == NACRE_OK ? nc_dir_sync(dir, err) : status;
}

nacre_status nc_remove_directory(const nc_dir *parent, const char *name, nacre_error *err) {
  nc_dir dir;
  nacre_status status = nc_dir_open_at(parent, name, &dir, err);
  if (status == NACRE_NOT_FOUND) return NACRE_OK;
  NC_TRY(status);
  status = remove_files(&dir, err);
  nc_dir_close(&dir);
  if (status == NACRE_OK) status = nc_dir_remove_at(parent, name, err);
  return status == NACRE_OK ? nc_dir_sync(parent, err) : status;
}

nacre_status nc_catalogue_secure(nacre_table *catalogue, nacre_error *err) {
  return catalogue->recovery.clean ? NACRE_OK : nc_table_sync(catalogue, err);
}
