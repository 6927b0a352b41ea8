/* SPDX-License-Identifier: Apache-2.0
 *
 * private_file: reading, making and replacing files of secrets; see private_file.h.
 *
 * It uses the operating system directly, not nacre_io: these files are no part of a store. No state.
 */
#include "kms/private_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FIRST_FD = 3 };

const nc_private_file_words NC_KEYRING_FILE_WORDS = {NC_E_KEYRING_MISSING, NC_E_KEYRING_KIND,
                                                     NC_E_KEYRING_MODE, NC_E_KMS_DENIED};
const nc_private_file_words NC_PASSPHRASE_FILE_WORDS = {NC_E_PASSPHRASE_MISSING, NC_E_PASSPHRASE_FILE,
                                                        NC_E_PASSPHRASE_FILE, NC_E_PASSPHRASE_FILE};

static nacre_status file_fail(const nc_private_file_words *words, nacre_error *err, int code,
                              const char *doing, const char *path) {
  nc_error_id id = NC_E_OS;
  if (code == ENOENT) id = words->missing;
  if (code == ELOOP || code == ENOTDIR || code == ENXIO || code == ENODEV) id = words->kind;
  if (code == EACCES || code == EPERM) id = words->denied;
  if (code == ENOSPC || code == EDQUOT) id = NC_E_OS_NO_SPACE;
  if (code == EROFS) id = NC_E_OS_READ_ONLY;
  nacre_status status = nc_fail(err, id, "%s %.200s: %s", doing, path, strerror(code));
  if (err != NULL) err->os_errno = code;
  return nc_fail_in(err, status, path, 0);
}

/* What is written is a keyring; passphrases are only read. */
static nacre_status keyring_fail(nacre_error *err, int code, const char *doing, const char *path) {
  return file_fail(&NC_KEYRING_FILE_WORDS, err, code, doing, path);
}

nacre_status nc_private_path_join(char *path, size_t capacity, const char *a, const char *b,
                                  nacre_error *err) {
  size_t left = strlen(a), right = strlen(b);
  if (left + right >= capacity) return nc_fail(err, NC_E_NAME_TOO_LONG, "%zu bytes", left + right);
  memcpy(path, a, left);
  memcpy(path + left, b, right + 1);
  return NACRE_OK;
}

/* ---- reading ------------------------------------------------------------------------------------------- */

/* Never a standard stream's descriptor: a host that closed its own might print into the keyring. */
static int open_lifted(const char *path, int flags) {
  int fd = open(path, flags | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, 0600);
  if (fd < 0 || fd >= FIRST_FD) return fd;
  int lifted = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FD);
  int code = errno;
  close(fd);
  errno = code;
  return lifted;
}

static nacre_status check_mode(const nc_private_file_words *words, int fd, const char *path,
                               nacre_error *err) {
  struct stat info;
  if (fstat(fd, &info) != 0) return file_fail(words, err, errno, "looking at", path);
  if (!S_ISREG(info.st_mode)) return nc_fail(err, words->kind, "%.200s", path);
  if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0) { /* [R4] */
    return nc_fail(err, words->mode, "%.200s has mode %04o", path, (unsigned)info.st_mode & 07777u);
  }
  if (info.st_uid != geteuid()) {
    return nc_fail(err, words->mode, "%.200s belongs to user %lu", path, (unsigned long)info.st_uid);
  }
  return NACRE_OK;
}

void nc_private_file_close(int fd) {
  if (fd >= 0) close(fd);
}

nacre_status nc_private_file_open(const nc_private_file_words *words, const char *path, int *ret_fd,
                                  nacre_error *err) {
  int fd = open_lifted(path, O_RDONLY | O_NONBLOCK); /* a FIFO in its place must not block */
  if (fd < 0) return file_fail(words, err, errno, "opening", path);
  nacre_status status = check_mode(words, fd, path, err);
  if (status == NACRE_OK) {
    *ret_fd = fd;
  } else {
    close(fd);
  }
  return status;
}

nacre_status nc_private_file_read_fd(const nc_private_file_words *words, int fd, const char *path,
                                     void *bytes, size_t capacity, size_t *ret_size, nacre_error *err) {
  size_t done = 0;
  while (done < capacity) {
    ssize_t got = pread(fd, (char *)bytes + done, capacity - done, (off_t)done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return file_fail(words, err, errno, "reading", path);
    if (got == 0) break;
    done += (size_t)got;
  }
  *ret_size = done;
  return NACRE_OK;
}

nacre_status nc_private_file_read(const nc_private_file_words *words, const char *path, void *bytes,
                                  size_t capacity, size_t *ret_size, nacre_error *err) {
  int fd = -1;
  NC_TRY(nc_private_file_open(words, path, &fd, err));
  nacre_status status = nc_private_file_read_fd(words, fd, path, bytes, capacity, ret_size, err);
  close(fd);
  return status;
}

nacre_status nc_private_file_lock(int fd, const char *path, nacre_error *err) {
  struct stat held, named;
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return nc_fail(err, NC_E_KEYRING_LOCKED, "%.200s", path);
    return keyring_fail(err, errno, "locking", path);
  }
  if (fstat(fd, &held) != 0 || lstat(path, &named) != 0) return keyring_fail(err, errno, "looking at", path);
  if (held.st_dev == named.st_dev && held.st_ino == named.st_ino) return NACRE_OK;
  return nc_fail(err, NC_E_KEYRING_LOCKED, "%.200s has just been replaced", path);
}

/* ---- writing ------------------------------------------------------------------------------------------- */

static nacre_status write_all(int fd, const char *path, const uint8_t *bytes, size_t size, nacre_error *err) {
  size_t done = 0;
  while (done < size) {
    ssize_t put = write(fd, bytes + done, size - done);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return keyring_fail(err, put == 0 ? EIO : errno, "writing", path);
    done += (size_t)put;
  }
  return fsync(fd) == 0 ? NACRE_OK : keyring_fail(err, errno, "syncing", path);
}

nacre_status nc_private_file_make(const char *path, const void *bytes, size_t size, nacre_error *err) {
  int fd = open_lifted(path, O_WRONLY | O_CREAT | O_EXCL);
  if (fd < 0) return keyring_fail(err, errno, "making", path);
  nacre_status status = write_all(fd, path, bytes, size, err);
  close(fd);
  if (status != NACRE_OK) unlink(path);
  return status;
}

nacre_status nc_private_file_name(const char *aside, const char *path, bool replace, bool *ret_taken,
                                  nacre_error *err) {
  int code = 0;
  if ((replace ? rename(aside, path) : link(aside, path)) != 0) code = errno;
  if (!replace || code != 0) unlink(aside); /* a crash before this leaves a file that nothing looks at */
  *ret_taken = !replace && code == EEXIST;
  return code == 0 || *ret_taken ? NACRE_OK : keyring_fail(err, code, "naming", path);
}

nacre_status nc_private_file_sync_parent(const char *path, nacre_error *err) {
  char parent[NC_PRIVATE_PATH_BYTES];
  NC_TRY(nc_private_path_join(parent, sizeof parent, path, "", err));
  char *slash = strrchr(parent, '/');
  if (slash == parent) slash[1] = 0;
  if (slash != NULL && slash != parent) *slash = 0;
  int code = 0, fd = open_lifted(slash == NULL ? "." : parent, O_RDONLY | O_DIRECTORY);
  if (fd < 0 || fsync(fd) != 0) code = errno;
  nc_private_file_close(fd);
  return code == 0 ? NACRE_OK : keyring_fail(err, code, "syncing the directory of", path);
}

nacre_status nc_private_file_make_parents(const char *path, nacre_error *err) {
  char part[NC_PRIVATE_PATH_BYTES];
  NC_TRY(nc_private_path_join(part, sizeof part, path, "", err));
  for (char *slash = strchr(part + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
    *slash = 0;
    if (mkdir(part, 0700) == 0) {
      NC_TRY(nc_private_file_sync_parent(part, err));
    } else if (errno != EEXIST) {
      return keyring_fail(err, errno, "making", part);
    }
    *slash = '/';
  }
  return NACRE_OK;
}
