/* SPDX-License-Identifier: Apache-2.0
 *
 * Every secret of a store that another process keeps, made again from what that process wrote: keyrings, key
 * files and file headers, in the order in which they were written. What the other process no longer needs is
 * here for good.
 */
#ifndef NACRE_TESTS_SECRETS_HOARD_H
#define NACRE_TESTS_SECRETS_HOARD_H

#include "needles.h"

/* What the process under test hands on of what it writes: all of it is ciphertext, and public. A record is
 * this and `size` bytes. */
typedef enum overheard_kind {
  OVERHEARD_KEY_FILE = 1,
  OVERHEARD_HEADER = 2, /* one slot */
  OVERHEARD_MASKED = 3  /* a table key as the test's service has wrapped it, whatever became of it */
} overheard_kind;
typedef struct overheard {
  uint32_t kind, size;
} overheard;

typedef struct hoard hoard;

hoard *hoard_create(uint64_t seed);
void hoard_destroy(hoard *h);
needles *hoard_needles(hoard *h);
/* The root keys of a keyring, and what its passphrase becomes. */
void hoard_add_keyring(hoard *h, const char *path);
/* What has been overheard since the last time. */
void hoard_add_overheard(hoard *h, const char *path);
/* Who owns the keys of a table. */
uint32_t hoard_owner(const uint8_t uuid[16]);
/* Whether the newest key file of its table still has this KEK. */
bool hoard_kek_lives(const hoard *h, const uint8_t key[32]);
size_t hoard_keks(const hoard *h, bool living);
size_t hoard_headers(const hoard *h);

#endif
