/* SPDX-License-Identifier: Apache-2.0
 *
 * Rewrapping one file: its header comes under another table key, its data stays, and whatever fails on the
 * way, it opens.
 */
#include "rewrap.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crc32c.h"
#include "support.h"

#define NAME "00000000000000000007.log"

static nacre_error err;
static fixture f;
static nc_table_keys *two, *retired; /* the first key and its successor; the successor alone */
static nc_handle frames[3];
static uint8_t *before; /* the file as it was made */
static size_t size;

static void setup(void) {
  fixture_open(&f);
  fixture_keys(&f);
  nc_key_succession succession = {.specs = &f.spec, .spec_count = 1};
  must(nc_table_keys_succeed(&f.kms, f.keys, &succession, &two, &err));
  nacre_slice uri = nc_slice(f.uri, strlen(f.uri));
  must(nc_table_keys_trim(two, true, &uri, 1, &retired, &err));
  nc_sealed_writer *w = make_writer(&f, NAME, 0);
  for (size_t i = 0; i < 3; i++)
    must(nc_sealed_writer_append(w, NC_FRAME_LOG_GROUP, nc_slice("frame", 3 + i), &frames[i], &err));
  nc_sealed_writer_close(w);
  before = file_bytes(&f, NAME, &size);
}
static void teardown(void) {
  free(before);
  nc_table_keys_unref(two);
  nc_table_keys_unref(retired);
  fixture_close(&f);
}
TestSuite(rewrap, .init = setup, .fini = teardown);

/* ---- helpers ------------------------------------------------------------------------------------------- */

static nc_rewrap_result rewrap(const nc_table_keys *keys, bool durable) {
  nc_rewrap_result result;
  must(nc_rewrap_file(&f.dir, NAME, keys, NULL, durable, &result, &err));
  return result;
}

/* All its frames open with these keys, and its slots are equal if they have to be. */
static void opens(const nc_table_keys *keys, bool whole) {
  nc_sealed_reader *reader;
  uint8_t buffer[128];
  nacre_slice text;
  must(nc_sealed_reader_open(&f.dir, NAME, keys, NULL, &reader, &err));
  for (size_t i = 0; i < 3; i++) {
    must(nc_sealed_reader_frame(reader, frames[i], NC_FRAME_LOG_GROUP, buffer, &text, NULL, &err));
    cr_assert(text.size == 3 + i && memcmp(text.data, "frame", text.size) == 0);
  }
  if (whole) must(nc_sealed_reader_check_header(reader, &err));
  nc_sealed_reader_close(reader);
}

static void put_back(const uint8_t *bytes) { file_replace(&f, NAME, bytes, size); }

static bool contains(const uint8_t *bytes, size_t length, const uint8_t *part, size_t part_length) {
  for (size_t i = 0; i + part_length <= length; i++) {
    if (memcmp(bytes + i, part, part_length) == 0) return true;
  }
  return false;
}

/* Nothing of the data, and nothing of the identity, is another. */
static void data_is_untouched(void) {
  size_t now;
  uint8_t *bytes = file_bytes(&f, NAME, &now);
  cr_assert_eq(now, size);
  cr_assert_eq(memcmp(bytes + NC_FRAMES_OFFSET, before + NC_FRAMES_OFFSET, size - NC_FRAMES_OFFSET), 0);
  for (size_t slot = 0; slot < NC_FRAMES_OFFSET; slot += NC_SLOT_BYTES)
    cr_assert_eq(memcmp(bytes + slot, before + slot, 96), 0, "identity and DEK commitment stay");
  free(bytes);
}

static void is_as_it_was(const uint8_t *bytes) {
  size_t now;
  uint8_t *found = file_bytes(&f, NAME, &now);
  cr_assert(now == size && memcmp(found, bytes, size) == 0);
  free(found);
}

static void refuses(const nc_table_keys *keys, const nc_sealed_expect *expect, uint32_t id) {
  nc_rewrap_result result;
  int writes = atomic_load(&f.faults.writes);
  must_fail(nc_rewrap_file(&f.dir, NAME, keys, expect, false, &result, &err), id);
  cr_assert_eq(atomic_load(&f.faults.writes), writes, "a foreign file is not written to");
  cr_assert_str_eq(err.file, NAME);
}

static bool is_there(const char *name) {
  char path[128];
  file_path(&f, name, path);
  return access(path, F_OK) == 0;
}

static void begin_trace(void) {
  f.faults.trace_on = true;
  f.faults.trace[0] = '\0';
}

/* The whole file as a finished rewrap leaves it. */
static uint8_t *rewrapped_bytes(void) {
  size_t now;
  rewrap(two, true);
  uint8_t *bytes = file_bytes(&f, NAME, &now);
  put_back(before);
  return bytes;
}

/* A file between the slots of two others; a slot that is `torn` is half of each. */
static void put_slots(const uint8_t *slot0, const uint8_t *slot1, int torn) {
  uint8_t *bytes = malloc(size);
  memcpy(bytes, before, size);
  memcpy(bytes, slot0, NC_SLOT_BYTES);
  memcpy(bytes + NC_SLOT_BYTES, slot1 + NC_SLOT_BYTES, NC_SLOT_BYTES);
  if (torn >= 0) memset(bytes + (size_t)torn * NC_SLOT_BYTES + 100, 0xEE, 60);
  file_replace(&f, NAME, bytes, size);
  free(bytes);
}

/* The slots are mended after the change: their checksums are good, their wraps are not. */
static void forge_slot(int slot, size_t at) {
  size_t now;
  uint8_t *bytes = file_bytes(&f, NAME, &now), *p = bytes + (size_t)slot * NC_SLOT_BYTES;
  p[at] ^= 1;
  nc_put_u32(p + NC_SLOT_BYTES - 4, nc_crc32c(0, p, NC_SLOT_BYTES - 4));
  file_replace(&f, NAME, bytes, now);
  free(bytes);
}

/* ---- what it is for ------------------------------------------------------------------------------------ */

Test(rewrap, brings_a_header_under_the_active_key_and_touches_nothing_else) {
  begin_trace();
  nc_rewrap_result result = rewrap(two, true);
  cr_assert_str_eq(f.faults.trace, "sw1sw0s", "the slot that was read from is written last: %s",
                   f.faults.trace);
  cr_assert(result.outcome == NC_REWRAP_DONE && result.header_bytes == 8192 && result.copied_bytes == 0);
  data_is_untouched();
  opens(two, true);
  opens(retired, true);
  nc_sealed_reader *reader;
  must_fail(nc_sealed_reader_open(&f.dir, NAME, f.keys, NULL, &reader, &err), NC_E_KEK_UNKNOWN);
}

Test(rewrap, the_old_wrap_is_nowhere_in_the_file_any_more) {
  rewrap(two, true);
  size_t now;
  uint8_t *bytes = file_bytes(&f, NAME, &now);
  cr_assert(contains(before, size, before + 136, 24) && !contains(bytes, now, before + 136, 24), "salt");
  cr_assert(!contains(bytes, now, before + 160, 32), "wrapped DEK");
  cr_assert(!contains(bytes, now, before + 192, 16), "tag");
  cr_assert(!contains(bytes, now, before + 112, 16), "KEK id");
  cr_assert_eq(nc_get_u64(bytes + 96), nc_get_u64(before + 96) + 1, "the slot sequence counts");
  free(bytes);
}

Test(rewrap, does_nothing_where_nothing_is_to_be_done) {
  rewrap(two, true);
  size_t now;
  uint8_t *bytes = file_bytes(&f, NAME, &now);
  begin_trace();
  cr_assert_eq(rewrap(two, true).outcome, NC_REWRAP_NOTHING);
  cr_assert_str_eq(f.faults.trace, "");
  cr_assert_eq(rewrap(two, false).outcome, NC_REWRAP_NOTHING);
  cr_assert_str_eq(f.faults.trace, "s", "what a dead process wrote is made durable");
  cr_assert_eq(rewrap(retired, true).outcome, NC_REWRAP_NOTHING);
  is_as_it_was(bytes);
  free(bytes);
}

/* Each slot that another could be in when a rewrap was interrupted, in either order. */
Test(rewrap, heals_what_an_interrupted_one_left) {
  uint8_t *after = rewrapped_bytes();
  static const struct {
    int slot0, slot1, torn; /* 0: before, 1: after */
    nc_rewrap_outcome outcome;
    const char *trace;
  } cases[] = {
      {0, 0, 1, NC_REWRAP_DONE, "sw1sw0s"},   /* torn in the first write */
      {0, 0, 0, NC_REWRAP_DONE, "sw0sw1s"},   /* as when slot 1 had been read from */
      {0, 1, -1, NC_REWRAP_HEALED, "w1sw0s"}, /* between the two */
      {1, 0, -1, NC_REWRAP_HEALED, "w0sw1s"},
      {0, 1, 0, NC_REWRAP_HEALED, "sw0s"}, /* torn in the second write */
      {1, 0, 1, NC_REWRAP_HEALED, "sw1s"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    put_slots(cases[i].slot0 == 1 ? after : before, cases[i].slot1 == 1 ? after : before, cases[i].torn);
    opens(two, false);
    begin_trace();
    nc_rewrap_result result = rewrap(two, false);
    cr_assert_eq(result.outcome, cases[i].outcome, "case %zu", i);
    cr_assert_str_eq(f.faults.trace, cases[i].trace, "case %zu: %s", i, f.faults.trace);
    data_is_untouched();
    opens(retired, true);
    cr_assert_eq(rewrap(two, true).outcome, NC_REWRAP_NOTHING);
  }
  free(after);
}

/* Both slots are sound, and the one that a reader takes first is under a key that is not held. */
Test(rewrap, takes_the_slot_that_opens) {
  nc_table_keys *three;
  nc_key_succession succession = {.specs = &f.spec, .spec_count = 1};
  must(nc_table_keys_succeed(&f.kms, two, &succession, &three, &err));
  uint8_t *after = rewrapped_bytes();
  rewrap(three, true); /* under the third, which `two` does not know */
  size_t now;
  uint8_t *third = file_bytes(&f, NAME, &now);
  put_slots(after, third, -1);
  cr_assert_eq(rewrap(two, false).outcome, NC_REWRAP_HEALED);
  opens(retired, true);
  nc_table_keys_unref(three);
  free(third);
  free(after);
}

/* Who is held up while he reads may see both slots half written; it is not so when he looks again. */
Test(rewrap, a_reader_looks_again_when_neither_slot_is_whole) {
  nc_sealed_reader *reader;
  f.faults.lie_read = atomic_load(&f.faults.reads) + 1;
  opens(f.keys, true);
  f.faults.lie_read = 0;
  forge_slot(0, 100);
  forge_slot(1, 100);
  int reads = atomic_load(&f.faults.reads);
  must_fail(nc_sealed_reader_open(&f.dir, NAME, f.keys, NULL, &reader, &err), NC_E_WRAP_TAG);
  cr_assert_eq(atomic_load(&f.faults.reads), reads + 1, "what is whole and wrong stays wrong");
}

/* ---- what it refuses ----------------------------------------------------------------------------------- */

Test(rewrap, a_file_that_is_not_what_it_should_be_is_not_written_to) {
  nc_uuid other = {{1, 2, 3}};
  uint8_t commitment[NC_COMMITMENT_BYTES] = {7};
  nc_sealed_expect expects[] = {
      {.type = NC_FILE_SEGMENT}, {.origin_table = &other}, {.number = 8},
      {.file = &other},          {.epoch_max = 2},         {.dek_commitment = commitment}};
  for (size_t i = 0; i < sizeof expects / sizeof *expects; i++)
    refuses(two, &expects[i], i == 4 ? NC_E_FILE_EPOCH : NC_E_FILE_IDENTITY);
  is_as_it_was(before);
  nc_rewrap_result result;
  nc_sealed_expect right = {.type = NC_FILE_LOG, .origin_table = &f.table, .number = 7, .epoch_max = 3};
  must(nc_rewrap_file(&f.dir, NAME, two, &right, true, &result, &err));
  for (size_t i = 0; i < sizeof expects / sizeof *expects; i++) /* also when nothing is left to do */
    must_fail(nc_rewrap_file(&f.dir, NAME, two, &expects[i], true, &result, &err),
              i == 4 ? NC_E_FILE_EPOCH : NC_E_FILE_IDENTITY);
}

Test(rewrap, under_a_key_that_is_not_held) {
  refuses(retired, NULL, NC_E_KEK_RETIRED);
  nc_table_keys *stranger;
  must(nc_table_keys_create(&f.kms, &f.table, &f.spec, 1, true, &stranger, &err));
  refuses(stranger, NULL, NC_E_KEK_UNKNOWN);
  nc_table_keys_unref(stranger);
  is_as_it_was(before);
  rewrap(two, true);
  refuses(f.keys, NULL, NC_E_KEK_UNKNOWN); /* a newer one is not retired */
}

Test(rewrap, nothing_is_written_to_a_file_that_does_not_authenticate) {
  static const size_t places[] = {40,  70,  96,
                                  140, 170, 200}; /* identity, commitment, sequence, salt, wrap, tag */
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    put_back(before);
    forge_slot(0, places[i]);
    forge_slot(1, places[i]);
    refuses(two, NULL, NC_E_WRAP_TAG);
  }
  put_back(before);
  forge_slot(0, 170);
  cr_assert_eq(rewrap(two, true).outcome, NC_REWRAP_DONE); /* the other slot is good */
  opens(retired, true);
  rewrap(two, true);
  forge_slot(0, 170);
  forge_slot(1, 170); /* equal, and under the active key by their own word */
  refuses(two, NULL, NC_E_WRAP_TAG);
}

Test(rewrap, a_header_that_nobody_can_read_stays_as_it_is) {
  uint8_t *bytes = malloc(size);
  memcpy(bytes, before, size);
  bytes[100] ^= 1;
  bytes[NC_SLOT_BYTES + 100] ^= 1;
  file_replace(&f, NAME, bytes, size);
  refuses(two, NULL, NC_E_HEADER_CRC);
  is_as_it_was(bytes);
  free(bytes);
  for (size_t cut = 0; cut < NC_SLOT_BYTES; cut += 1000) {
    nc_rewrap_result result;
    file_replace(&f, NAME, before, cut);
    cr_assert_neq(nc_rewrap_file(&f.dir, NAME, two, NULL, false, &result, &err), NACRE_OK, "%zu bytes", cut);
  }
  must(nc_dir_remove(&f.dir, NAME, &err));
  nc_rewrap_result result;
  cr_assert_eq(nc_rewrap_file(&f.dir, NAME, two, NULL, false, &result, &err), NACRE_NOT_FOUND);
}

/* ---- copies -------------------------------------------------------------------------------------------- */

Test(rewrap, a_file_of_two_names_is_replaced_by_a_copy) { /* [W5] */
  char path[128], other[128];
  size_t now;
  file_path(&f, NAME, path);
  file_path(&f, "backup", other);
  cr_assert_eq(link(path, other), 0);
  file_replace(&f, NAME NC_REWRAP_SUFFIX, "what a crash left", 17);
  begin_trace();
  nc_rewrap_result result = rewrap(two, false);
  cr_assert(result.outcome == NC_REWRAP_COPIED && result.copied_bytes == size && result.header_bytes == 0);
  cr_assert(!is_there(NAME NC_REWRAP_SUFFIX));
  opens(retired, true);
  data_is_untouched();
  uint8_t *kept = file_bytes(&f, "backup", &now);
  cr_assert(now == size && memcmp(kept, before, size) == 0, "the other name's bytes are nobody's to change");
  free(kept);
  cr_assert_eq(rewrap(two, false).outcome, NC_REWRAP_NOTHING);
  cr_assert_eq(link(path, other), -1);
  cr_assert_eq(unlink(other), 0);
  cr_assert_eq(link(path, other), 0);
  cr_assert_eq(rewrap(two, true).outcome, NC_REWRAP_NOTHING, "two names are no harm to who does not write");
}

Test(rewrap, a_large_file_is_copied_whole) {
  size_t big = NC_FRAMES_OFFSET + (3u << 20) + 77, now;
  uint8_t *bytes = malloc(big);
  for (size_t i = 0; i < big; i++) bytes[i] = (uint8_t)(i * 7 + i / 4096);
  memcpy(bytes, before, size);
  file_replace(&f, NAME, bytes, big);
  f.faults.fail_sync = atomic_load(&f.faults.syncs) + 1;
  nc_rewrap_result result = rewrap(two, true);
  cr_assert(result.outcome == NC_REWRAP_COPIED && result.copied_bytes == big);
  uint8_t *copied = file_bytes(&f, NAME, &now);
  cr_assert(now == big &&
            memcmp(copied + NC_FRAMES_OFFSET, bytes + NC_FRAMES_OFFSET, big - NC_FRAMES_OFFSET) == 0);
  opens(retired, true);
  free(copied);
  free(bytes);
}

/* ---- a disk that fails --------------------------------------------------------------------------------- */

Test(rewrap, a_slot_that_reads_otherwise_than_it_was_written) {
  f.faults.lie_read = atomic_load(&f.faults.reads) + 2; /* after the header: the first slot read back */
  cr_assert_eq(rewrap(two, true).outcome, NC_REWRAP_COPIED);
  opens(retired, true);
  put_back(before);
  f.faults.lie_read = atomic_load(&f.faults.reads) + 2;
  f.faults.fail_create = atomic_load(&f.faults.creates) + 1; /* nor can a copy be made */
  nc_rewrap_result result;
  must_fail(nc_rewrap_file(&f.dir, NAME, two, NULL, true, &result, &err), NC_E_REWRAP_READ_BACK);
  cr_assert_str_eq(err.file, NAME);
  cr_assert_eq(err.offset, NC_SLOT_BYTES);
  opens(two, false);
  f.faults.lie_read = f.faults.fail_create = 0;
  rewrap(two, false);
  opens(retired, true);
}

/* A sync that fails means that nobody knows what is on the disk: a copy, even where nothing else was to be
 * done. */
Test(rewrap, a_sync_that_fails_where_nothing_else_was_to_be_done) {
  uint8_t *after = rewrapped_bytes();
  put_back(after);
  f.faults.fail_sync = atomic_load(&f.faults.syncs) + 1;
  cr_assert_eq(rewrap(two, false).outcome, NC_REWRAP_COPIED);
  is_as_it_was(after);
  opens(retired, true);
  free(after);
}

typedef int *counter_of(faults *x, atomic_int **ret_count);
static int *sync_fault(faults *x, atomic_int **count) { return *count = &x->syncs, &x->fail_sync; }
static int *write_fault(faults *x, atomic_int **count) { return *count = &x->writes, &x->fail_write; }
static int *read_fault(faults *x, atomic_int **count) { return *count = &x->reads, &x->fail_read; }
static int *lie_fault(faults *x, atomic_int **count) { return *count = &x->reads, &x->lie_read; }
static int *create_fault(faults *x, atomic_int **count) { return *count = &x->creates, &x->fail_create; }
static int *rename_fault(faults *x, atomic_int **count) { return *count = &x->renames, &x->fail_rename; }
static int *dir_fault(faults *x, atomic_int **count) { return *count = &x->dir_syncs, &x->fail_dir_sync; }
static counter_of *const kinds[] = {sync_fault,   write_fault,  read_fault, lie_fault,
                                    create_fault, rename_fault, dir_fault};

/* One rewrap with a fault of kind `a` at its `x`th operation, and one of kind `b` at its `y`th; 0: none.
 * False when neither came to pass. */
static bool try_with(counter_of *a, int x, counter_of *b, int y) {
  atomic_int *count_a, *count_b;
  int *fail_a = a(&f.faults, &count_a), *fail_b = b(&f.faults, &count_b);
  int from_a = atomic_load(count_a), from_b = atomic_load(count_b);
  if (x > 0) *fail_a = from_a + x;
  if (y > 0) *fail_b = from_b + y;
  nc_rewrap_result result;
  nacre_status status = nc_rewrap_file(&f.dir, NAME, two, NULL, false, &result, &err);
  bool came = atomic_load(count_a) - from_a >= x && atomic_load(count_b) - from_b >= y;
  *fail_a = *fail_b = 0;
  data_is_untouched();
  opens(two, status == NACRE_OK);
  if (status == NACRE_OK) opens(retired, true);
  cr_assert(!is_there(NAME NC_REWRAP_SUFFIX), "nothing is left beside it");
  rewrap(two, false); /* the next try succeeds */
  data_is_untouched();
  opens(retired, true);
  return came;
}

/* Every operation of a rewrap fails, alone and with every operation of the copy that comes instead, from
 * every state in which an earlier one may have ended. */
Test(rewrap, whatever_fails_the_file_opens) { /* [W4] */
  f.faults.quick = true;
  uint8_t *after = rewrapped_bytes();
  static const int states[][3] = {{0, 0, -1}, {0, 0, 0}, {0, 0, 1}, {0, 1, -1},
                                  {1, 0, -1}, {0, 1, 0}, {1, 0, 1}, {1, 1, -1}};
  unsigned tried = 0;
  for (size_t s = 0; s < sizeof states / sizeof *states; s++) {
    for (size_t a = 0; a < sizeof kinds / sizeof *kinds; a++) {
      for (size_t b = 0; b < sizeof kinds / sizeof *kinds; b++) {
        bool more_x = true;
        for (int x = 1; more_x && x < 12; x++) {
          bool more_y = true;
          more_x = false;
          for (int y = a == b ? 0 : 1; more_y && y < 12; y++) {
            put_slots(states[s][0] == 1 ? after : before, states[s][1] == 1 ? after : before, states[s][2]);
            more_y = try_with(kinds[a], x, kinds[b], y) && a != b;
            more_x = more_x || more_y || y == 0;
            tried++;
          }
          if (a == b) more_x = x < 6;
        }
      }
    }
  }
  cr_log_info("%u tries", tried);
  cr_assert_gt(tried, 500);
  free(after);
}
