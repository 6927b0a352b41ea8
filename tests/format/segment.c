/* SPDX-License-Identifier: Apache-2.0
 *
 * What leads through a segment besides its blocks: handles, filter, footer, properties.
 */
#include <stdio.h>
#include <stdlib.h>

#include "entry.h"
#include "filter.h"
#include "footer.h"
#include "frame.h"
#include "header.h"
#include "support.h"

/* --- handles ------------------------------------------------------------------------------------------------------- */

Test(index, handles_come_back) {
  static const nc_handle handles[] = {{NC_FRAMES_OFFSET, 32},
                                      {NC_FILE_BYTES_MAX - NC_FRAME_BYTES_MAX, NC_FRAME_BYTES_MAX},
                                      {123456 * 16, 4096}};
  for (size_t i = 0; i < ARRAY_LENGTH(handles); i++) {
    uint8_t bytes[NC_HANDLE_VARINT_BYTES_MAX];
    nc_handle decoded;
    size_t size = nc_handle_encode(handles[i], bytes);
    assert_ok(nc_handle_decode(nc_slice(bytes, size), &decoded, NULL));
    cr_assert(decoded.offset == handles[i].offset && decoded.size == handles[i].size);
    assert_ok(nc_handle_check(decoded, NC_FILE_BYTES_MAX, NULL));
  }
}

static bool decodes_handle(nacre_slice bytes) {
  nc_handle handle;
  return nc_handle_decode(bytes, &handle, NULL) == NACRE_OK;
}

Test(index, refuses_what_is_no_handle) {
  uint8_t bytes[2 * NC_VARINT_BYTES_MAX];
  nacre_error err;
  nc_handle handle;
  size_t size = nc_handle_encode((nc_handle){1 << 20, 8192}, bytes);
  refuses_every_other_length(nc_slice(bytes, size), decodes_handle);
  flips_every_bit(nc_slice(bytes, size), decodes_handle, false);
  size = nc_put_varint(bytes, NC_FILE_BYTES_MAX / 16 + 1);
  size += nc_put_varint(bytes + size, 2);
  assert_refused(nc_handle_decode(nc_slice(bytes, size), &handle, &err), NC_E_INDEX_HANDLE);
  size = nc_put_varint(bytes, 1024);
  size += nc_put_varint(bytes + size, UINT64_MAX);
  assert_refused(nc_handle_decode(nc_slice(bytes, size), &handle, &err), NC_E_INDEX_HANDLE);
}

Test(index, refuses_handles_outside_the_file) {
  nacre_error err;
  static const nc_handle bad[] = {{8176, 64}, {8200, 64},   {8192, 40}, {8192, 16},
                                  {8192, 0},  {8192, 2000}, {9984, 32}, {UINT64_MAX - 15, 32}};
  for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
    assert_refused(nc_handle_check(bad[i], 9984, &err), NC_E_HANDLE_RANGE);
  assert_ok(nc_handle_check((nc_handle){8192, 1792}, 9984, NULL));
  assert_refused(
      nc_handle_check((nc_handle){8192, (uint32_t)NC_FRAME_BYTES_MAX + 16}, NC_FILE_BYTES_MAX, &err),
      NC_E_HANDLE_RANGE);
}

/* --- filter -------------------------------------------------------------------------------------------------------- */

static uint64_t hash_of(uint64_t seed, uint64_t number) {
  char key[32];
  snprintf(key, sizeof key, "user%012llu", (unsigned long long)number);
  return nc_filter_hash(seed, text(key));
}

static bool may_hold(const uint8_t *lines, uint64_t line_count, uint32_t probes, uint64_t hash) {
  return nc_filter_line_matches(lines + nc_filter_line(hash, line_count) * NC_FILTER_LINE_BYTES, probes,
                                hash);
}

static double false_positives(uint64_t seed, uint64_t keys, uint32_t bits_per_key) {
  uint64_t line_count, wrong = 0, asked = 200000;
  uint32_t probes;
  nc_filter_shape(keys, bits_per_key, &line_count, &probes);
  uint8_t *lines = calloc(line_count, NC_FILTER_LINE_BYTES);
  for (uint64_t i = 0; i < keys; i++) nc_filter_add(lines, line_count, probes, hash_of(seed, i));
  for (uint64_t i = 0; i < keys; i++) cr_assert(may_hold(lines, line_count, probes, hash_of(seed, i)));
  for (uint64_t i = 0; i < asked; i++) wrong += may_hold(lines, line_count, probes, hash_of(seed, keys + i));
  free(lines);
  return (double)wrong / (double)asked;
}

Test(filter, finds_every_key_and_few_others, .timeout = 60) {
  static const struct {
    uint32_t bits;
    double most;
  } cases[] = {{4, 0.18}, {8, 0.032}, {10, 0.015}, {16, 0.003}, {32, 0.0004}};
  for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
    for (uint64_t seed = 0; seed < 3; seed++) {
      double rate = false_positives(seed * 0x9E3779B97F4A7C15, 100000, cases[i].bits);
      cr_assert_lt(rate, cases[i].most, "%u bits a key, seed %llu: %f", cases[i].bits,
                   (unsigned long long)seed, rate);
    }
  cr_assert_lt(false_positives(1, 100, 10), 0.04);
}

Test(filter, has_a_line_and_a_probe_for_every_shape) {
  for (uint32_t bits = 0; bits <= NC_FILTER_BITS_PER_KEY_MAX; bits++)
    for (uint64_t keys = 0; keys < 1000; keys += 111) {
      uint64_t lines;
      uint32_t probes;
      nc_filter_shape(keys, bits, &lines, &probes);
      cr_assert(lines >= 1 && lines * 512 >= keys * bits && probes >= 1 && probes <= 16);
    }
}

/* Flipping any bit of a key flips each bit of its hash about half of the time, whatever the length. */
Test(filter, its_hash_avalanches) {
  random_source random = random_begin();
  for (size_t size = 1; size <= 33; size += 4) {
    uint64_t flips[64] = {0}, trials = 0;
    for (int round = 0; round < 200; round++) {
      uint8_t key[40];
      uint64_t seed = random_next(&random);
      random_fill(&random, key, size);
      uint64_t before = nc_filter_hash(seed, nc_slice(key, size));
      for (size_t bit = 0; bit < 8 * size; bit += 5, trials++) {
        key[bit / 8] = (uint8_t)(key[bit / 8] ^ 1u << bit % 8);
        uint64_t changed = before ^ nc_filter_hash(seed, nc_slice(key, size));
        key[bit / 8] = (uint8_t)(key[bit / 8] ^ 1u << bit % 8);
        for (int i = 0; i < 64; i++) flips[i] += changed >> i & 1;
      }
    }
    for (int i = 0; i < 64; i++) {
      double share = (double)flips[i] / (double)trials;
      cr_assert(share > 0.35 && share < 0.65, "bit %d, keys of %zu bytes: %f", i, size, share);
    }
  }
}

Test(filter, its_hash_depends_on_length_and_seed) {
  static const uint8_t zeros[64] = {0};
  uint64_t seen[65];
  for (size_t size = 0; size <= 64; size++) {
    seen[size] = nc_filter_hash(7, nc_slice(zeros, size));
    cr_assert_neq(seen[size], nc_filter_hash(8, nc_slice(zeros, size)));
    for (size_t i = 0; i < size; i++) cr_assert_neq(seen[i], seen[size]);
  }
}

/* Differences that cancel in every seed of a hash without keyed products: the top bits of one word against the next, and a
 * length against the word that it is mixed into. */
Test(filter, nobody_collides_keys_for_every_seed) {
  for (uint64_t seed = 0; seed < 200; seed++) {
    uint8_t a[16] = {0}, b[16] = {0};
    b[7] = 0x80;
    b[11] = 0x80, b[15] = 0x80;
    cr_assert_neq(nc_filter_hash(seed, nc_slice(a, 16)), nc_filter_hash(seed, nc_slice(b, 16)));
    uint8_t seven[8] = {8 ^ 7}, eight[8] = {0};
    cr_assert_neq(nc_filter_hash(seed, nc_slice(seven, 7)), nc_filter_hash(seed, nc_slice(eight, 8)));
  }
}

/* Fixed for ever: files hold lines made by these hashes. The specification gives the same values. */
Test(filter, gives_the_vectors_of_the_specification) {
  static const struct {
    uint64_t seed;
    const char *key;
    uint64_t hash, line_of_1000;
    uint32_t bits[9];
  } vectors[] = {
      {0, "", 0x16D1177607A4DE65, 89, {119, 423, 106, 487, 102, 181, 104, 69, 477}},
      {1, "nacre", 0x839061274E649D1B, 513, {405, 173, 371, 290, 247, 64, 505, 114, 407}},
      {0x0123456789ABCDEF,
       "mother of pearl",
       0x6CD5B004AD5ABB5A,
       425,
       {500, 67, 307, 418, 378, 297, 262, 153, 112}},
  };
  for (size_t i = 0; i < ARRAY_LENGTH(vectors); i++) {
    uint64_t hash = nc_filter_hash(vectors[i].seed, text(vectors[i].key));
    cr_assert_eq(hash, vectors[i].hash, "%016llX", (unsigned long long)hash);
    cr_assert_eq(nc_filter_line(hash, 1000), vectors[i].line_of_1000);
    uint8_t line[NC_FILTER_LINE_BYTES] = {0}, expected[NC_FILTER_LINE_BYTES] = {0};
    nc_filter_add(line, 1, 9, hash);
    for (size_t j = 0; j < 9; j++) {
      uint32_t bit = vectors[i].bits[j];
      expected[bit / 8] = (uint8_t)(expected[bit / 8] | 1u << bit % 8);
    }
    cr_assert_arr_eq(line, expected, sizeof line);
  }
}

Test(filter, counts_its_frames) {
  nacre_error err;
  assert_ok(nc_filter_check(0, 0, 0, &err));
  assert_ok(nc_filter_check(1, 6, 1, &err));
  assert_ok(nc_filter_check(NC_FILTER_FRAME_LINES, 16, 1, &err));
  assert_ok(nc_filter_check(NC_FILTER_FRAME_LINES + 1, 1, 2, &err));
  assert_refused(nc_filter_check(NC_FILTER_FRAME_LINES + 1, 1, 1, &err), NC_E_FILTER_SHAPE);
  assert_refused(nc_filter_check(0, 1, 0, &err), NC_E_FILTER_SHAPE);
  assert_refused(nc_filter_check(0, 0, 1, &err), NC_E_FILTER_SHAPE);
  assert_refused(nc_filter_check(1, 0, 1, &err), NC_E_FILTER_SHAPE);
  assert_refused(nc_filter_check(1, 17, 1, &err), NC_E_FILTER_SHAPE);
  assert_refused(nc_filter_check(UINT64_MAX, 6, 1, &err), NC_E_FILTER_SHAPE);
  cr_assert_eq(nc_filter_frame_lines(NC_FILTER_FRAME_LINES + 5, 0), NC_FILTER_FRAME_LINES);
  cr_assert_eq(nc_filter_frame_lines(NC_FILTER_FRAME_LINES + 5, 1), 5);
  cr_assert_eq(nc_filter_frame_lines(NC_FILTER_FRAME_LINES + 5, 2), 0);
}

/* --- footer -------------------------------------------------------------------------------------------------------- */

enum { FILE_SIZE = 8192 + 4096 + 128 };

static nc_footer sample_footer(void) {
  nc_footer f = {.file_size = FILE_SIZE,
                 .frame_count = 5,
                 .properties = {8192 + 1024, 256},
                 .index_root = {8192 + 512, 512},
                 .index_levels = 1,
                 .filter_frames = 1,
                 .filter_offset = 8192 + 2048,
                 .manifest_sequence = 12,
                 .load = 31};
  f.manifest = uuid_of(0xAB);
  return f;
}

static nacre_status decode_footer(const nc_footer *footer, nacre_error *err) {
  uint8_t bytes[NC_FOOTER_BYTES];
  nc_footer decoded;
  nc_footer_encode(footer, bytes);
  return nc_footer_decode(nc_slice(bytes, sizeof bytes), FILE_SIZE, &decoded, err);
}

static bool decodes_footer(nacre_slice bytes) {
  nc_footer footer;
  return nc_footer_decode(bytes, FILE_SIZE, &footer, NULL) == NACRE_OK;
}

Test(footer, comes_back) {
  uint8_t bytes[NC_FOOTER_BYTES], again[NC_FOOTER_BYTES];
  nc_footer footer = sample_footer(), decoded;
  nc_footer_encode(&footer, bytes);
  assert_ok(nc_footer_decode(nc_slice(bytes, sizeof bytes), FILE_SIZE, &decoded, NULL));
  nc_footer_encode(&decoded, again);
  cr_assert_arr_eq(bytes, again, sizeof bytes);
  cr_assert_eq(decoded.properties.offset, footer.properties.offset);
  cr_assert_eq(decoded.manifest_sequence, 12);
  cr_assert(decoded.load == 31 && nc_get_u64(bytes + 80) == 31);
  refuses_every_other_length(nc_slice(bytes, sizeof bytes), decodes_footer);
  flips_every_bit(nc_slice(bytes, sizeof bytes), decodes_footer, false);
}

Test(footer, refuses_what_does_not_fit_the_file) {
  nacre_error err;
  nc_footer f = sample_footer();
  f.file_size += 16;
  assert_refused(decode_footer(&f, &err), NC_E_FOOTER_LENGTH);
  f = sample_footer(), f.index_levels = 3;
  assert_refused(decode_footer(&f, &err), NC_E_FOOTER_SHAPE);
  f = sample_footer(), f.frame_count = 3;
  assert_refused(decode_footer(&f, &err), NC_E_FOOTER_SHAPE);
  f = sample_footer(), f.frame_count = UINT64_MAX;
  assert_refused(decode_footer(&f, &err), NC_E_FOOTER_SHAPE);
  f = sample_footer(), f.filter_offset = 8;
  assert_refused(decode_footer(&f, &err), NC_E_FOOTER_SHAPE);
  f = sample_footer(), f.filter_offset = FILE_SIZE - 128; /* the footer itself */
  assert_refused(decode_footer(&f, &err), NC_E_FOOTER_SHAPE);
  f = sample_footer(), f.filter_frames = 0;
  assert_refused(decode_footer(&f, &err), NC_E_FOOTER_SHAPE);
  f = sample_footer(), f.properties.size = 4096;
  assert_refused(decode_footer(&f, &err), NC_E_HANDLE_RANGE);
  f = sample_footer(), f.index_root.offset = FILE_SIZE - 128; /* the footer itself */
  f.index_root.size = 128;
  assert_refused(decode_footer(&f, &err), NC_E_HANDLE_RANGE);
}

Test(footer, refuses_bytes_that_are_not_zero) {
  uint8_t bytes[NC_FOOTER_BYTES];
  nc_footer footer = sample_footer();
  for (size_t at = 88; at < NC_FOOTER_BYTES; at++) {
    nc_footer_encode(&footer, bytes);
    bytes[at] = 1;
    cr_assert(!decodes_footer(nc_slice(bytes, sizeof bytes)));
  }
}

/* --- properties ---------------------------------------------------------------------------------------------------- */

static nc_properties sample_properties(void) {
  return (nc_properties){.smallest = text("a"),
                         .largest = text("zebra"),
                         .sequence_min = 3,
                         .sequence_max = 900,
                         .entries = 100,
                         .deletes = 7,
                         .key_bytes = 500,
                         .value_bytes = 10000,
                         .data_blocks = 4,
                         .filter_lines = 2,
                         .filter_seed = 0xFEDCBA9876543210,
                         .filter_probes = 6,
                         .created_ms = 1700000000000};
}

static bool decodes_properties(nacre_slice bytes) {
  nc_properties properties;
  return nc_properties_decode(bytes, &properties, NULL) == NACRE_OK;
}

static bool accepted(const nc_properties *properties) {
  uint8_t bytes[256];
  size_t size = nc_properties_encode(properties, bytes, sizeof bytes);
  cr_assert_neq(size, 0);
  return decodes_properties(nc_slice(bytes, size));
}

Test(footer, properties_come_back) {
  uint8_t bytes[256], again[256];
  nc_properties properties = sample_properties(), decoded;
  size_t size = nc_properties_encode(&properties, bytes, sizeof bytes);
  assert_ok(nc_properties_decode(nc_slice(bytes, size), &decoded, NULL));
  cr_assert_eq(nc_properties_encode(&decoded, again, sizeof again), size);
  cr_assert_arr_eq(bytes, again, size);
  cr_assert(nc_slice_equal(decoded.largest, text("zebra")));
  refuses_every_other_length(nc_slice(bytes, size), decodes_properties);
  flips_every_bit(nc_slice(bytes, size), decodes_properties, false);
  cr_assert_eq(nc_properties_encode(&properties, bytes, size - 1), 0);
}

Test(footer, refuses_properties_that_contradict_themselves) {
  nc_properties p = sample_properties();
  cr_assert(accepted(&p));
  p = sample_properties(), p.smallest = text("zebras");
  cr_assert(!accepted(&p));
  p = sample_properties(), p.sequence_min = 0; /* only puts are loaded */
  cr_assert(!accepted(&p));
  p = sample_properties(), p.sequence_min = 0, p.deletes = 0;
  cr_assert(accepted(&p));
  p = sample_properties(), p.sequence_min = 901;
  cr_assert(!accepted(&p));
  p = sample_properties(), p.sequence_max = NC_SEQUENCE_MAX + 1;
  cr_assert(!accepted(&p));
  p = sample_properties(), p.deletes = 101;
  cr_assert(!accepted(&p));
  p = sample_properties(), p.data_blocks = 101;
  cr_assert(!accepted(&p));
  p = sample_properties(), p.filter_probes = 0;
  cr_assert(!accepted(&p));
  p = sample_properties(), p.filter_lines = 0;
  cr_assert(!accepted(&p));
}
