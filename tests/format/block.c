/* SPDX-License-Identifier: Apache-2.0
 *
 * Sorted blocks: every way to walk them agrees with a sorted array, and damage is refused without a wild read.
 */
#include "block.h"

#include <stdio.h>
#include <stdlib.h>

#include "block_posts.h"
#include "support.h"

enum { KEY_MAX = 24, VALUE_MAX = 140, SMALL_VALUE_MAX = 40, POST_GAP = 60 };

/* --- a model: the sorted array ------------------------------------------------------------------------------------ */

typedef struct model_entry {
  uint8_t key[KEY_MAX], value[VALUE_MAX];
  size_t key_size, value_size;
  uint64_t sequence;
  nc_kind kind;
} model_entry;

typedef struct model {
  model_entry *entries;
  size_t count;
  uint8_t *bytes;
  nacre_slice block;
} model;

static nc_entry as_entry(const model_entry *m) {
  return (nc_entry){nc_slice(m->key, m->key_size), m->sequence, m->kind, nc_slice(m->value, m->value_size)};
}

static int compare(const void *a, const void *b) {
  nc_entry x = as_entry(a), y = as_entry(b);
  return nc_entry_compare(x.key, x.sequence, y.key, y.sequence);
}

/* Keys of few letters, 0 one of them at times, and many lengths: long shared prefixes, several versions of a key,
 * the empty key. */
static model_entry random_entry(random_source *random, unsigned letters, char lowest) {
  model_entry m = {.key_size = (size_t)random_below(random, KEY_MAX + 1),
                   .sequence = 1 + random_below(random, 1000)};
  for (size_t i = 0; i < m.key_size; i++)
    m.key[i] = (uint8_t)((unsigned char)lowest + random_below(random, letters));
  m.kind = random_below(random, 5) == 0 ? NC_KIND_DELETE : NC_KIND_PUT;
  if (m.kind == NC_KIND_PUT) m.value_size = (size_t)random_below(random, SMALL_VALUE_MAX + 1);
  random_fill(random, m.value, m.value_size);
  return m;
}

/* With `large` values there is room for a signpost at every entry. */
static model make_model(random_source *random, size_t count, unsigned letters, char lowest, bool large) {
  model m = {.entries = malloc((count + 1) * sizeof(model_entry))};
  for (size_t i = 0; i < count; i++) {
    m.entries[i] = random_entry(random, letters, lowest);
    if (!large) continue;
    m.entries[i].kind = NC_KIND_PUT;
    m.entries[i].value_size = VALUE_MAX - (size_t)random_below(random, VALUE_MAX - POST_GAP);
    random_fill(random, m.entries[i].value, m.entries[i].value_size);
  }
  qsort(m.entries, count, sizeof m.entries[0], compare);
  size_t capacity = NC_BLOCK_TRAILER_BYTES + count * nc_block_bound(KEY_MAX, VALUE_MAX);
  uint8_t *work = malloc(capacity), *last_key = malloc(NACRE_KEY_BYTES_MAX);
  nc_block_builder b;
  nc_block_begin(&b, work, capacity, last_key);
  for (size_t i = 0; i < count; i++) {
    nc_entry entry = as_entry(&m.entries[i]);
    if (m.count > 0 && compare(&m.entries[m.count - 1], &m.entries[i]) == 0) continue; /* a version twice */
    m.entries[m.count++] = m.entries[i];
    cr_assert(nc_block_add(&b, &entry));
  }
  size_t promised = nc_block_size(&b);
  m.block = nc_block_finish(&b);
  cr_assert_eq(m.block.size, promised);
  m.bytes = exact_copy(m.block);
  m.block.data = m.bytes;
  free(work), free(last_key);
  return m;
}

static void free_model(model *m) { free(m->entries), free(m->bytes); }

/* --- walking -------------------------------------------------------------------------------------------------------- */

typedef struct walker {
  nc_block block;
  nc_block_cursor cursor;
  uint8_t *key_buffer;
  void *posts; /* NULL: the block has none */
} walker;

static void walker_open(walker *w, nacre_slice bytes, bool posts) {
  assert_ok(nc_block_open(bytes, &w->block, NULL));
  w->posts = posts ? malloc(nc_block_posts_bytes(bytes.size, POST_GAP)) : NULL;
  if (posts) nc_block_set_posts(&w->block, POST_GAP, w->posts);
  w->key_buffer = malloc(w->block.longest_key + (size_t)NC_BLOCK_READ_SLACK);
  nc_block_cursor_init(&w->cursor, &w->block, w->key_buffer);
}

static void walker_close(walker *w) { free(w->key_buffer), free(w->posts); }

/* The cursor is on entry `at` of the model, or past its end. */
static void stands_at(const nc_block_cursor *c, const model *m, size_t at) {
  cr_assert_eq(c->valid, at < m->count, "entry %zu of %zu (seed %llu)", at, m->count,
               (unsigned long long)test_seed());
  if (!c->valid) return;
  nc_entry expected = as_entry(&m->entries[at]);
  cr_assert(nc_slice_equal(c->entry.key, expected.key) && nc_slice_equal(c->entry.value, expected.value) &&
                c->entry.sequence == expected.sequence && c->entry.kind == expected.kind,
            "entry %zu of %zu (seed %llu)", at, m->count, (unsigned long long)test_seed());
}

static size_t model_seek(const model *m, nacre_slice key, uint64_t sequence) {
  size_t at = 0;
  while (at < m->count &&
         nc_entry_compare(as_entry(&m->entries[at]).key, m->entries[at].sequence, key, sequence) < 0)
    at++;
  return at;
}

static void agrees_in_both_directions(const model *m, walker *w) {
  assert_ok(nc_block_first(&w->cursor, NULL));
  for (size_t i = 0; i <= m->count; i++) {
    stands_at(&w->cursor, m, i);
    assert_ok(nc_block_next(&w->cursor, NULL));
  }
  cr_assert(!w->cursor.valid);
  assert_ok(nc_block_last(&w->cursor, NULL));
  for (size_t i = m->count; i > 0; i--) {
    stands_at(&w->cursor, m, i - 1);
    assert_ok(nc_block_prev(&w->cursor, NULL));
  }
  cr_assert(!w->cursor.valid);
}

/* The entries after the one that the cursor is on, a few at a time; then back from one of them. */
static void agrees_in_windows(const model *m, walker *w, random_source *random) {
  enum { WINDOW = 9 };
  nc_entry entries[WINDOW];
  uint32_t offsets[WINDOW];
  if (m->count == 0) return;
  size_t at = (size_t)random_below(random, m->count);
  assert_ok(nc_block_seek(&w->cursor, as_entry(&m->entries[at]).key, m->entries[at].sequence, NULL));
  for (;;) {
    size_t wanted = 1 + (size_t)random_below(random, WINDOW),
           room = (size_t)random_below(random, WINDOW * KEY_MAX) + NC_BLOCK_READ_SLACK;
    uint8_t *keys = malloc(room);
    size_t count = nc_block_read(&w->cursor, wanted, entries, offsets, keys, room);
    cr_assert_leq(count, wanted);
    size_t used = 0;
    for (size_t i = 0; i < count; i++) used += entries[i].key.size;
    if (count < wanted && at + count + 1 < m->count) /* the next key does not fit */
      cr_assert_gt(used + m->entries[at + count + 1].key_size, room - NC_BLOCK_READ_SLACK);
    for (size_t i = 0; i < count; i++) {
      nc_block_cursor shown = w->cursor;
      shown.entry = entries[i];
      stands_at(&shown, m, at + 1 + i);
    }
    free(keys);
    at += count;
    stands_at(&w->cursor, m, at);
    if (count == 0) {
      assert_ok(nc_block_next(&w->cursor, NULL));
      stands_at(&w->cursor, m, ++at);
      if (at == m->count) return;
    } else if (random_below(random, 8) == 0) {
      size_t back = (size_t)random_below(random, count);
      nc_block_stand_at(&w->cursor, offsets[back]);
      at -= count - 1 - back;
      assert_ok(nc_block_prev(&w->cursor, NULL));
      if (at == 0) return;
      stands_at(&w->cursor, m, --at);
    }
  }
}

/* From the last entry back, as far as a restart point at once, where there is room. */
static void agrees_going_back(const model *m, walker *w, random_source *random) {
  enum { ROOM = NC_BLOCK_RESTART_INTERVAL };
  nc_entry entries[ROOM];
  uint32_t offsets[ROOM];
  if (m->count == 0) return;
  assert_ok(nc_block_last(&w->cursor, NULL));
  for (size_t at = m->count - 1; w->cursor.valid;) {
    size_t room = random_below(random, 8) == 0 ? NC_BLOCK_READ_SLACK : (ROOM + 2) * (size_t)KEY_MAX;
    size_t capacity = random_below(random, 8) == 0 ? 1 : ROOM;
    uint8_t *keys = malloc(room);
    size_t count = nc_block_read_back(&w->cursor, capacity, entries, offsets, keys, room);
    cr_assert_leq(count, at);
    for (size_t i = 0; i < count; i++) {
      nc_block_cursor shown = w->cursor;
      shown.entry = entries[i];
      stands_at(&shown, m, at - count + i);
      cr_assert_eq(entries[i].sequence, m->entries[at - count + i].sequence);
    }
    free(keys);
    at -= count;
    if (count > 0) continue;
    assert_ok(nc_block_prev(&w->cursor, NULL));
    if (at > 0) stands_at(&w->cursor, m, --at);
  }
}

/* What a cursor's seek finds, without a cursor. */
static void agrees_on_finding(const model *m, const nc_block *block, nacre_slice key, uint64_t sequence,
                              size_t at) {
  nc_block_match match;
  nc_entry entry;
  assert_ok(nc_block_find(block, key, sequence, &match, &entry, NULL));
  cr_assert_eq(match == NC_BLOCK_NONE, at == m->count);
  if (at == m->count) return;
  nc_entry expected = as_entry(&m->entries[at]);
  cr_assert_eq(match == NC_BLOCK_SAME_KEY, nc_slice_equal(expected.key, key));
  cr_assert(nc_slice_equal(entry.value, expected.value) && entry.sequence == expected.sequence &&
            entry.kind == expected.kind);
}

static void agrees_on_seeks(const model *m, walker *w, random_source *random, unsigned letters, char lowest) {
  for (size_t i = 0; i < 2 * m->count + 20; i++) {
    model_entry target = random_entry(random, letters + 1, lowest);
    if (m->count > 0 && random_below(random, 2) == 0) {
      target = m->entries[random_below(random, m->count)];
      target.sequence += random_below(random, 3) - 1;
    }
    nacre_slice key = nc_slice(target.key, target.key_size);
    size_t at = model_seek(m, key, target.sequence);
    agrees_on_finding(m, &w->block, key, target.sequence, at);
    assert_ok(nc_block_seek(&w->cursor, key, target.sequence, NULL));
    stands_at(&w->cursor, m, at);
    if (!w->cursor.valid) continue;
    bool forward = random_below(random, 2) == 0;
    assert_ok(forward ? nc_block_next(&w->cursor, NULL) : nc_block_prev(&w->cursor, NULL));
    if (forward || at > 0)
      stands_at(&w->cursor, m, forward ? at + 1 : at - 1);
    else
      cr_assert(!w->cursor.valid);
  }
}

Test(block, agrees_with_a_sorted_array) {
  random_source random = random_begin();
  for (size_t count = 0; count < 300; count += 1 + count / 4) {
    for (unsigned letters = 1; letters <= 16; letters *= 4) {
      for (int variant = 0; variant < 4; variant++) {
        char lowest = random_below(&random, 2) == 0 ? '\0' : 'a';
        model m = make_model(&random, count, letters, lowest, variant % 2 != 0);
        walker w;
        walker_open(&w, m.block, variant / 2 != 0);
        cr_assert_eq(w.block.post_count > 0, variant / 2 != 0 && m.count > 0);
        if (variant == 3 && m.count > 0) cr_assert(w.block.dense && w.block.post_count == m.count);
        agrees_in_both_directions(&m, &w);
        agrees_on_seeks(&m, &w, &random, letters, lowest);
        for (int i = 0; i < 5; i++) agrees_in_windows(&m, &w, &random);
        agrees_going_back(&m, &w, &random);
        walker_close(&w);
        free_model(&m);
      }
    }
  }
}

Test(block, its_bytes_are_those_of_the_specification) {
  uint8_t work[128], last_key[NACRE_KEY_BYTES_MAX];
  nc_block_builder b;
  nc_block_begin(&b, work, sizeof work, last_key);
  nc_entry entries[] = {{text("pear"), 9, NC_KIND_PUT, text("x")},
                        {text("pear"), 4, NC_KIND_DELETE, text("")},
                        {text("pearl"), 20, NC_KIND_PUT, text("yz")}};
  for (size_t i = 0; i < ARRAY_LENGTH(entries); i++) cr_assert(nc_block_add(&b, &entries[i]));
  static const char expected[] =
      "\x00\x04\x01\x49pearx"
      "\x04\x00\x00\x22"
      "\x04\x01\x02\xA1\x01lyz"
      "\x00\x00\x00\x00"
      "\x01\x00\x00\x00"
      "\x05\x00\x00\x00";
  nacre_slice bytes = nc_block_finish(&b);
  cr_assert_eq(bytes.size, sizeof expected - 1);
  cr_assert_arr_eq(bytes.data, expected, sizeof expected - 1);
}

Test(block, a_full_builder_refuses_and_stays_whole) {
  random_source random = random_begin();
  for (size_t capacity = NC_BLOCK_TRAILER_BYTES; capacity < 600; capacity++) {
    uint8_t *work = malloc(capacity), *last_key = malloc(NACRE_KEY_BYTES_MAX);
    nc_block_builder b;
    nc_block_begin(&b, work, capacity, last_key);
    uint32_t added = 0;
    for (; added < 200; added++) {
      char key[16];
      snprintf(key, sizeof key, "key%06u", added);
      nc_entry entry = {text(key), added + 1, NC_KIND_PUT, nc_slice("0123456789", random_below(&random, 10))};
      if (!nc_block_add(&b, &entry)) break;
    }
    cr_assert_lt(added, 200);
    nacre_slice bytes = nc_block_finish(&b);
    cr_assert_leq(bytes.size, capacity);
    walker w;
    walker_open(&w, bytes, false);
    assert_ok(nc_block_first(&w.cursor, NULL));
    uint32_t found = 0;
    while (w.cursor.valid) {
      found++;
      assert_ok(nc_block_next(&w.cursor, NULL));
    }
    cr_assert_eq(found, added);
    walker_close(&w), free(work), free(last_key);
  }
}

Test(block, the_bound_holds_the_largest_entry) {
  size_t value_size = 100000, capacity = nc_block_bound(NACRE_KEY_BYTES_MAX, value_size);
  uint8_t *work = malloc(capacity), *last_key = malloc(NACRE_KEY_BYTES_MAX),
          *key = calloc(1, NACRE_KEY_BYTES_MAX);
  uint8_t *value = calloc(1, value_size);
  nc_block_builder b;
  nc_block_begin(&b, work, capacity, last_key);
  nc_entry entry = {nc_slice(key, NACRE_KEY_BYTES_MAX), NC_SEQUENCE_MAX, NC_KIND_PUT,
                    nc_slice(value, value_size)};
  cr_assert(nc_block_add(&b, &entry));
  walker w;
  walker_open(&w, nc_block_finish(&b), true);
  assert_ok(nc_block_seek(&w.cursor, entry.key, NC_SEQUENCE_MAX, NULL));
  cr_assert(w.cursor.valid && w.cursor.entry.key.size == NACRE_KEY_BYTES_MAX &&
            w.cursor.entry.value.size == value_size);
  cr_assert_eq(w.cursor.entry.sequence, NC_SEQUENCE_MAX);
  walker_close(&w), free(work), free(last_key), free(key), free(value);
}

/* --- damage ----------------------------------------------------------------------------------------------------------- */

/* Every move over the bytes, whatever they are: no crash, no endless walk. */
static bool survives_every_move_of(nacre_slice bytes, bool posts) {
  walker w;
  if (nc_block_open(bytes, &w.block, NULL) != NACRE_OK) return false;
  walker_open(&w, bytes, posts);
  bool whole = true;
  nc_block_cursor c = w.cursor;
  static const char *const targets[] = {"", "a", "key000010", "key000025", "zzz"};
  for (size_t i = 0; i < ARRAY_LENGTH(targets); i++) {
    whole &= nc_block_seek(&c, text(targets[i]), 5, NULL) == NACRE_OK;
    if (c.valid) whole &= nc_block_prev(&c, NULL) == NACRE_OK;
  }
  size_t moves = 0;
  for (whole &= nc_block_first(&c, NULL) == NACRE_OK; c.valid; moves++)
    whole &= nc_block_next(&c, NULL) == NACRE_OK;
  for (whole &= nc_block_last(&c, NULL) == NACRE_OK; c.valid; moves++)
    whole &= nc_block_prev(&c, NULL) == NACRE_OK;
  nc_entry entries[7];
  uint32_t offsets[7];
  uint8_t keys[100];
  size_t listed = 0, count;
  if (nc_block_first(&c, NULL) == NACRE_OK) {
    while ((count = nc_block_read(&c, 7, entries, offsets, keys, sizeof keys)) != 0) listed += count;
  }
  if (nc_block_last(&c, NULL) == NACRE_OK) {
    while ((count = nc_block_read_back(&c, 7, entries, offsets, keys, sizeof keys)) != 0) listed += count;
  }
  cr_assert_leq(listed, 2 * bytes.size);
  cr_assert_leq(moves, 2 * bytes.size);
  walker_close(&w);
  return whole;
}

static bool survives_every_move(nacre_slice bytes) {
  bool whole = survives_every_move_of(bytes, false);
  return survives_every_move_of(bytes, true) && whole;
}

static nacre_slice small_block(uint8_t *work, size_t capacity, uint8_t *last_key, unsigned count) {
  nc_block_builder b;
  nc_block_begin(&b, work, capacity, last_key);
  for (unsigned i = 0; i < count; i++) {
    char key[16];
    snprintf(key, sizeof key, "key%06u", i);
    nc_entry entry = {text(key), 10, NC_KIND_PUT, text("value")};
    cr_assert(nc_block_add(&b, &entry));
  }
  return nc_block_finish(&b);
}

Test(block, survives_every_flipped_bit_and_every_cut) {
  uint8_t work[1024], *last_key = malloc(NACRE_KEY_BYTES_MAX);
  nacre_slice bytes = small_block(work, sizeof work, last_key, 40);
  cr_assert(survives_every_move(bytes));
  flips_every_bit(bytes, survives_every_move, false);
  for (size_t size = 0; size < bytes.size; size++) {
    void *cut = exact_copy(nc_slice(bytes.data, size));
    survives_every_move(nc_slice(cut, size));
    free(cut);
  }
  free(last_key);
}

Test(block, survives_random_bytes) {
  random_source random = random_begin();
  for (int i = 0; i < 20000; i++) {
    uint8_t bytes[72];
    size_t entries = 1 + (size_t)random_below(&random, sizeof bytes - 12);
    for (size_t at = 1; at < entries; at++)
      bytes[at] = (uint8_t)random_below(&random, random_below(&random, 4) != 0 ? 6 : 256);
    bytes[0] = 0;
    memcpy(bytes + entries, "\0\0\0\0\x01\0\0\0", 8);
    nc_put_u32(bytes + entries + 8, (uint32_t)random_below(&random, entries + 1));
    void *exact = exact_copy(nc_slice(bytes, entries + 12));
    survives_every_move(nc_slice(exact, entries + 12));
    free(exact);
  }
}

/* Opens hand-made bytes and walks forward to the first error; NACRE_OK when there is none. */
static nacre_status walk(nacre_slice bytes, nacre_error *err) {
  nc_block block;
  NC_TRY(nc_block_open(bytes, &block, err));
  uint8_t key_buffer[64];
  nc_block_cursor c;
  nc_block_cursor_init(&c, &block, key_buffer);
  NC_TRY(nc_block_first(&c, err));
  while (c.valid) NC_TRY(nc_block_next(&c, err));
  return NACRE_OK;
}

#define ONE_RESTART "\x00\x00\x00\x00\x01\x00\x00\x00"
#define LONGEST_2 "\x02\x00\x00\x00"
static nacre_status walk_text(const char *bytes, size_t size, nacre_error *err) {
  void *exact = exact_copy(nc_slice(bytes, size));
  nacre_status status = walk(nc_slice(exact, size), err);
  free(exact);
  return status;
}
#define WALK(bytes) walk_text(bytes, sizeof(bytes) - 1, &err)

Test(block, rejects_damaged_trailers_and_restarts) {
  nacre_error err;
  assert_ok(
      WALK("\0\0\0\0"
           "\0\0\0\0"));
  assert_refused(WALK("\0\0\0\0\0\0\0"), NC_E_BLOCK_SHORT);
  assert_refused(WALK("\x00\x01\x00\x09k"
                      "\0\0\0\0"
                      "\x01\x00\x00\x00"),
                 NC_E_BLOCK_RESTARTS);                                           /* entries, no restart */
  assert_refused(WALK("\x01\x00\x00\x00\x01\x00\x00\x00"), NC_E_BLOCK_RESTARTS); /* restart, no room */
  assert_refused(WALK("\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00"),
                 NC_E_BLOCK_RESTARTS); /* restart, no entry */
  assert_refused(WALK("\x00\x01\x00\x09k"
                      "\x01\x00\x00\x00\x01\x00\x00\x00" LONGEST_2),
                 NC_E_BLOCK_RESTARTS);
  assert_refused(WALK("\x00\x01\x00\x09k"
                      "\0\0\0\0"
                      "\0\0\0\0"
                      "\x02\x00\x00\x00" LONGEST_2),
                 NC_E_BLOCK_RESTARTS);
  assert_refused(WALK("\x01\x01\x00\x09k" ONE_RESTART LONGEST_2),
                 NC_E_BLOCK_RESTARTS); /* a restart that shares */
  assert_refused(WALK("\x00\x01\x00\x09k"
                      "\x00\x00\x00\x00\xFF\xFF\xFF\xFF" LONGEST_2),
                 NC_E_BLOCK_RESTARTS);
  assert_refused(WALK("\x00\x01\x00\x09k" ONE_RESTART "\x06\x00\x00\x00"), NC_E_BLOCK_KEY);
  assert_refused(WALK("\x00\x01\x00\x09k" ONE_RESTART "\xFF\xFF\xFF\xFF"), NC_E_BLOCK_KEY);
}

Test(block, rejects_damaged_entries) {
  nacre_error err;
  assert_ok(WALK("\x00\x01\x00\x09k" ONE_RESTART LONGEST_2));
  assert_ok(WALK("\x00\x01\x00\x0Ak" ONE_RESTART LONGEST_2));
  assert_refused(WALK("\x00\x02\x00\x09k" ONE_RESTART LONGEST_2), NC_E_BLOCK_ENTRY); /* suffix past the end */
  assert_refused(WALK("\x00\x01\x01\x09k" ONE_RESTART LONGEST_2), NC_E_BLOCK_ENTRY); /* value past the end */
  assert_refused(WALK("\x00\x81\x00\x09k" ONE_RESTART LONGEST_2), NC_E_BLOCK_ENTRY); /* a padded varint */
  assert_refused(WALK("\x00\x01\x00" ONE_RESTART "\x01\x00\x00\x00"), NC_E_BLOCK_ENTRY); /* no tag */
  assert_refused(WALK("\x00\x01\x01\x0Akv" ONE_RESTART LONGEST_2),
                 NC_E_BLOCK_ENTRY); /* a delete with a value */
  assert_refused(WALK("\x00\x01\x00\x89\x80\x80\x80\x80\x80\x80\x80\x20k" ONE_RESTART LONGEST_2),
                 NC_E_BLOCK_ENTRY);
  assert_refused(WALK("\x00\x01\x00\x0Bk" ONE_RESTART LONGEST_2), NC_E_BLOCK_KIND);
  assert_refused(WALK("\x00\x01\x00\x08k" ONE_RESTART LONGEST_2), NC_E_BLOCK_KIND);
  assert_refused(WALK("\x00\x03\x00\x09kkk" ONE_RESTART LONGEST_2), NC_E_BLOCK_KEY);
  assert_refused(WALK("\x00\x01\x00\x09k"
                      "\x02\x00\x00\x09" ONE_RESTART LONGEST_2),
                 NC_E_BLOCK_ENTRY); /* shares too much */
}

Test(block, rejects_entries_out_of_order) {
  nacre_error err;
  assert_refused(WALK("\x00\x01\x00\x09k"
                      "\x00\x01\x00\x09j" ONE_RESTART LONGEST_2),
                 NC_E_BLOCK_ORDER);
  assert_refused(WALK("\x00\x01\x00\x09k"
                      "\x01\x00\x00\x09" ONE_RESTART LONGEST_2),
                 NC_E_BLOCK_ORDER); /* twice */
  assert_refused(WALK("\x00\x01\x00\x09k"
                      "\x01\x00\x00\x11" ONE_RESTART LONGEST_2),
                 NC_E_BLOCK_ORDER); /* newer after older */
  assert_refused(WALK("\x00\x02\x00\x09kk"
                      "\x01\x00\x00\x09" ONE_RESTART LONGEST_2),
                 NC_E_BLOCK_ORDER); /* a prefix after */
  assert_ok(
      WALK("\x00\x01\x00\x11k"
           "\x01\x00\x00\x09" ONE_RESTART LONGEST_2));
}

Test(block, index_entries_may_repeat_and_a_seek_finds_the_first) {
  uint8_t work[2048], *last_key = malloc(NACRE_KEY_BYTES_MAX), key_buffer[8];
  nc_block_builder b;
  nc_block_begin(&b, work, sizeof work, last_key);
  for (uint8_t i = 0; i < 60; i++) {
    nc_entry entry = {text(i < 5 ? "a" : i < 55 ? "hot" : "z"), 0, NC_KIND_PUT, nc_slice(&i, 1)};
    cr_assert(nc_block_add(&b, &entry));
  }
  nc_block block;
  nc_block_cursor c;
  assert_ok(nc_block_open(nc_block_finish(&b), &block, NULL));
  nc_block_cursor_init(&c, &block, key_buffer);
  assert_ok(nc_block_seek(&c, text("hot"), 77, NULL));
  for (uint8_t i = 5; i < 60; i++) {
    cr_assert(c.valid && *(const uint8_t *)c.entry.value.data == i);
    assert_ok(nc_block_next(&c, NULL));
  }
  cr_assert(!c.valid);
  free(last_key);
}

Test(block, a_seek_sees_order_broken_where_it_looks) {
  nacre_error err;
  static const char bytes[] =
      "\x00\x02\x00\x09kb"
      "\x00\x02\x00\x09ja" ONE_RESTART LONGEST_2;
  nc_block block;
  uint8_t key_buffer[2];
  nc_block_cursor c;
  assert_ok(nc_block_open(nc_slice(bytes, sizeof bytes - 1), &block, &err));
  nc_block_cursor_init(&c, &block, key_buffer);
  assert_refused(nc_block_seek(&c, text("kc"), 1, &err), NC_E_BLOCK_ORDER);
  cr_assert(!c.valid);
}

/* A restart point inside a value, where an entry of its own seems to begin. */
Test(block, a_walk_back_refuses_restarts_between_entries) {
  nacre_error err;
  static const char bytes[] =
      "\x00\x01\x05\x09"
      "a"
      "\x00\x01\x03\x09z"
      "\x00\x01\x00\x09"
      "b"
      "\x00\x00\x00\x00\x05\x00\x00\x00\x02\x00\x00\x00" LONGEST_2;
  nc_block block;
  uint8_t key_buffer[2];
  nc_block_cursor c;
  assert_ok(nc_block_open(nc_slice(bytes, sizeof bytes - 1), &block, NULL));
  nc_block_cursor_init(&c, &block, key_buffer);
  assert_ok(nc_block_first(&c, NULL));
  assert_ok(nc_block_next(&c, NULL));
  cr_assert(c.valid && c.at == 10);
  assert_refused(nc_block_prev(&c, &err), NC_E_BLOCK_ENTRY);
  cr_assert(!c.valid);
}

Test(block, a_seek_refuses_an_entry_that_shares_more_than_there_is) {
  nacre_error err;
  static const char bytes[] =
      "\x00\x01\x00\x09k"
      "\x02\x00\x00\x09" ONE_RESTART LONGEST_2;
  nc_block block;
  uint8_t key_buffer[2];
  nc_block_cursor c;
  assert_ok(nc_block_open(nc_slice(bytes, sizeof bytes - 1), &block, NULL));
  nc_block_cursor_init(&c, &block, key_buffer);
  assert_refused(nc_block_seek(&c, text("kk"), 1, &err), NC_E_BLOCK_ENTRY);
}

Test(block, a_value_of_any_size_is_refused_rather_than_wrapped) {
  uint8_t work[64], *last_key = malloc(NACRE_KEY_BYTES_MAX);
  nc_block_builder b;
  nc_block_begin(&b, work, sizeof work, last_key);
  for (size_t less = 0; less < 64; less++) {
    nc_entry entry = {text("k"), 1, NC_KIND_PUT, nc_slice(work, SIZE_MAX - less)};
    cr_assert(!nc_block_add(&b, &entry));
  }
  cr_assert_eq(nc_block_size(&b), NC_BLOCK_TRAILER_BYTES);
  free(last_key);
}

Test(block, a_cursor_between_entries_stays_invalid) {
  static const char bytes[] = "\x00\x01\x00\x09k" ONE_RESTART LONGEST_2;
  nc_block block;
  uint8_t key_buffer[2];
  nc_block_cursor c;
  assert_ok(nc_block_open(nc_slice(bytes, sizeof bytes - 1), &block, NULL));
  nc_block_cursor_init(&c, &block, key_buffer);
  assert_ok(nc_block_next(&c, NULL));
  cr_assert(!c.valid);
  assert_ok(nc_block_prev(&c, NULL));
  cr_assert(!c.valid);
  assert_ok(nc_block_seek(&c, text("l"), 1, NULL));
  cr_assert(!c.valid);
}
