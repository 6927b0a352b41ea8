/* SPDX-License-Identifier: Apache-2.0
 *
 * io: from errno to an error that names the file.
 */
#include "io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Opens fail in one way more than the rest: what stands there may not be what it should be. */
typedef enum deed { DEED_OPEN, DEED_LOCK, DEED_OTHER } deed;

static nc_error_id id_of(int code, deed what) {
  if (what != DEED_OTHER && (code == ELOOP || code == ENOTDIR || code == EINVAL)) return NC_E_OS_NOT_A_FILE;
  if (what == DEED_LOCK && code == EWOULDBLOCK) return NC_E_LOCKED;
  switch (code) {
    case ENOSPC:
    case EDQUOT:
      return NC_E_OS_NO_SPACE;
    case ENOENT:
      return NC_E_OS_NOT_FOUND;
    case EEXIST:
      return NC_E_OS_EXISTS;
    case ENOMEM:
      return NC_E_OS_NO_MEMORY;
    case EROFS:
      return NC_E_OS_READ_ONLY;
    default:
      return NC_E_OS;
  }
}

static nacre_status os_fail(nacre_error *err, int code, deed what, const char *doing, const char *label) {
  nacre_status status = nc_fail(err, id_of(code, what), "%s %s: %s", doing, label, strerror(code));
  if (err != NULL) err->os_errno = code;
  return nc_fail_in(err, status, label, 0);
}

/* Copies as much of a name as an error can show. */
static void copy_text(char *to, size_t capacity, const char *from) {
  size_t size = strnlen(from, capacity - 1);
  memcpy(to, from, size);
  to[size] = 0;
}

void nc_dir_label(const nc_dir *dir, const char *name, char label[NC_FILE_LABEL_BYTES]) {
  size_t at = 0;
  if (dir->label[0] != 0) {
    copy_text(label, NC_FILE_LABEL_BYTES - 1, dir->label);
    at = strlen(label);
    label[at++] = '/';
  }
  copy_text(label + at, NC_FILE_LABEL_BYTES - at, name);
}

/* An operation on a name in a directory came to `code`. */
static nacre_status name_result(const nc_dir *dir, const char *name, int code, deed what, const char *doing,
                                nacre_error *err) {
  if (code == 0) return NACRE_OK;
  char label[NC_FILE_LABEL_BYTES];
  nc_dir_label(dir, name, label);
  return os_fail(err, code, what, doing, label);
}

/* ---- directories --------------------------------------------------------------------------------------- */

nacre_status nc_dir_open(nc_env *env, const char *path, bool create, nc_dir *ret_dir, nacre_error *err) {
  nc_dir dir = {.env = env};
  int code = env->io->dir_open(env->io->context, path, create, &dir.handle);
  if (code != 0) return os_fail(err, code, DEED_OTHER, "opening", path);
  *ret_dir = dir;
  return NACRE_OK;
}

nacre_status nc_dir_open_at(const nc_dir *parent, const char *name, nc_dir *ret_dir, nacre_error *err) {
  nc_dir dir = {.env = parent->env};
  int code = dir.env->io->dir_open_at(dir.env->io->context, parent->handle, name, &dir.handle);
  NC_TRY(name_result(parent, name, code, DEED_OPEN, "opening", err));
  copy_text(dir.label, sizeof dir.label, name);
  *ret_dir = dir;
  return NACRE_OK;
}

nacre_status nc_dir_create_at(const nc_dir *parent, const char *name, nacre_error *err) {
  const nacre_io *io = parent->env->io;
  int code = io->dir_create_at(io->context, parent->handle, name);
  return name_result(parent, name, code, DEED_OTHER, "making", err);
}

nacre_status nc_dir_remove_at(const nc_dir *parent, const char *name, nacre_error *err) {
  const nacre_io *io = parent->env->io;
  int code = io->dir_remove_at(io->context, parent->handle, name);
  return name_result(parent, name, code, DEED_OTHER, "removing", err);
}

typedef struct listing {
  nc_dir_visit *visit;
  void *arg;
  nacre_error *err;
  nacre_status status;
} listing;

static int visit_one(void *arg, const char *name, nacre_io_kind kind) {
  listing *list = arg;
  list->status = list->visit(list->arg, name, kind, list->err);
  return list->status == NACRE_OK ? 0 : ECANCELED;
}

nacre_status nc_dir_list(const nc_dir *dir, nc_dir_visit *visit, void *arg, nacre_error *err) {
  const nacre_io *io = dir->env->io;
  listing list = {visit, arg, err, NACRE_OK};
  int code = io->dir_list(io->context, dir->handle, visit_one, &list);
  if (list.status != NACRE_OK) return list.status;
  return code == 0 ? NACRE_OK : os_fail(err, code, DEED_OTHER, "listing", dir->label);
}

nacre_status nc_dir_sync(const nc_dir *dir, nacre_error *err) {
  const nacre_io *io = dir->env->io;
  int code = io->dir_sync(io->context, dir->handle);
  return code == 0 ? NACRE_OK : os_fail(err, code, DEED_OTHER, "syncing the directory", dir->label);
}

nacre_status nc_dir_rename(const nc_dir *dir, const char *from, const char *to, nacre_error *err) {
  const nacre_io *io = dir->env->io;
  int code = io->rename(io->context, dir->handle, from, to);
  return name_result(dir, to, code, DEED_OTHER, "renaming to", err);
}

nacre_status nc_dir_remove(const nc_dir *dir, const char *name, nacre_error *err) {
  const nacre_io *io = dir->env->io;
  int code = io->remove(io->context, dir->handle, name);
  return name_result(dir, name, code, DEED_OTHER, "removing", err);
}

void nc_dir_close(nc_dir *dir) {
  if (dir->handle != NULL) dir->env->io->dir_close(dir->env->io->context, dir->handle);
  *dir = (nc_dir){0};
}

/* ---- locks --------------------------------------------------------------------------------------------- */

nacre_status nc_lock_take(const nc_dir *dir, const char *name, bool exclusive, nacre_io_lock **ret_lock,
                          nacre_error *err) {
  const nacre_io *io = dir->env->io;
  int code = io->lock(io->context, dir->handle, name, exclusive, ret_lock);
  return name_result(dir, name, code, DEED_LOCK, "locking", err);
}

void nc_lock_release(nc_env *env, nacre_io_lock *lock) {
  if (lock != NULL) env->io->unlock(env->io->context, lock);
}

/* ---- files --------------------------------------------------------------------------------------------- */

nacre_status nc_file_create(const nc_dir *dir, const char *name, nc_file *ret_file, nacre_error *err) {
  nc_file file = {.env = dir->env};
  int code = dir->env->io->file_create(dir->env->io->context, dir->handle, name, &file.handle);
  NC_TRY(name_result(dir, name, code, DEED_OPEN, "making", err));
  nc_dir_label(dir, name, file.label);
  *ret_file = file;
  return NACRE_OK;
}

nacre_status nc_file_open(const nc_dir *dir, const char *name, bool writable, nc_file *ret_file,
                          nacre_error *err) {
  nc_file file = {.env = dir->env};
  int code = dir->env->io->file_open(dir->env->io->context, dir->handle, name, writable, &file.handle);
  NC_TRY(name_result(dir, name, code, DEED_OPEN, "opening", err));
  nc_dir_label(dir, name, file.label);
  *ret_file = file;
  return NACRE_OK;
}

/* An operation on an open file came to `code`; `offset` NACRE_NONE when it concerns the whole file. */
static nacre_status file_result(const nc_file *file, int code, uint64_t offset, const char *doing,
                                nacre_error *err) {
  if (code == 0) return NACRE_OK;
  nacre_status status = os_fail(err, code, DEED_OTHER, doing, file->label);
  if (err != NULL) err->offset = offset;
  return status;
}

nacre_status nc_file_size(nc_file *file, uint64_t *ret_size, nacre_error *err) {
  const nacre_io *io = file->env->io;
  nacre_io_info info;
  NC_TRY(file_result(file, io->file_info(io->context, file->handle, &info), NACRE_NONE, "looking at", err));
  *ret_size = info.size;
  return NACRE_OK;
}

nacre_status nc_file_links(nc_file *file, uint64_t *ret_links, nacre_error *err) {
  const nacre_io *io = file->env->io;
  nacre_io_info info;
  NC_TRY(file_result(file, io->file_info(io->context, file->handle, &info), NACRE_NONE, "looking at", err));
  *ret_links = info.links;
  return NACRE_OK;
}

nacre_status nc_file_read(nc_file *file, uint64_t offset, void *buffer, size_t size, nacre_error *err) {
  const nacre_io *io = file->env->io;
  size_t got = 0;
  int code = io->file_read(io->context, file->handle, offset, buffer, size, &got);
  NC_TRY(file_result(file, code, offset, "reading", err));
  if (got == size) return NACRE_OK;
  nacre_status status =
      nc_fail_at(err, NC_E_FILE_SHORT, offset + got, "%zu of %zu bytes are there", got, size);
  return nc_fail_in(err, status, file->label, 0);
}

nacre_status nc_file_write(nc_file *file, uint64_t offset, const void *data, size_t size, nacre_error *err) {
  const nacre_io *io = file->env->io;
  return file_result(file, io->file_write(io->context, file->handle, offset, data, size), offset, "writing",
                     err);
}

nacre_status nc_file_sync(nc_file *file, nacre_error *err) {
  const nacre_io *io = file->env->io;
  return file_result(file, io->file_sync(io->context, file->handle), NACRE_NONE, "syncing", err);
}

void nc_file_close(nc_file *file) {
  if (file->handle != NULL) file->env->io->file_close(file->env->io->context, file->handle);
  *file = (nc_file){0};
}

/* ---- small files, whole -------------------------------------------------------------------------------- */

static nacre_status bounded_size(nc_file *file, size_t size_max, size_t *ret_size, nacre_error *err) {
  uint64_t size = 0;
  NC_TRY(nc_file_size(file, &size, err));
  if (size > size_max) {
    nacre_status status = nc_fail(err, NC_E_FILE_LONG, "%llu bytes", (unsigned long long)size);
    return nc_fail_in(err, status, file->label, 0);
  }
  *ret_size = (size_t)size;
  return NACRE_OK;
}

nacre_status nc_dir_read_file(const nc_dir *dir, const char *name, void *buffer, size_t capacity,
                              size_t *ret_size, nacre_error *err) {
  nc_file file;
  size_t size = 0;
  NC_TRY(nc_file_open(dir, name, false, &file, err));
  nacre_status status = bounded_size(&file, capacity, &size, err);
  if (status == NACRE_OK) status = nc_file_read(&file, 0, buffer, size, err);
  nc_file_close(&file);
  if (status == NACRE_OK) *ret_size = size;
  return status;
}

static nacre_status load(nc_file *file, size_t size_max, uint8_t **ret_bytes, size_t *ret_size,
                         nacre_error *err) {
  size_t size = 0;
  NC_TRY(bounded_size(file, size_max, &size, err));
  uint8_t *bytes = malloc(size + 1);
  if (bytes == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  nacre_status status = nc_file_read(file, 0, bytes, size, err);
  if (status != NACRE_OK) {
    free(bytes);
    return status;
  }
  *ret_bytes = bytes;
  *ret_size = size;
  return NACRE_OK;
}

nacre_status nc_dir_load_file(const nc_dir *dir, const char *name, size_t size_max, uint8_t **ret_bytes,
                              size_t *ret_size, nacre_error *err) {
  nc_file file;
  NC_TRY(nc_file_open(dir, name, false, &file, err));
  nacre_status status = load(&file, size_max, ret_bytes, ret_size, err);
  nc_file_close(&file);
  return status;
}

static nacre_status write_whole(const nc_dir *dir, const char *name, nacre_slice bytes, nacre_error *err) {
  nc_file file;
  NC_TRY(nc_file_create(dir, name, &file, err));
  nacre_status status = nc_file_write(&file, 0, bytes.data, bytes.size, err);
  if (status == NACRE_OK) status = nc_file_sync(&file, err);
  nc_file_close(&file);
  return status;
}

nacre_status nc_dir_write_file(const nc_dir *dir, const char *name, nacre_slice bytes, nacre_error *err) {
  /* A crash leaves the file, perhaps in part; the next attempt begins anew. */
  nacre_error why;
  nacre_status status = nc_dir_remove(dir, name, &why);
  if (status != NACRE_OK && status != NACRE_NOT_FOUND) return nc_fail_with(err, &why);
  status = write_whole(dir, name, bytes, err);
  if (status != NACRE_OK) nc_ignore(nc_dir_remove(dir, name, NULL));
  return status;
}

nacre_status nc_dir_replace_file(const nc_dir *dir, const char *temporary, const char *name,
                                 nacre_slice bytes, nacre_error *err) {
  NC_TRY(nc_dir_write_file(dir, temporary, bytes, err));
  nacre_status status = nc_dir_rename(dir, temporary, name, err);
  if (status != NACRE_OK) nc_ignore(nc_dir_remove(dir, temporary, NULL));
  return status;
}
