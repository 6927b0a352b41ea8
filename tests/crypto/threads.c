/* SPDX-License-Identifier: Apache-2.0
 *
 * What several threads may do at once: allocate, read one sealed file, append beside a sync. A plain program,
 * so that it also runs under ThreadSanitizer.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "support.h"

enum { THREADS = 4, FRAMES = 200 };

static int passed, failed;
static fixture f;
static nc_sealed_reader *reader;
static nc_sealed_writer *writer;
static nc_handle handles[FRAMES];
static atomic_int faults_seen;
static atomic_bool done;

static void report(const char *name) {
  bool good = atomic_load(&faults_seen) == 0;
  printf("%s: %s\n", good ? "ok" : "FAILED", name);
  *(good ? &passed : &failed) += 1;
  atomic_store(&faults_seen, 0);
}

static void run(void *(*body)(void *arg)) {
  pthread_t threads[THREADS];
  for (size_t i = 0; i < THREADS; i++) {
    if (pthread_create(&threads[i], NULL, body, (void *)(uintptr_t)(i + 1)) != 0) abort();
  }
  for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
}

static void *allocate(void *arg) {
  uint64_t state = (uintptr_t)arg;
  for (int i = 0; i < 3000; i++) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    size_t size = 1 + (size_t)(state >> 40) % (i % 100 == 0 ? 1500000 : 5000);
    uint8_t *p = nc_heap_alloc(f.env->heap, size);
    if (p == NULL || p[0] != 0 || p[size - 1] != 0) atomic_fetch_add(&faults_seen, 1);
    if (p != NULL) p[0] = p[size - 1] = 0xFF;
    nc_heap_free(f.env->heap, p, size);
  }
  return NULL;
}

static void *read_frames(void *arg) {
  nacre_error err;
  for (size_t i = 0; i < FRAMES; i++) {
    size_t n = (i * 7 + (uintptr_t)arg * 31) % FRAMES;
    uint8_t buffer[256];
    nacre_slice plaintext;
    if (nc_sealed_reader_frame(reader, handles[n], NC_FRAME_LOG_GROUP, buffer, &plaintext, NULL, &err) !=
            NACRE_OK ||
        plaintext.size != n || (n > 0 && ((const uint8_t *)plaintext.data)[n - 1] != (uint8_t)n)) {
      atomic_fetch_add(&faults_seen, 1);
    }
  }
  return NULL;
}

static void *sync_often(void *arg) {
  nacre_error err;
  (void)arg;
  while (!atomic_load(&done)) {
    uint64_t before = nc_sealed_writer_size(writer);
    if (nc_sealed_writer_sync(writer, &err) != NACRE_OK || nc_sealed_writer_size(writer) < before) {
      atomic_fetch_add(&faults_seen, 1);
    }
  }
  return NULL;
}

static void append_all(const char *name, size_t buffer_bytes) {
  nacre_error err;
  uint8_t text[FRAMES];
  pthread_t syncer;
  writer = make_writer(&f, name, buffer_bytes);
  atomic_store(&done, false);
  if (pthread_create(&syncer, NULL, sync_often, NULL) != 0) abort();
  for (size_t i = 0; i < FRAMES; i++) {
    memset(text, (int)i, sizeof text);
    must(nc_sealed_writer_append(writer, NC_FRAME_LOG_GROUP, nc_slice(text, i), &handles[i], &err));
  }
  atomic_store(&done, true);
  pthread_join(syncer, NULL);
  must(nc_sealed_writer_sync(writer, &err));
  nc_sealed_writer_close(writer);
  must(nc_sealed_reader_open(&f.dir, name, f.keys, NULL, &reader, &err));
  run(read_frames);
  nc_sealed_reader_close(reader);
}

int main(void) {
  fixture_open(&f);
  fixture_keys(&f);
  run(allocate);
  report("private memory serves threads");
  append_all("through", 0);
  report("a write-through file is synced beside appends and read by threads");
  append_all("buffered", 5000);
  report("a buffered file is synced beside appends and read by threads");
  fixture_close(&f);
  printf("%d passed, %d failed\n", passed, failed);
  return failed > 0;
}
