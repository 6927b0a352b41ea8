/* SPDX-License-Identifier: Apache-2.0
 *
 * Large values from many threads: writers put, write over and delete; readers get, go along iterators and read
 * pieces; one thread flushes, merges, changes the table key and verifies. A plain program, so that it also runs under
 * ThreadSanitizer. NACRE_LARGE_ROUNDS: how much each writer writes (60).
 *
 * Each key belongs to one writer. A value says its key and version and can be computed again, so a reader can tell
 * what it was handed, whatever was written meanwhile.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "fixture.h"

enum { WRITERS = 3, READERS = 2, KEYS = 12, SIZE_MIN = 3000, SIZE_MAX_ = 40000, HEAD = 8 };

static site s;
static nacre_store *store;
static nacre_table *t;
static uint64_t rounds;
static atomic_uint writing;

static nacre_slice key_of(unsigned key, char bytes[24]) {
  return nc_slice(bytes, (size_t)snprintf(bytes, 24, "key %04u", key));
}

static size_t value_of(unsigned key, uint64_t version, uint8_t bytes[SIZE_MAX_]) {
  size_t size = SIZE_MIN + test_mix(key, version) % (SIZE_MAX_ - SIZE_MIN);
  memcpy(bytes, &version, HEAD);
  test_value_make(bytes + HEAD, size - HEAD, 3, key, version);
  return size;
}

static void check_value(unsigned key, nacre_slice value) {
  uint8_t *expected = test_alloc(SIZE_MAX_);
  uint64_t version = 0;
  if (value.size >= HEAD) memcpy(&version, value.data, HEAD);
  size_t size = value_of(key, version, expected);
  CHECK(size == value.size && memcmp(expected, value.data, size) == 0, "key %u: a value that nobody wrote",
        key);
  free(expected);
}

static void *write_all(void *arg) {
  unsigned writer = (unsigned)(uintptr_t)arg;
  test_random random = {writer};
  uint8_t *value = test_alloc(SIZE_MAX_);
  nacre_batch *batch;
  ok(nacre_batch_create(&batch));
  for (uint64_t n = 1; n <= rounds; n++) {
    char bytes[24];
    unsigned key = (unsigned)test_random_below(&random, KEYS) * WRITERS + writer;
    nacre_write_options options = {.sync = n % 5 == 0};
    size_t size = value_of(key, n, value);
    if (n % 7 == 0) {
      ok(nacre_delete(t, key_of(key, bytes), &options));
    } else if (n % 3 == 0) {
      nacre_batch_clear(batch);
      ok(nacre_batch_delete(batch, key_of(key, bytes)));
      ok(nacre_batch_put(batch, key_of(key, bytes), nc_slice(value, size)));
      ok(nacre_write(t, batch, &options));
    } else {
      ok(nacre_put(t, key_of(key, bytes), nc_slice(value, size), &options));
    }
  }
  nacre_batch_destroy(batch);
  free(value);
  atomic_fetch_sub(&writing, 1);
  return NULL;
}

static void read_key(unsigned key, uint8_t *buffer) {
  char bytes[24];
  size_t size;
  nacre_value value;
  nacre_status status = nacre_get(t, key_of(key, bytes), NULL, &value);
  if (CHECK(status == NACRE_OK || status == NACRE_NOT_FOUND, "key %u: %s", key, nacre_status_name(status)) &&
      status == NACRE_OK) {
    check_value(key, nc_slice(value.data, value.size));
    nacre_value_release(&value);
  }
  status = nacre_get_into(t, key_of(key, bytes), NULL, buffer, SIZE_MAX_, &size);
  if (status == NACRE_OK) check_value(key, nc_slice(buffer, size));
}

static void *read_all(void *arg) {
  test_random random = {77 + (uint64_t)(uintptr_t)arg};
  uint8_t *buffer = test_alloc(SIZE_MAX_);
  while (atomic_load(&writing) > 0) {
    nacre_iter *it;
    for (int i = 0; i < 10; i++) read_key((unsigned)test_random_below(&random, KEYS * WRITERS), buffer);
    ok(nacre_iter_open(t, NULL, &it));
    for (nacre_iter_first(it); nacre_iter_valid(it); nacre_iter_next(it)) {
      nacre_slice key = nacre_iter_key(it);
      unsigned number = 0;
      for (size_t i = 4; i < key.size; i++)
        number = number * 10 + (unsigned)(((const char *)key.data)[i] - '0');
      check_value(number, nacre_iter_value(it));
    }
    CHECK(nacre_iter_status(it) == NACRE_OK, "an iterator: %s", nacre_status_name(nacre_iter_status(it)));
    nacre_iter_close(it);
  }
  free(buffer);
  return NULL;
}

static void *care(void *arg) {
  (void)arg;
  for (int n = 0; atomic_load(&writing) > 0; n++) {
    nacre_slice all = {NULL, 0};
    ok(nacre_flush(t));
    if (n % 3 == 1) ok(nacre_compact(t, all, all));
    if (n % 5 == 2) ok(nacre_table_rotate(t));
    if (n % 4 == 3) ok(nacre_verify(t, NULL, NULL));
  }
  return NULL;
}

static size_t live_large(void) {
  size_t count = 0;
  nacre_iter *it;
  ok(nacre_iter_open(t, NULL, &it));
  for (nacre_iter_first(it); nacre_iter_valid(it); nacre_iter_next(it))
    count += nacre_iter_value(it).size > 4096;
  nacre_iter_close(it);
  return count;
}

static void directory_of(char path[PATH_BYTES]) {
  nacre_table_infos *infos;
  ok(nacre_table_list(store, &infos));
  join(path, s.store, nacre_table_infos_at(infos, 0)->uuid);
  nacre_table_infos_free(infos);
}

int main(void) {
  pthread_t threads[WRITERS + READERS + 1];
  char directory[PATH_BYTES];
  nacre_table_options options = {.large_value_bytes = 4096};
  nacre_slice all = {NULL, 0};
  rounds = test_env_number("NACRE_LARGE_ROUNDS", 60);
  atomic_init(&writing, WRITERS);
  site_make(&s);
  s.options.workers = 2;
  ok(nacre_open(s.store, &s.options, &store));
  ok(nacre_table_create(store, "table", &options, &t));
  directory_of(directory);
  for (size_t i = 0; i < WRITERS + READERS + 1; i++) {
    void *(*run)(void *) = i < WRITERS ? write_all : i < WRITERS + READERS ? read_all : care;
    if (pthread_create(&threads[i], NULL, run, (void *)(uintptr_t)i) != 0) test_die("no thread");
  }
  for (size_t i = 0; i < WRITERS + READERS + 1; i++) pthread_join(threads[i], NULL);
  ok(nacre_table_rewrap_wait(t, NULL));
  ok(nacre_compact(t, all, all));
  ok(nacre_verify(t, NULL, NULL));
  CHECK(count_files(directory, ".val") == live_large(), "%zu files of %zu large values",
        count_files(directory, ".val"), live_large());
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  site_remove(&s);
  return test_finish();
}
