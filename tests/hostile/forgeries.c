/* SPDX-License-Identifier: Apache-2.0
 *
 * Forgeries: every bit of what means something, flipped, and every checksum over it put right again, as one
 * would who can write the disk and has no key. Where there are two copies, both are forged.
 *
 * None of it is believed. What only a key can tell is tampering; what the format rules out (reserved bytes,
 * unknown types, versions and suites) is what it is, because the checksum is good.
 *
 * Every third bit is taken. Environment: NACRE_HOSTILE_STEP, to take every so many-th of these only.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crc32c.h"
#include "current.h"
#include "frames.h"
#include "support.h"
#include "trial.h"

enum {
  EVERY = 3,                /* one bit in so many is enough: under a MAC or a tag all are alike */
  SLOT_MEANING_BYTES = 240, /* of a header slot: its fields, and the first of the zeros */
  AT_SLOT_VERSION = 8,
  AT_SLOT_SUITE = 10,
  AT_SLOT_TYPE = 12,
  AT_SLOT_IDENTITY_ZEROS = 13,
  AT_SLOT_ORIGIN = 16,
  AT_SLOT_INDEX = 104,
  AT_SLOT_KEK = 112,
  AT_SLOT_KEK_END = 128,
  AT_SLOT_ZEROS = 208,
  FRAME_CHECKED_BYTES = 6,
  AT_FRAME_CRC = 8,
  AT_FRAME_SALT = 12,
  AT_CURRENT_CRC = 124
};

typedef struct run {
  trial t;
  uint64_t step, next;
} run;

static bool due(run *r) { return r->next++ % r->step == 0; }

static void judge(run *r, const shelf_file *file, const char *doing, uint64_t bit, unsigned allowed,
                  unsigned classes) {
  int table = trial_table_of(&r->t, file);
  subject_doing(&r->t.s, doing, file, NULL, bit);
  trial_run(&r->t, table, file, allowed);
  nacre_status status = trial_status(&r->t, table);
  (void)PROVE(&r->t.s, is_one_of(status, classes), "%s", nacre_status_name(status));
}

static unsigned allowed_for(const run *r, const shelf_file *file) {
  unsigned without = trial_without(&r->t, file);
  return without != 0 ? without : CAN(REFUSED);
}

/* ---- headers ------------------------------------------------------------------------------------------- */

static unsigned class_of_header(const shelf_file *file, size_t byte) {
  if (byte < AT_SLOT_VERSION) return IS_CORRUPT;
  if (byte < AT_SLOT_TYPE) return IS_UNSUPPORTED;
  if (byte == AT_SLOT_TYPE) return IS_CORRUPT | IS_TAMPERED; /* another type, or none */
  if (byte < AT_SLOT_ORIGIN || byte >= AT_SLOT_ZEROS) return IS_CORRUPT;
  if (byte > AT_SLOT_INDEX && byte < AT_SLOT_KEK && shelf_ends_in(file, ".seg"))
    return IS_TAMPERED; /* its load */
  if (byte >= AT_SLOT_INDEX && byte < AT_SLOT_KEK) return IS_CORRUPT;
  if (byte >= AT_SLOT_KEK && byte < AT_SLOT_KEK_END) return IS_KEY_MISSING;
  if (byte >= AT_SLOT_KEK_END + 4 && byte < AT_SLOT_KEK_END + 8) return IS_CORRUPT;
  return IS_TAMPERED;
}

static void forge_headers(run *r, shelf_file *file) {
  uint8_t aside[NC_FRAMES_OFFSET];
  memcpy(aside, file->bytes, sizeof aside);
  for (size_t n = 0; n < (size_t)SLOT_MEANING_BYTES * 8; n++) {
    if (!due(r)) continue;
    for (size_t slot = 0; slot < NC_SLOT_COUNT; slot++) {
      uint8_t *bytes = file->bytes + slot * NC_SLOT_BYTES;
      bytes[n / 8] ^= (uint8_t)(1u << n % 8);
      slot_mend(bytes);
    }
    judge(r, file, "forged header", n, allowed_for(r, file), class_of_header(file, n / 8));
    memcpy(file->bytes, aside, sizeof aside);
    /* One slot alone: the other one serves, and verify or the keyless scrub tells. */
    for (size_t slot = 0; slot < NC_SLOT_COUNT; slot++) {
      uint8_t *bytes = file->bytes + slot * NC_SLOT_BYTES;
      bytes[n / 8] ^= (uint8_t)(1u << n % 8);
      slot_mend(bytes);
      judge(r, file, slot == 0 ? "forged slot 0" : "forged slot 1", n, CAN(WHOLE_TOLD),
            IS_CORRUPT | IS_UNSUPPORTED);
      int table = trial_table_of(&r->t, file);
      (void)PROVE(&r->t.s, table == SUBJECT_TABLES || r->t.verdict.tables[table].verified != NACRE_OK,
                  "verify does not see it");
      memcpy(file->bytes, aside, sizeof aside);
    }
  }
}

/* ---- frames -------------------------------------------------------------------------------------------- */

static void mend_check(uint8_t *frame) {
  uint32_t c = nc_crc32c(0, frame, FRAME_CHECKED_BYTES);
  nc_put_u16(frame + FRAME_CHECKED_BYTES, (uint16_t)((c >> 16) ^ (c & 0xffff)));
}

/* A length that leads elsewhere, a flag and an unknown type are refused before the tag is asked. Padding is
 * covered by the checksum alone, and is to be zero: a reader with the key may pass over that. */
static void forge_frame(run *r, shelf_file *file, const frame_place *frame) {
  uint8_t *bytes = file->bytes + frame->offset;
  uint8_t *aside = test_alloc(frame->size);
  size_t sealed = NC_FRAME_HEADER_BYTES + nc_get_u32(bytes) + NC_FRAME_TAG_BYTES;
  bool kept = trial_without(&r->t, file) != 0, final = frame->type == NC_FRAME_LOG_FINAL;
  memcpy(aside, bytes, frame->size);
  for (size_t n = 0; n < frame->size * 8; n++) {
    size_t byte = n / 8;
    bool mended = byte < FRAME_CHECKED_BYTES;
    if ((byte >= FRAME_CHECKED_BYTES && byte < AT_FRAME_SALT) || !due(r)) continue;
    bytes[byte] ^= (uint8_t)(1u << n % 8);
    if (mended) mend_check(bytes);
    if (nc_frame_size(nc_get_u32(bytes)) <= file->size - frame->offset && nc_frame_plausible(bytes))
      nc_frame_finish(bytes);
    unsigned allowed = allowed_for(r, file), classes = IS_TAMPERED;
    if (byte < FRAME_CHECKED_BYTES) classes = IS_CORRUPT | IS_TAMPERED;
    if (byte >= sealed) classes = IS_CORRUPT; /* verify and the keyless scrub look at it */
    /* Padding is met by verify alone; a final frame that is none any more is a torn end. */
    if (kept && byte >= sealed) allowed = CAN(WHOLE_TOLD);
    if (final && (byte < FRAME_CHECKED_BYTES || byte >= sealed)) allowed |= CAN(WHOLE_TOLD);
    /* Longer than the file, it is like one that was cut off; in an older log no part of the history. */
    if (final && byte < 4 && shelf_newer(r->t.files, file) > 0) allowed |= CAN(WHOLE_UNTOLD);
    judge(r, file, "forged frame", (frame->offset * 8) + n, allowed, classes);
    /* A longer frame's checksum may stand behind it. */
    memcpy(bytes, aside, frame->size);
  }
  free(aside);
}

/* ---- CURRENT, key files -------------------------------------------------------------------------------- */

static void forge_current(run *r, shelf_file *file) {
  uint8_t aside[NC_CURRENT_BYTES];
  memcpy(aside, file->bytes, sizeof aside);
  for (size_t n = 0; n < sizeof aside * 8; n++) {
    size_t byte = n / 8;
    if ((byte >= AT_CURRENT_CRC && byte < NC_CURRENT_MAC_OFFSET) || !due(r)) continue;
    file->bytes[byte] ^= (uint8_t)(1u << n % 8);
    nc_put_u32(file->bytes + AT_CURRENT_CRC, nc_crc32c(0, file->bytes, AT_CURRENT_CRC));
    unsigned classes = byte < 8                ? IS_CORRUPT
                       : byte < 10             ? IS_UNSUPPORTED
                       : byte < 16             ? IS_CORRUPT
                       : byte < 96             ? IS_TAMPERED
                       : byte < 112            ? IS_KEY_MISSING
                       : byte < 116            ? IS_TAMPERED
                       : byte < AT_CURRENT_CRC ? IS_CORRUPT
                                               : IS_TAMPERED;
    judge(r, file, "forged CURRENT", n, CAN(REFUSED), classes);
    memcpy(file->bytes, aside, sizeof aside);
  }
}

static void mend_key_file(shelf_file *file) {
  nc_put_u32(file->bytes + file->size - 4, nc_crc32c(0, file->bytes, file->size - 4));
}

enum { ANY_CLASS = IS_CORRUPT | IS_TAMPERED | IS_KEY_MISSING | IS_ROLLED_BACK | IS_UNSUPPORTED };

/* Both copies alike. Its fields say what no checksum can: every class may be the answer, silence may not. */
static void forge_key_file(run *r, shelf_file *a) {
  shelf_file *b = shelf_find(r->t.files, a->directory, "KEYS.b");
  uint8_t *aside = test_alloc(a->size);
  memcpy(aside, a->bytes, a->size);
  for (size_t n = 0; n < (a->size - 4) * 8; n++) {
    if (!due(r)) continue;
    for (int i = 0; i < 2; i++) {
      shelf_file *file = i == 0 ? a : b;
      file->bytes[n / 8] ^= (uint8_t)(1u << n % 8);
      mend_key_file(file);
    }
    size_t byte = n / 8;
    judge(r, a, "forged key file", n, CAN(REFUSED),
          byte < 8                  ? IS_CORRUPT
          : byte < 10               ? IS_UNSUPPORTED
          : byte < 16               ? IS_CORRUPT
          : byte >= 24 && byte < 40 ? IS_TAMPERED | IS_KEY_MISSING
                                    : IS_CORRUPT | IS_TAMPERED | IS_KEY_MISSING | IS_ROLLED_BACK);
    memcpy(a->bytes, aside, a->size);
    /* The second copy alone: the first one serves. */
    judge(r, b, "forged KEYS.b", n, CAN(WHOLE_TOLD) | CAN(REFUSED), ANY_CLASS);
    memcpy(b->bytes, aside, a->size);
  }
  free(aside);
}

static void forge(run *r, shelf_file *file) {
  frame_list list;
  frames_find(file, &list);
  if (is_sealed(file)) forge_headers(r, file);
  for (size_t i = 0; i < list.count; i++) forge_frame(r, file, &list.at[i]);
  if (strcmp(file->name, "CURRENT") == 0) forge_current(r, file);
  if (strcmp(file->name, "KEYS.a") == 0) forge_key_file(r, file);
}

int main(void) {
  static run r;
  static shelf work;
  double started = test_seconds();
  r.step = test_env_number("NACRE_HOSTILE_STEP", 1) * EVERY;
  if (r.step == 0) r.step = EVERY;
  subject_make(&r.t.s, NULL);
  shelf_copy(&work, &r.t.s.clean);
  trial_begin(&r.t, &work, false);
  for (size_t i = 0; i < work.file_count; i++) forge(&r, &work.files[i]);
  trial_end(&r.t);
  trial_print(&r.t, "forgeries: bits forged");
  printf("forgeries: 1 in %llu, %.1f s\n", (unsigned long long)r.step, test_seconds() - started);
  shelf_deinit(&work);
  subject_remove(&r.t.s);
  return test_finish();
}
