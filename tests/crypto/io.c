/* SPDX-License-Identifier: Apache-2.0
 *
 * Directories, files and locks of the operating system, and the errors they become.
 */
#include "io.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "random.h"
#include "support.h"

static nacre_error err;
static fixture f;

static void setup(void) { fixture_open(&f); }
static void teardown(void) { fixture_close(&f); }
TestSuite(io, .init = setup, .fini = teardown);

static void make_file(const char *name, const char *content) {
  file_replace(&f, name, content, strlen(content));
}

Test(io, writes_and_reads_a_file) {
  nc_file file;
  char back[6] = {0};
  uint64_t size;
  must(nc_file_create(&f.dir, "one", &file, &err));
  must(nc_file_write(&file, 10, "hello", 5, &err));
  must(nc_file_sync(&file, &err));
  must(nc_file_size(&file, &size, &err));
  cr_assert_eq(size, 15);
  must(nc_file_read(&file, 10, back, 5, &err));
  cr_assert_str_eq(back, "hello");
  must_fail(nc_file_read(&file, 12, back, 5, &err), NC_E_FILE_SHORT);
  cr_assert_eq(err.offset, 15);
  cr_assert_str_eq(err.file, "one");
  nc_file_close(&file);
  nc_file_close(&file); /* closed already: harmless */
  must_fail(nc_file_create(&f.dir, "one", &file, &err), NC_E_OS_EXISTS);
  must_fail(nc_file_open(&f.dir, "two", false, &file, &err), NC_E_OS_NOT_FOUND);
  cr_assert_eq(err.os_errno, ENOENT);
}

Test(io, refuses_offsets_beyond_the_systems) {
  nc_file file;
  char byte = 0;
  must(nc_file_create(&f.dir, "one", &file, &err));
  must_fail(nc_file_write(&file, (uint64_t)INT64_MAX + 1, &byte, 1, &err), NC_E_OS);
  must_fail(nc_file_write(&file, INT64_MAX, &byte, 1, &err), NC_E_OS);
  must_fail(nc_file_read(&file, UINT64_MAX, &byte, 1, &err), NC_E_OS);
  nc_file_close(&file);
}

Test(io, makes_files_and_directories_for_the_owner_alone) {
  nc_file file;
  struct stat info;
  char path[128];
  must(nc_dir_create_at(&f.dir, "sub", &err));
  must(nc_file_create(&f.dir, "one", &file, &err));
  nc_file_close(&file);
  file_path(&f, "sub", path);
  cr_assert_eq(stat(path, &info), 0);
  cr_assert_eq(info.st_mode & 0777, 0700);
  file_path(&f, "one", path);
  cr_assert_eq(stat(path, &info), 0);
  cr_assert_eq(info.st_mode & 0777, 0600);
}

Test(io, names_the_table_and_the_file_in_errors) {
  nc_dir sub;
  nc_file file;
  must(nc_dir_create_at(&f.dir, "sub", &err));
  must(nc_dir_open_at(&f.dir, "sub", &sub, &err));
  must_fail(nc_file_open(&sub, "absent", false, &file, &err), NC_E_OS_NOT_FOUND);
  cr_assert_str_eq(err.file, "sub/absent");
  must_fail(nc_dir_create_at(&f.dir, "sub", &err), NC_E_OS_EXISTS);
  nc_dir_close(&sub);
  must(nc_dir_remove_at(&f.dir, "sub", &err));
  must_fail(nc_dir_remove_at(&f.dir, "sub", &err), NC_E_OS_NOT_FOUND);
}

/* Whatever is put in a file's place is refused, and does not make the opener wait. */
static void refuse_in_place(const char *name) {
  nc_file file;
  nacre_io_lock *lock;
  must_fail(nc_file_open(&f.dir, name, false, &file, &err), NC_E_OS_NOT_A_FILE);
  must_fail(nc_file_open(&f.dir, name, true, &file, &err), NC_E_OS_NOT_A_FILE);
  must_fail(nc_lock_take(&f.dir, name, true, &lock, &err), NC_E_OS_NOT_A_FILE);
  must_fail(nc_file_create(&f.dir, name, &file, &err), NC_E_OS_EXISTS);
}

Test(io, refuses_links_fifos_sockets_and_directories_in_a_files_place, .timeout = 10) {
  char path[128];
  make_file("target", "x");
  file_path(&f, "link", path);
  cr_assert_eq(symlink("target", path), 0);
  refuse_in_place("link");
  file_path(&f, "fifo", path);
  cr_assert_eq(mkfifo(path, 0600), 0);
  refuse_in_place("fifo");
  must(nc_dir_create_at(&f.dir, "directory", &err));
  refuse_in_place("directory");
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", f.path);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  cr_assert_eq(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
  close(fd);
  refuse_in_place("socket");
}

Test(io, refuses_a_link_in_a_directorys_place) {
  nc_dir sub;
  char path[128];
  must(nc_dir_create_at(&f.dir, "real", &err));
  file_path(&f, "link", path);
  cr_assert_eq(symlink("real", path), 0);
  must_fail(nc_dir_open_at(&f.dir, "link", &sub, &err), NC_E_OS_NOT_A_FILE);
  make_file("file", "x");
  must_fail(nc_dir_open_at(&f.dir, "file", &sub, &err), NC_E_OS_NOT_A_FILE);
}

Test(io, opens_and_makes_a_directory_by_path) {
  nc_dir dir;
  char path[128];
  file_path(&f, "new", path);
  must_fail(nc_dir_open(f.env, path, false, &dir, &err), NC_E_OS_NOT_FOUND);
  must(nc_dir_open(f.env, path, true, &dir, &err));
  nc_dir_close(&dir);
  must(nc_dir_open(f.env, path, true, &dir, &err));
  must(nc_dir_sync(&dir, &err));
  nc_dir_close(&dir);
  nc_dir_close(&dir);
}

typedef struct names {
  int files, directories, others, stop_after;
} names;

static nacre_status count_name(void *arg, const char *name, nacre_io_kind kind, nacre_error *error) {
  names *n = arg;
  cr_assert_neq(name[0], '.');
  if (kind == NACRE_IO_REGULAR) n->files++;
  if (kind == NACRE_IO_DIRECTORY) n->directories++;
  if (kind == NACRE_IO_OTHER) n->others++;
  if (n->stop_after > 0 && n->files + n->directories + n->others == n->stop_after) {
    return nc_fail(error, NC_E_FILE_IDENTITY, NULL);
  }
  return NACRE_OK;
}

Test(io, lists_a_directory_twice) {
  char path[128];
  make_file("a", "");
  make_file("b", "");
  must(nc_dir_create_at(&f.dir, "c", &err));
  file_path(&f, "d", path);
  cr_assert_eq(symlink("a", path), 0);
  for (int pass = 0; pass < 2; pass++) {
    names n = {0};
    must(nc_dir_list(&f.dir, count_name, &n, &err));
    cr_assert(n.files == 2 && n.directories == 1 && n.others == 1);
  }
  names n = {.stop_after = 2};
  must_fail(nc_dir_list(&f.dir, count_name, &n, &err), NC_E_FILE_IDENTITY);
  cr_assert_eq(n.files + n.directories + n.others, 2);
}

Test(io, renames_and_removes) {
  nc_file file;
  make_file("a", "1");
  make_file("b", "2");
  must(nc_dir_rename(&f.dir, "a", "b", &err));
  must_fail(nc_dir_remove(&f.dir, "a", &err), NC_E_OS_NOT_FOUND);
  must(nc_dir_remove(&f.dir, "b", &err));
  must_fail(nc_file_open(&f.dir, "b", false, &file, &err), NC_E_OS_NOT_FOUND);
  must_fail(nc_dir_rename(&f.dir, "a", "b", &err), NC_E_OS_NOT_FOUND);
}

Test(io, locks_exclude_one_another_within_a_process) {
  nacre_io_lock *one, *two, *three;
  must_fail(nc_lock_take(&f.dir, "LOCK", false, &one, &err), NC_E_OS_NOT_FOUND);
  must(nc_lock_take(&f.dir, "LOCK", true, &one, &err));
  must_fail(nc_lock_take(&f.dir, "LOCK", true, &two, &err), NC_E_LOCKED);
  must_fail(nc_lock_take(&f.dir, "LOCK", false, &two, &err), NC_E_LOCKED);
  nc_lock_release(f.env, one);
  must(nc_lock_take(&f.dir, "LOCK", false, &two, &err));
  must(nc_lock_take(&f.dir, "LOCK", false, &three, &err));
  must_fail(nc_lock_take(&f.dir, "LOCK", true, &one, &err), NC_E_LOCKED);
  nc_lock_release(f.env, two);
  nc_lock_release(f.env, three);
  nc_lock_release(f.env, NULL);
  must(nc_lock_take(&f.dir, "LOCK", true, &one, &err));
  nc_lock_release(f.env, one);
}

Test(io, reads_small_files_whole) {
  char buffer[8];
  size_t size;
  make_file("one", "12345678");
  must(nc_dir_read_file(&f.dir, "one", buffer, sizeof buffer, &size, &err));
  cr_assert_eq(size, 8);
  must_fail(nc_dir_read_file(&f.dir, "one", buffer, 7, &size, &err), NC_E_FILE_LONG);
  cr_assert_str_eq(err.file, "one");
}

Test(io, replaces_a_file_or_leaves_it) {
  char buffer[8] = {0};
  size_t size;
  make_file("one", "old");
  make_file("one.tmp", "left by a crash");
  must(nc_dir_replace_file(&f.dir, "one.tmp", "one", nc_slice("new", 3), &err));
  must(nc_dir_read_file(&f.dir, "one", buffer, sizeof buffer, &size, &err));
  cr_assert_str_eq(buffer, "new");
  for (int step = 0; step < 2; step++) {
    f.faults.writes = f.faults.syncs = 0;
    f.faults.fail_write = step == 0;
    f.faults.fail_sync = step == 1;
    f.faults.code = ENOSPC;
    must_fail(nc_dir_replace_file(&f.dir, "one.tmp", "one", nc_slice("newer", 5), &err), NC_E_OS_NO_SPACE);
    must_fail(nc_dir_remove(&f.dir, "one.tmp", &err), NC_E_OS_NOT_FOUND);
    must(nc_dir_read_file(&f.dir, "one", buffer, sizeof buffer, &size, &err));
    cr_assert_eq(size, 3);
  }
}

Test(io, a_tolerated_failure_is_not_the_last_error) {
  nc_error_clear(&err);
  must(nc_dir_replace_file(&f.dir, "one.tmp", "one", nc_slice("new", 3),
                           &err)); /* there is no temporary to remove */
  cr_assert_eq(err.id, 0);
}

Test(io, sorts_errno_into_statuses) {
  static const struct {
    int code;
    uint32_t id;
  } cases[] = {{EIO, NC_E_OS},
               {ENOSPC, NC_E_OS_NO_SPACE},
               {EDQUOT, NC_E_OS_NO_SPACE},
               {EACCES, NC_E_OS},
               {ENOMEM, NC_E_OS_NO_MEMORY},
               {EROFS, NC_E_OS_READ_ONLY},
               {ENOENT, NC_E_OS_NOT_FOUND},
               {ELOOP, NC_E_OS_NOT_A_FILE},
               {ENOTDIR, NC_E_OS_NOT_A_FILE},
               {EINVAL, NC_E_OS_NOT_A_FILE}};
  nc_file file;
  make_file("one", "");
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    f.faults.opens = 0;
    f.faults.fail_open = 1;
    f.faults.code = cases[i].code;
    must_fail(nc_file_open(&f.dir, "one", false, &file, &err), cases[i].id);
    cr_assert_eq(err.os_errno, cases[i].code);
  }
}

/* A host may have closed its standard streams; what it then prints must not land in a store. */
Test(io, never_uses_the_standard_descriptors) {
  nc_file file;
  nacre_io_lock *lock;
  nc_dir dir;
  int saved[3];
  for (int fd = 0; fd < 3; fd++) saved[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 100);
  for (int fd = 0; fd < 3; fd++) close(fd);
  nacre_status made = nc_file_create(&f.dir, "one", &file, &err);
  nacre_status locked = nc_lock_take(&f.dir, "LOCK", true, &lock, &err);
  nacre_status opened = nc_dir_open(f.env, f.path, false, &dir, &err);
  bool closed = true;
  for (int fd = 0; fd < 3; fd++) closed = closed && fcntl(fd, F_GETFD) == -1;
  for (int fd = 0; fd < 3; fd++) {
    dup2(saved[fd], fd);
    close(saved[fd]);
  }
  cr_assert(made == NACRE_OK && locked == NACRE_OK && opened == NACRE_OK);
  cr_assert(closed);
  nc_file_close(&file);
  nc_lock_release(f.env, lock);
  nc_dir_close(&dir);
}

Test(io, clocks_go_on) {
  uint64_t before = nc_now_ns(f.env);
  cr_assert_leq(before, nc_now_ns(f.env));
  cr_assert_gt(nc_wall_ms(f.env), 1600000000000u);
}

Test(random, uuids_are_of_version_four_and_differ) {
  nc_uuid a, b;
  nacre_error error;
  cr_assert_eq(nc_random_uuid(&a, &error), NACRE_OK);
  cr_assert_eq(nc_random_uuid(&b, &error), NACRE_OK);
  cr_assert_eq(a.bytes[6] >> 4, 4);
  cr_assert_eq(a.bytes[8] >> 6, 2);
  cr_assert_not(nc_uuid_equal(&a, &b));
}
