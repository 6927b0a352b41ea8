/* SPDX-License-Identifier: Apache-2.0
 *
 * compaction_pick: see compaction_pick.h.
 *
 * The policy. Young runs ask for a merge when there are many of them, or they are large; a level, when it is over
 * its target; whoever asks most is first. Of young runs, and the level below, what overlaps hangs together in
 * *clusters*, each of which can be merged alone: a young segment that overlaps nothing only moves. Of a level that
 * is over its target, segments that overlap nothing below move; failing that, the one goes down that has the
 * least below it to be written again. When no size asks for anything, segments with many deletes go down, until
 * they have nothing left to hide, and so do those of which half has expired; of the last level they are written again.
 */
#include "compaction_pick.h"

#include <stdlib.h>

enum {
  IDLE_COST_MAX = 4, /* when idle, as many times as much of a level is written again as comes from above */
  TIER_DUE = 2,
  TIER_IDLE = 4,
  SMALL_PART = 4,         /* neighbours are joined up to this part of a segment's size */
  INPUT_SEGMENTS_MAX = 16 /* of full size, when more than one goes down at a time */
};

static uint64_t size_of(const nc_segment *s) { return nc_segment_describe(s)->size; }
static bool has_flags(const nc_segment *s, uint32_t flags) {
  return (nc_segment_describe(s)->flags & flags) != 0;
}
static bool taken(const nc_segment *s) { return nc_segment_taken(s) != NULL || nc_segment_aside(s); }

/* ---- where it goes ------------------------------------------------------------------------------------- */

/* Index of the version's oldest run among those of a level; 0: of the young runs. */
static size_t last_run_of(const nc_levels *l, uint32_t level) {
  return level == 0 ? l->young_count - 1 : (size_t)(l->runs[level] - l->version->runs);
}

/* A level that is empty gets a run between those above and below it. False: there is no number left between
 * them; then a whole run must go, which keeps its number. */
static bool find_place(const nc_levels *l, uint32_t from, nc_place *ret_place) {
  uint32_t to = nc_levels_below(l, from);
  *ret_place = (nc_place){.level = to};
  if (l->runs[to] != NULL) {
    ret_place->run = l->runs[to]->id;
    return true;
  }
  size_t at = last_run_of(l, from);
  uint64_t above = l->version->runs[at].id;
  uint64_t below = at + 1 < l->version->run_count ? l->version->runs[at + 1].id : 0;
  ret_place->run = below + (above - below) / 2;
  return above - below >= 2;
}

/* Whether a level below `level` has anything within a segment's range. */
static bool lies_over_something(const nc_levels *l, const nc_segment *s, uint32_t level) {
  for (uint32_t i = level + 1; i < NC_LEVEL_COUNT; i++) {
    size_t first, count;
    if (l->runs[i] == NULL) continue;
    nc_run_overlapped(l->runs[i], s, &first, &count);
    if (count > 0) return true;
  }
  return false;
}

/* A segment whose deletes have nothing left to hide is written again, without them. */
static bool may_move(const nc_levels *l, const nc_segment *s, uint32_t to) {
  return !has_flags(s, NC_SEGMENT_HOLDS_DELETES | NC_SEGMENT_HOLDS_RANGES) || lies_over_something(l, s, to);
}

/* ---- a choice ------------------------------------------------------------------------------------------ */

nacre_status nc_compaction_begin(nc_compaction *c, nc_version *v, nacre_error *err) {
  *c = (nc_compaction){.inputs = calloc(v->run_count + 1, sizeof *c->inputs),
                       .segments = calloc(v->segment_count + 1, sizeof *c->segments)};
  if (c->inputs == NULL || c->segments == NULL) {
    nc_compaction_end(c);
    return nc_fail(err, NC_E_NO_MEMORY, NULL);
  }
  nc_version_ref(v);
  c->version = v;
  return NACRE_OK;
}

void nc_compaction_take(nc_compaction *c, const nc_run *run, nc_segment *s) {
  if (c->input_count == 0 || c->inputs[c->input_count - 1].id != run->id) {
    c->inputs[c->input_count++] =
        (nc_run){.id = run->id, .level = run->level, .segments = &c->segments[c->segment_count]};
  }
  nc_run *input = &c->inputs[c->input_count - 1];
  input->count++;
  input->bytes += size_of(s);
  c->bytes += size_of(s);
  c->segments[c->segment_count++] = s;
}

static void mark(const nc_compaction *c, const void *by) {
  for (size_t i = 0; i < c->segment_count; i++) nc_segment_set_taken(c->segments[i], by);
}

void nc_compaction_mark(const nc_compaction *c) { mark(c, c->segments); }
void nc_compaction_let_go(const nc_compaction *c) { mark(c, NULL); }

void nc_compaction_end(nc_compaction *c) {
  free(c->inputs);
  free(c->segments);
  nc_version_unref(c->version);
  *c = (nc_compaction){0};
}

/* ---- young runs ---------------------------------------------------------------------------------------- */

typedef struct item {
  nc_segment *segment;
  size_t run; /* of the version */
} item;

/* Items that hang together. */
typedef struct cluster {
  size_t first, count;
  uint64_t bytes, young_bytes;
  bool taken;
} cluster;

typedef struct clusters {
  const nc_levels *levels;
  item *items; /* of the young runs and the level below them, by key */
  size_t item_count;
  cluster *list;
  size_t count;
} clusters;

static int by_smallest(const void *a, const void *b) {
  const item *x = a, *y = b;
  int order = nc_slice_compare(nc_segment_describe(x->segment)->smallest,
                               nc_segment_describe(y->segment)->smallest);
  return order != 0 ? order : (x->run > y->run) - (x->run < y->run);
}

/* Items that one compaction has taken are one, gaps included: what comes out of it may lie across them. */
static size_t last_of_taker(const clusters *c, const void *by) {
  size_t at = c->item_count - 1;
  while (nc_segment_taken(c->items[at].segment) != by) at--;
  return at;
}

static bool reaches_further(const nc_segment *a, const nc_segment *b) {
  const nc_segment_record *x = nc_segment_describe(a), *y = nc_segment_describe(b);
  int order = nc_slice_compare(x->largest, y->largest);
  bool x_ends = (x->flags & NC_SEGMENT_LARGEST_EXCLUDED) != 0, y_ends = (y->flags & NC_SEGMENT_LARGEST_EXCLUDED) != 0;
  return order > 0 || (order == 0 && !x_ends && y_ends);
}

static cluster next_cluster(const clusters *c, size_t first) {
  cluster k = {.first = first};
  const nc_segment *reach = c->items[first].segment;
  const void *taker = NULL;
  size_t at_least = first;
  for (size_t i = first; i < c->item_count; i++) {
    const item *it = &c->items[i];
    nacre_slice smallest = nc_segment_describe(it->segment)->smallest;
    if (i > at_least && nc_segment_ends_before(nc_segment_describe(reach), smallest)) break;
    if (reaches_further(it->segment, reach)) reach = it->segment;
    k.count++;
    k.bytes += size_of(it->segment);
    if (it->run < c->levels->young_count) k.young_bytes += size_of(it->segment);
    if (!taken(it->segment)) continue;
    k.taken = true;
    const void *by = nc_segment_taken(it->segment);
    if (by == NULL || by == taker) continue;
    taker = by;
    size_t last = last_of_taker(c, taker);
    if (last > at_least) at_least = last;
  }
  return k;
}

/* Small neighbours become one segment, when one of them comes from above: else a table that is flushed often
 * would be many files. The larger one joins only when it is no larger than the one that came, so that each byte
 * is written again as often as its segment doubles. */
static bool joins(const cluster *a, const cluster *b, uint64_t small) {
  if (a->taken || b->taken || a->bytes + b->bytes > small) return false;
  bool a_young = a->young_bytes > 0, b_young = b->young_bytes > 0;
  return (a_young && b->bytes <= a->bytes) || (b_young && a->bytes <= b->bytes);
}

static void push_cluster(clusters *c, cluster k, uint64_t small) {
  while (c->count > 0 && joins(&c->list[c->count - 1], &k, small)) {
    cluster before = c->list[--c->count];
    k = (cluster){.first = before.first,
                  .count = before.count + k.count,
                  .bytes = before.bytes + k.bytes,
                  .young_bytes = before.young_bytes + k.young_bytes};
  }
  c->list[c->count++] = k;
}

static void clusters_deinit(clusters *c) {
  free(c->items);
  free(c->list);
}

static nacre_status find_clusters(const nc_levels *l, uint64_t small, clusters *c, nacre_error *err) {
  const nc_version *v = l->version;
  const nc_run *under = l->runs[nc_levels_below(l, 0)];
  size_t runs = l->young_count + (under != NULL ? 1 : 0), most = 0;
  for (size_t r = 0; r < runs; r++) most += v->runs[r].count;
  *c = (clusters){.levels = l,
                  .items = calloc(most + 1, sizeof *c->items),
                  .list = calloc(most + 1, sizeof *c->list)};
  if (c->items == NULL || c->list == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  for (size_t r = 0; r < runs; r++) {
    for (size_t i = 0; i < v->runs[r].count; i++)
      c->items[c->item_count++] = (item){v->runs[r].segments[i], r};
  }
  if (c->item_count > 0) qsort(c->items, c->item_count, sizeof *c->items, by_smallest);
  for (size_t at = 0; at < c->item_count;) {
    cluster k = next_cluster(c, at);
    at += k.count;
    push_cluster(c, k, small);
  }
  return NACRE_OK;
}

static void take_items(nc_compaction *c, const clusters *from, const cluster *k) {
  const nc_version *v = from->levels->version;
  for (size_t r = 0; r < v->run_count; r++) {
    for (size_t i = k->first; i < k->first + k->count; i++) {
      if (from->items[i].run == r) nc_compaction_take(c, &v->runs[r], from->items[i].segment);
    }
  }
}

static bool lies_alone(const clusters *c, const cluster *k, uint32_t to) {
  return k->count == 1 && k->young_bytes > 0 && !k->taken &&
         may_move(c->levels, c->items[k->first].segment, to);
}

static void take_lone(nc_compaction *c, const clusters *from, uint32_t to) {
  const nc_levels *l = from->levels;
  for (size_t r = 0; r < l->young_count; r++) {
    for (size_t i = 0; i < from->count; i++) {
      const item *it = &from->items[from->list[i].first];
      if (it->run == r && lies_alone(from, &from->list[i], to)) nc_compaction_take(c, &l->version->runs[r], it->segment);
    }
  }
}

/* The cluster with most in it that comes from above; `cost_max`: of those that have at most so many times as much
 * below. */
static const cluster *best_cluster(const clusters *c, uint64_t cost_max) {
  const cluster *best = NULL;
  for (size_t i = 0; i < c->count; i++) {
    const cluster *k = &c->list[i];
    if (k->taken || k->young_bytes == 0 || (k->bytes - k->young_bytes) / k->young_bytes >= cost_max) continue;
    if (best == NULL || k->young_bytes > best->young_bytes) best = k;
  }
  return best;
}

static void take_clusters(nc_compaction *c, const clusters *from, uint64_t cost_max) {
  take_lone(c, from, c->place.level);
  c->moves = c->segment_count > 0;
  if (c->moves) return;
  const cluster *best = best_cluster(from, cost_max);
  if (best != NULL) take_items(c, from, best);
}

static bool any_young_taken(const nc_levels *l) {
  for (size_t r = 0; r < l->young_count; r++) {
    for (size_t i = 0; i < l->version->runs[r].count; i++) {
      if (nc_segment_taken(l->version->runs[r].segments[i]) != NULL) return true;
    }
  }
  return false;
}

static bool any_aside(const nc_run *run) {
  size_t i = 0;
  while (i < run->count && !nc_segment_aside(run->segments[i])) i++;
  return i < run->count;
}

/* The newest young runs that can be read. */
static size_t readable_young(const nc_levels *l) {
  size_t count = 0;
  while (count < l->young_count && !any_aside(&l->version->runs[count])) count++;
  return count;
}

/* The newest `count` young runs as one, on the level given: 0 makes it a young one. It takes the newest one's
 * place. */
static void take_young(nc_compaction *c, const nc_levels *l, size_t count, uint32_t level) {
  c->place = (nc_place){l->version->runs[0].id, level};
  for (size_t r = 0; r < count; r++) {
    const nc_run *run = &l->version->runs[r];
    for (size_t i = 0; i < run->count; i++) nc_compaction_take(c, run, run->segments[i]);
  }
}

/* From the newest run on, the next older one as long as it is not more than `times` as large as what has been
 * taken so far: young runs then differ in size, and are few, and each byte is written again as rarely. At least
 * `count_min` of them; none is added to more than `bytes_max`. */
static void take_tier(nc_compaction *c, const nc_levels *l, uint64_t times, size_t count_min, uint64_t bytes_max) {
  uint64_t bytes = 0;
  size_t count = 0, readable = readable_young(l);
  while (count < readable && bytes <= bytes_max &&
         (count == 0 || l->version->runs[count].bytes <= bytes * times))
    bytes += l->version->runs[count++].bytes;
  if (count >= count_min && !any_young_taken(l)) take_young(c, l, count, 0);
}

/* Young runs go down where no more than `cost_max` times as much has to be written again there, and become fewer
 * where it is more. */
static nacre_status pick_young(nc_compaction *c, const nc_levels *l, const nc_policy *policy,
                               uint64_t cost_max, uint64_t tier, nacre_error *err) {
  if (!find_place(l, 0, &c->place)) {
    if (!any_young_taken(l) && readable_young(l) == l->young_count)
      take_young(c, l, l->young_count, c->place.level);
    return NACRE_OK;
  }
  clusters k;
  nacre_status status = find_clusters(l, policy->segment_bytes / SMALL_PART, &k, err);
  if (status == NACRE_OK) take_clusters(c, &k, cost_max);
  clusters_deinit(&k);
  if (c->segment_count == 0) take_tier(c, l, tier, 2, UINT64_MAX);
  return status;
}

/* ---- a level ------------------------------------------------------------------------------------------- */

/* Of a run's segment: what lies below it. */
typedef struct candidate {
  size_t at;           /* in its run */
  size_t first, count; /* in the run below */
  uint64_t below;      /* bytes */
  bool free;           /* none of them is taken */
} candidate;

static candidate candidate_at(const nc_run *run, const nc_run *under, size_t at) {
  candidate k = {.at = at, .free = !taken(run->segments[at])};
  if (under == NULL) return k;
  nc_run_overlapped(under, run->segments[at], &k.first, &k.count);
  for (size_t i = k.first; i < k.first + k.count; i++) {
    k.below += size_of(under->segments[i]);
    k.free = k.free && !taken(under->segments[i]);
  }
  return k;
}

/* Bytes below for each byte, in thousandths; what has many deletes weighs as much more as it will free. */
static uint64_t cost_of(const nc_run *run, const candidate *k) {
  const nc_segment *s = run->segments[k->at];
  uint64_t cost = k->below * 1000 / size_of(s);
  return has_flags(s, NC_SEGMENT_MANY_DELETES) ? cost / 2 : cost;
}

/* Everything that only has to move, as far as a level is over its target. */
static void take_movable(nc_compaction *c, const nc_levels *l, uint32_t level, uint64_t over) {
  const nc_run *run = l->runs[level], *under = l->runs[c->place.level];
  for (size_t i = 0; i < run->count && c->bytes < over; i++) {
    candidate k = candidate_at(run, under, i);
    if (k.free && k.count == 0 && may_move(l, run->segments[i], c->place.level))
      nc_compaction_take(c, run, run->segments[i]);
  }
  c->moves = c->segment_count > 0;
}

/* Neighbours for which nothing more has to be written below go along. */
static bool goes_along(const nc_run *run, const nc_run *under, size_t at, const candidate *with) {
  candidate k = candidate_at(run, under, at);
  return k.free && k.count > 0 && k.first >= with->first && k.first + k.count <= with->first + with->count;
}

static void take_candidate(nc_compaction *c, const nc_levels *l, uint32_t level, const candidate *k,
                           const nc_policy *policy) {
  const nc_run *run = l->runs[level], *under = l->runs[c->place.level];
  uint64_t bytes = k->below + size_of(run->segments[k->at]);
  uint64_t bytes_max = policy->segment_bytes * INPUT_SEGMENTS_MAX;
  size_t from = k->at, to = k->at + 1;
  for (; from > 0 && bytes < bytes_max && goes_along(run, under, from - 1, k); from--)
    bytes += size_of(run->segments[from - 1]);
  for (; to < run->count && bytes < bytes_max && goes_along(run, under, to, k); to++)
    bytes += size_of(run->segments[to]);
  for (size_t i = from; i < to; i++) nc_compaction_take(c, run, run->segments[i]);
  for (size_t i = k->first; i < k->first + k->count; i++) nc_compaction_take(c, under, under->segments[i]);
}

/* What has deletes or range deletes, or has expired, takes space that a merge gives back. */
static bool is_waste(const nc_segment *s, uint64_t moment_ms) {
  const nc_segment_record *record = nc_segment_describe(s);
  return has_flags(s, NC_SEGMENT_MANY_DELETES | NC_SEGMENT_HOLDS_RANGES) ||
         (record->half_expired_ms != 0 && record->half_expired_ms <= moment_ms);
}

/* `waste_ms`: only segments that are waste by then; NULL: any. */
static void take_cheapest(nc_compaction *c, const nc_levels *l, uint32_t level, const uint64_t *waste_ms,
                          const nc_policy *policy) {
  const nc_run *run = l->runs[level], *under = l->runs[c->place.level];
  candidate best = {0};
  uint64_t best_cost = UINT64_MAX;
  for (size_t i = 0; i < run->count; i++) {
    if (waste_ms != NULL && !is_waste(run->segments[i], *waste_ms)) continue;
    candidate k = candidate_at(run, under, i);
    if (!k.free || cost_of(run, &k) >= best_cost) continue;
    best = k;
    best_cost = cost_of(run, &k);
  }
  if (best_cost == UINT64_MAX) return;
  c->moves = best.count == 0 && may_move(l, run->segments[best.at], c->place.level);
  take_candidate(c, l, level, &best, policy);
}

static void take_whole_run(nc_compaction *c, const nc_run *run) {
  for (size_t i = 0; i < run->count; i++) {
    if (taken(run->segments[i])) return;
  }
  c->place.run = run->id;
  c->moves = true;
  for (size_t i = 0; i < run->count; i++) nc_compaction_take(c, run, run->segments[i]);
}

/* What compactions under way take away is not over the target any more. */
static uint64_t bytes_left(const nc_run *run) {
  uint64_t bytes = 0;
  for (size_t i = 0; i < run->count; i++) bytes += taken(run->segments[i]) ? 0 : size_of(run->segments[i]);
  return bytes;
}

static void pick_level(nc_compaction *c, const nc_levels *l, uint32_t level, const nc_policy *policy) {
  if (!find_place(l, level, &c->place)) {
    take_whole_run(c, l->runs[level]);
    return;
  }
  uint64_t bytes = bytes_left(l->runs[level]), target = l->targets[level];
  take_movable(c, l, level, bytes > target ? bytes - target : 1);
  if (c->segment_count == 0) take_cheapest(c, l, level, NULL, policy);
}

/* ---- what is first ------------------------------------------------------------------------------------- */

/* In thousandths of what makes it due. A level that the table is too small for comes before all others. */
static uint64_t score_of(const nc_levels *l, uint32_t level, const nc_policy *policy) {
  if (level > 0) {
    if (l->runs[level] == NULL) return 0;
    uint64_t bytes = bytes_left(l->runs[level]), target = l->targets[level];
    return bytes == 0 ? 0 : target == 0 ? UINT64_MAX : bytes * 1000 / target;
  }
  uint64_t count = l->young_count * 1000 / policy->young_runs;
  uint64_t bytes = l->young_bytes * 1000 / policy->young_bytes;
  return count > bytes ? count : bytes;
}

/* At its target a level has no need to shrink; young runs are merged when there are as many as wanted. */
static bool is_due(uint32_t level, uint64_t score) { return level == 0 ? score >= 1000 : score > 1000; }

static nacre_status pick_due(nc_compaction *c, const nc_levels *l, const nc_policy *policy,
                             nacre_error *err) {
  bool tried[NC_LEVEL_BOTTOM] = {false};
  for (int turn = 0; turn < NC_LEVEL_BOTTOM && c->segment_count == 0; turn++) {
    uint32_t best = NC_LEVEL_BOTTOM;
    uint64_t best_score = 0;
    for (uint32_t i = 0; i < NC_LEVEL_BOTTOM; i++) {
      uint64_t score = tried[i] ? 0 : score_of(l, i, policy);
      if (!is_due(i, score) || score <= best_score) continue;
      best = i;
      best_score = score;
    }
    if (best == NC_LEVEL_BOTTOM) return NACRE_OK;
    tried[best] = true;
    if (best > 0) {
      pick_level(c, l, best, policy);
    } else {
      bool large = l->young_bytes >= policy->young_bytes;
      NC_TRY(pick_young(c, l, policy, large ? UINT64_MAX : policy->ratio, TIER_DUE, err));
    }
  }
  return NACRE_OK;
}

/* Of the lowest run, which has nothing below it: a segment by itself, in its place. */
static void take_expired(nc_compaction *c, const nc_run *run, uint64_t moment_ms) {
  for (size_t i = 0; i < run->count; i++) {
    const nc_segment_record *record = nc_segment_describe(run->segments[i]);
    if (taken(run->segments[i]) || record->half_expired_ms == 0 || record->half_expired_ms > moment_ms) continue;
    c->place = (nc_place){run->id, run->level};
    nc_compaction_take(c, run, run->segments[i]);
    return;
  }
}

static void pick_waste(nc_compaction *c, const nc_levels *l, uint64_t moment_ms, const nc_policy *policy) {
  for (uint32_t i = 1; i < NC_LEVEL_BOTTOM && c->segment_count == 0; i++) {
    if (l->runs[i] != NULL && find_place(l, i, &c->place)) take_cheapest(c, l, i, &moment_ms, policy);
  }
  if (c->segment_count == 0 && l->runs[NC_LEVEL_BOTTOM] != NULL)
    take_expired(c, l->runs[NC_LEVEL_BOTTOM], moment_ms);
}

/* Few runs make reads fast. */
static nacre_status pick_idle(nc_compaction *c, const nc_levels *l, const nc_policy *policy,
                              nacre_error *err) {
  return l->young_count == 0 ? NACRE_OK : pick_young(c, l, policy, IDLE_COST_MAX, TIER_IDLE, err);
}

nacre_status nc_compaction_pick(nc_version *v, const nc_policy *policy, nc_urgency urgency, uint64_t moment_ms,
                                nc_compaction *ret_compaction, nacre_error *err) {
  nc_levels levels;
  nc_levels_of(v, policy, &levels);
  NC_TRY(nc_compaction_begin(ret_compaction, v, err));
  nacre_status status = pick_due(ret_compaction, &levels, policy, err);
  if (status == NACRE_OK && ret_compaction->segment_count == 0)
    pick_waste(ret_compaction, &levels, moment_ms, policy);
  if (status == NACRE_OK && ret_compaction->segment_count == 0 && urgency == NC_URGENCY_IDLE)
    status = pick_idle(ret_compaction, &levels, policy, err);
  if (status == NACRE_OK) {
    nc_compaction_mark(ret_compaction);
  } else {
    nc_compaction_end(ret_compaction);
  }
  return status;
}

nacre_status nc_compaction_pick_small(nc_version *v, const nc_policy *policy, uint64_t bytes_max,
                                      nc_compaction *ret_compaction, nacre_error *err) {
  nc_levels levels;
  nc_levels_of(v, policy, &levels);
  NC_TRY(nc_compaction_begin(ret_compaction, v, err));
  take_tier(ret_compaction, &levels, TIER_DUE, policy->young_runs, bytes_max);
  nc_compaction_mark(ret_compaction);
  return NACRE_OK;
}

/* ---- asked for ----------------------------------------------------------------------------------------- */

/* Grows [*from, *to], both included as far as segments go, to what overlaps it. */
static bool widen(const nc_version *v, const nc_segment **lowest, const nc_segment **highest) {
  bool wider = false;
  for (size_t i = 0; i < v->segment_count; i++) {
    const nc_segment_record *s = nc_segment_describe(v->segments[i]);
    const nc_segment_record *low = nc_segment_describe(*lowest), *high = nc_segment_describe(*highest);
    if (nc_segment_ends_before(s, low->smallest) || nc_segment_ends_before(high, s->smallest)) continue;
    if (nc_slice_compare(s->smallest, low->smallest) < 0) {
      *lowest = v->segments[i];
      wider = true;
    }
    if (reaches_further(v->segments[i], *highest)) {
      *highest = v->segments[i];
      wider = true;
    }
  }
  return wider;
}

static bool touches(const nc_segment *s, nacre_slice from, nacre_slice to) {
  const nc_segment_record *record = nc_segment_describe(s);
  if (from.data != NULL && nc_segment_ends_before(record, from)) return false;
  return to.data == NULL || nc_slice_compare(record->smallest, to) < 0;
}

static void take_between(nc_compaction *c, const nc_segment *lowest, const nc_segment *highest) {
  const nc_segment_record *low = nc_segment_describe(lowest), *high = nc_segment_describe(highest);
  for (size_t r = 0; r < c->version->run_count; r++) {
    const nc_run *run = &c->version->runs[r];
    for (size_t i = 0; i < run->count; i++) {
      const nc_segment_record *s = nc_segment_describe(run->segments[i]);
      if (!nc_segment_ends_before(s, low->smallest) && !nc_segment_ends_before(high, s->smallest))
        nc_compaction_take(c, run, run->segments[i]);
    }
  }
}

nacre_status nc_compaction_pick_range(nc_version *v, nacre_slice from, nacre_slice to,
                                      nc_compaction *ret_compaction, nacre_error *err) {
  NC_TRY(nc_compaction_begin(ret_compaction, v, err));
  const nc_segment *lowest = NULL, *highest = NULL;
  for (size_t i = 0; i < v->segment_count; i++) {
    const nc_segment *s = v->segments[i];
    if (!touches(s, from, to)) continue;
    bool lower = lowest == NULL || nc_slice_compare(nc_segment_describe(s)->smallest,
                                                    nc_segment_describe(lowest)->smallest) < 0;
    if (lower) lowest = s;
    if (highest == NULL || reaches_further(s, highest)) highest = s;
  }
  if (lowest == NULL) return NACRE_OK;
  while (widen(v, &lowest, &highest)) {
  }
  take_between(ret_compaction, lowest, highest);
  nc_compaction_mark(ret_compaction);
  /* The oldest run is the bottom, whatever it was: nothing lies beneath it. */
  ret_compaction->place = (nc_place){v->runs[v->run_count - 1].id, NC_LEVEL_BOTTOM};
  return NACRE_OK;
}
