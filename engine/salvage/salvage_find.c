/* SPDX-License-Identifier: Apache-2.0
 *
 * salvage_find: which table is meant, and its keys; see salvage.h.
 *
 * The catalogue is a table too, and is read as any damaged one: a record that still authenticates tells the
 * table's name, how it is set up and which keys open it. Where no record does, the directory's own name is
 * the table's UUID, and the caller's keys must do. Faults of the catalogue are noted with the rest: what a
 * damaged catalogue says may be old.
 */
#include <stdio.h>

#include "salvage.h"


typedef struct request {
  nc_salvage *s;
  const char *table; /* NULL: the only one */
  bool by_uuid;
  nc_uuid uuid;
  bool doubtful; /* the catalogue is damaged, or has lost its end */
} request;

/* ---- the catalogue ------------------------------------------------------------------------------------- */

static bool matches(const request *q, const nc_catalogue_item *item) {
  if (item->record.life != NC_TABLE_LIVE) return false;
  if (q->by_uuid) return nc_uuid_equal(&item->table, &q->uuid);
  return q->table == NULL || nc_slice_equal(item->record.name, nc_slice(q->table, strlen(q->table)));
}

/* A second table that matches is told by `*ret_many`. */
static nacre_status look_through(request *q, nc_salvage_table *catalogue, nc_catalogue_item **ret_item,
                                 bool *ret_many, nacre_error *err) {
  for (;;) {
    nc_entry entry;
    nc_catalogue_item *item;
    nacre_error why;
    bool more;
    NC_TRY(nc_salvage_table_next(catalogue, &entry, &more, err));
    if (!more) return NACRE_OK;
    nacre_status status = nc_catalogue_decode(q->s->shared.env->heap, entry.key, entry.value, &item, &why);
    if (status != NACRE_OK) {
      NC_TRY(nc_salvage_note(q->s, &why, NULL, err));
      continue;
    }
    bool meant = matches(q, item);
    *ret_many = *ret_many || (meant && *ret_item != NULL);
    if (meant && *ret_item == NULL) {
      *ret_item = item;
    } else {
      nc_catalogue_free(item);
    }
  }
}

static nacre_status open_catalogue(nc_salvage *s, nc_salvage_table *ret_catalogue, nacre_error *err) {
  nc_dir dir;
  nc_table_keys *keys;
  uint8_t pinned[NC_COMMITMENT_BYTES];
  nc_key_trust trust;
  NC_TRY(nc_catalogue_trust(s->specs, s->spec_count, s->source, pinned, &trust, err));
  NC_TRY(nc_dir_open_at(&s->dir, NC_CATALOGUE_DIRECTORY, &dir, err));
  nacre_status status = nc_table_keys_open(&s->shared.kms, &dir, &trust, &keys, err);
  if (status != NACRE_OK) {
    nc_dir_close(&dir);
    return status;
  }
  const nc_table_settings settings = nc_catalogue_settings();
  return nc_salvage_table_open(s, &dir, keys, &settings, ret_catalogue, err);
}

/* Reading the catalogue is no part of what the report counts. */
static nacre_status ask_catalogue(request *q, nc_catalogue_item **ret_item, bool *ret_many,
                                  nacre_error *err) {
  nc_salvage_table catalogue;
  NC_TRY(open_catalogue(q->s, &catalogue, err));
  nacre_status status = look_through(q, &catalogue, ret_item, ret_many, err);
  nc_salvage_table_close(&catalogue);
  nacre_salvage_report *report = &q->s->report;
  q->doubtful = report->fault_count > 0 || report->torn_bytes > 0;
  *report = (nacre_salvage_report){.fault_count = report->fault_count, .faults = report->faults};
  q->s->bytes_done = q->s->bytes_total = 0;
  return status;
}

/* ---- the table's keys ---------------------------------------------------------------------------------- */

/* As the catalogue vouches for them; a damaged one may vouch for older keys, so then the caller's trust in
 * the keys that it names must do. */
static nacre_status keys_of_item(request *q, const nc_catalogue_item *item, nc_salvage_found *found,
                                 nacre_error *err) {
  nc_salvage *s = q->s;
  if (!q->doubtful) {
    return nc_open_table_keys(&s->shared.kms, &s->dir, item, s->specs, s->spec_count, s->source->region,
                              &found->dir, &found->keys, err);
  }
  nacre_key_spec *specs;
  size_t count;
  char directory[NC_UUID_TEXT_BYTES];
  nc_uuid_format(&item->table, directory);
  NC_TRY(nc_key_specs_join(&item->record, s->specs, s->spec_count, &specs, &count, err));
  nc_key_trust trust = {
      .table = item->table, .specs = specs, .spec_count = count, .region = s->source->region};
  nacre_status status = nc_dir_open_at(&s->dir, directory, &found->dir, err);
  if (status == NACRE_OK) {
    status = nc_table_keys_open(&s->shared.kms, &found->dir, &trust, &found->keys, err);
    if (status != NACRE_OK) nc_dir_close(&found->dir);
  }
  nc_key_specs_free(specs, count);
  return status;
}

static nacre_status found_item(request *q, const nc_catalogue_item *item, nc_salvage_found *found,
                               nacre_error *err) {
  const nc_catalogue_record *record = &item->record;
  NC_TRY(keys_of_item(q, item, found, err));
  found->settings = nc_table_settings_of(record);
  memcpy(found->name, record->name.data, record->name.size);
  found->name[record->name.size] = '\0';
  return NACRE_OK;
}

/* ---- without a record ---------------------------------------------------------------------------------- */

typedef struct directories {
  size_t count;
  nc_uuid uuid; /* of the last one */
} directories;

static nacre_status visit(void *arg, const char *name, nacre_io_kind kind, nacre_error *err) {
  directories *d = arg;
  nc_uuid uuid;
  (void)err;
  if (kind != NACRE_IO_DIRECTORY || !nc_uuid_parse(name, &uuid)) return NACRE_OK;
  d->count++;
  d->uuid = uuid;
  return NACRE_OK;
}

/* `why`: what is wrong with the catalogue. */
static nacre_status choose_directory(request *q, const nacre_error *why, nacre_error *err) {
  directories d = {0};
  bool key_trouble = why->status >= NACRE_KEY_MISSING;
  NC_TRY(nc_dir_list(&q->s->dir, visit, &d, err));
  if (d.count == 0) return nc_fail(err, NC_E_STORE_MISSING, NULL);
  if (q->by_uuid) return NACRE_OK;
  if (key_trouble) return nc_fail_with(err, why); /* the keys are what the caller has to see to first */
  if (q->table != NULL) return nc_fail(err, NC_E_SALVAGE_NAME, NULL);
  if (d.count > 1) return nc_fail(err, NC_E_SALVAGE_WHICH, "%zu directories", d.count);
  q->uuid = d.uuid;
  return NACRE_OK;
}

static nacre_status found_directory(request *q, const nacre_error *why, nc_salvage_found *found,
                                    nacre_error *err) {
  nc_salvage *s = q->s;
  NC_TRY(choose_directory(q, why, err));
  nc_uuid_format(&q->uuid, found->name);
  nc_key_trust trust = {
      .table = q->uuid, .specs = s->specs, .spec_count = s->spec_count, .region = s->source->region};
  nacre_error missing;
  nacre_status status = nc_dir_open_at(&s->dir, found->name, &found->dir, &missing);
  if (status == NACRE_NOT_FOUND) return nc_fail(err, NC_E_TABLE_MISSING, "\"%.100s\"", q->table);
  if (status != NACRE_OK) return nc_fail_with(err, &missing);
  status = nc_table_keys_open(&s->shared.kms, &found->dir, &trust, &found->keys, err);
  if (status != NACRE_OK) nc_dir_close(&found->dir);
  return status;
}

/* ---- both ---------------------------------------------------------------------------------------------- */

static nacre_status no_record(request *q, nacre_status asked, const nacre_error *why, nc_salvage_found *found,
                              nacre_error *err) {
  nacre_error unnamed;
  (void)nc_fail(&unnamed, NC_E_SALVAGE_NAME, NULL);
  if (asked != NACRE_OK) NC_TRY(nc_salvage_note(q->s, why, NULL, err));
  if (asked != NACRE_OK || q->doubtful) {
    NC_TRY(found_directory(q, why, found, err));
    return nc_salvage_note(q->s, &unnamed, NULL, err);
  }
  return q->table == NULL ? nc_fail(err, NC_E_SALVAGE_WHICH, "it has none")
                          : nc_fail(err, NC_E_TABLE_MISSING, "\"%.100s\"", q->table);
}

nacre_status nc_salvage_find(nc_salvage *s, const char *table, nc_salvage_found *ret_found,
                             nacre_error *err) {
  request q = {.s = s, .table = table};
  size_t prefix = strlen(NC_UUID_PREFIX);
  q.by_uuid = table != NULL && strncmp(table, NC_UUID_PREFIX, prefix) == 0;
  if (q.by_uuid && !nc_uuid_parse(table + prefix, &q.uuid))
    return nc_fail(err, NC_E_TABLE_MISSING, "%.100s", table);
  *ret_found = (nc_salvage_found){.settings = nc_catalogue_settings()};
  nc_catalogue_item *item = NULL;
  nacre_error why = {.status = NACRE_OK};
  bool many = false;
  nacre_status status = ask_catalogue(&q, &item, &many, &why);
  if (status == NACRE_NO_MEMORY) {
    status = nc_fail_with(err, &why);
  } else if (many) {
    status = nc_fail(err, NC_E_SALVAGE_WHICH, NULL);
  } else if (item != NULL) {
    status = found_item(&q, item, ret_found, err);
  } else {
    status = no_record(&q, status, &why, ret_found, err);
  }
  nc_catalogue_free(item);
  return status;
}
