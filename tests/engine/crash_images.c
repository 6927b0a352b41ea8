/* SPDX-License-Identifier: Apache-2.0
 *
 * What a power cut or a kill may leave on the disk, image by image, each a test by name. README.md beside this
 * file goes through the sentences of the design and of the specification and says which test shows each;
 * those that are not here are in the rooms that they are about. At its end this file checks that table.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "histories.h"
#include "table.h"

/* ---- logs, made frame by frame ------------------------------------------------------------------------- */

static history h;

static void setup(void) { history_open(&h); }
static void teardown(void) { history_close(&h); }
TestSuite(crash_image, .init = setup, .fini = teardown);

static bool is_log(const char *file, size_t log) {
  char name[NC_FILE_NAME_BYTES];
  nc_log_name_file(log + 1, name);
  return strstr(file, name) != NULL;
}

static void dropped(size_t log, uint64_t offset, uint64_t bytes) {
  cr_expect(!h.report.clean && h.report.maybe_synced && h.report.reason[0] != '\0');
  cr_expect(is_log(h.report.file, log), "%s", h.report.file);
  cr_expect_eq(h.report.dropped_offset, offset);
  cr_expect_eq(h.report.dropped_bytes, bytes);
}

static void refused(nc_error_id id, uint64_t kept, size_t log, uint64_t offset) {
  history_refused(&h, id, kept);
  cr_expect(is_log(h.err.file, log), "%s", h.err.file);
  cr_expect_eq(h.err.offset, offset, "%llu", (unsigned long long)h.err.offset);
}

static uint64_t end_of(size_t frame) { return h.frames[frame].offset + h.frames[frame].size; }

/* Both header slots are durable before the log has a name. */
Test(crash_image, a_log_shorter_than_its_header_is_no_crash_and_is_refused) {
  size_t log = history_log(&h);
  history_start(&h, log, SIZE_MAX);
  history_group(&h, log, 2);
  for (uint64_t size = NC_FRAMES_OFFSET - 1; size > NC_FRAMES_OFFSET - 4; size--) {
    log_cut(&h, log, size);
    history_refused(&h, NC_E_HEADER_SHORT, 0);
  }
  log_cut(&h, log, 4096);
  history_refused(&h, NC_E_HEADER_SHORT, 0);
  cr_expect(is_log(h.err.file, log));
}

/* The length of the file reached the disk, its first frame did not. */
Test(crash_image, zeros_where_a_first_frame_would_stand_are_a_torn_one) {
  size_t first = history_log(&h), second = history_log(&h);
  history_start(&h, first, SIZE_MAX);
  history_group(&h, first, 3);
  log_cut(&h, second, NC_FRAMES_OFFSET + 96);
  history_keeps(&h, 3);
  dropped(second, NC_FRAMES_OFFSET, 96);
}

Test(crash_image, the_groups_of_a_newer_log_are_there_and_its_first_frame_is_not) {
  size_t first = history_log(&h), second = history_log(&h);
  history_start(&h, first, SIZE_MAX);
  history_group(&h, first, 3);
  size_t start = h.frame_count;
  history_start(&h, second, first);
  history_group(&h, second, 2);
  frame_zero(&h, start);
  history_keeps(&h, 3);
  dropped(second, NC_FRAMES_OFFSET, history_size(&h, second) - NC_FRAMES_OFFSET);
}

Test(crash_image, so_with_a_sync_that_covered_the_first_frame_it_is_damage) {
  size_t first = history_log(&h), second = history_log(&h);
  history_start(&h, first, SIZE_MAX);
  history_group(&h, first, 3);
  size_t start = h.frame_count;
  history_start(&h, second, first);
  history_group(&h, second, 2);
  history_synced(&h, second);
  history_mark(&h, second);
  frame_zero(&h, start);
  refused(NC_E_LOG_DAMAGED, 3, second, NC_FRAMES_OFFSET);
}

/* Neither log was synced: the older one ends in a torn frame, the newer one begins with one. */
Test(crash_image, the_tails_of_two_logs_are_torn) {
  size_t first = history_log(&h), second = history_log(&h);
  history_start(&h, first, SIZE_MAX);
  history_group(&h, first, 3);
  size_t torn = history_group(&h, first, 1);
  size_t start = h.frame_count;
  history_start(&h, second, first);
  history_group(&h, second, 2);
  frame_flip(&h, torn);
  frame_flip(&h, start);
  history_keeps(&h, 3);
  dropped(first, h.frames[torn].offset, h.frames[torn].size + history_size(&h, second) - NC_FRAMES_OFFSET);
}

/* ---- syncs and marks ----------------------------------------------------------------------------------- */

Test(crash_image, the_mark_of_the_last_sync_is_lost_and_nothing_else) {
  size_t log = history_log(&h);
  history_start(&h, log, SIZE_MAX);
  size_t last = history_group(&h, log, 3);
  history_synced(&h, log);
  history_mark(&h, log);
  log_cut(&h, log, end_of(last));
  history_keeps(&h, 3);
  cr_expect(!h.report.clean && h.report.dropped_bytes == 0 && !h.report.maybe_synced);
}

/* The one ambiguity: no frame is left that says whether this group was synced. It was. */
Test(crash_image, a_synced_group_rots_after_its_mark_was_lost) {
  size_t log = history_log(&h);
  history_start(&h, log, SIZE_MAX);
  history_group(&h, log, 2);
  history_synced(&h, log);
  history_mark(&h, log);
  size_t synced = history_group(&h, log, 1);
  frame_flip(&h, synced);
  history_keeps(&h, 2);
  dropped(log, h.frames[synced].offset, h.frames[synced].size);
}

Test(crash_image, the_same_group_with_its_mark_is_damage) {
  size_t log = history_log(&h);
  history_start(&h, log, SIZE_MAX);
  history_group(&h, log, 2);
  size_t synced = history_group(&h, log, 1);
  history_synced(&h, log);
  history_mark(&h, log);
  frame_flip(&h, synced);
  refused(NC_E_LOG_DAMAGED, 2, log, h.frames[synced].offset);
}

/* The file system gave the file room that was never written. */
Test(crash_image, a_mark_and_room_behind_it) {
  size_t log = history_log(&h);
  history_start(&h, log, SIZE_MAX);
  history_group(&h, log, 2);
  history_synced(&h, log);
  size_t mark = history_mark(&h, log);
  log_cut(&h, log, end_of(mark) + 65536);
  history_keeps(&h, 2);
  dropped(log, end_of(mark), 65536);
}

/* ---- behind the end that a successor recorded ---------------------------------------------------------- */

/* What stands there is no part of the history: a frame that failed, and one more. */
static size_t behind_recorded_end(nc_log_position vouched, uint64_t commit) {
  size_t first = history_log(&h), second = history_log(&h);
  history_start(&h, first, SIZE_MAX);
  history_group(&h, first, 2);
  history_start(&h, second, first);
  history_group(&h, second, 2);
  size_t failed = history_mark(&h, first);
  h.synced = vouched;
  h.commit = commit;
  size_t more = history_mark(&h, first);
  frame_flip(&h, failed);
  return more;
}

Test(crash_image, rubble_behind_a_recorded_end_is_no_part_of_the_history) {
  (void)behind_recorded_end((nc_log_position){0}, 1);
  history_keeps(&h, 4);
  cr_expect(!h.report.clean && h.report.dropped_bytes == 0);
}

Test(crash_image, a_frame_behind_a_recorded_end_vouches_all_the_same) {
  (void)behind_recorded_end((nc_log_position){2, NC_FRAMES_OFFSET + 4096}, 1);
  refused(NC_E_LOG_DAMAGED, 4, 1, history_size(&h, 1));
}

Test(crash_image, a_frame_behind_a_recorded_end_is_tampered_with) {
  size_t more = behind_recorded_end((nc_log_position){0}, 1);
  frame_forge(&h, more);
  refused(NC_E_LOG_TAMPERED, 2, 0, h.frames[more].offset);
}

Test(crash_image, a_frame_behind_a_recorded_end_knows_of_a_later_commit) {
  (void)behind_recorded_end((nc_log_position){0}, 11);
  cr_expect_eq(history_recover(&h, NACRE_RECOVERY_STRICT), NACRE_ROLLED_BACK);
  cr_expect_eq(h.err.id, NC_E_MANIFEST_ROLLED_BACK);
}

/* ---- a whole table: CURRENT, manifests, logs that were never named ------------------------------------- */

static site s;
static nacre_store *store;
static nacre_table *t;
static char directory[PATH_BYTES], earlier[PATH_BYTES], path[PATH_BYTES];

static void table_setup(void) {
  site_make(&s);
  t = site_table(&s, &store, "table");
  put_text(t, "k", "acknowledged", true);
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  site_table_path(&s, "table", directory);
}
static void table_teardown(void) { site_remove(&s); }
TestSuite(crash_image_table, .init = table_setup, .fini = table_teardown);

static void close_table(void) {
  ok(nacre_table_close(t));
  ok(nacre_close(store));
}

/* Reads all there is, writes, and reads again: the leftover is gone then. */
static void goes_on(const char *leftover) {
  nacre_recovery_report report;
  t = site_table(&s, &store, "table");
  ok(nacre_table_recovery(t, &report));
  cr_expect(report.clean && report.dropped_bytes == 0);
  cr_expect(holds(t, NULL, "k", "acknowledged"));
  ok(nacre_verify(t, NULL, NULL));
  put_text(t, "k2", "v2", true);
  close_table();
  t = site_table(&s, &store, "table");
  cr_expect(holds(t, NULL, "k", "acknowledged") && holds(t, NULL, "k2", "v2"));
  close_table();
  if (leftover != NULL) cr_expect_not(file_is_there(leftover), "%s", leftover);
}

/* The table as it is, then one session more. */
static void one_session_more(void) {
  join(earlier, s.path, "earlier");
  tree_copy(directory, earlier);
  t = site_table(&s, &store, "table");
  put_text(t, "later", "v", true);
  close_table();
}

/* Puts the earlier table back, with the newer manifest beside the old one; `size`: of its bytes, at most. */
static void put_back_with_newer_manifest(uint64_t size, char newer[PATH_BYTES]) {
  char found[PATH_BYTES], kept[PATH_BYTES];
  only_file(directory, ".man", found);
  join(kept, s.path, "newer.man");
  file_copy(found, kept);
  test_scratch_remove(directory);
  tree_copy(earlier, directory);
  join(newer, directory, strrchr(found, '/') + 1);
  file_copy(kept, newer);
  if (size < 8192) file_cut(newer, size);
}

Test(crash_image_table, a_manifest_that_current_never_came_to_name) {
  one_session_more();
  put_back_with_newer_manifest(UINT64_MAX, path);
  goes_on(path);
}

Test(crash_image_table, the_header_alone_of_a_manifest_that_current_never_came_to_name) {
  one_session_more();
  put_back_with_newer_manifest(4096, path);
  goes_on(path);
}

Test(crash_image_table, a_manifest_of_two_epochs_on_is_no_leftover) {
  one_session_more();
  t = site_table(&s, &store, "table");
  put_text(t, "later still", "v", true);
  close_table();
  put_back_with_newer_manifest(UINT64_MAX, path);
  store = site_open(&s);
  fails(nacre_table_open(store, "table", NULL, &t), NC_E_FILE_EPOCH);
  ok(nacre_close(store));
  cr_expect(file_is_there(path), "nothing is deleted");
}

Test(crash_image_table, the_old_manifest_was_not_removed_yet) {
  char old[PATH_BYTES];
  one_session_more();
  only_file(earlier, ".man", old);
  join(path, directory, strrchr(old, '/') + 1);
  file_copy(old, path);
  goes_on(path);
}

Test(crash_image_table, a_current_on_its_way_to_be_renamed) {
  join(path, directory, NC_CURRENT_TEMPORARY);
  for (size_t size = 0; size <= 160; size += 40) {
    static const uint8_t zeros[160];
    file_store(path, zeros, size);
    goes_on(NULL);
  }
}

/* The header of the next log is durable, the commit that was to name it was never made. */
static void unnamed_log(uint64_t size) {
  nacre_error err;
  nc_log *log;
  char name[NC_FILE_NAME_BYTES];
  uint64_t epoch, sequence;
  nc_uuid manifest;
  t = site_table(&s, &store, "table");
  nc_table_moment(t, &epoch, &manifest, &sequence);
  must(nc_log_create(&t->dir, &t->uuid, nc_table_keys_active(t->keys.keys), 900, epoch, &log, &err));
  nc_log_unref(log);
  close_table();
  nc_log_name_file(900, name);
  join(path, directory, name);
  file_cut(path, size);
  goes_on(path);
}
Test(crash_image_table, a_log_that_was_never_named) { unnamed_log(NC_FRAMES_OFFSET); }
Test(crash_image_table, half_a_header_of_a_log_that_was_never_named) { unnamed_log(5000); }
Test(crash_image_table, an_empty_log_that_was_never_named) { unnamed_log(0); }

/* The commit of a manifest was cut off before it was synced: what it named was never begun. */
Test(crash_image_table, a_torn_commit_that_names_a_log_which_never_began) {
  t = site_table(&s, &store, "table");
  ok(nacre_flush(t)); /* nothing is left in logs but the one that a rotation prepares */
  put_text(t, "k3", "v3", true);
  ok(nacre_flush(t));
  close_table();
  only_file(directory, ".man", path);
  size_t size;
  uint8_t *bytes = file_load(path, &size);
  enum { TORN = 24 };
  uint64_t torn = size + TORN;
  uint8_t *longer = test_alloc(torn);
  memcpy(longer, bytes, size);
  memcpy(longer + size, bytes + NC_FRAMES_OFFSET, TORN); /* a frame that begins and does not end */
  file_store(path, longer, torn);
  free(bytes);
  free(longer);
  nacre_recovery_report report;
  t = site_table(&s, &store, "table");
  ok(nacre_table_recovery(t, &report));
  cr_expect(!report.clean && report.dropped_bytes == TORN && report.dropped_offset == size);
  cr_expect_not_null(strstr(report.file, ".man"));
  cr_expect(holds(t, NULL, "k", "acknowledged") && holds(t, NULL, "k3", "v3"));
  close_table();
}

/* ---- the table of sentences ---------------------------------------------------------------------------- */

static char *load_text(const char *directory_path, const char *name) {
  char file[PATH_BYTES];
  size_t size;
  join(file, directory_path, name);
  uint8_t *bytes = file_load(file, &size);
  char *copy = test_alloc(size + 1);
  memcpy(copy, bytes, size);
  free(bytes);
  return copy;
}

/* Every `suite.name` in the README is a test of this folder. */
Test(crash_image_table, every_row_of_the_readme_names_a_test) {
  static const char *const rooms[] = {
      "crash_images.c",         "tail_rule.c",        "log_chain.c", "log_rot.c", "past_seal.c",
      "past_seal_manifest.c",   "past_seal_random.c", "manifest.c",  "stores.c",  "damage.c",
      "regressions_recovery.c", "regressions_disk.c"};
  char *sources[sizeof rooms / sizeof rooms[0]];
  for (size_t i = 0; i < sizeof rooms / sizeof rooms[0]; i++)
    sources[i] = load_text(TEST_SOURCE_DIR, rooms[i]);
  char *readme = load_text(TEST_SOURCE_DIR, "README.md");
  size_t rows = 0;
  for (char *at = strchr(readme, '`'); at != NULL; at = strchr(at, '`')) {
    char *end = strchr(++at, '`'), wanted[256];
    cr_assert_not_null(end);
    *end = '\0';
    char *dot = strchr(at, '.');
    bool is_test = dot != NULL && strchr(at, ' ') == NULL && strchr(at, '/') == NULL && strlen(dot) > 4;
    if (is_test) {
      bool there = false;
      snprintf(wanted, sizeof wanted, "Test(%.*s, %s", (int)(dot - at), at, dot + 1);
      for (size_t i = 0; i < sizeof rooms / sizeof rooms[0]; i++) there |= strstr(sources[i], wanted) != NULL;
      cr_expect(there, "no such test: %s", wanted);
      rows++;
    }
    at = end + 1;
  }
  cr_expect_gt(rows, 50);
  for (size_t i = 0; i < sizeof rooms / sizeof rooms[0]; i++) free(sources[i]);
  free(readme);
}
