/* SPDX-License-Identifier: Apache-2.0
 *
 * nacre_io.h: the operations that Nacre asks of an operating system.
 *
 * Everything a store does to a disk goes through one table of functions. NULL in the store's options means
 * the operating system's; a test passes a table of its own to cut the power, fill the disk or fail a sync at
 * any step.
 *
 * Conventions
 *   - Every operation that can fail returns 0 or a positive errno value. Results come last and are untouched
 *   on failure. - `context` is the table's own and comes first in every call. - Names are single path
 *   components; Nacre never passes a separator. Only dir_open takes a path. - Operations on different files
 *   may come from several threads at once. Reads of one file may be concurrent with
 *     each other and with a write elsewhere in it; Nacre never overlaps two writes of one file.
 *   - EINTR and short transfers are the implementation's to retry: a read or write that returns 0 has
 *   transferred
 *     everything, except a read at the end of the file.
 */
#ifndef NACRE_IO_H
#define NACRE_IO_H

#include <nacre/nacre_format.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nacre_io_dir nacre_io_dir;
typedef struct nacre_io_file nacre_io_file;
typedef struct nacre_io_lock nacre_io_lock;
typedef struct nacre_io_map nacre_io_map;

typedef enum nacre_io_kind { NACRE_IO_REGULAR = 0, NACRE_IO_DIRECTORY = 1, NACRE_IO_OTHER = 2 } nacre_io_kind;

typedef struct nacre_io_info {
  uint64_t size;  /* bytes */
  uint64_t links; /* hard links: more than one means that another name shares the bytes */
} nacre_io_info;

typedef struct nacre_io {
  void *context;

  /* Opens the directory at `path`; with `create`, makes it (mode 0700) when it is missing: its name is on
   * stable storage on return then. Its parents must exist. Symbolic links on the way are followed: the path
   * is the caller's own. */
  int (*dir_open)(void *context, const char *path, bool create, nacre_io_dir **ret_dir);
  /* Opens a directory inside another. A symbolic link in its place is ELOOP or ENOTDIR. */
  int (*dir_open_at)(void *context, nacre_io_dir *parent, const char *name, nacre_io_dir **ret_dir);
  int (*dir_create_at)(void *context, nacre_io_dir *parent,
                       const char *name); /* EEXIST when the name is taken */
  int (*dir_remove_at)(void *context, nacre_io_dir *parent, const char *name); /* only when empty */
  /* Calls `visit` for every name but "." and "..", in no promised order; stops when `visit` returns non-zero,
   * and returns that. `visit` must not change the directory. */
  int (*dir_list)(void *context, nacre_io_dir *dir,
                  int (*visit)(void *arg, const char *name, nacre_io_kind kind), void *arg);
  /* On return, every name created, removed or renamed in the directory before the call is on stable
   * storage. */
  int (*dir_sync)(void *context, nacre_io_dir *dir);
  void (*dir_close)(void *context, nacre_io_dir *dir);

  /* Makes a new empty file, mode 0600, open for reading and writing; EEXIST when the name is taken by
   * anything. */
  int (*file_create)(void *context, nacre_io_dir *dir, const char *name, nacre_io_file **ret_file);
  /* Opens an existing regular file. A symbolic link is ELOOP; anything else that is not a regular file is
   * EINVAL. Must not block (a FIFO in the file's place). */
  int (*file_open)(void *context, nacre_io_dir *dir, const char *name, bool writable,
                   nacre_io_file **ret_file);
  int (*file_info)(void *context, nacre_io_file *file, nacre_io_info *ret_info);
  /* Reads up to `size` bytes at `offset`; fewer only at the end of the file. */
  int (*file_read)(void *context, nacre_io_file *file, uint64_t offset, void *buffer, size_t size,
                   size_t *ret_read);
  /* Writes `size` bytes at `offset`. On failure any part of them may have been written. After success the
   * bytes survive the process (a kill -9), not the power. */
  int (*file_write)(void *context, nacre_io_file *file, uint64_t offset, const void *buffer, size_t size);
  /* On return, the file's bytes and length are on stable storage. After a failure Nacre never syncs the file
   * again. */
  int (*file_sync)(void *context, nacre_io_file *file);
  void (*file_close)(void *context, nacre_io_file *file);

  int (*rename)(void *context, nacre_io_dir *dir, const char *from,
                const char *to);                                     /* replaces `to` atomically */
  int (*remove)(void *context, nacre_io_dir *dir, const char *name); /* a file; ENOENT when absent */

  /* Takes a lock on the file `name`, made empty when `exclusive` and missing, without waiting: EWOULDBLOCK
   * when another holder is in the way, in this process or another. Released by unlock and by the death of the
   * process. */
  int (*lock)(void *context, nacre_io_dir *dir, const char *name, bool exclusive, nacre_io_lock **ret_lock);
  void (*unlock)(void *context, nacre_io_lock *lock);

  uint64_t (*monotonic_ns)(void *context); /* never steps back; counts suspended time too */
  uint64_t (*wall_ms)(void *context); /* since 1970-01-01 UTC; tells what has expired; else only shown or recorded */

  /* Copies `size` bytes at `offset` to the same place in another file, sharing their blocks where the file
   * system can; all of them when it returns 0, and after a failure any part. May be NULL: reads and writes
   * serve. */
  int (*file_copy)(void *context, nacre_io_file *from, nacre_io_file *to, uint64_t offset, uint64_t size);

  /* ---- Frames of a commit log stored into memory. All four are there, or file_map is NULL: file_write
   * serves then, for the price of a system call each. A process that maps a file dies of SIGBUS when another
   * one cuts it short and it stores behind the new end, as with LMDB, or SQLite's WAL; the same goes for a
   * disk that fails to give back a page that memory was too short to keep, for ext4 that journals data and
   * has given up after an error, and for a file that was made immutable. A host that cannot have that passes
   * a copy of nacre_io_posix with file_map NULL. A table of its own that replaces file_write sees log frames
   * only if it does the same, or replaces map_store too. */
  /* Maps [offset, offset + size) of a file, all of which file_write has written; only when no store there can
   * come to want space any more (the file system does not copy on write, or move blocks). ENOTSUP when that
   * is not known. Children of the process do not inherit it. */
  int (*file_map)(void *context, nacre_io_file *file, uint64_t offset, size_t size, nacre_io_map **ret_map);
  /* Copies 8 bytes or more to `offset` of the file, a multiple of 8 and within the map. The first 8 come last
   * and at once: whoever reads them reads the others. Readers of the file see them on return; they survive
   * the process, and with the next file_sync the power. Cannot fail. */
  void (*map_store)(void *context, nacre_io_map *map, uint64_t offset, const void *bytes, size_t size);
  void (*file_unmap)(void *context, nacre_io_map *map); /* what was stored stays */
  int (*file_truncate)(void *context, nacre_io_file *file, uint64_t size); /* cuts off what stands behind `size` */
} nacre_io;

/* The operating system's own operations. The table is static and immutable. Since 0.1. */
NACRE_API const nacre_io *nacre_io_posix(void);

#ifdef __cplusplus
}
#endif
#endif
