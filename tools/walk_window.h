/* SPDX-License-Identifier: Apache-2.0
 *
 * walk_window: the piece of a walked file that is in memory.
 */
#ifndef TOOL_WALK_WINDOW_H
#define TOOL_WALK_WINDOW_H

#include "walk.h"

enum { WALK_READ_BYTES = 1024 * 1024 };
#define WALK_WINDOW_BYTES (NC_FRAME_BYTES_MAX + WALK_READ_BYTES)

/* The bytes at [offset, offset + size) of the file, size at most WALK_WINDOW_BYTES; NULL when the file
 * does not hold them or they cannot be read. Valid until the next call. */
const uint8_t *tool_window_at(walk *w, uint64_t offset, size_t size);

#endif
