/* SPDX-License-Identifier: Apache-2.0
 *
 * Target: the filter's shape, hash and lines (format/README.md, "Filter").
 *
 * Input: u64 lines · u32 frames · u8 probes · u8 bits a key · u64 seed · lines as a segment would have them
 * · keys, each led by its length. A filter never says no to a key that was added; lines of any bytes are
 * read without harm.
 */
#include "filter.h"

#include <stdlib.h>

#include "coding.h"
#include "fuzz.h"

enum { LINES_MAX = 8, PROBES_MAX = 16, KEYS_MAX = 256 };
static const uint64_t keys_max = UINT64_MAX / NC_FILTER_BITS_PER_KEY_MAX - 512; /* beyond, sums would wrap */

static void check_shape(uint64_t lines, uint32_t frames, uint32_t probes) {
  nacre_error err;
  nc_error_clear(&err);
  if (!fuzz_accepted_in_place(nc_filter_check(lines, probes, frames, &err), &err, 0)) return;
  FUZZ_REQUIRE((lines == 0) == (frames == 0) && (lines == 0) == (probes == 0) && probes <= PROBES_MAX);
  FUZZ_REQUIRE(nc_filter_frame_lines(lines, frames) == 0);
  if (frames == 0) return;
  uint64_t last = nc_filter_frame_lines(lines, frames - 1);
  FUZZ_REQUIRE(last > 0 && (frames - 1) * NC_FILTER_FRAME_LINES + last == lines);
  FUZZ_REQUIRE(frames == 1 || nc_filter_frame_lines(lines, 0) == NC_FILTER_FRAME_LINES);
}

/* What a writer chooses, a reader accepts. */
static void choose_shape(uint64_t keys, uint32_t bits_per_key) {
  uint64_t lines = 0;
  uint32_t probes = 0;
  nc_filter_shape(keys % (keys_max + 1), bits_per_key, &lines, &probes);
  FUZZ_REQUIRE(lines >= 1 && probes >= 1 && probes <= PROBES_MAX);
  uint64_t frames = (lines - 1) / NC_FILTER_FRAME_LINES + 1;
  if (frames <= UINT32_MAX) FUZZ_REQUIRE(nc_filter_check(lines, probes, (uint32_t)frames, NULL) == NACRE_OK);
}

static void add_and_look(nc_reader *r, uint8_t *lines, uint64_t line_count, uint32_t probes, uint64_t seed) {
  uint64_t hashes[KEYS_MAX];
  size_t count = 0;
  while (count < KEYS_MAX && nc_reader_left(r) > 0) {
    size_t size = (size_t)fuzz_choose(r, 64);
    nacre_slice rest = nc_read_bytes(r, size < nc_reader_left(r) ? size : nc_reader_left(r));
    uint8_t *key = fuzz_copy(rest.data, rest.size);
    uint64_t hash = nc_filter_hash(seed, nc_slice(key, rest.size)), line = nc_filter_line(hash, line_count);
    FUZZ_REQUIRE(hash == nc_filter_hash(seed, rest) && line < line_count);
    (void)nc_filter_line_matches(lines + line * NC_FILTER_LINE_BYTES, probes, hash);
    nc_filter_add(lines, line_count, probes, hash);
    hashes[count++] = hash;
    free(key);
  }
  for (size_t i = 0; i < count; i++) {
    uint64_t line = nc_filter_line(hashes[i], line_count);
    FUZZ_REQUIRE(nc_filter_line_matches(lines + line * NC_FILTER_LINE_BYTES, probes, hashes[i]));
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  nc_reader r = nc_reader_over(nc_slice(data, size));
  uint64_t lines = nc_read_u64(&r);
  uint32_t frames = nc_read_u32(&r), probes = nc_read_u8(&r), bits_per_key = nc_read_u8(&r);
  uint64_t seed = nc_read_u64(&r);
  check_shape(lines, frames, probes);
  check_shape(lines, (uint32_t)(lines / NC_FILTER_FRAME_LINES + (lines % NC_FILTER_FRAME_LINES != 0)),
              probes);
  choose_shape(lines, bits_per_key % (NC_FILTER_BITS_PER_KEY_MAX + 1));
  uint64_t line_count = 1 + lines % LINES_MAX;
  size_t bytes = (size_t)line_count * NC_FILTER_LINE_BYTES;
  uint8_t *memory = fuzz_alloc(bytes);
  nacre_slice given = nc_read_bytes(&r, bytes < nc_reader_left(&r) / 2 ? bytes : nc_reader_left(&r) / 2);
  memset(memory, 0, bytes);
  memcpy(memory, given.data, given.size);
  add_and_look(&r, memory, line_count, 1 + probes % PROBES_MAX, seed);
  free(memory);
  return 0;
}
