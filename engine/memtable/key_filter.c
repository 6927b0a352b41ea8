/* SPDX-License-Identifier: Apache-2.0
 *
 * key_filter: parts of which each is four times as large as the one before, so that no key is ever hashed
 * again and a test looks at few lines, all but the last two of them in parts that stay in the processor's
 * cache. Keys go to the newest part.
 *
 * The hash, seeded for each filter, and lines of 64 bytes are those of segments' filters (format/filter.h);
 * the bits are atomic here. They need no order of their own: who reads at a sequence has acquired it from the
 * thread that added up to it.
 */
#include "key_filter.h"

#include "filter.h"
#include "random.h"

enum { FIRST_LINES = 64, GROWTH = 4, KEYS_A_LINE = 48, WORDS = NC_FILTER_LINE_BYTES / 8, PROBES = 6 };

typedef struct nc_filter_part {
  uint64_t lines;
  uint8_t to_line[NC_FILTER_LINE_BYTES - sizeof(uint64_t)];
  atomic_uint_fast64_t words[];
} nc_filter_part;
_Static_assert(sizeof(nc_filter_part) == NC_FILTER_LINE_BYTES, "lines are whole lines of the cache");
_Static_assert(sizeof(atomic_uint_fast64_t) == 8, "eight words a line");

static size_t part_bytes(uint64_t lines) {
  return sizeof(nc_filter_part) + (size_t)lines * NC_FILTER_LINE_BYTES;
}

nacre_status nc_key_filter_init(nc_key_filter *f, nc_heap *heap, nacre_error *err) {
  f->heap = heap;
  atomic_init(&f->part_count, 0);
  return nc_random(&f->seed, sizeof f->seed, err);
}

void nc_key_filter_deinit(nc_key_filter *f) {
  unsigned count = atomic_load_explicit(&f->part_count, memory_order_relaxed);
  for (unsigned i = 0; i < count; i++) nc_heap_free(f->heap, f->parts[i], part_bytes(f->parts[i]->lines));
}

nacre_status nc_key_filter_reserve(nc_key_filter *f, size_t count, size_t *ret_grown, nacre_error *err) {
  *ret_grown = 0;
  unsigned parts = atomic_load_explicit(&f->part_count, memory_order_relaxed);
  if (count <= f->keys_left || parts == NC_KEY_FILTER_PARTS_MAX) return NACRE_OK; /* then it fills up */
  uint64_t lines = parts == 0 ? FIRST_LINES : f->parts[parts - 1]->lines * GROWTH;
  while (lines * KEYS_A_LINE < count) lines *= GROWTH;
  nc_filter_part *part = nc_heap_alloc(f->heap, part_bytes(lines));
  if (part == NULL) return nc_fail(err, NC_E_NO_MEMORY, "%zu bytes for a filter", part_bytes(lines));
  part->lines = lines;
  f->parts[parts] = part;
  f->keys_left = lines * KEYS_A_LINE;
  atomic_store_explicit(&f->part_count, parts + 1, memory_order_release);
  *ret_grown = part_bytes(lines);
  return NACRE_OK;
}

/* Nine bits a probe, from the hash stirred again: its upper bits have chosen the line. */
static uint64_t probes_of(uint64_t hash) { return (hash * UINT64_C(0x9E3779B97F4A7C15)) >> 10; }

static atomic_uint_fast64_t *line_of(nc_filter_part *part, uint64_t hash) {
  return part->words + nc_filter_line(hash, part->lines) * WORDS;
}

static nc_filter_part *newest_part(const nc_key_filter *f) {
  return f->parts[atomic_load_explicit(&f->part_count, memory_order_relaxed) - 1];
}

uint64_t nc_key_filter_begin(const nc_key_filter *f, nacre_slice key) {
  uint64_t hash = nc_filter_hash(f->seed, key);
  __builtin_prefetch(line_of(newest_part(f), hash), 1);
  return hash;
}

void nc_key_filter_add(nc_key_filter *f, uint64_t hash) {
  uint64_t probes = probes_of(hash);
  atomic_uint_fast64_t *line = line_of(newest_part(f), hash);
  for (int i = 0; i < PROBES; i++, probes >>= 9) {
    atomic_uint_fast64_t *word = &line[probes >> 6 & 7];
    uint64_t bits = atomic_load_explicit(word, memory_order_relaxed) | UINT64_C(1) << (probes & 63);
    atomic_store_explicit(word, bits, memory_order_relaxed);
  }
  if (f->keys_left > 0) f->keys_left--;
}

static bool line_matches(const atomic_uint_fast64_t *line, uint64_t probes) {
  uint64_t all = 1;
  for (int i = 0; i < PROBES; i++, probes >>= 9) {
    all &= atomic_load_explicit(&line[probes >> 6 & 7], memory_order_relaxed) >> (probes & 63);
  }
  return all != 0;
}

bool nc_key_filter_test(const nc_key_filter *f, nacre_slice key) {
  unsigned count = atomic_load_explicit(&f->part_count, memory_order_acquire);
  if (count == 0) return false;
  uint64_t hash = nc_filter_hash(f->seed, key), probes = probes_of(hash);
  while (count-- > 0) {
    if (line_matches(line_of(f->parts[count], hash), probes)) return true;
  }
  return false;
}
