/* SPDX-License-Identifier: Apache-2.0
 *
 * subject: making the store; see subject.h. The oracle is in judge.c.
 */
#include "subject.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_disk.h"
#include "support.h"

static const char STORE_PATH[] = "store";

typedef struct making {
  subject *s;
  sim_disk *disk;
  nacre_store *store;
  nacre_table *tables[SUBJECT_TABLES];
} making;

static void must(nacre_status status, const char *what) {
  nacre_error error;
  if (status == NACRE_OK) return;
  nacre_last_error(&error);
  test_die("making the store: %s: %s", what, error.text);
}

void subject_key(int k, char text[8]) { snprintf(text, 8, "key%03d", k); }

nacre_store_options subject_options(const subject *s, const nacre_io *io, bool read_only) {
  return (nacre_store_options){.create = !read_only,
                               .read_only = read_only,
                               .default_key.uri = s->uri,
                               .memtable_bytes = 64 * 1024,
                               .cache_bytes = 256 * 1024,
                               .workers = UINT32_MAX,
                               .io = io};
}

/* ---- writing ------------------------------------------------------------------------------------------- */

/* Moments of expiry: before every clock, and behind it. */
#define LONG_AGO 1u
#define IN_2100 4102444800000u

/* One write of a table: what it does to keys is noted as it is said. */
typedef struct group {
  making *m;
  subject_table *t;
  nacre_table *table;
  nacre_batch *batch; /* one of the two */
  nacre_load *load;
  uint8_t g;
} group;

static group begin_group(making *m, int table) {
  subject_table *t = &m->s->tables[table];
  uint8_t g = (uint8_t)(t->groups + 1);
  if (g > SUBJECT_GROUPS_MAX) test_die("too many groups");
  memcpy(t->version[g], t->version[t->groups], sizeof t->version[g]);
  return (group){.m = m, .t = t, .table = m->tables[table], .g = g};
}

static void put(group *w, int k, uint64_t expire_at_ms) {
  subject_table *t = w->t;
  char key[8];
  size_t size = t->value_size[k];
  uint8_t *value = test_alloc(size);
  test_value_make(value, size, (uint64_t)(t - w->m->s->tables) + 1, (uint64_t)k, w->g);
  value[0] = w->g; /* so that a value says whose it is */
  t->values[w->g][k] = value;
  t->version[w->g][k] = expire_at_ms == LONG_AGO ? 0 : w->g;
  subject_key(k, key);
  nacre_slice name = {key, 6}, bytes = {value, size};
  must(w->load != NULL ? nacre_load_put_expiring(w->load, name, bytes, expire_at_ms)
                       : nacre_batch_put_expiring(w->batch, name, bytes, expire_at_ms),
       "a put");
}

static void delete (group *w, int k) {
  char key[8];
  subject_key(k, key);
  w->t->version[w->g][k] = 0;
  must(nacre_batch_delete(w->batch, (nacre_slice){key, 6}), "a delete");
}

static void delete_range(group *w, int from, int to) {
  char first[8], end[8];
  subject_key(from, first);
  subject_key(to, end);
  memset(w->t->version[w->g] + from, 0, (size_t)(to - from));
  must(nacre_batch_delete_range(w->batch, (nacre_slice){first, 6}, (nacre_slice){end, 6}), "a range delete");
}

static group begin_batch(making *m, int table) {
  group w = begin_group(m, table);
  must(nacre_batch_create(&w.batch), "a batch");
  return w;
}

static void end_batch(group *w, bool sync) {
  must(nacre_write(w->table, w->batch, &(nacre_write_options){.sync = sync}), "a write");
  nacre_batch_destroy(w->batch);
  w->t->groups = w->g;
  w->t->synced[w->g] = sync;
}

static void write_group(making *m, int table, int from, int to, bool sync) {
  group w = begin_batch(m, table);
  for (int k = from; k < to; k++) {
    if (w.g > 6 && (k + w.g) % 7 == 0)
      delete (&w, k);
    else
      put(&w, k, 0);
  }
  end_batch(&w, sync);
}

/* Range deletes, a put that never expires as far as anybody here can see, one that has, and a large one. */
static void write_kinds(making *m, int from, int large) {
  group w = begin_batch(m, 1);
  delete_range(&w, from, from + 5);
  delete_range(&w, from + 3, from + 7);
  put(&w, from + 4, IN_2100);
  put(&w, from + 7, LONG_AGO);
  put(&w, large, 0);
  end_batch(&w, false);
}

static void load_in_bulk(making *m, int from, int to) {
  group w = begin_group(m, 1);
  must(nacre_load_begin(w.table, NULL, &w.load), "a load");
  for (int k = from; k < to; k++) put(&w, k, k == from + 3 ? IN_2100 : k == from + 4 ? LONG_AGO : 0);
  must(nacre_load_commit(w.load), "loading");
  w.t->groups = w.t->flushed = w.g;
  w.t->synced[w.g] = true;
}

static void flush(making *m, int table) {
  must(nacre_flush(m->tables[table]), "a flush");
  m->s->tables[table].flushed = m->s->tables[table].groups;
}

static void open_all(making *m) {
  nacre_store_options options = subject_options(m->s, sim_disk_io(m->disk), false);
  must(nacre_open(STORE_PATH, &options, &m->store), "opening");
  for (int i = 0; i < SUBJECT_TABLES; i++) {
    nacre_table_options how =
        i == 0 ? (nacre_table_options){.compression = NACRE_COMPRESSION_NONE, .block_bytes = 1024}
               : (nacre_table_options){.compression = NACRE_COMPRESSION_ZSTD,
                                       .block_bytes = 1024,
                                       .filter_bits_per_key = 16,
                                       .large_value_bytes = 4096,
                                       .segment_bytes = NACRE_SEGMENT_BYTES_MIN,
                                       .level_ratio = 4};
    nacre_status status = nacre_table_open(m->store, m->s->tables[i].name, NULL, &m->tables[i]);
    if (status == NACRE_NOT_FOUND)
      status = nacre_table_create(m->store, m->s->tables[i].name, &how, &m->tables[i]);
    must(status, "opening a table");
  }
}

static void close_all(making *m) {
  for (int i = 0; i < SUBJECT_TABLES; i++) must(nacre_table_close(m->tables[i]), "closing a table");
  must(nacre_close(m->store), "closing");
}

static void note_moment(making *m, const char *name) {
  if (m->s->moment_count == SUBJECT_MOMENTS_MAX) test_die("too many moments");
  subject_moment *moment = &m->s->moments[m->s->moment_count++];
  moment->name = name;
  shelf_load(&moment->files, sim_disk_io(m->disk), STORE_PATH);
  for (int i = 0; i < SUBJECT_TABLES; i++) moment->groups[i] = m->s->tables[i].groups;
}

static void note_directories(making *m) {
  nacre_table_infos *infos;
  must(nacre_table_list(m->store, &infos), "listing");
  for (size_t i = 0; i < nacre_table_infos_count(infos); i++) {
    const nacre_table_info *info = nacre_table_infos_at(infos, i);
    for (int k = 0; k < SUBJECT_TABLES; k++)
      if (strcmp(m->s->tables[k].name, info->name) == 0)
        snprintf(m->s->tables[k].uuid, sizeof m->s->tables[k].uuid, "%s", info->uuid);
  }
  nacre_table_infos_free(infos);
}

/* Keys of "nautilus" whose values are large, and in the order of their files which key each holds: the first is of an
 * older value than the second. */
static const int large_keys[] = {20, 20, 62, 48};
enum { LARGE_FILES = sizeof large_keys / sizeof *large_keys };
static const struct {
  int from, to;
} segment_keys[SUBJECT_TABLES][3] = {{{0, 60}, {50, 110}}, {{0, 40}, {8, 21}, {60, 70}}};

static void set_sizes(subject *s) {
  for (int i = 0; i < SUBJECT_TABLES; i++)
    for (int k = 0; k < SUBJECT_KEYS; k++) s->tables[i].value_size[k] = (size_t)(20 + k % 17);
  for (size_t i = 0; i < LARGE_FILES; i++) s->tables[1].value_size[large_keys[i]] = SUBJECT_LARGE_BYTES;
}

void subject_keys_of(const subject *s, const shelf *files, const shelf_file *file, int *ret_from,
                     int *ret_to) {
  *ret_from = *ret_to = 0;
  for (int i = 0; i < SUBJECT_TABLES; i++) {
    if (strcmp(s->tables[i].uuid, file->directory) != 0) continue;
    if (shelf_ends_in(file, ".seg")) {
      unsigned place = shelf_older(files, file);
      *ret_from = segment_keys[i][place].from;
      *ret_to = segment_keys[i][place].to;
    } else if (shelf_ends_in(file, ".val")) {
      unsigned place = shelf_older(files, file);
      *ret_from = large_keys[place];
      *ret_to = *ret_from + (place > 0);
    }
  }
}

static void write_history(making *m) {
  open_all(m);
  note_directories(m);
  note_moment(m, "both tables empty");
  for (int i = 0; i < 6; i++) write_group(m, 0, 10 * i, 10 * i + 10, i % 2 == 0);
  flush(m, 0);
  note_moment(m, "one segment");
  for (int i = 5; i < 11; i++) write_group(m, 0, 10 * i, 10 * i + 10, false);
  flush(m, 0);
  for (int i = 0; i < 4; i++) write_group(m, 1, 10 * i, 10 * i + 10, true);
  flush(m, 1);
  note_moment(m, "three segments");
  write_kinds(m, 8, 20);
  flush(m, 1);
  load_in_bulk(m, 60, 70);
  note_moment(m, "five segments");
  must(nacre_table_rotate(m->tables[0]), "another table key");
  must(nacre_table_rewrap_wait(m->tables[0], NULL), "rewrapping");
  write_group(m, 0, 100, 104, false);
  write_group(m, 0, 102, 110, true);
  write_group(m, 0, 110, 111, false);
  note_moment(m, "logs begun");
  close_all(m);
  note_moment(m, "closed once");
  open_all(m);
  write_group(m, 0, 108, 116, true);
  write_group(m, 0, 112, 118, true);
  write_group(m, 1, 30, 48, false);
  note_moment(m, "second logs begun");
  write_group(m, 0, 113, 120, false);
  write_group(m, 0, 117, 120, false);
  write_group(m, 1, 50, 62, true);
  write_kinds(m, 40, 48);
}

void subject_make(subject *s, const subject *keyring_of) {
  making m = {.s = s, .disk = sim_disk_create()};
  sim_disk_without_maps(
      m.disk); /* all bits of all filler would be flipped: log_rot does that, of a little of it */
  *s = (subject){.path = STORE_PATH};
  s->tables[0].name = "pearl";
  s->tables[1].name = "nautilus";
  set_sizes(s);
  test_scratch_make(s->scratch, sizeof s->scratch, "hostile");
  test_key_uri(s->uri, sizeof s->uri, keyring_of != NULL ? keyring_of->scratch : s->scratch);
  test_path(s->keyring, sizeof s->keyring, keyring_of != NULL ? keyring_of->scratch : s->scratch, "keyring");
  write_history(&m);
  shelf_load(&s->killed, sim_disk_io(m.disk), STORE_PATH);
  close_all(&m);
  shelf_load(&s->clean, sim_disk_io(m.disk), STORE_PATH);
  sim_disk_destroy(m.disk);
}

void subject_remove(subject *s) {
  shelf_deinit(&s->clean);
  shelf_deinit(&s->killed);
  for (size_t i = 0; i < s->moment_count; i++) shelf_deinit(&s->moments[i].files);
  for (int i = 0; i < SUBJECT_TABLES; i++)
    for (int g = 0; g <= SUBJECT_GROUPS_MAX; g++)
      for (int k = 0; k < SUBJECT_KEYS; k++) free(s->tables[i].values[g][k]);
  test_scratch_remove(s->scratch);
}

/* ---- messages ------------------------------------------------------------------------------------------ */

void subject_doing(subject *s, const char *doing, const shelf_file *file, const shelf_file *other,
                   uint64_t number) {
  s->doing = doing;
  s->file = file;
  s->other = other;
  s->number = number;
}

bool subject_fail(const subject *s, const char *source, int line, const char *format, ...) {
  char text[600], label[2 * SHELF_NAME_BYTES] = "", other[2 * SHELF_NAME_BYTES] = "";
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (s->file != NULL) shelf_label(s->file, label);
  if (s->other != NULL) shelf_label(s->other, other);
  return test_check(false, source, line, "%s, %s%s%s, number %llu: %s", s->doing, label,
                    other[0] != '\0' ? " with " : "", other, (unsigned long long)s->number, text);
}
