/* SPDX-License-Identifier: Apache-2.0
 *
 * The shared parts of the plain test programs. The tally is the one piece of global state: a program has one
 * verdict.
 */
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { FAILURES_SHOWN = 20 };

static atomic_uint_fast64_t passed, failed;

static uint64_t spread(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

uint64_t test_random_next(test_random *random) {
  random->state += 0x9e3779b97f4a7c15u;
  return spread(random->state);
}

uint64_t test_random_below(test_random *random, uint64_t bound) { return test_random_next(random) % bound; }

bool test_random_chance(test_random *random, uint64_t one_in) {
  return test_random_below(random, one_in) == 0;
}

void test_random_fill(test_random *random, void *bytes, size_t size) {
  uint8_t *out = bytes;
  while (size > 0) {
    uint64_t word = test_random_next(random);
    size_t part = size < sizeof word ? size : sizeof word;
    memcpy(out, &word, part);
    out += part;
    size -= part;
  }
}

uint64_t test_mix(uint64_t a, uint64_t b) { return spread(spread(a + 0x9e3779b97f4a7c15u) ^ b); }

uint64_t test_env_number(const char *name, uint64_t fallback) {
  const char *text = getenv(name);
  if (text == NULL || *text == '\0') return fallback;
  char *end = NULL;
  errno = 0;
  unsigned long long number = strtoull(text, &end, 0);
  if (errno != 0 || *end != '\0') test_die("%s=%s is not a number", name, text);
  return number;
}

uint64_t test_seed(const char *program, uint64_t fallback) {
  uint64_t seed = test_env_number("NACRE_TEST_SEED", fallback);
  printf("%s: seed %llu (NACRE_TEST_SEED replays it)\n", program, (unsigned long long)seed);
  fflush(stdout);
  return seed;
}

double test_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

bool test_check(bool ok, const char *file, int line, const char *format, ...) {
  if (ok) {
    atomic_fetch_add(&passed, 1);
    return true;
  }
  if (atomic_fetch_add(&failed, 1) < FAILURES_SHOWN) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "FAILED %s:%d: %s\n", file, line, text);
  }
  return false;
}

uint64_t test_failures(void) { return atomic_load(&failed); }

int test_finish(void) {
  printf("%llu passed, %llu failed\n", (unsigned long long)atomic_load(&passed),
         (unsigned long long)atomic_load(&failed));
  return atomic_load(&failed) == 0 && atomic_load(&passed) > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

void test_die(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  exit(2);
}

void *test_alloc(size_t size) {
  void *memory = calloc(1, size > 0 ? size : 1);
  if (memory == NULL) test_die("the test ran out of memory (%zu bytes)", size);
  return memory;
}

void *test_grow(void *memory, size_t count, size_t *capacity, size_t item_size) {
  if (count < *capacity) return memory;
  *capacity = *capacity == 0 ? 8 : *capacity * 2;
  void *larger = realloc(memory, *capacity * item_size);
  if (larger == NULL) test_die("the test ran out of memory (%zu bytes)", *capacity * item_size);
  return larger;
}

void test_path(char *path, size_t capacity, const char *directory, const char *name) {
  int size = snprintf(path, capacity, "%s/%s", directory, name);
  if (size < 0 || (size_t)size >= capacity) test_die("a path is too long: %s/%s", directory, name);
}

void test_key_uri(char *uri, size_t capacity, const char *directory) {
  int size = snprintf(uri, capacity, "local:%s/keyring", directory);
  if (size < 0 || (size_t)size >= capacity) test_die("a path is too long: %s/keyring", directory);
}

void test_scratch_make(char *path, size_t capacity, const char *name) {
  const char *parent = getenv("TMPDIR");
  int size = snprintf(path, capacity, "%s/nacre-%s-XXXXXX",
                      parent != NULL && *parent != '\0' ? parent : "/tmp", name);
  if (size < 0 || (size_t)size >= capacity || mkdtemp(path) == NULL)
    test_die("cannot make a scratch directory: %s", strerror(errno));
}

static void remove_in(int parent, const char *name) {
  int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) {
    unlinkat(parent, name, 0);
    return;
  }
  DIR *dir = fdopendir(fd);
  for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;)
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) remove_in(fd, entry->d_name);
  if (dir != NULL) closedir(dir);
  unlinkat(parent, name, AT_REMOVEDIR);
}

void test_scratch_remove(const char *path) { remove_in(AT_FDCWD, path); }

void test_value_make(uint8_t *bytes, size_t size, uint64_t owner, uint64_t key, uint64_t version) {
  static const char words[] =
      "the tide brought mother of pearl and took the sand away again, as tides will do; ";
  test_random random = {test_mix(test_mix(owner, key), version)};
  size_t text = size / 2, from = version % (sizeof words - 1);
  for (size_t at = 0; at < text; from = 0) {
    size_t part = sizeof words - 1 - from < text - at ? sizeof words - 1 - from : text - at;
    memcpy(bytes + at, words + from, part);
    at += part;
  }
  test_random_fill(&random, bytes + text, size - text);
}
