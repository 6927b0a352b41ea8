/* SPDX-License-Identifier: Apache-2.0
 *
 * salvage: everything of one table that authenticates, copied to a new store (nacre.h, nacre_salvage).
 *
 * Invariants
 *   1. The source is opened for reading only; nothing there is made, healed, renamed or removed.
 *   2. Nothing that has not authenticated as the table's own, under its own number, is ever copied.
 *   3. What is left out is noted. Only a want of memory, or the new store, ends the work early.
 * One thread does it all.
 *
 *   salvage.c          the call: from here to there
 *   salvage_find.c     which table is meant, and its keys, also without a catalogue
 *   salvage_table.c    which files take part, with a manifest or without
 *   salvage_files.c    the files of a table's directory, when no manifest names them
 *   salvage_segment.c  the entries of a run of segments, frame by frame, without their indexes
 *   salvage_ranges.c   their range deletes
 *   salvage_log.c      the groups of damaged logs
 *   salvage_value.c    large values, from files of their own
 *   salvage_target.c   the new store
 *   salvage_work.c     findings, progress, room: what all of these need
 */
#ifndef NC_SALVAGE_H
#define NC_SALVAGE_H

#include "faults.h"
#include "fold_cursor.h"
#include "store.h"

typedef struct nc_salvage {
  const nacre_salvage_options *options;
  const nacre_store_options *source;
  nc_shared shared; /* the source's */
  nc_dir dir;       /* the store's directory */
  nacre_key_spec *specs;
  size_t spec_count;
  nacre_salvage_report report;
  uint64_t bytes_done, bytes_total;
} nc_salvage;

/* As the caller opens the source, for one thread that reads everything once. */
nacre_store_options nc_salvage_store_options(const nc_salvage *s);

/* ---- findings ------------------------------------------------------------------------------------------ */

/* Notes a fault, unless one at the same place was noted before. `extent` may be NULL. */
NC_MUST_CHECK nacre_status nc_salvage_note(nc_salvage *s, const nacre_error *fault,
                                           const nacre_fault_extent *extent, nacre_error *err);
void nc_salvage_progress(nc_salvage *s, uint64_t bytes);
/* Bytes that a buffer of the private heap must hold; what was in it is lost when it grows. */
NC_MUST_CHECK nacre_status nc_salvage_room(nc_heap *heap, uint8_t **buffer, size_t *capacity, size_t need,
                                           nacre_error *err);

/* ---- one file that takes part -------------------------------------------------------------------------- */

typedef struct nc_salvage_file {
  char name[NC_FILE_NAME_BYTES];
  nc_uuid origin_table;
  uint64_t number, size;
  bool pinned; /* the manifest names its UUID and its data key */
  nc_uuid file;
  uint8_t dek_commitment[NC_COMMITMENT_BYTES];
  /* segments: the range of its keys, NULL data where it is not known; in the private heap when `owns_keys` */
  nacre_slice smallest, largest;
  bool owns_keys;
  bool no_ranges;          /* the manifest says that a segment holds no range deletes */
  uint64_t sequence_max;   /* segments, of a whole one; else 0 */
  uint64_t one_sequence;   /* segments: of all entries; 0: they bear their own */
  uint64_t load;           /* segments without a manifest: the number of the load's first one; 0: none is known */
  uint64_t load_sequence;  /* what the header tells of it */
  bool never_committed;    /* a load that was not */
  uint64_t first_sequence; /* logs: of the first authentic frame; else NACRE_NONE */
} nc_salvage_file;

NC_MUST_CHECK nacre_status nc_salvage_open_file(const nc_dir *dir, const nc_table_keys *keys,
                                                const nc_salvage_file *file, nc_file_type type,
                                                nc_sealed_reader **ret_reader, nacre_error *err);

/* What the end of a whole segment says of it; `*buffer` keeps what the properties' keys point into. `ret_footer` may be
 * NULL. */
NC_MUST_CHECK nacre_status nc_salvage_properties(nc_sealed_reader *reader, nc_heap *heap, uint8_t **buffer,
                                                 size_t *capacity, nc_footer *ret_footer,
                                                 nc_properties *ret_properties, nacre_error *err);

/* The files of a table's directory that authenticate as its own; the others are noted. */
typedef struct nc_salvage_listing {
  nc_salvage_file *segments, *logs; /* logs in the order of their numbers */
  size_t segment_count, log_count, segment_capacity, log_capacity;
} nc_salvage_listing;

NC_MUST_CHECK nacre_status nc_salvage_list(nc_salvage *s, const nc_dir *dir, const nc_table_keys *keys,
                                           nc_salvage_listing *ret_listing, nacre_error *err);
/* Makes room for one more and returns it, zeroed; NULL without memory. */
nc_salvage_file *nc_salvage_list_add(nc_salvage_file **list, size_t *count, size_t *capacity);
void nc_salvage_list_free(nc_heap *heap, nc_salvage_listing *listing);

/* ---- a table ------------------------------------------------------------------------------------------- */

/* Range deletes of one source. */
typedef struct nc_salvage_ranges {
  struct nc_salvage_ranges *next;
  uint8_t *bytes; /* that the set's keys point into; NULL: they are the memtable's */
  size_t capacity;
  nc_range_set *set; /* NULL: they did not decode */
} nc_salvage_ranges;

/* A table whose entries can be read, one after the other. */
typedef struct nc_salvage_table {
  nc_salvage *s;
  nc_dir dir;
  nc_table_keys *keys;
  nacre_table *loaded;   /* by its manifest; NULL: without one */
  nc_view *view;         /* of `loaded` */
  nc_memtable *memtable; /* of damaged logs; NULL: the view's serves */
  nc_salvage_listing listing;
  nc_cursor *cursor;
  nc_salvage_ranges *ranges;
  size_t range_sets;
  nc_range_set *all_ranges; /* of `ranges`, the newest over each key */
  nc_fold fold;             /* over the cursor: the newest put of each key */
  bool at_entry;            /* that was handed out */
} nc_salvage_table;

/* Takes over `dir` and one count of `keys`, on failure too. Stands before the first entry. */
NC_MUST_CHECK nacre_status nc_salvage_table_open(nc_salvage *s, nc_dir *dir, nc_table_keys *keys,
                                                 const nc_table_settings *settings, nc_salvage_table *ret_t,
                                                 nacre_error *err);
/* The newest version of the next key that is not deleted; `*ret_more` false at the end. It stays until the
 * next call. */
NC_MUST_CHECK nacre_status nc_salvage_table_next(nc_salvage_table *t, nc_entry *ret_entry, bool *ret_more,
                                                 nacre_error *err);
void nc_salvage_table_close(nc_salvage_table *t);

/* Zeroed: none. In the private heap. */
typedef struct nc_salvage_buffer {
  uint8_t *bytes;
  size_t capacity;
} nc_salvage_buffer;
/* Puts the value of a large put in its reference's place, in a buffer that the caller keeps; other entries stay as
 * they are. One that cannot be read whole is noted. */
NC_MUST_CHECK nacre_status nc_salvage_value(nc_salvage_table *t, nc_entry *entry, nc_salvage_buffer *buffer,
                                            bool *ret_whole, nacre_error *err);

/* The entries of segments that do not overlap and stand in key order. Forward only. Borrows the files. */
NC_MUST_CHECK nacre_status nc_salvage_run(nc_salvage_table *t, const nc_salvage_file *files, size_t count,
                                          nc_cursor **ret_cursor, nacre_error *err);
/* Reads all range deletes into t->all_ranges. What is lost is noted. */
NC_MUST_CHECK nacre_status nc_salvage_ranges_read(nc_salvage_table *t, nacre_error *err);
void nc_salvage_ranges_free(nc_salvage_table *t);
/* Replays into t->memtable what continues `last_sequence`; `*ret_manifest_sequence` is the newest manifest
 * commit that any frame knows of. */
NC_MUST_CHECK nacre_status nc_salvage_logs(nc_salvage_table *t, nc_salvage_file *logs, size_t count,
                                           uint64_t last_sequence, uint64_t *ret_manifest_sequence,
                                           nacre_error *err);

/* ---- which table --------------------------------------------------------------------------------------- */

typedef struct nc_salvage_found {
  nc_dir dir;
  nc_table_keys *keys;
  nc_table_settings settings;
  char name[NACRE_TABLE_NAME_BYTES_MAX + 1];
} nc_salvage_found;

NC_MUST_CHECK nacre_status nc_salvage_find(nc_salvage *s, const char *table, nc_salvage_found *ret_found,
                                           nacre_error *err);

/* ---- the new store ------------------------------------------------------------------------------------- */

typedef struct nc_salvage_target {
  nacre_store *store;
  nacre_table *table;
  nacre_batch *batch;
} nc_salvage_target;

/* Refuses a place inside the source. On failure there is nothing to close. */
NC_MUST_CHECK nacre_status nc_salvage_target_open(nc_salvage *s, const nc_salvage_found *found,
                                                  nc_salvage_target *ret_target, nacre_error *err);
NC_MUST_CHECK nacre_status nc_salvage_target_put(nc_salvage_target *target, const nc_entry *entry,
                                                 uint64_t expires_ms, nacre_error *err);
/* Makes it durable and gives the table its name; closes. */
NC_MUST_CHECK nacre_status nc_salvage_target_finish(nc_salvage_target *target, const char *name,
                                                    nacre_error *err);
/* Closes what is unfinished. */
void nc_salvage_target_abandon(nc_salvage_target *target);

#endif
