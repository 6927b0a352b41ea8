/* SPDX-License-Identifier: Apache-2.0
 *
 * large_read: see large_read.h.
 */
#include "large_read.h"

#include "private_memory.h"

/* A value that was read; the memory behind this holds it. */
typedef struct loaded {
  nc_pin pin; /* first */
  nc_heap *heap;
  size_t size; /* of all this */
  uint8_t data[];
} loaded;

static void destroy(nc_pin *pin) {
  loaded *v = (loaded *)pin;
  nc_heap_free(v->heap, v, v->size);
}

static nacre_status open_reference(nacre_table *t, nacre_slice bytes, nc_value_reference *ret_reference,
                                   nc_value_reader **ret_reader, nacre_error *err) {
  NC_TRY(nc_value_reference_decode(bytes, ret_reference, err));
  return nc_value_open(&t->dir, &t->keys, &ret_reference->name, ret_reader, err);
}

nacre_status nc_large_load(nacre_table *t, nacre_slice reference, nacre_slice *ret_value, nc_pin **ret_pin,
                           nacre_error *err) {
  nc_heap *heap = t->shared->env->heap;
  nc_value_reader *reader;
  nc_value_reference decoded;
  NC_TRY(open_reference(t, reference, &decoded, &reader, err));
  size_t value_size = (size_t)decoded.name.value_size, size = sizeof(loaded) + value_size;
  loaded *v = nc_heap_alloc(heap, size);
  nacre_status status = NACRE_OK;
  if (v == NULL) {
    status = nc_fail(err, NC_E_NO_MEMORY, "%zu bytes for a value", value_size);
  } else {
    nc_pin_init(&v->pin, t, destroy);
    v->heap = heap;
    v->size = size;
    status = nc_value_read(reader, 0, v->data, value_size, err);
  }
  nc_value_close(reader);
  if (status == NACRE_OK) {
    *ret_value = nc_slice(v->data, value_size);
    *ret_pin = &v->pin;
  } else if (v != NULL) {
    nc_pin_unref(&v->pin);
  }
  return status;
}

nacre_status nc_large_size(nacre_slice reference, uint64_t *ret_size, nacre_error *err) {
  nc_value_reference decoded;
  NC_TRY(nc_value_reference_decode(reference, &decoded, err));
  *ret_size = decoded.name.value_size;
  return NACRE_OK;
}

nacre_status nc_large_copy(nacre_table *t, nacre_slice reference, uint64_t offset, void *buffer, size_t size,
                           nacre_error *err) {
  nc_value_reader *reader;
  nc_value_reference decoded;
  NC_TRY(open_reference(t, reference, &decoded, &reader, err));
  nacre_status status = nc_value_read(reader, offset, buffer, size, err);
  nc_value_close(reader);
  return status;
}
