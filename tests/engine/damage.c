/* SPDX-License-Identifier: Apache-2.0
 *
 * A whole table with damage in it: what opens, what answers, what verify finds; and files that should not
 * be there.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fixture.h"
#include "frame.h"
#include "manifest.h"
#include "segment_writer.h"

static site s;
static char directory[PATH_BYTES], path[PATH_BYTES], image[PATH_BYTES];
static nacre_store *store;

enum { ENTRIES = 900 };
static const char *key_of(int i, char buffer[16]) {
  snprintf(buffer, 16, "%05d", i);
  return buffer;
}

/* A table with two segments of keys that do not mix, and a log that was cleanly ended; or, `killed`,
 * abandoned. */
static void make(bool killed) {
  char key[16];
  nacre_table *t = site_table(&s, &store, "table");
  for (int i = 0; i < ENTRIES; i++) {
    if (i == 300 || i == 600) ok(nacre_flush(t));
    put_text(t, key_of(i, key), "value", i == 800);
  }
  join(image, s.path, "image");
  if (killed) tree_copy(s.store, image);
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  if (!killed) return;
  test_scratch_remove(s.store);
  require(rename(image, s.store) == 0);
}

static void setup(void) { site_make(&s); }
static void teardown(void) { site_remove(&s); }
TestSuite(damage, .init = setup, .fini = teardown);

static int answered(nacre_table *t, int from, int to) {
  int count = 0;
  char key[16];
  for (int i = from; i < to; i++) {
    nacre_value v;
    nacre_status status = nacre_get(t, text(key_of(i, key)), NULL, &v);
    cr_assert(status == NACRE_OK || status == NACRE_CORRUPT || status == NACRE_TAMPERED, "%s",
              nacre_status_name(status));
    if (status != NACRE_OK) continue;
    cr_assert(slice_is(nc_slice(v.data, v.size), "value"));
    nacre_value_release(&v);
    count++;
  }
  return count;
}

/* The name of the oldest segment: the one with keys 0 to 299. */
static void first_segment(void) {
  uint64_t lowest = 1000;
  for (uint64_t n = 1; n < 1000; n++) {
    char name[NC_FILE_NAME_BYTES];
    nc_segment_name(n, name);
    join(path, directory, name);
    if (file_is_there(path) && n < lowest) lowest = n;
  }
  char name[NC_FILE_NAME_BYTES];
  nc_segment_name(lowest, name);
  join(path, directory, name);
}

static void open_fails(nc_error_id id) {
  nacre_table *t;
  store = site_open(&s);
  fails(nacre_table_open(store, "table", NULL, &t), id);
  ok(nacre_close(store));
}

static nacre_table *open_to_damage(void) {
  nacre_table *t;
  nacre_table_open_options options = {.read_only = true, .recovery = NACRE_RECOVERY_TO_DAMAGE};
  store = site_open(&s);
  ok(nacre_table_open(store, "table", &options, &t));
  return t;
}

static void close_all(nacre_table *t) {
  ok(nacre_table_close(t));
  ok(nacre_close(store));
}

/* Verify finds something, says so, and every fault names a file. */
static void verify_finds(nacre_table *t, nc_error_id id) {
  nacre_verify_report report = {0};
  fails(nacre_verify(t, NULL, &report), id);
  cr_assert(report.fault_count > 0 && report.fault_count == nacre_faults_count(report.faults));
  for (size_t i = 0; i < report.fault_count; i++) {
    const nacre_error *fault = nacre_faults_at(report.faults, i);
    cr_expect(fault->status != NACRE_OK && fault->id != 0 && fault->file[0] != '\0', "%s", fault->text);
  }
  cr_expect_null(nacre_faults_at(report.faults, report.fault_count));
  nacre_faults_free(report.faults);
}

/* ---- segments ------------------------------------------------------------------------------------------ */

Test(damage, a_table_with_a_damaged_segment_opens_and_the_rest_answers) {
  make(false);
  site_table_path(&s, "table", directory);
  first_segment();
  file_flip(path, 8192 + 100);
  nacre_table *t = site_table(&s, &store, "table");
  cr_expect(answered(t, 0, 300) < 300);
  cr_expect_eq(answered(t, 300, ENTRIES), ENTRIES - 300);
  put_text(t, "zz", "still takes writes", true);
  verify_finds(t, NC_E_FRAME_CRC);
  close_all(t);
}

/* What a table has open is the file that was there; what matters is the one that will be opened next. */
Test(damage, verify_looks_at_the_file_that_stands_there_now) {
  make(false);
  site_table_path(&s, "table", directory);
  first_segment();
  nacre_table *t = site_table(&s, &store, "table");
  cr_expect_eq(answered(t, 0, ENTRIES), ENTRIES);
  char aside[PATH_BYTES];
  join(aside, s.path, "aside");
  file_copy(path, aside);
  file_flip(aside, 8192 + 100);
  cr_assert_eq(rename(aside, path), 0);
  verify_finds(t, NC_E_FRAME_CRC);
  file_copy(path, aside); /* the header's second slot */
  file_flip(aside, 8192 + 100);
  file_flip(aside, 4096 + 200);
  cr_assert_eq(rename(aside, path), 0);
  verify_finds(t, NC_E_HEADER_CRC);
  close_all(t);
}

Test(damage, a_missing_segment_is_named_and_the_rest_answers) {
  make(false);
  site_table_path(&s, "table", directory);
  first_segment();
  cr_assert_eq(remove(path), 0);
  nacre_table *t = site_table(&s, &store, "table");
  nacre_value v;
  fails(nacre_get(t, text("00001"), NULL, &v), NC_E_SEGMENT_MISSING);
  cr_expect_eq(answered(t, 300, ENTRIES), ENTRIES - 300);
  verify_finds(t, NC_E_SEGMENT_MISSING);
  close_all(t);
}

Test(damage, a_merge_over_damage_fails_and_loses_nothing) {
  make(false);
  site_table_path(&s, "table", directory);
  first_segment();
  file_flip(path, 8192 + 100);
  nacre_table *t = site_table(&s, &store, "table");
  nacre_slice none = {NULL, 0};
  int before = answered(t, 0, ENTRIES);
  cr_expect_eq(nacre_compact(t, none, none), NACRE_CORRUPT);
  cr_expect_eq(nacre_wait_idle(t), NACRE_CORRUPT);
  cr_expect_eq(answered(t, 0, ENTRIES), before);
  cr_expect(file_is_there(path));
  close_all(t);
}

/* Every byte of a segment, each alone: verify finds it. */
Test(damage, verify_finds_a_flipped_bit_anywhere_in_a_segment, .timeout = 120) {
  make(false);
  site_table_path(&s, "table", directory);
  first_segment();
  size_t size;
  free(file_load(path, &size));
  for (uint64_t at = 0; at < size; at += at < 220 || at > 8192 ? 7 : 501) {
    file_flip(path, at);
    nacre_table *t = site_table(&s, &store, "table");
    nacre_status status = nacre_verify(t, NULL, NULL);
    cr_assert(status == NACRE_CORRUPT || status == NACRE_TAMPERED || status == NACRE_UNSUPPORTED ||
                  status == NACRE_KEY_MISSING,
              "byte %llu of %zu: %s", (unsigned long long)at, size, nacre_status_name(status));
    close_all(t);
    file_flip(path, at);
  }
}

/* ---- logs ---------------------------------------------------------------------------------------------- */

/* The log's frames by walking: where the n-th begins. */
static uint64_t frame_offset(size_t n) {
  size_t size;
  uint8_t *bytes = file_load(path, &size);
  uint64_t at = NC_FRAMES_OFFSET;
  while (n-- > 0) at += nc_frame_size(nc_get_u32(bytes + at));
  require(at < size);
  free(bytes);
  return at;
}

Test(damage, a_log_damaged_before_a_sync_refuses_to_open_and_is_read_up_to_the_damage) {
  make(true);
  site_table_path(&s, "table", directory);
  only_file(directory, ".log", path);
  file_flip(path, frame_offset(51) + 20); /* the start frame, then key 600, ...: this is key 650 */
  open_fails(NC_E_LOG_DAMAGED);
  nacre_table *t = open_to_damage();
  nacre_recovery_report report;
  ok(nacre_table_recovery(t, &report));
  cr_expect(report.damaged && !report.clean && report.entries == 50 && report.reason[0] != '\0');
  cr_expect_not_null(strstr(report.file, ".log"));
  char key[16];
  cr_expect(holds(t, NULL, "00649", "value") && holds(t, NULL, key_of(650, key), NULL));
  close_all(t);
}

Test(damage, verify_of_a_table_read_up_to_the_damage_finds_the_damage) {
  make(true);
  site_table_path(&s, "table", directory);
  only_file(directory, ".log", path);
  file_flip(path, frame_offset(51) + 20);
  nacre_table *t = open_to_damage();
  nacre_verify_report report = {0};
  nacre_status status = nacre_verify(t, NULL, &report);
  cr_expect_eq(status, NACRE_CORRUPT, "%s", nacre_status_name(status));
  cr_expect_gt(report.fault_count, 0);
  nacre_faults_free(report.faults);
  close_all(t);
}

Test(damage, a_log_damaged_behind_the_last_sync_opens_and_reports) {
  make(true);
  site_table_path(&s, "table", directory);
  only_file(directory, ".log", path);
  file_flip(path, frame_offset(1 + 250 + 1) + 20); /* start, 600 to 849, and the mark behind 800 */
  nacre_table *t = site_table(&s, &store, "table");
  nacre_recovery_report report;
  ok(nacre_table_recovery(t, &report));
  cr_expect(!report.clean && !report.damaged && report.dropped_bytes > 0 && report.maybe_synced);
  cr_expect_eq(report.entries, 250);
  cr_expect(holds(t, NULL, "00849", "value") && holds(t, NULL, "00850", NULL));
  put_text(t, "00850", "anew", true);
  ok(nacre_verify(t, NULL, NULL));
  close_all(t);
  t = site_table(&s, &store, "table");
  ok(nacre_table_recovery(t, &report));
  cr_expect(report.clean);
  cr_expect(holds(t, NULL, "00849", "value") && holds(t, NULL, "00850", "anew") &&
            holds(t, NULL, "00851", NULL));
  close_all(t);
}

Test(damage, a_missing_log_refuses_to_open) {
  make(true);
  site_table_path(&s, "table", directory);
  only_file(directory, ".log", path);
  cr_assert_eq(remove(path), 0);
  open_fails(NC_E_LOG_MISSING);
  nacre_table *t = open_to_damage();
  cr_expect_eq(answered(t, 0, 600), 600);
  cr_expect(holds(t, NULL, "00600", NULL));
  close_all(t);
}

Test(damage, a_tampered_log_refuses_to_open) {
  make(true);
  site_table_path(&s, "table", directory);
  only_file(directory, ".log", path);
  uint64_t at = frame_offset(5);
  size_t size;
  uint8_t *bytes = file_load(path, &size);
  bytes[at + 20] ^= 1;
  nc_frame_finish(bytes + at);
  file_store(path, bytes, size);
  free(bytes);
  open_fails(NC_E_LOG_TAMPERED);
}

Test(damage, verify_finds_a_flipped_bit_anywhere_in_a_cleanly_ended_log, .timeout = 120) {
  make(false);
  site_table_path(&s, "table", directory);
  only_file(directory, ".log", path);
  size_t size;
  free(file_load(path, &size));
  for (uint64_t at = NC_FRAMES_OFFSET; at < size; at += 53) {
    nacre_table *t = site_table(&s, &store, "table");
    file_flip(path, at);
    nacre_status status = nacre_verify(t, NULL, NULL);
    cr_assert(status == NACRE_CORRUPT || status == NACRE_TAMPERED, "byte %llu of %zu: %s",
              (unsigned long long)at, size, nacre_status_name(status));
    file_flip(path, at);
    close_all(t);
  }
}

/* ---- CURRENT, manifest, keys --------------------------------------------------------------------------- */

Test(damage, a_damaged_manifest_refuses_to_open_in_every_mode) {
  make(false);
  site_table_path(&s, "table", directory);
  only_file(directory, ".man", path);
  file_flip(path, NC_FRAMES_OFFSET + 30);
  open_fails(NC_E_MANIFEST_SNAPSHOT);
  file_flip(path, NC_FRAMES_OFFSET + 30);
  file_flip(path, frame_offset(2) + 20); /* the first commit behind the snapshot */
  open_fails(NC_E_MANIFEST_DAMAGED);
}

Test(damage, a_manifest_put_back_is_rolled_back_and_nothing_is_deleted) {
  make(false);
  site_table_path(&s, "table", directory);
  char current[PATH_BYTES], kept[PATH_BYTES], kept_current[PATH_BYTES];
  only_file(directory, ".man", path);
  join(current, directory, "CURRENT");
  join(kept, s.path, "kept.man");
  join(kept_current, s.path, "kept.CURRENT");
  file_copy(path, kept);
  file_copy(current, kept_current);
  nacre_table *t = site_table(&s, &store, "table");
  put_text(t, "zz", "a new manifest, and a new log", true);
  close_all(t);
  file_copy(kept, path);
  file_copy(kept_current, current);
  uint64_t before = tree_digest(directory, NULL);
  store = site_open(&s);
  nacre_status status = nacre_table_open(store, "table", NULL, &t);
  cr_expect_eq(status, NACRE_ROLLED_BACK, "%s", nacre_status_name(status));
  cr_expect_eq(tree_digest(directory, NULL), before);
  ok(nacre_close(store));
}

/* Cut at a commit's border: authentic, and shorter than what other files know of. */
Test(damage, a_manifest_cut_at_a_commit_is_rolled_back_and_nothing_is_deleted) {
  make(true);
  site_table_path(&s, "table", directory);
  only_file(directory, ".man", path);
  size_t size, frames = 0;
  uint8_t *bytes = file_load(path, &size);
  for (uint64_t at = NC_FRAMES_OFFSET; at < size; frames++) at += nc_frame_size(nc_get_u32(bytes + at));
  for (size_t keep = frames - 1; keep >= 2; keep--) { /* the snapshot's two frames stay */
    nacre_table *t;
    file_cut(path, frame_offset(keep));
    uint64_t before = tree_digest(directory, NULL);
    store = site_open(&s);
    nacre_status status = nacre_table_open(store, "table", NULL, &t);
    cr_assert(status == NACRE_ROLLED_BACK || status == NACRE_CORRUPT, "%zu of %zu frames: %s", keep, frames,
              nacre_status_name(status));
    ok(nacre_close(store));
    cr_assert_eq(tree_digest(directory, NULL), before);
    file_store(path, bytes, size);
  }
  free(bytes);
}

Test(damage, verify_finds_unequal_key_files_and_a_writing_open_mends_them) {
  make(false);
  site_table_path(&s, "table", directory);
  join(path, directory, "KEYS.b");
  file_flip(path, 60);
  s.options.create = false;
  s.options.read_only = true;
  nacre_table *t = site_table(&s, &store, "table");
  cr_expect_eq(answered(t, 0, ENTRIES), ENTRIES);
  fails(nacre_verify(t, NULL, NULL), NC_E_KEY_COPIES_DIFFER);
  close_all(t);
  s.options.read_only = false;
  t = site_table(&s, &store, "table");
  cr_expect_eq(answered(t, 0, ENTRIES), ENTRIES);
  ok(nacre_table_rewrap_wait(t, NULL));
  cr_expect_eq(nacre_verify(t, NULL, NULL), NACRE_OK);
  close_all(t);
}

/* ---- files that nothing names -------------------------------------------------------------------------- */

static void add_orphans(void) {
  static const char *const names[] = {"00000000000000000900.seg", "00000000000000000901.log",
                                      "00000000000000000902.man", "CURRENT.tmp"};
  for (size_t i = 0; i < 4; i++) {
    char orphan[PATH_BYTES];
    join(orphan, directory, names[i]);
    file_store(orphan, "junk", 4);
  }
}

Test(damage, orphans_go_with_the_first_write) { /* [N2] */
  make(false);
  site_table_path(&s, "table", directory);
  add_orphans();
  join(path, directory, "somebody's file");
  file_store(path, "x", 1);
  nacre_table *t = site_table(&s, &store, "table");
  cr_expect_eq(count_files(directory, "900.seg") + count_files(directory, "901.log"), 2,
               "reading removes nothing");
  put_text(t, "zz", "x", false);
  cr_expect_eq(count_files(directory, "900.seg") + count_files(directory, "901.log") +
                   count_files(directory, "902.man"),
               0);
  cr_expect(file_is_there(path), "a file of another kind is not ours to remove");
  cr_expect_eq(answered(t, 0, ENTRIES), ENTRIES);
  put_text(t, "zz", "numbers are not used again", true);
  close_all(t);
}

Test(damage, orphans_stay_while_a_named_file_is_not_whole) {
  make(false);
  site_table_path(&s, "table", directory);
  add_orphans();
  first_segment();
  char away[PATH_BYTES];
  join(away, s.path, "away");
  cr_assert_eq(rename(path, away), 0);
  nacre_table *t = site_table(&s, &store, "table");
  put_text(t, "zz", "x", false);
  cr_expect_eq(count_files(directory, "900.seg") + count_files(directory, "901.log"), 2);
  close_all(t);
  cr_assert_eq(rename(away, path), 0);
  t = site_table(&s, &store, "table");
  put_text(t, "zz", "y", false);
  cr_expect_eq(count_files(directory, "900.seg") + count_files(directory, "901.log"), 0);
  close_all(t);
}

/* ---- the catalogue is a table like any other ----------------------------------------------------------- */

Test(damage, a_damaged_catalogue_refuses_to_open) {
  make(false);
  site_table_path(&s, NULL, directory);
  join(path, directory, "CURRENT");
  nacre_store *again;
  cr_assert_eq(remove(path), 0);
  fails(nacre_open(s.store, &s.options, &again), NC_E_CURRENT_MISSING);
}

/* A directory of another table under a table's name: its keys are not those that the catalogue vouches [G1]
 * for. */
Test(damage, two_tables_that_changed_places_are_refused) {
  char other[PATH_BYTES], away[PATH_BYTES];
  make(false);
  nacre_table *t = site_table(&s, &store, "other");
  close_all(t);
  site_table_path(&s, "table", directory);
  site_table_path(&s, "other", other);
  join(away, s.path, "away");
  cr_assert(rename(directory, away) == 0 && rename(other, directory) == 0 && rename(away, other) == 0);
  store = site_open(&s);
  cr_expect_eq(nacre_table_open(store, "table", NULL, &t), NACRE_TAMPERED);
  cr_expect_eq(nacre_table_open(store, "other", NULL, &t), NACRE_TAMPERED);
  ok(nacre_close(store));
}

/* The catalogue names it, so it is lost, not unknown. */
Test(damage, a_tables_directory_that_is_missing_is_an_error) {
  char away[PATH_BYTES];
  make(false);
  site_table_path(&s, "table", directory);
  join(away, s.path, "away");
  cr_assert_eq(rename(directory, away), 0);
  open_fails(NC_E_TABLE_LOST); /* [T4] */
}
