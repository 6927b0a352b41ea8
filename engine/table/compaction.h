/* SPDX-License-Identifier: Apache-2.0
 *
 * compaction: doing what compaction_pick.h has chosen.
 */
#ifndef NC_COMPACTION_H
#define NC_COMPACTION_H

#include "compaction_pick.h"
#include "table.h"

/* Merges or moves what was chosen, and commits it. Needs no lock, and holds none while it reads and writes. What
 * was chosen stays taken. `stopping`: NACRE_CANCELLED once it is set; NULL: never. */
NC_MUST_CHECK nacre_status nc_compaction_run(nacre_table *t, const nc_compaction *c,
                                             const atomic_bool *stopping, nacre_error *err);

#endif
