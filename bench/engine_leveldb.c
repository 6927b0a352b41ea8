/* SPDX-License-Identifier: Apache-2.0
 *
 * engine_leveldb: LevelDB through its C API. Beyond the sizes that all engines share, its defaults.
 */
#include <leveldb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine.h"
#include "meter.h"

typedef struct store {
  leveldb_t *db;
  leveldb_options_t *options;
  leveldb_writeoptions_t *write;
  leveldb_readoptions_t *read;
  leveldb_cache_t *cache;
  leveldb_filterpolicy_t *filter;
} store;

typedef struct session {
  store *store;
  leveldb_writebatch_t *batch;
  char *value;
  leveldb_iterator_t *iter;
} session;

static void check(const char *error, const char *what) {
  if (error != NULL) bench_die("leveldb: %s: %s", what, error);
}

static void level_describe(char *text, size_t capacity) {
  snprintf(text, capacity, "%d.%d", leveldb_major_version(), leveldb_minor_version());
}

static void *level_open(const char *directory, bool create, bool sync) {
  store *s = calloc(1, sizeof *s);
  char *error = NULL;
  if (s == NULL) bench_die("no memory");
  s->cache = leveldb_cache_create_lru(BENCH_CACHE_BYTES);
  s->filter = leveldb_filterpolicy_create_bloom(BENCH_FILTER_BITS);
  s->options = leveldb_options_create();
  leveldb_options_set_create_if_missing(s->options, create);
  leveldb_options_set_write_buffer_size(s->options, BENCH_MEMTABLE_BYTES);
  leveldb_options_set_cache(s->options, s->cache);
  leveldb_options_set_filter_policy(s->options, s->filter);
  leveldb_options_set_compression(s->options, leveldb_snappy_compression);
  s->write = leveldb_writeoptions_create();
  leveldb_writeoptions_set_sync(s->write, sync);
  s->read = leveldb_readoptions_create();
  s->db = leveldb_open(s->options, directory, &error);
  check(error, "open");
  return s;
}

static void level_close(void *opened) {
  store *s = opened;
  leveldb_close(s->db);
  leveldb_readoptions_destroy(s->read);
  leveldb_writeoptions_destroy(s->write);
  leveldb_options_destroy(s->options);
  leveldb_filterpolicy_destroy(s->filter);
  leveldb_cache_destroy(s->cache);
  free(s);
}

/* LevelDB does not tell whether it is compacting: what tells is that the process neither computes nor writes.
 * */
static double level_settle(void *opened) {
  (void)opened;
  struct timespec rest = {0, 20000000};
  bench_meter last = bench_meter_read();
  double active = last.wall_s;
  for (;;) {
    nanosleep(&rest, NULL);
    bench_meter now = bench_meter_read();
    if (now.cpu_s - last.cpu_s > 0.001 || now.written_bytes != last.written_bytes) active = now.wall_s;
    if (now.wall_s - active > 0.5) return now.wall_s - active;
    last = now;
  }
}

static void *level_session_open(void *opened) {
  session *s = calloc(1, sizeof *s);
  if (s == NULL) bench_die("no memory");
  s->store = opened;
  s->batch = leveldb_writebatch_create();
  return s;
}

static void level_session_close(void *opened) {
  session *s = opened;
  leveldb_free(s->value);
  leveldb_writebatch_destroy(s->batch);
  free(s);
}

static void level_put(void *opened, bench_slice key, bench_slice value) {
  session *s = opened;
  char *error = NULL;
  leveldb_put(s->store->db, s->store->write, key.data, key.size, value.data, value.size, &error);
  check(error, "put");
}

static void level_write(void *opened, const bench_pair *pairs, size_t count) {
  session *s = opened;
  char *error = NULL;
  leveldb_writebatch_clear(s->batch);
  for (size_t i = 0; i < count; i++)
    leveldb_writebatch_put(s->batch, pairs[i].key.data, pairs[i].key.size, pairs[i].value.data,
                           pairs[i].value.size);
  leveldb_write(s->store->db, s->store->write, s->batch, &error);
  check(error, "write");
}

static bool level_get(void *opened, bench_slice key, bench_slice *ret_value) {
  session *s = opened;
  char *error = NULL;
  leveldb_free(s->value);
  s->value = leveldb_get(s->store->db, s->store->read, key.data, key.size, &ret_value->size, &error);
  check(error, "get");
  ret_value->data = s->value;
  return s->value != NULL;
}

static bool pair_of(const leveldb_iterator_t *iter, bench_pair *ret_pair) {
  if (!leveldb_iter_valid(iter)) {
    char *error = NULL;
    leveldb_iter_get_error(iter, &error);
    check(error, "iterate");
    return false;
  }
  ret_pair->key.data = leveldb_iter_key(iter, &ret_pair->key.size);
  ret_pair->value.data = leveldb_iter_value(iter, &ret_pair->value.size);
  return true;
}

static bool level_seek(void *opened, bench_slice key, bench_pair *ret_pair) {
  session *s = opened;
  s->iter = leveldb_create_iterator(s->store->db, s->store->read);
  leveldb_iter_seek(s->iter, key.data, key.size);
  return pair_of(s->iter, ret_pair);
}

static bool level_next(void *opened, bench_pair *ret_pair) {
  session *s = opened;
  leveldb_iter_next(s->iter);
  return pair_of(s->iter, ret_pair);
}

static void level_leave(void *opened) {
  session *s = opened;
  leveldb_iter_destroy(s->iter);
  s->iter = NULL;
}

const bench_engine bench_leveldb = {.name = "leveldb",
                                    .options = "Snappy",
                                    .version = level_describe,
                                    .open = level_open,
                                    .close = level_close,
                                    .settle = level_settle,
                                    .session_open = level_session_open,
                                    .session_close = level_session_close,
                                    .put = level_put,
                                    .write = level_write,
                                    .get = level_get,
                                    .seek = level_seek,
                                    .next = level_next,
                                    .leave = level_leave};
