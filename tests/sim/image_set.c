/* SPDX-License-Identifier: Apache-2.0
 *
 * Open addressing; a digest is its own hash.
 */
#include "image_set.h"

#include <stdlib.h>
#include <string.h>

#include "support.h"

enum { CAPACITY_FIRST = 1 << 12 };

static size_t place_of(const image_set *set, const uint8_t digest[SIM_DIGEST_BYTES]) {
  size_t i;
  memcpy(&i, digest, sizeof i);
  i &= set->capacity - 1;
  while (set->taken[i] && memcmp(set->digests[i], digest, SIM_DIGEST_BYTES) != 0)
    i = (i + 1) & (set->capacity - 1);
  return i;
}

static void make_room(image_set *set) {
  if (set->count * 2 < set->capacity) return;
  image_set larger = {.capacity = set->capacity == 0 ? CAPACITY_FIRST : set->capacity * 2,
                      .count = set->count};
  larger.digests = test_alloc(larger.capacity * sizeof *larger.digests);
  larger.taken = test_alloc(larger.capacity * sizeof *larger.taken);
  for (size_t i = 0; i < set->capacity; i++) {
    if (!set->taken[i]) continue;
    size_t place = place_of(&larger, set->digests[i]);
    memcpy(larger.digests[place], set->digests[i], SIM_DIGEST_BYTES);
    larger.taken[place] = true;
  }
  image_set_deinit(set);
  *set = larger;
}

bool image_set_add(image_set *set, const uint8_t digest[SIM_DIGEST_BYTES]) {
  make_room(set);
  size_t place = place_of(set, digest);
  if (set->taken[place]) return false;
  memcpy(set->digests[place], digest, SIM_DIGEST_BYTES);
  set->taken[place] = true;
  set->count++;
  return true;
}

void image_set_deinit(image_set *set) {
  free(set->digests);
  free(set->taken);
  *set = (image_set){0};
}
