/* SPDX-License-Identifier: Apache-2.0
 *
 * resealed_table: a table whose manifest is opened with its key, changed and sealed again. One a process: Criterion runs
 * each test in one of its own.
 */
#ifndef TESTS_ENGINE_RESEALED_TABLE_H
#define TESTS_ENGINE_RESEALED_TABLE_H

#include "reseal.h"

/* A table of one segment and one log, cleanly closed. */
typedef struct resealed_table {
  site s;
  nacre_store *store;
  nacre_table *t;
  floor_fixture view; /* the table's directory and keys, for reseal */
  char directory[PATH_BYTES], manifest[NC_FILE_NAME_BYTES], name[PATH_BYTES];
} resealed_table;
extern resealed_table resealed;

/* Hands out what the manifest holds. */
void resealed_make(plain_file *ret_manifest);
/* The same, of a table that has a large value besides. */
void resealed_make_with_value(plain_file *ret_manifest);
/* Closes the table, seals and frees the manifest, and seals a CURRENT that names it. */
void resealed_seal(plain_file *manifest);
void resealed_done(void);

#endif
