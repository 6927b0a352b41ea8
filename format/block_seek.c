/* SPDX-License-Identifier: Apache-2.0
 *
 * block_seek: finding an entry in a block: by signposts where it has them, else by restart points, then along the
 * entries.
 */
#include "block_entry.h"
#include "block_posts.h"

/* A varint of [*p, end), by the short way when it is one byte; false when there is none. */
static bool take_varint(const uint8_t **p, const uint8_t *end, uint64_t *ret_value) {
  if (*p < end && **p < 0x80) {
    *ret_value = *(*p)++;
    return true;
  }
  size_t n = nc_get_varint(*p, end, ret_value);
  *p += n;
  return n != 0;
}

bool nc_take_any_head(const uint8_t **p, const uint8_t *end, nc_entry_head *h) {
  uint64_t shared, suffix_size, value_size;
  if (!take_varint(p, end, &shared) || !take_varint(p, end, &suffix_size) ||
      !take_varint(p, end, &value_size) || !take_varint(p, end, &h->tagged))
    return false;
  h->shared = (size_t)shared;
  h->suffix_size = (size_t)suffix_size;
  h->value_size = (size_t)value_size;
  return true;
}

nc_error_id nc_block_check_kind(uint64_t kind, nacre_slice value) {
  switch (kind) {
    case NC_KIND_PUT:
      return NC_E_NONE;
    case NC_KIND_DELETE:
      return value.size == 0 ? NC_E_NONE : NC_E_BLOCK_ENTRY; /* [P6] */
    case NC_KIND_EXPIRING:
      return nc_expiry_sound(value) ? NC_E_NONE : NC_E_BLOCK_ENTRY; /* [B3] */
    case NC_KIND_LARGE:
      return value.size >= NC_EXPIRY_BYTES ? NC_E_NONE : NC_E_BLOCK_ENTRY; /* [B3] */
    default:
      return NC_E_BLOCK_KIND; /* [B5] */
  }
}

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

/* How the key of an entry that shares with the target what it shares with its predecessor stands to it. */
static inline int compare_suffix(size_t shared, const uint8_t *suffix, size_t suffix_size, nacre_slice key,
                                 size_t *ret_differs) {
  const uint8_t *target = key.data;
  size_t key_size = shared + suffix_size;
  size_t common = common_bytes(suffix, suffix_size, target + shared, key.size - shared);
  size_t differs = shared + common;
  *ret_differs = differs;
  if (differs < key_size && differs < key.size) return suffix[common] < target[differs] ? -1 : 1;
  return (key_size > key.size) - (key_size < key.size);
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
static nacre_status find_by_restarts(const nc_block *block, nacre_slice key, uint64_t sequence,
                                     found_place *ret_place, nacre_error *err) {
  uint32_t restart = 0;
  NC_TRY(restart_for(block, key, sequence, &restart, err));
  prefetch_stretch(block, restart);
  size_t matched = 0, key_size = 0, differs; /* of the last entry passed */
  nc_raw_entry e;
  for (size_t at = nc_block_restart(block, restart); at < block->entries_size; at = e.next) {
    nc_error_id wrong = nc_block_parse(block, at, &e);
    if (wrong == NC_E_NONE && e.shared > key_size) wrong = NC_E_BLOCK_ENTRY;
    if (wrong != NC_E_NONE) return nc_block_bad_entry(err, wrong, at);
    key_size = e.shared + e.suffix_size;
    if (e.shared > matched) continue;
    int order = compare_suffix(e.shared, e.suffix, e.suffix_size, key, &differs);
    if (order > 0 || (order == 0 && e.sequence <= sequence)) {
      *ret_place = (found_place){at, e, order == 0};
      return NACRE_OK;
    }
    if (differs < matched) return nc_block_bad_entry(err, NC_E_BLOCK_ORDER, at);
    matched = differs;
  }
  return NACRE_OK;
}

static nacre_status stop_at(const nc_block *block, size_t at, bool same_key, found_place *ret_place,
                            nacre_error *err) {
  nc_error_id wrong = nc_block_parse(block, at, &ret_place->entry);
  if (wrong != NC_E_NONE) return nc_block_bad_entry(err, wrong, at);
  ret_place->at = at;
  ret_place->same_key = same_key;
  return NACRE_OK;
}

/* The same scan from a signpost, over entries of which it is known that they have an outline. */
static nacre_status find_by_posts(const nc_block *block, nacre_slice key, uint64_t sequence,
                                  const nc_block_start *start, found_place *ret_place, nacre_error *err) {
  size_t at = start->at, matched = start->matched, differs;
  nc_outline o;
  if (start->behind) return stop_at(block, at, false, ret_place, err);
  if (start->passed && at < block->entries_size) {
    if (!nc_block_outline(block, at, &o)) return nc_block_bad_entry(err, NC_E_BLOCK_ENTRY, at);
    if (o.shared + o.suffix_size < matched) matched = o.shared + o.suffix_size;
    at = o.next;
  }
  for (; at < block->entries_size; at = o.next) {
    if (!nc_block_outline(block, at, &o)) return nc_block_bad_entry(err, NC_E_BLOCK_ENTRY, at);
    if (o.shared > matched) continue;
    int order = compare_suffix(o.shared, o.suffix, o.suffix_size, key, &differs);
    if (order >= 0) {
      NC_TRY(stop_at(block, at, order == 0, ret_place, err));
      if (order > 0 || ret_place->entry.sequence <= sequence) return NACRE_OK;
      ret_place->at = block->entries_size;
    }
    if (differs < matched) return nc_block_bad_entry(err, NC_E_BLOCK_ORDER, at);
    matched = differs;
  }
  return NACRE_OK;
}

static nacre_status find_place(const nc_block *block, nacre_slice key, uint64_t sequence,
                               found_place *ret_place, nacre_error *err) {
  nc_block_start start;
  *ret_place = (found_place){.at = block->entries_size};
  if (block->restarts == 0) return NACRE_OK;
  return nc_block_start_at_post(block, key, &start)
             ? find_by_posts(block, key, sequence, &start, ret_place, err)
             : find_by_restarts(block, key, sequence, ret_place, err);
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
