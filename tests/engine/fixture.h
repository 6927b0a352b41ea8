/* SPDX-License-Identifier: Apache-2.0
 *
 * fixture: what the tests of the engine share.
 *
 * `floor` is a directory with what the engine's rooms need beneath them, without a store: env, cache, keys.
 * `site` is a place for a whole store. Both clean up after themselves. Files are read and changed behind
 * the engine's back by path.
 */
#ifndef TESTS_ENGINE_FIXTURE_H
#define TESTS_ENGINE_FIXTURE_H

#include <stdatomic.h>

#include "segment.h"
#include "shared.h"
#include "table_key.h"

#include "checks.h"
#include "support.h"

enum { PATH_BYTES = 512 };

/* ---- checks, besides those of checks.h ----------------------------------------------------------------- */

/* For public calls, which fill the thread's last error. */
void api_ok(nacre_status status, const char *call, const char *file, int line);
void api_id(nacre_status status, uint32_t id, const char *call, const char *file, int line);
#define ok(call) api_ok((call), #call, __FILE__, __LINE__)
#define fails(call, id) api_id((call), (id), #call, __FILE__, __LINE__)

/* ---- bytes --------------------------------------------------------------------------------------------- */

nacre_slice text(const char *s); /* without the terminator; never NULL data */
bool slice_is(nacre_slice s, const char *s_text);

/* ---- rooms without a store ----------------------------------------------------------------------------- */

typedef struct floor_fixture {
  char path[PATH_BYTES];
  nacre_io quick;
  nc_shared shared;
  nc_dir dir;
  nc_uuid table;
  nc_table_keys *keys;
  nc_key_holder holder; /* of the same */
  nc_segment_home home;
} floor_fixture;

void floor_open(floor_fixture *f);
void floor_close(floor_fixture *f);

/* ---- a store ------------------------------------------------------------------------------------------- */

typedef struct site {
  char path[PATH_BYTES], store[PATH_BYTES], uri[PATH_BYTES];
  nacre_io quick; /* the operating system's operations without syncing: nothing here loses its power */
  nacre_store_options options; /* create, the keyring beside the store, no workers: all is deterministic */
} site;

void site_make(site *s);
void site_remove(site *s);
nacre_store *site_open(site *s);
/* Opens the store and the table `name`, which is made when it is missing. */
nacre_table *site_table(site *s, nacre_store **ret_store, const char *name);
/* A store with a table "table", cleanly closed: b = 2 in a segment, a = 1 under a = 3, which is in a log. */
void site_fill(site *s);
/* The directory of a table (NULL: the catalogue), below the store. */
void site_table_path(site *s, const char *name, char path[PATH_BYTES]);
/* The only file of a directory whose name ends so; fails unless there is exactly one. */
void only_file(const char *directory, const char *suffix, char path[PATH_BYTES]);
size_t count_files(const char *directory, const char *suffix);

void put_text(nacre_table *t, const char *key, const char *value, bool sync);
/* Whether the table answers `value` for `key`; NULL: not found. */
bool holds(nacre_table *t, const nacre_snapshot *snapshot, const char *key, const char *value);

/* ---- files behind the engine's back -------------------------------------------------------------------- */

void join(char path[PATH_BYTES], const char *directory, const char *name);
void file_store(const char *path, const void *bytes, size_t size);
void file_flip(const char *path, uint64_t offset); /* one bit of the byte there */
void file_cut(const char *path, uint64_t size);
void file_copy(const char *from, const char *to);
bool file_is_there(const char *path);
void tree_copy(const char *from, const char *to); /* a directory with all that is in it */
/* A number for all names and bytes below a directory, names that end in `except` left out. */
uint64_t tree_digest(const char *directory, const char *except);

/* ---- a disk that fails --------------------------------------------------------------------------------- */

/* The operating system's operations, the n-th of which fails with `code`. Operations that change the disk
 * are counted. */
typedef struct failing_io {
  nacre_io io;
  int code;
  atomic_uint_fast64_t count;
  uint64_t fail_at; /* from 1; 0: never */
  bool fail_from;   /* and all that follow */
} failing_io;
void failing_init(failing_io *f);

#endif
