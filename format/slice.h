/* SPDX-License-Identifier: Apache-2.0
 *
 * slice: bytes somewhere else, and their order.
 */
#ifndef NC_SLICE_H
#define NC_SLICE_H

#include <nacre/nacre_format.h>
#include <string.h>

static inline nacre_slice nc_slice(const void *data, size_t size) { return (nacre_slice){data, size}; }

/* memcmp order, a prefix before what it begins. */
static inline int nc_slice_compare(nacre_slice a, nacre_slice b) {
  size_t common = a.size < b.size ? a.size : b.size;
  int order = common == 0 ? 0 : memcmp(a.data, b.data, common);
  if (order != 0) return order;
  return (a.size > b.size) - (a.size < b.size);
}

static inline bool nc_slice_equal(nacre_slice a, nacre_slice b) {
  return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* How many leading bytes two slices share. */
size_t nc_slice_shared_prefix(nacre_slice a, nacre_slice b);

#endif
