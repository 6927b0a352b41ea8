/* SPDX-License-Identifier: Apache-2.0
 *
 * dump: the frames of one sealed file, opened with its keys and decoded. dump.c walks and opens;
 * dump_segment.c, dump_log.c, dump_manifest.c and dump_value.c know what a frame says. Those are given authenticated
 * plaintext only.
 */
#ifndef TOOL_DUMP_H
#define TOOL_DUMP_H

#include <nacre/nacre_seal.h>

#include "compress.h"
#include "emit.h"
#include "entry.h"
#include "value_file.h"
#include "walk.h"

typedef struct dump {
  const options *o;
  const char *path;
  bool catalogue; /* entries are catalogue records */
  nacre_sealed_file *file;
  emit emit;
  bytes plaintext, unpacked, key;
  nc_compress_workspace workspace;
  void *workspace_memory; /* as it was allocated; the workspace lies in it, aligned */
  uint64_t fault_count;
} dump;

/* Each shows one frame's plaintext inside the object that `d->emit` has begun; what does not decode is its
 * error. */
nacre_status tool_dump_segment(dump *d, const walk *w, uint8_t type, nacre_slice plaintext, nacre_error *err);
nacre_status tool_dump_log(dump *d, uint8_t type, nacre_slice plaintext, nacre_error *err);
nacre_status tool_dump_manifest(dump *d, nacre_slice plaintext, nacre_error *err);
nacre_status tool_dump_value(dump *d, const walk *w, uint8_t type, nacre_slice plaintext, nacre_error *err);

/* Which value file a record or a reference names. */
void tool_emit_value_name(emit *e, const nc_value_name *name);
/* One put, delete or range delete, as an item of "entries". */
void tool_dump_entry(dump *d, const nc_entry *entry);

#endif
