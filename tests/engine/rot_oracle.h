/* SPDX-License-Identifier: Apache-2.0
 *
 * rot_oracle: what must be answered for an image of some logs (format/README.md, "The tail rule").
 *
 * Shares no code with what it judges. It knows where each frame was written, what that frame vouches for and
 * what was said to be synced; it looks at an image with a reader of its own, that takes a frame for authentic
 * when it stands where it was written, with the bytes that were written.
 */
#ifndef TESTS_ENGINE_ROT_ORACLE_H
#define TESTS_ENGINE_ROT_ORACLE_H

#include "histories.h"

enum { LOGS_MAX = HISTORY_LOGS_MAX, NONE = 99, HEADER = 8192, SLOT = 4096, STEP = 16 };

typedef struct memory_log {
  uint8_t *bytes, *pristine; /* as they are read, and as they were written */
  size_t size, pristine_size, capacity;
} memory_log;

/* What was written: the frames are those of `h`, whose logs are known by their index. */
typedef struct rot {
  history *h;
  memory_log logs[LOGS_MAX];
  size_t predecessor[LOGS_MAX];  /* NONE: none */
  uint64_t end_of_log[LOGS_MAX]; /* behind its last frame but the final one */
  uint64_t numbers[LOGS_MAX];    /* of the files; 0: the index and one */
} rot;

typedef struct position {
  size_t log;
  uint64_t offset;
} position;

typedef struct verdict {
  bool header_lost, tampered, damaged; /* any: refused */
  size_t lost_log;
  position forged;
  bool broken;
  position x;
  uint64_t last, dropped;
  bool clean, maybe_synced;
} verdict;

/* Where the filler at the end of a log begins; its size when it has none. */
uint64_t rot_written(const rot *r, size_t log);
verdict rot_judge(const rot *r);

#endif
