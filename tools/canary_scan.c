/* SPDX-License-Identifier: Apache-2.0
 *
 * canary_scan: looks for plaintext in the files of a store. A program of its own: it needs libc alone, and tools/quickstart.sh
 * compiles it as it is.
 *
 *   canary_scan PLAIN KEYS NAME PATH...
 *
 * Reads every file below the PATHs, names included, and fails (status 1) when one of them holds any run of RUN or more bytes
 * of the file PLAIN, wherever it begins in either; any line of the file KEYS, whole; or NAME.
 *
 * How: a run of 15 bytes covers one of PLAIN's aligned 8-byte blocks. So the blocks go into a hash set, every 8-byte window
 * of every file is looked up in it, and a hit counts when it extends to a run: no room is left for chance, either way. Keys
 * are found by their first 8 bytes in the same way; shorter keys one by one.
 *
 * A scan that cannot find anything would pass too. So it first plants a run, a key and the name, each at an odd offset among
 * random bytes, and fails (status 2) unless it finds each of them where it is, and nothing in the random bytes.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <err.h>
#include <fts.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { BLOCK = 8, RUN = 15, SHOWN = 10, ENOUGH = 50, FAILED = 2 };

typedef struct bytes {
  const char *data;
  size_t size;
} bytes;

/* Open addressing; a slot holds an offset into `of`, plus one. The bitmap answers most look-ups from the cache. */
typedef struct block_set {
  bytes of;
  uint32_t *slots;
  size_t mask;
  uint64_t *bitmap;
} block_set;

enum { BITMAP_BITS = 1 << 27 };

typedef struct scan {
  bytes plain, keys, name;
  block_set runs, prefixes;
  uint64_t found, files, bytes;
} scan;

static void *must(void *pointer) {
  if (pointer == NULL) err(FAILED, "no memory");
  return pointer;
}

static uint64_t word_at(const char *p) {
  uint64_t word;
  memcpy(&word, p, sizeof word);
  return word;
}

static uint64_t mix(uint64_t word) {
  word *= UINT64_C(0x9E3779B97F4A7C15);
  return word ^ word >> 29;
}

static block_set set_create(bytes of, size_t count_max) {
  size_t slots = 16;
  while (slots < count_max * 2) slots *= 2;
  return (block_set){.of = of,
                     .slots = must(calloc(slots, sizeof(uint32_t))),
                     .mask = slots - 1,
                     .bitmap = must(calloc(BITMAP_BITS / 64, sizeof(uint64_t)))};
}

/* The slot where `word` stands, or the free one where it belongs, probing on from `slot`. */
static size_t set_probe(const block_set *set, uint64_t word, size_t slot) {
  while (set->slots[slot] != 0 && word_at(set->of.data + set->slots[slot] - 1) != word)
    slot = (slot + 1) & set->mask;
  return slot;
}

/* With `keep_equal`, a word that is there already is entered once more: keys may share their first bytes. */
static void set_add(block_set *set, size_t offset, bool keep_equal) {
  uint64_t word = word_at(set->of.data + offset), hash = mix(word);
  set->bitmap[hash % BITMAP_BITS / 64] |= UINT64_C(1) << hash % 64;
  size_t slot = set_probe(set, word, (hash >> 27) & set->mask);
  while (keep_equal && set->slots[slot] != 0) slot = set_probe(set, word, (slot + 1) & set->mask);
  if (set->slots[slot] == 0) set->slots[slot] = (uint32_t)offset + 1;
}

static inline bool set_may_hold(const block_set *set, uint64_t hash) {
  return set->bitmap[hash % BITMAP_BITS / 64] >> hash % 64 & 1;
}

static void report(scan *s, const char *path, size_t offset, const char *what) {
  if (s->found++ < SHOWN) fprintf(stderr, "canary scan: %s, offset %zu: %s\n", path, offset, what);
}

static size_t key_size(const scan *s, size_t offset) {
  const char *end = memchr(s->keys.data + offset, '\n', s->keys.size - offset);
  return end == NULL ? s->keys.size - offset : (size_t)(end - s->keys.data) - offset;
}

static bool is_key(const scan *s, bytes in, size_t at, uint64_t word, uint64_t hash) {
  const block_set *set = &s->prefixes;
  for (size_t slot = set_probe(set, word, (hash >> 27) & set->mask); set->slots[slot] != 0;
       slot = set_probe(set, word, (slot + 1) & set->mask)) {
    size_t offset = set->slots[slot] - 1, size = key_size(s, offset);
    if (size <= in.size - at && memcmp(s->keys.data + offset, in.data + at, size) == 0) return true;
  }
  return false;
}

/* Does a run of PLAIN cover the block at `at`? The set says that the block is there; its neighbours decide. */
static bool is_run(const scan *s, bytes in, size_t at) {
  size_t first = at + BLOCK > RUN ? at + BLOCK - RUN : 0;
  for (size_t begin = first; begin <= at && begin + RUN <= in.size; begin++)
    if (memmem(s->plain.data, s->plain.size, in.data + begin, RUN) != NULL) return true;
  return false;
}

static void scan_windows(scan *s, const char *path, bytes in) {
  for (size_t at = 0; at + BLOCK <= in.size && s->found < ENOUGH; at++) {
    uint64_t word = word_at(in.data + at), hash = mix(word);
    if (set_may_hold(&s->prefixes, hash) && is_key(s, in, at, word, hash)) report(s, path, at, "a key");
    if (set_may_hold(&s->runs, hash) &&
        s->runs.slots[set_probe(&s->runs, word, (hash >> 27) & s->runs.mask)] != 0 && is_run(s, in, at)) {
      report(s, path, at, "a run of the plain text");
      at += RUN; /* one report a run, or nearly */
    }
  }
}

static void scan_bytes(scan *s, const char *path, bytes in) {
  const char *hit = memmem(in.data, in.size, s->name.data, s->name.size);
  if (hit != NULL) report(s, path, (size_t)(hit - in.data), "the name");
  for (size_t offset = 0, size; offset < s->keys.size; offset += size + 1) {
    size = key_size(s, offset);
    hit = size > 0 && size < BLOCK ? memmem(in.data, in.size, s->keys.data + offset, size) : NULL;
    if (hit != NULL) report(s, path, (size_t)(hit - in.data), "a key");
  }
  scan_windows(s, path, in);
}

static bytes read_file(const char *path) {
  FILE *file = fopen(path, "rb");
  if (file == NULL) err(FAILED, "%s", path);
  char *data = NULL;
  size_t size = 0, capacity = 1 << 16, count;
  do {
    data = must(realloc(data, capacity));
    count = fread(data + size, 1, capacity - size, file);
    size += count;
    if (size == capacity) capacity *= 2;
  } while (count > 0);
  if (ferror(file)) err(FAILED, "%s", path);
  fclose(file);
  return (bytes){data, size};
}

static void free_bytes(bytes b) { free((void *)(uintptr_t)b.data); }

static void scan_tree(scan *s, char *root) {
  char *roots[] = {root, NULL};
  FTS *tree = must(fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL));
  for (FTSENT *entry; (entry = fts_read(tree)) != NULL;) {
    if (entry->fts_info == FTS_ERR || entry->fts_info == FTS_DNR)
      errx(FAILED, "%s: cannot be read", entry->fts_path);
    if (entry->fts_level > 0) scan_bytes(s, "file name", (bytes){entry->fts_name, entry->fts_namelen});
    if (entry->fts_info != FTS_F) continue;
    bytes in = read_file(entry->fts_path);
    scan_bytes(s, entry->fts_path, in);
    s->files++;
    s->bytes += in.size;
    free_bytes(in);
  }
  fts_close(tree);
}

static void add_blocks(scan *s) {
  s->runs = set_create(s->plain, s->plain.size / BLOCK + 1);
  for (size_t at = 0; at + BLOCK <= s->plain.size; at += BLOCK) set_add(&s->runs, at, false);
  size_t count = 1;
  for (size_t at = 0; at < s->keys.size; at++) count += s->keys.data[at] == '\n';
  s->prefixes = set_create(s->keys, count);
  for (size_t offset = 0, size; offset < s->keys.size; offset += size + 1) {
    size = key_size(s, offset);
    if (size >= BLOCK) set_add(&s->prefixes, offset, true);
  }
}

static void deinit(scan *s) {
  block_set *sets[] = {&s->runs, &s->prefixes};
  for (int i = 0; i < 2; i++) {
    free(sets[i]->slots);
    free(sets[i]->bitmap);
  }
  free_bytes(s->plain);
  free_bytes(s->keys);
}

/* Plants `word` at an odd offset among random bytes. Exactly when `word` is not empty, something must be found. */
static void control(scan *s, bytes word, const char *what) {
  char noise[4096];
  if (getrandom(noise, sizeof noise, 0) != (ssize_t)sizeof noise) err(FAILED, "getrandom");
  if (word.size > sizeof noise / 2) word.size = sizeof noise / 2;
  memcpy(noise + 1013, word.data, word.size);
  scan trial = *s;
  trial.found = SHOWN; /* says nothing */
  scan_bytes(&trial, "control", (bytes){noise, sizeof noise});
  if ((trial.found > SHOWN) != (word.size > 0)) errx(FAILED, "canary scan: the control failed: %s", what);
}

int main(int argc, char **argv) {
  if (argc < 5) errx(FAILED, "usage: canary_scan PLAIN KEYS NAME PATH...");
  scan s = {.plain = read_file(argv[1]), .keys = read_file(argv[2]), .name = {argv[3], strlen(argv[3])}};
  if (s.plain.size < 8 * RUN || s.plain.size > UINT32_MAX - 1 || s.keys.size < 2 || s.name.size < 4)
    errx(FAILED, "canary scan: nothing to look for, or over 4 GiB");
  add_blocks(&s);
  control(&s, (bytes){s.plain.data + s.plain.size / 2 + 3, RUN}, "a planted run was not found");
  control(&s, (bytes){s.keys.data, key_size(&s, 0)}, "a planted key was not found");
  control(&s, s.name, "a planted name was not found");
  control(&s, (bytes){"", 0}, "random bytes were taken for plain text");
  for (int i = 4; i < argc; i++) scan_tree(&s, argv[i]);
  if (s.bytes == 0) errx(FAILED, "canary scan: there is nothing to scan");
  printf("%" PRIu64 " files, %" PRIu64 " bytes: %" PRIu64 " finds\n", s.files, s.bytes, s.found);
  deinit(&s);
  return s.found == 0 ? 0 : 1;
}
