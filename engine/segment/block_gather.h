/* SPDX-License-Identifier: Apache-2.0
 *
 * block_gather: several blocks of a segment that are not in the cache, read by the caller and, if they are worth it,
 * by a worker that has nothing else to do.
 */
#ifndef NC_BLOCK_GATHER_H
#define NC_BLOCK_GATHER_H

#include "segment_file.h"

typedef struct nc_wanted_block {
  nc_handle handle;
  nc_cached_block
      *block; /* with a count for the caller; NULL: it could not be read, and by itself will say why */
} nc_wanted_block;

/* Data blocks of the file that is held. */
void nc_blocks_gather(nc_segment *s, nc_segment_file *f, nc_wanted_block *wanted, size_t count,
                      bool no_cache_fill);

#endif
