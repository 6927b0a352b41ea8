/* SPDX-License-Identifier: Apache-2.0
 *
 * The power-cut test. A seeded workload runs on a simulated disk; before every one of its operations, images
 * of the disk are taken as a cut at that moment might leave it. Each distinct image is opened, held against
 * the oracle, written to, closed and opened again; from some, further images are taken during that recovery
 * (nested), and so on.
 *
 * One thread runs the workload and takes images, the others check them. The history is made beforehand and
 * only read.
 *
 * Environment: NACRE_TEST_SEED; NACRE_SIM_IMAGES, how many distinct images to aim for; NACRE_SIM_STEPS, the
 * length of the workload; NACRE_SIM_OP, to take images at this operation only; NACRE_SIM_THREADS, how many
 * threads check.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "image_set.h"
#include "nonce_registry.h"

enum {
  QUEUE_JOBS = 64,
  THREADS_MAX = 16,
  TRIES_PER_OPERATION = 16, /* images whose like was there already count as tries */
  RANDOM_POLICIES = SIM_POLICY_COUNT - SIM_KEEP_PREFIX,
  READ_ONLY_ONE_IN = 6, /* images that are first looked at read-only */
  NESTED_ONE_IN = 8,    /* images from which nested ones are taken */
  NESTED_OPERATION_ONE_IN = 12,
  NESTED_MAX = 3,
  DEPTH_MAX = 3,
  EXTRAS = 3,
  FAILURES_ENOUGH = 200
};

typedef struct job {
  sim_disk *image;
  store_bounds bounds;
  uint64_t seed;
  unsigned depth;
  char label[200];
} job;

typedef struct campaign {
  history history;
  runner runner;
  sim_disk *disk;
  char key_uri[256];
  uint64_t seed, goal, expected_operations, only_operation;
  test_random random;

  pthread_mutex_t mutex; /* guards what follows */
  pthread_cond_t changed;
  job queue[QUEUE_JOBS];
  size_t queued, first;
  bool finished;
  image_set images, nested, checked;
} campaign;

/* ---- taking images ------------------------------------------------------------------------------------- */

/* The same image must be checked again when other bounds hold for it. */
static void mix_bounds(const campaign *c, const store_bounds *bounds, uint8_t digest[SIM_DIGEST_BYTES]) {
  uint64_t mixed = bounds->made;
  for (uint32_t i = 0; i < c->history.table_count; i++) {
    const table_bounds *t = &bounds->tables[i];
    mixed = test_mix(test_mix(mixed, (uint64_t)t->there), (uint64_t)t->least << 32 | t->most);
    mixed = test_mix(mixed, (uint64_t)t->extras_least << 32 | t->extras_most);
  }
  for (unsigned i = 0; i < sizeof mixed; i++) digest[i] ^= (uint8_t)(mixed >> (8 * i));
}

/* Notes an image; false when it was checked against the same bounds before. */
static bool is_new(campaign *c, sim_disk *image, const store_bounds *bounds, bool nested) {
  uint8_t digest[SIM_DIGEST_BYTES];
  sim_disk_digest(image, digest);
  pthread_mutex_lock(&c->mutex);
  image_set_add(nested ? &c->nested : &c->images, digest);
  mix_bounds(c, bounds, digest);
  bool fresh = image_set_add(&c->checked, digest);
  pthread_mutex_unlock(&c->mutex);
  return fresh;
}

static void enqueue(campaign *c, const job *j) {
  pthread_mutex_lock(&c->mutex);
  while (c->queued == QUEUE_JOBS) pthread_cond_wait(&c->changed, &c->mutex);
  c->queue[(c->first + c->queued++) % QUEUE_JOBS] = *j;
  pthread_cond_broadcast(&c->changed);
  pthread_mutex_unlock(&c->mutex);
}

static void take_image(campaign *c, uint64_t operation, sim_policy policy, uint64_t seed) {
  job j = {.seed = test_mix(operation, seed)};
  runner_bounds(&c->runner, true, &j.bounds);
  j.image = sim_disk_image(c->disk, policy, j.seed);
  snprintf(j.label, sizeof j.label, "cut at %llu, %s, image seed %llu", (unsigned long long)operation,
           sim_policy_name(policy), (unsigned long long)j.seed);
  if (is_new(c, j.image, &j.bounds, false))
    enqueue(c, &j);
  else
    sim_disk_destroy(j.image);
}

static size_t images_taken(campaign *c) {
  pthread_mutex_lock(&c->mutex);
  size_t count = c->images.count;
  pthread_mutex_unlock(&c->mutex);
  return count;
}

/* Nothing and everything survive at every operation; then random adversaries, as many as the goal asks for
 * by now. */
static void before_operation(void *arg, uint64_t operation) {
  campaign *c = arg;
  if ((c->only_operation != NACRE_NONE && operation != c->only_operation) ||
      test_failures() > FAILURES_ENOUGH)
    return;
  uint64_t due = c->goal * (operation + 1) / c->expected_operations;
  for (unsigned i = 0; i < TRIES_PER_OPERATION && images_taken(c) < due; i++) {
    uint64_t policy =
        i < SIM_KEEP_PREFIX ? i : SIM_KEEP_PREFIX + test_random_below(&c->random, RANDOM_POLICIES);
    take_image(c, operation, (sim_policy)policy, test_random_next(&c->random));
  }
}

/* ---- checking images ----------------------------------------------------------------------------------- */

/* Takes images of an image while it recovers. */
typedef struct nest {
  sim_disk *disk;
  const store_bounds *bounds; /* as they move */
  test_random random;
  job jobs[NESTED_MAX];
  size_t count;
} nest;

static void before_nested_operation(void *arg, uint64_t operation) {
  nest *n = arg;
  if (n->count == NESTED_MAX || !test_random_chance(&n->random, NESTED_OPERATION_ONE_IN)) return;
  job *j = &n->jobs[n->count++];
  sim_policy policy = (sim_policy)test_random_below(&n->random, SIM_POLICY_COUNT);
  j->seed = test_random_next(&n->random);
  j->image = sim_disk_image(n->disk, policy, j->seed);
  j->bounds = *n->bounds;
  snprintf(j->label, sizeof j->label, "cut again at %llu, %s, image seed %llu", (unsigned long long)operation,
           sim_policy_name(policy), (unsigned long long)j->seed);
}

static void check_image(campaign *c, job *j);

/* Everything on an image is stable, so whatever the first recovery found, every later one must find. */
static void check_nested(campaign *c, nest *n, const job *outer, const store_bounds *found) {
  for (size_t i = 0; i < n->count; i++) {
    job *inner = &n->jobs[i];
    char label[200];
    snprintf(label, sizeof label, "%.100s; %.80s", outer->label, inner->label);
    memcpy(inner->label, label, sizeof label);
    inner->depth = outer->depth + 1;
    for (uint32_t t = 0; found != NULL && t < c->history.table_count; t++) {
      inner->bounds.tables[t].there = found->tables[t].there;
      inner->bounds.tables[t].least = found->tables[t].least;
      inner->bounds.tables[t].most = found->tables[t].most;
    }
    if (found != NULL && is_new(c, inner->image, &inner->bounds, true))
      check_image(c, inner);
    else
      sim_disk_destroy(inner->image);
  }
}

static void check_image(campaign *c, job *j) {
  nest *n = NULL;
  char label[sizeof j->label + 16];
  test_random random = {j->seed};
  if (j->depth < DEPTH_MAX && test_random_chance(&random, NESTED_ONE_IN)) {
    n = test_alloc(sizeof *n);
    n->disk = j->image;
    n->bounds = &j->bounds;
    n->random.state = test_random_next(&random);
    sim_disk_watch(j->image, before_nested_operation, n);
  }
  bool ok = true;
  if (j->bounds.made && test_random_chance(&random, READ_ONLY_ONE_IN)) {
    snprintf(label, sizeof label, "%s; read-only", j->label);
    ok = check_store_unwritten(j->image, c->key_uri, &c->history, &j->bounds, true, label);
  }
  ok = ok && check_store(j->image, c->key_uri, &c->history, &j->bounds, EXTRAS, j->label);
  sim_disk_watch(j->image, NULL, NULL);
  snprintf(label, sizeof label, "%s; reopened", j->label);
  ok = ok && check_store_unwritten(j->image, c->key_uri, &c->history, &j->bounds, false, label);
  if (n != NULL) check_nested(c, n, j, ok ? &j->bounds : NULL);
  free(n);
  if (sim_disk_handles(j->image) == 0) sim_disk_destroy(j->image);
}

static void *check_images(void *arg) {
  campaign *c = arg;
  pthread_mutex_lock(&c->mutex);
  while (c->queued > 0 || !c->finished) {
    if (c->queued == 0) {
      pthread_cond_wait(&c->changed, &c->mutex);
      continue;
    }
    job j = c->queue[c->first];
    c->first = (c->first + 1) % QUEUE_JOBS;
    c->queued--;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->mutex);
    check_image(c, &j);
    pthread_mutex_lock(&c->mutex);
  }
  pthread_mutex_unlock(&c->mutex);
  return NULL;
}

/* ---- the workload -------------------------------------------------------------------------------------- */

/* Runs the whole history on a fresh disk; returns how many operations it took. */
static uint64_t run_workload(campaign *c, void (*before)(void *arg, uint64_t number)) {
  c->disk = sim_disk_create();
  nacre_store_options options = store_options(c->disk, c->key_uri);
  runner_init(&c->runner, &c->history, &options);
  sim_disk_watch(c->disk, before, c);
  nacre_status status = runner_open(&c->runner);
  for (size_t i = 0; i < c->history.step_count && status == NACRE_OK; i++)
    status = runner_step(&c->runner, &c->history.steps[i]);
  nacre_error error = {0};
  if (status != NACRE_OK) nacre_last_error(&error);
  CHECK(status == NACRE_OK, "the workload itself: %s: %s", nacre_status_name(status), error.text);
  status = runner_close(&c->runner);
  CHECK(status == NACRE_OK, "closing after the workload: %s", nacre_status_name(status));
  uint64_t operations = sim_disk_operations(c->disk);
  if (before != NULL) before(c, operations);
  sim_disk_watch(c->disk, NULL, NULL);
  store_bounds bounds;
  runner_bounds(&c->runner, true, &bounds);
  check_store(c->disk, c->key_uri, &c->history, &bounds, EXTRAS, "after the workload");
  if (sim_disk_handles(c->disk) == 0) sim_disk_destroy(c->disk);
  return operations;
}

static void run_campaign(campaign *c) {
  pthread_t threads[THREADS_MAX];
  long processors = sysconf(_SC_NPROCESSORS_ONLN);
  uint64_t count = test_env_number("NACRE_SIM_THREADS", processors > 0 ? (uint64_t)processors : 1);
  count = count < 1 ? 1 : count > THREADS_MAX ? THREADS_MAX : count;
  for (uint64_t i = 0; i < count; i++)
    if (pthread_create(&threads[i], NULL, check_images, c) != 0) test_die("cannot start a thread");
  run_workload(c, before_operation);
  pthread_mutex_lock(&c->mutex);
  c->finished = true;
  pthread_cond_broadcast(&c->changed);
  pthread_mutex_unlock(&c->mutex);
  for (uint64_t i = 0; i < count; i++) pthread_join(threads[i], NULL);
}

int main(void) {
  static campaign c = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
  char scratch[200];
  double started = test_seconds();
  c.seed = test_seed("power_cut", 20260101);
  c.goal = test_env_number("NACRE_SIM_IMAGES", 12000);
  c.only_operation = test_env_number("NACRE_SIM_OP", NACRE_NONE);
  c.random.state = test_mix(c.seed, 2);
  test_scratch_make(scratch, sizeof scratch, "power-cut");
  test_key_uri(c.key_uri, sizeof c.key_uri, scratch);
  history_init(&c.history, c.seed, (size_t)test_env_number("NACRE_SIM_STEPS", 1500));
  c.expected_operations = run_workload(&c, NULL);
  if (test_failures() == 0) run_campaign(&c);
  CHECK(nonce_registry_seen() > 0, "the nonce registry saw nothing: is the wrapping linked in?");
  CHECK(nonce_registry_reused() == 0, "%llu nonces were used twice",
        (unsigned long long)nonce_registry_reused());
  printf(
      "power_cut: %llu operations, %zu distinct images, %zu distinct nested images, %llu nonces (%llu "
      "reused), "
      "%.1f s, seed %llu\n",
      (unsigned long long)c.expected_operations, c.images.count, c.nested.count,
      (unsigned long long)nonce_registry_seen(), (unsigned long long)nonce_registry_reused(),
      test_seconds() - started, (unsigned long long)c.seed);
  CHECK(c.only_operation != NACRE_NONE || c.images.count >= c.goal * 9 / 10, "only %zu distinct images",
        c.images.count);
  image_set_deinit(&c.images);
  image_set_deinit(&c.nested);
  image_set_deinit(&c.checked);
  history_deinit(&c.history);
  nonce_registry_free();
  test_scratch_remove(scratch);
  return test_finish();
}
