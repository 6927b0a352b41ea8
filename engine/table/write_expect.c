/* SPDX-License-Identifier: Apache-2.0
 *
 * write_expect: whether the keys that a batch names are as it expects them.
 *
 * It is asked twice. First by the caller, without a lock: what has changed by then will not be unchanged again, and
 * what must be read from disk is read beside other writers. Then by the leader, under write_lock, when all that
 * was written before is in the memtable: that answer counts, and from it to the write nobody comes between.
 */
#include "write_expect.h"

#include "write_batch.h"

static nacre_status check_one(const nc_view *view, uint64_t moment, uint64_t moment_ms,
                              const nc_expect *expect, uint64_t index, nacre_error *err) {
  uint64_t changed;
  bool exists;
  NC_TRY(nc_view_key_state(view, expect->key, moment, moment_ms, &changed, &exists, err));
  bool holds = expect->table == NULL ? !exists : changed <= expect->sequence;
  return holds ? NACRE_OK : nc_fail(err, NC_E_EXPECT_CHANGED, "expectation %llu", (unsigned long long)index);
}

nacre_status nc_expects_check(nacre_table *t, nacre_slice expects, nacre_error *err) {
  uint64_t moment, index = 0;
  nc_expect expect;
  nacre_status status = NACRE_OK;
  uint64_t moment_ms = nc_wall_ms(t->shared->env); /* one that has expired is not there any more */
  nc_view *view = nc_table_view(t, &moment);
  while (status == NACRE_OK && nc_expect_next(&expects, &expect))
    status = check_one(view, moment, moment_ms, &expect, index++, err);
  nc_view_unref(view);
  return status;
}

/* What a snapshot keeps is kept for it only while it lives: without it a merge may have dropped a delete that
 * came later, and the change could not be seen any more. */
nacre_status nc_expects_validate(nacre_table *t, nacre_slice expects, nacre_error *err) {
  nc_expect expect;
  while (nc_expect_next(&expects, &expect)) {
    if (expect.table == NULL) continue;
    if (expect.table != t) return nc_fail(err, NC_E_ARGUMENT, "an expectation is of another table");
    if (!nc_snapshot_lives(t, expect.sequence)) return nc_fail(err, NC_E_EXPECT_RELEASED, NULL);
  }
  return NACRE_OK;
}
