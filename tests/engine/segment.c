/* SPDX-License-Identifier: Apache-2.0
 *
 * segment and segment_writer: what is written is read again, whatever its shape.
 */
#include "segment.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "frame.h"
#include "segment_file.h"
#include "segments.h"

static floor_fixture f;
static entry_list list;
static nacre_error err;
static test_random source;

static void setup(void) {
  floor_open(&f);
  source.state = test_seed("segment", 41);
}
static void teardown(void) {
  list_free(&list);
  floor_close(&f);
}
TestSuite(segment, .init = setup, .fini = teardown);

/* Writes the list, reads it back in every way, and removes the file. */
static void round_trip(const nc_segment_params *params) {
  nc_segment_record record;
  segment_write(&f, params, &list, &record);
  cr_expect_eq(record.entries, list.count);
  nc_segment *s = segment_of(&f, &record);
  segment_check(s, &list, &source);
  nc_segment_set_obsolete(s);
  nc_segment_unref(s);
  char path[PATH_BYTES];
  segment_path(&f, params->number, path);
  cr_expect_not(file_is_there(path), "an obsolete segment goes with its last count");
}

Test(segment, random_entries_under_each_compression) {
  static const nc_pack_method methods[] = {NC_PACK_NONE, NC_PACK_LZ4, NC_PACK_ZSTD};
  list_random(&list, &source, 1200, 500, 200);
  for (size_t i = 0; i < 3; i++) {
    nc_segment_params params = segment_params(&f);
    params.method = methods[i];
    round_trip(&params);
  }
}

static uint64_t size_packed(nc_pack_method method, bool where_it_pays) {
  nc_segment_params params = segment_params(&f);
  nc_segment_record record;
  params.block_bytes = 4096;
  params.method = method;
  params.zstd_where_it_pays = where_it_pays;
  segment_write(&f, &params, &list, &record);
  nc_segment *s = segment_of(&f, &record);
  segment_check(s, &list, &source);
  nc_segment_set_obsolete(s);
  nc_segment_unref(s);
  return record.size;
}

/* Digits leave Zstandard much that LZ4 does not see; of what repeats once, behind noise, both make the same. */
Test(segment, zstd_is_taken_where_it_pays) {
  for (int digits = 0; digits < 2; digits++) {
    list_free(&list);
    for (unsigned i = 0; i < 2000; i++) {
      uint8_t value[100];
      char key[16];
      test_random_fill(&source, value, 50);
      memcpy(value + 50, value, 50);
      for (size_t j = 0; digits == 1 && j < sizeof value; j++) value[j] = (uint8_t)('0' + (value[j] ^ j) % 10);
      snprintf(key, sizeof key, "%08u", i);
      list_add(&list, text(key), 1, NC_KIND_PUT, nc_slice(value, sizeof value));
    }
    uint64_t by_lz4 = size_packed(NC_PACK_LZ4, false), by_zstd = size_packed(NC_PACK_ZSTD, false);
    uint64_t chosen = size_packed(NC_PACK_ZSTD, true);
    if (digits == 1) {
      cr_expect(chosen == by_zstd && by_zstd * 8 < by_lz4 * 7, "%d of %d and %d", (int)chosen, (int)by_zstd, (int)by_lz4);
    } else {
      cr_expect(chosen > by_zstd && chosen <= by_lz4, "%d of %d and %d", (int)chosen, (int)by_zstd, (int)by_lz4);
    }
  }
}

Test(segment, random_entries_with_and_without_a_filter) {
  static const uint32_t bits[] = {1, 10, 32, UINT32_MAX};
  list_random(&list, &source, 400, 300, 60);
  for (size_t i = 0; i < sizeof bits / sizeof bits[0]; i++) {
    nc_segment_params params = segment_params(&f);
    params.filter_bits_per_key = bits[i];
    round_trip(&params);
  }
}

Test(segment, random_entries_in_blocks_of_every_size) {
  static const uint32_t sizes[] = {1024, 4096, 65536, 1 << 20};
  list_random(&list, &source, 700, 250, 300);
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    nc_segment_params params = segment_params(&f);
    params.block_bytes = sizes[i];
    params.method = NC_PACK_LZ4;
    round_trip(&params);
  }
}

Test(segment, versions_of_one_key_go_on_over_block_borders) {
  uint8_t value[150];
  memset(value, 'v', sizeof value);
  list_add(&list, text("before"), 5, NC_KIND_PUT, text("x"));
  for (uint64_t i = 1; i <= 600; i++) {
    list_add(&list, text("key"), i * 2, i % 9 == 0 ? NC_KIND_DELETE : NC_KIND_PUT,
             nc_slice(value, i % 9 == 0 ? 0 : 150));
  }
  list_add(&list, text("keys"), 3, NC_KIND_PUT, text("y"));
  list_sort(&list);
  nc_segment_params params = segment_params(&f);
  round_trip(&params);
}

Test(segment, a_single_entry) {
  list_add(&list, text("key"), 1, NC_KIND_PUT, text("value"));
  nc_segment_params params = segment_params(&f);
  round_trip(&params);
}

Test(segment, a_single_delete) {
  list_add(&list, text("key"), 1, NC_KIND_DELETE, text(""));
  nc_segment_params params = segment_params(&f);
  round_trip(&params);
}

Test(segment, the_empty_key_and_empty_values) {
  list_add(&list, text(""), 3, NC_KIND_PUT, text(""));
  list_add(&list, text(""), 2, NC_KIND_DELETE, text(""));
  list_add(&list, text(""), 1, NC_KIND_PUT, text("value"));
  list_add(&list, nc_slice("\0", 1), 4, NC_KIND_PUT, text(""));
  nc_segment_params params = segment_params(&f);
  round_trip(&params);
}

Test(segment, keys_of_64_kib_make_a_two_level_index) {
  uint8_t *key = test_alloc(NACRE_KEY_BYTES_MAX);
  for (uint64_t i = 0; i < 40; i++) {
    test_value_make(key, NACRE_KEY_BYTES_MAX, 1, i / 2, 1);
    key[0] = (uint8_t)(i / 2);
    list_add(&list, nc_slice(key, NACRE_KEY_BYTES_MAX - i % 2), i + 1, NC_KIND_PUT, text("value"));
  }
  free(key);
  list_sort(&list);
  nc_segment_params params = segment_params(&f);
  nc_segment_record record;
  segment_write(&f, &params, &list, &record);
  nc_segment *s = segment_of(&f, &record);
  must(nc_segment_open(s, &err));
  cr_expect_eq(nc_segment_footer(s)->index_levels, 2);
  segment_check(s, &list, &source);
  nc_segment_unref(s);
}

Test(segment, many_small_keys_make_a_two_level_index) {
  for (uint64_t i = 0; i < 6000; i++) {
    char key[300];
    snprintf(key, sizeof key, "%016llx%0270d", (unsigned long long)test_mix(i, 1), 0);
    list_add(&list, text(key), i + 1, NC_KIND_PUT, text("0123456789012345678901234567890123456789"));
  }
  list_sort(&list);
  nc_segment_params params = segment_params(&f);
  params.method = NC_PACK_LZ4;
  nc_segment_record record;
  segment_write(&f, &params, &list, &record);
  nc_segment *s = segment_of(&f, &record);
  must(nc_segment_open(s, &err));
  cr_expect_eq(nc_segment_footer(s)->index_levels, 2);
  cr_expect_eq(nc_segment_properties(s)->entries, 6000);
  segment_check(s, &list, &source);
  nc_segment_unref(s);
}

Test(segment, a_value_of_10_mib_between_small_ones) {
  size_t size = (size_t)10 << 20;
  uint8_t *value = test_alloc(size);
  test_random_fill(&source, value, size);
  list_add(&list, text("a"), 1, NC_KIND_PUT, text("small"));
  list_add(&list, text("b"), 2, NC_KIND_PUT, nc_slice(value, size));
  list_add(&list, text("c"), 3, NC_KIND_PUT, text("small"));
  free(value);
  nc_segment_params params = segment_params(&f);
  params.method = NC_PACK_ZSTD;
  round_trip(&params);
}

Test(segment, is_full_past_its_target) {
  nc_segment_params params = segment_params(&f);
  nc_segment_writer *w;
  must(nc_segment_writer_create(&f.dir, &params, nc_table_keys_active(f.keys), &w, &err));
  uint8_t *value = test_alloc((size_t)8 << 20);
  uint64_t added = 0;
  for (; added < 20 && !nc_segment_writer_full(w); added++) {
    uint8_t key = (uint8_t)added;
    nc_entry entry = {nc_slice(&key, 1), added + 1, NC_KIND_PUT, nc_slice(value, (size_t)8 << 20)};
    must(nc_segment_writer_add(w, &entry, &err));
  }
  free(value);
  cr_expect(added >= 8 && added <= 10, "%llu values of 8 MiB", (unsigned long long)added);
  nc_segment_writer_close(w);
}

Test(segment, a_writer_that_does_not_finish_leaves_no_file) {
  nc_segment_params params = segment_params(&f);
  nc_segment_writer *w;
  must(nc_segment_writer_create(&f.dir, &params, nc_table_keys_active(f.keys), &w, &err));
  nc_entry entry = {text("key"), 1, NC_KIND_PUT, text("value")};
  must(nc_segment_writer_add(w, &entry, &err));
  nc_segment_writer_close(w);
  cr_expect_eq(count_files(f.path, ".seg"), 0);
  nc_segment_writer_close(NULL);
}

Test(segment, a_cursor_keeps_the_segment_and_a_value_its_block) {
  list_random(&list, &source, 50, 50, 50);
  nc_segment_params params = segment_params(&f);
  nc_segment_record record;
  segment_write(&f, &params, &list, &record);
  nc_segment *s = segment_of(&f, &record);
  nc_cursor *c;
  must(nc_segment_cursor(s, &(nc_travel){.no_cache_fill = true}, &c, &err));
  nc_segment_unref(s);
  must(nc_cursor_last(c, &err));
  cr_assert(c->valid);
  nc_pin *pin = c->pin;
  nacre_slice value = c->entry.value;
  nc_pin_ref(pin);
  nc_cursor_close(c);
  cr_expect(nc_slice_equal(value, list.entries[list.count - 1].value));
  nc_pin_unref(pin);
}

Test(segment, reads_fill_the_cache_unless_told_not_to) {
  list_random(&list, &source, 100, 100, 50);
  nc_segment_params params = segment_params(&f);
  nc_segment_record record;
  segment_write(&f, &params, &list, &record);
  nc_segment *s = segment_of(&f, &record);
  nc_entry entry;
  nc_pin *pin;
  bool found;
  must(nc_segment_get(s, list.entries[0].key, NC_SEQUENCE_MAX, true, &found, &entry, &pin, &err));
  nc_pin_unref(pin);
  cr_expect_eq(nc_cache_read_stats(f.shared.cache).blocks, 0);
  must(nc_segment_get(s, list.entries[0].key, NC_SEQUENCE_MAX, false, &found, &entry, &pin, &err));
  nc_pin_unref(pin);
  cr_expect_gt(nc_cache_read_stats(f.shared.cache).blocks, 0);
  nc_segment_unref(s);
}

/* An index may name any frame as any type; what stands in the cache is no way around the look at its header. */
Test(segment, a_cached_block_is_not_given_as_another_type) {
  list_random(&list, &source, 100, 100, 50);
  nc_segment_params params = segment_params(&f);
  nc_segment_record record;
  nc_segment_file *file;
  nc_cached_block *data, *other;
  nc_block_cursor cursor;
  nc_handle handle;
  uint8_t key[NACRE_KEY_BYTES_MAX];
  segment_write(&f, &params, &list, &record);
  nc_segment *s = segment_of(&f, &record);
  must(nc_segment_hold(s, &file, &err));
  nc_block_cursor_init(&cursor, &file->root->block, key);
  must(nc_block_first(&cursor, &err));
  must(nc_handle_decode(cursor.entry.value, &handle, &err));
  must(nc_segment_block(s, file, handle, NC_FRAME_DATA, false, NULL, &data, &err));
  cr_expect_eq(nc_cache_read_stats(f.shared.cache).blocks, 1);
  cr_expect_eq(nc_segment_block(s, file, handle, NC_FRAME_INDEX, false, NULL, &other, &err), NACRE_CORRUPT);
  must(nc_segment_block(s, file, handle, NC_FRAME_DATA, false, NULL, &other, &err));
  cr_expect_eq(other, data);
  nc_pin_unref(&data->pin);
  nc_pin_unref(&other->pin);
  nc_segment_let(s);
  nc_segment_unref(s);
}

/* ---- filters of several frames ------------------------------------------------------------------------- */

enum { FILTER_KEYS = 1100000 }; /* of 32 bits each: more than one frame of lines */

static nacre_slice filter_key(char key[16], unsigned i) {
  snprintf(key, 16, "%08u", i);
  return text(key);
}

static void write_large_filter(const nc_segment_params *params, nc_segment_record *ret_record,
                               char keys[2][16]) {
  nc_segment_writer *w;
  char key[16];
  must(nc_segment_writer_create(&f.dir, params, nc_table_keys_active(f.keys), &w, &err));
  for (unsigned i = 0; i < FILTER_KEYS; i++) {
    nc_entry entry = {filter_key(key, 2 * i), 1, NC_KIND_PUT, text("")};
    must(nc_segment_writer_add(w, &entry, &err));
  }
  must(nc_segment_writer_finish(w, ret_record, &err));
  ret_record->smallest = filter_key(keys[0], 0);
  ret_record->largest = filter_key(keys[1], 2 * (FILTER_KEYS - 1));
  nc_segment_writer_close(w);
}

static bool finds(nc_segment *s, unsigned i) {
  char key[16];
  bool found;
  nc_entry entry;
  nc_pin *pin = NULL;
  must(nc_segment_get(s, filter_key(key, i), 9, false, &found, &entry, &pin, &err));
  nc_pin_unref(pin);
  return found;
}

Test(segment, a_large_filter_comes_through_the_cache_in_frames) {
  nc_cache_destroy(f.shared.cache);
  f.shared.cache_bytes = 64 << 20;
  must(nc_cache_create(f.shared.cache_bytes, &f.shared.cache, &err));
  nc_segment_params params = segment_params(&f);
  params.method = NC_PACK_LZ4;
  params.block_bytes = 4096;
  params.filter_bits_per_key = 32;
  nc_segment_record record;
  char keys[2][16];
  write_large_filter(&params, &record, keys);
  uint64_t before = nc_heap_bytes(f.shared.env->heap);
  nc_segment *s = segment_of(&f, &record);
  must(nc_segment_open(s, &err));
  cr_expect_eq(nc_segment_footer(s)->filter_frames, 2);
  uint64_t opened = nc_heap_bytes(f.shared.env->heap) - before;
  cr_expect(opened < 512 << 10, "%llu bytes for an open segment", (unsigned long long)opened);
  cr_expect_not(finds(s, 1));
  uint64_t one = nc_cache_read_stats(f.shared.cache).bytes;
  for (unsigned i = 0; i < FILTER_KEYS; i += 997) cr_assert(finds(s, 2 * i));
  unsigned wrongly = 0;
  for (unsigned i = 0; i < 20000; i++) {
    uint64_t looked = nc_cache_read_stats(f.shared.cache).hits;
    cr_assert_not(finds(s, 2 * (i * 53 % FILTER_KEYS) + 1));
    wrongly += nc_cache_read_stats(f.shared.cache).hits - looked > 1; /* it went on to the blocks */
  }
  cr_expect(wrongly < 20, "the filter let %u of 20,000 pass", wrongly);
  cr_expect(nc_cache_read_stats(f.shared.cache).bytes > one + (100 << 10));
  nc_segment_set_obsolete(s);
  nc_segment_unref(s);
  cr_expect_eq(nc_cache_read_stats(f.shared.cache).blocks, 0, "its frames have left the cache");
}
