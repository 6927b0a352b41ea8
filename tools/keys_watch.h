/* SPDX-License-Identifier: Apache-2.0
 *
 * keys_watch: what a store tells of its rewrapper while a command waits for it: progress, what has retired,
 * what went wrong. Events come on the library's threads; everything here is under the lock.
 */
#ifndef TOOL_KEYS_WATCH_H
#define TOOL_KEYS_WATCH_H

#include <pthread.h>

#include "progress.h"
#include "store_access.h"

/* Something that is not needed any more: a version of the table key, or, with a URI, a KMS key. */
typedef struct retired {
  uint32_t version; /* the newest that went with it */
  char *uri;        /* NULL: the version itself */
} retired;

typedef struct keys_watch {
  const options *o;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  progress progress;
  bool drawing; /* the command waits, and writes nothing else meanwhile */
  char *table; /* the one that is watched; NULL: the catalogue */
  retired *retired;
  size_t retired_count;
  nacre_error error; /* what stands in the rewrapper's way; status NACRE_OK: nothing */
} keys_watch;

void tool_keys_watch_init(keys_watch *w, const options *o);
void tool_keys_watch_deinit(keys_watch *w);
/* Begins with another table (NULL: the catalogue), before it is opened: what was told so far goes. */
void tool_keys_watch_turn(keys_watch *w, const char *table);
/* Whether progress may be drawn. */
void tool_keys_watch_draw(keys_watch *w, bool drawing);
tool_on_event tool_keys_watch_event; /* its `arg` is the watch */
/* Waits until the catalogue of an open store is under its newest key. Returns an exit status, told. The
 * library waits for a table by itself. */
int tool_keys_watch_catalogue(keys_watch *w, nacre_store *store);

#endif
