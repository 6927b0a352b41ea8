/* SPDX-License-Identifier: Apache-2.0
 *
 * tear: see tear.h.
 */
#include "tear.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "golden.h"
#include "support.h"

enum { FRAME_OVERHEAD = 32, ALIGNMENT = 16, FRAMES_MAX = 256 };

uint64_t tear_file_size(const char *path) {
  struct stat info;
  if (stat(path, &info) != 0) test_die("%s cannot be read", path);
  return (uint64_t)info.st_size;
}

uint64_t tear_frame_from_end(const char *path, size_t back) {
  uint64_t offsets[FRAMES_MAX];
  size_t size, count = 0;
  char *bytes = golden_read_file(path, &size);
  for (uint64_t at = TEAR_FRAMES_OFFSET; at < size && count < FRAMES_MAX; count++) {
    const uint8_t *p = (const uint8_t *)bytes + at;
    uint64_t length = p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24;
    offsets[count] = at;
    at += (length + FRAME_OVERHEAD + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  }
  free(bytes);
  if (count < back) test_die("%s has no %zu frames", path, back);
  return offsets[count - back];
}

void tear_resize(const char *path, uint64_t size) {
  if (truncate(path, (off_t)size) != 0) test_die("%s cannot be resized", path);
}

void tear_zero(const char *path, uint64_t from, uint64_t to) {
  uint8_t *zeros = test_alloc(to - from);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || pwrite(fd, zeros, to - from, (off_t)from) != (ssize_t)(to - from) || close(fd) != 0)
    test_die("%s cannot be written", path);
  free(zeros);
}
