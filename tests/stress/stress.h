/* SPDX-License-Identifier: Apache-2.0
 *
 * stress: the world that all jobs of the stress program share, and what they may hold against it.
 *
 * Invariants that readers check
 *   1. Numbers: key (writer, i) belongs to one writer and only grows; what was acknowledged is seen.
 *   2. Groups: one batch writes, or deletes, all keys of the group: at any moment they are equal.
 *   3. Accounts: batches that expect two accounts to be unchanged move money between them: at any moment the sum
 *      is the same, and no balance is negative.
 *   4. The counter: several threads add one to it under the same rule: it only grows, and ends at the number of
 *      acknowledged additions.
 *   5. Loads: one bulk load after the other replaces all keys that are loaded: at any moment they are equal, and who
 *      looked before its commit sees the one before.
 *   6. Every value says whose it is, and every byte of it follows from that.
 */
#ifndef NACRE_TESTS_STRESS_H
#define NACRE_TESTS_STRESS_H

#include <stdatomic.h>

#include "fixture.h"

enum { WRITERS = 3, KEYS = 40, GROUP = 8, ACCOUNTS = 12, BALANCE = 1000, KEYRINGS = 3 };
enum { OWNER_LOAD = 96, OWNER_GROUP = 97, OWNER_ACCOUNT = 98, OWNER_COUNTER = 99 };

typedef struct world {
  site s;
  nacre_store *store;
  nacre_table *t;
  uint64_t seed;
  char keyrings[KEYRINGS][PATH_BYTES];
  atomic_bool stop;
  atomic_uint_fast64_t acknowledged[WRITERS][KEYS]; /* the last number whose write returned */
  atomic_uint_fast64_t group_acknowledged, counted, conflicts;
  atomic_uint_fast64_t flushed, merged;
} world;

/* One thread's work until the world stops: does it over and over, and counts its turns. */
typedef struct job {
  const char *name;
  void (*turn)(world *w, test_random *random, uint64_t n);
  atomic_uint_fast64_t turns;
} job;

/* ---- keys and values ----------------------------------------------------------------------------------- */

typedef struct name {
  char bytes[32];
} name;
nacre_slice number_key(name *n, unsigned writer, unsigned i);
nacre_slice group_key(name *n, unsigned i);
nacre_slice account_key(name *n, unsigned i);
nacre_slice load_key(name *n, unsigned i);
nacre_slice counter_key(void);

/* A value: whose it is, a number, and filling that depends on both. */
typedef struct cell {
  uint64_t owner, number;
  uint8_t filling[200];
} cell;
nacre_slice cell_make(cell *c, uint64_t owner, uint64_t number);
/* The number in a value, which must be this owner's. */
uint64_t cell_read(nacre_slice value, uint64_t owner);
/* Whose the value under a key is. */
uint64_t owner_of(nacre_slice key);

/* What stands under a key at a moment (NULL: now); 0: it is not there. */
uint64_t number_at(world *w, nacre_slice key, uint64_t owner, const nacre_snapshot *snapshot);
/* Checks that a call went well, and says of which kind it was if not. */
bool went_well(nacre_status status, const char *what);

/* ---- jobs ---------------------------------------------------------------------------------------------- */

/* stress_writers.c */
void accounts_open(world *w);
void write_numbers_0(world *w, test_random *random, uint64_t n);
void write_numbers_1(world *w, test_random *random, uint64_t n);
void write_numbers_2(world *w, test_random *random, uint64_t n);
void write_groups(world *w, test_random *random, uint64_t n);
void transfer(world *w, test_random *random, uint64_t n);
void count(world *w, test_random *random, uint64_t n);
void load_all(world *w, test_random *random, uint64_t n);

/* stress_readers.c */
void read_numbers(world *w, test_random *random, uint64_t n);
void read_groups(world *w, test_random *random, uint64_t n);
void read_loads(world *w, test_random *random, uint64_t n);
void read_accounts(world *w, test_random *random, uint64_t n);
void scan_both_ways(world *w, test_random *random, uint64_t n);
void seek_about(world *w, test_random *random, uint64_t n);
void hold_snapshots(world *w, test_random *random, uint64_t n);

/* stress_care.c */
void care(world *w, test_random *random, uint64_t n);
void change_keys(world *w, test_random *random, uint64_t n);
void other_tables(world *w, test_random *random, uint64_t n);

#endif
