/* SPDX-License-Identifier: Apache-2.0
 *
 * campaign: see campaign.h.
 */
#include "campaign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
  THREADS_MAX = 16,
  TRIES_PER_OPERATION = 16, /* images whose like was there already count as tries */
  RANDOM_POLICIES = SIM_POLICY_COUNT - SIM_KEEP_PREFIX,
  NESTED_ONE_IN = 8, /* images from which nested ones are taken */
  NESTED_OF_KILLED_ONE_IN = 2,
  NESTED_OPERATION_ONE_IN = 12,
  NESTED_MAX = 3,
  DEPTH_MAX = 3,
  FAILURES_ENOUGH = 200
};

/* ---- taking images ------------------------------------------------------------------------------------- */

static uint64_t mix_keys(uint64_t mixed, const key_bounds *keys) {
  return test_mix(mixed, (uint64_t)keys->sure << 32 | keys->maybe);
}

/* The same image must be checked again when other bounds hold for it. */
static void mix_bounds(const campaign *c, const campaign_job *j, uint8_t digest[SIM_DIGEST_BYTES]) {
  const store_bounds *bounds = &j->bounds;
  uint64_t mixed = mix_keys(test_mix(bounds->made, j->keys), &bounds->catalogue_keys);
  for (uint32_t i = 0; i < c->history.table_count; i++) {
    const table_bounds *t = &bounds->tables[i];
    mixed = test_mix(test_mix(mixed, (uint64_t)t->there), (uint64_t)t->least << 32 | t->most);
    mixed = test_mix(mixed, (uint64_t)t->extras_least << 32 | t->extras_most);
    mixed = mix_keys(mixed, &bounds->keys[i]);
  }
  for (unsigned i = 0; i < sizeof mixed; i++) digest[i] ^= (uint8_t)(mixed >> (8 * i));
}

/* Notes an image; false when it was checked against the same bounds before. */
static bool is_new(campaign *c, const campaign_job *j, bool nested) {
  uint8_t digest[SIM_DIGEST_BYTES];
  sim_disk_digest(j->image, digest);
  pthread_mutex_lock(&c->mutex);
  image_set_add(nested ? &c->nested : &c->images, digest);
  mix_bounds(c, j, digest);
  bool fresh = image_set_add(&c->checked, digest);
  pthread_mutex_unlock(&c->mutex);
  return fresh;
}

static void enqueue(campaign *c, const campaign_job *j) {
  campaign_job *kept = test_alloc(sizeof *kept);
  *kept = *j;
  pthread_mutex_lock(&c->mutex);
  c->killed += j->killed;
  while (c->queued == CAMPAIGN_QUEUE_JOBS) pthread_cond_wait(&c->changed, &c->mutex);
  c->queue[(c->first + c->queued++) % CAMPAIGN_QUEUE_JOBS] = kept;
  pthread_cond_broadcast(&c->changed);
  pthread_mutex_unlock(&c->mutex);
}

static void take_image(campaign *c, uint64_t operation, sim_policy policy, uint64_t seed) {
  campaign_job j = {.seed = test_mix(operation, seed)};
  runner_bounds(&c->runner, true, &j.bounds);
  j.image = sim_disk_image(c->disk, policy, j.seed);
  snprintf(j.label, sizeof j.label, "cut at %llu, %s, image seed %llu", (unsigned long long)operation,
           sim_policy_name(policy), (unsigned long long)j.seed);
  if (is_new(c, &j, false))
    enqueue(c, &j);
  else
    sim_disk_destroy(j.image);
}

static void take_copy(campaign *c, uint64_t operation) {
  campaign_job j = {.killed = true, .seed = test_mix(operation, c->seed)};
  runner_bounds(&c->runner, false, &j.bounds);
  runner_bounds(&c->runner, true, &j.power);
  j.image = sim_disk_copy(c->disk);
  snprintf(j.label, sizeof j.label, "killed at %llu", (unsigned long long)operation);
  enqueue(c, &j);
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
  if (c->killed_one_in > 0 && operation % c->killed_one_in == 0) take_copy(c, operation);
  uint64_t due = c->goal * (operation + 1) / c->operations;
  for (unsigned i = 0; i < TRIES_PER_OPERATION && images_taken(c) < due; i++) {
    uint64_t policy =
        i < SIM_KEEP_PREFIX ? i : SIM_KEEP_PREFIX + test_random_below(&c->random, RANDOM_POLICIES);
    take_image(c, operation, (sim_policy)policy, test_random_next(&c->random));
  }
}

/* ---- checking images ----------------------------------------------------------------------------------- */

/* Takes images of an image while it recovers. */
typedef struct nest {
  const campaign_job *outer; /* its bounds as they move */
  test_random random;
  campaign_job jobs[NESTED_MAX];
  size_t count;
} nest;

/* What the death of the process alone has left was never synced: until the recovery has written something itself,
 * the power may take it away. */
static void set_bounds(campaign_job *j, const campaign_job *outer, const store_bounds *bounds) {
  for (uint32_t t = 0; t < HISTORY_TABLES_MAX; t++) {
    table_bounds *to = &j->bounds.tables[t];
    to->there = bounds->tables[t].there;
    to->least = bounds->tables[t].least;
    to->most = bounds->tables[t].most;
    if (!outer->killed || to->extras_least > 0) continue;
    to->there = outer->power.tables[t].there;
    to->least = outer->power.tables[t].least;
    if (to->most < to->least || to->there != PRESENCE_PRESENT) to->most = outer->power.tables[t].most;
  }
}

static void before_nested_operation(void *arg, uint64_t operation) {
  nest *n = arg;
  if (n->count == NESTED_MAX || !test_random_chance(&n->random, NESTED_OPERATION_ONE_IN)) return;
  campaign_job *j = &n->jobs[n->count++];
  sim_policy policy = (sim_policy)test_random_below(&n->random, SIM_POLICY_COUNT);
  j->seed = test_random_next(&n->random);
  j->image = sim_disk_image(n->outer->image, policy, j->seed);
  j->bounds = n->outer->bounds;
  snprintf(j->label, sizeof j->label, "cut again at %llu, %s, image seed %llu", (unsigned long long)operation,
           sim_policy_name(policy), (unsigned long long)j->seed);
}

static void check_image(campaign *c, campaign_job *j);

/* Everything on an image is stable, so whatever the first recovery found, every later one must find. */
static void check_nested(campaign *c, nest *n, const campaign_job *outer, bool ok) {
  for (size_t i = 0; i < n->count; i++) {
    campaign_job *inner = &n->jobs[i];
    char label[200];
    snprintf(label, sizeof label, "%.100s; %.80s", outer->label, inner->label);
    memcpy(inner->label, label, sizeof label);
    inner->depth = outer->depth + 1;
    inner->keys = outer->killed ? 0 : outer->keys; /* the power may take back what made them suffice */
    set_bounds(inner, outer, &outer->bounds);
    if (ok && is_new(c, inner, true))
      check_image(c, inner);
    else
      sim_disk_destroy(inner->image);
  }
}

static void check_image(campaign *c, campaign_job *j) {
  nest *n = NULL;
  test_random random = {j->seed};
  uint64_t one_in = j->killed ? NESTED_OF_KILLED_ONE_IN : NESTED_ONE_IN;
  if (j->depth < DEPTH_MAX && test_random_chance(&random, one_in)) {
    n = test_alloc(sizeof *n);
    n->outer = j;
    n->random.state = test_random_next(&random);
    sim_disk_watch(j->image, before_nested_operation, n);
  }
  bool ok = c->check(c, j);
  sim_disk_watch(j->image, NULL, NULL);
  if (n != NULL) check_nested(c, n, j, ok);
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
    campaign_job *j = c->queue[c->first];
    c->first = (c->first + 1) % CAMPAIGN_QUEUE_JOBS;
    c->queued--;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->mutex);
    check_image(c, j);
    free(j);
    pthread_mutex_lock(&c->mutex);
  }
  pthread_mutex_unlock(&c->mutex);
  return NULL;
}

/* ---- the workload -------------------------------------------------------------------------------------- */

static nacre_status run_step(campaign *c, const step *s) {
  if (c->around_step != NULL) c->around_step(&c->runner, s, true);
  nacre_status status = runner_step(&c->runner, s);
  if (c->around_step != NULL && status == NACRE_OK) c->around_step(&c->runner, s, false);
  return status;
}

static void begin_workload(campaign *c) {
  c->disk = sim_disk_create();
  if (c->kms != NULL) {
    runner_init_keys(&c->runner, &c->history, c->disk, c->kms);
    return;
  }
  nacre_store_options options = store_options(c->disk, c->key_uri);
  runner_init(&c->runner, &c->history, &options);
}

/* Runs the whole history on a fresh disk; returns how many operations it took. */
static uint64_t run_workload(campaign *c, void (*before)(void *arg, uint64_t number)) {
  begin_workload(c);
  sim_disk_watch(c->disk, before, c);
  nacre_status status = runner_open(&c->runner);
  size_t i = 0;
  for (; i < c->history.step_count && status == NACRE_OK; i++) status = run_step(c, &c->history.steps[i]);
  nacre_error error = {0};
  if (status != NACRE_OK) nacre_last_error(&error);
  CHECK(status == NACRE_OK, "the workload itself: step %zu: %s: %s", i, nacre_status_name(status),
        error.text);
  status = runner_close(&c->runner);
  CHECK(status == NACRE_OK, "closing after the workload: %s", nacre_status_name(status));
  uint64_t operations = sim_disk_operations(c->disk);
  if (before != NULL) before(c, operations);
  sim_disk_watch(c->disk, NULL, NULL);
  campaign_job last = {.image = c->disk, .seed = c->seed, .label = "after the workload"};
  runner_bounds(&c->runner, true, &last.bounds);
  c->check(c, &last);
  if (sim_disk_handles(c->disk) == 0) sim_disk_destroy(c->disk);
  return operations;
}

void campaign_run(campaign *c) {
  pthread_t threads[THREADS_MAX];
  long processors = sysconf(_SC_NPROCESSORS_ONLN);
  uint64_t count = test_env_number("NACRE_SIM_THREADS", processors > 0 ? (uint64_t)processors : 1);
  count = count < 1 ? 1 : count > THREADS_MAX ? THREADS_MAX : count;
  c->only_operation = test_env_number("NACRE_SIM_OP", NACRE_NONE);
  c->random.state = test_mix(c->seed, 2);
  pthread_mutex_init(&c->mutex, NULL);
  pthread_cond_init(&c->changed, NULL);
  c->operations = run_workload(c, NULL);
  if (test_failures() > 0) return;
  for (uint64_t i = 0; i < count; i++)
    if (pthread_create(&threads[i], NULL, check_images, c) != 0) test_die("cannot start a thread");
  run_workload(c, before_operation);
  pthread_mutex_lock(&c->mutex);
  c->finished = true;
  pthread_cond_broadcast(&c->changed);
  pthread_mutex_unlock(&c->mutex);
  for (uint64_t i = 0; i < count; i++) pthread_join(threads[i], NULL);
}

void campaign_deinit(campaign *c) {
  image_set_deinit(&c->images);
  image_set_deinit(&c->nested);
  image_set_deinit(&c->checked);
  history_deinit(&c->history);
  pthread_mutex_destroy(&c->mutex);
  pthread_cond_destroy(&c->changed);
}
