/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of the process under test, for themselves.
 */
#ifndef NACRE_TESTS_SECRETS_SUBJECT_STORE_H
#define NACRE_TESTS_SECRETS_SUBJECT_STORE_H

#include <sys/types.h>

#include "subject.h"
#include "subject_io.h"

typedef struct subject {
  uint64_t seed;
  int commands, answers;
  surroundings around;
  step step; /* that is under way */
  uint32_t wrong;
  int32_t wrong_status;
  answer answer; /* its last members, as the step fills them in */
  nacre_store *store;
  nacre_table *tables[SUBJECT_TABLES];
  nacre_iter *iterators[SUBJECT_TABLES];
  nacre_snapshot *snapshots[SUBJECT_TABLES];
  nacre_value values[SUBJECT_TABLES][2];
  char uuids[SUBJECT_TABLES][40];
  pid_t child;
} subject;

/* Notes the first thing that went another way than it should. */
void subject_expect(subject *s, nacre_status got, nacre_status wanted, int line);
#define EXPECT(got, wanted) subject_expect(s, (got), (wanted), __LINE__)
#define EXPECT_OK(got) EXPECT((got), NACRE_OK)
#define EXPECT_FAILURE(got) EXPECT((got) == NACRE_OK ? NACRE_INVALID : NACRE_OK, NACRE_OK)
#define EXPECT_TRUE(good) EXPECT((good) ? NACRE_OK : NACRE_INVALID, NACRE_OK)

nacre_store_options subject_options(subject *s);
/* Opens the store, or tries to, into s->store. */
nacre_status subject_open(subject *s, const char *default_uri);
nacre_status subject_open_table(subject *s, uint32_t table);
void subject_put(subject *s, uint32_t table, uint32_t number, bool sync, nacre_status wanted);
/* Compares every value that is there with what it should be; how many could not be read. */
uint32_t subject_read_all(subject *s, uint32_t table);
/* Gives everything back; `wanted` of the calls that can fail. */
void subject_close_table(subject *s, uint32_t table, bool may_fail);
void subject_close(subject *s, bool may_fail);

/* The steps with which the store opens and closes again; false for any other. */
bool subject_try(subject *s);
void subject_leave_copies(subject *s);

#endif
