/* SPDX-License-Identifier: Apache-2.0
 *
 * sealed_writer: plaintext is sealed straight into the frame buffer, which therefore only ever holds
 * ciphertext and may be ordinary memory.
 *
 * Locking: `gather` guards the buffer while a frame is appended and while a sync writes out what is buffered; the
 * sync of the file itself happens outside of it. A write-through file has nothing buffered when an append ends, and
 * does without. `first` guards the first error; the two are never held together.
 *
 * The cursor that others see moves only after a frame is where it should be (in the file, or in
 * the buffer that the next sync writes), so that whoever reads it before a sync never vouches for a frame
 * which that sync does not cover.
 */
#include "sealed_writer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "file_window.h"
#include "random.h"

#define SALT_NS_MAX ((uint64_t)10 * 1000 * 1000)
#define KEPT_BYTES_MAX ((size_t)1024 * 1024) /* a larger buffer, grown for one frame, is not kept */

struct nc_sealed_writer {
  nc_env *env;
  nc_file file;
  nc_header_slot header;
  nc_seal_ctx *seal;
  pthread_mutex_t gather;
  uint8_t *buffer;
  size_t capacity, buffered, buffer_bytes;
  uint64_t base; /* where the buffer's first byte belongs in the file */
  nc_window window;
  uint8_t salt[NC_FRAME_SALT_BYTES], last_tag[NC_FRAME_TAG_BYTES];
  uint64_t salt_ns; /* when the salt was drawn */
  atomic_uint_least64_t cursor, frames;
  pthread_mutex_t first;
  atomic_bool failed;
  nacre_error first_error;
};

/* ---- failure ------------------------------------------------------------------------------------------- */

static nacre_status tell_first_error(nc_sealed_writer *w, nacre_error *err) {
  pthread_mutex_lock(&w->first);
  nacre_status status = w->first_error.status;
  if (err != NULL) *err = w->first_error;
  pthread_mutex_unlock(&w->first);
  return status;
}

/* Keeps the first of all failures; answers with it. */
static nacre_status fail_for_good(nc_sealed_writer *w, const nacre_error *why, nacre_error *err) {
  pthread_mutex_lock(&w->first);
  if (!atomic_load(&w->failed)) {
    w->first_error = *why;
    atomic_store(&w->failed, true);
  }
  pthread_mutex_unlock(&w->first);
  return tell_first_error(w, err);
}

/* ---- creation ------------------------------------------------------------------------------------------ */

static nacre_status draw_salt(nc_sealed_writer *w, uint64_t now_ns, nacre_error *err) {
  NC_TRY(nc_random(w->salt, sizeof w->salt, err));
  w->salt_ns = now_ns;
  return NACRE_OK;
}

static nacre_status write_header(nc_sealed_writer *w, nacre_error *err) {
  uint8_t *slots = malloc(NC_FRAMES_OFFSET);
  if (slots == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  nc_header_slot slot = w->header;
  for (uint8_t i = 0; i < NC_SLOT_COUNT; i++) {
    slot.index = i;
    nc_header_encode(&slot, slots + (size_t)i * NC_SLOT_BYTES);
  }
  nacre_status status = nc_file_write(&w->file, 0, slots, NC_FRAMES_OFFSET, err);
  free(slots);
  return status;
}
_Static_assert(NC_FRAMES_OFFSET == NC_SLOT_COUNT * NC_SLOT_BYTES, "frames begin where the slots end");

/* Everything but the file. */
static nacre_status prepare(nc_sealed_writer *w, const nc_kek *kek, nacre_error *err) {
  NC_TRY(nc_random_uuid(&w->header.identity.file, err));
  NC_TRY(draw_salt(w, nc_now_ns(w->env), err));
  return nc_dek_generate(w->env, kek, &w->header, &w->seal, err);
}

static nacre_status make_file(nc_sealed_writer *w, const nc_dir *dir, const char *name, nacre_error *err) {
  NC_TRY(nc_file_create(dir, name, &w->file, err));
  nacre_status status = write_header(w, err);
  if (status == NACRE_OK) return NACRE_OK;
  nc_file_close(&w->file);
  nc_ignore(nc_dir_remove(dir, name, NULL));
  return status;
}

nacre_status nc_sealed_writer_create(const nc_dir *dir, const char *name, nc_identity *identity,
                                     const nc_kek *kek, size_t buffer_bytes, nc_sealed_writer **ret_writer,
                                     nacre_error *err) {
  nc_sealed_writer *w = calloc(1, sizeof *w);
  if (w == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  w->env = dir->env;
  w->header.identity = *identity;
  w->buffer_bytes = buffer_bytes;
  w->base = NC_FRAMES_OFFSET;
  w->window.off = true;
  atomic_init(&w->cursor, NC_FRAMES_OFFSET);
  pthread_mutex_init(&w->gather, NULL);
  pthread_mutex_init(&w->first, NULL);
  nacre_status status = prepare(w, kek, err);
  if (status == NACRE_OK) status = make_file(w, dir, name, err);
  if (status != NACRE_OK) {
    nc_sealed_writer_close(w);
    return status;
  }
  identity->file = w->header.identity.file;
  *ret_writer = w;
  return NACRE_OK;
}

void nc_sealed_writer_close(nc_sealed_writer *w) {
  if (w == NULL) return;
  nc_window_close(&w->window, &w->file);
  nc_file_close(&w->file);
  nc_seal_ctx_destroy(w->seal);
  pthread_mutex_destroy(&w->gather);
  pthread_mutex_destroy(&w->first);
  free(w->buffer);
  free(w);
}

/* ---- appending ----------------------------------------------------------------------------------------- */

static nacre_status put_buffered(nc_sealed_writer *w, nacre_error *err) {
  bool stored = false;
  const nc_uuid *uuid = &w->header.identity.file;
  if (!w->window.off)
    NC_TRY(nc_window_store(&w->window, &w->file, uuid, w->base, w->buffer, w->buffered, &stored, err));
  return stored ? NACRE_OK : nc_file_write(&w->file, w->base, w->buffer, w->buffered, err);
}

static nacre_status write_buffered_locked(nc_sealed_writer *w, nacre_error *err) {
  if (w->buffered == 0) return NACRE_OK;
  NC_TRY(put_buffered(w, err));
  w->base += w->buffered;
  w->buffered = 0;
  if (w->capacity > KEPT_BYTES_MAX && w->capacity > w->buffer_bytes) {
    free(w->buffer);
    w->buffer = NULL;
    w->capacity = 0;
  }
  return NACRE_OK;
}

/* Room for one more frame behind what is buffered. */
static nacre_status reserve_locked(nc_sealed_writer *w, size_t size, nacre_error *err) {
  if (size > w->capacity - w->buffered) NC_TRY(write_buffered_locked(w, err));
  if (size <= w->capacity - w->buffered) return NACRE_OK;
  size_t capacity = size > w->buffer_bytes ? size : w->buffer_bytes;
  uint8_t *buffer = malloc(capacity);
  if (buffer == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  free(w->buffer); /* empty: it was written just now */
  w->buffer = buffer;
  w->capacity = capacity;
  return NACRE_OK;
}

static void lock_gather(nc_sealed_writer *w) {
  if (w->buffer_bytes > 0) pthread_mutex_lock(&w->gather);
}
static void unlock_gather(nc_sealed_writer *w) {
  if (w->buffer_bytes > 0) pthread_mutex_unlock(&w->gather);
}

static nacre_status append_locked(nc_sealed_writer *w, nc_frame_type type, nacre_slice plaintext,
                                  nc_handle *ret_handle, nacre_error *err) {
  size_t size = nc_frame_size(plaintext.size);
  uint64_t offset = nc_sealed_writer_size(w), now_ns = nc_now_ns(w->env);
  NC_TRY(reserve_locked(w, size, err));
  if (now_ns - w->salt_ns > SALT_NS_MAX) NC_TRY(draw_salt(w, now_ns, err));
  uint8_t *frame = w->buffer + w->buffered;
  NC_TRY(nc_seal_frame(w->seal, type, w->salt, offset, plaintext, frame, err));
  memcpy(w->last_tag, frame + NC_FRAME_HEADER_BYTES + plaintext.size, sizeof w->last_tag);
  w->buffered += size;
  if (w->buffered >= w->buffer_bytes) NC_TRY(write_buffered_locked(w, err));
  uint64_t frames = atomic_load_explicit(&w->frames, memory_order_relaxed); /* one appends at a time */
  atomic_store_explicit(&w->frames, frames + 1, memory_order_relaxed);
  atomic_store_explicit(&w->cursor, offset + size, memory_order_release);
  if (ret_handle != NULL) *ret_handle = (nc_handle){offset, (uint32_t)size};
  return NACRE_OK;
}

/* What is refused here changes nothing. */
static nacre_status check_size(const nc_sealed_writer *w, nacre_slice plaintext, nacre_error *err) {
  uint64_t at = nc_sealed_writer_size(w);
  nacre_status status = NACRE_OK;
  if (plaintext.size > NC_FRAME_PLAINTEXT_BYTES_MAX) {
    status = nc_fail_at(err, NC_E_FRAME_TOO_LARGE, at, "%zu bytes", plaintext.size);
  } else if (nc_frame_size(plaintext.size) > NC_FILE_BYTES_MAX - at) {
    status = nc_fail_at(err, NC_E_FILE_FULL, at, NULL);
  }
  return status == NACRE_OK ? NACRE_OK : nc_fail_in(err, status, w->file.label, 0);
}

nacre_status nc_sealed_writer_append(nc_sealed_writer *w, nc_frame_type type, nacre_slice plaintext,
                                     nc_handle *ret_handle, nacre_error *err) {
  nacre_error why;
  if (nc_sealed_writer_failed(w)) return tell_first_error(w, err);
  NC_TRY(check_size(w, plaintext, err));
  lock_gather(w);
  nacre_status status = append_locked(w, type, plaintext, ret_handle, &why);
  unlock_gather(w);
  if (status == NACRE_OK) return NACRE_OK;
  nc_fail_in(&why, status, w->file.label, 0);
  /* No memory for the buffer: nothing was sealed yet, and the file is as it was. */
  if (why.id == NC_E_NO_MEMORY) return nc_fail_with(err, &why);
  return fail_for_good(w, &why, err);
}

void nc_sealed_writer_begin_window(nc_sealed_writer *w) { w->window.off = false; }

void nc_sealed_writer_end_window(nc_sealed_writer *w) {
  if (!w->window.off) nc_window_end(&w->window, &w->file, nc_sealed_writer_size(w));
}

static nacre_status write_out(nc_sealed_writer *w, nacre_error *err) {
  if (w->buffer_bytes == 0) return NACRE_OK;
  lock_gather(w);
  nacre_status status = write_buffered_locked(w, err);
  unlock_gather(w);
  return status;
}

nacre_status nc_sealed_writer_sync(nc_sealed_writer *w, nacre_error *err) {
  nacre_error why;
  if (nc_sealed_writer_failed(w)) return tell_first_error(w, err);
  nacre_status status = write_out(w, &why);
  if (status == NACRE_OK) status = nc_file_sync(&w->file, &why);
  nc_window_note_sync(&w->window);
  return status == NACRE_OK ? NACRE_OK : fail_for_good(w, &why, err);
}

uint64_t nc_sealed_writer_size(const nc_sealed_writer *w) {
  return atomic_load_explicit(&w->cursor, memory_order_acquire);
}
uint64_t nc_sealed_writer_frames(const nc_sealed_writer *w) {
  return atomic_load_explicit(&w->frames, memory_order_relaxed);
}
const uint8_t *nc_sealed_writer_last_tag(const nc_sealed_writer *w) { return w->last_tag; }
const nc_header_slot *nc_sealed_writer_header(const nc_sealed_writer *w) { return &w->header; }
bool nc_sealed_writer_failed(const nc_sealed_writer *w) {
  return atomic_load_explicit(&w->failed, memory_order_acquire);
}
