/* SPDX-License-Identifier: Apache-2.0
 *
 * number_index: from file numbers to places in a list that somebody else keeps. Zeroed: empty.
 */
#ifndef NC_NUMBER_INDEX_H
#define NC_NUMBER_INDEX_H

#include "status.h"

typedef struct nc_number_place {
  uint64_t number; /* 0: free, for no file has it */
  size_t place;
} nc_number_place;

typedef struct nc_number_index {
  nc_number_place *slots;
  size_t count, capacity; /* a power of two, at most half full */
} nc_number_index;

/* Puts a number, new or not, at a place. */
NC_MUST_CHECK nacre_status nc_number_index_put(nc_number_index *index, uint64_t number, size_t place,
                                               nacre_error *err);
bool nc_number_index_find(const nc_number_index *index, uint64_t number, size_t *ret_place);
void nc_number_index_remove(nc_number_index *index, uint64_t number);
void nc_number_index_deinit(nc_number_index *index);

#endif
