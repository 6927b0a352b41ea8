/* SPDX-License-Identifier: Apache-2.0
 *
 * Changes of keys under power cuts and kills: a campaign (campaign.h) over a workload in which table keys and the
 * catalogue's are rotated and set, one change upon another, beside writes, flushes, merges, reopenings and drops.
 * Each image is held against the oracle with the keys alone that it may need, its rewrap finishes, every KMS key
 * that is not listed then is destroyed, and the rest must do (key_check.h).
 *
 * Environment: NACRE_TEST_SEED; NACRE_REWRAP_IMAGES, how many distinct images to aim for; NACRE_REWRAP_KILLED, at one
 * of how many operations the process is killed, too; NACRE_SIM_STEPS, NACRE_SIM_OP and NACRE_SIM_THREADS as for
 * power_cut.
 */
#include <stdio.h>

#include "campaign.h"
#include "frame_digests.h"
#include "key_check.h"
#include "nonce_registry.h"

enum { KEYS = FAKE_KMS_KEYS, KILLED_OPERATIONS = 12000 };

static uint64_t compared;

/* A change of keys leaves the bytes of every frame as they are. */
static void watch_frames(const runner *r, const step *s, bool before) {
  static frame_digests digests;
  bool change = s->kind == STEP_ROTATE || s->kind == STEP_SET_KEY || s->kind == STEP_STORE_ROTATE ||
                s->kind == STEP_STORE_SET_KEY || s->kind == STEP_RELEASE;
  if (!change) return;
  if (before)
    frame_digests_take(&digests, r->disk);
  else
    compared += frame_digests_compare(&digests, r->disk);
}

int main(void) {
  static campaign c = {.check = key_check, .around_step = watch_frames};
  static fake_kms kms;
  double started = test_seconds();
  c.seed = test_seed("rewrap", 20260404);
  c.goal = test_env_number("NACRE_REWRAP_IMAGES", 2500);
  c.kms = &kms;
  fake_kms_init(&kms, FAKE_KMS_ALL);
  history_init_keys(&c.history, c.seed, (size_t)test_env_number("NACRE_SIM_STEPS", 400), KEYS);
  c.killed_one_in = test_env_number("NACRE_REWRAP_KILLED", KILLED_OPERATIONS / (c.goal + 1) + 1);
  campaign_run(&c);
  key_figures f = key_check_figures();
  CHECK(compared > 0, "no file was there before and after a change of keys");
  CHECK(nonce_registry_seen() > 0, "the nonce registry saw nothing: is the wrapping linked in?");
  CHECK(nonce_registry_reused() == 0, "%llu nonces were used twice",
        (unsigned long long)nonce_registry_reused());
  printf(
      "rewrap: %llu operations, %zu distinct images, %llu kills, %zu distinct nested images; %llu opened "
      "with the "
      "old key alone, %llu with the new one, %llu refused; %llu after all other keys were destroyed; %llu "
      "changes "
      "abandoned; %llu KMS calls; %llu files compared; %llu nonces (%llu reused); %.1f s, seed %llu\n",
      (unsigned long long)c.operations, c.images.count, (unsigned long long)c.killed, c.nested.count,
      (unsigned long long)f.with_old_alone, (unsigned long long)f.with_new_alone,
      (unsigned long long)f.refused, (unsigned long long)f.destroyed, (unsigned long long)f.abandoned,
      (unsigned long long)f.calls, (unsigned long long)compared, (unsigned long long)nonce_registry_seen(),
      (unsigned long long)nonce_registry_reused(), test_seconds() - started, (unsigned long long)c.seed);
  campaign_deinit(&c);
  nonce_registry_free();
  return test_finish();
}
