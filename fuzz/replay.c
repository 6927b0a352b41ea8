/* SPDX-License-Identifier: Apache-2.0
 *
 * replay: runs a fuzz target without libFuzzer: over the files named, or of the directories named, and with
 * --mutate over inputs made from them.
 *
 *   replay_TARGET [--mutate] FILE|DIRECTORY...
 *
 * Made are, always in the same way: bytes of one value; every truncation and every single-bit flip of small
 * files; and seeded random changes of all of them (NACRE_TEST_SEED). A target that fails ends the program;
 * the input is named first, and shown.
 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "fuzz.h"

enum {
  FILE_BYTES_MAX = 16 * 1024 * 1024,
  SMALL_BYTES_MAX = 2560,
  SHOWN_BYTES_MAX = 1024,
  FILLED_BYTES_MAX = 512,
  RANDOM_INPUTS = 400, /* made from each file */
  CHANGES_MAX = 8,
  PATH_BYTES_MAX = 4096
};

/* --- what runs, for whoever has to repeat it ------------------------------------------------------------ */

static struct {
  const char *name;
  const char *how;
  size_t number;
  const uint8_t *data;
  size_t size;
  unsigned long long inputs;
} running;

/* A sanitizer or a signal ends the program: the state of stdio no longer matters. */
static void show_input(void) {
  (void)fprintf(stderr, "input: %s, %s %zu; %zu bytes\n", running.name, running.how, running.number,
                running.size);
  size_t shown = running.size < SHOWN_BYTES_MAX ? running.size : SHOWN_BYTES_MAX;
  for (size_t i = 0; i < shown; i++) (void)fprintf(stderr, "%02x", running.data[i]);
  (void)fprintf(stderr, "%s\n", shown < running.size ? "..." : "");
}

static void die(int signal_number) {
  show_input();
  (void)signal(signal_number, SIG_DFL);
  (void)raise(signal_number);
}

/* There only where a sanitizer is. */
__attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)(void));

static void watch(void) {
  if (__sanitizer_set_death_callback != NULL) __sanitizer_set_death_callback(show_input);
  (void)signal(SIGABRT, die);
}

/* The target gets a heap copy of exactly these bytes, as it does from libFuzzer. */
static void run(const char *how, size_t number, const uint8_t *data, size_t size) {
  uint8_t *exact = fuzz_copy(data, size);
  running.how = how;
  running.number = number;
  running.data = exact;
  running.size = size;
  running.inputs++;
  (void)LLVMFuzzerTestOneInput(exact, size);
  free(exact);
}

/* --- inputs made from one ------------------------------------------------------------------------------- */

static uint64_t next_random(uint64_t *state) { /* splitmix64 */
  uint64_t z = *state += 0x9E3779B97F4A7C15;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
  z = (z ^ z >> 27) * 0x94D049BB133111EB;
  return z ^ z >> 31;
}

static void run_truncations(const uint8_t *data, size_t size) {
  for (size_t kept = 0; kept < size; kept++) run("cut to", kept, data, kept);
}

static void run_flips(uint8_t *data, size_t size) {
  for (size_t bit = 0; bit < size * 8; bit++) {
    data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    run("with flipped bit", bit, data, size);
    data[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
}

/* One change: a byte, a number at the edge of its range, a byte that goes, or a piece that stands twice. */
static size_t change(uint8_t *data, size_t size, uint64_t *random) {
  static const uint8_t edges[] = {0x00, 0x01, 0x7F, 0x80, 0xFF};
  if (size == 0) return 0;
  uint64_t choice = next_random(random);
  size_t at = (size_t)(choice >> 32) % size, from = (size_t)(choice >> 8 & 0xFFFFFF) % size;
  size_t longest = size - (at > from ? at : from), piece = longest < 8 ? longest : 8;
  switch (choice % 4) {
    case 0:
      data[at] = (uint8_t)(choice >> 16);
      return size;
    case 1:
      data[at] = edges[(choice >> 16) % sizeof edges];
      return size;
    case 2:
      memmove(data + at, data + at + 1, size - at - 1);
      return size - 1;
    default:
      memmove(data + at, data + from, piece);
      return size;
  }
}

static void run_random(const uint8_t *data, size_t size, uint64_t seed) {
  for (size_t i = 0; i < RANDOM_INPUTS; i++) {
    uint8_t *changed = fuzz_copy(data, size);
    uint64_t random = seed + i;
    size_t left = size, changes = 1 + (size_t)(next_random(&random) % CHANGES_MAX);
    while (changes-- > 0) left = change(changed, left, &random);
    run("random change", i, changed, left);
    free(changed);
  }
}

static void run_filled(void) {
  uint8_t filled[FILLED_BYTES_MAX];
  running.name = "bytes of one value";
  for (size_t size = 0; size <= sizeof filled; size += size < 64 ? 1 : 32) {
    memset(filled, 0, sizeof filled);
    run("zeros", size, filled, size);
    memset(filled, 0xFF, sizeof filled);
    run("ones", size, filled, size);
  }
}

/* --- files ---------------------------------------------------------------------------------------------- */

static __attribute__((noreturn)) void fail(const char *path) {
  perror(path);
  exit(2);
}

static void run_file(const char *path, bool mutate, uint64_t seed) {
  FILE *file = fopen(path, "rb");
  struct stat about;
  if (file == NULL || fstat(fileno(file), &about) != 0) fail(path);
  if (about.st_size > FILE_BYTES_MAX) {
    (void)fprintf(stderr, "%s: too large\n", path);
    exit(2);
  }
  size_t size = (size_t)about.st_size;
  uint8_t *data = fuzz_alloc(size);
  if (fread(data, 1, size, file) != size) fail(path);
  (void)fclose(file);
  running.name = path;
  run("as it is", 0, data, size);
  if (mutate && size <= SMALL_BYTES_MAX) {
    run_truncations(data, size);
    run_flips(data, size);
  }
  if (mutate) run_random(data, size, seed);
  free(data);
}

static int not_hidden(const struct dirent *entry) { return entry->d_name[0] != '.'; }

static void run_path(const char *path, bool mutate, uint64_t seed) {
  struct stat about;
  if (stat(path, &about) != 0) fail(path);
  if (!S_ISDIR(about.st_mode)) {
    run_file(path, mutate, seed);
    return;
  }
  struct dirent **entries;
  int count = scandir(path, &entries, not_hidden, alphasort);
  if (count < 0) fail(path);
  for (int i = 0; i < count; i++) {
    char below[PATH_BYTES_MAX];
    (void)snprintf(below, sizeof below, "%s/%s", path, entries[i]->d_name);
    run_file(below, mutate, seed);
    free(entries[i]);
  }
  free(entries);
}

int main(int argc, char **argv) {
  int first = 1;
  bool mutate = argc > 1 && strcmp(argv[1], "--mutate") == 0;
  if (mutate) first++;
  if (first >= argc) {
    (void)fprintf(stderr, "usage: %s [--mutate] FILE|DIRECTORY...\n", argv[0]);
    return 2;
  }
  const char *chosen = getenv("NACRE_TEST_SEED");
  uint64_t seed = chosen == NULL ? 1 : strtoull(chosen, NULL, 0);
  if (mutate) (void)printf("seed %llu (NACRE_TEST_SEED)\n", (unsigned long long)seed);
  watch();
  if (mutate) run_filled();
  for (int i = first; i < argc; i++) run_path(argv[i], mutate, seed);
  (void)printf("%llu passed, 0 failed\n", running.inputs);
  return 0;
}
