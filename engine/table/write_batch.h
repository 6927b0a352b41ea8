/* SPDX-License-Identifier: Apache-2.0
 *
 * write_batch: a batch that grows, encoded as it will stand in the log (format/batch.h), in private memory of
 * its own; and what it expects of the table that it is written to. Values that are large in most tables are kept
 * beside it: where they go is known when the batch is written to a table.
 */
#ifndef NC_WRITE_BATCH_H
#define NC_WRITE_BATCH_H

#include "large_write.h"

#include "status.h"

nacre_slice nc_batch_operations(const nacre_batch *batch);
bool nc_batch_holds_ranges(const nacre_batch *batch);
/* Refuses a range with an unbounded end. */
NC_MUST_CHECK nacre_status nc_check_range(nacre_slice from, nacre_slice to_excluded, nacre_error *err);
/* True in a child of the process that filled it: its bytes are gone there. */
bool nc_batch_forked(const nacre_batch *batch);

/* That nobody has written to `key` since `sequence` of `table`; or, `table` being NULL, that it is not there. */
typedef struct nc_expect {
  const nacre_table *table; /* to be compared only: it may be gone */
  uint64_t sequence;
  nacre_slice key;
} nc_expect;

nacre_slice nc_batch_expects(const nacre_batch *batch);
/* Takes the next one off what nc_batch_expects told. */
bool nc_expect_next(nacre_slice *left, nc_expect *ret_expect);

/* Whether nc_batch_operations is not all of it, for this table: what is large there has files of its own. */
bool nc_batch_needs_files(const nacre_batch *batch, const nacre_table *t);
/* Encodes all of it, writing the files, into nc_batch_placed_bound bytes. */
size_t nc_batch_placed_bound(const nacre_batch *batch, const nacre_table *t);
NC_MUST_CHECK nacre_status nc_batch_place(const nacre_batch *batch, nc_large_write *large, uint8_t *to,
                                          size_t *ret_size, nacre_error *err);

#endif
