/* SPDX-License-Identifier: Apache-2.0
 *
 * segments: see segments.h.
 */
#include "segments.h"

#include <stdio.h>
#include <stdlib.h>

static nacre_slice copy(nacre_slice s) {
  uint8_t *bytes = test_alloc(s.size);
  if (s.size > 0) memcpy(bytes, s.data, s.size);
  return (nacre_slice){bytes, s.size};
}

void list_add(entry_list *list, nacre_slice key, uint64_t sequence, nc_kind kind, nacre_slice value) {
  list->entries = test_grow(list->entries, list->count, &list->capacity, sizeof *list->entries);
  list->entries[list->count++] = (nc_entry){copy(key), sequence, kind, copy(value)};
}

static int by_order(const void *a, const void *b) {
  const nc_entry *x = a, *y = b;
  return nc_entry_compare(x->key, x->sequence, y->key, y->sequence);
}

void list_sort(entry_list *list) { qsort(list->entries, list->count, sizeof *list->entries, by_order); }

void list_free(entry_list *list) {
  for (size_t i = 0; i < list->count; i++) {
    free((void *)(uintptr_t)list->entries[i].key.data);
    free((void *)(uintptr_t)list->entries[i].value.data);
  }
  free(list->entries);
  *list = (entry_list){0};
}

void list_random(entry_list *list, test_random *random, size_t count, uint64_t keys, size_t value_max) {
  uint8_t *value = test_alloc(value_max);
  for (size_t i = 0; i < count; i++) {
    char key[64];
    uint64_t k = test_random_below(random, keys);
    int size = snprintf(key, sizeof key, "%s/%llu", k % 3 == 0 ? "a/rather/long/shared/prefix" : "b",
                        (unsigned long long)k);
    bool delete = test_random_chance(random, 6);
    size_t value_size = delete ? 0 : test_random_below(random, value_max + 1);
    test_value_make(value, value_size, k, i, 1);
    list_add(list, nc_slice(key, (size_t)size), i + 1, delete ? NC_KIND_DELETE : NC_KIND_PUT,
             nc_slice(value, value_size));
  }
  free(value);
  list_sort(list);
}

static size_t lower_bound(const entry_list *list, nacre_slice key, uint64_t sequence) {
  size_t low = 0, high = list->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    const nc_entry *e = &list->entries[middle];
    if (nc_entry_compare(e->key, e->sequence, key, sequence) < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

const nc_entry *list_get(const entry_list *list, nacre_slice key, uint64_t sequence) {
  size_t at = lower_bound(list, key, sequence);
  return at < list->count && nc_slice_equal(list->entries[at].key, key) ? &list->entries[at] : NULL;
}

/* ---- segments ------------------------------------------------------------------------------------------ */

nc_segment_params segment_params(const floor_fixture *f) {
  return (nc_segment_params){.table = f->table,
                             .number = 7,
                             .epoch = 1,
                             .method = NC_PACK_NONE,
                             .block_bytes = 1024,
                             .filter_bits_per_key = 10,
                             .manifest_sequence = 3};
}

void segment_write(floor_fixture *f, const nc_segment_params *params, const entry_list *list,
                   nc_segment_record *ret_record) {
  segment_write_with(f, params, list, NULL, 0, ret_record);
}

void segment_write_with(floor_fixture *f, const nc_segment_params *params, const entry_list *list,
                        const nc_range_fragment *ranges, size_t range_count, nc_segment_record *ret_record) {
  nacre_error err;
  nc_segment_writer *w;
  must(nc_segment_writer_create(&f->dir, params, nc_table_keys_active(f->keys), &w, &err));
  for (size_t i = 0; i < list->count; i++) must(nc_segment_writer_add(w, &list->entries[i], &err));
  for (size_t i = 0; i < range_count; i++) must(nc_segment_writer_add_range(w, &ranges[i], &err));
  must(nc_segment_writer_finish(w, ret_record, &err));
  require(nc_slice_equal(ret_record->smallest, list->entries[0].key));
  require(nc_slice_equal(ret_record->largest, list->entries[list->count - 1].key));
  ret_record->smallest = list->entries[0].key;
  ret_record->largest = list->entries[list->count - 1].key;
  nc_segment_writer_close(w);
}

nc_segment *segment_of(floor_fixture *f, const nc_segment_record *record) {
  nacre_error err;
  nc_segment *s;
  must(nc_segment_create(&f->home, record, 1, &s, &err));
  return s;
}

void segment_path(const floor_fixture *f, uint64_t number, char path[PATH_BYTES]) {
  char name[NC_FILE_NAME_BYTES];
  nc_segment_name(number, name);
  join(path, f->path, name);
}

/* ---- checks -------------------------------------------------------------------------------------------- */

static void check_at(const nc_cursor *c, const entry_list *list, size_t i) {
  if (i >= list->count) {
    require(!c->valid);
    return;
  }
  const nc_entry *e = &list->entries[i];
  require(c->valid && nc_slice_equal(c->entry.key, e->key) && c->entry.sequence == e->sequence);
  require(c->entry.kind == e->kind && nc_slice_equal(c->entry.value, e->value) && c->pin != NULL);
}

static void check_moves(nc_cursor *c, const entry_list *list) {
  nacre_error err;
  must(nc_cursor_first(c, &err));
  for (size_t i = 0; i < list->count; i++) {
    check_at(c, list, i);
    must(nc_cursor_next(c, &err));
  }
  require(!c->valid);
  must(nc_cursor_last(c, &err));
  for (size_t i = list->count; i-- > 0;) {
    check_at(c, list, i);
    must(nc_cursor_prev(c, &err));
  }
  require(!c->valid);
}

/* On by ever longer ways, and back by half of each: over windows and blocks, and from everywhere in them. */
static void check_turns(nc_cursor *c, const entry_list *list) {
  nacre_error err;
  size_t at = 0;
  must(nc_cursor_first(c, &err));
  for (size_t way = 1; at + way < list->count; way += 1 + way / 4) {
    for (size_t i = 0; i < way; i++) {
      must(nc_cursor_next(c, &err));
      check_at(c, list, ++at);
    }
    for (size_t i = 0; i < way / 2; i++) {
      must(nc_cursor_prev(c, &err));
      check_at(c, list, --at);
    }
  }
}

/* Seeks to an entry, to just before and behind it, and to keys that are not there; then a step each way. */
static void check_seek(nc_cursor *c, const entry_list *list, nacre_slice key, uint64_t sequence) {
  nacre_error err;
  size_t at = lower_bound(list, key, sequence);
  must(nc_cursor_seek(c, key, sequence, &err));
  check_at(c, list, at);
  if (c->valid) {
    must(nc_cursor_next(c, &err));
    check_at(c, list, at + 1);
  }
  must(nc_cursor_seek_before(c, key, sequence, &err));
  check_at(c, list, at == 0 ? list->count : at - 1);
}

static void check_get(nc_segment *s, const entry_list *list, nacre_slice key, uint64_t sequence) {
  nacre_error err;
  const nc_entry *wanted = list_get(list, key, sequence);
  nc_entry found;
  nc_pin *pin = NULL;
  bool is_found;
  must(nc_segment_get(s, key, sequence, false, &is_found, &found, &pin, &err));
  require(is_found == (wanted != NULL));
  if (!is_found) return;
  require(found.sequence == wanted->sequence && found.kind == wanted->kind &&
          nc_slice_equal(found.value, wanted->value));
  nc_pin_unref(pin);
}

void segment_check(nc_segment *s, const entry_list *list, test_random *random) {
  nacre_error err;
  nc_cursor *c;
  must(nc_segment_cursor(s, &(nc_travel){0}, &c, &err));
  check_moves(c, list);
  check_turns(c, list);
  size_t rounds = list->count < 200 ? list->count : 200;
  for (size_t round = 0; round < rounds; round++) {
    const nc_entry *e = &list->entries[test_random_below(random, list->count)];
    uint8_t near_key[80] = {0};
    size_t size = e->key.size < sizeof near_key - 1 ? e->key.size : sizeof near_key - 1;
    if (size > 0) memcpy(near_key, e->key.data, size);
    for (uint64_t delta = 0; delta < 3; delta++) {
      check_seek(c, list, e->key, e->sequence + delta - 1);
      check_get(s, list, e->key, e->sequence + delta - 1);
    }
    check_seek(c, list, e->key, 0);
    check_seek(c, list, e->key, NC_SEQUENCE_MAX);
    check_seek(c, list, nc_slice(near_key, size + 1), NC_SEQUENCE_MAX);
    check_get(s, list, nc_slice(near_key, size + 1), NC_SEQUENCE_MAX);
    check_get(s, list, nc_slice(near_key, size == 0 ? 0 : size - 1), NC_SEQUENCE_MAX);
  }
  nc_cursor_close(c);
}
