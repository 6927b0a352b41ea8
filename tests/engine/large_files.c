/* SPDX-License-Identifier: Apache-2.0
 *
 * The files of large values: they stay as long as somebody can see them, and no longer, whatever fails or ends
 * meanwhile.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "header.h"
#include "large_site.h"
#include "table.h"
#include "verify.h"

TestSuite(large_files, .init = large_make, .fini = large_remove, .timeout = 120);

/* Shadowed, deleted, in the memtable, in a segment: each file goes with what lets go of its entry. */
Test(large_files, files_go_when_nobody_sees_them_any_more) {
  large_put(1, 1, LARGE_SIZE);
  large_put(1, 2, LARGE_SIZE);
  large_put(2, 1, LARGE_SIZE);
  large_erase(2);
  cr_assert_eq(large_files(), 3);
  ok(nacre_flush(large.t)); /* of the memtable's three, one is left */
  cr_assert_eq(large_files(), 1);
  cr_assert(large_has(1, 2, LARGE_SIZE, NULL));
  large_put(1, 3, LARGE_SIZE);
  ok(nacre_flush(large.t));
  cr_assert_eq(large_files(), 2);
  large_compact();
  cr_assert_eq(large_files(), 1);
  cr_assert(large_has(1, 3, LARGE_SIZE, NULL));
  ok(nacre_verify(large.t, NULL, NULL));
  large_erase(1);
  large_compact();
  cr_assert_eq(large_files(), 0);
  large_reopen();
  large_put(5, 1, 10);
  cr_assert_eq(large_files(), 0);
  ok(nacre_verify(large.t, NULL, NULL));
}

Test(large_files, a_snapshot_keeps_what_it_sees) {
  nacre_snapshot *snapshot;
  large_put(1, 1, LARGE_SIZE);
  ok(nacre_snapshot_take(large.t, &snapshot));
  large_put(1, 2, LARGE_SIZE);
  ok(nacre_flush(large.t));
  large_compact();
  cr_assert_eq(large_files(), 2);
  cr_assert(large_has(1, 1, LARGE_SIZE, snapshot) && large_has(1, 2, LARGE_SIZE, NULL));
  nacre_snapshot_release(snapshot);
  large_put(2, 1, 10);
  large_compact();
  cr_assert_eq(large_files(), 1);
  cr_assert(large_has(1, 2, LARGE_SIZE, NULL));
}

/* An iterator stands for a moment: what was dropped since stays until it is closed. */
Test(large_files, an_iterator_keeps_what_it_sees) {
  nacre_iter *it;
  for (uint64_t key = 0; key < 6; key++) large_put(key, 1, key % 2 == 0 ? LARGE_SIZE : 20);
  ok(nacre_flush(large.t));
  large_put(6, 1, LARGE_SIZE); /* in the memtable */
  ok(nacre_iter_open(large.t, NULL, &it));
  for (uint64_t key = 0; key < 7; key++) large_erase(key);
  large_compact();
  cr_assert_eq(large_files(), 4);
  for (int backward = 0; backward < 2; backward++) {
    backward ? nacre_iter_last(it) : nacre_iter_first(it);
    for (uint64_t i = 0; i < 7; i++) {
      uint64_t key = backward ? 6 - i : i;
      size_t size = key % 2 == 0 ? LARGE_SIZE : 20;
      uint8_t *expected = large_value(key, 1, size);
      cr_assert(nacre_iter_valid(it));
      nacre_slice value = nacre_iter_value(it);
      cr_assert(value.size == size && memcmp(value.data, expected, size) == 0);
      free(expected);
      backward ? nacre_iter_prev(it) : nacre_iter_next(it);
    }
    cr_assert(!nacre_iter_valid(it) && nacre_iter_status(it) == NACRE_OK);
  }
  nacre_iter_close(it);
  cr_assert_eq(large_files(), 0);
}

/* It goes on seeing the entry where it was when it began, through flushes and merges that keep it and one that drops
 * it: the file must not go with the segments that it was dropped from. */
Test(large_files, an_iterator_keeps_what_moved_on_since) {
  nacre_iter *in_memtable, *in_segment;
  large_put(1, 1, LARGE_SIZE);
  ok(nacre_iter_open(large.t, NULL, &in_memtable));
  ok(nacre_flush(large.t));
  large_put(2, 1, 10);
  ok(nacre_flush(large.t));
  ok(nacre_iter_open(large.t, NULL, &in_segment));
  large_compact(); /* keeps it */
  large_erase(1);
  large_compact(); /* drops it */
  for (int i = 0; i < 2; i++) {
    nacre_iter *it = i == 0 ? in_segment : in_memtable;
    uint8_t *expected = large_value(1, 1, LARGE_SIZE);
    nacre_iter_first(it);
    cr_assert(nacre_iter_valid(it));
    cr_assert(nacre_iter_value(it).size == LARGE_SIZE &&
              memcmp(nacre_iter_value(it).data, expected, LARGE_SIZE) == 0);
    cr_assert_eq(large_files(), 1);
    nacre_iter_close(it);
    free(expected);
  }
  cr_assert_eq(large_files(), 0);
}

Test(large_files, a_borrowed_value_outlives_its_file) {
  nacre_value value;
  uint8_t *expected = large_value(1, 1, LARGE_SIZE);
  large_put(1, 1, LARGE_SIZE);
  ok(nacre_get(large.t, text("key 000001"), NULL, &value));
  large_erase(1);
  large_compact();
  cr_assert_eq(large_files(), 0);
  cr_assert(value.size == LARGE_SIZE && memcmp(value.data, expected, LARGE_SIZE) == 0);
  fails(nacre_table_close(large.t), NC_E_TABLE_BUSY);
  nacre_value_release(&value);
  free(expected);
}

/* ---- crashes --------------------------------------------------------------------------------------------- */

/* A file that no entry refers to, as a crash before the log leaves it. */
Test(large_files, what_a_crash_left_goes_at_the_next_write) {
  char path[PATH_BYTES], left[PATH_BYTES];
  large_put(1, 1, LARGE_SIZE);
  only_file(large.directory, ".val", path);
  join(left, large.directory, "00000000000000000900.val");
  large_close_table();
  file_copy(path, left); /* under another number: it does not authenticate as that, and is spared */
  file_cut(left, 9000);
  large_open_table();
  cr_assert_eq(large_files(), 2);
  large_put(2, 1, 10);
  cr_assert(large_has(1, 1, LARGE_SIZE, NULL));
  large_put(3, 1, LARGE_SIZE); /* above the number of what was found */
  cr_assert(large_has(3, 1, LARGE_SIZE, NULL));
}

/* A crash with the table open: the log's references keep their files, the next open's flush names them. */
Test(large_files, survive_a_crash_in_the_log) {
  char copy[PATH_BYTES];
  large_put(1, 1, LARGE_SIZE);
  large_put(1, 2, LARGE_SIZE);
  large_put(2, 1, LARGE_SIZE);
  join(copy, large.s.path, "copy");
  tree_copy(large.s.store, copy);
  large_close_table();
  char kept[PATH_BYTES];
  memcpy(kept, large.s.store, sizeof kept);
  memcpy(large.s.store, copy, sizeof copy);
  large_open_table();
  cr_assert(large_has(1, 2, LARGE_SIZE, NULL) && large_has(2, 1, LARGE_SIZE, NULL));
  large_put(3, 1, 10); /* flushes what was replayed */
  cr_assert(large_has(1, 2, LARGE_SIZE, NULL) && large_has(2, 1, LARGE_SIZE, NULL));
  cr_assert_eq(large_files(), 2);
  ok(nacre_verify(large.t, NULL, NULL));
}

/* ---- what verify compares -------------------------------------------------------------------------------- */

/* A manifest that forgets a file, or names one too many, as a defect of a writer would make it. [U5] */
Test(large_files, verify_holds_references_against_the_manifest) {
  large_put(1, 1, LARGE_SIZE);
  large.t->values.list[0].named = true; /* only a log refers to it */
  fails(nacre_verify(large.t, NULL, NULL), NC_E_VALUE_UNREFERENCED);
  large.t->values.list[0].named = false;
  ok(nacre_verify(large.t, NULL, NULL));
  ok(nacre_flush(large.t));
  ok(nacre_verify(large.t, NULL, NULL));
  large.t->values.list[0].named = false;
  fails(nacre_verify(large.t, NULL, NULL), NC_E_VALUE_UNNAMED);
  large.t->values.list[0].named = true;
  large.t->values.list[0].name.last_tag[0] ^= 1;
  fails(nacre_verify(large.t, NULL, NULL), NC_E_VALUE_UNNAMED);
  large.t->values.list[0].name.last_tag[0] ^= 1;
  ok(nacre_verify(large.t, NULL, NULL));
}

/* A second entry that refers to a file would lose it when the first one is dropped. [U5] */
Test(large_files, verify_tells_of_a_file_that_two_entries_refer_to) {
  nc_named_files named;
  nacre_error err;
  bool referenced[1] = {false};
  uint8_t bytes[NC_VALUE_REFERENCE_BYTES_MAX];
  large_put(1, 1, LARGE_SIZE);
  ok(nacre_flush(large.t));
  must(nc_named_files_take(large.t, &named, &err));
  nc_verifier v = {.table = large.t, .named = &named, .referenced = referenced};
  nc_value_reference reference = {.name = named.values[0].name};
  nc_entry entry = {.kind = NC_KIND_LARGE, .value = {bytes, nc_value_reference_encode(&reference, bytes)}};
  must(nc_verify_reference(&v, &entry, true, &err));
  must(nc_verify_reference(&v, &entry, false, &err)); /* a log may hold the same one */
  must_fail(nc_verify_reference(&v, &entry, true, &err), NC_E_VALUE_SHARED);
  nc_named_files_free(&named);
}

Test(large_files, verify_finds_damage_in_every_part_of_a_file) {
  test_random random = {test_seed("large_values", 3)};
  char path[PATH_BYTES];
  large_put(1, 1, LARGE_SIZE);
  ok(nacre_flush(large.t));
  only_file(large.directory, ".val", path);
  size_t size;
  free(file_load(path, &size));
  for (int i = 0; i < 40; i++) {
    uint64_t at = test_random_below(&random, size);
    file_flip(path, at);
    cr_assert_neq(nacre_verify(large.t, NULL, NULL), NACRE_OK, "a bit of byte %llu", (unsigned long long)at);
    file_flip(path, at);
  }
  ok(nacre_verify(large.t, NULL, NULL));
  cr_assert_eq(remove(path), 0);
  fails(nacre_verify(large.t, NULL, NULL), NC_E_VALUE_MISSING);
}

/* ---- keys ------------------------------------------------------------------------------------------------ */

Test(large_files, come_under_a_new_table_key) {
  nacre_key_status status;
  large_put(1, 1, LARGE_SIZE);
  ok(nacre_flush(large.t));
  large_put(2, 1, LARGE_SIZE);
  ok(nacre_table_rotate(large.t));
  large_put(3, 1, LARGE_SIZE);
  ok(nacre_table_rewrap_wait(large.t, NULL));
  ok(nacre_table_key_status(large.t, &status));
  cr_assert_eq(status.files_left, 0);
  nacre_key_versions_free(status.versions);
  nacre_kms_keys_free(status.kms_keys);
  for (uint64_t key = 1; key <= 3; key++) cr_assert(large_has(key, 1, LARGE_SIZE, NULL));
  large_reopen();
  for (uint64_t key = 1; key <= 3; key++) cr_assert(large_has(key, 1, LARGE_SIZE, NULL));
  ok(nacre_verify(large.t, NULL, NULL));
}

/* ---- writes that fail ------------------------------------------------------------------------------------ */

Test(large_files, a_refused_write_leaves_no_file) {
  nacre_batch *batch;
  uint8_t *value = large_value(1, 1, 2 << 20);
  large_put(1, 1, LARGE_SIZE);
  ok(nacre_batch_create(&batch));
  ok(nacre_batch_expect(batch, text("key 000001"), NULL)); /* that it is not there */
  ok(nacre_batch_put(batch, text("a"), nc_slice(value, LARGE_SIZE)));
  ok(nacre_batch_put(batch, text("b"), nc_slice(value, 2 << 20)));
  fails(nacre_write(large.t, batch, NULL), NC_E_EXPECT_CHANGED);
  nacre_batch_destroy(batch);
  cr_assert_eq(large_files(), 1);
  free(value);
}

/* Wherever the disk refuses: what was acknowledged is there, and once there is room again nothing is left over. */
Test(large_files, a_full_disk_leaves_nothing_behind) {
  static failing_io disk; /* the store is closed behind the test */
  large_close_table();
  failing_init(&disk);
  disk.code = ENOSPC;
  large.s.options.io = &disk.io;
  large_open_table();
  large_put(0, 1, LARGE_SIZE);
  uint64_t kept = 1;
  for (uint64_t n = 1; n < 30; n++) {
    char bytes[24];
    uint8_t *value = large_value(n, 1, LARGE_SIZE);
    disk.fail_at = disk.count + n;
    if (nacre_put(large.t, large_key(n, bytes), nc_slice(value, LARGE_SIZE), NULL) == NACRE_OK)
      kept |= (uint64_t)1 << n;
    disk.fail_at = 0;
    free(value);
  }
  cr_assert(kept != ((uint64_t)1 << 30) - 1 && (kept >> 29 & 1) == 1);
  ok(nacre_flush(large.t));
  size_t live = 0;
  nacre_iter *it;
  ok(nacre_iter_open(large.t, NULL, &it));
  for (nacre_iter_first(it); nacre_iter_valid(it); nacre_iter_next(it)) live++;
  ok(nacre_iter_status(it));
  nacre_iter_close(it);
  for (uint64_t n = 0; n < 30; n++) cr_assert((kept >> n & 1) == 0 || large_has(n, 1, LARGE_SIZE, NULL));
  cr_assert_eq(large_files(), live);
  ok(nacre_verify(large.t, NULL, NULL));
}

/* ---- copies ---------------------------------------------------------------------------------------------- */

/* Whether a manifest names it or a log alone refers to it. */
Test(large_files, a_checkpoint_misses_what_somebody_took_away) {
  char path[PATH_BYTES], to[PATH_BYTES], away[PATH_BYTES];
  join(away, large.s.path, "away");
  for (int round = 0; round < 2; round++) {
    large_put(1, 1, LARGE_SIZE);
    only_file(large.directory, ".val", path);
    if (round == 1) ok(nacre_flush(large.t));
    file_copy(path, away);
    cr_assert_eq(unlink(path), 0);
    join(to, large.s.path, round == 0 ? "first" : "second");
    cr_assert_neq(nacre_checkpoint(large.store, to, NULL, NULL), NACRE_OK);
    file_copy(away, path);
    cr_assert_eq(unlink(away), 0);
    large_erase(1);
    large_compact();
  }
}

typedef struct overwriting {
  char lost[PATH_BYTES]; /* the file to take away first; "": none */
  bool done;
} overwriting;

/* Between the copy of the header and that of the body: when it returns, the table needs the file no more. */
static void write_over(void *arg, uint64_t bytes_done, uint64_t bytes_total) {
  overwriting *o = arg;
  (void)bytes_done, (void)bytes_total;
  if (o->done) return;
  o->done = true;
  if (o->lost[0] != '\0') cr_assert_eq(unlink(o->lost), 0);
  large_put(1, 2, LARGE_SIZE);
  ok(nacre_flush(large.t));
}

/* The copy is of the moment when it was needed: a file that went by itself is kept for it, and one that was lost is
 * missed. */
Test(large_files, a_checkpoint_misses_what_was_lost_though_it_was_written_over_meanwhile) {
  for (int round = 0; round < 2; round++) {
    char to[PATH_BYTES];
    overwriting o = {.done = false};
    nacre_checkpoint_options options = {.on_progress = write_over, .progress_arg = &o};
    put_text(large.t, "small", "1", false);
    ok(nacre_flush(large.t)); /* its segment has a lower number than the value's file: it is copied first */
    large_put(1, 1, LARGE_SIZE);
    if (round == 1) only_file(large.directory, ".val", o.lost);
    join(to, large.s.path, round == 0 ? "kept" : "lost");
    nacre_status status = nacre_checkpoint(large.store, to, &options, NULL);
    cr_assert(o.done);
    cr_assert(round == 0 ? status == NACRE_OK : status != NACRE_OK, "%s", nacre_status_name(status));
    large_erase(1);
    large_compact();
  }
}

Test(large_files, a_checkpoint_has_their_files) {
  char to[PATH_BYTES], kept[PATH_BYTES];
  large_put(1, 1, LARGE_SIZE);
  large_put(2, 1, LARGE_SIZE);
  ok(nacre_flush(large.t));
  large_put(2, 2, LARGE_SIZE);
  large_put(3, 1, LARGE_SIZE); /* in the log */
  join(to, large.s.path, "checkpoint");
  ok(nacre_checkpoint(large.store, to, NULL, NULL));
  large_erase(1);
  large_put(2, 3, LARGE_SIZE);
  large_close_table();
  memcpy(kept, large.s.store, sizeof kept);
  memcpy(large.s.store, to, sizeof to);
  large_open_table();
  cr_assert(large_has(1, 1, LARGE_SIZE, NULL) && large_has(2, 2, LARGE_SIZE, NULL) &&
            large_has(3, 1, LARGE_SIZE, NULL));
  ok(nacre_flush(large.t));
  large_compact();
  cr_assert_eq(large_files(), 3);
  ok(nacre_verify(large.t, NULL, NULL));
}
