/* SPDX-License-Identifier: Apache-2.0
 *
 * Key files, keyrings, local wraps and catalogue records.
 */
#include <stdlib.h>

#include "catalogue_record.h"
#include "crc32c.h"
#include "key_file.h"
#include "keyring.h"
#include "support.h"

/* --- key file -------------------------------------------------------------------------------------------------------- */

static nc_key_wrap sample_wrap(uint32_t version_index, const char *uri) {
  return (nc_key_wrap){.version_index = version_index,
                       .provider = text("local"),
                       .uri = text(uri),
                       .region = text("eu"),
                       .key_version = text("1"),
                       .principal = text(""),
                       .ciphertext = text("wrapped")};
}

/* Two versions, the older with two wraps. The caller frees. */
static nc_key_file *sample_file(void) {
  nc_key_file *file = calloc(1, sizeof *file);
  file->generation = 9;
  file->table = uuid_of(0x41);
  file->version_count = 2;
  for (uint8_t i = 0; i < 2; i++) {
    file->versions[i] = (nc_key_version){
        .version = i + 1u, .state = i == 0 ? NC_KEY_RETIRING : NC_KEY_ACTIVE, .created_ms = 5};
    file->versions[i].id = uuid_of((uint8_t)(0x50 + i));
    memset(file->versions[i].commitment, 0x60 + i, NC_COMMITMENT_BYTES);
  }
  file->wrap_count = 3;
  file->wraps[0] = sample_wrap(0, "local:/a");
  file->wraps[1] = sample_wrap(0, "local:/b");
  file->wraps[2] = sample_wrap(1, "local:/a");
  file->mac_count = 2;
  for (uint8_t i = 0; i < 2; i++) {
    file->macs[i].kek_id = file->versions[i].id;
    memset(file->macs[i].mac, 0x70 + i, NC_MAC_BYTES);
  }
  return file;
}

static size_t encode(const nc_key_file *file, uint8_t *bytes, size_t capacity) {
  size_t body = nc_key_file_encode_body(file, bytes, capacity);
  return body == 0 ? 0 : nc_key_file_encode_end(file, bytes, body, capacity);
}

static nacre_status decode(nacre_slice bytes, nacre_error *err) {
  nc_key_file *file = malloc(sizeof *file);
  size_t body;
  nacre_status status = nc_key_file_decode(bytes, file, &body, err);
  free(file);
  return status;
}

static bool decodes(nacre_slice bytes) { return decode(bytes, NULL) == NACRE_OK; }

Test(key_file, comes_back) {
  uint8_t bytes[2048], again[2048];
  nc_key_file *file = sample_file(), *decoded = malloc(sizeof *decoded);
  size_t size = encode(file, bytes, sizeof bytes), body;
  cr_assert_neq(size, 0);
  assert_ok(nc_key_file_decode(nc_slice(bytes, size), decoded, &body, NULL));
  cr_assert_eq(body, nc_key_file_encode_body(file, again, sizeof again));
  cr_assert(decoded->generation == 9 && decoded->version_count == 2 && decoded->wrap_count == 3 &&
            decoded->mac_count == 2);
  cr_assert(decoded->wraps[1].version_index == 0 && decoded->wraps[2].version_index == 1);
  cr_assert(nc_slice_equal(decoded->wraps[1].uri, text("local:/b")) && decoded->macs[1].mac[0] == 0x71);
  cr_assert_eq(encode(decoded, again, sizeof again), size);
  cr_assert_arr_eq(bytes, again, size);
  free(file), free(decoded);
}

Test(key_file, refuses_every_cut_and_every_flipped_bit) {
  uint8_t bytes[2048];
  nc_key_file *file = sample_file();
  size_t size = encode(file, bytes, sizeof bytes);
  refuses_every_other_length(nc_slice(bytes, size), decodes);
  flips_every_bit(nc_slice(bytes, size), decodes, true);
  for (size_t capacity = 0; capacity < size; capacity++) cr_assert_eq(encode(file, bytes, capacity), 0);
  free(file);
}

/* Damage that its author gave a good checksum. */
static bool decodes_resealed(nacre_slice bytes) {
  uint8_t *copy = exact_copy(bytes);
  nc_put_u32(copy + bytes.size - 4, nc_crc32c(0, copy, bytes.size - 4));
  bool accepted = decodes(nc_slice(copy, bytes.size));
  free(copy);
  return accepted;
}

Test(key_file, survives_damage_under_a_good_checksum) {
  uint8_t bytes[2048];
  nc_key_file *file = sample_file();
  size_t size = encode(file, bytes, sizeof bytes);
  flips_every_bit(nc_slice(bytes, size), decodes_resealed, false);
  for (size_t cut = 40; cut < size; cut++) {
    nc_put_u32(bytes + 12, (uint32_t)cut);
    cr_assert(!decodes_resealed(nc_slice(bytes, cut)));
  }
  free(file);
}

static nacre_status recode(const nc_key_file *file, nacre_error *err) {
  size_t capacity = 1 << 20;
  uint8_t *bytes = malloc(capacity);
  size_t size = encode(file, bytes, capacity);
  cr_assert_neq(size, 0);
  nacre_status status = decode(nc_slice(bytes, size), err);
  free(bytes);
  return status;
}

Test(key_file, has_exactly_one_active_version) { /* [K3] */
  nacre_error err;
  nc_key_file *file = sample_file();
  file->versions[0].state = NC_KEY_ACTIVE;
  assert_refused(recode(file, &err), NC_E_KEY_FILE_SHAPE);
  file->versions[0].state = file->versions[1].state = NC_KEY_RETIRING;
  assert_refused(recode(file, &err), NC_E_KEY_FILE_SHAPE);
  file->versions[1].state = NC_KEY_ACTIVE;
  assert_ok(recode(file, &err));
  file->versions[0].state = (nc_key_state)3;
  assert_refused(recode(file, &err), NC_E_KEY_FILE_SHAPE);
  free(file);
}

Test(key_file, refuses_versions_twice_or_without_a_wrap) {
  nacre_error err;
  nc_key_file *file = sample_file();
  file->versions[0].id = file->macs[0].kek_id = file->versions[1].id;
  assert_refused(recode(file, &err), NC_E_KEY_FILE_SHAPE);
  free(file);
  file = sample_file();
  file->versions[0].version = file->versions[1].version; /* they ascend */
  assert_refused(recode(file, &err), NC_E_KEY_FILE_SHAPE);
  free(file);
  file = sample_file();
  file->wraps[2].version_index = 0;
  assert_refused(recode(file, &err), NC_E_KEY_FILE_SHAPE);
  free(file);
}

Test(key_file, refuses_a_version_without_its_mac) {
  nacre_error err;
  nc_key_file *file = sample_file();
  for (uint32_t count = 0; count < 4; count++) {
    file->mac_count = count;
    if (count != 2) assert_refused(recode(file, &err), NC_E_KEY_FILE_SHAPE);
  }
  file->mac_count = 2;
  file->macs[1].kek_id = file->versions[0].id;
  assert_refused(recode(file, &err), NC_E_KEY_FILE_SHAPE);
  free(file);
}

Test(key_file, refuses_strings_beyond_their_limits) {
  nacre_error err;
  nc_key_file *file = sample_file();
  char *large = malloc(5000);
  memset(large, 'x', 5000);
  file->wraps[0].uri = nc_slice(large, NACRE_KEY_URI_BYTES_MAX);
  file->wraps[0].ciphertext = nc_slice(large, 4096);
  assert_ok(recode(file, &err));
  file->wraps[0].ciphertext = nc_slice(large, 4097);
  assert_refused(recode(file, &err), NC_E_KEY_FILE_SHAPE);
  file->wraps[0].ciphertext = text("");
  assert_refused(recode(file, &err), NC_E_KEY_FILE_SHAPE);
  file->wraps[0] = sample_wrap(0, "");
  assert_refused(recode(file, &err), NC_E_KEY_FILE_SHAPE);
  file->wraps[0].uri = nc_slice(large, NACRE_KEY_URI_BYTES_MAX + 1);
  assert_refused(recode(file, &err), NC_E_KEY_FILE_SHAPE);
  file->wraps[0].uri = nc_slice("local:/a\0/b", 11);
  assert_refused(recode(file, &err), NC_E_KEY_FILE_SHAPE);
  free(large), free(file);
}

Test(key_file, refuses_more_than_the_limits) {
  uint8_t bytes[2048];
  nacre_error err;
  nc_key_file *file = sample_file();
  size_t size = encode(file, bytes, sizeof bytes);
  static const uint8_t more_than_64 = 65;
  const size_t versions_at = 40;
  bytes[versions_at] = more_than_64;
  assert_refused(
      (nc_put_u32(bytes + size - 4, nc_crc32c(0, bytes, size - 4)), decode(nc_slice(bytes, size), &err)),
      NC_E_KEY_FILE_LIMIT);
  file->wrap_count = NC_KEY_WRAPS_MAX + 1;
  cr_assert_eq(encode(file, bytes, sizeof bytes), 0);
  file->wrap_count = 3;
  file->version_count = NC_KEY_VERSIONS_MAX + 1;
  cr_assert_eq(encode(file, bytes, sizeof bytes), 0);
  free(file);
}

Test(key_file, refuses_another_total_size_and_a_byte_that_is_not_zero) {
  uint8_t bytes[2048];
  nc_key_file *file = sample_file();
  size_t size = encode(file, bytes, sizeof bytes);
  cr_assert(decodes_resealed(nc_slice(bytes, size)));
  for (size_t at = 10; at < 16; at++) {
    bytes[at] ^= 1;
    cr_assert(!decodes_resealed(nc_slice(bytes, size)), "byte %zu", at);
    bytes[at] ^= 1;
  }
  free(file);
}

/* One version with so many wraps of one byte each. */
static nacre_status decode_wraps(uint32_t wraps, nacre_error *err) {
  size_t capacity = 200 + (size_t)wraps * 8;
  uint8_t *bytes = calloc(1, capacity);
  nc_writer w = nc_writer_over(bytes, capacity);
  nc_write_bytes(&w, "\x89NACKE\r\n\x01\x00\x00\x00", 12);
  nc_write_zeros(&w, 4 + 8 + NC_UUID_BYTES);
  nc_write_varint(&w, 1);
  nc_write_zeros(&w, NC_UUID_BYTES + 4);
  nc_write_u8(&w, NC_KEY_ACTIVE);
  nc_write_zeros(&w, 8 + NC_COMMITMENT_BYTES);
  nc_write_varint(&w, wraps);
  for (uint32_t i = 0; i < wraps; i++)
    nc_write_bytes(&w,
                   "\x00\x01u\x00\x00\x00\x01"
                   "c",
                   8);
  nc_write_varint(&w, 1);
  nc_write_zeros(&w, NC_UUID_BYTES + NC_MAC_BYTES);
  nc_put_u32(bytes + 12, (uint32_t)w.size + 4);
  nc_write_u32(&w, nc_crc32c(0, bytes, w.size));
  cr_assert(!w.failed);
  nacre_status status = decode(nc_slice(bytes, w.size), err);
  free(bytes);
  return status;
}

Test(key_file, refuses_a_wrap_too_many) {
  nacre_error err;
  assert_ok(decode_wraps(NC_KEY_WRAPS_MAX, &err));
  assert_refused(decode_wraps(NC_KEY_WRAPS_MAX + 1, &err), NC_E_KEY_FILE_LIMIT);
  assert_refused(decode_wraps(0, &err), NC_E_KEY_FILE_SHAPE);
}

Test(key_file, holds_as_many_wraps_as_it_may) {
  nc_key_file *file = sample_file();
  file->version_count = NC_KEY_VERSIONS_MAX;
  file->wrap_count = NC_KEY_WRAPS_MAX;
  for (uint32_t i = 0; i < NC_KEY_VERSIONS_MAX; i++) {
    file->versions[i] = (nc_key_version){.version = i + 1, .state = i == 0 ? NC_KEY_ACTIVE : NC_KEY_RETIRING};
    file->versions[i].id = file->macs[i].kek_id = uuid_of((uint8_t)i);
  }
  file->mac_count = NC_KEY_VERSIONS_MAX;
  for (uint32_t i = 0; i < NC_KEY_WRAPS_MAX; i++) file->wraps[i] = sample_wrap(i / 4, "local:/a");
  assert_ok(recode(file, NULL));
  free(file);
}

/* --- keyring -------------------------------------------------------------------------------------------------------- */

static nc_keyring sample_ring(uint32_t keys) {
  nc_keyring ring = {0};
  for (uint32_t i = 0; i < keys; i++) {
    nc_root_key key = {.created_ms = 100 + i};
    key.id = uuid_of((uint8_t)i);
    memset(key.key, (int)(i + 1), sizeof key.key);
    assert_ok(nc_keyring_add(&ring, &key, NULL));
  }
  return ring;
}

static bool decodes_ring(nacre_slice bytes) {
  nc_keyring ring;
  return nc_keyring_decode(bytes, &ring, NULL) == NACRE_OK;
}

Test(keyring, comes_back) {
  for (uint32_t keys = 1; keys <= NC_KEYRING_KEYS_MAX; keys *= 4) {
    uint8_t bytes[NC_KEYRING_BYTES_MAX];
    nc_keyring ring = sample_ring(keys), decoded;
    size_t size = nc_keyring_encode(&ring, bytes);
    assert_ok(nc_keyring_decode(nc_slice(bytes, size), &decoded, NULL));
    cr_assert_eq(decoded.key_count, keys);
    cr_assert(decoded.keys[keys - 1].key[0] == keys && decoded.keys[0].created_ms == 100);
  }
}

Test(keyring, refuses_every_cut_and_every_flipped_bit) {
  uint8_t bytes[NC_KEYRING_BYTES_MAX];
  nc_keyring ring = sample_ring(2);
  size_t size = nc_keyring_encode(&ring, bytes);
  refuses_every_other_length(nc_slice(bytes, size), decodes_ring);
  flips_every_bit(nc_slice(bytes, size), decodes_ring, true);
}

Test(keyring, refuses_counts_that_do_not_fit) {
  nacre_error err;
  uint8_t bytes[NC_KEYRING_BYTES_MAX];
  nc_keyring ring = sample_ring(2), decoded;
  size_t size = nc_keyring_encode(&ring, bytes);
  static const uint32_t counts[] = {0, 1, 3, NC_KEYRING_KEYS_MAX + 1, UINT32_MAX};
  for (size_t i = 0; i < ARRAY_LENGTH(counts); i++) {
    nc_put_u32(bytes + 12, counts[i]);
    nc_put_u32(bytes + size - 4, nc_crc32c(0, bytes, size - 4));
    assert_refused(nc_keyring_decode(nc_slice(bytes, size), &decoded, &err), NC_E_KEYRING_SHAPE);
  }
}

Test(keyring, refuses_a_byte_that_is_not_zero) {
  uint8_t bytes[NC_KEYRING_BYTES_MAX];
  nc_keyring ring = sample_ring(1);
  size_t size = nc_keyring_encode(&ring, bytes);
  bytes[11] = 1;
  nc_put_u32(bytes + size - 4, nc_crc32c(0, bytes, size - 4));
  cr_assert(!decodes_ring(nc_slice(bytes, size)));
}

Test(keyring, refuses_a_key_too_many_though_it_is_there) {
  static uint8_t bytes[NC_KEYRING_BYTES_MAX + 56];
  nacre_error err;
  nc_keyring ring = sample_ring(NC_KEYRING_KEYS_MAX), *decoded = malloc(sizeof *decoded);
  (void)nc_keyring_encode(&ring, bytes);
  nc_put_u32(bytes + 12, NC_KEYRING_KEYS_MAX + 1);
  nc_put_u32(bytes + sizeof bytes - 4, nc_crc32c(0, bytes, sizeof bytes - 4));
  assert_refused(nc_keyring_decode(nc_slice(bytes, sizeof bytes), decoded, &err), NC_E_KEYRING_SHAPE);
  free(decoded);
}

Test(keyring, takes_no_key_too_many) {
  nacre_error err;
  nc_keyring ring = sample_ring(NC_KEYRING_KEYS_MAX);
  nc_root_key key = {0};
  assert_refused(nc_keyring_add(&ring, &key, &err), NC_E_KEYRING_FULL);
  cr_assert_eq(ring.key_count, NC_KEYRING_KEYS_MAX);
}

Test(keyring, local_wraps_come_back) {
  uint8_t bytes[NC_LOCAL_WRAP_BYTES];
  nc_local_wrap wrap = {0}, decoded;
  wrap.key_id = uuid_of(1);
  memset(wrap.salt, 2, sizeof wrap.salt);
  memset(wrap.ciphertext, 3, sizeof wrap.ciphertext);
  memset(wrap.tag, 4, sizeof wrap.tag);
  nc_local_wrap_encode(&wrap, bytes);
  cr_assert(nc_local_wrap_decode(nc_slice(bytes, sizeof bytes), &decoded));
  cr_assert_arr_eq(&wrap, &decoded, sizeof wrap);
  cr_assert(!nc_local_wrap_decode(nc_slice(bytes, sizeof bytes - 1), &decoded));
  cr_assert(!nc_local_wrap_decode(nc_slice(bytes, 0), &decoded));
  bytes[0] = 2;
  cr_assert(!nc_local_wrap_decode(nc_slice(bytes, sizeof bytes), &decoded));
}

/* --- catalogue -------------------------------------------------------------------------------------------------------- */

static nc_catalogue_record sample_record(void) {
  nc_catalogue_record record = {.life = NC_TABLE_LIVE,
                                .name = text("orders"),
                                .created_ms = 12345,
                                .compression = 3,
                                .block_bytes = 4096,
                                .filter_bits_per_key = 10,
                                .has_pending = true,
                                .key_file_generation = 2,
                                .current.spec_count = 2,
                                .pending.spec_count = 1};
  record.current.pin.id = uuid_of(0x81);
  record.current.pin.version = 4;
  memset(record.current.pin.commitment, 0x82, NC_COMMITMENT_BYTES);
  record.pending.pin.id = uuid_of(0x83);
  record.pending.pin.version = 5;
  record.pending.specs[0] = (nc_key_spec_record){text("local:/b"), text(""), text("")};
  record.current.specs[0] = (nc_key_spec_record){text("local:/a"), text("eu"), text("")};
  record.current.specs[1] = (nc_key_spec_record){text("vault://h/m/k"), text(""), text("role")};
  return record;
}

static bool decodes_record(nacre_slice bytes) {
  nc_catalogue_record record;
  return nc_catalogue_record_decode(bytes, &record, NULL) == NACRE_OK;
}

static bool accepted(const nc_catalogue_record *record) {
  uint8_t bytes[4096];
  size_t size = nc_catalogue_record_encode(record, bytes, sizeof bytes);
  cr_assert_neq(size, 0);
  return decodes_record(nc_slice(bytes, size));
}

Test(catalogue, records_come_back) {
  for (int pending = 0; pending < 2; pending++) {
    uint8_t bytes[512], again[512];
    nc_catalogue_record record = sample_record(), decoded;
    record.has_pending = pending == 1;
    size_t size = nc_catalogue_record_encode(&record, bytes, sizeof bytes);
    assert_ok(nc_catalogue_record_decode(nc_slice(bytes, size), &decoded, NULL));
    cr_assert(nc_slice_equal(decoded.name, text("orders")) && decoded.current.pin.version == 4 &&
              decoded.current.spec_count == 2 && decoded.pending.spec_count == (pending == 1 ? 1 : 0));
    cr_assert_eq(nc_catalogue_record_encode(&decoded, again, sizeof again), size);
    cr_assert_arr_eq(bytes, again, size);
    refuses_every_other_length(nc_slice(bytes, size), decodes_record);
    flips_every_bit(nc_slice(bytes, size), decodes_record, false);
    cr_assert_eq(nc_catalogue_record_encode(&record, bytes, size - 1), 0);
  }
}

/* Each shape of what came later has one encoding, and no other length of it is one. */
Test(catalogue, later_fields_are_left_out_where_they_say_nothing) {
  static const struct {
    uint64_t large, segment;
    uint32_t ratio;
  } shapes[] = {{0, 0, 0}, {4096, 0, 0}, {0, 16384, 0}, {0, 0, 2}, {5000, 1 << 30, 100}};
  size_t sizes[5];
  for (size_t i = 0; i < 5; i++) {
    uint8_t bytes[512], again[512];
    nc_catalogue_record record = sample_record(), decoded;
    record.large_value_bytes = shapes[i].large;
    record.segment_bytes = shapes[i].segment;
    record.level_ratio = shapes[i].ratio;
    sizes[i] = nc_catalogue_record_encode(&record, bytes, sizeof bytes);
    assert_ok(nc_catalogue_record_decode(nc_slice(bytes, sizes[i]), &decoded, NULL));
    cr_assert(decoded.large_value_bytes == shapes[i].large && decoded.segment_bytes == shapes[i].segment &&
              decoded.level_ratio == shapes[i].ratio);
    cr_assert_eq(nc_catalogue_record_encode(&decoded, again, sizeof again), sizes[i]);
  }
  cr_assert(sizes[1] == sizes[0] + 2 && sizes[2] == sizes[0] + 5 && sizes[3] == sizes[0] + 3);
  uint8_t zeros[512] = {0};
  nc_catalogue_record record = sample_record();
  size_t size = nc_catalogue_record_encode(&record, zeros, sizeof zeros);
  for (size_t more = 1; more <= 3; more++) cr_assert(!decodes_record(nc_slice(zeros, size + more)), "%zu zeros", more);
}

Test(catalogue, refuses_fields_out_of_range) {
  nc_catalogue_record r = sample_record();
  cr_assert(accepted(&r));
  r.filter_bits_per_key = UINT32_MAX;
  cr_assert(accepted(&r));
  r.filter_bits_per_key = 33;
  cr_assert(!accepted(&r));
  r = sample_record(), r.life = (nc_table_life)4;
  cr_assert(!accepted(&r));
  r = sample_record(), r.compression = 4;
  cr_assert(!accepted(&r));
  r = sample_record(), r.name = text("");
  cr_assert(!accepted(&r));
  r = sample_record(), r.name = nc_slice("a\0b", 3);
  cr_assert(!accepted(&r));
  r = sample_record(), r.block_bytes = (1 << 20) + 1;
  cr_assert(!accepted(&r));
  r = sample_record(), r.current.specs[0].uri = text("");
  cr_assert(!accepted(&r));
  r = sample_record(), r.pending.specs[0].uri = text("");
  cr_assert(!accepted(&r));
  r = sample_record(), r.large_value_bytes = 4095;
  cr_assert(!accepted(&r));
  r = sample_record(), r.segment_bytes = NACRE_SEGMENT_BYTES_MIN - 1;
  cr_assert(!accepted(&r));
  r.segment_bytes = NACRE_SEGMENT_BYTES_MAX + 1;
  cr_assert(!accepted(&r));
  r = sample_record(), r.level_ratio = 1;
  cr_assert(!accepted(&r));
  r.level_ratio = NACRE_LEVEL_RATIO_MAX + 1;
  cr_assert(!accepted(&r));
  char name[NACRE_TABLE_NAME_BYTES_MAX + 1];
  memset(name, 'n', sizeof name);
  r = sample_record(), r.name = nc_slice(name, sizeof name);
  cr_assert(!accepted(&r));
  r.name.size--;
  cr_assert(accepted(&r));
}

/* A record of so many one-byte specs, with `has_pending` as given. */
static bool accepts_specs(uint8_t has_pending, uint32_t specs) {
  uint8_t bytes[512];
  nc_writer w = nc_writer_over(bytes, sizeof bytes);
  nc_write_u8(&w, NC_TABLE_LIVE);
  nc_write_string(&w, text("t"));
  nc_write_zeros(&w, 8 + 1 + 1 + 1); /* created, compression, block bytes, filter bits */
  nc_write_zeros(&w, NC_UUID_BYTES + 4 + NC_COMMITMENT_BYTES);
  nc_write_u8(&w, has_pending);
  if (has_pending == 1) nc_write_zeros(&w, NC_UUID_BYTES + 4 + NC_COMMITMENT_BYTES + 1);
  nc_write_varint(&w, 1);
  nc_write_varint(&w, specs);
  for (uint32_t i = 0; i < specs; i++) nc_write_bytes(&w, "\x01u\x00\x00", 4);
  cr_assert(!w.failed);
  return decodes_record(nc_slice(bytes, w.size));
}

Test(catalogue, refuses_a_spec_too_many_and_half_a_pending_key) {
  cr_assert(accepts_specs(0, NACRE_KEY_SPECS_MAX) && accepts_specs(1, 0));
  cr_assert(!accepts_specs(0, NACRE_KEY_SPECS_MAX + 1));
  cr_assert(!accepts_specs(2, 0));
}

Test(catalogue, keys_come_back) {
  uint8_t key[NC_CATALOGUE_KEY_BYTES];
  nacre_error err;
  nc_uuid table = uuid_of(0x91), decoded;
  nc_catalogue_key(&table, key);
  assert_ok(nc_catalogue_key_decode(nc_slice(key, sizeof key), &decoded, NULL));
  cr_assert(nc_uuid_equal(&table, &decoded));
  assert_refused(nc_catalogue_key_decode(nc_slice(key, sizeof key - 1), &decoded, &err),
                 NC_E_CATALOGUE_SHAPE);
  key[0] = 'U';
  assert_refused(nc_catalogue_key_decode(nc_slice(key, sizeof key), &decoded, &err), NC_E_CATALOGUE_SHAPE);
}
