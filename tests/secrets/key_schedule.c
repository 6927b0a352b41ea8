/* SPDX-License-Identifier: Apache-2.0
 *
 * Plain arithmetic in GF(2^8): slow, and of no use to anybody but a test.
 */
#include "key_schedule.h"

#include <string.h>

enum { KEY_WORDS = 8, WORDS = 4 * AES_ROUND_KEYS };

static uint8_t multiply(uint8_t a, uint8_t b) {
  uint8_t product = 0;
  for (int bit = 0; bit < 8; bit++) {
    if ((b >> bit & 1) != 0) product ^= a;
    a = (uint8_t)(a << 1 ^ ((a & 0x80) != 0 ? 0x1B : 0));
  }
  return product;
}

/* The S-box: the multiplicative inverse, found with the powers of a generator, then the affine map. */
static void fill_box(uint8_t box[256]) {
  uint8_t power[256], exponent[256] = {0};
  power[0] = 1;
  for (int i = 1; i < 256; i++) power[i] = multiply(power[i - 1], 3);
  for (int i = 0; i < 255; i++) exponent[power[i]] = (uint8_t)i;
  for (int a = 0; a < 256; a++) {
    uint8_t inverse = a == 0 ? 0 : power[255 - exponent[a]], out = 0x63;
    for (int turn = 0; turn < 5; turn++) out ^= (uint8_t)(inverse << turn | inverse >> (8 - turn));
    box[a] = out;
  }
}

void key_schedule_expand(const uint8_t key[32], uint8_t ret_schedule[AES_SCHEDULE_BYTES]) {
  uint8_t box[256], *w = ret_schedule, constant = 1;
  fill_box(box);
  memcpy(w, key, 32);
  for (int i = KEY_WORDS; i < WORDS; i++) {
    uint8_t word[4];
    memcpy(word, w + 4 * (i - 1), 4);
    if (i % KEY_WORDS == 0) {
      uint8_t first = word[0];
      memmove(word, word + 1, 3);
      word[3] = first;
    }
    if (i % 4 == 0)
      for (int j = 0; j < 4; j++) word[j] = box[word[j]];
    if (i % KEY_WORDS == 0) {
      word[0] ^= constant;
      constant = multiply(constant, 2);
    }
    for (int j = 0; j < 4; j++) w[4 * i + j] = w[4 * (i - KEY_WORDS) + j] ^ word[j];
  }
}

void key_schedule_invert(const uint8_t round_key[AES_ROUND_KEY_BYTES],
                         uint8_t ret_inverse[AES_ROUND_KEY_BYTES]) {
  static const uint8_t row[4] = {14, 11, 13, 9};
  for (int column = 0; column < 4; column++)
    for (int i = 0; i < 4; i++) {
      uint8_t sum = 0;
      for (int j = 0; j < 4; j++) sum ^= multiply(round_key[4 * column + (i + j) % 4], row[j]);
      ret_inverse[4 * column + i] = sum;
    }
}

void key_schedule_swap(const uint8_t round_key[AES_ROUND_KEY_BYTES],
                       uint8_t ret_swapped[AES_ROUND_KEY_BYTES]) {
  for (int i = 0; i < AES_ROUND_KEY_BYTES; i++) ret_swapped[i] = round_key[(i & ~3) + 3 - (i & 3)];
}
