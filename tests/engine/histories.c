/* SPDX-License-Identifier: Apache-2.0
 *
 * histories: see histories.h.
 */
#include "histories.h"

#include <stdio.h>
#include <stdlib.h>

#include "batch.h"
#include "filler.h"
#include "random.h"

enum { MANIFEST_COMMIT = 10 };

void history_open(history *h) {
  nacre_error err;
  *h = (history){.next_sequence = 1, .commit = 1};
  floor_open(&h->floor);
  h->manifest = (nc_manifest_content){.heap = h->floor.shared.env->heap,
                                      .number = 1,
                                      .epoch = 1,
                                      .sequence = MANIFEST_COMMIT,
                                      .logs = h->names};
  must(nc_random_uuid(&h->manifest.file, &err));
}

void history_close(history *h) {
  for (size_t i = 0; i < HISTORY_LOGS_MAX; i++) nc_log_unref(h->logs[i]);
  floor_close(&h->floor);
}

/* ---- writing ------------------------------------------------------------------------------------------- */

size_t history_log(history *h) {
  nacre_error err;
  size_t i = h->manifest.log_count++;
  require(i < HISTORY_LOGS_MAX);
  must(nc_log_create(&h->floor.dir, &h->floor.table, nc_table_keys_active(h->floor.keys), i + 1, 1,
                     &h->logs[i], &err));
  h->names[i] = h->logs[i]->name;
  return i;
}

static size_t note_frame(history *h, size_t log, nc_frame_type type, uint64_t offset) {
  require(h->frame_count < HISTORY_FRAMES_MAX);
  uint64_t end = nc_sealed_writer_size(h->logs[log]->writer);
  h->frames[h->frame_count] =
      (history_frame){log, offset, end - offset, type, h->next_sequence - 1, h->synced};
  return h->frame_count++;
}

static nc_log_moment moment_of(const history *h) {
  return (nc_log_moment){h->next_sequence, h->synced, h->manifest.file, h->commit};
}

void history_start(history *h, size_t log, size_t predecessor) {
  nacre_error err;
  nc_log_moment moment = moment_of(h);
  must(nc_log_start(h->logs[log], predecessor == SIZE_MAX ? NULL : h->logs[predecessor], &moment, &err));
  note_frame(h, log, NC_FRAME_LOG_START, NC_FRAMES_OFFSET);
}

size_t history_raw(history *h, size_t log, nc_frame_type type, nacre_slice plaintext) {
  nacre_error err;
  uint64_t offset = nc_sealed_writer_size(h->logs[log]->writer);
  must(nc_sealed_writer_append(h->logs[log]->writer, type, plaintext, NULL, &err));
  h->logs[log]->end = nc_sealed_writer_size(h->logs[log]->writer);
  return note_frame(h, log, type, offset);
}

size_t history_group(history *h, size_t log, uint64_t count) {
  nacre_error err;
  uint8_t bytes[8192];
  nc_log_record record = {.first_sequence = h->next_sequence, .count = count, .synced = h->synced};
  size_t size = nc_log_record_encode(&record, NC_FRAME_LOG_GROUP, bytes);
  for (uint64_t i = 0; i < count; i++) {
    char key[24], value[24];
    snprintf(key, sizeof key, "k%llu", (unsigned long long)(h->next_sequence + i));
    snprintf(value, sizeof value, "v%llu", (unsigned long long)(h->next_sequence + i));
    size += nc_operation_encode(NC_KIND_PUT, text(key), text(value), bytes + size);
    require(size < sizeof bytes - 64);
  }
  h->next_sequence += count;
  uint64_t offset = nc_sealed_writer_size(h->logs[log]->writer);
  must(nc_log_append_group(h->logs[log], nc_slice(bytes, size), h->next_sequence - 1, &err));
  return note_frame(h, log, NC_FRAME_LOG_GROUP, offset);
}

static size_t add_mark(history *h, size_t log, nc_frame_type type) {
  nacre_error err;
  nc_log_moment moment = moment_of(h);
  uint64_t offset = nc_sealed_writer_size(h->logs[log]->writer);
  must(nc_log_append_mark(h->logs[log], type, &moment, &err));
  return note_frame(h, log, type, offset);
}
size_t history_mark(history *h, size_t log) { return add_mark(h, log, NC_FRAME_LOG_MARK); }
size_t history_final(history *h, size_t log) { return add_mark(h, log, NC_FRAME_LOG_FINAL); }

void history_synced(history *h, size_t log) {
  h->synced = (nc_log_position){log + 1, nc_sealed_writer_size(h->logs[log]->writer)};
}

/* ---- damage -------------------------------------------------------------------------------------------- */

void history_path(const history *h, size_t log, char path[PATH_BYTES]) {
  char name[NC_FILE_NAME_BYTES];
  nc_log_name_file(log + 1, name);
  join(path, h->floor.path, name);
}

uint64_t history_size(const history *h, size_t log) {
  char path[PATH_BYTES];
  size_t size;
  history_path(h, log, path);
  free(file_load(path, &size));
  return size;
}

typedef enum damage { FLIP, FORGE, ZERO } damage;

static void harm(const history *h, size_t frame, damage what) {
  char path[PATH_BYTES];
  size_t size;
  const history_frame *f = &h->frames[frame];
  history_path(h, f->log, path);
  uint8_t *bytes = file_load(path, &size);
  require(f->offset + f->size <= size);
  if (what == ZERO) {
    memset(bytes + f->offset, 0, f->size);
  } else {
    bytes[f->offset + NC_FRAME_HEADER_BYTES + 1] ^= 0x20;
  }
  if (what == FORGE) nc_frame_finish(bytes + f->offset);
  file_store(path, bytes, size);
  free(bytes);
}
void frame_flip(const history *h, size_t frame) { harm(h, frame, FLIP); }
void frame_forge(const history *h, size_t frame) { harm(h, frame, FORGE); }
void frame_zero(const history *h, size_t frame) { harm(h, frame, ZERO); }

void log_cut(const history *h, size_t log, uint64_t size) {
  char path[PATH_BYTES];
  history_path(h, log, path);
  file_cut(path, size);
}

void log_fill(const history *h, size_t log, uint64_t size) {
  char path[PATH_BYTES];
  size_t from;
  history_path(h, log, path);
  uint8_t *bytes = file_load(path, &from), *longer = realloc(bytes, size);
  require(longer != NULL);
  nc_filler_write(longer + from, size - from, &h->names[log].file, from);
  file_store(path, longer, size);
  free(longer);
}

/* ---- recovery ------------------------------------------------------------------------------------------ */

/* Every entry that was replayed is the one that was written, and they are 1, 2, ... without a hole. */
static void check_entries(const history *h, nc_memtable *m) {
  for (uint64_t n = 1; n <= h->entries; n++) {
    char key[24], value[24];
    nc_entry entry;
    snprintf(key, sizeof key, "k%llu", (unsigned long long)n);
    snprintf(value, sizeof value, "v%llu", (unsigned long long)n);
    require(nc_memtable_get(m, text(key), NC_SEQUENCE_MAX, &entry));
    require(entry.sequence == n && slice_is(entry.value, value));
  }
}

nacre_status history_recover(history *h, nacre_recovery_mode mode) {
  nacre_error err;
  atomic_uint_fast64_t budget = 0;
  nc_log *found[HISTORY_LOGS_MAX] = {NULL};
  nc_recovery r = {
      .dir = &h->floor.dir, .keys = h->floor.keys, .manifest = &h->manifest, .mode = mode, .logs = found};
  must(nc_memtable_create(h->floor.shared.env, NULL, 1 << 14, &budget, &r.memtable, &err));
  nc_error_clear(&h->err);
  nacre_status status = nc_recover_logs(&r, &h->err);
  require(status == NACRE_OK || status == h->err.status);
  h->report = r.report;
  h->last_sequence = r.last_sequence;
  h->entries = nc_memtable_entries(r.memtable);
  if (!h->foreign) check_entries(h, r.memtable);
  for (size_t i = 0; i < HISTORY_LOGS_MAX; i++) {
    require(status != NACRE_OK || (found[i] != NULL) == (i < h->manifest.log_count));
    nc_log_unref(found[i]);
  }
  nc_pin_unref(nc_memtable_pin(r.memtable));
  return status;
}

void history_keeps(history *h, uint64_t last) {
  check_ok(history_recover(h, NACRE_RECOVERY_STRICT), &h->err, "recovery", __FILE__, __LINE__);
  if (h->entries != last || h->last_sequence != last) {
    fprintf(stderr, "%llu entries up to %llu instead of %llu\n", (unsigned long long)h->entries,
            (unsigned long long)h->last_sequence, (unsigned long long)last);
  }
  require(h->entries == last && h->last_sequence == last && h->report.entries == last && !h->report.damaged);
}

void history_refused(history *h, nc_error_id id, uint64_t last) {
  check_id(history_recover(h, NACRE_RECOVERY_STRICT), &h->err, id, "recovery", __FILE__, __LINE__);
  const nacre_error refusal = h->err;
  check_ok(history_recover(h, NACRE_RECOVERY_TO_DAMAGE), &h->err, "recovery to the damage", __FILE__,
           __LINE__);
  if (h->entries != last)
    fprintf(stderr, "%llu entries instead of %llu\n", (unsigned long long)h->entries,
            (unsigned long long)last);
  require(h->entries == last && h->report.damaged && !h->report.clean && h->report.reason[0] != '\0');
  h->err = refusal;
}

void history_two_logs(history *h) {
  history_log(h);
  history_start(h, 0, SIZE_MAX);
  history_group(h, 0, 2);
  history_group(h, 0, 3);
  history_mark(h, 0);
  history_log(h);
  history_start(h, 1, 0);
  history_group(h, 1, 1);
  history_mark(h, 1);
  history_group(h, 1, 2);
}

const char *history_log_name(size_t log) {
  static char name[NC_FILE_NAME_BYTES];
  nc_log_name_file(log + 1, name);
  return name;
}

void history_reseal(history *h, size_t log, plain_file *file) {
  sealed_again again = plain_seal(&h->floor, history_log_name(log), file);
  memcpy(h->names[log].dek_commitment, again.header.dek_commitment, NC_COMMITMENT_BYTES);
  plain_free(file);
}
