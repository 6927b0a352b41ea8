/* SPDX-License-Identifier: Apache-2.0
 *
 * The range deletes of a segment.
 */
#include "ranges.h"

#include <stdio.h>
#include <stdlib.h>

#include "footer.h"
#include "frame.h"
#include "header.h"
#include "support.h"

enum { FRAGMENTS = 200 };

typedef struct sample {
  char from[8], to[8];
  uint64_t sequences[5];
  size_t count;
} sample;

static size_t write_samples(sample *samples, uint8_t *bytes, size_t capacity) {
  random_source random = random_begin();
  nc_writer w = nc_writer_over(bytes, capacity);
  for (size_t i = 0; i < FRAGMENTS; i++) {
    sample *s = &samples[i];
    snprintf(s->from, sizeof s->from, "k%05zu", i * 10);
    snprintf(s->to, sizeof s->to, "k%05zu", i * 10 + 1 + (size_t)random_below(&random, 10));
    s->count = 1 + (size_t)random_below(&random, 5);
    uint64_t sequence = NC_SEQUENCE_MAX + 1;
    for (size_t k = 0; k < s->count; k++) {
      sequence =
          k == 0 ? NC_SEQUENCE_MAX - random_below(&random, 2) : sequence / 2 - random_below(&random, 9);
      s->sequences[k] = sequence;
    }
    size_t before = w.size;
    nc_ranges_write(&w, text(s->from), text(s->to), s->sequences, s->count);
    cr_assert_leq(w.size - before, nc_ranges_bound(text(s->from), text(s->to), s->count));
  }
  cr_assert(!w.failed);
  return w.size;
}

Test(ranges, fragments_come_back) {
  static sample samples[FRAGMENTS];
  static uint8_t bytes[FRAGMENTS * 80];
  nacre_slice written = nc_slice(bytes, write_samples(samples, bytes, sizeof bytes));
  nc_ranges_reader r;
  nc_ranges_fragment f;
  bool more;
  uint64_t sequences = 0, counted[2];
  nc_ranges_read_begin(&r, written);
  for (size_t i = 0; i < FRAGMENTS; i++) {
    assert_ok(nc_ranges_read(&r, &f, &more, NULL));
    cr_assert(more && nc_slice_equal(f.from, text(samples[i].from)) &&
              nc_slice_equal(f.to, text(samples[i].to)));
    cr_assert_eq(f.count, samples[i].count);
    size_t at = 0;
    for (size_t k = 0; k < samples[i].count; k++)
      cr_assert_eq(nc_ranges_sequence(&f, &at), samples[i].sequences[k]);
    sequences += samples[i].count;
  }
  assert_ok(nc_ranges_read(&r, &f, &more, NULL));
  cr_assert(!more);
  assert_ok(nc_ranges_check(written, &counted[0], &counted[1], NULL));
  cr_assert(counted[0] == FRAGMENTS && counted[1] == sequences);
}

static bool decodes(nacre_slice bytes) {
  uint64_t count;
  return nc_ranges_check(bytes, &count, &count, NULL) == NACRE_OK;
}

static bool accepts(const char *from, const char *to, uint64_t first, uint64_t second) {
  uint8_t bytes[64];
  uint64_t sequences[] = {first, second};
  nc_writer w = nc_writer_over(bytes, sizeof bytes);
  nc_ranges_write(&w, text("a"), text("c"), (uint64_t[]){7}, 1);
  nc_ranges_write(&w, text(from), text(to), sequences, 2);
  cr_assert(!w.failed);
  return decodes(nc_slice(bytes, w.size));
}

Test(ranges, refuses_what_overlaps_or_is_out_of_order) { /* [E1] */
  cr_assert(accepts("c", "d", 9, 8));
  cr_assert(!accepts("b", "d", 9, 8), "overlaps");
  cr_assert(!accepts("d", "d", 9, 8), "empty");
  cr_assert(!accepts("e", "d", 9, 8), "ends before it begins");
  cr_assert(!accepts("c", "d", 8, 8), "the same sequence twice");
  cr_assert(!accepts("c", "d", 8, 9), "ascending sequences");
  cr_assert(!accepts("c", "d", 8, 0), "sequence 0");
  cr_assert(!accepts("c", "d", NC_SEQUENCE_MAX + 1, 8), "a sequence that is none");
}

Test(ranges, refuses_fragments_without_a_sequence_and_long_keys) { /* [E1, P5] */
  cr_assert(
      !decodes(text("\x01"
                    "a\x01"
                    "b")));
  cr_assert(
      !decodes(nc_slice("\x01"
                        "a\x01"
                        "b\0",
                        5)));
  for (size_t size = NACRE_KEY_BYTES_MAX; size <= NACRE_KEY_BYTES_MAX + 1; size++) {
    uint8_t *key = calloc(1, size), *bytes = malloc(size + 32);
    nc_writer w = nc_writer_over(bytes, size + 32);
    nc_ranges_write(&w, text(""), nc_slice(key, size), (uint64_t[]){1}, 1);
    cr_assert_eq(decodes(nc_slice(bytes, w.size)), size <= NACRE_KEY_BYTES_MAX);
    free(key);
    free(bytes);
  }
}

Test(ranges, damage_never_crashes_and_cuts_are_refused) {
  uint8_t bytes[64];
  nc_writer w = nc_writer_over(bytes, sizeof bytes);
  nc_ranges_write(&w, text("a"), text("c"), (uint64_t[]){1 << 20, 300, 7}, 3);
  nacre_slice whole = nc_slice(bytes, w.size);
  cr_assert(decodes(whole));
  refuses_every_other_length(whole, decodes);
  flips_every_bit(whole, decodes, false);
}

/* ---- what the properties say of them ------------------------------------------------------------------- */

static nc_properties properties_of(uint64_t entries, uint64_t range_deletes) {
  return (nc_properties){.smallest = text("a"),
                         .largest = text("b"),
                         .sequence_min = 1,
                         .sequence_max = 9,
                         .entries = entries,
                         .data_blocks = entries > 0,
                         .range_deletes = range_deletes,
                         .ranges = {NC_FRAMES_OFFSET, 64}};
}

static bool properties_decode(const nc_properties *p) {
  uint8_t bytes[256];
  nc_properties decoded;
  size_t size = nc_properties_encode(p, bytes, sizeof bytes);
  if (nc_properties_decode(nc_slice(bytes, size), &decoded, NULL) != NACRE_OK) return false;
  cr_assert_eq(decoded.range_deletes, p->range_deletes);
  cr_assert(p->range_deletes == 0 || decoded.ranges.offset == p->ranges.offset);
  return true;
}

Test(ranges, a_segment_may_hold_nothing_else) { /* [S3] */
  nc_properties p = properties_of(0, 1);
  cr_assert(properties_decode(&p));
  p = properties_of(3, 0);
  cr_assert(properties_decode(&p));
  p = properties_of(0, 0);
  cr_assert(!properties_decode(&p), "nothing at all");
  p = properties_of(0, 1), p.data_blocks = 1;
  cr_assert(!properties_decode(&p), "a block without entries");
  p = properties_of(3, 1), p.data_blocks = 0;
  cr_assert(!properties_decode(&p), "entries without a block");
  p = properties_of(3, NC_FRAME_BYTES_MAX + 1);
  cr_assert(!properties_decode(&p), "more than a frame can hold");
}
