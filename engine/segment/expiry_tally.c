/* SPDX-License-Identifier: Apache-2.0
 *
 * expiry_tally: see expiry_tally.h.
 *
 * Implementation notes. Every stride-th moment is kept, in the order of keys; when the list is full, every other one
 * goes and the stride doubles. So the samples lie evenly among the entries, however many there are, and the same entries
 * always tell the same.
 */
#include "expiry_tally.h"

#include <stdlib.h>

#include "expiry.h"

static void thin(nc_expiry_tally *tally) {
  for (size_t i = 0; i < NC_TALLY_SAMPLES / 2; i++) tally->samples[i] = tally->samples[2 * i];
  tally->count = NC_TALLY_SAMPLES / 2;
  tally->stride *= 2;
}

static nacre_status add_moment(nc_expiry_tally *tally, nc_heap *heap, uint64_t moment_ms, nacre_error *err) {
  if (tally->samples == NULL) {
    tally->samples = nc_heap_alloc(heap, NC_TALLY_SAMPLES * sizeof *tally->samples);
    if (tally->samples == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
    tally->stride = 1;
  }
  if (moment_ms > tally->last_ms) tally->last_ms = moment_ms;
  if (tally->expiring++ % tally->stride != 0) return NACRE_OK;
  if (tally->count == NC_TALLY_SAMPLES) thin(tally);
  if ((tally->expiring - 1) % tally->stride == 0) tally->samples[tally->count++] = moment_ms;
  return NACRE_OK;
}

nacre_status nc_expiry_tally_note(nc_expiry_tally *tally, nc_heap *heap, const nc_entry *entry, nacre_error *err) {
  if (entry->kind == NC_KIND_DELETE) return NACRE_OK;
  uint64_t moment_ms = nc_entry_expires_ms(entry);
  if (moment_ms != 0) return add_moment(tally, heap, moment_ms, err);
  tally->lasting = true;
  return NACRE_OK;
}

static int ascending(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

uint64_t nc_expiry_tally_half(nc_expiry_tally *tally, uint64_t entries) {
  uint64_t half = (entries + 1) / 2;
  if (tally->expiring == 0 || tally->expiring < half) return 0;
  qsort(tally->samples, tally->count, sizeof *tally->samples, ascending);
  size_t at = (size_t)((half + tally->stride - 1) / tally->stride);
  return tally->samples[(at < tally->count ? at : tally->count) - 1];
}

uint64_t nc_expiry_tally_all(const nc_expiry_tally *tally) { return tally->lasting ? 0 : tally->last_ms; }

void nc_expiry_tally_deinit(nc_expiry_tally *tally, nc_heap *heap) {
  nc_heap_free(heap, tally->samples, tally->samples == NULL ? 0 : NC_TALLY_SAMPLES * sizeof *tally->samples);
}
