/* SPDX-License-Identifier: Apache-2.0
 *
 * frame_digests: see frame_digests.h.
 */
#include "frame_digests.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runner.h"
#include "support.h"

enum { FRAMES_OFFSET = 8192 };

typedef struct taking {
  frame_digests *digests;
  sim_disk *disk;
  nacre_io_dir *dir;
  char directory[64];
} taking;

static bool is_sealed(const char *name) {
  const char *dot = strrchr(name, '.');
  return dot != NULL && (strcmp(dot, ".seg") == 0 || strcmp(dot, ".log") == 0 || strcmp(dot, ".man") == 0 ||
                         strcmp(dot, ".val") == 0);
}

/* How many bytes from the first frame on are not the filler at the end of a log. */
static size_t without_filler(const uint8_t *bytes, size_t size) {
  for (uint64_t place; size >= 16 && memcmp(bytes + size - 16, "\xff\xff\xff\xff", 4) == 0; size -= 16) {
    memcpy(&place, bytes + size - 8, sizeof place);
    if (place != FRAMES_OFFSET + size - 16) break;
  }
  return size;
}

/* Of the first `size` bytes; NACRE_NONE: of all but filler. False when there are fewer. */
static bool digest_file(sim_disk *disk, nacre_io_dir *dir, const char *name, uint64_t size,
                        frame_digest *ret) {
  const nacre_io *io = sim_disk_io(disk);
  nacre_io_file *file;
  nacre_io_info info;
  size_t got = 0;
  if (io->file_open(disk, dir, name, false, &file) != 0) return false;
  bool ok = io->file_info(disk, file, &info) == 0 && (size == NACRE_NONE || info.size >= size);
  bool all = size == NACRE_NONE;
  size = all ? info.size : size;
  size_t header = FRAMES_OFFSET, body = size > header ? (size_t)size - header : 0;
  uint8_t *bytes = test_alloc(body + 1);
  ok = ok && io->file_read(disk, file, header, bytes, body, &got) == 0 && got == body;
  body = all && ok ? without_filler(bytes, body) : body;
  ok = ok && EVP_Digest(bytes, body, ret->digest, NULL, EVP_sha256(), NULL) == 1;
  ret->size = header + body;
  free(bytes);
  io->file_close(disk, file);
  return ok;
}

static int take_file(void *arg, const char *name, nacre_io_kind kind) {
  taking *t = arg;
  frame_digest *d = &t->digests->list[t->digests->count];
  if (kind != NACRE_IO_REGULAR || !is_sealed(name) || t->digests->count == FRAME_DIGESTS_MAX) return 0;
  snprintf(d->directory, sizeof d->directory, "%s", t->directory);
  snprintf(d->name, sizeof d->name, "%s", name);
  t->digests->count += digest_file(t->disk, t->dir, name, NACRE_NONE, d);
  return 0;
}

static int take_directory(void *arg, const char *name, nacre_io_kind kind) {
  taking *t = arg;
  const nacre_io *io = sim_disk_io(t->disk);
  nacre_io_dir *root = t->dir;
  if (kind != NACRE_IO_DIRECTORY || io->dir_open_at(t->disk, root, name, &t->dir) != 0) return 0;
  snprintf(t->directory, sizeof t->directory, "%s", name);
  io->dir_list(t->disk, t->dir, take_file, t);
  io->dir_close(t->disk, t->dir);
  t->dir = root;
  return 0;
}

void frame_digests_take(frame_digests *digests, sim_disk *disk) {
  taking t = {.digests = digests, .disk = disk};
  const nacre_io *io = sim_disk_io(disk);
  digests->count = 0;
  if (io->dir_open(disk, STORE_PATH, false, &t.dir) != 0) return;
  io->dir_list(disk, t.dir, take_directory, &t);
  io->dir_close(disk, t.dir);
}

/* A log, or the catalogue's manifest, may have grown meanwhile. */
uint64_t frame_digests_compare(const frame_digests *digests, sim_disk *disk) {
  const nacre_io *io = sim_disk_io(disk);
  uint64_t compared = 0;
  for (size_t i = 0; i < digests->count; i++) {
    const frame_digest *before = &digests->list[i];
    char path[160];
    frame_digest now;
    nacre_io_dir *dir;
    snprintf(path, sizeof path, "%s/%s", STORE_PATH, before->directory);
    if (io->dir_open(disk, path, false, &dir) != 0) continue;
    if (digest_file(disk, dir, before->name, before->size, &now)) {
      compared++;
      CHECK(memcmp(now.digest, before->digest, sizeof now.digest) == 0,
            "a change of keys changed frames of %s/%s", before->directory, before->name);
    }
    io->dir_close(disk, dir);
  }
  return compared;
}
