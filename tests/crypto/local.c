/* SPDX-License-Identifier: Apache-2.0
 *
 * The keyring: where it lies, who may read it, and what it opens.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keyring.h"
#include "last_error.h"
#include "support.h"

static nacre_error err;
static fixture f;
static const uint8_t kek[32] = {1, 2, 3, 4};
static uint8_t wrapped[NACRE_KMS_WRAPPED_BYTES_MAX];
static size_t wrapped_size;
static nc_kms_purpose purpose = {.table = {{1}}, .kek_id = {{2}}, .kek_version = 3};

static void setup(void) { fixture_open(&f); }
static void teardown(void) { fixture_close(&f); }
TestSuite(local, .init = setup, .fini = teardown);

static nacre_status wrap(bool may_create) {
  return nc_kms_wrap(&f.kms, &f.spec, &purpose, may_create, kek, wrapped, sizeof wrapped, &wrapped_size,
                     &err);
}
static nacre_status unwrap(uint8_t ret_key[32]) {
  return nc_kms_unwrap(&f.kms, &f.spec, &purpose, nc_slice(wrapped, wrapped_size), ret_key, &err);
}

Test(local, a_keyring_is_made_on_first_use_only_when_allowed) {
  uint8_t back[32];
  struct stat info;
  must_fail(wrap(false), NC_E_KEYRING_MISSING);
  cr_assert_neq(access(f.keyring, F_OK), 0);
  must(wrap(true));
  cr_assert_eq(wrapped_size, NC_LOCAL_WRAP_BYTES);
  cr_assert_eq(stat(f.keyring, &info), 0);
  cr_assert_eq(info.st_mode & 07777, 0600);
  cr_assert_eq(info.st_nlink, 1, "the file it was written aside to must be gone");
  must(unwrap(back));
  cr_assert_eq(memcmp(back, kek, 32), 0);
  must(wrap(false));
  must(wrap(true));
  must(unwrap(back));
}

Test(local, a_wrap_serves_its_own_purpose_only) {
  uint8_t back[32];
  must(wrap(true));
  purpose.kek_version = 4;
  must_fail(unwrap(back), NC_E_KEYRING_WRAP);
  purpose.kek_version = 3;
  purpose.table.bytes[0] ^= 1;
  must_fail(unwrap(back), NC_E_KEYRING_WRAP);
}

Test(local, refuses_every_flipped_bit_of_a_wrap) { /* [R3] */
  uint8_t back[32];
  must(wrap(true));
  for (size_t bit = 0; bit < wrapped_size * 8; bit++) {
    wrapped[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    nacre_status status = unwrap(back);
    cr_assert(status == NACRE_TAMPERED || status == NACRE_KEY_MISSING, "bit %zu: %s", bit,
              nacre_status_name(status));
    wrapped[bit / 8] ^= (uint8_t)(1u << (bit % 8));
  }
  wrapped_size--;
  must_fail(unwrap(back), NC_E_KMS_KEY_MISSING);
}

Test(local, two_wraps_of_one_key_differ) {
  uint8_t first[NC_LOCAL_WRAP_BYTES];
  must(wrap(true));
  memcpy(first, wrapped, sizeof first);
  must(wrap(true));
  cr_assert_neq(memcmp(first + 17, wrapped + 17, 24), 0);
}

Test(local, refuses_a_keyring_that_others_may_read) { /* [R4] */
  static const mode_t modes[] = {0644, 0640, 0604, 0620, 0601, 0660};
  uint8_t back[32];
  must(wrap(true));
  for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
    cr_assert_eq(chmod(f.keyring, modes[i]), 0);
    must_fail(unwrap(back), NC_E_KEYRING_MODE);
    must_fail(wrap(true), NC_E_KEYRING_MODE);
  }
  cr_assert_eq(chmod(f.keyring, 0400), 0);
  must(unwrap(back));
}

Test(local, refuses_a_keyring_of_another_user) {
  uint8_t back[32];
  must(wrap(true));
  if (chown(f.keyring, 12345, (gid_t)-1) != 0) cr_skip_test("only the superuser can give files away");
  must_fail(unwrap(back), NC_E_KEYRING_MODE);
}

/* Puts other bytes in the keyring's place. */
static void damage(const void *bytes, size_t size) { file_replace(&f, "home/keyring", bytes, size); }

Test(local, refuses_a_damaged_keyring) {
  uint8_t back[32];
  size_t size;
  must(wrap(true));
  uint8_t *bytes = file_bytes(&f, "home/keyring", &size);
  bytes[size / 2] ^= 1;
  damage(bytes, size);
  must_fail(unwrap(back), NC_E_KEYRING_CRC);
  cr_assert_str_eq(err.file, f.keyring);
  bytes[size / 2] ^= 1;
  for (size_t length = 0; length < size; length++) {
    damage(bytes, length);
    nacre_status status = unwrap(back);
    cr_assert_eq(status, NACRE_CORRUPT, "%zu: %s", length, err.text);
  }
  must_fail(wrap(true), NC_E_KEYRING_CRC); /* and never puts a new one in its place */
  cr_assert_eq(unlink(f.keyring), 0);
  must_fail(unwrap(back), NC_E_KEYRING_MISSING);
  free(bytes);
}

Test(local, another_keyring_does_not_open_it) { /* [R2] */
  uint8_t back[32], first[NC_LOCAL_WRAP_BYTES];
  must(wrap(true));
  memcpy(first, wrapped, sizeof first);
  cr_assert_eq(unlink(f.keyring), 0);
  must(wrap(true));
  memcpy(wrapped, first, sizeof first);
  must_fail(unwrap(back), NC_E_KEYRING_NO_KEY);
}

Test(local, a_ring_wraps_with_its_last_key_and_opens_with_any) {
  uint8_t back[32], encoded[NC_KEYRING_BYTES_MAX];
  size_t size;
  nc_keyring ring;
  must(wrap(true));
  uint8_t *bytes = file_bytes(&f, "home/keyring", &size);
  must(nc_keyring_decode(nc_slice(bytes, size), &ring, &err));
  ring.keys[1] = ring.keys[0];
  ring.keys[1].id.bytes[0] ^= 0xFF;
  ring.keys[1].key[0] ^= 0xFF;
  ring.key_count = 2;
  damage(encoded, nc_keyring_encode(&ring, encoded));
  must(unwrap(back));
  must(wrap(false));
  cr_assert_eq(memcmp(wrapped + 1, ring.keys[1].id.bytes, 16), 0);
  must(unwrap(back));
  free(bytes);
}

Test(local, refuses_what_is_not_a_plain_file, .timeout = 10) {
  uint8_t back[32];
  char other[160];
  must(wrap(true));
  snprintf(other, sizeof other, "%s2", f.keyring);
  cr_assert_eq(rename(f.keyring, other), 0);
  cr_assert_eq(symlink(other, f.keyring), 0);
  must_fail(unwrap(back), NC_E_KEYRING_KIND);
  cr_assert_eq(unlink(f.keyring), 0);
  cr_assert_eq(mkfifo(f.keyring, 0600), 0);
  must_fail(unwrap(back), NC_E_KEYRING_KIND);
}

Test(local, gives_back_every_secret) {
  uint8_t back[32];
  must_fail(wrap(false), NC_E_KEYRING_MISSING);
  must(wrap(true));
  must(unwrap(back));
  cr_assert_eq(nc_heap_bytes(f.env->heap), 0);
}

/* --- where it lies -------------------------------------------------------------------------------------- */

static nacre_status path_of(const char *uri, char path[64]) {
  nacre_status status = nacre_keyring_path(uri, path, 64);
  nacre_last_error(&err);
  return status;
}

Test(local, finds_its_place_in_the_environment) {
  char path[64];
  must(path_of("local:/a/b", path));
  cr_assert_str_eq(path, "/a/b");
  setenv("HOME", "/home/someone", 1);
  setenv("XDG_DATA_HOME", "/data", 1);
  setenv("NACRE_KEYRING", "/ring", 1);
  must(path_of("local:", path));
  cr_assert_str_eq(path, "/ring");
  setenv("NACRE_KEYRING", "", 1);
  must(path_of(NULL, path));
  cr_assert_str_eq(path, "/data/nacre/keyring");
  setenv("XDG_DATA_HOME", "not/absolute", 1);
  must(path_of("local:", path));
  cr_assert_str_eq(path, "/home/someone/.local/share/nacre/keyring");
  unsetenv("HOME");
  must_fail(path_of("local:", path), NC_E_KEYRING_HOME);
  must_fail(path_of("other:", path), NC_E_KMS_URI);
  must_fail(path_of("localx", path), NC_E_KMS_URI);
  must_fail(path_of("local:/0123456789012345678901234567890123456789012345678901234567890123", path),
            NC_E_NAME_TOO_LONG);
  must_fail((nacre_keyring_path("local:", NULL, 0) == NACRE_INVALID ? (nacre_last_error(&err), NACRE_INVALID)
                                                                    : NACRE_OK),
            NC_E_SEAL_ARGUMENT);
}

Test(local, makes_no_keyring_where_it_may_not) {
  char uri[200];
  file_replace(&f, "file", "x", 1);
  snprintf(uri, sizeof uri, "local:%s/file/keyring", f.path);
  f.spec.uri = uri;
  must_fail(wrap(true), NC_E_KEYRING_KIND);
}

Test(local, makes_the_directories_that_lead_to_it) {
  char uri[200];
  snprintf(uri, sizeof uri, "local:%s/a/b/c/keyring", f.path);
  f.spec.uri = uri;
  must(wrap(true));
  cr_assert_eq(access(uri + 6, R_OK), 0);
}
