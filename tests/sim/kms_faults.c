/* SPDX-License-Identifier: Apache-2.0
 *
 * A key service that denies, does not answer, has lost a key, answers with another key, with nonsense, or may wrap
 * but not unwrap, at every call that opening a table and changing keys make. The status must say which; a change
 * that fails changes no byte, the table works on, and the change succeeds once the service is well. A change that
 * a power cut left pending is abandoned when its key is denied or gone, waits through an outage, and a current key
 * that is denied stays denied.
 */
#include <stdio.h>
#include <string.h>

#include "key_check.h"
#include "nonce_registry.h"

enum { OLD = 0, NEW = 1, OTHER = 2, OPERATIONS_MAX = 400 };

typedef struct bench {
  sim_disk *disk;
  fake_kms kms;
  nacre_store *store;
  nacre_table *table;
  unsigned abandoned; /* events */
  char label[160];
} bench;

static uint64_t faults_tried, calls_all, pending_tried;

static void note_event(void *arg, const nacre_event *event) {
  bench *b = arg;
  b->abandoned += event->type == NACRE_EVENT_KEY_ABANDONED;
}

static bool succeeds(const bench *b, nacre_status status, const char *what) {
  nacre_error error = {0};
  if (status != NACRE_OK) nacre_last_error(&error);
  return CHECK(status == NACRE_OK, "%s: %s: %s: %s", b->label, what, nacre_status_name(status), error.text);
}

/* ---- a store ------------------------------------------------------------------------------------------- */

static nacre_status open_store(bench *b) {
  nacre_key_spec trusted[FAKE_KMS_KEYS];
  nacre_store_options options = keyed_options(b->disk, &b->kms, 1u << OLD | 1u << NEW, trusted);
  options.on_event = note_event;
  options.event_arg = b;
  nacre_status status = nacre_open(STORE_PATH, &options, &b->store);
  return status == NACRE_OK ? nacre_table_open(b->store, "table", NULL, &b->table) : status;
}

static void close_store(bench *b) {
  succeeds(b, nacre_table_close(b->table), "close the table");
  succeeds(b, nacre_close(b->store), "close the store");
  b->table = NULL;
  b->store = NULL;
}

static void put_and_get(bench *b, const char *text) {
  nacre_slice slice = {text, strlen(text)};
  nacre_write_options sync = {.sync = true};
  nacre_value value = {0};
  succeeds(b, nacre_put(b->table, slice, slice, &sync), "put");
  if (succeeds(b, nacre_get(b->table, slice, NULL, &value), "get"))
    CHECK(value.size == slice.size && memcmp(value.data, text, value.size) == 0, "%s: another value",
          b->label);
  nacre_value_release(&value);
  value = (nacre_value){0};
  succeeds(b, nacre_get(b->table, (nacre_slice){"first", 5}, NULL, &value), "get what was there before");
  nacre_value_release(&value);
}

/* A closed store of one table with a segment, a log and one change of keys behind it. */
static sim_disk *make_store(void) {
  bench b = {.disk = sim_disk_create(), .label = "making the store"};
  nacre_key_spec trusted[FAKE_KMS_KEYS];
  fake_kms_init(&b.kms, FAKE_KMS_ALL);
  nacre_store_options options = keyed_options(b.disk, &b.kms, 1u << OLD, trusted);
  options.create = true;
  succeeds(&b, nacre_open(STORE_PATH, &options, &b.store), "create the store");
  succeeds(&b, nacre_table_create(b.store, "table", NULL, &b.table), "create the table");
  succeeds(&b, nacre_put(b.table, (nacre_slice){"first", 5}, (nacre_slice){"1", 1}, NULL), "put");
  succeeds(&b, nacre_flush(b.table), "flush");
  put_and_get(&b, "second");
  succeeds(&b, nacre_table_rotate(b.table), "rotate");
  succeeds(&b, nacre_table_rewrap_wait(b.table, NULL), "wait");
  close_store(&b);
  return b.disk;
}

static void bench_init(bench *b, sim_disk *made, unsigned keys) {
  b->disk = sim_disk_copy(made);
  fake_kms_init(&b->kms, keys);
}

static void bench_deinit(bench *b) {
  calls_all += atomic_load(&b->kms.calls);
  if (CHECK(sim_disk_handles(b->disk) == 0, "%s: handles are still open", b->label))
    sim_disk_destroy(b->disk);
}

/* ---- deeds --------------------------------------------------------------------------------------------- */

static nacre_status deed_set_key(bench *b) {
  nacre_key_spec spec = {.uri = fake_kms_uri(NEW)};
  return nacre_table_set_key(b->table, &spec, 1);
}
static nacre_status deed_set_two(bench *b) {
  nacre_key_spec specs[2] = {{.uri = fake_kms_uri(NEW)}, {.uri = fake_kms_uri(OTHER)}};
  return nacre_table_set_key(b->table, specs, 2);
}
static nacre_status deed_rotate(bench *b) { return nacre_table_rotate(b->table); }
static nacre_status deed_store_set_key(bench *b) {
  return nacre_store_set_key(b->store, (nacre_key_spec){.uri = fake_kms_uri(NEW)});
}
static nacre_status deed_store_rotate(bench *b) { return nacre_store_rotate(b->store); }

typedef struct deed {
  const char *name;
  nacre_status (*run)(bench *b);
  unsigned table_keys, store_keys; /* that suffice after it */
} deed;
static const deed deeds[] = {
    {"set_key", deed_set_key, 1u << NEW, 1u << OLD},
    {"set_key to two", deed_set_two, 1u << NEW | 1u << OTHER, 1u << OLD},
    {"rotate", deed_rotate, 1u << OLD, 1u << OLD},
    {"store_set_key", deed_store_set_key, 1u << OLD, 1u << NEW},
    {"store_rotate", deed_store_rotate, 1u << OLD, 1u << OLD},
};

/* What a fault may be called. A key that is not what was asked for is missing; a service that breaks its contract
 * is never damage of the store. */
static bool is_right(fake_fault fault, nacre_status status) {
  switch (fault) {
    case FAKE_DENIED:
      return status == NACRE_KEY_DENIED;
    case FAKE_UNREACHABLE:
      return status == NACRE_KEY_UNREACHABLE;
    case FAKE_MISSING:
    case FAKE_OTHER_KEY:
      return status == NACRE_KEY_MISSING;
    case FAKE_SIZE_NONE:
    case FAKE_SIZE_HUGE:
    case FAKE_ODD_STATUS:
      return status == NACRE_KEY_MISSING || status == NACRE_KEY_UNREACHABLE || status == NACRE_INVALID;
    case FAKE_NO_FAULT:
    case FAKE_FAULT_COUNT:
      break;
  }
  return false;
}

/* After a deed has succeeded its keys alone suffice. */
static void check_done(bench *b, const deed *d) {
  unsigned left = d->table_keys | d->store_keys;
  succeeds(b, nacre_table_rewrap_wait(b->table, NULL), "wait for the rewrap");
  if ((d->table_keys & (d->table_keys - 1)) == 0) key_check_settled(b->table, NULL, d->table_keys, b->label);
  key_check_settled(NULL, b->store, d->store_keys, b->label);
  close_store(b);
  atomic_store(&b->kms.keys, left);
  if (succeeds(b, open_store(b), "open with the keys that are left")) {
    put_and_get(b, "after");
    close_store(b);
  }
}

/* One call of a deed fails. */
static void try_deed(sim_disk *made, const deed *d, fake_fault fault, uint64_t call) {
  bench b = {0};
  uint8_t before[SIM_DIGEST_BYTES], after[SIM_DIGEST_BYTES];
  snprintf(b.label, sizeof b.label, "%s, fault %d at call %llu", d->name, (int)fault,
           (unsigned long long)call);
  bench_init(&b, made, FAKE_KMS_ALL);
  succeeds(&b, open_store(&b), "open");
  sim_disk_digest(b.disk, before);
  b.kms.fault = fault;
  b.kms.fault_at = atomic_load(&b.kms.calls) + call;
  nacre_status status = d->run(&b);
  sim_disk_digest(b.disk, after);
  faults_tried++;
  /* A size is only told by a wrap; and to wrap for the key that is being left is no more than a try. */
  bool harmless = fault == FAKE_SIZE_NONE || fault == FAKE_SIZE_HUGE || d->run == deed_store_set_key;
  CHECK(is_right(fault, status) || (status == NACRE_OK && harmless), "%s: %s", b.label,
        nacre_status_name(status));
  CHECK(status == NACRE_OK || memcmp(before, after, sizeof before) == 0, "%s: it failed, and wrote", b.label);
  put_and_get(&b, "meanwhile");
  if (status != NACRE_OK) {
    key_check_settled(b.table, NULL, 1u << OLD, b.label);
    key_check_settled(NULL, b.store, 1u << OLD, b.label);
    succeeds(&b, d->run(&b), "again, the service being well");
  }
  check_done(&b, d);
  bench_deinit(&b);
}

static uint64_t calls_of(sim_disk *made, const deed *d) {
  bench b = {.label = "counting calls"};
  bench_init(&b, made, FAKE_KMS_ALL);
  succeeds(&b, open_store(&b), "open");
  uint64_t before = atomic_load(&b.kms.calls);
  succeeds(&b, d->run(&b), d->name);
  uint64_t calls = atomic_load(&b.kms.calls) - before;
  check_done(&b, d);
  bench_deinit(&b);
  return calls;
}

static void try_deeds(sim_disk *made) {
  for (size_t i = 0; i < sizeof deeds / sizeof deeds[0]; i++) {
    uint64_t calls = calls_of(made, &deeds[i]);
    CHECK(calls > 0, "%s asks nobody", deeds[i].name);
    for (uint64_t call = 0; call < calls; call++)
      for (int fault = FAKE_DENIED; fault < FAKE_FAULT_COUNT; fault++)
        try_deed(made, &deeds[i], (fake_fault)fault, call);
  }
}

/* A key that may wrap and not unwrap is found out before anything rests on it. */
static void try_one_way_key(sim_disk *made) {
  bench b = {.label = "a key that may only encrypt"};
  bench_init(&b, made, FAKE_KMS_ALL);
  succeeds(&b, open_store(&b), "open");
  atomic_store(&b.kms.no_unwrap, 1u << NEW);
  for (size_t i = 0; i < sizeof deeds / sizeof deeds[0]; i++) {
    bool asks_new = ((deeds[i].table_keys | deeds[i].store_keys) >> NEW & 1) != 0;
    if (asks_new) CHECK(deeds[i].run(&b) == NACRE_KEY_DENIED, "%s: %s", b.label, deeds[i].name);
  }
  key_check_settled(b.table, NULL, 1u << OLD, b.label);
  key_check_settled(NULL, b.store, 1u << OLD, b.label);
  put_and_get(&b, "meanwhile");
  close_store(&b);
  bench_deinit(&b);
}

/* ---- opening ------------------------------------------------------------------------------------------- */

static bool try_open(sim_disk *made, fake_fault fault, uint64_t call) {
  bench b = {0};
  uint8_t before[SIM_DIGEST_BYTES], after[SIM_DIGEST_BYTES];
  snprintf(b.label, sizeof b.label, "opening, fault %d at call %llu", (int)fault, (unsigned long long)call);
  bench_init(&b, made, FAKE_KMS_ALL);
  b.kms.fault = fault;
  b.kms.fault_at = call;
  b.kms.for_good = true; /* one that answers when it is asked again is well */
  sim_disk_digest(b.disk, before);
  nacre_status status = open_store(&b);
  bool struck = atomic_load(&b.kms.calls) > call;
  bool harmless = !struck || fault == FAKE_SIZE_NONE || fault == FAKE_SIZE_HUGE;
  faults_tried += struck;
  CHECK(harmless ? status == NACRE_OK : is_right(fault, status), "%s: %s", b.label,
        nacre_status_name(status));
  succeeds(&b, nacre_table_close(b.table), "close the table");
  succeeds(&b, nacre_close(b.store), "close the store");
  b.table = NULL;
  b.store = NULL;
  sim_disk_digest(b.disk, after);
  bool locked = memcmp(before, after, sizeof before) == 0;
  CHECK(locked, "%s: it wrote", b.label);
  b.kms.fault_at = NACRE_NONE;
  if (succeeds(&b, open_store(&b), "open, the service being well")) {
    put_and_get(&b, "after");
    close_store(&b);
  }
  bench_deinit(&b);
  return struck;
}

static void try_opens(sim_disk *made) {
  for (int fault = FAKE_DENIED; fault < FAKE_FAULT_COUNT; fault++)
    for (uint64_t call = 0; try_open(made, (fake_fault)fault, call); call++) continue;
}

/* ---- a change that was cut ----------------------------------------------------------------------------- */

typedef enum phase { UNKNOWN, BEFORE, PENDING, COMMITTED } phase;
typedef enum trouble { DENIED, GONE, OUTAGE, TROUBLES } trouble;

static void make_trouble(fake_kms *kms, trouble what) {
  if (what == DENIED) atomic_store(&kms->denied, 1u << NEW);
  if (what == GONE) atomic_store(&kms->keys, FAKE_KMS_ALL & ~(1u << NEW));
  if (what == OUTAGE) atomic_store(&kms->unreachable, 1u << NEW);
}

static phase phase_of_open(bench *b, trouble what) {
  nacre_status wait = nacre_table_rewrap_wait(b->table, NULL);
  put_and_get(b, "meanwhile");
  if (what != OUTAGE) {
    succeeds(b, wait, "wait");
    key_check_settled(b->table, NULL, 1u << OLD, b->label);
    return b->abandoned > 0 ? PENDING : BEFORE;
  }
  CHECK(b->abandoned == 0, "%s: abandoned for an outage", b->label);
  if (wait == NACRE_OK) {
    key_check_settled(b->table, NULL, 1u << OLD, b->label);
    return BEFORE;
  }
  CHECK(wait == NACRE_KEY_UNREACHABLE, "%s: waiting: %s", b->label, nacre_status_name(wait));
  atomic_store(&b->kms.unreachable, 0);
  succeeds(b, nacre_table_rewrap_wait(b->table, NULL), "wait, the service being well");
  key_check_settled(b->table, NULL, 1u << NEW, b->label);
  return PENDING;
}

static phase phase_of(sim_disk *image, trouble what, uint64_t operation) {
  bench b = {0};
  phase found = COMMITTED;
  static const nacre_status answers[TROUBLES] = {NACRE_KEY_DENIED, NACRE_KEY_MISSING, NACRE_KEY_UNREACHABLE};
  snprintf(b.label, sizeof b.label, "cut at %llu, trouble %d", (unsigned long long)operation, (int)what);
  bench_init(&b, image, FAKE_KMS_ALL);
  make_trouble(&b.kms, what);
  nacre_status status = open_store(&b);
  pending_tried++;
  if (status == NACRE_OK)
    found = phase_of_open(&b, what);
  else
    CHECK(status == answers[what], "%s: opening: %s", b.label, nacre_status_name(status));
  (void)nacre_table_close(b.table);
  (void)nacre_close(b.store);
  b.table = NULL;
  b.store = NULL;
  atomic_store(&b.kms.denied, 0);
  atomic_store(&b.kms.unreachable, 0);
  atomic_store(&b.kms.keys, FAKE_KMS_ALL);
  if (succeeds(&b, open_store(&b), "open, the service being well")) {
    put_and_get(&b, "after");
    close_store(&b);
  }
  bench_deinit(&b);
  return found;
}

typedef struct cutter {
  sim_disk *images[OPERATIONS_MAX];
  sim_disk *disk;
  uint64_t first, count;
} cutter;

static void cut(void *arg, uint64_t operation) {
  cutter *c = arg;
  (void)operation;
  if (c->count < OPERATIONS_MAX) c->images[c->count++] = sim_disk_image(c->disk, SIM_KEEP_ALL, 1);
}

/* The change goes through its phases in their order, and each trouble tells the same phase. */
static void try_cuts(sim_disk *made) {
  static cutter c;
  bench b = {.label = "a change that is cut"};
  phase last = BEFORE;
  bool seen[COMMITTED + 1] = {false};
  bench_init(&b, made, FAKE_KMS_ALL);
  succeeds(&b, open_store(&b), "open");
  c.disk = b.disk;
  sim_disk_watch(b.disk, cut, &c);
  succeeds(&b, deed_set_key(&b), "set_key");
  sim_disk_watch(b.disk, NULL, NULL);
  close_store(&b);
  bench_deinit(&b);
  for (uint64_t i = 0; i < c.count; i++) {
    phase phases[TROUBLES];
    for (int t = 0; t < TROUBLES; t++) phases[t] = phase_of(c.images[i], (trouble)t, i);
    CHECK(phases[DENIED] == phases[GONE] && phases[DENIED] == phases[OUTAGE],
          "cut %llu is in phase %d, %d, %d by what the key service answers", (unsigned long long)i,
          phases[DENIED], phases[GONE], phases[OUTAGE]);
    CHECK(phases[DENIED] >= last, "cut %llu: phase %d after %d", (unsigned long long)i, phases[DENIED], last);
    last = phases[DENIED];
    seen[last] = true;
    sim_disk_destroy(c.images[i]);
  }
  CHECK(seen[BEFORE] && seen[PENDING] && seen[COMMITTED], "phases that were met: %d, %d, %d", seen[BEFORE],
        seen[PENDING], seen[COMMITTED]);
}

int main(void) {
  double started = test_seconds();
  sim_disk *made = make_store();
  try_deeds(made);
  try_one_way_key(made);
  try_opens(made);
  try_cuts(made);
  sim_disk_destroy(made);
  CHECK(nonce_registry_seen() > 0, "the nonce registry saw nothing: is the wrapping linked in?");
  CHECK(nonce_registry_reused() == 0, "%llu nonces were used twice",
        (unsigned long long)nonce_registry_reused());
  printf(
      "kms_faults: %llu faults at every call of opens and changes, %llu interrupted changes, %llu KMS calls, "
      "%.1f s\n",
      (unsigned long long)faults_tried, (unsigned long long)pending_tried, (unsigned long long)calls_all,
      test_seconds() - started);
  nonce_registry_free();
  return test_finish();
}
