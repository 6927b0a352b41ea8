/* SPDX-License-Identifier: Apache-2.0
 *
 * value_writer: see value_writer.h.
 */
#include "value_writer.h"

#include <stdio.h>

#include "private_memory.h"
#include "sealed_writer.h"

enum { GATHER_BYTES = 1 << 20 };

void nc_value_file_name(uint64_t number, char name[NC_FILE_NAME_BYTES]) {
  snprintf(name, NC_FILE_NAME_BYTES, "%020llu.val", (unsigned long long)number);
}

/* A part in plain, on its way from the caller's value to the frame that seals it. */
typedef struct packer {
  nc_heap *heap;
  nc_pack_method method;
  nc_compress_workspace workspace; /* zeroed: nothing is to be compressed */
  uint8_t *bytes;
  size_t capacity;
} packer;

static void packer_deinit(packer *p) {
  nc_heap_free(p->heap, p->workspace.memory, p->workspace.size);
  nc_heap_free(p->heap, p->bytes, p->capacity);
}

/* `*p` is for packer_deinit, also after a failure. */
static nacre_status packer_init(packer *p, nc_heap *heap, nc_pack_method method, nacre_error *err) {
  *p = (packer){.heap = heap, .method = method};
  p->capacity = NC_VALUE_PART_HEAD_BYTES + nc_pack_bound(NC_VALUE_PART_BYTES);
  p->bytes = nc_heap_alloc(heap, p->capacity);
  if (p->bytes == NULL) return nc_fail(err, NC_E_NO_MEMORY, "%zu bytes for a part of a value", p->capacity);
  if (method == NC_PACK_NONE) return NACRE_OK;
  size_t size = nc_compress_workspace_size(false);
  void *memory = nc_heap_alloc(heap, size);
  if (memory == NULL) return nc_fail(err, NC_E_NO_MEMORY, "%zu bytes to compress a value", size);
  nacre_status status = nc_compress_init(&p->workspace, memory, size, false, err);
  p->workspace.memory = memory;
  p->workspace.size = size;
  return status;
}

static nacre_status append_part(nc_sealed_writer *w, packer *p, uint32_t part, nacre_slice piece,
                                nacre_error *err) {
  size_t size;
  nc_put_u32(p->bytes, part);
  NC_TRY(nc_pack(&p->workspace, p->method, piece, p->bytes + NC_VALUE_PART_HEAD_BYTES,
                 p->capacity - NC_VALUE_PART_HEAD_BYTES, &size, err));
  return nc_sealed_writer_append(w, NC_FRAME_VALUE_PART, nc_slice(p->bytes, NC_VALUE_PART_HEAD_BYTES + size),
                                 NULL, err);
}

static nacre_status append_parts(nc_sealed_writer *w, nc_heap *heap, nc_pack_method method, nacre_slice value,
                                 nacre_error *err) {
  packer p;
  nacre_status status = packer_init(&p, heap, method, err);
  uint32_t part = 0;
  for (size_t at = 0; at < value.size && status == NACRE_OK; at += NC_VALUE_PART_BYTES) {
    size_t left = value.size - at;
    nacre_slice piece = nc_slice((const uint8_t *)value.data + at,
                                 left < NC_VALUE_PART_BYTES ? left : (size_t)NC_VALUE_PART_BYTES);
    status = append_part(w, &p, part++, piece, err);
  }
  packer_deinit(&p);
  return status;
}

static nacre_status append_end(nc_sealed_writer *w, const nc_value_params *params, size_t value_size,
                               nacre_error *err) {
  nc_value_end end = {.file_size = nc_sealed_writer_size(w) + nc_frame_size(NC_VALUE_END_BYTES),
                      .value_size = value_size,
                      .frame_count = nc_sealed_writer_frames(w) + 1,
                      .part_bytes = NC_VALUE_PART_BYTES,
                      .manifest = params->manifest,
                      .manifest_sequence = params->manifest_sequence};
  uint8_t bytes[NC_VALUE_END_BYTES];
  nc_value_end_encode(&end, bytes);
  return nc_sealed_writer_append(w, NC_FRAME_VALUE_END, nc_slice(bytes, sizeof bytes), NULL, err);
}

static void describe(const nc_sealed_writer *w, size_t value_size, nc_value_name *name) {
  const nc_header_slot *header = nc_sealed_writer_header(w);
  *name = (nc_value_name){.number = header->identity.number,
                          .file = header->identity.file,
                          .origin_table = header->identity.origin_table,
                          .size = nc_sealed_writer_size(w),
                          .value_size = value_size};
  memcpy(name->last_tag, nc_sealed_writer_last_tag(w), NC_TAG_BYTES);
  memcpy(name->dek_commitment, header->dek_commitment, NC_COMMITMENT_BYTES);
}

nacre_status nc_value_write(const nc_dir *dir, const nc_value_params *params, const nc_kek *kek,
                            nacre_slice value, nc_value_name *ret_name, nacre_error *err) {
  if (value.size > NACRE_VALUE_BYTES_MAX) return nc_fail(err, NC_E_VALUE_TOO_LARGE, "%zu bytes", value.size);
  char name[NC_FILE_NAME_BYTES];
  nc_value_file_name(params->number, name);
  nc_identity identity = {
      .type = NC_FILE_VALUE, .origin_table = params->table, .number = params->number, .epoch = params->epoch};
  nc_sealed_writer *w;
  NC_TRY(nc_sealed_writer_create(dir, name, &identity, kek, GATHER_BYTES, &w, err));
  nacre_status status = append_parts(w, dir->env->heap, params->method, value, err);
  if (status == NACRE_OK) status = append_end(w, params, value.size, err);
  if (status == NACRE_OK) status = nc_sealed_writer_sync(w, err);
  if (status == NACRE_OK) describe(w, value.size, ret_name);
  nc_sealed_writer_close(w);
  if (status != NACRE_OK) nc_ignore(nc_dir_remove(dir, name, NULL)); /* an orphan if it stays */
  return status;
}
