/* SPDX-License-Identifier: Apache-2.0
 *
 * open_segments: how many segments of a store are open at once.
 *
 * An open segment takes a file descriptor, a cipher context and memory for the root of its index and its filter.
 * Whoever reads in one holds it (nc_segment_hold); of those that nobody holds, the ones that were not used
 * lately are closed when another is to be opened, and opened again when they are needed. More than the bound
 * are open only while more are held.
 */
#ifndef NC_OPEN_SEGMENTS_H
#define NC_OPEN_SEGMENTS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

typedef struct nc_segment nc_segment;

typedef struct nc_open_segments {
  pthread_mutex_t lock;
  nc_segment *hand;   /* of a clock over those that are open: the next to be looked at */
  size_t listed;      /* in the clock */
  atomic_size_t open; /* these, and those that are just being opened; changed under the lock */
  size_t max;
} nc_open_segments;

void nc_open_segments_init(nc_open_segments *all, size_t max);
void nc_open_segments_deinit(nc_open_segments *all);
/* Makes room for one more, by closing others; to be followed by _add, or by _give_up when it did not open. */
void nc_open_segments_reserve(nc_open_segments *all);
void nc_open_segments_give_up(nc_open_segments *all);
void nc_open_segments_add(nc_open_segments *all, nc_segment *s);
/* Of a segment that is freed, whether it is in the clock or not. */
void nc_open_segments_remove(nc_open_segments *all, nc_segment *s);
/* Closes all that nobody holds; returns how many. */
size_t nc_open_segments_close_idle(nc_open_segments *all);
size_t nc_open_segments_count(nc_open_segments *all);

#endif
