/* SPDX-License-Identifier: Apache-2.0
 *
 * write_batch: a batch that grows, encoded as it will stand in the log (format/batch.h), in private memory of
 * its own.
 */
#ifndef NC_WRITE_BATCH_H
#define NC_WRITE_BATCH_H

#include <nacre/nacre.h>

nacre_slice nc_batch_operations(const nacre_batch *batch);
/* True in a child of the process that filled it: its bytes are gone there. */
bool nc_batch_forked(const nacre_batch *batch);

#endif
