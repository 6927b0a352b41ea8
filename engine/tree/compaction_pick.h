/* SPDX-License-Identifier: Apache-2.0
 *
 * compaction_pick: which segments are merged next, and into which run. Pure but for the mark on segments that a
 * compaction under way has taken.
 *
 * Invariants
 *   1. A choice is a whole: for each key of its range it holds all that lies between its newest run and the run
 *      that it goes to. So what it leaves behind above is newer, and below it older, for every key.
 *   2. Its segments hang together, each overlapping another of them; so its range, end to end, has nothing else
 *      of the run that it goes to, and what comes out overlaps nothing there.
 *   3. Two choices that run at once share no segment; with 2., neither do their ranges in any run.
 */
#ifndef NC_COMPACTION_PICK_H
#define NC_COMPACTION_PICK_H

#include "levels.h"

typedef enum nc_urgency {
  NC_URGENCY_DUE,  /* what the sizes of levels ask for */
  NC_URGENCY_IDLE, /* and what makes reads fast and space small, while nobody writes */
} nc_urgency;

/* Segments of several runs that become segments of one. Zeroed: nothing. */
typedef struct nc_compaction {
  nc_version *version;  /* counted */
  nc_run *inputs;       /* the newest first; parts of the version's runs */
  size_t input_count;
  nc_segment **segments; /* what `inputs` points into */
  size_t segment_count;
  uint64_t bytes;
  nc_place place;
  bool moves; /* nothing is merged: the same segments, in that place */
  bool drops; /* nothing is read: the segments go */
} nc_compaction;

/* Who may still see what. */
typedef struct nc_audience {
  const uint64_t *snapshots; /* ascending */
  size_t snapshot_count;
  uint64_t moment_ms; /* what had expired by then is seen by nobody */
  bool large_values;  /* the table has some, in files of their own */
} nc_audience;

/* Segments of which nobody can see anything any more, which hide nothing and refer to no other file; none:
 * segment_count 0. As nc_compaction_pick. */
NC_MUST_CHECK nacre_status nc_compaction_pick_gone(nc_version *v, const nc_audience *who,
                                                   nc_compaction *ret_compaction, nacre_error *err);

/* The most urgent one; none: segment_count 0. Its segments are marked as taken. Calls for one table, and
 * nc_compaction_let_go, come one at a time. What had expired by `moment_ms` can be left out. */
NC_MUST_CHECK nacre_status nc_compaction_pick(nc_version *v, const nc_policy *policy, nc_urgency urgency,
                                              uint64_t moment_ms, nc_compaction *ret_compaction, nacre_error *err);
/* Everything that holds keys of [from, to), NULL for no bound, and whatever overlaps it, into the oldest run. No
 * segment may be taken. */
NC_MUST_CHECK nacre_status nc_compaction_pick_range(nc_version *v, nacre_slice from, nacre_slice to,
                                                    nc_compaction *ret_compaction, nacre_error *err);
/* The newest young runs as one young run: as many as are of like size, at least as many as make a merge due, and together
 * little more than `bytes_max`; none: segment_count 0. No segment may be taken. */
NC_MUST_CHECK nacre_status nc_compaction_pick_small(nc_version *v, const nc_policy *policy, uint64_t bytes_max,
                                                    nc_compaction *ret_compaction, nacre_error *err);
/* What was chosen may be chosen again, or is gone. */
void nc_compaction_let_go(const nc_compaction *c);
void nc_compaction_end(nc_compaction *c);

/* For those who choose: an empty choice; a segment more of it, run by run, the newest first, and by key; taken. */
NC_MUST_CHECK nacre_status nc_compaction_begin(nc_compaction *c, nc_version *v, nacre_error *err);
void nc_compaction_take(nc_compaction *c, const nc_run *run, nc_segment *s);
void nc_compaction_mark(const nc_compaction *c);

#endif
