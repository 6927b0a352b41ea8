/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads whole tables back into "key k has the value of group g" and looks the result up among the states that
 * are allowed. Extras are write groups after the history: group e puts its own key and, under one common key,
 * the number e.
 */
#include "check.h"

#include <stdio.h>
#include <string.h>

#include "status.h"

enum { EXTRA_VALUE_BYTES = 300, EXTRA_OWNER = 1000, EXTRA_LAST = STORE_EXTRAS_MAX };

typedef struct found {
  uint16_t row[HISTORY_KEYS];
  bool extras[STORE_EXTRAS_MAX];
  uint32_t extras_last;
  uint64_t entries;
} found;

typedef struct visit {
  const history *history;
  nacre_store *store;
  nacre_table *table;
  uint32_t index; /* of the table in the history */
  table_bounds *bounds;
  const char *label;
} visit;

enum { NO_TABLE = -1 }; /* of a check that concerns the store */

/* Says what failed, with the library's own words. */
static bool check_status(nacre_status status, const visit *v, const char *what) {
  nacre_error error = {0};
  if (status != NACRE_OK) nacre_last_error(&error);
  return CHECK(status == NACRE_OK, "%s: table %d: %s: %s (%s; file \"%s\", offset %lld)", v->label,
               (int)v->index, what, nacre_status_name(status), error.text, error.file,
               (long long)error.offset);
}

/* ---- reading ------------------------------------------------------------------------------------------- */

static size_t extra_key(uint32_t extra, char bytes[HISTORY_KEY_BYTES]) {
  if (extra == EXTRA_LAST) return (size_t)snprintf(bytes, HISTORY_KEY_BYTES, "~extra/last");
  return (size_t)snprintf(bytes, HISTORY_KEY_BYTES, "~extra/%04u", extra);
}

static bool same(nacre_slice slice, const void *bytes, size_t size) {
  return slice.size == size && (size == 0 || memcmp(slice.data, bytes, size) == 0);
}

/* Notes an extra; false when the entry is none that was ever written. */
static bool note_extra(const visit *v, nacre_slice key, nacre_slice value, found *f) {
  char name[HISTORY_KEY_BYTES];
  uint8_t expected[EXTRA_VALUE_BYTES];
  if (same(key, name, extra_key(EXTRA_LAST, name)) && value.size == sizeof f->extras_last) {
    memcpy(&f->extras_last, value.data, sizeof f->extras_last);
    return f->extras_last < STORE_EXTRAS_MAX;
  }
  for (uint32_t e = 1; e <= v->bounds->extras_most; e++) {
    if (!same(key, name, extra_key(e, name))) continue;
    test_value_make(expected, sizeof expected, EXTRA_OWNER + v->index, e, 0);
    f->extras[e] = true;
    return same(value, expected, sizeof expected);
  }
  return false;
}

static bool note_entry(const visit *v, nacre_slice key, nacre_slice value, found *f) {
  unsigned index = history_key_index(key);
  f->entries++;
  if (index == HISTORY_KEYS)
    return CHECK(note_extra(v, key, value, f), "%s: table %u: an entry that was never written: key \"%.*s\"",
                 v->label, v->index, (int)(key.size < 40 ? key.size : 40), (const char *)key.data);
  uint32_t group = history_value_group(v->history, v->index, index, value);
  f->row[index] = (uint16_t)group;
  return CHECK(group > 0, "%s: table %u: key %u has a value that was never written (%zu bytes)", v->label,
               v->index, index, value.size);
}

static int compare(nacre_slice a, nacre_slice b) {
  size_t shorter = a.size < b.size ? a.size : b.size;
  int order = shorter > 0 ? memcmp(a.data, b.data, shorter) : 0;
  return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static bool read_all(const visit *v, bool backwards, found *f) {
  nacre_iter *iter = NULL;
  uint8_t last[HISTORY_KEY_BYTES];
  nacre_slice before = {last, 0};
  bool ok = true;
  *f = (found){0};
  if (!check_status(nacre_iter_open(v->table, NULL, &iter), v, "open an iterator")) return false;
  for (backwards ? nacre_iter_last(iter) : nacre_iter_first(iter); ok && nacre_iter_valid(iter);
       backwards ? nacre_iter_prev(iter) : nacre_iter_next(iter)) {
    nacre_slice key = nacre_iter_key(iter);
    int order = f->entries == 0 ? 1 : compare(key, before);
    ok = CHECK(f->entries == 0 || (backwards ? order < 0 : order > 0), "%s: table %u: keys out of order",
               v->label, v->index) &&
         note_entry(v, key, nacre_iter_value(iter), f);
    before.size = key.size < sizeof last ? key.size : sizeof last;
    memcpy(last, key.data, before.size);
  }
  ok = ok && check_status(nacre_iter_status(iter), v, "iterate");
  nacre_iter_close(iter);
  return ok;
}

/* Point reads agree with the iterator. */
static bool check_gets(const visit *v, const found *f) {
  for (unsigned key = v->index % 7; key < HISTORY_KEYS; key += 7) {
    char bytes[HISTORY_KEY_BYTES];
    nacre_value value = {0};
    nacre_status status = nacre_get(v->table, (nacre_slice){bytes, history_key(key, bytes)}, NULL, &value);
    uint32_t group = 0;
    if (status == NACRE_OK)
      group = history_value_group(v->history, v->index, key, (nacre_slice){value.data, value.size});
    nacre_value_release(&value);
    if (status != NACRE_NOT_FOUND && !check_status(status, v, "get")) return false;
    if (!CHECK(group == f->row[key], "%s: table %u: get of key %u finds group %u, the iterator %u", v->label,
               v->index, key, group, f->row[key]))
      return false;
  }
  return true;
}

/* ---- comparing ----------------------------------------------------------------------------------------- */

/* The newest allowed state that looks like this; UINT32_MAX: none. States that look alike are alike. */
static uint32_t find_state(const visit *v, const found *f) {
  for (uint32_t state = v->bounds->most + 1; state-- > v->bounds->least;)
    if (memcmp(v->history->tables[v->index].rows[state], f->row, sizeof f->row) == 0) return state;
  return UINT32_MAX;
}

/* What a stranger needs to see: how far the table came, and the first key that contradicts it. */
static void explain(const visit *v, const found *f, char *text, size_t capacity) {
  uint32_t newest = 0;
  for (unsigned key = 0; key < HISTORY_KEYS; key++) newest = f->row[key] > newest ? f->row[key] : newest;
  const uint16_t *row = v->history->tables[v->index].rows[newest];
  unsigned wrong = 0;
  while (wrong < HISTORY_KEYS && row[wrong] == f->row[wrong]) wrong++;
  if (wrong == HISTORY_KEYS)
    snprintf(text, capacity, "it is state %u", newest);
  else
    snprintf(text, capacity, "its newest value is of group %u; key %u has group %u where state %u has %u",
             newest, wrong, f->row[wrong], newest, row[wrong]);
}

static bool check_extras(const visit *v, const found *f) {
  bool whole = f->extras_last >= v->bounds->extras_least && f->extras_last <= v->bounds->extras_most;
  for (uint32_t e = 1; e < STORE_EXTRAS_MAX; e++) whole = whole && f->extras[e] == (e <= f->extras_last);
  return CHECK(whole, "%s: table %u: %u extras found, %u to %u expected, or one is missing in between",
               v->label, v->index, f->extras_last, v->bounds->extras_least, v->bounds->extras_most);
}

static bool check_content(const visit *v) {
  found forwards, backwards;
  char text[200];
  if (!read_all(v, false, &forwards) || !read_all(v, true, &backwards) || !check_gets(v, &forwards))
    return false;
  if (!CHECK(memcmp(forwards.row, backwards.row, sizeof forwards.row) == 0 &&
                 forwards.entries == backwards.entries,
             "%s: table %u: forwards and backwards differ", v->label, v->index))
    return false;
  uint32_t state = find_state(v, &forwards);
  if (state == UINT32_MAX) explain(v, &forwards, text, sizeof text);
  if (!CHECK(state != UINT32_MAX, "%s: table %u: not one of the states %u to %u: %s", v->label, v->index,
             v->bounds->least, v->bounds->most, text))
    return false;
  if (!check_extras(v, &forwards)) return false;
  v->bounds->least = v->bounds->most = state;
  v->bounds->extras_least = v->bounds->extras_most = forwards.extras_last;
  return true;
}

/* Two header slots, one of them perhaps torn, or two copies of a key file that are not equal; and nothing else. */
static bool is_half_done(const nacre_faults *faults) {
  bool all = nacre_faults_count(faults) > 0;
  for (size_t i = 0; i < nacre_faults_count(faults); i++) {
    uint32_t id = nacre_faults_at(faults, i)->id;
    all = all && (id == NC_E_HEADER_SLOTS_DIFFER || id == NC_E_HEADER_CRC || id == NC_E_KEY_COPIES_DIFFER);
  }
  return all;
}

static bool check_verify(const visit *v, bool unsettled) {
  nacre_verify_report report = {0};
  nacre_status status = nacre_verify(v->table, NULL, &report);
  if (unsettled && is_half_done(report.faults)) {
    nacre_faults_free(report.faults);
    return true;
  }
  bool ok = check_status(status, v, "verify");
  ok = CHECK(!ok || report.fault_count == 0, "%s: table %u: verify counts faults and returns OK", v->label,
             v->index) &&
       ok;
  nacre_faults_free(report.faults);
  return ok;
}

static bool check_report(const visit *v) {
  nacre_recovery_report report = {0};
  if (!check_status(nacre_table_recovery(v->table, &report), v, "recovery report")) return false;
  bool broken = report.dropped_offset != NACRE_NONE;
  return CHECK(!(report.clean && broken) && !report.damaged && broken == (report.file[0] != '\0') &&
                   (broken || report.dropped_bytes == 0),
               "%s: table %u: the recovery report contradicts itself: clean %d, damaged %d, dropped %llu at "
               "%lld in \"%s\"",
               v->label, v->index, report.clean, report.damaged, (unsigned long long)report.dropped_bytes,
               (long long)report.dropped_offset, report.file);
}

/* ---- extras -------------------------------------------------------------------------------------------- */

static bool write_extra(const visit *v, uint32_t e) {
  char own[HISTORY_KEY_BYTES], last[HISTORY_KEY_BYTES];
  uint8_t value[EXTRA_VALUE_BYTES];
  nacre_batch *batch = NULL;
  nacre_write_options options = {.sync = e % 2 == 1};
  test_value_make(value, sizeof value, EXTRA_OWNER + v->index, e, 0);
  nacre_status status = nacre_batch_create(&batch);
  if (status == NACRE_OK)
    status =
        nacre_batch_put(batch, (nacre_slice){own, extra_key(e, own)}, (nacre_slice){value, sizeof value});
  if (status == NACRE_OK)
    status =
        nacre_batch_put(batch, (nacre_slice){last, extra_key(EXTRA_LAST, last)}, (nacre_slice){&e, sizeof e});
  v->bounds->extras_most = e;
  if (status == NACRE_OK) status = nacre_write(v->table, batch, &options);
  nacre_batch_destroy(batch);
  if (status == NACRE_OK && e % 4 == 2) status = nacre_sync(v->table);
  if (status == NACRE_OK && e % 4 == 0) status = nacre_flush(v->table);
  if (!check_status(status, v, "write after recovery")) return false;
  v->bounds->extras_least = e;
  return true;
}

static bool write_extras(const visit *v, uint32_t count) {
  uint32_t first = v->bounds->extras_most + 1;
  for (uint32_t e = first; e < first + count && e < STORE_EXTRAS_MAX; e++)
    if (!write_extra(v, e)) return false;
  return true;
}

/* ---- stores -------------------------------------------------------------------------------------------- */

static bool is_empty(nacre_store *store, const char *name) {
  nacre_table *table = NULL;
  nacre_iter *iter = NULL;
  if (nacre_table_open(store, name, NULL, &table) != NACRE_OK) return true;
  bool empty = true;
  if (nacre_iter_open(table, NULL, &iter) == NACRE_OK) {
    nacre_iter_first(iter);
    empty = !nacre_iter_valid(iter);
  }
  nacre_iter_close(iter);
  return nacre_table_close(table) != NACRE_OK || empty;
}

/* The table of the history that bears this name; the history's table count when there is none. When a table
 * was about to be dropped and its successor about to be created, the one that holds something is the older.
 */
static uint32_t table_named(nacre_store *store, const store_bounds *bounds, const history *h,
                            const char *name) {
  uint32_t newer = (uint32_t)h->table_count, older = newer;
  for (uint32_t i = 0; i < h->table_count; i++) {
    if (bounds->tables[i].there == PRESENCE_ABSENT || strcmp(h->tables[i].name, name) != 0) continue;
    older = newer;
    newer = i;
  }
  return older < h->table_count && !is_empty(store, name) ? older : newer;
}

static bool check_names(nacre_store *store, const history *h, store_bounds *bounds, const char *label) {
  nacre_table_infos *infos = NULL;
  bool seen[HISTORY_TABLES_MAX] = {false}, ok = true;
  visit v = {.history = h, .label = label, .index = (uint32_t)NO_TABLE};
  if (!check_status(nacre_table_list(store, &infos), &v, "list the tables")) return false;
  for (size_t i = 0; i < nacre_table_infos_count(infos); i++) {
    const char *name = nacre_table_infos_at(infos, i)->name;
    uint32_t table = table_named(store, bounds, h, name);
    ok = CHECK(table < h->table_count, "%s: table \"%s\" was dropped, or never made", label, name) && ok;
    if (table < h->table_count) {
      ok = CHECK(!seen[table], "%s: there are two tables \"%s\"", label, name) && ok;
      seen[table] = true;
    }
  }
  nacre_table_infos_free(infos);
  for (uint32_t i = 0; i < h->table_count; i++) {
    presence *there = &bounds->tables[i].there;
    ok = CHECK(*there != PRESENCE_PRESENT || seen[i], "%s: table %u is missing", label, i) && ok;
    *there = seen[i] ? PRESENCE_PRESENT : PRESENCE_ABSENT;
  }
  return ok;
}

static bool check_table(visit *v, const check_plan *plan) {
  if (!check_status(nacre_table_open(v->store, v->history->tables[v->index].name, NULL, &v->table), v,
                    "open"))
    return false;
  bool ok = check_report(v) && check_content(v) && check_verify(v, plan->unsettled) &&
            (plan->table == NULL || plan->table(plan->arg, v->table, v->index, v->label)) &&
            write_extras(v, plan->extras);
  return check_status(nacre_table_close(v->table), v, "close the table") && ok;
}

/* Before creating the store was acknowledged there may be none; creating it again must then succeed. */
static nacre_status open_store(const check_plan *plan, store_bounds *bounds, nacre_store **ret_store) {
  const nacre_store_options *options = plan->options;
  const char *path = plan->path == NULL ? STORE_PATH : plan->path;
  nacre_status status = nacre_open(path, options, ret_store);
  if (status == NACRE_NOT_FOUND && !bounds->made && !options->read_only) {
    nacre_store_options creating = *options;
    creating.create = true;
    status = nacre_open(path, &creating, ret_store);
  }
  if (status == NACRE_OK) bounds->made = true;
  return status;
}

static bool check_planned(sim_disk *disk, const check_plan *plan, const history *h, store_bounds *bounds,
                          const char *label) {
  visit v = {.history = h, .label = label, .index = (uint32_t)NO_TABLE};
  bool ok = check_status(open_store(plan, bounds, &v.store), &v, "open the store");
  if (ok) {
    ok = check_names(v.store, h, bounds, label);
    for (uint32_t i = 0; i < h->table_count && ok; i++) {
      v.index = i;
      v.bounds = &bounds->tables[i];
      if (bounds->tables[i].there == PRESENCE_PRESENT) ok = check_table(&v, plan);
    }
    v.index = (uint32_t)NO_TABLE;
    ok = ok && (plan->store == NULL || plan->store(plan->arg, v.store, label));
    ok = check_status(nacre_close(v.store), &v, "close the store") && ok;
  }
  return CHECK(sim_disk_handles(disk) == 0, "%s: %llu handles are still open", label,
               (unsigned long long)sim_disk_handles(disk)) &&
         ok;
}

bool check_store_with(sim_disk *disk, const check_plan *plan, const history *h, store_bounds *bounds,
                      const char *label) {
  uint64_t before = sim_disk_operations(disk);
  bool ok = check_planned(disk, plan, h, bounds, label);
  uint64_t operations = sim_disk_operations(disk) - before;
  return CHECK(!plan->unwritten || operations == 0,
               "%s: %llu operations on the disk, though nothing was written", label,
               (unsigned long long)operations) &&
         ok;
}

bool check_store(sim_disk *disk, const char *key_uri, const history *h, store_bounds *bounds, uint32_t extras,
                 const char *label) {
  nacre_store_options options = store_options(disk, key_uri);
  check_plan plan = {.options = &options, .extras = extras};
  return check_store_with(disk, &plan, h, bounds, label);
}

bool check_store_unwritten(sim_disk *disk, const char *key_uri, const history *h, store_bounds *bounds,
                           bool read_only, const char *label) {
  nacre_store_options options = store_options(disk, key_uri);
  options.read_only = read_only;
  check_plan plan = {.options = &options, .unwritten = true};
  return check_store_with(disk, &plan, h, bounds, label);
}

bool check_open_tables(const runner *r, store_bounds *bounds, const char *label) {
  bool ok = check_names(r->store, r->history, bounds, label);
  for (uint32_t i = 0; i < r->history->table_count && ok; i++) {
    visit v = {r->history, r->store, r->tables[i], i, &bounds->tables[i], label};
    if (bounds->tables[i].there == PRESENCE_PRESENT && v.table != NULL) ok = check_content(&v);
  }
  return ok;
}
