/* SPDX-License-Identifier: Apache-2.0
 *
 * Secrets in memory. A process keeps a store, step by step (subject.h); this one makes all its secrets again
 * from what it wrote (hoard.h), and searches its memory for them after each step: live memory as a whole,
 * dead stack frames and freed blocks included, and what a default core dump holds. What must hold:
 *
 *   dump      nothing but data keys in OpenSSL's cipher contexts, each key schedule once a context; by IPsec MB
 *             nothing at all
 *   live      root keys, passphrases, DEKs, wrapping and MAC keys: nowhere, whenever no call is using them;
 *             KEKs, users' keys, values and names: only in memory that is left out of dumps
 *   retired   a KEK that no key file has any more: nowhere
 *   closed    nothing, of a table or of the store, wherever the last call failed
 *   forked    in a child nothing but what OpenSSL's contexts hold
 *
 * The detectors are first tried on copies left on purpose, one in every sort of place.
 *
 * Environment: NACRE_TEST_SEED; NACRE_AEAD, as for the library.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "aead.h"
#include "canary.h"
#include "coding.h"
#include "hoard.h"
#include "memory.h"
#include "subject.h"
#include "support.h"

enum {
  TABLES_NAMED = SUBJECT_TABLES + 1,
  ENTRIES_NAMED = SUBJECT_ENTRIES + 4,
  PATIENCE_MS = 60000,
  FRAGMENTS_MAX = 2
};

typedef struct figures {
  uint64_t live_searches, dump_searches, cores, live_bytes, dump_bytes, contexts, in_registers, fragments,
      hits;
} figures;

typedef struct run {
  char directory[300];
  uint64_t seed;
  pid_t pid;
  int commands, answers;
  answer answer;
  hoard *hoard;
  memory_report *report;
  figures *figures;
} run;

/* ---- the process under test, from outside -------------------------------------------------------------- */

/* Fake stacks would keep every frame that ever was; what is searched for is what real ones keep. Blocks that
 * were freed are kept for as long as there is time to search them. */
static void set_sanitizer_options(void) {
  const char *given = getenv("ASAN_OPTIONS");
  char options[1000];
  snprintf(options, sizeof options, "%s:detect_stack_use_after_return=0:quarantine_size_mb=8",
           given != NULL ? given : "");
  setenv("ASAN_OPTIONS", options, 1);
}

static void start_process(run *r) {
  int commands[2], answers[2];
  char program[] = "secrets", flag[] = "--subject", numbers[3][24];
  if (pipe(commands) != 0 || pipe(answers) != 0) test_die("pipe: %s", strerror(errno));
  snprintf(numbers[0], sizeof numbers[0], "%llu", (unsigned long long)r->seed);
  snprintf(numbers[1], sizeof numbers[1], "%d", commands[0]);
  snprintf(numbers[2], sizeof numbers[2], "%d", answers[1]);
  char *arguments[] = {program, flag, numbers[0], numbers[1], numbers[2], NULL};
  fcntl(commands[1], F_SETFD, FD_CLOEXEC);
  fcntl(answers[0], F_SETFD, FD_CLOEXEC);
  r->pid = fork();
  if (r->pid < 0) test_die("fork: %s", strerror(errno));
  if (r->pid == 0) {
    if (chdir(r->directory) != 0) _exit(126);
    set_sanitizer_options();
    setenv("LD_BIND_NOW", "1", 1); /* for what else is linked: LZ4, as some distributions build it */
    unsetenv("MALLOC_PERTURB_");   /* Meson sets it: it would overwrite what a freed block still holds */
    execv("/proc/self/exe", arguments);
    _exit(127);
  }
  close(commands[0]);
  close(answers[1]);
  r->commands = commands[1];
  r->answers = answers[0];
}

static void collect_keyring(run *r, const char *name) {
  char path[400];
  test_path(path, sizeof path, r->directory, name);
  if (access(path, R_OK) == 0) hoard_add_keyring(r->hoard, path);
}

/* One step; on return every secret that the process has had by then is in the hoard. */
static void take_step(run *r, step s) {
  uint32_t told = s;
  char path[400];
  if (write(r->commands, &told, sizeof told) != (ssize_t)sizeof told)
    test_die("the process under test is gone");
  struct pollfd ready = {.fd = r->answers, .events = POLLIN};
  if (poll(&ready, 1, PATIENCE_MS) != 1)
    test_die("the process under test does not come to the end of \"%s\"", step_name(s));
  if (read(r->answers, &r->answer, sizeof r->answer) != (ssize_t)sizeof r->answer)
    test_die("the process under test ended in \"%s\"", step_name(s));
  CHECK(r->answer.wrong == 0, "\"%s\" went another way than it should (line %u): %s", step_name(s),
        r->answer.wrong, nacre_status_name((nacre_status)r->answer.status));
  collect_keyring(r, SUBJECT_KEYRING);
  collect_keyring(r, SUBJECT_PROTECTED);
  collect_keyring(r, SUBJECT_OTHER);
  test_path(path, sizeof path, r->directory, SUBJECT_OVERHEARD);
  hoard_add_overheard(r->hoard, path);
}

/* Mid-word and mid-prefix: whatever of it a compressor or a block keeps in one piece. */
static void add_canaries(needles *set, uint64_t seed) {
  char name[CANARY_WORD];
  uint8_t control[32];
  canary c;
  for (uint32_t table = 0; table < TABLES_NAMED; table++) {
    canary_table_name(seed, table, name);
    needles_add(set, NEEDLE_NAME, table, name, 16);
    needles_add(set, NEEDLE_NAME, table, name + 16, 16);
    for (uint32_t i = 0; i < ENTRIES_NAMED; i++) {
      canary_make(seed, table, i, &c);
      needles_add(set, NEEDLE_KEY, table, c.key + 4, CANARY_NOISE - 4);
      needles_add(set, NEEDLE_VALUE, table, c.value, CANARY_NOISE);
      needles_add(set, NEEDLE_VALUE, table, c.value + CANARY_NOISE, CANARY_TEXT);
    }
  }
  canary_control_key(seed, control);
  needles_add_cipher_key(set, NEEDLE_DATA_KEY, 0, control);
}

static void begin_run(run *r, const char *scratch, const char *name, uint64_t seed, figures *f) {
  char path[300];
  memset(r, 0, sizeof *r);
  test_path(path, sizeof path, scratch, name);
  /* The keys' URIs tell paths from the directory in which the process under test runs. */
  if (mkdir(path, 0700) != 0 || realpath(path, r->directory) == NULL || chdir(r->directory) != 0)
    test_die("cannot make %s", path);
  r->seed = seed;
  r->figures = f;
  r->hoard = hoard_create(seed);
  r->report = test_alloc(sizeof *r->report);
  add_canaries(hoard_needles(r->hoard), seed);
  start_process(r);
}

static void end_run(run *r) {
  if (r->pid > 0) {
    close(r->commands);
    int state = 0;
    CHECK(waitpid(r->pid, &state, 0) == r->pid && (WIFSIGNALED(state) || WEXITSTATUS(state) == 0),
          "the process under test ended badly");
  } else {
    close(r->commands);
  }
  close(r->answers);
  free(r->report);
  hoard_destroy(r->hoard);
}

/* ---- what must hold ------------------------------------------------------------------------------------ */

static void refuse(run *r, pid_t pid, const char *when, int kind, bool is_private) {
  const memory_report *m = r->report;
  uint64_t hits = is_private ? m->in_private[kind] : m->in_ordinary[kind];
  r->figures->hits += hits;
  if (CHECK(hits == 0, "%s: %llu times a %s in %s", when, (unsigned long long)hits,
            needle_kind_name((needle_kind)kind), is_private ? "memory left out of dumps" : "ordinary memory"))
    return;
  memory_tell(m, pid, kind, is_private);
}

/* Each of OpenSSL's contexts holds its schedule once, and nothing else holds any. */
static void expect_contexts(run *r, pid_t pid, const char *when, uint64_t contexts) {
  const memory_report *m = r->report;
  uint64_t keys = m->in_ordinary[NEEDLE_DATA_KEY], rounds = m->in_ordinary[NEEDLE_DATA_ROUND_KEY];
  if (CHECK(keys == contexts && rounds == 13 * contexts,
            "%s: %llu data keys and %llu of their round keys in ordinary memory, for %llu cipher contexts",
            when, (unsigned long long)keys, (unsigned long long)rounds, (unsigned long long)contexts))
    return;
  memory_tell(m, pid, NEEDLE_DATA_KEY, false);
}

static void search_live(run *r, pid_t pid) {
  memory_search_live(pid, hoard_needles(r->hoard), r->report);
  r->figures->live_searches++;
  r->figures->live_bytes += r->report->bytes;
}

/* `told`: the last error, in ordinary memory, tells the name of a table that the caller has named. */
static void check_nothing(run *r, const char *when, bool told) {
  search_live(r, r->pid);
  CHECK(r->report->bytes > 0, "%s: no memory was read", when);
  CHECK(r->answer.contexts == 0, "%s: %llu cipher contexts are left", when,
        (unsigned long long)r->answer.contexts);
  for (int kind = 0; kind < NEEDLE_KINDS; kind++) {
    if (!told || kind != NEEDLE_NAME) refuse(r, r->pid, when, kind, false);
    refuse(r, r->pid, when, kind, true);
  }
}

/* A register's width of a user's key or value, once in many runs, in a dead frame of a thread that compresses
 * or copies (crypto/README.md). It is told and counted; more than that, and any key, is a failure. */
static bool only_fragments(run *r, pid_t pid, int kind) {
  uint64_t hits = r->report->in_ordinary[kind];
  if ((kind != NEEDLE_KEY && kind != NEEDLE_VALUE) || hits == 0 || hits > FRAGMENTS_MAX) return false;
  r->figures->fragments += hits;
  memory_tell(r->report, pid, kind, false);
  return true;
}

static void check_ordinary(run *r, pid_t pid, const char *when) {
  for (int kind = 0; kind < NEEDLE_KINDS; kind++)
    if (!needle_is_of_data_key(kind) && !only_fragments(r, pid, kind)) refuse(r, pid, when, kind, false);
  expect_contexts(r, pid, when, r->answer.contexts);
}

/* `asking`: a passphrase or a key is just on its way, in private memory. */
static void check_live(run *r, const char *when, bool asking) {
  search_live(r, r->pid);
  check_ordinary(r, r->pid, when);
  for (int kind = 0; kind < NEEDLE_KINDS; kind++)
    if (needle_is_passing(kind) && !asking) refuse(r, r->pid, when, kind, true);
  r->figures->contexts += r->answer.contexts;
}

static void check_dump(run *r, const char *when) {
  memory_search_dumpable(r->pid, hoard_needles(r->hoard), r->report);
  r->figures->dump_searches++;
  r->figures->dump_bytes += r->report->bytes;
  check_ordinary(r, r->pid, when);
}

/* ---- one life of a store ------------------------------------------------------------------------------- */

typedef struct wanted {
  run *run;
  uint32_t table, owner;
  uint64_t hits, living;
} wanted;

static void count_retired(void *arg, const needle *n) {
  wanted *w = arg;
  if (n->kind != NEEDLE_KEK) return;
  uint64_t found = n->in_private + n->in_ordinary;
  *(hoard_kek_lives(w->run->hoard, n->bytes) ? &w->living : &w->hits) += found;
}

static void check_retired(run *r, const char *when) {
  wanted w = {.run = r};
  search_live(r, r->pid);
  needles_each(hoard_needles(r->hoard), count_retired, &w);
  CHECK(hoard_keks(r->hoard, false) >= SUBJECT_TABLES, "%s: only %zu KEKs have retired", when,
        hoard_keks(r->hoard, false));
  CHECK(w.living >= hoard_keks(r->hoard, true), "%s: the KEKs in use are not found", when);
  CHECK(w.hits == 0, "%s: retired KEKs are there %llu times", when, (unsigned long long)w.hits);
  r->figures->hits += w.hits;
}

/* The catalogue, which stays open, tells names, and no more of a table. */
static void count_closed(void *arg, const needle *n) {
  wanted *w = arg;
  bool its_data = (n->kind == NEEDLE_KEY || n->kind == NEEDLE_VALUE) && n->owner == w->table;
  bool its_keys = (n->kind == NEEDLE_KEK || needle_is_of_data_key((int)n->kind)) && n->owner == w->owner;
  if (its_data || its_keys) w->hits += n->in_private + n->in_ordinary;
}

static void check_closed_table(run *r, const char *when) {
  nc_uuid uuid;
  wanted w = {.run = r, .table = 1};
  if (!CHECK(nc_uuid_parse(r->answer.uuid, &uuid), "%s: \"%s\" is no UUID", when, r->answer.uuid)) return;
  w.owner = hoard_owner(uuid.bytes);
  search_live(r, r->pid);
  needles_each(hoard_needles(r->hoard), count_closed, &w);
  CHECK(w.hits == 0, "%s: keys and data of the table are there %llu times", when, (unsigned long long)w.hits);
  r->figures->hits += w.hits;
}

/* Everything is there to be found as long as it is needed, or finding nothing would mean nothing. */
static void check_found_when_busy(run *r) {
  static const needle_kind kinds[] = {NEEDLE_PASSPHRASE_KEY, NEEDLE_KEK,  NEEDLE_KEY,
                                      NEEDLE_VALUE,          NEEDLE_NAME, NEEDLE_DATA_KEY};
  search_live(r, r->pid);
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
    CHECK(r->report->in_private[kinds[i]] > 0, "a busy store holds no %s", needle_kind_name(kinds[i]));
  const nc_aead_backend *aead;
  nacre_error error;
  if (nc_aead_choose(getenv("NACRE_AEAD"), &aead, &error) != NACRE_OK) test_die("%s", error.text);
  CHECK((r->answer.contexts > 0) == (aead == nc_aead_openssl()),
        "a busy store has %llu of OpenSSL's contexts, by %s", (unsigned long long)r->answer.contexts,
        aead->name);
}

static void check_child(run *r) {
  take_step(r, STEP_FORK);
  pid_t child = (pid_t)r->answer.pid;
  search_live(r, child);
  for (int kind = 0; kind < NEEDLE_KINDS; kind++) refuse(r, child, "in a child", kind, true);
  check_ordinary(r, child, "in a child");
  take_step(r, STEP_REAP);
}

static void live(run *r) {
  take_step(r, STEP_BUSY);
  check_found_when_busy(r);
  check_live(r, "busy", false);
  check_dump(r, "busy");
  take_step(r, STEP_ROTATE);
  CHECK(r->answer.paused != 0, "the rewrapper was not met");
  check_live(r, "in the middle of a rewrap", false);
  check_dump(r, "in the middle of a rewrap");
  take_step(r, STEP_RESUME);
  take_step(r, STEP_RETIRE);
  check_live(r, "rotated", false);
  check_retired(r, "rotated");
  take_step(r, STEP_CLOSE_ONE);
  check_live(r, "one table closed", false);
  check_closed_table(r, "one table closed");
  check_child(r);
  take_step(r, STEP_CLOSE);
  check_nothing(r, "closed", false);
  for (step s = STEP_REOPEN; s <= STEP_CRASHED_ROTATION; s++) {
    take_step(r, s);
    check_nothing(r, step_name(s), s == STEP_FAILED_CREATE);
  }
  take_step(r, STEP_REOPEN);
  check_nothing(r, "opened again after all that", false);
  for (step s = STEP_ASKED; s <= STEP_SERVICE_CALLED; s++) {
    take_step(r, s);
    CHECK(r->answer.paused != 0, "\"%s\" did not pause", step_name(s));
    check_live(r, step_name(s), true);
    check_dump(r, step_name(s));
    take_step(r, STEP_RESUME);
    check_nothing(r, "and after it", false);
  }
}

/* ---- the kernel's own dumps ---------------------------------------------------------------------------- */

static void check_core(run *r, const char *when) {
  pid_t pid = r->pid;
  r->pid = 0;
  if (!memory_search_core(pid, r->directory, hoard_needles(r->hoard), r->report)) {
    printf("secrets: %s: the kernel writes no core file here: only its rules were followed\n", when);
    return;
  }
  r->figures->cores++;
  r->figures->dump_bytes += r->report->bytes;
  check_ordinary(r, 0, when);
  /* What was copied last stands in a thread's vector registers until they are needed again. */
  for (int kind = 0; kind < NEEDLE_KINDS; kind++) {
    bool data = kind == NEEDLE_KEY || kind == NEEDLE_VALUE || kind == NEEDLE_NAME;
    uint64_t hits = r->report->in_registers[kind];
    if (data) r->figures->in_registers += hits;
    CHECK(data || hits == 0, "%s: %llu times a %s in registers", when, (unsigned long long)hits,
          needle_kind_name((needle_kind)kind));
  }
}

static void die_busy(run *r) {
  take_step(r, STEP_BUSY);
  check_core(r, "a core, busy");
}

static void die_rotating(run *r) {
  take_step(r, STEP_BUSY);
  take_step(r, STEP_ROTATE);
  check_core(r, "a core, in the middle of a rewrap");
}

/* ---- the detectors ------------------------------------------------------------------------------------- */

static bool seen_at(const memory_report *m, uint64_t address) {
  for (size_t i = 0; i < m->sight_count; i++)
    if (m->sights[i].address == address && m->sights[i].what->kind == NEEDLE_VALUE) return true;
  return false;
}

static void check_copies(run *r, bool dump) {
  static const char *const places[SUBJECT_COPIES] = {"a freed block", "a dead stack frame",
                                                     "a thread's dead stack frame", "static memory",
                                                     "memory left out of dumps"};
  const memory_report *m = r->report;
  for (int i = 0; i < SUBJECT_COPIES; i++)
    CHECK(seen_at(m, r->answer.copies[i]) == !(dump && i == COPY_LEFT_OUT), "a copy in %s is %s", places[i],
          dump && i == COPY_LEFT_OUT ? "seen in a dump" : "not seen");
  CHECK(m->in_ordinary[NEEDLE_DATA_KEY] >= 1 && m->in_ordinary[NEEDLE_DATA_ROUND_KEY] >= 13,
        "a key schedule is not seen");
  CHECK(m->in_ordinary[NEEDLE_OTHER_SCHEDULE] >= 13, "an inverse key schedule is not seen");
}

/* The copies of one secret, in ordinary memory and in all: the core file must hold just the former. */
static void try_detectors(run *r) {
  take_step(r, STEP_LEAVE_COPIES);
  search_live(r, r->pid);
  check_copies(r, false);
  memory_search_dumpable(r->pid, hoard_needles(r->hoard), r->report);
  check_copies(r, true);
  pid_t pid = r->pid;
  r->pid = 0;
  if (memory_search_core(pid, r->directory, hoard_needles(r->hoard), r->report))
    CHECK(r->report->in_ordinary[NEEDLE_VALUE] == SUBJECT_COPIES - 1 &&
              r->report->in_ordinary[NEEDLE_OTHER_SCHEDULE] >= 13,
          "a core holds %llu of %d copies", (unsigned long long)r->report->in_ordinary[NEEDLE_VALUE],
          SUBJECT_COPIES - 1);
}

int main(int argc, char **argv) {
  static void (*const runs[])(run *) = {try_detectors, live, die_busy, die_rotating};
  static const char *const names[] = {"detectors", "life", "busy", "rotating"};
  if (argc == 5 && strcmp(argv[1], "--subject") == 0)
    return subject_main(strtoull(argv[2], NULL, 10), atoi(argv[3]), atoi(argv[4]));
  signal(SIGPIPE, SIG_IGN);
  char scratch[200];
  double started = test_seconds();
  uint64_t seed = test_seed("secrets", 20260214);
  size_t needles_seen = 0, headers = 0;
  figures f = {0};
  test_scratch_make(scratch, sizeof scratch, "secrets");
  for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
    run r;
    begin_run(&r, scratch, names[i], test_mix(seed, i), &f);
    runs[i](&r);
    needles_seen += needles_count(hoard_needles(r.hoard));
    headers += hoard_headers(r.hoard);
    end_run(&r);
  }
  printf(
      "secrets: %zu needles of %zu headers; %llu searches of live memory, %llu bytes; %llu of what is dumped "
      "and %llu "
      "core files, %llu bytes; %llu live cipher contexts and %llu bits of data in "
      "threads' registers, %llu fragments, as documented, %llu hits otherwise; %.1f s, seed %llu\n",
      needles_seen, headers, (unsigned long long)f.live_searches, (unsigned long long)f.live_bytes,
      (unsigned long long)f.dump_searches, (unsigned long long)f.cores, (unsigned long long)f.dump_bytes,
      (unsigned long long)f.contexts, (unsigned long long)f.in_registers, (unsigned long long)f.fragments,
      (unsigned long long)f.hits, test_seconds() - started, (unsigned long long)seed);
  test_scratch_remove(scratch);
  return test_finish();
}
