/* SPDX-License-Identifier: Apache-2.0
 *
 * The process under test: its loop, and the store in daily use. It holds no secret outside the library: what
 * it puts or compares lies in one page, which is wiped after each use, and never goes through stdio.
 */
#include "subject_store.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

const char *step_name(step s) {
  static const char *const names[STEP_COUNT] = {"end",
                                                "busy",
                                                "resume",
                                                "rotate",
                                                "retire",
                                                "close one table",
                                                "fork",
                                                "reap",
                                                "close",
                                                "reopen",
                                                "verify",
                                                "salvage",
                                                "inspect",
                                                "keyring",
                                                "a wrong key",
                                                "a wrong passphrase",
                                                "the KMS denies",
                                                "the KMS lies",
                                                "the KMS is gone",
                                                "tampered",
                                                "a failed sync",
                                                "no space",
                                                "a failed create",
                                                "a failed rotation",
                                                "an interrupted rotation",
                                                "asked for a passphrase",
                                                "the KMS is called",
                                                "copies left"};
  return names[s];
}

/* ---- being told ---------------------------------------------------------------------------------------- */

void subject_expect(subject *s, nacre_status got, nacre_status wanted, int line) {
  if (got == wanted || s->wrong != 0) return;
  s->wrong = (uint32_t)line;
  s->wrong_status = (int32_t)got;
}

static void send_answer(subject *s, bool paused) {
  s->answer.step = s->step;
  s->answer.paused = paused;
  s->answer.wrong = s->wrong;
  s->answer.status = s->wrong_status;
  s->answer.contexts = contexts_now();
  answer told = s->answer;
  if (write(s->answers, &told, sizeof told) != (ssize_t)sizeof told) _exit(3);
}

static step receive_step(const subject *s) {
  uint32_t told = STEP_END;
  ssize_t got;
  do {
    got = read(s->commands, &told, sizeof told);
  } while (got < 0 && errno == EINTR);
  return got == (ssize_t)sizeof told && told < STEP_COUNT ? (step)told : STEP_END;
}

static void pause_step(void *arg) {
  subject *s = arg;
  send_answer(s, true);
  if (receive_step(s) != STEP_RESUME) _exit(3);
}

/* ---- the store ----------------------------------------------------------------------------------------- */

static void ignore_event(void *arg, const nacre_event *event) { (void)arg, (void)event; }

nacre_store_options subject_options(subject *s) {
  return (nacre_store_options){.create = true,
                               .default_key = {.uri = "local:" SUBJECT_KEYRING},
                               .cache_bytes = 8 << 20,
                               .memtable_bytes = 256 << 10,
                               .io = &s->around.io,
                               .on_event = ignore_event,
                               .kms_providers = s->around.providers,
                               .kms_provider_count = 1,
                               .passphrase = surroundings_ask,
                               .passphrase_arg = &s->around};
}

nacre_status subject_open(subject *s, const char *default_uri) {
  nacre_store_options options = subject_options(s);
  if (default_uri != NULL) options.default_key.uri = default_uri;
  return nacre_open(SUBJECT_STORE, &options, &s->store);
}

nacre_status subject_open_table(subject *s, uint32_t table) {
  canary_table_name(s->seed, table, (char *)s->around.page);
  nacre_status status = nacre_table_open(s->store, (const char *)s->around.page, NULL, &s->tables[table]);
  explicit_bzero(s->around.page, sizeof *s->around.page);
  return status;
}

static void create_table(subject *s, uint32_t table) {
  static const char *const uris[SUBJECT_TABLES][2] = {{NULL, NULL},
                                                      {"local:" SUBJECT_PROTECTED, NULL},
                                                      {"mask:", NULL},
                                                      {"local:" SUBJECT_KEYRING, "mask:"},
                                                      {NULL, NULL}};
  nacre_key_spec keys[2] = {{.uri = uris[table][0]}, {.uri = uris[table][1]}};
  nacre_table_options options = {
      .keys = keys,
      .key_count = (size_t)(keys[0].uri != NULL) + (keys[1].uri != NULL),
      .compression = table == 4 ? NACRE_COMPRESSION_AUTOMATIC : (nacre_compression)table};
  canary_table_name(s->seed, table, (char *)s->around.page);
  EXPECT_OK(nacre_table_create(s->store, (const char *)s->around.page, &options, &s->tables[table]));
  explicit_bzero(s->around.page, sizeof *s->around.page);
}

void subject_put(subject *s, uint32_t table, uint32_t number, bool sync, nacre_status wanted) {
  canary *c = s->around.page;
  nacre_write_options options = {.sync = sync};
  canary_make(s->seed, table, number, c);
  EXPECT(nacre_put(s->tables[table], (nacre_slice){c->key, sizeof c->key},
                   (nacre_slice){c->value, sizeof c->value}, &options),
         wanted);
  explicit_bzero(c, sizeof *c);
}

static void put_batch(subject *s, uint32_t table, uint32_t from, uint32_t to) {
  canary *c = s->around.page;
  nacre_batch *batch = NULL;
  EXPECT_OK(nacre_batch_create(&batch));
  for (uint32_t i = from; i < to; i++) {
    canary_make(s->seed, table, i, c);
    EXPECT_OK(nacre_batch_put(batch, (nacre_slice){c->key, sizeof c->key},
                              (nacre_slice){c->value, sizeof c->value}));
  }
  explicit_bzero(c, sizeof *c);
  EXPECT_OK(nacre_write(s->tables[table], batch, NULL));
  nacre_batch_destroy(batch);
}

uint32_t subject_read_all(subject *s, uint32_t table) {
  canary *c = s->around.page, *back = c + 1;
  uint32_t unread = 0;
  for (uint32_t i = 0; i < SUBJECT_ENTRIES; i++) {
    size_t size = 0;
    canary_make(s->seed, table, i, c);
    nacre_status status = nacre_get_into(s->tables[table], (nacre_slice){c->key, sizeof c->key}, NULL,
                                         back->value, sizeof back->value, &size);
    if (status != NACRE_OK) unread++;
    EXPECT_TRUE(status != NACRE_OK || (size == sizeof c->value && memcmp(back->value, c->value, size) == 0));
    explicit_bzero(c, 2 * sizeof *c);
  }
  return unread;
}

/* Two segments, a merged one, and a memtable. */
static void fill_table(subject *s, uint32_t table) {
  nacre_slice all = {NULL, 0};
  for (uint32_t i = 0; i < 60; i++) subject_put(s, table, i, false, NACRE_OK);
  EXPECT_OK(nacre_flush(s->tables[table]));
  put_batch(s, table, 60, 120);
  EXPECT_OK(nacre_flush(s->tables[table]));
  EXPECT_OK(nacre_compact(s->tables[table], all, all));
  put_batch(s, table, 120, 180);
  EXPECT_OK(nacre_flush(s->tables[table]));
  put_batch(s, table, 180, SUBJECT_ENTRIES - 20);
  for (uint32_t i = SUBJECT_ENTRIES - 20; i < SUBJECT_ENTRIES; i++)
    subject_put(s, table, i, i % 8 == 0, NACRE_OK);
}

static void hold_value(subject *s, uint32_t table, uint32_t number, nacre_value *ret_value) {
  canary *c = s->around.page;
  canary_make(s->seed, table, number, c);
  EXPECT_OK(nacre_get(s->tables[table], (nacre_slice){c->key, sizeof c->key}, NULL, ret_value));
  explicit_bzero(c, sizeof *c);
}

static void hold(subject *s, uint32_t table) {
  nacre_iter *it = NULL;
  EXPECT_OK(nacre_snapshot_take(s->tables[table], &s->snapshots[table]));
  EXPECT_OK(nacre_iter_open(s->tables[table], NULL, &it));
  nacre_iter_last(it);
  for (int i = 0; i < 5; i++) nacre_iter_prev(it);
  EXPECT_TRUE(nacre_iter_valid(it));
  s->iterators[table] = it;
  hold_value(s, table, 1, &s->values[table][0]);
  hold_value(s, table, SUBJECT_ENTRIES - 1, &s->values[table][1]);
}

/* Which UUID a table has, by the list of them. */
static void learn_uuids(subject *s) {
  nacre_table_infos *infos = NULL;
  char *name = (char *)s->around.page;
  EXPECT_OK(nacre_table_list(s->store, &infos));
  for (size_t i = 0; i < nacre_table_infos_count(infos); i++)
    for (uint32_t table = 0; table < SUBJECT_TABLES; table++) {
      const nacre_table_info *info = nacre_table_infos_at(infos, i);
      canary_table_name(s->seed, table, name);
      if (strcmp(info->name, name) == 0) memcpy(s->uuids[table], info->uuid, sizeof info->uuid);
    }
  explicit_bzero(name, sizeof *s->around.page);
  nacre_table_infos_free(infos);
}

static void begin(subject *s) {
  EXPECT_OK(subject_open(s, NULL));
  for (uint32_t table = 0; table < SUBJECT_TABLES; table++) {
    create_table(s, table);
    fill_table(s, table);
    EXPECT_TRUE(subject_read_all(s, table) == 0);
    hold(s, table);
  }
  learn_uuids(s);
  for (uint32_t table = 0; table < SUBJECT_TABLES; table++) EXPECT_OK(nacre_wait_idle(s->tables[table]));
}

void subject_close_table(subject *s, uint32_t table, bool may_fail) {
  nacre_iter_close(s->iterators[table]);
  nacre_snapshot_release(s->snapshots[table]);
  for (int i = 0; i < 2; i++) nacre_value_release(&s->values[table][i]);
  nacre_status status = nacre_table_close(s->tables[table]);
  EXPECT_TRUE(may_fail || status == NACRE_OK);
  s->iterators[table] = NULL;
  s->snapshots[table] = NULL;
  s->tables[table] = NULL;
}

void subject_close(subject *s, bool may_fail) {
  for (uint32_t table = 0; table < SUBJECT_TABLES; table++) subject_close_table(s, table, may_fail);
  nacre_status status = nacre_close(s->store);
  EXPECT_TRUE(may_fail || status == NACRE_OK);
  s->store = NULL;
}

/* ---- keys ---------------------------------------------------------------------------------------------- */

static void rotate_and_pause(subject *s) {
  atomic_store(&s->around.pause_at_rewrap, true);
  EXPECT_OK(nacre_table_rotate(s->tables[0]));
  EXPECT_OK(nacre_table_rewrap_wait(s->tables[0], NULL));
  EXPECT_TRUE(!atomic_load(&s->around.pause_at_rewrap));
}

static void retire(subject *s) {
  nacre_key_spec other = {.uri = "mask:another"};
  nacre_key_status status = {0};
  for (uint32_t table = 0; table < SUBJECT_TABLES; table++) {
    EXPECT_OK(table == 4 ? nacre_table_set_key(s->tables[4], &other, 1)
                         : nacre_table_rotate(s->tables[table]));
    EXPECT_OK(nacre_table_rewrap_wait(s->tables[table], NULL));
  }
  EXPECT_OK(nacre_store_rotate(s->store));
  EXPECT_OK(nacre_table_key_status(s->tables[3], &status));
  nacre_key_versions_free(status.versions);
  nacre_kms_keys_free(status.kms_keys);
}

static void fork_idle(subject *s) {
  s->child = fork();
  if (s->child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) pause();
  }
  s->answer.pid = s->child;
  EXPECT_TRUE(s->child > 0);
}

static void reap(subject *s) {
  kill(s->child, SIGKILL);
  EXPECT_TRUE(waitpid(s->child, NULL, 0) == s->child);
}

/* ---- the loop ------------------------------------------------------------------------------------------ */

static void close_one(subject *s) {
  subject_close_table(s, 1, false);
  memcpy(s->answer.uuid, s->uuids[1], sizeof s->answer.uuid);
}

static void do_step(subject *s) {
  if (subject_try(s)) return;
  if (s->step == STEP_BUSY) begin(s);
  if (s->step == STEP_ROTATE) rotate_and_pause(s);
  if (s->step == STEP_RETIRE) retire(s);
  if (s->step == STEP_CLOSE_ONE) close_one(s);
  if (s->step == STEP_FORK) fork_idle(s);
  if (s->step == STEP_REAP) reap(s);
  if (s->step == STEP_CLOSE) subject_close(s, false);
  if (s->step == STEP_LEAVE_COPIES) subject_leave_copies(s);
}

int subject_main(uint64_t seed, int commands, int answers) {
  static subject the_subject;
  subject *s = &the_subject;
  struct rlimit cores;
  prctl(PR_SET_PDEATHSIG, SIGKILL); /* whoever searches is gone, and with it what this is for */
  getrlimit(RLIMIT_CORE, &cores);
  cores.rlim_cur = cores.rlim_max;
  setrlimit(RLIMIT_CORE, &cores);
  s->seed = seed;
  s->commands = commands;
  s->answers = answers;
  surroundings_init(&s->around, seed);
  s->around.pause = pause_step;
  s->around.pause_arg = s;
  while ((s->step = receive_step(s)) != STEP_END) {
    s->wrong = 0;
    memset(&s->answer, 0, sizeof s->answer);
    do_step(s);
    send_answer(s, false);
  }
  return 0;
}
