/* SPDX-License-Identifier: Apache-2.0
 *
 * keys_watch: see keys_watch.h.
 */
#include "keys_watch.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "exit_status.h"
#include "failure.h"

void tool_keys_watch_init(keys_watch *w, const options *o) {
  *w = (keys_watch){.o = o};
  pthread_mutex_init(&w->lock, NULL);
  pthread_cond_init(&w->changed, NULL);
  tool_progress_begin(&w->progress, o, "rewrapping", NACRE_NONE);
}

static void forget(keys_watch *w) {
  for (size_t i = 0; i < w->retired_count; i++) free(w->retired[i].uri);
  free(w->retired);
  free(w->table);
  w->retired = NULL;
  w->retired_count = 0;
  w->table = NULL;
  w->error = (nacre_error){0};
}

void tool_keys_watch_deinit(keys_watch *w) {
  forget(w);
  pthread_cond_destroy(&w->changed);
  pthread_mutex_destroy(&w->lock);
}

static char *copy_of(const char *text) {
  if (text == NULL) return NULL;
  size_t size = strlen(text) + 1;
  return memcpy(tool_alloc(size), text, size);
}

void tool_keys_watch_turn(keys_watch *w, const char *table) {
  pthread_mutex_lock(&w->lock);
  forget(w);
  w->table = copy_of(table);
  pthread_mutex_unlock(&w->lock);
}

void tool_keys_watch_draw(keys_watch *w, bool drawing) {
  pthread_mutex_lock(&w->lock);
  w->drawing = drawing;
  if (!drawing) tool_progress_clear(&w->progress);
  pthread_mutex_unlock(&w->lock);
}

static bool concerns(const keys_watch *w, const nacre_event *event) {
  if (event->table == NULL || w->table == NULL) return event->table == w->table;
  return strcmp(event->table, w->table) == 0;
}

static void note(keys_watch *w, const nacre_event *event) {
  w->retired = tool_realloc(w->retired, (w->retired_count + 1) * sizeof *w->retired);
  w->retired[w->retired_count++] = (retired){event->kek_version, copy_of(event->key_uri)};
}

void tool_keys_watch_event(void *arg, const nacre_event *event) {
  keys_watch *w = arg;
  pthread_mutex_lock(&w->lock);
  if (concerns(w, event)) {
    if (event->type == NACRE_EVENT_KEY_RETIRED) note(w, event);
    if (event->type == NACRE_EVENT_REWRAP_PROGRESS && w->drawing)
      tool_progress_count(&w->progress, event->files_done, event->files, "files");
    if (event->type == NACRE_EVENT_BACKGROUND_ERROR && event->error != NULL) w->error = *event->error;
    if (event->type == NACRE_EVENT_HEALED) w->error = (nacre_error){0};
    pthread_cond_signal(&w->changed);
  }
  pthread_mutex_unlock(&w->lock);
}

/* Until something is told, or a second has gone by. */
static nacre_error await_event(keys_watch *w) {
  struct timespec until = {0};
  pthread_mutex_lock(&w->lock);
  (void)clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec++;
  if (w->error.status == NACRE_OK) (void)pthread_cond_timedwait(&w->changed, &w->lock, &until);
  nacre_error error = w->error;
  pthread_mutex_unlock(&w->lock);
  return error;
}

static int catalogue_settled(keys_watch *w, nacre_store *store, bool *ret_settled) {
  nacre_key_status keys;
  if (nacre_store_key_status(store, &keys) != NACRE_OK) return tool_fail_last(w->o);
  nacre_key_versions_free(keys.versions);
  nacre_kms_keys_free(keys.kms_keys);
  *ret_settled = !keys.changing && !keys.rewrapping;
  return TOOL_DONE;
}

int tool_keys_watch_catalogue(keys_watch *w, nacre_store *store) {
  bool settled = false;
  for (;;) {
    int status = catalogue_settled(w, store, &settled);
    if (status != TOOL_DONE || settled) return status;
    tool_keys_watch_draw(w, true);
    nacre_error error = await_event(w);
    tool_keys_watch_draw(w, false);
    if (error.status != NACRE_OK) return tool_fail_error(w->o, &error);
  }
}
