/* SPDX-License-Identifier: Apache-2.0
 *
 * salvage_value: large values from files of their own; see salvage.h.
 *
 * A value comes out whole or not at all: its length is part of what its entry says. An older value of the key,
 * which the entry hid, does not take its place.
 */
#include "salvage.h"
#include "value_reader.h"

static nacre_status read_whole(nc_salvage_table *t, nacre_slice bytes, nc_salvage_buffer *buffer,
                               nacre_slice *ret_value, nacre_error *err) {
  nc_value_reference reference;
  nc_value_reader *reader;
  NC_TRY(nc_value_reference_decode(bytes, &reference, err));
  NC_TRY(nc_value_open_with(&t->dir, t->keys, &reference.name, &reader, err));
  size_t size = (size_t)reference.name.value_size;
  nacre_status status = nc_salvage_room(t->s->shared.env->heap, &buffer->bytes, &buffer->capacity, size, err);
  if (status == NACRE_OK) status = nc_value_read(reader, 0, buffer->bytes, size, err);
  if (status == NACRE_OK) {
    *ret_value = nc_slice(buffer->bytes, size);
    t->s->report.files++;
    t->s->report.frames += nc_value_reader_end(reader)->frame_count;
    t->s->report.bytes += reference.name.size;
  }
  nc_value_close(reader);
  return status;
}

nacre_status nc_salvage_value(nc_salvage_table *t, nc_entry *entry, nc_salvage_buffer *buffer,
                              bool *ret_whole, nacre_error *err) {
  nacre_error why;
  *ret_whole = true;
  if (entry->kind != NC_KIND_LARGE) return NACRE_OK;
  nacre_status status = read_whole(t, entry->value, buffer, &entry->value, &why);
  *ret_whole = status == NACRE_OK;
  return *ret_whole ? NACRE_OK : nc_salvage_note(t->s, &why, NULL, err);
}
