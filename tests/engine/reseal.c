/* SPDX-License-Identifier: Apache-2.0
 *
 * reseal: see reseal.h.
 */
#include "reseal.h"

#include <stdlib.h>

#include "frame_scan.h"
#include "wrap.h"

void plain_set(plain_frame *frame, const void *bytes, size_t size) {
  uint8_t *copy = test_alloc(size + 1);
  if (size > 0) memcpy(copy, bytes, size);
  free(frame->bytes);
  frame->bytes = copy;
  frame->size = size;
}

void plain_load(const floor_fixture *f, const char *name, plain_file *ret_file) {
  nacre_error err;
  nc_sealed_reader *reader;
  nc_scan scan;
  nc_scan_result result;
  nc_scan_frame frame;
  nacre_slice plaintext;
  must(nc_sealed_reader_open(&f->dir, name, f->keys, NULL, &reader, &err));
  *ret_file = (plain_file){.identity = nc_sealed_reader_header(reader)->identity};
  nc_scan_init(&scan, f->shared.env->heap, reader, NACRE_NONE);
  for (uint64_t offset = NC_FRAMES_OFFSET;; offset += frame.size) {
    must(nc_scan_at(&scan, offset, &result, &frame, &err, &err));
    if (result == NC_SCAN_END) break;
    require(result == NC_SCAN_FRAME && ret_file->count < RESEAL_FRAMES_MAX);
    must(nc_scan_open(&scan, &frame, &plaintext, &err));
    plain_frame *next = &ret_file->frames[ret_file->count++];
    next->type = (nc_frame_type)frame.type;
    plain_set(next, plaintext.data, plaintext.size);
  }
  nc_scan_deinit(&scan);
  nc_sealed_reader_close(reader);
}

void plain_copy(const plain_file *from, plain_file *to) {
  *to = (plain_file){.identity = from->identity, .count = from->count};
  for (size_t i = 0; i < from->count; i++) {
    to->frames[i].type = from->frames[i].type;
    plain_set(&to->frames[i], from->frames[i].bytes, from->frames[i].size);
  }
}

void plain_free(plain_file *file) {
  for (size_t i = 0; i < file->count; i++) free(file->frames[i].bytes);
  *file = (plain_file){0};
}

sealed_again plain_seal(const floor_fixture *f, const char *name, const plain_file *file) {
  nacre_error err;
  static const uint8_t salt[NC_FRAME_SALT_BYTES] = {1, 2, 3, 4};
  sealed_again again = {.header.identity = file->identity};
  nc_seal_ctx *ctx;
  size_t size = NC_FRAMES_OFFSET, at = NC_FRAMES_OFFSET;
  char path[PATH_BYTES];
  for (size_t i = 0; i < file->count; i++) size += nc_frame_size(file->frames[i].size);
  uint8_t *bytes = test_alloc(size);
  must(nc_dek_generate(f->shared.env, nc_table_keys_active(f->keys), &again.header, &ctx, &err));
  for (uint8_t slot = 0; slot < NC_SLOT_COUNT; slot++) {
    again.header.index = slot;
    nc_header_encode(&again.header, bytes + (size_t)slot * NC_SLOT_BYTES);
  }
  for (size_t i = 0; i < file->count; i++) {
    const plain_frame *frame = &file->frames[i];
    must(nc_seal_frame(ctx, frame->type, salt, at, nc_slice(frame->bytes, frame->size), bytes + at, &err));
    memcpy(again.last_tag, bytes + at + NC_FRAME_HEADER_BYTES + frame->size, NC_TAG_BYTES);
    at += nc_frame_size(frame->size);
  }
  nc_seal_ctx_destroy(ctx);
  join(path, f->path, name);
  file_store(path, bytes, size);
  free(bytes);
  again.size = size;
  return again;
}
