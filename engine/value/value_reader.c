/* SPDX-License-Identifier: Apache-2.0
 *
 * value_reader: see value_reader.h.
 *
 * Where nothing of a value was compressed, all its parts have the size that the end frame implies, and a part's
 * address is computed. Where something was, frames are walked by their headers, from the front or from the part
 * that was read last: headers do not authenticate alone, but a part that opens says which one it is.
 */
#include "value_reader.h"

#include <stdlib.h>

#include "compress.h"
#include "private_memory.h"
#include "value_writer.h"

struct nc_value_reader {
  nc_heap *heap;
  nc_sealed_reader *file;
  nc_value_end end;
  bool plain;        /* no part is compressed: their addresses are computed */
  uint64_t part, at; /* number and address of the part that comes next */
  uint8_t *frame;    /* the largest frame that a part can have */
  size_t frame_size;
  uint8_t *piece;                  /* an unpacked part of which not all is wanted; NULL until there is one */
  nc_compress_workspace workspace; /* zeroed until something was compressed */
};

/* ---- opening ------------------------------------------------------------------------------------------- */

nacre_status nc_value_read_end(nc_sealed_reader *file, nc_value_end *ret_end, uint8_t ret_tag[NC_TAG_BYTES],
                               nacre_error *err) {
  const char *label = nc_sealed_reader_label(file);
  uint64_t size = nc_sealed_reader_size(file);
  size_t end_size = nc_frame_size(NC_VALUE_END_BYTES);
  uint8_t frame[NC_VALUE_END_BYTES + 64];
  nacre_slice plaintext;
  _Static_assert(
      NC_VALUE_END_BYTES + 64 >= NC_FRAME_HEADER_BYTES + NC_VALUE_END_BYTES + NC_FRAME_TAG_BYTES + 15, "end");
  if (size < NC_FRAMES_OFFSET + end_size)
    return nc_fail_in(err, nc_fail(err, NC_E_FILE_SHORT, NULL), label, 0);
  nc_handle handle = {size - end_size, (uint32_t)end_size};
  NC_TRY(nc_sealed_reader_frame(file, handle, NC_FRAME_VALUE_END, frame, &plaintext, ret_tag, err));
  return nc_fail_in(err, nc_value_end_decode(plaintext, size, ret_end, err), label, handle.offset);
}

static nacre_status check_named(nc_value_reader *r, const nc_value_name *name, nacre_error *err) {
  const char *label = nc_sealed_reader_label(r->file);
  uint8_t tag[NC_TAG_BYTES];
  NC_TRY(nc_value_read_end(r->file, &r->end, tag, err));
  bool same = r->end.file_size == name->size && r->end.value_size == name->value_size &&
              memcmp(tag, name->last_tag, sizeof tag) == 0;
  /* [U2] */
  return same ? NACRE_OK : nc_fail_in(err, nc_fail(err, NC_E_VALUE_REPLACED, NULL), label, 0);
}

static size_t plain_frame(const nc_value_end *end, uint64_t part) {
  return nc_frame_size(NC_VALUE_PART_HEAD_BYTES + NC_PACK_HEADER_BYTES + nc_value_part_size(end, part));
}

static nacre_status prepare(nc_value_reader *r, nacre_error *err) {
  uint64_t last = nc_value_parts(&r->end) - 1;
  uint64_t plain_size = NC_FRAMES_OFFSET + last * plain_frame(&r->end, 0) + plain_frame(&r->end, last) +
                        nc_frame_size(NC_VALUE_END_BYTES);
  r->plain = plain_size == r->end.file_size;
  r->at = NC_FRAMES_OFFSET;
  r->frame_size = plain_frame(&r->end, 0);
  r->frame = nc_heap_alloc(r->heap, r->frame_size);
  return r->frame != NULL ? NACRE_OK : nc_fail(err, NC_E_NO_MEMORY, "%zu bytes for a frame", r->frame_size);
}

/* Takes over `file`. */
static nacre_status begin(const nc_dir *dir, nc_sealed_reader *file, const nc_value_name *name,
                          nc_value_reader **ret_reader, nacre_error *err) {
  nc_value_reader *r = calloc(1, sizeof *r);
  if (r == NULL) {
    nc_sealed_reader_close(file);
    return nc_fail(err, NC_E_NO_MEMORY, NULL);
  }
  r->heap = dir->env->heap;
  r->file = file;
  nacre_status status = check_named(r, name, err);
  if (status == NACRE_OK) status = prepare(r, err);
  if (status != NACRE_OK) {
    nc_value_close(r);
    return status;
  }
  *ret_reader = r;
  return NACRE_OK;
}

/* What binds the data key binds the whole identity: its epoch need not be looked at. */
static nc_sealed_expect expected(const nc_value_name *name) {
  return (nc_sealed_expect){.type = NC_FILE_VALUE,
                            .origin_table = &name->origin_table,
                            .file = &name->file,
                            .number = name->number,
                            .dek_commitment = name->dek_commitment};
}

static nacre_status missing(const nc_dir *dir, const char *name, nacre_error *err) {
  char label[NC_FILE_LABEL_BYTES];
  nc_dir_label(dir, name, label);
  return nc_fail_in(err, nc_fail(err, NC_E_VALUE_MISSING, NULL), label, 0); /* [U2] */
}

nacre_status nc_value_open(const nc_dir *dir, nc_key_holder *keys, const nc_value_name *name,
                           nc_value_reader **ret_reader, nacre_error *err) {
  char file_name[NC_FILE_NAME_BYTES];
  nc_sealed_expect expect = expected(name);
  nc_sealed_reader *file;
  nc_value_file_name(name->number, file_name);
  nacre_status status = nc_sealed_reader_open_under(dir, file_name, keys, &expect, &file, err);
  if (status == NACRE_NOT_FOUND) return missing(dir, file_name, err);
  return status == NACRE_OK ? begin(dir, file, name, ret_reader, err) : status;
}

nacre_status nc_value_open_with(const nc_dir *dir, const nc_table_keys *keys, const nc_value_name *name,
                                nc_value_reader **ret_reader, nacre_error *err) {
  char file_name[NC_FILE_NAME_BYTES];
  nc_sealed_expect expect = expected(name);
  nc_sealed_reader *file;
  nc_value_file_name(name->number, file_name);
  nacre_status status = nc_sealed_reader_open(dir, file_name, keys, &expect, &file, err);
  if (status == NACRE_NOT_FOUND) return missing(dir, file_name, err);
  return status == NACRE_OK ? begin(dir, file, name, ret_reader, err) : status;
}

const nc_value_end *nc_value_reader_end(const nc_value_reader *r) { return &r->end; }
nc_sealed_reader *nc_value_reader_file(nc_value_reader *r) { return r->file; }

void nc_value_close(nc_value_reader *r) {
  if (r == NULL) return;
  nc_sealed_reader_close(r->file);
  nc_heap_free(r->heap, r->frame, r->frame_size);
  nc_heap_free(r->heap, r->piece, r->end.part_bytes);
  nc_heap_free(r->heap, r->workspace.memory, r->workspace.size);
  free(r);
}

/* ---- parts --------------------------------------------------------------------------------------------- */

/* How long the frame at r->at is, as its header says. */
static nacre_status next_size(nc_value_reader *r, size_t *ret_size, nacre_error *err) {
  uint8_t header[NC_FRAME_HEADER_BYTES];
  nc_frame_header decoded;
  if (r->plain) {
    *ret_size = plain_frame(&r->end, r->part);
    return NACRE_OK;
  }
  NC_TRY(nc_sealed_reader_raw(r->file, r->at, header, sizeof header, err));
  NC_TRY(nc_frame_decode(header, &decoded, err));
  *ret_size = nc_frame_size(decoded.ciphertext_size);
  return *ret_size <= r->frame_size ? NACRE_OK
                                    : nc_fail(err, NC_E_VALUE_PART, "%zu bytes", *ret_size); /* [U4] */
}

static nacre_status go_to(nc_value_reader *r, uint64_t part, nacre_error *err) {
  if (r->plain) {
    r->part = part;
    r->at = NC_FRAMES_OFFSET + part * plain_frame(&r->end, 0);
    return NACRE_OK;
  }
  if (part < r->part) {
    r->part = 0;
    r->at = NC_FRAMES_OFFSET;
  }
  for (; r->part < part; r->part++) {
    size_t size;
    NC_TRY(next_size(r, &size, err));
    r->at += size;
  }
  return NACRE_OK;
}

static nacre_status need_workspace(nc_value_reader *r, nacre_error *err) {
  if (r->workspace.memory != NULL) return NACRE_OK;
  size_t size = nc_compress_workspace_size(true);
  void *memory = nc_heap_alloc(r->heap, size);
  if (memory == NULL) return nc_fail(err, NC_E_NO_MEMORY, "%zu bytes to unpack a value", size);
  nacre_status status = nc_compress_init(&r->workspace, memory, size, true, err);
  r->workspace.memory = memory;
  r->workspace.size = size;
  return status;
}

/* Opens the part at r->at; its packed bytes stand in r->frame. */
static nacre_status open_part(nc_value_reader *r, nacre_slice *ret_packed, nacre_error *err) {
  size_t size;
  nacre_slice plaintext;
  NC_TRY(next_size(r, &size, err));
  nc_handle handle = {r->at, (uint32_t)size};
  NC_TRY(nc_sealed_reader_frame(r->file, handle, NC_FRAME_VALUE_PART, r->frame, &plaintext, NULL, err));
  NC_TRY(nc_value_part_decode(plaintext, &r->end, r->part, ret_packed, err));
  r->part++;
  r->at += size;
  bool last = r->part == nc_value_parts(&r->end),
       ends = r->at == r->end.file_size - nc_frame_size(NC_VALUE_END_BYTES);
  return last == ends ? NACRE_OK : nc_fail(err, NC_E_VALUE_PART, "it does not end where it must"); /* [U4] */
}

/* Bytes [from, from + size) of part `part` to `to`. */
static nacre_status read_part(nc_value_reader *r, uint64_t part, size_t from, uint8_t *to, size_t size,
                              nacre_error *err) {
  nacre_slice packed;
  size_t part_size = nc_value_part_size(&r->end, part), raw_size;
  const uint8_t *in_place;
  NC_TRY(go_to(r, part, err));
  NC_TRY(open_part(r, &packed, err));
  NC_TRY(nc_unpack_size(packed, &raw_size, &in_place, err));
  if (in_place != NULL) {
    memcpy(to, in_place + from, size);
    return NACRE_OK;
  }
  NC_TRY(need_workspace(r, err));
  if (size == part_size) return nc_unpack(&r->workspace, packed, to, part_size, err);
  if (r->piece == NULL) r->piece = nc_heap_alloc(r->heap, r->end.part_bytes);
  if (r->piece == NULL)
    return nc_fail(err, NC_E_NO_MEMORY, "%u bytes for a part of a value", r->end.part_bytes);
  NC_TRY(nc_unpack(&r->workspace, packed, r->piece, part_size, err));
  memcpy(to, r->piece + from, size);
  return NACRE_OK;
}

nacre_status nc_value_read(nc_value_reader *r, uint64_t offset, void *buffer, size_t size, nacre_error *err) {
  uint8_t *to = buffer;
  size_t done = 0;
  while (done < size) {
    uint64_t part = (offset + done) / r->end.part_bytes;
    size_t from = (size_t)((offset + done) % r->end.part_bytes);
    size_t here = nc_value_part_size(&r->end, part) - from, want = size - done < here ? size - done : here;
    uint64_t at = r->at;
    nacre_status status = read_part(r, part, from, to + done, want, err);
    if (status != NACRE_OK) {
      nc_wipe(buffer, size);
      r->part = 0; /* wherever it stands, it is not known to be a part's place */
      r->at = NC_FRAMES_OFFSET;
      if (err != NULL && err->file[0] == '\0' && err->offset == NACRE_NONE) err->offset = 0;
      return nc_fail_in(err, status, nc_sealed_reader_label(r->file), at);
    }
    done += want;
  }
  return NACRE_OK;
}
