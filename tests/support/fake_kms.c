/* SPDX-License-Identifier: Apache-2.0
 *
 * fake_kms: see fake_kms.h.
 */
#include "fake_kms.h"

#include <string.h>

enum { CONTEXT_BYTES_MAX = 64, WRAPPED_BYTES = 1 + 32 + CONTEXT_BYTES_MAX };

static const char *const uris[FAKE_KEYS] = {"fake:0",  "fake:1",  "fake:2",  "fake:3", "fake:4",  "fake:5",
                                            "fake:6",  "fake:7",  "fake:8",  "fake:9", "fake:10", "fake:11",
                                            "fake:12", "fake:13", "fake:14", "fake:15"};

nacre_key_spec fake_spec(unsigned n) { return (nacre_key_spec){.uri = uris[n]}; }

static fake_key *key_of(fake_kms *kms, const nacre_kms_call *call, uint8_t *ret_index) {
  for (uint8_t i = 0; i < FAKE_KEYS; i++) {
    if (strcmp(call->key.uri, uris[i]) != 0) continue;
    *ret_index = i;
    return &kms->keys[i];
  }
  atomic_fetch_add(&kms->strangers, 1);
  return NULL;
}

/* Index, key, context: each byte of the key masked with the index. */
static void compose(uint8_t index, const nacre_kms_call *call, const uint8_t key[32], uint8_t *out) {
  memset(out, 0, WRAPPED_BYTES);
  out[0] = index;
  for (size_t i = 0; i < 32; i++) out[1 + i] = key[i] ^ (uint8_t)(0xA0 + index);
  size_t size = call->context.size < CONTEXT_BYTES_MAX ? call->context.size : CONTEXT_BYTES_MAX;
  memcpy(out + 33, call->context.data, size);
}

static nacre_status wrap(void *arg, const nacre_kms_call *call, const uint8_t key[32], uint8_t *wrapped,
                         size_t capacity, size_t *ret_size, nacre_error *err) {
  uint8_t index = 0;
  fake_key *k = key_of(arg, call, &index);
  if (k == NULL || capacity < WRAPPED_BYTES) return nacre_kms_fail(err, NACRE_KEY_MISSING, "no such key");
  atomic_fetch_add(&k->wraps, 1);
  const fake_kms *kms = arg;
  if (kms->on_wrap != NULL) kms->on_wrap();
  bool spent = k->runs_out && k->wraps_left == 0;
  if (k->runs_out && k->wraps_left > 0) k->wraps_left--;
  if ((!k->runs_out || spent) && k->wrap_status != NACRE_OK)
    return nacre_kms_fail(err, k->wrap_status, call->key.uri);
  compose(index, call, key, wrapped);
  *ret_size = WRAPPED_BYTES;
  return NACRE_OK;
}

static nacre_status unwrap(void *arg, const nacre_kms_call *call, nacre_slice wrapped, uint8_t ret_key[32],
                           nacre_error *err) {
  uint8_t index = 0, wanted[WRAPPED_BYTES];
  const uint8_t *bytes = wrapped.data;
  fake_key *k = key_of(arg, call, &index);
  if (k == NULL) return nacre_kms_fail(err, NACRE_KEY_MISSING, "no such key");
  atomic_fetch_add(&k->unwraps, 1);
  if (k->unwrap_status != NACRE_OK) return nacre_kms_fail(err, k->unwrap_status, call->key.uri);
  if (wrapped.size != WRAPPED_BYTES) return nacre_kms_fail(err, NACRE_KEY_MISSING, "not wrapped here");
  for (size_t i = 0; i < 32; i++) ret_key[i] = bytes[1 + i] ^ (uint8_t)(0xA0 + index);
  compose(index, call, ret_key, wanted);
  if (memcmp(wanted, bytes, WRAPPED_BYTES) != 0) {
    memset(ret_key, 0, 32);
    return nacre_kms_fail(err, NACRE_KEY_MISSING, "not wrapped by this key, or for another purpose");
  }
  if (k->lies) ret_key[31] ^= 1;
  return NACRE_OK;
}

void fake_kms_init(fake_kms *kms) {
  memset(kms, 0, sizeof *kms);
  kms->provider = (nacre_kms_provider){.scheme = "fake", .arg = kms, .wrap = wrap, .unwrap = unwrap};
  kms->list[0] = &kms->provider;
}

unsigned fake_unwraps(const fake_kms *kms) {
  unsigned count = 0;
  for (size_t i = 0; i < FAKE_KEYS; i++) count += atomic_load(&kms->keys[i].unwraps);
  return count;
}

unsigned fake_calls(const fake_kms *kms) {
  unsigned count = fake_unwraps(kms) + atomic_load(&kms->strangers);
  for (size_t i = 0; i < FAKE_KEYS; i++) count += atomic_load(&kms->keys[i].wraps);
  return count;
}

void fake_forget(fake_kms *kms) {
  atomic_store(&kms->strangers, 0);
  for (size_t i = 0; i < FAKE_KEYS; i++) {
    atomic_store(&kms->keys[i].wraps, 0);
    atomic_store(&kms->keys[i].unwraps, 0);
  }
}
