/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs a history against a store, and knows at every moment what a store that is found later must and may
 * hold.
 */
#ifndef NACRE_TESTS_SIM_RUNNER_H
#define NACRE_TESTS_SIM_RUNNER_H

#include "fake_kms.h"
#include "history.h"
#include "sim_disk.h"

enum { STORE_EXTRAS_MAX = 64 };

/* Whether a table is there. In between, either is right. */
typedef enum presence { PRESENCE_ABSENT, PRESENCE_CREATING, PRESENCE_PRESENT, PRESENCE_DROPPING } presence;

/* What may be found of one table: the states [least, most] of its history, and after them, as further write
 * groups, the extras [extras_least, extras_most] that a checker wrote (check.h). */
typedef struct table_bounds {
  presence there;
  uint32_t least, most;
  uint32_t extras_least, extras_most;
} table_bounds;

/* Which KMS keys open a table or the catalogue, as sets of bits: `sure` does, unless a change is under way or
 * has failed; then `sure` or `maybe` does, and nobody knows which. */
typedef struct key_bounds {
  unsigned sure, maybe;
} key_bounds;

typedef struct store_bounds {
  bool made; /* creating the store was acknowledged */
  table_bounds tables[HISTORY_TABLES_MAX];
  key_bounds catalogue_keys, keys[HISTORY_TABLES_MAX];
} store_bounds;

typedef struct table_progress {
  presence there;
  uint32_t issued, acknowledged, synced; /* groups */
} table_progress;

typedef struct runner {
  const history *history;
  nacre_store_options options;
  nacre_store *store;
  nacre_table *tables[HISTORY_TABLES_MAX];
  bool made;
  table_progress progress[HISTORY_TABLES_MAX];
  bool opened[HISTORY_TABLES_MAX]; /* at some time */
  bool closing;                    /* a table */
  uint64_t flushed_at_close, unflushed_at_close; /* how often a close flushed, and failed to */
  /* of a history with changes of keys */
  sim_disk *disk;
  fake_kms *kms;
  key_bounds catalogue_keys, keys[HISTORY_TABLES_MAX];
} runner;

/* The options of every store in these tests: no threads, the smallest memtable. `key_uri` must outlive
 * them. */
nacre_store_options store_options(sim_disk *disk, const char *key_uri);
#define STORE_PATH "store"

/* Options that name those keys of a fake service that are in `keys` for the catalogue; the lowest is the default
 * key. `trusted` is where the others are named. */
nacre_store_options keyed_options(sim_disk *disk, fake_kms *kms, unsigned keys,
                                  nacre_key_spec trusted[FAKE_KMS_KEYS]);

void runner_init(runner *r, const history *h, const nacre_store_options *options);
/* The same for a history with changes of keys: everything begins under key 0 of `kms`. */
void runner_init_keys(runner *r, const history *h, sim_disk *disk, fake_kms *kms);
nacre_status runner_open(runner *r); /* creates the store the first time; opens every table that is there */
/* One step. After a failure the store is open or closed as far as the step came, and the step may be run
 * again. */
nacre_status runner_step(runner *r, const step *s);
/* Closes whatever is open. After an error nothing is open either. */
nacre_status runner_close(runner *r);

/* What must and may be found: after the loss of power (what was synced is the least), or of the process alone
 * (what was acknowledged). */
void runner_bounds(const runner *r, bool power_lost, store_bounds *ret_bounds);

#endif
