/* SPDX-License-Identifier: Apache-2.0
 *
 * verify: `nacre verify`: everything that can be checked, and every fault by name.
 *
 * Three passes, whose faults are joined: the library's own (nacre_verify, a table at a time: authenticity,
 * order, counts, cross-references), the catalogue's files authenticated frame by frame, and the keyless walk
 * over all files of the directory, which alone sees what stands twice or stands unused. A table that does not
 * open is a fault and no end: the others are still verified.
 */
#include <stdlib.h>
#include <string.h>

#include "exit_status.h"
#include "failure.h"
#include "progress.h"
#include "render_json.h"
#include "render_text.h"
#include "store_access.h"
#include "verify_report.h"

typedef struct verify_state {
  const options *o;
  opening opening;
  verify_report report;
  progress progress;
} verify_state;

static void on_progress(void *arg, uint64_t bytes_done, uint64_t bytes_total) {
  verify_state *s = arg;
  s->progress.total = bytes_total;
  tool_progress_update(&s->progress, bytes_done, 0);
}

static void fault_of_table(verify_state *s, const char *table) {
  nacre_error error;
  nacre_last_error(&error);
  tool_error_of_table(&error, table);
  tool_verify_fault(&s->report, &error);
}

static void fault_last(verify_state *s) {
  nacre_error error;
  nacre_last_error(&error);
  tool_verify_fault(&s->report, &error);
}

static void verify_table(verify_state *s, nacre_table *table) {
  nacre_verify_options verify_options = {.on_progress = on_progress, .progress_arg = s};
  nacre_verify_report found = {0};
  nacre_status status = nacre_verify(table, &verify_options, &found);
  s->report.files += found.files;
  s->report.frames += found.frames;
  s->report.bytes += found.bytes;
  s->report.entries += found.entries;
  for (size_t i = 0; i < nacre_faults_count(found.faults); i++) {
    tool_verify_fault(&s->report, nacre_faults_at(found.faults, i));
  }
  if (status != NACRE_OK && nacre_faults_count(found.faults) == 0)
    fault_last(s); /* it could not be carried through */
  nacre_faults_free(found.faults);
}

static void verify_one(verify_state *s, nacre_store *store, const char *name, const char *uuid) {
  nacre_table_open_options table_options = {.read_only = true};
  nacre_table *table = NULL;
  nacre_recovery_report recovery;
  s->report.tables++;
  if (nacre_table_open(store, name, &table_options, &table) != NACRE_OK) {
    fault_of_table(s, name);
    tool_verify_walk_directory(&s->report, s->o->arguments[0], uuid, true, NULL);
    return;
  }
  if (nacre_table_recovery(table, &recovery) == NACRE_OK && recovery.dropped_bytes > 0) {
    tool_verify_note_torn(&s->report, name, &recovery);
  }
  verify_table(s, table);
  tool_progress_clear(&s->progress);
  if (nacre_table_close(table) != NACRE_OK) fault_last(s);
  tool_verify_walk_directory(&s->report, s->o->arguments[0], uuid, true, NULL);
}

static void verify_tables(verify_state *s, nacre_store *store) {
  nacre_table_infos *infos = NULL;
  const char *wanted = s->o->argument_count == 2 ? s->o->arguments[1] : NULL;
  bool found = false;
  if (nacre_table_list(store, &infos) != NACRE_OK) {
    fault_last(s);
    return;
  }
  for (size_t i = 0; i < nacre_table_infos_count(infos); i++) {
    const nacre_table_info *info = nacre_table_infos_at(infos, i);
    if (wanted != NULL && strcmp(wanted, info->name) != 0) continue;
    found = true;
    verify_one(s, store, info->name, info->uuid);
  }
  nacre_table_infos_free(infos);
  if (wanted != NULL && !found) {
    nacre_error error = {.status = NACRE_NOT_FOUND, .offset = NACRE_NONE};
    (void)snprintf(error.text, sizeof error.text, "the store has no table %s", wanted);
    tool_verify_fault(&s->report, &error);
  }
}

/* The catalogue opens with the store, which reads it but does not look at every frame that it stands on. */
static void verify_catalogue(verify_state *s) {
  nacre_seal_domain *domain = NULL;
  if (nacre_table_keys_open(s->o->arguments[0], &s->opening.options, NULL, &domain) != NACRE_OK) {
    fault_last(s);
    return;
  }
  tool_verify_walk_directory(&s->report, s->o->arguments[0], "catalogue", true, domain);
  if (nacre_seal_domain_close(domain) != NACRE_OK) fault_last(s);
}

/* Returns TOOL_DONE, or the status of what keeps a store from being verified at all. */
static int verify_with_keys(verify_state *s) {
  session a = {0};
  int begun = tool_opening_begin(s->o, s->o->arguments[0], &s->opening);
  if (begun != TOOL_DONE) return begun;
  s->opening.options.read_only = true;
  nacre_status opened = nacre_open(s->o->arguments[0], &s->opening.options, &a.store);
  if (opened == NACRE_NOT_FOUND || opened == NACRE_LOCKED) return tool_fail_last(s->o);
  if (opened != NACRE_OK) {
    fault_last(s);
    tool_verify_walk_store(&s->report, s->o->arguments[0]);
    return TOOL_DONE;
  }
  tool_opening_learn(s->o, &s->opening, a.store);
  verify_tables(s, a.store);
  if (s->o->argument_count == 1) {
    verify_catalogue(s);
    tool_verify_walk_rest(&s->report, s->o->arguments[0]);
  }
  return tool_session_close(s->o, &a, TOOL_DONE);
}

static int verify_keyless(verify_state *s) {
  if (s->o->argument_count == 2) {
    return tool_fail_usage(s->o,
                           "--keyless looks at the whole store: tables' names cannot be read without a key");
  }
  return tool_verify_walk_store(&s->report, s->o->arguments[0]);
}

int tool_verify_run(const options *o) {
  verify_state s = {.o = o, .report = {.o = o}};
  tool_progress_begin(&s.progress, o, "verifying", NACRE_NONE);
  int status = o->keyless ? verify_keyless(&s) : verify_with_keys(&s);
  tool_progress_clear(&s.progress);
  if (status == TOOL_DONE) status = tool_verify_tell(&s.report, tool_progress_elapsed_ns(&s.progress));
  tool_opening_end(&s.opening);
  tool_verify_free(&s.report);
  return status;
}
