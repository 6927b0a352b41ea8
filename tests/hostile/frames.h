/* SPDX-License-Identifier: Apache-2.0
 *
 * frames: where the frames of a sealed file stand, read off the intact file without keys, and its checksums
 * put right again after a change.
 */
#ifndef NACRE_TESTS_HOSTILE_FRAMES_H
#define NACRE_TESTS_HOSTILE_FRAMES_H

#include "frame.h"
#include "header.h"
#include "subject.h"

enum {
  FRAMES_MAX = 64,
  PADDING_FROM = 208, /* zeros of a header slot, up to its checksum */
  PADDING_TO = NC_SLOT_BYTES - 4,
  PADDING_SPARSER = 17 /* where not all is tried: they are most of the store, and all alike */
};

typedef struct frame_place {
  uint64_t offset;
  size_t size;
  uint8_t type;
  unsigned groups; /* log group frames of this file up to and with this one */
} frame_place;

typedef struct frame_list {
  frame_place at[FRAMES_MAX];
  size_t count;
} frame_list;

bool is_sealed(const shelf_file *file);
/* Whether a place of a file is one of the zeros that fill up a header slot. */
bool is_padding(const shelf_file *file, uint64_t offset);
void frames_find(const shelf_file *file, frame_list *ret); /* none, of what is no sealed file */
/* The frame that a byte belongs to; NULL in a header. */
const frame_place *frame_at(const frame_list *list, uint64_t offset);
/* Gives a frame, and a header slot, the checksum that its bytes call for. */
void frame_mend(shelf_file *file, const frame_place *frame);
void slot_mend(uint8_t slot[NC_SLOT_BYTES]);

#endif
