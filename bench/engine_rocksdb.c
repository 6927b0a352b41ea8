/* SPDX-License-Identifier: Apache-2.0
 *
 * engine_rocksdb: RocksDB through its C API. Beyond the sizes that all engines share, its defaults.
 */
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine.h"

typedef struct store {
  rocksdb_t *db;
  rocksdb_options_t *options;
  rocksdb_writeoptions_t *write;
  rocksdb_readoptions_t *read;
  rocksdb_cache_t *cache;
} store;

typedef struct session {
  store *store;
  rocksdb_writebatch_t *batch;
  rocksdb_pinnableslice_t *value;
  rocksdb_iterator_t *iter;
} session;

static void check(const char *error, const char *what) {
  if (error != NULL) bench_die("rocksdb: %s: %s", what, error);
}

static void rocks_describe(char *text, size_t capacity) { snprintf(text, capacity, "%s", BENCH_ROCKSDB); }

static rocksdb_options_t *make_options(rocksdb_cache_t *cache, bool create) {
  rocksdb_block_based_table_options_t *blocks = rocksdb_block_based_options_create();
  rocksdb_block_based_options_set_block_cache(blocks, cache);
  rocksdb_block_based_options_set_filter_policy(blocks,
                                                rocksdb_filterpolicy_create_bloom_full(BENCH_FILTER_BITS));
  rocksdb_options_t *options = rocksdb_options_create();
  rocksdb_options_set_create_if_missing(options, create);
  rocksdb_options_set_write_buffer_size(options, BENCH_MEMTABLE_BYTES);
  rocksdb_options_set_compression(options, rocksdb_lz4_compression);
  rocksdb_options_set_block_based_table_factory(options, blocks);
  rocksdb_block_based_options_destroy(blocks);
  return options;
}

static void *rocks_open(const char *directory, bool create, bool sync) {
  store *s = calloc(1, sizeof *s);
  char *error = NULL;
  if (s == NULL) bench_die("no memory");
  s->cache = rocksdb_cache_create_lru(BENCH_CACHE_BYTES);
  s->options = make_options(s->cache, create);
  s->write = rocksdb_writeoptions_create();
  rocksdb_writeoptions_set_sync(s->write, sync);
  s->read = rocksdb_readoptions_create();
  s->db = rocksdb_open(s->options, directory, &error);
  check(error, "open");
  return s;
}

static void rocks_close(void *opened) {
  store *s = opened;
  rocksdb_close(s->db);
  rocksdb_readoptions_destroy(s->read);
  rocksdb_writeoptions_destroy(s->write);
  rocksdb_options_destroy(s->options);
  rocksdb_cache_destroy(s->cache);
  free(s);
}

static bool is_busy(rocksdb_t *db) {
  static const char *const counts[] = {"rocksdb.mem-table-flush-pending", "rocksdb.num-running-flushes",
                                       "rocksdb.compaction-pending", "rocksdb.num-running-compactions"};
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    uint64_t count = 0;
    if (rocksdb_property_int(db, counts[i], &count) != 0) bench_die("rocksdb: no property %s", counts[i]);
    if (count > 0) return true;
  }
  return false;
}

/* Idle is what looks so five times in a row: between a flush and the compaction that it causes, nothing runs.
 * */
static double rocks_settle(void *opened) {
  store *s = opened;
  struct timespec rest = {0, 4000000};
  int looks = 0;
  for (; looks < 5; looks = is_busy(s->db) ? 0 : looks + 1) nanosleep(&rest, NULL);
  return 5 * 0.004;
}

static void *rocks_session_open(void *opened) {
  session *s = calloc(1, sizeof *s);
  if (s == NULL) bench_die("no memory");
  s->store = opened;
  s->batch = rocksdb_writebatch_create();
  return s;
}

static void drop_value(session *s) {
  if (s->value != NULL) rocksdb_pinnableslice_destroy(s->value);
  s->value = NULL;
}

static void rocks_session_close(void *opened) {
  session *s = opened;
  drop_value(s);
  rocksdb_writebatch_destroy(s->batch);
  free(s);
}

static void rocks_put(void *opened, bench_slice key, bench_slice value) {
  session *s = opened;
  char *error = NULL;
  rocksdb_put(s->store->db, s->store->write, key.data, key.size, value.data, value.size, &error);
  check(error, "put");
}

static void rocks_write(void *opened, const bench_pair *pairs, size_t count) {
  session *s = opened;
  char *error = NULL;
  rocksdb_writebatch_clear(s->batch);
  for (size_t i = 0; i < count; i++)
    rocksdb_writebatch_put(s->batch, pairs[i].key.data, pairs[i].key.size, pairs[i].value.data,
                           pairs[i].value.size);
  rocksdb_write(s->store->db, s->store->write, s->batch, &error);
  check(error, "write");
}

static bool rocks_get(void *opened, bench_slice key, bench_slice *ret_value) {
  session *s = opened;
  char *error = NULL;
  drop_value(s);
  s->value = rocksdb_get_pinned(s->store->db, s->store->read, key.data, key.size, &error);
  check(error, "get");
  if (s->value == NULL) return false;
  ret_value->data = rocksdb_pinnableslice_value(s->value, &ret_value->size);
  return true;
}

static bool pair_of(const rocksdb_iterator_t *iter, bench_pair *ret_pair) {
  if (!rocksdb_iter_valid(iter)) {
    char *error = NULL;
    rocksdb_iter_get_error(iter, &error);
    check(error, "iterate");
    return false;
  }
  ret_pair->key.data = rocksdb_iter_key(iter, &ret_pair->key.size);
  ret_pair->value.data = rocksdb_iter_value(iter, &ret_pair->value.size);
  return true;
}

static bool rocks_seek(void *opened, bench_slice key, bench_pair *ret_pair) {
  session *s = opened;
  s->iter = rocksdb_create_iterator(s->store->db, s->store->read);
  rocksdb_iter_seek(s->iter, key.data, key.size);
  return pair_of(s->iter, ret_pair);
}

static bool rocks_next(void *opened, bench_pair *ret_pair) {
  session *s = opened;
  rocksdb_iter_next(s->iter);
  return pair_of(s->iter, ret_pair);
}

static void rocks_leave(void *opened) {
  session *s = opened;
  rocksdb_iter_destroy(s->iter);
  s->iter = NULL;
}

const bench_engine bench_rocksdb = {.name = "rocksdb",
                                    .options = "LZ4",
                                    .version = rocks_describe,
                                    .open = rocks_open,
                                    .close = rocks_close,
                                    .settle = rocks_settle,
                                    .session_open = rocks_session_open,
                                    .session_close = rocks_session_close,
                                    .put = rocks_put,
                                    .write = rocks_write,
                                    .get = rocks_get,
                                    .seek = rocks_seek,
                                    .next = rocks_next,
                                    .leave = rocks_leave};
