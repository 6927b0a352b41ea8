/* SPDX-License-Identifier: Apache-2.0
 *
 * rewrap: bringing the header of one sealed file under the active table key, in place, without touching its
 * data (format/README.md, "Rewrapping").
 *
 * Invariants
 *   1. At every moment at least one slot is whole, on stable storage, and unwraps under a key of the set.
 *   2. The two slots are never both dirty: a slot is written only after the other is known to be durable.
 *   3. Nothing is written to a file that has not been authenticated.
 *   4. A file of several names, or whose sync fails, is not written any further: a copy takes its place.
 * The caller keeps two rewraps of one file apart, and does not rewrap a file that is being appended to.
 */
#ifndef NC_REWRAP_H
#define NC_REWRAP_H

#include "sealed_reader.h"

#define NC_REWRAP_SUFFIX ".tmp" /* of a copy on its way; what a crash leaves of it means nothing */

typedef enum nc_rewrap_outcome {
  NC_REWRAP_NOTHING = 0, /* both slots are equal and under the active key */
  NC_REWRAP_HEALED = 1,  /* one slot was under the active key; now both are */
  NC_REWRAP_DONE = 2,
  NC_REWRAP_COPIED = 3 /* a copy with a fresh header has taken the file's place */
} nc_rewrap_outcome;

typedef struct nc_rewrap_result {
  nc_rewrap_outcome outcome;
  uint64_t header_bytes, copied_bytes; /* written */
} nc_rewrap_result;

/* On return the file's header is under the active key of `keys`, on stable storage. `expect` may be NULL.
 * `was_durable`: this process knows that what it reads of the file is on stable storage; what a process that
 * died has written may stand in the page cache only, and then equal slots prove nothing.
 * Errors: as nc_sealed_reader_open, and of writing; the file opens as before then. */
NC_MUST_CHECK nacre_status nc_rewrap_file(const nc_dir *dir, const char *name, const nc_table_keys *keys,
                                          const nc_sealed_expect *expect, bool was_durable,
                                          nc_rewrap_result *ret_result, nacre_error *err);
/* The same, and the header tells the sequence of a bulk load, the file being its first segment. The file was written by
 * this process, and is durable. */
NC_MUST_CHECK nacre_status nc_rewrap_note_load(const nc_dir *dir, const char *name, const nc_table_keys *keys,
                                               const nc_sealed_expect *expect, uint64_t load_sequence,
                                               nacre_error *err);

#endif
