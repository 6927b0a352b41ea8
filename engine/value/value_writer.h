/* SPDX-License-Identifier: Apache-2.0
 *
 * value_writer: one large value into a sealed file of its own (format/README.md, "Value files").
 */
#ifndef NC_VALUE_WRITER_H
#define NC_VALUE_WRITER_H

#include "compress.h"
#include "io.h"
#include "table_key.h"
#include "value_file.h"

enum { NC_VALUE_PART_BYTES = 256 << 10 }; /* a part at a time is in memory, sealed or open */

typedef struct nc_value_params {
  nc_uuid table;
  uint64_t number, epoch;
  nc_uuid manifest;
  uint64_t manifest_sequence;
  nc_pack_method method;
} nc_value_params;

void nc_value_file_name(uint64_t number, char name[NC_FILE_NAME_BYTES]);
/* On success the file is whole and synced; its name is made durable by the caller, who syncs the directory. On
 * failure there is no file. */
NC_MUST_CHECK nacre_status nc_value_write(const nc_dir *dir, const nc_value_params *params, const nc_kek *kek,
                                          nacre_slice value, nc_value_name *ret_name, nacre_error *err);

#endif
