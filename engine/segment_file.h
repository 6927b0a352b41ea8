/* SPDX-License-Identifier: Apache-2.0
 *
 * segment_file: a segment's inside, shared by segment.c (its life, opening, blocks) and segment_cursor.c
 * (moving in it).
 */
#ifndef NC_SEGMENT_FILE_H
#define NC_SEGMENT_FILE_H

#include "segment.h"

typedef struct nc_segment_file {
  nc_sealed_reader *reader;
  nc_footer footer;
  nc_properties properties;
  uint8_t *properties_bytes; /* frame that the properties' keys point into */
  size_t properties_size;
  nc_cached_block *root; /* the top of the index stays in memory */
  uint8_t *filter;       /* NULL: no filter */
  size_t filter_size;
} nc_segment_file;

struct nc_segment {
  atomic_uint refs;
  const nc_segment_home *home;
  nc_segment_record record; /* its keys live in `keys` */
  uint8_t *keys;
  size_t keys_size;
  uint64_t epoch_max, cache_id;
  atomic_bool obsolete;
  pthread_mutex_t open_lock;
  _Atomic(nc_segment_file *) file; /* NULL until opened */
};

NC_MUST_CHECK nacre_status nc_segment_load(nc_segment *s, nc_segment_file **ret_file, nacre_error *err);
/* From the cache, else from the file and, unless `no_cache_fill`, into the cache. A count for the caller. */
NC_MUST_CHECK nacre_status nc_segment_block(nc_segment *s, nc_handle handle, uint8_t type, bool no_cache_fill,
                                            nc_cached_block **ret_block, nacre_error *err);

#endif
