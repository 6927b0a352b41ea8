/* SPDX-License-Identifier: Apache-2.0
 *
 * The plan, and how keys and values prove whose they are.
 */
#include "plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_BYTES = 8 };
#define LONG_AGO_MS 1u
#define FAR_MS 4102444800000u /* 2100-01-01 */

const char *const plan_table_names[PLAN_TABLES] = {"left", "right"};

/* Puts alone, of keys that ascend. */
static void draw_load(test_random *random, plan_operation *op) {
  uint32_t key = (uint32_t)test_random_below(random, PLAN_KEYS - PLAN_ENTRIES_MAX * PLAN_KEYS / 10);
  for (op->entry_count = 0; op->entry_count < PLAN_ENTRIES_MAX; op->entry_count++) {
    op->entries[op->entry_count] = (plan_entry){.key = key};
    key += 1 + (uint32_t)test_random_below(random, PLAN_KEYS / 10);
  }
}

void plan_make(uint64_t seed, uint32_t thread, uint64_t n, plan_operation *ret_operation) {
  test_random random = {test_mix(test_mix(seed, thread), n)};
  plan_operation op = {.table = (uint32_t)test_random_below(&random, PLAN_TABLES)};
  uint64_t dice = test_random_below(&random, 1000);
  op.kind = dice < 3    ? PLAN_COMPACT
            : dice < 12 ? PLAN_FLUSH
            : dice < 40 ? PLAN_SYNC
            : dice < 46 ? PLAN_LOAD
                        : PLAN_WRITE;
  op.sync = test_random_chance(&random, 12);
  if (op.kind == PLAN_WRITE)
    op.entry_count =
        test_random_chance(&random, 3) ? 2 + test_random_below(&random, PLAN_ENTRIES_MAX - 1) : 1;
  for (size_t i = 0; i < op.entry_count; i++) {
    op.entries[i].key = (uint32_t)test_random_below(&random, PLAN_KEYS);
    op.entries[i].deleted = test_random_chance(&random, 4);
    op.entries[i].as_range = op.entries[i].deleted && test_random_chance(&random, 4);
  }
  if (op.kind == PLAN_LOAD) draw_load(&random, &op);
  for (size_t i = 0; i < op.entry_count; i++)
    if (!op.entries[i].deleted && test_random_chance(&random, 8))
      op.entries[i].expire_at_ms = test_random_chance(&random, 3) ? LONG_AGO_MS : FAR_MS + n;
  *ret_operation = op;
}

void plan_apply(plan_state *state, const plan_operation *operation, uint64_t n) {
  for (size_t i = 0; i < operation->entry_count; i++) {
    const plan_entry *entry = &operation->entries[i];
    bool gone = entry->deleted || entry->expire_at_ms == LONG_AGO_MS;
    state->written[operation->table][entry->key] = gone ? 0 : n;
  }
}

size_t plan_key(uint32_t thread, uint32_t key, char bytes[PLAN_KEY_BYTES]) {
  return (size_t)snprintf(bytes, PLAN_KEY_BYTES, "%03u/writer-%u", key, thread);
}

bool plan_key_parse(nacre_slice bytes, uint32_t *ret_thread, uint32_t *ret_key) {
  char text[PLAN_KEY_BYTES] = {0}, again[PLAN_KEY_BYTES];
  if (bytes.size == 0 || bytes.size >= sizeof text) return false;
  memcpy(text, bytes.data, bytes.size);
  if (sscanf(text, "%u/writer-%u", ret_key, ret_thread) != 2 || *ret_key >= PLAN_KEYS ||
      *ret_thread >= PLAN_THREADS)
    return false;
  return plan_key(*ret_thread, *ret_key, again) == bytes.size && memcmp(text, again, bytes.size) == 0;
}

size_t plan_value(uint32_t thread, uint32_t table, uint32_t key, uint64_t n,
                  uint8_t bytes[PLAN_VALUE_BYTES]) {
  uint64_t mixed = test_mix(test_mix(thread * PLAN_TABLES + table, key), n);
  size_t size = (mixed >> 8) % (mixed % 40 == 0 ? PLAN_VALUE_BYTES - NUMBER_BYTES : 500);
  memcpy(bytes, &n, NUMBER_BYTES);
  test_value_make(bytes + NUMBER_BYTES, size, thread * PLAN_TABLES + table, key, n);
  return NUMBER_BYTES + size;
}

uint64_t plan_value_parse(uint32_t thread, uint32_t table, uint32_t key, nacre_slice value) {
  uint64_t n;
  if (value.size < NUMBER_BYTES) return 0;
  memcpy(&n, value.data, sizeof n);
  uint8_t *expected = test_alloc(PLAN_VALUE_BYTES);
  size_t size = plan_value(thread, table, key, n, expected);
  bool same = size == value.size && memcmp(expected, value.data, size) == 0;
  free(expected);
  return same ? n : 0;
}

/* Small memtables, so that flushes and merges are always under way; with and without workers. */
nacre_store_options plan_store_options(const char *key_uri, uint64_t round) {
  return (nacre_store_options){
      .default_key = {.uri = key_uri},
      .memtable_bytes = round % 3 == 0 ? 256 * 1024 : 64 * 1024,
      .cache_bytes = 1024 * 1024,
      .workers = round % 4 == 0 ? UINT32_MAX : 2,
  };
}

/* ---- keys ---------------------------------------------------------------------------------------------- */

void plan_keyring_uri(const char *base, unsigned keyring, char *uri, size_t capacity) {
  if (keyring == 0)
    snprintf(uri, capacity, "%s", base);
  else
    snprintf(uri, capacity, "%s-%u", base, keyring);
}

uint64_t plan_key_news_encode(plan_key_news news) {
  return (uint64_t)news.subject << 16 | (uint64_t)news.keyring << 8 | (news.done ? 1u : 0u);
}

plan_key_news plan_key_news_decode(uint64_t n) {
  return (plan_key_news){(unsigned)(n >> 16 & 255), (unsigned)(n >> 8 & 255), (n & 1) != 0};
}

void plan_name_keyrings(nacre_store_options *options, const char *base, unsigned set, plan_keyrings *names) {
  options->default_key.uri = NULL;
  for (unsigned i = 0; i < PLAN_KEYRINGS; i++) {
    if ((set >> i & 1) == 0) continue;
    plan_keyring_uri(base, i, names->uris[i], sizeof names->uris[i]);
    if (options->default_key.uri == NULL)
      options->default_key.uri = names->uris[i];
    else
      names->trusted[options->trusted_key_count++] = (nacre_key_spec){.uri = names->uris[i]};
  }
  options->trusted_keys = names->trusted;
}
