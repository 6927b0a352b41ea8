/* SPDX-License-Identifier: Apache-2.0
 *
 * merge_cursor: see merge_cursor.h.
 *
 * Children that have an entry stand sorted in the direction of travel; the one that was moved is put back in its
 * place. Going forward, every child stands at or after the current entry, and the first runs free until it
 * passes the second: of the entries that it has at hand, those before the second's are shown as the merge's
 * own, so that a long stretch from one child costs a comparison a window. Going backward, every child stands
 * at or before the current entry. A turn puts the others on the other side.
 */
#include "merge_cursor.h"

#include <stdlib.h>

typedef struct merge_cursor {
  nc_cursor base;
  bool backward;
  size_t count, live;
  nc_cursor **children;
  nc_cursor **sorted; /* the first `live` */
} merge_cursor;

static int order(const merge_cursor *c, const nc_entry *x, const nc_entry *y) {
  int order = nc_entry_compare(x->key, x->sequence, y->key, y->sequence);
  return c->backward ? -order : order;
}

/* How many of the entries that the first child has at hand come before the second child's. The very next one
 * decides it where runs interleave, the last one where they do not. */
static size_t ahead_of_second(const merge_cursor *c) {
  const nc_cursor *first = c->sorted[0];
  size_t low = 1, high = first->ahead;
  if (c->live == 1 || high == 0) return high;
  const nc_entry *second = &c->sorted[1]->entry;
  if (order(c, &first->window[1], second) > 0) return 0;
  if (order(c, &first->window[high], second) < 0) return high;
  high--;
  while (low < high) { /* window[low] comes before it, window[high + 1] does not */
    size_t middle = high - (high - low) / 2;
    if (order(c, &first->window[middle], second) < 0) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

static void publish(merge_cursor *c) {
  nc_cursor_show_nothing(&c->base);
  c->base.valid = c->live > 0;
  if (!c->base.valid) return;
  nc_cursor_show(&c->base, c->sorted[0]);
  c->base.ahead = ahead_of_second(c);
}

/* Puts `child` in its place among sorted[from..live), which are in order; sorted[from - 1] is free. */
static void insert(merge_cursor *c, nc_cursor *child, size_t from) {
  size_t low = from, high = c->live;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (order(c, &c->sorted[middle]->entry, &child->entry) < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  for (size_t i = from; i < low; i++) c->sorted[i - 1] = c->sorted[i];
  c->sorted[low - 1] = child;
}

static void sort(merge_cursor *c) {
  size_t live = c->live = 0;
  for (size_t i = 0; i < c->count; i++) live += c->children[i]->valid;
  c->live = live;
  for (size_t i = c->count; i > 0; i--) {
    if (c->children[i - 1]->valid) insert(c, c->children[i - 1], live--);
  }
  publish(c);
}

static nacre_status fail(merge_cursor *c, nacre_status status) {
  nc_cursor_show_nothing(&c->base);
  c->live = 0;
  return status;
}

/* Moves every child to a first, last or sought entry, and sorts them. */
typedef struct target {
  bool backward, seek;
  nacre_slice key;
  uint64_t sequence;
} target;

static nacre_status place(merge_cursor *c, const target *to, nacre_error *err) {
  c->backward = to->backward;
  for (size_t i = 0; i < c->count; i++) {
    nc_cursor *child = c->children[i];
    nacre_status status = to->seek       ? nc_cursor_seek(child, to->key, to->sequence, err)
                          : to->backward ? nc_cursor_last(child, err)
                                         : nc_cursor_first(child, err);
    if (status != NACRE_OK) return fail(c, status);
  }
  sort(c);
  return NACRE_OK;
}

static nacre_status cursor_first(nc_cursor *base, nacre_error *err) {
  return place((merge_cursor *)base, &(target){0}, err);
}

static nacre_status cursor_last(nc_cursor *base, nacre_error *err) {
  return place((merge_cursor *)base, &(target){.backward = true}, err);
}

static nacre_status cursor_seek(nc_cursor *base, nacre_slice key, uint64_t sequence, nacre_error *err) {
  return place((merge_cursor *)base, &(target){.seek = true, .key = key, .sequence = sequence}, err);
}

/* Puts every child but the current one on the far side of the current entry. */
static nacre_status turn(merge_cursor *c, bool backward, nacre_error *err) {
  if (c->backward == backward) return NACRE_OK;
  const nc_cursor *current = c->sorted[0];
  const nc_entry at = current->entry;
  for (size_t i = 0; i < c->count; i++) {
    if (c->children[i] == current) continue;
    NC_TRY(backward ? nc_cursor_seek_before(c->children[i], at.key, at.sequence, err)
                    : nc_cursor_seek(c->children[i], at.key, at.sequence, err));
  }
  c->backward = backward;
  sort(c);
  return NACRE_OK;
}

static nacre_status step(merge_cursor *c, bool backward, nacre_error *err) {
  nc_cursor *child = c->sorted[0];
  nc_cursor_follow(child, &c->base);
  NC_TRY(turn(c, backward, err));
  NC_TRY(backward ? nc_cursor_prev(child, err) : nc_cursor_next(child, err));
  if (child->valid) {
    insert(c, child, 1);
  } else {
    c->live--;
    memmove(c->sorted, c->sorted + 1, c->live * sizeof *c->sorted);
  }
  publish(c);
  return NACRE_OK;
}

static nacre_status cursor_next(nc_cursor *base, nacre_error *err) {
  merge_cursor *c = (merge_cursor *)base;
  nacre_status status = step(c, false, err);
  return status == NACRE_OK ? NACRE_OK : fail(c, status);
}

static nacre_status cursor_prev(nc_cursor *base, nacre_error *err) {
  merge_cursor *c = (merge_cursor *)base;
  nacre_status status = step(c, true, err);
  return status == NACRE_OK ? NACRE_OK : fail(c, status);
}

static nacre_status cursor_pass(nc_cursor *base, const nc_range_span *deleted, bool backward,
                                nacre_error *err) {
  merge_cursor *c = (merge_cursor *)base;
  if (backward != c->backward) return NACRE_OK;
  nc_cursor_follow(c->sorted[0], base);
  for (size_t i = 0; i < c->live; i++) {
    nacre_status status = nc_cursor_pass(c->sorted[i], deleted, backward, err);
    if (status != NACRE_OK) return fail(c, status);
  }
  sort(c);
  return NACRE_OK;
}

static void cursor_close(nc_cursor *base) {
  merge_cursor *c = (merge_cursor *)base;
  for (size_t i = 0; i < c->count; i++) nc_cursor_close(c->children[i]);
  free(c);
}

static const nc_cursor_ops merge_cursor_ops = {cursor_first, cursor_last,  cursor_seek, cursor_next,
                                               cursor_prev,  cursor_close, cursor_pass};

nacre_status nc_merge_cursor(nc_cursor *const *children, size_t count, nc_cursor **ret_cursor,
                             nacre_error *err) {
  merge_cursor *c = calloc(1, sizeof *c + 2 * count * sizeof(nc_cursor *));
  if (c == NULL) {
    for (size_t i = 0; i < count; i++) nc_cursor_close(children[i]);
    return nc_fail(err, NC_E_NO_MEMORY, NULL);
  }
  c->base.ops = &merge_cursor_ops;
  c->count = count;
  c->children = (nc_cursor **)(void *)(c + 1);
  c->sorted = c->children + count;
  if (count > 0) memcpy(c->children, children, count * sizeof *children);
  *ret_cursor = &c->base;
  return NACRE_OK;
}
