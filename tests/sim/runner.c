/* SPDX-License-Identifier: Apache-2.0
 *
 * Progress is noted before a call ("issued": it may be found from now on) and after its success
 * ("acknowledged", "synced": it must be found), never in between, because an image may be taken at any
 * operation inside the call.
 */
#include "runner.h"

#include <errno.h>
#include <string.h>

nacre_store_options store_options(sim_disk *disk, const char *key_uri) {
  return (nacre_store_options){
      .default_key = {.uri = key_uri},
      .memtable_bytes = 64 * 1024,
      .cache_bytes = 256 * 1024,
      .workers = UINT32_MAX,
      .io = sim_disk_io(disk),
  };
}

nacre_store_options keyed_options(sim_disk *disk, fake_kms *kms, unsigned keys,
                                  nacre_key_spec trusted[FAKE_KMS_KEYS]) {
  nacre_store_options options = store_options(disk, NULL);
  options.kms_providers = kms->list;
  options.kms_provider_count = 1;
  for (unsigned i = 0; i < FAKE_KMS_KEYS; i++) {
    if ((keys >> i & 1) == 0) continue;
    if (options.default_key.uri == NULL)
      options.default_key.uri = fake_kms_uri(i);
    else
      trusted[options.trusted_key_count++] = (nacre_key_spec){.uri = fake_kms_uri(i)};
  }
  options.trusted_keys = trusted;
  return options;
}

/* Called on this thread: the store has no workers. */
static void note_event(void *arg, const nacre_event *event) {
  runner *r = arg;
  if (!r->closing) return;
  r->flushed_at_close += event->type == NACRE_EVENT_FLUSHED;
  r->unflushed_at_close += event->type == NACRE_EVENT_BACKGROUND_ERROR && event->work == NACRE_WORK_FLUSH;
}

void runner_init_keys(runner *r, const history *h, sim_disk *disk, fake_kms *kms) {
  *r = (runner){.history = h, .options = store_options(disk, NULL), .disk = disk, .kms = kms};
  r->catalogue_keys.sure = 1;
  for (uint32_t i = 0; i < h->table_count; i++) r->keys[i].sure = 1;
}

void runner_init(runner *r, const history *h, const nacre_store_options *options) {
  *r = (runner){.history = h, .options = *options};
}

static nacre_status open_table(runner *r, uint32_t table) {
  nacre_status status = nacre_table_open(r->store, r->history->tables[table].name, NULL, &r->tables[table]);
  r->opened[table] = r->opened[table] || status == NACRE_OK;
  return status;
}

/* Also one whose creation was not acknowledged, but that could be opened. */
static bool is_in_use(const runner *r, uint32_t table) {
  presence there = r->progress[table].there;
  return there == PRESENCE_PRESENT || (there == PRESENCE_CREATING && r->opened[table]);
}

nacre_status runner_open(runner *r) {
  nacre_key_spec trusted[FAKE_KMS_KEYS];
  nacre_store_options options = r->options;
  if (r->kms != NULL)
    options = keyed_options(r->disk, r->kms, r->catalogue_keys.sure | r->catalogue_keys.maybe, trusted);
  options.create = !r->made;
  options.on_event = note_event;
  options.event_arg = r;
  nacre_status status = nacre_open(STORE_PATH, &options, &r->store);
  if (status == NACRE_OK) r->made = true;
  for (uint32_t i = 0; i < r->history->table_count && status == NACRE_OK; i++)
    if (is_in_use(r, i)) status = open_table(r, i);
  return status;
}

/* A close that succeeds has synced. */
static nacre_status close_table(runner *r, uint32_t table) {
  if (r->tables[table] == NULL) return NACRE_OK;
  r->closing = true;
  nacre_status status = nacre_table_close(r->tables[table]);
  r->closing = false;
  r->tables[table] = NULL;
  if (status == NACRE_OK) r->progress[table].synced = r->progress[table].acknowledged;
  return status;
}

nacre_status runner_close(runner *r) {
  nacre_status first = NACRE_OK;
  for (uint32_t i = 0; i < r->history->table_count; i++) {
    nacre_status status = close_table(r, i);
    first = first == NACRE_OK ? status : first;
  }
  if (r->store == NULL) return first;
  nacre_status status = nacre_close(r->store);
  r->store = NULL;
  return first == NACRE_OK ? status : first;
}

/* The catalogue is one history too: what is created durably follows on what was dropped before. */
static void confirm_drops(runner *r, const char *name, uint32_t before) {
  for (uint32_t i = 0; i < before; i++)
    if (strcmp(r->history->tables[i].name, name) == 0) r->progress[i].there = PRESENCE_ABSENT;
}

/* Run again after a failure, a create or a drop may find that the first attempt went through after all. Of a
 * drop that is no acknowledgement yet. */
static nacre_status create_table(runner *r, uint32_t table) {
  const char *name = r->history->tables[table].name;
  bool again = r->progress[table].there == PRESENCE_CREATING;
  r->progress[table].there = PRESENCE_CREATING;
  nacre_table_options options = {.compression = (nacre_compression)(table % 4),
                                 .block_bytes = 1024,
                                 .filter_bits_per_key = table % 5 == 4 ? UINT32_MAX : 0,
                                 .large_value_bytes = table % 3 == 0 ? 0 : 4096};
  if (history_tree(table) == HISTORY_TREE_SMALL) {
    options.segment_bytes = NACRE_SEGMENT_BYTES_MIN;
    options.level_ratio = NACRE_LEVEL_RATIO_MIN;
  }
  nacre_key_spec key = {.uri = fake_kms_uri(0)};
  if (r->kms != NULL) options.keys = &key;
  options.key_count = r->kms != NULL;
  nacre_status status = nacre_table_create(r->store, name, &options, &r->tables[table]);
  if (status == NACRE_EXISTS && again) return open_table(r, table);
  if (status != NACRE_OK) return status;
  r->progress[table].there = PRESENCE_PRESENT;
  confirm_drops(r, name, table);
  return NACRE_OK;
}

static nacre_status drop_table(runner *r, uint32_t table) {
  nacre_status status = close_table(r, table);
  if (status != NACRE_OK) return status;
  bool again = r->progress[table].there == PRESENCE_DROPPING;
  r->progress[table].there = PRESENCE_DROPPING;
  status = nacre_table_drop(r->store, r->history->tables[table].name);
  if (status == NACRE_NOT_FOUND && again) return NACRE_OK;
  if (status == NACRE_OK) r->progress[table].there = PRESENCE_ABSENT;
  return status;
}

static nacre_status write_entry(runner *r, const step *s, const step_entry *entry, nacre_batch *batch) {
  char key_bytes[HISTORY_KEY_BYTES];
  uint8_t value_bytes[HISTORY_VALUE_BYTES];
  nacre_slice key = {key_bytes, history_key(entry->key, key_bytes)};
  nacre_slice value = {value_bytes, history_value(s->table, entry->key, s->group, value_bytes)};
  uint64_t expire_at_ms = history_expiry_ms(s->table, entry->key, s->group);
  nacre_write_options options = {.sync = s->sync};
  if (entry->before > 0) {
    char end_bytes[HISTORY_KEY_BYTES];
    nacre_slice end = {end_bytes, history_key(entry->before, end_bytes)};
    return batch != NULL ? nacre_batch_delete_range(batch, key, end)
                         : nacre_delete_range(r->tables[s->table], key, end, &options);
  }
  if (batch != NULL)
    return entry->deleted ? nacre_batch_delete(batch, key)
                          : nacre_batch_put_expiring(batch, key, value, expire_at_ms);
  if (!entry->deleted) options.expire_at_ms = expire_at_ms;
  return entry->deleted ? nacre_delete(r->tables[s->table], key, &options)
                        : nacre_put(r->tables[s->table], key, value, &options);
}

static nacre_status write_batch(runner *r, const step *s) {
  nacre_batch *batch = NULL;
  nacre_write_options options = {.sync = s->sync};
  nacre_status status = nacre_batch_create(&batch);
  for (size_t i = 0; i < s->entry_count && status == NACRE_OK; i++)
    status = write_entry(r, s, &r->history->entries[s->first_entry + i], batch);
  if (status == NACRE_OK) status = nacre_write(r->tables[s->table], batch, &options);
  nacre_batch_destroy(batch);
  return status;
}

static nacre_status write_group(runner *r, const step *s) {
  table_progress *progress = &r->progress[s->table];
  progress->issued = s->group;
  nacre_status status =
      s->entry_count == 1 ? write_entry(r, s, &r->history->entries[s->first_entry], NULL) : write_batch(r, s);
  if (status != NACRE_OK) return status;
  progress->acknowledged = s->group;
  if (s->sync) progress->synced = s->group;
  return NACRE_OK;
}

static nacre_status put_to_load(const runner *r, const step *s, nacre_load *load) {
  nacre_status status = NACRE_OK;
  for (size_t i = 0; i < s->entry_count && status == NACRE_OK; i++) {
    char key[HISTORY_KEY_BYTES];
    uint8_t value[HISTORY_VALUE_BYTES];
    unsigned index = r->history->entries[s->first_entry + i].key;
    size_t key_size = history_key(index, key), size = history_value(s->table, index, s->group, value);
    status = nacre_load_put_expiring(load, (nacre_slice){key, key_size}, (nacre_slice){value, size},
                                     history_expiry_ms(s->table, index, s->group));
  }
  return status;
}

static nacre_status load_group(runner *r, const step *s) {
  table_progress *progress = &r->progress[s->table];
  nacre_load *load = NULL;
  nacre_status status = nacre_load_begin(r->tables[s->table], NULL, &load);
  if (status == NACRE_OK) status = put_to_load(r, s, load);
  progress->issued = s->group; /* from here on: nothing of it may be there before its commit */
  if (status == NACRE_OK) status = nacre_load_commit(load);
  if (status != NACRE_OK) {
    nacre_load_abort(load);
    return status;
  }
  progress->acknowledged = progress->synced = s->group;
  return NACRE_OK;
}

static nacre_status make_durable(runner *r, const step *s) {
  nacre_slice unbounded = {NULL, 0};
  nacre_table *table = r->tables[s->table];
  nacre_status status = s->kind == STEP_SYNC    ? nacre_sync(table)
                        : s->kind == STEP_FLUSH ? nacre_flush(table)
                                                : nacre_compact(table, unbounded, unbounded);
  if (status == NACRE_OK) r->progress[s->table].synced = r->progress[s->table].acknowledged;
  return status;
}

static nacre_status reopen_table(runner *r, uint32_t table) {
  nacre_status status = close_table(r, table);
  return status == NACRE_OK ? open_table(r, table) : status;
}

static nacre_status reopen_store(runner *r) {
  nacre_status status = runner_close(r);
  return status == NACRE_OK ? runner_open(r) : status;
}

/* ---- keys ---------------------------------------------------------------------------------------------- */

/* Once a change has succeeded the new key suffices; while it is under way, and after a failure, the old one
 * does or the new one. */
static nacre_status set_key(runner *r, const step *s, key_bounds *keys, bool of_store) {
  nacre_key_spec spec = {.uri = fake_kms_uri(s->key)};
  keys->maybe |= 1u << s->key;
  nacre_status status =
      of_store ? nacre_store_set_key(r->store, spec) : nacre_table_set_key(r->tables[s->table], &spec, 1);
  if (status == NACRE_OK) *keys = (key_bounds){.sure = 1u << s->key};
  return status;
}

static nacre_status hold(runner *r, bool held) {
  static const sim_fault fault = {.operations = SIM_OPEN_WRITABLE, .count = NACRE_NONE, .error = EMFILE};
  sim_disk_fault(r->disk, held ? &fault : NULL);
  return NACRE_OK;
}

static nacre_status release(runner *r) {
  nacre_status status = NACRE_OK;
  (void)hold(r, false);
  for (uint32_t i = 0; i < r->history->table_count && status == NACRE_OK; i++)
    if (r->tables[i] != NULL) status = nacre_table_rewrap_wait(r->tables[i], NULL);
  return status;
}

static nacre_status pretend_links(runner *r, unsigned further) {
  sim_disk_links(r->disk, further);
  return NACRE_OK;
}

nacre_status runner_step(runner *r, const step *s) {
  switch (s->kind) {
    case STEP_CREATE:
      return create_table(r, s->table);
    case STEP_DROP:
      return drop_table(r, s->table);
    case STEP_WRITE:
      return write_group(r, s);
    case STEP_LOAD:
      return load_group(r, s);
    case STEP_SYNC:
    case STEP_FLUSH:
    case STEP_COMPACT:
      return make_durable(r, s);
    case STEP_REOPEN_TABLE:
      return reopen_table(r, s->table);
    case STEP_REOPEN_STORE:
      return reopen_store(r);
    case STEP_ROTATE:
      return nacre_table_rotate(r->tables[s->table]);
    case STEP_SET_KEY:
      return set_key(r, s, &r->keys[s->table], false);
    case STEP_STORE_ROTATE:
      return nacre_store_rotate(r->store);
    case STEP_STORE_SET_KEY:
      return set_key(r, s, &r->catalogue_keys, true);
    case STEP_HOLD:
      return hold(r, true);
    case STEP_RELEASE:
      return release(r);
    case STEP_LINKS:
      return pretend_links(r, s->key);
  }
  test_die("unknown step %d", (int)s->kind);
}

void runner_bounds(const runner *r, bool power_lost, store_bounds *ret_bounds) {
  *ret_bounds = (store_bounds){.made = r->made, .catalogue_keys = r->catalogue_keys};
  memcpy(ret_bounds->keys, r->keys, sizeof r->keys);
  for (uint32_t i = 0; i < r->history->table_count; i++) {
    const table_progress *progress = &r->progress[i];
    ret_bounds->tables[i] = (table_bounds){
        .there = progress->there,
        .least = power_lost ? progress->synced : progress->acknowledged,
        .most = progress->issued,
    };
  }
}
