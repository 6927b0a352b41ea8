/* SPDX-License-Identifier: Apache-2.0
 *
 * Puts that expire: seen before their moment and not from it on, by a clock that the test moves; for
 * snapshots and iterators by the moment at which they began; and gone from segments in time.
 */
#include "expiry.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "expiry_tally.h"
#include "one_table.h"
#include "table.h"

static uint64_t now_ms;
static void (*while_looking)(void); /* happens while somebody looks at the clock, once */

static uint64_t test_wall_ms(void *context) {
  uint64_t looked_ms = now_ms;
  void (*happens)(void) = while_looking;
  (void)context;
  while_looking = NULL;
  if (happens != NULL) happens();
  return looked_ms;
}

static void setup(void) {
  now_ms = 1000000;
  site_make(&s);
  s.quick.wall_ms = test_wall_ms;
  one_table_open();
}

TestSuite(expiry, .init = setup, .fini = one_table_remove);

static void put_until(const char *key, const char *value, uint64_t expire_at_ms) {
  ok(nacre_put(t, text(key), text(value), &(nacre_write_options){.expire_at_ms = expire_at_ms}));
}

static uint64_t entries_kept(void) {
  nacre_stats stats;
  ok(nacre_table_stats(t, &stats));
  return stats.segment_entries;
}

/* The keys that an iterator shows, one letter each, forward, backward and many at once. */
static bool walks(nacre_iter *it, const char *letters) {
  size_t count = strlen(letters), at = 0;
  nacre_entry entries[8];
  for (nacre_iter_first(it); nacre_iter_valid(it); nacre_iter_next(it), at++)
    if (at >= count || *(const char *)nacre_iter_key(it).data != letters[at]) return false;
  if (at != count) return false;
  for (nacre_iter_last(it); nacre_iter_valid(it); nacre_iter_prev(it), at--)
    if (at == 0 || *(const char *)nacre_iter_key(it).data != letters[at - 1]) return false;
  if (at != 0) return false;
  nacre_iter_first(it);
  for (size_t got; (got = nacre_iter_read(it, entries, 8)) > 0; at += got) {
    for (size_t i = 0; i < got; i++)
      if (at + i >= count || *(const char *)entries[i].key.data != letters[at + i]) return false;
  }
  ok(nacre_iter_status(it));
  return at == count;
}

static bool shows(const char *letters) {
  nacre_iter *it;
  ok(nacre_iter_open(t, NULL, &it));
  bool same = walks(it, letters);
  nacre_iter_close(it);
  return same;
}

Test(expiry, a_key_is_seen_before_its_moment_only) { /* [E3] */
  put_text(t, "a", "stays", false);
  put_until("b", "goes", now_ms + 10);
  put_until("c", "", now_ms + 20);
  for (int pass = 0; pass < 4; pass++) {
    uint64_t began = now_ms;
    cr_assert(holds(t, NULL, "b", "goes") && holds(t, NULL, "c", "") && shows("abc"));
    now_ms = began + 9;
    cr_assert(holds(t, NULL, "b", "goes"));
    now_ms = began + 10;
    cr_assert(holds(t, NULL, "b", NULL) && holds(t, NULL, "c", "") && shows("ac"));
    now_ms = began + 20;
    cr_assert(holds(t, NULL, "c", NULL) && holds(t, NULL, "a", "stays") && shows("a"));
    now_ms = began; /* a clock that is set back: nothing has been removed yet */
    if (pass == 0) one_table_reopen();
    if (pass == 1) ok(nacre_flush(t));
    if (pass == 2) compact_all();
  }
}

Test(expiry, every_way_to_read_agrees) {
  char buffer[16];
  size_t size;
  nacre_slice keys[] = {text("gone"), text("here")};
  nacre_value values[2];
  nacre_status statuses[2];
  put_until("gone", "value", now_ms);
  put_until("here", "value", now_ms + 1);
  fails(nacre_get_into(t, text("gone"), NULL, buffer, sizeof buffer, &size), NC_E_KEY_NOT_FOUND);
  ok(nacre_get_into(t, text("here"), NULL, buffer, sizeof buffer, &size));
  cr_assert(size == 5 && memcmp(buffer, "value", 5) == 0);
  fails(nacre_get_into(t, text("here"), NULL, buffer, 4, &size), NC_E_BUFFER_SMALL);
  cr_assert_eq(size, 5);
  ok(nacre_multi_get(t, 2, keys, NULL, values, statuses));
  cr_assert(statuses[0] == NACRE_NOT_FOUND && statuses[1] == NACRE_OK);
  cr_assert(slice_is(nc_slice(values[1].data, values[1].size), "value"));
  nacre_value_release(&values[1]);
}

/* Whichever way the iterator came to an entry, and wherever that stands. */
Test(expiry, iterators_tell_when) {
  put_until("a", "1", now_ms + 10);
  put_text(t, "b", "stays", false);
  uint8_t *large = test_alloc(2 << 20);
  ok(nacre_put(t, text("c"), nc_slice(large, 2 << 20), &(nacre_write_options){.expire_at_ms = now_ms + 30}));
  free(large);
  uint64_t wanted[] = {now_ms + 10, 0, now_ms + 30};
  for (int pass = 0; pass < 2; pass++) {
    nacre_iter *it;
    ok(nacre_iter_open(t, NULL, &it));
    cr_assert_eq(nacre_iter_expire_at_ms(it), 0);
    size_t i = 0;
    for (nacre_iter_first(it); nacre_iter_valid(it); nacre_iter_next(it))
      cr_assert_eq(nacre_iter_expire_at_ms(it), wanted[i++]);
    for (nacre_iter_last(it); nacre_iter_valid(it); nacre_iter_prev(it))
      cr_assert_eq(nacre_iter_expire_at_ms(it), wanted[--i]);
    nacre_entry entries[2];
    nacre_iter_first(it);
    while ((i = nacre_iter_read(it, entries, 2)) > 0) {
      size_t at = (size_t)(*(const char *)entries[i - 1].key.data - 'a');
      cr_assert_eq(nacre_iter_expire_at_ms(it), wanted[at]);
    }
    cr_assert_eq(nacre_iter_expire_at_ms(it), 0);
    nacre_iter_close(it);
    ok(nacre_flush(t));
  }
}

Test(expiry, an_older_version_does_not_come_to_light) {
  put_text(t, "a", "older", false);
  ok(nacre_flush(t));
  put_until("a", "newer", now_ms + 10);
  now_ms += 10;
  cr_assert(holds(t, NULL, "a", NULL));
  ok(nacre_flush(t)); /* leaves a delete: something older lies beneath */
  cr_assert(holds(t, NULL, "a", NULL) && shows(""));
  now_ms -= 10;
  cr_assert(holds(t, NULL, "a", NULL), "removed, whatever the clock says");
  compact_all();
  cr_assert_eq(entries_kept(), 0);
}

Test(expiry, a_newer_put_takes_its_place) {
  put_until("a", "short", now_ms + 10);
  put_text(t, "a", "stays", false);
  put_text(t, "b", "stays", false);
  put_until("b", "short", now_ms + 10);
  now_ms += 10;
  cr_assert(holds(t, NULL, "a", "stays") && holds(t, NULL, "b", NULL) && shows("a"));
  compact_all();
  cr_assert(holds(t, NULL, "a", "stays") && holds(t, NULL, "b", NULL));
  cr_assert_eq(entries_kept(), 1);
}

Test(expiry, snapshots_and_iterators_judge_by_when_they_began) {
  nacre_snapshot *before, *after;
  nacre_iter *it;
  put_until("a", "value", now_ms + 10);
  put_text(t, "b", "value", false);
  ok(nacre_snapshot_take(t, &before));
  ok(nacre_iter_open(t, NULL, &it));
  now_ms += 10;
  ok(nacre_snapshot_take(t, &after));
  for (int pass = 0; pass < 3; pass++) {
    cr_assert(holds(t, before, "a", "value") && holds(t, after, "a", NULL) && holds(t, NULL, "a", NULL));
    cr_assert(walks(it, "ab") && shows("b"));
    if (pass == 0) ok(nacre_flush(t));
    if (pass == 1) compact_all();
  }
  nacre_iter_close(it);
  nacre_read_options options = {.snapshot = before};
  ok(nacre_iter_open(t, &options, &it));
  cr_assert(walks(it, "ab"));
  nacre_iter_close(it);
  cr_assert_eq(entries_kept(), 2, "a snapshot still sees it");
  nacre_snapshot_release(before);
  nacre_snapshot_release(after);
  compact_all();
  cr_assert_eq(entries_kept(), 1);
}

static void merge_after_expiry(void) {
  now_ms += 1000;
  compact_all();
}

Test(expiry, a_merge_takes_nothing_from_a_snapshot_that_is_being_taken) {
  nacre_snapshot *before;
  nacre_value value;
  put_until("a", "1", now_ms + 500);
  while_looking = merge_after_expiry;
  ok(nacre_snapshot_take(t, &before));
  cr_assert_null(while_looking);
  ok(nacre_get(t, text("a"), &(nacre_read_options){.snapshot = before}, &value));
  nacre_value_release(&value);
  nacre_snapshot_release(before);
  compact_all();
  cr_assert_eq(entries_kept(), 0);
}

Test(expiry, batches_say_it_for_each_key) {
  nacre_batch *batch;
  ok(nacre_batch_create(&batch));
  ok(nacre_batch_put_expiring(batch, text("a"), text("1"), now_ms + 10));
  ok(nacre_batch_put_expiring(batch, text("b"), text("2"), 0));
  ok(nacre_batch_put(batch, text("c"), text("3")));
  fails(nacre_batch_put_expiring(batch, (nacre_slice){NULL, 0}, text("2"), 1), NC_E_ARGUMENT);
  fails(nacre_batch_put_expiring(batch, text("k"), nc_slice(batch, SIZE_MAX), 1), NC_E_VALUE_TOO_LARGE);
  ok(nacre_write(t, batch, NULL));
  nacre_batch_clear(batch);
  ok(nacre_batch_put(batch, text("d"), text("4")));
  nacre_write_options options = {.expire_at_ms = 1};
  fails(nacre_write(t, batch, &options), NC_E_ARGUMENT);
  fails(nacre_delete(t, text("a"), &options), NC_E_ARGUMENT);
  fails(nacre_delete_range(t, text("a"), text("b"), &options), NC_E_ARGUMENT);
  cr_assert(shows("abc"));
  now_ms += 10;
  cr_assert(shows("bc"));
  nacre_batch_clear(batch);
  ok(nacre_batch_expect(batch, text("a"), NULL)); /* it is not there any more */
  ok(nacre_batch_put(batch, text("a"), text("again")));
  ok(nacre_write(t, batch, NULL));
  nacre_batch_destroy(batch);
  cr_assert(shows("abc"));
}

/* In a file of its own, by a put and by a batch. */
Test(expiry, large_values_expire) {
  enum { BYTES = 100000 };
  char *value = calloc(1, BYTES);
  nacre_table_options options = {.large_value_bytes = BYTES / 2};
  ok(nacre_table_close(t));
  ok(nacre_table_create(store, "large", &options, &t));
  nacre_batch *batch;
  nacre_write_options until = {.expire_at_ms = now_ms + 10};
  ok(nacre_put(t, text("a"), nc_slice(value, BYTES), &until));
  ok(nacre_batch_create(&batch));
  ok(nacre_batch_put_expiring(batch, text("b"), nc_slice(value, BYTES), now_ms + 20));
  ok(nacre_batch_put_expiring(batch, text("c"), text("small"), now_ms + 20));
  ok(nacre_write(t, batch, NULL));
  nacre_batch_destroy(batch);
  for (int pass = 0; pass < 2; pass++) {
    uint64_t began = now_ms;
    size_t size = 0;
    cr_assert(shows("abc"));
    ok(nacre_get_into(t, text("b"), NULL, value, BYTES, &size));
    cr_assert_eq(size, BYTES);
    now_ms = began + 10;
    cr_assert(holds(t, NULL, "a", NULL) && shows("bc"));
    now_ms = began + 20;
    cr_assert(shows(""));
    now_ms = began;
    ok(nacre_flush(t));
  }
  now_ms += 20;
  compact_all();
  nacre_stats stats;
  ok(nacre_table_stats(t, &stats));
  cr_assert_eq(stats.segment_entries, 0);
  free(value);
  char directory[PATH_BYTES];
  one_table_close();
  site_table_path(&s, "large", directory);
  cr_assert_eq(count_files(directory, ".val"), 0);
  t = site_table(&s, &store, "table");
}

Test(expiry, salvage_keeps_the_moment) {
  char to[PATH_BYTES];
  nacre_store_options source = s.options;
  source.create = false;
  nacre_salvage_report report = {0};
  nacre_salvage_options options = {.to = to, .source = &source};
  put_until("a", "value", now_ms + 10);
  ok(nacre_flush(t));
  put_until("b", "value", now_ms + 20);
  one_table_close();
  join(to, s.path, "salvaged");
  ok(nacre_salvage(s.store, "table", &options, &report));
  nacre_faults_free(report.faults);
  snprintf(s.store, sizeof s.store, "%s", to);
  store = site_open(&s);
  ok(nacre_table_open(store, "table", NULL, &t));
  cr_assert(holds(t, NULL, "a", "value") && shows("ab"));
  now_ms += 10;
  cr_assert(shows("b"));
  now_ms += 10;
  cr_assert(shows(""));
}

Test(expiry, verify_and_range_deletes_know_them) {
  nacre_verify_report report = {0};
  put_until("a", "value", now_ms + 10);
  put_until("b", "value", now_ms + 10);
  ok(nacre_delete_range(t, text("a"), text("b"), NULL));
  ok(nacre_flush(t));
  cr_assert(shows("b"));
  ok(nacre_verify(t, NULL, &report));
  cr_assert_eq(report.fault_count, 0);
  nacre_faults_free(report.faults);
}

/* ---- what goes by itself ------------------------------------------------------------------------------- */

enum { MANY = 200 };

static void put_many(unsigned from, unsigned to, uint64_t expire_at_ms) {
  for (unsigned i = from; i < to; i++) {
    char key[16];
    snprintf(key, sizeof key, "k%04u", i);
    put_until(key, "a value of some length", expire_at_ms);
  }
}

/* A write of something else, and a look at what is worth merging after it. */
static void stir(void) {
  put_text(t, "z", "another", false);
  ok(nacre_flush(t));
}

static void spoil_segment(void) {
  char uuid[NC_UUID_TEXT_BYTES], directory[PATH_BYTES], path[PATH_BYTES];
  nc_uuid_format(&t->uuid, uuid);
  join(directory, s.store, uuid);
  only_file(directory, ".seg", path);
  file_flip(path, 8192 + 40);
}

static void is_sound(void) {
  nacre_verify_report report = {0};
  ok(nacre_verify(t, NULL, &report));
  cr_expect_eq(report.fault_count, 0);
  nacre_faults_free(report.faults);
}

/* Were it read, its damage would be met. */
Test(expiry, a_segment_of_which_all_has_expired_goes_unread) {
  put_many(0, MANY, 2000000);
  put_until("k0100", "", 2500000);
  compact_all();
  is_sound();
  spoil_segment();
  now_ms = 2400000;
  stir();
  cr_expect_eq(entries_kept(), MANY + 1, "the last one has not expired");
  now_ms = 2500000;
  stir();
  cr_expect(entries_kept() <= 2, "%d entries", (int)entries_kept());
  cr_expect_eq(nacre_compact(t, (nacre_slice){NULL, 0}, (nacre_slice){NULL, 0}), NACRE_OK);
  is_sound();
}

Test(expiry, what_hides_something_older_stays_until_that_is_gone) {
  put_many(0, MANY, 0);
  compact_all();
  put_many(0, MANY, 2000000);
  ok(nacre_flush(t));
  now_ms = 3000000;
  for (int i = 0; i < 3; i++) stir();
  cr_expect(holds(t, NULL, "k0007", NULL), "what is older stays hidden");
  one_table_reopen();
  cr_expect(holds(t, NULL, "k0007", NULL));
  compact_all();
  cr_expect_eq(entries_kept(), 1);
  now_ms = 1500000; /* the clock is set back: what is gone is gone */
  cr_expect(holds(t, NULL, "k0007", NULL));
}

Test(expiry, a_snapshot_keeps_what_it_sees) {
  put_many(0, MANY, 2000000);
  compact_all();
  nacre_snapshot *snapshot;
  ok(nacre_snapshot_take(t, &snapshot));
  now_ms = 3000000;
  stir();
  cr_expect(entries_kept() > MANY && holds(t, snapshot, "k0007", "a value of some length"));
  nacre_snapshot_release(snapshot);
  stir();
  cr_expect(entries_kept() <= 2, "%d entries", (int)entries_kept());
}

Test(expiry, a_segment_of_which_half_has_expired_is_written_again) {
  put_many(0, MANY / 2, 2000000);
  put_many(MANY / 2, MANY, 0);
  compact_all();
  now_ms = 1999999;
  stir();
  cr_expect_eq(entries_kept(), MANY + 1);
  now_ms = 2000000;
  stir();
  cr_expect(entries_kept() <= MANY / 2 + 2, "%d entries", (int)entries_kept());
  cr_expect(holds(t, NULL, "k0150", "a value of some length") && holds(t, NULL, "k0050", NULL));
  is_sound();
}

/* The moments of many, sampled. */
Test(expiry, half_of_a_segment_is_found_among_many) {
  nc_expiry_tally tally = {0};
  nc_heap *heap = t->shared->env->heap;
  nacre_error err;
  uint8_t value[NC_EXPIRY_BYTES];
  nc_entry entry = {.key = text("k"), .kind = NC_KIND_EXPIRING, .value = nc_slice(value, sizeof value)};
  for (uint64_t i = 0; i < 100000; i++) {
    nc_put_u64(value, 1000 + i * 7919 % 100000);
    must(nc_expiry_tally_add(&tally, heap, &entry, &err));
  }
  uint64_t half = nc_expiry_tally_half(&tally, 100000);
  cr_expect(half > 47000 && half < 55000, "%d", (int)half);
  cr_expect_eq(nc_expiry_tally_all(&tally), 100999);
  cr_expect(nc_expiry_tally_half(&tally, 190000) > 90000, "of more entries, later");
  cr_expect_eq(nc_expiry_tally_half(&tally, 200001), 0, "fewer than half expire");
  entry.kind = NC_KIND_PUT;
  must(nc_expiry_tally_add(&tally, heap, &entry, &err));
  cr_expect_eq(nc_expiry_tally_all(&tally), 0, "one never will");
  nc_expiry_tally_deinit(&tally, heap);
}
