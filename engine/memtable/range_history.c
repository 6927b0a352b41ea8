/* SPDX-License-Identifier: Apache-2.0
 *
 * range_history: see range_history.h.
 *
 * The sets of a state are kept like the digits of a binary counter: a new one is merged with those that are not
 * larger, so that there are few, and adding costs little over time. Old states are found by the jump pointers of
 * E. W. Myers, "An applicative random-access stack" (1983).
 */
#include "range_history.h"

#include "batch.h"

void nc_range_history_init(nc_range_history *h, nc_heap *heap) {
  h->heap = heap;
  atomic_init(&h->newest, NULL);
  atomic_init(&h->prepared, NULL);
  atomic_init(&h->bytes, 0);
}

static void state_free(nc_range_history *h, nc_range_state *s) {
  if (s == NULL) return;
  size_t made = s->made == NULL ? 0 : s->made->bytes;
  atomic_fetch_sub_explicit(&h->bytes, s->bytes + s->keys_size + made, memory_order_relaxed);
  nc_range_set_free(s->made);
  nc_heap_free(h->heap, s->keys, s->keys_size);
  nc_heap_free(h->heap, s, s->bytes);
}

void nc_range_history_deinit(nc_range_history *h) {
  state_free(h, atomic_load(&h->prepared));
  for (nc_range_state *s = atomic_load(&h->newest), *older; s != NULL; s = older) {
    older = s->older;
    state_free(h, s);
  }
}

/* ---- adding -------------------------------------------------------------------------------------------- */

/* The range deletes of a group of operations. */
typedef struct group {
  size_t count, keys_size;
  uint64_t last_sequence;
} group;

static nacre_status measure(nacre_slice operations, uint64_t first_sequence, group *g, nacre_error *err) {
  nc_batch_reader r;
  nc_entry entry;
  bool more = true;
  nc_batch_read_begin(&r, operations);
  for (uint64_t i = 0;; i++) {
    NC_TRY(nc_batch_read(&r, &entry, &more, err));
    if (!more) return NACRE_OK;
    if (entry.kind != NC_KIND_RANGE_DELETE) continue;
    g->count++;
    g->keys_size += entry.key.size + entry.value.size;
    g->last_sequence = first_sequence + i;
  }
}

static nacre_slice keep_key(uint8_t **to, nacre_slice key) {
  nacre_slice kept = nc_slice(*to, key.size);
  if (key.size > 0) memcpy(*to, key.data, key.size);
  *to += key.size;
  return kept;
}

/* Each range delete of the group as a set of its own. */
static nacre_status make_singles(nc_range_history *h, nc_range_state *s, nacre_slice operations,
                                 uint64_t first_sequence, nc_range_set **singles, nacre_error *err) {
  nc_batch_reader r;
  nc_entry entry;
  bool more = true;
  uint8_t *to = s->keys;
  nc_batch_read_begin(&r, operations);
  for (uint64_t i = 0, at = 0;; i++) {
    NC_TRY(nc_batch_read(&r, &entry, &more, err));
    if (!more) return NACRE_OK;
    if (entry.kind != NC_KIND_RANGE_DELETE) continue;
    nacre_slice from = keep_key(&to, entry.key), end = keep_key(&to, entry.value);
    NC_TRY(nc_range_set_single(h->heap, from, end, first_sequence + i, &singles[at], err));
    at++;
  }
}

/* Puts the group's set in front of the older ones, and merges it with those that are not larger. */
static nacre_status make_set(nc_range_history *h, nc_range_state *s, nc_range_set *const *singles,
                             size_t count, nacre_error *err) {
  NC_TRY(nc_range_set_merge(h->heap, (const nc_range_set *const *)singles, count, true, &s->made, err));
  while (s->count > 0 && s->sets[s->count - 1]->count <= s->made->count) {
    const nc_range_set *pair[] = {s->sets[s->count - 1], s->made};
    nc_range_set *merged;
    NC_TRY(nc_range_set_merge(h->heap, pair, 2, true, &merged, err));
    nc_range_set_free(s->made);
    s->made = merged;
    s->count--;
  }
  s->sets[s->count++] = s->made;
  return NACRE_OK;
}

static nacre_status fill(nc_range_history *h, nc_range_state *s, const group *g, nacre_slice operations,
                         uint64_t first_sequence, nacre_error *err) {
  size_t bytes = g->count * sizeof(nc_range_set *);
  nc_range_set **singles = nc_heap_alloc(h->heap, bytes);
  if (singles == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  nacre_status status = make_singles(h, s, operations, first_sequence, singles, err);
  if (status == NACRE_OK) status = make_set(h, s, singles, g->count, err);
  for (size_t i = 0; i < g->count; i++) nc_range_set_free(singles[i]);
  nc_heap_free(h->heap, singles, bytes);
  return status;
}

static void link_to(nc_range_state *s, nc_range_state *older) {
  s->older = s->jump = older;
  s->depth = older == NULL ? 0 : older->depth + 1;
  if (older == NULL || older->jump == NULL || older->jump->jump == NULL) return;
  const nc_range_state *jump = older->jump;
  if (older->depth - jump->depth == jump->depth - jump->jump->depth) s->jump = jump->jump;
}

nacre_status nc_range_history_prepare(nc_range_history *h, nacre_slice operations, uint64_t first_sequence,
                                      nacre_error *err) {
  state_free(h, atomic_exchange(&h->prepared, NULL));
  group g = {0};
  NC_TRY(measure(operations, first_sequence, &g, err));
  if (g.count == 0) return NACRE_OK;
  nc_range_state *newest = atomic_load_explicit(&h->newest, memory_order_relaxed);
  size_t inherited = newest == NULL ? 0 : newest->count;
  size_t bytes = sizeof(nc_range_state) + (inherited + 1) * sizeof(nc_range_set *);
  nc_range_state *s = nc_heap_alloc(h->heap, bytes);
  if (s == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  s->bytes = bytes;
  s->last_sequence = g.last_sequence;
  s->count = inherited;
  for (size_t i = 0; i < inherited; i++) s->sets[i] = newest->sets[i];
  link_to(s, newest);
  s->keys = nc_heap_alloc(h->heap, g.keys_size);
  nacre_status status = s->keys == NULL ? nc_fail(err, NC_E_NO_MEMORY, NULL) : NACRE_OK;
  s->keys_size = s->keys == NULL ? 0 : g.keys_size;
  if (status == NACRE_OK) status = fill(h, s, &g, operations, first_sequence, err);
  size_t made = s->made == NULL ? 0 : s->made->bytes;
  atomic_fetch_add_explicit(&h->bytes, s->bytes + s->keys_size + made, memory_order_relaxed);
  if (status == NACRE_OK) {
    atomic_store(&h->prepared, s);
  } else {
    state_free(h, s);
  }
  return status;
}

void nc_range_history_publish(nc_range_history *h) {
  nc_range_state *s = atomic_exchange(&h->prepared, NULL);
  if (s != NULL) atomic_store_explicit(&h->newest, s, memory_order_release);
}

size_t nc_range_history_bytes(const nc_range_history *h) {
  return atomic_load_explicit(&h->bytes, memory_order_relaxed);
}

/* ---- asking -------------------------------------------------------------------------------------------- */

const nc_range_state *nc_range_history_at(const nc_range_history *h, uint64_t sequence) {
  const nc_range_state *s = atomic_load_explicit(&h->newest, memory_order_acquire);
  while (s != NULL && s->last_sequence > sequence) {
    s = s->jump != NULL && s->jump->last_sequence > sequence ? s->jump : s->older;
  }
  return s;
}

uint64_t nc_range_state_cover(const nc_range_state *state, nacre_slice key) {
  uint64_t cover = 0;
  for (size_t i = state == NULL ? 0 : state->count; i > 0 && cover == 0; i--)
    cover = nc_range_set_cover(state->sets[i - 1], key, NC_SEQUENCE_MAX);
  return cover;
}

void nc_range_state_span(const nc_range_state *state, nacre_slice key, nc_range_span *span) {
  for (size_t i = 0; state != NULL && i < state->count; i++)
    nc_range_set_span(state->sets[i], key, NC_SEQUENCE_MAX, span);
}

/* The distinct states that the snapshots see, and the newest one; their sets are gathered in `sets`, if it is
 * not NULL. Returns how many sets. */
static size_t gather(const nc_range_history *h, const uint64_t *snapshots, size_t snapshot_count,
                     const nc_range_set **sets) {
  const nc_range_state *last = NULL;
  size_t count = 0;
  for (size_t i = 0; i <= snapshot_count; i++) {
    const nc_range_state *s = nc_range_history_at(h, i < snapshot_count ? snapshots[i] : NC_SEQUENCE_MAX);
    if (s == NULL || s == last) continue;
    last = s;
    for (size_t k = 0; k < s->count; k++, count++) {
      if (sets != NULL) sets[count] = s->sets[k];
    }
  }
  return count;
}

nacre_status nc_range_history_collect(const nc_range_history *h, const uint64_t *snapshots,
                                      size_t snapshot_count, nc_range_set **ret_set, nacre_error *err) {
  size_t count = gather(h, snapshots, snapshot_count, NULL);
  *ret_set = NULL;
  if (count == 0) return NACRE_OK;
  const nc_range_set **sets = nc_heap_alloc(h->heap, count * sizeof *sets);
  if (sets == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  gather(h, snapshots, snapshot_count, sets);
  nacre_status status = nc_range_set_merge(h->heap, sets, count, false, ret_set, err);
  nc_heap_free(h->heap, sets, count * sizeof *sets);
  return status;
}
