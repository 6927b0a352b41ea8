/* SPDX-License-Identifier: Apache-2.0
 *
 * range_fold: see range_fold.h.
 */
#include "range_fold.h"

/* Keeps the highest sequence of each stretch; returns how many. */
static size_t fold_sequences(const nc_range_fragment *f, const nc_range_fold *fold, uint64_t *to) {
  size_t kept = 0, last = SIZE_MAX;
  bool hides = fold->beneath == NULL || nc_beneath_overlaps(fold->beneath, f->from, f->to);
  for (size_t i = 0; i < f->count; i++) {
    size_t stretch = nc_stretch_of(fold->snapshots, fold->snapshot_count, f->sequences[i]);
    if (stretch == last || (!hides && stretch == 0)) continue;
    to[kept++] = f->sequences[i];
    last = stretch;
  }
  return kept;
}

static bool clip(const nc_range_fold *fold, nc_range_fragment *f) {
  if (fold->lower.data != NULL && nc_slice_compare(f->from, fold->lower) < 0) f->from = fold->lower;
  if (fold->upper_excluded.data != NULL && nc_slice_compare(f->to, fold->upper_excluded) > 0)
    f->to = fold->upper_excluded;
  return nc_slice_compare(f->from, f->to) < 0;
}

static bool continues(const nc_range_fragment *last, const nc_range_fragment *f) {
  return nc_slice_equal(last->to, f->from) && last->count == f->count &&
         memcmp(last->sequences, f->sequences, f->count * sizeof *f->sequences) == 0;
}

nacre_status nc_range_set_fold(nc_heap *heap, const nc_range_set *set, const nc_range_fold *fold,
                               nc_range_set **ret_set, nacre_error *err) {
  *ret_set = NULL;
  if (set == NULL) return NACRE_OK;
  nc_range_set *folded = nc_range_set_create(heap, set->count, set->sequences, err);
  if (folded == NULL) return NACRE_NO_MEMORY;
  uint64_t *next = (uint64_t *)(void *)&folded->fragments[set->count];
  for (size_t i = 0; i < set->count; i++) {
    nc_range_fragment f = set->fragments[i];
    if (!clip(fold, &f)) continue;
    f.count = fold_sequences(&f, fold, next);
    f.sequences = next;
    if (f.count == 0) continue;
    if (folded->count > 0 && continues(&folded->fragments[folded->count - 1], &f)) {
      folded->fragments[folded->count - 1].to = f.to;
      continue;
    }
    folded->fragments[folded->count++] = f;
    folded->sequences += f.count;
    next += f.count;
  }
  if (folded->count > 0) {
    *ret_set = folded;
  } else {
    nc_range_set_free(folded);
  }
  return NACRE_OK;
}
