/* SPDX-License-Identifier: Apache-2.0
 *
 * memtable: order, moves, reads at a sequence, reserves, large entries.
 */
#include "memtable.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "fixture.h"

static nc_env *env;
static atomic_uint_fast64_t budget;
static nacre_error err;

static nc_memtable *make(size_t chunk_bytes) {
  nc_memtable *m;
  if (env == NULL) must(nc_env_create(NULL, &env, &err));
  must(nc_memtable_create(env, NULL, chunk_bytes, &budget, &m, &err));
  return m;
}

static void done(nc_memtable *m) {
  nc_pin_unref(nc_memtable_pin(m));
  cr_assert_eq(atomic_load(&budget), 0);
  nc_env_destroy(env);
  env = NULL;
}

static void add(nc_memtable *m, nacre_slice key, uint64_t sequence, nc_kind kind, nacre_slice value) {
  nc_entry entry = {key, sequence, kind, value};
  must(nc_memtable_reserve(m, 1, key.size + value.size, &err));
  nc_memtable_add(m, &entry);
}

static void put(nc_memtable *m, const char *key, uint64_t sequence, const char *value) {
  add(m, text(key), sequence, NC_KIND_PUT, text(value));
}

static bool reads(nc_memtable *m, const char *key, uint64_t sequence, const char *value) {
  nc_entry entry;
  if (!nc_memtable_get(m, text(key), sequence, &entry)) return value == NULL;
  return value != NULL && entry.sequence <= sequence && slice_is(entry.value, value);
}

/* From where it stands, both ways, over what is older than `hidden`. */
static void passes(nc_cursor *c, uint64_t hidden, const char *forward, const char *backward) {
  const nc_range_span deleted = {text("k0100"), text("k0900"), hidden};
  for (int way = 0; way < 2; way++) {
    const char *expected = way == 0 ? forward : backward;
    must(nc_cursor_seek(c, text("k0500"), NC_SEQUENCE_MAX, &err));
    must(nc_cursor_pass(c, &deleted, way != 0, &err));
    cr_expect_eq(c->valid, expected != NULL);
    if (expected != NULL) cr_expect(slice_is(c->entry.key, expected));
  }
  must(nc_cursor_seek(c, text("k0900"), NC_SEQUENCE_MAX, &err)); /* outside, it stays */
  if (!c->valid) return;
  must(nc_cursor_pass(c, &deleted, true, &err));
  cr_expect(slice_is(c->entry.key, "k0900"));
}

/* A thousand tables with a key each would hold as many chunks. */
Test(memtable, a_small_one_takes_little) {
  enum { CHUNK = 1 << 20 };
  nc_memtable *m = make(CHUNK);
  put(m, "key", 1, "value");
  cr_expect_lt(nc_memtable_bytes(m), CHUNK / 8);
  cr_expect(reads(m, "key", 1, "value"));
  done(m);
}

Test(memtable, a_cursor_passes_what_is_older_than_a_range_delete_at_once) {
  nc_memtable *m = make(1 << 16);
  nc_cursor *c;
  char key[16];
  must(nc_memtable_cursor(m, &c, &err));
  for (int i = 100; i < 900; i++) {
    snprintf(key, sizeof key, "k%04d", i);
    put(m, key, (uint64_t)i, "v");
  }
  passes(c, 2000, NULL, NULL);
  put(m, "k0900", 901, "v");
  put(m, "k0050", 902, "v");
  passes(c, 2000, "k0900", "k0050");
  passes(c, 903, "k0900", "k0050");
  passes(c, 902, "k0500", "k0500"); /* something may be newer: not a step */
  put(m, "k0300", 2001, "newer");
  passes(c, 2000, "k0500", "k0500");
  nc_cursor_close(c);
  done(m);
}

Test(memtable, an_empty_one_has_nothing) {
  nc_memtable *m = make(1 << 16);
  nc_cursor *c;
  must(nc_memtable_cursor(m, &c, &err));
  must(nc_cursor_first(c, &err));
  cr_expect_not(c->valid);
  must(nc_cursor_last(c, &err));
  cr_expect_not(c->valid);
  must(nc_cursor_seek(c, text(""), NC_SEQUENCE_MAX, &err));
  cr_expect_not(c->valid);
  must(nc_cursor_seek_before(c, text("x"), 0, &err));
  cr_expect_not(c->valid);
  cr_expect(reads(m, "", NC_SEQUENCE_MAX, NULL));
  nc_cursor_close(c);
  done(m);
}

Test(memtable, get_sees_the_newest_version_at_or_before_a_sequence) {
  nc_memtable *m = make(1 << 16);
  put(m, "key", 10, "ten");
  put(m, "key", 20, "twenty");
  put(m, "key", 15, "fifteen");
  put(m, "kez", 12, "other");
  cr_expect(reads(m, "key", 9, NULL));
  cr_expect(reads(m, "key", 10, "ten"));
  cr_expect(reads(m, "key", 14, "ten"));
  cr_expect(reads(m, "key", 15, "fifteen"));
  cr_expect(reads(m, "key", 19, "fifteen"));
  cr_expect(reads(m, "key", NC_SEQUENCE_MAX, "twenty"));
  cr_expect(reads(m, "ke", NC_SEQUENCE_MAX, NULL));
  cr_expect(reads(m, "keyy", NC_SEQUENCE_MAX, NULL));
  done(m);
}

Test(memtable, a_delete_is_an_entry) {
  nc_memtable *m = make(1 << 16);
  put(m, "key", 1, "value");
  add(m, text("key"), 2, NC_KIND_DELETE, text(""));
  nc_entry entry;
  cr_assert(nc_memtable_get(m, text("key"), 5, &entry));
  cr_expect_eq(entry.kind, NC_KIND_DELETE);
  cr_expect_eq(nc_memtable_entries(m), 2);
  done(m);
}

/* Keys that share their first eight bytes, end within them, or hold zeros there. */
Test(memtable, keys_order_as_bytes_whatever_their_first_eight_bytes) {
  static const struct {
    const char *bytes;
    size_t size;
  } ordered[] = {{"", 0},
                 {"\0", 1},
                 {"\0\0", 2},
                 {"\0\0\0\0\0\0\0\0", 8},
                 {"\0\0\0\0\0\0\0\0\0", 9},
                 {"\0\1", 2},
                 {"a", 1},
                 {"a\0", 2},
                 {"a\0\0\0\0\0\0\0", 8},
                 {"a\0\0\0\0\0\0\0\0", 9},
                 {"abcdefgh", 8},
                 {"abcdefgh\0", 9},
                 {"abcdefgha", 9},
                 {"abcdefgi", 8},
                 {"\x7f", 1},
                 {"\x80", 1},
                 {"\xff", 1},
                 {"\xff\xff\xff\xff\xff\xff\xff\xff", 8},
                 {"\xff\xff\xff\xff\xff\xff\xff\xff\xff", 9}};
  enum { COUNT = sizeof ordered / sizeof ordered[0] };
  nc_memtable *m = make(1 << 16);
  for (size_t i = 0; i < COUNT; i++) {
    size_t j = i * 7 % COUNT;
    add(m, nc_slice(ordered[j].bytes, ordered[j].size), j + 1, NC_KIND_PUT, text("v"));
  }
  nc_cursor *c;
  must(nc_memtable_cursor(m, &c, &err));
  must(nc_cursor_first(c, &err));
  for (size_t i = 0; i < COUNT; i++) {
    cr_assert(c->valid);
    cr_expect_eq(c->entry.sequence, i + 1);
    must(nc_cursor_next(c, &err));
  }
  cr_expect_not(c->valid);
  must(nc_cursor_last(c, &err));
  for (size_t i = COUNT; i-- > 0;) {
    cr_assert(c->valid);
    cr_expect_eq(c->entry.sequence, i + 1);
    must(nc_cursor_prev(c, &err));
  }
  cr_expect_not(c->valid);
  nc_cursor_close(c);
  done(m);
}

Test(memtable, what_was_reserved_is_there_to_the_last_byte) {
  nc_memtable *m = make(1 << 12);
  for (size_t count = 1; count <= 300; count += 23) {
    size_t before = nc_memtable_bytes(m);
    must(nc_memtable_reserve(m, count, count * 9, &err));
    size_t reserved = nc_memtable_bytes(m);
    cr_expect(reserved >= before);
    for (size_t i = 0; i < count; i++) {
      char key[8];
      snprintf(key, sizeof key, "%03zu-%03zu", count, i);
      nc_entry entry = {nc_slice(key, 7), count * 1000 + i, NC_KIND_PUT, nc_slice("xy", 2)};
      nc_memtable_add(m, &entry);
    }
    cr_expect_eq(nc_memtable_bytes(m), reserved, "adding what was reserved allocates nothing");
  }
  cr_expect_eq(atomic_load(&budget), nc_memtable_bytes(m));
  done(m);
}

Test(memtable, holds_the_longest_key_and_a_large_value) {
  nc_memtable *m = make(1 << 12);
  uint8_t *key = test_alloc(NACRE_KEY_BYTES_MAX), *value = test_alloc(10 << 20);
  memset(key, 'k', NACRE_KEY_BYTES_MAX);
  test_value_make(value, 10 << 20, 1, 2, 3);
  add(m, nc_slice(key, NACRE_KEY_BYTES_MAX), 1, NC_KIND_PUT, nc_slice(value, 10 << 20));
  add(m, nc_slice(key, NACRE_KEY_BYTES_MAX - 1), 2, NC_KIND_PUT, text("shorter"));
  nc_entry entry;
  cr_assert(nc_memtable_get(m, nc_slice(key, NACRE_KEY_BYTES_MAX), 9, &entry));
  cr_expect(nc_slice_equal(entry.value, nc_slice(value, 10 << 20)));
  cr_expect(nc_slice_equal(entry.key, nc_slice(key, NACRE_KEY_BYTES_MAX)));
  cr_assert(nc_memtable_get(m, nc_slice(key, NACRE_KEY_BYTES_MAX - 1), 9, &entry));
  cr_expect(slice_is(entry.value, "shorter"));
  free(key);
  free(value);
  done(m);
}

Test(memtable, a_cursor_keeps_the_memtable) {
  nc_memtable *m = make(1 << 12);
  put(m, "key", 1, "value");
  nc_cursor *c;
  must(nc_memtable_cursor(m, &c, &err));
  nc_pin_unref(nc_memtable_pin(m));
  must(nc_cursor_first(c, &err));
  cr_expect(c->valid && slice_is(c->entry.value, "value"));
  cr_expect_eq(c->pin, nc_memtable_pin(m));
  nc_cursor_close(c);
  cr_expect_eq(atomic_load(&budget), 0);
  nc_env_destroy(env);
}

/* ---- against a sorted array ---------------------------------------------------------------------------- */

enum { RANDOM_ENTRIES = 1500, KEY_BYTES = 40 };
typedef struct item {
  char key[KEY_BYTES];
  size_t size;
  uint64_t sequence;
} item;

static nacre_slice item_key(const item *i) { return nc_slice(i->key, i->size); }

static int by_order(const void *a, const void *b) {
  const item *x = a, *y = b;
  return nc_entry_compare(item_key(x), x->sequence, item_key(y), y->sequence);
}

static bool stands_at(const nc_cursor *c, const item *items, size_t i) {
  if (i >= RANDOM_ENTRIES) return !c->valid;
  return c->valid && nc_slice_equal(c->entry.key, item_key(&items[i])) &&
         c->entry.sequence == items[i].sequence;
}

/* Key number `i` of a kind of keys; `n` below 1,000 is random. */
static void make_key(item *to, int kind, size_t i, uint64_t n) {
  static const char *const streams[] = {"orders/", "customers/of/the/north/", "o", ""};
  int size = 0;
  switch (kind) {
    case 0: /* few bytes, and many versions */
      size = snprintf(to->key, KEY_BYTES, "key%llu", (unsigned long long)(n % 400));
      break;
    case 1: /* a long common beginning */
      size = snprintf(to->key, KEY_BYTES, "the/same/for/all/%016llu", (unsigned long long)(n * n));
      break;
    case 2: /* ascending streams that come in turns */
      size = snprintf(to->key, KEY_BYTES, "%s%08zu", streams[i % 3], i);
      break;
    case 3: /* descending */
      size = snprintf(to->key, KEY_BYTES, "%s%08zu", streams[i % 4], RANDOM_ENTRIES - i);
      break;
    case 4: /* hardly any keys */
      size = snprintf(to->key, KEY_BYTES, "same beginning %llu", (unsigned long long)(n % 3));
      break;
    case 5: /* beginnings that become shorter */
      memset(to->key, 'x', KEY_BYTES);
      size = KEY_BYTES - 1 - (int)(i / 60 % 30);
      to->key[size - 1] = (char)(n & 0xff);
      break;
    case 6: /* bytes of all kinds, some keys the beginnings of others */
      size = (int)(n % 7);
      memset(to->key, (n / 7) % 2 == 0 ? 0 : 0xff, (size_t)size);
      if (size > 0) to->key[size - 1] = (char)(n / 14);
      break;
    default: /* one after the other */
      size = snprintf(to->key, KEY_BYTES, "%012zu", i);
      break;
  }
  to->size = (size_t)size;
}
enum { KINDS = 8 };

static void check_gets(nc_memtable *m, const item *items, const item *wanted, size_t at) {
  nc_entry entry;
  bool there = at < RANDOM_ENTRIES && nc_slice_equal(item_key(&items[at]), item_key(wanted));
  cr_assert_eq(nc_memtable_get(m, item_key(wanted), wanted->sequence, &entry), there);
  if (there) cr_assert_eq(entry.sequence, items[at].sequence);
}

static void check_moves(nc_cursor *c, const item *items, const item *wanted, size_t at) {
  must(nc_cursor_seek(c, item_key(wanted), wanted->sequence, &err));
  cr_assert(stands_at(c, items, at));
  if (!c->valid) return;
  must(nc_cursor_prev(c, &err));
  cr_assert(stands_at(c, items, at == 0 ? RANDOM_ENTRIES : at - 1));
  if (!c->valid) return;
  must(nc_cursor_next(c, &err));
  cr_assert(stands_at(c, items, at));
  must(nc_cursor_seek_before(c, item_key(wanted), wanted->sequence, &err));
  cr_assert(stands_at(c, items, at - 1));
}

static void check_scans(nc_cursor *c, const item *items) {
  size_t i = 0;
  for (must(nc_cursor_first(c, &err)); c->valid; must(nc_cursor_next(c, &err)))
    cr_assert(stands_at(c, items, i++));
  cr_assert_eq(i, (size_t)RANDOM_ENTRIES);
  for (must(nc_cursor_last(c, &err)); c->valid; must(nc_cursor_prev(c, &err)))
    cr_assert(stands_at(c, items, --i));
  cr_assert_eq(i, 0);
}

static void compare_with_array(int kind) {
  test_random random = {test_seed("memtable", 11) + (uint64_t)kind};
  static item items[RANDOM_ENTRIES];
  nc_memtable *m = make(1 << 14);
  for (size_t i = 0; i < RANDOM_ENTRIES; i++) {
    make_key(&items[i], kind, i, test_random_below(&random, 1000));
    items[i].sequence = i + 1;
    add(m, item_key(&items[i]), items[i].sequence, NC_KIND_PUT, text("v"));
  }
  qsort(items, RANDOM_ENTRIES, sizeof items[0], by_order);
  nc_cursor *c;
  must(nc_memtable_cursor(m, &c, &err));
  check_scans(c, items);
  for (int round = 0; round < 2000; round++) {
    item wanted;
    make_key(&wanted, (int)test_random_below(&random, 4) == 0 ? (kind + 1) % KINDS : kind,
             (size_t)test_random_below(&random, RANDOM_ENTRIES + 100), test_random_below(&random, 1000));
    wanted.sequence = test_random_below(&random, RANDOM_ENTRIES + 2);
    size_t at = 0;
    while (at < RANDOM_ENTRIES && by_order(&items[at], &wanted) < 0) at++;
    check_gets(m, items, &wanted, at);
    check_moves(c, items, &wanted, at);
  }
  nc_cursor_close(c);
  done(m);
}

Test(memtable, agrees_with_a_sorted_array) {
  for (int kind = 0; kind < KINDS; kind++) compare_with_array(kind);
}

/* ---- what it takes ------------------------------------------------------------------------------------- */

/* Keys that come in order, forward or backward, whole or in several streams, fill the tree's nodes; so do the
 * versions of one key. */
Test(memtable, what_comes_in_order_takes_little_room) {
  enum { COUNT = 20000, RECORD = 16 + 24 };
  for (int kind = 0; kind < 4; kind++) {
    nc_memtable *m = make(1 << 16);
    for (size_t i = 0; i < COUNT; i++) {
      char key[32];
      size_t n = kind == 1 ? COUNT - i : kind == 3 ? 0 : i;
      (void)snprintf(key, sizeof key, "%04zu/%019zu", kind == 2 ? i % 5 : 0, n);
      add(m, nc_slice(key, 24), i + 1, NC_KIND_PUT, text(""));
    }
    size_t each = nc_memtable_bytes(m) / COUNT;
    cr_expect(each < RECORD + 55, "%zu bytes an entry in kind %d", each, kind);
    done(m);
  }
}

/* A batch is reserved as a whole, into a tree whose leaves are all full and must all split. */
Test(memtable, a_reserve_holds_where_every_leaf_splits) {
  enum { LEAVES = 400, LEAF_SLOTS = 13, COUNT = LEAVES * LEAF_SLOTS };
  nc_memtable *m = make(1 << 12);
  for (size_t i = 0; i < COUNT; i++) {
    char key[32];
    (void)snprintf(key, sizeof key, "%08zu", i * 10);
    add(m, nc_slice(key, 8), i + 1, NC_KIND_PUT, text("v"));
  }
  must(nc_memtable_reserve(m, LEAVES, (size_t)LEAVES * 9, &err));
  size_t reserved = nc_memtable_bytes(m);
  for (size_t i = 0; i < LEAVES; i++) {
    char key[32];
    (void)snprintf(key, sizeof key, "%08zu", (i * LEAF_SLOTS + i % LEAF_SLOTS) * 10 + 5);
    nc_entry entry = {nc_slice(key, 8), COUNT + i + 1, NC_KIND_PUT, nc_slice("v", 1)};
    nc_memtable_add(m, &entry);
  }
  cr_expect_eq(nc_memtable_bytes(m), reserved);
  cr_expect_eq(atomic_load(&budget), reserved);
  done(m);
}
