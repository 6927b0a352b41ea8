/* SPDX-License-Identifier: Apache-2.0
 *
 * write_expect: whether the keys that a batch names are as it expects them (nacre_batch_expect).
 */
#ifndef NC_WRITE_EXPECT_H
#define NC_WRITE_EXPECT_H

#include "table.h"

/* The expectations of a batch (nc_batch_expects) can be checked against this table: its own snapshots, and live. */
NC_MUST_CHECK nacre_status nc_expects_validate(nacre_table *t, nacre_slice expects, nacre_error *err);
/* NC_E_EXPECT_CHANGED: one does not hold now. Under write_lock it goes on to hold until that is given back. */
NC_MUST_CHECK nacre_status nc_expects_check(nacre_table *t, nacre_slice expects, nacre_error *err);

#endif
