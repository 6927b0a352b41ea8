/* SPDX-License-Identifier: Apache-2.0
 *
 * log_record: the plaintext of a commit log's frames (format/README.md, "Commit log").
 */
#include "log_record.h"

#include <assert.h>

#include "entry.h"
#include "frame.h"
#include "header.h"

static void encode_predecessor(nc_writer *w, const nc_log_record *record) {
  nc_write_u8(w, record->predecessor.present ? 1 : 0);
  if (!record->predecessor.present) return;
  nc_write_bytes(w, record->predecessor.file.bytes, NC_UUID_BYTES);
  nc_write_varint(w, record->predecessor.number);
  nc_write_varint(w, record->predecessor.end);
  nc_write_varint(w, record->predecessor.last_sequence);
}

size_t nc_log_record_encode(const nc_log_record *record, uint8_t type, uint8_t *out) {
  nc_writer w = nc_writer_over(out, NC_LOG_RECORD_FIXED_BYTES_MAX);
  nc_write_varint(&w, record->first_sequence);
  nc_write_varint(&w, record->count);
  nc_write_varint(&w, record->synced.number);
  nc_write_varint(&w, record->synced.offset);
  if (type != NC_FRAME_LOG_GROUP) {
    assert(type == NC_FRAME_LOG_START || type == NC_FRAME_LOG_MARK || type == NC_FRAME_LOG_FINAL);
    nc_write_bytes(&w, record->manifest.bytes, NC_UUID_BYTES);
    nc_write_varint(&w, record->manifest_sequence);
  }
  if (type == NC_FRAME_LOG_START) encode_predecessor(&w, record);
  assert(!w.failed);
  return w.size;
}

/* Positions are those of frames: multiples of 16 within a file. */
static bool offset_sound(uint64_t offset) {
  return offset % NC_FRAME_ALIGN == 0 && offset <= NC_FILE_BYTES_MAX;
}

static bool decode_predecessor(nc_reader *r, nc_log_record *record) {
  uint8_t present = nc_read_u8(r);
  record->predecessor.present = present == 1;
  if (!record->predecessor.present) return present == 0;
  nc_read_copy(r, record->predecessor.file.bytes, NC_UUID_BYTES);
  record->predecessor.number = nc_read_varint(r);
  record->predecessor.end = nc_read_varint(r);
  record->predecessor.last_sequence = nc_read_varint(r);
  return offset_sound(record->predecessor.end);
}

/* What follows the head; false when it cannot be. */
static bool decode_rest(nc_reader *r, uint8_t type, nc_log_record *record) {
  if (type == NC_FRAME_LOG_GROUP) {
    record->operations = nc_read_bytes(r, nc_reader_left(r));
    return record->operations.size != 0;
  }
  if (type != NC_FRAME_LOG_START && type != NC_FRAME_LOG_MARK && type != NC_FRAME_LOG_FINAL) return false;
  nc_read_copy(r, record->manifest.bytes, NC_UUID_BYTES);
  record->manifest_sequence = nc_read_varint(r);
  return type != NC_FRAME_LOG_START || decode_predecessor(r, record);
}

/* A group holds sequences first .. first + count - 1; any other record holds none, and its first is the next
 * to come. */
static bool sequences_sound(const nc_log_record *record, uint8_t type) {
  if (record->first_sequence < 1 || record->first_sequence > NC_SEQUENCE_MAX) return false;
  if (type == NC_FRAME_LOG_GROUP)
    return record->count >= 1 && record->count <= NC_SEQUENCE_MAX - record->first_sequence + 1;
  return record->count == 0 && record->predecessor.last_sequence < record->first_sequence;
}

nacre_status nc_log_record_decode(nacre_slice bytes, uint8_t type, nc_log_record *ret_record,
                                  nacre_error *err) {
  nc_reader r = nc_reader_over(bytes);
  nc_log_record record = {0};
  record.first_sequence = nc_read_varint(&r);
  record.count = nc_read_varint(&r);
  record.synced.number = nc_read_varint(&r);
  record.synced.offset = nc_read_varint(&r);
  if (!decode_rest(&r, type, &record) || !nc_reader_done(&r) || !offset_sound(record.synced.offset))
    return nc_fail(err, NC_E_LOG_RECORD_SHAPE, "%s", nc_frame_type_name(type)); /* [L1] */
  if (!sequences_sound(&record, type))                                          /* [L2, P6] */
    return nc_fail(err, NC_E_LOG_SEQUENCE, "first %llu, count %llu",
                   (unsigned long long)record.first_sequence, (unsigned long long)record.count);
  *ret_record = record;
  return NACRE_OK;
}
