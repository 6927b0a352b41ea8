/* SPDX-License-Identifier: Apache-2.0
 *
 * The keyring under a passphrase: what opens it, what is refused and as what, and what its owner does with
 * it.
 *
 * Guesses are cheap here (N = 16), but for the tests of the public functions, which take the real cost.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crc32c.h"
#include "kms/keyring_file.h"
#include "last_error.h"
#include "support.h"

static const nc_scrypt_cost cheap = {.log2_n = 4, .r = 1, .p = 1};
static const uint8_t kek[32] = {1, 2, 3, 4};
static const nc_kms_purpose purpose = {.table = {{1}}, .kek_id = {{2}}, .kek_version = 3};

/* Whom the keyring's reader asks, and what was asked. */
typedef struct answers {
  const char *old, *new;
  size_t new_size; /* 0: all of `new` */
  nacre_status status;
  int asked_old, asked_new;
  char path[200];
} answers;

static nacre_error err;
static fixture f;
static answers told;
static uint8_t wrapped[NACRE_KMS_WRAPPED_BYTES_MAX];
static size_t wrapped_size;

static nacre_status answer(void *arg, const char *keyring, bool confirm, char *buffer, size_t capacity,
                           size_t *ret_size) {
  answers *a = arg;
  const char *text = confirm ? a->new : a->old;
  *(confirm ? &a->asked_new : &a->asked_old) += 1;
  snprintf(a->path, sizeof a->path, "%s", keyring);
  if (a->status != NACRE_OK) return a->status;
  size_t size = text == NULL ? 0 : strlen(text);
  cr_assert_leq(size, capacity);
  memcpy(buffer, text == NULL ? "" : text, size);
  *ret_size = confirm && a->new_size != 0 ? a->new_size : size;
  return NACRE_OK;
}

static void ask_here(void) {
  nc_passphrases_source(f.env, answer, &told);
  nc_passphrases_cost(f.env, cheap);
}

static void setup(void) {
  fixture_open(&f);
  told = (answers){.old = "open sesame", .new = "open sesame"};
  ask_here();
}
static void teardown(void) { fixture_close(&f); }
TestSuite(keyring, .init = setup, .fini = teardown);

/* As another store sees it: nothing is remembered. */
static void forget(void) {
  nc_dir_close(&f.dir);
  nc_env_destroy(f.env);
  must(nc_env_create(&f.faults.io, &f.env, &err));
  must(nc_dir_open(f.env, f.path, false, &f.dir, &err));
  f.kms.env = f.env;
  told.asked_old = told.asked_new = 0;
  ask_here();
}

static nacre_status wrap(bool may_create) {
  return nc_kms_wrap(&f.kms, &f.spec, &purpose, may_create, kek, wrapped, sizeof wrapped, &wrapped_size,
                     &err);
}
static nacre_status unwrap(void) {
  uint8_t back[32];
  nacre_status status = nc_kms_unwrap(&f.kms, &f.spec, &purpose, nc_slice(wrapped, wrapped_size), back, &err);
  if (status == NACRE_OK) cr_assert_eq(memcmp(back, kek, 32), 0);
  return status;
}

typedef struct ring_file {
  uint8_t bytes[NC_KEYRING_BYTES_MAX];
  size_t size;
} ring_file;
static ring_file ring_read(void) {
  ring_file r = {0};
  uint8_t *bytes = file_bytes(&f, "home/keyring", &r.size);
  memcpy(r.bytes, bytes, r.size);
  free(bytes);
  return r;
}
static void ring_write(ring_file *r) { /* with a good checksum */
  nc_put_u32(r->bytes + r->size - 4, nc_crc32c(0, r->bytes, r->size - 4));
  file_replace(&f, "home/keyring", r->bytes, r->size);
}
static bool is_protected(void) {
  nc_keyring_parts parts;
  ring_file r = ring_read();
  must(nc_keyring_parse(nc_slice(r.bytes, r.size), &parts, &err));
  return parts.protection == NC_KEYRING_SCRYPT;
}

/* ---- opening ------------------------------------------------------------------------------------------- */

Test(keyring, is_made_under_the_passphrase_that_is_given) {
  must(wrap(true));
  must(unwrap());
  cr_assert(is_protected());
  cr_assert(told.asked_new == 1 && told.asked_old == 0, "what was sealed here is remembered");
  cr_assert_str_eq(told.path, f.keyring);
}

Test(keyring, is_made_without_one_where_none_is_wanted) {
  told.new = "";
  must(wrap(true));
  must(unwrap());
  cr_assert(!is_protected());
  cr_assert(told.asked_new == 1 && told.asked_old == 0);
}

Test(keyring, is_not_made_when_asking_fails) {
  told.status = NACRE_BUSY;
  must_fail(wrap(true), NC_E_PASSPHRASE_MISSING);
  cr_assert_neq(access(f.keyring, F_OK), 0);
  told = (answers){.new = "x", .new_size = NC_PASSPHRASE_BYTES_MAX + 1};
  must_fail(wrap(true), NC_E_PASSPHRASE_SIZE);
  cr_assert_neq(access(f.keyring, F_OK), 0);
}

Test(keyring, asks_once_for_as_long_as_a_store_is_open) {
  must(wrap(true));
  forget();
  for (int i = 0; i < 5; i++) must(unwrap());
  must(wrap(false));
  must(wrap(true));
  cr_assert(told.asked_old == 1 && told.asked_new == 0);
}

Test(keyring, tells_a_wrong_passphrase_from_damage) { /* [R6] */
  static const char *const wrong[] = {"open sesamd", "open sesam", "open sesame ", "Open sesame"};
  must(wrap(true));
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    forget();
    told.old = wrong[i];
    must_fail(unwrap(), NC_E_PASSPHRASE_WRONG);
    must_fail(wrap(false), NC_E_PASSPHRASE_WRONG);
    must_fail(wrap(true), NC_E_PASSPHRASE_WRONG);
    cr_assert_eq(told.asked_old, 3, "what failed is not remembered");
  }
  told.old = "";
  must_fail(unwrap(), NC_E_PASSPHRASE_SIZE);
  told.status = NACRE_NOT_FOUND;
  must_fail(unwrap(), NC_E_PASSPHRASE_MISSING);
  told = (answers){.old = "open sesame"};
  must(unwrap());
}

Test(keyring, a_passphrase_may_hold_any_bytes_up_to_the_limit) {
  static char longest[NC_PASSPHRASE_BYTES_MAX + 1];
  memset(longest, 0xFE, NC_PASSPHRASE_BYTES_MAX);
  told.old = told.new = longest;
  must(wrap(true));
  forget();
  must(unwrap());
  forget();
  longest[NC_PASSPHRASE_BYTES_MAX - 1] = 0x7E;
  must_fail(unwrap(), NC_E_PASSPHRASE_WRONG);
}

Test(keyring, refuses_every_flipped_bit) {
  must(wrap(true));
  ring_file good = ring_read();
  for (size_t bit = 0; bit < good.size * 8; bit++) {
    ring_file r = good;
    r.bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    file_replace(&f, "home/keyring", r.bytes, r.size);
    nacre_status status = unwrap();
    cr_assert(status == NACRE_CORRUPT, "bit %zu: %s", bit, nacre_status_name(status));
  }
}

/* A forger mends the checksum. Passphrases that were tried are not remembered here, so each is derived
 * anew. */
Test(keyring, refuses_every_flipped_bit_under_a_good_checksum) { /* [R7] */
  must(wrap(true));
  ring_file good = ring_read();
  for (size_t bit = 0; bit < (good.size - 4) * 8; bit++) {
    ring_file r = good;
    size_t at = bit / 8;
    r.bytes[at] ^= (uint8_t)(1u << (bit % 8));
    ring_write(&r);
    if (bit % 64 == 0) forget(); /* once in a while; else the remembered key meets the change */
    nacre_status status = unwrap();
    cr_assert_neq(status, NACRE_OK, "bit %zu", bit);
    if (at >= 20 && at < 52) cr_assert_eq(err.id, NC_E_PASSPHRASE_WRONG, "bit %zu: %s", bit, err.text);
    if (at >= 84) cr_assert_eq(err.id, NC_E_KEYRING_TAG, "bit %zu: %s", bit, err.text);
  }
  ring_write(&good);
  must(unwrap());
}

Test(keyring, refuses_an_absurd_cost_before_it_asks) { /* [R5] */
  static const uint8_t absurd[][3] = {{22, 32, 16}, {23, 8, 1}, {20, 8, 255},
                                      {63, 1, 1},   {0, 0, 0},  {255, 255, 255}};
  must(wrap(true));
  ring_file good = ring_read();
  forget();
  for (size_t i = 0; i < sizeof absurd / sizeof absurd[0]; i++) {
    ring_file r = good;
    memcpy(r.bytes + 16, absurd[i], 3);
    ring_write(&r);
    must_fail(unwrap(), NC_E_KEYRING_COST);
    must_fail(wrap(true), NC_E_KEYRING_COST);
  }
  cr_assert_eq(told.asked_old + told.asked_new, 0);
}

Test(keyring, a_longer_file_is_seen_to_be_one) {
  uint8_t bytes[NC_KEYRING_BYTES_MAX + 100] = {0};
  must(wrap(true));
  ring_file r = ring_read();
  memcpy(bytes, r.bytes, r.size);
  file_replace(&f, "home/keyring", bytes, sizeof bytes);
  must_fail(unwrap(), NC_E_KEYRING_CRC);
}

Test(keyring, sees_a_keyring_that_was_changed_meanwhile) {
  must(wrap(true));
  ring_file first = ring_read();
  forget();
  must(unwrap());
  told.new = "another";
  cr_assert_eq(unlink(f.keyring), 0);
  uint8_t other[NACRE_KMS_WRAPPED_BYTES_MAX];
  size_t other_size;
  must(nc_kms_wrap(&f.kms, &f.spec, &purpose, true, kek, other, sizeof other, &other_size, &err));
  must_fail(unwrap(), NC_E_KEYRING_NO_KEY);
  ring_write(&first);
  must(unwrap()); /* still remembered: salt and cost are those of the first */
  cr_assert_eq(told.asked_old, 1);
}

/* ---- passphrase files ---------------------------------------------------------------------------------- */

static nacre_status file_passphrase(const char *name, char *buffer, size_t capacity, size_t *ret_size) {
  char path[128];
  file_path(&f, name, path);
  nacre_status status = nacre_passphrase_file(path, buffer, capacity, ret_size);
  nacre_last_error(&err);
  return status;
}

Test(keyring, a_passphrase_file_gives_its_first_line) {
  static const struct {
    const char *content;
    size_t size, line;
  } files[] = {{"one", 3, 3}, {"one\n", 4, 3}, {"one\ntwo\n", 8, 3}, {" o\0e \r\n", 7, 6}, {"one\n\n", 5, 3}};
  char buffer[NC_PASSPHRASE_BYTES_MAX], lengthy[NC_PASSPHRASE_BYTES_MAX + 2];
  size_t size;
  for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
    file_replace(&f, "pass", files[i].content, files[i].size);
    must(file_passphrase("pass", buffer, sizeof buffer, &size));
    cr_assert_eq(size, files[i].line, "%zu", i);
    cr_assert_eq(memcmp(buffer, files[i].content, size), 0);
  }
  memset(lengthy, 'x', sizeof lengthy);
  lengthy[NC_PASSPHRASE_BYTES_MAX] = '\n';
  file_replace(&f, "pass", lengthy, NC_PASSPHRASE_BYTES_MAX + 1);
  must(file_passphrase("pass", buffer, sizeof buffer, &size));
  cr_assert_eq(size, NC_PASSPHRASE_BYTES_MAX);
  must_fail(file_passphrase("pass", buffer, sizeof buffer - 1, &size), NC_E_FRAME_BUFFER);
  lengthy[NC_PASSPHRASE_BYTES_MAX] = 'x';
  file_replace(&f, "pass", lengthy, sizeof lengthy);
  must_fail(file_passphrase("pass", buffer, sizeof buffer, &size), NC_E_PASSPHRASE_SIZE);
  file_replace(&f, "pass", "\nx", 2);
  must_fail(file_passphrase("pass", buffer, sizeof buffer, &size), NC_E_PASSPHRASE_SIZE);
  file_replace(&f, "pass", "", 0);
  must_fail(file_passphrase("pass", buffer, sizeof buffer, &size), NC_E_PASSPHRASE_SIZE);
}

Test(keyring, a_passphrase_file_is_its_owners_alone) { /* [R4] */
  static const mode_t modes[] = {0644, 0640, 0604, 0620, 0601, 0660};
  char buffer[NC_PASSPHRASE_BYTES_MAX], path[128], link_path[128];
  size_t size;
  file_path(&f, "pass", path);
  file_path(&f, "link", link_path);
  must_fail(file_passphrase("pass", buffer, sizeof buffer, &size), NC_E_PASSPHRASE_MISSING);
  file_replace(&f, "pass", "secret", 6);
  for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
    cr_assert_eq(chmod(path, modes[i]), 0);
    must_fail(file_passphrase("pass", buffer, sizeof buffer, &size), NC_E_PASSPHRASE_FILE);
  }
  cr_assert_eq(chmod(path, 0400), 0);
  must(file_passphrase("pass", buffer, sizeof buffer, &size));
  cr_assert_eq(symlink(path, link_path), 0);
  must_fail(file_passphrase("link", buffer, sizeof buffer, &size), NC_E_PASSPHRASE_FILE);
  must_fail(file_passphrase(".", buffer, sizeof buffer, &size), NC_E_PASSPHRASE_FILE);
  cr_assert_eq(unlink(path) | mkfifo(path, 0600), 0);
  must_fail(file_passphrase("pass", buffer, sizeof buffer, &size), NC_E_PASSPHRASE_FILE);
}

Test(keyring, the_environment_names_a_passphrase_file) {
  char path[128];
  file_path(&f, "pass", path);
  nc_passphrases_source(f.env, NULL, NULL);
  setenv("NACRE_PASSPHRASE_FILE", path, 1);
  must_fail(wrap(true), NC_E_PASSPHRASE_MISSING); /* named and not there: not made without one */
  cr_assert_neq(access(f.keyring, F_OK), 0);
  file_replace(&f, "pass", "from a file\n", 12);
  must(wrap(true));
  cr_assert(is_protected());
  forget();
  nc_passphrases_source(f.env, NULL, NULL);
  must(unwrap());
  forget();
  told.old = "from a file";
  must(unwrap());
  cr_assert_eq(told.asked_old, 1, "whom the application names is asked first");
  forget();
  nc_passphrases_source(f.env, NULL, NULL);
  unsetenv("NACRE_PASSPHRASE_FILE");
  must_fail(unwrap(), NC_E_PASSPHRASE_MISSING);
  setenv("NACRE_PASSPHRASE_FILE", "", 1);
  must_fail(unwrap(), NC_E_PASSPHRASE_MISSING);
}

/* ---- changing ------------------------------------------------------------------------------------------ */

/* The public functions name the thread's error. */
static nacre_status named(nacre_status status) {
  nacre_last_error(&err);
  return status;
}

static nacre_status keep(nc_env *env, nc_keyring_work *work, void *arg, nacre_error *e) {
  (void)env, (void)work, (void)arg, (void)e;
  return NACRE_OK;
}

Test(keyring, every_rewrite_takes_a_fresh_salt) {
  must(wrap(true));
  ring_file before = ring_read();
  must(nc_keyring_change(f.env, f.keyring, keep, NULL, &err));
  ring_file after = ring_read();
  cr_assert_eq(before.size, after.size);
  cr_assert_eq(memcmp(before.bytes, after.bytes, 20), 0);
  cr_assert_neq(memcmp(before.bytes + 20, after.bytes + 20, 32), 0);
  cr_assert_neq(memcmp(before.bytes + 52, after.bytes + 52, 32), 0);
  cr_assert_neq(memcmp(before.bytes + 84, after.bytes + 84, after.size - 88), 0);
  must(unwrap());
  forget();
  must(unwrap());
}

Test(keyring, a_change_replaces_the_file_and_leaves_nothing_beside_it) {
  struct stat before, after;
  char beside[160];
  must(wrap(true));
  cr_assert_eq(stat(f.keyring, &before), 0);
  snprintf(beside, sizeof beside, "%s.new", f.keyring);
  file_replace(&f, "home/keyring.new", "what a crash left", 17);
  must(nc_keyring_change(f.env, f.keyring, keep, NULL, &err));
  cr_assert_eq(stat(f.keyring, &after), 0);
  cr_assert(before.st_ino != after.st_ino && (after.st_mode & 07777) == 0600 && after.st_nlink == 1);
  cr_assert_neq(access(beside, F_OK), 0);
}

Test(keyring, one_process_changes_it_at_a_time) {
  must(wrap(true));
  int fd = open(f.keyring, O_RDONLY);
  cr_assert(fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0);
  must_fail(nc_keyring_change(f.env, f.keyring, keep, NULL, &err), NC_E_KEYRING_LOCKED);
  must(unwrap()); /* reading it does not care */
  cr_assert_eq(flock(fd, LOCK_UN), 0);
  must(nc_keyring_change(f.env, f.keyring, keep, NULL, &err));
  must_fail(nc_private_file_lock(fd, f.keyring, &err),
            NC_E_KEYRING_LOCKED); /* fd is the one that was replaced */
  close(fd);
}

Test(keyring, a_change_by_the_wrong_passphrase_changes_nothing) {
  must(wrap(true));
  ring_file before = ring_read();
  forget();
  told.old = "wrong";
  must_fail(nc_keyring_change(f.env, f.keyring, keep, NULL, &err), NC_E_PASSPHRASE_WRONG);
  ring_file after = ring_read();
  cr_assert(before.size == after.size && memcmp(before.bytes, after.bytes, after.size) == 0);
}

static size_t list(nacre_keyring_key keys[NACRE_KEYRING_KEYS_MAX]) {
  size_t count = 0;
  must(named(nacre_keyring_list(f.uri, answer, &told, keys, NACRE_KEYRING_KEYS_MAX, &count)));
  return count;
}

Test(keyring, its_owner_lists_adds_and_removes_keys) {
  nacre_keyring_key keys[NACRE_KEYRING_KEYS_MAX];
  char first[40], second[40];
  size_t count;
  must_fail(named(nacre_keyring_list(f.uri, NULL, NULL, keys, 1, &count)), NC_E_KEYRING_MISSING);
  must_fail(named(nacre_keyring_add_key(f.uri, NULL, NULL, second)), NC_E_KEYRING_MISSING);
  told.new = "";
  must(wrap(true));
  cr_assert(list(keys) == 1 && keys[0].wraps && keys[0].created_ms > 1500000000000);
  memcpy(first, keys[0].id, sizeof first);
  must_fail(named(nacre_keyring_remove_key(f.uri, NULL, NULL, first)), NC_E_KEYRING_LAST_KEY);
  must(named(nacre_keyring_add_key(f.uri, NULL, NULL, second)));
  cr_assert(list(keys) == 2 && !keys[0].wraps && keys[1].wraps);
  cr_assert(strcmp(keys[0].id, first) == 0 && strcmp(keys[1].id, second) == 0);
  must(unwrap()); /* what the old key wrapped */
  must_fail(named(nacre_keyring_list(f.uri, NULL, NULL, keys, 1, &count)), NC_E_FRAME_BUFFER);
  cr_assert_eq(count, 2);
  must_fail(named(nacre_keyring_remove_key(f.uri, NULL, NULL, "no uuid")), NC_E_SEAL_ARGUMENT);
  must_fail(named(nacre_keyring_remove_key(f.uri, NULL, NULL, "00000000-0000-0000-0000-000000000000")),
            NC_E_KEYRING_KEY_UNKNOWN);
  must(named(nacre_keyring_remove_key(f.uri, NULL, NULL, first)));
  must_fail(unwrap(), NC_E_KEYRING_NO_KEY);
  must(wrap(false));
  cr_assert(list(keys) == 1 && strcmp(keys[0].id, second) == 0);
  cr_assert_eq(told.asked_old, 0);
}

Test(keyring, takes_no_key_too_many) {
  told.new = "";
  must(wrap(true));
  for (size_t i = 1; i < NACRE_KEYRING_KEYS_MAX; i++)
    must(named(nacre_keyring_add_key(f.uri, NULL, NULL, NULL)));
  must_fail(named(nacre_keyring_add_key(f.uri, NULL, NULL, NULL)), NC_E_KEYRING_FULL);
  must(unwrap());
}

/* What the public functions write takes the real cost, and what they read is cheap, where that is
 * possible. */
Test(keyring, its_owner_gives_changes_and_takes_the_passphrase) {
  nacre_keyring_key keys[NACRE_KEYRING_KEYS_MAX];
  bool protected = true;
  told.new = "";
  must(wrap(true));
  must(named(nacre_keyring_is_protected(f.uri, &protected)));
  cr_assert(!protected);
  must_fail(named(nacre_keyring_protect(f.uri, answer, &told)), NC_E_PASSPHRASE_SIZE);
  told.new = "second";
  must(named(nacre_keyring_protect(f.uri, answer, &told)));
  must(named(nacre_keyring_is_protected(f.uri, &protected)));
  cr_assert(protected && told.asked_old == 0);
  ring_file r = ring_read();
  cr_assert(r.bytes[16] == 17 && r.bytes[17] == 8 && r.bytes[18] == 1, "the documented cost");
  told.old = "second";
  must(nc_keyring_change(f.env, f.keyring, keep, NULL, &err)); /* cheap from here on */
  told.old = "open sesame";
  must_fail(named(nacre_keyring_add_key(f.uri, answer, &told, NULL)), NC_E_PASSPHRASE_WRONG);
  must_fail(named(nacre_keyring_unprotect(f.uri, answer, &told)), NC_E_PASSPHRASE_WRONG);
  told.old = "second";
  told.new = "third";
  must(named(nacre_keyring_protect(f.uri, answer, &told)));
  told.old = "third";
  must(nc_keyring_change(f.env, f.keyring, keep, NULL, &err));
  must(unwrap());
  cr_assert_eq(list(keys), 1);
  must(named(nacre_keyring_unprotect(f.uri, answer, &told)));
  must(named(nacre_keyring_is_protected(f.uri, &protected)));
  cr_assert(!protected);
  must(unwrap());
}

Test(keyring, a_key_is_added_under_the_passphrase) {
  nacre_keyring_key keys[NACRE_KEYRING_KEYS_MAX];
  must(wrap(true));
  must(named(nacre_keyring_add_key(f.uri, answer, &told, NULL)));
  cr_assert(is_protected());
  cr_assert_eq(list(keys), 2);
  must(unwrap());
}

Test(keyring, refuses_arguments_that_are_none) {
  bool protected;
  nacre_keyring_key key;
  size_t count;
  char buffer[1];
  must_fail(named(nacre_keyring_is_protected(f.uri, NULL)), NC_E_SEAL_ARGUMENT);
  must_fail(named(nacre_keyring_is_protected("other:", &protected)), NC_E_KMS_URI);
  must_fail(named(nacre_keyring_is_protected(f.uri, &protected)), NC_E_KEYRING_MISSING);
  must_fail(named(nacre_keyring_list(f.uri, NULL, NULL, NULL, 1, &count)), NC_E_SEAL_ARGUMENT);
  must_fail(named(nacre_keyring_list(f.uri, NULL, NULL, &key, 1, NULL)), NC_E_SEAL_ARGUMENT);
  must_fail(named(nacre_keyring_remove_key(f.uri, NULL, NULL, NULL)), NC_E_SEAL_ARGUMENT);
  must_fail(named(nacre_passphrase_file(NULL, buffer, 1, &count)), NC_E_SEAL_ARGUMENT);
}
