/* SPDX-License-Identifier: Apache-2.0
 *
 * support: see support.h.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "random.h"

/* --- faults --------------------------------------------------------------------------------------------- */

static bool due(atomic_int *count, int fail_at) { return atomic_fetch_add(count, 1) + 1 == fail_at; }

static int faulty_open(void *context, nacre_io_dir *dir, const char *name, bool writable,
                       nacre_io_file **ret_file) {
  faults *f = context;
  if (due(&f->opens, f->fail_open)) return f->code;
  return nacre_io_posix()->file_open(NULL, dir, name, writable, ret_file);
}

static int faulty_read(void *context, nacre_io_file *file, uint64_t offset, void *buffer, size_t size,
                       size_t *ret_read) {
  faults *f = context;
  bool lie = atomic_load(&f->reads) + 1 == f->lie_read;
  if (due(&f->reads, f->fail_read)) return f->code;
  int code = nacre_io_posix()->file_read(NULL, file, offset, buffer, size, ret_read);
  for (size_t i = 3; lie && code == 0 && i < *ret_read; i += 4096) ((uint8_t *)buffer)[i] ^= 4;
  return code;
}

/* One thread, where it is wanted. */
static void trace(faults *f, const char *what) {
  size_t used = strlen(f->trace);
  if (f->trace_on && used + strlen(what) < sizeof f->trace) memcpy(f->trace + used, what, strlen(what) + 1);
}

static int faulty_write(void *context, nacre_io_file *file, uint64_t offset, const void *buffer,
                        size_t size) {
  faults *f = context;
  trace(f, offset == 0 ? "w0" : offset == 4096 ? "w1" : "w");
  if (!due(&f->writes, f->fail_write)) return nacre_io_posix()->file_write(NULL, file, offset, buffer, size);
  (void)nacre_io_posix()->file_write(NULL, file, offset, buffer,
                                     size / 2); /* part of it may have been written */
  return f->code;
}

static int faulty_sync(void *context, nacre_io_file *file) {
  faults *f = context;
  trace(f, "s");
  if (due(&f->syncs, f->fail_sync)) return f->code;
  return f->quick ? 0 : nacre_io_posix()->file_sync(NULL, file);
}

static int faulty_create(void *context, nacre_io_dir *dir, const char *name, nacre_io_file **ret_file) {
  faults *f = context;
  if (due(&f->creates, f->fail_create)) return f->code;
  return nacre_io_posix()->file_create(NULL, dir, name, ret_file);
}

static int faulty_rename(void *context, nacre_io_dir *dir, const char *from, const char *to) {
  faults *f = context;
  if (due(&f->renames, f->fail_rename)) return f->code;
  return nacre_io_posix()->rename(NULL, dir, from, to);
}

static int faulty_dir_sync(void *context, nacre_io_dir *dir) {
  faults *f = context;
  if (due(&f->dir_syncs, f->fail_dir_sync)) return f->code;
  return f->quick ? 0 : nacre_io_posix()->dir_sync(NULL, dir);
}

static uint64_t faulty_clock(void *context) {
  const faults *f = context;
  return nacre_io_posix()->monotonic_ns(NULL) + f->clock_ns;
}

void faults_init(faults *f) {
  *f = (faults){.io = *nacre_io_posix(), .code = EIO};
  f->io.file_map = NULL; /* everything comes by here */
  f->io.context = f;
  f->io.file_open = faulty_open;
  f->io.file_read = faulty_read;
  f->io.file_write = faulty_write;
  f->io.file_sync = faulty_sync;
  f->io.file_create = faulty_create;
  f->io.rename = faulty_rename;
  f->io.dir_sync = faulty_dir_sync;
  f->io.monotonic_ns = faulty_clock;
}

/* --- the fixture ---------------------------------------------------------------------------------------- */

void fixture_open(fixture *f) {
  nacre_error err;
  memset(f, 0, sizeof *f);
  snprintf(f->path, sizeof f->path, "/tmp/nacre-test-XXXXXX");
  require(mkdtemp(f->path) != NULL);
  faults_init(&f->faults);
  must(nc_env_create(&f->faults.io, &f->env, &err));
  must(nc_dir_open(f->env, f->path, false, &f->dir, &err));
  snprintf(f->keyring, sizeof f->keyring, "%s/home/keyring", f->path);
  snprintf(f->uri, sizeof f->uri, "local:%s", f->keyring);
  f->spec = (nacre_key_spec){.uri = f->uri};
  f->kms = (nc_kms){.env = f->env, .deadline_ms = 1000};
  must(nc_random_uuid(&f->table, &err));
}

void fixture_keys(fixture *f) {
  nacre_error err;
  must(nc_table_keys_create(&f->kms, &f->table, &f->spec, 1, true, &f->keys, &err));
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *where) {
  (void)info, (void)type, (void)where;
  return remove(path);
}

void fixture_close(fixture *f) {
  nc_table_keys_unref(f->keys);
  nc_dir_close(&f->dir);
  nc_env_destroy(f->env);
  require(nftw(f->path, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0);
}

void file_path(const fixture *f, const char *name, char path[128]) {
  snprintf(path, 128, "%s/%.50s", f->path, name);
}

uint8_t *file_bytes(const fixture *f, const char *name, size_t *ret_size) {
  char path[128];
  file_path(f, name, path);
  return file_load(path, ret_size);
}

void file_replace(const fixture *f, const char *name, const void *bytes, size_t size) {
  char path[128];
  file_path(f, name, path);
  int fd = open(path, O_WRONLY | O_CREAT, 0600); /* not O_TRUNC, after which some file systems sync */
  require(fd >= 0 && write(fd, bytes, size) == (ssize_t)size && ftruncate(fd, (off_t)size) == 0);
  close(fd);
}

size_t from_hex(const char *hex, uint8_t *out, size_t capacity) {
  size_t size = strlen(hex) / 2;
  require(size <= capacity);
  for (size_t i = 0; i < size; i++) {
    char digits[3] = {hex[2 * i], hex[2 * i + 1], 0};
    out[i] = (uint8_t)strtoul(digits, NULL, 16);
  }
  return size;
}

nc_sealed_writer *make_writer(fixture *f, const char *name, size_t buffer_bytes) {
  nacre_error err;
  nc_sealed_writer *w;
  nc_identity identity = {.type = NC_FILE_LOG, .origin_table = f->table, .number = 7, .epoch = 3};
  must(nc_sealed_writer_create(&f->dir, name, &identity, nc_table_keys_active(f->keys), buffer_bytes, &w,
                               &err));
  return w;
}
