/* SPDX-License-Identifier: Apache-2.0
 *
 * segment_get: point reads: the filter, then down the index (one level or two) to the block that may hold the key.
 */
#include "segment_file.h"

/* One search. */
typedef struct search {
  nc_segment *segment;
  nc_segment_file *file;
  nacre_slice key;
  uint64_t sequence;
  bool no_cache_fill;
} search;

static nacre_status named(const search *w, const nc_cached_block *block, nacre_status status,
                          nacre_error *err) {
  return nc_fail_in(err, status, nc_sealed_reader_label(w->file->reader), block->frame_offset);
}

/* The block that an index block names for the key; `*ret_block` NULL: none. */
static nacre_status descend(const search *w, nc_cached_block *index, uint8_t type,
                            nc_cached_block **ret_block, nacre_error *err) {
  nc_block_match match;
  nc_entry entry;
  nacre_status status = nc_block_find(&index->block, w->key, w->sequence, &match, &entry, err);
  *ret_block = NULL;
  if (status != NACRE_OK) return named(w, index, status, err);
  if (match == NC_BLOCK_NONE) return NACRE_OK;
  return nc_segment_named_block(w->segment, w->file, index, entry.value, type, w->no_cache_fill, ret_block,
                                err);
}

static nacre_status find_data(const search *w, nc_cached_block **ret_data, nacre_error *err) {
  if (w->file->footer.index_levels != 2) return descend(w, w->file->root, NC_FRAME_DATA, ret_data, err);
  nc_cached_block *leaf;
  NC_TRY(descend(w, w->file->root, NC_FRAME_INDEX, &leaf, err));
  if (leaf == NULL) {
    *ret_data = NULL;
    return NACRE_OK;
  }
  nacre_status status = descend(w, leaf, NC_FRAME_DATA, ret_data, err);
  nc_pin_unref(&leaf->pin);
  return status;
}

/* A key of many versions may end one block and fill the next ones. */
static nacre_status find_behind(const search *w, bool *ret_found, nc_entry *ret_entry, nc_pin **ret_pin,
                                nacre_error *err) {
  nc_cursor *c;
  NC_TRY(nc_segment_cursor(w->segment, &(nc_travel){.no_cache_fill = w->no_cache_fill}, &c, err));
  nacre_status status = nc_cursor_seek(c, w->key, w->sequence, err);
  *ret_found = status == NACRE_OK && c->valid && nc_slice_equal(c->entry.key, w->key);
  if (*ret_found) {
    *ret_entry = c->entry;
    *ret_pin = c->pin;
    nc_pin_ref(c->pin);
  }
  nc_cursor_close(c);
  return status;
}

static nacre_status find(const search *w, bool *ret_found, nc_entry *ret_entry, nc_pin **ret_pin,
                         nacre_error *err) {
  nc_cached_block *data;
  nc_block_match match;
  NC_TRY(find_data(w, &data, err));
  if (data == NULL) return NACRE_OK;
  nacre_status status = nc_block_find(&data->block, w->key, w->sequence, &match, ret_entry, err);
  if (status == NACRE_OK && match == NC_BLOCK_SAME_KEY) {
    *ret_pin = &data->pin; /* the count goes with it */
    *ret_found = true;
    return NACRE_OK;
  }
  if (status != NACRE_OK) status = named(w, data, status, err);
  nc_pin_unref(&data->pin);
  if (status == NACRE_OK && match == NC_BLOCK_NONE) return find_behind(w, ret_found, ret_entry, ret_pin, err);
  return status;
}

nacre_status nc_segment_get(nc_segment *s, nacre_slice key, uint64_t sequence, bool no_cache_fill,
                            bool *ret_found, nc_entry *ret_entry, nc_pin **ret_pin, nacre_error *err) {
  *ret_found = false;
  if (nc_segment_all_newer(s, sequence)) return NACRE_OK;
  search w = {.segment = s, .key = key, .sequence = sequence, .no_cache_fill = no_cache_fill};
  bool admits = false;
  NC_TRY(nc_segment_hold(s, &w.file, err));
  nacre_status status = nc_segment_filter_admits(s, w.file, key, &admits, err);
  if (status == NACRE_OK && admits) status = find(&w, ret_found, ret_entry, ret_pin, err);
  nc_segment_let(s);
  if (!*ret_found) return status;
  ret_entry->key = (nacre_slice){NULL, 0};
  nc_segment_give_sequence(s, ret_entry);
  return status;
}
