/* SPDX-License-Identifier: Apache-2.0
 *
 * open_segments: a bound on how many segments are open holds whatever is read, by how many threads, while others
 * close what is idle and a key change rewraps every file; descriptors are counted.
 */
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>

#include "open_segments.h"
#include "segment_file.h"
#include "segments.h"
#include "support.h"

enum { SEGMENTS = 80, BOUND = 16, KEYS = 40, THREADS = 3 };

static floor_fixture f;
static nc_segment *segments[SEGMENTS];
static atomic_bool stop;
static atomic_uint_fast64_t reads, wrong, most_open;

static size_t count_descriptors(void) {
  size_t count = 0;
  DIR *dir = opendir("/proc/self/fd");
  require(dir != NULL);
  while (readdir(dir) != NULL) count++;
  closedir(dir);
  return count;
}

static nacre_slice key_of(char key[16], unsigned i) {
  snprintf(key, 16, "key%05u", i);
  return text(key);
}
static nacre_slice value_of(char value[32], unsigned segment, unsigned i) {
  snprintf(value, 32, "%u of segment %u", i, segment);
  return text(value);
}

static void make_segment(unsigned n) {
  entry_list list = {0};
  char key[16], value[32];
  for (unsigned i = 0; i < KEYS; i++)
    list_add(&list, key_of(key, i), 1 + i, NC_KIND_PUT, value_of(value, n, i));
  nc_segment_params params = segment_params(&f);
  params.number = 100 + n;
  nc_segment_record record;
  segment_write(&f, &params, &list, &record);
  segments[n] = segment_of(&f, &record);
  list_free(&list);
}

static void read_one(unsigned n, unsigned i) {
  char key[16], value[32];
  bool found;
  nc_entry entry;
  nc_pin *pin = NULL;
  nacre_error err;
  must(nc_segment_get(segments[n], key_of(key, i), NC_SEQUENCE_MAX, i % 2 == 0, &found, &entry, &pin, &err));
  if (!found || !nc_slice_equal(entry.value, value_of(value, n, i))) atomic_fetch_add(&wrong, 1);
  nc_pin_unref(pin);
}

static void pass_through(unsigned n) {
  nc_cursor *c;
  nacre_error err;
  unsigned count = 0;
  must(nc_segment_cursor(segments[n], &(nc_travel){.no_cache_fill = true}, &c, &err));
  for (must(nc_cursor_first(c, &err)); c->valid; count++) must(nc_cursor_next(c, &err));
  nc_cursor_close(c);
  if (count != KEYS) atomic_fetch_add(&wrong, 1);
}

static void note_open(void) {
  uint64_t open = nc_open_segments_count(&f.shared.open_segments), most = atomic_load(&most_open);
  while (open > most && !atomic_compare_exchange_weak(&most_open, &most, open)) continue;
}

static void *read_around(void *arg) {
  uint64_t state = (uintptr_t)arg, rounds = test_env_number("NACRE_OPEN_ROUNDS", 6000);
  for (uint64_t i = 0; i < rounds; i++) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    unsigned n = (unsigned)((state >> 33) % (i % 4 == 0 ? SEGMENTS : 20));
    if (i % 50 == 0) {
      pass_through(n);
    } else {
      read_one(n, (unsigned)(state >> 50) % KEYS);
    }
    note_open();
    atomic_fetch_add(&reads, 1);
  }
  return NULL;
}

static void *close_idle(void *arg) {
  (void)arg;
  while (!atomic_load(&stop)) nc_open_segments_close_idle(&f.shared.open_segments);
  return NULL;
}

static void check_threads(void) {
  pthread_t threads[THREADS], closer;
  require(pthread_create(&closer, NULL, close_idle, NULL) == 0);
  for (uintptr_t i = 0; i < THREADS; i++)
    require(pthread_create(&threads[i], NULL, read_around, (void *)(i + 1)) == 0);
  for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  atomic_store(&stop, true);
  pthread_join(closer, NULL);
  CHECK(atomic_load(&wrong) == 0, "%llu wrong answers", (unsigned long long)wrong);
  CHECK(atomic_load(&most_open) <= BOUND + THREADS, "%llu were open", (unsigned long long)most_open);
  printf("%llu reads, at most %llu open\n", (unsigned long long)reads, (unsigned long long)most_open);
}

static void check_descriptors(size_t before) {
  for (unsigned n = 0; n < SEGMENTS; n++) {
    read_one(n, n % KEYS);
    CHECK(count_descriptors() <= before + BOUND, "after segment %u: %zu", n, count_descriptors() - before);
  }
  CHECK(count_descriptors() == before + BOUND, "as many as may be stay open");
}

/* A bound that is exceeded while more are held holds again afterwards. */
static void check_held(size_t before) {
  nc_cursor *cursors[2 * BOUND];
  nacre_error err;
  for (unsigned n = 0; n < 2 * BOUND; n++) {
    must(nc_segment_cursor(segments[n], &(nc_travel){.no_cache_fill = true}, &cursors[n], &err));
    must(nc_cursor_first(cursors[n], &err));
  }
  CHECK(count_descriptors() == before + 2 * BOUND, "all that are held are open");
  for (unsigned n = 0; n < 2 * BOUND; n++) {
    CHECK(cursors[n]->valid, "cursor %u", n);
    nc_cursor_close(cursors[n]);
  }
  read_one(SEGMENTS - 1, 1);
  CHECK(count_descriptors() <= before + BOUND, "%zu are open", count_descriptors() - before);
}

/* Of the clock: what is read all the time stays open. */
static void check_recent(void) {
  nacre_error err;
  nc_segment_file *file, *again;
  must(nc_segment_hold(segments[3], &file, &err));
  nc_segment_let(segments[3]);
  for (unsigned n = 10; n < SEGMENTS; n++) {
    read_one(n, 0);
    read_one(3, n % KEYS);
  }
  must(nc_segment_hold(segments[3], &again, &err));
  CHECK(file == again && nc_open_segments_count(&f.shared.open_segments) <= BOUND, "it was not opened again");
  nc_segment_let(segments[3]);
}

int main(void) {
  floor_open(&f);
  f.shared.open_segments.max = BOUND;
  for (unsigned n = 0; n < SEGMENTS; n++) make_segment(n);
  size_t before = count_descriptors();
  check_descriptors(before);
  check_held(before);
  check_recent();
  check_threads();
  CHECK(nc_open_segments_close_idle(&f.shared.open_segments) <= BOUND, "idle ones");
  CHECK(count_descriptors() == before, "none is left open");
  for (unsigned n = 0; n < SEGMENTS; n++) nc_segment_unref(segments[n]);
  floor_close(&f);
  return test_finish();
}
