/* SPDX-License-Identifier: Apache-2.0
 *
 * What a batch expects of keys: nacre_batch_expect, wherever the newest version of a key may be.
 */
#include "fixture.h"

#include <criterion/criterion.h>

static site s;
static nacre_store *store;
static nacre_table *t;
static nacre_batch *b;
static nacre_snapshot *snapshot;
static const nacre_slice none = {NULL, 0};

static void begin(void) {
  site_make(&s);
  t = site_table(&s, &store, "table");
  ok(nacre_batch_create(&b));
  snapshot = NULL;
}

static void end(void) {
  nacre_batch_destroy(b);
  nacre_snapshot_release(snapshot);
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  site_remove(&s);
}

TestSuite(expects, .init = begin, .fini = end);

static void take(void) {
  nacre_snapshot_release(snapshot);
  ok(nacre_snapshot_take(t, &snapshot));
}

/* A batch that puts "written" if `key` is as it was (`since`), or absent (NULL). */
static nacre_status write_if(const char *key, const nacre_snapshot *since) {
  nacre_batch_clear(b);
  ok(nacre_batch_expect(b, text(key), since));
  ok(nacre_batch_put(b, text("written"), text(key)));
  return nacre_write(t, b, NULL);
}

#define goes_on(key, since)                     \
  do {                                          \
    ok(write_if(key, since));                   \
    cr_expect(holds(t, NULL, "written", key));  \
    ok(nacre_delete(t, text("written"), NULL)); \
  } while (0)
#define conflicts(key, since)                           \
  do {                                                  \
    fails(write_if(key, since), NC_E_EXPECT_CHANGED);   \
    cr_expect(holds(t, NULL, "written", NULL), #since); \
  } while (0)

static void remove_text(const char *key) { ok(nacre_delete(t, text(key), NULL)); }

Test(expects, an_unchanged_key_lets_the_batch_through) {
  put_text(t, "k", "v", false);
  take();
  put_text(t, "other", "v", false);
  goes_on("k", snapshot);
  goes_on("missing", snapshot);
}

Test(expects, a_put_since_the_snapshot_is_a_conflict) {
  put_text(t, "k", "v", false);
  take();
  put_text(t, "k", "v", false); /* the same value */
  conflicts("k", snapshot);
  take();
  goes_on("k", snapshot);
}

Test(expects, a_delete_since_the_snapshot_is_a_conflict) {
  put_text(t, "k", "v", false);
  take();
  remove_text("k");
  conflicts("k", snapshot);
  put_text(t, "k", "v", false);
  conflicts("k", snapshot);
}

Test(expects, a_key_made_since_the_snapshot_is_a_conflict) {
  take();
  put_text(t, "k", "v", false);
  conflicts("k", snapshot);
  remove_text("k");
  conflicts("k", snapshot);
}

Test(expects, no_snapshot_means_that_the_key_is_absent) {
  goes_on("k", NULL);
  put_text(t, "k", "v", false);
  conflicts("k", NULL);
  remove_text("k");
  goes_on("k", NULL);
  put_text(t, "k", "", false); /* empty is there */
  conflicts("k", NULL);
}

Test(expects, flushes_and_merges_hide_no_change) {
  put_text(t, "put", "v", false);
  put_text(t, "deleted", "v", false);
  put_text(t, "kept", "v", false);
  put_text(t, "z", "v", false);
  ok(nacre_flush(t));
  take();
  put_text(t, "put", "w", false);
  remove_text("deleted");
  put_text(t, "came and went", "v", false);
  remove_text("came and went");
  for (int round = 0; round < 4; round++) {
    conflicts("put", snapshot);
    conflicts("deleted", snapshot);
    conflicts("came and went", snapshot);
    conflicts("put", NULL);
    goes_on("deleted", NULL);
    goes_on("kept", snapshot);
    if (round == 0) ok(nacre_flush(t));
    if (round >= 1) ok(nacre_compact(t, none, none));
    put_text(t, "z", "v", false); /* something to merge */
  }
}

Test(expects, a_range_delete_since_the_snapshot_is_a_conflict_for_what_it_holds) {
  put_text(t, "b", "v", false);
  put_text(t, "d", "v", false);
  take();
  ok(nacre_delete_range(t, text("a"), text("c"), NULL));
  for (int round = 0; round < 3; round++) {
    conflicts("b", snapshot);
    goes_on("d", snapshot);
    goes_on("b", NULL);
    conflicts("d", NULL);
    if (round == 0) ok(nacre_flush(t));
    if (round == 1) ok(nacre_compact(t, none, none));
  }
  put_text(t, "b", "w", false); /* a put over the range delete */
  conflicts("b", NULL);
  take();
  goes_on("b", snapshot);
}

/* A merge that began before the snapshot was taken drops only what is older. */
Test(expects, a_delete_before_the_snapshot_is_no_change_whether_it_is_kept_or_not) {
  put_text(t, "k", "v", false);
  remove_text("k");
  take();
  goes_on("k", snapshot);
  ok(nacre_compact(t, none, none));
  goes_on("k", snapshot);
  goes_on("k", NULL);
}

Test(expects, an_older_snapshot_is_the_stricter_one) {
  nacre_snapshot *older;
  put_text(t, "k", "1", false);
  ok(nacre_snapshot_take(t, &older));
  put_text(t, "k", "2", false);
  take();
  for (int round = 0; round < 2; round++) {
    conflicts("k", older);
    goes_on("k", snapshot);
    ok(nacre_compact(t, none, none));
  }
  nacre_snapshot_release(older);
}

Test(expects, every_one_of_many_must_hold) {
  put_text(t, "c", "v", false);
  take();
  for (int changed = -1; changed < 3; changed++) {
    nacre_batch_clear(b);
    char key[2] = {(char)('a' + changed), 0};
    if (changed >= 0) put_text(t, key, "changed", false);
    ok(nacre_batch_expect(b, text("a"), snapshot));
    ok(nacre_batch_expect(b, text("b"), snapshot));
    ok(nacre_batch_expect(b, text("c"), snapshot));
    ok(nacre_batch_delete(b, text("x")));
    if (changed < 0) {
      ok(nacre_write(t, b, NULL));
    } else {
      fails(nacre_write(t, b, NULL), NC_E_EXPECT_CHANGED);
    }
    take();
  }
}

Test(expects, what_the_batch_does_itself_does_not_count) {
  put_text(t, "k", "1", false);
  take();
  ok(nacre_batch_put(b, text("k"), text("2")));
  ok(nacre_batch_expect(b, text("k"), snapshot));
  ok(nacre_batch_delete(b, text("k")));
  ok(nacre_write(t, b, NULL));
  cr_expect(holds(t, NULL, "k", NULL));
  fails(nacre_write(t, b, NULL), NC_E_EXPECT_CHANGED); /* its own first write is a change */
}

Test(expects, a_batch_may_only_check) {
  nacre_stats before, after;
  nacre_write_options sync = {.sync = true};
  put_text(t, "k", "1", false);
  take();
  ok(nacre_batch_expect(b, text("k"), snapshot));
  ok(nacre_table_stats(t, &before));
  ok(nacre_write(t, b, NULL));
  ok(nacre_write(t, b, &sync));
  ok(nacre_table_stats(t, &after));
  cr_expect_eq(before.last_sequence, after.last_sequence);
  cr_expect_eq(before.writes, after.writes, "nothing is logged");
  put_text(t, "k", "2", false);
  fails(nacre_write(t, b, NULL), NC_E_EXPECT_CHANGED);
  fails(nacre_write(t, b, &sync), NC_E_EXPECT_CHANGED);
}

Test(expects, an_opened_table_is_checked_without_being_written_to) {
  put_text(t, "k", "1", false);
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  uint64_t digest = tree_digest(s.store, "LOCK");
  t = site_table(&s, &store, "table");
  ok(nacre_batch_expect(b, text("missing"), NULL));
  ok(nacre_write(t, b, NULL));
  ok(nacre_batch_expect(b, text("k"), NULL));
  fails(nacre_write(t, b, NULL), NC_E_EXPECT_CHANGED);
  cr_expect_eq(tree_digest(s.store, "LOCK"), digest);
}

Test(expects, clearing_a_batch_clears_what_it_expects) {
  put_text(t, "k", "1", false);
  ok(nacre_batch_expect(b, text("k"), NULL));
  cr_expect_eq(nacre_batch_count(b), 0);
  cr_expect_eq(nacre_batch_bytes(b), 0);
  nacre_batch_clear(b);
  ok(nacre_batch_put(b, text("k"), text("2")));
  ok(nacre_write(t, b, NULL));
}

Test(expects, a_released_snapshot_is_found_out) {
  take();
  ok(nacre_batch_expect(b, text("k"), snapshot));
  nacre_snapshot_release(snapshot);
  snapshot = NULL;
  fails(nacre_write(t, b, NULL), NC_E_EXPECT_RELEASED);
}

Test(expects, a_snapshot_of_another_table_is_refused) {
  nacre_table *other;
  ok(nacre_table_create(store, "other", NULL, &other));
  take();
  ok(nacre_batch_expect(b, text("k"), snapshot));
  fails(nacre_write(other, b, NULL), NC_E_ARGUMENT);
  ok(nacre_write(t, b, NULL));
  ok(nacre_table_close(other));
}

Test(expects, what_is_malformed_leaves_the_batch_as_it_was) {
  static uint8_t long_key[NACRE_KEY_BYTES_MAX + 1];
  fails(nacre_batch_expect(NULL, text("k"), NULL), NC_E_ARGUMENT);
  fails(nacre_batch_expect(b, none, NULL), NC_E_ARGUMENT);
  fails(nacre_batch_expect(b, nc_slice(long_key, sizeof long_key), NULL), NC_E_KEY_TOO_LARGE);
  nacre_status status = NACRE_OK;
  size_t many = 0;
  for (; status == NACRE_OK; many++)
    status = nacre_batch_expect(b, nc_slice(long_key, NACRE_KEY_BYTES_MAX), NULL);
  cr_expect_eq(status, NACRE_TOO_LARGE);
  cr_expect(many > 200);
  ok(nacre_write(t, b, NULL)); /* those that it took hold */
}

/* What must be read to know is damaged: an error, and nothing is written. */
Test(expects, damage_is_told_as_damage) {
  char directory[PATH_BYTES], path[PATH_BYTES];
  put_text(t, "k", "1", false);
  ok(nacre_flush(t));
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  site_table_path(&s, "table", directory);
  only_file(directory, ".seg", path);
  file_flip(path, 8192 + 40);
  t = site_table(&s, &store, "table");
  take();
  nacre_status status = write_if("k", snapshot);
  cr_expect(status == NACRE_CORRUPT || status == NACRE_TAMPERED, "%s", nacre_status_name(status));
  cr_expect(holds(t, NULL, "written", NULL));
}
