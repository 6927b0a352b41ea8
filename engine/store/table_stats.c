/* SPDX-License-Identifier: Apache-2.0
 *
 * table_stats: what tables and a store hold and do, in numbers.
 */
#include "last_error.h"
#include "memory.h"
#include "store.h"

static void count_logs(nacre_table *t, nacre_stats *stats) {
  pthread_mutex_lock(&t->write_lock); /* the tails of logs belong to writers */
  stats->writes = t->groups_written;
  stats->write_bytes = t->group_bytes_written;
  pthread_mutex_lock(&t->commit_lock);
  stats->logs = t->log_count;
  for (size_t i = 0; i < t->log_count; i++) stats->log_bytes += t->logs[i]->end;
  stats->manifest_epoch = t->epoch;
  stats->manifest_sequence = t->commit_sequence;
  pthread_mutex_unlock(&t->commit_lock);
  pthread_mutex_unlock(&t->write_lock);
}

static void count_run(const nc_run *run, nacre_stats *stats) {
  size_t at = run->level < NACRE_STATS_LEVELS ? run->level : NACRE_STATS_LEVELS - 1;
  nacre_level *level = &stats->levels[at];
  level->runs++;
  level->segments += run->count;
  for (size_t i = 0; i < run->count; i++) {
    const nc_segment_record *record = nc_segment_describe(run->segments[i]);
    level->bytes += record->size;
    level->entries += record->entries;
    stats->segment_bytes += record->size;
    stats->segment_entries += record->entries;
  }
  if (stats->level_count < at + 1) stats->level_count = at + 1;
}

static void count_view(nacre_table *t, nacre_stats *stats) {
  nc_view *view = nc_table_view(t, &stats->last_sequence);
  const nc_version *v = view->version;
  stats->runs = v->run_count;
  stats->segments = v->segment_count;
  for (size_t i = 0; i < v->run_count; i++) count_run(&v->runs[i], stats);
  uint64_t oldest = v->run_count == 0 ? 0 : v->runs[v->run_count - 1].bytes;
  if (oldest > 0) stats->space_amplification = (double)stats->segment_bytes / (double)oldest;
  stats->read_amplification = (double)(v->run_count + view->memtable_count);
  for (size_t i = 0; i < view->memtable_count; i++) {
    stats->memtable_bytes += nc_memtable_bytes(view->memtables[i]);
    stats->memtable_entries += nc_memtable_entries(view->memtables[i]);
  }
  nc_view_unref(view);
}

static void count_work(nacre_table *t, nacre_stats *stats) {
  nacre_latency *latencies[NC_METER_COUNT] = {
      [NC_METER_READ] = &stats->read,   [NC_METER_WRITE] = &stats->write,
      [NC_METER_SYNC] = &stats->sync,   [NC_METER_SYNCED_WRITE] = &stats->synced_write,
      [NC_METER_FLUSH] = &stats->flush, [NC_METER_MERGE] = &stats->merge,
      [NC_METER_STALL] = &stats->stall,
  };
  nc_meters_read(t, latencies, &stats->reads);
  uint64_t written = stats->write_bytes + stats->bytes_flushed + stats->bytes_merged;
  if (stats->write_bytes > 0) stats->write_amplification = (double)written / (double)stats->write_bytes;
}

nacre_status nacre_table_stats(nacre_table *table, nacre_stats *ret_stats) {
  nacre_error *err = nc_thread_error();
  NC_TRY(nc_table_check(table, err));
  if (ret_stats == NULL) return NACRE_OK;
  pthread_mutex_lock(&table->state_lock);
  nacre_stats stats = table->counters;
  pthread_mutex_unlock(&table->state_lock);
  count_logs(table, &stats);
  count_view(table, &stats);
  count_work(table, &stats);
  if (table->shared->cache != NULL) {
    nc_cache_stats cache = nc_cache_read_stats(table->shared->cache);
    stats.cache_hits = cache.hits;
    stats.cache_misses = cache.misses;
    stats.cache_bytes = cache.bytes;
  }
  stats.memory_bytes = nc_memory_held(table->shared);
  *ret_stats = stats;
  return NACRE_OK;
}

static uint64_t count_tables(nacre_store *store) {
  uint64_t count = 0;
  pthread_mutex_lock(&store->tables_lock);
  for (const nacre_table *t = store->tables; t != NULL; t = t->next) count++;
  pthread_mutex_unlock(&store->tables_lock);
  return count;
}

nacre_status nacre_store_usage(nacre_store *store, nacre_usage *ret_usage) {
  nacre_error *err = nc_thread_error();
  NC_TRY(nc_store_check(store, err));
  if (ret_usage == NULL) return NACRE_OK;
  nc_env *env = store->shared.env;
  nacre_usage usage = {
      .tables_open = count_tables(store),
      .memory_bytes = nc_memory_held(&store->shared),
      .memtable_bytes = atomic_load_explicit(&store->shared.memtables_bytes, memory_order_relaxed),
      .kms_calls = atomic_load_explicit(&env->kms_calls, memory_order_relaxed),
      .kms_failures = atomic_load_explicit(&env->kms_failures, memory_order_relaxed),
      .kms_ns = atomic_load_explicit(&env->kms_ns, memory_order_relaxed),
  };
  if (store->shared.cache != NULL) {
    nc_cache_stats cache = nc_cache_read_stats(store->shared.cache);
    usage.cache_bytes = cache.bytes;
    usage.cache_hits = cache.hits;
    usage.cache_misses = cache.misses;
  }
  *ret_usage = usage;
  return NACRE_OK;
}
