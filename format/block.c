/* SPDX-License-Identifier: Apache-2.0
 *
 * block: the builder of sorted blocks, and the cursor that moves in them (format/README.md, "Blocks").
 *
 * Invariants
 *   1. A builder's entries, restart points and trailer together never exceed its capacity.
 *   2. A cursor reads no byte outside its block and writes none past `longest_key` in its key buffer,
 *      whatever the bytes.
 *   3. A valid cursor's key is what the bytes say, rebuilt; only the conclusion "everything from here on is
 *      greater" rests on their order, and a move that sees the order broken says so.
 */
#include <assert.h>

#include "block_entry.h"

/* ---- building ------------------------------------------------------------------------------------------ */

void nc_block_begin(nc_block_builder *b, void *data, size_t capacity, void *last_key) {
  assert(capacity >= NC_BLOCK_TRAILER_BYTES && capacity <= UINT32_MAX);
  *b = (nc_block_builder){.data = data, .capacity = capacity, .last_key = last_key};
}

size_t nc_block_size(const nc_block_builder *b) {
  return b->size + (size_t)b->restarts * NC_RESTART_BYTES + NC_BLOCK_TRAILER_BYTES;
}

size_t nc_block_bound(size_t key_size, size_t value_size) {
  return 4 * NC_VARINT_BYTES_MAX + key_size + value_size + NC_RESTART_BYTES + NC_BLOCK_TRAILER_BYTES;
}

/* How many bytes of the last key the next one repeats. Order is an invariant that guards data: a block out of
 * order hides keys for good. */
static size_t shared_with_last(const nc_block_builder *b, nacre_slice key) {
  if (b->entries == 0) return 0;
  size_t shared = nc_slice_shared_prefix(nc_slice(b->last_key, b->last_key_size), key);
  assert(shared == b->last_key_size ||
         (shared < key.size && ((const uint8_t *)key.data)[shared] > b->last_key[shared]));
  return shared;
}

static size_t put_entry_header(uint8_t *p, size_t shared, const nc_entry *entry) {
  size_t n = nc_put_varint(p, shared);
  n += nc_put_varint(p + n, entry->key.size - shared);
  n += nc_put_varint(p + n, entry->value.size);
  return n + nc_put_varint(p + n, entry->sequence << NC_KIND_BITS | (uint64_t)entry->kind);
}

/* Where restart point i waits until nc_block_finish: downwards from the end of the buffer. */
static uint8_t *waiting_restart(const nc_block_builder *b, uint32_t i) {
  return b->data + b->capacity - (size_t)NC_RESTART_BYTES * (i + 1);
}

bool nc_block_add(nc_block_builder *b, const nc_entry *entry) {
  assert(entry->key.size <= NACRE_KEY_BYTES_MAX && entry->sequence <= NC_SEQUENCE_MAX);
  size_t repeated = shared_with_last(b, entry->key);
  bool restart = b->entries == 0 || b->since_restart == NC_BLOCK_RESTART_INTERVAL;
  size_t shared = restart ? 0 : repeated;
  uint8_t header[4 * NC_VARINT_BYTES_MAX];
  size_t header_size = put_entry_header(header, shared, entry), suffix_size = entry->key.size - shared;
  size_t left = b->capacity - nc_block_size(b);
  if (entry->value.size > left) return false; /* before the sum, which could wrap */
  if (header_size + suffix_size + entry->value.size + (restart ? NC_RESTART_BYTES : 0) > left) return false;

  if (restart) {
    nc_put_u32(waiting_restart(b, b->restarts++), (uint32_t)b->size);
    b->since_restart = 0;
  }
  nc_writer w = {b->data, b->capacity, b->size, false};
  nc_write_bytes(&w, header, header_size);
  nc_write_bytes(&w, (const uint8_t *)entry->key.data + shared, suffix_size);
  nc_write_bytes(&w, entry->value.data, entry->value.size);
  b->size = w.size;
  memcpy(b->last_key + repeated, (const uint8_t *)entry->key.data + repeated, entry->key.size - repeated);
  b->last_key_size = entry->key.size;
  if (entry->key.size > b->longest_key) b->longest_key = entry->key.size;
  b->since_restart++;
  b->entries++;
  return true;
}

nacre_slice nc_block_finish(nc_block_builder *b) {
  for (uint32_t i = 0, j = b->restarts; i + 1 < j; i++) { /* they wait in reverse */
    uint8_t *low = waiting_restart(b, --j), *high = waiting_restart(b, i);
    uint32_t kept = nc_get_u32(low);
    nc_put_u32(low, nc_get_u32(high));
    nc_put_u32(high, kept);
  }
  size_t restart_bytes = (size_t)b->restarts * NC_RESTART_BYTES;
  uint8_t *end = b->data + b->size;
  memmove(end, b->data + b->capacity - restart_bytes, restart_bytes);
  nc_put_u32(end + restart_bytes, b->restarts);
  nc_put_u32(end + restart_bytes + 4, (uint32_t)b->longest_key);
  return nc_slice(b->data, nc_block_size(b));
}

/* ---- opening ------------------------------------------------------------------------------------------- */

/* Offsets ascend from 0, and each is that of an entry that shares nothing. [B2] */
static bool restarts_good(const nc_block *block) {
  if (block->restarts == 0) return block->entries_size == 0;
  if (nc_block_restart(block, 0) != 0) return false;
  uint32_t last = 0;
  for (uint32_t i = 0; i < block->restarts; i++) {
    uint32_t at = nc_block_restart(block, i);
    if ((i > 0 && at <= last) || at >= block->entries_size || block->data[at] != 0) return false;
    last = at;
  }
  return true;
}

nacre_status nc_block_open(nacre_slice bytes, nc_block *ret_block, nacre_error *err) {
  /* [B1] */
  if (bytes.size < NC_BLOCK_TRAILER_BYTES) return nc_fail(err, NC_E_BLOCK_SHORT, "%zu bytes", bytes.size);
  size_t body = bytes.size - NC_BLOCK_TRAILER_BYTES;
  const uint8_t *data = bytes.data;
  nc_block block = {
      .data = data, .restarts = nc_get_u32(data + body), .longest_key = nc_get_u32(data + body + 4)};
  if (block.restarts > body / NC_RESTART_BYTES || body > UINT32_MAX)
    return nc_fail(err, NC_E_BLOCK_RESTARTS, "%u in %zu bytes", block.restarts, bytes.size);
  block.entries_size = body - (size_t)block.restarts * NC_RESTART_BYTES;
  if (!restarts_good(&block)) return nc_fail(err, NC_E_BLOCK_RESTARTS, NULL);
  if (block.longest_key > NACRE_KEY_BYTES_MAX || block.longest_key > block.entries_size) /* [B4, P5] */
    return nc_fail(err, NC_E_BLOCK_KEY, "longest key of %u bytes", block.longest_key);
  *ret_block = block;
  return NACRE_OK;
}

/* ---- moving -------------------------------------------------------------------------------------------- */

void nc_block_cursor_init(nc_block_cursor *c, const nc_block *block, uint8_t *key_buffer) {
  *c = (nc_block_cursor){.block = block, .key_buffer = key_buffer};
}

/* Puts the cursor on the restart entry at `at`, or past the end when there is none. */
static nacre_status settle_at_restart(nc_block_cursor *c, size_t at, nacre_error *err) {
  c->valid = false;
  if (at >= c->block->entries_size) return NACRE_OK;
  nc_raw_entry e;
  nc_error_id wrong = nc_block_parse(c->block, at, &e); /* it shares nothing: nc_block_open has looked */
  if (wrong != NC_E_NONE) return nc_block_bad_entry(err, wrong, at);
  nc_block_settle(c, at, &e);
  return NACRE_OK;
}

/* Whether `e` comes after an entry of key `last`. One byte decides it, but where prefixes are not shared in full.
 * Entries of sequence 0, which only an index has, may repeat: one key's versions can fill several blocks. */
static inline bool comes_after(const nc_raw_entry *e, nacre_slice last, uint64_t sequence) {
  const uint8_t *at = (const uint8_t *)last.data + e->shared;
  size_t rest = last.size - e->shared;
  if (rest != 0 && e->suffix_size != 0 && e->suffix[0] != *at) return e->suffix[0] > *at;
  int order =
      nc_entry_compare(nc_slice(e->suffix, e->suffix_size), e->sequence, nc_slice(at, rest), sequence);
  return order > 0 || (order == 0 && e->sequence == 0);
}

/* Parses the entry that follows one of key `last`. */
static inline nc_error_id parse_next(const nc_block *block, size_t at, nacre_slice last, uint64_t sequence,
                                     nc_raw_entry *e) {
  nc_error_id wrong = nc_block_parse(block, at, e);
  if (wrong != NC_E_NONE) return wrong;
  if (e->shared > last.size) return NC_E_BLOCK_ENTRY;
  return comes_after(e, last, sequence) ? NC_E_NONE : NC_E_BLOCK_ORDER; /* [B6] */
}

nacre_status nc_block_next(nc_block_cursor *c, nacre_error *err) {
  bool moved = c->valid;
  c->valid = false;
  if (!moved || c->next >= c->block->entries_size) return NACRE_OK;
  nc_raw_entry e;
  nc_error_id wrong = parse_next(c->block, c->next, c->entry.key, c->entry.sequence, &e);
  if (wrong != NC_E_NONE) return nc_block_bad_entry(err, wrong, c->next);
  nc_block_settle(c, c->next, &e);
  return NACRE_OK;
}

enum { STEP_BYTES = 16 };

static inline void copy_step(uint8_t *to, const uint8_t *from) {
  uint8_t step[STEP_BYTES]; /* the two may overlap */
  memcpy(step, from, sizeof step);
  memcpy(to, step, sizeof step);
}

/* Copies `size` bytes, in one step or more, which may pass both ends by a step: no call, for keys are short. */
static inline void copy_in_steps(uint8_t *to, const uint8_t *from, size_t size) {
  copy_step(to, from);
  for (size_t i = STEP_BYTES; i < size; i += STEP_BYTES) copy_step(to + i, from + i);
}

/* The key of `e`, from the shared bytes of the key before it and its own, at `to`. What is read past the suffix
 * still lies in the block, or is copied exactly. */
static inline void rebuild(uint8_t *to, const uint8_t *last, const nc_raw_entry *e,
                           const uint8_t *block_end) {
  copy_in_steps(to, last, e->shared);
  if ((size_t)(block_end - e->suffix) >= e->suffix_size + STEP_BYTES) {
    copy_in_steps(to + e->shared, e->suffix, e->suffix_size);
  } else if (e->suffix_size != 0) {
    memcpy(to + e->shared, e->suffix, e->suffix_size);
  }
}

/* Entries that are being listed. */
typedef struct listing {
  nc_entry *entries;
  uint32_t *offsets;
  size_t n, count;
  uint8_t *to, *keys_end; /* where the next key goes */
  size_t at;              /* of the next entry */
  nacre_slice last;
  uint64_t sequence;
} listing;

/* Whether a key comes after the one before where one byte does not decide it: at restart points, or one begins with
 * the other. */
__attribute__((noinline)) static bool is_greater(nacre_slice suffix, nacre_slice last, size_t shared) {
  if (shared > last.size) return false;
  return nc_slice_compare(suffix, nc_slice((const uint8_t *)last.data + shared, last.size - shared)) > 0;
}

/* Up to where an entry may end so that a step over its end stays in the block. */
static inline const uint8_t *step_limit(const nc_block *block) {
  size_t behind = (size_t)block->restarts * NC_RESTART_BYTES + NC_BLOCK_TRAILER_BYTES;
  size_t missing = behind < STEP_BYTES ? STEP_BYTES - behind : 0;
  return block->data + (block->entries_size > missing ? block->entries_size - missing : 0);
}

/* Lists on over plain entries, which most are: puts of another key than the one before that have a short head, and end
 * well inside of the block and of `keys`. What is anything else, or is damaged, is left for list_one. Every line of this
 * loop is paid for each key of a scan: what it finds goes where it belongs at once, before it is known to be good, for
 * the processor has few registers. */
__attribute__((noinline)) static void list_plain(const nc_block *block, listing *l) {
  if (l->keys_end - l->to < NC_BLOCK_READ_SLACK) return;
  const uint8_t *p = block->data + l->at, *limit = step_limit(block), *last = l->last.data;
  const uint8_t *keys_limit = l->keys_end - NC_BLOCK_READ_SLACK;
  uint8_t *to = l->to;
  size_t last_size = l->last.size, n = l->n;
  nc_entry *entry = l->entries + n;
  nc_entry_head h;
  for (; n < l->count && p < limit; n++, entry++) {
    size_t head_size = nc_take_short_head(p, &h);
    if (head_size == 0 || (h.tagged & NC_KIND_MASK) != NC_KIND_PUT) break;
    const uint8_t *suffix = p + head_size, *next = suffix + h.suffix_size;
    size_t size = h.shared + h.suffix_size;
    *entry =
        (nc_entry){nc_slice(to, size), h.tagged >> NC_KIND_BITS, NC_KIND_PUT, nc_slice(next, h.value_size)};
    next += h.value_size;
    if (next > limit || size > block->longest_key || to + size > keys_limit) break;
    bool is_plainly_greater = h.shared < last_size && h.suffix_size != 0 && *suffix > last[h.shared];
    if (!is_plainly_greater &&
        !is_greater(nc_slice(suffix, h.suffix_size), nc_slice(last, last_size), h.shared))
      break; /* [B6] */
    copy_in_steps(to, last, h.shared);
    copy_in_steps(to + h.shared, suffix, h.suffix_size);
    l->offsets[n] = (uint32_t)(p - block->data);
    last = to;
    last_size = size;
    to += size;
    p = next;
  }
  if (n == l->n) return;
  l->n = n;
  l->to = to;
  l->at = (size_t)(p - block->data);
  l->last = nc_slice(last, last_size);
  l->sequence = entry[-1].sequence;
}

/* The same with one entry, whatever it is; false when there is none, or no room for it. */
__attribute__((noinline)) static bool list_one(const nc_block *block, listing *l) {
  const uint8_t *block_end = block->data + block->entries_size + NC_BLOCK_TRAILER_BYTES;
  nc_raw_entry e;
  if (l->n == l->count || l->at >= block->entries_size) return false;
  if (parse_next(block, l->at, l->last, l->sequence, &e) != NC_E_NONE) return false;
  size_t size = e.shared + e.suffix_size;
  if ((size_t)(l->keys_end - l->to) < size + NC_BLOCK_READ_SLACK) return false;
  rebuild(l->to, l->last.data, &e, block_end);
  l->last = nc_slice(l->to, size);
  l->sequence = e.sequence;
  l->entries[l->n] =
      (nc_entry){l->last, e.sequence, e.kind, nc_slice(e.suffix + e.suffix_size, e.value_size)};
  l->offsets[l->n++] = (uint32_t)l->at;
  l->at = e.next;
  l->to += size;
  return true;
}

size_t nc_block_read(nc_block_cursor *c, size_t count, nc_entry *entries, uint32_t *offsets, uint8_t *keys,
                     size_t keys_capacity) {
  if (!c->valid) return 0;
  listing l = {.entries = entries,
               .offsets = offsets,
               .count = count,
               .to = keys,
               .keys_end = keys + keys_capacity,
               .at = c->next,
               .last = c->entry.key,
               .sequence = c->entry.sequence};
  do list_plain(c->block, &l);
  while (list_one(c->block, &l));
  if (l.n == 0) return 0;
  if (l.last.size != 0) memcpy(c->key_buffer, l.last.data, l.last.size);
  c->at = offsets[l.n - 1];
  c->next = l.at;
  c->entry = entries[l.n - 1];
  c->entry.key.data = c->key_buffer;
  return l.n;
}

void nc_block_stand_at(nc_block_cursor *c, uint32_t offset) {
  c->at = offset;
  c->valid = true;
}

nacre_status nc_block_first(nc_block_cursor *c, nacre_error *err) { return settle_at_restart(c, 0, err); }

/* Walks from restart point `from` to the entry that ends at `end`, which must be where some entry ends. */
static nacre_status walk_to(nc_block_cursor *c, uint32_t from, size_t end, nacre_error *err) {
  NC_TRY(settle_at_restart(c, nc_block_restart(c->block, from), err));
  while (c->valid && c->next < end) NC_TRY(nc_block_next(c, err));
  if (c->valid && c->next == end) return NACRE_OK;
  c->valid = false;
  return nc_block_bad_entry(err, NC_E_BLOCK_ENTRY, c->at);
}

nacre_status nc_block_last(nc_block_cursor *c, nacre_error *err) {
  c->valid = false;
  if (c->block->restarts == 0) return NACRE_OK;
  return walk_to(c, c->block->restarts - 1, c->block->entries_size, err);
}

/* The last restart point before offset `at` > 0. */
static uint32_t restart_before(const nc_block *block, size_t at) {
  uint32_t low = 0,
           high = block->restarts; /* restart low is before `at`; restart high is not, or does not exist */
  while (high - low > 1) {
    uint32_t middle = low + (high - low) / 2;
    if (nc_block_restart(block, middle) < at)
      low = middle;
    else
      high = middle;
  }
  return low;
}

nacre_status nc_block_prev(nc_block_cursor *c, nacre_error *err) {
  bool moved = c->valid;
  c->valid = false;
  if (!moved || c->at == 0) return NACRE_OK;
  return walk_to(c, restart_before(c->block, c->at), c->at, err);
}

size_t nc_block_read_back(nc_block_cursor *c, size_t capacity, nc_entry *entries, uint32_t *offsets,
                          uint8_t *keys, size_t keys_capacity) {
  if (!c->valid || c->at == 0 || capacity == 0) return 0;
  size_t restart = nc_block_restart(c->block, restart_before(c->block, c->at));
  nc_block part = *c->block; /* that ends before this entry */
  part.entries_size = c->at;
  nc_block_cursor walk = {.block = &part, .key_buffer = c->key_buffer};
  if (settle_at_restart(&walk, restart, NULL) != NACRE_OK || !walk.valid) return 0;
  size_t first = walk.entry.key.size;
  if (first + NC_BLOCK_READ_SLACK > keys_capacity) return 0;
  if (first > 0) memcpy(keys, walk.entry.key.data, first);
  entries[0] = walk.entry;
  entries[0].key.data = keys;
  offsets[0] = (uint32_t)restart;
  size_t count =
      1 + nc_block_read(&walk, capacity - 1, entries + 1, offsets + 1, keys + first, keys_capacity - first);
  if (walk.next != c->at) return 0;
  c->at = restart;
  return count;
}
