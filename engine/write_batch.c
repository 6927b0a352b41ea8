/* SPDX-License-Identifier: Apache-2.0
 *
 * write_batch: see write_batch.h.
 */
#include "write_batch.h"

#include <stdlib.h>

#include "batch.h"
#include "last_error.h"
#include "private_memory.h"
#include "table.h"

enum { FIRST_BYTES = 4096 };

struct nacre_batch {
  nc_heap *heap; /* a batch belongs to no store, so it keeps a heap of its own */
  uint8_t *data;
  size_t size, capacity, count, ranges;
  uint8_t *expects; /* one after the other: an nc_expect without its key's address, and the key */
  size_t expects_size, expects_capacity;
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

void nacre_batch_clear(nacre_batch *b) {
  if (b == NULL || nc_heap_forked(b->heap)) return;
  nc_wipe(b->data, b->size);
  nc_wipe(b->expects, b->expects_size);
  b->size = b->count = b->ranges = b->expects_size = 0;
}

void nacre_batch_destroy(nacre_batch *b) {
  if (b == NULL || nc_heap_forked(b->heap)) return;
  nc_heap_free(b->heap, b->data, b->capacity);
  nc_heap_free(b->heap, b->expects, b->expects_capacity);
  nc_heap_destroy(b->heap);
  free(b);
}

size_t nacre_batch_count(const nacre_batch *b) { return b == NULL ? 0 : b->count; }
size_t nacre_batch_bytes(const nacre_batch *b) { return b == NULL ? 0 : b->size; }
nacre_slice nc_batch_operations(const nacre_batch *b) { return (nacre_slice){b->data, b->size}; }

bool nc_batch_holds_ranges(const nacre_batch *b) { return b->ranges > 0; }
bool nc_batch_forked(const nacre_batch *b) { return nc_heap_forked(b->heap); }

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
  NC_TRY(reserve(b, &b->data, b->size, &b->capacity, size, err));
  b->size += nc_operation_encode(kind, key, value, b->data + b->size);
  b->count++;
  b->ranges += kind == NC_KIND_RANGE_DELETE;
  return NACRE_OK;
}

nacre_status nacre_batch_put(nacre_batch *batch, nacre_slice key, nacre_slice value) {
  return add(batch, NC_KIND_PUT, key, value);
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
