/* SPDX-License-Identifier: Apache-2.0
 *
 * block: the builder of sorted blocks, and the cursor over them (format/README.md, "Blocks").
 *
 * Invariants
 *   1. A builder's entries, restart points and trailer together never exceed its capacity.
 *   2. A cursor reads no byte outside its block and writes none past `longest_key` in its key buffer,
 *      whatever the bytes.
 *   3. A valid cursor's key is what the bytes say, rebuilt; only the conclusion "everything from here on is
 *      greater" rests on their order, and a move that sees the order broken says so.
 */
#include "block.h"

#include <assert.h>

enum { RESTART_BYTES = 4, ENTRY_HEADER_BYTES_MIN = 4, KIND_BITS = 3, KIND_MASK = 7 };

/* ---- building ------------------------------------------------------------------------------------------ */

void nc_block_begin(nc_block_builder *b, void *data, size_t capacity, void *last_key) {
  assert(capacity >= NC_BLOCK_TRAILER_BYTES && capacity <= UINT32_MAX);
  *b = (nc_block_builder){.data = data, .capacity = capacity, .last_key = last_key};
}

size_t nc_block_size(const nc_block_builder *b) {
  return b->size + (size_t)b->restarts * RESTART_BYTES + NC_BLOCK_TRAILER_BYTES;
}

size_t nc_block_bound(size_t key_size, size_t value_size) {
  return 4 * NC_VARINT_BYTES_MAX + key_size + value_size + RESTART_BYTES + NC_BLOCK_TRAILER_BYTES;
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
  return n + nc_put_varint(p + n, entry->sequence << KIND_BITS | (uint64_t)entry->kind);
}

/* Where restart point i waits until nc_block_finish: downwards from the end of the buffer. */
static uint8_t *waiting_restart(const nc_block_builder *b, uint32_t i) {
  return b->data + b->capacity - (size_t)RESTART_BYTES * (i + 1);
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
  if (header_size + suffix_size + entry->value.size + (restart ? RESTART_BYTES : 0) > left) return false;

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
  size_t restart_bytes = (size_t)b->restarts * RESTART_BYTES;
  uint8_t *end = b->data + b->size;
  memmove(end, b->data + b->capacity - restart_bytes, restart_bytes);
  nc_put_u32(end + restart_bytes, b->restarts);
  nc_put_u32(end + restart_bytes + 4, (uint32_t)b->longest_key);
  return nc_slice(b->data, nc_block_size(b));
}

/* ---- opening ------------------------------------------------------------------------------------------- */

static uint32_t restart_at(const nc_block *block, uint32_t i) {
  return nc_get_u32(block->data + block->entries_size + (size_t)i * RESTART_BYTES);
}

/* Offsets ascend from 0, and each is that of an entry that shares nothing. [B2] */
static bool restarts_good(const nc_block *block) {
  if (block->restarts == 0) return block->entries_size == 0;
  if (restart_at(block, 0) != 0) return false;
  uint32_t last = 0;
  for (uint32_t i = 0; i < block->restarts; i++) {
    uint32_t at = restart_at(block, i);
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
  if (block.restarts > body / RESTART_BYTES || body > UINT32_MAX)
    return nc_fail(err, NC_E_BLOCK_RESTARTS, "%u in %zu bytes", block.restarts, bytes.size);
  block.entries_size = body - (size_t)block.restarts * RESTART_BYTES;
  if (!restarts_good(&block)) return nc_fail(err, NC_E_BLOCK_RESTARTS, NULL);
  if (block.longest_key > NACRE_KEY_BYTES_MAX || block.longest_key > block.entries_size) /* [B4, P5] */
    return nc_fail(err, NC_E_BLOCK_KEY, "longest key of %u bytes", block.longest_key);
  *ret_block = block;
  return NACRE_OK;
}

/* ---- entries ------------------------------------------------------------------------------------------- */

/* An entry as it stands in the block: its key is some `shared` bytes of the key before, then `suffix`. */
typedef struct raw_entry {
  size_t shared, suffix_size, value_size, next;
  const uint8_t *suffix;
  uint64_t sequence;
  nc_kind kind;
} raw_entry;

static nacre_status bad_entry(nacre_error *err, nc_error_id id, size_t at) {
  return nc_fail_at(err, id, at, NULL);
}

/* A varint of [*p, end), by the short way when it is one byte; false when there is none. */
static inline bool take_varint(const uint8_t **p, const uint8_t *end, uint64_t *ret_value) {
  if (*p < end && **p < 0x80) {
    *ret_value = *(*p)++;
    return true;
  }
  size_t n = nc_get_varint(*p, end, ret_value);
  *p += n;
  return n != 0;
}

/* The same for what is mostly of two to eight bytes: these, read at once, are pressed together by halves. */
static inline bool take_long_varint(const uint8_t **p, const uint8_t *end, uint64_t *ret_value) {
  if (end - *p < 8) return take_varint(p, end, ret_value);
  uint64_t x = nc_get_u64(*p), ends = ~x & 0x8080808080808080u;
  if (ends == 0) return take_varint(p, end, ret_value);
  unsigned last = (unsigned)__builtin_ctzll(ends); /* the top bit of the last byte */
  x &= ~(uint64_t)0 >> (63 - last);
  if (last > 7 && x >> (last - 7) == 0) return false; /* a last byte that adds nothing [P1] */
  x &= 0x7F7F7F7F7F7F7F7Fu;
  x = (x & 0x007F007F007F007Fu) | (x & 0x7F007F007F007F00u) >> 1;
  x = (x & 0x00003FFF00003FFFu) | (x & 0x3FFF00003FFF0000u) >> 2;
  *ret_value = (x & 0x000000000FFFFFFFu) | (x & 0x0FFFFFFF00000000u) >> 4;
  *p += last / 8 + 1;
  return true;
}

enum { KINDS_KNOWN = 1 << NC_KIND_PUT | 1 << NC_KIND_DELETE | 1 << NC_KIND_EXPIRING | 1 << NC_KIND_LARGE };

/* Parses the entry at `at` < entries_size and checks all but its order; NC_E_NONE, or what is wrong with
 * it. */
static inline nc_error_id parse_entry(const nc_block *block, size_t at, raw_entry *e) {
  const uint8_t *p = block->data + at, *end = block->data + block->entries_size;
  uint64_t shared, suffix_size, value_size, tagged;
  if (!take_varint(&p, end, &shared) || !take_varint(&p, end, &suffix_size) ||
      !take_varint(&p, end, &value_size) || !take_long_varint(&p, end, &tagged))
    return NC_E_BLOCK_ENTRY;
  if (shared > block->longest_key || suffix_size > block->longest_key - shared) return NC_E_BLOCK_KEY;
  size_t left = (size_t)(end - p);
  if (suffix_size > left || value_size > left - suffix_size) return NC_E_BLOCK_ENTRY; /* [B3] */
  uint64_t kind = tagged & KIND_MASK;
  if (((1u << kind) & KINDS_KNOWN) == 0) return NC_E_BLOCK_KIND;                            /* [B5] */
  if (tagged >> KIND_BITS > NC_SEQUENCE_MAX || (kind == NC_KIND_DELETE && value_size != 0)) /* [P6] */
    return NC_E_BLOCK_ENTRY;
  if (kind >= NC_KIND_EXPIRING && value_size < NC_EXPIRY_BYTES) return NC_E_BLOCK_ENTRY; /* [B3] */
  if (kind == NC_KIND_EXPIRING && !nc_expiry_sound(nc_slice(p + suffix_size, (size_t)value_size)))
    return NC_E_BLOCK_ENTRY;
  e->shared = (size_t)shared;
  e->suffix_size = (size_t)suffix_size;
  e->value_size = (size_t)value_size;
  e->suffix = p;
  e->sequence = tagged >> KIND_BITS;
  e->kind = (nc_kind)kind;
  e->next = (size_t)(p - block->data) + e->suffix_size + e->value_size;
  return NC_E_NONE;
}

/* ---- moving -------------------------------------------------------------------------------------------- */

void nc_block_cursor_init(nc_block_cursor *c, const nc_block *block, uint8_t *key_buffer) {
  *c = (nc_block_cursor){.block = block, .key_buffer = key_buffer};
}

/* Puts the cursor on an entry; the `shared` bytes of its key are in the key buffer already. */
static void settle(nc_block_cursor *c, size_t at, const raw_entry *e) {
  if (e->suffix_size != 0) memcpy(c->key_buffer + e->shared, e->suffix, e->suffix_size);
  c->at = at;
  c->next = e->next;
  c->valid = true;
  c->entry = (nc_entry){.key = nc_slice(c->key_buffer, e->shared + e->suffix_size),
                        .sequence = e->sequence,
                        .kind = e->kind,
                        .value = nc_slice(e->suffix + e->suffix_size, e->value_size)};
}

/* Puts the cursor on the restart entry at `at`, or past the end when there is none. */
static nacre_status settle_at_restart(nc_block_cursor *c, size_t at, nacre_error *err) {
  c->valid = false;
  if (at >= c->block->entries_size) return NACRE_OK;
  raw_entry e;
  nc_error_id wrong = parse_entry(c->block, at, &e); /* it shares nothing: nc_block_open has looked */
  if (wrong != NC_E_NONE) return bad_entry(err, wrong, at);
  settle(c, at, &e);
  return NACRE_OK;
}

/* Whether `e` comes after an entry of key `last`. One byte decides it, but where prefixes are not shared in full.
 * Entries of sequence 0, which only an index has, may repeat: one key's versions can fill several blocks. */
static inline bool comes_after(const raw_entry *e, nacre_slice last, uint64_t sequence) {
  const uint8_t *at = (const uint8_t *)last.data + e->shared;
  size_t rest = last.size - e->shared;
  if (rest != 0 && e->suffix_size != 0 && e->suffix[0] != *at) return e->suffix[0] > *at;
  int order =
      nc_entry_compare(nc_slice(e->suffix, e->suffix_size), e->sequence, nc_slice(at, rest), sequence);
  return order > 0 || (order == 0 && e->sequence == 0);
}

/* Parses the entry that follows one of key `last`. */
static inline nc_error_id parse_next(const nc_block *block, size_t at, nacre_slice last, uint64_t sequence,
                                     raw_entry *e) {
  nc_error_id wrong = parse_entry(block, at, e);
  if (wrong != NC_E_NONE) return wrong;
  if (e->shared > last.size) return NC_E_BLOCK_ENTRY;
  return comes_after(e, last, sequence) ? NC_E_NONE : NC_E_BLOCK_ORDER; /* [B6] */
}

nacre_status nc_block_next(nc_block_cursor *c, nacre_error *err) {
  bool moved = c->valid;
  c->valid = false;
  if (!moved || c->next >= c->block->entries_size) return NACRE_OK;
  raw_entry e;
  nc_error_id wrong = parse_next(c->block, c->next, c->entry.key, c->entry.sequence, &e);
  if (wrong != NC_E_NONE) return bad_entry(err, wrong, c->next);
  settle(c, c->next, &e);
  return NACRE_OK;
}

/* Copies `size` bytes, in steps of 16 that may pass both ends by less than a step: no call, for keys are short. */
static inline void copy_in_steps(uint8_t *to, const uint8_t *from, size_t size) {
  for (size_t i = 0; i < size; i += 16) {
    uint8_t step[16]; /* the two may overlap */
    memcpy(step, from + i, sizeof step);
    memcpy(to + i, step, sizeof step);
  }
}

/* The key of `e`, from the shared bytes of the key before it and its own, at `to`. What is read past the suffix
 * still lies in the block, or is copied exactly. */
static inline void rebuild(uint8_t *to, const uint8_t *last, const raw_entry *e, const uint8_t *block_end) {
  copy_in_steps(to, last, e->shared);
  if ((size_t)(block_end - e->suffix) >= e->suffix_size + 16) {
    copy_in_steps(to + e->shared, e->suffix, e->suffix_size);
  } else if (e->suffix_size != 0) {
    memcpy(to + e->shared, e->suffix, e->suffix_size);
  }
}

size_t nc_block_read(nc_block_cursor *c, size_t count, nc_entry *entries, uint32_t *offsets, uint8_t *keys,
                     size_t keys_capacity) {
  const nc_block *block = c->block;
  const uint8_t *block_end = block->data + block->entries_size + NC_BLOCK_TRAILER_BYTES;
  uint8_t *to = keys, *keys_end = keys + keys_capacity;
  nacre_slice last = c->entry.key;
  uint64_t sequence = c->entry.sequence;
  size_t at = c->next, n = 0;
  if (!c->valid) return 0;
  for (raw_entry e; n < count && at < block->entries_size; n++, at = e.next) {
    if (parse_next(block, at, last, sequence, &e) != NC_E_NONE) break;
    size_t size = e.shared + e.suffix_size;
    if ((size_t)(keys_end - to) < size + NC_BLOCK_READ_SLACK) break;
    rebuild(to, last.data, &e, block_end);
    last = nc_slice(to, size);
    sequence = e.sequence;
    entries[n] = (nc_entry){.key = last,
                            .sequence = sequence,
                            .kind = e.kind,
                            .value = nc_slice(e.suffix + e.suffix_size, e.value_size)};
    offsets[n] = (uint32_t)at;
    to += size;
  }
  if (n == 0) return 0;
  if (last.size != 0) memcpy(c->key_buffer, last.data, last.size);
  c->at = offsets[n - 1];
  c->next = at;
  c->entry = entries[n - 1];
  c->entry.key.data = c->key_buffer;
  return n;
}

void nc_block_stand_at(nc_block_cursor *c, uint32_t offset) {
  c->at = offset;
  c->valid = true;
}

nacre_status nc_block_first(nc_block_cursor *c, nacre_error *err) { return settle_at_restart(c, 0, err); }

/* Walks from restart point `from` to the entry that ends at `end`, which must be where some entry ends. */
static nacre_status walk_to(nc_block_cursor *c, uint32_t from, size_t end, nacre_error *err) {
  NC_TRY(settle_at_restart(c, restart_at(c->block, from), err));
  while (c->valid && c->next < end) NC_TRY(nc_block_next(c, err));
  if (c->valid && c->next == end) return NACRE_OK;
  c->valid = false;
  return bad_entry(err, NC_E_BLOCK_ENTRY, c->at);
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
    if (restart_at(block, middle) < at)
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

/* ---- seeking ------------------------------------------------------------------------------------------- */

/* The last restart point whose entry comes before the target (0 when none does), by keys compared where they
 * stand. */
static nacre_status restart_for(const nc_block *block, nacre_slice key, uint64_t sequence,
                                uint32_t *ret_restart, nacre_error *err) {
  uint32_t low = 0, high = block->restarts;
  while (high - low > 1) {
    uint32_t middle = low + (high - low) / 2;
    raw_entry e;
    nc_error_id wrong = parse_entry(block, restart_at(block, middle), &e);
    if (wrong != NC_E_NONE) return bad_entry(err, wrong, restart_at(block, middle));
    if (nc_entry_compare(nc_slice(e.suffix, e.suffix_size), e.sequence, key, sequence) < 0)
      low = middle;
    else
      high = middle;
  }
  *ret_restart = low;
  return NACRE_OK;
}

/* Where an entry ends is known only when it is read, so a walk waits for memory at every one of them; asked for
 * together, the lines of the stretch from one restart point to the next come together. */
static void prefetch_stretch(const nc_block *block, uint32_t restart) {
  enum { LINE_BYTES = 64, STRETCH_BYTES_MAX = 4096 };
  size_t from = restart_at(block, restart);
  size_t to = restart + 1 < block->restarts ? restart_at(block, restart + 1) : block->entries_size;
  if (to - from > STRETCH_BYTES_MAX) to = from + STRETCH_BYTES_MAX;
  for (size_t at = from; at < to; at += LINE_BYTES) __builtin_prefetch(block->data + at);
}

/* Suffixes are short: a call would cost more than the comparison. */
static inline size_t common_bytes(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size) {
  size_t limit = a_size < b_size ? a_size : b_size, n = 0;
  while (n < limit && a[n] == b[n]) n++;
  return n;
}

/* Puts the cursor on an entry that shares with the target all that it shares with its predecessor. */
static void settle_on_found(nc_block_cursor *c, size_t at, const raw_entry *e, const uint8_t *target) {
  if (e->shared != 0) memcpy(c->key_buffer, target, e->shared);
  settle(c, at, e);
}

/* Implementation notes. The scan rebuilds no key on its way. It keeps `matched`, how many bytes the target
 * shares with the last entry passed, which came before the target. An entry that shares more than that with
 * its predecessor differs from the target where its predecessor did, so it comes before it too, unread. Any
 * other begins with target[0..shared), and its suffix alone decides; so when the scan stops, the prefix of
 * the key it stops at is taken from the target. */
nacre_status nc_block_seek(nc_block_cursor *c, nacre_slice key, uint64_t sequence, nacre_error *err) {
  const nc_block *block = c->block;
  const uint8_t *target = key.data;
  c->valid = false;
  if (block->restarts == 0) return NACRE_OK;
  uint32_t restart = 0;
  NC_TRY(restart_for(block, key, sequence, &restart, err));
  prefetch_stretch(block, restart);
  size_t matched = 0, key_size = 0; /* of the last entry passed */
  raw_entry e;
  for (size_t at = restart_at(block, restart); at < block->entries_size; at = e.next) {
    nc_error_id wrong = parse_entry(block, at, &e);
    if (wrong == NC_E_NONE && e.shared > key_size) wrong = NC_E_BLOCK_ENTRY;
    if (wrong != NC_E_NONE) return bad_entry(err, wrong, at);
    key_size = e.shared + e.suffix_size;
    if (e.shared > matched) continue;
    size_t common = common_bytes(e.suffix, e.suffix_size, target + e.shared, key.size - e.shared);
    size_t differs = e.shared + common;
    bool before = differs < key_size && differs < key.size ? e.suffix[common] < target[differs]
                  : key_size != key.size                   ? key_size < key.size
                                                           : e.sequence > sequence;
    if (!before) {
      settle_on_found(c, at, &e, target);
      return NACRE_OK;
    }
    if (differs < matched) return bad_entry(err, NC_E_BLOCK_ORDER, at);
    matched = differs;
  }
  return NACRE_OK;
}
