/* SPDX-License-Identifier: Apache-2.0
 *
 * trial: one change to a store, what came of it, and whether that was allowed.
 */
#ifndef NACRE_TESTS_TRIAL_H
#define NACRE_TESTS_TRIAL_H

#include "subject.h"

/* From what nobody may do to what nobody need notice. Of a store's tables the first in this order counts. */
typedef enum outcome {
  EARLIER_UNTOLD = 0, /* an earlier state, and nothing says so: allowed where the format says that none can */
  REFUSED,            /* the store or a table does not open */
  UNREADABLE,         /* it opens, and some keys are answered by errors */
  EARLIER_TOLD,       /* an earlier state, and the report says so */
  WHOLE_TOLD,         /* everything is there, and the report, verify or the keyless scrub finds the change */
  WHOLE_UNTOLD,       /* everything is there, and nothing notices: allowed where nothing is changed */
  OUTCOMES
} outcome;
#define CAN(which) (1u << (which))

/* Classes of refusal, as a set. */
enum { IS_CORRUPT = 1, IS_TAMPERED = 2, IS_ROLLED_BACK = 4, IS_KEY_MISSING = 8, IS_UNSUPPORTED = 16 };
#define CAN_BE_TOLD (CAN(REFUSED) | CAN(UNREADABLE) | CAN(WHOLE_TOLD))

typedef struct trial {
  subject s;
  shelf *files;
  bool killed;
  nacre_store *store; /* open since all was sound */
  char copy[512];     /* where the sound files stand for the keyless scrub */
  uint64_t cases, counts[OUTCOMES];
  store_verdict verdict; /* of the last case */
} trial;

/* Works on one of the subject's shelves. */
void trial_begin(trial *t, shelf *files, bool killed);
void trial_end(trial *t);
/* The table whose directory a file lies in; SUBJECT_TABLES: the catalogue, or the store's own. */
int trial_table_of(const trial *t, const shelf_file *file);
/* What may come of a segment or a value file that is not what it should be: its keys cannot be read; or, when nothing of
 * it is the newest, verify tells. None: the file is of another kind. */
unsigned trial_without(const trial *t, const shelf_file *file);
/* Judges the store as it is now and demands one of `allowed`. With `table`, only that one is opened, by a
 * store that was opened before the change. `changed`: the file that the keyless scrub should look at. */
outcome trial_run(trial *t, int table, const shelf_file *changed, unsigned allowed);
/* The first status of the last case that is no success; with a table, of that one. */
nacre_status trial_status(const trial *t, int table);
/* Whether a status is one of a set; NACRE_OK is of every one. */
bool is_one_of(nacre_status status, unsigned classes);
void trial_print(const trial *t, const char *what);

#endif
