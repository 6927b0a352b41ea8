/* SPDX-License-Identifier: Apache-2.0
 *
 * file_copy: see file_copy.h. What is copied is ciphertext and public headers, so the buffer is ordinary memory.
 */
#include "file_copy.h"

#include <errno.h>
#include <stdlib.h>

enum { PIECE_BYTES = 1 << 20 };

static nacre_status copy_by_hand(nc_file *from, nc_file *to, uint64_t offset, uint64_t size,
                                 nacre_error *err) {
  uint8_t *piece = malloc(PIECE_BYTES);
  if (piece == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  nacre_status status = NACRE_OK;
  for (uint64_t done = 0; done < size && status == NACRE_OK;) {
    size_t some = size - done < PIECE_BYTES ? (size_t)(size - done) : PIECE_BYTES;
    status = nc_file_read(from, offset + done, piece, some, err);
    if (status == NACRE_OK) status = nc_file_write(to, offset + done, piece, some, err);
    done += some;
  }
  free(piece);
  return status;
}

/* Whatever the file system says against it, but that there is no room, is tried by hand: that tells which of the
 * two files fails. */
nacre_status nc_file_copy(nc_file *from, nc_file *to, uint64_t offset, uint64_t size, nacre_error *err) {
  const nacre_io *io = from->env->io;
  if (size == 0) return NACRE_OK;
  int code =
      io->file_copy == NULL ? EOPNOTSUPP : io->file_copy(io->context, from->handle, to->handle, offset, size);
  return code == 0 ? NACRE_OK : copy_by_hand(from, to, offset, size, err);
}
