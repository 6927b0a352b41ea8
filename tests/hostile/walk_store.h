/* SPDX-License-Identifier: Apache-2.0
 *
 * walk_store: `nacre verify --keyless` over a store on the real disk, inside the process.
 */
#ifndef NACRE_TESTS_WALK_STORE_H
#define NACRE_TESTS_WALK_STORE_H

#include "shelf.h"

/* Writes the files of a shelf to a new directory. */
void walk_store_lay_out(const shelf *files, const char *path);
/* Walks one directory of a store, or the whole store ("" for the directory); how many faults there are. */
size_t walk_store_faults(const char *store, const char *directory);

#endif
