/* SPDX-License-Identifier: Apache-2.0
 *
 * value_set: see value_set.h.
 */
#include "value_set.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "value_writer.h"

static nacre_status grow(void **list, size_t count, size_t *capacity, size_t item, nacre_error *err) {
  if (count < *capacity) return NACRE_OK;
  size_t larger = *capacity == 0 ? 16 : *capacity * 2;
  void *grown = realloc(*list, larger * item);
  if (grown == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  *list = grown;
  *capacity = larger;
  return NACRE_OK;
}

/* ---- the set ------------------------------------------------------------------------------------------- */

void nc_value_set_deinit(nc_value_set *s) {
  free(s->list);
  nc_number_index_deinit(&s->by_number);
  *s = (nc_value_set){0};
}

nc_value_item *nc_value_set_find(const nc_value_set *s, uint64_t number) {
  size_t at;
  return nc_number_index_find(&s->by_number, number, &at) ? &s->list[at] : NULL;
}

nacre_status nc_value_set_add(nc_value_set *s, const nc_value_name *name, bool named, nacre_error *err) {
  if (nc_value_set_find(s, name->number) != NULL) return NACRE_OK;
  void *list = s->list;
  NC_TRY(grow(&list, s->count, &s->capacity, sizeof *s->list, err));
  s->list = list;
  NC_TRY(nc_number_index_put(&s->by_number, name->number, s->count, err));
  s->list[s->count++] = (nc_value_item){.name = *name, .named = named};
  return NACRE_OK;
}

void nc_value_set_remove(nc_value_set *s, uint64_t number) {
  size_t at;
  if (!nc_number_index_find(&s->by_number, number, &at)) return;
  if (s->list[at].failed_log != 0) s->failed--;
  nc_number_index_remove(&s->by_number, number);
  s->list[at] =
      s->list[--s->count]; /* the last takes its place: its number is in the index, which cannot fail */
  if (at < s->count) nc_ignore(nc_number_index_put(&s->by_number, s->list[at].name.number, at, NULL));
}

/* ---- changes ------------------------------------------------------------------------------------------- */

nacre_status nc_value_changes_keep(nc_value_changes *c, const nc_entry *entry, nacre_error *err) {
  if (c == NULL || !c->noting_kept || entry->kind != NC_KIND_LARGE) return NACRE_OK;
  nc_value_reference reference;
  void *list = c->kept;
  NC_TRY(nc_value_reference_decode(entry->value, &reference, err));
  NC_TRY(grow(&list, c->kept_count, &c->kept_capacity, sizeof *c->kept, err));
  c->kept = list;
  c->kept[c->kept_count++] = reference.name;
  return NACRE_OK;
}

nacre_status nc_value_changes_drop(nc_value_changes *c, const nc_entry *entry, nacre_error *err) {
  if (c == NULL || entry->kind != NC_KIND_LARGE) return NACRE_OK;
  nc_value_reference reference;
  void *list = c->dropped;
  NC_TRY(nc_value_reference_decode(entry->value, &reference, err));
  NC_TRY(grow(&list, c->dropped_count, &c->dropped_capacity, sizeof *c->dropped, err));
  c->dropped = list;
  c->dropped[c->dropped_count++] = reference.name.number;
  return NACRE_OK;
}

void nc_value_changes_deinit(nc_value_changes *c) {
  free(c->kept);
  free(c->dropped);
  *c = (nc_value_changes){0};
}

/* ---- graves -------------------------------------------------------------------------------------------- */

struct nc_value_grave {
  atomic_uint refs;
  const nc_dir *dir;
  nc_value_grave *next; /* counted */
  uint64_t *numbers;
  size_t count;
};

nacre_status nc_value_grave_create(nc_value_grave **ret_grave, nacre_error *err) {
  nc_value_grave *g = calloc(1, sizeof *g);
  if (g == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  atomic_init(&g->refs, 1);
  *ret_grave = g;
  return NACRE_OK;
}

void nc_value_grave_fill(nc_value_grave *g, const nc_dir *dir, uint64_t *numbers, size_t count) {
  g->dir = dir;
  g->numbers = numbers;
  g->count = count;
}

void nc_value_grave_link(nc_value_grave *g, nc_value_grave *next) {
  atomic_fetch_add_explicit(&next->refs, 1, memory_order_relaxed);
  g->next = next;
}

/* A loop: a view that was kept for long may be the first of many. */
void nc_value_grave_unref(nc_value_grave *g) {
  while (g != NULL && atomic_fetch_sub_explicit(&g->refs, 1, memory_order_acq_rel) == 1) {
    nc_value_grave *next = g->next;
    for (size_t i = 0; i < g->count; i++) {
      char name[NC_FILE_NAME_BYTES];
      nc_value_file_name(g->numbers[i], name);
      nc_ignore(nc_dir_remove(g->dir, name, NULL)); /* an orphan if it stays */
    }
    free(g->numbers);
    free(g);
    g = next;
  }
}
