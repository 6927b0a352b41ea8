/* SPDX-License-Identifier: Apache-2.0
 *
 * batch: operations one after the other, as a batch collects them and a log group holds them.
 *
 *   kind u8 · varint key size · [varint value size, but for a delete] · key · [value]
 */
#ifndef NC_BATCH_H
#define NC_BATCH_H

#include "coding.h"
#include "entry.h"
#include "status.h"

/* Refuses a key or an operation beyond the documented limits; else tells its encoded size. */
NC_MUST_CHECK nacre_status nc_operation_size(nc_kind kind, nacre_slice key, nacre_slice value,
                                             size_t *ret_size, nacre_error *err);
/* Writes one operation into nc_operation_size bytes; returns how many. */
size_t nc_operation_encode(nc_kind kind, nacre_slice key, nacre_slice value, uint8_t *out);
/* The same of an expiring put, whose size is that of its value and NC_EXPIRY_BYTES. */
size_t nc_operation_encode_expiring(nacre_slice key, nacre_slice value, uint64_t expires_ms, uint8_t *out);

/* Walks encoded operations. */
typedef struct nc_batch_reader {
  nc_reader reader;
  uint64_t seen;
} nc_batch_reader;

void nc_batch_read_begin(nc_batch_reader *r, nacre_slice operations);
/* The next operation (`sequence` is left 0), pointing into the bytes. NACRE_OK with `*ret_more` false at
 * the end. */
NC_MUST_CHECK nacre_status nc_batch_read(nc_batch_reader *r, nc_entry *ret_entry, bool *ret_more,
                                         nacre_error *err);
/* Decodes all of it and compares the number of operations: what a reader does before it uses any. */
NC_MUST_CHECK nacre_status nc_batch_check(nacre_slice operations, uint64_t expected_count, nacre_error *err);

#endif
