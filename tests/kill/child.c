/* SPDX-License-Identifier: Apache-2.0
 *
 * The process that is killed. Four threads write to two tables, so that their writes meet in groups, and
 * acknowledge each operation on the pipe after it has returned. Another closes a table now and then, while they wait. It ends by itself when its parent dies, and after CHILD_SECONDS_MAX in any case.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "dying_io.h"
#include "plan.h"

enum { CHILD_SECONDS_MAX = 60, CLOSE_EVERY_US = 80000 };

typedef struct writer {
  const plan_child *child;
  uint32_t thread;
  nacre_table **tables;
} writer;

/* Writers go on together; who closes a table waits for them, and is not kept waiting. */
static pthread_rwlock_t in_use = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;

/* One record is less than PIPE_BUF, so it arrives whole or not at all. */
static void acknowledge(const plan_child *child, uint32_t thread, nacre_status status, uint64_t n) {
  plan_acknowledgement record = {.thread = thread, .status = (uint32_t)status, .n = n};
  if (write(child->pipe, &record, sizeof record) != (ssize_t)sizeof record) _exit(4);
}

static int give_up(const plan_child *child, uint32_t thread, nacre_status status, uint64_t n,
                   const char *what) {
  nacre_error error;
  nacre_last_error(&error);
  fprintf(stderr, "child: %s: %s: %s (file \"%s\", offset %lld)\n", what, nacre_status_name(status),
          error.text, error.file, (long long)error.offset);
  acknowledge(child, thread, status, n);
  return 3;
}

/* The first key behind: the same and a zero, which stands behind it in the buffer already. */
static nacre_slice behind(const char key_bytes[PLAN_KEY_BYTES], nacre_slice key) {
  return (nacre_slice){key_bytes, key.size + 1};
}

static nacre_status write_one(const writer *w, const plan_operation *op, uint64_t n,
                              const nacre_write_options *options) {
  char key_bytes[PLAN_KEY_BYTES];
  uint8_t value[PLAN_VALUE_BYTES];
  const plan_entry *entry = &op->entries[0];
  nacre_slice key = {key_bytes, plan_key(w->thread, entry->key, key_bytes)};
  if (entry->as_range) return nacre_delete_range(w->tables[op->table], key, behind(key_bytes, key), options);
  if (entry->deleted) return nacre_delete(w->tables[op->table], key, options);
  size_t size = plan_value(w->thread, op->table, entry->key, n, value);
  nacre_write_options how = *options;
  how.expire_at_ms = entry->expire_at_ms;
  return nacre_put(w->tables[op->table], key, (nacre_slice){value, size}, &how);
}

static nacre_status write_batch(const writer *w, const plan_operation *op, uint64_t n,
                                const nacre_write_options *options) {
  nacre_batch *batch = NULL;
  nacre_status status = nacre_batch_create(&batch);
  for (size_t i = 0; i < op->entry_count && status == NACRE_OK; i++) {
    char key_bytes[PLAN_KEY_BYTES];
    uint8_t value[PLAN_VALUE_BYTES];
    nacre_slice key = {key_bytes, plan_key(w->thread, op->entries[i].key, key_bytes)};
    if (op->entries[i].as_range) {
      status = nacre_batch_delete_range(batch, key, behind(key_bytes, key));
    } else if (op->entries[i].deleted) {
      status = nacre_batch_delete(batch, key);
    } else {
      size_t size = plan_value(w->thread, op->table, op->entries[i].key, n, value);
      status = nacre_batch_put_expiring(batch, key, (nacre_slice){value, size}, op->entries[i].expire_at_ms);
    }
  }
  if (status == NACRE_OK) status = nacre_write(w->tables[op->table], batch, options);
  nacre_batch_destroy(batch);
  return status;
}

static nacre_status bulk_load(const writer *w, const plan_operation *op, uint64_t n) {
  nacre_load *load = NULL;
  nacre_status status = nacre_load_begin(w->tables[op->table], NULL, &load);
  for (size_t i = 0; i < op->entry_count && status == NACRE_OK; i++) {
    char key_bytes[PLAN_KEY_BYTES];
    uint8_t value[PLAN_VALUE_BYTES];
    nacre_slice key = {key_bytes, plan_key(w->thread, op->entries[i].key, key_bytes)};
    size_t size = plan_value(w->thread, op->table, op->entries[i].key, n, value);
    status = nacre_load_put_expiring(load, key, (nacre_slice){value, size}, op->entries[i].expire_at_ms);
  }
  if (status == NACRE_OK) status = nacre_load_commit(load);
  if (status != NACRE_OK) nacre_load_abort(load);
  return status;
}

static nacre_status perform(const writer *w, const plan_operation *op, uint64_t n) {
  nacre_write_options options = {.sync = op->sync};
  nacre_slice unbounded = {NULL, 0};
  switch (op->kind) {
    case PLAN_WRITE:
      return op->entry_count == 1 ? write_one(w, op, n, &options) : write_batch(w, op, n, &options);
    case PLAN_LOAD:
      return bulk_load(w, op, n);
    case PLAN_SYNC:
      return nacre_sync(w->tables[op->table]);
    case PLAN_FLUSH:
      return nacre_flush(w->tables[op->table]);
    case PLAN_COMPACT:
      return nacre_compact(w->tables[op->table], unbounded, unbounded);
  }
  return NACRE_INVALID;
}

static void *write_on(void *arg) {
  const writer *w = arg;
  for (uint64_t n = w->child->start[w->thread];; n++) {
    plan_operation op;
    plan_make(w->child->seed, w->thread, n, &op);
    pthread_rwlock_rdlock(&in_use);
    nacre_status status = perform(w, &op, n);
    pthread_rwlock_unlock(&in_use);
    if (status != NACRE_OK) _exit(give_up(w->child, w->thread, status, n, "an operation"));
    acknowledge(w->child, w->thread, status, n);
  }
}

/* ---- closes -------------------------------------------------------------------------------------------- */

typedef struct closer {
  const plan_child *child;
  nacre_store *store;
  nacre_table **tables;
} closer;

/* Closes a table and opens it again. `*ret_flushed`: nothing was left to be replayed. */
static nacre_status reopen(const closer *c, uint32_t table, bool *ret_flushed) {
  nacre_recovery_report report = {0};
  pthread_rwlock_wrlock(&in_use);
  nacre_status status = nacre_table_close(c->tables[table]);
  if (status == NACRE_OK) status = nacre_table_open(c->store, plan_table_names[table], NULL, &c->tables[table]);
  if (status == NACRE_OK) status = nacre_table_recovery(c->tables[table], &report);
  pthread_rwlock_unlock(&in_use);
  *ret_flushed = report.logs == 0;
  return status;
}

static void *close_now_and_then(void *arg) {
  const closer *c = arg;
  test_random random = {test_mix(c->child->seed, c->child->start[0] * 37 + c->child->start[1])};
  for (;;) {
    bool flushed;
    usleep((useconds_t)test_random_below(&random, CLOSE_EVERY_US));
    nacre_status status = reopen(c, (uint32_t)test_random_below(&random, PLAN_TABLES), &flushed);
    if (status != NACRE_OK) _exit(give_up(c->child, PLAN_CLOSE_THREAD, status, 0, "closing a table"));
    acknowledge(c->child, PLAN_CLOSE_THREAD, status, flushed);
  }
}

/* ---- keys ---------------------------------------------------------------------------------------------- */

typedef struct keeper {
  const plan_child *child;
  nacre_store *store;
  nacre_table **tables;
} keeper;

static nacre_status change_key(const keeper *k, plan_key_news news, bool rotate) {
  char uri[340];
  plan_keyring_uri(k->child->key_uri, news.keyring, uri, sizeof uri);
  nacre_key_spec spec = {.uri = uri};
  if (news.subject == PLAN_TABLES)
    return rotate ? nacre_store_rotate(k->store) : nacre_store_set_key(k->store, spec);
  nacre_table *table = k->tables[news.subject];
  return rotate ? nacre_table_rotate(table) : nacre_table_set_key(table, &spec, 1);
}

static nacre_status change_some_key(const keeper *k, test_random *random) {
  plan_key_news news = {(unsigned)test_random_below(random, PLAN_KEYED),
                        (unsigned)test_random_below(random, PLAN_KEYRINGS), false};
  bool rotate = test_random_chance(random, 3);
  if (!rotate) acknowledge(k->child, PLAN_KEY_THREAD, NACRE_OK, plan_key_news_encode(news));
  nacre_status status = change_key(k, news, rotate);
  news.done = true;
  if (!rotate && status == NACRE_OK)
    acknowledge(k->child, PLAN_KEY_THREAD, NACRE_OK, plan_key_news_encode(news));
  if (status == NACRE_OK && news.subject < PLAN_TABLES && test_random_chance(random, 2))
    status = nacre_table_rewrap_wait(k->tables[news.subject], NULL);
  return status;
}

static void *change_keys(void *arg) {
  const keeper *k = arg;
  test_random random = {test_mix(k->child->seed, k->child->start[0] * 31 + k->child->start[1])};
  for (;;) {
    nacre_status status = change_some_key(k, &random);
    if (status != NACRE_OK) _exit(give_up(k->child, PLAN_KEY_THREAD, status, 0, "a change of keys"));
    usleep((useconds_t)test_random_below(&random, 15000));
  }
}

/* ---- the process --------------------------------------------------------------------------------------- */

/* Beside the writers: what changes keys, or where they stay what closes tables. */
static bool start_another(const plan_child *child, nacre_store *store, nacre_table **tables) {
  static keeper at_keys;
  static closer at_tables;
  pthread_t thread;
  at_keys = (keeper){child, store, tables};
  at_tables = (closer){child, store, tables};
  bool keys = child->keyrings != 0;
  return pthread_create(&thread, NULL, keys ? change_keys : close_now_and_then,
                        keys ? (void *)&at_keys : (void *)&at_tables) == 0;
}

int plan_child_run(const plan_child *child) {
  writer writers[PLAN_THREADS];
  nacre_table *tables[PLAN_TABLES];
  pthread_t threads[PLAN_THREADS];
  nacre_store *store = NULL;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  alarm(CHILD_SECONDS_MAX);
  nacre_store_options options = plan_store_options(child->key_uri, child->start[0]);
  static plan_keyrings names;
  if (child->keyrings != 0) plan_name_keyrings(&options, child->key_uri, (unsigned)child->keyrings, &names);
  options.io = child->die_at > 0 ? dying_io(child->die_at) : NULL;
  nacre_status status = nacre_open(child->store_path, &options, &store);
  if (status != NACRE_OK) return give_up(child, 0, status, 0, "opening the store");
  for (uint32_t i = 0; i < PLAN_TABLES; i++) {
    status = nacre_table_open(store, plan_table_names[i], NULL, &tables[i]);
    if (status != NACRE_OK) return give_up(child, 0, status, 0, "opening a table");
  }
  for (uint32_t t = 0; t < PLAN_THREADS; t++) {
    writers[t] = (writer){child, t, tables};
    if (pthread_create(&threads[t], NULL, write_on, &writers[t]) != 0) return 5;
  }
  if (!start_another(child, store, tables)) return 5;
  pthread_join(threads[0], NULL);
  return 5;
}
