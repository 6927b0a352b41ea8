/* SPDX-License-Identifier: Apache-2.0
 *
 * Failing operations and a full disk. The same short workload runs many times on a fresh simulated disk; each
 * time another operation fails, once or for good, or the disk is full at another size. After every failure
 * the answers must be right, what is acknowledged afterwards must be true (images of a power cut are held
 * against it), and once the cause is gone the workload goes on, in place where the contract says so
 * (NACRE_NO_SPACE), else after a reopen.
 *
 * Environment: NACRE_TEST_SEED; NACRE_FAULT_RUNS, about how many faults to try; NACRE_FAULT_RUN, to run only
 * this one.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "nonce_registry.h"

enum {
  TRIES = 6,
  STEPS_AFTER_GIVING_UP = 4,
  EXTRAS = 2,
  STEPS_DOUBTED = 5,
  IMAGES_MAX = 16,
  ROOM_BYTES_MAX = 8 * 1024,
  FULL_DISK_TRIES = 400
};

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
    {"map", {.operations = SIM_MAP, .error = ENOMEM}},
    {"truncate", {.operations = SIM_TRUNCATE, .error = EIO}},
};
enum { KIND_COUNT = sizeof kinds / sizeof kinds[0] };

typedef struct trial {
  const history *history;
  const char *key_uri;
  sim_disk *disk;
  runner runner;
  test_random random;
  const fault_kind *kind; /* NULL: a full disk */
  bool for_good;
  uint64_t capacity; /* of a disk that was full */
  uint64_t hits;     /* faults that struck, as far as has been noticed */
  unsigned doubts;   /* how many of the next steps are followed by images */
  unsigned budget;   /* how many images this trial may still take on the way */
  char label[160];
} trial;

static uint64_t in_place, gave_up, images, flushed_at_close, unflushed_at_close;

/* ---- what must hold after a failure -------------------------------------------------------------------- */

static bool is_lack_of_room(const trial *t) {
  return t->kind == NULL || t->kind->fault.error == ENOSPC || t->kind->fault.error == EDQUOT;
}

/* The status names the cause; a fault is never called damage. */
static void check_failure(trial *t, nacre_status status, const char *what) {
  nacre_error error = {0};
  nacre_last_error(&error);
  t->doubts = STEPS_DOUBTED;
  bool named =
      is_lack_of_room(t) ? status == NACRE_NO_SPACE : status == NACRE_IO || status == NACRE_READ_ONLY;
  CHECK(named, "%s: %s answers %s: %s", t->label, what, nacre_status_name(status), error.text);
}

static bool reads_fail(const trial *t) {
  return t->kind != NULL && (t->kind->fault.operations & SIM_READ) != 0;
}

/* Reads go on, and see every acknowledged write. */
static void check_reads(trial *t) {
  store_bounds bounds;
  if (t->runner.store == NULL || reads_fail(t)) return;
  runner_bounds(&t->runner, false, &bounds);
  check_open_tables(&t->runner, &bounds, t->label);
}

/* Nothing that was acknowledged as synced rests on a sync that failed. */
static void check_image(trial *t, sim_policy policy) {
  store_bounds bounds;
  char label[200];
  runner_bounds(&t->runner, true, &bounds);
  snprintf(label, sizeof label, "%s; power cut, %s", t->label, sim_policy_name(policy));
  sim_disk *image = sim_disk_image(t->disk, policy, test_random_next(&t->random));
  check_store(image, t->key_uri, t->history, &bounds, EXTRAS, label);
  images++;
  if (sim_disk_handles(image) == 0) sim_disk_destroy(image);
}

/* ---- running ------------------------------------------------------------------------------------------- */

/* More room, a little at a time, so that one run meets many full disks. */
static void give_room(trial *t) {
  if (t->kind != NULL) return;
  uint64_t used = sim_disk_used(t->disk);
  t->capacity = (used > t->capacity ? used : t->capacity) + 1 + test_random_below(&t->random, ROOM_BYTES_MAX);
  sim_disk_capacity(t->disk, t->capacity);
}

/* A step, or with NULL the opening alone. */
static nacre_status attempt(trial *t, const step *s) {
  if (t->runner.store == NULL) {
    nacre_status status = runner_open(&t->runner);
    if (status != NACRE_OK) (void)runner_close(&t->runner);
    if (status != NACRE_OK) return status;
  }
  return s != NULL ? runner_step(&t->runner, s) : NACRE_OK;
}

/* A sync that failed may have cost what was only cached: what is closed then comes back older, and the
 * history cannot go on from there. */
static bool loses_cache(const trial *t, const step *s) {
  bool closes = s != NULL && (s->kind == STEP_REOPEN_TABLE || s->kind == STEP_REOPEN_STORE);
  return closes && t->kind != NULL && (t->kind->fault.operations & SIM_SYNC) != 0;
}

/* Care that fails may be left at that: the history goes on without it, over what it has left behind. */
static bool may_skip(trial *t, const step *s) {
  bool care = s != NULL && (s->kind == STEP_SYNC || s->kind == STEP_FLUSH || s->kind == STEP_COMPACT);
  return care && t->kind != NULL && test_random_chance(&t->random, 2);
}

/* Again and again until it succeeds; false when it does not. */
static bool insist(trial *t, const step *s) {
  unsigned tries = t->kind == NULL ? FULL_DISK_TRIES : TRIES;
  for (unsigned i = 0; i < tries; i++) {
    nacre_status status = attempt(t, s);
    if (status == NACRE_OK) {
      in_place += i > 0;
      return true;
    }
    check_failure(t, status, s != NULL ? "a step" : "opening");
    if (loses_cache(t, s)) return false;
    if (i % 16 == 0) check_reads(t);
    if (may_skip(t, s)) return true;
    give_room(t);
  }
  return false;
}

/* With the fault still there: further steps may fail, but may not lie. */
static void go_on_regardless(trial *t, size_t from) {
  for (size_t i = from; i < t->history->step_count && i < from + STEPS_AFTER_GIVING_UP; i++) {
    const step *s = &t->history->steps[i];
    if (s->kind != STEP_SYNC && s->kind != STEP_FLUSH) break;
    if (t->runner.store != NULL && t->runner.tables[s->table] != NULL) (void)runner_step(&t->runner, s);
  }
}

/* After a failure, be it one that a step told or one that work in the background met, the next steps are
 * doubted: what they claim must hold in images of a power cut. */
static void doubt(trial *t) {
  uint64_t hits = sim_disk_faults_hit(t->disk);
  if (hits > t->hits) t->doubts = STEPS_DOUBTED;
  t->hits = hits;
  if (t->doubts == 0 || t->budget < 2 || (t->kind == NULL && !test_random_chance(&t->random, 8))) return;
  t->doubts--;
  t->budget -= 2;
  check_image(t, SIM_KEEP_NONE);
  check_image(t, (sim_policy)(1 + test_random_below(&t->random, SIM_POLICY_COUNT - 1)));
}

/* Runs the workload as far as it goes, and closes. */
static void run_trial(trial *t) {
  size_t i = 0;
  bool going = insist(t, NULL);
  for (; i < t->history->step_count && going; i++) {
    going = insist(t, &t->history->steps[i]);
    if (going) doubt(t);
  }
  CHECK(going || t->for_good || !is_lack_of_room(t),
        "%s: step %zu never succeeds, though there is room again", t->label, i);
  if (!going && t->runner.store != NULL) go_on_regardless(t, i);
  gave_up += !going;
  check_image(t, SIM_KEEP_NONE);
  check_image(t, SIM_KEEP_ALL);
  nacre_status status = runner_close(&t->runner);
  if (status != NACRE_OK) check_failure(t, status, "closing");
  if (status == NACRE_OK && (t->kind == NULL || t->hits < sim_disk_faults_hit(t->disk))) check_image(t, SIM_KEEP_NONE);
  flushed_at_close += t->runner.flushed_at_close;
  unflushed_at_close += t->runner.unflushed_at_close;
  CHECK(sim_disk_handles(t->disk) == 0, "%s: handles are still open", t->label);
}

static void check_afterwards(trial *t) {
  store_bounds bounds;
  sim_disk_fault(t->disk, NULL);
  sim_disk_capacity(t->disk, NACRE_NONE);
  bool cache_lost = t->kind != NULL && (t->kind->fault.operations & SIM_SYNC) != 0;
  runner_bounds(&t->runner, cache_lost, &bounds);
  check_store(t->disk, t->key_uri, t->history, &bounds, EXTRAS, t->label);
  check_store_unwritten(t->disk, t->key_uri, t->history, &bounds, false, t->label);
  if (sim_disk_handles(t->disk) == 0) sim_disk_destroy(t->disk);
}

static void begin_trial(trial *t, const history *h, const char *key_uri, uint64_t seed) {
  t->history = h;
  t->key_uri = key_uri;
  t->random.state = seed;
  t->budget = IMAGES_MAX;
  t->disk = sim_disk_create();
  nacre_store_options options = store_options(t->disk, key_uri);
  runner_init(&t->runner, h, &options);
}

/* How many operations of a kind the workload makes when nothing fails. */
static uint64_t count_sites(const history *h, const char *key_uri, const fault_kind *kind) {
  trial t = {0};
  sim_fault fault = kind->fault;
  fault.after = NACRE_NONE - 1;
  fault.count = 0;
  begin_trial(&t, h, key_uri, 1);
  sim_disk_fault(t.disk, &fault);
  nacre_status status = runner_open(&t.runner);
  for (size_t i = 0; i < h->step_count && status == NACRE_OK; i++)
    status = runner_step(&t.runner, &h->steps[i]);
  CHECK(status == NACRE_OK && runner_close(&t.runner) == NACRE_OK, "the workload itself fails");
  uint64_t sites = sim_disk_faults_seen(t.disk);
  if (sim_disk_handles(t.disk) == 0) sim_disk_destroy(t.disk);
  return sites;
}

static void try_fault(const history *h, const char *key_uri, const fault_kind *kind, uint64_t site,
                      bool for_good) {
  trial t = {.kind = kind, .for_good = for_good};
  begin_trial(&t, h, key_uri, test_mix(site, (uint64_t)(kind - kinds)));
  snprintf(t.label, sizeof t.label, "%s %llu fails %s", kind->name, (unsigned long long)site,
           for_good ? "for good" : "once");
  sim_fault fault = kind->fault;
  fault.after = site;
  fault.count = for_good ? NACRE_NONE : 1;
  sim_disk_fault(t.disk, &fault);
  run_trial(&t);
  check_afterwards(&t);
}

static void try_full_disk(const history *h, const char *key_uri, uint64_t bytes) {
  trial t = {.capacity = bytes};
  begin_trial(&t, h, key_uri, bytes);
  snprintf(t.label, sizeof t.label, "disk full at %llu bytes", (unsigned long long)bytes);
  sim_disk_capacity(t.disk, bytes);
  run_trial(&t);
  check_afterwards(&t);
}

int main(void) {
  static history h;
  char scratch[200], key_uri[256];
  double started = test_seconds();
  uint64_t seed = test_seed("faults", 20260102);
  uint64_t goal = test_env_number("NACRE_FAULT_RUNS", 1000);
  uint64_t only = test_env_number("NACRE_FAULT_RUN", NACRE_NONE);
  test_scratch_make(scratch, sizeof scratch, "faults");
  test_key_uri(key_uri, sizeof key_uri, scratch);
  history_init(&h, seed, (size_t)test_env_number("NACRE_SIM_STEPS", 350));
  uint64_t run = 0, sites_all = 0, share = goal / (2 * (uint64_t)KIND_COUNT) + 1;
  for (unsigned k = 0; k < KIND_COUNT; k++) {
    uint64_t sites = count_sites(&h, key_uri, &kinds[k]), stride = (sites + share - 1) / share;
    sites_all += sites;
    for (uint64_t site = stride > 1 ? k % stride : 0; site < sites; site += stride)
      for (int for_good = 0; for_good < 2; for_good++, run++)
        if (only == NACRE_NONE || only == run) try_fault(&h, key_uri, &kinds[k], site, for_good != 0);
  }
  uint64_t full_disks = goal / 10;
  for (uint64_t i = 0; i < full_disks; i++, run++)
    if (only == NACRE_NONE || only == run) try_full_disk(&h, key_uri, i * i * 97);
  CHECK(nonce_registry_seen() > 0, "the nonce registry saw nothing: is the wrapping linked in?");
  CHECK(nonce_registry_reused() == 0, "%llu nonces were used twice",
        (unsigned long long)nonce_registry_reused());
  CHECK(flushed_at_close > 0 && unflushed_at_close > 0, "no close has flushed, or none has failed to");
  printf(
      "faults: %llu faults, at %llu sites, once and for good, and full disks; %llu steps succeeded when "
      "tried again, %llu runs went on only after a reopen; %llu power cuts after faults; %llu closes flushed, %llu "
      "failed to; %.1f s, seed %llu\n",
      (unsigned long long)run, (unsigned long long)sites_all, (unsigned long long)in_place,
      (unsigned long long)gave_up, (unsigned long long)images, (unsigned long long)flushed_at_close,
      (unsigned long long)unflushed_at_close, test_seconds() - started, (unsigned long long)seed);
  history_deinit(&h);
  nonce_registry_free();
  test_scratch_remove(scratch);
  return test_finish();
}
