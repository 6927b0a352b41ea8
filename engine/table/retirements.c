/* SPDX-License-Identifier: Apache-2.0
 *
 * retirements: what a table has let go of since it was opened: versions of its table key, and the KMS keys that
 * only they were wrapped under.
 */
#include <stdlib.h>

#include "last_error.h"
#include "table.h"

struct nacre_retirements {
  size_t count, capacity;
  nacre_retirement *list; /* their URIs belong to the list */
};

size_t nacre_retirements_count(const nacre_retirements *r) { return r == NULL ? 0 : r->count; }

const nacre_retirement *nacre_retirements_at(const nacre_retirements *r, size_t index) {
  return r == NULL || index >= r->count ? NULL : &r->list[index];
}

void nacre_retirements_free(nacre_retirements *r) {
  for (size_t i = 0; r != NULL && i < r->count; i++) free((void *)(uintptr_t)r->list[i].uri);
  if (r != NULL) free(r->list);
  free(r);
}

void nc_retirements_drop(nacre_table *t) { nacre_retirements_free(t->rewrapper.retirements); }

/* False without memory. */
static bool add(nacre_retirements *r, const nacre_retirement *item) {
  if (r->count == r->capacity) {
    size_t capacity = r->capacity == 0 ? 8 : r->capacity * 2;
    nacre_retirement *grown = realloc(r->list, capacity * sizeof *grown);
    if (grown == NULL) return false;
    r->list = grown;
    r->capacity = capacity;
  }
  nacre_retirement copy = *item;
  if (item->uri != NULL && (copy.uri = strdup(item->uri)) == NULL) return false;
  r->list[r->count++] = copy;
  return true;
}

nacre_status nc_retirements_copy(nacre_table *t, nacre_retirements **ret_copy, nacre_error *err) {
  nacre_retirements *copy = calloc(1, sizeof *copy);
  bool whole = copy != NULL;
  pthread_mutex_lock(&t->state_lock);
  const nacre_retirements *from = t->rewrapper.retirements;
  for (size_t i = 0; whole && from != NULL && i < from->count; i++) whole = add(copy, &from->list[i]);
  pthread_mutex_unlock(&t->state_lock);
  if (!whole) {
    nacre_retirements_free(copy);
    return nc_fail(err, NC_E_NO_MEMORY, NULL);
  }
  if (copy->count == 0) {
    nacre_retirements_free(copy);
    copy = NULL;
  }
  *ret_copy = copy;
  return NACRE_OK;
}

/* ---- noting -------------------------------------------------------------------------------------------- */

/* Memory that is lacking here costs a line of the report, not the retirement. */
static void note(nacre_table *t, const nacre_retirement *item) {
  nc_rewrapper *r = &t->rewrapper;
  pthread_mutex_lock(&t->state_lock);
  if (r->retirements == NULL) r->retirements = calloc(1, sizeof *r->retirements);
  if (r->retirements != NULL) (void)add(r->retirements, item);
  if (item->uri == NULL) r->report.versions_retired++;
  pthread_mutex_unlock(&t->state_lock);
  nacre_event event = {
      .type = NACRE_EVENT_KEY_RETIRED, .kek_version = item->version, .key_uri = item->uri};
  nc_table_tell(t, &event);
}

static bool wraps_under(const nc_key_file *file, uint32_t until, nacre_slice uri) {
  for (uint32_t i = 0; i < until; i++) {
    if (nc_slice_equal(file->wraps[i].uri, uri)) return true;
  }
  return false;
}

static void note_uris(nacre_table *t, const nc_key_file *before, const nc_key_file *now,
                      nacre_retirement *item) {
  for (uint32_t i = 0; i < before->wrap_count; i++) {
    nacre_slice uri = before->wraps[i].uri;
    if (wraps_under(before, i, uri) || wraps_under(now, now->wrap_count, uri)) continue;
    char text[NACRE_KEY_URI_BYTES_MAX + 1] = "";
    memcpy(text, uri.data, uri.size); /* decoding bounds it, and allows no NUL */
    item->uri = text;
    note(t, item);
  }
}

static void note_versions(nacre_table *t, const nc_table_keys *before, const nc_table_keys *now,
                          nacre_retirement *item) {
  for (uint32_t i = 0; i < nc_table_keys_count(before); i++) {
    const nc_kek_pin *pin = nc_kek_describe(nc_table_keys_at(before, i));
    if (nc_table_keys_find(now, &pin->id) != NULL) continue;
    item->version = pin->version;
    nc_uuid_format(&pin->id, item->kek_id);
    note(t, item);
  }
}

void nc_retirements_note(nacre_table *t, const nc_table_keys *before) {
  nc_key_file *files = calloc(2, sizeof *files);
  nacre_retirement item = {0};
  size_t body;
  NC_TAKEN_KEYS(now, &t->keys);
  note_versions(t, before, now, &item);
  if (files != NULL && nc_key_file_decode(nc_table_keys_image(before), &files[0], &body, NULL) == NACRE_OK &&
      nc_key_file_decode(nc_table_keys_image(now), &files[1], &body, NULL) == NACRE_OK) {
    note_uris(t, &files[0], &files[1], &item);
  }
  free(files);
}
