/* SPDX-License-Identifier: Apache-2.0
 *
 * memtable: see memtable.h. Entries lie one behind the other in chunks that are taken from private memory as it
 * fills; the tree's nodes and the filter have memory of their own. All of it is counted when it is taken.
 */
#include "memtable.h"

#include <stdlib.h>

#include "arena.h"
#include "key_filter.h"
#include "memtree.h"
#include "stripe.h"

enum { RECORD_ALIGN = 8, NODE_CHUNK_DIVISOR = 4 };

/* What each reader changes, what readers look at, and what each put changes lie in lines of their own. */
struct nc_memtable {
  nc_pin pin; /* first: values are lent by it */
  nc_env *env;
  atomic_uint_fast64_t *budget;
  nc_memtree tree;
  nc_key_filter filter;
  _Alignas(NC_STRIPE_BYTES) nc_range_history ranges;
  _Alignas(NC_STRIPE_BYTES) nc_arena records;
  nc_arena nodes;
  atomic_size_t bytes;
  atomic_uint_fast64_t entries;
  atomic_uint_fast64_t newest; /* the highest sequence of an entry, range deletes aside */
};

static void record_entry(const nc_record *r, nc_entry *entry) {
  entry->key = nc_record_key(r);
  entry->sequence = nc_record_sequence(r);
  entry->kind = (nc_kind)(r->tag & 7);
  entry->value = nc_slice(r->bytes + r->key_size, r->value_size);
}

/* ---- life ---------------------------------------------------------------------------------------------------- */

static void memtable_destroy(nc_pin *pin) {
  nc_memtable *m = (nc_memtable *)pin;
  atomic_fetch_sub_explicit(m->budget, nc_memtable_bytes(m), memory_order_relaxed);
  nc_arena_deinit(&m->records);
  nc_arena_deinit(&m->nodes);
  nc_key_filter_deinit(&m->filter);
  nc_range_history_deinit(&m->ranges);
  nc_heap_free(m->env->heap, m, sizeof *m);
}

nacre_status nc_memtable_create(nc_env *env, nacre_table *table, size_t chunk_bytes,
                                atomic_uint_fast64_t *budget, nc_memtable **ret_memtable, nacre_error *err) {
  nc_memtable *m = nc_heap_alloc(env->heap, sizeof *m);
  if (m == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  nc_pin_init(&m->pin, table, memtable_destroy);
  m->env = env;
  m->budget = budget;
  m->records = nc_arena_over(env->heap, chunk_bytes);
  m->nodes = nc_arena_over(env->heap, chunk_bytes / NODE_CHUNK_DIVISOR);
  nc_memtree_init(&m->tree, &m->nodes);
  nc_range_history_init(&m->ranges, env->heap);
  nacre_status status = nc_key_filter_init(&m->filter, env->heap, err);
  if (status == NACRE_OK) {
    *ret_memtable = m;
  } else {
    nc_heap_free(env->heap, m, sizeof *m);
  }
  return status;
}

nc_pin *nc_memtable_pin(nc_memtable *m) { return &m->pin; }
size_t nc_memtable_bytes(const nc_memtable *m) {
  return atomic_load_explicit(&m->bytes, memory_order_relaxed);
}
uint64_t nc_memtable_entries(const nc_memtable *m) {
  return atomic_load_explicit(&m->entries, memory_order_relaxed);
}

/* ---- adding -------------------------------------------------------------------------------------------------- */

static void count_bytes(nc_memtable *m, size_t grown) {
  if (grown == 0) return;
  atomic_fetch_add_explicit(&m->bytes, grown, memory_order_relaxed);
  atomic_fetch_add_explicit(m->budget, grown, memory_order_relaxed);
}

nacre_status nc_memtable_reserve(nc_memtable *m, size_t count, size_t bytes, nacre_error *err) {
  size_t need = (bytes + count * (sizeof(nc_record) + RECORD_ALIGN - 1) + RECORD_ALIGN - 1) &
                ~(size_t)(RECORD_ALIGN - 1);
  size_t grown;
  NC_TRY(nc_arena_reserve(&m->records, need, need, &grown, err));
  count_bytes(m, grown);
  NC_TRY(nc_memtree_reserve(&m->tree, count, &grown, err));
  count_bytes(m, grown);
  NC_TRY(nc_key_filter_reserve(&m->filter, count, &grown, err));
  count_bytes(m, grown);
  return NACRE_OK;
}

nacre_status nc_memtable_reserve_ranges(nc_memtable *m, nacre_slice operations, uint64_t first_sequence,
                                        nacre_error *err) {
  size_t before = nc_range_history_bytes(&m->ranges);
  nacre_status status = nc_range_history_prepare(&m->ranges, operations, first_sequence, err);
  size_t grown = nc_range_history_bytes(&m->ranges) - before; /* or shrunk, by what was dropped: it wraps */
  atomic_fetch_add_explicit(&m->bytes, grown, memory_order_relaxed);
  atomic_fetch_add_explicit(m->budget, grown, memory_order_relaxed);
  return status;
}

const nc_range_history *nc_memtable_ranges(const nc_memtable *m) { return &m->ranges; }

static const nc_record *keep(nc_memtable *m, const nc_entry *entry) {
  size_t size = sizeof(nc_record) + entry->key.size + entry->value.size;
  nc_record *r = nc_arena_take(&m->records, (size + RECORD_ALIGN - 1) & ~(size_t)(RECORD_ALIGN - 1));
  r->tag = entry->sequence << 3 | (uint64_t)entry->kind;
  r->key_size = (uint32_t)entry->key.size;
  r->value_size = (uint32_t)entry->value.size;
  if (entry->key.size > 0) memcpy(r->bytes, entry->key.data, entry->key.size);
  if (entry->value.size > 0) memcpy(r->bytes + entry->key.size, entry->value.data, entry->value.size);
  return r;
}

void nc_memtable_add(nc_memtable *m, const nc_entry *entry) {
  if (entry->kind == NC_KIND_RANGE_DELETE) {
    nc_range_history_publish(&m->ranges);
  } else {
    uint64_t filtered = nc_key_filter_begin(&m->filter, entry->key);
    nc_memtree_add(&m->tree, keep(m, entry));
    nc_key_filter_add(&m->filter, filtered);
    if (entry->sequence > atomic_load_explicit(&m->newest, memory_order_relaxed))
      atomic_store_explicit(&m->newest, entry->sequence, memory_order_relaxed);
  }
  uint64_t entries = atomic_load_explicit(&m->entries, memory_order_relaxed); /* one thread adds */
  atomic_store_explicit(&m->entries, entries + 1, memory_order_relaxed);
}

bool nc_memtable_get(const nc_memtable *m, nacre_slice key, uint64_t sequence, nc_entry *ret_entry) {
  nc_memtree_place place;
  if (!nc_key_filter_test(&m->filter, key)) return false;
  if (!nc_memtree_seek(&m->tree, key, sequence, &place)) return false;
  const nc_record *r = nc_memtree_at(&place);
  if (!nc_slice_equal(nc_record_key(r), key)) return false;
  record_entry(r, ret_entry);
  return true;
}

/* ---- cursor -------------------------------------------------------------------------------------------------- */

/* Forward, records are read a window at a time, few at first; the place is that of the last one then. */
enum { WINDOW_MIN = 4, WINDOW_MAX = 16 };

typedef struct memtable_cursor {
  nc_cursor base;
  nc_memtable *memtable;
  nc_memtree_place place;
  unsigned window_next; /* how many to read next */
  nc_entry window[WINDOW_MAX];
} memtable_cursor;

static nacre_status stand(memtable_cursor *c, bool valid) {
  nc_cursor_show_nothing(&c->base);
  c->base.valid = valid;
  c->window_next = WINDOW_MIN;
  if (valid) record_entry(nc_memtree_at(&c->place), &c->base.entry);
  return NACRE_OK;
}

static nacre_status cursor_first(nc_cursor *base, nacre_error *err) {
  (void)err;
  memtable_cursor *c = (memtable_cursor *)base;
  return stand(c, nc_memtree_first(&c->memtable->tree, &c->place));
}

static nacre_status cursor_last(nc_cursor *base, nacre_error *err) {
  (void)err;
  memtable_cursor *c = (memtable_cursor *)base;
  return stand(c, nc_memtree_last(&c->memtable->tree, &c->place));
}

static nacre_status cursor_seek(nc_cursor *base, nacre_slice key, uint64_t sequence, nacre_error *err) {
  (void)err;
  memtable_cursor *c = (memtable_cursor *)base;
  return stand(c, nc_memtree_seek(&c->memtable->tree, key, sequence, &c->place));
}

static nacre_status cursor_next(nc_cursor *base, nacre_error *err) {
  (void)err;
  memtable_cursor *c = (memtable_cursor *)base;
  const nc_record *records[WINDOW_MAX];
  unsigned count = nc_memtree_read(&c->place, records, c->window_next);
  if (count == 0) return stand(c, false);
  for (unsigned i = 0; i < count; i++) record_entry(records[i], &c->window[i]);
  c->window_next = WINDOW_MAX;
  base->entry = c->window[0];
  base->window = c->window;
  base->ahead = count - 1;
  return NACRE_OK;
}

static nacre_status cursor_prev(nc_cursor *base, nacre_error *err) {
  (void)err;
  memtable_cursor *c = (memtable_cursor *)base;
  c->place.at -= (unsigned)base->ahead;
  return stand(c, nc_memtree_prev(&c->place));
}

/* What is newer than the range delete and may be seen was added before whoever moves learned of its moment, and is
 * counted in `newest` therefore. */
static nacre_status cursor_pass(nc_cursor *base, const nc_range_span *deleted, bool backward,
                                nacre_error *err) {
  const nc_memtable *m = ((memtable_cursor *)base)->memtable;
  if (atomic_load_explicit(&m->newest, memory_order_relaxed) >= deleted->hidden) return NACRE_OK;
  return nc_cursor_leave(base, deleted, backward, err);
}

static void cursor_close(nc_cursor *base) {
  nc_pin_unref(&((memtable_cursor *)base)->memtable->pin);
  free(base);
}

static const nc_cursor_ops memtable_cursor_ops = {cursor_first, cursor_last,  cursor_seek, cursor_next,
                                                  cursor_prev,  cursor_close, cursor_pass};

nacre_status nc_memtable_cursor(nc_memtable *m, nc_cursor **ret_cursor, nacre_error *err) {
  memtable_cursor *c = malloc(sizeof *c);
  if (c == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  nc_pin_ref(&m->pin);
  c->base = (nc_cursor){.ops = &memtable_cursor_ops, .pin = &m->pin};
  c->memtable = m;
  *ret_cursor = &c->base;
  return NACRE_OK;
}
