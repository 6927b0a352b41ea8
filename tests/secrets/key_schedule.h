/* SPDX-License-Identifier: Apache-2.0
 *
 * AES-256 key expansion (FIPS 197, section 5.2), for recognising a key by what a cipher makes of it.
 */
#ifndef NACRE_TESTS_SECRETS_KEY_SCHEDULE_H
#define NACRE_TESTS_SECRETS_KEY_SCHEDULE_H

#include <stdint.h>

enum {
  AES_ROUND_KEYS = 15,
  AES_ROUND_KEY_BYTES = 16,
  AES_SCHEDULE_BYTES = AES_ROUND_KEYS * AES_ROUND_KEY_BYTES
};

/* As it stands in memory under AES-NI and in the standard: round key after round key. */
void key_schedule_expand(const uint8_t key[32], uint8_t ret_schedule[AES_SCHEDULE_BYTES]);
/* A round key of the equivalent inverse cipher (section 5.3.5): InvMixColumns of one of the above. */
void key_schedule_invert(const uint8_t round_key[AES_ROUND_KEY_BYTES],
                         uint8_t ret_inverse[AES_ROUND_KEY_BYTES]);
/* The same with the bytes of each word turned round, as implementations in C keep them. */
void key_schedule_swap(const uint8_t round_key[AES_ROUND_KEY_BYTES],
                       uint8_t ret_swapped[AES_ROUND_KEY_BYTES]);

#endif
