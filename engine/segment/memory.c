/* SPDX-License-Identifier: Apache-2.0
 *
 * memory: see memory.h. Locks: none but those of what it calls.
 */
#include "memory.h"

/* A reader with its cipher context: OpenSSL's, with key schedule and tables, is the larger part. */
enum { OPEN_SEGMENT_BYTES = 4096 };

uint64_t nc_memory_held(nc_shared *s) {
  uint64_t cache = s->cache == NULL ? 0 : nc_cache_own_bytes(s->cache);
  return nc_heap_bytes(s->env->heap) + cache +
         nc_open_segments_count(&s->open_segments) * (uint64_t)OPEN_SEGMENT_BYTES;
}

/* What is neither cache nor memtables, beyond what the work always needs. */
static uint64_t beside(nc_shared *s) {
  uint64_t known = atomic_load_explicit(&s->memtables_bytes, memory_order_relaxed) + NC_WORKING_BYTES;
  if (s->cache != NULL) known += nc_cache_bytes(s->cache);
  uint64_t held = nc_memory_held(s);
  return held > known ? held - known : 0;
}

uint64_t nc_memory_spare(nc_shared *s) {
  uint64_t held = nc_memory_held(s), most = s->memory_bytes_max + NC_WORKING_BYTES;
  return held < most ? most - held : 0;
}

bool nc_memory_is_short(nc_shared *s) {
  uint64_t memtables = atomic_load_explicit(&s->memtables_bytes, memory_order_relaxed);
  if (memtables + s->cache_bytes / 4 > s->memory_bytes_max) return true;
  uint64_t others = beside(s), least = s->cache_bytes / 4;
  uint64_t cache = s->cache_bytes - least > others ? s->cache_bytes - others : least;
  return memtables + others + cache > s->memory_bytes_max;
}

void nc_memory_settle(nc_shared *s) {
  uint64_t others = beside(s) + atomic_load_explicit(&s->memtables_bytes, memory_order_relaxed);
  uint64_t room = s->memory_bytes_max > others ? s->memory_bytes_max - others : 0;
  uint64_t least = s->cache_bytes / 16, bound = room < least ? least : room;
  if (s->cache != NULL) nc_cache_set_bound(s->cache, bound < s->cache_bytes ? bound : s->cache_bytes);
  if (room < least) nc_open_segments_close_idle(&s->open_segments);
}
