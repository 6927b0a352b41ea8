/* SPDX-License-Identifier: Apache-2.0
 *
 * trial: see trial.h.
 */
#include "trial.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "support.h"
#include "walk_store.h"

static const char *const outcome_names[OUTCOMES] = {"earlier, untold", "refused",     "unreadable in part",
                                                    "earlier, told",   "whole, told", "whole, untold"};

void trial_begin(trial *t, shelf *files, bool killed) {
  nacre_store_options options = subject_options(&t->s, shelf_io(files), true);
  t->files = files;
  t->killed = killed;
  snprintf(t->copy, sizeof t->copy, "%s/%s", t->s.scratch, killed ? "killed" : "clean");
  walk_store_lay_out(files, t->copy);
  if (nacre_open("store", &options, &t->store) != NACRE_OK) test_die("the sound store does not open");
  subject_doing(&t->s, "sound", NULL, NULL, 0);
  trial_run(t, SUBJECT_TABLES, NULL, CAN(WHOLE_UNTOLD));
}

void trial_end(trial *t) {
  subject_doing(&t->s, "sound again", NULL, NULL, 0);
  trial_run(t, SUBJECT_TABLES, NULL, CAN(WHOLE_UNTOLD));
  if (nacre_close(t->store) != NACRE_OK) test_die("the store does not close");
  (void)CHECK(t->files->handles == 0 && t->files->changes == 0,
              "%lld handles are open, %llu changes were tried", (long long)t->files->handles,
              (unsigned long long)t->files->changes);
}

int trial_table_of(const trial *t, const shelf_file *file) {
  for (int i = 0; i < SUBJECT_TABLES; i++)
    if (strcmp(file->directory, t->s.tables[i].uuid) == 0) return i;
  return SUBJECT_TABLES;
}

unsigned trial_without(const trial *t, const shelf_file *file) {
  int from, to;
  if (!shelf_ends_in(file, ".seg") && !shelf_ends_in(file, ".val")) return 0;
  subject_keys_of(&t->s, t->files, file, &from, &to);
  return from < to ? CAN(UNREADABLE) : CAN(WHOLE_TOLD);
}

static outcome outcome_of_table(const trial *t, int table, bool told) {
  const table_verdict *v = &t->verdict.tables[table];
  told = told || table_noticed(v, t->killed);
  if (v->opened == NACRE_NOT_FOUND) return t->verdict.catalogue_told ? EARLIER_TOLD : EARLIER_UNTOLD;
  if (v->opened != NACRE_OK) return REFUSED;
  if (v->groups != t->s.tables[table].groups) return told ? EARLIER_TOLD : EARLIER_UNTOLD;
  if (v->unreadable > 0 || v->read_error.status != NACRE_OK) return UNREADABLE;
  return told ? WHOLE_TOLD : WHOLE_UNTOLD;
}

static outcome outcome_of_store(const trial *t) {
  outcome worst = WHOLE_UNTOLD;
  if (t->verdict.opened != NACRE_OK) return REFUSED;
  for (int i = 0; i < SUBJECT_TABLES; i++) {
    outcome one = outcome_of_table(t, i, t->verdict.catalogue_told);
    if (one < worst) worst = one;
  }
  return worst;
}

static void write_file(const char *path, const void *bytes, size_t size) {
  FILE *file = fopen(path, "wb");
  if (file == NULL || fwrite(bytes, 1, size, file) != size || fclose(file) != 0)
    test_die("%s cannot be written", path);
}

/* Puts the file on the real disk as it is now, looks, and puts back what stood there. */
static bool keyless_scrub_sees(const trial *t, const shelf_file *changed) {
  char label[2 * SHELF_NAME_BYTES], path[640], aside[560];
  shelf_label(changed, label);
  snprintf(path, sizeof path, "%s/%s", t->copy, label);
  snprintf(aside, sizeof aside, "%s.sound", t->copy);
  if (rename(path, aside) != 0) test_die("%s is not there", path);
  if (!changed->missing) write_file(path, changed->bytes, changed->size);
  bool sees = walk_store_faults(t->copy, changed->directory) > 0;
  if (rename(aside, path) != 0) test_die("%s cannot be put back", path);
  return sees;
}

static const char *why(const trial *t, int table) {
  const store_verdict *v = &t->verdict;
  if (v->opened != NACRE_OK) return v->open_error.text;
  for (int i = 0; i < SUBJECT_TABLES; i++) {
    const table_verdict *one = &v->tables[i];
    if (table < SUBJECT_TABLES && i != table) continue;
    if (one->opened != NACRE_OK) return one->open_error.text;
    if (one->read_error.status != NACRE_OK) return one->read_error.text;
    if (one->verified != NACRE_OK) return one->verify_error.text;
    if (one->recovery.reason[0] != '\0') return one->recovery.reason;
  }
  return "no word";
}

outcome trial_run(trial *t, int table, const shelf_file *changed, unsigned allowed) {
  uint64_t failures = test_failures();
  outcome found;
  if (table < SUBJECT_TABLES) {
    t->verdict.opened = NACRE_OK;
    t->verdict.catalogue_told = false;
    judge_table(&t->s, t->store, table, false, &t->verdict.tables[table]);
    found = outcome_of_table(t, table, false);
  } else {
    judge_store(&t->s, shelf_io(t->files), false, &t->verdict);
    (void)PROVE(&t->s,
                t->verdict.opened == NACRE_OK || is_refusal(t->verdict.opened) ||
                    (t->s.may_be_missing && t->verdict.opened == NACRE_NOT_FOUND),
                "the store: %s %u: %s", nacre_status_name(t->verdict.opened), t->verdict.open_error.id,
                t->verdict.open_error.text);
    found = outcome_of_store(t);
  }
  if (found == WHOLE_UNTOLD && changed != NULL && keyless_scrub_sees(t, changed)) found = WHOLE_TOLD;
  (void)PROVE(&t->s, (CAN(found) & allowed) != 0, "%s (%s)", outcome_names[found], why(t, table));
  t->cases++;
  t->counts[found]++;
  (void)CHECK(test_failures() == failures, "case %llu", (unsigned long long)t->cases);
  return found;
}

nacre_status trial_status(const trial *t, int table) {
  const store_verdict *v = &t->verdict;
  for (int i = 0; i < SUBJECT_TABLES && v->opened == NACRE_OK; i++) {
    const table_verdict *one = &v->tables[i];
    if (table < SUBJECT_TABLES && i != table) continue;
    if (one->opened != NACRE_OK) return one->opened;
    if (one->read_error.status != NACRE_OK) return one->read_error.status;
    if (one->verified != NACRE_OK) return one->verified;
  }
  return v->opened;
}

bool is_one_of(nacre_status status, unsigned classes) {
  static const nacre_status order[] = {NACRE_CORRUPT, NACRE_TAMPERED, NACRE_ROLLED_BACK, NACRE_KEY_MISSING,
                                       NACRE_UNSUPPORTED};
  for (size_t i = 0; i < sizeof order / sizeof *order; i++)
    if (status == order[i]) return (classes >> i & 1) != 0;
  return status == NACRE_OK;
}

void trial_print(const trial *t, const char *what) {
  printf("%s: %llu", what, (unsigned long long)t->cases);
  for (int i = 0; i < OUTCOMES; i++)
    printf("%s %s %llu", i == 0 ? ":" : ",", outcome_names[i], (unsigned long long)t->counts[i]);
  printf("\n");
}
