/* SPDX-License-Identifier: Apache-2.0
 *
 * One thread adds to a memtable while others get, seek and walk in both directions. A plain program, so that it
 * also runs under ThreadSanitizer.
 *
 * Entry number n is a version of key(n) at sequence n. A reader takes the last number that was told to it, and
 * must find everything up to there, in order, exactly once.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "fixture.h"
#include "memtable.h"

enum { KEY_BYTES = 24, READERS = 3 };

static nc_env *env;
static nc_memtable *m;
static atomic_uint_fast64_t budget, told;
static uint64_t entries; /* of this run */
static int kind;
static nacre_error err;

static nacre_slice key_of(uint64_t n, char buffer[KEY_BYTES + 1]) {
  uint64_t scattered = n * UINT64_C(0x9E3779B97F4A7C15) >> 44;
  uint64_t number = kind == 0 ? scattered : kind == 1 ? n : kind == 2 ? UINT32_MAX - n : n % 50;
  (void)snprintf(buffer, KEY_BYTES + 1, "%s%016llu", n < 1000 ? "shared/" : "share/a",
                 (unsigned long long)number);
  return nc_slice(buffer, 23);
}

static void *add_all(void *arg) {
  (void)arg;
  for (uint64_t n = 1; n <= entries; n++) {
    char buffer[KEY_BYTES + 1];
    nc_entry entry = {key_of(n, buffer), n, NC_KIND_PUT, nc_slice(&n, sizeof n)};
    /* No CHECK here: its counter would order this thread before the readers, and hide a race. */
    if (nc_memtable_reserve(m, 1, entry.key.size + sizeof n, &err) != NACRE_OK) test_die("no room");
    nc_memtable_add(m, &entry);
    /* Not of every one: so readers meet entries that nothing but the tree itself has ordered before them. */
    if (n % 32 == 0 || n == entries) atomic_store_explicit(&told, n, memory_order_release);
  }
  return NULL;
}

static void get_one(uint64_t n, uint64_t sequence) {
  char buffer[KEY_BYTES + 1];
  nc_entry entry;
  if (!CHECK(nc_memtable_get(m, key_of(n, buffer), sequence, &entry), "entry %llu is gone",
             (unsigned long long)n))
    return;
  CHECK(entry.sequence >= n && entry.sequence <= sequence, "version %llu of entry %llu at %llu",
        (unsigned long long)entry.sequence, (unsigned long long)n, (unsigned long long)sequence);
}

/* Steps that see entries up to `sequence`: how many of them there were, and that all came in order. */
static uint64_t walk(nc_cursor *c, bool forward, uint64_t sequence, uint64_t most) {
  uint64_t seen = 0;
  nc_entry last = {.sequence = 0};
  for (; c->valid && most > 0; most--) {
    if (last.sequence != 0) {
      int order = nc_entry_compare(last.key, last.sequence, c->entry.key, c->entry.sequence);
      CHECK(forward ? order < 0 : order > 0, "out of order at %llu", (unsigned long long)c->entry.sequence);
    }
    last = c->entry;
    seen += last.sequence <= sequence;
    if ((forward ? nc_cursor_next(c, NULL) : nc_cursor_prev(c, NULL)) != NACRE_OK) break;
  }
  return seen;
}

static void *read_all(void *arg) {
  test_random random = {(uintptr_t)arg};
  nc_cursor *c;
  if (!CHECK(nc_memtable_cursor(m, &c, NULL) == NACRE_OK, "cursor")) return NULL;
  for (uint64_t round = 0, sequence = 0; sequence < entries; round++) {
    sequence = atomic_load_explicit(&told, memory_order_acquire);
    if (sequence == 0) continue;
    for (int i = 0; i < 50; i++) get_one(1 + test_random_below(&random, sequence), sequence);
    char buffer[KEY_BYTES + 1];
    bool forward = test_random_below(&random, 2) == 0;
    uint64_t n = 1 + test_random_below(&random, sequence);
    CHECK(nc_cursor_seek(c, key_of(n, buffer), n, NULL) == NACRE_OK && c->valid && c->entry.sequence == n,
          "a seek to entry %llu", (unsigned long long)n);
    (void)walk(c, forward, sequence, 20);
    if (round % 64 != 0 && sequence < entries) continue;
    CHECK((forward ? nc_cursor_first(c, NULL) : nc_cursor_last(c, NULL)) == NACRE_OK, "an end");
    uint64_t seen = walk(c, forward, sequence, UINT64_MAX);
    CHECK(seen == sequence, "%llu of %llu entries on the way", (unsigned long long)seen,
          (unsigned long long)sequence);
  }
  nc_cursor_close(c);
  return NULL;
}

static void run(int which, uint64_t count) {
  pthread_t threads[1 + READERS];
  kind = which;
  entries = count;
  atomic_store(&told, 0);
  if (nc_memtable_create(env, NULL, 1 << 16, &budget, &m, &err) != NACRE_OK) test_die("no memtable");
  for (uintptr_t i = 0; i <= READERS; i++) {
    if (pthread_create(&threads[i], NULL, i == READERS ? add_all : read_all, (void *)(i + 1)) != 0)
      test_die("no threads");
  }
  for (int i = 0; i <= READERS; i++) pthread_join(threads[i], NULL);
  nc_pin_unref(nc_memtable_pin(m));
  CHECK(atomic_load(&budget) == 0, "memory is left");
}

/* ---- seeks before everything ---------------------------------------------------------------------------- */

/* A tree of keys that begin alike gets one that comes before all of them while somebody seeks a key in between: it may
 * be met or not, but a seek must not stop at it. */
static atomic_uint_fast64_t round_begun, round_sought;

static void add_at(const char *key, uint64_t sequence) {
  nc_entry entry = {nc_slice(key, strlen(key)), sequence, NC_KIND_PUT, nc_slice("", 0)};
  if (nc_memtable_reserve(m, 1, entry.key.size, &err) != NACRE_OK) test_die("no room");
  nc_memtable_add(m, &entry);
}

static void *seek_between(void *arg) {
  const nacre_slice sought = text("w2/008");
  uint64_t rounds = *(const uint64_t *)arg;
  for (uint64_t round = 1; round <= rounds; round++) {
    nc_cursor *c;
    while (atomic_load(&round_begun) < round) sched_yield();
    if (!CHECK(nc_memtable_cursor(m, &c, NULL) == NACRE_OK, "cursor")) return NULL;
    for (bool added = false; !added;) {
      added = atomic_load_explicit(&told, memory_order_relaxed) == round;
      bool found = nc_cursor_seek(c, sought, 0, NULL) == NACRE_OK && c->valid;
      if (!found || nc_slice_compare(c->entry.key, sought) < 0)
        CHECK(false, "round %llu: a seek stops before its key", (unsigned long long)round);
    }
    nc_cursor_close(c);
    atomic_store(&round_sought, round);
  }
  return NULL;
}

static void run_seeks(uint64_t rounds) {
  pthread_t thread;
  atomic_store(&told, 0);
  if (pthread_create(&thread, NULL, seek_between, &rounds) != 0) test_die("no threads");
  for (uint64_t round = 1; round <= rounds; round++) {
    if (nc_memtable_create(env, NULL, 1 << 16, &budget, &m, &err) != NACRE_OK) test_die("no memtable");
    add_at("w2/031", 1);
    atomic_store(&round_begun, round);
    for (volatile int i = 0; i < (int)(round % 256); i++) {}
    add_at("group/0", 2);
    atomic_store_explicit(&told, round, memory_order_relaxed);
    while (atomic_load(&round_sought) < round) sched_yield();
    nc_pin_unref(nc_memtable_pin(m));
  }
  pthread_join(thread, NULL);
}

/* In small trees, most reads fall together with a split of a node that they pass. */
int main(void) {
  uint64_t most = test_env_number("NACRE_MEMTABLE_ENTRIES", 12000);
  if (nc_env_create(NULL, &env, &err) != NACRE_OK) test_die("no env");
  for (int which = 0; which < 4; which++) run(which, most);
  for (int i = 0; i < 100; i++) run(i % 4, most / 40);
  run_seeks(most);
  nc_env_destroy(env);
  return test_finish();
}
