/* SPDX-License-Identifier: Apache-2.0
 *
 * block_gather: see block_gather.h.
 *
 * Caller and worker claim a block after the other. The job lies on the caller's stack: the caller leaves when no worker
 * can be in it any more.
 */
#include "block_gather.h"

enum { HELPED_MIN = 8 };

typedef struct gather {
  nc_job job;
  nc_segment *segment;
  nc_segment_file *file;
  nc_wanted_block *wanted;
  size_t count;
  bool no_cache_fill;
  atomic_size_t claimed;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  bool in_work; /* the worker has not left yet; under `lock` */
} gather;

static void take_part(gather *g) {
  for (;;) {
    size_t i = atomic_fetch_add_explicit(&g->claimed, 1, memory_order_relaxed);
    if (i >= g->count) return;
    nc_wanted_block *w = &g->wanted[i];
    nc_cached_block *block;
    nacre_status status =
        nc_segment_load(g->segment, g->file, w->handle, NC_FRAME_DATA, g->no_cache_fill, &block, NULL);
    w->block = status == NACRE_OK ? block : NULL;
  }
}

/* The job. */
static void help(void *arg) {
  gather *g = arg;
  take_part(g);
  pthread_mutex_lock(&g->lock);
  g->in_work = false;
  pthread_cond_signal(&g->changed);
  pthread_mutex_unlock(&g->lock);
}

static void take_part_with_help(gather *g) {
  nc_worker_pool *workers = g->segment->home->shared->workers;
  g->job = (nc_job){.run = help, .arg = g};
  g->in_work = true;
  bool given = nc_worker_submit_free(workers, &g->job);
  take_part(g);
  if (!given || nc_worker_withdraw(workers, &g->job)) return;
  pthread_mutex_lock(&g->lock);
  while (g->in_work) pthread_cond_wait(&g->changed, &g->lock);
  pthread_mutex_unlock(&g->lock);
}

void nc_blocks_gather(nc_segment *s, nc_segment_file *f, nc_wanted_block *wanted, size_t count,
                      bool no_cache_fill) {
  gather g = {.segment = s, .file = f, .wanted = wanted, .count = count, .no_cache_fill = no_cache_fill};
  if (count < HELPED_MIN) {
    take_part(&g);
    return;
  }
  pthread_mutex_init(&g.lock, NULL);
  pthread_cond_init(&g.changed, NULL);
  take_part_with_help(&g);
  pthread_cond_destroy(&g.changed);
  pthread_mutex_destroy(&g.lock);
}
