/* SPDX-License-Identifier: Apache-2.0
 *
 * The model: a sorted map from keys to versions. All keys that a run ever uses are drawn beforehand and
 * sorted, so that a state of the map is an array of versions, a snapshot is a copy of it, and an iterator is
 * an index.
 */
#ifndef NACRE_TESTS_SORTED_MAP_H
#define NACRE_TESTS_SORTED_MAP_H

#include <nacre/nacre_format.h>

#include "support.h"

enum { MAP_KEYS = 500, MAP_VALUE_BYTES_MAX = 200 * 1024 };

typedef struct map_keys {
  nacre_slice keys[MAP_KEYS]; /* in order, all different */
  uint64_t owner;             /* goes into every value */
} map_keys;

typedef struct map_state {
  uint32_t versions[MAP_KEYS]; /* 0: not there */
} map_state;

void map_keys_init(map_keys *keys, uint64_t seed);
void map_keys_deinit(map_keys *keys);
size_t map_lower_bound(const map_keys *keys,
                       nacre_slice key); /* the first index whose key is not before `key` */
int map_compare(nacre_slice a, nacre_slice b);

size_t map_value_size(const map_keys *keys, size_t index, uint32_t version);
size_t map_value(const map_keys *keys, size_t index, uint32_t version, uint8_t bytes[MAP_VALUE_BYTES_MAX]);
/* Whether a value is that of `index` at `version`; `scratch` holds MAP_VALUE_BYTES_MAX. */
bool map_value_is(const map_keys *keys, size_t index, uint32_t version, nacre_slice value, uint8_t *scratch);

/* An iterator over one state within [lower, upper): `at` is an index, or MAP_KEYS when it is at no entry. */
typedef struct map_iter {
  const map_state *state;
  size_t lower, upper, at;
} map_iter;

void map_iter_seek(map_iter *iter, size_t index);      /* the first entry from `index` on */
void map_iter_seek_back(map_iter *iter, size_t index); /* the last entry before `index` */
void map_iter_next(map_iter *iter);
void map_iter_prev(map_iter *iter);

#endif
