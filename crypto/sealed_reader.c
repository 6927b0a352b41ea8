/* SPDX-License-Identifier: Apache-2.0
 *
 * sealed_reader: immutable once it is open; the pool of cipher contexts inside nc_open_ctx is all that
 * threads share.
 *
 * A frame's CRC is not looked at while tags are good, for the tag says more. It is looked at when a tag is
 * bad, over bytes read again, for opening in place has wiped the first ones: it tells damage from tampering.
 */
#include "sealed_reader.h"

#include <stdlib.h>

#include "filler.h"
#include "private_memory.h"

struct nc_sealed_reader {
  nc_file file;
  uint64_t size;
  nc_header_slot header;
  nc_open_ctx *open;
};

/* ---- opening ------------------------------------------------------------------------------------------- */

nacre_status nc_header_kek(const nc_table_keys *keys, const nc_header_slot *slot, const nc_kek **ret_kek,
                           nacre_error *err) {
  const nc_kek *kek = nc_table_keys_find(keys, &slot->kek_id); /* [H4] */
  *ret_kek = kek;
  if (kek != NULL) return NACRE_OK;
  char id[NC_UUID_TEXT_BYTES];
  nc_uuid_format(&slot->kek_id, id);
  bool retired = slot->kek_version < nc_kek_describe(nc_table_keys_active(keys))->version; /* [C7] */
  return nc_fail(err, retired ? NC_E_KEK_RETIRED : NC_E_KEK_UNKNOWN, "%s, version %u", id, slot->kek_version);
}

static nacre_status unwrap_slot(nc_sealed_reader *r, const nc_table_keys *keys, const nc_header_slot *slot,
                                nacre_error *err) {
  const nc_kek *kek;
  NC_TRY(nc_header_kek(keys, slot, &kek, err));
  NC_TRY(nc_dek_unwrap(r->file.env, kek, slot, &r->open, err));
  r->header = *slot;
  return NACRE_OK;
}

/* Tells the first slot's error when neither unwraps. [H6] */
static nacre_status unwrap_either(nc_sealed_reader *r, const nc_table_keys *keys, nacre_slice bytes,
                                  nacre_error *err) {
  nc_header_slot slots[NC_SLOT_COUNT];
  bool good[NC_SLOT_COUNT];
  int pick;
  nacre_error why;
  if (nc_header_pick(bytes, slots, good, &pick, &why) != NACRE_OK) return nc_fail_with(err, &why);
  if (unwrap_slot(r, keys, &slots[pick], &why) == NACRE_OK) return NACRE_OK;
  if (good[1 - pick] && unwrap_slot(r, keys, &slots[1 - pick], NULL) == NACRE_OK) return NACRE_OK;
  if (why.offset != NACRE_NONE) why.offset += (uint64_t)pick * NC_SLOT_BYTES;
  return nc_fail_with(err, &why);
}

/* A read that meets a rewrap may see a slot half written, and, if it is held up between the two, both of
 * them: no rewrap writes both in the time of another read. */
static nacre_status read_header(nc_sealed_reader *r, const nc_table_keys *keys, nacre_error *err) {
  uint8_t *bytes = malloc(NC_FRAMES_OFFSET);
  if (bytes == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  size_t size = r->size < NC_FRAMES_OFFSET ? (size_t)r->size : NC_FRAMES_OFFSET;
  nacre_status status = NACRE_CORRUPT;
  for (int tries = 0; tries < 2 && status == NACRE_CORRUPT; tries++) {
    status = nc_file_read(&r->file, 0, bytes, size, err);
    if (status == NACRE_OK) status = unwrap_either(r, keys, (nacre_slice){bytes, size}, err);
  }
  free(bytes);
  return status;
}

static nacre_status identity_fail(nacre_error *err, const char *what) {
  return nc_fail(err, NC_E_FILE_IDENTITY, "its %s is another", what);
}

/* [H7] */
nacre_status nc_header_expected(const nc_header_slot *header, const nc_sealed_expect *expect,
                                nacre_error *err) {
  const nc_identity *identity = &header->identity;
  if ((int)expect->type != 0 && identity->type != expect->type) return identity_fail(err, "type");
  if (expect->origin_table != NULL && !nc_uuid_equal(expect->origin_table, &identity->origin_table)) {
    return identity_fail(err, "table");
  }
  if (expect->number != 0 && identity->number != expect->number) return identity_fail(err, "number");
  if (expect->epoch_max != 0 && identity->epoch > expect->epoch_max) { /* [C6] */
    return nc_fail(err, NC_E_FILE_EPOCH, "epoch %llu, beyond %llu", (unsigned long long)identity->epoch,
                   (unsigned long long)expect->epoch_max);
  }
  if (expect->file != NULL && !nc_uuid_equal(expect->file, &identity->file))
    return identity_fail(err, "UUID");
  if (expect->dek_commitment != NULL &&
      !nc_equal_secret(expect->dek_commitment, header->dek_commitment, NC_COMMITMENT_BYTES)) {
    return identity_fail(err, "data key");
  }
  return NACRE_OK;
}

static nacre_status open_file(nc_sealed_reader *r, const nc_table_keys *keys, const nc_sealed_expect *expect,
                              nacre_error *err) {
  NC_TRY(nc_file_size(&r->file, &r->size, err));
  nacre_status status = read_header(r, keys, err);
  if (status == NACRE_OK && expect != NULL) status = nc_header_expected(&r->header, expect, err);
  return status == NACRE_OK ? NACRE_OK : nc_fail_in(err, status, r->file.label, 0);
}

nacre_status nc_sealed_reader_open(const nc_dir *dir, const char *name, const nc_table_keys *keys,
                                   const nc_sealed_expect *expect, nc_sealed_reader **ret_reader,
                                   nacre_error *err) {
  nc_sealed_reader *r = calloc(1, sizeof *r);
  if (r == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  nacre_status status = nc_file_open(dir, name, false, &r->file, err);
  if (status == NACRE_OK) status = open_file(r, keys, expect, err);
  if (status != NACRE_OK) {
    nc_sealed_reader_close(r);
    return status;
  }
  *ret_reader = r;
  return NACRE_OK;
}

/* Whether a header that names a key that `held` lacks may name one that has come since. */
static bool keys_have_changed(nc_key_holder *holder, const nc_table_keys *held) {
  NC_TAKEN_KEYS(now, holder);
  return now != held;
}

nacre_status nc_sealed_reader_open_under(const nc_dir *dir, const char *name, nc_key_holder *holder,
                                         const nc_sealed_expect *expect, nc_sealed_reader **ret_reader,
                                         nacre_error *err) {
  for (;;) {
    nacre_error why;
    NC_TAKEN_KEYS(held, holder);
    if (nc_sealed_reader_open(dir, name, held, expect, ret_reader, &why) == NACRE_OK) return NACRE_OK;
    if (why.id != NC_E_KEK_UNKNOWN || !keys_have_changed(holder, held)) return nc_fail_with(err, &why);
  }
}

nacre_status nc_sealed_header_peek(const nc_dir *dir, const char *name, nc_header_slot *ret_slot,
                                   nacre_error *err) {
  uint8_t bytes[NC_FRAMES_OFFSET];
  nc_header_slot slots[NC_SLOT_COUNT];
  bool good[NC_SLOT_COUNT];
  nc_file file;
  int pick = 0;
  NC_TRY(nc_file_open(dir, name, false, &file, err));
  nacre_status status = nc_file_read(&file, 0, bytes, sizeof bytes, err);
  if (status == NACRE_OK)
    status = nc_fail_in(err, nc_header_pick((nacre_slice){bytes, sizeof bytes}, slots, good, &pick, err),
                        file.label, 0);
  nc_file_close(&file);
  if (status == NACRE_OK) *ret_slot = slots[pick];
  return status;
}

void nc_sealed_reader_close(nc_sealed_reader *r) {
  if (r == NULL) return;
  nc_open_ctx_destroy(r->open);
  nc_file_close(&r->file);
  free(r);
}

const nc_header_slot *nc_sealed_reader_header(const nc_sealed_reader *r) { return &r->header; }
const char *nc_sealed_reader_label(const nc_sealed_reader *r) { return r->file.label; }
uint64_t nc_sealed_reader_size(const nc_sealed_reader *r) { return r->size; }

/* ---- both slots ---------------------------------------------------------------------------------------- */

/* Encoded alike under one index, equal slots are equal bytes, checksum included. */
static bool slots_equal(const nc_header_slot slots[NC_SLOT_COUNT], uint8_t *a, uint8_t *b) {
  nc_header_slot other = slots[1];
  other.index = slots[0].index;
  nc_header_encode(&slots[0], a);
  nc_header_encode(&other, b);
  return memcmp(a, b, NC_SLOT_BYTES) == 0;
}

static nacre_status compare_slots(nc_sealed_reader *r, uint8_t *bytes, nacre_error *err) {
  nc_header_slot slots[NC_SLOT_COUNT];
  NC_TRY(nc_file_read(&r->file, 0, bytes, NC_FRAMES_OFFSET, err));
  for (uint8_t i = 0; i < NC_SLOT_COUNT; i++) {
    uint64_t at = (uint64_t)i * NC_SLOT_BYTES;
    nacre_status status = nc_header_decode((nacre_slice){bytes + at, NC_SLOT_BYTES}, i, &slots[i], err);
    if (status != NACRE_OK) return nc_fail_in(err, status, r->file.label, at);
  }
  if (slots_equal(slots, bytes, bytes + NC_SLOT_BYTES)) return NACRE_OK; /* [H8] */
  return nc_fail_in(err, nc_fail_at(err, NC_E_HEADER_SLOTS_DIFFER, NC_SLOT_BYTES, NULL), r->file.label, 0);
}

nacre_status nc_sealed_reader_check_header(nc_sealed_reader *r, nacre_error *err) {
  uint8_t *bytes = malloc(NC_FRAMES_OFFSET);
  if (bytes == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  nacre_status status = compare_slots(r, bytes, err);
  free(bytes);
  return status;
}

/* ---- frames -------------------------------------------------------------------------------------------- */

/* The tag was bad and the buffer is wiped: was the frame damaged, or changed by someone who mended its
 * checksum? [F8] */
static nacre_status tell_damage(nc_sealed_reader *r, nc_handle handle, uint8_t *buffer, nacre_error *err) {
  NC_TRY(nc_file_read(&r->file, handle.offset, buffer, handle.size, err));
  nacre_status status = nc_frame_check((nacre_slice){buffer, handle.size}, err);
  nc_wipe(buffer, handle.size);
  if (status != NACRE_OK) return nc_fail_in(err, status, r->file.label, handle.offset);
  return NACRE_TAMPERED; /* `err` still says so */
}

nacre_status nc_sealed_reader_open_raw(nc_sealed_reader *r, uint64_t offset, uint8_t *frame, size_t size,
                                       uint8_t expected_type, nacre_slice *ret_plaintext, nacre_error *err) {
  nacre_status status = nc_open_frame(r->open, frame, size, expected_type, offset, ret_plaintext, err);
  return status == NACRE_OK ? NACRE_OK : nc_fail_in(err, status, r->file.label, offset);
}

nacre_status nc_sealed_reader_frame(nc_sealed_reader *r, nc_handle handle, uint8_t expected_type,
                                    uint8_t *buffer, nacre_slice *ret_plaintext, uint8_t *ret_tag,
                                    nacre_error *err) {
  nacre_slice plaintext;
  nacre_status status = nc_handle_check(handle, r->size, err);
  if (status != NACRE_OK) return nc_fail_in(err, status, r->file.label, 0);
  NC_TRY(nc_file_read(&r->file, handle.offset, buffer, handle.size, err));
  status = nc_sealed_reader_open_raw(r, handle.offset, buffer, handle.size, expected_type, &plaintext, err);
  if (status == NACRE_TAMPERED) return tell_damage(r, handle, buffer, err);
  if (status != NACRE_OK) return status;
  *ret_plaintext = plaintext;
  if (ret_tag != NULL) memcpy(ret_tag, (const uint8_t *)plaintext.data + plaintext.size, NC_FRAME_TAG_BYTES);
  return NACRE_OK;
}

nacre_status nc_sealed_reader_written(nc_sealed_reader *r, uint64_t end, uint64_t *ret_end, nacre_error *err) {
  enum { PIECE_BYTES = 64 << 10 };
  const nc_identity *identity = &r->header.identity;
  *ret_end = end;
  if (identity->type != NC_FILE_LOG || end % NC_FILLER_BYTES != 0) return NACRE_OK;
  uint8_t *bytes = malloc(PIECE_BYTES);
  if (bytes == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  nacre_status status = NACRE_OK;
  for (bool filler = true; status == NACRE_OK && filler && *ret_end > NC_FRAMES_OFFSET;) {
    uint64_t left = *ret_end - NC_FRAMES_OFFSET;
    size_t size = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES, found = 0;
    status = nc_file_read(&r->file, *ret_end - size, bytes, size, err);
    if (status == NACRE_OK) found = nc_filler_at_end(bytes, size, &identity->file, *ret_end - size);
    *ret_end -= found;
    filler = found == size;
  }
  free(bytes);
  return status;
}

bool nc_sealed_reader_has_grown(nc_sealed_reader *r) {
  uint64_t size;
  return nc_file_size(&r->file, &size, NULL) == NACRE_OK && size > r->size;
}

nacre_status nc_sealed_reader_raw(nc_sealed_reader *r, uint64_t offset, void *buffer, size_t size,
                                  nacre_error *err) {
  return nc_file_read(&r->file, offset, buffer, size, err);
}
