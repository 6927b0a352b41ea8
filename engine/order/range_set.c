/* SPDX-License-Identifier: Apache-2.0
 *
 * range_set: see range_set.h.
 *
 * Two sets are merged by a sweep over both, which cuts them at one another's ends into pieces. It is done
 * twice, first to count, then to write. Pieces that touch and bear the same sequences become one, so that a set
 * stays as small as what it says.
 */
#include "range_set.h"

#include "ranges.h"

nc_range_set *nc_range_set_create(nc_heap *heap, size_t fragments, size_t sequences, nacre_error *err) {
  size_t bytes = sizeof(nc_range_set) + fragments * sizeof(nc_range_fragment) + sequences * sizeof(uint64_t);
  nc_range_set *set = nc_heap_alloc(heap, bytes);
  if (set == NULL) {
    (void)nc_fail(err, NC_E_NO_MEMORY, "%zu bytes for range deletes", bytes);
    return NULL;
  }
  set->heap = heap;
  set->bytes = bytes;
  return set;
}

void nc_range_set_free(nc_range_set *set) {
  if (set != NULL) nc_heap_free(set->heap, set, set->bytes);
}

nacre_status nc_range_set_single(nc_heap *heap, nacre_slice from, nacre_slice to, uint64_t sequence,
                                 nc_range_set **ret_set, nacre_error *err) {
  nc_range_set *set = nc_range_set_create(heap, 1, 1, err);
  if (set == NULL) return NACRE_NO_MEMORY;
  uint64_t *sequences = (uint64_t *)(void *)&set->fragments[1];
  sequences[0] = sequence;
  set->fragments[0] = (nc_range_fragment){from, to, sequences, 1};
  set->count = set->sequences = 1;
  *ret_set = set;
  return NACRE_OK;
}

/* ---- merging ------------------------------------------------------------------------------------------- */

typedef struct falling {
  const uint64_t *at;
  size_t left;
} falling;

/* A stretch of keys, and the sequences of either side that cover it. */
typedef struct piece {
  nacre_slice from, to;
  falling a, b;
} piece;

/* Receives pieces in order. Without a set it only counts. */
typedef struct sink {
  nc_range_set *set;
  uint64_t *next_sequence;
  bool newest, pending;
  piece last;
  size_t fragments, sequences;
} sink;

/* The highest of two lists, which leaves them; 0: both are empty. */
static uint64_t take_highest(falling *a, falling *b) {
  uint64_t x = a->left > 0 ? *a->at : 0, y = b->left > 0 ? *b->at : 0;
  uint64_t highest = x > y ? x : y;
  if (x == highest && x != 0) a->at++, a->left--;
  if (y == highest && y != 0) b->at++, b->left--;
  return highest;
}

static bool same_sequences(piece p, piece q, bool newest) {
  for (;;) {
    uint64_t x = take_highest(&p.a, &p.b), y = take_highest(&q.a, &q.b);
    if (x != y) return false;
    if (x == 0 || newest) return true;
  }
}

static void settle(sink *s) {
  if (!s->pending) return;
  falling a = s->last.a, b = s->last.b;
  uint64_t *first = s->next_sequence;
  size_t count = 0;
  for (uint64_t x; (x = take_highest(&a, &b)) != 0 && !(s->newest && count > 0); count++) {
    if (s->set != NULL) *s->next_sequence++ = x;
  }
  if (s->set != NULL)
    s->set->fragments[s->fragments] = (nc_range_fragment){s->last.from, s->last.to, first, count};
  s->fragments++;
  s->sequences += count;
  s->pending = false;
}

static void put(sink *s, piece p) {
  if (s->pending && nc_slice_equal(s->last.to, p.from) && same_sequences(s->last, p, s->newest)) {
    s->last.to = p.to;
    return;
  }
  settle(s);
  s->last = p;
  s->pending = true;
}

/* One side of a sweep: the fragment at hand, and where what is left of it begins. */
typedef struct side {
  const nc_range_fragment *at, *end;
  nacre_slice from;
} side;

static side side_of(const nc_range_set *set) {
  side s = {.at = set->fragments, .end = set->fragments + set->count};
  if (s.at < s.end) s.from = s.at->from;
  return s;
}

/* What is left of a side begins at `key`. */
static void pass(side *s, nacre_slice key) {
  s->from = key;
  if (nc_slice_compare(key, s->at->to) < 0) return;
  s->at++;
  if (s->at < s->end) s->from = s->at->from;
}

static falling sequences_of(const side *s) { return (falling){s->at->sequences, s->at->count}; }

/* A piece from where `x` begins, before `y` does. */
static void sweep_one(side *x, const side *y, bool x_is_a, sink *to) {
  piece p = {.from = x->from, .to = x->at->to};
  if (y->at < y->end && nc_slice_compare(y->from, p.to) < 0) p.to = y->from;
  *(x_is_a ? &p.a : &p.b) = sequences_of(x);
  put(to, p);
  pass(x, p.to);
}

static void sweep_both(side *a, side *b, sink *to) {
  piece p = {.from = a->from, .to = a->at->to, .a = sequences_of(a), .b = sequences_of(b)};
  if (nc_slice_compare(b->at->to, p.to) < 0) p.to = b->at->to;
  put(to, p);
  pass(a, p.to);
  pass(b, p.to);
}

static void sweep(const nc_range_set *x, const nc_range_set *y, sink *to) {
  side a = side_of(x), b = side_of(y);
  while (a.at < a.end || b.at < b.end) {
    int order = a.at == a.end ? 1 : b.at == b.end ? -1 : nc_slice_compare(a.from, b.from);
    if (order < 0) {
      sweep_one(&a, &b, true, to);
    } else if (order > 0) {
      sweep_one(&b, &a, false, to);
    } else {
      sweep_both(&a, &b, to);
    }
  }
  settle(to);
}

static nacre_status merge_two(nc_heap *heap, const nc_range_set *a, const nc_range_set *b, bool newest,
                              nc_range_set **ret_set, nacre_error *err) {
  sink counts = {.newest = newest};
  sweep(a, b, &counts);
  nc_range_set *set = nc_range_set_create(heap, counts.fragments, counts.sequences, err);
  if (set == NULL) return NACRE_NO_MEMORY;
  set->count = counts.fragments;
  set->sequences = counts.sequences;
  sink writes = {.set = set, .newest = newest};
  writes.next_sequence = (uint64_t *)(void *)&set->fragments[set->count];
  sweep(a, b, &writes);
  *ret_set = set;
  return NACRE_OK;
}

/* One round of a tournament: neighbours are merged, so that what is in order already is not cut. */
static nacre_status merge_pairs(nc_heap *heap, const nc_range_set **work, bool *own, size_t *count,
                                bool newest, nacre_error *err) {
  size_t pairs = *count / 2;
  for (size_t i = 0; i < pairs; i++) {
    const nc_range_set *a = work[2 * i], *b = work[2 * i + 1];
    bool own_a = own[2 * i], own_b = own[2 * i + 1];
    nc_range_set *merged;
    NC_TRY(merge_two(heap, a, b, newest, &merged, err));
    own[2 * i] = own[2 * i + 1] = false;
    if (own_a) nc_range_set_free((nc_range_set *)(uintptr_t)a);
    if (own_b) nc_range_set_free((nc_range_set *)(uintptr_t)b);
    work[i] = merged;
    own[i] = true;
  }
  if (*count % 2 == 1) {
    work[pairs] = work[*count - 1];
    own[pairs] = own[*count - 1];
    if (pairs != *count - 1) own[*count - 1] = false;
  }
  *count = pairs + *count % 2;
  return NACRE_OK;
}

static nacre_status merge_all(nc_heap *heap, const nc_range_set **work, bool *own, size_t count, bool newest,
                              nc_range_set **ret_set, nacre_error *err) {
  static const nc_range_set nothing = {.count = 0};
  while (count > 1) NC_TRY(merge_pairs(heap, work, own, &count, newest, err));
  if (!own[0]) return merge_two(heap, work[0], &nothing, newest, ret_set, err); /* the only one */
  *ret_set = (nc_range_set *)(uintptr_t)work[0];
  own[0] = false;
  return NACRE_OK;
}

nacre_status nc_range_set_merge(nc_heap *heap, const nc_range_set *const *sets, size_t count, bool newest,
                                nc_range_set **ret_set, nacre_error *err) {
  size_t some = 0, bytes = count * (sizeof(nc_range_set *) + sizeof(bool));
  for (size_t i = 0; i < count; i++) some += sets[i] != NULL;
  if (some == 0) {
    *ret_set = NULL;
    return NACRE_OK;
  }
  const nc_range_set **work = nc_heap_alloc(heap, bytes);
  if (work == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  bool *own = (bool *)(void *)(work + count);
  for (size_t i = 0, at = 0; i < count; i++) {
    if (sets[i] != NULL) work[at++] = sets[i];
  }
  nacre_status status = merge_all(heap, work, own, some, newest, ret_set, err);
  for (size_t i = 0; i < some; i++) {
    if (own[i]) nc_range_set_free((nc_range_set *)(uintptr_t)work[i]);
  }
  nc_heap_free(heap, work, bytes);
  return status;
}

/* ---- decoding ------------------------------------------------------------------------------------------ */

nacre_status nc_range_set_decode(nc_heap *heap, nacre_slice bytes, nc_range_set **ret_set, nacre_error *err) {
  uint64_t fragments, sequences;
  NC_TRY(nc_ranges_check(bytes, &fragments, &sequences, err));
  nc_range_set *set = nc_range_set_create(heap, (size_t)fragments, (size_t)sequences, err);
  if (set == NULL) return NACRE_NO_MEMORY;
  uint64_t *next = (uint64_t *)(void *)&set->fragments[fragments];
  nc_ranges_reader r;
  nc_ranges_fragment f;
  bool more = true;
  nc_ranges_read_begin(&r, bytes);
  while (set->count < fragments && nc_ranges_read(&r, &f, &more, NULL) == NACRE_OK && more) {
    set->fragments[set->count++] = (nc_range_fragment){f.from, f.to, next, (size_t)f.count};
    size_t at = 0;
    for (uint64_t i = 0; i < f.count; i++) *next++ = nc_ranges_sequence(&f, &at);
  }
  set->sequences = (size_t)sequences;
  *ret_set = set;
  return NACRE_OK;
}

size_t nc_stretch_of(const uint64_t *snapshots, size_t count, uint64_t sequence) {
  size_t low = 0, high = count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (snapshots[middle] < sequence) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

/* ---- asking -------------------------------------------------------------------------------------------- */

/* How many fragments begin at or before `key`: only the last of them may cover it. */
static size_t begun_at(const nc_range_set *set, nacre_slice key) {
  size_t low = 0, high = set->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (nc_slice_compare(set->fragments[middle].from, key) <= 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

/* The first of falling sequences that is at or below `sequence`; 0: there is none. */
static uint64_t highest_at(const nc_range_fragment *f, uint64_t sequence) {
  size_t low = 0, high = f->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (f->sequences[middle] > sequence) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low < f->count ? f->sequences[low] : 0;
}

uint64_t nc_range_set_cover(const nc_range_set *set, nacre_slice key, uint64_t sequence) {
  if (set == NULL) return 0;
  size_t begun = begun_at(set, key);
  if (begun == 0 || nc_slice_compare(key, set->fragments[begun - 1].to) >= 0) return 0;
  return highest_at(&set->fragments[begun - 1], sequence);
}

void nc_range_span_narrow(nc_range_span *span, nacre_slice lower, nacre_slice upper) {
  if (lower.data != NULL && (span->lower.data == NULL || nc_slice_compare(lower, span->lower) > 0))
    span->lower = lower;
  if (upper.data != NULL &&
      (span->upper_excluded.data == NULL || nc_slice_compare(upper, span->upper_excluded) < 0))
    span->upper_excluded = upper;
}

void nc_range_set_span(const nc_range_set *set, nacre_slice key, uint64_t sequence, nc_range_span *span) {
  if (set == NULL) return;
  nacre_slice unbounded = {NULL, 0};
  size_t begun = begun_at(set, key);
  const nc_range_fragment *before = begun > 0 ? &set->fragments[begun - 1] : NULL;
  const nc_range_fragment *after = begun < set->count ? &set->fragments[begun] : NULL;
  if (before != NULL && nc_slice_compare(key, before->to) < 0) {
    uint64_t hidden = highest_at(before, sequence);
    nc_range_span_narrow(span, before->from, before->to);
    if (hidden > span->hidden) span->hidden = hidden;
  } else {
    nc_range_span_narrow(span, before == NULL ? unbounded : before->to,
                         after == NULL ? unbounded : after->from);
  }
}
