/* SPDX-License-Identifier: Apache-2.0
 *
 * compaction: segments that were chosen become segments of another run, in one commit.
 *
 * A large one is cut by keys into pieces, which workers build at the same time; what they made is committed
 * together, so that a crash leaves all or nothing of it. The pieces that no worker has begun are built by whoever
 * asked: nobody waits for a place in the queue.
 */
#include "compaction.h"

#include <stdlib.h>

#include "compaction_cut.h"
#include "merge_cursor.h"
#include "segment_build.h"
#include "segment_writer.h"

enum { PIECE_SEGMENTS = 2, IDLE_PIECE_PART = 4, BELOW_TIMES = 2 };

typedef struct piece {
  nc_job job;
  struct work *work;
  nc_build build;
  nc_value_changes values;
  nc_segment **made;
  size_t made_count;
  nacre_status status;
  nacre_error error;
  bool done; /* under state_lock */
} piece;

typedef struct work {
  nacre_table *table;
  const nc_compaction *compaction;
  nc_range_set *ranges;
  nc_cuts cuts;
  piece pieces[NC_PIECES_MAX];
  size_t count;
} work;

/* ---- one piece ----------------------------------------------------------------------------------------- */

static nacre_status open_inputs(const nc_compaction *c, nc_cursor **ret_cursor, nacre_error *err) {
  nc_cursor **children = calloc(c->input_count, sizeof(nc_cursor *));
  if (children == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  nacre_status status = NACRE_OK;
  size_t opened = 0;
  for (; opened < c->input_count && status == NACRE_OK; opened += status == NACRE_OK)
    status = nc_run_cursor(&c->inputs[opened], &(nc_travel){.no_cache_fill = true}, &children[opened], err);
  if (status == NACRE_OK) {
    status = nc_merge_cursor(children, c->input_count, ret_cursor, err);
  } else {
    for (size_t i = 0; i < opened; i++) nc_cursor_close(children[i]);
  }
  free(children);
  return status;
}

static void build_piece(piece *p) {
  nc_cursor *cursor;
  p->build.values = &p->values;
  p->status = open_inputs(p->work->compaction, &cursor, &p->error);
  if (p->status != NACRE_OK) return;
  p->status = nc_build_segments(p->work->table, cursor, &p->build, &p->made, &p->made_count, &p->error);
  nc_cursor_close(cursor);
}

static void run_piece(void *arg) {
  piece *p = arg;
  nacre_table *t = p->work->table;
  build_piece(p);
  pthread_mutex_lock(&t->state_lock);
  p->done = true;
  pthread_cond_broadcast(&t->changed);
  pthread_mutex_unlock(&t->state_lock);
}

/* ---- cutting ------------------------------------------------------------------------------------------- */

/* Pieces are large, lest segments become small; less so while nobody writes, who would need a core of his own. */
static uint64_t piece_bytes(nacre_table *t, const nc_policy *policy) {
  pthread_mutex_lock(&t->state_lock);
  bool idle = t->idle;
  pthread_mutex_unlock(&t->state_lock);
  return idle ? policy->segment_bytes / IDLE_PIECE_PART : PIECE_SEGMENTS * policy->segment_bytes;
}

static size_t pieces_wanted(nacre_table *t, const nc_compaction *c, const nc_policy *policy) {
  uint64_t count = c->bytes / piece_bytes(t, policy);
  uint32_t threads = nc_worker_pool_threads(t->shared->workers);
  if (count > threads) count = threads;
  return count < 1 ? 1 : count > NC_PIECES_MAX ? NC_PIECES_MAX : (size_t)count;
}

/* The first piece, which is the whole, ends where the second begins, and so on. */
static void take_cuts(work *w) {
  for (size_t i = 0; i < w->cuts.count; i++) {
    w->pieces[w->count] = w->pieces[w->count - 1];
    w->pieces[w->count - 1].build.upper_excluded = w->cuts.keys[i];
    w->pieces[w->count++].build.lower = w->cuts.keys[i];
  }
}

/* The run that the result will be merged into one day. */
static const nc_run *run_below(const nc_compaction *c) {
  for (size_t i = 0; c->place.level > 0 && i < c->version->run_count; i++) {
    if (c->version->runs[i].id < c->place.run) return &c->version->runs[i];
  }
  return NULL;
}

static nc_build build_of(const nacre_table *t, const nc_compaction *c, const nc_policy *policy,
                         const atomic_bool *stopping) {
  uint64_t oldest = c->inputs[c->input_count - 1].id;
  nc_build build = {.segment_bytes = policy->segment_bytes,
                    .beneath = nc_beneath_of(c->version, oldest < c->place.run ? oldest : c->place.run),
                    .below = run_below(c),
                    .below_bytes_max = BELOW_TIMES * policy->ratio * policy->segment_bytes,
                    .yields = true,
                    .stopping = stopping};
  build.method = nc_build_method(t, build.beneath.run_count == 0);
  return build;
}

static nacre_status plan(work *w, const atomic_bool *stopping, nacre_error *err) {
  const nc_compaction *c = w->compaction;
  nc_policy policy = w->table->policy;
  w->pieces[0] = (piece){.work = w, .build = build_of(w->table, c, &policy, stopping)};
  w->pieces[0].build.ranges = w->ranges;
  w->count = 1;
  size_t wanted = pieces_wanted(w->table, c, &policy);
  if (wanted == 1) return NACRE_OK;
  NC_TRY(nc_cuts_find(w->table->shared->env->heap, c, wanted, &w->cuts, err));
  take_cuts(w);
  return NACRE_OK;
}

/* ---- all pieces ---------------------------------------------------------------------------------------- */

static void await_piece(piece *p) {
  nacre_table *t = p->work->table;
  if (nc_worker_withdraw(t->shared->workers, &p->job)) run_piece(p);
  pthread_mutex_lock(&t->state_lock);
  while (!p->done) pthread_cond_wait(&t->changed, &t->state_lock);
  pthread_mutex_unlock(&t->state_lock);
}

static void build_pieces(work *w) {
  for (size_t i = 1; i < w->count; i++) {
    w->pieces[i].job = (nc_job){.run = run_piece, .arg = &w->pieces[i]};
    nc_worker_submit_behind(w->table->shared->workers, &w->pieces[i].job);
  }
  build_piece(&w->pieces[0]);
  for (size_t i = 1; i < w->count; i++) await_piece(&w->pieces[i]);
}

/* What a compaction leaves to be committed. */
typedef struct result {
  nc_segment **made; /* in the order of keys */
  size_t count;
  nc_value_changes values;
} result;

static nacre_status first_failure(const work *w, nacre_error *err) {
  for (size_t i = 0; i < w->count; i++) {
    if (w->pieces[i].status == NACRE_CANCELLED) return NACRE_CANCELLED;
    if (w->pieces[i].status != NACRE_OK) return nc_fail_with(err, &w->pieces[i].error);
  }
  return NACRE_OK;
}

static nacre_status reserve_result(const work *w, result *r, nacre_error *err) {
  size_t count = 0, dropped = 0;
  for (size_t i = 0; i < w->count; i++) {
    count += w->pieces[i].made_count;
    dropped += w->pieces[i].values.dropped_count;
  }
  r->made = calloc(count + 1, sizeof *r->made);
  r->values.dropped = calloc(dropped + 1, sizeof *r->values.dropped);
  return r->made == NULL || r->values.dropped == NULL ? nc_fail(err, NC_E_NO_MEMORY, NULL) : NACRE_OK;
}

static void release_result(result *r) {
  free(r->made);
  nc_value_changes_deinit(&r->values);
  *r = (result){0};
}

/* Of all pieces; or the first failure, and no file is left. */
static nacre_status gather(work *w, result *r, nacre_error *err) {
  nacre_status status = first_failure(w, err);
  if (status == NACRE_OK) status = reserve_result(w, r, err);
  for (size_t i = 0; i < w->count; i++) {
    piece *p = &w->pieces[i];
    if (status != NACRE_OK) {
      if (p->status == NACRE_OK) nc_build_release(p->made, p->made_count, true);
    } else {
      for (size_t j = 0; j < p->made_count; j++) r->made[r->count++] = p->made[j];
      for (size_t j = 0; j < p->values.dropped_count; j++)
        r->values.dropped[r->values.dropped_count++] = p->values.dropped[j];
      free(p->made);
    }
    nc_value_changes_deinit(&p->values);
  }
  if (status != NACRE_OK) release_result(r);
  return status;
}

static nacre_status build_all(nacre_table *t, const nc_compaction *c, const atomic_bool *stopping,
                              result *ret_result, nacre_error *err) {
  work *w = calloc(1, sizeof *w);
  if (w == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  w->table = t;
  w->compaction = c;
  nacre_status status = nc_segments_ranges(c->segments, c->segment_count, &w->ranges, err);
  if (status == NACRE_OK) status = plan(w, stopping, err);
  if (status == NACRE_OK) {
    build_pieces(w);
    status = gather(w, ret_result, err);
  }
  nc_range_set_free(w->ranges);
  nc_cuts_deinit(&w->cuts);
  free(w);
  return status;
}

/* ---- the commit ---------------------------------------------------------------------------------------- */

static void count_merge(nacre_table *t, nc_segment *const *made, size_t count) {
  uint64_t bytes = 0;
  for (size_t i = 0; i < count; i++) bytes += nc_segment_describe(made[i])->size;
  pthread_mutex_lock(&t->state_lock);
  t->counters.merges++;
  t->counters.bytes_merged += bytes;
  pthread_mutex_unlock(&t->state_lock);
  nc_table_emit(t, NACRE_EVENT_MERGED, bytes, NULL);
}

static nacre_status commit(nacre_table *t, const nc_compaction *c, nc_segment *const *add, size_t add_count,
                           nc_value_changes *values, nacre_error *err) {
  nc_change change = {.add = add,
                      .add_count = add_count,
                      .place = c->place,
                      .remove = c->segments,
                      .remove_count = c->segment_count,
                      .values = values};
  return nc_table_commit(t, &change, err);
}

nacre_status nc_compaction_run(nacre_table *t, const nc_compaction *c, const atomic_bool *stopping,
                               nacre_error *err) {
  uint64_t began = nc_meter_begin(t, NC_METER_MERGE);
  NC_TRY(nc_table_settle_manifest(t, err));
  if (c->drops) return commit(t, c, NULL, 0, NULL, err);
  if (c->moves) return commit(t, c, c->segments, c->segment_count, NULL, err);
  result r = {0};
  NC_TRY(build_all(t, c, stopping, &r, err));
  nacre_status status = commit(t, c, r.made, r.count, &r.values, err);
  if (status == NACRE_OK) {
    nc_meter_end(t, NC_METER_MERGE, began);
    count_merge(t, r.made, r.count);
    nc_build_release(r.made, r.count, false); /* the version keeps them */
  } else {
    nc_table_set_doubtful(t, r.made, r.count);
  }
  r.made = NULL;
  release_result(&r);
  return status;
}
