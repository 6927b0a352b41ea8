/* SPDX-License-Identifier: Apache-2.0
 *
 * merge_cursor: see merge_cursor.h.
 *
 * Going forward, every child stands at or after the current entry, and the child that holds the least runs
 * free until it passes the runner-up, so that a long stretch from one child costs one comparison a step.
 * Going backward, every child stands at or before the current entry. A turn puts the others on the other
 * side.
 */
#include "merge_cursor.h"

#include <stdlib.h>

typedef struct merge_cursor {
  nc_cursor base;
  bool backward;
  size_t count, current, runner_up; /* `count` stands for none */
  nc_cursor *children[];
} merge_cursor;

static int order(const merge_cursor *c, size_t a, size_t b) {
  const nc_entry *x = &c->children[a]->entry, *y = &c->children[b]->entry;
  int order = nc_entry_compare(x->key, x->sequence, y->key, y->sequence);
  return c->backward ? -order : order;
}

static void publish(merge_cursor *c) {
  c->base.valid = c->current < c->count;
  if (!c->base.valid) return;
  c->base.entry = c->children[c->current]->entry;
  c->base.pin = c->children[c->current]->pin;
}

/* Finds the first and second child in the direction of travel. */
static void elect(merge_cursor *c) {
  size_t none = c->count;
  c->current = c->runner_up = none;
  for (size_t i = 0; i < c->count; i++) {
    if (!c->children[i]->valid) continue;
    if (c->current == none || order(c, i, c->current) < 0) {
      c->runner_up = c->current;
      c->current = i;
    } else if (c->runner_up == none || order(c, i, c->runner_up) < 0) {
      c->runner_up = i;
    }
  }
  publish(c);
}

static nacre_status fail(merge_cursor *c, nacre_status status) {
  c->base.valid = false;
  c->current = c->runner_up = c->count;
  return status;
}

/* Moves every child to a first, last or sought entry, and finds the foremost. */
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
  elect(c);
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
  const nc_entry at = c->children[c->current]->entry;
  for (size_t i = 0; i < c->count; i++) {
    if (i == c->current) continue;
    NC_TRY(backward ? nc_cursor_seek_before(c->children[i], at.key, at.sequence, err)
                    : nc_cursor_seek(c->children[i], at.key, at.sequence, err));
  }
  c->backward = backward;
  elect(c);
  return NACRE_OK;
}

static nacre_status step(merge_cursor *c, bool backward, nacre_error *err) {
  NC_TRY(turn(c, backward, err));
  nc_cursor *child = c->children[c->current];
  NC_TRY(backward ? nc_cursor_prev(child, err) : nc_cursor_next(child, err));
  if (child->valid && (c->runner_up == c->count || order(c, c->current, c->runner_up) < 0)) {
    publish(c);
  } else {
    elect(c);
  }
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

static void cursor_close(nc_cursor *base) {
  merge_cursor *c = (merge_cursor *)base;
  for (size_t i = 0; i < c->count; i++) nc_cursor_close(c->children[i]);
  free(c);
}

static const nc_cursor_ops merge_cursor_ops = {cursor_first, cursor_last, cursor_seek,
                                               cursor_next,  cursor_prev, cursor_close};

nacre_status nc_merge_cursor(nc_cursor *const *children, size_t count, nc_cursor **ret_cursor,
                             nacre_error *err) {
  merge_cursor *c = calloc(1, sizeof *c + count * sizeof(nc_cursor *));
  if (c == NULL) {
    for (size_t i = 0; i < count; i++) nc_cursor_close(children[i]);
    return nc_fail(err, NC_E_NO_MEMORY, NULL);
  }
  c->base.ops = &merge_cursor_ops;
  c->count = count;
  c->current = c->runner_up = count;
  if (count > 0) memcpy(c->children, children, count * sizeof *children);
  *ret_cursor = &c->base;
  return NACRE_OK;
}
