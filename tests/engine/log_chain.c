/* SPDX-License-Identifier: Apache-2.0
 *
 * recovery: several live logs, which form one history; and logs that are not the ones that were named.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "histories.h"

static history h;

static void setup(void) { history_open(&h); }
static void teardown(void) { history_close(&h); }
TestSuite(log_chain, .init = setup, .fini = teardown);

/* Logs of two groups of two writes each, one behind the other; `finals`: each ended cleanly. Nothing is
 * said to be synced. */
static void chain(size_t count, bool finals) {
  for (size_t i = 0; i < count; i++) {
    size_t log = history_log(&h);
    history_start(&h, log, log == 0 ? SIZE_MAX : log - 1);
    history_group(&h, log, 2);
    history_group(&h, log, 2);
    if (finals) history_final(&h, log);
  }
}

/* The frame number `n` of a log, from 0. */
static size_t frame_of(size_t log, size_t n) {
  for (size_t i = 0; i < h.frame_count; i++) {
    if (h.frames[i].log == log && n-- == 0) return i;
  }
  require(false);
  return 0;
}

static bool names_log(const char *label, size_t log) {
  char name[NC_FILE_NAME_BYTES];
  nc_log_name_file(log + 1, name);
  return strstr(label, name) != NULL;
}

static void broken_at(size_t frame) {
  cr_expect_not(h.report.clean);
  cr_expect_eq(h.report.dropped_offset, h.frames[frame].offset);
  cr_expect(names_log(h.report.file, h.frames[frame].log), "%s", h.report.file);
}

Test(log_chain, three_logs_replay_as_one_history) {
  chain(3, false);
  history_keeps(&h, 12);
  cr_expect_not(h.report.clean);
  cr_expect_eq(h.report.logs, 3);
  cr_expect_eq(h.report.groups, 6);
  history_final(&h, 2);
  history_keeps(&h, 12);
  cr_expect(h.report.clean);
}

Test(log_chain, logs_that_each_ended_cleanly_are_clean) {
  chain(4, true);
  history_keeps(&h, 16);
  cr_expect(h.report.clean);
}

Test(log_chain, a_break_in_an_older_log_drops_the_later_ones) {
  chain(3, false);
  size_t hit = frame_of(0, 2);
  frame_zero(&h, hit);
  history_keeps(&h, 2);
  broken_at(hit);
  uint64_t dropped = history_size(&h, 0) - h.frames[hit].offset + history_size(&h, 1) + history_size(&h, 2) -
                     2 * NC_FRAMES_OFFSET;
  cr_expect_eq(h.report.dropped_bytes, dropped);
}

Test(log_chain, an_older_log_that_ends_before_its_recorded_end_is_a_break) {
  chain(2, false);
  size_t hit = frame_of(0, 2);
  log_cut(&h, 0, h.frames[hit].offset); /* at a frame's border: only the successor knows */
  history_keeps(&h, 2);
  broken_at(hit);
  cr_expect_eq(h.report.dropped_bytes, history_size(&h, 1) - NC_FRAMES_OFFSET);
  log_cut(&h, 0, h.frames[hit].offset + 8);
  history_keeps(&h, 2);
  broken_at(hit);
}

Test(log_chain, an_older_log_that_lost_all_its_frames_is_a_break) {
  chain(3, false);
  log_cut(&h, 0, NC_FRAMES_OFFSET);
  history_keeps(&h, 0);
  cr_expect_eq(h.report.dropped_offset, NC_FRAMES_OFFSET);
  cr_expect(names_log(h.report.file, 0));
}

Test(log_chain, a_middle_log_that_lost_all_its_frames_is_a_break) {
  chain(3, false);
  log_cut(&h, 1, NC_FRAMES_OFFSET);
  history_keeps(&h, 4);
  cr_expect(names_log(h.report.file, 1), "%s", h.report.file);
  cr_expect_eq(h.report.dropped_bytes, history_size(&h, 2) - NC_FRAMES_OFFSET);
}

Test(log_chain, an_older_log_cut_before_what_a_newer_one_vouches_for_is_damage) {
  size_t first = history_log(&h), second = history_log(&h);
  history_start(&h, first, SIZE_MAX);
  history_group(&h, first, 2);
  size_t hit = history_group(&h, first, 2);
  history_synced(&h, first);
  history_start(&h, second, first); /* its first frame vouches */
  history_group(&h, second, 2);
  log_cut(&h, 0, h.frames[hit].offset);
  history_refused(&h, NC_E_LOG_DAMAGED, 2);
  cr_expect(names_log(h.err.file, 0));
  cr_expect_eq(h.err.offset, h.frames[hit].offset);
}

Test(log_chain, a_synced_position_in_a_newer_log_covers_the_older_ones) {
  chain(2, false);
  h.synced = (nc_log_position){2, NC_FRAMES_OFFSET};
  history_mark(&h, 1);
  for (size_t n = 0; n < 3; n++) {
    frame_flip(&h, frame_of(0, n));
    history_refused(&h, NC_E_LOG_DAMAGED, n < 2 ? 0 : 2);
    frame_flip(&h, frame_of(0, n));
  }
  frame_flip(&h, frame_of(1, 1));
  history_keeps(&h, 4);
  broken_at(frame_of(1, 1));
}

Test(log_chain, a_final_frame_vouches_for_all_before_it_older_logs_too) {
  chain(2, false);
  history_final(&h, 1);
  frame_zero(&h, frame_of(0, 1));
  history_refused(&h, NC_E_LOG_DAMAGED, 0);
}

Test(log_chain, a_final_frame_in_an_older_log_may_be_torn) {
  chain(2, true);
  frame_flip(
      &h,
      frame_of(0, 3)); /* the successor's first frame says where the older one ends: before its final frame */
  history_keeps(&h, 8);
}

Test(log_chain, rubble_behind_an_older_logs_end_is_excused_by_its_successor) {
  size_t first = history_log(&h), second = history_log(&h);
  history_start(&h, first, SIZE_MAX);
  history_group(&h, first, 2);
  history_start(&h, second, first);
  history_group(&h, second, 2);
  history_group(&h, first, 0 + 1); /* a group that failed, never acknowledged, and is torn */
  h.next_sequence--;
  frame_flip(&h, h.frame_count - 1);
  history_group(&h, second, 0 + 1);
  history_keeps(&h, 5);
}

Test(log_chain, whole_frames_behind_an_older_logs_recorded_end_are_refused) {
  size_t first = history_log(&h), second = history_log(&h);
  history_start(&h, first, SIZE_MAX);
  history_group(&h, first, 2);
  history_start(&h, second, first);
  history_group(&h, first, 2); /* appended to a predecessor after its successor began */
  history_refused(&h, NC_E_LOG_GAP, 4);
}

Test(log_chain, a_predecessor_of_another_uuid_is_refused) { /* [L7] */
  size_t first = history_log(&h), second = history_log(&h);
  history_start(&h, first, SIZE_MAX);
  history_group(&h, first, 2);
  h.logs[first]->name.file.bytes[0] ^= 1;
  history_start(&h, second, first);
  history_refused(&h, NC_E_LOG_GAP, 2);
}

Test(log_chain, a_log_without_a_predecessor_behind_another_is_refused) {
  size_t first = history_log(&h), second = history_log(&h);
  history_start(&h, first, SIZE_MAX);
  history_group(&h, first, 2);
  history_start(&h, second, SIZE_MAX);
  history_refused(&h, NC_E_LOG_GAP, 2);
}

Test(log_chain, a_predecessor_that_was_flushed_and_dropped_is_not_missed) {
  chain(3, false);
  h.manifest.state.last_sequence = 8;
  h.manifest.logs += 2;
  h.manifest.log_count = 1;
  atomic_uint_fast64_t budget = 0;
  nacre_error err;
  nc_log *found[1] = {NULL};
  nc_recovery r = {.dir = &h.floor.dir, .keys = h.floor.keys, .manifest = &h.manifest, .logs = found};
  must(nc_memtable_create(h.floor.shared.env, NULL, 1 << 14, &budget, &r.memtable, &err));
  must(nc_recover_logs(&r, &err));
  cr_expect_eq(r.last_sequence, 12);
  cr_expect_eq(nc_memtable_entries(r.memtable), 4);
  nc_log_unref(found[0]);
  nc_pin_unref(nc_memtable_pin(r.memtable));
}

Test(log_chain, a_first_log_that_begins_behind_what_segments_hold_is_a_gap) {
  size_t first = history_log(&h);
  h.next_sequence = 3;
  history_start(&h, first, SIZE_MAX);
  history_group(&h, first, 1);
  h.manifest.state.last_sequence = 1;
  history_refused(&h, NC_E_LOG_GAP, 0);
  cr_expect(names_log(h.err.file, 0));
}

Test(log_chain, a_gap_between_two_logs_ends_the_history) {
  size_t first = history_log(&h), second = history_log(&h);
  history_start(&h, first, SIZE_MAX);
  history_group(&h, first, 2);
  h.next_sequence++;
  history_start(&h, second, first);
  history_group(&h, second, 2);
  history_keeps(&h, 2);
  broken_at(frame_of(1, 0));
}

/* ---- logs that never began ----------------------------------------------------------------------------- */

Test(log_chain, a_newest_log_that_never_began_leaves_a_clean_end_clean) {
  chain(2, true);
  history_log(&h);
  history_keeps(&h, 8);
  cr_expect(h.report.clean);
}

Test(log_chain, a_newest_log_that_never_began_does_not_hide_a_torn_tail) {
  chain(1, false);
  history_log(&h);
  size_t hit = frame_of(0, 2);
  log_cut(&h, 0, h.frames[hit].offset + 20);
  history_keeps(&h, 2);
  broken_at(hit);
}

Test(log_chain, a_newest_log_with_a_torn_first_frame_is_dropped) {
  chain(2, false);
  log_cut(&h, 1, NC_FRAMES_OFFSET + 24);
  history_keeps(&h, 4);
  broken_at(frame_of(1, 0));
  cr_expect_eq(h.report.dropped_bytes, 24);
}

Test(log_chain, a_log_between_others_may_never_have_begun) {
  size_t first = history_log(&h), unused = history_log(&h), third = history_log(&h);
  history_start(&h, first, SIZE_MAX);
  history_group(&h, first, 2);
  history_final(&h, first);
  history_start(&h, third, first);
  history_group(&h, third, 2);
  history_keeps(&h, 4);
  cr_expect_eq(h.report.logs, 3);
  (void)unused;
}

Test(log_chain, a_first_log_may_never_have_begun) {
  size_t unused = history_log(&h), second = history_log(&h);
  history_start(&h, second, SIZE_MAX);
  history_group(&h, second, 2);
  history_keeps(&h, 2);
  (void)unused;
}

Test(log_chain, zeros_are_the_end_only_in_the_newest_log_that_began) {
  chain(2, false);
  history_log(&h);
  size_t hit = frame_of(1, 2);
  frame_zero(&h, hit);
  history_keeps(&h, 6);
  frame_zero(&h, frame_of(0, 2)); /* in an older one they are a break */
  history_keeps(&h, 2);
  broken_at(frame_of(0, 2));
}

/* ---- not the logs that were named ---------------------------------------------------------------------- */

Test(log_chain, a_missing_log_is_refused_wherever_it_stands) { /* [L10] */
  static const uint64_t kept[] = {0, 4, 8};
  chain(3, false);
  for (size_t i = 0; i < 3; i++) {
    char path[PATH_BYTES], away[PATH_BYTES];
    history_path(&h, i, path);
    join(away, h.floor.path, "away");
    cr_assert_eq(rename(path, away), 0);
    history_refused(&h, NC_E_LOG_MISSING, kept[i]);
    cr_expect(names_log(h.err.file, i), "%s", h.err.file);
    cr_assert_eq(rename(away, path), 0);
  }
  history_keeps(&h, 12);
}

Test(log_chain, a_log_without_a_valid_header_is_refused) {
  chain(2, false);
  char path[PATH_BYTES];
  history_path(&h, 1, path);
  file_flip(path, 50);
  history_keeps(&h, 8);
  file_flip(path, 4096 + 50);
  history_refused(&h, NC_E_HEADER_CRC, 4);
  log_cut(&h, 1, 0);
  history_refused(&h, NC_E_HEADER_SHORT, 4);
  cr_expect(names_log(h.err.file, 1));
}

/* Another history's log under the name: `same_table` or a stranger's. */
static void replaced_by(bool same_table, uint64_t number, uint64_t epoch, nc_error_id id) {
  nacre_error err;
  chain(2, false);
  char path[PATH_BYTES], other[PATH_BYTES], name[NC_FILE_NAME_BYTES];
  history_path(&h, 1, path);
  nc_uuid stranger = h.floor.table;
  if (!same_table) stranger.bytes[7] ^= 1;
  nc_log *log;
  if (number == 2) cr_assert_eq(remove(path), 0);
  must(nc_log_create(&h.floor.dir, &stranger, nc_table_keys_active(h.floor.keys), number, epoch, &log, &err));
  nc_log_unref(log);
  nc_log_name_file(number, name);
  join(other, h.floor.path, name);
  if (number != 2) cr_assert_eq(rename(other, path), 0);
  nacre_status status = history_recover(&h, NACRE_RECOVERY_STRICT);
  check_id(status, &h.err, id, "recovery", __FILE__, __LINE__);
}
Test(log_chain, a_log_of_another_table_is_refused) { replaced_by(false, 2, 1, NC_E_FILE_IDENTITY); }
Test(log_chain, another_log_of_the_same_number_is_refused) { replaced_by(true, 2, 1, NC_E_FILE_IDENTITY); }
Test(log_chain, a_log_of_another_number_is_refused) { replaced_by(true, 9, 1, NC_E_FILE_IDENTITY); }
Test(log_chain, a_log_of_a_later_epoch_is_rolled_back) { replaced_by(true, 2, 2, NC_E_FILE_EPOCH); }

Test(log_chain, two_logs_that_changed_names_are_refused) {
  chain(2, false);
  char one[PATH_BYTES], two[PATH_BYTES], away[PATH_BYTES];
  history_path(&h, 0, one);
  history_path(&h, 1, two);
  join(away, h.floor.path, "away");
  cr_assert(rename(one, away) == 0 && rename(two, one) == 0 && rename(away, two) == 0);
  history_refused(&h, NC_E_FILE_IDENTITY, 0);
}

/* ---- every cut ----------------------------------------------------------------------------------------- */

/* Whichever log is cut, and where: what is kept is a prefix, and what was vouched for is kept or the open
 * refused. */
Test(log_chain, a_cut_anywhere_keeps_a_prefix_or_is_refused) {
  chain(2, false);
  history_synced(&h, 1);
  size_t third = history_log(&h);
  history_start(&h, third, 1);
  history_group(&h, third, 2);
  history_mark(&h, third);
  history_group(&h, third, 2);
  for (size_t log = 0; log < 3; log++) {
    char path[PATH_BYTES];
    size_t size;
    history_path(&h, log, path);
    uint8_t *bytes = file_load(path, &size);
    for (uint64_t cut = size - 1; cut >= NC_FRAMES_OFFSET; cut -= 5) {
      file_store(path, bytes, cut);
      nacre_status status = history_recover(&h, NACRE_RECOVERY_STRICT);
      uint64_t end = 0;
      for (size_t i = 0; i < h.frame_count; i++) {
        bool whole =
            h.frames[i].log < log || (h.frames[i].log == log && h.frames[i].offset + h.frames[i].size <= cut);
        if (whole) end = h.frames[i].last_sequence;
      }
      cr_assert_eq(status, log < 2 ? NACRE_CORRUPT : NACRE_OK, "log %zu cut to %llu", log,
                   (unsigned long long)cut);
      if (status == NACRE_OK) cr_assert_eq(h.entries, end);
    }
    file_store(path, bytes, size);
    free(bytes);
  }
  history_keeps(&h, 12);
}
