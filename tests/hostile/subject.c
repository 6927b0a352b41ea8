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

static void write_group(making *m, int table, int from, int to, bool sync) {
  subject_table *t = &m->s->tables[table];
  nacre_batch *batch;
  char key[8];
  uint8_t g = (uint8_t)(t->groups + 1);
  if (g > SUBJECT_GROUPS_MAX) test_die("too many groups");
  memcpy(t->version[g], t->version[t->groups], sizeof t->version[g]);
  must(nacre_batch_create(&batch), "a batch");
  for (int k = from; k < to; k++) {
    bool deleted = g > 6 && (k + g) % 7 == 0;
    subject_key(k, key);
    t->version[g][k] = deleted ? 0 : g;
    if (deleted)
      must(nacre_batch_delete(batch, (nacre_slice){key, 6}), "a delete");
    else
      must(nacre_batch_put(batch, (nacre_slice){key, 6}, (nacre_slice){t->values[g][k], t->value_size[k]}),
           "a put");
  }
  must(nacre_write(m->tables[table], batch, &(nacre_write_options){.sync = sync}), "a write");
  nacre_batch_destroy(batch);
  t->groups = g;
  t->synced[g] = sync;
}

static void flush(making *m, int table) {
  must(nacre_flush(m->tables[table]), "a flush");
  m->s->tables[table].flushed = m->s->tables[table].groups;
}

static void open_all(making *m) {
  nacre_store_options options = subject_options(m->s, sim_disk_io(m->disk), false);
  must(nacre_open(STORE_PATH, &options, &m->store), "opening");
  for (int i = 0; i < SUBJECT_TABLES; i++) {
    nacre_table_options how = {.compression = i == 0 ? NACRE_COMPRESSION_NONE : NACRE_COMPRESSION_ZSTD,
                               .block_bytes = 1024};
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

static void make_values(subject_table *t, uint64_t owner) {
  for (int k = 0; k < SUBJECT_KEYS; k++) {
    t->value_size[k] = (size_t)(20 + k % 17);
    for (int g = 0; g <= SUBJECT_GROUPS_MAX; g++) {
      test_value_make(t->values[g][k], t->value_size[k], owner, (uint64_t)k, (uint64_t)g);
      t->values[g][k][0] = (uint8_t)g; /* so that a value says whose it is */
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
  write_group(m, 1, 30, 50, false);
  note_moment(m, "second logs begun");
  write_group(m, 0, 113, 120, false);
  write_group(m, 0, 117, 120, false);
  write_group(m, 1, 50, 70, true);
}

void subject_make(subject *s, const subject *keyring_of) {
  making m = {.s = s, .disk = sim_disk_create()};
  sim_disk_without_maps(m.disk); /* all bits of all filler would be flipped: log_rot does that, of a little of it */
  *s = (subject){.path = STORE_PATH};
  for (int i = 0; i < SUBJECT_TABLES; i++) {
    s->tables[i].name = i == 0 ? "pearl" : "nautilus";
    make_values(&s->tables[i], (uint64_t)i + 1);
  }
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
