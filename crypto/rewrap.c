/* SPDX-License-Identifier: Apache-2.0
 *
 * rewrap: see rewrap.h. No state, no lock.
 */
#include "rewrap.h"

#include <stdio.h>
#include <stdlib.h>

enum { COPY_BYTES = 1 << 20, NAME_BYTES = NC_FILE_NAME_BYTES + 8 };

/* One file, while its header is being brought under another key. */
typedef struct rewrapping {
  const nc_dir *dir;
  const char *name;
  const nc_table_keys *keys;
  nc_file file;
  uint64_t size;
  uint8_t bytes[NC_FRAMES_OFFSET]; /* the header as it is, */
  uint8_t image[NC_FRAMES_OFFSET]; /* and as it is to be */
  uint8_t back[NC_SLOT_BYTES];
  nc_header_slot good;    /* the slot that was unwrapped */
  bool noting;            /* the header is to tell the sequence of a load, */
  uint64_t load_sequence; /* this one */
  bool equal, current;    /* both slots are alike; the good one is as it is to be: under the active key */
  bool spare;             /* the other slot would serve, too */
  bool dirty;             /* a slot has been written that is not known to be on the disk: */
  uint8_t dirty_slot;
  nc_rewrap_result result;
} rewrapping;

/* ---- what there is ------------------------------------------------------------------------------------- */

static nacre_status check_slot(rewrapping *r, const nc_header_slot *slot, nacre_error *err) {
  const nc_kek *kek;
  NC_TRY(nc_header_kek(r->keys, slot, &kek, err));
  return nc_dek_check(r->dir->env, kek, slot, err);
}

/* Takes the slot that a reader would take; tells the first one's error when neither serves. */
static nacre_status authenticate(rewrapping *r, const nc_header_slot slots[NC_SLOT_COUNT],
                                 const bool good[NC_SLOT_COUNT], int pick, nacre_error *err) {
  nacre_error why;
  bool first = check_slot(r, &slots[pick], &why) == NACRE_OK;
  bool second = good[1 - pick] && check_slot(r, &slots[1 - pick], NULL) == NACRE_OK;
  r->good = slots[first ? pick : 1 - pick];
  r->spare = first && second;
  return first || second ? NACRE_OK : nc_fail_with(err, &why);
}

/* Equal slots are equal bytes but for their index and, for its sake, their checksum. */
static bool slots_equal(const nc_header_slot slots[NC_SLOT_COUNT], const bool good[NC_SLOT_COUNT]) {
  uint8_t a[NC_SLOT_BYTES], b[NC_SLOT_BYTES];
  if (!good[0] || !good[1]) return false;
  nc_header_slot other = slots[1];
  other.index = 0;
  nc_header_encode(&slots[0], a);
  nc_header_encode(&other, b);
  return memcmp(a, b, NC_SLOT_BYTES) == 0;
}

static bool is_current(const rewrapping *r, const nc_header_slot *slot) {
  const nc_kek_pin *active = nc_kek_describe(nc_table_keys_active(r->keys));
  return nc_uuid_equal(&slot->kek_id, &active->id) && (!r->noting || slot->load_sequence == r->load_sequence);
}

static nacre_status look(rewrapping *r, const nc_sealed_expect *expect, bool was_durable, nacre_error *err) {
  nc_header_slot slots[NC_SLOT_COUNT];
  bool good[NC_SLOT_COUNT];
  int pick = 0;
  NC_TRY(nc_file_size(&r->file, &r->size, err));
  size_t size = r->size < sizeof r->bytes ? (size_t)r->size : sizeof r->bytes;
  NC_TRY(nc_file_read(&r->file, 0, r->bytes, size, err));
  NC_TRY(nc_header_pick((nacre_slice){r->bytes, size}, slots, good, &pick, err));
  r->equal = slots_equal(slots, good);
  r->current = is_current(r, &slots[pick]);
  if (r->equal && r->current && was_durable && expect == NULL) return NACRE_OK; /* nothing is to be done */
  NC_TRY(authenticate(r, slots, good, pick, err));
  r->current = is_current(r, &r->good);
  return expect == NULL ? NACRE_OK : nc_header_expected(&r->good, expect, err);
}

/* ---- what is to be ------------------------------------------------------------------------------------- */

static nacre_status compose(rewrapping *r, bool fresh, nacre_error *err) {
  nc_header_slot slot = r->good;
  if (fresh) {
    const nc_kek *from;
    NC_TRY(nc_header_kek(r->keys, &r->good, &from, err));
    uint64_t load_sequence = r->noting ? r->load_sequence : r->good.load_sequence;
    NC_TRY(
        nc_dek_rewrap(r->dir->env, from, &r->good, nc_table_keys_active(r->keys), load_sequence, &slot, err));
  }
  for (uint8_t i = 0; i < NC_SLOT_COUNT; i++) {
    slot.index = i;
    nc_header_encode(&slot, r->image + (size_t)i * NC_SLOT_BYTES);
  }
  return NACRE_OK;
}

/* ---- in place ------------------------------------------------------------------------------------------ */

static nacre_status write_slot(rewrapping *r, uint8_t index, nacre_error *err) {
  uint64_t at = (uint64_t)index * NC_SLOT_BYTES;
  r->dirty = true;
  r->dirty_slot = index;
  NC_TRY(nc_file_write(&r->file, at, r->image + at, NC_SLOT_BYTES, err));
  NC_TRY(nc_file_sync(&r->file, err));
  r->dirty = false;
  NC_TRY(nc_file_read(&r->file, at, r->back, NC_SLOT_BYTES, err));
  r->result.header_bytes += NC_SLOT_BYTES;
  if (memcmp(r->back, r->image + at, NC_SLOT_BYTES) == 0) return NACRE_OK;
  return nc_fail_in(err, nc_fail_at(err, NC_E_REWRAP_READ_BACK, at, NULL), r->file.label, 0);
}

/* First the slot that was not read from; then, the file's wrap being safe there, the other. [W4] */
static nacre_status write_in_place(rewrapping *r, nacre_error *err) {
  uint8_t first = r->good.index == 0 ? 1 : 0;
  /* What an interrupted rewrap wrote may stand in the page cache only, the good slot too. After a sync that
   * failed the kernel may hold it for clean: then only writing it again brings it to the disk, which is safe
   * as long as the other slot would serve. */
  if (!r->equal && r->spare) {
    uint64_t at = (uint64_t)r->good.index * NC_SLOT_BYTES;
    NC_TRY(nc_file_write(&r->file, at, r->bytes + at, NC_SLOT_BYTES, err));
  }
  NC_TRY(nc_file_sync(&r->file, err));
  if (r->equal && r->current) return NACRE_OK;
  NC_TRY(write_slot(r, first, err));
  return r->current ? NACRE_OK : write_slot(r, (uint8_t)(1 - first), err);
}

/* After a sync that failed, what is read shows a slot that the disk may never have got: the next look would take
 * the file for done. What was there before takes its place, so that the slots are seen to differ. */
static void take_back(rewrapping *r) {
  uint64_t at = (uint64_t)r->dirty_slot * NC_SLOT_BYTES;
  if (r->dirty) nc_ignore(nc_file_write(&r->file, at, r->bytes + at, NC_SLOT_BYTES, NULL));
}

/* ---- by a copy ----------------------------------------------------------------------------------------- */

static size_t part_at(const rewrapping *r, uint64_t at) {
  return r->size - at < COPY_BYTES ? (size_t)(r->size - at) : COPY_BYTES;
}

static nacre_status copy_data(rewrapping *r, nc_file *to, uint8_t *buffer, nacre_error *err) {
  for (uint64_t at = sizeof r->image; at < r->size;) {
    size_t size = part_at(r, at);
    NC_TRY(nc_file_read(&r->file, at, buffer, size, err));
    NC_TRY(nc_file_write(to, at, buffer, size, err));
    at += size;
  }
  return NACRE_OK;
}

/* The file is about to go: what is in its place must be what is in it, read once more. */
static nacre_status compare_data(rewrapping *r, nc_file *to, uint8_t *buffers, nacre_error *err) {
  NC_TRY(nc_file_read(to, 0, buffers, sizeof r->image, err));
  if (memcmp(buffers, r->image, sizeof r->image) != 0) return nc_fail_at(err, NC_E_REWRAP_READ_BACK, 0, NULL);
  for (uint64_t at = sizeof r->image; at < r->size;) {
    size_t size = part_at(r, at);
    NC_TRY(nc_file_read(&r->file, at, buffers, size, err));
    NC_TRY(nc_file_read(to, at, buffers + COPY_BYTES, size, err));
    if (memcmp(buffers, buffers + COPY_BYTES, size) != 0)
      return nc_fail_at(err, NC_E_REWRAP_READ_BACK, at, NULL);
    at += size;
  }
  return NACRE_OK;
}

static nacre_status copy_bytes(rewrapping *r, nc_file *to, nacre_error *err) {
  uint8_t *buffers = malloc(2 * (size_t)COPY_BYTES);
  if (buffers == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  nacre_status status = nc_file_write(to, 0, r->image, sizeof r->image, err);
  if (status == NACRE_OK) status = copy_data(r, to, buffers, err);
  if (status == NACRE_OK) status = nc_file_sync(to, err);
  if (status == NACRE_OK) status = compare_data(r, to, buffers, err);
  free(buffers);
  return status;
}

/* [W5] */
static nacre_status replace_by_copy(rewrapping *r, nacre_error *err) {
  char aside[NAME_BYTES];
  nc_file to;
  snprintf(aside, sizeof aside, "%s%s", r->name, NC_REWRAP_SUFFIX);
  nc_ignore(nc_dir_remove(r->dir, aside, NULL)); /* what a crash left */
  NC_TRY(nc_file_create(r->dir, aside, &to, err));
  nacre_status status = copy_bytes(r, &to, err);
  nc_file_close(&to);
  if (status == NACRE_OK) status = nc_dir_rename(r->dir, aside, r->name, err);
  if (status != NACRE_OK) {
    nc_ignore(nc_dir_remove(r->dir, aside, NULL));
    return status;
  }
  r->result.copied_bytes = r->size;
  return nc_dir_sync(r->dir, err);
}

/* ---- one file ------------------------------------------------------------------------------------------ */

/* When the copy cannot be made either, what was wrong with the file itself says more. */
static nacre_status settle(rewrapping *r, bool was_durable, nacre_error *err) {
  uint64_t links = 1;
  nacre_error why = {0};
  bool settled = r->equal && r->current;
  r->result.outcome = settled ? NC_REWRAP_NOTHING : r->current ? NC_REWRAP_HEALED : NC_REWRAP_DONE;
  if (settled && was_durable) return NACRE_OK;
  NC_TRY(nc_file_links(&r->file, &links, err));
  NC_TRY(compose(r, !r->current, err));
  nacre_status status = links > 1 && !settled ? NACRE_IO : write_in_place(r, &why);
  if (status == NACRE_OK) return NACRE_OK;
  r->result.outcome = NC_REWRAP_COPIED;
  status = replace_by_copy(r, err);
  if (status != NACRE_OK) take_back(r);
  return status == NACRE_OK || why.status == NACRE_OK ? status : nc_fail_with(err, &why);
}

static nacre_status run(rewrapping *r, const nc_sealed_expect *expect, bool was_durable, nacre_error *err) {
  NC_TRY(nc_file_open(r->dir, r->name, true, &r->file, err));
  nacre_status status = look(r, expect, was_durable, err);
  if (status == NACRE_OK) status = settle(r, was_durable, err);
  if (status != NACRE_OK) nc_fail_in(err, status, r->file.label, 0);
  nc_file_close(&r->file);
  return status;
}

nacre_status nc_rewrap_file(const nc_dir *dir, const char *name, const nc_table_keys *keys,
                            const nc_sealed_expect *expect, bool was_durable, nc_rewrap_result *ret_result,
                            nacre_error *err) {
  rewrapping *r = calloc(1, sizeof *r);
  if (r == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  *r = (rewrapping){.dir = dir, .name = name, .keys = keys};
  nacre_status status = run(r, expect, was_durable, err);
  if (status == NACRE_OK) *ret_result = r->result;
  free(r);
  return status;
}

nacre_status nc_rewrap_note_load(const nc_dir *dir, const char *name, const nc_table_keys *keys,
                                 const nc_sealed_expect *expect, uint64_t load_sequence, nacre_error *err) {
  rewrapping *r = calloc(1, sizeof *r);
  if (r == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  *r = (rewrapping){.dir = dir, .name = name, .keys = keys, .noting = true, .load_sequence = load_sequence};
  nacre_status status = run(r, expect, true, err);
  free(r);
  return status;
}
