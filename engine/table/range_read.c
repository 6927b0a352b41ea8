/* SPDX-License-Identifier: Apache-2.0
 *
 * range_read: see range_read.h.
 *
 * A view without range deletes costs a look at one pointer a memtable and one number.
 */
#include "range_read.h"

#include "range_history.h"
#include "version_ranges.h"

nacre_status nc_view_hidden(const nc_view *view, nacre_slice key, uint64_t sequence, uint64_t *ret_hidden,
                            nacre_error *err) {
  uint64_t hidden = 0;
  for (size_t i = 0; i < view->memtable_count && hidden == 0; i++) { /* newer memtables say it first */
    const nc_range_history *h = nc_memtable_ranges(view->memtables[i]);
    hidden = nc_range_state_cover(nc_range_history_at(h, sequence), key);
  }
  if (hidden == 0) NC_TRY(nc_version_cover(view->version, key, sequence, &hidden, err));
  *ret_hidden = hidden;
  return NACRE_OK;
}

nacre_status nc_view_span(const nc_view *view, nacre_slice key, uint64_t sequence, nc_range_span *ret_span,
                          nacre_error *err) {
  nc_range_span span = {.hidden = 0};
  for (size_t i = 0; i < view->memtable_count; i++) {
    const nc_range_history *h = nc_memtable_ranges(view->memtables[i]);
    nc_range_state_span(nc_range_history_at(h, sequence), key, &span);
  }
  NC_TRY(nc_version_span(view->version, key, sequence, &span, err));
  *ret_span = span;
  return NACRE_OK;
}
