/* SPDX-License-Identifier: Apache-2.0
 *
 * fixture: see fixture.h.
 */
#include "fixture.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "random.h"

/* ---- checks -------------------------------------------------------------------------------------------- */

void api_ok(nacre_status status, const char *call, const char *file, int line) {
  nacre_error err;
  nacre_last_error(&err);
  check_ok(status, &err, call, file, line);
}

void api_id(nacre_status status, uint32_t id, const char *call, const char *file, int line) {
  nacre_error err;
  nacre_last_error(&err);
  check_id(status, &err, id, call, file, line);
}

nacre_slice text(const char *s) { return (nacre_slice){s, strlen(s)}; }
bool slice_is(nacre_slice s, const char *wanted) { return nc_slice_equal(s, text(wanted)); }

static int skip_file_sync(void *context, nacre_io_file *file) {
  (void)context, (void)file;
  return 0;
}
static int skip_dir_sync(void *context, nacre_io_dir *dir) {
  (void)context, (void)dir;
  return 0;
}
static nacre_io quick_io(void) {
  nacre_io io = *nacre_io_posix();
  io.file_sync = skip_file_sync;
  io.dir_sync = skip_dir_sync;
  return io;
}

/* ---- rooms without a store ----------------------------------------------------------------------------- */

void floor_open(floor_fixture *f) {
  nacre_error err;
  *f = (floor_fixture){0};
  char uri[PATH_BYTES];
  test_scratch_make(f->path, sizeof f->path, "engine");
  f->quick = quick_io();
  f->quick.file_map = NULL; /* every byte of a log is to be where a test puts it */
  nacre_store_options options = {.workers = UINT32_MAX, .cache_bytes = 4 << 20, .io = &f->quick};
  must(nc_shared_init(&f->shared, &options, &err));
  must(nc_dir_open(f->shared.env, f->path, false, &f->dir, &err));
  test_key_uri(uri, sizeof uri, f->path);
  nacre_key_spec spec = {.uri = uri};
  must(nc_random_uuid(&f->table, &err));
  must(nc_table_keys_create(&f->shared.kms, &f->table, &spec, 1, true, &f->keys, &err));
  nc_key_holder_init(&f->holder, nc_table_keys_ref(f->keys));
  f->home = (nc_segment_home){&f->shared, NULL, &f->dir, &f->holder};
}

void floor_close(floor_fixture *f) {
  nc_key_holder_deinit(&f->holder);
  nc_table_keys_unref(f->keys);
  nc_dir_close(&f->dir);
  if (f->shared.cache != NULL) nc_cache_forget(f->shared.cache, NULL);
  nc_shared_deinit(&f->shared);
  test_scratch_remove(f->path);
}

/* ---- a store ------------------------------------------------------------------------------------------- */

void site_make(site *s) {
  *s = (site){0};
  test_scratch_make(s->path, sizeof s->path, "engine");
  join(s->store, s->path, "store");
  test_key_uri(s->uri, sizeof s->uri, s->path);
  s->quick = quick_io();
  s->options = (nacre_store_options){
      .create = true, .default_key.uri = s->uri, .workers = UINT32_MAX, .io = &s->quick};
}

void site_remove(site *s) { test_scratch_remove(s->path); }

nacre_store *site_open(site *s) {
  nacre_store *store;
  ok(nacre_open(s->store, &s->options, &store));
  return store;
}

nacre_table *site_table(site *s, nacre_store **ret_store, const char *name) {
  nacre_table *t;
  *ret_store = site_open(s);
  nacre_status status = nacre_table_open(*ret_store, name, NULL, &t);
  if (status == NACRE_NOT_FOUND) status = nacre_table_create(*ret_store, name, NULL, &t);
  ok(status);
  return t;
}

void site_fill(site *s) {
  nacre_store *store;
  nacre_table *t = site_table(s, &store, "table");
  put_text(t, "a", "1", false);
  put_text(t, "b", "2", true);
  ok(nacre_flush(t));
  put_text(t, "a", "3", false);
  ok(nacre_table_close(t));
  ok(nacre_close(store));
}

void site_table_path(site *s, const char *name, char path[PATH_BYTES]) {
  if (name == NULL) {
    join(path, s->store, "catalogue");
    return;
  }
  nacre_store_options options = s->options;
  options.create = false;
  options.read_only = true;
  nacre_store *store;
  nacre_table_infos *infos;
  ok(nacre_open(s->store, &options, &store));
  ok(nacre_table_list(store, &infos));
  bool found = false;
  for (size_t i = 0; i < nacre_table_infos_count(infos); i++) {
    const nacre_table_info *info = nacre_table_infos_at(infos, i);
    if (strcmp(info->name, name) != 0) continue;
    join(path, s->store, info->uuid);
    found = true;
  }
  require(found);
  nacre_table_infos_free(infos);
  ok(nacre_close(store));
}

static bool ends_in(const char *name, const char *suffix) {
  size_t length = strlen(name), tail = strlen(suffix);
  return length >= tail && strcmp(name + length - tail, suffix) == 0;
}

size_t count_files(const char *directory, const char *suffix) {
  DIR *dir = opendir(directory);
  require(dir != NULL);
  size_t count = 0;
  for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
    count += entry->d_name[0] != '.' && ends_in(entry->d_name, suffix);
  }
  closedir(dir);
  return count;
}

void only_file(const char *directory, const char *suffix, char path[PATH_BYTES]) {
  DIR *dir = opendir(directory);
  require(dir != NULL);
  size_t count = 0;
  for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
    if (!ends_in(entry->d_name, suffix)) continue;
    join(path, directory, entry->d_name);
    count++;
  }
  closedir(dir);
  require(count == 1);
}

void put_text(nacre_table *t, const char *key, const char *value, bool sync) {
  nacre_write_options options = {.sync = sync};
  ok(nacre_put(t, text(key), text(value), &options));
}

bool holds(nacre_table *t, const nacre_snapshot *snapshot, const char *key, const char *value) {
  nacre_value found;
  nacre_read_options options = {.snapshot = snapshot};
  nacre_status status = nacre_get(t, text(key), &options, &found);
  if (status == NACRE_NOT_FOUND) return value == NULL;
  ok(status);
  bool same = value != NULL && slice_is((nacre_slice){found.data, found.size}, value);
  nacre_value_release(&found);
  return same;
}

/* ---- files --------------------------------------------------------------------------------------------- */

void join(char path[PATH_BYTES], const char *directory, const char *name) {
  test_path(path, PATH_BYTES, directory, name);
}

void file_store(const char *path, const void *bytes, size_t size) {
  FILE *file = fopen(path, "wb");
  require(file != NULL && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);
}

void file_flip(const char *path, uint64_t offset) {
  FILE *file = fopen(path, "r+b");
  require(file != NULL && fseek(file, (long)offset, SEEK_SET) == 0);
  int byte = fgetc(file);
  require(byte != EOF && fseek(file, (long)offset, SEEK_SET) == 0 && fputc(byte ^ 0x10, file) != EOF &&
          fclose(file) == 0);
}

void file_cut(const char *path, uint64_t size) { require(truncate(path, (off_t)size) == 0); }

void file_copy(const char *from, const char *to) {
  size_t size;
  uint8_t *bytes = file_load(from, &size);
  file_store(to, bytes, size);
  free(bytes);
}

bool file_is_there(const char *path) { return access(path, F_OK) == 0; }

static uint64_t digest_bytes(uint64_t digest, const uint8_t *bytes, size_t size) {
  for (size_t i = 0; i < size; i++) digest = (digest ^ bytes[i]) * 1099511628211u;
  return digest;
}

/* The order in which a directory is listed does not matter: the parts are added up. */
uint64_t tree_digest(const char *directory, const char *except) {
  uint64_t digest = 0;
  DIR *dir = opendir(directory);
  require(dir != NULL);
  for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    if (except != NULL && ends_in(entry->d_name, except)) continue;
    char path[PATH_BYTES];
    join(path, directory, entry->d_name);
    uint64_t part =
        digest_bytes(14695981039346656037u, (const uint8_t *)entry->d_name, strlen(entry->d_name));
    struct stat info;
    require(lstat(path, &info) == 0);
    if (S_ISDIR(info.st_mode)) {
      digest += test_mix(part, tree_digest(path, except));
      continue;
    }
    size_t size;
    uint8_t *bytes = file_load(path, &size);
    digest += digest_bytes(test_mix(part, size), bytes, size);
    free(bytes);
  }
  closedir(dir);
  return digest;
}

void tree_copy(const char *from, const char *to) {
  DIR *dir = opendir(from);
  require(dir != NULL && mkdir(to, 0700) == 0);
  for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
    char source[PATH_BYTES], target[PATH_BYTES];
    struct stat info;
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    join(source, from, entry->d_name);
    join(target, to, entry->d_name);
    require(lstat(source, &info) == 0);
    (S_ISDIR(info.st_mode) ? tree_copy : file_copy)(source, target);
  }
  closedir(dir);
}

/* ---- a disk that fails --------------------------------------------------------------------------------- */

static bool due(void *context) {
  failing_io *f = context;
  uint64_t n = atomic_fetch_add(&f->count, 1) + 1;
  return f->fail_at != 0 && (n == f->fail_at || (f->fail_from && n > f->fail_at));
}
static int code_of(void *context) { return ((failing_io *)context)->code; }

#define FAIL_OR(context, call) return due(context) ? code_of(context) : (call)
static int failing_dir_open(void *c, const char *path, bool create, nacre_io_dir **ret) {
  FAIL_OR(c, nacre_io_posix()->dir_open(NULL, path, create, ret));
}
static int failing_dir_create_at(void *c, nacre_io_dir *parent, const char *name) {
  FAIL_OR(c, nacre_io_posix()->dir_create_at(NULL, parent, name));
}
static int failing_dir_sync(void *c, nacre_io_dir *dir) {
  (void)dir;
  FAIL_OR(c, 0);
}
static int failing_file_create(void *c, nacre_io_dir *dir, const char *name, nacre_io_file **ret) {
  FAIL_OR(c, nacre_io_posix()->file_create(NULL, dir, name, ret));
}
static int failing_file_write(void *c, nacre_io_file *file, uint64_t offset, const void *buffer,
                              size_t size) {
  FAIL_OR(c, nacre_io_posix()->file_write(NULL, file, offset, buffer, size));
}
static int failing_file_sync(void *c, nacre_io_file *file) {
  (void)file;
  FAIL_OR(c, 0);
}
static int failing_rename(void *c, nacre_io_dir *dir, const char *from, const char *to) {
  FAIL_OR(c, nacre_io_posix()->rename(NULL, dir, from, to));
}
static int failing_remove(void *c, nacre_io_dir *dir, const char *name) {
  FAIL_OR(c, nacre_io_posix()->remove(NULL, dir, name));
}

void failing_init(failing_io *f) {
  *f = (failing_io){.io = *nacre_io_posix(), .code = EIO};
  f->io.file_map = NULL; /* everything comes by here */
  atomic_init(&f->count, 0);
  f->io.context = f;
  f->io.dir_open = failing_dir_open;
  f->io.dir_create_at = failing_dir_create_at;
  f->io.dir_sync = failing_dir_sync;
  f->io.file_create = failing_file_create;
  f->io.file_write = failing_file_write;
  f->io.file_sync = failing_file_sync;
  f->io.rename = failing_rename;
  f->io.remove = failing_remove;
}
