/* SPDX-License-Identifier: Apache-2.0
 *
 * throttle: see throttle.h.
 *
 * Implementation notes. Writers share one account: the moment by which what they have written is paid for. Each
 * moves it on by what it writes and sleeps until then. Sleeps of less than a millisecond are left for the next
 * writer to make up for, since the system's own precision is no better; long ones are cut, so that a writer comes
 * to see that merges have caught up, or the table is to be closed.
 */
#include "throttle.h"

#include "table.h"

#define RATE_MAX ((uint64_t)256 << 20)
#define RATE_MIN ((uint64_t)1 << 20)
#define SECOND_NS ((uint64_t)1000000000)
#define SLEEP_NS_MIN ((uint64_t)1000000)
#define SLEEP_NS_MAX ((uint64_t)20000000)

enum { RUNS_SOFT = 2, RUNS_HARD = 6, DEBT_SOFT = 64, DEBT_HARD = 256, PARTS = 1024 };

/* How far `value` has come from `soft` to `hard`, in 1024ths. */
static uint64_t part(uint64_t value, uint64_t soft, uint64_t hard) {
  if (value <= soft) return 0;
  return value >= hard ? PARTS : (value - soft) * PARTS / (hard - soft);
}

uint64_t nc_throttle_rate(const nc_version *v, const nc_policy *policy) {
  nc_levels levels;
  nc_levels_of(v, policy, &levels);
  uint64_t runs = part(levels.young_count, RUNS_SOFT * policy->young_runs, RUNS_HARD * policy->young_runs);
  uint64_t debt = part(nc_levels_debt(&levels, policy) / DEBT_SOFT, policy->young_bytes,
                       DEBT_HARD / DEBT_SOFT * policy->young_bytes);
  uint64_t behind = runs > debt ? runs : debt, left = PARTS - behind;
  if (behind == 0) return 0;
  uint64_t rate = RATE_MAX / PARTS * left / PARTS * left;
  return rate < RATE_MIN ? RATE_MIN : rate;
}

/* Moves the account on; returns the moment until which the caller owes. Nobody is let off for having been idle. */
static uint64_t charge(nc_throttle *throttle, uint64_t now, uint64_t cost) {
  uint64_t before = atomic_load_explicit(&throttle->paid_until_ns, memory_order_relaxed), until;
  do {
    until = (before > now ? before : now) + cost;
    if (until > now + SECOND_NS) until = now + SECOND_NS; /* one large batch does not stop all that follow */
  } while (!atomic_compare_exchange_weak_explicit(&throttle->paid_until_ns, &before, until,
                                                  memory_order_relaxed, memory_order_relaxed));
  return until;
}

/* Merges that cannot go on are not waited for: the next write is told why, or they are none of its concern. */
static bool helps(nacre_table *t) {
  pthread_mutex_lock(&t->state_lock);
  bool helps = t->merge_error.status == NACRE_OK && !atomic_load(&t->closing);
  pthread_mutex_unlock(&t->state_lock);
  return helps;
}

void nc_throttle_pay(nacre_table *t, size_t bytes) {
  uint64_t rate = atomic_load_explicit(&t->throttle.bytes_per_s, memory_order_relaxed);
  if (rate == 0 || nc_worker_pool_inline(t->shared->workers)) return;
  const nacre_io *io = t->shared->env->io;
  uint64_t now = io->monotonic_ns(io->context);
  uint64_t until = charge(&t->throttle, now, (uint64_t)bytes * SECOND_NS / rate);
  if (until < now + SLEEP_NS_MIN || !helps(t)) return;
  uint64_t sleep = until - now < SLEEP_NS_MAX ? until - now : SLEEP_NS_MAX, began = nc_meter_begin(t, NC_METER_STALL);
  nc_pause(sleep);
  nc_meter_end(t, NC_METER_STALL, began);
}
