/* SPDX-License-Identifier: Apache-2.0
 *
 * number_index: open addressing with linear probing; a removal moves what stood behind it forward, so that no
 * marks of what is gone are left.
 */
#include "number_index.h"

#include <stdlib.h>

/* File numbers are small and dense: the multiplier (2^64 divided by the golden ratio) spreads them. */
static size_t home_of(const nc_number_index *index, uint64_t number) {
  return (size_t)((number * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & (index->capacity - 1);
}

static size_t slot_of(const nc_number_index *index, uint64_t number) {
  size_t i = home_of(index, number);
  while (index->slots[i].number != 0 && index->slots[i].number != number) i = (i + 1) & (index->capacity - 1);
  return i;
}

static nacre_status grow(nc_number_index *index, nacre_error *err) {
  nc_number_index larger = {.capacity = index->capacity == 0 ? 64 : index->capacity * 2, .count = index->count};
  larger.slots = calloc(larger.capacity, sizeof *larger.slots);
  if (larger.slots == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  for (size_t i = 0; i < index->capacity; i++) {
    const nc_number_place *from = &index->slots[i];
    if (from->number != 0) larger.slots[slot_of(&larger, from->number)] = *from;
  }
  free(index->slots);
  *index = larger;
  return NACRE_OK;
}

nacre_status nc_number_index_put(nc_number_index *index, uint64_t number, size_t place, nacre_error *err) {
  if (index->count * 2 >= index->capacity) NC_TRY(grow(index, err));
  nc_number_place *slot = &index->slots[slot_of(index, number)];
  index->count += slot->number == 0;
  *slot = (nc_number_place){number, place};
  return NACRE_OK;
}

bool nc_number_index_find(const nc_number_index *index, uint64_t number, size_t *ret_place) {
  if (index->capacity == 0) return false;
  const nc_number_place *slot = &index->slots[slot_of(index, number)];
  if (slot->number == 0) return false;
  *ret_place = slot->place;
  return true;
}

void nc_number_index_remove(nc_number_index *index, uint64_t number) {
  if (index->capacity == 0) return;
  size_t mask = index->capacity - 1, hole = slot_of(index, number);
  if (index->slots[hole].number == 0) return;
  index->count--;
  for (size_t i = (hole + 1) & mask; index->slots[i].number != 0; i = (i + 1) & mask) {
    /* What stands at i may go to the hole unless its home lies behind the hole, up to i. */
    size_t home = home_of(index, index->slots[i].number);
    if (((i - home) & mask) < ((i - hole) & mask)) continue;
    index->slots[hole] = index->slots[i];
    hole = i;
  }
  index->slots[hole] = (nc_number_place){0};
}

void nc_number_index_deinit(nc_number_index *index) {
  free(index->slots);
  *index = (nc_number_index){0};
}
