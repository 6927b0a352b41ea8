/* SPDX-License-Identifier: Apache-2.0
 *
 * Stores on media that cannot be written: they open read-only, without a lock where there is none, answer
 * everything, and change nothing; a writing open says why it cannot be. Once by operations that refuse, once by a
 * read-only mount where one can be made. A plain program: mounts are made in a namespace of its own.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"

static site s;
static nacre_io refusing;

/* ---- operations that refuse ---------------------------------------------------------------------------- */

static int refuse_open(void *c, const char *path, bool create, nacre_io_dir **ret) {
  return create ? EROFS : nacre_io_posix()->dir_open(c, path, create, ret);
}
static int refuse_name(void *c, nacre_io_dir *dir, const char *name) {
  (void)c, (void)dir, (void)name;
  return EROFS;
}
static int refuse_create(void *c, nacre_io_dir *dir, const char *name, nacre_io_file **ret) {
  (void)c, (void)dir, (void)name, (void)ret;
  return EROFS;
}
static int refuse_writable(void *c, nacre_io_dir *dir, const char *name, bool writable, nacre_io_file **ret) {
  return writable ? EROFS : nacre_io_posix()->file_open(c, dir, name, writable, ret);
}
static int refuse_write(void *c, nacre_io_file *file, uint64_t offset, const void *buffer, size_t size) {
  (void)c, (void)file, (void)offset, (void)buffer, (void)size;
  return EROFS;
}
static int refuse_sync(void *c, nacre_io_file *file) {
  (void)c, (void)file;
  return EROFS;
}
static int refuse_dir_sync(void *c, nacre_io_dir *dir) {
  (void)c, (void)dir;
  return EROFS;
}
static int refuse_rename(void *c, nacre_io_dir *dir, const char *from, const char *to) {
  (void)c, (void)dir, (void)from, (void)to;
  return EROFS;
}
static int refuse_exclusive(void *c, nacre_io_dir *dir, const char *name, bool exclusive,
                            nacre_io_lock **ret) {
  return exclusive ? EROFS : nacre_io_posix()->lock(c, dir, name, exclusive, ret);
}

static void make_refusing(void) {
  refusing = *nacre_io_posix();
  refusing.dir_open = refuse_open;
  refusing.dir_create_at = refusing.dir_remove_at = refusing.remove = refuse_name;
  refusing.dir_sync = refuse_dir_sync;
  refusing.file_create = refuse_create;
  refusing.file_open = refuse_writable;
  refusing.file_write = refuse_write;
  refusing.file_sync = refuse_sync;
  refusing.rename = refuse_rename;
  refusing.lock = refuse_exclusive;
}

/* ---- what must hold ------------------------------------------------------------------------------------ */

static void expect(nacre_status status, nacre_status wanted, const char *what) {
  nacre_error err;
  nacre_last_error(&err);
  CHECK(status == wanted, "%s: %s instead of %s: %s", what, nacre_status_name(status),
        nacre_status_name(wanted), status == NACRE_OK ? "" : err.text);
}

static void check_reads(nacre_table *t) {
  nacre_iter *iter;
  nacre_snapshot *snapshot;
  size_t count = 0;
  CHECK(holds(t, NULL, "a", "3") && holds(t, NULL, "b", "2") && holds(t, NULL, "c", NULL),
        "it answers otherwise");
  ok(nacre_snapshot_take(t, &snapshot));
  CHECK(holds(t, snapshot, "a", "3"), "a snapshot answers otherwise");
  nacre_snapshot_release(snapshot);
  ok(nacre_iter_open(t, NULL, &iter));
  for (nacre_iter_first(iter); nacre_iter_valid(iter); nacre_iter_next(iter)) count++;
  ok(nacre_iter_status(iter));
  nacre_iter_close(iter);
  CHECK(count == 2, "%zu entries", count);
  ok(nacre_verify(t, NULL, NULL));
}

static void check_store(const nacre_io *io, const char *path) {
  nacre_store *store;
  nacre_table *t;
  nacre_store_options options = s.options;
  options.create = false;
  options.io = io;
  expect(nacre_open(path, &options, &store), NACRE_READ_ONLY, "a writing open");
  options.create = true;
  expect(nacre_open(path, &options, &store), NACRE_READ_ONLY, "an open that would create");
  options.create = false;
  options.read_only = true;
  uint64_t before = tree_digest(path, "none");
  expect(nacre_open(path, &options, &store), NACRE_OK, "a read-only open");
  expect(nacre_table_create(store, "new", NULL, NULL), NACRE_READ_ONLY, "create a table");
  expect(nacre_table_open(store, "table", NULL, &t), NACRE_OK, "open the table");
  check_reads(t);
  expect(nacre_put(t, text("a"), text("x"), NULL), NACRE_READ_ONLY, "put");
  expect(nacre_table_rotate(t), NACRE_READ_ONLY, "rotate");
  expect(nacre_table_close(t), NACRE_OK, "close the table");
  expect(nacre_close(store), NACRE_OK, "close");
  CHECK(tree_digest(path, "none") == before, "something has changed");
}

/* Cleanly closed, as after a crash, and without the file that is locked. */
static void each_state(const char *directory, void (*check)(const char *path)) {
  char path[PATH_BYTES], lock[PATH_BYTES];
  nacre_store *store;
  site_fill(&s);
  join(path, directory, "clean");
  tree_copy(s.store, path);
  check(path);
  nacre_table *t = site_table(&s, &store, "table");
  put_text(t, "a", "3", false);
  join(path, directory, "crashed");
  tree_copy(s.store, path);
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  check(path);
  join(lock, path, "LOCK");
  CHECK(unlink(lock) == 0, "unlink %s", lock);
  check(path);
}

static void check_refusing(const char *path) { check_store(&refusing, path); }

static void check_mounted(const char *path) {
  int code = mount(path, path, NULL, MS_BIND, NULL);
  if (code == 0) code = mount(NULL, path, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL);
  if (!CHECK(code == 0, "mount %s: %s", path, strerror(errno))) return;
  check_store(NULL, path);
  (void)umount2(path, MNT_DETACH);
}

static void make_directory(const char *path) {
  const nacre_io *io = nacre_io_posix();
  nacre_io_dir *dir;
  if (CHECK(io->dir_open(NULL, path, true, &dir) == 0, "make %s", path)) io->dir_close(NULL, dir);
}

static bool may_mount(void) {
  return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

int main(void) {
  char directory[PATH_BYTES];
  site_make(&s);
  make_refusing();
  join(directory, s.path, "refusing");
  make_directory(directory);
  each_state(directory, check_refusing);
  if (may_mount()) {
    site_remove(&s);
    site_make(&s);
    join(directory, s.path, "mounted");
    make_directory(directory);
    each_state(directory, check_mounted);
  } else {
    printf("read_only: no mount can be made here (%s): that half is left out\n", strerror(errno));
  }
  site_remove(&s);
  return test_finish();
}
