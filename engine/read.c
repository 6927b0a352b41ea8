/* SPDX-License-Identifier: Apache-2.0
 *
 * read: point reads: memtables from new to old, then runs from new to old, until a version of the key
 * answers.
 */
#include "last_error.h"
#include "range_read.h"

/* The newest version at or before `sequence` that is newer than `hidden`, and what keeps its value. */
static nacre_status find(const nc_view *view, nacre_slice key, uint64_t sequence, uint64_t hidden,
                         bool no_cache_fill, bool *ret_found, nc_entry *ret_entry, nc_pin **ret_pin,
                         nacre_error *err) {
  *ret_found = false;
  for (size_t i = 0; i < view->memtable_count; i++) {
    if (!nc_memtable_get(view->memtables[i], key, sequence, ret_entry)) continue;
    if (ret_entry->sequence < hidden) return NACRE_OK;
    *ret_pin = nc_memtable_pin(view->memtables[i]);
    nc_pin_ref(*ret_pin);
    *ret_found = true;
    return NACRE_OK;
  }
  for (size_t i = 0; i < view->version->run_count && !*ret_found; i++) {
    nc_segment *segment = nc_run_find(&view->version->runs[i], key);
    if (segment == NULL || nc_segment_describe(segment)->sequence_max < hidden) continue;
    NC_TRY(nc_segment_get(segment, key, sequence, no_cache_fill, ret_found, ret_entry, ret_pin, err));
  }
  if (*ret_found && ret_entry->sequence < hidden) {
    nc_pin_unref(*ret_pin);
    *ret_pin = NULL;
    *ret_found = false;
  }
  return NACRE_OK;
}

nacre_status nc_view_key_state(const nc_view *view, nacre_slice key, uint64_t sequence, uint64_t *ret_changed,
                               bool *ret_exists, nacre_error *err) {
  bool found;
  nc_entry entry;
  nc_pin *pin = NULL;
  uint64_t hidden;
  NC_TRY(nc_view_hidden(view, key, sequence, &hidden, err));
  NC_TRY(find(view, key, sequence, hidden, false, &found, &entry, &pin, err));
  nc_pin_unref(pin);
  *ret_changed = found ? entry.sequence : hidden;
  *ret_exists = found && entry.kind != NC_KIND_DELETE;
  return NACRE_OK;
}

/* It is said at once where this thread was told the same before: that it is missing is most of the answer. */
static nacre_status not_found(nacre_error *err) {
  if (err->id == NC_E_KEY_NOT_FOUND && err->file[0] == '\0') return NACRE_NOT_FOUND;
  return nc_fail(err, NC_E_KEY_NOT_FOUND, NULL);
}

/* Lends the value to the caller. */
static nacre_status get_at(nacre_table *t, const nc_view *view, nacre_slice key, uint64_t sequence,
                           bool no_cache_fill, nacre_value *ret_value, nacre_error *err) {
  if (key.data == NULL) return nc_fail(err, NC_E_ARGUMENT, "the key is NULL");
  bool found;
  nc_entry entry;
  nc_pin *pin = NULL;
  uint64_t hidden; /* what is older is deleted */
  NC_TRY(nc_view_hidden(view, key, sequence, &hidden, err));
  NC_TRY(find(view, key, sequence, hidden, no_cache_fill, &found, &entry, &pin, err));
  if (!found || entry.kind == NC_KIND_DELETE) {
    nc_pin_unref(pin);
    return not_found(err);
  }
  nc_table_lend(t);
  *ret_value = (nacre_value){entry.value.data, entry.value.size, pin};
  return NACRE_OK;
}

nacre_status nacre_get(nacre_table *table, nacre_slice key, const nacre_read_options *options,
                       nacre_value *ret_value) {
  nacre_error *err = nc_thread_error();
  if (ret_value == NULL) return nc_fail(err, NC_E_ARGUMENT, "ret_value is NULL");
  *ret_value = (nacre_value){0};
  NC_TRY(nc_table_check(table, err));
  nc_reading reading;
  NC_TRY(nc_reading_begin(table, options, &reading, err));
  nacre_status status = get_at(table, reading.view, key, reading.sequence,
                               options != NULL && options->no_cache_fill, ret_value, err);
  nc_reading_end(&reading);
  return status;
}

void nacre_value_release(nacre_value *value) {
  if (value == NULL || value->pin == NULL) return;
  nc_pin *pin = value->pin;
  nacre_table *t = pin->table;
  *value = (nacre_value){0};
  if (nc_table_forked(t)) return;
  nc_pin_unref(pin); /* before the count: a table that is closed has nothing left to give back */
  nc_table_take_back(t);
}

nacre_status nacre_get_into(nacre_table *table, nacre_slice key, const nacre_read_options *options,
                            void *buffer, size_t capacity, size_t *ret_size) {
  nacre_error *err = nc_thread_error();
  if (ret_size == NULL || (buffer == NULL && capacity > 0)) {
    return nc_fail(err, NC_E_ARGUMENT, "the buffer or ret_size is NULL");
  }
  nacre_value value;
  NC_TRY(nacre_get(table, key, options, &value));
  *ret_size = value.size;
  nacre_status status = NACRE_OK;
  if (value.size > capacity) {
    status = nc_fail(err, NC_E_BUFFER_SMALL, "%zu bytes are needed", value.size);
  } else if (value.size > 0) {
    memcpy(buffer, value.data, value.size);
  }
  nacre_value_release(&value);
  return status;
}

nacre_status nacre_multi_get(nacre_table *table, size_t count, const nacre_slice *keys,
                             const nacre_read_options *options, nacre_value *ret_values,
                             nacre_status *ret_statuses) {
  nacre_error *err = nc_thread_error();
  if (count > 0 && (keys == NULL || ret_values == NULL || ret_statuses == NULL)) {
    return nc_fail(err, NC_E_ARGUMENT, "keys, ret_values or ret_statuses is NULL");
  }
  for (size_t i = 0; i < count; i++) ret_values[i] = (nacre_value){0};
  NC_TRY(nc_table_check(table, err));
  nc_reading reading;
  NC_TRY(nc_reading_begin(table, options, &reading, err));
  nacre_status status = NACRE_OK;
  nacre_error first;
  for (size_t i = 0; i < count; i++) {
    ret_statuses[i] = get_at(table, reading.view, keys[i], reading.sequence,
                             options != NULL && options->no_cache_fill, &ret_values[i], err);
    if (status == NACRE_OK && ret_statuses[i] != NACRE_OK && ret_statuses[i] != NACRE_NOT_FOUND) {
      status = ret_statuses[i];
      first = *err;
    }
  }
  nc_reading_end(&reading);
  if (status != NACRE_OK) *err = first;
  return status;
}
