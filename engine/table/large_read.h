/* SPDX-License-Identifier: Apache-2.0
 *
 * large_read: large values for readers, from the references that entries hold. The caller keeps what it has the
 * entry from (a view), and with it the file, until the call returns.
 */
#ifndef NC_LARGE_READ_H
#define NC_LARGE_READ_H

#include "table.h"
#include "value_reader.h"

/* The whole value in private memory of its own, which goes with the pin. */
NC_MUST_CHECK nacre_status nc_large_load(nacre_table *t, nacre_slice reference, nacre_slice *ret_value,
                                         nc_pin **ret_pin, nacre_error *err);
/* How long the value is, without looking at the file. */
NC_MUST_CHECK nacre_status nc_large_size(nacre_slice reference, uint64_t *ret_size, nacre_error *err);
/* Bytes [offset, offset + size) of the value, which must lie within it, straight to where the caller wants them;
 * wiped there after a failure. */
NC_MUST_CHECK nacre_status nc_large_copy(nacre_table *t, nacre_slice reference, uint64_t offset, void *buffer,
                                         size_t size, nacre_error *err);

#endif
