/* SPDX-License-Identifier: Apache-2.0
 *
 * version_ranges: see version_ranges.h.
 */
#include "version_ranges.h"

#include "segment_file.h"

struct nc_version_ranges {
  nc_heap *heap;
  size_t bytes;
  nc_range_set *set;    /* of the segments that could be read */
  size_t damaged_count; /* those that could not; the version keeps them */
  nc_segment *damaged[];
};

void nc_version_ranges_free(nc_version_ranges *r) {
  if (r == NULL) return;
  nc_range_set_free(r->set);
  nc_heap_free(r->heap, r, r->bytes);
}

static bool is_damage(nacre_status status) { return status >= NACRE_CORRUPT && status <= NACRE_ROLLED_BACK; }

/* Damage is set aside; what may pass, as a lack of memory, ends it. */
static nacre_status gather(const nc_version *v, nc_version_ranges *r, const nc_range_set **sets,
                           size_t *count, nacre_error *err) {
  for (size_t i = 0; i < v->segment_count; i++) {
    nc_segment *s = v->segments[i];
    if ((nc_segment_describe(s)->flags & NC_SEGMENT_HOLDS_RANGES) == 0) continue;
    nacre_status status = nc_segment_ranges(s, &sets[*count], err);
    if (status == NACRE_OK) {
      (*count)++;
    } else if (is_damage(status)) {
      r->damaged[r->damaged_count++] = s;
    } else {
      return status;
    }
  }
  return NACRE_OK;
}

static nacre_status make(const nc_version *v, nc_heap *heap, nc_version_ranges **ret_ranges,
                         nacre_error *err) {
  size_t bytes = sizeof(nc_version_ranges) + v->ranges_segments * sizeof(nc_segment *), count = 0;
  const nc_range_set **sets = nc_heap_alloc(heap, v->ranges_segments * sizeof *sets);
  nc_version_ranges *r = nc_heap_alloc(heap, bytes);
  nacre_status status = sets == NULL || r == NULL ? nc_fail(err, NC_E_NO_MEMORY, NULL) : NACRE_OK;
  if (r != NULL) r->heap = heap, r->bytes = bytes;
  if (status == NACRE_OK) status = gather(v, r, sets, &count, err);
  if (status == NACRE_OK) status = nc_range_set_merge(heap, sets, count, false, &r->set, err);
  nc_heap_free(heap, sets, v->ranges_segments * sizeof *sets);
  if (status == NACRE_OK) {
    *ret_ranges = r;
  } else {
    nc_version_ranges_free(r);
  }
  return status;
}

/* Of several threads that make it at once, the first one's stays. */
static nacre_status ranges_of(nc_version *v, const nc_version_ranges **ret_ranges, nacre_error *err) {
  nc_version_ranges *r = atomic_load_explicit(&v->ranges, memory_order_acquire), *present = NULL;
  if (r == NULL) {
    NC_TRY(make(v, v->segments[0]->home->shared->env->heap, &r, err));
    if (!atomic_compare_exchange_strong(&v->ranges, &present, r)) {
      nc_version_ranges_free(r);
      r = present;
    }
  }
  *ret_ranges = r;
  return NACRE_OK;
}

static bool reaches(const nc_segment_record *s, nacre_slice key) {
  return nc_slice_compare(s->smallest, key) <= 0 && !nc_segment_ends_before(s, key);
}

/* Damage is looked at anew, so that the error is the caller's own. */
static nacre_status check_damage(const nc_version_ranges *r, nacre_slice key, nacre_error *err) {
  for (size_t i = 0; i < r->damaged_count; i++) {
    const nc_range_set *set;
    if (!reaches(nc_segment_describe(r->damaged[i]), key)) continue;
    NC_TRY(nc_segment_ranges(r->damaged[i], &set, err));
    return nc_fail(err, NC_E_SEGMENT_PROPERTIES, "its range deletes could not be read before");
  }
  return NACRE_OK;
}

nacre_status nc_version_cover(nc_version *v, nacre_slice key, uint64_t sequence, uint64_t *ret_cover,
                              nacre_error *err) {
  *ret_cover = 0;
  if (v->ranges_segments == 0) return NACRE_OK;
  const nc_version_ranges *r;
  NC_TRY(ranges_of(v, &r, err));
  if (r->damaged_count > 0) NC_TRY(check_damage(r, key, err));
  *ret_cover = nc_range_set_cover(r->set, key, sequence);
  return NACRE_OK;
}

/* No span goes on where damage lies. */
nacre_status nc_version_span(nc_version *v, nacre_slice key, uint64_t sequence, nc_range_span *span,
                             nacre_error *err) {
  if (v->ranges_segments == 0) return NACRE_OK;
  const nc_version_ranges *r;
  NC_TRY(ranges_of(v, &r, err));
  if (r->damaged_count > 0) NC_TRY(check_damage(r, key, err));
  nacre_slice unbounded = {NULL, 0};
  nc_range_set_span(r->set, key, sequence, span);
  for (size_t i = 0; i < r->damaged_count; i++) {
    const nc_segment_record *s = nc_segment_describe(r->damaged[i]);
    bool behind = nc_slice_compare(key, s->smallest) >= 0;
    nc_range_span_narrow(span, behind ? s->largest : unbounded, behind ? unbounded : s->smallest);
  }
  return NACRE_OK;
}
