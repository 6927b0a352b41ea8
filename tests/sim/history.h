/* SPDX-License-Identifier: Apache-2.0
 *
 * A seeded workload and all the states it passes through: the oracle of the simulated-disk tests.
 *
 * The whole history is made before anything runs, and is only read afterwards, by any number of threads. Each
 * table goes through the states 0, 1, 2, ... of its write groups; state g is what stands after group g, and
 * no other state may ever be seen. A value says which group wrote it, and every byte of it can be computed
 * again, so that what a store returns is turned back into "key k has the value of group g" and compared with
 * whole states.
 */
#ifndef NACRE_TESTS_SIM_HISTORY_H
#define NACRE_TESTS_SIM_HISTORY_H

#include <nacre/nacre.h>

#include "support.h"

enum {
  HISTORY_KEYS = 120,      /* keys of a table, in order */
  HISTORY_SLOTS = 3,       /* tables that live at one time */
  HISTORY_TABLES_MAX = 24, /* tables that ever live: dropped ones are succeeded under the same name */
  HISTORY_KEY_BYTES = 48,
  HISTORY_VALUE_BYTES = 8192 /* no value is longer */
};

typedef enum step_kind {
  STEP_CREATE,
  STEP_DROP,
  STEP_WRITE,
  STEP_LOAD, /* a bulk load: a group of puts in the order of their keys, durable on return */
  STEP_SYNC,
  STEP_FLUSH,
  STEP_COMPACT,
  STEP_REOPEN_TABLE,
  STEP_REOPEN_STORE,
  STEP_ROTATE,
  STEP_SET_KEY,
  STEP_STORE_ROTATE,
  STEP_STORE_SET_KEY,
  STEP_HOLD,    /* from here on no rewrap gets anywhere */
  STEP_RELEASE, /* and here what was left is done */
  STEP_LINKS    /* from here on files seem to have further names, or no longer */
} step_kind;

typedef struct step_entry {
  uint16_t key;
  bool deleted;
  uint16_t before; /* all keys from `key` to before this one are deleted, as a range; 0: it alone */
} step_entry;

typedef struct step {
  step_kind kind;
  uint32_t table; /* index into history.tables */
  uint32_t group; /* STEP_WRITE, STEP_LOAD: from 1 */
  bool sync;
  unsigned key;                    /* STEP_SET_KEY, STEP_STORE_SET_KEY: which KMS key; STEP_LINKS: how many */
  size_t first_entry, entry_count; /* one: a plain put or delete; more: a batch */
} step;

typedef struct history_table {
  char name[32];
  uint32_t group_count;
  size_t row_capacity;
  unsigned flushes;               /* steps of that kind */
  uint16_t (*rows)[HISTORY_KEYS]; /* rows[g][k]: the group whose value key k has in state g; 0: none */
} history_table;

typedef struct history {
  step *steps;
  size_t step_count, step_capacity;
  step_entry *entries;
  size_t entry_count, entry_capacity;
  history_table tables[HISTORY_TABLES_MAX];
  size_t table_count;
} history;

void history_init(history *h, uint64_t seed, size_t step_count);
/* The same with many changes of keys, between `key_count` KMS keys; every table and the catalogue begin under
 * the first. */
void history_init_keys(history *h, uint64_t seed, size_t step_count, unsigned key_count);
void history_deinit(history *h);

size_t history_key(unsigned key, char bytes[HISTORY_KEY_BYTES]);
/* Tables of small segments and levels, and those of the usual ones. */
typedef enum history_shape { HISTORY_TREE_USUAL, HISTORY_TREE_SMALL } history_shape;
static inline history_shape history_tree(uint32_t table) {
  return table % HISTORY_SLOTS == 1 ? HISTORY_TREE_SMALL : HISTORY_TREE_USUAL;
}

/* The index of a key; HISTORY_KEYS when it is none of them. */
unsigned history_key_index(nacre_slice key);
size_t history_value(uint32_t table, unsigned key, uint32_t group, uint8_t bytes[HISTORY_VALUE_BYTES]);
/* When a put expires: mostly never (0), sometimes so late that nobody sees it, or so early that nobody sees the put. */
uint64_t history_expiry_ms(uint32_t table, unsigned key, uint32_t group);
/* Which group wrote this value; 0 when none did: the bytes were never written. */
uint32_t history_value_group(const history *h, uint32_t table, unsigned key, nacre_slice value);

#endif
