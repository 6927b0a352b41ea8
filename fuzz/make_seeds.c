/* SPDX-License-Identifier: Apache-2.0
 *
 * make_seeds: makes the seeds of all targets by the real encoders.
 *
 *   make_seeds DIRECTORY            writes DIRECTORY/<target>/<seed>
 *   make_seeds --check DIRECTORY    compares instead: seeds that the encoders no longer make are stale
 *
 * Everything in a seed is fixed. Only what LZ4 and Zstandard make may differ with their version: it is not
 * compared.
 */
#include <stdio.h>

#include "batch.h"
#include "block.h"
#include "catalogue_record.h"
#include "compress.h"
#include "filter.h"
#include "footer.h"
#include "frame.h"
#include "fuzz.h"
#include "key_file.h"
#include "keyring.h"
#include "log_record.h"
#include "manifest_edit.h"
#include "ranges.h"
#include "seed.h"

enum { FIELD_BYTES = 208 };

/* --- what seeds are made of ----------------------------------------------------------------------------- */

static nacre_slice text(const char *s) { return nc_slice(s, strlen(s)); }

static nc_uuid uuid_of(uint8_t fill) {
  nc_uuid uuid;
  memset(uuid.bytes, fill, sizeof uuid.bytes);
  return uuid;
}

static nacre_slice written(const nc_writer *w) {
  FUZZ_REQUIRE(!w->failed);
  return nc_slice(w->data, w->size);
}

/* --- primitives, packing -------------------------------------------------------------------------------- */

static void make_coding(seed_place *place) {
  uint8_t bytes[256];
  nc_writer w = nc_writer_over(bytes, sizeof bytes);
  static const uint8_t operations[] = {0, 1, 2, 3, 4, 4, 4, 8, 5 + 9 * 3, 6 + 9 * 2, 7 + 9 * 4};
  nc_write_u8(&w, sizeof operations);
  nc_write_bytes(&w, operations, sizeof operations);
  nc_write_u8(&w, 0x80);
  nc_write_u16(&w, 0x1234);
  nc_write_u32(&w, 0xDEADBEEF);
  nc_write_u64(&w, NC_SEQUENCE_MAX);
  nc_write_varint(&w, 0);
  nc_write_varint(&w, 300);
  nc_write_varint(&w, UINT64_MAX);
  nc_write_string(&w, text("mother of pearl"));
  nc_write_bytes(&w, "nacre", 5);
  nc_write_zeros(&w, 4);
  seed(place, "coding", "every_operation", written(&w));
  seed(place, "coding", "uuid",
       nc_slice("\0"
                "01234567-89ab-cdef-FEDC-ba9876543210",
                37));
}

static void make_compress(seed_place *place) {
  static const char *const names[] = {"none", "lz4", "zstd"};
  static _Alignas(64) uint8_t memory[4 * 1024 * 1024];
  nc_compress_workspace ws;
  nacre_error err;
  uint8_t raw[600], packed[1024];
  for (size_t i = 0; i < sizeof raw; i++)
    raw[i] = (uint8_t)((uint8_t) "nacre is mother of pearl "[i % 25] + i / 200);
  FUZZ_REQUIRE(nc_compress_init(&ws, memory, sizeof memory, false, &err) == NACRE_OK);
  for (int method = NC_PACK_NONE; method <= NC_PACK_ZSTD; method++) {
    size_t raw_size = method == NC_PACK_NONE ? 20 : sizeof raw, size;
    FUZZ_REQUIRE(nc_pack(&ws, (nc_pack_method)method, nc_slice(raw, raw_size), packed, sizeof packed, &size,
                         &err) == NACRE_OK);
    if (method == NC_PACK_NONE || !place->check)
      seed(place, "compress", names[method], nc_slice(packed, size));
  }
}

/* --- sealed files --------------------------------------------------------------------------------------- */

static nc_header_slot slot_of(uint8_t index, uint64_t sequence, nc_file_type type) {
  nc_header_slot slot = {.identity = {type, uuid_of(1), uuid_of(2), 7, 3},
                         .sequence = sequence,
                         .index = index,
                         .kek_id = uuid_of(4),
                         .kek_version = 1};
  memset(slot.dek_commitment, 5, sizeof slot.dek_commitment);
  memset(slot.wrap_salt, 6, sizeof slot.wrap_salt);
  memset(slot.wrapped_dek, 7, sizeof slot.wrapped_dek);
  memset(slot.wrap_tag, 8, sizeof slot.wrap_tag);
  return slot;
}

static void make_header(seed_place *place) {
  static const char *const names[] = {"segment", "log", "manifest", "value"};
  for (int type = NC_FILE_SEGMENT; type <= NC_FILE_VALUE; type++) {
    uint8_t fields[2 * FIELD_BYTES], slot[NC_SLOT_BYTES];
    for (uint8_t i = 0; i < NC_SLOT_COUNT; i++) {
      nc_header_slot s = slot_of(i, type == NC_FILE_LOG ? 10u + i : 10, (nc_file_type)type);
      nc_header_encode(&s, slot);
      memcpy(fields + (size_t)i * FIELD_BYTES, slot, FIELD_BYTES);
    }
    seed(place, "header", names[type - 1], nc_slice(fields, sizeof fields));
    if (type == NC_FILE_SEGMENT) seed(place, "header", "whole_slot", nc_slice(slot, sizeof slot));
  }
}

static void make_frame(seed_place *place) {
  static const struct {
    const char *name;
    nc_frame_type type;
    size_t size;
  } frames[] = {{"log_group", NC_FRAME_LOG_GROUP, 40},
                {"data", NC_FRAME_DATA, 64},
                {"edit", NC_FRAME_EDIT, 1},
                {"value_part", NC_FRAME_VALUE_PART, 20}};
  for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) {
    uint8_t frame[256] = {0};
    nc_frame_begin(frame, frames[i].size, frames[i].type, (const uint8_t *)"salt");
    memset(frame + NC_FRAME_HEADER_BYTES, 0x5A, frames[i].size + NC_FRAME_TAG_BYTES);
    nc_frame_finish(frame);
    seed(place, "frame", frames[i].name, nc_slice(frame, nc_frame_size(frames[i].size)));
  }
}

static nc_value_name value_name(void) {
  nc_value_name name = {.number = 300, .size = 12480, .value_size = 4100};
  name.file = uuid_of(1);
  name.origin_table = uuid_of(2);
  memset(name.last_tag, 3, sizeof name.last_tag);
  memset(name.dek_commitment, 4, sizeof name.dek_commitment);
  return name;
}

/* --- segments ------------------------------------------------------------------------------------------- */

/* Steers through every move, and seeks beside keys and away from them. */
static void write_steering(nc_writer *w) {
  static const uint8_t steps[] = {0,   2,   2,   2,   3, 1, 3, 3, 5, 0, 4, 5, 1,   1, 2, 5, 3, 0, 4, 4,
                                  'k', 'e', 'y', '5', 4, 2, 3, 4, 0, 0, 4, 1, 'z', 1, 2, 5, 2, 2, 3};
  nc_write_u8(w, sizeof steps);
  nc_write_bytes(w, steps, sizeof steps);
}

static void seed_block(seed_place *place, const char *name, nc_block_builder *b) {
  uint8_t bytes[4096];
  nc_writer w = nc_writer_over(bytes, sizeof bytes);
  nacre_slice block = nc_block_finish(b);
  write_steering(&w);
  nc_write_bytes(&w, block.data, block.size);
  seed(place, "block", name, written(&w));
}

/* One entry of each kind that may stand in a data block. */
static void seed_kinds(seed_place *place, nc_block_builder *b, uint8_t *data, size_t size,
                       uint8_t *last_key) {
  uint8_t expiring[NC_EXPIRY_BYTES + 5] = {0}, reference_bytes[NC_VALUE_REFERENCE_BYTES_MAX];
  nc_put_u64(expiring, 1700000000000);
  nc_value_reference reference = {.expires_ms = 1700000000000, .name = value_name()};
  nacre_slice large = nc_slice(reference_bytes, nc_value_reference_encode(&reference, reference_bytes));
  const nc_entry entries[] = {{text("key"), 9, NC_KIND_LARGE, large},
                              {text("key"), 7, NC_KIND_EXPIRING, nc_slice(expiring, sizeof expiring)},
                              {text("key"), 5, NC_KIND_DELETE, nc_slice("", 0)},
                              {text("keys"), 3, NC_KIND_PUT, text("value")}};
  nc_block_begin(b, data, size, last_key);
  for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) FUZZ_REQUIRE(nc_block_add(b, &entries[i]));
  seed_block(place, "kinds", b);
}

static void make_block(seed_place *place) {
  static uint8_t last_key[NACRE_KEY_BYTES_MAX];
  uint8_t data[2048], value[NC_HANDLE_VARINT_BYTES_MAX];
  nc_block_builder b;
  nc_block_begin(&b, data, sizeof data, last_key);
  seed_block(place, "empty", &b);

  nc_block_begin(&b, data, sizeof data, last_key);
  for (unsigned i = 0; i < 36;
       i++) { /* three restart points; every third key has two versions, one a delete */
    char key[8];
    (void)snprintf(key, sizeof key, "key%02u", i / 3 * 2 + (i % 3 != 0));
    nc_entry entry = {text(key), 100 - i, i % 3 == 1 ? NC_KIND_DELETE : NC_KIND_PUT,
                      i % 3 == 1 ? nc_slice("", 0) : text("value")};
    FUZZ_REQUIRE(nc_block_add(&b, &entry));
  }
  seed_block(place, "versions", &b);

  nc_block_begin(&b, data, sizeof data, last_key);
  for (unsigned i = 0; i < 20; i++) { /* an index: sequences 0, keys that repeat */
    char key[8];
    (void)snprintf(key, sizeof key, "%c", 'a' + i / 4);
    nc_handle handle = {NC_FRAMES_OFFSET + (uint64_t)i * 4096, 4096};
    nc_entry entry = {text(key), 0, NC_KIND_PUT, nc_slice(value, nc_handle_encode(handle, value))};
    FUZZ_REQUIRE(nc_block_add(&b, &entry));
  }
  seed_block(place, "index", &b);

  static const char *const keys[] = {"", "a", "abalone", "abalone shell", "b", "nacre", "nacreous", "z"};
  nc_block_begin(&b, data, sizeof data, last_key);
  for (size_t i = 0; i < sizeof keys / sizeof keys[0];
       i++) { /* keys of many lengths: short ones behind long ones */
    nc_entry entry = {text(keys[i]), 1, NC_KIND_PUT, text("v")};
    FUZZ_REQUIRE(nc_block_add(&b, &entry));
  }
  seed_block(place, "lengths", &b);

  nc_block_begin(&b, data, sizeof data, last_key);
  nc_entry only = {nc_slice("", 0), NC_SEQUENCE_MAX, NC_KIND_PUT, text("under the empty key")};
  FUZZ_REQUIRE(nc_block_add(&b, &only));
  seed_block(place, "empty_key", &b);
  seed_kinds(place, &b, data, sizeof data, last_key);
}

static void make_index(seed_place *place) {
  static const nc_handle handles[] = {{NC_FRAMES_OFFSET, 32}, {(uint64_t)1 << 30, 4096}, {1048576, 16777216}};
  static const char *const names[] = {"first", "far", "largest"};
  for (size_t i = 0; i < 3; i++) {
    uint8_t bytes[8 + NC_HANDLE_VARINT_BYTES_MAX], handle[NC_HANDLE_VARINT_BYTES_MAX];
    nc_writer w = nc_writer_over(bytes, sizeof bytes);
    nc_write_u64(&w, handles[i].offset + handles[i].size);
    nc_write_bytes(&w, handle, nc_handle_encode(handles[i], handle));
    seed(place, "index", names[i], written(&w));
  }
}

static void make_filter(seed_place *place) {
  static const struct {
    const char *name;
    uint64_t keys;
  } filters[] = {{"small", 100}, {"two_frames", 4000000}};
  for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++) {
    uint8_t bytes[256];
    uint64_t lines;
    uint32_t probes;
    nc_filter_shape(filters[i].keys, 10, &lines, &probes);
    nc_writer w = nc_writer_over(bytes, sizeof bytes);
    nc_write_u64(&w, lines);
    nc_write_u32(&w, (uint32_t)((lines - 1) / NC_FILTER_FRAME_LINES + 1));
    nc_write_u8(&w, (uint8_t)probes);
    nc_write_u8(&w, 10);
    nc_write_u64(&w, 0x0123456789ABCDEF);
    nc_write_zeros(&w, 24); /* the first half of the rest is lines */
    nc_write_string(&w, text("nacre"));
    nc_write_string(&w, text("mother of pearl"));
    nc_write_string(&w, text(""));
    seed(place, "filter", filters[i].name, written(&w));
  }
}

static void make_footer(seed_place *place) {
  nc_footer footer = {.file_size = 65536,
                      .frame_count = 12,
                      .properties = {65536 - 128 - 256, 256},
                      .index_root = {32768, 1024},
                      .index_levels = 1,
                      .manifest = uuid_of(9),
                      .manifest_sequence = 77};
  static const char *const names[] = {"plain", "filter"};
  for (size_t i = 0; i < 2; i++) {
    uint8_t bytes[8 + NC_FOOTER_BYTES];
    nc_put_u64(bytes, footer.file_size);
    nc_footer_encode(&footer, bytes + 8);
    seed(place, "footer", names[i], nc_slice(bytes, sizeof bytes));
    footer.filter_frames = 1;
    footer.filter_offset = 16384;
    footer.index_levels = 2;
  }
}

static void make_properties(seed_place *place) {
  nc_properties properties = {.smallest = text("ammonite"),
                              .largest = text("nautilus"),
                              .sequence_min = 1,
                              .sequence_max = 200,
                              .entries = 200,
                              .deletes = 3,
                              .key_bytes = 2000,
                              .value_bytes = 9000,
                              .data_blocks = 4,
                              .created_ms = 1700000000000};
  static const char *const names[] = {"plain", "filter", "ranges"};
  for (size_t i = 0; i < 3; i++) {
    uint8_t bytes[256];
    size_t size = nc_properties_encode(&properties, bytes, sizeof bytes);
    seed(place, "properties", names[i], nc_slice(bytes, size));
    properties.filter_lines = 4;
    properties.filter_probes = 6;
    properties.filter_seed = 0x0123456789ABCDEF;
    properties.range_deletes = i == 0 ? 0 : 5;
    properties.ranges = (nc_handle){16384, 96};
  }
}

static void make_ranges(seed_place *place) {
  uint8_t bytes[256];
  uint64_t sequences[] = {NC_SEQUENCE_MAX, 70, 9, 1};
  nc_writer w = nc_writer_over(bytes, sizeof bytes);
  nc_ranges_write(&w, text(""), text("conch"), sequences, 4);
  nc_ranges_write(&w, text("conch"), text("cowrie"), sequences + 2, 1);
  nc_ranges_write(&w, text("nautilus"), text("nautilus/2"), sequences + 1, 3);
  seed(place, "ranges", "three", written(&w));
}

/* --- large values --------------------------------------------------------------------------------------- */

static size_t put_large(uint8_t *to) {
  uint8_t bytes[NC_VALUE_REFERENCE_BYTES_MAX];
  nc_value_reference reference = {.expires_ms = 1700000000000, .name = value_name()};
  return nc_operation_encode(NC_KIND_LARGE, text("key"),
                             nc_slice(bytes, nc_value_reference_encode(&reference, bytes)), to);
}

static void make_value_file(seed_place *place) {
  uint8_t bytes[256];
  nc_value_reference reference = {.name = value_name()};
  nc_value_end end = {.file_size = 12480,
                      .value_size = 4100,
                      .frame_count = 3,
                      .part_bytes = 4096,
                      .manifest = uuid_of(5),
                      .manifest_sequence = 9};
  bytes[0] = 0;
  nc_put_u64(bytes + 1, 0);
  seed(place, "value_file", "reference",
       nc_slice(bytes, 9 + nc_value_reference_encode(&reference, bytes + 9)));
  bytes[0] = 1;
  nc_put_u64(bytes + 1, end.file_size);
  nc_value_end_encode(&end, bytes + 9);
  seed(place, "value_file", "end", nc_slice(bytes, 9 + NC_VALUE_END_BYTES));
  nc_writer w = nc_writer_over(bytes, sizeof bytes); /* the last part, by LZ4: one run of zeros */
  static const uint8_t run[] = {0x1F, 0, 1, 0, 255, 255, 255, 255, 255, 255, 249, 0x50, 0, 0, 0, 0, 0};
  nc_write_u8(&w, 2);
  nc_write_u64(&w, 2);
  nc_write_u32(&w, 2);
  nc_write_u8(&w, 1);
  nc_write_u32(&w, 10000 - 2 * 4096);
  nc_write_bytes(&w, run, sizeof run);
  seed(place, "value_file", "part", written(&w));
  seed(place, "batch", "large", nc_slice(bytes, put_large(bytes)));
}

/* --- logs and manifests --------------------------------------------------------------------------------- */

static size_t put_operations(uint8_t *to) {
  size_t n = nc_operation_encode(NC_KIND_PUT, text("key"), text("value"), to);
  n += nc_operation_encode(NC_KIND_DELETE, text("gone"), nc_slice("", 0), to + n);
  return n + nc_operation_encode(NC_KIND_PUT, nc_slice("", 0), nc_slice("", 0), to + n);
}

static void make_log(seed_place *place) {
  uint8_t bytes[NC_LOG_RECORD_FIXED_BYTES_MAX + 64];
  nc_log_record record = {
      .first_sequence = 42, .synced = {3, 16384}, .manifest = uuid_of(2), .manifest_sequence = 9};
  seed(place, "log_record", "mark", nc_slice(bytes, nc_log_record_encode(&record, NC_FRAME_LOG_MARK, bytes)));
  seed(place, "log_record", "first_start",
       nc_slice(bytes, nc_log_record_encode(&record, NC_FRAME_LOG_START, bytes)));
  record.predecessor.present = true;
  record.predecessor.file = uuid_of(3);
  record.predecessor.number = 2;
  record.predecessor.end = 65536;
  record.predecessor.last_sequence = 41;
  seed(place, "log_record", "start",
       nc_slice(bytes, nc_log_record_encode(&record, NC_FRAME_LOG_START, bytes)));
  record.count = 3;
  size_t size = nc_log_record_encode(&record, NC_FRAME_LOG_GROUP, bytes);
  seed(place, "log_record", "group", nc_slice(bytes, size + put_operations(bytes + size)));
  record.first_sequence = NC_SEQUENCE_MAX; /* the last write of all: one more is too many */
  record.count = 1;
  size = nc_log_record_encode(&record, NC_FRAME_LOG_GROUP, bytes);
  size += nc_operation_encode(NC_KIND_PUT, text("key"), text("value"), bytes + size);
  seed(place, "log_record", "last_group", nc_slice(bytes, size));
  seed(place, "batch", "three", nc_slice(bytes, put_operations(bytes)));
  seed(place, "batch", "expiring",
       nc_slice(bytes, nc_operation_encode_expiring(text("key"), text("value"), 1700000000000, bytes)));
  seed(place, "batch", "range",
       nc_slice(bytes, nc_operation_encode(NC_KIND_RANGE_DELETE, text("from"), text("to"), bytes)));
}

static void make_manifest(seed_place *place) {
  uint8_t bytes[1024];
  nc_table_state state = {12, 5000, 3};
  nc_segment_record segment = {.number = 5,
                               .file = uuid_of(1),
                               .origin_table = uuid_of(2),
                               .size = 65536,
                               .run = 4,
                               .level = 1,
                               .sequence_min = 1,
                               .sequence_max = 100,
                               .entries = 90,
                               .smallest = text("a"),
                               .largest = text("z")};
  nc_log_name log = {.number = 6, .file = uuid_of(3)};
  nc_writer w = nc_writer_over(bytes, sizeof bytes);
  nc_edit_begin(&w, 1, NC_EDIT_SNAPSHOT | NC_EDIT_SNAPSHOT_END);
  nc_edit_add_state(&w, &state);
  nc_edit_add_segment(&w, &segment);
  nc_edit_add_log(&w, &log);
  seed(place, "manifest_edit", "snapshot", written(&w));
  w = nc_writer_over(bytes, sizeof bytes);
  nc_edit_begin(&w, 300, 0);
  nc_edit_remove_segment(&w, 5);
  nc_edit_drop_log(&w, 6);
  nc_edit_add_state(&w, &state);
  seed(place, "manifest_edit", "commit", written(&w));
  nc_value_name value = value_name();
  w = nc_writer_over(bytes, sizeof bytes);
  nc_edit_begin(&w, 301, 0);
  nc_edit_add_value(&w, &value);
  nc_edit_remove_value(&w, 8);
  seed(place, "manifest_edit", "values", written(&w));
  segment.level = UINT32_MAX; /* one bit more is too much */
  w = nc_writer_over(bytes, sizeof bytes);
  nc_edit_begin(&w, UINT64_MAX, 0);
  nc_edit_add_segment(&w, &segment);
  seed(place, "manifest_edit", "limits", written(&w));
  segment.flags = NC_SEGMENT_LARGEST_EXCLUDED | NC_SEGMENT_HOLDS_RANGES;
  w = nc_writer_over(bytes, sizeof bytes);
  nc_edit_begin(&w, 301, 0);
  nc_edit_add_segment(&w, &segment);
  seed(place, "manifest_edit", "ranges", written(&w));
  segment.flags = NC_SEGMENT_ONE_SEQUENCE;
  segment.sequence_min = segment.sequence_max;
  w = nc_writer_over(bytes, sizeof bytes);
  nc_edit_begin(&w, 302, 0);
  nc_edit_add_segment(&w, &segment);
  seed(place, "manifest_edit", "loaded", written(&w));
  segment.flags =
      NC_SEGMENT_HOLDS_DELETES | NC_SEGMENT_MANY_DELETES | NC_SEGMENT_EXPIRES | NC_SEGMENT_NO_LARGE;
  segment.sequence_min = 1;
  segment.half_expired_ms = 1700000000000;
  segment.all_expired_ms = 1700000000001;
  w = nc_writer_over(bytes, sizeof bytes);
  nc_edit_begin(&w, 303, 0);
  nc_edit_add_segment(&w, &segment);
  seed(place, "manifest_edit", "expires", written(&w));
}

/* --- keys ----------------------------------------------------------------------------------------------- */

static void make_current(seed_place *place) {
  uint8_t bytes[NC_CURRENT_BYTES];
  nc_current current = {.table = uuid_of(1),
                        .manifest = uuid_of(2),
                        .manifest_number = 4,
                        .epoch = 2,
                        .kek_id = uuid_of(3),
                        .kek_version_min = 1};
  nc_current_encode(&current, bytes);
  memset(bytes + NC_CURRENT_MAC_OFFSET, 0x5A, NC_MAC_BYTES);
  seed(place, "current", "plain", nc_slice(bytes, sizeof bytes));
}

static void seed_key_file(seed_place *place, const char *name, const nc_key_file *file) {
  uint8_t bytes[4096];
  size_t body = nc_key_file_encode_body(file, bytes, sizeof bytes);
  size_t size = nc_key_file_encode_end(file, bytes, body, sizeof bytes);
  FUZZ_REQUIRE(body != 0 && size != 0);
  seed(place, "key_file", name, nc_slice(bytes, size));
}

static void make_key_file(seed_place *place) {
  static nc_key_file file;
  file = (nc_key_file){
      .generation = 8, .table = uuid_of(1), .version_count = 1, .wrap_count = 1, .mac_count = 1};
  file.versions[0] = (nc_key_version){uuid_of(2), 2, NC_KEY_ACTIVE, 1700000000000, {0}};
  file.wraps[0] =
      (nc_key_wrap){0, text("local"), text("local:/keys"), text(""), text(""), text(""), text("sealed")};
  file.macs[0].kek_id = uuid_of(2);
  seed_key_file(place, "one_version", &file);
  file.versions[1] = (nc_key_version){uuid_of(3), 3, NC_KEY_RETIRING, 1700000000001, {0}};
  file.wraps[1] = (nc_key_wrap){0,          text("aws"),  text("aws:alias/a"), text("eu-west-1"),
                                text("v1"), text("role"), text("sealed too")};
  file.wraps[2] =
      (nc_key_wrap){1, text("local"), text("local:/keys"), text(""), text(""), text(""), text("sealed")};
  file.macs[1].kek_id = uuid_of(3);
  file.version_count = file.mac_count = 2;
  file.wrap_count = 3;
  seed_key_file(place, "two_versions", &file);
  file.wrap_count = NC_KEY_WRAPS_MAX; /* as small as they can be: a flipped bit makes one wrap more */
  for (uint32_t i = 0; i < file.wrap_count; i++)
    file.wraps[i] = (nc_key_wrap){
        i < file.wrap_count / 2 ? 0 : 1, text(""), text("u"), text(""), text(""), text(""), text("c")};
  seed_key_file(place, "limits", &file);
}

static void make_catalogue(seed_place *place) {
  uint8_t bytes[1024];
  nc_uuid table = uuid_of(1);
  nc_catalogue_record record = {.life = NC_TABLE_LIVE,
                                .name = text("shells"),
                                .created_ms = 1700000000000,
                                .compression = 2,
                                .block_bytes = 4096,
                                .filter_bits_per_key = 10,
                                .current.pin = {uuid_of(2), 1, {0}},
                                .key_file_generation = 3};
  nc_catalogue_key(&table, bytes);
  seed(place, "catalogue_record", "key", nc_slice(bytes, NC_CATALOGUE_KEY_BYTES));
  seed(place, "catalogue_record", "plain",
       nc_slice(bytes, nc_catalogue_record_encode(&record, bytes, sizeof bytes)));
  record.filter_bits_per_key = UINT32_MAX;
  record.has_pending = true;
  record.pending.pin = (nc_kek_pin){uuid_of(2), 2, {0}};
  record.current.spec_count = 2;
  record.current.specs[0] = (nc_key_spec_record){text("local:/keys"), text(""), text("")};
  record.current.specs[1] = (nc_key_spec_record){text("aws:alias/a"), text("eu-west-1"), text("role")};
  seed(place, "catalogue_record", "pending",
       nc_slice(bytes, nc_catalogue_record_encode(&record, bytes, sizeof bytes)));
  record.current.spec_count = NACRE_KEY_SPECS_MAX;
  for (uint32_t i = 0; i < NACRE_KEY_SPECS_MAX; i++) record.current.specs[i] = record.current.specs[0];
  record.pending.spec_count = 1;
  record.pending.specs[0] = record.current.specs[0];
  seed(place, "catalogue_record", "limits",
       nc_slice(bytes, nc_catalogue_record_encode(&record, bytes, sizeof bytes)));
  record.has_pending = false;
  record.current.spec_count = 0;
  record.large_value_bytes = 4096;
  seed(place, "catalogue_record", "large",
       nc_slice(bytes, nc_catalogue_record_encode(&record, bytes, sizeof bytes)));
  record.segment_bytes = NACRE_SEGMENT_BYTES_MAX;
  record.level_ratio = NACRE_LEVEL_RATIO_MAX;
  seed(place, "catalogue_record", "tree",
       nc_slice(bytes, nc_catalogue_record_encode(&record, bytes, sizeof bytes)));
}

static void make_keyring(seed_place *place) {
  uint8_t bytes[NC_KEYRING_BYTES_MAX], sealed[NC_LOCAL_WRAP_BYTES];
  nc_keyring ring = {.key_count = 2};
  for (uint8_t i = 0; i < 2; i++) {
    ring.keys[i].id = uuid_of(i);
    ring.keys[i].created_ms = 1700000000000 + i;
    memset(ring.keys[i].key, 0x70 + i, NC_ROOT_KEY_BYTES);
  }
  seed(place, "keyring", "two_keys", nc_slice(bytes, nc_keyring_encode(&ring, bytes)));
  static const uint8_t salt[NC_KEYRING_SALT_BYTES] = {1};
  memset(bytes, 0, sizeof bytes); /* nothing is sealed: commitment and tag stay what they are */
  (void)nc_keyring_lay_out(&ring, (nc_scrypt_cost){.log2_n = 17, .r = 8, .p = 1}, salt, bytes);
  seed(place, "keyring", "protected", nc_slice(bytes, nc_keyring_finish(ring.key_count, bytes)));
  uint8_t too_many[NC_KEYRING_BYTES_MAX + 56] = {0}; /* one key more than fits */
  ring.key_count = NC_KEYRING_KEYS_MAX;
  seed(place, "keyring", "full", nc_slice(too_many, nc_keyring_encode(&ring, too_many)));
  seed(place, "keyring", "too_many", nc_slice(too_many, sizeof too_many));
  nc_local_wrap wrap = {.key_id = uuid_of(1)};
  nc_local_wrap_encode(&wrap, sealed);
  seed(place, "keyring", "wrap", nc_slice(sealed, sizeof sealed));
}

int main(int argc, char **argv) {
  seed_place place = seed_begin(argc, argv);
  static void (*const makers[])(seed_place *) = {
      make_coding,  make_compress, make_header,     make_frame,   make_block,     make_index,
      make_filter,  make_footer,   make_properties, make_ranges,  make_log,       make_manifest,
      make_current, make_key_file, make_catalogue,  make_keyring, make_value_file};
  for (size_t i = 0; i < sizeof makers / sizeof makers[0]; i++) makers[i](&place);
  return seed_end(&place);
}
