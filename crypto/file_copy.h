/* SPDX-License-Identifier: Apache-2.0
 *
 * file_copy: bytes of one file into another, by the file system where it can: as they lie there, sealed.
 */
#ifndef NC_FILE_COPY_H
#define NC_FILE_COPY_H

#include "io.h"

/* Copies bytes [offset, offset + size) to the same place in `to`, both of one env. */
NC_MUST_CHECK nacre_status nc_file_copy(nc_file *from, nc_file *to, uint64_t offset, uint64_t size,
                                        nacre_error *err);

#endif
