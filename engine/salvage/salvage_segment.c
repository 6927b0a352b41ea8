/* SPDX-License-Identifier: Apache-2.0
 *
 * salvage_segment: the entries of segments by walking their frames from the front; see salvage.h.
 *
 * Data frames come first in a segment, in the order of their keys, and each authenticates alone: neither
 * index nor footer is needed. A frame that does not open leaves a *hole*, which ends at the next authentic
 * frame: where its own header says that it ends, or else found by searching. What a hole took away lies
 * between the keys of its neighbours. The first authentic frame of another type ends the data.
 *
 * One file and one block are held at a time. Entries that do not ascend are left out like damage: whoever
 * reads on relies on the order.
 */
#include <stdio.h>

#include "compress.h"
#include "frame_scan.h"
#include "salvage.h"

typedef struct run_cursor {
  nc_cursor base;
  nc_salvage_table *t;
  const nc_salvage_file *files;
  size_t count, at;
  nc_sealed_reader *reader; /* of files[at]; NULL: not open */
  uint64_t offset, size;    /* of the next frame; of the file */
  uint64_t block_offset;    /* of the frame that the entries at hand are from */
  uint64_t entries;         /* of this file so far */
  uint8_t *frame, *bytes, *key, *last_key;
  size_t frame_capacity, bytes_capacity, key_capacity, last_key_capacity;
  nc_block block;
  nc_block_cursor inside;
  bool in_block, has_last;
  size_t last_key_size; /* of the last entry that came out of this file */
  uint64_t last_sequence;
  bool hole;
  uint64_t hole_offset;
  nacre_error hole_why;
} run_cursor;

typedef struct seen_frame {
  bool end; /* the file ends exactly there */
  uint8_t type;
  uint64_t next; /* where the frame behind it stands; 0: not known */
  nacre_slice plaintext;
} seen_frame;

static nc_heap *heap_of(const run_cursor *c) { return c->t->s->shared.env->heap; }
static const nc_salvage_file *file_of(const run_cursor *c) { return &c->files[c->at]; }

/* ---- holes --------------------------------------------------------------------------------------------- */

static void begin_hole(run_cursor *c, uint64_t offset, const nacre_error *why) {
  if (c->hole) return; /* it only grows */
  c->hole = true;
  c->hole_offset = offset;
  c->hole_why = *why;
  nc_fail_in(&c->hole_why, why->status, nc_sealed_reader_label(c->reader), 0);
  c->hole_why.offset = offset;
}

/* The hole ends before `end`; the next entry has the key `before` (NULL data: it is not known). */
static nacre_status end_hole(run_cursor *c, uint64_t end, nacre_slice before, nacre_error *err) {
  if (!c->hole) return NACRE_OK;
  c->hole = false;
  nacre_slice after = c->has_last ? nc_slice(c->last_key, c->last_key_size) : file_of(c)->smallest;
  nacre_fault_extent extent = {end > c->hole_offset ? end - c->hole_offset : NACRE_NONE, after, before};
  return nc_salvage_note(c->t->s, &c->hole_why, &extent, err);
}

/* Whether all entries came out: then what is damaged held none. */
static bool is_complete(run_cursor *c) {
  nc_properties properties;
  nacre_status status =
      nc_salvage_properties(c->reader, heap_of(c), &c->frame, &c->frame_capacity, NULL, &properties, NULL);
  return status == NACRE_OK && properties.entries == c->entries;
}

static void leave_file(run_cursor *c) {
  nc_sealed_reader_close(c->reader);
  c->reader = NULL;
  c->has_last = c->in_block = c->hole = false;
  c->entries = 0;
  c->at++;
}

/* The data end at `offset`, at a frame of another type or at the end of the file. */
static nacre_status end_file(run_cursor *c, uint64_t offset, bool cut, nacre_error *err) {
  nacre_error why;
  if (cut) {
    (void)nc_fail(&why, NC_E_FILE_SHORT, NULL);
    begin_hole(c, offset, &why);
  }
  if (c->hole && is_complete(c)) c->hole = false;
  nacre_status status = end_hole(c, offset, file_of(c)->largest, err);
  nc_salvage_progress(c->t->s, c->size > offset ? c->size - offset : 0);
  leave_file(c);
  return status;
}

/* ---- frames -------------------------------------------------------------------------------------------- */

static nacre_status read_frame(run_cursor *c, uint64_t offset, seen_frame *ret, nacre_error *err) {
  uint8_t head[NC_FRAME_HEADER_BYTES];
  nc_frame_header header;
  *ret = (seen_frame){.end = offset == c->size};
  if (ret->end) return NACRE_OK;
  if (offset > c->size || c->size - offset < sizeof head) return nc_fail(err, NC_E_FRAME_SHORT, NULL);
  NC_TRY(nc_sealed_reader_raw(c->reader, offset, head, sizeof head, err));
  NC_TRY(nc_frame_decode(head, &header, err));
  size_t size = nc_frame_size(header.ciphertext_size);
  if (c->size - offset < size) return nc_fail(err, NC_E_FRAME_SHORT, NULL);
  ret->type = header.type;
  ret->next = offset + size;
  NC_TRY(nc_salvage_room(heap_of(c), &c->frame, &c->frame_capacity, size, err));
  nc_handle handle = {offset, (uint32_t)size};
  return nc_sealed_reader_frame(c->reader, handle, header.type, c->frame, &ret->plaintext, NULL, err);
}

/* By steps of 16, for the next authentic frame. What cannot be searched is lost up to the end of the file. */
static nacre_status search(run_cursor *c, uint64_t from, nacre_error *err) {
  nc_scan scan;
  nc_scan_result result = NC_SCAN_END;
  nc_scan_frame frame;
  nacre_slice plaintext;
  nacre_error why;
  nc_scan_init(&scan, heap_of(c), c->reader, NACRE_NONE);
  nacre_status status = nc_scan_search_open(&scan, from, &result, &frame, &plaintext, &why);
  c->offset = status == NACRE_OK && result == NC_SCAN_FRAME ? frame.offset : c->size;
  nc_scan_deinit(&scan);
  if (status == NACRE_NO_MEMORY) return nc_fail_with(err, &why);
  return status == NACRE_OK ? NACRE_OK : nc_salvage_note(c->t->s, &why, NULL, err);
}

/* Goes on behind a frame that does not open. */
static nacre_status pass_over(run_cursor *c, const seen_frame *bad, nacre_error *err) {
  seen_frame next;
  nacre_error why;
  if (bad->next != 0) {
    nacre_status status = read_frame(c, bad->next, &next, &why);
    if (status == NACRE_NO_MEMORY) return nc_fail_with(err, &why);
    if (status == NACRE_OK) {
      c->offset = bad->next;
      return NACRE_OK;
    }
  }
  return search(c, c->offset + NC_FRAME_ALIGN, err);
}

/* ---- blocks -------------------------------------------------------------------------------------------- */

static nacre_status unpack(run_cursor *c, nacre_slice packed, nacre_error *err) {
  size_t size;
  NC_TRY(nc_unpack_size(packed, &size, NULL, err));
  NC_TRY(nc_salvage_room(heap_of(c), &c->bytes, &c->bytes_capacity, size + 1, err));
  nc_unpacker *unpacker = nc_unpacker_take(&c->t->s->shared);
  if (unpacker == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  nacre_status status = nc_unpack(&unpacker->workspace, packed, c->bytes, size, err);
  nc_unpacker_give(&c->t->s->shared, unpacker);
  NC_TRY(status);
  NC_TRY(nc_block_open(nc_slice(c->bytes, size), &c->block, err));
  NC_TRY(nc_salvage_room(heap_of(c), &c->key, &c->key_capacity, (size_t)c->block.longest_key + 1, err));
  nc_block_cursor_init(&c->inside, &c->block, c->key);
  return nc_block_first(&c->inside, err);
}

static nacre_status check_order(const run_cursor *c, nacre_error *err) {
  const nc_entry *entry = &c->inside.entry;
  nacre_slice last = nc_slice(c->last_key, c->last_key_size);
  bool ascends = !c->has_last || nc_entry_compare(last, c->last_sequence, entry->key, entry->sequence) < 0;
  return ascends ? NACRE_OK : nc_fail(err, NC_E_SEGMENT_ORDER, NULL);
}

static nacre_status remember(run_cursor *c, nacre_error *err) {
  const nc_entry *entry = &c->inside.entry;
  NC_TRY(nc_salvage_room(heap_of(c), &c->last_key, &c->last_key_capacity, entry->key.size + 1, err));
  if (entry->key.size > 0) memcpy(c->last_key, entry->key.data, entry->key.size);
  c->last_key_size = entry->key.size;
  c->last_sequence = entry->sequence;
  c->has_last = true;
  c->entries++;
  c->t->s->report.entries++;
  return NACRE_OK;
}

/* Takes the entry that the block's cursor stands at, if there is one and it is in order; else `in_block` is
 * false afterwards, and what is wrong has begun a hole. */
static nacre_status take_entry(run_cursor *c, nacre_status moved, nacre_error *why, nacre_error *err) {
  nacre_status status = moved;
  if (status == NACRE_OK && c->inside.valid) status = check_order(c, why);
  c->in_block = status == NACRE_OK && c->inside.valid;
  if (status == NACRE_NO_MEMORY) return nc_fail_with(err, why);
  if (status != NACRE_OK) begin_hole(c, c->block_offset, why);
  if (!c->in_block) return NACRE_OK;
  NC_TRY(end_hole(c, c->block_offset, c->inside.entry.key, err));
  return remember(c, err);
}

static nacre_status enter_frame(run_cursor *c, const seen_frame *frame, nacre_error *err) {
  nacre_error why;
  c->block_offset = c->offset;
  c->offset = frame->next;
  c->t->s->report.frames++;
  c->t->s->report.bytes += c->offset - c->block_offset;
  nc_salvage_progress(c->t->s, c->offset - c->block_offset);
  return take_entry(c, unpack(c, frame->plaintext, &why), &why, err);
}

/* ---- files --------------------------------------------------------------------------------------------- */

static nacre_status open_file(run_cursor *c, nacre_error *err) {
  nacre_error why;
  const nc_salvage_file *file = file_of(c);
  nacre_status status = nc_salvage_open_file(&c->t->dir, c->t->keys, file, NC_FILE_SEGMENT, &c->reader, &why);
  if (status != NACRE_OK) {
    nacre_fault_extent extent = {NACRE_NONE, file->smallest, file->largest};
    c->reader = NULL;
    c->at++;
    return nc_salvage_note(c->t->s, &why, &extent, err);
  }
  c->offset = NC_FRAMES_OFFSET;
  c->size = nc_sealed_reader_size(c->reader);
  c->t->s->report.files++;
  nc_salvage_progress(c->t->s, NC_FRAMES_OFFSET);
  return NACRE_OK;
}

static nacre_status next_frame(run_cursor *c, nacre_error *err) {
  seen_frame frame;
  nacre_error why;
  nacre_status status = read_frame(c, c->offset, &frame, &why);
  if (status == NACRE_NO_MEMORY) return nc_fail_with(err, &why);
  if (status != NACRE_OK) {
    begin_hole(c, c->offset, &why);
    return pass_over(c, &frame, err);
  }
  if (frame.end || frame.type != NC_FRAME_DATA) return end_file(c, c->offset, frame.end, err);
  return enter_frame(c, &frame, err);
}

/* Until there is an entry, or nothing is left. */
static nacre_status advance(run_cursor *c, nacre_error *err) {
  while (!c->in_block && c->at < c->count) NC_TRY(c->reader == NULL ? open_file(c, err) : next_frame(c, err));
  c->base.valid = c->in_block;
  if (!c->in_block) return NACRE_OK;
  c->base.entry = c->inside.entry;
  if (file_of(c)->one_sequence != 0) c->base.entry.sequence = file_of(c)->one_sequence;
  return NACRE_OK;
}

static nacre_status cursor_first(nc_cursor *base, nacre_error *err) {
  return advance((run_cursor *)base, err); /* called once, to begin with */
}

static nacre_status cursor_next(nc_cursor *base, nacre_error *err) {
  run_cursor *c = (run_cursor *)base;
  nacre_error why;
  base->valid = false;
  NC_TRY(take_entry(c, nc_block_next(&c->inside, &why), &why, err));
  return advance(c, err);
}

static nacre_status cursor_refuse(nc_cursor *base, nacre_error *err) {
  base->valid = false;
  return nc_fail(err, NC_E_ARGUMENT, "a salvaged run is read forward only");
}

static nacre_status cursor_refuse_seek(nc_cursor *base, nacre_slice key, uint64_t sequence,
                                       nacre_error *err) {
  (void)key;
  (void)sequence;
  return cursor_refuse(base, err);
}

static void cursor_close(nc_cursor *base) {
  run_cursor *c = (run_cursor *)base;
  nc_heap *heap = heap_of(c);
  nc_sealed_reader_close(c->reader);
  nc_heap_free(heap, c->frame, c->frame_capacity);
  nc_heap_free(heap, c->bytes, c->bytes_capacity);
  nc_heap_free(heap, c->key, c->key_capacity);
  nc_heap_free(heap, c->last_key, c->last_key_capacity);
  nc_heap_free(heap, c, sizeof *c);
}

static const nc_cursor_ops run_cursor_ops = {
    cursor_first, cursor_refuse, cursor_refuse_seek, cursor_next, cursor_refuse, cursor_close, NULL};

nacre_status nc_salvage_run(nc_salvage_table *t, const nc_salvage_file *files, size_t count,
                            nc_cursor **ret_cursor, nacre_error *err) {
  run_cursor *c = nc_heap_alloc(t->s->shared.env->heap, sizeof *c);
  if (c == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  c->base.ops = &run_cursor_ops;
  c->t = t;
  c->files = files;
  c->count = count;
  *ret_cursor = &c->base;
  return NACRE_OK;
}
