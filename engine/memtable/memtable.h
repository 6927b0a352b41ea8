/* SPDX-License-Identifier: Apache-2.0
 *
 * memtable: the newest entries, sorted, in private memory, until they become a segment.
 *
 * A tree (memtree.h) over an arena, and a filter that answers most reads of keys that are not there. One thread
 * adds at a time (the table's write lock); any number read meanwhile, without a lock. A read at a sequence, and a
 * cursor's move, is sure to meet what was added before the reader learned of that sequence; what is added later
 * may be met or not.
 */
#ifndef NC_MEMTABLE_H
#define NC_MEMTABLE_H

#include "cursor.h"
#include "env.h"
#include "range_history.h"

typedef struct nc_memtable nc_memtable;

/* `table` is whom values are lent on behalf of; what the memtable takes is added to `budget` while it lives.
 * Counted: begins with one. */
NC_MUST_CHECK nacre_status nc_memtable_create(nc_env *env, nacre_table *table, size_t chunk_bytes,
                                              atomic_uint_fast64_t *budget, nc_memtable **ret_memtable,
                                              nacre_error *err);
nc_pin *nc_memtable_pin(nc_memtable *m);

/* Makes sure that `count` entries of together `bytes` of keys and values can be added without allocating, so
 * that what has been logged cannot fail to be inserted. */
NC_MUST_CHECK nacre_status nc_memtable_reserve(nc_memtable *m, size_t count, size_t bytes, nacre_error *err);
/* The same for the range deletes among `operations` (format/batch.h), the first of which has `first_sequence`:
 * nc_memtable_add of any of them shows them all. A reserve that is not used is dropped by the next. */
NC_MUST_CHECK nacre_status nc_memtable_reserve_ranges(nc_memtable *m, nacre_slice operations,
                                                      uint64_t first_sequence, nacre_error *err);
/* Adds one reserved entry. Its sequence must be new to the memtable. */
void nc_memtable_add(nc_memtable *m, const nc_entry *entry);

/* The newest version of `key` at or before `sequence`; false when there is none. The entry stays while the
 * memtable does. */
bool nc_memtable_get(const nc_memtable *m, nacre_slice key, uint64_t sequence, nc_entry *ret_entry);
/* Its range deletes, which no cursor and no nc_memtable_get tells of. */
const nc_range_history *nc_memtable_ranges(const nc_memtable *m);
size_t nc_memtable_bytes(const nc_memtable *m); /* taken from private memory */
uint64_t nc_memtable_entries(const nc_memtable *m);

/* The cursor keeps the memtable. */
NC_MUST_CHECK nacre_status nc_memtable_cursor(nc_memtable *m, nc_cursor **ret_cursor, nacre_error *err);

#endif
