/* SPDX-License-Identifier: Apache-2.0
 *
 * value_reader: a large value from its file, part by part (format/README.md, "Value files").
 *
 * What it hands out has authenticated: the file is the one that was named, to its last frame, and each part
 * is the one that belongs to its place. One thread at a time.
 */
#ifndef NC_VALUE_READER_H
#define NC_VALUE_READER_H

#include "sealed_reader.h"
#include "value_file.h"

typedef struct nc_value_reader nc_value_reader;

NC_MUST_CHECK nacre_status nc_value_open(const nc_dir *dir, nc_key_holder *keys, const nc_value_name *name,
                                         nc_value_reader **ret_reader, nacre_error *err);
/* The same with one set of keys. */
NC_MUST_CHECK nacre_status nc_value_open_with(const nc_dir *dir, const nc_table_keys *keys,
                                              const nc_value_name *name, nc_value_reader **ret_reader,
                                              nacre_error *err);
/* Bytes [offset, offset + size) of the value, which must lie within it. On failure what was copied by then is
 * wiped. */
NC_MUST_CHECK nacre_status nc_value_read(nc_value_reader *r, uint64_t offset, void *buffer, size_t size,
                                         nacre_error *err);
const nc_value_end *nc_value_reader_end(const nc_value_reader *r);
nc_sealed_reader *nc_value_reader_file(nc_value_reader *r);
void nc_value_close(nc_value_reader *r); /* NULL is harmless */

/* The end frame of an open file, whatever named it. `ret_tag` may be NULL. */
NC_MUST_CHECK nacre_status nc_value_read_end(nc_sealed_reader *file, nc_value_end *ret_end,
                                             uint8_t ret_tag[NC_TAG_BYTES], nacre_error *err);

#endif
