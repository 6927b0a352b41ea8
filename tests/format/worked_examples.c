/* SPDX-License-Identifier: Apache-2.0
 *
 * The worked examples of the specification, as far as they need no cipher: each is built from the values that
 * format/README.md tells and comes out as the bytes that stand there. Commitments, ciphertexts, tags and MACs are
 * taken from the page; tests/crypto/worked_examples.c derives those.
 */
#include <stdlib.h>

#include "../support/examples.h"
#include "batch.h"
#include "block.h"
#include "catalogue_record.h"
#include "compress.h"
#include "crc32c.h"
#include "current.h"
#include "filler.h"
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

static const uint64_t created_ms = 1700000000000;

static void ascending(uint8_t first, uint8_t *to, size_t size) {
  for (size_t i = 0; i < size; i++) to[i] = (uint8_t)(first + i);
}

static nc_uuid uuid_from(uint8_t first) {
  nc_uuid uuid;
  ascending(first, uuid.bytes, sizeof uuid.bytes);
  return uuid;
}

static void copy_of(const char *name, uint8_t *to, size_t size) {
  example e = example_of(name);
  cr_assert_eq(e.size, size, "%s has %zu bytes, not %zu", name, e.size, size);
  memcpy(to, e.bytes, size);
}

static void is_example(const char *name, const void *bytes, size_t size) {
  example e = example_of(name);
  cr_assert_eq(e.size, size, "%s has %zu bytes, not %zu", name, e.size, size);
  for (size_t i = 0; i < size; i++) {
    cr_assert_eq(e.bytes[i], ((const uint8_t *)bytes)[i], "%s differs at byte %zu", name, i);
  }
}

/* --- keyring, key file ------------------------------------------------------------------------------------ */

Test(worked_examples, the_keyring_and_its_wrap) {
  uint8_t bytes[NC_KEYRING_BYTES_MAX], wrapped[NC_LOCAL_WRAP_BYTES];
  nc_keyring ring = {.key_count = 1, .keys = {{.id = uuid_from(0x90), .created_ms = created_ms}}};
  ascending(0xE0, ring.keys[0].key, NC_ROOT_KEY_BYTES);
  is_example("keyring", bytes, nc_keyring_encode(&ring, bytes));
  nc_local_wrap wrap;
  example e = example_of("local wrap");
  cr_assert(nc_local_wrap_decode(nc_slice(e.bytes, e.size), &wrap));
  wrap.key_id = uuid_from(0x90);
  ascending(0xB0, wrap.salt, sizeof wrap.salt);
  nc_local_wrap_encode(&wrap, wrapped);
  is_example("local wrap", wrapped, sizeof wrapped);
}

Test(worked_examples, the_key_file) {
  nc_key_file *file = calloc(1, sizeof *file);
  example wrapped = example_of("local wrap"), stored = example_of("key file");
  file->generation = 1;
  file->table = uuid_from(0x40);
  file->version_count = file->wrap_count = file->mac_count = 1;
  file->versions[0] =
      (nc_key_version){.id = uuid_from(0x60), .version = 1, .state = NC_KEY_ACTIVE, .created_ms = created_ms};
  copy_of("KEK commitment", file->versions[0].commitment, NC_COMMITMENT_BYTES);
  file->wraps[0] = (nc_key_wrap){.provider = text("local"),
                                 .uri = text("local:/k"),
                                 .ciphertext = nc_slice(wrapped.bytes, wrapped.size)};
  file->macs[0].kek_id = uuid_from(0x60);
  memcpy(file->macs[0].mac, stored.bytes + stored.size - 4 - NC_MAC_BYTES, NC_MAC_BYTES);
  uint8_t bytes[512];
  size_t body = nc_key_file_encode_body(file, bytes, sizeof bytes);
  is_example("key file", bytes, nc_key_file_encode_end(file, bytes, body, sizeof bytes));
  free(file);
}

/* --- sealed files ----------------------------------------------------------------------------------------- */

Test(worked_examples, the_slots) {
  uint8_t bytes[NC_SLOT_BYTES];
  nc_header_slot slot = {.identity = {.type = NC_FILE_LOG,
                                      .origin_table = uuid_from(0x40),
                                      .file = uuid_from(0x50),
                                      .number = 7,
                                      .epoch = 3},
                         .sequence = 1,
                         .kek_id = uuid_from(0x60),
                         .kek_version = 1};
  ascending(0x70, slot.wrap_salt, NC_WRAP_SALT_BYTES);
  copy_of("DEK commitment", slot.dek_commitment, NC_COMMITMENT_BYTES);
  copy_of("wrapped DEK", slot.wrapped_dek, NC_DEK_BYTES);
  copy_of("wrap tag", slot.wrap_tag, NC_TAG_BYTES);
  nc_header_encode(&slot, bytes);
  is_example("identity", bytes, NC_IDENTITY_BYTES);
  is_example("CRC of slot 0", bytes + 4092, 4);
  slot.index = 1;
  nc_header_encode(&slot, bytes);
  is_example("CRC of slot 1", bytes + 4092, 4);
}

/* The frame's ciphertext and tag are the page's; header, checksums, padding and nonce come out. */
static void frame_is(const char *name, const char *nonce_name, nc_frame_type type, size_t plaintext_size,
                     uint64_t offset) {
  example stored = example_of(name);
  uint8_t frame[512], salt[NC_FRAME_SALT_BYTES], nonce[NC_NONCE_BYTES];
  ascending(0xA0, salt, sizeof salt);
  nc_frame_begin(frame, plaintext_size, type, salt);
  memcpy(frame + NC_FRAME_HEADER_BYTES, stored.bytes + NC_FRAME_HEADER_BYTES,
         plaintext_size + NC_FRAME_TAG_BYTES);
  nc_frame_finish(frame);
  is_example(name, frame, nc_frame_size(plaintext_size));
  assert_ok(nc_frame_check(nc_slice(stored.bytes, stored.size), NULL));
  nc_frame_nonce(nonce, salt, offset);
  is_example(nonce_name, nonce, sizeof nonce);
}

Test(worked_examples, the_frames) {
  uint64_t second = NC_FRAMES_OFFSET + example_of("start frame").size;
  cr_assert_eq(second, 8256);
  frame_is("start frame", "start nonce", NC_FRAME_LOG_START, example_of("start").size, NC_FRAMES_OFFSET);
  frame_is("group frame", "group nonce", NC_FRAME_LOG_GROUP, example_of("group").size, second);
}

Test(worked_examples, zeros_have_the_header_check_given) {
  static const uint8_t zeros[6];
  uint32_t crc = nc_crc32c(0, zeros, sizeof zeros);
  cr_assert_eq((crc >> 16 ^ (crc & 0xFFFF)), 0x2BA0);
}

/* --- log records ------------------------------------------------------------------------------------------ */

static void record_is(const char *name, uint8_t type, nc_log_record record) {
  uint8_t bytes[NC_LOG_RECORD_FIXED_BYTES_MAX];
  nc_log_record decoded;
  example e = example_of(name);
  record.manifest = uuid_from(0xD0);
  is_example(name, bytes, nc_log_record_encode(&record, type, bytes));
  assert_ok(nc_log_record_decode(nc_slice(e.bytes, e.size), type, &decoded, NULL));
}

Test(worked_examples, the_log_records) {
  record_is("start", NC_FRAME_LOG_START, (nc_log_record){.first_sequence = 1, .manifest_sequence = 2});
  record_is("mark", NC_FRAME_LOG_MARK,
            (nc_log_record){.first_sequence = 2, .synced = {7, 8320}, .manifest_sequence = 2});
  record_is("final", NC_FRAME_LOG_FINAL,
            (nc_log_record){.first_sequence = 2, .synced = {7, 8384}, .manifest_sequence = 2});
  record_is("next start", NC_FRAME_LOG_START,
            (nc_log_record){
                .first_sequence = 2,
                .synced = {7, 8384},
                .manifest_sequence = 3,
                .predecessor = {
                    .present = true, .file = uuid_from(0x50), .number = 7, .end = 8384, .last_sequence = 1}});
}

Test(worked_examples, the_group) {
  uint8_t bytes[NC_LOG_RECORD_FIXED_BYTES_MAX];
  nc_log_record record = {.first_sequence = 1, .count = 1};
  size_t size = nc_log_record_encode(&record, NC_FRAME_LOG_GROUP, bytes);
  size += nc_operation_encode(NC_KIND_PUT, text("pearl"), text("white"), bytes + size);
  is_example("group", bytes, size);
}

/* --- a segment -------------------------------------------------------------------------------------------- */

/* Where the parts of the segment stand, one behind the other. */
typedef struct layout {
  nc_handle data, filter, index, properties;
  uint64_t size;
} layout;

static nc_handle frame_of(const char *name, uint64_t offset) {
  return (nc_handle){offset, (uint32_t)nc_frame_size(example_of(name).size)};
}

static layout segment_layout(void) {
  layout l = {.data = frame_of("packed block", NC_FRAMES_OFFSET)};
  l.filter = frame_of("filter line", l.data.offset + l.data.size);
  l.index = (nc_handle){l.filter.offset + l.filter.size,
                        (uint32_t)nc_frame_size(NC_PACK_HEADER_BYTES + example_of("index block").size)};
  l.properties = frame_of("properties", l.index.offset + l.index.size);
  l.size = l.properties.offset + l.properties.size + nc_frame_size(NC_FOOTER_BYTES);
  return l;
}

static void block_is(const char *name, const nc_entry *entries, size_t count) {
  uint8_t work[256], last_key[NACRE_KEY_BYTES_MAX];
  nc_block_builder b;
  nc_block_begin(&b, work, sizeof work, last_key);
  for (size_t i = 0; i < count; i++) cr_assert(nc_block_add(&b, &entries[i]));
  nacre_slice bytes = nc_block_finish(&b);
  is_example(name, bytes.data, bytes.size);
}

Test(worked_examples, the_blocks) {
  nc_entry entries[] = {{text("pear"), 9, NC_KIND_PUT, text("x")},
                        {text("pear"), 4, NC_KIND_DELETE, text("")},
                        {text("pearl"), 20, NC_KIND_PUT, text("yz")}};
  block_is("block", entries, ARRAY_LENGTH(entries));
  uint8_t handle[NC_HANDLE_VARINT_BYTES_MAX];
  size_t size = nc_handle_encode(segment_layout().data, handle);
  is_example("handle", handle, size);
  nc_entry index = {text("pearl"), 0, NC_KIND_PUT, nc_slice(handle, size)};
  block_is("index block", &index, 1);
}

static void unpacks_to(const char *name, const void *raw, size_t raw_size) {
  size_t size = nc_compress_workspace_size(true);
  uint8_t *memory = aligned_alloc(64, size), unpacked[512];
  nc_compress_workspace ws;
  example e = example_of(name);
  assert_ok(nc_compress_init(&ws, memory, size, true, NULL));
  assert_ok(nc_unpack(&ws, nc_slice(e.bytes, e.size), unpacked, raw_size, NULL));
  cr_assert_arr_eq(unpacked, raw, raw_size);
  free(memory);
}

Test(worked_examples, the_packed_blocks) {
  example block = example_of("block");
  uint8_t raw[32];
  unpacks_to("packed block", block.bytes, block.size);
  memset(raw, 'a', sizeof raw);
  unpacks_to("packed by LZ4", raw, sizeof raw);
  unpacks_to("packed by Zstandard", raw, sizeof raw);
}

Test(worked_examples, the_filter_line) {
  uint8_t line[NC_FILTER_LINE_BYTES] = {0};
  nc_filter_add(line, 1, 6, nc_filter_hash(1, text("pear")));
  nc_filter_add(line, 1, 6, nc_filter_hash(1, text("pearl")));
  is_example("filter line", line, sizeof line);
}

Test(worked_examples, the_properties_and_the_footer) {
  layout l = segment_layout();
  uint8_t bytes[128], footer[NC_FOOTER_BYTES];
  nc_properties properties = {.smallest = text("pear"),
                              .largest = text("pearl"),
                              .sequence_min = 4,
                              .sequence_max = 20,
                              .entries = 3,
                              .deletes = 1,
                              .key_bytes = 13,
                              .value_bytes = 3,
                              .data_blocks = 1,
                              .filter_lines = 1,
                              .filter_seed = 1,
                              .filter_probes = 6,
                              .created_ms = created_ms};
  is_example("properties", bytes, nc_properties_encode(&properties, bytes, sizeof bytes));
  nc_footer f = {.file_size = l.size,
                 .frame_count = 5,
                 .properties = l.properties,
                 .index_root = l.index,
                 .index_levels = 1,
                 .filter_frames = 1,
                 .filter_offset = l.filter.offset,
                 .manifest = uuid_from(0xD0),
                 .manifest_sequence = 2};
  nc_footer_encode(&f, footer);
  is_example("footer", footer, sizeof footer);
  assert_ok(nc_footer_decode(nc_slice(footer, sizeof footer), l.size, &f, NULL));
}

/* --- manifest, CURRENT, catalogue -------------------------------------------------------------------------- */

static nc_log_name log_name(uint64_t number) {
  nc_log_name log = {.number = number, .file = uuid_from(0x50)};
  ascending(0x80, log.dek_commitment, NC_COMMITMENT_BYTES);
  return log;
}

Test(worked_examples, the_edits) {
  uint8_t bytes[512];
  nc_writer w = nc_writer_over(bytes, sizeof bytes);
  nc_log_name old_log = log_name(5), new_log = log_name(10);
  nc_edit_begin(&w, 1, NC_EDIT_SNAPSHOT | NC_EDIT_SNAPSHOT_END);
  nc_edit_add_state(&w, &(nc_table_state){.next_file_number = 6, .key_file_generation = 1});
  nc_edit_add_log(&w, &old_log);
  is_example("snapshot", bytes, w.size);

  nc_segment_record segment = {.number = 9,
                               .file = uuid_from(0x50),
                               .origin_table = uuid_from(0x40),
                               .size = segment_layout().size,
                               .run = 4,
                               .sequence_min = 4,
                               .sequence_max = 20,
                               .entries = 3,
                               .smallest = text("pear"),
                               .largest = text("pearl")};
  ascending(0xE0, segment.last_tag, NC_TAG_BYTES);
  ascending(0x80, segment.dek_commitment, NC_COMMITMENT_BYTES);
  w = nc_writer_over(bytes, sizeof bytes);
  nc_edit_begin(&w, 2, 0);
  nc_edit_add_state(&w,
                    &(nc_table_state){.next_file_number = 11, .last_sequence = 20, .key_file_generation = 1});
  nc_edit_remove_segment(&w, 3);
  nc_edit_add_segment(&w, &segment);
  nc_edit_drop_log(&w, 5);
  nc_edit_add_log(&w, &new_log);
  is_example("edit", bytes, w.size);
}

static nc_value_name value_name(void) {
  nc_value_name name = {.number = 12,
                        .file = uuid_from(0x50),
                        .origin_table = uuid_from(0x40),
                        .size = 12480,
                        .value_size = 4100};
  ascending(0xE0, name.last_tag, NC_TAG_BYTES);
  ascending(0x80, name.dek_commitment, NC_COMMITMENT_BYTES);
  return name;
}

Test(worked_examples, the_large_value) {
  uint8_t bytes[512], salt[NC_FRAME_SALT_BYTES] = {0};
  nc_value_end end = {.file_size = NC_FRAMES_OFFSET + nc_frame_size(9 + 4096) + nc_frame_size(9 + 4) +
                                   nc_frame_size(NC_VALUE_END_BYTES),
                      .value_size = 4100,
                      .frame_count = 3,
                      .part_bytes = 4096,
                      .manifest = uuid_from(0xD0),
                      .manifest_sequence = 2};
  cr_assert_eq(end.file_size, 12480);
  nc_value_end_encode(&end, bytes);
  is_example("value end", bytes, NC_VALUE_END_BYTES);
  example part = example_of("last part");
  nacre_slice packed;
  assert_ok(nc_value_part_decode(nc_slice(part.bytes, part.size), &end, 1, &packed, NULL));
  cr_assert(nc_slice_equal(nc_slice((const char *)packed.data + 5, packed.size - 5), text("pear")));
  nc_frame_begin(bytes, part.size, NC_FRAME_VALUE_PART, salt);
  is_example("AAD of the part frame", bytes, NC_FRAME_AAD_BYTES);

  nc_log_record record = {.first_sequence = 21, .count = 1};
  nc_value_reference reference = {.name = value_name()};
  uint8_t value[NC_VALUE_REFERENCE_BYTES_MAX];
  size_t value_size = nc_value_reference_encode(&reference, value);
  size_t size = nc_log_record_encode(&record, NC_FRAME_LOG_GROUP, bytes);
  size += nc_operation_encode(NC_KIND_LARGE, text("pear"), nc_slice(value, value_size), bytes + size);
  is_example("large group", bytes, size);

  nc_writer w = nc_writer_over(bytes, sizeof bytes);
  nc_edit_begin(&w, 3, 0);
  nc_edit_add_state(&w,
                    &(nc_table_state){.next_file_number = 13, .last_sequence = 21, .key_file_generation = 1});
  nc_edit_add_value(&w, &reference.name);
  nc_edit_remove_value(&w, 8);
  is_example("value edit", bytes, w.size);
}

/* ---- range deletes, expiring puts, loads ------------------------------------------------------------------ */

static const uint64_t plum_expires_ms = 4102444800000; /* 2100-01-01 */

static nacre_slice expiring_value(uint8_t bytes[NC_EXPIRY_BYTES + 1]) {
  nc_put_u64(bytes, plum_expires_ms);
  bytes[NC_EXPIRY_BYTES] = 'v';
  return nc_slice(bytes, NC_EXPIRY_BYTES + 1);
}

Test(worked_examples, the_group_of_kinds) {
  uint8_t bytes[256], value[NC_EXPIRY_BYTES + 1];
  nc_log_record record = {.first_sequence = 22, .count = 4};
  size_t size = nc_log_record_encode(&record, NC_FRAME_LOG_GROUP, bytes);
  size += nc_operation_encode(NC_KIND_RANGE_DELETE, text("pea"), text("pear"), bytes + size);
  size += nc_operation_encode(NC_KIND_EXPIRING, text("plum"), expiring_value(value), bytes + size);
  size += nc_operation_encode(NC_KIND_RANGE_DELETE, text("peach"), text("pear"), bytes + size);
  size += nc_operation_encode(NC_KIND_RANGE_DELETE, text("q"), text("r"), bytes + size);
  is_example("kinds group", bytes, size);
}

Test(worked_examples, the_filler) {
  uint8_t bytes[NC_FILLER_BYTES];
  nc_uuid file = uuid_from(0x50);
  nc_filler_write(bytes, sizeof bytes, &file, NC_FRAMES_OFFSET + 2 * 64);
  is_example("filler", bytes, sizeof bytes);
  cr_assert_eq(nc_filler_at_end(bytes, sizeof bytes, &file, 8320), sizeof bytes);
}

static nc_handle kinds_frame(nc_handle before, size_t plaintext) {
  return (nc_handle){before.offset + before.size, (uint32_t)nc_frame_size(plaintext)};
}

static layout kinds_layout(nc_handle *ret_ranges) {
  layout l = {.data = {NC_FRAMES_OFFSET,
                       (uint32_t)nc_frame_size(NC_PACK_HEADER_BYTES + example_of("kinds block").size)}};
  l.index = kinds_frame(l.data, NC_PACK_HEADER_BYTES + example_of("kinds index block").size);
  *ret_ranges = kinds_frame(l.index, example_of("ranges").size);
  l.properties = kinds_frame(*ret_ranges, example_of("kinds properties").size);
  l.size = kinds_frame(l.properties, NC_FOOTER_BYTES).offset + nc_frame_size(NC_FOOTER_BYTES);
  return l;
}

Test(worked_examples, the_blocks_of_kinds) {
  uint8_t reference[NC_VALUE_REFERENCE_BYTES_MAX], value[NC_EXPIRY_BYTES + 1];
  uint8_t handle[NC_HANDLE_VARINT_BYTES_MAX];
  nc_value_reference large = {.name = value_name()};
  size_t size = nc_value_reference_encode(&large, reference);
  nc_entry entries[] = {{text("pear"), 21, NC_KIND_LARGE, nc_slice(reference, size)},
                        {text("plum"), 23, NC_KIND_EXPIRING, expiring_value(value)}};
  block_is("kinds block", entries, ARRAY_LENGTH(entries));
  nc_handle ranges;
  size = nc_handle_encode(kinds_layout(&ranges).data, handle);
  nc_entry index = {text("plum"), 0, NC_KIND_PUT, nc_slice(handle, size)};
  block_is("kinds index block", &index, 1);
}

Test(worked_examples, the_ranges) {
  uint8_t bytes[128];
  uint64_t fragments, sequences;
  nc_writer w = nc_writer_over(bytes, sizeof bytes);
  nc_ranges_write(&w, text("pea"), text("peach"), (uint64_t[]){22}, 1);
  nc_ranges_write(&w, text("peach"), text("pear"), (uint64_t[]){24, 22}, 2);
  nc_ranges_write(&w, text("q"), text("r"), (uint64_t[]){25}, 1);
  is_example("ranges", bytes, w.size);
  assert_ok(nc_ranges_check(nc_slice(bytes, w.size), &fragments, &sequences, NULL));
  cr_assert(fragments == 3 && sequences == 4);
}

Test(worked_examples, the_properties_of_kinds) {
  uint8_t bytes[128], footer[NC_FOOTER_BYTES];
  nc_properties properties = {.smallest = text("pea"),
                              .largest = text("r"),
                              .sequence_min = 21,
                              .sequence_max = 25,
                              .entries = 2,
                              .key_bytes = 8,
                              .value_bytes = 93 + 9,
                              .data_blocks = 1,
                              .created_ms = created_ms,
                              .range_deletes = 4};
  layout l = kinds_layout(&properties.ranges);
  is_example("kinds properties", bytes, nc_properties_encode(&properties, bytes, sizeof bytes));
  nc_footer f = {.file_size = l.size,
                 .frame_count = 5,
                 .properties = l.properties,
                 .index_root = l.index,
                 .index_levels = 1,
                 .manifest = uuid_from(0xD0),
                 .manifest_sequence = 3};
  nc_footer_encode(&f, footer);
  is_example("kinds footer", footer, sizeof footer);
}

static void segment_edit_is(const char *name, uint64_t commit, const nc_table_state *state,
                            nc_segment_record *segment) {
  uint8_t bytes[256];
  nc_writer w = nc_writer_over(bytes, sizeof bytes);
  segment->file = uuid_from(0x50);
  segment->origin_table = uuid_from(0x40);
  ascending(0xE0, segment->last_tag, NC_TAG_BYTES);
  ascending(0x80, segment->dek_commitment, NC_COMMITMENT_BYTES);
  nc_edit_begin(&w, commit, 0);
  nc_edit_add_state(&w, state);
  nc_edit_add_segment(&w, segment);
  is_example(name, bytes, w.size);
}

Test(worked_examples, the_edits_of_kinds) {
  nc_handle ranges;
  nc_table_state state = {.next_file_number = 15, .last_sequence = 25, .key_file_generation = 1};
  nc_segment_record flushed = {.number = 14,
                               .size = kinds_layout(&ranges).size,
                               .run = 6,
                               .sequence_min = 21,
                               .sequence_max = 25,
                               .entries = 2 + 4,
                               .smallest = text("pea"),
                               .largest = text("r"),
                               .flags = NC_SEGMENT_LARGEST_EXCLUDED | NC_SEGMENT_HOLDS_RANGES | NC_SEGMENT_EXPIRES,
                               .half_expired_ms = plum_expires_ms};
  segment_edit_is("kinds edit", 4, &state, &flushed);
  state = (nc_table_state){.next_file_number = 16, .last_sequence = 26, .key_file_generation = 1};
  nc_segment_record loaded = {.number = 15,
                              .size = segment_layout().size,
                              .run = 3,
                              .level = 6,
                              .sequence_min = 26,
                              .sequence_max = 26,
                              .entries = 3,
                              .smallest = text("sa"),
                              .largest = text("sz"),
                              .flags = NC_SEGMENT_ONE_SEQUENCE | NC_SEGMENT_NO_LARGE};
  segment_edit_is("load edit", 5, &state, &loaded);
}

Test(worked_examples, current) {
  uint8_t bytes[NC_CURRENT_BYTES];
  nc_current current = {.table = uuid_from(0x40),
                        .manifest = uuid_from(0xD0),
                        .manifest_number = 2,
                        .epoch = 3,
                        .kek_id = uuid_from(0x60),
                        .kek_version_min = 1};
  example stored = example_of("CURRENT");
  ascending(0x80, current.manifest_commitment, NC_COMMITMENT_BYTES);
  nc_current_encode(&current, bytes);
  memcpy(bytes + NC_CURRENT_MAC_OFFSET, stored.bytes + NC_CURRENT_MAC_OFFSET, NC_MAC_BYTES);
  is_example("CURRENT", bytes, sizeof bytes);
}

Test(worked_examples, the_catalogue_entry) {
  uint8_t key[NC_CATALOGUE_KEY_BYTES], bytes[256];
  nc_uuid table = uuid_from(0x40);
  nc_catalogue_record record = {.life = NC_TABLE_LIVE,
                                .name = text("pearls"),
                                .created_ms = created_ms,
                                .block_bytes = 4096,
                                .filter_bits_per_key = 10,
                                .current = {.pin = {.id = uuid_from(0x60), .version = 1}, .spec_count = 1},
                                .key_file_generation = 1};
  record.current.specs[0].uri = text("local:/k");
  copy_of("KEK commitment", record.current.pin.commitment, NC_COMMITMENT_BYTES);
  nc_catalogue_key(&table, key);
  is_example("catalogue key", key, sizeof key);
  is_example("catalogue record", bytes, nc_catalogue_record_encode(&record, bytes, sizeof bytes));
}
