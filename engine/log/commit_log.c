/* SPDX-License-Identifier: Apache-2.0
 *
 * commit_log: see commit_log.h.
 */
#include "commit_log.h"

#include <stdio.h>
#include <stdlib.h>

void nc_log_name_file(uint64_t number, char name[NC_FILE_NAME_BYTES]) {
  snprintf(name, NC_FILE_NAME_BYTES, "%020llu.log", (unsigned long long)number);
}

static nacre_status allocate(nc_log **ret_log, nacre_error *err) {
  nc_log *log = calloc(1, sizeof *log);
  if (log == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  atomic_init(&log->refs, 1);
  log->end = NC_FRAMES_OFFSET;
  *ret_log = log;
  return NACRE_OK;
}

nacre_status nc_log_create(const nc_dir *dir, const nc_uuid *table, const nc_kek *kek, uint64_t number,
                           uint64_t epoch, nc_log **ret_log, nacre_error *err) {
  nc_log *log = NULL;
  NC_TRY(allocate(&log, err));
  char name[NC_FILE_NAME_BYTES];
  nc_log_name_file(number, name);
  nc_identity identity = {.type = NC_FILE_LOG, .origin_table = *table, .number = number, .epoch = epoch};
  nacre_status status = nc_sealed_writer_create(dir, name, &identity, kek, 0, &log->writer, err);
  if (status == NACRE_OK) status = nc_sealed_writer_sync(log->writer, err);
  if (status != NACRE_OK) {
    if (log->writer != NULL) {
      nc_ignore(nc_dir_remove(dir, name, NULL)); /* nothing names it; an orphan if it stays */
    }
    nc_log_unref(log);
    return status;
  }
  nc_sealed_writer_begin_window(log->writer);
  log->name = (nc_log_name){.number = number, .file = identity.file};
  memcpy(log->name.dek_commitment, nc_sealed_writer_header(log->writer)->dek_commitment, NC_COMMITMENT_BYTES);
  *ret_log = log;
  return NACRE_OK;
}

nacre_status nc_log_found(const nc_log_name *name, uint64_t end, uint64_t last_sequence, bool started,
                          nc_log **ret_log, nacre_error *err) {
  NC_TRY(allocate(ret_log, err));
  (*ret_log)->name = *name;
  (*ret_log)->end = end;
  (*ret_log)->last_sequence = last_sequence;
  (*ret_log)->started = started;
  return NACRE_OK;
}

void nc_log_ref(nc_log *log) { atomic_fetch_add_explicit(&log->refs, 1, memory_order_relaxed); }

void nc_log_unref(nc_log *log) {
  if (log == NULL || atomic_fetch_sub_explicit(&log->refs, 1, memory_order_acq_rel) != 1) return;
  nc_sealed_writer_close(log->writer);
  free(log);
}

void nc_log_end_window(nc_log *log) {
  if (log->writer != NULL && !nc_log_failed(log)) nc_sealed_writer_end_window(log->writer);
}

static nacre_status append(nc_log *log, nc_frame_type type, nacre_slice record, nacre_error *err) {
  NC_TRY(nc_sealed_writer_append(log->writer, type, record, NULL, err));
  log->end = nc_sealed_writer_size(log->writer);
  return NACRE_OK;
}

static nc_log_record record_of(const nc_log_moment *moment) {
  return (nc_log_record){.first_sequence = moment->next_sequence,
                         .synced = moment->synced,
                         .manifest = moment->manifest,
                         .manifest_sequence = moment->manifest_sequence};
}

nacre_status nc_log_start(nc_log *log, const nc_log *predecessor, const nc_log_moment *moment,
                          nacre_error *err) {
  nc_log_record record = record_of(moment);
  if (predecessor != NULL) {
    record.predecessor.present = true;
    record.predecessor.file = predecessor->name.file;
    record.predecessor.number = predecessor->name.number;
    record.predecessor.end = predecessor->end;
    record.predecessor.last_sequence = predecessor->last_sequence;
  }
  uint8_t bytes[NC_LOG_RECORD_FIXED_BYTES_MAX];
  NC_TRY(append(log, NC_FRAME_LOG_START,
                nc_slice(bytes, nc_log_record_encode(&record, NC_FRAME_LOG_START, bytes)), err));
  log->started = true;
  log->last_sequence = moment->next_sequence - 1;
  return NACRE_OK;
}

nacre_status nc_log_append_group(nc_log *log, nacre_slice record, uint64_t last_sequence, nacre_error *err) {
  NC_TRY(append(log, NC_FRAME_LOG_GROUP, record, err));
  log->last_sequence = last_sequence;
  return NACRE_OK;
}

nacre_status nc_log_append_mark(nc_log *log, nc_frame_type type, const nc_log_moment *moment,
                                nacre_error *err) {
  nc_log_record record = record_of(moment);
  uint8_t bytes[NC_LOG_RECORD_FIXED_BYTES_MAX];
  uint64_t before = log->end;
  if (type == NC_FRAME_LOG_FINAL) nc_log_end_window(log);
  NC_TRY(append(log, type, nc_slice(bytes, nc_log_record_encode(&record, (uint8_t)type, bytes)), err));
  if (type == NC_FRAME_LOG_FINAL) log->end = before;
  return NACRE_OK;
}
