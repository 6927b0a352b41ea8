/* SPDX-License-Identifier: Apache-2.0
 *
 * No function here leaves more than eight bytes of a secret behind on the stack, and none goes through stdio,
 * whose buffers would keep it.
 */
#include "canary.h"

#include <string.h>

#include "support.h"

static void put_noise(uint64_t state, uint8_t *to, size_t size) {
  for (size_t i = 0; i < size; i += 8) {
    uint64_t word = test_mix(state, i);
    memcpy(to + i, &word, 8);
  }
}

static void put_text(uint64_t state, char *to, size_t size) {
  for (size_t i = 0; i < size; i++) to[i] = (char)('a' + test_mix(state, i) % 26);
}

static uint64_t state_of(uint64_t seed, uint64_t kind, uint64_t which) {
  return test_mix(test_mix(seed, kind), which);
}

void canary_make(uint64_t seed, uint32_t table, uint32_t number, canary *ret_canary) {
  uint64_t which = (uint64_t)table << 32 | number;
  canary *c = ret_canary;
  put_noise(state_of(seed, 1, which), c->key, CANARY_NOISE);
  memset(c->key + CANARY_NOISE, 0, CANARY_KEY - CANARY_NOISE);
  memcpy(c->key + CANARY_NOISE, &number, sizeof number);
  put_noise(state_of(seed, 2, which), c->value, CANARY_NOISE);
  put_text(state_of(seed, 3, which), (char *)c->value + CANARY_NOISE, CANARY_TEXT);
  memset(c->value + CANARY_NOISE + CANARY_TEXT, 'x', CANARY_VALUE - CANARY_NOISE - CANARY_TEXT);
}

static void put_word(uint64_t state, char word[CANARY_WORD]) {
  put_text(state, word, CANARY_WORD - 1);
  word[CANARY_WORD - 1] = 0;
}

void canary_table_name(uint64_t seed, uint32_t table, char name[CANARY_WORD]) {
  put_word(state_of(seed, 4, table), name);
}

void canary_passphrase(uint64_t seed, char passphrase[CANARY_WORD]) {
  put_word(state_of(seed, 5, 0), passphrase);
}

void canary_control_key(uint64_t seed, uint8_t key[32]) { put_noise(state_of(seed, 6, 0), key, 32); }

/* ---- the key service ----------------------------------------------------------------------------------- */

/* Byte by byte: no copy of the key is left in a register wider than eight bytes. */
static void mask(uint64_t seed, const uint8_t *from, uint8_t *to) {
  for (size_t i = 0; i < NACRE_KMS_KEY_BYTES; i++) {
    volatile uint8_t byte = (uint8_t)(from[i] ^ (uint8_t)state_of(seed, 7, i));
    to[i] = byte;
  }
}

static nacre_status answer(canary_service *service, nacre_error *err) {
  if (service->called != NULL) service->called(service->called_arg);
  int mood = atomic_load(&service->mood);
  if (mood == SERVICE_DENIES) return nacre_kms_fail(err, NACRE_KEY_DENIED, "the test's service says no");
  if (mood == SERVICE_IS_GONE)
    return nacre_kms_fail(err, NACRE_KEY_UNREACHABLE, "the test's service is gone");
  return NACRE_OK;
}

static nacre_status mask_wrap(void *arg, const nacre_kms_call *call, const uint8_t key[32], uint8_t *wrapped,
                              size_t capacity, size_t *ret_size, nacre_error *err) {
  canary_service *service = arg;
  (void)call;
  nacre_status status = answer(service, err);
  if (status != NACRE_OK) return status;
  if (capacity < NACRE_KMS_KEY_BYTES) return nacre_kms_fail(err, NACRE_INVALID, "no room");
  mask(service->seed, key, wrapped);
  *ret_size = NACRE_KMS_KEY_BYTES;
  return NACRE_OK;
}

static nacre_status mask_unwrap(void *arg, const nacre_kms_call *call, nacre_slice wrapped,
                                uint8_t ret_key[32], nacre_error *err) {
  canary_service *service = arg;
  (void)call;
  nacre_status status = answer(service, err);
  if (status != NACRE_OK) return status;
  if (wrapped.size != NACRE_KMS_KEY_BYTES) return nacre_kms_fail(err, NACRE_KEY_MISSING, "not wrapped here");
  mask(service->seed, wrapped.data, ret_key);
  if (atomic_load(&service->mood) == SERVICE_LIES)
    ret_key[31] ^= 1; /* 31 bytes of the key are the right ones */
  return NACRE_OK;
}

nacre_kms_provider canary_provider(canary_service *service) {
  return (nacre_kms_provider){.scheme = "mask", .arg = service, .wrap = mask_wrap, .unwrap = mask_unwrap};
}
