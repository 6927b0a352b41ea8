/* SPDX-License-Identifier: Apache-2.0
 *
 * levels: see levels.h.
 */
#include "levels.h"

/* The oldest runs are levels as long as each is on a lower level than the one above it. */
static void find_levels(nc_levels *l) {
  const nc_version *v = l->version;
  uint32_t next = NC_LEVEL_BOTTOM;
  l->young_count = v->run_count;
  while (l->young_count > 0 && next > 0) {
    const nc_run *run = &v->runs[l->young_count - 1];
    uint32_t level = run->level < next ? run->level : next;
    if (level == 0) break;
    l->runs[level] = run;
    l->young_count--;
    next = level - 1;
  }
  for (size_t i = 0; i < l->young_count; i++) l->young_bytes += v->runs[i].bytes;
}

static void find_targets(nc_levels *l, const nc_policy *policy) {
  uint64_t largest = policy->young_bytes;
  for (uint32_t i = 1; i < NC_LEVEL_COUNT; i++) {
    if (nc_levels_bytes(l, i) > largest) largest = nc_levels_bytes(l, i);
  }
  l->base = NC_LEVEL_BOTTOM;
  l->targets[l->base] = largest;
  while (l->base > 1 && l->targets[l->base] / policy->ratio >= policy->young_bytes / 3) {
    l->base--;
    l->targets[l->base] = l->targets[l->base + 1] / policy->ratio;
  }
}

void nc_levels_of(const nc_version *v, const nc_policy *policy, nc_levels *ret_levels) {
  *ret_levels = (nc_levels){.version = v};
  find_levels(ret_levels);
  find_targets(ret_levels, policy);
}

uint64_t nc_levels_bytes(const nc_levels *l, uint32_t level) {
  if (level == 0) return l->young_bytes;
  return l->runs[level] == NULL ? 0 : l->runs[level]->bytes;
}

/* Never past a level that holds something: it would be older than what lies above it. */
uint32_t nc_levels_below(const nc_levels *l, uint32_t level) {
  uint32_t below = level + 1;
  while (below < l->base && l->runs[below] == NULL) below++;
  return below < NC_LEVEL_BOTTOM ? below : NC_LEVEL_BOTTOM;
}

/* What is over a target is written anew together with as much of the next level as it lies over. */
uint64_t nc_levels_debt(const nc_levels *l, const nc_policy *policy) {
  uint32_t into = nc_levels_below(l, 0);
  bool due = l->young_count >= policy->young_runs || l->young_bytes >= policy->young_bytes;
  uint64_t falling = due ? l->young_bytes : 0, debt = due ? falling + nc_levels_bytes(l, into) : 0;
  for (uint32_t i = into; i < NC_LEVEL_BOTTOM; i++) {
    uint64_t here = nc_levels_bytes(l, i) + falling, below = nc_levels_bytes(l, i + 1);
    falling = here > l->targets[i] ? here - l->targets[i] : 0;
    uint64_t times = here == 0 ? 0 : below / here;
    debt += falling * (1 + (times < policy->ratio ? times : policy->ratio));
  }
  return debt;
}
