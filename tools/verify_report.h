/* SPDX-License-Identifier: Apache-2.0
 *
 * verify_report: the faults of a store, each told once, and the walks over its directories that find those
 * that need no key.
 */
#ifndef TOOL_VERIFY_REPORT_H
#define TOOL_VERIFY_REPORT_H

#include <nacre/nacre.h>

#include "options.h"

typedef struct verify_report {
  const options *o;
  uint64_t tables, files, frames, bytes, entries;     /* authenticated by the library */
  uint64_t walked_files, walked_frames, walked_bytes; /* by checksum */
  nacre_error *faults;
  size_t fault_count;
  char **notes; /* what is no fault and yet worth saying */
  size_t note_count;
  char **walked; /* directories that were walked */
  size_t walked_count;
  /* Where the logs of the table at hand end, as opening it found: what stands behind it was dropped, and told
   * of. No file: nowhere. */
  char torn_file[128];
  uint64_t torn_offset;
} verify_report;

/* Adds a fault, unless one at the same place of the same file is there already. */
void tool_verify_fault(verify_report *r, const nacre_error *fault);
void tool_verify_note(verify_report *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Before the table's directory is walked. */
void tool_verify_note_torn(verify_report *r, const char *table, const nacre_recovery_report *recovery);
void tool_verify_free(verify_report *r);
/* Shows all; returns the exit status that it comes to. */
int tool_verify_tell(const verify_report *r, uint64_t elapsed_ns);

/* Walks STORE/name without keys; with a domain, each of its frames is authenticated too. `live`: a table
 * (or the catalogue) is known to be there, so that nothing may be missing. */
void tool_verify_walk_directory(verify_report *r, const char *store, const char *name, bool live,
                                nacre_seal_domain *domain);
/* Walks all directories of a store; tells its own failures. */
int tool_verify_walk_store(verify_report *r, const char *store);
/* Once all tables are walked: says what else lies in the store. */
void tool_verify_walk_rest(verify_report *r, const char *store);

#endif
