/* SPDX-License-Identifier: Apache-2.0
 *
 * file_window: see file_window.h.
 */
#include "file_window.h"

#include <errno.h>
#include <stdlib.h>

#include "filler.h"
#include "header.h"

/* A map is one of some 65,000 that the kernel gives a process, all of whose other memory needs them, too. */
enum { PIECE_BYTES = 4096, WINDOW_BYTES_MAX = 1 << 20, FILL_BYTES = 64 << 10, WINDOWS_MAX = 1024 };
enum { STORE_BYTES_MAX = 16 << 10 }; /* of a larger frame the system call is the least */

static void close_map(nc_window *w, nc_file *file) {
  if (w->map == NULL) return;
  file->env->io->file_unmap(file->env->io->context, w->map);
  atomic_fetch_sub_explicit(&file->env->windows, 1, memory_order_relaxed);
  w->map = NULL;
  w->end = 0;
}

void nc_window_end(nc_window *w, nc_file *file, uint64_t size) {
  const nacre_io *io = file->env->io;
  close_map(w, file);
  w->off = true;
  if (w->filled > size) (void)io->file_truncate(io->context, file->handle, size); /* else the filler stays */
  w->filled = 0;
}

void nc_window_close(nc_window *w, nc_file *file) { close_map(w, file); }

/* `piece`: the kernel keeps what is written at once as one page of that size, all of which it writes to the disk for
 * each sync of a frame in it. Large ones are cheaper where nobody syncs. */
static nacre_status fill(nc_file *file, const nc_uuid *uuid, uint64_t from, uint64_t to, size_t piece,
                         nacre_error *err) {
  size_t capacity = to - from < piece ? (size_t)(to - from) : piece;
  uint8_t *filler = malloc(capacity);
  if (filler == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  nacre_status status = NACRE_OK;
  for (size_t size; status == NACRE_OK && from < to; from += size) {
    size = to - from < capacity ? (size_t)(to - from) : capacity;
    nc_filler_write(filler, size, uuid, from);
    status = nc_file_write(file, from, filler, size, err);
  }
  free(filler);
  return status;
}

/* Twice what the last one was good for: small files stay small, and where most frames are written, little is filled. */
static uint64_t next_end(const nc_window *w, uint64_t offset, size_t size) {
  uint64_t piece = 2 * w->stored;
  piece = piece < PIECE_BYTES ? PIECE_BYTES : piece > WINDOW_BYTES_MAX ? WINDOW_BYTES_MAX : piece;
  uint64_t end = offset + (size > piece ? size : piece);
  return (end + PIECE_BYTES - 1) / PIECE_BYTES * PIECE_BYTES;
}

static nacre_status move(nc_window *w, nc_file *file, const nc_uuid *uuid, uint64_t offset, size_t size,
                         nacre_error *err) {
  const nacre_io *io = file->env->io;
  uint64_t end = next_end(w, offset, size), from = w->filled > offset ? w->filled : offset;
  if (end > from) {
    w->filled = end;
    bool synced = atomic_exchange_explicit(&w->synced, false, memory_order_relaxed);
    NC_TRY(fill(file, uuid, from, end, synced ? PIECE_BYTES : FILL_BYTES, err));
  }
  nacre_io_map *map;
  if (io->file_map(io->context, file->handle, offset, (size_t)(end - offset), &map) != 0) {
    nc_window_end(w, file, offset);
    return NACRE_OK;
  }
  atomic_fetch_add_explicit(&file->env->windows, 1, memory_order_relaxed);
  w->map = map;
  w->end = end;
  w->stored = 0;
  return NACRE_OK;
}

static bool may_move(const nc_window *w, const nc_file *file) {
  return !w->off && file->env->io->file_map != NULL &&
         atomic_load_explicit(&file->env->windows, memory_order_relaxed) < WINDOWS_MAX;
}

/* What is in the way of filler alone: the disk has no room for it, or the file may not be as long (RLIMIT_FSIZE). The
 * frame, which is shorter, may have a place all the same. */
static bool spares_frames(const nacre_error *why) {
  return why->status == NACRE_NO_SPACE || why->status == NACRE_NO_MEMORY || why->os_errno == EFBIG;
}

nacre_status nc_window_store(nc_window *w, nc_file *file, const nc_uuid *uuid, uint64_t offset,
                             const void *frame, size_t size, bool *ret_stored, nacre_error *err) {
  const nacre_io *io = file->env->io;
  bool small = size <= STORE_BYTES_MAX;
  if (w->map == NULL || offset > w->end || size > w->end - offset) {
    close_map(w, file);
    nacre_error why;
    nacre_status status = small && may_move(w, file) ? move(w, file, uuid, offset, size, &why) : NACRE_OK;
    if (status != NACRE_OK) nc_window_end(w, file, offset); /* gives back what the disk may be short of */
    if (status != NACRE_OK && !spares_frames(&why)) return nc_fail_with(err, &why);
  }
  *ret_stored = w->map != NULL && small;
  if (!*ret_stored) return NACRE_OK;
  io->map_store(io->context, w->map, offset, frame, size);
  w->stored += size;
  return NACRE_OK;
}
