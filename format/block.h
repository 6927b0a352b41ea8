/* SPDX-License-Identifier: Apache-2.0
 *
 * block: sorted entries with shared key prefixes and restart points (format/README.md, "Blocks").
 *
 *   entry*      varint shared · varint unshared · varint value size · varint (sequence << 3 | kind)
 *               · key suffix · value
 *   restart*    u32 offset of an entry whose shared is 0; the first is 0
 *   u32         number of restarts
 *   u32         longest key in the block, in bytes
 *
 * Index blocks are blocks too: their values are block addresses (index.h), their sequences 0, and their
 * entries may repeat.
 */
#ifndef NC_BLOCK_H
#define NC_BLOCK_H

#include "coding.h"
#include "entry.h"
#include "status.h"

enum { NC_BLOCK_RESTART_INTERVAL = 16, NC_BLOCK_TRAILER_BYTES = 8, NC_BLOCK_READ_SLACK = 32 };

/* Builds one block in the caller's buffer. `last_key` is a buffer of NACRE_KEY_BYTES_MAX bytes, also the
 * caller's. Restart points are kept at the end of the buffer until nc_block_finish moves them to their
 * place. */
typedef struct nc_block_builder {
  uint8_t *data;
  size_t capacity, size; /* `size`: entries so far */
  uint8_t *last_key;
  size_t last_key_size, longest_key;
  uint32_t restarts, since_restart, entries;
} nc_block_builder;

void nc_block_begin(nc_block_builder *b, void *data, size_t capacity, void *last_key);
/* Adds an entry, which must come after the last in order. False when it does not fit: the block is unchanged.
 * A buffer of nc_block_bound(key size, value size) holds any single entry. */
NC_MUST_CHECK bool nc_block_add(nc_block_builder *b, const nc_entry *entry);
/* What nc_block_finish would return now. */
size_t nc_block_size(const nc_block_builder *b);
size_t nc_block_bound(size_t key_size, size_t value_size);
/* Ends the block; returns its bytes, at the start of the buffer. */
nacre_slice nc_block_finish(nc_block_builder *b);

/* A block to be read; borrows the bytes. */
typedef struct nc_block {
  const uint8_t *data;
  size_t entries_size; /* bytes of entries, before the restarts */
  uint32_t restarts;
  uint32_t longest_key;
  /* Signposts, if it has any: block_posts.h. */
  uint32_t post_count, common_at, common_size; /* what all keys begin with, in the data */
  bool dense;                                   /* there is one at every entry */
  const uint64_t *words;
  const uint32_t *places;
} nc_block;

/* Checks the trailer and every restart point. */
NC_MUST_CHECK nacre_status nc_block_open(nacre_slice bytes, nc_block *ret_block, nacre_error *err);

/* A place in a block. The key is rebuilt in `key_buffer`, which is the caller's, of at least
 * block->longest_key bytes (not NULL); the value points into the block. Every move returns a status: a
 * damaged entry is an error, never a wild read; the end is NACRE_OK with `valid` false. */
typedef struct nc_block_cursor {
  const nc_block *block;
  uint8_t *key_buffer;
  size_t at, next; /* offsets of this entry and of the one after it */
  bool valid;
  nc_entry entry;
} nc_block_cursor;

void nc_block_cursor_init(nc_block_cursor *c, const nc_block *block, uint8_t *key_buffer);
NC_MUST_CHECK nacre_status nc_block_first(nc_block_cursor *c, nacre_error *err);
NC_MUST_CHECK nacre_status nc_block_last(nc_block_cursor *c, nacre_error *err);
NC_MUST_CHECK nacre_status nc_block_next(nc_block_cursor *c, nacre_error *err);
NC_MUST_CHECK nacre_status nc_block_prev(nc_block_cursor *c, nacre_error *err);
/* Moves on by up to `count` entries, which it lists in `entries`, and where they stand in `offsets`; fewer when
 * the block ends, when the next one is damaged (the next move says so) or when `keys` is full. Their keys are
 * rebuilt in `keys`. The cursor stands at the last of them then. Keys are copied in steps: `keys` and the
 * cursor's key buffer have NC_BLOCK_READ_SLACK bytes behind what they must hold. */
size_t nc_block_read(nc_block_cursor *c, size_t count, nc_entry *entries, uint32_t *offsets, uint8_t *keys,
                     size_t keys_capacity);
/* Lists the entries from the restart point before this entry up to it, which is left out: in order, and as
 * nc_block_read does; so going back parses each entry once, and not all of them for every step. 0: there is none
 * before it, or they do not all fit, or something is damaged; nc_block_prev goes there then, or says so. Else the
 * cursor stands at the first of them, as after nc_block_stand_at. */
size_t nc_block_read_back(nc_block_cursor *c, size_t capacity, nc_entry *entries, uint32_t *offsets,
                          uint8_t *keys, size_t keys_capacity);
/* Puts the cursor back on an entry that nc_block_read listed at this offset, but without its key and value:
 * good for nc_block_prev only. */
void nc_block_stand_at(nc_block_cursor *c, uint32_t offset);
/* The first entry at or after (key, sequence) in entry order; invalid when all come before it. */
NC_MUST_CHECK nacre_status nc_block_seek(nc_block_cursor *c, nacre_slice key, uint64_t sequence,
                                         nacre_error *err);

typedef enum nc_block_match {
  NC_BLOCK_NONE,     /* all entries come before */
  NC_BLOCK_SAME_KEY, /* an entry of the key itself */
  NC_BLOCK_BEHIND    /* an entry of a key behind it */
} nc_block_match;
/* The same without a cursor: the key of `*ret_entry` is not filled in. */
NC_MUST_CHECK nacre_status nc_block_find(const nc_block *block, nacre_slice key, uint64_t sequence,
                                         nc_block_match *ret_match, nc_entry *ret_entry, nacre_error *err);

#endif
