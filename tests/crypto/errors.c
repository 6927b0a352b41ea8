/* SPDX-License-Identifier: Apache-2.0
 *
 * Every error id of this floor is raised by one of its tests, or stands here with the reason why it is not.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "support.h"

static const struct {
  uint32_t id;
  const char *why;
} excused[] = {
    {NC_E_RANDOM, "getrandom(2) fails only where it is not permitted, and never goes through nacre_io"},
    {NC_E_FILE_FULL, "it takes a file of 1 TiB"},
};

static bool is_excused(uint32_t id) {
  for (size_t i = 0; i < sizeof excused / sizeof excused[0]; i++) {
    if (excused[i].id == id) return true;
  }
  return false;
}

/* All sources of these tests, one after another; the caller frees. */
static char *all_sources(void) {
  static const char folder[] = TEST_SOURCE_DIR;
  size_t size = 0, capacity = (size_t)4 << 20;
  char *text = malloc(capacity), path[512];
  DIR *dir = opendir(folder);
  cr_assert(text != NULL && dir != NULL);
  for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
    size_t length = strlen(entry->d_name);
    if (length < 3 || strcmp(entry->d_name + length - 2, ".c") != 0 || strcmp(entry->d_name, "errors.c") == 0)
      continue;
    snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file);
    size += fread(text + size, 1, capacity - size - 1, file);
    fclose(file);
  }
  closedir(dir);
  text[size] = 0;
  return text;
}

/* Whether "NC_E_<name>" stands in the text as a whole word. */
static bool mentions(const char *text, const char *name) {
  char word[80];
  size_t length = (size_t)snprintf(word, sizeof word, "NC_E_%s", name);
  for (const char *at = text; (at = strstr(at, word)) != NULL; at += length) {
    if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ_", at[length]) == NULL) return true;
  }
  return false;
}

Test(errors, every_id_is_raised_or_excused) {
  char *text = all_sources();
  for (size_t i = 0; nc_error_info_at(i) != NULL; i++) {
    const nc_error_info *info = nc_error_info_at(i);
    if (info->id < 2000 || info->id >= 3000) continue;
    cr_expect(mentions(text, info->name) != is_excused(info->id), "%u %s", (unsigned)info->id, info->name);
  }
  free(text);
}
