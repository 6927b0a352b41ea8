/* SPDX-License-Identifier: Apache-2.0
 *
 * key_filter: a Bloom filter that grows with the keys that are added to it, for keys in memory.
 *
 * One thread adds; any number test meanwhile, without a lock. Whoever learned of a key after it was added
 * finds it.
 */
#ifndef NC_KEY_FILTER_H
#define NC_KEY_FILTER_H

#include <stdatomic.h>

#include "private_memory.h"
#include "slice.h"
#include "stripe.h"

enum { NC_KEY_FILTER_PARTS_MAX = 16 };

typedef struct nc_key_filter {
  _Alignas(NC_STRIPE_BYTES) nc_heap *heap;
  uint64_t seed;
  atomic_uint part_count;
  struct nc_filter_part *parts[NC_KEY_FILTER_PARTS_MAX];
  _Alignas(NC_STRIPE_BYTES) uint64_t keys_left; /* before another part is due; of the adding thread */
} nc_key_filter;

NC_MUST_CHECK nacre_status nc_key_filter_init(nc_key_filter *filter, nc_heap *heap, nacre_error *err);
void nc_key_filter_deinit(nc_key_filter *filter);
/* Room for `count` more keys; `*ret_grown` is what that took from private memory. */
NC_MUST_CHECK nacre_status nc_key_filter_reserve(nc_key_filter *filter, size_t count, size_t *ret_grown,
                                                 nacre_error *err);
/* In two steps, between which the line of the filter that is concerned comes into the processor's cache. */
uint64_t nc_key_filter_begin(const nc_key_filter *filter, nacre_slice key);
void nc_key_filter_add(nc_key_filter *filter, uint64_t begun);
/* False: the key was not added. */
bool nc_key_filter_test(const nc_key_filter *filter, nacre_slice key);

#endif
