/* SPDX-License-Identifier: Apache-2.0
 *
 * faults: see faults.h.
 */
#include "faults.h"

#include <stdlib.h>
#include <string.h>

#include "private_memory.h"

struct nacre_faults {
  size_t count, capacity;
  nacre_error *list;
  nacre_fault_extent *extents;
  nc_heap *heap; /* for the extents' keys; NULL: there are none yet */
};

size_t nacre_faults_count(const nacre_faults *faults) { return faults == NULL ? 0 : faults->count; }

const nacre_error *nacre_faults_at(const nacre_faults *faults, size_t index) {
  return faults == NULL || index >= faults->count ? NULL : &faults->list[index];
}

const nacre_fault_extent *nacre_faults_extent(const nacre_faults *faults, size_t index) {
  return faults == NULL || index >= faults->count ? NULL : &faults->extents[index];
}

static void free_key(nacre_faults *f, nacre_slice key) {
  nc_heap_free(f->heap, (void *)(uintptr_t)key.data, key.size);
}

void nacre_faults_free(nacre_faults *faults) {
  if (faults == NULL) return;
  for (size_t i = 0; faults->heap != NULL && i < faults->count; i++) {
    free_key(faults, faults->extents[i].first_key);
    free_key(faults, faults->extents[i].last_key);
  }
  nc_heap_destroy(faults->heap);
  free(faults->list);
  free(faults->extents);
  free(faults);
}

/* A key that is not known stays NULL. */
static nacre_status copy_key(nacre_faults *f, nacre_slice key, nacre_slice *ret_copy, nacre_error *err) {
  if (key.data == NULL) return NACRE_OK;
  if (f->heap == NULL) NC_TRY(nc_heap_create(&f->heap, err));
  uint8_t *copy = nc_heap_alloc(f->heap, key.size);
  if (copy == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  if (key.size > 0) memcpy(copy, key.data, key.size);
  *ret_copy = (nacre_slice){copy, key.size};
  return NACRE_OK;
}

static nacre_status grow(nacre_faults *f, nacre_error *err) {
  if (f->count < f->capacity) return NACRE_OK;
  size_t capacity = f->capacity == 0 ? 8 : f->capacity * 2;
  nacre_error *list = realloc(f->list, capacity * sizeof *list);
  if (list != NULL) f->list = list;
  nacre_fault_extent *extents = realloc(f->extents, capacity * sizeof *extents);
  if (extents != NULL) f->extents = extents;
  if (list == NULL || extents == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  f->capacity = capacity;
  return NACRE_OK;
}

nacre_status nc_faults_add(nacre_faults **faults, const nacre_error *fault, const nacre_fault_extent *extent,
                           nacre_error *err) {
  if (*faults == NULL) *faults = calloc(1, sizeof **faults);
  nacre_faults *f = *faults;
  if (f == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  NC_TRY(grow(f, err));
  nacre_fault_extent copy = {.bytes = extent == NULL ? NACRE_NONE : extent->bytes};
  if (extent != NULL) NC_TRY(copy_key(f, extent->first_key, &copy.first_key, err));
  nacre_status status = extent == NULL ? NACRE_OK : copy_key(f, extent->last_key, &copy.last_key, err);
  if (status != NACRE_OK) {
    if (copy.first_key.data != NULL) free_key(f, copy.first_key);
    return status;
  }
  f->list[f->count] = *fault;
  f->extents[f->count++] = copy;
  return NACRE_OK;
}

bool nc_faults_have(const nacre_faults *faults, const nacre_error *fault) {
  for (size_t i = 0; i < nacre_faults_count(faults); i++) {
    const nacre_error *f = &faults->list[i];
    if (f->offset != fault->offset || strcmp(f->file, fault->file) != 0) continue;
    if (fault->offset != NACRE_NONE || f->id == fault->id) return true;
  }
  return false;
}
