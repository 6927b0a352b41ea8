/* SPDX-License-Identifier: Apache-2.0
 *
 * large_write: the files of the large values of one call, before it enters the writers' queue; or of a bulk load,
 * before its commit.
 *
 * A reference must never outlive its file: every file is synced, and its name durable, before the frame that
 * refers to it is appended, whether the write asked for a sync or not. So the files are made beside other
 * writers, without a lock but for a moment.
 */
#ifndef NC_LARGE_WRITE_H
#define NC_LARGE_WRITE_H

#include "table.h"
#include "write_group.h"

typedef struct nc_large_write {
  nacre_table *table;
  nc_making making; /* under which keys */
  bool begun;
  nc_value_name *made;
  size_t count, capacity;
} nc_large_write;

/* Whether a put has a file of its own in this table. */
bool nc_value_is_large(const nacre_table *t, size_t key_size, size_t value_size);
void nc_large_write_init(nc_large_write *w, nacre_table *t);
/* Writes a value's file; the reference takes the value's place. `expires_ms` 0: never. */
NC_MUST_CHECK nacre_status nc_large_write_value(nc_large_write *w, nacre_slice value, uint64_t expires_ms,
                                                uint8_t ret_reference[NC_VALUE_REFERENCE_BYTES_MAX],
                                                size_t *ret_size, nacre_error *err);
/* Makes the names durable and the files part of the table: from here on they may be referred to. */
NC_MUST_CHECK nacre_status nc_large_write_settle(nc_large_write *w, nacre_error *err);
/* Of a bulk load, which may rest for long: a value's file, kept for its commit; between two calls it holds up no
 * change of keys. The name is not durable yet. */
NC_MUST_CHECK nacre_status nc_large_write_load(nc_large_write *w, nacre_slice value, uint64_t expires_ms,
                                               uint8_t ret_reference[NC_VALUE_REFERENCE_BYTES_MAX],
                                               size_t *ret_size, nacre_error *err);
/* Its end, when its commit is durable, or nobody knows whether it is: the files stay. */
void nc_large_write_leave_files(nc_large_write *w);
/* `logged`: how it ended; NULL: it came to no log. Files that nothing refers to go: at once or, where a
 * failed log may hold the reference all the same, with that log. */
void nc_large_write_end(nc_large_write *w, const nc_write *logged);

#endif
