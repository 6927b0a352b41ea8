/* SPDX-License-Identifier: Apache-2.0
 *
 * Needles hash by their first eight bytes; a bitmap answers nearly all of the look-ups, one for each byte of
 * memory.
 */
#include "needles.h"

#include <stdlib.h>
#include <string.h>

#include "key_schedule.h"
#include "support.h"

enum { BITMAP_BITS = 21, BUCKETS = 1 << 16, ZEROS_BYTES = 4096 };

struct needles {
  uint8_t bitmap[1 << (BITMAP_BITS - 3)];
  needle *buckets[BUCKETS];
  size_t count;
};

const char *needle_kind_name(needle_kind kind) {
  static const char *const names[NEEDLE_KINDS] = {
      "root key",       "passphrase",       "DEK", "wrapping key", "MAC key", "HMAC pad",
      "other schedule", "passphrase's key", "KEK", "user's key",   "value",   "table name",
      "data key",       "data round key"};
  return names[kind];
}

__attribute__((no_sanitize("address", "undefined"))) static uint64_t hash_of(const uint8_t *bytes) {
  uint64_t word;
  memcpy(&word, bytes, sizeof word);
  return (word * 0x9e3779b97f4a7c15u) >> (64 - BITMAP_BITS);
}

needles *needles_create(void) { return test_alloc(sizeof(needles)); }

void needles_destroy(needles *set) {
  for (size_t i = 0; i < BUCKETS; i++)
    for (needle *n = set->buckets[i]; n != NULL;) {
      needle *next = n->next;
      free(n);
      n = next;
    }
  free(set);
}

void needles_add(needles *set, needle_kind kind, uint32_t owner, const void *bytes, size_t size) {
  if (size < NEEDLE_BYTES_MIN || size > NEEDLE_BYTES_MAX) test_die("a needle of %zu bytes", size);
  uint64_t hash = hash_of(bytes);
  needle **bucket = &set->buckets[hash % BUCKETS];
  for (needle *n = *bucket; n != NULL; n = n->next)
    if (n->size == size && memcmp(n->bytes, bytes, size) == 0) return;
  needle *n = test_alloc(sizeof *n);
  *n = (needle){.next = *bucket, .kind = kind, .owner = owner, .size = (uint8_t)size};
  memcpy(n->bytes, bytes, size);
  *bucket = n;
  set->bitmap[hash / 8] |= (uint8_t)(1u << (hash % 8));
  set->count++;
}

/* 16 bytes, and with the bytes of each word turned round. */
static void add_both_ways(needles *set, uint32_t owner, needle_kind kind, const uint8_t *bytes) {
  uint8_t swapped[AES_ROUND_KEY_BYTES];
  needles_add(set, kind, owner, bytes, AES_ROUND_KEY_BYTES);
  key_schedule_swap(bytes, swapped);
  needles_add(set, needle_is_of_data_key((int)kind) ? NEEDLE_OTHER_SCHEDULE : kind, owner, swapped,
              sizeof swapped);
}

void needles_add_cipher_key(needles *set, needle_kind kind, uint32_t owner, const uint8_t key[32]) {
  uint8_t schedule[AES_SCHEDULE_BYTES], inverse[AES_ROUND_KEY_BYTES];
  needle_kind round_kind = needle_is_of_data_key((int)kind) ? NEEDLE_DATA_ROUND_KEY : NEEDLE_OTHER_SCHEDULE;
  needles_add(set, kind, owner, key, 32);
  key_schedule_expand(key, schedule);
  for (int i = 1; i < AES_ROUND_KEYS; i++) {
    const uint8_t *round = schedule + (ptrdiff_t)i * AES_ROUND_KEY_BYTES;
    if (i >= 2) add_both_ways(set, owner, round_kind, round);
    key_schedule_invert(round, inverse);
    add_both_ways(set, owner, NEEDLE_OTHER_SCHEDULE, inverse);
  }
}

void needles_add_hmac_key(needles *set, needle_kind kind, uint32_t owner, const uint8_t key[32]) {
  uint8_t mixed[32];
  needles_add(set, kind, owner, key, 32);
  for (int pad = 0; pad < 2; pad++) {
    for (int i = 0; i < 32; i++) mixed[i] = key[i] ^ (pad == 0 ? 0x36 : 0x5C);
    add_both_ways(set, owner, NEEDLE_HMAC_PAD, mixed);
    add_both_ways(set, owner, NEEDLE_HMAC_PAD, mixed + AES_ROUND_KEY_BYTES);
  }
}

size_t needles_count(const needles *set) { return set->count; }

void needles_forget(needles *set) {
  for (size_t i = 0; i < BUCKETS; i++)
    for (needle *n = set->buckets[i]; n != NULL; n = n->next) n->in_private = n->in_ordinary = 0;
}

static bool all_zero(const uint8_t *bytes) {
  return bytes[0] == 0 && memcmp(bytes, bytes + 1, ZEROS_BYTES - 1) == 0;
}

/* Every byte of a process goes through here, too many for a sanitizer to look at each. */
__attribute__((no_sanitize("address", "undefined"))) void needles_search(needles *set, const uint8_t *bytes,
                                                                         size_t size, size_t end,
                                                                         needles_found found, void *arg) {
  for (size_t i = 0; i < end && i + NEEDLE_BYTES_MIN <= size; i++) {
    if (i % ZEROS_BYTES == 0 && i + ZEROS_BYTES <= size && all_zero(bytes + i))
      i += ZEROS_BYTES - NEEDLE_BYTES_MIN;
    uint64_t hash = hash_of(bytes + i);
    if ((set->bitmap[hash / 8] & (1u << (hash % 8))) == 0) continue;
    for (needle *n = set->buckets[hash % BUCKETS]; n != NULL; n = n->next)
      if (n->size <= size - i && memcmp(n->bytes, bytes + i, n->size) == 0) found(arg, n, i);
  }
}

void needles_each(needles *set, void (*visit)(void *arg, const needle *what), void *arg) {
  for (size_t i = 0; i < BUCKETS; i++)
    for (needle *n = set->buckets[i]; n != NULL; n = n->next) visit(arg, n);
}
