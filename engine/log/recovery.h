/* SPDX-License-Identifier: Apache-2.0
 *
 * recovery: from the live logs of a table back to its newest entries (format/README.md, "The tail rule").
 */
#ifndef NC_RECOVERY_H
#define NC_RECOVERY_H

#include "commit_log.h"
#include "manifest.h"
#include "memtable.h"
#include "value_set.h"

typedef struct nc_recovery {
  /* in */
  const nc_dir *dir;
  const nc_table_keys *keys;
  const nc_manifest_content *manifest;
  nacre_recovery_mode mode;
  nc_value_set *values; /* to which files of large values that the logs refer to are added; NULL: not wanted */
  nc_memtable *memtable; /* receives the entries */
  /* out: what became of each log of the manifest, in its order */
  nc_log **logs; /* counted, the caller's; manifest->log_count of them */
  uint64_t last_sequence;
  nacre_recovery_report report;
} nc_recovery;

/* Reads only. Refuses what the tail rule refuses: NC_E_LOG_MISSING, NC_E_LOG_DAMAGED, NC_E_LOG_TAMPERED,
 * NC_E_LOG_GAP, NC_E_LOG_SEARCH, NC_E_MANIFEST_ROLLED_BACK. `logs` is an array of manifest->log_count NULLs,
 * filled as far as possible. */
NC_MUST_CHECK nacre_status nc_recover_logs(nc_recovery *r, nacre_error *err);
/* Adds the operations of a group record to a memtable, under the sequences that the record tells, and the value
 * files that they refer to to a set (NULL: not wanted). */
NC_MUST_CHECK nacre_status nc_replay_group(nc_memtable *memtable, nc_value_set *values,
                                           const nc_log_record *record, nacre_error *err);

#endif
