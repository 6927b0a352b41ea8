/* SPDX-License-Identifier: Apache-2.0
 *
 * data: see data.h.
 */
#include "data.h"

#include <stdlib.h>
#include <string.h>

enum { HALF = BENCH_VALUE_BYTES / 2, WORD = sizeof(uint64_t) };

/* Their product is 1 modulo 2^64: a tag looks random and still tells what it was made of. */
#define MIX UINT64_C(0x9E3779B97F4A7C15)
#define UNMIX UINT64_C(0xF1DE83E19937733D)
_Static_assert((uint64_t)(MIX *UNMIX) == 1, "a tag can be undone");

uint64_t bench_random_next(bench_random *random) {
  uint64_t z = random->state += MIX;
  z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
  z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
  return z ^ z >> 31;
}

uint64_t bench_random_below(bench_random *random, uint64_t bound) {
  return (bench_random_next(random) >> 32) * bound >> 32;
}

void bench_data_init(bench_data *data, uint64_t keys, uint64_t seed) {
  data->keys = keys;
  data->shuffled = malloc(keys * sizeof(uint32_t));
  data->versions = calloc(keys, sizeof(uint32_t));
  if (data->shuffled == NULL || data->versions == NULL)
    bench_die("no memory for %llu keys", (unsigned long long)keys);
  bench_random random = {seed};
  for (uint64_t i = 0; i < keys; i++) {
    uint64_t at = bench_random_below(&random, i + 1);
    data->shuffled[i] = data->shuffled[at];
    data->shuffled[at] = (uint32_t)i;
  }
}

void bench_data_deinit(bench_data *data) {
  free(data->shuffled);
  free(data->versions);
}

static void put_two(char *at, uint32_t two) {
  at[0] = (char)('0' + two / 10);
  at[1] = (char)('0' + two % 10);
}

static void put_four(char *at, uint32_t four) {
  put_two(at, four / 100);
  put_two(at + 2, four % 100);
}

static void put_eight(char *at, uint32_t eight) {
  put_four(at, eight / 10000);
  put_four(at + 4, eight % 10000);
}

bench_slice bench_key_make(char buffer[BENCH_KEY_BYTES], uint64_t number, bool missing) {
  uint64_t n = 2 * number + (missing ? 1 : 0);
  put_eight(buffer, (uint32_t)(n / 100000000));
  put_eight(buffer + 8, (uint32_t)(n % 100000000));
  return (bench_slice){buffer, BENCH_KEY_BYTES};
}

/* Made on the spot: taken out of memory, values would cost the line that they come from, which is more than a put may. */
bench_slice bench_value_make(char buffer[BENCH_VALUE_BYTES], uint64_t number, uint32_t version) {
  uint64_t tag = ((uint64_t)version << 32 | number) * MIX;
  bench_random random = {tag};
  memcpy(buffer, &tag, WORD);
  for (size_t at = WORD; at < HALF; at += WORD) {
    uint64_t word = bench_random_next(&random);
    memcpy(buffer + at, &word, WORD); /* the last one reaches into the second half */
  }
  memcpy(buffer + HALF, buffer, HALF);
  return (bench_slice){buffer, BENCH_VALUE_BYTES};
}
_Static_assert(HALF + WORD <= BENCH_VALUE_BYTES, "there is room for a last word");

uint64_t bench_value_number(bench_slice value) {
  uint64_t tag;
  if (value.size != BENCH_VALUE_BYTES) return UINT64_MAX;
  memcpy(&tag, value.data, WORD);
  return (tag * UNMIX) & UINT32_MAX;
}
