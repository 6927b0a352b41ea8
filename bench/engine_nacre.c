/* SPDX-License-Identifier: Apache-2.0
 *
 * engine_nacre: Nacre through its public header. Its options are the defaults, with encryption on as always;
 * the KMS is a mask in this file, for a key is unwrapped once an open, not once an operation.
 */
#include <nacre/nacre.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"

typedef struct store {
  nacre_store *store;
  nacre_table *table;
  nacre_write_options write;
} store;

typedef struct session {
  store *store;
  nacre_batch *batch;
  nacre_value value;
  nacre_iter *iter;
} session;

static void check(nacre_status status, const char *what) {
  if (status == NACRE_OK) return;
  nacre_error e;
  nacre_last_error(&e);
  bench_die("nacre: %s: %s", what, e.text);
}

static nacre_slice slice(bench_slice s) { return (nacre_slice){s.data, s.size}; }

/* ---- keys ---------------------------------------------------------------------------------------------- */

static nacre_status mask_wrap(void *arg, const nacre_kms_call *call, const uint8_t key[32], uint8_t *wrapped,
                              size_t capacity, size_t *ret_size, nacre_error *err) {
  (void)arg, (void)call;
  if (capacity < 32) return nacre_kms_fail(err, NACRE_KEY_UNREACHABLE, "the buffer is small");
  for (int i = 0; i < 32; i++) wrapped[i] = key[i] ^ 0x5a;
  *ret_size = 32;
  return NACRE_OK;
}

static nacre_status mask_unwrap(void *arg, const nacre_kms_call *call, nacre_slice wrapped,
                                uint8_t ret_key[32], nacre_error *err) {
  (void)arg, (void)call;
  if (wrapped.size != 32) return nacre_kms_fail(err, NACRE_KEY_MISSING, "not wrapped here");
  for (int i = 0; i < 32; i++) ret_key[i] = ((const uint8_t *)wrapped.data)[i] ^ 0x5a;
  return NACRE_OK;
}

static const nacre_kms_provider mask = {.scheme = "bench", .wrap = mask_wrap, .unwrap = mask_unwrap};
static const nacre_kms_provider *const providers[] = {&mask};

/* ---- the store ----------------------------------------------------------------------------------------- */

static void nacre_describe(char *text, size_t capacity) { snprintf(text, capacity, "%s", nacre_version()); }

static void *nacre_store_open(const char *directory, bool create, bool sync) {
  nacre_store_options options = {.create = create,
                                 .default_key = {.uri = "bench:key"},
                                 .kms_providers = providers,
                                 .kms_provider_count = 1,
                                 .cache_bytes = BENCH_CACHE_BYTES,
                                 .memtable_bytes = BENCH_MEMTABLE_BYTES};
  nacre_table_options table = {.filter_bits_per_key = BENCH_FILTER_BITS};
  store *s = calloc(1, sizeof *s);
  if (s == NULL) bench_die("no memory");
  s->write.sync = sync;
  check(nacre_open(directory, &options, &s->store), "open");
  check(create ? nacre_table_create(s->store, "table", &table, &s->table)
               : nacre_table_open(s->store, "table", NULL, &s->table),
        "open the table");
  return s;
}

static void nacre_store_close(void *opened) {
  store *s = opened;
  check(nacre_table_close(s->table), "close the table");
  check(nacre_close(s->store), "close");
  free(s);
}

static double nacre_settle(void *opened) {
  store *s = opened;
  check(nacre_wait_idle(s->table), "wait");
  return 0;
}

static void nacre_tell(void *opened) {
  store *s = opened;
  nacre_stats stats;
  check(nacre_table_stats(s->table, &stats), "stats");
  fprintf(stderr, "nacre: written %.2f, read %.1f, space %.3f times;", stats.write_amplification,
          stats.read_amplification, stats.space_amplification);
  for (uint64_t i = 0; i < stats.level_count; i++) {
    const nacre_level *l = &stats.levels[i];
    if (l->segments > 0)
      fprintf(stderr, " level %u: %u segments, %u MB, %u entries;", (unsigned)i, (unsigned)l->segments,
              (unsigned)(l->bytes >> 20), (unsigned)l->entries);
  }
  fprintf(stderr, " %u flushes, %u merges\n", (unsigned)stats.flushes, (unsigned)stats.merges);
}

/* ---- a session ----------------------------------------------------------------------------------------- */

static void *nacre_session_open(void *opened) {
  session *s = calloc(1, sizeof *s);
  if (s == NULL) bench_die("no memory");
  s->store = opened;
  check(nacre_batch_create(&s->batch), "batch");
  return s;
}

static void nacre_session_close(void *opened) {
  session *s = opened;
  nacre_value_release(&s->value);
  nacre_iter_close(s->iter);
  nacre_batch_destroy(s->batch);
  free(s);
}

static void nacre_put_one(void *opened, bench_slice key, bench_slice value) {
  session *s = opened;
  check(nacre_put(s->store->table, slice(key), slice(value), &s->store->write), "put");
}

static void nacre_write_pairs(void *opened, const bench_pair *pairs, size_t count) {
  session *s = opened;
  nacre_batch_clear(s->batch);
  for (size_t i = 0; i < count; i++)
    check(nacre_batch_put(s->batch, slice(pairs[i].key), slice(pairs[i].value)), "batch");
  check(nacre_write(s->store->table, s->batch, &s->store->write), "write");
}

static bool nacre_get_one(void *opened, bench_slice key, bench_slice *ret_value) {
  session *s = opened;
  nacre_value_release(&s->value);
  nacre_status status = nacre_get(s->store->table, slice(key), NULL, &s->value);
  if (status == NACRE_NOT_FOUND) return false;
  check(status, "get");
  *ret_value = (bench_slice){s->value.data, s->value.size};
  return true;
}

static bool pair_of(const nacre_iter *iter, bench_pair *ret_pair) {
  if (!nacre_iter_valid(iter)) {
    check(nacre_iter_status(iter), "iterate");
    return false;
  }
  nacre_slice key = nacre_iter_key(iter), value = nacre_iter_value(iter);
  *ret_pair = (bench_pair){{key.data, key.size}, {value.data, value.size}};
  return true;
}

static bool nacre_seek(void *opened, bench_slice key, bench_pair *ret_pair) {
  session *s = opened;
  check(nacre_iter_open(s->store->table, NULL, &s->iter), "open an iterator");
  nacre_iter_seek(s->iter, slice(key));
  return pair_of(s->iter, ret_pair);
}

static bool nacre_next(void *opened, bench_pair *ret_pair) {
  session *s = opened;
  nacre_iter_next(s->iter);
  return pair_of(s->iter, ret_pair);
}

static size_t nacre_many(void *opened, bench_pair *pairs, size_t capacity) {
  enum { AT_ONCE = 64 };
  session *s = opened;
  nacre_entry entries[AT_ONCE];
  size_t count = nacre_iter_read(s->iter, entries, capacity < AT_ONCE ? capacity : AT_ONCE);
  if (count == 0) check(nacre_iter_status(s->iter), "iterate");
  for (size_t i = 0; i < count; i++) {
    pairs[i] = (bench_pair){{entries[i].key.data, entries[i].key.size},
                            {entries[i].value.data, entries[i].value.size}};
  }
  return count;
}

static void nacre_leave(void *opened) {
  session *s = opened;
  nacre_iter_close(s->iter);
  s->iter = NULL;
}

const bench_engine bench_nacre = {.name = "nacre",
                                  .options = "encrypted and authenticated; compression automatic",
                                  .version = nacre_describe,
                                  .open = nacre_store_open,
                                  .close = nacre_store_close,
                                  .settle = nacre_settle,
                                  .tell = nacre_tell,
                                  .session_open = nacre_session_open,
                                  .session_close = nacre_session_close,
                                  .put = nacre_put_one,
                                  .write = nacre_write_pairs,
                                  .get = nacre_get_one,
                                  .seek = nacre_seek,
                                  .next = nacre_next,
                                  .many = nacre_many,
                                  .leave = nacre_leave};
