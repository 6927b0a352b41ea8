/* SPDX-License-Identifier: Apache-2.0
 *
 * read_ahead: scans through a counting, a slow, a failing disk: that what they show is the same, that they read in
 * large pieces and never beyond their bounds or the budget, that damage is told where it lies, and that they can be
 * closed at any moment. A plain program, for workers take part.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fixture.h"
#include "table.h"

enum {
  KEYS = 16000,
  VALUE_BYTES = 120,
  READS_MAX = 8192,
  LARGE = 6 << 10,
  MIB = 1 << 20,
  NOBODY = -1,
  TWO = 2
};

static site s;
static nacre_store *store;
static nacre_table *t;
static char segment[PATH_BYTES];

/* ---- the disk ------------------------------------------------------------------------------------------ */

typedef struct one_read {
  uint64_t offset;
  size_t size;
} one_read;

static pthread_mutex_t reads_lock = PTHREAD_MUTEX_INITIALIZER;
static one_read reads[READS_MAX]; /* since they were last forgotten */
static size_t read_count, largest_read;
static uint64_t data_end;          /* of the segment's data frames, once it is known */
static atomic_int delay_us;        /* of large reads of these */
static atomic_bool no_large_reads; /* they fail */

static int watched_read(void *context, nacre_io_file *file, uint64_t offset, void *buffer, size_t size,
                        size_t *ret_read) {
  pthread_mutex_lock(&reads_lock);
  if (read_count < READS_MAX) reads[read_count++] = (one_read){offset, size};
  if (size > largest_read) largest_read = size;
  pthread_mutex_unlock(&reads_lock);
  bool ahead = size > LARGE && offset > 0 && offset + size <= data_end;
  if (ahead && atomic_load(&no_large_reads)) return EIO;
  if (ahead && atomic_load(&delay_us) > 0) usleep((useconds_t)atomic_load(&delay_us));
  return nacre_io_posix()->file_read(context, file, offset, buffer, size, ret_read);
}

static void forget_reads(void) {
  pthread_mutex_lock(&reads_lock);
  read_count = largest_read = 0;
  pthread_mutex_unlock(&reads_lock);
}

/* ---- the table ----------------------------------------------------------------------------------------- */

static char *key_of(unsigned i, char key[16]) {
  snprintf(key, 16, "%07u", i);
  return key;
}

/* Bytes that nothing packs. */
static nacre_slice value_of(unsigned i, uint8_t value[VALUE_BYTES]) {
  test_random random = {.state = i + 1};
  test_random_fill(&random, value, VALUE_BYTES);
  return nc_slice(value, VALUE_BYTES);
}

static void open_with(int workers, uint64_t cache) {
  s.options.workers = workers == NOBODY ? UINT32_MAX : (uint32_t)workers;
  s.options.cache_bytes = cache;
  t = site_table(&s, &store, "table");
  forget_reads();
}

static void close_all(void) {
  ok(nacre_table_close(t));
  ok(nacre_close(store));
}

static void make(void) {
  uint8_t value[VALUE_BYTES];
  char key[16], directory[PATH_BYTES];
  open_with(NOBODY, 0);
  for (unsigned i = 0; i < KEYS; i++) ok(nacre_put(t, text(key_of(i, key)), value_of(i, value), NULL));
  ok(nacre_flush(t));
  ok(nacre_compact(t, (nacre_slice){0}, (nacre_slice){0}));
  close_all();
  site_table_path(&s, "table", directory);
  only_file(directory, ".seg", segment);
}

/* ---- scans --------------------------------------------------------------------------------------------- */

static nacre_iter *iter_between(const char *lower, const char *upper, bool no_cache_fill) {
  nacre_read_options options = {.no_cache_fill = no_cache_fill};
  nacre_iter *it;
  if (lower != NULL) options.lower = text(lower);
  if (upper != NULL) options.upper_excluded = text(upper);
  ok(nacre_iter_open(t, &options, &it));
  return it;
}

static bool is_at(const nacre_iter *it, unsigned i) {
  uint8_t value[VALUE_BYTES];
  char key[16];
  return nacre_iter_valid(it) && slice_is(nacre_iter_key(it), key_of(i, key)) &&
         nc_slice_equal(nacre_iter_value(it), value_of(i, value));
}

/* Moves forward from key `from` while it shows what it must; returns how far it came. */
static unsigned scan_forward(nacre_iter *it, unsigned from) {
  unsigned i = from;
  for (; is_at(it, i); i++) nacre_iter_next(it);
  return i;
}

/* Backward; returns the lowest key that it showed, or one more than `from`. */
static unsigned scan_backward(nacre_iter *it, unsigned from) {
  unsigned i = from + 1;
  for (; i > 0 && is_at(it, i - 1); i--) nacre_iter_prev(it);
  return i;
}

static void check_whole(bool no_cache_fill) {
  nacre_iter *it = iter_between(NULL, NULL, no_cache_fill);
  nacre_iter_first(it);
  unsigned came = scan_forward(it, 0);
  CHECK(came == KEYS && !nacre_iter_valid(it) && nacre_iter_status(it) == NACRE_OK, "forward to %u", came);
  nacre_iter_last(it);
  came = scan_backward(it, KEYS - 1);
  CHECK(came == 0 && !nacre_iter_valid(it) && nacre_iter_status(it) == NACRE_OK, "backward to %u", came);
  nacre_iter_close(it);
}

/* Starts, stretches, turns and bounds at random. */
static void check_walks(test_random *random, int rounds) {
  char low[16], high[16], key[16];
  for (int round = 0; round < rounds; round++) {
    unsigned lower = (unsigned)test_random_below(random, KEYS);
    unsigned upper = lower + 1 + (unsigned)test_random_below(random, KEYS - lower);
    nacre_iter *it = iter_between(key_of(lower, low), key_of(upper, high), test_random_chance(random, 2));
    unsigned at = lower + (unsigned)test_random_below(random, upper - lower);
    nacre_iter_seek(it, text(key_of(at, key)));
    bool good = is_at(it, at);
    for (int legs = 0; legs < 4 && good; legs++) {
      bool forward = test_random_chance(random, 2);
      for (unsigned n = (unsigned)test_random_below(random, 3000); n > 0 && good; n--) {
        if (forward ? at + 1 == upper : at == lower) break;
        at = forward ? at + 1 : at - 1;
        forward ? nacre_iter_next(it) : nacre_iter_prev(it);
        good = is_at(it, at);
      }
    }
    CHECK(good && nacre_iter_status(it) == NACRE_OK, "round %d: not at %u of [%u, %u)", round, at, lower,
          upper);
    nacre_iter_close(it);
  }
}

static void check_same(void) {
  static const uint64_t caches[] = {NACRE_NONE, 1 * MIB, 64 * MIB};
  test_random random = {.state = test_env_number("NACRE_SEED", 7)};
  for (int workers = NOBODY; workers <= TWO; workers += TWO - NOBODY) {
    for (size_t i = 0; i < sizeof caches / sizeof *caches; i++) {
      for (int no_fill = 0; no_fill < 2; no_fill++) {
        open_with(workers, caches[i]);
        check_whole(no_fill == 1);
        close_all();
      }
      open_with(workers, caches[i]);
      check_walks(&random, 20);
      close_all();
    }
  }
}

/* ---- what is read -------------------------------------------------------------------------------------- */

static bool was_read(const one_read *list, size_t count, one_read r) {
  for (size_t i = 0; i < count; i++)
    if (list[i].offset == r.offset && list[i].size == r.size) return true;
  return false;
}

static void check_fewer_reads(void) {
  one_read first[READS_MAX];
  size_t count = 0;
  for (int turn = 0; turn < 2; turn++) {
    open_with(NOBODY, 64 * MIB);
    nacre_iter *it = iter_between(NULL, NULL, false);
    nacre_iter_first(it);
    CHECK(scan_forward(it, 0) == KEYS, "the end");
    nacre_iter_close(it);
    if (turn == 0) {
      count = read_count;
      memcpy(first, reads, count * sizeof *reads);
    }
    CHECK(read_count < KEYS / (4096 / VALUE_BYTES) / 8, "%zu reads", read_count);
    CHECK(largest_read > 200 * 1024 && largest_read <= 256 * 1024, "%zu bytes at once", largest_read);
    CHECK(count == read_count && memcmp(first, reads, count * sizeof *reads) == 0, "other reads");
    forget_reads();
    check_whole(false);
    CHECK(read_count == 0, "%zu reads of a warm table", read_count);
    close_all();
  }
}

/* A point read, a seek and some steps, a backward seek and some: nothing but single blocks. */
static void check_short(int workers) {
  char key[16];
  open_with(workers, 64 * MIB);
  holds(t, NULL, key_of(100, key), "");
  forget_reads();
  for (unsigned i = 0; i < 200; i++) {
    nacre_iter *it = iter_between(NULL, NULL, false);
    unsigned at = (i * 7919 + 100) % (KEYS - 200) + 100;
    nacre_iter_seek(it, text(key_of(at, key)));
    for (unsigned n = 0; n < 50; n++) i % 2 == 0 ? nacre_iter_next(it) : nacre_iter_prev(it);
    CHECK(is_at(it, i % 2 == 0 ? at + 50 : at - 50), "%u", at);
    nacre_iter_close(it);
  }
  CHECK(largest_read < LARGE, "%zu bytes were read at once", largest_read);
  close_all();
}

/* What point reads of the keys at both ends of a range read: the blocks at its ends, and what every reader reads. */
static size_t reads_of_ends(unsigned low, unsigned high, one_read list[READS_MAX], uint64_t *ret_from,
                            uint64_t *ret_to) {
  char key[16];
  open_with(NOBODY, 64 * MIB);
  ok(nacre_wait_idle(t));
  for (int end = 0; end < 2; end++) {
    nacre_value value;
    ok(nacre_get(t, text(key_of(end == 0 ? low : high, key)), NULL, &value));
    nacre_value_release(&value);
    const one_read *data = &reads[read_count - 1];
    *(end == 0 ? ret_from : ret_to) = end == 0 ? data->offset : data->offset + data->size;
  }
  size_t count = read_count;
  memcpy(list, reads, count * sizeof *reads);
  close_all();
  return count;
}

static void note_data_end(void) {
  static one_read ends[READS_MAX];
  uint64_t from;
  reads_of_ends(0, KEYS - 1, ends, &from, &data_end);
}

static void check_bounds(int workers, unsigned low, unsigned high) {
  static one_read ends[READS_MAX];
  uint64_t from, to;
  char lower[16], upper[16];
  size_t count = reads_of_ends(low, high, ends, &from, &to);
  for (int backward = 0; backward < 2; backward++) {
    open_with(workers, 64 * MIB);
    nacre_iter *it = iter_between(key_of(low, lower), key_of(high, upper), false);
    if (backward) {
      nacre_iter_last(it);
      CHECK(scan_backward(it, high - 1) == low, "backward");
    } else {
      nacre_iter_first(it);
      CHECK(scan_forward(it, low) == high, "forward");
    }
    CHECK(!nacre_iter_valid(it) && nacre_iter_status(it) == NACRE_OK, "the end");
    nacre_iter_close(it);
    pthread_mutex_lock(&reads_lock);
    for (size_t i = 0; i < read_count; i++) {
      bool within = reads[i].offset >= from && reads[i].offset + reads[i].size <= to;
      CHECK(within || was_read(ends, count, reads[i]), "%zu bytes at %llu, outside [%llu, %llu)",
            reads[i].size, (unsigned long long)reads[i].offset, (unsigned long long)from,
            (unsigned long long)to);
    }
    CHECK(high - low < 4000 || largest_read > LARGE, "nothing was read ahead");
    pthread_mutex_unlock(&reads_lock);
    close_all();
  }
}

/* ---- damage -------------------------------------------------------------------------------------------- */

/* Every key before the damaged block is shown, and none behind it; on the other side the same. */
static void check_damage(int workers) {
  uint64_t offset = 4096 * 400;
  open_with(workers, 64 * MIB);
  file_flip(segment, offset);
  nacre_iter *it = iter_between(NULL, NULL, false);
  for (int turn = 0; turn < 2; turn++) {
    nacre_iter_first(it);
    unsigned low = scan_forward(it, 0);
    CHECK(!nacre_iter_valid(it) && nacre_iter_status(it) == NACRE_CORRUPT, "forward, at %u", low);
    nacre_error e;
    nacre_last_error(&e);
    CHECK(e.offset <= offset && offset - e.offset < 8192, "it was told of %llu",
          (unsigned long long)e.offset);
    nacre_iter_last(it);
    unsigned high = scan_backward(it, KEYS - 1);
    CHECK(!nacre_iter_valid(it) && nacre_iter_status(it) == NACRE_CORRUPT, "backward, at %u", high);
    CHECK(low > 1000 && high > low && high - low < 60, "keys %u to %u are missing", low, high);
  }
  nacre_iter_close(it);
  file_flip(segment, offset);
  check_whole(false);
  close_all();
}

/* What cannot be read ahead is read by itself. */
static void check_failing_reads(int workers) {
  open_with(workers, 64 * MIB);
  atomic_store(&no_large_reads, true);
  check_whole(false);
  CHECK(largest_read > LARGE, "nothing was tried");
  atomic_store(&no_large_reads, false);
  close_all();
}

/* ---- in mid-flight ------------------------------------------------------------------------------------- */

/* Point reads of many keys are helped by workers, too. */
static void read_many(test_random *random) {
  enum { MANY = 60 };
  nacre_slice keys[MANY];
  char bytes[MANY][16];
  uint8_t expected[VALUE_BYTES];
  unsigned numbers[MANY];
  nacre_value values[MANY];
  nacre_status statuses[MANY];
  for (int i = 0; i < MANY; i++) {
    numbers[i] = (unsigned)test_random_below(random, KEYS);
    keys[i] = text(key_of(numbers[i], bytes[i]));
  }
  ok(nacre_multi_get(t, MANY, keys, NULL, values, statuses));
  for (int i = 0; i < MANY; i++) {
    bool right = nc_slice_equal(nc_slice(values[i].data, values[i].size), value_of(numbers[i], expected));
    CHECK(right, "key %u", numbers[i]);
    nacre_value_release(&values[i]);
  }
}

static void *break_off(void *arg) {
  test_random random = {.state = (uintptr_t)arg};
  char key[16];
  uint64_t rounds = test_env_number("NACRE_AHEAD_ROUNDS", 20);
  for (uint64_t round = 0; round < rounds; round++) {
    nacre_iter *it = iter_between(NULL, NULL, test_random_chance(&random, 3));
    unsigned at = (unsigned)test_random_below(&random, KEYS / 2);
    nacre_iter_seek(it, text(key_of(at, key)));
    for (int legs = (int)test_random_below(&random, 3); legs >= 0; legs--) {
      unsigned steps = (unsigned)test_random_below(&random, KEYS / 3);
      bool good = is_at(it, at);
      for (unsigned n = 0; n < steps && at + 1 < KEYS && good; n++) {
        nacre_iter_next(it);
        good = n % 16 != 0 || is_at(it, at + 1);
        at++;
      }
      CHECK(good, "not at %u", at);
      if (test_random_chance(&random, 2)) {
        at = (unsigned)test_random_below(&random, KEYS);
        nacre_iter_seek_back(it, text(key_of(at, key)));
      }
    }
    nacre_iter_close(it);
    read_many(&random);
  }
  return NULL;
}

static void check_broken_off(uint64_t cache) {
  pthread_t threads[3];
  open_with(TWO, cache);
  for (int slow = 0; slow < 2; slow++) {
    atomic_store(&delay_us, slow == 0 ? 0 : 1000);
    for (uintptr_t i = 0; i < 3; i++)
      require(pthread_create(&threads[i], NULL, break_off, (void *)(i + 1)) == 0);
    for (size_t i = 0; i < 3; i++) pthread_join(threads[i], NULL);
  }
  atomic_store(&delay_us, 0);
  close_all();
}

/* ---- the budget ---------------------------------------------------------------------------------------- */

/* Many scans at once keep to what a store may hold: it is counted in all that they do. */
static void check_budget(int workers) {
  enum { SCANS = 24 };
  nacre_iter *its[SCANS];
  unsigned at[SCANS];
  char key[16];
  s.options.memory_bytes_max = 3 * MIB;
  s.options.memtable_bytes = 256 << 10;
  open_with(workers, 1 * MIB);
  uint64_t most = 0;
  for (int i = 0; i < SCANS; i++) {
    its[i] = iter_between(NULL, NULL, true);
    at[i] = (unsigned)i * (KEYS / SCANS / 2);
    nacre_iter_seek(its[i], text(key_of(at[i], key)));
  }
  for (int rounds = 0; rounds < 30; rounds++) {
    for (int i = 0; i < SCANS; i++) {
      unsigned to = at[i] + 250;
      for (; at[i] < to && is_at(its[i], at[i]); at[i]++) nacre_iter_next(its[i]);
      CHECK(at[i] == to, "scan %d stopped at %u", i, at[i]);
      nacre_stats stats;
      ok(nacre_table_stats(t, &stats));
      if (stats.memory_bytes > most) most = stats.memory_bytes;
    }
  }
  CHECK(largest_read > LARGE, "nothing was read ahead");
  /* What they have opened comes on top by a block each, and by what workers are about to open. */
  CHECK(most <= 3 * MIB + 4 * MIB + SCANS * 16384, "%llu bytes were held", (unsigned long long)most);
  for (int i = 0; i < SCANS; i++) nacre_iter_close(its[i]);
  close_all();
  s.options.memory_bytes_max = s.options.memtable_bytes = 0;
}

/* Blocks that pack to nothing: what a window opens is many times what it reads. */
static void check_packed_budget(int workers) {
  enum { PACKED = 400, LONG = 96 << 10, PAUSE_EVERY = 16 };
  static const uint8_t zeros[LONG];
  nacre_table_options options = {.compression = NACRE_COMPRESSION_ZSTD};
  nacre_usage usage;
  char key[16];
  unsigned i = 0;
  uint64_t most = 0;
  s.options.memory_bytes_max = 3 * MIB;
  s.options.memtable_bytes = 1 * MIB;
  s.options.workers = workers == NOBODY ? UINT32_MAX : (uint32_t)workers;
  s.options.cache_bytes = 1 * MIB;
  store = site_open(&s);
  ok(nacre_table_create(store, workers == NOBODY ? "packed" : "packed, with workers", &options, &t));
  for (; i < PACKED; i++) ok(nacre_put(t, text(key_of(i, key)), nc_slice(zeros, LONG), NULL));
  ok(nacre_flush(t));
  ok(nacre_compact(t, (nacre_slice){0}, (nacre_slice){0}));
  forget_reads();
  nacre_iter *it = iter_between(NULL, NULL, true);
  nacre_iter_first(it);
  for (i = 0; nacre_iter_valid(it) && slice_is(nacre_iter_key(it), key_of(i, key)); i++) {
    CHECK(nc_slice_equal(nacre_iter_value(it), nc_slice(zeros, LONG)), "the value of %u", i);
    if (i % PAUSE_EVERY == 0) usleep(2000); /* workers may come as far as they are let */
    ok(nacre_store_usage(store, &usage));
    if (usage.memory_bytes > most) most = usage.memory_bytes;
    nacre_iter_next(it);
  }
  CHECK(i == PACKED && nacre_iter_status(it) == NACRE_OK, "the scan stopped at %u", i);
  CHECK(largest_read > LARGE, "nothing was read ahead");
  CHECK(most <= 3 * MIB + 4 * MIB, "%llu bytes were held", (unsigned long long)most);
  nacre_iter_close(it);
  close_all();
  s.options.memory_bytes_max = s.options.memtable_bytes = 0;
}

int main(void) {
  site_make(&s);
  s.quick.file_read = watched_read;
  make();
  note_data_end();
  check_same();
  check_fewer_reads();
  for (int workers = NOBODY; workers <= TWO; workers += TWO - NOBODY) {
    check_short(workers);
    check_bounds(workers, 5000, 5100);
    check_bounds(workers, 3000, 15000);
    check_damage(workers);
    check_failing_reads(workers);
    check_budget(workers);
    check_packed_budget(workers);
  }
  check_broken_off(64 * MIB);
  check_broken_off(NACRE_NONE);
  site_remove(&s);
  return test_finish();
}
