/* SPDX-License-Identifier: Apache-2.0
 *
 * large_site: a store with one table that keeps values over 4 KiB in files of their own. One a process: Criterion
 * runs each test in one of its own.
 */
#ifndef TESTS_ENGINE_LARGE_SITE_H
#define TESTS_ENGINE_LARGE_SITE_H

#include "fixture.h"

enum { LARGE_THRESHOLD = 4096, LARGE_SIZE = 300 * 1000 };

typedef struct large_site {
  site s;
  nacre_store *store;
  nacre_table *t;
  char directory[PATH_BYTES]; /* of the table */
} large_site;
extern large_site large;

void large_make(void);
void large_remove(void);
void large_open_table(void);
void large_close_table(void);
void large_reopen(void);
/* Of a table of the open store. */
void large_directory(const char *name, char path[PATH_BYTES]);

/* Of key and version a value follows, of any size. The caller frees it. */
uint8_t *large_value(uint64_t key, uint64_t version, size_t size);
nacre_slice large_key(uint64_t key, char bytes[24]);
void large_put(uint64_t key, uint64_t version, size_t size);
void large_erase(uint64_t key);
bool large_has(uint64_t key, uint64_t version, size_t size, const nacre_snapshot *snapshot);
size_t large_files(void); /* that lie in the table's directory */
void large_compact(void);

#endif
