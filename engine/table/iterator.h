/* SPDX-License-Identifier: Apache-2.0
 *
 * iterator: the inside of an iterator, shared by iterator.c (moving) and iterator_open.c (opening, closing, reuse).
 */
#ifndef NC_ITERATOR_H
#define NC_ITERATOR_H

#include "cursor.h"
#include "table.h"

typedef struct nc_key_copy {
  uint8_t *data;
  size_t size, capacity;
  size_t used; /* bytes that have been written to since they were zero */
} nc_key_copy;

struct nacre_iter {
  nacre_table *table;
  const volatile uint32_t *parent; /* 0 in a child of the process that opened it: nc_env */
  nc_view *view;
  uint64_t sequence;
  uint64_t opened_ms; /* what has expired by then is not shown */
  nc_cursor *merge;
  bool reusable; /* it is over all of the view */
  bool has_lower, has_upper;
  nc_key_copy lower, upper, sought, key, jumped;
  /* Of what the merge has at hand: the entry that is shown, ahead of which the merge is told later (NULL: it stands
   * there), the last one that lies within bounds, and how many may be shown without a second look. */
  const nc_entry *shown, *last;
  size_t plain;
  nacre_slice at; /* the key that is shown, or was looked at last: in `key` or where the merge has it */
  bool valid, backward;
  bool read; /* what is shown was handed out by nacre_iter_read */
  nacre_slice value;
  uint64_t expires_ms; /* of what is shown; 0: never */
  nc_pin *value_pin; /* backward only */
  bool has_span;
  nc_range_span span; /* around the key that was looked at last */
  unsigned steps;     /* over entries that a range delete hides */
  bool has_jumped;    /* since the last seek or turn, from `jumped` at this sequence: */
  uint64_t jumped_sequence;
  bool large;         /* the value is a reference, until it is loaded */
  nc_pin *large_pin;  /* of what was loaded */
  bool keys_only;
  nacre_status status;
};

static inline nacre_slice nc_key_copy_slice(const nc_key_copy *k) { return nc_slice(k->data, k->size); }
NC_MUST_CHECK nacre_status nc_iter_copy_key(nacre_iter *it, nc_key_copy *to, nacre_slice key,
                                            nacre_error *err);
static inline void nc_iter_drop_value(nacre_iter *it) {
  if (it->value_pin == NULL && it->large_pin == NULL) return;
  nc_pin_unref(it->value_pin);
  nc_pin_unref(it->large_pin);
  it->value_pin = it->large_pin = NULL;
}


#endif
