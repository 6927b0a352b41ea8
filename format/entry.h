/* SPDX-License-Identifier: Apache-2.0
 *
 * entry: one version of one key, and the order in which all tables, memtables and segments keep them:
 * by key, and for one key the newest (highest sequence) first.
 */
#ifndef NC_ENTRY_H
#define NC_ENTRY_H

#include "slice.h"

typedef enum nc_kind { /* at most 7: three bits on disk */
                       NC_KIND_PUT = 1,
                       NC_KIND_DELETE = 2,
                       /* in logs only: of all keys from `key` to before `value` (format/ranges.h) */
                       NC_KIND_RANGE_DELETE = 3,
                       /* a put that is seen up to a moment only: u64 ms since 1970, not 0, then the value */
                       NC_KIND_EXPIRING = 4,
                       /* a put whose value is in a file of its own: the value is a reference (value_file.h) */
                       NC_KIND_LARGE = 5
} nc_kind;
enum { NC_EXPIRY_BYTES = 8 };
#define NC_SEQUENCE_MAX ((uint64_t)1 << 56)

typedef struct nc_entry {
  nacre_slice key;
  uint64_t sequence; /* from 1; 0 never names a write */
  nc_kind kind;
  nacre_slice value; /* empty for a delete */
} nc_entry;

/* Whether the value of an expiring put holds the moment. */
static inline bool nc_expiry_sound(nacre_slice value) {
  static const uint8_t zeros[NC_EXPIRY_BYTES];
  return value.size >= NC_EXPIRY_BYTES && memcmp(value.data, zeros, NC_EXPIRY_BYTES) != 0;
}

static inline int nc_entry_compare(nacre_slice key_a, uint64_t sequence_a, nacre_slice key_b,
                                   uint64_t sequence_b) {
  int order = nc_slice_compare(key_a, key_b);
  if (order != 0) return order;
  return (sequence_a < sequence_b) - (sequence_a > sequence_b);
}

#endif
