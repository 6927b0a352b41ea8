/* SPDX-License-Identifier: Apache-2.0
 *
 * catalogue_record: a table's record in the catalogue, as bytes (format/README.md, "Catalogue").
 */
#include "catalogue_record.h"

#include "filter.h"

enum { KEY_LEAD = 'T', COMPRESSION_MAX = 3, BLOCK_BYTES_MAX = 1024 * 1024, LARGE_VALUE_BYTES_MIN = 4096 };

void nc_catalogue_key(const nc_uuid *table, uint8_t out[NC_CATALOGUE_KEY_BYTES]) {
  out[0] = KEY_LEAD;
  memcpy(out + 1, table->bytes, NC_UUID_BYTES);
}

nacre_status nc_catalogue_key_decode(nacre_slice key, nc_uuid *ret_table, nacre_error *err) {
  const uint8_t *p = key.data;
  if (key.size != NC_CATALOGUE_KEY_BYTES || p[0] != KEY_LEAD)
    return nc_fail(err, NC_E_CATALOGUE_SHAPE, "its key is none of a table");
  memcpy(ret_table->bytes, p + 1, NC_UUID_BYTES);
  return NACRE_OK;
}

static void write_pin(nc_writer *w, const nc_kek_pin *pin) {
  nc_write_bytes(w, pin->id.bytes, NC_UUID_BYTES);
  nc_write_u32(w, pin->version);
  nc_write_bytes(w, pin->commitment, NC_COMMITMENT_BYTES);
}

static void read_pin(nc_reader *r, nc_kek_pin *pin) {
  nc_read_copy(r, pin->id.bytes, NC_UUID_BYTES);
  pin->version = nc_read_u32(r);
  nc_read_copy(r, pin->commitment, NC_COMMITMENT_BYTES);
}

static void write_specs(nc_writer *w, const nc_key_record *key) {
  nc_write_varint(w, key->spec_count);
  for (uint32_t i = 0; i < key->spec_count; i++) {
    nc_write_string(w, key->specs[i].uri);
    nc_write_string(w, key->specs[i].region);
    nc_write_string(w, key->specs[i].principal);
  }
}

size_t nc_catalogue_record_encode(const nc_catalogue_record *record, void *out, size_t capacity) {
  nc_writer w = nc_writer_over(out, capacity);
  if (record->current.spec_count > NACRE_KEY_SPECS_MAX || record->pending.spec_count > NACRE_KEY_SPECS_MAX)
    return 0;
  nc_write_u8(&w, (uint8_t)record->life);
  nc_write_string(&w, record->name);
  nc_write_u64(&w, record->created_ms);
  nc_write_u8(&w, record->compression);
  nc_write_varint(&w, record->block_bytes);
  nc_write_varint(&w, record->filter_bits_per_key);
  write_pin(&w, &record->current.pin);
  nc_write_u8(&w, record->has_pending ? 1 : 0);
  if (record->has_pending) {
    write_pin(&w, &record->pending.pin);
    write_specs(&w, &record->pending);
  }
  nc_write_varint(&w, record->key_file_generation);
  write_specs(&w, &record->current);
  bool tree = record->segment_bytes != 0 || record->level_ratio != 0;
  if (tree || record->large_value_bytes != 0) nc_write_varint(&w, record->large_value_bytes);
  if (tree) nc_write_varint(&w, record->segment_bytes);
  if (tree) nc_write_varint(&w, record->level_ratio);
  return w.failed ? 0 : w.size;
}

/* Names and URIs become text in programs: no byte of them may hide behind a NUL. */
static bool text_sound(nacre_slice text, size_t size_min, size_t size_max) {
  if (text.size < size_min || text.size > size_max) return false;
  return text.size == 0 || memchr(text.data, 0, text.size) == NULL;
}

/* False when a field is out of range; a shortage of bytes shows in the reader. */
static bool read_settings(nc_reader *r, nc_catalogue_record *record) {
  uint8_t life = nc_read_u8(r);
  record->life = (nc_table_life)life;
  record->name = nc_read_string(r);
  record->created_ms = nc_read_u64(r);
  record->compression = nc_read_u8(r);
  uint64_t block_bytes = nc_read_varint(r), filter_bits = nc_read_varint(r);
  record->block_bytes = (uint32_t)block_bytes;
  record->filter_bits_per_key = (uint32_t)filter_bits;
  return life >= NC_TABLE_CREATING && life <= NC_TABLE_DROPPED &&
         text_sound(record->name, 1, NACRE_TABLE_NAME_BYTES_MAX) && record->compression <= COMPRESSION_MAX &&
         block_bytes <= BLOCK_BYTES_MAX &&
         (filter_bits <= NC_FILTER_BITS_PER_KEY_MAX || filter_bits == UINT32_MAX);
}

static bool read_specs(nc_reader *r, nc_key_record *key) {
  uint64_t specs = nc_read_varint(r);
  if (specs > NACRE_KEY_SPECS_MAX) return false;
  for (; key->spec_count < specs; key->spec_count++) {
    nc_key_spec_record *spec = &key->specs[key->spec_count];
    spec->uri = nc_read_string(r);
    spec->region = nc_read_string(r);
    spec->principal = nc_read_string(r);
    if (!text_sound(spec->uri, 1, NACRE_KEY_URI_BYTES_MAX) ||
        !text_sound(spec->region, 0, NACRE_KEY_URI_BYTES_MAX) ||
        !text_sound(spec->principal, 0, NACRE_KEY_URI_BYTES_MAX))
      return false;
  }
  return true;
}

static bool read_keys(nc_reader *r, nc_catalogue_record *record) {
  read_pin(r, &record->current.pin);
  uint8_t has_pending = nc_read_u8(r);
  record->has_pending = has_pending == 1;
  if (record->has_pending) {
    read_pin(r, &record->pending.pin);
    if (!read_specs(r, &record->pending)) return false;
  }
  record->key_file_generation = nc_read_varint(r);
  return has_pending <= 1 && read_specs(r, &record->current);
}

/* 0: the default. */
static bool within(uint64_t value, uint64_t min, uint64_t max) { return value == 0 || (value >= min && value <= max); }

/* What came later, left out where it and all behind it is 0: a record has one encoding. */
static bool read_more(nc_reader *r, nc_catalogue_record *record) {
  if (r->failed || nc_reader_left(r) == 0) return true;
  record->large_value_bytes = nc_read_varint(r);
  if (!within(record->large_value_bytes, LARGE_VALUE_BYTES_MIN, UINT64_MAX)) return false;
  if (nc_reader_left(r) == 0) return record->large_value_bytes != 0;
  record->segment_bytes = nc_read_varint(r);
  uint64_t ratio = nc_read_varint(r);
  record->level_ratio = (uint32_t)ratio;
  return within(record->segment_bytes, NACRE_SEGMENT_BYTES_MIN, NACRE_SEGMENT_BYTES_MAX) &&
         within(ratio, NACRE_LEVEL_RATIO_MIN, NACRE_LEVEL_RATIO_MAX) && (record->segment_bytes != 0 || ratio != 0);
}

nacre_status nc_catalogue_record_decode(nacre_slice bytes, nc_catalogue_record *ret_record,
                                        nacre_error *err) {
  nc_reader r = nc_reader_over(bytes);
  nc_catalogue_record record = {0};
  if (!read_settings(&r, &record) || !read_keys(&r, &record) || !read_more(&r, &record) ||
      !nc_reader_done(&r)) /* [T1] */
    return nc_fail_at(err, NC_E_CATALOGUE_SHAPE, r.at, NULL);
  *ret_record = record;
  return NACRE_OK;
}
