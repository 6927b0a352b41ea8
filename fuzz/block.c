/* SPDX-License-Identifier: Apache-2.0
 *
 * Target: blocks, and every move of a cursor over them (format/README.md, "Blocks").
 *
 * Input: u8 number of moves bytes · moves · block. The moves bytes move a cursor and seek. Whatever
 * the bytes, a valid cursor stands on an entry of the block and its key is what the bytes say, rebuilt here
 * by the specification alone; the target of a seek is not beyond it. Where a walk from front to back meets
 * no damage and every restart point is an entry of it, the block is well-formed: no move may fail then, and
 * each must come to the entry that the walk saw. All of it is done without signposts, then with them.
 *
 * A block is not canonical (restart points and shared prefixes may be chosen), so "encodes again" is: what a
 * builder makes of a well-formed block holds the same entries, and what it makes of its own block is that
 * block.
 */
#include "block.h"

#include <stdlib.h>

#include "block_posts.h"
#include "fuzz.h"

enum { STEPS_MAX = 64, ENTRIES_MAX = 4096, WALK_BYTES_MAX = 64 * 1024, TARGET_BYTES_MAX = 31 };

/* --- what a walk saw ------------------------------------------------------------------------------------ */

typedef struct seen_entry {
  size_t at;
  nc_entry entry; /* its key is a copy */
} seen_entry;

typedef struct walk {
  size_t count, bytes;
  bool well_formed;
  seen_entry entries[ENTRIES_MAX];
  uint8_t keys[WALK_BYTES_MAX];
} walk;

/* False when the walk has no room for it: then nothing is expected of the block but that it does no harm. */
static bool remember(walk *w, const nc_block_cursor *c) {
  if (w->count == ENTRIES_MAX || c->entry.key.size > WALK_BYTES_MAX - w->bytes) return false;
  seen_entry *seen = &w->entries[w->count++];
  *seen = (seen_entry){c->at, c->entry};
  if (c->entry.key.size != 0) memcpy(w->keys + w->bytes, c->entry.key.data, c->entry.key.size);
  seen->entry.key.data = w->keys + w->bytes;
  w->bytes += c->entry.key.size;
  return true;
}

static size_t restart_at(const nc_block *block, uint32_t i) {
  return nc_get_u32(block->data + block->entries_size + (size_t)4 * i);
}

/* What opening has looked at already. */
static void require_sound_restarts(const nc_block *block) {
  FUZZ_REQUIRE((block->restarts == 0) == (block->entries_size == 0));
  FUZZ_REQUIRE(block->restarts == 0 || restart_at(block, 0) == 0);
  for (uint32_t i = 0; i < block->restarts; i++) {
    FUZZ_REQUIRE(restart_at(block, i) < block->entries_size && block->data[restart_at(block, i)] == 0);
    FUZZ_REQUIRE(i == 0 || restart_at(block, i) > restart_at(block, i - 1));
  }
}

static bool restarts_are_entries(const walk *w, const nc_block *block) {
  size_t entry = 0;
  for (uint32_t i = 0; i < block->restarts; i++) {
    while (entry < w->count && w->entries[entry].at < restart_at(block, i)) entry++;
    if (entry == w->count || w->entries[entry].at != restart_at(block, i)) return false;
  }
  return true;
}

static int compare(const nc_entry *a, nacre_slice key, uint64_t sequence) {
  return nc_entry_compare(a->key, a->sequence, key, sequence);
}

static void walk_forward(walk *w, const nc_block *block, uint8_t *key_buffer) {
  nc_block_cursor c;
  w->count = w->bytes = 0;
  w->well_formed = false;
  nc_block_cursor_init(&c, block, key_buffer);
  nacre_status status = nc_block_first(&c, NULL);
  for (; status == NACRE_OK && c.valid; status = nc_block_next(&c, NULL)) {
    if (!remember(w, &c)) return;
    if (w->count == 1) continue;
    const nc_entry *before = &w->entries[w->count - 2].entry;
    int order = compare(before, c.entry.key, c.entry.sequence);
    FUZZ_REQUIRE(order < 0 || (order == 0 && c.entry.sequence == 0));
  }
  w->well_formed = status == NACRE_OK && restarts_are_entries(w, block);
}

/* --- what the bytes say --------------------------------------------------------------------------------- */

/* Rebuilds the key of the entry at `at` from those between it and `from`; false when no entry begins
 * there. */
static bool rebuild_key(const nc_block *block, size_t from, size_t at, uint8_t *key, size_t *ret_size) {
  nc_reader r = nc_reader_over(nc_slice(block->data, block->entries_size));
  size_t size = 0;
  for (r.at = from; !r.failed && r.at <= at;) {
    size_t here = r.at;
    uint64_t shared = nc_read_varint(&r), suffix_size = nc_read_varint(&r), value_size = nc_read_varint(&r);
    (void)nc_read_varint(&r);
    if (shared > size || shared > block->longest_key || suffix_size > block->longest_key - shared)
      return false;
    nc_read_copy(&r, key + shared, (size_t)suffix_size);
    size = (size_t)(shared + suffix_size);
    if (value_size > nc_reader_left(&r)) return false;
    (void)nc_read_bytes(&r, (size_t)value_size);
    *ret_size = size;
    if (here == at) return !r.failed;
  }
  return false;
}

/* A cursor comes to its place from some restart point at or before it. */
static void require_key_of_bytes(const nc_block_cursor *c) {
  const nc_block *block = c->block;
  uint8_t *key = fuzz_alloc(block->longest_key);
  bool found = false;
  for (uint32_t i = block->restarts; !found && i > 0; i--) {
    size_t from = restart_at(block, i - 1), size = 0;
    found = from <= c->at && rebuild_key(block, from, c->at, key, &size) &&
            nc_slice_equal(nc_slice(key, size), c->entry.key);
  }
  FUZZ_REQUIRE(found);
  free(key);
}

static void require_sound(const nc_block_cursor *c) {
  const nc_block *block = c->block;
  const nc_entry *entry = &c->entry;
  FUZZ_REQUIRE(c->at < c->next && c->next <= block->entries_size);
  FUZZ_REQUIRE(entry->key.data == c->key_buffer && entry->key.size <= block->longest_key);
  const uint8_t *value = entry->value.data;
  FUZZ_REQUIRE(value > block->data + c->at && value + entry->value.size == block->data + c->next);
  FUZZ_REQUIRE(entry->kind == NC_KIND_PUT || entry->kind == NC_KIND_LARGE ||
               (entry->kind == NC_KIND_EXPIRING && nc_expiry_sound(entry->value)) ||
               (entry->kind == NC_KIND_DELETE && entry->value.size == 0));
  FUZZ_REQUIRE(entry->sequence <= NC_SEQUENCE_MAX);
  require_key_of_bytes(c);
}

/* --- moving by the input -------------------------------------------------------------------------------- */

typedef enum step { FIRST, LAST, NEXT, PREV, SEEK, SEEK_NEAR, STEPS } step;

typedef struct target {
  uint8_t *key; /* exact, on the heap */
  size_t size;
  uint64_t sequence;
} target;

static uint64_t choose_sequence(nc_reader *moves, uint64_t near) {
  switch (fuzz_choose(moves, 5)) {
    case 0:
      return 0;
    case 1:
      return NC_SEQUENCE_MAX;
    case 2:
      return near > 0 ? near - 1 : 0;
    case 3:
      return near + 1;
    default:
      return near;
  }
}

/* A key of the input's. */
static target choose_target(nc_reader *moves) {
  size_t size = (size_t)fuzz_choose(moves, TARGET_BYTES_MAX + 1);
  if (size > nc_reader_left(moves)) size = nc_reader_left(moves);
  nacre_slice key = nc_read_bytes(moves, size);
  return (target){fuzz_copy(key.data, key.size), key.size, choose_sequence(moves, 1)};
}

/* The key that the cursor was on last, or one beside it. */
static target target_near(nc_reader *moves, nacre_slice key, uint64_t sequence) {
  size_t size = key.size;
  uint8_t *p = fuzz_alloc(size + 1);
  if (size != 0) memcpy(p, key.data, size);
  uint64_t change = fuzz_choose(moves, 5);
  if (change == 1) p[size++] = 0;
  if (change == 2 && size > 0) size--;
  if (change == 3 && size > 0) p[size - 1]++;
  if (change == 4 && size > 0) p[size - 1]--;
  target made = {fuzz_copy(p, size), size, choose_sequence(moves, sequence)};
  free(p);
  return made;
}

/* Where a step must lead in a well-formed block: the index of an entry, `count` for none. */
static size_t expected_after(const walk *w, step s, size_t from, const target *t) {
  size_t i = 0;
  switch (s) {
    case FIRST:
      return 0;
    case LAST:
      return w->count == 0 ? 0 : w->count - 1;
    case NEXT:
      return from < w->count ? from + 1 : w->count;
    case PREV:
      return from < w->count && from > 0 ? from - 1 : w->count;
    case SEEK:
    case SEEK_NEAR:
      while (i < w->count && compare(&w->entries[i].entry, nc_slice(t->key, t->size), t->sequence) < 0) i++;
      return i;
    case STEPS:
      break;
  }
  return w->count;
}

static nacre_status take_step(nc_block_cursor *c, step s, const target *t, nacre_error *err) {
  switch (s) {
    case FIRST:
      return nc_block_first(c, err);
    case LAST:
      return nc_block_last(c, err);
    case NEXT:
      return nc_block_next(c, err);
    case PREV:
      return nc_block_prev(c, err);
    case SEEK:
    case SEEK_NEAR:
      return nc_block_seek(c, nc_slice(t->key, t->size), t->sequence, err);
    case STEPS:
      break;
  }
  return NACRE_OK;
}

static void require_at(const walk *w, size_t index, const nc_block_cursor *c) {
  FUZZ_REQUIRE(c->valid == (index < w->count));
  if (!c->valid) return;
  const seen_entry *seen = &w->entries[index];
  FUZZ_REQUIRE(c->at == seen->at && nc_slice_equal(c->entry.key, seen->entry.key));
  FUZZ_REQUIRE(c->entry.sequence == seen->entry.sequence && c->entry.kind == seen->entry.kind);
  FUZZ_REQUIRE(c->entry.value.data == seen->entry.value.data &&
               c->entry.value.size == seen->entry.value.size);
}

/* The search without a cursor finds what a seek finds. */
static void require_find_agrees(const nc_block_cursor *c, bool good, const target *t) {
  nc_block_match match;
  nc_entry entry;
  nacre_slice key = nc_slice(t->key, t->size);
  bool found = nc_block_find(c->block, key, t->sequence, &match, &entry, NULL) == NACRE_OK;
  FUZZ_REQUIRE(found == good);
  if (!good) return;
  FUZZ_REQUIRE((match != NC_BLOCK_NONE) == c->valid);
  if (!c->valid) return;
  FUZZ_REQUIRE((match == NC_BLOCK_SAME_KEY) == nc_slice_equal(key, c->entry.key));
  FUZZ_REQUIRE(entry.value.data == c->entry.value.data && entry.value.size == c->entry.value.size &&
               entry.sequence == c->entry.sequence && entry.kind == c->entry.kind);
}

static void steer(const walk *w, const nc_block *block, uint8_t *key_buffer, nc_reader *moves) {
  nc_block_cursor c;
  nc_block_cursor_init(&c, block, key_buffer);
  size_t index = w->count;
  for (int steps = 0; steps < STEPS_MAX && nc_reader_left(moves) > 0; steps++) {
    nacre_error err;
    nc_error_clear(&err);
    step s = (step)fuzz_choose(moves, STEPS);
    target t = {0};
    if (s == SEEK || (s == SEEK_NEAR && !c.valid)) t = choose_target(moves);
    if (s == SEEK_NEAR && c.valid) t = target_near(moves, c.entry.key, c.entry.sequence);
    index = expected_after(w, s, index, &t);
    if (s != NEXT) memset(key_buffer, 0xA5, block->longest_key); /* only that goes on from what is there */
    nacre_status status = take_step(&c, s, &t, &err);
    bool good = fuzz_accepted_in_place(status, &err, block->entries_size);
    FUZZ_REQUIRE(good || !c.valid);
    if (c.valid) require_sound(&c);
    if (t.key != NULL) require_find_agrees(&c, good, &t);
    if (c.valid && t.key != NULL) FUZZ_REQUIRE(compare(&c.entry, nc_slice(t.key, t.size), t.sequence) >= 0);
    if (w->well_formed) FUZZ_REQUIRE(good);
    if (w->well_formed) require_at(w, index, &c);
    free(t.key);
  }
}

/* From the end to the front, as it was seen from front to end. */
static void walk_back(const walk *w, const nc_block *block, uint8_t *key_buffer) {
  nc_block_cursor c;
  nc_block_cursor_init(&c, block, key_buffer);
  FUZZ_REQUIRE(nc_block_last(&c, NULL) == NACRE_OK);
  for (size_t i = w->count; i > 0; i--) {
    require_at(w, i - 1, &c);
    FUZZ_REQUIRE(nc_block_prev(&c, NULL) == NACRE_OK);
  }
  FUZZ_REQUIRE(!c.valid);
}

/* --- building again ------------------------------------------------------------------------------------- */

static void build(const walk *w, uint8_t *to, size_t capacity, uint8_t *last_key, nacre_slice *ret_block) {
  nc_block_builder b;
  nc_block_begin(&b, to, capacity, last_key);
  for (size_t i = 0; i < w->count; i++) FUZZ_REQUIRE(nc_block_add(&b, &w->entries[i].entry));
  size_t size = nc_block_size(&b);
  *ret_block = nc_block_finish(&b);
  FUZZ_REQUIRE(ret_block->size == size && size <= capacity);
}

static size_t capacity_for(const walk *w) {
  size_t capacity = NC_BLOCK_TRAILER_BYTES;
  for (size_t i = 0; i < w->count; i++)
    capacity += nc_block_bound(w->entries[i].entry.key.size, w->entries[i].entry.value.size);
  return capacity;
}

static void build_again(const walk *w, walk *again) {
  size_t capacity = capacity_for(w);
  uint8_t *first = fuzz_alloc(capacity), *second = fuzz_alloc(capacity);
  uint8_t *last_key = fuzz_alloc(NACRE_KEY_BYTES_MAX);
  nacre_slice built, rebuilt;
  nc_block block;
  build(w, first, capacity, last_key, &built);
  FUZZ_REQUIRE(nc_block_open(built, &block, NULL) == NACRE_OK);
  uint8_t *key_buffer = fuzz_alloc(block.longest_key);
  walk_forward(again, &block, key_buffer);
  FUZZ_REQUIRE(again->well_formed && again->count == w->count);
  for (size_t i = 0; i < w->count; i++) {
    const nc_entry *a = &w->entries[i].entry, *b = &again->entries[i].entry;
    FUZZ_REQUIRE(compare(a, b->key, b->sequence) == 0 && a->kind == b->kind &&
                 nc_slice_equal(a->value, b->value));
  }
  walk_back(again, &block, key_buffer);
  build(again, second, capacity, last_key, &rebuilt);
  fuzz_require_same(rebuilt.data, rebuilt.size, built.data, built.size);
  free(key_buffer);
  free(last_key);
  free(second);
  free(first);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static walk seen, again; /* too large for a stack */
  nc_reader r = nc_reader_over(nc_slice(data, size));
  size_t moves_size = (size_t)fuzz_choose(&r, 256);
  nc_reader moves = nc_reader_over(nc_read_bytes(&r, moves_size));
  nacre_slice bytes = nc_read_bytes(&r, nc_reader_left(&r));
  nacre_error err;
  nc_error_clear(&err);
  nc_block block;
  fuzz_blank(&block, sizeof block);
  nacre_status status = nc_block_open(bytes, &block, &err);
  if (!fuzz_accepted(status, &err, bytes.size, &block, sizeof block)) return 0;
  FUZZ_REQUIRE(block.longest_key <= block.entries_size && block.longest_key <= NACRE_KEY_BYTES_MAX);
  require_sound_restarts(&block);
  uint8_t *key_buffer = fuzz_alloc(block.longest_key);
  walk_forward(&seen, &block, key_buffer);
  nc_reader moves_again = moves;
  steer(&seen, &block, key_buffer, &moves);
  size_t gap = 1 + moves_size % 64;
  void *posts = fuzz_alloc(nc_block_posts_bytes(bytes.size, gap));
  nc_block_set_posts(&block, gap, posts);
  FUZZ_REQUIRE(block.post_count > 0 || !seen.well_formed || seen.count == 0);
  steer(&seen, &block, key_buffer, &moves_again);
  if (seen.well_formed) walk_back(&seen, &block, key_buffer);
  if (seen.well_formed) build_again(&seen, &again);
  free(posts);
  free(key_buffer);
  return 0;
}
