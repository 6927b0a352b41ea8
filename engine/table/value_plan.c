/* SPDX-License-Identifier: Apache-2.0
 *
 * value_plan: see value_plan.h.
 */
#include "value_plan.h"

#include <stdlib.h>

#include "value_writer.h"

void nc_value_plan_deinit(nc_value_plan *plan) {
  free(plan->add);
  free(plan->remove);
  free(plan->dead);
  free(plan->failures);
  *plan = (nc_value_plan){0};
}

/* ---- what a flush or a merge keeps and drops ----------------------------------------------------------- */

static nacre_status plan_kept(nacre_table *t, const nc_value_changes *changes, nc_value_plan *plan,
                              nacre_error *err) {
  plan->add = calloc(changes->kept_count + 1, sizeof *plan->add);
  if (plan->add == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  for (size_t i = 0; i < changes->kept_count; i++) {
    const nc_value_name *name = &changes->kept[i];
    NC_TRY(nc_value_set_add(&t->values, name, false, err)); /* it is there, unless memory was short once */
    if (!nc_value_set_find(&t->values, name->number)->named) plan->add[plan->add_count++] = *name;
  }
  return NACRE_OK;
}

static int by_value(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

/* Sorted, and each number once: an edit that removed a file twice would contradict itself, and two entries may have
 * been made, with malice, to refer to one file. */
static void make_unique(uint64_t *numbers, size_t *count) {
  size_t kept = 0;
  if (*count > 1) qsort(numbers, *count, sizeof *numbers, by_value);
  for (size_t i = 0; i < *count; i++) {
    if (kept == 0 || numbers[i] != numbers[kept - 1]) numbers[kept++] = numbers[i];
  }
  *count = kept;
}

/* What a flush drops and the manifest names stands in a segment, too, which the same entry keeps alive. */
static nacre_status plan_dropped(nacre_table *t, const nc_change *change, nc_value_plan *plan,
                                 nacre_error *err) {
  const nc_value_changes *changes = change->values;
  plan->remove = calloc(changes->dropped_count + 1, sizeof *plan->remove);
  plan->dead = calloc(changes->dropped_count + 1, sizeof *plan->dead);
  if (plan->remove == NULL || plan->dead == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  for (size_t i = 0; i < changes->dropped_count; i++) {
    const nc_value_item *item = nc_value_set_find(&t->values, changes->dropped[i]);
    if (item == NULL || (change->flushes_oldest && item->named)) continue;
    plan->dead[plan->dead_count++] = item->name.number;
    if (item->named) plan->remove[plan->remove_count++] = item->name.number;
  }
  make_unique(plan->dead, &plan->dead_count);
  make_unique(plan->remove, &plan->remove_count);
  return NACRE_OK;
}

/* ---- what failed writes have left ---------------------------------------------------------------------- */

static bool failed_before(const nc_value_item *item, uint64_t drop_logs_to) {
  return item->failed_log != 0 && item->failed_log <= drop_logs_to;
}

static nacre_status plan_failures(nacre_table *t, const nc_change *change, nc_value_plan *plan,
                                  nacre_error *err) {
  if (t->values.failed == 0 || change->drop_logs_to == 0) return NACRE_OK;
  plan->failures = calloc(t->values.failed, sizeof *plan->failures);
  return plan->failures != NULL ? NACRE_OK : nc_fail(err, NC_E_NO_MEMORY, NULL);
}

static void carry_out_failures(nacre_table *t, const nc_change *change, nc_value_plan *plan) {
  if (plan->failures == NULL) return;
  for (size_t i = t->values.count; i > 0; i--) { /* the last takes the place of what is removed */
    uint64_t number = t->values.list[i - 1].name.number;
    if (!failed_before(&t->values.list[i - 1], change->drop_logs_to)) continue;
    plan->failures[plan->failure_count++] = number;
    nc_value_set_remove(&t->values, number);
  }
}

/* ---- plans --------------------------------------------------------------------------------------------- */

nacre_status nc_value_plan_make(nacre_table *t, const nc_change *change, nc_value_plan *plan,
                                nacre_error *err) {
  *plan = (nc_value_plan){0};
  NC_TRY(plan_failures(t, change, plan, err));
  if (change->values == NULL) return NACRE_OK;
  if (change->values->kept_count > 0) NC_TRY(plan_kept(t, change->values, plan, err));
  return change->values->dropped_count > 0 ? plan_dropped(t, change, plan, err) : NACRE_OK;
}

nacre_status nc_value_plan_named(const nacre_table *t, const nc_value_plan *plan, nc_value_name **ret_names,
                                 size_t *ret_count, nacre_error *err) {
  static const nc_value_plan none = {0};
  if (plan == NULL) plan = &none;
  nc_value_name *names = calloc(t->values.count + 1, sizeof *names);
  size_t count = 0;
  if (names == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  for (size_t i = 0; i < t->values.count; i++) {
    const nc_value_item *item = &t->values.list[i];
    bool removed = plan->remove_count > 0 && bsearch(&item->name.number, plan->remove, plan->remove_count,
                                                     sizeof *plan->remove, by_value) != NULL;
    if (item->named && !removed) names[count++] = item->name;
  }
  for (size_t i = 0; i < plan->add_count; i++)
    names[count++] = plan->add[i]; /* each is in the set, unnamed */
  *ret_names = names;
  *ret_count = count;
  return NACRE_OK;
}

void nc_value_plan_carry_out(nacre_table *t, const nc_change *change, nc_value_plan *plan) {
  carry_out_failures(t, change, plan);
  for (size_t i = 0; i < plan->add_count; i++) {
    nc_value_item *item = nc_value_set_find(&t->values, plan->add[i].number);
    item->named = true;
    item->loading = false;
  }
  for (size_t i = 0; i < plan->dead_count; i++) nc_value_set_remove(&t->values, plan->dead[i]);
  if (plan->dead_count == 0) return;
  nc_value_grave_fill(t->view->grave, &t->dir, plan->dead, plan->dead_count);
  plan->dead = NULL;
  plan->dead_count = 0;
}

void nc_value_plan_remove_failures(nacre_table *t, const nc_value_plan *plan) {
  for (size_t i = 0; i < plan->failure_count; i++) {
    char name[NC_FILE_NAME_BYTES];
    nc_value_file_name(plan->failures[i], name);
    nc_ignore(nc_dir_remove(&t->dir, name, NULL)); /* an orphan if it stays */
  }
}
