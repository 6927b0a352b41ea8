/* SPDX-License-Identifier: Apache-2.0
 *
 * expiry_tally: of the entries of a segment that is being written, by when about half of all, and by when every put
 * will have expired: what tells later, without a look into the segment, that it is worth being merged, or may go.
 */
#ifndef NC_EXPIRY_TALLY_H
#define NC_EXPIRY_TALLY_H

#include "entry.h"
#include "private_memory.h"
#include "status.h"

enum { NC_TALLY_SAMPLES = 256 };

/* Zeroed: no entries yet. */
typedef struct nc_expiry_tally {
  uint64_t expiring, last_ms;
  bool lasting;      /* a put among them never expires */
  uint64_t stride;   /* of so many that expire, one moment is kept */
  size_t count;
  uint64_t *samples; /* NC_TALLY_SAMPLES, private; NULL: none expires yet */
} nc_expiry_tally;

/* Of those that are no plain puts. */
NC_MUST_CHECK nacre_status nc_expiry_tally_note(nc_expiry_tally *tally, nc_heap *heap, const nc_entry *entry,
                                                nacre_error *err);
NC_MUST_CHECK static inline nacre_status nc_expiry_tally_add(nc_expiry_tally *tally, nc_heap *heap,
                                                             const nc_entry *entry, nacre_error *err) {
  if (entry->kind != NC_KIND_PUT) return nc_expiry_tally_note(tally, heap, entry, err);
  tally->lasting = true;
  return NACRE_OK;
}
/* From then on half of all `entries` have expired, about; 0: fewer ever will. Sorts the samples. */
uint64_t nc_expiry_tally_half(nc_expiry_tally *tally, uint64_t entries);
/* From then on every put has expired; 0: some never will, or there is none that will. */
uint64_t nc_expiry_tally_all(const nc_expiry_tally *tally);
void nc_expiry_tally_deinit(nc_expiry_tally *tally, nc_heap *heap);

#endif
