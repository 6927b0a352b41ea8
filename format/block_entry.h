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

/* A varint of [*p, end), by the short way when it is one byte; false when there is none. */
static inline bool nc_take_varint(const uint8_t **p, const uint8_t *end, uint64_t *ret_value) {
  if (*p < end && **p < 0x80) {
    *ret_value = *(*p)++;
    return true;
  }
  size_t n = nc_get_varint(*p, end, ret_value);
  *p += n;
  return n != 0;
}

/* The same for what is mostly of two to eight bytes: these, read at once, are pressed together by halves. */
static inline bool nc_take_long_varint(const uint8_t **p, const uint8_t *end, uint64_t *ret_value) {
  if (end - *p < 8) return nc_take_varint(p, end, ret_value);
  uint64_t x = nc_get_u64(*p), ends = ~x & 0x8080808080808080u;
  if (ends == 0) return nc_take_varint(p, end, ret_value);
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

/* The three sizes that lead an entry. They are mostly of one byte each, and then come with one load, which may
 * run over the last entry but not over the trailer behind it. */
static inline bool nc_take_sizes(const uint8_t **p, const uint8_t *end, nc_raw_entry *e) {
  uint64_t together = nc_get_u64(*p), shared, suffix_size, value_size;
  if ((together & 0x808080) == 0 && end - *p > 3) {
    e->shared = together & 0xFF;
    e->suffix_size = together >> 8 & 0xFF;
    e->value_size = together >> 16 & 0xFF;
    *p += 3;
    return true;
  }
  if (!nc_take_varint(p, end, &shared) || !nc_take_varint(p, end, &suffix_size) ||
      !nc_take_varint(p, end, &value_size))
    return false;
  e->shared = (size_t)shared;
  e->suffix_size = (size_t)suffix_size;
  e->value_size = (size_t)value_size;
  return true;
}
_Static_assert(NC_BLOCK_TRAILER_BYTES >= 8,
               "eight bytes may be read from where an entry begins or its key ends");
_Static_assert(sizeof(size_t) == sizeof(uint64_t), "a size holds what a varint holds");

enum { NC_KINDS_KNOWN = 1 << NC_KIND_PUT | 1 << NC_KIND_DELETE | 1 << NC_KIND_EXPIRING | 1 << NC_KIND_LARGE };

/* Parses the entry at `at` < entries_size; NC_E_NONE, or what is wrong with it. */
static inline nc_error_id nc_block_parse(const nc_block *block, size_t at, nc_raw_entry *e) {
  const uint8_t *p = block->data + at, *end = block->data + block->entries_size;
  uint64_t tagged;
  if (!nc_take_sizes(&p, end, e) || !nc_take_long_varint(&p, end, &tagged)) return NC_E_BLOCK_ENTRY;
  if (e->shared > block->longest_key || e->suffix_size > block->longest_key - e->shared)
    return NC_E_BLOCK_KEY;
  size_t left = (size_t)(end - p);
  if (e->suffix_size > left || e->value_size > left - e->suffix_size) return NC_E_BLOCK_ENTRY; /* [B3] */
  uint64_t kind = tagged & NC_KIND_MASK;
  if (((1u << kind) & NC_KINDS_KNOWN) == 0) return NC_E_BLOCK_KIND;                               /* [B5] */
  if (tagged >> NC_KIND_BITS > NC_SEQUENCE_MAX || (kind == NC_KIND_DELETE && e->value_size != 0)) /* [P6] */
    return NC_E_BLOCK_ENTRY;
  if (kind >= NC_KIND_EXPIRING && e->value_size < NC_EXPIRY_BYTES) return NC_E_BLOCK_ENTRY; /* [B3] */
  if (kind == NC_KIND_EXPIRING && !nc_expiry_sound(nc_slice(p + e->suffix_size, e->value_size)))
    return NC_E_BLOCK_ENTRY;
  e->suffix = p;
  e->sequence = tagged >> NC_KIND_BITS;
  e->kind = (nc_kind)kind;
  e->next = (size_t)(p - block->data) + e->suffix_size + e->value_size;
  return NC_E_NONE;
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
