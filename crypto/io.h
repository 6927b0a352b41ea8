/* SPDX-License-Identifier: Apache-2.0
 *
 * io: directories and files with errors that name them.
 *
 * Wraps nacre_io: an errno becomes a status (ENOSPC, EDQUOT: NACRE_NO_SPACE; ENOENT: NACRE_NOT_FOUND; EEXIST:
 * NACRE_EXISTS; ENOMEM: NACRE_NO_MEMORY; EWOULDBLOCK of a lock: NACRE_LOCKED; EROFS: NACRE_READ_ONLY; ELOOP,
 * ENOTDIR, EINVAL of an open: NACRE_TAMPERED, for a store's file has been replaced by something that is not a
 * file; the rest: NACRE_IO), and the file is named as it lies in the store ("<table directory>/<file>").
 */
#ifndef NC_IO_H
#define NC_IO_H

#include "env.h"
#include "slice.h"

enum { NC_FILE_NAME_BYTES = 64, NC_DIR_LABEL_BYTES = 64, NC_FILE_LABEL_BYTES = 128 };

typedef struct nc_dir {
  nc_env *env;
  nacre_io_dir *handle;
  char label[NC_DIR_LABEL_BYTES]; /* how errors name it: "" for the store's own directory */
} nc_dir;

typedef struct nc_file {
  nc_env *env;
  nacre_io_file *handle;
  char label[NC_FILE_LABEL_BYTES]; /* "<directory>/<name>" */
} nc_file;

/* ---- directories: a zeroed nc_dir is closed, and closing it is harmless -------------------------------- */
NC_MUST_CHECK nacre_status nc_dir_open(nc_env *env, const char *path, bool create, nc_dir *ret_dir,
                                       nacre_error *err);
NC_MUST_CHECK nacre_status nc_dir_open_at(const nc_dir *parent, const char *name, nc_dir *ret_dir,
                                          nacre_error *err);
NC_MUST_CHECK nacre_status nc_dir_create_at(const nc_dir *parent, const char *name, nacre_error *err);
NC_MUST_CHECK nacre_status nc_dir_remove_at(const nc_dir *parent, const char *name, nacre_error *err);
/* `visit` returns NACRE_OK to go on. */
typedef nacre_status nc_dir_visit(void *arg, const char *name, nacre_io_kind kind, nacre_error *err);
NC_MUST_CHECK nacre_status nc_dir_list(const nc_dir *dir, nc_dir_visit *visit, void *arg, nacre_error *err);
NC_MUST_CHECK nacre_status nc_dir_sync(const nc_dir *dir, nacre_error *err);
NC_MUST_CHECK nacre_status nc_dir_rename(const nc_dir *dir, const char *from, const char *to,
                                         nacre_error *err);
NC_MUST_CHECK nacre_status nc_dir_remove(const nc_dir *dir, const char *name, nacre_error *err);
void nc_dir_close(nc_dir *dir);
/* How errors name a file of the directory. */
void nc_dir_label(const nc_dir *dir, const char *name, char label[NC_FILE_LABEL_BYTES]);

/* ---- locks --------------------------------------------------------------------------------------------- */
NC_MUST_CHECK nacre_status nc_lock_take(const nc_dir *dir, const char *name, bool exclusive,
                                        nacre_io_lock **ret_lock, nacre_error *err);
void nc_lock_release(nc_env *env, nacre_io_lock *lock);

/* ---- files --------------------------------------------------------------------------------------------- */
NC_MUST_CHECK nacre_status nc_file_create(const nc_dir *dir, const char *name, nc_file *ret_file,
                                          nacre_error *err);
NC_MUST_CHECK nacre_status nc_file_open(const nc_dir *dir, const char *name, bool writable, nc_file *ret_file,
                                        nacre_error *err);
NC_MUST_CHECK nacre_status nc_file_size(nc_file *file, uint64_t *ret_size, nacre_error *err);
NC_MUST_CHECK nacre_status nc_file_links(nc_file *file, uint64_t *ret_links, nacre_error *err); /* names */
/* Reads exactly `size` bytes; an end before them is NC_E_FILE_SHORT (NACRE_CORRUPT). */
NC_MUST_CHECK nacre_status nc_file_read(nc_file *file, uint64_t offset, void *buffer, size_t size,
                                        nacre_error *err);
NC_MUST_CHECK nacre_status nc_file_write(nc_file *file, uint64_t offset, const void *data, size_t size,
                                         nacre_error *err);
NC_MUST_CHECK nacre_status nc_file_sync(nc_file *file, nacre_error *err);
void nc_file_close(nc_file *file);

/* ---- small files, whole -------------------------------------------------------------------------------- */
/* Reads a whole file of at most `capacity` bytes; a longer one is NC_E_FILE_LONG (NACRE_CORRUPT). */
NC_MUST_CHECK nacre_status nc_dir_read_file(const nc_dir *dir, const char *name, void *buffer,
                                            size_t capacity, size_t *ret_size, nacre_error *err);
/* The same, into memory of the file's size (at least one byte), which the caller frees. */
NC_MUST_CHECK nacre_status nc_dir_load_file(const nc_dir *dir, const char *name, size_t size_max,
                                            uint8_t **ret_bytes, size_t *ret_size, nacre_error *err);
/* Writes a small file anew, whatever stood there, and syncs it. On failure it is removed. */
NC_MUST_CHECK nacre_status nc_dir_write_file(const nc_dir *dir, const char *name, nacre_slice bytes,
                                             nacre_error *err);
/* Writes `temporary` anew, syncs it and renames it over `name`. The caller syncs the directory. */
NC_MUST_CHECK nacre_status nc_dir_replace_file(const nc_dir *dir, const char *temporary, const char *name,
                                               nacre_slice bytes, nacre_error *err);

/* For a failure that changes nothing for the caller, such as in cleaning up after another: it goes untold.
 * Such calls get a NULL error or one of their own, for a call that succeeds must leave the thread's last
 * error as it was. */
static inline void nc_ignore(nacre_status status) { (void)status; }
/* Passes on an error that was kept aside until it was clear that it counts; returns its status. */
static inline nacre_status nc_fail_with(nacre_error *err, const nacre_error *why) {
  if (err != NULL) *err = *why;
  return why->status;
}

static inline uint64_t nc_now_ns(const nc_env *env) { return env->io->monotonic_ns(env->io->context); }
static inline uint64_t nc_wall_ms(const nc_env *env) { return env->io->wall_ms(env->io->context); }

#endif
