/* SPDX-License-Identifier: Apache-2.0
 *
 * Who opens a file while its key changes, again and again, never fails: whichever slot is being written, and
 * whichever set of keys it took a moment ago. A plain program, so that it also runs under ThreadSanitizer.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "rewrap.h"
#include "support.h"

#define NAME "00000000000000000007.log"
enum { READERS = 3, CHANGES = 400 };

static fixture f;
static nc_key_holder holder;
static nc_handle handle;
static atomic_bool done;
static atomic_int faults_seen;
static atomic_uint_fast64_t opened;

static void *open_often(void *arg) {
  (void)arg;
  while (!atomic_load(&done)) {
    nc_sealed_reader *reader = NULL;
    nacre_error err;
    uint8_t buffer[256];
    nacre_slice text;
    nacre_status status = nc_sealed_reader_open_under(&f.dir, NAME, &holder, NULL, &reader, &err);
    if (status == NACRE_OK)
      status = nc_sealed_reader_frame(reader, handle, NC_FRAME_LOG_GROUP, buffer, &text, NULL, &err);
    if (status != NACRE_OK) {
      fprintf(stderr, "%s: %s\n", nacre_status_name(status), err.text);
      atomic_fetch_add(&faults_seen, 1);
    }
    nc_sealed_reader_close(reader);
    atomic_fetch_add(&opened, 1);
  }
  return NULL;
}

/* A change, the rewrap, and the end of the older key: what a table goes through, without the table. */
static void change_once(int round) {
  nacre_error err;
  nc_table_keys *keys = nc_key_holder_take(&holder), *next, *only;
  nc_key_succession succession = {.specs = &f.spec, .spec_count = 1};
  nacre_slice uri = nc_slice(f.uri, strlen(f.uri));
  nc_rewrap_result result;
  must(nc_table_keys_succeed(&f.kms, keys, &succession, &next, &err));
  nc_table_keys_unref(keys);
  nc_key_holder_replace(&holder, nc_table_keys_ref(next));
  if (round % 8 == 0) f.faults.fail_sync = atomic_load(&f.faults.syncs) + 2 + round % 3; /* by a copy */
  must(nc_rewrap_file(&f.dir, NAME, next, NULL, false, &result, &err));
  f.faults.fail_sync = 0;
  must(nc_table_keys_trim(next, true, &uri, 1, &only, &err));
  nc_key_holder_replace(&holder, only);
  nc_table_keys_unref(next);
}

int main(void) {
  nacre_error err;
  pthread_t readers[READERS];
  fixture_open(&f);
  fixture_keys(&f);
  nc_sealed_writer *w = make_writer(&f, NAME, 0);
  must(nc_sealed_writer_append(w, NC_FRAME_LOG_GROUP, nc_slice("frame", 5), &handle, &err));
  nc_sealed_writer_close(w);
  nc_key_holder_init(&holder, nc_table_keys_ref(f.keys));
  for (size_t i = 0; i < READERS; i++) {
    if (pthread_create(&readers[i], NULL, open_often, NULL) != 0) abort();
  }
  for (int i = 0; i < CHANGES; i++) change_once(i);
  atomic_store(&done, true);
  for (size_t i = 0; i < READERS; i++) pthread_join(readers[i], NULL);
  nc_key_holder_deinit(&holder);
  fixture_close(&f);
  bool good = atomic_load(&faults_seen) == 0 && atomic_load(&opened) > READERS;
  printf("%s: a file opens while its key changes (%d changes, %llu opens)\n", good ? "ok" : "FAILED", CHANGES,
         (unsigned long long)atomic_load(&opened));
  printf("%d passed, %d failed\n", good, !good);
  return good ? 0 : 1;
}
