/* SPDX-License-Identifier: Apache-2.0
 *
 * filler: what stands behind the last frame of a log whose file was made longer ahead of its frames
 * (format/README.md, "Filler").
 *
 *   offset size
 *        0    4  FF FF FF FF: longer than any frame, so never the beginning of one
 *        4    4  the first bytes of the file's UUID
 *        8    8  offset of this unit in the file
 *
 * Not zeros: a disk that loses what it holds gives zeros back, and those are to be told from space that nobody has
 * written a frame to. A unit says where it belongs, so that one in the place of another is none.
 */
#ifndef NC_FILLER_H
#define NC_FILLER_H

#include "coding.h"

enum { NC_FILLER_BYTES = 16 };

/* Fills [offset, offset + size) of a file; both are multiples of NC_FILLER_BYTES. */
void nc_filler_write(uint8_t *bytes, size_t size, const nc_uuid *file, uint64_t offset);
/* How many of the last of `size` bytes are filler, in whole units. */
size_t nc_filler_at_end(const uint8_t *bytes, size_t size, const nc_uuid *file, uint64_t offset);
/* Whether the first half of a unit stands here: that of a frame that is being stored, whose first bytes come last. */
bool nc_filler_begins(const uint8_t bytes[NC_FILLER_BYTES / 2], const nc_uuid *file);

#endif
