/* SPDX-License-Identifier: Apache-2.0
 *
 * segment_file: a segment's inside, shared by segment.c (its life, blocks), segment_open.c (its file),
 * open_segments.c (which are open), segment_get.c (point reads) and segment_cursor.c (moving in it).
 *
 * `holds` say how many readers hold the open file: the sum of stripes, of which one that is let go of by another
 * thread may be below 0. A reader adds itself first and looks at `closed` afterwards; if it is set, the hold does not
 * count and is taken back. Whoever closes the file sets `closed` first and adds up afterwards; so one of the two sees
 * the other, and a sum of 0 means that all who held have let go. `file` and `closed` change under open_lock.
 */
#ifndef NC_SEGMENT_FILE_H
#define NC_SEGMENT_FILE_H

#include "segment.h"
#include "stripe.h"

struct nc_segment_file {
  nc_heap *heap;
  nc_segment_file *next; /* among those that are being closed */
  nc_sealed_reader *reader;
  nc_footer footer;
  nc_properties properties;
  uint8_t *properties_bytes; /* frame that the properties' keys point into */
  size_t properties_size;
  nc_cached_block *root; /* the top of the index stays in memory */
  uint8_t *filter;       /* NULL: there is none, or its frames come through the cache */
  size_t filter_size;
};

enum { NC_HOLD_STRIPE_BITS = 2 };
typedef struct nc_hold_stripe {
  _Alignas(NC_STRIPE_BYTES) atomic_uint count;
} nc_hold_stripe;

typedef struct nc_segment_ranges_frame nc_segment_ranges_frame;

struct nc_segment {
  atomic_uint refs;
  const nc_segment_home *home;
  nc_segment_record record; /* its keys live in `keys` */
  uint8_t *keys;
  size_t keys_size;
  uint64_t epoch_max, cache_id;
  atomic_bool obsolete;
  const void *taken;
  bool aside;
  pthread_mutex_t open_lock;
  nc_hold_stripe holds[1 << NC_HOLD_STRIPE_BITS]; /* readers in `file` */
  atomic_bool closed;                             /* there is no `file`, or somebody is about to take it */
  atomic_bool used;                               /* since the clock looked */
  nc_segment_file *file;
  nc_segment *open_next, *open_previous;     /* in the store's clock; NULL: not in it */
  _Atomic(nc_segment_ranges_frame *) ranges; /* NULL until asked for; segment_ranges.c */
};

/* Counts the caller in; true: the file is open, and stays so until nc_segment_let. Else nothing is held. */
bool nc_segment_try_hold(nc_segment *s);
/* Takes the file out of a segment that nobody holds; NULL when somebody does. Needs open_lock. */
nc_segment_file *nc_segment_take_file_locked(nc_segment *s);

/* segment_open.c: opens, checks and reads in what stays in memory while the file is open. */
NC_MUST_CHECK nacre_status nc_segment_file_open(nc_segment *s, nc_segment_file **ret_file, nacre_error *err);
void nc_segment_file_close(nc_segment_file *file);
/* Opens and unpacks a block of the file that is held, past the cache. One that stays gets signposts. */
NC_MUST_CHECK nacre_status nc_segment_file_block(nc_segment *s, nc_segment_file *f, nc_handle handle,
                                                 uint8_t type, bool stays, nc_cached_block **ret_block,
                                                 nacre_error *err);
/* Reads a filter in whole, if it is not. Not beside readers of the file. */
NC_MUST_CHECK nacre_status nc_segment_filter_load(nc_segment_file *f, nacre_error *err);
/* Where frame `i` of the filter stands. */
nc_handle nc_segment_filter_handle(const nc_segment_file *f, uint32_t i);
/* One frame of the filter; `ret_lines` are inside of it. */
NC_MUST_CHECK nacre_status nc_segment_filter_frame(nc_segment *s, nc_segment_file *f, uint32_t i,
                                                   nc_cached_block **ret_block, nacre_error *err);
/* From the cache; false: it is not there, as what it is wanted as. `hint` may be NULL. A count for the caller. */
bool nc_segment_cached(nc_segment *s, uint64_t offset, uint8_t type, nc_cache_hint *hint,
                       nc_cached_block **ret_block);
/* From the file and, unless `no_cache_fill`, into the cache. A count for the caller. */
NC_MUST_CHECK nacre_status nc_segment_load(nc_segment *s, nc_segment_file *f, nc_handle handle, uint8_t type,
                                           bool no_cache_fill, nc_cached_block **ret_block, nacre_error *err);
/* The same from its frame, as it was read raw into private memory, which is opened in place and wiped. */
NC_MUST_CHECK nacre_status nc_segment_open_block(nc_segment *s, nc_segment_file *f, nc_handle handle,
                                                 uint8_t *frame, uint8_t type, bool no_cache_fill,
                                                 nc_cached_block **ret_block, nacre_error *err);
/* Where an entry of an index block leads, and where the block that it names was found last (may be NULL). */
NC_MUST_CHECK nacre_status nc_segment_address(nc_segment_file *f, nc_cached_block *index, nacre_slice name,
                                              nc_handle *ret_handle, nc_cache_hint **ret_hint,
                                              nacre_error *err);
/* From the cache, else from the file. A count for the caller. `hint` may be NULL. */
NC_MUST_CHECK nacre_status nc_segment_block(nc_segment *s, nc_segment_file *f, nc_handle handle, uint8_t type,
                                            bool no_cache_fill, nc_cache_hint *hint,
                                            nc_cached_block **ret_block, nacre_error *err);
/* The same for the block that an entry of an index block names by its value. */
NC_MUST_CHECK nacre_status nc_segment_named_block(nc_segment *s, nc_segment_file *f, nc_cached_block *index,
                                                  nacre_slice name, uint8_t type, bool no_cache_fill,
                                                  nc_cached_block **ret_block, nacre_error *err);

void nc_segment_ranges_drop(nc_segment *s);

/* Of a segment that was loaded in bulk all entries have the sequence that the manifest tells. [S6] */
static inline void nc_segment_give_sequence(const nc_segment *s, nc_entry *entry) {
  uint64_t one = nc_segment_one_sequence(&s->record);
  if (one != 0) entry->sequence = one;
}
/* Whether its entries are all newer than `sequence`, for that reason. */
static inline bool nc_segment_all_newer(const nc_segment *s, uint64_t sequence) {
  return sequence < nc_segment_one_sequence(&s->record);
}

#endif
