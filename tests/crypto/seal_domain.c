/* SPDX-License-Identifier: Apache-2.0
 *
 * The public face of sealed files.
 */
#include "seal_domain.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "filler.h"
#include "last_error.h"
#include "support.h"

static nacre_error err;
static fixture f;
static nacre_seal_domain *domain;
static nc_handle first;
static char path[128];

static void setup(void) {
  fixture_open(&f);
  fixture_keys(&f);
  nc_sealed_writer *w = make_writer(&f, "log", 0);
  must(nc_sealed_writer_append(w, NC_FRAME_LOG_GROUP, nc_slice("one", 3), &first, &err));
  must(nc_sealed_writer_append(w, NC_FRAME_LOG_MARK, nc_slice("", 0), NULL, &err));
  nc_sealed_writer_close(w);
  /* The domain takes over an env, so it gets one of its own, with the same keyring. */
  must(nc_table_keys_write(f.keys, &f.dir, &err));
  nc_kms kms = f.kms;
  nc_dir dir;
  nc_table_keys *keys;
  nc_key_trust trust = {.any_table = true, .specs = &f.spec, .spec_count = 1};
  must(nc_env_create(NULL, &kms.env, &err));
  must(nc_dir_open(kms.env, f.path, false, &dir, &err));
  must(nc_table_keys_open(&kms, &dir, &trust, &keys, &err));
  nc_dir_close(&dir);
  must(nc_seal_domain_create(kms.env, keys, &domain, &err));
  file_path(&f, "log", path);
}
static void teardown(void) {
  cr_assert_eq(nacre_seal_domain_close(domain), NACRE_OK);
  fixture_close(&f);
}
TestSuite(seal_domain, .init = setup, .fini = teardown);

/* The thread's last error is what public calls leave. */
static nacre_status told(nacre_status status) {
  nacre_last_error(&err);
  return status;
}

Test(seal_domain, walks_a_file) {
  nacre_sealed_file *file;
  char buffer[16];
  size_t size = 0;
  uint64_t next = 0;
  must(nacre_sealed_file_open(domain, path, &file));
  must(nacre_sealed_file_read(file, 8192, NC_FRAME_LOG_GROUP, buffer, sizeof buffer, &size, &next));
  cr_assert(size == 3 && memcmp(buffer, "one", 3) == 0);
  cr_assert_eq(next, 8192 + first.size);
  must(nacre_sealed_file_read(file, next, NC_FRAME_LOG_MARK, NULL, 0, &size, &next));
  cr_assert_eq(size, 0);
  must_fail(told(nacre_sealed_file_read(file, next, NC_FRAME_LOG_MARK, buffer, sizeof buffer, &size, &next)),
            NC_E_FRAME_END);
  nacre_sealed_file_close(file);
}

Test(seal_domain, a_log_ends_where_its_filler_begins) { /* [L13] */
  nacre_sealed_file *file;
  nc_header_slot slot;
  size_t size = 0, got = 0;
  uint8_t *bytes = file_bytes(&f, "log", &size), *longer = realloc(bytes, size + 128);
  must(nc_sealed_header_peek(&f.dir, "log", &slot, &err));
  nc_filler_write(longer + size, 128, &slot.identity.file, size);
  for (size_t more = 128; more > 96; more -= 8) { /* whole, and cut within a unit */
    file_replace(&f, "log", longer, size + more);
    must(nacre_sealed_file_open(domain, path, &file));
    must_fail(told(nacre_sealed_file_read(file, size, NC_FRAME_LOG_MARK, NULL, 0, &got, NULL)),
              more % NC_FILLER_BYTES == 0 ? NC_E_FRAME_END : NC_E_FRAME_CHECK);
    nacre_sealed_file_close(file);
  }
  free(longer);
}

/* The writer's frames go on over what the file ended with when it was opened. */
Test(seal_domain, a_frame_over_the_end_that_a_log_had_comes_later) { /* [L13] */
  nacre_sealed_file *file;
  size_t size = 0, got = 0;
  uint8_t *bytes = file_bytes(&f, "log", &size);
  char buffer[16];
  size_t cut = 8192 + NC_FRAME_ALIGN * 2; /* within the first frame, behind its header */
  file_replace(&f, "log", bytes, cut);
  must(nacre_sealed_file_open(domain, path, &file));
  must_fail(told(nacre_sealed_file_read(file, 8192, NC_FRAME_LOG_GROUP, buffer, sizeof buffer, &got, NULL)),
            NC_E_FRAME_SHORT);
  FILE *later = fopen(path, "ab");
  cr_assert(later != NULL && fwrite(bytes + cut, 1, size - cut, later) == size - cut && fclose(later) == 0);
  must_fail(told(nacre_sealed_file_read(file, 8192, NC_FRAME_LOG_GROUP, buffer, sizeof buffer, &got, NULL)),
            NC_E_FRAME_END);
  nacre_sealed_file_close(file);
  free(bytes);
}

Test(seal_domain, says_how_much_room_a_frame_needs) {
  nacre_sealed_file *file;
  char buffer[16];
  size_t size = 0;
  must(nacre_sealed_file_open(domain, path, &file));
  must_fail(told(nacre_sealed_file_read(file, 8192, NC_FRAME_LOG_GROUP, buffer, 2, &size, NULL)),
            NC_E_FRAME_BUFFER);
  cr_assert_eq(size, 3);
  nacre_sealed_file_close(file);
}

Test(seal_domain, refuses_the_wrong_type_and_place) {
  nacre_sealed_file *file;
  char buffer[16];
  size_t size = 55;
  must(nacre_sealed_file_open(domain, path, &file));
  must_fail(told(nacre_sealed_file_read(file, 8192, NC_FRAME_DATA, buffer, 16, &size, NULL)),
            NC_E_FRAME_TYPE);
  must_fail(told(nacre_sealed_file_read(file, 0, NC_FRAME_LOG_GROUP, buffer, 16, &size, NULL)),
            NC_E_SEAL_ARGUMENT);
  must_fail(told(nacre_sealed_file_read(file, 8193, NC_FRAME_LOG_GROUP, buffer, 16, &size, NULL)),
            NC_E_SEAL_ARGUMENT);
  must_fail(told(nacre_sealed_file_read(file, 8208, NC_FRAME_LOG_GROUP, buffer, 16, &size, NULL)),
            NC_E_FRAME_CHECK);
  cr_assert_eq(err.offset, 8208);
  cr_assert_eq(size, 55);
  nacre_sealed_file_close(file);
}

Test(seal_domain, a_cut_file_ends_inside_a_frame) {
  nacre_sealed_file *file;
  char buffer[16];
  size_t size;
  cr_assert_eq(truncate(path, 8192 + 32), 0);
  must(nacre_sealed_file_open(domain, path, &file));
  must_fail(told(nacre_sealed_file_read(file, 8192, NC_FRAME_LOG_GROUP, buffer, 16, &size, NULL)),
            NC_E_FRAME_SHORT);
  nacre_sealed_file_close(file);
}

Test(seal_domain, is_busy_while_files_are_open) {
  nacre_sealed_file *file;
  must(nacre_sealed_file_open(domain, path, &file));
  must_fail(told(nacre_seal_domain_close(domain)), NC_E_DOMAIN_BUSY);
  nacre_sealed_file_close(file);
}

Test(seal_domain, takes_any_form_of_path) {
  nacre_sealed_file *file;
  cr_assert_eq(chdir(f.path), 0);
  must(nacre_sealed_file_open(domain, "log", &file));
  nacre_sealed_file_close(file);
  must(nacre_sealed_file_open(domain, "./log", &file));
  nacre_sealed_file_close(file);
  must(nacre_sealed_file_open(domain, ".//log", &file));
  nacre_sealed_file_close(file);
  must_fail(told(nacre_sealed_file_open(domain, "/absent", &file)), NC_E_OS_NOT_FOUND);
  must_fail(told(nacre_sealed_file_open(domain, "absent/log", &file)), NC_E_OS_NOT_FOUND);
  static const char *const bad[] = {"", "/", ".", "..", "a/..", "log/"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    must_fail(told(nacre_sealed_file_open(domain, bad[i], &file)), NC_E_SEAL_ARGUMENT);
  }
  cr_assert_eq(symlink("log", "link"), 0);
  must_fail(told(nacre_sealed_file_open(domain, "link", &file)), NC_E_OS_NOT_A_FILE);
}

Test(seal_domain, refuses_null) {
  nacre_sealed_file *file;
  size_t size;
  must_fail(told(nacre_sealed_file_open(NULL, path, &file)), NC_E_SEAL_ARGUMENT);
  must_fail(told(nacre_sealed_file_open(domain, NULL, &file)), NC_E_SEAL_ARGUMENT);
  must_fail(told(nacre_sealed_file_open(domain, path, NULL)), NC_E_SEAL_ARGUMENT);
  must_fail(told(nacre_sealed_file_read(NULL, 8192, 1, NULL, 0, &size, NULL)), NC_E_SEAL_ARGUMENT);
  nacre_sealed_file_close(NULL);
  cr_assert_eq(nacre_seal_domain_close(NULL), NACRE_OK);
  nacre_last_error(NULL);
}
