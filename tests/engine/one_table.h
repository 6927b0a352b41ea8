/* SPDX-License-Identifier: Apache-2.0
 *
 * one_table: a store with one table, "table", as many tests have it. One a process: Criterion runs each test in one of
 * its own.
 */
#ifndef TESTS_ENGINE_ONE_TABLE_H
#define TESTS_ENGINE_ONE_TABLE_H

#include "fixture.h"
#include "table.h" /* first: its own `t` would hide the one here */

extern site s;
extern nacre_store *store;
extern nacre_table *t;

void one_table_make(void); /* site and all */
void one_table_open(void); /* of a site that is there */
void one_table_close(void);
void one_table_reopen(void);
void one_table_remove(void);

void compact_all(void);
nacre_stats stats_now(void);

#endif
