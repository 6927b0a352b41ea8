/* SPDX-License-Identifier: Apache-2.0
 *
 * data: the keys and values of a run, from a seed, the same for every engine.
 *
 * Key number i is the 16 decimal digits of 2 i, so that the odd ones are never there and lie between those
 * that are. A value is 100 bytes: 50 that do not compress, twice. It begins with the key's number and the
 * value's version, so that a reader can tell in a few instructions whether it got the right one, and knows
 * all its bytes.
 */
#ifndef NACRE_BENCH_DATA_H
#define NACRE_BENCH_DATA_H

#include "engine.h"

enum {
  BENCH_KEY_BYTES = 16,
  BENCH_VALUE_BYTES = 100,
  BENCH_PAIR_BYTES = BENCH_KEY_BYTES + BENCH_VALUE_BYTES
};

typedef struct bench_random {
  uint64_t state;
} bench_random;

typedef struct bench_data {
  uint64_t keys;      /* numbers 0 to keys - 1; at most 2^32 */
  uint32_t *shuffled; /* each number once */
  uint32_t *versions; /* what the store should hold of each; 0: nothing */
} bench_data;

void bench_data_init(bench_data *data, uint64_t keys, uint64_t seed);
void bench_data_deinit(bench_data *data);

uint64_t bench_random_next(bench_random *random);
uint64_t bench_random_below(bench_random *random, uint64_t bound); /* bound: less than 2^32 */

/* `buffer` holds what the slice points to. `missing`: the key behind it, which is never there. */
bench_slice bench_key_make(char buffer[BENCH_KEY_BYTES], uint64_t number, bool missing);
bench_slice bench_value_make(char buffer[BENCH_VALUE_BYTES], uint64_t number, uint32_t version);

/* The number that a value bears; UINT64_MAX when it has not the size of one. */
uint64_t bench_value_number(bench_slice value);

#endif
