/* SPDX-License-Identifier: Apache-2.0
 *
 * shelf: see shelf.h.
 */
#include "shelf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "support.h"

/* ---- reading ------------------------------------------------------------------------------------------- */

static shelf_dir *find_dir(shelf *s, const char *name) {
  for (size_t i = 0; i < s->dir_count; i++)
    if (strcmp(s->dirs[i].name, name) == 0) return &s->dirs[i];
  return NULL;
}

static int give_dir(shelf *s, shelf_dir *dir, nacre_io_dir **ret_dir) {
  if (dir == NULL || dir->missing) return ENOENT;
  s->handles++;
  *ret_dir = dir;
  return 0;
}

/* Whatever the path: a shelf holds one store. */
static int dir_open(void *context, const char *path, bool create, nacre_io_dir **ret_dir) {
  shelf *s = context;
  (void)path;
  (void)create;
  return give_dir(s, &s->dirs[0], ret_dir);
}

static int dir_open_at(void *context, nacre_io_dir *parent, const char *name, nacre_io_dir **ret_dir) {
  (void)parent;
  return give_dir(context, find_dir(context, name), ret_dir);
}

static int dir_list(void *context, nacre_io_dir *dir,
                    int (*visit)(void *arg, const char *name, nacre_io_kind kind), void *arg) {
  shelf *s = context;
  int stop = 0;
  for (size_t i = 1; i < s->dir_count && dir == &s->dirs[0] && stop == 0; i++)
    if (!s->dirs[i].missing) stop = visit(arg, s->dirs[i].name, NACRE_IO_DIRECTORY);
  for (size_t i = 0; i < s->file_count && stop == 0; i++) {
    const shelf_file *file = &s->files[i];
    if (!file->missing && strcmp(file->directory, dir->name) == 0)
      stop = visit(arg, file->name, NACRE_IO_REGULAR);
  }
  return stop;
}

static void dir_close(void *context, nacre_io_dir *dir) {
  shelf *s = context;
  (void)dir;
  s->handles--;
}

static int file_open(void *context, nacre_io_dir *dir, const char *name, bool writable,
                     nacre_io_file **ret_file) {
  shelf *s = context;
  shelf_file *file = shelf_find(s, dir->name, name);
  s->changes += writable;
  if (writable) return EROFS;
  if (file == NULL || file->missing) return ENOENT;
  s->handles++;
  *ret_file = file;
  return 0;
}

static int file_info(void *context, nacre_io_file *file, nacre_io_info *ret_info) {
  (void)context;
  *ret_info = (nacre_io_info){.size = file->size, .links = 1};
  return 0;
}

static int file_read(void *context, nacre_io_file *file, uint64_t offset, void *buffer, size_t size,
                     size_t *ret_read) {
  (void)context;
  uint64_t left = offset < file->size ? file->size - offset : 0;
  *ret_read = size < left ? size : (size_t)left;
  file->reads++;
  if (*ret_read > 0) memcpy(buffer, file->bytes + offset, *ret_read);
  return 0;
}

static void file_close(void *context, nacre_io_file *file) {
  shelf *s = context;
  (void)file;
  s->handles--;
}

/* ---- locks, clocks ------------------------------------------------------------------------------------- */

static int lock(void *context, nacre_io_dir *dir, const char *name, bool exclusive,
                nacre_io_lock **ret_lock) {
  nacre_io_file *file = NULL;
  int error = file_open(context, dir, name, exclusive, &file);
  *ret_lock = (nacre_io_lock *)(void *)file;
  return error;
}

static void unlock(void *context, nacre_io_lock *taken) {
  (void)taken;
  ((shelf *)context)->handles--;
}

static uint64_t monotonic_ns(void *context) { return ((shelf *)context)->clock_ns += 1000; }
static uint64_t wall_ms(void *context) { return 1700000000000u + monotonic_ns(context) / 1000000; }

/* ---- what a shelf never does --------------------------------------------------------------------------- */

static int refuse(void *context) {
  ((shelf *)context)->changes++;
  return EROFS;
}
static int on_name(void *context, nacre_io_dir *dir, const char *name) {
  (void)dir, (void)name;
  return refuse(context);
}
static int dir_sync(void *context, nacre_io_dir *dir) {
  (void)dir;
  return refuse(context);
}
static int file_create(void *context, nacre_io_dir *dir, const char *name, nacre_io_file **ret_file) {
  (void)dir, (void)name, (void)ret_file;
  return refuse(context);
}
static int file_write(void *context, nacre_io_file *file, uint64_t offset, const void *buffer, size_t size) {
  (void)file, (void)offset, (void)buffer, (void)size;
  return refuse(context);
}
static int file_sync(void *context, nacre_io_file *file) {
  (void)file;
  return refuse(context);
}
static int rename_over(void *context, nacre_io_dir *dir, const char *from, const char *to) {
  (void)dir, (void)from, (void)to;
  return refuse(context);
}

const nacre_io *shelf_io(shelf *s) {
  s->io = (nacre_io){
      .context = s,
      .dir_open = dir_open,
      .dir_open_at = dir_open_at,
      .dir_create_at = on_name,
      .dir_remove_at = on_name,
      .dir_list = dir_list,
      .dir_sync = dir_sync,
      .dir_close = dir_close,
      .file_create = file_create,
      .file_open = file_open,
      .file_info = file_info,
      .file_read = file_read,
      .file_write = file_write,
      .file_sync = file_sync,
      .file_close = file_close,
      .rename = rename_over,
      .remove = on_name,
      .lock = lock,
      .unlock = unlock,
      .monotonic_ns = monotonic_ns,
      .wall_ms = wall_ms,
  };
  return &s->io;
}

/* ---- filling ------------------------------------------------------------------------------------------- */

typedef struct loading {
  shelf *to;
  const nacre_io *io;
  nacre_io_dir *dir;
  const char *directory;
} loading;

static int load_file(void *arg, const char *name, nacre_io_kind kind) {
  loading *l = arg;
  if (kind != NACRE_IO_REGULAR) return 0;
  nacre_io_file *file;
  nacre_io_info info;
  if (l->to->file_count == SHELF_FILES_MAX) test_die("the store has too many files for a shelf");
  shelf_file *to = &l->to->files[l->to->file_count++];
  snprintf(to->directory, sizeof to->directory, "%s", l->directory);
  snprintf(to->name, sizeof to->name, "%s", name);
  if (l->io->file_open(l->io->context, l->dir, name, false, &file) != 0 ||
      l->io->file_info(l->io->context, file, &info) != 0)
    test_die("%s cannot be opened", name);
  to->bytes = test_alloc((size_t)info.size);
  if (l->io->file_read(l->io->context, file, 0, to->bytes, (size_t)info.size, &to->size) != 0 ||
      to->size != info.size)
    test_die("%s cannot be read", name);
  l->io->file_close(l->io->context, file);
  return 0;
}

static int note_dir(void *arg, const char *name, nacre_io_kind kind) {
  shelf *s = ((loading *)arg)->to;
  if (kind != NACRE_IO_DIRECTORY) return 0;
  if (s->dir_count == SHELF_DIRS_MAX) test_die("the store has too many directories for a shelf");
  snprintf(s->dirs[s->dir_count++].name, SHELF_NAME_BYTES, "%s", name);
  return 0;
}

static int by_name(const void *a, const void *b) {
  const shelf_file *x = a, *y = b;
  int order = strcmp(x->directory, y->directory);
  return order != 0 ? order : strcmp(x->name, y->name);
}

void shelf_load(shelf *s, const nacre_io *io, const char *path) {
  nacre_io_dir *root;
  *s = (shelf){.dir_count = 1};
  if (io->dir_open(io->context, path, false, &root) != 0) test_die("%s cannot be opened", path);
  loading l = {s, io, root, ""};
  if (io->dir_list(io->context, root, note_dir, &l) != 0) test_die("%s cannot be listed", path);
  for (size_t i = 0; i < s->dir_count; i++) {
    l.directory = s->dirs[i].name;
    l.dir = root;
    if (i > 0 && io->dir_open_at(io->context, root, l.directory, &l.dir) != 0)
      test_die("%s cannot be opened", l.directory);
    if (io->dir_list(io->context, l.dir, load_file, &l) != 0) test_die("%s cannot be listed", l.directory);
    if (i > 0) io->dir_close(io->context, l.dir);
  }
  io->dir_close(io->context, root);
  qsort(s->files, s->file_count, sizeof *s->files, by_name);
}

static void give_bytes(shelf_file *to, const shelf_file *from) {
  to->bytes = test_alloc(from->size);
  to->size = from->size;
  to->missing = from->missing;
  if (from->size > 0) memcpy(to->bytes, from->bytes, from->size);
}

void shelf_copy(shelf *to, const shelf *from) {
  *to = *from;
  to->handles = 0;
  for (size_t i = 0; i < to->file_count; i++) {
    give_bytes(&to->files[i], &from->files[i]);
  }
}

void shelf_restore(shelf *s, const shelf *from) {
  for (size_t i = 0; i < s->file_count; i++) free(s->files[i].bytes);
  s->file_count = from->file_count;
  memcpy(s->dirs, from->dirs, sizeof s->dirs);
  for (size_t i = 0; i < s->file_count; i++) {
    s->files[i] = from->files[i];
    give_bytes(&s->files[i], &from->files[i]);
  }
}

void shelf_put(shelf *s, const shelf_file *file) {
  shelf_file *to = shelf_find(s, file->directory, file->name);
  if (to == NULL) {
    if (s->file_count == SHELF_FILES_MAX) test_die("the shelf is full");
    to = &s->files[s->file_count++];
    *to = *file;
  } else {
    free(to->bytes);
  }
  give_bytes(to, file);
}

void shelf_deinit(shelf *s) {
  for (size_t i = 0; i < s->file_count; i++) free(s->files[i].bytes);
  *s = (shelf){0};
}

/* ---- files --------------------------------------------------------------------------------------------- */

shelf_file *shelf_find(shelf *s, const char *directory, const char *name) {
  for (size_t i = 0; i < s->file_count; i++)
    if (strcmp(s->files[i].name, name) == 0 && strcmp(s->files[i].directory, directory) == 0)
      return &s->files[i];
  return NULL;
}

bool shelf_ends_in(const shelf_file *file, const char *suffix) {
  size_t length = strlen(file->name), tail = strlen(suffix);
  return length >= tail && strcmp(file->name + length - tail, suffix) == 0;
}

static unsigned count_of_kind(const shelf *s, const shelf_file *file, int sign) {
  unsigned count = 0;
  for (size_t i = 0; i < s->file_count; i++) {
    const shelf_file *other = &s->files[i];
    count += strcmp(other->directory, file->directory) == 0 &&
             shelf_ends_in(other, strrchr(file->name, '.')) && sign * strcmp(other->name, file->name) > 0;
  }
  return count;
}

unsigned shelf_older(const shelf *s, const shelf_file *file) { return count_of_kind(s, file, -1); }
unsigned shelf_newer(const shelf *s, const shelf_file *file) { return count_of_kind(s, file, 1); }

void shelf_label(const shelf_file *file, char label[2 * SHELF_NAME_BYTES]) {
  snprintf(label, 2 * SHELF_NAME_BYTES, "%s%s%s", file->directory, file->directory[0] == 0 ? "" : "/",
           file->name);
}

void shelf_store(const shelf *s, const char *path) {
  char directory[512], name[512];
  for (size_t i = 1; i < s->dir_count; i++) {
    test_path(directory, sizeof directory, path, s->dirs[i].name);
    if (mkdir(directory, 0700) != 0) test_die("%s cannot be made", directory);
  }
  for (size_t i = 0; i < s->file_count; i++) {
    const shelf_file *file = &s->files[i];
    test_path(directory, sizeof directory, path, file->directory);
    test_path(name, sizeof name, directory, file->name);
    FILE *out = fopen(name, "wb");
    if (out == NULL || fwrite(file->bytes, 1, file->size, out) != file->size || fclose(out) != 0)
      test_die("%s cannot be written", name);
  }
}
