/* SPDX-License-Identifier: Apache-2.0
 *
 * manifest_read: from CURRENT to the files that make up a table.
 */
#include <stdio.h>
#include <stdlib.h>

#include "frame_scan.h"
#include "manifest.h"
#include "private_memory.h"

static nacre_status in_current(const nc_dir *dir, nacre_status status, nacre_error *err) {
  char label[NC_DIR_LABEL_BYTES + NC_FILE_NAME_BYTES];
  snprintf(label, sizeof label, "%s/%s", dir->label, NC_CURRENT_NAME);
  return nc_fail_in(err, status, label, 0);
}

/* The key of CURRENT's MAC is not held. What CURRENT says of versions is not authentic then; it tells which of the
 * two is older. */
static nacre_status unknown_key(const nc_table_keys *keys, const nc_current *current, nacre_error *err) {
  uint32_t active = nc_kek_describe(nc_table_keys_active(keys))->version;
  if (current->kek_version_min > active) {
    return nc_fail(err, NC_E_KEY_FILE_ROLLED_BACK, "its table key is of version %u, CURRENT asks for %u", active,
                   current->kek_version_min);
  }
  char text[NC_UUID_TEXT_BYTES];
  nc_uuid_format(&current->kek_id, text);
  bool retired = current->kek_version_min < nc_table_keys_oldest(keys); /* [C7] */
  return nc_fail(err, retired ? NC_E_KEK_RETIRED : NC_E_CURRENT_KEK, "table key %s", text);
}

static nacre_status authenticate_current(const nc_table_keys *keys, const nc_current *current,
                                         const uint8_t *bytes, nacre_error *err) {
  if (!nc_uuid_equal(&current->table, nc_table_keys_table(keys))) /* [C2] */
    return nc_fail(err, NC_E_CURRENT_TABLE, NULL);
  const nc_kek *kek = nc_table_keys_find(keys, &current->kek_id);
  if (kek == NULL) return unknown_key(keys, current, err); /* [C3] */
  uint8_t mac[NC_MAC_BYTES];
  NC_TRY(nc_table_keys_current_mac(keys, kek, nc_slice(bytes, NC_CURRENT_MAC_OFFSET), mac, err));
  /* [C4] */
  if (!nc_equal_secret(mac, current->mac, sizeof mac)) return nc_fail(err, NC_E_CURRENT_MAC, NULL);
  uint32_t active = nc_kek_describe(nc_table_keys_active(keys))->version;
  if (current->kek_version_min <= active) return NACRE_OK; /* [C8] */
  return nc_fail(err, NC_E_KEY_FILE_ROLLED_BACK, "its table key is of version %u, CURRENT asks for %u", active,
                 current->kek_version_min);
}

nacre_status nc_current_read(const nc_dir *dir, const nc_table_keys *keys, nc_current *ret_current,
                             nacre_error *err) {
  uint8_t bytes[NC_CURRENT_BYTES + 1];
  size_t size;
  nacre_status status = nc_dir_read_file(dir, NC_CURRENT_NAME, bytes, sizeof bytes, &size, err);
  /* [C5] */
  if (status == NACRE_NOT_FOUND) return in_current(dir, nc_fail(err, NC_E_CURRENT_MISSING, NULL), err);
  NC_TRY(status);
  NC_TRY(in_current(dir, nc_current_decode(nc_slice(bytes, size), ret_current, err), err));
  return in_current(dir, authenticate_current(keys, ret_current, bytes, err), err);
}

/* ---- applying edits ------------------------------------------------------------------------------------ */

static nacre_status grow(void **list, size_t count, size_t *capacity, size_t item, nacre_error *err) {
  if (count < *capacity) return NACRE_OK;
  size_t larger = *capacity == 0 ? 16 : *capacity * 2;
  void *grown = realloc(*list, larger * item);
  if (grown == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  *list = grown;
  *capacity = larger;
  return NACRE_OK;
}

static void free_keys(nc_heap *heap, const nc_segment_record *record) {
  nc_heap_free(heap, (void *)(uintptr_t)record->smallest.data, record->smallest.size + record->largest.size);
}

static nacre_status contradiction(uint64_t number, const char *what, nacre_error *err) { /* [M5] */
  return nc_fail(err, NC_E_MANIFEST_EDIT, "%s %llu", what, (unsigned long long)number);
}

static nacre_status add_segment(nc_manifest_content *c, const nc_segment_record *record, nacre_error *err) {
  size_t there;
  if (nc_number_index_find(&c->by_number, record->number, &there))
    return contradiction(record->number, "adds again segment", err);
  NC_TRY(nc_number_index_put(&c->by_number, record->number, c->segment_count, err));
  void *list = c->segments;
  NC_TRY(grow(&list, c->segment_count, &c->segment_capacity, sizeof *c->segments, err));
  c->segments = list;
  uint8_t *keys = nc_heap_alloc(c->heap, record->smallest.size + record->largest.size);
  if (keys == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  nc_segment_record *copy = &c->segments[c->segment_count++];
  *copy = *record;
  if (record->smallest.size > 0) memcpy(keys, record->smallest.data, record->smallest.size);
  if (record->largest.size > 0)
    memcpy(keys + record->smallest.size, record->largest.data, record->largest.size);
  copy->smallest.data = keys;
  copy->largest.data = keys + record->smallest.size;
  return NACRE_OK;
}

static nacre_status remove_segment(nc_manifest_content *c, uint64_t number, nacre_error *err) {
  size_t at;
  if (!nc_number_index_find(&c->by_number, number, &at))
    return contradiction(number, "removes absent segment", err);
  free_keys(c->heap, &c->segments[at]);
  nc_number_index_remove(&c->by_number, number);
  c->segments[at] = c->segments[--c->segment_count];
  if (at == c->segment_count) return NACRE_OK;
  return nc_number_index_put(&c->by_number, c->segments[at].number, at, err); /* the last took its place */
}

static nacre_status add_value(nc_manifest_content *c, const nc_value_name *value, nacre_error *err) {
  size_t there;
  if (nc_number_index_find(&c->value_by_number, value->number, &there))
    return contradiction(value->number, "adds again value file", err);
  NC_TRY(nc_number_index_put(&c->value_by_number, value->number, c->value_count, err));
  void *list = c->values;
  NC_TRY(grow(&list, c->value_count, &c->value_capacity, sizeof *c->values, err));
  c->values = list;
  c->values[c->value_count++] = *value;
  return NACRE_OK;
}

static nacre_status remove_value(nc_manifest_content *c, uint64_t number, nacre_error *err) {
  size_t at;
  if (!nc_number_index_find(&c->value_by_number, number, &at))
    return contradiction(number, "removes absent value file", err);
  nc_number_index_remove(&c->value_by_number, number);
  c->values[at] = c->values[--c->value_count];
  if (at == c->value_count) return NACRE_OK;
  return nc_number_index_put(&c->value_by_number, c->values[at].number, at, err); /* the last took its place */
}

static nacre_status add_log(nc_manifest_content *c, const nc_log_name *log, nacre_error *err) {
  if (c->log_count > 0 && c->logs[c->log_count - 1].number >= log->number) {
    return contradiction(log->number, "adds out of order log", err);
  }
  void *list = c->logs;
  NC_TRY(grow(&list, c->log_count, &c->log_capacity, sizeof *c->logs, err));
  c->logs = list;
  c->logs[c->log_count++] = *log;
  return NACRE_OK;
}

static nacre_status drop_log(nc_manifest_content *c, uint64_t number, nacre_error *err) {
  for (size_t i = 0; i < c->log_count; i++) {
    if (c->logs[i].number != number) continue;
    memmove(&c->logs[i], &c->logs[i + 1], (c->log_count - i - 1) * sizeof *c->logs);
    c->log_count--;
    return NACRE_OK;
  }
  return contradiction(number, "drops absent log", err);
}

static nacre_status apply_record(nc_manifest_content *c, const nc_edit_record *record, nacre_error *err) {
  switch (record->tag) {
    case NC_EDIT_STATE:
      c->state = record->state;
      return NACRE_OK;
    case NC_EDIT_SEGMENT_ADD:
      return add_segment(c, &record->segment, err);
    case NC_EDIT_SEGMENT_REMOVE:
      return remove_segment(c, record->number, err);
    case NC_EDIT_LOG_ADD:
      return add_log(c, &record->log, err);
    case NC_EDIT_LOG_DROP:
      return drop_log(c, record->number, err);
    case NC_EDIT_VALUE_ADD:
      return add_value(c, &record->value, err);
    case NC_EDIT_VALUE_REMOVE:
      return remove_value(c, record->number, err);
  }
  return nc_fail(err, NC_E_EDIT_TAG, NULL);
}

/* In their order: a segment that moves is removed, then added. [M12] */
static nacre_status apply_records(nc_manifest_content *c, nc_edit_reader *reader, nacre_error *err) {
  for (;;) {
    nc_edit_record record;
    bool more = false;
    NC_TRY(nc_edit_read(reader, &record, &more, err));
    if (!more) return NACRE_OK;
    NC_TRY(apply_record(c, &record, err));
  }
}

/* No file of the table has the next number or a higher one: a writer would take it for its own. */
static nacre_status check_numbers(const nc_manifest_content *c, nacre_error *err) {
  uint64_t highest = c->number;
  for (size_t i = 0; i < c->segment_count; i++) {
    if (c->segments[i].number > highest) highest = c->segments[i].number;
  }
  for (size_t i = 0; i < c->value_count; i++) {
    if (c->values[i].number > highest) highest = c->values[i].number;
  }
  if (c->log_count > 0 && c->logs[c->log_count - 1].number > highest)
    highest = c->logs[c->log_count - 1].number;
  if (highest < c->state.next_file_number) return NACRE_OK;
  return contradiction(highest, "has no state, or a next file number that is not above", err);
}

/* The snapshot's frames share one commit sequence; each later commit has the next. [M4] */
static nacre_status apply_edit(nc_manifest_content *c, nacre_slice bytes, bool *in_snapshot,
                               nacre_error *err) {
  nc_edit_reader reader;
  NC_TRY(nc_edit_read_begin(&reader, bytes, err));
  bool snapshot = (reader.flags & NC_EDIT_SNAPSHOT) != 0;
  if (snapshot != *in_snapshot) return nc_fail(err, NC_E_MANIFEST_SNAPSHOT, NULL); /* [M3] */
  if (c->sequence == 0) {
    c->sequence = reader.commit_sequence;
  } else if (reader.commit_sequence != c->sequence + (snapshot ? 0 : 1)) {
    return nc_fail(err, NC_E_MANIFEST_SEQUENCE, "%llu after %llu", (unsigned long long)reader.commit_sequence,
                   (unsigned long long)c->sequence);
  }
  c->sequence = reader.commit_sequence;
  if ((reader.flags & NC_EDIT_SNAPSHOT_END) != 0) *in_snapshot = false;
  return apply_records(c, &reader, err);
}

/* ---- reading ------------------------------------------------------------------------------------------- */

/* A bad frame may only be the last commit, torn: a good one behind it means damage. [M9] */
static nacre_status judge_tail(nc_scan *scan, uint64_t offset, bool to_damage, nc_manifest_content *c,
                               nacre_error *err) {
  nc_scan_result result;
  nc_scan_frame frame;
  NC_TRY(nc_scan_search(scan, offset, &result, &frame, err));
  c->damaged = result == NC_SCAN_FRAME;
  if (c->damaged && !to_damage) return nc_fail_at(err, NC_E_MANIFEST_DAMAGED, offset, NULL);
  c->torn_bytes = scan->end - offset;
  c->torn_offset = offset;
  return NACRE_OK;
}

static nacre_status read_edits(nc_scan *scan, bool to_damage, nc_manifest_content *c, nacre_error *err) {
  bool in_snapshot = true;
  for (uint64_t offset = NC_FRAMES_OFFSET;;) {
    nc_scan_result result;
    nc_scan_frame frame;
    NC_TRY(nc_scan_at(scan, offset, &result, &frame, NULL, err));
    if (result != NC_SCAN_FRAME) {
      if (in_snapshot) return nc_fail_at(err, NC_E_MANIFEST_SNAPSHOT, offset, NULL);
      NC_TRY(check_numbers(c, err));
      return result == NC_SCAN_END ? NACRE_OK : judge_tail(scan, offset, to_damage, c, err);
    }
    if (frame.type != NC_FRAME_EDIT) return nc_fail_at(err, NC_E_FRAME_TYPE, offset, NULL); /* [F6] */
    nacre_slice plaintext;
    nacre_status status = nc_scan_open(scan, &frame, &plaintext, err);
    if (status == NACRE_TAMPERED) return nc_fail_at(err, NC_E_MANIFEST_TAMPERED, offset, NULL); /* [M9] */
    NC_TRY(status);
    status = apply_edit(c, plaintext, &in_snapshot, err);
    if (status != NACRE_OK && err != NULL && err->offset == NACRE_NONE) err->offset = 0;
    NC_TRY(nc_fail_in(err, status, nc_sealed_reader_label(scan->reader), offset));
    offset += frame.size;
  }
}

static nacre_status open_manifest(const nc_dir *dir, const nc_table_keys *keys, const nc_current *current,
                                  nc_sealed_reader **ret_reader, nacre_error *err) {
  char name[NC_FILE_NAME_BYTES];
  nc_manifest_name(current->manifest_number, name);
  nc_sealed_expect expect = {.type = NC_FILE_MANIFEST,
                             .origin_table = &current->table,
                             .file = &current->manifest,
                             .number = current->manifest_number,
                             .epoch_max = current->epoch,
                             .dek_commitment = current->manifest_commitment};
  nacre_status status = nc_sealed_reader_open(dir, name, keys, &expect, ret_reader, err);
  if (status != NACRE_NOT_FOUND) return status;
  char label[NC_DIR_LABEL_BYTES + NC_FILE_NAME_BYTES];
  snprintf(label, sizeof label, "%s/%s", dir->label, name);
  return nc_fail_in(err, nc_fail(err, NC_E_MANIFEST_MISSING, NULL), label, 0); /* [C5] */
}

nacre_status nc_manifest_read(const nc_dir *dir, const nc_table_keys *keys, bool to_damage,
                              nc_manifest_content *content, nacre_error *err) {
  *content = (nc_manifest_content){.heap = dir->env->heap};
  nc_current current;
  NC_TRY(nc_current_read(dir, keys, &current, err));
  content->file = current.manifest;
  content->number = current.manifest_number;
  content->epoch = current.epoch;
  content->kek_version_min = current.kek_version_min;
  nc_sealed_reader *reader;
  NC_TRY(open_manifest(dir, keys, &current, &reader, err));
  nc_scan scan;
  nc_scan_init(&scan, content->heap, reader, NACRE_NONE);
  nacre_status status =
      nc_fail_in(err, read_edits(&scan, to_damage, content, err), nc_sealed_reader_label(reader), 0);
  nc_scan_deinit(&scan);
  nc_sealed_reader_close(reader);
  return status;
}

void nc_manifest_content_deinit(nc_manifest_content *c) {
  for (size_t i = 0; i < c->segment_count; i++) free_keys(c->heap, &c->segments[i]);
  free(c->segments);
  nc_number_index_deinit(&c->by_number);
  free(c->values);
  nc_number_index_deinit(&c->value_by_number);
  free(c->logs);
  *c = (nc_manifest_content){0};
}
