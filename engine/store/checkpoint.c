/* SPDX-License-Identifier: Apache-2.0
 *
 * checkpoint: the whole store as it is at a moment, in another directory, while it goes on being used.
 *
 * Files are copied as they lie there: what never changes (frames) may be copied at leisure; what does is copied at
 * one moment, of which all that is under locks:
 *   1. No key changes, retires or is recorded meanwhile, no table comes, goes or is renamed: tables_lock, every
 *      change_lock, catalogue_lock. So the copied catalogue, key files and headers fit one another.
 *   2. Each table's manifest, up to its newest commit, and logs, up to their ends, are those of one moment of its
 *      own: write_lock and commit_lock, held while they are opened. From then on both only grow, or go; the
 *      handles keep them. Segments are kept by the version.
 *   3. A header is copied under header_lock, or its slots could be torn.
 * The catalogue comes last and gets its name last: a copy that is not whole is no store.
 *
 * Nobody appends to a file of the copy, as nobody does to files of a store that was opened again: whoever writes to
 * the copy makes new files under new keys, so that no pair of key and nonce can meet twice.
 */
#include <stdlib.h>

#include "checkpoint.h"
#include "file_copy.h"
#include "last_error.h"

/* ---- one file ------------------------------------------------------------------------------------------ */

/* The first `size` bytes of a file; durable later. */
static nacre_status copy_part(nc_file *from, const nc_dir *to, const char *name, uint64_t offset,
                              uint64_t size, nacre_error *err) {
  nc_file copy;
  nacre_status status =
      offset == 0 ? nc_file_create(to, name, &copy, err) : nc_file_open(to, name, true, &copy, err);
  NC_TRY(status);
  status = nc_file_copy(from, &copy, offset, size, err);
  nc_file_close(&copy);
  return status;
}

static void count_file(nc_checkpoint *c, uint64_t size) {
  c->report.files++;
  c->report.bytes += size;
}

/* KEYS.a, KEYS.b: replaced as a whole, by a rename. */
static nacre_status copy_small(nc_checkpoint *c, const nc_table_copy *copy, const char *name,
                               nacre_error *err) {
  nc_file file;
  uint64_t size = 0;
  NC_TRY(nc_file_open(&copy->table->dir, name, false, &file, err));
  nacre_status status = nc_file_size(&file, &size, err);
  if (status == NACRE_OK) status = copy_part(&file, &copy->to, name, 0, size, err);
  nc_file_close(&file);
  if (status == NACRE_OK) count_file(c, size);
  return status;
}

/* One of them may have been lost; then the other serves, as it does in the store. */
static nacre_status copy_key_files(nc_checkpoint *c, const nc_table_copy *copy, nacre_error *err) {
  nacre_status first = copy_small(c, copy, NC_KEY_FILE_A, err);
  if (first != NACRE_OK && first != NACRE_NOT_FOUND) return first;
  nacre_error why;
  nacre_status second = copy_small(c, copy, NC_KEY_FILE_B, &why);
  bool other = second == NACRE_NOT_FOUND && first == NACRE_OK;
  return second == NACRE_OK || other ? NACRE_OK : nc_fail_with(err, &why);
}

/* ---- what a table is at its moment --------------------------------------------------------------------- */

static nacre_status take_file_locked(nc_table_copy *copy, uint64_t number, nc_file_type type, uint64_t size,
                                     nacre_error *err) {
  nc_taken_file *file = &copy->taken[copy->taken_count];
  nc_file_name_format(number, type, file->name);
  NC_TRY(nc_file_open(&copy->table->dir, file->name, false, &file->file, err));
  copy->taken_count++;
  if (size != NACRE_NONE) {
    file->size = size;
    return NACRE_OK;
  }
  return nc_file_size(&file->file, &file->size, err);
}

/* The manifest and logs of a table that this process writes: up to where they are now. */
static nacre_status take_written_locked(nc_table_copy *copy, nacre_error *err) {
  nacre_table *t = copy->table;
  copy->taken = calloc(t->log_count + 1, sizeof *copy->taken);
  if (copy->taken == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  NC_TRY(take_file_locked(copy, t->manifest.number, NC_FILE_MANIFEST,
                          nc_sealed_writer_size(t->manifest.writer), err));
  for (size_t i = 0; i < t->log_count; i++) {
    const nc_log *log = t->logs[i];
    /* One that was found is whole as it is, its final frame included. */
    uint64_t size = log->writer == NULL ? NACRE_NONE : log->started ? log->end : NC_FRAMES_OFFSET;
    NC_TRY(take_file_locked(copy, log->name.number, NC_FILE_LOG, size, err));
  }
  return NACRE_OK;
}

/* Nobody has written to the table since the open, nor can anybody now: its manifest names every log there is, and
 * some that never began. */
static nacre_status take_found_locked(nc_table_copy *copy, nacre_error *err) {
  nacre_table *t = copy->table;
  nc_present_files present;
  NC_TRY(nc_present_files_list(&t->dir, &present, err));
  copy->taken = calloc(present.count + 1, sizeof *copy->taken);
  nacre_status status = copy->taken == NULL ? nc_fail(err, NC_E_NO_MEMORY, NULL)
                                            : take_file_locked(copy, t->found_manifest_number,
                                                               NC_FILE_MANIFEST, NACRE_NONE, err);
  for (size_t i = 0; i < present.count && status == NACRE_OK; i++) {
    if (present.list[i].type == NC_FILE_LOG)
      status = take_file_locked(copy, present.list[i].number, NC_FILE_LOG, NACRE_NONE, err);
  }
  nc_present_files_free(&present);
  return status;
}

/* A manifest of which nobody knows whether its last commit is on disk is replaced first. Ends with commit_lock
 * held, unless it fails. */
static nacre_status lock_sound_manifest(nacre_table *t, nacre_error *err) {
  for (;;) {
    NC_TRY(nc_table_settle_manifest(t, err));
    pthread_mutex_lock(&t->commit_lock);
    if (!t->manifest_bad) return NACRE_OK;
    pthread_mutex_unlock(&t->commit_lock);
  }
}

static nacre_status read_current(nc_table_copy *copy, nacre_error *err) {
  size_t size = 0;
  NC_TRY(
      nc_dir_read_file(&copy->table->dir, NC_CURRENT_NAME, copy->current, sizeof copy->current, &size, err));
  return size == sizeof copy->current ? NACRE_OK : nc_fail(err, NC_E_CURRENT_SHAPE, "%zu bytes", size);
}

static nacre_status write_current(nc_checkpoint *c, nc_table_copy *copy, nacre_error *err) {
  nc_file file;
  NC_TRY(nc_file_create(&copy->to, NC_CURRENT_NAME, &file, err));
  nacre_status status = nc_file_write(&file, 0, copy->current, sizeof copy->current, err);
  nc_file_close(&file);
  if (status == NACRE_OK) count_file(c, sizeof copy->current);
  return status;
}

static nacre_status take_moment_locked(nc_table_copy *copy, nacre_error *err) {
  nacre_table *t = copy->table;
  NC_TRY(lock_sound_manifest(t, err));
  nacre_status status = nc_named_files_take_locked(t, &copy->named, err);
  if (status == NACRE_OK) status = t->writing ? take_written_locked(copy, err) : take_found_locked(copy, err);
  if (status == NACRE_OK) status = read_current(copy, err); /* it names this manifest */
  pthread_mutex_unlock(&t->commit_lock);
  return status;
}

static nacre_status take_moment(nc_table_copy *copy, nacre_error *err) {
  pthread_mutex_lock(&copy->table->write_lock);
  nacre_status status = take_moment_locked(copy, err);
  pthread_mutex_unlock(&copy->table->write_lock);
  return status;
}

static nacre_status copy_taken(nc_checkpoint *c, nc_table_copy *copy, nacre_error *err) {
  nacre_status status = NACRE_OK;
  for (size_t i = 0; i < copy->taken_count; i++) {
    nc_taken_file *file = &copy->taken[i];
    pthread_mutex_lock(&copy->table->header_lock); /* an older log may be rewrapped */
    if (status == NACRE_OK) status = copy_part(&file->file, &copy->to, file->name, 0, file->size, err);
    pthread_mutex_unlock(&copy->table->header_lock);
    nc_file_close(&file->file);
    if (status == NACRE_OK) count_file(c, file->size);
  }
  return status;
}

/* ---- segments and value files -------------------------------------------------------------------------- */

static void tell_progress(nc_checkpoint *c, uint64_t bytes) {
  c->bytes_done += bytes;
  if (c->options != NULL && c->options->on_progress != NULL)
    c->options->on_progress(c->options->progress_arg, c->bytes_done, c->bytes_total);
}

static bool of_a_load(const nc_named_files *named, const nc_named_file *file) {
  if (file->value != NULL) return file->value->loading;
  for (size_t i = 0; i < named->load_count; i++) {
    if (nc_segment_describe(named->loads[i])->number == file->number) return true;
  }
  return false;
}

static bool is_bulk(const nc_named_files *named, const nc_named_file *file) {
  nc_file_type type = file->expect.type;
  return type != NC_FILE_LOG && type != NC_FILE_MANIFEST && !of_a_load(named, file);
}

/* The header alone; or the body, all behind it, which never changes. */
static nacre_status copy_bulk_file(nc_checkpoint *c, nc_table_copy *copy, const nc_named_file *named,
                                   bool body, nacre_error *err) {
  char name[NC_FILE_NAME_BYTES];
  nc_file file;
  uint64_t size = 0;
  nc_file_name_format(named->number, named->expect.type, name);
  NC_TRY(nc_file_open(&copy->table->dir, name, false, &file, err));
  nacre_status status = nc_file_size(&file, &size, err);
  if (status == NACRE_OK && size < NC_FRAMES_OFFSET)
    status = nc_fail_in(err, nc_fail(err, NC_E_HEADER_SHORT, NULL), file.label, 0);
  if (status == NACRE_OK && !body) status = copy_part(&file, &copy->to, name, 0, NC_FRAMES_OFFSET, err);
  if (status == NACRE_OK && body)
    status = copy_part(&file, &copy->to, name, NC_FRAMES_OFFSET, size - NC_FRAMES_OFFSET, err);
  nc_file_close(&file);
  NC_TRY(status);
  if (body) {
    tell_progress(c, size - NC_FRAMES_OFFSET);
  } else {
    count_file(c, size);
    c->bytes_total += size - NC_FRAMES_OFFSET;
  }
  return NACRE_OK;
}

/* The file of a large write that was under way when it was listed, and has failed since: nothing in the copy refers to
 * it, and what was copied of it goes. Any other that is missing is missed, whatever has become of its entry meanwhile:
 * the view that the copy holds keeps the file. */
static bool may_be_missing(const nc_table_copy *copy, const nc_named_file *file) {
  bool logged;
  if (file->value == NULL || file->value->named) return false;
  if (nc_named_value_logged(&copy->named, file->number, &logged, NULL) != NACRE_OK || logged) return false;
  char name[NC_FILE_NAME_BYTES];
  nc_file_name_format(file->number, NC_FILE_VALUE, name);
  nc_ignore(nc_dir_remove(&copy->to, name, NULL)); /* an orphan if it stays */
  return true;
}

static nacre_status copy_bulk(nc_checkpoint *c, nc_table_copy *copy, bool bodies, nacre_error *err) {
  for (size_t i = 0; i < copy->named.count; i++) {
    const nc_named_file *file = &copy->named.list[i];
    if (!is_bulk(&copy->named, file)) continue;
    if (!bodies) pthread_mutex_lock(&copy->table->header_lock);
    nacre_status status = copy_bulk_file(c, copy, file, bodies, err);
    if (!bodies) pthread_mutex_unlock(&copy->table->header_lock);
    if (status == NACRE_NOT_FOUND && may_be_missing(copy, file)) continue;
    NC_TRY(status);
  }
  return NACRE_OK;
}

/* ---- a table ------------------------------------------------------------------------------------------- */

nacre_status nc_checkpoint_take_locked(nc_checkpoint *c, nc_table_copy *copy, const char *directory,
                                       nacre_error *err) {
  NC_TRY(nc_dir_create_at(&c->to, directory, err));
  NC_TRY(nc_dir_open_at(&c->to, directory, &copy->to, err));
  NC_TRY(copy_key_files(c, copy, err));
  NC_TRY(take_moment(copy, err));
  NC_TRY(write_current(c, copy, err));
  NC_TRY(copy_taken(c, copy, err));
  return copy_bulk(c, copy, false, err);
}

static nacre_status sync_file(void *arg, const char *name, nacre_io_kind kind, nacre_error *err) {
  const nc_table_copy *copy = arg;
  nc_file file;
  (void)kind;
  NC_TRY(nc_file_open(&copy->to, name, true, &file, err));
  nacre_status status = nc_file_sync(&file, err);
  nc_file_close(&file);
  return status;
}

nacre_status nc_checkpoint_finish(nc_checkpoint *c, nc_table_copy *copy, nacre_error *err) {
  NC_TRY(copy_bulk(c, copy, true, err));
  NC_TRY(nc_dir_list(&copy->to, sync_file, copy, err));
  return nc_dir_sync(&copy->to, err);
}

void nc_table_copy_end(nc_table_copy *copy) {
  for (size_t i = 0; i < copy->taken_count; i++) nc_file_close(&copy->taken[i].file);
  free(copy->taken);
  nc_named_files_free(&copy->named);
  nc_dir_close(&copy->to);
}
