/* SPDX-License-Identifier: Apache-2.0
 *
 * Defects across processes, found once, that must not come back: what a child may do with what its parent
 * had, and who holds a lock whose file goes. A plain program, because it forks and starts threads.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"

static site s;
static nacre_store *store;
static nacre_table *t;

/* Runs `body` in a child; its exit status. */
static int fork_and(int (*body)(void)) {
  fflush(NULL);
  pid_t child = fork();
  if (child < 0) test_die("fork failed");
  if (child == 0) _exit(body());
  int status;
  if (waitpid(child, &status, 0) != child) test_die("waitpid failed");
  return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

/* ---- batches ------------------------------------------------------------------------------------------- */

static nacre_batch *small, *large;
static char big[2000000];

static int uses_batches(void) {
  if (nacre_batch_put(small, text("key2"), text("value")) != NACRE_FORKED) return 1;
  if (nacre_batch_delete(small, text("key2")) != NACRE_FORKED) return 2;
  nacre_batch_clear(small);
  nacre_batch_destroy(small);
  nacre_batch_destroy(large);
  return 0;
}

/* Their memory is wiped in a child: a small one went on as zeros, to destroy a large one aborted. */
static void batches_in_a_child(void) {
  site_make(&s);
  ok(nacre_batch_create(&small));
  ok(nacre_batch_create(&large));
  ok(nacre_batch_put(small, text("key"), text("value")));
  ok(nacre_batch_put(large, text("large"), nc_slice(big, sizeof big)));
  int code = fork_and(uses_batches);
  CHECK(code == 0, "batches in a child, check %d failed", code);
  t = site_table(&s, &store, "table");
  ok(nacre_write(t, small, NULL));
  ok(nacre_write(t, large, NULL));
  CHECK(holds(t, NULL, "key", "value"), "the parent's batches are unharmed");
  nacre_batch_destroy(small);
  nacre_batch_destroy(large);
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  site_remove(&s);
}

/* A batch is asked before the table is: here the table is the child's own. */
static int writes_parents_batch(void) {
  t = site_table(&s, &store, "table");
  if (nacre_write(t, small, NULL) != NACRE_FORKED) return 1;
  if (nacre_table_close(t) != NACRE_OK || nacre_close(store) != NACRE_OK) return 2;
  return 0;
}

static void a_parents_batch_in_a_childs_table(void) {
  site_make(&s);
  ok(nacre_batch_create(&small));
  ok(nacre_batch_put(small, text("key"), text("value")));
  int code = fork_and(writes_parents_batch);
  CHECK(code == 0, "a parent's batch in a child's table, check %d failed", code);
  nacre_batch_destroy(small);
  site_remove(&s);
}

/* ---- lists and iterators ------------------------------------------------------------------------------- */

static nacre_table_infos *infos;
static nacre_iter *it;

static int looks_at_both(void) {
  if (nacre_iter_valid(it)) return 1;
  if (nacre_iter_status(it) != NACRE_FORKED) return 2;
  if (nacre_iter_key(it).size != 0 || nacre_iter_value(it).size != 0) return 3;
  nacre_table_infos_free(infos);
  return 0;
}

/* The list of tables measured names that were wiped, and aborted; an iterator went on as valid, with
 * zeros for a key. */
static void lists_and_iterators_in_a_child(void) {
  char name[101];
  memset(name, 'n', 100);
  name[100] = '\0';
  site_make(&s);
  t = site_table(&s, &store, name);
  put_text(t, "k", "v", false);
  ok(nacre_table_list(store, &infos));
  ok(nacre_iter_open(t, NULL, &it));
  nacre_iter_first(it);
  int code = fork_and(looks_at_both);
  CHECK(code == 0, "lists and iterators in a child, check %d failed", code);
  CHECK(nacre_iter_valid(it) && slice_is(nacre_iter_value(it), "v"), "the parent's iterator is unharmed");
  CHECK(strcmp(nacre_table_infos_at(infos, 0)->name, name) == 0, "and its list");
  nacre_iter_close(it);
  nacre_table_infos_free(infos);
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  site_remove(&s);
}

/* ---- locks --------------------------------------------------------------------------------------------- */

static atomic_int holders;
static atomic_uint_fast64_t taken, shared_holds;
static atomic_bool stop;

/* Takes the lock, and removes its file before it lets go, as a failed create does. */
static void *lock_and_remove(void *arg) {
  const nacre_io *io = nacre_io_posix();
  nacre_io_dir *dir;
  nacre_io_lock *lock;
  (void)arg;
  if (io->dir_open(NULL, s.path, false, &dir) != 0) test_die("no directory");
  while (!atomic_load(&stop)) {
    if (io->lock(NULL, dir, "LOCK", true, &lock) != 0) continue;
    if (atomic_fetch_add(&holders, 1) != 0) atomic_fetch_add(&shared_holds, 1);
    atomic_fetch_add(&taken, 1);
    usleep(20);
    atomic_fetch_sub(&holders, 1);
    (void)io->remove(NULL, dir, "LOCK");
    io->unlock(NULL, lock);
  }
  io->dir_close(NULL, dir);
  return NULL;
}

/* Who had opened the file before it was removed locked what no longer had a name, and the next one
 * made a new file. */
static void a_lock_whose_file_goes_has_one_holder(void) {
  enum { THREADS = 4 };
  pthread_t threads[THREADS];
  site_make(&s);
  for (size_t i = 0; i < THREADS; i++) {
    if (pthread_create(&threads[i], NULL, lock_and_remove, NULL) != 0) test_die("no threads");
  }
  usleep(300000);
  atomic_store(&stop, true);
  for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  CHECK(atomic_load(&taken) > 10, "the lock was taken %llu times", (unsigned long long)atomic_load(&taken));
  CHECK(atomic_load(&shared_holds) == 0, "%llu times there were two holders",
        (unsigned long long)atomic_load(&shared_holds));
  site_remove(&s);
}

int main(void) {
  batches_in_a_child();
  a_parents_batch_in_a_childs_table();
  lists_and_iterators_in_a_child();
  a_lock_whose_file_goes_has_one_holder();
  return test_finish();
}
