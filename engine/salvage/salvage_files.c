/* SPDX-License-Identifier: Apache-2.0
 *
 * salvage_files: the files of a table: opening one, and finding them all where no manifest names them; see
 * salvage.h.
 */
#include <stdlib.h>

#include "named_files.h"
#include "salvage.h"

nacre_status nc_salvage_open_file(const nc_dir *dir, const nc_table_keys *keys, const nc_salvage_file *file,
                                  nc_file_type type, nc_sealed_reader **ret_reader, nacre_error *err) {
  nc_sealed_expect expect = {.type = type,
                             .origin_table = &file->origin_table,
                             .number = file->number,
                             .file = file->pinned ? &file->file : NULL,
                             .dek_commitment = file->pinned ? file->dek_commitment : NULL};
  nacre_status status = nc_sealed_reader_open(dir, file->name, keys, &expect, ret_reader, err);
  char label[NC_FILE_LABEL_BYTES];
  nc_dir_label(dir, file->name, label);
  if (status == NACRE_NOT_FOUND)
    status = nc_fail(err, type == NC_FILE_LOG ? NC_E_LOG_MISSING : NC_E_SEGMENT_MISSING, NULL);
  return status == NACRE_OK ? NACRE_OK : nc_fail_in(err, status, label, 0);
}

nacre_status nc_salvage_properties(nc_sealed_reader *reader, nc_heap *heap, uint8_t **buffer,
                                   size_t *capacity, nc_footer *ret_footer, nc_properties *ret_properties,
                                   nacre_error *err) {
  uint64_t size = nc_sealed_reader_size(reader);
  size_t footer_size = nc_frame_size(NC_FOOTER_BYTES);
  if (size < NC_FRAMES_OFFSET + footer_size) return nc_fail(err, NC_E_FILE_SHORT, NULL);
  nc_handle handle = {size - footer_size, (uint32_t)footer_size};
  nc_footer footer;
  nacre_slice plaintext;
  NC_TRY(nc_salvage_room(heap, buffer, capacity, footer_size, err));
  NC_TRY(nc_sealed_reader_frame(reader, handle, NC_FRAME_FOOTER, *buffer, &plaintext, NULL, err));
  NC_TRY(nc_footer_decode(plaintext, size, &footer, err));
  if (ret_footer != NULL) *ret_footer = footer;
  NC_TRY(nc_salvage_room(heap, buffer, capacity, footer.properties.size, err));
  NC_TRY(
      nc_sealed_reader_frame(reader, footer.properties, NC_FRAME_PROPERTIES, *buffer, &plaintext, NULL, err));
  return nc_properties_decode(plaintext, ret_properties, err);
}

/* ---- lists --------------------------------------------------------------------------------------------- */

nc_salvage_file *nc_salvage_list_add(nc_salvage_file **list, size_t *count, size_t *capacity) {
  if (*count == *capacity) {
    size_t larger = *capacity == 0 ? 16 : *capacity * 2;
    nc_salvage_file *grown = realloc(*list, larger * sizeof *grown);
    if (grown == NULL) return NULL;
    *list = grown;
    *capacity = larger;
  }
  nc_salvage_file *file = &(*list)[(*count)++];
  *file = (nc_salvage_file){0};
  return file;
}

static void free_key(nc_heap *heap, nacre_slice key) {
  nc_heap_free(heap, (void *)(uintptr_t)key.data, key.size);
}

static void free_keys(nc_heap *heap, nc_salvage_file *file) {
  if (!file->owns_keys) return;
  free_key(heap, file->smallest);
  free_key(heap, file->largest);
}

void nc_salvage_list_free(nc_heap *heap, nc_salvage_listing *l) {
  for (size_t i = 0; i < l->segment_count; i++) free_keys(heap, &l->segments[i]);
  free(l->segments);
  free(l->logs);
  *l = (nc_salvage_listing){0};
}

/* ---- a directory without a manifest -------------------------------------------------------------------- */

typedef struct search {
  nc_salvage *s;
  const nc_dir *dir;
  const nc_table_keys *keys;
  nc_salvage_listing *listing;
} search;

/* Opening it is what tells whether it is one, and that a name's number is not its file's own. */
static nacre_status visit(void *arg, const char *name, nacre_io_kind kind, nacre_error *err) {
  search *q = arg;
  uint64_t number;
  nc_file_type type;
  (void)kind; /* what is no plain file is refused, and noted, when it is opened */
  if (!nc_file_name_parse(name, &number, &type) || type == NC_FILE_MANIFEST) return NACRE_OK;
  if (type == NC_FILE_VALUE) return NACRE_OK; /* entries lead to it, and tell what it must be */
  nc_salvage_listing *l = q->listing;
  nc_salvage_file *file = type == NC_FILE_SEGMENT
                              ? nc_salvage_list_add(&l->segments, &l->segment_count, &l->segment_capacity)
                              : nc_salvage_list_add(&l->logs, &l->log_count, &l->log_capacity);
  if (file == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  memcpy(file->name, name, strlen(name) + 1);
  file->number = number;
  file->origin_table = *nc_table_keys_table(q->keys);
  return NACRE_OK;
}

static nacre_status keep_keys(nc_heap *heap, nc_salvage_file *file, const nc_properties *p,
                              nacre_error *err) {
  uint8_t *smallest = nc_heap_alloc(heap, p->smallest.size), *largest = nc_heap_alloc(heap, p->largest.size);
  if (smallest == NULL || largest == NULL) {
    nc_heap_free(heap, smallest, p->smallest.size);
    nc_heap_free(heap, largest, p->largest.size);
    return nc_fail(err, NC_E_NO_MEMORY, NULL);
  }
  if (p->smallest.size > 0) memcpy(smallest, p->smallest.data, p->smallest.size);
  if (p->largest.size > 0) memcpy(largest, p->largest.data, p->largest.size);
  file->smallest = nc_slice(smallest, p->smallest.size);
  file->largest = nc_slice(largest, p->largest.size);
  /* One that was loaded in bulk is newer than what was there when it was begun; more is known where the header of the
   * load's first segment can be read. */
  if (p->sequence_min == 0) file->one_sequence = p->sequence_max + 1;
  file->sequence_max = p->sequence_min == 0 ? file->one_sequence : p->sequence_max;
  file->owns_keys = true;
  return NACRE_OK;
}

/* What a segment says of itself, where its end can be read: that it is whole, and its keys. */
static nacre_status learn_segment(search *q, nc_salvage_file *file, nacre_error *err) {
  nc_heap *heap = q->s->shared.env->heap;
  nc_sealed_reader *reader;
  nc_properties properties;
  nc_footer footer;
  nacre_error why;
  uint8_t *buffer = NULL;
  size_t capacity = 0;
  nacre_status status = nc_salvage_open_file(q->dir, q->keys, file, NC_FILE_SEGMENT, &reader, &why);
  if (status == NACRE_NO_MEMORY) return nc_fail_with(err, &why);
  if (status != NACRE_OK) return NACRE_OK; /* noted when it is read */
  file->size = nc_sealed_reader_size(reader);
  file->load_sequence = nc_sealed_reader_header(reader)->load_sequence;
  status = nc_salvage_properties(reader, heap, &buffer, &capacity, &footer, &properties, &why);
  if (status == NACRE_OK) file->load = footer.load;
  nacre_status kept = status == NACRE_OK ? keep_keys(heap, file, &properties, err) : NACRE_OK;
  nc_heap_free(heap, buffer, capacity);
  nc_sealed_reader_close(reader);
  return status == NACRE_NO_MEMORY ? nc_fail_with(err, &why) : kept;
}

static int by_number(const void *a, const void *b) {
  const nc_salvage_file *x = a, *y = b;
  return (x->number > y->number) - (x->number < y->number);
}

/* ---- loads --------------------------------------------------------------------------------------------- */

static const nc_salvage_file *first_of_load(const nc_salvage_listing *l, const nc_salvage_file *file) {
  nc_salvage_file wanted = {.number = file->load};
  if (file->load == 0)
    return file->load_sequence != 0 ? file : NULL; /* the end of the first cannot be read */
  return bsearch(&wanted, l->segments, l->segment_count, sizeof wanted, by_number);
}

/* Gives the segments of loads the sequences of their commits. */
static void settle_loads(nc_salvage_listing *l) {
  for (size_t i = 0; i < l->segment_count; i++) {
    nc_salvage_file *file = &l->segments[i];
    const nc_salvage_file *first = first_of_load(l, file);
    if (first == NULL || first->size == 0) continue; /* no load, or its first segment does not open */
    if (first->load_sequence != 0) file->one_sequence = file->sequence_max = first->load_sequence;
    file->never_committed = first->load_sequence == 0;
  }
}

/* What was never committed counts for nothing: as the newest of its keys it would hide what is. */
static void leave_out_uncommitted(nc_heap *heap, nc_salvage_listing *l) {
  size_t kept = 0;
  for (size_t i = 0; i < l->segment_count; i++) {
    if (l->segments[i].never_committed) {
      free_keys(heap, &l->segments[i]);
    } else {
      l->segments[kept++] = l->segments[i];
    }
  }
  l->segment_count = kept;
}

nacre_status nc_salvage_list(nc_salvage *s, const nc_dir *dir, const nc_table_keys *keys,
                             nc_salvage_listing *ret_listing, nacre_error *err) {
  search q = {s, dir, keys, ret_listing};
  NC_TRY(nc_dir_list(dir, visit, &q, err));
  if (ret_listing->log_count > 0)
    qsort(ret_listing->logs, ret_listing->log_count, sizeof(nc_salvage_file), by_number);
  if (ret_listing->segment_count > 0)
    qsort(ret_listing->segments, ret_listing->segment_count, sizeof(nc_salvage_file), by_number);
  for (size_t i = 0; i < ret_listing->segment_count; i++)
    NC_TRY(learn_segment(&q, &ret_listing->segments[i], err));
  settle_loads(ret_listing);
  leave_out_uncommitted(s->shared.env->heap, ret_listing);
  return NACRE_OK;
}
