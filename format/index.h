/* SPDX-License-Identifier: Apache-2.0
 *
 * index: which block of a segment may hold a key (format/README.md, "Index").
 *
 * An index block has one entry a block it points to: the key is the last key of that block, the value its
 * handle, the sequence 0 (so that it follows every version of that key). A large segment has two levels:
 * index blocks, and a root that points to them.
 */
#ifndef NC_INDEX_H
#define NC_INDEX_H

#include "coding.h"
#include "status.h"

/* Where a frame stands and how long it is, header to padding. */
typedef struct nc_handle {
  uint64_t offset;
  uint32_t size;
} nc_handle;

enum { NC_HANDLE_VARINT_BYTES_MAX = 15 };

/* As an index value: varint offset/16, varint size/16. Returns the bytes written. */
size_t nc_handle_encode(nc_handle handle, uint8_t out[NC_HANDLE_VARINT_BYTES_MAX]);
NC_MUST_CHECK nacre_status nc_handle_decode(nacre_slice bytes, nc_handle *ret_handle, nacre_error *err);
/* Refuses a handle that does not lie, aligned and with a possible size, between the first frame and
 * `file_size`. */
NC_MUST_CHECK nacre_status nc_handle_check(nc_handle handle, uint64_t file_size, nacre_error *err);

#endif
