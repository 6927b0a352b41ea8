/* SPDX-License-Identifier: Apache-2.0
 *
 * key_site: see key_site.h.
 */
#include "key_site.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "coding.h"

static void keep(void *arg, const nacre_event *event) {
  key_site *k = arg;
  pthread_mutex_lock(&k->lock);
  if (k->event_count < KEPT_EVENTS_MAX) {
    kept_event *e = &k->events[k->event_count++];
    *e = (kept_event){.type = event->type,
                      .kek_version = event->kek_version,
                      .error_id = event->error == NULL ? 0 : event->error->id,
                      .files = event->files,
                      .files_done = event->files_done};
    snprintf(e->uri, sizeof e->uri, "%s", event->key_uri == NULL ? "" : event->key_uri);
    snprintf(e->table, sizeof e->table, "%s", event->table == NULL ? "" : event->table);
  }
  pthread_mutex_unlock(&k->lock);
}

void key_site_make(key_site *k) {
  memset(k, 0, sizeof *k);
  pthread_mutex_init(&k->lock, NULL);
  site_make(&k->s);
  fake_kms_init(&k->kms);
  failing_init(&k->disk);
  k->s.options.kms_providers = k->kms.list;
  k->s.options.kms_provider_count = 1;
  k->s.options.default_key = fake_spec(0);
  k->s.options.on_event = keep;
  k->s.options.event_arg = k;
  k->t = site_table(&k->s, &k->store, "table");
  put_text(k->t, "a", "1", true);
  ok(nacre_flush(k->t));
  put_text(k->t, "b", "2", true);
  ok(nacre_flush(k->t));
  put_text(k->t, "c", "3", true);
  key_site_close(k);
  site_table_path(&k->s, "table", k->table_path);
  site_table_path(&k->s, NULL, k->catalogue_path);
  key_site_reopen(k);
  key_site_forget(k);
}

void key_site_close(key_site *k) {
  if (k->t != NULL) ok(nacre_table_close(k->t));
  if (k->store != NULL) ok(nacre_close(k->store));
  k->t = NULL;
  k->store = NULL;
}

void key_site_reopen(key_site *k) {
  key_site_close(k);
  k->t = site_table(&k->s, &k->store, "table");
}

void key_site_remove(key_site *k) {
  key_site_close(k);
  site_remove(&k->s);
  pthread_mutex_destroy(&k->lock);
}

void key_site_check(key_site *k) {
  nacre_verify_report report;
  require(holds(k->t, NULL, "a", "1"));
  require(holds(k->t, NULL, "b", "2"));
  require(holds(k->t, NULL, "c", "3"));
  ok(nacre_verify(k->t, NULL, &report));
  require(report.fault_count == 0);
}

nacre_status key_site_try(key_site *k, unsigned first, size_t count) {
  nacre_key_spec specs[FAKE_KEYS];
  for (unsigned i = 0; i < count; i++) specs[i] = fake_spec(first + i);
  return nacre_table_set_key(k->t, specs, count);
}

void key_site_set(key_site *k, unsigned first, size_t count) { ok(key_site_try(k, first, count)); }

uint32_t key_site_only_version(key_site *k) {
  nacre_key_status status;
  ok(nacre_table_key_status(k->t, &status));
  require(nacre_key_versions_count(status.versions) == 1);
  const nacre_key_version *version = nacre_key_versions_at(status.versions, 0);
  uint32_t number = version->version;
  require(version->active && version->files == status.files && status.files == sealed_files(k->table_path));
  require(files_under(k->table_path, version->kek_id) == status.files);
  require(!status.changing && !status.rewrapping && status.files_left == 0);
  key_status_free(&status);
  return number;
}

size_t key_site_count(key_site *k, nacre_event_type type) {
  size_t count = 0;
  pthread_mutex_lock(&k->lock);
  for (size_t i = 0; i < k->event_count; i++) count += k->events[i].type == type;
  pthread_mutex_unlock(&k->lock);
  return count;
}

const kept_event *key_site_find(key_site *k, nacre_event_type type, const char *uri) {
  const kept_event *found = NULL;
  pthread_mutex_lock(&k->lock);
  for (size_t i = 0; i < k->event_count; i++) {
    const kept_event *e = &k->events[i];
    if (e->type == type && strcmp(e->uri, uri == NULL ? "" : uri) == 0) found = e;
  }
  pthread_mutex_unlock(&k->lock);
  return found;
}

void key_site_forget(key_site *k) {
  pthread_mutex_lock(&k->lock);
  k->event_count = 0;
  pthread_mutex_unlock(&k->lock);
}

/* ---- headers ------------------------------------------------------------------------------------------- */

static bool is_sealed(const char *name) {
  size_t length = strlen(name);
  return length == 24 &&
         (strcmp(name + 20, ".seg") == 0 || strcmp(name + 20, ".log") == 0 || strcmp(name + 20, ".man") == 0);
}

static size_t count_if(const char *directory, bool (*wanted)(const char *path, const void *arg),
                       const void *arg) {
  DIR *dir = opendir(directory);
  require(dir != NULL);
  size_t count = 0;
  for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
    char path[PATH_BYTES];
    if (!is_sealed(entry->d_name)) continue;
    join(path, directory, entry->d_name);
    count += wanted(path, arg);
  }
  closedir(dir);
  return count;
}

static bool any(const char *path, const void *arg) { return path != NULL && arg == NULL; }

static bool names_kek(const char *path, const void *arg) {
  size_t size;
  uint8_t *bytes = file_load(path, &size);
  char text_id[NC_UUID_TEXT_BYTES];
  nc_uuid id;
  require(size >= 8192);
  memcpy(id.bytes, bytes + 112, sizeof id.bytes); /* where a header slot names its KEK */
  nc_uuid_format(&id, text_id);
  free(bytes);
  return strcmp(text_id, arg) == 0;
}

size_t sealed_files(const char *directory) { return count_if(directory, any, NULL); }
size_t files_under(const char *directory, const char *kek_id) {
  return count_if(directory, names_kek, kek_id);
}

void first_file(const char *directory, const char *suffix, char path[PATH_BYTES]) {
  char best[32] = "";
  DIR *dir = opendir(directory);
  require(dir != NULL);
  for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
    if (!is_sealed(entry->d_name) || strcmp(entry->d_name + 20, suffix) != 0) continue;
    if (best[0] == '\0' || strcmp(entry->d_name, best) < 0) memcpy(best, entry->d_name, 25);
  }
  closedir(dir);
  require(best[0] != '\0');
  join(path, directory, best);
}

void key_status_free(nacre_key_status *status) {
  nacre_key_versions_free(status->versions);
  nacre_kms_keys_free(status->kms_keys);
  *status = (nacre_key_status){0};
}
