/* SPDX-License-Identifier: Apache-2.0
 *
 * Salvage of stores with random bytes damaged, over and over: what comes out was written, whatever lies in a
 * segment that was not touched comes out, the new store verifies clean, and the source stays as it was.
 *
 * NACRE_TEST_SEED replays a run, NACRE_SALVAGE_ROUNDS sets how many there are.
 */
#include <stdio.h>
#include <stdlib.h>

#include "fixture.h"

enum { KEYS = 400, VERSIONS = 4, FILES_MAX = 32 };

/* Of each key: the versions that were written, in order; 0 for a delete. Version n lies in the n-th file. */
typedef struct history {
  uint32_t written[KEYS][VERSIONS];
  size_t count[KEYS];
} history;

static site s;
static char directory[PATH_BYTES], damaged[PATH_BYTES], fresh[PATH_BYTES];
static history h;

static size_t value_of(uint32_t key, uint32_t version, uint8_t value[128]) {
  size_t size = 20 + (key * 7 + version * 13) % 100;
  test_value_make(value, size, 1, key, version);
  return size;
}

static void write_round(nacre_table *t, test_random *random, uint32_t round) {
  for (uint32_t key = 0; key < KEYS; key++) {
    char name[16];
    uint8_t value[128];
    snprintf(name, sizeof name, "key %05u", key);
    if (round > 0 && test_random_chance(random, 2)) continue;
    bool deletes = round > 0 && test_random_chance(random, 4);
    size_t size = value_of(key, round + 1, value);
    ok(deletes ? nacre_delete(t, text(name), NULL) : nacre_put(t, text(name), nc_slice(value, size), NULL));
    h.written[key][h.count[key]++] = deletes ? 0 : round + 1;
  }
}

static void make(test_random *random) {
  nacre_store *store;
  nacre_table *t = site_table(&s, &store, "table");
  for (uint32_t round = 0; round < VERSIONS; round++) {
    write_round(t, random, round);
    if (round + 1 < VERSIONS) ok(nacre_flush(t));
  }
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  site_table_path(&s, "table", directory);
}

/* ---- damage -------------------------------------------------------------------------------------------- */

typedef struct file_list {
  char names[FILES_MAX][PATH_BYTES]; /* below the table's directory */
  size_t count;
} file_list;

static void list_files(file_list *list) {
  list->count = 0;
  for (unsigned number = 1; number < 100; number++) {
    for (size_t i = 0; i < 3 && list->count < FILES_MAX - 3; i++) {
      char name[64], path[PATH_BYTES];
      snprintf(name, sizeof name, "%020u.%s", number, i == 0 ? "seg" : i == 1 ? "log" : "man");
      join(path, directory, name);
      if (file_is_there(path)) memcpy(list->names[list->count++], name, sizeof name);
    }
  }
  snprintf(list->names[list->count++], PATH_BYTES, "CURRENT");
  snprintf(list->names[list->count++], PATH_BYTES, "KEYS.a");
}

static void damage_file(test_random *random, const char *path) {
  size_t size;
  uint8_t *bytes = file_load(path, &size);
  for (uint64_t n = test_random_below(random, 6) + 1; n > 0 && size > 0; n--) {
    uint64_t at = test_random_below(random, size);
    size_t run = test_random_chance(random, 4) ? (size_t)test_random_below(random, 600) + 1 : 1;
    for (size_t i = 0; i < run && at + i < size; i++)
      bytes[at + i] ^= (uint8_t)(test_random_next(random) | 1);
  }
  if (test_random_chance(random, 6)) size = (size_t)test_random_below(random, size + 1);
  file_store(path, bytes, size);
  free(bytes);
}

/* Damages some of the files; tells which. */
static void damage(test_random *random, const file_list *list, bool touched[FILES_MAX]) {
  const char *uuid = strrchr(directory, '/');
  for (size_t i = 0; i < list->count; i++) {
    char path[PATH_BYTES], inside[PATH_BYTES];
    touched[i] = test_random_chance(random, 3);
    if (!touched[i]) continue;
    join(inside, damaged, uuid + 1);
    join(path, inside, list->names[i]);
    if (test_random_chance(random, 10)) {
      require(remove(path) == 0);
    } else {
      damage_file(random, path);
    }
  }
}

/* ---- what came out ------------------------------------------------------------------------------------- */

static bool was_written(uint32_t key, nacre_slice found, uint32_t *ret_version) {
  uint8_t value[128];
  for (size_t i = 0; i < h.count[key]; i++) {
    uint32_t version = h.written[key][i];
    if (version == 0) continue;
    size_t size = value_of(key, version, value);
    if (!nc_slice_equal(found, nc_slice(value, size))) continue;
    *ret_version = version;
    return true;
  }
  return false;
}

/* The n-th flush is the n-th segment: an untouched one gives its versions, unless newer ones hide them. */
static void check_key(nacre_table *t, uint32_t key, const bool whole[VERSIONS]) {
  char name[16];
  nacre_value v;
  uint32_t found = 0, expected = 0;
  snprintf(name, sizeof name, "key %05u", key);
  nacre_status status = nacre_get(t, text(name), NULL, &v);
  if (status == NACRE_OK) {
    CHECK(was_written(key, nc_slice(v.data, v.size), &found), "%s holds what was never written", name);
    nacre_value_release(&v);
  } else {
    CHECK(status == NACRE_NOT_FOUND, "%s: %s", name, nacre_status_name(status));
  }
  bool hidden = false; /* by a version of a round that was not touched */
  for (size_t i = h.count[key]; i > 0 && !hidden; i--) {
    uint32_t version = h.written[key][i - 1];
    if (version == 0) return; /* a delete may or may not have come out: what it hides may, too */
    expected = version;
    hidden = whole[version - 1];
  }
  if (hidden) CHECK(found >= expected, "%s: version %u instead of %u or newer", name, found, expected);
}

static void check_fresh(const bool whole[VERSIONS], uint64_t keys) {
  nacre_store *store;
  nacre_table *t;
  nacre_store_options o = s.options;
  o.create = false;
  ok(nacre_open(fresh, &o, &store));
  ok(nacre_table_open(store, "table", NULL, &t));
  CHECK(nacre_verify(t, NULL, NULL) == NACRE_OK, "the new store does not verify");
  nacre_iter *it;
  uint64_t count = 0;
  ok(nacre_iter_open(t, NULL, &it));
  for (nacre_iter_first(it); nacre_iter_valid(it); nacre_iter_next(it)) count++;
  nacre_iter_close(it);
  CHECK(count == keys, "%llu keys instead of %llu", (unsigned long long)count, (unsigned long long)keys);
  for (uint32_t key = 0; key < KEYS; key++) check_key(t, key, whole);
  ok(nacre_table_close(t));
  ok(nacre_close(store));
}

static void one_round(test_random *random, const file_list *list) {
  bool touched[FILES_MAX] = {false}, whole[VERSIONS] = {false};
  size_t segments = 0;
  test_scratch_remove(damaged);
  test_scratch_remove(fresh);
  tree_copy(s.store, damaged);
  damage(random, list, touched);
  for (size_t i = 0; i < list->count && segments < VERSIONS; i++) {
    if (strstr(list->names[i], ".seg") != NULL) whole[segments++] = !touched[i];
  }
  uint64_t before = tree_digest(damaged, NULL);
  nacre_store_options source = s.options;
  source.create = false;
  nacre_salvage_options options = {
      .to = fresh, .source = &source, .beyond_gaps = test_random_chance(random, 2)};
  nacre_salvage_report report;
  nacre_status status = nacre_salvage(damaged, "table", &options, &report);
  CHECK(tree_digest(damaged, NULL) == before, "the source has changed");
  bool nothing = status == NACRE_CORRUPT && !whole[0] && !whole[1] && !whole[2];
  if (CHECK(status == NACRE_OK || nothing, "%s", nacre_status_name(status)) && status == NACRE_OK)
    check_fresh(whole, report.keys);
  nacre_faults_free(report.faults);
}

int main(void) {
  test_random random = {test_seed("salvage_random", 20241121)};
  uint64_t rounds = test_env_number("NACRE_SALVAGE_ROUNDS", 60);
  file_list list;
  site_make(&s);
  join(damaged, s.path, "damaged");
  join(fresh, s.path, "new");
  make(&random);
  list_files(&list);
  for (uint64_t i = 0; i < rounds; i++) one_round(&random, &list);
  site_remove(&s);
  return test_finish();
}
