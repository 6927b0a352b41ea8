/* SPDX-License-Identifier: Apache-2.0
 *
 * What is searched for in memory: byte strings, each of a kind, each somebody's; and how often they were
 * found.
 */
#ifndef NACRE_TESTS_SECRETS_NEEDLES_H
#define NACRE_TESTS_SECRETS_NEEDLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum needle_kind {
  /* Nowhere once the call that used them has returned. */
  NEEDLE_ROOT_KEY = 0,
  NEEDLE_PASSPHRASE,
  NEEDLE_DEK,
  NEEDLE_WRAPPING_KEY, /* of DEKs, table keys, keyrings */
  NEEDLE_MAC_KEY,
  NEEDLE_HMAC_PAD,       /* a key of a derivation, as HMAC mixes it with its two pads */
  NEEDLE_OTHER_SCHEDULE, /* round keys of a wrapping key, in any form; of a data key, inverse or swapped */
  /* In private memory as long as the store or the table is open. */
  NEEDLE_PASSPHRASE_KEY, /* what scrypt makes */
  NEEDLE_KEK,
  NEEDLE_KEY,
  NEEDLE_VALUE,
  NEEDLE_NAME,
  /* The same, and in the cipher contexts of OpenSSL, once in each. */
  NEEDLE_DATA_KEY,
  NEEDLE_DATA_ROUND_KEY, /* all but the first two, which are the key */
  NEEDLE_KINDS
} needle_kind;
const char *needle_kind_name(needle_kind kind);
static inline bool needle_is_passing(int kind) { return kind < NEEDLE_PASSPHRASE_KEY; }
static inline bool needle_is_of_data_key(int kind) { return kind >= NEEDLE_DATA_KEY; }

enum { NEEDLE_BYTES_MIN = 8, NEEDLE_BYTES_MAX = 48 };

typedef struct needle {
  struct needle *next;
  needle_kind kind;
  uint32_t owner;
  uint8_t size;
  uint8_t bytes[NEEDLE_BYTES_MAX];
  uint64_t in_private, in_ordinary; /* found since needles_forget */
} needle;

typedef struct needles needles;

needles *needles_create(void);
void needles_destroy(needles *set);
/* One that is there already stays what it is. */
void needles_add(needles *set, needle_kind kind, uint32_t owner, const void *bytes, size_t size);
/* A key, and what AES makes of it. */
void needles_add_cipher_key(needles *set, needle_kind kind, uint32_t owner, const uint8_t key[32]);
/* A key, and what HMAC makes of it. */
void needles_add_hmac_key(needles *set, needle_kind kind, uint32_t owner, const uint8_t key[32]);
size_t needles_count(const needles *set);
void needles_forget(needles *set);

/* Calls `found` for each place of `bytes` where a needle begins before `end`. */
typedef void (*needles_found)(void *arg, needle *what, size_t at);
void needles_search(needles *set, const uint8_t *bytes, size_t size, size_t end, needles_found found,
                    void *arg);
/* Calls `visit` for each of them. */
void needles_each(needles *set, void (*visit)(void *arg, const needle *what), void *arg);

#endif
