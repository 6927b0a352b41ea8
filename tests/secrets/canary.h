/* SPDX-License-Identifier: Apache-2.0
 *
 * What users of the store in these tests keep secret, each byte a function of a seed: the process under test
 * makes it on the fly and wipes it at once, the one that searches makes it again. And a key service for both,
 * which hides a table key under a mask that is made in the same way.
 */
#ifndef NACRE_TESTS_SECRETS_CANARY_H
#define NACRE_TESTS_SECRETS_CANARY_H

#include <nacre/nacre_kms.h>
#include <stdatomic.h>

enum { CANARY_NOISE = 16, CANARY_KEY = 24, CANARY_VALUE = 200, CANARY_TEXT = 32, CANARY_WORD = 40 };

/* Lies in a page that the process under test wipes after each use. */
typedef struct canary {
  uint8_t key[CANARY_KEY];     /* CANARY_NOISE bytes of noise, and a number */
  uint8_t value[CANARY_VALUE]; /* noise; CANARY_TEXT bytes of text; one and the same letter */
} canary;

void canary_make(uint64_t seed, uint32_t table, uint32_t number, canary *ret_canary);
void canary_table_name(uint64_t seed, uint32_t table, char name[CANARY_WORD]);
void canary_passphrase(uint64_t seed, char passphrase[CANARY_WORD]); /* CANARY_WORD - 1 bytes */
void canary_control_key(uint64_t seed, uint8_t key[32]); /* what the detectors of keys are tried on */

typedef enum canary_service_mood {
  SERVICE_SERVES = 0,
  SERVICE_DENIES,
  SERVICE_LIES,
  SERVICE_IS_GONE
} canary_service_mood;

/* Scheme "mask". `arg` points to a canary_service. */
typedef struct canary_service {
  uint64_t seed;
  atomic_int mood;
  void (*called)(void *arg); /* may be NULL; before each answer */
  void *called_arg;
} canary_service;
nacre_kms_provider canary_provider(canary_service *service);

#endif
