/* SPDX-License-Identifier: Apache-2.0
 *
 * recovery: the filler behind the frames of a log is its end, and nothing else is (format/README.md, "Filler").
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "filler.h"
#include "histories.h"

static history h;
static size_t a; /* the log */

static void setup(void) {
  history_open(&h);
  a = history_log(&h);
}
static void teardown(void) { history_close(&h); }
TestSuite(log_filler, .init = setup, .fini = teardown);

static uint64_t end_of(size_t frame) { return h.frames[frame].offset + h.frames[frame].size; }

static void dropped_nothing(bool clean) {
  cr_expect_eq(h.report.clean, clean);
  cr_expect_eq(h.report.dropped_bytes, 0);
  cr_expect_eq(h.report.dropped_offset, NACRE_NONE);
  cr_expect_not(h.report.maybe_synced);
}

static void dropped(uint64_t offset, uint64_t end) {
  cr_expect_not(h.report.clean);
  cr_expect_eq(h.report.dropped_offset, offset);
  cr_expect_eq(h.report.dropped_bytes, end - offset, "%llu", (unsigned long long)h.report.dropped_bytes);
  cr_expect(h.report.maybe_synced);
}

static void overwrite(uint64_t offset, const void *bytes, size_t size) {
  char path[PATH_BYTES];
  history_path(&h, a, path);
  size_t all;
  uint8_t *file = file_load(path, &all);
  memcpy(file + offset, bytes, size);
  file_store(path, file, all);
  free(file);
}

Test(log_filler, filler_behind_the_last_frame_is_the_end) { /* [L13] */
  history_start(&h, a, SIZE_MAX);
  size_t last = history_group(&h, a, 2);
  for (uint64_t more = NC_FILLER_BYTES; more <= 4 << 20; more *= 4) {
    log_fill(&h, a, end_of(last) + more);
    history_keeps(&h, 2);
    dropped_nothing(false);
    log_cut(&h, a, end_of(last));
  }
}

Test(log_filler, filler_behind_a_final_frame_leaves_the_log_clean) {
  history_start(&h, a, SIZE_MAX);
  history_group(&h, a, 2);
  history_synced(&h, a);
  size_t last = history_final(&h, a);
  log_fill(&h, a, end_of(last) + 4096);
  history_keeps(&h, 2);
  dropped_nothing(true);
}

Test(log_filler, a_log_of_nothing_but_filler_never_began) {
  log_fill(&h, a, NC_FRAMES_OFFSET + 4096);
  history_keeps(&h, 0);
  dropped_nothing(true);
}

Test(log_filler, a_torn_frame_is_dropped_and_the_filler_behind_it_not_counted) {
  history_start(&h, a, SIZE_MAX);
  history_group(&h, a, 1);
  size_t torn = history_group(&h, a, 3);
  log_fill(&h, a, end_of(torn) + 4096);
  frame_flip(&h, torn);
  history_keeps(&h, 1);
  dropped(h.frames[torn].offset, end_of(torn));
}

/* As a kill leaves it: the first bytes of a frame are stored last. */
Test(log_filler, a_frame_without_its_first_bytes_is_torn) {
  history_start(&h, a, SIZE_MAX);
  history_group(&h, a, 1);
  size_t torn = history_group(&h, a, 1);
  uint8_t unit[NC_FILLER_BYTES];
  log_fill(&h, a, end_of(torn) + 4096);
  nc_filler_write(unit, sizeof unit, &h.names[a].file, h.frames[torn].offset);
  overwrite(h.frames[torn].offset, unit, 8);
  history_keeps(&h, 1);
  dropped(h.frames[torn].offset, end_of(torn));
}

/* A page between newer ones that a power cut did not let through: what it held is as lost as ever. */
Test(log_filler, a_hole_of_filler_drops_what_follows) {
  history_start(&h, a, SIZE_MAX);
  history_group(&h, a, 1);
  size_t lost = history_group(&h, a, 1), last = history_group(&h, a, 1);
  uint8_t *filler = malloc(h.frames[lost].size);
  nc_filler_write(filler, h.frames[lost].size, &h.names[a].file, h.frames[lost].offset);
  overwrite(h.frames[lost].offset, filler, h.frames[lost].size);
  free(filler);
  log_fill(&h, a, end_of(last) + 4096);
  history_keeps(&h, 1);
  dropped(h.frames[lost].offset, end_of(last));
}

Test(log_filler, what_is_vouched_for_cannot_be_made_filler) { /* [L4] */
  history_start(&h, a, SIZE_MAX);
  size_t first = history_group(&h, a, 1);
  size_t second = history_group(&h, a, 1);
  history_synced(&h, a);
  size_t mark = history_mark(&h, a);
  uint64_t size = end_of(mark) - end_of(first);
  uint8_t *filler = malloc(size);
  nc_filler_write(filler, size, &h.names[a].file, end_of(first));
  overwrite(end_of(first), filler, h.frames[second].size);
  history_refused(&h, NC_E_LOG_DAMAGED, 1);
  free(filler);
}

Test(log_filler, a_recorded_end_behind_the_filler_is_damage) {
  history_start(&h, a, SIZE_MAX);
  size_t first = history_group(&h, a, 1);
  size_t second = history_group(&h, a, 1);
  history_synced(&h, a);
  size_t b = history_log(&h);
  history_start(&h, b, a);
  history_group(&h, b, 1);
  uint64_t end = end_of(second);
  log_cut(&h, a, end_of(first));
  log_fill(&h, a, end);
  history_refused(&h, NC_E_LOG_DAMAGED, 1);
}

/* Rot that gives back zeros, a unit from elsewhere, half a unit: none of it is filler. */
Test(log_filler, what_only_resembles_filler_is_reported) {
  history_start(&h, a, SIZE_MAX);
  size_t last = history_group(&h, a, 2);
  uint64_t end = end_of(last);
  static const uint8_t zeros[512];
  uint8_t unit[NC_FILLER_BYTES];

  log_fill(&h, a, end + 4096);
  overwrite(end, zeros, sizeof zeros);
  history_keeps(&h, 2);
  dropped(end, end + sizeof zeros);
  log_cut(&h, a, end);

  log_fill(&h, a, end + 4096);
  nc_filler_write(unit, sizeof unit, &h.names[a].file, end + 512);
  overwrite(end + 1024, unit, sizeof unit);
  history_keeps(&h, 2);
  dropped(end, end + 1024 + sizeof unit);
  log_cut(&h, a, end);

  nc_uuid other = {{1, 2, 3}};
  log_fill(&h, a, end + 4096);
  nc_filler_write(unit, sizeof unit, &other, end + 4080);
  overwrite(end + 4080, unit, sizeof unit);
  history_keeps(&h, 2);
  dropped(end, end + 4096);

  log_cut(&h, a, end + 24);
  history_keeps(&h, 2);
  dropped(end, end + 24);
}
