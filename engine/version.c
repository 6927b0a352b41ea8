/* SPDX-License-Identifier: Apache-2.0
 *
 * version: see version.h.
 */
#include "version.h"

#include <stdlib.h>

static const nc_segment_record *describe(const void *p) {
  return nc_segment_describe(*(nc_segment *const *)p);
}

static int by_run_then_key(const void *a, const void *b) {
  const nc_segment_record *x = describe(a), *y = describe(b);
  if (x->run != y->run) return x->run > y->run ? -1 : 1;
  return nc_slice_compare(x->smallest, y->smallest);
}

static bool contains(nc_segment *const *list, size_t count, const nc_segment *s) {
  for (size_t i = 0; i < count; i++) {
    if (list[i] == s) return true;
  }
  return false;
}

static void group_runs(nc_version *v) {
  for (size_t i = 0; i < v->segment_count; i++) {
    const nc_segment_record *record = nc_segment_describe(v->segments[i]);
    if (v->run_count == 0 || v->runs[v->run_count - 1].id != record->run) {
      v->runs[v->run_count++] = (nc_run){.id = record->run, .segments = &v->segments[i]};
    }
    nc_run *run = &v->runs[v->run_count - 1];
    run->count++;
    run->bytes += record->size;
    if (record->level > run->level) run->level = record->level;
  }
}

static nacre_status check_runs(const nc_version *v, nacre_error *err) {
  for (size_t r = 0; r < v->run_count; r++) {
    for (size_t i = 1; i < v->runs[r].count; i++) {
      const nc_segment_record *left = nc_segment_describe(v->runs[r].segments[i - 1]);
      const nc_segment_record *right = nc_segment_describe(v->runs[r].segments[i]);
      if (nc_slice_compare(left->largest, right->smallest) >= 0) {
        /* [M7] */
        return nc_fail(err, NC_E_SEGMENT_OVERLAP, "segments %llu and %llu", (unsigned long long)left->number,
                       (unsigned long long)right->number);
      }
    }
  }
  return NACRE_OK;
}

nacre_status nc_version_create(const nc_version *base, nc_segment *const *add, size_t add_count,
                               nc_segment *const *remove, size_t remove_count, nc_version **ret_version,
                               nacre_error *err) {
  size_t most = (base == NULL ? 0 : base->segment_count) + add_count;
  nc_version *v = calloc(1, sizeof *v);
  if (v == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  atomic_init(&v->refs, 1);
  v->segments = calloc(most + 1, sizeof *v->segments);
  v->runs = calloc(most + 1, sizeof *v->runs);
  if (v->segments == NULL || v->runs == NULL) {
    nc_version_unref(v);
    return nc_fail(err, NC_E_NO_MEMORY, NULL);
  }
  for (size_t i = 0; base != NULL && i < base->segment_count; i++) {
    if (!contains(remove, remove_count, base->segments[i]))
      v->segments[v->segment_count++] = base->segments[i];
  }
  for (size_t i = 0; i < add_count; i++) v->segments[v->segment_count++] = add[i];
  for (size_t i = 0; i < v->segment_count; i++) nc_segment_ref(v->segments[i]);
  qsort(v->segments, v->segment_count, sizeof *v->segments, by_run_then_key);
  group_runs(v);
  nacre_status status = check_runs(v, err);
  if (status == NACRE_OK) {
    *ret_version = v;
  } else {
    nc_version_unref(v);
  }
  return status;
}

void nc_version_ref(nc_version *v) { atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed); }

void nc_version_unref(nc_version *v) {
  if (v == NULL || atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel) != 1) return;
  for (size_t i = 0; v->segments != NULL && i < v->segment_count; i++) nc_segment_unref(v->segments[i]);
  free(v->segments);
  free(v->runs);
  free(v);
}

/* Index of the first segment whose largest key is at or after `key`; count when all end before it. */
static size_t first_reaching(const nc_run *run, nacre_slice key) {
  size_t low = 0, high = run->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (nc_slice_compare(nc_segment_describe(run->segments[middle])->largest, key) < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

nc_segment *nc_run_find(const nc_run *run, nacre_slice key) {
  size_t i = first_reaching(run, key);
  if (i == run->count || nc_slice_compare(nc_segment_describe(run->segments[i])->smallest, key) > 0)
    return NULL;
  return run->segments[i];
}

/* ---- cursor -------------------------------------------------------------------------------------------- */

typedef struct run_cursor {
  nc_cursor base;
  const nc_run *run;
  bool no_cache_fill;
  size_t at;
  nc_cursor *inside; /* in segments[at]; NULL before the first move */
} run_cursor;

static nacre_status publish(run_cursor *c, nacre_status status) {
  c->base.valid = status == NACRE_OK && c->inside != NULL && c->inside->valid;
  if (c->base.valid) {
    c->base.entry = c->inside->entry;
    c->base.pin = c->inside->pin;
  }
  return status;
}

static void leave(run_cursor *c) {
  nc_cursor_close(c->inside);
  c->inside = NULL;
}

static nacre_status enter(run_cursor *c, size_t at, nacre_error *err) {
  if (c->inside != NULL && c->at == at) return NACRE_OK;
  leave(c);
  c->at = at;
  return nc_segment_cursor(c->run->segments[at], c->no_cache_fill, &c->inside, err);
}

static nacre_status move_first(run_cursor *c, nacre_error *err) {
  NC_TRY(enter(c, 0, err));
  return nc_cursor_first(c->inside, err);
}

static nacre_status move_last(run_cursor *c, nacre_error *err) {
  NC_TRY(enter(c, c->run->count - 1, err));
  return nc_cursor_last(c->inside, err);
}

static nacre_status move_next(run_cursor *c, nacre_error *err) {
  NC_TRY(nc_cursor_next(c->inside, err));
  if (c->inside->valid || c->at + 1 == c->run->count) return NACRE_OK;
  NC_TRY(enter(c, c->at + 1, err));
  return nc_cursor_first(c->inside, err);
}

static nacre_status move_prev(run_cursor *c, nacre_error *err) {
  NC_TRY(nc_cursor_prev(c->inside, err));
  if (c->inside->valid || c->at == 0) return NACRE_OK;
  NC_TRY(enter(c, c->at - 1, err));
  return nc_cursor_last(c->inside, err);
}

static nacre_status move_seek(run_cursor *c, nacre_slice key, uint64_t sequence, nacre_error *err) {
  size_t at = first_reaching(c->run, key);
  if (at == c->run->count) {
    leave(c);
    return NACRE_OK;
  }
  NC_TRY(enter(c, at, err));
  NC_TRY(nc_cursor_seek(c->inside, key, sequence, err));
  if (c->inside->valid || at + 1 == c->run->count) return NACRE_OK;
  /* The segment ends with newer versions of `key` only. */
  NC_TRY(enter(c, at + 1, err));
  return nc_cursor_first(c->inside, err);
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
  return publish(c, move_next(c, err));
}
static nacre_status cursor_prev(nc_cursor *base, nacre_error *err) {
  run_cursor *c = (run_cursor *)base;
  return publish(c, move_prev(c, err));
}
static void cursor_close(nc_cursor *base) {
  leave((run_cursor *)base);
  free(base);
}

static const nc_cursor_ops run_cursor_ops = {cursor_first, cursor_last, cursor_seek,
                                             cursor_next,  cursor_prev, cursor_close};

nacre_status nc_run_cursor(const nc_run *run, bool no_cache_fill, nc_cursor **ret_cursor, nacre_error *err) {
  run_cursor *c = calloc(1, sizeof *c);
  if (c == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  c->base.ops = &run_cursor_ops;
  c->run = run;
  c->no_cache_fill = no_cache_fill;
  *ret_cursor = &c->base;
  return NACRE_OK;
}
