/* SPDX-License-Identifier: Apache-2.0
 *
 * seed: see seed.h.
 */
#include "seed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { SEED_BYTES_MAX = 64 * 1024, PATH_BYTES_MAX = 4096 };

static __attribute__((noreturn)) void fail(const char *path) {
  perror(path);
  exit(2);
}

static void make_directory(const char *path) {
  if (mkdir(path, 0777) != 0 && errno != EEXIST) fail(path);
}

static void write_file(const char *path, nacre_slice bytes) {
  FILE *file = fopen(path, "wb");
  if (file == NULL || fwrite(bytes.data, 1, bytes.size, file) != bytes.size || fclose(file) != 0) fail(path);
}

static bool holds(const char *path, nacre_slice bytes) {
  static uint8_t found[SEED_BYTES_MAX + 1];
  FILE *file = fopen(path, "rb");
  if (file == NULL) return false;
  size_t size = fread(found, 1, sizeof found, file);
  (void)fclose(file);
  return nc_slice_equal(nc_slice(found, size), bytes);
}

seed_place seed_begin(int argc, char **argv) {
  seed_place place = {.check = argc == 3 && strcmp(argv[1], "--check") == 0};
  if (argc != (place.check ? 3 : 2)) {
    (void)fprintf(stderr, "usage: [--check] DIRECTORY\n");
    exit(2);
  }
  place.directory = argv[argc - 1];
  if (!place.check) make_directory(place.directory);
  return place;
}

void seed(seed_place *place, const char *target, const char *name, nacre_slice bytes) {
  char path[PATH_BYTES_MAX];
  (void)snprintf(path, sizeof path, "%s/%s", place->directory, target);
  if (!place->check) make_directory(path);
  (void)snprintf(path, sizeof path, "%s/%s/%s", place->directory, target, name);
  place->made++;
  if (!place->check) {
    write_file(path, bytes);
  } else if (!holds(path, bytes)) {
    (void)fprintf(stderr, "%s is not what is made now\n", path);
    place->stale++;
  }
}

int seed_end(const seed_place *place) {
  (void)printf("%u passed, %u failed\n", place->made - place->stale, place->stale);
  return place->stale == 0 ? 0 : 1;
}
