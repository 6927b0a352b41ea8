/* SPDX-License-Identifier: Apache-2.0
 *
 * Changes of keys while operations on the disk fail. The same short workload of writes and key changes runs many
 * times on a fresh simulated disk; each time another write, sync, create, open, read, rename, removal or directory
 * sync fails, once or for good, or the disk is full at another size. The rewrap must finish once the cause is gone,
 * in the same process where that goes on; the keys that are not listed then are destroyed, the power is cut, and
 * all must be there.
 *
 * Environment: NACRE_TEST_SEED; NACRE_KEY_FAULT_RUNS, about how many faults to try; NACRE_FAULT_RUN, to run only
 * this one.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "key_check.h"
#include "nonce_registry.h"

enum { TRIES = 4 };

typedef struct fault_kind {
  const char *name;
  sim_fault fault; /* without `after` and `count` */
} fault_kind;

static const fault_kind kinds[] = {
    {"write", {.operations = SIM_WRITE, .error = EIO}},
    {"write in part", {.operations = SIM_WRITE, .error = EIO, .partial = true}},
    {"write without room", {.operations = SIM_WRITE, .error = ENOSPC, .partial = true}},
    {"sync that forgets", {.operations = SIM_SYNC, .error = EIO, .sync_failure = SIM_SYNC_FORGETS}},
    {"sync that pretends", {.operations = SIM_SYNC, .error = EIO, .sync_failure = SIM_SYNC_PRETENDS}},
    {"create", {.operations = SIM_CREATE | SIM_MKDIR, .error = EIO}},
    {"create without room", {.operations = SIM_CREATE | SIM_MKDIR, .error = EDQUOT}},
    {"rename", {.operations = SIM_RENAME, .error = EIO}},
    {"remove", {.operations = SIM_REMOVE | SIM_RMDIR, .error = EIO}},
    {"directory sync", {.operations = SIM_DIR_SYNC, .error = EIO}},
    {"read", {.operations = SIM_READ, .error = EIO}},
    {"open", {.operations = SIM_OPEN, .error = EMFILE}},
    {"open for writing", {.operations = SIM_OPEN_WRITABLE, .error = EIO}},
    {"write, rename and sync",
     {.operations = SIM_WRITE | SIM_RENAME | SIM_SYNC, .error = EIO, .sync_failure = SIM_SYNC_FORGETS}},
};
enum { KIND_COUNT = sizeof kinds / sizeof kinds[0], FULL_DISKS_SHARE = 10 };

typedef struct trial {
  const campaign *campaign; /* the history alone */
  sim_disk *disk;
  fake_kms kms;
  runner runner;
  const fault_kind *kind; /* NULL: a full disk */
  bool for_good;
  char label[160];
} trial;

static uint64_t in_place, gave_up, finished_in_place;

/* ---- one run ------------------------------------------------------------------------------------------- */

static bool cache_may_be_lost(const trial *t) {
  return t->kind != NULL && (t->kind->fault.operations & SIM_SYNC) != 0;
}

/* A fault of the disk is one of the disk: never of a key, never damage. */
static void check_failure(const trial *t, nacre_status status, const step *s) {
  nacre_error error = {0};
  nacre_last_error(&error);
  CHECK(status == NACRE_IO || status == NACRE_NO_SPACE || status == NACRE_READ_ONLY,
        "%s: step of kind %d answers %s: %s (\"%s\")", t->label, s == NULL ? -1 : (int)s->kind,
        nacre_status_name(status), error.text, error.file);
}

static void check_reads(const trial *t) {
  store_bounds bounds;
  bool fails = t->kind != NULL && (t->kind->fault.operations & (SIM_READ | SIM_OPEN)) != 0;
  if (t->runner.store == NULL || fails) return;
  runner_bounds(&t->runner, false, &bounds);
  check_open_tables(&t->runner, &bounds, t->label);
}

static nacre_status attempt(trial *t, const step *s) {
  if (t->runner.store == NULL) {
    nacre_status status = runner_open(&t->runner);
    if (status != NACRE_OK) (void)runner_close(&t->runner);
    if (status != NACRE_OK) return status;
  }
  return s != NULL ? runner_step(&t->runner, s) : NACRE_OK;
}

static bool loses_cache(const trial *t, const step *s) {
  return cache_may_be_lost(t) && s != NULL &&
         (s->kind == STEP_REOPEN_TABLE || s->kind == STEP_REOPEN_STORE || s->kind == STEP_DROP);
}

static bool insist(trial *t, const step *s) {
  for (unsigned i = 0; i < TRIES; i++) {
    nacre_status status = attempt(t, s);
    in_place += status == NACRE_OK && i > 0;
    if (status == NACRE_OK) return true;
    check_failure(t, status, s);
    check_reads(t);
    if (loses_cache(t, s)) return false;
  }
  return false;
}

static bool is_fault_of_the_run(const step *s) {
  return s->kind == STEP_HOLD || s->kind == STEP_RELEASE; /* they would replace the fault that is tried */
}

/* What was begun in this process ends in it, once the disk is well again. */
static void finish_in_place(trial *t) {
  for (uint32_t i = 0; i < t->campaign->history.table_count; i++) {
    nacre_table *table = t->runner.tables[i];
    if (table == NULL) continue;
    nacre_error error = {0};
    nacre_status status = nacre_table_rewrap_wait(table, NULL);
    if (status != NACRE_OK) nacre_last_error(&error);
    if (!CHECK(status == NACRE_OK, "%s: the rewrap is stalled: %s: %s (\"%s\")", t->label,
               nacre_status_name(status), error.text, error.file))
      continue;
    const key_bounds *keys = &t->runner.keys[i];
    key_check_settled(table, NULL, keys->sure | keys->maybe, t->label);
    finished_in_place++;
  }
}

static void check_image(trial *t, sim_policy policy) {
  campaign_job job = {.seed = (uint64_t)policy + t->runner.catalogue_keys.sure};
  runner_bounds(&t->runner, true, &job.bounds);
  job.keys = job.bounds.catalogue_keys.sure | job.bounds.catalogue_keys.maybe;
  for (uint32_t i = 0; i < t->campaign->history.table_count; i++)
    job.keys |= job.bounds.keys[i].sure | job.bounds.keys[i].maybe;
  snprintf(job.label, sizeof job.label, "%s; power cut, %s", t->label, sim_policy_name(policy));
  job.image = sim_disk_image(t->disk, policy, 1);
  key_check(t->campaign, &job);
  if (sim_disk_handles(job.image) == 0) sim_disk_destroy(job.image);
}

static void check_afterwards(trial *t) {
  campaign_job job = {.image = t->disk, .seed = 1};
  runner_bounds(&t->runner, cache_may_be_lost(t), &job.bounds);
  job.keys = FAKE_KMS_ALL;
  snprintf(job.label, sizeof job.label, "%s; reopened", t->label);
  key_check(t->campaign, &job);
  if (sim_disk_handles(t->disk) == 0) sim_disk_destroy(t->disk);
}

static void run_trial(trial *t) {
  const history *h = &t->campaign->history;
  bool going = insist(t, NULL);
  for (size_t i = 0; i < h->step_count && going; i++)
    if (!is_fault_of_the_run(&h->steps[i])) going = insist(t, &h->steps[i]);
  gave_up += !going;
  check_image(t, SIM_KEEP_NONE);
  sim_disk_fault(t->disk, NULL);
  sim_disk_capacity(t->disk, NACRE_NONE);
  if (t->runner.store != NULL) {
    finish_in_place(t);
    check_image(t, SIM_KEEP_NONE);
  }
  nacre_status status = runner_close(&t->runner);
  if (status != NACRE_OK) check_failure(t, status, NULL);
  check_afterwards(t);
}

static void begin_trial(trial *t, const campaign *c) {
  t->campaign = c;
  t->disk = sim_disk_create();
  fake_kms_init(&t->kms, FAKE_KMS_ALL);
  runner_init_keys(&t->runner, &c->history, t->disk, &t->kms);
}

/* How many operations of a kind the workload makes when nothing fails. */
static uint64_t count_sites(const campaign *c, const fault_kind *kind) {
  trial t = {.kind = kind};
  sim_fault fault = kind->fault;
  fault.after = NACRE_NONE - 1;
  begin_trial(&t, c);
  snprintf(t.label, sizeof t.label, "without a fault");
  sim_disk_fault(t.disk, &fault);
  nacre_status status = runner_open(&t.runner);
  for (size_t i = 0; i < c->history.step_count && status == NACRE_OK; i++)
    if (!is_fault_of_the_run(&c->history.steps[i])) status = runner_step(&t.runner, &c->history.steps[i]);
  CHECK(status == NACRE_OK && runner_close(&t.runner) == NACRE_OK, "the workload itself fails");
  uint64_t sites = sim_disk_faults_seen(t.disk);
  if (sim_disk_handles(t.disk) == 0) sim_disk_destroy(t.disk);
  return sites;
}

static void try_fault(const campaign *c, const fault_kind *kind, uint64_t site, bool for_good) {
  trial t = {.kind = kind, .for_good = for_good};
  begin_trial(&t, c);
  snprintf(t.label, sizeof t.label, "%s %llu fails %s", kind->name, (unsigned long long)site,
           for_good ? "for good" : "once");
  sim_fault fault = kind->fault;
  fault.after = site;
  fault.count = for_good ? NACRE_NONE : 1;
  sim_disk_fault(t.disk, &fault);
  run_trial(&t);
}

static void try_full_disk(const campaign *c, uint64_t bytes) {
  trial t = {0};
  begin_trial(&t, c);
  snprintf(t.label, sizeof t.label, "disk full at %llu bytes", (unsigned long long)bytes);
  sim_disk_capacity(t.disk, bytes);
  run_trial(&t);
}

int main(void) {
  static campaign c;
  double started = test_seconds();
  uint64_t seed = test_seed("key_faults", 20260405);
  uint64_t goal = test_env_number("NACRE_KEY_FAULT_RUNS", 1000);
  uint64_t only = test_env_number("NACRE_FAULT_RUN", NACRE_NONE);
  history_init_keys(&c.history, seed, (size_t)test_env_number("NACRE_SIM_STEPS", 70), FAKE_KMS_KEYS);
  uint64_t run = 0, sites_all = 0, share = goal / (2 * (uint64_t)KIND_COUNT) + 1;
  for (unsigned k = 0; k < KIND_COUNT; k++) {
    uint64_t sites = count_sites(&c, &kinds[k]), stride = (sites + share - 1) / share;
    sites_all += sites;
    for (uint64_t site = stride > 1 ? k % stride : 0; site < sites; site += stride)
      for (int for_good = 0; for_good < 2; for_good++, run++)
        if (only == NACRE_NONE || only == run) try_fault(&c, &kinds[k], site, for_good != 0);
  }
  for (uint64_t i = 0; i < goal / FULL_DISKS_SHARE; i++, run++)
    if (only == NACRE_NONE || only == run) try_full_disk(&c, 40000 + i * 7919);
  key_figures f = key_check_figures();
  CHECK(nonce_registry_seen() > 0, "the nonce registry saw nothing: is the wrapping linked in?");
  CHECK(nonce_registry_reused() == 0, "%llu nonces were used twice",
        (unsigned long long)nonce_registry_reused());
  printf(
      "key_faults: %llu faults, at %llu sites, once and for good, and full disks; %llu steps succeeded when "
      "tried "
      "again, %llu runs went on only after a reopen; %llu rewraps finished in place; %llu stores opened "
      "after all "
      "other keys were destroyed; %llu nonces (%llu reused); %.1f s, seed %llu\n",
      (unsigned long long)run, (unsigned long long)sites_all, (unsigned long long)in_place,
      (unsigned long long)gave_up, (unsigned long long)finished_in_place, (unsigned long long)f.destroyed,
      (unsigned long long)nonce_registry_seen(), (unsigned long long)nonce_registry_reused(),
      test_seconds() - started, (unsigned long long)seed);
  history_deinit(&c.history);
  nonce_registry_free();
  return test_finish();
}
