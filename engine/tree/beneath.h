/* SPDX-License-Identifier: Apache-2.0
 *
 * beneath: what lies beneath a place in a version: whether a delete there has anything left to hide. Pure.
 *
 * What is told stays true while a merge runs: what is older can only move further down meanwhile, within the
 * ranges that it had.
 */
#ifndef NC_BENEATH_H
#define NC_BENEATH_H

#include "version.h"

/* Zeroed: nothing lies beneath. Borrows the version. */
typedef struct nc_beneath {
  const nc_run *runs;
  size_t run_count;
} nc_beneath;

/* The runs that are older than run `run`. */
nc_beneath nc_beneath_of(const nc_version *v, uint64_t run);
/* Whether any of them may hold `key`. */
bool nc_beneath_holds(const nc_beneath *b, nacre_slice key);
/* Whether any of them may hold a key of [from, to_excluded). */
bool nc_beneath_overlaps(const nc_beneath *b, nacre_slice from, nacre_slice to_excluded);

#endif
