/* SPDX-License-Identifier: Apache-2.0
 *
 * progress: one line on a terminal's standard error that long work keeps up to date. On anything but a
 * terminal, with --quiet and with --json, nothing is ever shown.
 */
#ifndef TOOL_PROGRESS_H
#define TOOL_PROGRESS_H

#include "options.h"

typedef struct progress {
  bool shown;        /* whether to show anything at all */
  bool drawn;        /* a line stands there now */
  const char *doing; /* "importing" */
  uint64_t total;    /* bytes; NACRE_NONE: not known */
  uint64_t started_ns, drawn_ns;
} progress;

void tool_progress_begin(progress *p, const options *o, const char *doing, uint64_t total_bytes);
/* Draws at most ten times a second. */
void tool_progress_update(progress *p, uint64_t done_bytes, uint64_t records);
/* The same for work that is counted in things. */
void tool_progress_count(progress *p, uint64_t done, uint64_t total, const char *things);
/* Takes the line away; also before anything else is written to standard error. */
void tool_progress_clear(progress *p);
uint64_t tool_progress_elapsed_ns(const progress *p);

#endif
