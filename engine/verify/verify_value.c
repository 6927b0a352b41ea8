/* SPDX-License-Identifier: Apache-2.0
 *
 * verify_value: the files of large values, and whether they are those that entries refer to. [U5]
 *
 * References are met while segments are looked at, and in the memtables. Each must lead to a file of the table
 * that is named as it says; what the manifest names, some segment must refer to.
 */
#include "value_reader.h"
#include "verify.h"

enum { PIECE_BYTES = 1 << 20 };

static bool same(const nc_value_name *a, const nc_value_name *b) {
  return nc_uuid_equal(&a->file, &b->file) && nc_uuid_equal(&a->origin_table, &b->origin_table) &&
         a->size == b->size && a->value_size == b->value_size &&
         memcmp(a->last_tag, b->last_tag, NC_TAG_BYTES) == 0 &&
         memcmp(a->dek_commitment, b->dek_commitment, NC_COMMITMENT_BYTES) == 0;
}

nacre_status nc_verify_reference(nc_verifier *v, const nc_entry *entry, bool in_segment, nacre_error *err) {
  if (entry->kind != NC_KIND_LARGE) return NACRE_OK;
  nc_value_reference reference;
  NC_TRY(nc_value_reference_decode(entry->value, &reference, err));
  const nc_named_file *file = nc_named_files_find(v->named, reference.name.number, NC_FILE_VALUE);
  if (file == NULL || !same(&file->value->name, &reference.name) || (in_segment && !file->value->named))
    return nc_fail(err, NC_E_VALUE_UNNAMED, "number %llu", (unsigned long long)reference.name.number);
  if (!in_segment) return NACRE_OK;
  bool *referenced = &v->referenced[file->value - v->named->values];
  if (*referenced) return nc_fail(err, NC_E_VALUE_SHARED, "number %llu", (unsigned long long)reference.name.number);
  *referenced = true;
  return NACRE_OK;
}

static nacre_status verify_memtable(nc_verifier *v, nc_memtable *m, uint64_t sequence, nacre_error *err) {
  nc_cursor *c;
  NC_TRY(nc_memtable_cursor(m, &c, err));
  nacre_status status = nc_cursor_first(c, err);
  while (status == NACRE_OK && c->valid) {
    /* One that was written since refers to a file that is newer than the list. */
    if (c->entry.sequence <= sequence)
      status = nc_verify_note(v, nc_verify_reference(v, &c->entry, false, err), err);
    if (status == NACRE_OK) status = nc_cursor_next(c, err);
  }
  nc_cursor_close(c);
  return status;
}

/* ---- files --------------------------------------------------------------------------------------------- */

static nacre_status visit_frame(nc_verifier *v, const nc_scan_frame *frame, nacre_slice plaintext,
                                nacre_error *err) {
  (void)v;
  (void)plaintext;
  return nc_frame_type_belongs(frame->type, NC_FILE_VALUE) ? NACRE_OK : nc_fail(err, NC_E_FRAME_TYPE, NULL);
}

/* The value itself: its parts in their order, each unpacked. */
static nacre_status check_content(nc_verifier *v, nc_value_reader *reader, nacre_error *err) {
  nc_heap *heap = v->table->shared->env->heap;
  uint64_t size = nc_value_reader_end(reader)->value_size;
  size_t capacity = size < PIECE_BYTES ? (size_t)size : (size_t)PIECE_BYTES;
  uint8_t *piece = nc_heap_alloc(heap, capacity);
  if (piece == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  nacre_status status = NACRE_OK;
  for (uint64_t at = 0; at < size && status == NACRE_OK; at += capacity) {
    uint64_t left = size - at;
    status = nc_value_read(reader, at, piece, left < capacity ? (size_t)left : capacity, err);
  }
  nc_heap_free(heap, piece, capacity);
  return status;
}

static nacre_status check_file(nc_verifier *v, const nc_value_name *name, nacre_error *err) {
  nc_value_reader *reader;
  uint64_t frames, faults = v->report.fault_count;
  NC_TRY(nc_value_open(&v->table->dir, &v->table->keys, name, &reader, err));
  v->report.files++;
  nc_sealed_reader *file = nc_value_reader_file(reader);
  nacre_status status = nc_verify_note(v, nc_verify_header(v, file, err), err);
  if (status == NACRE_OK) status = nc_verify_frames(v, file, NACRE_NONE, visit_frame, &frames, err);
  if (status == NACRE_OK && v->report.fault_count == faults) status = check_content(v, reader, err);
  nc_value_close(reader);
  return status;
}

nacre_status nc_verify_values(nc_verifier *v, uint64_t sequence, bool segments_whole, nacre_error *err) {
  for (size_t i = 0; i < v->named->view->memtable_count; i++)
    NC_TRY(verify_memtable(v, v->named->view->memtables[i], sequence, err));
  for (size_t i = 0; i < v->named->value_count; i++) {
    const nc_value_item *item = &v->named->values[i];
    nacre_status status = check_file(v, &item->name, err);
    if (status == NACRE_CORRUPT && nc_named_value_gone(v->table, item)) continue;
    if (status == NACRE_OK && segments_whole && item->named && !v->referenced[i])
      status = nc_fail(err, NC_E_VALUE_UNREFERENCED, "number %llu", (unsigned long long)item->name.number);
    NC_TRY(nc_verify_note(v, status, err));
  }
  return NACRE_OK;
}
