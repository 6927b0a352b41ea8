/* SPDX-License-Identifier: Apache-2.0
 *
 * segment: life, holding and blocks of a segment (format/README.md, "Segment").
 *
 * Locks: `open_lock` only while the file is opened; nothing is taken under it but the cache's.
 */
#include <stdio.h>
#include <stdlib.h>

#include "block_posts.h"
#include "filter.h"
#include "memory.h"
#include "open_segments.h"
#include "private_memory.h"
#include "segment_file.h"
#include "segment_writer.h"

nacre_status nc_segment_create(const nc_segment_home *home, const nc_segment_record *record,
                               uint64_t epoch_max, nc_segment **ret_segment, nacre_error *err) {
  nc_segment *s = aligned_alloc(NC_STRIPE_BYTES, sizeof *s);
  if (s == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  memset(s, 0, sizeof *s);
  s->keys_size = record->smallest.size + record->largest.size;
  s->keys = nc_heap_alloc(home->shared->env->heap, s->keys_size);
  if (s->keys == NULL) {
    free(s);
    return nc_fail(err, NC_E_NO_MEMORY, NULL);
  }
  atomic_init(&s->refs, 1);
  s->home = home;
  s->record = *record;
  s->record.run = 0;
  s->record.level = 0;
  if (record->smallest.size > 0) memcpy(s->keys, record->smallest.data, record->smallest.size);
  if (record->largest.size > 0)
    memcpy(s->keys + record->smallest.size, record->largest.data, record->largest.size);
  s->record.smallest.data = s->keys;
  s->record.largest.data = s->keys + record->smallest.size;
  s->epoch_max = epoch_max;
  s->cache_id = atomic_fetch_add(&home->shared->next_file_id, 1);
  pthread_mutex_init(&s->open_lock, NULL);
  atomic_init(&s->closed, true);
  *ret_segment = s;
  return NACRE_OK;
}

void nc_segment_ref(nc_segment *s) { atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed); }

void nc_segment_unref(nc_segment *s) {
  if (s == NULL || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1) return;
  nc_heap *heap = s->home->shared->env->heap;
  nc_open_segments_remove(&s->home->shared->open_segments, s);
  nc_segment_file_close(s->file);
  nc_segment_ranges_drop(s);
  if (atomic_load(&s->obsolete)) {
    if (s->home->shared->cache != NULL) nc_cache_forget_file(s->home->shared->cache, s->cache_id);
    char name[NC_FILE_NAME_BYTES];
    nc_segment_name(s->record.number, name);
    /* Left behind when this fails: an orphan, which the next writing open removes. */
    nc_ignore(nc_dir_remove(s->home->dir, name, NULL));
  }
  nc_heap_free(heap, s->keys, s->keys_size);
  pthread_mutex_destroy(&s->open_lock);
  free(s);
}

const nc_segment_record *nc_segment_describe(const nc_segment *s) { return &s->record; }
void nc_segment_set_sequence(nc_segment *s, uint64_t sequence) {
  s->record.sequence_min = s->record.sequence_max = sequence;
}

void nc_segment_set_taken(nc_segment *s, const void *by) { s->taken = by; }
const void *nc_segment_taken(const nc_segment *s) { return s->taken; }
void nc_segment_set_aside(nc_segment *s, bool aside) { s->aside = aside; }
bool nc_segment_aside(const nc_segment *s) { return s->aside; }
void nc_segment_set_obsolete(nc_segment *s) { atomic_store(&s->obsolete, true); }
void nc_segment_clear_obsolete(nc_segment *s) { atomic_store(&s->obsolete, false); }

/* ---- holding ------------------------------------------------------------------------------------------- */

static atomic_uint *own_holds(nc_segment *s) {
  return &s->holds[nc_thread_stripe(NC_HOLD_STRIPE_BITS)].count;
}

bool nc_segment_try_hold(nc_segment *s) {
  atomic_uint *holds = own_holds(s);
  atomic_fetch_add(holds, 1);
  if (!atomic_load(&s->closed)) return true;
  atomic_fetch_sub_explicit(holds, 1, memory_order_release);
  return false;
}

void nc_segment_let(nc_segment *s) { atomic_fetch_sub_explicit(own_holds(s), 1, memory_order_release); }

static bool held(const nc_segment *s) {
  unsigned sum = 0;
  for (size_t i = 0; i < sizeof s->holds / sizeof s->holds[0]; i++) sum += atomic_load(&s->holds[i].count);
  return sum != 0;
}

nc_segment_file *nc_segment_take_file_locked(nc_segment *s) {
  nc_segment_file *file = s->file;
  if (file == NULL || held(s)) return NULL;
  atomic_store(&s->closed, true);
  if (held(s)) { /* since then */
    atomic_store(&s->closed, false);
    return NULL;
  }
  s->file = NULL;
  return file;
}

/* Opens the file for the caller and whoever else waits. `ret_opened`: it was not open before. */
static nacre_status open_held(nc_segment *s, bool *ret_opened, nacre_error *err) {
  nacre_status status = NACRE_OK;
  *ret_opened = false;
  pthread_mutex_lock(&s->open_lock);
  if (atomic_load(&s->closed) && (status = nc_segment_file_open(s, &s->file, err)) == NACRE_OK) {
    *ret_opened = true;
    atomic_store(&s->closed, false);
  }
  if (status == NACRE_OK) (void)nc_segment_try_hold(s); /* nobody closes it under the lock */
  pthread_mutex_unlock(&s->open_lock);
  return status;
}

static nacre_status hold_closed(nc_segment *s, nacre_error *err) {
  nc_open_segments *all = &s->home->shared->open_segments;
  bool opened;
  nc_memory_settle(s->home->shared);
  nc_open_segments_reserve(all);
  nacre_status status = open_held(s, &opened, err);
  if (opened) {
    nc_open_segments_add(all, s);
  } else {
    nc_open_segments_give_up(all);
  }
  return status;
}

nacre_status nc_segment_hold(nc_segment *s, nc_segment_file **ret_file, nacre_error *err) {
  if (!nc_segment_try_hold(s)) NC_TRY(hold_closed(s, err));
  if (!atomic_load_explicit(&s->used, memory_order_relaxed))
    atomic_store_explicit(&s->used, true, memory_order_relaxed);
  if (ret_file != NULL) *ret_file = s->file;
  return NACRE_OK;
}

nacre_status nc_segment_open(nc_segment *s, nacre_error *err) {
  NC_TRY(nc_segment_hold(s, NULL, err));
  nc_segment_let(s);
  return NACRE_OK;
}

nc_sealed_reader *nc_segment_reader(nc_segment *s) { return s->file->reader; }
const nc_footer *nc_segment_footer(nc_segment *s) { return &s->file->footer; }
const nc_properties *nc_segment_properties(nc_segment *s) { return &s->file->properties; }

/* ---- blocks -------------------------------------------------------------------------------------------- */

/* What a block that stays gets beside its bytes, behind them: signposts, and an index block hints. */
typedef struct extras {
  size_t posts_at, hints_at, end; /* 0: none */
} extras;

/* Signposts take an eighth of a block of small entries at most, and of an index block, which is small itself and
 * searched often, three times as much. There is a hint for so many bytes of an index block: where two entries share
 * one, it helps one of them at a time. */
enum { DATA_POST_GAP = 96, INDEX_POST_GAP = 32, HINT_GRAIN = 16 };
static size_t post_gap(uint8_t type) { return type == NC_FRAME_INDEX ? INDEX_POST_GAP : DATA_POST_GAP; }

static extras plan_extras(size_t size, uint8_t type, bool stays) {
  extras e = {.end = size};
  if (!stays) return e;
  e.posts_at = (size + 7) & ~(size_t)7;
  e.end = e.posts_at + nc_block_posts_bytes(size, post_gap(type));
  if (type != NC_FRAME_INDEX) return e;
  e.hints_at = e.end;
  e.end += (size / HINT_GRAIN + 1) * sizeof(nc_cache_hint);
  return e;
}

static nacre_status unpack_into(nc_unpacker *unpacker, nacre_slice packed, size_t size, uint8_t type,
                                const extras *e, nc_cached_block *b, nacre_error *err) {
  NC_TRY(nc_unpack(&unpacker->workspace, packed, b->bytes, size, err));
  NC_TRY(nc_block_open(nc_slice(b->bytes, size), &b->block, err));
  if (e->posts_at != 0) nc_block_set_posts(&b->block, post_gap(type), b->bytes + e->posts_at);
  if (e->hints_at != 0) b->hints = (nc_cache_hint *)(void *)(b->bytes + e->hints_at); /* zeros */
  return NACRE_OK;
}

/* What is packed takes a detour through the workspace's own buffer; frames beyond that are given one. */
static nacre_status unpack_block(nc_segment *s, nc_unpacker *unpacker, nacre_slice packed, uint8_t type,
                                 bool stays, nc_cached_block **ret_block, nacre_error *err) {
  const nc_shared *shared = s->home->shared;
  size_t size;
  NC_TRY(nc_unpack_size(packed, &size, NULL, err));
  extras e = plan_extras(size, type, stays);
  nc_cached_block *block;
  NC_TRY(nc_cached_block_create(shared->env, shared->cache, s->home->table, e.end, &block, err));
  nacre_status status = unpack_into(unpacker, packed, size, type, &e, block, err);
  if (status == NACRE_OK) {
    *ret_block = block;
  } else {
    nc_pin_unref(&block->pin);
  }
  return status;
}

/* What a frame held. */
static nacre_status from_frame(nc_segment *s, nc_segment_file *f, nc_unpacker *unpacker, nacre_slice packed,
                               nc_handle handle, uint8_t type, bool stays, nc_cached_block **ret_block,
                               nacre_error *err) {
  nacre_status status = unpack_block(s, unpacker, packed, type, stays, ret_block, err);
  if (status != NACRE_OK) return nc_fail_in(err, status, nc_sealed_reader_label(f->reader), handle.offset);
  (*ret_block)->frame_offset = handle.offset;
  (*ret_block)->type = type;
  return NACRE_OK;
}

static nacre_status read_through(nc_segment *s, nc_segment_file *f, nc_unpacker *unpacker, uint8_t *frame,
                                 nc_handle handle, uint8_t type, bool stays, nc_cached_block **ret_block,
                                 nacre_error *err) {
  nacre_slice packed;
  NC_TRY(nc_sealed_reader_frame(f->reader, handle, type, frame, &packed, NULL, err));
  return from_frame(s, f, unpacker, packed, handle, type, stays, ret_block, err);
}

nacre_status nc_segment_file_block(nc_segment *s, nc_segment_file *f, nc_handle handle, uint8_t type,
                                   bool stays, nc_cached_block **ret_block, nacre_error *err) {
  nc_shared *shared = s->home->shared;
  nacre_status status = nc_handle_check(handle, nc_sealed_reader_size(f->reader), err);
  if (status != NACRE_OK) return nc_fail_in(err, status, nc_sealed_reader_label(f->reader), 0);
  nc_unpacker *unpacker = nc_unpacker_take(shared);
  if (unpacker == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  bool large = handle.size > NC_UNPACKER_FRAME_BYTES;
  uint8_t *frame = large ? nc_heap_alloc(shared->env->heap, handle.size) : unpacker->frame;
  status = frame == NULL ? nc_fail(err, NC_E_NO_MEMORY, "%u bytes for a block", handle.size)
                         : read_through(s, f, unpacker, frame, handle, type, stays, ret_block, err);
  if (large) nc_heap_free(shared->env->heap, frame, handle.size);
  /* The workspace outlives the table, whose plaintext must not. */
  if (!large) nc_wipe(frame, handle.size);
  nc_unpacker_give(shared, unpacker);
  return status;
}

nacre_status nc_segment_read_block(nc_segment *s, nc_handle handle, uint8_t type, nc_cached_block **ret_block,
                                   nacre_error *err) {
  nc_segment_file *f;
  NC_TRY(nc_segment_hold(s, &f, err));
  nacre_status status = nc_segment_file_block(s, f, handle, type, false, ret_block, err);
  nc_segment_let(s);
  return status;
}

/* A block that is there as another type than it is wanted as is none: what reads the frame will say what is wrong
 * with the address. */
bool nc_segment_cached(nc_segment *s, uint64_t offset, uint8_t type, nc_cache_hint *hint,
                       nc_cached_block **ret_block) {
  nc_cache *cache = s->home->shared->cache;
  if (cache == NULL) return false;
  nc_cached_block *block = hint != NULL ? nc_cache_get_hinted(cache, hint, s->cache_id, offset)
                                        : nc_cache_get(cache, s->cache_id, offset);
  if (block == NULL) return false;
  if (block->type != type) {
    nc_pin_unref(&block->pin);
    return false;
  }
  *ret_block = block;
  return true;
}

static bool is_kept(const nc_segment *s, bool no_cache_fill) {
  return s->home->shared->cache != NULL && !no_cache_fill;
}

static void keep(nc_segment *s, nc_cached_block *block, uint64_t offset) {
  nc_memory_settle(s->home->shared);
  nc_cache_put(s->home->shared->cache, block, s->cache_id, offset);
}

nacre_status nc_segment_load(nc_segment *s, nc_segment_file *f, nc_handle handle, uint8_t type,
                             bool no_cache_fill, nc_cached_block **ret_block, nacre_error *err) {
  bool stays = is_kept(s, no_cache_fill);
  NC_TRY(nc_segment_file_block(s, f, handle, type, stays, ret_block, err));
  if (stays) keep(s, *ret_block, handle.offset);
  return NACRE_OK;
}

nacre_status nc_segment_open_block(nc_segment *s, nc_segment_file *f, nc_handle handle, uint8_t *frame,
                                   uint8_t type, bool no_cache_fill, nc_cached_block **ret_block,
                                   nacre_error *err) {
  nc_shared *shared = s->home->shared;
  bool stays = is_kept(s, no_cache_fill);
  nacre_slice packed;
  NC_TRY(nc_sealed_reader_open_raw(f->reader, handle.offset, frame, handle.size, type, &packed, err));
  nc_unpacker *unpacker = nc_unpacker_take(shared);
  nacre_status status = unpacker == NULL
                            ? nc_fail(err, NC_E_NO_MEMORY, NULL)
                            : from_frame(s, f, unpacker, packed, handle, type, stays, ret_block, err);
  nc_wipe(frame, handle.size);
  if (unpacker != NULL) nc_unpacker_give(shared, unpacker);
  if (status == NACRE_OK && stays) keep(s, *ret_block, handle.offset);
  return status;
}

nacre_status nc_segment_block(nc_segment *s, nc_segment_file *f, nc_handle handle, uint8_t type,
                              bool no_cache_fill, nc_cache_hint *hint, nc_cached_block **ret_block,
                              nacre_error *err) {
  if (nc_segment_cached(s, handle.offset, type, hint, ret_block)) return NACRE_OK;
  return nc_segment_load(s, f, handle, type, no_cache_fill, ret_block, err);
}

nacre_status nc_segment_address(nc_segment_file *f, nc_cached_block *index, nacre_slice name,
                                nc_handle *ret_handle, nc_cache_hint **ret_hint, nacre_error *err) {
  nacre_status status = nc_handle_decode(name, ret_handle, err);
  if (status != NACRE_OK)
    return nc_fail_in(err, status, nc_sealed_reader_label(f->reader), index->frame_offset);
  size_t at = (size_t)((const uint8_t *)name.data - index->bytes);
  *ret_hint = index->hints == NULL ? NULL : &index->hints[at / HINT_GRAIN];
  return NACRE_OK;
}

nacre_status nc_segment_named_block(nc_segment *s, nc_segment_file *f, nc_cached_block *index,
                                    nacre_slice name, uint8_t type, bool no_cache_fill,
                                    nc_cached_block **ret_block, nacre_error *err) {
  nc_handle handle;
  nc_cache_hint *hint = NULL;
  NC_TRY(nc_segment_address(f, index, name, &handle, &hint, err));
  return nc_segment_block(s, f, handle, type, no_cache_fill, hint, ret_block, err);
}

/* ---- filter -------------------------------------------------------------------------------------------- */

/* The lines of one frame, through the cache. */
static nacre_status cached_frame(nc_segment *s, nc_segment_file *f, uint32_t i, nc_cached_block **ret_block,
                                 nacre_error *err) {
  nc_cache *cache = s->home->shared->cache;
  uint64_t offset = nc_segment_filter_handle(f, i).offset;
  if (nc_segment_cached(s, offset, NC_FRAME_FILTER, NULL, ret_block)) return NACRE_OK;
  NC_TRY(nc_segment_filter_frame(s, f, i, ret_block, err));
  nc_cache_put(cache, *ret_block, s->cache_id, offset);
  return NACRE_OK;
}

nacre_status nc_segment_filter_admits(nc_segment *s, nc_segment_file *f, nacre_slice key, bool *ret_admits,
                                      nacre_error *err) {
  const nc_properties *p = &f->properties;
  *ret_admits = true;
  if (p->filter_lines == 0) return NACRE_OK;
  uint64_t hash = nc_filter_hash(p->filter_seed, key), line = nc_filter_line(hash, p->filter_lines);
  if (f->filter != NULL) {
    *ret_admits = nc_filter_line_matches(f->filter + line * NC_FILTER_LINE_BYTES, p->filter_probes, hash);
    return NACRE_OK;
  }
  nc_cached_block *frame;
  NC_TRY(cached_frame(s, f, (uint32_t)(line / NC_FILTER_FRAME_LINES), &frame, err));
  const uint8_t *lines = frame->block.data;
  *ret_admits = nc_filter_line_matches(lines + line % NC_FILTER_FRAME_LINES * NC_FILTER_LINE_BYTES,
                                       p->filter_probes, hash);
  nc_pin_unref(&frame->pin);
  return NACRE_OK;
}
