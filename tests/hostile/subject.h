/* SPDX-License-Identifier: Apache-2.0
 *
 * subject: the small store that everything here is done to, and the oracle that reads it afterwards.
 *
 * Two tables: "pearl" with two segments, two live logs and its second table key; "nautilus" with everything else
 * that a table may hold: range deletes, values in files of their own, one of them hidden by a newer one, and puts that
 * expire, in segments and in a log, a segment that was loaded in bulk, and options that are not the default.
 * A table's history is a row of groups (one batch each); its state after g groups is known for every g.
 * Reading may answer with such a state, or with errors; a value that no state explains, or one that belongs
 * to another state than its neighbours, is a failure at once.
 */
#ifndef NACRE_TESTS_SUBJECT_H
#define NACRE_TESTS_SUBJECT_H

#include <nacre/nacre.h>

#include "shelf.h"

enum {
  SUBJECT_TABLES = 2,
  SUBJECT_KEYS = 120,
  SUBJECT_GROUPS_MAX = 24,
  SUBJECT_LARGE_BYTES = 4200, /* of values that have files of their own */
  SUBJECT_MOMENTS_MAX = 8,
  SUBJECT_NO_STATE = -1
};

typedef struct subject_table {
  const char *name;
  char uuid[40]; /* its directory */
  uint8_t groups, flushed;
  bool synced[SUBJECT_GROUPS_MAX + 1];
  /* [g][k]: the group that wrote key k last, after g groups; 0: there is no such key then */
  uint8_t version[SUBJECT_GROUPS_MAX + 1][SUBJECT_KEYS];
  uint8_t *values[SUBJECT_GROUPS_MAX + 1][SUBJECT_KEYS]; /* what group g gives key k; NULL: nothing */
  size_t value_size[SUBJECT_KEYS];
} subject_table;

typedef struct subject_moment {
  const char *name;
  shelf files;
  uint8_t groups[SUBJECT_TABLES];
} subject_moment;

typedef struct subject {
  char scratch[200], uri[256], keyring[256];
  const char *path; /* of the store that is judged */
  subject_table tables[SUBJECT_TABLES];
  shelf clean;  /* closed in good order */
  shelf killed; /* the same history, but the process died before closing; the page cache survived */
  subject_moment moments[SUBJECT_MOMENTS_MAX]; /* earlier states, in order */
  size_t moment_count;
  /* what is being done, for messages */
  const char *doing;
  const shelf_file *file, *other;
  uint64_t number;
  bool may_be_missing; /* the catalogue may have gone back to before a table was made */
} subject;

/* Makes the store, under the keyring of `keyring_of`, or under a new one (NULL). */
void subject_make(subject *s, const subject *keyring_of);
void subject_remove(subject *s);
void subject_key(int k, char text[8]);
/* Which keys a segment may hold, or a value file does: from here to before there. None: the file is of another kind, or
 * what it holds is hidden by something newer. */
void subject_keys_of(const subject *s, const shelf *files, const shelf_file *file, int *ret_from,
                     int *ret_to);
nacre_store_options subject_options(const subject *s, const nacre_io *io, bool read_only);

/* Notes what is being done; for messages only. */
void subject_doing(subject *s, const char *doing, const shelf_file *file, const shelf_file *other,
                   uint64_t number);
/* Fails with the case at hand in front. */
__attribute__((format(printf, 4, 5))) bool subject_fail(const subject *s, const char *source, int line,
                                                        const char *format, ...);
#define PROVE(s, ok, ...) ((ok) || subject_fail((s), __FILE__, __LINE__, __VA_ARGS__))

/* ---- the oracle ---------------------------------------------------------------------------------------- */

typedef struct table_verdict {
  nacre_status opened; /* the rest is zero unless NACRE_OK */
  nacre_error open_error;
  nacre_recovery_report recovery;
  int groups;          /* how many of its groups the table has; SUBJECT_NO_STATE: no state fits */
  unsigned unreadable; /* keys that are answered by an error */
  bool key_unreadable[SUBJECT_KEYS];
  nacre_error read_error; /* the last one */
  nacre_status verified;
  nacre_error verify_error;
} table_verdict;

typedef struct store_verdict {
  nacre_status opened;
  nacre_error open_error;
  bool catalogue_told; /* an event: it was recovered after an unclean end */
  table_verdict tables[SUBJECT_TABLES];
} store_verdict;

/* Verifies an open table; fills what concerns that. */
void judge_by_verify(const subject *s, nacre_table *table, table_verdict *ret);
/* Opens, reads, verifies and closes a table read-only. `thorough`: every key by itself too, and backwards. */
void judge_table(const subject *s, nacre_store *store, int table, bool thorough, table_verdict *ret);
void judge_store(const subject *s, const nacre_io *io, bool thorough, store_verdict *ret);

/* Whether anything said that not all is well with a table: opening, its report, reading or verifying.
 * `killed`: an unclean end is nothing new. */
bool table_noticed(const table_verdict *v, bool killed);
bool store_noticed(const store_verdict *v, bool killed);
/* Every answer was right and the newest state's. */
bool table_whole(const subject *s, const table_verdict *v, int table);
/* An error of bytes or keys: what damage may be answered with. */
bool is_refusal(nacre_status status);

#endif
