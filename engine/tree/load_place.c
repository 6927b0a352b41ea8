/* SPDX-License-Identifier: Apache-2.0
 *
 * load_place: see load_place.h.
 */
#include "load_place.h"

static bool run_overlaps(const nc_run *run, nc_segment *const *segments, size_t count) {
  for (size_t i = 0; i < count; i++) {
    size_t first, overlapped;
    nc_run_overlapped(run, segments[i], &first, &overlapped);
    if (overlapped > 0) return true;
  }
  return false;
}

bool nc_load_overlaps(const nc_version *v, nc_segment *const *segments, size_t count, nacre_slice key) {
  for (size_t i = 0; i < v->run_count; i++) {
    if (key.data != NULL && nc_run_find(&v->runs[i], key) != NULL) return true;
    if (run_overlaps(&v->runs[i], segments, count)) return true;
  }
  return false;
}

/* Whether a segment reaches into what is being merged, all of it taken as one. */
static bool reaches_into_merges(const nc_version *v, nc_segment *const *segments, size_t count) {
  const nc_segment *lowest = NULL, *highest = NULL;
  for (size_t i = 0; i < v->segment_count; i++) {
    const nc_segment *s = v->segments[i];
    if (nc_segment_taken(s) == NULL) continue;
    if (lowest == NULL ||
        nc_slice_compare(nc_segment_describe(s)->smallest, nc_segment_describe(lowest)->smallest) < 0)
      lowest = s;
    if (highest == NULL ||
        nc_slice_compare(nc_segment_describe(s)->largest, nc_segment_describe(highest)->largest) > 0)
      highest = s;
  }
  for (size_t i = 0; lowest != NULL && i < count; i++) {
    const nc_segment_record *record = nc_segment_describe(segments[i]);
    if (!nc_segment_ends_before(record, nc_segment_describe(lowest)->smallest) &&
        nc_slice_compare(record->smallest, nc_segment_describe(highest)->largest) <= 0)
      return true;
  }
  return false;
}

/* How many runs, from the newest on, have nothing where the segments lie. */
static size_t runs_to_pass(const nc_version *v, nc_segment *const *segments, size_t count) {
  size_t passed = 0;
  while (passed < v->run_count && !run_overlaps(&v->runs[passed], segments, count)) passed++;
  return passed;
}

/* The runs that a segment on this level has passed: those above it and, since it joins that, its own. */
static size_t runs_down_to(const nc_levels *l, uint32_t level) {
  size_t runs = l->young_count;
  for (uint32_t i = 1; i <= level; i++) runs += l->runs[i] != NULL;
  return runs;
}

nc_place nc_load_place(const nc_version *v, const nc_policy *policy, nc_segment *const *segments,
                       size_t count, uint64_t new_run) {
  nc_levels l;
  nc_levels_of(v, policy, &l);
  uint32_t lowest = reaches_into_merges(v, segments, count) ? 0 : NC_LEVEL_BOTTOM;
  size_t passed = runs_to_pass(v, segments, count);
  for (uint32_t level = lowest; level >= 1; level--) {
    size_t down_to = runs_down_to(&l, level);
    if (down_to > passed || (l.runs[level] == NULL && level < l.base)) continue;
    if (l.runs[level] != NULL) return (nc_place){l.runs[level]->id, level};
    uint64_t above = down_to > 0 ? v->runs[down_to - 1].id : new_run + 1;
    uint64_t below = down_to < v->run_count ? v->runs[down_to].id : 0;
    if (above - below >= 2) return (nc_place){below + (above - below) / 2, level};
  }
  return (nc_place){.run = new_run};
}
