/* SPDX-License-Identifier: Apache-2.0
 *
 * block_posts: signposts in a block that stays in memory, so that a seek comes to its entry without parsing any
 * other. Derived from the block, never stored.
 *
 * A post tells where an entry stands and its *word*: the eight bytes of its key that follow what all keys of the
 * block begin with, as a big-endian number, zeros behind a key's end. Posts stand some `gap` of bytes apart or more,
 * which bounds what they take.
 *
 * Invariants
 *   1. A block with posts was walked from end to end: every entry ends within the block, shares no more than there
 *      is, and begins with the common bytes; words do not descend. A block that is not so has no posts, and is
 *      sought without. What else may be wrong with entries is seen where they are read.
 *   2. Words are exact: they are what the bytes say, whatever the order of keys behind them.
 */
#ifndef NC_BLOCK_POSTS_H
#define NC_BLOCK_POSTS_H

#include "block.h"

enum { NC_BLOCK_POST_BYTES = 12 };

/* Bytes, aligned to 8, that posts of a block of so many bytes may take. */
size_t nc_block_posts_bytes(size_t block_bytes, size_t gap);
/* Sets up posts of an open block in `memory`, which must outlive it. */
void nc_block_set_posts(nc_block *block, size_t gap, void *memory);

/* Where a seek begins. `passed`: with the entry at `at`, which comes before the target. Else there may be one before
 * that does, and the entry at `at` shares no more with it than the target does. In either case `matched` is how many
 * bytes it shares with the target, if it has as many. `behind`: the entry at `at` is the first one that does not come
 * before the target, and comes behind it. */
typedef struct nc_block_start {
  size_t at, matched;
  bool passed, behind;
} nc_block_start;

/* False: the posts do not tell; whoever seeks must begin elsewhere. `at` past the entries: all come before. */
bool nc_block_start_at_post(const nc_block *block, nacre_slice key, nc_block_start *ret_start);

/* Of several searches side by side: has what the search for `key` will look at brought from memory, without waiting for
 * it; first the posts, and, when these have come, the entry that they lead to. */
void nc_block_ask_for_posts(const nc_block *block);
void nc_block_ask_for_entry(const nc_block *block, nacre_slice key);

#endif
