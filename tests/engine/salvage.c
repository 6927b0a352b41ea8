/* SPDX-License-Identifier: Apache-2.0
 *
 * Salvage: what comes out of a damaged store, what is told of the rest, and that the source stays as it is.
 *
 * Every test ends with the same three looks: the new store verifies clean, it holds nothing that was not
 * written, and names, bytes and times below the source are what they were. The file is long because all
 * tests share these looks and the store that they begin with.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"
#include "frame.h"
#include "segment_writer.h"

static site s;
static char directory[PATH_BYTES], path[PATH_BYTES], fresh[PATH_BYTES], uuid_name[80];
static nacre_store *store;
static nacre_salvage_options options;
static nacre_store_options source;
static nacre_salvage_report report;

enum { ENTRIES = 900, PER_SEGMENT = 300 };

static void setup(void) {
  site_make(&s);
  join(fresh, s.path, "new");
  source = s.options;
  source.create = false;
  options = (nacre_salvage_options){.to = fresh, .source = &source};
  report = (nacre_salvage_report){0};
}
static void teardown(void) {
  nacre_faults_free(report.faults);
  site_remove(&s);
}
TestSuite(salvage, .init = setup, .fini = teardown);

static const char *key_of(int i, char buffer[16]) {
  snprintf(buffer, 16, "%05d", i);
  return buffer;
}

static const char *value_of(int i, char buffer[64]) {
  snprintf(buffer, 64, "the value of entry number %d, which is long", i);
  return buffer;
}

/* Three segments of keys that do not mix, or two and a log; `killed`: as a process leaves it that dies. */
static void make(int logged_from, bool killed) {
  char key[16], value[64], image[PATH_BYTES];
  nacre_table *t = site_table(&s, &store, "table");
  for (int i = 0; i < ENTRIES; i++) {
    if (i > 0 && i % PER_SEGMENT == 0 && i <= logged_from) ok(nacre_flush(t));
    put_text(t, key_of(i, key), value_of(i, value), i == 890);
  }
  if (logged_from >= ENTRIES) ok(nacre_flush(t));
  join(image, s.path, "image");
  if (killed) tree_copy(s.store, image);
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  if (killed) {
    test_scratch_remove(s.store);
    require(rename(image, s.store) == 0);
  }
  site_table_path(&s, "table", directory);
  snprintf(uuid_name, sizeof uuid_name, "uuid:%.36s", strrchr(directory, '/') + 1);
}

/* The n-th segment, from 0, by its number. */
static void segment_at(int n) {
  for (uint64_t number = 1; number < 1000; number++) {
    char name[NC_FILE_NAME_BYTES];
    nc_segment_name(number, name);
    join(path, directory, name);
    if (file_is_there(path) && n-- == 0) return;
  }
  require(false);
}

/* The frames of the file at `path`: where the n-th begins. */
static uint64_t frame_offset(size_t n) {
  size_t size;
  uint8_t *bytes = file_load(path, &size);
  uint64_t at = NC_FRAMES_OFFSET;
  while (n-- > 0) at += nc_frame_size(nc_get_u32(bytes + at));
  require(at < size);
  free(bytes);
  return at;
}

static size_t frames_of_type(uint8_t type) {
  size_t size, count = 0;
  uint8_t *bytes = file_load(path, &size);
  for (uint64_t at = NC_FRAMES_OFFSET; at < size; at += nc_frame_size(nc_get_u32(bytes + at)))
    count += bytes[at + 4] == type;
  free(bytes);
  return count;
}

/* ---- the source stays as it is ------------------------------------------------------------------------- */

static uint64_t state_of(const char *at) {
  uint64_t state = 0;
  DIR *dir = opendir(at);
  require(dir != NULL);
  for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
    char below[PATH_BYTES];
    struct stat info;
    if (strcmp(entry->d_name, "..") == 0) continue;
    join(below, at, entry->d_name);
    require(lstat(below, &info) == 0);
    uint64_t part = test_mix((uint64_t)info.st_ino, (uint64_t)info.st_size);
    part = test_mix(part, (uint64_t)info.st_mtim.tv_sec * 1000000000u + (uint64_t)info.st_mtim.tv_nsec);
    part = test_mix(part, (uint64_t)info.st_ctim.tv_sec * 1000000000u + (uint64_t)info.st_ctim.tv_nsec);
    for (const char *c = entry->d_name; *c != '\0'; c++) part = test_mix(part, (uint64_t)*c);
    state += part;
    if (S_ISDIR(info.st_mode) && strcmp(entry->d_name, ".") != 0) state += state_of(below);
    if (!S_ISREG(info.st_mode)) continue;
    size_t size;
    uint8_t *bytes = file_load(below, &size);
    for (size_t i = 0; i < size; i++) part = (part ^ bytes[i]) * 1099511628211u;
    free(bytes);
    state += part;
  }
  closedir(dir);
  return state;
}

static nacre_status salvage(const char *table) {
  nacre_faults_free(report.faults);
  test_scratch_remove(fresh);
  uint64_t before = state_of(s.store);
  nacre_status status = nacre_salvage(s.store, table, &options, &report);
  cr_assert_eq(state_of(s.store), before, "the source has changed");
  cr_assert_eq(report.fault_count, nacre_faults_count(report.faults));
  return status;
}

/* ---- the new store ------------------------------------------------------------------------------------- */

static nacre_table *open_fresh(const char *name) {
  nacre_table *t;
  nacre_store_options o = source;
  ok(nacre_open(fresh, &o, &store));
  ok(nacre_table_open(store, name == NULL ? report.table : name, NULL, &t));
  return t;
}

static void close_fresh(nacre_table *t) {
  ok(nacre_verify(t, NULL, NULL));
  ok(nacre_table_close(t));
  ok(nacre_close(store));
}

/* How many of [from, to) came out, with their right values. */
static int came_out(nacre_table *t, int from, int to) {
  int count = 0;
  char key[16], value[64];
  for (int i = from; i < to; i++) {
    nacre_value v;
    nacre_status status = nacre_get(t, text(key_of(i, key)), NULL, &v);
    if (status == NACRE_NOT_FOUND) continue;
    ok(status);
    cr_assert(slice_is(nc_slice(v.data, v.size), value_of(i, value)), "%s", key);
    nacre_value_release(&v);
    count++;
  }
  return count;
}

static int all_that_came_out(void) {
  nacre_table *t = open_fresh(NULL);
  int count = came_out(t, 0, ENTRIES);
  close_fresh(t);
  cr_assert_eq((int)report.keys, count);
  return count;
}

static const nacre_error *fault_of(uint32_t id) {
  for (size_t i = 0; i < report.fault_count; i++) {
    if (nacre_faults_at(report.faults, i)->id == id) return nacre_faults_at(report.faults, i);
  }
  for (size_t i = 0; i < report.fault_count; i++)
    cr_log_error("%s\n", nacre_faults_at(report.faults, i)->text);
  cr_assert_fail("no fault %u", id);
  return NULL;
}

/* The keys that the only fault tells of. */
static void lost_range(int *ret_first, int *ret_last) {
  cr_assert_eq(report.fault_count, 1);
  const nacre_fault_extent *extent = nacre_faults_extent(report.faults, 0);
  char key[16] = {0};
  cr_assert(extent->first_key.size == 5 && extent->last_key.size == 5);
  memcpy(key, extent->first_key.data, 5);
  *ret_first = atoi(key);
  memcpy(key, extent->last_key.data, 5);
  *ret_last = atoi(key);
}

/* ---- nothing is wrong ---------------------------------------------------------------------------------- */

Test(salvage, a_whole_store_comes_out_whole) {
  make(600, false);
  ok(salvage("table"));
  cr_expect_eq(report.fault_count, 0);
  cr_expect_null(report.faults);
  cr_expect_str_eq(report.table, "table");
  cr_expect_eq(report.entries, ENTRIES);
  cr_expect_not(report.without_manifest);
  cr_expect_eq(all_that_came_out(), ENTRIES);
  ok(salvage(NULL));
  cr_expect_str_eq(report.table, "table");
  cr_expect_eq(all_that_came_out(), ENTRIES);
  ok(salvage(uuid_name));
  cr_expect_str_eq(report.table, "table");
  cr_expect_eq(all_that_came_out(), ENTRIES);
}

Test(salvage, a_killed_store_comes_out_whole_and_so_does_an_empty_table) {
  make(600, true);
  ok(salvage("table"));
  cr_expect_eq(report.fault_count, 0);
  cr_expect_eq(all_that_came_out(), ENTRIES);
  nacre_table *t = site_table(&s, &store, "empty");
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  ok(salvage("empty"));
  cr_expect_eq(report.fault_count + report.keys, 0);
  close_fresh(open_fresh("empty"));
}

Test(salvage, deletes_and_newer_versions_hide_what_is_older) {
  nacre_table *t = site_table(&s, &store, "table");
  put_text(t, "a", "old", false);
  put_text(t, "b", "old", false);
  put_text(t, "c", "old", false);
  ok(nacre_flush(t));
  put_text(t, "a", "new", false);
  ok(nacre_delete(t, text("b"), NULL));
  ok(nacre_flush(t));
  ok(nacre_delete(t, text("c"), NULL));
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  site_table_path(&s, "table", directory);
  for (int without = 0; without < 2; without++) {
    ok(salvage("table"));
    cr_expect_eq(report.without_manifest, without == 1);
    t = open_fresh("table");
    cr_expect(holds(t, NULL, "a", "new") && holds(t, NULL, "b", NULL) && holds(t, NULL, "c", NULL));
    close_fresh(t);
    join(path, directory, "CURRENT");
    if (without == 0) require(remove(path) == 0);
  }
}

/* ---- segments ------------------------------------------------------------------------------------------ */

/* One data frame after another: all entries of the others come out, and the fault tells which. */
Test(salvage, a_damaged_frame_takes_its_own_entries_and_no_others, .timeout = 120) {
  make(ENTRIES, false);
  segment_at(1);
  size_t frames = frames_of_type(NC_FRAME_DATA);
  cr_assert(frames > 3);
  for (size_t n = 0; n < frames; n += n == 0 ? frames / 2 : frames / 2 - 1) {
    for (int in_header = 0; in_header < 2; in_header++) {
      uint64_t offset = frame_offset(n), at = offset + (in_header ? 1 : 40);
      file_flip(path, at);
      ok(salvage("table"));
      int first, last, kept = all_that_came_out();
      lost_range(&first, &last);
      const nacre_error *fault = nacre_faults_at(report.faults, 0);
      cr_expect_eq(fault->offset, offset);
      cr_expect_str_eq(strrchr(fault->file, '/') + 1, strrchr(path, '/') + 1);
      nacre_table *t = open_fresh("table");
      cr_expect_eq(came_out(t, 0, first + 1 - (n == 0)), first + 1 - (n == 0));
      cr_expect_eq(came_out(t, last + (n == frames - 1), ENTRIES), ENTRIES - last - (n == frames - 1));
      close_fresh(t);
      file_flip(path, at);
      cr_expect_lt(kept, ENTRIES);
      cr_expect_eq(ENTRIES - kept, last - first - 1 + (n == 0) + (n == frames - 1));
      cr_expect_eq(nacre_faults_extent(report.faults, 0)->bytes, frame_offset(n + 1) - offset);
    }
  }
}

Test(salvage, two_frames_in_a_row_are_one_fault) {
  make(ENTRIES, false);
  segment_at(0);
  uint64_t offset = frame_offset(1), end = frame_offset(3);
  for (uint64_t at = offset - offset % 7 + 7; at < end - 8; at += 3) file_flip(path, at);
  ok(salvage("table"));
  int first, last, kept = all_that_came_out();
  lost_range(&first, &last);
  cr_expect_eq(nacre_faults_at(report.faults, 0)->offset, offset);
  cr_expect_eq(nacre_faults_extent(report.faults, 0)->bytes, end - offset);
  cr_expect_eq(ENTRIES - kept, last - first - 1);
}

Test(salvage, a_segment_needs_no_index_no_filter_and_no_footer) {
  make(ENTRIES, false);
  segment_at(0);
  size_t data = frames_of_type(NC_FRAME_DATA);
  size_t size;
  free(file_load(path, &size));
  for (uint64_t at = frame_offset(data + 1) + 20; at < size; at += 40) file_flip(path, at);
  ok(salvage("table"));
  cr_expect_eq(report.fault_count, 0);
  cr_expect_eq(all_that_came_out(), ENTRIES);
  /* Without any frame behind the data nobody can tell that they end there. */
  uint64_t end = frame_offset(data);
  file_cut(path, end);
  ok(salvage("table"));
  cr_expect_eq(all_that_came_out(), ENTRIES);
  cr_expect_eq(fault_of(NC_E_FILE_SHORT)->offset, end);
}

Test(salvage, damage_between_data_and_index_is_no_loss_when_all_entries_are_there) {
  make(ENTRIES, false);
  segment_at(0);
  file_flip(path, frame_offset(frames_of_type(NC_FRAME_DATA)) + 20); /* the filter */
  ok(salvage("table"));
  cr_expect_eq(report.fault_count, 0);
  cr_expect_eq(all_that_came_out(), ENTRIES);
}

Test(salvage, a_cut_segment_comes_out_up_to_the_cut) {
  make(ENTRIES, false);
  segment_at(2);
  uint64_t cut = frame_offset(2);
  file_cut(path, cut);
  ok(salvage("table"));
  int first, last, kept = all_that_came_out();
  lost_range(&first, &last);
  cr_expect(kept > 600 && kept == first + 1 && last == ENTRIES - 1);
  cr_expect_eq(fault_of(NC_E_FILE_SHORT)->offset, cut);
  file_cut(path, cut - 8);
  ok(salvage("table"));
  cr_expect_lt(all_that_came_out(), kept);
  (void)fault_of(NC_E_FRAME_SHORT);
}

Test(salvage, a_missing_segment_is_told_with_its_keys) {
  make(ENTRIES, false);
  segment_at(1);
  require(remove(path) == 0);
  ok(salvage("table"));
  cr_expect_eq(all_that_came_out(), ENTRIES - PER_SEGMENT);
  int first, last;
  lost_range(&first, &last);
  cr_expect(first == PER_SEGMENT && last == 2 * PER_SEGMENT - 1);
  (void)fault_of(NC_E_SEGMENT_MISSING);
}

Test(salvage, redundant_copies_are_no_loss) {
  make(600, false);
  segment_at(0);
  file_flip(path, 100);
  segment_at(1);
  file_flip(path, 4096 + 100);
  join(path, directory, "KEYS.a");
  file_cut(path, 20);
  ok(salvage("table"));
  cr_expect_eq(report.fault_count, 0);
  cr_expect_eq(all_that_came_out(), ENTRIES);
}

Test(salvage, nothing_is_a_failure_that_tells_why) {
  make(ENTRIES, false);
  for (int i = 0; i < 3; i++) {
    segment_at(i);
    file_flip(path, 100);
    file_flip(path, 4096 + 100);
  }
  cr_expect_eq(salvage("table"), NACRE_CORRUPT);
  nacre_error error;
  nacre_last_error(&error);
  cr_expect_eq(error.id, NC_E_SALVAGE_NOTHING);
  cr_expect_eq(report.fault_count, 3);
  cr_expect_not(file_is_there(fresh));
}

/* ---- files that are not what they seem ----------------------------------------------------------------- */

static void swap_segments(void) {
  char first[PATH_BYTES], away[PATH_BYTES];
  segment_at(0);
  memcpy(first, path, sizeof first);
  segment_at(1);
  join(away, s.path, "away");
  require(rename(first, away) == 0 && rename(path, first) == 0 && rename(away, path) == 0);
}

Test(salvage, swapped_and_foreign_files_are_refused_with_a_manifest_and_without) {
  make(ENTRIES, false);
  nacre_table *t = site_table(&s, &store, "other");
  put_text(t, "00007", "foreign", false);
  ok(nacre_flush(t));
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  char other[PATH_BYTES], from[PATH_BYTES];
  site_table_path(&s, "other", other);
  only_file(other, ".seg", from);
  swap_segments();
  join(path, directory, "00000000000000000900.seg");
  file_copy(from, path);
  for (int without = 0; without < 2; without++) {
    ok(salvage("table"));
    cr_expect_eq(all_that_came_out(), ENTRIES - 2 * PER_SEGMENT);
    (void)fault_of(NC_E_FILE_IDENTITY);
    if (without == 1) (void)fault_of(NC_E_KEK_UNKNOWN);
    join(path, directory, "CURRENT");
    if (without == 0) file_flip(path, 130);
  }
  (void)fault_of(NC_E_CURRENT_MAC);
}

Test(salvage, what_is_no_plain_file_is_refused) {
  for (int kind = 0; kind < 3; kind++) {
    if (kind == 0) make(ENTRIES, false);
    char away[PATH_BYTES], other[PATH_BYTES];
    segment_at(1);
    join(away, s.path, "away");
    require(rename(path, away) == 0);
    if (kind == 0) require(symlink(away, path) == 0);
    if (kind == 1) require(mkfifo(path, 0600) == 0);
    if (kind == 2) require(mkdir(path, 0700) == 0);
    for (int without = 0; without < 2; without++) {
      join(other, directory, without == 1 ? "CURRENT" : "CURRENT.away");
      char current[PATH_BYTES];
      join(current, directory, without == 1 ? "CURRENT.away" : "CURRENT");
      ok(salvage("table"));
      cr_expect_eq(all_that_came_out(), ENTRIES - PER_SEGMENT);
      (void)fault_of(NC_E_OS_NOT_A_FILE);
      require(rename(current, other) == 0);
    }
    require(remove(path) == 0 && rename(away, path) == 0);
  }
}

/* ---- no manifest --------------------------------------------------------------------------------------- */

Test(salvage, without_a_manifest_every_file_of_the_table_takes_part) {
  make(600, true);
  char away[PATH_BYTES];
  join(away, s.path, "away");
  only_file(directory, ".man", path);
  require(rename(path, away) == 0);
  ok(salvage("table"));
  cr_expect(report.without_manifest);
  cr_expect_eq(report.fault_count, 1);
  (void)fault_of(NC_E_MANIFEST_MISSING);
  cr_expect_eq(all_that_came_out(), ENTRIES);
  require(rename(away, path) == 0);
  file_flip(path, NC_FRAMES_OFFSET + 30);
  ok(salvage("table"));
  cr_expect(report.without_manifest);
  (void)fault_of(NC_E_MANIFEST_SNAPSHOT);
  cr_expect_eq(all_that_came_out(), ENTRIES);
  /* A frame lost on top of it: as with a manifest. */
  segment_at(0);
  file_flip(path, frame_offset(1) + 20);
  ok(salvage("table"));
  int kept = all_that_came_out();
  cr_expect(kept < ENTRIES && kept > ENTRIES - PER_SEGMENT);
}

Test(salvage, a_manifest_that_was_put_back_is_not_believed) {
  nacre_table *t = site_table(&s, &store, "table");
  put_text(t, "a", "1", false);
  ok(nacre_flush(t));
  site_table_path(&s, NULL, directory);
  char current[PATH_BYTES], manifest[PATH_BYTES];
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  site_table_path(&s, "table", directory);
  only_file(directory, ".man", path);
  join(manifest, s.path, "manifest");
  join(current, s.path, "current");
  file_copy(path, manifest);
  char name[PATH_BYTES];
  memcpy(name, path, sizeof name);
  join(path, directory, "CURRENT");
  file_copy(path, current);
  t = site_table(&s, &store, "table");
  put_text(t, "b", "2", false);
  ok(nacre_flush(t));
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  only_file(directory, ".man", path);
  require(remove(path) == 0);
  file_copy(manifest, name);
  join(path, directory, "CURRENT");
  file_copy(current, path);
  ok(salvage("table"));
  cr_expect(report.without_manifest);
  t = open_fresh("table");
  cr_expect(holds(t, NULL, "a", "1") && holds(t, NULL, "b", "2"));
  close_fresh(t);
}

/* ---- logs ---------------------------------------------------------------------------------------------- */

Test(salvage, groups_behind_a_gap_come_out_only_when_asked_for) {
  make(600, true);
  only_file(directory, ".log", path);
  uint64_t offset = frame_offset(51); /* the start frame, then 600, ...: this is 650 */
  file_flip(path, offset + 20);
  for (int without = 0; without < 2; without++) {
    options.beyond_gaps = false;
    ok(salvage("table"));
    cr_expect_eq(report.without_manifest, without == 1);
    cr_expect_eq(all_that_came_out(), 650);
    cr_expect_eq(fault_of(NC_E_SALVAGE_GAP)->offset, fault_of(NC_E_SALVAGE_BEYOND)->offset);
    cr_expect_eq(report.beyond_entries, ENTRIES - 651);
    options.beyond_gaps = true;
    ok(salvage("table"));
    cr_expect_eq(all_that_came_out(), ENTRIES - 1);
    (void)fault_of(NC_E_SALVAGE_GAP);
    cr_expect_eq(report.beyond_entries, ENTRIES - 651);
    char current[PATH_BYTES];
    join(current, directory, "CURRENT");
    if (without == 0) require(remove(current) == 0);
  }
}

Test(salvage, a_missing_log_leaves_the_segments) {
  make(600, false);
  only_file(directory, ".log", path);
  require(remove(path) == 0);
  ok(salvage("table"));
  cr_expect_not(report.without_manifest);
  (void)fault_of(NC_E_LOG_MISSING);
  cr_expect_eq(all_that_came_out(), 600);
}

/* A recovery dropped the end of a torn log; the log stayed behind, and the manifest is lost: what it dropped
 * is not history again. */
Test(salvage, what_a_recovery_dropped_does_not_come_back) {
  char old[PATH_BYTES], kept[PATH_BYTES], current[PATH_BYTES];
  make(0, true);
  only_file(directory, ".log", path);
  memcpy(old, path, sizeof old);
  uint64_t offset = frame_offset(895); /* behind the sync at 890 */
  file_flip(path, offset + 20);
  join(kept, s.path, "kept");
  file_copy(path, kept);
  nacre_table *t = site_table(&s, &store, "table");
  for (int i = 0; i < 20; i++) put_text(t, "z", "later", true);
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  require(!file_is_there(old));
  file_copy(kept, old);
  join(current, directory, "CURRENT");
  require(remove(current) == 0);
  options.beyond_gaps = true;
  ok(salvage("table"));
  cr_expect(report.without_manifest);
  (void)fault_of(NC_E_SALVAGE_SUPERSEDED);
  t = open_fresh("table");
  int count = came_out(t, 0, ENTRIES);
  cr_expect(count > 890 && count < ENTRIES - 1, "%d", count);
  cr_expect_eq(came_out(t, 0, count), count, "a prefix");
  cr_expect(holds(t, NULL, "z", "later"));
  close_fresh(t);
}

/* ---- the catalogue ------------------------------------------------------------------------------------- */

static void spoil_catalogue(void) {
  char catalogue[PATH_BYTES];
  site_table_path(&s, NULL, catalogue);
  DIR *dir = opendir(catalogue);
  require(dir != NULL);
  for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
    size_t size;
    if (strstr(entry->d_name, ".log") == NULL && strstr(entry->d_name, ".seg") == NULL) continue;
    join(path, catalogue, entry->d_name);
    free(file_load(path, &size));
    for (uint64_t at = NC_FRAMES_OFFSET + 4; at < size; at += 16) file_flip(path, at);
  }
  closedir(dir);
}

Test(salvage, a_lost_catalogue_leaves_the_table_by_its_uuid) {
  make(600, false);
  spoil_catalogue();
  fails(salvage("table"), NC_E_SALVAGE_NAME);
  ok(salvage(uuid_name));
  cr_expect_str_eq(report.table, uuid_name + 5);
  cr_expect_gt(report.fault_count, 0);
  cr_expect_eq(all_that_came_out(), ENTRIES);
  ok(salvage(NULL));
  cr_expect_eq(all_that_came_out(), ENTRIES);
  char catalogue[PATH_BYTES];
  join(catalogue, s.store, "catalogue");
  test_scratch_remove(catalogue);
  ok(salvage(uuid_name));
  cr_expect_eq(all_that_came_out(), ENTRIES);
  fails(salvage("table"), NC_E_SALVAGE_NAME);
  fails(salvage("uuid:01234567-89ab-cdef-0123-456789abcdef"), NC_E_TABLE_MISSING);
}

Test(salvage, a_damaged_catalogue_still_tells_names) {
  make(600, false);
  char catalogue[PATH_BYTES];
  site_table_path(&s, NULL, catalogue);
  join(path, catalogue, "CURRENT");
  file_flip(path, 40);
  ok(salvage("table"));
  cr_expect_str_eq(report.table, "table");
  cr_expect_gt(report.fault_count, 0);
  cr_expect_not(report.without_manifest);
  cr_expect_eq(all_that_came_out(), ENTRIES);
}

Test(salvage, which_table_must_be_clear) {
  make(600, false);
  fails(salvage("another"), NC_E_TABLE_MISSING);
  fails(salvage("uuid:nonsense"), NC_E_TABLE_MISSING);
  ok(nacre_table_close(site_table(&s, &store, "second")));
  ok(nacre_close(store));
  fails(salvage(NULL), NC_E_SALVAGE_WHICH);
  spoil_catalogue();
  fails(salvage(NULL), NC_E_SALVAGE_WHICH);
}

/* ---- places, locks, arguments -------------------------------------------------------------------------- */

Test(salvage, the_new_store_is_made_elsewhere_and_anew) {
  make(600, false);
  char inside[PATH_BYTES], link[PATH_BYTES], below[PATH_BYTES];
  const char *const places[] = {"new", "LOCK/../new", "./catalogue/new"};
  for (size_t i = 0; i < 2 * (sizeof places / sizeof places[0]); i++) {
    join(inside, i % 2 == 0 ? s.store : directory, places[i / 2]);
    options.to = inside;
    nacre_status status = salvage("table");
    cr_expect(status != NACRE_OK && !file_is_there(inside), "%s", inside);
  }
  join(inside, directory, "new");
  fails(salvage("table"), NC_E_SALVAGE_INSIDE);
  join(link, s.path, "link");
  require(symlink(directory, link) == 0);
  join(below, link, "new");
  options.to = below;
  fails(salvage("table"), NC_E_SALVAGE_INSIDE);
  options.to = s.store;
  fails(salvage("table"), NC_E_STORE_EXISTS);
  join(inside, s.store, "catalogue");
  test_scratch_remove(inside);
  cr_expect_eq(salvage(uuid_name), NACRE_INVALID); /* it is not empty */
  options.to = fresh;
  ok(salvage(uuid_name));
  nacre_faults_free(report.faults);
  fails(nacre_salvage(s.store, uuid_name, &options, &report), NC_E_STORE_EXISTS);
}

Test(salvage, a_writer_keeps_it_out_and_a_missing_lock_does_not) {
  make(600, false);
  store = site_open(&s);
  fails(nacre_salvage(s.store, "table", &options, &report), NC_E_LOCKED);
  ok(nacre_close(store));
  join(path, s.store, "LOCK");
  require(remove(path) == 0);
  ok(salvage("table"));
  cr_expect_eq(all_that_came_out(), ENTRIES);
  cr_expect_not(file_is_there(path));
  require(symlink("/dev/null", path) == 0);
  ok(salvage("table"));
  cr_expect_eq(all_that_came_out(), ENTRIES);
  (void)fault_of(NC_E_OS_NOT_A_FILE);
}

Test(salvage, arguments_are_checked) {
  make(600, false);
  fails(nacre_salvage(NULL, "table", &options, NULL), NC_E_ARGUMENT);
  fails(nacre_salvage(s.store, "table", NULL, NULL), NC_E_ARGUMENT);
  options.to = NULL;
  fails(nacre_salvage(s.store, "table", &options, NULL), NC_E_ARGUMENT);
  options.to = fresh;
  options.reserved[7] = 1;
  fails(nacre_salvage(s.store, "table", &options, NULL), NC_E_OPTION_RESERVED);
  options.reserved[7] = 0;
  fails(nacre_salvage(fresh, "table", &options, NULL), NC_E_STORE_MISSING);
  fails(nacre_salvage(s.path, "table", &options, NULL), NC_E_STORE_MISSING);
}

Test(salvage, a_lost_keyring_is_said_to_be_lost) {
  make(600, false);
  char uri[PATH_BYTES];
  snprintf(uri, sizeof uri, "local:%.400s/nowhere", s.path);
  source.default_key.uri = uri;
  fails(salvage("table"), NC_E_KEYRING_MISSING);
  fails(salvage(uuid_name), NC_E_KEYRING_MISSING);
  cr_expect_not(file_is_there(fresh));
  cr_expect_not(file_is_there(uri + 6));
}

Test(salvage, the_new_store_may_have_another_key) {
  make(600, false);
  char uri[PATH_BYTES];
  snprintf(uri, sizeof uri, "local:%.400s/keyring.new", s.path);
  options.to_key.uri = uri;
  ok(salvage("table"));
  nacre_store_options o = source;
  cr_expect_eq(nacre_open(fresh, &o, &store), NACRE_KEY_MISSING);
  source.default_key.uri = uri;
  cr_expect_eq(all_that_came_out(), ENTRIES);
}

/* Whatever operation on the disk fails, for good: an error, never a store that seems whole and is not. */
Test(salvage, a_full_disk_is_an_error_and_leaves_the_source_alone, .timeout = 120) {
  make(600, false);
  failing_io f;
  for (uint64_t n = 1; n < 400; n += 1 + n / 4) {
    failing_init(&f);
    f.code = ENOSPC;
    f.fail_at = n;
    f.fail_from = true;
    source.io = &f.io;
    nacre_status status = salvage("table");
    if (status == NACRE_OK) break;
    cr_assert_eq(status, NACRE_NO_SPACE, "operation %llu: %s", (unsigned long long)n,
                 nacre_status_name(status));
    source.io = &s.quick;
    nacre_table *t;
    if (nacre_open(fresh, &source, &store) != NACRE_OK) continue;
    if (nacre_table_open(store, "table", NULL, &t) == NACRE_OK) { /* it was named already, which comes last */
      cr_expect_eq(came_out(t, 0, ENTRIES), ENTRIES);
      ok(nacre_table_close(t));
    }
    ok(nacre_close(store));
  }
}

static void count_bytes(void *arg, uint64_t done, uint64_t total) {
  uint64_t *last = arg;
  cr_assert(done >= *last && done <= total);
  *last = done;
}

Test(salvage, progress_ends_at_the_whole) {
  make(ENTRIES, false);
  uint64_t last = 0;
  options.on_progress = count_bytes;
  options.progress_arg = &last;
  ok(salvage("table"));
  cr_expect_gt(last, 3 * NC_FRAMES_OFFSET);
}
