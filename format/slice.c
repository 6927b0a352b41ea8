/* SPDX-License-Identifier: Apache-2.0
 *
 * slice: the one operation on slices that is too long to be inline.
 */
#include "slice.h"

size_t nc_slice_shared_prefix(nacre_slice a, nacre_slice b) {
  const uint8_t *p = a.data, *q = b.data;
  size_t common = a.size < b.size ? a.size : b.size, i = 0;
  for (; common - i >= sizeof(uint64_t); i += sizeof(uint64_t)) {
    uint64_t x, y;
    memcpy(&x, p + i, sizeof x);
    memcpy(&y, q + i, sizeof y);
    if (x != y) break;
  }
  while (i < common && p[i] == q[i]) i++;
  return i;
}
