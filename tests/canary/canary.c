/* SPDX-License-Identifier: Apache-2.0
 *
 * The canary on disk. Marked keys, values and table names go through a store: logged, flushed, merged, logged
 * again. Every byte that is ever written, and every byte of every file that is there at several moments,
 * names included, is searched for them, and for every key that the store used (collected where keys are
 * derived, by link-time wrapping): 0 hits. The same scanner must first find every one of them in a plain file
 * and in a file's name.
 *
 * Environment: NACRE_TEST_SEED; NACRE_CANARY_ENTRIES, entries a table.
 */
#include <nacre/nacre.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "derive.h"
#include "marker_set.h"
#include "support.h"

enum { TABLES = 4, NOISE_BYTES = 16, KEY_BYTES = 64, VALUE_BYTES = 6000 };
enum { LARGE = 5000 }; /* digits: more than the tables keep in a log */

static const char text_marker[] = "canary in plain text, do not find me";

static marker_set *markers, *keys; /* what users store; what the store seals with */

/* ---- the store's own keys ------------------------------------------------------------------------------ */

nacre_status __real_nc_derive(nc_env *env, const uint8_t key[NC_DERIVE_KEY_BYTES], nc_label label,
                              nacre_slice context, uint8_t *out, size_t size, nacre_error *err);
nacre_status __wrap_nc_derive(nc_env *env, const uint8_t key[NC_DERIVE_KEY_BYTES], nc_label label,
                              nacre_slice context, uint8_t *out, size_t size, nacre_error *err);

/* Root keys, table keys and file keys come in; what comes out is a key as well, but for the commitments,
 * which are stored. */
nacre_status __wrap_nc_derive(nc_env *env, const uint8_t key[NC_DERIVE_KEY_BYTES], nc_label label,
                              nacre_slice context, uint8_t *out, size_t size, nacre_error *err) {
  nacre_status status = __real_nc_derive(env, key, label, context, out, size, err);
  if (keys == NULL || status != NACRE_OK) return status;
  marker_set_add(keys, "a key", key, NC_DERIVE_KEY_BYTES);
  if (label != NC_LABEL_KEK_COMMIT && label != NC_LABEL_DEK_COMMIT && size >= NC_DERIVE_KEY_BYTES)
    marker_set_add(keys, "a derived key", out, NC_DERIVE_KEY_BYTES);
  return status;
}

/* ---- the disk, overheard ------------------------------------------------------------------------------- */

static atomic_uint_fast64_t written_bytes, overheard;

static void overhear(const void *bytes, size_t size, const char *where) {
  atomic_fetch_add(&written_bytes, size);
  atomic_fetch_add(&overheard,
                   marker_set_scan(markers, bytes, size, where) + marker_set_scan(keys, bytes, size, where));
}

static int hearing_write(void *context, nacre_io_file *file, uint64_t offset, const void *buffer,
                         size_t size) {
  overhear(buffer, size, "a write");
  return nacre_io_posix()->file_write(context, file, offset, buffer, size);
}

static void hearing_store(void *context, nacre_io_map *map, uint64_t offset, const void *bytes, size_t size) {
  overhear(bytes, size, "a store into a log");
  nacre_io_posix()->map_store(context, map, offset, bytes, size);
}

static int hearing_create(void *context, nacre_io_dir *dir, const char *name, nacre_io_file **ret_file) {
  overhear(name, strlen(name), "a file name");
  return nacre_io_posix()->file_create(context, dir, name, ret_file);
}

static int hearing_mkdir(void *context, nacre_io_dir *parent, const char *name) {
  overhear(name, strlen(name), "a directory name");
  return nacre_io_posix()->dir_create_at(context, parent, name);
}

static int hearing_rename(void *context, nacre_io_dir *dir, const char *from, const char *to) {
  overhear(to, strlen(to), "a file name");
  return nacre_io_posix()->rename(context, dir, from, to);
}

static nacre_io hearing_io(void) {
  nacre_io io = *nacre_io_posix();
  io.file_write = hearing_write;
  io.map_store = hearing_store;
  io.file_create = hearing_create;
  io.dir_create_at = hearing_mkdir;
  io.rename = hearing_rename;
  return io;
}

/* ---- what is stored ------------------------------------------------------------------------------------ */

typedef struct entry {
  uint8_t key[KEY_BYTES], value[VALUE_BYTES];
  size_t key_size, value_size;
} entry;

/* Noise that no compression can hide, the number in text, and one text that all share. */
static void make_entry(uint64_t seed, unsigned table, unsigned i, entry *ret_entry) {
  test_random random = {test_mix(test_mix(seed, table), i)};
  entry e = {0};
  test_random_fill(&random, e.key, NOISE_BYTES);
  e.key_size = NOISE_BYTES + (size_t)snprintf((char *)e.key + NOISE_BYTES, KEY_BYTES - NOISE_BYTES,
                                              "%06u.%u key of a canary", i, table);
  test_random_fill(&random, e.value, NOISE_BYTES);
  e.value_size = NOISE_BYTES + (size_t)snprintf((char *)e.value + NOISE_BYTES, VALUE_BYTES - NOISE_BYTES,
                                                "%06u.%u %s; %0*d", i, table, text_marker,
                                                i % 64 == 9 ? LARGE : (int)test_random_below(&random, 300), 0);
  *ret_entry = e;
}

static void make_name(uint64_t seed, unsigned table, char name[KEY_BYTES]) {
  snprintf(name, KEY_BYTES, "%016llx canary table", (unsigned long long)test_mix(seed, 1000 + table));
}

static void add_markers(uint64_t seed, unsigned entries) {
  char name[KEY_BYTES];
  entry e;
  marker_set_add(markers, "the common text", text_marker, strlen(text_marker));
  for (unsigned table = 0; table < TABLES; table++) {
    make_name(seed, table, name);
    marker_set_add(markers, "a table name", name, strlen(name));
    for (unsigned i = 0; i < entries; i++) {
      make_entry(seed, table, i, &e);
      marker_set_add(markers, "a key's noise", e.key, NOISE_BYTES);
      marker_set_add(markers, "a key's text", e.key + NOISE_BYTES, 12);
      marker_set_add(markers, "a value's noise", e.value, NOISE_BYTES);
      marker_set_add(markers, "a value's text", e.value + NOISE_BYTES, 16);
    }
  }
}

/* The scanner finds everything where it is in plain sight, at whatever offset. */
static void check_scanner(uint64_t seed, unsigned entries, const char *scratch) {
  char path[300], name[KEY_BYTES];
  uint64_t bytes = 0;
  entry e;
  test_path(path, sizeof path, scratch, "plain");
  FILE *file = fopen(path, "wbe");
  if (file == NULL) test_die("cannot write %s", path);
  for (unsigned table = 0; table < TABLES; table++) {
    make_name(seed, table, name);
    fprintf(file, "%s\n", name);
    for (unsigned i = 0; i < entries; i++) {
      make_entry(seed, table, i, &e);
      fwrite(e.key, 1, e.key_size, file);
      fwrite(e.value, 1, e.value_size, file);
    }
  }
  fclose(file);
  marker_set_scan_tree(markers, path, false, &bytes);
  CHECK(marker_set_unfound(markers) == 0, "the scanner misses %zu of %zu markers in plain sight",
        marker_set_unfound(markers), marker_set_count(markers));
  remove(path);
  test_path(path, sizeof path, scratch, name);
  file = fopen(path, "wbe");
  if (file == NULL) test_die("cannot write %s", path);
  fclose(file);
  CHECK(marker_set_scan_tree(markers, path, false, &bytes) == 1,
        "the scanner misses a marker in a file's name");
  remove(path);
}

/* ---- the store ----------------------------------------------------------------------------------------- */

static void must(nacre_status status, const char *what) {
  nacre_error error;
  nacre_last_error(&error);
  if (!CHECK(status == NACRE_OK, "%s: %s: %s", what, nacre_status_name(status), error.text))
    exit(test_finish());
}

static void scan_store(const char *path, const char *when, uint64_t *bytes) {
  uint64_t before = *bytes;
  uint64_t hits =
      marker_set_scan_tree(markers, path, true, bytes) + marker_set_scan_tree(keys, path, true, bytes);
  CHECK(hits == 0, "%s: %llu hits", when, (unsigned long long)hits);
  CHECK(*bytes > before, "%s: there was nothing to scan", when);
}

static void write_entries(nacre_table *table, uint64_t seed, unsigned index, unsigned from, unsigned to) {
  entry e;
  for (unsigned i = from; i < to; i++) {
    make_entry(seed, index, i, &e);
    must(nacre_put(table, (nacre_slice){e.key, e.key_size}, (nacre_slice){e.value, e.value_size}, NULL),
         "put");
  }
}

static uint64_t run_store(const char *path, const char *key_uri, uint64_t seed, unsigned entries) {
  nacre_io io = hearing_io();
  nacre_store_options options = {
      .create = true, .default_key = {.uri = key_uri}, .memtable_bytes = 64 * 1024, .io = &io};
  nacre_slice unbounded = {NULL, 0};
  nacre_store *store = NULL;
  nacre_table *tables[TABLES];
  char name[KEY_BYTES];
  uint64_t bytes = 0;
  must(nacre_open(path, &options, &store), "open");
  for (unsigned i = 0; i < TABLES; i++) {
    nacre_table_options table_options = {.compression = (nacre_compression)i, .large_value_bytes = 4096};
    make_name(seed, i, name);
    must(nacre_table_create(store, name, &table_options, &tables[i]), "create a table");
    write_entries(tables[i], seed, i, 0, entries / 2);
  }
  scan_store(path, "while writing", &bytes);
  for (unsigned i = 0; i < TABLES; i++) {
    must(nacre_flush(tables[i]), "flush");
    must(nacre_compact(tables[i], unbounded, unbounded), "compact");
    write_entries(tables[i], seed, i, entries / 2, entries);
    must(nacre_verify(tables[i], NULL, NULL), "verify");
  }
  scan_store(path, "with segments, merged segments and live logs", &bytes);
  for (unsigned i = 0; i < TABLES; i++) must(nacre_table_close(tables[i]), "close a table");
  make_name(seed, 1, name);
  must(nacre_table_rename(store, name, "renamed table"), "rename a table");
  make_name(seed, 0, name);
  must(nacre_table_drop(store, name), "drop a table");
  must(nacre_close(store), "close");
  scan_store(path, "after closing", &bytes);
  return bytes;
}

int main(void) {
  char scratch[200], path[300], key_uri[300];
  double started = test_seconds();
  uint64_t seed = test_seed("canary", 20260105);
  unsigned entries = (unsigned)test_env_number("NACRE_CANARY_ENTRIES", 1500);
  markers = marker_set_create();
  keys = marker_set_create();
  test_scratch_make(scratch, sizeof scratch, "canary");
  test_path(path, sizeof path, scratch, "store");
  test_key_uri(key_uri, sizeof key_uri, scratch);
  add_markers(seed, entries);
  check_scanner(seed, entries, scratch);
  uint64_t bytes = run_store(path, key_uri, seed, entries);
  uint64_t in_keyring = 0;
  test_path(path, sizeof path, scratch, "keyring");
  CHECK(marker_set_scan_tree(keys, path, false, &in_keyring) > 0,
        "the scanner misses the root key in the keyring");
  CHECK(atomic_load(&overheard) == 0, "%llu hits in what was written",
        (unsigned long long)atomic_load(&overheard));
  CHECK(atomic_load(&written_bytes) > 0, "nothing was overheard");
  printf(
      "canary: %zu markers and %zu keys; %llu bytes of files and %llu bytes of writes scanned, %llu "
      "failures; %.1f s, "
      "seed %llu\n",
      marker_set_count(markers), marker_set_count(keys), (unsigned long long)bytes,
      (unsigned long long)atomic_load(&written_bytes), (unsigned long long)test_failures(),
      test_seconds() - started, (unsigned long long)seed);
  marker_set_destroy(markers);
  marker_set_destroy(keys);
  test_scratch_remove(scratch);
  return test_finish();
}
