/* SPDX-License-Identifier: Apache-2.0
 *
 * batch: operations as bytes (format/README.md, "Batches").
 */
#include "batch.h"

#include <assert.h>

#include "value_file.h"

static bool kind_known(uint8_t kind) { return kind >= NC_KIND_PUT && kind <= NC_KIND_LARGE; }
static bool has_value(uint8_t kind) { return kind != NC_KIND_DELETE; }

/* The end of a range is a key, and behind its beginning. [L3, P5] */
static bool range_sound(const nc_entry *entry) {
  return entry->kind != NC_KIND_RANGE_DELETE ||
         (entry->value.size <= NACRE_KEY_BYTES_MAX && nc_slice_compare(entry->key, entry->value) < 0);
}

nacre_status nc_operation_size(nc_kind kind, nacre_slice key, nacre_slice value, size_t *ret_size,
                               nacre_error *err) {
  assert(kind_known((uint8_t)kind));
  if (key.size > NACRE_KEY_BYTES_MAX) return nc_fail(err, NC_E_KEY_TOO_LARGE, "%zu bytes", key.size);
  if (kind == NC_KIND_RANGE_DELETE && value.size > NACRE_KEY_BYTES_MAX)
    return nc_fail(err, NC_E_KEY_TOO_LARGE, "%zu bytes", value.size);
  size_t size = 1 + nc_varint_size(key.size) + key.size;
  if (has_value((uint8_t)kind)) {
    size += nc_varint_size(value.size);
    if (value.size > NACRE_BATCH_BYTES_MAX)
      return nc_fail(err, NC_E_BATCH_TOO_LARGE, "a value of %zu bytes", value.size);
    size += value.size;
  }
  if (size > NACRE_BATCH_BYTES_MAX)
    return nc_fail(err, NC_E_BATCH_TOO_LARGE, "an operation of %zu bytes", size);
  *ret_size = size;
  return NACRE_OK;
}

size_t nc_operation_encode_expiring(nacre_slice key, nacre_slice value, uint64_t expires_ms, uint8_t *out) {
  size_t n = 0;
  out[n++] = NC_KIND_EXPIRING;
  n += nc_put_varint(out + n, key.size);
  n += nc_put_varint(out + n, NC_EXPIRY_BYTES + value.size);
  if (key.size != 0) memcpy(out + n, key.data, key.size);
  n += key.size;
  nc_put_u64(out + n, expires_ms);
  n += NC_EXPIRY_BYTES;
  if (value.size != 0) memcpy(out + n, value.data, value.size);
  return n + value.size;
}

size_t nc_operation_encode(nc_kind kind, nacre_slice key, nacre_slice value, uint8_t *out) {
  size_t n = 0;
  out[n++] = (uint8_t)kind;
  n += nc_put_varint(out + n, key.size);
  if (has_value((uint8_t)kind)) n += nc_put_varint(out + n, value.size);
  if (key.size != 0) memcpy(out + n, key.data, key.size);
  n += key.size;
  if (!has_value((uint8_t)kind) || value.size == 0) return n;
  memcpy(out + n, value.data, value.size);
  return n + value.size;
}

void nc_batch_read_begin(nc_batch_reader *r, nacre_slice operations) {
  *r = (nc_batch_reader){.reader = nc_reader_over(operations)};
}

nacre_status nc_batch_read(nc_batch_reader *r, nc_entry *ret_entry, bool *ret_more, nacre_error *err) {
  nc_reader *bytes = &r->reader;
  *ret_more = false;
  if (nc_reader_done(bytes)) return NACRE_OK;
  size_t at = bytes->at;
  uint8_t kind = nc_read_u8(bytes);
  /* [L3] */
  if (!bytes->failed && !kind_known(kind)) return nc_fail_at(err, NC_E_BATCH_KIND, at, "kind %u", kind);
  uint64_t key_size = nc_read_varint(bytes);
  uint64_t value_size = has_value(kind) ? nc_read_varint(bytes) : 0;
  if (bytes->failed || key_size > NACRE_KEY_BYTES_MAX || value_size > nc_reader_left(bytes)) /* [P5] */
    return nc_fail_at(err, NC_E_BATCH_SHAPE, at, NULL);
  nc_entry entry = {.kind = (nc_kind)kind};
  entry.key = nc_read_bytes(bytes, (size_t)key_size);
  entry.value = nc_read_bytes(bytes, (size_t)value_size);
  bool sound = range_sound(&entry) && (kind != NC_KIND_EXPIRING || nc_expiry_sound(entry.value));
  if (bytes->failed || !sound) return nc_fail_at(err, NC_E_BATCH_SHAPE, at, NULL);
  nc_value_reference reference;
  if (kind == NC_KIND_LARGE) NC_TRY(nc_value_reference_decode(entry.value, &reference, err));
  r->seen++;
  *ret_entry = entry;
  *ret_more = true;
  return NACRE_OK;
}

nacre_status nc_batch_check(nacre_slice operations, uint64_t expected_count, nacre_error *err) {
  nc_batch_reader r;
  nc_entry entry;
  bool more = true;
  nc_batch_read_begin(&r, operations);
  while (more) NC_TRY(nc_batch_read(&r, &entry, &more, err));
  if (r.seen == expected_count) return NACRE_OK; /* [L3] */
  return nc_fail(err, NC_E_BATCH_COUNT, "%llu, not %llu", (unsigned long long)r.seen,
                 (unsigned long long)expected_count);
}
