/* SPDX-License-Identifier: Apache-2.0
 *
 * read_many: point reads of several keys at one moment. In the order of the keys they go through memtables and runs
 * together, some hundred at a time; whatever is not plain sailing is read once more, by itself, and tells by that what is
 * wrong. So the answers are those of single reads.
 */
#include <stdlib.h>

#include "last_error.h"
#include "range_read.h"
#include "read.h"

enum { FEW = 4 };

/* One call. */
typedef struct many {
  nacre_table *table;
  const nacre_read_options *options;
  nc_reading reading;
  const nacre_slice *keys;
  nacre_value *values;
  nacre_status *statuses;
  size_t failed_at; /* the first key that was not found nor missing; SIZE_MAX: none */
  nacre_error failure;
} many;

static void note(many *m, size_t i, nacre_status status, const nacre_error *err) {
  m->statuses[i] = status;
  if (status == NACRE_OK || status == NACRE_NOT_FOUND || i > m->failed_at) return;
  m->failed_at = i;
  m->failure = *err;
}

static void read_alone(many *m, size_t i) {
  nacre_error *err = nc_thread_error();
  note(m, i, nc_read_one(m->table, &m->reading, m->keys[i], m->options, &m->values[i], err), err);
}

/* ---- together ------------------------------------------------------------------------------------------ */

/* By the place of their keys, so that no copy of a key comes to be. */
static int by_key(const void *a, const void *b) {
  return nc_slice_compare(**(const nacre_slice *const *)a, **(const nacre_slice *const *)b);
}

static void look_in_memtables(const many *m, nc_lookup *l) {
  const nc_view *view = m->reading.view;
  for (size_t i = 0; i < view->memtable_count; i++) {
    if (!nc_memtable_get(view->memtables[i], l->key, m->reading.sequence, &l->entry)) continue;
    l->pin = nc_memtable_pin(view->memtables[i]);
    nc_pin_ref(l->pin);
    l->state = NC_LOOKUP_FOUND;
    return;
  }
}

static void begin(const many *m, nc_lookup *l, nacre_slice key) {
  *l = (nc_lookup){.key = key, .state = NC_LOOKUP_SEEKING};
  if (nc_view_hidden(m->reading.view, key, m->reading.sequence, &l->hidden, NULL) != NACRE_OK) {
    l->state = NC_LOOKUP_ALONE;
  } else {
    look_in_memtables(m, l);
  }
}

static nc_segment *segment_for(const nc_run *run, const nc_lookup *l) {
  if (l->state != NC_LOOKUP_SEEKING) return NULL;
  nc_segment *segment = nc_run_find(run, l->key);
  return segment == NULL || nc_segment_describe(segment)->sequence_max < l->hidden ? NULL : segment;
}

/* Those that may be in one segment, in the order of their keys, go through it together. */
static void look_in_run(const many *m, const nc_run *run, nc_lookup *lookups, size_t count) {
  nc_lookup *together[NC_LOOKUPS_MAX];
  bool no_cache_fill = m->options != NULL && m->options->no_cache_fill;
  nc_segment *segment = NULL;
  size_t n = 0;
  for (size_t i = 0; i < count; i++) {
    nc_segment *next = segment_for(run, &lookups[i]);
    if (next == NULL) continue;
    if (next != segment && n > 0) {
      nc_segment_get_many(segment, together, n, m->reading.sequence, no_cache_fill);
      n = 0;
    }
    segment = next;
    together[n++] = &lookups[i];
  }
  if (n > 0) nc_segment_get_many(segment, together, n, m->reading.sequence, no_cache_fill);
}

static void finish(many *m, size_t i, nc_lookup *l) {
  if (l->state == NC_LOOKUP_ALONE) {
    read_alone(m, i);
    return;
  }
  nacre_error *err = nc_thread_error();
  bool found = l->state == NC_LOOKUP_FOUND && l->entry.sequence >= l->hidden;
  if (!found) nc_pin_unref(l->pin);
  note(m, i, nc_read_lend(m->table, m->options, found, &l->entry, found ? l->pin : NULL, &m->values[i], err),
       err);
}

static void read_together(many *m, const nacre_slice *const *sorted, nc_lookup *lookups, size_t count) {
  const nc_version *version = m->reading.view->version;
  for (size_t i = 0; i < count; i++) begin(m, &lookups[i], *sorted[i]);
  for (size_t i = 0; i < version->run_count; i++) look_in_run(m, &version->runs[i], lookups, count);
  for (size_t i = 0; i < count; i++) finish(m, (size_t)(sorted[i] - m->keys), &lookups[i]);
}

/* ---- the call ------------------------------------------------------------------------------------------ */

/* False without memory. */
static bool read_sorted(many *m, size_t count) {
  size_t group = count < NC_LOOKUPS_MAX ? count : NC_LOOKUPS_MAX, n = 0;
  const nacre_slice **sorted = malloc(count * sizeof *sorted);
  nc_lookup *lookups = malloc(group * sizeof *lookups);
  if (sorted == NULL || lookups == NULL) {
    free(sorted);
    free(lookups);
    return false;
  }
  for (size_t i = 0; i < count; i++) {
    if (m->keys[i].data == NULL) {
      read_alone(m, i); /* and says so */
    } else {
      sorted[n++] = &m->keys[i];
    }
  }
  qsort(sorted, n, sizeof *sorted, by_key);
  for (size_t i = 0; i < n; i += group) read_together(m, sorted + i, lookups, n - i < group ? n - i : group);
  free(sorted);
  free(lookups);
  return true;
}

nacre_status nacre_multi_get(nacre_table *table, size_t count, const nacre_slice *keys,
                             const nacre_read_options *options, nacre_value *ret_values,
                             nacre_status *ret_statuses) {
  nacre_error *err = nc_thread_error();
  if (count > 0 && (keys == NULL || ret_values == NULL || ret_statuses == NULL)) {
    return nc_fail(err, NC_E_ARGUMENT, "keys, ret_values or ret_statuses is NULL");
  }
  for (size_t i = 0; i < count; i++) ret_values[i] = (nacre_value){0};
  NC_TRY(nc_table_check(table, err));
  many m = {.table = table,
            .options = options,
            .keys = keys,
            .values = ret_values,
            .statuses = ret_statuses,
            .failed_at = SIZE_MAX};
  NC_TRY(nc_reading_begin(table, options, &m.reading, err));
  nc_meter_count_reads(table, count);
  if (count < FEW || !read_sorted(&m, count)) {
    for (size_t i = 0; i < count; i++) read_alone(&m, i);
  }
  nc_reading_end(&m.reading);
  return m.failed_at == SIZE_MAX ? NACRE_OK : nc_fail_with(err, &m.failure);
}
