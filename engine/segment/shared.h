/* SPDX-License-Identifier: Apache-2.0
 *
 * shared: what the tables of one store share: the env, the keys' way out, the cache, workspaces to unpack
 * with, and the budget of memory.
 */
#ifndef NC_SHARED_H
#define NC_SHARED_H

#include <pthread.h>
#include <stdatomic.h>

#include "cache.h"
#include "compress.h"
#include "kms.h"
#include "open_segments.h"
#include "worker.h"

enum { NC_UNPACKER_FRAME_BYTES = 64 * 1024 };

typedef struct nc_unpacker {
  struct nc_unpacker *next;
  nc_compress_workspace workspace;
  size_t size;
  uint8_t *frame; /* NC_UNPACKER_FRAME_BYTES, to open frames in */
} nc_unpacker;

typedef struct nc_shared {
  nc_env *env;
  nc_kms kms;
  nc_cache *cache; /* NULL: no cache */
  nc_worker_pool *workers;
  nc_job memory_job; /* takes memory from the kernel ahead of who uses it */
  atomic_bool memory_queued;
  nc_open_segments open_segments;
  uint64_t memtable_bytes, memory_bytes_max, cache_bytes;
  atomic_uint_fast64_t memtables_bytes; /* of all tables, now */
  atomic_uint_fast64_t next_file_id;    /* for the cache */
  void (*on_event)(void *arg, const nacre_event *event);
  void *event_arg;
  pthread_mutex_t unpackers_lock;
  nc_unpacker *unpackers; /* idle ones */
  pthread_mutex_t cursors_lock;
  void *idle_cursors; /* of segments, for iterators to come: segment_cursor.c */
  size_t idle_cursor_count;
  atomic_uint resting_stripes; /* in which an iterator may rest: iterator_open.c */
  pthread_mutex_t tables_lock;
  nacre_table *tables; /* loaded ones, by next_shared */
} nc_shared;

NC_MUST_CHECK nacre_status nc_shared_init(nc_shared *shared, const nacre_store_options *options,
                                          nacre_error *err);
void nc_shared_deinit(nc_shared *shared);
/* The same, but the env lives on, the caller's. */
nc_env *nc_shared_give_env(nc_shared *shared);

/* A workspace to unpack with; NULL without memory. Give it back. */
nc_unpacker *nc_unpacker_take(nc_shared *shared);
void nc_unpacker_give(nc_shared *shared, nc_unpacker *unpacker);

#endif
