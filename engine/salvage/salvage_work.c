/* SPDX-License-Identifier: Apache-2.0
 *
 * salvage_work: what is found is noted, how far it is, room to read into, and how stores are opened.
 */
#include "salvage.h"

/* ---- findings ------------------------------------------------------------------------------------------ */

nacre_status nc_salvage_note(nc_salvage *s, const nacre_error *fault, const nacre_fault_extent *extent,
                             nacre_error *err) {
  if (fault->status == NACRE_NO_MEMORY) return nc_fail_with(err, fault);
  if (nc_faults_have(s->report.faults, fault)) return NACRE_OK;
  NC_TRY(nc_faults_add(&s->report.faults, fault, extent, err));
  s->report.fault_count = nacre_faults_count(s->report.faults);
  return NACRE_OK;
}

void nc_salvage_progress(nc_salvage *s, uint64_t bytes) {
  s->bytes_done += bytes;
  if (s->bytes_done > s->bytes_total) s->bytes_total = s->bytes_done;
  if (s->options->on_progress != NULL)
    s->options->on_progress(s->options->progress_arg, s->bytes_done, s->bytes_total);
}

nacre_status nc_salvage_room(nc_heap *heap, uint8_t **buffer, size_t *capacity, size_t need,
                             nacre_error *err) {
  if (*buffer != NULL && need <= *capacity) return NACRE_OK;
  uint8_t *grown = nc_heap_alloc(heap, need);
  if (grown == NULL) return nc_fail(err, NC_E_NO_MEMORY, "%zu bytes", need);
  nc_heap_free(heap, *buffer, *capacity);
  *buffer = grown;
  *capacity = need;
  return NACRE_OK;
}

/* ---- stores -------------------------------------------------------------------------------------------- */

nacre_store_options nc_salvage_store_options(const nc_salvage *s) {
  nacre_store_options options = *s->source;
  options.create = options.must_not_exist = options.read_only = false;
  options.workers = UINT32_MAX;
  options.cache_bytes = NACRE_NONE; /* everything is read once */
  options.memory_bytes_max = 0;
  options.on_event = NULL;
  return options;
}
