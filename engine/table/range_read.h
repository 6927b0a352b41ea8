/* SPDX-License-Identifier: Apache-2.0
 *
 * range_read: what the range deletes of a view hide from a reader. [E2]
 */
#ifndef NC_RANGE_READ_H
#define NC_RANGE_READ_H

#include "table.h"

/* Entries of `key` with lower sequences than `*ret_hidden` are deleted for who reads at `sequence`; 0: none. */
NC_MUST_CHECK nacre_status nc_view_hidden(const nc_view *view, nacre_slice key, uint64_t sequence,
                                          uint64_t *ret_hidden, nacre_error *err);
/* The same, for all keys of the span around `key` at once. Its keys stay while the view does. */
NC_MUST_CHECK nacre_status nc_view_span(const nc_view *view, nacre_slice key, uint64_t sequence,
                                        nc_range_span *ret_span, nacre_error *err);

#endif
