/* SPDX-License-Identifier: Apache-2.0
 *
 * Opens a store on a simulated disk and holds it against its bounds: the four invariants of the tests.
 *   (a) everything that had to survive is there; (b) what is there is one state of the history, batches
 *       whole; (c) no value that was never written appears, no delete is undone; (d) opening and verifying
 *       report no damage.
 */
#ifndef NACRE_TESTS_SIM_CHECK_H
#define NACRE_TESTS_SIM_CHECK_H

#include "runner.h"

/* Opens for writing, compares every table with `bounds`, verifies, then writes `extras` further groups to
 * each table, synced in one way or another, and closes. `bounds` always says what may be found if the power
 * goes at this moment: it is narrowed to what was found and follows the extras, so that a watcher of the disk
 * may copy it at any operation. After success it is exact. False when a check failed; `label` says in the
 * message what was looked at. */
bool check_store(sim_disk *disk, const char *key_uri, const history *h, store_bounds *bounds, uint32_t extras,
                 const char *label);
/* The same without extras, for a store that is there, and that was closed cleanly unless it is opened
 * read-only: the disk may not be touched. */
bool check_store_unwritten(sim_disk *disk, const char *key_uri, const history *h, store_bounds *bounds,
                           bool read_only, const char *label);
/* The same with other options and a closer look: `table` is called for every open table, between verifying and the
 * extras, `store` at last; false fails the check. Either may be NULL. */
typedef struct check_plan {
  const nacre_store_options *options;
  const char *path; /* NULL: STORE_PATH */
  uint32_t extras;
  bool unwritten;
  bool unsettled; /* a change of keys may have been interrupted: verify may find what it left half done */
  bool (*table)(void *arg, nacre_table *table, uint32_t index, const char *label);
  bool (*store)(void *arg, nacre_store *store, const char *label);
  void *arg;
} check_plan;
bool check_store_with(sim_disk *disk, const check_plan *plan, const history *h, store_bounds *bounds,
                      const char *label);
/* The same for a store that is open already; nothing is closed. */
bool check_open_tables(const runner *r, store_bounds *bounds, const char *label);

#endif
