/* SPDX-License-Identifier: Apache-2.0
 *
 * orphans: files in a table's directory that its manifest does not name.
 *
 * A crash leaves them behind, and then they mean nothing. But one that knows of a later state than the
 * manifest means that the manifest was damaged or put back: the table is refused, and nothing is deleted.
 */
#ifndef NC_ORPHANS_H
#define NC_ORPHANS_H

#include "table.h"

typedef struct nc_orphan {
  struct nc_orphan *next;
  char name[NC_FILE_NAME_BYTES];
  uint64_t number;
  nc_file_type type;
  bool spared; /* what it is could not be found out: it stays */
} nc_orphan;

typedef struct nc_orphans {
  nc_orphan *list;
  uint64_t highest; /* number of any file, named or not */
} nc_orphans;

/* Lists them, and refuses those that know too much. `ret_orphans` is for nc_orphans_free, also after a
 * failure. */
NC_MUST_CHECK nacre_status nc_orphans_find(nacre_table *t, nc_orphans *ret_orphans, nacre_error *err);
void nc_orphans_remove(nacre_table *t, const nc_orphans *orphans);
/* Removes what interrupted rewraps have left of copies (crypto/rewrap.h). */
void nc_orphans_sweep_copies(nacre_table *t);
void nc_orphans_free(nc_orphans *orphans);

#endif
