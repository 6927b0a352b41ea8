/* SPDX-License-Identifier: Apache-2.0
 *
 * fakes: see fakes.h. Moving forward, a cursor that never fails often has a few entries at hand.
 */
#include "fakes.h"

#include "fixture.h"

#include <stdlib.h>

typedef struct array_cursor {
  nc_cursor base;
  const fake_entry *entries;
  size_t count, at;
  fake_limit *limit;
  nc_entry *list; /* the same, for windows */
} array_cursor;

static nc_entry entry_of(const fake_entry *e) {
  return (nc_entry){text(e->key), e->sequence, e->kind, nc_slice(e, sizeof *e)};
}

int fake_order(const void *a, const void *b) {
  const fake_entry *x = a, *y = b;
  return nc_entry_compare(text(x->key), x->sequence, text(y->key), y->sequence);
}

static nacre_status stand_at(nc_cursor *base, size_t at, nacre_error *err) {
  array_cursor *c = (array_cursor *)base;
  nc_cursor_show_nothing(base);
  if (c->limit != NULL && c->limit->moves == 0) return nc_fail(err, NC_E_SEGMENT_INDEX, "a fake failure");
  if (c->limit != NULL && c->limit->moves > 0) c->limit->moves--;
  c->at = at;
  base->valid = at < c->count;
  if (!base->valid) return NACRE_OK;
  base->entry = c->list[at];
  return NACRE_OK;
}

/* Where it stands: perhaps further than it was moved. */
static size_t place(const nc_cursor *base) {
  const array_cursor *c = (const array_cursor *)base;
  return base->window == NULL ? c->at : (size_t)(base->window - c->list);
}

static nacre_status first(nc_cursor *c, nacre_error *err) { return stand_at(c, 0, err); }
static nacre_status last(nc_cursor *c, nacre_error *err) {
  size_t count = ((array_cursor *)c)->count;
  return stand_at(c, count == 0 ? 0 : count - 1, err);
}
static nacre_status seek(nc_cursor *base, nacre_slice key, uint64_t sequence, nacre_error *err) {
  const array_cursor *c = (array_cursor *)base;
  size_t at = 0;
  while (at < c->count &&
         nc_entry_compare(text(c->entries[at].key), c->entries[at].sequence, key, sequence) < 0)
    at++;
  return stand_at(base, at, err);
}
static nacre_status next(nc_cursor *base, nacre_error *err) {
  array_cursor *c = (array_cursor *)base;
  require(base->valid && base->ahead == 0);
  NC_TRY(stand_at(base, place(base) + 1, err));
  if (!base->valid || c->limit != NULL || c->at % 3 == 0) return NACRE_OK;
  size_t left = c->count - c->at - 1;
  base->window = &c->list[c->at];
  base->ahead = left < c->at % 5 ? left : c->at % 5;
  return NACRE_OK;
}
static nacre_status prev(nc_cursor *base, nacre_error *err) {
  array_cursor *c = (array_cursor *)base;
  size_t at = place(base);
  require(base->valid);
  return stand_at(base, at == 0 ? c->count : at - 1, err);
}
static void close_cursor(nc_cursor *base) {
  array_cursor *c = (array_cursor *)base;
  if (c->limit != NULL) c->limit->closed++;
  free(c->list);
  free(c);
}

static const nc_cursor_ops ops = {first, last, seek, next, prev, close_cursor, NULL};

nc_cursor *fake_cursor(const fake_entry *entries, size_t count, fake_limit *limit) {
  array_cursor *c = test_alloc(sizeof *c);
  *c = (array_cursor){.base.ops = &ops, .entries = entries, .count = count, .limit = limit};
  c->list = test_alloc((count + 1) * sizeof *c->list);
  for (size_t i = 0; i < count; i++) c->list[i] = entry_of(&entries[i]);
  return &c->base;
}
