/* SPDX-License-Identifier: Apache-2.0
 *
 * iterator_open: opening and closing iterators.
 *
 * Many iterators live for one seek. So one that is closed stays in a stripe of its table, until the next one is
 * opened there: with its cursors over all of the view, but at rest, so that it holds no block, no open file, and
 * nothing of what was read. It keeps the view, as a stripe does that is told in table_view.c, and goes by the same
 * rule: who replaces the view empties the stripes afterwards, and who has left an iterator looks afterwards whether
 * its view is still shown; so of the two one takes it out.
 */
#include "iterator.h"

#include <stdlib.h>

#include "last_error.h"
#include "memory.h"
#include "merge_cursor.h"

enum { KEY_BYTES_MIN = 64, KEPT_KEY_BYTES_MAX = 1024, RESTING_MAX = 64, RESTING_RUNS_MAX = 16 };

static nc_heap *heap_of(const nacre_iter *it) { return it->table->shared->env->heap; }

nacre_status nc_iter_copy_key(nacre_iter *it, nc_key_copy *to, nacre_slice key, nacre_error *err) {
  if (key.size > to->capacity || to->data == NULL) {
    size_t capacity = key.size < KEY_BYTES_MIN ? KEY_BYTES_MIN : key.size;
    uint8_t *grown = nc_heap_alloc(heap_of(it), capacity);
    if (grown == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
    nc_heap_free(heap_of(it), to->data, to->capacity);
    to->data = grown;
    to->capacity = capacity;
    to->used = 0;
  }
  if (key.size > 0) memcpy(to->data, key.data, key.size);
  if (key.size > to->used) to->used = key.size;
  to->size = key.size;
  return NACRE_OK;
}

/* ---- opening ------------------------------------------------------------------------------------------- */

static nacre_status open_children(nacre_iter *it, bool no_cache_fill, nc_cursor **children, size_t *count,
                                  nacre_error *err) {
  nc_travel travel = {.no_cache_fill = no_cache_fill, .helped = true};
  if (it->has_lower) travel.lower = nc_key_copy_slice(&it->lower);
  if (it->has_upper) travel.upper_excluded = nc_key_copy_slice(&it->upper);
  for (size_t i = 0; i < it->view->memtable_count; i++) {
    NC_TRY(nc_memtable_cursor(it->view->memtables[i], &children[*count], err));
    (*count)++;
  }
  for (size_t i = 0; i < it->view->version->run_count; i++) {
    nc_run run = nc_run_within(&it->view->version->runs[i], travel.lower, travel.upper_excluded);
    if (run.count == 0) continue; /* its files need not be opened */
    NC_TRY(nc_run_cursor(&run, &travel, &children[*count], err));
    (*count)++;
  }
  return NACRE_OK;
}

static nacre_status open_merge(nacre_iter *it, bool no_cache_fill, nacre_error *err) {
  size_t count = 0;
  nc_cursor **children = calloc(it->view->memtable_count + it->view->version->run_count, sizeof(nc_cursor *));
  if (children == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  nacre_status status = open_children(it, no_cache_fill, children, &count, err);
  if (status == NACRE_OK) {
    status = nc_merge_cursor(children, count, &it->merge, err);
  } else {
    for (size_t i = 0; i < count; i++) nc_cursor_close(children[i]);
  }
  free(children);
  return status;
}

static nacre_status open_bounds(nacre_iter *it, const nacre_read_options *options, nacre_error *err) {
  if (options == NULL) return NACRE_OK;
  it->has_lower = options->lower.data != NULL;
  it->has_upper = options->upper_excluded.data != NULL;
  if (it->has_lower) NC_TRY(nc_iter_copy_key(it, &it->lower, options->lower, err));
  if (it->has_upper) NC_TRY(nc_iter_copy_key(it, &it->upper, options->upper_excluded, err));
  return NACRE_OK;
}

static nacre_status open_anew(nacre_table *t, const nacre_read_options *options, nacre_iter **ret_iter,
                              nacre_error *err) {
  nacre_iter *it = calloc(1, sizeof *it);
  if (it == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  bool no_cache_fill = options != NULL && options->no_cache_fill;
  it->table = t;
  it->parent = t->shared->env->parent;
  *ret_iter = it;
  NC_TRY(nc_read_moment(t, options, &it->view, &it->sequence, err));
  NC_TRY(open_bounds(it, options, err));
  it->reusable =
      !no_cache_fill && !it->has_lower && !it->has_upper && it->view->version->run_count <= RESTING_RUNS_MAX;
  return open_merge(it, no_cache_fill, err);
}

static void end(nacre_iter *it) {
  nc_cursor_close(it->merge);
  nc_key_copy *keys[] = {&it->lower, &it->upper, &it->sought, &it->key, &it->jumped};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
    nc_heap_free(heap_of(it), keys[i]->data, keys[i]->capacity);
  nc_view_unref(it->view);
  free(it);
}

/* ---- resting ------------------------------------------------------------------------------------------- */

/* One that rests here and is over the view that is shown; NULL: none. As for short reads, only after the sequence is
 * known does it count that the view is still shown. */
static nacre_iter *take_resting(nacre_table *t, const nacre_read_options *options) {
  if (options != NULL &&
      (options->no_cache_fill || options->lower.data != NULL || options->upper_excluded.data != NULL))
    return NULL;
  nc_reader_stripe *stripe = nc_table_stripe(t);
  if (atomic_load_explicit(&stripe->resting, memory_order_relaxed) == NULL) return NULL;
  nacre_iter *it = atomic_exchange_explicit(&stripe->resting, NULL, memory_order_acq_rel);
  if (it == NULL) return NULL;
  it->sequence = atomic_load_explicit(&t->visible, memory_order_acquire);
  if (atomic_load(&t->view) != it->view) {
    end(it);
    return NULL;
  }
  if (options != NULL && options->snapshot != NULL) it->sequence = options->snapshot->sequence;
  return it;
}

/* Nothing of a key is left in it. */
static void forget_key(nacre_iter *it, nc_key_copy *k) {
  if (k->capacity > KEPT_KEY_BYTES_MAX) {
    nc_heap_free(heap_of(it), k->data, k->capacity);
    *k = (nc_key_copy){0};
  }
  nc_wipe(k->data, k->used);
  k->size = k->used = 0;
}

/* Whether an iterator may rest in the stripe: in all of a store only some do. */
static bool may_rest(nacre_table *t, nc_reader_stripe *stripe) {
  if (atomic_load_explicit(&stripe->rests, memory_order_relaxed)) return true;
  if (atomic_fetch_add_explicit(&t->shared->resting_stripes, 1, memory_order_relaxed) >= RESTING_MAX ||
      atomic_exchange_explicit(&stripe->rests, true, memory_order_relaxed)) {
    atomic_fetch_sub_explicit(&t->shared->resting_stripes, 1, memory_order_relaxed);
    return atomic_load_explicit(&stripe->rests, memory_order_relaxed);
  }
  return true;
}

/* Takes over the iterator. */
static void rest(nacre_iter *it) {
  nacre_table *t = it->table;
  nc_view *view = it->view;
  nc_reader_stripe *stripe = nc_table_stripe(t);
  if (!it->reusable || atomic_load(&t->view) != view || !may_rest(t, stripe)) {
    end(it);
    return;
  }
  nc_cursor_rest(it->merge);
  forget_key(it, &it->sought);
  forget_key(it, &it->key);
  forget_key(it, &it->jumped);
  it->shown = NULL;
  it->plain = 0;
  it->at = it->value = (nacre_slice){NULL, 0};
  it->valid = it->backward = it->has_span = it->has_jumped = it->read = it->large = false;
  it->steps = 0;
  it->status = NACRE_OK;
  nacre_iter *other = atomic_exchange(&stripe->resting, it);
  if (other != NULL) end(other);
  if (atomic_load(&t->view) == view) return;
  other = atomic_exchange(&stripe->resting, NULL);
  if (other != NULL) end(other);
}

void nc_iters_recall(nacre_table *t) {
  for (size_t i = 0; i < NC_READER_STRIPES; i++) {
    nacre_iter *it = atomic_exchange(&t->readers[i].resting, NULL);
    if (it != NULL) end(it);
  }
}

void nc_iters_deinit(nacre_table *t) {
  nc_iters_recall(t);
  for (size_t i = 0; i < NC_READER_STRIPES; i++) {
    if (atomic_load(&t->readers[i].rests))
      atomic_fetch_sub_explicit(&t->shared->resting_stripes, 1, memory_order_relaxed);
  }
}

/* ---- the calls ----------------------------------------------------------------------------------------- */

nacre_status nacre_iter_open(nacre_table *table, const nacre_read_options *options, nacre_iter **ret_iter) {
  nacre_error *err = nc_thread_error();
  NC_TRY(nc_table_check(table, err));
  if (ret_iter == NULL) return nc_fail(err, NC_E_ARGUMENT, "ret_iter is NULL");
  NC_TRY(nc_read_check(table, options, err));
  nc_table_lend(table);
  nacre_iter *it = take_resting(table, options);
  if (it == NULL) {
    nc_memory_settle(table->shared);
    nacre_status status = open_anew(table, options, &it, err);
    if (status != NACRE_OK) {
      if (it != NULL) end(it);
      nc_table_take_back(table);
      return status;
    }
  }
  it->keys_only = options != NULL && options->keys_only;
  it->opened_ms = nc_read_wall_ms(table, options);
  *ret_iter = it;
  return NACRE_OK;
}

/* It rests before the table has it back: who closes the table then finds it. */
void nacre_iter_close(nacre_iter *it) {
  if (it == NULL || nc_table_forked(it->table)) return;
  nacre_table *t = it->table;
  nc_iter_drop_value(it);
  rest(it);
  nc_table_take_back(t);
}
