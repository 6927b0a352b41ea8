/* SPDX-License-Identifier: Apache-2.0
 *
 * shelf: the files of a store in memory, to be damaged and put right again a million times.
 *
 * A shelf is a nacre_io that only reads: whatever would change it fails with EROFS and is counted. A test
 * changes bytes, sizes and presence of its files directly. Handles point into the shelf, so that opening a
 * file allocates nothing; they are counted, and none may be left open. One thread a shelf.
 */
#ifndef NACRE_TESTS_SHELF_H
#define NACRE_TESTS_SHELF_H

#include <nacre/nacre_io.h>

enum { SHELF_FILES_MAX = 64, SHELF_DIRS_MAX = 8, SHELF_NAME_BYTES = 48 };

/* A file handle is the file itself. */
typedef struct nacre_io_file {
  char directory[SHELF_NAME_BYTES]; /* "" is the store's own */
  char name[SHELF_NAME_BYTES];
  uint8_t *bytes;
  size_t size;
  bool missing;
  uint64_t reads; /* how often it was read from */
} shelf_file;

typedef struct nacre_io_dir {
  char name[SHELF_NAME_BYTES];
  bool missing;
} shelf_dir;

typedef struct shelf {
  shelf_file files[SHELF_FILES_MAX];
  size_t file_count;
  shelf_dir dirs[SHELF_DIRS_MAX]; /* the first is the store's own */
  size_t dir_count;
  nacre_io io;
  uint64_t clock_ns, changes; /* operations that would have changed something */
  int64_t handles;
} shelf;

/* Copies what a store at `path` of `io` holds: its own files, and those one directory down. */
void shelf_load(shelf *s, const nacre_io *io, const char *path);
/* Lets a shelf share nothing with another: every byte is copied. */
void shelf_copy(shelf *to, const shelf *from);
/* Gives a shelf, handles and all, the files of another again. */
void shelf_restore(shelf *s, const shelf *from);
/* Lays a file on a shelf, over the one of its name if there is one. */
void shelf_put(shelf *s, const shelf_file *file);
void shelf_deinit(shelf *s);
const nacre_io *shelf_io(shelf *s); /* the shelf must not move from then on */

shelf_file *shelf_find(shelf *s, const char *directory, const char *name); /* NULL: there is none */
bool shelf_ends_in(const shelf_file *file, const char *suffix);
/* How many files of its kind in its directory have lower, or higher, numbers. */
unsigned shelf_older(const shelf *s, const shelf_file *file);
unsigned shelf_newer(const shelf *s, const shelf_file *file);
/* "directory/name" */
void shelf_label(const shelf_file *file, char label[2 * SHELF_NAME_BYTES]);
/* Writes a shelf as files below `path`, which must exist. */
void shelf_store(const shelf *s, const char *path);

#endif
