/* SPDX-License-Identifier: Apache-2.0
 *
 * The power-cut test: a campaign (campaign.h) over a workload of writes, flushes, merges, reopenings and table
 * drops. Each image is opened, held against the oracle, written to, closed and opened again.
 *
 * Environment: NACRE_TEST_SEED; NACRE_SIM_IMAGES, how many distinct images to aim for; NACRE_SIM_STEPS, the
 * length of the workload; NACRE_SIM_OP, to take images at this operation only; NACRE_SIM_THREADS, how many
 * threads check.
 */
#include <stdio.h>

#include "campaign.h"
#include "check.h"
#include "nonce_registry.h"

enum {
  EXTRAS = 3,
  READ_ONLY_ONE_IN = 6 /* images that are first looked at read-only */
};

static bool check(const campaign *c, campaign_job *j) {
  char label[sizeof j->label + 16];
  test_random random = {test_mix(j->seed, j->depth)};
  bool ok = true;
  if (j->bounds.made && test_random_chance(&random, READ_ONLY_ONE_IN)) {
    snprintf(label, sizeof label, "%s; read-only", j->label);
    ok = check_store_unwritten(j->image, c->key_uri, &c->history, &j->bounds, true, label);
  }
  ok = ok && check_store(j->image, c->key_uri, &c->history, &j->bounds, EXTRAS, j->label);
  sim_disk_watch(j->image, NULL, NULL);
  snprintf(label, sizeof label, "%s; reopened", j->label);
  return ok && check_store_unwritten(j->image, c->key_uri, &c->history, &j->bounds, false, label);
}

int main(void) {
  static campaign c = {.check = check};
  char scratch[200];
  double started = test_seconds();
  c.seed = test_seed("power_cut", 20260101);
  c.goal = test_env_number("NACRE_SIM_IMAGES", 12000);
  test_scratch_make(scratch, sizeof scratch, "power-cut");
  test_key_uri(c.key_uri, sizeof c.key_uri, scratch);
  history_init(&c.history, c.seed, (size_t)test_env_number("NACRE_SIM_STEPS", 1500));
  campaign_run(&c);
  CHECK(nonce_registry_seen() > 0, "the nonce registry saw nothing: is the wrapping linked in?");
  CHECK(nonce_registry_reused() == 0, "%llu nonces were used twice",
        (unsigned long long)nonce_registry_reused());
  CHECK(c.runner.flushed_at_close > 0, "no close has flushed");
  printf(
      "power_cut: %llu operations (closes that flushed: %llu), %zu distinct images, %zu distinct nested images, "
      "%llu nonces (%llu reused), %.1f s, seed %llu\n",
      (unsigned long long)c.operations, (unsigned long long)c.runner.flushed_at_close, c.images.count, c.nested.count,
      (unsigned long long)nonce_registry_seen(), (unsigned long long)nonce_registry_reused(),
      test_seconds() - started, (unsigned long long)c.seed);
  CHECK(c.only_operation != NACRE_NONE || c.images.count >= c.goal * 9 / 10, "only %zu distinct images",
        c.images.count);
  campaign_deinit(&c);
  nonce_registry_free();
  test_scratch_remove(scratch);
  return test_finish();
}
