/* SPDX-License-Identifier: Apache-2.0
 *
 * fold_cursor: what stays is what somebody can still see, and no more than one version a snapshot.
 */
#include "fold_cursor.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "fakes.h"
#include "fixture.h"

enum { ENTRIES = 120, SNAPSHOTS_MAX = 6 };
static nacre_error err;
static nc_heap *heap;
static fake_entry entries[ENTRIES], kept[ENTRIES];
static bool new_key[ENTRIES];

/* Folds the first `count` entries; returns how many stay. */
static size_t fold(size_t count, const uint64_t *snapshots, size_t snapshot_count, bool bottom) {
  nc_fold f;
  nc_cursor *from = fake_cursor(entries, count, NULL);
  nc_beneath nothing = {0};
  must(nc_fold_begin(&f, from, snapshots, snapshot_count, bottom ? &nothing : NULL, heap, &err));
  must(nc_cursor_first(from, &err));
  size_t n = 0;
  for (;; n++) {
    bool fresh = false;
    must(nc_fold_settle(&f, &fresh, &err));
    if (!from->valid) break;
    memcpy(&kept[n], from->entry.value.data, sizeof kept[n]);
    new_key[n] = fresh;
    must(nc_cursor_next(from, &err));
  }
  nc_fold_end(&f);
  nc_cursor_close(from);
  return n;
}

static void setup(void) { must(nc_heap_create(&heap, &err)); }
static void teardown(void) {
  cr_expect_eq(nc_heap_bytes(heap), 0);
  nc_heap_destroy(heap);
}
TestSuite(fold_cursor, .init = setup, .fini = teardown);

/* The newest of `list` at or before a moment: NULL when there is none. */
static const fake_entry *visible(const fake_entry *list, size_t count, const char *key, uint64_t moment) {
  for (size_t i = 0; i < count; i++) {
    if (strcmp(list[i].key, key) == 0 && list[i].sequence <= moment) return &list[i];
  }
  return NULL;
}

/* What a reader at `moment` gets from a list: at the bottom a delete is as good as nothing. */
static uint64_t answer(const fake_entry *list, size_t count, const char *key, uint64_t moment, bool bottom) {
  const fake_entry *e = visible(list, count, key, moment);
  if (e == NULL || (bottom && e->kind == NC_KIND_DELETE)) return 0;
  return e->sequence;
}

static void make_entries(test_random *random) {
  for (size_t i = 0; i < ENTRIES; i++) {
    snprintf(entries[i].key, sizeof entries[i].key, "k%llu",
             (unsigned long long)test_random_below(random, 15));
    entries[i].sequence = i + 1;
    entries[i].kind = test_random_chance(random, 3) ? NC_KIND_DELETE : NC_KIND_PUT;
  }
  qsort(entries, ENTRIES, sizeof entries[0], fake_order);
}

static size_t make_snapshots(test_random *random, uint64_t *list) {
  size_t count = 0;
  uint64_t next = 0;
  while (count < SNAPSHOTS_MAX && test_random_below(random, 6) != 0) {
    next += test_random_below(random, 40); /* equal ones happen */
    list[count++] = next;
  }
  return count;
}

/* Whether some moment that a reader may be at shows exactly this entry. */
static bool anybody_sees(const fake_entry *e, const uint64_t *snapshots, size_t count) {
  for (size_t s = 0; s <= count; s++) {
    const fake_entry *shown = visible(entries, ENTRIES, e->key, s == count ? UINT64_MAX : snapshots[s]);
    if (shown != NULL && shown->sequence == e->sequence) return true;
  }
  return false;
}

Test(fold_cursor, agrees_with_a_model_of_visibility) {
  test_random random = {test_seed("fold_cursor", 31)};
  for (int round = 0; round < 300; round++) {
    uint64_t snapshots[SNAPSHOTS_MAX];
    make_entries(&random);
    size_t count = make_snapshots(&random, snapshots);
    bool bottom = round % 2 == 0;
    size_t n = fold(ENTRIES, snapshots, count, bottom);
    for (size_t i = 1; i < n; i++) cr_assert(fake_order(&kept[i - 1], &kept[i]) < 0);
    for (size_t i = 0; i < n; i++)
      cr_assert_eq(new_key[i], i == 0 || strcmp(kept[i - 1].key, kept[i].key) != 0);
    for (size_t k = 0; k < 15; k++) {
      char key[12];
      snprintf(key, sizeof key, "k%zu", k);
      for (size_t s = 0; s <= count; s++) {
        uint64_t moment = s == count ? UINT64_MAX : snapshots[s];
        cr_assert_eq(answer(kept, n, key, moment, bottom), answer(entries, ENTRIES, key, moment, bottom),
                     "round %d: %s at %llu", round, key, (unsigned long long)moment);
      }
    }
  }
}

Test(fold_cursor, keeps_nothing_that_nobody_sees) {
  test_random random = {test_seed("fold_cursor", 32)};
  for (int round = 0; round < 300; round++) {
    uint64_t snapshots[SNAPSHOTS_MAX];
    make_entries(&random);
    size_t count = make_snapshots(&random, snapshots);
    size_t n = fold(ENTRIES, snapshots, count, round % 2 == 0);
    for (size_t i = 0; i < n; i++) cr_assert(anybody_sees(&kept[i], snapshots, count));
  }
}

static void set(size_t i, const char *key, uint64_t sequence, nc_kind kind) {
  snprintf(entries[i].key, sizeof entries[i].key, "%s", key);
  entries[i].sequence = sequence;
  entries[i].kind = kind;
}

Test(fold_cursor, a_delete_stays_while_something_older_may_lie_beneath) {
  set(0, "a", 5, NC_KIND_DELETE);
  set(1, "a", 3, NC_KIND_PUT);
  cr_expect_eq(fold(2, NULL, 0, false), 1);
  cr_expect_eq(kept[0].kind, NC_KIND_DELETE);
  cr_expect_eq(fold(2, NULL, 0, true), 0);
}

Test(fold_cursor, at_the_bottom_a_delete_stays_while_a_snapshot_sees_what_it_hides) {
  uint64_t snapshot = 3;
  set(0, "a", 5, NC_KIND_DELETE);
  set(1, "a", 3, NC_KIND_PUT);
  cr_expect_eq(fold(2, &snapshot, 1, true), 2);
  set(0, "a", 3, NC_KIND_DELETE);
  set(1, "a", 2, NC_KIND_PUT);
  cr_expect_eq(fold(2, &snapshot, 1, true), 0, "the snapshot sees that it is gone");
}

Test(fold_cursor, a_dropped_delete_still_hides_what_is_older) {
  uint64_t snapshot = 9;
  set(0, "a", 7, NC_KIND_DELETE);
  set(1, "a", 6, NC_KIND_PUT);
  set(2, "a", 5, NC_KIND_PUT);
  set(3, "b", 1, NC_KIND_PUT);
  cr_assert_eq(fold(4, &snapshot, 1, true), 1);
  cr_expect_str_eq(kept[0].key, "b");
  cr_expect(new_key[0]);
}
