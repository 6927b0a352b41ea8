/* SPDX-License-Identifier: Apache-2.0
 *
 * What is not a file in the place of one: symbolic links (to a good copy, to nothing, to /dev/zero, to a
 * FIFO), FIFOs, directories, sockets, devices, files that may not be read; hard links, which are files. In
 * the place of every file and directory of a store, of the keyring, of the store itself, and under the names
 * that the next write will want.
 *
 * Each is read, verified with keys and without, opened as a sealed file, and written to. Nothing may wait for
 * ever (an alarm ends the program), nothing outside the store may change, and what stands there is named.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include "frames.h"
#include "status.h"
#include "support.h"
#include "walk_store.h"

enum { CASE_SECONDS = 20, PATH_BYTES = 640 };

typedef enum thing {
  LINK_TO_COPY = 0,
  LINK_TO_NOTHING,
  LINK_TO_ZEROS,
  LINK_TO_FIFO,
  FIFO,
  DIRECTORY,
  SOCKET,
  DEVICE,
  UNREADABLE,
  HARD_LINK,
  THINGS
} thing;
static const char *const thing_names[THINGS] = {"a link to a copy", "a dangling link", "a link to /dev/zero",
                                                "a link to a FIFO", "a FIFO",          "a directory",
                                                "a socket",         "a device",        "mode 000",
                                                "a hard link"};

typedef struct run {
  subject s;
  nacre_io quick; /* the operating system's, without syncing */
  char store[256], outside[256];
  uint64_t tried[THINGS], skipped[THINGS], planted;
} run;

/* ---- the ground ---------------------------------------------------------------------------------------- */

static int skip_file_sync(void *context, nacre_io_file *file) {
  (void)context, (void)file;
  return 0;
}
static int skip_dir_sync(void *context, nacre_io_dir *dir) {
  (void)context, (void)dir;
  return 0;
}

/* Beside the store: a good copy of all of its files, and a FIFO. It is never to change. */
static void lay_outside(run *r) {
  char path[PATH_BYTES];
  walk_store_lay_out(&r->s.clean, r->outside);
  test_path(path, sizeof path, r->outside, "fifo");
  if (mkfifo(path, 0600) != 0) test_die("a FIFO cannot be made");
}

/* A fresh store. */
static void lay_ground(run *r) {
  test_scratch_remove(r->store);
  walk_store_lay_out(&r->s.clean, r->store);
  alarm(CASE_SECONDS);
}

/* Whether what lies outside the store is as it was, names, sizes and bytes. */
static bool outside_untouched(run *r) {
  static shelf now;
  nacre_io io = *nacre_io_posix();
  shelf_load(&now, &io, r->outside);
  bool same = now.file_count == r->s.clean.file_count && now.dir_count == r->s.clean.dir_count;
  for (size_t i = 0; i < now.file_count && same; i++) {
    const shelf_file *a = &now.files[i], *b = shelf_find(&r->s.clean, a->directory, a->name);
    same = b != NULL && a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
  }
  shelf_deinit(&now);
  return same;
}

static bool make_socket(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) return false;
  memcpy(address.sun_path, path, strlen(path) + 1);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  bool made = fd >= 0 && bind(fd, (const struct sockaddr *)(const void *)&address, sizeof address) == 0;
  if (fd >= 0) close(fd);
  return made;
}

/* Puts a thing at `path`, where nothing stands; `copy` is what links lead to. False when this process may not
 * make one, or when it would be no hindrance to it. */
static bool make_thing(run *r, thing what, const char *path, const char *copy) {
  char fifo[PATH_BYTES];
  test_path(fifo, sizeof fifo, r->outside, "fifo");
  switch (what) {
    case LINK_TO_COPY:
      return symlink(copy, path) == 0;
    case LINK_TO_NOTHING:
      return symlink("/nonexistent/file", path) == 0;
    case LINK_TO_ZEROS:
      return symlink("/dev/zero", path) == 0;
    case LINK_TO_FIFO:
      return symlink(fifo, path) == 0;
    case FIFO:
      return mkfifo(path, 0600) == 0;
    case DIRECTORY:
      return mkdir(path, 0700) == 0;
    case SOCKET:
      return make_socket(path);
    case DEVICE:
      return mknod(path, S_IFCHR | 0600, makedev(1, 5)) == 0;
    case UNREADABLE: {
      int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0);
      if (fd >= 0) close(fd);
      return fd >= 0 && access(path, R_OK) != 0;
    }
    case HARD_LINK:
      return link(copy, path) == 0;
    case THINGS:
      break;
  }
  return false;
}

/* ---- what may come of it ------------------------------------------------------------------------------- */

typedef enum role { ROLE_SEGMENT, ROLE_HIDDEN, ROLE_KEYS, ROLE_NEEDED, ROLE_LOCK } file_role;

static file_role role_of(const run *r, const shelf_file *file) {
  int from, to;
  subject_keys_of(&r->s, &r->s.clean, file, &from, &to);
  if (from < to) return ROLE_SEGMENT;
  if (shelf_ends_in(file, ".val")) return ROLE_HIDDEN;
  if (strncmp(file->name, "KEYS.", 5) == 0) return ROLE_KEYS;
  return strcmp(file->name, "LOCK") == 0 ? ROLE_LOCK : ROLE_NEEDED;
}

static bool refused_as(const run *r, nacre_status status, const nacre_error *error, thing what) {
  nacre_status wanted = what == UNREADABLE ? NACRE_IO : NACRE_TAMPERED;
  nc_error_id id = what == UNREADABLE ? NC_E_OS : NC_E_OS_NOT_A_FILE;
  return PROVE(&r->s, status == wanted && error->id == (uint32_t)id, "%s: %s %u: %s", thing_names[what],
               nacre_status_name(status), error->id, error->text);
}

static void prove_untouched(const run *r, const store_verdict *v, int except) {
  for (int i = 0; i < SUBJECT_TABLES; i++) {
    const table_verdict *one = &v->tables[i];
    if (i == except) continue;
    (void)PROVE(&r->s, table_whole(&r->s, one, i) && !table_noticed(one, false), "table %d: %s%s", i,
                one->open_error.text, one->read_error.text);
  }
}

static void prove_read(const run *r, const store_verdict *v, const shelf_file *file, thing what) {
  int table = 0;
  file_role role = role_of(r, file);
  while (table < SUBJECT_TABLES && strcmp(r->s.tables[table].uuid, file->directory) != 0) table++;
  bool spare = what == HARD_LINK || (table == SUBJECT_TABLES && role == ROLE_KEYS);
  if (table == SUBJECT_TABLES && !spare) {
    refused_as(r, v->opened, &v->open_error, what);
    return;
  }
  (void)PROVE(&r->s, v->opened == NACRE_OK, "the store: %s", v->open_error.text);
  if (v->opened != NACRE_OK) return;
  prove_untouched(r, v, spare ? SUBJECT_TABLES : table);
  if (spare) return;
  const table_verdict *one = &v->tables[table];
  if (role == ROLE_NEEDED) {
    refused_as(r, one->opened, &one->open_error, what);
    return;
  }
  (void)PROVE(&r->s, one->opened == NACRE_OK && one->groups == r->s.tables[table].groups, "the table: %s",
              one->open_error.text);
  refused_as(r, one->verified, &one->verify_error, what);
  if (role == ROLE_SEGMENT) refused_as(r, one->read_error.status, &one->read_error, what);
}

/* ---- trying -------------------------------------------------------------------------------------------- */

/* Whatever a writer attempts ends, and changes nothing outside. Returns whether the write went through. */
static bool write_to(run *r, const char *store_path) {
  nacre_store_options options = subject_options(&r->s, &r->quick, false);
  nacre_slice key = {"written", 7}, unbounded = {NULL, 0};
  nacre_store *store;
  bool all = true;
  options.create = false;
  if (nacre_open(store_path, &options, &store) != NACRE_OK) return false;
  for (int i = 0; i < SUBJECT_TABLES; i++) {
    nacre_table *table;
    if (nacre_table_open(store, r->s.tables[i].name, NULL, &table) != NACRE_OK) {
      all = false;
      continue;
    }
    all = nacre_put(table, key, key, &(nacre_write_options){.sync = true}) == NACRE_OK && all;
    all = nacre_flush(table) == NACRE_OK && all;
    nacre_status merged = nacre_compact(table, unbounded, unbounded);
    all = merged == NACRE_OK && all;
    all = nacre_table_close(table) == NACRE_OK && all;
  }
  return nacre_close(store) == NACRE_OK && all;
}

/* The sealed file by itself, by its path. */
static void open_sealed(run *r, const shelf_file *file, const char *path, thing what) {
  nacre_store_options options = subject_options(&r->s, &r->quick, false);
  nacre_seal_domain *domain;
  nacre_sealed_file *sealed = NULL;
  nacre_error error = {0};
  char table[64];
  snprintf(table, sizeof table, "uuid:%s", file->directory);
  bool catalogue = strcmp(file->directory, "catalogue") == 0;
  if (nacre_table_keys_open(r->store, &options, catalogue ? NULL : table, &domain) != NACRE_OK) return;
  nacre_status status = nacre_sealed_file_open(domain, path, &sealed);
  if (status != NACRE_OK) nacre_last_error(&error);
  if (what == HARD_LINK)
    (void)PROVE(&r->s, status == NACRE_OK, "by itself: %s", error.text);
  else
    refused_as(r, status, &error, what);
  nacre_sealed_file_close(sealed);
  (void)PROVE(&r->s, nacre_seal_domain_close(domain) == NACRE_OK, "closing the keys");
}

static void try_file(run *r, const shelf_file *file, thing what) {
  char label[2 * SHELF_NAME_BYTES], path[PATH_BYTES], copy[PATH_BYTES];
  uint64_t failures = test_failures();
  store_verdict v;
  shelf_label(file, label);
  lay_ground(r);
  test_path(path, sizeof path, r->store, label);
  test_path(copy, sizeof copy, r->outside, label);
  subject_doing(&r->s, thing_names[what], file, NULL, 0);
  if (unlink(path) != 0) test_die("%s is not there", path);
  if (!make_thing(r, what, path, copy)) {
    r->skipped[what]++;
    return;
  }
  judge_store(&r->s, &r->quick, true, &v);
  prove_read(r, &v, file, what);
  bool seen = walk_store_faults(r->store, "") > 0;
  (void)PROVE(&r->s, seen == (what != HARD_LINK && role_of(r, file) != ROLE_LOCK), "the keyless scrub %s it",
              seen ? "sees" : "does not see");
  if (is_sealed(file)) open_sealed(r, file, path, what);
  bool wrote = write_to(r, r->store);
  (void)PROVE(&r->s, wrote || what != HARD_LINK, "nothing can be written beside a hard link");
  (void)PROVE(&r->s, outside_untouched(r), "something outside the store has changed");
  r->tried[what]++;
  (void)CHECK(test_failures() == failures, "%s in the place of %s", thing_names[what], label);
}

/* ---- directories, the keyring, the store --------------------------------------------------------------- */

static void try_directory(run *r, const char *name, thing what) {
  char path[PATH_BYTES], copy[PATH_BYTES], aside[PATH_BYTES];
  uint64_t failures = test_failures();
  store_verdict v;
  if (what == DIRECTORY || what == HARD_LINK || what == UNREADABLE) return;
  lay_ground(r);
  test_path(path, sizeof path, r->store, name);
  test_path(copy, sizeof copy, r->outside, name);
  test_path(aside, sizeof aside, r->store, "aside");
  subject_doing(&r->s, thing_names[what], NULL, NULL, 0);
  if (rename(path, aside) != 0) test_die("%s is not there", path);
  if (!make_thing(r, what, path, copy)) {
    r->skipped[what]++;
    return;
  }
  judge_store(&r->s, &r->quick, false, &v);
  if (strcmp(name, "catalogue") == 0) {
    refused_as(r, v.opened, &v.open_error, what);
  } else {
    int table = strcmp(name, r->s.tables[0].uuid) == 0 ? 0 : 1;
    prove_untouched(r, &v, table);
    refused_as(r, v.tables[table].opened, &v.tables[table].open_error, what);
  }
  (void)PROVE(&r->s, walk_store_faults(r->store, "") > 0, "the keyless scrub does not see it");
  (void)PROVE(&r->s, !write_to(r, r->store), "it was written to");
  (void)PROVE(&r->s, outside_untouched(r), "something outside the store has changed");
  r->tried[what]++;
  (void)CHECK(test_failures() == failures, "%s in the place of the directory %s", thing_names[what], name);
}

/* A keyring is never anything but a plain file of its owner's. */
static void try_keyring(run *r, thing what) {
  char aside[PATH_BYTES];
  uint64_t failures = test_failures();
  store_verdict v;
  lay_ground(r);
  snprintf(aside, sizeof aside, "%s.aside", r->s.keyring);
  subject_doing(&r->s, thing_names[what], NULL, NULL, 0);
  if (rename(r->s.keyring, aside) != 0) test_die("there is no keyring");
  bool made = make_thing(r, what, r->s.keyring, aside);
  if (made) {
    judge_store(&r->s, &r->quick, false, &v);
    bool right = what == HARD_LINK    ? v.opened == NACRE_OK
                 : what == UNREADABLE ? v.opened == NACRE_KEY_DENIED
                                      : v.open_error.id == NC_E_KEYRING_KIND && v.opened == NACRE_KEY_DENIED;
    (void)PROVE(&r->s, right, "the keyring: %s %u: %s", nacre_status_name(v.opened), v.open_error.id,
                v.open_error.text);
    (void)PROVE(&r->s, write_to(r, r->store) == (what == HARD_LINK), "writing");
  }
  if (what == DIRECTORY ? rmdir(r->s.keyring) != 0 && made : unlink(r->s.keyring) != 0 && made)
    test_die("the keyring's place cannot be cleared");
  if (rename(aside, r->s.keyring) != 0) test_die("the keyring cannot be put back");
  *(made ? &r->tried[what] : &r->skipped[what]) += 1;
  (void)CHECK(test_failures() == failures, "%s in the place of the keyring", thing_names[what]);
}

/* The path is the caller's own: links in it are followed, anything but a directory is an error, and is left
 * as it is, also by who would make a store. */
static void try_store(run *r, thing what) {
  char path[PATH_BYTES];
  uint64_t failures = test_failures();
  nacre_store_options options = subject_options(&r->s, &r->quick, true);
  nacre_store *store = NULL;
  nacre_error error = {0};
  if (what == DIRECTORY || what == HARD_LINK || what == UNREADABLE) return;
  lay_ground(r);
  test_path(path, sizeof path, r->s.scratch, "thing");
  subject_doing(&r->s, thing_names[what], NULL, NULL, 0);
  if (!make_thing(r, what, path, r->outside)) {
    r->skipped[what]++;
    return;
  }
  nacre_status status = nacre_open(path, &options, &store);
  if (status != NACRE_OK) nacre_last_error(&error);
  nacre_status wanted = what == LINK_TO_COPY      ? NACRE_OK
                        : what == LINK_TO_NOTHING ? NACRE_NOT_FOUND
                                                  : NACRE_IO;
  (void)PROVE(&r->s, status == wanted, "the store's path: %s %u: %s", nacre_status_name(status), error.id,
              error.text);
  (void)PROVE(&r->s, nacre_close(store) == NACRE_OK, "closing");
  if (what != LINK_TO_COPY) {
    options.read_only = false;
    options.create = true;
    (void)PROVE(&r->s, nacre_open(path, &options, &store) != NACRE_OK, "a store was made there");
  }
  (void)PROVE(&r->s, outside_untouched(r) || what == LINK_TO_COPY, "something outside has changed");
  if (unlink(path) != 0) test_die("the thing cannot be removed");
  r->tried[what]++;
  (void)CHECK(test_failures() == failures, "%s in the place of the store", thing_names[what]);
}

/* ---- names that the next write wants ------------------------------------------------------------------- */

/* A name that is taken is passed over, or the write fails; never is what stands there written to. */
static void try_planted(run *r, const char *name, thing what) {
  char directory[PATH_BYTES], path[PATH_BYTES], copy[PATH_BYTES];
  uint64_t failures = test_failures();
  store_verdict v;
  if (what == UNREADABLE) return;
  lay_ground(r);
  test_path(directory, sizeof directory, r->store, r->s.tables[0].uuid);
  test_path(path, sizeof path, directory, name);
  test_path(copy, sizeof copy, r->outside, r->s.tables[1].uuid);
  test_path(directory, sizeof directory, copy, "CURRENT");
  subject_doing(&r->s, thing_names[what], NULL, NULL, 0);
  if (!make_thing(r, what, path, directory)) {
    r->skipped[what]++;
    return;
  }
  judge_store(&r->s, &r->quick, false, &v);
  (void)PROVE(&r->s, v.opened == NACRE_OK, "the store: %s", v.open_error.text);
  prove_untouched(r, &v, SUBJECT_TABLES);
  bool temporary = strstr(name, ".tmp") != NULL;
  bool wrote = write_to(r, r->store);
  nacre_error error;
  nacre_last_error(&error);
  (void)PROVE(&r->s, wrote || (temporary && what == DIRECTORY), "writing beside %s: %s", name, error.text);
  (void)PROVE(&r->s, outside_untouched(r), "something outside the store has changed");
  r->planted++;
  (void)CHECK(test_failures() == failures, "%s named %s", thing_names[what], name);
}

static void try_planted_names(run *r, thing what) {
  static const char *const temporaries[] = {"CURRENT.tmp", "KEYS.a.tmp", "KEYS.b.tmp"};
  static const char *const kinds[] = {"man", "log", "seg"};
  uint64_t last = 0;
  for (size_t i = 0; i < r->s.clean.file_count; i++) {
    const shelf_file *file = &r->s.clean.files[i];
    if (strcmp(file->directory, r->s.tables[0].uuid) != 0 || !is_sealed(file)) continue;
    uint64_t number = strtoull(file->name, NULL, 10);
    last = number > last ? number : last;
  }
  for (size_t i = 0; i < 3; i++) try_planted(r, temporaries[i], what);
  for (uint64_t number = last + 1; number < last + 5; number++)
    for (size_t i = 0; i < 3; i++) {
      char name[32];
      snprintf(name, sizeof name, "%020llu.%s", (unsigned long long)number, kinds[i]);
      try_planted(r, name, what);
    }
}

int main(void) {
  static run r;
  double started = test_seconds();
  subject_make(&r.s, NULL);
  r.quick = *nacre_io_posix();
  r.quick.file_sync = skip_file_sync;
  r.quick.dir_sync = skip_dir_sync;
  snprintf(r.store, sizeof r.store, "%s/store", r.s.scratch);
  snprintf(r.outside, sizeof r.outside, "%s/outside", r.s.scratch);
  r.s.path = r.store;
  lay_outside(&r);
  for (thing what = 0; what < THINGS; what++) {
    for (size_t i = 0; i < r.s.clean.file_count; i++) try_file(&r, &r.s.clean.files[i], what);
    for (size_t i = 1; i < r.s.clean.dir_count; i++) try_directory(&r, r.s.clean.dirs[i].name, what);
    try_keyring(&r, what);
    try_store(&r, what);
    try_planted_names(&r, what);
  }
  alarm(0);
  uint64_t tried = 0;
  for (thing what = 0; what < THINGS; what++) {
    tried += r.tried[what];
    if (r.skipped[what] > 0)
      printf("things: %s: skipped %llu times: this process may not make one, or may read it all the same\n",
             thing_names[what], (unsigned long long)r.skipped[what]);
  }
  printf(
      "things: %llu in the place of files, directories, keyring and store, %llu in the way of writes; %.1f "
      "s\n",
      (unsigned long long)tried, (unsigned long long)r.planted, test_seconds() - started);
  subject_remove(&r.s);
  return test_finish();
}
