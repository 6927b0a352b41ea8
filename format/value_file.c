/* SPDX-License-Identifier: Apache-2.0
 *
 * value_file: see value_file.h; format/README.md, "Value files".
 */
#include "value_file.h"

#include <assert.h>

#include "compress.h"

enum { END_ZEROS_A = 4, END_ZEROS_B = 8 };

/* ---- names and references ------------------------------------------------------------------------------ */

void nc_write_value_name(nc_writer *w, const nc_value_name *name) {
  nc_write_varint(w, name->number);
  nc_write_bytes(w, name->file.bytes, NC_UUID_BYTES);
  nc_write_bytes(w, name->origin_table.bytes, NC_UUID_BYTES);
  nc_write_varint(w, name->size);
  nc_write_bytes(w, name->last_tag, NC_TAG_BYTES);
  nc_write_bytes(w, name->dek_commitment, NC_COMMITMENT_BYTES);
  nc_write_varint(w, name->value_size);
}

static bool value_size_sound(uint64_t size) { return size >= 1 && size <= NACRE_VALUE_BYTES_MAX; }

/* A header, one part of at least a byte, the end. */
static bool file_size_sound(uint64_t size) {
  return size % NC_FRAME_ALIGN == 0 && size <= NC_FILE_BYTES_MAX &&
         size >= NC_FRAMES_OFFSET + nc_frame_size(1) + nc_frame_size(NC_VALUE_END_BYTES);
}

bool nc_read_value_name(nc_reader *r, nc_value_name *name) {
  name->number = nc_read_varint(r);
  nc_read_copy(r, name->file.bytes, NC_UUID_BYTES);
  nc_read_copy(r, name->origin_table.bytes, NC_UUID_BYTES);
  name->size = nc_read_varint(r);
  nc_read_copy(r, name->last_tag, NC_TAG_BYTES);
  nc_read_copy(r, name->dek_commitment, NC_COMMITMENT_BYTES);
  name->value_size = nc_read_varint(r);
  return name->number != 0 && file_size_sound(name->size) && value_size_sound(name->value_size);
}

size_t nc_value_reference_encode(const nc_value_reference *reference,
                                 uint8_t out[NC_VALUE_REFERENCE_BYTES_MAX]) {
  nc_writer w = nc_writer_over(out, NC_VALUE_REFERENCE_BYTES_MAX);
  nc_write_u64(&w, reference->expires_ms);
  nc_write_value_name(&w, &reference->name);
  assert(!w.failed);
  return w.size;
}

nacre_status nc_value_reference_decode(nacre_slice bytes, nc_value_reference *ret_reference,
                                       nacre_error *err) {
  nc_reader r = nc_reader_over(bytes);
  nc_value_reference reference = {.expires_ms = nc_read_u64(&r)};
  if (!nc_read_value_name(&r, &reference.name) || !nc_reader_done(&r)) /* [U1] */
    return nc_fail(err, NC_E_VALUE_REFERENCE, NULL);
  *ret_reference = reference;
  return NACRE_OK;
}

/* ---- frames -------------------------------------------------------------------------------------------- */

void nc_value_end_encode(const nc_value_end *end, uint8_t out[NC_VALUE_END_BYTES]) {
  nc_writer w = nc_writer_over(out, NC_VALUE_END_BYTES);
  nc_write_u64(&w, end->file_size);
  nc_write_u64(&w, end->value_size);
  nc_write_u64(&w, end->frame_count);
  nc_write_u32(&w, end->part_bytes);
  nc_write_zeros(&w, END_ZEROS_A);
  nc_write_bytes(&w, end->manifest.bytes, NC_UUID_BYTES);
  nc_write_u64(&w, end->manifest_sequence);
  nc_write_zeros(&w, END_ZEROS_B);
  assert(!w.failed && w.size == NC_VALUE_END_BYTES);
}

static bool end_sound(const nc_value_end *end) {
  return file_size_sound(end->file_size) && value_size_sound(end->value_size) &&
         end->part_bytes >= NC_VALUE_PART_BYTES_MIN && end->part_bytes <= NC_VALUE_PART_BYTES_MAX &&
         end->frame_count == nc_value_parts(end) + 1;
}

nacre_status nc_value_end_decode(nacre_slice bytes, uint64_t file_size, nc_value_end *ret_end,
                                 nacre_error *err) {
  if (bytes.size != NC_VALUE_END_BYTES) return nc_fail(err, NC_E_VALUE_END_SHAPE, "%zu bytes", bytes.size);
  nc_reader r = nc_reader_over(bytes);
  nc_value_end end = {0};
  end.file_size = nc_read_u64(&r);
  end.value_size = nc_read_u64(&r);
  end.frame_count = nc_read_u64(&r);
  end.part_bytes = nc_read_u32(&r);
  bool zeros = nc_read_zeros(&r, END_ZEROS_A);
  nc_read_copy(&r, end.manifest.bytes, NC_UUID_BYTES);
  end.manifest_sequence = nc_read_u64(&r);
  zeros = nc_read_zeros(&r, END_ZEROS_B) && zeros;
  if (end.file_size != file_size) /* [U2] */
    return nc_fail(err, NC_E_VALUE_END_LENGTH, "%llu bytes, not %llu", (unsigned long long)file_size,
                   (unsigned long long)end.file_size);
  if (!zeros || !end_sound(&end)) return nc_fail(err, NC_E_VALUE_END_SHAPE, NULL); /* [U3] */
  *ret_end = end;
  return NACRE_OK;
}

nacre_status nc_value_part_decode(nacre_slice bytes, const nc_value_end *end, uint64_t part,
                                  nacre_slice *ret_packed, nacre_error *err) {
  nc_reader r = nc_reader_over(bytes);
  uint32_t number = nc_read_u32(&r);
  nacre_slice packed = nc_read_bytes(&r, nc_reader_left(&r));
  size_t raw_size;
  if (r.failed || number != part || part >= nc_value_parts(end)) /* [U4] */
    return nc_fail(err, NC_E_VALUE_PART, "number %u, where %llu belongs", number, (unsigned long long)part);
  NC_TRY(nc_unpack_size(packed, &raw_size, NULL, err));
  if (raw_size != nc_value_part_size(end, part)) return nc_fail(err, NC_E_VALUE_PART, "%zu bytes", raw_size);
  *ret_packed = packed;
  return NACRE_OK;
}
