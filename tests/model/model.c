/* SPDX-License-Identifier: Apache-2.0
 *
 * The model test. Seeded random operations go to a store in a real directory and to a sorted map; every
 * answer must be the same. Sessions differ in their options; within one, the store is closed and opened again
 * with others, also read-only, and the table's key changes to and fro. Snapshots and iterators live on across
 * writes, flushes and merges, each with its own copy of the map.
 *
 * Environment: NACRE_TEST_SEED; NACRE_MODEL_OPS, operations over all sessions. One file, long as it is: a list of operations
 * over one state, each with what the map says to it.
 */
#include <nacre/nacre.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sorted_map.h"

enum { SESSIONS = 16, BATCH_MAX = 20, MULTI_MAX = 24, VIEWS_MAX = 3, WALKS_MAX = 3, WALK_MOVES = 24 };

/* A snapshot, and what the table held when it was taken. */
typedef struct view {
  nacre_snapshot *snapshot;
  map_state state;
} view;

/* A live iterator beside the model's. */
typedef struct walk {
  nacre_iter *iter;
  map_state state;
  map_iter expected;
} walk;

typedef struct session {
  unsigned number;
  test_random random;
  char store_path[300], key_uri[300];
  nacre_store *store;
  nacre_table *table;
  map_keys keys;
  map_state now;
  uint64_t expires_ms[MAP_KEYS]; /* of what is there now; 0: never */
  uint32_t version;              /* of the newest write */
  view views[VIEWS_MAX];
  walk walks[WALKS_MAX];
  nacre_load *load; /* NULL: none under way */
  map_state loaded; /* what it holds: 0 where it has nothing */
  uint64_t loaded_expires_ms[MAP_KEYS];
  size_t load_next; /* the first key that it may take */
  uint8_t *value, *expected;
  uint64_t operation; /* for messages */
} session;

/* The wall clock of all stores. It only goes forward, so what has expired is forgotten for good. */
static _Atomic uint64_t clock_ms = 1000000; /* workers look at it, too */

static uint64_t model_wall_ms(void *context) {
  (void)context;
  return clock_ms;
}

static void forget_expired(session *s) {
  for (size_t i = 0; i < MAP_KEYS; i++) {
    if (s->expires_ms[i] != 0 && s->expires_ms[i] <= clock_ms) s->now.versions[i] = 0;
  }
}

static bool expect_status(const session *s, nacre_status status, nacre_status expected, const char *what) {
  nacre_error error = {0};
  if (status != expected) nacre_last_error(&error);
  return CHECK(status == expected, "session %u, operation %llu: %s: %s instead of %s (%s)", s->number,
               (unsigned long long)s->operation, what, nacre_status_name(status), nacre_status_name(expected),
               error.text);
}

static size_t draw(session *s, size_t bound) { return (size_t)test_random_below(&s->random, bound); }

/* ---- opening and closing ------------------------------------------------------------------------------- */

static void open_store(session *s, bool create, bool read_only) {
  static const uint64_t memtables[] = {64 * 1024, 64 * 1024, 300 * 1024},
                        caches[] = {NACRE_NONE, 16 * 1024, 0};
  static const uint32_t workers[] = {UINT32_MAX, 0, 1};
  static nacre_io io;
  io = *nacre_io_posix();
  io.wall_ms = model_wall_ms;
  nacre_store_options options = {
      .io = &io,
      .create = create,
      .read_only = read_only,
      .default_key = {.uri = s->key_uri},
      .memtable_bytes = memtables[draw(s, 3)],
      .cache_bytes = caches[draw(s, 3)],
      .open_files_max = draw(s, 2) == 0 ? 16 : 0,
      .workers = workers[draw(s, 3)],
  };
  if (!expect_status(s, nacre_open(s->store_path, &options, &s->store), NACRE_OK, "open"))
    test_die("cannot go on");
}

static void open_table(session *s) {
  if (!expect_status(s, nacre_table_open(s->store, "model", NULL, &s->table), NACRE_OK, "open the table"))
    test_die("cannot go on");
}

/* Some puts have expired when they are made. */
static uint64_t draw_expiry(session *s) {
  return test_random_chance(&s->random, 6) ? clock_ms + draw(s, 60) : 0;
}

static void create_table(session *s) {
  static const uint32_t blocks[] = {1024, 0, 64 * 1024}, filters[] = {0, UINT32_MAX, 20};
  nacre_table_options options = {
      .compression = (nacre_compression)(s->number % 4),
      .block_bytes = blocks[draw(s, 3)],
      .filter_bits_per_key = filters[draw(s, 3)],
      .large_value_bytes = draw(s, 4) == 0 ? 0 : 4096,
      .segment_bytes = draw(s, 4) != 0 ? 0 : NACRE_SEGMENT_BYTES_MIN,
      .level_ratio = draw(s, 2) == 0 ? 0 : NACRE_LEVEL_RATIO_MIN,
  };
  if (!expect_status(s, nacre_table_create(s->store, "model", &options, &s->table), NACRE_OK,
                     "create the table"))
    test_die("cannot go on");
}

static void release_views(session *s) {
  for (size_t i = 0; i < VIEWS_MAX; i++) {
    nacre_snapshot_release(s->views[i].snapshot);
    s->views[i].snapshot = NULL;
  }
  for (size_t i = 0; i < WALKS_MAX; i++) {
    nacre_iter_close(s->walks[i].iter);
    s->walks[i].iter = NULL;
  }
}

/* ---- bulk loads ---------------------------------------------------------------------------------------- */

static void end_load(session *s, bool commit) {
  if (s->load == NULL) return;
  if (!commit) {
    nacre_load_abort(s->load);
  } else if (expect_status(s, nacre_load_commit(s->load), NACRE_OK, "commit a load")) {
    for (size_t i = 0; i < MAP_KEYS; i++) {
      if (s->loaded.versions[i] == 0) continue;
      s->now.versions[i] = s->loaded.versions[i];
      s->expires_ms[i] = s->loaded_expires_ms[i];
    }
    forget_expired(s);
  }
  s->load = NULL;
}

/* A load lives on across whatever else is done. */
static void go_on_with_load(session *s) {
  if (s->load == NULL) {
    expect_status(s, nacre_load_begin(s->table, NULL, &s->load), NACRE_OK, "begin a load");
    s->loaded = (map_state){0};
    s->load_next = draw(s, MAP_KEYS / 2);
  }
  for (size_t count = draw(s, 200); count > 0 && s->load_next < MAP_KEYS; count--) {
    size_t i = s->load_next;
    nacre_slice value = {s->value, map_value(&s->keys, i, ++s->version, s->value)};
    s->loaded_expires_ms[i] = draw_expiry(s);
    if (expect_status(s, nacre_load_put_expiring(s->load, s->keys.keys[i], value, s->loaded_expires_ms[i]),
                      NACRE_OK, "put to a load"))
      s->loaded.versions[i] = s->version;
    expect_status(s, nacre_load_put(s->load, s->keys.keys[draw(s, i + 1)], value), NACRE_INVALID,
                  "put a lower key to a load");
    s->load_next += 1 + draw(s, 3);
  }
  if (test_random_chance(&s->random, 3)) end_load(s, !test_random_chance(&s->random, 4));
}

static bool has_views(const session *s) {
  bool any = false;
  for (size_t i = 0; i < VIEWS_MAX; i++) any |= s->views[i].snapshot != NULL;
  for (size_t i = 0; i < WALKS_MAX; i++) any |= s->walks[i].iter != NULL;
  return any || s->load != NULL;
}

static void close_store(session *s) {
  expect_status(s, nacre_close(s->store), NACRE_BUSY, "close a store with an open table");
  if (has_views(s)) expect_status(s, nacre_table_close(s->table), NACRE_BUSY, "close a table with views");
  release_views(s);
  end_load(s, draw(s, 2) == 0);
  expect_status(s, nacre_table_close(s->table), NACRE_OK, "close the table");
  expect_status(s, nacre_close(s->store), NACRE_OK, "close");
  s->table = NULL;
  s->store = NULL;
}

/* ---- writing ------------------------------------------------------------------------------------------- */

static nacre_write_options draw_write_options(session *s) {
  return (nacre_write_options){.sync = test_random_chance(&s->random, 300)};
}

/* Half of the operations go to a twentieth of the keys, so that keys have many versions. */
static size_t draw_index(session *s) {
  return draw(s, test_random_chance(&s->random, 2) ? MAP_KEYS / 20 : MAP_KEYS);
}

static void put(session *s) {
  size_t i = draw_index(s);
  nacre_write_options options = draw_write_options(s);
  options.expire_at_ms = draw_expiry(s);
  nacre_slice value = {s->value, map_value(&s->keys, i, ++s->version, s->value)};
  if (expect_status(s, nacre_put(s->table, s->keys.keys[i], value, &options), NACRE_OK, "put"))
    s->now.versions[i] = s->version;
  s->expires_ms[i] = options.expire_at_ms;
  forget_expired(s);
}

static void delete (session *s) {
  size_t i = draw_index(s);
  nacre_write_options options = draw_write_options(s);
  if (expect_status(s, nacre_delete(s->table, s->keys.keys[i], &options), NACRE_OK, "delete"))
    s->now.versions[i] = 0;
}

/* Mostly few keys, sometimes many, sometimes none: an end may lie before the beginning. */
static void draw_range(session *s, size_t *ret_from, size_t *ret_to) {
  size_t from = draw_index(s);
  size_t count = draw(s, test_random_chance(&s->random, 10) ? MAP_KEYS : 12);
  *ret_from = from;
  *ret_to = test_random_chance(&s->random, 12) ? draw(s, from + 1)
            : from + count < MAP_KEYS          ? from + count
                                               : MAP_KEYS - 1;
}

static void forget_range(map_state *state, size_t from, size_t to) {
  for (size_t i = from; i < to; i++) state->versions[i] = 0;
}

static void delete_range(session *s) {
  size_t from, to;
  nacre_write_options options = draw_write_options(s);
  draw_range(s, &from, &to);
  if (expect_status(s, nacre_delete_range(s->table, s->keys.keys[from], s->keys.keys[to], &options), NACRE_OK,
                    "delete a range"))
    forget_range(&s->now, from, to);
}

static void add_range(session *s, nacre_batch *batch, map_state *after) {
  size_t from, to, before = nacre_batch_count(batch);
  draw_range(s, &from, &to);
  expect_status(s, nacre_batch_delete_range(batch, s->keys.keys[from], s->keys.keys[to]), NACRE_OK,
                "add a range to a batch");
  CHECK(nacre_batch_count(batch) == before + (from < to), "session %u: an empty range counts", s->number);
  forget_range(after, from, to);
}

/* What a write comes to that expects a key to be as a snapshot has it, or absent. Versions never come again, so two
 * equal ones mean that nobody wrote; of a key that is absent now it is not known whether a write or the clock
 * took it away. */
typedef struct expectation {
  bool conflicts, unknown;
} expectation;

static void add_expectation(session *s, nacre_batch *batch, expectation *e) {
  const view *v = &s->views[draw(s, VIEWS_MAX)];
  size_t i = draw_index(s);
  uint32_t now = s->now.versions[i], then = v->snapshot == NULL ? 0 : v->state.versions[i];
  if (now == 0 && v->snapshot != NULL) {
    e->unknown = true;
  } else {
    e->conflicts = e->conflicts || now != then;
  }
  expect_status(s, nacre_batch_expect(batch, s->keys.keys[i], v->snapshot), NACRE_OK, "expect a key");
}

/* True: it was written. */
static bool write_expecting(session *s, const nacre_batch *batch, const nacre_write_options *options,
                            const expectation *e) {
  nacre_status status = nacre_write(s->table, batch, options);
  if (e->unknown && !e->conflicts && status == NACRE_CONFLICT) return false;
  return expect_status(s, status, e->conflicts ? NACRE_CONFLICT : NACRE_OK, "write a batch") && !e->conflicts;
}

/* Later entries of a batch win over earlier ones with the same key. */
static void write_batch(session *s) {
  nacre_batch *batch = NULL;
  map_state after = s->now;
  uint64_t expires_ms[MAP_KEYS];
  expectation expected = {0};
  size_t count = draw(s, BATCH_MAX);
  nacre_write_options options = draw_write_options(s);
  memcpy(expires_ms, s->expires_ms, sizeof expires_ms);
  expect_status(s, nacre_batch_create(&batch), NACRE_OK, "create a batch");
  for (size_t k = 0; k < count; k++) {
    size_t i = draw_index(s);
    bool removes = test_random_chance(&s->random, 3);
    if (test_random_chance(&s->random, 40)) add_range(s, batch, &after);
    after.versions[i] = removes ? 0 : ++s->version;
    expires_ms[i] = removes ? 0 : draw_expiry(s);
    nacre_slice value = {s->value, removes ? 0 : map_value(&s->keys, i, s->version, s->value)};
    nacre_status status = removes ? nacre_batch_delete(batch, s->keys.keys[i])
                                  : nacre_batch_put_expiring(batch, s->keys.keys[i], value, expires_ms[i]);
    expect_status(s, status, NACRE_OK, "add to a batch");
  }
  CHECK(nacre_batch_count(batch) >= count, "session %u: a batch counts wrong", s->number);
  while (test_random_chance(&s->random, 3)) add_expectation(s, batch, &expected);
  if (write_expecting(s, batch, &options, &expected)) {
    s->now = after;
    memcpy(s->expires_ms, expires_ms, sizeof expires_ms);
    forget_expired(s);
  }
  nacre_batch_destroy(batch);
}

/* ---- reading ------------------------------------------------------------------------------------------- */

/* The newest state, or one of the snapshots. */
static const map_state *draw_view(session *s, nacre_read_options *options) {
  const view *v = &s->views[draw(s, VIEWS_MAX)];
  bool old = v->snapshot != NULL && test_random_chance(&s->random, 3);
  *options = (nacre_read_options){.snapshot = old ? v->snapshot : NULL,
                                  .no_cache_fill = test_random_chance(&s->random, 8)};
  return old ? &v->state : &s->now;
}

static void check_value(const session *s, size_t i, uint32_t version, nacre_slice value, const char *what) {
  CHECK(map_value_is(&s->keys, i, version, value, s->expected),
        "session %u, operation %llu: %s: key %zu has another value than version %u", s->number,
        (unsigned long long)s->operation, what, i, version);
}

static void get(session *s) {
  nacre_read_options options;
  const map_state *state = draw_view(s, &options);
  size_t i = draw_index(s);
  uint32_t version = state->versions[i];
  nacre_value value = {0};
  nacre_status status = nacre_get(s->table, s->keys.keys[i], &options, &value);
  if (expect_status(s, status, version > 0 ? NACRE_OK : NACRE_NOT_FOUND, "get") && version > 0)
    check_value(s, i, version, (nacre_slice){value.data, value.size}, "get");
  nacre_value_release(&value);
}

/* A key that nobody ever wrote. */
static void get_unknown(session *s) {
  uint8_t bytes[16];
  size_t size = draw(s, sizeof bytes);
  nacre_value value = {0};
  test_random_fill(&s->random, bytes, size);
  nacre_slice key = {bytes, size};
  size_t i = map_lower_bound(&s->keys, key);
  if (i < MAP_KEYS && map_compare(s->keys.keys[i], key) == 0) return;
  expect_status(s, nacre_get(s->table, key, NULL, &value), NACRE_NOT_FOUND, "get of an unknown key");
}

static void get_into(session *s) {
  nacre_read_options options;
  const map_state *state = draw_view(s, &options);
  size_t i = draw_index(s), size = 0;
  uint32_t version = state->versions[i];
  size_t capacity = test_random_chance(&s->random, 4) ? draw(s, 200) : MAP_VALUE_BYTES_MAX;
  size_t expected_size = version > 0 ? map_value_size(&s->keys, i, version) : 0;
  nacre_status expected = version == 0               ? NACRE_NOT_FOUND
                          : expected_size > capacity ? NACRE_TOO_LARGE
                                                     : NACRE_OK;
  nacre_status status = nacre_get_into(s->table, s->keys.keys[i], &options, s->value, capacity, &size);
  if (!expect_status(s, status, expected, "get_into")) return;
  CHECK(size == expected_size, "session %u: get_into says %zu bytes instead of %zu", s->number, size,
        expected_size);
  if (status == NACRE_OK) check_value(s, i, version, (nacre_slice){s->value, size}, "get_into");
}

static void multi_get(session *s) {
  nacre_slice keys[MULTI_MAX];
  nacre_value values[MULTI_MAX];
  nacre_status statuses[MULTI_MAX];
  size_t indexes[MULTI_MAX], count = draw(s, MULTI_MAX);
  nacre_read_options options;
  const map_state *state = draw_view(s, &options);
  for (size_t k = 0; k < count; k++) {
    indexes[k] = draw_index(s);
    keys[k] = s->keys.keys[indexes[k]];
  }
  expect_status(s, nacre_multi_get(s->table, count, keys, &options, values, statuses), NACRE_OK, "multi_get");
  for (size_t k = 0; k < count; k++) {
    uint32_t version = state->versions[indexes[k]];
    if (expect_status(s, statuses[k], version > 0 ? NACRE_OK : NACRE_NOT_FOUND, "multi_get of a key") &&
        version > 0)
      check_value(s, indexes[k], version, (nacre_slice){values[k].data, values[k].size}, "multi_get");
    nacre_value_release(&values[k]);
  }
}

/* ---- snapshots and iterators --------------------------------------------------------------------------- */

static void change_view(session *s) {
  clock_ms += draw(s, 12);
  forget_expired(s);
  view *v = &s->views[draw(s, VIEWS_MAX)];
  nacre_snapshot_release(v->snapshot);
  v->snapshot = NULL;
  if (test_random_chance(&s->random, 3)) return;
  v->state = s->now;
  expect_status(s, nacre_snapshot_take(s->table, &v->snapshot), NACRE_OK, "take a snapshot");
}

static void open_walk(session *s, walk *w) {
  nacre_read_options options;
  nacre_iter_close(w->iter);
  w->iter = NULL;
  w->state = *draw_view(s, &options);
  w->expected = (map_iter){.state = &w->state, .lower = 0, .upper = MAP_KEYS, .at = MAP_KEYS};
  if (test_random_chance(&s->random, 3)) options.lower = s->keys.keys[w->expected.lower = draw(s, MAP_KEYS)];
  if (test_random_chance(&s->random, 3)) {
    w->expected.upper = w->expected.lower + draw(s, MAP_KEYS - w->expected.lower);
    options.upper_excluded = s->keys.keys[w->expected.upper];
  }
  expect_status(s, nacre_iter_open(s->table, &options, &w->iter), NACRE_OK, "open an iterator");
}

/* To a known key, or to bytes that are perhaps none. */
static void seek(session *s, walk *w, bool back) {
  uint8_t bytes[8];
  nacre_slice key = s->keys.keys[draw(s, MAP_KEYS)];
  if (test_random_chance(&s->random, 2)) {
    key = (nacre_slice){bytes, draw(s, sizeof bytes)};
    for (size_t i = 0; i < key.size; i++) bytes[i] = (uint8_t)("abcdp\0\xff"[draw(s, 7)]);
  }
  size_t index = map_lower_bound(&s->keys, key);
  if (back) {
    bool hit = index < MAP_KEYS && map_compare(s->keys.keys[index], key) == 0;
    nacre_iter_seek_back(w->iter, key);
    map_iter_seek_back(&w->expected, index + hit);
  } else {
    nacre_iter_seek(w->iter, key);
    map_iter_seek(&w->expected, index);
  }
}

static const char *move(session *s, walk *w) {
  switch (draw(s, 14)) {
    case 0:
      nacre_iter_first(w->iter);
      map_iter_seek(&w->expected, 0);
      return "first";
    case 1:
      nacre_iter_last(w->iter);
      map_iter_seek_back(&w->expected, MAP_KEYS);
      return "last";
    case 2:
      seek(s, w, false);
      return "seek";
    case 3:
      seek(s, w, true);
      return "seek_back";
    case 4:
    case 5:
    case 6:
    case 7:
      nacre_iter_prev(w->iter);
      map_iter_prev(&w->expected);
      return "prev";
    default:
      nacre_iter_next(w->iter);
      map_iter_next(&w->expected);
      return "next";
  }
}

static bool check_position(const session *s, const walk *w, const char *what) {
  bool valid = nacre_iter_valid(w->iter);
  if (!expect_status(s, nacre_iter_status(w->iter), NACRE_OK, "iterate") ||
      !CHECK(valid == (w->expected.at < MAP_KEYS),
             "session %u, operation %llu: after %s the iterator is %s, the model at %zu", s->number,
             (unsigned long long)s->operation, what, valid ? "valid" : "invalid", w->expected.at))
    return false;
  nacre_slice key = nacre_iter_key(w->iter);
  if (!valid)
    return CHECK(key.size == 0 && nacre_iter_value(w->iter).size == 0, "an invalid iterator has an entry");
  if (!CHECK(map_compare(key, s->keys.keys[w->expected.at]) == 0,
             "session %u, operation %llu: after %s the iterator stands at key %zu, the model at %zu",
             s->number, (unsigned long long)s->operation, what, map_lower_bound(&s->keys, key),
             w->expected.at))
    return false;
  check_value(s, w->expected.at, w->state.versions[w->expected.at], nacre_iter_value(w->iter), what);
  return true;
}

static void go_for_a_walk(session *s) {
  walk *w = &s->walks[draw(s, WALKS_MAX)];
  if (w->iter == NULL || test_random_chance(&s->random, 3)) open_walk(s, w);
  for (size_t i = draw(s, WALK_MOVES); i > 0 && w->iter != NULL; i--) {
    if (!check_position(s, w, move(s, w))) {
      nacre_iter_close(w->iter);
      w->iter = NULL;
    }
  }
}

/* The whole table, forwards. */
static void check_everything(session *s) {
  nacre_iter *iter = NULL;
  map_iter expected = {.state = &s->now, .upper = MAP_KEYS, .at = MAP_KEYS};
  if (!expect_status(s, nacre_iter_open(s->table, NULL, &iter), NACRE_OK, "open an iterator")) return;
  map_iter_seek(&expected, 0);
  for (nacre_iter_first(iter); nacre_iter_valid(iter); nacre_iter_next(iter), map_iter_next(&expected)) {
    if (!CHECK(expected.at < MAP_KEYS && map_compare(nacre_iter_key(iter), s->keys.keys[expected.at]) == 0,
               "session %u, operation %llu: the table and the model differ at key %zu", s->number,
               (unsigned long long)s->operation, expected.at))
      break;
    check_value(s, expected.at, s->now.versions[expected.at], nacre_iter_value(iter), "whole scan");
  }
  CHECK(expected.at == MAP_KEYS, "session %u, operation %llu: the table ends before key %zu", s->number,
        (unsigned long long)s->operation, expected.at);
  expect_status(s, nacre_iter_status(iter), NACRE_OK, "iterate");
  nacre_iter_close(iter);
}

static void verify(session *s) {
  nacre_verify_report report = {0};
  expect_status(s, nacre_verify(s->table, NULL, &report), NACRE_OK, "verify");
  CHECK(report.fault_count == 0, "session %u: verify finds faults", s->number);
  nacre_faults_free(report.faults);
}

/* ---- care ---------------------------------------------------------------------------------------------- */

static void read_only_visit(session *s) {
  close_store(s);
  open_store(s, false, true);
  open_table(s);
  expect_status(s, nacre_put(s->table, s->keys.keys[0], (nacre_slice){"x", 1}, NULL), NACRE_READ_ONLY,
                "put, read-only");
  check_everything(s);
  verify(s);
  for (int i = 0; i < 50; i++) {
    get(s);
    go_for_a_walk(s);
  }
  close_store(s);
  open_store(s, false, false);
  open_table(s);
}

/* A copy of the store as it is now, whatever is under way: it is what the store is, and whole. */
static void checkpoint(session *s) {
  char own_path[sizeof s->store_path];
  nacre_store *own = s->store;
  nacre_table *own_table = s->table;
  memcpy(own_path, s->store_path, sizeof own_path);
  snprintf(s->store_path, sizeof s->store_path, "%.290s-copy", own_path);
  if (expect_status(s, nacre_checkpoint(own, s->store_path, NULL, NULL), NACRE_OK, "checkpoint")) {
    open_store(s, false, draw(s, 2) == 0);
    open_table(s);
    check_everything(s);
    verify(s);
    expect_status(s, nacre_table_close(s->table), NACRE_OK, "close the copied table");
    expect_status(s, nacre_close(s->store), NACRE_OK, "close the copy");
  }
  test_scratch_remove(s->store_path);
  memcpy(s->store_path, own_path, sizeof own_path);
  s->store = own;
  s->table = own_table;
}

static void reopen(session *s) {
  close_store(s);
  open_store(s, false, false);
  open_table(s);
  check_everything(s);
}

static void compact(session *s) {
  nacre_slice from = {NULL, 0}, to = {NULL, 0};
  size_t low = draw(s, MAP_KEYS), high = low + draw(s, MAP_KEYS - low);
  if (test_random_chance(&s->random, 2)) from = s->keys.keys[low];
  if (test_random_chance(&s->random, 2)) to = s->keys.keys[high];
  expect_status(s, nacre_compact(s->table, from, to), NACRE_OK, "compact");
}

/* Most changes are not waited for: the rest of the session goes on beside the rewrap, or over what it left. */
static void change_key(session *s) {
  char uri[sizeof s->key_uri + 8];
  snprintf(uri, sizeof uri, "%s%s", s->key_uri, test_random_chance(&s->random, 2) ? "" : "-other");
  nacre_key_spec spec = {.uri = uri};
  if (test_random_chance(&s->random, 2))
    expect_status(s, nacre_table_rotate(s->table), NACRE_OK, "rotate");
  else
    expect_status(s, nacre_table_set_key(s->table, &spec, 1), NACRE_OK, "set_key");
  if (test_random_chance(&s->random, 4))
    expect_status(s, nacre_table_rewrap_wait(s->table, NULL), NACRE_OK, "wait for the rewrap");
}

static void one_operation(session *s) {
  uint64_t dice = test_random_below(&s->random, 10000);
  if (dice < 2)
    read_only_visit(s);
  else if (dice < 8)
    reopen(s);
  else if (dice < 12)
    verify(s);
  else if (dice < 30)
    expect_status(s, nacre_flush(s->table), NACRE_OK, "flush");
  else if (dice < 40)
    compact(s);
  else if (dice < 45)
    expect_status(s, nacre_wait_idle(s->table), NACRE_OK, "wait until idle");
  else if (dice < 48)
    change_key(s);
  else if (dice < 60)
    expect_status(s, nacre_sync(s->table), NACRE_OK, "sync");
  else if (dice < 66)
    go_on_with_load(s);
  else if (dice < 67)
    checkpoint(s);
  else if (dice < 200)
    change_view(s);
  else if (dice < 700)
    go_for_a_walk(s);
  else if (dice < 1000)
    multi_get(s);
  else if (dice < 1500)
    get_into(s);
  else if (dice < 1700)
    get_unknown(s);
  else if (dice < 4000)
    get(s);
  else if (dice < 5000)
    write_batch(s);
  else if (dice < 6900)
    delete (s);
  else if (dice < 7000)
    delete_range(s);
  else
    put(s);
}

static void run_session(unsigned number, uint64_t seed, uint64_t operations, const char *scratch) {
  session *s = test_alloc(sizeof *s);
  char name[32];
  s->number = number;
  s->random.state = test_mix(seed, number);
  s->value = test_alloc(MAP_VALUE_BYTES_MAX);
  s->expected = test_alloc(MAP_VALUE_BYTES_MAX);
  snprintf(name, sizeof name, "store-%u", number);
  test_path(s->store_path, sizeof s->store_path, scratch, name);
  test_key_uri(s->key_uri, sizeof s->key_uri, scratch);
  map_keys_init(&s->keys, test_random_next(&s->random));
  open_store(s, true, false);
  create_table(s);
  for (s->operation = 0; s->operation < operations && test_failures() < 50; s->operation++) one_operation(s);
  reopen(s);
  verify(s);
  close_store(s);
  map_keys_deinit(&s->keys);
  free(s->value);
  free(s->expected);
  test_scratch_remove(s->store_path);
  free(s);
}

int main(void) {
  char scratch[200];
  double started = test_seconds();
  uint64_t seed = test_seed("model", 20260103);
  uint64_t operations = test_env_number("NACRE_MODEL_OPS", 200000);
  test_scratch_make(scratch, sizeof scratch, "model");
  for (unsigned i = 0; i < SESSIONS && test_failures() == 0; i++)
    run_session(i, seed, operations / SESSIONS, scratch);
  printf("model: %llu operations in %d sessions, %llu differences; %.1f s, seed %llu\n",
         (unsigned long long)operations, SESSIONS, (unsigned long long)test_failures(),
         test_seconds() - started, (unsigned long long)seed);
  test_scratch_remove(scratch);
  return test_finish();
}
