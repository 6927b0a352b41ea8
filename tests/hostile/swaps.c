/* SPDX-License-Identifier: Apache-2.0
 *
 * Files and frames in each other's places: every file in the place of every other, from the same table, its
 * sibling, the catalogue, another store under the same keyring and one under another; every file as it was
 * earlier, alone and with what vouches for it; whole directories; frames within a file and between files;
 * header slots.
 *
 * Nothing foreign is ever believed. What no reader can tell, as the format says, is the whole directory as it
 * was earlier, and the newest log as it was earlier; those are counted apart.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frames.h"
#include "support.h"
#include "trial.h"

enum { AT_SLOT_SEQUENCE = 96 };

typedef struct run {
  trial t;
  shelf work; /* where things are moved about */
  uint64_t files, exchanged, older, frames, slots;
} run;

/* ---- what may come of it ------------------------------------------------------------------------------- */

static bool is_key_file(const shelf_file *file) { return strncmp(file->name, "KEYS.", 5) == 0; }

static unsigned allowed_for(const run *r, const shelf_file *target) {
  unsigned without = trial_without(&r->t, target);
  if (strcmp(target->name, "LOCK") == 0) return CAN(WHOLE_UNTOLD); /* its content is nobody's */
  if (without != 0) return without;
  return is_key_file(target) ? CAN(REFUSED) | CAN(WHOLE_TOLD) : CAN(REFUSED);
}

/* A sealed file of the same table in another's place is tampering; what is no sealed file at all in the place
 * of one is corrupt. Of another table or store, its key may be the first thing that is not there, or of a
 * version that is not accepted any more. */
static void prove_class(run *r, const shelf_file *target, const shelf_file *source, bool same_store) {
  int table = trial_table_of(&r->t, target);
  nacre_status status = trial_status(&r->t, table);
  bool both = is_sealed(target) && is_sealed(source);
  if (both && same_store && strcmp(target->directory, source->directory) == 0)
    (void)PROVE(&r->t.s, status == NACRE_TAMPERED, "%s", nacre_status_name(status));
  else if (both)
    (void)PROVE(&r->t.s, is_one_of(status, IS_TAMPERED | IS_KEY_MISSING | IS_ROLLED_BACK), "%s",
                nacre_status_name(status));
  else if (is_sealed(target) || is_sealed(source))
    (void)PROVE(&r->t.s, status == NACRE_CORRUPT || status == NACRE_OK, "%s", nacre_status_name(status));
}

static bool same_content(const shelf_file *a, const shelf_file *b) {
  return a->size == b->size && (a->size == 0 || memcmp(a->bytes, b->bytes, a->size) == 0);
}

/* ---- files --------------------------------------------------------------------------------------------- */

/* Bytes and size of `source` in the place of `target`, and back. */
static void replace(run *r, shelf_file *target, const shelf_file *source, bool same_store,
                    const char *doing) {
  shelf_file before = *target;
  bool own = target->directory[0] == '\0';
  target->bytes = source->bytes;
  target->size = source->size;
  subject_doing(&r->t.s, doing, target, source, 0);
  int table = own ? SUBJECT_TABLES : trial_table_of(&r->t, target);
  unsigned allowed = same_content(&before, source) ? CAN(WHOLE_UNTOLD) : allowed_for(r, target);
  outcome found = trial_run(&r->t, table, own ? NULL : target, allowed);
  if (found == REFUSED || found == UNREADABLE) prove_class(r, target, source, same_store);
  target->bytes = before.bytes;
  target->size = before.size;
  r->files++;
}

static void replace_all(run *r, const shelf *sources, const char *doing) {
  for (size_t i = 0; i < r->work.file_count; i++)
    for (size_t k = 0; k < sources->file_count; k++)
      replace(r, &r->work.files[i], &sources->files[k], sources == &r->t.s.clean, doing);
}

static void swap_content(shelf_file *a, shelf_file *b) {
  uint8_t *bytes = a->bytes;
  size_t size = a->size;
  a->bytes = b->bytes;
  a->size = b->size;
  b->bytes = bytes;
  b->size = size;
}

/* Two files have changed places. */
static void exchange_all(run *r) {
  for (size_t i = 0; i < r->work.file_count; i++)
    for (size_t k = i + 1; k < r->work.file_count; k++) {
      shelf_file *a = &r->work.files[i], *b = &r->work.files[k];
      bool spare = a->directory[0] == '\0' || (is_key_file(a) && is_key_file(b) && same_content(a, b));
      swap_content(a, b);
      subject_doing(&r->t.s, "exchange", a, b, 0);
      trial_run(&r->t, SUBJECT_TABLES, NULL, spare ? CAN_BE_TOLD | CAN(WHOLE_UNTOLD) : CAN_BE_TOLD);
      swap_content(a, b);
      r->exchanged++;
    }
}

/* ---- earlier files ------------------------------------------------------------------------------------- */

typedef bool choose(const shelf_file *file);
static bool manifest_and_current(const shelf_file *f) {
  return strcmp(f->name, "CURRENT") == 0 || shelf_ends_in(f, ".man");
}
static bool with_logs(const shelf_file *f) { return manifest_and_current(f) || shelf_ends_in(f, ".log"); }
static bool key_files(const shelf_file *f) { return is_key_file(f); }
static bool everything(const shelf_file *f) { return f->name[0] != '\0'; }

static bool is_log(const shelf_file *file) { return shelf_ends_in(file, ".log"); }

/* Every file alone: the newest log may be any earlier one; that it is not the newest cannot be told. */
static void put_back_each(run *r, const subject_moment *m) {
  for (size_t i = 0; i < m->files.file_count; i++) {
    const shelf_file *old = &m->files.files[i];
    shelf_file *now = shelf_find(&r->work, old->directory, old->name);
    if (now == NULL || same_content(now, old)) continue;
    shelf_file before = *now;
    now->bytes = old->bytes;
    now->size = old->size;
    subject_doing(&r->t.s, m->name, now, NULL, 1);
    unsigned log = CAN(EARLIER_TOLD) | CAN(EARLIER_UNTOLD) | CAN(WHOLE_TOLD) | CAN(WHOLE_UNTOLD);
    trial_run(&r->t, SUBJECT_TABLES, now, is_log(now) ? log | CAN(REFUSED) : allowed_for(r, now));
    now->bytes = before.bytes;
    now->size = before.size;
    r->older++;
  }
}

/* Some files of one directory together. `with_all`: those that came later are gone, too. */
static void put_back(run *r, const subject_moment *m, const char *directory, choose *chosen, bool with_all,
                     unsigned allowed) {
  bool changed = false;
  for (size_t i = 0; i < m->files.file_count; i++) {
    const shelf_file *old = &m->files.files[i], *now = shelf_find(&r->work, old->directory, old->name);
    if (strcmp(old->directory, directory) != 0 || !chosen(old)) continue;
    changed = changed || now == NULL || !same_content(now, old);
    shelf_put(&r->work, old);
  }
  for (size_t i = 0; with_all && i < r->work.file_count; i++) {
    shelf_file *file = &r->work.files[i];
    bool later = strcmp(file->directory, directory) == 0 && chosen(file) &&
                 shelf_find((shelf *)(uintptr_t)&m->files, directory, file->name) == NULL;
    changed = changed || later;
    file->missing = file->missing || later;
  }
  subject_doing(&r->t.s, m->name, shelf_find(&r->work, directory, "CURRENT"), NULL, allowed);
  if (changed) trial_run(&r->t, SUBJECT_TABLES, NULL, allowed);
  if (changed && chosen == key_files)
    (void)PROVE(&r->t.s, trial_status(&r->t, SUBJECT_TABLES) == NACRE_ROLLED_BACK, "older key files: %s",
                nacre_status_name(trial_status(&r->t, SUBJECT_TABLES)));
  r->older += changed;
  shelf_restore(&r->work, &r->t.s.clean);
}

/* Then the catalogue vouches for a newer one, and even the whole directory as it was is rolled back. */
static bool key_has_changed(run *r, const subject_moment *m, const char *directory) {
  const shelf_file *now = shelf_find(&r->work, directory, "KEYS.a");
  const shelf_file *old = shelf_find((shelf *)(uintptr_t)&m->files, directory, "KEYS.a");
  return !same_content(now, old);
}

static void put_back_moment(run *r, const subject_moment *m) {
  put_back_each(r, m);
  for (size_t i = 1; i < r->work.dir_count; i++) {
    const char *directory = r->t.s.clean.dirs[i].name;
    unsigned earlier = CAN(REFUSED) | CAN(UNREADABLE) | CAN(EARLIER_TOLD) | CAN(EARLIER_UNTOLD);
    bool catalogue = strcmp(directory, "catalogue") == 0;
    put_back(r, m, directory, manifest_and_current, false, CAN(REFUSED));
    put_back(r, m, directory, manifest_and_current, true, CAN(REFUSED));
    bool other_key = key_has_changed(r, m, directory);
    put_back(r, m, directory, key_files, false, CAN(REFUSED));
    put_back(r, m, directory, with_logs, true,
             catalogue ? earlier | CAN(WHOLE_UNTOLD) | CAN(WHOLE_TOLD) : earlier);
    unsigned whole = other_key ? CAN(REFUSED) : CAN(EARLIER_UNTOLD) | CAN(EARLIER_TOLD);
    put_back(r, m, directory, everything, true,
             catalogue ? earlier | CAN(WHOLE_UNTOLD) | CAN(WHOLE_TOLD) : whole);
  }
}

/* A whole directory of another store, or of the sibling, under this one's name. */
static void put_directory(run *r, shelf *from, const char *source, const char *directory) {
  for (size_t i = 0; i < r->work.file_count; i++)
    if (strcmp(r->work.files[i].directory, directory) == 0) r->work.files[i].missing = true;
  for (size_t i = 0; i < from->file_count; i++) {
    shelf_file file = from->files[i];
    if (strcmp(file.directory, source) != 0) continue;
    snprintf(file.directory, sizeof file.directory, "%s", directory);
    shelf_put(&r->work, &file);
  }
  subject_doing(&r->t.s, "another's directory", shelf_find(&r->work, directory, "CURRENT"),
                shelf_find(from, source, "CURRENT"), 0);
  trial_run(&r->t, SUBJECT_TABLES, NULL, CAN(REFUSED));
  r->files++;
  shelf_restore(&r->work, &r->t.s.clean);
}

/* ---- frames -------------------------------------------------------------------------------------------- */

/* Good checksums and a bad tag: nothing but tampering. */
static void judge_frame(run *r, const shelf_file *file, const shelf_file *other, uint64_t offset) {
  int table = trial_table_of(&r->t, file);
  subject_doing(&r->t.s, "frames", file, other, offset);
  trial_run(&r->t, table, NULL,
            trial_without(&r->t, file) != 0 ? CAN(UNREADABLE) | CAN(WHOLE_TOLD) : CAN(REFUSED));
  nacre_status status = trial_status(&r->t, table);
  (void)PROVE(&r->t.s, status == NACRE_TAMPERED || status == NACRE_CORRUPT, "%s", nacre_status_name(status));
  r->frames++;
}

static void put_frame(run *r, shelf_file *to, const frame_place *place, const shelf_file *from,
                      const frame_place *source) {
  uint8_t *aside = test_alloc(place->size);
  memcpy(aside, to->bytes + place->offset, place->size);
  memcpy(to->bytes + place->offset, from->bytes + source->offset, source->size);
  judge_frame(r, to, from, place->offset);
  nacre_status status = trial_status(&r->t, trial_table_of(&r->t, to));
  (void)PROVE(&r->t.s, place->type != source->type || status == NACRE_TAMPERED, "a frame of the type %s: %s",
              nc_frame_type_name(place->type), nacre_status_name(status));
  memcpy(to->bytes + place->offset, aside, place->size);
  free(aside);
}

static void exchange_frames(run *r, shelf_file *file, const frame_place *a, const frame_place *b) {
  uint8_t *aside = test_alloc(a->size);
  uint8_t *pa = file->bytes + a->offset, *pb = file->bytes + b->offset;
  memcpy(aside, pa, a->size);
  memcpy(pa, pb, a->size);
  memcpy(pb, aside, a->size);
  judge_frame(r, file, NULL, a->offset);
  memcpy(pb, pa, a->size);
  memcpy(pa, aside, a->size);
  free(aside);
}

/* Every frame in the place of every other of its size, in its own file and in each other one. */
static void move_frames(run *r) {
  for (size_t i = 0; i < r->work.file_count; i++)
    for (size_t k = 0; k < r->work.file_count; k++) {
      frame_list to, from;
      frames_find(&r->work.files[i], &to);
      frames_find(&r->t.s.clean.files[k], &from);
      for (size_t a = 0; a < to.count; a++)
        for (size_t b = 0; b < from.count; b++) {
          if (to.at[a].size != from.at[b].size || (i == k && a == b)) continue;
          put_frame(r, &r->work.files[i], &to.at[a], &r->t.s.clean.files[k], &from.at[b]);
          if (i == k && a < b) exchange_frames(r, &r->work.files[i], &to.at[a], &to.at[b]);
        }
    }
}

/* ---- header slots -------------------------------------------------------------------------------------- */

static void put_slot(run *r, shelf_file *to, size_t slot, const shelf_file *from, size_t source,
                     unsigned allowed) {
  uint8_t aside[NC_SLOT_BYTES], *place = to->bytes + slot * NC_SLOT_BYTES;
  memcpy(aside, place, sizeof aside);
  memcpy(place, from->bytes + source * NC_SLOT_BYTES, sizeof aside);
  subject_doing(&r->t.s, "header slots", to, from, slot * 2 + source);
  trial_run(&r->t, SUBJECT_TABLES, to, allowed);
  memcpy(place, aside, sizeof aside);
  r->slots++;
}

/* The slot of the higher sequence is taken. */
static bool slot_counts_first(const shelf_file *to, const shelf_file *from) {
  return nc_get_u64(from->bytes + AT_SLOT_SEQUENCE) > nc_get_u64(to->bytes + AT_SLOT_SEQUENCE);
}

/* A slot of another file, in either place; a slot in the other one's place. Of equals, slot 0 is taken. */
static void move_slots(run *r) {
  for (size_t i = 0; i < r->work.file_count; i++)
    for (size_t k = 0; k < r->work.file_count; k++) {
      shelf_file *to = &r->work.files[i];
      const shelf_file *from = &r->t.s.clean.files[k];
      if (!is_sealed(to) || !is_sealed(from)) continue;
      if (i != k) {
        put_slot(r, to, 0, from, 0, CAN(WHOLE_TOLD) | allowed_for(r, to));
        put_slot(r, to, 1, from, 1, CAN(WHOLE_TOLD) | (slot_counts_first(to, from) ? allowed_for(r, to) : 0));
      }
      put_slot(r, to, 0, from, 1, CAN(WHOLE_TOLD));
      put_slot(r, to, 1, from, 0, CAN(WHOLE_TOLD));
    }
}

int main(void) {
  static run r;
  static subject alike, foreign;
  double started = test_seconds();
  subject_make(&r.t.s, NULL);
  subject_make(&alike, &r.t.s);
  subject_make(&foreign, NULL);
  shelf_copy(&r.work, &r.t.s.clean);
  trial_begin(&r.t, &r.work, false);
  replace_all(&r, &r.t.s.clean, "within the store");
  replace_all(&r, &alike.clean, "from a store under the same keyring");
  replace_all(&r, &foreign.clean, "from a store under another keyring");
  exchange_all(&r);
  put_directory(&r, &alike.clean, "catalogue", "catalogue");
  put_directory(&r, &foreign.clean, "catalogue", "catalogue");
  for (int i = 0; i < SUBJECT_TABLES; i++) {
    put_directory(&r, &r.t.s.clean, r.t.s.tables[1 - i].uuid, r.t.s.tables[i].uuid);
    put_directory(&r, &alike.clean, alike.tables[i].uuid, r.t.s.tables[i].uuid);
  }
  for (size_t i = 0; i < r.t.s.moment_count; i++) put_back_moment(&r, &r.t.s.moments[i]);
  move_frames(&r);
  move_slots(&r);
  trial_end(&r.t);
  trial_print(&r.t, "swaps: trials");
  printf(
      "swaps: %llu files replaced, %llu pairs exchanged, %llu put back to an earlier state, %llu frames and "
      "%llu header slots moved; %.1f s\n",
      (unsigned long long)r.files, (unsigned long long)r.exchanged, (unsigned long long)r.older,
      (unsigned long long)r.frames, (unsigned long long)r.slots, test_seconds() - started);
  shelf_deinit(&r.work);
  subject_remove(&alike);
  subject_remove(&foreign);
  subject_remove(&r.t.s);
  return test_finish();
}
