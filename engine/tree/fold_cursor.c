/* SPDX-License-Identifier: Apache-2.0
 *
 * fold_cursor: see fold_cursor.h.
 */
#include "fold_cursor.h"

#include "expiry.h"

nacre_status nc_fold_begin(nc_fold *f, nc_cursor *from, const uint64_t *snapshots, size_t snapshot_count,
                           const nc_beneath *beneath, nc_heap *heap, nacre_error *err) {
  *f = (nc_fold){.from = from,
                 .snapshots = snapshots,
                 .snapshot_count = snapshot_count,
                 .beneath = beneath,
                 .heap = heap};
  f->key_capacity = 256;
  f->key = nc_heap_alloc(heap, f->key_capacity);
  return f->key == NULL ? nc_fail(err, NC_E_NO_MEMORY, NULL) : NACRE_OK;
}

void nc_fold_end(nc_fold *f) {
  nc_heap_free(f->heap, f->key, f->key_capacity);
  f->key = NULL;
  f->key_capacity = 0;
}

/* Whether everybody who could see the entry sees a range delete over it. */
static bool deleted(const nc_fold *f, const nc_entry *entry, size_t stretch) {
  if (f->ranges == NULL) return false;
  uint64_t end = stretch < f->snapshot_count ? f->snapshots[stretch] : NC_SEQUENCE_MAX;
  return nc_range_set_cover(f->ranges, entry->key, end) > entry->sequence;
}

static nacre_status remember_key(nc_fold *f, nacre_slice key, nacre_error *err) {
  if (key.size > f->key_capacity) {
    uint8_t *grown = nc_heap_grow(f->heap, f->key, f->key_capacity, key.size);
    if (grown == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
    f->key = grown;
    f->key_capacity = key.size;
  }
  if (key.size > 0) memcpy(f->key, key.data, key.size);
  f->key_size = key.size;
  f->has_key = true;
  f->kept = false;
  return NACRE_OK;
}

/* An older version, which may lie beneath, must not come to light. What the cursor presents is its own copy of an
 * entry's head. */
static nacre_status make_delete(nc_fold *f, nacre_error *err) {
  if (!f->again) NC_TRY(nc_value_changes_drop(f->values, &f->from->entry, err));
  f->from->entry.kind = NC_KIND_DELETE;
  f->from->entry.value = nc_slice("", 0);
  return NACRE_OK;
}

/* Whether anybody can still see the entry that `from` stands at. */
static nacre_status keep(nc_fold *f, bool *ret_keep, bool *ret_new_key, nacre_error *err) {
  const nc_entry *entry = &f->from->entry;
  size_t stretch = nc_stretch_of(f->snapshots, f->snapshot_count, entry->sequence);
  bool same = f->has_key && nc_slice_equal(nc_slice(f->key, f->key_size), entry->key);
  *ret_keep = false;
  if (f->has_key &&
      nc_entry_compare(nc_slice(f->key, f->key_size), f->sequence, entry->key, entry->sequence) > 0) {
    return nc_fail(err, NC_E_SEGMENT_ORDER, "an entry comes after one that it belongs before");
  }
  f->again = same && f->sequence == entry->sequence;
  f->sequence = entry->sequence;
  if (same && stretch == f->stretch) return NACRE_OK; /* a newer version hides it from everybody */
  if (!same) NC_TRY(remember_key(f, entry->key, err));
  f->stretch = stretch;
  if (nc_entry_expired(entry, f->expiry_moment_ms)) NC_TRY(make_delete(f, err));
  bool nothing_to_hide = entry->kind == NC_KIND_DELETE && stretch == 0 && f->beneath != NULL &&
                         !nc_beneath_holds(f->beneath, entry->key);
  if (nothing_to_hide || deleted(f, entry, stretch)) return NACRE_OK;
  *ret_keep = true;
  *ret_new_key = !f->kept;
  f->kept = true;
  return NACRE_OK;
}

bool nc_fold_ended(const nc_fold *f) {
  return !f->from->valid ||
         (f->upper_excluded.data != NULL && nc_slice_compare(f->from->entry.key, f->upper_excluded) >= 0);
}

/* Entries behind the end are not looked at: what drops out of them is for whoever folds them to say. */
nacre_status nc_fold_settle(nc_fold *f, bool *ret_new_key, nacre_error *err) {
  while (!nc_fold_ended(f)) {
    bool kept;
    NC_TRY(keep(f, &kept, ret_new_key, err));
    if (kept) return NACRE_OK;
    if (!f->again) NC_TRY(nc_value_changes_drop(f->values, &f->from->entry, err));
    NC_TRY(nc_cursor_next(f->from, err));
  }
  return NACRE_OK;
}
