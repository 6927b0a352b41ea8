/* SPDX-License-Identifier: Apache-2.0
 *
 * Value files as they are written, read, damaged, exchanged and forged, without a table around them.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "private_memory.h"
#include "reseal.h"
#include "value_reader.h"
#include "value_writer.h"

static floor_fixture f;
static nacre_error err;
static char path[PATH_BYTES];

static void setup(void) {
  floor_open(&f);
  join(path, f.path, "00000000000000000007.val");
}
static void teardown(void) { floor_close(&f); }
TestSuite(value_file, .init = setup, .fini = teardown, .timeout = 120);

static nc_value_params params_of(nc_pack_method method) {
  return (nc_value_params){
      .table = f.table, .number = 7, .epoch = 1, .manifest_sequence = 3, .method = method};
}

static nacre_status write_value(nc_pack_method method, nacre_slice value, nc_value_name *ret_name) {
  nc_value_params params = params_of(method);
  return nc_value_write(&f.dir, &params, nc_table_keys_active(f.keys), value, ret_name, &err);
}

static nacre_status read_value(const nc_value_name *name, uint64_t offset, void *to, size_t size) {
  nc_value_reader *r;
  NC_TRY(nc_value_open(&f.dir, &f.holder, name, &r, &err));
  nacre_status status = nc_value_read(r, offset, to, size, &err);
  nc_value_close(r);
  return status;
}

static nc_value_name written(nc_pack_method method, uint8_t *value, size_t size) {
  nc_value_name name;
  must(write_value(method, nc_slice(value, size), &name));
  cr_assert_eq(name.value_size, size);
  return name;
}

enum { SIZE = 3 * NC_VALUE_PART_BYTES + 1234 };

Test(value_file, comes_back_whole_and_in_part) {
  test_random random = {test_seed("value_file", 1)};
  uint8_t *value = test_alloc(SIZE), *back = test_alloc(SIZE);
  static const size_t sizes[] = {1, NC_VALUE_PART_BYTES - 1, NC_VALUE_PART_BYTES, NC_VALUE_PART_BYTES + 1,
                                 SIZE};
  for (int method = NC_PACK_NONE; method <= NC_PACK_ZSTD; method++) {
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
      size_t size = sizes[i];
      test_value_make(value, size, 1, i, (uint64_t)method);
      nc_value_name name = written((nc_pack_method)method, value, size);
      must(read_value(&name, 0, back, size));
      cr_assert(memcmp(back, value, size) == 0);
      nc_value_reader *r;
      must(nc_value_open(&f.dir, &f.holder, &name, &r, &err));
      for (int k = 0; k < 40; k++) {
        uint64_t from = test_random_below(&random, size), n = test_random_below(&random, size - from + 1);
        must(nc_value_read(r, from, back, (size_t)n, &err));
        cr_assert(memcmp(back, value + from, (size_t)n) == 0);
      }
      nc_value_close(r);
      cr_assert_eq(remove(path), 0);
    }
  }
  free(value);
  free(back);
}

Test(value_file, is_refused_beyond_the_limit_and_leaves_nothing) {
  nc_value_name name;
  uint8_t byte = 0;
  must_fail(write_value(NC_PACK_NONE, (nacre_slice){&byte, NACRE_VALUE_BYTES_MAX + 1}, &name),
            NC_E_VALUE_TOO_LARGE);
  cr_assert(!file_is_there(path));
}

/* Every kind of file that may stand in its place, and none. [U2] */
Test(value_file, another_in_its_place_is_refused) {
  uint8_t *value = test_alloc(SIZE), *back = test_alloc(SIZE);
  test_value_make(value, SIZE, 1, 1, 1);
  nc_value_name older = written(NC_PACK_LZ4, value, SIZE), name;
  must(read_value(&older, 0, back, SIZE));
  cr_assert_eq(remove(path), 0);
  must_fail(read_value(&older, 0, back, SIZE), NC_E_VALUE_MISSING);
  name = written(NC_PACK_LZ4, value, SIZE); /* the same value under the same number */
  must_fail(read_value(&older, 0, back, SIZE), NC_E_FILE_IDENTITY);
  nc_value_name other = name;
  other.last_tag[3] ^= 1;
  must_fail(read_value(&other, 0, back, SIZE), NC_E_VALUE_REPLACED);
  other = name;
  other.size += 16;
  must_fail(read_value(&other, 0, back, SIZE), NC_E_VALUE_REPLACED);
  other = name;
  other.value_size--;
  must_fail(read_value(&other, 0, back, SIZE), NC_E_VALUE_REPLACED);
  other = name;
  other.origin_table.bytes[0] ^= 1;
  must_fail(read_value(&other, 0, back, SIZE), NC_E_FILE_IDENTITY);
  must(read_value(&name, 0, back, SIZE));
  free(value);
  free(back);
}

/* What a read hands out is right, or it hands out zeros. */
Test(value_file, damage_anywhere_is_found_and_nothing_of_it_handed_out) {
  test_random random = {test_seed("value_file", 2)};
  uint8_t *value = test_alloc(SIZE), *back = test_alloc(SIZE);
  test_value_make(value, SIZE, 1, 1, 1);
  for (int method = NC_PACK_NONE; method <= NC_PACK_LZ4; method++) {
    nc_value_name name = written((nc_pack_method)method, value, SIZE);
    for (int i = 0; i < 60; i++) {
      uint64_t at = NC_FRAMES_OFFSET + test_random_below(&random, name.size - NC_FRAMES_OFFSET);
      file_flip(path, at);
      memset(back, 0xEE, SIZE);
      nacre_status status = read_value(&name, 0, back, SIZE);
      if (status == NACRE_OK) { /* a checksum or a padding, which a read may leave out */
        cr_assert(memcmp(back, value, SIZE) == 0);
      } else {
        cr_assert(status == NACRE_CORRUPT || status == NACRE_TAMPERED, "%s", err.text);
        cr_assert_str_neq(err.file, "");
        for (size_t k = 0; k < SIZE; k++) cr_assert(back[k] == 0 || back[k] == 0xEE);
      }
      file_flip(path, at);
    }
    static const uint64_t cuts[] = {1, 16, 96, 97, 4096};
    size_t whole;
    uint8_t *bytes = file_load(path, &whole);
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
      file_cut(path, name.size - cuts[i]);
      cr_assert_neq(read_value(&name, 0, back, SIZE), NACRE_OK);
      file_store(path, bytes, whole);
    }
    file_cut(path, NC_FRAMES_OFFSET);
    must_fail(read_value(&name, 0, back, SIZE), NC_E_FILE_SHORT);
    free(bytes);
    cr_assert_eq(remove(path), 0);
  }
  free(value);
  free(back);
}

/* ---- past the seal --------------------------------------------------------------------------------------- */

static nc_value_name name_of(const sealed_again *again, const nc_value_name *was) {
  nc_value_name name = *was;
  name.file = again->header.identity.file;
  name.size = again->size;
  memcpy(name.last_tag, again->last_tag, sizeof name.last_tag);
  memcpy(name.dek_commitment, again->header.dek_commitment, sizeof name.dek_commitment);
  return name;
}

/* Parts that change places, are left out or come twice authenticate when their maker seals them so. [U4] */
Test(value_file, parts_that_do_not_belong_where_they_stand_are_refused) {
  static const struct {
    size_t order[4];
    size_t count;
  } orders[] = {{{1, 0, 2, 3}, 4}, {{0, 2, 3}, 3}, {{0, 0, 1, 2}, 4}};
  uint8_t *value = test_alloc(SIZE), *back = test_alloc(SIZE);
  test_value_make(value, SIZE, 1, 1, 1);
  nc_value_name name = written(NC_PACK_LZ4, value, SIZE);
  plain_file whole, changed;
  plain_load(&f, "00000000000000000007.val", &whole);
  cr_assert_eq(whole.count, 5);
  for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
    plain_copy(&whole, &changed);
    for (size_t k = 0; k < orders[i].count; k++)
      plain_set(&changed.frames[k], whole.frames[orders[i].order[k]].bytes,
                whole.frames[orders[i].order[k]].size);
    if (orders[i].count < 4) {
      free(changed.frames[3].bytes);
      changed.frames[3] = changed.frames[4];
      changed.count--;
    }
    plain_frame *last = &changed.frames[changed.count - 1];
    uint64_t size = NC_FRAMES_OFFSET;
    for (size_t k = 0; k < changed.count; k++) size += nc_frame_size(changed.frames[k].size);
    nc_put_u64(last->bytes, size);
    sealed_again again = plain_seal(&f, "00000000000000000007.val", &changed);
    nc_value_name forged = name_of(&again, &name);
    must_fail(read_value(&forged, 0, back, SIZE), NC_E_VALUE_PART);
    plain_free(&changed);
  }
  plain_free(&whole);
  free(value);
  free(back);
}

Test(value_file, an_end_that_says_otherwise_is_refused) { /* [U3] */
  uint8_t *value = test_alloc(SIZE), *back = test_alloc(SIZE);
  test_value_make(value, SIZE, 1, 1, 1);
  nc_value_name name = written(NC_PACK_NONE, value, SIZE);
  plain_file whole;
  plain_load(&f, "00000000000000000007.val", &whole);
  static const size_t places[] = {0, 16, 24, 28, 56};
  for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
    whole.frames[4].bytes[places[i]] ^= 1;
    sealed_again again = plain_seal(&f, "00000000000000000007.val", &whole);
    nc_value_name forged = name_of(&again, &name);
    must_fail(read_value(&forged, 0, back, SIZE), places[i] == 0    ? NC_E_VALUE_END_LENGTH
                                                  : places[i] == 24 ? NC_E_VALUE_PART
                                                                    : NC_E_VALUE_END_SHAPE);
    whole.frames[4].bytes[places[i]] ^= 1;
  }
  plain_free(&whole);
  free(value);
  free(back);
}
