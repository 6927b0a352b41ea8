/* SPDX-License-Identifier: Apache-2.0
 *
 * line_reader: numbered lines; see line_reader.h.
 */
#include "line_reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUFFER_BYTES = 256 * 1024 };

void tool_lines_begin(line_reader *r, int fd) {
  *r = (line_reader){.fd = fd, .buffer = tool_alloc(BUFFER_BYTES)};
}

void tool_lines_end(line_reader *r) {
  free(r->buffer);
  *r = (line_reader){.fd = -1};
}

/* False at the end of the file, and when reading fails. */
static bool fill(line_reader *r) {
  if (r->at < r->filled) return true;
  ssize_t got = 0;
  do {
    got = read(r->fd, r->buffer, BUFFER_BYTES);
  } while (got < 0 && errno == EINTR);
  if (got < 0) r->os_errno = errno;
  r->at = 0;
  r->filled = got < 0 ? 0 : (size_t)got;
  return got > 0;
}

line_result tool_lines_next(line_reader *r, bytes *to) {
  size_t begin = to->size, length = 0;
  bool too_long = false;
  while (fill(r)) {
    const uint8_t *from = r->buffer + r->at, *newline = memchr(from, '\n', r->filled - r->at);
    size_t size = newline == NULL ? r->filled - r->at : (size_t)(newline - from) + 1;
    r->at += size;
    r->bytes_done += size;
    length += size;
    if (length > TOOL_LINE_BYTES_MAX) {
      too_long = true;
      to->size = begin;
    } else {
      tool_bytes_add(to, from, size);
    }
    if (newline != NULL) break;
  }
  if (r->os_errno != 0) return LINE_FAILED;
  if (length == 0) return LINE_END;
  r->line++;
  return too_long ? LINE_TOO_LONG : LINE_GOOD;
}
