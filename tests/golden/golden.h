/* SPDX-License-Identifier: Apache-2.0
 *
 * What the maker of golden stores and their test share: records in key order, the text in which a store's
 * contents are kept beside it (README.md says how it reads), and copies of whole stores.
 *
 * Nothing here can fail: what goes wrong ends the program.
 */
#ifndef NACRE_TESTS_GOLDEN_H
#define NACRE_TESTS_GOLDEN_H

#include <nacre/nacre.h>

enum { GOLDEN_PATH_BYTES = 4096 };

typedef struct golden_record {
  uint8_t *key, *value;
  size_t key_size, value_size;
  uint64_t expire_at_ms; /* 0: it stays */
} golden_record;

/* The records of one table, by key. Zeroed: none. */
typedef struct golden_records {
  golden_record *list;
  size_t count, capacity;
} golden_records;

void golden_put(golden_records *records, nacre_slice key, nacre_slice value);
void golden_put_expiring(golden_records *records, nacre_slice key, nacre_slice value, uint64_t expire_at_ms);
void golden_delete(golden_records *records, nacre_slice key);
void golden_delete_range(golden_records *records, nacre_slice from, nacre_slice to_excluded);
void golden_read(nacre_table *table, golden_records *records); /* adds all that an iterator shows */
bool golden_equal(const golden_records *a, const golden_records *b);
void golden_free(golden_records *records);

/* Ends the program with the library's own words unless `status` is NACRE_OK. */
void golden_ok(nacre_status status, const char *doing);

/* The store's tables, each with its settings, what its recovery reports, what verifying it says, and the
 * records that `records_of` yields. The caller frees it. */
typedef void golden_records_of(void *arg, nacre_table *table, const char *name, golden_records *records);
char *golden_text(nacre_store *store, golden_records_of *records_of, void *arg);

/* Copies a directory and what is in it, two levels of directories deep: a store. */
void golden_copy_store(const char *from, const char *to);
void golden_copy_file(const char *from, const char *to, unsigned mode);
/* The whole file, with a NUL behind it. The caller frees it. */
char *golden_read_file(const char *path, size_t *ret_size);
/* The last (or the first) name in `directory` that ends in `suffix`, as a path. */
void golden_find(const char *directory, const char *suffix, bool last, char path[GOLDEN_PATH_BYTES]);

#endif
