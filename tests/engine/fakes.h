/* SPDX-License-Identifier: Apache-2.0
 *
 * fakes: a cursor over a sorted array, which can be told to fail.
 */
#ifndef TESTS_ENGINE_FAKES_H
#define TESTS_ENGINE_FAKES_H

#include "cursor.h"

/* One array entry. Its key is text, its value stands for who it belongs to. */
typedef struct fake_entry {
  char key[12];
  uint64_t sequence;
  nc_kind kind;
} fake_entry;

int fake_order(const void *a, const void *b); /* for qsort: entry order */

/* Moves allowed before every further one fails with NC_E_SEGMENT_INDEX; negative: never. */
typedef struct fake_limit {
  int moves;
  int closed; /* counts cursors that were closed */
} fake_limit;

/* Borrows the entries, which are sorted, and the limit, which may be NULL. */
nc_cursor *fake_cursor(const fake_entry *entries, size_t count, fake_limit *limit);

#endif
