/* SPDX-License-Identifier: Apache-2.0
 *
 * rewrapper: brings every file of a table under its active table key, in the background, and then retires the
 * older versions (format/README.md, "Rewrapping" and "Retirement").
 *
 * A round: a change that was interrupted is settled · a manifest, CURRENT and a log under the new key · whoever
 * still writes a file under an older one has ended · every file in the directory is looked at, and rewrapped ·
 * CURRENT raises the oldest version that it accepts · all files are looked at again, until none was left ·
 * the key file lets go of the older versions. What is in the way of it ends the round; it is tried again.
 *
 * The job does a slice of this at a time and queues itself anew, so that flushes and merges have their turn
 * between. It holds a lock for one file's header only, which verify alone waits for. Its state is in
 * nc_rewrap_work, which nobody else touches while it runs; nothing of it outlives the process, for all of it
 * can be found on disk again.
 */
#include <stdlib.h>

#include "last_error.h"
#include "named_files.h"
#include "rewrap.h"
#include "table.h"

enum { SLICE_FILES = 64 };
static const uint64_t SLICE_NS = 5 * 1000 * 1000, PROGRESS_NS = 1000 * 1000 * 1000;

typedef enum phase { BEGIN, BARRIER, LOOK, RAISE, PROVE, RETIRE, DONE } phase;

struct nc_rewrap_work {
  phase phase;
  nc_table_keys *keys; /* what this round works with */
  nc_named_files named;
  nc_present_files present;
  size_t next;      /* of `present` */
  bool changed;     /* something was written since `present` was listed */
  nacre_error kept; /* the first file that could not be rewrapped */
  uint64_t told_ns;
};

/* ---- the state of a round ------------------------------------------------------------------------------ */

static void drop_lists(nc_rewrap_work *w) {
  nc_named_files_free(&w->named);
  nc_present_files_free(&w->present);
  w->next = 0;
}

static void destroy(nc_rewrap_work *w) {
  if (w == NULL) return;
  drop_lists(w);
  nc_table_keys_unref(w->keys);
  free(w);
}

static nacre_status list_files(nacre_table *t, nc_rewrap_work *w, nacre_error *err) {
  drop_lists(w);
  w->changed = false;
  NC_TRY(nc_named_files_take(t, &w->named, err));
  return nc_present_files_list(&t->dir, &w->present, err);
}

static bool same_keys(nacre_table *t, const nc_rewrap_work *w) {
  NC_TAKEN_KEYS(keys, &t->keys);
  return keys == w->keys;
}

/* ---- BEGIN --------------------------------------------------------------------------------------------- */

static bool under_active(const nc_table_keys *keys, const nc_header_slot *header) {
  return nc_uuid_equal(&header->kek_id, &nc_kek_describe(nc_table_keys_active(keys))->id);
}

static nacre_status renew_manifest(nacre_table *t, const nc_table_keys *keys, nacre_error *err) {
  uint64_t generation = nc_table_keys_generation(keys);
  pthread_mutex_lock(&t->commit_lock);
  bool stale = t->state.key_file_generation != generation || t->manifest.writer == NULL ||
               !under_active(keys, nc_sealed_writer_header(t->manifest.writer));
  t->state.key_file_generation = generation;
  pthread_mutex_unlock(&t->commit_lock);
  if (!t->writing) return nc_table_begin_writing_locked(t, err);
  return stale ? nc_table_new_manifest(t, err) : NACRE_OK;
}

static nacre_status renew_files_locked(nacre_table *t, const nc_table_keys *keys, nacre_error *err) {
  NC_TRY(renew_manifest(t, keys, err));
  if (t->must_flush || atomic_load(&t->log_failed)) NC_TRY(nc_table_ready_locked(t, err));
  if (t->log == NULL || under_active(keys, nc_sealed_writer_header(t->log->writer))) return NACRE_OK;
  return nc_table_renew_log_locked(t, err);
}

/* The manifest and the log are the only files that are kept open for writing; what is rewrapped later must not
 * be appended to any more, and what was appended must be durable before a sync can fail for a header's sake. */
static nacre_status renew_files(nacre_table *t, const nc_table_keys *keys, nacre_error *err) {
  pthread_mutex_lock(&t->write_lock);
  nacre_status status = renew_files_locked(t, keys, err);
  pthread_mutex_unlock(&t->write_lock);
  return status == NACRE_OK ? nc_table_sync(t, err) : status;
}

static nacre_status begin(nacre_table *t, nc_rewrap_work *w, nacre_error *err) {
  drop_lists(w);
  nc_table_keys_unref(w->keys);
  w->keys = NULL;
  pthread_mutex_lock(&t->change_lock);
  nacre_status status = t->owner->settle_keys_locked(t, err);
  w->keys = nc_key_holder_take(&t->keys);
  pthread_mutex_unlock(&t->change_lock);
  NC_TRY(status);
  w->kept = (nacre_error){0};
  w->phase = nc_table_keys_count(w->keys) > 1 ? BARRIER : DONE;
  return w->phase == BARRIER ? renew_files(t, w->keys, err) : NACRE_OK;
}

/* ---- BARRIER ------------------------------------------------------------------------------------------- */

/* Whether a file is being written under another key than the active one of `keys`. */
static bool any_other_making_locked(const nacre_table *t, const nc_table_keys *keys) {
  const nc_uuid *active = &nc_kek_describe(nc_table_keys_active(keys))->id;
  for (const nc_making *m = t->makings; m != NULL; m = m->next) {
    if (!nc_uuid_equal(&nc_kek_describe(nc_table_keys_active(m->keys))->id, active)) return true;
  }
  return false;
}

/* Whatever is under way may have begun a file under an older key. Whoever ends one wakes a parked
 * job. */
static bool writers_have_ended(nacre_table *t, const nc_table_keys *keys) {
  nc_loads_end_older(t, keys); /* they may rest for long */
  pthread_mutex_lock(&t->state_lock);
  bool ended = !any_other_making_locked(t, keys);
  t->rewrapper.parked = !ended;
  pthread_mutex_unlock(&t->state_lock);
  return ended;
}

/* ---- LOOK and PROVE ------------------------------------------------------------------------------------ */

static void count_result(nacre_table *t, const nc_rewrap_work *w, const nc_rewrap_result *result) {
  pthread_mutex_lock(&t->state_lock);
  nacre_rewrap_report *report = &t->rewrapper.report;
  report->files = w->present.count;
  report->rewrapped += result->outcome == NC_REWRAP_DONE;
  report->healed += result->outcome == NC_REWRAP_HEALED;
  report->copied += result->outcome == NC_REWRAP_COPIED;
  report->header_bytes += result->header_bytes;
  report->copied_bytes += result->copied_bytes;
  pthread_mutex_unlock(&t->state_lock);
}

static bool named_still(nacre_table *t, uint64_t number, nc_file_type type) {
  nc_named_files now;
  bool still = nc_named_files_take(t, &now, NULL) != NACRE_OK || nc_named_files_find(&now, number, type) != NULL;
  nc_named_files_free(&now);
  return still;
}

/* A file that nothing names and that does not authenticate is under no key at all. One that is named keeps
 * the older keys alive, for it may come back from a backup. */
static void judge(nacre_table *t, nc_rewrap_work *w, const nc_present_file *file, bool named,
                  const nacre_error *why) {
  if (!named || w->kept.status != NACRE_OK) return;
  if (why->status == NACRE_NOT_FOUND && !named_still(t, file->number, file->type)) return;
  w->kept = *why;
}

static nacre_status look_at(nacre_table *t, nc_rewrap_work *w, const nc_present_file *file,
                            nacre_error *err) {
  char name[NC_FILE_NAME_BYTES];
  nacre_error why;
  nc_rewrap_result result;
  const nc_named_file *named = nc_named_files_find(&w->named, file->number, file->type);
  nc_file_name_format(file->number, file->type, name);
  /* What this open has made is durable, or being written and under the active key. */
  bool durable = w->phase == PROVE || file->number >= t->own_numbers_from;
  pthread_mutex_lock(&t->header_lock);
  nacre_status status = nc_rewrap_file(&t->dir, name, w->keys, named == NULL ? NULL : &named->expect,
                                       durable, &result, &why);
  pthread_mutex_unlock(&t->header_lock);
  if (status == NACRE_NO_MEMORY) return nc_fail_with(err, &why);
  if (status == NACRE_OK) {
    w->changed = w->changed || result.outcome != NC_REWRAP_NOTHING;
    count_result(t, w, &result);
  } else {
    judge(t, w, file, named != NULL, &why);
  }
  return NACRE_OK;
}

static void tell_progress(nacre_table *t, nc_rewrap_work *w, uint64_t now_ns) {
  if (now_ns - w->told_ns < PROGRESS_NS) return;
  w->told_ns = now_ns;
  nacre_event event = {
      .type = NACRE_EVENT_REWRAP_PROGRESS, .files = w->present.count, .files_done = w->next};
  nc_table_tell(t, &event);
}

/* `*ret_all`: there is no file left to look at. */
static nacre_status look_at_some(nacre_table *t, nc_rewrap_work *w, bool *ret_all, nacre_error *err) {
  uint64_t began_ns = nc_now_ns(t->shared->env), now_ns = began_ns;
  for (int i = 0; i < SLICE_FILES && w->next < w->present.count && now_ns - began_ns < SLICE_NS; i++) {
    if (atomic_load(&t->rewrapper.stopping)) return NACRE_OK;
    NC_TRY(look_at(t, w, &w->present.list[w->next++], err));
    now_ns = nc_now_ns(t->shared->env);
  }
  tell_progress(t, w, now_ns);
  *ret_all = w->next == w->present.count;
  return NACRE_OK;
}

static nacre_status check_missing(nacre_table *t, nc_rewrap_work *w, nacre_error *err) {
  for (size_t i = 0; i < w->named.count; i++) {
    const nc_named_file *file = &w->named.list[i];
    nc_file_type type = file->expect.type;
    if (nc_present_files_hold(&w->present, file->number, type) || !named_still(t, file->number, type)) continue;
    char name[NC_FILE_NAME_BYTES], label[NC_FILE_LABEL_BYTES];
    nc_file_name_format(file->number, type, name);
    nc_dir_label(&t->dir, name, label);
    return nc_fail_in(err, nc_fail(err, NC_E_REWRAP_MISSING, NULL), label, 0);
  }
  return NACRE_OK;
}

/* The end of a look at all files. [W6] */
static nacre_status finish_look(nacre_table *t, nc_rewrap_work *w, nacre_error *err) {
  NC_TRY(check_missing(t, w, err));
  if (w->kept.status != NACRE_OK) return nc_fail_with(err, &w->kept);
  if (w->phase == LOOK) {
    w->phase = RAISE;
  } else if (w->changed) {
    return list_files(t, w, err); /* a straggler was found: again */
  } else {
    w->phase = RETIRE;
  }
  return NACRE_OK;
}

/* ---- RAISE --------------------------------------------------------------------------------------------- */

static nacre_status raise_minimum(nacre_table *t, nc_rewrap_work *w, nacre_error *err) {
  NC_TRY(nc_table_settle_manifest(t, err));
  pthread_mutex_lock(&t->commit_lock);
  uint32_t before = t->kek_version_min;
  t->kek_version_min = nc_kek_describe(nc_table_keys_active(w->keys))->version; /* of later manifests, too */
  nacre_status status = nc_manifest_raise_minimum(&t->dir, w->keys, &t->manifest, err);
  if (status != NACRE_OK) t->kek_version_min = before;
  pthread_mutex_unlock(&t->commit_lock);
  w->phase = PROVE;
  return status == NACRE_OK ? list_files(t, w, err) : status;
}

/* ---- RETIRE -------------------------------------------------------------------------------------------- */

static nacre_status retire(nacre_table *t, nc_rewrap_work *w, nacre_error *err) {
  bool done = false;
  nacre_status status = t->owner->retire_keys(t, w->keys, &done, err);
  w->phase = BEGIN; /* a change may have come meanwhile */
  if (!done || same_keys(t, w)) return status; /* the latter: the key file could not be written */
  nc_retirements_note(t, w->keys);
  nacre_event event = {.type = NACRE_EVENT_REWRAPPED,
                       .kek_version = nc_kek_describe(nc_table_keys_active(w->keys))->version,
                       .files = w->present.count,
                       .files_done = w->present.count};
  nc_table_tell(t, &event);
  return status;
}

/* ---- the job ------------------------------------------------------------------------------------------- */

/* `*ret_more`: there is something to do at once. */
static nacre_status step(nacre_table *t, nc_rewrap_work *w, bool *ret_more, nacre_error *err) {
  bool all = false;
  if (w->phase != BEGIN && !same_keys(t, w)) w->phase = BEGIN;
  *ret_more = true;
  switch (w->phase) {
    case BEGIN:
      NC_TRY(begin(t, w, err));
      *ret_more = w->phase != DONE;
      return NACRE_OK;
    case BARRIER:
      if (!writers_have_ended(t, w->keys)) {
        *ret_more = false;
        return NACRE_OK;
      }
      w->phase = LOOK;
      return list_files(t, w, err);
    case LOOK:
    case PROVE:
      NC_TRY(look_at_some(t, w, &all, err));
      return all ? finish_look(t, w, err) : NACRE_OK;
    case RAISE:
      return raise_minimum(t, w, err);
    case RETIRE:
      return retire(t, w, err);
    case DONE:
      break;
  }
  *ret_more = false;
  return NACRE_OK;
}

static nacre_status work(nacre_table *t, bool *ret_more, nacre_error *err) {
  if (atomic_load(&t->rewrapper.stopping)) return NACRE_OK;
  if (t->rewrapper.work == NULL) t->rewrapper.work = calloc(1, sizeof(nc_rewrap_work));
  if (t->rewrapper.work == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  if (t->rewrapper.work->phase == DONE) t->rewrapper.work->phase = BEGIN; /* it was asked for again meanwhile */
  do {
    NC_TRY(step(t, t->rewrapper.work, ret_more, err));
  } while (*ret_more && nc_worker_pool_inline(t->shared->workers) && !atomic_load(&t->rewrapper.stopping));
  return NACRE_OK;
}

void nc_rewrap_run(void *table) {
  nacre_table *t = table;
  nc_rewrapper *r = &t->rewrapper;
  nacre_error err;
  bool more = false;
  pthread_mutex_lock(&t->state_lock);
  r->queued = r->again = false;
  r->running = true;
  pthread_cond_broadcast(&t->changed); /* a writer that waits for this worker must not wait any longer */
  pthread_mutex_unlock(&t->state_lock);
  nacre_status status = work(t, &more, &err);
  /* A slice that went well is no success yet: what failed before may stand behind it. */
  if (status != NACRE_OK || !more) nc_table_note_result(t, &r->error, status, &err);
  /* With the lists a view may go, and files with it: not under state_lock. */
  if (r->work != NULL && (status != NACRE_OK || atomic_load(&r->stopping))) drop_lists(r->work);
  pthread_mutex_lock(&t->state_lock);
  bool parked = r->parked && status == NACRE_OK;
  more = (more || r->again) && status == NACRE_OK && !atomic_load(&r->stopping);
  if (!more && !parked) {
    destroy(r->work);
    r->work = NULL;
    r->parked = false;
  }
  r->running = false;
  r->queued = more;
  pthread_cond_broadcast(&t->changed);
  pthread_mutex_unlock(&t->state_lock);
  if (more) nc_worker_submit_behind(t->shared->workers, &r->job);
}

bool nc_rewrap_schedule(nacre_table *t) {
  nc_rewrapper *r = &t->rewrapper;
  pthread_mutex_lock(&t->state_lock);
  bool submit = !r->queued && !r->running && !atomic_load(&r->stopping), running = r->running;
  r->again = r->again || running;
  r->queued = r->queued || submit;
  pthread_mutex_unlock(&t->state_lock);
  if (submit) nc_worker_submit_behind(t->shared->workers, &r->job);
  return running;
}

/* Without workers the job would run here, where the caller may hold what it needs: whoever waits for it runs
 * it then. */
void nc_rewrap_unpark(nacre_table *t) {
  if (nc_worker_pool_inline(t->shared->workers)) return;
  pthread_mutex_lock(&t->state_lock);
  bool wanted = t->rewrapper.parked || t->rewrapper.error.status != NACRE_OK;
  t->rewrapper.parked = false;
  pthread_mutex_unlock(&t->state_lock);
  if (wanted) nc_rewrap_schedule(t);
}

void nc_rewrap_retry(nacre_table *t) {
  pthread_mutex_lock(&t->state_lock);
  bool failed = t->rewrapper.error.status != NACRE_OK;
  pthread_mutex_unlock(&t->state_lock);
  if (failed) nc_rewrap_schedule(t);
}

void nc_rewrap_stop(nacre_table *t) {
  nc_rewrapper *r = &t->rewrapper;
  atomic_store(&r->stopping, true);
  pthread_mutex_lock(&t->state_lock);
  while (r->queued || r->running) pthread_cond_wait(&t->changed, &t->state_lock);
  pthread_mutex_unlock(&t->state_lock);
}

void nc_rewrap_deinit(nacre_table *t) {
  destroy(t->rewrapper.work);
  nc_retirements_drop(t);
}

bool nc_rewrap_due(nacre_table *t) {
  pthread_mutex_lock(&t->change_lock);
  NC_TAKEN_KEYS(keys, &t->keys);
  bool unequal = nc_table_keys_copies_differ(keys) && !t->keys_secured;
  bool due = nc_table_keys_count(keys) > 1 || nc_table_keys_pending(keys, NULL) != NULL || t->keys_doubtful ||
             unequal || !t->owner->keys_recorded_locked(t);
  pthread_mutex_unlock(&t->change_lock);
  return due;
}

/* ---- waiting ------------------------------------------------------------------------------------------- */

static void await_writers(nacre_table *t) {
  NC_TAKEN_KEYS(keys, &t->keys);
  pthread_mutex_lock(&t->state_lock);
  while (any_other_making_locked(t, keys)) pthread_cond_wait(&t->changed, &t->state_lock);
  pthread_mutex_unlock(&t->state_lock);
}

static nacre_status await_job(nacre_table *t, bool *ret_parked, nacre_error *err) {
  nc_rewrapper *r = &t->rewrapper;
  pthread_mutex_lock(&t->state_lock);
  while (r->queued || r->running) pthread_cond_wait(&t->changed, &t->state_lock);
  nacre_status status = r->error.status == NACRE_OK ? NACRE_OK : nc_fail_with(err, &r->error);
  *ret_parked = r->parked;
  pthread_mutex_unlock(&t->state_lock);
  return status;
}

/* A try that was under way when this was called may have met what has been put right since: it does not count. */
nacre_status nc_rewrap_wait(nacre_table *t, nacre_error *err) {
  bool tried = false;
  while (nc_rewrap_due(t)) {
    nacre_error why;
    bool parked = false, joined = nc_rewrap_schedule(t);
    nacre_status status = await_job(t, &parked, &why);
    if (status != NACRE_OK && (tried || !joined)) return nc_fail_with(err, &why);
    tried = tried || joined;
    if (parked) await_writers(t);
  }
  return NACRE_OK;
}

nacre_status nacre_table_rewrap_wait(nacre_table *table, nacre_rewrap_report *ret_report) {
  nacre_error *err = nc_thread_error();
  NC_TRY(nc_table_check_writable(table, err));
  nacre_status status = nc_rewrap_wait(table, err);
  if (ret_report == NULL) return status;
  nacre_error told = *err;
  pthread_mutex_lock(&table->state_lock);
  nacre_rewrap_report report = table->rewrapper.report;
  pthread_mutex_unlock(&table->state_lock);
  nacre_status copied = nc_retirements_copy(table, &report.retirements, err);
  if (copied != NACRE_OK) return copied;
  *err = told;
  *ret_report = report;
  return status;
}
