/* SPDX-License-Identifier: Apache-2.0
 *
 * A keyring that is made or changed, cut off at every system call: its owner is never left without it.
 *
 * The calls that touch its directory are wrapped by the linker. A child process ends, as by kill -9, at the
 * nth of them, or goes on after the nth has failed; then its keyring must open, and be the old one or the new
 * one.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kms/keyring_file.h"
#include "support.h"

static const nc_scrypt_cost cheap = {.log2_n = 4, .r = 1, .p = 1};
static nacre_error err;
static int passed, failed;

static void check(bool good, const char *what, int number) {
  *(good ? &passed : &failed) += 1;
  if (!good) fprintf(stderr, "FAILED: %s, call %d: %s\n", what, number, err.text);
}

/* ---- the system calls ---------------------------------------------------------------------------------- */

static int calls, stop_at, fail_at; /* 0: never */

/* Whether this call fails. */
static bool due(void) {
  calls++;
  if (stop_at != 0 && calls == stop_at) _exit(0);
  if (fail_at == 0 || calls != fail_at) return false;
  errno = EIO;
  return true;
}

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...) { return due() ? -1 : __real_open64(path, flags, 0600); }
ssize_t __real_write(int fd, const void *bytes, size_t size);
ssize_t __wrap_write(int fd, const void *bytes, size_t size);
ssize_t __wrap_write(int fd, const void *bytes, size_t size) {
  return due() ? -1
               : __real_write(fd, bytes, size > 50 ? 50 : size); /* short, so that there are cuts between */
}
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd) { return due() ? -1 : __real_fsync(fd); }
int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to) { return due() ? -1 : __real_rename(from, to); }
int __real_link(const char *from, const char *to);
int __wrap_link(const char *from, const char *to);
int __wrap_link(const char *from, const char *to) { return due() ? -1 : __real_link(from, to); }
int __real_unlink(const char *path);
int __wrap_unlink(const char *path);
int __wrap_unlink(const char *path) { return due() ? -1 : __real_unlink(path); }

/* ---- the keyring --------------------------------------------------------------------------------------- */

static nacre_status answer(void *arg, const char *keyring, bool confirm, char *buffer, size_t capacity,
                           size_t *ret_size) {
  const char *const *texts = arg;
  (void)keyring, (void)capacity;
  *ret_size = strlen(texts[confirm]);
  memcpy(buffer, texts[confirm], *ret_size);
  return NACRE_OK;
}

static nc_env *env_that_answers(const char *const texts[2]) {
  nc_env *env;
  must(nc_env_create(NULL, &env, &err));
  nc_passphrases_source(env, answer, (void *)(uintptr_t)texts);
  nc_passphrases_cost(env, cheap);
  return env;
}

/* The number of keys; 0 when it does not open. */
static uint32_t keys_under(const char *path, const char *passphrase) {
  const char *const texts[2] = {passphrase, ""};
  nc_env *env = env_that_answers(texts);
  nc_keyring_work *work = nc_heap_alloc(env->heap, sizeof *work);
  uint32_t count = nc_keyring_load(env, path, work, &err) == NACRE_OK ? work->ring.key_count : 0;
  nc_heap_free(env->heap, work, sizeof *work);
  nc_env_destroy(env);
  return count;
}

static nacre_status make(nc_env *env, const char *path) {
  nc_keyring_work *work = nc_heap_alloc(env->heap, sizeof *work);
  nacre_status status = nc_keyring_create(env, path, work, &err);
  nc_heap_free(env->heap, work, sizeof *work);
  return status;
}

/* A second key, and a second passphrase. */
static nacre_status edit(nc_env *env, nc_keyring_work *work, void *arg, nacre_error *e) {
  NC_TRY(nc_keyring_add_fresh(env, &work->ring, e));
  return nc_passphrase_obtain(env, arg, true, &work->passphrase, e);
}

static void run_in_child(const char *path, bool change, int stop, int fail) {
  static const char *const old_new[2] = {"old", "new"}, *const new_old[2] = {"none", "old"};
  fflush(stderr);
  pid_t child = fork();
  if (child != 0) {
    int status;
    (void)waitpid(child, &status, 0);
    return;
  }
  nc_env *env = env_that_answers(change ? old_new : new_old);
  calls = 0;
  stop_at = stop;
  fail_at = fail;
  char text[200];
  snprintf(text, sizeof text, "%s", path);
  nacre_status status = change ? nc_keyring_change(env, path, edit, text, &err) : make(env, path);
  _exit(status == NACRE_OK ? 0 : 1);
}

static bool prepare(const char *path) {
  static const char *const texts[2] = {"none", "old"};
  char aside[200];
  snprintf(aside, sizeof aside, "%s.new", path);
  (void)__real_unlink(path);
  (void)__real_unlink(aside);
  nc_env *env = env_that_answers(texts);
  stop_at = fail_at = 0;
  bool good = make(env, path) == NACRE_OK;
  nc_env_destroy(env);
  return good;
}

/* How many calls a whole run makes. */
static int calls_of(const char *path, bool change) {
  static const char *const old_new[2] = {"old", "new"}, *const none_old[2] = {"none", "old"};
  char text[200];
  snprintf(text, sizeof text, "%s", path);
  nc_env *env = env_that_answers(change ? old_new : none_old);
  calls = 0;
  if (change) {
    must(nc_keyring_change(env, path, edit, text, &err));
  } else {
    must(make(env, path));
  }
  nc_env_destroy(env);
  return calls;
}

/* After any cut: old or new, whole, and open to the next change. */
static void check_after(const char *path, const char *what, int number) {
  static const char *const old_new[2] = {"old", "new"};
  uint32_t old = keys_under(path, "old"), new = keys_under(path, "new");
  check((old == 1 && new == 0) || (old == 0 && new == 2), what, number);
  if (old != 1) return;
  char aside[200], text[200];
  nc_env *env = env_that_answers(old_new);
  snprintf(text, sizeof text, "%s", path);
  snprintf(aside, sizeof aside, "%s.new", path);
  check(nc_keyring_change(env, path, edit, text, &err) == NACRE_OK, "changing it after that", number);
  check(keys_under(path, "new") == 2 && access(aside, F_OK) != 0, "what it is then", number);
  nc_env_destroy(env);
}

static void cut_changes(const char *path) {
  check(prepare(path), "making it", 0);
  int count = calls_of(path, true);
  check(count > 8, "the calls are seen", count);
  for (int n = 1; n <= count; n++) {
    check(prepare(path), "making it", n);
    run_in_child(path, true, n, 0);
    check_after(path, "a change that was killed", n);
    check(prepare(path), "making it", n);
    run_in_child(path, true, 0, n);
    check_after(path, "a change in which a call failed", n);
  }
}

/* First use: there is none, or it opens; and the next one who uses it makes it. */
static void cut_creations(const char *path) {
  (void)__real_unlink(path);
  int count = calls_of(path, false);
  check(count > 6, "the calls are seen", count);
  for (int n = 1; n <= 2 * count; n++) {
    (void)__real_unlink(path);
    run_in_child(path, false, n <= count ? n : 0, n <= count ? 0 : n - count);
    bool there = access(path, F_OK) == 0;
    check(!there || keys_under(path, "old") == 1, "a first use that was cut off", n);
    if (!there) check(calls_of(path, false) > 0 && keys_under(path, "old") == 1, "the use after it", n);
  }
}

/* ---- threads, processes -------------------------------------------------------------------------------- */

typedef struct reader {
  pthread_t thread;
  nc_env *env;
  const char *path;
  bool good;
} reader;

static atomic_int asked;
static nacre_status count_and_answer(void *arg, const char *keyring, bool confirm, char *buffer,
                                     size_t capacity, size_t *ret_size) {
  static const char *const texts[2] = {"old", "old"};
  (void)arg;
  atomic_fetch_add(&asked, 1);
  return answer((void *)(uintptr_t)texts, keyring, confirm, buffer, capacity, ret_size);
}

static void *read_often(void *arg) {
  reader *r = arg;
  nacre_error own;
  nc_keyring_work *work = nc_heap_alloc(r->env->heap, sizeof *work);
  for (int i = 0; i < 50; i++) r->good = r->good && nc_keyring_load(r->env, r->path, work, &own) == NACRE_OK;
  nc_heap_free(r->env->heap, work, sizeof *work);
  return NULL;
}

static void ask_once_for_all_threads(const char *path) {
  enum { READERS = 6 };
  reader readers[READERS];
  nc_env *env;
  check(prepare(path), "making it", 0);
  must(nc_env_create(NULL, &env, &err));
  nc_passphrases_source(env, count_and_answer, NULL);
  for (int i = 0; i < READERS; i++) {
    readers[i] = (reader){.env = env, .path = path, .good = true};
    check(pthread_create(&readers[i].thread, NULL, read_often, &readers[i]) == 0, "starting a thread", i);
  }
  for (int i = 0; i < READERS; i++) {
    pthread_join(readers[i].thread, NULL);
    check(readers[i].good, "a reader", i);
  }
  check(atomic_load(&asked) == 1, "threads that open at once ask once", atomic_load(&asked));
  nc_env_destroy(env);
}

static nacre_status add_one(nc_env *env, nc_keyring_work *work, void *arg, nacre_error *e) {
  (void)arg;
  return nc_keyring_add_fresh(env, &work->ring, e);
}

/* Two that change it at once: each change that was told to be done is there at the end. */
static void lose_no_change(const char *path) {
  enum { EACH = 12 };
  static const char *const texts[2] = {"old", "old"};
  check(prepare(path), "making it", 0);
  pid_t children[2];
  int added = 0;
  for (int i = 0; i < 2; i++) {
    children[i] = fork();
    if (children[i] != 0) continue;
    nc_env *env = env_that_answers(texts);
    int done = 0;
    for (int k = 0; k < EACH; k++) done += nc_keyring_change(env, path, add_one, NULL, &err) == NACRE_OK;
    _exit(done);
  }
  for (int i = 0; i < 2; i++) {
    int status = 0;
    (void)waitpid(children[i], &status, 0);
    added += WEXITSTATUS(status);
  }
  check(added > 0 && keys_under(path, "old") == (uint32_t)(1 + added), "two that change it", added);
}

int main(void) {
  char directory[] = "/tmp/nacre-test-XXXXXX", path[100];
  if (mkdtemp(directory) == NULL) return 1;
  snprintf(path, sizeof path, "%s/keyring", directory);
  cut_changes(path);
  cut_creations(path);
  ask_once_for_all_threads(path);
  lose_no_change(path);
  char command[200];
  snprintf(command, sizeof command, "rm -rf '%s'", directory);
  if (system(command) != 0) return 1;
  printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}
