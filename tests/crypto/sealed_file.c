/* SPDX-License-Identifier: Apache-2.0
 *
 * Sealed files, written and read again, damaged and exchanged.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crc32c.h"
#include "support.h"

static nacre_error err;
static fixture f;

static void setup(void) {
  fixture_open(&f);
  fixture_keys(&f);
}
static void teardown(void) { fixture_close(&f); }
TestSuite(sealed_file, .init = setup, .fini = teardown);

static void append(nc_sealed_writer *w, const char *text, nc_handle *ret_handle) {
  must(nc_sealed_writer_append(w, NC_FRAME_LOG_GROUP, nc_slice(text, strlen(text)), ret_handle, &err));
}

static nc_sealed_reader *open_reader(const char *name) {
  nc_sealed_reader *r;
  must(nc_sealed_reader_open(&f.dir, name, f.keys, NULL, &r, &err));
  return r;
}

static void expect_frame(nc_sealed_reader *r, nc_handle handle, const char *text) {
  uint8_t *buffer = nc_heap_alloc(f.env->heap, handle.size);
  nacre_slice plaintext;
  must(nc_sealed_reader_frame(r, handle, NC_FRAME_LOG_GROUP, buffer, &plaintext, NULL, &err));
  cr_assert(nc_slice_equal(plaintext, nc_slice(text, strlen(text))));
  nc_heap_free(f.env->heap, buffer, handle.size);
}

static void refuse_frame(nc_sealed_reader *r, nc_handle handle, uint8_t type, uint32_t id) {
  uint8_t *buffer = nc_heap_alloc(f.env->heap, handle.size);
  nacre_slice plaintext;
  must_fail(nc_sealed_reader_frame(r, handle, type, buffer, &plaintext, NULL, &err), id);
  nc_heap_free(f.env->heap, buffer, handle.size);
}

/* A file of three frames, closed. */
static void write_three(const char *name, nc_handle handles[3]) {
  nc_sealed_writer *w = make_writer(&f, name, 0);
  append(w, "the first", &handles[0]);
  append(w, "the second, which is longer than the first", &handles[1]);
  append(w, "", &handles[2]);
  must(nc_sealed_writer_sync(w, &err));
  nc_sealed_writer_close(w);
}
static const char *const three[] = {"the first", "the second, which is longer than the first", ""};

Test(sealed_file, comes_back_frame_by_frame) {
  nc_handle handles[3];
  write_three("log", handles);
  cr_assert_eq(handles[0].offset, NC_FRAMES_OFFSET);
  nc_sealed_reader *r = open_reader("log");
  for (int i = 0; i < 3; i++) expect_frame(r, handles[i], three[i]);
  cr_assert_eq(nc_sealed_reader_size(r), handles[2].offset + handles[2].size);
  cr_assert_eq(nc_sealed_reader_header(r)->identity.number, 7);
  cr_assert_str_eq(nc_sealed_reader_label(r), "log");
  must(nc_sealed_reader_check_header(r, &err));
  nc_sealed_reader_close(r);
}

Test(sealed_file, holds_no_plaintext) {
  nc_handle handles[3];
  size_t size;
  write_three("log", handles);
  uint8_t *bytes = file_bytes(&f, "log", &size);
  cr_assert_null(memmem(bytes, size, "second", 6));
  free(bytes);
}

Test(sealed_file, buffered_frames_reach_the_file_in_order) {
  static const size_t buffers[] = {0, 1, 64, 1000, 100000};
  for (size_t b = 0; b < sizeof buffers / sizeof buffers[0]; b++) {
    nc_handle handles[40];
    char name[16], text[3000];
    snprintf(name, sizeof name, "seg%zu", b);
    nc_sealed_writer *w = make_writer(&f, name, buffers[b]);
    for (size_t i = 0; i < 40; i++) {
      memset(text, (int)('a' + i % 26), sizeof text);
      must(nc_sealed_writer_append(w, NC_FRAME_LOG_GROUP, nc_slice(text, i * 70), &handles[i], &err));
      cr_assert_eq(nc_sealed_writer_size(w), handles[i].offset + handles[i].size);
    }
    cr_assert_eq(nc_sealed_writer_frames(w), 40);
    must(nc_sealed_writer_sync(w, &err));
    nc_sealed_writer_close(w);
    nc_sealed_reader *r = open_reader(name);
    for (size_t i = 0; i < 40; i++) {
      memset(text, (int)('a' + i % 26), sizeof text);
      text[i * 70] = 0;
      expect_frame(r, handles[i], text);
    }
    nc_sealed_reader_close(r);
  }
}

Test(sealed_file, a_write_through_frame_is_in_the_file_at_once) {
  nc_handle handle;
  nc_sealed_writer *w = make_writer(&f, "log", 0);
  append(w, "now", &handle);
  nc_sealed_reader *r = open_reader("log");
  expect_frame(r, handle, "now");
  uint8_t buffer[48], tag[NC_FRAME_TAG_BYTES];
  nacre_slice plaintext;
  must(nc_sealed_reader_frame(r, handle, NC_FRAME_LOG_GROUP, buffer, &plaintext, tag, &err));
  cr_assert_eq(memcmp(tag, nc_sealed_writer_last_tag(w), sizeof tag), 0);
  nc_sealed_reader_close(r);
  nc_sealed_writer_close(w);
}

Test(sealed_file, refuses_frames_and_files_beyond_the_limits) {
  nc_sealed_writer *w = make_writer(&f, "log", 0);
  nacre_slice huge = {"", NC_FRAME_PLAINTEXT_BYTES_MAX + 1};
  must_fail(nc_sealed_writer_append(w, NC_FRAME_LOG_GROUP, huge, NULL, &err), NC_E_FRAME_TOO_LARGE);
  cr_assert_not(nc_sealed_writer_failed(w));
  append(w, "still works", NULL);
  uint8_t *large = calloc(1, NC_FRAME_PLAINTEXT_BYTES_MAX);
  nc_handle handle;
  must(nc_sealed_writer_append(w, NC_FRAME_LOG_GROUP, nc_slice(large, NC_FRAME_PLAINTEXT_BYTES_MAX), &handle,
                               &err));
  cr_assert_eq(handle.size, NC_FRAME_BYTES_MAX);
  free(large);
  nc_sealed_writer_close(w);
}

/* --- creation ------------------------------------------------------------------------------------------- */

static nacre_status try_create(const char *name) {
  nc_sealed_writer *w;
  nc_identity identity = {.type = NC_FILE_LOG, .origin_table = f.table, .number = 7, .epoch = 3};
  nacre_status status =
      nc_sealed_writer_create(&f.dir, name, &identity, nc_table_keys_active(f.keys), 0, &w, &err);
  if (status == NACRE_OK) nc_sealed_writer_close(w);
  return status;
}

Test(sealed_file, a_failed_creation_leaves_no_file_and_no_key) {
  uint64_t before = nc_heap_bytes(f.env->heap);
  f.faults.fail_write = 1;
  must_fail(try_create("log"), NC_E_OS);
  must_fail(nc_dir_remove(&f.dir, "log", &err), NC_E_OS_NOT_FOUND);
  cr_assert_eq(nc_heap_bytes(f.env->heap), before);
}

Test(sealed_file, never_takes_anothers_place) {
  file_replace(&f, "log", "mine", 4);
  must_fail(try_create("log"), NC_E_OS_EXISTS);
  size_t size;
  uint8_t *bytes = file_bytes(&f, "log", &size);
  cr_assert(size == 4 && memcmp(bytes, "mine", 4) == 0);
  free(bytes);
}

/* --- failing disks -------------------------------------------------------------------------------------- */

Test(sealed_file, a_failed_write_fails_the_writer_for_good) {
  nc_sealed_writer *w = make_writer(&f, "log", 0);
  append(w, "good", NULL);
  uint64_t size = nc_sealed_writer_size(w);
  f.faults.writes = 0;
  f.faults.fail_write = 1;
  f.faults.code = ENOSPC;
  must_fail(nc_sealed_writer_append(w, NC_FRAME_LOG_GROUP, nc_slice("lost", 4), NULL, &err),
            NC_E_OS_NO_SPACE);
  cr_assert_str_eq(err.file, "log");
  cr_assert_eq(err.offset, size);
  cr_assert(nc_sealed_writer_failed(w));
  cr_assert_eq(nc_sealed_writer_size(w), size);
  must_fail(nc_sealed_writer_append(w, NC_FRAME_LOG_GROUP, nc_slice("more", 4), NULL, &err),
            NC_E_OS_NO_SPACE);
  must_fail(nc_sealed_writer_sync(w, &err), NC_E_OS_NO_SPACE);
  nc_sealed_writer_close(w);
}

Test(sealed_file, a_failed_sync_is_never_tried_again) {
  nc_sealed_writer *w = make_writer(&f, "log", 1000);
  append(w, "good", NULL);
  f.faults.syncs = 0;
  f.faults.fail_sync = 1;
  must_fail(nc_sealed_writer_sync(w, &err), NC_E_OS);
  must_fail(nc_sealed_writer_sync(w, &err), NC_E_OS);
  must_fail(nc_sealed_writer_append(w, NC_FRAME_LOG_GROUP, nc_slice("more", 4), NULL, &err), NC_E_OS);
  cr_assert_eq(f.faults.syncs, 1);
  nc_sealed_writer_close(w);
}

Test(sealed_file, draws_a_new_salt_after_ten_milliseconds) {
  nc_handle handles[3];
  nc_sealed_writer *w = make_writer(&f, "log", 0);
  append(w, "a", &handles[0]);
  f.faults.clock_ns += 1000000000;
  append(w, "b", &handles[1]);
  append(w, "c", &handles[2]);
  nc_sealed_writer_close(w);
  size_t size;
  uint8_t *bytes = file_bytes(&f, "log", &size);
  const uint8_t *a = bytes + handles[0].offset + 12, *b = bytes + handles[1].offset + 12;
  cr_assert_neq(memcmp(a, b, NC_FRAME_SALT_BYTES), 0);
  free(bytes);
  nc_sealed_reader *r = open_reader("log");
  expect_frame(r, handles[1], "b");
  nc_sealed_reader_close(r);
}

/* --- headers -------------------------------------------------------------------------------------------- */

static void flip(const char *name, uint64_t offset) {
  size_t size;
  uint8_t *bytes = file_bytes(&f, name, &size);
  bytes[offset] ^= 1;
  file_replace(&f, name, bytes, size);
  free(bytes);
}

static void refuse_open(const char *name, uint32_t id) {
  nc_sealed_reader *r;
  must_fail(nc_sealed_reader_open(&f.dir, name, f.keys, NULL, &r, &err), id);
  cr_assert_str_eq(err.file, name);
}

Test(sealed_file, opens_by_either_slot) { /* [H6] */
  nc_handle handles[3];
  write_three("log", handles);
  flip("log", 100);
  nc_sealed_reader *r = open_reader("log");
  expect_frame(r, handles[0], three[0]);
  must_fail(nc_sealed_reader_check_header(r, &err), NC_E_HEADER_CRC);
  nc_sealed_reader_close(r);
  flip("log", 100);
  flip("log", 4096 + 100);
  r = open_reader("log");
  must_fail(nc_sealed_reader_check_header(r, &err), NC_E_HEADER_CRC);
  cr_assert_geq(err.offset, 4096);
  nc_sealed_reader_close(r);
  flip("log", 100);
  refuse_open("log", NC_E_HEADER_CRC);
}

/* Rewrites one slot of a file, with a good checksum. */
static void edit_slot(const char *name, int index, void (*edit)(nc_header_slot *slot)) {
  size_t size;
  nc_header_slot slot;
  uint8_t *bytes = file_bytes(&f, name, &size), *at = bytes + index * NC_SLOT_BYTES;
  must(nc_header_decode(nc_slice(at, NC_SLOT_BYTES), (uint8_t)index, &slot, &err));
  edit(&slot);
  nc_header_encode(&slot, at);
  file_replace(&f, name, bytes, size);
  free(bytes);
}
static void raise_sequence(nc_header_slot *slot) { slot->sequence = 9; }
static void forget_kek(nc_header_slot *slot) { slot->kek_id.bytes[0] ^= 1; }
static void make_older(nc_header_slot *slot) { slot->kek_version = 0; }

Test(sealed_file, a_forged_slot_does_not_keep_the_other_from_opening) {
  nc_handle handles[3];
  write_three("log", handles);
  edit_slot("log", 1, raise_sequence);
  nc_sealed_reader *r = open_reader("log");
  must_fail(nc_sealed_reader_check_header(r, &err), NC_E_HEADER_SLOTS_DIFFER); /* [H8] */
  nc_sealed_reader_close(r);
  edit_slot("log", 0, raise_sequence);
  refuse_open("log", NC_E_WRAP_TAG); /* [H5] */
  edit_slot("log", 0, forget_kek);
  edit_slot("log", 1, forget_kek);
  refuse_open("log", NC_E_KEK_UNKNOWN); /* [H4] */
  edit_slot("log", 0, make_older);
  refuse_open("log", NC_E_KEK_RETIRED); /* [C7] */
}

Test(sealed_file, must_be_the_one_that_is_expected) { /* [H7] */
  nc_handle handles[3];
  nc_uuid other = f.table;
  other.bytes[3] ^= 1;
  write_three("log", handles);
  nc_sealed_reader *r = open_reader("log");
  nc_header_slot header = *nc_sealed_reader_header(r);
  nc_sealed_reader_close(r);
  uint8_t commitment[NC_COMMITMENT_BYTES] = {0};
  nc_sealed_expect good = {.type = NC_FILE_LOG,
                           .origin_table = &f.table,
                           .file = &header.identity.file,
                           .number = 7,
                           .epoch_max = 3,
                           .dek_commitment = header.dek_commitment};
  must(nc_sealed_reader_open(&f.dir, "log", f.keys, &good, &r, &err));
  nc_sealed_reader_close(r);
  nc_sealed_expect bad[5] = {good, good, good, good, good}, newer = good;
  bad[0].type = NC_FILE_SEGMENT;
  bad[1].origin_table = &other;
  bad[2].file = &other;
  bad[3].number = 8;
  bad[4].dek_commitment = commitment;
  for (int i = 0; i < 5; i++) {
    must_fail(nc_sealed_reader_open(&f.dir, "log", f.keys, &bad[i], &r, &err), NC_E_FILE_IDENTITY);
  }
  newer.epoch_max = 2;
  must_fail(nc_sealed_reader_open(&f.dir, "log", f.keys, &newer, &r, &err), NC_E_FILE_EPOCH);
}

/* --- frames --------------------------------------------------------------------------------------------- */

Test(sealed_file, damage_and_tampering_are_told_apart) { /* [F8, G2] */
  nc_handle handles[3];
  size_t size;
  write_three("log", handles);
  flip("log", handles[1].offset + 20);
  nc_sealed_reader *r = open_reader("log");
  refuse_frame(r, handles[1], NC_FRAME_LOG_GROUP, NC_E_FRAME_CRC);
  cr_assert_eq(err.offset, handles[1].offset);
  cr_assert_str_eq(err.file, "log");
  expect_frame(r, handles[0], three[0]); /* the rest of the file still answers */
  uint8_t *bytes = file_bytes(&f, "log", &size);
  nc_frame_finish(bytes + handles[1].offset); /* an attacker mends the checksum */
  file_replace(&f, "log", bytes, size);
  refuse_frame(r, handles[1], NC_FRAME_LOG_GROUP, NC_E_FRAME_TAG);
  cr_assert_eq(err.offset, handles[1].offset);
  cr_assert_str_eq(err.file, "log");
  free(bytes);
  nc_sealed_reader_close(r);
}

Test(sealed_file, a_moved_or_foreign_frame_is_tampering) { /* [F9] */
  nc_handle here[2], there[2];
  size_t size, other_size;
  nc_sealed_writer *w = make_writer(&f, "one", 0), *v = make_writer(&f, "two", 0);
  for (int i = 0; i < 2; i++) append(w, "same length", &here[i]);
  for (int i = 0; i < 2; i++) append(v, "same length", &there[i]);
  nc_sealed_writer_close(w);
  nc_sealed_writer_close(v);
  uint8_t *bytes = file_bytes(&f, "one", &size), *other = file_bytes(&f, "two", &other_size);
  memcpy(bytes + here[1].offset, bytes + here[0].offset, here[0].size);
  memcpy(bytes + here[0].offset, other + there[0].offset, there[0].size);
  file_replace(&f, "one", bytes, size);
  nc_sealed_reader *r = open_reader("one");
  refuse_frame(r, here[0], NC_FRAME_LOG_GROUP, NC_E_FRAME_TAG);
  refuse_frame(r, here[1], NC_FRAME_LOG_GROUP, NC_E_FRAME_TAG);
  nc_sealed_reader_close(r);
  free(bytes);
  free(other);
}

Test(sealed_file, checks_handles_against_the_file) {
  nc_handle handles[3];
  write_three("log", handles);
  nc_sealed_reader *r = open_reader("log");
  refuse_frame(r, (nc_handle){handles[2].offset, handles[2].size + 16}, NC_FRAME_LOG_GROUP,
               NC_E_HANDLE_RANGE);
  refuse_frame(r, (nc_handle){(uint64_t)1 << 41, 48}, NC_FRAME_LOG_GROUP, NC_E_HANDLE_RANGE);
  refuse_frame(r, (nc_handle){0, 48}, NC_FRAME_LOG_GROUP, NC_E_HANDLE_RANGE);
  refuse_frame(r, (nc_handle){handles[0].offset, handles[0].size + 16}, NC_FRAME_LOG_GROUP,
               NC_E_FRAME_LENGTH);
  refuse_frame(r, handles[0], NC_FRAME_EDIT, NC_E_FRAME_TYPE);
  nc_sealed_reader_close(r);
}

/* Opened while it was whole, cut afterwards. */
Test(sealed_file, tells_of_a_file_that_ends_early) {
  nc_handle handles[3];
  char path[128];
  write_three("log", handles);
  nc_sealed_reader *r = open_reader("log");
  file_path(&f, "log", path);
  cr_assert_eq(truncate(path, (off_t)handles[2].offset), 0);
  refuse_frame(r, handles[2], NC_FRAME_LOG_GROUP, NC_E_FILE_SHORT);
  f.faults.reads = 0;
  f.faults.fail_read = 1;
  refuse_frame(r, handles[0], NC_FRAME_LOG_GROUP, NC_E_OS);
  nc_sealed_reader_close(r);
}

Test(sealed_file, truncated_at_every_length_never_lies) {
  nc_handle handles[3];
  char path[128];
  size_t size;
  write_three("log", handles);
  uint8_t *bytes = file_bytes(&f, "log", &size);
  file_path(&f, "log", path);
  for (size_t length = size; length-- > 0;) {
    if (length < NC_FRAMES_OFFSET - 8 && length > NC_SLOT_BYTES + 8 && length % 256 != 0) continue;
    if (length < NC_SLOT_BYTES - 8 && length > 300 && length % 256 != 0) continue;
    cr_assert_eq(truncate(path, (off_t)length), 0);
    if (length < NC_SLOT_BYTES) {
      refuse_open("log", NC_E_HEADER_SHORT);
      continue;
    }
    nc_sealed_reader *r = open_reader("log");
    for (int i = 0; i < 3; i++) {
      if (handles[i].offset + handles[i].size <= length) {
        expect_frame(r, handles[i], three[i]);
      } else {
        refuse_frame(r, handles[i], NC_FRAME_LOG_GROUP, NC_E_HANDLE_RANGE);
      }
    }
    nc_sealed_reader_close(r);
  }
  free(bytes);
}

Test(sealed_file, refuses_what_is_not_a_file, .timeout = 10) {
  char path[128];
  nc_handle handles[3];
  write_three("real", handles);
  file_path(&f, "link", path);
  cr_assert_eq(symlink("real", path), 0);
  refuse_open("link", NC_E_OS_NOT_A_FILE);
  file_path(&f, "fifo", path);
  cr_assert_eq(mkfifo(path, 0600), 0);
  refuse_open("fifo", NC_E_OS_NOT_A_FILE);
  must(nc_dir_create_at(&f.dir, "directory", &err));
  refuse_open("directory", NC_E_OS_NOT_A_FILE);
  refuse_open("absent", NC_E_OS_NOT_FOUND);
  file_replace(&f, "empty", "", 0);
  refuse_open("empty", NC_E_HEADER_SHORT);
}

Test(sealed_file, gives_raw_bytes_to_walk_over) {
  nc_handle handles[3];
  write_three("log", handles);
  nc_sealed_reader *r = open_reader("log");
  uint8_t frame[256];
  nacre_slice plaintext;
  must(nc_sealed_reader_raw(r, handles[0].offset, frame, handles[0].size, &err));
  must(nc_frame_check(nc_slice(frame, handles[0].size), &err));
  must_fail(nc_sealed_reader_open_raw(r, handles[1].offset, frame, handles[0].size, NC_FRAME_LOG_GROUP,
                                      &plaintext, &err),
            NC_E_FRAME_TAG);
  must(nc_sealed_reader_raw(r, handles[0].offset, frame, handles[0].size, &err));
  must(nc_sealed_reader_open_raw(r, handles[0].offset, frame, handles[0].size, NC_FRAME_LOG_GROUP, &plaintext,
                                 &err));
  must_fail(nc_sealed_reader_raw(r, nc_sealed_reader_size(r) - 4, frame, 16, &err), NC_E_FILE_SHORT);
  nc_sealed_reader_close(r);
}

/* Everything that a file's keys took from private memory comes back. */
Test(sealed_file, gives_back_every_secret) {
  nc_handle handles[3];
  uint64_t before = nc_heap_bytes(f.env->heap);
  write_three("log", handles);
  nc_sealed_reader *r = open_reader("log");
  expect_frame(r, handles[0], three[0]);
  cr_assert_gt(nc_heap_bytes(f.env->heap), before);
  nc_sealed_reader_close(r);
  cr_assert_eq(nc_heap_bytes(f.env->heap), before);
}
