/* SPDX-License-Identifier: Apache-2.0
 *
 * keyring: the root keys of the `local:` provider and its wraps, as bytes (format/README.md, "Keyring").
 *
 * What is decoded here is secret; every buffer is the caller's to wipe.
 */
#include "keyring.h"

#include <assert.h>

#include "crc32c.h"
#include "header.h"

enum {
  AT_VERSION = 8,
  HEAD_BYTES = 16,
  KEY_BYTES = NC_UUID_BYTES + 8 + NC_ROOT_KEY_BYTES,
  CRC_BYTES = 4,
  WRAP_FORM = 1
};

static const uint8_t magic[8] = {0x89, 'N', 'A', 'C', 'K', 'R', 0x0D, 0x0A};

_Static_assert(NC_KEYRING_BYTES_MAX == HEAD_BYTES + NC_KEYRING_KEYS_MAX * KEY_BYTES + CRC_BYTES,
               "the largest keyring");
_Static_assert(NC_LOCAL_WRAP_BYTES ==
                   1 + NC_UUID_BYTES + NC_WRAP_SALT_BYTES + NC_ROOT_KEY_BYTES + NC_TAG_BYTES,
               "a wrap is its parts");

nacre_status nc_keyring_add(nc_keyring *ring, const nc_root_key *key, nacre_error *err) {
  if (ring->key_count >= NC_KEYRING_KEYS_MAX)
    return nc_fail(err, NC_E_KEYRING_FULL, "%u keys", ring->key_count);
  ring->keys[ring->key_count++] = *key;
  return NACRE_OK;
}

size_t nc_keyring_encode(const nc_keyring *ring, uint8_t out[NC_KEYRING_BYTES_MAX]) {
  assert(ring->key_count <= NC_KEYRING_KEYS_MAX);
  nc_writer w = nc_writer_over(out, NC_KEYRING_BYTES_MAX);
  nc_write_bytes(&w, magic, sizeof magic);
  nc_write_u16(&w, NC_FORMAT_VERSION);
  nc_write_u16(&w, 0);
  nc_write_u32(&w, ring->key_count);
  for (uint32_t i = 0; i < ring->key_count; i++) {
    nc_write_bytes(&w, ring->keys[i].id.bytes, NC_UUID_BYTES);
    nc_write_u64(&w, ring->keys[i].created_ms);
    nc_write_bytes(&w, ring->keys[i].key, NC_ROOT_KEY_BYTES);
  }
  nc_write_u32(&w, nc_crc32c(0, out, w.size));
  assert(!w.failed);
  return w.size;
}

static nacre_status check_outside(nacre_slice bytes, nacre_error *err) {
  const uint8_t *p = bytes.data;
  if (bytes.size < HEAD_BYTES + CRC_BYTES) return nc_fail(err, NC_E_KEYRING_SHAPE, "%zu bytes", bytes.size);
  if (memcmp(p, magic, sizeof magic) != 0) return nc_fail_at(err, NC_E_KEYRING_MAGIC, 0, NULL);
  size_t end = bytes.size - CRC_BYTES;
  if (nc_get_u32(p + end) != nc_crc32c(0, p, end)) return nc_fail_at(err, NC_E_KEYRING_CRC, 0, NULL);
  uint16_t version = nc_get_u16(p + AT_VERSION);
  if (version != NC_FORMAT_VERSION)
    return nc_fail_at(err, NC_E_KEYRING_VERSION, AT_VERSION, "version %u", version);
  return NACRE_OK;
}

nacre_status nc_keyring_decode(nacre_slice bytes, nc_keyring *ret_ring, nacre_error *err) {
  NC_TRY(check_outside(bytes, err));
  nc_reader r = nc_reader_over(bytes);
  (void)nc_read_bytes(&r, AT_VERSION + 2);
  uint16_t zero = nc_read_u16(&r);
  uint32_t count = nc_read_u32(&r);
  if (zero != 0 || count == 0 || count > NC_KEYRING_KEYS_MAX ||
      bytes.size != HEAD_BYTES + (size_t)count * KEY_BYTES + CRC_BYTES)
    return nc_fail(err, NC_E_KEYRING_SHAPE, "%u keys in %zu bytes", count, bytes.size);
  memset(ret_ring, 0, sizeof *ret_ring); /* decoded in place: a copy would be one more to wipe */
  for (; ret_ring->key_count < count; ret_ring->key_count++) {
    nc_root_key *key = &ret_ring->keys[ret_ring->key_count];
    nc_read_copy(&r, key->id.bytes, NC_UUID_BYTES);
    key->created_ms = nc_read_u64(&r);
    nc_read_copy(&r, key->key, NC_ROOT_KEY_BYTES);
  }
  return NACRE_OK;
}

void nc_local_wrap_encode(const nc_local_wrap *wrap, uint8_t out[NC_LOCAL_WRAP_BYTES]) {
  nc_writer w = nc_writer_over(out, NC_LOCAL_WRAP_BYTES);
  nc_write_u8(&w, WRAP_FORM);
  nc_write_bytes(&w, wrap->key_id.bytes, NC_UUID_BYTES);
  nc_write_bytes(&w, wrap->salt, sizeof wrap->salt);
  nc_write_bytes(&w, wrap->ciphertext, sizeof wrap->ciphertext);
  nc_write_bytes(&w, wrap->tag, sizeof wrap->tag);
  assert(!w.failed && w.size == NC_LOCAL_WRAP_BYTES);
}

bool nc_local_wrap_decode(nacre_slice bytes, nc_local_wrap *ret_wrap) {
  if (bytes.size != NC_LOCAL_WRAP_BYTES) return false;
  nc_reader r = nc_reader_over(bytes);
  if (nc_read_u8(&r) != WRAP_FORM) return false;
  nc_read_copy(&r, ret_wrap->key_id.bytes, NC_UUID_BYTES);
  nc_read_copy(&r, ret_wrap->salt, sizeof ret_wrap->salt);
  nc_read_copy(&r, ret_wrap->ciphertext, sizeof ret_wrap->ciphertext);
  nc_read_copy(&r, ret_wrap->tag, sizeof ret_wrap->tag);
  return true;
}
