/* SPDX-License-Identifier: Apache-2.0
 *
 * verify_frames: what is found is noted; headers and frames of any file.
 */
#include "faults.h"
#include "verify.h"

/* ---- findings ------------------------------------------------------------------------------------------ */

nacre_status nc_verify_note(nc_verifier *v, nacre_status status, const nacre_error *err) {
  if (status == NACRE_OK) return NACRE_OK;
  if (status == NACRE_NO_MEMORY) return status;
  if (v->report.fault_count == 0) v->first = *err;
  nacre_error none;
  status = nc_faults_add(&v->report.faults, err, NULL, &none);
  v->report.fault_count = nacre_faults_count(v->report.faults);
  return status;
}

void nc_verify_progress(nc_verifier *v, uint64_t bytes) {
  v->report.bytes += bytes;
  if (v->options != NULL && v->options->on_progress != NULL) {
    v->options->on_progress(v->options->progress_arg, v->report.bytes, v->bytes_total);
  }
}

/* ---- frames -------------------------------------------------------------------------------------------- */

nacre_status nc_verify_frames(nc_verifier *v, nc_sealed_reader *reader, uint64_t end, nc_verify_visit *visit,
                              uint64_t *ret_frames, nacre_error *err) {
  const char *label = nc_sealed_reader_label(reader);
  nc_scan scan;
  nc_scan_init(&scan, v->table->shared->env->heap, reader, end);
  nacre_status status = NACRE_OK;
  uint64_t offset = NC_FRAMES_OFFSET;
  *ret_frames = 0;
  nc_verify_progress(v, NC_FRAMES_OFFSET);
  for (;;) {
    nc_scan_result result;
    nc_scan_frame frame;
    nacre_slice plaintext;
    status = nc_scan_at(&scan, offset, &result, &frame, err, err);
    if (status != NACRE_OK || result == NC_SCAN_END) break;
    if (result == NC_SCAN_BAD) {
      status = err->status; /* what stands behind a bad frame has no known address */
      break;
    }
    status = nc_scan_open(&scan, &frame, &plaintext, err);
    if (status == NACRE_OK && visit != NULL)
      status = nc_fail_in(err, visit(v, &frame, plaintext, err), label, offset);
    status = nc_verify_note(v, status, err);
    if (status != NACRE_OK) break;
    offset += frame.size;
    (*ret_frames)++;
    nc_verify_progress(v, frame.size);
  }
  nc_scan_deinit(&scan);
  v->report.frames += *ret_frames;
  return status;
}

/* Under header_lock: a rewrap makes the slots differ for a moment. */
nacre_status nc_verify_header(nc_verifier *v, nc_sealed_reader *reader, nacre_error *err) {
  pthread_mutex_lock(&v->table->header_lock);
  nacre_status status = nc_sealed_reader_check_header(reader, err);
  pthread_mutex_unlock(&v->table->header_lock);
  return status;
}
