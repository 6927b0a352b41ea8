/* SPDX-License-Identifier: Apache-2.0
 *
 * Markers hash by their first eight bytes. A bitmap answers most of the look-ups: one for every position of
 * every file.
 */
#include "marker_set.h"

#include <fts.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

enum { BITMAP_BITS = 20, BUCKETS = 1 << 14, SHOWN_MAX = 10 };

typedef struct marker {
  struct marker *next;
  char what[40];
  uint8_t *bytes;
  size_t size;
  uint64_t found;
} marker;

struct marker_set {
  pthread_mutex_t mutex;
  uint8_t bitmap[1 << (BITMAP_BITS - 3)];
  marker *buckets[BUCKETS];
  size_t count;
  unsigned shown;
};

static uint64_t hash_of(const uint8_t *bytes) {
  uint64_t word;
  memcpy(&word, bytes, sizeof word);
  return (word * 0x9e3779b97f4a7c15u) >> (64 - BITMAP_BITS);
}

marker_set *marker_set_create(void) {
  marker_set *set = test_alloc(sizeof *set);
  pthread_mutex_init(&set->mutex, NULL);
  return set;
}

void marker_set_destroy(marker_set *set) {
  for (size_t i = 0; i < BUCKETS; i++)
    for (marker *m = set->buckets[i]; m != NULL;) {
      marker *next = m->next;
      free(m->bytes);
      free(m);
      m = next;
    }
  pthread_mutex_destroy(&set->mutex);
  free(set);
}

void marker_set_add(marker_set *set, const char *what, const void *bytes, size_t size) {
  if (size < MARKER_PREFIX_BYTES) test_die("a marker is too short");
  uint64_t hash = hash_of(bytes);
  pthread_mutex_lock(&set->mutex);
  marker *m = set->buckets[hash % BUCKETS];
  while (m != NULL && (m->size != size || memcmp(m->bytes, bytes, size) != 0)) m = m->next;
  if (m == NULL) {
    m = test_alloc(sizeof *m);
    m->bytes = test_alloc(size);
    memcpy(m->bytes, bytes, size);
    m->size = size;
    snprintf(m->what, sizeof m->what, "%s", what);
    m->next = set->buckets[hash % BUCKETS];
    set->buckets[hash % BUCKETS] = m;
    set->bitmap[hash / 8] |= (uint8_t)(1u << (hash % 8));
    set->count++;
  }
  pthread_mutex_unlock(&set->mutex);
}

size_t marker_set_count(marker_set *set) {
  pthread_mutex_lock(&set->mutex);
  size_t count = set->count;
  pthread_mutex_unlock(&set->mutex);
  return count;
}

static uint64_t look_up(marker_set *set, uint64_t hash, const uint8_t *at, size_t left, const char *where) {
  uint64_t hits = 0;
  for (marker *m = set->buckets[hash % BUCKETS]; m != NULL; m = m->next) {
    if (m->size > left || memcmp(m->bytes, at, m->size) != 0) continue;
    hits++;
    m->found++;
    if (where != NULL && set->shown++ < SHOWN_MAX)
      fprintf(stderr, "FOUND %s of %zu bytes in %s\n", m->what, m->size, where);
  }
  return hits;
}

uint64_t marker_set_scan(marker_set *set, const void *bytes, size_t size, const char *where) {
  const uint8_t *from = bytes;
  uint64_t hits = 0;
  pthread_mutex_lock(&set->mutex);
  for (size_t i = 0; i + MARKER_PREFIX_BYTES <= size; i++) {
    uint64_t hash = hash_of(from + i);
    if ((set->bitmap[hash / 8] & (1u << (hash % 8))) != 0)
      hits += look_up(set, hash, from + i, size - i, where);
  }
  pthread_mutex_unlock(&set->mutex);
  return hits;
}

static uint64_t scan_file(marker_set *set, const char *path, bool say, uint64_t *bytes) {
  FILE *file = fopen(path, "rbe");
  if (file == NULL) return 0; /* removed since it was listed */
  fseek(file, 0, SEEK_END);
  long size = ftell(file);
  rewind(file);
  uint8_t *content = test_alloc((size_t)size);
  size_t got = fread(content, 1, (size_t)size, file);
  fclose(file);
  uint64_t hits = marker_set_scan(set, content, got, say ? path : NULL);
  *bytes += got;
  free(content);
  return hits;
}

uint64_t marker_set_scan_tree(marker_set *set, const char *path, bool say, uint64_t *bytes) {
  char root[400];
  snprintf(root, sizeof root, "%s", path);
  char *roots[] = {root, NULL};
  uint64_t hits = 0;
  FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
  if (walk == NULL) test_die("cannot walk %s", path);
  for (FTSENT *entry; (entry = fts_read(walk)) != NULL;) {
    if (entry->fts_info == FTS_DP) continue;
    hits += marker_set_scan(set, entry->fts_name, entry->fts_namelen, say ? entry->fts_path : NULL);
    if (entry->fts_info == FTS_F) hits += scan_file(set, entry->fts_path, say, bytes);
  }
  fts_close(walk);
  return hits;
}

size_t marker_set_unfound(marker_set *set) {
  size_t unfound = 0;
  pthread_mutex_lock(&set->mutex);
  for (size_t i = 0; i < BUCKETS; i++)
    for (const marker *m = set->buckets[i]; m != NULL; m = m->next) unfound += m->found == 0;
  pthread_mutex_unlock(&set->mutex);
  return unfound;
}
