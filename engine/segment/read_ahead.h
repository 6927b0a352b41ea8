/* SPDX-License-Identifier: Apache-2.0
 *
 * read_ahead: the data blocks that a scan comes to next, read together before it asks for them.
 *
 * A cursor that has moved over a few blocks in order, and found none of them in the cache, has the following ones
 * read as one window: those whose frames lie one behind the other, by one read. Windows grow while the scan goes on,
 * from some blocks to some hundred KiB. Once they are worth it, the next window is given to a worker that has nothing
 * else to do: it reads it and opens its blocks, while the scan is in the window before. A scan that comes to a block
 * which nobody has opened yet opens it itself, and one that comes to a window which no worker has begun takes it back,
 * so nobody waits for a place in a queue. Without workers, a window is read when the scan comes to it, and each block
 * is opened then.
 *
 * Nothing is read ahead that lies beyond the bounds of the scan, nor where the store's memory is short; nor are more
 * blocks opened ahead of the scan than a window may hold, however well they are packed. What fails
 * is left out: the scan reads that block by itself when it comes there, and is told then what is wrong.
 *
 * Frames lie in private memory and are opened in place; opened blocks go to the cache like any others.
 */
#ifndef NC_READ_AHEAD_H
#define NC_READ_AHEAD_H

#include "index_walk.h"

enum { NC_READ_AHEAD_BYTES_MIN = 16 << 10, NC_READ_AHEAD_BYTES_MAX = 256 << 10 };

/* Of one cursor, and used by its thread. It holds nothing but its windows, which end with every drop. */
typedef struct nc_read_ahead {
  nc_travel travel;
  nc_move move;               /* where the windows lead: NC_MOVE_NEXT or _PREV */
  struct nc_windows *windows; /* NULL: nothing is read ahead */
  size_t misses;              /* in a row */
  size_t bytes;               /* that the next window may read */
} nc_read_ahead;

/* Nowhere; nothing is known of how the scan goes. `windows` must be NULL. */
void nc_read_ahead_init(nc_read_ahead *a, const nc_travel *travel);
/* Enters the data block that `at` stands at, after a move to it. */
NC_MUST_CHECK nacre_status nc_read_ahead_enter(nc_read_ahead *a, nc_index_walk *at, nc_move move,
                                               nc_stand *data, nacre_error *err);
/* Gives up what is read ahead. Waits for a worker that does it, for no more than what it has begun. To be called
 * before the segment is let go. */
void nc_read_ahead_drop(nc_read_ahead *a);
/* The same, and whatever comes next is another scan. */
void nc_read_ahead_reset(nc_read_ahead *a);

#endif
