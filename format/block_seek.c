/* SPDX-License-Identifier: Apache-2.0
 *
 * block_seek: finding an entry in a block: by signposts where it has them, else by restart points, then along the
 * entries.
 */
#include "block_entry.h"
#include "block_posts.h"

/* The last restart point whose entry comes before the target (0 when none does), by keys compared where they
 * stand. */
static nacre_status restart_for(const nc_block *block, nacre_slice key, uint64_t sequence,
                                uint32_t *ret_restart, nacre_error *err) {
  uint32_t low = 0, high = block->restarts;
  while (high - low > 1) {
    uint32_t middle = low + (high - low) / 2;
    nc_raw_entry e;
    nc_error_id wrong = nc_block_parse(block, nc_block_restart(block, middle), &e);
    if (wrong != NC_E_NONE) return nc_block_bad_entry(err, wrong, nc_block_restart(block, middle));
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
  size_t from = nc_block_restart(block, restart);
  size_t to = restart + 1 < block->restarts ? nc_block_restart(block, restart + 1) : block->entries_size;
  if (to - from > STRETCH_BYTES_MAX) to = from + STRETCH_BYTES_MAX;
  for (size_t at = from; at < to; at += LINE_BYTES) __builtin_prefetch(block->data + at);
}

/* Suffixes are short: a call would cost more than the comparison. */
static inline size_t common_bytes(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size) {
  size_t limit = a_size < b_size ? a_size : b_size, n = 0;
  while (n < limit && a[n] == b[n]) n++;
  return n;
}

/* Where to begin without signposts. */
static nacre_status start_at_restart(const nc_block *block, nacre_slice key, uint64_t sequence,
                                     nc_block_start *ret_start, nacre_error *err) {
  uint32_t restart = 0;
  NC_TRY(restart_for(block, key, sequence, &restart, err));
  prefetch_stretch(block, restart);
  *ret_start = (nc_block_start){.at = nc_block_restart(block, restart)};
  return NACRE_OK;
}

/* How an entry stands to the target of a seek, which shares with it what it shares with its predecessor. */
static inline int compare_suffix(const nc_raw_entry *e, nacre_slice key, uint64_t sequence,
                                 size_t *ret_differs) {
  const uint8_t *target = key.data;
  size_t key_size = e->shared + e->suffix_size;
  size_t common = common_bytes(e->suffix, e->suffix_size, target + e->shared, key.size - e->shared);
  size_t differs = e->shared + common;
  *ret_differs = differs;
  if (differs < key_size && differs < key.size) return e->suffix[common] < target[differs] ? -1 : 1;
  if (key_size != key.size) return key_size < key.size ? -1 : 1;
  return e->sequence > sequence ? -1 : 0;
}

/* A place found: `at` is past the entries when all come before the target. */
typedef struct found_place {
  size_t at;
  nc_raw_entry entry;
  bool same_key;
} found_place;

/* Implementation notes. The scan rebuilds no key on its way. It keeps `matched`, how many bytes the target
 * shares with the last entry passed, which came before the target. An entry that shares more than that with
 * its predecessor differs from the target where its predecessor did, so it comes before it too, unread. Any
 * other begins with target[0..shared), and its suffix alone decides; so when the scan stops, the prefix of
 * the key it stops at is taken from the target. */
static inline nacre_status find_place(const nc_block *block, nacre_slice key, uint64_t sequence,
                                      found_place *ret_place, nacre_error *err) {
  nc_block_start start;
  nc_raw_entry e;
  size_t key_size = 0; /* of the last entry passed */
  *ret_place = (found_place){.at = block->entries_size};
  if (block->restarts == 0) return NACRE_OK;
  if (nc_block_start_at_post(block, key, &start)) {
    key_size = NACRE_KEY_BYTES_MAX; /* that no entry shares more than there is was seen when posts were set */
  } else {
    NC_TRY(start_at_restart(block, key, sequence, &start, err));
  }
  size_t matched = start.matched;
  for (size_t at = start.at; at < block->entries_size; at = e.next) {
    nc_error_id wrong = nc_block_parse(block, at, &e);
    if (wrong == NC_E_NONE && e.shared > key_size) wrong = NC_E_BLOCK_ENTRY;
    if (wrong != NC_E_NONE) return nc_block_bad_entry(err, wrong, at);
    key_size = e.shared + e.suffix_size;
    if (start.passed) {
      start.passed = false;
      if (key_size < matched) matched = key_size;
      continue;
    }
    if (e.shared > matched) continue;
    size_t differs;
    int order = compare_suffix(&e, key, sequence, &differs);
    if (order >= 0) {
      *ret_place = (found_place){at, e, differs == key.size && key_size == key.size};
      return NACRE_OK;
    }
    if (differs < matched) return nc_block_bad_entry(err, NC_E_BLOCK_ORDER, at);
    matched = differs;
  }
  return NACRE_OK;
}

nacre_status nc_block_seek(nc_block_cursor *c, nacre_slice key, uint64_t sequence, nacre_error *err) {
  found_place place;
  c->valid = false;
  NC_TRY(find_place(c->block, key, sequence, &place, err));
  if (place.at >= c->block->entries_size) return NACRE_OK;
  if (place.entry.shared != 0) memcpy(c->key_buffer, key.data, place.entry.shared);
  nc_block_settle(c, place.at, &place.entry);
  return NACRE_OK;
}

nacre_status nc_block_find(const nc_block *block, nacre_slice key, uint64_t sequence,
                           nc_block_match *ret_match, nc_entry *ret_entry, nacre_error *err) {
  found_place place;
  *ret_match = NC_BLOCK_NONE;
  NC_TRY(find_place(block, key, sequence, &place, err));
  if (place.at >= block->entries_size) return NACRE_OK;
  const nc_raw_entry *e = &place.entry;
  *ret_match = place.same_key ? NC_BLOCK_SAME_KEY : NC_BLOCK_BEHIND;
  *ret_entry = (nc_entry){
      .sequence = e->sequence, .kind = e->kind, .value = nc_slice(e->suffix + e->suffix_size, e->value_size)};
  return NACRE_OK;
}
