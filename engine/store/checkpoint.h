/* SPDX-License-Identifier: Apache-2.0
 *
 * checkpoint: a store copied while it is used: one table's files (checkpoint.c), and all of them
 * (checkpoint_store.c).
 */
#ifndef NC_CHECKPOINT_H
#define NC_CHECKPOINT_H

#include "named_files.h"
#include "store.h"

typedef struct nc_checkpoint {
  nc_dir to;
  const nacre_checkpoint_options *options;
  nacre_checkpoint_report report;
  uint64_t bytes_total; /* of bodies: what is copied without locks */
  uint64_t bytes_done;
} nc_checkpoint;

/* A file that may grow or go, held open since the table's moment; its first `size` bytes count. */
typedef struct nc_taken_file {
  nc_file file;
  char name[NC_FILE_NAME_BYTES];
  uint64_t size;
} nc_taken_file;

/* One table on its way. Zeroed but for the first. */
typedef struct nc_table_copy {
  nacre_table *table;
  nc_dir to;
  nc_named_files named; /* keeps what it names */
  uint8_t current[NC_CURRENT_BYTES];
  nc_taken_file *taken; /* manifest and logs */
  size_t taken_count;
} nc_table_copy;

/* All but the bodies of segments and value files. Needs the locks that checkpoint.c tells. */
NC_MUST_CHECK nacre_status nc_checkpoint_take_locked(nc_checkpoint *c, nc_table_copy *copy,
                                                     const char *directory, nacre_error *err);
/* The rest; the table's directory is whole and durable then. Takes no lock. */
NC_MUST_CHECK nacre_status nc_checkpoint_finish(nc_checkpoint *c, nc_table_copy *copy, nacre_error *err);
void nc_table_copy_end(nc_table_copy *copy);

#endif
