/* SPDX-License-Identifier: Apache-2.0
 *
 * fakes: see fakes.h.
 */
#include "fakes.h"

#include "fixture.h"

#include <stdlib.h>

typedef struct array_cursor {
  nc_cursor base;
  const fake_entry *entries;
  size_t count, at;
  fake_limit *limit;
} array_cursor;

int fake_order(const void *a, const void *b) {
  const fake_entry *x = a, *y = b;
  return nc_entry_compare(text(x->key), x->sequence, text(y->key), y->sequence);
}

static nacre_status stand_at(nc_cursor *base, size_t at, nacre_error *err) {
  array_cursor *c = (array_cursor *)base;
  base->valid = false;
  if (c->limit != NULL && c->limit->moves == 0) return nc_fail(err, NC_E_SEGMENT_INDEX, "a fake failure");
  if (c->limit != NULL && c->limit->moves > 0) c->limit->moves--;
  c->at = at;
  base->valid = at < c->count;
  if (!base->valid) return NACRE_OK;
  const fake_entry *e = &c->entries[at];
  base->entry = (nc_entry){text(e->key), e->sequence, e->kind, nc_slice(e, sizeof *e)};
  return NACRE_OK;
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
  require(base->valid);
  return stand_at(base, ((array_cursor *)base)->at + 1, err);
}
static nacre_status prev(nc_cursor *base, nacre_error *err) {
  array_cursor *c = (array_cursor *)base;
  require(base->valid);
  return stand_at(base, c->at == 0 ? c->count : c->at - 1, err);
}
static void close_cursor(nc_cursor *base) {
  array_cursor *c = (array_cursor *)base;
  if (c->limit != NULL) c->limit->closed++;
  free(c);
}

static const nc_cursor_ops ops = {first, last, seek, next, prev, close_cursor};

nc_cursor *fake_cursor(const fake_entry *entries, size_t count, fake_limit *limit) {
  array_cursor *c = test_alloc(sizeof *c);
  *c = (array_cursor){.base.ops = &ops, .entries = entries, .count = count, .limit = limit};
  return &c->base;
}
