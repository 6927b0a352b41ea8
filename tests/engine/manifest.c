/* SPDX-License-Identifier: Apache-2.0
 *
 * manifest: what is committed is read again; what is torn, damaged, missing or put back is told apart.
 */
#include "manifest.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "frame.h"
#include "segments.h"
#include "table.h"

static floor_fixture f;
static nacre_error err;
static nc_manifest manifest;
static nc_manifest_content content;
static char current_path[PATH_BYTES], manifest_path[PATH_BYTES];

static void setup(void) {
  floor_open(&f);
  manifest = (nc_manifest){0};
  content = (nc_manifest_content){0};
  join(current_path, f.path, NC_CURRENT_NAME);
}
static void teardown(void) {
  nc_manifest_content_deinit(&content);
  nc_manifest_close(&manifest);
  floor_close(&f);
}
TestSuite(manifest, .init = setup, .fini = teardown);

static nc_segment *named(uint64_t number, nacre_slice smallest, nacre_slice largest) {
  nc_segment_record record = {.number = number,
                              .size = 16384,
                              .entries = number,
                              .sequence_min = 1,
                              .sequence_max = number + 1,
                              .smallest = smallest,
                              .largest = largest,
                              .origin_table = f.table};
  memset(record.last_tag, (int)number, sizeof record.last_tag);
  memset(record.dek_commitment, (int)number + 1, sizeof record.dek_commitment);
  return segment_of(&f, &record);
}

static void begin_with(nc_version *version, uint64_t number, uint64_t epoch, uint64_t sequence) {
  nc_manifest_base base = {
      .state = {.next_file_number = number + 999, .last_sequence = 5, .key_file_generation = 1},
      .version = version,
      .number = number,
      .epoch = epoch,
      .sequence = sequence};
  bool unnamed = true;
  must(nc_manifest_create(&f.dir, f.keys, &base, &manifest, &unnamed, &err));
  char name[NC_FILE_NAME_BYTES];
  nc_manifest_name(number, name);
  join(manifest_path, f.path, name);
}

static void begin(void) {
  nc_version *empty;
  must(nc_version_create(NULL, NULL, 0, &empty, &err));
  begin_with(empty, 1, 1, 1);
  nc_version_unref(empty);
}

static void commit_segment(uint64_t number) {
  nc_segment *s = named(number, text("a"), text("b"));
  nc_edit edit = {.add = &s, .add_count = 1, .place = {number, 2}, .state = {1000, 5 + number, 1}};
  must(nc_manifest_commit(&manifest, f.shared.env->heap, &edit, &err));
  nc_segment_unref(s);
}

static void read_back(void) {
  nc_manifest_content_deinit(&content);
  must(nc_manifest_read(&f.dir, f.keys, false, &content, &err));
}

static void read_fails(nc_error_id id) {
  nc_manifest_content_deinit(&content);
  must_fail(nc_manifest_read(&f.dir, f.keys, false, &content, &err), id);
}

static uint64_t manifest_size(void) {
  size_t size;
  free(file_load(manifest_path, &size));
  return size;
}

Test(manifest, a_fresh_one_is_empty) {
  begin();
  read_back();
  cr_expect_eq(content.segment_count, 0);
  cr_expect_eq(content.log_count, 0);
  cr_expect_eq(content.sequence, 1);
  cr_expect_eq(content.epoch, 1);
  cr_expect_eq(content.number, 1);
  cr_expect_eq(content.state.next_file_number, 1000);
  cr_expect_eq(content.torn_bytes, 0);
}

Test(manifest, commits_are_applied_in_order) {
  begin();
  commit_segment(10);
  commit_segment(11);
  nc_segment *old = named(10, text("a"), text("b")), *fresh = named(12, text(""), text("zz"));
  nc_log_name log = {.number = 20};
  nc_edit edit = {.add = &fresh,
                  .add_count = 1,
                  .place = {11, 2},
                  .remove = &old,
                  .remove_count = 1,
                  .add_log = &log,
                  .state = {2000, 77, 1}};
  must(nc_manifest_commit(&manifest, f.shared.env->heap, &edit, &err));
  nc_segment_unref(old);
  nc_segment_unref(fresh);
  log.number = 21;
  nc_edit add = {.add_log = &log, .state = {2001, 77, 1}};
  must(nc_manifest_commit(&manifest, f.shared.env->heap, &add, &err));
  uint64_t drop = 20;
  nc_edit dropping = {.drop_logs = &drop, .drop_log_count = 1, .state = {2002, 78, 1}};
  must(nc_manifest_commit(&manifest, f.shared.env->heap, &dropping, &err));
  read_back();
  cr_expect_eq(content.sequence, 6);
  cr_expect_eq(content.state.next_file_number, 2002);
  cr_expect_eq(content.state.last_sequence, 78);
  cr_assert_eq(content.log_count, 1);
  cr_expect_eq(content.logs[0].number, 21);
  cr_assert_eq(content.segment_count, 2);
  for (size_t i = 0; i < 2; i++) {
    const nc_segment_record *s = &content.segments[i];
    cr_expect(s->number == 11 || s->number == 12);
    if (s->number != 12) continue;
    cr_expect(slice_is(s->smallest, "") && slice_is(s->largest, "zz") && s->run == 11 && s->level == 2 &&
              s->entries == 12);
    cr_expect(s->last_tag[15] == 12 && s->dek_commitment[31] == 13 && s->size == 16384 &&
              s->sequence_max == 13);
  }
}

/* Removed and added in one edit: the same file, at another place. [M12] */
Test(manifest, a_segment_moves_in_one_edit) {
  begin();
  commit_segment(10);
  commit_segment(11);
  nc_segment *moved = named(10, text("a"), text("b"));
  nc_edit edit = {.add = &moved,
                  .add_count = 1,
                  .place = {9, 5},
                  .remove = &moved,
                  .remove_count = 1,
                  .state = {1000, 77, 1}};
  must(nc_manifest_commit(&manifest, f.shared.env->heap, &edit, &err));
  nc_segment_unref(moved);
  read_back();
  cr_assert_eq(content.segment_count, 2);
  for (size_t i = 0; i < 2; i++) {
    const nc_segment_record *s = &content.segments[i];
    if (s->number == 11) cr_expect(s->run == 11 && s->level == 2);
    if (s->number == 10)
      cr_expect(s->run == 9 && s->level == 5 && s->last_tag[15] == 10 && s->dek_commitment[31] == 11);
  }
}

/* Keys of 64 KiB fill the snapshot's frames fast; short ones come in thousands. */
Test(manifest, a_snapshot_of_thousands_of_segments_takes_several_frames) {
  enum { COUNT = 3000, LARGE = 30 };
  nc_segment **list = test_alloc(COUNT * sizeof *list);
  uint8_t *large = test_alloc(NACRE_KEY_BYTES_MAX);
  for (uint64_t i = 0; i < COUNT; i++) {
    char key[600];
    snprintf(key, sizeof key, "%05llu%0590d", (unsigned long long)i, 0);
    nacre_slice slice = text(key);
    if (i % (COUNT / LARGE) == 0) {
      memcpy(large, key, 5);
      slice = nc_slice(large, NACRE_KEY_BYTES_MAX);
    }
    list[i] = named(i + 1, slice, slice);
  }
  nc_version *version;
  nc_place *places = test_alloc(COUNT * sizeof *places);
  for (size_t i = 0; i < COUNT; i++) places[i] = (nc_place){1, 6};
  must(nc_version_create(list, places, COUNT, &version, &err));
  begin_with(version, 5000, 4, 17);
  cr_expect_gt(nc_sealed_writer_frames(manifest.writer), 3);
  read_back();
  cr_expect_eq(content.sequence, 17);
  cr_expect_eq(content.epoch, 4);
  cr_assert_eq(content.segment_count, COUNT);
  for (size_t i = 0; i < COUNT; i++) {
    const nc_segment_record *wanted = nc_segment_describe(version->segments[i]),
                            *found = &content.segments[i];
    cr_assert(found->number == wanted->number && nc_slice_equal(found->smallest, wanted->smallest) &&
              nc_slice_equal(found->largest, wanted->largest));
    cr_assert(found->run == 1 && found->level == 6);
  }
  nc_version_unref(version);
  for (size_t i = 0; i < COUNT; i++) nc_segment_unref(list[i]);
  free(places);
  free(list);
  free(large);
}

Test(manifest, a_torn_last_commit_is_left_out_at_every_length) {
  begin();
  commit_segment(10);
  uint64_t before = manifest_size();
  commit_segment(11);
  uint64_t after = manifest_size();
  for (uint64_t length = after - 1; length > before; length--) {
    file_cut(manifest_path, length);
    read_back();
    cr_assert_eq(content.sequence, 2);
    cr_assert_eq(content.segment_count, 1);
    cr_assert_eq(content.torn_bytes, length - before);
  }
  file_cut(manifest_path, before);
  read_back();
  cr_expect_eq(content.torn_bytes, 0);
}

Test(manifest, a_last_commit_of_zeros_is_left_out) {
  begin();
  commit_segment(10);
  uint64_t before = manifest_size();
  commit_segment(11);
  uint64_t after = manifest_size();
  file_cut(manifest_path, before);
  file_cut(manifest_path, after); /* longer again: zeros */
  read_back();
  cr_expect_eq(content.sequence, 2);
  cr_expect_eq(content.torn_bytes, after - before);
}

Test(manifest, damage_before_the_last_commit_is_refused) { /* [M9] */
  begin();
  uint64_t first = manifest_size();
  commit_segment(10);
  uint64_t second = manifest_size();
  commit_segment(11);
  for (uint64_t at = first; at < second; at++) {
    file_flip(manifest_path, at);
    read_fails(NC_E_MANIFEST_DAMAGED);
    cr_expect_eq(err.offset, first);
    file_flip(manifest_path, at);
  }
  read_back();
}

Test(manifest, a_damaged_snapshot_is_refused) {
  begin();
  commit_segment(10);
  file_flip(manifest_path, NC_FRAMES_OFFSET + 20);
  read_fails(NC_E_MANIFEST_SNAPSHOT);
  cr_expect_not_null(strstr(err.file, ".man"));
}

Test(manifest, a_snapshot_without_its_end_is_refused) {
  begin();
  size_t size;
  uint8_t *bytes = file_load(manifest_path, &size);
  file_cut(manifest_path, NC_FRAMES_OFFSET + nc_frame_size(nc_get_u32(bytes + NC_FRAMES_OFFSET)));
  free(bytes);
  read_fails(NC_E_MANIFEST_SNAPSHOT);
  file_cut(manifest_path, NC_FRAMES_OFFSET);
  read_fails(NC_E_MANIFEST_SNAPSHOT);
}

Test(manifest, a_commit_with_a_bad_tag_and_a_good_checksum_is_tampering) { /* [M9] */
  begin();
  uint64_t before = manifest_size();
  commit_segment(10);
  size_t size;
  uint8_t *bytes = file_load(manifest_path, &size);
  bytes[before + NC_FRAME_HEADER_BYTES] ^= 1;
  nc_frame_finish(bytes + before);
  file_store(manifest_path, bytes, size);
  free(bytes);
  read_fails(NC_E_MANIFEST_TAMPERED);
  cr_expect_eq(err.offset, before);
}

Test(manifest, a_missing_one_is_refused) { /* [C5] */
  begin();
  cr_assert_eq(remove(manifest_path), 0);
  read_fails(NC_E_MANIFEST_MISSING);
  cr_expect_not_null(strstr(err.file, ".man"));
}

Test(manifest, another_one_under_its_name_is_refused) { /* [N1] */
  begin();
  nc_manifest_close(&manifest);
  char first_current[PATH_BYTES], other[PATH_BYTES];
  join(first_current, f.path, "kept");
  file_copy(current_path, first_current);
  cr_assert_eq(remove(manifest_path), 0);
  memcpy(other, manifest_path, sizeof other);
  begin();
  file_copy(first_current, current_path);
  read_fails(NC_E_FILE_IDENTITY);
}

/* A CURRENT put back to an older copy names a manifest that is gone, or is of an older epoch than the one
 * it names. */
Test(manifest, a_current_put_back_after_a_new_manifest_is_not_believed) {
  begin();
  nc_manifest_close(&manifest);
  char kept[PATH_BYTES], first[PATH_BYTES];
  join(kept, f.path, "kept");
  file_copy(current_path, kept);
  memcpy(first, manifest_path, sizeof first);
  nc_version *empty;
  must(nc_version_create(NULL, NULL, 0, &empty, &err));
  begin_with(empty, 2, 2, 2);
  nc_version_unref(empty);
  cr_assert_eq(remove(first), 0);
  file_copy(kept, current_path);
  read_fails(NC_E_MANIFEST_MISSING);
}

/* ---- commits that contradict one another: authentic, but no writer of ours makes them ------------------ */

typedef void fill(nc_writer *w);

/* A manifest under CURRENT with these edits, one frame each. */
static void forge(fill *const *edits, size_t count) {
  begin();
  nc_manifest_close(&manifest);
  nc_identity identity = {.type = NC_FILE_MANIFEST, .origin_table = f.table, .number = 2, .epoch = 2};
  nc_sealed_writer *w;
  char name[NC_FILE_NAME_BYTES];
  nc_manifest_name(2, name);
  must(nc_sealed_writer_create(&f.dir, name, &identity, nc_table_keys_active(f.keys), 0, &w, &err));
  for (size_t i = 0; i < count; i++) {
    uint8_t bytes[1024];
    nc_writer edit = nc_writer_over(bytes, sizeof bytes);
    edits[i](&edit);
    must(nc_sealed_writer_append(w, NC_FRAME_EDIT, nc_slice(bytes, edit.size), NULL, &err));
  }
  const nc_kek *kek = nc_table_keys_active(f.keys);
  nc_current current = {.table = f.table,
                        .manifest = identity.file,
                        .manifest_number = 2,
                        .epoch = 2,
                        .kek_id = nc_kek_describe(kek)->id,
                        .kek_version_min = 1};
  memcpy(current.manifest_commitment, nc_sealed_writer_header(w)->dek_commitment, NC_COMMITMENT_BYTES);
  nc_sealed_writer_close(w);
  uint8_t bytes[NC_CURRENT_BYTES];
  nc_current_encode(&current, bytes);
  must(nc_table_keys_current_mac(f.keys, kek, nc_slice(bytes, NC_CURRENT_MAC_OFFSET),
                                 bytes + NC_CURRENT_MAC_OFFSET, &err));
  file_store(current_path, bytes, sizeof bytes);
}

static void snapshot(nc_writer *w) {
  nc_table_state state = {100, 1, 1};
  nc_edit_begin(w, 5, NC_EDIT_SNAPSHOT | NC_EDIT_SNAPSHOT_END);
  nc_edit_add_state(w, &state);
}
static void late_snapshot(nc_writer *w) { nc_edit_begin(w, 6, NC_EDIT_SNAPSHOT | NC_EDIT_SNAPSHOT_END); }
static void plain_5(nc_writer *w) { nc_edit_begin(w, 5, 0); }
static void plain_6(nc_writer *w) { nc_edit_begin(w, 6, 0); }
static void plain_7(nc_writer *w) { nc_edit_begin(w, 7, 0); }
static void snapshot_open(nc_writer *w) { nc_edit_begin(w, 5, NC_EDIT_SNAPSHOT); }
static void log_3(nc_writer *w) {
  nc_log_name log = {.number = 3};
  nc_edit_begin(w, 6, 0);
  nc_edit_add_log(w, &log);
}
static void log_2_late(nc_writer *w) {
  nc_log_name log = {.number = 2};
  nc_edit_begin(w, 7, 0);
  nc_edit_add_log(w, &log);
}
static void drop_9(nc_writer *w) {
  nc_edit_begin(w, 6, 0);
  nc_edit_drop_log(w, 9);
}
static void remove_9(nc_writer *w) {
  nc_edit_begin(w, 6, 0);
  nc_edit_remove_segment(w, 9);
}
static void add_4_twice(nc_writer *w) {
  nc_segment_record s = {.number = 4,
                         .size = 16384,
                         .entries = 1,
                         .sequence_min = 1,
                         .sequence_max = 1,
                         .run = 1,
                         .smallest = text("a"),
                         .largest = text("b")};
  nc_edit_begin(w, 6, 0);
  nc_edit_add_segment(w, &s);
  nc_edit_add_segment(w, &s);
}
static void nonsense(nc_writer *w) { nc_write_u8(w, 0xFF); }

Test(manifest, an_authentic_one_is_still_checked_edit_by_edit) {
  static const struct {
    fill *edits[3];
    size_t count;
    nc_error_id id;
  } cases[] = {
      {{snapshot, plain_7}, 2, NC_E_MANIFEST_SEQUENCE}, /* [M4] */
      {{snapshot, plain_5}, 2, NC_E_MANIFEST_SEQUENCE},
      {{snapshot_open, late_snapshot}, 2, NC_E_MANIFEST_SEQUENCE},
      {{plain_5}, 1, NC_E_MANIFEST_SNAPSHOT}, /* [M3] */
      {{snapshot, late_snapshot}, 2, NC_E_MANIFEST_SNAPSHOT},
      {{snapshot_open, plain_5}, 2, NC_E_MANIFEST_SNAPSHOT},
      {{snapshot_open}, 1, NC_E_MANIFEST_SNAPSHOT},
      {{snapshot, drop_9}, 2, NC_E_MANIFEST_EDIT}, /* [M5] */
      {{snapshot, remove_9}, 2, NC_E_MANIFEST_EDIT},
      {{snapshot, add_4_twice}, 2, NC_E_MANIFEST_EDIT},
      {{snapshot, log_3, log_2_late}, 3, NC_E_MANIFEST_EDIT},
      {{snapshot, nonsense}, 2, NC_E_EDIT_SHAPE},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char forged[PATH_BYTES];
    forge(cases[i].edits, cases[i].count);
    read_fails(cases[i].id);
    join(forged, f.path, "00000000000000000002.man");
    cr_assert_eq(remove(forged), 0);
    cr_assert_eq(remove(manifest_path), 0);
  }
  static fill *const good[] = {snapshot, plain_6, plain_7};
  forge(good, 3);
  read_back();
  cr_expect_eq(content.sequence, 7);
}

/* A key file was put back to an older copy, under a manifest that was made after a later one. [M6] */
Test(manifest, a_key_file_older_than_the_manifest_knows_is_refused) {
  nc_version *empty;
  must(nc_version_create(NULL, NULL, 0, &empty, &err));
  nc_manifest_base base = {.state = {.next_file_number = 2, .key_file_generation = 2},
                           .version = empty,
                           .number = 1,
                           .epoch = 1,
                           .sequence = 1};
  bool unnamed = true;
  must(nc_manifest_create(&f.dir, f.keys, &base, &manifest, &unnamed, &err));
  nc_version_unref(empty);
  nc_dir dir;
  nacre_table *t;
  const nc_table_settings settings = {NACRE_COMPRESSION_AUTOMATIC, 4096, 10};
  must(nc_dir_open(f.shared.env, f.path, false, &dir, &err));
  must_fail(nc_table_load(&f.shared, &dir, nc_table_keys_ref(f.keys), &settings, true,
                          NACRE_RECOVERY_STRICT, &t, &err),
            NC_E_KEY_FILE_ROLLED_BACK);
}

/* ---- CURRENT ------------------------------------------------------------------------------------------- */

Test(manifest, a_missing_current_is_refused) { /* [C5] */
  begin();
  cr_assert_eq(remove(current_path), 0);
  read_fails(NC_E_CURRENT_MISSING);
}

Test(manifest, a_current_of_another_size_is_refused) {
  begin();
  for (uint64_t size = 0; size < NC_CURRENT_BYTES; size += 13) {
    file_cut(current_path, size);
    read_fails(NC_E_CURRENT_SHAPE);
  }
  file_cut(current_path, NC_CURRENT_BYTES + 1);
  read_fails(NC_E_CURRENT_SHAPE);
  file_cut(current_path, NC_CURRENT_BYTES + 2);
  nc_manifest_content_deinit(&content);
  cr_expect_eq(nc_manifest_read(&f.dir, f.keys, false, &content, &err), NACRE_CORRUPT);
}

Test(manifest, a_current_with_any_bit_flipped_is_refused) {
  begin();
  for (uint64_t at = 0; at < NC_CURRENT_BYTES; at++) {
    file_flip(current_path, at);
    nc_manifest_content_deinit(&content);
    nacre_status status = nc_manifest_read(&f.dir, f.keys, false, &content, &err);
    cr_assert_eq(status, at < NC_CURRENT_MAC_OFFSET ? NACRE_CORRUPT : NACRE_TAMPERED, "byte %llu: %s",
                 (unsigned long long)at, nacre_status_name(status));
    file_flip(current_path, at);
  }
  read_back();
}

/* Changes CURRENT and mends its checksum, and its MAC when `mac`. */
static void change_current(size_t at, bool mac) {
  size_t size;
  uint8_t *bytes = file_load(current_path, &size);
  nc_current current;
  must(nc_current_decode(nc_slice(bytes, size), &current, &err));
  uint8_t *field = at == 0   ? current.table.bytes
                   : at == 1 ? current.kek_id.bytes
                             : current.manifest_commitment;
  field[3] ^= 1;
  nc_current_encode(&current, bytes);
  memcpy(bytes + NC_CURRENT_MAC_OFFSET, current.mac, NC_MAC_BYTES);
  if (mac) {
    must(nc_table_keys_current_mac(f.keys, nc_table_keys_active(f.keys),
                                   nc_slice(bytes, NC_CURRENT_MAC_OFFSET), bytes + NC_CURRENT_MAC_OFFSET,
                                   &err));
  }
  file_store(current_path, bytes, size);
  free(bytes);
}

Test(manifest, a_current_of_another_table_is_refused) { /* [C2] */
  begin();
  change_current(0, true);
  read_fails(NC_E_CURRENT_TABLE);
}

Test(manifest, a_current_under_an_unknown_table_key_is_refused) { /* [C3] */
  begin();
  change_current(1, true);
  read_fails(NC_E_CURRENT_KEK);
}

Test(manifest, a_changed_current_with_a_mended_checksum_is_tampering) { /* [C4] */
  begin();
  change_current(2, false);
  read_fails(NC_E_CURRENT_MAC);
}

Test(manifest, a_current_that_names_another_data_key_is_refused) {
  begin();
  change_current(2, true);
  read_fails(NC_E_FILE_IDENTITY);
}

Test(manifest, an_edit_that_would_not_fit_a_frame_calls_for_a_new_manifest) {
  begin();
  nc_segment *small = named(10, text("a"), text("b"));
  nc_edit edit = {.add = &small, .add_count = 1};
  cr_expect(nc_manifest_fits(&manifest, &edit));
  nc_segment_unref(small);
  enum { COUNT = 80 };
  static nc_segment *list[COUNT];
  uint8_t *key = test_alloc(NACRE_KEY_BYTES_MAX);
  for (uint64_t i = 0; i < COUNT; i++) {
    key[0] = (uint8_t)i;
    list[i] = named(i + 1, nc_slice(key, NACRE_KEY_BYTES_MAX), nc_slice(key, NACRE_KEY_BYTES_MAX));
  }
  edit = (nc_edit){.add = list, .add_count = COUNT};
  cr_expect_not(nc_manifest_fits(&manifest, &edit));
  for (size_t i = 0; i < COUNT; i++) nc_segment_unref(list[i]);
  free(key);
}
