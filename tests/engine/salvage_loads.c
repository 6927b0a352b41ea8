/* SPDX-License-Identifier: Apache-2.0
 *
 * How new a bulk load is, told by its files alone: salvage without a manifest, and headers that tell another sequence
 * than the manifest does.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "one_table.h"
#include "rewrap.h"
#include "segment_writer.h"

static char directory[PATH_BYTES], fresh[PATH_BYTES];
static nacre_salvage_report report;

static void setup(void) {
  one_table_make();
  ok(nacre_table_close(t));
  nacre_table_options options = {.segment_bytes = NACRE_SEGMENT_BYTES_MIN};
  ok(nacre_table_create(store, "small", &options, &t));
  nacre_table_infos *infos;
  ok(nacre_table_list(store, &infos));
  for (size_t i = 0; i < nacre_table_infos_count(infos); i++) {
    const nacre_table_info *info = nacre_table_infos_at(infos, i);
    if (strcmp(info->name, "small") == 0) join(directory, s.store, info->uuid);
  }
  nacre_table_infos_free(infos);
  join(fresh, s.path, "new");
}

static void teardown(void) {
  nacre_faults_free(report.faults);
  one_table_remove();
}
TestSuite(salvage_loads, .init = setup, .fini = teardown, .timeout = 60);

enum { WIDE = 40, VALUE_BYTES = 2000 };

static void numbered(int i, char key[16]) { snprintf(key, 16, "k%03d", i); }

/* Longer than a segment of this table, so that there are several. */
static nacre_load *load_wide(uint8_t fill) {
  nacre_load *load;
  ok(nacre_load_begin(t, NULL, &load));
  for (int i = 0; i < WIDE; i++) {
    char key[16];
    uint8_t value[VALUE_BYTES];
    numbered(i, key);
    test_random noise = {test_mix((uint64_t)i, fill)};
    test_random_fill(&noise, value, sizeof value);
    value[0] = fill;
    ok(nacre_load_put(load, text(key), nc_slice(value, sizeof value)));
  }
  return load;
}

static void put_all(const char *value) {
  for (int i = 0; i < WIDE; i++) {
    char key[16];
    numbered(i, key);
    put_text(t, key, value, false);
  }
}

/* Of the table without its CURRENT; then the copy is open. */
static void salvage(void) {
  char path[PATH_BYTES];
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  join(path, directory, "CURRENT");
  cr_assert_eq(unlink(path), 0);
  nacre_store_options source = s.options;
  source.create = false;
  nacre_salvage_options options = {.to = fresh, .source = &source};
  ok(nacre_salvage(s.store, "small", &options, &report));
  cr_assert(report.without_manifest);
  source = s.options;
  source.create = false;
  ok(nacre_open(fresh, &source, &store));
  ok(nacre_table_open(store, "small", NULL, &t));
}

/* Which load, or 't' of "text", each key is of; 0: none. */
static void came_out(char seen[WIDE]) {
  for (int i = 0; i < WIDE; i++) {
    char key[16];
    nacre_value value;
    numbered(i, key);
    nacre_status status = nacre_get(t, text(key), NULL, &value);
    cr_assert(status == NACRE_OK || status == NACRE_NOT_FOUND);
    seen[i] = status == NACRE_OK ? *(const char *)value.data : 0;
    if (status == NACRE_OK) nacre_value_release(&value);
  }
}

static bool all_are(const char seen[WIDE], char what) {
  for (int i = 0; i < WIDE; i++)
    if (seen[i] != what) return false;
  return true;
}

/* The n-th segment, from 0, by its number. */
static uint64_t segment_number(int n) {
  for (uint64_t number = 1; number < 1000; number++) {
    char name[NC_FILE_NAME_BYTES], path[PATH_BYTES];
    nc_segment_name(number, name);
    join(path, directory, name);
    if (access(path, F_OK) == 0 && n-- == 0) return number;
  }
  cr_assert_fail("there is no such segment");
  return 0;
}

/* What was written while it was loaded is older than the load, what came after its commit newer. */
Test(salvage_loads, are_as_new_as_their_commits) {
  char seen[WIDE];
  put_all("before");
  ok(nacre_flush(t));
  nacre_load *load = load_wide('L');
  put_all("text");
  ok(nacre_flush(t));
  put_all("text");
  ok(nacre_load_commit(load));
  cr_assert_gt(stats_now().segments, 4);
  put_text(t, "k001", "text, newer", false);
  ok(nacre_flush(t));
  put_text(t, "k002", "text, in the log", false);
  salvage();
  came_out(seen);
  cr_expect(seen[1] == 't' && seen[2] == 't', "newer writes");
  seen[1] = seen[2] = 'L';
  cr_expect(all_are(seen, 'L'));
}

Test(salvage_loads, stand_in_the_order_of_their_commits_not_of_their_beginnings) {
  char seen[WIDE];
  nacre_load *first = load_wide('1'), *second = load_wide('2'), *third = load_wide('3');
  ok(nacre_load_commit(third));
  ok(nacre_load_commit(first));
  ok(nacre_load_commit(second));
  ok(nacre_table_rotate(t)); /* a header that is rewrapped tells it on */
  ok(nacre_table_rewrap_wait(t, NULL));
  salvage();
  came_out(seen);
  cr_expect(all_are(seen, '2'));
}

Test(salvage_loads, that_were_never_committed_stay_out) {
  char seen[WIDE], image[PATH_BYTES];
  put_all("text");
  ok(nacre_flush(t));
  nacre_load *load = load_wide('L');
  join(image, s.path, "image");
  tree_copy(s.store, image); /* as a process leaves it that dies here */
  nacre_load_abort(load);
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  test_scratch_remove(s.store);
  cr_assert_eq(rename(image, s.store), 0);
  nacre_store_options options = s.options;
  options.create = false;
  options.read_only = true;
  ok(nacre_open(s.store, &options, &store));
  nacre_table_open_options read_only = {.read_only = true};
  ok(nacre_table_open(store, "small", &read_only, &t));
  salvage();
  came_out(seen);
  cr_expect(all_are(seen, 't'));
}

/* Without the segment whose header tells, the others are taken for as old as they can be; nothing is lost. */
Test(salvage_loads, without_their_first_segment_come_out_all_the_same) {
  char seen[WIDE], name[NC_FILE_NAME_BYTES], path[PATH_BYTES];
  ok(nacre_load_commit(load_wide('L')));
  nc_segment_name(segment_number(0), name);
  join(path, directory, name);
  cr_assert_eq(unlink(path), 0);
  salvage();
  came_out(seen);
  int there = 0;
  for (int i = 0; i < WIDE; i++) there += seen[i] == 'L';
  cr_expect(there > WIDE / 2 && there < WIDE, "%d", there);
}

/* Gives a segment's header a sequence, as only who has the table's key can. */
static void note(uint64_t number, uint64_t sequence) {
  char name[NC_FILE_NAME_BYTES];
  nacre_error err;
  nc_segment_name(number, name);
  NC_TAKEN_KEYS(keys, &t->keys);
  cr_assert_eq(nc_rewrap_note_load(&t->dir, name, keys, NULL, sequence, &err), NACRE_OK, "%s", err.text);
}

static void reopened_is_refused(const char *key) {
  nacre_value value;
  ok(nacre_table_close(t));
  ok(nacre_table_open(store, "small", NULL, &t));
  fails(nacre_get(t, text(key), NULL, &value), NC_E_SEGMENT_PROPERTIES);
  fails(nacre_verify(t, NULL, NULL), NC_E_SEGMENT_PROPERTIES);
}

Test(salvage_loads, of_another_sequence_than_the_manifest_tells_are_refused) { /* [S7] */
  ok(nacre_load_commit(load_wide('L')));
  note(segment_number(0), stats_now().last_sequence + 1);
  reopened_is_refused("k000");
}

Test(salvage_loads, may_be_told_of_by_any_segment_of_theirs) {
  ok(nacre_load_commit(load_wide('L')));
  note(segment_number(1), stats_now().last_sequence);
  ok(nacre_table_close(t));
  ok(nacre_table_open(store, "small", NULL, &t));
  ok(nacre_verify(t, NULL, NULL));
}

Test(salvage_loads, are_not_what_was_written) { /* [S7] */
  put_all("text");
  ok(nacre_flush(t));
  note(segment_number(0), 1);
  reopened_is_refused("k000");
}
