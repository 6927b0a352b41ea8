/* SPDX-License-Identifier: Apache-2.0
 *
 * write_batch: see write_batch.h.
 */
#include "write_batch.h"

#include <stdlib.h>

#include "batch.h"
#include "last_error.h"
#include "private_memory.h"

enum { FIRST_BYTES = 4096 };

struct nacre_batch {
  nc_heap *heap; /* a batch belongs to no store, so it keeps a heap of its own */
  uint8_t *data;
  size_t size, capacity, count;
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
  b->size = b->count = 0;
}

void nacre_batch_destroy(nacre_batch *b) {
  if (b == NULL || nc_heap_forked(b->heap)) return;
  nc_heap_free(b->heap, b->data, b->capacity);
  nc_heap_destroy(b->heap);
  free(b);
}

size_t nacre_batch_count(const nacre_batch *b) { return b == NULL ? 0 : b->count; }
size_t nacre_batch_bytes(const nacre_batch *b) { return b == NULL ? 0 : b->size; }
nacre_slice nc_batch_operations(const nacre_batch *b) { return (nacre_slice){b->data, b->size}; }

bool nc_batch_forked(const nacre_batch *b) { return nc_heap_forked(b->heap); }

static nacre_status reserve(nacre_batch *b, size_t more, nacre_error *err) {
  if (more > NACRE_BATCH_BYTES_MAX - b->size) return nc_fail(err, NC_E_BATCH_TOO_LARGE, NULL);
  if (b->size + more <= b->capacity) return NACRE_OK;
  size_t capacity = b->capacity == 0 ? FIRST_BYTES : b->capacity * 2;
  while (capacity < b->size + more) capacity *= 2;
  uint8_t *grown = nc_heap_grow(b->heap, b->data, b->capacity, capacity);
  if (grown == NULL) return nc_fail(err, NC_E_NO_MEMORY, "%zu bytes for a batch", capacity);
  b->data = grown;
  b->capacity = capacity;
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
  NC_TRY(reserve(b, size, err));
  b->size += nc_operation_encode(kind, key, value, b->data + b->size);
  b->count++;
  return NACRE_OK;
}

nacre_status nacre_batch_put(nacre_batch *batch, nacre_slice key, nacre_slice value) {
  return add(batch, NC_KIND_PUT, key, value);
}

nacre_status nacre_batch_delete(nacre_batch *batch, nacre_slice key) {
  return add(batch, NC_KIND_DELETE, key, (nacre_slice){NULL, 0});
}
