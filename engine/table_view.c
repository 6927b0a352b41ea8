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

nacre_status nc_read_moment(nacre_table *t, const nacre_read_options *options, nc_view **ret_view,
                            uint64_t *ret_sequence, nacre_error *err) {
  if (options != NULL) {
    NC_TRY(nc_check_reserved(options->reserved, err));
    if (options->snapshot != NULL && options->snapshot->table != t) {
      return nc_fail(err, NC_E_ARGUMENT, "the snapshot is of another table");
    }
  }
  *ret_view = nc_table_view(t, ret_sequence);
  if (options != NULL && options->snapshot != NULL) *ret_sequence = options->snapshot->sequence;
  return NACRE_OK;
}

/* ---- snapshots ----------------------------------------------------------------------------------------- */

nacre_status nacre_snapshot_take(nacre_table *table, nacre_snapshot **ret_snapshot) {
  nacre_error *err = nc_thread_error();
  NC_TRY(nc_table_check(table, err));
  if (ret_snapshot == NULL) return nc_fail(err, NC_E_ARGUMENT, "ret_snapshot is NULL");
  nacre_snapshot *s = calloc(1, sizeof *s);
  if (s == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  s->table = table;
  atomic_fetch_add(&table->lent, 1);
  pthread_mutex_lock(&table->state_lock);
  s->sequence = atomic_load_explicit(&table->visible, memory_order_acquire);
  s->next = table->snapshots;
  table->snapshots = s;
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
  atomic_fetch_sub(&t->lent, 1);
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
