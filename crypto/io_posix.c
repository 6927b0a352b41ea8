/* SPDX-License-Identifier: Apache-2.0
 *
 * io_posix: the operating system's own operations (Linux).
 *
 * Invariants
 *   1. Everything is reached through a directory's descriptor and a single name; no link is followed below
 *      dir_open's path.
 *   2. No descriptor below 3 is ever kept: a host that closed its standard streams cannot print into a store.
 *   3. Locks belong to the open file description, so that they also hold between two handles of one process.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <nacre/nacre_io.h>
#include <linux/magic.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

struct nacre_io_dir {
  int fd;
};
struct nacre_io_file {
  int fd;
};
struct nacre_io_lock {
  int fd;
};
struct nacre_io_map {
  uint8_t *bytes;
  size_t size;
  uint64_t offset; /* of the file */
};

enum {
  FIRST_FD = 3,
  LOCK_TRIES = 100,
  DIR_FLAGS = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
  FILE_FLAGS = O_NOFOLLOW | O_CLOEXEC | O_NOCTTY
};

/* Moves a descriptor out of the standard streams' range. */
static int lift(int fd) {
  if (fd < 0 || fd >= FIRST_FD) return fd;
  int lifted = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FD);
  int code = errno;
  close(fd);
  errno = code;
  return lifted;
}

static int open_at(int dir, const char *name, int flags, mode_t mode) {
  int fd;
  do {
    fd = openat(dir, name, flags, mode);
  } while (fd < 0 && errno == EINTR);
  return lift(fd);
}

/* An open descriptor becomes a handle, all of which are one int; the descriptor is closed when there is no
 * memory. */
static int handle_of(int fd, void **ret_handle) {
  int *handle = malloc(sizeof *handle);
  if (handle == NULL) {
    close(fd);
    return ENOMEM;
  }
  *handle = fd;
  *ret_handle = handle;
  return 0;
}

/* ---- directories --------------------------------------------------------------------------------------- */

static int dir_handle(int fd, nacre_io_dir **ret_dir) {
  void *handle;
  if (fd < 0) return errno;
  int code = handle_of(fd, &handle);
  if (code == 0) *ret_dir = handle;
  return code;
}

/* Makes the name of a directory durable. */
static int sync_parent(int fd) {
  int parent = open_at(fd, "..", DIR_FLAGS, 0);
  if (parent < 0) return errno == EACCES && syncfs(fd) == 0 ? 0 : errno; /* it may be passed but not read */
  int error = fsync(parent) == 0 ? 0 : errno;
  close(parent);
  return error;
}

static int dir_open(void *context, const char *path, bool create, nacre_io_dir **ret_dir) {
  (void)context;
  if (create && mkdir(path, 0700) != 0 && errno != EEXIST) return errno;
  int fd = open_at(AT_FDCWD, path, DIR_FLAGS, 0);
  /* Also when it was there: whoever made it may have died before the sync. */
  int error = create && fd >= 0 ? sync_parent(fd) : 0;
  if (error != 0) {
    close(fd);
    return error;
  }
  return dir_handle(fd, ret_dir);
}

static int dir_open_at(void *context, nacre_io_dir *parent, const char *name, nacre_io_dir **ret_dir) {
  (void)context;
  return dir_handle(open_at(parent->fd, name, DIR_FLAGS | O_NOFOLLOW, 0), ret_dir);
}

static int dir_create_at(void *context, nacre_io_dir *parent, const char *name) {
  (void)context;
  return mkdirat(parent->fd, name, 0700) == 0 ? 0 : errno;
}

static int dir_remove_at(void *context, nacre_io_dir *parent, const char *name) {
  (void)context;
  return unlinkat(parent->fd, name, AT_REMOVEDIR) == 0 ? 0 : errno;
}

static nacre_io_kind kind_of(int dir, const struct dirent *entry) {
  if (entry->d_type == DT_REG) return NACRE_IO_REGULAR;
  if (entry->d_type == DT_DIR) return NACRE_IO_DIRECTORY;
  struct stat info;
  if (entry->d_type != DT_UNKNOWN || fstatat(dir, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0)
    return NACRE_IO_OTHER;
  if (S_ISREG(info.st_mode)) return NACRE_IO_REGULAR;
  return S_ISDIR(info.st_mode) ? NACRE_IO_DIRECTORY : NACRE_IO_OTHER;
}

static int visit_all(DIR *stream, int (*visit)(void *arg, const char *name, nacre_io_kind kind), void *arg) {
  for (;;) {
    errno = 0;
    const struct dirent *entry = readdir(stream);
    if (entry == NULL) return errno;
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    int stop = visit(arg, entry->d_name, kind_of(dirfd(stream), entry));
    if (stop != 0) return stop;
  }
}

static int dir_list(void *context, nacre_io_dir *dir,
                    int (*visit)(void *arg, const char *name, nacre_io_kind kind), void *arg) {
  (void)context;
  int fd = open_at(dir->fd, ".", DIR_FLAGS, 0); /* opened anew: a duplicate would share its position */
  if (fd < 0) return errno;
  DIR *stream = fdopendir(fd);
  if (stream == NULL) {
    int code = errno;
    close(fd);
    return code;
  }
  int result = visit_all(stream, visit, arg);
  closedir(stream);
  return result;
}

static int dir_sync(void *context, nacre_io_dir *dir) {
  (void)context;
  while (fsync(dir->fd) != 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

static void dir_close(void *context, nacre_io_dir *dir) {
  (void)context;
  close(dir->fd);
  free(dir);
}

/* ---- files --------------------------------------------------------------------------------------------- */

/* Opens what must be a regular file. O_NONBLOCK, which means nothing to a regular file, keeps a FIFO from
 * blocking. */
static int open_regular(int dir, const char *name, int flags, int *ret_fd) {
  int fd = open_at(dir, name, flags | FILE_FLAGS | O_NONBLOCK, 0600);
  if (fd < 0) return errno == EISDIR || errno == ENXIO || errno == ENODEV ? EINVAL : errno;
  struct stat info;
  int code = fstat(fd, &info) != 0 ? errno : S_ISREG(info.st_mode) ? 0 : EINVAL;
  if (code != 0) {
    close(fd);
    return code;
  }
  *ret_fd = fd;
  return 0;
}

static int file_create(void *context, nacre_io_dir *dir, const char *name, nacre_io_file **ret_file) {
  (void)context;
  void *handle;
  int fd = open_at(dir->fd, name, O_RDWR | O_CREAT | O_EXCL | FILE_FLAGS, 0600);
  if (fd < 0) return errno;
  int code = handle_of(fd, &handle);
  if (code != 0) {
    unlinkat(dir->fd, name, 0);
    return code;
  }
  *ret_file = handle;
  return 0;
}

static int file_open(void *context, nacre_io_dir *dir, const char *name, bool writable,
                     nacre_io_file **ret_file) {
  (void)context;
  void *handle;
  int fd;
  int code = open_regular(dir->fd, name, writable ? O_RDWR : O_RDONLY, &fd);
  if (code == 0) code = handle_of(fd, &handle);
  if (code == 0) *ret_file = handle;
  return code;
}

static int file_info(void *context, nacre_io_file *file, nacre_io_info *ret_info) {
  (void)context;
  struct stat info;
  if (fstat(file->fd, &info) != 0) return errno;
  *ret_info = (nacre_io_info){.size = (uint64_t)info.st_size, .links = (uint64_t)info.st_nlink};
  return 0;
}

static bool offsets_fit(uint64_t offset, size_t size) {
  return offset <= (uint64_t)INT64_MAX && size <= (uint64_t)INT64_MAX - offset;
}

static int file_read(void *context, nacre_io_file *file, uint64_t offset, void *buffer, size_t size,
                     size_t *ret_read) {
  (void)context;
  if (!offsets_fit(offset, size)) return EOVERFLOW;
  size_t done = 0;
  while (done < size) {
    ssize_t got = pread(file->fd, (uint8_t *)buffer + done, size - done, (off_t)(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno;
    if (got == 0) break;
    done += (size_t)got;
  }
  *ret_read = done;
  return 0;
}

static int file_write(void *context, nacre_io_file *file, uint64_t offset, const void *buffer, size_t size) {
  (void)context;
  if (!offsets_fit(offset, size)) return EFBIG;
  size_t done = 0;
  while (done < size) {
    ssize_t put = pwrite(file->fd, (const uint8_t *)buffer + done, size - done, (off_t)(offset + done));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return errno;
    if (put == 0) return EIO; /* POSIX leaves this open; trying again could go on for ever */
    done += (size_t)put;
  }
  return 0;
}

static int file_sync(void *context, nacre_io_file *file) {
  (void)context;
  while (fdatasync(file->fd) != 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

/* Blocks are shared where the file system knows how (btrfs, XFS, bcachefs): whole blocks, or up to the end. */
static int share_blocks(int from, int to, uint64_t offset, uint64_t size) {
  struct file_clone_range range = {
      .src_fd = from, .src_offset = offset, .src_length = size, .dest_offset = offset};
  return ioctl(to, FICLONERANGE, &range) == 0 ? 0 : errno;
}

static int file_copy(void *context, nacre_io_file *from, nacre_io_file *to, uint64_t offset, uint64_t size) {
  (void)context;
  if (size > (uint64_t)SIZE_MAX || !offsets_fit(offset, (size_t)size)) return EOVERFLOW;
  if (share_blocks(from->fd, to->fd, offset, size) == 0) return 0;
  off_t in = (off_t)offset, out = (off_t)offset;
  for (size_t left = (size_t)size; left > 0;) {
    ssize_t some = copy_file_range(from->fd, &in, to->fd, &out, left, 0);
    if (some < 0 && errno == EINTR) continue;
    if (some < 0) return errno;
    if (some == 0) return EIO; /* the file ends before that, or the file system knows no better */
    left -= (size_t)some;
  }
  return 0;
}

static void file_close(void *context, nacre_io_file *file) {
  (void)context;
  close(file->fd);
  free(file);
}

static int file_truncate(void *context, nacre_io_file *file, uint64_t size) {
  (void)context;
  while (ftruncate(file->fd, (off_t)size) != 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

/* ---- maps ---------------------------------------------------------------------------------------------- */

/* Where blocks that were written stay where they are. Not XFS, whose reflinks copy on write, nor what lies over
 * other file systems. */
static int check_stays(int fd) {
  struct statfs info;
  if (fstatfs(fd, &info) != 0) return errno;
  return info.f_type == EXT4_SUPER_MAGIC || info.f_type == TMPFS_MAGIC ? 0 : ENOTSUP;
}

/* Takes every page now, rather than at the first store to each; a kernel that cannot leaves it to those. */
static int take_pages(void *bytes, size_t size) {
  enum { POPULATE_WRITE = 23 }; /* MADV_POPULATE_WRITE, Linux 5.14 */
  if (madvise(bytes, size, MADV_DONTFORK) != 0) return errno;
  return madvise(bytes, size, POPULATE_WRITE) == 0 || errno == EINVAL ? 0 : errno;
}

static int map_pages(int fd, nacre_io_map *map) {
  void *bytes = mmap(NULL, map->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)map->offset);
  if (bytes == MAP_FAILED) return errno;
  int code = take_pages(bytes, map->size);
  if (code != 0) munmap(bytes, map->size);
  map->bytes = bytes;
  return code;
}

static int file_map(void *context, nacre_io_file *file, uint64_t offset, size_t size,
                    nacre_io_map **ret_map) {
  (void)context;
  struct stat info;
  if (!offsets_fit(offset, size)) return EOVERFLOW;
  int code = check_stays(file->fd);
  if (code == 0 && fstat(file->fd, &info) != 0) code = errno;
  if (code == 0 && (uint64_t)info.st_size < offset + size) code = EINVAL; /* no page stands behind its end */
  if (code != 0) return code;
  nacre_io_map *map = malloc(sizeof *map);
  if (map == NULL) return ENOMEM;
  size_t before = (size_t)(offset % (uint64_t)sysconf(_SC_PAGESIZE));
  *map = (nacre_io_map){.offset = offset - before, .size = size + before};
  code = map_pages(file->fd, map);
  if (code != 0) {
    free(map);
    return code;
  }
  *ret_map = map;
  return 0;
}

static void map_store(void *context, nacre_io_map *map, uint64_t offset, const void *bytes, size_t size) {
  (void)context;
  uint8_t *to = map->bytes + (offset - map->offset);
  uint64_t first;
  memcpy(&first, bytes, sizeof first);
  memcpy(to + sizeof first, (const uint8_t *)bytes + sizeof first, size - sizeof first);
  atomic_store_explicit((_Atomic uint64_t *)(void *)to, first, memory_order_release);
}

static void file_unmap(void *context, nacre_io_map *map) {
  (void)context;
  munmap(map->bytes, map->size);
  free(map);
}

/* ---- names and locks ----------------------------------------------------------------------------------- */

static int rename_over(void *context, nacre_io_dir *dir, const char *from, const char *to) {
  (void)context;
  return renameat(dir->fd, from, dir->fd, to) == 0 ? 0 : errno;
}

static int remove_file(void *context, nacre_io_dir *dir, const char *name) {
  (void)context;
  return unlinkat(dir->fd, name, 0) == 0 ? 0 : errno;
}

static int lock_description(int fd, bool exclusive) {
  struct flock all = {.l_type = exclusive ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET};
  while (fcntl(fd, F_OFD_SETLK, &all) != 0) {
    if (errno == EAGAIN || errno == EACCES) return EWOULDBLOCK;
    if (errno != EINTR) return errno;
  }
  return 0;
}

/* Whether the name still leads to the file that was locked: another holder may have removed it in between. */
static bool lock_is_named(int dir, const char *name, int fd) {
  struct stat locked, named;
  return fstat(fd, &locked) == 0 && fstatat(dir, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
         locked.st_ino == named.st_ino && locked.st_dev == named.st_dev;
}

static int lock_once(nacre_io_dir *dir, const char *name, bool exclusive, int *ret_fd) {
  int code = open_regular(dir->fd, name, exclusive ? O_RDWR | O_CREAT : O_RDONLY, ret_fd);
  if (code != 0) return code;
  code = lock_description(*ret_fd, exclusive);
  if (code == 0 && !lock_is_named(dir->fd, name, *ret_fd)) code = ESTALE;
  if (code != 0) close(*ret_fd);
  return code;
}

static int lock_take(void *context, nacre_io_dir *dir, const char *name, bool exclusive,
                     nacre_io_lock **ret_lock) {
  (void)context;
  void *handle;
  int fd, code = ESTALE;
  for (int tries = 0; code == ESTALE && tries < LOCK_TRIES; tries++)
    code = lock_once(dir, name, exclusive, &fd);
  if (code == ESTALE) code = EWOULDBLOCK;
  if (code == 0) code = handle_of(fd, &handle);
  if (code == 0) *ret_lock = handle;
  return code;
}

static void lock_release(void *context, nacre_io_lock *lock) {
  (void)context;
  close(lock->fd); /* the last descriptor of the description takes the lock with it */
  free(lock);
}

/* ---- clocks -------------------------------------------------------------------------------------------- */

static uint64_t monotonic_ns(void *context) {
  (void)context;
  struct timespec now = {0};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t wall_ms(void *context) {
  (void)context;
  struct timespec now = {0};
  clock_gettime(CLOCK_REALTIME, &now);
  return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

const nacre_io *nacre_io_posix(void) {
  static const nacre_io posix = {
      .dir_open = dir_open,
      .dir_open_at = dir_open_at,
      .dir_create_at = dir_create_at,
      .dir_remove_at = dir_remove_at,
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
      .remove = remove_file,
      .lock = lock_take,
      .unlock = lock_release,
      .monotonic_ns = monotonic_ns,
      .wall_ms = wall_ms,
      .file_copy = file_copy,
      .file_map = file_map,
      .map_store = map_store,
      .file_unmap = file_unmap,
      .file_truncate = file_truncate,
  };
  return &posix;
}
