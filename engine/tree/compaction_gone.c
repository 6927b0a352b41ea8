/* SPDX-License-Identifier: Apache-2.0
 *
 * compaction_gone: segments of which nobody can see anything any more. They go by a commit alone, without being read:
 * those that range deletes hide altogether, and those whose puts have all expired and hide nothing.
 *
 * A segment that may refer to files of large values is read all the same, by a merge: only its entries tell which
 * files go with it.
 */
#include "compaction_pick.h"
#include "version_ranges.h"

static bool has_flags(const nc_segment_record *s, uint32_t flags) { return (s->flags & flags) != 0; }

/* Whether a reader at `sequence` sees newer range deletes over all that the segment holds. */
static bool hidden_at(nc_version *v, const nc_segment_record *s, uint64_t sequence) {
  nacre_slice at = s->smallest;
  for (;;) {
    nc_range_span span = {0};
    nacre_error ignored; /* what cannot be read hides nothing: readers are told, and merges */
    if (nc_version_span(v, at, sequence, &span, &ignored) != NACRE_OK) return false;
    if (span.hidden <= s->sequence_max) return false;
    if (span.upper_excluded.data == NULL || nc_segment_ends_before(s, span.upper_excluded)) return true;
    at = span.upper_excluded;
  }
}

/* Whoever reads now, or from now on, and all who have a snapshot in which the segment is seen. */
static bool hidden_from_all(nc_version *v, const nc_segment_record *s, const nc_audience *who) {
  if (v->ranges_segments == 0 || !hidden_at(v, s, NC_SEQUENCE_MAX)) return false;
  for (size_t i = 0; i < who->snapshot_count; i++) {
    if (who->snapshots[i] >= s->sequence_min && !hidden_at(v, s, who->snapshots[i])) return false;
  }
  return true;
}

/* What has expired is a delete, which must stay where it hides something older. */
static bool expired_for_all(const nc_version *v, size_t run, const nc_segment *s, const nc_audience *who) {
  const nc_segment_record *record = nc_segment_describe(s);
  if (record->all_expired_ms == 0 || record->all_expired_ms > who->moment_ms) return false;
  if (has_flags(record, NC_SEGMENT_HOLDS_RANGES)) return false;
  for (size_t r = run + 1; r < v->run_count; r++) {
    size_t first, count;
    nc_run_overlapped(&v->runs[r], s, &first, &count);
    if (count > 0) return false;
  }
  return true;
}

nacre_status nc_compaction_pick_gone(nc_version *v, const nc_audience *who, nc_compaction *ret_compaction,
                                     nacre_error *err) {
  NC_TRY(nc_compaction_begin(ret_compaction, v, err));
  for (size_t r = 0; r < v->run_count; r++) {
    for (size_t i = 0; i < v->runs[r].count; i++) {
      nc_segment *s = v->runs[r].segments[i];
      const nc_segment_record *record = nc_segment_describe(s);
      if (nc_segment_taken(s) != NULL || (who->large_values && !has_flags(record, NC_SEGMENT_NO_LARGE))) continue;
      if (hidden_from_all(v, record, who) || expired_for_all(v, r, s, who))
        nc_compaction_take(ret_compaction, &v->runs[r], s);
    }
  }
  ret_compaction->drops = ret_compaction->segment_count > 0;
  nc_compaction_mark(ret_compaction);
  return NACRE_OK;
}
