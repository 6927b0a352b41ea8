/* SPDX-License-Identifier: Apache-2.0
 *
 * A change of keys that is interrupted: at every operation of the disk; between its two commits, with the new key in
 * reach or not; while somebody opens a file.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "key_site.h"
#include "store.h"

static key_site k;

static void setup(void) { key_site_make(&k); }
static void teardown(void) { key_site_remove(&k); }
TestSuite(keys_interrupted, .init = setup, .fini = teardown);

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
Test(keys_interrupted, at_every_operation_of_the_disk) {
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

/* The same for the key of the catalogue: it opens with one of the two keys at least, and in the end with one. */
Test(keys_interrupted, at_every_operation_for_the_stores_key) {
  uint64_t operations = 0;
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
      nacre_store *store = NULL;
      bool old_opens = nacre_open(k.s.store, &k.s.options, &store) == NACRE_OK;
      if (old_opens) ok(nacre_close(store));
      k.s.options.default_key = fake_spec(1);
      bool new_opens = nacre_open(k.s.store, &k.s.options, &store) == NACRE_OK;
      if (new_opens) ok(nacre_close(store));
      cr_assert(old_opens || new_opens, "operation %llu", (unsigned long long)at);
      cr_assert(status != NACRE_OK || (new_opens && !old_opens), "operation %llu", (unsigned long long)at);
      k.s.options.default_key = fake_spec(new_opens ? 1 : 0);
      key_site_reopen(&k);
      key_site_check(&k);
      k.s.options.default_key = fake_spec(0);
      key_site_close(&k);
      if (!reached) break;
      operations++;
    }
  }
  cr_assert_gt(operations, 40);
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
  cr_assert(nacre_key_versions_at(status.versions, 0)->active && !nacre_key_versions_at(status.versions, 1)->active);
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
Test(keys_interrupted, another_change_after_one_that_failed) {
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

/* Between the moment in which a reader takes the keys and the moment in which it reads the header, the table key
 * changes and every file is rewrapped. */
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
