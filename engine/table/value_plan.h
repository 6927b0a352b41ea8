/* SPDX-License-Identifier: Apache-2.0
 *
 * value_plan: what a change of files means for the files of large values. It is made before the change is made
 * durable, so that nothing of it can fail afterwards. All need commit_lock.
 */
#ifndef NC_VALUE_PLAN_H
#define NC_VALUE_PLAN_H

#include "table.h"

typedef struct nc_value_plan {
  nc_value_name *add; /* come to be named in the manifest */
  size_t add_count;
  uint64_t *remove; /* are named, and are not any more; ascending, as `dead` */
  size_t remove_count;
  uint64_t *dead; /* nothing refers to them once the change is durable: named or not */
  size_t dead_count;
  uint64_t *failures; /* of writes that failed, and whose logs the change drops: nobody can come to them */
  size_t failure_count;
} nc_value_plan;

/* `*plan` is for nc_value_plan_deinit, also after a failure. */
NC_MUST_CHECK nacre_status nc_value_plan_make(nacre_table *t, const nc_change *change, nc_value_plan *plan,
                                              nacre_error *err);
void nc_value_plan_deinit(nc_value_plan *plan);
/* What a whole manifest names after the plan (NULL: as it is); to be freed. */
NC_MUST_CHECK nacre_status nc_value_plan_named(const nacre_table *t, const nc_value_plan *plan,
                                               nc_value_name **ret_names, size_t *ret_count,
                                               nacre_error *err);
/* The change is durable: the set follows, and the files go with the view that is still shown. */
void nc_value_plan_carry_out(nacre_table *t, const nc_change *change, nc_value_plan *plan);
/* Afterwards, without a lock. */
void nc_value_plan_remove_failures(nacre_table *t, const nc_value_plan *plan);

#endif
