/* SPDX-License-Identifier: Apache-2.0
 *
 * key_site: a store with one table under the keys of a fake KMS, which keeps the events that it tells.
 */
#ifndef TESTS_ENGINE_KEY_SITE_H
#define TESTS_ENGINE_KEY_SITE_H

#include <pthread.h>

#include "fake_kms.h"
#include "fixture.h"

enum { KEPT_EVENTS_MAX = 256 };

typedef struct kept_event {
  nacre_event_type type;
  uint32_t kek_version, error_id;
  uint64_t files, files_done;
  char uri[256], table[64];
} kept_event;

typedef struct key_site {
  site s;
  fake_kms kms;
  failing_io disk; /* not used unless options.io says so */
  nacre_store *store;
  nacre_table *t;
  char table_path[PATH_BYTES], catalogue_path[PATH_BYTES];
  pthread_mutex_t lock; /* the events */
  size_t event_count;
  kept_event events[KEPT_EVENTS_MAX];
} key_site;

/* The catalogue and the table "table" under fake:0. Three entries: a and b in segments, c in the log. */
void key_site_make(key_site *k);
void key_site_remove(key_site *k);
void key_site_close(key_site *k);  /* what is open of it; harmless otherwise */
void key_site_reopen(key_site *k); /* closes first */
void key_site_check(key_site *k);  /* the three entries are there, and verify finds nothing */

void key_site_set(key_site *k, unsigned first,
                  size_t count); /* set_key to fake:first and those that follow */
nacre_status key_site_try(key_site *k, unsigned first, size_t count);
/* The only version that is left: active, with every file under it. */
uint32_t key_site_only_version(key_site *k);
/* The number of a kind of event since key_site_forget. */
size_t key_site_count(key_site *k, nacre_event_type type);
const kept_event *key_site_find(key_site *k, nacre_event_type type,
                                const char *uri); /* NULL uri: without one */
void key_site_forget(key_site *k);

/* ---- headers behind the engine's back ------------------------------------------------------------------ */

/* How many sealed files of a directory have a first slot that names this KEK ("...-..." text form). */
size_t files_under(const char *directory, const char *kek_id);
size_t sealed_files(const char *directory);
/* The lowest-numbered file of a kind. */
void first_file(const char *directory, const char *suffix, char path[PATH_BYTES]);
void key_status_free(nacre_key_status *status);

#endif
