/* SPDX-License-Identifier: Apache-2.0
 *
 * key_file: wrapped table keys as bytes (format/README.md, "Key file").
 *
 * Invariants of a file that decodes: exactly one version is active, no id stands twice, version numbers
 * ascend, every version has a wrap and a MAC, wraps are grouped by version, and no string but a ciphertext
 * holds a NUL.
 */
#include "key_file.h"

#include "crc32c.h"

enum { AT_VERSION = 8, AT_SIZE = 12, HEAD_BYTES = 40, CRC_BYTES = 4, CIPHERTEXT_BYTES_MAX = 4096 };

static const uint8_t magic[8] = {0x89, 'N', 'A', 'C', 'K', 'E', 0x0D, 0x0A};

/* ---- encoding ------------------------------------------------------------------------------------------ */

static void write_version(nc_writer *w, const nc_key_version *v) {
  nc_write_bytes(w, v->id.bytes, NC_UUID_BYTES);
  nc_write_u32(w, v->version);
  nc_write_u8(w, (uint8_t)v->state);
  nc_write_u64(w, v->created_ms);
  nc_write_bytes(w, v->commitment, NC_COMMITMENT_BYTES);
}

static void write_wrap(nc_writer *w, const nc_key_wrap *wrap) {
  nc_write_string(w, wrap->provider);
  nc_write_string(w, wrap->uri);
  nc_write_string(w, wrap->region);
  nc_write_string(w, wrap->key_version);
  nc_write_string(w, wrap->principal);
  nc_write_string(w, wrap->ciphertext);
}

/* The wraps from `from` on that belong to version `index`. */
static uint32_t wraps_of(const nc_key_file *file, uint32_t from, uint32_t index) {
  uint32_t n = 0;
  while (from + n < file->wrap_count && file->wraps[from + n].version_index == index) n++;
  return n;
}

static size_t end_size(const nc_key_file *file) {
  return nc_varint_size(file->mac_count) + (size_t)file->mac_count * (NC_UUID_BYTES + NC_MAC_BYTES) +
         CRC_BYTES;
}

static bool counts_fit(const nc_key_file *file) {
  return file->version_count <= NC_KEY_VERSIONS_MAX && file->wrap_count <= NC_KEY_WRAPS_MAX &&
         file->mac_count <= NC_KEY_VERSIONS_MAX;
}

size_t nc_key_file_encode_body(const nc_key_file *file, void *out, size_t capacity) {
  if (!counts_fit(file)) return 0;
  nc_writer w = nc_writer_over(out, capacity);
  nc_write_bytes(&w, magic, sizeof magic);
  nc_write_u16(&w, NC_FORMAT_VERSION);
  nc_write_u16(&w, 0);
  nc_write_u32(&w, 0); /* the total size, once it is known */
  nc_write_u64(&w, file->generation);
  nc_write_bytes(&w, file->table.bytes, NC_UUID_BYTES);
  nc_write_varint(&w, file->version_count);
  uint32_t next = 0;
  for (uint32_t i = 0; i < file->version_count; i++) {
    uint32_t wraps = wraps_of(file, next, i);
    write_version(&w, &file->versions[i]);
    nc_write_varint(&w, wraps);
    for (uint32_t end = next + wraps; next < end; next++) write_wrap(&w, &file->wraps[next]);
  }
  size_t total = w.size + end_size(file);
  if (w.failed || next != file->wrap_count || total > NC_KEY_FILE_BYTES_MAX) return 0;
  nc_put_u32(w.data + AT_SIZE, (uint32_t)total);
  return w.size;
}

size_t nc_key_file_encode_end(const nc_key_file *file, void *out, size_t body_size, size_t capacity) {
  if (!counts_fit(file)) return 0;
  nc_writer w = {out, capacity, body_size, false};
  nc_write_varint(&w, file->mac_count);
  for (uint32_t i = 0; i < file->mac_count; i++) {
    nc_write_bytes(&w, file->macs[i].kek_id.bytes, NC_UUID_BYTES);
    nc_write_bytes(&w, file->macs[i].mac, NC_MAC_BYTES);
  }
  if (w.failed) return 0;
  nc_write_u32(&w, nc_crc32c(0, out, w.size));
  return w.failed ? 0 : w.size;
}

/* ---- decoding ------------------------------------------------------------------------------------------ */

static nacre_status bad_shape(nacre_error *err, const nc_reader *r) {
  return nc_fail_at(err, NC_E_KEY_FILE_SHAPE, r->at, NULL);
}

static nacre_status check_outside(nacre_slice bytes, nacre_error *err) {
  const uint8_t *p = bytes.data;
  if (bytes.size < HEAD_BYTES + CRC_BYTES || bytes.size > NC_KEY_FILE_BYTES_MAX)
    return nc_fail(err, NC_E_KEY_FILE_SHAPE, "%zu bytes", bytes.size);
  if (memcmp(p, magic, sizeof magic) != 0) return nc_fail_at(err, NC_E_KEY_FILE_MAGIC, 0, NULL); /* [K1] */
  size_t end = bytes.size - CRC_BYTES;
  /* [V2] */
  if (nc_get_u32(p + end) != nc_crc32c(0, p, end)) return nc_fail_at(err, NC_E_KEY_FILE_CRC, 0, NULL);
  uint16_t version = nc_get_u16(p + AT_VERSION);
  if (version != NC_FORMAT_VERSION) /* [V1] */
    return nc_fail_at(err, NC_E_KEY_FILE_VERSION, AT_VERSION, "version %u", version);
  if (nc_get_u16(p + AT_VERSION + 2) != 0 || nc_get_u32(p + AT_SIZE) != bytes.size)
    return nc_fail_at(err, NC_E_KEY_FILE_SHAPE, AT_VERSION, NULL);
  return NACRE_OK;
}

/* A string that a program will hold as text: within its limit, and no byte of it hidden behind a NUL. */
static bool text_sound(nacre_slice text) {
  return text.size <= NACRE_KEY_URI_BYTES_MAX && (text.size == 0 || memchr(text.data, 0, text.size) == NULL);
}

static bool wrap_sound(const nc_key_wrap *wrap) {
  return text_sound(wrap->provider) && text_sound(wrap->uri) && wrap->uri.size != 0 &&
         text_sound(wrap->region) && text_sound(wrap->key_version) && text_sound(wrap->principal) &&
         wrap->ciphertext.size != 0 && wrap->ciphertext.size <= CIPHERTEXT_BYTES_MAX;
}

static nacre_status read_wraps(nc_reader *r, nc_key_file *file, uint32_t version_index, nacre_error *err) {
  uint64_t count = nc_read_varint(r);
  if (count > (uint64_t)NC_KEY_WRAPS_MAX - file->wrap_count)
    return nc_fail_at(err, NC_E_KEY_FILE_LIMIT, r->at, "wraps");
  if (r->failed || count == 0) return bad_shape(err, r);
  for (uint64_t i = 0; i < count; i++) {
    nc_key_wrap *wrap = &file->wraps[file->wrap_count++];
    wrap->version_index = version_index;
    wrap->provider = nc_read_string(r);
    wrap->uri = nc_read_string(r);
    wrap->region = nc_read_string(r);
    wrap->key_version = nc_read_string(r);
    wrap->principal = nc_read_string(r);
    wrap->ciphertext = nc_read_string(r);
    if (r->failed || !wrap_sound(wrap)) return bad_shape(err, r);
  }
  return NACRE_OK;
}

/* An id stands once, for it alone names the key; and newer versions stand behind older ones. */
static bool follows(const nc_key_file *file, uint32_t index) {
  const nc_key_version *v = &file->versions[index];
  for (uint32_t i = 0; i < index; i++)
    if (nc_uuid_equal(&file->versions[i].id, &v->id)) return false;
  return index == 0 || file->versions[index - 1].version < v->version;
}

static nacre_status read_versions(nc_reader *r, nc_key_file *file, nacre_error *err) {
  uint64_t count = nc_read_varint(r);
  uint32_t active = 0;
  if (count > NC_KEY_VERSIONS_MAX) return nc_fail_at(err, NC_E_KEY_FILE_LIMIT, r->at, "versions"); /* [K2] */
  for (; file->version_count < count; file->version_count++) {
    nc_key_version *v = &file->versions[file->version_count];
    nc_read_copy(r, v->id.bytes, NC_UUID_BYTES);
    v->version = nc_read_u32(r);
    uint8_t state = nc_read_u8(r);
    v->state = (nc_key_state)state;
    v->created_ms = nc_read_u64(r);
    nc_read_copy(r, v->commitment, NC_COMMITMENT_BYTES);
    if (r->failed || state < NC_KEY_ACTIVE || state > NC_KEY_RETIRING ||
        !follows(file, file->version_count))
      return bad_shape(err, r);
    active += state == NC_KEY_ACTIVE;
    NC_TRY(read_wraps(r, file, file->version_count, err));
  }
  return active == 1 && !r->failed ? NACRE_OK : bad_shape(err, r); /* [K3] */
}

static nacre_status read_macs(nc_reader *r, nc_key_file *file, nacre_error *err) {
  uint64_t count = nc_read_varint(r);
  if (count != file->version_count) return bad_shape(err, r);
  for (; file->mac_count < count; file->mac_count++) {
    nc_key_mac *mac = &file->macs[file->mac_count];
    nc_read_copy(r, mac->kek_id.bytes, NC_UUID_BYTES);
    nc_read_copy(r, mac->mac, NC_MAC_BYTES);
    if (!nc_uuid_equal(&mac->kek_id, &file->versions[file->mac_count].id)) return bad_shape(err, r);
  }
  return nc_reader_done(r) ? NACRE_OK : bad_shape(err, r);
}

nacre_status nc_key_file_decode(nacre_slice bytes, nc_key_file *ret_file, size_t *ret_body_size,
                                nacre_error *err) {
  NC_TRY(check_outside(bytes, err));
  nc_reader r = nc_reader_over(nc_slice(bytes.data, bytes.size - CRC_BYTES));
  memset(ret_file, 0, sizeof *ret_file); /* too large for a stack: a failed decode leaves it in part */
  (void)nc_read_bytes(&r, AT_SIZE + 4);
  ret_file->generation = nc_read_u64(&r);
  nc_read_copy(&r, ret_file->table.bytes, NC_UUID_BYTES);
  NC_TRY(read_versions(&r, ret_file, err));
  *ret_body_size = r.at;
  return read_macs(&r, ret_file, err);
}
