/* SPDX-License-Identifier: Apache-2.0
 *
 * recovery: the tail rule, clause by clause, on one log (format/README.md, "The tail rule").
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "histories.h"

static history h;
static size_t a; /* the log */

static void setup(void) {
  history_open(&h);
  a = history_log(&h);
}
static void teardown(void) { history_close(&h); }
TestSuite(tail_rule, .init = setup, .fini = teardown);

/* Something was dropped from `frame` on, and the report says so. */
static void dropped_from(size_t frame, uint64_t bytes) {
  cr_expect_not(h.report.clean);
  cr_expect_eq(h.report.dropped_offset, h.frames[frame].offset);
  cr_expect_eq(h.report.dropped_bytes, bytes, "%llu instead of %llu",
               (unsigned long long)h.report.dropped_bytes, (unsigned long long)bytes);
  cr_expect(h.report.maybe_synced, "it could have been synced after the last mark");
  char name[NC_FILE_NAME_BYTES];
  nc_log_name_file(h.frames[frame].log + 1, name);
  cr_expect_not_null(strstr(h.report.file, name));
  cr_expect_neq(h.report.reason[0], '\0');
}

static void dropped_nothing(bool clean) {
  cr_expect_eq(h.report.clean, clean);
  cr_expect_eq(h.report.dropped_bytes, 0);
  cr_expect_eq(h.report.dropped_offset, NACRE_NONE);
  cr_expect_not(h.report.maybe_synced);
  cr_expect_str_empty(h.report.file);
  cr_expect_str_empty(h.report.reason);
}

static uint64_t end_of(size_t frame) { return h.frames[frame].offset + h.frames[frame].size; }

/* ---- ends ---------------------------------------------------------------------------------------------- */

Test(tail_rule, no_logs_at_all_is_clean) {
  h.manifest.log_count = 0;
  h.manifest.state.last_sequence = 41;
  cr_assert_eq(history_recover(&h, NACRE_RECOVERY_STRICT), NACRE_OK);
  cr_expect_eq(h.last_sequence, 41);
  cr_expect_eq(h.report.logs, 0);
  dropped_nothing(true);
  h.manifest.log_count = 1;
}

Test(tail_rule, a_log_that_never_began_is_clean) {
  history_keeps(&h, 0);
  dropped_nothing(true);
}

Test(tail_rule, a_final_frame_is_a_clean_end) {
  history_start(&h, a, SIZE_MAX);
  history_group(&h, a, 3);
  history_group(&h, a, 1);
  history_synced(&h, a);
  history_mark(&h, a);
  history_synced(&h, a);
  history_final(&h, a);
  history_keeps(&h, 4);
  dropped_nothing(true);
  cr_expect_eq(h.report.logs, 1);
  cr_expect_eq(h.report.groups, 2);
}

Test(tail_rule, an_end_without_a_final_frame_drops_nothing_and_is_not_clean) {
  history_start(&h, a, SIZE_MAX);
  history_group(&h, a, 2);
  history_mark(&h, a);
  history_keeps(&h, 2);
  dropped_nothing(false);
}

Test(tail_rule, what_stood_in_segments_counts_for_the_last_sequence) {
  h.manifest.state.last_sequence = 9;
  history_start(&h, a, SIZE_MAX);
  history_group(&h, a, 4);
  cr_assert_eq(history_recover(&h, NACRE_RECOVERY_STRICT), NACRE_OK);
  cr_expect_eq(h.last_sequence, 9, "a flush got further than this log");
}

/* ---- torn tails ---------------------------------------------------------------------------------------- */

/* Cuts the log at every byte of its last frame. */
static void torn_everywhere(size_t frame, uint64_t kept) {
  uint64_t offset = h.frames[frame].offset, end = end_of(frame);
  cr_assert_eq(history_size(&h, a), end);
  for (uint64_t size = end - 1; size > offset; size--) {
    log_cut(&h, a, size);
    history_keeps(&h, kept);
    dropped_from(frame, size - offset);
  }
  log_cut(&h, a, offset);
  history_keeps(&h, kept);
  dropped_nothing(frame == 0); /* without a first frame it looks as if it had never begun */
}

Test(tail_rule, a_torn_last_group_is_dropped_at_every_byte_length) { /* [L6] */
  history_start(&h, a, SIZE_MAX);
  history_group(&h, a, 2);
  torn_everywhere(history_group(&h, a, 3), 2);
}

Test(tail_rule, a_torn_mark_is_dropped_at_every_byte_length) {
  history_start(&h, a, SIZE_MAX);
  history_group(&h, a, 2);
  history_synced(&h, a);
  torn_everywhere(history_mark(&h, a), 2);
}

Test(tail_rule, a_torn_final_frame_is_dropped_at_every_byte_length) {
  history_start(&h, a, SIZE_MAX);
  history_group(&h, a, 2);
  history_synced(&h, a);
  history_mark(&h, a);
  torn_everywhere(history_final(&h, a), 2);
}

Test(tail_rule, a_torn_first_frame_is_dropped_at_every_byte_length) {
  history_start(&h, a, SIZE_MAX);
  torn_everywhere(0, 0);
}

Test(tail_rule, a_torn_group_behind_a_mark_that_covers_the_rest_is_dropped) {
  history_start(&h, a, SIZE_MAX);
  history_group(&h, a, 2);
  history_synced(&h, a);
  history_mark(&h, a);
  torn_everywhere(history_group(&h, a, 3), 2);
}

Test(tail_rule, a_damaged_last_frame_is_dropped_whichever_byte_it_is) {
  history_start(&h, a, SIZE_MAX);
  history_group(&h, a, 2);
  size_t last = history_group(&h, a, 1);
  char path[PATH_BYTES];
  history_path(&h, a, path);
  for (uint64_t at = h.frames[last].offset; at < end_of(last); at++) {
    file_flip(path, at);
    history_keeps(&h, 2);
    dropped_from(last, h.frames[last].size);
    file_flip(path, at);
  }
  history_keeps(&h, 3);
}

Test(tail_rule, zeros_behind_the_last_frame_are_the_end) {
  history_start(&h, a, SIZE_MAX);
  size_t last = history_group(&h, a, 2);
  for (uint64_t more = 1; more < 100; more += 7) {
    log_cut(&h, a, end_of(last) + more);
    history_keeps(&h, 2);
    cr_expect_not(h.report.clean);
    log_cut(&h, a, end_of(last));
  }
}

Test(tail_rule, zeros_behind_a_final_frame_lose_nothing) {
  history_start(&h, a, SIZE_MAX);
  history_group(&h, a, 2);
  history_synced(&h, a);
  size_t last = history_final(&h, a);
  log_cut(&h, a, end_of(last) + 4096);
  history_keeps(&h, 2);
  cr_expect(!h.report.clean && h.report.dropped_offset == h.frames[last].offset);
  cr_expect_not(h.report.maybe_synced, "nothing was acknowledged behind a final frame");
}

/* ---- holes: pages reach the disk in any order ---------------------------------------------------------- */

Test(tail_rule, a_hole_before_intact_unsynced_frames_drops_them_and_is_reported) {
  size_t groups[5];
  history_start(&h, a, SIZE_MAX);
  for (size_t i = 0; i < 5; i++) groups[i] = history_group(&h, a, 1 + i);
  frame_zero(&h, groups[2]);
  history_keeps(&h, 3);
  dropped_from(groups[2], end_of(groups[4]) - h.frames[groups[2]].offset);
  frame_zero(&h, groups[0]);
  history_keeps(&h, 0);
  dropped_from(groups[0], end_of(groups[4]) - h.frames[groups[0]].offset);
}

Test(tail_rule, junk_in_an_unsynced_hole_is_a_hole) {
  history_start(&h, a, SIZE_MAX);
  size_t first = history_group(&h, a, 1), second = history_group(&h, a, 1);
  history_group(&h, a, 1);
  char path[PATH_BYTES];
  history_path(&h, a, path);
  size_t size;
  uint8_t *bytes = file_load(path, &size);
  test_random random = {71};
  test_random_fill(&random, bytes + h.frames[second].offset, h.frames[second].size);
  file_store(path, bytes, size);
  free(bytes);
  history_keeps(&h, 1);
  dropped_from(second, size - h.frames[second].offset);
  (void)first;
}

Test(tail_rule, a_hole_behind_what_a_later_mark_vouches_for_is_still_a_torn_tail) {
  history_start(&h, a, SIZE_MAX);
  history_group(&h, a, 2);
  history_synced(&h, a); /* the tail as it was before the sync began */
  size_t during = history_group(&h, a, 2);
  history_mark(&h, a);
  history_group(&h, a, 2);
  frame_zero(&h, during);
  history_keeps(&h, 2);
  dropped_from(during, history_size(&h, a) - h.frames[during].offset);
}

Test(tail_rule, a_cut_in_the_first_frame_with_nothing_vouched_for_leaves_nothing) {
  history_start(&h, a, SIZE_MAX);
  history_group(&h, a, 2);
  frame_flip(&h, 0);
  history_keeps(&h, 0);
  dropped_from(0, history_size(&h, a) - NC_FRAMES_OFFSET);
}

/* ---- damage before what is vouched for ----------------------------------------------------------------- */

static void refused_at(size_t frame, uint64_t kept) {
  history_refused(&h, NC_E_LOG_DAMAGED, kept);
  cr_expect_eq(h.err.offset, h.frames[frame].offset);
  char name[NC_FILE_NAME_BYTES];
  nc_log_name_file(h.frames[frame].log + 1, name);
  cr_expect_not_null(strstr(h.err.file, name));
}

Test(tail_rule, damage_before_a_marks_synced_position_is_refused) { /* [L4] */
  size_t frames[4];
  history_start(&h, a, SIZE_MAX);
  frames[0] = 0;
  for (size_t i = 1; i < 4; i++) frames[i] = history_group(&h, a, 1);
  history_synced(&h, a);
  history_mark(&h, a);
  for (size_t i = 0; i < 4; i++) {
    frame_flip(&h, frames[i]);
    refused_at(frames[i], i == 0 ? 0 : i - 1);
    frame_flip(&h, frames[i]);
  }
  frame_zero(&h, frames[2]);
  refused_at(frames[2], 1);
}

Test(tail_rule, the_border_is_the_synced_position_itself) {
  history_start(&h, a, SIZE_MAX);
  size_t first = history_group(&h, a, 1), second = history_group(&h, a, 1);
  history_group(&h, a, 1);
  h.synced = (nc_log_position){1, h.frames[second].offset};
  history_mark(&h, a);
  frame_flip(&h, second);
  history_keeps(&h, 1);
  frame_flip(&h, second);
  frame_flip(&h, first);
  refused_at(first, 0);
  frame_flip(&h, first);
  h.synced.offset += NC_FRAME_ALIGN; /* one step more */
  history_mark(&h, a);
  frame_flip(&h, second);
  refused_at(second, 1);
}

Test(tail_rule, a_group_vouches_too) {
  history_start(&h, a, SIZE_MAX);
  size_t first = history_group(&h, a, 1);
  history_synced(&h, a);
  history_group(&h, a, 1);
  frame_flip(&h, first);
  refused_at(first, 0);
}

Test(tail_rule, a_voucher_behind_several_breaks_is_found) {
  size_t groups[6];
  history_start(&h, a, SIZE_MAX);
  for (size_t i = 0; i < 6; i++) groups[i] = history_group(&h, a, 2);
  history_synced(&h, a);
  history_mark(&h, a);
  for (size_t i = 1; i < 6; i++) frame_zero(&h, groups[i]);
  refused_at(groups[1], 2);
}

Test(tail_rule, a_final_frame_vouches_for_its_whole_log) {
  history_start(&h, a, SIZE_MAX);
  size_t first = history_group(&h, a, 1), second = history_group(&h, a, 1);
  size_t last = history_final(&h, a); /* whose synced position is nothing at all */
  frame_flip(&h, first);
  refused_at(first, 0);
  frame_flip(&h, first);
  frame_flip(&h, second);
  refused_at(second, 1);
  frame_flip(&h, second);
  frame_flip(&h, last);
  history_keeps(&h, 2);
  dropped_from(last, h.frames[last].size);
}

Test(tail_rule, a_cut_before_a_position_that_a_kept_frame_vouches_for_is_refused) {
  history_start(&h, a, SIZE_MAX);
  history_group(&h, a, 1);
  size_t second = history_group(&h, a, 1);
  h.synced = (nc_log_position){1, end_of(second) + 4096}; /* more than there ever was: a cut log */
  history_mark(&h, a);
  size_t cut = history_group(&h, a, 1);
  log_cut(&h, a, end_of(cut) - 1);
  refused_at(cut, 2);
}

/* ---- tampering ----------------------------------------------------------------------------------------- */

Test(tail_rule, a_bad_tag_under_a_good_checksum_is_tampering_in_every_kind_of_frame) { /* [L5] */
  history_start(&h, a, SIZE_MAX);
  history_group(&h, a, 2);
  history_mark(&h, a);
  history_group(&h, a, 2);
  history_final(&h, a);
  static const uint64_t kept[] = {0, 0, 2, 2, 4};
  for (size_t i = 0; i < h.frame_count; i++) {
    frame_forge(&h, i);
    history_refused(&h, NC_E_LOG_TAMPERED, kept[i]);
    cr_expect_eq(h.err.offset, h.frames[i].offset);
    cr_expect_not_null(strstr(h.err.file, ".log"));
    frame_forge(&h, i); /* the same bit back, and its checksum */
  }
  history_keeps(&h, 4);
}

Test(tail_rule, a_bad_tag_behind_the_break_is_tampering_too) {
  size_t groups[4];
  history_start(&h, a, SIZE_MAX);
  for (size_t i = 0; i < 4; i++) groups[i] = history_group(&h, a, 1);
  frame_zero(&h, groups[1]);
  frame_forge(&h, groups[3]);
  history_refused(&h, NC_E_LOG_TAMPERED, 1);
  cr_expect_eq(h.err.offset, h.frames[groups[3]].offset);
}

Test(tail_rule, a_frame_at_another_address_is_tampering) {
  history_start(&h, a, SIZE_MAX);
  size_t one = history_group(&h, a, 1), other = history_group(&h, a, 1);
  cr_assert_eq(h.frames[one].size, h.frames[other].size);
  char path[PATH_BYTES];
  size_t size;
  history_path(&h, a, path);
  uint8_t *bytes = file_load(path, &size);
  memcpy(bytes + h.frames[other].offset, bytes + h.frames[one].offset, h.frames[one].size);
  file_store(path, bytes, size);
  free(bytes);
  history_refused(&h, NC_E_LOG_TAMPERED, 1);
}

/* ---- frames where they do not belong ------------------------------------------------------------------- */

Test(tail_rule, frames_behind_a_final_frame_are_dropped_and_reported) {
  history_start(&h, a, SIZE_MAX);
  history_group(&h, a, 2);
  history_synced(&h, a);
  size_t last = history_final(&h, a);
  history_group(&h, a, 1);
  history_keeps(&h, 2);
  cr_expect_not(h.report.clean);
  cr_expect_eq(h.report.dropped_offset, h.frames[last].offset);
  cr_expect_gt(h.report.dropped_bytes, 0);
}

Test(tail_rule, a_gap_in_the_sequences_ends_the_history) { /* [L8] */
  history_start(&h, a, SIZE_MAX);
  history_group(&h, a, 2);
  h.next_sequence++;
  size_t gap = history_group(&h, a, 2);
  history_group(&h, a, 2);
  history_keeps(&h, 2);
  dropped_from(gap, history_size(&h, a) - h.frames[gap].offset);
}

Test(tail_rule, a_gap_before_a_synced_position_is_damage) {
  history_start(&h, a, SIZE_MAX);
  history_group(&h, a, 2);
  h.next_sequence++;
  size_t gap = history_group(&h, a, 2);
  history_synced(&h, a);
  history_mark(&h, a);
  refused_at(gap, 2);
}

Test(tail_rule, a_sequence_that_comes_again_ends_the_history) {
  history_start(&h, a, SIZE_MAX);
  history_group(&h, a, 2);
  h.next_sequence--;
  size_t again = history_group(&h, a, 1);
  history_keeps(&h, 2);
  dropped_from(again, h.frames[again].size);
}

Test(tail_rule, a_first_frame_in_the_middle_is_refused) {
  history_start(&h, a, SIZE_MAX);
  history_group(&h, a, 2);
  uint8_t bytes[NC_LOG_RECORD_FIXED_BYTES_MAX];
  nc_log_record record = {.first_sequence = 3};
  size_t size = nc_log_record_encode(&record, NC_FRAME_LOG_START, bytes);
  size_t again = history_raw(&h, a, NC_FRAME_LOG_START, nc_slice(bytes, size));
  history_refused(&h, NC_E_FRAME_TYPE, 2);
  cr_expect_eq(h.err.offset, h.frames[again].offset);
}

Test(tail_rule, a_log_that_begins_with_another_frame_is_refused) {
  history_group(&h, a, 2);
  history_refused(&h, NC_E_FRAME_TYPE, 0);
  cr_expect_eq(h.err.offset, NC_FRAMES_OFFSET);
}

/* Authentic bytes that no writer of ours makes: not a torn tail. [L9] */
Test(tail_rule, an_authentic_record_that_does_not_decode_is_refused) {
  history_start(&h, a, SIZE_MAX);
  history_group(&h, a, 2);
  history_raw(&h, a, NC_FRAME_LOG_GROUP, text("\x03"));
  history_refused(&h, NC_E_LOG_RECORD_SHAPE, 2);
}

Test(tail_rule, an_authentic_group_with_another_number_of_operations_is_refused_whole) {
  history_start(&h, a, SIZE_MAX);
  history_group(&h, a, 2);
  uint8_t bytes[NC_LOG_RECORD_FIXED_BYTES_MAX + 64];
  nc_log_record record = {.first_sequence = 3, .count = 2};
  size_t size = nc_log_record_encode(&record, NC_FRAME_LOG_GROUP, bytes);
  memcpy(bytes + size, "\x01\x02\x02k3v3", 7); /* one put */
  history_raw(&h, a, NC_FRAME_LOG_GROUP, nc_slice(bytes, size + 7));
  history_refused(&h, NC_E_BATCH_COUNT, 2);
}

Test(tail_rule, a_frame_of_another_kind_of_file_is_refused) {
  history_start(&h, a, SIZE_MAX);
  history_group(&h, a, 2);
  history_raw(&h, a, NC_FRAME_DATA, text("data"));
  cr_assert_neq(history_recover(&h, NACRE_RECOVERY_STRICT), NACRE_OK);
}

/* ---- the search ---------------------------------------------------------------------------------------- */

/* Behind a break, headers that look like frames of almost all that follows, at every step. [L11] */
Test(tail_rule, a_search_that_would_cost_too_much_is_refused) {
  history_start(&h, a, SIZE_MAX);
  history_group(&h, a, 1);
  uint64_t from = history_size(&h, a), more = 64 << 10;
  char path[PATH_BYTES];
  size_t size;
  history_path(&h, a, path);
  log_cut(&h, a, from + more);
  uint8_t *bytes = file_load(path, &size), *frame = test_alloc(more + 64);
  static const uint8_t salt[NC_FRAME_SALT_BYTES];
  for (uint64_t at = from; at + 64 < size; at += NC_FRAME_ALIGN) {
    nc_frame_begin(frame, size - at - 32, NC_FRAME_LOG_GROUP, salt);
    memcpy(bytes + at, frame, NC_FRAME_HEADER_BYTES);
  }
  file_store(path, bytes, size);
  free(bytes);
  free(frame);
  history_refused(&h, NC_E_LOG_SEARCH, 1);
  cr_expect_not_null(strstr(h.err.file, ".log"));
}

/* Ordinary torn tails stay far below the bound: the frames of a large group, begun and never ended. */
Test(tail_rule, a_search_of_ordinary_rubble_is_affordable) {
  history_start(&h, a, SIZE_MAX);
  history_group(&h, a, 1);
  size_t first = history_group(&h, a, 100);
  for (size_t i = 0; i < 60; i++) history_group(&h, a, 100);
  frame_zero(&h, first);
  history_keeps(&h, 1);
  dropped_from(first, history_size(&h, a) - h.frames[first].offset);
}

/* ---- what a log knows of the manifest ------------------------------------------------------------------ */

Test(tail_rule, a_mark_that_knows_of_a_later_commit_means_a_manifest_put_back) { /* [L12] */
  history_start(&h, a, SIZE_MAX);
  history_group(&h, a, 2);
  h.commit = 10;
  history_mark(&h, a);
  history_keeps(&h, 2);
  h.commit = 11;
  size_t mark = history_mark(&h, a);
  cr_expect_eq(history_recover(&h, NACRE_RECOVERY_STRICT), NACRE_ROLLED_BACK);
  cr_expect_eq(h.err.id, NC_E_MANIFEST_ROLLED_BACK);
  cr_expect_eq(history_recover(&h, NACRE_RECOVERY_TO_DAMAGE), NACRE_ROLLED_BACK,
               "no mode reads an older state");
  log_cut(&h, a, h.frames[mark].offset);
  history_keeps(&h, 2);
}

Test(tail_rule, so_does_a_final_frame_and_a_first_one) {
  h.commit = 11;
  history_start(&h, a, SIZE_MAX);
  cr_expect_eq(history_recover(&h, NACRE_RECOVERY_STRICT), NACRE_ROLLED_BACK);
  h.manifest.sequence = 11;
  h.commit = 12;
  history_final(&h, a);
  cr_expect_eq(history_recover(&h, NACRE_RECOVERY_STRICT), NACRE_ROLLED_BACK);
  h.manifest.sequence = 12;
  history_keeps(&h, 0);
}

Test(tail_rule, so_does_a_mark_behind_the_break) {
  history_start(&h, a, SIZE_MAX);
  history_group(&h, a, 1);
  size_t hole = history_group(&h, a, 1);
  h.commit = 11;
  history_mark(&h, a);
  frame_zero(&h, hole);
  cr_expect_eq(history_recover(&h, NACRE_RECOVERY_STRICT), NACRE_ROLLED_BACK);
}

/* ---- a disk that does not read ------------------------------------------------------------------------- */

static int no_read(void *context, nacre_io_file *file, uint64_t offset, void *buffer, size_t size,
                   size_t *ret_read) {
  if (offset < NC_FRAMES_OFFSET)
    return nacre_io_posix()->file_read(context, file, offset, buffer, size, ret_read);
  return EIO;
}

Test(tail_rule, a_log_that_cannot_be_read_is_no_torn_tail) {
  history_start(&h, a, SIZE_MAX);
  history_group(&h, a, 2);
  h.floor.quick.file_read = no_read;
  cr_expect_eq(history_recover(&h, NACRE_RECOVERY_STRICT), NACRE_IO);
  cr_expect_eq(history_recover(&h, NACRE_RECOVERY_TO_DAMAGE), NACRE_IO, "nor damage");
  h.floor.quick.file_read = nacre_io_posix()->file_read;
  history_keeps(&h, 2);
}

/* ---- every byte ---------------------------------------------------------------------------------------- */

/* A log with known sync points: whatever byte is flipped, what was durable is either all there or the open
 * is refused. */
Test(tail_rule, a_flipped_bit_anywhere_is_classified_by_what_was_synced) {
  history_start(&h, a, SIZE_MAX);
  for (int i = 0; i < 3; i++) history_group(&h, a, 2);
  history_synced(&h, a);
  uint64_t durable = h.synced.offset;
  history_group(&h, a, 1);
  history_mark(&h, a);
  for (int i = 0; i < 3; i++) history_group(&h, a, 1);
  char path[PATH_BYTES];
  history_path(&h, a, path);
  for (size_t f = 0; f < h.frame_count; f++) {
    uint64_t kept = f == 0 ? 0 : h.frames[f - 1].last_sequence;
    for (uint64_t at = h.frames[f].offset; at < end_of(f); at++) {
      file_flip(path, at);
      nacre_status status = history_recover(&h, NACRE_RECOVERY_STRICT);
      if (h.frames[f].offset < durable) {
        cr_assert_eq(status, NACRE_CORRUPT, "byte %llu", (unsigned long long)at);
      } else {
        cr_assert_eq(status, NACRE_OK, "byte %llu: %s", (unsigned long long)at, h.err.text);
        cr_assert_eq(h.entries, kept);
        cr_assert(h.report.dropped_offset == h.frames[f].offset && !h.report.clean);
      }
      file_flip(path, at);
    }
  }
  history_keeps(&h, 10);
}
