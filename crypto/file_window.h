/* SPDX-License-Identifier: Apache-2.0
 *
 * file_window: a file that is appended to through memory: a piece of it behind what it holds, mapped, moves on as it
 * grows.
 *
 * Invariants
 *   1. Only whole, sealed frames are stored, from the caller's memory: never does a cipher work in the map, where who
 *      may write to the file could change its output before the tag is computed of it.
 *   2. What is mapped has been written, with filler (filler.h): no store wants space.
 *   3. Small files stay small: the first piece has 4 KiB, each further one twice what was stored in the one before, up
 *      to 1 MiB. Large frames are written.
 * Threads: one at a time.
 */
#ifndef NC_FILE_WINDOW_H
#define NC_FILE_WINDOW_H

#include <stdatomic.h>

#include "coding.h"
#include "io.h"

typedef struct nc_window {
  nacre_io_map *map;  /* NULL: none */
  uint64_t end;       /* of the map */
  uint64_t stored;    /* in the map, or the one before it */
  uint64_t filled;    /* filler was written up to here */
  atomic_bool synced; /* since it last moved, by any thread */
  bool off;           /* frames are written; for good */
} nc_window;

/* Stores a frame, for which the window may have to move on; `*ret_stored` false: the caller is to write it. Fails when
 * the disk does, but not when it is full, or the file as long as it may be. */
NC_MUST_CHECK nacre_status nc_window_store(nc_window *w, nc_file *file, const nc_uuid *uuid, uint64_t offset,
                                           const void *frame, size_t size, bool *ret_stored,
                                           nacre_error *err);
/* From now on frames are written: cuts off the filler behind `size`, where the file's frames end. That it cannot be cut
 * off is no failure. */
void nc_window_end(nc_window *w, nc_file *file, uint64_t size);
/* Frames that were stored have been synced: at any time, by any thread. */
static inline void nc_window_note_sync(nc_window *w) {
  atomic_store_explicit(&w->synced, true, memory_order_relaxed);
}
void nc_window_close(nc_window *w, nc_file *file); /* what was filled stays */

#endif
