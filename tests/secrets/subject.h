/* SPDX-License-Identifier: Apache-2.0
 *
 * The process under test, which keeps a store and does one step after another as it is told, and how it is
 * told. Each step ends with an answer; a step that stops half-way answers "paused" and goes on with
 * STEP_RESUME.
 */
#ifndef NACRE_TESTS_SECRETS_SUBJECT_H
#define NACRE_TESTS_SECRETS_SUBJECT_H

#include <nacre/nacre.h>

enum { SUBJECT_TABLES = 5, SUBJECT_ENTRIES = 300, SUBJECT_COPIES = 5 };

typedef enum step {
  STEP_END = 0,
  STEP_BUSY, /* a store with open tables, a cache, iterators, values, snapshots held */
  STEP_RESUME,
  STEP_ROTATE,    /* pauses in the middle of rewriting a header */
  STEP_RETIRE,    /* rotates all tables by KMS and by version, and waits for the end */
  STEP_CLOSE_ONE, /* closes one table of several; its UUID in the answer */
  STEP_FORK,      /* a child that does nothing; its process id in the answer */
  STEP_REAP,      /* ends that child */
  STEP_CLOSE,     /* everything is given back */
  /* From here on: opens the store, or tries to, meets its error, and gives everything back. */
  STEP_REOPEN,
  STEP_VERIFY,
  STEP_SALVAGE,
  STEP_INSPECT,
  STEP_KEYRING, /* changes to the keyrings */
  STEP_WRONG_KEY,
  STEP_WRONG_PASSPHRASE,
  STEP_KMS_DENIES,
  STEP_KMS_LIES,
  STEP_KMS_GONE,
  STEP_TAMPERED,
  STEP_FAILED_SYNC,
  STEP_NO_SPACE,
  STEP_FAILED_CREATE,
  STEP_FAILED_ROTATION,
  STEP_CRASHED_ROTATION, /* closed before the rewrapper is done, and opened again */
  STEP_ASKED,            /* pauses while the passphrase is asked for */
  STEP_SERVICE_CALLED,   /* pauses while the key service is called */
  /* For the detectors. */
  STEP_LEAVE_COPIES,
  STEP_COUNT
} step;
const char *step_name(step s);

typedef struct answer {
  uint32_t step, paused;
  uint32_t wrong;    /* line of the first expectation that was not met; 0: none */
  int32_t status;    /* what was had instead */
  uint64_t contexts; /* live cipher contexts */
  int64_t pid;
  char uuid[40];
  uint64_t copies[SUBJECT_COPIES]; /* addresses of what STEP_LEAVE_COPIES left, as subject_copy names them */
} answer;

enum { COPY_IN_FREED_HEAP = 0, COPY_IN_DEAD_STACK, COPY_IN_THREAD_STACK, COPY_IN_STATIC, COPY_LEFT_OUT };

/* What the process does; `commands` and `answers` are pipes. Its working directory is where it writes. */
int subject_main(uint64_t seed, int commands, int answers);

/* Names of files in the working directory. */
#define SUBJECT_STORE "store"
#define SUBJECT_KEYRING "keyring"
#define SUBJECT_PROTECTED "protected"
#define SUBJECT_OTHER "other"
#define SUBJECT_OVERHEARD "overheard"

#endif
