/* SPDX-License-Identifier: Apache-2.0
 *
 * What only several processes can show: forks, races for a keyring, locks. A plain program, for Criterion
 * forks itself.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/deny.h"
#include "keyring.h"
#include "last_error.h"
#include "random.h"
#include "seal_domain.h"
#include "support.h"

static nacre_error err;
static int passed, failed;

static void report(const char *name, bool good) {
  printf("%s: %s\n", good ? "ok" : "FAILED", name);
  *(good ? &passed : &failed) += 1;
}

/* Runs `child` in a child; true when it says so. */
static bool in_child(bool (*child)(fixture *f), fixture *f) {
  fflush(NULL);
  pid_t pid = fork();
  if (pid == 0) _exit(child(f) ? 0 : 1);
  int status;
  return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool sees_the_fork(fixture *f) { return nc_env_forked(f->env); }

static void test_fork_word(void) {
  fixture f;
  fixture_open(&f);
  bool good = !nc_env_forked(f.env) && in_child(sees_the_fork, &f) && !nc_env_forked(f.env);
  fixture_close(&f);
  report("a child knows that it is one", good);
}

static uint8_t *small, *large;
static bool sees_no_secret(fixture *f) {
  (void)f;
  return small[0] == 0 && small[99] == 0 && large[0] == 0 && large[2999999] == 0;
}

static void test_wipe_on_fork(void) {
  fixture f;
  fixture_open(&f);
  small = nc_heap_alloc(f.env->heap, 100);
  large = nc_heap_alloc(f.env->heap, 3000000);
  memset(small, 0x77, 100);
  memset(large, 0x77, 3000000);
  bool good = in_child(sees_no_secret, &f) && small[99] == 0x77 && large[2999999] == 0x77;
  nc_heap_free(f.env->heap, small, 100);
  nc_heap_free(f.env->heap, large, 3000000);
  fixture_close(&f);
  report("private memory is empty in a child and unharmed in the parent", good);
}

static nacre_seal_domain *domain;
static nacre_sealed_file *sealed;
static char sealed_path[128];
static bool handles_are_dead(fixture *f) {
  (void)f;
  nacre_sealed_file *other;
  size_t size;
  char buffer[8];
  nacre_error last;
  bool good =
      nacre_sealed_file_open(domain, sealed_path, &other) == NACRE_FORKED &&
      nacre_sealed_file_read(sealed, 8192, NC_FRAME_LOG_GROUP, buffer, 8, &size, NULL) == NACRE_FORKED &&
      nacre_seal_domain_close(domain) == NACRE_FORKED;
  nacre_last_error(&last);
  nacre_sealed_file_close(sealed); /* harmless */
  return good && last.id == NC_E_SEAL_FORKED;
}

static void test_forked_handles(void) {
  fixture f;
  size_t size = 0;
  char buffer[8];
  fixture_open(&f);
  fixture_keys(&f);
  nc_sealed_writer *w = make_writer(&f, "log", 0);
  must(nc_sealed_writer_append(w, NC_FRAME_LOG_GROUP, nc_slice("one", 3), NULL, &err));
  nc_sealed_writer_close(w);
  file_path(&f, "log", sealed_path);
  must(nc_seal_domain_create(f.env, nc_table_keys_ref(f.keys), &domain, &err));
  must(nacre_sealed_file_open(domain, sealed_path, &sealed));
  bool good = in_child(handles_are_dead, &f);
  must(nacre_sealed_file_read(sealed, 8192, NC_FRAME_LOG_GROUP, buffer, sizeof buffer, &size, NULL));
  nacre_sealed_file_close(sealed);
  /* The domain owns the env now; what the fixture shares with it goes first. */
  nc_table_keys_unref(f.keys);
  f.keys = NULL;
  nc_dir_close(&f.dir);
  good = good && nacre_seal_domain_close(domain) == NACRE_OK && size == 3;
  must(nc_env_create(NULL, &f.env, &err));
  fixture_close(&f);
  report("a child's handles answer NACRE_FORKED, the parent's go on", good);
}

/* --- a race for the keyring ----------------------------------------------------------------------------- */

enum { RACERS = 6, ROUNDS = 20 };

/* Waits at the pipe, then makes a key under a keyring that may not be there yet; hands out its wrap. */
static void race(fixture *f, int start, int out) {
  static const uint8_t key[32] = {5};
  static const nc_kms_purpose purpose = {.kek_version = 1};
  uint8_t wrapped[NC_LOCAL_WRAP_BYTES];
  size_t size;
  char byte;
  nc_env *env; /* the parent's cannot be used here */
  must(nc_env_create(NULL, &env, &err));
  f->kms.env = env;
  if (read(start, &byte, 1) < 0) _exit(1);
  must(nc_kms_wrap(&f->kms, &f->spec, &purpose, true, key, wrapped, sizeof wrapped, &size, &err));
  _exit(write(out, wrapped, size) == (ssize_t)size ? 0 : 1);
}

static bool one_round(void) {
  static const nc_kms_purpose purpose = {.kek_version = 1};
  fixture f;
  int start[2], out[2], status;
  bool good = true;
  fixture_open(&f);
  if (pipe(start) != 0 || pipe(out) != 0) abort();
  fflush(NULL);
  for (int i = 0; i < RACERS; i++) {
    if (fork() == 0) {
      close(start[1]);
      race(&f, start[0], out[1]);
    }
  }
  close(start[1]); /* they are off */
  for (int i = 0; i < RACERS; i++) good = wait(&status) > 0 && status == 0 && good;
  for (int i = 0; good && i < RACERS; i++) {
    uint8_t wrapped[NC_LOCAL_WRAP_BYTES], key[32];
    good = read(out[0], wrapped, sizeof wrapped) == (ssize_t)sizeof wrapped;
    good = good &&
           nc_kms_unwrap(&f.kms, &f.spec, &purpose, nc_slice(wrapped, sizeof wrapped), key, &err) == NACRE_OK;
  }
  close(start[0]);
  close(out[0]);
  close(out[1]);
  fixture_close(&f);
  return good;
}

static void test_keyring_race(void) {
  bool good = true;
  for (int i = 0; i < ROUNDS; i++) good = one_round() && good;
  report("processes that race to make a keyring end with one, which opens what each wrapped", good);
}

/* --- locks ---------------------------------------------------------------------------------------------- */

static bool is_locked_out(fixture *f) {
  nc_env *env;
  nc_dir dir;
  nacre_io_lock *lock;
  must(nc_env_create(NULL, &env, &err));
  must(nc_dir_open(env, f->path, false, &dir, &err));
  return nc_lock_take(&dir, "LOCK", true, &lock, &err) == NACRE_LOCKED && err.id == NC_E_LOCKED;
}
static bool is_let_in(fixture *f) { return !is_locked_out(f) && err.id != NC_E_LOCKED; }

static void test_lock(void) {
  fixture f;
  nacre_io_lock *lock;
  fixture_open(&f);
  nc_error_clear(&err);
  must(nc_lock_take(&f.dir, "LOCK", true, &lock, &err));
  bool good = in_child(is_locked_out, &f);
  nc_lock_release(f.env, lock);
  good = good && in_child(is_let_in, &f); /* and its death gives the lock back */
  must(nc_lock_take(&f.dir, "LOCK", true, &lock, &err));
  nc_lock_release(f.env, lock);
  fixture_close(&f);
  report("a lock keeps other processes out, until it is released or its holder dies", good);
}

/* --- no random bytes --------------------------------------------------------------------------------------- */

static bool has_no_random_bytes(fixture *f) {
  uint8_t bytes[16];
  (void)f;
  if (!deny_call(SYS_getrandom, EPERM)) {
    printf("not tried: this system has no seccomp\n");
    return true;
  }
  return nc_random(bytes, sizeof bytes, &err) == NACRE_IO && err.id == NC_E_RANDOM && err.os_errno == EPERM;
}

static void test_random(void) {
  report("without random bytes nothing goes on", in_child(has_no_random_bytes, NULL));
}

int main(void) {
  test_fork_word();
  test_wipe_on_fork();
  test_forked_handles();
  test_keyring_race();
  test_lock();
  test_random();
  printf("%d passed, %d failed\n", passed, failed);
  return failed > 0;
}
