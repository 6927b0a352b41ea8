/* SPDX-License-Identifier: Apache-2.0
 *
 * segment_get_many: point reads of several keys in one segment, side by side: what the next step of one reads is
 * asked for while the others take this one, a block that several keys in a row lead to is looked up once, and those
 * that are not in the cache are read together. What is out of the ordinary, errors above all, is left to a read of its
 * own.
 */
#include "block_gather.h"
#include "block_posts.h"
#include "filter.h"

/* One call. */
typedef struct many {
  nc_segment *segment;
  nc_segment_file *file;
  uint64_t sequence;
  bool no_cache_fill;
  nc_lookup *const *lookups;
  size_t count;
} many;

/* ---- filter -------------------------------------------------------------------------------------------- */

static void ask_for_filters(const many *m) {
  const nc_segment_file *f = m->file;
  const nc_properties *p = &f->properties;
  if (f->filter == NULL) return;
  for (size_t i = 0; i < m->count; i++) {
    uint64_t hash = nc_filter_hash(p->filter_seed, m->lookups[i]->key);
    __builtin_prefetch(f->filter + nc_filter_line(hash, p->filter_lines) * NC_FILTER_LINE_BYTES);
  }
}

/* ---- index --------------------------------------------------------------------------------------------- */

/* Takes the address that an index block gives for the key. False: it gives none, or what is wrong is left to another
 * read. */
static bool find_address(const many *m, nc_cached_block *index, nc_lookup *l) {
  nc_block_match match;
  nc_entry entry;
  nacre_status status = nc_block_find(&index->block, l->key, m->sequence, &match, &entry, NULL);
  bool named = status == NACRE_OK && match != NC_BLOCK_NONE;
  if (named) status = nc_segment_address(m->file, index, entry.value, &l->handle, &l->hint, NULL);
  if (status != NACRE_OK) l->state = NC_LOOKUP_ALONE;
  return named && status == NACRE_OK;
}

/* The leaf of the lookup before serves again where it is the same. */
static bool enter_leaf(const many *m, nc_lookup *l, const nc_lookup *before) {
  if (!find_address(m, m->file->root, l)) return false;
  if (before != NULL && before->leaf->frame_offset == l->handle.offset) {
    l->leaf = before->leaf;
    nc_pin_ref(&l->leaf->pin);
    return true;
  }
  nacre_status status = nc_segment_block(m->segment, m->file, l->handle, NC_FRAME_INDEX, m->no_cache_fill,
                                         l->hint, &l->leaf, NULL);
  if (status == NACRE_OK) return true;
  l->leaf = NULL;
  l->state = NC_LOOKUP_ALONE;
  return false;
}

/* Down to the address of the data block. The leaf is kept, for the hint lies in it. */
static void go_down(const many *m) {
  bool leaves = m->file->footer.index_levels == 2, admits = false;
  const nc_lookup *before = NULL;
  for (size_t i = 0; i < m->count; i++) {
    nc_lookup *l = m->lookups[i];
    l->leaf = l->data = NULL;
    l->named = false;
    nacre_status status = nc_segment_filter_admits(m->segment, m->file, l->key, &admits, NULL);
    if (status != NACRE_OK) l->state = NC_LOOKUP_ALONE;
    if (status != NACRE_OK || !admits) continue;
    if (leaves && !enter_leaf(m, l, before)) continue;
    if (leaves) before = l;
    l->named = find_address(m, leaves ? l->leaf : m->file->root, l);
    if (l->named && l->hint != NULL) __builtin_prefetch(l->hint);
  }
}

/* ---- data ---------------------------------------------------------------------------------------------- */

static bool same_block(const nc_lookup *a, const nc_lookup *b) {
  return a->handle.offset == b->handle.offset && a->handle.size == b->handle.size;
}

static void share(nc_lookup *l, nc_cached_block *block) {
  l->data = block;
  nc_pin_ref(&block->pin);
}

/* The heads of the blocks, where they were found last. */
static void ask_for_heads(const many *m) {
  for (size_t i = 0; i < m->count; i++) {
    const nc_lookup *l = m->lookups[i];
    if (l->named && l->hint != NULL) nc_cache_ask_for_head(l->hint);
  }
}

/* From the cache, else into `wanted`; returns how many these are. */
static size_t look_for_blocks(const many *m, nc_wanted_block *wanted) {
  size_t missing = 0;
  const nc_lookup *before = NULL;
  for (size_t i = 0; i < m->count; i++) {
    nc_lookup *l = m->lookups[i];
    if (!l->named) continue;
    bool again = before != NULL && same_block(before, l);
    if (again && before->data != NULL) {
      share(l, before->data);
    } else if (!again) {
      if (nc_segment_cached(m->segment, l->handle.offset, NC_FRAME_DATA, l->hint, &l->data)) {
        nc_block_ask_for_posts(&l->data->block);
      } else {
        wanted[missing++] = (nc_wanted_block){.handle = l->handle};
      }
    }
    before = l;
  }
  return missing;
}

/* Lookups come to the blocks in the order in which these were listed. */
static void hand_out(const many *m, const nc_wanted_block *wanted, size_t count) {
  size_t at = 0;
  for (size_t i = 0; i < m->count; i++) {
    nc_lookup *l = m->lookups[i];
    if (!l->named || l->data != NULL) continue;
    while (at < count && wanted[at].handle.offset != l->handle.offset) at++;
    if (at < count && wanted[at].block != NULL) {
      share(l, wanted[at].block);
    } else {
      l->state = NC_LOOKUP_ALONE;
    }
  }
  for (size_t i = 0; i < count; i++)
    if (wanted[i].block != NULL) nc_pin_unref(&wanted[i].block->pin);
}

/* A key of many versions may end one block and fill the next ones: that is for another read. */
static void search(const many *m, nc_lookup *l) {
  nc_block_match match;
  if (l->data == NULL) return;
  nacre_status status = nc_block_find(&l->data->block, l->key, m->sequence, &match, &l->entry, NULL);
  if (status != NACRE_OK || match == NC_BLOCK_NONE) l->state = NC_LOOKUP_ALONE;
  if (status != NACRE_OK || match != NC_BLOCK_SAME_KEY) return;
  nc_segment_give_sequence(m->segment, &l->entry);
  l->state = NC_LOOKUP_FOUND;
  l->pin = &l->data->pin; /* the count goes with it */
  l->data = NULL;
}

static void let(nc_lookup *l) {
  if (l->leaf != NULL) nc_pin_unref(&l->leaf->pin);
  if (l->data != NULL) nc_pin_unref(&l->data->pin);
  l->leaf = l->data = NULL;
}

void nc_segment_get_many(nc_segment *s, nc_lookup *const *lookups, size_t count, uint64_t sequence,
                         bool no_cache_fill) {
  nc_wanted_block wanted[NC_LOOKUPS_MAX];
  many m = {
      .segment = s, .sequence = sequence, .no_cache_fill = no_cache_fill, .lookups = lookups, .count = count};
  if (nc_segment_all_newer(s, sequence)) return;
  if (nc_segment_hold(s, &m.file, NULL) != NACRE_OK) {
    for (size_t i = 0; i < count; i++) lookups[i]->state = NC_LOOKUP_ALONE;
    return;
  }
  ask_for_filters(&m);
  go_down(&m);
  ask_for_heads(&m);
  size_t missing = look_for_blocks(&m, wanted);
  nc_blocks_gather(s, m.file, wanted, missing, no_cache_fill);
  hand_out(&m, wanted, missing);
  for (size_t i = 0; i < count; i++)
    if (lookups[i]->data != NULL) nc_block_ask_for_entry(&lookups[i]->data->block, lookups[i]->key);
  for (size_t i = 0; i < count; i++) search(&m, lookups[i]);
  for (size_t i = 0; i < count; i++) let(lookups[i]);
  nc_segment_let(s);
}
