/* SPDX-License-Identifier: Apache-2.0
 *
 * salvage_table: which files of a table take part, and their entries as one sequence; see salvage.h.
 *
 * Three ways, from the best to the last:
 *   1. The table opens: its manifest names the segments, and its logs are what recovery made of them.
 *   2. The manifest is whole, but the logs refuse: its segments, and the logs as far as they go on.
 *   3. There is no manifest that could be believed, or a file knows of a later commit than it holds: every
 *      file of the directory that is the table's own. Sequence numbers decide which version is the newest.
 */
#include <stdlib.h>

#include "merge_cursor.h"
#include "orphans.h"
#include "salvage.h"
#include "segment_writer.h"

/* ---- the manifest's word ------------------------------------------------------------------------------- */

static nacre_status load(nc_salvage_table *t, const nc_table_settings *settings, nacre_recovery_mode mode,
                         nacre_error *err) {
  nc_dir dir;
  NC_TRY(nc_dir_open_at(&t->s->dir, t->dir.label, &dir, err));
  return nc_table_load(&t->s->shared, &dir, nc_table_keys_ref(t->keys), settings, true, mode,
                       &t->loaded, err);
}

static void unload(nc_salvage_table *t) {
  if (t->view != NULL) nc_view_unref(t->view);
  t->view = NULL;
  if (t->loaded != NULL) nc_ignore(nc_table_unload(t->loaded, NULL)); /* read-only: nothing to end */
  t->loaded = NULL;
}

static bool manifest_is_whole(const nc_salvage_table *t) {
  nc_manifest_content content;
  nacre_status status = nc_manifest_read(&t->dir, t->keys, false, &content, NULL);
  nc_manifest_content_deinit(&content);
  return status == NACRE_OK;
}

/* Whether the manifest holds all that any file of the directory knows of. */
static bool manifest_is_newest(nc_salvage_table *t) {
  nc_orphans orphans;
  nacre_status status = nc_orphans_find(t->loaded, &orphans, NULL);
  nc_orphans_free(&orphans);
  return status == NACRE_OK;
}

static nacre_status add_segments(nc_salvage_table *t, nacre_error *err) {
  const nc_version *v = t->view->version;
  nc_salvage_listing *l = &t->listing;
  for (size_t i = 0; i < v->segment_count; i++) {
    const nc_segment_record *record = nc_segment_describe(v->segments[i]);
    nc_salvage_file *file = nc_salvage_list_add(&l->segments, &l->segment_count, &l->segment_capacity);
    if (file == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
    nc_segment_name(record->number, file->name);
    file->origin_table = record->origin_table;
    file->number = record->number;
    file->size = record->size;
    file->pinned = true;
    file->file = record->file;
    memcpy(file->dek_commitment, record->dek_commitment, sizeof file->dek_commitment);
    file->smallest = record->smallest; /* the view keeps the records */
    file->largest = record->largest;
    file->one_sequence = nc_segment_one_sequence(record);
    file->no_ranges = (record->flags & NC_SEGMENT_HOLDS_RANGES) == 0;
  }
  return NACRE_OK;
}

static nacre_status add_logs(nc_salvage_table *t, nacre_error *err) {
  nc_salvage_listing *l = &t->listing;
  for (size_t i = 0; i < t->loaded->log_count; i++) {
    const nc_log_name *name = &t->loaded->logs[i]->name;
    nc_salvage_file *file = nc_salvage_list_add(&l->logs, &l->log_count, &l->log_capacity);
    if (file == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
    nc_log_name_file(name->number, file->name);
    file->origin_table = *nc_table_keys_table(t->keys);
    file->number = name->number;
    file->pinned = true;
    file->file = name->file;
    memcpy(file->dek_commitment, name->dek_commitment, sizeof file->dek_commitment);
  }
  return NACRE_OK;
}

/* ---- cursors ------------------------------------------------------------------------------------------- */

typedef struct cursors {
  nc_cursor **list;
  size_t count;
} cursors;

static nacre_status memtable_cursors(nc_salvage_table *t, cursors *c, nacre_error *err) {
  if (t->memtable != NULL) {
    NC_TRY(nc_memtable_cursor(t->memtable, &c->list[c->count], err));
    c->count++;
    return NACRE_OK;
  }
  for (size_t i = 0; i < t->view->memtable_count; i++) {
    NC_TRY(nc_memtable_cursor(t->view->memtables[i], &c->list[c->count], err));
    c->count++;
    t->s->report.entries += nc_memtable_entries(t->view->memtables[i]);
  }
  return NACRE_OK;
}

/* Segments of one run follow one another; without a manifest each stands alone. */
static nacre_status segment_cursors(nc_salvage_table *t, cursors *c, nacre_error *err) {
  const nc_salvage_file *files = t->listing.segments;
  size_t runs = t->view == NULL ? t->listing.segment_count : t->view->version->run_count;
  for (size_t i = 0, at = 0; i < runs; i++) {
    size_t count = t->view == NULL ? 1 : t->view->version->runs[i].count;
    NC_TRY(nc_salvage_run(t, &files[at], count, &c->list[c->count], err));
    c->count++;
    at += count;
  }
  return NACRE_OK;
}

static nacre_status open_cursor(nc_salvage_table *t, nacre_error *err) {
  size_t memtables = t->view == NULL ? 1 : t->view->memtable_count + 1;
  cursors c = {calloc(t->listing.segment_count + memtables, sizeof(nc_cursor *)), 0};
  if (c.list == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  nacre_status status = memtable_cursors(t, &c, err);
  if (status == NACRE_OK) status = segment_cursors(t, &c, err);
  if (status == NACRE_OK) {
    status = nc_merge_cursor(c.list, c.count, &t->cursor, err);
  } else {
    for (size_t i = 0; i < c.count; i++) nc_cursor_close(c.list[i]);
  }
  free(c.list);
  NC_TRY(status);
  for (size_t i = 0; i < t->listing.segment_count; i++) t->s->bytes_total += t->listing.segments[i].size;
  NC_TRY(nc_cursor_first(t->cursor, err));
  static const nc_beneath nothing = {0};
  NC_TRY(nc_fold_begin(&t->fold, t->cursor, NULL, 0, &nothing, t->s->shared.env->heap, err));
  t->fold.ranges = t->all_ranges;
  return NACRE_OK;
}

/* ---- the three ways ------------------------------------------------------------------------------------ */

static nacre_status make_memtable(nc_salvage_table *t, nacre_error *err) {
  enum { CHUNK_BYTES = 1 << 20 };
  nc_shared *shared = &t->s->shared;
  return nc_memtable_create(shared->env, NULL, CHUNK_BYTES, &shared->memtables_bytes, &t->memtable, err);
}

static void drop_memtable(nc_salvage_table *t) {
  if (t->memtable != NULL) nc_pin_unref(nc_memtable_pin(t->memtable));
  t->memtable = NULL;
}

static nacre_status take_loaded(nc_salvage_table *t, nacre_error *err) {
  uint64_t sequence;
  t->view = nc_table_view(t->loaded, &sequence);
  return add_segments(t, err);
}

/* Way 2. `*ret_usable` false: a frame knows of a commit that the manifest does not hold. */
static nacre_status with_damaged_logs(nc_salvage_table *t, bool *ret_usable, nacre_error *err) {
  uint64_t known = 0;
  NC_TRY(take_loaded(t, err));
  NC_TRY(add_logs(t, err));
  NC_TRY(make_memtable(t, err));
  NC_TRY(
      nc_salvage_logs(t, t->listing.logs, t->listing.log_count, t->loaded->state.last_sequence, &known, err));
  *ret_usable = known <= t->loaded->commit_sequence;
  return NACRE_OK;
}

/* Way 3. */
static nacre_status without_manifest(nc_salvage_table *t, nacre_error *err) {
  uint64_t last = 0, known;
  unload(t);
  drop_memtable(t);
  nc_salvage_list_free(t->s->shared.env->heap, &t->listing);
  t->s->report.without_manifest = true;
  NC_TRY(nc_salvage_list(t->s, &t->dir, t->keys, &t->listing, err));
  uint64_t loaded = 0;
  for (size_t i = 0; i < t->listing.segment_count; i++) {
    if (t->listing.segments[i].sequence_max > last) last = t->listing.segments[i].sequence_max;
    loaded += t->listing.segments[i].one_sequence != 0;
  }
  last += loaded; /* each load may have taken a number that no entry bears */
  NC_TRY(make_memtable(t, err));
  return nc_salvage_logs(t, t->listing.logs, t->listing.log_count, last, &known, err);
}

static nacre_status gather(nc_salvage_table *t, const nc_table_settings *settings, nacre_error *err) {
  nacre_error why;
  nacre_status status = load(t, settings, NACRE_RECOVERY_STRICT, &why);
  if (status == NACRE_OK) {
    t->s->report.torn_bytes += t->loaded->recovery.dropped_bytes;
    return take_loaded(t, err);
  }
  NC_TRY(nc_salvage_note(t->s, &why, NULL, err));
  bool usable = manifest_is_whole(t) && load(t, settings, NACRE_RECOVERY_TO_DAMAGE, &why) == NACRE_OK &&
                manifest_is_newest(t);
  if (usable) NC_TRY(with_damaged_logs(t, &usable, err));
  return usable ? NACRE_OK : without_manifest(t, err);
}

nacre_status nc_salvage_table_open(nc_salvage *s, nc_dir *dir, nc_table_keys *keys,
                                   const nc_table_settings *settings, nc_salvage_table *ret_t,
                                   nacre_error *err) {
  nc_salvage_table *t = ret_t;
  *t = (nc_salvage_table){.s = s, .dir = *dir, .keys = keys};
  *dir = (nc_dir){0};
  nacre_status status = gather(t, settings, err);
  if (status == NACRE_OK) status = nc_salvage_ranges_read(t, err);
  if (status == NACRE_OK) status = open_cursor(t, err);
  if (status != NACRE_OK) nc_salvage_table_close(t);
  return status;
}

nacre_status nc_salvage_table_next(nc_salvage_table *t, nc_entry *ret_entry, bool *ret_more,
                                   nacre_error *err) {
  bool new_key;
  if (t->at_entry) NC_TRY(nc_cursor_next(t->cursor, err));
  NC_TRY(nc_fold_settle(&t->fold, &new_key, err));
  t->at_entry = *ret_more = t->cursor->valid;
  if (t->at_entry) *ret_entry = t->cursor->entry;
  return NACRE_OK;
}

void nc_salvage_table_close(nc_salvage_table *t) {
  if (t->fold.key != NULL) nc_fold_end(&t->fold);
  nc_cursor_close(t->cursor);
  nc_salvage_ranges_free(t);
  drop_memtable(t);
  unload(t);
  nc_salvage_list_free(t->s->shared.env->heap, &t->listing);
  nc_table_keys_unref(t->keys);
  nc_dir_close(&t->dir);
}
