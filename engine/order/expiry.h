/* SPDX-License-Identifier: Apache-2.0
 *
 * expiry: puts that are seen up to a moment of the wall clock only. [E3]
 *
 * A reader judges by the moment at which it began: a read by now, a snapshot's by when it was taken, an iterator by
 * when it was opened. A merge judges by the oldest of these that may still ask (nc_table_expiry_moment).
 */
#ifndef NC_EXPIRY_H
#define NC_EXPIRY_H

#include "coding.h"
#include "entry.h"

/* When an entry ceases to be seen, in ms since 1970-01-01 UTC; 0: never. */
static inline uint64_t nc_entry_expires_ms(const nc_entry *entry) {
  bool may = entry->kind == NC_KIND_EXPIRING || entry->kind == NC_KIND_LARGE;
  return may ? nc_get_u64(entry->value.data) : 0; /* both begin with it; the format has seen to the size */
}

static inline bool nc_entry_expired(const nc_entry *entry, uint64_t moment_ms) {
  uint64_t expires_ms = nc_entry_expires_ms(entry);
  return expires_ms != 0 && expires_ms <= moment_ms;
}

/* The value as it was put, of a put that is kept in the entry. */
static inline nacre_slice nc_entry_payload(const nc_entry *entry) {
  if (entry->kind != NC_KIND_EXPIRING) return entry->value;
  return nc_slice((const uint8_t *)entry->value.data + NC_EXPIRY_BYTES, entry->value.size - NC_EXPIRY_BYTES);
}

#endif
