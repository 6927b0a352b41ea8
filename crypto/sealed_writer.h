/* SPDX-License-Identifier: Apache-2.0
 *
 * sealed_writer: a sealed file while it is being written.
 *
 * Invariants
 *   1. Offsets strictly increase; nothing is ever written twice with other content; a file is never reopened
 *      for appending.
 *   2. After any failed write or sync the writer is failed for good: every later append and sync says so (the
 *      first error), and the engine abandons the file. Nothing is retried: the content is logged again
 *      elsewhere.
 *   3. No byte reaches the file unsealed.
 * Threads: one appends at a time; sync may run beside an append (it covers what was appended before it
 * began).
 */
#ifndef NC_SEALED_WRITER_H
#define NC_SEALED_WRITER_H

#include "index.h"
#include "io.h"
#include "wrap.h"

typedef struct nc_sealed_writer nc_sealed_writer;

/* Creates the file with both header slots written (not synced). `identity->file` is filled with a new UUID.
 * `buffer_bytes`: how much is gathered before it is written; 0: each append is written before it returns. A
 * failure leaves no file. */
NC_MUST_CHECK nacre_status nc_sealed_writer_create(const nc_dir *dir, const char *name, nc_identity *identity,
                                                   const nc_kek *kek, size_t buffer_bytes,
                                                   nc_sealed_writer **ret_writer, nacre_error *err);
/* Seals and appends one frame; tells where it stands (`ret_handle` may be NULL). NACRE_TOO_LARGE beyond the
 * frame limit or the file limit changes nothing. */
NC_MUST_CHECK nacre_status nc_sealed_writer_append(nc_sealed_writer *w, nc_frame_type type,
                                                   nacre_slice plaintext, nc_handle *ret_handle,
                                                   nacre_error *err);
/* For a log whose appends are not buffered: from now on frames are stored through a window in memory (file_window.h),
 * where the disk has such; filler may stand behind the last one. */
void nc_sealed_writer_begin_window(nc_sealed_writer *w);
/* No such frames are to come: cuts off the filler. Appends are written from here on. */
void nc_sealed_writer_end_window(nc_sealed_writer *w);
/* Writes what is buffered, and syncs. */
NC_MUST_CHECK nacre_status nc_sealed_writer_sync(nc_sealed_writer *w, nacre_error *err);
uint64_t nc_sealed_writer_size(const nc_sealed_writer *w); /* where the next frame will stand */
uint64_t nc_sealed_writer_frames(const nc_sealed_writer *w);
const uint8_t *nc_sealed_writer_last_tag(const nc_sealed_writer *w); /* of the last frame appended */
const nc_header_slot *nc_sealed_writer_header(const nc_sealed_writer *w);
bool nc_sealed_writer_failed(const nc_sealed_writer *w);
/* Closes the file (it stays); wipes the DEK. Unwritten buffered frames are discarded. NULL is harmless. */
void nc_sealed_writer_close(nc_sealed_writer *w);

#endif
