/* SPDX-License-Identifier: Apache-2.0
 *
 * Cutting the power at every operation of a workload. A history runs on a simulated disk; before every one of its
 * operations, images of the disk are taken as a cut at that moment might leave it, or copies as a killed process
 * leaves it. Each distinct one is checked; from some, further images are taken during that check's recovery
 * (nested), and so on.
 *
 * One thread runs the workload and takes images, the others check them. The history is made beforehand and only
 * read.
 */
#ifndef NACRE_TESTS_SIM_CAMPAIGN_H
#define NACRE_TESTS_SIM_CAMPAIGN_H

#include <pthread.h>

#include "image_set.h"
#include "runner.h"

enum { CAMPAIGN_QUEUE_JOBS = 64 };

typedef struct campaign_job {
  sim_disk *image;
  store_bounds bounds; /* what must and may be found; a check narrows them */
  bool killed;         /* the process, not the power: what is not synced is still there, and */
  store_bounds power;  /* this is what must be there if the power goes next */
  unsigned keys;       /* those KMS keys are left; 0: the check decides, and says */
  uint64_t seed;
  unsigned depth;
  char label[200];
} campaign_job;

typedef struct campaign {
  history history;
  uint64_t seed, goal, only_operation;
  uint64_t killed_one_in; /* operations at which a copy is taken, too; 0: none */
  fake_kms *kms;          /* NULL: of a history without changes of keys, under key_uri */
  char key_uri[256];
  /* Opens, compares, writes on, closes, opens again. False after a failed check. */
  bool (*check)(const struct campaign *c, campaign_job *job);
  void (*around_step)(const runner *r, const step *s, bool before); /* NULL: nobody looks */

  uint64_t operations; /* of the workload, as counted first */
  runner runner;
  sim_disk *disk;
  test_random random;
  pthread_mutex_t mutex; /* guards what follows */
  pthread_cond_t changed;
  campaign_job *queue[CAMPAIGN_QUEUE_JOBS];
  size_t queued, first;
  bool finished;
  image_set images, nested, checked;
  uint64_t killed; /* copies */
} campaign;

/* The history must be made. Reads NACRE_SIM_OP, images at this operation only, and NACRE_SIM_THREADS, how many
 * threads check. */
void campaign_run(campaign *c);
void campaign_deinit(campaign *c);

#endif
