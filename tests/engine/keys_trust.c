/* SPDX-License-Identifier: Apache-2.0
 *
 * Table keys against what becomes of files: damage, loss, older copies put back, copies elsewhere; and whom a
 * store asks for its keys, of several tables under several keys.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "crc32c.h"
#include "key_site.h"
#include "store.h"

static key_site k;

static void setup(void) { key_site_make(&k); }
static void teardown(void) { key_site_remove(&k); }
TestSuite(keys_trust, .init = setup, .fini = teardown);

static const char *name_in(const char *path) { return strrchr(path, '/') + 1; }

static void told_of(const char *path) {
  nacre_error err;
  nacre_last_error(&err);
  cr_assert(strstr(err.file, name_in(path)) != NULL, "%s, not %s", err.file, name_in(path));
}

static size_t versions_held(void) {
  nacre_key_status status;
  ok(nacre_table_key_status(k.t, &status));
  size_t count = nacre_key_versions_count(status.versions);
  key_status_free(&status);
  return count;
}

/* ---- files that stand in the way ----------------------------------------------------------------------- */

static void hide(const char *path, char away[PATH_BYTES]) {
  join(away, k.s.path, "away");
  cr_assert_eq(rename(path, away), 0);
}

Test(keys_trust, a_missing_file_keeps_the_older_version) { /* [W6] */
  char path[PATH_BYTES], away[PATH_BYTES];
  put_text(k.t, "d", "4", true); /* this open has removed its orphans */
  first_file(k.table_path, ".seg", path);
  hide(path, away);
  key_site_set(&k, 1, 1);
  cr_assert_eq(key_site_count(&k, NACRE_EVENT_BACKGROUND_ERROR), 1);
  cr_assert_eq(key_site_find(&k, NACRE_EVENT_BACKGROUND_ERROR, NULL)->error_id, NC_E_REWRAP_MISSING);
  for (int i = 0; i < 2; i++) {
    fails(nacre_table_rewrap_wait(k.t, NULL), NC_E_REWRAP_MISSING);
    told_of(path);
  }
  cr_assert_eq(versions_held(), 2);
  cr_assert(holds(k.t, NULL, "c", "3") && holds(k.t, NULL, "d", "4"), "the rest answers");
  put_text(k.t, "e", "5", true);
  cr_assert_eq(rename(away, path), 0);
  ok(nacre_table_rewrap_wait(k.t, NULL));
  cr_assert_eq(key_site_only_version(&k), 2);
  cr_assert_eq(key_site_count(&k, NACRE_EVENT_HEALED), 1);
  key_site_check(&k);
}

/* The same, and the process ends in between: the next one takes it up by itself, when the table is opened. */
Test(keys_trust, a_damaged_file_keeps_the_older_version_across_opens) {
  char path[PATH_BYTES];
  first_file(k.table_path, ".seg", path);
  file_flip(path, 140);
  file_flip(path, 4096 + 140);
  key_site_set(&k, 1, 1);
  fails(nacre_table_rewrap_wait(k.t, NULL), NC_E_HEADER_CRC);
  told_of(path);
  key_site_reopen(&k);
  cr_assert_eq(versions_held(), 2);
  fails(nacre_table_rewrap_wait(k.t, NULL), NC_E_HEADER_CRC);
  key_site_close(&k);
  file_flip(path, 140);
  file_flip(path, 4096 + 140);
  key_site_forget(&k);
  key_site_reopen(&k);
  cr_assert_eq(key_site_only_version(&k), 2);
  cr_assert_not_null(key_site_find(&k, NACRE_EVENT_KEY_RETIRED, "fake:0"));
  key_site_check(&k);
}

/* One slot of the two is enough; the other is written anew, also where the key is the right one. */
Test(keys_trust, a_damaged_slot_is_healed) {
  char path[PATH_BYTES];
  nacre_rewrap_report report;
  first_file(k.table_path, ".seg", path);
  file_flip(path, 4096 + 300);
  ok(nacre_table_rotate(k.t));
  ok(nacre_table_rewrap_wait(k.t, &report));
  nacre_retirements_free(report.retirements);
  cr_assert_geq(report.rewrapped, 2);
  cr_assert_eq(key_site_only_version(&k), 2);
  key_site_check(&k);
}

Test(keys_trust, a_file_of_two_names_is_copied) {
  char path[PATH_BYTES], backup[PATH_BYTES];
  nacre_rewrap_report report;
  size_t size, now;
  first_file(k.table_path, ".seg", path);
  join(backup, k.s.path, "backup");
  cr_assert_eq(link(path, backup), 0);
  uint8_t *before = file_load(backup, &size);
  ok(nacre_table_rotate(k.t));
  ok(nacre_table_rewrap_wait(k.t, &report));
  nacre_retirements_free(report.retirements);
  cr_assert(report.copied == 1 && report.copied_bytes == size);
  uint8_t *after = file_load(backup, &now);
  cr_assert(now == size && memcmp(before, after, size) == 0, "the snapshot is as it was");
  free(before);
  free(after);
  cr_assert_eq(key_site_only_version(&k), 2);
  key_site_reopen(&k);
  key_site_check(&k);
}

/* The same for all of them, the log and the manifest that are being written included: what is written
 * afterwards is not written to the copies' originals. */
Test(keys_trust, files_that_are_being_written_have_two_names) {
  char path[PATH_BYTES], backup[PATH_BYTES];
  static const char *const kinds[] = {".seg", ".log", ".man"};
  put_text(k.t, "d", "4", true);
  ok(nacre_flush(k.t));
  put_text(k.t, "e", "5", true);
  for (size_t i = 0; i < 3; i++) {
    first_file(k.table_path, kinds[i], path);
    join(backup, k.s.path, kinds[i] + 1);
    cr_assert_eq(link(path, backup), 0);
  }
  ok(nacre_table_rotate(k.t));
  put_text(k.t, "f", "6", true); /* to the log */
  cr_assert(count_files(k.table_path, ".log") >= 2);
  cr_assert_eq(key_site_only_version(&k), 2);
  char copy[PATH_BYTES], there[PATH_BYTES];
  join(copy, k.s.path, "copy"); /* as when the power goes here */
  tree_copy(k.s.store, copy);
  ok(nacre_flush(k.t)); /* to the manifest */
  put_text(k.t, "g", "7", true);
  key_site_reopen(&k);
  cr_assert(holds(k.t, NULL, "e", "5") && holds(k.t, NULL, "g", "7"));
  key_site_check(&k);
  key_site_close(&k);
  memcpy(there, k.s.store, sizeof there);
  memcpy(k.s.store, copy, sizeof copy);
  key_site_reopen(&k);
  cr_assert(holds(k.t, NULL, "d", "4") && holds(k.t, NULL, "e", "5") && holds(k.t, NULL, "f", "6"));
  key_site_close(&k);
  memcpy(k.s.store, there, sizeof there);
}

/* What nothing names may be there and sound, or be noise: neither keeps a key alive that the other needs. */
Test(keys_trust, unnamed_files_are_rewrapped_or_passed_over) {
  char segment[PATH_BYTES], orphan[PATH_BYTES], noise[PATH_BYTES];
  uint8_t junk[9000];
  put_text(k.t, "d", "4", true); /* orphans of earlier opens have been removed */
  first_file(k.table_path, ".seg", segment);
  join(orphan, k.table_path, "00000000000000000900.seg");
  join(noise, k.table_path, "00000000000000000901.log");
  file_copy(segment, orphan);
  memset(junk, 0x5A, sizeof junk);
  file_store(noise, junk, sizeof junk);
  ok(nacre_table_rotate(k.t));
  ok(nacre_table_rewrap_wait(k.t, NULL));
  nacre_key_status status;
  ok(nacre_table_key_status(k.t, &status));
  cr_assert_eq(nacre_key_versions_count(status.versions), 1);
  cr_assert_eq(status.files, sealed_files(k.table_path) - 1, "what has no header is under no key");
  cr_assert_eq(files_under(k.table_path, nacre_key_versions_at(status.versions, 0)->kek_id), status.files);
  key_status_free(&status);
  size_t size;
  uint8_t *bytes = file_load(noise, &size);
  cr_assert(size == sizeof junk && memcmp(bytes, junk, size) == 0);
  free(bytes);
}

/* Another table's file in the place of a named one is not written to. */
Test(keys_trust, a_foreign_file_in_a_named_ones_place_is_left_alone) {
  char path[PATH_BYTES], away[PATH_BYTES];
  put_text(k.t, "d", "4", true);
  ok(nacre_flush(k.t));
  first_file(k.table_path, ".seg", path);
  hide(path, away);
  char other[PATH_BYTES];
  join(other, k.table_path, "00000000000000000009.seg");
  first_file(k.table_path, ".seg", other); /* another segment of this table: authentic, and the wrong one */
  file_copy(other, path);
  size_t size, now;
  uint8_t *before = file_load(path, &size);
  key_site_set(&k, 1, 1);
  fails(nacre_table_rewrap_wait(k.t, NULL), NC_E_FILE_IDENTITY);
  told_of(path);
  uint8_t *after = file_load(path, &now);
  cr_assert(now == size && memcmp(before, after, size) == 0);
  free(before);
  free(after);
  cr_assert_eq(rename(away, path), 0);
  ok(nacre_table_rewrap_wait(k.t, NULL));
  key_site_only_version(&k);
}

/* ---- older copies put back ----------------------------------------------------------------------------- */

static char old_copy[PATH_BYTES];

/* A change from one key to another, with a copy of the table's directory from before. */
static void change_with_copy(void) {
  ok(nacre_flush(k.t));
  key_site_close(&k);
  join(old_copy, k.s.path, "old");
  tree_copy(k.table_path, old_copy);
  key_site_reopen(&k);
  key_site_set(&k, 1, 1);
  key_site_only_version(&k);
  key_site_close(&k);
}

static void put_back(const char *name) {
  char from[PATH_BYTES], to[PATH_BYTES];
  join(from, old_copy, name);
  join(to, k.table_path, name);
  file_copy(from, to);
}

static void open_fails(uint32_t id) {
  k.store = site_open(&k.s);
  fails(nacre_table_open(k.store, "table", NULL, &k.t), id);
  k.t = NULL;
  key_site_close(&k);
}

Test(keys_trust, an_older_copy_of_a_segment) {
  char path[PATH_BYTES];
  change_with_copy();
  first_file(k.table_path, ".seg", path);
  put_back(name_in(path));
  key_site_reopen(&k);
  nacre_value value;
  fails(nacre_get(k.t, text("a"), NULL, &value), NC_E_KEK_RETIRED);
  told_of(path);
  nacre_verify_report report;
  cr_assert_eq(nacre_verify(k.t, NULL, &report), NACRE_ROLLED_BACK);
  cr_assert_eq(nacre_faults_at(report.faults, 0)->id, NC_E_KEK_RETIRED);
  nacre_faults_free(report.faults);
}

Test(keys_trust, an_older_copy_of_current) {
  change_with_copy();
  put_back("CURRENT");
  open_fails(NC_E_KEK_RETIRED); /* [C7] */
}

/* All of the directory but the key file, which is the only thing that the catalogue knows. */
Test(keys_trust, an_older_copy_of_everything_but_the_keys) {
  char a[PATH_BYTES], b[PATH_BYTES], at[PATH_BYTES];
  change_with_copy();
  join(a, k.table_path, "KEYS.a");
  join(b, old_copy, "KEYS.a");
  file_copy(a, b);
  join(b, old_copy, "KEYS.b");
  file_copy(a, b);
  join(at, k.s.path, "newer");
  cr_assert(rename(k.table_path, at) == 0 && rename(old_copy, k.table_path) == 0);
  open_fails(NC_E_KEK_RETIRED);
}

Test(keys_trust, an_older_copy_of_the_keys) {
  change_with_copy();
  put_back("KEYS.a"); /* one alone: the other is newer */
  key_site_reopen(&k);
  key_site_check(&k);
  key_site_close(&k);
}

Test(keys_trust, older_copies_of_both_key_files) {
  change_with_copy();
  put_back("KEYS.a");
  put_back("KEYS.b");
  open_fails(NC_E_KEY_FILE_ROLLED_BACK);
  char at[PATH_BYTES];
  join(at, k.s.path, "newer");
  cr_assert(rename(k.table_path, at) == 0 && rename(old_copy, k.table_path) == 0);
  open_fails(NC_E_KEY_FILE_ROLLED_BACK); /* and the whole directory */
}

/* The key file of the midst of a change still holds the older version: it must not come back after it
 * retired. */
Test(keys_trust, key_files_of_a_change_that_has_come_to_its_end) {
  char segment[PATH_BYTES], away[PATH_BYTES], copy[PATH_BYTES], path[PATH_BYTES];
  put_text(k.t, "d", "4", true);
  first_file(k.table_path, ".seg", segment);
  hide(segment, away);
  key_site_set(&k, 1, 1);
  join(path, k.table_path, "KEYS.a");
  join(copy, k.s.path, "keys");
  file_copy(path, copy);
  cr_assert_eq(rename(away, segment), 0);
  ok(nacre_table_rewrap_wait(k.t, NULL));
  key_site_only_version(&k);
  key_site_close(&k);
  file_copy(copy, path);
  join(path, k.table_path, "KEYS.b");
  file_copy(copy, path);
  open_fails(NC_E_KEY_FILE_ROLLED_BACK);
}

/* The catalogue has nobody above it; its own CURRENT knows which keys it must have. */
Test(keys_trust, older_copies_of_the_catalogues_key_files) { /* [C8] */
  char copy[PATH_BYTES], from[PATH_BYTES], to[PATH_BYTES];
  key_site_close(&k);
  join(copy, k.s.path, "old");
  tree_copy(k.catalogue_path, copy);
  key_site_reopen(&k);
  ok(nacre_store_set_key(k.store, fake_spec(1)));
  key_site_close(&k);
  static const char *const names[] = {"KEYS.a", "KEYS.b"};
  for (size_t i = 0; i < 2; i++) {
    join(from, copy, names[i]);
    join(to, k.catalogue_path, names[i]);
    file_copy(from, to);
  }
  fails(nacre_open(k.s.store, &k.s.options, &k.store), NC_E_KEY_FILE_ROLLED_BACK);
}

/* ---- who is asked -------------------------------------------------------------------------------------- */

Test(keys_trust, an_open_asks_once_for_each_version_however_many_files_there_are) {
  char key[16];
  key_site_close(&k);
  fake_forget(&k.kms);
  k.store = site_open(&k.s);
  cr_assert_eq(fake_calls(&k.kms), 1, "the catalogue's own");
  ok(nacre_table_open(k.store, "table", NULL, &k.t));
  cr_assert_eq(fake_calls(&k.kms), 2, "and the table's");
  cr_assert_leq(sealed_files(k.table_path), 5);
  for (int i = 0; i < 21; i++) {
    snprintf(key, sizeof key, "n%02d", i);
    pthread_mutex_lock(&k.t->merge_lock); /* else they are merged into one */
    put_text(k.t, key, "x", false);
    pthread_mutex_unlock(&k.t->merge_lock);
    ok(nacre_flush(k.t));
  }
  for (int i = 0; i < 300; i++) { /* and files that nobody names */
    char from[PATH_BYTES], to[PATH_BYTES], name[32];
    first_file(k.table_path, ".seg", from);
    snprintf(name, sizeof name, "%020d.seg", 1000 + i);
    join(to, k.table_path, name);
    file_copy(from, to);
  }
  key_site_close(&k);
  cr_assert_geq(sealed_files(k.table_path), 300);
  fake_forget(&k.kms);
  key_site_reopen(&k);
  key_site_check(&k);
  cr_assert_eq(fake_calls(&k.kms), 2);
  ok(nacre_put(k.t, text("z"), text("z"), NULL));
  ok(nacre_flush(k.t));
  cr_assert_eq(fake_calls(&k.kms), 2, "reading and writing asks nobody");
  fake_forget(&k.kms);
  ok(nacre_table_rotate(k.t));
  cr_assert_eq(fake_calls(&k.kms), 4, "two wraps, each proved");
  key_site_reopen(&k);
  cr_assert_eq(fake_calls(&k.kms), 6);
}

/* Strings of a key file are nobody's word: who is asked is in the catalogue, or the caller's. [K7] */
Test(keys_trust, a_uri_that_a_key_file_names_is_not_contacted) {
  static const char *const names[] = {"KEYS.a", "KEYS.b"};
  key_site_close(&k);
  for (size_t i = 0; i < 2; i++) {
    char path[PATH_BYTES];
    size_t size, at = 0;
    join(path, k.table_path, names[i]);
    uint8_t *bytes = file_load(path, &size);
    while (memcmp(bytes + at, "fake:0", 6) != 0) at++;
    bytes[at + 5] = '7';
    nc_put_u32(bytes + size - 4, nc_crc32c(0, bytes, size - 4));
    file_store(path, bytes, size);
    free(bytes);
  }
  fake_forget(&k.kms);
  open_fails(NC_E_KEY_FILE_MAC); /* the wrap still opens, under the key that the catalogue names */
  cr_assert_eq(atomic_load(&k.kms.keys[7].unwraps), 0);
  cr_assert_eq(atomic_load(&k.kms.strangers), 0);
}

Test(keys_trust, keys_that_are_not_needed_any_more_are_not_asked) {
  key_site_set(&k, 1, 1);
  key_site_only_version(&k);
  fake_forget(&k.kms);
  key_site_reopen(&k);
  cr_assert_eq(atomic_load(&k.kms.keys[0].unwraps), 1, "for the catalogue");
  cr_assert_eq(atomic_load(&k.kms.keys[1].unwraps), 1);
  cr_assert_eq(fake_calls(&k.kms), 2);
}

/* ---- several tables ------------------------------------------------------------------------------------ */

static nacre_table *make_under(const char *name, unsigned key) {
  nacre_key_spec spec = fake_spec(key);
  nacre_table_options options = {.keys = &spec, .key_count = 1};
  nacre_table *t;
  ok(nacre_table_create(k.store, name, &options, &t));
  put_text(t, "k", name, true);
  ok(nacre_flush(t));
  return t;
}

Test(keys_trust, a_table_whose_key_is_gone_does_not_hinder_the_others) {
  nacre_table *left, *right, *lost = NULL;
  ok(nacre_table_close(make_under("left", 1)));
  ok(nacre_table_close(make_under("lost", 2)));
  ok(nacre_table_close(make_under("right", 3)));
  static const struct {
    nacre_status status;
    uint32_t id;
  } ways[] = {{NACRE_KEY_MISSING, NC_E_KMS_KEY_MISSING},
              {NACRE_KEY_DENIED, NC_E_KMS_DENIED},
              {NACRE_KEY_UNREACHABLE, NC_E_KMS_PROVIDER}};
  for (size_t i = 0; i < 3; i++) {
    nacre_table_infos *infos;
    nacre_error err;
    k.kms.keys[2].unwrap_status = k.kms.keys[2].wrap_status = ways[i].status;
    key_site_reopen(&k);
    fails(nacre_table_open(k.store, "lost", NULL, &lost), ways[i].id);
    nacre_last_error(&err);
    cr_assert(strstr(err.text, "fake:2") != NULL, "which key: %s", err.text);
    cr_assert(strstr(err.file, "KEYS.") != NULL, "where: %s", err.file);
    cr_assert(strstr(err.text, nc_error_info_of(ways[i].id)->remedy) != NULL, "what to do: %s", err.text);
    ok(nacre_table_open(k.store, "left", NULL, &left));
    ok(nacre_table_open(k.store, "right", NULL, &right));
    cr_assert(holds(left, NULL, "k", "left") && holds(right, NULL, "k", "right"));
    put_text(left, "more", "1", true);
    ok(nacre_table_rotate(left));
    ok(nacre_table_rewrap_wait(left, NULL));
    nacre_key_spec spec = fake_spec(4 + (unsigned)i);
    ok(nacre_table_set_key(right, &spec, 1));
    ok(nacre_table_rewrap_wait(right, NULL));
    ok(nacre_store_rotate(k.store));
    ok(nacre_table_list(k.store, &infos));
    cr_assert_eq(nacre_table_infos_count(infos), 4, "it is listed all the same");
    nacre_table_infos_free(infos);
    ok(nacre_table_close(left));
    ok(nacre_table_close(right));
    key_site_check(&k);
  }
  k.kms.keys[2].unwrap_status = NACRE_OK;
  ok(nacre_table_open(k.store, "lost", NULL, &lost));
  cr_assert(holds(lost, NULL, "k", "lost"), "and is there again when its key is");
  ok(nacre_table_close(lost));
}

/* Its key goes while it is open: what is open goes on, and a change of keys says why it cannot be. */
Test(keys_trust, a_key_that_goes_while_its_table_is_open) {
  key_site_set(&k, 1, 1);
  k.kms.keys[1].unwrap_status = k.kms.keys[1].wrap_status = NACRE_KEY_DENIED;
  put_text(k.t, "d", "4", true);
  ok(nacre_flush(k.t));
  key_site_check(&k);
  fails(nacre_table_rotate(k.t), NC_E_KMS_DENIED);
  key_site_set(&k, 2, 1); /* away from it */
  cr_assert_not_null(key_site_find(&k, NACRE_EVENT_KEY_RETIRED, "fake:1"));
  key_site_reopen(&k);
  key_site_check(&k);
}

Test(keys_trust, a_dropped_table_may_be_without_its_key) {
  ok(nacre_table_close(make_under("lost", 2)));
  k.kms.keys[2].unwrap_status = NACRE_KEY_MISSING;
  ok(nacre_table_drop(k.store, "lost"));
  key_site_reopen(&k);
  key_site_check(&k);
}

/* A keyring that has been moved is asked where the caller says that it is. Nobody makes another one in its
 * old place, for that would be the table's key from then on. */
Test(keys_trust, a_keyring_that_has_been_moved) {
  char moved[PATH_BYTES], moved_uri[PATH_BYTES + 8];
  const char *old_path = k.s.uri + strlen("local:");
  nacre_key_spec here = {.uri = k.s.uri}, there = {.uri = moved_uri};
  join(moved, k.s.path, "moved-keyring");
  snprintf(moved_uri, sizeof moved_uri, "local:%s", moved);
  ok(nacre_table_set_key(k.t, &here, 1));
  ok(nacre_store_set_key(k.store, here));
  key_site_close(&k);
  cr_assert_eq(rename(old_path, moved), 0);
  k.s.options.default_key = there;
  key_site_reopen(&k);
  key_site_check(&k);
  fails(nacre_table_rotate(k.t), NC_E_KEYRING_MISSING);
  cr_assert(!file_is_there(old_path));
  ok(nacre_store_rotate(k.store)); /* its key is the caller's word */
  ok(nacre_table_set_key(k.t, &there, 1));
  ok(nacre_table_rewrap_wait(k.t, NULL));
  cr_assert_not_null(key_site_find(&k, NACRE_EVENT_KEY_RETIRED, k.s.uri));
  ok(nacre_table_rotate(k.t));
  cr_assert(!file_is_there(old_path));
  key_site_reopen(&k);
  key_site_check(&k);
}
