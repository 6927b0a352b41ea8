/* SPDX-License-Identifier: Apache-2.0
 *
 * segment_writer: see segment_writer.h; format/README.md, "Segment".
 *
 * Plaintext passes through three buffers of private memory: the block being built, its packed form, and
 * finished index blocks, which wait for the end of the data.
 */
#include "segment_writer.h"

#include <stdio.h>
#include <stdlib.h>

#include "block.h"
#include "expiry_tally.h"
#include "filter.h"
#include "footer.h"
#include "frame.h"
#include "private_memory.h"
#include "random.h"
#include "ranges.h"
#include "sealed_writer.h"

enum { TRIAL_BLOCKS = 16, ZSTD_PART = 8 }; /* Zstandard pays when it saves an eighth */
enum { INDEX_BLOCK_BYTES = 32 * 1024, WRITE_BUFFER_BYTES = 256 * 1024 };
static const size_t INDEX_BYTES_MAX = (size_t)8 << 20; /* keeps the index root far below a frame's limit */

typedef struct buffer {
  uint8_t *data;
  size_t capacity;
} buffer;

typedef struct index_block {
  struct index_block *next;
  size_t allocated, size;
  nacre_slice last_key;
  uint8_t bytes[]; /* the block, then a copy of its last key */
} index_block;

struct nc_segment_writer {
  const nc_dir *dir;
  nc_heap *heap;
  char name[NC_FILE_NAME_BYTES];
  nc_segment_params params;
  nc_pack_method method; /* of data blocks; the automatic one may change it between two */
  nc_sealed_writer *file;
  nc_compress_workspace workspace;
  size_t workspace_allocated;
  buffer raw, packed, index, ranges; /* range deletes, as they will stand in their frame */
  size_t ranges_size;
  nacre_slice ranges_first, ranges_last; /* where they begin and end: copies, in keys of their own */
  /* NACRE_KEY_BYTES_MAX each; the last two are taken when there are range deletes */
  uint8_t *data_last_key, *index_last_key, *smallest, *largest, *ranges_from, *ranges_to;
  size_t smallest_size, largest_size;
  nc_block_builder block, index_builder;
  index_block *index_first, *index_last;
  size_t index_bytes, index_keys_bytes, index_blocks;
  uint64_t *hashes;
  size_t hash_count, hash_capacity;
  nc_properties properties;
  nc_expiry_tally tally;
  uint64_t large_puts;
  bool finished;
};

void nc_segment_name(uint64_t number, char name[NC_FILE_NAME_BYTES]) {
  snprintf(name, NC_FILE_NAME_BYTES, "%020llu.seg", (unsigned long long)number);
}

static nacre_status reserve(nc_segment_writer *w, buffer *b, size_t size, nacre_error *err) {
  if (size <= b->capacity) return NACRE_OK;
  uint8_t *grown = nc_heap_grow(w->heap, b->data, b->capacity, size);
  if (grown == NULL) return nc_fail(err, NC_E_NO_MEMORY, "%zu bytes to build a block", size);
  b->data = grown;
  b->capacity = size;
  return NACRE_OK;
}

static nacre_status allocate(nc_segment_writer *w, nacre_error *err) {
  size_t block_bytes = nc_block_bound(0, w->params.block_bytes) + w->params.block_bytes;
  NC_TRY(reserve(w, &w->raw, block_bytes, err));
  NC_TRY(reserve(w, &w->index,
                 INDEX_BLOCK_BYTES + nc_block_bound(NACRE_KEY_BYTES_MAX, NC_HANDLE_VARINT_BYTES_MAX), err));
  uint8_t **keys[] = {&w->data_last_key, &w->index_last_key, &w->smallest, &w->largest};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    *keys[i] = nc_heap_alloc(w->heap, NACRE_KEY_BYTES_MAX);
    if (*keys[i] == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  }
  if (w->params.method == NC_PACK_NONE) return NACRE_OK;
  size_t size = nc_compress_workspace_size(false);
  void *memory = nc_heap_alloc(w->heap, size);
  if (memory == NULL) return nc_fail(err, NC_E_NO_MEMORY, "%zu bytes to compress with", size);
  w->workspace_allocated = size;
  w->workspace.memory = memory;
  return nc_compress_init(&w->workspace, memory, size, false, err);
}

nacre_status nc_segment_writer_create(const nc_dir *dir, const nc_segment_params *params, const nc_kek *kek,
                                      nc_segment_writer **ret_writer, nacre_error *err) {
  nc_segment_writer *w = calloc(1, sizeof *w);
  if (w == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  w->dir = dir;
  w->heap = dir->env->heap;
  w->params = *params;
  w->method = params->method;
  nc_segment_name(params->number, w->name);
  nc_identity identity = {.type = NC_FILE_SEGMENT,
                          .origin_table = params->table,
                          .number = params->number,
                          .epoch = params->epoch};
  nacre_status status = allocate(w, err);
  if (status == NACRE_OK)
    status = nc_random(&w->properties.filter_seed, sizeof w->properties.filter_seed, err);
  if (status == NACRE_OK) {
    status = nc_sealed_writer_create(dir, w->name, &identity, kek, WRITE_BUFFER_BYTES, &w->file, err);
  }
  if (status != NACRE_OK) {
    nc_segment_writer_close(w);
    return status;
  }
  w->properties.sequence_min = UINT64_MAX;
  w->properties.created_ms = nc_wall_ms(dir->env);
  nc_block_begin(&w->block, w->raw.data, w->raw.capacity, w->data_last_key);
  nc_block_begin(&w->index_builder, w->index.data, w->index.capacity, w->index_last_key);
  *ret_writer = w;
  return NACRE_OK;
}

static nacre_status pack(nc_segment_writer *w, nc_pack_method method, nacre_slice raw, size_t *ret_size,
                         nacre_error *err) {
  return nc_pack(&w->workspace, method, raw, w->packed.data, w->packed.capacity, ret_size, err);
}

/* Zstandard takes four times as long as LZ4, to pack and to read, and of some data it makes hardly less. One block in
 * so many is packed both ways, and tells how those up to the next one are. */
static nacre_status choose_method(nc_segment_writer *w, nacre_slice raw, nacre_error *err) {
  size_t by_lz4, by_zstd;
  if (!w->params.zstd_where_it_pays || w->properties.data_blocks % TRIAL_BLOCKS != 0) return NACRE_OK;
  NC_TRY(pack(w, NC_PACK_LZ4, raw, &by_lz4, err));
  NC_TRY(pack(w, NC_PACK_ZSTD, raw, &by_zstd, err));
  w->method = by_zstd + by_lz4 / ZSTD_PART <= by_lz4 ? NC_PACK_ZSTD : NC_PACK_LZ4;
  return NACRE_OK;
}

static nacre_status append_packed(nc_segment_writer *w, nc_frame_type type, nacre_slice raw,
                                  nc_handle *ret_handle, nacre_error *err) {
  NC_TRY(reserve(w, &w->packed, nc_pack_bound(raw.size), err));
  size_t size = 0;
  bool data = type == NC_FRAME_DATA;
  if (data) NC_TRY(choose_method(w, raw, err));
  NC_TRY(pack(w, data ? w->method : w->params.method, raw, &size, err));
  return nc_sealed_writer_append(w->file, type, nc_slice(w->packed.data, size), ret_handle, err);
}

/* Puts the finished index block aside until the data has ended. */
static nacre_status end_index_block(nc_segment_writer *w, nacre_error *err) {
  nacre_slice last_key = nc_slice(w->index_last_key, w->index_builder.last_key_size);
  nacre_slice bytes = nc_block_finish(&w->index_builder);
  size_t allocated = sizeof(index_block) + bytes.size + last_key.size;
  index_block *b = nc_heap_alloc(w->heap, allocated);
  if (b == NULL) return nc_fail(err, NC_E_NO_MEMORY, "%zu bytes for the index", allocated);
  memcpy(b->bytes, bytes.data, bytes.size);
  if (last_key.size > 0) memcpy(b->bytes + bytes.size, last_key.data, last_key.size);
  b->allocated = allocated;
  b->size = bytes.size;
  b->last_key = nc_slice(b->bytes + bytes.size, last_key.size);
  if (w->index_last != NULL) {
    w->index_last->next = b;
  } else {
    w->index_first = b;
  }
  w->index_last = b;
  w->index_blocks++;
  w->index_keys_bytes += nc_block_bound(last_key.size, NC_HANDLE_VARINT_BYTES_MAX);
  w->index_bytes += bytes.size;
  nc_block_begin(&w->index_builder, w->index.data, w->index.capacity, w->index_last_key);
  return NACRE_OK;
}

static nacre_status add_index_entry(nc_segment_writer *w, nacre_slice last_key, nc_handle handle,
                                    nacre_error *err) {
  uint8_t value[NC_HANDLE_VARINT_BYTES_MAX];
  nc_entry entry = {.key = last_key, .kind = NC_KIND_PUT, .value = {value, nc_handle_encode(handle, value)}};
  if (!nc_block_add(&w->index_builder, &entry)) return nc_fail(err, NC_E_FRAME_TOO_LARGE, "index entry");
  return nc_block_size(&w->index_builder) >= INDEX_BLOCK_BYTES ? end_index_block(w, err) : NACRE_OK;
}

static nacre_status end_block(nc_segment_writer *w, nacre_error *err) {
  if (w->block.entries == 0) return NACRE_OK;
  nacre_slice raw = nc_block_finish(&w->block);
  nc_handle handle;
  NC_TRY(append_packed(w, NC_FRAME_DATA, raw, &handle, err));
  w->properties.data_blocks++;
  NC_TRY(add_index_entry(w, nc_slice(w->largest, w->largest_size), handle, err));
  nc_block_begin(&w->block, w->raw.data, w->raw.capacity, w->data_last_key);
  return NACRE_OK;
}

static nacre_status add_hash(nc_segment_writer *w, nacre_slice key, nacre_error *err) {
  if (w->params.filter_bits_per_key == UINT32_MAX) return NACRE_OK;
  if (w->hash_count == w->hash_capacity) {
    size_t capacity = w->hash_capacity == 0 ? 4096 : w->hash_capacity * 2;
    uint64_t *grown =
        nc_heap_grow(w->heap, w->hashes, w->hash_capacity * sizeof *w->hashes, capacity * sizeof *w->hashes);
    if (grown == NULL) return nc_fail(err, NC_E_NO_MEMORY, "the filter of %zu keys", capacity);
    w->hashes = grown;
    w->hash_capacity = capacity;
  }
  w->hashes[w->hash_count++] = nc_filter_hash(w->properties.filter_seed, key);
  return NACRE_OK;
}

static void count_entry(nc_segment_writer *w, const nc_entry *entry) {
  nc_properties *p = &w->properties;
  p->entries++;
  p->deletes += entry->kind == NC_KIND_DELETE;
  w->large_puts += entry->kind == NC_KIND_LARGE;
  p->key_bytes += entry->key.size;
  p->value_bytes += entry->value.size;
  if (entry->sequence < p->sequence_min) p->sequence_min = entry->sequence;
  if (entry->sequence > p->sequence_max) p->sequence_max = entry->sequence;
}

static void keep_key(uint8_t *to, size_t *to_size, nacre_slice key) {
  if (key.size > 0) memcpy(to, key.data, key.size);
  *to_size = key.size;
}

nacre_status nc_segment_writer_add(nc_segment_writer *w, const nc_entry *entry, nacre_error *err) {
  if (w->block.entries > 0 && nc_block_size(&w->block) >= w->params.block_bytes) NC_TRY(end_block(w, err));
  if (!nc_block_add(&w->block, entry)) {
    NC_TRY(end_block(w, err));
    NC_TRY(reserve(w, &w->raw, nc_block_bound(entry->key.size, entry->value.size), err));
    nc_block_begin(&w->block, w->raw.data, w->raw.capacity, w->data_last_key);
    if (!nc_block_add(&w->block, entry)) return nc_fail(err, NC_E_FRAME_TOO_LARGE, "entry");
  }
  bool first = w->properties.entries == 0;
  if (first) keep_key(w->smallest, &w->smallest_size, entry->key);
  if (first || !nc_slice_equal(nc_slice(w->largest, w->largest_size), entry->key)) {
    keep_key(w->largest, &w->largest_size, entry->key);
    NC_TRY(add_hash(w, entry->key, err));
  }
  count_entry(w, entry);
  return nc_expiry_tally_add(&w->tally, w->heap, entry, err);
}

/* ---- range deletes ------------------------------------------------------------------------------------- */

static nacre_status take_range_keys(nc_segment_writer *w, nacre_error *err) {
  uint8_t **keys[] = {&w->ranges_from, &w->ranges_to};
  for (size_t i = 0; i < 2 && w->ranges_to == NULL; i++) {
    if (*keys[i] == NULL) *keys[i] = nc_heap_alloc(w->heap, NACRE_KEY_BYTES_MAX);
    if (*keys[i] == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  }
  return NACRE_OK;
}

static nacre_slice copy_key(uint8_t *to, nacre_slice key) {
  if (key.size > 0) memcpy(to, key.data, key.size);
  return nc_slice(to, key.size);
}

nacre_status nc_segment_writer_add_range(nc_segment_writer *w, const nc_range_fragment *f, nacre_error *err) {
  nc_properties *p = &w->properties;
  size_t need = w->ranges_size + nc_ranges_bound(f->from, f->to, f->count);
  NC_TRY(take_range_keys(w, err));
  if (need > w->ranges.capacity)
    NC_TRY(reserve(w, &w->ranges, need > 2 * w->ranges.capacity ? need : 2 * w->ranges.capacity, err));
  nc_writer to = nc_writer_over(w->ranges.data, w->ranges.capacity);
  to.size = w->ranges_size;
  nc_ranges_write(&to, f->from, f->to, f->sequences, f->count);
  if (to.failed || to.size > NC_FRAME_PLAINTEXT_BYTES_MAX)
    return nc_fail(err, NC_E_FRAME_TOO_LARGE, "ranges");
  if (p->range_deletes == 0) w->ranges_first = copy_key(w->ranges_from, f->from);
  w->ranges_last = copy_key(w->ranges_to, f->to);
  w->ranges_size = to.size;
  p->range_deletes += f->count;
  if (f->sequences[f->count - 1] < p->sequence_min) p->sequence_min = f->sequences[f->count - 1];
  if (f->sequences[0] > p->sequence_max) p->sequence_max = f->sequences[0];
  return NACRE_OK;
}

bool nc_segment_writer_is_empty(const nc_segment_writer *w) {
  return w->properties.entries == 0 && w->ranges_size == 0;
}

bool nc_segment_writer_ranges_full(const nc_segment_writer *w, const nc_range_fragment *f) {
  return w->ranges_size > 0 &&
         w->ranges_size + nc_ranges_bound(f->from, f->to, f->count) > NC_SEGMENT_RANGES_BYTES_TARGET;
}

static nacre_status write_ranges(nc_segment_writer *w, nacre_error *err) {
  if (w->properties.range_deletes == 0) return NACRE_OK;
  return nc_sealed_writer_append(w->file, NC_FRAME_RANGES, nc_slice(w->ranges.data, w->ranges_size),
                                 &w->properties.ranges, err);
}

/* ---- the end ------------------------------------------------------------------------------------------- */

bool nc_segment_writer_full(const nc_segment_writer *w) {
  uint64_t target = w->params.segment_bytes == 0 ? NC_SEGMENT_BYTES_TARGET : w->params.segment_bytes;
  return nc_sealed_writer_size(w->file) >= target || w->index_bytes >= INDEX_BYTES_MAX;
}

static nacre_status write_filter(nc_segment_writer *w, nc_footer *footer, nacre_error *err) {
  if (w->hash_count == 0) return NACRE_OK;
  nc_properties *p = &w->properties;
  nc_filter_shape(w->hash_count, w->params.filter_bits_per_key, &p->filter_lines, &p->filter_probes);
  size_t size = (size_t)p->filter_lines * NC_FILTER_LINE_BYTES;
  uint8_t *lines = nc_heap_alloc(w->heap, size);
  if (lines == NULL) return nc_fail(err, NC_E_NO_MEMORY, "%zu bytes for the filter", size);
  for (size_t i = 0; i < w->hash_count; i++)
    nc_filter_add(lines, p->filter_lines, p->filter_probes, w->hashes[i]);
  nacre_status status = NACRE_OK;
  footer->filter_offset = nc_sealed_writer_size(w->file);
  size_t piece_max = (size_t)NC_FILTER_FRAME_LINES * NC_FILTER_LINE_BYTES;
  for (size_t at = 0; at < size && status == NACRE_OK; at += piece_max) {
    size_t piece = size - at < piece_max ? size - at : piece_max;
    status = nc_sealed_writer_append(w->file, NC_FRAME_FILTER, nc_slice(lines + at, piece), NULL, err);
    footer->filter_frames++;
  }
  nc_heap_free(w->heap, lines, size);
  return status;
}

/* Appends the index blocks, and above several of them a root. */
static nacre_status write_index(nc_segment_writer *w, nc_footer *footer, nacre_error *err) {
  if (w->index_builder.entries > 0) NC_TRY(end_index_block(w, err));
  size_t root_bytes = nc_block_bound(0, 0) + w->index_keys_bytes;
  NC_TRY(reserve(w, &w->index, root_bytes, err));
  nc_block_builder root;
  nc_block_begin(&root, w->index.data, w->index.capacity, w->index_last_key);
  for (const index_block *b = w->index_first; b != NULL; b = b->next) {
    uint8_t value[NC_HANDLE_VARINT_BYTES_MAX];
    NC_TRY(append_packed(w, NC_FRAME_INDEX, nc_slice(b->bytes, b->size), &footer->index_root, err));
    nc_entry entry = {.key = b->last_key,
                      .kind = NC_KIND_PUT,
                      .value = {value, nc_handle_encode(footer->index_root, value)}};
    if (!nc_block_add(&root, &entry)) return nc_fail(err, NC_E_FRAME_TOO_LARGE, "index root");
  }
  footer->index_levels = w->index_blocks > 1 ? 2 : 1;
  if (w->index_blocks == 1) return NACRE_OK; /* with none, there are range deletes only: the root is empty */
  return append_packed(w, NC_FRAME_INDEX, nc_block_finish(&root), &footer->index_root, err);
}

/* Over entries and range deletes together. */
static void set_key_range(nc_segment_writer *w) {
  nc_properties *p = &w->properties;
  p->smallest = p->entries > 0 ? nc_slice(w->smallest, w->smallest_size) : w->ranges_first;
  p->largest = p->entries > 0 ? nc_slice(w->largest, w->largest_size) : w->ranges_last;
  if (p->range_deletes == 0) return;
  if (nc_slice_compare(w->ranges_first, p->smallest) < 0) p->smallest = w->ranges_first;
  if (nc_slice_compare(w->ranges_last, p->largest) > 0) p->largest = w->ranges_last;
}

static nacre_status write_properties(nc_segment_writer *w, nc_footer *footer, nacre_error *err) {
  set_key_range(w);
  if (w->params.one_sequence) w->properties.sequence_max = w->params.newest_sequence;
  NC_TRY(reserve(w, &w->packed, NC_PROPERTIES_BYTES_MAX, err));
  size_t size = nc_properties_encode(&w->properties, w->packed.data, w->packed.capacity);
  if (size == 0) return nc_fail(err, NC_E_FRAME_TOO_LARGE, "properties");
  return nc_sealed_writer_append(w->file, NC_FRAME_PROPERTIES, nc_slice(w->packed.data, size),
                                 &footer->properties, err);
}

static nacre_status write_footer(nc_segment_writer *w, nc_footer *footer, nacre_error *err) {
  uint8_t bytes[NC_FOOTER_BYTES];
  footer->file_size = nc_sealed_writer_size(w->file) + nc_frame_size(NC_FOOTER_BYTES);
  footer->frame_count = nc_sealed_writer_frames(w->file) + 1;
  footer->manifest = w->params.manifest;
  footer->manifest_sequence = w->params.manifest_sequence;
  footer->load = w->params.load;
  nc_footer_encode(footer, bytes);
  return nc_sealed_writer_append(w->file, NC_FRAME_FOOTER, nc_slice(bytes, sizeof bytes), NULL, err);
}

/* What a merge wants to know before it opens the file. */
static uint32_t flags_of(const nc_properties *p) {
  uint32_t flags = p->deletes > 0 ? NC_SEGMENT_HOLDS_DELETES : 0;
  return p->deletes > 0 && 4 * p->deletes >= p->entries ? flags | NC_SEGMENT_MANY_DELETES : flags;
}

static void fill_moments(nc_segment_writer *w, nc_segment_record *record) {
  record->half_expired_ms = nc_expiry_tally_half(&w->tally, w->properties.entries);
  record->all_expired_ms = nc_expiry_tally_all(&w->tally);
  if (record->half_expired_ms != 0 || record->all_expired_ms != 0) record->flags |= NC_SEGMENT_EXPIRES;
}

static void fill_record(nc_segment_writer *w, nc_segment_record *record) {
  const nc_header_slot *header = nc_sealed_writer_header(w->file);
  *record = (nc_segment_record){
      .number = w->params.number,
      .file = header->identity.file,
      .origin_table = header->identity.origin_table,
      .size = nc_sealed_writer_size(w->file),
      .sequence_min = w->properties.sequence_min,
      .sequence_max = w->properties.sequence_max,
      .entries = w->properties.entries + w->properties.range_deletes,
      .smallest = w->properties.smallest,
      .largest = w->properties.largest,
      .flags = flags_of(&w->properties) | (w->params.one_sequence ? NC_SEGMENT_ONE_SEQUENCE : 0),
  };
  fill_moments(w, record);
  if (w->large_puts == 0) record->flags |= NC_SEGMENT_NO_LARGE;
  if (w->properties.range_deletes > 0) record->flags |= NC_SEGMENT_HOLDS_RANGES;
  if (record->largest.data == w->ranges_last.data && w->properties.range_deletes > 0)
    record->flags |= NC_SEGMENT_LARGEST_EXCLUDED;
  memcpy(record->last_tag, nc_sealed_writer_last_tag(w->file), NC_TAG_BYTES);
  memcpy(record->dek_commitment, header->dek_commitment, NC_COMMITMENT_BYTES);
}

nacre_status nc_segment_writer_finish(nc_segment_writer *w, nc_segment_record *ret_record, nacre_error *err) {
  nc_footer footer = {0};
  NC_TRY(end_block(w, err));
  NC_TRY(write_filter(w, &footer, err));
  NC_TRY(write_index(w, &footer, err));
  NC_TRY(write_ranges(w, err));
  NC_TRY(write_properties(w, &footer, err));
  NC_TRY(write_footer(w, &footer, err));
  NC_TRY(nc_sealed_writer_sync(w->file, err));
  fill_record(w, ret_record);
  w->finished = true;
  return NACRE_OK;
}

void nc_segment_writer_close(nc_segment_writer *w) {
  if (w == NULL) return;
  if (w->file != NULL) {
    nc_sealed_writer_close(w->file);
    /* A crash before this leaves an orphan, which the next writing open removes; so does a failure of it. */
    if (!w->finished && nc_dir_remove(w->dir, w->name, NULL) != NACRE_OK) w->finished = true;
  }
  for (index_block *b = w->index_first, *next; b != NULL; b = next) {
    next = b->next;
    nc_heap_free(w->heap, b, b->allocated);
  }
  buffer *buffers[] = {&w->raw, &w->packed, &w->index, &w->ranges};
  for (size_t i = 0; i < 4; i++) nc_heap_free(w->heap, buffers[i]->data, buffers[i]->capacity);
  uint8_t *keys[] = {w->data_last_key, w->index_last_key, w->smallest,
                     w->largest,       w->ranges_from,    w->ranges_to};
  for (size_t i = 0; i < 6; i++) nc_heap_free(w->heap, keys[i], NACRE_KEY_BYTES_MAX);
  nc_expiry_tally_deinit(&w->tally, w->heap);
  nc_heap_free(w->heap, w->hashes, w->hash_capacity * sizeof *w->hashes);
  nc_heap_free(w->heap, w->workspace.memory, w->workspace_allocated);
  free(w);
}
