/* SPDX-License-Identifier: Apache-2.0
 *
 * Every bit of every file, flipped one at a time.
 *
 * What each flip must come to is known beforehand, from where it falls: the status of opening, which keys may
 * be unreadable, what recovery drops, what verify says; and which of the two scrubs sees it. The keyless one
 * (tools/verify_walk.c) must see every bit but those of CURRENT's MACs. The library must see every bit of a
 * table but those of an older log's final frame, which is no part of the history; of the catalogue it reads
 * what it needs. Together they see all.
 *
 * Arguments: I N, to do the I-th of N parts. Environment: NACRE_HOSTILE_STEP, to flip every so many-th bit
 * only, and fewer of the zeros that fill up headers.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "current.h"
#include "frames.h"
#include "status.h"
#include "support.h"
#include "walk_store.h"

typedef struct run {
  subject s;
  shelf *files;
  bool killed;
  nacre_store *store; /* kept open while the files of tables are flipped */
  /* Opened when all was sound, to verify while the headers' padding is flipped. */
  nacre_store *watch_store;
  nacre_table *watch[SUBJECT_TABLES];
  char copy[512]; /* where the files stand for the keyless scrub */
  store_verdict sound;
  uint64_t part, parts, step, next, next_padding;
  bool types[256]; /* of frames, that there were */
  uint64_t flips, by_library, by_walk, hidden_from_library, hidden_from_walk, dropped, errors;
} run;

/* What a flip falls on. */
typedef struct spot {
  const shelf_file *file;
  const frame_place *frame; /* NULL: not in a frame */
  uint64_t offset;
  int table; /* SUBJECT_TABLES: the catalogue */
  bool newest_log;
  unsigned groups_before; /* of the log's table, before this file */
  uint64_t durable;       /* of a killed newest log: everything before was synced */
  int key_from, key_to;   /* of a segment or value file: which keys it may hold */
} spot;

static bool names(const nacre_error *error, const shelf_file *file) {
  return strstr(error->file, file->name) != NULL;
}

/* ---- what must be -------------------------------------------------------------------------------------- */

static void must_refuse(run *r, const spot *at, nacre_status status, const nacre_error *error,
                        nacre_status wanted) {
  (void)at;
  (void)PROVE(&r->s, status == wanted, "%s %u (%s) where %s is due", nacre_status_name(status), error->id,
              error->text, nacre_status_name(wanted));
  r->errors++;
}

/* All is answered, opening says no word, and verify finds the flip, in this file. */
static void must_only_verify(run *r, const spot *at, const table_verdict *v) {
  (void)PROVE(&r->s, table_whole(&r->s, v, at->table) && v->read_error.status == NACRE_OK,
              "not all is answered: %s%s", v->open_error.text, v->read_error.text);
  (void)PROVE(&r->s, v->recovery.clean != r->killed && v->recovery.dropped_bytes == 0, "recovery: %s",
              v->recovery.reason);
  (void)PROVE(&r->s, v->verified == NACRE_CORRUPT && names(&v->verify_error, at->file), "verify: %s %u in %s",
              nacre_status_name(v->verified), v->verify_error.id, v->verify_error.file);
}

static void must_hurt_keys(run *r, const spot *at, const table_verdict *v) {
  (void)PROVE(&r->s, v->opened == NACRE_OK && v->groups == r->s.tables[at->table].groups, "the table: %s",
              v->open_error.text);
  for (int k = 0; k < SUBJECT_KEYS; k++)
    (void)PROVE(&r->s, !v->key_unreadable[k] || (k >= at->key_from && k < at->key_to),
                "key %d is unreadable, and stands in another file: %s", k, v->read_error.text);
  (void)PROVE(&r->s, v->read_error.status == NACRE_OK || names(&v->read_error, at->file),
              "reading names %s: %s", v->read_error.file, v->read_error.text);
  (void)PROVE(&r->s, v->read_error.status == NACRE_OK || v->read_error.status == NACRE_CORRUPT,
              "reading: %s: %s", nacre_status_name(v->read_error.status), v->read_error.text);
  (void)PROVE(&r->s, v->verified == NACRE_CORRUPT && names(&v->verify_error, at->file), "verify: %s %u in %s",
              nacre_status_name(v->verified), v->verify_error.id, v->verify_error.file);
  r->errors += v->unreadable > 0;
}

/* The history ends where the flip is, and the report says so, to the byte. */
static void must_drop(run *r, const spot *at, const table_verdict *v) {
  unsigned before = at->groups_before + at->frame->groups - (at->frame->type == NC_FRAME_LOG_GROUP);
  (void)PROVE(&r->s, v->opened == NACRE_OK && v->unreadable == 0 && v->groups == (int)before,
              "%d groups where %u are due: %s", v->groups, before, v->open_error.text);
  (void)PROVE(&r->s,
              !v->recovery.clean && v->recovery.dropped_offset == at->frame->offset &&
                  v->recovery.dropped_bytes == at->file->size - at->frame->offset &&
                  strstr(v->recovery.file, at->file->name) != NULL && v->recovery.reason[0] != '\0' &&
                  v->recovery.maybe_synced,
              "the report says %llu bytes from %llu on of %s: %s",
              (unsigned long long)v->recovery.dropped_bytes, (unsigned long long)v->recovery.dropped_offset,
              v->recovery.file, v->recovery.reason);
  r->dropped++;
}

static void must_be_unseen(run *r, const spot *at, const table_verdict *v) {
  (void)PROVE(&r->s, table_whole(&r->s, v, at->table) && !table_noticed(v, r->killed),
              "what is no part of the table changes it: %s%s%s", v->open_error.text, v->recovery.reason,
              v->verify_error.text);
}

static void expect_log(run *r, const spot *at, const table_verdict *v) {
  bool final = at->frame->type == NC_FRAME_LOG_FINAL;
  if (!at->newest_log && final)
    must_be_unseen(r, at, v);
  else if (at->newest_log && (final || (r->killed && at->offset >= at->durable)))
    must_drop(r, at, v);
  else
    must_refuse(r, at, v->opened, &v->open_error, NACRE_CORRUPT);
}

static void expect_table(run *r, const spot *at, const table_verdict *v) {
  if (strcmp(at->file->name, "CURRENT") == 0)
    must_refuse(r, at, v->opened, &v->open_error,
                at->offset < NC_CURRENT_MAC_OFFSET ? NACRE_CORRUPT : NACRE_TAMPERED);
  else if (at->frame == NULL)
    must_only_verify(r, at, v);
  else if (shelf_ends_in(at->file, ".seg") || shelf_ends_in(at->file, ".val"))
    must_hurt_keys(r, at, v);
  else if (shelf_ends_in(at->file, ".log"))
    expect_log(r, at, v);
  else
    must_refuse(r, at, v->opened, &v->open_error, NACRE_CORRUPT);
}

/* Of the catalogue, copies that are not needed and a final frame change nothing. */
static void expect_catalogue(run *r, const spot *at, const store_verdict *v) {
  bool spare =
      strcmp(at->file->name, "CURRENT") != 0 && (at->frame == NULL || at->frame->type == NC_FRAME_LOG_FINAL);
  if (!spare) {
    bool mac = at->frame == NULL && at->offset >= NC_CURRENT_MAC_OFFSET;
    must_refuse(r, at, v->opened, &v->open_error, mac ? NACRE_TAMPERED : NACRE_CORRUPT);
    return;
  }
  (void)PROVE(&r->s, v->opened == NACRE_OK, "the store does not open: %s", v->open_error.text);
  for (int i = 0; i < SUBJECT_TABLES && v->opened == NACRE_OK; i++)
    (void)PROVE(&r->s, table_whole(&r->s, &v->tables[i], i) && !table_noticed(&v->tables[i], r->killed),
                "table %d: %s%s", i, v->tables[i].open_error.text, v->tables[i].verify_error.text);
}

/* ---- flipping ------------------------------------------------------------------------------------------ */

static nacre_store *open_sound(run *r) {
  nacre_store_options options = subject_options(&r->s, shelf_io(r->files), true);
  nacre_store *store;
  if (nacre_open("store", &options, &store) != NACRE_OK) test_die("the sound store does not open");
  return store;
}

static void open_watch(run *r) {
  r->watch_store = open_sound(r);
  for (int i = 0; i < SUBJECT_TABLES; i++)
    if (nacre_table_open(r->watch_store, r->s.tables[i].name, NULL, &r->watch[i]) != NACRE_OK)
      test_die("a sound table does not open");
}

/* The rest of the store does not even touch the file: so nothing that is wrong with it can matter there. */
static void prove_apart(run *r, int table) {
  table_verdict other;
  char untouched[SHELF_NAME_BYTES];
  snprintf(untouched, sizeof untouched, "%s", r->s.tables[table].uuid);
  for (size_t i = 0; i < r->files->file_count; i++) r->files->files[i].reads = 0;
  subject_doing(&r->s, "reading beside", NULL, NULL, 0);
  judge_table(&r->s, r->store, 1 - table, true, &other);
  (void)CHECK(table_whole(&r->s, &other, 1 - table) && !table_noticed(&other, r->killed),
              "the other table is not whole");
  for (size_t i = 0; i < r->files->file_count; i++)
    (void)CHECK(strcmp(r->files->files[i].directory, untouched) != 0 || r->files->files[i].reads == 0,
                "a table reads %s of another", r->files->files[i].name);
}

/* The zeros that fill up a header slot are most of the store. In each of their bytes one bit, by turns, is
 * put to the whole trial; at the other seven the store still opens and verify still looks. */
static bool fast_spot(const spot *at, unsigned bit) {
  return is_padding(at->file, at->offset) && bit != at->offset % 8;
}

static bool library_sees_fast(run *r, const spot *at) {
  if (at->table < SUBJECT_TABLES) {
    table_verdict v = {0};
    judge_by_verify(&r->s, r->watch[at->table], &v);
    (void)PROVE(&r->s, v.verified == NACRE_CORRUPT && names(&v.verify_error, at->file), "verify: %s %u in %s",
                nacre_status_name(v.verified), v.verify_error.id, v.verify_error.file);
    return v.verified != NACRE_OK;
  }
  nacre_store_options options = subject_options(&r->s, shelf_io(r->files), true);
  nacre_store *store = NULL;
  nacre_table_infos *infos = NULL;
  bool good = nacre_open("store", &options, &store) == NACRE_OK &&
              nacre_table_list(store, &infos) == NACRE_OK && nacre_table_infos_count(infos) == SUBJECT_TABLES;
  (void)PROVE(&r->s, good, "the catalogue does not open");
  nacre_table_infos_free(infos);
  (void)PROVE(&r->s, nacre_close(store) == NACRE_OK, "closing");
  return !good;
}

static bool library_sees(run *r, const spot *at) {
  bool thorough = at->frame != NULL;
  if (at->table < SUBJECT_TABLES) {
    table_verdict v;
    judge_table(&r->s, r->store, at->table, thorough, &v);
    expect_table(r, at, &v);
    return table_noticed(&v, r->killed);
  }
  store_verdict v;
  judge_store(&r->s, shelf_io(r->files), thorough, &v);
  expect_catalogue(r, at, &v);
  return store_noticed(&v, r->killed);
}

static void flip(run *r, spot *at, shelf_file *file, int fd, unsigned bit) {
  uint64_t failures = test_failures();
  file->bytes[at->offset] ^= (uint8_t)(1u << bit);
  if (pwrite(fd, file->bytes + at->offset, 1, (off_t)at->offset) != 1) test_die("the copy cannot be changed");
  subject_doing(&r->s, r->killed ? "killed, flip" : "flip", file, NULL, at->offset * 8 + bit);
  bool library = fast_spot(at, bit) ? library_sees_fast(r, at) : library_sees(r, at);
  bool walk = walk_store_faults(r->copy, file->directory) > 0;
  bool mac = strcmp(file->name, "CURRENT") == 0 && at->offset >= NC_CURRENT_MAC_OFFSET;
  bool old_final = at->table < SUBJECT_TABLES && !at->newest_log && at->frame != NULL &&
                   at->frame->type == NC_FRAME_LOG_FINAL;
  (void)PROVE(&r->s, walk == !mac, "the keyless scrub %s it", walk ? "sees" : "does not see");
  (void)PROVE(&r->s, library == !old_final || at->table == SUBJECT_TABLES, "the library %s it",
              library ? "sees" : "does not see");
  (void)PROVE(&r->s, library || walk, "nobody sees it");
  r->flips++;
  r->by_library += library;
  r->by_walk += walk;
  r->hidden_from_library += !library;
  r->hidden_from_walk += !walk;
  file->bytes[at->offset] ^= (uint8_t)(1u << bit);
  if (pwrite(fd, file->bytes + at->offset, 1, (off_t)at->offset) != 1) test_die("the copy cannot be mended");
  (void)CHECK(test_failures() == failures, "flip %llu", (unsigned long long)r->flips);
}

/* Whether the next bit is this part's and to be flipped. */
static bool due(run *r, bool padding) {
  uint64_t step = padding && r->step > 1 ? r->step * PADDING_SPARSER : r->step;
  uint64_t n = padding ? r->next_padding++ : r->next++;
  return n % step == 0 && n / step % r->parts == r->part;
}

static void flip_file(run *r, spot *at, shelf_file *file, uint64_t from) {
  frame_list list;
  char path[512], directory[512];
  frames_find(file, &list);
  for (size_t i = 0; i < list.count; i++) r->types[list.at[i].type] = true;
  test_path(directory, sizeof directory, r->copy, file->directory);
  test_path(path, sizeof path, directory, file->name);
  int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) test_die("%s cannot be opened", path);
  for (at->offset = from; at->offset < file->size; at->offset++) {
    at->frame = frame_at(&list, at->offset);
    for (unsigned bit = 0; bit < 8; bit++)
      if (due(r, is_padding(file, at->offset))) flip(r, at, file, fd, bit);
  }
  close(fd);
}

/* ---- where things are ---------------------------------------------------------------------------------- */

static int table_of(const run *r, const shelf_file *file) {
  for (int i = 0; i < SUBJECT_TABLES; i++)
    if (strcmp(file->directory, r->s.tables[i].uuid) == 0) return i;
  return SUBJECT_TABLES;
}

static void place_log(run *r, spot *at, const shelf_file *file) {
  frame_list list;
  const subject_table *t = &r->s.tables[at->table];
  frames_find(file, &list);
  unsigned here = list.at[list.count - 1].groups;
  if (list.at[0].type != NC_FRAME_LOG_START) test_die("a log that began was due");
  at->newest_log = shelf_newer(r->files, file) == 0;
  at->groups_before = at->newest_log ? t->groups - here : t->flushed;
  for (size_t i = 0; i < list.count; i++)
    if (list.at[i].type == NC_FRAME_LOG_GROUP && t->synced[at->groups_before + list.at[i].groups])
      at->durable = list.at[i].offset + list.at[i].size;
}

static void place(run *r, spot *at, const shelf_file *file) {
  *at = (spot){.file = file, .table = table_of(r, file), .newest_log = true};
  if (at->table == SUBJECT_TABLES) return;
  if (shelf_ends_in(file, ".log")) place_log(r, at, file);
  subject_keys_of(&r->s, r->files, file, &at->key_from, &at->key_to);
}

/* ---- the campaign -------------------------------------------------------------------------------------- */

static void flip_files(run *r, shelf *files, bool killed) {
  r->files = files;
  r->killed = killed;
  snprintf(r->copy, sizeof r->copy, "%s/%s", r->s.scratch, killed ? "killed" : "clean");
  walk_store_lay_out(files, r->copy);
  r->store = open_sound(r);
  open_watch(r);
  for (int i = 0; i < SUBJECT_TABLES; i++) prove_apart(r, i);
  judge_store(&r->s, shelf_io(files), true, &r->sound);
  (void)CHECK(!store_noticed(&r->sound, killed), "the sound store is not sound");
  for (size_t i = 0; i < files->file_count; i++) {
    shelf_file *file = &files->files[i];
    spot at;
    place(r, &at, file);
    (void)CHECK(file->directory[0] == '\0' || walk_store_faults(r->copy, file->directory) == 0,
                "the sound store has faults");
    /* A kill changes what the end of logs means, and on which logs the manifest's end rests. */
    bool ends = shelf_ends_in(file, ".log") || shelf_ends_in(file, ".man");
    bool other = !killed || (at.table < SUBJECT_TABLES && ends);
    if (other) flip_file(r, &at, file, killed ? NC_FRAMES_OFFSET : 0);
  }
  for (int i = 0; i < SUBJECT_TABLES; i++)
    if (nacre_table_close(r->watch[i]) != NACRE_OK) test_die("a table does not close");
  if (nacre_close(r->store) != NACRE_OK || nacre_close(r->watch_store) != NACRE_OK)
    test_die("the store does not close");
  (void)CHECK(files->handles == 0 && files->changes == 0, "%lld handles are open, %llu changes were tried",
              (long long)files->handles, (unsigned long long)files->changes);
}

static void prove_all_kinds(const run *r) {
  for (int type = 0; type < 256; type++)
    (void)CHECK(r->types[type] == (strcmp(nc_frame_type_name((uint8_t)type), "unknown") != 0),
                "frames of type %d, %s: %s in the subject", type, nc_frame_type_name((uint8_t)type),
                r->types[type] ? "are" : "are not");
}

static uint8_t keyring_bytes(const run *r, uint64_t at, uint8_t with, size_t *ret_size) {
  uint8_t byte = 0;
  int fd = open(r->s.keyring, O_RDWR | O_CLOEXEC);
  off_t size = lseek(fd, 0, SEEK_END);
  if (fd < 0 || pread(fd, &byte, 1, (off_t)at) != 1) test_die("the keyring cannot be read");
  byte ^= with;
  if (with != 0 && pwrite(fd, &byte, 1, (off_t)at) != 1) test_die("the keyring cannot be changed");
  close(fd);
  if (ret_size != NULL) *ret_size = (size_t)size;
  return byte;
}

static void flip_keyring(run *r) {
  size_t size;
  (void)keyring_bytes(r, 0, 0, &size);
  for (uint64_t n = 0; n < size * 8; n++) {
    store_verdict v;
    if (!due(r, false)) continue;
    (void)keyring_bytes(r, n / 8, (uint8_t)(1u << n % 8), NULL);
    subject_doing(&r->s, "flip of the keyring", NULL, NULL, n);
    judge_store(&r->s, shelf_io(&r->s.clean), false, &v);
    bool right =
        v.opened == NACRE_CORRUPT && v.open_error.id == (n < 64 ? NC_E_KEYRING_MAGIC : NC_E_KEYRING_CRC);
    (void)CHECK(right, "keyring, bit %llu: %s %u: %s", (unsigned long long)n, nacre_status_name(v.opened),
                v.open_error.id, v.open_error.text);
    (void)keyring_bytes(r, n / 8, (uint8_t)(1u << n % 8), NULL);
    r->flips++;
    r->errors++;
    r->by_library++;
    r->hidden_from_walk++; /* it lies in no store */
  }
}

int main(int argc, char **argv) {
  static run r;
  double started = test_seconds();
  r.part = argc > 2 ? strtoull(argv[1], NULL, 10) : 0;
  r.parts = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
  r.step = test_env_number("NACRE_HOSTILE_STEP", 1);
  if (r.parts == 0 || r.part >= r.parts || r.step == 0) test_die("usage: flips [I N]");
  subject_make(&r.s, NULL);
  flip_files(&r, &r.s.clean, false);
  flip_files(&r, &r.s.killed, true);
  flip_keyring(&r);
  prove_all_kinds(&r);
  printf(
      "flips: %llu bits flipped (part %llu of %llu, 1 in %llu): %llu seen by the library, %llu by the "
      "keyless scrub, 0 by none if none failed\n",
      (unsigned long long)r.flips, (unsigned long long)r.part, (unsigned long long)r.parts,
      (unsigned long long)r.step, (unsigned long long)r.by_library, (unsigned long long)r.by_walk);
  printf(
      "flips: refused or unreadable after %llu, log tails dropped and reported after %llu; hidden from the "
      "library %llu, from the keyless scrub %llu; %.1f s\n",
      (unsigned long long)r.errors, (unsigned long long)r.dropped, (unsigned long long)r.hidden_from_library,
      (unsigned long long)r.hidden_from_walk, test_seconds() - started);
  subject_remove(&r.s);
  return test_finish();
}
