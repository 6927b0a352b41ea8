/* SPDX-License-Identifier: Apache-2.0
 *
 * multi_get: many keys at once get the answers that each would get alone: versions, deletes, moments, large values,
 * damage; in whatever order they come, and with each block read once.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "one_table.h"

enum { KEYS = 3000, BATCH_MAX = 400 };

static size_t reads; /* of any file */

static int counted_read(void *context, nacre_io_file *file, uint64_t offset, void *buffer, size_t size,
                        size_t *ret_read) {
  reads++;
  return nacre_io_posix()->file_read(context, file, offset, buffer, size, ret_read);
}

static void setup(void) {
  site_make(&s);
  s.quick.file_read = counted_read;
  one_table_open();
}
TestSuite(multi_get, .init = setup, .fini = one_table_remove);

static nacre_slice key_of(uint64_t i, char key[16]) {
  snprintf(key, 16, "%06llu", (unsigned long long)i);
  return text(key);
}

/* Some keys many times, some never, in the memtable and in several runs; range deletes, expiring and large values. */
static void fill(test_random *random) {
  static char value[70000];
  char key[16], other[16];
  memset(value, 'v', sizeof value);
  for (int i = 1; i < 6000; i++) {
    uint64_t at = test_random_below(random, KEYS), to = at + test_random_below(random, 20);
    nacre_write_options expiring = {.expire_at_ms = test_random_chance(random, 2) ? 1 : 4102444800000u};
    snprintf(value, 16, "%d", i);
    size_t size = test_random_chance(random, 300) ? sizeof value : 16 + test_random_below(random, 100);
    bool expires = test_random_chance(random, 10);
    if (test_random_chance(random, 8)) {
      ok(nacre_delete(t, key_of(at, key), NULL));
    } else {
      ok(nacre_put(t, key_of(at, key), nc_slice(value, size), expires ? &expiring : NULL));
    }
    if (test_random_chance(random, 200)) ok(nacre_delete_range(t, key_of(at, key), key_of(to, other), NULL));
    if (test_random_chance(random, 900)) ok(nacre_flush(t));
    if (i == 3000) compact_all();
  }
}

static bool same_value(const nacre_value *a, const nacre_value *b) {
  return nc_slice_equal(nc_slice(a->data, a->size), nc_slice(b->data, b->size));
}

/* Asks for some keys together, and then for each alone; returns how many could not be read. */
static size_t check_batch(const nacre_slice *keys, size_t count, const nacre_read_options *options) {
  static nacre_value values[BATCH_MAX], alone;
  static nacre_status statuses[BATCH_MAX];
  nacre_error together, single;
  size_t failed = 0;
  nacre_status whole = nacre_multi_get(t, count, keys, options, values, statuses), expected = NACRE_OK;
  nacre_last_error(&together);
  for (size_t i = 0; i < count; i++) {
    nacre_status status = nacre_get(t, keys[i], options, &alone);
    cr_assert_eq(statuses[i], status, "key %zu: %s instead of %s", i, nacre_status_name(statuses[i]),
                 nacre_status_name(status));
    if (status == NACRE_OK) {
      cr_assert(same_value(&values[i], &alone), "key %zu", i);
    } else {
      cr_assert(values[i].data == NULL && values[i].pin == NULL, "key %zu has a value", i);
    }
    if (status != NACRE_OK && status != NACRE_NOT_FOUND && failed++ == 0) {
      expected = status;
      nacre_last_error(&single);
      cr_assert(together.id == single.id && together.offset == single.offset &&
                    strcmp(together.file, single.file) == 0,
                "%s instead of %s", together.text, single.text);
    }
    nacre_value_release(&values[i]);
    nacre_value_release(&alone);
  }
  cr_assert_eq(whole, expected);
  return failed;
}

static size_t check_random(test_random *random, int rounds, const nacre_snapshot *snapshot) {
  static nacre_slice keys[BATCH_MAX];
  static char bytes[BATCH_MAX][16];
  size_t failed = 0;
  for (int round = 0; round < rounds; round++) {
    size_t count = test_random_below(random, round % 4 == 0 ? BATCH_MAX : 12);
    uint64_t from = test_random_below(random, KEYS), spread = test_random_chance(random, 2) ? KEYS + 50 : 60;
    for (size_t i = 0; i < count; i++)
      keys[i] = key_of((from + test_random_below(random, spread)) % (KEYS + 50), bytes[i]);
    if (count > 0 && test_random_chance(random, 20)) keys[0] = (nacre_slice){NULL, 5};
    if (count > 0 && test_random_chance(random, 20)) keys[count - 1] = text("");
    nacre_read_options options = {.snapshot = snapshot, .no_cache_fill = test_random_chance(random, 2)};
    failed += check_batch(keys, count, &options);
  }
  return failed;
}

Test(multi_get, the_answers_are_those_of_single_gets) {
  static const uint64_t caches[] = {0, NACRE_NONE, 1 << 20};
  test_random random = {.state = test_env_number("NACRE_SEED", 11)};
  nacre_snapshot *snapshot;
  fill(&random);
  ok(nacre_snapshot_take(t, &snapshot));
  fill(&random);
  check_random(&random, 60, NULL);
  check_random(&random, 60, snapshot);
  nacre_snapshot_release(snapshot);
  for (size_t i = 0; i < sizeof caches / sizeof *caches; i++) {
    s.options.cache_bytes = caches[i];
    one_table_reopen();
    check_random(&random, 60, NULL);
  }
}

/* A key of many versions, whose older ones stand in the blocks behind. */
Test(multi_get, versions_that_fill_blocks_are_passed) {
  nacre_slice keys[5] = {text("a"), text("b"), text("c"), text("b"), text("d")};
  char value[200];
  nacre_snapshot *snapshots[20];
  for (int i = 0; i < 400; i++) {
    memset(value, 'a' + i % 26, sizeof value);
    ok(nacre_put(t, keys[1], nc_slice(value, sizeof value), NULL));
    if (i % 20 == 0) ok(nacre_snapshot_take(t, &snapshots[i / 20]));
  }
  put_text(t, "a", "1", false);
  put_text(t, "c", "3", false);
  ok(nacre_flush(t));
  for (int i = 0; i < 20; i++) {
    check_batch(keys, 5, &(nacre_read_options){.snapshot = snapshots[i]});
    nacre_snapshot_release(snapshots[i]);
  }
}

Test(multi_get, damage_is_told_of_the_keys_that_it_hits) {
  test_random random = {.state = 3};
  char directory[PATH_BYTES], segment[PATH_BYTES];
  fill(&random);
  ok(nacre_flush(t));
  compact_all();
  one_table_close();
  site_table_path(&s, "table", directory);
  only_file(directory, ".seg", segment);
  file_flip(segment, 8192 + 9000);
  file_flip(segment, 8192 + 30000);
  one_table_open();
  size_t failed = check_random(&random, 60, NULL);
  cr_assert(failed > 10, "%zu", failed);
}

/* Keys of one block ask for it once, whatever their order; and a warm cache is not asked of the disk at all. */
Test(multi_get, each_block_is_read_once) {
  nacre_slice keys[BATCH_MAX];
  char bytes[BATCH_MAX][16];
  nacre_value values[BATCH_MAX];
  nacre_status statuses[BATCH_MAX];
  for (uint64_t i = 0; i < BATCH_MAX; i++)
    put_text(t, (const char *)key_of(i, bytes[i]).data, "a value", false);
  ok(nacre_flush(t));
  s.options.cache_bytes = NACRE_NONE;
  one_table_reopen();
  ok(nacre_wait_idle(t));
  for (uint64_t i = 0; i < 100; i++) keys[i] = key_of((i * 37) % 100, bytes[i]);
  ok(nacre_multi_get(t, 100, keys, NULL, values, statuses)); /* opens the file */
  for (size_t i = 0; i < 100; i++) nacre_value_release(&values[i]);
  reads = 0;
  ok(nacre_multi_get(t, 100, keys, NULL, values, statuses));
  for (size_t i = 0; i < 100; i++) {
    cr_assert(slice_is(nc_slice(values[i].data, values[i].size), "a value"));
    nacre_value_release(&values[i]);
  }
  cr_assert(reads > 0 && reads < 5, "%zu reads for 100 keys that stand in a row", reads);
}
