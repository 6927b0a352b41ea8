/* SPDX-License-Identifier: Apache-2.0
 *
 * cursor: a place in a sorted sequence of entries, whatever holds them: a memtable, a segment, a run, or
 * several merged.
 *
 * Entries come in entry order (format/entry.h): by key, the newest version first. A move returns a status; on
 * NACRE_OK, `valid` tells whether there is an entry, and `entry` stays good until the next move. After a
 * failure the cursor is invalid.
 *
 * A cursor may have entries at hand: `entry` is then a copy of window[0], and window[1] to window[ahead] follow
 * it, all of them held by the same pin. Going on to them is no call. A cursor over others shows the window of
 * the one it stands in as its own, or the first part of it, and tells that one how far it went
 * (nc_cursor_follow) before it moves it.
 */
#ifndef NC_CURSOR_H
#define NC_CURSOR_H

#include "entry.h"
#include "pin.h"
#include "range_set.h"
#include "status.h"

typedef struct nc_cursor nc_cursor;

typedef struct nc_cursor_ops {
  nacre_status (*first)(nc_cursor *c, nacre_error *err);
  nacre_status (*last)(nc_cursor *c, nacre_error *err);
  nacre_status (*seek)(nc_cursor *c, nacre_slice key, uint64_t sequence,
                       nacre_error *err); /* first at or after */
  nacre_status (*next)(nc_cursor *c, nacre_error *err);
  nacre_status (*prev)(nc_cursor *c, nacre_error *err);
  void (*close)(nc_cursor *c); /* frees the cursor itself */
  nacre_status (*pass)(nc_cursor *c, const nc_range_span *deleted, bool backward,
                       nacre_error *err); /* NULL: never passes anything */
  void (*rest)(nc_cursor *c);             /* NULL: it holds nothing */
} nc_cursor_ops;

struct nc_cursor {
  const nc_cursor_ops *ops;
  bool valid;
  nc_entry entry;
  nc_pin *pin;            /* what holds entry.value: lent on request (may change with every move) */
  const nc_entry *window; /* NULL: nothing at hand, `ahead` is 0 */
  size_t ahead;
};

static inline nacre_status nc_cursor_first(nc_cursor *c, nacre_error *err) { return c->ops->first(c, err); }
static inline nacre_status nc_cursor_last(nc_cursor *c, nacre_error *err) { return c->ops->last(c, err); }
static inline nacre_status nc_cursor_seek(nc_cursor *c, nacre_slice key, uint64_t sequence,
                                          nacre_error *err) {
  return c->ops->seek(c, key, sequence, err);
}
static inline nacre_status nc_cursor_next(nc_cursor *c, nacre_error *err) {
  if (c->ahead == 0) return c->ops->next(c, err);
  c->ahead--;
  c->entry = *++c->window;
  return NACRE_OK;
}
static inline nacre_status nc_cursor_prev(nc_cursor *c, nacre_error *err) { return c->ops->prev(c, err); }
/* Of a cursor that stands in a stretch in which all that is older than `deleted->hidden` is deleted for who moves it:
 * moves on, as next or prev would, over entries that are surely older, up to the end of the stretch. It may stop
 * anywhere before, for it knows no more than the newest sequence in whole segments and memtables; what is not older is
 * never passed. */
static inline nacre_status nc_cursor_pass(nc_cursor *c, const nc_range_span *deleted, bool backward,
                                          nacre_error *err) {
  bool inside = c->valid && c->ops->pass != NULL && nc_range_span_holds(deleted, c->entry.key);
  return inside ? c->ops->pass(c, deleted, backward, err) : NACRE_OK;
}
/* Out of the stretch. */
nacre_status nc_cursor_leave(nc_cursor *c, const nc_range_span *deleted, bool backward, nacre_error *err);
/* Lets go of what it stands in, and wipes what it has copied: it stands nowhere, until it is placed again. */
static inline void nc_cursor_rest(nc_cursor *c) {
  if (c->ops->rest != NULL) c->ops->rest(c);
  c->valid = false;
  c->window = NULL;
  c->ahead = 0;
}
static inline void nc_cursor_close(nc_cursor *c) {
  if (c != NULL) c->ops->close(c);
}

/* Shows where `child` stands, window and all. */
static inline void nc_cursor_show(nc_cursor *c, const nc_cursor *child) {
  c->entry = child->entry;
  c->pin = child->pin;
  c->window = child->window;
  c->ahead = child->ahead;
}
static inline void nc_cursor_show_nothing(nc_cursor *c) {
  c->valid = false;
  c->window = NULL;
  c->ahead = 0;
}
/* Moves `child` to where the cursor that shows its window has gone. */
static inline void nc_cursor_follow(nc_cursor *child, const nc_cursor *shown) {
  if (shown->window == child->window) return;
  child->ahead -= (size_t)(shown->window - child->window);
  child->window = shown->window;
  child->entry = *child->window;
}

/* The last entry before (key, sequence) in entry order. */
nacre_status nc_cursor_seek_before(nc_cursor *c, nacre_slice key, uint64_t sequence, nacre_error *err);

#endif
