/* SPDX-License-Identifier: Apache-2.0
 *
 * table_view: what readers see of a table, and the snapshots that keep old versions from being dropped.
 */
#include <stdlib.h>

#include "last_error.h"
#include "table.h"

nacre_status nc_view_create(nc_memtable *active, const nc_immutable *immutables, size_t immutable_count,
                            nc_version *version, nc_view **ret_view, nacre_error *err) {
  nc_view *v = calloc(1, sizeof *v);
  if (v == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  if (nc_value_grave_create(&v->grave, err) != NACRE_OK) {
    free(v);
    return NACRE_NO_MEMORY;
  }
  atomic_init(&v->refs, 1);
  v->version = version;
  nc_version_ref(version);
  v->memtables[v->memtable_count++] = active;
  for (size_t i = immutable_count; i > 0; i--) v->memtables[v->memtable_count++] = immutables[i - 1].memtable;
  for (size_t i = 0; i < v->memtable_count; i++) nc_pin_ref(nc_memtable_pin(v->memtables[i]));
  *ret_view = v;
  return NACRE_OK;
}

void nc_view_unref(nc_view *v) {
  if (v == NULL || atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel) != 1) return;
  for (size_t i = 0; i < v->memtable_count; i++) nc_pin_unref(nc_memtable_pin(v->memtables[i]));
  nc_version_unref(v->version);
  nc_value_grave_unref(v->grave);
  free(v);
}

/* The sequence is read under the lock under which views are replaced: everything up to it is in the view, and
 * no version that it can see has been dropped from it. */
nc_view *nc_table_view(nacre_table *t, uint64_t *ret_sequence) {
  pthread_mutex_lock(&t->state_lock);
  nc_view *v = t->view;
  atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed);
  *ret_sequence = atomic_load_explicit(&t->visible, memory_order_acquire);
  pthread_mutex_unlock(&t->state_lock);
  return v;
}

void nc_table_show_locked(nacre_table *t, nc_view *view) {
  nc_view *old = atomic_exchange(&t->view, view);
  nc_value_grave_link(old->grave, view->grave);
  pthread_mutex_unlock(&t->state_lock);
  nc_views_recall(t);
  nc_view_unref(old);
}

/* ---- short reads ------------------------------------------------------------------------------------------ */

/* A stripe keeps a view, with one count, between reads. A reader takes it out and leaves a mark, the address of its
 * nc_reading with the lowest bit set, which no other reader has at the time; when it ends, it puts the view back if
 * its mark still stands there. Whoever replaces the view clears all stripes afterwards: views that it finds it gives
 * back, and where it clears a mark, the reader finds that out and gives back its view itself. So no stripe keeps a
 * view that is not shown any more. */

nc_reader_stripe *nc_table_stripe(nacre_table *t) {
  return &t->readers[nc_thread_stripe(NC_READER_STRIPE_BITS)];
}

static uintptr_t mark_of(const nc_reading *r) { return (uintptr_t)r | 1; }
static bool is_mark(uintptr_t place) { return (place & 1) != 0; }

void nc_views_recall(nacre_table *t) {
  for (size_t i = 0; i < NC_READER_STRIPES; i++) {
    uintptr_t place = atomic_exchange_explicit(&t->readers[i].place, 0, memory_order_acq_rel);
    if (!is_mark(place)) nc_view_unref((nc_view *)place);
  }
  nc_iters_recall(t);
}

/* A stripe's view, which is this reader's now; NULL: there is none, or another reader has it. */
static nc_view *take_view(nacre_table *t, nc_reading *r) {
  nc_reader_stripe *stripe = nc_table_stripe(t);
  r->stripe = NULL;
  if (is_mark(atomic_load_explicit(&stripe->place, memory_order_relaxed))) return NULL;
  r->stripe = stripe;
  uintptr_t place = atomic_exchange_explicit(&stripe->place, mark_of(r), memory_order_acq_rel);
  return is_mark(place) ? NULL : (nc_view *)place;
}

/* Only after the sequence is known does it count that the view is still shown: then everything up to the sequence is
 * in it, as under the lock. */
static void begin(nacre_table *t, nc_reading *r) {
  r->view = take_view(t, r);
  if (r->view != NULL) {
    r->sequence = atomic_load_explicit(&t->visible, memory_order_acquire);
    if (atomic_load_explicit(&t->view, memory_order_acquire) == r->view) return;
    nc_view_unref(r->view);
  }
  r->view = nc_table_view(t, &r->sequence);
}

nacre_status nc_read_check(const nacre_table *t, const nacre_read_options *options, nacre_error *err) {
  if (options == NULL) return NACRE_OK;
  NC_TRY(nc_check_reserved(options->reserved, err));
  if (options->snapshot != NULL && options->snapshot->table != t)
    return nc_fail(err, NC_E_ARGUMENT, "the snapshot is of another table");
  return NACRE_OK;
}

nacre_status nc_reading_begin(nacre_table *t, const nacre_read_options *options, nc_reading *r,
                              nacre_error *err) {
  NC_TRY(nc_read_check(t, options, err));
  begin(t, r);
  if (options != NULL && options->snapshot != NULL) r->sequence = options->snapshot->sequence;
  return NACRE_OK;
}

void nc_reading_end(nc_reading *r) {
  uintptr_t mark = mark_of(r);
  if (r->stripe != NULL &&
      atomic_compare_exchange_strong_explicit(&r->stripe->place, &mark, (uintptr_t)r->view,
                                              memory_order_acq_rel, memory_order_relaxed)) {
    return;
  }
  nc_view_unref(r->view);
}

nacre_status nc_read_moment(nacre_table *t, const nacre_read_options *options, nc_view **ret_view,
                            uint64_t *ret_sequence, nacre_error *err) {
  nc_reading r;
  NC_TRY(nc_reading_begin(t, options, &r, err));
  atomic_fetch_add_explicit(&r.view->refs, 1, memory_order_relaxed);
  *ret_view = r.view;
  *ret_sequence = r.sequence;
  nc_reading_end(&r);
  return NACRE_OK;
}

void nc_table_lend(nacre_table *t) {
  atomic_fetch_add_explicit(&nc_table_stripe(t)->lent, 1, memory_order_relaxed);
}

void nc_table_take_back(nacre_table *t) {
  atomic_fetch_add_explicit(&nc_table_stripe(t)->given_back, 1, memory_order_release);
}

/* What was given back is summed first: it had been lent before, so something lent is never overlooked. */
bool nc_table_lends(nacre_table *t) {
  uint64_t given_back = 0, lent = 0;
  for (size_t i = 0; i < NC_READER_STRIPES; i++)
    given_back += atomic_load_explicit(&t->readers[i].given_back, memory_order_acquire);
  for (size_t i = 0; i < NC_READER_STRIPES; i++)
    lent += atomic_load_explicit(&t->readers[i].lent, memory_order_relaxed);
  return lent != given_back;
}

/* ---- snapshots ----------------------------------------------------------------------------------------- */

nacre_status nacre_snapshot_take(nacre_table *table, nacre_snapshot **ret_snapshot) {
  nacre_error *err = nc_thread_error();
  NC_TRY(nc_table_check(table, err));
  if (ret_snapshot == NULL) return nc_fail(err, NC_E_ARGUMENT, "ret_snapshot is NULL");
  nacre_snapshot *s = calloc(1, sizeof *s);
  if (s == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  s->table = table;
  nc_table_lend(table);
  pthread_mutex_lock(&table->state_lock);
  s->sequence = atomic_load_explicit(&table->visible, memory_order_acquire);
  s->next = table->snapshots;
  table->snapshots = s;
  pthread_mutex_unlock(&table->state_lock);
  /* Until its moment is set it is of the oldest, and no merge takes anything for expired: else one could do so for
   * a later moment, between the look at the clock and the list. */
  uint64_t taken_ms = nc_wall_ms(table->shared->env);
  pthread_mutex_lock(&table->state_lock);
  s->taken_ms = taken_ms;
  pthread_mutex_unlock(&table->state_lock);
  *ret_snapshot = s;
  return NACRE_OK;
}

void nacre_snapshot_release(nacre_snapshot *snapshot) {
  if (snapshot == NULL || nc_table_forked(snapshot->table)) return;
  nacre_table *t = snapshot->table;
  pthread_mutex_lock(&t->state_lock);
  nacre_snapshot **link = &t->snapshots;
  while (*link != snapshot) link = &(*link)->next;
  *link = snapshot->next;
  pthread_mutex_unlock(&t->state_lock);
  free(snapshot);
  nc_table_take_back(t);
}

nacre_status nc_snapshot_moment(const nacre_snapshot *snapshot, const nacre_table **ret_table,
                                uint64_t *ret_sequence, nacre_error *err) {
  NC_TRY(nc_table_check(snapshot->table, err));
  *ret_table = snapshot->table;
  *ret_sequence = snapshot->sequence;
  return NACRE_OK;
}

bool nc_snapshot_lives(nacre_table *t, uint64_t sequence) {
  pthread_mutex_lock(&t->state_lock);
  const nacre_snapshot *s = t->snapshots;
  while (s != NULL && s->sequence != sequence) s = s->next;
  pthread_mutex_unlock(&t->state_lock);
  return s != NULL;
}

static int ascending(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

nacre_status nc_table_snapshots(nacre_table *t, uint64_t **ret_list, size_t *ret_count, nacre_error *err) {
  pthread_mutex_lock(&t->state_lock);
  size_t count = 0;
  for (const nacre_snapshot *s = t->snapshots; s != NULL; s = s->next) count++;
  uint64_t *list = calloc(count + 1, sizeof *list);
  size_t i = 0;
  for (const nacre_snapshot *s = t->snapshots; list != NULL && s != NULL; s = s->next)
    list[i++] = s->sequence;
  pthread_mutex_unlock(&t->state_lock);
  if (list == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  qsort(list, count, sizeof *list, ascending);
  *ret_list = list;
  *ret_count = count;
  return NACRE_OK;
}

uint64_t nc_read_wall_ms(const nacre_table *t, const nacre_read_options *options) {
  return options != NULL && options->snapshot != NULL ? options->snapshot->taken_ms
                                                      : nc_wall_ms(t->shared->env);
}

uint64_t nc_table_expiry_moment(nacre_table *t) {
  uint64_t moment_ms = nc_wall_ms(t->shared->env);
  pthread_mutex_lock(&t->state_lock);
  for (const nacre_snapshot *s = t->snapshots; s != NULL; s = s->next) {
    if (s->taken_ms < moment_ms) moment_ms = s->taken_ms;
  }
  pthread_mutex_unlock(&t->state_lock);
  return moment_ms;
}
