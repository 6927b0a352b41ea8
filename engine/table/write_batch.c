/* SPDX-License-Identifier: Apache-2.0
 *
 * write_batch: see write_batch.h.
 */
#include "write_batch.h"

#include <stdlib.h>

#include "batch.h"
#include "expiry.h"
#include "last_error.h"
#include "private_memory.h"
#include "table.h"

enum { FIRST_BYTES = 4096, ASIDE_BYTES = 1 << 20 };

/* A put whose value is kept beside the operations. */
typedef struct aside {
  struct aside *next;
  uint64_t expires_ms; /* 0: never */
  size_t at;           /* of the operations before which it stands */
  size_t key_size, value_size;
  uint8_t bytes[]; /* key, value */
} aside;

struct nacre_batch {
  nc_heap *heap; /* a batch belongs to no store, so it keeps a heap of its own */
  uint8_t *data;
  size_t size, capacity, count, ranges;
  uint8_t *expects; /* one after the other: an nc_expect without its key's address, and the key */
  size_t expects_size, expects_capacity;
  aside *asides, *last_aside;      /* in their order */
  size_t aside_bytes, aside_heads; /* their values; what their operations take without them */
  size_t longest_value;            /* of those that are not beside */
};

nacre_status nacre_batch_create(nacre_batch **ret_batch) {
  nacre_error *err = nc_thread_error();
  if (ret_batch == NULL) return nc_fail(err, NC_E_ARGUMENT, "ret_batch is NULL");
  nacre_batch *b = calloc(1, sizeof *b);
  if (b == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  nacre_status status = nc_heap_create(&b->heap, err);
  if (status != NACRE_OK) {
    free(b);
    return status;
  }
  *ret_batch = b;
  return NACRE_OK;
}

static size_t aside_size(const aside *a) { return sizeof *a + a->key_size + a->value_size; }

static void free_asides(nacre_batch *b) {
  for (aside *a = b->asides, *next; a != NULL; a = next) {
    next = a->next;
    nc_heap_free(b->heap, a, aside_size(a));
  }
  b->asides = b->last_aside = NULL;
  b->aside_bytes = b->aside_heads = 0;
}

void nacre_batch_clear(nacre_batch *b) {
  if (b == NULL || nc_heap_forked(b->heap)) return;
  nc_wipe(b->data, b->size);
  nc_wipe(b->expects, b->expects_size);
  free_asides(b);
  b->size = b->count = b->longest_value = b->ranges = b->expects_size = 0;
}

void nacre_batch_destroy(nacre_batch *b) {
  if (b == NULL || nc_heap_forked(b->heap)) return;
  free_asides(b);
  nc_heap_free(b->heap, b->data, b->capacity);
  nc_heap_free(b->heap, b->expects, b->expects_capacity);
  nc_heap_destroy(b->heap);
  free(b);
}

size_t nacre_batch_count(const nacre_batch *b) { return b == NULL ? 0 : b->count; }
size_t nacre_batch_bytes(const nacre_batch *b) {
  return b == NULL ? 0 : b->size + b->aside_heads + b->aside_bytes;
}
nacre_slice nc_batch_operations(const nacre_batch *b) { return (nacre_slice){b->data, b->size}; }

bool nc_batch_holds_ranges(const nacre_batch *b) { return b->ranges > 0; }
bool nc_batch_forked(const nacre_batch *b) { return nc_heap_forked(b->heap); }

/* What one log frame still has room for. */
static size_t room_of(const nacre_batch *b) { return NACRE_BATCH_BYTES_MAX - b->size - b->aside_heads; }

/* Room for `more` bytes behind the `size` that there are. */
static nacre_status reserve(nacre_batch *b, uint8_t **data, size_t size, size_t *capacity, size_t more,
                            nacre_error *err) {
  if (more > NACRE_BATCH_BYTES_MAX - size) return nc_fail(err, NC_E_BATCH_TOO_LARGE, NULL);
  if (size + more <= *capacity) return NACRE_OK;
  size_t wanted = *capacity == 0 ? FIRST_BYTES : *capacity * 2;
  while (wanted < size + more) wanted *= 2;
  uint8_t *grown = nc_heap_grow(b->heap, *data, *capacity, wanted);
  if (grown == NULL) return nc_fail(err, NC_E_NO_MEMORY, "%zu bytes for a batch", wanted);
  *data = grown;
  *capacity = wanted;
  return NACRE_OK;
}

static nacre_status add(nacre_batch *b, nc_kind kind, nacre_slice key, nacre_slice value) {
  nacre_error *err = nc_thread_error();
  if (b == NULL || key.data == NULL || (value.data == NULL && value.size != 0)) {
    return nc_fail(err, NC_E_ARGUMENT, "the batch, the key or the value is NULL");
  }
  if (nc_heap_forked(b->heap)) return nc_fail(err, NC_E_FORKED, "the batch");
  size_t size;
  NC_TRY(nc_operation_size(kind, key, value, &size, err));
  if (size > room_of(b)) return nc_fail(err, NC_E_BATCH_TOO_LARGE, NULL);
  NC_TRY(reserve(b, &b->data, b->size, &b->capacity, size, err));
  b->size += nc_operation_encode(kind, key, value, b->data + b->size);
  b->count++;
  b->ranges += kind == NC_KIND_RANGE_DELETE;
  if (value.size > b->longest_value) b->longest_value = value.size;
  return NACRE_OK;
}

/* What the operation takes when its value goes to a file. */
static nacre_status head_size(nacre_slice key, size_t *ret_size, nacre_error *err) {
  static const uint8_t reference[NC_VALUE_REFERENCE_BYTES_MAX];
  return nc_operation_size(NC_KIND_LARGE, key, nc_slice(reference, sizeof reference), ret_size, err);
}

static nacre_status put_aside(nacre_batch *b, nacre_slice key, nacre_slice value, uint64_t expires_ms) {
  nacre_error *err = nc_thread_error();
  size_t head, size = sizeof(aside) + key.size + value.size;
  if (value.size > NACRE_VALUE_BYTES_MAX) return nc_fail(err, NC_E_VALUE_TOO_LARGE, "%zu bytes", value.size);
  NC_TRY(head_size(key, &head, err));
  if (value.size > NACRE_VALUE_BYTES_MAX - b->aside_bytes)
    return nc_fail(err, NC_E_BATCH_TOO_LARGE, "its large values are over 1 GiB");
  if (head > room_of(b)) return nc_fail(err, NC_E_BATCH_TOO_LARGE, NULL);
  aside *a = nc_heap_alloc(b->heap, size);
  if (a == NULL) return nc_fail(err, NC_E_NO_MEMORY, "%zu bytes for a value", size);
  *a = (aside){.at = b->size, .expires_ms = expires_ms, .key_size = key.size, .value_size = value.size};
  if (key.size > 0) memcpy(a->bytes, key.data, key.size);
  memcpy(a->bytes + key.size, value.data, value.size);
  if (b->last_aside != NULL) b->last_aside->next = a;
  if (b->asides == NULL) b->asides = a;
  b->last_aside = a;
  b->aside_bytes += value.size;
  b->aside_heads += head;
  b->count++;
  return NACRE_OK;
}

static bool goes_beside(const nacre_batch *b, nacre_slice key, nacre_slice value) {
  return b != NULL && key.data != NULL && value.data != NULL && value.size > ASIDE_BYTES &&
         !nc_heap_forked(b->heap);
}

nacre_status nacre_batch_put(nacre_batch *batch, nacre_slice key, nacre_slice value) {
  return goes_beside(batch, key, value) ? put_aside(batch, key, value, 0)
                                        : add(batch, NC_KIND_PUT, key, value);
}

nacre_status nacre_batch_put_expiring(nacre_batch *b, nacre_slice key, nacre_slice value,
                                      uint64_t expire_at_ms) {
  nacre_error *err = nc_thread_error();
  if (expire_at_ms == 0) return nacre_batch_put(b, key, value);
  if (goes_beside(b, key, value)) return put_aside(b, key, value, expire_at_ms);
  if (b == NULL || key.data == NULL || (value.data == NULL && value.size != 0)) {
    return nc_fail(err, NC_E_ARGUMENT, "the batch, the key or the value is NULL");
  }
  if (nc_heap_forked(b->heap)) return nc_fail(err, NC_E_FORKED, "the batch");
  size_t size;
  NC_TRY(nc_operation_size(NC_KIND_EXPIRING, key, nc_slice(value.data, NC_EXPIRY_BYTES + value.size), &size,
                           err));
  if (size > room_of(b)) return nc_fail(err, NC_E_BATCH_TOO_LARGE, NULL);
  if (value.size > b->longest_value) b->longest_value = value.size;
  NC_TRY(reserve(b, &b->data, b->size, &b->capacity, size, err));
  b->size += nc_operation_encode_expiring(key, value, expire_at_ms, b->data + b->size);
  b->count++;
  return NACRE_OK;
}

nacre_status nacre_batch_delete(nacre_batch *batch, nacre_slice key) {
  return add(batch, NC_KIND_DELETE, key, (nacre_slice){NULL, 0});
}

nacre_status nc_check_range(nacre_slice from, nacre_slice to_excluded, nacre_error *err) {
  return from.data == NULL || to_excluded.data == NULL
             ? nc_fail(err, NC_E_ARGUMENT, "an end of the range is NULL: unbounded ranges are not deleted")
             : NACRE_OK;
}

nacre_status nacre_batch_delete_range(nacre_batch *batch, nacre_slice from, nacre_slice to_excluded) {
  nacre_error *err = nc_thread_error();
  NC_TRY(nc_check_range(from, to_excluded, err));
  if (batch == NULL) return nc_fail(err, NC_E_ARGUMENT, "the batch is NULL");
  if (nc_slice_compare(from, to_excluded) >= 0) return NACRE_OK;
  return add(batch, NC_KIND_RANGE_DELETE, from, to_excluded);
}

/* ---- expectations -------------------------------------------------------------------------------------- */

nacre_status nacre_batch_expect(nacre_batch *batch, nacre_slice key, const nacre_snapshot *snapshot) {
  nacre_error *err = nc_thread_error();
  if (batch == NULL || key.data == NULL) return nc_fail(err, NC_E_ARGUMENT, "the batch or the key is NULL");
  if (nc_heap_forked(batch->heap)) return nc_fail(err, NC_E_FORKED, "the batch");
  size_t ignored;
  NC_TRY(nc_operation_size(NC_KIND_DELETE, key, (nacre_slice){NULL, 0}, &ignored, err)); /* a key's limits */
  nc_expect expect = {.key = {NULL, key.size}};
  if (snapshot != NULL) NC_TRY(nc_snapshot_moment(snapshot, &expect.table, &expect.sequence, err));
  NC_TRY(reserve(batch, &batch->expects, batch->expects_size, &batch->expects_capacity,
                 sizeof expect + key.size, err));
  uint8_t *at = batch->expects + batch->expects_size;
  memcpy(at, &expect, sizeof expect);
  if (key.size > 0) memcpy(at + sizeof expect, key.data, key.size);
  batch->expects_size += sizeof expect + key.size;
  return NACRE_OK;
}

nacre_slice nc_batch_expects(const nacre_batch *b) { return (nacre_slice){b->expects, b->expects_size}; }

bool nc_expect_next(nacre_slice *left, nc_expect *ret_expect) {
  if (left->size == 0) return false;
  const uint8_t *at = left->data;
  memcpy(ret_expect, at, sizeof *ret_expect);
  ret_expect->key.data = at + sizeof *ret_expect;
  size_t size = sizeof *ret_expect + ret_expect->key.size;
  *left = (nacre_slice){at + size, left->size - size};
  return true;
}

/* ---- writing it to a table ----------------------------------------------------------------------------- */

bool nc_batch_needs_files(const nacre_batch *b, const nacre_table *t) {
  return b->asides != NULL || b->longest_value > t->settings.large_value_bytes;
}

/* Values beside the operations that this table keeps in its log, as long as they fit one frame. */
static bool fits(const nacre_table *t, size_t value_size, size_t room) {
  return value_size <= t->settings.large_value_bytes && value_size <= room;
}

size_t nc_batch_placed_bound(const nacre_batch *b, const nacre_table *t) {
  size_t room = room_of(b), bound = b->size + b->aside_heads + b->count * NC_VALUE_REFERENCE_BYTES_MAX;
  for (const aside *a = b->asides; a != NULL; a = a->next) {
    if (!fits(t, a->value_size, room)) continue;
    room -= a->value_size;
    bound += a->value_size;
  }
  return bound;
}

typedef struct placing {
  nc_large_write *large;
  uint8_t *to;
  size_t size;
} placing;

static nacre_status place_large(placing *p, nacre_slice key, nacre_slice value, uint64_t expires_ms,
                                nacre_error *err) {
  uint8_t reference[NC_VALUE_REFERENCE_BYTES_MAX];
  size_t size;
  NC_TRY(nc_large_write_value(p->large, value, expires_ms, reference, &size, err));
  p->size += nc_operation_encode(NC_KIND_LARGE, key, nc_slice(reference, size), p->to + p->size);
  return NACRE_OK;
}

static nacre_status place_asides(placing *p, const aside **next, size_t before, size_t *room,
                                 nacre_error *err) {
  for (; *next != NULL && (*next)->at <= before; *next = (*next)->next) {
    const aside *a = *next;
    nacre_slice key = nc_slice(a->bytes, a->key_size),
                value = nc_slice(a->bytes + a->key_size, a->value_size);
    if (fits(p->large->table, a->value_size, *room)) {
      *room -= a->value_size;
      p->size += a->expires_ms == 0
                     ? nc_operation_encode(NC_KIND_PUT, key, value, p->to + p->size)
                     : nc_operation_encode_expiring(key, value, a->expires_ms, p->to + p->size);
    } else {
      NC_TRY(place_large(p, key, value, a->expires_ms, err));
    }
  }
  return NACRE_OK;
}

static nacre_status place_entry(placing *p, const nc_entry *entry, nacre_error *err) {
  nacre_slice value = nc_entry_payload(entry);
  bool puts = entry->kind == NC_KIND_PUT || entry->kind == NC_KIND_EXPIRING;
  if (puts && value.size > p->large->table->settings.large_value_bytes)
    return place_large(p, entry->key, value, nc_entry_expires_ms(entry), err);
  p->size += nc_operation_encode(entry->kind, entry->key, entry->value, p->to + p->size);
  return NACRE_OK;
}

nacre_status nc_batch_place(const nacre_batch *b, nc_large_write *large, uint8_t *to, size_t *ret_size,
                            nacre_error *err) {
  placing p = {.large = large, .to = to};
  const aside *next = b->asides;
  size_t room = room_of(b);
  nc_batch_reader reader;
  nc_batch_read_begin(&reader, nc_batch_operations(b));
  for (;;) {
    nc_entry entry;
    bool more;
    NC_TRY(place_asides(&p, &next, reader.reader.at, &room, err));
    NC_TRY(nc_batch_read(&reader, &entry, &more, err));
    if (!more) break;
    NC_TRY(place_entry(&p, &entry, err));
  }
  *ret_size = p.size;
  return NACRE_OK;
}
