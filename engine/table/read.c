/* SPDX-License-Identifier: Apache-2.0
 *
 * read: point reads: memtables from new to old, then runs from new to old, until a version of the key
 * answers.
 */
#include "read.h"
#include "expiry.h"
#include "large_read.h"
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

nacre_status nc_view_key_state(const nc_view *view, nacre_slice key, uint64_t sequence, uint64_t moment_ms,
                               uint64_t *ret_changed, bool *ret_exists, nacre_error *err) {
  bool found;
  nc_entry entry;
  nc_pin *pin = NULL;
  uint64_t hidden;
  NC_TRY(nc_view_hidden(view, key, sequence, &hidden, err));
  NC_TRY(find(view, key, sequence, hidden, false, &found, &entry, &pin, err));
  *ret_changed = found ? entry.sequence : hidden;
  *ret_exists = found && entry.kind != NC_KIND_DELETE && !nc_entry_expired(&entry, moment_ms);
  nc_pin_unref(pin);
  return NACRE_OK;
}

/* It is said at once where this thread was told the same before: that it is missing is most of the answer. */
static nacre_status not_found(nacre_error *err) {
  if (err->id == NC_E_KEY_NOT_FOUND && err->file[0] == '\0') return NACRE_NOT_FOUND;
  return nc_fail(err, NC_E_KEY_NOT_FOUND, NULL);
}

/* Whether what was found is a put that is seen. */
static bool is_seen(nacre_table *t, const nacre_read_options *options, bool found, const nc_entry *entry) {
  if (!found || entry->kind == NC_KIND_DELETE) return false;
  /* The clock is asked only where something may expire. */
  return nc_entry_expires_ms(entry) == 0 || !nc_entry_expired(entry, nc_read_wall_ms(t, options));
}

/* What was found of a key: the put that is seen, with its value. `pin` is the caller's then, else let go. */
static nacre_status show_put(nacre_table *t, const nacre_read_options *options, bool found, nc_entry *entry,
                             nc_pin *pin, nacre_error *err) {
  if (is_seen(t, options, found, entry)) {
    entry->value = nc_entry_payload(entry);
    return NACRE_OK;
  }
  nc_pin_unref(pin);
  return not_found(err);
}

static nacre_status find_visible(const nc_view *view, nacre_slice key, uint64_t sequence,
                                 const nacre_read_options *options, bool *ret_found, nc_entry *ret_entry,
                                 nc_pin **ret_pin, nacre_error *err) {
  if (key.data == NULL) return nc_fail(err, NC_E_ARGUMENT, "the key is NULL");
  uint64_t hidden; /* what is older is deleted */
  *ret_pin = NULL;
  NC_TRY(nc_view_hidden(view, key, sequence, &hidden, err));
  bool no_cache_fill = options != NULL && options->no_cache_fill;
  return find(view, key, sequence, hidden, no_cache_fill, ret_found, ret_entry, ret_pin, err);
}

nacre_status nc_read_lend(nacre_table *t, const nacre_read_options *options, bool found, nc_entry *entry,
                          nc_pin *pin, nacre_value *ret_value, nacre_error *err) {
  NC_TRY(show_put(t, options, found, entry, pin, err));
  if (entry->kind == NC_KIND_LARGE) {
    nc_pin *held = pin;
    nacre_status status = nc_large_load(t, entry->value, &entry->value, &pin, err);
    nc_pin_unref(held);
    NC_TRY(status);
  }
  nc_table_lend(t);
  *ret_value = (nacre_value){entry->value.data, entry->value.size, pin};
  return NACRE_OK;
}

nacre_status nc_read_one(nacre_table *t, const nc_reading *reading, nacre_slice key,
                         const nacre_read_options *options, nacre_value *ret_value, nacre_error *err) {
  bool found;
  nc_entry entry;
  nc_pin *pin;
  NC_TRY(find_visible(reading->view, key, reading->sequence, options, &found, &entry, &pin, err));
  return nc_read_lend(t, options, found, &entry, pin, ret_value, err);
}

nacre_status nacre_get(nacre_table *table, nacre_slice key, const nacre_read_options *options,
                       nacre_value *ret_value) {
  nacre_error *err = nc_thread_error();
  if (ret_value == NULL) return nc_fail(err, NC_E_ARGUMENT, "ret_value is NULL");
  *ret_value = (nacre_value){0};
  NC_TRY(nc_table_check(table, err));
  uint64_t began = nc_meter_begin(table, NC_METER_READ);
  nc_reading reading;
  NC_TRY(nc_reading_begin(table, options, &reading, err));
  nacre_status status = nc_read_one(table, &reading, key, options, ret_value, err);
  nc_reading_end(&reading);
  nc_meter_end(table, NC_METER_READ, began);
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

/* Bytes [offset, offset + size) of a value, as far as it has them. */
typedef struct piece {
  uint64_t offset;
  void *buffer;
  size_t size;
  bool whole; /* nothing is copied when the value does not end with it */
} piece;

static nacre_status copy_piece(nacre_table *t, const nc_entry *entry, const piece *p, size_t *ret_copied,
                               uint64_t *ret_value_size, nacre_error *err) {
  uint64_t value_size = entry->value.size;
  if (entry->kind == NC_KIND_LARGE) NC_TRY(nc_large_size(entry->value, &value_size, err));
  uint64_t left = p->offset < value_size ? value_size - p->offset : 0;
  size_t size = left < p->size ? (size_t)left : p->size;
  if (ret_value_size != NULL) *ret_value_size = value_size;
  *ret_copied = (size_t)left;
  if (p->whole && left > p->size)
    return nc_fail(err, NC_E_BUFFER_SMALL, "%llu bytes are needed", (unsigned long long)left);
  *ret_copied = size;
  if (size == 0) return NACRE_OK;
  if (entry->kind == NC_KIND_LARGE) return nc_large_copy(t, entry->value, p->offset, p->buffer, size, err);
  memcpy(p->buffer, (const uint8_t *)entry->value.data + p->offset, size);
  return NACRE_OK;
}

static nacre_status read_piece(nacre_table *t, nacre_slice key, const nacre_read_options *options,
                               const piece *p, size_t *ret_copied, uint64_t *ret_value_size,
                               nacre_error *err) {
  nc_reading reading;
  nc_entry entry;
  nc_pin *pin;
  NC_TRY(nc_table_check(t, err));
  uint64_t began = nc_meter_begin(t, NC_METER_READ);
  NC_TRY(nc_reading_begin(t, options, &reading, err));
  bool found;
  nacre_status status = find_visible(reading.view, key, reading.sequence, options, &found, &entry, &pin, err);
  if (status == NACRE_OK) status = show_put(t, options, found, &entry, pin, err);
  if (status == NACRE_OK) {
    status = copy_piece(t, &entry, p, ret_copied, ret_value_size, err);
    nc_pin_unref(pin);
  }
  nc_reading_end(&reading);
  nc_meter_end(t, NC_METER_READ, began);
  return status;
}

nacre_status nacre_get_into(nacre_table *table, nacre_slice key, const nacre_read_options *options,
                            void *buffer, size_t capacity, size_t *ret_size) {
  nacre_error *err = nc_thread_error();
  if (ret_size == NULL || (buffer == NULL && capacity > 0)) {
    return nc_fail(err, NC_E_ARGUMENT, "the buffer or ret_size is NULL");
  }
  piece all = {.buffer = buffer, .size = capacity, .whole = true};
  return read_piece(table, key, options, &all, ret_size, NULL, err);
}

nacre_status nacre_get_part(nacre_table *table, nacre_slice key, const nacre_read_options *options,
                            uint64_t offset, void *buffer, size_t size, size_t *ret_copied,
                            uint64_t *ret_value_size) {
  nacre_error *err = nc_thread_error();
  if (ret_copied == NULL || (buffer == NULL && size > 0)) {
    return nc_fail(err, NC_E_ARGUMENT, "the buffer or ret_copied is NULL");
  }
  piece part = {.offset = offset, .buffer = buffer, .size = size};
  size_t copied = 0;
  uint64_t value_size = 0;
  NC_TRY(read_piece(table, key, options, &part, &copied, &value_size, err));
  *ret_copied = copied;
  if (ret_value_size != NULL) *ret_value_size = value_size;
  return NACRE_OK;
}
