/* SPDX-License-Identifier: Apache-2.0
 *
 * block_entry: one entry of a block as it stands there, for those who read blocks: block.c, block_seek.c,
 * block_posts.c. Everything is checked here but what concerns the entry before: that as much is shared as there
 * is, and the order.
 */
#ifndef NC_BLOCK_ENTRY_H
#define NC_BLOCK_ENTRY_H

#include "block.h"

enum { NC_RESTART_BYTES = 4, NC_KIND_BITS = 3, NC_KIND_MASK = 7 };

/* Where restart point i is. */
static inline uint32_t nc_block_restart(const nc_block *block, uint32_t i) {
  return nc_get_u32(block->data + block->entries_size + (size_t)i * NC_RESTART_BYTES);
}

/* Its key is some `shared` bytes of the key before, then `suffix`. */
typedef struct nc_raw_entry {
  size_t shared, suffix_size, value_size, next;
  const uint8_t *suffix;
  uint64_t sequence;
  nc_kind kind;
} nc_raw_entry;

static inline nacre_status nc_block_bad_entry(nacre_error *err, nc_error_id id, size_t at) {
  return nc_fail_at(err, id, at, NULL);
}

/* What leads an entry: three sizes, and the sequence with the kind. Sizes are mostly of one byte each and the rest
 * of up to five: a short head. Then they come with one load, which may run over the last entry but not over the trailer
 * behind it. */
typedef struct nc_entry_head {
  size_t shared, suffix_size, value_size;
  uint64_t tagged;
} nc_entry_head;
_Static_assert(NC_BLOCK_TRAILER_BYTES >= 8,
               "eight bytes may be read from where an entry begins or its key ends");
_Static_assert(sizeof(size_t) == sizeof(uint64_t), "a size holds what a varint holds");

/* How many bytes a short head takes, 4 to 8; 0: it is none. It may run over the block's end. */
__attribute__((always_inline)) static inline size_t nc_take_short_head(const uint8_t *p, nc_entry_head *h) {
  uint64_t together = nc_get_u64(p), ends = ~together & 0x8080808080000000u;
  if ((together & 0x808080) != 0 || ends == 0) return 0;
  unsigned last = (unsigned)__builtin_ctzll(ends); /* the top bit of the last byte */
  uint64_t head = ~(uint64_t)0 >> (63 - last), x = together & head;
  if (x <= head >> 8 && last > 31) return 0; /* a last byte that adds nothing [P1] */
  h->shared = together & 0xFF;
  h->suffix_size = together >> 8 & 0xFF;
  h->value_size = together >> 16 & 0xFF;
  x = x >> 24 & 0x7F7F7F7F7Fu;
  x = (x & 0x7F007F007Fu) | (x & 0x007F007F00u) >> 1;
  h->tagged = (x & 0x3FFFu) | (x & 0x3FFF0000u) >> 2 | (x & 0x7F00000000u) >> 4;
  return last / 8 + 1;
}

/* Any head; false: there is none. */
bool nc_take_any_head(const uint8_t **p, const uint8_t *end, nc_entry_head *h);

/* The same. Of what comes out callers use different parts, and pay for these alone where it is inline. */
__attribute__((always_inline)) static inline bool nc_take_head(const uint8_t **p, const uint8_t *end,
                                                               nc_entry_head *h) {
  size_t size = nc_take_short_head(*p, h);
  if (size == 0) return nc_take_any_head(p, end, h);
  if ((size_t)(end - *p) < size) return false;
  *p += size;
  return true;
}

/* Whether an entry of another kind than a put is one that there can be; NC_E_NONE, or what is wrong with it. */
nc_error_id nc_block_check_kind(uint64_t kind, nacre_slice value);

/* Parses the entry at `at` < entries_size; NC_E_NONE, or what is wrong with it. */
static inline nc_error_id nc_block_parse(const nc_block *block, size_t at, nc_raw_entry *e) {
  const uint8_t *p = block->data + at, *end = block->data + block->entries_size;
  nc_entry_head h;
  if (!nc_take_head(&p, end, &h)) return NC_E_BLOCK_ENTRY;
  if (h.shared > block->longest_key || h.suffix_size > block->longest_key - h.shared) return NC_E_BLOCK_KEY;
  size_t left = (size_t)(end - p);
  if (h.suffix_size > left || h.value_size > left - h.suffix_size) return NC_E_BLOCK_ENTRY; /* [B3] */
  uint64_t kind = h.tagged & NC_KIND_MASK, sequence = h.tagged >> NC_KIND_BITS;
  if (kind != NC_KIND_PUT) {
    nc_error_id wrong = nc_block_check_kind(kind, nc_slice(p + h.suffix_size, h.value_size));
    if (wrong != NC_E_NONE) return wrong;
  }
  if (sequence > NC_SEQUENCE_MAX) return NC_E_BLOCK_ENTRY; /* [P6] */
  *e = (nc_raw_entry){.shared = h.shared,
                      .suffix_size = h.suffix_size,
                      .value_size = h.value_size,
                      .next = (size_t)(p - block->data) + h.suffix_size + h.value_size,
                      .suffix = p,
                      .sequence = sequence,
                      .kind = (nc_kind)kind};
  return NC_E_NONE;
}
/* Of an entry what its place and its key take. */
typedef struct nc_outline {
  size_t shared, suffix_size, next;
  const uint8_t *suffix;
} nc_outline;

/* Reads the outline of the entry at `at` < entries_size; false when it does not fit. What else may be wrong with it
 * is seen by those who read it. */
static inline bool nc_block_outline(const nc_block *block, size_t at, nc_outline *o) {
  const uint8_t *p = block->data + at, *end = block->data + block->entries_size;
  nc_entry_head h;
  if (!nc_take_head(&p, end, &h)) return false;
  size_t left = (size_t)(end - p);
  if (h.suffix_size > left || h.value_size > left - h.suffix_size) return false;
  *o = (nc_outline){h.shared, h.suffix_size, (size_t)(p - block->data) + h.suffix_size + h.value_size, p};
  return true;
}

/* Puts the cursor on an entry; the `shared` bytes of its key are in the key buffer already. */
static inline void nc_block_settle(nc_block_cursor *c, size_t at, const nc_raw_entry *e) {
  if (e->suffix_size != 0) memcpy(c->key_buffer + e->shared, e->suffix, e->suffix_size);
  c->at = at;
  c->next = e->next;
  c->valid = true;
  c->entry = (nc_entry){.key = nc_slice(c->key_buffer, e->shared + e->suffix_size),
                        .sequence = e->sequence,
                        .kind = e->kind,
                        .value = nc_slice(e->suffix + e->suffix_size, e->value_size)};
}

#endif
