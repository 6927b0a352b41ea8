/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes the workload: mostly small writes, some of them large, some synced, with flushes, merges, reopenings
 * and table drops scattered among them.
 */
#include "history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH_ENTRIES_MAX = 9, GROUP_BYTES = 4 };
#define HISTORY_LONG_AGO_MS 1u
#define HISTORY_FAR_MS 4102444800000u /* 2100-01-01 */

static step *add_step(history *h, step_kind kind, uint32_t table) {
  h->steps = test_grow(h->steps, h->step_count, &h->step_capacity, sizeof *h->steps);
  step *s = &h->steps[h->step_count++];
  *s = (step){.kind = kind, .table = table, .first_entry = h->entry_count};
  h->tables[table].flushes += kind == STEP_FLUSH;
  return s;
}

/* ---- tables -------------------------------------------------------------------------------------------- */

static uint32_t add_table(history *h, unsigned slot) {
  uint32_t index = (uint32_t)h->table_count++;
  history_table *table = &h->tables[index];
  snprintf(table->name, sizeof table->name, "table-%u", slot);
  table->rows = test_grow(table->rows, 0, &table->row_capacity, sizeof *table->rows);
  memset(table->rows[0], 0, sizeof table->rows[0]);
  add_step(h, STEP_CREATE, index);
  return index;
}

/* ---- writes -------------------------------------------------------------------------------------------- */

/* Half of the writes go to an eighth of the keys, so that keys have many versions. */
static uint16_t draw_key(test_random *random) {
  return (uint16_t)test_random_below(random, test_random_chance(random, 2) ? HISTORY_KEYS / 8 : HISTORY_KEYS);
}

/* A group, and the state behind it, which is as the one before until entries are added. */
static step *add_group(history *h, step_kind kind, uint32_t index) {
  history_table *table = &h->tables[index];
  step *s = add_step(h, kind, index);
  s->group = ++table->group_count;
  table->rows = test_grow(table->rows, s->group, &table->row_capacity, sizeof *table->rows);
  memcpy(table->rows[s->group], table->rows[s->group - 1], sizeof table->rows[0]);
  return s;
}

static void add_entry(history *h, step *s, step_entry entry) {
  h->entries = test_grow(h->entries, h->entry_count, &h->entry_capacity, sizeof *h->entries);
  h->entries[h->entry_count++] = entry;
  uint16_t *row = h->tables[s->table].rows[s->group];
  bool gone = entry.deleted || history_expiry_ms(s->table, entry.key, s->group) == HISTORY_LONG_AGO_MS;
  row[entry.key] = gone ? 0 : (uint16_t)s->group;
  for (uint16_t key = entry.key; key < entry.before; key++) row[key] = 0;
  s->entry_count++;
}

/* The writes of some tables sweep over the keys, a stretch of them from flush to flush, so that what is flushed
 * overlaps nothing: merges move it. */
enum { SWEEP_KEYS = 5 };
static bool sweeps(uint32_t table) { return history_tree(table) == HISTORY_TREE_SMALL; }

static step_entry draw_swept(const history *h, test_random *random, uint32_t table) {
  unsigned window = h->tables[table].flushes % (HISTORY_KEYS / SWEEP_KEYS);
  return (step_entry){.key = (uint16_t)(window * SWEEP_KEYS + test_random_below(random, SWEEP_KEYS)),
                      .deleted = test_random_chance(random, 400)};
}

/* One write in 25 deletes a range, of few keys mostly. */
static step_entry draw_entry(const history *h, test_random *random, uint32_t table) {
  if (sweeps(table)) return draw_swept(h, random, table);
  step_entry entry = {.key = draw_key(random)};
  entry.deleted = test_random_chance(random, 4);
  if (!entry.deleted || !test_random_chance(random, 6)) return entry;
  uint16_t most = (uint16_t)(HISTORY_KEYS - 1 - entry.key);
  if (most > 8 && !test_random_chance(random, 8)) most = 8;
  entry.before = (uint16_t)(entry.key + test_random_below(random, most + 1u));
  if (entry.before == entry.key) entry.before = 0;
  return entry;
}

static void add_write(history *h, test_random *random, uint32_t index) {
  size_t count = test_random_chance(random, 3) ? 2 + test_random_below(random, BATCH_ENTRIES_MAX - 1) : 1;
  step *s = add_group(h, STEP_WRITE, index);
  s->sync = test_random_chance(random, 5);
  for (size_t i = 0; i < count; i++) {
    add_entry(h, s, draw_entry(h, random, index));
  }
}

static void add_load(history *h, test_random *random, uint32_t index) {
  uint64_t one_in = 2 + test_random_below(random, HISTORY_KEYS / 4);
  step *s = add_group(h, STEP_LOAD, index);
  for (uint16_t key = 0; key < HISTORY_KEYS; key++) {
    if (test_random_chance(random, one_in)) add_entry(h, s, (step_entry){.key = key});
  }
}

static void add_drop(history *h, uint32_t live[HISTORY_SLOTS], unsigned slot) {
  if (h->table_count == HISTORY_TABLES_MAX) return;
  add_step(h, STEP_DROP, live[slot]);
  live[slot] = add_table(h, slot);
}

static void begin(history *h, uint32_t live[HISTORY_SLOTS]) {
  *h = (history){0};
  for (unsigned slot = 0; slot < HISTORY_SLOTS; slot++) live[slot] = add_table(h, slot);
}

static void add_any(history *h, test_random *random, uint32_t live[HISTORY_SLOTS], bool loads) {
  unsigned slot = (unsigned)test_random_below(random, HISTORY_SLOTS);
  uint64_t dice = test_random_below(random, 1000);
  if (dice < 4)
    add_drop(h, live, slot);
  else if (dice < 9)
    add_step(h, STEP_REOPEN_STORE, live[slot]);
  else if (dice < 17)
    add_step(h, STEP_REOPEN_TABLE, live[slot]);
  else if (dice < 25)
    add_step(h, STEP_COMPACT, live[slot]);
  else if (dice < (sweeps(live[slot]) ? 70 : 40))
    add_step(h, STEP_FLUSH, live[slot]);
  else if (dice < 75)
    add_step(h, STEP_SYNC, live[slot]);
  else if (dice < 86 && loads && !sweeps(live[slot]))
    add_load(h, random, live[slot]);
  else
    add_write(h, random, live[slot]);
}

void history_init(history *h, uint64_t seed, size_t step_count) {
  test_random random = {test_mix(seed, 1)};
  uint32_t live[HISTORY_SLOTS];
  begin(h, live);
  while (h->step_count < step_count) add_any(h, &random, live, true);
}

/* ---- changes of keys ----------------------------------------------------------------------------------- */

/* While rewraps are held up, keys change on; a change of the catalogue's key would wait for its rewrap. */
static void add_key_step(history *h, test_random *random, const uint32_t live[HISTORY_SLOTS], unsigned keys,
                         bool *held) {
  uint32_t table = live[test_random_below(random, HISTORY_SLOTS)];
  unsigned key = (unsigned)test_random_below(random, keys);
  uint64_t dice = test_random_below(random, 16);
  if (dice < 3)
    add_step(h, STEP_ROTATE, table);
  else if (dice < 8)
    add_step(h, STEP_SET_KEY, table)->key = key;
  else if (dice < 9)
    add_step(h, STEP_REOPEN_STORE, table);
  else if (dice < 10)
    add_step(h, STEP_LINKS, table)->key = key % 2;
  else if (*held || dice < 12) {
    add_step(h, *held ? STEP_RELEASE : STEP_HOLD, table);
    *held = !*held;
  } else if (dice < 14)
    add_step(h, STEP_STORE_ROTATE, table);
  else
    add_step(h, STEP_STORE_SET_KEY, table)->key = key;
}

void history_init_keys(history *h, uint64_t seed, size_t step_count, unsigned key_count) {
  test_random random = {test_mix(seed, 1)};
  uint32_t live[HISTORY_SLOTS];
  bool held = false;
  begin(h, live);
  while (h->step_count < step_count) {
    if (test_random_chance(&random, 8))
      add_key_step(h, &random, live, key_count, &held);
    else
      add_any(h, &random, live, false);
  }
  if (held) add_step(h, STEP_RELEASE, live[0]);
}

void history_deinit(history *h) {
  for (size_t i = 0; i < h->table_count; i++) free(h->tables[i].rows);
  free(h->steps);
  free(h->entries);
  *h = (history){0};
}

/* ---- keys and values ----------------------------------------------------------------------------------- */

size_t history_key(unsigned key, char bytes[HISTORY_KEY_BYTES]) {
  return (size_t)snprintf(bytes, HISTORY_KEY_BYTES, "%04u/%.*s", key, (int)(key % 13), "abcdefghijklm");
}

unsigned history_key_index(nacre_slice key) {
  char text[HISTORY_KEY_BYTES] = {0}, again[HISTORY_KEY_BYTES];
  if (key.size < 5 || key.size >= sizeof text) return HISTORY_KEYS;
  memcpy(text, key.data, key.size);
  unsigned long index = strtoul(text, NULL, 10);
  if (index >= HISTORY_KEYS || history_key((unsigned)index, again) != key.size ||
      memcmp(text, again, key.size) != 0)
    return HISTORY_KEYS;
  return (unsigned)index;
}

size_t history_value(uint32_t table, unsigned key, uint32_t group, uint8_t bytes[HISTORY_VALUE_BYTES]) {
  uint64_t mixed = test_mix(test_mix(table, key), group);
  size_t size = mixed % 16 == 0 ? (mixed >> 8) % 8000 : (mixed >> 8) % 400;
  for (unsigned i = 0; i < GROUP_BYTES; i++) bytes[i] = (uint8_t)(group >> (8 * i));
  test_value_make(bytes + GROUP_BYTES, size, table, key, group);
  return GROUP_BYTES + size;
}

uint64_t history_expiry_ms(uint32_t table, unsigned key, uint32_t group) {
  uint64_t dice = test_mix(test_mix(group, key), table) % 24;
  return dice == 0 ? HISTORY_LONG_AGO_MS : dice < 3 ? HISTORY_FAR_MS + group : 0;
}

uint32_t history_value_group(const history *h, uint32_t table, unsigned key, nacre_slice value) {
  uint8_t expected[HISTORY_VALUE_BYTES];
  uint32_t group = 0;
  if (value.size < GROUP_BYTES) return 0;
  for (unsigned i = 0; i < GROUP_BYTES; i++) group |= (uint32_t)((const uint8_t *)value.data)[i] << (8 * i);
  if (group > h->tables[table].group_count) return 0;
  size_t size = history_value(table, key, group, expected);
  return size == value.size && memcmp(expected, value.data, size) == 0 ? group : 0;
}
