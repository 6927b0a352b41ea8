/* SPDX-License-Identifier: Apache-2.0
 *
 * outside: see outside.h.
 */
#include "outside.h"

#include <stdio.h>
#include <stdlib.h>

enum { LEVELS_MAX = 64 };

static nacre_status holds_directory(const nc_dir *dir, const char *name, bool *ret_holds, nacre_error *err) {
  nc_dir inside;
  nacre_error why;
  nacre_status status = nc_dir_open_at(dir, name, &inside, &why);
  *ret_holds = status == NACRE_OK;
  if (*ret_holds) nc_dir_close(&inside);
  return status == NACRE_NO_MEMORY ? nc_fail_with(err, &why) : NACRE_OK;
}

/* Cuts the last component off: "a/b" to "a", "b" to ".". */
static void cut_last(char *path) {
  size_t size = strlen(path);
  while (size > 1 && path[size - 1] == '/') size--;
  while (size > 0 && path[size - 1] != '/') size--;
  if (size == 0) path[size++] = '.';
  path[size] = '\0';
}

/* Goes up from the directory that holds `to`, as the file system sees it, past symbolic links. A directory
 * that cannot be opened ends the way up: a store cannot be made through it either. */
static nacre_status look_upwards(nc_env *env, char *path, const char *name, nc_error_id id,
                                 nacre_error *err) {
  for (int level = 0; level < LEVELS_MAX; level++) {
    nc_dir dir;
    nacre_error why;
    bool holds = false;
    nacre_status status = nc_dir_open(env, path, false, &dir, &why);
    if (status == NACRE_NO_MEMORY) return nc_fail_with(err, &why);
    if (status != NACRE_OK) return NACRE_OK;
    status = holds_directory(&dir, name, &holds, err);
    nc_dir_close(&dir);
    NC_TRY(status);
    if (holds) return nc_fail(err, id, NULL);
    memcpy(path + strlen(path), "/..", 4);
  }
  return NACRE_OK;
}

nacre_status nc_check_outside(nc_env *env, const char *to, const char *name, nc_error_id id,
                              nacre_error *err) {
  size_t size = strlen(to) + 3 * (LEVELS_MAX + 1) + 1;
  char *path = malloc(size);
  if (path == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  snprintf(path, size, "%s", to);
  nc_dir there;
  if (nc_dir_open(env, path, false, &there, NULL) == NACRE_OK) {
    nc_dir_close(&there);
    memcpy(path + strlen(path), "/..", 4);
  } else {
    cut_last(path);
  }
  nacre_status status = look_upwards(env, path, name, id, err);
  free(path);
  return status;
}
