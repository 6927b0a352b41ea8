/* SPDX-License-Identifier: Apache-2.0
 *
 * manifest: writing manifests and CURRENT. Reading is in manifest_read.c.
 */
#include "manifest.h"

#include <stdio.h>

#include "private_memory.h"
#include "sealed_writer.h"

enum { EDIT_FIXED_BYTES = 512, LOG_RECORD_BYTES = 96, NUMBER_RECORD_BYTES = 24, VALUE_RECORD_BYTES = 136 };
_Static_assert((int)VALUE_RECORD_BYTES >= NC_VALUE_REFERENCE_BYTES_MAX + 16, "a record is a tag, a size, a name");
static const size_t EDIT_BYTES_MAX = (size_t)8 << 20;     /* well below a frame's limit */
static const size_t SNAPSHOT_BYTES_MAX = (size_t)1 << 20; /* of one frame; at least one record more fits */
static const uint64_t MANIFEST_BYTES_MAX = (uint64_t)16 << 20; /* then a new one begins with a snapshot */

void nc_manifest_name(uint64_t number, char name[NC_FILE_NAME_BYTES]) {
  snprintf(name, NC_FILE_NAME_BYTES, "%020llu.man", (unsigned long long)number);
}

static size_t segment_bytes(const nc_segment_record *record) {
  return record->smallest.size + record->largest.size + 256;
}

static size_t edit_bytes(const nc_edit *edit) {
  size_t bytes = EDIT_FIXED_BYTES + LOG_RECORD_BYTES;
  for (size_t i = 0; i < edit->add_count; i++) bytes += segment_bytes(nc_segment_describe(edit->add[i]));
  bytes += edit->add_value_count * VALUE_RECORD_BYTES;
  return bytes + (edit->remove_count + edit->drop_log_count + edit->remove_value_count) * NUMBER_RECORD_BYTES;
}

bool nc_manifest_fits(const nc_manifest *m, const nc_edit *edit) {
  return edit_bytes(edit) <= EDIT_BYTES_MAX && nc_sealed_writer_size(m->writer) < MANIFEST_BYTES_MAX;
}

static nacre_status append_edit(nc_sealed_writer *writer, const nc_writer *w, nacre_error *err) {
  if (w->failed) return nc_fail(err, NC_E_FRAME_TOO_LARGE, "manifest edit");
  return nc_sealed_writer_append(writer, NC_FRAME_EDIT, nc_slice(w->data, w->size), NULL, err);
}

static void add_placed(nc_writer *w, const nc_segment *segment, nc_place place) {
  nc_segment_record record = *nc_segment_describe(segment);
  record.run = place.run;
  record.level = place.level;
  nc_edit_add_segment(w, &record);
}

/* What is removed stands before what is added: a segment that moves is gone before it is there again. */
nacre_status nc_manifest_commit(nc_manifest *m, nc_heap *heap, const nc_edit *edit, nacre_error *err) {
  size_t capacity = edit_bytes(edit);
  uint8_t *bytes = nc_heap_alloc(heap, capacity);
  if (bytes == NULL) return nc_fail(err, NC_E_NO_MEMORY, "%zu bytes for a manifest edit", capacity);
  nc_writer w = nc_writer_over(bytes, capacity);
  nc_edit_begin(&w, m->sequence + 1, 0);
  nc_edit_add_state(&w, &edit->state);
  for (size_t i = 0; i < edit->remove_count; i++)
    nc_edit_remove_segment(&w, nc_segment_describe(edit->remove[i])->number);
  for (size_t i = 0; i < edit->add_count; i++) add_placed(&w, edit->add[i], edit->place);
  for (size_t i = 0; i < edit->drop_log_count; i++) nc_edit_drop_log(&w, edit->drop_logs[i]);
  if (edit->add_log != NULL) nc_edit_add_log(&w, edit->add_log);
  for (size_t i = 0; i < edit->remove_value_count; i++) nc_edit_remove_value(&w, edit->remove_values[i]);
  for (size_t i = 0; i < edit->add_value_count; i++) nc_edit_add_value(&w, &edit->add_values[i]);
  nacre_status status = append_edit(m->writer, &w, err);
  if (status == NACRE_OK) status = nc_sealed_writer_sync(m->writer, err);
  if (status == NACRE_OK) m->sequence++;
  nc_heap_free(heap, bytes, capacity);
  return status;
}

/* ---- a new manifest ------------------------------------------------------------------------------------ */

/* A snapshot takes as many frames as it needs: one is appended when the next record might not fit. */
static nacre_status snapshot_room(nc_sealed_writer *writer, const nc_manifest_base *base, nc_writer *w, size_t bytes,
                                  nacre_error *err) {
  if (w->capacity - w->size >= bytes) return NACRE_OK;
  NC_TRY(append_edit(writer, w, err));
  *w = nc_writer_over(w->data, w->capacity);
  nc_edit_begin(w, base->sequence, NC_EDIT_SNAPSHOT);
  return NACRE_OK;
}

static nacre_status write_run(nc_sealed_writer *writer, const nc_manifest_base *base, const nc_run *run,
                              nc_writer *w, nacre_error *err) {
  for (size_t i = 0; i < run->count; i++) {
    NC_TRY(snapshot_room(writer, base, w, segment_bytes(nc_segment_describe(run->segments[i])), err));
    add_placed(w, run->segments[i], (nc_place){run->id, run->level});
  }
  return NACRE_OK;
}

static nacre_status write_snapshot(nc_sealed_writer *writer, const nc_manifest_base *base, uint8_t *bytes,
                                   size_t capacity, nacre_error *err) {
  nc_writer w = nc_writer_over(bytes, capacity);
  nc_edit_begin(&w, base->sequence, NC_EDIT_SNAPSHOT);
  nc_edit_add_state(&w, &base->state);
  for (size_t i = 0; i < base->version->run_count; i++)
    NC_TRY(write_run(writer, base, &base->version->runs[i], &w, err));
  for (size_t i = 0; i < base->value_count; i++) {
    NC_TRY(snapshot_room(writer, base, &w, VALUE_RECORD_BYTES, err));
    nc_edit_add_value(&w, &base->values[i]);
  }
  NC_TRY(append_edit(writer, &w, err));
  w = nc_writer_over(bytes, capacity);
  nc_edit_begin(&w, base->sequence, NC_EDIT_SNAPSHOT | NC_EDIT_SNAPSHOT_END);
  for (size_t i = 0; i < base->log_count; i++) nc_edit_add_log(&w, &base->logs[i]->name);
  NC_TRY(append_edit(writer, &w, err));
  return nc_sealed_writer_sync(writer, err);
}

static nacre_status fill_manifest(nc_sealed_writer *writer, nc_heap *heap, const nc_manifest_base *base,
                                  nacre_error *err) {
  size_t capacity = EDIT_FIXED_BYTES + base->log_count * LOG_RECORD_BYTES;
  capacity += base->value_count < SNAPSHOT_BYTES_MAX / VALUE_RECORD_BYTES ? base->value_count * VALUE_RECORD_BYTES
                                                                          : SNAPSHOT_BYTES_MAX;
  for (size_t i = 0; i < base->version->segment_count && capacity < SNAPSHOT_BYTES_MAX; i++) {
    capacity += segment_bytes(nc_segment_describe(base->version->segments[i]));
  }
  uint8_t *bytes = nc_heap_alloc(heap, capacity);
  if (bytes == NULL) return nc_fail(err, NC_E_NO_MEMORY, "%zu bytes for a manifest", capacity);
  nacre_status status = write_snapshot(writer, base, bytes, capacity, err);
  nc_heap_free(heap, bytes, capacity);
  return status;
}

/* Everything of a new CURRENT but its name. */
static nacre_status prepare_current(const nc_dir *dir, const nc_table_keys *keys,
                                    const nc_header_slot *manifest, uint32_t version_min,
                                    nacre_error *err) {
  const nc_kek *kek = nc_table_keys_active(keys);
  const nc_kek_pin *pin = nc_kek_describe(kek);
  nc_current current = {.table = *nc_table_keys_table(keys),
                        .manifest = manifest->identity.file,
                        .manifest_number = manifest->identity.number,
                        .epoch = manifest->identity.epoch,
                        .kek_id = pin->id,
                        .kek_version_min = version_min};
  memcpy(current.manifest_commitment, manifest->dek_commitment, NC_COMMITMENT_BYTES);
  uint8_t bytes[NC_CURRENT_BYTES];
  nc_current_encode(&current, bytes);
  NC_TRY(nc_table_keys_current_mac(keys, kek, nc_slice(bytes, NC_CURRENT_MAC_OFFSET),
                                   bytes + NC_CURRENT_MAC_OFFSET, err));
  return nc_dir_write_file(dir, NC_CURRENT_TEMPORARY, nc_slice(bytes, sizeof bytes), err);
}

/* From here on CURRENT may name the new manifest, whatever the calls answer. */
static nacre_status name_manifest(const nc_dir *dir, nacre_error *err) {
  NC_TRY(nc_dir_rename(dir, NC_CURRENT_TEMPORARY, NC_CURRENT_NAME, err));
  return nc_dir_sync(dir, err);
}

nacre_status nc_manifest_create(const nc_dir *dir, const nc_table_keys *keys, const nc_manifest_base *base,
                                nc_manifest *ret_manifest, bool *ret_unnamed, nacre_error *err) {
  char name[NC_FILE_NAME_BYTES];
  nc_manifest_name(base->number, name);
  nc_identity identity = {.type = NC_FILE_MANIFEST,
                          .origin_table = *nc_table_keys_table(keys),
                          .number = base->number,
                          .epoch = base->epoch};
  uint32_t version_min = nc_table_keys_oldest(keys);
  if (base->kek_version_min > version_min) version_min = base->kek_version_min;
  nc_sealed_writer *writer;
  *ret_unnamed = true;
  NC_TRY(nc_sealed_writer_create(dir, name, &identity, nc_table_keys_active(keys), 0, &writer, err));
  nacre_status status = fill_manifest(writer, dir->env->heap, base, err);
  /* The manifest's own name must be durable before CURRENT speaks of it. */
  if (status == NACRE_OK) status = nc_dir_sync(dir, err);
  if (status == NACRE_OK) status = prepare_current(dir, keys, nc_sealed_writer_header(writer), version_min, err);
  if (status != NACRE_OK) {
    nc_sealed_writer_close(writer);
    nc_ignore(nc_dir_remove(dir, name, NULL)); /* nothing names it; an orphan if it stays */
    return status;
  }
  *ret_unnamed = false;
  status = name_manifest(dir, err);
  if (status != NACRE_OK) {
    nc_sealed_writer_close(writer); /* the file stays: CURRENT may name it */
    return status;
  }
  *ret_manifest = (nc_manifest){writer, identity.file, base->number, base->epoch, base->sequence};
  return NACRE_OK;
}

nacre_status nc_manifest_raise_minimum(const nc_dir *dir, const nc_table_keys *keys, const nc_manifest *m,
                                       nacre_error *err) {
  uint32_t version = nc_kek_describe(nc_table_keys_active(keys))->version;
  NC_TRY(prepare_current(dir, keys, nc_sealed_writer_header(m->writer), version, err));
  return name_manifest(dir, err);
}

void nc_manifest_close(nc_manifest *m) {
  nc_sealed_writer_close(m->writer);
  *m = (nc_manifest){0};
}
