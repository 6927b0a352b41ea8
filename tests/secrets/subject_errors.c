/* SPDX-License-Identifier: Apache-2.0
 *
 * The process under test: the store is opened, or is not, something goes another way, and all is given back.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "frame.h"
#include "subject_store.h"
#include "support.h"

enum { FRAMES_AT = 8192, FRAME_BYTES = 64 << 10 };

static void open_all(subject *s) {
  EXPECT_OK(subject_open(s, NULL));
  for (uint32_t table = 0; table < SUBJECT_TABLES; table++) EXPECT_OK(subject_open_table(s, table));
}

static void reopen(subject *s) {
  open_all(s);
  for (uint32_t table = 0; table < SUBJECT_TABLES; table++) EXPECT_TRUE(subject_read_all(s, table) == 0);
  subject_close(s, false);
}

static void verify(subject *s) {
  nacre_verify_report report;
  EXPECT_OK(subject_open(s, NULL));
  EXPECT_OK(subject_open_table(s, 3));
  EXPECT_OK(nacre_verify(s->tables[3], NULL, &report));
  nacre_faults_free(report.faults);
  subject_close(s, false);
}

static void salvage(subject *s) {
  nacre_store_options source = subject_options(s);
  nacre_salvage_options options = {.to = "salvaged", .source = &source};
  nacre_salvage_report *report = (nacre_salvage_report *)(void *)(s->around.page + 2); /* it holds the name */
  char *name = (char *)s->around.page;
  canary_table_name(s->seed, 0, name);
  EXPECT_OK(nacre_salvage(SUBJECT_STORE, name, &options, report));
  EXPECT_TRUE(report->keys == SUBJECT_ENTRIES && report->fault_count == 0);
  nacre_faults_free(report->faults);
  explicit_bzero(report, sizeof *report);
  explicit_bzero(name, sizeof *s->around.page);
}

/* ---- files --------------------------------------------------------------------------------------------- */

/* Calls `visit` for each segment of table 0. */
static uint32_t each_segment(subject *s, void (*visit)(subject *s, const char *path, void *arg), void *arg) {
  char directory[100], path[400];
  uint32_t count = 0;
  test_path(directory, sizeof directory, SUBJECT_STORE, s->uuids[0]);
  DIR *dir = opendir(directory);
  for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
    if (strstr(e->d_name, ".seg") == NULL) continue;
    test_path(path, sizeof path, directory, e->d_name);
    visit(s, path, arg);
    count++;
  }
  if (dir != NULL) closedir(dir);
  return count;
}

static void read_frames(subject *s, const char *path, void *arg) {
  nacre_sealed_file *file = NULL;
  size_t size = 0;
  uint8_t *buffer = malloc(FRAME_BYTES);
  EXPECT_OK(nacre_sealed_file_open(arg, path, &file));
  EXPECT_OK(nacre_sealed_file_read(file, FRAMES_AT, NC_FRAME_DATA, buffer, FRAME_BYTES, &size, NULL));
  explicit_bzero(buffer, FRAME_BYTES);
  free(buffer);
  nacre_sealed_file_close(file);
}

static void inspect(subject *s) {
  nacre_store_options options = subject_options(s);
  nacre_seal_domain *domain = NULL;
  char by_uuid[60];
  snprintf(by_uuid, sizeof by_uuid, "uuid:%s", s->uuids[0]);
  EXPECT_OK(nacre_table_keys_open(SUBJECT_STORE, &options, by_uuid, &domain));
  EXPECT_TRUE(each_segment(s, read_frames, domain) > 0);
  EXPECT_OK(nacre_seal_domain_close(domain));
}

static void flip(subject *s, const char *path, void *arg) {
  uint8_t byte;
  (void)arg;
  int fd = open(path, O_RDWR | O_CLOEXEC);
  EXPECT_TRUE(pread(fd, &byte, 1, FRAMES_AT + 40) == 1);
  byte ^= 1;
  EXPECT_TRUE(pwrite(fd, &byte, 1, FRAMES_AT + 40) == 1);
  close(fd);
}

static void tampered(subject *s) {
  nacre_verify_report report;
  EXPECT_TRUE(each_segment(s, flip, NULL) > 0);
  EXPECT_OK(subject_open(s, NULL));
  EXPECT_OK(subject_open_table(s, 0));
  EXPECT_TRUE(subject_read_all(s, 0) > 0);
  EXPECT_FAILURE(nacre_verify(s->tables[0], NULL, &report));
  nacre_faults_free(report.faults);
  subject_close(s, false);
  each_segment(s, flip, NULL);
}

/* ---- keys ---------------------------------------------------------------------------------------------- */

static void change_keyrings(subject *s) {
  nacre_keyring_key keys[4];
  size_t count = 0;
  const char *uri = "local:" SUBJECT_PROTECTED;
  EXPECT_OK(nacre_keyring_add_key(uri, surroundings_ask, &s->around, NULL));
  EXPECT_OK(nacre_keyring_list(uri, surroundings_ask, &s->around, keys, 4, &count));
  EXPECT_TRUE(count == 2);
  EXPECT_OK(nacre_keyring_add_key("local:" SUBJECT_KEYRING, NULL, NULL, NULL));
  EXPECT_FAILURE(nacre_keyring_remove_key(uri, surroundings_ask, &s->around, "no id at all"));
}

static void wrong_key(subject *s) {
  nacre_store_options options = subject_options(s);
  options.default_key.uri = "local:" SUBJECT_OTHER;
  EXPECT_OK(nacre_open("other_store", &options, &s->store));
  EXPECT_OK(nacre_close(s->store));
  s->store = NULL;
  EXPECT(subject_open(s, "local:" SUBJECT_OTHER), NACRE_KEY_MISSING);
  EXPECT_FAILURE(subject_open(s, "local:nowhere"));
}

static void wrong_passphrase(subject *s) {
  EXPECT_OK(subject_open(s, NULL));
  atomic_store(&s->around.wrong_passphrase, true);
  EXPECT(subject_open_table(s, 1), NACRE_KEY_MISSING);
  atomic_store(&s->around.wrong_passphrase, false);
  subject_close(s, false);
}

static void moody(subject *s, int mood, nacre_status wanted) {
  EXPECT_OK(subject_open(s, NULL));
  atomic_store(&s->around.service.mood, mood);
  if (wanted == NACRE_OK) {
    EXPECT_FAILURE(subject_open_table(s, 2));
  } else {
    EXPECT(subject_open_table(s, 2), wanted);
  }
  EXPECT_OK(subject_open_table(s, 3)); /* it has another wrap */
  EXPECT_FAILURE(nacre_table_rotate(s->tables[3]));
  atomic_store(&s->around.service.mood, SERVICE_SERVES);
  subject_close(s, false);
}

static void failed_create(subject *s) {
  nacre_key_spec keys[2] = {{.uri = "mask:first"}, {.uri = "mask:refused"}};
  nacre_table_options options = {.keys = keys, .key_count = 2};
  char *name = (char *)s->around.page;
  EXPECT_OK(subject_open(s, NULL));
  canary_table_name(s->seed, SUBJECT_TABLES, name);
  EXPECT(nacre_table_create(s->store, name, &options, NULL), NACRE_KEY_DENIED);
  options.key_count = 1;
  atomic_store(&s->around.fail_syncs, EIO);
  EXPECT(nacre_table_create(s->store, name, &options, NULL), NACRE_IO);
  atomic_store(&s->around.fail_syncs, 0);
  canary_table_name(s->seed, 0, name);
  EXPECT(nacre_table_create(s->store, name, NULL, NULL), NACRE_EXISTS);
  EXPECT(nacre_table_rename(s->store, "no such table", name), NACRE_EXISTS);
  explicit_bzero(name, sizeof *s->around.page);
  subject_close(s, true);
}

/* What is stored into a map cannot fail: from the next log on, everything is written. */
static void without_maps(subject *s) { s->around.io.file_map = NULL; }

static void failed_rotation(subject *s) {
  nacre_key_spec refused = {.uri = "mask:refused"};
  without_maps(s);
  EXPECT_OK(subject_open(s, NULL));
  EXPECT_OK(subject_open_table(s, 2));
  EXPECT(nacre_table_set_key(s->tables[2], &refused, 1), NACRE_KEY_DENIED);
  atomic_store(&s->around.fail_key_files, EIO);
  EXPECT(nacre_table_rotate(s->tables[2]), NACRE_IO);
  atomic_store(&s->around.fail_key_files, 0);
  atomic_store(&s->around.fail_writes, EIO);
  EXPECT_FAILURE(nacre_table_rotate(s->tables[2]));
  atomic_store(&s->around.fail_writes, 0);
  subject_close(s, true);
  s->around.io.file_map = nacre_io_posix()->file_map;
}

static void interrupted_rotation(subject *s) {
  EXPECT_OK(subject_open(s, NULL));
  EXPECT_OK(subject_open_table(s, 0));
  EXPECT_OK(nacre_table_rotate(s->tables[0]));
  atomic_store(&s->around.fail_writes, EIO);
  EXPECT_FAILURE(nacre_table_rewrap_wait(s->tables[0], NULL));
  subject_close(s, true);
  atomic_store(&s->around.fail_writes, 0);
}

/* ---- the disk ------------------------------------------------------------------------------------------ */

static void failed_sync(subject *s) {
  EXPECT_OK(subject_open(s, NULL));
  EXPECT_OK(subject_open_table(s, 0));
  subject_put(s, 0, SUBJECT_ENTRIES, true, NACRE_OK);
  atomic_store(&s->around.fail_syncs, EIO);
  subject_put(s, 0, SUBJECT_ENTRIES + 1, true, NACRE_IO);
  EXPECT_FAILURE(nacre_flush(s->tables[0]));
  subject_close(s, true);
  atomic_store(&s->around.fail_syncs, 0);
}

static void no_space(subject *s) {
  nacre_slice all = {NULL, 0};
  without_maps(s);
  EXPECT_OK(subject_open(s, NULL));
  EXPECT_OK(subject_open_table(s, 0));
  subject_put(s, 0, SUBJECT_ENTRIES + 2, false, NACRE_OK);
  atomic_store(&s->around.fail_writes, ENOSPC);
  subject_put(s, 0, SUBJECT_ENTRIES + 3, false, NACRE_NO_SPACE);
  EXPECT_FAILURE(nacre_flush(s->tables[0]));
  EXPECT_FAILURE(nacre_compact(s->tables[0], all, all));
  subject_close(s, true);
  atomic_store(&s->around.fail_writes, 0);
  s->around.io.file_map = nacre_io_posix()->file_map;
}

/* ---- paused -------------------------------------------------------------------------------------------- */

/* By UUID, so that the application has no name at hand meanwhile. */
static void paused(subject *s, atomic_bool *at, uint32_t table) {
  char by_uuid[60];
  snprintf(by_uuid, sizeof by_uuid, "uuid:%s", s->uuids[table]);
  EXPECT_OK(subject_open(s, NULL));
  atomic_store(at, true);
  EXPECT_OK(nacre_table_open(s->store, by_uuid, NULL, &s->tables[table]));
  EXPECT_TRUE(!atomic_load(at));
  subject_close(s, false);
}

bool subject_try(subject *s) {
  if (s->step < STEP_REOPEN || s->step > STEP_SERVICE_CALLED) return false;
  if (s->step == STEP_REOPEN) reopen(s);
  if (s->step == STEP_VERIFY) verify(s);
  if (s->step == STEP_SALVAGE) salvage(s);
  if (s->step == STEP_INSPECT) inspect(s);
  if (s->step == STEP_KEYRING) change_keyrings(s);
  if (s->step == STEP_WRONG_KEY) wrong_key(s);
  if (s->step == STEP_WRONG_PASSPHRASE) wrong_passphrase(s);
  if (s->step == STEP_KMS_DENIES) moody(s, SERVICE_DENIES, NACRE_KEY_DENIED);
  if (s->step == STEP_KMS_LIES) moody(s, SERVICE_LIES, NACRE_OK);
  if (s->step == STEP_KMS_GONE) moody(s, SERVICE_IS_GONE, NACRE_KEY_UNREACHABLE);
  if (s->step == STEP_TAMPERED) tampered(s);
  if (s->step == STEP_FAILED_SYNC) failed_sync(s);
  if (s->step == STEP_NO_SPACE) no_space(s);
  if (s->step == STEP_FAILED_CREATE) failed_create(s);
  if (s->step == STEP_FAILED_ROTATION) failed_rotation(s);
  if (s->step == STEP_CRASHED_ROTATION) interrupted_rotation(s);
  if (s->step == STEP_ASKED) paused(s, &s->around.pause_at_question, 1);
  if (s->step == STEP_SERVICE_CALLED) paused(s, &s->around.pause_at_call, 2);
  return true;
}
