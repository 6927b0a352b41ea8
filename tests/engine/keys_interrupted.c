/* SPDX-License-Identifier: Apache-2.0
 *
 * A change of keys that is interrupted: at every operation of the disk; between its two commits, with the new
 * key in reach or not; while somebody opens a file.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "key_site.h"
#include "store.h"

static key_site k;

static void setup(void) { key_site_make(&k); }
static void teardown(void) { key_site_remove(&k); }
TestSuite(keys_interrupted, .init = setup, .fini = teardown, .timeout = 120);

/* ---- the disk ------------------------------------------------------------------------------------------ */

static char pristine[PATH_BYTES];

static void keep_store(void) {
  key_site_close(&k);
  join(pristine, k.s.path, "pristine");
  tree_copy(k.s.store, pristine);
}

static void fresh_store(void) {
  test_scratch_remove(k.s.store);
  tree_copy(pristine, k.s.store);
  k.s.options.io = &k.disk.io;
  k.disk.fail_at = 0;
  key_site_reopen(&k);
  atomic_store(&k.disk.count, 0);
}

/* Closes whatever the disk says. */
static void abandon(void) {
  (void)nacre_table_close(k.t);
  (void)nacre_close(k.store);
  k.t = NULL;
  k.store = NULL;
}

/* Whatever came of it: everything is there, and one version is left in the end, under a key that answers. */
static void comes_to_an_end(uint64_t at) {
  k.disk.fail_at = 0;
  k.s.options.io = &k.s.quick;
  key_site_reopen(&k);
  nacre_status status = nacre_table_rewrap_wait(k.t, NULL);
  cr_assert_eq(status, NACRE_OK, "operation %llu: %s", (unsigned long long)at, nacre_status_name(status));
  uint32_t version = key_site_only_version(&k);
  cr_assert(version == 1 || version == 2);
  key_site_check(&k);
  k.kms.keys[version == 1 ? 1 : 0].unwrap_status = NACRE_KEY_MISSING; /* the one that is not needed */
  if (version == 2) ok(nacre_store_set_key(k.store, fake_spec(2)));
  k.s.options.default_key = fake_spec(version == 2 ? 2 : 0);
  key_site_reopen(&k);
  key_site_check(&k);
  k.s.options.default_key = fake_spec(0);
  k.kms.keys[0].unwrap_status = k.kms.keys[1].unwrap_status = NACRE_OK;
  key_site_close(&k);
}

/* Every operation fails once, or from then on, as when the power goes; then the table is opened again. */
Test(keys_interrupted, at_every_operation_of_the_disk) { /* [W2] */
  uint64_t operations = 0, changed = 0;
  keep_store();
  for (int forever = 0; forever < 2; forever++) {
    for (uint64_t at = 1;; at++) {
      fresh_store();
      k.disk.fail_at = at;
      k.disk.fail_from = forever == 1;
      k.disk.code = at % 3 == 0 ? ENOSPC : EIO;
      nacre_status status = key_site_try(&k, 1, 1);
      bool reached = atomic_load(&k.disk.count) >= at;
      changed += status == NACRE_OK;
      cr_assert(holds(k.t, NULL, "a", "1") && holds(k.t, NULL, "b", "2") && holds(k.t, NULL, "c", "3"));
      if (forever == 0 && reached) { /* the fault is over: the same handle comes to an end */
        nacre_status waited = nacre_table_rewrap_wait(k.t, NULL);
        cr_assert_eq(waited, NACRE_OK, "operation %llu: %s", (unsigned long long)at,
                     nacre_status_name(waited));
        key_site_only_version(&k);
        put_text(k.t, "d", "4", true);
      }
      abandon();
      comes_to_an_end(at);
      if (!reached) break;
      operations++;
    }
  }
  cr_log_info("%llu operations, %llu changes answered NACRE_OK", (unsigned long long)operations,
              (unsigned long long)changed);
  cr_assert_gt(operations, 80);
  cr_assert_gt(changed, 40);
}

/* Whether the store opens with a key; how many versions its catalogue's key file has. Changes nothing. */
static bool looks_open_with(unsigned key, size_t *ret_versions) {
  nacre_store_options options = k.s.options;
  nacre_store *store = NULL;
  nacre_key_status status;
  options.create = false;
  options.read_only = true;
  options.default_key = fake_spec(key);
  if (nacre_open(k.s.store, &options, &store) != NACRE_OK) return false;
  ok(nacre_store_key_status(store, &status));
  *ret_versions = nacre_key_versions_count(status.versions);
  key_status_free(&status);
  ok(nacre_close(store));
  return true;
}

/* The same for the key of the catalogue: whoever comes next may have the old key or the new one, and both
 * open what is under way. */
Test(keys_interrupted, at_every_operation_for_the_stores_key) {
  uint64_t operations = 0, both = 0;
  keep_store();
  for (int forever = 0; forever < 2; forever++) {
    for (uint64_t at = 1;; at++) {
      fresh_store();
      k.disk.fail_at = at;
      k.disk.fail_from = forever == 1;
      nacre_status status = nacre_store_set_key(k.store, fake_spec(1));
      bool reached = atomic_load(&k.disk.count) >= at;
      abandon();
      k.s.options.io = &k.s.quick;
      k.disk.fail_at = 0;
      size_t versions = 0;
      bool old_opens = looks_open_with(0, &versions), new_opens = looks_open_with(1, &versions);
      cr_assert(old_opens || new_opens, "operation %llu", (unsigned long long)at);
      cr_assert(versions == 1 || (old_opens && new_opens), "operation %llu", (unsigned long long)at);
      cr_assert(status != NACRE_OK || (new_opens && !old_opens), "operation %llu", (unsigned long long)at);
      both += versions == 2;
      k.s.options.default_key = fake_spec(new_opens && at % 2 == 0 ? 1 : old_opens ? 0 : 1);
      key_site_reopen(&k);
      key_site_check(&k);
      k.s.options.default_key = fake_spec(0);
      key_site_close(&k);
      cr_assert(!new_opens || looks_open_with(1, &versions),
                "operation %llu: whoever came with the old key undid the change", (unsigned long long)at);
      if (!reached) break;
      operations++;
    }
  }
  cr_assert_gt(operations, 40);
  cr_assert_gt(both, 10);
}

/* What a rewrap that was cut short has left of a copy goes with the first write; other names are not ours. */
Test(keys_interrupted, copies_that_were_never_finished_are_swept) {
  char copy[PATH_BYTES], other[PATH_BYTES];
  join(copy, k.table_path, "00000000000000000002.seg.tmp");
  join(other, k.table_path, "notes.tmp");
  file_store(copy, "half", 4);
  file_store(other, "mine", 4);
  key_site_reopen(&k);
  cr_assert(file_is_there(copy));
  put_text(k.t, "d", "4", true);
  cr_assert(!file_is_there(copy) && file_is_there(other));
  key_site_check(&k);
}

/* ---- between the two commits --------------------------------------------------------------------------- */

/* Leaves a store whose catalogue calls fake:1 pending, and whose key file has it. */
static bool make_pending(void) {
  keep_store();
  for (uint64_t at = 1; at < 100; at++) {
    nacre_key_status status;
    fresh_store();
    k.disk.fail_at = at;
    k.disk.fail_from = true;
    nacre_status changed = key_site_try(&k, 1, 1);
    abandon();
    k.s.options.io = &k.s.quick;
    k.disk.fail_at = 0;
    if (changed == NACRE_OK) continue;
    k.kms.keys[1].unwrap_status = NACRE_KEY_UNREACHABLE; /* nobody settles it while we look */
    key_site_reopen(&k);
    ok(nacre_table_key_status(k.t, &status));
    bool pending = status.changing && nacre_key_versions_count(status.versions) == 2;
    bool first_active = nacre_key_versions_at(status.versions, 0)->active;
    key_status_free(&status);
    k.kms.keys[1].unwrap_status = NACRE_OK;
    if (pending && first_active) return true;
  }
  return false;
}

Test(keys_interrupted, a_pending_key_that_is_out_of_reach_waits) {
  nacre_key_status status;
  cr_assert(make_pending());
  key_site_forget(&k);
  k.kms.keys[1].unwrap_status = NACRE_KEY_UNREACHABLE;
  key_site_reopen(&k);
  key_site_check(&k);
  put_text(k.t, "d", "4", true);
  ok(nacre_flush(k.t));
  fails(nacre_table_rewrap_wait(k.t, NULL), NC_E_KMS_PROVIDER);
  fails(nacre_table_rotate(k.t), NC_E_KMS_PROVIDER);
  ok(nacre_table_key_status(k.t, &status));
  cr_assert(status.changing && status.files_left == 0);
  cr_assert(nacre_key_versions_at(status.versions, 0)->active &&
            !nacre_key_versions_at(status.versions, 1)->active);
  cr_assert_eq(nacre_key_versions_at(status.versions, 1)->files, 0, "no file is under it");
  key_status_free(&status);
  k.kms.keys[1].unwrap_status = NACRE_OK; /* and comes to be when it answers again */
  ok(nacre_table_rewrap_wait(k.t, NULL));
  cr_assert_eq(key_site_only_version(&k), 2);
  cr_assert_eq(key_site_count(&k, NACRE_EVENT_KEY_ABANDONED), 0);
  key_site_check(&k);
}

static void is_abandoned(nacre_status answer, uint32_t id) {
  cr_assert(make_pending());
  key_site_forget(&k);
  k.kms.keys[1].unwrap_status = answer;
  key_site_reopen(&k);
  ok(nacre_table_rewrap_wait(k.t, NULL));
  cr_assert_eq(key_site_only_version(&k), 1);
  cr_assert_eq(key_site_count(&k, NACRE_EVENT_KEY_ABANDONED), 1);
  cr_assert_eq(key_site_find(&k, NACRE_EVENT_KEY_ABANDONED, NULL)->error_id, id);
  key_site_check(&k);
  key_site_set(&k, 2, 1); /* another change is welcome */
  cr_assert_eq(key_site_only_version(&k), 2);
  key_site_reopen(&k);
  key_site_check(&k);
}

Test(keys_interrupted, a_pending_key_that_is_denied_is_abandoned) {
  is_abandoned(NACRE_KEY_DENIED, NC_E_KMS_DENIED);
}
Test(keys_interrupted, a_pending_key_that_is_gone_is_abandoned) {
  is_abandoned(NACRE_KEY_MISSING, NC_E_KMS_KEY_MISSING);
}

/* Every version was wrapped under the new key first: it may be that only that is left. */
Test(keys_interrupted, a_pending_key_opens_what_the_older_one_does_not_any_more) {
  ok(nacre_store_set_key(k.store, fake_spec(2)));
  k.s.options.default_key = fake_spec(2);
  cr_assert(make_pending());
  k.kms.keys[0].unwrap_status = k.kms.keys[0].wrap_status = NACRE_KEY_MISSING;
  key_site_reopen(&k);
  ok(nacre_table_rewrap_wait(k.t, NULL));
  cr_assert_eq(key_site_only_version(&k), 2);
  key_site_check(&k);
}

/* Readers change nothing, and see all there is. */
Test(keys_interrupted, a_pending_key_and_a_reader) {
  cr_assert(make_pending());
  key_site_close(&k);
  for (int i = 0; i < 2; i++) {
    k.kms.keys[1].unwrap_status = i == 0 ? NACRE_OK : NACRE_KEY_DENIED;
    k.s.options.create = false;
    k.s.options.read_only = true;
    uint64_t digest = tree_digest(k.s.store, NULL);
    key_site_reopen(&k);
    key_site_check(&k);
    nacre_key_status status;
    ok(nacre_table_key_status(k.t, &status));
    cr_assert(status.changing);
    key_status_free(&status);
    key_site_close(&k);
    cr_assert_eq(tree_digest(k.s.store, NULL), digest);
  }
  k.s.options.read_only = false;
}

/* The commit itself may have been made although its answer was lost. */
Test(keys_interrupted, another_change_after_one_that_failed) { /* [W3] */
  keep_store();
  for (uint64_t at = 1; at < 40; at++) {
    fresh_store();
    k.disk.fail_at = at;
    k.disk.fail_from = false;
    nacre_status first = key_site_try(&k, 1, 1);
    k.disk.fail_at = 0;
    key_site_set(&k, 2, 1);
    ok(nacre_table_rewrap_wait(k.t, NULL));
    cr_assert(key_site_only_version(&k) <= 3 || first != NACRE_OK);
    k.kms.keys[1].unwrap_status = NACRE_KEY_MISSING;
    key_site_check(&k);
    key_site_reopen(&k);
    key_site_check(&k);
    k.kms.keys[1].unwrap_status = NACRE_OK;
  }
}

/* ---- while a file is opened ---------------------------------------------------------------------------- */

static nacre_io racing;
static int races;
static bool inside; /* the change itself opens files, too */

/* Between the moment in which a reader takes the keys and the moment in which it reads the header, the table
 * key changes and every file is rewrapped. */
static int open_late(void *context, nacre_io_dir *dir, const char *name, bool writable,
                     nacre_io_file **ret_file) {
  (void)context;
  if (races > 0 && !inside && !writable && strlen(name) == 24 && strcmp(name + 20, ".seg") == 0) {
    races--;
    inside = true;
    ok(nacre_table_rotate(k.t));
    key_site_only_version(&k);
    inside = false;
  }
  return nacre_io_posix()->file_open(NULL, dir, name, writable, ret_file);
}

Test(keys_interrupted, a_key_that_changes_while_a_file_is_opened) {
  racing = k.s.quick;
  racing.file_open = open_late;
  k.s.options.io = &racing;
  key_site_reopen(&k);
  put_text(k.t, "d", "4", true);
  races = 2; /* the second comes when it tries again */
  cr_assert(holds(k.t, NULL, "a", "1"));
  cr_assert_eq(races, 0);
  cr_assert_eq(key_site_only_version(&k), 3);
  races = 1;
  cr_assert(holds(k.t, NULL, "b", "2"));
  cr_assert_eq(races, 0);
  key_site_check(&k);
}

/* ---- beside others ------------------------------------------------------------------------------------- */

/* A place where a thread stops until it is let go. */
typedef struct gate {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  bool armed, reached, open;
} gate;
static gate files = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, false, false},
            service = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, false, false};

static void pass(gate *g) {
  pthread_mutex_lock(&g->lock);
  if (g->armed) {
    g->armed = false;
    g->reached = true;
    pthread_cond_broadcast(&g->changed);
    while (!g->open) pthread_cond_wait(&g->changed, &g->lock);
  }
  pthread_mutex_unlock(&g->lock);
}

static void arm(gate *g) {
  pthread_mutex_lock(&g->lock);
  g->armed = true;
  g->reached = g->open = false;
  pthread_mutex_unlock(&g->lock);
}

static void await_reached(gate *g) {
  pthread_mutex_lock(&g->lock);
  while (!g->reached) pthread_cond_wait(&g->changed, &g->lock);
  pthread_mutex_unlock(&g->lock);
}

static void let_go(gate *g) {
  pthread_mutex_lock(&g->lock);
  g->open = true;
  pthread_cond_broadcast(&g->changed);
  pthread_mutex_unlock(&g->lock);
}

static bool is_segment(const char *name) { return strlen(name) == 24 && strcmp(name + 20, ".seg") == 0; }

static int create_late(void *context, nacre_io_dir *dir, const char *name, nacre_io_file **ret_file) {
  (void)context;
  if (is_segment(name)) pass(&files);
  return nacre_io_posix()->file_create(NULL, dir, name, ret_file);
}
static int rewrap_late(void *context, nacre_io_dir *dir, const char *name, bool writable,
                       nacre_io_file **ret_file) {
  (void)context;
  if (is_segment(name) && writable) pass(&files);
  return nacre_io_posix()->file_open(NULL, dir, name, writable, ret_file);
}
static void wrap_late(void) { pass(&service); }

static void *flush(void *arg) {
  ok(nacre_flush(arg));
  return NULL;
}
static void *rotate(void *arg) {
  ok(nacre_table_rotate(arg));
  return NULL;
}

static void with_workers(int (*create)(void *, nacre_io_dir *, const char *, nacre_io_file **),
                         int (*open)(void *, nacre_io_dir *, const char *, bool, nacre_io_file **)) {
  racing = k.s.quick;
  if (create != NULL) racing.file_create = create;
  if (open != NULL) racing.file_open = open;
  k.s.options.io = &racing;
  k.s.options.workers = 2;
  key_site_reopen(&k);
  put_text(k.t, "d", "4", true);
}

static size_t versions_now(void) {
  nacre_key_status status;
  ok(nacre_table_key_status(k.t, &status));
  size_t count = nacre_key_versions_count(status.versions);
  key_status_free(&status);
  return count;
}

/* A flush has taken the key and makes its file only after the change: the older version waits for it. */
Test(keys_interrupted, a_flush_that_began_before_the_change) {
  pthread_t flusher;
  with_workers(create_late, NULL);
  arm(&files);
  cr_assert_eq(pthread_create(&flusher, NULL, flush, k.t), 0);
  await_reached(&files);
  ok(nacre_table_rotate(k.t)); /* nobody waits */
  put_text(k.t, "e", "5", true);
  cr_assert(holds(k.t, NULL, "a", "1"));
  for (int i = 0; i < 20; i++) {
    usleep(5000);
    cr_assert_eq(versions_now(), 2, "a file is still to come under the first one");
  }
  let_go(&files);
  ok(nacre_table_rewrap_wait(k.t, NULL));
  pthread_join(flusher, NULL);
  cr_assert_eq(key_site_only_version(&k), 2);
  key_site_reopen(&k);
  key_site_check(&k);
  cr_assert(holds(k.t, NULL, "d", "4") && holds(k.t, NULL, "e", "5"));
}

/* A change asks the KMS while the one before it comes to the point where its older version would retire. */
Test(keys_interrupted, a_change_while_the_one_before_it_ends) {
  pthread_t changer;
  with_workers(NULL, rewrap_late);
  arm(&files);
  ok(nacre_table_rotate(k.t));
  await_reached(&files); /* the rewrapper is at its first segment */
  arm(&service);
  k.kms.on_wrap = wrap_late;
  cr_assert_eq(pthread_create(&changer, NULL, rotate, k.t), 0);
  await_reached(&service);
  let_go(&files);
  usleep(100000); /* it goes on, as far as it may */
  put_text(k.t, "e", "5", true);
  cr_assert(holds(k.t, NULL, "a", "1"));
  let_go(&service);
  pthread_join(changer, NULL);
  ok(nacre_table_rewrap_wait(k.t, NULL));
  cr_assert_eq(key_site_only_version(&k), 3);
  key_site_reopen(&k);
  key_site_check(&k);
}

/* Closed while a file is being rewrapped: it ends after that one, and the next open goes on. */
Test(keys_interrupted, a_table_that_is_closed_in_the_midst_of_a_change) {
  with_workers(NULL, rewrap_late);
  arm(&files);
  ok(nacre_table_rotate(k.t));
  await_reached(&files);
  pthread_t closer;
  cr_assert_eq(pthread_create(&closer, NULL, rotate, k.t), 0); /* and another change meanwhile */
  pthread_join(closer, NULL);
  let_go(&files);
  key_site_close(&k);
  key_site_reopen(&k);
  key_site_check(&k);
  ok(nacre_table_rewrap_wait(k.t, NULL));
  cr_assert_eq(key_site_only_version(&k), 3);
  key_site_check(&k);
}

static void *let_go_late(void *arg) {
  usleep(100000);
  let_go(arg);
  return NULL;
}

/* The newest segment of the table. */
static void last_segment(char path[PATH_BYTES]) {
  char name[64] = "";
  DIR *dir = opendir(k.table_path);
  cr_assert_not_null(dir);
  for (struct dirent *e; (e = readdir(dir)) != NULL;) {
    if (is_segment(e->d_name) && strcmp(e->d_name, name) > 0) memcpy(name, e->d_name, strlen(e->d_name) + 1);
  }
  closedir(dir);
  join(path, k.table_path, name);
}

/* A file was missing when the rewrapper listed the directory, and has been put back since: whoever waits then is
 * not told of what that try found. */
Test(keys_interrupted, a_wait_does_not_answer_with_what_has_been_put_right) {
  char segment[PATH_BYTES], aside[PATH_BYTES];
  pthread_t helper;
  with_workers(NULL, rewrap_late);
  last_segment(segment);
  join(aside, k.s.path, "aside");
  arm(&files);
  cr_assert_eq(rename(segment, aside), 0);
  ok(nacre_table_rotate(k.t));
  await_reached(&files);
  cr_assert_eq(rename(aside, segment), 0);
  cr_assert_eq(pthread_create(&helper, NULL, let_go_late, &files), 0);
  ok(nacre_table_rewrap_wait(k.t, NULL));
  pthread_join(helper, NULL);
  cr_assert_eq(key_site_only_version(&k), 2);
  key_site_check(&k);
}
