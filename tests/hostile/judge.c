/* SPDX-License-Identifier: Apache-2.0
 *
 * judge: the oracle; see subject.h.
 *
 * Every value says which table, key and group it is of, and all its bytes follow from these. What is read is
 * noted as a row of versions, one a key, and held against the rows of the history.
 */
#include <string.h>

#include "subject.h"
#include "support.h"

enum { UNKNOWN = 254, UNREADABLE = 255 };

bool is_refusal(nacre_status status) {
  return status == NACRE_CORRUPT || status == NACRE_TAMPERED || status == NACRE_ROLLED_BACK ||
         status == NACRE_KEY_MISSING || status == NACRE_UNSUPPORTED;
}

/* ---- reading ------------------------------------------------------------------------------------------- */

typedef struct reading {
  const subject *s;
  nacre_table *table;
  int index;
  uint8_t seen[SUBJECT_KEYS];
  nacre_error error;
} reading;

static void note_error(reading *r, nacre_status status) {
  nacre_last_error(&r->error);
  (void)PROVE(r->s, is_refusal(status), "reading: %s: %s", nacre_status_name(status), r->error.text);
}

static void note_version(reading *r, int k, uint8_t version) {
  (void)PROVE(r->s, r->seen[k] >= UNKNOWN || r->seen[k] == version,
              "key %d is of version %u when looked for and of version %u when met", k, version, r->seen[k]);
  r->seen[k] = version;
}

static void note_value(reading *r, int k, nacre_slice value) {
  uint8_t version = value.size > 0 ? *(const uint8_t *)value.data : 0;
  const subject_table *t = &r->s->tables[r->index];
  bool right = version > 0 && version <= t->groups && value.size == t->value_size[k] &&
               t->values[version][k] != NULL && memcmp(value.data, t->values[version][k], value.size) == 0;
  if (PROVE(r->s, right, "key %d has a value that was never written", k)) note_version(r, k, version);
}

static int key_number(nacre_slice key) {
  const char *p = key.data;
  char again[8];
  if (key.size != 6) return -1;
  int k = (p[3] - '0') * 100 + (p[4] - '0') * 10 + (p[5] - '0');
  if (k < 0 || k >= SUBJECT_KEYS) return -1;
  subject_key(k, again);
  return memcmp(p, again, 6) == 0 ? k : -1;
}

/* From one end to the other; what is passed over is not there. Stops at damage. */
static void read_through(reading *r, bool back) {
  nacre_iter *iter;
  nacre_status status = nacre_iter_open(r->table, NULL, &iter);
  if (status != NACRE_OK) {
    note_error(r, status);
    return;
  }
  int step = back ? -1 : 1, next = back ? SUBJECT_KEYS - 1 : 0, end = back ? -1 : SUBJECT_KEYS;
  for (back ? nacre_iter_last(iter) : nacre_iter_first(iter); nacre_iter_valid(iter);
       back ? nacre_iter_prev(iter) : nacre_iter_next(iter)) {
    int k = key_number(nacre_iter_key(iter));
    if (!PROVE(r->s, k >= 0 && (back ? k <= next : k >= next), "key %d comes where %d is due", k, next))
      break;
    for (; next != k; next += step) note_version(r, next, 0);
    note_value(r, k, nacre_iter_value(iter));
    next += step;
  }
  status = nacre_iter_status(iter);
  for (; status == NACRE_OK && next != end; next += step) note_version(r, next, 0);
  nacre_iter_close(iter);
  if (status != NACRE_OK) note_error(r, status);
}

static void read_one(reading *r, int k) {
  char key[8];
  nacre_value value;
  subject_key(k, key);
  nacre_status status = nacre_get(r->table, (nacre_slice){key, 6}, NULL, &value);
  if (status == NACRE_NOT_FOUND) {
    note_version(r, k, 0);
  } else if (status == NACRE_OK) {
    note_value(r, k, (nacre_slice){value.data, value.size});
    nacre_value_release(&value);
  } else {
    note_error(r, status);
    if (r->seen[k] == UNKNOWN) r->seen[k] = UNREADABLE;
  }
}

/* The newest state that explains all that was read. */
static int find_state(const reading *r) {
  const subject_table *t = &r->s->tables[r->index];
  for (int g = t->groups; g >= 0; g--) {
    int k = 0;
    while (k < SUBJECT_KEYS && (r->seen[k] == t->version[g][k] || r->seen[k] == UNREADABLE)) k++;
    if (k == SUBJECT_KEYS) return g;
  }
  return SUBJECT_NO_STATE;
}

static void read_all(reading *r, bool thorough, table_verdict *ret) {
  memset(r->seen, UNKNOWN, sizeof r->seen);
  read_through(r, false);
  if (thorough) read_through(r, true);
  for (int k = 0; k < SUBJECT_KEYS; k++)
    if (thorough || r->seen[k] == UNKNOWN || k % 32 == 3) read_one(r, k);
  for (int k = 0; k < SUBJECT_KEYS; k++) {
    ret->key_unreadable[k] = r->seen[k] == UNREADABLE;
    ret->unreadable += ret->key_unreadable[k];
  }
  ret->read_error = r->error;
  ret->groups = find_state(r);
  (void)PROVE(r->s, ret->groups != SUBJECT_NO_STATE, "table %s answers what it never held",
              r->s->tables[r->index].name);
}

/* ---- judging ------------------------------------------------------------------------------------------- */

void judge_by_verify(const subject *s, nacre_table *table, table_verdict *ret) {
  nacre_verify_report report = {0};
  ret->verified = nacre_verify(table, NULL, &report);
  if (ret->verified != NACRE_OK) nacre_last_error(&ret->verify_error);
  (void)PROVE(s, (ret->verified == NACRE_OK) == (report.fault_count == 0),
              "verify answers %s with %llu faults (%s)", nacre_status_name(ret->verified),
              (unsigned long long)report.fault_count, ret->verify_error.text);
  for (size_t i = 0; i < nacre_faults_count(report.faults); i++) {
    const nacre_error *fault = nacre_faults_at(report.faults, i);
    (void)PROVE(s, is_refusal(fault->status) && fault->id != 0 && fault->file[0] != '\0' && fault->text[0],
                "a fault is %s %u, in \"%s\": %s", nacre_status_name(fault->status), fault->id, fault->file,
                fault->text);
  }
  nacre_faults_free(report.faults);
}

void judge_table(const subject *s, nacre_store *store, int table, bool thorough, table_verdict *ret) {
  nacre_table_open_options options = {.read_only = true};
  reading r = {.s = s, .index = table};
  memset(ret, 0, sizeof *ret);
  ret->groups = SUBJECT_NO_STATE;
  ret->opened = nacre_table_open(store, s->tables[table].name, &options, &r.table);
  if (ret->opened != NACRE_OK) {
    nacre_last_error(&ret->open_error);
    bool missing = s->may_be_missing && ret->opened == NACRE_NOT_FOUND;
    (void)PROVE(s, missing || is_refusal(ret->opened), "opening %s: %s %u: %s", s->tables[table].name,
                nacre_status_name(ret->opened), ret->open_error.id, ret->open_error.text);
    return;
  }
  nacre_status status = nacre_table_recovery(r.table, &ret->recovery);
  (void)PROVE(s, status == NACRE_OK && !ret->recovery.damaged, "the recovery report: %s",
              ret->recovery.reason);
  read_all(&r, thorough, ret);
  judge_by_verify(s, r.table, ret);
  status = nacre_table_close(r.table);
  (void)PROVE(s, status == NACRE_OK, "closing %s: %s", s->tables[table].name, nacre_status_name(status));
}

static void on_event(void *arg, const nacre_event *event) {
  if (event->type == NACRE_EVENT_RECOVERED && event->table == NULL) *(bool *)arg = true;
}

void judge_store(const subject *s, const nacre_io *io, bool thorough, store_verdict *ret) {
  nacre_store_options options = subject_options(s, io, true);
  nacre_store *store;
  memset(ret, 0, sizeof *ret);
  options.on_event = on_event;
  options.event_arg = &ret->catalogue_told;
  ret->opened = nacre_open(s->path, &options, &store);
  if (ret->opened != NACRE_OK) {
    nacre_last_error(&ret->open_error);
    return;
  }
  for (int i = 0; i < SUBJECT_TABLES; i++) judge_table(s, store, i, thorough, &ret->tables[i]);
  nacre_status status = nacre_close(store);
  (void)PROVE(s, status == NACRE_OK, "closing: %s", nacre_status_name(status));
}

bool table_noticed(const table_verdict *v, bool killed) {
  return v->opened != NACRE_OK || v->unreadable > 0 || v->read_error.status != NACRE_OK ||
         v->verified != NACRE_OK || v->recovery.dropped_bytes > 0 || (!killed && !v->recovery.clean);
}

bool store_noticed(const store_verdict *v, bool killed) {
  bool noticed = v->opened != NACRE_OK || v->catalogue_told;
  for (int i = 0; i < SUBJECT_TABLES; i++) noticed = noticed || table_noticed(&v->tables[i], killed);
  return noticed;
}

bool table_whole(const subject *s, const table_verdict *v, int table) {
  return v->opened == NACRE_OK && v->unreadable == 0 && v->read_error.status == NACRE_OK &&
         v->groups == s->tables[table].groups;
}
