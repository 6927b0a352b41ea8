/* SPDX-License-Identifier: Apache-2.0
 *
 * The kill loop. Each round starts a child that writes to the store of the round before, kills it at a random
 * moment (or lets it kill itself at its n-th operation on the disk), and then looks at the store: every
 * acknowledged write must be there, synced or not; of each thread the one operation that was under way may be
 * there, whole, or not; nothing else.
 *
 * Most looks are read-only, so that the next child begins with an unclean store and is often killed during
 * its recovery.
 *
 * With the argument "keys" one more thread changes the tables' keys and the catalogue's meanwhile, from keyring to
 * keyring. The keyrings that cannot be needed are taken away before each look; in some looks the change finishes,
 * and then all keyrings go that the store does not list.
 *
 * Environment: NACRE_TEST_SEED; NACRE_KILLS, how many rounds.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plan.h"

enum {
  ROUND_MS_MAX = 250,
  ACKS_MAX = 400,
  DIE_AT_MAX = 250,
  VERIFY_EVERY = 10,
  WRITABLE_EVERY = 5,
  PATIENCE_MS = 30000,
  KILLS_WITH_CLOSES = 50, /* that many have seen some that flushed */
  CHILD_NUMBERS = 4 + PLAN_THREADS /* seed, die_at, pipe, keyrings, where each thread begins */
};

typedef struct parent {
  char store_path[300], key_uri[300];
  uint64_t seed, round;
  test_random random;
  plan_state states[PLAN_THREADS]; /* after `done` operations */
  uint64_t done[PLAN_THREADS];
  uint64_t acknowledged, in_flight_found, killed_before_any; /* figures */
  bool keyed;
  unsigned sure[PLAN_KEYED],
      maybe[PLAN_KEYED]; /* sets of keyrings: which suffices, or may, a change being under way */
  uint64_t changes, finished;
  uint64_t closes, flushed_at_close;
} parent;

/* ---- the child, from outside --------------------------------------------------------------------------- */

static pid_t start_child(const parent *p, uint64_t die_at, int *ret_pipe) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) test_die("pipe: %s", strerror(errno));
  char numbers[CHILD_NUMBERS][24];
  uint64_t keyrings = p->keyed ? p->sure[PLAN_TABLES] | p->maybe[PLAN_TABLES] : 0;
  uint64_t values[CHILD_NUMBERS] = {p->seed, die_at, (uint64_t)ends[1], keyrings};
  for (int t = 0; t < PLAN_THREADS; t++) values[4 + t] = p->done[t] + 1;
  char program[] = "kill_loop", flag[] = "--child", store[300], key[300];
  memcpy(store, p->store_path, sizeof store);
  memcpy(key, p->key_uri, sizeof key);
  char *arguments[4 + CHILD_NUMBERS + 1] = {program, flag, store, key};
  for (int i = 0; i < CHILD_NUMBERS; i++) {
    snprintf(numbers[i], sizeof numbers[i], "%llu", (unsigned long long)values[i]);
    arguments[4 + i] = numbers[i];
  }
  pid_t pid = fork();
  if (pid < 0) test_die("fork: %s", strerror(errno));
  if (pid == 0) {
    fcntl(ends[1], F_SETFD, 0);
    execv("/proc/self/exe", arguments);
    _exit(127);
  }
  close(ends[1]);
  *ret_pipe = ends[0];
  return pid;
}

static void note_key(parent *p, plan_key_news news) {
  p->maybe[news.subject] |= 1u << news.keyring;
  if (!news.done) return;
  p->sure[news.subject] = 1u << news.keyring;
  p->maybe[news.subject] = 0;
  p->changes++;
}

static void note_acknowledgement(parent *p, const plan_acknowledgement *record) {
  plan_operation op;
  if (!CHECK(record->status == NACRE_OK, "round %llu: the child reports %s", (unsigned long long)p->round,
             nacre_status_name((nacre_status)record->status)))
    return;
  if (record->thread == PLAN_KEY_THREAD) {
    note_key(p, plan_key_news_decode(record->n));
    return;
  }
  if (record->thread == PLAN_CLOSE_THREAD) {
    p->closes++;
    p->flushed_at_close += record->n;
    return;
  }
  uint64_t *done = &p->done[record->thread];
  CHECK(record->n == *done + 1, "round %llu: acknowledgements out of order", (unsigned long long)p->round);
  plan_make(p->seed, record->thread, record->n, &op);
  plan_apply(&p->states[record->thread], &op, record->n);
  *done = record->n;
  p->acknowledged++;
}

static int main_child(char **arguments) {
  uint64_t numbers[CHILD_NUMBERS];
  for (int i = 0; i < CHILD_NUMBERS; i++) numbers[i] = strtoull(arguments[4 + i], NULL, 10);
  plan_child child = {.store_path = arguments[2],
                      .key_uri = arguments[3],
                      .seed = numbers[0],
                      .die_at = numbers[1],
                      .pipe = (int)numbers[2],
                      .keyrings = numbers[3]};
  for (int t = 0; t < PLAN_THREADS; t++) child.start[t] = numbers[4 + t];
  return plan_child_run(&child);
}

/* Reads acknowledgements until the pipe ends; kills the child after `acks` of them or `ms`, whichever
 * comes first. */
static uint64_t listen_and_kill(parent *p, pid_t pid, int pipe, uint64_t ms, uint64_t acks) {
  double kill_at = test_seconds() + (double)ms / 1000;
  uint64_t heard = 0;
  bool killed = false;
  for (;;) {
    double left = kill_at - test_seconds();
    struct pollfd poll_for = {.fd = pipe, .events = POLLIN};
    if (!killed && (heard >= acks || left <= 0)) {
      kill(pid, SIGKILL);
      killed = true;
    }
    if (poll(&poll_for, 1, killed ? -1 : (int)(left * 1000) + 1) <= 0) continue;
    plan_acknowledgement records[64];
    ssize_t size = read(pipe, records, sizeof records);
    if (size <= 0) return heard;
    CHECK(size % (ssize_t)sizeof records[0] == 0, "a torn acknowledgement");
    for (size_t i = 0; i < (size_t)size / sizeof records[0]; i++, heard++)
      note_acknowledgement(p, &records[i]);
  }
}

static void run_child(parent *p) {
  bool dies_by_itself = test_random_chance(&p->random, 3);
  uint64_t die_at = dies_by_itself ? 1 + test_random_below(&p->random, DIE_AT_MAX) : 0;
  uint64_t ms = dies_by_itself ? PATIENCE_MS : test_random_below(&p->random, ROUND_MS_MAX);
  uint64_t acks = test_random_chance(&p->random, 2) && !dies_by_itself
                      ? test_random_below(&p->random, ACKS_MAX) + 1
                      : UINT64_MAX;
  if (acks != UINT64_MAX) ms = PATIENCE_MS;
  int pipe = -1, status = 0;
  pid_t pid = start_child(p, die_at, &pipe);
  if (listen_and_kill(p, pid, pipe, ms, acks) == 0) p->killed_before_any++;
  close(pipe);
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
        "round %llu: the child ended by itself, status %#x", (unsigned long long)p->round, (unsigned)status);
}

/* ---- looking at what is left --------------------------------------------------------------------------- */

static bool check_status(const parent *p, nacre_status status, const char *what) {
  nacre_error error = {0};
  if (status != NACRE_OK) nacre_last_error(&error);
  return CHECK(status == NACRE_OK, "round %llu: %s: %s: %s (file \"%s\", offset %lld)",
               (unsigned long long)p->round, what, nacre_status_name(status), error.text, error.file,
               (long long)error.offset);
}

static void read_table(const parent *p, nacre_table *table, uint32_t index, plan_state found[PLAN_THREADS]) {
  nacre_iter *iter = NULL;
  if (!check_status(p, nacre_iter_open(table, NULL, &iter), "open an iterator")) return;
  for (nacre_iter_first(iter); nacre_iter_valid(iter); nacre_iter_next(iter)) {
    uint32_t thread = 0, key = 0;
    if (!CHECK(plan_key_parse(nacre_iter_key(iter), &thread, &key),
               "round %llu: a key that was never written", (unsigned long long)p->round))
      continue;
    uint64_t n = plan_value_parse(thread, index, key, nacre_iter_value(iter));
    found[thread].written[index][key] = n;
    CHECK(n > 0, "round %llu: table %u, thread %u, key %u: a value that was never written",
          (unsigned long long)p->round, index, thread, key);
  }
  check_status(p, nacre_iter_status(iter), "iterate");
  nacre_iter_close(iter);
}

static void explain(const parent *p, uint32_t thread, const plan_state *found) {
  for (uint32_t table = 0; table < PLAN_TABLES; table++)
    for (uint32_t key = 0; key < PLAN_KEYS; key++) {
      uint64_t expected = p->states[thread].written[table][key], n = found->written[table][key];
      if (!CHECK(n == expected,
                 "round %llu: table %u, thread %u, key %u: found operation %llu, expected %llu; acknowledged "
                 "up to %llu",
                 (unsigned long long)p->round, table, thread, key, (unsigned long long)n,
                 (unsigned long long)expected, (unsigned long long)p->done[thread]))
        return;
    }
}

/* The acknowledged state, or that and the one operation under way. */
static void compare_thread(parent *p, uint32_t thread, const plan_state *found) {
  plan_operation op;
  plan_state with = p->states[thread];
  plan_make(p->seed, thread, p->done[thread] + 1, &op);
  plan_apply(&with, &op, p->done[thread] + 1);
  if (memcmp(&p->states[thread], found, sizeof *found) == 0) {
    CHECK(true, "as acknowledged");
  } else if (CHECK(memcmp(&with, found, sizeof with) == 0, "round %llu: thread %u is in no expected state",
                   (unsigned long long)p->round, thread)) {
    p->states[thread] = with;
    p->done[thread]++;
    p->in_flight_found++;
  } else {
    explain(p, thread, found);
  }
}

static void open_and_read(parent *p, nacre_store *store, plan_state found[PLAN_THREADS],
                          void (*finish)(parent *p, nacre_table *table, uint32_t index)) {
  for (uint32_t i = 0; i < PLAN_TABLES; i++) {
    nacre_table *table = NULL;
    if (!check_status(p, nacre_table_open(store, plan_table_names[i], NULL, &table), "open a table"))
      continue;
    read_table(p, table, i, found);
    if (finish != NULL) finish(p, table, i);
    bool verified = p->keyed ? finish != NULL : p->round % VERIFY_EVERY == 0;
    if (verified) check_status(p, nacre_verify(table, NULL, NULL), "verify");
    check_status(p, nacre_table_close(table), "close a table");
  }
}

static bool is_writable_round(const parent *p) { return p->round % WRITABLE_EVERY == WRITABLE_EVERY - 1; }

static void look(parent *p) {
  nacre_store *store = NULL;
  static plan_state found[PLAN_THREADS];
  memset(found, 0, sizeof found);
  nacre_store_options options = plan_store_options(p->key_uri, p->round);
  options.read_only = !is_writable_round(p);
  if (!check_status(p, nacre_open(p->store_path, &options, &store), "open the store")) return;
  open_and_read(p, store, found, NULL);
  check_status(p, nacre_close(store), "close the store");
  for (uint32_t t = 0; t < PLAN_THREADS; t++) compare_thread(p, t, &found[t]);
}

/* ---- keys ---------------------------------------------------------------------------------------------- */

/* Has the keyrings of a set at their places, and no other. */
static void leave_keyrings(const parent *p, unsigned set) {
  for (unsigned i = 0; i < PLAN_KEYRINGS; i++) {
    char uri[340], away[360];
    plan_keyring_uri(p->key_uri, i, uri, sizeof uri);
    const char *path = uri + strlen("local:");
    snprintf(away, sizeof away, "%s.away", path);
    bool stays = (set >> i & 1) != 0;
    if (rename(stays ? away : path, stays ? path : away) != 0 && errno != ENOENT)
      test_die("moving a keyring: %s", strerror(errno));
  }
}

static void note_listed(parent *p, const nacre_key_status *status, uint32_t subject) {
  unsigned listed = 0;
  for (size_t k = 0; k < nacre_kms_keys_count(status->kms_keys); k++)
    for (unsigned i = 0; i < PLAN_KEYRINGS; i++) {
      char uri[340];
      plan_keyring_uri(p->key_uri, i, uri, sizeof uri);
      if (strcmp(uri, nacre_kms_keys_at(status->kms_keys, k)->uri) == 0) listed |= 1u << i;
    }
  unsigned allowed = p->sure[subject] | p->maybe[subject];
  CHECK(nacre_kms_keys_count(status->kms_keys) == 1 && (listed & ~allowed) == 0 && listed != 0,
        "round %llu: subject %u lists keyrings %#x, of %#x", (unsigned long long)p->round, subject, listed,
        allowed);
  CHECK(nacre_key_versions_count(status->versions) == 1 && status->files_left == 0 && !status->changing,
        "round %llu: subject %u is not settled", (unsigned long long)p->round, subject);
  p->sure[subject] = listed;
  p->maybe[subject] = 0;
}

static void note_status(parent *p, nacre_status status, nacre_key_status *found, uint32_t subject) {
  if (!check_status(p, status, "key status")) return;
  note_listed(p, found, subject);
  nacre_key_versions_free(found->versions);
  nacre_kms_keys_free(found->kms_keys);
}

static void finish_change(parent *p, nacre_table *table, uint32_t index) {
  nacre_key_status status = {0};
  check_status(p, nacre_table_rewrap_wait(table, NULL), "wait for the rewrap");
  note_status(p, nacre_table_key_status(table, &status), &status, index);
}

static void open_keyed(parent *p, bool read_only, bool finish, plan_state found[PLAN_THREADS]) {
  static plan_keyrings names;
  nacre_store *store = NULL;
  nacre_store_options options = plan_store_options(p->key_uri, p->round);
  unsigned subject = PLAN_TABLES;
  names = (plan_keyrings){0};
  plan_name_keyrings(&options, p->key_uri, p->sure[subject] | p->maybe[subject], &names);
  options.read_only = read_only;
  memset(found, 0, PLAN_THREADS * sizeof *found);
  if (!check_status(p, nacre_open(p->store_path, &options, &store), "open the store")) return;
  open_and_read(p, store, found, finish ? finish_change : NULL);
  if (finish) { /* the catalogue's rewrap began with the open; a rotation waits for its end */
    nacre_key_status status = {0};
    check_status(p, nacre_store_rotate(store), "rotate the catalogue's key");
    note_status(p, nacre_store_key_status(store, &status), &status, subject);
  }
  check_status(p, nacre_close(store), "close the store");
}

static unsigned all_keyrings(const parent *p) {
  unsigned set = 0;
  for (unsigned i = 0; i < PLAN_KEYED; i++) set |= p->sure[i] | p->maybe[i];
  return set;
}

static void look_keyed(parent *p) {
  static plan_state found[PLAN_THREADS];
  bool finish = is_writable_round(p);
  leave_keyrings(p, all_keyrings(p));
  open_keyed(p, !finish, finish, found);
  for (uint32_t t = 0; t < PLAN_THREADS; t++) compare_thread(p, t, &found[t]);
  if (finish) {
    p->finished++;
    leave_keyrings(p, all_keyrings(p));
    open_keyed(p, false, false, found);
    for (uint32_t t = 0; t < PLAN_THREADS; t++) compare_thread(p, t, &found[t]);
  }
  leave_keyrings(p, UINT_MAX);
}

static void create_store(const parent *p) {
  nacre_store *store = NULL;
  nacre_store_options options = plan_store_options(p->key_uri, 0);
  /* The one table's tree is small, so that much of it moves. */
  static const nacre_table_options table_options[PLAN_TABLES] = {{.large_value_bytes = 4096},
                                                                 {.large_value_bytes = 4096,
                                                                  .filter_bits_per_key = UINT32_MAX,
                                                                  .segment_bytes = NACRE_SEGMENT_BYTES_MIN,
                                                                  .level_ratio = NACRE_LEVEL_RATIO_MIN}};
  options.create = true;
  if (!check_status(p, nacre_open(p->store_path, &options, &store), "create the store"))
    test_die("cannot go on");
  for (uint32_t i = 0; i < PLAN_TABLES; i++)
    check_status(p, nacre_table_create(store, plan_table_names[i], &table_options[i], NULL),
                 "create a table");
  check_status(p, nacre_close(store), "close the store");
}

int main(int argc, char **argv) {
  if (argc == 4 + CHILD_NUMBERS && strcmp(argv[1], "--child") == 0) return main_child(argv);
  static parent p;
  char scratch[200];
  double started = test_seconds();
  p.seed = test_seed("kill_loop", 20260104);
  p.random.state = test_mix(p.seed, 1);
  p.keyed = argc == 2 && strcmp(argv[1], "keys") == 0;
  for (unsigned i = 0; i < PLAN_KEYED; i++) p.sure[i] = 1;
  uint64_t kills = test_env_number("NACRE_KILLS", 200);
  test_scratch_make(scratch, sizeof scratch, "kill");
  test_path(p.store_path, sizeof p.store_path, scratch, "store");
  test_key_uri(p.key_uri, sizeof p.key_uri, scratch);
  create_store(&p);
  for (p.round = 1; p.round <= kills && test_failures() == 0; p.round++) {
    run_child(&p);
    p.keyed ? look_keyed(&p) : look(&p);
  }
  if (p.keyed) CHECK(p.changes > 0 && p.finished > 0, "no key was changed, or no change was finished");
  if (!p.keyed && kills >= KILLS_WITH_CLOSES)
    CHECK(p.flushed_at_close > 0 && p.flushed_at_close < p.closes, "%llu of %llu closes have flushed",
          (unsigned long long)p.flushed_at_close, (unsigned long long)p.closes);
  if (p.keyed)
    printf("kill_keys: %llu changes of keys acknowledged, %llu finished and all other keyrings gone\n",
           (unsigned long long)p.changes, (unsigned long long)p.finished);
  printf(
      "kill_loop: %llu kills (%llu before the first acknowledgement), %llu operations acknowledged, %llu of "
      "those under way found, %llu closes, of which %llu flushed, %llu failures; %.1f s, seed %llu\n",
      (unsigned long long)(p.round - 1), (unsigned long long)p.killed_before_any,
      (unsigned long long)p.acknowledged, (unsigned long long)p.in_flight_found, (unsigned long long)p.closes,
      (unsigned long long)p.flushed_at_close,
      (unsigned long long)test_failures(), test_seconds() - started, (unsigned long long)p.seed);
  test_scratch_remove(scratch);
  return test_finish();
}
