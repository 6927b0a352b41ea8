/* SPDX-License-Identifier: Apache-2.0
 *
 * Checkpoints beside everything else: writers, flushes, merges, changes of keys, tables that come and go. Every
 * copy is sound, and holds of each table what had been written up to one moment, in order. A plain program, so that
 * it also runs under ThreadSanitizer.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fixture.h"

enum { TABLES = 2, KEYS = 50, COPIES = 6 };

static site s;
static nacre_store *store;
static nacre_table *tables[TABLES];
static atomic_bool stop;
static atomic_uint_fast64_t acknowledged[TABLES];

static bool went_well(nacre_status status, const char *what) {
  nacre_error err;
  nacre_last_error(&err);
  return CHECK(status == NACRE_OK, "%s: %s: %s [%s]", what, nacre_status_name(status), err.text, err.file);
}

/* Write n goes to key n mod KEYS, and says n. */
static void *write_on(void *arg) {
  size_t which = (size_t)(uintptr_t)arg;
  uint8_t filling[400];
  test_random random = {which + 1};
  for (uint64_t n = 1; !atomic_load(&stop); n++) {
    char key[16];
    test_random_fill(&random, filling, sizeof filling);
    memcpy(filling, &n, sizeof n);
    snprintf(key, sizeof key, "%04u", (unsigned)(n % KEYS));
    if (!went_well(nacre_put(tables[which], text(key), nc_slice(filling, sizeof filling), NULL), "put"))
      break;
    atomic_store(&acknowledged[which], n);
  }
  return NULL;
}

static void *care(void *arg) {
  test_random random = {99};
  nacre_slice none = {NULL, 0};
  (void)arg;
  while (!atomic_load(&stop)) {
    nacre_table *t = tables[test_random_below(&random, TABLES)];
    nacre_table *third = NULL;
    switch (test_random_below(&random, 5)) {
      case 0:
        went_well(nacre_flush(t), "flush");
        break;
      case 1:
        went_well(nacre_compact(t, none, none), "compact");
        break;
      case 2:
        went_well(nacre_table_rotate(t), "rotate");
        break;
      case 3:
        went_well(nacre_table_create(store, "third", NULL, &third), "create");
        went_well(nacre_table_close(third), "close");
        while (nacre_table_drop(store, "third") == NACRE_BUSY) usleep(200); /* a checkpoint holds it */
        break;
      default:
        went_well(nacre_store_rotate(store), "rotate the store's key");
        break;
    }
    usleep((useconds_t)test_random_below(&random, 4000));
  }
  return NULL;
}

/* The state behind one write, which is not before `least`. */
static void check_content(nacre_table *t, uint64_t least, const char *path) {
  uint64_t seen[KEYS] = {0}, newest = 0;
  for (unsigned i = 0; i < KEYS; i++) {
    char key[16];
    nacre_value value;
    snprintf(key, sizeof key, "%04u", i);
    nacre_status status = nacre_get(t, text(key), NULL, &value);
    if (status == NACRE_NOT_FOUND) continue;
    if (!went_well(status, "get")) return;
    memcpy(&seen[i], value.data, sizeof seen[i]);
    nacre_value_release(&value);
    if (seen[i] > newest) newest = seen[i];
  }
  CHECK(newest >= least, "%s: ends at write %llu, before %llu", path, (unsigned long long)newest,
        (unsigned long long)least);
  for (unsigned i = 0; i < KEYS; i++) {
    uint64_t back = (newest + KEYS - i) % KEYS, wanted = back >= newest ? 0 : newest - back;
    CHECK(seen[i] == wanted, "%s: key %u is of write %llu, not %llu", path, i, (unsigned long long)seen[i],
          (unsigned long long)wanted);
  }
}

static void check_copy(const char *path, const uint64_t least[TABLES]) {
  nacre_store *copy;
  nacre_store_options options = s.options;
  options.create = false;
  options.workers = UINT32_MAX;
  if (!went_well(nacre_open(path, &options, &copy), "open the copy")) return;
  for (size_t i = 0; i < TABLES; i++) {
    nacre_table *t;
    if (!went_well(nacre_table_open(copy, i == 0 ? "table" : "other", NULL, &t), "open a table of the copy"))
      continue;
    check_content(t, least[i], path);
    went_well(nacre_verify(t, NULL, NULL), "verify");
    put_text(t, "own", "1", true);
    check_content(t, least[i], path);
    went_well(nacre_table_close(t), "close a table of the copy");
  }
  went_well(nacre_close(copy), "close the copy");
}

int main(void) {
  pthread_t threads[TABLES + 1];
  site_make(&s);
  s.options.workers = 2;
  s.options.memtable_bytes = 256 * 1024;
  tables[0] = site_table(&s, &store, "table");
  ok(nacre_table_create(store, "other", NULL, &tables[1]));
  for (size_t i = 0; i < TABLES; i++) pthread_create(&threads[i], NULL, write_on, (void *)(uintptr_t)i);
  pthread_create(&threads[TABLES], NULL, care, NULL);
  for (int i = 0; i < COPIES; i++) {
    char path[PATH_BYTES], name[16];
    uint64_t least[TABLES];
    usleep(60 * 1000);
    snprintf(name, sizeof name, "copy-%d", i);
    join(path, s.path, name);
    for (size_t k = 0; k < TABLES; k++) least[k] = atomic_load(&acknowledged[k]);
    if (went_well(nacre_checkpoint(store, path, NULL, NULL), "checkpoint")) check_copy(path, least);
  }
  atomic_store(&stop, true);
  for (size_t i = 0; i <= TABLES; i++) pthread_join(threads[i], NULL);
  printf("checkpoint_threads: %d copies beside %llu and %llu writes\n", COPIES,
         (unsigned long long)acknowledged[0], (unsigned long long)acknowledged[1]);
  for (size_t i = 0; i < TABLES; i++) went_well(nacre_table_close(tables[i]), "close");
  went_well(nacre_close(store), "close the store");
  site_remove(&s);
  return test_finish();
}
