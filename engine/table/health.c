/* SPDX-License-Identifier: Apache-2.0
 *
 * health: what has failed that is tried again: how bad it is, since when, what heals it.
 *
 * Each kind of work has one place for the error of its last try. Whoever does the work notes how it ended; that
 * something begins to fail, gets worse or heals is told by an event, once.
 */
#include "last_error.h"
#include "table.h"

static nacre_error *error_of(nacre_table *t, nacre_work work) {
  nacre_error *const places[NACRE_WORK_COUNT] = {[NACRE_WORK_WRITE] = &t->write_error,
                                                 [NACRE_WORK_FLUSH] = &t->flush_error,
                                                 [NACRE_WORK_MERGE] = &t->merge_error,
                                                 [NACRE_WORK_REWRAP] = &t->rewrapper.error};
  return places[work];
}

static nacre_work work_of(nacre_table *t, const nacre_error *place) {
  nacre_work work = NACRE_WORK_WRITE;
  while (error_of(t, work) != place) work++;
  return work;
}

/* What only the machine is in the way of passes; what is wrong with bytes or keys stays until somebody sees to it. */
static nacre_remedy remedy_of(nacre_status status) {
  if (status == NACRE_OK) return NACRE_REMEDY_NONE;
  if (status == NACRE_NO_SPACE) return NACRE_REMEDY_ROOM;
  bool passes = status == NACRE_IO || status == NACRE_NO_MEMORY || status == NACRE_KEY_UNREACHABLE ||
                status == NACRE_BUSY;
  return passes ? NACRE_REMEDY_TIME : NACRE_REMEDY_REPAIR;
}

/* What is tried again after a while; NC_LATER_COUNT: not so. Who writes tries himself. */
static nc_later_kind retry_of(nacre_work work) {
  static const nc_later_kind kinds[NACRE_WORK_COUNT] = {[NACRE_WORK_WRITE] = NC_LATER_COUNT,
                                                        [NACRE_WORK_FLUSH] = NC_LATER_FLUSH,
                                                        [NACRE_WORK_MERGE] = NC_LATER_MERGE,
                                                        [NACRE_WORK_REWRAP] = NC_LATER_REWRAP};
  return kinds[work];
}

/* A flush that fails keeps nothing from anybody until there is no place for another full memtable. */
static nacre_severity severity_locked(const nacre_table *t, nacre_work work, nacre_status status) {
  if (status == NACRE_OK) return NACRE_SEVERITY_NONE;
  bool stops =
      work == NACRE_WORK_WRITE || (work == NACRE_WORK_FLUSH && t->immutable_count >= NC_IMMUTABLES_MAX);
  if (!stops) return NACRE_SEVERITY_DELAYED;
  return remedy_of(status) == NACRE_REMEDY_REPAIR ? NACRE_SEVERITY_READ_ONLY : NACRE_SEVERITY_STOPPED;
}

/* Raises what was told of this work to what is so now; true: it has changed for the worse. */
static bool note_failure_locked(nacre_table *t, nacre_work work, nacre_status before, nacre_status status,
                                nacre_severity *ret_severity) {
  nc_trouble *trouble = &t->troubles[work];
  *ret_severity = severity_locked(t, work, status);
  bool news = before != status || *ret_severity > trouble->told;
  if (trouble->failures++ == 0) trouble->since_ms = nc_wall_ms(t->shared->env);
  trouble->told = *ret_severity;
  nc_later_kind retry = retry_of(work);
  if (retry != NC_LATER_COUNT && remedy_of(status) != NACRE_REMEDY_REPAIR)
    nc_later_set_locked(t, retry, nc_later_retry_ns(trouble->failures));
  return news;
}

void nc_table_note_result(nacre_table *t, nacre_error *place, nacre_status status, const nacre_error *err) {
  nacre_error unknown = {.status = status, .offset = NACRE_NONE};
  if (err == NULL) err = &unknown; /* a caller that wanted the status only */
  nacre_event event = {.work = work_of(t, place)};
  bool news;
  pthread_mutex_lock(&t->state_lock);
  nacre_status before = place->status;
  if (status == NACRE_OK) {
    nc_error_clear(place);
    t->troubles[event.work] = (nc_trouble){0};
    if (retry_of(event.work) != NC_LATER_COUNT) nc_later_clear_locked(t, retry_of(event.work));
    news = before != NACRE_OK;
  } else {
    *place = *err;
    news = note_failure_locked(t, event.work, before, status, &event.severity);
  }
  if (event.work == NACRE_WORK_WRITE) atomic_store(&t->write_failing, status != NACRE_OK);
  pthread_cond_broadcast(&t->changed);
  pthread_mutex_unlock(&t->state_lock);
  event.type = status == NACRE_OK ? NACRE_EVENT_HEALED : NACRE_EVENT_BACKGROUND_ERROR;
  event.error = status == NACRE_OK ? NULL : err;
  if (news) nc_table_tell(t, &event);
}

nacre_status nacre_table_health(nacre_table *table, nacre_health *ret_health) {
  nacre_error *err = nc_thread_error();
  NC_TRY(nc_table_check(table, err));
  if (ret_health == NULL) return NACRE_OK;
  nacre_health health = {0};
  pthread_mutex_lock(&table->state_lock);
  for (int i = 0; i < NACRE_WORK_COUNT; i++) {
    nacre_condition *condition = &health.works[i];
    condition->error = *error_of(table, (nacre_work)i);
    condition->severity = severity_locked(table, (nacre_work)i, condition->error.status);
    condition->remedy = remedy_of(condition->error.status);
    condition->since_ms = table->troubles[i].since_ms;
    condition->failures = table->troubles[i].failures;
    nc_later_kind retry = retry_of((nacre_work)i);
    if (retry != NC_LATER_COUNT) condition->next_try_ms = nc_later_wall_ms_locked(table, retry);
    if (condition->severity > health.severity) health.severity = condition->severity;
  }
  pthread_mutex_unlock(&table->state_lock);
  *ret_health = health;
  return NACRE_OK;
}
