/* SPDX-License-Identifier: Apache-2.0
 *
 * read: what point reads of one key (read.c) and of many (read_many.c) share.
 */
#ifndef NC_READ_H
#define NC_READ_H

#include "table.h"

/* Lends the caller what was found for a key, if it is a put that is seen; takes over `pin`. */
NC_MUST_CHECK nacre_status nc_read_lend(nacre_table *t, const nacre_read_options *options, bool found,
                                        nc_entry *entry, nc_pin *pin, nacre_value *ret_value,
                                        nacre_error *err);
/* The same for what a view has of a key at `sequence`. */
NC_MUST_CHECK nacre_status nc_read_one(nacre_table *t, const nc_reading *reading, nacre_slice key,
                                       const nacre_read_options *options, nacre_value *ret_value,
                                       nacre_error *err);

#endif
