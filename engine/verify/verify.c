/* SPDX-License-Identifier: Apache-2.0
 *
 * verify: keys, CURRENT, manifest and logs of a table; its segments are looked at in verify_segment.c.
 */
#include "verify.h"

#include <stdio.h>
#include <stdlib.h>

#include "batch.h"
#include "faults.h"
#include "last_error.h"
#include "orphans.h"

/* ---- logs ---------------------------------------------------------------------------------------------- */

static nacre_status visit_log_frame(nc_verifier *v, const nc_scan_frame *frame, nacre_slice plaintext,
                                    nacre_error *err) {
  nc_log_record record;
  if (!nc_frame_type_belongs(frame->type, NC_FILE_LOG)) return nc_fail(err, NC_E_FRAME_TYPE, NULL);
  NC_TRY(nc_log_record_decode(plaintext, frame->type, &record, err));
  if (frame->type != NC_FRAME_LOG_GROUP) return NACRE_OK;
  v->report.entries += record.count;
  return nc_batch_check(record.operations, record.count, err);
}

static nacre_status verify_log_file(nc_verifier *v, const nc_log_name *log, uint64_t end, nacre_error *err) {
  char name[NC_FILE_NAME_BYTES];
  nc_log_name_file(log->number, name);
  nc_sealed_expect expect = {.type = NC_FILE_LOG,
                             .origin_table = &v->table->uuid,
                             .file = &log->file,
                             .number = log->number,
                             .dek_commitment = log->dek_commitment};
  nc_sealed_reader *reader;
  NC_TRY(nc_sealed_reader_open_under(&v->table->dir, name, &v->table->keys, &expect, &reader, err));
  v->report.files++;
  nacre_status status = nc_verify_note(v, nc_verify_header(v, reader, err), err);
  uint64_t frames;
  if (status == NACRE_OK) status = nc_verify_frames(v, reader, end, visit_log_frame, &frames, err);
  nc_sealed_reader_close(reader);
  return status;
}

/* Where a log's frames end, as far as they count. A torn tail was reported when the table was opened and is
 * no fault; nor is a torn final frame of a log that has a successor, which recorded an end before it. Damage
 * is, also for who chose to read up to it. Needs commit_lock. */
static uint64_t end_of_log_locked(const nacre_table *t, const nc_log *log) {
  if (log->writer != NULL) return nc_sealed_writer_size(log->writer);
  bool newest = log == t->logs[t->log_count - 1];
  return t->recovery.damaged || (t->recovery.clean && newest) ? NACRE_NONE : log->end;
}

/* Flushed and dropped since the call: it is not part of the table any more. */
static bool was_dropped(nacre_table *t, const nc_log *log) {
  bool live = false;
  pthread_mutex_lock(&t->commit_lock);
  for (size_t i = 0; i < t->log_count; i++) live = live || t->logs[i] == log;
  pthread_mutex_unlock(&t->commit_lock);
  return !live;
}

static nacre_status verify_logs(nc_verifier *v, nacre_error *err) {
  nacre_table *t = v->table;
  pthread_mutex_lock(&t->write_lock); /* the tail stands still, and so do the live logs' names */
  pthread_mutex_lock(&t->commit_lock);
  size_t count = t->log_count;
  nc_log **logs = calloc(count + 1, sizeof(nc_log *));
  uint64_t *ends = calloc(count + 1, sizeof *ends);
  for (size_t i = 0; logs != NULL && ends != NULL && i < count; i++) {
    logs[i] = t->logs[i];
    nc_log_ref(logs[i]);
    ends[i] = end_of_log_locked(t, logs[i]);
  }
  pthread_mutex_unlock(&t->commit_lock);
  pthread_mutex_unlock(&t->write_lock);
  nacre_status status = logs == NULL || ends == NULL ? nc_fail(err, NC_E_NO_MEMORY, NULL) : NACRE_OK;
  for (size_t i = 0; i < count && logs != NULL && ends != NULL; i++) {
    if (status == NACRE_OK && ends[i] > 0) {
      nacre_status found = verify_log_file(v, &logs[i]->name, ends[i], err);
      if (found != NACRE_NOT_FOUND || !was_dropped(t, logs[i])) status = nc_verify_note(v, found, err);
    }
    nc_log_unref(logs[i]);
  }
  free(logs);
  free(ends);
  return status;
}

/* ---- keys, CURRENT, manifest --------------------------------------------------------------------------- */

static nacre_status verify_manifest_file(nc_verifier *v, const nc_current *current, uint64_t *ret_size,
                                         nacre_error *err) {
  char name[NC_FILE_NAME_BYTES];
  nc_manifest_name(current->manifest_number, name);
  nc_sealed_reader *reader;
  NC_TRY(nc_sealed_reader_open_under(&v->table->dir, name, &v->table->keys, NULL, &reader, err));
  v->report.files++;
  uint64_t size = nc_sealed_reader_size(reader);
  nacre_status status = nc_verify_header(v, reader, err);
  nc_sealed_reader_close(reader);
  *ret_size = size;
  return status;
}

/* Reading the manifest again walks all its frames; a last commit that is torn was never acknowledged and is
 * no fault. */
static nacre_status verify_manifest(nc_verifier *v, nacre_error *err) {
  nacre_table *t = v->table;
  nc_current current;
  nc_manifest_content content = {0};
  uint64_t size = 0;
  pthread_mutex_lock(&t->commit_lock);
  NC_TAKEN_KEYS(keys, &t->keys); /* under the lock: CURRENT is not made under later ones, then */
  nacre_status status = nc_current_read(&t->dir, keys, &current, err);
  if (status == NACRE_OK) status = nc_manifest_read(&t->dir, keys, false, &content, err);
  if (status == NACRE_OK) status = verify_manifest_file(v, &current, &size, err);
  pthread_mutex_unlock(&t->commit_lock);
  nc_verify_progress(v, size); /* the callback runs without a lock */
  nc_manifest_content_deinit(&content);
  return nc_verify_note(v, status, err);
}

static nacre_status verify_segments(nc_verifier *v, nc_view *view, nacre_error *err) {
  for (size_t i = 0; i < view->version->segment_count; i++) {
    NC_TRY(nc_verify_note(v, nc_verify_segment(v, view->version->segments[i], err), err));
  }
  return NACRE_OK;
}

/* Files that know of a later state than the manifest, for who chose to read on in spite of them. */
static nacre_status verify_orphans(nc_verifier *v, nacre_error *err) {
  if (!v->table->recovery.damaged) return NACRE_OK; /* a strict open has refused them */
  nc_orphans orphans;
  nacre_status status = nc_orphans_find(v->table, &orphans, err);
  nc_orphans_free(&orphans);
  return nc_verify_note(v, status, err);
}

/* Under change_lock: a change of keys writes them. */
static nacre_status verify_key_copies(nacre_table *t, nacre_error *err) {
  pthread_mutex_lock(&t->change_lock);
  NC_TAKEN_KEYS(keys, &t->keys);
  nacre_status status = nc_table_keys_check_copies(keys, &t->dir, err);
  pthread_mutex_unlock(&t->change_lock);
  return status;
}

static nacre_status verify_all(nc_verifier *v, nc_view *view, uint64_t sequence, nacre_error *err) {
  NC_TRY(verify_orphans(v, err));
  NC_TRY(nc_verify_note(v, verify_key_copies(v->table, err), err));
  NC_TRY(verify_manifest(v, err));
  NC_TRY(verify_logs(v, err));
  uint64_t faults = v->report.fault_count;
  NC_TRY(verify_segments(v, view, err));
  return nc_verify_values(v, sequence, v->report.fault_count == faults, err);
}

static nacre_status verify_table(nc_verifier *v, const nc_named_files *named, nacre_error *err) {
  const nc_version *version = named->view->version;
  v->named = named;
  v->referenced = calloc(named->value_count + 1, sizeof *v->referenced);
  if (v->referenced == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  for (size_t i = 0; i < version->segment_count; i++)
    v->bytes_total += nc_segment_describe(version->segments[i])->size;
  for (size_t i = 0; i < named->value_count; i++) v->bytes_total += named->values[i].name.size;
  nacre_status status = verify_all(v, named->view, named->sequence, err);
  free(v->referenced);
  return status;
}

nacre_status nacre_verify(nacre_table *table, const nacre_verify_options *options,
                          nacre_verify_report *ret_report) {
  nacre_error *err = nc_thread_error();
  NC_TRY(nc_table_check(table, err));
  if (options != NULL) NC_TRY(nc_check_reserved(options->reserved, err));
  nc_verifier v = {.table = table, .options = options};
  nc_named_files named;
  nacre_status status = nc_named_files_take(table, &named, err);
  if (status == NACRE_OK) status = verify_table(&v, &named, err);
  nc_named_files_free(&named);
  if (status == NACRE_OK && v.report.fault_count > 0) {
    *err = v.first;
    status = v.first.status;
  }
  if (ret_report != NULL) {
    *ret_report = v.report;
  } else {
    nacre_faults_free(v.report.faults);
  }
  return status;
}
