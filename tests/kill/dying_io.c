/* SPDX-License-Identifier: Apache-2.0
 *
 * A copy of the POSIX table in which every changing operation is counted first. Global, because it ends the
 * process anyway.
 */
#include "dying_io.h"

#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

static nacre_io table;
static const nacre_io *real;
static atomic_uint_fast64_t count;
static uint64_t last;

static void die(void) {
  for (;;) kill(getpid(), SIGKILL);
}

/* True when the process is to die in this operation: at once if the moment is "before". */
static bool is_last(void) {
  if (atomic_fetch_add(&count, 1) + 1 != last) return false;
  if (last % 2 == 0) die();
  return true;
}

static int finish(bool dies, int result) {
  if (dies) die();
  return result;
}

static int dying_dir_create_at(void *context, nacre_io_dir *parent, const char *name) {
  bool dies = is_last();
  return finish(dies, real->dir_create_at(context, parent, name));
}

static int dying_dir_remove_at(void *context, nacre_io_dir *parent, const char *name) {
  bool dies = is_last();
  return finish(dies, real->dir_remove_at(context, parent, name));
}

static int dying_dir_sync(void *context, nacre_io_dir *dir) {
  bool dies = is_last();
  return finish(dies, real->dir_sync(context, dir));
}

static int dying_file_create(void *context, nacre_io_dir *dir, const char *name, nacre_io_file **ret_file) {
  bool dies = is_last();
  return finish(dies, real->file_create(context, dir, name, ret_file));
}

static int dying_file_write(void *context, nacre_io_file *file, uint64_t offset, const void *buffer,
                            size_t size) {
  bool dies = is_last();
  return finish(dies,
                real->file_write(context, file, offset, buffer, dies && last % 3 != 0 ? size / 2 : size));
}

/* Dies before it, behind it, or in the middle: what came so far is there, but for the first bytes. */
static void dying_map_store(void *context, nacre_io_map *map, uint64_t offset, const void *bytes, size_t size) {
  bool dies = is_last();
  if (dies && last % 3 != 0 && size >= 32) {
    real->map_store(context, map, offset + 8, (const uint8_t *)bytes + 8, size / 2);
    die();
  }
  real->map_store(context, map, offset, bytes, size);
  if (dies) die();
}

static int dying_file_truncate(void *context, nacre_io_file *file, uint64_t size) {
  bool dies = is_last();
  return finish(dies, real->file_truncate(context, file, size));
}

static int dying_file_sync(void *context, nacre_io_file *file) {
  bool dies = is_last();
  return finish(dies, real->file_sync(context, file));
}

static int dying_rename(void *context, nacre_io_dir *dir, const char *from, const char *to) {
  bool dies = is_last();
  return finish(dies, real->rename(context, dir, from, to));
}

static int dying_remove(void *context, nacre_io_dir *dir, const char *name) {
  bool dies = is_last();
  return finish(dies, real->remove(context, dir, name));
}

const nacre_io *dying_io(uint64_t die_at) {
  last = die_at;
  real = nacre_io_posix();
  table = *real;
  table.dir_create_at = dying_dir_create_at;
  table.dir_remove_at = dying_dir_remove_at;
  table.dir_sync = dying_dir_sync;
  table.file_create = dying_file_create;
  table.file_write = dying_file_write;
  table.file_sync = dying_file_sync;
  table.map_store = dying_map_store;
  table.file_truncate = dying_file_truncate;
  table.rename = dying_rename;
  table.remove = dying_remove;
  return &table;
}
