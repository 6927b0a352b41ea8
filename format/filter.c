/* SPDX-License-Identifier: Apache-2.0
 *
 * filter: the keyed hash and the Bloom lines (format/README.md, "Filter").
 *
 * Implementation notes. The hash multiplies 64 by 64 bits by a multiplier drawn from the seed, and folds the
 * 128-bit product: a difference that somebody puts into two keys comes out as one that depends on a seed that
 * they have not seen. A plain multiplication would not do: it carries a difference of the top bit through
 * every odd multiplier unchanged.
 */
#include "filter.h"

#include <assert.h>

#include "coding.h"

__extension__ typedef unsigned __int128 u128;

/* Odd and without structure: the fractions of the square roots of 2, 3, 5, 7 and 11, the lowest bit set. */
static const uint64_t C0 = 0x6A09E667F3BCC909, C1 = 0xBB67AE8584CAA73B, C2 = 0x3C6EF372FE94F82B,
                      C3 = 0xA54FF53A5F1D36F1, C4 = 0x510E527FADE682D1;

enum { LINE_BITS = NC_FILTER_LINE_BYTES * 8, PROBE_BITS = 9, PROBES_A_DRAW = 7, PROBES_MAX = 16 };
_Static_assert(1 << PROBE_BITS == LINE_BITS, "a probe names one bit of a line");
_Static_assert(PROBE_BITS *PROBES_A_DRAW <= 64, "a draw has bits for its probes");

static inline uint64_t fold(uint64_t a, uint64_t b) {
  u128 product = (u128)a * b;
  return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t nc_filter_hash(uint64_t seed, nacre_slice key) {
  const uint8_t *p = key.data;
  uint64_t multiplier = fold(seed ^ C0, C1) | 1, h = fold(seed ^ C2, C3);
  size_t left = key.size;
  for (; left >= 8; p += 8, left -= 8) h = fold(h ^ nc_get_u64(p), multiplier);
  if (left != 0) {
    uint64_t word = 0;
    for (size_t i = 0; i < left; i++) word |= (uint64_t)p[i] << (8 * i);
    h = fold(h ^ word, multiplier);
  }
  /* The length comes last: where it came first, a key could undo its own length in its first word. */
  h = fold(h ^ (uint64_t)key.size, multiplier);
  return fold(h ^ C1, C4);
}

void nc_filter_shape(uint64_t keys, uint32_t bits_per_key, uint64_t *ret_lines, uint32_t *ret_probes) {
  assert(bits_per_key <= NC_FILTER_BITS_PER_KEY_MAX &&
         keys <= UINT64_MAX / NC_FILTER_BITS_PER_KEY_MAX - LINE_BITS);
  uint64_t lines = (keys * bits_per_key + LINE_BITS - 1) / LINE_BITS;
  *ret_lines = lines == 0 ? 1 : lines;
  /* A little under ln 2 times the bits a key: lines fill unevenly, and the full ones suffer from every
   * further probe. */
  uint32_t probes = bits_per_key * 5 / 8;
  *ret_probes = probes < 1 ? 1 : probes > PROBES_MAX ? PROBES_MAX : probes;
}

uint64_t nc_filter_frame_lines(uint64_t line_count, uint32_t frame) {
  uint64_t before = frame * NC_FILTER_FRAME_LINES;
  if (before >= line_count) return 0;
  return line_count - before < NC_FILTER_FRAME_LINES ? line_count - before : NC_FILTER_FRAME_LINES;
}

nacre_status nc_filter_check(uint64_t line_count, uint32_t probes, uint32_t frames, nacre_error *err) {
  uint64_t needed = line_count / NC_FILTER_FRAME_LINES + (line_count % NC_FILTER_FRAME_LINES != 0);
  bool sound = line_count == 0 ? probes == 0 : probes >= 1 && probes <= PROBES_MAX;
  if (sound && needed == frames) return NACRE_OK; /* [Q1] */
  return nc_fail(err, NC_E_FILTER_SHAPE, "%llu lines in %u frames, %u probes", (unsigned long long)line_count,
                 frames, probes);
}

uint64_t nc_filter_line(uint64_t hash, uint64_t line_count) {
  return (uint64_t)((u128)hash * line_count >> 64);
}

/* Bits of probe i of a line: nine at a time from a draw, which is made anew after seven probes. */
typedef struct probe_source {
  uint64_t draw, bits;
  uint32_t left;
} probe_source;

static inline uint32_t next_probe(probe_source *source, uint64_t hash) {
  if (source->left == 0) {
    source->draw = fold(source->draw ^ hash, C0);
    source->bits = source->draw;
    source->left = PROBES_A_DRAW;
  }
  source->left--;
  uint32_t bit = (uint32_t)source->bits & (LINE_BITS - 1);
  source->bits >>= PROBE_BITS;
  return bit;
}

void nc_filter_add(uint8_t *lines, uint64_t line_count, uint32_t probes, uint64_t hash) {
  uint8_t *line = lines + nc_filter_line(hash, line_count) * NC_FILTER_LINE_BYTES;
  probe_source source = {0};
  for (uint32_t i = 0; i < probes; i++) {
    uint32_t bit = next_probe(&source, hash);
    line[bit / 8] = (uint8_t)(line[bit / 8] | 1u << bit % 8);
  }
}

bool nc_filter_line_matches(const uint8_t line[NC_FILTER_LINE_BYTES], uint32_t probes, uint64_t hash) {
  probe_source source = {0};
  for (uint32_t i = 0; i < probes; i++) {
    uint32_t bit = next_probe(&source, hash);
    if ((line[bit / 8] & 1u << bit % 8) == 0) return false;
  }
  return true;
}
