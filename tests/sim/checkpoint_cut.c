/* SPDX-License-Identifier: Apache-2.0
 *
 * Checkpoints under power cuts, failing operations and full disks. A checkpoint is taken of a store in the midst of
 * a workload; at every operation of it the power is cut, and in other runs the operation fails. The store is
 * unharmed, and of the copy there is all or nothing: what no open takes for a store before its last rename, and the
 * state at the call, durable, once the call has returned. Then both are written to, and no nonce is met twice.
 *
 * Environment: NACRE_TEST_SEED; NACRE_CHECKPOINT_RUNS, workloads for either kind of run.
 */
#include <errno.h>
#include <stdio.h>

#include "check.h"
#include "nonce_registry.h"

#define COPY_PATH "copy"

enum { EXTRAS = 2, STEPS_MIN = 40, STEPS_SPAN = 160, FAULTS_A_RUN = 12 };

typedef struct run {
  history history;
  char label[120];
  const char *key_uri;
  sim_disk *disk;
  runner runner;
  test_random random;
  bool acknowledged; /* the checkpoint */
  store_bounds copied;
} run;

static uint64_t images, copies, failures;

/* Exactly what is acknowledged. */
static void note_moment(run *r) {
  runner_bounds(&r->runner, false, &r->copied);
  for (uint32_t i = 0; i < r->history.table_count; i++)
    r->copied.tables[i].most = r->copied.tables[i].least = r->runner.progress[i].acknowledged;
}

/* All or nothing; written to, if it is there. */
static bool check_copy(const run *r, sim_disk *disk, const char *label) {
  nacre_store *store = NULL;
  nacre_store_options options = store_options(disk, r->key_uri);
  nacre_status status = nacre_open(COPY_PATH, &options, &store);
  if (status == NACRE_NOT_FOUND) return CHECK(!r->acknowledged, "%s: the copy is gone", label);
  if (status == NACRE_OK) status = nacre_close(store);
  if (!CHECK(status == NACRE_OK, "%s: the copy answers %s", label, nacre_status_name(status))) return false;
  store_bounds bounds = r->copied;
  check_plan plan = {.options = &options, .path = COPY_PATH, .extras = EXTRAS};
  copies++;
  return check_store_with(disk, &plan, &r->history, &bounds, label);
}

static void check_image(run *r, uint64_t operation, sim_policy policy) {
  char label[200];
  store_bounds bounds;
  snprintf(label, sizeof label, "%s; cut at %llu, %s", r->label, (unsigned long long)operation,
           sim_policy_name(policy));
  sim_disk *image = sim_disk_image(r->disk, policy, test_random_next(&r->random));
  images++;
  check_copy(r, image, label);
  runner_bounds(&r->runner, true, &bounds);
  if (test_random_chance(&r->random, 6)) check_store(image, r->key_uri, &r->history, &bounds, EXTRAS, label);
  if (sim_disk_handles(image) == 0) sim_disk_destroy(image);
}

static void before_operation(void *arg, uint64_t operation) {
  run *r = arg;
  check_image(r, operation, SIM_KEEP_ALL);
  check_image(r, operation, (sim_policy)test_random_below(&r->random, SIM_POLICY_COUNT));
}

/* A store in the midst of its workload. */
static void begin(run *r, uint64_t seed, const char *key_uri) {
  *r = (run){.key_uri = key_uri, .random = {test_mix(seed, 77)}};
  size_t steps = STEPS_MIN + (size_t)test_random_below(&r->random, STEPS_SPAN);
  history_init(&r->history, seed, steps);
  r->disk = sim_disk_create();
  nacre_store_options options = store_options(r->disk, key_uri);
  runner_init(&r->runner, &r->history, &options);
  nacre_status status = runner_open(&r->runner);
  for (size_t i = 0; i < r->history.step_count && status == NACRE_OK; i++)
    status = runner_step(&r->runner, &r->history.steps[i]);
  CHECK(status == NACRE_OK, "the workload itself fails");
  note_moment(r);
}

static void finish(run *r) {
  store_bounds bounds;
  CHECK(runner_close(&r->runner) == NACRE_OK, "%s: closing the store", r->label);
  runner_bounds(&r->runner, false, &bounds);
  check_store(r->disk, r->key_uri, &r->history, &bounds, EXTRAS, r->label);
  check_copy(r, r->disk, r->label);
  CHECK(sim_disk_handles(r->disk) == 0, "%s: handles are still open", r->label);
  if (sim_disk_handles(r->disk) == 0) sim_disk_destroy(r->disk);
  history_deinit(&r->history);
}

static void cut(uint64_t seed, const char *key_uri) {
  static run r;
  begin(&r, seed, key_uri);
  snprintf(r.label, sizeof r.label, "run %llu", (unsigned long long)seed);
  sim_disk_watch(r.disk, before_operation, &r);
  nacre_status status = nacre_checkpoint(r.runner.store, COPY_PATH, NULL, NULL);
  sim_disk_watch(r.disk, NULL, NULL);
  CHECK(status == NACRE_OK, "%s: the checkpoint answers %s", r.label, nacre_status_name(status));
  r.acknowledged = true;
  check_image(&r, sim_disk_operations(r.disk), SIM_KEEP_NONE);
  finish(&r);
}

/* The n-th operation fails, and once that is over the store is as it was; the next place serves. */
static void fail(uint64_t seed, const char *key_uri, uint64_t n) {
  static run r;
  static const sim_fault faults[] = {{.operations = SIM_OPERATIONS_ALL, .error = EIO, .count = NACRE_NONE},
                                     {.operations = SIM_OPERATIONS_ALL, .error = EIO, .count = 1},
                                     {.operations = SIM_WRITE, .error = ENOSPC, .partial = true, .count = 2},
                                     {.operations = SIM_READ, .error = EIO, .count = 1}};
  begin(&r, seed, key_uri);
  sim_fault fault = faults[n % 4];
  fault.after = n;
  snprintf(r.label, sizeof r.label, "run %llu, fault %llu", (unsigned long long)seed, (unsigned long long)n);
  sim_disk_fault(r.disk, &fault);
  nacre_status status = nacre_checkpoint(r.runner.store, COPY_PATH, NULL, NULL);
  uint64_t hits = sim_disk_faults_hit(r.disk);
  sim_disk_fault(r.disk, NULL);
  bool named = status == (fault.error == ENOSPC ? NACRE_NO_SPACE : NACRE_IO);
  CHECK(status == NACRE_OK || (hits > 0 && named), "%s: it answers %s", r.label, nacre_status_name(status));
  r.acknowledged = status == NACRE_OK;
  failures += status != NACRE_OK;
  check_image(&r, 0, SIM_KEEP_ALL);
  if (status != NACRE_OK) {
    nacre_status again = nacre_checkpoint(r.runner.store, "second", NULL, NULL);
    CHECK(again == NACRE_OK, "%s: a second try answers %s", r.label, nacre_status_name(again));
  }
  finish(&r);
}

int main(void) {
  char scratch[200], key_uri[256];
  double started = test_seconds();
  uint64_t seed = test_seed("checkpoint_cut", 20260501);
  uint64_t runs = test_env_number("NACRE_CHECKPOINT_RUNS", 3);
  test_scratch_make(scratch, sizeof scratch, "checkpoint-cut");
  test_key_uri(key_uri, sizeof key_uri, scratch);
  for (uint64_t i = 0; i < runs; i++) cut(seed + i, key_uri);
  for (uint64_t i = 0; i < runs; i++) {
    test_random random = {seed + i};
    for (uint64_t k = 0; k < FAULTS_A_RUN; k++) fail(seed + i, key_uri, test_random_below(&random, 120));
  }
  CHECK(failures > 0 && copies > 0, "no fault struck, or no copy came to be");
  CHECK(nonce_registry_seen() > 0, "the nonce registry saw nothing: is the wrapping linked in?");
  CHECK(nonce_registry_reused() == 0, "%llu nonces were used twice",
        (unsigned long long)nonce_registry_reused());
  printf(
      "checkpoint_cut: %llu images, %llu copies looked at, %llu checkpoints failed; %llu nonces; %.1f s, "
      "seed %llu\n",
      (unsigned long long)images, (unsigned long long)copies, (unsigned long long)failures,
      (unsigned long long)nonce_registry_seen(), test_seconds() - started, (unsigned long long)seed);
  nonce_registry_free();
  test_scratch_remove(scratch);
  return test_finish();
}
