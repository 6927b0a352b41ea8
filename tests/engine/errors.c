/* SPDX-License-Identifier: Apache-2.0
 *
 * Every error id of this floor is raised by one of its tests, or stands here with the reason why it is not.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "fixture.h"

static const struct {
  uint32_t id;
  const char *why;
} excused[] = {
    {NC_E_THREAD, "a thread cannot be started only where the system's limit is reached"},
};

static bool is_excused(uint32_t id) {
  for (size_t i = 0; i < sizeof excused / sizeof excused[0]; i++) {
    if (excused[i].id == id) return true;
  }
  return false;
}

/* All sources of these tests but this one, one behind the other; the caller frees. */
static char *all_sources(void) {
  size_t size = 0, capacity = 0;
  char *all = NULL;
  DIR *dir = opendir(TEST_SOURCE_DIR);
  require(dir != NULL);
  for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
    size_t length = strlen(entry->d_name), part;
    if (length < 3 || strcmp(entry->d_name + length - 2, ".c") != 0 || strcmp(entry->d_name, "errors.c") == 0)
      continue;
    char path[PATH_BYTES];
    join(path, TEST_SOURCE_DIR, entry->d_name);
    uint8_t *bytes = file_load(path, &part);
    while (size + part >= capacity) all = test_grow(all, capacity, &capacity, 1);
    memcpy(all + size, bytes, part);
    size += part;
    free(bytes);
  }
  closedir(dir);
  require(all != NULL);
  all[size] = '\0';
  return all;
}

/* Whether "NC_E_<name>" stands there as a whole word. */
static bool mentions(const char *all, const char *name) {
  char word[80];
  size_t length = (size_t)snprintf(word, sizeof word, "NC_E_%s", name);
  for (const char *at = all; (at = strstr(at, word)) != NULL; at += length) {
    if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ_", at[length]) == NULL) return true;
  }
  return false;
}

Test(errors, every_id_is_raised_or_excused) {
  char *all = all_sources();
  for (size_t i = 0; nc_error_info_at(i) != NULL; i++) {
    const nc_error_info *info = nc_error_info_at(i);
    if (info->id < 3000 || info->id >= 4000) continue;
    cr_expect(mentions(all, info->name) != is_excused(info->id), "%u %s", (unsigned)info->id, info->name);
  }
  free(all);
}
