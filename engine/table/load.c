/* SPDX-License-Identifier: Apache-2.0
 *
 * load: sorted entries straight into segments, which one commit shows all at once.
 *
 * Invariants
 *   1. No manifest names a segment of a load before its commit: a crash leaves orphans.
 *   2. The entries bear no sequence. The commit gives all of them one, the next of the table's, under write_lock,
 *      when no memtable holds anything and no log is live: what was written before is in older runs, and the next
 *      log begins behind it.
 *   3. It stands as low in the tree as nothing overlaps it (load_place.h). No merge is chosen between the choice of
 *      that place and the commit, and those under way are kept clear of.
 *   4. Large values have files of their own, as with any put, part of the table's set of values from the first on,
 *      named by the commit.
 *   5. The segment at hand is written under the active table key, or ended by the rewrapper; those that are
 *      finished are files like any other for it (named_files.h).
 * Locks: `lock` guards the builder, against the rewrapper alone; it comes after loads.lock.
 */
#include <stdlib.h>

#include "batch.h"
#include "expiry.h"
#include "large_write.h"
#include "last_error.h"
#include "load_place.h"
#include "private_memory.h"
#include "rewrap.h"
#include "segment_build.h"
#include "segment_writer.h"

struct nacre_load {
  nacre_table *table;
  nacre_load *next;
  pthread_mutex_t lock;
  nc_build build;
  nc_builder builder;
  nc_large_write large;
  uint8_t *scratch; /* the value of an entry that expires, behind its moment */
  size_t scratch_capacity;
  uint8_t *last_key; /* NACRE_KEY_BYTES_MAX */
  size_t last_key_size;
  bool any;           /* there is a last key */
  bool overlaps;      /* something that there was, so it will be merged with that one day */
  nacre_error failed; /* status NACRE_OK: it goes on */
};

/* ---- the list of loads --------------------------------------------------------------------------------- */

static void link_load(nacre_load *load) {
  nacre_table *t = load->table;
  nc_table_lend(t);
  pthread_mutex_lock(&t->loads.lock);
  pthread_mutex_lock(&t->commit_lock);
  load->next = t->loads.list;
  t->loads.list = load;
  pthread_mutex_unlock(&t->commit_lock);
  pthread_mutex_unlock(&t->loads.lock);
}

static void unlink_load(nacre_load *load) {
  nacre_table *t = load->table;
  pthread_mutex_lock(&t->loads.lock);
  pthread_mutex_lock(&t->commit_lock);
  nacre_load **link = &t->loads.list;
  while (*link != load) link = &(*link)->next;
  *link = load->next;
  pthread_mutex_unlock(&t->commit_lock);
  pthread_mutex_unlock(&t->loads.lock);
}

size_t nc_loads_segments_locked(const nacre_table *t, nc_segment **list) {
  size_t count = 0;
  for (const nacre_load *load = t->loads.list; load != NULL; load = load->next) {
    for (size_t i = 0; i < load->builder.count; i++) {
      if (list != NULL) list[count] = load->builder.segments[i];
      count++;
    }
  }
  return count;
}

/* ---- adding -------------------------------------------------------------------------------------------- */

/* Needs the load's lock. */
static nacre_status note_failure(nacre_load *load, nacre_status status, const nacre_error *why) {
  if (status != NACRE_OK) load->failed = *why;
  return status;
}

static nacre_status check_sound(nacre_load *load, nacre_error *err) {
  pthread_mutex_lock(&load->lock);
  nacre_status status = load->failed.status == NACRE_OK ? NACRE_OK : nc_fail_with(err, &load->failed);
  pthread_mutex_unlock(&load->lock);
  return status;
}

static nacre_status end_segment(nacre_load *load, nacre_error *err) {
  if (load->failed.status != NACRE_OK) return nc_fail_with(err, &load->failed);
  return note_failure(load, nc_builder_end(&load->builder, err), err);
}

/* A load that cannot end its segment has failed, and nothing will name the file: it holds nobody up. */
void nc_loads_end_older(nacre_table *t, const nc_table_keys *keys) {
  nacre_error why;
  const nc_uuid *active = &nc_kek_describe(nc_table_keys_active(keys))->id;
  pthread_mutex_lock(&t->loads.lock);
  for (nacre_load *load = t->loads.list; load != NULL; load = load->next) {
    pthread_mutex_lock(&load->lock);
    if (load->builder.writer != NULL && !nc_uuid_equal(&load->builder.kek_id, active) &&
        end_segment(load, &why) != NACRE_OK) {
      nc_builder_drop(&load->builder);
    }
    pthread_mutex_unlock(&load->lock);
  }
  pthread_mutex_unlock(&t->loads.lock);
}

static bool ascends(const nacre_load *load, nacre_slice key) {
  return !load->any || nc_slice_compare(nc_slice(load->last_key, load->last_key_size), key) < 0;
}

/* Looks, once for each segment, where the load will stand: what is not at the bottom is packed for speed, since it
 * is going to be written again. What comes meanwhile may prove that wrong, which costs space or time alone. */
static void choose_method(nacre_load *load, nacre_slice key) {
  const nc_builder *b = &load->builder;
  if (load->overlaps || (b->writer != NULL && !nc_segment_writer_full(b->writer))) return;
  uint64_t sequence;
  nc_view *view = nc_table_view(load->table, &sequence);
  load->overlaps = nc_load_overlaps(view->version, b->segments, b->count, key);
  nc_view_unref(view);
  load->build.method = nc_build_method(load->table, !load->overlaps);
}

static nacre_status add(nacre_load *load, const nc_entry *entry, nacre_error *err) {
  if (load->failed.status != NACRE_OK) return nc_fail_with(err, &load->failed);
  choose_method(load, entry->key);
  NC_TRY(note_failure(load, nc_builder_add(&load->builder, entry, true, err), err));
  if (entry->key.size > 0) memcpy(load->last_key, entry->key.data, entry->key.size);
  load->last_key_size = entry->key.size;
  load->any = true;
  return NACRE_OK;
}

static nacre_status check(const nacre_load *load, nacre_error *err) {
  if (load == NULL) return nc_fail(err, NC_E_ARGUMENT, "the load is NULL");
  return nc_table_forked(load->table) ? nc_fail(err, NC_E_FORKED, NULL) : NACRE_OK;
}

/* What a put refuses, a load does, too, and is as it was. */
static nacre_status check_size(const nacre_load *load, nacre_slice key, nacre_slice value,
                               uint64_t expire_at_ms, nc_entry *entry, nacre_error *err) {
  size_t bytes, size = value.size;
  *entry = (nc_entry){.key = key, .kind = NC_KIND_PUT, .value = value};
  if (nc_value_is_large(load->table, key.size, value.size)) {
    if (value.size > NACRE_VALUE_BYTES_MAX)
      return nc_fail(err, NC_E_VALUE_TOO_LARGE, "%zu bytes", value.size);
    entry->kind = NC_KIND_LARGE;
    size = NC_VALUE_REFERENCE_BYTES_MAX;
  } else if (expire_at_ms != 0) {
    entry->kind = NC_KIND_EXPIRING;
    size += NC_EXPIRY_BYTES;
  }
  return nc_operation_size(entry->kind, key, nc_slice(value.data, size), &bytes, err);
}

static nacre_status make_room(nacre_load *load, size_t size, nacre_error *err) {
  if (size <= load->scratch_capacity) return NACRE_OK;
  size_t capacity = size > 2 * load->scratch_capacity ? size : 2 * load->scratch_capacity;
  uint8_t *grown =
      nc_heap_grow(load->table->shared->env->heap, load->scratch, load->scratch_capacity, capacity);
  if (grown == NULL) return nc_fail(err, NC_E_NO_MEMORY, "%zu bytes for a value that expires", size);
  load->scratch = grown;
  load->scratch_capacity = capacity;
  return NACRE_OK;
}

/* Gives an entry that is no plain put the value that stands in its segment. */
static nacre_status place_value(nacre_load *load, nc_entry *entry, uint64_t expire_at_ms, nacre_error *err) {
  nacre_slice value = entry->value;
  if (entry->kind == NC_KIND_EXPIRING) {
    NC_TRY(make_room(load, NC_EXPIRY_BYTES + value.size, err));
    nc_put_u64(load->scratch, expire_at_ms);
    if (value.size > 0) memcpy(load->scratch + NC_EXPIRY_BYTES, value.data, value.size);
    entry->value = nc_slice(load->scratch, NC_EXPIRY_BYTES + value.size);
  } else if (entry->kind == NC_KIND_LARGE) {
    NC_TRY(make_room(load, NC_VALUE_REFERENCE_BYTES_MAX, err));
    entry->value.data = load->scratch;
    NC_TRY(nc_large_write_load(&load->large, value, expire_at_ms, load->scratch, &entry->value.size, err));
  }
  return NACRE_OK;
}

nacre_status nacre_load_put_expiring(nacre_load *load, nacre_slice key, nacre_slice value,
                                     uint64_t expire_at_ms) {
  nacre_error *err = nc_thread_error();
  nc_entry entry;
  NC_TRY(check(load, err));
  if (key.data == NULL) return nc_fail(err, NC_E_ARGUMENT, "the key is NULL");
  if (value.data == NULL && value.size != 0) return nc_fail(err, NC_E_ARGUMENT, "the value is NULL");
  NC_TRY(check_size(load, key, value, expire_at_ms, &entry, err));
  if (!ascends(load, key)) return nc_fail(err, NC_E_LOAD_ORDER, NULL);
  NC_TRY(check_sound(load, err));
  nacre_status status =
      place_value(load, &entry, expire_at_ms, err); /* which may take long: without the lock */
  pthread_mutex_lock(&load->lock);
  status = status == NACRE_OK ? add(load, &entry, err) : note_failure(load, status, err);
  pthread_mutex_unlock(&load->lock);
  return status;
}

nacre_status nacre_load_put(nacre_load *load, nacre_slice key, nacre_slice value) {
  return nacre_load_put_expiring(load, key, value, 0);
}

/* ---- beginning and ending ------------------------------------------------------------------------------ */

static void destroy(nacre_load *load) {
  nc_heap *heap = load->table->shared->env->heap;
  nc_heap_free(heap, load->last_key, NACRE_KEY_BYTES_MAX);
  nc_heap_free(heap, load->scratch, load->scratch_capacity);
  pthread_mutex_destroy(&load->lock);
  free(load);
}

nacre_status nacre_load_begin(nacre_table *table, const nacre_load_options *options, nacre_load **ret_load) {
  nacre_error *err = nc_thread_error();
  NC_TRY(nc_table_check_writable(table, err));
  if (ret_load == NULL) return nc_fail(err, NC_E_ARGUMENT, "ret_load is NULL");
  if (options != NULL) NC_TRY(nc_check_reserved(options->reserved, err));
  pthread_mutex_lock(&table->write_lock); /* no file is made before this open has begun to write */
  nacre_status status = table->writing ? NACRE_OK : nc_table_begin_writing_locked(table, err);
  pthread_mutex_unlock(&table->write_lock);
  NC_TRY(status);
  nacre_load *load = calloc(1, sizeof *load);
  if (load == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  load->table = table;
  load->last_key = nc_heap_alloc(table->shared->env->heap, NACRE_KEY_BYTES_MAX);
  if (load->last_key == NULL) {
    free(load);
    return nc_fail(err, NC_E_NO_MEMORY, NULL);
  }
  pthread_mutex_init(&load->lock, NULL);
  load->build = (nc_build){.segment_bytes = table->policy.segment_bytes, .one_sequence = true};
  load->builder = (nc_builder){.table = table, .build = &load->build};
  nc_large_write_init(&load->large, table);
  link_load(load);
  *ret_load = load;
  return NACRE_OK;
}

/* Of a load that is not in the table's list any more. The last that is done with the table. */
static void end_load(nacre_load *load) {
  nacre_table *t = load->table;
  nc_builder_drop(&load->builder);
  destroy(load);
  nc_table_take_back(t);
}

/* A commit that failed half-way is undone where that can be done now. Where it cannot, the manifest on disk may name
 * its files: those of values stay, for the next open. */
void nacre_load_abort(nacre_load *load) {
  if (load == NULL || nc_table_forked(load->table)) return;
  bool settled = nc_table_settle_manifest(load->table, NULL) == NACRE_OK;
  unlink_load(load);
  nc_table_set_doubtful(load->table, load->builder.segments, load->builder.count);
  if (settled) {
    nc_large_write_end(&load->large, NULL);
  } else {
    nc_large_write_leave_files(&load->large);
  }
  end_load(load);
}

/* ---- the commit ---------------------------------------------------------------------------------------- */

static nacre_status place_and_commit(nacre_load *load, uint64_t sequence, nacre_error *err) {
  nacre_table *t = load->table;
  nc_builder *b = &load->builder;
  uint64_t new_run = nc_table_new_number(t), visible;
  nc_value_changes values = {.kept = load->large.made, .kept_count = load->large.count};
  nc_change change = {.add = b->segments,
                      .add_count = b->count,
                      .last_sequence = sequence,
                      .shows = sequence,
                      .values = &values};
  pthread_mutex_lock(&t->merge_lock);
  nc_view *view = nc_table_view(t, &visible);
  change.place = nc_load_place(view->version, &t->policy, b->segments, b->count, new_run);
  nc_view_unref(view);
  nacre_status status = nc_table_commit(t, &change, err);
  pthread_mutex_unlock(&t->merge_lock);
  return status;
}

/* What a salvage without a manifest goes by: the first segment's header tells the sequence, to which the others' footers
 * lead. A crash right here leaves files that nothing names. */
static nacre_status note_sequence(nacre_load *load, uint64_t sequence, nacre_error *err) {
  nacre_table *t = load->table;
  const nc_segment_record *first = nc_segment_describe(load->builder.segments[0]);
  nc_sealed_expect expect = {.type = NC_FILE_SEGMENT,
                             .origin_table = &first->origin_table,
                             .file = &first->file,
                             .number = first->number,
                             .dek_commitment = first->dek_commitment};
  char name[NC_FILE_NAME_BYTES];
  nc_segment_name(first->number, name);
  NC_TAKEN_KEYS(keys, &t->keys);
  pthread_mutex_lock(&t->header_lock);
  nacre_status status = nc_rewrap_note_load(&t->dir, name, keys, &expect, sequence, err);
  pthread_mutex_unlock(&t->header_lock);
  return status;
}

static nacre_status commit_locked(nacre_load *load, nacre_error *err) {
  nacre_table *t = load->table;
  nc_builder *b = &load->builder;
  NC_TRY(nc_table_drain_logs_locked(t, err));
  uint64_t sequence = atomic_load(&t->visible) + 1;
  if (sequence >= NC_SEQUENCE_MAX) return nc_fail(err, NC_E_SEQUENCES_SPENT, NULL); /* a header cannot tell the last */
  NC_TRY(note_sequence(load, sequence, err));
  for (size_t i = 0; i < b->count; i++) nc_segment_set_sequence(b->segments[i], sequence);
  return place_and_commit(load, sequence, err);
}

static void count_load(nacre_load *load) {
  nacre_table *t = load->table;
  uint64_t bytes = 0;
  for (size_t i = 0; i < load->builder.count; i++)
    bytes += nc_segment_describe(load->builder.segments[i])->size;
  for (size_t i = 0; i < load->large.count; i++) bytes += load->large.made[i].size;
  pthread_mutex_lock(&t->state_lock);
  t->counters.loads++;
  t->counters.bytes_loaded += bytes;
  pthread_mutex_unlock(&t->state_lock);
}

/* Most of what is in memtables is flushed beside other writers; they wait for the rest alone. */
static nacre_status commit(nacre_load *load, nacre_error *err) {
  nacre_table *t = load->table;
  pthread_mutex_lock(&t->write_lock);
  bool any = nc_memtable_entries(t->active) > 0;
  pthread_mutex_unlock(&t->write_lock);
  if (any) NC_TRY(nacre_flush(t));
  pthread_mutex_lock(&t->write_lock);
  nacre_status status = commit_locked(load, err);
  pthread_mutex_unlock(&t->write_lock);
  nc_rewrap_unpark(t);
  return status;
}

nacre_status nacre_load_commit(nacre_load *load) {
  nacre_error *err = nc_thread_error();
  NC_TRY(check(load, err));
  pthread_mutex_lock(&load->lock);
  nacre_status status = end_segment(load, err);
  pthread_mutex_unlock(&load->lock);
  NC_TRY(status);
  nacre_table *t = load->table;
  if (load->builder.count > 0) {
    NC_TRY(nc_dir_sync(&t->dir, err)); /* the files' names, before a manifest speaks of them */
    NC_TRY(commit(load, err));
    count_load(load);
  }
  unlink_load(load); /* before its segments are let go: a rewrap may be looking at them */
  nc_build_release(load->builder.segments, load->builder.count, false); /* the version keeps them */
  nc_large_write_leave_files(&load->large);
  nc_table_schedule_merge(t);
  end_load(load);
  return NACRE_OK;
}
