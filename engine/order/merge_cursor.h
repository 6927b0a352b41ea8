/* SPDX-License-Identifier: Apache-2.0
 *
 * merge_cursor: several cursors as one, in entry order.
 */
#ifndef NC_MERGE_CURSOR_H
#define NC_MERGE_CURSOR_H

#include "cursor.h"

/* Takes over the children (and closes them, on failure too). */
NC_MUST_CHECK nacre_status nc_merge_cursor(nc_cursor *const *children, size_t count, nc_cursor **ret_cursor,
                                           nacre_error *err);

#endif
