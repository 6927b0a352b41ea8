/* SPDX-License-Identifier: Apache-2.0
 *
 * value_set: the value files that a table's entries refer to, and how they go.
 *
 * Every large put has a file of its own, and every file one entry that refers to it, wherever that stands: in a
 * log and a memtable, then in one segment after the other. So a file is needed until that entry is dropped, by
 * the flush or the merge that finds that nobody sees it any more.
 *
 * Invariants
 *   1. What segments refer to is named in the manifest; what stands in live logs and memtables only, or in a bulk
 *      load under way, is not.
 *   2. A file goes after the commit that lets go of its entry is durable, and when no reader can come to the
 *      entry any more: when all views from before that commit are gone (a grave). What the entry was dropped from
 *      would not do: an older view has the same entry from what that was made of.
 * The set is under the table's commit_lock.
 */
#ifndef NC_VALUE_SET_H
#define NC_VALUE_SET_H

#include "entry.h"
#include "io.h"
#include "number_index.h"
#include "value_file.h"

typedef struct nc_value_item {
  nc_value_name name;
  bool named;          /* in the manifest */
  bool loading;        /* of a bulk load under way: nothing refers to it before that is committed */
  uint64_t failed_log; /* a write failed that may stand in this log all the same; 0: none */
} nc_value_item;

/* Zeroed: empty. */
typedef struct nc_value_set {
  nc_value_item *list;
  size_t count, capacity;
  nc_number_index by_number;
  size_t failed; /* items with a failed log */
} nc_value_set;

void nc_value_set_deinit(nc_value_set *s);
/* NULL: not there. */
nc_value_item *nc_value_set_find(const nc_value_set *s, uint64_t number);
/* Does nothing when the number is there. */
NC_MUST_CHECK nacre_status nc_value_set_add(nc_value_set *s, const nc_value_name *name, bool named,
                                            nacre_error *err);
void nc_value_set_remove(nc_value_set *s, uint64_t number);

/* What a flush or a merge keeps and drops of large puts. Zeroed: nothing. */
typedef struct nc_value_changes {
  bool noting_kept; /* a flush: what it keeps comes to be named */
  nc_value_name *kept;
  size_t kept_count, kept_capacity;
  uint64_t *dropped; /* numbers */
  size_t dropped_count, dropped_capacity;
} nc_value_changes;

/* Entries of other kinds are passed over. */
NC_MUST_CHECK nacre_status nc_value_changes_keep(nc_value_changes *c, const nc_entry *entry,
                                                 nacre_error *err);
NC_MUST_CHECK nacre_status nc_value_changes_drop(nc_value_changes *c, const nc_entry *entry,
                                                 nacre_error *err);
void nc_value_changes_deinit(nc_value_changes *c);

/* Files that go when the last count does. Each view of the table has one: it is filled, and linked to the next
 * view's, by the commit that replaces the view. A linked one keeps the next, so it goes after all before it. */
typedef struct nc_value_grave nc_value_grave;
/* Empty; begins with one count. */
NC_MUST_CHECK nacre_status nc_value_grave_create(nc_value_grave **ret_grave, nacre_error *err);
/* Takes over the list. Once at most. */
void nc_value_grave_fill(nc_value_grave *g, const nc_dir *dir, uint64_t *numbers, size_t count);
void nc_value_grave_link(nc_value_grave *g, nc_value_grave *next); /* adds a count to `next`; once at most */
void nc_value_grave_unref(nc_value_grave *g);                      /* NULL is harmless */

#endif
