/* SPDX-License-Identifier: Apache-2.0
 *
 * Every refusal of format/ can be had: one case an id of the 1xxx block of errors.def, each raised from the least bytes that
 * cause it. An id without a case here fails.
 */
#include <stdlib.h>

#include "batch.h"
#include "block.h"
#include "catalogue_record.h"
#include "compress.h"
#include "crc32c.h"
#include "current.h"
#include "filter.h"
#include "footer.h"
#include "frame.h"
#include "header.h"
#include "key_file.h"
#include "keyring.h"
#include "log_record.h"
#include "manifest_edit.h"
#include "ranges.h"
#include "support.h"
#include "value_file.h"

/* Bytes of `size`, zero but for a magic, a version and the CRC before `crc_end` (none when 0), then changed at one place. */
typedef struct forged {
  size_t size, crc_end;
  const char *magic;
  size_t change_at;
  uint8_t change_to;
  bool spoil_crc;
} forged;

static uint8_t forged_bytes[NC_SLOT_BYTES];
static nacre_slice forge(forged f) {
  memset(forged_bytes, 0, sizeof forged_bytes);
  memcpy(forged_bytes, f.magic, 8);
  forged_bytes[8] = 1;
  if (f.change_at != 0 || f.change_to != 0) forged_bytes[f.change_at] = f.change_to;
  nc_put_u32(forged_bytes + f.crc_end, nc_crc32c(0, forged_bytes, f.crc_end) ^ (f.spoil_crc ? 1u : 0u));
  return nc_slice(forged_bytes, f.size);
}

#define CASE(name) static nacre_status name(nacre_error *err)
#define BYTES(literal) nc_slice(literal, sizeof(literal) - 1)

/* --- packing --- */
static nacre_status unpack_size(nacre_slice bytes, nacre_error *err) {
  size_t size;
  return nc_unpack_size(bytes, &size, NULL, err);
}
CASE(pack_method) { return unpack_size(BYTES("\x03\0\0\0\0"), err); }
CASE(pack_size) { return unpack_size(BYTES("\0\x02\0\0\0x"), err); }
CASE(pack_short) { return unpack_size(BYTES("\0\0\0\0"), err); }
CASE(pack_memory) {
  nc_compress_workspace ws;
  return nc_compress_init(&ws, NULL, SIZE_MAX, true, err);
}
CASE(pack_too_large) {
  nc_compress_workspace ws = {0};
  uint8_t to[8];
  size_t size;
  return nc_pack(&ws, NC_PACK_NONE, nc_slice(to, NC_UNPACKED_BYTES_MAX + 1), to, sizeof to, &size, err);
}

/* --- header slots --- */
static nacre_status header_with(size_t at, uint8_t value, bool spoil_crc, nacre_error *err) {
  nc_header_slot slot = {.identity.type = NC_FILE_LOG};
  nc_header_encode(&slot, forged_bytes);
  if (value != 0) forged_bytes[at] = value;
  nc_put_u32(forged_bytes + 4092, nc_crc32c(0, forged_bytes, 4092) ^ (spoil_crc ? 1u : 0u));
  return nc_header_decode(nc_slice(forged_bytes, NC_SLOT_BYTES), 0, &slot, err);
}
CASE(header_short) {
  nc_header_slot slot;
  return nc_header_decode(nc_slice(forged_bytes, NC_SLOT_BYTES - 1), 0, &slot, err);
}
CASE(header_crc) { return header_with(0, 0, true, err); }
CASE(header_magic) { return header_with(1, 'n', false, err); }
CASE(header_version) { return header_with(8, 2, false, err); }
CASE(header_suite) { return header_with(10, 2, false, err); }
CASE(header_type) { return header_with(12, 5, false, err); }
CASE(header_reserved) { return header_with(300, 1, false, err); }
CASE(header_slot_index) { return header_with(104, 1, false, err); }

/* --- frames --- */
enum { FRAME_HEADER_CHANGED = 1, FRAME_CRC_REDONE = 2 };
static nacre_status frame_with(size_t at, uint8_t value, int redo, nacre_error *err) {
  static const uint8_t salt[NC_FRAME_SALT_BYTES];
  uint8_t frame[48] = {0};
  nc_frame_begin(frame, 1, NC_FRAME_DATA, salt);
  frame[at] = value;
  uint32_t check = nc_crc32c(0, frame, 6);
  if (redo & FRAME_HEADER_CHANGED) nc_put_u16(frame + 6, (uint16_t)(check >> 16 ^ (check & 0xFFFF)));
  if (redo & FRAME_CRC_REDONE) nc_frame_finish(frame);
  return nc_frame_check(nc_slice(frame, sizeof frame), err);
}
CASE(frame_short) { return nc_frame_check(nc_slice(forged_bytes, 15), err); }
CASE(frame_check) { return frame_with(0, 9, 0, err); }
CASE(frame_size) { return frame_with(3, 1, FRAME_HEADER_CHANGED, err); }
CASE(frame_flags) { return frame_with(5, 1, FRAME_HEADER_CHANGED, err); }
CASE(frame_type) {
  nc_frame_header header = {.type = NC_FRAME_INDEX};
  return nc_frame_expect(&header, NC_FRAME_DATA, err);
}
CASE(frame_crc) { return frame_with(20, 9, 0, err); }
CASE(frame_padding) { return frame_with(40, 9, FRAME_CRC_REDONE, err); }
CASE(frame_type_unknown) { return frame_with(4, 99, FRAME_HEADER_CHANGED, err); }

/* --- blocks, index, filter, footer --- */
static nacre_status walk(nacre_slice bytes, nacre_error *err) {
  nc_block block;
  uint8_t key_buffer[16];
  nc_block_cursor c;
  NC_TRY(nc_block_open(bytes, &block, err));
  nc_block_cursor_init(&c, &block, key_buffer);
  NC_TRY(nc_block_first(&c, err));
  while (c.valid) NC_TRY(nc_block_next(&c, err));
  return NACRE_OK;
}
#define TRAILER "\0\0\0\0\x01\0\0\0\x01\0\0\0"
CASE(block_short) { return walk(BYTES("\0\0\0\0\0\0\0"), err); }
CASE(block_restarts) { return walk(BYTES("\0\0\0\0\xFF\0\0\0\0\0\0\0"), err); }
CASE(block_entry) { return walk(BYTES("\0\x01\x01\x09k" TRAILER), err); }
CASE(block_key) { return walk(BYTES("\0\x02\0\x09kk" TRAILER), err); }
CASE(block_kind) { return walk(BYTES("\0\x01\0\x0Fk" TRAILER), err); }
CASE(block_order) { return walk(BYTES("\0\x01\0\x09k\0\x01\0\x09j" TRAILER), err); }
CASE(index_handle) {
  nc_handle handle;
  return nc_handle_decode(BYTES("\x01"), &handle, err);
}
CASE(handle_range) { return nc_handle_check((nc_handle){0, 64}, 16384, err); }
CASE(filter_shape) { return nc_filter_check(1, 6, 2, err); }
CASE(ranges_shape) {
  uint64_t count;
  return nc_ranges_check(BYTES("\x01"
                               "b"
                               "\x01"
                               "a"
                               "\x01\x01"),
                         &count, &count, err);
}
CASE(properties_shape) {
  nc_properties properties;
  return nc_properties_decode(BYTES("\x01"), &properties, err);
}
static nacre_status footer_with(nc_footer footer, nacre_error *err) {
  uint8_t bytes[NC_FOOTER_BYTES];
  nc_footer_encode(&footer, bytes);
  return nc_footer_decode(nc_slice(bytes, sizeof bytes), 16384, &footer, err);
}
CASE(footer_shape) { return footer_with((nc_footer){.file_size = 16384}, err); }
CASE(footer_length) { return footer_with((nc_footer){.file_size = 16400}, err); }

/* --- log --- */
static nacre_status log_record_of(nacre_slice bytes, nacre_error *err) {
  nc_log_record record;
  return nc_log_record_decode(bytes, NC_FRAME_LOG_START, &record, err);
}
CASE(log_record_shape) { return log_record_of(BYTES("\x01\0\0\0\x02"), err); }
/* Head, a manifest's UUID and commit, no predecessor; sequence 0 is nobody's. */
CASE(log_sequence) {
  return log_record_of(BYTES("\0\0\0\0"
                             "0123456789abcdef"
                             "\0"
                             "\0"),
                       err);
}
CASE(batch_shape) { return nc_batch_check(BYTES("\x01\x01"), 1, err); }
CASE(batch_kind) { return nc_batch_check(BYTES("\x07\x01k"), 1, err); }
CASE(batch_count) { return nc_batch_check(BYTES("\x02\x01k"), 2, err); }
CASE(key_too_large) {
  size_t size;
  return nc_operation_size(NC_KIND_DELETE, nc_slice(NULL, NACRE_KEY_BYTES_MAX + 1), nc_slice(NULL, 0), &size,
                           err);
}
CASE(batch_too_large) {
  size_t size;
  return nc_operation_size(NC_KIND_PUT, nc_slice(NULL, 1), nc_slice(NULL, NACRE_BATCH_BYTES_MAX), &size, err);
}

/* --- manifest, CURRENT --- */
static nacre_status read_edit(nacre_slice bytes, nacre_error *err) {
  nc_edit_reader r;
  nc_edit_record record;
  bool more;
  NC_TRY(nc_edit_read_begin(&r, bytes, err));
  return nc_edit_read(&r, &record, &more, err);
}
CASE(edit_shape) { return read_edit(BYTES("\x01\0\x03\x01\0"), err); }
CASE(edit_tag) { return read_edit(BYTES("\x01\0\x77\0"), err); }

static nacre_status current_of(forged f, nacre_error *err) {
  nc_current current;
  f.crc_end = 124;
  f.magic = "\x89NACCU\r\n";
  if (f.size == 0) f.size = NC_CURRENT_BYTES;
  return nc_current_decode(forge(f), &current, err);
}
CASE(current_shape) { return current_of((forged){.size = NC_CURRENT_BYTES - 1}, err); }
CASE(current_magic) { return current_of((forged){.change_at = 1, .change_to = 'n'}, err); }
CASE(current_crc) { return current_of((forged){.spoil_crc = true}, err); }
CASE(current_version) { return current_of((forged){.change_at = 8, .change_to = 2}, err); }
CASE(current_reserved) { return current_of((forged){.change_at = 12, .change_to = 1}, err); }

/* --- key file, catalogue, keyring --- */
static nacre_status key_file_of(forged f, nacre_error *err) {
  nc_key_file *file = malloc(sizeof *file);
  size_t body;
  f.size = 64;
  f.crc_end = 60;
  f.magic = "\x89NACKE\r\n";
  nacre_slice bytes = forge(f);
  if (f.change_at != 12) forged_bytes[12] = 64;
  nc_put_u32(forged_bytes + 60, nc_crc32c(0, forged_bytes, 60) ^ (f.spoil_crc ? 1u : 0u));
  nacre_status status = nc_key_file_decode(bytes, file, &body, err);
  free(file);
  return status;
}
CASE(key_file_shape) { return key_file_of((forged){.change_at = 12, .change_to = 65}, err); }
CASE(key_file_magic) { return key_file_of((forged){.change_at = 1, .change_to = 'n'}, err); }
CASE(key_file_crc) { return key_file_of((forged){.spoil_crc = true}, err); }
CASE(key_file_version) { return key_file_of((forged){.change_at = 8, .change_to = 2}, err); }
CASE(key_file_limit) { return key_file_of((forged){.change_at = 40, .change_to = 65}, err); }
CASE(catalogue_shape) {
  nc_catalogue_record record;
  return nc_catalogue_record_decode(BYTES("\x02"), &record, err);
}

static nacre_status keyring_of(forged f, nacre_error *err) {
  nc_keyring ring;
  f.size = 20;
  f.crc_end = 16;
  f.magic = "\x89NACKR\r\n";
  return nc_keyring_decode(forge(f), &ring, err);
}
CASE(keyring_shape) { return keyring_of((forged){0}, err); }
CASE(keyring_magic) { return keyring_of((forged){.change_at = 1, .change_to = 'n'}, err); }
CASE(keyring_crc) { return keyring_of((forged){.spoil_crc = true}, err); }
CASE(keyring_version) { return keyring_of((forged){.change_at = 8, .change_to = 2}, err); }
CASE(keyring_protection) { return keyring_of((forged){.change_at = 10, .change_to = 2}, err); }
CASE(keyring_cost) { return nc_scrypt_cost_check((nc_scrypt_cost){.log2_n = 23, .r = 8, .p = 1}, err); }
/* --- value files --- */
CASE(value_reference) {
  nc_value_reference reference;
  return nc_value_reference_decode(BYTES("\0\0\0\0\0\0\0\0"), &reference, err);
}
static nacre_status value_end(uint64_t file_size, nacre_error *err) {
  static const uint8_t zeros[NC_VALUE_END_BYTES];
  nc_value_end end;
  return nc_value_end_decode(nc_slice(zeros, sizeof zeros), file_size, &end, err);
}
CASE(value_end_shape) { return value_end(0, err); }
CASE(value_end_length) { return value_end(16, err); }
CASE(value_part) {
  nc_value_end end = {.value_size = 1, .part_bytes = NC_VALUE_PART_BYTES_MIN};
  nacre_slice packed;
  return nc_value_part_decode(BYTES("\1\0\0\0"), &end, 0, &packed, err);
}
CASE(keyring_full) {
  static const nc_root_key key;
  nc_keyring ring = {.key_count = NC_KEYRING_KEYS_MAX};
  return nc_keyring_add(&ring, &key, err);
}

static const struct {
  nc_error_id id;
  nacre_status (*raise)(nacre_error *err);
} cases[] = {
    {NC_E_PACK_METHOD, pack_method}, /* [Z1] */
    {NC_E_PACK_SIZE, pack_size},     /* [Z2] */
    {NC_E_PACK_SHORT, pack_short},   /* [Z3] */
    {NC_E_PACK_MEMORY, pack_memory},
    {NC_E_PACK_TOO_LARGE, pack_too_large},
    {NC_E_HEADER_SHORT, header_short}, /* [H1] */
    {NC_E_HEADER_CRC, header_crc},
    {NC_E_HEADER_MAGIC, header_magic},
    {NC_E_HEADER_VERSION, header_version},
    {NC_E_HEADER_SUITE, header_suite},
    {NC_E_HEADER_TYPE, header_type},         /* [H2] */
    {NC_E_HEADER_RESERVED, header_reserved}, /* [P4] */
    {NC_E_HEADER_SLOT_INDEX, header_slot_index},
    {NC_E_FRAME_SHORT, frame_short}, /* [F1] */
    {NC_E_FRAME_CHECK, frame_check}, /* [F2] */
    {NC_E_FRAME_SIZE, frame_size},   /* [F3] */
    {NC_E_FRAME_FLAGS, frame_flags}, /* [F4] */
    {NC_E_FRAME_TYPE, frame_type},   /* [F6] */
    {NC_E_FRAME_CRC, frame_crc},
    {NC_E_FRAME_PADDING, frame_padding},           /* [F7] */
    {NC_E_FRAME_TYPE_UNKNOWN, frame_type_unknown}, /* [F5] */
    {NC_E_BLOCK_SHORT, block_short},               /* [B1] */
    {NC_E_BLOCK_RESTARTS, block_restarts},         /* [B2] */
    {NC_E_BLOCK_ENTRY, block_entry},               /* [B3] */
    {NC_E_BLOCK_KEY, block_key},                   /* [B4] */
    {NC_E_BLOCK_KIND, block_kind},                 /* [B5] */
    {NC_E_BLOCK_ORDER, block_order},               /* [B6] */
    {NC_E_INDEX_HANDLE, index_handle},             /* [I1] */
    {NC_E_HANDLE_RANGE, handle_range},             /* [I2] */
    {NC_E_FILTER_SHAPE, filter_shape},             /* [Q1] */
    {NC_E_RANGES_SHAPE, ranges_shape},             /* [E1] */
    {NC_E_PROPERTIES_SHAPE, properties_shape},     /* [S3] */
    {NC_E_FOOTER_SHAPE, footer_shape},             /* [S1] */
    {NC_E_FOOTER_LENGTH, footer_length},           /* [S2] */
    {NC_E_VALUE_REFERENCE, value_reference},       /* [U1] */
    {NC_E_VALUE_PART, value_part},                 /* [U4] */
    {NC_E_VALUE_END_SHAPE, value_end_shape},       /* [U3] */
    {NC_E_VALUE_END_LENGTH, value_end_length},     /* [U2] */
    {NC_E_LOG_RECORD_SHAPE, log_record_shape},     /* [L1] */
    {NC_E_LOG_SEQUENCE, log_sequence},             /* [L2] */
    {NC_E_BATCH_SHAPE, batch_shape},               /* [L3] */
    {NC_E_BATCH_KIND, batch_kind},
    {NC_E_BATCH_COUNT, batch_count},
    {NC_E_KEY_TOO_LARGE, key_too_large},
    {NC_E_BATCH_TOO_LARGE, batch_too_large},
    {NC_E_EDIT_SHAPE, edit_shape},       /* [M1] */
    {NC_E_EDIT_TAG, edit_tag},           /* [M2] */
    {NC_E_CURRENT_SHAPE, current_shape}, /* [C1] */
    {NC_E_CURRENT_MAGIC, current_magic},
    {NC_E_CURRENT_CRC, current_crc},
    {NC_E_CURRENT_VERSION, current_version}, /* [V1] */
    {NC_E_CURRENT_RESERVED, current_reserved},
    {NC_E_KEY_FILE_SHAPE, key_file_shape}, /* [K1] */
    {NC_E_KEY_FILE_MAGIC, key_file_magic},
    {NC_E_KEY_FILE_CRC, key_file_crc},
    {NC_E_KEY_FILE_VERSION, key_file_version},
    {NC_E_KEY_FILE_LIMIT, key_file_limit},   /* [K2] */
    {NC_E_CATALOGUE_SHAPE, catalogue_shape}, /* [T1] */
    {NC_E_KEYRING_SHAPE, keyring_shape},     /* [R1] */
    {NC_E_KEYRING_MAGIC, keyring_magic},
    {NC_E_KEYRING_CRC, keyring_crc},
    {NC_E_KEYRING_VERSION, keyring_version},
    {NC_E_KEYRING_FULL, keyring_full},
    {NC_E_KEYRING_PROTECTION, keyring_protection},
    {NC_E_KEYRING_COST, keyring_cost},
};

Test(errors, every_case_raises_its_id) {
  for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
    nacre_error err;
    assert_refused(cases[i].raise(&err), cases[i].id);
    cr_assert_eq(cases[i].raise(NULL), err.status);
  }
}

Test(errors, every_id_of_format_has_a_case) {
  for (size_t i = 0; nc_error_info_at(i) != NULL; i++) {
    const nc_error_info *info = nc_error_info_at(i);
    bool found = (uint32_t)info->id >= 2000;
    for (size_t j = 0; j < ARRAY_LENGTH(cases) && !found; j++) found = cases[j].id == info->id;
    cr_assert(found, "nothing here raises %s (%u)", info->name, (unsigned)info->id);
  }
}
