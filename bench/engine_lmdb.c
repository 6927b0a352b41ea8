/* SPDX-License-Identifier: Apache-2.0
 *
 * engine_lmdb: LMDB. Writes go through write(2), not through a writable map (MDB_WRITEMAP): a stray pointer
 * of the program cannot destroy the store then, as with the other engines. MDB_NOSYNC where nothing need be
 * durable. A point read renews the session's read transaction, so that it sees the newest state.
 */
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"

#define MAP_BYTES ((size_t)1 << 36)
enum { READERS_MAX = 256 };

typedef struct store {
  MDB_env *env;
  MDB_dbi table;
} store;

typedef struct session {
  store *store;
  MDB_txn *txn; /* read-only; reset unless `reading` */
  MDB_cursor *cursor;
  bool reading;
} session;

static void check(int error, const char *what) {
  if (error != 0) bench_die("lmdb: %s: %s", what, mdb_strerror(error));
}

static MDB_val val(bench_slice s) {
  union {
    const void *from;
    void *to;
  } data = {s.data}; /* LMDB does not write to it */
  return (MDB_val){s.size, data.to};
}

static void lmdb_describe(char *text, size_t capacity) {
  int major, minor, patch;
  mdb_version(&major, &minor, &patch);
  snprintf(text, capacity, "%d.%d.%d", major, minor, patch);
}

static void *lmdb_open(const char *directory, bool create, bool sync) {
  (void)create;
  store *s = calloc(1, sizeof *s);
  MDB_txn *txn;
  if (s == NULL) bench_die("no memory");
  check(mdb_env_create(&s->env), "create");
  check(mdb_env_set_mapsize(s->env, MAP_BYTES), "map size");
  check(mdb_env_set_maxreaders(s->env, READERS_MAX), "readers");
  check(mdb_env_open(s->env, directory, MDB_NOTLS | (sync ? 0 : MDB_NOSYNC), 0600), "open");
  check(mdb_txn_begin(s->env, NULL, 0, &txn), "begin");
  check(mdb_dbi_open(txn, NULL, 0, &s->table), "open the table");
  check(mdb_txn_commit(txn), "commit");
  return s;
}

static void lmdb_close(void *opened) {
  store *s = opened;
  mdb_env_close(s->env);
  free(s);
}

static double lmdb_settle(void *opened) {
  (void)opened; /* it has no background work */
  return 0;
}

static void *lmdb_session_open(void *opened) {
  session *s = calloc(1, sizeof *s);
  if (s == NULL) bench_die("no memory");
  s->store = opened;
  check(mdb_txn_begin(s->store->env, NULL, MDB_RDONLY, &s->txn), "begin");
  check(mdb_cursor_open(s->txn, s->store->table, &s->cursor), "cursor");
  mdb_txn_reset(s->txn);
  return s;
}

static void stop_reading(session *s) {
  if (s->reading) mdb_txn_reset(s->txn);
  s->reading = false;
}

static void start_reading(session *s) {
  stop_reading(s);
  check(mdb_txn_renew(s->txn), "renew");
  s->reading = true;
}

static void lmdb_session_close(void *opened) {
  session *s = opened;
  stop_reading(s);
  mdb_cursor_close(s->cursor);
  mdb_txn_abort(s->txn);
  free(s);
}

static void lmdb_write(void *opened, const bench_pair *pairs, size_t count) {
  session *s = opened;
  MDB_txn *txn;
  stop_reading(s);
  check(mdb_txn_begin(s->store->env, NULL, 0, &txn), "begin");
  for (size_t i = 0; i < count; i++) {
    MDB_val key = val(pairs[i].key), value = val(pairs[i].value);
    check(mdb_put(txn, s->store->table, &key, &value, 0), "put");
  }
  check(mdb_txn_commit(txn), "commit");
}

static void lmdb_put(void *opened, bench_slice key, bench_slice value) {
  bench_pair pair = {key, value};
  lmdb_write(opened, &pair, 1);
}

static bool lmdb_get(void *opened, bench_slice key, bench_slice *ret_value) {
  session *s = opened;
  MDB_val k = val(key), v;
  start_reading(s);
  int error = mdb_get(s->txn, s->store->table, &k, &v);
  if (error == MDB_NOTFOUND) return false;
  check(error, "get");
  *ret_value = (bench_slice){v.mv_data, v.mv_size};
  return true;
}

static bool move(session *s, MDB_val *key, MDB_cursor_op op, bench_pair *ret_pair) {
  MDB_val value;
  int error = mdb_cursor_get(s->cursor, key, &value, op);
  if (error == MDB_NOTFOUND) return false;
  check(error, "iterate");
  *ret_pair = (bench_pair){{key->mv_data, key->mv_size}, {value.mv_data, value.mv_size}};
  return true;
}

static bool lmdb_seek(void *opened, bench_slice key, bench_pair *ret_pair) {
  session *s = opened;
  MDB_val k = val(key);
  start_reading(s);
  check(mdb_cursor_renew(s->txn, s->cursor), "cursor");
  return move(s, &k, MDB_SET_RANGE, ret_pair);
}

static bool lmdb_next(void *opened, bench_pair *ret_pair) {
  MDB_val key;
  return move(opened, &key, MDB_NEXT, ret_pair);
}

static void lmdb_leave(void *opened) { stop_reading(opened); }

const bench_engine bench_lmdb = {
    .name = "lmdb",
    .options = "MDB_NOSYNC, no MDB_WRITEMAP; no compression, filter or cache of its own",
    .version = lmdb_describe,
    .open = lmdb_open,
    .close = lmdb_close,
    .settle = lmdb_settle,
    .session_open = lmdb_session_open,
    .session_close = lmdb_session_close,
    .put = lmdb_put,
    .write = lmdb_write,
    .get = lmdb_get,
    .seek = lmdb_seek,
    .next = lmdb_next,
    .leave = lmdb_leave};
