/* SPDX-License-Identifier: Apache-2.0
 *
 * Target: the range deletes of a segment (format/README.md, "Range deletes").
 */
#include "ranges.h"

#include <stdlib.h>

#include "fuzz.h"

static void check_order(const nc_ranges_fragment *f, nacre_slice last_to, bool first) {
  FUZZ_REQUIRE(nc_slice_compare(f->from, f->to) < 0);
  FUZZ_REQUIRE(f->from.size <= NACRE_KEY_BYTES_MAX && f->to.size <= NACRE_KEY_BYTES_MAX);
  FUZZ_REQUIRE(first || nc_slice_compare(last_to, f->from) <= 0);
  FUZZ_REQUIRE(f->count >= 1 && f->count <= f->sequences.size);
}

static void write_again(nc_writer *w, const nc_ranges_fragment *f) {
  uint64_t *sequences = fuzz_alloc((size_t)f->count * sizeof *sequences);
  size_t at = 0;
  for (uint64_t i = 0; i < f->count; i++) {
    sequences[i] = nc_ranges_sequence(f, &at);
    FUZZ_REQUIRE(sequences[i] >= 1 && sequences[i] <= NC_SEQUENCE_MAX);
    FUZZ_REQUIRE(i == 0 || sequences[i] < sequences[i - 1]);
  }
  FUZZ_REQUIRE(at == f->sequences.size);
  size_t before = w->size;
  nc_ranges_write(w, f->from, f->to, sequences, (size_t)f->count);
  FUZZ_REQUIRE(!w->failed && w->size - before <= nc_ranges_bound(f->from, f->to, (size_t)f->count));
  free(sequences);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  nacre_error err;
  nc_error_clear(&err);
  uint8_t *copy = fuzz_copy(data, size), *again = fuzz_alloc(size);
  nc_writer w = nc_writer_over(again, size);
  nc_ranges_reader r;
  nacre_slice last_to = {NULL, 0};
  uint64_t fragments = 0, sequences = 0, counted[2];
  bool more = true;
  nc_ranges_read_begin(&r, nc_slice(copy, size));
  for (;;) {
    nc_ranges_fragment f;
    fuzz_blank(&f, sizeof f);
    nacre_status status = nc_ranges_read(&r, &f, &more, &err);
    if (status != NACRE_OK || !more) {
      bool whole = fuzz_accepted(status, &err, size, &f, sizeof f) || status == NACRE_OK;
      bool some = whole && fragments > 0;
      FUZZ_REQUIRE((nc_ranges_check(nc_slice(copy, size), &counted[0], &counted[1], NULL) == NACRE_OK) ==
                   some);
      if (some) FUZZ_REQUIRE(counted[0] == fragments && counted[1] == sequences);
      if (whole) fuzz_require_same(again, w.size, copy, size);
      break;
    }
    check_order(&f, last_to, fragments == 0);
    write_again(&w, &f);
    last_to = f.to;
    fragments++;
    sequences += f.count;
  }
  free(again);
  free(copy);
  return 0;
}
