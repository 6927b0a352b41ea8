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

enum { AT_VERSION = 8, HEAD_BYTES = 16, CRC_BYTES = 4, WRAP_FORM = 1 };
enum { LOG2_N_MAX = 22, R_MAX = 32, P_MAX = 16, LOG2_NR_MAX = 23, LOG2_NRP_MAX = 24 };

static const uint8_t magic[8] = {0x89, 'N', 'A', 'C', 'K', 'R', 0x0D, 0x0A};

_Static_assert(NC_KEYRING_CONTEXT_BYTES == HEAD_BYTES + 4 + NC_KEYRING_SALT_BYTES, "what a passphrase opens");
_Static_assert(NC_KEYRING_AAD_BYTES == 84 && NC_ROOT_KEY_RECORD_BYTES == 56, "the specification's numbers");
_Static_assert(NC_LOCAL_WRAP_BYTES ==
                   1 + NC_UUID_BYTES + NC_WRAP_SALT_BYTES + NC_ROOT_KEY_BYTES + NC_TAG_BYTES,
               "a wrap is its parts");

nacre_status nc_keyring_add(nc_keyring *ring, const nc_root_key *key, nacre_error *err) {
  if (ring->key_count >= NC_KEYRING_KEYS_MAX)
    return nc_fail(err, NC_E_KEYRING_FULL, "%u keys", ring->key_count);
  ring->keys[ring->key_count++] = *key;
  return NACRE_OK;
}

nacre_status nc_scrypt_cost_check(nc_scrypt_cost cost, nacre_error *err) {
  uint64_t n = (uint64_t)1 << (cost.log2_n & 63);
  bool good = cost.log2_n >= 1 && cost.log2_n <= LOG2_N_MAX && cost.r >= 1 && cost.r <= R_MAX &&
              cost.p >= 1 && cost.p <= P_MAX && n * cost.r <= (uint64_t)1 << LOG2_NR_MAX &&
              n * cost.r * cost.p <= (uint64_t)1 << LOG2_NRP_MAX && cost.log2_n < 16 * cost.r;
  if (good) return NACRE_OK; /* [R5] */
  return nc_fail(err, NC_E_KEYRING_COST, "N 2^%u, r %u, p %u", cost.log2_n, cost.r, cost.p);
}

/* ---- writing ------------------------------------------------------------------------------------------- */

static void write_head(nc_writer *w, nc_keyring_protection protection, uint32_t key_count) {
  nc_write_bytes(w, magic, sizeof magic);
  nc_write_u16(w, NC_FORMAT_VERSION);
  nc_write_u16(w, (uint16_t)protection);
  nc_write_u32(w, key_count);
}

static void write_keys(nc_writer *w, const nc_keyring *ring) {
  for (uint32_t i = 0; i < ring->key_count; i++) {
    nc_write_bytes(w, ring->keys[i].id.bytes, NC_UUID_BYTES);
    nc_write_u64(w, ring->keys[i].created_ms);
    nc_write_bytes(w, ring->keys[i].key, NC_ROOT_KEY_BYTES);
  }
}

size_t nc_keyring_encode(const nc_keyring *ring, uint8_t out[NC_KEYRING_BYTES_MAX]) {
  assert(ring->key_count <= NC_KEYRING_KEYS_MAX);
  nc_writer w = nc_writer_over(out, NC_KEYRING_BYTES_MAX);
  write_head(&w, NC_KEYRING_PLAIN, ring->key_count);
  write_keys(&w, ring);
  nc_write_u32(&w, nc_crc32c(0, out, w.size));
  assert(!w.failed);
  return w.size;
}

static size_t protected_bytes(uint32_t key_count) {
  return NC_KEYRING_AAD_BYTES + (size_t)key_count * NC_ROOT_KEY_RECORD_BYTES + NC_TAG_BYTES + CRC_BYTES;
}

size_t nc_keyring_lay_out(const nc_keyring *ring, nc_scrypt_cost cost,
                          const uint8_t salt[NC_KEYRING_SALT_BYTES], uint8_t out[NC_KEYRING_BYTES_MAX]) {
  static const uint8_t zero[NC_COMMITMENT_BYTES];
  assert(ring->key_count <= NC_KEYRING_KEYS_MAX);
  nc_writer w = nc_writer_over(out, NC_KEYRING_BYTES_MAX);
  write_head(&w, NC_KEYRING_SCRYPT, ring->key_count);
  nc_write_u8(&w, cost.log2_n);
  nc_write_u8(&w, cost.r);
  nc_write_u8(&w, cost.p);
  nc_write_u8(&w, 0);
  nc_write_bytes(&w, salt, NC_KEYRING_SALT_BYTES);
  nc_write_bytes(&w, zero, sizeof zero);
  write_keys(&w, ring);
  assert(!w.failed && w.size + NC_TAG_BYTES + CRC_BYTES == protected_bytes(ring->key_count));
  return protected_bytes(ring->key_count);
}

size_t nc_keyring_finish(uint32_t key_count, uint8_t out[NC_KEYRING_BYTES_MAX]) {
  size_t size = protected_bytes(key_count);
  nc_put_u32(out + size - CRC_BYTES, nc_crc32c(0, out, size - CRC_BYTES));
  return size;
}

/* ---- reading ------------------------------------------------------------------------------------------- */

static nacre_status check_outside(nacre_slice bytes, nacre_error *err) {
  const uint8_t *p = bytes.data;
  if (bytes.size < HEAD_BYTES + CRC_BYTES) return nc_fail(err, NC_E_KEYRING_SHAPE, "%zu bytes", bytes.size);
  if (memcmp(p, magic, sizeof magic) != 0) return nc_fail_at(err, NC_E_KEYRING_MAGIC, 0, NULL); /* [R1] */
  size_t end = bytes.size - CRC_BYTES;
  /* [V2] */
  if (nc_get_u32(p + end) != nc_crc32c(0, p, end)) return nc_fail_at(err, NC_E_KEYRING_CRC, 0, NULL);
  uint16_t version = nc_get_u16(p + AT_VERSION);
  if (version != NC_FORMAT_VERSION)
    return nc_fail_at(err, NC_E_KEYRING_VERSION, AT_VERSION, "version %u", version); /* [V1] */
  return NACRE_OK;
}

/* What stands between the head and the keys. */
static nacre_status parse_protection(nacre_slice bytes, nc_keyring_parts *parts, nacre_error *err) {
  const uint8_t *p = bytes.data, *cost = p + HEAD_BYTES;
  if (bytes.size != protected_bytes(parts->key_count) || cost[3] != 0) {
    return nc_fail(err, NC_E_KEYRING_SHAPE, "%u keys in %zu bytes", parts->key_count, bytes.size);
  }
  parts->cost = (nc_scrypt_cost){.log2_n = cost[0], .r = cost[1], .p = cost[2]};
  parts->salt = nc_slice(cost + 4, NC_KEYRING_SALT_BYTES);
  parts->context = nc_slice(p, NC_KEYRING_CONTEXT_BYTES);
  parts->commitment = p + NC_KEYRING_CONTEXT_BYTES;
  parts->aad = nc_slice(p, NC_KEYRING_AAD_BYTES);
  parts->keys = nc_slice(p + NC_KEYRING_AAD_BYTES, (size_t)parts->key_count * NC_ROOT_KEY_RECORD_BYTES);
  parts->tag = p + NC_KEYRING_AAD_BYTES + parts->keys.size;
  return nc_scrypt_cost_check(parts->cost, err);
}

nacre_status nc_keyring_parse(nacre_slice bytes, nc_keyring_parts *ret_parts, nacre_error *err) {
  NC_TRY(check_outside(bytes, err));
  nc_keyring_parts parts = {0};
  nc_reader r = nc_reader_over(bytes);
  (void)nc_read_bytes(&r, AT_VERSION + 2);
  uint16_t protection = nc_read_u16(&r);
  parts.key_count = nc_read_u32(&r);
  if (protection != NC_KEYRING_PLAIN && protection != NC_KEYRING_SCRYPT)
    return nc_fail_at(err, NC_E_KEYRING_PROTECTION, AT_VERSION + 2, "protection %u", protection);
  if (parts.key_count == 0 || parts.key_count > NC_KEYRING_KEYS_MAX)
    return nc_fail(err, NC_E_KEYRING_SHAPE, "%u keys", parts.key_count);
  parts.protection = (nc_keyring_protection)protection;
  if (parts.protection == NC_KEYRING_SCRYPT) {
    NC_TRY(parse_protection(bytes, &parts, err));
  } else {
    size_t size = (size_t)parts.key_count * NC_ROOT_KEY_RECORD_BYTES;
    if (bytes.size != HEAD_BYTES + size + CRC_BYTES)
      return nc_fail(err, NC_E_KEYRING_SHAPE, "%u keys in %zu bytes", parts.key_count, bytes.size);
    parts.keys = nc_slice((const uint8_t *)bytes.data + HEAD_BYTES, size);
  }
  *ret_parts = parts;
  return NACRE_OK;
}

void nc_keyring_decode_keys(const uint8_t *records, uint32_t count, nc_keyring *ret_ring) {
  assert(count <= NC_KEYRING_KEYS_MAX);
  nc_reader r = nc_reader_over(nc_slice(records, (size_t)count * NC_ROOT_KEY_RECORD_BYTES));
  memset(ret_ring, 0, sizeof *ret_ring);
  for (; ret_ring->key_count < count; ret_ring->key_count++) {
    nc_root_key *key = &ret_ring->keys[ret_ring->key_count];
    nc_read_copy(&r, key->id.bytes, NC_UUID_BYTES);
    key->created_ms = nc_read_u64(&r);
    nc_read_copy(&r, key->key, NC_ROOT_KEY_BYTES);
  }
}

nacre_status nc_keyring_decode(nacre_slice bytes, nc_keyring *ret_ring, nacre_error *err) {
  nc_keyring_parts parts;
  NC_TRY(nc_keyring_parse(bytes, &parts, err));
  if (parts.protection != NC_KEYRING_PLAIN)
    return nc_fail(err, NC_E_KEYRING_PROTECTION, "the keys are sealed under a passphrase");
  nc_keyring_decode_keys(parts.keys.data, parts.key_count, ret_ring);
  return NACRE_OK;
}

/* ---- wraps --------------------------------------------------------------------------------------------- */

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
