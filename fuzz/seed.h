/* SPDX-License-Identifier: Apache-2.0
 *
 * seed: where the makers of seeds put them, or compare them with what is there.
 */
#ifndef NACRE_FUZZ_SEED_H
#define NACRE_FUZZ_SEED_H

#include "slice.h"

typedef struct seed_place {
  const char *directory;
  bool check;
  unsigned made, stale;
} seed_place;

/* From the words of the command: [--check] DIRECTORY. Ends the program when they are others. */
seed_place seed_begin(int argc, char **argv);
/* Writes DIRECTORY/<target>/<name>, or compares it. */
void seed(seed_place *place, const char *target, const char *name, nacre_slice bytes);
/* Tells how many there were, and how many are stale; returns the exit status. */
int seed_end(const seed_place *place);

#endif
