/* SPDX-License-Identifier: Apache-2.0
 *
 * segment: one immutable sorted file of a table, opened when it is read, and closed again when too many are
 * open (open_segments.h).
 *
 * Counted; versions hold counts. A segment that has become obsolete removes its file when the last count
 * goes: no reader needs it then. Any number of threads may read.
 */
#ifndef NC_SEGMENT_H
#define NC_SEGMENT_H

#include "cursor.h"
#include "footer.h"
#include "io.h"
#include "manifest_edit.h"
#include "range_set.h"
#include "sealed_reader.h"
#include "shared.h"

typedef struct nc_segment nc_segment;
typedef struct nc_segment_file nc_segment_file; /* an open one: segment_file.h */

/* What the segments of one table have in common; outlives them. */
typedef struct nc_segment_home {
  nc_shared *shared;
  nacre_table *table;
  const nc_dir *dir;
  nc_key_holder *keys;
} nc_segment_home;

/* Copies the record but for run and level: where a segment stands is its version's to say. `epoch_max`: a file
 * of a higher epoch is refused. Touches no file. */
NC_MUST_CHECK nacre_status nc_segment_create(const nc_segment_home *home, const nc_segment_record *record,
                                             uint64_t epoch_max, nc_segment **ret_segment, nacre_error *err);
void nc_segment_ref(nc_segment *s);
void nc_segment_unref(nc_segment *s);
const nc_segment_record *nc_segment_describe(const nc_segment *s);
/* The sequence of the entries of a segment that was loaded in bulk, and that nothing names yet. */
void nc_segment_set_sequence(nc_segment *s, uint64_t sequence);
/* The sequence of all its entries; 0: they bear their own. */
static inline uint64_t nc_segment_one_sequence(const nc_segment_record *record) {
  return (record->flags & NC_SEGMENT_ONE_SEQUENCE) != 0 ? record->sequence_max : 0;
}
/* Who merges it now; NULL: nobody. Under the table's merge_lock. */
void nc_segment_set_taken(nc_segment *s, const void *by);
const void *nc_segment_taken(const nc_segment *s);
/* A merge could not read it: none chooses it again until it is put back. Under the table's merge_lock. */
void nc_segment_set_aside(nc_segment *s, bool aside);
bool nc_segment_aside(const nc_segment *s);
/* The file goes with the last count. */
void nc_segment_set_obsolete(nc_segment *s);
/* It stays after all: it has only moved. */
void nc_segment_clear_obsolete(nc_segment *s);

/* Frees the cursors that are kept for reuse. */
void nc_segment_cursors_drop(nc_shared *shared);

/* Opens it if it is not, and keeps it open until it is let go, once for each hold. `ret_file` may be NULL. */
NC_MUST_CHECK nacre_status nc_segment_hold(nc_segment *s, nc_segment_file **ret_file, nacre_error *err);
void nc_segment_let(nc_segment *s);
/* Opens it now, if it is not: the named file is present and is the one that was named. */
NC_MUST_CHECK nacre_status nc_segment_open(nc_segment *s, nacre_error *err);

/* The newest version of `key` at or before `sequence`. `*ret_pin` keeps the entry's value; its
 * key is not filled. */
NC_MUST_CHECK nacre_status nc_segment_get(nc_segment *s, nacre_slice key, uint64_t sequence,
                                          bool no_cache_fill, bool *ret_found, nc_entry *ret_entry,
                                          nc_pin **ret_pin, nacre_error *err);
/* The same for several keys. */
typedef enum nc_lookup_state {
  NC_LOOKUP_SEEKING, /* not found so far */
  NC_LOOKUP_FOUND,
  NC_LOOKUP_ALONE /* to be read by itself, with nc_segment_get in all segments: something was in the way */
} nc_lookup_state;
enum { NC_LOOKUPS_MAX = 128 };
typedef struct nc_lookup {
  nacre_slice key;
  uint64_t hidden; /* the caller's */
  nc_lookup_state state;
  nc_entry entry; /* once it is found; its key is not filled */
  nc_pin *pin;
  bool named; /* segment_get_many.c: where the search stands */
  nc_handle handle;
  nc_cache_hint *hint;
  nc_cached_block *leaf, *data;
} nc_lookup;
/* At most NC_LOOKUPS_MAX, all of them seeking, in the order of their keys. */
void nc_segment_get_many(nc_segment *s, nc_lookup *const *lookups, size_t count, uint64_t sequence,
                         bool no_cache_fill);
/* Its range deletes, decoded when they are first asked for; NULL: none. They stay while the segment does. */
NC_MUST_CHECK nacre_status nc_segment_ranges(nc_segment *s, const nc_range_set **ret_set, nacre_error *err);
/* Those of several segments in one set, which borrows from them; NULL: none. */
NC_MUST_CHECK nacre_status nc_segments_ranges(nc_segment *const *segments, size_t count, nc_range_set **ret_set,
                                              nacre_error *err);
/* How a cursor will be used. */
typedef struct nc_travel {
  bool no_cache_fill;
  bool helped;                       /* workers that have nothing else to do read ahead for it */
  nacre_slice lower, upper_excluded; /* nothing beyond is read ahead; NULL data: no bound. Borrowed */
} nc_travel;
/* The cursor keeps the segment. `travel` is copied. */
NC_MUST_CHECK nacre_status nc_segment_cursor(nc_segment *s, const nc_travel *travel, nc_cursor **ret_cursor,
                                             nacre_error *err);

/* Takes it to another segment, nowhere in it yet. */
void nc_segment_cursor_change(nc_cursor *cursor, nc_segment *s);

/* For verify: the file that stands in the directory now, which need not be the one that was opened when the
 * segment was first read. */
NC_MUST_CHECK nacre_status nc_segment_open_file(nc_segment *s, nc_sealed_reader **ret_reader,
                                                nacre_error *err);
/* The parts of one that is held. */
nc_sealed_reader *nc_segment_reader(nc_segment *s);
const nc_footer *nc_segment_footer(nc_segment *s);
const nc_properties *nc_segment_properties(nc_segment *s);
/* Whether it may hold the key. */
NC_MUST_CHECK nacre_status nc_segment_filter_admits(nc_segment *s, nc_segment_file *f, nacre_slice key,
                                                    bool *ret_admits, nacre_error *err);
/* Opens and unpacks a block, past the cache. */
NC_MUST_CHECK nacre_status nc_segment_read_block(nc_segment *s, nc_handle handle, uint8_t type,
                                                 nc_cached_block **ret_block, nacre_error *err);

#endif
