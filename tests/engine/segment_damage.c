/* SPDX-License-Identifier: Apache-2.0
 *
 * segment: damage, and other files in its place: the right status, and what is not touched by it still reads.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "frame.h"
#include "segments.h"

static floor_fixture f;
static entry_list list;
static nc_segment_record record;
static nc_segment *segment;
static char path[PATH_BYTES];
static nacre_error err;

static void setup(void) {
  test_random random = {51};
  floor_open(&f);
  list_random(&list, &random, 300, 200, 60);
  nc_segment_params params = segment_params(&f);
  segment_write(&f, &params, &list, &record);
  segment_path(&f, params.number, path);
  segment = segment_of(&f, &record);
}
static void teardown(void) {
  nc_segment_unref(segment);
  list_free(&list);
  floor_close(&f);
}
TestSuite(segment_damage, .init = setup, .fini = teardown);

/* The segment as a new open finds it. */
static void forget(void) {
  nc_cache_forget(f.shared.cache, NULL);
  nc_segment_unref(segment);
  segment = segment_of(&f, &record);
}

static nacre_status get(size_t i) {
  nc_entry entry;
  nc_pin *pin = NULL;
  bool found;
  const nc_entry *wanted = &list.entries[i];
  nacre_status status =
      nc_segment_get(segment, wanted->key, wanted->sequence, false, &found, &entry, &pin, &err);
  if (status != NACRE_OK) return status;
  require(found && entry.sequence == wanted->sequence && nc_slice_equal(entry.value, wanted->value));
  nc_pin_unref(pin);
  return NACRE_OK;
}

/* A frame of the file with a new, right CRC: what one makes of it who knows the format but not the key. */
static void mend_crc(uint64_t offset, size_t size) {
  size_t file_size;
  uint8_t *bytes = file_load(path, &file_size);
  require(offset + size <= file_size);
  nc_frame_finish(bytes + offset);
  file_store(path, bytes, file_size);
  free(bytes);
}

Test(segment_damage, a_missing_file) { /* [M8] */
  cr_assert_eq(remove(path), 0);
  must_fail(nc_segment_open(segment, &err), NC_E_SEGMENT_MISSING);
  cr_expect_not_null(strstr(err.file, "00000000000000000007.seg"));
}

Test(segment_damage, a_cut_file_is_refused_at_every_length) {
  size_t size;
  uint8_t *bytes = file_load(path, &size);
  for (size_t length = 0; length < size; length += length < 9000 ? 97 : 16) {
    file_store(path, bytes, length);
    forget();
    nacre_status status = nc_segment_open(segment, &err);
    cr_assert_eq(status, NACRE_CORRUPT, "cut to %zu bytes: %s", length, nacre_status_name(status));
  }
  free(bytes);
}

Test(segment_damage, a_longer_file_is_refused) {
  size_t size;
  uint8_t *bytes = file_load(path, &size), *longer = test_alloc(size + 32);
  memcpy(longer, bytes, size);
  file_store(path, longer, size + 32);
  must_fail(nc_segment_open(segment, &err), NC_E_FOOTER_LENGTH);
  free(bytes);
  free(longer);
}

Test(segment_damage, another_segment_in_its_place_is_refused) {
  nc_segment_record other;
  nc_segment_params params = segment_params(&f);
  char other_path[PATH_BYTES];
  params.number = 8;
  segment_write(&f, &params, &list, &other);
  segment_path(&f, 8, other_path);
  cr_assert_eq(rename(other_path, path), 0);
  must_fail(nc_segment_open(segment, &err), NC_E_FILE_IDENTITY);
}

Test(segment_damage, a_segment_of_the_same_number_in_its_place_is_refused) {
  nc_segment_record other;
  nc_segment_params params = segment_params(&f);
  cr_assert_eq(remove(path), 0);
  segment_write(&f, &params, &list, &other);
  must_fail(nc_segment_open(segment, &err), NC_E_FILE_IDENTITY);
}

/* The file is the one that was named, but what it ends with is not what was named. [M8] */
Test(segment_damage, another_footer_than_was_named_is_refused) {
  record.last_tag[5] ^= 1;
  forget();
  must_fail(nc_segment_open(segment, &err), NC_E_SEGMENT_REPLACED);
}

Test(segment_damage, a_file_of_a_later_epoch_is_rolled_back) { /* [C6] */
  nc_segment_record later;
  nc_segment_params params = segment_params(&f);
  params.number = 9;
  params.epoch = 2;
  segment_write(&f, &params, &list, &later);
  nc_segment *s = segment_of(&f, &later); /* made with epoch_max 1 */
  must_fail(nc_segment_open(s, &err), NC_E_FILE_EPOCH);
  nc_segment_unref(s);
}

Test(segment_damage, one_bad_header_slot_is_survived_and_two_are_not) {
  file_flip(path, 100);
  must(nc_segment_open(segment, &err));
  file_flip(path, 4096 + 100);
  forget();
  must_fail(nc_segment_open(segment, &err), NC_E_HEADER_CRC);
}

Test(segment_damage, one_bad_data_block_leaves_the_others_readable) {
  file_flip(path, NC_FRAMES_OFFSET + 40);
  must(nc_segment_open(segment, &err));
  must_fail(get(0), NC_E_FRAME_CRC);
  cr_expect_eq(err.offset, NC_FRAMES_OFFSET);
  cr_expect_not_null(strstr(err.file, ".seg"));
  size_t good = 0;
  for (size_t i = 0; i < list.count; i++) good += get(i) == NACRE_OK;
  cr_expect(good > list.count * 8 / 10 && good < list.count, "%zu of %zu", good, list.count);
  nc_cursor *c;
  must(nc_segment_cursor(segment, &(nc_travel){0}, &c, &err));
  must_fail(nc_cursor_first(c, &err), NC_E_FRAME_CRC);
  cr_expect_not(c->valid);
  must(nc_cursor_last(c, &err));
  size_t seen = 0;
  nacre_status status = NACRE_OK;
  for (; status == NACRE_OK && c->valid; seen++) status = nc_cursor_prev(c, &err);
  cr_expect_eq(status, NACRE_CORRUPT, "it does not end as if that were all");
  cr_expect(seen >= good);
  nc_cursor_close(c);
}

Test(segment_damage, a_data_block_with_a_mended_checksum_is_tampering) {
  file_flip(path, NC_FRAMES_OFFSET + 40);
  mend_crc(NC_FRAMES_OFFSET, 64);
  must_fail(get(0), NC_E_FRAME_TAG);
}

/* Every byte of the file behind the header: whatever the bit, no read is silently wrong. */
Test(segment_damage, a_flipped_bit_anywhere_is_an_error_or_harmless) {
  size_t size;
  uint8_t *bytes = file_load(path, &size);
  free(bytes);
  for (uint64_t at = NC_FRAMES_OFFSET; at < size; at += 3) {
    file_flip(path, at);
    forget();
    bool refused = nc_segment_open(segment, &err) != NACRE_OK;
    for (size_t i = 0; i < list.count && !refused; i += 5) refused = get(i) != NACRE_OK;
    if (refused) cr_assert(err.status == NACRE_CORRUPT || err.status == NACRE_TAMPERED, "%s", err.text);
    file_flip(path, at);
  }
  forget();
  for (size_t i = 0; i < list.count; i++) must(get(i));
}

Test(segment_damage, each_part_is_refused_by_name) {
  must(nc_segment_open(segment, &err));
  const nc_footer footer = *nc_segment_footer(segment);
  const uint64_t parts[] = {footer.filter_offset, footer.index_root.offset, footer.properties.offset,
                            footer.file_size - nc_frame_size(NC_FOOTER_BYTES)};
  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
    file_flip(path, parts[i] + NC_FRAME_HEADER_BYTES + 3);
    forget();
    must_fail(nc_segment_open(segment, &err), NC_E_FRAME_CRC);
    cr_expect_eq(err.offset, parts[i]);
    file_flip(path, parts[i] + NC_FRAME_HEADER_BYTES + 3);
    file_flip(path, parts[i] + 4);
    forget();
    must_fail(nc_segment_open(segment, &err), NC_E_FRAME_CHECK);
    file_flip(path, parts[i] + 4);
  }
}

/* Two frames of equal size that change places do not authenticate: their addresses are part of their
 * nonces. */
Test(segment_damage, swapped_blocks_are_refused) {
  list_free(&list);
  cr_assert_eq(remove(path), 0);
  uint8_t value[900];
  memset(value, 'v', sizeof value);
  for (uint64_t i = 0; i < 6; i++) {
    char key[2] = {(char)('a' + i), 0};
    list_add(&list, text(key), i + 1, NC_KIND_PUT, nc_slice(value, sizeof value));
  }
  nc_segment_params params = segment_params(&f);
  segment_write(&f, &params, &list, &record);
  forget();
  size_t size, frame = 0;
  uint8_t *bytes = file_load(path, &size), kept[4096];
  frame = nc_frame_size(nc_get_u32(bytes + NC_FRAMES_OFFSET));
  cr_assert(frame < sizeof kept &&
            nc_get_u32(bytes + NC_FRAMES_OFFSET) == nc_get_u32(bytes + NC_FRAMES_OFFSET + frame));
  memcpy(kept, bytes + NC_FRAMES_OFFSET, frame);
  memcpy(bytes + NC_FRAMES_OFFSET, bytes + NC_FRAMES_OFFSET + frame, frame);
  memcpy(bytes + NC_FRAMES_OFFSET + frame, kept, frame);
  file_store(path, bytes, size);
  free(bytes);
  must_fail(get(0), NC_E_FRAME_TAG);
  must(get(5));
}
