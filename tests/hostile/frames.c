/* SPDX-License-Identifier: Apache-2.0
 *
 * frames: see frames.h.
 */
#include "frames.h"

#include "crc32c.h"
#include "support.h"

bool is_sealed(const shelf_file *file) {
  return shelf_ends_in(file, ".seg") || shelf_ends_in(file, ".val") || shelf_ends_in(file, ".log") ||
         shelf_ends_in(file, ".man");
}

bool is_padding(const shelf_file *file, uint64_t offset) {
  uint64_t in_slot = offset % NC_SLOT_BYTES;
  return is_sealed(file) && offset < NC_FRAMES_OFFSET && in_slot >= PADDING_FROM && in_slot < PADDING_TO;
}

void frames_find(const shelf_file *file, frame_list *ret) {
  unsigned groups = 0;
  *ret = (frame_list){0};
  if (!is_sealed(file)) return;
  for (uint64_t at = NC_FRAMES_OFFSET; at < file->size;) {
    const uint8_t *p = file->bytes + at;
    if (ret->count == FRAMES_MAX || file->size - at < NC_FRAME_HEADER_BYTES || !nc_frame_plausible(p))
      test_die("%s/%s: no frame at %llu", file->directory, file->name, (unsigned long long)at);
    groups += p[4] == NC_FRAME_LOG_GROUP;
    ret->at[ret->count] = (frame_place){at, nc_frame_size(nc_get_u32(p)), p[4], groups};
    at += ret->at[ret->count++].size;
  }
}

const frame_place *frame_at(const frame_list *list, uint64_t offset) {
  for (size_t i = 0; i < list->count; i++)
    if (offset >= list->at[i].offset && offset - list->at[i].offset < list->at[i].size) return &list->at[i];
  return NULL;
}

void frame_mend(shelf_file *file, const frame_place *frame) { nc_frame_finish(file->bytes + frame->offset); }

void slot_mend(uint8_t slot[NC_SLOT_BYTES]) {
  nc_put_u32(slot + NC_SLOT_BYTES - 4, nc_crc32c(0, slot, NC_SLOT_BYTES - 4));
}
