/* SPDX-License-Identifier: Apache-2.0
 *
 * shared: see shared.h.
 */
#include "shared.h"

#include "passphrase.h"
#include "segment.h"

enum { WORKERS_DEFAULT = 2, WORKERS_MAX = 64, KMS_DEADLINE_MS_DEFAULT = 10000 };
enum { OPEN_FILES_DEFAULT = 512, OPEN_FILES_MIN = 16 };
static const uint64_t CACHE_BYTES_DEFAULT = (uint64_t)256 << 20;
static const uint64_t MEMTABLE_BYTES_DEFAULT = (uint64_t)64 << 20;
static const uint64_t MEMTABLE_BYTES_MIN = (uint64_t)64 << 10;
static const uint64_t BYTES_MAX = (uint64_t)1 << 48; /* more is a mistake, and sums stay sums */
static const uint64_t MEMORY_BYTES_DEFAULT = (uint64_t)1 << 30;

static uint64_t or_default(uint64_t value, uint64_t otherwise) { return value == 0 ? otherwise : value; }

static nacre_status check_sizes(const nc_shared *s, uint32_t workers, nacre_error *err) {
  if (s->memtable_bytes > BYTES_MAX || s->cache_bytes > BYTES_MAX || s->memory_bytes_max > BYTES_MAX) {
    return nc_fail(err, NC_E_ARGUMENT, "cache_bytes, memtable_bytes or memory_bytes_max is above 2^48");
  }
  if (s->memtable_bytes < MEMTABLE_BYTES_MIN)
    return nc_fail(err, NC_E_ARGUMENT, "memtable_bytes is below 65,536");
  if (s->memory_bytes_max < s->cache_bytes + 2 * MEMTABLE_BYTES_MIN) {
    return nc_fail(err, NC_E_ARGUMENT, "memory_bytes_max leaves no room for memtables beside the cache");
  }
  if (workers > WORKERS_MAX && workers != UINT32_MAX)
    return nc_fail(err, NC_E_ARGUMENT, "workers is above 64");
  if (s->open_segments.max < OPEN_FILES_MIN) return nc_fail(err, NC_E_ARGUMENT, "open_files_max is below 16");
  return NACRE_OK;
}

static void make_memory_ready(void *arg) {
  nc_shared *s = arg;
  atomic_store(&s->memory_queued, false);
  nc_heap_make_ready(s->env->heap);
}

static void memory_was_taken(void *arg) {
  nc_shared *s = arg;
  if (!atomic_exchange(&s->memory_queued, true)) nc_worker_submit(s->workers, &s->memory_job);
}

/* By the workers, where there are any. */
static void keep_memory_ready(nc_shared *s) {
  s->memory_job = (nc_job){.run = make_memory_ready, .arg = s};
  if (!nc_worker_pool_inline(s->workers)) nc_heap_on_taken(s->env->heap, memory_was_taken, s);
}

nacre_status nc_shared_init(nc_shared *s, const nacre_store_options *options, nacre_error *err) {
  *s = (nc_shared){0};
  pthread_mutex_init(&s->unpackers_lock, NULL);
  pthread_mutex_init(&s->cursors_lock, NULL);
  pthread_mutex_init(&s->tables_lock, NULL);
  nc_open_segments_init(&s->open_segments, (size_t)or_default(options->open_files_max, OPEN_FILES_DEFAULT));
  s->memtable_bytes = or_default(options->memtable_bytes, MEMTABLE_BYTES_DEFAULT);
  s->cache_bytes =
      options->cache_bytes == NACRE_NONE ? 0 : or_default(options->cache_bytes, CACHE_BYTES_DEFAULT);
  s->memory_bytes_max = options->memory_bytes_max == 0 && s->cache_bytes > MEMORY_BYTES_DEFAULT / 2
                            ? s->cache_bytes + MEMORY_BYTES_DEFAULT
                            : or_default(options->memory_bytes_max, MEMORY_BYTES_DEFAULT);
  s->on_event = options->on_event;
  s->event_arg = options->event_arg;
  atomic_init(&s->next_file_id, 1);
  NC_TRY(check_sizes(s, options->workers, err));
  NC_TRY(nc_env_create(options->io, &s->env, err));
  nc_passphrases_source(s->env, options->passphrase, options->passphrase_arg);
  s->kms = (nc_kms){s->env, options->kms_providers, options->kms_provider_count,
                    or_default(options->kms_deadline_ms, KMS_DEADLINE_MS_DEFAULT)};
  if (s->cache_bytes > 0) NC_TRY(nc_cache_create(s->cache_bytes, &s->cache, err));
  uint32_t threads =
      options->workers == UINT32_MAX ? 0 : (uint32_t)or_default(options->workers, WORKERS_DEFAULT);
  NC_TRY(nc_worker_pool_create(s->env, threads, &s->workers, err));
  keep_memory_ready(s);
  return NACRE_OK;
}

nc_env *nc_shared_give_env(nc_shared *s) {
  nc_env *env = s->env;
  if (env != NULL) nc_heap_on_taken(env->heap, NULL, NULL);
  nc_worker_pool_destroy(s->workers);
  nc_cache_destroy(s->cache);
  for (nc_unpacker *u = s->unpackers, *next; u != NULL; u = next) {
    next = u->next;
    nc_heap_free(s->env->heap, u, u->size);
  }
  nc_segment_cursors_drop(s);
  pthread_mutex_destroy(&s->cursors_lock);
  pthread_mutex_destroy(&s->unpackers_lock);
  pthread_mutex_destroy(&s->tables_lock);
  nc_open_segments_deinit(&s->open_segments);
  *s = (nc_shared){0};
  return env;
}

void nc_shared_deinit(nc_shared *s) { nc_env_destroy(nc_shared_give_env(s)); }

nc_unpacker *nc_unpacker_take(nc_shared *s) {
  pthread_mutex_lock(&s->unpackers_lock);
  nc_unpacker *u = s->unpackers;
  if (u != NULL) s->unpackers = u->next;
  pthread_mutex_unlock(&s->unpackers_lock);
  if (u != NULL) return u;
  size_t head = (sizeof *u + 63) & ~(size_t)63;
  size_t workspace = (nc_compress_workspace_size(true) + 63) & ~(size_t)63;
  size_t size = head + workspace + NC_UNPACKER_FRAME_BYTES;
  u = nc_heap_alloc(s->env->heap, size);
  if (u == NULL) return NULL;
  u->size = size;
  u->frame = (uint8_t *)u + head + workspace;
  if (nc_compress_init(&u->workspace, (uint8_t *)u + head, workspace, true, NULL) != NACRE_OK) {
    nc_heap_free(s->env->heap, u, size);
    return NULL;
  }
  return u;
}

void nc_unpacker_give(nc_shared *s, nc_unpacker *u) {
  pthread_mutex_lock(&s->unpackers_lock);
  u->next = s->unpackers;
  s->unpackers = u;
  pthread_mutex_unlock(&s->unpackers_lock);
}
