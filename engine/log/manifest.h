/* SPDX-License-Identifier: Apache-2.0
 *
 * manifest: which files make up a table, and CURRENT, which says which manifest says so (format/README.md,
 * "Manifest").
 *
 * Invariants
 *   1. A writing open never appends to a manifest that it found: it writes its own, of the next epoch, then
 *      CURRENT.
 *   2. Each commit is synced before the next is appended, so that only the last can be torn.
 *   3. After a failed write or sync the manifest takes no more commits; a new one replaces it. Until the new
 *      one is durable no file that either of them might name is removed.
 */
#ifndef NC_MANIFEST_H
#define NC_MANIFEST_H

#include "commit_log.h"
#include "current.h"
#include "manifest_edit.h"
#include "number_index.h"
#include "version.h"

#define NC_CURRENT_NAME "CURRENT"
#define NC_CURRENT_TEMPORARY "CURRENT.tmp"

/* What was read. Records' keys live in `heap`. */
typedef struct nc_manifest_content {
  nc_heap *heap;
  nc_uuid file;
  uint64_t number, epoch;
  uint32_t kek_version_min;
  uint64_t sequence;    /* of the last whole commit */
  uint64_t torn_bytes;  /* of a last commit that was never synced, */
  uint64_t torn_offset; /* and where it stands */
  bool damaged;         /* what is torn is not only the last commit: `to_damage` was asked for */
  nc_table_state state;
  nc_segment_record *segments;
  size_t segment_count, segment_capacity;
  nc_number_index by_number; /* of `segments` */
  nc_value_name *values;
  size_t value_count, value_capacity;
  nc_number_index value_by_number; /* of `values` */
  nc_log_name *logs; /* oldest first */
  size_t log_count, log_capacity;
} nc_manifest_content;

/* Reads CURRENT and the manifest that it names; with `to_damage`, up to the first commit that is damaged, as
 * long as the snapshot before it is whole. `*content` is for nc_manifest_content_deinit, also after a
 * failure. */
NC_MUST_CHECK nacre_status nc_manifest_read(const nc_dir *dir, const nc_table_keys *keys, bool to_damage,
                                            nc_manifest_content *content, nacre_error *err);
void nc_manifest_content_deinit(nc_manifest_content *content);

/* A manifest that this process writes. Zeroed: none. */
typedef struct nc_manifest {
  nc_sealed_writer *writer;
  nc_uuid file;
  uint64_t number, epoch;
  uint64_t sequence; /* of the last synced commit */
} nc_manifest;

/* The state that a new manifest begins with. */
typedef struct nc_manifest_base {
  nc_table_state state;
  const nc_version *version;
  nc_log *const *logs;
  size_t log_count;
  const nc_value_name *values;
  size_t value_count;
  uint64_t number, epoch, sequence;
  uint32_t kek_version_min; /* of CURRENT; below the oldest version that is held: that one's */
} nc_manifest_base;

/* Writes a whole manifest, syncs it, lets CURRENT name it and syncs the directory. On failure *ret_manifest
 * is untouched, and which manifest CURRENT names is not known unless `*ret_unnamed` says that it cannot be
 * the new one. */
NC_MUST_CHECK nacre_status nc_manifest_create(const nc_dir *dir, const nc_table_keys *keys,
                                              const nc_manifest_base *base, nc_manifest *ret_manifest,
                                              bool *ret_unnamed, nacre_error *err);

/* One change of state. */
typedef struct nc_edit {
  nc_segment *const *add; /* to one place; one that is removed, too, moves there */
  size_t add_count;
  nc_place place;
  nc_segment *const *remove;
  size_t remove_count;
  const nc_log_name *add_log; /* NULL: none */
  const uint64_t *drop_logs;
  size_t drop_log_count;
  const nc_value_name *add_values;
  size_t add_value_count;
  const uint64_t *remove_values;
  size_t remove_value_count;
  nc_table_state state; /* after it */
} nc_edit;

/* True when the edit fits one frame and the manifest has not grown past its use: else a new manifest is
 * due. */
bool nc_manifest_fits(const nc_manifest *m, const nc_edit *edit);
/* Appends and syncs. A failure leaves the manifest failed: whether the commit is on disk is not known. */
NC_MUST_CHECK nacre_status nc_manifest_commit(nc_manifest *m, nc_heap *heap, const nc_edit *edit,
                                              nacre_error *err);
void nc_manifest_close(nc_manifest *m);
/* Writes CURRENT anew, for the manifest that it names: under the active key, which becomes the oldest that a
 * file may be under. */
NC_MUST_CHECK nacre_status nc_manifest_raise_minimum(const nc_dir *dir, const nc_table_keys *keys,
                                                     const nc_manifest *m, nacre_error *err);

void nc_manifest_name(uint64_t number, char name[NC_FILE_NAME_BYTES]);
/* Reads and authenticates CURRENT. */
NC_MUST_CHECK nacre_status nc_current_read(const nc_dir *dir, const nc_table_keys *keys,
                                           nc_current *ret_current, nacre_error *err);

#endif
