/* SPDX-License-Identifier: Apache-2.0
 *
 * large_site: see large_site.h.
 */
#include "large_site.h"

#include <stdio.h>
#include <stdlib.h>

large_site large;

void large_directory(const char *name, char path[PATH_BYTES]) {
  nacre_table_infos *infos;
  ok(nacre_table_list(large.store, &infos));
  for (size_t i = 0; i < nacre_table_infos_count(infos); i++) {
    const nacre_table_info *info = nacre_table_infos_at(infos, i);
    if (strcmp(info->name, name) == 0) join(path, large.s.store, info->uuid);
  }
  nacre_table_infos_free(infos);
}

void large_open_table(void) {
  ok(nacre_open(large.s.store, &large.s.options, &large.store));
  nacre_table_options options = {.large_value_bytes = LARGE_THRESHOLD};
  if (nacre_table_open(large.store, "table", NULL, &large.t) != NACRE_OK)
    ok(nacre_table_create(large.store, "table", &options, &large.t));
  large_directory("table", large.directory);
}

void large_close_table(void) {
  ok(nacre_table_close(large.t));
  ok(nacre_close(large.store));
}

void large_reopen(void) {
  large_close_table();
  large_open_table();
}

void large_make(void) {
  site_make(&large.s);
  large_open_table();
}

void large_remove(void) {
  large_close_table();
  site_remove(&large.s);
}

uint8_t *large_value(uint64_t key, uint64_t version, size_t size) {
  uint8_t *bytes = test_alloc(size);
  test_value_make(bytes, size, 7, key, version);
  return bytes;
}

nacre_slice large_key(uint64_t key, char bytes[24]) {
  return nc_slice(bytes, (size_t)snprintf(bytes, 24, "key %06u", (unsigned)key));
}

void large_put(uint64_t key, uint64_t version, size_t size) {
  char bytes[24];
  uint8_t *value = large_value(key, version, size);
  ok(nacre_put(large.t, large_key(key, bytes), nc_slice(value, size), NULL));
  free(value);
}

void large_erase(uint64_t key) {
  char bytes[24];
  ok(nacre_delete(large.t, large_key(key, bytes), NULL));
}

bool large_has(uint64_t key, uint64_t version, size_t size, const nacre_snapshot *snapshot) {
  char bytes[24];
  nacre_read_options options = {.snapshot = snapshot};
  nacre_value value;
  uint8_t *expected = large_value(key, version, size);
  ok(nacre_get(large.t, large_key(key, bytes), &options, &value));
  bool same = value.size == size && memcmp(value.data, expected, size) == 0;
  nacre_value_release(&value);
  free(expected);
  return same;
}

size_t large_files(void) { return count_files(large.directory, ".val"); }

void large_compact(void) {
  nacre_slice all = {NULL, 0};
  ok(nacre_compact(large.t, all, all));
}
