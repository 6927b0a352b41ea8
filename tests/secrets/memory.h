/* SPDX-License-Identifier: Apache-2.0
 *
 * The memory of another process, searched: all of it, or what a default core dump would hold.
 */
#ifndef NACRE_TESTS_SECRETS_MEMORY_H
#define NACRE_TESTS_SECRETS_MEMORY_H

#include <sys/types.h>

#include "needles.h"

enum { MEMORY_SIGHTS_MAX = 4096 };

/* One place where something was found. */
typedef struct memory_sight {
  const needle *what;
  uint64_t address; /* in a core file: the offset */
  bool is_private;  /* in memory that is left out of core dumps */
} memory_sight;

typedef struct memory_report {
  uint64_t bytes;
  uint64_t in_private[NEEDLE_KINDS], in_ordinary[NEEDLE_KINDS];
  uint64_t in_registers[NEEDLE_KINDS]; /* of the threads: a core file's notes */
  size_t sight_count;
  memory_sight sights[MEMORY_SIGHTS_MAX]; /* the first of them */
} memory_report;

/* Every page that is there of every mapping that can be read, stacks and freed blocks included. */
void memory_search_live(pid_t pid, needles *set, memory_report *ret_report);
/* Of these what the kernel's default core dump holds: by core(5), VmFlags and coredump_filter. */
void memory_search_dumpable(pid_t pid, needles *set, memory_report *ret_report);
/* Ends the process by SIGABRT, and searches the core file that the kernel wrote to `directory`, where the
 * process must be running. False where cores do not go to files there; the process is gone in any case. */
bool memory_search_core(pid_t pid, const char *directory, needles *set, memory_report *ret_report);

/* Says on stderr what was found, and in which mapping, up to a few of `kind` in memory of one sort. */
void memory_tell(const memory_report *report, pid_t pid, int kind, bool is_private);

#endif
