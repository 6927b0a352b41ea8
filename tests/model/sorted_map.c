/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys that are likely to hurt: the empty one, single bytes, zeros and 0xff, runs that are prefixes of each
 * other, long ones that differ in their last byte only, the longest that is allowed.
 */
#include "sorted_map.h"

#include <stdlib.h>
#include <string.h>

enum { LONG_KEYS = 6, CHAIN_KEYS = 40 };

int map_compare(nacre_slice a, nacre_slice b) {
  size_t shorter = a.size < b.size ? a.size : b.size;
  int order = shorter > 0 ? memcmp(a.data, b.data, shorter) : 0;
  return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static int compare_keys(const void *a, const void *b) {
  return map_compare(*(const nacre_slice *)a, *(const nacre_slice *)b);
}

/* A size and a filling for key number `i`. */
static nacre_slice draw_key(test_random *random, size_t i) {
  static const uint8_t alphabets[][4] = {"abcd", {0, 1, 0xfe, 0xff}, "aaab", {0, 0, 0, 0xff}};
  const uint8_t *alphabet = alphabets[test_random_below(random, 4)];
  size_t size = test_random_below(random, 12);
  if (i < LONG_KEYS)
    size = i < 2 ? NACRE_KEY_BYTES_MAX : 5000 + i;
  else if (i < LONG_KEYS + CHAIN_KEYS)
    size = i - LONG_KEYS; /* the empty key, and a chain of prefixes */
  uint8_t *bytes = test_alloc(size);
  for (size_t k = 0; k < size; k++)
    bytes[k] = i < LONG_KEYS + CHAIN_KEYS ? 'p' : alphabet[test_random_below(random, 4)];
  if (i < LONG_KEYS) bytes[size - 1] = (uint8_t)i;
  return (nacre_slice){bytes, size};
}

static bool is_known(const map_keys *keys, size_t count, nacre_slice key) {
  for (size_t i = 0; i < count; i++)
    if (map_compare(keys->keys[i], key) == 0) return true;
  return false;
}

static void free_key(nacre_slice key) {
  union {
    const void *borrowed;
    void *owned;
  } bytes = {key.data};
  free(bytes.owned);
}

void map_keys_init(map_keys *keys, uint64_t seed) {
  test_random random = {seed};
  keys->owner = test_random_next(&random);
  for (size_t count = 0, tries = 0; count < MAP_KEYS; tries++) {
    nacre_slice key = draw_key(&random, tries);
    if (is_known(keys, count, key))
      free_key(key);
    else
      keys->keys[count++] = key;
  }
  qsort(keys->keys, MAP_KEYS, sizeof keys->keys[0], compare_keys);
}

void map_keys_deinit(map_keys *keys) {
  for (size_t i = 0; i < MAP_KEYS; i++) free_key(keys->keys[i]);
}

size_t map_lower_bound(const map_keys *keys, nacre_slice key) {
  size_t low = 0, high = MAP_KEYS;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (map_compare(keys->keys[middle], key) < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/* Mostly small; one in eight spans blocks, one in 200 is far larger than any. */
size_t map_value_size(const map_keys *keys, size_t index, uint32_t version) {
  uint64_t mixed = test_mix(test_mix(keys->owner, index), version);
  if (mixed % 200 == 0) return (mixed >> 16) % MAP_VALUE_BYTES_MAX;
  return (mixed >> 16) % (mixed % 8 == 0 ? 3000 : 120);
}

size_t map_value(const map_keys *keys, size_t index, uint32_t version, uint8_t bytes[MAP_VALUE_BYTES_MAX]) {
  size_t size = map_value_size(keys, index, version);
  test_value_make(bytes, size, keys->owner, index, version);
  return size;
}

bool map_value_is(const map_keys *keys, size_t index, uint32_t version, nacre_slice value, uint8_t *scratch) {
  if (value.size != map_value_size(keys, index, version)) return false;
  map_value(keys, index, version, scratch);
  return value.size == 0 || memcmp(scratch, value.data, value.size) == 0;
}

void map_iter_seek(map_iter *iter, size_t index) {
  for (iter->at = index > iter->lower ? index : iter->lower; iter->at < iter->upper; iter->at++)
    if (iter->state->versions[iter->at] > 0) return;
  iter->at = MAP_KEYS;
}

void map_iter_seek_back(map_iter *iter, size_t index) {
  for (iter->at = index < iter->upper ? index : iter->upper; iter->at > iter->lower;)
    if (iter->state->versions[--iter->at] > 0) return;
  iter->at = MAP_KEYS;
}

void map_iter_next(map_iter *iter) {
  if (iter->at < MAP_KEYS) map_iter_seek(iter, iter->at + 1);
}

void map_iter_prev(map_iter *iter) {
  if (iter->at < MAP_KEYS) map_iter_seek_back(iter, iter->at);
}
