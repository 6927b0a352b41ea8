/* SPDX-License-Identifier: Apache-2.0
 *
 * Every file at every length: cut to each shorter one, emptied, made longer by zeros and by junk, removed.
 *
 * What no reader can tell is what the format says none can: the newest log cut at the border of a frame is
 * the table as it was earlier, and what stands behind the recorded end of an older log is no part of the
 * history.
 * Those lengths are known beforehand; at every other one something must be said.
 *
 * Environment: NACRE_HOSTILE_STEP, to take every so many-th length only.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frames.h"
#include "support.h"
#include "trial.h"

typedef struct run {
  trial t;
  uint64_t step;
} run;

/* Whether a file of this length ends with a whole frame, or with its header. */
static bool at_border(const frame_list *list, uint64_t size) {
  const frame_place *frame = frame_at(list, size);
  return size == NC_FRAMES_OFFSET || (frame != NULL && frame->offset == size);
}

static uint64_t end_of_history(const frame_list *list) {
  const frame_place *last = &list->at[list->count - 1];
  return last->type == NC_FRAME_LOG_FINAL ? last->offset : last->offset + last->size;
}

/* Cutting the newest log may always drop its end. It must be told of, but at a border, where the process may
 * just as well have been killed. */
static unsigned allowed_of_log(const trial *t, const shelf_file *file, const frame_list *list,
                               uint64_t size) {
  bool newest = shelf_newer(t->files, file) == 0, catalogue = trial_table_of(t, file) == SUBJECT_TABLES;
  if (size < NC_FRAMES_OFFSET) return CAN(REFUSED);
  if (!newest) return size >= end_of_history(list) ? CAN(WHOLE_UNTOLD) | CAN(WHOLE_TOLD) : CAN(REFUSED);
  if (size == NC_FRAMES_OFFSET) return CAN(EARLIER_UNTOLD) | (catalogue ? CAN(REFUSED) : 0);
  if (t->killed && !catalogue && at_border(list, size)) return CAN(EARLIER_UNTOLD) | CAN(WHOLE_UNTOLD);
  /* A catalogue of before a key change does not vouch for the table's key. */
  return CAN(EARLIER_TOLD) | CAN(WHOLE_TOLD) | (catalogue ? CAN(REFUSED) : 0);
}

static unsigned allowed_of(const trial *t, const shelf_file *file, const frame_list *list, uint64_t size) {
  unsigned without = trial_without(t, file);
  if (shelf_ends_in(file, ".log")) return allowed_of_log(t, file, list, size);
  if (without != 0) return without;
  return strncmp(file->name, "KEYS.", 5) == 0 ? CAN(WHOLE_TOLD) : CAN(REFUSED);
}

/* Of what is too short: not one byte of it was forged. */
static void prove_class(run *r, const shelf_file *file, int table) {
  const store_verdict *v = &r->t.verdict;
  const table_verdict *one = &v->tables[table < SUBJECT_TABLES ? table : 0];
  nacre_status status = v->opened != NACRE_OK                ? v->opened
                        : table == SUBJECT_TABLES            ? NACRE_OK
                        : one->opened != NACRE_OK            ? one->opened
                        : one->read_error.status != NACRE_OK ? one->read_error.status
                                                             : one->verified;
  bool manifest = shelf_ends_in(file, ".man");
  (void)PROVE(&r->t.s,
              status == NACRE_OK || status == NACRE_CORRUPT || (manifest && status == NACRE_ROLLED_BACK),
              "%s: %s", nacre_status_name(status), one->open_error.text);
}

static void cut(run *r, shelf_file *file) {
  frame_list list;
  size_t whole = file->size;
  int table = trial_table_of(&r->t, file);
  frames_find(file, &list);
  for (size_t size = r->t.killed ? NC_FRAMES_OFFSET : 0; size < whole; size++) {
    bool border = size % NC_SLOT_BYTES == 0 || at_border(&list, size) || at_border(&list, size + 1);
    uint64_t step = is_padding(file, size) && r->step > 1 ? r->step * PADDING_SPARSER : r->step;
    if (size % step != 0 && !border) continue;
    file->size = size;
    subject_doing(&r->t.s, r->t.killed ? "killed, cut" : "cut", file, NULL, size);
    r->t.s.may_be_missing = table == SUBJECT_TABLES && shelf_ends_in(file, ".log");
    trial_run(&r->t, table, file, allowed_of(&r->t, file, &list, size));
    prove_class(r, file, table);
  }
  file->size = whole;
  r->t.s.may_be_missing = false;
}

/* ---- longer files -------------------------------------------------------------------------------------- */

enum { LONGER_MAX = 4096, FILLINGS = 3 };

static void fill(uint8_t *bytes, size_t size, int filling) {
  for (size_t i = 0; i < size; i++)
    bytes[i] = filling == 0 ? 0 : filling == 1 ? 0xff : (uint8_t)(i * 167 + 13);
}

/* Behind a log's or a manifest's last frame anything is a write that was cut off; an older log's end was
 * recorded; a lock has no content. */
static unsigned allowed_longer(const trial *t, const shelf_file *file) {
  if (strcmp(file->name, "LOCK") == 0) return CAN(WHOLE_UNTOLD);
  if (trial_without(t, file) != 0) return trial_without(t, file);
  if (shelf_ends_in(file, ".log") || shelf_ends_in(file, ".man")) return CAN(WHOLE_TOLD);
  return strncmp(file->name, "KEYS.", 5) == 0 ? CAN(WHOLE_TOLD) : CAN(REFUSED);
}

/* By each of the first so many numbers of bytes, past what frames are aligned to, then by fewer. */
static void lengthen(run *r, shelf_file *file) {
  size_t each = r->step == 1 ? 64 : 17;
  size_t whole = file->size;
  uint8_t *bytes = file->bytes;
  file->bytes = test_alloc(whole + LONGER_MAX);
  if (whole > 0) memcpy(file->bytes, bytes, whole);
  for (int filling = 0; filling < FILLINGS; filling++) {
    fill(file->bytes + whole, LONGER_MAX, filling);
    for (size_t more = 1; more <= LONGER_MAX; more = more < each ? more + 1 : more * 4) {
      file->size = whole + more;
      subject_doing(&r->t.s, r->t.killed ? "killed, longer" : "longer", file, NULL, more);
      int table = file->directory[0] == '\0' ? SUBJECT_TABLES : trial_table_of(&r->t, file);
      trial_run(&r->t, table, file->directory[0] == '\0' ? NULL : file, allowed_longer(&r->t, file));
    }
  }
  free(file->bytes);
  file->bytes = bytes;
  file->size = whole;
}

/* ---- missing files ------------------------------------------------------------------------------------- */

static void miss(run *r, shelf_file *file) {
  unsigned without = trial_without(&r->t, file);
  unsigned allowed = without != 0                           ? without
                     : strncmp(file->name, "KEYS.", 5) == 0 ? CAN(WHOLE_TOLD)
                     : strcmp(file->name, "LOCK") == 0      ? CAN(WHOLE_UNTOLD)
                                                            : CAN(REFUSED);
  file->missing = true;
  subject_doing(&r->t.s, "missing", file, NULL, 0);
  trial_run(&r->t, trial_table_of(&r->t, file), file->directory[0] == '\0' ? NULL : file, allowed);
  prove_class(r, file, trial_table_of(&r->t, file));
  file->missing = false;
}

static void miss_directory(run *r, shelf_dir *dir) {
  dir->missing = true;
  subject_doing(&r->t.s, "a missing directory", NULL, NULL, (uint64_t)(dir - r->t.files->dirs));
  r->t.s.may_be_missing = strcmp(dir->name, "catalogue") == 0; /* then there is no store */
  trial_run(&r->t, SUBJECT_TABLES, NULL, CAN(REFUSED));
  dir->missing = r->t.s.may_be_missing = false;
}

static void run_shelf(run *r, shelf *files, bool killed) {
  trial_begin(&r->t, files, killed);
  for (size_t i = 0; i < files->file_count; i++) {
    shelf_file *file = &files->files[i];
    if (killed && !shelf_ends_in(file, ".log")) continue;
    cut(r, file);
    lengthen(r, file);
    if (!killed) miss(r, file);
  }
  for (size_t i = 1; i < files->dir_count && !killed; i++) miss_directory(r, &files->dirs[i]);
  trial_end(&r->t);
}

int main(void) {
  static run r;
  double started = test_seconds();
  r.step = test_env_number("NACRE_HOSTILE_STEP", 1);
  if (r.step == 0) r.step = 1;
  subject_make(&r.t.s, NULL);
  run_shelf(&r, &r.t.s.clean, false);
  run_shelf(&r, &r.t.s.killed, true);
  trial_print(&r.t, "cuts: files cut, lengthened and missing");
  printf("cuts: %.1f s\n", test_seconds() - started);
  subject_remove(&r.t.s);
  return test_finish();
}
