/* SPDX-License-Identifier: Apache-2.0
 *
 * header: the two slots that begin a sealed file (format/README.md, "File header").
 *
 * Invariant: what decodes encodes again to the same bytes; nothing in a slot is ignored.
 */
#include "header.h"

#include <assert.h>

#include "crc32c.h"

enum {
  AT_VERSION = 8,
  AT_SUITE = 10,
  AT_TYPE = 12,
  AT_COMMITMENT = 64,
  AT_SEQUENCE = 96,
  AT_INDEX = 104,
  AT_KEK_ID = 112,
  AT_KEK_VERSION = 128,
  AT_SALT = 136,
  AT_WRAPPED_DEK = 160,
  AT_WRAP_TAG = 192,
  AT_ZEROS = 208,
  AT_CRC = 4092
};

static const uint8_t magic[8] = {0x89, 'N', 'A', 'C', 'R', 'E', 0x0D, 0x0A};

_Static_assert(sizeof(nc_uuid) == NC_UUID_BYTES, "a UUID is 16 bytes");
_Static_assert((int)AT_COMMITMENT == NC_IDENTITY_BYTES, "the commitment follows the identity");
_Static_assert(AT_SEQUENCE == AT_COMMITMENT + NC_COMMITMENT_BYTES,
               "the slot sequence follows the commitment");
_Static_assert((int)AT_SALT == NC_WRAP_AAD_BYTES, "the wrap authenticates everything before its salt");
_Static_assert(AT_WRAPPED_DEK == AT_SALT + NC_WRAP_SALT_BYTES, "the wrapped DEK follows the salt");
_Static_assert(AT_WRAP_TAG == AT_WRAPPED_DEK + NC_DEK_BYTES, "the tag follows the wrapped DEK");
_Static_assert(AT_ZEROS == AT_WRAP_TAG + NC_TAG_BYTES, "zeros follow the tag");
_Static_assert(AT_CRC + 4 == NC_SLOT_BYTES, "the CRC ends the slot");
_Static_assert(NC_FRAMES_OFFSET == NC_SLOT_COUNT * NC_SLOT_BYTES, "frames follow the slots");

const char *nc_file_type_name(uint8_t type) {
  switch (type) {
    case NC_FILE_SEGMENT:
      return "segment";
    case NC_FILE_LOG:
      return "log";
    case NC_FILE_MANIFEST:
      return "manifest";
    case NC_FILE_VALUE:
      return "value";
    default:
      return "unknown";
  }
}

void nc_identity_encode(const nc_identity *identity, uint8_t out[NC_IDENTITY_BYTES]) {
  nc_writer w = nc_writer_over(out, NC_IDENTITY_BYTES);
  nc_write_bytes(&w, magic, sizeof magic);
  nc_write_u16(&w, NC_FORMAT_VERSION);
  nc_write_u16(&w, NC_SUITE_AES_256_GCM);
  nc_write_u8(&w, (uint8_t)identity->type);
  nc_write_zeros(&w, 3);
  nc_write_bytes(&w, identity->origin_table.bytes, NC_UUID_BYTES);
  nc_write_bytes(&w, identity->file.bytes, NC_UUID_BYTES);
  nc_write_u64(&w, identity->number);
  nc_write_u64(&w, identity->epoch);
  assert(!w.failed && w.size == NC_IDENTITY_BYTES);
}

void nc_header_wrap_aad(const nc_header_slot *slot, uint8_t out[NC_WRAP_AAD_BYTES]) {
  nc_identity_encode(&slot->identity, out);
  nc_writer w = nc_writer_over(out + NC_IDENTITY_BYTES, NC_WRAP_AAD_BYTES - NC_IDENTITY_BYTES);
  nc_write_bytes(&w, slot->dek_commitment, NC_COMMITMENT_BYTES);
  nc_write_u64(&w, slot->sequence);
  nc_write_u64(&w, slot->load_sequence << 8); /* the slot index as 0: both slots bear the same wrap */
  nc_write_bytes(&w, slot->kek_id.bytes, NC_UUID_BYTES);
  nc_write_u32(&w, slot->kek_version);
  nc_write_zeros(&w, 4);
  assert(!w.failed && w.size == w.capacity);
}

void nc_header_encode(const nc_header_slot *slot, uint8_t out[NC_SLOT_BYTES]) {
  memset(out, 0, NC_SLOT_BYTES);
  nc_header_wrap_aad(slot, out);
  out[AT_INDEX] = slot->index;
  memcpy(out + AT_SALT, slot->wrap_salt, NC_WRAP_SALT_BYTES);
  memcpy(out + AT_WRAPPED_DEK, slot->wrapped_dek, NC_DEK_BYTES);
  memcpy(out + AT_WRAP_TAG, slot->wrap_tag, NC_TAG_BYTES);
  nc_put_u32(out + AT_CRC, nc_crc32c(0, out, AT_CRC));
}

/* Whether these are a slot's bytes, whole, and of a kind that this library knows. The checksum comes before
 * the version, for its place is the same in every version: damage must not pass for novelty. [V2] */
static nacre_status check_frame_of_slot(const uint8_t *p, nacre_error *err) {
  if (memcmp(p, magic, sizeof magic) != 0) return nc_fail_at(err, NC_E_HEADER_MAGIC, 0, NULL); /* [H1] */
  if (nc_get_u32(p + AT_CRC) != nc_crc32c(0, p, AT_CRC)) return nc_fail_at(err, NC_E_HEADER_CRC, 0, NULL);
  uint16_t version = nc_get_u16(p + AT_VERSION), suite = nc_get_u16(p + AT_SUITE);
  if (version != NC_FORMAT_VERSION) /* [V1] */
    return nc_fail_at(err, NC_E_HEADER_VERSION, AT_VERSION, "version %u", version);
  if (suite != NC_SUITE_AES_256_GCM) return nc_fail_at(err, NC_E_HEADER_SUITE, AT_SUITE, "suite %u", suite);
  return NACRE_OK;
}

/* Reads the fields; false when bytes that must be zero are not. [P4] */
static bool read_fields(nc_reader *r, nc_header_slot *slot) {
  bool zeros = true;
  (void)nc_read_bytes(r, AT_TYPE);
  slot->identity.type = (nc_file_type)nc_read_u8(r);
  zeros &= nc_read_zeros(r, 3);
  nc_read_copy(r, slot->identity.origin_table.bytes, NC_UUID_BYTES);
  nc_read_copy(r, slot->identity.file.bytes, NC_UUID_BYTES);
  slot->identity.number = nc_read_u64(r);
  slot->identity.epoch = nc_read_u64(r);
  nc_read_copy(r, slot->dek_commitment, NC_COMMITMENT_BYTES);
  slot->sequence = nc_read_u64(r);
  uint64_t place = nc_read_u64(r);
  slot->index = (uint8_t)place;
  slot->load_sequence = place >> 8;
  zeros &= slot->load_sequence == 0 || slot->identity.type == NC_FILE_SEGMENT; /* [S7] */
  nc_read_copy(r, slot->kek_id.bytes, NC_UUID_BYTES);
  slot->kek_version = nc_read_u32(r);
  zeros &= nc_read_zeros(r, 4);
  nc_read_copy(r, slot->wrap_salt, NC_WRAP_SALT_BYTES);
  nc_read_copy(r, slot->wrapped_dek, NC_DEK_BYTES);
  nc_read_copy(r, slot->wrap_tag, NC_TAG_BYTES);
  zeros &= nc_read_zeros(r, AT_CRC - AT_ZEROS);
  return zeros;
}

nacre_status nc_header_decode(nacre_slice bytes, uint8_t index, nc_header_slot *ret_slot, nacre_error *err) {
  if (bytes.size < NC_SLOT_BYTES) return nc_fail(err, NC_E_HEADER_SHORT, "%zu bytes", bytes.size); /* [H1] */
  const uint8_t *p = bytes.data;
  NC_TRY(check_frame_of_slot(p, err));
  if (p[AT_TYPE] < NC_FILE_SEGMENT || p[AT_TYPE] > NC_FILE_VALUE)
    return nc_fail_at(err, NC_E_HEADER_TYPE, AT_TYPE, "type %u", p[AT_TYPE]); /* [H2] */
  nc_header_slot slot = {0};
  nc_reader r = nc_reader_over(nc_slice(p, NC_SLOT_BYTES));
  if (!read_fields(&r, &slot)) return nc_fail_at(err, NC_E_HEADER_RESERVED, 0, NULL);
  if (slot.index != index)
    return nc_fail_at(err, NC_E_HEADER_SLOT_INDEX, AT_INDEX, "slot %u in place %u", slot.index, index);
  *ret_slot = slot;
  return NACRE_OK;
}

nacre_status nc_header_pick(nacre_slice bytes, nc_header_slot ret_slots[NC_SLOT_COUNT],
                            bool ret_good[NC_SLOT_COUNT], int *ret_pick, nacre_error *err) {
  nacre_status first = NACRE_OK;
  for (uint8_t i = 0; i < NC_SLOT_COUNT; i++) {
    size_t from = (size_t)i * NC_SLOT_BYTES;
    nacre_slice place = bytes.size > from ? nc_slice((const uint8_t *)bytes.data + from, bytes.size - from)
                                          : nc_slice(NULL, 0);
    nacre_status status = nc_header_decode(place, i, &ret_slots[i], i == 0 ? err : NULL);
    ret_good[i] = status == NACRE_OK;
    if (i == 0) first = status;
  }
  if (!ret_good[0] && !ret_good[1]) return first;
  bool second = ret_good[1] && (!ret_good[0] || ret_slots[1].sequence > ret_slots[0].sequence); /* [H3] */
  *ret_pick = second ? 1 : 0;
  return NACRE_OK;
}
