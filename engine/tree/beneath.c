/* SPDX-License-Identifier: Apache-2.0
 *
 * beneath: see beneath.h.
 */
#include "beneath.h"

nc_beneath nc_beneath_of(const nc_version *v, uint64_t run) {
  size_t first = 0;
  while (first < v->run_count && v->runs[first].id >= run) first++;
  return (nc_beneath){.runs = v->runs + first, .run_count = v->run_count - first};
}

bool nc_beneath_holds(const nc_beneath *b, nacre_slice key) {
  for (size_t i = 0; i < b->run_count; i++) {
    if (nc_run_find(&b->runs[i], key) != NULL) return true;
  }
  return false;
}

bool nc_beneath_overlaps(const nc_beneath *b, nacre_slice from, nacre_slice to_excluded) {
  for (size_t i = 0; i < b->run_count; i++) {
    const nc_run *run = &b->runs[i];
    size_t at = nc_run_reaching(run, from);
    if (at == run->count) continue;
    if (nc_slice_compare(nc_segment_describe(run->segments[at])->smallest, to_excluded) < 0) return true;
  }
  return false;
}
