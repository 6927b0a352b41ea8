/* SPDX-License-Identifier: Apache-2.0
 *
 * cursor: what every cursor can do with the moves of its kind.
 */
#include "cursor.h"

nacre_status nc_cursor_seek_before(nc_cursor *c, nacre_slice key, uint64_t sequence, nacre_error *err) {
  NC_TRY(nc_cursor_seek(c, key, sequence, err));
  return c->valid ? nc_cursor_prev(c, err) : nc_cursor_last(c, err);
}

nacre_status nc_cursor_leave(nc_cursor *c, const nc_range_span *deleted, bool backward, nacre_error *err) {
  return backward ? nc_cursor_seek_before(c, deleted->lower, NC_SEQUENCE_MAX, err)
                  : nc_cursor_seek(c, deleted->upper_excluded, NC_SEQUENCE_MAX, err);
}
