/* SPDX-License-Identifier: Apache-2.0
 *
 * What the plain test programs share: a seeded generator, a tally of checks, scratch directories, numbers
 * from the environment, and values whose every byte can be computed again from a few numbers.
 *
 * The tally may be used from any thread; everything else belongs to its caller.
 */
#ifndef NACRE_TESTS_SUPPORT_H
#define NACRE_TESTS_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- random numbers: splitmix64, the same on every machine --------------------------------------------- */

typedef struct test_random {
  uint64_t state;
} test_random;

uint64_t test_random_next(test_random *random);
uint64_t test_random_below(test_random *random, uint64_t bound); /* [0, bound); bound > 0 */
bool test_random_chance(test_random *random, uint64_t one_in);   /* true once in `one_in` */
void test_random_fill(test_random *random, void *bytes, size_t size);
uint64_t test_mix(uint64_t a, uint64_t b); /* one number from two, well spread */

/* ---- the environment ----------------------------------------------------------------------------------- */

uint64_t test_env_number(const char *name, uint64_t fallback);
/* The seed of this run: NACRE_TEST_SEED, else `fallback`; printed, so that a failure can be replayed. */
uint64_t test_seed(const char *program, uint64_t fallback);
double test_seconds(void); /* monotonic */

/* ---- the tally ----------------------------------------------------------------------------------------- */

/* Counts a check; when it fails, says where and why (the first 20 only: one bug fails thousands of
 * images). */
bool test_check(bool ok, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
#define CHECK(ok, ...) test_check((ok), __FILE__, __LINE__, __VA_ARGS__)
uint64_t test_failures(void);
/* Prints "N passed, N failed" and returns the exit status. */
int test_finish(void);
/* For what a test itself cannot do without: ends the program. */
__attribute__((noreturn, format(printf, 1, 2))) void test_die(const char *format, ...);

/* ---- memory that never fails --------------------------------------------------------------------------- */

void *test_alloc(size_t size); /* zeroed; ends the program when there is none */
void *test_grow(void *memory, size_t count, size_t *capacity,
                size_t item_size); /* room for count + 1 items */

/* ---- scratch directories ------------------------------------------------------------------------------- */

/* Makes a fresh directory under TMPDIR (or /tmp) and writes its path. */
void test_scratch_make(char *path, size_t capacity, const char *name);
void test_scratch_remove(const char *path); /* with all that is in it */
/* path = directory + "/" + name */
void test_path(char *path, size_t capacity, const char *directory, const char *name);
/* "local:" + directory + "/keyring": a key that lives as long as the scratch directory */
void test_key_uri(char *uri, size_t capacity, const char *directory);

/* ---- values that prove who wrote them ------------------------------------------------------------------ */

/* `size` bytes that depend on every argument: half of them compressible text, half noise. */
void test_value_make(uint8_t *bytes, size_t size, uint64_t owner, uint64_t key, uint64_t version);

#endif
