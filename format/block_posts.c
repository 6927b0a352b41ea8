/* SPDX-License-Identifier: Apache-2.0
 *
 * block_posts: see block_posts.h.
 */
#include "block_posts.h"

#include "block_entry.h"

enum { WORD_BYTES = 8, SAME_WORD_MAX = 4, LINE_BYTES = 64 };

/* ---- words --------------------------------------------------------------------------------------------- */

/* The eight bytes at `p` as a big-endian number, zeros for those from `size` on. Eight may be read. */
static inline uint64_t read_word(const uint8_t *p, size_t size) {
  uint64_t word = __builtin_bswap64(nc_get_u64(p));
  if (size >= WORD_BYTES) return word;
  return size == 0 ? 0 : word & ~(~(uint64_t)0 >> 8 * size);
}

/* The same of a key from `at` <= its size on, of which no more may be read than there is. */
static inline uint64_t read_key_word(nacre_slice key, size_t at) {
  const uint8_t *p = key.data;
  size_t left = key.size - at;
  if (left >= WORD_BYTES) return read_word(p + at, left);
  if (left == 0) return 0;
  if (key.size >= WORD_BYTES) /* its last eight bytes */
    return __builtin_bswap64(nc_get_u64(p + key.size - WORD_BYTES)) << 8 * (WORD_BYTES - left);
  uint64_t word = 0;
  for (size_t i = 0; i < left; i++) word |= (uint64_t)p[at + i] << (56 - 8 * i);
  return word;
}

static size_t common_bytes(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size) {
  return nc_slice_shared_prefix(nc_slice(a, a_size), nc_slice(b, b_size));
}

/* ---- making -------------------------------------------------------------------------------------------- */

size_t nc_block_posts_bytes(size_t block_bytes, size_t gap) {
  size_t posts = block_bytes / gap + 1;
  return (posts * NC_BLOCK_POST_BYTES + 7) & ~(size_t)7;
}

/* How many bytes the first key and the last one share, and so all between them, if they are in order. Restart
 * points may lie: whatever comes out is looked at again. */
static bool find_common(const nc_block *block, nc_outline *ret_first, size_t *ret_common) {
  nc_outline o;
  size_t at = nc_block_restart(block, block->restarts - 1);
  if (!nc_block_outline(block, 0, ret_first) || !nc_block_outline(block, at, &o)) return false;
  size_t common = common_bytes(ret_first->suffix, ret_first->suffix_size, o.suffix, o.suffix_size);
  while ((at = o.next) < block->entries_size) {
    if (!nc_block_outline(block, at, &o)) return false;
    if (o.shared < common) common = o.shared;
  }
  *ret_common = common;
  return true;
}

/* The word of the entry that follows one of the word `last`; false when it does not begin with the common
 * bytes. */
static inline bool next_word(const uint8_t *common, size_t common_size, const nc_outline *o, uint64_t last,
                             uint64_t *ret_word) {
  if (o->shared >= common_size) {
    size_t kept = o->shared - common_size;
    *ret_word = last;
    if (kept >= WORD_BYTES) return true;
    *ret_word = read_word(o->suffix, o->suffix_size) >> 8 * kept;
    if (kept != 0) *ret_word |= last & ~(~(uint64_t)0 >> 8 * kept);
    return true;
  }
  size_t missing = common_size - o->shared;
  if (o->suffix_size < missing || memcmp(o->suffix, common + o->shared, missing) != 0) return false;
  *ret_word = read_word(o->suffix + missing, o->suffix_size - missing);
  return true;
}

void nc_block_set_posts(nc_block *block, size_t gap, void *memory) {
  nc_outline o;
  size_t common_size, key_size = 0, posts_max = block->entries_size / gap + 1;
  block->post_count = 0;
  if (block->restarts == 0 || !find_common(block, &o, &common_size)) return;
  const uint8_t *common = o.suffix;
  uint64_t *words = memory, word = 0, last = 0;
  uint32_t *places = (uint32_t *)(words + posts_max), count = 0;
  bool dense = true;
  for (size_t at = 0, due = 0; at < block->entries_size; at = o.next) {
    if (!nc_block_outline(block, at, &o) || o.shared > key_size ||
        !next_word(common, common_size, &o, last, &word) || word < last)
      return;
    key_size = o.shared + o.suffix_size;
    if (key_size > block->longest_key) return;
    last = word;
    if (at < due) {
      dense = false;
      continue;
    }
    words[count] = word;
    places[count++] = (uint32_t)at;
    due = at + gap;
  }
  block->words = words;
  block->places = places;
  block->common_at = (uint32_t)(common - block->data);
  block->common_size = (uint32_t)common_size;
  block->dense = dense;
  block->post_count = count;
}

/* ---- finding ------------------------------------------------------------------------------------------- */

/* How many words are below `word`. Where its steps become branches, a search fetches ahead what it guesses to need: in
 * tables that wait for memory, that is worth the wrong guesses. */
static inline size_t count_below(const uint64_t *words, size_t count, uint64_t word) {
  const uint64_t *base = words;
  while (count > 1) {
    size_t half = count / 2;
    base += base[half - 1] < word ? half : 0;
    count -= half;
  }
  return (size_t)(base - words) + (*base < word);
}

/* The target against what all keys begin with: 0 when it does, too. */
static inline int compare_common(const nc_block *block, nacre_slice key) {
  const uint8_t *common = block->data + block->common_at;
  if (key.size >= block->common_size)
    return block->common_size == 0 ? 0 : memcmp(key.data, common, block->common_size);
  int order = key.size == 0 ? 0 : memcmp(key.data, common, key.size);
  return order != 0 ? order : -1;
}

/* A search waits for one line of memory after the other; those of a small table, asked for together, come
 * together. */
static inline void prefetch_posts(const nc_block *block) {
  enum { SMALL_COUNT = 64 };
  if (block->post_count > SMALL_COUNT) return;
  const uint8_t *words = (const uint8_t *)block->words, *places = (const uint8_t *)block->places;
  for (size_t i = 0; i < block->post_count * sizeof *block->words; i += LINE_BYTES)
    __builtin_prefetch(words + i);
  for (size_t i = 0; i < block->post_count * sizeof *block->places; i += LINE_BYTES)
    __builtin_prefetch(places + i);
}

void nc_block_ask_for_posts(const nc_block *block) { prefetch_posts(block); }

/* An entry's head and key, and mostly its value, lie in two lines. */
void nc_block_ask_for_entry(const nc_block *block, nacre_slice key) {
  nc_block_start start;
  if (!nc_block_start_at_post(block, key, &start) || start.at >= block->entries_size) return;
  __builtin_prefetch(block->data + start.at);
  if (start.at + LINE_BYTES < block->entries_size) __builtin_prefetch(block->data + start.at + LINE_BYTES);
}

/* Implementation notes. The words of the last post below the target and of the target differ in a byte that is
 * greater, hence not 0, hence a byte of the target; so the keys differ exactly where the words do, or the lower
 * one ends before. In a dense block the entry behind that post has a word that is not below, so it shares no more
 * with its predecessor than the target does; and if its word is above, its key is behind the target. */
bool nc_block_start_at_post(const nc_block *block, nacre_slice key, nc_block_start *ret_start) {
  size_t count = block->post_count;
  if (count == 0) return false;
  prefetch_posts(block);
  int order = compare_common(block, key);
  *ret_start = (nc_block_start){.at = order > 0 ? block->entries_size : 0};
  if (order != 0) return true;
  size_t common = block->common_size;
  uint64_t word = read_key_word(key, common);
  size_t below = count_below(block->words, count, word);
  if (below + SAME_WORD_MAX < count && block->words[below + SAME_WORD_MAX] == word) return false;
  if (block->dense) {
    ret_start->at = below == count ? block->entries_size : block->places[below];
    ret_start->behind = below < count && block->words[below] > word;
  }
  if (below == 0) return true;
  ret_start->passed = !block->dense;
  if (ret_start->passed) ret_start->at = block->places[below - 1];
  ret_start->matched = common + (size_t)__builtin_clzll(block->words[below - 1] ^ word) / 8;
  return true;
}
