/* SPDX-License-Identifier: Apache-2.0
 *
 * version: see version.h.
 */
#include "version.h"

#include <stdlib.h>

#include "version_ranges.h"

/* ---- making one ---------------------------------------------------------------------------------------- */

typedef struct placed {
  nc_segment *segment;
  nc_place place;
} placed;

static nacre_slice smallest_of(const nc_segment *s) { return nc_segment_describe(s)->smallest; }

static int by_run_then_key(const void *a, const void *b) {
  const placed *x = a, *y = b;
  if (x->place.run != y->place.run) return x->place.run > y->place.run ? -1 : 1;
  return nc_slice_compare(smallest_of(x->segment), smallest_of(y->segment));
}

static int by_key(const void *a, const void *b) {
  return nc_slice_compare(smallest_of(*(nc_segment *const *)a), smallest_of(*(nc_segment *const *)b));
}

static int by_address(const void *a, const void *b) {
  uintptr_t x = (uintptr_t) * (nc_segment *const *)a, y = (uintptr_t) * (nc_segment *const *)b;
  return (x > y) - (x < y);
}

static nacre_status reserve(size_t segments, size_t runs, nc_version **ret_version, nacre_error *err) {
  nc_version *v = calloc(1, sizeof *v);
  if (v == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  atomic_init(&v->refs, 1);
  v->segments = calloc(segments + 1, sizeof *v->segments);
  v->runs = calloc(runs + 1, sizeof *v->runs);
  if (v->segments == NULL || v->runs == NULL) {
    nc_version_unref(v);
    return nc_fail(err, NC_E_NO_MEMORY, NULL);
  }
  *ret_version = v;
  return NACRE_OK;
}

/* Puts a segment behind all that there are; of a run that is not the last one it begins it. */
static void append(nc_version *v, nc_segment *segment, nc_place place) {
  if (v->run_count == 0 || v->runs[v->run_count - 1].id != place.run) {
    v->runs[v->run_count++] = (nc_run){.id = place.run, .segments = &v->segments[v->segment_count]};
  }
  nc_run *run = &v->runs[v->run_count - 1];
  run->count++;
  run->bytes += nc_segment_describe(segment)->size;
  if (place.level > run->level) run->level = place.level;
  nc_segment_ref(segment);
  v->segments[v->segment_count++] = segment;
  v->ranges_segments += (nc_segment_describe(segment)->flags & NC_SEGMENT_HOLDS_RANGES) != 0;
  v->expiring_segments += (nc_segment_describe(segment)->flags & NC_SEGMENT_EXPIRES) != 0;
}

static nacre_status check_run(const nc_run *run, nacre_error *err) {
  for (size_t i = 1; i < run->count; i++) {
    const nc_segment_record *left = nc_segment_describe(run->segments[i - 1]);
    const nc_segment_record *right = nc_segment_describe(run->segments[i]);
    if (!nc_segment_ends_before(left, right->smallest)) {
      /* [M7] */
      return nc_fail(err, NC_E_SEGMENT_OVERLAP, "segments %llu and %llu", (unsigned long long)left->number,
                     (unsigned long long)right->number);
    }
  }
  return NACRE_OK;
}

static nacre_status check_runs(nc_version *v, nacre_error *err) {
  for (size_t i = 0; i < v->run_count; i++) NC_TRY(check_run(&v->runs[i], err));
  return NACRE_OK;
}

static nacre_status hand_out(nc_version *v, nacre_status status, nc_version **ret_version) {
  if (status == NACRE_OK) {
    *ret_version = v;
  } else {
    nc_version_unref(v);
  }
  return status;
}

nacre_status nc_version_create(nc_segment *const *segments, const nc_place *places, size_t count,
                               nc_version **ret_version, nacre_error *err) {
  nc_version *v;
  NC_TRY(reserve(count, count, &v, err));
  placed *list = calloc(count + 1, sizeof *list);
  nacre_status status = list == NULL ? nc_fail(err, NC_E_NO_MEMORY, NULL) : NACRE_OK;
  if (status == NACRE_OK) {
    for (size_t i = 0; i < count; i++) list[i] = (placed){segments[i], places[i]};
    qsort(list, count, sizeof *list, by_run_then_key);
    for (size_t i = 0; i < count; i++) append(v, list[i].segment, list[i].place);
    status = check_runs(v, err);
  }
  free(list);
  return hand_out(v, status, ret_version);
}

/* ---- following on another ------------------------------------------------------------------------------ */

/* What is added, by key, and what is removed, by address: copies. */
typedef struct difference {
  nc_segment **add, **remove;
  size_t add_count, remove_count;
} difference;

static nc_segment **sorted_copy(nc_segment *const *list, size_t count, int (*order)(const void *, const void *)) {
  nc_segment **copy = calloc(count + 1, sizeof *copy);
  for (size_t i = 0; copy != NULL && i < count; i++) copy[i] = list[i];
  if (copy != NULL) qsort(copy, count, sizeof *copy, order);
  return copy;
}

static bool removes(const difference *d, nc_segment *const *s) {
  return d->remove_count > 0 &&
         bsearch(s, d->remove, d->remove_count, sizeof *d->remove, by_address) != NULL;
}

/* The run that takes what is added: both lists by key, as one. `old` NULL: there was none. */
static nacre_status append_joined(nc_version *v, const nc_run *old, const difference *d, nc_place place,
                                  nacre_error *err) {
  size_t at = 0;
  for (size_t i = 0; old != NULL && i < old->count; i++) {
    if (removes(d, &old->segments[i])) continue;
    while (at < d->add_count && by_key(&d->add[at], &old->segments[i]) < 0) append(v, d->add[at++], place);
    append(v, old->segments[i], (nc_place){old->id, old->level});
  }
  while (at < d->add_count) append(v, d->add[at++], place);
  bool any = v->run_count > 0 && v->runs[v->run_count - 1].id == place.run;
  return any ? check_run(&v->runs[v->run_count - 1], err) : NACRE_OK;
}

static nacre_status fill(nc_version *v, const nc_version *base, const difference *d, nc_place place,
                         nacre_error *err) {
  bool joined = d->add_count == 0;
  for (size_t r = 0; r < base->run_count; r++) {
    const nc_run *run = &base->runs[r];
    if (!joined && place.run >= run->id) {
      bool same = place.run == run->id;
      NC_TRY(append_joined(v, same ? run : NULL, d, place, err));
      joined = true;
      if (same) continue;
    }
    for (size_t i = 0; i < run->count; i++) {
      if (!removes(d, &run->segments[i])) append(v, run->segments[i], (nc_place){run->id, run->level});
    }
  }
  return joined ? NACRE_OK : append_joined(v, NULL, d, place, err);
}

nacre_status nc_version_follow(const nc_version *base, nc_segment *const *add, size_t add_count,
                               nc_place place, nc_segment *const *remove, size_t remove_count,
                               nc_version **ret_version, nacre_error *err) {
  nc_version *v;
  NC_TRY(reserve(base->segment_count + add_count, base->run_count + 1, &v, err));
  difference d = {sorted_copy(add, add_count, by_key), sorted_copy(remove, remove_count, by_address),
                  add_count, remove_count};
  nacre_status status = d.add == NULL || d.remove == NULL ? nc_fail(err, NC_E_NO_MEMORY, NULL)
                                                          : fill(v, base, &d, place, err);
  free(d.add);
  free(d.remove);
  return hand_out(v, status, ret_version);
}

/* ---- life and looks ------------------------------------------------------------------------------------ */

void nc_version_ref(nc_version *v) { atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed); }

void nc_version_unref(nc_version *v) {
  if (v == NULL || atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel) != 1) return;
  nc_version_ranges_free(atomic_load(&v->ranges)); /* it borrows from the segments */
  for (size_t i = 0; v->segments != NULL && i < v->segment_count; i++) nc_segment_unref(v->segments[i]);
  free(v->segments);
  free(v->runs);
  free(v);
}

size_t nc_run_reaching(const nc_run *run, nacre_slice key) {
  size_t low = 0, high = run->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (nc_segment_ends_before(nc_segment_describe(run->segments[middle]), key)) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

nc_segment *nc_run_find(const nc_run *run, nacre_slice key) {
  size_t i = nc_run_reaching(run, key);
  if (i == run->count || nc_slice_compare(nc_segment_describe(run->segments[i])->smallest, key) > 0)
    return NULL;
  return run->segments[i];
}

void nc_run_overlapped(const nc_run *run, const nc_segment *s, size_t *ret_first, size_t *ret_count) {
  const nc_segment_record *record = nc_segment_describe(s);
  size_t first = nc_run_reaching(run, record->smallest), end = first;
  while (end < run->count &&
         !nc_segment_ends_before(record, nc_segment_describe(run->segments[end])->smallest))
    end++;
  *ret_first = first;
  *ret_count = end - first;
}

/* ---- cursor -------------------------------------------------------------------------------------------- */

typedef struct run_cursor {
  nc_cursor base;
  nc_run run; /* or a part of it */
  nc_travel travel;
  size_t at;
  nc_cursor *inside; /* in segments[at]; NULL before the first move */
} run_cursor;

static nacre_status publish(run_cursor *c, nacre_status status) {
  nc_cursor_show_nothing(&c->base);
  c->base.valid = status == NACRE_OK && c->inside != NULL && c->inside->valid;
  if (c->base.valid) nc_cursor_show(&c->base, c->inside);
  return status;
}

static nacre_status enter(run_cursor *c, size_t at, nacre_error *err) {
  bool same = c->at == at;
  c->at = at;
  if (c->inside == NULL) return nc_segment_cursor(c->run.segments[at], &c->travel, &c->inside, err);
  if (!same) nc_segment_cursor_change(c->inside, c->run.segments[at]);
  return NACRE_OK;
}

/* A segment that holds nothing but range deletes has no entries: it is passed. */
static nacre_status first_from(run_cursor *c, nacre_error *err) {
  while (!c->inside->valid && c->at + 1 < c->run.count) {
    NC_TRY(enter(c, c->at + 1, err));
    NC_TRY(nc_cursor_first(c->inside, err));
  }
  return NACRE_OK;
}

static nacre_status last_from(run_cursor *c, nacre_error *err) {
  while (!c->inside->valid && c->at > 0) {
    NC_TRY(enter(c, c->at - 1, err));
    NC_TRY(nc_cursor_last(c->inside, err));
  }
  return NACRE_OK;
}

static nacre_status move_first(run_cursor *c, nacre_error *err) {
  NC_TRY(enter(c, 0, err));
  NC_TRY(nc_cursor_first(c->inside, err));
  return first_from(c, err);
}

static nacre_status move_last(run_cursor *c, nacre_error *err) {
  NC_TRY(enter(c, c->run.count - 1, err));
  NC_TRY(nc_cursor_last(c->inside, err));
  return last_from(c, err);
}

static nacre_status move_next(run_cursor *c, nacre_error *err) {
  NC_TRY(nc_cursor_next(c->inside, err));
  return first_from(c, err);
}

static nacre_status move_prev(run_cursor *c, nacre_error *err) {
  NC_TRY(nc_cursor_prev(c->inside, err));
  return last_from(c, err);
}

static nacre_status move_seek(run_cursor *c, nacre_slice key, uint64_t sequence, nacre_error *err) {
  size_t at = nc_run_reaching(&c->run, key);
  if (at == c->run.count) {
    if (c->inside != NULL) nc_cursor_rest(c->inside);
    return NACRE_OK;
  }
  NC_TRY(enter(c, at, err));
  NC_TRY(nc_cursor_seek(c->inside, key, sequence, err));
  return first_from(c, err); /* the segment may end with newer versions of `key`, or with range deletes */
}

/* Whether all entries of a segment are older than a range delete. Its own sequence is no entry's. */
static bool all_older(const nc_segment *s, const nc_range_span *deleted) {
  return nc_segment_describe(s)->sequence_max <= deleted->hidden;
}

/* To the next segment that may hold something newer, or out of the stretch. */
static nacre_status pass_forward(run_cursor *c, const nc_range_span *deleted, nacre_error *err) {
  size_t at = c->at, end = nc_run_reaching(&c->run, deleted->upper_excluded);
  while (at < end && all_older(c->run.segments[at], deleted)) at++;
  if (at == c->run.count || all_older(c->run.segments[at], deleted))
    return nc_cursor_leave(&c->base, deleted, false, err);
  if (at == c->at) return NACRE_OK;
  NC_TRY(enter(c, at, err));
  NC_TRY(nc_cursor_first(c->inside, err));
  return first_from(c, err);
}

static nacre_status pass_backward(run_cursor *c, const nc_range_span *deleted, nacre_error *err) {
  size_t at = c->at, begin = nc_run_reaching(&c->run, deleted->lower);
  while (at > begin && all_older(c->run.segments[at], deleted)) at--;
  if (all_older(c->run.segments[at], deleted)) return nc_cursor_leave(&c->base, deleted, true, err);
  if (at == c->at) return NACRE_OK;
  NC_TRY(enter(c, at, err));
  NC_TRY(nc_cursor_last(c->inside, err));
  return last_from(c, err);
}

static nacre_status cursor_first(nc_cursor *base, nacre_error *err) {
  run_cursor *c = (run_cursor *)base;
  return publish(c, move_first(c, err));
}
static nacre_status cursor_last(nc_cursor *base, nacre_error *err) {
  run_cursor *c = (run_cursor *)base;
  return publish(c, move_last(c, err));
}
static nacre_status cursor_seek(nc_cursor *base, nacre_slice key, uint64_t sequence, nacre_error *err) {
  run_cursor *c = (run_cursor *)base;
  return publish(c, move_seek(c, key, sequence, err));
}
static nacre_status cursor_next(nc_cursor *base, nacre_error *err) {
  run_cursor *c = (run_cursor *)base;
  nc_cursor_follow(c->inside, base);
  return publish(c, move_next(c, err));
}
static nacre_status cursor_prev(nc_cursor *base, nacre_error *err) {
  run_cursor *c = (run_cursor *)base;
  nc_cursor_follow(c->inside, base);
  return publish(c, move_prev(c, err));
}
static nacre_status cursor_pass(nc_cursor *base, const nc_range_span *deleted, bool backward,
                                nacre_error *err) {
  run_cursor *c = (run_cursor *)base;
  nc_cursor_follow(c->inside, base);
  return publish(c, backward ? pass_backward(c, deleted, err) : pass_forward(c, deleted, err));
}
static void cursor_rest(nc_cursor *base) {
  run_cursor *c = (run_cursor *)base;
  if (c->inside != NULL) nc_cursor_rest(c->inside);
}
static void cursor_close(nc_cursor *base) {
  nc_cursor_close(((run_cursor *)base)->inside);
  free(base);
}

static const nc_cursor_ops run_cursor_ops = {cursor_first, cursor_last,  cursor_seek, cursor_next,
                                             cursor_prev,  cursor_close, cursor_pass, cursor_rest};

nc_run nc_run_within(const nc_run *run, nacre_slice lower, nacre_slice upper_excluded) {
  size_t first = lower.data == NULL ? 0 : nc_run_reaching(run, lower), end = run->count;
  for (size_t low = first; upper_excluded.data != NULL && low < end;) { /* the first that begins too high */
    size_t middle = low + (end - low) / 2;
    if (nc_slice_compare(nc_segment_describe(run->segments[middle])->smallest, upper_excluded) < 0) {
      low = middle + 1;
    } else {
      end = middle;
    }
  }
  nc_run part = *run;
  part.segments += first;
  part.count = end > first ? end - first : 0;
  return part;
}

nacre_status nc_run_cursor(const nc_run *run, const nc_travel *travel, nc_cursor **ret_cursor, nacre_error *err) {
  run_cursor *c = calloc(1, sizeof *c);
  if (c == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  c->base.ops = &run_cursor_ops;
  c->run = *run;
  c->travel = *travel;
  *ret_cursor = &c->base;
  return NACRE_OK;
}
